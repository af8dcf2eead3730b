// The verbs that the Service API adds: a merchant's own cancel, the search by its own id, and the event log with its
// long poll. A signature for one of them opens no other.

import { Database as Sqlite } from "bun:sqlite";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { realWorld } from "../../src/world.ts";
import { type Answer, payUrl, signature, start_ms, startTestServer, type TestServer } from "../support/server.ts";

const start_s = start_ms / 1000;
const unknown_id = "550e8400-e29b-41d4-a716-446655440000";
const polls_max = 64;
const summary = ({ status, body }: Answer) => [status, body];
const orderJson = (id: string, name: string, status = "pending") =>
  `{"order_id":"${id}","merchant_order_id":"${name}","amount":"19.99","status":"${status}","created_at":${start_s}}`;

let server: TestServer;

async function expectRefusal(status: number, text: string, act: () => Promise<Answer>) {
  const before = server.events().length;
  const answer = await act();
  expect(summary(answer)).toEqual([status, text]);
  expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  expect(server.events().length).toBe(before);
}

describe("a verb of the Service API is refused", () => {
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(() => server.stop());

  const bodies: [path: string, body: string][] = [
    ["orders/cancel", `{"order_id":"${unknown_id}","action":"cancel"}`],
    ["orders/find", '{"merchant_order_id":"ref"}'],
    ["events", '{"after":0}'],
  ];
  for (const [path, body] of bodies) {
    const rows: [name: string, status: number, text: string, headers: Record<string, string>, sent?: string][] = [
      ["without a signature", 401, "missing Ocrch-Signature header", {}],
      ["with a malformed signature", 400, "invalid Ocrch-Signature header format", { "Ocrch-Signature": "x" }],
      ["with bad base64", 400, "invalid signature encoding", { "Ocrch-Signature": `${start_s}.!` }],
      [
        "with a signature of another body",
        401,
        "signature verification failed",
        { "Ocrch-Signature": signature("body", `${body} `, start_s) },
      ],
      [
        "when stale",
        401,
        "signature verification failed",
        { "Ocrch-Signature": signature("body", body, start_s - 301) },
      ],
      [
        "with a payer's signature over the same text",
        401,
        "signature verification failed",
        { "Ocrch-Signature": signature("url", body, start_s) },
      ],
      ...["{", "[]", "{}", "null", "\uFEFF{}"].map((sent): (typeof rows)[number] => [
        `with the body ${JSON.stringify(sent)}`,
        400,
        "invalid JSON body",
        { "Ocrch-Signature": signature("body", sent, start_s) },
        sent,
      ]),
    ];
    for (const [name, status, text, headers, sent = body] of rows) {
      test(`${path} ${name}: ${status} ${text}`, () =>
        expectRefusal(status, text, () => server.request("POST", `/api/v1/service/${path}`, headers, sent)));
    }

    test(`${path} to a payer's signed URL, which opens no Service route`, async () => {
      const id = await server.createOrder();
      for (const headers of [server.userHeaders(payUrl(id)), server.userHeaders(`${start_s}.${body}`)]) {
        await expectRefusal(401, "signature verification failed", () =>
          server.request("POST", `/api/v1/service/${path}`, headers, body.replace(unknown_id, id)),
        );
      }
      expect((await server.service("orders/status", { order_id: id })).body).toContain('"status":"pending"');
    });

    test(`${path} to a webhook that is sent back`, () =>
      expectRefusal(401, "signature verification failed", () =>
        server.service(path, body.replace("{", '{"event_type":"order_status_changed",')),
      ));
  }
});

describe("a merchant's cancel", () => {
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(() => server.stop());
  const cancel = (order_id: string) => server.service("orders/cancel", { order_id, action: "cancel" });

  test("ends a pending order with one event and one webhook", async () => {
    const id = await server.createOrder({ order_id: "mine" });
    const before = server.events().length;
    const answer = await cancel(id.toUpperCase());
    expect(summary(answer)).toEqual([200, orderJson(id, "mine", "cancelled")]);
    expect(answer.headers.get("content-type")).toBe("application/json");
    const added = server.events().slice(before);
    expect(added.map(({ type, order_id }) => [type, order_id])).toEqual([["order_status_changed", id]]);
    await expectRefusal(409, "order is not pending", () => cancel(id));
  });

  test("of an order that is paid or unknown is refused", async () => {
    const id = await server.createOrder();
    await server.admin("POST", `orders/${id}/mark-paid`);
    await expectRefusal(409, "order is not pending", () => cancel(id));
    await expectRefusal(404, "order not found", () => cancel(unknown_id));
  });

  test("is never a question that was captured and sent to another route", async () => {
    const id = await server.createOrder({ order_id: "asked" });
    const question = JSON.stringify({ order_id: id });
    const captured = { "Ocrch-Signature": signature("body", question, start_s) };
    const send = (path: string) => server.request("POST", `/api/v1/service/${path}`, captured, question);
    expect(summary(await send("orders/status"))).toEqual([200, orderJson(id, "asked")]);
    await expectRefusal(400, "invalid JSON body", () => send("orders/cancel"));
    for (const action of ["Cancel", "", null, ["cancel"], true]) {
      await expectRefusal(400, "invalid JSON body", () => server.service("orders/cancel", { order_id: id, action }));
    }
    expect(summary(await send("orders/status"))).toEqual([200, orderJson(id, "asked")]);
  });

  test("tells whoever watches the order, and closes its deposits", async () => {
    const id = await server.createOrder({ order_id: "watched" });
    const body = JSON.stringify({ blockchain: "eth", stablecoin: "USDT" });
    await server.user("POST", `orders/${id}/payment`, { body });
    await cancel(id);
    expect(summary(await server.admin("GET", `deposits?order_id=${id}`))).toEqual([200, "[]"]);
  });
});

describe("a search by the merchant's own id", () => {
  let ids: string[];
  beforeAll(async () => {
    server = await startTestServer();
    ids = [];
    const names = ["twice", "Twice", "twice", "", "é", "twice"];
    // The same body at the same second would be a replay, and no second order.
    for (const [index, order_id] of names.entries()) ids.push(await server.createOrder({ order_id, index }));
  });
  afterAll(() => server.stop());

  const rows: [name: string, body: object, found: number[]][] = [
    ["finds each order of that id, newest first", { merchant_order_id: "twice" }, [5, 2, 0]],
    ["tells capitals apart", { merchant_order_id: "Twice" }, [1]],
    ["takes the empty id for what it is", { merchant_order_id: "" }, [3]],
    ["compares bytes", { merchant_order_id: "e\u0301" }, []],
    ["finds nothing under an id nobody used", { merchant_order_id: "thrice" }, []],
    ["skips and bounds", { merchant_order_id: "twice", limit: 1, offset: 1 }, [2]],
    ["moves a limit of nothing to one", { merchant_order_id: "twice", limit: 0 }, [5]],
    ["moves a negative offset to the newest", { merchant_order_id: "twice", offset: -7 }, [5, 2, 0]],
    ["ends behind the oldest", { merchant_order_id: "twice", offset: 3 }, []],
  ];
  for (const [name, body, found] of rows) {
    test(name, async () => {
      const answer = await server.service("orders/find", body);
      const wanted = (body as { merchant_order_id: string }).merchant_order_id;
      expect(summary(answer)).toEqual([200, `[${found.map((i) => orderJson(ids[i] ?? "", wanted)).join(",")}]`]);
      expect(answer.headers.get("content-type")).toBe("application/json");
    });
  }

  test("reads the index of that id, in order", () => {
    const raw = new Sqlite(server.database_path, { readonly: true });
    const plan = raw
      .query<{ detail: string }, []>(
        "EXPLAIN QUERY PLAN SELECT * FROM orders WHERE merchant_order_id = 'a' ORDER BY seq DESC LIMIT 20 OFFSET 0",
      )
      .all();
    raw.close();
    expect(plan.map(({ detail }) => detail)).toEqual([
      "SEARCH orders USING INDEX orders_merchant (merchant_order_id=?)",
    ]);
  });
});

interface Page {
  events: { n: number; type: string }[];
  last: number;
}
const pageOf = (answer: Answer) => JSON.parse(answer.body) as Page;
const numbers = (answer: Answer) => pageOf(answer).events.map(({ n }) => n);

describe("the event log", () => {
  beforeAll(async () => {
    server = await startTestServer({
      settings: { merchant: { unknown_transfer_webhook_url: "https://your-app.example.com/unknown" } },
    });
  });
  afterAll(() => server.stop());

  test("is empty at first", async () => {
    expect(summary(await server.service("events", { after: 0 }))).toEqual([200, '{"events":[],"last":0}']);
  });

  test("holds what happened in order, a webhook's body as its data", async () => {
    const id = await server.createOrder({ order_id: "logged" });
    const body = JSON.stringify({ blockchain: "eth", stablecoin: "USDT" });
    await server.user("POST", `orders/${id}/payment`, { body });
    await server.service("orders/cancel", { order_id: id, action: "cancel" });
    const answer = await server.service("events", { after: 0 });
    expect(answer.headers.get("content-type")).toBe("application/json");
    const event = (n: number, type: string, data: string) =>
      `{"n":${n},"type":"${type}","order_id":"${id}","transfer_id":null,"created_at":${start_s},"data":${data}}`;
    const webhook = `{"event_type":"order_status_changed","order_id":"${id}","merchant_order_id":"logged","status":"cancelled","amount":"19.99","timestamp":${start_s}}`;
    expect(summary(answer)).toEqual([
      200,
      `{"events":[${[
        event(1, "order_created", "{}"),
        event(2, "deposit_opened", '{"deposit":1,"blockchain":"eth","stablecoin":"USDT"}'),
        event(3, "order_status_changed", webhook),
      ].join(",")}],"last":3}`,
    ]);
  });

  test("is read page by page, and `last` is its end whatever the page", async () => {
    const rows: [body: object, found: number[]][] = [
      [{ after: 0, limit: 2 }, [1, 2]],
      [{ after: 2, limit: 2 }, [3]],
      [{ after: 3 }, []],
      [{ after: 999 }, []],
      [{ after: 1, limit: 0 }, [2]],
      [{ after: 0, limit: 99_999, wait: 30 }, [1, 2, 3]],
      [{ after: 3, wait: 0 }, []],
      [{ after: 3, wait: -1 }, []],
    ];
    for (const [body, found] of rows) {
      const answer = await server.service("events", body);
      expect([answer.status, numbers(answer), pageOf(answer).last]).toEqual([200, found, 3]);
    }
  });

  const wrong = [
    { after: -1 },
    { after: "0" },
    { after: 1.5 },
    { after: null },
    { after: 0, wait: "30" },
    { limit: 1 },
  ];
  for (const body of wrong) {
    test(`is not read with ${JSON.stringify(body)}: 400 invalid JSON body`, () =>
      expectRefusal(400, "invalid JSON body", () => server.service("events", body)));
  }
});

/** Timers of a second and more, in the hand of the test. */
interface HeldTimer {
  ms: number;
  act: () => void;
}

describe("a long poll", () => {
  let timers: Set<HeldTimer>;
  let lifted: number;
  beforeEach(async () => {
    timers = new Set();
    lifted = 0;
    const real = realWorld();
    server = await startTestServer({
      world: {
        timer(ms, act) {
          // A body's deadline is a second user of timers; waits are told apart by their length.
          if (ms % 1000 !== 0 || ms === 15_000) return real.timer(ms, act);
          const held = { ms, act };
          timers.add(held);
          return () => void timers.delete(held);
        },
        listen: (options) =>
          real.listen({
            ...options,
            answer: (request, connection) =>
              options.answer(request, {
                ...connection,
                disableIdleTimeout() {
                  lifted += 1;
                  connection.disableIdleTimeout();
                },
              }),
          }),
      },
    });
  });
  afterEach(() => server.stop());

  const poll = (after: number, wait = 30) => server.service("events", { after, wait });
  async function until(is: () => boolean): Promise<void> {
    while (!is()) await Bun.sleep(1);
  }

  test("waits as long as it was told, without an idle limit, and then answers with nothing", async () => {
    const answer = poll(0, 29);
    await until(() => timers.size === 1);
    expect([...timers].map(({ ms }) => ms)).toEqual([29_000]);
    expect(lifted).toBe(1);
    for (const { act } of timers) act();
    expect(summary(await answer)).toEqual([200, '{"events":[],"last":0}']);
    expect(timers.size).toBe(0);
  });

  test("is moved to 30 seconds when it asks for more", async () => {
    const answer = poll(0, 3600);
    await until(() => timers.size === 1);
    expect([...timers].map(({ ms }) => ms)).toEqual([30_000]);
    await server.createOrder();
    await answer;
  });

  test("answers with the next event, and leaves no timer behind", async () => {
    const [first, second] = [poll(0), poll(1)];
    await until(() => timers.size === 2);
    await server.createOrder();
    expect([numbers(await first), timers.size]).toEqual([[1], 1]);
    await server.createOrder();
    expect([numbers(await second), timers.size]).toEqual([[2], 0]);
  });

  test("goes on over a commit that holds no event", async () => {
    const answer = poll(0);
    await until(() => timers.size === 1);
    await server.database.transact(() => 0);
    expect(timers.size).toBe(1);
    await server.createOrder();
    expect(numbers(await answer)).toEqual([1]);
  });

  test("answers with what another process wrote, once the heartbeat has seen it", async () => {
    const answer = poll(0);
    await until(() => timers.size === 1);
    const other = new Sqlite(server.database_path);
    other.run("INSERT INTO events (type, body, created_at) VALUES ('unknown_transfer', '{\"a\":1}', 5000)");
    other.close();
    expect([server.database.changedElsewhere(), timers.size]).toEqual([true, 1]);
    server.http.committed();
    expect(summary(await answer)).toEqual([
      200,
      '{"events":[{"n":1,"type":"unknown_transfer","order_id":null,"transfer_id":null,"created_at":5,"data":{"a":1}}],"last":1}',
    ]);
  });

  test("is one of 64; one more is told to come back, but whoever need not wait is answered", async () => {
    const waiting = Array.from({ length: polls_max }, () => poll(0));
    await until(() => timers.size === polls_max);
    const refused = await poll(0);
    expect(summary(refused)).toEqual([429, "too many requests"]);
    expect(refused.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
    expect(refused.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    expect((await poll(0, 0)).status).toBe(200);
    await server.createOrder();
    const answers = await Promise.all(waiting);
    expect(new Set(answers.map(({ status, body }) => `${status} ${body}`)).size).toBe(1);
    expect(answers.every((answer) => numbers(answer).join() === "1")).toBe(true);
    const next = poll(1);
    await until(() => timers.size === 1);
    await server.createOrder();
    expect(numbers(await next)).toEqual([2]);
  });

  test("whose caller has left gives its place to another", async () => {
    const body = JSON.stringify({ after: 0, wait: 30 });
    const headers = { "Ocrch-Signature": signature("body", body, start_s) };
    const left = new AbortController();
    const gone = Array.from({ length: polls_max }, () =>
      fetch(`${server.url}/api/v1/service/events`, { method: "POST", headers, body, signal: left.signal }).catch(
        () => null,
      ),
    );
    await until(() => timers.size === polls_max);
    left.abort();
    await Promise.all(gone);
    await until(() => timers.size === 0);
    const answer = poll(0);
    await until(() => timers.size === 1);
    await server.createOrder();
    expect(numbers(await answer)).toEqual([1]);
  });

  test("ends when the server stops, and nobody waits after that", async () => {
    const answer = poll(0);
    await until(() => timers.size === 1);
    server.http.closeWaiting();
    expect(summary(await answer)).toEqual([200, '{"events":[],"last":0}']);
    expect(summary(await poll(0))).toEqual([200, '{"events":[],"last":0}']);
    expect(timers.size).toBe(0);
  });
});
