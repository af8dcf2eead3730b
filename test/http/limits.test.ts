// What strangers may cost the server: bytes of bodies that are still arriving, values of a JSON text, frames and unread
// bytes of sockets, connections left open.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, type Socket as Peer } from "node:net";
import { createBodyReader } from "../../src/http/body.ts";
import { realWorld, type Socket } from "../../src/world.ts";
import { payUrl, startTestServer, type TestServer } from "../support/server.ts";

const mebibyte = 1_048_576;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

describe("a body of a payer", () => {
  const body = (bytes: number) => {
    const text = '{"blockchain":"eth","stablecoin":"USDT","padding":""}';
    return text.replace('"padding":""', `"padding":"${"x".repeat(bytes - text.length)}"`);
  };

  test("may have 4 KiB and not one byte more", async () => {
    const order_id = await server.createOrder();
    const longest = await server.user("POST", `orders/${order_id}/payment`, { body: body(4096) });
    expect(longest.status).toBe(201);
    for (const route of ["payment", "claim"]) {
      const { status, body: text } = await server.user("POST", `orders/${order_id}/${route}`, { body: body(4097) });
      expect([status, text]).toEqual([400, "failed to read request body"]);
    }
  });
});

describe("a JSON text", () => {
  test("may hold 10,000 values and not one more, however they are nested", async () => {
    const list = (values: number) => `[${Array.from({ length: values - 1 }, () => 0).join()}]`;
    const created = (padding: string) =>
      server.service("orders/status", `{"order_id":"550e8400-e29b-41d4-a716-446655440000","padding":${padding}}`);
    // The object, its first value and the list itself are values, too.
    expect((await created(list(9998))).body).toBe("order not found");
    expect((await created(list(9999))).body).toBe("invalid JSON body");
    expect((await created(`[${"[],".repeat(300_000)}[]]`)).body).toBe("invalid JSON body");
    expect((await created(`"${",[{".repeat(50_000)}"`)).body).toBe("order not found");
  });
});

describe("bodies that arrive", () => {
  /** A request whose body has arrived up to `bytes` and never ends, or ends at once. */
  function unfinished(bytes: number): { request: Request; cut(): void } {
    let cut = () => {};
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let left = bytes; left > 0; left -= 65_536) controller.enqueue(new Uint8Array(Math.min(left, 65_536)));
        cut = () => controller.error(new Error("cut off"));
      },
    });
    return { request: new Request("http://localhost/", { method: "POST", body }), cut: () => cut() };
  }

  test("hold at most 64 MiB together; one more is told to come again, small ones still get through", async () => {
    const read = createBodyReader({ world: server.world });
    const waiting = Array.from({ length: 64 }, () => unfinished(mebibyte));
    const reads = waiting.map(({ request }) => read(request).catch((error) => error.code));
    await Bun.sleep(50);
    const small = new Request("http://localhost/", { method: "POST", body: "abc", headers: { "content-length": "3" } });
    expect(new TextDecoder().decode(await read(small))).toBe("abc");
    expect(read(unfinished(1).request)).rejects.toMatchObject({ code: "too_many_requests", retry_after_s: 1 });

    for (const { cut } of waiting) cut();
    expect(new Set(await Promise.all(reads))).toEqual(new Set(["unreadable_body"]));
    const whole = new Request("http://localhost/", { method: "POST", body: new Blob(["abc"]).stream() });
    expect(new TextDecoder().decode(await read(whole))).toBe("abc");
  });
});

const handshake = (path: string) =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;

describe("a socket", () => {
  test("that sends more than 1 KiB in a message, finished or not, is closed", async () => {
    const order_id = await server.createOrder();
    const url = payUrl(order_id);
    const query = `signed_url=${encodeURIComponent(url)}&signature=${encodeURIComponent(server.userHeaders(url)["Ocrch-Signature"] ?? "")}`;
    const target = `${server.url.replace("http", "ws")}/api/v1/user/orders/${order_id}/ws?${query}`;
    const outcome = (bytes: number) =>
      new Promise<number>((resolve) => {
        const socket = new WebSocket(target);
        socket.onopen = () => {
          socket.send("x".repeat(bytes));
          if (bytes <= 1024) setTimeout(() => socket.close(3000), 100);
        };
        socket.onclose = ({ code }) => resolve(code);
      });
    expect(await outcome(1024)).toBe(3000);
    expect([1006, 1009]).toContain(await outcome(1025));

    const peer = connect(server.port, "127.0.0.1");
    const closed = new Promise<void>((resolve) => peer.on("close", () => resolve()));
    peer.on("error", () => {});
    peer.write(handshake(target.slice(target.indexOf("/api"))));
    await new Promise((resolve) => peer.once("data", resolve));
    peer.resume();
    // The first part of a text message of eight parts with 600 bytes each.
    const part = (first: boolean) =>
      Buffer.concat([Buffer.from([first ? 0x01 : 0x00, 0xfe, 0x02, 0x58, 0, 0, 0, 0]), Buffer.alloc(600, 97)]);
    for (let n = 0; n < 8; n++) peer.write(part(n === 0));
    await closed;
  });

  test("that does not read holds 64 KiB at most; the sender is told that a frame was dropped", async () => {
    const opened = Promise.withResolvers<Socket>();
    const listener = realWorld().listen({
      hostname: "127.0.0.1",
      port: 0,
      max_body_bytes: 1024,
      answer(_request, connection) {
        connection.upgrade({ opened: opened.resolve, closed() {} });
        return new Response();
      },
    });
    const peer: Peer = connect({ port: listener.port, host: "127.0.0.1" });
    peer.pause();
    peer.write(handshake("/"));
    const socket = await opened.promise;
    const frame = "x".repeat(1000);
    let [waiting, highest] = [0, 0];
    // What the kernel takes for an unread peer is some mebibytes.
    for (let n = 0; n < 100_000 && waiting !== Number.POSITIVE_INFINITY; n++) {
      waiting = socket.send(frame);
      if (waiting !== Number.POSITIVE_INFINITY) highest = Math.max(highest, waiting);
    }
    expect(waiting).toBe(Number.POSITIVE_INFINITY);
    expect(highest).toBeGreaterThan(0);
    expect(highest).toBeLessThanOrEqual(65_536 + frame.length + 8);
    peer.destroy();
    await listener.stop(true);
  });
});

test("after a long poll the connection's idle limit is restored", async () => {
  const listener = realWorld().listen({
    hostname: "127.0.0.1",
    port: 0,
    max_body_bytes: 1024,
    idle_timeout_s: 4,
    answer(_request, connection) {
      connection.disableIdleTimeout();
      return new Response("done");
    },
  });
  const peer = connect(listener.port, "127.0.0.1");
  const ended = new Promise<void>((resolve) => peer.on("end", () => resolve()));
  peer.resume();
  peer.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await ended;
  await listener.stop(true);
}, 300_000);
