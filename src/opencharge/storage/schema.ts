// The tables of the Opencharge network, as `schema.ts` has the others.

import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core";
import { proofOutcomes } from "../domain/proof.ts";

export const ocSessions = sqliteTable("oc_sessions", {
  id: text().primaryKey(),
  order_id: text().notNull(),
  txid: text().notNull(),
  caller: integer().notNull(),
  merchant: integer().notNull(),
  merchant_name: text().notNull(),
  merchant_order: text().notNull(),
  signed_order: text().notNull(),
  signature: text().notNull(),
  currency: text().notNull(),
  notify: text().notNull(),
  created_at: integer().notNull(),
  paid_at: integer(),
  proof: text(),
  form: text({ enum: ["recursive", "top_level", "shallow"] }).notNull(),
  gateway: integer(),
});

export const ocPayments = sqliteTable("oc_payments", {
  txid: text().primaryKey(),
  caller: integer().notNull(),
  merchant: integer().notNull(),
  reference: text(),
  amount: text().notNull(),
  currency: text().notNull(),
  created_at: integer().notNull(),
  expires_at: integer().notNull(),
  settled_issuer: integer(),
  settled_txid: text(),
  settled_by: text(),
  proof: text(),
});

export const ocNonces = sqliteTable("oc_nonces", {
  ocid: integer().notNull(),
  nonce: text().notNull(),
  expires_at: integer().notNull(),
});

export const ocOrders = sqliteTable("oc_orders", {
  id: text().primaryKey(),
  order_id: text().notNull(),
  caller: integer().notNull(),
  request_hash: text().notNull(),
  reference: text(),
  amount: text().notNull(),
  currency: text().notNull(),
  accepts: text({ mode: "json" }).$type<readonly number[]>().notNull(),
  created_s: integer().notNull(),
  expires_s: integer().notNull(),
  object: text().notNull(),
  signature: text().notNull(),
});

export const ocProofs = sqliteTable("oc_proofs", {
  issuer: integer().notNull(),
  txid: text().notNull(),
  proof_hash: text().notNull(),
  outcome: text({ enum: proofOutcomes }).notNull(),
  oc_order: text(),
  sender: integer().notNull(),
  form: text({ enum: ["recursive", "top_level", "shallow"] }).notNull(),
  public_key: text().notNull(),
  object: text().notNull(),
  signature: text().notNull(),
  proved_s: integer().notNull(),
  received_at: integer().notNull(),
  oc_payment: text(),
});
