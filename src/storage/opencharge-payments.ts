// Rows of payments that a settlement provider's proof settles: created, settled once, never changed again.

import { eq, sql } from "drizzle-orm";
import type { Reader, Tx } from "./database.ts";
import { ocPayments } from "./schema-opencharge.ts";
import { statement } from "./statement.ts";

export type PaymentRow = typeof ocPayments.$inferSelect;

export type NewPayment = Omit<PaymentRow, "created_at" | "settled_issuer" | "settled_txid" | "settled_by" | "proof">;

/** Inserts a pending payment. */
export function insertPayment(tx: Tx, payment: NewPayment): PaymentRow {
  const row = { ...payment, created_at: tx.now };
  insert(tx).run(row);
  return { ...row, settled_issuer: null, settled_txid: null, settled_by: null, proof: null };
}

const insert = statement((db) =>
  db
    .insert(ocPayments)
    .values({
      txid: sql.placeholder("txid"),
      caller: sql.placeholder("caller"),
      merchant: sql.placeholder("merchant"),
      reference: sql.placeholder("reference"),
      amount: sql.placeholder("amount"),
      currency: sql.placeholder("currency"),
      created_at: sql.placeholder("created_at"),
      expires_at: sql.placeholder("expires_at"),
    })
    .prepare(),
);

/** A payment by our transaction id, or null. */
export function paymentByTxid(at: Reader, txid: string): PaymentRow | null {
  return selectByTxid(at).get({ txid }) ?? null;
}

const selectByTxid = statement((db) =>
  db
    .select()
    .from(ocPayments)
    .where(eq(ocPayments.txid, sql.placeholder("txid")))
    .prepare(),
);

/** True when an issuer's transaction has settled a payment. */
export function isSpentOnPayment(at: Reader, issuer: number, issuer_txid: string): boolean {
  return selectSpent(at).get({ issuer, issuer_txid }) !== undefined;
}

const selectSpent = statement((db) =>
  db
    .select({ txid: ocPayments.txid })
    .from(ocPayments)
    .where(
      sql`${ocPayments.settled_issuer} = ${sql.placeholder("issuer")} and ${ocPayments.settled_txid} = ${sql.placeholder("issuer_txid")}`,
    )
    .prepare(),
);

/** Writes down what settled a payment and the proof issued for it. Throws for one that is settled, and for a spent proof. */
export function settlePayment(
  tx: Tx,
  txid: string,
  settled: { issuer: number; txid: string; envelope: string; proof: string },
): void {
  update(tx).run({ ...settled, issuer_txid: settled.txid, txid });
}

const update = statement((db) =>
  db
    .update(ocPayments)
    .set({
      settled_issuer: sql`${sql.placeholder("issuer")}`,
      settled_txid: sql`${sql.placeholder("issuer_txid")}`,
      settled_by: sql`${sql.placeholder("envelope")}`,
      proof: sql`${sql.placeholder("proof")}`,
    })
    .where(eq(ocPayments.txid, sql.placeholder("txid")))
    .prepare(),
);
