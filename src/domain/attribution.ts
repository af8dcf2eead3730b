// Whose money a transfer is when nobody was asked for its amount exactly. Credits only what can be meant for one order
// and no other; everything else waits for a person. Pure rules, in a fixed order: the first that holds decides.

import {
  type IncomingTransfer,
  isOlderThanDeposit,
  isYoungDeposit,
  type Match,
  matchExact,
  matchFor,
  type Reservation,
} from "./matching.ts";
import type { InboxReason } from "./payment.ts";

/** Promises looked at per question; where there are as many, there may be more, and nothing is certain. */
export const nearby_max = 20;
/** An amount is compared with reservations of up to this many times as much, and down to one part in as many. */
const over_most_times = 2n;

/** What is promised around an amount. A list of fewer than `nearby_max` entries is complete. */
export interface NearbyReservations {
  /** The sender's address was made to look like one that is known. */
  lookalike: boolean;
  /** Unpaid deposits that are this sender's: bound to it, or paid by it in part. `units`: what is left to pay. */
  mine: readonly Reservation[];
  /** Promises above the amount that it pays all the same, by the merchant's tolerance. */
  tolerant: readonly Reservation[];
  /** Promises of which it is what remains once decimals are left out. */
  cut: readonly Reservation[];
  /** Promises of which it is what remains once a usual fee is kept. */
  shortened: readonly Reservation[];
  /** Promises within a twentieth of it, above or below. */
  close: readonly Reservation[];
  /** Promises below it. */
  below: readonly Reservation[];
  /** Promises above it, up to ten times as high. */
  above: readonly Reservation[];
  /** Unpaid deposits anywhere that expect this sender, and those on this chain that it has paid in part. */
  expected: readonly Reservation[];
  /** Promises of exactly this amount in another coin, on another wallet or chain: it may have been sent astray. */
  elsewhere: readonly Reservation[];
  /** Reservations of exactly this amount on this wallet, released or not, whose late window had not ended when it was mined. */
  reserved: readonly Reservation[];
  /** The most base units that pay what is due, by the merchant's `overpaid_tolerance`. */
  maxPayment(due: bigint): bigint;
}

/** What is read about an arrival only where a rule asks for it. */
export interface AttributionContext {
  /** Unpaid deposits that its sender has paid a part of, or that expect it, and of which exactly this amount is left. */
  remainders(): readonly Reservation[];
  /** Its sender has paid so many orders that it may be an exchange: then nothing is certain because of the sender. */
  isShared(): boolean;
  /** The sender has paid more than one order, in part or whole. */
  hasPaidSeveral(): boolean;
  around(): NearbyReservations;
  /**
   * Unpaid orders other than the one of `deposit`, asked for here before it, by whose payer the arrival may have been
   * sent: with decimals cut or rounded, a fee kept, within the tolerance, as a remainder, or as its sender's own.
   */
  olderThan(deposit: Reservation): readonly Reservation[];
  /**
   * Other pending orders that were asked here for more than their price, and whose amount the arrival is once its decimals
   * are cut or rounded, or a usual fee is kept. Their payer was given an unusual amount by us.
   */
  surcharged(deposit: Reservation): readonly Reservation[];
  /** Other unpaid orders that the arrival pays to the unit, together with money of its sender from before the deposit. */
  completed(deposit: Reservation): readonly Reservation[];
}

/** Decides what an arrival pays, or why it pays nothing. `exact`: reservations of just this amount. */
export function attribute(
  arrival: IncomingTransfer,
  exact: readonly Reservation[],
  context: AttributionContext,
): Match {
  const none = (reason: InboxReason): Match => ({ reason, likely_order: null });
  const [first, ...more] = exact;
  if (arrival.own) return none(arrival.accepted ? "from_own_wallet" : "unknown_token");
  const remainder = arrival.accepted ? ownRemainder(arrival, exact, context) : null;
  if (remainder !== null) return remainder;
  if (!arrival.accepted || first === undefined) return guess(arrival, context);

  const found = matchExact(arrival, [first, ...more]);
  if ("deposit" in found) return unlessContested(arrival, found, exact, context);
  if (found.reason !== "too_early") return found;
  // Whoever was promised this amount only afterwards must not take it from the order it was sent for.
  const before = guess(arrival, context);
  return "deposit" in before || before.likely_order !== null ? before : found;
}

/**
 * A match, unless another order could be meant. That is an order with a surcharge whose payer may have dropped its
 * decimals, an order whose first half the sender has sent already, and for a deposit that was just opened any older order:
 * somebody may have opened the deposit because the transfer was visible. A sender that the shop itself expects is known,
 * but not an address that pays for many.
 */
function unlessContested(
  arrival: IncomingTransfer,
  found: Match,
  among: readonly Reservation[],
  context: AttributionContext,
): Match {
  const deposit = "deposit" in found ? among.find((one) => one.deposit === found.deposit) : undefined;
  if (deposit === undefined) return found;
  const others = [
    ...context.surcharged(deposit),
    ...context.completed(deposit),
    ...(isYoungDeposit(arrival, deposit) ? context.olderThan(deposit) : []),
  ];
  if (!isMany(others) && timely(arrival, others).length === 0) return found;
  if (deposit.sender === arrival.sender && !context.isShared()) return found;
  return { reason: "ambiguous", likely_order: null, held_for: deposit.deposit };
}

/** Exactly what is left of the sender's own deposit, even where another order has this amount reserved. */
function ownRemainder(
  arrival: IncomingTransfer,
  exact: readonly Reservation[],
  context: AttributionContext,
): Match | null {
  const left = timely(arrival, context.remainders());
  const [only] = left;
  if (only === undefined || context.isShared()) return null;
  if (ordersOf(left).size > 1 || isMany(left)) return ambiguous;
  const others = exact.filter((one) => one.order_id !== only.order_id);
  const isExpectedByOther = others.some((one) => one.sender === arrival.sender);
  // A sender seen with several orders may be an exchange that sends for a stranger.
  const isUnclear = context.hasPaidSeveral() && timely(arrival, others).length > 0;
  if (isExpectedByOther || isUnclear) return { reason: "ambiguous", likely_order: only.order_id };
  const found = matchFor(arrival, only, "part");
  return "deposit" in found ? found : null;
}

/** Whose an arrival is that nobody had been asked for exactly. */
function guess(arrival: IncomingTransfer, context: AttributionContext): Match {
  const none = (reason: InboxReason): Match => ({ reason, likely_order: null });
  if (arrival.dust) return none("dust");
  const near = context.around();
  if (near.lookalike && (arrival.petty || !arrival.accepted)) return none("lookalike");
  if (!arrival.accepted) return none("unknown_token");
  const found = nearest(arrival, near, context);
  if (!near.lookalike) return found;
  // Whoever takes the sender for another may be about to believe it: a person decides, and is warned.
  return { reason: "lookalike", likely_order: "deposit" in found ? found.order_id : found.likely_order };
}

/** The first rule that holds of an amount that nobody was asked for. */
function nearest(arrival: IncomingTransfer, near: NearbyReservations, context: AttributionContext): Match {
  return (
    tolerated(arrival, near, context) ??
    fromKnownSender(arrival, near, context) ??
    mistaken(arrival, near) ??
    overpaid(arrival, near, context) ??
    short(arrival, near) ??
    tooMuch(arrival, near) ?? { reason: arrival.offered ? "no_such_amount" : "coin_not_offered", likely_order: null }
  );
}

const ambiguous: Match = { reason: "ambiguous", likely_order: null };

/**
 * A little less than one promise, and no other could be meant: not even one that is over, or that expects another sender;
 * neither with decimals left out or less a fee, nor by a small overpayment.
 */
function tolerated(arrival: IncomingTransfer, around: NearbyReservations, context: AttributionContext): Match | null {
  const { tolerant, mine, elsewhere, expected, cut, shortened, below, maxPayment } = around;
  const overpaid = below.filter((one) => one.order_status !== "paid" && arrival.units <= maxPayment(one.units));
  const others = [mine, elsewhere, expected, cut, shortened, overpaid];
  const near = timely(arrival, tolerant);
  const [meant] = near.sort((a, b) => (a.units < b.units ? -1 : 1));
  if (meant === undefined) return null;
  if ([tolerant, ...others].some(isMany)) return ambiguous;
  if (ordersOf([...near, ...timely(arrival, others.flat())]).size > 1) return ambiguous;
  if (!isFor(arrival, meant)) return { reason: "other_sender", likely_order: meant.order_id };
  return unlessContested(arrival, matchFor(arrival, meant, "tolerance"), near, context);
}

/** Any amount from a sender who has one deposit to pay: a part of it, or more than is left of it. */
function fromKnownSender(
  arrival: IncomingTransfer,
  near: NearbyReservations,
  { isShared }: AttributionContext,
): Match | null {
  const { mine, cut, shortened, close, elsewhere } = near;
  const own = timely(arrival, mine);
  const [only] = own;
  if (only === undefined) return null;
  if (own.length > 1 || isMany(mine)) return ambiguous;
  if (isShared()) return { reason: "ambiguous", likely_order: only.order_id };
  // Whoever is expected here may have been asked for something else under no name.
  const others = [cut, shortened, close, elsewhere, ...ifUnexpected(arrival, only, near)];
  if (others.some((list) => isMany(list) || timely(arrival, list).some((one) => one.order_id !== only.order_id))) {
    return { reason: "ambiguous", likely_order: only.order_id };
  }
  if (arrival.units <= only.units) return matchFor(arrival, only, "part");
  return isSmallOverpayment(arrival, only.units, near) ? matchFor(arrival, only, "over") : tooMuchFor(arrival, only);
}

/**
 * Who else may be meant by a sender that nobody named and that is only known for having paid a part: an exchange sends for
 * many. Whatever asks for more, and whatever asks for no less than half, also of late.
 */
function ifUnexpected(
  arrival: IncomingTransfer,
  only: Reservation,
  { above, below }: NearbyReservations,
): (readonly Reservation[])[] {
  if (only.sender === arrival.sender) return [];
  // Those below come highest first: only where the last one looked at is no less than half there may be more.
  return [above, below.filter((one) => arrival.units <= one.units * over_most_times)];
}

/** One promise with decimals left out, or less a fee: almost certain, and for a person to say. */
function mistaken(arrival: IncomingTransfer, { cut, shortened }: NearbyReservations): Match | null {
  const [cuts, fees] = [timely(arrival, cut), timely(arrival, shortened)];
  const orders = ordersOf([...cuts, ...fees]);
  const [only] = orders;
  if (only === undefined) return null;
  if (orders.size > 1 || isMany(cut) || isMany(shortened)) return ambiguous;
  return { reason: cuts.length > 0 ? "cut" : "fee_shortened", likely_order: only };
}

/** A little more than the only order below it, while no other order above or elsewhere could be meant. */
function overpaid(arrival: IncomingTransfer, near: NearbyReservations, context: AttributionContext): Match | null {
  const meant = onlyBelow(arrival, near);
  if (meant === null || !isSmallOverpayment(arrival, meant.due, near)) return null;
  return unlessContested(arrival, matchFor(arrival, meant.candidate, "over"), [meant.candidate], context);
}

/** More than the only order below it, by too much to pay it: a person decides. */
function tooMuch(arrival: IncomingTransfer, near: NearbyReservations): Match | null {
  const meant = onlyBelow(arrival, near);
  return meant === null ? null : tooMuchFor(arrival, meant.candidate);
}

function tooMuchFor(arrival: IncomingTransfer, meant: Reservation): Match {
  const found = matchFor(arrival, meant, "over");
  return "reason" in found ? found : { reason: "no_such_amount", likely_order: meant.order_id };
}

/** The only unpaid order below an amount, with what is due of it; null where another could be meant. */
function onlyBelow(
  arrival: IncomingTransfer,
  { below, above, elsewhere, expected }: NearbyReservations,
): { candidate: Reservation; due: bigint } | null {
  const under = timely(arrival, below).sort((a, b) => (a.units > b.units ? -1 : 1));
  const [meant] = under;
  if (meant === undefined || ordersOf(under).size > 1 || isMany(below)) return null;
  if (arrival.units > meant.units * over_most_times || !isFor(arrival, meant)) return null;
  const higher = above.filter((one) => one.units <= arrival.units * over_most_times);
  // They come lowest first: only where the last one looked at is among them there may be more.
  if ([higher, elsewhere, expected].some(isMany)) return null;
  if (timely(arrival, [...higher, ...elsewhere, ...expected]).some((one) => one.order_id !== meant.order_id))
    return null;
  // What was paid already was not meant: the money is new, and nobody's.
  if (meant.order_status === "paid") return null;
  return { candidate: meant, due: under.at(-1)?.units ?? meant.units };
}

/** Within the share that pays, and of an amount that was not reserved: that is a payment of its own, or a late one. */
function isSmallOverpayment(
  arrival: IncomingTransfer,
  due: bigint,
  { reserved, maxPayment }: NearbyReservations,
): boolean {
  return arrival.units <= maxPayment(due) && !isMany(reserved) && timely(arrival, reserved).length === 0;
}

/** Less than what open orders ask for, from nobody they know. */
function short(arrival: IncomingTransfer, { above }: NearbyReservations): Match | null {
  const open = timely(arrival, above).filter((one) => !one.closed && one.order_status === "pending");
  const orders = ordersOf(open);
  const [only] = orders;
  if (only === undefined) return null;
  return { reason: "short", likely_order: orders.size === 1 && !isMany(above) ? only : null };
}

/** Without promises that were made only after the money had come. */
function timely(arrival: IncomingTransfer, candidates: readonly Reservation[]): Reservation[] {
  return candidates.filter((candidate) => !isOlderThanDeposit(arrival, candidate));
}

function ordersOf(candidates: readonly Reservation[]): Set<string> {
  return new Set(candidates.map((candidate) => candidate.order_id));
}

function isMany(candidates: readonly Reservation[]): boolean {
  return candidates.length >= nearby_max;
}

function isFor(arrival: IncomingTransfer, candidate: Reservation): boolean {
  return candidate.sender === null || candidate.sender === arrival.sender;
}
