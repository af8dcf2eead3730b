// The answers of the Admin API, written by shapes.mjs from ../wire. Holds no code.

import type { Blockchain, Stablecoin } from "./assets.ts";
import type { JsonObject, OrderStatus, TransferStatus } from "./shapes.ts";

export interface AdminOrder {
  order_id: string;
  merchant_order_id: string;
  amount: string;
  status: OrderStatus;
  /** Unix time in seconds. */
  created_at: number;
  webhook_url: string;
  /** Failed attempts. */
  webhook_retry_count: number;
  /** Unix time in seconds. */
  webhook_success_at: number | null;
  /** Unix time in seconds. */
  webhook_last_tried_at: number | null;
  metadata?: JsonObject;
  success_url?: string;
  cancel_url?: string;
  /** Unix time in seconds. */
  expires_at?: number;
}

export interface AdminDeposit {
  id: number;
  order_id: string;
  blockchain: Blockchain;
  token: Stablecoin;
  user_address: string | null;
  wallet_address: string;
  value: string;
  /** Unix time in seconds. */
  started_at: number;
  /** Unix time in seconds. */
  last_scanned_at: number;
}

export interface AdminTransfer {
  id: number;
  blockchain: Blockchain;
  /** The coin that the token is accepted as; what people call it where it is accepted as none. */
  token: string;
  from_address: string;
  to_address: string;
  txn_hash: string;
  value: string;
  block_number: number;
  /** Unix time in seconds. */
  block_timestamp: number;
  blockchain_confirmed: boolean;
  /** Unix time in seconds. */
  created_at: number;
  status: TransferStatus;
  fulfillment_id: number | null;
}

/** Money that waits for a person. */
export interface InboxEntry {
  id: number;
  blockchain: Blockchain;
  /** The coin that the token is accepted as; what people call it where it is accepted as none. */
  token: string;
  from_address: string;
  to_address: string;
  txn_hash: string;
  value: string;
  block_number: number;
  /** Unix time in seconds. */
  block_timestamp: number;
  blockchain_confirmed: boolean;
  /** Unix time in seconds. */
  created_at: number;
  status: TransferStatus;
  fulfillment_id: number | null;
  reason: string;
  reason_text: string;
  /** At most five, the likeliest first. */
  candidates: Candidate[];
}

/** An order that a transfer may belong to. */
export interface Candidate {
  order_id: string;
  merchant_order_id: string;
  status: OrderStatus;
  /** What its payer was asked for. */
  amount: string;
  /** What the transfer brought more than that; with a minus, what is missing. */
  difference: string;
  why: string;
}

export interface ChainCoverage {
  blockchain: Blockchain;
  head_block: number | null;
  /** Unix time in seconds. */
  head_timestamp: number | null;
  /** Unix time in seconds. */
  head_seen_at: number | null;
  final_block: number | null;
  /** Unix time in seconds. */
  stalled_since: number | null;
  stalled_reason: string | null;
  /** Unix time in seconds. */
  balances_checked_at: number | null;
  /** Why balances could not be compared of late. */
  balances_error: string | null;
  /** Which index of the chain transfers are compared with. */
  index: string | null;
  /** Unix time in seconds. */
  index_compared_at: number | null;
  /** Why the index could not be asked of late. */
  index_error: string | null;
  /** Transfers of ours that the index did not know an hour later. */
  unknown_to_index: number;
  /** Transfers that a comparison found and the scan had missed. */
  missed_by_scan: number;
  wallets: WalletCoverage[];
}

export interface WalletCoverage {
  address: string;
  token: string;
  contract: string;
  offered: boolean;
  /** False for a wallet that is read only because of what it was promised. */
  configured: boolean;
  from_block: number | null;
  /** Unix time in seconds. */
  from_timestamp: number | null;
  /** Every transfer from from_block to here is accounted for. */
  through_block: number | null;
  /** Unix time in seconds. */
  through_timestamp: number | null;
  outstanding_blocks: number | null;
  /** The first ten stretches that were not read yet. */
  outstanding: { from_block: number; to_block: number }[];
  /** How many such stretches there are. */
  outstanding_count: number;
  final_through_block: number | null;
  providers: string[];
  /** From here to balance_through_block the balance was compared. */
  balance_since_block: number | null;
  balance_through_block: number | null;
  /** Unix time in seconds. */
  balance_through_timestamp: number | null;
  /** Changes of the balance that recorded transfers do not explain. */
  unexplained: UnexplainedBalance[];
}

export interface UnexplainedBalance {
  id: number;
  after_block: number;
  through_block: number;
  /** With a sign: by how much the balance grew more than recorded. */
  difference: string;
  /** Unix time in seconds. */
  opened_at: number;
  /** Why it cannot be narrowed any further. */
  stuck: string | null;
}

/** A transfer and the order it pays, or paid until now, as both stand. */
export interface Assignment {
  transfer: AdminTransfer;
  order: AdminOrder;
}

export interface AdminWallet {
  blockchain: Blockchain;
  address: string;
  enabled_coins: Stablecoin[];
}

export type ProofOutcome = "paid" | "duplicate" | "unmatched";

/** A proof of payment of the Opencharge network that verified. */
export interface AdminProof {
  /** OCID. */
  issuer: number;
  txid: string;
  outcome: ProofOutcome;
  reason_text: string;
  /** The order it means. */
  order_id: string | null;
  /** The id that order was signed under. */
  network_id: string | null;
  /** The payment it came for without settling it. */
  payment: string | null;
  reference: string | null;
  amount: string;
  currency: string;
  /** OCID of whoever brought it. */
  sender: number;
  /** By its issuer's word. */
  proved_at: number;
  /** Unix time in seconds. */
  received_at: number;
}
