// The only writer of an order's status. Every change goes through the transition table, closes the order's deposits,
// lets go of money that did not pay it, appends its event and queues its webhook, all in the caller's transaction.

import { and, eq, sql } from "drizzle-orm";
import { Fault } from "../domain/errors.ts";
import { orderStatusBody } from "../domain/events.ts";
import { type OrderCommand, transition } from "../domain/order.ts";
import { allocatedTo, reverseAllocation } from "./allocations.ts";
import { closeDepositsOf } from "./deposits.ts";
import type { Tx } from "./engine/database.ts";
import { statement } from "./engine/statement.ts";
import { type OrderRow, orderById } from "./orders.ts";
import { appendEvent } from "./outbox.ts";
import { orders } from "./schema.ts";
import { judgeTransfer, type TransferRow } from "./transfers.ts";

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

export interface Transition {
  changed: boolean;
  order: OrderRow;
  /** Money that had paid a part of an order which ended unpaid, this one or a dependent one: it waits for a person now. */
  released: TransferRow[];
}

/**
 * Applies a command to an order. `changed` is false when the order already is what the command asks for.
 * Faults: order_not_found, order_not_pending (the table refuses the command in this state).
 */
export function recordTransition(tx: Tx, id: string, command: OrderCommand): Transition {
  const order = orderById(tx, id);
  if (order === null) throw new Fault("order_not_found");
  const outcome = transition(order.status, command);
  if (outcome === "refuse") throw new Fault("order_not_pending");
  if (outcome === "same") return { changed: false, order, released: [] };

  const changed = updateStatus(tx).all({ id, from: order.status, to: outcome, command, now: tx.now });
  const after = changed[0];
  if (changed.length !== 1 || after === undefined) {
    throw new Error(`a transition changed ${changed.length} orders instead of one`);
  }
  closeDepositsOf(tx, id, command);
  if (outcome === "paid") for (const hook of tx.hooks) hook.orderPaid(tx, id);
  announceStatus(tx, after);
  const money = allocatedTo(tx, id);
  if (outcome === "paid") for (const row of money) keepMoney(tx, row);
  const released = outcome === "paid" ? [] : money.map((row) => releaseMoney(tx, row, id));
  // A dependent order has its own clock, which a payment on its way may hold up.
  const from_dependents = command === "expire" ? [] : cancelDependents(tx, id);
  return { changed: true, order: after, released: [...released, ...from_dependents] };
}

/** Cancels what depends on an order that has ended. Returns the money that had come in for it. */
function cancelDependents(tx: Tx, id: string): TransferRow[] {
  const dependents = tx.hooks.flatMap((hook) => hook.dependentOrders(tx, id));
  return dependents.flatMap((one) => recordTransition(tx, one, "cancel").released);
}

/** What was kept with an order while it was ended unpaid waits for nobody once it is paid. */
function keepMoney(tx: Tx, row: TransferRow): void {
  if (row.reason === "order_ended") judgeTransfer(tx, row.id, { ...row, reason: null });
}

/** What was received for an order that ended without being paid pays nothing: it goes to the inbox, part by part. */
function releaseMoney(tx: Tx, row: TransferRow, order_id: string): TransferRow {
  reverseAllocation(tx, row.id);
  return judgeTransfer(tx, row.id, {
    status: "waiting_for_match",
    deposit: null,
    part: false,
    reason: "order_ended",
    likely_order: order_id,
    confirmed_at: row.confirmed_at,
  });
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
