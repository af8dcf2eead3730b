// Rows of the network: nonces that were used, orders we signed as a merchant, proofs we were shown. What was signed is
// kept to the byte and never changes; the status of an order is the ledger's.

import { and, eq, gt, sql } from "drizzle-orm";
import type { Reader, Tx } from "../../storage/engine/database.ts";
import { statement } from "../../storage/engine/statement.ts";
import { ocNonces, ocOrders, ocProofs } from "./schema.ts";

/** More than one, so that what ran out is forgotten sooner than new nonces come. */
const forgotten_per_call_max = 100;

export type SignedOrderRow = typeof ocOrders.$inferSelect;
export type ProofRow = typeof ocProofs.$inferSelect;

const selectNonce = statement((db) =>
  db
    .select({ one: sql`1` })
    .from(ocNonces)
    .where(and(eq(ocNonces.ocid, sql.placeholder("ocid")), eq(ocNonces.nonce, sql.placeholder("nonce"))))
    .prepare(),
);

const insertNonce = statement((db) =>
  db
    .insert(ocNonces)
    .values({
      ocid: sql.placeholder("ocid"),
      nonce: sql.placeholder("nonce"),
      expires_at: sql.placeholder("expires_at"),
    })
    .onConflictDoNothing()
    .returning({ ocid: ocNonces.ocid })
    .prepare(),
);

const deleteNonces = statement((db) =>
  db
    .delete(ocNonces)
    .where(
      sql`(${ocNonces.ocid}, ${ocNonces.nonce}) in (select o.ocid, o.nonce from oc_nonces o where o.expires_at <= ${sql.placeholder("now")} limit ${forgotten_per_call_max})`,
    )
    .prepare(),
);

/** Whether a caller has used a nonce that is still remembered. */
export function isNonceUsed(at: Reader, ocid: number, nonce: string): boolean {
  return selectNonce(at).get({ ocid, nonce }) !== undefined;
}

/** Remembers a nonce for `memory_ms`; false when it was used before. Forgets some of those that ran out. */
export function spendNonce(tx: Tx, ocid: number, nonce: string, memory_ms: number): boolean {
  deleteNonces(tx).run({ now: tx.now });
  return insertNonce(tx).get({ ocid, nonce, expires_at: tx.now + memory_ms }) !== undefined;
}

const insertSigned = statement((db) =>
  db
    .insert(ocOrders)
    .values({
      id: sql.placeholder("id"),
      order_id: sql.placeholder("order_id"),
      caller: sql.placeholder("caller"),
      request_hash: sql.placeholder("request_hash"),
      reference: sql.placeholder("reference"),
      amount: sql.placeholder("amount"),
      currency: sql.placeholder("currency"),
      accepts: sql.placeholder("accepts"),
      created_s: sql.placeholder("created_s"),
      expires_s: sql.placeholder("expires_s"),
      object: sql.placeholder("object"),
      signature: sql.placeholder("signature"),
    })
    .prepare(),
);

const selectSigned = statement((db) =>
  db
    .select()
    .from(ocOrders)
    .where(eq(ocOrders.id, sql.placeholder("id")))
    .prepare(),
);

const selectByReference = statement((db) =>
  db
    .select()
    .from(ocOrders)
    .where(eq(ocOrders.reference, sql.placeholder("reference")))
    .limit(2)
    .prepare(),
);

/** Keeps an order we signed. Its order must exist. */
export function insertSignedOrder(tx: Tx, order: SignedOrderRow): void {
  insertSigned(tx).run({ ...order });
}

/** An order we signed, by the id the network knows it under. */
export function signedOrder(at: Reader, id: string): SignedOrderRow | null {
  return selectSigned(at).get({ id }) ?? null;
}

/** The one order with this reference; null for none and for several. */
export function signedOrderByReference(at: Reader, reference: string): SignedOrderRow | null {
  const [only, another] = selectByReference(at).all({ reference });
  return another === undefined ? (only ?? null) : null;
}

/** Whether an order that ends, or ended, after `since` (seconds) is known by this reference. */
export function isReference(at: Reader, reference: string, since: number): boolean {
  return selectReferred(at).get({ reference, since }) !== undefined;
}

const selectReferred = statement((db) =>
  db
    .select({ id: ocOrders.id })
    .from(ocOrders)
    .where(and(eq(ocOrders.reference, sql.placeholder("reference")), gt(ocOrders.expires_s, sql.placeholder("since"))))
    .limit(1)
    .prepare(),
);

const insertProofRow = statement((db) =>
  db
    .insert(ocProofs)
    .values({
      issuer: sql.placeholder("issuer"),
      txid: sql.placeholder("txid"),
      proof_hash: sql.placeholder("proof_hash"),
      outcome: sql`${sql.placeholder("outcome")}`,
      oc_order: sql.placeholder("oc_order"),
      oc_payment: sql.placeholder("oc_payment"),
      sender: sql.placeholder("sender"),
      form: sql`${sql.placeholder("form")}`,
      public_key: sql.placeholder("public_key"),
      object: sql.placeholder("object"),
      signature: sql.placeholder("signature"),
      proved_s: sql.placeholder("proved_s"),
      received_at: sql.placeholder("received_at"),
    })
    .prepare(),
);

const selectProof = statement((db) =>
  db
    .select()
    .from(ocProofs)
    .where(and(eq(ocProofs.issuer, sql.placeholder("issuer")), eq(ocProofs.txid, sql.placeholder("txid"))))
    .prepare(),
);

// Written out: a partial index is chosen when a statement is prepared, before its parameters are known.
const selectPaying = statement((db) =>
  db
    .select()
    .from(ocProofs)
    .where(and(eq(ocProofs.oc_order, sql.placeholder("oc_order")), sql`${ocProofs.outcome} = 'paid'`))
    .prepare(),
);

/** Keeps a proof that verified; issuer and txid together must be new. */
export function insertProof(tx: Tx, proof: Omit<ProofRow, "received_at">): void {
  insertProofRow(tx).run({ ...proof, received_at: tx.now });
}

/** The proof an issuer gave for one of its transactions. */
export function proofOf(at: Reader, issuer: number, txid: string): ProofRow | null {
  return selectProof(at).get({ issuer, txid }) ?? null;
}

/** The proof that paid an order. */
export function payingProof(at: Reader, oc_order: string): ProofRow | null {
  return selectPaying(at).get({ oc_order }) ?? null;
}
