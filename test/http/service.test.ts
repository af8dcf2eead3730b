// The Service API over real HTTP: every refusal in its order, creation, replay and idempotency.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import {
  type Headings,
  merchant_secret,
  signature,
  start_ms,
  startTestServer,
  type TestServer,
  webhook_url,
} from "../support/server.ts";

const start_s = start_ms / 1000;
const order = { order_id: "your-order-reference-123", amount: "19.99", webhook_url };
const order_text = JSON.stringify(order);
const uuid7_pattern = /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;
const unknown_id = "550e8400-e29b-41d4-a716-446655440000";
const mac = (message: string) => createHmac("sha256", merchant_secret).update(message).digest("base64");

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

/** Every refusal: its status, its exact words as plain text, and nothing else happened. */
async function expectRefusal(
  status: number,
  text: string,
  act: () => Promise<{ status: number; body: string; headers: Headers }>,
) {
  const before = server.events().length;
  const answer = await act();
  expect([answer.status, answer.body]).toEqual([status, text]);
  expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  expect(server.events().length).toBe(before);
}

describe("a Service request is refused", () => {
  const rows: [name: string, status: number, text: string, headers: Headings | null, body: string | Uint8Array][] = [
    ["without a signature", 401, "missing Ocrch-Signature header", {}, order_text],
    ["without a signature, before its body is looked at", 401, "missing Ocrch-Signature header", {}, "{"],
    ["with an empty signature", 400, "invalid Ocrch-Signature header format", { "Ocrch-Signature": "" }, order_text],
    ["without a dot", 400, "invalid Ocrch-Signature header format", { "Ocrch-Signature": "abc" }, order_text],
    ["with a timestamp in words", 400, "invalid Ocrch-Signature header format", { "Ocrch-Signature": "now.abcd" }, ""],
    ["with a negative timestamp", 400, "invalid Ocrch-Signature header format", { "Ocrch-Signature": "-1.abcd" }, ""],
    [
      "with a timestamp of 13 digits",
      400,
      "invalid Ocrch-Signature header format",
      { "Ocrch-Signature": "1711900800000.abcd" },
      order_text,
    ],
    ["with a body over 1 MiB", 400, "failed to read request body", null, `"${"a".repeat(1_048_575)}"`],
    ["with a body of 5 MiB", 400, "failed to read request body", null, `"${"a".repeat(5_242_880)}"`],
    ["with a body that is not UTF-8", 400, "failed to read request body", null, Uint8Array.from([0x22, 0xff, 0x22])],
    [
      "with a body that is not UTF-8 and a bad encoding: the body is named",
      400,
      "failed to read request body",
      { "Ocrch-Signature": `${start_s}.!!!` },
      Uint8Array.from([0xff]),
    ],
    ["with bad base64", 400, "invalid signature encoding", { "Ocrch-Signature": `${start_s}.!!!` }, order_text],
    ["with URL-safe base64", 400, "invalid signature encoding", { "Ocrch-Signature": `${start_s}.-_-_` }, order_text],
    [
      "with a signature of another body",
      401,
      "signature verification failed",
      { "Ocrch-Signature": signature("body", "{}", start_s) },
      order_text,
    ],
    [
      "with a short signature",
      401,
      "signature verification failed",
      { "Ocrch-Signature": `${start_s}.AAAA` },
      order_text,
    ],
    [
      "with no signature behind the dot",
      401,
      "signature verification failed",
      { "Ocrch-Signature": `${start_s}.` },
      "",
    ],
    [
      "when stale",
      401,
      "signature verification failed",
      { "Ocrch-Signature": signature("body", order_text, start_s - 301) },
      order_text,
    ],
    [
      "when from the future",
      401,
      "signature verification failed",
      { "Ocrch-Signature": signature("body", order_text, start_s + 301) },
      order_text,
    ],
    [
      "when it is a webhook that was sent back",
      401,
      "signature verification failed",
      null,
      `{"event_type":"order_status_changed","order_id":"a","amount":"1","webhook_url":"${webhook_url}"}`,
    ],
    ["with a byte-order mark", 400, "invalid JSON body", null, `\uFEFF${order_text}`],
    ["with an empty body", 400, "invalid JSON body", null, ""],
    ["with broken JSON", 400, "invalid JSON body", null, '{"order_id":'],
    ["with an array", 400, "invalid JSON body", null, "[]"],
    ["with JSON nested beyond reason", 400, "invalid JSON body", null, "[".repeat(100_000)],
    ["without an order id", 400, "invalid JSON body", null, JSON.stringify({ ...order, order_id: undefined })],
    ["with an order id that is a number", 400, "invalid JSON body", null, JSON.stringify({ ...order, order_id: 7 })],
    [
      "with an order id over 1 KiB",
      400,
      "invalid JSON body",
      null,
      JSON.stringify({ ...order, order_id: "é".repeat(513) }),
    ],
    ["with half a surrogate pair", 400, "invalid JSON body", null, order_text.replace("your", "\\ud800")],
    ["without an amount", 400, "invalid JSON body", null, JSON.stringify({ ...order, amount: undefined })],
    ["with an amount that is true", 400, "invalid JSON body", null, JSON.stringify({ ...order, amount: true })],
    ["with an unknown blockchain", 400, "invalid JSON body", null, JSON.stringify({ ...order, blockchain: "ETH" })],
    ["with an unknown stablecoin", 400, "invalid JSON body", null, JSON.stringify({ ...order, stablecoin: "usdt" })],
    ["with an amount of zero", 400, "invalid amount", null, JSON.stringify({ ...order, amount: "0.00" })],
    ["with a signed amount", 400, "invalid amount", null, JSON.stringify({ ...order, amount: "+1" })],
    ["with an exponent", 400, "invalid amount", null, order_text.replace('"19.99"', "1e3")],
    ["with 19 decimals", 400, "invalid amount", null, JSON.stringify({ ...order, amount: "1.0000000000000000001" })],
    [
      "with a webhook to loopback",
      400,
      "invalid webhook_url: private, loopback and link-local targets are refused",
      null,
      JSON.stringify({ ...order, webhook_url: "http://127.1/x" }),
    ],
    [
      "with a coin no wallet takes on that chain",
      400,
      "no wallet available for the selected chain and coin",
      null,
      JSON.stringify({ ...order, blockchain: "eth", stablecoin: "DAI" }),
    ],
    [
      "with a chain that has no wallet",
      400,
      "no wallet available for the selected chain and coin",
      null,
      JSON.stringify({ ...order, blockchain: "arb" }),
    ],
    [
      "with a sender whose checksum is wrong",
      400,
      "invalid expecting_wallet_address: it fails its checksum",
      null,
      JSON.stringify({ ...order, expecting_wallet_address: "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed" }),
    ],
  ];
  for (const [name, status, text, headers, body] of rows) {
    test(`${name}: ${status} ${text}`, async () => {
      const own: Headings = headers ?? { "Ocrch-Signature": signature("body", body, start_s) };
      await expectRefusal(status, text, () => server.request("POST", "/api/v1/service/orders", own, body));
    });
  }

  const key_rows: [name: string, key: string][] = [
    ["empty", ""],
    ["of 256 characters", "k".repeat(256)],
    ["with a space", "a b"],
    ["with a letter outside ASCII", "\u00e9"],
  ];
  for (const [name, key] of key_rows) {
    test(`with an idempotency key ${name}: 400`, () =>
      expectRefusal(400, "invalid Idempotency-Key header", () =>
        server.service("orders", order, { "Idempotency-Key": key }),
      ));
  }

  const status_rows: [name: string, status: number, text: string, body: unknown][] = [
    ["about an unknown order", 404, "order not found", { order_id: unknown_id }],
    ["about something that is no UUID", 400, "invalid JSON body", { order_id: "your-order-reference-123" }],
    ["about a UUID without hyphens", 400, "invalid JSON body", { order_id: unknown_id.replaceAll("-", "") }],
    ["about nothing", 400, "invalid JSON body", {}],
    ["with event_type", 401, "signature verification failed", { event_type: "x", order_id: unknown_id }],
  ];
  for (const [name, status, text, body] of status_rows) {
    test(`a status request ${name}: ${status} ${text}`, () =>
      expectRefusal(status, text, () => server.service("orders/status", body)));
  }
});

describe("an order", () => {
  test("is created with exactly the documented fields, and one event", async () => {
    const before = server.events().length;
    const answer = await server.service("orders", {
      ...order,
      order_id: "Bestellung № 1 \u0000",
      amount: "19.90",
      expecting_wallet_address: null,
      blockchain: null,
      stablecoin: null,
      unknown_field: [1],
    });
    expect(answer.status).toBe(201);
    expect(answer.headers.get("content-type")).toBe("application/json");
    const { order_id } = JSON.parse(answer.body) as { order_id: string };
    expect(order_id).toMatch(uuid7_pattern);
    expect(answer.body).toBe(
      `{"order_id":"${order_id}","merchant_order_id":"Bestellung № 1 \\u0000","amount":"19.90","status":"pending","created_at":${start_s}}`,
    );
    const added = server.events().slice(before);
    expect(added.map(({ type, order_id }) => [type, order_id])).toEqual([["order_created", order_id]]);
  });

  test("keeps an amount given as a number to the last digit", async () => {
    const answer = await server.service("orders", order_text.replace('"19.99"', "19.90"));
    expect(answer.body).toContain('"amount":"19.90"');
  });

  test("may have an empty id, a body of exactly 1 MiB and an unpadded signature", async () => {
    const text = JSON.stringify({ ...order, order_id: "", padding: "" });
    const body = text.replace('"padding":""', `"padding":"${"x".repeat(1_048_576 - text.length)}"`);
    const unpadded = signature("body", body, start_s).replace(/=+$/, "");
    const answer = await server.service("orders", body, { "Ocrch-Signature": unpadded });
    expect([answer.status, answer.body]).toEqual([201, expect.stringContaining('"merchant_order_id":""')]);
  });

  test("may be chunked, but not without end", async () => {
    const chunked = (text: string, stream: ReadableStream<Uint8Array>) =>
      fetch(`${server.url}/api/v1/service/orders`, {
        method: "POST",
        headers: { "Ocrch-Signature": signature("body", text, start_s) },
        body: stream,
      });
    const small = await chunked(order_text, new Blob([order_text]).stream());
    expect(small.status).toBe(201);
    const big = "a".repeat(2_000_000);
    const refused = await chunked(big, new Blob([big]).stream());
    expect([refused.status, await refused.text()]).toEqual([400, "failed to read request body"]);
  });

  test("is accepted at both ends of the window", async () => {
    for (const at of [start_s - 300, start_s + 300]) {
      const headers = { "Ocrch-Signature": signature("body", order_text, at) };
      expect((await server.service("orders", order_text, headers)).status).toBe(201);
    }
  });

  test("is found by its id in any case", async () => {
    const order_id = await server.createOrder({ order_id: "found" });
    const answer = await server.service("orders/status", { order_id: order_id.toUpperCase() });
    expect([answer.status, answer.body]).toEqual([
      200,
      `{"order_id":"${order_id}","merchant_order_id":"found","amount":"19.99","status":"pending","created_at":${start_s}}`,
    ]);
  });

  test("with a pre-selected chain, coin and sender is accepted", async () => {
    const answer = await server.service("orders", {
      ...order,
      expecting_wallet_address: "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
      blockchain: "polygon",
      stablecoin: "DAI",
    });
    expect(answer.status).toBe(201);
  });
});

describe("the signature vectors", () => {
  test("body of a status request", async () => {
    const body = `{"order_id":"${unknown_id}"}`;
    const headers = { "Ocrch-Signature": "1711900800.Se1P9SVbXX75weHKEUe4xoIW0zn/AVflgIQN9kZto8I=" };
    const answer = await server.request("POST", "/api/v1/service/orders/status", headers, body);
    expect([answer.status, answer.body]).toEqual([404, "order not found"]);
  });

  test("body of a creation", async () => {
    const body = JSON.stringify({ ...order, expecting_wallet_address: null, blockchain: null, stablecoin: null });
    const headers = { "Ocrch-Signature": "1711900800.1U9c/kOlG2a2TyrZEqGIAaxXdNPrzF3YuW0WxWg9Xo4=" };
    expect((await server.request("POST", "/api/v1/service/orders", headers, body)).status).toBe(201);
  });

  test("a webhook's body is signed like a request, and refused as one", async () => {
    const body = `{"event_type":"order_status_changed","order_id":"${unknown_id}","merchant_order_id":"your-order-123","status":"paid","amount":"19.99","timestamp":1711900800}`;
    const headers = { "Ocrch-Signature": "1711900800.pYHqt5eNatFhyRE7+1CSH0SPlGvb2NJ1Z6PCBAXra3o=" };
    expect(headers["Ocrch-Signature"]).toBe(signature("body", body, start_s));
    for (const path of ["orders", "orders/status"]) {
      const answer = await server.request("POST", `/api/v1/service/${path}`, headers, body);
      expect([answer.status, answer.body]).toEqual([401, "signature verification failed"]);
    }
  });
});

describe("a creation that is sent again", () => {
  let server: TestServer;
  beforeEach(async () => {
    server = await startTestServer();
  });
  afterEach(() => server.stop());

  const send = (at: number, text = order_text, headers: Headings = {}) =>
    server.service("orders", text, { "Ocrch-Signature": signature("body", text, at), ...headers });
  const created = () => server.events().filter(({ type }) => type === "order_created").length;

  test("gets the first answer, whatever became of the order, and makes no second one", async () => {
    const first = await send(start_s);
    const { order_id } = JSON.parse(first.body) as { order_id: string };
    await server.admin("POST", `orders/${order_id}/mark-paid`);
    server.advance(299_000);
    const again = await send(start_s);
    expect([again.status, again.body]).toEqual([201, first.body]);
    expect(created()).toBe(1);
  });

  test("is the same request with and without padding, and at once", async () => {
    const padded = signature("body", order_text, start_s);
    const spellings = [padded, padded.replace(/=+$/, "")];
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        server.service("orders", order_text, { "Ocrch-Signature": spellings[i % 2] ?? "" }),
      ),
    );
    expect(new Set(answers.map(({ status, body }) => `${status} ${body}`)).size).toBe(1);
    expect(created()).toBe(1);
  });

  test("is another order when signed at another second, and when the same digits are padded with zeros", async () => {
    await send(start_s);
    await send(start_s + 1);
    await server.service("orders", order_text, { "Ocrch-Signature": signature("body", order_text, `0${start_s}`) });
    expect(created()).toBe(3);
  });

  test("is known until its signature is stale, to the millisecond", async () => {
    const first = await send(start_s);
    server.advance(300_000);
    expect((await send(start_s)).body).toBe(first.body);
    server.advance(1);
    expect((await send(start_s)).status).toBe(401);
    expect(created()).toBe(1);
  });

  test("with an idempotency key gets the first answer for 24 hours, however it is signed", async () => {
    const key = { "Idempotency-Key": "k".repeat(255) };
    const first = await send(start_s, order_text, key);
    server.advance(86_399_000);
    const later = await send(start_s + 86_399, order_text, key);
    expect([later.status, later.body]).toEqual([201, first.body]);
    server.advance(1000);
    const forgotten = await send(start_s + 86_400, order_text, key);
    expect(forgotten.status).toBe(201);
    expect(forgotten.body).not.toBe(first.body);
    expect(created()).toBe(2);
  });

  test("as a retry that somebody captured, without its key, gets the first answer too", async () => {
    const first = await send(start_s, order_text, { "Idempotency-Key": "mine" });
    server.advance(3_600_000);
    expect((await send(start_s + 3600, order_text, { "Idempotency-Key": "mine" })).body).toBe(first.body);
    for (const headers of [{}, { "Idempotency-Key": "theirs" }]) {
      const captured = await send(start_s + 3600, order_text, headers);
      expect([captured.status, captured.body]).toEqual([201, first.body]);
    }
    // Nor can a captured request take a key that the merchant may use next.
    const next = order_text.replace("19.99", "20.00");
    expect((await send(start_s + 3600, next, { "Idempotency-Key": "theirs" })).status).toBe(201);
    expect(created()).toBe(2);
  });

  test("with its key and another body is refused", async () => {
    const key = { "Idempotency-Key": "!~" };
    await send(start_s, order_text, key);
    const other = await send(start_s, order_text.replace("19.99", "20.00"), key);
    expect([other.status, other.body]).toEqual([409, "idempotency key reused with a different body"]);
    expect(created()).toBe(1);
  });

  test("many times at once with one key makes one order", async () => {
    const key = { "Idempotency-Key": "once" };
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => send(start_s - i, order_text, key)));
    expect(new Set(answers.map(({ body }) => body)).size).toBe(1);
    expect(created()).toBe(1);
  });
});

test("a signature covers the digits of the timestamp as they were sent", async () => {
  const headers = { "Ocrch-Signature": `0${start_s}.${mac(`0${start_s}.${order_text}`)}` };
  expect((await server.service("orders", order_text, headers)).status).toBe(201);
  const other = { "Ocrch-Signature": `0${start_s}.${mac(`${start_s}.${order_text}`)}` };
  expect((await server.service("orders", order_text, other)).status).toBe(401);
});
