// Rows of allocations: which transfer pays which order. A transfer has at most one that is live; one that was taken back
// stays as history.

import { and, asc, desc, eq, isNotNull, isNull, sql } from "drizzle-orm";
import { toCommon } from "../domain/money.ts";
import type { AllocationKind } from "../domain/payment.ts";
import type { Reader, Tx } from "./engine/database.ts";
import { requireRow, statement } from "./engine/statement.ts";
import { allocations, transfers } from "./schema.ts";
import type { TransferRow } from "./transfers.ts";

/** Allocates a transfer to an order. The unique index refuses a second live allocation of one transfer. Returns its id. */
export function allocate(tx: Tx, transfer: number, order_id: string, kind: AllocationKind): number {
  return requireRow(insertAllocation(tx).get({ transfer, order_id, kind, now: tx.now })).id;
}

const insertAllocation = statement((db) =>
  db
    .insert(allocations)
    .values({
      transfer: sql.placeholder("transfer"),
      order_id: sql.placeholder("order_id"),
      kind: sql.placeholder("kind"),
      created_at: sql.placeholder("now"),
    })
    .returning({ id: allocations.id })
    .prepare(),
);

/** The transfers allocated to an order, oldest allocation first; those that left the chain again among them. */
export function allocatedTo(at: Reader, order_id: string): TransferRow[] {
  return selectAllocated(at)
    .all({ order_id })
    .map((row) => row.transfer);
}

const selectAllocated = statement((db) =>
  db
    .select({ transfer: transfers })
    .from(allocations)
    .innerJoin(transfers, eq(transfers.id, allocations.transfer))
    .where(and(eq(allocations.order_id, sql.placeholder("order_id")), isNull(allocations.reversed_at)))
    .orderBy(asc(allocations.id))
    .prepare(),
);

export type AllocationRow = typeof allocations.$inferSelect;

/** The live allocation of a transfer: the order it pays. Null when it pays none. */
export function allocationOf(at: Reader, transfer: number): AllocationRow | null {
  return selectLive(at).get({ transfer }) ?? null;
}

/** The order a transfer pays, or null. */
export function paidOrder(at: Reader, transfer: number): string | null {
  return allocationOf(at, transfer)?.order_id ?? null;
}

const selectLive = statement((db) =>
  db
    .select()
    .from(allocations)
    .where(and(eq(allocations.transfer, sql.placeholder("transfer")), isNull(allocations.reversed_at)))
    .prepare(),
);

/** The newest allocation of a transfer that was taken back, or null. */
export function reversedAllocationOf(at: Reader, transfer: number): AllocationRow | null {
  return selectReversed(at).get({ transfer }) ?? null;
}

const selectReversed = statement((db) =>
  db
    .select()
    .from(allocations)
    .where(and(eq(allocations.transfer, sql.placeholder("transfer")), isNotNull(allocations.reversed_at)))
    .orderBy(desc(allocations.id))
    .limit(1)
    .prepare(),
);

/** Units of the common scale that live allocations brought an order; what left the chain again is not there. */
export function receivedFor(at: Reader, order_id: string): bigint {
  const standing = selectReceived(at).all({ order_id });
  return standing.reduce((sum, { amount, times }) => sum + toCommon(amount) * BigInt(times), 0n);
}

/** Each amount once: it is asked at every part, and there may be a thousand of them. */
const selectReceived = statement((db) =>
  db
    .select({ amount: transfers.amount, times: sql<number>`count(*)` })
    .from(allocations)
    .innerJoin(transfers, eq(transfers.id, allocations.transfer))
    .where(
      and(
        eq(allocations.order_id, sql.placeholder("order_id")),
        isNull(allocations.reversed_at),
        isNull(transfers.reverted_at),
      ),
    )
    .groupBy(transfers.amount)
    .prepare(),
);

/** Takes back the live allocation of a transfer, which then pays nothing. False when it had none. */
export function reverseAllocation(tx: Tx, transfer: number): boolean {
  return updateReversed(tx).all({ transfer, now: tx.now }).length > 0;
}

const updateReversed = statement((db) =>
  db
    .update(allocations)
    .set({ reversed_at: sql`${sql.placeholder("now")}` })
    .where(and(eq(allocations.transfer, sql.placeholder("transfer")), isNull(allocations.reversed_at)))
    .returning({ id: allocations.id })
    .prepare(),
);
