// What happens to a transfer after it was decided about: taken back by its chain and returned. Writes no status and no
// allocation.

import { and, eq, isNull, sql } from "drizzle-orm";
import type { Reader, Tx } from "./database.ts";
import { allocations, transfers } from "./schema.ts";
import { statement } from "./statement.ts";

/** The order a transfer pays, or null. */
export function paidOrder(at: Reader, transfer: number): string | null {
  return selectPaid(at).get({ transfer })?.order_id ?? null;
}

const selectPaid = statement((db) =>
  db
    .select({ order_id: allocations.order_id })
    .from(allocations)
    .where(and(eq(allocations.transfer, sql.placeholder("transfer")), isNull(allocations.reversed_at)))
    .prepare(),
);

/**
 * Notes that a confirmed transfer's block left the chain (`true`), or that it is on the chain again. Whatever an
 * operator had dismissed about it is news again.
 */
export function setReverted(tx: Tx, id: number, reverted: boolean): void {
  updateReverted(tx).run({ id, reverted_at: reverted ? tx.now : null });
}

const updateReverted = statement((db) =>
  db
    .update(transfers)
    .set({ reverted_at: sql`${sql.placeholder("reverted_at")}`, dismissed_at: null })
    .where(eq(transfers.id, sql.placeholder("id")))
    .prepare(),
);
