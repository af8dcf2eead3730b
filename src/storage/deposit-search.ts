// Deposits around a transfer: of one exact amount, and those of which exactly an amount is left to pay. Finds by index, a
// bounded number of rows each; decides nothing.

import { and, desc, eq, isNotNull, isNull, ne, sql } from "drizzle-orm";
import { nearby_max } from "../domain/attribution.ts";
import type { Reservation } from "../domain/matching.ts";
import type { Reader } from "./engine/database.ts";
import { statement } from "./engine/statement.ts";
import { candidate_columns, isKnownAtArrival, reservationOf, reservationsFor } from "./reservation-search.ts";
import type { PaymentTarget } from "./reservations.ts";
import { deposits, orders, reservations } from "./schema.ts";

/** What is compared of a deposit without looking at its reservations: `units` is what it asked for. */
const { rest: _, ...of_deposit } = { ...candidate_columns, units: deposits.units, amount: deposits.amount };
export const deposit_columns = of_deposit;

/** Deposits of one exact amount that are looked at, newest first: an amount is reserved for one payer at a time. */
const reserved_looked_max = 200;

/** Deposits of a pot that asked for exactly this amount and were open at `since` (ms) or later; at most `nearby_max`. */
export function depositsReservedSince(
  at: Reader,
  target: PaymentTarget,
  units: bigint,
  since: number,
  transfer: number,
): Reservation[] {
  return selectReserved(at)
    .all({ ...target, units: units.toString(), since, transfer, looked: reserved_looked_max })
    .map((row) => reservationOf({ ...row, rest: false }));
}

const selectReserved = statement((db) =>
  db
    .select(deposit_columns)
    .from(deposits)
    .innerJoin(orders, eq(orders.id, deposits.order_id))
    .where(
      and(
        sql`${deposits.id} in (select id from deposits d where d.chain = ${sql.placeholder("chain")}
          and d.coin = ${sql.placeholder("coin")} and d.wallet = ${sql.placeholder("wallet")}
          and d.units = ${sql.placeholder("units")} order by d.id desc limit ${sql.placeholder("looked")})`,
        isKnownAtArrival,
        sql`(${deposits.closed_at} is null or ${deposits.closed_at} >= ${sql.placeholder("since")})`,
      ),
    )
    .limit(nearby_max)
    .prepare(),
);

/**
 * Open deposits of a pot of which exactly `units` are left after parts, at most `nearby_max`. `begun`: the sender has paid
 * one of these parts, with another transfer than `transfer`.
 */
export function remaindersOf(
  at: Reader,
  target: PaymentTarget,
  wanted: { units: bigint; sender: string; transfer: number },
): (Reservation & { begun: boolean })[] {
  const rows = selectRemainders(at).all({ ...target, ...wanted, units: wanted.units.toString() });
  return rows.map(({ begun, remainder, ...row }) => ({
    ...reservationOf({ ...row, rest: true, units: remainder ?? row.units }),
    begun: begun === 1,
  }));
}

const selectRemainders = statement((db) =>
  db
    .select({
      ...deposit_columns,
      remainder: deposits.remainder,
      begun: sql<number>`exists (select 1 from allocations a join transfers p on p.id = a.transfer
        where a.order_id = ${deposits.order_id} and a.reversed_at is null and p.reverted_at is null
          and p.sender = ${sql.placeholder("sender")} and p.id <> ${sql.placeholder("transfer")})`,
    })
    .from(deposits)
    .innerJoin(orders, eq(orders.id, deposits.order_id))
    .where(
      and(
        eq(deposits.chain, sql.placeholder("chain")),
        eq(deposits.coin, sql.placeholder("coin")),
        eq(deposits.wallet, sql.placeholder("wallet")),
        eq(deposits.remainder, sql.placeholder("units")),
        isNotNull(deposits.remainder),
        isNull(deposits.closed_at),
        isKnownAtArrival,
      ),
    )
    .limit(nearby_max)
    .prepare(),
);

/** Deposits of a pot that ended unpaid with exactly `units` left and keep an amount: the newest, at most `nearby_max`. */
export function endedRemaindersOf(at: Reader, target: PaymentTarget, units: bigint, transfer: number): Reservation[] {
  const rows = selectEndedRemainders(at).all({ ...target, units: units.toString(), transfer });
  return rows.map((row) => reservationOf({ ...row, rest: true, units: units.toString() }));
}

const selectEndedRemainders = statement((db) =>
  db
    .select(deposit_columns)
    .from(deposits)
    .innerJoin(orders, eq(orders.id, deposits.order_id))
    .where(
      and(
        eq(deposits.chain, sql.placeholder("chain")),
        eq(deposits.coin, sql.placeholder("coin")),
        eq(deposits.wallet, sql.placeholder("wallet")),
        eq(deposits.remainder, sql.placeholder("units")),
        isNotNull(deposits.remainder),
        isNotNull(deposits.closed_at),
        // Deposits that keep an amount are no older than the oldest that does: history is not read.
        sql`${deposits.id} >= (select min(kept.deposit) from ${reservations} kept)`,
        sql`exists (select 1 from ${reservations} kept where kept.deposit = ${deposits.id})`,
        ne(orders.status, "paid"),
        isKnownAtArrival,
      ),
    )
    .orderBy(desc(deposits.id))
    .limit(nearby_max)
    .prepare(),
);

/** Who was promised exactly this amount, and open deposits of which it is left after parts; `begun` as in `remaindersOf`. */
export function depositsDueExactly(
  at: Reader,
  target: PaymentTarget,
  wanted: { units: bigint; sender: string; transfer: number },
): Reservation[] {
  return [...remaindersOf(at, target, wanted), ...reservationsFor(at, target, [wanted.units], wanted.transfer)];
}
