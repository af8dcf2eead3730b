// Silent sockets: a peer that answers pings stays, one that is dead is found and let go.

import { expect, test } from "bun:test";
import { realWorld, type SocketHandlers } from "../../src/world.ts";

/** The shortest idle time the listener takes. */
const idle_s = 8;

test("pings keep a silent peer's socket open and find a dead one", async () => {
  const closed: string[] = [];
  const dead = Promise.withResolvers<void>();
  const handlers = (name: string): SocketHandlers => ({
    opened() {},
    closed() {
      closed.push(name);
      if (name === "dead") dead.resolve();
    },
  });
  const listener = realWorld().listen({
    hostname: "127.0.0.1",
    port: 0,
    max_body_bytes: 1024,
    socket_idle_timeout_s: idle_s,
    answer(request, connection) {
      connection.upgrade(handlers(new URL(request.url).pathname.slice(1)));
      return new Response();
    },
  });

  const alive = new WebSocket(`ws://127.0.0.1:${listener.port}/alive`);
  await new Promise((resolve) => {
    alive.onopen = resolve;
  });
  let frames = 0;
  const raw = await Bun.connect({
    hostname: "127.0.0.1",
    port: listener.port,
    socket: {
      open(socket) {
        socket.write(
          `GET /dead HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${btoa("0123456789abcdef")}\r\n\r\n`,
        );
      },
      data(_socket, bytes) {
        // 0x89 is a ping; it is read and never answered.
        if (bytes[0] === 0x89) frames += 1;
      },
    },
  });
  await dead.promise;
  expect(frames).toBeGreaterThan(0);
  expect(closed).toEqual(["dead"]);
  expect(alive.readyState).toBe(WebSocket.OPEN);
  raw.end();
  alive.close();
  await listener.stop(true);
}, 300_000);
