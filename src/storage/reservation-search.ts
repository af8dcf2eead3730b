// What is promised around a transfer: the same amount, amounts near it, what is its sender's. Finds by index, a bounded
// number of rows each; decides nothing.

import { and, asc, desc, eq, gte, isNotNull, isNull, lt, lte, ne, type SQL, sql } from "drizzle-orm";
import { around_max } from "../domain/attribution.ts";
import type { Candidate } from "../domain/matching.ts";
import { toUnits } from "../domain/money.ts";
import type { Reader } from "./engine/database.ts";
import { statement } from "./engine/statement.ts";
import { deposits, orders, slots, transfers, watches } from "./schema.ts";
import { type Pot, spans } from "./slots.ts";

const isTaken = sql`exists (select 1 from ${transfers} t where t.deposit = ${deposits.id} and t.part = 0 and t.id <> ${sql.placeholder("transfer")})`;

const candidate_columns = {
  deposit: deposits.id,
  order_id: deposits.order_id,
  order_status: orders.status,
  units: slots.units,
  rest: slots.rest,
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

type Row = Omit<Candidate, "units" | "closed" | "taken"> & { units: string; closed_at: number | null; taken: number };

/** A row of `candidate_columns` in the terms of the domain. */
export function candidateOf({ units, closed_at, taken, ...rest }: Row): Candidate {
  return { ...rest, units: BigInt(units), closed: closed_at !== null, taken: taken === 1 };
}

/** Slots of the pot of the placeholders `chain`, `coin` and `wallet`. */
export const isInPot = and(
  eq(slots.chain, sql.placeholder("chain")),
  eq(slots.coin, sql.placeholder("coin")),
  eq(slots.wallet, sql.placeholder("wallet")),
);

/** Canonical integer texts compare as numbers by (length, text), which is how an index has them. */
const digitsOf = sql`length(${slots.units})`;

/** Promises of a pot, at most `limit`. */
function selectPromises(where: SQL | undefined, ...order: SQL[]) {
  return statement((db) =>
    db
      .select(candidate_columns)
      .from(slots)
      .innerJoin(deposits, eq(deposits.id, slots.deposit))
      .innerJoin(orders, eq(orders.id, deposits.order_id))
      .where(and(isInPot, where))
      .orderBy(...order)
      .limit(sql.placeholder("limit"))
      .prepare(),
  );
}

/**
 * Not opened after the transfer of the placeholder `transfer` was first seen: it was sent for none of those, and however
 * many there are, they hide no other.
 */
export const isInSight = sql`${deposits.id} <= coalesce((select seen.newest_deposit from ${transfers} seen where seen.id = ${sql.placeholder("transfer")}), ${deposits.id})`;

const isAmong = sql`${slots.units} in (select value from json_each(${sql.placeholder("amounts")}))`;
const selectExact = selectPromises(isAmong);
const selectExactInSight = selectPromises(and(isAmong, isInSight));

const selectExactFor = selectPromises(
  and(eq(slots.units, sql.placeholder("units")), eq(slots.sender, sql.placeholder("sender"))),
);

/** Who was promised exactly this amount and expects this sender: at most one. */
export function candidateOfSender(at: Reader, pot: Pot, units: bigint, sender: string, transfer: number): Candidate[] {
  return selectExactFor(at)
    .all({ ...pot, units: units.toString(), sender, transfer, limit: 1 })
    .map(candidateOf);
}

/**
 * Who was promised exactly one of these amounts, at most `around_max` for each of them. `transfer` is the one being
 * matched: a deposit it pays itself is not taken.
 */
export function candidatesFor(at: Reader, pot: Pot, amounts: readonly bigint[], transfer: number): Candidate[] {
  const limit = around_max * amounts.length;
  return selectExact(at)
    .all({ ...pot, amounts: JSON.stringify(amounts.map(String)), limit, transfer })
    .map(candidateOf);
}

/** Who was promised exactly this amount, and open deposits of which it is left after parts; `begun` as in `remaindersOf`. */
export function dueExactly(
  at: Reader,
  pot: Pot,
  wanted: { units: bigint; sender: string; transfer: number },
): Candidate[] {
  return [...remaindersOf(at, pot, wanted), ...candidatesFor(at, pot, [wanted.units], wanted.transfer)];
}

/** As `candidatesFor`, without those that were opened after the transfer was seen. */
export function promisesOf(at: Reader, pot: Pot, amounts: readonly bigint[], transfer: number): Candidate[] {
  const limit = around_max * amounts.length;
  return selectExactInSight(at)
    .all({ ...pot, amounts: JSON.stringify(amounts.map(String)), limit, transfer })
    .map(candidateOf);
}

/**
 * Who was promised exactly this amount (decimal text) in any pot but this one. Blocks of other chains tell nothing here:
 * only time says what came first.
 */
export function candidatesElsewhere(at: Reader, pot: Pot, amount: string, transfer: number): Candidate[] {
  const others = selectPots(at)
    .all({})
    .filter((one) => one.chain !== pot.chain || one.coin !== pot.coin || one.wallet !== pot.wallet);
  return others.flatMap(({ chain, coin, wallet, decimals }) => {
    const units = toUnits(amount, decimals);
    if (units === null || coin === null) return [];
    return promisesOf(at, { chain, coin, wallet }, [units], transfer).map((one) => ({
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

/** Promises of a pot in (above, through], lowest first, at most `around_max`. */
export function promisesBetween(
  at: Reader,
  pot: Pot,
  range: { above: bigint; through: bigint },
  transfer: number,
): Candidate[] {
  return spans(range.above, range.through)
    .flatMap((span) => selectBetween(at).all({ ...pot, ...span, transfer, limit: around_max }))
    .slice(0, around_max)
    .map(candidateOf);
}

const selectBetween = selectPromises(
  and(
    isInSight,
    sql`${digitsOf} = ${sql.placeholder("digits")}`,
    gte(slots.units, sql.placeholder("from")),
    lte(slots.units, sql.placeholder("to")),
  ),
  asc(slots.units),
);

/** Promises of a pot below an amount, highest first, at most `around_max`. */
export function promisesBelow(at: Reader, pot: Pot, units: bigint, transfer: number): Candidate[] {
  const where = { ...pot, units: units.toString(), digits: units.toString().length, transfer, limit: around_max };
  const rows = selectBelow(at).all(where);
  if (rows.length < around_max) rows.push(...selectShorter(at).all(where));
  return rows.slice(0, around_max).map(candidateOf);
}

const selectBelow = selectPromises(
  and(isInSight, sql`${digitsOf} = ${sql.placeholder("digits")}`, lt(slots.units, sql.placeholder("units"))),
  desc(slots.units),
);
const selectShorter = selectPromises(
  and(isInSight, sql`${digitsOf} < ${sql.placeholder("digits")}`),
  desc(digitsOf),
  desc(slots.units),
);
/** What is compared of a deposit without looking at its reservations: `units` is what it asked for. */
const { rest: _, ...of_deposit } = { ...candidate_columns, units: deposits.units, amount: deposits.amount };
export const deposit_columns = of_deposit;

/** Deposits of one exact amount that are looked at, newest first: an amount is reserved for one payer at a time. */
const reserved_looked_max = 200;

/** Deposits of a pot that asked for exactly this amount and were open at `since` (ms) or later; at most `around_max`. */
export function reservedBefore(at: Reader, pot: Pot, units: bigint, since: number, transfer: number): Candidate[] {
  return selectReserved(at)
    .all({ ...pot, units: units.toString(), since, transfer, looked: reserved_looked_max })
    .map((row) => candidateOf({ ...row, rest: false }));
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
        isInSight,
        sql`(${deposits.closed_at} is null or ${deposits.closed_at} >= ${sql.placeholder("since")})`,
      ),
    )
    .limit(around_max)
    .prepare(),
);

/**
 * Open deposits of a pot of which exactly `units` are left after parts, at most `around_max`. `begun`: the sender has paid
 * one of these parts, with another transfer than `transfer`.
 */
export function remaindersOf(
  at: Reader,
  pot: Pot,
  wanted: { units: bigint; sender: string; transfer: number },
): (Candidate & { begun: boolean })[] {
  const rows = selectRemainders(at).all({ ...pot, ...wanted, units: wanted.units.toString() });
  return rows.map(({ begun, remainder, ...row }) => ({
    ...candidateOf({ ...row, rest: true, units: remainder ?? row.units }),
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
        isInSight,
      ),
    )
    .limit(around_max)
    .prepare(),
);

/** Deposits of a pot that ended unpaid with exactly `units` left and keep an amount: the newest, at most `around_max`. */
export function endedRemaindersOf(at: Reader, pot: Pot, units: bigint, transfer: number): Candidate[] {
  const rows = selectEndedRemainders(at).all({ ...pot, units: units.toString(), transfer });
  return rows.map((row) => candidateOf({ ...row, rest: true, units: units.toString() }));
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
        sql`${deposits.id} >= (select min(kept.deposit) from ${slots} kept)`,
        sql`exists (select 1 from ${slots} kept where kept.deposit = ${deposits.id})`,
        ne(orders.status, "paid"),
        isInSight,
      ),
    )
    .orderBy(desc(deposits.id))
    .limit(around_max)
    .prepare(),
);

/**
 * Reservations of a pot of one of these amounts or in one of these ranges, (above, through], that orders hold which are not
 * paid and had a deposit before `deposit`: those that anybody may pay, and those that expect `sender`. At most `around_max`
 * of each kind.
 */
export function unpaidBefore(
  at: Reader,
  pot: Pot,
  before: { deposit: number; order_id: string; sender: string; transfer: number },
  near: { amounts: readonly bigint[]; ranges: readonly { above: bigint; through: bigint }[] },
): Candidate[] {
  const where = { ...pot, ...before, limit: around_max };
  return [
    ...selectUnpaidExact(at).all({ ...where, amounts: JSON.stringify(near.amounts.map(String)) }),
    ...near.ranges
      .flatMap(({ above, through }) => spans(above, through))
      .flatMap((span) => selectUnpaidBetween(at).all({ ...where, ...span })),
  ].map(candidateOf);
}

/**
 * Open reservations of a pot of one of these amounts or in one of these ranges, (above, through], whose pending orders
 * other than `order_id` were asked for more than their price, and that `sender` may pay; without those whose own payment is
 * seen. At most `around_max` of each kind.
 */
export function surchargedNear(
  at: Reader,
  pot: Pot,
  than: { order_id: string; sender: string; transfer: number },
  near: { amounts: readonly bigint[]; ranges: readonly { above: bigint; through: bigint }[] },
): Candidate[] {
  const where = { ...pot, ...than, limit: around_max };
  return [
    ...selectSurchargedExact(at).all({ ...where, amounts: JSON.stringify(near.amounts.map(String)) }),
    ...near.ranges
      .flatMap(({ above, through }) => spans(above, through))
      .flatMap((span) => selectSurchargedBetween(at).all({ ...where, ...span })),
  ].map(candidateOf);
}

const isBetween = and(
  sql`${digitsOf} = ${sql.placeholder("digits")}`,
  gte(slots.units, sql.placeholder("from")),
  lte(slots.units, sql.placeholder("to")),
);
const isOfOtherFor = and(
  isInSight,
  ne(deposits.order_id, sql.placeholder("order_id")),
  sql`${slots.sender} in ('', ${sql.placeholder("sender")})`,
);
const isUnpaidBefore = and(lt(slots.deposit, sql.placeholder("deposit")), ne(orders.status, "paid"), isOfOtherFor);
const selectUnpaidExact = selectPromises(and(isAmong, isUnpaidBefore));
const selectUnpaidBetween = selectPromises(and(isBetween, isUnpaidBefore));
const isSurcharged = and(
  isNull(slots.closed_at),
  eq(slots.rest, false),
  sql`${deposits.amount} <> ${orders.amount}`,
  eq(orders.status, "pending"),
  // What is on its way to be paid exactly was not sent with decimals dropped.
  sql`not ${isTaken}`,
  isOfOtherFor,
);
const selectSurchargedExact = selectPromises(and(isAmong, isSurcharged));
const selectSurchargedBetween = selectPromises(and(isBetween, isSurcharged));
