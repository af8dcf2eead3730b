// The WebSocket feed over real sockets: who may open one, what is sent, and every code it is closed with.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createLive } from "../../src/http/live.ts";
import { createOperator } from "../../src/services/operator.ts";
import { createOrderFeed } from "../../src/services/order-feed.ts";
import { openForCommand } from "../../src/storage/engine/open.ts";
import type { Socket } from "../../src/world.ts";
import {
  type Headings,
  payUrl,
  shop_origin,
  signature,
  start_ms,
  startTestServer,
  type TestServer,
} from "../support/server.ts";

const start_s = start_ms / 1000;
const unknown_id = "550e8400-e29b-41d4-a716-446655440000";
const handshake =
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const not_found_frame = '{"type":"error","code":4004,"reason":"order not found"}';

let server: TestServer;
beforeEach(async () => {
  server = await startTestServer();
});
afterEach(() => server.stop());

interface Client {
  socket: WebSocket;
  frames: string[];
  /** Resolves with everything received once `count` frames are there. */
  received(count: number): Promise<string[]>;
  closed: Promise<{ code: number; reason: string; frames: string[] }>;
}

const path = (order_id: string) => `/api/v1/user/orders/${order_id}/ws`;
const connectTo = (order_id: string, headers: Headings = server.userHeaders(payUrl(order_id)), query = "") =>
  connect(`${server.url.replace("http", "ws")}${path(order_id)}${query}`, headers);

function connect(url: string, headers: Headings): Client {
  // Bun's client takes headers; the DOM's type of it knows none.
  const Client = WebSocket as unknown as new (url: string, options: { headers: Headings }) => WebSocket;
  const socket = new Client(url, { headers });
  const frames: string[] = [];
  const waiting = new Set<() => void>();
  socket.onmessage = ({ data }) => {
    frames.push(String(data));
    for (const look of [...waiting]) look();
  };
  const closed = new Promise<{ code: number; reason: string; frames: string[] }>((resolve) => {
    socket.onclose = ({ code, reason }) => resolve({ code, reason, frames });
  });
  const received = (count: number) =>
    new Promise<string[]>((resolve, reject) => {
      const look = () => frames.length >= count && resolve(frames);
      waiting.add(look);
      look();
      void closed.then(({ code }) => reject(new Error(`closed with ${code} after ${frames.length} frames`)));
    });
  return { socket, frames, received, closed };
}

const update = (order_id: string, merchant_order_id: string, status: string) =>
  `{"type":"status_update","order":{"order_id":"${order_id}","merchant_order_id":"${merchant_order_id}","amount":"19.99","status":"${status}","created_at":${start_s}}}`;

describe("a socket", () => {
  test("is told the state at once, each change once, and closed with 1000 after the last", async () => {
    const order_id = await server.createOrder({ order_id: "watched" });
    const clients = [connectTo(order_id), connectTo(order_id.toUpperCase(), server.userHeaders(payUrl(order_id)))];
    for (const client of clients) {
      expect(await client.received(1)).toEqual([update(order_id, "watched", "pending")]);
    }
    await server.admin("POST", `orders/${order_id}/resend-webhook`);
    await server.createOrder();
    await server.user("POST", `orders/${order_id}/cancel`);
    for (const client of clients) {
      expect(await client.closed).toEqual({
        code: 1000,
        reason: "",
        frames: [update(order_id, "watched", "pending"), update(order_id, "watched", "cancelled")],
      });
    }
  });

  test("of an order that has ended is told so and closed with 1000", async () => {
    const order_id = await server.createOrder({ order_id: "ended" });
    await server.admin("POST", `orders/${order_id}/mark-paid`);
    const { code, frames } = await connectTo(order_id).closed;
    expect([code, frames]).toEqual([1000, [update(order_id, "ended", "paid")]]);
  });

  test("hears of its own order only", async () => {
    const [first, second] = [await server.createOrder({ order_id: "1" }), await server.createOrder({ order_id: "2" })];
    const [one, two] = [connectTo(first), connectTo(second)];
    await Promise.all([one.received(1), two.received(1)]);
    await server.user("POST", `orders/${second}/cancel`);
    expect((await two.closed).frames.at(-1)).toBe(update(second, "2", "cancelled"));
    expect(one.frames).toEqual([update(first, "1", "pending")]);
    await server.user("POST", `orders/${first}/cancel`);
    expect((await one.closed).code).toBe(1000);
  });

  test("hears what another process did, once the server has noticed", async () => {
    const order_id = await server.createOrder({ order_id: "elsewhere" });
    const client = connectTo(order_id);
    await client.received(1);
    const opened = openForCommand({ ...server, path: server.database_path });
    await createOperator({ ...server, ...opened }).markPaid(order_id, "cli", "cash");
    expect(server.database.changedElsewhere()).toBe(true);
    server.http.committed();
    expect((await client.closed).frames.at(-1)).toBe(update(order_id, "elsewhere", "paid"));
    await opened.close();
  });

  test("misses nothing among thousands of events, also of the time before it opened", async () => {
    const others = await Promise.all(Array.from({ length: 700 }, (_, i) => server.createOrder({ order_id: `n${i}` })));
    const order_id = await server.createOrder({ order_id: "one of many" });
    const client = connectTo(order_id);
    await client.received(1);
    const ends = [...others.slice(0, 600), order_id, ...others.slice(600)];
    await Promise.all(ends.map((id) => server.operator.markPaid(id, "test", "")));
    expect((await client.closed).frames).toEqual([
      update(order_id, "one of many", "pending"),
      update(order_id, "one of many", "paid"),
    ]);
  });

  test("of no order of ours gets the error and 4004", async () => {
    expect(await connectTo(unknown_id).closed).toEqual({
      code: 4004,
      reason: "order not found",
      frames: [not_found_frame],
    });
  });

  test("outside the scope of its URL gets the same error and 4004", async () => {
    const [own, other] = [await server.createOrder(), await server.createOrder()];
    const { code, frames } = await connectTo(own, server.userHeaders(payUrl(other))).closed;
    expect([code, frames]).toEqual([4004, [not_found_frame]]);
  });

  test("is closed with 1001 when the server stops", async () => {
    const client = connectTo(await server.createOrder());
    await client.received(1);
    server.http.closeWaiting();
    expect((await client.closed).code).toBe(1001);
    const late = await connectTo(await server.createOrder()).closed;
    expect([late.code, late.frames]).toEqual([1001, []]);
  });

  test("may chatter and stay open longer than its signature is fresh", async () => {
    const order_id = await server.createOrder({ order_id: "chatty" });
    const client = connectTo(order_id);
    await client.received(1);
    server.advance(400_000);
    client.socket.send('{"type":"hello"}');
    client.socket.send(new Uint8Array(1000));
    await server.user("POST", `orders/${order_id}/cancel`);
    const { code, frames } = await client.closed;
    expect([code, frames]).toEqual([
      1000,
      [update(order_id, "chatty", "pending"), update(order_id, "chatty", "cancelled")],
    ]);
  });
});

describe("opening a socket", () => {
  const upgrade = (target: string, headers = "") =>
    server.raw(`GET ${target} HTTP/1.1\r\nHost: a\r\n${handshake}${headers}\r\n`);
  const lines = (headers: Headings) =>
    Object.entries(headers)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join("");

  test("is refused in plain HTTP before the upgrade", async () => {
    const target = path(unknown_id);
    const own = server.userHeaders(payUrl(unknown_id));
    const foreign = "https://evil.example/pay";
    const rows: [status: number, text: string, target: string, headers: Headings][] = [
      [401, "missing Ocrch-Signature header", target, {}],
      [400, "invalid header format", target, { "Ocrch-Signature": "x" }],
      [400, "missing Ocrch-Signed-Url header", target, { "Ocrch-Signature": own["Ocrch-Signature"] ?? "" }],
      [401, "signature verification failed", target, { ...own, "Ocrch-Signed-Url": `${shop_origin}/` }],
      [
        401,
        "signature expired",
        target,
        { ...own, "Ocrch-Signature": signature("url", payUrl(unknown_id), start_s - 301) },
      ],
      [403, "origin not allowed", target, server.userHeaders(foreign)],
      [400, "invalid order_id", path("1"), own],
    ];
    for (const [status, text, target, headers] of rows) {
      const answer = await upgrade(target, lines(headers));
      expect(answer).toStartWith(`HTTP/1.1 ${status} `);
      expect(answer).toEndWith(`\r\n\r\n${text}`);
    }
  });

  test("without an upgrade is 426, after authentication", async () => {
    const answer = await server.user("GET", `orders/${unknown_id}/ws`);
    expect([answer.status, answer.body]).toEqual([426, "websocket upgrade required"]);
    expect(answer.headers.get("upgrade")).toBe("websocket");
    const anonymous = await server.request("GET", path(unknown_id));
    expect([anonymous.status, anonymous.body]).toEqual([401, "missing Ocrch-Signature header"]);
  });

  test("with an upgrade that is none is 426 and takes no place", async () => {
    const order_id = await server.createOrder();
    const headers = lines(server.userHeaders(payUrl(order_id)));
    for (let i = 0; i < 101; i++) {
      const answer = await server.raw(
        `GET ${path(order_id)} HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\n${headers}\r\n`,
      );
      expect(answer).toStartWith("HTTP/1.1 426 ");
    }
    expect(await connectTo(order_id).received(1)).toHaveLength(1);
  });

  test("works from a browser, which signs in the query, also when its plus became a space", async () => {
    let order_id = "";
    let signed = "";
    // A signature with a plus and a slash in it.
    for (let i = 0; !/\+.*\/|\/.*\+/.test(signed); i++) {
      order_id = await server.createOrder({ order_id: `browser ${i}` });
      signed = signature("url", payUrl(order_id), start_s);
    }
    const url = `signed_url=${encodeURIComponent(payUrl(order_id))}`;
    for (const spelling of [encodeURIComponent(signed), signed, signed.replaceAll("+", "%20")]) {
      const client = connectTo(order_id, {}, `?x=1&${url}&signature=${spelling}`);
      expect(await client.received(1)).toHaveLength(1);
      client.socket.close();
    }
    expect(server.log.join("\n")).not.toContain(signed.slice(-20));
  });

  test("lets headers win over the query, one by one", async () => {
    const order_id = await server.createOrder();
    const own = server.userHeaders(payUrl(order_id));
    const bad = "?signature=1.AAAA&signed_url=https%3A%2F%2Fevil.example";
    expect(await connectTo(order_id, own, bad).received(1)).toHaveLength(1);
    const target = `${path(order_id)}?signed_url=${encodeURIComponent(payUrl(order_id))}`;
    const mixed = lines({ "Ocrch-Signature": own["Ocrch-Signature"] ?? "" });
    expect(await upgrade(target, mixed)).toStartWith("HTTP/1.1 101 ");
  });

  test("ignores the query on other routes", async () => {
    const query = `signed_url=${encodeURIComponent(payUrl(unknown_id))}&signature=${encodeURIComponent(signature("url", payUrl(unknown_id), start_s))}`;
    const answer = await server.request("GET", `/api/v1/user/orders/${unknown_id}/status?${query}`);
    expect([answer.status, answer.body]).toEqual([401, "missing Ocrch-Signature header"]);
  });

  test("is possible a hundred times per order; a place that was left is free again", async () => {
    const order_id = await server.createOrder();
    const clients = Array.from({ length: 100 }, () => connectTo(order_id));
    await Promise.all(clients.map((client) => client.received(1)));
    const headers = lines(server.userHeaders(payUrl(order_id)));
    const refused = await upgrade(path(order_id), headers);
    expect(refused).toStartWith("HTTP/1.1 429 ");
    expect(refused).toMatch(/\r\nretry-after: \d+\r\n/i);
    expect(refused).toEndWith("\r\n\r\ntoo many requests");
    expect(await connectTo(await server.createOrder()).received(1)).toHaveLength(1);

    const [leaver] = clients;
    leaver?.socket.close();
    await leaver?.closed;
    let opened = "";
    while (!opened.startsWith("HTTP/1.1 101 ")) opened = await upgrade(path(order_id), headers);
  });
});

describe("the feed by itself", () => {
  /** A socket in hand: what it was sent, and how it was closed. */
  function inHand(waiting_bytes = 0): Socket & { frames: string[]; code: number | null } {
    const frames: string[] = [];
    return {
      frames,
      code: null,
      send: (text) => {
        frames.push(text);
        return waiting_bytes;
      },
      close(code) {
        this.code = code;
      },
    };
  }

  test("closes a consumer with more than 64 KiB waiting with 1013, and no other", async () => {
    const live = createLive(server);
    const order_id = await server.createOrder();
    for (const [waiting, code] of [
      [65_536, null],
      [65_537, 1013],
    ] as const) {
      const socket = inHand(waiting);
      live.open(order_id, false)?.opened(socket);
      expect([socket.frames.length, socket.code]).toEqual([1, code]);
    }
  });

  test("a slow reader that was closed keeps its place until the listener has let go of it", async () => {
    let free = () => {};
    const timer = (_ms: number, act: () => void) => {
      free = act;
      return () => {};
    };
    const world = { ...server.world, timer };
    const live = createLive({ ...server, world });
    const order_id = await server.createOrder();
    const places = Array.from({ length: 100 }, () => live.open(order_id, false));
    places[0]?.opened(inHand(65_537));
    places[0]?.closed();
    expect(live.open(order_id, false)).toBeNull();
    free();
    expect(live.open(order_id, false)).not.toBeNull();
    places[1]?.opened(inHand());
    places[1]?.closed();
    expect(live.open(order_id, false)).not.toBeNull();
  });

  test("takes 50,000 sockets and not one more", () => {
    const live = createLive(server);
    const id = (n: number) => `${String(n).padStart(8, "0")}${unknown_id.slice(8)}`;
    for (let n = 0; n < 50_000; n++) expect(live.open(id(n), false) !== null).toBe(true);
    expect(live.open(unknown_id, false)).toBeNull();
  });

  test("closes with 1011 when the database cannot be read, at opening and later", async () => {
    const order_id = await server.createOrder();
    let broken = false;
    const read: typeof server.database.read = (act) => {
      if (broken) throw new Error("disk I/O error");
      return server.database.read(act);
    };
    const database = { ...server.database, read };
    const live = createLive({ ...server, orderFeed: createOrderFeed({ database, eventLog: { keep() {} } }) });
    const [early, late] = [inHand(), inHand()];
    live.open(order_id, false)?.opened(early);
    const handlers = live.open(order_id, false);
    broken = true;
    handlers?.opened(late);
    expect([late.code, early.code]).toEqual([1011, null]);
    live.pump();
    expect(early.code).toBe(1011);
    expect(server.log.filter((line) => line.includes("live_feed_failed"))).toHaveLength(2);
  });
});
