// The closed list of errors that a client, an operator or a log may see: one row per code. A row holds the text, the
// HTTP status and the exit status.

interface ErrorRow {
  /** What a client reads (`contract/ocrch.md` sections 2 to 5 for those of the API). */
  text: string;
  /** None: no client can cause it, so it is answered as `internal` with 500. */
  http?: number;
  /** None: 1, for a command that was refused or failed. */
  exit?: number;
}

const rows = {
  // Any door
  internal: { text: "internal server error" },
  not_found: { text: "not found", http: 404 },
  method_not_allowed: { text: "method not allowed", http: 405 },
  invalid_request: { text: "invalid request", http: 400 },
  unreadable_body: { text: "failed to read request body", http: 400 },
  invalid_json_body: { text: "invalid JSON body", http: 400 },
  unsupported_content_type: { text: "unsupported content type", http: 415 },
  too_many_requests: { text: "too many requests", http: 429 },
  // Authentication
  missing_signature: { text: "missing Ocrch-Signature header", http: 401 },
  malformed_body_signature: { text: "invalid Ocrch-Signature header format", http: 400 },
  malformed_url_signature: { text: "invalid header format", http: 400 },
  invalid_signature_encoding: { text: "invalid signature encoding", http: 400 },
  signature_mismatch: { text: "signature verification failed", http: 401 },
  signature_expired: { text: "signature expired", http: 401 },
  missing_signed_url: { text: "missing Ocrch-Signed-Url header", http: 400 },
  origin_not_allowed: { text: "origin not allowed", http: 403 },
  missing_admin_secret: { text: "missing Ocrch-Admin-Authorization header", http: 401 },
  invalid_admin_header: { text: "invalid authorization header", http: 400 },
  invalid_admin_secret: { text: "invalid admin secret", http: 401 },
  too_many_failed_attempts: { text: "too many failed attempts", http: 429 },
  // Orders
  invalid_amount: { text: "invalid amount", http: 400 },
  invalid_webhook_url: { text: "invalid webhook_url", http: 400 },
  invalid_sender: { text: "invalid expecting_wallet_address", http: 400 },
  idempotency_key_reused: { text: "idempotency key reused with a different body", http: 409 },
  order_not_found: { text: "order not found", http: 404 },
  order_not_pending: { text: "order is not pending", http: 409 },
  invalid_blockchain: { text: "invalid blockchain selection", http: 400 },
  no_wallet_available: { text: "no wallet available for the selected chain and coin", http: 400 },
  no_free_amount: { text: "no free amount for the selected chain and coin", http: 409 },
  websocket_required: { text: "websocket upgrade required", http: 426 },
  not_looked_up: { text: "the chain could not be asked; try again later", http: 409 },
  // Operators
  resource_not_found: { text: "resource not found", http: 404 },
  transfer_matched: { text: "transfer is matched to an order", http: 409 },
  transfer_not_confirmed: { text: "transfer is not confirmed", http: 409 },
  transfer_reverted: { text: "transfer has left the chain", http: 409 },
  transfer_not_assigned: { text: "transfer pays no order", http: 409 },
  order_paid_by_transfer: { text: "the order was paid by this transfer", http: 409 },
  transfer_not_in_inbox: { text: "transfer is not in the inbox", http: 409 },
  no_unknown_transfer_url: { text: "merchant.unknown_transfer_webhook_url is not configured", http: 409 },
  // The process
  usage: { text: "wrong usage", exit: 2 },
  invalid_config: { text: "invalid configuration" },
  database_unusable: { text: "the database cannot be used" },
  database_busy: { text: "the database stayed locked by another process" },
  database_failed: { text: "the database failed" },
  database_full: { text: "the disk of the database is full", http: 503 },
  database_replaced: { text: "the database file was deleted or replaced while it was in use", http: 503 },
  database_in_use: { text: "another ocrch serves this database" },
  schema_version: { text: "the database has another schema version" },
  disk_unusable: { text: "the disk cannot be used" },
  clock_wrong: { text: "this machine's clock is wrong" },
  address_in_use: { text: "the address to listen on is not free" },
  // The outside world
  target_refused: { text: "the target address is not allowed" },
  outbound_timeout: { text: "the other side did not answer in time" },
  outbound_failed: { text: "the other side could not be reached" },
  answer_too_large: { text: "the other side answered more than allowed" },
  provider_unreachable: { text: "the provider could not be reached" },
  provider_rate_limited: { text: "the provider limits our requests" },
  provider_refused: { text: "the provider refuses to serve us" },
  provider_range_too_large: { text: "the provider refuses this block range" },
  provider_archive_only: { text: "the provider does not serve blocks this old" },
  provider_malformed: { text: "the provider answered something that is not a valid answer" },
  provider_lagging: { text: "the provider does not know this block yet" },
  provider_inconsistent: { text: "the provider contradicts itself" },
  provider_cannot_answer: { text: "the provider has no way to answer this" },
  provider_disagrees: { text: "the provider contradicts the others" },
  second_opinion_missing: { text: "no second provider could confirm it" },
  wrong_chain_id: { text: "the node serves another chain" },
  wrong_token: { text: "the token contract is not what the configuration says" },
  chain_rewritten_below_final: { text: "the chain was rewritten below a block that was final" },
} satisfies Record<string, ErrorRow>;

export type Code = keyof typeof rows;

export const errorCodes: Readonly<Record<Code, ErrorRow>> = rows;

/** An expected refusal or failure. `detail` replaces the standard text where the reader needs more. */
export class Fault extends Error {
  constructor(
    readonly code: Code,
    readonly detail?: string,
    /** Seconds after which a retry makes sense, where that is known. */
    readonly retry_after_s?: number,
    /** What the log says beside it, where the words for the client are fixed. Never a secret, never a value from a body. */
    readonly for_log?: string,
  ) {
    super(detail ?? errorCodes[code].text);
    this.name = "Fault";
  }
}

/** The code of a fault, or `internal` for anything unexpected. */
export function errorCode(error: unknown): Code {
  return error instanceof Fault ? error.code : "internal";
}

/** What an error says, on one line, for a log or an operator. */
export function errorText(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";
}
