// What every route has in common: unknown paths and methods, HEAD, headers, health, slow bodies, and faults that are
// ours.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { type Code, errorCodes, Fault } from "../../src/domain/errors.ts";
import { parseNetwork } from "../../src/domain/network.ts";
import { createHttp } from "../../src/http/server.ts";
import { createCheckout } from "../../src/services/checkout.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { type Connection, realWorld } from "../../src/world.ts";
import {
  type Answer,
  admin_secret,
  merchant_secret,
  payUrl,
  shop_origin,
  signature,
  start_ms,
  startTestServer,
  type TestServer,
  version,
} from "../support/server.ts";

const start_s = start_ms / 1000;
const unknown_id = "550e8400-e29b-41d4-a716-446655440000";
const health = `{"status":"ok","version":"${version}"}`;
const summary = ({ status, body }: Answer) => [status, body];

const routes: [path: string, allow: string][] = [
  ["/api/v1/service/orders", "POST"],
  ["/api/v1/service/orders/status", "POST"],
  ["/api/v1/service/orders/cancel", "POST"],
  ["/api/v1/service/orders/find", "POST"],
  ["/api/v1/service/events", "POST"],
  ["/api/v1/user/chains", "GET, HEAD, OPTIONS"],
  [`/api/v1/user/orders/${unknown_id}/payment`, "POST, OPTIONS"],
  [`/api/v1/user/orders/${unknown_id}/claim`, "POST, OPTIONS"],
  [`/api/v1/user/orders/${unknown_id}/cancel`, "POST, OPTIONS"],
  [`/api/v1/user/orders/${unknown_id}/status`, "GET, HEAD, OPTIONS"],
  [`/api/v1/user/orders/${unknown_id}/ws`, "GET, HEAD, OPTIONS"],
  ["/api/v1/admin/orders", "GET, HEAD"],
  ["/api/v1/admin/deposits", "GET, HEAD"],
  ["/api/v1/admin/wallets", "GET, HEAD"],
  ["/api/v1/admin/wallets/0x1/transfers", "GET, HEAD"],
  ["/api/v1/admin/coverage", "GET, HEAD"],
  ["/api/v1/admin/inbox", "GET, HEAD"],
  ["/api/v1/admin/opencharge/proofs", "GET, HEAD"],
  ["/api/v1/admin/transfers/1/assign", "POST"],
  ["/api/v1/admin/transfers/1/unassign", "POST"],
  ["/api/v1/admin/transfers/1/dismiss", "POST"],
  [`/api/v1/admin/orders/${unknown_id}/mark-paid`, "POST"],
  [`/api/v1/admin/orders/${unknown_id}/resend-webhook`, "POST"],
  ["/api/v1/admin/transfers/1/resend-webhook", "POST"],
  ["/health", "GET, HEAD"],
  ["/api/v1/admin/health", "GET, HEAD"],
  ["/openapi.json", "GET, HEAD"],
];
const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;
const evil_origin = "https://evil.example";

/** The headers every answer has, whatever else it says. */
function expectCommonHeaders({ headers }: Answer): void {
  expect(headers.get("x-content-type-options")).toBe("nosniff");
  expect(headers.get("referrer-policy")).toBe("no-referrer");
  expect(headers.get("cache-control")).toBe("no-store");
  expect(headers.get("x-request-id")).toMatch(/^[\da-f]{12}-[\da-z]+$/);
  for (const name of ["server", "x-powered-by", "set-cookie", "location", "access-control-allow-credentials"]) {
    expect([name, headers.get(name)]).toEqual([name, null]);
  }
}

describe("every route", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(() => server.stop());

  for (const [path, allow] of routes) {
    test(`${path} allows ${allow}, and says so before it asks who is there`, async () => {
      for (const method of methods) {
        const answer = await server.request(method, path);
        if (allow.split(", ").includes(method)) {
          expect([404, 405]).not.toContain(answer.status);
        } else {
          expect(summary(answer)).toEqual([405, method === "HEAD" ? "" : "method not allowed"]);
          expect(answer.headers.get("allow")).toBe(allow);
          expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
        }
        expectCommonHeaders(answer);
      }
    });

    test(`${path} lets browsers of the shop read its answers where it is for them, and others never`, async () => {
      const shared = path.startsWith("/api/v1/user/");
      for (const method of methods) {
        const preflight = method === "OPTIONS" && allow.includes("OPTIONS");
        for (const origin of [shop_origin, evil_origin, "null", undefined]) {
          const answer = await server.request(method, path, origin === undefined ? {} : { Origin: origin });
          const own = shared && origin === shop_origin;
          const read = (name: string) => answer.headers.get(`access-control-${name}`);
          expect(read("allow-origin")).toBe(own ? shop_origin : null);
          expect(read("expose-headers")).toBe(
            own && method !== "OPTIONS" ? "Preference-Applied, Retry-After, X-Request-Id" : null,
          );
          expect(read("allow-methods")).toBe(own && preflight ? allow : null);
          expect(read("allow-headers")).toBe(
            own && preflight
              ? "Content-Type, Ocrch-Signature, Ocrch-Signed-Url, Prefer, traceparent, tracestate, baggage, sentry-trace"
              : null,
          );
          expect(answer.headers.get("vary")).toBe(shared ? "Origin" : null);
          if (preflight) expect([answer.status, answer.body, answer.headers.get("allow")]).toEqual([204, "", allow]);
        }
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

  test("is in the tables above", async () => {
    const { body } = await server.request("GET", "/openapi.json");
    const described = Object.keys((JSON.parse(body) as { paths: object }).paths);
    const pattern = (path: string) =>
      path.replace(unknown_id, "{order_id}").replace("/0x1/", "/{address}/").replace("/1/", "/{transfer_id}/");
    expect(routes.map(([path]) => pattern(path)).sort()).toEqual(described.sort());
  });

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
    for (const method of methods) expectCommonHeaders(await server.request(method, "/nothing"));
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
  const connection: Connection = { address: "127.0.0.1", upgrade: () => false, disableIdleTimeout() {} };
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
      expect(id).toMatch(/^[\da-f]{12}-1$/);
      expect(log).toEqual([
        expect.stringContaining(` error request_failed request=${id} client=127.0.0.1 method=GET `),
      ]);
    });
  }

  test("is one line of the log, whatever is in its words", async () => {
    const { log } = await answerTo(new Error('a "b" \u001b[31m\u009b31m\u2028\u202etxt\u{e0041}\r = c'));
    expect(log).toEqual([
      expect.stringMatching(/ error="a \\"b\\" \\u001b\[31m\\u009b31m\\u2028\\u202etxt\\udb40\\udc41\\r = c"$/),
    ]);
  });

  test("and a client's are told apart by one table: every code has a status of the documented ones", async () => {
    const statuses = new Map<number, Code[]>();
    for (const code of Object.keys(errorCodes) as Code[]) {
      const { answer } = await answerTo(new Fault(code));
      statuses.set(answer.status, [...(statuses.get(answer.status) ?? []), code]);
      const text = answer.status === 503 ? "temporarily unavailable" : errorCodes[code].text;
      if (answer.status !== 500) expect(await answer.text()).toBe(text);
      if (answer.status === 503) expect(answer.headers.get("retry-after")).toBe("5");
    }
    expect([...statuses.keys()].sort()).toEqual([400, 401, 403, 404, 405, 409, 415, 426, 429, 500, 503]);
    expect(statuses.get(500)).not.toContain("order_not_found");
  });

  test("says when to come back where that is known", async () => {
    const { answer } = await answerTo(new Fault("no_free_amount", undefined, 60));
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([409, "60"]);
  });
});

/** Settings that trust the test's own address and two networks of inner proxies. */
const behindProxies = (proxies = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"]) => ({
  server: { trusted_proxies: proxies.flatMap((text) => parseNetwork(text) ?? []) },
});

describe("the name of a request", () => {
  test("is another one for every answer, also over a socket's upgrade", async () => {
    const server = await startTestServer();
    const ids = await Promise.all(
      Array.from({ length: 50 }, async () => (await server.request("GET", "/health")).headers.get("x-request-id")),
    );
    expect(new Set(ids).size).toBe(50);
    const order_id = await server.createOrder();
    const headers = Object.entries(server.userHeaders(payUrl(order_id))).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    );
    const upgrade = await server.raw(
      `GET /api/v1/user/orders/${order_id}/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${headers.join("")}\r\n`,
    );
    expect(upgrade).toStartWith("HTTP/1.1 101 ");
    expect(upgrade.toLowerCase()).toMatch(/\r\nx-request-id: [\da-f]{12}-[\da-z]+\r\n/);
    await server.stop();
  });

  const given: [name: string, kept: boolean, text: string][] = [
    ["of letters, digits, dots, dashes and underscores", true, "Ab9._-"],
    ["of 64 characters", true, "a".repeat(64)],
    ["of 65 characters", false, "a".repeat(65)],
    ["that is empty", false, ""],
    ["with a space", false, "a b"],
    ["with a line's end in disguise", false, "a%0d%0ab"],
    ["with other letters", false, "\u00fc"],
    ["given twice", false, "a, b"],
  ];
  for (const [name, kept, text] of given) {
    test(`${name} is ${kept ? "taken" : "not taken"} from a trusted proxy, and never from anybody else`, async () => {
      for (const trusted of [true, false]) {
        const server = await startTestServer(trusted ? { settings: behindProxies() } : {});
        const { headers } = await server.request("GET", "/nothing", { "X-Request-Id": text });
        const id = headers.get("x-request-id") ?? "";
        if (kept && trusted) expect(id).toBe(text);
        else expect(id).toMatch(/^[\da-f]{12}-1$/);
        await server.stop();
      }
    });
  }
});

describe("a client behind proxies", () => {
  const lists: [name: string, forwarded: string | undefined, client: string][] = [
    ["one address", "198.51.100.7", "198.51.100.7"],
    ["what the client claimed, then its address", "1.2.3.4, 198.51.100.7", "198.51.100.7"],
    ["the client and two inner proxies", "198.51.100.7, 10.1.2.3, fd00::5", "198.51.100.7"],
    ["an inner proxy in IPv6 clothing", "198.51.100.7, ::ffff:10.1.2.3", "198.51.100.7"],
    ["inner proxies alone", "10.9.9.9, 10.1.2.3", "10.9.9.9"],
    ["IPv6", "2001:db8::7", "2001:db8::7"],
    ["ports", "198.51.100.7:4711, [fd00::5]:80", "198.51.100.7"],
    ["no spaces, and too many", "1.2.3.4,198.51.100.7,   10.1.2.3 ", "198.51.100.7"],
    ["nothing", undefined, "127.0.0.1"],
    ["an empty text", "", "127.0.0.1"],
    ["words", "unknown", "127.0.0.1"],
    ["words behind an inner proxy", "198.51.100.7, _hidden, 10.1.2.3", "10.1.2.3"],
    ["a hole", "198.51.100.7, , 10.1.2.3", "10.1.2.3"],
    [
      "a hundred inner proxies",
      ["198.51.100.7", ...Array.from({ length: 100 }, () => "10.1.2.3")].join(","),
      "10.1.2.3",
    ],
  ];
  for (const [name, forwarded, client] of lists) {
    test(`is the right-most stranger of X-Forwarded-For: ${name}`, async () => {
      const server = await startTestServer({ settings: behindProxies() });
      expect(await clientOf(server, forwarded)).toBe(client);
      await server.stop();
    });
  }

  test("is the peer itself where the peer is not trusted, whatever it claims", async () => {
    for (const settings of [behindProxies([]), behindProxies(["10.0.0.0/8"])]) {
      const server = await startTestServer({ settings });
      expect(await clientOf(server, "198.51.100.7")).toBe("127.0.0.1");
      await server.stop();
    }
  });

  test("is believed in no other header", async () => {
    const server = await startTestServer({ settings: behindProxies() });
    const claims = { Forwarded: "for=198.51.100.7", "X-Real-IP": "198.51.100.7", "CF-Connecting-IP": "198.51.100.7" };
    expect(await clientOf(server, undefined, claims)).toBe("127.0.0.1");
    await server.stop();
  });

  /** Guesses the admin secret until the guesser is stopped, and reads in the log who it was. */
  async function clientOf(server: TestServer, forwarded?: string, more: Record<string, string> = {}): Promise<string> {
    const headers = { ...(forwarded === undefined ? {} : { "X-Forwarded-For": forwarded }), ...more };
    const guess = (word: string) => server.admin("GET", "orders", { ...headers, "Ocrch-Admin-Authorization": word });
    for (let count = 0; count < 10; count++) expect((await guess(`guess ${count}`)).status).toBe(401);
    const last = await guess("one more");
    expect(summary(last)).toEqual([429, "too many failed attempts"]);
    const lines = server.log.filter((line) => line.includes("admin_guesses_stopped"));
    expect(lines).toHaveLength(1);
    return /client=(\S+)/.exec(lines[0] ?? "")?.[1] ?? "";
  }

  test("is throttled with its whole IPv6 /64 network, which one customer of a provider has", async () => {
    const server = await startTestServer({ settings: behindProxies() });
    const guess = (client: string, n: number) =>
      server.admin("GET", "orders", { "X-Forwarded-For": client, "Ocrch-Admin-Authorization": `guess ${n}` });
    for (let n = 0; n < 10; n++) expect((await guess(`2001:db8:1:2::${n + 1}`, n)).status).toBe(401);
    expect((await guess("2001:db8:1:2:ffff::1", 10)).status).toBe(429);
    expect((await guess("2001:db8:1:3::1", 11)).status).toBe(401);
    await server.stop();
  });

  test("that has guessed nothing wrong finds room for the right secret while others guess at once", async () => {
    const gate = Promise.withResolvers<void>();
    const real = realWorld().passwords;
    const passwords = {
      ...real,
      async verify(secret: string, hash: string) {
        await gate.promise;
        return real.verify(secret, hash);
      },
    };
    const server = await startTestServer({ settings: behindProxies(), world: { passwords } });
    const as = (client: string, secret: string) =>
      server.admin("GET", "orders", { "X-Forwarded-For": client, "Ocrch-Admin-Authorization": secret });
    let refused = 0;
    const guesses = Array.from({ length: 60 }, async (_, n) => {
      const answer = await as(`198.51.100.${n % 6}`, `guess ${n}`);
      refused += answer.status === 429 ? 1 : 0;
      return answer;
    });
    while (refused < 28) await Bun.sleep(5);
    const right = as("203.0.113.9", admin_secret);
    gate.resolve();
    expect((await right).status).toBe(200);
    const statuses = (await Promise.all(guesses)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 401)).toHaveLength(32);
    expect(statuses.filter((status) => status === 429)).toHaveLength(28);
    await server.stop();
  });

  test("is throttled for itself alone: a neighbour behind the same proxy is not", async () => {
    const server = await startTestServer({ settings: behindProxies() });
    expect(await clientOf(server, "198.51.100.7")).toBe("198.51.100.7");
    const neighbour = { "X-Forwarded-For": "198.51.100.8" };
    const wrong = { ...neighbour, "Ocrch-Admin-Authorization": "wrong" };
    expect((await server.admin("GET", "orders", wrong)).status).toBe(401);
    expect((await server.admin("GET", "orders", { "X-Forwarded-For": "198.51.100.7" })).status).toBe(429);
    expect((await server.admin("GET", "orders", neighbour)).status).toBe(200);
    // Once the right secret is known it is never throttled.
    expect((await server.admin("GET", "orders", { "X-Forwarded-For": "198.51.100.7" })).status).toBe(200);
    const line = server.log.find((line) => line.includes("admin_guesses_stopped")) ?? "";
    expect(line).toMatch(
      / warn admin_guesses_stopped request=[\da-f]{12}-[\da-z]+ client=198\.51\.100\.7 failures=10$/,
    );
    expect(server.log.join("\n")).not.toContain("guess 9");
    await server.stop();
  });
});

describe("a merchant who changes the secret", () => {
  const previous = "the-secret-before";
  const mac = (secret: string, text: string) => createHmac("sha256", secret).update(text).digest("base64");
  const body = JSON.stringify({ order_id: "o", amount: "19.99", webhook_url: "https://shop.example.com/hook" });

  async function outcomes(previous_secret: string | null): Promise<Record<string, unknown[]>> {
    const server = await startTestServer({ settings: { merchant: { previous_secret } } });
    const create = (secret: string, at: number) =>
      server.request(
        "POST",
        "/api/v1/service/orders",
        { "Ocrch-Signature": `${at}.${mac(secret, `${at}.${body}`)}` },
        body,
      );
    const id = await server.createOrder();
    const user = (secret: string, origin: string, at: number) =>
      server.request("GET", `/api/v1/user/orders/${id}/status`, {
        "Ocrch-Signed-Url": `${origin}/pay?order_id=${id}`,
        "Ocrch-Signature": `${at}.${mac(secret, `${origin}/pay?order_id=${id}.${at}`)}`,
      });
    const old = await create(previous, start_s);
    const current = await create(merchant_secret, start_s);
    const told = {
      service: summary(old).slice(0, old.status === 201 ? 1 : 2),
      stale: summary(await create(previous, start_s - 301)),
      user: [(await user(previous, shop_origin, start_s)).status],
      expired: summary(await user(previous, shop_origin, start_s - 301)),
      foreign: summary(await user(previous, evil_origin, start_s)),
      stranger: summary(await create("some-other-secret", start_s)),
      current: [current.status, (await user(merchant_secret, shop_origin, start_s)).status],
      same_order: [old.body === current.body],
      orders: [server.events().filter((event) => event.type === "order_created").length],
    };
    await server.stop();
    return told;
  }

  const mismatch = [401, "signature verification failed"];
  test("is understood with the secret before as with the current one; the same request is the same order", async () => {
    expect(await outcomes(previous)).toEqual({
      service: [201],
      stale: mismatch,
      user: [200],
      expired: [401, "signature expired"],
      foreign: [403, "origin not allowed"],
      stranger: mismatch,
      current: [201, 200],
      same_order: [true],
      orders: [2],
    });
  });

  test("is not understood with it once it is taken out", async () => {
    expect(await outcomes(null)).toMatchObject({
      service: mismatch,
      user: [401],
      expired: mismatch,
      foreign: mismatch,
      current: [201, 200],
      orders: [2],
    });
  });
});
