// The event log and the webhooks: the schemas of their rows and bodies. Keys in the order clients may rely on.

import { z } from "zod";
import type { EventType, PayloadName } from "../domain/events.ts";
import { parseJson } from "./json.ts";
import {
  amount,
  chain as blockchain,
  eventType,
  integer,
  jsonObject,
  orderStatus,
  seconds,
  secondsOf,
  coin as stablecoin,
  uuid,
} from "./values.ts";

const eventSchema = z
  .object({
    n: integer.meta({
      description:
        "Numbers have no gaps, but before `log_restored`: after a restore of the database from a copy they go on from Unix milliseconds. Keep them in 64 bits.",
    }),
    type: eventType,
    order_id: uuid.nullable(),
    transfer_id: integer.nullable(),
    created_at: seconds,
    data: jsonObject.meta({ description: "The webhook's body, where the event has one." }),
  })
  .meta({ id: "Event" });

export const eventPageSchema = z
  .object({
    events: z.array(eventSchema),
    last: z
      .int()
      .meta({ description: "Number of the newest event there is; go on after the last event you were given." }),
  })
  .meta({ id: "EventPage" });

/** Event: one row of the log. */
export function eventShape(event: {
  n: number;
  type: EventType;
  order_id: string | null;
  transfer: number | null;
  /** A JSON object as text. */
  body: string;
  /** ms */
  created_at: number;
}): z.infer<typeof eventSchema> {
  return {
    n: event.n,
    type: event.type,
    order_id: event.order_id,
    transfer_id: event.transfer,
    created_at: secondsOf(event.created_at),
    data: parseJson(event.body) as Record<string, unknown>,
  };
}

const transferFields = {
  transfer_id: integer,
  blockchain,
  timestamp: seconds,
  stablecoin: z.string().meta({ description: "What people call the token." }),
  value: amount,
  txn_hash: z.string(),
  from_address: z.string(),
  to_address: z.string(),
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
    ...transferFields,
    order_id: uuid.optional().meta({ description: "The likely owner." }),
  })
  .meta({ id: "UnknownTransfer" });

const paymentReverted = z
  .object({
    event_type: z.literal("payment_reverted"),
    ...transferFields,
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
