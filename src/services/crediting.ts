// Money to orders: the only place that allocates a transfer. Says what a transfer would do to an order, and does it:
// pays the order, or a part of it and promises the rest. Never decides whose money it is.

import { coinDecimals, type LiveConfig } from "../config/config.ts";
import { Fault } from "../domain/errors.ts";
import { unknownTransferBody } from "../domain/events.ts";
import { commonUnit, fromCommon, fromUnits, maxUnits, toCommon, unitsCovering } from "../domain/money.ts";
import type { OrderCommand } from "../domain/order.ts";
import type { AllocationKind, InboxReason } from "../domain/payment.ts";
import { coarserThan, finerThan, usualFees } from "../domain/surcharge.ts";
import { maxPricePaidBy } from "../domain/tolerance.ts";
import { allocate, allocatedTo, receivedFor } from "../storage/allocations.ts";
import {
  type DepositRow,
  depositsOf,
  isRemainderOfOther,
  type NewDeposit,
  openDepositsOf,
  reserveRemainder,
  setRemainder,
} from "../storage/deposits.ts";
import type { Reader, Tx } from "../storage/engine/database.ts";
import { recordTransition, type Transition } from "../storage/ledger.ts";
import { type OrderRow, orderById } from "../storage/orders.ts";
import { appendEvent } from "../storage/outbox.ts";
import { isFree, isReservedByOther, isReservedFor } from "../storage/reservations.ts";
import { judgeTransfer, type TransferRow } from "../storage/transfers.ts";

const common_decimals = 18;

export interface CreditRequest {
  /** Confirmed, or being confirmed by this transaction; it must not pay anything yet. */
  transfer: TransferRow;
  order_id: string;
  /** Only `assign`, an operator's word, reaches an order that is no longer pending. */
  kind: AllocationKind;
  /** Where matching put it; without it: the order's open deposit for this chain, coin and wallet, as a part, if there is one. */
  place?: { deposit: number; part: boolean };
  /** More of the same payment is credited in this transaction: it pays no order before the last of it. */
  isFollowed?: boolean;
}

/**
 * - `pays`: the order is paid with it (an expired or cancelled one as `mark_paid`).
 * - `part`: it pays a part of a pending order, which stays pending.
 * - `attaches`: it is kept with an order whose status it does not change: one that was marked paid by hand or whose
 *   payment left the chain, or one that expired or was cancelled and asks for more. Of the latter it stays in the inbox
 *   (`order_ended`) until the order is paid.
 * - `refused`: this kind of credit does nothing to an order in this state.
 */
export type CreditEffect = "pays" | "part" | "attaches" | "refused";

/** What a credit means for its order. Amounts are decimal texts over all coins, this transfer included. */
export interface CreditOutcome {
  effect: CreditEffect;
  order: OrderRow;
  /** Money that left the chain again does not count. */
  received: string;
  /** Still missing of the order's amount, "0" once it is paid; for a part the payer's promise is made from its deposit instead. */
  remaining: string;
  /** Above the most that was ever asked for the order; "0" for less than one unit of the transfer's coin. */
  excess: string;
}

/** What parts have left to pay of a deposit, as a decimal text and in its coin's base units. */
interface Left {
  amount: string;
  units: bigint;
}

type Ended = Pick<Transition, "changed" | "order">;

export interface Crediting {
  /** What `credit` would do, without doing it. Fault: order_not_found. */
  previewCredit(at: Reader, request: CreditRequest): CreditOutcome;
  /**
   * Allocates a transfer to an order and does what `foresee` says, in the caller's transaction: transfer `matched`
   * (flagged `overpaid` when the order had asked for less), allocation, transition with its event and webhook, or
   * `order_part_paid` with the rest promised. Faults: order_not_found, order_not_pending (`refused`). Throws when the
   * transfer pays something already.
   */
  credit(tx: Tx, request: CreditRequest): CreditOutcome;
  /** What is left to pay of a deposit, rounded up to what its coin can hold; null where nothing is or the coin is unknown. */
  leftOf(at: Reader, deposit: Pick<DepositRow, "order_id" | "amount" | "chain" | "coin">): Left | null;
  /** Whether what is left of a deposit is free, and cannot be taken for another order's amount. */
  canReserveLeft(at: Reader, deposit: Omit<NewDeposit, "units">): boolean;
  /**
   * Notes what is left of a deposit after parts, and reserves it unless it is taken, or may be taken for another order's
   * amount: cut, rounded, less a usual fee or within the tolerance, one way or the other. Then only the sender who has
   * paid a part is known by it.
   */
  promiseLeft(tx: Tx, deposit: DepositRow): void;
  /**
   * Counts an order's money anew after a transfer of it came back to the chain: pays an order that has become covered
   * (one that ended as `mark_paid`), and flags the transfer `overpaid` when there is more now than was ever asked for.
   */
  recount(tx: Tx, order_id: string, back: TransferRow): void;
  /** Ends an order; parts that pay nothing any more, its own or those of its pages, go to the inbox. As `recordTransition`. */
  end(tx: Tx, order_id: string, command: OrderCommand): Ended;
  /** True for a paid order whose money left the chain, so that what stands covers it no more. */
  isUncoveredByReorg(at: Reader, order: OrderRow): boolean;
  /** Appends the event about a transfer that pays nothing, with its webhook. */
  notifyUnmatched(tx: Tx, row: TransferRow): void;
}

/** Crediting with the live settings' tolerance, decimals and webhook address. */
export function createCrediting(needs: { config: LiveConfig }): Crediting {
  const { config } = needs;

  function previewCredit(at: Reader, request: CreditRequest): CreditOutcome {
    const { transfer, order_id, kind } = request;
    const order = orderById(at, order_id);
    if (order === null) throw new Fault("order_not_found");
    const received = receivedFor(at, order_id) + toCommon(transfer.amount);
    const price = toCommon(order.amount);
    const covers = isCovered(order, received);
    const asked = mostAsked(at, order);
    return {
      effect: effectOn(order, covers, kind, isUncoveredByReorg(at, order)),
      order,
      received: fromCommon(received),
      remaining: covers ? "0" : fromCommon(price - received),
      excess: received - asked >= leastExcess(transfer) ? fromCommon(received - asked) : "0",
    };
  }

  /** Less than one unit of the coin could not be left out: what is due was rounded up to it. */
  function leastExcess({ chain, coin }: TransferRow): bigint {
    const decimals = coin === null ? null : coinDecimals(config.current(), chain, coin);
    return decimals === null ? 1n : commonUnit(decimals);
  }

  function isCovered(order: OrderRow, received: bigint): boolean {
    const { underpaid_tolerance } = config.current().orders;
    return received > 0n && maxPricePaidBy(underpaid_tolerance, received, common_decimals) >= toCommon(order.amount);
  }

  function isUncoveredByReorg(at: Reader, order: OrderRow): boolean {
    if (order.status !== "paid" || isCovered(order, receivedFor(at, order.id))) return false;
    return allocatedTo(at, order.id).some((row) => row.reverted_at !== null);
  }

  function pay(tx: Tx, order: OrderRow): OrderRow {
    return end(tx, order.id, order.status === "pending" ? "pay" : "mark_paid").order;
  }

  function notifyUnmatched(tx: Tx, row: TransferRow): void {
    appendEvent(tx, {
      type: "unknown_transfer",
      order_id: row.likely_order,
      transfer: row.id,
      body: unknownTransferBody(row, tx.now),
      url: config.current().merchant.unknown_transfer_webhook_url,
    });
  }

  function end(tx: Tx, order_id: string, command: OrderCommand): Ended {
    const { changed, order, released } = recordTransition(tx, order_id, command);
    for (const row of released) if (row.reverted_at === null) notifyUnmatched(tx, row);
    return { changed, order };
  }

  /** Tells of a part and promises the rest: of every open deposit, in its own coin, whichever the payer goes on with. */
  function askForRest(tx: Tx, { transfer, place }: CreditRequest, outcome: CreditOutcome): void {
    const open = openDepositsOf(tx, outcome.order.id);
    const received = toCommon(outcome.received);
    const own = open.find((deposit) => deposit.id === place?.deposit);
    appendEvent(tx, {
      type: "order_part_paid",
      order_id: outcome.order.id,
      transfer: transfer.id,
      body: JSON.stringify({
        received: outcome.received,
        remaining: own === undefined ? outcome.remaining : fromCommon(toCommon(own.amount) - received),
      }),
      url: null,
    });
    for (const deposit of open) promiseLeft(tx, deposit);
  }

  function leftOf(at: Reader, deposit: Pick<DepositRow, "order_id" | "amount" | "chain" | "coin">): Left | null {
    const rest = toCommon(deposit.amount) - receivedFor(at, deposit.order_id);
    const decimals = coinDecimals(config.current(), deposit.chain, deposit.coin);
    if (decimals === null || rest <= 0n) return null;
    // A part may have come in a coin of more decimals: less than this would leave something to pay.
    const units = unitsCovering(rest, decimals);
    return { amount: fromUnits(units, decimals), units };
  }

  function canReserveLeft(at: Reader, deposit: Omit<NewDeposit, "units">): boolean {
    const left = leftOf(at, deposit);
    return left !== null && isFree(at, deposit, left.units, deposit.sender) && !isMistakable(at, deposit, left.units);
  }

  function promiseLeft(tx: Tx, deposit: DepositRow): void {
    const left = leftOf(tx, deposit);
    const isBegun = receivedFor(tx, deposit.order_id) > 0n;
    const units = isBegun && left !== null ? left.units : null;
    setRemainder(tx, deposit.id, units);
    if (units === null) return;
    if (isReservedFor(tx, deposit.id, units) || !isMistakable(tx, deposit, units)) reserveRemainder(tx, deposit, units);
  }

  /** Whether a remainder and an amount of another order may be taken for one another. */
  function isMistakable(at: Reader, deposit: Omit<NewDeposit, "units">, units: bigint): boolean {
    const { chain, coin, wallet, order_id } = deposit;
    const decimals = coinDecimals(config.current(), chain, coin);
    if (decimals === null) return true;
    const target = { chain, coin, wallet };
    const { underpaid_tolerance } = config.current().orders;
    const { above, through } = finerThan(units, decimals);
    const fees = usualFees(decimals).flatMap((fee) => [units + fee, units - fee]);
    const near = {
      amounts: [...coarserThan(units, decimals), ...fees],
      ranges: [
        { above, through: units - 1n },
        { above: units, through: maxUnits(through, maxPricePaidBy(underpaid_tolerance, units, decimals)) },
      ],
    };
    return isReservedByOther(at, target, order_id, near) || isRemainderOfOther(at, target, units, order_id);
  }

  return {
    previewCredit,
    leftOf,
    canReserveLeft,
    promiseLeft,
    end,
    isUncoveredByReorg,
    notifyUnmatched,

    credit(tx, request) {
      const place = request.place ?? placeFor(tx, request);
      const { transfer, order_id, kind } = request;
      const foreseen = previewCredit(tx, request);
      const isHeldBack = request.isFollowed === true && foreseen.effect === "pays";
      const outcome: CreditOutcome = isHeldBack ? { ...foreseen, effect: "part" } : foreseen;
      const { effect, order, excess } = outcome;
      if (effect === "refused") throw new Fault("order_not_pending");

      allocate(tx, transfer.id, order_id, kind);
      judgeTransfer(tx, transfer.id, {
        status: "matched",
        deposit: place?.deposit ?? null,
        part: place?.part ?? false,
        reason: flagOf(effect, order, excess),
        likely_order: null,
        confirmed_at: transfer.confirmed_at ?? tx.now,
      });
      if (effect === "pays") return { ...outcome, order: pay(tx, order) };
      if (effect === "part") askForRest(tx, place === undefined ? request : { ...request, place }, outcome);
      return outcome;
    },

    recount(tx, order_id, back) {
      const order = orderById(tx, order_id);
      if (order === null) return;
      for (const deposit of openDepositsOf(tx, order_id)) promiseLeft(tx, deposit);
      const received = receivedFor(tx, order_id);
      // What stands with an order that ended is there by an operator's word, which was to pay it once it is enough.
      const pays = order.status !== "paid" && isCovered(order, received);
      if (pays) pay(tx, order);
      if ((pays || order.status === "paid") && received - mostAsked(tx, order) >= leastExcess(back)) {
        judgeTransfer(tx, back.id, { ...back, reason: "overpaid" });
      }
    },
  };
}

function effectOn(order: OrderRow, covers: boolean, kind: AllocationKind, bereft: boolean): CreditEffect {
  if (order.status === "pending") return covers ? "pays" : "part";
  if (kind !== "assign") return "refused";
  if (order.status === "paid") return order.cause === "mark_paid" || bereft ? "attaches" : "refused";
  return covers ? "pays" : "attaches";
}

/** Why a transfer that is credited stays in the inbox all the same. */
function flagOf(effect: CreditEffect, order: OrderRow, excess: string): InboxReason | null {
  if (effect === "attaches" && order.status !== "paid") return "order_ended";
  return effect !== "part" && excess !== "0" ? "overpaid" : null;
}

/** The most a payer was ever asked to send: the order's amount, or that of a deposit with a surcharge. */
function mostAsked(at: Reader, order: OrderRow): bigint {
  return maxUnits(toCommon(order.amount), ...depositsOf(at, order.id).map(({ amount }) => toCommon(amount)));
}

function placeFor(at: Reader, { transfer, order_id }: CreditRequest): CreditRequest["place"] {
  const { chain, coin, wallet } = transfer;
  const open = openDepositsOf(at, order_id).find(
    (deposit) => deposit.chain === chain && deposit.coin === coin && deposit.wallet === wallet,
  );
  return open === undefined ? undefined : { deposit: open.id, part: true };
}
