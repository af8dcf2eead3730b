// What every route has in common: unknown paths and methods, HEAD, headers, health, slow bodies, and faults that are
// ours.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { type Code, Fault, texts } from "../src/domain/errors.ts";
import { createHttp } from "../src/http/server.ts";
import { createCheckout } from "../src/services/checkout.ts";
import { createTelemetry } from "../src/telemetry.ts";
import { type Connection, realWorld } from "../src/world.ts";
import {
  type Answer,
  payUrl,
  signature,
  start_ms,
  startTestServer,
  type TestServer,
  version,
} from "./support/server.ts";

const start_s = start_ms / 1000;
const unknown_id = "550e8400-e29b-41d4-a716-446655440000";
const health = `{"status":"ok","version":"${version}"}`;
const summary = ({ status, body }: Answer) => [status, body];

const routes: [path: string, allow: string][] = [
  ["/api/v1/service/orders", "POST"],
  ["/api/v1/service/orders/status", "POST"],
  ["/api/v1/user/chains", "GET, HEAD, OPTIONS"],
  [`/api/v1/user/orders/${unknown_id}/payment`, "POST, OPTIONS"],
  [`/api/v1/user/orders/${unknown_id}/cancel`, "POST, OPTIONS"],
  [`/api/v1/user/orders/${unknown_id}/status`, "GET, HEAD, OPTIONS"],
  [`/api/v1/user/orders/${unknown_id}/ws`, "GET, HEAD, OPTIONS"],
  ["/api/v1/admin/orders", "GET, HEAD"],
  ["/api/v1/admin/deposits", "GET, HEAD"],
  ["/api/v1/admin/wallets", "GET, HEAD"],
  ["/api/v1/admin/wallets/0x1/transfers", "GET, HEAD"],
  [`/api/v1/admin/orders/${unknown_id}/mark-paid`, "POST"],
  [`/api/v1/admin/orders/${unknown_id}/resend-webhook`, "POST"],
  ["/api/v1/admin/transfers/1/resend-webhook", "POST"],
  ["/health", "GET, HEAD"],
  ["/api/v1/admin/health", "GET, HEAD"],
];

describe("every route", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(() => server.stop());

  for (const [path, allow] of routes) {
    test(`${path} allows ${allow}, and says so before it asks who is there`, async () => {
      for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
        const answer = await server.request(method, path);
        if (allow.split(", ").includes(method)) {
          expect([404, 405]).not.toContain(answer.status);
        } else {
          expect(summary(answer)).toEqual([405, method === "HEAD" ? "" : "method not allowed"]);
          expect(answer.headers.get("allow")).toBe(allow);
          expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
        }
        expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
        expect(answer.headers.get("referrer-policy")).toBe("no-referrer");
        expect(answer.headers.get("cache-control")).toBe("no-store");
      }
    });

    test(`${path} is another path with a slash behind it or a letter missing`, async () => {
      for (const other of [`${path}/`, path.slice(0, -1), path.toUpperCase(), `${path}%20`]) {
        // A parameter may hold almost anything.
        if (/\/wallets\/|\/transfers\/|\/user\/orders\//.test(path) && !other.endsWith("/")) continue;
        for (const method of ["GET", "POST", "OPTIONS"]) {
          expect(summary(await server.request(method, other))).toEqual([404, "not found"]);
        }
      }
    });
  }

  test("that is none answers 404, also for paths that are no good", async () => {
    const paths = [
      "/",
      "/api",
      "/api/v1",
      "/api/v1/user/orders//status",
      "/api/v1/user/orders/a/b/status",
      "/%",
      "/api/v1/../health",
    ];
    for (const path of paths) expect(summary(await server.request("GET", path))).toEqual([404, "not found"]);
    expect((await server.request("HEAD", "/nothing")).status).toBe(404);
    expect(await server.raw("GET //health HTTP/1.1\r\nHost: a\r\n\r\n")).toEndWith("\r\n\r\nnot found");
  });

  test("answers HEAD like GET, without the body but with its length", async () => {
    const order_id = await server.createOrder();
    const reads: [path: string, headers: Record<string, string>][] = [
      ["/health", {}],
      ["/api/v1/user/chains", server.userHeaders(payUrl(order_id))],
      [`/api/v1/user/orders/${order_id}/status`, server.userHeaders(payUrl(order_id))],
      ["/api/v1/admin/orders", { "Ocrch-Admin-Authorization": "test-admin-secret" }],
      ["/api/v1/admin/orders", {}],
      [`/api/v1/user/orders/${order_id}/ws`, server.userHeaders(payUrl(order_id))],
    ];
    for (const [path, headers] of reads) {
      const [get, head] = [await server.request("GET", path, headers), await server.request("HEAD", path, headers)];
      expect([head.status, head.body]).toEqual([get.status, ""]);
      for (const name of ["content-type", "content-length", "cache-control"]) {
        expect([name, head.headers.get(name)]).toEqual([name, get.headers.get(name)]);
      }
      expect(Number(head.headers.get("content-length"))).toBe(Buffer.byteLength(get.body));
    }
  });

  test("answers although the client names no host, or a strange one", async () => {
    for (const head of ["GET /health HTTP/1.0\r\n", "GET /health?a=b%zz HTTP/1.1\r\nHost: a b\r\n"]) {
      const answer = await server.raw(`${head}\r\n`);
      expect(answer).toStartWith("HTTP/1.1 200 ");
      expect(answer).toEndWith(`\r\n\r\n${health}`);
    }
    expect(await server.raw("GET /nothing HTTP/1.0\r\n\r\n")).toEndWith("\r\n\r\nnot found");
    const query = `signature=${encodeURIComponent(signature("url", payUrl(unknown_id), start_s))}`;
    const socket = `GET /api/v1/user/orders/${unknown_id}/ws?${query}&signed_url=${encodeURIComponent(payUrl(unknown_id))}`;
    expect(await server.raw(`${socket} HTTP/1.0\r\n\r\n`)).toStartWith("HTTP/1.1 426 ");
  });

  test("is counted by its pattern and status, never by what clients put in it", async () => {
    await server.request("GET", "/api/v1/user/orders/secret-part/status?signature=secret-part");
    const counted = [...server.telemetry.counters().keys()];
    expect(counted).toContain('http_requests{route="/api/v1/user/orders/:order_id/status",status="401"}');
    expect(counted).toContain('http_requests{route="unmatched",status="404"}');
    expect(counted.join("\n")).not.toContain("secret-part");
  });

  test("is open for health without a secret", async () => {
    for (const path of ["/health", "/api/v1/admin/health"]) {
      const answer = await server.request("GET", path);
      expect(summary(answer)).toEqual([200, health]);
      expect(answer.headers.get("content-type")).toBe("application/json");
    }
  });
});

describe("a body", () => {
  let timers: (() => void)[] = [];
  let server: TestServer;
  beforeEach(async () => {
    timers = [];
    const real = realWorld();
    const timer = (ms: number, act: () => void) => {
      if (ms < 1000) return real.timer(ms, act);
      timers.push(act);
      return () => {
        timers = timers.filter((other) => other !== act);
      };
    };
    server = await startTestServer({ world: { timer } });
  });
  afterEach(() => server.stop());

  const signed = `Ocrch-Signature: ${start_s}.AAAA\r\n`;
  const slow: [name: string, head: string][] = [
    ["of a stated length", "Content-Length: 100\r\n\r\n{"],
    ["in chunks", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"],
  ];
  for (const [name, rest] of slow) {
    test(`${name} that never ends is given up after a while`, async () => {
      const answer = server.raw(`POST /api/v1/service/orders HTTP/1.1\r\nHost: a\r\n${signed}${rest}`);
      while (timers.length === 0) await Bun.sleep(1);
      for (const act of timers) act();
      expect(await answer).toStartWith("HTTP/1.1 400 ");
      expect(await answer).toEndWith("\r\n\r\nfailed to read request body");
    });
  }

  test("that was read leaves no timer behind", async () => {
    await server.createOrder();
    expect(timers).toEqual([]);
  });
});

describe("a fault of ours", () => {
  const connection: Connection = { address: "127.0.0.1", upgrade: () => false, unhurried() {} };
  const secret = "https://node.example/?key=secret at /src/file.ts:1";

  /** The door with one service verb that fails. */
  async function answerTo(error: unknown): Promise<{ answer: Response; log: string[] }> {
    const server = await startTestServer();
    const log: string[] = [];
    const world = { ...server.world, warn: (line: string) => void log.push(line) };
    const options = () => {
      throw error;
    };
    const checkout = { ...createCheckout(server), options };
    const http = createHttp({ ...server, world, telemetry: createTelemetry(world), checkout, version });
    const request = new Request("http://a/api/v1/user/chains", { headers: server.userHeaders(payUrl(unknown_id)) });
    const answer = await http.answer(request, connection);
    await server.stop();
    return { answer, log };
  }

  const internal: [name: string, error: unknown][] = [
    ["an error", new Error(secret)],
    ["a text that was thrown", secret],
    ["nothing that was thrown", undefined],
    ["a database that stayed locked", new Fault("database_busy")],
    ["a provider's words", new Fault("provider_malformed", secret)],
  ];
  for (const [name, error] of internal) {
    test(`${name} is 500 and not a word more; the log has it under the id of the answer`, async () => {
      const { answer, log } = await answerTo(error);
      expect([answer.status, await answer.text()]).toEqual([500, "internal server error"]);
      expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
      expect(JSON.stringify([...answer.headers])).not.toContain("secret");
      const id = answer.headers.get("x-request-id") ?? "missing";
      expect(id).toMatch(/^[\da-f]{16}$/);
      expect(log.filter((line) => line.includes(` error request_failed request=${id} `))).toHaveLength(1);
    });
  }

  test("and a client's are told apart by one table: every code has a status of the documented ones", async () => {
    const statuses = new Map<number, Code[]>();
    for (const code of Object.keys(texts) as Code[]) {
      const { answer } = await answerTo(new Fault(code));
      statuses.set(answer.status, [...(statuses.get(answer.status) ?? []), code]);
      if (answer.status !== 500) expect(await answer.text()).toBe(texts[code]);
    }
    expect([...statuses.keys()].sort()).toEqual([400, 401, 403, 404, 405, 409, 415, 426, 429, 500]);
    expect(statuses.get(500)).not.toContain("order_not_found");
  });

  test("says when to come back where that is known", async () => {
    const { answer } = await answerTo(new Fault("no_free_amount", undefined, 60));
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([409, "60"]);
  });
});
