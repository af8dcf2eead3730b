// The numbered steps from an empty file to the current schema. Every file in migrations/ is listed here by hand:
// a folder cannot be read from inside the executable.

import type { Database as Sqlite } from "bun:sqlite";
import first from "../../../migrations/0001_first.sql" with { type: "text" };
import orderOptions from "../../../migrations/0002_order_options.sql" with { type: "text" };
import opencharge from "../../../migrations/0003_opencharge.sql" with { type: "text" };
import openchargeGateway from "../../../migrations/0004_opencharge_gateway.sql" with { type: "text" };
import attribution from "../../../migrations/0005_attribution.sql" with { type: "text" };
import inbox from "../../../migrations/0006_inbox.sql" with { type: "text" };
import providers from "../../../migrations/0007_providers.sql" with { type: "text" };
import reconciliation from "../../../migrations/0008_reconciliation.sql" with { type: "text" };
import openchargeReview from "../../../migrations/0009_opencharge_review.sql" with { type: "text" };
import finalityTags from "../../../migrations/0010_finality_tags.sql" with { type: "text" };
import lookalikes from "../../../migrations/0011_lookalikes.sql" with { type: "text" };
import remainders from "../../../migrations/0012_remainders.sql" with { type: "text" };
import unreadBlocks from "../../../migrations/0013_unread_blocks.sql" with { type: "text" };
import waitingTransfers from "../../../migrations/0014_waiting_transfers.sql" with { type: "text" };
import confirmationOrder from "../../../migrations/0015_confirmation_order.sql" with { type: "text" };
import eventGenerations from "../../../migrations/0016_event_generations.sql" with { type: "text" };
import pace from "../../../migrations/0017_pace.sql" with { type: "text" };
import heldTransfers from "../../../migrations/0018_held_transfers.sql" with { type: "text" };
import splitPayments from "../../../migrations/0019_split_payments.sql" with { type: "text" };
import unservedBlocks from "../../../migrations/0020_unserved_blocks.sql" with { type: "text" };
import acceptedTransfers from "../../../migrations/0021_accepted_transfers.sql" with { type: "text" };
import clockReadings from "../../../migrations/0022_clock_readings.sql" with { type: "text" };
import assignedSenders from "../../../migrations/0023_assigned_senders.sql" with { type: "text" };
import headAfterOpening from "../../../migrations/0024_head_after_opening.sql" with { type: "text" };
import endedRemainders from "../../../migrations/0025_ended_remainders.sql" with { type: "text" };

interface Migration {
  version: number;
  name: string;
  sql: string;
}

const migrations: readonly Migration[] = [
  { version: 1, name: "0001_first.sql", sql: first },
  { version: 2, name: "0002_order_options.sql", sql: orderOptions },
  { version: 3, name: "0003_opencharge.sql", sql: opencharge },
  { version: 4, name: "0004_opencharge_gateway.sql", sql: openchargeGateway },
  { version: 5, name: "0005_attribution.sql", sql: attribution },
  { version: 6, name: "0006_inbox.sql", sql: inbox },
  { version: 7, name: "0007_providers.sql", sql: providers },
  { version: 8, name: "0008_reconciliation.sql", sql: reconciliation },
  { version: 9, name: "0009_opencharge_review.sql", sql: openchargeReview },
  { version: 10, name: "0010_finality_tags.sql", sql: finalityTags },
  { version: 11, name: "0011_lookalikes.sql", sql: lookalikes },
  { version: 12, name: "0012_remainders.sql", sql: remainders },
  { version: 13, name: "0013_unread_blocks.sql", sql: unreadBlocks },
  { version: 14, name: "0014_waiting_transfers.sql", sql: waitingTransfers },
  { version: 15, name: "0015_confirmation_order.sql", sql: confirmationOrder },
  { version: 16, name: "0016_event_generations.sql", sql: eventGenerations },
  { version: 17, name: "0017_pace.sql", sql: pace },
  { version: 18, name: "0018_held_transfers.sql", sql: heldTransfers },
  { version: 19, name: "0019_split_payments.sql", sql: splitPayments },
  { version: 20, name: "0020_unserved_blocks.sql", sql: unservedBlocks },
  { version: 21, name: "0021_accepted_transfers.sql", sql: acceptedTransfers },
  { version: 22, name: "0022_clock_readings.sql", sql: clockReadings },
  { version: 23, name: "0023_assigned_senders.sql", sql: assignedSenders },
  { version: 24, name: "0024_head_after_opening.sql", sql: headAfterOpening },
  { version: 25, name: "0025_ended_remainders.sql", sql: endedRemainders },
];

/** The schema version this code reads and writes. */
export const schema_version = migrations.length;

/** Marks the file as Ocrch's, so that another program's database is never migrated by mistake ("OCRC"). */
const application_id = 0x4f435243;

/** The version of an open database: 0 for an empty file, null when it belongs to something else. */
export function versionOf(raw: Sqlite): number | null {
  const owner = raw.query<{ application_id: number }, []>("PRAGMA application_id").get()?.application_id;
  const version = raw.query<{ user_version: number }, []>("PRAGMA user_version").get()?.user_version ?? 0;
  if (owner === application_id) return version;
  const tables = raw.query<{ n: number }, []>("SELECT count(*) AS n FROM sqlite_schema").get()?.n ?? 0;
  return tables === 0 ? 0 : null;
}

/** Applies every step above the database's version, all in one transaction. Returns the names applied. */
export function migrate(raw: Sqlite): string[] {
  const from = versionOf(raw) ?? 0;
  const due = migrations.filter((migration) => migration.version > from);
  if (due.length === 0) return [];
  raw.transaction(() => {
    for (const migration of due) raw.run(migration.sql);
    raw.run(`PRAGMA application_id = ${application_id}`);
    raw.run(`PRAGMA user_version = ${schema_version}`);
  })();
  return due.map((migration) => migration.name);
}
