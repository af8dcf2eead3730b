// Orders and proofs of the network as values, and back to the objects that are signed. Objects are built with their
// inner keys sorted, so that a reader who sorts only the outermost ones gets the same bytes.

import * as z from "zod";
import * as field from "./fields.ts";
import type { JsonObject, JsonValue } from "./strict-json.ts";

export interface Order {
  id: string;
  /** The merchant. */
  ocid: number;
  amount: string;
  currency: string;
  /** Seconds. */
  created_at: number;
  reference: string | null;
  items: readonly field.Item[] | null;
  memo: string | null;
  /** Seconds. */
  expires_at: number | null;
  /** Whose proofs pay it; null: whoever the merchant's metadata names. */
  accepts: readonly number[] | null;
}

export interface Party {
  ocid: number;
  reference: string | null;
}

export interface Proof {
  txid: string;
  issuer: number;
  /** OCID 0: a payer without an identity. */
  from: Party;
  to: Party;
  amount: string;
  currency: string;
  /** Seconds. */
  timestamp: number;
  memo: string | null;
}

export const orderSchema = z
  .object({
    id: field.id,
    ocid: field.ocid,
    amount: field.amountText,
    currency: field.currency,
    createdAt: field.time,
    reference: field.optional(field.reference),
    items: field.optional(field.items),
    memo: field.optional(field.memo),
    expiresAt: field.optional(field.time),
    accepts: field.optional(field.ocids),
  })
  .transform(({ createdAt, expiresAt, ...rest }): Order => ({ ...rest, created_at: createdAt, expires_at: expiresAt }));

export const proofSchema = z.object({
  txid: field.id,
  issuer: field.ocid,
  from: z.object({ ocid: field.payerOcid, reference: field.optional(field.reference) }),
  to: z.object({ ocid: field.ocid, reference: field.optional(field.reference) }),
  amount: field.amountText,
  currency: field.currency,
  timestamp: field.time,
  memo: field.optional(field.memo),
});

/** The object to sign and send. */
export function orderObject(order: Order): JsonObject {
  return withoutNulls({
    id: order.id,
    ocid: order.ocid,
    reference: order.reference,
    amount: order.amount,
    currency: order.currency,
    items: order.items?.map(({ id, name, price, quantity }) => ({ id, name, price, quantity })) ?? null,
    memo: order.memo,
    createdAt: order.created_at,
    expiresAt: order.expires_at,
    accepts: order.accepts,
  });
}

/** The object to sign and send. */
export function proofObject(proof: Proof): JsonObject {
  const party = ({ ocid, reference }: Party) => withoutNulls({ ocid, reference });
  return withoutNulls({
    txid: proof.txid,
    issuer: proof.issuer,
    from: party(proof.from),
    to: party(proof.to),
    amount: proof.amount,
    currency: proof.currency,
    timestamp: proof.timestamp,
    memo: proof.memo,
  });
}

/** Without the fields that are null: an absent key is what others expect. */
export function withoutNulls(fields: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(fields).filter((entry): entry is [string, JsonValue] => entry[1] !== null));
}
