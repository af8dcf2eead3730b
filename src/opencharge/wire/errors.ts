// The closed list of what can be refused in words of the network, and the one envelope it travels in. Refusals are
// values, not exceptions: whoever reads one decides what happens next.

import { isJsonObject, type JsonObject, type JsonValue } from "./strict-json.ts";

interface Row {
  status: number;
  /** The status where the fault lies in an object that a body carried instead of in the request or its address. */
  submitted?: number;
  text: string;
}

const unavailable_status = 503;

/** Code to HTTP status and standard words. The last three are ours: the network has no code for them. */
const rows = {
  INVALID_SIGNATURE: { status: 401, submitted: 400, text: "the signature does not verify" },
  TIMESTAMP_EXPIRED: { status: 401, text: "the timestamp is more than 300 seconds away" },
  NONCE_REUSED: { status: 401, text: "the nonce was used before" },
  UNKNOWN_OCID: { status: 401, text: "the OCID is not registered" },
  METADATA_UNAVAILABLE: { status: 502, text: "the metadata of the OCID cannot be read" },
  INVALID_PROOF: { status: 400, text: "the proof is not acceptable" },
  PROOF_SIGNATURE_INVALID: { status: 400, text: "the signature of the proof does not verify" },
  ISSUER_NOT_ACCEPTED: { status: 400, text: "proofs of this issuer are not accepted" },
  AMOUNT_MISMATCH: { status: 400, text: "the amount differs" },
  CURRENCY_MISMATCH: { status: 400, text: "the currency differs" },
  TXID_NOT_FOUND: { status: 404, text: "there is no such transaction" },
  TRANSACTION_EXPIRED: { status: 410, text: "the transaction has expired" },
  INSUFFICIENT_FUNDS: { status: 402, text: "the funds do not suffice" },
  CAPABILITY_NOT_SUPPORTED: { status: 400, text: "this operation is not offered" },
  RATE_LIMITED: { status: 429, text: "too many requests" },
  CONNECTION_REFUSED: { status: 403, text: "this OCID is not served" },
  ORDER_NOT_FOUND: { status: 404, submitted: 400, text: "there is no such order" },
  ORDER_EXPIRED: { status: 410, submitted: 400, text: "the order has expired" },
  SESSION_NOT_FOUND: { status: 404, text: "there is no such session" },
  SESSION_EXPIRED: { status: 404, text: "the session has expired" },
  SESSION_USED: { status: 410, text: "the session was used before" },
  ACCOUNT_NOT_FOUND: { status: 400, text: "there is no such account" },
  MERCHANT_NOT_REGISTERED: { status: 401, submitted: 400, text: "the merchant is not registered here" },
  PAYMENT_NOT_FOUND: { status: 404, text: "there is no such payment" },
  PAYMENT_EXPIRED: { status: 400, text: "the payment has expired" },
  SETTLEMENT_NOT_SUPPORTED: { status: 400, text: "this settlement is not supported" },
  INVALID_STATE: { status: 400, text: "the payment is not pending" },
  UNAUTHORIZED: { status: 401, submitted: 403, text: "not allowed" },
  INVALID_ITEM: { status: 400, text: "there is no such item" },
  INSUFFICIENT_STOCK: { status: 400, text: "the stock does not suffice" },
  VERIFICATION_ERROR: { status: 500, text: "the verification failed" },
  USER_NOT_FOUND: { status: 404, text: "there is no such user" },
  GRANT_NOT_AUTHORIZED: { status: 403, text: "the grant is not authorised" },
  INVALID_CALLBACK_URL: { status: 400, text: "the callback URL is not acceptable" },
  INVALID_REQUEST: { status: 400, text: "the request is not acceptable" },
  ORDER_CONFLICT: { status: 409, text: "the order id stands for another order" },
  INTERNAL_ERROR: { status: 500, text: "internal server error" },
} as const satisfies Record<string, Row>;

export type NetworkCode = keyof typeof rows;
export const networkCodes = Object.keys(rows) as NetworkCode[];

export interface NetworkRefusal {
  refused: NetworkCode;
  /** HTTP. */
  status: number;
  message: string;
  details: JsonObject | null;
  /** When to come back; null where that is no question of time. */
  retry_after_s: number | null;
}

interface Wording {
  message?: string;
  details?: JsonObject;
}

/** A refusal of the request itself, or of what its address names. */
export function networkRefusal(code: NetworkCode, { message, details }: Wording = {}): NetworkRefusal {
  const row: Row = rows[code];
  const words = { message: message ?? row.text, details: details ?? null };
  return { refused: code, status: row.status, ...words, retry_after_s: null };
}

/** 503 for what cannot be done now and may be done in so many seconds: senders try it again. */
export function refuseForNow(message: string, retry_after_s: number): NetworkRefusal {
  return { ...networkRefusal("INTERNAL_ERROR", { message }), status: unavailable_status, retry_after_s };
}

/** A refusal of an object that the body carried: some codes have another status there. */
export function refuseSubmitted(code: NetworkCode, wording: Wording = {}): NetworkRefusal {
  const row: Row = rows[code];
  return { ...networkRefusal(code, wording), status: row.submitted ?? row.status };
}

/** What is wrong with one field of a body; `path` as in `order.items[0].price`, empty for the body itself. */
export interface FieldIssue {
  path: string;
  message: string;
}

/** 400 with the fields at fault in `details.issues`. */
export function refuseFields(
  issues: readonly FieldIssue[],
  code: "INVALID_REQUEST" | "INVALID_PROOF" = "INVALID_REQUEST",
): NetworkRefusal {
  return networkRefusal(code, { details: { issues: issues.map(({ path, message }) => ({ path, message })) } });
}

/** Tells a refusal from what would have been there instead. */
export function isRefusal(value: unknown): value is NetworkRefusal {
  return typeof value === "object" && value !== null && "refused" in value;
}

/** The body of an error answer. */
export function errorEnvelope({ refused, message, details }: NetworkRefusal): JsonObject {
  return { error: details === null ? { code: refused, message } : { code: refused, message, details } };
}

/** Code and words of somebody's error answer; null when it is no envelope. A code may be any text. */
export function readErrorEnvelope(json: JsonValue): { code: string; message: string } | null {
  const error = isJsonObject(json) ? json.error : null;
  if (!isJsonObject(error) || typeof error.code !== "string") return null;
  return { code: error.code, message: typeof error.message === "string" ? error.message : "" };
}
