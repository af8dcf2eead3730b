// Orders that the shop's own backend approves and prices: what it is asked, under which signature, what it may answer,
// and what becomes of the order when it does not answer at all. The backend is real HTTP on loopback.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OpenchargeSettings } from "../../src/opencharge/config/settings.ts";
import { networkOrderName } from "../../src/opencharge/domain/order-names.ts";
import { realWorld } from "../../src/world.ts";
import { type Answer, type Party, startParty } from "../support/opencharge/party.ts";
import { type Shop, shop_ocid, shop_secret, startShop } from "../support/opencharge/shop.ts";
import { type Fields, isSignedBy, type Json, publicKeyOf, spell } from "../support/opencharge/spelling.ts";
import { testConfig } from "../support/server.ts";

/** What a wait for a backend shrinks to here. */
const patience_ms = 300;

interface Question {
  headers: Headers;
  text: string;
  body: Fields;
}

type Decision = (asked: Question) => Response | Promise<Response>;

let shop: Shop;
let app: Party;
let other: Party;
let backend: ReturnType<typeof startBackend>;
let counter = 0;

function startBackend() {
  const asked: Question[] = [];
  let decide: Decision = () => Response.json({ approved: true, amount: "15.00" });
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    development: false,
    async fetch(request) {
      const text = await request.text();
      const question = { headers: request.headers, text, body: JSON.parse(text) as Fields };
      asked.push(question);
      return decide(question);
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}/approve`,
    asked,
    decide(next: Decision) {
      decide = next;
    },
    says: (answer: Json) => {
      decide = () => Response.json(answer);
    },
    stop: () => server.stop(true),
  };
}

beforeAll(async () => {
  backend = startBackend();
  shop = await startShop({ world: { timer: (ms, act) => realWorld().timer(Math.min(ms, patience_ms), act) } });
  app = startParty({ ocid: 200, role: "payment_app", now: shop.now });
  other = startParty({ ocid: 201, role: "payment_app", now: shop.now });
  for (const party of [app, other]) party.knows(shop_ocid, shop.metadata_url);
});
afterAll(async () => {
  await shop.stop();
  for (const party of [app, other]) party.stop();
  backend.stop();
});
beforeEach(() => {
  backend.asked.length = 0;
  backend.says({ approved: true, amount: "15.00" });
  configure({});
});

function configure(settings: Partial<OpenchargeSettings>, others: readonly Party[] = []): void {
  const pinned = [app, other, ...others].map(({ ocid, metadata_url }) => {
    return { ocid, metadata_url, public_key: null, endpoint: null };
  });
  shop.reconfigure({ orders: "approval", approval_url: backend.url, accepts: [100], items: [], pinned, ...settings });
}

const seconds = () => Math.floor(shop.now() / 1000);
const lines: Fields[] = [{ id: "sku-1", name: "Large Coffee", quantity: 3, price: "5.00" }];
const wanted = (more: Fields = {}): Fields => ({
  id: `ord_${++counter}`,
  ocid: shop_ocid,
  reference: "store-42",
  amount: "15.00",
  currency: "USD",
  items: lines,
  memo: "Table 5",
  expiresAt: seconds() + 900,
  ...more,
});
const create = (body: Fields, from = app) => from.call(shop.endpoint, "POST", "/orders/create", body);
const orderIn = ({ status, text, json }: Answer): Fields => {
  if (status !== 200 || json === null) throw new Error(text);
  return json.order as Fields;
};
const errorOf = ({ status, json }: Answer): Fields => ({ status, ...((json?.error ?? {}) as Fields) });

describe("the shop's backend", () => {
  test("is asked what the caller wants, signed in both styles like a webhook", async () => {
    const order = wanted();
    orderIn(await create(order));
    expect(backend.asked).toHaveLength(1);
    const [{ headers, text, body }] = backend.asked as [Question];
    expect(body).toEqual({
      event_type: "opencharge_order_requested",
      order_id: order.id ?? null,
      merchant_ocid: shop_ocid,
      caller_ocid: app.ocid,
      reference: "store-42",
      currency: "USD",
      amount: "15.00",
      items: lines,
      memo: "Table 5",
      created_at: expect.any(Number) as never,
      expires_at: order.expiresAt ?? null,
    });
    const { secret } = testConfig().merchant;
    const mac = (message: string) => createHmac("sha256", secret).update(message).digest("base64");
    const [timestamp = "", signature = ""] = (headers.get("ocrch-signature") ?? "").split(".");
    expect(signature).toBe(mac(`${timestamp}.${text}`));
    const id = headers.get("webhook-id");
    expect(id).toBe(`ocr_${order.id}`);
    expect(headers.get("webhook-signature")).toBe(`v1,${mac(`${id}.${headers.get("webhook-timestamp")}.${text}`)}`);
  });

  test("prices what the caller did not, names it in its own words and signs that", async () => {
    const items = [
      { id: "sku-1", name: "Coffee of the day", quantity: 3, price: "3.10" },
      { id: "tip", name: "Tip", quantity: 0.5, price: "1.4" },
    ];
    backend.says({ approved: true, amount: "10.00", items, reference: "till-7" });
    const answer = await create(wanted({ amount: null }));
    expect(orderIn(answer)).toMatchObject({ amount: "10.00", items, reference: "till-7", memo: "Table 5" });
    const { order, signature } = answer.json as { order: Fields; signature: string };
    expect(isSignedBy(spell(order, "recursive"), signature, publicKeyOf(shop_secret))).toBe(true);
    expect(backend.asked[0]?.body.amount).toBeNull();
  });

  test("approves an amount without items, and items of the caller's only where they add up to it", async () => {
    expect(orderIn(await create(wanted({ items: null })))).not.toHaveProperty("items");
    expect(orderIn(await create(wanted()))).toMatchObject({ amount: "15.00", items: lines });
    backend.says({ approved: true, amount: "12.00" });
    expect(orderIn(await create(wanted({ amount: null })))).not.toHaveProperty("items");
  });

  test("is asked once for an order, however often the order is asked for", async () => {
    const order = wanted();
    const first = await create(order);
    shop.advance(2000);
    expect((await create(order)).text).toBe(first.text);
    expect(backend.asked).toHaveLength(1);
  });

  test("is asked once for copies that come while it is thinking", async () => {
    const thinking = Promise.withResolvers<void>();
    backend.decide(async () => {
      await thinking.promise;
      return Response.json({ approved: true, amount: "15.00" });
    });
    const order = wanted();
    const copies = [create(order), create(order), create({ ...order, memo: "Table 6" }), create(order, other)];
    while (backend.asked.length === 0) await Bun.sleep(1);
    thinking.resolve();
    const answers = await Promise.all(copies);
    const codes = answers.map((answer) => errorOf(answer).code ?? "made").sort();
    // Whichever came first is made; the same again finds it, another under its id is a conflict.
    expect(codes.filter((code) => code === "ORDER_CONFLICT").length).toBeGreaterThanOrEqual(2);
    expect(new Set(codes)).toEqual(new Set(["made", "ORDER_CONFLICT"]));
    expect(backend.asked).toHaveLength(1);
    expect(
      shop.operator.orders(
        { merchant_order_id: networkOrderName(shop_ocid, String(order.id)) },
        { limit: 5, offset: 0 },
      ),
    ).toHaveLength(1);
  });

  test("is asked again after it has declined, and may then agree", async () => {
    const order = wanted();
    backend.says({ approved: false, reason: "we open at nine" });
    expect(errorOf(await create(order))).toEqual({ status: 403, code: "UNAUTHORIZED", message: "we open at nine" });
    backend.says({ approved: true, amount: "15.00" });
    expect(orderIn(await create(order))).toMatchObject({ amount: "15.00" });
    expect(backend.asked).toHaveLength(2);
  });

  test("declines without a word too", async () => {
    backend.says({ approved: false });
    expect(errorOf(await create(wanted()))).toMatchObject({
      code: "UNAUTHORIZED",
      message: expect.any(String) as never,
    });
  });

  test("that names another price than the caller has agreed to is told to the caller", async () => {
    backend.says({ approved: true, amount: "16.00" });
    expect(errorOf(await create(wanted()))).toMatchObject({
      status: 400,
      code: "AMOUNT_MISMATCH",
      details: { expected: "16.00" },
    });
    backend.says({ approved: true, amount: "15" });
    expect(orderIn(await create(wanted()))).toMatchObject({ amount: "15.00" });
  });

  test("is asked about those in the list alone, where there is one", async () => {
    configure({ approved: [other.ocid] });
    expect(errorOf(await create(wanted()))).toMatchObject({ status: 400, code: "CAPABILITY_NOT_SUPPORTED" });
    expect(backend.asked).toHaveLength(0);
    orderIn(await create(wanted(), other));
    expect(backend.asked).toHaveLength(1);
  });

  const unasked: [what: string, change: Fields, code: string][] = [
    ["for another merchant", { ocid: 501 }, "INVALID_REQUEST"],
    ["in a currency that is not taken", { currency: "EUR" }, "SETTLEMENT_NOT_SUPPORTED"],
    ["that is over already", { expiresAt: 1706400000 }, "ORDER_EXPIRED"],
  ];
  test.each(unasked)("is not bothered with an order %s", async (_what, change, code) => {
    expect(errorOf(await create(wanted(change))).code).toBe(code);
    expect(backend.asked).toHaveLength(0);
  });
});

describe("without a sound answer nothing is signed, and the caller is told to come again", () => {
  const answers: [what: string, decide: Decision, problem: string][] = [
    ["an error", () => new Response("no", { status: 500 }), "status 500"],
    ["a redirect", () => Response.redirect("http://127.0.0.1:1/", 302), "redirected to http://127.0.0.1:1/"],
    ["no JSON", () => new Response("approved"), "it is no JSON"],
    ["one key twice", () => new Response('{"approved":true,"approved":false}'), "the same key twice"],
    ["neither yes nor no", () => Response.json({ amount: "15.00" }), "approved"],
    ["no amount", () => Response.json({ approved: true }), "amount is required"],
    ["a number for an amount", () => Response.json({ approved: true, amount: 15 }), "amount must be a string"],
    ["nothing to pay", () => Response.json({ approved: true, amount: "0.00" }), "amount must be a positive decimal"],
    [
      "items that do not add up",
      () => Response.json({ approved: true, amount: "15.00", items: [{ ...lines[0], price: "4.99" }] }),
      "items do not add up to amount",
    ],
    ["more than 64 KiB", () => Response.json({ approved: false, padding: "x".repeat(70_000) }), "longer than 64 KiB"],
    ["nothing for ten seconds", () => new Promise<Response>(() => {}), "did not answer within 10000 ms"],
  ];
  test.each(answers)("%s", async (_what, decide, problem) => {
    backend.decide(decide);
    const order = wanted();
    const before = shop.events().length;
    const answer = await create(order);
    expect(errorOf(answer)).toEqual({
      status: 503,
      code: "INTERNAL_ERROR",
      message: "the shop cannot decide on orders right now",
    });
    expect(answer.headers.get("retry-after")).toBe("5");
    expect(answer.signed).toBe("valid");
    expect(shop.log.at(-1)).toContain("opencharge_approval_failed");
    expect(shop.log.at(-1)).toContain(problem);
    expect(shop.log.at(-1)).not.toContain(backend.url);
    expect(shop.events()).toHaveLength(before);

    backend.says({ approved: true, amount: "15.00" });
    expect(orderIn(await create(order))).toMatchObject({ amount: "15.00" });
  });

  test("a backend that is not there", async () => {
    configure({ approval_url: "http://127.0.0.1:1/approve" });
    expect(errorOf(await create(wanted()))).toMatchObject({ status: 503, code: "INTERNAL_ERROR" });
  });

  describe("while the shop is thinking", () => {
    let thinking = Promise.withResolvers<void>();
    let parties: Party[] = [];
    beforeEach(() => {
      thinking = Promise.withResolvers<void>();
      backend.decide(async () => {
        await thinking.promise;
        return Response.json({ approved: true, amount: "15.00" });
      });
      parties = Array.from({ length: 8 }, (_, n) => startParty({ ocid: 210 + n, role: "payment_app", now: shop.now }));
      configure({}, parties);
    });
    afterEach(() => {
      for (const party of parties) party.stop();
    });
    const crowded = { status: 503, message: "too many orders wait for the shop's decision" };
    const ask = (party: Party) => Array.from({ length: 8 }, () => create(wanted(), party));
    const asked = async (count: number) => {
      while (backend.asked.length < count) await Bun.sleep(1);
    };

    test("eight questions of one caller wait, and leave room for others", async () => {
      const own = ask(app);
      await asked(8);
      const late = await create(wanted());
      expect([errorOf(late), late.headers.get("retry-after")]).toMatchObject([crowded, "2"]);
      const others = create(wanted(), other);
      await asked(9);
      thinking.resolve();
      for (const answer of await Promise.all([...own, others])) expect(answer.status).toBe(200);
      expect((await create(wanted())).status).toBe(200);
    });

    test("sixty-four questions wait at once, and no more", async () => {
      const all = parties.flatMap(ask);
      await asked(64);
      expect(errorOf(await create(wanted()))).toMatchObject(crowded);
      thinking.resolve();
      for (const answer of await Promise.all(all)) expect(answer.status).toBe(200);
      expect((await create(wanted())).status).toBe(200);
    });
  });
});

test("the manual's backend approves what it knows, declines the rest and believes nobody else", async () => {
  const page = readFileSync(join(import.meta.dir, "../../src/manual/opencharge.md"), "utf8");
  const [, example = ""] = /```ts\n([\s\S]*?)```/.exec(page) ?? [];
  const folder = mkdtempSync(join(tmpdir(), "ocrch-approve-"));
  writeFileSync(join(folder, "approve.ts"), example);
  const { approve } = (await import(join(folder, "approve.ts"))) as {
    approve(request: Request, secret: string, price: (id: string) => string | null): Promise<Response>;
  };
  rmSync(folder, { recursive: true });
  let secret = testConfig().merchant.secret;
  backend.decide(({ headers, text }) => {
    const request = new Request(backend.url, { method: "POST", headers, body: text });
    return approve(request, secret, (id) => (id === "sku-1" ? "5.00" : null));
  });
  const one = (id: string) => wanted({ amount: null, items: [{ id, name: "Coffee", quantity: 1, price: "5.00" }] });
  expect(orderIn(await create(one("sku-1")))).toMatchObject({ amount: "5.00", items: [{ id: "sku-1" }] });
  expect(errorOf(await create(one("sku-2")))).toMatchObject({ code: "UNAUTHORIZED", message: "we sell one at a time" });
  secret = "another";
  expect(errorOf(await create(one("sku-1")))).toMatchObject({ status: 503 });
});
