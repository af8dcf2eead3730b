// Rows of slots: amounts that are promised to one payer and to nobody else, until long after. The unique index and the
// trigger of `slots` decide; what is asked here first only lets a refusal be polite.

import { and, asc, eq, gte, isNotNull, isNull, lte, min, type SQL, sql } from "drizzle-orm";
import type { ChainId, Coin } from "../domain/assets.ts";
import type { Reader, Tx } from "./engine/database.ts";
import { statement } from "./engine/statement.ts";
import { deposits, slots } from "./schema.ts";

export interface Pot {
  chain: ChainId;
  coin: Coin;
  wallet: string;
}

export interface NewSlot extends Pot {
  units: bigint;
  /** The only one who may pay it; null: anybody. */
  sender: string | null;
  deposit: number;
  /** What was left to pay after a part. */
  rest: boolean;
}

/** Promises an amount. Throws SQLite's constraint error when it is promised already. */
export function takeSlot(tx: Tx, slot: NewSlot): void {
  const { units, sender, rest } = slot;
  insertSlot(tx).run({ ...slot, units: units.toString(), sender: sender ?? "", rest: rest ? 1 : 0 });
}

const insertSlot = statement((db) =>
  db
    .insert(slots)
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
export function releaseRest(tx: Tx, deposit: number, units: bigint): void {
  deleteRest(tx).run({ deposit, units: units.toString() });
}

const isRestOf = and(eq(slots.deposit, sql.placeholder("deposit")), eq(slots.rest, true));

const deleteRest = statement((db) =>
  db
    .delete(slots)
    .where(and(isRestOf, eq(slots.units, sql.placeholder("units"))))
    .prepare(),
);

/**
 * Lets go of all amounts that were left to pay of a deposit but the `kept` newest, and those that an unconfirmed transfer
 * is on its way to pay.
 */
export function releaseOldRests(tx: Tx, deposit: number, kept: number): void {
  deleteOldRests(tx).run({ deposit, kept });
}

const deleteOldRests = statement((db) =>
  db
    .delete(slots)
    .where(
      and(
        isRestOf,
        sql`${slots.id} not in (select s.id from slots s where s.deposit = ${sql.placeholder("deposit")} and s.rest = 1 order by s.id desc limit ${sql.placeholder("kept")})`,
        sql`not exists (select 1 from transfers t where t.chain = slots.chain and t.coin = slots.coin and t.wallet = slots.wallet
          and t.units = slots.units and t.deposit = slots.deposit and t.status = 'waiting_for_confirmation')`,
      ),
    )
    .prepare(),
);

/** Whether an amount is promised to a deposit now. */
export function isPromisedTo(at: Reader, deposit: number, units: bigint): boolean {
  return selectPromised(at).get({ deposit, units: units.toString() }) !== undefined;
}

const selectPromised = statement((db) =>
  db
    .select({ id: slots.id })
    .from(slots)
    .where(
      and(
        eq(slots.deposit, sql.placeholder("deposit")),
        eq(slots.units, sql.placeholder("units")),
        isNull(slots.closed_at),
      ),
    )
    .prepare(),
);

/** Puts the slots of a deposit in quarantine that begins at `closed_at` (ms). */
export function closeSlots(tx: Tx, deposit: number, closed_at: number): void {
  updateClosed(tx).run({ deposit, now: closed_at });
}

const updateClosed = statement((db) =>
  db
    .update(slots)
    .set({ closed_at: sql`${sql.placeholder("now")}` })
    .where(eq(slots.deposit, sql.placeholder("deposit")))
    .prepare(),
);

/** True when nobody else could mean this amount: an unbound promise excludes all others of it, a bound one only its own sender. */
export function isFree(at: Reader, pot: Pot, units: bigint, sender: string | null): boolean {
  const taken = selectSlot(at).all({ ...pot, units: units.toString() });
  return sender === null ? taken.length === 0 : taken.every((slot) => slot.sender !== "" && slot.sender !== sender);
}

const selectSlot = statement((db) =>
  db
    .select({ sender: slots.sender })
    .from(slots)
    .where(
      and(
        eq(slots.chain, sql.placeholder("chain")),
        eq(slots.coin, sql.placeholder("coin")),
        eq(slots.wallet, sql.placeholder("wallet")),
        eq(slots.units, sql.placeholder("units")),
      ),
    )
    .prepare(),
);

/** True when another order has a reservation of one of these amounts or in one of these ranges, (above, through]. */
export function isReservedByOther(
  at: Reader,
  pot: Pot,
  order_id: string,
  near: { amounts: readonly bigint[]; ranges: readonly { above: bigint; through: bigint }[] },
): boolean {
  const where = { ...pot, order_id };
  if (selectOthersExact(at).get({ ...where, amounts: JSON.stringify(near.amounts.map(String)) }) !== undefined)
    return true;
  const parts = near.ranges.flatMap(({ above, through }) => spans(above, through));
  return parts.some((span) => selectOthersBetween(at).get({ ...where, ...span }) !== undefined);
}

function selectOthers(where: SQL | undefined) {
  return statement((db) =>
    db
      .select({ id: slots.id })
      .from(slots)
      .innerJoin(deposits, eq(deposits.id, slots.deposit))
      .where(
        and(
          eq(slots.chain, sql.placeholder("chain")),
          eq(slots.coin, sql.placeholder("coin")),
          eq(slots.wallet, sql.placeholder("wallet")),
          where,
          sql`${deposits.order_id} <> ${sql.placeholder("order_id")}`,
        ),
      )
      .limit(1)
      .prepare(),
  );
}

const selectOthersExact = selectOthers(
  sql`${slots.units} in (select value from json_each(${sql.placeholder("amounts")}))`,
);
const selectOthersBetween = selectOthers(
  and(
    gte(slots.units, sql.placeholder("from")),
    lte(slots.units, sql.placeholder("to")),
    sql`length(${slots.units}) = ${sql.placeholder("digits")}`,
  ),
);

/** The promised amounts of a pot in (above, through], bound or not, open or in quarantine; ascending, each once. */
export function promisedBetween(at: Reader, pot: Pot, above: bigint, through: bigint): bigint[] {
  const rows = spans(above, through).flatMap((span) => selectUnits(at).values({ ...pot, ...span }));
  return rows.map(([units]) => BigInt(units as string));
}

/**
 * (above, through] in parts of equally many digits: within one, canonical integer texts compare as numbers, and the
 * index of a pot's amounts is read between two of its texts instead of whole.
 */
export function spans(above: bigint, through: bigint): { from: string; to: string; digits: number }[] {
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
    .selectDistinct({ units: slots.units })
    .from(slots)
    .where(
      and(
        eq(slots.chain, sql.placeholder("chain")),
        eq(slots.coin, sql.placeholder("coin")),
        eq(slots.wallet, sql.placeholder("wallet")),
        gte(slots.units, sql.placeholder("from")),
        lte(slots.units, sql.placeholder("to")),
        sql`length(${slots.units}) = ${sql.placeholder("digits")}`,
      ),
    )
    .orderBy(asc(slots.units))
    .prepare(),
);

/** When the first quarantine of an amount in (above, through] of a pot began, ms; null when none is in quarantine. */
export function firstQuarantine(at: Reader, pot: Pot, above: bigint, through: bigint): number | null {
  const began = spans(above, through).map((span) => selectFirstClosed(at).get({ ...pot, ...span })?.closed_at ?? null);
  const known = began.filter((closed_at) => closed_at !== null);
  return known.length === 0 ? null : Math.min(...known);
}

const selectFirstClosed = statement((db) =>
  db
    .select({ closed_at: min(slots.closed_at) })
    .from(slots)
    .where(
      and(
        eq(slots.chain, sql.placeholder("chain")),
        eq(slots.coin, sql.placeholder("coin")),
        eq(slots.wallet, sql.placeholder("wallet")),
        gte(slots.units, sql.placeholder("from")),
        lte(slots.units, sql.placeholder("to")),
        sql`length(${slots.units}) = ${sql.placeholder("digits")}`,
      ),
    )
    .prepare(),
);

/** A reserved amount in quarantine, and when its deposit opened. */
export interface ClosedSlot extends Pot {
  id: number;
  /** ms */
  closed_at: number;
  opened_head: number | null;
}

/** Amounts in quarantine that were closed at or before `closed_before` (ms), first closed first; those behind `after`. */
export function closedSlots(
  at: Reader,
  closed_before: number,
  after: { closed_at: number; id: number },
  limit: number,
): ClosedSlot[] {
  const { closed_at, id } = after;
  return selectClosed(at).all({ closed_before, closed_at, id, limit });
}

const selectClosed = statement((db) =>
  db
    .select({
      id: slots.id,
      chain: slots.chain,
      coin: slots.coin,
      wallet: slots.wallet,
      closed_at: sql<number>`${slots.closed_at}`,
      opened_head: deposits.opened_head,
    })
    .from(slots)
    .innerJoin(deposits, eq(deposits.id, slots.deposit))
    .where(
      and(
        isNotNull(slots.closed_at),
        sql`(${slots.closed_at}, ${slots.id}) > (${sql.placeholder("closed_at")}, ${sql.placeholder("id")})`,
        lte(slots.closed_at, sql.placeholder("closed_before")),
      ),
    )
    .orderBy(asc(slots.closed_at), asc(slots.id))
    .limit(sql.placeholder("limit"))
    .prepare(),
);

/** Ends the quarantine of amounts. Returns how many. */
export function releaseSlots(tx: Tx, ids: readonly number[]): number {
  return release(tx).all({ ids: JSON.stringify(ids) }).length;
}

const release = statement((db) =>
  db
    .delete(slots)
    .where(
      and(isNotNull(slots.closed_at), sql`${slots.id} in (select value from json_each(${sql.placeholder("ids")}))`),
    )
    .returning({ id: slots.id })
    .prepare(),
);

/** Amounts that are promised per chain and coin, open or in quarantine. */
export function countPromised(at: Reader): { chain: ChainId; coin: Coin; slots: number }[] {
  return at
    .live()
    .select({ chain: slots.chain, coin: slots.coin, slots: sql<number>`count(*)` })
    .from(slots)
    .groupBy(slots.chain, slots.coin)
    .all();
}

/** Open deposits and slots in quarantine per chain. */
export function countSlots(at: Reader): { chain: ChainId; open: number; quarantined: number }[] {
  return at
    .live()
    .select({
      chain: slots.chain,
      open: sql<number>`sum(${slots.closed_at} is null)`,
      quarantined: sql<number>`sum(${slots.closed_at} is not null)`,
    })
    .from(slots)
    .groupBy(slots.chain)
    .all();
}

/** What some deposit asked for whose amount is still reserved in a coin, as text and in base units; null without one. */
export function someReserved(at: Reader, chain: ChainId, coin: Coin): { amount: string; units: string } | null {
  const where = and(eq(slots.chain, chain), eq(slots.coin, coin));
  const columns = { amount: deposits.amount, units: deposits.units };
  return (
    at.live().select(columns).from(slots).innerJoin(deposits, eq(deposits.id, slots.deposit)).where(where).get() ?? null
  );
}
