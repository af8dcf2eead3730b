// Rows of slots: amounts that are promised to one payer and to nobody else, until long after. The unique index and the
// trigger of `slots` decide; what is asked here first only lets a refusal be polite.

import { and, asc, eq, gte, isNotNull, isNull, lte, min, type SQL, sql } from "drizzle-orm";
import type { ChainId, Coin } from "../domain/assets.ts";
import type { Reader, Tx } from "./engine/database.ts";
import { statement } from "./engine/statement.ts";
import { deposits, reservations } from "./schema.ts";

export interface PaymentTarget {
  chain: ChainId;
  coin: Coin;
  wallet: string;
}

export interface NewReservation extends PaymentTarget {
  units: bigint;
  /** The only one who may pay it; null: anybody. */
  sender: string | null;
  deposit: number;
  /** What was left to pay after a part. */
  rest: boolean;
}

/** Promises an amount. Throws SQLite's constraint error when it is promised already. */
export function insertReservation(tx: Tx, slot: NewReservation): void {
  const { units, sender, rest } = slot;
  insertSlot(tx).run({ ...slot, units: units.toString(), sender: sender ?? "", rest: rest ? 1 : 0 });
}

const insertSlot = statement((db) =>
  db
    .insert(reservations)
    .values({
      chain: sql.placeholder("chain"),
      coin: sql.placeholder("coin"),
      wallet: sql.placeholder("wallet"),
      units: sql.placeholder("units"),
      sender: sql.placeholder("sender"),
      deposit: sql.placeholder("deposit"),
      rest: sql.placeholder("rest"),
    })
    .prepare(),
);

/** Lets go of one amount that was left to pay of a deposit. */
export function releaseRemainder(tx: Tx, deposit: number, units: bigint): void {
  deleteRest(tx).run({ deposit, units: units.toString() });
}

const isRestOf = and(eq(reservations.deposit, sql.placeholder("deposit")), eq(reservations.rest, true));

const deleteRest = statement((db) =>
  db
    .delete(reservations)
    .where(and(isRestOf, eq(reservations.units, sql.placeholder("units"))))
    .prepare(),
);

/**
 * Lets go of all amounts that were left to pay of a deposit but the `kept` newest, and those that an unconfirmed transfer
 * is on its way to pay.
 */
export function releaseOldRemainders(tx: Tx, deposit: number, kept: number): void {
  deleteOldRests(tx).run({ deposit, kept });
}

const deleteOldRests = statement((db) =>
  db
    .delete(reservations)
    .where(
      and(
        isRestOf,
        sql`${reservations.id} not in (select s.id from slots s where s.deposit = ${sql.placeholder("deposit")} and s.rest = 1 order by s.id desc limit ${sql.placeholder("kept")})`,
        sql`not exists (select 1 from transfers t where t.chain = slots.chain and t.coin = slots.coin and t.wallet = slots.wallet
          and t.units = slots.units and t.deposit = slots.deposit and t.status = 'waiting_for_confirmation')`,
      ),
    )
    .prepare(),
);

/** Whether an amount is promised to a deposit now. */
export function isReservedFor(at: Reader, deposit: number, units: bigint): boolean {
  return selectPromised(at).get({ deposit, units: units.toString() }) !== undefined;
}

const selectPromised = statement((db) =>
  db
    .select({ id: reservations.id })
    .from(reservations)
    .where(
      and(
        eq(reservations.deposit, sql.placeholder("deposit")),
        eq(reservations.units, sql.placeholder("units")),
        isNull(reservations.closed_at),
      ),
    )
    .prepare(),
);

/** Puts the slots of a deposit in quarantine that begins at `closed_at` (ms). */
export function closeReservations(tx: Tx, deposit: number, closed_at: number): void {
  updateClosed(tx).run({ deposit, now: closed_at });
}

const updateClosed = statement((db) =>
  db
    .update(reservations)
    .set({ closed_at: sql`${sql.placeholder("now")}` })
    .where(eq(reservations.deposit, sql.placeholder("deposit")))
    .prepare(),
);

/** True when nobody else could mean this amount: an unbound promise excludes all others of it, a bound one only its own sender. */
export function isFree(at: Reader, target: PaymentTarget, units: bigint, sender: string | null): boolean {
  const taken = selectSlot(at).all({ ...target, units: units.toString() });
  return sender === null ? taken.length === 0 : taken.every((slot) => slot.sender !== "" && slot.sender !== sender);
}

const selectSlot = statement((db) =>
  db
    .select({ sender: reservations.sender })
    .from(reservations)
    .where(
      and(
        eq(reservations.chain, sql.placeholder("chain")),
        eq(reservations.coin, sql.placeholder("coin")),
        eq(reservations.wallet, sql.placeholder("wallet")),
        eq(reservations.units, sql.placeholder("units")),
      ),
    )
    .prepare(),
);

/** True when another order has a reservation of one of these amounts or in one of these ranges, (above, through]. */
export function isReservedByOther(
  at: Reader,
  target: PaymentTarget,
  order_id: string,
  near: { amounts: readonly bigint[]; ranges: readonly { above: bigint; through: bigint }[] },
): boolean {
  const where = { ...target, order_id };
  if (selectOthersExact(at).get({ ...where, amounts: JSON.stringify(near.amounts.map(String)) }) !== undefined)
    return true;
  const parts = near.ranges.flatMap(({ above, through }) => equalLengthRanges(above, through));
  return parts.some((span) => selectOthersBetween(at).get({ ...where, ...span }) !== undefined);
}

function selectOthers(where: SQL | undefined) {
  return statement((db) =>
    db
      .select({ id: reservations.id })
      .from(reservations)
      .innerJoin(deposits, eq(deposits.id, reservations.deposit))
      .where(
        and(
          eq(reservations.chain, sql.placeholder("chain")),
          eq(reservations.coin, sql.placeholder("coin")),
          eq(reservations.wallet, sql.placeholder("wallet")),
          where,
          sql`${deposits.order_id} <> ${sql.placeholder("order_id")}`,
        ),
      )
      .limit(1)
      .prepare(),
  );
}

const selectOthersExact = selectOthers(
  sql`${reservations.units} in (select value from json_each(${sql.placeholder("amounts")}))`,
);
const selectOthersBetween = selectOthers(
  and(
    gte(reservations.units, sql.placeholder("from")),
    lte(reservations.units, sql.placeholder("to")),
    sql`length(${reservations.units}) = ${sql.placeholder("digits")}`,
  ),
);

/** The promised amounts of a pot in (above, through], bound or not, open or in quarantine; ascending, each once. */
export function reservedBetween(at: Reader, target: PaymentTarget, above: bigint, through: bigint): bigint[] {
  const rows = equalLengthRanges(above, through).flatMap((span) => selectUnits(at).values({ ...target, ...span }));
  return rows.map(([units]) => BigInt(units as string));
}

/**
 * (above, through] in parts of equally many digits: within one, canonical integer texts compare as numbers, and the
 * index of a pot's amounts is read between two of its texts instead of whole.
 */
export function equalLengthRanges(above: bigint, through: bigint): { from: string; to: string; digits: number }[] {
  const parts: { from: string; to: string; digits: number }[] = [];
  for (let from = above + 1n; from <= through; ) {
    const digits = from.toString().length;
    const last = 10n ** BigInt(digits) - 1n;
    const to = last < through ? last : through;
    parts.push({ from: from.toString(), to: to.toString(), digits });
    from = to + 1n;
  }
  return parts;
}

const selectUnits = statement((db) =>
  db
    .selectDistinct({ units: reservations.units })
    .from(reservations)
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
    .orderBy(asc(reservations.units))
    .prepare(),
);

/** When the first quarantine of an amount in (above, through] of a pot began, ms; null when none is in quarantine. */
export function firstQuarantine(at: Reader, target: PaymentTarget, above: bigint, through: bigint): number | null {
  const began = equalLengthRanges(above, through).map(
    (span) => selectFirstClosed(at).get({ ...target, ...span })?.closed_at ?? null,
  );
  const known = began.filter((closed_at) => closed_at !== null);
  return known.length === 0 ? null : Math.min(...known);
}

const selectFirstClosed = statement((db) =>
  db
    .select({ closed_at: min(reservations.closed_at) })
    .from(reservations)
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
    .prepare(),
);

/** A reserved amount in quarantine, and when its deposit opened. */
export interface ClosedReservation extends PaymentTarget {
  id: number;
  /** ms */
  closed_at: number;
  opened_head: number | null;
}

/** Amounts in quarantine that were closed at or before `closed_before` (ms), first closed first; those behind `after`. */
export function closedReservations(
  at: Reader,
  closed_before: number,
  after: { closed_at: number; id: number },
  limit: number,
): ClosedReservation[] {
  const { closed_at, id } = after;
  return selectClosed(at).all({ closed_before, closed_at, id, limit });
}

const selectClosed = statement((db) =>
  db
    .select({
      id: reservations.id,
      chain: reservations.chain,
      coin: reservations.coin,
      wallet: reservations.wallet,
      closed_at: sql<number>`${reservations.closed_at}`,
      opened_head: deposits.opened_head,
    })
    .from(reservations)
    .innerJoin(deposits, eq(deposits.id, reservations.deposit))
    .where(
      and(
        isNotNull(reservations.closed_at),
        sql`(${reservations.closed_at}, ${reservations.id}) > (${sql.placeholder("closed_at")}, ${sql.placeholder("id")})`,
        lte(reservations.closed_at, sql.placeholder("closed_before")),
      ),
    )
    .orderBy(asc(reservations.closed_at), asc(reservations.id))
    .limit(sql.placeholder("limit"))
    .prepare(),
);

/** Ends the quarantine of amounts. Returns how many. */
export function releaseReservations(tx: Tx, ids: readonly number[]): number {
  return release(tx).all({ ids: JSON.stringify(ids) }).length;
}

const release = statement((db) =>
  db
    .delete(reservations)
    .where(
      and(
        isNotNull(reservations.closed_at),
        sql`${reservations.id} in (select value from json_each(${sql.placeholder("ids")}))`,
      ),
    )
    .returning({ id: reservations.id })
    .prepare(),
);

/** Amounts that are promised per chain and coin, open or in quarantine. */
export function countReserved(at: Reader): { chain: ChainId; coin: Coin; slots: number }[] {
  return at
    .live()
    .select({ chain: reservations.chain, coin: reservations.coin, slots: sql<number>`count(*)` })
    .from(reservations)
    .groupBy(reservations.chain, reservations.coin)
    .all();
}

/** Open deposits and slots in quarantine per chain. */
export function countReservations(at: Reader): { chain: ChainId; open: number; quarantined: number }[] {
  return at
    .live()
    .select({
      chain: reservations.chain,
      open: sql<number>`sum(${reservations.closed_at} is null)`,
      quarantined: sql<number>`sum(${reservations.closed_at} is not null)`,
    })
    .from(reservations)
    .groupBy(reservations.chain)
    .all();
}

/** What some deposit asked for whose amount is still reserved in a coin, as text and in base units; null without one. */
export function anyReserved(at: Reader, chain: ChainId, coin: Coin): { amount: string; units: string } | null {
  const where = and(eq(reservations.chain, chain), eq(reservations.coin, coin));
  const columns = { amount: deposits.amount, units: deposits.units };
  return (
    at
      .live()
      .select(columns)
      .from(reservations)
      .innerJoin(deposits, eq(deposits.id, reservations.deposit))
      .where(where)
      .get() ?? null
  );
}
