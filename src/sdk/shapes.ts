// The JSON of Ocrch's three APIs, of its event log and of its webhooks, as types. Holds no code. Amounts are decimal
// text (never numbers: `19.90` must stay `19.90`); times are Unix seconds.

import type { Blockchain, Stablecoin } from "./assets.ts";

/** Where an order stands. All but `pending` are ends; only an operator turns `expired` or `cancelled` into `paid`. */
export type OrderStatus = "pending" | "paid" | "expired" | "cancelled";

/** What became of a transfer to one of your wallets. */
export type TransferStatus =
  | "waiting_for_confirmation"
  | "failed_to_confirm"
  | "waiting_for_match"
  | "no_matched_deposit"
  | "matched";

/** A JSON object. */
export interface JsonObject {
  [key: string]: unknown;
}

/** What an order is created from. */
export interface NewOrder {
  /** Your own reference, up to 1 KiB; comes back as `merchant_order_id`. Need not be unique. */
  order_id: string;
  /** Decimal text above zero, e.g. `"19.90"`; its scale is kept. */
  amount: string;
  /** Where the order's webhooks go: absolute http or https, up to 2,048 bytes. */
  webhook_url: string;
  /** Only transfers from this address pay the order. Proves nothing when the payer can choose it: set what your shop knows. */
  expecting_wallet_address?: string | null | undefined;
  /** The one chain the payer may choose. */
  blockchain?: Blockchain | null | undefined;
  /** The one coin the payer may choose. */
  stablecoin?: Stablecoin | null | undefined;
  /** Seconds until the order expires; the server's setting when absent. */
  lifetime?: number | null | undefined;
  /** Yours to keep with the order: any JSON object, at most 4 KiB; echoed in every Order. No array. */
  metadata?: object | null | undefined;
  /** Where your checkout page sends a payer who has paid; echoed. */
  success_url?: string | null | undefined;
  /** Where your checkout page sends a payer who has given up; echoed. */
  cancel_url?: string | null | undefined;
}

/** An order. */
export interface Order {
  /** Ocrch's id, a lower-case UUID. */
  order_id: string;
  /** Your reference. */
  merchant_order_id: string;
  /** As you wrote it. */
  amount: string;
  status: OrderStatus;
  /** Unix seconds. */
  created_at: number;
  /** Unix seconds; this and the next three are there only when the creation asked for them. */
  expires_at?: number;
  metadata?: JsonObject;
  success_url?: string;
  cancel_url?: string;
}

/** One way to pay. */
export interface ChainCoin {
  blockchain: Blockchain;
  stablecoin: Stablecoin;
  wallet_address: string;
}

/** The pair a payer chooses. */
export interface Choice {
  blockchain: Blockchain;
  stablecoin: Stablecoin;
}

/** What the payer must send, and where. */
export interface PaymentDetail {
  order_id: string;
  wallet_address: string;
  /** Exactly this much: another amount pays nothing by itself. After a part was paid: what is still due. */
  amount: string;
  blockchain: Blockchain;
  stablecoin: Stablecoin;
}

/** What became of a transaction that a payer named. */
export interface Claim {
  /**
   * `accepted`: it counts for this order once it is confirmed. `already_counted`: it counts already, for this order or for
   * another payment. `in_inbox`: the merchant will look at it. `not_found`: it is not mined so far, or brings nothing.
   */
  status: "accepted" | "already_counted" | "in_inbox" | "not_found";
  /** The same in words, for the payer. */
  text: string;
  /** Where it was found. */
  blockchain: Blockchain | null;
  txn_hash: string;
}

/** The webhook about an order: sent at every change of its status, and at a resend. */
export interface OrderStatusChanged {
  event_type: "order_status_changed";
  order_id: string;
  merchant_order_id: string;
  status: OrderStatus;
  amount: string;
  /** Unix seconds when it happened. */
  timestamp: number;
}

/** A transfer as webhooks tell of it. */
interface ToldTransfer {
  transfer_id: number;
  blockchain: Blockchain;
  /** Unix seconds when it happened. */
  timestamp: number;
  /** The coin, or what people call the contract when it is none of yours. */
  stablecoin: string;
  value: string;
  txn_hash: string;
  from_address: string;
  to_address: string;
}

/** The webhook about money that fits no order. */
export interface UnknownTransfer extends ToldTransfer {
  event_type: "unknown_transfer";
  /** The likely owner, when there is one. */
  order_id?: string;
}

/**
 * The webhook about money that left the chain after it had counted. Nothing is taken back by itself: an order it paid
 * stays paid until you decide otherwise. When the money comes back, the event log says `payment_restored`.
 */
export interface PaymentReverted extends ToldTransfer {
  event_type: "payment_reverted";
  /** The order it paid. */
  order_id?: string;
}

interface LoggedEvent<Type extends string, Data> {
  /**
   * Its number: 1, 2, 3 and so on without gaps. Only a `log_restored` event is further from the one before it: numbers
   * then go on from Unix milliseconds. Keep it in 64 bits.
   */
  n: number;
  type: Type;
  order_id: string | null;
  transfer_id: number | null;
  /** Unix seconds. */
  created_at: number;
  data: Data;
}

/** What is logged when a payer has chosen. */
export interface DepositOpened {
  /** Its id in the Admin API. */
  deposit: number;
  blockchain: Blockchain;
  stablecoin: Stablecoin;
}

/** What is logged when a transfer was seen and not yet confirmed, and when one that left the chain is back on it. */
export interface TransferSeen {
  txn_hash: string;
  block_number: number;
  value: string;
}

/** What is logged when a payment was less than its order asks for. Decimal texts over all coins. */
export interface OrderPartPaid {
  received: string;
  /** What the payer is still asked for. */
  remaining: string;
}

/** What is logged when an operator credits a transfer to the event's order, or takes that back. */
export interface TransferAssigned {
  assigned: boolean;
  reason: string;
}

/**
 * What is logged first after the database was restored from a copy. Events after `last_in_copy` that you have seen are
 * no longer in the log; none of their numbers is used again.
 */
export interface LogRestored {
  event_type: "log_restored";
  /** 2 after the first restore. */
  generation: number;
  /** The number of the last event in the copy. */
  last_in_copy: number;
  /** The highest number given out before, as far as it is known. */
  last_given_out: number | null;
  /** Unix seconds when it happened. */
  timestamp: number;
}

/** A row of the event log. The first three types are also pushed as webhooks, with the same data. */
export type OcrchEvent =
  | LoggedEvent<"order_status_changed", OrderStatusChanged>
  | LoggedEvent<"unknown_transfer", UnknownTransfer>
  | LoggedEvent<"payment_reverted", PaymentReverted>
  | LoggedEvent<"deposit_opened", DepositOpened>
  | LoggedEvent<"transfer_seen" | "payment_restored", TransferSeen>
  | LoggedEvent<"transfer_assigned", TransferAssigned>
  | LoggedEvent<"transfer_dismissed", { reason: string }>
  | LoggedEvent<"order_part_paid", OrderPartPaid>
  | LoggedEvent<"log_restored", LogRestored>
  | LoggedEvent<"order_created" | "transfer_dropped" | "transfer_confirmed", JsonObject>;
