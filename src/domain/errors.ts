// The closed list of what can go wrong in words a client, an operator or a log may see. Each code is mapped
// once to its text here, to an HTTP status in http/server.ts and to an exit status in cli/.

/** Code to the exact text a client reads (`contract/ocrch.md` sections 2 to 5 for those of the API). */
export const texts = {
  // Any door
  internal: "internal server error",
  not_found: "not found",
  method_not_allowed: "method not allowed",
  invalid_request: "invalid request",
  unreadable_body: "failed to read request body",
  invalid_json_body: "invalid JSON body",
  unsupported_content_type: "unsupported content type",
  too_many_requests: "too many requests",
  // Authentication
  missing_signature: "missing Ocrch-Signature header",
  malformed_body_signature: "invalid Ocrch-Signature header format",
  malformed_url_signature: "invalid header format",
  invalid_signature_encoding: "invalid signature encoding",
  signature_mismatch: "signature verification failed",
  signature_expired: "signature expired",
  missing_signed_url: "missing Ocrch-Signed-Url header",
  origin_not_allowed: "origin not allowed",
  missing_admin_secret: "missing Ocrch-Admin-Authorization header",
  invalid_admin_header: "invalid authorization header",
  invalid_admin_secret: "invalid admin secret",
  too_many_failed_attempts: "too many failed attempts",
  // Orders
  invalid_amount: "invalid amount",
  invalid_webhook_url: "invalid webhook_url",
  invalid_sender: "invalid expecting_wallet_address",
  idempotency_key_reused: "idempotency key reused with a different body",
  order_not_found: "order not found",
  order_not_pending: "order is not pending",
  invalid_blockchain: "invalid blockchain selection",
  no_wallet_available: "no wallet available for the selected chain and coin",
  no_free_amount: "no free amount for the selected chain and coin",
  websocket_required: "websocket upgrade required",
  not_looked_up: "the chain could not be asked; try again later",
  // Operators
  resource_not_found: "resource not found",
  transfer_matched: "transfer is matched to an order",
  transfer_not_confirmed: "transfer is not confirmed",
  transfer_reverted: "transfer has left the chain",
  transfer_not_assigned: "transfer pays no order",
  order_paid_by_transfer: "the order was paid by this transfer",
  transfer_not_in_inbox: "transfer is not in the inbox",
  no_unknown_transfer_url: "merchant.unknown_transfer_webhook_url is not configured",
  // The process
  usage: "wrong usage",
  invalid_config: "invalid configuration",
  database_unusable: "the database cannot be used",
  database_busy: "the database stayed locked by another process",
  database_failed: "the database failed",
  database_full: "the disk of the database is full",
  database_replaced: "the database file was deleted or replaced while it was in use",
  database_in_use: "another ocrch serves this database",
  schema_version: "the database has another schema version",
  disk_unusable: "the disk cannot be used",
  clock_wrong: "this machine's clock is wrong",
  address_in_use: "the address to listen on is not free",
  // The outside world
  target_refused: "the target address is not allowed",
  outbound_timeout: "the other side did not answer in time",
  outbound_failed: "the other side could not be reached",
  answer_too_large: "the other side answered more than allowed",
  provider_unreachable: "the provider could not be reached",
  provider_rate_limited: "the provider limits our requests",
  provider_refused: "the provider refuses to serve us",
  provider_range_too_large: "the provider refuses this block range",
  provider_archive_only: "the provider does not serve blocks this old",
  provider_malformed: "the provider answered something that is not a valid answer",
  provider_lagging: "the provider does not know this block yet",
  provider_inconsistent: "the provider contradicts itself",
  provider_cannot_answer: "the provider has no way to answer this",
  provider_disagrees: "the provider contradicts the others",
  second_opinion_missing: "no second provider could confirm it",
  wrong_chain_id: "the node serves another chain",
  wrong_token: "the token contract is not what the configuration says",
  chain_rewritten_below_final: "the chain was rewritten below a block that was final",
} as const;

export type Code = keyof typeof texts;

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
    super(detail ?? texts[code]);
    this.name = "Fault";
  }
}

/** The code of a fault, or `internal` for anything unexpected. */
export function codeOf(error: unknown): Code {
  return error instanceof Fault ? error.code : "internal";
}

/** What an error says, on one line, for a log or an operator. */
export function wordsOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";
}
