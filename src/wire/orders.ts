// Orders as the APIs and the WebSocket show them: schemas and their renderings. Keys in the order clients may rely on;
// times come in ms, amounts are decimal text and pass through.

import { z } from "zod";
import type { OrderStatus } from "../domain/order.ts";
import { parseJson } from "./json.ts";
import { amount, integer, jsonObject, orderStatus, seconds, secondsOf, secondsOrNull, uuid } from "./values.ts";

const orderFields = {
  order_id: uuid,
  merchant_order_id: z.string(),
  amount,
  status: orderStatus,
  created_at: seconds,
};

/** There only where the creation gave them. */
const orderOptions = {
  metadata: jsonObject.optional(),
  success_url: z.string().optional(),
  cancel_url: z.string().optional(),
  expires_at: seconds.optional(),
};

export const orderSchema = z.object({ ...orderFields, ...orderOptions }).meta({
  id: "Order",
  description: "metadata, success_url, cancel_url and expires_at appear where the creation gave them.",
});

export const adminOrderSchema = z
  .object({
    ...orderFields,
    webhook_url: z.string(),
    webhook_retry_count: integer.meta({ description: "Failed attempts." }),
    webhook_success_at: seconds.nullable(),
    webhook_last_tried_at: seconds.nullable(),
    ...orderOptions,
  })
  .meta({ id: "AdminOrder" });

export const statusUpdateSchema = z
  .object({ type: z.literal("status_update"), order: orderSchema })
  .meta({ id: "StatusUpdate", description: "A frame of the WebSocket." });

export const socketErrorSchema = z
  .object({ type: z.literal("error"), code: integer, reason: z.string() })
  .meta({ id: "SocketError", description: "A frame of the WebSocket; its close follows." });

export interface OrderInput {
  id: string;
  merchant_order_id: string;
  amount: string;
  status: OrderStatus;
  /** ms */
  created_at: number;
  /** ms; shown where the creation asked for a lifetime. */
  expires_at: number;
  lifetime_s: number | null;
  /** A JSON object as text. */
  metadata: string | null;
  success_url: string | null;
  cancel_url: string | null;
}

export interface AdminOrderInput extends OrderInput {
  webhook_url: string;
  /** Failed attempts. */
  webhook_retry_count: number;
  /** ms; the first success. */
  webhook_success_at: number | null;
  /** ms; the last attempt. */
  webhook_last_tried_at: number | null;
}

/** Order. What the creation did not use does not appear. */
export function orderShape(order: OrderInput): z.infer<typeof orderSchema> {
  return { ...fieldsOf(order), ...optionsOf(order) };
}

/** AdminOrder. */
export function adminOrderShape(order: AdminOrderInput): z.infer<typeof adminOrderSchema> {
  return {
    ...fieldsOf(order),
    webhook_url: order.webhook_url,
    webhook_retry_count: order.webhook_retry_count,
    webhook_success_at: secondsOrNull(order.webhook_success_at),
    webhook_last_tried_at: secondsOrNull(order.webhook_last_tried_at),
    ...optionsOf(order),
  };
}

function fieldsOf({ id, merchant_order_id, amount, status, created_at }: OrderInput) {
  return { order_id: id, merchant_order_id, amount, status, created_at: secondsOf(created_at) };
}

function optionsOf({ metadata, success_url, cancel_url, lifetime_s, expires_at }: OrderInput) {
  return {
    ...(metadata === null ? {} : { metadata: parseJson(metadata) as Record<string, unknown> }),
    ...(success_url === null ? {} : { success_url }),
    ...(cancel_url === null ? {} : { cancel_url }),
    ...(lifetime_s === null ? {} : { expires_at: secondsOf(expires_at) }),
  };
}

/** Socket frame: the order as it stands. */
export function statusFrame(order: OrderInput): string {
  const frame: z.infer<typeof statusUpdateSchema> = { type: "status_update", order: orderShape(order) };
  return JSON.stringify(frame);
}

/** Socket frame: a fault, with the code and the reason of the close that follows. */
export function errorFrame(code: number, reason: string): string {
  const frame: z.infer<typeof socketErrorSchema> = { type: "error", code, reason };
  return JSON.stringify(frame);
}
