// The JSON of the APIs, the event log and the webhooks, written by shapes.mjs from ../wire. Holds no code. Amounts are
// decimal text; times are Unix seconds.

import type { Blockchain, Stablecoin } from "./assets.ts";

/** A JSON object. */
export interface JsonObject {
  [key: string]: unknown;
}

export type OrderStatus = "pending" | "paid" | "expired" | "cancelled";

export type TransferStatus =
  | "waiting_for_confirmation"
  | "failed_to_confirm"
  | "waiting_for_match"
  | "no_matched_deposit"
  | "matched";

export type ClaimStatus = "accepted" | "already_counted" | "in_inbox" | "not_found";

export interface NewOrder {
  /** At most 1024 bytes of UTF-8. */
  order_id: string;
  /** A positive decimal; digits behind the dot are kept as written. */
  amount: string;
  /** An http or https URL that takes the webhooks. */
  webhook_url: string;
  /**
   * The payment must come from this address. Set it only from what the shop knows: it proves nothing when the payer can
   * choose it. An address that has paid three orders or more, such as an exchange's, makes no part and no overpayment
   * certain.
   */
  expecting_wallet_address?: string | null | undefined;
  blockchain?: Blockchain | null | undefined;
  stablecoin?: Stablecoin | null | undefined;
  /** Seconds until the order expires. */
  lifetime?: number | null | undefined;
  /**
   * Any JSON object, at most 4096 bytes when written without spaces. Whoever may read the order reads it, the payer
   * too.
   */
  metadata?: object | null | undefined;
  /** Where a payer goes on to once the order is paid. */
  success_url?: string | null | undefined;
  /** Where a payer goes who does not want to pay. */
  cancel_url?: string | null | undefined;
}

/** metadata, success_url, cancel_url and expires_at appear where the creation gave them. */
export interface Order {
  order_id: string;
  merchant_order_id: string;
  amount: string;
  status: OrderStatus;
  /** Unix time in seconds. */
  created_at: number;
  metadata?: JsonObject;
  success_url?: string;
  cancel_url?: string;
  /** Unix time in seconds. */
  expires_at?: number;
}

export interface ChainCoin {
  blockchain: Blockchain;
  stablecoin: Stablecoin;
  wallet_address: string;
}

export interface Choice {
  blockchain: Blockchain;
  stablecoin: Stablecoin;
}

/** What to send where: exactly this amount. */
export interface PaymentDetail {
  order_id: string;
  wallet_address: string;
  amount: string;
  blockchain: Blockchain;
  stablecoin: Stablecoin;
}

/**
 * accepted: it counts for this order once it is confirmed; already_counted: for this order or for another payment;
 * in_inbox: the merchant will look at it; not_found: not mined so far, or it brings nothing.
 */
export interface Claim {
  status: ClaimStatus;
  /** The same in words. */
  text: string;
  /** Where the transaction was found. */
  blockchain: Blockchain | null;
  txn_hash: string;
}

export interface DepositOpened {
  deposit: number;
  blockchain: Blockchain;
  stablecoin: Stablecoin;
}

export interface TransferSeen {
  txn_hash: string;
  block_number: number;
  value: string;
}

export interface OrderStatusChanged {
  event_type: "order_status_changed";
  order_id: string;
  merchant_order_id: string;
  status: OrderStatus;
  amount: string;
  /** Unix time in seconds. */
  timestamp: number;
}

export interface UnknownTransfer {
  event_type: "unknown_transfer";
  transfer_id: number;
  blockchain: Blockchain;
  /** Unix time in seconds. */
  timestamp: number;
  /** What people call the token. */
  stablecoin: string;
  value: string;
  txn_hash: string;
  from_address: string;
  to_address: string;
  /** The likely owner. */
  order_id?: string;
}

export interface OrderPartPaid {
  received: string;
  remaining: string;
}

export interface PaymentReverted {
  event_type: "payment_reverted";
  transfer_id: number;
  blockchain: Blockchain;
  /** Unix time in seconds. */
  timestamp: number;
  /** What people call the token. */
  stablecoin: string;
  value: string;
  txn_hash: string;
  from_address: string;
  to_address: string;
  /** The order it pays, whose status stays as it is. */
  order_id?: string;
}

export interface TransferAssigned {
  assigned: boolean;
  reason: string;
}

export interface TransferDismissed {
  reason: string;
}

export interface LogRestored {
  event_type: "log_restored";
  generation: number;
  last_in_copy: number;
  last_given_out: number | null;
  /** Unix time in seconds. */
  timestamp: number;
}

export interface LoggedEvent<Type extends string, Data> {
  /**
   * Numbers have no gaps, but before `log_restored`: after a restore of the database from a copy they go on from Unix
   * milliseconds. Keep them in 64 bits.
   */
  n: number;
  type: Type;
  order_id: string | null;
  transfer_id: number | null;
  /** Unix time in seconds. */
  created_at: number;
  /** The webhook's body, where the event has one. */
  data: Data;
}

export type OcrchEvent =
  | LoggedEvent<"order_created" | "transfer_dropped" | "transfer_confirmed", JsonObject>
  | LoggedEvent<"deposit_opened", DepositOpened>
  | LoggedEvent<"transfer_seen" | "payment_restored", TransferSeen>
  | LoggedEvent<"order_status_changed", OrderStatusChanged>
  | LoggedEvent<"unknown_transfer", UnknownTransfer>
  | LoggedEvent<"order_part_paid", OrderPartPaid>
  | LoggedEvent<"payment_reverted", PaymentReverted>
  | LoggedEvent<"transfer_assigned", TransferAssigned>
  | LoggedEvent<"transfer_dismissed", TransferDismissed>
  | LoggedEvent<"log_restored", LogRestored>;
