// The closed list of log codes: one row per code with its level, its meaning and what to do. Lines of level error
// are the alarms: each asks for a person.

export type Level = "info" | "warn" | "error";

interface Row<L extends Level = Level> {
  level: L;
  meaning: string;
  /** What to do; null: nothing. */
  cure: string | null;
}

const info = (meaning: string): Row<"info"> => ({ level: "info", meaning, cure: null });
const warn = (meaning: string, cure: string | null): Row<"warn"> => ({ level: "warn", meaning, cure });
const error = (meaning: string, cure: string): Row<"error"> => ({ level: "error", meaning, cure });

const replace_it = "If it repeats, replace the provider.";
const list_another = "If it lasts, list another provider.";

const rows = {
  // The process
  config_reloaded: info("The configuration was read again and is in use."),
  config_warning: warn("A setting works but has the risk in `warning`.", "Change the setting, or accept the risk."),
  config_needs_restart: warn("The changed `key` takes effect only after a restart.", "Restart the server."),
  config_not_reloaded: error(
    "The changed configuration is not valid. The former one is used.",
    "Correct it and reload.",
  ),
  loop_failed: warn("A recurring task failed. It runs again after `wait_ms`.", "If it repeats, act on `error`."),
  stopping: info("A signal asked the server to stop."),
  stopped: info("The server has stopped."),
  stopped_late: warn("The server could not finish within ten seconds and was ended. Nothing is lost.", null),
  clock_wrong: error(
    "The clock of this machine is wrong. No reserved amount is released, and no order with a deposit expires by it.",
    "Set the clock, preferably by NTP.",
  ),
  clock_right_again: info("The clock of this machine is right again."),

  // The database
  migration_applied: info("The database was changed to a newer schema."),
  database_copied: info("A copy of the database was written before its schema was changed."),
  transaction_slow: warn("A transaction lasted longer than 250 ms.", "If it repeats, look for a slow disk."),
  database_busy: error("Another process kept the database locked. Writes were refused.", "End the other process."),
  database_failed: error(
    "The database failed. When a commit fails, the server ends because it cannot know what was stored.",
    "Check disk and database with `ocrch doctor`, then start again.",
  ),
  database_full: error(
    "The disk of the database is full. Writes are refused with 503; reads are answered.",
    "Make room on the disk. The server resumes by itself.",
  ),
  database_writable_again: info("The disk of the database has room again. Writes are accepted."),
  database_replaced: error(
    "The database file was deleted, replaced or overwritten. Writes are refused with 503.",
    "Put the right file back and start again.",
  ),
  last_event_not_kept: warn(
    "The number of the newest event could not be written beside the database.",
    "Make the folder of the database writable. Without this number a restore may not be noticed.",
  ),
  log_restored: warn(
    "The database was restored from a copy. A new generation of the event log begins.",
    "Create the lost orders again and assign the payments that wait in the inbox.",
  ),

  // Requests
  request_failed: error("A request was answered with an internal error.", "Act on `error`."),
  request_refused: warn(
    "A signed request was refused. Each cause is logged at most once a minute.",
    "Correct the shop's request as `error` and `detail` say.",
  ),
  origin_refused: warn(
    "A page of an origin that is not allowed called the User API.",
    "If the page is yours, add its origin to `merchant.allowed_origins`.",
  ),
  admin_guesses_stopped: warn(
    "A client sent too many wrong admin secrets and is refused for a while.",
    "If the client is not yours, block it at your proxy.",
  ),
  live_feed_failed: error("The WebSockets could not be told of changes.", "If it repeats, act on `error`."),
  claim_not_looked_up: warn(
    "The chain could not be asked about a transaction that a payer named.",
    "If it repeats, check the chain's providers with `ocrch doctor`.",
  ),

  // Webhooks
  webhook_delivered: info("A webhook was accepted. `body_error` tells of an answer that could not be read to its end."),
  webhook_failed: warn(
    "A webhook was not accepted. It is sent again after `retry_in_ms`; null means that it was given up.",
    "Check the shop's endpoint. `ocrch resend-webhook` sends it again.",
  ),
  delivery_not_recorded: error(
    "The result of a delivery was not stored. The delivery is sent again.",
    "Act on `code`.",
  ),

  // Payments
  settlement_failed: error(
    "A transfer could not be settled. It stays unconfirmed and is tried again; other transfers are not affected.",
    "Act on `code` and `error`.",
  ),
  payment_reverted: error(
    "The block of a confirmed payment left the chain. The status of its order does not change.",
    "Wait for `payment_restored`, or settle with the payer. If `proof` is set, tell those who hold that proof.",
  ),
  payment_restored: warn("A reverted payment is on the chain again and counts.", "Take back what you did about it."),
  transfer_changed: error(
    "A transaction that counted was mined again with other content. The recorded transfer stays as it was.",
    "Compare the transaction with the audit log and settle with the payer.",
  ),
  transfer_denied: error("Two providers deny a transfer of another one. It is dropped.", "Replace that provider."),
  transfer_doubted: error(
    "The providers in `without` have the block of a transfer and not the transfer.",
    "Look the transaction up yourself. A third provider in `rpc_urls` can decide.",
  ),
  confirmation_unclear: warn("No provider shows the receipt of a due transfer. It waits.", list_another),
  counted_without_second_opinion: warn(
    "A transfer counts by the word of one provider. No second one answered for ten minutes.",
    "Set `verify` for the chain if such transfers must wait instead.",
  ),
  blocks_given_up: error(
    "No provider served these blocks in time. They no longer keep amounts reserved.",
    "List a provider that serves them, and look for payments in them yourself.",
  ),

  // Providers
  provider_failed: warn(
    "A provider failed. It is asked nothing for `pause_ms`.",
    "If it repeats, check the provider with `ocrch doctor` or list another one.",
  ),
  provider_recovered: info("A provider that failed answers again."),
  provider_preferred: info("Another provider is asked first from now on."),
  provider_budget_spent: warn(
    "The requests of this day are nearly used up. The provider is spared until midnight UTC.",
    "Raise `requests_per_day` or list another provider.",
  ),
  provider_disagrees: error(
    "Providers contradict each other about a transfer, twice in a row. The transfer does not count.",
    "Take the wrong provider off the list, or wait until they agree.",
  ),
  provider_frozen: error("Other providers contradict this one. It is asked nothing for ten minutes.", replace_it),
  provider_trusted_again: info("A provider agrees with the others again and is asked again."),
  survey_failed: error("The health check of a provider failed for an internal reason.", "Report the line as a bug."),
  all_providers_refuse: error("Every provider refuses the same request.", "Do what `error` says."),
  page_contradicted: warn("The logs of a provider contradict its receipts. Another one is asked.", replace_it),
  log_missing_from_its_block: warn("A provider's logs lack a recorded transfer. Others are asked.", replace_it),
  log_time_wrong: warn("A provider stated another time than its block's header, which counts.", replace_it),
  final_block_contradicted: warn("A provider shows another final block. Another one is asked.", replace_it),
  block_unread: warn("A block cannot be read completely. It is tried again.", list_another),

  // Chains
  chain_stalled: warn("The chain could not be read to its end. Nothing is skipped.", list_another),
  payments_held_back: warn("Due transfers wait for a provider. `error` says why.", list_another),
  chain_rewritten: warn("Blocks above `above` were replaced by a reorganisation. They are read again.", null),
  chain_pace_changed: error(
    "The time between blocks has left the usual band. A depth in blocks now means another time.",
    "Check whether the confirmation policy of the chain still fits.",
  ),
  finality_late: error(
    "The final block stands still while the chain goes on. Payments that need it wait.",
    "Check the state of the chain and of its providers.",
  ),
  finality_receded: error(
    "Blocks that were called final are not on the chain. They are read again.",
    "Check the chain's providers with `ocrch doctor`, and replace the one that was wrong.",
  ),
  head_not_believed: error(
    "The head of a provider is too far ahead, and another provider does not confirm it. The lower head is used.",
    "Check the provider. If it repeats, replace it.",
  ),
  head_receded: warn("A provider's head went back. Blocks above it are read again.", replace_it),
  opening_head_failed: error("A deposit opened and the head could not be asked for.", "Report the line as a bug."),
  chain_read_without_wallet: warn(
    "A chain without a wallet in the configuration is read because amounts on it are still reserved.",
    "Keep its section until the log says `chain_no_longer_read`.",
  ),
  chain_no_longer_read: info("No amount is reserved on the chain any more. Its section may be removed."),
  starting_tx_unknown: warn("No provider knows the wallet's `starting_tx`. It is asked for again.", "Correct it."),
  start_not_looked_up: warn("The first block to read for a wallet was not found. It is tried again.", list_another),
  watch_begins_earlier: info("A wallet is now read from an earlier block."),

  // Comparisons
  balances_not_compared: warn(
    "The balances of the wallets could not be read, so they are not compared.",
    "If `code` is provider_archive_only or provider_cannot_answer, list a provider with balances of past blocks.",
  ),
  balances_contradict_themselves: warn("Two readings of the same balances differ. They are not compared.", replace_it),
  balance_unexplained: error(
    "A balance changed by an amount that no recorded transfer explains.",
    "`ocrch coverage` shows the case and how far it was narrowed.",
  ),
  balance_explained: info("Transfers now explain a balance that they did not explain. The case is closed."),
  contract_states_no_balance: warn(
    "A token contract states no balance.",
    "Check the token's address in the configuration.",
  ),
  no_index_to_compare_with: info(
    "No explorer is configured for the chain, so transfers are not compared with an index.",
  ),
  history_not_compared: warn(
    "The index of the chain could not be read for a comparison.",
    "If it repeats, act on `error`.",
  ),
  transfers_missed_by_scan: error(
    "An index knows transfers that the scan had missed. They were stored and settled.",
    "Replace the provider that hid their logs.",
  ),
  transfers_missed_by_head_pass: error(
    "The final reading found transfers that the first reading had missed. They were stored and settled.",
    "If it repeats, replace the provider that hid their logs.",
  ),
  transfers_unknown_to_index: warn("The index does not know recorded transfers that are an hour old.", null),

  // Opencharge
  opencharge_lookup_failed: warn(
    "The metadata of an OCID could not be read.",
    "Check it, or pin the participant's key.",
  ),
  opencharge_owner_differs: warn("The registry names another owner than the key of the OCID.", "Ask the participant."),
  opencharge_approval_failed: warn("The shop gave no usable answer about an order.", "Check `approval_url`."),
  proof_delivered: info("A receiver accepted a proof of payment."),
  proof_failed: warn(
    "A receiver did not accept a proof. It is sent again after `retry_in_ms`; null means that it was given up.",
    "Ask the receiver. `ocrch resend-webhook` on the page sends the proof again.",
  ),
  proof_rejected: warn(
    "A receiver took a proof and does not want the payment. `message` says why.",
    "Settle with the receiver, whose order may have been paid before.",
  ),
  proof_waits: warn("A proof waits unsent: its issuer's OCID is not yours now.", "Configure that OCID again."),
  proof_not_issued: error(
    "A proof is owed and cannot be issued. `reason` says why.",
    "Do what `reason` says; a payment that left the chain has to return first.",
  ),
  proof_for_another: warn("A valid proof for an OCID that is not yours was refused.", "Settle with its issuer."),
  proof_txid_reused: warn("A proof was refused: its issuer used the txid for another payment.", "Ask the issuer."),
  proof_amount_differs: warn("A valid proof of another amount was refused.", "Ask the issuer."),
  proof_currency_differs: warn(
    "A valid proof pays another currency than asked. It was refused.",
    "Ask the issuer, or agree on the currency in `[[opencharge.partners]]`.",
  ),
  proof_older_than_order: warn("A proof that is dated before its order has paid it.", "Ask the issuer for the date."),
  proof_duplicate: warn(
    "A proof came for an order or payment that was settled before. The issuer holds this money for you.",
    "Refund it, or settle with the issuer.",
  ),
  proof_late: warn(
    "A proof came for a payment that had expired. The issuer holds this money for you.",
    "Accept it with `ocrch mark-paid`, or refund it.",
  ),
  proof_unmatched: warn(
    "A proof names no order of yours. The issuer holds this money for you.",
    "Accept it with `ocrch mark-paid`, or refund it.",
  ),
  proof_put_off: warn(
    "The proofs kept of this issuer in a day have reached 16 MiB. The proof is refused until the day is over.",
    "Ask the issuer to send it again later.",
  ),
};

/** A code by its level: `telemetry.warn` takes only `LogCode<"warn">`. */
export type LogCode<L extends Level> = {
  [Code in keyof typeof rows]: (typeof rows)[Code] extends Row<L> ? Code : never;
}[keyof typeof rows];

export const logCodes: Readonly<Record<LogCode<Level>, Row>> = rows;

/** Markdown table of every log code in alphabetical order. */
export function logReference(): string {
  return referenceOf(Object.entries(logCodes));
}

/** The same of the alarms alone: the codes of level error. */
export function alarmReference(): string {
  return referenceOf(Object.entries(logCodes).filter(([, { level }]) => level === "error"));
}

function referenceOf(listed: readonly [code: string, row: Row][]): string {
  const lines = listed
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([code, { level, meaning, cure }]) => `| \`${code}\` | ${level} | ${meaning} | ${cure ?? "Nothing."} |`);
  return ["| code | level | meaning | what to do |", "| --- | --- | --- | --- |", ...lines].join("\n");
}
