// Whom a signed message is meant for. The six signed lines name no recipient, so a request can be carried to another
// server that listens on the same path; only what stands in its body binds it to us.

import { type NetworkRefusal, networkRefusal, refuseFields } from "./errors.ts";
import type { Proof } from "./orders.ts";

/** Null when the body names one of our OCIDs as the merchant; `path` is where it does. Refusal: INVALID_REQUEST. */
export function checkMerchant(path: "ocid" | "to", named: number, ours: ReadonlySet<number>): NetworkRefusal | null {
  return ours.has(named) ? null : refuseFields([{ path, message: "is not a merchant here" }]);
}

/**
 * Null when somebody the merchant trusts with its money (`accepts`) takes part: one of our gateways, or the caller whom
 * we report to (null: the caller does not count). Refusal: SETTLEMENT_NOT_SUPPORTED.
 */
export function checkAccepts(
  accepts: readonly number[],
  ours: ReadonlySet<number>,
  caller: number | null,
): NetworkRefusal | null {
  const is_ours = accepts.some((ocid) => ours.has(ocid));
  if (is_ours || (caller !== null && accepts.includes(caller))) return null;
  return networkRefusal("SETTLEMENT_NOT_SUPPORTED", { details: { accepts: [...accepts] } });
}

/** Null when the proof pays one of our OCIDs, or a merchant we serve as its gateway. Refusal: INVALID_PROOF. */
export function checkRecipient(proof: Proof, ours: ReadonlySet<number>): NetworkRefusal | null {
  if (ours.has(proof.to.ocid)) return null;
  return refuseFields([{ path: "proof.to.ocid", message: "is not ours" }], "INVALID_PROOF");
}
