// Rows of payments that a settlement provider's proof settles: created, settled once, never changed again.

import { eq, sql } from "drizzle-orm";
import { unionAll } from "drizzle-orm/sqlite-core";
import type { Reader, Tx } from "../../storage/engine/database.ts";
import { requireRow, statement } from "../../storage/engine/statement.ts";
import { ocPayments, ocProofs } from "./schema.ts";

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

/** What is kept of an issuer's proofs. */
export interface KeptProofs {
  bytes: number;
  /** When the first of them was received (ms); null where there is none. */
  oldest: number | null;
}

/** Proofs of an issuer that were received after `since` (ms), with those that settled a payment. */
export function keptProofs(at: Reader, issuer: number, since: number): KeptProofs {
  return requireRow(selectKept(at).get({ issuer, since }));
}

const selectKept = statement((db) => {
  const [issuer, since] = [sql.placeholder("issuer"), sql.placeholder("since")];
  // When a payment was settled stands in the proof issued for it, in seconds.
  const settled_at = sql<number>`1000 * (${ocPayments.proof} ->> '$.proof.timestamp')`;
  const received = db
    .select({
      length: sql<number>`octet_length(${ocProofs.object}) + octet_length(${ocProofs.signature})`.as("length"),
      at: sql<number>`${ocProofs.received_at}`.as("at"),
    })
    .from(ocProofs)
    // By time: an issuer may have sent many before.
    .where(sql`${ocProofs.received_at} > ${since} and +${ocProofs.issuer} = ${issuer}`);
  const settling = db
    .select({ length: sql<number>`octet_length(${ocPayments.settled_by})`.as("length"), at: settled_at.as("at") })
    .from(ocPayments)
    .where(
      sql`${ocPayments.settled_issuer} = ${issuer} and ${ocPayments.expires_at} > ${since} and ${settled_at} > ${since}`,
    );
  const kept = unionAll(received, settling).as("kept");
  return db
    .select({
      bytes: sql<number>`coalesce(sum(${kept.length}), 0)`,
      oldest: sql<number | null>`min(${kept.at})`,
    })
    .from(kept)
    .prepare();
});

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
