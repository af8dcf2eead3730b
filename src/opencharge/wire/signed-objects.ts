// Signatures over orders, proofs and onboarding challenges: which form a signature holds in and what that form leaves
// uncovered. Never trusts a shallow proof on its own word, because anybody can redirect one.

import { canonicalForms, canonicalIn, type Form } from "./canonical.ts";
import { parseSignature, type Signer, verifyText } from "./keys.ts";
import type { Proof } from "./orders.ts";
import type { JsonObject } from "./strict-json.ts";

/** Any other text could be an order, a proof or a request in disguise. */
const challenge_pattern = /^[\da-f]{64}$/;

export interface ObjectMatch {
  form: Form;
  public_key: string;
  /** shallow: only the object's own keys are covered, nothing inside its objects and arrays of objects. */
  coverage: "full" | "shallow";
}

/** The form and key under which `signature` (as received) covers an object; null for none. */
export function verifyObject(
  object: JsonObject,
  signature: string,
  keys: readonly string[],
  { accept_der = false }: { accept_der?: boolean } = {},
): ObjectMatch | null {
  const parsed = parseSignature(signature, accept_der);
  if (parsed === null) return null;
  for (const { form, text } of canonicalForms(object)) {
    const public_key = keys.find((key) => verifyText(text, parsed, key));
    if (public_key !== undefined) return { form, public_key, coverage: form === "shallow" ? "shallow" : "full" };
  }
  return null;
}

/** Signs an object as it will be sent; nothing may be added to it afterwards. */
export function signObject(signer: Signer, object: JsonObject, form: "recursive" | "shallow" = "recursive"): string {
  return signer.sign(canonicalIn(form, object));
}

/** How a proof reached us, as far as that is authenticated. */
export interface ProofChannel {
  /** OCID whose signature covers the whole request that carried the proof; null when no request did. */
  sender: number | null;
  /** The issuer's own `/verify` answered with exactly this proof. */
  confirmed_by_issuer: boolean;
}

/**
 * As `verifyObject`, for a proof and its fields as read from the same object. A shallow signature covers neither payer
 * nor payee nor order, so it counts only where the issuer itself vouches for those: as the sender of the request, or
 * on being asked.
 */
export function verifyProof(
  envelope: { proof: Proof; object: JsonObject; signature: string },
  keys: readonly string[],
  channel: ProofChannel,
): ObjectMatch | null {
  const match = verifyObject(envelope.object, envelope.signature, keys);
  if (match === null || match.coverage === "full") return match;
  return channel.sender === envelope.proof.issuer || channel.confirmed_by_issuer ? match : null;
}

/** Signs the challenge of a gateway that onboards us; null when it is not 64 lower-case hexadecimal digits. */
export function signChallenge(signer: Signer, challenge: string): string | null {
  return challenge_pattern.test(challenge) ? signer.sign(challenge) : null;
}
