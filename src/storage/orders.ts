// Rows of orders and of the answers that replays of their creation get. The status is written only by the ledger.

import { and, asc, desc, eq, isNull, lte, min, notExists, sql } from "drizzle-orm";
import type { ChainId, Coin } from "../domain/assets.ts";
import type { OrderStatus } from "../domain/order.ts";
import type { Reader, Tx } from "./engine/database.ts";
import { requireRow, statement } from "./engine/statement.ts";
import { creations, deliveries, deposits, orders } from "./schema.ts";

/** How far a clock may be set back without a creation being forgotten that a request could still repeat. */
const clock_step_max_ms = 60 * 60 * 1000;

export type OrderRow = typeof orders.$inferSelect;

export interface NewOrder {
  id: string;
  merchant_order_id: string;
  amount: string;
  chain: ChainId | null;
  coin: Coin | null;
  sender: string | null;
  webhook_url: string;
  /** ms */
  expires_at: number;
  options?: OrderOptions | undefined;
}

/** What a creation may say of an order beyond its price; null where it did not. */
export interface OrderOptions {
  /** What was asked for; `expires_at` follows from it. */
  lifetime_s: number | null;
  /** A JSON object as text. */
  metadata: string | null;
  success_url: string | null;
  cancel_url: string | null;
}

const no_options: OrderOptions = { lifetime_s: null, metadata: null, success_url: null, cancel_url: null };

const insert = statement((db) =>
  db
    .insert(orders)
    .values({
      id: sql.placeholder("id"),
      merchant_order_id: sql.placeholder("merchant_order_id"),
      amount: sql.placeholder("amount"),
      status: "pending",
      chain: sql.placeholder("chain"),
      coin: sql.placeholder("coin"),
      sender: sql.placeholder("sender"),
      webhook_url: sql.placeholder("webhook_url"),
      created_at: sql.placeholder("created_at"),
      expires_at: sql.placeholder("expires_at"),
      lifetime_s: sql.placeholder("lifetime_s"),
      metadata: sql.placeholder("metadata"),
      success_url: sql.placeholder("success_url"),
      cancel_url: sql.placeholder("cancel_url"),
    })
    .returning({ seq: orders.seq })
    .prepare(),
);

const selectById = statement((db) =>
  db
    .select()
    .from(orders)
    .where(eq(orders.id, sql.placeholder("id")))
    .prepare(),
);

const selectCreation = statement((db) =>
  db
    .select()
    .from(creations)
    .where(eq(creations.key, sql.placeholder("key")))
    .prepare(),
);

const insertCreationRow = statement((db) =>
  db
    .insert(creations)
    .values({
      key: sql.placeholder("key"),
      body_hash: sql.placeholder("body_hash"),
      order_id: sql.placeholder("order_id"),
      expires_at: sql.placeholder("expires_at"),
    })
    .onConflictDoUpdate({
      target: creations.key,
      set: {
        body_hash: sql`excluded.body_hash`,
        order_id: sql`excluded.order_id`,
        expires_at: sql`excluded.expires_at`,
      },
    })
    .prepare(),
);

const deleteCreations = statement((db) =>
  db
    .delete(creations)
    .where(
      sql`${creations.key} in (select c.key from creations c where c.expires_at <= ${sql.placeholder("before")} limit ${sql.placeholder("limit")})`,
    )
    .returning({ key: creations.key })
    .prepare(),
);

const selectDueWithoutDeposit = statement((db) =>
  db
    .select({ id: orders.id })
    .from(orders)
    .where(
      and(
        isNull(orders.ended_at),
        lte(orders.expires_at, sql.placeholder("now")),
        notExists(db.select({ one: sql`1` }).from(deposits).where(eq(deposits.order_id, orders.id))),
      ),
    )
    .orderBy(asc(orders.expires_at), asc(orders.seq))
    .limit(sql.placeholder("limit"))
    .prepare(),
);

const selectDueAfter = statement((db) =>
  db
    .select()
    .from(orders)
    .where(
      and(
        isNull(orders.ended_at),
        lte(orders.expires_at, sql.placeholder("now")),
        sql`(${orders.expires_at}, ${orders.seq}) > (${sql.placeholder("after_time")}, ${sql.placeholder("after_seq")})`,
      ),
    )
    .orderBy(asc(orders.expires_at), asc(orders.seq))
    .limit(sql.placeholder("limit"))
    .prepare(),
);

/** Inserts a pending order. `created_at` is the transaction's time. */
export function insertOrder(tx: Tx, order: NewOrder): OrderRow {
  const { options = no_options, ...terms } = order;
  const row = { ...terms, ...options, created_at: tx.now };
  const { seq } = requireRow(insert(tx).get(row));
  return { ...row, seq, status: "pending", ended_at: null, cause: null };
}

/** An order by its id, or null. */
export function orderById(at: Reader, id: string): OrderRow | null {
  return selectById(at).get({ id }) ?? null;
}

/** The orders a merchant created under one id of its own, newest first. */
export function ordersOfMerchant(at: Reader, merchant_order_id: string, limit: number, offset: number): OrderRow[] {
  return selectOfMerchant(at).all({ merchant_order_id, limit, offset });
}

const selectOfMerchant = statement((db) =>
  db
    .select()
    .from(orders)
    .where(eq(orders.merchant_order_id, sql.placeholder("merchant_order_id")))
    .orderBy(desc(orders.seq))
    .limit(sql.placeholder("limit"))
    .offset(sql.placeholder("offset"))
    .prepare(),
);

export type CreationRow = typeof creations.$inferSelect;

/** The order an earlier creation under this key made, unless that memory has expired. */
export function creationFor(at: Reader, key: string, now: number): CreationRow | null {
  const row = selectCreation(at).get({ key });
  return row !== undefined && row.expires_at > now ? row : null;
}

/** Remembers a creation's answer until `expires_at`, in place of a memory of the key that ran out. */
export function insertCreation(tx: Tx, creation: CreationRow): void {
  insertCreationRow(tx).run({ ...creation });
}

/**
 * Forgets creations that ran out a while ago, at most `limit`: after a clock that ran ahead is set right, they count again.
 * Returns how many.
 */
export function forgetCreations(tx: Tx, limit: number): number {
  return deleteCreations(tx).all({ before: tx.now - clock_step_max_ms, limit }).length;
}

/** When the next pending order reaches its time (ms), null without any: all that has to be asked every second. */
export function earliestExpiry(at: Reader): number | null {
  return selectEarliest(at).get()?.expires_at ?? null;
}

const selectEarliest = statement((db) =>
  db
    .select({ expires_at: min(orders.expires_at) })
    .from(orders)
    .where(isNull(orders.ended_at))
    .prepare(),
);

/** Pending orders past their time that nobody ever asked an address for. */
export function dueWithoutDeposit(at: Reader, now: number, limit: number): string[] {
  return selectDueWithoutDeposit(at)
    .all({ now, limit })
    .map((row) => row.id);
}

/** Pending orders past their time after a place in (expires_at, seq) order. */
export function dueOrders(
  at: Reader,
  now: number,
  after: { expires_at: number; seq: number },
  limit: number,
): OrderRow[] {
  return selectDueAfter(at).all({ now, after_time: after.expires_at, after_seq: after.seq, limit });
}

export interface OrderFilter {
  status?: OrderStatus | undefined;
  merchant_order_id?: string | undefined;
}

/** An order with its delivery counters summed over all its deliveries (times in ms). */
export type ListedOrder = OrderRow & {
  webhook_retry_count: number;
  webhook_success_at: number | null;
  webhook_last_tried_at: number | null;
};

// Columns of the outer table are spelled out: drizzle names them without their table where only one is selected from.
const listed = {
  webhook_retry_count: sql<number>`(select coalesce(sum(d.failures), 0) from ${deliveries} d where d.order_id = orders.id)`,
  webhook_success_at: sql<
    number | null
  >`(select min(d.delivered_at) from ${deliveries} d where d.order_id = orders.id)`,
  webhook_last_tried_at: sql<
    number | null
  >`(select max(d.last_tried_at) from ${deliveries} d where d.order_id = orders.id)`,
};

/** Newest first, in order of creation. */
export function listOrders(at: Reader, filter: OrderFilter, limit: number, offset: number): ListedOrder[] {
  const { status, merchant_order_id } = filter;
  // The plus hides the status from the planner, which would rather read every paid order than the few of one name.
  const status_column = merchant_order_id === undefined ? sql`${orders.status}` : sql`+${orders.status}`;
  return at
    .live()
    .select({ order: orders, ...listed })
    .from(orders)
    .where(
      and(
        status === undefined ? undefined : eq(status_column, status),
        merchant_order_id === undefined ? undefined : eq(orders.merchant_order_id, merchant_order_id),
      ),
    )
    .orderBy(desc(orders.seq))
    .limit(limit)
    .offset(offset)
    .all()
    .map(({ order, ...counters }) => ({ ...order, ...counters }));
}

/** One order as the lists show it. */
export function listedOrder(at: Reader, id: string): ListedOrder | null {
  const row = at
    .live()
    .select({ order: orders, ...listed })
    .from(orders)
    .where(eq(orders.id, id))
    .get();
  if (row === undefined) return null;
  const { order, ...counters } = row;
  return { ...order, ...counters };
}

/** How many orders are in each status. */
export function countOrders(at: Reader): Map<OrderStatus, number> {
  const rows = at
    .live()
    .select({ status: orders.status, n: sql<number>`count(*)` })
    .from(orders)
    .groupBy(orders.status);
  return new Map(rows.all().map((row) => [row.status, row.n]));
}
