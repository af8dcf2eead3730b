// Generated mutations of signed requests: whatever is accepted was signed for exactly these bytes by exactly this
// sender, and its body names this recipient. A failing seed prints the request that got through.

import { describe, expect, test } from "bun:test";
import { checkAccepts, checkMerchant, checkRecipient } from "../src/wire/opencharge/audience.ts";
import { isRefusal } from "../src/wire/opencharge/errors.ts";
import { parseSignature } from "../src/wire/opencharge/keys.ts";
import { readCheckoutCreate, readEnvelope, readJsonBody, readOrderCreate } from "../src/wire/opencharge/readers.ts";
import { readRequestAuth, requestTexts, staleness, verifyRequest } from "../src/wire/opencharge/request-auth.ts";
import { type Fields, type Json, newSecret, publicKeyOf, sha256, sign } from "./support/opencharge/spelling.ts";
import { checkoutOrder, orderRequest, webhookProof } from "./support/opencharge/vectors.ts";

const mutations = 100_000;
/** Mutations that also go through the curve; the rest are judged by the texts and signatures that would. */
const on_the_curve = Number(process.env.OCRCH_CURVE_MUTATIONS ?? 4_000);
const seed = Number(process.env.OCRCH_SEED ?? 20260131);
const now = 1706313700_000;
const n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

interface Sent {
  headers: [string, string][];
  method: string;
  target: string;
  body: string;
}

/** Who receives: which OCIDs are its own, and under which path it listens. */
interface Recipient {
  ours: ReadonlySet<number>;
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

const secrets = new Map([200, 300, 999].map((ocid) => [ocid, newSecret()]));
const publicKeys = new Map([...secrets].map(([ocid, secret]) => [ocid, publicKeyOf(secret)]));
const here: Recipient = { ours: new Set([500]), base_path: "/opencharge" };
const elsewhere: Recipient = { ours: new Set([700]), base_path: "/opencharge" };
const rootless: Recipient = { ours: new Set([700]), base_path: "" };

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

/** The checks of a server between the raw request and its first look at its own data. `curve`: with the real signature check. */
function isAccepted(sent: Sent, { ours, base_path }: Recipient, curve: boolean): boolean {
  const auth = readRequestAuth(sent.headers);
  if (isRefusal(auth) || staleness(auth.timestamp, now) !== null) return false;
  const key = publicKeys.get(auth.ocid);
  if (key === undefined) return false;
  const body = new TextEncoder().encode(sent.body);
  const request = { method: sent.method, target: sent.target, body };
  const tolerance = { base_path, accept_relative_path: true, accept_der: false };
  if (curve) {
    if (verifyRequest(auth, request, [key], tolerance) === null) return false;
  } else {
    const signature = parseSignature(auth.signature);
    const texts = requestTexts(auth, request, tolerance).map(({ text }) => text);
    if (!originals.some((original) => texts.includes(original.text) && original.signature === signature)) return false;
  }
  const path = sent.target.startsWith(`${base_path}/`) ? sent.target.slice(base_path.length) : sent.target;
  return isMeantFor(path, body, auth.ocid, ours);
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
  return !isRefusal(read) && checkAccepts(read.order, [], ours, sender) === null;
}

/** What may be accepted, told without our code: the lines signed by this sender, this body, this recipient. */
function isJust(sent: Sent, { ours, base_path }: Recipient): boolean {
  const [id, timestamp, nonce, signature] = ["ID", "Timestamp", "Nonce", "Signature"].map((name) =>
    header(sent, `X-OC-${name}`),
  );
  if (sent.headers.length !== 4) return false;
  const original = originals.find(({ text, signature: own }) => {
    const [signed_id, signed_time, signed_nonce, method, path = "", hash] = text.split("\n");
    return (
      [signed_id, signed_time, signed_nonce].join() === [id, timestamp, nonce].join() &&
      sent.method.toUpperCase() === method &&
      (sent.target === path || sent.target === base_path + path) &&
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
  if (body.order === undefined) return ours.has(Number(named));
  return body.order.accepts.some((ocid) => ours.has(ocid) || ocid === Number(id));
}

describe(`mutations of signed requests (seed ${seed})`, () => {
  test("the originals are accepted here when they are meant for here, and elsewhere when for there", () => {
    let accepted = 0;
    for (const original of originals) {
      for (const recipient of [here, elsewhere]) {
        expect(isAccepted(original, recipient, true)).toBe(isJust(original, recipient));
        if (isAccepted(original, recipient, false)) accepted++;
      }
    }
    // Six bodies per sender have one recipient, the one that trusts its caller 300 has two, a body-less call names none.
    expect(accepted).toBe(3 * 12 + 4 + 2 * 6);
  });

  test(`of ${mutations} none is accepted that was not signed for exactly this`, () => {
    const chance = chanceOf(seed);
    const every = Math.max(1, Math.floor(mutations / on_the_curve));
    let accepted = 0;
    for (let i = 0; i < mutations; i++) {
      let sent: Sent = pick(originals, chance);
      for (let left = 1 + chance(3); left > 0; left--) sent = pick(mutationKinds, chance)(sent, chance);
      const recipient = pick([here, here, elsewhere, rootless], chance);
      const curve = i % every === 0;
      const verdict = isAccepted(sent, recipient, curve);
      if (!verdict) continue;
      accepted++;
      if (!isJust(sent, recipient)) throw new Error(`mutation ${i} got through: ${JSON.stringify(sent)}`);
    }
    // Some mutations change nothing that counts: were none accepted, the test would prove nothing.
    expect(accepted).toBeGreaterThan(mutations / 100);
    expect(accepted).toBeLessThan(mutations / 4);
  }, 300_000);
});
