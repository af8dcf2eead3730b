// What the Admin API answers.

import type { Blockchain, Stablecoin } from "./assets.ts";
import type { Order, OrderStatus, TransferStatus } from "./shapes.ts";

/** An order as the Admin API shows it. */
export interface AdminOrder extends Order {
  webhook_url: string;
  /** Failed attempts over all deliveries of the order. */
  webhook_retry_count: number;
  /** Unix seconds of the first success. */
  webhook_success_at: number | null;
  /** Unix seconds of the last attempt. */
  webhook_last_tried_at: number | null;
}

/** An open deposit: an amount promised to one payer. */
export interface AdminDeposit {
  id: number;
  order_id: string;
  blockchain: Blockchain;
  token: Stablecoin;
  /** The only sender it accepts; null: anybody. */
  user_address: string | null;
  wallet_address: string;
  value: string;
  /** Unix seconds. */
  started_at: number;
  /** Unix seconds. */
  last_scanned_at: number;
}

/** A transfer to one of your wallets. */
export interface AdminTransfer {
  id: number;
  blockchain: Blockchain;
  /**
   * A `Stablecoin`. In the inbox and in lists with `unaccepted`: also what people call a token that is accepted as no coin,
   * e.g. `USDC.e`.
   */
  token: string;
  from_address: string;
  to_address: string;
  txn_hash: string;
  /** Decimal text without trailing zeros. */
  value: string;
  block_number: number;
  /** Unix seconds. */
  block_timestamp: number;
  blockchain_confirmed: boolean;
  /** Unix seconds when Ocrch first saw it. */
  created_at: number;
  status: TransferStatus;
  /** The deposit it paid. */
  fulfillment_id: number | null;
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
  /** In words. */
  why: string;
}

/** A transfer that waits for a person. */
export interface InboxEntry extends AdminTransfer {
  /** Why, as a word, e.g. `no_such_amount`, `late`, `overpaid`, `reverted`; there may be more in later versions. */
  reason: string;
  /** Why, in words. */
  reason_text: string;
  /** At most five, the likeliest first. */
  candidates: Candidate[];
}

/** Up to which block every transfer to your wallets on one chain is accounted for. */
export interface ChainCoverage {
  blockchain: Blockchain;
  /** Null until the chain was read for the first time. */
  head_block: number | null;
  /** Unix seconds: the block's own time. */
  head_timestamp: number | null;
  /** Unix seconds: when it was read. */
  head_seen_at: number | null;
  final_block: number | null;
  /** Unix seconds; null while the chain can be read. */
  stalled_since: number | null;
  stalled_reason: string | null;
  /** Unix seconds. */
  balances_checked_at: number | null;
  /** Why balances could not be compared of late. */
  balances_error: string | null;
  /** Which index of the chain transfers are compared with. */
  index: string | null;
  /** Unix seconds. */
  index_compared_at: number | null;
  /** Why the index could not be asked of late. */
  index_error: string | null;
  /** Transfers that the index did not know an hour later: a doubt and no more. */
  unknown_to_index: number;
  /** Transfers that a comparison found and the scan had missed: anything but 0 is an alarm. */
  missed_by_scan: number;
  wallets: WalletCoverage[];
}

/** One contract on one wallet. */
export interface WalletCoverage {
  address: string;
  /** The coin, or what people call the contract when it is none of yours. */
  token: string;
  contract: string;
  /** False for a contract that is watched, but accepted as no coin on this wallet. */
  offered: boolean;
  /** False for a wallet that is read only because of what it was promised. */
  configured: boolean;
  from_block: number | null;
  /** Unix seconds. */
  from_timestamp: number | null;
  /** Every transfer from `from_block` to here is accounted for. */
  through_block: number | null;
  /** Unix seconds. */
  through_timestamp: number | null;
  /** Blocks up to the head that were not read; null while that is unknown. */
  outstanding_blocks: number | null;
  /** The first ten stretches that were not read. */
  outstanding: { from_block: number; to_block: number }[];
  /** How many such stretches there are. */
  outstanding_count: number;
  /** Up to here everything was read once more after it could no longer change. */
  final_through_block: number | null;
  /** Who answered for it. */
  providers: string[];
  /** From here to `balance_through_block` the balance was compared with recorded transfers. */
  balance_since_block: number | null;
  balance_through_block: number | null;
  /** Unix seconds. */
  balance_through_timestamp: number | null;
  /** Changes of the balance that recorded transfers do not explain. */
  unexplained: UnexplainedBalance[];
}

/** A change of a balance after `after_block` and no later than `through_block`. */
export interface UnexplainedBalance {
  id: number;
  after_block: number;
  through_block: number;
  /** Decimal text with a sign: by how much the balance grew more than recorded. */
  difference: string;
  /** Unix seconds. */
  opened_at: number;
  /** Why it cannot be narrowed any further. */
  stuck: string | null;
}

/** A transfer and the order it pays, or paid until now, as both stand. */
export interface Assignment {
  transfer: AdminTransfer;
  order: AdminOrder;
}

/** A wallet as configured. */
export interface AdminWallet {
  blockchain: Blockchain;
  address: string;
  enabled_coins: Stablecoin[];
}

/** What became of a proof: it paid an order, came for one that was paid or cancelled before, or for none. */
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
  /** Unix seconds, by its issuer's word. */
  proved_at: number;
  /** Unix seconds. */
  received_at: number;
}
