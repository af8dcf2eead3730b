// What is promised around a transfer: the same amount, amounts near it, what is its sender's. Finds by index, a bounded
// number of rows each; decides nothing.

import { and, asc, desc, eq, gte, isNotNull, isNull, lt, lte, ne, type SQL, sql } from "drizzle-orm";
import type { ChainId } from "../domain/assets.ts";
import { around_max } from "../domain/attribution.ts";
import type { Candidate } from "../domain/matching.ts";
import { fromCommon, toCommon, toUnits } from "../domain/money.ts";
import { receivedFor } from "./allocations.ts";
import type { Reader } from "./database.ts";
import { deposits, orders, slots, transfers, watches } from "./schema.ts";
import { type Pot, spans } from "./slots.ts";
import { statement } from "./statement.ts";

const columns = {
  deposit: deposits.id,
  order_id: deposits.order_id,
  order_status: orders.status,
  units: slots.units,
  rest: slots.rest,
  expires_at: orders.expires_at,
  sender: deposits.sender,
  opened_at: deposits.opened_at,
  opened_head: deposits.opened_head,
  closed_at: deposits.closed_at,
  taken: sql<number>`exists (select 1 from ${transfers} t where t.deposit = ${deposits.id} and t.part = 0 and t.id <> ${sql.placeholder("transfer")})`,
};

type Row = Omit<Candidate, "units" | "closed" | "taken"> & { units: string; closed_at: number | null; taken: number };

function candidateOf({ units, closed_at, taken, ...rest }: Row): Candidate {
  return { ...rest, units: BigInt(units), closed: closed_at !== null, taken: taken === 1 };
}

const isInPot = and(
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
      .select(columns)
      .from(slots)
      .innerJoin(deposits, eq(deposits.id, slots.deposit))
      .innerJoin(orders, eq(orders.id, deposits.order_id))
      .where(and(isInPot, where))
      .orderBy(...order)
      .limit(sql.placeholder("limit"))
      .prepare(),
  );
}

const selectExact = selectPromises(sql`${slots.units} in (select value from json_each(${sql.placeholder("amounts")}))`);

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
    return candidatesFor(at, { chain, coin, wallet }, [units], transfer).map((one) => ({ ...one, opened_head: null }));
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
  and(sql`${digitsOf} = ${sql.placeholder("digits")}`, lt(slots.units, sql.placeholder("units"))),
  desc(slots.units),
);
const selectShorter = selectPromises(
  sql`${digitsOf} < ${sql.placeholder("digits")}`,
  desc(digitsOf),
  desc(slots.units),
);

/**
 * Deposits of a pot that are a sender's: bound to it (those that ended unpaid among them while their amount is kept), or
 * open and paid by it in part with a transfer other than `transfer`. A sender who has paid for several orders, and is
 * expected by none, may be an exchange: then nothing is its own. `units`: what is left to pay.
 */
export function depositsOfSender(
  at: Reader,
  pot: Pot,
  sender: string,
  decimals: number,
  transfer: number,
): Candidate[] {
  const where = { ...pot, sender, transfer };
  const bound = selectBound(at).all(where);
  const begun = selectOrdersPaid(at).all(where).length === 1 ? selectBegunInPot(at).all(where) : [];
  const own = new Map([...bound, ...begun].map((row) => [row.deposit, row]));
  return [...own.values()].map((row) => {
    const left = toCommon(row.amount) - receivedFor(at, row.order_id);
    const units = left > 0n ? toUnits(fromCommon(left), decimals) : null;
    return candidateOf({ ...row, rest: false, units: (units ?? BigInt(row.units)).toString() });
  });
}

const { rest: _, ...deposit_columns } = { ...columns, units: deposits.units, amount: deposits.amount };

/** Of promises that expect a sender; the literal lets the planner use their index. */
const isExpecting = and(
  eq(slots.sender, sql.placeholder("sender")),
  sql`${slots.sender} <> ''`,
  ne(orders.status, "paid"),
  eq(slots.rest, false),
);

const selectBound = statement((db) =>
  db
    .select(deposit_columns)
    .from(slots)
    .innerJoin(deposits, eq(deposits.id, slots.deposit))
    .innerJoin(orders, eq(orders.id, deposits.order_id))
    .where(and(isInPot, isExpecting))
    .limit(around_max)
    .prepare(),
);

/** Deposits of one exact amount that are looked at, newest first: an amount is reserved for one payer at a time. */
const reserved_looked_max = 200;

/** Deposits of a pot that asked for exactly this amount and were open at `since` (ms) or later; at most `around_max`. */
export function reservedBefore(at: Reader, pot: Pot, units: bigint, since: number): Candidate[] {
  return selectReserved(at)
    .all({ ...pot, units: units.toString(), since, transfer: 0, looked: reserved_looked_max })
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
        sql`(${deposits.closed_at} is null or ${deposits.closed_at} >= ${sql.placeholder("since")})`,
      ),
    )
    .limit(around_max)
    .prepare(),
);

const isOther = and(
  eq(transfers.chain, sql.placeholder("chain")),
  eq(transfers.sender, sql.placeholder("sender")),
  ne(transfers.id, sql.placeholder("transfer")),
);

/** Two are enough to know that it is not one: an exchange has paid for thousands. */
const selectOrdersPaid = statement((db) =>
  db
    .selectDistinct({ order_id: deposits.order_id })
    .from(transfers)
    .innerJoin(deposits, eq(deposits.id, transfers.deposit))
    .where(and(isOther, isNotNull(transfers.deposit)))
    .limit(2)
    .prepare(),
);

/**
 * Open deposits that a sender paid a part of. What it paid before the oldest open deposit is not looked at, so that the
 * history of an exchange costs nothing. Literals: a partial index is chosen before a statement's parameters are known.
 */
function selectPartPaid(where?: SQL) {
  return statement((db) =>
    db
      .selectDistinct(deposit_columns)
      .from(transfers)
      .innerJoin(deposits, eq(deposits.id, transfers.deposit))
      .innerJoin(orders, eq(orders.id, deposits.order_id))
      .where(
        and(
          isOther,
          sql`${transfers.part} = 1`,
          sql`${transfers.deposit} >= (select min(open.id) from ${deposits} open where open.closed_at is null)`,
          eq(transfers.status, "matched"),
          isNull(deposits.closed_at),
          where,
        ),
      )
      .limit(around_max)
      .prepare(),
  );
}

const selectBegun = selectPartPaid();

const selectBegunInPot = selectPartPaid(
  and(eq(deposits.coin, sql.placeholder("coin")), eq(deposits.wallet, sql.placeholder("wallet"))),
);

/**
 * Deposits in whichever pot that expect a sender (those that ended unpaid among them while their amount is kept), and
 * open ones on its chain that it has paid in part with another transfer than `transfer`. Only time says what came first.
 */
export function depositsExpecting(at: Reader, chain: ChainId, sender: string, transfer: number): Candidate[] {
  const rows = [...selectExpecting(at).all({ sender, transfer }), ...selectBegun(at).all({ chain, sender, transfer })];
  return rows.map((row) => candidateOf({ ...row, rest: false, opened_head: null }));
}

const selectExpecting = statement((db) =>
  db
    .select(deposit_columns)
    .from(slots)
    .innerJoin(deposits, eq(deposits.id, slots.deposit))
    .innerJoin(orders, eq(orders.id, deposits.order_id))
    .where(isExpecting)
    .limit(around_max)
    .prepare(),
);

/** Addresses that begin with `prefix` and have paid a deposit on this wallet; a few, each found by one step in the index. */
export function payersLike(at: Reader, place: { chain: ChainId; wallet: string }, prefix: string): string[] {
  const found: string[] = [];
  for (let below = `${prefix}~`; found.length < around_max; ) {
    const payer = selectPayer(at).get({ ...place, prefix, below })?.sender;
    if (payer === undefined) break;
    found.push(payer);
    below = payer;
  }
  return found;
}

const selectPayer = statement((db) =>
  db
    .select({ sender: transfers.sender })
    .from(transfers)
    .where(
      and(
        eq(transfers.chain, sql.placeholder("chain")),
        // Without a hint the planner leaves the index of payers for that of senders, where one may have a long history.
        sql`likelihood(${transfers.wallet} = ${sql.placeholder("wallet")}, 0.01)`,
        gte(transfers.sender, sql.placeholder("prefix")),
        lt(transfers.sender, sql.placeholder("below")),
        isNotNull(transfers.deposit),
      ),
    )
    .orderBy(desc(transfers.sender))
    .limit(1)
    .prepare(),
);
