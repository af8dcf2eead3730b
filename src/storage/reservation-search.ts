// What is promised around a transfer: the same amount, amounts near it, what is its sender's. Finds by index, a bounded
// number of rows each; decides nothing.

import { and, asc, desc, eq, gte, isNotNull, isNull, lt, lte, ne, type SQL, sql } from "drizzle-orm";
import { nearby_max } from "../domain/attribution.ts";
import type { Reservation } from "../domain/matching.ts";
import { toUnits } from "../domain/money.ts";
import type { Reader } from "./engine/database.ts";
import { statement } from "./engine/statement.ts";
import { equalLengthRanges, type PaymentTarget } from "./reservations.ts";
import { deposits, orders, reservations, transfers, watches } from "./schema.ts";

const isTaken = sql`exists (select 1 from ${transfers} t where t.deposit = ${deposits.id} and t.part = 0 and t.id <> ${sql.placeholder("transfer")})`;

export const candidate_columns = {
  deposit: deposits.id,
  order_id: deposits.order_id,
  order_status: orders.status,
  units: reservations.units,
  rest: reservations.rest,
  expires_at: orders.expires_at,
  sender: deposits.sender,
  opened_at: deposits.opened_at,
  opened_head: deposits.opened_head,
  opened_ahead_ms: deposits.opened_ahead_ms,
  opened_uncertainty_ms: deposits.opened_uncertainty_ms,
  head_after_opening: deposits.head_after_opening,
  closed_at: deposits.closed_at,
  taken: sql<number>`${isTaken}`,
};

type Row = Omit<Reservation, "units" | "closed" | "taken"> & { units: string; closed_at: number | null; taken: number };

/** A row of `candidate_columns` in the terms of the domain. */
export function reservationOf({ units, closed_at, taken, ...rest }: Row): Reservation {
  return { ...rest, units: BigInt(units), closed: closed_at !== null, taken: taken === 1 };
}

/** Reservations of the payment target of the placeholders `chain`, `coin` and `wallet`. */
export const isOnTarget = and(
  eq(reservations.chain, sql.placeholder("chain")),
  eq(reservations.coin, sql.placeholder("coin")),
  eq(reservations.wallet, sql.placeholder("wallet")),
);

/** Canonical integer texts compare as numbers by (length, text), which is how an index has them. */
const digitsOf = sql`length(${reservations.units})`;

/** Promises of a pot, at most `limit`. */
function selectPromises(where: SQL | undefined, ...order: SQL[]) {
  return statement((db) =>
    db
      .select(candidate_columns)
      .from(reservations)
      .innerJoin(deposits, eq(deposits.id, reservations.deposit))
      .innerJoin(orders, eq(orders.id, deposits.order_id))
      .where(and(isOnTarget, where))
      .orderBy(...order)
      .limit(sql.placeholder("limit"))
      .prepare(),
  );
}

/**
 * Not opened after the transfer of the placeholder `transfer` was first seen: it was sent for none of those, and however
 * many there are, they hide no other.
 */
export const isKnownAtArrival = sql`${deposits.id} <= coalesce((select seen.newest_deposit from ${transfers} seen where seen.id = ${sql.placeholder("transfer")}), ${deposits.id})`;

const isAmong = sql`${reservations.units} in (select value from json_each(${sql.placeholder("amounts")}))`;
const selectExact = selectPromises(isAmong);
const selectExactInSight = selectPromises(and(isAmong, isKnownAtArrival));

const selectExactFor = selectPromises(
  and(eq(reservations.units, sql.placeholder("units")), eq(reservations.sender, sql.placeholder("sender"))),
);

/** Who was promised exactly this amount and expects this sender: at most one. */
export function reservationOfSender(
  at: Reader,
  target: PaymentTarget,
  units: bigint,
  sender: string,
  transfer: number,
): Reservation[] {
  return selectExactFor(at)
    .all({ ...target, units: units.toString(), sender, transfer, limit: 1 })
    .map(reservationOf);
}

/**
 * Who was promised exactly one of these amounts, at most `nearby_max` for each of them. `transfer` is the one being
 * matched: a deposit it pays itself is not taken.
 */
export function reservationsFor(
  at: Reader,
  target: PaymentTarget,
  amounts: readonly bigint[],
  transfer: number,
): Reservation[] {
  const limit = nearby_max * amounts.length;
  return selectExact(at)
    .all({ ...target, amounts: JSON.stringify(amounts.map(String)), limit, transfer })
    .map(reservationOf);
}

/** As `reservationsFor`, without those that were opened after the transfer was seen. */
export function earlierReservationsFor(
  at: Reader,
  target: PaymentTarget,
  amounts: readonly bigint[],
  transfer: number,
): Reservation[] {
  const limit = nearby_max * amounts.length;
  return selectExactInSight(at)
    .all({ ...target, amounts: JSON.stringify(amounts.map(String)), limit, transfer })
    .map(reservationOf);
}

/**
 * Who was promised exactly this amount (decimal text) in any pot but this one. Blocks of other chains tell nothing here:
 * only time says what came first.
 */
export function reservationsElsewhere(
  at: Reader,
  target: PaymentTarget,
  amount: string,
  transfer: number,
): Reservation[] {
  const others = selectPots(at)
    .all({})
    .filter((one) => one.chain !== target.chain || one.coin !== target.coin || one.wallet !== target.wallet);
  return others.flatMap(({ chain, coin, wallet, decimals }) => {
    const units = toUnits(amount, decimals);
    if (units === null || coin === null) return [];
    return earlierReservationsFor(at, { chain, coin, wallet }, [units], transfer).map((one) => ({
      ...one,
      opened_head: null,
      head_after_opening: null,
    }));
  });
}

const selectPots = statement((db) =>
  db
    .selectDistinct({ chain: watches.chain, coin: watches.coin, wallet: watches.wallet, decimals: watches.decimals })
    .from(watches)
    .where(isNotNull(watches.coin))
    .prepare(),
);

/** Promises of a pot in (above, through], lowest first, at most `nearby_max`. */
export function reservationsBetween(
  at: Reader,
  target: PaymentTarget,
  range: { above: bigint; through: bigint },
  transfer: number,
): Reservation[] {
  return equalLengthRanges(range.above, range.through)
    .flatMap((span) => selectBetween(at).all({ ...target, ...span, transfer, limit: nearby_max }))
    .slice(0, nearby_max)
    .map(reservationOf);
}

const selectBetween = selectPromises(
  and(
    isKnownAtArrival,
    sql`${digitsOf} = ${sql.placeholder("digits")}`,
    gte(reservations.units, sql.placeholder("from")),
    lte(reservations.units, sql.placeholder("to")),
  ),
  asc(reservations.units),
);

/** Promises of a pot below an amount, highest first, at most `nearby_max`. */
export function reservationsBelow(at: Reader, target: PaymentTarget, units: bigint, transfer: number): Reservation[] {
  const where = { ...target, units: units.toString(), digits: units.toString().length, transfer, limit: nearby_max };
  const rows = selectBelow(at).all(where);
  if (rows.length < nearby_max) rows.push(...selectShorter(at).all(where));
  return rows.slice(0, nearby_max).map(reservationOf);
}

const selectBelow = selectPromises(
  and(
    isKnownAtArrival,
    sql`${digitsOf} = ${sql.placeholder("digits")}`,
    lt(reservations.units, sql.placeholder("units")),
  ),
  desc(reservations.units),
);
const selectShorter = selectPromises(
  and(isKnownAtArrival, sql`${digitsOf} < ${sql.placeholder("digits")}`),
  desc(digitsOf),
  desc(reservations.units),
);

/**
 * Reservations of a pot of one of these amounts or in one of these ranges, (above, through], that orders hold which are not
 * paid and had a deposit before `deposit`: those that anybody may pay, and those that expect `sender`. At most `nearby_max`
 * of each kind.
 */
export function unpaidReservationsBefore(
  at: Reader,
  target: PaymentTarget,
  before: { deposit: number; order_id: string; sender: string; transfer: number },
  near: { amounts: readonly bigint[]; ranges: readonly { above: bigint; through: bigint }[] },
): Reservation[] {
  const where = { ...target, ...before, limit: nearby_max };
  return [
    ...selectUnpaidExact(at).all({ ...where, amounts: JSON.stringify(near.amounts.map(String)) }),
    ...near.ranges
      .flatMap(({ above, through }) => equalLengthRanges(above, through))
      .flatMap((span) => selectUnpaidBetween(at).all({ ...where, ...span })),
  ].map(reservationOf);
}

/**
 * Open reservations of a pot of one of these amounts or in one of these ranges, (above, through], whose pending orders
 * other than `order_id` were asked for more than their price, and that `sender` may pay; without those whose own payment is
 * seen. At most `nearby_max` of each kind.
 */
export function surchargedReservationsNear(
  at: Reader,
  target: PaymentTarget,
  than: { order_id: string; sender: string; transfer: number },
  near: { amounts: readonly bigint[]; ranges: readonly { above: bigint; through: bigint }[] },
): Reservation[] {
  const where = { ...target, ...than, limit: nearby_max };
  return [
    ...selectSurchargedExact(at).all({ ...where, amounts: JSON.stringify(near.amounts.map(String)) }),
    ...near.ranges
      .flatMap(({ above, through }) => equalLengthRanges(above, through))
      .flatMap((span) => selectSurchargedBetween(at).all({ ...where, ...span })),
  ].map(reservationOf);
}

const isBetween = and(
  sql`${digitsOf} = ${sql.placeholder("digits")}`,
  gte(reservations.units, sql.placeholder("from")),
  lte(reservations.units, sql.placeholder("to")),
);
const isOfOtherFor = and(
  isKnownAtArrival,
  ne(deposits.order_id, sql.placeholder("order_id")),
  sql`${reservations.sender} in ('', ${sql.placeholder("sender")})`,
);
const isUnpaidBefore = and(
  lt(reservations.deposit, sql.placeholder("deposit")),
  ne(orders.status, "paid"),
  isOfOtherFor,
);
const selectUnpaidExact = selectPromises(and(isAmong, isUnpaidBefore));
const selectUnpaidBetween = selectPromises(and(isBetween, isUnpaidBefore));
const isSurcharged = and(
  isNull(reservations.closed_at),
  eq(reservations.rest, false),
  sql`${deposits.amount} <> ${orders.amount}`,
  eq(orders.status, "pending"),
  // What is on its way to be paid exactly was not sent with decimals dropped.
  sql`not ${isTaken}`,
  isOfOtherFor,
);
const selectSurchargedExact = selectPromises(and(isAmong, isSurcharged));
const selectSurchargedBetween = selectPromises(and(isBetween, isSurcharged));
