// Participants of the Opencharge network that are told of payments: they take proofs and judge each at once, from the
// protocol alone.

import type { FetchInit } from "../../src/world.ts";
import { type Fields, isSignedBy, publicKeyOf, sha256, spell } from "../support/opencharge/spelling.ts";
import type { Random } from "./random.ts";
import { network } from "./settings.ts";
import type { Outcome } from "./world.ts";

/** One participant that is told of payments. */
export interface Party {
  host: string;
  address: string;
  mood: "healthy" | "failing" | "refusing" | "hanging";
  /** Proofs that reached it, by transaction id; the body, and whether it was answered with 2xx. */
  proofs: Map<string, { body: string; fields: Proof; accepted: boolean }>;
  handle(init: FetchInit, url: string): Outcome;
}

interface Proof {
  txid: string;
  issuer: number;
  to: { ocid: number; reference: string };
  amount: string;
  currency: string;
}

const latency_max_ms = 300;

const termsOf = ({ txid, issuer, to, amount, currency }: Proof) =>
  [txid, issuer, to.ocid, to.reference, amount, currency].join(" ");

/** A participant whose pages nobody sees: it takes proofs. */
export function createParty(needs: {
  host: string;
  address: string;
  ocid: number;
  random: Random;
  fail(words: string): void;
  count(kind: string): void;
  /** Whether a restore may have taken a proof: it is made again at another time, perhaps of another transfer. */
  isRestored(): boolean;
  /** Runs `act` after `ms`. */
  after(ms: number, act: () => void): void;
}): Party {
  const { host, ocid, random, fail, count, after } = needs;
  const proofs: Party["proofs"] = new Map();

  /** Null for what nobody may be sent. */
  function receive(init: FetchInit, url: string): string | null {
    const headers = new Headers(init.headers);
    const body = String(init.body);
    const named = ["id", "timestamp", "nonce"].map((name) => headers.get(`x-oc-${name}`) ?? "");
    const lines = [...named, "POST", new URL(url).pathname, sha256(body)].join("\n");
    const said = `${host} received ${body}`;
    if (!isSignedBy(lines, headers.get("x-oc-signature") ?? "", publicKeyOf(network.secret))) {
      fail(`${said} that its sender did not sign`);
    }
    const { proof, signature } = JSON.parse(body) as { proof: Fields; signature: string };
    if (!isSignedBy(spell(proof, "recursive"), signature, publicKeyOf(network.secret)))
      fail(`${said}, which is not proved`);
    const fields = proof as unknown as Proof;
    const known = proofs.get(fields.txid);
    const isSame =
      known === undefined || known.body === body || (needs.isRestored() && termsOf(known.fields) === termsOf(fields));
    if (!isSame) fail(`${said}, and before ${known.body}`);
    if (fields.issuer !== network.ocid || fields.to.ocid !== network.merchant.ocid)
      fail(`${said} from or for somebody else`);
    proofs.set(fields.txid, known ?? { body, fields, accepted: false });
    return fields.txid;
  }

  const party: Party = {
    host,
    address: needs.address,
    mood: "healthy",
    proofs,
    handle(init, url) {
      count(`party ${ocid} ${party.mood}`);
      const there_ms = random.between(1, latency_max_ms);
      const { mood } = party;
      if (mood === "refusing") return { after_ms: there_ms, fails: "ECONNREFUSED" };
      after(there_ms, () => {
        const txid = receive(init, url);
        const known = txid === null ? undefined : proofs.get(txid);
        if (known !== undefined && mood === "healthy") known.accepted = true;
      });
      const after_ms = there_ms + random.between(1, latency_max_ms);
      if (mood === "hanging") return { after_ms, hangs: true };
      const status = mood === "healthy" ? 200 : 503;
      return { after_ms, answer: () => new Response(JSON.stringify({ status: "accepted" }), { status }) };
    },
  };
  return party;
}
