// The client a shop installs, against a real server. What it signs is checked with the contract's own vectors, and
// what it verifies is signed here, without its code.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { tokens } from "../../src/domain/assets.ts";
import {
  type Admin,
  type ChainCoverage,
  createAdmin,
  createOcrch,
  createPayer,
  type Fetch,
  type Ocrch,
  OcrchError,
  type Order,
  type Payer,
} from "../../src/sdk/index.ts";
import { createSettlement } from "../../src/services/settlement.ts";
import { chainCoverageShape } from "../../src/wire/coverage.ts";
import {
  admin_secret,
  evm_wallet,
  merchant_secret,
  payUrl,
  shop_origin,
  signature,
  startTestServer,
  type TestServer,
  webhook_url,
} from "../support/server.ts";
import { closedPort, startProxy } from "../support/shop-proxy.ts";

const nobody = "01900000-0000-7000-8000-000000000000";
const window_ms = 300_000;
const stranger = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

let server: TestServer;
let ocrch: Ocrch;
beforeAll(async () => {
  server = await startTestServer();
  ocrch = createOcrch({ url: server.url, secret: merchant_secret, now: server.now });
});
afterAll(() => server.stop());

/** What a promise was refused with. */
async function refusal(
  promise: Promise<unknown>,
): Promise<{ status: number; text: string; retry_after_s: number | null }> {
  const error = await promise.then(
    (value) => new Error(`it was answered: ${JSON.stringify(value)}`),
    (error: unknown) => error,
  );
  if (!(error instanceof OcrchError)) throw error;
  const { status, text, retry_after_s } = error;
  return { status, text, retry_after_s };
}

const order = (more: object = {}) => ({ order_id: "shop-1", amount: "19.90", webhook_url, ...more });

/** A payer of an order, as its checkout page would be one. */
async function payerOf(order_id: string, more: Partial<Parameters<typeof createPayer>[0]> = {}): Promise<Payer> {
  const { url, signature } = await ocrch.signCheckoutUrl(payUrl(order_id));
  return createPayer({ url: server.url, signedUrl: url, signature, ...more });
}

describe("a shop's server", () => {
  test("creates an order, and reads it", async () => {
    const created = await ocrch.createOrder(order());
    expect(created).toEqual({
      order_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      merchant_order_id: "shop-1",
      amount: "19.90",
      status: "pending",
      created_at: Math.floor(server.now() / 1000),
    });
    expect(await ocrch.orderStatus(created.order_id)).toEqual(created);
  });

  test("has its text kept, whatever alphabet it is in", async () => {
    const merchant_order_id = "Bestellung №7 – 注文 🧾";
    const created = await ocrch.createOrder(order({ order_id: merchant_order_id }));
    expect(created.merchant_order_id).toBe(merchant_order_id);
  });

  test("repeats an order under its idempotency key, and may not change it", async () => {
    const first = await ocrch.createOrder(order({ order_id: "keyed" }), { idempotencyKey: "k-1" });
    server.advance(1000);
    expect(await ocrch.createOrder(order({ order_id: "keyed" }), { idempotencyKey: "k-1" })).toEqual(first);
    expect(await refusal(ocrch.createOrder(order({ order_id: "other" }), { idempotencyKey: "k-1" }))).toEqual({
      status: 409,
      text: "idempotency key reused with a different body",
      retry_after_s: null,
    });
  });

  test("makes orders of the same second two by their keys, and one without", async () => {
    const make = (idempotencyKey?: string) => ocrch.createOrder(order({ order_id: "double" }), { idempotencyKey });
    const made = [await make("k-2"), await make("k-3"), await make("k-2"), await make(), await make()];
    const [first, second, repeated, plain, again] = made.map(({ order_id }) => order_id);
    expect(new Set([first, second, plain]).size).toBe(3);
    expect([repeated, again]).toEqual([first, plain]);
  });

  const refusals: [string, (ocrch: Ocrch) => Promise<unknown>, number, string][] = [
    ["an amount of zero", (ocrch) => ocrch.createOrder(order({ amount: "0" })), 400, "invalid amount"],
    ["an unknown chain", (ocrch) => ocrch.createOrder(order({ blockchain: "doge" })), 400, "invalid JSON body"],
    ["an order nobody made", (ocrch) => ocrch.orderStatus(nobody), 404, "order not found"],
    ["an id that is none", (ocrch) => ocrch.orderStatus("7"), 400, "invalid JSON body"],
  ];
  test.each(refusals)("is told in Ocrch's words: %s", async (_name, act, status, text) => {
    const before = server.events().length;
    expect(await refusal(act(ocrch))).toEqual({ status, text, retry_after_s: null });
    expect(server.events()).toHaveLength(before);
  });

  test("signs a checkout URL as the contract says", async () => {
    const at = createOcrch({ url: server.url, secret: merchant_secret, now: () => 1_711_900_800_999 });
    const url = "https://checkout.example.com/pay?order_id=550e8400-e29b-41d4-a716-446655440000";
    const signature = "1711900800.1tTp2RD/IDg/xsHZIeQ8RA2ylX/D13z6pMXyoHyi0G0=";
    expect(await at.signCheckoutUrl(url)).toEqual({
      url,
      signature,
      headers: { "Ocrch-Signed-Url": url, "Ocrch-Signature": signature },
    });
    expect((await at.signCheckoutUrl(`https://Shop.example/ü ?a=ö`)).url).toBe(
      "https://shop.example/%C3%BC%20?a=%C3%B6",
    );
  });

  test.each([
    ["behind", -window_ms - 1000],
    ["ahead", window_ms + 1000],
  ])("with a clock too far %s is refused", async (_name, skew_ms) => {
    const off = createOcrch({ url: server.url, secret: merchant_secret, now: () => server.now() + skew_ms });
    expect(await refusal(off.createOrder(order()))).toMatchObject({
      status: 401,
      text: "signature verification failed",
    });
    const { url, signature } = await off.signCheckoutUrl(payUrl(nobody));
    const payer = createPayer({ url: server.url, signedUrl: url, signature });
    expect(await refusal(payer.chains())).toMatchObject({ status: 401, text: "signature expired" });
  });

  test("with a clock just inside the window is not", async () => {
    const off = createOcrch({ url: server.url, secret: merchant_secret, now: () => server.now() - window_ms });
    expect((await off.createOrder(order({ order_id: "slow clock" }))).status).toBe("pending");
  });

  test("with another secret is refused, and the error names neither secret nor body", async () => {
    const wrong = createOcrch({ url: server.url, secret: "guessed-secret", now: server.now });
    const error = await wrong.createOrder(order()).catch((error: Error) => error);
    expect(error).toMatchObject({ status: 401, message: "401 signature verification failed" });
    expect(Bun.inspect(error)).not.toContain("guessed-secret");
    expect(Bun.inspect(error)).not.toContain("your-app.example.com");
  });

  test.each([
    ["no URL", () => createOcrch({ url: "pay.example.com", secret: "s" })],
    ["another scheme", () => createOcrch({ url: "ftp://pay.example.com", secret: "s" })],
    ["no secret", () => createOcrch({ url: "https://pay.example.com", secret: "" })],
    ["no admin secret", () => createAdmin({ url: "https://pay.example.com", secret: "" })],
  ])("is stopped at once with %s", (_name, make) => {
    expect(make).toThrow(TypeError);
  });

  test("finds Ocrch below a path and behind a slash", async () => {
    const asked: string[] = [];
    const fetch: Fetch = async (url) => {
      asked.push(url);
      return Response.json([]);
    };
    await createPayer({ url: "https://shop.example/ocrch/", signedUrl: "x", signature: "1.x", fetch }).chains();
    expect(asked).toEqual(["https://shop.example/ocrch/api/v1/user/chains"]);
  });
});

describe("when the way is bad", () => {
  const created = (merchant_order_id: string) =>
    createAdmin({ url: server.url, secret: admin_secret }).orders({ merchant_order_id });

  test("an order whose answer was lost is asked for again and stays one order", async () => {
    const proxy = await startProxy(server.url);
    proxy.cutAnswers(2);
    const through = createOcrch({ url: proxy.url, secret: merchant_secret, now: server.now });
    const made = await through.createOrder(order({ order_id: "cut off" }));
    expect(proxy.requests).toHaveLength(3);
    expect(new Set(proxy.requests.map(({ signature }) => signature)).size).toBe(1);
    expect((await created("cut off")).map(({ order_id }) => order_id)).toEqual([made.order_id]);
    await proxy.stop();
  });

  test("it gives up after its retries", async () => {
    const proxy = await startProxy(server.url);
    proxy.cutAnswers(2);
    const through = createOcrch({ url: proxy.url, secret: merchant_secret, now: server.now, retries: 1 });
    expect(await refusal(through.orderStatus(nobody))).toEqual({ status: 0, text: "no answer", retry_after_s: null });
    expect(proxy.requests).toHaveLength(2);
    await proxy.stop();
  });

  test("a refusal is not tried again", async () => {
    const proxy = await startProxy(server.url);
    const through = createOcrch({ url: proxy.url, secret: merchant_secret, now: server.now });
    expect(await refusal(through.orderStatus(nobody))).toMatchObject({ status: 404 });
    expect(proxy.requests).toHaveLength(1);
    await proxy.stop();
  });

  test("no server, no answer in time, and an abort are three different things", async () => {
    const none = createOcrch({ url: `http://127.0.0.1:${await closedPort()}`, secret: "s", retries: 0 });
    expect(await refusal(none.orderStatus(nobody))).toMatchObject({ status: 0, text: "no answer" });

    const proxy = await startProxy(server.url);
    proxy.hang();
    const slow = createOcrch({ url: proxy.url, secret: "s", retries: 0, timeout_ms: 30 });
    expect(await refusal(slow.orderStatus(nobody))).toMatchObject({ status: 0, text: "no answer within 30 ms" });

    const abort = new AbortController();
    const leave: Fetch = (url, init) => {
      const answer = fetch(url, init);
      abort.abort(new Error("the visitor left"));
      return answer;
    };
    const left = createOcrch({ url: proxy.url, secret: "s", fetch: leave, retries: 0 });
    const asked = left.orderStatus(nobody, { signal: abort.signal });
    await expect(asked).rejects.toThrow("the visitor left");
    await proxy.stop();
  });

  test("a proxy's own pages are errors, and a redirect is not followed", async () => {
    const elsewhere: string[] = [];
    const stranger = Bun.serve({
      port: 0,
      fetch: (request) => {
        elsewhere.push(request.url);
        return new Response("ok");
      },
    });
    const answers: Response[] = [
      new Response("<html>", { headers: { "content-type": "text/html" } }),
      Response.redirect(`http://127.0.0.1:${stranger.port}/`, 307),
      new Response("x".repeat(10_000), { status: 403 }),
      new Response("busy", { status: 429, headers: { "Retry-After": "7" } }),
    ];
    const proxy = Bun.serve({ port: 0, fetch: () => answers.shift() ?? new Response() });
    const through = createOcrch({ url: `http://127.0.0.1:${proxy.port}`, secret: "s", retries: 0 });
    expect(await refusal(through.orderStatus(nobody))).toMatchObject({ status: 200, text: "the answer is no JSON" });
    expect(await refusal(through.orderStatus(nobody))).toMatchObject({ status: 307 });
    expect((await refusal(through.orderStatus(nobody))).text).toHaveLength(2048);
    expect(await refusal(through.orderStatus(nobody))).toEqual({ status: 429, text: "busy", retry_after_s: 7 });
    expect(elsewhere).toEqual([]);
    await proxy.stop(true);
    await stranger.stop(true);
  });
});

describe("a payer", () => {
  let made: Order;
  beforeAll(async () => {
    made = await ocrch.createOrder(order({ order_id: "for a payer", amount: "7.25" }));
  });

  test("sees what can be chosen, chooses, and gets the same answer again", async () => {
    const payer = await payerOf(made.order_id);
    expect((await payer.chains())[0]).toEqual({ blockchain: "eth", stablecoin: "USDT", wallet_address: evm_wallet });
    const detail = await payer.select(made.order_id, { blockchain: "eth", stablecoin: "USDT" });
    expect(detail).toEqual({
      order_id: made.order_id,
      wallet_address: evm_wallet,
      amount: "7.25",
      blockchain: "eth",
      stablecoin: "USDT",
    });
    expect(await payer.select(made.order_id, { blockchain: "eth", stablecoin: "USDT" })).toEqual(detail);
    expect(await payer.status(made.order_id)).toEqual(made);
  });

  test("cancels, once", async () => {
    const { order_id } = await ocrch.createOrder(order({ order_id: "given up" }));
    const payer = await payerOf(order_id);
    expect(await payer.cancel(order_id)).toMatchObject({ order_id, status: "cancelled" });
    expect(await refusal(payer.cancel(order_id))).toMatchObject({ status: 409, text: "order is not pending" });
    const choice = { blockchain: "eth", stablecoin: "USDT" } as const;
    expect(await refusal(payer.select(order_id, choice))).toMatchObject({ status: 409, text: "order is not pending" });
  });

  test("names the transaction of a payment that does not show", async () => {
    const payer = await payerOf(made.order_id);
    const txn_hash = `0x${"ab".repeat(32)}`;
    expect(await payer.claim(made.order_id, txn_hash)).toEqual({
      status: "not_found",
      text: "no such transaction was found so far; try again once it is mined",
      blockchain: null,
      txn_hash,
    });
    expect(await refusal(payer.claim(made.order_id, "0x1"))).toMatchObject({ status: 400, text: "invalid txn_hash" });
  });

  test("cannot touch another order with its signature", async () => {
    const { order_id } = await ocrch.createOrder(order({ order_id: "somebody else's" }));
    const payer = await payerOf(made.order_id);
    expect(await refusal(payer.status(order_id))).toMatchObject({ status: 404, text: "order not found" });
    expect(await refusal(payer.follow(order_id))).toMatchObject({ status: 404, text: "order not found" });
    expect((await ocrch.orderStatus(order_id)).status).toBe("pending");
  });

  test("with a signed URL in any alphabet is understood", async () => {
    const page = `${shop_origin}/zahlen/grün?order_id=${made.order_id}`;
    const { headers } = await ocrch.signCheckoutUrl(page);
    const signed = { url: headers["Ocrch-Signed-Url"], signature: headers["Ocrch-Signature"] };
    // A backend that signs by itself may sign the page as people write it.
    const raw = { url: page, signature: signature("url", page, Math.floor(server.now() / 1000)) };
    for (const { url, signature } of [signed, raw]) {
      const payer = createPayer({ url: server.url, signedUrl: url, signature });
      expect((await payer.status(made.order_id)).status).toBe("pending");
      const abort = new AbortController();
      const followed = payer.follow(made.order_id, { signal: abort.signal, onStatus: () => abort.abort() });
      await expect(followed).rejects.toThrow("abort");
    }
  });

  test("whose signature has expired asks for a new one, once for all its requests", async () => {
    let asked = 0;
    const payer = await payerOf(made.order_id, {
      refresh: async () => {
        asked += 1;
        return ocrch.signCheckoutUrl(payUrl(made.order_id));
      },
    });
    const old = await payerOf(made.order_id);
    server.advance(window_ms + 1000);
    const answers = await Promise.all([payer.status(made.order_id), payer.status(made.order_id), payer.chains()]);
    expect(answers[0]).toEqual(made);
    expect(asked).toBe(1);
    expect(await refusal(old.status(made.order_id))).toMatchObject({ status: 401, text: "signature expired" });
    expect(await refusal(old.follow(made.order_id))).toMatchObject({ status: 401, text: "signature expired" });
  });
});

describe("following an order", () => {
  /** Follows in the background; `seen` resolves at the first status. */
  function follow(payer: Payer, order_id: string, options: Parameters<Payer["follow"]>[1] = {}) {
    const statuses: string[] = [];
    const seen = Promise.withResolvers<void>();
    const end = payer.follow(order_id, {
      ...options,
      onStatus: ({ status }) => {
        statuses.push(status);
        seen.resolve();
      },
    });
    return { statuses, seen: seen.promise, end };
  }
  const fresh = () => ocrch.createOrder(order({ order_id: `followed ${Bun.nanoseconds()}` }));

  test("over a socket tells each status once and ends with the order", async () => {
    const { order_id } = await fresh();
    const live = follow(await payerOf(order_id), order_id);
    await live.seen;
    await cancel(order_id);
    expect(await live.end).toMatchObject({ order_id, status: "cancelled" });
    expect(live.statuses).toEqual(["pending", "cancelled"]);
  });

  test("of an ended order ends at once", async () => {
    const { order_id } = await fresh();
    await cancel(order_id);
    const live = follow(await payerOf(order_id), order_id);
    expect(await live.end).toMatchObject({ status: "cancelled" });
    expect(live.statuses).toEqual(["cancelled"]);
  });

  test("where a proxy lets no socket through asks instead", async () => {
    const { order_id } = await fresh();
    const proxy = await startProxy(server.url);
    const live = follow(await payerOf(order_id, { url: proxy.url }), order_id, { poll_ms: 20 });
    await live.seen;
    await proxy.waitForMore(8);
    await cancel(order_id);
    expect(await live.end).toMatchObject({ order_id, status: "cancelled" });
    expect(live.statuses).toEqual(["pending", "cancelled"]);
    expect(proxy.upgrades).toBeGreaterThanOrEqual(3);
    // Three in a row, then only now and then.
    expect(proxy.upgrades).toBeLessThan(proxy.requests.length);
    await proxy.stop();
  });

  test("without any WebSocket asks, through failures, and goes on with a new signature", async () => {
    const { order_id } = await fresh();
    const proxy = await startProxy(server.url);
    const errors: OcrchError[] = [];
    let refreshed = 0;
    const payer = await payerOf(order_id, {
      url: proxy.url,
      WebSocket: null,
      refresh: () => {
        refreshed += 1;
        return ocrch.signCheckoutUrl(payUrl(order_id));
      },
    });
    const live = follow(payer, order_id, { poll_ms: 10, onError: (error) => errors.push(error) });
    await live.seen;
    proxy.cutAnswers(1);
    await proxy.waitForMore(2);
    server.advance(window_ms + 1000);
    await proxy.waitForMore(3);
    await cancel(order_id);
    expect(await live.end).toMatchObject({ status: "cancelled" });
    expect(live.statuses).toEqual(["pending", "cancelled"]);
    expect(errors.map(({ status }) => status)).toEqual([0]);
    expect(refreshed).toBe(1);
    expect(proxy.upgrades).toBe(0);
    await proxy.stop();
  });

  test("ends when its signal aborts, and leaves no socket behind", async () => {
    const { order_id } = await fresh();
    const abort = new AbortController();
    const sockets: WebSocket[] = [];
    const Recorded = class extends WebSocket {
      constructor(url: string) {
        super(url);
        sockets.push(this);
      }
    };
    const live = follow(await payerOf(order_id, { WebSocket: Recorded }), order_id, { signal: abort.signal });
    await live.seen;
    const closed = new Promise((resolve) => sockets[0]?.addEventListener("close", resolve));
    abort.abort(new Error("page closed"));
    await expect(live.end).rejects.toThrow("page closed");
    await closed;
    expect(sockets).toHaveLength(1);
    expect(live.statuses).toEqual(["pending"]);
  });

  test("hands on what the page's own handler throws", async () => {
    const { order_id } = await fresh();
    const payer = await payerOf(order_id);
    const onStatus = () => {
      throw new Error("the page is broken");
    };
    await expect(payer.follow(order_id, { onStatus })).rejects.toThrow("the page is broken");
  });
});

/** Cancels as the payer does. */
async function cancel(order_id: string): Promise<void> {
  await (await payerOf(order_id)).cancel(order_id);
}

describe("an operator's tool", () => {
  let admin: Admin;
  beforeAll(() => {
    admin = createAdmin({ url: server.url, secret: admin_secret });
  });

  test("lists orders, deposits, transfers and wallets with their filters", async () => {
    const { order_id } = await ocrch.createOrder(order({ order_id: "listed ü&x=1", amount: "3.50" }));
    const listed = await admin.orders({ merchant_order_id: "listed ü&x=1", status: "pending", limit: 1 });
    expect(listed).toEqual([
      {
        order_id,
        merchant_order_id: "listed ü&x=1",
        amount: "3.50",
        status: "pending",
        created_at: Math.floor(server.now() / 1000),
        webhook_url,
        webhook_retry_count: 0,
        webhook_success_at: null,
        webhook_last_tried_at: null,
      },
    ]);
    expect(await admin.orders({ merchant_order_id: "listed ü&x=1", status: "paid" })).toEqual([]);
    expect(await admin.orders({ limit: 2 })).toHaveLength(2);
    expect((await admin.orders({ limit: 1, offset: 1 }))[0]?.order_id).toBe((await admin.orders())[1]?.order_id ?? "");

    await (await payerOf(order_id)).select(order_id, { blockchain: "polygon", stablecoin: "DAI" });
    const deposits = await admin.deposits({ order_id, blockchain: "polygon", token: "DAI" });
    expect(deposits).toMatchObject([{ order_id, value: "3.50", user_address: null, wallet_address: evm_wallet }]);
    expect(await admin.deposits({ order_id, token: "USDT" })).toEqual([]);
    expect(await admin.transfers(evm_wallet, { status: "matched", blockchain: "eth", token: "USDT" })).toEqual([]);
    expect(await admin.transfers(evm_wallet, { unaccepted: true })).toEqual([]);
    expect((await admin.wallets()).map(({ blockchain }) => blockchain)).toEqual(["eth", "polygon", "tron"]);
  });

  test("is told what is accounted for, with every field as the server writes it", async () => {
    const written: ChainCoverage[] = server.operator.coverage("eth").map(chainCoverageShape);
    expect(written).toHaveLength(1);
    expect(written[0]?.wallets.map(({ address, token }) => [address, token])).toContainEqual([evm_wallet, "USDT"]);
    expect(await admin.coverage({ blockchain: "eth" })).toEqual(written);
    expect((await admin.coverage()).map(({ blockchain }) => blockchain)).toEqual(["eth", "polygon", "tron"]);
  });

  test("marks an order paid once, and sends its webhook again when asked", async () => {
    const { order_id } = await ocrch.createOrder(order({ order_id: "in cash" }));
    const statuses = () =>
      server.events().filter((event) => event.order_id === order_id && event.type === "order_status_changed");
    expect(await admin.markPaid(order_id)).toMatchObject({ order_id, status: "paid" });
    expect(await admin.markPaid(order_id)).toMatchObject({ order_id, status: "paid" });
    expect(statuses()).toHaveLength(1);
    expect(await admin.resendWebhook(order_id)).toBeUndefined();
    expect(statuses()).toHaveLength(2);
  });

  test("credits money that waits for a person, takes it back, and closes the case", async () => {
    const { order_id } = await ocrch.createOrder(order({ order_id: "paid in part", amount: "8.00" }));
    const block = { number: 1, hash: "0xb1", time: Math.floor(server.now() / 1000) };
    const settlement = createSettlement(server);
    const [row] = await settlement.admit(
      [
        {
          ...{
            chain: "eth",
            token: tokens.eth[0]?.address ?? "",
            sender: stranger,
            wallet: evm_wallet,
          },
          ...{ units: 3_000_000n, tx_hash: "0x1", log_index: 0, position: 0, block },
        },
      ],
      "test",
    );
    const id = row?.id ?? 0;
    await settlement.confirm("eth", [{ id, block_hash: block.hash, verdict: "confirmed" }]);
    expect(await admin.inbox({ reason: "short", blockchain: "eth", dust: true, limit: 1 })).toMatchObject([
      { id, reason_text: "less than the order asks for, and nothing says whose it is" },
    ]);
    expect(await admin.inbox({ reason: "late" })).toEqual([]);
    expect(await admin.assign(id, order_id, "by phone")).toMatchObject({
      transfer: { id, status: "matched" },
      order: { order_id, status: "pending" },
    });
    expect(await admin.inbox()).toEqual([]);
    expect(await admin.unassign(id)).toMatchObject({ transfer: { status: "waiting_for_match" }, order: { order_id } });
    expect(await admin.dismiss(id, "sent back")).toMatchObject({ id, value: "3" });
    expect(await refusal(admin.assign(99, order_id))).toMatchObject({ status: 404, text: "resource not found" });
  });

  test.each([
    ["an unknown order", (admin: Admin) => admin.markPaid(nobody), 404, "resource not found"],
    ["no id at all", (admin: Admin) => admin.resendWebhook("../wallets"), 400, "invalid order_id"],
    ["an unknown transfer", (admin: Admin) => admin.resendTransferWebhook(7), 404, "resource not found"],
  ])("is told in Ocrch's words: %s", async (_name, act, status, text) => {
    expect(await refusal(act(admin))).toMatchObject({ status, text });
  });

  test("with another secret is refused; a secret may be in any alphabet", async () => {
    const wrong = createAdmin({ url: server.url, secret: "wrong" });
    expect(await refusal(wrong.wallets())).toMatchObject({ status: 401, text: "invalid admin secret" });

    const secret = "пароль-パス-🔑";
    const secret_hash = await Bun.password.hash(secret, { algorithm: "argon2id", memoryCost: 8, timeCost: 1 });
    const other = await startTestServer({ settings: { admin: { secret_hash } } });
    expect(await createAdmin({ url: other.url, secret }).wallets()).toHaveLength(3);
    await other.stop();
  });
});
