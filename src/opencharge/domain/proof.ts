// What became of a proof of payment that verified, for people and programs.

/** Every outcome there is. */
export const proofOutcomes = ["paid", "duplicate", "unmatched"] as const;
export type ProofOutcome = (typeof proofOutcomes)[number];

/** The outcome in words; `was_payment`: it came for a payment of ours that it did not settle. */
export function proofWords(outcome: ProofOutcome, was_payment: boolean): string {
  if (was_payment) return "the payment had expired or was settled before";
  if (outcome === "paid") return "it paid the order";
  return outcome === "duplicate" ? "the order was paid or cancelled before" : "no order has this reference";
}
