// Transfers that pay a deposit as soon as no older order can be meant by them any more, or with others that pay it
// together. Finds them, holds them and lets go of them.

import { and, asc, eq, isNotNull, isNull, sql } from "drizzle-orm";
import type { Reader, Tx } from "./engine/database.ts";
import { statement } from "./engine/statement.ts";
import { deposits, transfers } from "./schema.ts";
import type { TransferRow } from "./transfers.ts";

/** On the chain, and no operator has seen to it. */
const isLive = and(isNull(transfers.reverted_at), isNull(transfers.dismissed_at));

/** Confirmed transfers that are held for open deposits, by deposit, those behind `after`; at most `limit`. */
export function heldTransfers(at: Reader, after: { deposit: number; transfer: number }, limit: number): TransferRow[] {
  return selectHeld(at)
    .all({ ...after, limit })
    .map((row) => row.transfer);
}

const selectHeld = statement((db) =>
  db
    .select({ transfer: transfers })
    .from(transfers)
    .innerJoin(deposits, eq(deposits.id, transfers.held_for))
    .where(
      and(
        isNotNull(transfers.held_for),
        sql`(${transfers.held_for}, ${transfers.id}) > (${sql.placeholder("deposit")}, ${sql.placeholder("transfer")})`,
        isNotNull(transfers.confirmed_at),
        isLive,
        isNull(deposits.closed_at),
      ),
    )
    .orderBy(asc(transfers.held_for), asc(transfers.id))
    .limit(sql.placeholder("limit"))
    .prepare(),
);

/** Lets go of what was held for a deposit that is closed. */
export function forgetHeld(tx: Tx, deposit: number): void {
  deleteHeld(tx).run({ deposit });
}

const deleteHeld = statement((db) =>
  db
    .update(transfers)
    .set({ held_for: null })
    .where(eq(transfers.held_for, sql.placeholder("deposit")))
    .prepare(),
);

/** True while a transfer is held for this deposit: its order does not expire by the clock alone. */
export function isHeldFor(at: Reader, deposit: number): boolean {
  return selectHeldFor(at).get({ deposit }) !== undefined;
}

const selectHeldFor = statement((db) =>
  db
    .select({ id: transfers.id })
    .from(transfers)
    .where(and(eq(transfers.held_for, sql.placeholder("deposit")), isLive))
    .limit(1)
    .prepare(),
);

/** Holds a transfer for a deposit; null: for none any more. */
export function holdFor(tx: Tx, transfer: number, deposit: number | null): void {
  updateHeld(tx).run({ transfer, deposit });
}

const updateHeld = statement((db) =>
  db
    .update(transfers)
    .set({ held_for: sql`${sql.placeholder("deposit")}` })
    .where(eq(transfers.id, sql.placeholder("transfer")))
    .prepare(),
);
