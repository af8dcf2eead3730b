// Holds what the product made of a transfer against what was stated of it. Shares no rule with the product: what could
// be meant is worked out from what payers were told, what was sent and what the chain shows.

import { wrongestClock } from "../settings.ts";
import type { Payment, Stage } from "../stage.ts";
import { cutsOf, isClose, isCut, isFeeShortened, textOf, unitsOf } from "./amounts.ts";
import { createFacts, isOwnWallet } from "./facts.ts";
import type { Ask, Decision, History, Kept, Paid } from "./history.ts";
import { createReasons } from "./reasons.ts";
import { shared_orders_min } from "./rules.ts";

/** What is wrong with an outcome; null when it is allowed. */
export type Objection = string | null;

/** A transfer as it was decided, and when: a position in the event log. */
type Moment = Pick<Decision, "transfer" | "n">;

export interface Judge {
  /** Objects to a payment of this order by this transfer. */
  toPaid(payment: Payment, decision: Moment, paid: Paid): Objection;
  /** Objects to a promise that this transfer will count for an order. */
  toCounting(payment: Payment, decision: Moment, order_id: string): Objection;
  /** Objects to a transfer that pays nothing, or to the reason it has for that. Null reason: it cannot be told any more. */
  toWaiting(payment: Payment, decision: Moment, reason: string | null): Objection;
  /** How many outcomes are allowed: each order it may pay is one, the inbox is another. */
  outcomes(payment: Payment, decision: Moment): number;
  /** What is judged from now on is decided from now on. */
  judged(): void;
}

const were_due = "were due";
/** An amount is compared with what is asked up to this many times as much. */
const compared_times = 2n;
/** An ask is young for a transfer that was mined at most so many blocks after it. */
const young_blocks = 2;
/** What the product may add to that, not knowing the chain's clock. */
const young_max_ms = 20_000;

/** Judges the payments of one world by its history. */
export function createJudge(stage: Stage, history: History): Judge {
  const facts = createFacts(stage);
  const reasons = createReasons(stage, history, facts);
  /** No decision that is judged now was made before, virtual ms. */
  let judged_at = 0;

  /** Asks of other orders that were surely there before the money and surely still reserved. */
  function rivalsOf(payment: Payment, transfer: Kept, order_id: string): Ask[] {
    return history
      .asks()
      .filter((one) => one.order_id !== order_id && facts.isSurelyReserved(one))
      .filter((one) => facts.isSurelyBefore(one, payment, transfer));
  }

  function toExact(payment: Payment, { transfer, n }: Moment, ask: Ask): Objection {
    const { statement } = payment;
    if (statement.must?.id === ask.order_id || facts.isChanged(payment, transfer)) return null;
    // While no part of its order counts, nothing tells a rest from the exact amount of another order.
    if (statement.rule === "remainder" && statement.may.has(ask.order_id)) return null;
    const detail = facts.detailOf(ask);
    // Its payer may have been told no more than what was left.
    const told_at = detail?.units === ask.units ? detail.told_at : Number.POSITIVE_INFINITY;
    // A restore may bring an order back that was lost when the money was sent.
    if (stage.lost.restores.some(({ at }) => at > payment.sent_at)) return null;
    if (told_at < payment.sent_at) return `it was to pay ${statement.must?.id ?? "nobody"}`;
    // Nobody had been told this amount when the money was sent.
    const rival = rivalsOf(payment, transfer, ask.order_id).find(
      (one) => facts.isHere(one, transfer) && one.units === transfer.units && isFor(one, transfer),
    );
    if (rival !== undefined) return `its amount was reserved for ${rival.order_id}`;
    const older = isYoung(ask, transfer) ? olderThat(payment, { transfer, n }, ask) : null;
    return older === null ? null : `it was opened just now, and the money could be meant for ${older.order_id}`;
  }

  /** True for an ask that was opened at most two blocks before the transfer was mined, or behind it. */
  function isYoung(ask: Ask, { chain, block_time }: Kept): boolean {
    const { block_s, skew_s } = stage.chains[chain].traits;
    const wasWrong = stage.clock.wasWrong(0, stage.timeline.now());
    return !wasWrong && block_time * 1000 <= ask.opened_at + (skew_s + young_blocks * block_s) * 1000;
  }

  /** An older ask whose payer's money this may be: cut, rounded, less a fee, or what is left of it. */
  function olderThat(payment: Payment, { transfer, n }: Moment, young: Ask): Ask | null {
    if (young.sender === transfer.sender) return null;
    const decimals = facts.decimalsOf(young);
    const { units } = transfer;
    const isMeant = (one: Ask) =>
      facts.surelyTolerates(units, one.units, decimals, judged_at) ||
      isCut(units, one.units, decimals) ||
      isFeeShortened(units, one.units, decimals) ||
      (!history.isUnclear(one.order_id) && history.leftBefore(one, decimals, n) === units);
    return (
      rivalsOf(payment, transfer, young.order_id).find(
        (one) =>
          facts.isHere(one, transfer) && one.id < young.id && isFor(one, transfer) && isUnpaid(one, n) && isMeant(one),
      ) ?? null
    );
  }

  /** True when the order expects this sender, or only this order has been paid by it. */
  function isOwn(ask: Ask, transfer: Kept, n: number): boolean {
    if (ask.sender === transfer.sender) return true;
    const orders = new Set(history.paidBy(transfer.sender, n).map(({ order_id }) => order_id));
    return orders.size === 1 && orders.has(ask.order_id);
  }

  /** Another order that money of no exact amount could be meant for. */
  function rivalOf(payment: Payment, { transfer, n }: Moment, ask: Ask): Ask | null {
    const { units, sender } = transfer;
    const decimals = facts.decimalsOf(ask);
    const own = isOwn(ask, transfer, n);
    const looksLike = (one: Ask) =>
      cutsOf(one.units, decimals).includes(units) ||
      isFeeShortened(units, one.units, decimals) ||
      isClose(units, one.units) ||
      (!own && one.units <= units * compared_times);
    const isRival = (one: Ask) => {
      if (!facts.isHere(one, transfer)) return textOf(one.units, facts.decimalsOf(one)) === textOf(units, decimals);
      return one.units === units || looksLike(one) || (own && one.sender === sender && isUnpaid(one, n));
    };
    const expects = (one: Ask) => !own && one.sender === sender && isUnpaid(one, n);
    return rivalsOf(payment, transfer, ask.order_id).find((one) => isRival(one) || expects(one)) ?? null;
  }

  /** A little less than the ask, or than what was left of it. */
  function isTolerated({ transfer, n }: Moment, ask: Ask): boolean {
    const decimals = facts.decimalsOf(ask);
    const asked = [ask.units, ...history.leftsBefore(ask, decimals, n)];
    return asked.some((one) => facts.mayTolerate(transfer.units, one, decimals, judged_at));
  }

  /** Another order that money of a little less than an ask could be meant for: as near, or its sender's own. */
  function rivalOfTolerated(payment: Payment, { transfer, n }: Moment, ask: Ask): Ask | null {
    const { units, sender } = transfer;
    const decimals = facts.decimalsOf(ask);
    const begun = history.paidBy(sender, n).map(({ order_id }) => order_id);
    const isOwnOther = (one: Ask) =>
      one.sender === sender || (facts.isHere(one, transfer) && begun.includes(one.order_id));
    // Of an order that was paid in part, only the rest was due.
    const dueOf = (one: Ask) => history.leftsBefore(one, decimals, n).at(-1) ?? one.units;
    const isNear = (one: Ask) =>
      facts.isHere(one, transfer)
        ? looksNear(units, dueOf(one), decimals) ||
          (isUnpaid(one, n) && facts.surelyOverpays(units, one.units, decimals, judged_at))
        : textOf(one.units, facts.decimalsOf(one)) === textOf(units, decimals);
    return (
      rivalsOf(payment, transfer, ask.order_id).find(
        (one) => isNear(one) || (isOwnOther(one) && isUnpaid(one, n) && !history.isUnclear(one.order_id)),
      ) ?? null
    );
  }

  /** Surely what may be made of an ask: a little less, cut, or less a fee. */
  function looksNear(units: bigint, asked: bigint, decimals: number): boolean {
    return (
      units === asked ||
      facts.surelyTolerates(units, asked, decimals, judged_at) ||
      isCut(units, asked, decimals) ||
      isFeeShortened(units, asked, decimals)
    );
  }

  const isUnpaid = (one: Ask, n: number) => history.statusAt(one.order_id, n) !== "paid";
  const isFor = (one: Ask, { sender }: Kept) => one.sender === null || one.sender === sender;

  function toInexact(payment: Payment, decision: Moment, ask: Ask): Objection {
    const { transfer, n } = decision;
    const { units } = transfer;
    if (history.isUnclear(ask.order_id)) return null;
    const decimals = facts.decimalsOf(ask);
    if (history.leftsBefore(ask, decimals, n).includes(units)) return null;
    const left = history.leftBefore(ask, decimals, n);
    if (left !== null && units > left && !facts.mayOverpay(units, left, decimals, judged_at))
      return `${left} ${were_due}`;
    if (history.isSplit(ask, decimals, transfer.sender)) return toSplit(payment, decision, ask);
    if (isTolerated(decision, ask)) {
      const other = rivalOfTolerated(payment, decision, ask);
      return other === null ? null : `it could be meant for ${other.order_id} as well`;
    }
    const rival = rivalOf(payment, decision, ask);
    if (rival !== null) return `it could be meant for ${rival.order_id}`;
    if (isOwn(ask, transfer, n)) return isShared(transfer.sender, n) ? "its sender pays for many" : null;
    if (left === null || units < left) return "it is a part from a stranger";
    return toOther(payment, n, ask);
  }

  /** Objects where money was sent for another order that is still known: pending, or with an amount that is reserved. */
  function toOther({ detail, transfer, statement: { meant } }: Payment, n: number, ask: Ask): Objection {
    if (meant === null || meant.id === ask.order_id) return null;
    // A small part of a large amount tells nothing of its order.
    if (detail !== null && detail.units > transfer.units * compared_times) return null;
    // A restore took what its payer was told.
    if (detail !== null && stage.lost.details.has(detail)) return null;
    const isReserved = history.asks().some((one) => one.order_id === meant.id && facts.isSurelyReserved(one));
    return isReserved || history.statusAt(meant.id, n) === "pending" ? `it was sent for ${meant.id}` : null;
  }

  /** Several transfers of one sender that are exactly what is due, and nothing else, pay an order together. */
  function toSplit(payment: Payment, { transfer, n }: Moment, ask: Ask): Objection {
    if (isOwn(ask, transfer, n)) return null;
    return isShared(transfer.sender, n) ? "its sender pays for many" : toOther(payment, n, ask);
  }

  /** True for a statement whose conditions still hold at the decision: time, state, and nobody who came in between. */
  function isBinding(payment: Payment, { transfer, n }: Moment): boolean {
    const { must, rule } = payment.statement;
    // A wallet that was named once is still the merchant's.
    if (
      must === null ||
      isOwnWallet(stage, transfer.sender) ||
      facts.isChanged(payment, transfer) ||
      history.statusAt(must.id, n) !== "pending"
    )
      return false;
    const here = history.asks().filter((one) => facts.isHere(one, transfer));
    const ask = here.find((one) => one.order_id === must.id);
    if (ask === undefined || !facts.isSurelyBefore(ask, payment, transfer)) return false;
    if (transfer.block_time * 1000 > ask.expires_at) return false;
    if (facts.hasTwin(payment, ask.units)) return false;
    // Exactly what was told may be what was left of an order.
    const isWhole = transfer.units === ask.units;
    if (rule === "exact" && isWhole)
      return !isLeftOfOther(transfer, n, must.id) && !mayBeContested({ transfer, n }, ask);
    if (rule === "remainder" || rule === "exact") {
      const left = history.leftBefore(ask, facts.decimalsOf(ask), n);
      // Beside another order of this amount, the money of a sender of several orders may be anybody's.
      const isClaimed = here.some((one) => one.order_id !== must.id && one.units === transfer.units);
      const isUnclear = isClaimed && history.paidBy(transfer.sender, n).some(({ order_id }) => order_id !== must.id);
      return isOnlyPayer(transfer, n, must.id) && left === transfer.units && !isUnclear;
    }
    if (history.isUnclear(must.id) || !isNobodyElse(payment, transfer, ask)) return false;
    if (rule === "clear tolerance") return isOnlyNear(payment, { transfer, n }, ask);
    const { units } = transfer;
    const isOver = units > ask.units;
    if (isOver && !facts.surelyOverpays(units, ask.units, facts.decimalsOf(ask), payment.sent_at)) return false;
    return here.every((one) => one.order_id === must.id);
  }

  /** A little less than this ask by all rules since it was sent, and nothing that may be made of another. */
  function isOnlyNear(payment: Payment, { transfer }: Moment, ask: Ask): boolean {
    const { units } = transfer;
    const decimals = facts.decimalsOf(ask);
    const mayLookNear = (asked: bigint) =>
      looksNear(units, asked, decimals) ||
      facts.mayOverpay(units, asked, decimals, payment.sent_at) ||
      facts.mayTolerate(units, asked, decimals, payment.sent_at);
    const others = history.asks().filter((one) => one.order_id !== ask.order_id && facts.isHere(one, transfer));
    return (
      facts.surelyTolerates(units, ask.units, decimals, payment.sent_at) &&
      others.every(
        (one) =>
          !history.isUnclear(one.order_id) &&
          ![one.units, ...history.leftsBefore(one, decimals, Number.POSITIVE_INFINITY)].some(mayLookNear),
      )
    );
  }

  /**
   * Another order may be meant: one that was asked for more than its price and whose payer may have dropped its decimals,
   * or an older one for an ask that may be young. Then the payment waits until that order is settled.
   */
  function mayBeContested(moment: Moment, ask: Ask): boolean {
    const { transfer, n } = moment;
    const isKnown = ask.sender === transfer.sender && !mayBeShared(transfer.sender, n);
    return !isKnown && (isBesideSurcharge(moment, ask) || mayBeYoungBeside(moment, ask));
  }

  function isBesideSurcharge({ transfer, n }: Moment, ask: Ask): boolean {
    const decimals = facts.decimalsOf(ask);
    return history
      .asks()
      .filter((one) => one.order_id !== ask.order_id && facts.isHere(one, transfer))
      .filter((one) => one.units > unitsOf(one.price, decimals) && history.statusAt(one.order_id, n) === "pending")
      .some(({ units }) => isCut(transfer.units, units, decimals) || isFeeShortened(transfer.units, units, decimals));
  }

  function mayBeYoung(ask: Ask, { chain, block_time }: Kept): boolean {
    // An ask is dated by the server's clock.
    const wrong_ms = stage.clock.wasWrong(0, stage.timeline.now()) ? wrongestClock(stage.traits) * 1000 : 0;
    const young_ms = young_max_ms + wrong_ms + stage.chains[chain].traits.block_s * young_blocks * 1000;
    return block_time * 1000 <= ask.opened_at + young_ms;
  }

  function mayBeYoungBeside({ transfer, n }: Moment, ask: Ask): boolean {
    const { units, sender } = transfer;
    if (!mayBeYoung(ask, transfer)) return false;
    const decimals = facts.decimalsOf(ask);
    const begun = history.paidBy(sender, n).map(({ order_id }) => order_id);
    return history
      .asks()
      .filter((one) => one.id < ask.id && one.order_id !== ask.order_id && facts.isHere(one, transfer))
      .some(
        (one) =>
          one.sender === sender ||
          begun.includes(one.order_id) ||
          history.isUnclear(one.order_id) ||
          [one.units, ...history.leftsBefore(one, decimals, n)].some(
            (asked) =>
              asked === units ||
              isCut(units, asked, decimals) ||
              isFeeShortened(units, asked, decimals) ||
              facts.mayTolerate(units, asked, decimals, 0),
          ),
      );
  }

  /** Exactly this may be left of another order that the sender has begun to pay: then that order comes first. */
  function isLeftOfOther(transfer: Kept, n: number, order_id: string): boolean {
    const begun = history.paidBy(transfer.sender, n).map((one) => one.order_id);
    return history
      .asks()
      .filter((one) => one.order_id !== order_id && begun.includes(one.order_id) && facts.isHere(one, transfer))
      .some(
        (one) =>
          history.isUnclear(one.order_id) || history.leftBefore(one, facts.decimalsOf(one), n) === transfer.units,
      );
  }

  /** The sender has paid into this order and no other, and no other expects it. */
  function isOnlyPayer(transfer: Kept, n: number, order_id: string): boolean {
    const orders = new Set(history.paidBy(transfer.sender, n).map((one) => one.order_id));
    const isExpected = (one: Ask) => one.order_id !== order_id && one.sender === transfer.sender;
    return (
      orders.size === 1 && orders.has(order_id) && !history.isUnclear(order_id) && !history.asks().some(isExpected)
    );
  }

  /** So many orders were paid by the sender, also in part, that it may count as an exchange. */
  function mayBeShared(sender: string, n: number): boolean {
    return new Set(history.paidBy(sender, n).map(({ order_id }) => order_id)).size >= shared_orders_min;
  }

  /** So many orders were paid by the sender that it may be an exchange. */
  function isShared(sender: string, n: number): boolean {
    const paid = history.paidBy(sender, n).filter(({ kind }) => kind === "match" || kind === "claim");
    const orders = paid.map(({ order_id }) => order_id).filter((id) => !history.isUnclear(id));
    return new Set(orders).size >= shared_orders_min;
  }

  /** The last to count of several transfers of one transaction that are an order's amount: it pays with the others. */
  function isLastOfSplit(payment: Payment, { transfer, n }: Moment): boolean {
    const { rule, meant } = payment.statement;
    const here = history.asks().filter((one) => facts.isHere(one, transfer));
    const ask = here.find((one) => one.order_id === meant?.id);
    if (rule !== "clear split" || ask === undefined || history.statusAt(ask.order_id, n) !== "pending") return false;
    const sent = stage.payments.filter((one) => one.transfer.sender === transfer.sender);
    const kept = history.transfersOf(transfer.tx_hash);
    const isWhole = kept.reduce((sum, one) => sum + one.units, 0n) === ask.units && kept.length === sent.length;
    const isSettled = kept.every((one) => one.id === transfer.id || history.isConfirmedBefore(one.id, n));
    const isClear = sent.every(({ tx }) => tx === payment.tx) && here.every((one) => one.order_id === ask.order_id);
    const amounts = kept.map(({ units }) => textOf(units, facts.decimalsOf(ask)));
    const isElsewhere = history.asks().some((one) => amounts.includes(textOf(one.units, facts.decimalsOf(one))));
    const inTime = transfer.block_time * 1000 <= ask.expires_at && facts.isSurelyBefore(ask, payment, transfer);
    // An exact payment that was seen has the place; it need not count yet.
    const isTaken = stage.payments.some(
      (one) =>
        one.tx !== payment.tx &&
        one.transfer.token === payment.transfer.token &&
        one.transfer.wallet === ask.wallet &&
        one.transfer.units === ask.units,
    );
    return isWhole && isSettled && isClear && !isElsewhere && inTime && !isTaken && !mayBeYoung(ask, transfer);
  }

  /** Nobody else, wherever, was asked for this amount or expects this sender, and nothing has been paid yet. */
  function isNobodyElse(payment: Payment, transfer: Kept, ask: Ask): boolean {
    const amount = textOf(transfer.units, facts.decimalsOf(ask));
    const others = history.asks().filter((one) => one.order_id !== ask.order_id);
    const sent = stage.payments.filter((one) => one !== payment && one.transfer.sender === transfer.sender);
    return (
      sent.length === 0 &&
      history.leftsBefore(ask, facts.decimalsOf(ask), Number.POSITIVE_INFINITY).length <= 1 &&
      others.every((one) => one.sender !== transfer.sender && textOf(one.units, facts.decimalsOf(one)) !== amount)
    );
  }

  function toPaid(payment: Payment, decision: Moment, { order_id, ask }: Paid): Objection {
    if (ask === null) return "it paid without having been asked for";
    if (!facts.isHere(ask, decision.transfer)) return "it was asked for elsewhere";
    const objection =
      decision.transfer.units === ask.units ? toExact(payment, decision, ask) : toInexact(payment, decision, ask);
    if (objection !== null) return objection;
    const { must } = payment.statement;
    return must !== null && must.id !== order_id && isBinding(payment, decision) ? `it had to pay ${must.id}` : null;
  }

  return {
    toPaid,
    toCounting(payment, moment, order_id) {
      const ask = history.asks().find((one) => one.order_id === order_id && facts.isHere(one, moment.transfer));
      if (ask === undefined) return "it asks for nothing there";
      // What it moved then is not known any more.
      if (facts.isChanged(payment, moment.transfer)) return null;
      const objection = toPaid(payment, moment, { order_id, kind: "", ask });
      // More may have been due then: a part before it may have counted only since.
      return objection?.endsWith(were_due) ? null : objection;
    },
    toWaiting(payment, decision, reason) {
      if (isBinding(payment, decision)) return `it had to pay ${payment.statement.must?.id}`;
      if (isLastOfSplit(payment, decision)) return "it had to pay together with the rest of its transaction";
      if (reason === null || reasons.allowed(payment, decision).has(reason)) return null;
      return `${reason} is no reason here`;
    },
    outcomes(payment, decision) {
      if (isBinding(payment, decision)) return 1;
      const payable = history.asks().filter((ask) => {
        const { order_id } = ask;
        if (!facts.isHere(ask, decision.transfer) || !isFor(ask, decision.transfer)) return false;
        if (history.statusAt(order_id, decision.n) !== "pending") return false;
        return toPaid(payment, decision, { order_id, kind: "", ask }) === null;
      });
      return payable.length + 1;
    },
    judged() {
      judged_at = stage.timeline.now();
    },
  };
}
