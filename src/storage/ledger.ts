// The only writer of an order's status. Every change goes through the transition table, closes the order's deposits,
// appends its event and queues its webhook, all in the caller's transaction.

import { and, eq, sql } from "drizzle-orm";
import { Fault } from "../domain/errors.ts";
import { orderStatusBody } from "../domain/events.ts";
import { type OrderCommand, transition } from "../domain/order.ts";
import type { Tx } from "./database.ts";
import { closeDepositsOf } from "./deposits.ts";
import { oweProof } from "./opencharge-gateway.ts";
import { type OrderRow, orderById } from "./orders.ts";
import { appendEvent } from "./outbox.ts";
import { orders } from "./schema.ts";
import { statement } from "./statement.ts";

const updateStatus = statement((db) =>
  db
    .update(orders)
    .set({
      status: sql`${sql.placeholder("to")}`,
      cause: sql`${sql.placeholder("command")}`,
      ended_at: sql`${sql.placeholder("now")}`,
    })
    .where(and(eq(orders.id, sql.placeholder("id")), eq(orders.status, sql.placeholder("from"))))
    .returning()
    .prepare(),
);

/**
 * Applies a command to an order. `changed` is false when the order already is what the command asks for.
 * Faults: order_not_found, order_not_pending (the table refuses the command in this state).
 */
export function recordTransition(tx: Tx, id: string, command: OrderCommand): { changed: boolean; order: OrderRow } {
  const order = orderById(tx, id);
  if (order === null) throw new Fault("order_not_found");
  const outcome = transition(order.status, command);
  if (outcome === "refuse") throw new Fault("order_not_pending");
  if (outcome === "same") return { changed: false, order };

  const changed = updateStatus(tx).all({ id, from: order.status, to: outcome, command, now: tx.now });
  const after = changed[0];
  if (changed.length !== 1 || after === undefined) {
    throw new Error(`a transition changed ${changed.length} orders instead of one`);
  }
  closeDepositsOf(tx, id, command);
  if (outcome === "paid") oweProof(tx, id);
  announceStatus(tx, after);
  return { changed: true, order: after };
}

/** Appends an event with the order's status as it is now, and its webhook where the order has an address for one. */
export function announceStatus(tx: Tx, order: OrderRow): number {
  return appendEvent(tx, {
    type: "order_status_changed",
    order_id: order.id,
    transfer: null,
    body: orderStatusBody(order, tx.now),
    url: order.webhook_url === "" ? null : order.webhook_url,
  });
}
