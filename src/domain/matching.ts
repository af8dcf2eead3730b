// Which transfer pays which deposit: pure rules over one transfer and the promises of its exact amount.

import type { BlockRef } from "./finality.ts";
import type { OrderStatus } from "./order.ts";
import type { InboxReason, Receipt, Transfer } from "./payment.ts";

/** How far a chain's clock may run behind ours. */
export const max_chain_clock_skew_s = 15;

/** A promise of exactly the transferred amount of that coin on that wallet, open or in quarantine. */
export interface Candidate {
  deposit: number;
  order_id: string;
  order_status: OrderStatus;
  /** ms */
  expires_at: number;
  sender: string | null;
  /** ms */
  opened_at: number;
  opened_head: number | null;
  closed: boolean;
  /** Another transfer already pays it. */
  taken: boolean;
}

export type Match = { deposit: number; order_id: string } | { reason: InboxReason; likely_order: string | null };

/** The sides of a transfer the rules look at, and what the product knows of its coin and sender. */
export interface Arrival {
  sender: string;
  block: Pick<BlockRef, "number" | "time">;
  /** The contract is accepted as a coin; the wallet offers that coin; the sender is a wallet of the merchant. */
  accepted: boolean;
  offered: boolean;
  own: boolean;
}

/** Decides what an arrival pays, or why it pays nothing. Reasons are checked in a fixed order; the first one holds. */
export function match(arrival: Arrival, candidates: readonly Candidate[]): Match {
  const none = (reason: InboxReason): Match => ({ reason, likely_order: null });
  if (!arrival.accepted) return none("unknown_token");
  if (arrival.own) return none("from_own_wallet");
  if (candidates.length === 0) return none(arrival.offered ? "no_such_amount" : "coin_not_offered");

  const candidate =
    candidates.find((candidate) => candidate.sender === arrival.sender) ??
    candidates.find((candidate) => candidate.sender === null);
  if (candidate === undefined) {
    const only = candidates.length === 1 ? candidates[0] : undefined;
    return { reason: "other_sender", likely_order: only?.order_id ?? null };
  }

  const because = (reason: InboxReason): Match => ({ reason, likely_order: candidate.order_id });
  if (isOlder(arrival.block, candidate)) return none("too_early");
  if (arrival.block.time * 1000 > candidate.expires_at) return because("late");
  if (candidate.closed || candidate.order_status !== "pending") {
    return because(candidate.order_status === "expired" ? "late" : "order_ended");
  }
  if (candidate.taken) return because("duplicate");
  return { deposit: candidate.deposit, order_id: candidate.order_id };
}

/** A transfer never pays a deposit that was opened after it: neither by height, where that is known, nor by time. */
function isOlder(block: Arrival["block"], candidate: Candidate): boolean {
  if (candidate.opened_head !== null && block.number <= candidate.opened_head) return true;
  return block.time * 1000 < candidate.opened_at - max_chain_clock_skew_s * 1000;
}

/** What the second reading of a transfer's receipt says. `unclear`: the provider contradicts itself; ask again later. */
export type Verdict = "confirmed" | "gone" | "unclear" | { moved: { number: number; hash: string } };

/**
 * Judges a ripe transfer by its receipt (null: the transaction is not mined) and the canonical header at its height
 * (null: the provider does not have it).
 */
export function judge(transfer: Transfer, receipt: Receipt | null, header: BlockRef | null): Verdict {
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
