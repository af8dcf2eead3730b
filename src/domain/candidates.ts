// Whose money a transfer may be that pays nothing by itself: which orders to look at, in which order, and why, in words.
// Pure hints for a person or for the merchant; nothing is ever paid because of them.

import type { ChainId, Coin } from "./assets.ts";
import { max_chain_clock_skew_s } from "./matching.ts";
import { compareAmounts, isAtMost, scaleOf, subtractAmounts } from "./money.ts";
import type { OrderStatus } from "./order.ts";
import type { InboxReason } from "./payment.ts";
import { usual_fees } from "./surcharge.ts";

const candidates_max = 5;
/** Of these, so many may be there for nothing but a claim: a transaction is public, and anybody can name it. */
const claimed_only_max = 2;

/** An amount that a payer was asked for. */
export interface QuotedAmount {
  order_id: string;
  merchant_order_id: string;
  status: OrderStatus;
  /** Null for an order whose payer never chose. */
  target: { chain: ChainId; coin: Coin; wallet: string } | null;
  /** Decimal text. */
  amount: string;
  /** What is left to pay after a part. */
  rest: boolean;
  /** ms; null for an order whose payer never chose. */
  opened_at: number | null;
  /** The transfer's sender is the one the order expects, or has paid it before. */
  known_sender: boolean;
  /** The order's payer said that this transaction is the payment. */
  claimed: boolean;
}

/** The sides of a transfer that tell whose it is. */
export interface UnmatchedTransfer {
  chain: ChainId;
  /** Null for a contract that is accepted as no coin. */
  coin: Coin | null;
  wallet: string;
  /** Decimal text. */
  amount: string;
  /** Seconds. */
  block_time: number;
  /** Why matching gave it to nobody. */
  reason: InboxReason | null;
  likely_order: string | null;
}

/** An order that a transfer may belong to. */
export interface CandidateOrder {
  order_id: string;
  merchant_order_id: string;
  status: OrderStatus;
  /** What its payer was asked for. */
  amount: string;
  /** What the transfer brought more than that; with a minus, what is missing. */
  difference: string;
  why: string;
}

interface Hint {
  /** Small is strong. */
  rank: number;
  words: string;
}

const claim_words = "its payer named this transaction";

const status_ranks: Record<OrderStatus, number> = { pending: 0, expired: 1, cancelled: 1, paid: 2 };

/** At most five orders, the likeliest first, each once and for the best of its reasons. */
export function rankCandidates(stray: UnmatchedTransfer, asked: readonly QuotedAmount[]): CandidateOrder[] {
  const judged = asked.flatMap((one) => {
    const hints = hintsOf(stray, one);
    const rank = Math.min(...hints.map((hint) => hint.rank));
    return hints.length === 0 ? [] : [{ one, hints, rank: isLater(stray, one) ? rank + later_rank : rank }];
  });
  judged.sort(
    (a, b) =>
      a.rank - b.rank ||
      status_ranks[a.one.status] - status_ranks[b.one.status] ||
      compareAmounts(distance(stray, a.one), distance(stray, b.one)) ||
      (b.one.opened_at ?? 0) - (a.one.opened_at ?? 0),
  );
  const orders = new Map<string, CandidateOrder>();
  let claimed_only = 0;
  for (const { one, hints } of judged) {
    if (orders.size === candidates_max) break;
    if (orders.has(one.order_id)) continue;
    if (hints.every((hint) => hint.words === claim_words)) {
      if (claimed_only === claimed_only_max) continue;
      claimed_only += 1;
    }
    const { order_id, merchant_order_id, status, amount } = one;
    const words = hints.sort((a, b) => a.rank - b.rank).map((hint) => hint.words);
    if (isLater(stray, one)) words.push("opened only after this transfer");
    orders.set(order_id, {
      ...{ order_id, merchant_order_id, status, amount },
      difference: subtractAmounts(stray.amount, amount),
      why: words.join("; "),
    });
  }
  return [...orders.values()];
}

/**
 * The one order that a transfer without a match was most likely meant for: the only one, still pending and opened before
 * it, that asks on another wallet, in another coin or on another chain for exactly this amount; where none does, for this
 * amount and a usual fee. Null when there is none or more than one.
 */
export function likelyOrder(stray: UnmatchedTransfer, asked: readonly QuotedAmount[]): string | null {
  const open = asked.filter((one) => one.status === "pending" && !isLater(stray, one));
  const exact = open.filter((one) => compareAmounts(one.amount, stray.amount) === 0);
  const meant = exact.length > 0 ? exact : open.filter((one) => isShortened(stray, one));
  const orders = new Set(meant.map((one) => one.order_id));
  const [only] = orders;
  return orders.size === 1 && only !== undefined ? only : null;
}

/**
 * Of several claims to one transfer (by order, in the order they were made) the one that least speaks for its order; of
 * equals the newest. What nobody can copy from the chain counts: a known sender, a deposit from before the transfer, on
 * its wallet and in its coin, of an amount near to its own.
 */
export function weakestClaim(
  stray: UnmatchedTransfer,
  claims: readonly { order_id: string; asked: readonly QuotedAmount[] }[],
): string | null {
  const weak = claims
    .map(({ order_id, asked }, index) => ({ order_id, index, best: asked.toSorted(byEvidence(stray))[0] ?? null }))
    .sort((a, b) => compareEvidence(stray, b.best, a.best) || b.index - a.index);
  return weak[0]?.order_id ?? null;
}

const byEvidence = (stray: UnmatchedTransfer) => (a: QuotedAmount, b: QuotedAmount) => compareEvidence(stray, a, b);

/** Below zero when `a` speaks more for its order than `b`. */
function compareEvidence(stray: UnmatchedTransfer, a: QuotedAmount | null, b: QuotedAmount | null): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  const lacks: ((one: QuotedAmount) => boolean)[] = [
    (one) => one.opened_at === null || isLater(stray, one),
    (one) => !one.known_sender,
    (one) => !isHere(stray, one),
  ];
  const [decisive] = lacks.filter((isLacking) => isLacking(a) !== isLacking(b));
  return decisive === undefined ? compareAmounts(distance(stray, a), distance(stray, b)) : decisive(a) ? 1 : -1;
}

const later_rank = 10;

function hintsOf(stray: UnmatchedTransfer, one: QuotedAmount): Hint[] {
  const hints: Hint[] = [];
  const add = (rank: number, words: string) => void hints.push({ rank, words });
  const { target, amount } = one;
  const what = one.rest ? "what is left to pay of it" : "this amount";
  const here = isHere(stray, one);
  const comparison = compareAmounts(stray.amount, amount);
  if (stray.likely_order === one.order_id)
    add(stray.reason === "short" ? 5 : 0, "the likeliest by the rules of matching");
  if (comparison === 0 && here) add(1, `asked for exactly ${what} here`);
  const [cut, shortened] = [here && isCut(stray, one), isShortened(stray, one)];
  if (cut) add(2, "asked for this amount and decimals behind it that were left out");
  if (shortened && here) add(2, "asked for this amount and a fee that exchanges usually keep");
  if (one.known_sender) add(3, "its payer sends from this address");
  if (one.claimed) add(4, claim_words);
  if (comparison === 0 && target !== null && !here)
    add(5, `asked for exactly ${what}, but ${elsewhere(stray, target)}`);
  if (shortened && target !== null && !here)
    add(6, `asked for this amount and a fee that exchanges usually keep, but ${elsewhere(stray, target)}`);
  if (comparison !== 0 && here && !cut && !shortened && isClose(stray, one))
    add(7, `asked for an amount close by, ${comparison < 0 ? "above" : "below"} this one`);
  return hints;
}

/** Only the last decimals are missing. */
function isCut({ amount }: UnmatchedTransfer, one: QuotedAmount): boolean {
  const missing = subtractAmounts(one.amount, amount);
  return compareAmounts(missing, "0") > 0 && compareAmounts(missing, stepOf(amount)) < 0;
}

/** One of the last place that an amount is written with: 0.01 of 9.99, 1 of 10. */
function stepOf(amount: string): string {
  const scale = scaleOf(subtractAmounts(amount, "0"));
  return scale === 0 ? "1" : `0.${"0".repeat(scale - 1)}1`;
}

function isShortened({ amount }: UnmatchedTransfer, one: QuotedAmount): boolean {
  const missing = subtractAmounts(one.amount, amount);
  return usual_fees.some((fee) => compareAmounts(fee, missing) === 0);
}

/** Off by at most a half of what was asked for. */
function isClose(stray: UnmatchedTransfer, one: QuotedAmount): boolean {
  const off = distance(stray, one);
  return isAtMost(off, subtractAmounts(one.amount, off));
}

function elsewhere(stray: UnmatchedTransfer, target: NonNullable<QuotedAmount["target"]>): string {
  if (target.chain !== stray.chain) return `in ${target.coin} on ${target.chain}`;
  return target.coin === stray.coin ? "on another wallet" : `in ${target.coin}`;
}

function isHere({ chain, coin, wallet }: UnmatchedTransfer, { target }: QuotedAmount): boolean {
  return target !== null && target.chain === chain && target.coin === coin && target.wallet === wallet;
}

/** An order that was opened after the money had come is hardly what it was sent for. */
function isLater(stray: UnmatchedTransfer, { opened_at }: QuotedAmount): boolean {
  return opened_at !== null && (stray.block_time + max_chain_clock_skew_s) * 1000 < opened_at;
}

function distance(stray: UnmatchedTransfer, { amount }: QuotedAmount): string {
  return subtractAmounts(stray.amount, amount).replace(/^-/, "");
}
