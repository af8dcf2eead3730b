// A tiny merchant: signs requests the way a shop's backend would and receives webhooks on loopback. Written from the
// contract alone, so that it shares no code with the server it tests.

import { createHmac, timingSafeEqual } from "node:crypto";

export interface OrderAnswer {
  order_id: string;
  merchant_order_id: string;
  amount: string;
  status: string;
  created_at: number;
}

export interface PaymentDetail {
  order_id: string;
  wallet_address: string;
  amount: string;
  blockchain: string;
  stablecoin: string;
}

/** One webhook as it arrived. */
export interface Received {
  /** `webhook-id`: the same for every attempt of one delivery. */
  id: string;
  body: Record<string, unknown>;
  /** Both signature styles hold over the bytes received. */
  verified: boolean;
  at: number;
}

export interface Merchant {
  secret: string;
  webhook_url: string;
  received: Received[];
  /** What the receiver answers from now on: a status, or a promise that may never come. */
  answerWith(answer: (received: Received) => number | Promise<number>): void;
  /** Resolves with the first received webhook that fits, already here or still to come. */
  awaitWebhook(fits: (received: Received) => boolean, timeout_ms?: number): Promise<Received>;
  stop(): Promise<void>;
}

const clock = () => Date.now();

/** Starts the webhook receiver on any free port, or on the one given. */
export function startMerchant(secret = "test-merchant-secret", port = 0): Merchant {
  const received: Received[] = [];
  const waiting = new Set<() => void>();
  let answer: (received: Received) => number | Promise<number> = () => 200;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port,
    async fetch(request) {
      const raw = new Uint8Array(await request.arrayBuffer());
      const one = read(secret, request, raw);
      received.push(one);
      for (const look of [...waiting]) look();
      return new Response(null, { status: await answer(one) });
    },
  });
  return {
    secret,
    webhook_url: `http://127.0.0.1:${server.port}/webhooks/ocrch`,
    received,
    answerWith(next) {
      answer = next;
    },
    awaitWebhook(fits, timeout_ms = 120_000) {
      return new Promise((resolve, reject) => {
        const patience = setTimeout(() => {
          waiting.delete(look);
          reject(new Error(`no such webhook within ${timeout_ms} ms; received ${JSON.stringify(received)}`));
        }, timeout_ms);
        const look = () => {
          const found = received.find(fits);
          if (found === undefined) return;
          clearTimeout(patience);
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      });
    },
    stop: () => server.stop(true),
  };
}

function read(secret: string, request: Request, raw: Uint8Array): Received {
  const id = request.headers.get("webhook-id") ?? "";
  const verified = verifyOcrch(secret, request, raw) && verifyStandard(secret, request, raw, id);
  let body: Record<string, unknown> = {};
  try {
    body = JSON.parse(new TextDecoder().decode(raw)) as Record<string, unknown>;
  } catch {
    // Left empty: `verified` tells whether anything of it may be believed.
  }
  return { id, body, verified, at: clock() };
}

function verifyOcrch(secret: string, request: Request, raw: Uint8Array): boolean {
  const [timestamp = "", signature = ""] = (request.headers.get("ocrch-signature") ?? "").split(/\.(.*)/s);
  return sameText(signature, hmac(secret, `${timestamp}.`, raw));
}

function verifyStandard(secret: string, request: Request, raw: Uint8Array, id: string): boolean {
  const timestamp = request.headers.get("webhook-timestamp") ?? "";
  const expected = `v1,${hmac(secret, `${id}.${timestamp}.`, raw)}`;
  return (request.headers.get("webhook-signature") ?? "").split(" ").some((one) => sameText(one, expected));
}

function hmac(secret: string, prefix: string, body: Uint8Array | string): string {
  return createHmac("sha256", secret).update(prefix).update(body).digest("base64");
}

function sameText(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}

/** A shop's side of the Service and User API. `now` in ms, for servers whose clock a test moves. */
export function createShop(base: string, secret = "test-merchant-secret", now: () => number = clock) {
  const seconds = () => String(Math.floor(now() / 1000));
  const checkout_url = "https://shop.example.com/pay";

  async function service(path: string, body: unknown, timestamp = seconds(), headers: Record<string, string> = {}) {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    return fetch(`${base}/api/v1/service${path}`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "ocrch-signature": `${timestamp}.${hmac(secret, `${timestamp}.`, text)}`,
        ...headers,
      },
      body: text,
    });
  }

  function signedHeaders(order_id: string): Record<string, string> {
    const url = `${checkout_url}?order_id=${order_id}`;
    const timestamp = seconds();
    return {
      "ocrch-signed-url": url,
      "ocrch-signature": `${timestamp}.${hmac(secret, "", `${url}.${timestamp}`)}`,
    };
  }

  async function user(method: string, path: string, order_id: string, body?: unknown) {
    return fetch(`${base}/api/v1/user${path}`, {
      method,
      headers: { ...signedHeaders(order_id), ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  return {
    service,
    user,
    signedHeaders,
    /** Creates an order. The same body and timestamp are the same creation. */
    async createOrder(
      order: { order_id: string; amount: string; webhook_url: string; [more: string]: unknown },
      timestamp?: string,
    ): Promise<OrderAnswer> {
      return expectJson(await service("/orders", order, timestamp), 201);
    },
    async orderStatus(order_id: string): Promise<OrderAnswer> {
      return expectJson(await service("/orders/status", { order_id }), 200);
    },
    async selectPayment(order_id: string, blockchain: string, stablecoin: string): Promise<PaymentDetail> {
      return expectJson(await user("POST", `/orders/${order_id}/payment`, order_id, { blockchain, stablecoin }), 201);
    },
    async cancel(order_id: string): Promise<void> {
      const response = await user("POST", `/orders/${order_id}/cancel`, order_id);
      if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
    },
    /** Follows an order over its WebSocket; resolves with every status received once the server closes. */
    follow(order_id: string): Promise<{ statuses: string[]; code: number }> {
      const statuses: string[] = [];
      const socket = new WebSocket(`${base.replace("http", "ws")}/api/v1/user/orders/${order_id}/ws`, {
        headers: signedHeaders(order_id),
      } as never);
      return new Promise((resolve) => {
        socket.onmessage = (message) => {
          const frame = JSON.parse(String(message.data)) as { type: string; order?: OrderAnswer };
          if (frame.type === "status_update" && frame.order) statuses.push(frame.order.status);
        };
        socket.onclose = (event) => resolve({ statuses, code: event.code });
      });
    },
  };
}

export type Shop = ReturnType<typeof createShop>;

async function expectJson<T>(response: Response, status: number): Promise<T> {
  if (response.status !== status) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}
