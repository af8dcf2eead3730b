// Proofs of payment as operators see them, with the order that each of them means.

import { desc, eq, sql } from "drizzle-orm";
import type { Reader } from "../../storage/engine/database.ts";
import type { ProofOutcome } from "../domain/proof.ts";
import { ocOrders, ocPayments, ocProofs } from "./schema.ts";

export interface ProofFilter {
  outcome?: ProofOutcome | undefined;
}

export interface ListedProof {
  issuer: number;
  txid: string;
  outcome: ProofOutcome;
  /** The order it means: our own id, and the one it was signed under. */
  order_id: string | null;
  network_id: string | null;
  /** Our transaction id of the payment it came for without settling it. */
  payment: string | null;
  /** As the proof states them. */
  reference: string | null;
  amount: string;
  currency: string;
  /** OCID of whoever brought it. */
  sender: number;
  /** Seconds, by the issuer's word. */
  proved_s: number;
  /** ms */
  received_at: number;
}

/** Newest first. */
export function listProofs(at: Reader, { outcome }: ProofFilter, limit: number, offset: number): ListedProof[] {
  return at
    .live()
    .select({
      issuer: ocProofs.issuer,
      txid: ocProofs.txid,
      outcome: ocProofs.outcome,
      order_id: ocOrders.order_id,
      network_id: ocOrders.id,
      payment: ocProofs.oc_payment,
      reference: sql<string | null>`${ocProofs.object} ->> '$.to.reference'`,
      amount: sql<string>`${ocProofs.object} ->> '$.amount'`,
      currency: sql<string>`${ocProofs.object} ->> '$.currency'`,
      sender: ocProofs.sender,
      proved_s: ocProofs.proved_s,
      received_at: ocProofs.received_at,
    })
    .from(ocProofs)
    .leftJoin(ocPayments, eq(ocPayments.txid, ocProofs.oc_payment))
    .leftJoin(ocOrders, sql`${ocOrders.id} = coalesce(${ocProofs.oc_order}, ${ocPayments.reference})`)
    .where(outcome === undefined ? undefined : eq(ocProofs.outcome, outcome))
    .orderBy(desc(ocProofs.received_at), desc(ocProofs.issuer), desc(ocProofs.txid))
    .limit(limit)
    .offset(offset)
    .all();
}
