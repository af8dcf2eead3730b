// The event log and what is pushed from it: deliveries with their own schedule, and every attempt made.

import { and, asc, desc, eq, gt, isNotNull, lte, or, sql } from "drizzle-orm";
import { type EventType, eventTypes, older_event_wait_max_ms, retry_delay_max_ms } from "../domain/events.ts";
import type { Reader, Tx } from "./engine/database.ts";
import { requireRow, statement } from "./engine/statement.ts";
import { attempts, audit, deliveries, events } from "./schema.ts";

export type EventRow = typeof events.$inferSelect;
export type DeliveryRow = typeof deliveries.$inferSelect;

export interface NewEvent {
  type: EventType;
  order_id: string | null;
  transfer: number | null;
  /** JSON; for a type that pushes, the exact bytes of the webhook. */
  body: string;
  /** Where a pushing type goes; null: to the log only. */
  url: string | null;
}

/** Written out: a partial index is chosen when a statement is prepared, before its parameters are known. */
const isWaiting = sql`${deliveries.state} = 'waiting'`;

const insertEvent = statement((db) =>
  db
    .insert(events)
    .values({
      type: sql.placeholder("type"),
      order_id: sql.placeholder("order_id"),
      transfer: sql.placeholder("transfer"),
      body: sql.placeholder("body"),
      created_at: sql.placeholder("now"),
    })
    .returning({ n: events.n })
    .prepare(),
);

const insertDelivery = statement((db) =>
  db
    .insert(deliveries)
    .values({
      event: sql.placeholder("event"),
      kind: sql.placeholder("kind"),
      order_id: sql.placeholder("order_id"),
      transfer: sql.placeholder("transfer"),
      url: sql.placeholder("url"),
      lane: sql.placeholder("lane"),
      body: sql.placeholder("body"),
      schedule: sql`${sql.placeholder("schedule")}`,
      state: "waiting",
      next_at: sql.placeholder("now"),
    })
    .prepare(),
);

const makeDue = statement((db) =>
  db
    .update(deliveries)
    .set({ next_at: sql`min(${deliveries.next_at}, ${sql.placeholder("now")})` })
    .where(and(eq(deliveries.order_id, sql.placeholder("order_id")), isWaiting))
    .prepare(),
);

/** Appends an event and, where its type pushes and it has a URL, its delivery. The order's earlier deliveries become due. Returns its number. */
export function appendEvent(tx: Tx, event: NewEvent): number {
  const { n } = requireRow(insertEvent(tx).get({ ...event, now: tx.now }));
  if (eventTypes[event.type].webhook === null || event.url === null) return n;
  const kind = event.transfer === null ? "order" : "transfer";
  if (kind === "order") makeDue(tx).run({ order_id: event.order_id, now: tx.now });
  insertDelivery(tx).run({
    event: n,
    kind,
    // A transfer's webhook belongs to no order's sequence, even when an order is its likely owner.
    order_id: kind === "order" ? event.order_id : null,
    transfer: event.transfer,
    url: event.url,
    lane: new URL(event.url).origin,
    body: event.body,
    schedule: "webhook",
    now: tx.now,
  });
  return n;
}

/**
 * Queues a proof of payment for one address, which is its lane: strangers name these, and one of them may name a host
 * where others live too. It waits for no webhook, and none waits for it.
 */
export function queueProof(tx: Tx, url: string, body: string): void {
  insertDelivery(tx).run({
    event: null,
    kind: "proof",
    order_id: null,
    transfer: null,
    url,
    lane: url,
    body,
    schedule: "proof",
    now: tx.now,
  });
}

/** Events after number `n`, in order. */
export function eventsAfter(at: Reader, n: number, limit: number): EventRow[] {
  return selectAfter(at).all({ n, limit });
}

const selectAfter = statement((db) =>
  db
    .select()
    .from(events)
    .where(gt(events.n, sql.placeholder("n")))
    .orderBy(asc(events.n))
    .limit(sql.placeholder("limit"))
    .prepare(),
);

/** The number of the newest event; 0 when there is none. */
export function lastEvent(at: Reader): number {
  return selectLast(at).get()?.n ?? 0;
}

const selectLast = statement((db) =>
  db.select({ n: events.n }).from(events).orderBy(desc(events.n)).limit(1).prepare(),
);

export interface DueLane {
  lane: string;
  /** Its deliveries planned for this time (ms) or earlier are due. */
  through: number;
}

/**
 * Lanes with a delivery that is due. Hops from lane to lane over the index, whatever waits in each. A lane whose first
 * delivery is later than any retry was planned before the clock was set back: all of it is due.
 */
export function dueLanes(at: Reader, now: number): DueLane[] {
  const lanes: DueLane[] = [];
  let next = selectNextLane(at).get({ after: "" });
  while (next !== undefined) {
    const { lane, next_at } = next;
    if (next_at <= now) lanes.push({ lane, through: now });
    if (next_at > now + retry_delay_max_ms) lanes.push({ lane, through: Number.MAX_SAFE_INTEGER });
    next = selectNextLane(at).get({ after: next.lane });
  }
  return lanes;
}

/** The next lane where something waits, and when the first of it is due. */
const selectNextLane = statement((db) =>
  db
    .select({ lane: deliveries.lane, next_at: deliveries.next_at })
    .from(deliveries)
    .where(and(isWaiting, gt(deliveries.lane, sql.placeholder("after"))))
    .orderBy(asc(deliveries.lane), asc(deliveries.next_at))
    .limit(1)
    .prepare(),
);

/**
 * Deliveries in one lane that are planned for `through` (ms) or earlier, longest waiting first. Without those that wait
 * for an older event of the same order: while that one is due too, for at most a minute.
 */
export function dueDeliveries(at: Reader, lane: string, through: number, limit: number): DeliveryRow[] {
  return selectDue(at).all({ lane, through, limit });
}

const selectDue = statement((db) =>
  db
    .select()
    .from(deliveries)
    .where(
      and(
        isWaiting,
        eq(deliveries.lane, sql.placeholder("lane")),
        lte(deliveries.next_at, sql.placeholder("through")),
        or(
          lte(deliveries.next_at, sql`${sql.placeholder("through")} - ${older_event_wait_max_ms}`),
          sql`not exists (select 1 from deliveries e where e.order_id = ${deliveries.order_id} and e.state = 'waiting' and e.id < ${deliveries.id} and e.next_at <= ${sql.placeholder("through")})`,
        ),
      ),
    )
    .orderBy(asc(deliveries.next_at))
    .limit(sql.placeholder("limit"))
    .prepare(),
);

export interface AttemptResult {
  delivery: number;
  /** ms */
  started_at: number;
  ended_at: number;
  status: number | null;
  error: string | null;
  delivered: boolean;
  /** ms; null: give up. Read only after a failure. */
  next_at: number | null;
}

/** Records one attempt and what it means for its delivery. */
export function recordAttempt(tx: Tx, result: AttemptResult): void {
  insertAttempt(tx).run({ ...result });
  const state = result.delivered ? "delivered" : result.next_at === null ? "gave_up" : "waiting";
  settleAttempt(tx).run({
    id: result.delivery,
    state,
    failed: result.delivered ? 0 : 1,
    next_at: result.next_at ?? result.ended_at,
    ended_at: result.ended_at,
    delivered_at: result.delivered ? result.ended_at : null,
  });
}

/** Puts a delivery off that could not be attempted. */
export function postpone(tx: Tx, delivery: number, next_at: number): void {
  settleLater(tx).run({ id: delivery, next_at });
}

const settleLater = statement((db) =>
  db
    .update(deliveries)
    .set({ next_at: sql`${sql.placeholder("next_at")}` })
    .where(eq(deliveries.id, sql.placeholder("id")))
    .prepare(),
);

const insertAttempt = statement((db) =>
  db
    .insert(attempts)
    .values({
      delivery: sql.placeholder("delivery"),
      started_at: sql.placeholder("started_at"),
      ended_at: sql.placeholder("ended_at"),
      status: sql.placeholder("status"),
      error: sql.placeholder("error"),
    })
    .prepare(),
);

const settleAttempt = statement((db) =>
  db
    .update(deliveries)
    .set({
      state: sql`${sql.placeholder("state")}`,
      failures: sql`${deliveries.failures} + ${sql.placeholder("failed")}`,
      next_at: sql`${sql.placeholder("next_at")}`,
      last_tried_at: sql`${sql.placeholder("ended_at")}`,
      delivered_at: sql`${sql.placeholder("delivered_at")}`,
    })
    .where(eq(deliveries.id, sql.placeholder("id")))
    .prepare(),
);

/** Deliveries in each of their states. */
export function countDeliveries(at: Reader): { waiting: number; gave_up: number; delivered: number } {
  const rows = at
    .live()
    .select({ state: deliveries.state, n: sql<number>`count(*)` })
    .from(deliveries)
    .groupBy(deliveries.state)
    .all();
  const count = (state: DeliveryRow["state"]) => rows.find((row) => row.state === state)?.n ?? 0;
  return { waiting: count("waiting"), gave_up: count("gave_up"), delivered: count("delivered") };
}

/** The newest order statuses that were pushed after event `n`: what a socket needs to know. */
export function statusEventsAfter(at: Reader, n: number, limit: number): { n: number; order_id: string }[] {
  return selectStatusesAfter(at).all({ n, limit });
}

const selectStatusesAfter = statement((db) =>
  db
    .select({ n: events.n, order_id: sql<string>`${events.order_id}` })
    .from(events)
    .where(and(gt(events.n, sql.placeholder("n")), eq(events.type, "order_status_changed"), isNotNull(events.order_id)))
    .orderBy(asc(events.n))
    .limit(sql.placeholder("limit"))
    .prepare(),
);

/** Numbers of the event by which an order first became paid, and of the newest that gave it a transfer by hand. */
export function paidAndAssignedEvents(
  at: Reader,
  order_id: string,
  transfer: number,
): { paid: number | null; assigned: number | null } {
  return requireRow(selectPaidAndAssigned(at).get({ order_id, transfer }));
}

const selectPaidAndAssigned = statement((db) =>
  db
    .select({
      paid: sql<
        number | null
      >`min(${events.n}) filter (where ${events.type} = 'order_status_changed' and ${events.body} ->> 'status' = 'paid')`,
      assigned: sql<
        number | null
      >`max(${events.n}) filter (where ${events.type} = 'transfer_assigned' and ${events.transfer} = ${sql.placeholder("transfer")} and ${events.body} ->> 'assigned')`,
    })
    .from(events)
    .where(eq(events.order_id, sql.placeholder("order_id")))
    .prepare(),
);

/** Writes down who changed what by hand. */
export function recordAudit(tx: Tx, entry: { actor: string; action: string; subject: string; detail: string }): void {
  insertAudit(tx).run({ ...entry, now: tx.now });
}

/** Whether something was ever written down about a subject. */
export function isAudited(at: Reader, action: string, subject: string): boolean {
  return selectAudit(at).get({ action, subject }) !== undefined;
}

const selectAudit = statement((db) =>
  db
    .select({ id: audit.id })
    .from(audit)
    .where(and(eq(audit.subject, sql.placeholder("subject")), eq(audit.action, sql.placeholder("action"))))
    .limit(1)
    .prepare(),
);

const insertAudit = statement((db) =>
  db
    .insert(audit)
    .values({
      at: sql.placeholder("now"),
      actor: sql.placeholder("actor"),
      action: sql.placeholder("action"),
      subject: sql.placeholder("subject"),
      detail: sql.placeholder("detail"),
    })
    .prepare(),
);
