// What the operator agreed with single participants: currencies that count as one, and to whom proofs are made out.
// Without an agreement the order's own words count.

import type { OpenchargeSettings } from "../config/settings.ts";

/** Whether a proof of an issuer in one currency pays what is priced in another. */
export function isSameCurrency({ partners }: OpenchargeSettings, issuer: number, one: string, other: string): boolean {
  if (one === other) return true;
  const agreed = partners.find(({ ocid }) => ocid === issuer)?.same_currencies ?? [];
  return agreed.includes(one) && agreed.includes(other);
}

/** Whom a proof names as paid, for a checkout that `caller` opened: the merchant, or the caller where that is agreed. */
export function recipientOf({ partners }: OpenchargeSettings, caller: number, merchant: number): number {
  return partners.find(({ ocid }) => ocid === caller)?.proof_recipient === "gateway" ? caller : merchant;
}
