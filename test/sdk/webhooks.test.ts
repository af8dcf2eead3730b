// What a shop may believe: webhooks signed here, by the contract alone, and then bent in every way.

import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import {
  createInOrder,
  type HandledStore,
  type OcrchEvent,
  verifyWebhook,
  WebhookError,
  type WebhookEvent,
  type WebhookHeaders,
} from "../../src/sdk/index.ts";

const secret = "test-merchant-secret";
const at = 1_711_900_800;
const event = {
  event_type: "order_status_changed",
  order_id: "550e8400-e29b-41d4-a716-446655440000",
  merchant_order_id: "your-order-123",
  status: "paid",
  amount: "19.99",
  timestamp: at,
} as const;
const body = JSON.stringify(event);
/** The contract's own vector for this body. */
const vector = "pYHqt5eNatFhyRE7+1CSH0SPlGvb2NJ1Z6PCBAXra3o=";

const mac = (key: string, message: string | Uint8Array) => createHmac("sha256", key).update(message).digest("base64");
const ocrch = (of = body, key = secret, time: number | string = at) => ({
  "ocrch-signature": `${time}.${mac(key, `${time}.${of}`)}`,
});
const standard = (of = body, keys = [secret], id = "evt_7", time = at) => ({
  "webhook-id": id,
  "webhook-timestamp": String(time),
  "webhook-signature": keys.map((key) => `v1,${mac(key, `${id}.${time}.${of}`)}`).join(" "),
});

/** Verifies at the time of the vectors, with what is given in place of the usual. */
function verify(change: {
  body?: unknown;
  headers: WebhookHeaders;
  secrets?: string[];
  now_s?: number;
  tolerance_s?: number;
}) {
  const { secrets = [secret], now_s = at, body: sent = body, headers, tolerance_s } = change;
  return verifyWebhook({ secrets, body: sent as string, headers, now: () => now_s * 1000, tolerance_s });
}

const problem = (promise: Promise<unknown>) =>
  promise.then(
    () => "none",
    (error: unknown) => (error instanceof WebhookError ? error.problem : String(error)),
  );

describe("a webhook of ours is believed", () => {
  const rows: [string, WebhookHeaders, string | null][] = [
    ["with Ocrch-Signature", { "ocrch-signature": `${at}.${vector}` }, null],
    ["with an unpadded Ocrch-Signature", { "ocrch-signature": `${at}.${vector.slice(0, -1)}` }, null],
    ["as a Standard Webhook", standard(), "evt_7"],
    ["in both styles", { ...ocrch(), ...standard() }, "evt_7"],
    ["with headers as Node.js has them", { ...ocrch(), "set-cookie": ["a", "b"], host: undefined }, null],
    ["with headers in any case", { "Ocrch-Signature": ocrch()["ocrch-signature"] }, null],
    ["with Headers", new Headers({ ...ocrch(), ...standard() }), "evt_7"],
    [
      "beside versions it does not know",
      { ...standard(), "webhook-signature": `v1a,AAAA ${standard()["webhook-signature"]}` },
      "evt_7",
    ],
  ];
  test.each(rows)("%s", async (_name, headers, webhook_id) => {
    expect(await verify({ headers })).toEqual({ ...event, webhook_id });
  });

  test("as text, as bytes and as a buffer, and with one secret or several", async () => {
    const bytes = new TextEncoder().encode(body);
    for (const sent of [body, bytes, bytes.buffer, Buffer.from(body)]) {
      expect(await verify({ body: sent, headers: ocrch() })).toMatchObject({ status: "paid" });
    }
    const one = await verifyWebhook({ secret, body, headers: ocrch(), now: () => at * 1000 });
    expect(one).toEqual({ ...event, webhook_id: null });
  });

  test("with every alphabet in it, and typed by its event", async () => {
    const unknown = { event_type: "unknown_transfer", transfer_id: 3, value: "1.5", merchant_order_id: "№7 🧾" };
    const told = await verify({ body: JSON.stringify(unknown), headers: ocrch(JSON.stringify(unknown)) });
    if (told.event_type !== "unknown_transfer") throw new Error("another event");
    expect([told.transfer_id, told.value]).toEqual([3, "1.5"]);
  });

  test("while one secret replaces another, in either order and with either secret known", async () => {
    const both = standard(body, ["new-secret", "old-secret"]);
    for (const secrets of [["new-secret"], ["old-secret"], ["old-secret", "new-secret"]]) {
      expect(await problem(verify({ headers: both, secrets }))).toBe("none");
    }
    expect(await problem(verify({ headers: ocrch(body, "new-secret"), secrets: ["old-secret", "new-secret"] }))).toBe(
      "none",
    );
    expect(await problem(verify({ headers: ocrch(body, "old-secret"), secrets: ["old-secret", "new-secret"] }))).toBe(
      "none",
    );
    expect(await problem(verify({ headers: { ...both, ...ocrch(body, "new-secret") }, secrets: ["old-secret"] }))).toBe(
      "none",
    );
    expect(await problem(verify({ headers: both, secrets: ["another"] }))).toBe("wrong_signature");
  });

  test.each([
    [300, 300, "none"],
    [301, 300, "stale_timestamp"],
    [-300, 300, "none"],
    [-301, 300, "stale_timestamp"],
    [10, 5, "stale_timestamp"],
    [1000, 3600, "none"],
  ])("when the clock is %p s off and %p s are allowed: %s", async (off, tolerance_s, expected) => {
    expect(await problem(verify({ headers: ocrch(), now_s: at + off, tolerance_s }))).toBe(expected);
    expect(await problem(verify({ headers: standard(), now_s: at + off, tolerance_s }))).toBe(expected);
  });
});

test("five minutes are allowed when nothing else is said", async () => {
  const off = (s: number) => verifyWebhook({ secret, body, headers: ocrch(), now: () => (at + s) * 1000 });
  expect([await problem(off(300)), await problem(off(301))]).toEqual(["none", "stale_timestamp"]);
});

describe("a webhook that was bent is not", () => {
  const rows: [string, { body?: unknown; headers: WebhookHeaders; secrets?: string[] }, string][] = [
    ["no header at all", { headers: {} }, "missing_signature"],
    ["an id without a signature", { headers: { "webhook-id": "evt_7" } }, "missing_signature"],
    ["no dot", { headers: { "ocrch-signature": "1711900800" } }, "malformed_signature"],
    ["no digits", { headers: { "ocrch-signature": `now.${vector}` } }, "malformed_signature"],
    ["too many digits", { headers: ocrch(body, secret, "1711900800000") }, "malformed_signature"],
    ["another time", { headers: { "ocrch-signature": `${at + 1}.${vector}` } }, "wrong_signature"],
    ["another secret", { headers: ocrch(body, "another") }, "wrong_signature"],
    ["another body", { headers: ocrch(), body: body.replace("19.99", "99.99") }, "wrong_signature"],
    ["a body written again", { headers: ocrch(), body: JSON.stringify(event, null, 1) }, "wrong_signature"],
    ["a byte-order mark", { headers: ocrch(), body: `\ufeff${body}` }, "wrong_signature"],
    ["an empty signature", { headers: { "ocrch-signature": `${at}.=` } }, "wrong_signature"],
    ["half a signature", { headers: { "ocrch-signature": `${at}.${vector.slice(0, 22)}` } }, "wrong_signature"],
    [
      "the URL-safe alphabet",
      { headers: { "ocrch-signature": `${at}.${vector.replace("+", "-")}` } },
      "wrong_signature",
    ],
    ["wrong padding", { headers: { "ocrch-signature": `${at}.${vector}=` } }, "wrong_signature"],
    ["a space behind it", { headers: { "ocrch-signature": `${at}.${vector} ` } }, "wrong_signature"],
    [
      "stray bits behind the last byte",
      { headers: { "ocrch-signature": `${at}.${vector.replace("o=", "p=")}` } },
      "wrong_signature",
    ],
    ["another id", { headers: { ...standard(), "webhook-id": "evt_8" } }, "wrong_signature"],
    ["another time", { headers: { ...standard(), "webhook-timestamp": String(at + 1) } }, "wrong_signature"],
    [
      "only a version it does not know",
      { headers: { ...standard(), "webhook-signature": standard()["webhook-signature"].replace("v1", "v2") } },
      "wrong_signature",
    ],
    [
      "no version",
      { headers: { ...standard(), "webhook-signature": mac(secret, `evt_7.${at}.${body}`) } },
      "wrong_signature",
    ],
    ["no id", { headers: { ...standard(), "webhook-id": undefined } }, "malformed_signature"],
    ["no time", { headers: { ...standard(), "webhook-timestamp": undefined } }, "malformed_signature"],
    [
      "a crowd of signatures",
      { headers: { ...standard(), "webhook-signature": "v1,AAAA ".repeat(17) } },
      "malformed_signature",
    ],
    [
      "a bad Standard Webhook beside a good Ocrch-Signature",
      { headers: { ...ocrch(), ...standard(body, ["another"]) } },
      "wrong_signature",
    ],
    [
      "an event it does not know",
      { headers: ocrch('{"event_type":"other"}'), body: '{"event_type":"other"}' },
      "unknown_event",
    ],
    ["no object", { headers: ocrch("null"), body: "null" }, "unknown_event"],
    ["no JSON", { headers: ocrch("paid"), body: "paid" }, "unknown_event"],
  ];
  test.each(rows)("%s", async (_name, change, expected) => {
    expect(await problem(verify(change))).toBe(expected);
  });

  test("by any single bit of its signature", async () => {
    const right = Buffer.from(vector, "base64");
    for (let bit = 0; bit < right.length * 8; bit++) {
      const bent = Buffer.from(right);
      bent[bit >> 3] = (bent[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const headers = { "ocrch-signature": `${at}.${bent.toString("base64")}` };
      expect(await problem(verify({ headers }))).toBe("wrong_signature");
    }
  });

  test("by any single letter of its body", async () => {
    for (let i = 0; i < body.length; i++) {
      const bent = `${body.slice(0, i)}${body[i] === "0" ? "1" : "0"}${body.slice(i + 1)}`;
      expect(await problem(verify({ headers: standard(), body: bent }))).toBe("wrong_signature");
    }
  });

  test("and bytes that are no UTF-8 are no event, even signed", async () => {
    const bytes = Buffer.from(body.replace("your-order", "\xff"), "latin1");
    const signature = createHmac("sha256", secret).update(`${at}.`).update(bytes).digest("base64");
    expect(await problem(verify({ body: bytes, headers: { "ocrch-signature": `${at}.${signature}` } }))).toBe(
      "unknown_event",
    );
  });

  test("and the errors name no secret", async () => {
    const error = await verify({ headers: ocrch(body, "another") }).catch((error: unknown) => error);
    expect(Bun.inspect(error)).not.toContain(secret);
  });
});

test("a shop that hands over parsed JSON or no secret is told so", async () => {
  await expect(verify({ body: event, headers: ocrch() })).rejects.toThrow("pass the raw body");
  await expect(verify({ headers: ocrch(), secrets: [""] })).rejects.toThrow(TypeError);
  await expect(verify({ headers: ocrch(), secrets: [] })).rejects.toThrow(TypeError);
});

describe("handled in order", () => {
  const told = (
    n: number,
    more: Partial<Extract<WebhookEvent, { event_type: "order_status_changed" }>> = {},
  ): WebhookEvent => ({
    ...event,
    webhook_id: `evt_${n}`,
    ...more,
  });

  test("each event once, and no old one after a newer one", async () => {
    const { once } = createInOrder();
    const handled: (string | null)[] = [];
    const take = (event: WebhookEvent) => once(event, ({ webhook_id }) => void handled.push(webhook_id));
    expect(await take(told(5))).toBe(true);
    expect(await take(told(5))).toBe(false);
    expect(await take(told(3))).toBe(false);
    expect(await take(told(4, { order_id: "another order" }))).toBe(true);
    expect(await take(told(12))).toBe(true);
    expect(handled).toEqual(["evt_5", "evt_4", "evt_12"]);
  });

  test("what is told after a restore of the database comes after what was told before", async () => {
    const { once } = createInOrder();
    const handled: (string | null)[] = [];
    const take = (event: WebhookEvent) => once(event, ({ webhook_id }) => void handled.push(webhook_id));
    const [before, after] = [told(812), told(1_800_000_000_003)];
    expect([await take(before), await take(after), await take(before)]).toEqual([true, true, false]);
    expect(handled).toEqual(["evt_812", "evt_1800000000003"]);
    const logged = (n: number): OcrchEvent => ({
      ...{ n, type: "log_restored", order_id: null, transfer_id: null, created_at: at },
      data: { event_type: "log_restored", generation: 2, last_in_copy: 5, last_given_out: 812, timestamp: at },
    });
    let restores = 0;
    for (const n of [1_800_000_000_000, 1_900_000_000_000]) await once(logged(n), () => void restores++);
    expect(restores).toBe(2);
  });

  test("an event whose handler failed is handled when it comes again", async () => {
    const { once } = createInOrder();
    const fail = async () => {
      throw new Error("database down");
    };
    await expect(once(told(5), fail)).rejects.toThrow("database down");
    expect(await once(told(5), () => {})).toBe(true);
    expect(await once(told(5), fail)).toBe(false);
  });

  test("a repetition waits for the attempt that is still being handled", async () => {
    const { once } = createInOrder();
    const slow = Promise.withResolvers<void>();
    let calls = 0;
    const first = once(told(5), () => {
      calls += 1;
      return slow.promise;
    });
    const second = once(told(5), () => {
      calls += 1;
    });
    const other = await once(told(6, { order_id: "another order" }), () => {});
    slow.resolve();
    expect([await first, await second, other, calls]).toEqual([true, false, true, 1]);
  });

  test("a repetition that waited behind a failing attempt is handled", async () => {
    const { once } = createInOrder();
    const first = once(told(5), async () => {
      throw new Error("database down");
    });
    const second = once(told(5), () => {});
    await expect(first).rejects.toThrow("database down");
    expect(await second).toBe(true);
  });

  test("a store outlives the process", async () => {
    const rows = new Map<string, number>();
    const store: HandledStore = {
      get: async (key) => rows.get(key) ?? null,
      put: async (key, n) => void rows.set(key, n),
    };
    expect(await createInOrder({ store }).once(told(5), () => {})).toBe(true);
    expect(await createInOrder({ store }).once(told(5), () => {})).toBe(false);
    expect([...rows]).toEqual([[`order:${event.order_id}`, 5]]);
  });

  test("webhooks and the event log count as one, and transfers by themselves", async () => {
    const { once } = createInOrder();
    const logged: OcrchEvent = {
      n: 5,
      type: "order_status_changed",
      order_id: event.order_id,
      transfer_id: null,
      created_at: at,
      data: event,
    };
    expect(await once(logged, () => {})).toBe(true);
    expect(await once(told(5), () => {})).toBe(false);
    const transfer = {
      event_type: "unknown_transfer",
      transfer_id: 3,
      order_id: event.order_id,
    } as never as WebhookEvent;
    expect(await once({ ...transfer, webhook_id: "evt_6" }, () => {})).toBe(true);
    expect(
      await once({ ...logged, n: 6, type: "unknown_transfer", transfer_id: 3 } as never as OcrchEvent, () => {}),
    ).toBe(false);
  });

  test("money that left is heard of, whatever was said of its order or of other money since", async () => {
    const { once } = createInOrder();
    const reverted = (n: number, transfer_id: number, more: object = {}) =>
      ({ event_type: "payment_reverted", transfer_id, webhook_id: `evt_${n}`, ...more }) as never as WebhookEvent;
    const handled: (string | null)[] = [];
    const take = (event: WebhookEvent) => once(event, ({ webhook_id }) => void handled.push(webhook_id));
    await take(told(9));
    await take(reverted(6, 1, { order_id: event.order_id }));
    await take(told(10));
    await take(reverted(8, 3));
    await take(reverted(7, 2));
    await take(reverted(7, 2));
    await take(told(5));
    expect(handled).toEqual(["evt_9", "evt_6", "evt_10", "evt_8", "evt_7"]);
    const logged = { n: 6, type: "payment_reverted", order_id: event.order_id, transfer_id: 1, created_at: at };
    expect(await once(logged as never as OcrchEvent, () => {})).toBe(false);
  });

  test("an event without its id is refused rather than guessed at", async () => {
    const { once } = createInOrder();
    await expect(once(told(5, { webhook_id: null }), () => {})).rejects.toThrow("webhook-id");
    await expect(once(told(5, { webhook_id: "msg_5" }), () => {})).rejects.toThrow("webhook-id");
  });
});
