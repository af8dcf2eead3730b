// Keeps a shop from acting twice on one event, or on an old one after a newer one: deliveries are at least once, and an
// event that failed comes again after newer ones of its order. Counts an event as handled only when the shop's handler is done.

import type { OcrchEvent } from "./shapes.ts";
import type { WebhookEvent } from "./webhooks.ts";

const subjects_max = 10_000;
const webhook_id_pattern = /^evt_(\d{1,15})$/;

/**
 * Where the number of the last handled event of each order is kept: a column of your orders, say. Numbers need 64 bits:
 * after a restore of Ocrch's database they go on from Unix milliseconds.
 */
export interface HandledStore {
  /** The last number put under the key; null or undefined: none. */
  get(key: string): number | null | undefined | Promise<number | null | undefined>;
  /** Where several processes share the store, keep the greater number. */
  put(key: string, n: number): void | Promise<void>;
}

/** Handles events in order. */
export interface InOrder {
  /**
   * Calls `handle` unless this event, or a later one of the same order, was handled before; an event about a transfer
   * is compared with those of that transfer instead, so that no order status makes money that left unheard. Resolves with whether it
   * was called. Rejects with what `handle` throws: the event then counts as not handled, and Ocrch sends it again.
   * Calls for one order wait for one another. A TypeError: the event came without a `webhook_id`.
   */
  once<Event extends WebhookEvent | OcrchEvent>(
    event: Event,
    handle: (event: Event) => void | Promise<void>,
  ): Promise<boolean>;
}

/** Without a store, remembers the last 10,000 orders in this process. */
export function createInOrder({ store = memory() }: { store?: HandledStore } = {}): InOrder {
  const running = new Map<string, Promise<unknown>>();
  return {
    async once(event, handle) {
      const { key, n } = placeOf(event);
      const act = async () => {
        const last = await store.get(key);
        if (last !== null && last !== undefined && n <= last) return false;
        await handle(event);
        await store.put(key, n);
        return true;
      };
      const turn = (running.get(key) ?? Promise.resolve()).then(act, act);
      running.set(key, turn);
      const leave = () => {
        if (running.get(key) === turn) running.delete(key);
      };
      turn.then(leave, leave);
      return turn;
    },
  };
}

/** Types about money, each a webhook of its own: they say nothing of an order's status. */
const about_transfers: readonly string[] = ["unknown_transfer", "payment_reverted", "payment_restored"];

/** Whose event it is and its number in the log, which a webhook carries in its id. */
function placeOf(event: WebhookEvent | OcrchEvent): { key: string; n: number } {
  if ("n" in event) {
    const { type, order_id, transfer_id, n } = event;
    if (type === "log_restored") return { key: "log", n };
    return {
      key: about_transfers.includes(type) || order_id === null ? `transfer:${transfer_id}` : `order:${order_id}`,
      n,
    };
  }
  const n = webhook_id_pattern.exec(event.webhook_id ?? "")?.[1];
  if (n === undefined)
    throw new TypeError("the event has no webhook_id: something on the way drops the webhook-id header");
  const key = event.event_type === "order_status_changed" ? `order:${event.order_id}` : `transfer:${event.transfer_id}`;
  return { key, n: Number(n) };
}

function memory(): HandledStore {
  const handled = new Map<string, number>();
  return {
    get: (key) => handled.get(key),
    put(key, n) {
      handled.delete(key);
      handled.set(key, n);
      const [oldest] = handled.keys();
      if (handled.size > subjects_max && oldest !== undefined) handled.delete(oldest);
    },
  };
}
