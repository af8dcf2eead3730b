// An exact sum of base units for SQL: SQLite's own integers overflow at 9.2 units of an 18-decimals coin.

import type { Database as Sqlite } from "bun:sqlite";

/** Registers `sum_units(text)`, an aggregate over canonical integer texts that answers one. */
export function sumUnits(raw: Sqlite): void {
  raw.aggregate("sum_units", {
    start: () => 0n,
    step: (sum: bigint, units: string) => sum + BigInt(units),
    result: (sum: bigint) => sum.toString(),
  });
}
