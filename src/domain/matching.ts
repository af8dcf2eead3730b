// Which transfer pays which deposit when its amount is exactly one that was promised; what speaks against a deposit; and
// what a second reading says of a transfer. Pure rules; amounts that fit nothing exactly are attribution.ts's.

import type { BlockRef } from "./finality.ts";
import type { OrderStatus } from "./order.ts";
import type { AllocationKind, InboxReason, Receipt, Transfer } from "./payment.ts";

/** How far a chain's clock may run behind ours; also how sure we are of it until it was measured. */
export const max_chain_clock_skew_s = 15;
/** A payment mined within this many blocks of a deposit's opening may have been on its way before. */
const young_blocks = 2;
/**
 * How long after the time it states a block may take in a transaction: as long as a block takes, within these bounds.
 * Counts only for a block that was seen just after a deposit was opened.
 */
const building_ms = { from: 1000, to: 2000 };
/** Whole seconds of block times. */
const rounding_ms = 1000;

/** What is known of a chain's time. */
export interface ChainTime {
  /** The usual time between two blocks. */
  block_ms: number;
}

/** A promise of an amount of a coin on a wallet, open or in quarantine. */
export interface Reservation {
  deposit: number;
  order_id: string;
  order_status: OrderStatus;
  /** Base units that were promised. */
  units: bigint;
  /** What is left to pay after a part. */
  rest: boolean;
  /** ms */
  expires_at: number;
  sender: string | null;
  /** ms */
  opened_at: number;
  opened_head: number | null;
  /** How far the chain's clock was ahead of ours then; null where it was not measured. */
  opened_ahead_ms: number | null;
  /** By how much it may have been further ahead; null where that is not known. */
  opened_uncertainty_ms: number | null;
  /** The highest block that the chain showed just after the opening; null where no answer came in time. */
  head_after_opening: number | null;
  closed: boolean;
  /** Another transfer already pays it, to the unit. */
  taken: boolean;
}

/**
 * The deposit a transfer pays, and as what; all but `match` may be one of several. Or why it pays nothing; `held_for`: the
 * deposit it pays as soon as what speaks against it is gone.
 */
export type Match =
  | { deposit: number; order_id: string; kind: Extract<AllocationKind, "match" | "part" | "tolerance" | "over"> }
  | { reason: InboxReason; likely_order: string | null; held_for?: number };

/** The sides of a transfer the rules look at, and what the product knows of its coin and sender. */
export interface IncomingTransfer {
  sender: string;
  units: bigint;
  block: Pick<BlockRef, "number" | "time">;
  /** Of the chain it was sent on. */
  chain_time: ChainTime;
  /** The newest deposit there was when its transaction was first seen, in whichever block; null where that is not known. */
  newest_deposit: number | null;
  /** The contract is accepted as a coin; the wallet offers that coin; the sender is a wallet of the merchant. */
  accepted: boolean;
  offered: boolean;
  own: boolean;
  /** Too little to be meant as a payment, unless it was asked for exactly. */
  dust: boolean;
  /** Less than one coin: ignored when its sender only looks like a known one. */
  petty: boolean;
}

/** Decides what an arrival of a promised amount pays, or why it pays nothing. The first reason that holds counts. */
export function matchExact(arrival: IncomingTransfer, candidates: readonly [Reservation, ...Reservation[]]): Match {
  const candidate =
    candidates.find((candidate) => candidate.sender === arrival.sender) ??
    candidates.find((candidate) => candidate.sender === null);
  if (candidate === undefined) {
    return { reason: "other_sender", likely_order: candidates.length === 1 ? candidates[0].order_id : null };
  }

  if (isOlderThanDeposit(arrival, candidate)) return { reason: "too_early", likely_order: null };
  return matchFor(arrival, candidate, candidate.rest ? "part" : "match");
}

/** A match with a candidate that an arrival was meant for, or what speaks against it. */
export function matchFor(
  arrival: Pick<IncomingTransfer, "block">,
  candidate: Reservation,
  kind: Extract<Match, { deposit: number }>["kind"],
): Match {
  const { deposit, order_id } = candidate;
  const because = (reason: InboxReason): Match => ({ reason, likely_order: order_id });
  if (arrival.block.time * 1000 > orderEndOnChain(candidate)) return because("late");
  if (candidate.closed || candidate.order_status !== "pending") {
    return because(candidate.order_status === "expired" ? "late" : "order_ended");
  }
  if (candidate.taken) return because("duplicate");
  return { deposit, order_id, kind };
}

/** When an order ends in the time of a deposit's chain (ms): later than by our clock where that ran behind. */
export function orderEndOnChain({
  expires_at,
  opened_ahead_ms,
}: Pick<Reservation, "expires_at" | "opened_ahead_ms">): number {
  return expires_at + Math.max(0, opened_ahead_ms ?? 0);
}

/** When a deposit was opened in the time of its chain, and by how much that may be wrong, ms. */
function openingOf({ opened_at, opened_ahead_ms, opened_uncertainty_ms }: Reservation) {
  const uncertainty_ms = opened_ahead_ms === null ? null : opened_uncertainty_ms;
  return {
    opening: opened_at + (opened_ahead_ms ?? 0),
    // Measured after a gap in the reading it may be minutes; no chain's clock is that far off.
    uncertainty_ms: Math.min(uncertainty_ms ?? Number.POSITIVE_INFINITY, max_chain_clock_skew_s * 1000),
  };
}

function buildingTime({ block_ms }: Pick<ChainTime, "block_ms">): number {
  return Math.min(building_ms.to, Math.max(building_ms.from, block_ms));
}

/** True where a block was there just after an opening, and was built before by the time it states. */
function isBuiltBefore(
  block: IncomingTransfer["block"],
  deposit: Reservation,
  chain_time: Pick<ChainTime, "block_ms">,
): boolean {
  const { opened_at, opened_ahead_ms, head_after_opening } = deposit;
  if (opened_ahead_ms === null || head_after_opening === null || block.number > head_after_opening) return false;
  return block.time < Math.floor((opened_at + opened_ahead_ms - buildingTime(chain_time)) / 1000);
}

/**
 * True where the time of a head that was heard just after an opening is what the chain's clock lets expect. A head that is
 * too old is that of a chain that builds late blocks, or the clock was read wrong: then its height tells nothing.
 */
export function isHeadTimeExpected(
  head: Pick<BlockRef, "time">,
  { opened_at, opened_ahead_ms }: Pick<Reservation, "opened_at" | "opened_ahead_ms">,
  { block_ms }: Pick<ChainTime, "block_ms">,
): boolean {
  if (opened_ahead_ms === null) return false;
  return head.time * 1000 >= opened_at + opened_ahead_ms - block_ms - buildingTime({ block_ms }) - rounding_ms;
}

/** A transfer never pays a deposit that was opened after it: neither by height, where that is known, nor by time. */
export function isOlderThanDeposit(
  { block, newest_deposit, chain_time }: Pick<IncomingTransfer, "block" | "newest_deposit" | "chain_time">,
  candidate: Reservation,
): boolean {
  // A transaction that is mined again in a later block is not newer for that.
  if (newest_deposit !== null && candidate.deposit > newest_deposit) return true;
  if (candidate.opened_head !== null && block.number <= candidate.opened_head) return true;
  if (isBuiltBefore(block, candidate, chain_time)) return true;
  const { opening, uncertainty_ms } = openingOf(candidate);
  return block.time * 1000 < opening - uncertainty_ms;
}

/** Mined so soon after a deposit was opened that it may have been on its way, or mined, before. */
export function isYoungDeposit(
  { block, chain_time }: Pick<IncomingTransfer, "block" | "chain_time">,
  deposit: Reservation,
): boolean {
  const { opening, uncertainty_ms } = openingOf(deposit);
  // A provider that lags makes a chain look late whose clock is right.
  const latest = Math.max(opening, deposit.opened_at) + uncertainty_ms;
  return block.time * 1000 <= latest + young_blocks * chain_time.block_ms;
}

/** What the second reading of a transfer's receipt says. `unclear`: the provider contradicts itself; ask again later. */
export type ReceiptVerdict = "confirmed" | "gone" | "unclear" | { moved: { number: number; hash: string } };

/**
 * Judges a ripe transfer by its receipt (null: the transaction is not mined) and the canonical header at its height
 * (null: the provider does not have it).
 */
export function judgeReceipt(transfer: Transfer, receipt: Receipt | null, header: BlockRef | null): ReceiptVerdict {
  if (header === null) return "unclear";
  if (receipt === null) return header.hash === transfer.block.hash ? "unclear" : "gone";
  if (receipt.block.hash !== transfer.block.hash) {
    return header.hash === transfer.block.hash ? "unclear" : { moved: receipt.block };
  }
  if (header.hash !== transfer.block.hash) return "unclear";
  if (!receipt.success) return "gone";
  const log = receipt.logs[transfer.position]?.transfer;
  const same =
    log?.token === transfer.token &&
    log.sender === transfer.sender &&
    log.wallet === transfer.wallet &&
    log.units === transfer.units;
  return same ? "confirmed" : "gone";
}
