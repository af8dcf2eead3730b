// The lookup tables: closed lists of the code that the database holds as rows, so that a longer list is no change of
// the schema. Nothing else writes them. Which columns refer to them is in migrations/*.sql.

import type { Database as Sqlite } from "bun:sqlite";
import { allocations, balanceCases, chains, checks, deliveries, events, orders, providers } from "./schema.ts";

/** Each lookup table with the list it holds. */
export const lookups: Readonly<Record<string, readonly string[]>> = {
  chain_ids: chains.chain.enumValues,
  coins: orders.coin.enumValues,
  order_commands: orders.cause.enumValues,
  event_types: events.type.enumValues,
  allocation_kinds: allocations.kind.enumValues,
  delivery_kinds: deliveries.kind.enumValues,
  delivery_schedules: deliveries.schedule.enumValues,
  provider_states: providers.state.enumValues,
  check_kinds: checks.kind.enumValues,
  case_closings: balanceCases.closed_because.enumValues,
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
