// long, 30 s
// The first ping of a silent socket, by the default settings of the listener.

import { expect, test } from "bun:test";
import { connect } from "node:net";
import { realWorld } from "../../src/world.ts";

const ping_frame = 0x89;

test("the first ping comes within 25 s, so that proxies with a limit of 60 s keep a silent socket", async () => {
  const listener = realWorld().listen({
    hostname: "127.0.0.1",
    port: 0,
    max_body_bytes: 1024,
    answer(_request, connection) {
      connection.upgrade({ opened() {}, closed() {} });
      return new Response();
    },
  });
  const peer = connect(listener.port, "127.0.0.1");
  peer.write(
    `GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${btoa("0123456789abcdef")}\r\n\r\n`,
  );
  await new Promise((resolve) => peer.once("data", resolve));
  const began = performance.now();
  const [first] = await new Promise<Buffer>((resolve) => peer.once("data", resolve));
  expect(first).toBe(ping_frame);
  expect(performance.now() - began).toBeLessThan(25_000);
  peer.destroy();
  await listener.stop(true);
}, 300_000);
