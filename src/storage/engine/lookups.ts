// The lookup tables: closed lists of the code that the database holds as rows, so that a longer list is no change of
// the schema. Nothing else writes them. Which columns refer to them is in migrations/*.sql.

import type { Database as Sqlite } from "bun:sqlite";
import { chainIds, coins } from "../../domain/assets.ts";
import { eventTypes } from "../../domain/events.ts";
import { orderCommands } from "../../domain/order.ts";
import { allocationKinds } from "../../domain/payment.ts";
import { providerStates } from "../../domain/provider.ts";

export const deliveryKinds = ["order", "transfer", "proof"] as const;
export const deliverySchedules = ["webhook", "proof"] as const;
export const checkKinds = ["balances", "history"] as const;
export const caseClosings = ["transfers_found", "explained", "stated_wrongly"] as const;

/** Each lookup table with the list it holds. */
export const lookups: Readonly<Record<string, readonly string[]>> = {
  chain_ids: chainIds,
  coins,
  order_commands: orderCommands,
  event_types: Object.keys(eventTypes),
  allocation_kinds: allocationKinds,
  delivery_kinds: deliveryKinds,
  delivery_schedules: deliverySchedules,
  provider_states: providerStates,
  check_kinds: checkKinds,
  case_closings: caseClosings,
};

interface Entry {
  table: string;
  name: string;
}

/** Entries that a database lacks, and those that only another version of the code knows. */
export function lookupDrift(raw: Sqlite): { missing: Entry[]; unknown: Entry[] } {
  const stored = Object.keys(lookups).flatMap((table) =>
    raw.query<Entry, []>(`SELECT '${table}' AS "table", name FROM ${table}`).all(),
  );
  const known = Object.entries(lookups).flatMap(([table, names]) => names.map((name) => ({ table, name })));
  const without = (all: Entry[], others: Entry[]) =>
    all.filter((one) => !others.some(({ table, name }) => table === one.table && name === one.name));
  return { missing: without(known, stored), unknown: without(stored, known) };
}

/**
 * Makes each lookup table hold exactly its list, within the caller's transaction. Where foreign keys are enforced, it
 * throws for an unknown entry that a row refers to.
 */
export function fillLookups(raw: Sqlite): void {
  const { missing, unknown } = lookupDrift(raw);
  for (const { table, name } of missing) raw.query(`INSERT INTO ${table} (name) VALUES (?)`).run(name);
  for (const { table, name } of unknown) raw.query(`DELETE FROM ${table} WHERE name = ?`).run(name);
}
