// alone
// Ten thousand sockets on one server, with their clients in another process: who is told, who is not, what a socket
// costs, and that every one of them ends with a reason. Also a real consumer that stops reading.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect, type Socket as TcpSocket } from "node:net";
import { join } from "node:path";
import { max_body_bytes } from "../../src/http/server.ts";
import type { Socket } from "../../src/world.ts";
import {
  type Appliance,
  configText,
  createFolder,
  type Folder,
  fromSource,
  startAppliance,
} from "../support/appliance.ts";
import { createShop, type Shop } from "../support/merchant.ts";
import { startTestServer } from "../support/server.ts";
import type { CrowdAnswer, CrowdCommand } from "../support/socket-crowd.ts";

const per_order_max = 100;
const orders_count = 100;
const sockets_count = per_order_max * orders_count;
/** A socket that is watched by nobody else costs a server this much at most; far above what was ever measured. */
const socket_max_bytes = 64 * 1024;
const story_timeout_ms = 300_000;
const slow_timeout_ms = 60_000;
/** Starts a command with as many open files as the system lets this user have. */
const with_open_files = ["sh", "-c", 'ulimit -n "$(ulimit -Hn)"; exec "$@"', "sh"];

let folder: Folder;
let server: Appliance;
let shop: Shop;
let crowd: ReturnType<typeof startCrowd>;

const path = (order_id: string) => `/api/v1/user/orders/${order_id}/ws`;

/** The clients' process. Commands are obeyed one after the other. */
function startCrowd(port: string) {
  const child = Bun.spawn(
    [...with_open_files, process.execPath, join(import.meta.dir, "../support/socket-crowd.ts"), port],
    {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    },
  );
  const kill = () => child.kill("SIGKILL");
  process.on("exit", kill);
  const answers = linesOf(child.stdout);
  return {
    async tell(command: CrowdCommand): Promise<CrowdAnswer> {
      child.stdin.write(`${JSON.stringify(command)}\n`);
      child.stdin.flush();
      return JSON.parse((await answers.next()).value ?? "{}") as CrowdAnswer;
    },
    open: (order_id: string, count: number): CrowdCommand => ({
      open: { path: path(order_id), headers: shop.signedHeaders(order_id), count },
    }),
    async stop() {
      process.off("exit", kill);
      kill();
      await child.exited;
    },
  };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + Buffer.from(chunk).toString()).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

/** Resident memory of the server in bytes; null where the system does not tell. */
function memory(): number | null {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))?.[1];
    return Number(kilobytes) * 1024;
  } catch {
    return null;
  }
}

beforeAll(async () => {
  folder = createFolder(
    configText({
      chains: {
        eth: {
          rpc_urls: ["http://127.0.0.1:9"],
          wallets: ["0x52908400098527886E0F7030069857D2E4169EE7"],
          tokens: { USDT: { address: "0xdAC17F958D2ee523a2206206994597C13D831ec7", decimals: 6 } },
          poll: "60s",
          idle_poll: "60s",
        },
      },
    }),
  );
  server = await startAppliance({ folder, command: [...with_open_files, ...fromSource] });
  shop = createShop(server.url);
  crowd = startCrowd(new URL(server.url).port);
}, story_timeout_ms);

afterAll(async () => {
  await crowd.stop();
  await server.stop("SIGKILL");
  folder.remove();
});

describe(`${sockets_count} sockets`, () => {
  let orders: string[] = [];

  test(
    "are opened, a hundred for each of a hundred orders, and each is told its order's state",
    async () => {
      const created = Array.from({ length: orders_count }, (_, n) =>
        shop.createOrder({ order_id: `watched-${n}`, amount: "19.99", webhook_url: "http://127.0.0.1:9/hook" }),
      );
      orders = (await Promise.all(created)).map((order) => order.order_id);
      const [warm = ""] = orders;
      expect(await crowd.tell(crowd.open(warm, per_order_max))).toEqual({ "pending open": per_order_max });

      const before = memory();
      for (const order_id of orders.slice(1)) {
        expect(await crowd.tell(crowd.open(order_id, per_order_max))).toEqual({ "pending open": per_order_max });
      }
      const after = memory();
      if (before === null || after === null) return;
      const [before_mib, after_mib] = [before, after].map((bytes) => Math.round(bytes / 2 ** 20));
      const each_kib = Math.round((after - before) / (sockets_count - per_order_max) / 1024);
      console.log(
        `the server holds ${before_mib} MiB with ${per_order_max} sockets, ${after_mib} MiB with ${sockets_count}: ${each_kib} KiB for each`,
      );
      expect(after - before).toBeLessThan(socket_max_bytes * sockets_count);
    },
    story_timeout_ms,
  );

  test("do not keep an order from having its hundredth, nor let it have one more", async () => {
    const [order_id = ""] = orders;
    expect(await crowd.tell(crowd.open(order_id, 3))).toEqual({ "429": 3 });
  });

  test("leave the API at work", async () => {
    const [order_id = ""] = orders;
    expect((await shop.orderStatus(order_id)).status).toBe("pending");
  });

  test("may talk and are not heard; a ping gets its pong", async () => {
    const [order_id = ""] = orders;
    expect(await crowd.tell({ chat: path(order_id) })).toEqual({ "pending open": per_order_max });
  });

  test(
    "hear only of their own order, and end with 1000 after its last status, or with 1001 when the server stops",
    async () => {
      const [cancelled = "", paid = "", ...others] = orders;
      await shop.cancel(cancelled);
      expect(await crowd.tell({ end: path(cancelled) })).toEqual({ "pending,cancelled 1000": per_order_max });
      const headers = { "Ocrch-Admin-Authorization": "test-admin-secret" };
      const marked = await fetch(`${server.url}/api/v1/admin/orders/${paid}/mark-paid`, { method: "POST", headers });
      expect(marked.status).toBe(200);
      expect(await crowd.tell({ end: path(paid) })).toEqual({ "pending,paid 1000": per_order_max });

      // What else they were sent, they were sent before the close.
      const stopped = server.stop("SIGTERM");
      for (const order_id of others) {
        expect(await crowd.tell({ end: path(order_id) })).toEqual({ "pending 1001": per_order_max });
      }
      expect(await stopped).toBe(0);
    },
    story_timeout_ms,
  );
});

describe("a consumer that stops reading", () => {
  const filler = "x".repeat(32 * 1024);
  /** More than the network's buffers can still grow by: after it more than 64 KiB wait, however it goes on. */
  const fill_bytes = 12 * 2 ** 20;

  /** A client that shakes hands and then reads nothing until told to. Resolves with all it was sent, and its end. */
  function startSlow(port: number, head: string) {
    let received = Buffer.alloc(0);
    const upgraded = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<Buffer>();
    const socket: TcpSocket = connect(port, "127.0.0.1", () => socket.write(head));
    socket.on("data", (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      if (!received.includes("pending")) return;
      socket.pause();
      upgraded.resolve();
      socket.removeAllListeners("data");
    });
    socket.on("close", () => ended.resolve(received));
    socket.on("error", () => ended.resolve(received));
    return {
      upgraded: upgraded.promise,
      ended: ended.promise,
      readOn() {
        socket.on("data", (bytes: Buffer) => {
          received = Buffer.concat([received, bytes]);
        });
        socket.resume();
      },
      cut: () => socket.destroy(),
    };
  }

  test(
    "is closed with 1013 at the next change, and nobody waits for it",
    async () => {
      const server = await startTestServer();
      let slow: Socket | null = null;
      let closed = 0;
      const opened = Promise.withResolvers<void>();
      // The product's listener, door and feed; only that one socket is also handed to this test.
      const listener = server.world.listen({
        hostname: "127.0.0.1",
        port: 0,
        max_body_bytes,
        answer: (request, connection) =>
          server.http.answer(request, {
            ...connection,
            upgrade: (handlers) =>
              connection.upgrade({
                opened(socket) {
                  slow ??= socket;
                  handlers.opened(socket);
                  opened.resolve();
                },
                closed() {
                  closed += 1;
                  handlers.closed();
                },
              }),
          }),
      });
      const order_id = await server.createOrder({ order_id: "slow" });
      const headers = Object.entries(server.userHeaders(`https://checkout.example.com/pay?order_id=${order_id}`));
      const head = `GET ${path(order_id)} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
      const client = startSlow(listener.port, head);
      await opened.promise;
      await client.upgraded;
      const quick = startSlow(listener.port, head);
      await quick.upgraded;
      quick.readOn();

      // The network takes what its buffers hold; what is beyond waits in the server, and that is limited.
      let waiting_bytes = 0;
      const fill = slow as Socket | null;
      while (fill !== null && waiting_bytes < fill_bytes) waiting_bytes = fill.send(filler);
      const cancelled = await server.user("POST", `orders/${order_id}/cancel`);
      expect([cancelled.status, cancelled.body]).toEqual([200, ""]);

      const told = await quick.ended;
      expect(told.includes('"status":"cancelled"')).toBe(true);
      expect(closeCode(told)).toBe(1000);
      client.readOn();
      expect(closeCode(await client.ended)).toBe(1013);
      expect(closed).toBe(2);
      await listener.stop(true);
      await server.stop();
    },
    slow_timeout_ms,
  );

  /** The code of the close frame that ends a stream. */
  function closeCode(received: Buffer): number | null {
    const frame = received.subarray(-4);
    return frame.length === 4 && frame.readUInt16BE(0) === 0x8802 ? frame.readUInt16BE(2) : null;
  }
});
