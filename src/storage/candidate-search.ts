// Which amounts payers were asked for that have to do with a transfer: the same amount anywhere, the nearest ones in its
// pot, what its sender pays, what was claimed. Finds by index, a few rows each; decides nothing.

import { and, asc, desc, eq, gte, isNotNull, isNull, lte, ne, type SQL, sql } from "drizzle-orm";
import type { ChainId, Coin } from "../domain/assets.ts";
import type { QuotedAmount } from "../domain/candidates.ts";
import { fromUnits, toUnits } from "../domain/money.ts";
import { usualFees } from "../domain/surcharge.ts";
import { claimantsOf } from "./claims.ts";
import { watchFor } from "./coverage.ts";
import type { Reader } from "./engine/database.ts";
import { statement } from "./engine/statement.ts";
import { orderById } from "./orders.ts";
import { isOnTarget } from "./reservation-search.ts";
import { equalLengthRanges, type PaymentTarget } from "./reservations.ts";
import { deposits, orders, reservations, transfers, watches } from "./schema.ts";
import type { TransferRow } from "./transfers.ts";

/** Rows of each kind: more would not make a person surer. */
const equals_max = 5;
const nearest_max = 3;
const sender_max = 5;
const fees_max = 1;

const columns = {
  deposit: deposits.id,
  order_id: deposits.order_id,
  merchant_order_id: orders.merchant_order_id,
  status: orders.status,
  chain: deposits.chain,
  coin: deposits.coin,
  wallet: deposits.wallet,
  amount: deposits.amount,
  sender: deposits.sender,
  opened_at: deposits.opened_at,
};

interface Row {
  deposit: number;
  order_id: string;
  merchant_order_id: string;
  status: QuotedAmount["status"];
  chain: ChainId;
  coin: Coin;
  wallet: string;
  amount: string;
  sender: string | null;
  opened_at: number;
}

type Known = (found: Row, rest?: string | null) => QuotedAmount;

/** Makes rows into what was asked, with what the transfer's sender and its claims say of them. */
function knownOf(row: TransferRow, claimed: ReadonlySet<string>, payers: readonly Row[]): Known {
  const paid = new Set(payers.map((one) => one.order_id));
  return (found, rest = null) => ({
    ...plain(found, rest),
    known_sender: (found.sender === row.sender && found.chain === row.chain) || paid.has(found.order_id),
    claimed: claimed.has(found.order_id),
  });
}

/** What one order asked for whose payer named the transfer: the newest few of its deposits. */
export function quotesOfClaimant(at: Reader, row: TransferRow, order_id: string): QuotedAmount[] {
  const asked = knownOf(row, new Set([order_id]), ordersPaidBy(at, row));
  return selectOfOrder(at)
    .all({ order_id })
    .map((found) => asked(found));
}

/** Everything that a person should compare the transfer with, in no order and perhaps more than once. */
export function quotesNear(at: Reader, row: TransferRow): QuotedAmount[] {
  const claimed = new Set(claimantsOf(at, row.id));
  const payers = ordersPaidBy(at, row);
  const asked = knownOf(row, claimed, payers);
  const named = new Set([...claimed, ...(row.likely_order === null ? [] : [row.likely_order])]);
  return [
    ...nearest(at, row).map(({ rest, ...found }) => asked(found, rest)),
    ...equals(at, row).map((found) => asked(found)),
    ...shortened(at, row, fees_max).map((found) => asked(found)),
    ...payers.map((found) => asked(found)),
    ...[...named].flatMap((order_id) => {
      const rows = selectOfOrder(at).all({ order_id });
      return rows.length > 0 ? rows.map((found) => asked(found)) : unchosen(at, order_id, claimed);
    }),
  ];
}

/** Who was asked anywhere for exactly the transfer's amount, or for that and a usual fee. */
export function quotesElsewhere(at: Reader, row: Pick<TransferRow, "amount">): QuotedAmount[] {
  return [...equals(at, row), ...shortened(at, row, equals_max)].map((found) => plain(found, null));
}

function plain(found: Row, rest: string | null): QuotedAmount {
  const { order_id, merchant_order_id, status, chain, coin, wallet, opened_at } = found;
  return {
    ...{ order_id, merchant_order_id, status, opened_at },
    target: { chain, coin, wallet },
    amount: rest ?? found.amount,
    rest: rest !== null,
    known_sender: false,
    claimed: false,
  };
}

/** The same amount, whoever was asked for it, wherever and whenever: the newest few of each pot. */
function equals(at: Reader, { amount }: Pick<TransferRow, "amount">): Row[] {
  return selectPots(at)
    .all({})
    .flatMap(({ chain, coin, wallet, decimals }) => {
      const units = toUnits(amount, decimals);
      return units === null || coin === null
        ? []
        : selectEqual(at).all({ chain, coin, wallet, units: units.toString() });
    });
}

const selectPots = statement((db) =>
  db
    .selectDistinct({
      chain: watches.chain,
      coin: watches.coin,
      wallet: watches.wallet,
      decimals: watches.decimals,
    })
    .from(watches)
    .where(isNotNull(watches.coin))
    .prepare(),
);

const selectEqual = statement((db) =>
  db
    .select(columns)
    .from(deposits)
    .innerJoin(orders, eq(orders.id, deposits.order_id))
    .where(
      and(
        eq(deposits.chain, sql.placeholder("chain")),
        eq(deposits.coin, sql.placeholder("coin")),
        eq(deposits.wallet, sql.placeholder("wallet")),
        eq(deposits.units, sql.placeholder("units")),
      ),
    )
    .orderBy(desc(deposits.id))
    .limit(equals_max)
    .prepare(),
);

type Near = Row & { rest: string | null };

/**
 * The next amounts promised in the pot, above up to twice the transfer's, below down to two thirds of it, and the next ones
 * of which it is what remains without further decimals.
 */
function nearest(at: Reader, row: TransferRow): Near[] {
  const { chain, coin, wallet } = row;
  const decimals = watchFor(at, row)?.decimals;
  if (coin === null || decimals === undefined) return [];
  const target = { chain, coin, wallet };
  const units = BigInt(row.units);
  const above = equalLengthRanges(units - 1n, units * 2n).flatMap((span) =>
    selectAbove(at).all({ ...target, ...span }),
  );
  const below = equalLengthRanges((units * 2n) / 3n - 1n, units - 1n)
    .reverse()
    .flatMap((span) => selectBelow(at).all({ ...target, ...span }));
  return [...above.slice(0, nearest_max), ...below.slice(0, nearest_max)].map(({ slot_units, is_rest, ...rest }) => ({
    ...rest,
    rest: is_rest ? fromUnits(BigInt(slot_units), decimals) : null,
  }));
}

function selectNear(order: SQL) {
  return statement((db) =>
    db
      .select({ ...columns, slot_units: reservations.units, is_rest: reservations.rest })
      .from(reservations)
      .innerJoin(deposits, eq(deposits.id, reservations.deposit))
      .innerJoin(orders, eq(orders.id, deposits.order_id))
      .where(
        and(
          eq(reservations.chain, sql.placeholder("chain")),
          eq(reservations.coin, sql.placeholder("coin")),
          eq(reservations.wallet, sql.placeholder("wallet")),
          gte(reservations.units, sql.placeholder("from")),
          lte(reservations.units, sql.placeholder("to")),
          sql`length(${reservations.units}) = ${sql.placeholder("digits")}`,
        ),
      )
      .orderBy(order)
      .limit(nearest_max)
      .prepare(),
  );
}

const selectAbove = selectNear(asc(reservations.units));
const selectBelow = selectNear(desc(reservations.units));

/** Who was ever asked anywhere for this amount and one of the fees that exchanges usually keep: so many of each amount. */
function shortened(at: Reader, { amount }: Pick<TransferRow, "amount">, each_max: number): Row[] {
  return selectPots(at)
    .all({})
    .flatMap(({ chain, coin, wallet, decimals }) => {
      const units = toUnits(amount, decimals);
      if (units === null || coin === null) return [];
      const amounts = JSON.stringify(usualFees(decimals).map((fee) => (units + fee).toString()));
      return selectAmong(at).all({ chain, coin, wallet, amounts, each_max });
    });
}

/** The newest few of each of several amounts. */
const selectAmong = statement((db) =>
  db
    .select(columns)
    .from(sql`json_each(${sql.placeholder("amounts")})`)
    .innerJoin(
      deposits,
      sql`${deposits.id} in (select d.id from deposits d where d.chain = ${sql.placeholder("chain")}
        and d.coin = ${sql.placeholder("coin")} and d.wallet = ${sql.placeholder("wallet")} and d.units = json_each.value
        order by d.id desc limit ${sql.placeholder("each_max")})`,
    )
    .innerJoin(orders, eq(orders.id, deposits.order_id))
    .prepare(),
);

/** Deposits that the transfer's sender paid with other transfers. */
function ordersPaidBy(at: Reader, row: TransferRow): Row[] {
  return selectPaidBy(at).all({ chain: row.chain, sender: row.sender, transfer: row.id });
}

const selectPaidBy = statement((db) =>
  db
    .selectDistinct(columns)
    .from(transfers)
    .innerJoin(deposits, eq(deposits.id, transfers.deposit))
    .innerJoin(orders, eq(orders.id, deposits.order_id))
    .where(
      and(
        eq(transfers.chain, sql.placeholder("chain")),
        eq(transfers.sender, sql.placeholder("sender")),
        isNotNull(transfers.deposit),
        ne(transfers.id, sql.placeholder("transfer")),
      ),
    )
    .orderBy(desc(transfers.deposit))
    .limit(sender_max)
    .prepare(),
);

const selectOfOrder = statement((db) =>
  db
    .select(columns)
    .from(deposits)
    .innerJoin(orders, eq(orders.id, deposits.order_id))
    .where(eq(deposits.order_id, sql.placeholder("order_id")))
    .orderBy(desc(deposits.id))
    .limit(equals_max)
    .prepare(),
);

/** An order that was named although its payer never chose. */
function unchosen(at: Reader, order_id: string, claimed: ReadonlySet<string>): QuotedAmount[] {
  const order = orderById(at, order_id);
  if (order === null) return [];
  const { merchant_order_id, status, amount } = order;
  const facts = { target: null, rest: false, opened_at: null, known_sender: false, claimed: claimed.has(order_id) };
  return [{ order_id, merchant_order_id, status, amount, ...facts }];
}

/**
 * True where another pending order than `order_id`, which `sender` may pay, asks for more than `units` in this payment
 * target, and did when a transfer was first seen (`newest_deposit`): the transfer may be a part of it.
 */
export function isLessThanOtherOrder(
  at: Reader,
  target: PaymentTarget,
  units: bigint,
  { order_id, sender, newest_deposit }: { order_id: string; sender: string; newest_deposit: number | null },
): boolean {
  const text = units.toString();
  const newest = newest_deposit ?? Number.MAX_SAFE_INTEGER;
  return selectLarger(at).get({ ...target, units: text, digits: text.length, order_id, sender, newest }) !== undefined;
}

const selectLarger = statement((db) =>
  db
    .select({ id: reservations.id })
    .from(reservations)
    .innerJoin(deposits, eq(deposits.id, reservations.deposit))
    .where(
      and(
        isOnTarget,
        sql`(length(${reservations.units}), ${reservations.units}) > (${sql.placeholder("digits")}, ${sql.placeholder("units")})`,
        isNull(reservations.closed_at),
        lte(deposits.id, sql.placeholder("newest")),
        ne(deposits.order_id, sql.placeholder("order_id")),
        sql`${reservations.sender} in ('', ${sql.placeholder("sender")})`,
      ),
    )
    .limit(1)
    .prepare(),
);
