// Rows of deposits: what payers were asked to send, and where. Each holds its slots, closed with it and never before.

import { and, desc, eq, gt, gte, isNull, sql } from "drizzle-orm";
import type { ChainId, Coin } from "../domain/assets.ts";
import type { OrderCommand } from "../domain/order.ts";
import { chainClock } from "./clocks.ts";
import type { Reader, Tx } from "./engine/database.ts";
import { requireRow, statement } from "./engine/statement.ts";
import { nextId } from "./generations.ts";
import { forgetHeld } from "./held.ts";
import {
  closeReservations,
  insertReservation,
  isFree,
  type PaymentTarget,
  releaseOldRemainders,
  releaseRemainder,
} from "./reservations.ts";
import { chains, deposits, reservations } from "./schema.ts";

/**
 * What was left of a deposit after its newest parts stays promised: a payer who was shown it may be about to send it.
 * No more, so that a thousand small parts of one payer do not take the amounts of others.
 */
const rests_kept_max = 20;

export type DepositRow = typeof deposits.$inferSelect;

export interface NewDeposit {
  order_id: string;
  chain: ChainId;
  coin: Coin;
  wallet: string;
  sender: string | null;
  amount: string;
  units: bigint;
}

const insert = statement((db) =>
  db
    .insert(deposits)
    .values({
      id: nextId("deposits"),
      order_id: sql.placeholder("order_id"),
      chain: sql.placeholder("chain"),
      coin: sql.placeholder("coin"),
      wallet: sql.placeholder("wallet"),
      sender: sql.placeholder("sender"),
      amount: sql.placeholder("amount"),
      units: sql.placeholder("units"),
      opened_at: sql.placeholder("opened_at"),
      opened_head: sql`(select head_number from chains where chain = ${sql.placeholder("chain")})`,
      opened_ahead_ms: sql.placeholder("opened_ahead_ms"),
      opened_uncertainty_ms: sql.placeholder("opened_uncertainty_ms"),
    })
    .returning()
    .prepare(),
);

const selectOpen = statement((db) =>
  db
    .select()
    .from(deposits)
    .where(
      and(
        eq(deposits.order_id, sql.placeholder("order_id")),
        eq(deposits.chain, sql.placeholder("chain")),
        eq(deposits.coin, sql.placeholder("coin")),
        isNull(deposits.closed_at),
      ),
    )
    .prepare(),
);

const selectOpenOfOrder = statement((db) =>
  db
    .select()
    .from(deposits)
    .where(and(eq(deposits.order_id, sql.placeholder("order_id")), isNull(deposits.closed_at)))
    .prepare(),
);

const selectOfOrder = statement((db) =>
  db
    .select()
    .from(deposits)
    .where(eq(deposits.order_id, sql.placeholder("order_id")))
    .prepare(),
);

const closeDeposit = statement((db) =>
  db
    .update(deposits)
    .set({ closed_at: sql`${sql.placeholder("now")}`, close_reason: sql`${sql.placeholder("reason")}` })
    .where(eq(deposits.id, sql.placeholder("deposit")))
    .prepare(),
);

/** Opens a deposit and takes its slot. Throws SQLite's constraint error when the amount is promised already. */
export function openDeposit(tx: Tx, deposit: NewDeposit): DepositRow {
  const units = deposit.units.toString();
  const clock = chainClock(tx, deposit.chain);
  const opened = {
    opened_at: tx.now,
    opened_ahead_ms: clock?.ahead_ms ?? null,
    opened_uncertainty_ms: clock?.uncertainty_ms ?? null,
  };
  const row = requireRow(insert(tx).get({ ...deposit, units, ...opened }));
  insertReservation(tx, { ...deposit, deposit: row.id, rest: false });
  return row;
}

/** Notes what is left to pay of an open deposit after parts, in base units; null without parts. */
export function setRemainder(tx: Tx, deposit: number, units: bigint | null): void {
  updateRemainder(tx).run({ deposit, remainder: units === null ? null : units.toString() });
}

const updateRemainder = statement((db) =>
  db
    .update(deposits)
    .set({ remainder: sql`${sql.placeholder("remainder")}` })
    .where(eq(deposits.id, sql.placeholder("deposit")))
    .prepare(),
);

/** True when exactly this is left to pay of another order's open deposit. */
export function isRemainderOfOther(at: Reader, target: PaymentTarget, units: bigint, order_id: string): boolean {
  return selectRemainderOfOther(at).get({ ...target, units: units.toString(), order_id }) !== undefined;
}

const selectRemainderOfOther = statement((db) =>
  db
    .select({ id: deposits.id })
    .from(deposits)
    .where(
      and(
        eq(deposits.chain, sql.placeholder("chain")),
        eq(deposits.coin, sql.placeholder("coin")),
        eq(deposits.wallet, sql.placeholder("wallet")),
        eq(deposits.remainder, sql.placeholder("units")),
        sql`${deposits.remainder} is not null`,
        isNull(deposits.closed_at),
        sql`${deposits.order_id} <> ${sql.placeholder("order_id")}`,
      ),
    )
    .limit(1)
    .prepare(),
);

/**
 * Reserves what is left of an open deposit for its payer; the oldest of what was left of it before is let go. False when
 * that amount is reserved for somebody else. What it reserved before it keeps.
 */
export function reserveRemainder(tx: Tx, deposit: DepositRow, units: bigint): boolean {
  const { chain, coin, wallet, sender, id } = deposit;
  const target = { chain, coin, wallet };
  // What was left before and is left again, after a part was taken back, becomes the newest.
  releaseRemainder(tx, id, units);
  if (!isFree(tx, target, units, sender)) return false;
  insertReservation(tx, { ...target, units, sender, deposit: id, rest: true });
  releaseOldRemainders(tx, id, rests_kept_max);
  return true;
}

/** The open deposit of an order on a chain in a coin, or null. */
export function openDepositFor(at: Reader, order_id: string, chain: ChainId, coin: Coin): DepositRow | null {
  return selectOpen(at).get({ order_id, chain, coin }) ?? null;
}

/** A deposit by its id, or null. */
export function depositById(at: Reader, id: number): DepositRow | null {
  return selectById(at).get({ id }) ?? null;
}

const selectById = statement((db) =>
  db
    .select()
    .from(deposits)
    .where(eq(deposits.id, sql.placeholder("id")))
    .prepare(),
);

/** All open deposits of an order. */
export function openDepositsOf(at: Reader, order_id: string): DepositRow[] {
  return selectOpenOfOrder(at).all({ order_id });
}

/** All deposits of an order, open or closed. */
export function depositsOf(at: Reader, order_id: string): DepositRow[] {
  return selectOfOrder(at).all({ order_id });
}

/**
 * Closes every open deposit of an order and puts its slots in quarantine: from the time of its chain on where our clock
 * is known to run behind, for their late window ends by the chain's blocks.
 */
export function closeDepositsOf(tx: Tx, order_id: string, reason: OrderCommand): void {
  for (const { id, chain } of openDepositsOf(tx, order_id)) {
    const closed_at = tx.now + Math.max(0, chainClock(tx, chain)?.ahead_ms ?? 0);
    closeDeposit(tx).run({ deposit: id, now: closed_at, reason });
    closeReservations(tx, id, closed_at);
    forgetHeld(tx, id);
  }
}

/** Notes the head that the chain showed just after a deposit was opened. */
export function setHeadAfterOpening(tx: Tx, deposit: number, head: number): void {
  updateHeadAfterOpening(tx).run({ deposit, head });
}

const updateHeadAfterOpening = statement((db) =>
  db
    .update(deposits)
    .set({ head_after_opening: sql`${sql.placeholder("head")}` })
    .where(eq(deposits.id, sql.placeholder("deposit")))
    .prepare(),
);

/**
 * Forgets the heads at which deposits opened above `top`, also of those in quarantine: these blocks left the chain, time
 * alone decides from now on.
 */
export function forgetOpenedHeads(tx: Tx, chain: ChainId, top: number): void {
  forgetHeads(tx).run({ chain, top });
}

const forgetHeads = statement((db) =>
  db
    .update(deposits)
    .set({ opened_head: null })
    .where(
      and(
        eq(deposits.chain, sql.placeholder("chain")),
        sql`${deposits.opened_head} > ${sql.placeholder("top")}`,
        sql`${deposits.id} in (select deposit from slots where chain = ${sql.placeholder("chain")})`,
      ),
    )
    .prepare(),
);

/**
 * Forgets the chain's clock at the opening and the end of deposits since `since` (ms): it was that of a head that did not
 * exist. An end in the future becomes now.
 */
export function forgetOpenedClocks(tx: Tx, chain: ChainId, since: number): void {
  tx.live()
    .update(deposits)
    .set({ opened_ahead_ms: null })
    .where(and(eq(deposits.chain, chain), gte(deposits.opened_at, since)))
    .run();
  for (const table of [deposits, reservations]) {
    const isLater = and(eq(table.chain, chain), gt(table.closed_at, tx.now));
    tx.live().update(table).set({ closed_at: tx.now }).where(isLater).run();
  }
}

export interface DepositFilter {
  order_id?: string | undefined;
  chain?: ChainId | undefined;
  coin?: Coin | undefined;
}

/** An open deposit with the last time its chain was read (ms; never null: its opening until then). */
export type ListedDeposit = DepositRow & { last_scanned_at: number };

/** Open deposits, newest first. */
export function listDeposits(at: Reader, filter: DepositFilter, limit: number, offset: number): ListedDeposit[] {
  return at
    .live()
    .select({
      deposit: deposits,
      last_scanned_at: sql<number>`max(${deposits.opened_at}, coalesce(${chains.last_read_at}, 0))`,
    })
    .from(deposits)
    .innerJoin(chains, eq(chains.chain, deposits.chain))
    .where(
      and(
        isNull(deposits.closed_at),
        filter.order_id === undefined ? undefined : eq(deposits.order_id, filter.order_id),
        filter.chain === undefined ? undefined : eq(deposits.chain, filter.chain),
        filter.coin === undefined ? undefined : eq(deposits.coin, filter.coin),
      ),
    )
    .orderBy(desc(deposits.id))
    .limit(limit)
    .offset(offset)
    .all()
    .map(({ deposit, last_scanned_at }) => ({ ...deposit, last_scanned_at }));
}

/** Of so many deposits at most the prices are counted. */
const counted_max = 5000;

/** How often each price was asked for in a coin since `since` (ms), most often first, over the newest 5,000 deposits. */
export function countAskedAmounts(
  at: Reader,
  since: number,
): { chain: ChainId; coin: Coin; amount: string; times: number }[] {
  return at.live().all(sql`
    select d.chain, d.coin, o.amount, count(*) as times
    from (select chain, coin, order_id, opened_at from deposits order by id desc limit ${counted_max}) d
    join orders o on o.id = d.order_id
    where d.opened_at >= ${since}
    group by d.chain, d.coin, o.amount
    order by times desc, o.amount`);
}

/** True when a chain must be read at full pace: a deposit is open there. */
export function hasOpenDeposit(at: Reader, chain: ChainId): boolean {
  return selectAnyOpen(at).get({ chain }) !== undefined;
}

const selectAnyOpen = statement((db) =>
  db
    .select({ id: deposits.id })
    .from(deposits)
    .where(and(eq(deposits.chain, sql.placeholder("chain")), isNull(deposits.closed_at)))
    .limit(1)
    .prepare(),
);
