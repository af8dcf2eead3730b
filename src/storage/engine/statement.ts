// Prepared statements, made once per connection. The only place that prepares.

import type { BunSQLiteDatabase } from "drizzle-orm/bun-sqlite";
import type { Reader } from "./database.ts";

/**
 * A statement built by drizzle once per connection and reused: `const byId = statement((db) => db.select()...prepare())`,
 * then `byId(tx).get({ id })`. Throws when `tx` has ended.
 */
export function statement<P>(build: (db: BunSQLiteDatabase) => P): (at: Reader) => P {
  const prepared = new WeakMap<BunSQLiteDatabase, P>();
  return (at) => {
    const db = at.live();
    const known = prepared.get(db);
    if (known !== undefined) return known;
    const made = build(db);
    prepared.set(db, made);
    return made;
  };
}

/** The row an insert with RETURNING must have given. */
export function requireRow<T>(row: T | undefined): T {
  if (row === undefined) throw new Error("an insert returned no row");
  return row;
}
