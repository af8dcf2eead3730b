// What is shown of orders and events to whoever watches them over HTTP. Reads committed rows only.

import type { Database } from "../storage/engine/database.ts";
import { type OrderRow, orderById } from "../storage/orders.ts";
import { type EventRow, eventsAfter, lastEvent, statusEventsAfter } from "../storage/outbox.ts";
import type { EventLog } from "./event-log.ts";

export interface EventPage {
  events: EventRow[];
  /** Number of the newest event there is; never below the last one of the page. */
  last: number;
}

export interface OrderFeed {
  /** An order as it is now; null when there is none. */
  order(id: string): OrderRow | null;
  /** Number of the newest event. */
  last(): number;
  /** Events above a number, in order, at most `limit`. */
  page(after: number, limit: number): EventPage;
  /** Events above a number that changed an order's status, in order, at most `limit`. */
  statusChanges(after: number, limit: number): { n: number; order_id: string }[];
}

/** The feed over one database. No event leaves before its number is kept beside the database. */
export function createOrderFeed(needs: { database: Database; eventLog: Pick<EventLog, "keep"> }): OrderFeed {
  const { database, eventLog } = needs;
  return {
    order: (id) => database.read((at) => orderById(at, id)),
    last: () => database.read(lastEvent),
    page(after, limit) {
      const page = database.read((at) => {
        // In this order, so that a commit between the two shows an event, and never hides one behind `last`.
        const newest = lastEvent(at);
        const events = eventsAfter(at, after, limit);
        return { events, last: Math.max(newest, events.at(-1)?.n ?? 0) };
      });
      if (page.events.length > 0) eventLog.keep();
      return page;
    },
    statusChanges: (after, limit) => database.read((at) => statusEventsAfter(at, after, limit)),
  };
}
