// The JSON objects that answers, sockets and webhooks carry, as schemas: what shapes.ts must render and what the API
// description shows. Keys in the order clients may rely on. Checks nothing that clients send.

import { z } from "zod";
import type { PayloadName } from "../domain/events.ts";
import {
  chain as blockchain,
  claimStatus,
  eventType,
  inboxReason,
  orderStatus,
  coin as stablecoin,
  transferStatus,
} from "./enums.ts";

const uuid = z.string().meta({ format: "uuid" });
const integer = z.int().nonnegative();
const seconds = integer.meta({ description: "Unix time in seconds." });
const amount = z.string().regex(/^\d+(\.\d+)?$/);
const address = z.string();
const token = z.string().meta({
  description: "The coin that the token is accepted as; what people call it where it is accepted as none.",
});

/** There only where the creation gave them. */
const orderOptions = {
  metadata: z.record(z.string(), z.unknown()).optional(),
  success_url: z.string().optional(),
  cancel_url: z.string().optional(),
  expires_at: seconds.optional(),
};

const orderFields = {
  order_id: uuid,
  merchant_order_id: z.string(),
  amount,
  status: orderStatus,
  created_at: seconds,
};

export const order = z.object({ ...orderFields, ...orderOptions }).meta({
  id: "Order",
  description: "metadata, success_url, cancel_url and expires_at appear where the creation gave them.",
});

export const chainCoin = z.object({ blockchain, stablecoin, wallet_address: address }).meta({ id: "ChainCoin" });

export const paymentDetail = z
  .object({ order_id: uuid, wallet_address: address, amount, blockchain, stablecoin })
  .meta({ id: "PaymentDetail", description: "What to send where: exactly this amount." });

export const claim = z
  .object({
    status: claimStatus,
    text: z.string().meta({ description: "The same in words." }),
    blockchain: blockchain.nullable().meta({ description: "Where the transaction was found." }),
    txn_hash: z.string(),
  })
  .meta({
    id: "Claim",
    description:
      "accepted: it counts for this order once it is confirmed; already_counted: for this order or for another payment; in_inbox: the merchant will look at it; not_found: not mined so far, or it brings nothing.",
  });

export const adminOrder = z
  .object({
    ...orderFields,
    webhook_url: z.string(),
    webhook_retry_count: integer.meta({ description: "Failed attempts." }),
    webhook_success_at: seconds.nullable(),
    webhook_last_tried_at: seconds.nullable(),
    ...orderOptions,
  })
  .meta({ id: "AdminOrder" });

export const adminDeposit = z
  .object({
    id: integer,
    order_id: uuid,
    blockchain,
    token: stablecoin,
    user_address: address.nullable(),
    wallet_address: address,
    value: amount,
    started_at: seconds,
    last_scanned_at: seconds,
  })
  .meta({ id: "AdminDeposit" });

const transferFields = {
  id: integer,
  blockchain,
  token,
  from_address: address,
  to_address: address,
  txn_hash: z.string(),
  value: amount,
  block_number: integer,
  block_timestamp: seconds,
  blockchain_confirmed: z.boolean(),
  created_at: seconds,
  status: transferStatus,
  fulfillment_id: integer.nullable(),
};

export const adminTransfer = z.object(transferFields).meta({ id: "AdminTransfer" });

const candidate = z
  .object({
    order_id: uuid,
    merchant_order_id: z.string(),
    status: orderStatus,
    amount: amount.meta({ description: "What its payer was asked for." }),
    difference: z
      .string()
      .regex(/^-?\d+(\.\d+)?$/)
      .meta({ description: "What the transfer brought more than that; with a minus, what is missing." }),
    why: z.string(),
  })
  .meta({ id: "Candidate", description: "An order that a transfer may belong to." });

export const inboxEntry = z
  .object({
    ...transferFields,
    reason: inboxReason,
    reason_text: z.string(),
    candidates: z.array(candidate).meta({ description: "At most five, the likeliest first." }),
  })
  .meta({ id: "InboxEntry", description: "Money that waits for a person." });

export const assignment = z
  .object({ transfer: adminTransfer, order: adminOrder })
  .meta({ id: "Assignment", description: "A transfer and the order it pays, or paid until now, as both stand." });

export const adminWallet = z
  .object({ blockchain, address, enabled_coins: z.array(stablecoin) })
  .meta({ id: "AdminWallet" });

export const health = z.object({ status: z.literal("ok"), version: z.string() }).meta({ id: "Health" });

export const event = z
  .object({
    n: integer.meta({
      description:
        "Numbers have no gaps, but before `log_restored`: after a restore of the database from a copy they go on from Unix milliseconds. Keep them in 64 bits.",
    }),
    type: eventType,
    order_id: uuid.nullable(),
    transfer_id: integer.nullable(),
    created_at: seconds,
    data: z.record(z.string(), z.unknown()).meta({ description: "The webhook's body, where the event has one." }),
  })
  .meta({ id: "Event" });

export const eventPage = z
  .object({
    events: z.array(event),
    last: z
      .int()
      .meta({ description: "Number of the newest event there is; go on after the last event you were given." }),
  })
  .meta({ id: "EventPage" });

const toldTransfer = {
  transfer_id: integer,
  blockchain,
  timestamp: seconds,
  stablecoin: z.string().meta({ description: "What people call the token." }),
  value: amount,
  txn_hash: z.string(),
  from_address: address,
  to_address: address,
};

const orderStatusChanged = z
  .object({
    event_type: z.literal("order_status_changed"),
    order_id: uuid,
    merchant_order_id: z.string(),
    status: orderStatus,
    amount,
    timestamp: seconds,
  })
  .meta({ id: "OrderStatusChanged" });

const unknownTransfer = z
  .object({
    event_type: z.literal("unknown_transfer"),
    ...toldTransfer,
    order_id: uuid.optional().meta({ description: "The likely owner." }),
  })
  .meta({ id: "UnknownTransfer" });

const paymentReverted = z
  .object({
    event_type: z.literal("payment_reverted"),
    ...toldTransfer,
    order_id: uuid.optional().meta({ description: "The order it pays, whose status stays as it is." }),
  })
  .meta({ id: "PaymentReverted" });

/** What the events of a type carry, by the name in its row of `eventTypes`. */
export const payloads = {
  Empty: z.object({}),
  DepositOpened: z.object({ deposit: integer, blockchain, stablecoin }),
  TransferSeen: z.object({ txn_hash: z.string(), block_number: integer, value: amount }),
  OrderStatusChanged: orderStatusChanged,
  UnknownTransfer: unknownTransfer,
  OrderPartPaid: z.object({ received: amount, remaining: amount }),
  PaymentReverted: paymentReverted,
  TransferAssigned: z.object({ assigned: z.boolean(), reason: z.string() }),
  TransferDismissed: z.object({ reason: z.string() }),
  LogRestored: z.object({
    event_type: z.literal("log_restored"),
    generation: integer,
    last_in_copy: integer,
    last_given_out: integer.nullable(),
    timestamp: seconds,
  }),
} satisfies Record<PayloadName, z.ZodType>;

export const statusUpdate = z
  .object({ type: z.literal("status_update"), order })
  .meta({ id: "StatusUpdate", description: "A frame of the WebSocket." });

export const socketError = z
  .object({ type: z.literal("error"), code: integer, reason: z.string() })
  .meta({ id: "SocketError", description: "A frame of the WebSocket; its close follows." });
