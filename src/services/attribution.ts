// Gathers what a transfer is compared with and asks the rules whose money it is. Reads only; what it found is written by
// settlement.

import type { LiveConfig } from "../config/config.ts";
import type { ChainId, Coin } from "../domain/assets.ts";
import { type Around, attribute } from "../domain/attribution.ts";
import { beginningsLike, isLookalike } from "../domain/lookalike.ts";
import {
  type Arrival,
  type Candidate,
  type ChainTime,
  isOlder,
  isYoung,
  type Match,
  settled,
} from "../domain/matching.ts";
import { compareAmounts, mostOf } from "../domain/money.ts";
import { isPetty, isShared } from "../domain/payment.ts";
import { feesOf, finerThan, stepOf } from "../domain/slots.ts";
import { highestPaid, highestPaying } from "../domain/tolerance.ts";
import { secondsPerBlock } from "../storage/chains.ts";
import { isWatchedWallet, watchesOf, watchFor } from "../storage/coverage.ts";
import { depositById } from "../storage/deposits.ts";
import type { Reader } from "../storage/engine/database.ts";
import {
  candidateOfSender,
  candidatesElsewhere,
  candidatesFor,
  dueExactly,
  endedRemaindersOf,
  promisesBelow,
  promisesBetween,
  promisesOf,
  remaindersOf,
  reservedBefore,
  surchargedNear,
  unpaidBefore,
} from "../storage/reservation-search.ts";
import {
  depositsExpecting,
  depositsOfSender,
  hasPaidOrders,
  isSharedSender,
  partsUnconfirmed,
  payersLike,
  unallocatedOf,
} from "../storage/senders.ts";
import type { Pot } from "../storage/slots.ts";
import type { TransferRow } from "../storage/transfers.ts";

/** Less than this, in whole coins, is dust. */
const dust_below = "0.01";
/** Promises up to this many times as high may have been meant by what is too little for them. */
const short_most_times = 10n;
/** Transfers of one sender that are added up; of more, none is certain. */
export const added_up_max = 10;
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
  isOlderThan(at: Reader, row: TransferRow, deposit: Candidate): boolean;
  /**
   * True where nothing speaks against a transfer as a part of a deposit: not its time, not how new the deposit was, and no
   * other unpaid order that it may be meant for.
   */
  mayBePartOf(at: Reader, row: TransferRow, deposit: Candidate): boolean;
}

/** Attribution with the live settings' tolerance. */
export function createAttribution(needs: { config: LiveConfig }): Attribution {
  const { config } = needs;

  function tolerantRange(units: bigint, decimals: number) {
    const { underpaid_tolerance } = config.current().orders;
    return { above: units, through: highestPaid(underpaid_tolerance, units, decimals) };
  }

  function around(at: Reader, row: TransferRow, coin: Coin | null, decimals: number): Around {
    const expected = depositsExpecting(at, row.chain, row.sender, row.id);
    const lookalike = expected.length === 0 && looksLikeKnown(at, row);
    if (coin === null || (lookalike && isPetty(row.amount))) {
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
        highestPaying: (due) => due,
      };
    }
    const pot: Pot = { chain: row.chain, coin, wallet: row.wallet };
    const units = BigInt(row.units);
    const between = (range: { above: bigint; through: bigint }) => promisesBetween(at, pot, range, row.id);
    return {
      lookalike,
      mine: depositsOfSender(at, pot, row.sender, decimals, row.id),
      tolerant: between(tolerantRange(units, decimals)).filter((one) => isDue(at, one)),
      cut: between({ above: units, through: units + stepOf(units, decimals) - 1n }),
      shortened: promisesOf(
        at,
        pot,
        feesOf(decimals).map((fee) => units + fee),
        row.id,
      ),
      close: between({ above: units - units / close_share - 1n, through: units + units / close_share }),
      below: promisesBelow(at, pot, units, row.id),
      above: between({ above: units, through: units * short_most_times }),
      expected,
      elsewhere: candidatesElsewhere(at, pot, row.amount, row.id),
      reserved: reservedBefore(at, pot, units, row.block_time * 1000 - config.current().orders.late_window_ms, row.id),
      highestPaying: (due) => highestPaying(config.current().orders.overpaid_tolerance, due, decimals),
    };
  }

  /** Unpaid orders that were asked for before a deposit and may be meant by a transfer; complete below `around_max`. */
  function olderThan(
    at: Reader,
    pot: Pot,
    row: TransferRow,
    deposit: Pick<Candidate, "deposit" | "order_id">,
    decimals: number,
  ): Candidate[] {
    const units = BigInt(row.units);
    const { above, through } = finerThan(units, decimals);
    const before = { deposit: deposit.deposit, order_id: deposit.order_id, sender: row.sender, transfer: row.id };
    const near = {
      amounts: feesOf(decimals).map((fee) => units + fee),
      ranges: [
        { above, through: units - 1n },
        { above: units, through: mostOf(through, tolerantRange(units, decimals).through) },
      ],
    };
    const isBefore = (one: Candidate) => one.deposit < deposit.deposit && one.order_id !== deposit.order_id;
    const left = [
      ...remaindersOf(at, pot, { units, sender: row.sender, transfer: row.id }),
      ...endedRemaindersOf(at, pot, units, row.id),
    ];
    const own = isSharedSender(at, row.sender) ? [] : depositsOfSender(at, pot, row.sender, decimals, row.id);
    return [
      ...unpaidBefore(at, pot, before, near),
      ...left.filter((one) => isBefore(one) && (one.sender === null || one.sender === row.sender)),
      ...own.filter(isBefore),
    ];
  }

  /** Whether another unpaid order than the one of a deposit may be meant by a transfer: exactly, or as in `olderThan`. */
  function mayMeanOther(at: Reader, row: TransferRow, { order_id }: Candidate): boolean {
    const { chain, coin, wallet, units } = row;
    if (coin === null) return false;
    const pot: Pot = { chain, coin, wallet };
    const exact = candidatesFor(at, pot, [BigInt(units)], row.id).filter((one) => one.order_status !== "paid");
    const near = olderThan(
      at,
      pot,
      row,
      { deposit: Number.MAX_SAFE_INTEGER, order_id },
      watchFor(at, row)?.decimals ?? 0,
    );
    const when = whenOf(at, row);
    return [...exact, ...near].some((one) => one.order_id !== order_id && !isOlder(when, one));
  }

  function surchargedBeside(at: Reader, pot: Pot, row: TransferRow, deposit: Candidate, decimals: number): Candidate[] {
    const units = BigInt(row.units);
    const { above, through } = finerThan(units, decimals);
    const than = { order_id: deposit.order_id, sender: row.sender, transfer: row.id };
    const near = {
      amounts: feesOf(decimals).map((fee) => units + fee),
      ranges: [
        { above, through: units - 1n },
        { above: units, through },
      ],
    };
    return surchargedNear(at, pot, than, near);
  }

  /**
   * Unpaid orders of which exactly a transfer and the newest others of its sender that count for nothing yet are due
   * together, where a deposit was opened only after those, or just before.
   */
  function completedBy(at: Reader, pot: Pot, row: TransferRow, deposit: Candidate): Candidate[] {
    const { id: transfer, sender } = row;
    if (isSharedSender(at, sender)) return [];
    const others = [unallocatedOf, partsUnconfirmed]
      .flatMap((find) => find(at, pot, sender, added_up_max))
      .filter(({ id }) => id !== transfer)
      .sort((a, b) => b.block_number - a.block_number || b.log_index - a.log_index);
    let units = BigInt(row.units);
    return others.flatMap((other) => {
      units += BigInt(other.units);
      const when = whenOf(at, other);
      // Once a part of the sender's own order counts, what is left of that order comes first.
      if (other.deposit === null && !isOlder(when, deposit) && !isYoung(when, deposit)) return [];
      return dueExactly(at, pot, { units, sender, transfer }).filter(
        (one) =>
          one.order_id !== deposit.order_id &&
          one.order_status !== "paid" &&
          (one.sender === null || one.sender === sender) &&
          !isOlder(when, one),
      );
    });
  }

  function decide(at: Reader, row: TransferRow): Match {
    const { chain, coin, wallet, sender } = row;
    const watch = watchFor(at, row);
    const units = BigInt(row.units);
    const pot: Pot | null = coin === null ? null : { chain, coin, wallet };
    // Whoever expects this very sender, and then the others: of them only a few are looked at.
    const exact =
      pot === null
        ? []
        : [...candidateOfSender(at, pot, units, sender, row.id), ...candidatesFor(at, pot, [units], row.id)];
    return attribute(
      {
        sender,
        units,
        ...whenOf(at, row),
        accepted: coin !== null,
        offered: watch?.offered ?? false,
        own: isWatchedWallet(at, sender),
        dust: compareAmounts(row.amount, dust_below) < 0,
        petty: isPetty(row.amount),
      },
      exact,
      {
        remainders: () => ownRemainders(at, row),
        isShared: () => isSharedSender(at, sender),
        hasPaidSeveral: () => hasPaidOrders(at, sender, 2),
        around: () => around(at, row, coin, watch?.decimals ?? 0),
        surcharged: (deposit) => (pot === null ? [] : surchargedBeside(at, pot, row, deposit, watch?.decimals ?? 0)),
        completed: (deposit) => (pot === null ? [] : completedBy(at, pot, row, deposit)),
        olderThan: (deposit) => (pot === null ? [] : olderThan(at, pot, row, deposit, watch?.decimals ?? 0)),
      },
    );
  }

  return {
    decide,
    isOlderThan: (at, row, deposit) => isOlder(whenOf(at, row), deposit),
    mayBePartOf(at, row, deposit) {
      const when = whenOf(at, row);
      if (isOlder(when, deposit) || isYoung(when, deposit) || mayMeanOther(at, row, deposit)) return false;
      return "deposit" in settled(when, deposit, "part");
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
      return isShared(found.reason) ? found : { ...found, likely_order: found.likely_order ?? before };
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
function isDue(at: Reader, { deposit, units }: Candidate): boolean {
  const left = depositById(at, deposit)?.remainder ?? null;
  return left === null || left === units.toString();
}

/** When a transfer was mined and first seen. */
function whenOf(at: Reader, row: TransferRow): Pick<Arrival, "block" | "newest_deposit" | "chain_time"> {
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
  const payers = beginningsLike(sender).flatMap((begin) => payersLike(at, { chain, wallet }, begin));
  if (payers.includes(sender)) return false;
  return [...payers, ...watchesOf(at, chain).map((watch) => watch.wallet)].some((known) => isLookalike(sender, known));
}
