// The Service API, for a shop's server: orders, the event log, and the signature a checkout page needs. Holds the
// merchant's secret, so it must never run in a browser.

import { type EventOptions, readEvents } from "./events.ts";
import { type Connection, createCaller, jsonOf } from "./request.ts";
import { persist } from "./retry.ts";
import type { NewOrder, OcrchEvent, Order } from "./shapes.ts";
import { createSigner } from "./signature.ts";

const retries_default = 2;

/** What `createOcrch` needs. */
export interface OcrchOptions extends Connection {
  /** `merchant.secret` of the configuration. */
  secret: string;
  /** Stands in for the clock: Unix time in ms. */
  now?: (() => number) | undefined;
  /** How often a request that got no answer, 429 or a 5xx is tried again; 2 unless said otherwise. */
  retries?: number | undefined;
}

/** Ends a request early: it then rejects with the signal's reason. */
export interface Abortable {
  signal?: AbortSignal | undefined;
}

/** A part of what `findOrders` finds; the server's own limits when absent. */
export interface FindOptions extends Abortable {
  limit?: number | undefined;
  offset?: number | undefined;
}

/** A checkout page's URL with its signature: hand both to the page, for `createPayer` or for its own requests. */
export interface SignedCheckout {
  /** As it was signed. */
  url: string;
  /** The value of `Ocrch-Signature`. */
  signature: string;
  /** The headers of a User API request. */
  headers: { "Ocrch-Signed-Url": string; "Ocrch-Signature": string };
}

/** The Service API of one Ocrch. Every verb throws OcrchError with the server's status and words. */
export interface Ocrch {
  /**
   * Creates an order. Tried again when no answer came, always with the same signed bytes, so that it stays one order.
   * Your own repetitions need an `idempotencyKey` (1 to 255 visible ASCII, kept for 24 hours): they get the order as it
   * is now. Use one key per attempt to pay, not per cart, or a cart whose order expired cannot be sold for a day. Without
   * keys, orders with the same fields created within one second are one order: give each its own `order_id`.
   */
  createOrder(order: NewOrder, options?: { idempotencyKey?: string | undefined } & Abortable): Promise<Order>;
  /** The order as it stands. 404: there is none. */
  orderStatus(order_id: string, options?: Abortable): Promise<Order>;
  /** Cancels a pending order and returns it. 404: there is none; 409: it is not pending. */
  cancelOrder(order_id: string, options?: Abortable): Promise<Order>;
  /** Orders created with this reference of yours, newest first. */
  findOrders(merchant_order_id: string, options?: FindOptions): Promise<Order[]>;
  /**
   * The event log from `after` on, in order and without gaps, waiting for what is still to come. Keep the `n` of the
   * last event you handled, in 64 bits, and pass it as `after` the next time. After a restore of the database a
   * `log_restored` event comes first and numbers go on above every one that was given out. Failures that may pass are tried again for ever;
   * others throw. Ends when the signal aborts.
   */
  events(options?: EventOptions): AsyncGenerator<OcrchEvent, void, undefined>;
  /** Signs the URL of a checkout page, which must name the order's id. Good for five minutes; sign again after that. */
  signCheckoutUrl(url: string): Promise<SignedCheckout>;
}

/** Connects a shop's server to its Ocrch. Throws a TypeError for a bad URL or an empty secret. */
export function createOcrch(options: OcrchOptions): Ocrch {
  const call = createCaller(options);
  const signer = createSigner(options.secret);
  const now = options.now ?? Date.now;
  const retries = options.retries ?? retries_default;
  const seconds = () => Math.floor(now() / 1000).toString();

  /** Signs a request once; every send of it is the same request. */
  async function signed(path: string, request: unknown, more: Record<string, string> = {}) {
    const body = JSON.stringify(request);
    const timestamp = seconds();
    const signature = await signer.sign(`${timestamp}.`, body);
    const headers = { "Content-Type": "application/json", "Ocrch-Signature": `${timestamp}.${signature}`, ...more };
    return { method: "POST" as const, path: `/api/v1/service/${path}`, headers, body };
  }

  async function ask<T>(path: string, request: unknown, signal: AbortSignal | undefined, more_ms = 0): Promise<T> {
    return jsonOf<T>(await call({ ...(await signed(path, request)), signal, more_ms }));
  }

  return {
    async createOrder(order, { idempotencyKey, signal } = {}) {
      const keyed = idempotencyKey !== undefined;
      const key: Record<string, string> = keyed ? { "Idempotency-Key": idempotencyKey } : {};
      // Equal bodies of one second are one order. Ocrch ignores fields it does not know: this one keeps keys apart.
      const request = await signed("orders", keyed ? { ...order, idempotency_key: idempotencyKey } : order, key);
      return jsonOf<Order>(await persist(retries, signal, () => call({ ...request, signal })));
    },

    orderStatus: (order_id, { signal } = {}) =>
      persist(retries, signal, () => ask<Order>("orders/status", { order_id }, signal)),

    // Not tried again: a repetition could not tell its own first success from somebody else's cancel.
    cancelOrder: (order_id, { signal } = {}) => ask<Order>("orders/cancel", { order_id, action: "cancel" }, signal),

    findOrders: (merchant_order_id, { limit, offset, signal } = {}) =>
      persist(retries, signal, () => ask<Order[]>("orders/find", { merchant_order_id, limit, offset }, signal)),

    events: (options = {}) => readEvents((page, wait_ms, signal) => ask("events", page, signal, wait_ms), options),

    async signCheckoutUrl(url) {
      // As a header carries it, and as the page's own location spells it.
      const { href } = new URL(url);
      const timestamp = seconds();
      const signature = `${timestamp}.${await signer.sign(`${href}.${timestamp}`)}`;
      return { url: href, signature, headers: { "Ocrch-Signed-Url": href, "Ocrch-Signature": signature } };
    },
  };
}
