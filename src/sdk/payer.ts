// The User API, for a checkout page: what a payer may do with the URL that the shop's server signed. Needs no secret
// and runs in browsers; never keeps a signature anywhere.

import { OcrchError } from "./errors.ts";
import { followOrder, type SocketConstructor } from "./follow.ts";
import { baseOf, type Call, type Connection, createCaller, jsonOf } from "./request.ts";
import type { ChainCoin, Choice, Claim, Order, PaymentDetail } from "./shapes.ts";
import { headerBytes } from "./signature.ts";

const poll_default_ms = 3000;
const expired_text = "signature expired";

/** A signed URL and its signature, as `signCheckoutUrl` returns them. */
export interface Signature {
  url: string;
  signature: string;
}

/** What `createPayer` needs. */
export interface PayerOptions extends Connection {
  /** The URL the shop's server signed, spelled exactly as it was signed. */
  signedUrl: string;
  /** The value of `Ocrch-Signature` that belongs to it. */
  signature: string;
  /** Asks the shop's server for a new signature when the old one has expired; without it, and with what it throws, the request fails. */
  refresh?: (() => Promise<Signature>) | undefined;
  /** Stands in for the global `WebSocket`; null only polls. */
  WebSocket?: SocketConstructor | null | undefined;
}

/** How an order is followed. */
export interface FollowOptions {
  /** Told the order as it is now, and again each time its status changes. */
  onStatus?: ((order: Order) => void) | undefined;
  /** Told of every failure that is tried again. */
  onError?: ((error: OcrchError) => void) | undefined;
  /** Ends it: the promise then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** How often to ask where no WebSocket gets through, in ms; 3000 unless said otherwise. */
  poll_ms?: number | undefined;
}

/** What one payer may do. Every verb throws OcrchError with the server's status and words. */
export interface Payer {
  /** The chains and coins that can be chosen. */
  chains(): Promise<ChainCoin[]>;
  /**
   * Chooses how to pay: the wallet and the exact amount. Choosing the same pair again gives the same answer. 409: the
   * order is not pending, or no amount is free for now (then `retry_after_s` is set).
   */
  select(order_id: string, choice: Choice): Promise<PaymentDetail>;
  /** The order as it stands. */
  status(order_id: string): Promise<Order>;
  /**
   * Names the transaction of a payment that does not show: it is looked up, and counts if it is exactly what the order
   * asks for. 409 and 429: try again after `retry_after_s`.
   */
  claim(order_id: string, txn_hash: string): Promise<Claim>;
  /** Cancels a pending order and returns it. 409: it is not pending. */
  cancel(order_id: string): Promise<Order>;
  /**
   * Follows an order until it is paid, expired or cancelled, and resolves with it: over a WebSocket, which is opened
   * again whenever it ends early, and by asking where no socket gets through. Throws OcrchError for a refusal.
   */
  follow(order_id: string, options?: FollowOptions): Promise<Order>;
}

/** Connects a checkout page to Ocrch. Throws a TypeError for a bad URL. */
export function createPayer(options: PayerOptions): Payer {
  const call = createCaller(options);
  const base = baseOf(options.url);
  let current: Promise<Signature> = Promise.resolve({ url: options.signedUrl, signature: options.signature });

  async function ask(request: Call): Promise<string> {
    const send = async ({ url, signature }: Signature) => {
      const signed = { "Ocrch-Signed-Url": headerBytes(url), "Ocrch-Signature": signature };
      return call({ ...request, path: `/api/v1/user/${request.path}`, headers: { ...signed, ...request.headers } });
    };
    const used = current;
    try {
      return await send(await used);
    } catch (error) {
      const expired = error instanceof OcrchError && error.status === 401 && error.text === expired_text;
      if (!expired || options.refresh === undefined) throw error;
      // Of several requests that find it expired, the first one asks for the new one.
      if (current === used) current = renew(options.refresh, used);
      return send(await current);
    }
  }

  /** A failed renewal leaves the old signature, so that the next request tries again. */
  function renew(refresh: () => Promise<Signature>, used: Promise<Signature>): Promise<Signature> {
    const renewed = refresh();
    renewed.catch(() => {
      if (current === renewed) current = used;
    });
    return renewed;
  }

  async function status(order_id: string, signal?: AbortSignal): Promise<Order> {
    return jsonOf<Order>(await ask({ method: "GET", path: `${orderPath(order_id)}/status`, signal }));
  }

  async function socketUrl(order_id: string): Promise<string> {
    const { url, signature } = await current;
    const query = new URLSearchParams({ signed_url: url, signature });
    return `${base.replace(/^http/, "ws")}/api/v1/user/${orderPath(order_id)}/ws?${query}`;
  }

  return {
    async chains() {
      return jsonOf<ChainCoin[]>(await ask({ method: "GET", path: "chains" }));
    },

    async select(order_id, choice) {
      const path = `${orderPath(order_id)}/payment`;
      const headers = { "Content-Type": "application/json" };
      return jsonOf<PaymentDetail>(await ask({ method: "POST", path, headers, body: JSON.stringify(choice) }));
    },

    async claim(order_id, txn_hash) {
      const path = `${orderPath(order_id)}/claim`;
      const headers = { "Content-Type": "application/json" };
      return jsonOf<Claim>(await ask({ method: "POST", path, headers, body: JSON.stringify({ txn_hash }) }));
    },

    status: (order_id) => status(order_id),

    async cancel(order_id) {
      const headers = { Prefer: "return=representation" };
      return jsonOf<Order>(await ask({ method: "POST", path: `${orderPath(order_id)}/cancel`, headers }));
    },

    follow: (order_id, { poll_ms = poll_default_ms, ...more } = {}) =>
      followOrder({
        Socket: options.WebSocket === undefined ? globalSocket() : options.WebSocket,
        socketUrl: () => socketUrl(order_id),
        status: (signal) => status(order_id, signal),
        poll_ms,
        ...more,
      }),
  };
}

function orderPath(order_id: string): string {
  return `orders/${encodeURIComponent(order_id)}`;
}

/** Node.js has none before version 22. */
function globalSocket(): SocketConstructor | null {
  return (globalThis as { WebSocket?: SocketConstructor }).WebSocket ?? null;
}
