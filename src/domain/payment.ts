// What the chain shows and what the product makes of it: transfer logs, transfers, deposits and their statuses.

import type { ChainId } from "./assets.ts";
import type { BlockRef } from "./finality.ts";
import { compareAmounts } from "./money.ts";

export const transferStatuses = [
  "waiting_for_confirmation",
  "failed_to_confirm",
  "waiting_for_match",
  "no_matched_deposit",
  "matched",
] as const;
export type TransferStatus = (typeof transferStatuses)[number];

/** One `Transfer` log of a watched contract to a watched wallet, as a provider answered it. Addresses are canonical. */
export interface TransferLog {
  chain: ChainId;
  /** Contract address. */
  token: string;
  sender: string;
  wallet: string;
  /** Base units, always above zero. */
  units: bigint;
  tx_hash: string;
  /** Counts over the whole block and shifts when the transaction moves to another block. */
  log_index: number;
  block: BlockRef;
}

/** A transfer log with its lasting identity: (chain, tx_hash, position). */
export interface Transfer extends TransferLog {
  /** Index of the log inside its receipt: survives re-inclusion and changes of our own filters. */
  position: number;
}

/** One log of a receipt; `transfer` is null for a log that is no ERC-20 transfer. */
export interface ReceiptLog {
  log_index: number;
  transfer: { token: string; sender: string; wallet: string; units: bigint } | null;
}

/** The logs of one mined transaction in receipt order, reduced to what the product checks. */
export interface Receipt {
  tx_hash: string;
  success: boolean;
  block: { number: number; hash: string };
  logs: readonly ReceiptLog[];
}

/** Why a transfer waits for a person, in words. */
export const inboxReasons = {
  unknown_token: "a contract that is watched but not accepted",
  coin_not_offered: "a coin this wallet does not offer",
  from_own_wallet: "a move between the merchant's own wallets",
  no_such_amount: "no deposit asks for this amount",
  other_sender: "the deposit of this amount expects another sender",
  too_early: "older than the deposit of this amount",
  late: "arrived after the order had expired",
  order_ended: "the order was no longer pending",
  duplicate: "another transfer already pays this deposit",
  short: "less than the order asks for, and nothing says whose it is",
  ambiguous: "it may be meant for more than one order",
  cut: "the amount of an order with decimals left out",
  fee_shortened: "the amount of an order less a usual exchange fee",
  overpaid: "paid its order, which had asked for less",
  dust: "less than a hundredth of a coin",
  unassigned: "taken back by an operator from the order it had paid into",
  lookalike: "from an address made to look like one that is known",
} as const;
export type InboxReason = keyof typeof inboxReasons;

/** Less than this, in whole coins, is too little for a warning: strangers send it in masses. */
const warned_from = "1";

/** True for an amount, in whole coins, that is ignored when its sender only looks like a known one. */
export function isIgnorableAmount(amount: string): boolean {
  return compareAmounts(amount, warned_from) < 0;
}

/**
 * True for a transfer that is kept and told to nobody: dust, and less than one coin from a look-alike address. Real money
 * from such an address is shown with its reason as a warning.
 */
export function isIgnored({ reason, amount }: { reason: EntryReason | null; amount: string }): boolean {
  return reason === "dust" || (reason === "lookalike" && isIgnorableAmount(amount));
}

/** True when orders are known that it may be meant for, though not which: it waits for a match like one whose order is known. */
export function hasSeveralCandidates(reason: InboxReason): boolean {
  return reason === "short" || reason === "ambiguous";
}

/** Why a transfer is in the inbox: it pays nothing, it was flagged, or what it paid with is gone. */
export const entryReasons = { ...inboxReasons, reverted: "its block left the chain after it had counted" } as const;
export type EntryReason = keyof typeof entryReasons;

/**
 * How a transfer came to pay an order: its exact amount; one of several that pay together; a little less, within the
 * merchant's tolerance; more than was asked; by the payer's claim; by an operator.
 */
export const allocationKinds = ["match", "part", "tolerance", "over", "claim", "assign"] as const;
export type AllocationKind = (typeof allocationKinds)[number];

/**
 * What became of a claim. `accepted`: it counts for this order once it is confirmed. `already_counted`: this money counts
 * already, for this order or for another payment. `in_inbox`: it is there, and a person will look at it. `not_found`: it
 * is not mined yet, or brings nothing to the merchant.
 */
export const claimStatuses = ["accepted", "already_counted", "in_inbox", "not_found"] as const;
export type ClaimStatus = (typeof claimStatuses)[number];
