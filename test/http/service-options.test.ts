// What a creation may ask for beyond the price, over real HTTP: each option, its bounds, where it shows again, and that
// an order without options looks as it always did.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createExpiry } from "../../src/services/expiry.ts";
import { type Answer, payUrl, start_ms, startTestServer, type TestServer, webhook_url } from "../support/server.ts";

const start_s = start_ms / 1000;
const order = { order_id: "ref", amount: "19.90", webhook_url };
const plain = (id: string, status = "pending") =>
  `"order_id":"${id}","merchant_order_id":"ref","amount":"19.90","status":"${status}","created_at":${start_s}`;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const summary = ({ status, body }: Answer) => [status, body];
const idOf = (answer: Answer) => (JSON.parse(answer.body) as { order_id: string }).order_id;

/** A creation whose options are JSON as it is sent. */
async function create(options: string): Promise<Answer> {
  return server.service("orders", `${JSON.stringify(order).slice(0, -1)}${options === "" ? "" : `,${options}`}}`);
}

describe("an order with options", () => {
  const rows: [name: string, sent: string, shown: string][] = [
    ["no option", "", ""],
    ["options that are null", '"lifetime":null,"metadata":null,"success_url":null,"cancel_url":null', ""],
    ["a lifetime", '"lifetime":90', `,"expires_at":${start_s + 90}`],
    ["the longest lifetime", '"lifetime":2592000', `,"expires_at":${start_s + 2_592_000}`],
    [
      "metadata",
      '"metadata":{ "cart" : [1, 2.50, 1e3, {"gift":true}], "name":"\\u00dcmit \\u0000" , "none":null}',
      ',"metadata":{"cart":[1,2.50,1e3,{"gift":true}],"name":"Ümit \\u0000","none":null}',
    ],
    ["metadata that is empty", '"metadata":{}', ',"metadata":{}'],
    [
      "a page to go on to",
      '"success_url":"https://shop.example/ok?a=b#c"',
      ',"success_url":"https://shop.example/ok?a=b#c"',
    ],
    ["a page to turn to", '"cancel_url":"http://localhost:3000/"', ',"cancel_url":"http://localhost:3000/"'],
    [
      "all of them",
      '"cancel_url":"https://a/no","success_url":"https://a/ok","metadata":{"a":"b"},"lifetime":1',
      `,"metadata":{"a":"b"},"success_url":"https://a/ok","cancel_url":"https://a/no","expires_at":${start_s + 1}`,
    ],
  ];
  for (const [name, sent, shown] of rows) {
    test(`shows ${name} in every answer that is an order, and in no other place`, async () => {
      const created = await create(sent);
      const id = idOf(created);
      const whole = `{${plain(id)}${shown}}`;
      expect(summary(created)).toEqual([201, whole]);
      expect(created.headers.get("content-type")).toBe("application/json");
      expect(summary(await server.service("orders/status", { order_id: id }))).toEqual([200, whole]);
      expect(summary(await server.user("GET", `orders/${id}/status`))).toEqual([200, whole]);

      const listed = await server.admin("GET", "orders?limit=1");
      const counters = `,"webhook_url":"${webhook_url}","webhook_retry_count":0,"webhook_success_at":null,"webhook_last_tried_at":null`;
      expect(summary(listed)).toEqual([200, `[{${plain(id)}${counters}${shown}}]`]);

      const cancelled = await server.user("POST", `orders/${id}/cancel`, {
        headers: { Prefer: "return=representation" },
      });
      expect(summary(cancelled)).toEqual([200, `{${plain(id, "cancelled")}${shown}}`]);
      // The webhook stays what every merchant's parser knows.
      expect(server.events().at(-1)?.body).toBe(
        `{"event_type":"order_status_changed","order_id":"${id}","merchant_order_id":"ref","status":"cancelled","amount":"19.90","timestamp":${start_s}}`,
      );
    });
  }

  test("gets the first answer again when its signed creation is sent again", async () => {
    const body = JSON.stringify({ ...order, lifetime: 77, metadata: { a: 1 } });
    const first = await server.service("orders", body);
    await server.admin("POST", `orders/${idOf(first)}/mark-paid`);
    expect(summary(await server.service("orders", body))).toEqual(summary(first));
  });

  test("is shown as it is now when its creation is repeated under its key; a key never makes a second order", async () => {
    const headers = { "Idempotency-Key": "options" };
    const body = JSON.stringify({ ...order, order_id: "keyed", lifetime: 77 });
    const first = await server.service("orders", body, headers);
    expect(JSON.parse(first.body).status).toBe("pending");
    await server.admin("POST", `orders/${idOf(first)}/mark-paid`);
    const later = await server.service("orders", body, headers);
    expect([later.status, idOf(later), JSON.parse(later.body).status]).toEqual([201, idOf(first), "paid"]);

    const other = await server.service("orders", body.replace("77", "78"), headers);
    expect(summary(other)).toEqual([409, "idempotency key reused with a different body"]);
  });

  test("with a lifetime expires by it, and its neighbour by the configured one", async () => {
    const own = await startTestServer();
    const short = await own.createOrder({ lifetime: 10 });
    const long = await own.createOrder({ lifetime: 7200 });
    const usual = await own.createOrder();
    const expiry = createExpiry(own);
    const expired = async () => {
      await expiry.expireDue();
      const answers = await Promise.all(
        [short, usual, long].map((order_id) => own.service("orders/status", { order_id })),
      );
      return answers.map(({ body }) => (JSON.parse(body) as { status: string }).status);
    };
    own.advance(9_999);
    expect(await expired()).toEqual(["pending", "pending", "pending"]);
    own.advance(1);
    expect(await expired()).toEqual(["expired", "pending", "pending"]);
    own.advance(3_590_000);
    expect(await expired()).toEqual(["expired", "expired", "pending"]);
    own.advance(3_600_000);
    expect(await expired()).toEqual(["expired", "expired", "expired"]);
    await own.stop();
  });

  test("tells them to a payer's socket", async () => {
    const id = idOf(await create('"success_url":"https://a/ok"'));
    const query = new URLSearchParams({
      signed_url: payUrl(id),
      signature: server.userHeaders(payUrl(id))["Ocrch-Signature"] ?? "",
    });
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/api/v1/user/orders/${id}/ws?${query}`);
    const frame = await new Promise((resolve) => socket.addEventListener("message", ({ data }) => resolve(data)));
    expect(frame).toBe(`{"type":"status_update","order":{${plain(id)},"success_url":"https://a/ok"}}`);
    socket.close();
  });
});

describe("a creation is refused, and makes nothing,", () => {
  const big = `{"a":"${"é".repeat(2045)}"}`;
  const rows: [what: string, options: string, text: string][] = [
    ["with a lifetime of nothing", '"lifetime":0', "invalid lifetime"],
    ["with a negative lifetime", '"lifetime":-60', "invalid lifetime"],
    ["with a lifetime over 30 days", '"lifetime":2592001', "invalid lifetime"],
    ["with a lifetime in words", '"lifetime":"60m"', "invalid lifetime"],
    ["with half a second", '"lifetime":0.5', "invalid lifetime"],
    ["with metadata that is a list", '"metadata":[]', "invalid metadata"],
    ["with metadata that is a text", '"metadata":"{}"', "invalid metadata"],
    ["with metadata over 4 KiB", `"metadata":${big}`, "invalid metadata"],
    ["with a script to go on to", '"success_url":"javascript:alert(1)"', "invalid success_url"],
    ["with a path to go on to", '"success_url":"/thanks"', "invalid success_url"],
    ["with a page of 2,049 bytes to go on to", `"success_url":"https://a/${"x".repeat(2039)}"`, "invalid success_url"],
    ["with a number to turn to", '"cancel_url":7', "invalid cancel_url"],
    ["with a line end in the page to turn to", '"cancel_url":"https://a/\\r\\nX: y"', "invalid cancel_url"],
    ["with a broken type beside a bad option", '"lifetime":0,"stablecoin":7', "invalid JSON body"],
    ["with metadata that is no JSON", '"metadata":{', "invalid JSON body"],
    ["with metadata nested beyond reason", `"metadata":${'{"a":'.repeat(64)}1${"}".repeat(64)}`, "invalid JSON body"],
  ];
  for (const [what, options, text] of rows) {
    test(`${what}: 400 ${text}`, async () => {
      const before = server.events().length;
      const answer = await create(options);
      expect(summary(answer)).toEqual([400, text]);
      expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
      expect(server.events().length).toBe(before);
    });
  }
});
