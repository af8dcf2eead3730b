// How answers look: JSON, nothing, or a refusal in plain text; and the one table from error code to HTTP status. Never
// shows more of a failure than its words, and of an internal one not even those.

import { type Code, Fault, texts } from "../domain/errors.ts";

const internal_status = 500;
const unavailable_status = 503;
/** What a client reads while nothing can be written. */
export const unavailable_text = "temporarily unavailable";
const unavailable_retry_s = 5;

/** On every answer: nothing here is a page, and nothing is anybody else's to keep. */
const everywhere = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
} as const;

/** Codes that no client can cause are internal faults, whatever the log calls them. */
const statuses: Record<Code, number> = {
  internal: internal_status,
  not_found: 404,
  method_not_allowed: 405,
  invalid_request: 400,
  unreadable_body: 400,
  invalid_json_body: 400,
  unsupported_content_type: 415,
  too_many_requests: 429,
  missing_signature: 401,
  malformed_body_signature: 400,
  malformed_url_signature: 400,
  invalid_signature_encoding: 400,
  signature_mismatch: 401,
  signature_expired: 401,
  missing_signed_url: 400,
  origin_not_allowed: 403,
  missing_admin_secret: 401,
  invalid_admin_header: 400,
  invalid_admin_secret: 401,
  too_many_failed_attempts: 429,
  invalid_amount: 400,
  invalid_webhook_url: 400,
  invalid_sender: 400,
  idempotency_key_reused: 409,
  order_not_found: 404,
  order_not_pending: 409,
  invalid_blockchain: 400,
  no_wallet_available: 400,
  no_free_amount: 409,
  websocket_required: 426,
  not_looked_up: 409,
  resource_not_found: 404,
  transfer_matched: 409,
  transfer_not_confirmed: 409,
  transfer_reverted: 409,
  transfer_not_assigned: 409,
  order_paid_by_transfer: 409,
  transfer_not_in_inbox: 409,
  no_unknown_transfer_url: 409,
  usage: internal_status,
  invalid_config: internal_status,
  database_unusable: internal_status,
  database_busy: internal_status,
  database_failed: internal_status,
  database_full: unavailable_status,
  database_replaced: unavailable_status,
  database_in_use: internal_status,
  schema_version: internal_status,
  disk_unusable: internal_status,
  clock_wrong: internal_status,
  address_in_use: internal_status,
  target_refused: internal_status,
  outbound_timeout: internal_status,
  outbound_failed: internal_status,
  answer_too_large: internal_status,
  provider_unreachable: internal_status,
  provider_rate_limited: internal_status,
  provider_range_too_large: internal_status,
  provider_archive_only: internal_status,
  provider_malformed: internal_status,
  provider_lagging: internal_status,
  provider_refused: internal_status,
  provider_inconsistent: internal_status,
  provider_cannot_answer: internal_status,
  provider_disagrees: internal_status,
  second_opinion_missing: internal_status,
  wrong_chain_id: internal_status,
  wrong_token: internal_status,
  chain_rewritten_below_final: internal_status,
};

/** The HTTP status that answers a fault. */
export function statusOf(code: Code): number {
  return statuses[code];
}

const json_headers = new Headers({ ...everywhere, "content-type": "application/json" });
const text_headers = new Headers({ ...everywhere, "content-type": "text/plain; charset=utf-8" });

/** A JSON answer. */
export function json(status: number, value: unknown): Response {
  return jsonText(status, JSON.stringify(value));
}

/** A JSON answer whose text is there already. */
export function jsonText(status: number, text: string): Response {
  return whole(status, text, new Headers(json_headers));
}

/** An answer without a body. */
export function empty(status: number, headers: Record<string, string> = {}): Response {
  return new Response(null, { status, headers: { ...everywhere, ...headers } });
}

/** The answer to a refused request: the fault's words as plain text. An internal fault has only one text. */
export function refusal(fault: Fault, headers: Record<string, string> = {}): Response {
  const status = statuses[fault.code];
  const all = new Headers(text_headers);
  for (const [name, value] of Object.entries(headers)) all.set(name, value);
  const retry_after_s = fault.retry_after_s ?? (status === unavailable_status ? unavailable_retry_s : null);
  if (retry_after_s !== null) all.set("retry-after", String(retry_after_s));
  if (fault.code === "websocket_required") all.set("upgrade", "websocket");
  return whole(status, textFor(status, fault), all);
}

/** What is wrong with this machine is for its operator to read. */
function textFor(status: number, fault: Fault): string {
  if (status === internal_status) return texts.internal;
  return status === unavailable_status ? unavailable_text : fault.message;
}

/** The fault as a client may see it; null when it is ours, to be logged and answered as `internal`. */
export function expected(error: unknown): Fault | null {
  return error instanceof Fault && statuses[error.code] !== internal_status ? error : null;
}

/** The length is stated so that the answer to HEAD, which loses the body, still has it. Takes `headers` over. */
function whole(status: number, text: string, headers: Headers): Response {
  headers.set("content-length", String(Buffer.byteLength(text)));
  return new Response(text, { status, headers });
}
