// How SQLite would read what the product asks of it.

import type { Database as Sqlite } from "bun:sqlite";
import type { Reader } from "../../src/storage/engine/database.ts";
import { drizzleWithStablePlans } from "../../src/storage/engine/stable-plans.ts";

/** The steps of the plan of every query that `run` makes, in their order. Every query is prepared anew for it. */
export function plansOf(raw: Sqlite, run: (at: Reader) => unknown): string[][] {
  const asked: { query: string; params: unknown[] }[] = [];
  const db = drizzleWithStablePlans(raw, { logQuery: (query, params) => void asked.push({ query, params }) });
  run({ live: () => db, hooks: [] });
  return asked.map(({ query, params }) =>
    raw
      .query<{ detail: string }, never[]>(`EXPLAIN QUERY PLAN ${query}`)
      .all(...(params as never[]))
      .map((row) => row.detail),
  );
}
