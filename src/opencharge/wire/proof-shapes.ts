// Proofs of payment as the Admin API and `ocrch opencharge proofs` show them, and the schema of that.

import { z } from "zod";
import { integer, seconds, secondsOf, uuid } from "../../wire/values.ts";
import { type ProofOutcome, proofOutcomes, proofWords } from "../domain/proof.ts";

export const proofOutcome = z.enum(proofOutcomes).meta({ id: "ProofOutcome" });

export const adminProofSchema = z
  .object({
    issuer: integer.meta({ description: "OCID." }),
    txid: z.string(),
    outcome: proofOutcome,
    reason_text: z.string(),
    order_id: uuid.nullable().meta({ description: "The order it means." }),
    network_id: z.string().nullable().meta({ description: "The id that order was signed under." }),
    payment: z.string().nullable().meta({ description: "The payment it came for without settling it." }),
    reference: z.string().nullable(),
    amount: z.string(),
    currency: z.string(),
    sender: integer.meta({ description: "OCID of whoever brought it." }),
    proved_at: seconds.meta({ description: "By its issuer's word." }),
    received_at: seconds,
  })
  .meta({ id: "AdminProof", description: "A proof of payment of the Opencharge network that verified." });

export interface AdminProofInput {
  issuer: number;
  txid: string;
  outcome: ProofOutcome;
  order_id: string | null;
  network_id: string | null;
  payment: string | null;
  reference: string | null;
  amount: string;
  currency: string;
  sender: number;
  /** Seconds. */
  proved_s: number;
  /** ms */
  received_at: number;
}

/** AdminProof. */
export function adminProofShape(proof: AdminProofInput): z.infer<typeof adminProofSchema> {
  const { issuer, txid, outcome, order_id, network_id, payment, reference, amount, currency, sender } = proof;
  return {
    ...{ issuer, txid, outcome, reason_text: proofWords(outcome, payment !== null) },
    ...{ order_id, network_id, payment, reference, amount, currency, sender },
    proved_at: proof.proved_s,
    received_at: secondsOf(proof.received_at),
  };
}
