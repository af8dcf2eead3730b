// Every error's text and statuses as clients and scripts know them. A new code needs no row here.

import { describe, expect, test } from "bun:test";
import { run } from "../../src/cli/run.ts";
import { type Code, Fault } from "../../src/domain/errors.ts";
import { refusal } from "../../src/http/answers.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld } from "../../src/world.ts";

/** Code to HTTP status, exit status and text. */
const known = {
  internal: [500, 1, "internal server error"],
  not_found: [404, 1, "not found"],
  method_not_allowed: [405, 1, "method not allowed"],
  invalid_request: [400, 1, "invalid request"],
  unreadable_body: [400, 1, "failed to read request body"],
  invalid_json_body: [400, 1, "invalid JSON body"],
  unsupported_content_type: [415, 1, "unsupported content type"],
  too_many_requests: [429, 1, "too many requests"],
  missing_signature: [401, 1, "missing Ocrch-Signature header"],
  malformed_body_signature: [400, 1, "invalid Ocrch-Signature header format"],
  malformed_url_signature: [400, 1, "invalid header format"],
  invalid_signature_encoding: [400, 1, "invalid signature encoding"],
  signature_mismatch: [401, 1, "signature verification failed"],
  signature_expired: [401, 1, "signature expired"],
  missing_signed_url: [400, 1, "missing Ocrch-Signed-Url header"],
  origin_not_allowed: [403, 1, "origin not allowed"],
  missing_admin_secret: [401, 1, "missing Ocrch-Admin-Authorization header"],
  invalid_admin_header: [400, 1, "invalid authorization header"],
  invalid_admin_secret: [401, 1, "invalid admin secret"],
  too_many_failed_attempts: [429, 1, "too many failed attempts"],
  invalid_amount: [400, 1, "invalid amount"],
  invalid_webhook_url: [400, 1, "invalid webhook_url"],
  invalid_sender: [400, 1, "invalid expecting_wallet_address"],
  idempotency_key_reused: [409, 1, "idempotency key reused with a different body"],
  order_not_found: [404, 1, "order not found"],
  order_not_pending: [409, 1, "order is not pending"],
  invalid_blockchain: [400, 1, "invalid blockchain selection"],
  no_wallet_available: [400, 1, "no wallet available for the selected chain and coin"],
  no_free_amount: [409, 1, "no free amount for the selected chain and coin"],
  websocket_required: [426, 1, "websocket upgrade required"],
  not_looked_up: [409, 1, "the chain could not be asked; try again later"],
  resource_not_found: [404, 1, "resource not found"],
  transfer_matched: [409, 1, "transfer is matched to an order"],
  transfer_not_confirmed: [409, 1, "transfer is not confirmed"],
  transfer_reverted: [409, 1, "transfer has left the chain"],
  transfer_not_assigned: [409, 1, "transfer pays no order"],
  order_paid_by_transfer: [409, 1, "the order was paid by this transfer"],
  transfer_not_in_inbox: [409, 1, "transfer is not in the inbox"],
  no_unknown_transfer_url: [409, 1, "merchant.unknown_transfer_webhook_url is not configured"],
  usage: [500, 2, "wrong usage"],
  invalid_config: [500, 1, "invalid configuration"],
  database_unusable: [500, 1, "the database cannot be used"],
  database_busy: [500, 1, "the database stayed locked by another process"],
  database_failed: [500, 1, "the database failed"],
  database_full: [503, 1, "the disk of the database is full"],
  database_replaced: [503, 1, "the database file was deleted or replaced while it was in use"],
  database_in_use: [500, 1, "another ocrch serves this database"],
  schema_version: [500, 1, "the database has another schema version"],
  disk_unusable: [500, 1, "the disk cannot be used"],
  clock_wrong: [500, 1, "this machine's clock is wrong"],
  address_in_use: [500, 1, "the address to listen on is not free"],
  target_refused: [500, 1, "the target address is not allowed"],
  outbound_timeout: [500, 1, "the other side did not answer in time"],
  outbound_failed: [500, 1, "the other side could not be reached"],
  answer_too_large: [500, 1, "the other side answered more than allowed"],
  provider_unreachable: [500, 1, "the provider could not be reached"],
  provider_rate_limited: [500, 1, "the provider limits our requests"],
  provider_refused: [500, 1, "the provider refuses to serve us"],
  provider_range_too_large: [500, 1, "the provider refuses this block range"],
  provider_archive_only: [500, 1, "the provider does not serve blocks this old"],
  provider_malformed: [500, 1, "the provider answered something that is not a valid answer"],
  provider_lagging: [500, 1, "the provider does not know this block yet"],
  provider_inconsistent: [500, 1, "the provider contradicts itself"],
  provider_cannot_answer: [500, 1, "the provider has no way to answer this"],
  provider_disagrees: [500, 1, "the provider contradicts the others"],
  second_opinion_missing: [500, 1, "no second provider could confirm it"],
  wrong_chain_id: [500, 1, "the node serves another chain"],
  wrong_token: [500, 1, "the token contract is not what the configuration says"],
  chain_rewritten_below_final: [500, 1, "the chain was rewritten below a block that was final"],
} as const satisfies Partial<Record<Code, readonly [http: number, exit: number, text: string]>>;

/** Exit status of a command that fails with this code, and what it prints. */
async function runFailing(code: Code): Promise<[status: number, lines: string[]]> {
  const lines: string[] = [];
  const print = () => {
    throw new Fault(code);
  };
  const world = { ...realWorld(), print, warn: (line: string) => void lines.push(line) };
  return [await run({ world, telemetry: createTelemetry(world) }, ["--version"]), lines];
}

describe("an error", () => {
  for (const [code, [http, exit, text]] of Object.entries(known) as [Code, (typeof known)[keyof typeof known]][]) {
    test(`${code} answers HTTP ${http}, exits with ${exit} and keeps its text`, async () => {
      const answer = refusal(new Fault(code));
      const shown = http === 500 ? "internal server error" : http === 503 ? "temporarily unavailable" : text;
      expect([answer.status, await answer.text()]).toEqual([http, shown]);
      expect(await runFailing(code)).toEqual([exit, [`ocrch: ${text}`]]);
      expect(new Fault(code).message).toBe(text);
    });
  }
});
