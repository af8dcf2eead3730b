// Gathers what a transfer is compared with and asks the rules whose money it is. Reads only; what it found is written by
// settlement.

import type { LiveConfig } from "../config/config.ts";
import type { ChainId, Coin } from "../domain/assets.ts";
import { attribute, type NearbyReservations } from "../domain/attribution.ts";
import { isLookalike, lookalikePrefixes } from "../domain/lookalike.ts";
import {
  type ChainTime,
  type IncomingTransfer,
  isOlderThanDeposit,
  isYoungDeposit,
  type Match,
  matchFor,
  type Reservation,
} from "../domain/matching.ts";
import { compareAmounts, maxUnits } from "../domain/money.ts";
import { hasSeveralCandidates, isIgnorableAmount } from "../domain/payment.ts";
import { finerThan, lastDigitUnit, usualFees } from "../domain/surcharge.ts";
import { maxPaymentFor, maxPricePaidBy } from "../domain/tolerance.ts";
import { secondsPerBlock } from "../storage/chains.ts";
import { isWatchedWallet, watchesOf, watchFor } from "../storage/coverage.ts";
import {
  depositsDueExactly,
  depositsReservedSince,
  endedRemaindersOf,
  remaindersOf,
} from "../storage/deposit-search.ts";
import { depositById } from "../storage/deposits.ts";
import type { Reader } from "../storage/engine/database.ts";
import {
  earlierReservationsFor,
  reservationOfSender,
  reservationsBelow,
  reservationsBetween,
  reservationsElsewhere,
  reservationsFor,
  surchargedReservationsNear,
  unpaidReservationsBefore,
} from "../storage/reservation-search.ts";
import type { PaymentTarget } from "../storage/reservations.ts";
import {
  depositsExpecting,
  depositsOfSender,
  hasPaidOrders,
  isSharedSender,
  payersWithPrefix,
  unallocatedTransfers,
  unconfirmedParts,
} from "../storage/senders.ts";
import type { TransferRow } from "../storage/transfers.ts";

/** Less than this, in whole coins, is dust. */
const dust_below = "0.01";
/** Promises up to this many times as high may have been meant by what is too little for them. */
const short_most_times = 10n;
/** Transfers of one sender that are added up; of more, none is certain. */
export const added_transfers_max = 10;
/** A promise is close to an amount within this share of it. */
const close_share = 20n;

export interface Attribution {
  /** What a transfer pays as things stand, or why it pays nothing. */
  decide(at: Reader, row: TransferRow): Match;
  /**
   * What a transfer pays that counts from now on. One that pointed at an order when it was seen never pays another by
   * itself: what was promised or released in between is no evidence.
   */
  decideFinally(at: Reader, row: TransferRow): Match;
  /** True for a transfer mined before a deposit was opened. */
  isOlderThan(at: Reader, row: TransferRow, deposit: Reservation): boolean;
  /**
   * True where nothing speaks against a transfer as a part of a deposit: not its time, not how new the deposit was, and no
   * other unpaid order that it may be meant for.
   */
  mayBePartOf(at: Reader, row: TransferRow, deposit: Reservation): boolean;
}

/** Attribution with the live settings' tolerance. */
export function createAttribution(needs: { config: LiveConfig }): Attribution {
  const { config } = needs;

  function tolerantRange(units: bigint, decimals: number) {
    const { underpaid_tolerance } = config.current().orders;
    return { above: units, through: maxPricePaidBy(underpaid_tolerance, units, decimals) };
  }

  function around(at: Reader, row: TransferRow, coin: Coin | null, decimals: number): NearbyReservations {
    const expected = depositsExpecting(at, row.chain, row.sender, row.id);
    const lookalike = expected.length === 0 && looksLikeKnown(at, row);
    if (coin === null || (lookalike && isIgnorableAmount(row.amount))) {
      return {
        lookalike,
        mine: [],
        tolerant: [],
        cut: [],
        shortened: [],
        close: [],
        below: [],
        above: [],
        expected: [],
        elsewhere: [],
        reserved: [],
        maxPayment: (due) => due,
      };
    }
    const target: PaymentTarget = { chain: row.chain, coin, wallet: row.wallet };
    const units = BigInt(row.units);
    const between = (range: { above: bigint; through: bigint }) => reservationsBetween(at, target, range, row.id);
    return {
      lookalike,
      mine: depositsOfSender(at, target, row.sender, decimals, row.id),
      tolerant: between(tolerantRange(units, decimals)).filter((one) => isDue(at, one)),
      cut: between({ above: units, through: units + lastDigitUnit(units, decimals) - 1n }),
      shortened: earlierReservationsFor(
        at,
        target,
        usualFees(decimals).map((fee) => units + fee),
        row.id,
      ),
      close: between({ above: units - units / close_share - 1n, through: units + units / close_share }),
      below: reservationsBelow(at, target, units, row.id),
      above: between({ above: units, through: units * short_most_times }),
      expected,
      elsewhere: reservationsElsewhere(at, target, row.amount, row.id),
      reserved: depositsReservedSince(
        at,
        target,
        units,
        row.block_time * 1000 - config.current().orders.late_window_ms,
        row.id,
      ),
      maxPayment: (due) => maxPaymentFor(config.current().orders.overpaid_tolerance, due, decimals),
    };
  }

  /** Unpaid orders that were asked for before a deposit and may be meant by a transfer; complete below `nearby_max`. */
  function olderThan(
    at: Reader,
    target: PaymentTarget,
    row: TransferRow,
    deposit: Pick<Reservation, "deposit" | "order_id">,
    decimals: number,
  ): Reservation[] {
    const units = BigInt(row.units);
    const { above, through } = finerThan(units, decimals);
    const before = { deposit: deposit.deposit, order_id: deposit.order_id, sender: row.sender, transfer: row.id };
    const near = {
      amounts: usualFees(decimals).map((fee) => units + fee),
      ranges: [
        { above, through: units - 1n },
        { above: units, through: maxUnits(through, tolerantRange(units, decimals).through) },
      ],
    };
    const isBefore = (one: Reservation) => one.deposit < deposit.deposit && one.order_id !== deposit.order_id;
    const left = [
      ...remaindersOf(at, target, { units, sender: row.sender, transfer: row.id }),
      ...endedRemaindersOf(at, target, units, row.id),
    ];
    const own = isSharedSender(at, row.sender) ? [] : depositsOfSender(at, target, row.sender, decimals, row.id);
    return [
      ...unpaidReservationsBefore(at, target, before, near),
      ...left.filter((one) => isBefore(one) && (one.sender === null || one.sender === row.sender)),
      ...own.filter(isBefore),
    ];
  }

  /** Whether another unpaid order than the one of a deposit may be meant by a transfer: exactly, or as in `olderThan`. */
  function mayMeanOther(at: Reader, row: TransferRow, { order_id }: Reservation): boolean {
    const { chain, coin, wallet, units } = row;
    if (coin === null) return false;
    const target: PaymentTarget = { chain, coin, wallet };
    const exact = reservationsFor(at, target, [BigInt(units)], row.id).filter((one) => one.order_status !== "paid");
    const near = olderThan(
      at,
      target,
      row,
      { deposit: Number.MAX_SAFE_INTEGER, order_id },
      watchFor(at, row)?.decimals ?? 0,
    );
    const when = whenOf(at, row);
    return [...exact, ...near].some((one) => one.order_id !== order_id && !isOlderThanDeposit(when, one));
  }

  function surchargedBeside(
    at: Reader,
    target: PaymentTarget,
    row: TransferRow,
    deposit: Reservation,
    decimals: number,
  ): Reservation[] {
    const units = BigInt(row.units);
    const { above, through } = finerThan(units, decimals);
    const than = { order_id: deposit.order_id, sender: row.sender, transfer: row.id };
    const near = {
      amounts: usualFees(decimals).map((fee) => units + fee),
      ranges: [
        { above, through: units - 1n },
        { above: units, through },
      ],
    };
    return surchargedReservationsNear(at, target, than, near);
  }

  /**
   * Unpaid orders of which exactly a transfer and the newest others of its sender that count for nothing yet are due
   * together, where a deposit was opened only after those, or just before.
   */
  function completedBy(at: Reader, target: PaymentTarget, row: TransferRow, deposit: Reservation): Reservation[] {
    const { id: transfer, sender } = row;
    if (isSharedSender(at, sender)) return [];
    const others = [unallocatedTransfers, unconfirmedParts]
      .flatMap((find) => find(at, target, sender, added_transfers_max))
      .filter(({ id }) => id !== transfer)
      .sort((a, b) => b.block_number - a.block_number || b.log_index - a.log_index);
    let units = BigInt(row.units);
    return others.flatMap((other) => {
      units += BigInt(other.units);
      const when = whenOf(at, other);
      // Once a part of the sender's own order counts, what is left of that order comes first.
      if (other.deposit === null && !isOlderThanDeposit(when, deposit) && !isYoungDeposit(when, deposit)) return [];
      return depositsDueExactly(at, target, { units, sender, transfer }).filter(
        (one) =>
          one.order_id !== deposit.order_id &&
          one.order_status !== "paid" &&
          (one.sender === null || one.sender === sender) &&
          !isOlderThanDeposit(when, one),
      );
    });
  }

  function decide(at: Reader, row: TransferRow): Match {
    const { chain, coin, wallet, sender } = row;
    const watch = watchFor(at, row);
    const units = BigInt(row.units);
    const target: PaymentTarget | null = coin === null ? null : { chain, coin, wallet };
    // Whoever expects this very sender, and then the others: of them only a few are looked at.
    const exact =
      target === null
        ? []
        : [...reservationOfSender(at, target, units, sender, row.id), ...reservationsFor(at, target, [units], row.id)];
    return attribute(
      {
        sender,
        units,
        ...whenOf(at, row),
        accepted: coin !== null,
        offered: watch?.offered ?? false,
        own: isWatchedWallet(at, sender),
        dust: compareAmounts(row.amount, dust_below) < 0,
        petty: isIgnorableAmount(row.amount),
      },
      exact,
      {
        remainders: () => ownRemainders(at, row),
        isShared: () => isSharedSender(at, sender),
        hasPaidSeveral: () => hasPaidOrders(at, sender, 2),
        around: () => around(at, row, coin, watch?.decimals ?? 0),
        surcharged: (deposit) =>
          target === null ? [] : surchargedBeside(at, target, row, deposit, watch?.decimals ?? 0),
        completed: (deposit) => (target === null ? [] : completedBy(at, target, row, deposit)),
        olderThan: (deposit) => (target === null ? [] : olderThan(at, target, row, deposit, watch?.decimals ?? 0)),
      },
    );
  }

  return {
    decide,
    isOlderThan: (at, row, deposit) => isOlderThanDeposit(whenOf(at, row), deposit),
    mayBePartOf(at, row, deposit) {
      const when = whenOf(at, row);
      if (isOlderThanDeposit(when, deposit) || isYoungDeposit(when, deposit) || mayMeanOther(at, row, deposit))
        return false;
      return "deposit" in matchFor(when, deposit, "part");
    },
    decideFinally(at, row) {
      const [found, before] = [decide(at, row), orderOnSight(at, row)];
      // It was certain but for an older order, which is settled now.
      if (row.held_for !== null && "deposit" in found && found.deposit === row.held_for) return found;
      if (before === null) {
        // What could be meant for several when it was seen is not made certain by one of them being settled since. What is
        // left of the sender's own deposit is: nobody else can have caused that.
        const isOwn = "deposit" in found && ownRemainders(at, row).some((one) => one.deposit === found.deposit);
        const isGuess = "deposit" in found && found.kind !== "match" && !isOwn;
        return isGuess && row.reason !== null ? { reason: row.reason, likely_order: null } : found;
      }
      if ("deposit" in found) return found.order_id === before ? found : { reason: "ambiguous", likely_order: before };
      const isTooMuch = found.reason === "no_such_amount" && (found.likely_order ?? before) !== before;
      if (isTooMuch) return { reason: "ambiguous", likely_order: before };
      return hasSeveralCandidates(found.reason) ? found : { ...found, likely_order: found.likely_order ?? before };
    },
  };
}

/** Deposits that the sender of a transfer has begun to pay, or that expect it, and of which exactly the transfer is left. */
function ownRemainders(at: Reader, { id, chain, coin, wallet, sender, units }: TransferRow) {
  if (coin === null) return [];
  const left = remaindersOf(at, { chain, coin, wallet }, { units: BigInt(units), sender, transfer: id });
  return left.filter((one) => one.begun || one.sender === sender);
}

/** True where a reserved amount is what is due of its deposit: parts leave the whole amount reserved beside what is left. */
function isDue(at: Reader, { deposit, units }: Reservation): boolean {
  const left = depositById(at, deposit)?.remainder ?? null;
  return left === null || left === units.toString();
}

/** When a transfer was mined and first seen. */
function whenOf(at: Reader, row: TransferRow): Pick<IncomingTransfer, "block" | "newest_deposit" | "chain_time"> {
  const block = { number: row.block_number, time: row.block_time };
  return { block, newest_deposit: row.newest_deposit, chain_time: chainTime(at, row.chain) };
}

/** What is known of a chain's time. */
function chainTime(at: Reader, chain: ChainId): ChainTime {
  return { block_ms: secondsPerBlock(at, chain).most * 1000 };
}

/** The order that an unconfirmed transfer pays or points at so far. */
function orderOnSight(at: Reader, { deposit, likely_order }: TransferRow): string | null {
  return deposit === null ? likely_order : (depositById(at, deposit)?.order_id ?? null);
}

/** Whether the sender only looks like somebody who paid on this wallet, or like a wallet of the merchant. */
function looksLikeKnown(at: Reader, { chain, wallet, sender }: TransferRow): boolean {
  const payers = lookalikePrefixes(sender).flatMap((begin) => payersWithPrefix(at, { chain, wallet }, begin));
  if (payers.includes(sender)) return false;
  return [...payers, ...watchesOf(at, chain).map((watch) => watch.wallet)].some((known) => isLookalike(sender, known));
}
