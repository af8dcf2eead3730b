// What a shop's developer reads in the log about a request that was refused in fixed words: which field, what was
// expected, how old a signature is. Once a minute and cause, never a secret, never a value.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { payUrl, signature, start_ms, startTestServer, type TestServer } from "../support/server.ts";

const start_s = start_ms / 1000;
const order = { order_id: "m-1", amount: "19.99", webhook_url: "https://shop.example/hook" };

let server: TestServer;
let elapsed_ms = 0;
beforeAll(async () => {
  server = await startTestServer({ world: { elapsed: () => elapsed_ms } });
});
afterAll(() => server.stop());
beforeEach(() => {
  elapsed_ms += 60_000;
  server.log.length = 0;
});

const refusals = () => server.log.filter((line) => line.includes(" warn request_refused "));

describe("a creation with a wrong body is answered in fixed words, and the log says", () => {
  const rows: [what: string, body: string, text: string, detail: string][] = [
    ["no JSON", "{", "invalid JSON body", "no JSON"],
    ["an empty body", "", "invalid JSON body", "an empty body"],
    ["a list", "[]", "invalid JSON body", "the body is no JSON object"],
    [
      "a missing field and an unknown one",
      JSON.stringify({ amount: "1", webhook_url: "https://a.example/", currency: "USD" }),
      "invalid JSON body",
      "order_id: expected string, received undefined; unknown fields: currency",
    ],
    [
      "a wrong type",
      JSON.stringify({ ...order, order_id: 5 }),
      "invalid JSON body",
      "order_id: expected string, received object",
    ],
    [
      "an unknown chain",
      JSON.stringify({ ...order, blockchain: "ethereum" }),
      "invalid JSON body",
      'blockchain: expected one of \\"eth\\"|\\"polygon\\"',
    ],
    [
      "an amount that is none",
      JSON.stringify({ ...order, amount: "1,5", total: 3 }),
      "invalid amount",
      "amount: expected 1 to 18 digits, with up to 18 more behind a dot, above zero; unknown fields: total",
    ],
    [
      "a coin that no wallet takes",
      JSON.stringify({ ...order, blockchain: "polygon", stablecoin: "DAI" }).replace("polygon", "base"),
      "no wallet available for the selected chain and coin",
      "no wallet takes DAI on base",
    ],
  ];
  for (const [what, body, text, detail] of rows) {
    test(what, async () => {
      const answer = await server.service("orders", body);
      expect([answer.status, answer.body]).toEqual([400, text]);
      expect(refusals()).toHaveLength(1);
      const [line = ""] = refusals();
      expect(line).toContain(detail);
      expect(line).toMatch(
        / request=[\da-f]{12}-[\da-z]+ client=127\.0\.0\.1 method=POST route=\/api\/v1\/service\/orders status=400 /,
      );
      expect(line).toContain(answer.headers.get("x-request-id") ?? "none");
      expect(line).not.toContain("1,5");
    });
  }
});

test("a signature that fits and is stale is logged with its age; one that does not fit is told apart", async () => {
  const body = JSON.stringify(order);
  const send = (at: number, signed = body) =>
    server.service("orders", body, { "Ocrch-Signature": signature("body", signed, at) });
  expect((await send(start_s - 301)).body).toBe("signature verification failed");
  expect((await send(start_s + 3600)).body).toBe("signature verification failed");
  expect((await send(start_s, "other")).body).toBe("signature verification failed");
  const url = payUrl("550e8400-e29b-41d4-a716-446655440000");
  const stale = { "Ocrch-Signed-Url": url, "Ocrch-Signature": signature("url", url, start_s - 500) };
  const late = await server.request("GET", "/api/v1/user/chains", stale);
  expect([late.status, late.body]).toEqual([401, "signature expired"]);
  const details = refusals().map((line) => /detail="([^"]*)"/.exec(line)?.[1]);
  expect(details).toEqual([
    "the signature fits and is 301 s old; 300 s are allowed: compare the clocks",
    "the signature fits and is 3600 s in the future; 300 s are allowed: compare the clocks",
    "merchant.secret makes another signature of this timestamp and body",
    "the signature fits and is 500 s old; 300 s are allowed: compare the clocks",
  ]);
  expect(server.log.join("\n")).not.toContain("test-merchant-secret");
});

test("the same cause is logged once a minute, and unsigned requests never", async () => {
  for (let n = 0; n < 5; n++) await server.service("orders", "{");
  await server.request("POST", "/api/v1/service/orders");
  await server.request("GET", "/nowhere");
  expect(refusals()).toHaveLength(1);
  elapsed_ms += 60_000;
  await server.service("orders", "{");
  expect(refusals()).toHaveLength(2);
});

test("an amount that no offered coin can hold is refused at creation, naming the decimals", async () => {
  const create = (amount: string, more = {}) => server.service("orders", JSON.stringify({ ...order, amount, ...more }));
  const six = "invalid amount: more than 6 decimals, which no offered coin has";
  for (const amount of ["1.12345678", "29.949999999999999"]) {
    expect((await create(amount, { blockchain: "eth" })).body).toBe(six);
    expect((await create(amount, { stablecoin: "USDT" })).body).toBe(six);
    // DAI has 18 decimals, and one of the wallets takes it.
    expect((await create(amount)).status).toBe(201);
  }
  expect((await create("1.123456", { blockchain: "eth" })).status).toBe(201);
  expect((await create("1.1234560", { blockchain: "eth" })).status).toBe(201);
});

test("a page of a foreign origin gets a line that names it, once a minute", async () => {
  const origin = "https://evil.example";
  for (let n = 0; n < 3; n++) await server.request("OPTIONS", "/api/v1/user/chains", { Origin: origin });
  const lines = server.log.filter((line) => line.includes(" warn origin_refused "));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain(`origin=${origin}`);
  expect(lines[0]).toContain("merchant.allowed_origins");
});
