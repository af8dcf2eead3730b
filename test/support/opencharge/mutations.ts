// Generated mutations of signed requests, put one by one to the very check that the server makes of its callers: headers,
// clock, spent nonces, the key of whoever is named, the curve, and then whom the body names. Run by itself it judges
// one share of them and prints what came of it as JSON.

import { Database as Sqlite } from "bun:sqlite";
import { liveConfig } from "../../../src/config/config.ts";
import { createOpenchargeAccess } from "../../../src/opencharge/services/access.ts";
import { createDirectory } from "../../../src/opencharge/services/directory.ts";
import { createLocalIdentitySource } from "../../../src/opencharge/services/identity.ts";
import { createNetworkLimits } from "../../../src/opencharge/services/limits.ts";
import { checkAccepts, checkMerchant, checkRecipient } from "../../../src/opencharge/wire/audience.ts";
import { isRefusal } from "../../../src/opencharge/wire/errors.ts";
import {
  readCheckoutCreate,
  readEnvelope,
  readJsonBody,
  readOrderCreate,
} from "../../../src/opencharge/wire/readers.ts";
import { createOutbound } from "../../../src/outbound.ts";
import { realWorld } from "../../../src/world.ts";
import { testConfig } from "../server.ts";
import { silent, tempDatabase } from "../temp-database.ts";
import { shopSettings } from "./shop.ts";
import { type Fields, type Json, publicKeyOf, sha256, sign } from "./spelling.ts";
import { checkoutOrder, orderRequest, webhookProof } from "./vectors.ts";

const now = 1706313700_000;
const n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
/** Longer than any memory of how often somebody asked: each mutation is the first of its minute. */
const between_ms = 61_000;

interface Sent {
  headers: [string, string][];
  method: string;
  target: string;
  body: string;
}

/** Who receives: which OCID is its own, and the path of its endpoint as others sign it; requests come in at `/opencharge`. */
interface Recipient {
  ocid: number;
  base_path: string;
}

interface Signed extends Sent {
  text: string;
  signature: string;
}

type Chance = (below: number) => number;

/** Numbers from a seed (mulberry32). */
function chanceOf(seed: number): Chance {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const pick = <T>(list: readonly T[], chance: Chance): T => list[chance(list.length)] as T;

const secrets = new Map([200, 300, 999].map((ocid) => [ocid, sha256(`a secret of ${ocid}`)]));
const recipients: readonly Recipient[] = [
  { ocid: 500, base_path: "/opencharge" },
  { ocid: 700, base_path: "/opencharge" },
  { ocid: 700, base_path: "/behind/a/proxy/opencharge" },
];

function signed(ocid: number, method: string, path: string, body: Json, nonce: string, signed_path = path): Signed {
  const text = body === null ? "" : JSON.stringify(body);
  const timestamp = "1706313600";
  const lines = [String(ocid), timestamp, nonce, method, signed_path, sha256(text)].join("\n");
  const signature = sign(lines, secrets.get(ocid) ?? "");
  const headers: [string, string][] = [
    ["X-OC-ID", String(ocid)],
    ["X-OC-Timestamp", timestamp],
    ["X-OC-Nonce", nonce],
    ["X-OC-Signature", signature],
  ];
  return { headers, method, target: path, body: text, text: lines, signature: signature.slice(0, 128) };
}

const urls = { success: "https://m.example/ok", cancel: "https://m.example/no" };
const checkout = (order: Fields): Fields => ({ order, signature: "s", merchantOcid: 500, urls });
const bodies: [path: string, body: Json][] = [
  ["/orders/create", orderRequest],
  ["/orders/create", { ...orderRequest, ocid: 700 }],
  ["/transfer/webhook", { proof: webhookProof, signature: "s" }],
  ["/transfer/webhook", { proof: { ...webhookProof, to: { ocid: 700 } }, signature: "s" }],
  ["/checkout/create", checkout({ ...checkoutOrder, accepts: [500] })],
  ["/checkout/create", checkout({ ...checkoutOrder, accepts: [100, 300] })],
  ["/checkout/create", checkout({ ...checkoutOrder, accepts: [700] })],
];
const originals: Signed[] = [...secrets.keys()].flatMap((ocid) => [
  ...bodies.flatMap(([path, body], i) => [
    signed(ocid, "POST", `/opencharge${path}`, body, `req_${ocid}_${i}`),
    signed(ocid, "POST", `/opencharge${path}`, body, `rel_${ocid}_${i}`, path),
  ]),
  signed(ocid, "GET", "/opencharge/capabilities", null, `get_${ocid}`),
  signed(ocid, "GET", "/opencharge/capabilities?for=1", null, `query_${ocid}`),
]);

const header = (sent: Sent, name: string) => sent.headers.find(([key]) => key === name)?.[1] ?? "";
const withHeader = (sent: Sent, name: string, value: string): Sent => ({
  ...sent,
  headers: sent.headers.map(([key, old]) => [key, key === name ? value : old]),
});
const splice = (text: string, at: number, remove: number, insert: string) =>
  text.slice(0, at) + insert + text.slice(at + remove);

/** One change somewhere in a text. */
function scratch(text: string, chance: Chance): string {
  const at = chance(text.length + 1);
  const letter = String.fromCharCode(0x20 + chance(0x5f));
  return pick(
    [() => splice(text, at, 1, letter), () => splice(text, at, 0, letter), () => splice(text, at, 1, "")],
    chance,
  )();
}

const scratchHeader = (name: string) => (sent: Sent, chance: Chance) =>
  withHeader(sent, name, scratch(header(sent, name), chance));

type Mutation = (sent: Sent, chance: Chance) => Sent;
const mutationKinds: Mutation[] = [
  (sent, chance) => ({ ...sent, body: scratch(sent.body, chance) }),
  (sent, chance) => ({ ...sent, body: pick(originals, chance).body }),
  (sent) => ({ ...sent, body: sent.body.replace('"15.00"', '"0.01"') }),
  (sent) => ({ ...sent, body: sent.body.replace("500", "700") }),
  (sent) => ({ ...sent, body: sent.body.replace("{", '{"ocid":500,') }),
  (sent, chance) => ({ ...sent, body: pick(["", "{}", "null", `${sent.body}\n`, ` ${sent.body}`], chance) }),
  (sent) => ({ ...sent, body: sent.body.replaceAll(":", ": ").replaceAll(",", ", ") }),
  (sent, chance) => ({ ...sent, target: scratch(sent.target, chance) }),
  (sent, chance) => ({ ...sent, target: pick(originals, chance).target }),
  (sent) => ({ ...sent, target: sent.target.replace("/opencharge", "") }),
  (sent) => ({ ...sent, target: `/opencharge${sent.target}` }),
  (sent, chance) => ({ ...sent, target: sent.target + pick(["/", "?", "?x=1", "&x=1", "%20", ";x", "//"], chance) }),
  (sent) => ({ ...sent, target: sent.target.replace("create", "%63reate") }),
  (sent, chance) => ({ ...sent, method: pick(["GET", "POST", "PUT", "post", "HEAD", "POST "], chance) }),
  scratchHeader("X-OC-ID"),
  scratchHeader("X-OC-Timestamp"),
  scratchHeader("X-OC-Nonce"),
  scratchHeader("X-OC-Signature"),
  (sent, chance) => withHeader(sent, "X-OC-ID", String(pick([200, 300, 999, 500, 0], chance))),
  (sent, chance) => {
    const [name, value] = pick(pick(originals, chance).headers, chance);
    return withHeader(sent, name, value);
  },
  (sent, chance) => ({ ...sent, headers: pick(originals, chance).headers }),
  (sent, chance) => withHeader(sent, "X-OC-Timestamp", String(1706313700 + pick([-301, -300, 300, 301, 9999], chance))),
  (sent) => withHeader(sent, "X-OC-Nonce", `${header(sent, "X-OC-Nonce")}\nPOST`),
  (sent, chance) => ({ ...sent, headers: sent.headers.toSpliced(chance(4), 1) }),
  (sent, chance) => ({ ...sent, headers: [...sent.headers, ...sent.headers.slice(chance(4)).slice(0, 1)] }),
  (sent) => {
    const signature = header(sent, "X-OC-Signature");
    const digits = signature.slice(64, 128);
    if (!/^[\da-f]{64}$/.test(digits)) return sent;
    const s = (n - (BigInt(`0x${digits}`) % n)).toString(16).padStart(64, "0");
    return withHeader(sent, "X-OC-Signature", `${signature.slice(0, 64)}${s}1b`);
  },
  (sent) => {
    const signature = header(sent, "X-OC-Signature");
    return withHeader(sent, "X-OC-Signature", signature.slice(64, 128) + signature.slice(0, 64));
  },
  // Other spellings of the same signature: these may pass.
  (sent) => withHeader(sent, "X-OC-Signature", header(sent, "X-OC-Signature").slice(0, 128)),
  (sent) => withHeader(sent, "X-OC-Signature", `0x${header(sent, "X-OC-Signature").toUpperCase()}`),
];

/** A server as far as it judges callers, over a real database and the keys its operator wrote down. */
function createJudge(recipient: Recipient) {
  let elapsed = 0;
  const world = { ...realWorld(), now: () => now, elapsed: () => elapsed };
  const temp = tempDatabase({ world });
  const { database } = temp;
  const pinned = [...secrets].map(([ocid, secret]) => {
    return { ocid, metadata_url: null, public_key: publicKeyOf(secret), endpoint: null };
  });
  const { ocid, base_path } = recipient;
  const settings = shopSettings({ merchant_ocid: ocid, endpoint: `https://pay.example${base_path}`, pinned });
  const config = liveConfig({ ...testConfig(), opencharge: settings });
  const identities = createLocalIdentitySource({ config });
  const outbound = createOutbound({ world });
  const directory = createDirectory({ config, outbound, world, telemetry: silent, identities });
  const limits = createNetworkLimits({ world });
  const access = createOpenchargeAccess({ database, directory, world, telemetry: silent, limits });
  const raw = new Sqlite(temp.path);
  raw.run("PRAGMA synchronous = OFF");
  return {
    recipient,
    /** `accepted`, or the code it was refused with. */
    async judge(sent: Sent): Promise<string> {
      elapsed += between_ms;
      const path = sent.target.replace(/[?#].*$/s, "");
      const identity = identities.current()?.at(path) ?? null;
      if (identity === null) return "no path of the network's";
      const body = new TextEncoder().encode(sent.body);
      const { method, target, headers } = sent;
      const caller = await access.authenticate(identity, { method, target, body, headers, from: "198.51.100.1" });
      if (isRefusal(caller)) return caller.refused;
      // Spent by now; the next mutation of the same request is to be judged by its signature, not by that.
      raw.run("DELETE FROM oc_nonces");
      return isMeantFor(path.slice(identity.path.length), body, caller.ocid, new Set([ocid]))
        ? "accepted"
        : "meant for another";
    },
    async close() {
      raw.close();
      await temp.close();
    },
  };
}

function isMeantFor(path: string, body: Uint8Array, sender: number, ours: ReadonlySet<number>): boolean {
  if (path.startsWith("/capabilities")) return true;
  const json = readJsonBody(body);
  if (isRefusal(json)) return false;
  if (path === "/orders/create") {
    const read = readOrderCreate(json);
    return !isRefusal(read) && checkMerchant("ocid", read.ocid, ours) === null;
  }
  if (path === "/transfer/webhook") {
    const read = readEnvelope(json);
    return !isRefusal(read) && checkRecipient(read.proof, ours) === null;
  }
  if (path !== "/checkout/create") return false;
  const read = readCheckoutCreate(json);
  return !isRefusal(read) && checkAccepts(read.order.accepts ?? [], ours, sender) === null;
}

/** What may be accepted, told without our code: the lines signed by this sender, this body, this recipient. */
export function isJust(sent: Sent, { ocid, base_path }: Recipient): boolean {
  const [id, timestamp, nonce, signature] = ["ID", "Timestamp", "Nonce", "Signature"].map((name) =>
    header(sent, `X-OC-${name}`),
  );
  if (sent.headers.length !== 4 || !sent.target.startsWith("/opencharge/")) return false;
  const below = sent.target.slice("/opencharge".length);
  const original = originals.find(({ text, signature: own }) => {
    const [signed_id, signed_time, signed_nonce, method, path = "", hash] = text.split("\n");
    return (
      [signed_id, signed_time, signed_nonce].join() === [id, timestamp, nonce].join() &&
      sent.method.toUpperCase() === method &&
      (base_path + below === path || below === path) &&
      (sha256(sent.body) === hash || (method === "GET" && sent.body === "" && hash === sha256("{}"))) &&
      signature?.toLowerCase().replace("0x", "").slice(0, 128) === own
    );
  });
  if (original === undefined) return false;
  if (sent.body === "") return true;
  const body = JSON.parse(sent.body) as {
    ocid?: number;
    proof?: { to: { ocid: number } };
    order?: { accepts: number[] };
  };
  const named = body.proof?.to.ocid ?? body.ocid;
  if (body.order === undefined) return named === ocid;
  return body.order.accepts.some((one) => one === ocid || one === Number(id));
}

export interface Share {
  seed: number;
  count: number;
}

/** What came of a share: how many ended how, and the first that was accepted and should not have been. */
export interface Findings {
  ends: Record<string, number>;
  wrong: string | null;
}

/** The originals, unchanged, at every recipient: whether each ended as it should. */
export async function judgeOriginals(): Promise<{ accepted: number; wrong: Sent[] }> {
  const wrong: Sent[] = [];
  let accepted = 0;
  for (const recipient of recipients) {
    const judge = createJudge(recipient);
    for (const original of originals) {
      const is_accepted = (await judge.judge(original)) === "accepted";
      if (is_accepted) accepted++;
      if (is_accepted !== isJust(original, recipient)) wrong.push(original);
    }
    await judge.close();
  }
  return { accepted, wrong };
}

/** Judges `count` mutations made from a seed. */
export async function judgeMutations({ seed, count }: Share): Promise<Findings> {
  const chance = chanceOf(seed);
  const judges = recipients.map(createJudge);
  const ends: Record<string, number> = {};
  let wrong: string | null = null;
  for (let i = 0; i < count && wrong === null; i++) {
    let sent: Sent = pick(originals, chance);
    for (let left = 1 + chance(3); left > 0; left--) sent = pick(mutationKinds, chance)(sent, chance);
    const { judge, recipient } = pick(judges, chance);
    const end = await judge(sent);
    ends[end] = (ends[end] ?? 0) + 1;
    if (end === "accepted" && !isJust(sent, recipient))
      wrong = `mutation ${i} of seed ${seed}: ${JSON.stringify(sent)}`;
  }
  for (const judge of judges) await judge.close();
  return { ends, wrong };
}

if (import.meta.main) {
  const [seed = 1, count = 1] = process.argv.slice(2).map(Number);
  process.stdout.write(JSON.stringify(await judgeMutations({ seed, count })));
}
