// One run of the command line: arguments to a command, a command's failure to lines and an exit status. Never prints a
// stack trace.

import { version } from "../../package.json";
import { type Code, codeOf, Fault, texts, wordsOf } from "../domain/errors.ts";
import { readArguments } from "./arguments.ts";
import type { Tools } from "./command.ts";
import { helpText } from "./help.ts";
import { program } from "./program.ts";
import { printable } from "./table.ts";

const failed = 1;
const misused = 2;

/** Code to exit status: 2 for a command that was written wrongly, 1 for one that was refused or failed. */
const statuses: Record<Code, number> = {
  usage: misused,
  internal: failed,
  not_found: failed,
  method_not_allowed: failed,
  invalid_request: failed,
  unreadable_body: failed,
  invalid_json_body: failed,
  unsupported_content_type: failed,
  too_many_requests: failed,
  missing_signature: failed,
  malformed_body_signature: failed,
  malformed_url_signature: failed,
  invalid_signature_encoding: failed,
  signature_mismatch: failed,
  signature_expired: failed,
  missing_signed_url: failed,
  origin_not_allowed: failed,
  missing_admin_secret: failed,
  invalid_admin_header: failed,
  invalid_admin_secret: failed,
  too_many_failed_attempts: failed,
  invalid_amount: failed,
  invalid_webhook_url: failed,
  invalid_sender: failed,
  idempotency_key_reused: failed,
  order_not_found: failed,
  order_not_pending: failed,
  invalid_blockchain: failed,
  no_wallet_available: failed,
  no_free_amount: failed,
  websocket_required: failed,
  not_looked_up: failed,
  resource_not_found: failed,
  transfer_matched: failed,
  transfer_not_confirmed: failed,
  transfer_reverted: failed,
  transfer_not_assigned: failed,
  order_paid_by_transfer: failed,
  transfer_not_in_inbox: failed,
  no_unknown_transfer_url: failed,
  invalid_config: failed,
  database_unusable: failed,
  database_busy: failed,
  database_failed: failed,
  database_full: failed,
  database_replaced: failed,
  database_in_use: failed,
  schema_version: failed,
  disk_unusable: failed,
  clock_wrong: failed,
  address_in_use: failed,
  target_refused: failed,
  outbound_timeout: failed,
  outbound_failed: failed,
  answer_too_large: failed,
  provider_unreachable: failed,
  provider_rate_limited: failed,
  provider_range_too_large: failed,
  provider_archive_only: failed,
  provider_malformed: failed,
  provider_lagging: failed,
  provider_refused: failed,
  provider_inconsistent: failed,
  provider_cannot_answer: failed,
  provider_disagrees: failed,
  second_opinion_missing: failed,
  wrong_chain_id: failed,
  wrong_token: failed,
  chain_rewritten_below_final: failed,
};

/** Runs one command line (without the program's name) to its end and returns the exit status. Never throws. */
export async function run(tools: Tools, argv: readonly string[]): Promise<number> {
  try {
    const asked = readArguments(program(tools), argv);
    const end = asked.path.at(-1);
    if (asked.help) tools.world.print(helpText(asked.path));
    else if (asked.version) tools.world.print(`ocrch ${version}`);
    else if (end !== undefined && "run" in end) await end.run(asked.checked);
    return 0;
  } catch (error) {
    for (const line of linesOf(error)) tools.world.warn(`ocrch: ${printable(line)}`);
    return statuses[codeOf(error)];
  }
}

function linesOf(error: unknown): string[] {
  return error instanceof Fault ? error.message.split("\n") : [`${texts.internal}: ${wordsOf(error)}`];
}
