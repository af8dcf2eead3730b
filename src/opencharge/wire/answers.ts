// What we answer and what others answer us, as JSON. Renderings of plain values: nothing is decided here, and an
// answer of somebody else is believed only as far as its reader says.

import * as z from "zod";
import type { NetworkRefusal } from "./errors.ts";
import * as field from "./fields.ts";
import { withoutNulls } from "./orders.ts";
import { type Envelope, type ReturnUrls, readEnvelope } from "./readers.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "./strict-json.ts";

const message_max_chars = 2000;

/** A signed object as it is kept and sent: exactly what was signed. */
export interface SignedObject {
  object: JsonObject;
  signature: string;
}

/** `POST /orders/create`, `GET /orders/{id}`. */
export function signedOrderAnswer({ object, signature }: SignedObject, urls: ReturnUrls): JsonObject {
  const { order, completed, cancelled } = urls;
  return { order: object, signature, urls: withoutNulls({ order, completed, cancelled }) };
}

/** `POST /checkout/create`; `expires_at` in seconds. */
export function checkoutAnswer(session: { url: string; id: string; expires_at: number }): JsonObject {
  return { checkout_url: session.url, session_id: session.id, expires_at: session.expires_at };
}

/** `POST /orders/checkout`. */
export function redirectAnswer(url: string): JsonObject {
  return { redirect_url: url };
}

/** `GET /orders/{id}/status`; `paid` only once the order is, its time in seconds, with the proof's txid where one paid it. */
export function orderStatusAnswer(
  id: string,
  status: "pending" | "paid" | "expired" | "cancelled",
  paid: { at: number; txid: string | null } | null,
): JsonObject {
  return withoutNulls({ orderId: id, status, paidAt: paid?.at ?? null, txid: paid?.txid ?? null });
}

/** `GET /capabilities`. */
export function capabilitiesAnswer(identity: {
  ocid: number;
  name: string;
  capabilities: readonly string[];
  settlement: { currencies: readonly string[]; accepts: readonly number[] };
}): JsonObject {
  const { ocid, name, capabilities, settlement } = identity;
  return { ocid, name, capabilities, settlement: { currencies: settlement.currencies, accepts: settlement.accepts } };
}

/** `POST /transfer/webhook`. */
export function webhookAnswer(
  status: "accepted" | "rejected",
  txid: string,
  message: string | null = null,
): JsonObject {
  return withoutNulls({ status, txid, message });
}

/** A payment that waits for settlement; times in seconds. */
export interface PendingPayment {
  txid: string;
  amount: string;
  currency: string;
  created_at: number;
  expires_at: number;
}

/** `POST /payment/create`; `accepts` are the issuers whose proofs settle it. */
export function paymentCreatedAnswer(payment: PendingPayment, accepts: readonly number[]): JsonObject {
  const { txid, amount, currency, expires_at } = payment;
  return { status: "pending_settlement", txid, amount, currency, expiresAt: expires_at, settlement: { accepts } };
}

/** `POST /payment/settle`: the proof we issued for it. */
export function paymentSettledAnswer(txid: string, proof: SignedObject): JsonObject {
  return { status: "completed", txid, proof: proof.object, signature: proof.signature };
}

/** `GET /verify/{txid}` for what has a proof: the envelope, and the proof's fields once more beside it. */
export function verifyCompletedAnswer({ object, signature }: SignedObject): JsonObject {
  return { ...object, status: "completed", proof: object, signature };
}

/** `GET /verify/{txid}` for what has none yet, or will never have one. */
export function verifyPendingAnswer(payment: PendingPayment, is_expired: boolean): JsonObject {
  const { txid, amount, currency, created_at, expires_at } = payment;
  if (is_expired) return { status: "expired", txid };
  return { status: "pending", txid, amount, currency, createdAt: created_at, expiresAt: expires_at };
}

const webhookSchema = z.object({
  status: z.enum(["accepted", "rejected"]),
  message: field.optional(z.string().max(message_max_chars)).catch(null),
});

/** What a receiver said to a proof of ours; null when it is no such answer. */
export function readWebhookAnswer(json: JsonValue): { status: "accepted" | "rejected"; message: string | null } | null {
  return webhookSchema.safeParse(json).data ?? null;
}

/** What an issuer says of a transaction: its proof, or that there is none. Refusal: INVALID_PROOF. */
export function readVerifyAnswer(json: JsonValue): Envelope | "without_proof" | NetworkRefusal {
  if (!isJsonObject(json) || json.status !== "completed") return "without_proof";
  return readEnvelope(json);
}
