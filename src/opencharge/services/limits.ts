// How often one address, and one identity, may ask something of us over the network. A forged request counts against
// the address it came from, never against the identity it names; what is remembered is bounded, and forgotten oldest first.

import { addressGroup } from "../../domain/network.ts";
import { createWindowCounter } from "../../limits/window-counter.ts";
import type { World } from "../../world.ts";
import type { KeptProofs } from "../storage/payments.ts";
import { type NetworkRefusal, networkRefusal } from "../wire/errors.ts";

const window_ms = 60_000;
/** In a window: requests of one address that nobody signed. A page in a payer's hand asks twelve times. */
const open_max = 1200;
/** Signed requests that were refused, of one address in the name of one OCID: a broken or a lying client. */
const refused_max = 60;
/** The same for one address in whosever name: each costs up to two looks at the curve. */
const refused_in_all_max = 600;
/** Requests that one OCID signed and that were believed. */
const believed_max = 1200;
/** Of those, requests to create something that is kept: an order, a payment, a page, a proof. Repeats count too. */
const created_max = 120;
/** What is kept is about as long as the request: each begun piece of this length counts as one more. */
const created_piece_bytes = 16 * 1024;
/** What may be kept of the proofs of one issuer, in a day that begins with the first of them. */
const proofs_max_bytes = 16 * 1024 * 1024;
const proofs_window_ms = 86_400_000;
/** Look-ups of OCIDs nobody asked about lately that one address may cause. */
const lookups_max = 30;
/** Addresses or identities remembered per kind. */
const remembered_max = 10_000;

export interface NetworkLimits {
  /** Counts an unsigned request. Refusal: RATE_LIMITED. */
  open(address: string): NetworkRefusal | null;
  /**
   * Whether a request of an address in the name of an OCID is worth a look: neither is at its end. Counts nothing, so
   * that nobody can use up what is another's. Refusal: RATE_LIMITED.
   */
  present(address: string, ocid: number): NetworkRefusal | null;
  /** Counts a request in the name of an OCID that was not believed; null for a name that could not be read. */
  refused(address: string, ocid: number | null): void;
  /** Counts a request that was believed. Refusal: RATE_LIMITED. */
  believed(ocid: number): NetworkRefusal | null;
  /** Counts a request that was believed and asks for something of its length to be created. Refusal: RATE_LIMITED. */
  created(ocid: number, bytes: number): NetworkRefusal | null;
  /**
   * Whether another proof of this issuer may be kept. Counts nothing but what `keptSince` (ms) says of an issuer that is
   * not remembered, as after a restart. Refusal: RATE_LIMITED.
   */
  proofRoom(issuer: number, keptSince: (since: number) => KeptProofs): NetworkRefusal | null;
  /** Counts the bytes of a proof that was kept. */
  proofKept(issuer: number, bytes: number): void;
  /** Counts a look-up. Refusal: RATE_LIMITED. */
  lookUp(address: string): NetworkRefusal | null;
}

/** The limits by this world's monotonic clock. */
export function createNetworkLimits({ world }: { world: World }): NetworkLimits {
  const counter = (max: number) => createWindowCounter({ world, max, window_ms, remembered_max });
  const [opened, refused, refused_in_all] = [counter(open_max), counter(refused_max), counter(refused_in_all_max)];
  const [believed, created, lookups] = [counter(believed_max), counter(created_max), counter(lookups_max)];
  const proofs = createWindowCounter({ world, max: proofs_max_bytes, window_ms: proofs_window_ms, remembered_max });
  const limited = (waits: readonly number[]): NetworkRefusal | null => {
    const wait_ms = Math.max(...waits);
    return wait_ms <= 0
      ? null
      : { ...networkRefusal("RATE_LIMITED"), retry_after_s: Math.max(1, Math.ceil(wait_ms / 1000)) };
  };
  return {
    open: (address) => limited([opened.take(addressGroup(address))]),
    present(address, ocid) {
      const group = addressGroup(address);
      return limited([refused_in_all.wait(group), refused.wait(`${group} ${ocid}`), believed.wait(String(ocid))]);
    },
    refused(address, ocid) {
      const group = addressGroup(address);
      refused_in_all.take(group);
      if (ocid !== null) refused.take(`${group} ${ocid}`);
    },
    believed: (ocid) => limited([believed.take(String(ocid))]),
    created: (ocid, bytes) =>
      limited([created.take(String(ocid), Math.max(1, Math.ceil(bytes / created_piece_bytes)))]),
    proofRoom(issuer, keptSince) {
      const name = String(issuer);
      if (!proofs.isKnown(name)) {
        const now = world.now();
        const { bytes, oldest } = keptSince(now - proofs_window_ms);
        proofs.take(name, bytes, oldest === null ? 0 : now - oldest);
      }
      return limited([proofs.wait(name)]);
    },
    proofKept: (issuer, bytes) => void proofs.take(String(issuer), bytes),
    lookUp: (address) => limited([lookups.take(addressGroup(address))]),
  };
}
