// Webhooks and proofs out of the outbox: real receivers on loopback, a clock moved by hand.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { type Config, liveConfig } from "../../src/config/config.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { retry_delays_s } from "../../src/domain/events.ts";
import { aboutProof, rejectionIn } from "../../src/opencharge/wire/proof-delivery.ts";
import { createOutbound } from "../../src/outbound.ts";
import { createDelivery, type Delivery } from "../../src/services/delivery.ts";
import { createOperator } from "../../src/services/operator.ts";
import { createPaymentRules } from "../../src/services/payment-rules.ts";
import { recordTransition } from "../../src/storage/ledger.ts";
import { insertOrder } from "../../src/storage/orders.ts";
import { lastEvent, queueProof } from "../../src/storage/outbox.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld } from "../../src/world.ts";
import { configText } from "../support/appliance.ts";
import { type Merchant, startMerchant } from "../support/merchant.ts";
import { type TempDatabase, tempDatabase } from "../support/temp-database.ts";

const start_time = 1_790_000_000_000;
let clock = start_time;
let temp: TempDatabase;
let delivery: Delivery;
let merchants: Merchant[] = [];
let settings: Config;
let room = Promise.withResolvers<void>();
let log: string[] = [];
/** Under which headers a proof leaves; null: under nobody's. */
let proof_headers: Record<string, string> | null = {};

function merchant(): Merchant {
  const one = startMerchant();
  merchants.push(one);
  return one;
}

beforeEach(() => {
  clock = start_time;
  log = [];
  proof_headers = {};
  temp = tempDatabase({ now: () => clock });
  const wallet = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
  const { draft, problems } = parseConfig(
    configText({ chains: { eth: { rpc_urls: ["http://127.0.0.1:9"], wallets: [wallet], tokens: usdt } } }),
    "/tmp/ocrch-delivery.toml",
  );
  if (draft === null) throw new Error(problems.join("\n"));
  settings = { ...draft, admin: { secret_hash: "" } };
  build();
});
const usdt = { USDT: { address: "0xdAC17F958D2ee523a2206206994597C13D831ec7", decimals: 6 } };

function build(): void {
  const world = { ...realWorld(), now: () => clock, warn: (line: string) => void log.push(line) };
  delivery = createDelivery({
    database: temp.database,
    config: liveConfig(settings),
    outbound: createOutbound({ world }),
    world,
    telemetry: createTelemetry(world),
    eventLog: { keep: () => void kept.push(temp.database.read(lastEvent)) },
    onRoom: () => room.resolve(),
    proofs: { sign: () => proof_headers, about: aboutProof, rejectionIn },
  });
}

afterEach(async () => {
  for (const one of merchants) await one.stop();
  merchants = [];
  await delivery.stop();
  await temp.close();
});

/** Sends what is due and waits until those attempts are recorded. */
async function send(): Promise<void> {
  await delivery.sendDue();
  await delivery.stop();
  build();
}

/** The newest event number at each keeping of it. */
const kept: number[] = [];

let orders = 0;
async function cancelledOrder(webhook_url: string): Promise<string> {
  orders += 1;
  const id = `00000000-0000-7000-8000-${String(orders).padStart(12, "0")}`;
  await temp.database.transact((tx) => {
    insertOrder(tx, {
      id,
      merchant_order_id: `m-${orders}`,
      amount: "19.90",
      chain: null,
      coin: null,
      sender: null,
      webhook_url,
      expires_at: tx.now + 1000,
    });
    recordTransition(tx, id, "cancel");
  });
  return id;
}

const resend = (id: string) => {
  const config = liveConfig(settings);
  const operator = createOperator({ ...createPaymentRules({ config }), database: temp.database, config });
  return operator.resendOrder(id, "test");
};

function waiting(): { state: string; failures: number; next_at: number }[] {
  return temp.database.read((at) => at.live().all("SELECT state, failures, next_at FROM deliveries ORDER BY id"));
}

describe("a webhook that was planned before the clock was set back by hours", () => {
  test("is sent at once, the first time as well as again", async () => {
    clock += 5 * 3_600_000;
    const shop = merchant();
    const failing = merchant();
    failing.answerWith(() => 500);
    const [fresh, again] = [await cancelledOrder(shop.webhook_url), await cancelledOrder(failing.webhook_url)];
    clock = start_time;
    await send();
    expect(shop.received.map(({ body }) => body.order_id)).toEqual([fresh]);
    expect(failing.received.map(({ body }) => body.order_id)).toEqual([again]);
    expect(waiting()).toMatchObject([{ state: "delivered" }, { state: "waiting", next_at: start_time + 1000 }]);
  });

  test("waits no longer than for its usual retry", async () => {
    const failing = merchant();
    failing.answerWith(() => 500);
    clock += 5 * 3_600_000;
    await cancelledOrder(failing.webhook_url);
    await send();
    clock = start_time;
    await send();
    expect(failing.received).toHaveLength(2);
    await send();
    expect(failing.received).toHaveLength(2);
    clock += 2000;
    await send();
    expect(failing.received).toHaveLength(3);
  });
});

describe("a webhook", () => {
  test("carries the order event, signed in both styles, stamped with the time of the attempt", async () => {
    const shop = merchant();
    const id = await cancelledOrder(shop.webhook_url);
    clock += 5000;
    await send();
    expect(shop.received).toHaveLength(1);
    expect(shop.received[0]?.verified).toBe(true);
    expect(JSON.stringify(shop.received[0]?.body)).toBe(
      `{"event_type":"order_status_changed","order_id":"${id}","merchant_order_id":"m-${orders}","status":"cancelled","amount":"19.90","timestamp":${start_time / 1000}}`,
    );
    expect(waiting()[0]).toMatchObject({ state: "delivered", failures: 0 });
    await send();
    expect(shop.received).toHaveLength(1);
  });

  test("leaves only after the number it carries was kept beside the database", async () => {
    const shop = merchant();
    const known: number[] = [];
    shop.answerWith(({ id }) => {
      known.push(...kept.filter((n) => id === `evt_${n}`));
      return 200;
    });
    await cancelledOrder(shop.webhook_url);
    const last = temp.database.read(lastEvent);
    kept.length = 0;
    await send();
    expect(known).toEqual([last]);
  });

  test("is tried 13 times on its schedule, then given up, every attempt recorded", async () => {
    const shop = merchant();
    shop.answerWith(() => 500);
    await cancelledOrder(shop.webhook_url);
    for (const delay of [0, ...retry_delays_s]) {
      clock += delay * 1000 - 1;
      const before = shop.received.length;
      if (delay > 0) await send();
      expect(shop.received.length).toBe(before);
      clock += 1;
      await send();
      expect(shop.received.length).toBe(before + 1);
    }
    expect(waiting()[0]).toMatchObject({ state: "gave_up", failures: 13 });
    expect(new Set(shop.received.map((one) => one.id)).size).toBe(1);
    clock += 10_000_000;
    await send();
    expect(shop.received).toHaveLength(13);
    const attempts = temp.database.read((at) => at.live().all("SELECT status, error FROM attempts"));
    expect(attempts).toEqual(Array.from({ length: 13 }, () => ({ status: 500, error: "not_accepted" })));
  });

  const answers: [status: number, strict: boolean, state: string][] = [
    [200, false, "delivered"],
    [204, false, "delivered"],
    [299, false, "delivered"],
    [301, false, "waiting"],
    [404, false, "waiting"],
    [200, true, "delivered"],
    [202, true, "waiting"],
  ];
  test.each(answers)("answered with %p (strict: %p) is %s", async (status, strict, state) => {
    settings = { ...settings, webhooks: { ...settings.webhooks, success: strict ? "200" : "2xx" } };
    build();
    const shop = merchant();
    shop.answerWith(() => status);
    await cancelledOrder(shop.webhook_url);
    await send();
    expect(waiting()[0]?.state).toBe(state);
  });

  const odd_bodies: [name: string, status: string, more: string, state: string, body_error: string | undefined][] = [
    ["is truncated", "200 OK", "Content-Length: 100\r\n\r\nshort", "delivered", "ECONNRESET"],
    ["never begins", "200 OK", "Content-Length: 100\r\n\r\n", "delivered", "ECONNRESET"],
    ["is longer than stated", "200 OK", "Content-Length: 2\r\n\r\nlonger", "delivered", undefined],
    ["ends inside a chunk", "200 OK", "Transfer-Encoding: chunked\r\n\r\n9\r\nsh", "delivered", "ECONNRESET"],
    ["is no chunk", "200 OK", "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "delivered", "InvalidHTTPResponse"],
    ["is no gzip", "200 OK", "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain", "delivered", "ZlibError"],
    ["is no brotli", "204 OK", "Content-Encoding: br\r\nContent-Length: 5\r\n\r\nplain", "delivered", undefined],
    ["is truncated", "500 No", "Content-Length: 100\r\n\r\nshort", "waiting", "ECONNRESET"],
  ];
  test.each(odd_bodies)(
    "whose answer's body %s counts by its status, %s",
    async (_, status, more, state, body_error) => {
      const shop = Bun.listen({
        hostname: "127.0.0.1",
        port: 0,
        socket: {
          data(socket) {
            socket.end(`HTTP/1.1 ${status}\r\n${more}`);
          },
        },
      });
      await cancelledOrder(`http://127.0.0.1:${shop.port}/hook`);
      await send();
      shop.stop(true);
      expect(waiting()[0]?.state).toBe(state);
      expect(temp.database.read((at) => at.live().all("SELECT status FROM attempts"))).toEqual([
        { status: Number(status.slice(0, 3)) },
      ]);
      expect(/body_error=(\w+)/.exec(log.join())?.[1]).toBe(body_error);
    },
  );

  test("whose answer's body never ends is delivered at the time limit", async () => {
    settings = { ...settings, webhooks: { ...settings.webhooks, timeout_ms: 300 } };
    build();
    const shop = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => new Response(new ReadableStream({ start: (body) => body.enqueue("begun") })),
    });
    await cancelledOrder(`http://127.0.0.1:${shop.port}/hook`);
    await send();
    await shop.stop(true);
    expect(waiting()[0]?.state).toBe("delivered");
    expect(log.join()).toContain("body_error=outbound_timeout");
  });

  const redirects: [location: string | null, said: string][] = [
    ["https://shop.example.com/hook/?token=hush", "redirected to https://shop.example.com/hook/;"],
    ["https://user:hush@shop.example.com:8443/a#hush", "redirected to https://shop.example.com:8443/a;"],
    ["/login?next=hush", "redirected to http://HOST/login;"],
    ["//shop.example.com/hook/a1b2c3d4e5f6a7b8-hush/paid", "redirected to http://shop.example.com/hook/.../paid;"],
    ["mailto:hush@shop.example.com", "redirected without saying where to;"],
    [null, "redirected without saying where to;"],
  ];
  test.each(redirects)("redirected to %p says where, and that this is not followed", async (location, said) => {
    const shop = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => new Response(null, { status: 308, headers: location === null ? {} : { location } }),
    });
    const { host } = shop.url;
    await cancelledOrder(`http://${host}/hook`);
    await send();
    await shop.stop(true);
    const line = log.find((one) => one.includes("webhook_failed"));
    expect(line).toContain("status=308 error=not_accepted");
    expect(line).toContain(`${said.replace("HOST", host)} redirects are not followed`);
    expect(line).not.toContain("hush");
  });

  test("to an endpoint that hangs fails at its time limit", async () => {
    settings = { ...settings, webhooks: { ...settings.webhooks, timeout_ms: 100 } };
    build();
    const shop = merchant();
    shop.answerWith(() => new Promise(() => {}));
    await cancelledOrder(shop.webhook_url);
    await send();
    expect(temp.database.read((at) => at.live().all("SELECT error FROM attempts"))).toEqual([
      { error: "outbound_timeout" },
    ]);
  });

  test("to a private address is refused before anything is sent, unless private targets are allowed", async () => {
    settings = { ...settings, webhooks: { ...settings.webhooks, allow_private_targets: false } };
    build();
    const shop = merchant();
    await cancelledOrder(shop.webhook_url);
    await send();
    expect(shop.received).toHaveLength(0);
    expect(temp.database.read((at) => at.live().all("SELECT error FROM attempts"))).toEqual([
      { error: "target_refused" },
    ]);
  });
});

describe("while the merchant changes the secret", () => {
  /** The headers of the one webhook sent under these secrets, and its body. */
  async function sentWith(secret: string, previous_secret: string | null) {
    settings = { ...settings, merchant: { ...settings.merchant, secret, previous_secret } };
    build();
    const seen = Promise.withResolvers<{ headers: Headers; body: string }>();
    const receiver = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      async fetch(request) {
        seen.resolve({ headers: request.headers, body: await request.text() });
        return new Response(null, { status: 204 });
      },
    });
    await cancelledOrder(`http://127.0.0.1:${receiver.port}/hook`);
    await send();
    await receiver.stop(true);
    return seen.promise;
  }

  const mac = (secret: string, text: string) => createHmac("sha256", secret).update(text).digest("base64");

  test("a webhook is signed by both as Standard Webhooks, the current one first, and by the current one alone as ours", async () => {
    const { headers, body } = await sentWith("new secret", "old secret");
    const seconds = start_time / 1000;
    const message = `${headers.get("webhook-id")}.${seconds}.${body}`;
    expect(headers.get("webhook-signature")).toBe(`v1,${mac("new secret", message)} v1,${mac("old secret", message)}`);
    expect(headers.get("ocrch-signature")).toBe(`${seconds}.${mac("new secret", `${seconds}.${body}`)}`);
  });

  test("and after it, a webhook has one signature", async () => {
    const { headers, body } = await sentWith("new secret", null);
    const message = `${headers.get("webhook-id")}.${start_time / 1000}.${body}`;
    expect(headers.get("webhook-signature")).toBe(`v1,${mac("new secret", message)}`);
  });
});

describe("the order of events", () => {
  test("a later event waits until the earlier one was delivered, and makes it due at once", async () => {
    const shop = merchant();
    shop.answerWith(() => 500);
    const id = await cancelledOrder(shop.webhook_url);
    await send();
    clock += 500;
    await resend(id);
    shop.answerWith(() => 200);
    await send();
    expect(shop.received).toHaveLength(2);
    expect(shop.received[1]?.id).toBe(shop.received[0]?.id as string);
    await send();
    expect(shop.received).toHaveLength(3);
    expect(shop.received[2]?.id).not.toBe(shop.received[0]?.id as string);
  });

  test("an older event that keeps failing holds a newer one back for one attempt", async () => {
    const shop = merchant();
    const id = await cancelledOrder(shop.webhook_url);
    const older = temp.database.read(lastEvent);
    shop.answerWith(({ id }) => (id === `evt_${older}` ? 500 : 200));
    for (let round = 0; round < 5; round++) {
      await send();
      clock += 20_000;
    }
    expect(shop.received.map((one) => one.id)).toEqual(Array(5).fill(`evt_${older}`));
    await resend(id);
    await send();
    await send();
    expect(shop.received.slice(5).map((one) => one.id)).toEqual([`evt_${older}`, `evt_${older + 1}`]);
    expect(waiting()).toMatchObject([{ state: "waiting", failures: 6 }, { state: "delivered" }]);
    clock += 64_000;
    await send();
    expect(shop.received.at(-1)?.id).toBe(`evt_${older}`);
  });

  test("a newer event waits a minute at most for an attempt of an older one to end", async () => {
    const shop = merchant();
    shop.answerWith(() => new Promise(() => {}));
    const id = await cancelledOrder(shop.webhook_url);
    const older = temp.database.read(lastEvent);
    await delivery.sendDue();
    await shop.awaitWebhook(() => true);
    await resend(id);
    clock += 59_999;
    await delivery.sendDue();
    clock += 1;
    await delivery.sendDue();
    await shop.awaitWebhook((one) => one.id === `evt_${older + 1}`);
    expect(shop.received.map((one) => one.id)).toEqual([`evt_${older}`, `evt_${older + 1}`]);
    expect((shop.received[1]?.at ?? 0) - (shop.received[0]?.at ?? 0)).toBeLessThan(30_000);
    await shop.stop();
  });

  test("an older and a newer event that both failed are tried again one after the other", async () => {
    const shop = merchant();
    shop.answerWith(() => 500);
    const id = await cancelledOrder(shop.webhook_url);
    const older = temp.database.read(lastEvent);
    await resend(id);
    await send();
    await send();
    clock += 10_000;
    shop.answerWith(() => 200);
    await send();
    await send();
    expect(shop.received.map((one) => one.id)).toEqual([0, 1, 0, 1].map((n) => `evt_${older + n}`));
  });

  test("of one order never has two attempts at once", async () => {
    const shop = merchant();
    const answers: (() => void)[] = [];
    shop.answerWith(() => new Promise((resolve) => void answers.push(() => resolve(200))));
    const id = await cancelledOrder(shop.webhook_url);
    await resend(id);
    await delivery.sendDue();
    await delivery.sendDue();
    await shop.awaitWebhook(() => true);
    expect(shop.received).toHaveLength(1);
    room = Promise.withResolvers();
    answers[0]?.();
    await room.promise;
    await delivery.sendDue();
    await shop.awaitWebhook((one) => one.id !== shop.received[0]?.id);
    answers[1]?.();
    await send();
    expect(shop.received).toHaveLength(2);
  });
});

describe("a dead endpoint", () => {
  test("delays nobody else, whatever waits for it", async () => {
    const dead = merchant();
    dead.answerWith(() => new Promise(() => {}));
    const alive = merchant();
    for (let index = 0; index < 50; index++) await cancelledOrder(dead.webhook_url);
    await cancelledOrder(alive.webhook_url);
    await delivery.sendDue();
    await alive.awaitWebhook(() => true);
    expect(dead.received.length).toBeLessThanOrEqual(4);
    await dead.stop();
  });

  test("gets one attempt at a time after five failures in a row", async () => {
    const dead = merchant();
    dead.answerWith(() => 500);
    for (let index = 0; index < 12; index++) await cancelledOrder(dead.webhook_url);
    const rounds: number[] = [];
    for (let round = 0; round < 4; round++) {
      const before = dead.received.length;
      await delivery.sendDue();
      await dead.awaitWebhook(() => dead.received.length > before);
      await Promise.all(Array.from({ length: 5 }, () => new Promise((resolve) => setImmediate(resolve))));
      while (waiting().filter((row) => row.failures > 0).length < dead.received.length) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      rounds.push(dead.received.length - before);
    }
    expect(rounds).toEqual([4, 4, 1, 1]);
  });
});

describe("a proof", () => {
  const envelope = (reference: string) => {
    const to = { ocid: 600, reference };
    const proof = { txid: `oc_${reference}`, issuer: 501, from: { ocid: 501 }, to, amount: "9.00", currency: "USD" };
    return JSON.stringify({ proof: { ...proof, timestamp: start_time / 1000 }, signature: "ab" });
  };
  const queue = (urls: readonly string[], reference = "A1") =>
    temp.database.transact((tx) => {
      for (const url of urls) queueProof(tx, url, envelope(reference));
    });

  /** A host where one receiver lives at each path; what `answer` says of a path, or nothing at all. */
  function hostOf(answer: (path: string) => Response | null) {
    const asked: string[] = [];
    const server = Bun.serve({
      ...{ hostname: "127.0.0.1", port: 0, development: false },
      fetch(request) {
        const { pathname } = new URL(request.url);
        asked.push(pathname);
        return answer(pathname) ?? new Promise<Response>(() => {});
      },
    });
    return { asked, at: (path: string) => `http://127.0.0.1:${server.port}${path}`, stop: () => server.stop(true) };
  }
  const until = async (holds: () => boolean) => {
    while (!holds()) await Bun.sleep(1);
  };

  test("waits for none to another address, though both are at one host", async () => {
    const host = hostOf((path) => (path === "/b" ? Response.json({ status: "accepted", txid: "x" }) : null));
    await queue(Array(40).fill(host.at("/a")));
    clock += 1;
    await queue([host.at("/b")]);
    await delivery.sendDue();
    await until(() => host.asked.includes("/b") && host.asked.length >= 5);
    expect(host.asked.sort()).toEqual(["/a", "/a", "/a", "/a", "/b"]);
    await host.stop();
  });

  test("leaves room for the shop's webhooks, however many addresses do not answer", async () => {
    const host = hostOf(() => null);
    const shop = merchant();
    await queue(Array.from({ length: 80 * 4 }, (_, n) => host.at(`/${n % 80}`)));
    // By this name it comes after all the others.
    await cancelledOrder(shop.webhook_url.replace("127.0.0.1", "localhost"));
    await delivery.sendDue();
    await shop.awaitWebhook(() => true);
    await until(() => host.asked.length >= 128);
    expect(host.asked).toHaveLength(128);
    await host.stop();
  });

  test("gets the room of one that has ended, to the last of them", async () => {
    const host = hostOf(() => Response.json({ status: "accepted", txid: "x" }));
    await queue(Array.from({ length: 80 * 4 }, (_, n) => host.at(`/${n % 80}`)));
    while (waiting().some(({ state }) => state === "waiting")) {
      await delivery.sendDue();
      await Bun.sleep(1);
    }
    expect(host.asked).toHaveLength(320);
    await host.stop();
  });

  test("answered with 200 is delivered, though the answer's body is truncated", async () => {
    const receiver = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (socket) => void socket.end("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{") },
    });
    await queue([`http://127.0.0.1:${receiver.port}/a`]);
    await send();
    receiver.stop(true);
    expect(waiting()[0]?.state).toBe("delivered");
    expect(log.at(-1)).toMatch(/proof_delivered .*body_error=ECONNRESET/);
  });

  test("that nobody can sign waits for as long as it takes, and is not counted as tried", async () => {
    const host = hostOf(() => Response.json({ status: "accepted", txid: "x" }));
    proof_headers = null;
    await queue([host.at("/a")]);
    for (let minutes = 0; minutes < 100; minutes++) {
      await send();
      clock += 60_000;
    }
    expect(waiting()).toEqual([{ state: "waiting", failures: 0, next_at: clock }]);
    expect(temp.database.read((at) => at.live().all("SELECT * FROM attempts"))).toEqual([]);
    expect(log.at(-1)).toMatch(/proof_waits .*oc_A1.*no_identity/);
    proof_headers = {};
    await send();
    expect([host.asked, waiting()[0]?.state]).toEqual([["/a"], "delivered"]);
    await host.stop();
  });

  const words: [event: string, answer: () => Response][] = [
    ["proof_failed", () => new Response("no", { status: 404 })],
    ["proof_rejected", () => Response.json({ status: "rejected", txid: "x", message: "Order already paid" })],
  ];
  test.each(words)("that nobody took is told as %s, with its txid and order", async (event, answer) => {
    const host = hostOf(answer);
    await queue([host.at("/secret-path")], "ord-77");
    await send();
    const line = log.find((line) => line.includes(event));
    expect(line).toContain("oc_ord-77");
    expect(line).toMatch(/order"?[=:]"?ord-77/);
    expect(line).not.toContain("secret-path");
    await host.stop();
  });

  test("to a private address is refused before anything is sent, unless private targets are allowed", async () => {
    const host = hostOf(() => Response.json({ status: "accepted", txid: "x" }));
    settings = { ...settings, webhooks: { ...settings.webhooks, allow_private_targets: false } };
    build();
    await queue([host.at("/a")]);
    await send();
    expect(host.asked).toEqual([]);
    expect(temp.database.read((at) => at.live().all("SELECT error FROM attempts"))).toEqual([
      { error: "target_refused" },
    ]);
    await host.stop();
  });
});

test("a log line of a delivery names the origin, never the path, query or credentials", async () => {
  const shop = merchant();
  const url = shop.webhook_url.replace("http://", "http://user:pass-word@").concat("?token=very-secret");
  await cancelledOrder(url);
  await send();
  const text = log.join("\n");
  expect(text).toContain("webhook_delivered");
  for (const secret of ["pass-word", "very-secret", "test-merchant-secret", "/webhooks/ocrch"])
    expect(text).not.toContain(secret);
});
