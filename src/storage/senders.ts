// Deposits that are a sender's, and what the addresses of senders have paid so far. Finds by index, a bounded number of
// rows each; decides nothing.

import { and, asc, desc, eq, gt, gte, isNotNull, isNull, lt, ne, type SQL, sql } from "drizzle-orm";
import { type ChainId, chainIds } from "../domain/assets.ts";
import { nearby_max } from "../domain/attribution.ts";
import type { Reservation } from "../domain/matching.ts";
import { toCommon, unitsCovering } from "../domain/money.ts";
import { receivedFor } from "./allocations.ts";
import { deposit_columns } from "./deposit-search.ts";
import type { Reader } from "./engine/database.ts";
import { statement } from "./engine/statement.ts";
import { isKnownAtArrival, isOnTarget, reservationOf } from "./reservation-search.ts";
import type { PaymentTarget } from "./reservations.ts";
import { allocations, deposits, orders, reservations, transfers } from "./schema.ts";
import type { TransferRow } from "./transfers.ts";

/**
 * Deposits of a pot that are a sender's: bound to it (those that ended unpaid among them while their amount is kept), or
 * open and paid by it in part with a transfer other than `transfer`. A sender who has paid for several orders, and is
 * expected by none, may be an exchange: then nothing is its own. `units`: what is left to pay.
 */
export function depositsOfSender(
  at: Reader,
  target: PaymentTarget,
  sender: string,
  decimals: number,
  transfer: number,
): Reservation[] {
  const where = { ...target, sender, transfer };
  const bound = selectBound(at).all(where);
  const begun = selectOrdersPaid(at).all(where).length === 1 ? selectBegunInPot(at).all(where) : [];
  const own = new Map([...bound, ...begun].map((row) => [row.deposit, row]));
  return [...own.values()].map((row) => {
    const left = toCommon(row.amount) - receivedFor(at, row.order_id);
    const units = left > 0n ? unitsCovering(left, decimals) : BigInt(row.units);
    return reservationOf({ ...row, rest: false, units: units.toString() });
  });
}

/** Of promises that expect a sender; the literal lets the planner use their index. */
const isExpecting = and(
  eq(reservations.sender, sql.placeholder("sender")),
  sql`${reservations.sender} <> ''`,
  ne(orders.status, "paid"),
  eq(reservations.rest, false),
  isKnownAtArrival,
);

const selectBound = statement((db) =>
  db
    .select(deposit_columns)
    .from(reservations)
    .innerJoin(deposits, eq(deposits.id, reservations.deposit))
    .innerJoin(orders, eq(orders.id, deposits.order_id))
    .where(and(isOnTarget, isExpecting))
    .limit(nearby_max)
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
      .limit(nearby_max)
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
export function depositsExpecting(at: Reader, chain: ChainId, sender: string, transfer: number): Reservation[] {
  const rows = [...selectExpecting(at).all({ sender, transfer }), ...selectBegun(at).all({ chain, sender, transfer })];
  return rows.map((row) => reservationOf({ ...row, rest: false, opened_head: null, head_after_opening: null }));
}

const selectExpecting = statement((db) =>
  db
    .select(deposit_columns)
    .from(reservations)
    .innerJoin(deposits, eq(deposits.id, reservations.deposit))
    .innerJoin(orders, eq(orders.id, deposits.order_id))
    .where(isExpecting)
    .limit(nearby_max)
    .prepare(),
);

/** Addresses that begin with `prefix` and have paid a deposit on this wallet; a few, each found by one step in the index. */
export function payersWithPrefix(at: Reader, place: { chain: ChainId; wallet: string }, prefix: string): string[] {
  const found: string[] = [];
  for (let below = `${prefix}~`; found.length < nearby_max; ) {
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

/** An address that has paid this many different orders may be an exchange or a payment service. */
const shared_from_orders = 3;

/** True for an address that has paid, also in part, three or more orders. */
export function isSharedSender(at: Reader, sender: string): boolean {
  return hasPaidOrders(at, sender, shared_from_orders);
}

/** True for an address that has paid, also in part, so many orders, on whichever chains: payments that stand. */
export function hasPaidOrders(at: Reader, sender: string, orders: number): boolean {
  const paid = new Set<string>();
  for (const chain of chainIds) {
    for (const { order_id } of selectAssigned(at).all({ chain, sender })) paid.add(order_id);
    if (paid.size >= orders) return true;
    for (let after = 0; ; ) {
      const next = selectNextPaid(at).get({ chain, sender, after });
      if (next === undefined) break;
      paid.add(next.order_id);
      if (paid.size >= orders) return true;
      after = next.deposit;
    }
  }
  return false;
}

/**
 * Orders without an open deposit that an operator gave money of a sender to. Literals: the partial index is chosen before
 * a statement's parameters are known.
 */
const selectAssigned = statement((db) =>
  db
    .selectDistinct({ order_id: allocations.order_id })
    .from(transfers)
    .innerJoin(allocations, and(eq(allocations.transfer, transfers.id), isNull(allocations.reversed_at)))
    .where(
      and(
        eq(transfers.chain, sql.placeholder("chain")),
        eq(transfers.sender, sql.placeholder("sender")),
        sql`${transfers.status} = 'matched' and ${transfers.deposit} is null`,
        isNull(transfers.reverted_at),
      ),
    )
    .limit(shared_from_orders)
    .prepare(),
);

/** One step in the index of senders for each deposit, however many transfers have paid it. */
const selectNextPaid = statement((db) =>
  db
    .select({ deposit: deposits.id, order_id: deposits.order_id })
    .from(transfers)
    .innerJoin(deposits, eq(deposits.id, transfers.deposit))
    .where(
      and(
        eq(transfers.chain, sql.placeholder("chain")),
        eq(transfers.sender, sql.placeholder("sender")),
        gt(transfers.deposit, sql.placeholder("after")),
        eq(transfers.status, "matched"),
        isNull(transfers.reverted_at),
      ),
    )
    .orderBy(asc(transfers.deposit))
    .limit(1)
    .prepare(),
);

/**
 * Transfers of a sender to a pot that pay nothing and stand on the chain, confirmed or not, newest first. Without those
 * that an operator has seen to.
 */
export function unallocatedTransfers(at: Reader, target: PaymentTarget, sender: string, limit: number): TransferRow[] {
  return selectUnallocated(at).all({ ...target, sender, limit });
}

const selectUnallocated = statement((db) =>
  db
    .select()
    .from(transfers)
    .where(
      and(
        eq(transfers.chain, sql.placeholder("chain")),
        eq(transfers.coin, sql.placeholder("coin")),
        eq(transfers.wallet, sql.placeholder("wallet")),
        eq(transfers.sender, sql.placeholder("sender")),
        // Written as in the partial index: only then is it used.
        sql`${transfers.deposit} is null and ${transfers.status} in ('waiting_for_confirmation', 'waiting_for_match', 'no_matched_deposit')`,
        isNull(transfers.reverted_at),
        isNull(transfers.dismissed_at),
        sql`${transfers.reason} is not 'unassigned'`,
      ),
    )
    .orderBy(desc(transfers.block_number), desc(transfers.log_index))
    .limit(sql.placeholder("limit"))
    .prepare(),
);

/** Unconfirmed transfers of a sender to a pot that are to pay a part of an open deposit, the newest deposits' first. */
export function unconfirmedParts(at: Reader, target: PaymentTarget, sender: string, limit: number): TransferRow[] {
  return selectPartsUnconfirmed(at).all({ ...target, sender, limit });
}

const selectPartsUnconfirmed = statement((db) =>
  db
    .select()
    .from(transfers)
    .where(
      and(
        eq(transfers.chain, sql.placeholder("chain")),
        eq(transfers.sender, sql.placeholder("sender")),
        eq(transfers.coin, sql.placeholder("coin")),
        eq(transfers.wallet, sql.placeholder("wallet")),
        eq(transfers.status, "waiting_for_confirmation"),
        // As in `selectPartPaid`.
        sql`${transfers.part} = 1`,
        sql`${transfers.deposit} >= (select min(open.id) from ${deposits} open where open.closed_at is null)`,
      ),
    )
    .orderBy(desc(transfers.deposit))
    .limit(sql.placeholder("limit"))
    .prepare(),
);
