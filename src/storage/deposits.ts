// Rows of deposits and of slots: amounts that are promised to one payer and to nobody else. The unique index and the
// trigger of `slots` decide; what is asked here first only lets a refusal be polite.

import { and, desc, eq, isNull, lte, sql } from "drizzle-orm";
import type { ChainId, Coin } from "../domain/assets.ts";
import type { Candidate } from "../domain/matching.ts";
import type { OrderCommand } from "../domain/order.ts";
import type { Reader, Tx } from "./database.ts";
import { chains, deposits, orders, slots, transfers } from "./schema.ts";
import { returned, statement } from "./statement.ts";

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
      order_id: sql.placeholder("order_id"),
      chain: sql.placeholder("chain"),
      coin: sql.placeholder("coin"),
      wallet: sql.placeholder("wallet"),
      sender: sql.placeholder("sender"),
      amount: sql.placeholder("amount"),
      units: sql.placeholder("units"),
      opened_at: sql.placeholder("opened_at"),
      opened_head: sql`(select head_number from chains where chain = ${sql.placeholder("chain")})`,
    })
    .returning()
    .prepare(),
);

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

const closeSlots = statement((db) =>
  db
    .update(slots)
    .set({ closed_at: sql`${sql.placeholder("now")}` })
    .where(eq(slots.deposit, sql.placeholder("deposit")))
    .prepare(),
);

const closeDeposit = statement((db) =>
  db
    .update(deposits)
    .set({ closed_at: sql`${sql.placeholder("now")}`, close_reason: sql`${sql.placeholder("reason")}` })
    .where(eq(deposits.id, sql.placeholder("deposit")))
    .prepare(),
);

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

// Canonical integer texts compare as numbers by (length, text).
const selectUnitsBetween = statement((db) =>
  db
    .selectDistinct({ units: slots.units })
    .from(slots)
    .where(
      and(
        eq(slots.chain, sql.placeholder("chain")),
        eq(slots.coin, sql.placeholder("coin")),
        eq(slots.wallet, sql.placeholder("wallet")),
        sql`(length(${slots.units}), ${slots.units}) > (length(${sql.placeholder("above")}), ${sql.placeholder("above")})`,
        sql`(length(${slots.units}), ${slots.units}) <= (length(${sql.placeholder("through")}), ${sql.placeholder("through")})`,
      ),
    )
    .prepare(),
);

const selectCandidates = statement((db) =>
  db
    .select({
      deposit: deposits.id,
      order_id: deposits.order_id,
      order_status: orders.status,
      expires_at: orders.expires_at,
      sender: deposits.sender,
      opened_at: deposits.opened_at,
      opened_head: deposits.opened_head,
      closed_at: deposits.closed_at,
      taken: sql<number>`exists (select 1 from ${transfers} t where t.deposit = ${deposits.id} and t.part = 0 and t.id <> ${sql.placeholder("transfer")})`,
    })
    .from(slots)
    .innerJoin(deposits, eq(deposits.id, slots.deposit))
    .innerJoin(orders, eq(orders.id, deposits.order_id))
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

/** Opens a deposit and takes its slot. Throws SQLite's constraint error when the amount is promised already. */
export function openDeposit(tx: Tx, deposit: NewDeposit): DepositRow {
  const units = deposit.units.toString();
  const row = returned(insert(tx).get({ ...deposit, units, opened_at: tx.now }));
  insertSlot(tx).run({ ...deposit, units, sender: deposit.sender ?? "", deposit: row.id, rest: 0 });
  return row;
}

/** Promises what is left of a deposit to its payer. False when that amount is promised already. */
export function promiseRest(tx: Tx, deposit: DepositRow, units: bigint): boolean {
  const { chain, coin, wallet, sender, id } = deposit;
  const pot = { chain, coin, wallet };
  if (!isFree(tx, pot, units, sender)) return false;
  insertSlot(tx).run({ ...pot, units: units.toString(), sender: sender ?? "", deposit: id, rest: 1 });
  return true;
}

/** The open deposit of an order on a chain in a coin, or null. */
export function openDepositFor(at: Reader, order_id: string, chain: ChainId, coin: Coin): DepositRow | null {
  return selectOpen(at).get({ order_id, chain, coin }) ?? null;
}

/** All open deposits of an order. */
export function openDepositsOf(at: Reader, order_id: string): DepositRow[] {
  return selectOpenOfOrder(at).all({ order_id });
}

/** All deposits of an order, open or closed. */
export function depositsOf(at: Reader, order_id: string): DepositRow[] {
  return selectOfOrder(at).all({ order_id });
}

/** Closes every open deposit of an order and puts its slots in quarantine. */
export function closeDepositsOf(tx: Tx, order_id: string, reason: OrderCommand): void {
  for (const { id } of openDepositsOf(tx, order_id)) {
    closeDeposit(tx).run({ deposit: id, now: tx.now, reason });
    closeSlots(tx).run({ deposit: id, now: tx.now });
  }
}

export interface Pot {
  chain: ChainId;
  coin: Coin;
  wallet: string;
}

/** True when nobody else could mean this amount: an unbound promise excludes all others of it, a bound one only its own sender. */
export function isFree(at: Reader, pot: Pot, units: bigint, sender: string | null): boolean {
  const taken = selectSlot(at).all({ ...pot, units: units.toString() });
  return sender === null ? taken.length === 0 : taken.every((slot) => slot.sender !== "" && slot.sender !== sender);
}

/** The promised amounts of a pot in (above, through], bound or not, open or in quarantine. */
export function promisedBetween(at: Reader, pot: Pot, above: bigint, through: bigint): Set<bigint> {
  const rows = selectUnitsBetween(at).all({ ...pot, above: above.toString(), through: through.toString() });
  return new Set(rows.map((row) => BigInt(row.units)));
}

/** Who was promised exactly this amount. `transfer` is the one being matched: a deposit it pays itself is not taken. */
export function candidatesFor(at: Reader, pot: Pot, units: string, transfer: number): Candidate[] {
  return selectCandidates(at)
    .all({ ...pot, units, transfer })
    .map(({ closed_at, taken, ...rest }) => ({ ...rest, closed: closed_at !== null, taken: taken === 1 }));
}

/** Forgets the heads at which deposits opened above `top`: those blocks left the chain, time alone decides from now on. */
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
        isNull(deposits.closed_at),
      ),
    )
    .prepare(),
);

/** Ends the quarantine of a pot's slots closed at or before `closed_before` (ms). Returns how many. */
export function releaseSlots(tx: Tx, pot: Pot, closed_before: number): number {
  return release(tx).all({ ...pot, closed_before }).length;
}

const release = statement((db) =>
  db
    .delete(slots)
    .where(
      and(
        eq(slots.chain, sql.placeholder("chain")),
        eq(slots.coin, sql.placeholder("coin")),
        eq(slots.wallet, sql.placeholder("wallet")),
        lte(slots.closed_at, sql.placeholder("closed_before")),
      ),
    )
    .returning({ id: slots.id })
    .prepare(),
);

/** Pots with slots whose quarantine has run for long enough by the clock. */
export function potsInQuarantine(at: Reader, closed_before: number): Pot[] {
  return selectQuarantined(at).all({ closed_before });
}

const selectQuarantined = statement((db) =>
  db
    .selectDistinct({ chain: slots.chain, coin: slots.coin, wallet: slots.wallet })
    .from(slots)
    .where(lte(slots.closed_at, sql.placeholder("closed_before")))
    .prepare(),
);

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
