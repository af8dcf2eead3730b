// The tables as drizzle sees them: names, types and closed lists. Rules live in migrations/*.sql; a test compares both.
// The lookup tables are in `lookups.ts`.

import { integer, primaryKey, sqliteTable, text } from "drizzle-orm/sqlite-core";
import { chainIds, coins } from "../domain/assets.ts";
import { type EventType, eventTypes } from "../domain/events.ts";
import { finalityTags } from "../domain/finality.ts";
import { orderCommands, orderStatuses } from "../domain/order.ts";
import { allocationKinds, type InboxReason, inboxReasons, transferStatuses } from "../domain/payment.ts";
import { providerStates } from "../domain/provider.ts";
import { caseClosings, checkKinds, deliveryKinds, deliverySchedules } from "./engine/lookups.ts";

export const chains = sqliteTable("chains", {
  chain: text({ enum: chainIds }).primaryKey(),
  head_number: integer(),
  head_hash: text(),
  head_time: integer(),
  final_number: integer(),
  final_hash: text(),
  final_time: integer(),
  last_read_at: integer(),
  stalled_since: integer(),
  stalled_reason: text(),
  held_since: integer(),
  held_reason: text(),
  unread_since: integer(),
  unread_reason: text(),
  ms_per_block: integer(),
  pace_measured_at: integer(),
});

export const clock_readings = sqliteTable(
  "clock_readings",
  {
    chain: text({ enum: chainIds }).notNull(),
    provider: text().notNull(),
    ahead_ms: integer().notNull(),
    uncertainty_ms: integer().notNull(),
    read_at: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.chain, table.provider] })],
);

export const providers = sqliteTable("providers", {
  chain: text({ enum: chainIds }).notNull(),
  provider: text().notNull(),
  calls: integer().notNull(),
  failures: integer().notNull(),
  refused_answers: integer().notNull(),
  learned_range: integer(),
  last_error: text(),
  last_error_at: integer(),
  state: text({ enum: providerStates }).notNull(),
  state_until: integer(),
  score: integer().notNull(),
  latency_ms: integer(),
  lag_s: integer(),
  oldest_block: integer(),
  day: integer().notNull(),
  day_calls: integer().notNull(),
});

export const finality_tags = sqliteTable("finality_tags", {
  chain: text({ enum: chainIds }).notNull(),
  tag: text({ enum: finalityTags }).notNull(),
  number: integer().notNull(),
  hash: text().notNull(),
  time: integer().notNull(),
  provider: text().notNull(),
  served_at: integer().notNull(),
});

export const zero_value_logs = sqliteTable("zero_value_logs", {
  chain: text({ enum: chainIds }).notNull(),
  day: integer().notNull(),
  logs: integer().notNull(),
});

export const orders = sqliteTable("orders", {
  seq: integer().primaryKey(),
  id: text().notNull(),
  merchant_order_id: text().notNull(),
  amount: text().notNull(),
  status: text({ enum: orderStatuses }).notNull(),
  chain: text({ enum: chainIds }),
  coin: text({ enum: coins }),
  sender: text(),
  webhook_url: text().notNull(),
  created_at: integer().notNull(),
  expires_at: integer().notNull(),
  ended_at: integer(),
  cause: text({ enum: orderCommands }),
  lifetime_s: integer(),
  metadata: text(),
  success_url: text(),
  cancel_url: text(),
});

export const creations = sqliteTable("creations", {
  key: text().primaryKey(),
  body_hash: text().notNull(),
  order_id: text().notNull(),
  expires_at: integer().notNull(),
});

export const watches = sqliteTable("watches", {
  id: integer().primaryKey(),
  chain: text({ enum: chainIds }).notNull(),
  wallet: text().notNull(),
  token: text().notNull(),
  coin: text({ enum: coins }),
  label: text().notNull(),
  decimals: integer().notNull(),
  offered: integer({ mode: "boolean" }).notNull(),
  active: integer({ mode: "boolean" }).notNull(),
  added_at: integer().notNull(),
  start_block: integer(),
  start_time: integer(),
});

export const coverage = sqliteTable("coverage", {
  id: integer().primaryKey(),
  watch: integer().notNull(),
  pass: text({ enum: ["head", "final"] }).notNull(),
  from_block: integer().notNull(),
  to_block: integer().notNull(),
  to_hash: text(),
  to_time: integer(),
  provider: text().notNull(),
});

export const unservedBlocks = sqliteTable("unserved_blocks", {
  watch: integer().notNull(),
  from_block: integer().notNull(),
  to_block: integer().notNull(),
  found_at: integer().notNull(),
  given_up_at: integer(),
});

export const checkpoints = sqliteTable("checkpoints", {
  watch: integer().primaryKey(),
  block: integer().notNull(),
  block_time: integer().notNull(),
  units: text().notNull(),
  since_block: integer().notNull(),
  provider: text().notNull(),
  checked_at: integer().notNull(),
});

export const balanceCases = sqliteTable("balance_cases", {
  id: integer().primaryKey(),
  watch: integer().notNull(),
  from_block: integer().notNull(),
  from_units: text().notNull(),
  to_block: integer().notNull(),
  to_units: text().notNull(),
  difference: text().notNull(),
  opened_at: integer().notNull(),
  looks: integer().notNull().default(0),
  looked_at: integer(),
  answered_by: text(),
  stuck: text(),
  closed_at: integer(),
  closed_because: text({ enum: caseClosings }),
});

export const checks = sqliteTable("checks", {
  chain: text({ enum: chainIds }).notNull(),
  kind: text({ enum: checkKinds }).notNull(),
  provider: text(),
  ran_at: integer(),
  missed: integer().notNull().default(0),
  doubts: integer().notNull().default(0),
  error: text(),
  error_at: integer(),
});

export const compared = sqliteTable("compared", {
  chain: text({ enum: chainIds }).notNull(),
  wallet: text().notNull(),
  wanted_until: integer().notNull(),
  block: integer(),
  block_time: integer(),
  doubted_block: integer(),
  compared_at: integer(),
});

export const blocks = sqliteTable("blocks", {
  chain: text({ enum: chainIds }).notNull(),
  number: integer().notNull(),
  hash: text().notNull(),
  time: integer().notNull(),
});

export const deposits = sqliteTable("deposits", {
  id: integer().primaryKey(),
  order_id: text().notNull(),
  chain: text({ enum: chainIds }).notNull(),
  coin: text({ enum: coins }).notNull(),
  wallet: text().notNull(),
  sender: text(),
  amount: text().notNull(),
  units: text().notNull(),
  opened_at: integer().notNull(),
  opened_head: integer(),
  closed_at: integer(),
  close_reason: text({ enum: orderCommands }),
  /** Base units left to pay after parts. */
  remainder: text(),
  opened_ahead_ms: integer(),
  head_after_opening: integer(),
  opened_uncertainty_ms: integer(),
});

export const reservations = sqliteTable("slots", {
  id: integer().primaryKey(),
  chain: text({ enum: chainIds }).notNull(),
  coin: text({ enum: coins }).notNull(),
  wallet: text().notNull(),
  units: text().notNull(),
  sender: text().notNull(),
  deposit: integer().notNull(),
  closed_at: integer(),
  rest: integer({ mode: "boolean" }).notNull().default(false),
});

export const transfers = sqliteTable("transfers", {
  id: integer().primaryKey(),
  chain: text({ enum: chainIds }).notNull(),
  tx_hash: text().notNull(),
  position: integer().notNull(),
  token: text().notNull(),
  coin: text({ enum: coins }),
  label: text().notNull(),
  amount: text().notNull(),
  sender: text().notNull(),
  wallet: text().notNull(),
  units: text().notNull(),
  block_number: integer().notNull(),
  block_hash: text().notNull(),
  block_time: integer().notNull(),
  log_index: integer().notNull(),
  status: text({ enum: transferStatuses }).notNull(),
  finality: text().notNull(),
  deposit: integer(),
  part: integer({ mode: "boolean" }).notNull().default(false),
  reason: text({ enum: Object.keys(inboxReasons) as [InboxReason, ...InboxReason[]] }),
  likely_order: text(),
  newest_deposit: integer(),
  seen_at: integer().notNull(),
  confirmed_at: integer(),
  reverted_at: integer(),
  dismissed_at: integer(),
  /** The deposit it pays once no older order can be meant by it. */
  held_for: integer(),
});

export const claims = sqliteTable("claims", {
  id: integer().primaryKey(),
  transfer: integer().notNull(),
  order_id: text().notNull(),
  claimed_at: integer().notNull(),
});

export const allocations = sqliteTable("allocations", {
  id: integer().primaryKey(),
  transfer: integer().notNull(),
  order_id: text().notNull(),
  kind: text({ enum: allocationKinds }).notNull(),
  created_at: integer().notNull(),
  reversed_at: integer(),
});

export const events = sqliteTable("events", {
  n: integer().primaryKey(),
  type: text({ enum: Object.keys(eventTypes) as [EventType, ...EventType[]] }).notNull(),
  order_id: text(),
  transfer: integer(),
  body: text().notNull(),
  created_at: integer().notNull(),
});

export const meta = sqliteTable("meta", {
  name: text({ enum: ["last_event_kept_at"] }).primaryKey(),
  value: integer().notNull(),
});

export const deliveries = sqliteTable("deliveries", {
  id: integer().primaryKey(),
  event: integer(),
  kind: text({ enum: deliveryKinds }).notNull(),
  order_id: text(),
  transfer: integer(),
  url: text().notNull(),
  /** What is sent side by side with others: the origin of a webhook, the whole address of a proof. */
  lane: text("origin").notNull(),
  body: text().notNull(),
  schedule: text({ enum: deliverySchedules }).notNull(),
  state: text({ enum: ["waiting", "delivered", "gave_up"] }).notNull(),
  failures: integer().notNull().default(0),
  next_at: integer().notNull(),
  last_tried_at: integer(),
  delivered_at: integer(),
});

export const attempts = sqliteTable("attempts", {
  id: integer().primaryKey(),
  delivery: integer().notNull(),
  started_at: integer().notNull(),
  ended_at: integer().notNull(),
  status: integer(),
  error: text(),
});

export const audit = sqliteTable("audit", {
  id: integer().primaryKey(),
  at: integer().notNull(),
  actor: text().notNull(),
  action: text().notNull(),
  subject: text().notNull(),
  detail: text().notNull(),
});
