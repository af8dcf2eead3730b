// A merchant on the network: signed orders, their prices, proofs that pay them, and everything that is refused, over
// real HTTP with participants written from the protocol alone.

import { Database as Sqlite } from "bun:sqlite";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { OpenchargeSettings } from "../../src/opencharge/config/settings.ts";
import { networkOrderName } from "../../src/opencharge/domain/order-names.ts";
import { isAudited } from "../../src/storage/outbox.ts";
import { type Answer, type Overrides, type Party, startParty } from "../support/opencharge/party.ts";
import type { SignedEnvelope } from "../support/opencharge/roles.ts";
import { type Shop, shop_ocid, shop_secret, shopSettings, startShop } from "../support/opencharge/shop.ts";
import { type Fields, isSignedBy, type Json, publicKeyOf, spell } from "../support/opencharge/spelling.ts";

let shop: Shop;
/** A payment app that asks for orders; a provider that issues proofs; a relay; and one that nobody accepts. */
let app: Party;
let provider: Party;
let relay: Party;
let stranger: Party;
let counter = 0;

const now = () => shop.now();
const pin = (party: Party) => ({
  ocid: party.ocid,
  metadata_url: party.metadata_url,
  public_key: null,
  endpoint: null,
});

beforeAll(async () => {
  shop = await startShop();
  app = startParty({ ocid: 200, role: "payment_app", now });
  provider = startParty({ ocid: 100, role: "settlement_provider", now });
  relay = startParty({ ocid: 300, role: "merchant_gateway", now });
  stranger = startParty({ ocid: 666, role: "settlement_provider", now });
  for (const party of [app, provider, relay, stranger]) party.knows(shop_ocid, shop.metadata_url);
});
afterAll(async () => {
  await shop.stop();
  for (const party of [app, provider, relay, stranger]) party.stop();
});
beforeEach(() => configure({}));

function configure(settings: Partial<OpenchargeSettings>): void {
  shop.reconfigure({ accepts: [100, 300], pinned: [app, provider, relay, stranger].map(pin), ...settings });
}

const seconds = () => Math.floor(shop.now() / 1000);
const newId = () => `ord_${++counter}`;

/** The order of the protocol's own example. */
const coffee = (more: Fields = {}): Fields => ({
  id: newId(),
  ocid: shop_ocid,
  reference: `table-${counter}`,
  amount: "15.00",
  currency: "USD",
  items: [
    { id: "item_001", name: "Large Coffee", quantity: 2, price: "5.00" },
    { id: "item_002", name: "Croissant", quantity: 1, price: "5.00" },
  ],
  memo: "Table 5",
  expiresAt: seconds() + 900,
  ...more,
});

const create = (body: Json, from = app, overrides: Overrides = {}) =>
  from.call(shop.endpoint, "POST", "/orders/create", body, overrides);

const orderIn = ({ status, text, json }: Answer): Fields => {
  if (status !== 200 || json === null) throw new Error(text);
  return json.order as Fields;
};

const without = (body: Fields, ...keys: string[]): Fields =>
  Object.fromEntries(Object.entries(body).filter(([key]) => !keys.includes(key)));

const codeOf = ({ json }: Answer) => (json?.error as Fields | undefined)?.code;
const verdict = (answer: Answer) => [answer.status, codeOf(answer) ?? answer.json?.status ?? "ok"];
const read = async (path: string) => {
  const answer = await fetch(shop.endpoint + path);
  return { status: answer.status, json: (await answer.json()) as Fields, headers: answer.headers };
};

/** A new signed order, as the app got it. */
async function ordered(more: Fields = {}): Promise<Fields> {
  return orderIn(await create(coffee(more)));
}

/** The appliance's own id of an order. */
function ownId({ id }: Fields): string {
  const [order] = shop.operator.orders(
    { merchant_order_id: networkOrderName(shop_ocid, String(id)) },
    { limit: 1, offset: 0 },
  );
  if (order === undefined) throw new Error(`no order behind ${id}`);
  return order.id;
}

const proofFor = (order: Fields, more: Partial<Parameters<Party["proof"]>[0]> = {}, from = provider) =>
  from.proof({
    to: { ocid: shop_ocid, reference: String(order.id) },
    amount: String(order.amount),
    currency: String(order.currency),
    ...more,
  });

const deliver = (envelope: SignedEnvelope | Json, from = provider) =>
  from.call(shop.endpoint, "POST", "/transfer/webhook", envelope as Json);

describe("who the appliance is", () => {
  test("its metadata is nested and flat at once, signed by its key, and open to everybody", async () => {
    const { status, json, headers } = await read("/metadata.json");
    const config = json.config as Fields;
    expect(status).toBe(200);
    expect(headers.get("cache-control")).toBe("max-age=300");
    expect(json).toMatchObject({ opencharge: "0.1", name: "Corner shop", kyc: [], ...config });
    expect(config).toMatchObject({
      publicKey: publicKeyOf(shop_secret),
      endpoint: shop.endpoint,
      settlement: { currencies: ["USD"], accepts: [100, 300] },
    });
    expect(isSignedBy(spell(config, "recursive"), String(json.signature), publicKeyOf(shop_secret))).toBe(true);
  });

  test("after a change of keys it announces the old one for four days", async () => {
    const rotated_at = seconds() - 3600;
    configure({ secret_key: "33".repeat(32), previous: { secret_key: shop_secret, rotated_at } });
    const { json } = await read("/metadata.json");
    const announced = { previousKey: publicKeyOf(shop_secret), keyRotatedAt: rotated_at };
    expect(json).toMatchObject({ publicKey: publicKeyOf("33".repeat(32)), config: announced, ...announced });
    configure({ previous: { secret_key: "33".repeat(32), rotated_at: seconds() - 4 * 86_400 - 100 } });
    expect((await read("/metadata.json")).json).not.toHaveProperty("previousKey");
  });

  test("it announces what it serves: the inventory only with a catalogue", async () => {
    const capabilities = async () => ((await read("/metadata.json")).json.config as Fields).capabilities;
    const all = ["inventory.get", "orders.create", "orders.status", "transfer.webhook"];
    expect(await capabilities()).toEqual(all);
    configure({ items: [] });
    expect(await capabilities()).toEqual(all.slice(1));
  });

  test("its capabilities are for callers who sign, and the answer is signed", async () => {
    const answer = await app.call(shop.endpoint, "GET", "/capabilities", null);
    expect(answer.status).toBe(200);
    expect(answer.signed).toBe("valid");
    expect(answer.json).toMatchObject({ ocid: shop_ocid, name: "Corner shop", settlement: { accepts: [100, 300] } });
    expect((await read("/capabilities")).status).toBe(401);
  });

  test("without the section the network does not exist", async () => {
    shop.reconfigure(null);
    const answer = await fetch(shop.metadata_url);
    expect([answer.status, await answer.text()]).toEqual([404, "not found"]);
    expect((await create(coffee())).status).toBe(404);
  });

  test("a gateway that is no merchant signs no orders", async () => {
    configure({ merchant_ocid: null, gateway_ocid: 501 });
    expect(verdict(await create(coffee()))).toEqual([400, "CAPABILITY_NOT_SUPPORTED"]);
  });

  test("an unknown path and a wrong method are refused in the network's words", async () => {
    expect(await read("/nothing")).toMatchObject({ status: 404, json: { error: { code: "INVALID_REQUEST" } } });
    expect(await read("/orders/create/x/y")).toMatchObject({ status: 404 });
    const answer = await fetch(shop.metadata_url, { method: "DELETE" });
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    expect((await fetch(`${shop.endpoint}/inventory`, { method: "POST", body: "{}" })).status).toBe(405);
  });
});

describe("a request is believed", () => {
  const body = () => coffee();
  const rows: [what: string, overrides: Overrides, expected: [number, string]][] = [
    ["signed as the protocol says", {}, [200, "ok"]],
    ["signed over the path below the endpoint", { signed_path: "relative" }, [200, "ok"]],
    ["300 seconds old", { timestamp: -299 }, [200, "ok"]],
    ["too old", { timestamp: -302 }, [401, "TIMESTAMP_EXPIRED"]],
    ["too far ahead", { timestamp: 302 }, [401, "TIMESTAMP_EXPIRED"]],
    ["with a signature over another body", { signed_body: "{}" }, [401, "INVALID_SIGNATURE"]],
    ["with a signature over another path", { signed_path: "/opencharge/orders" }, [401, "INVALID_SIGNATURE"]],
    ["with a signature over another method", { signed_method: "GET" }, [401, "INVALID_SIGNATURE"]],
    ["with a query that nobody signed", { query: "?amount=1" }, [401, "INVALID_SIGNATURE"]],
    ["signed by another key", { secret: "22".repeat(32) }, [401, "INVALID_SIGNATURE"]],
    ["in the name of somebody else", { ocid: 100 }, [401, "INVALID_SIGNATURE"]],
    ["by nobody the directory knows", { ocid: 9999 }, [401, "UNKNOWN_OCID"]],
    ["with an OCID that is no number", { ocid: "0x1f4" }, [401, "INVALID_SIGNATURE"]],
    ["without a nonce", { without: ["x-oc-nonce"] }, [401, "INVALID_SIGNATURE"]],
    [
      "without any header",
      { without: ["x-oc-id", "x-oc-timestamp", "x-oc-nonce", "x-oc-signature"] },
      [401, "INVALID_SIGNATURE"],
    ],
  ];
  test.each(rows)("or not: %s", async (_what, { timestamp, ...overrides }, expected) => {
    const at = typeof timestamp === "number" ? { timestamp: seconds() + timestamp } : {};
    expect<unknown>(verdict(await create(body(), app, { ...overrides, ...at }))).toEqual(expected);
  });

  test("once: the same bytes again are a replay", async () => {
    const first = await create(coffee());
    expect(first.status).toBe(200);
    expect(verdict(await app.replay(first.sent))).toEqual([401, "NONCE_REUSED"]);
  });

  test("once, for as long as its timestamp could still be believed: ten minutes, whatever else comes meanwhile", async () => {
    const first = await create(coffee(), app, { timestamp: seconds() + 299 });
    expect(first.status).toBe(200);
    shop.advance(595_000);
    expect((await create(coffee())).status).toBe(200);
    expect(verdict(await app.replay(first.sent))).toEqual([401, "NONCE_REUSED"]);
  });

  test("a nonce is not spent by a signature that fails, and is each caller's own", async () => {
    const nonce = "shared-nonce";
    expect((await create(coffee(), app, { nonce, secret: "22".repeat(32) })).status).toBe(401);
    expect((await create(coffee(), app, { nonce })).status).toBe(200);
    expect((await create(coffee(), relay, { nonce })).status).toBe(200);
  });

  test("of ten copies at the same time one is served", async () => {
    const nonce = "ten-at-once";
    const body = JSON.stringify(coffee());
    const timestamp = seconds();
    const answers = await Promise.all(Array.from({ length: 10 }, () => create(body, app, { nonce, timestamp })));
    const codes = answers.map((answer) => codeOf(answer) ?? "ok").sort();
    expect(codes).toEqual([...Array.from({ length: 9 }, () => "NONCE_REUSED"), "ok"].sort());
  });

  test("never of a blocked caller, and errors are signed too", async () => {
    configure({ blocked: [app.ocid] });
    const answer = await create(coffee());
    expect(verdict(answer)).toEqual([403, "CONNECTION_REFUSED"]);
    expect(answer.signed).toBe("valid");
  });

  test("a caller's new key counts at once", async () => {
    const other = startParty({ ocid: 201, role: "payment_app", now });
    try {
      configure({ pinned: [pin(other)] });
      expect((await create(coffee(), other)).status).toBe(200);
      other.rotateKey({ announced: false });
      expect((await create(coffee(), other)).status).toBe(200);
      other.rotateKey({ announced: false });
      expect(verdict(await create(coffee(), other))).toEqual([401, "INVALID_SIGNATURE"]);
    } finally {
      other.stop();
    }
  });

  const bodies: [what: string, body: string][] = [
    ["no JSON", "order please"],
    ["a key twice", '{"id":"a","id":"b"}'],
    ["an array", "[]"],
  ];
  test.each(bodies)("with a body that is %s it is refused all the same", async (_what, body) => {
    expect(verdict(await create(body))).toEqual([400, "INVALID_REQUEST"]);
  });
});

test("a body may have 256 KiB and no more", async () => {
  const padded = (bytes: number) => {
    const order = JSON.stringify(coffee());
    return `${order.slice(0, -1)},"padding":"${"x".repeat(bytes - order.length - 13)}"}`;
  };
  expect(Buffer.byteLength(padded(256 * 1024))).toBe(256 * 1024);
  expect(verdict(await create(padded(256 * 1024)))).toEqual([200, "ok"]);
  expect(verdict(await create(padded(256 * 1024 + 1)))).toEqual([400, "INVALID_REQUEST"]);
});

describe("an order that somebody asks us to sign", () => {
  test("is signed as it is sent, with our time and the issuers we accept", async () => {
    const asked = coffee({ id: "ord_abc123" });
    const answer = await create(asked);
    expect(answer.status).toBe(200);
    expect(answer.signed).toBe("valid");
    const { order, signature, urls } = answer.json as { order: Fields; signature: string; urls: Fields };
    expect(order).toEqual({ ...asked, createdAt: order.createdAt ?? null, accepts: [100, 300] });
    expect(Math.abs(Number(order.createdAt) - seconds())).toBeLessThan(5);
    expect(isSignedBy(spell(order, "recursive"), signature, publicKeyOf(shop_secret))).toBe(true);
    expect(urls).toEqual({
      order: [`${shop.endpoint}/orders/ord_abc123`],
      completed: "https://merchant.example/checkout/success",
      cancelled: "https://merchant.example/checkout/cancelled",
    });
  });

  test("is an order of the appliance too, under a name that no shop gives its own", async () => {
    const { id } = await ordered();
    const [listed] = shop.operator.orders(
      { merchant_order_id: networkOrderName(shop_ocid, String(id)) },
      { limit: 2, offset: 0 },
    );
    expect(listed).toMatchObject({ amount: "15.00", status: "pending", webhook_url: "" });
  });

  test("is signed in the caller's own spelling where that is the shallow one", async () => {
    const shallow = startParty({ ocid: 202, role: "payment_app", dialect: "shallow", now });
    try {
      configure({ pinned: [pin(shallow)] });
      const { order, signature } = (await create(coffee(), shallow)).json as { order: Fields; signature: string };
      expect(isSignedBy(spell(order, "shallow"), signature, publicKeyOf(shop_secret))).toBe(true);
    } finally {
      shallow.stop();
    }
  });

  test("is signed so as to cover everything, or without items, where the operator says so", async () => {
    const shallow = startParty({ ocid: 203, role: "payment_app", dialect: "shallow", now });
    try {
      const signed = async (order_form: OpenchargeSettings["order_form"]) => {
        configure({ pinned: [pin(shallow)], order_form });
        return (await create(coffee(), shallow)).json as { order: Fields; signature: string };
      };
      const strict = await signed("recursive");
      expect(isSignedBy(spell(strict.order, "recursive"), strict.signature, publicKeyOf(shop_secret))).toBe(true);
      const flat = await signed("flat");
      expect(flat.order).toMatchObject({ amount: "15.00" });
      expect(flat.order).not.toHaveProperty("items");
      for (const spelling of ["recursive", "shallow"] as const)
        expect(isSignedBy(spell(flat.order, spelling), flat.signature, publicKeyOf(shop_secret))).toBe(true);
    } finally {
      shallow.stop();
    }
  });

  test("asked for again is the same order; changed, or by another caller, it is a conflict", async () => {
    const asked = coffee();
    const first = await create(asked);
    shop.advance(2000);
    expect((await create(asked)).text).toBe(first.text);
    expect(verdict(await create({ ...asked, memo: "Table 6" }))).toEqual([409, "ORDER_CONFLICT"]);
    expect(verdict(await create(asked, relay))).toEqual([409, "ORDER_CONFLICT"]);
  });

  test("asked for by two callers at the same time is one's order, and a conflict for the other", async () => {
    const asked = coffee();
    const answers = await Promise.all([create(asked), create(asked, relay), create({ ...asked, memo: "Table 6" })]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409]);
  });

  test("asked for twice at the same time is one order", async () => {
    const asked = coffee();
    const answers = await Promise.all([create(asked), create(asked), create(asked)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(
      shop.operator.orders(
        { merchant_order_id: networkOrderName(shop_ocid, String(asked.id)) },
        { limit: 5, offset: 0 },
      ),
    ).toHaveLength(1);
  });

  const items = (...list: Fields[]): Fields => ({ items: list });
  const line = (more: Fields = {}) => ({ id: "item_001", name: "Large Coffee", quantity: 2, price: "5.00", ...more });
  const refusals: [what: string, change: Fields, expected: [number, string]][] = [
    ["for a cent", { amount: "0.01" }, [400, "AMOUNT_MISMATCH"]],
    ["with items of its own price", { ...items(line({ price: "0.01" })), amount: "0.02" }, [400, "AMOUNT_MISMATCH"]],
    ["with an item nobody sells", items(line({ id: "yacht" })), [400, "INVALID_ITEM"]],
    ["with a part of an item", { ...items(line({ quantity: 0.002 })), amount: "0.01" }, [400, "INVALID_ITEM"]],
    ["with more than anybody may buy", items(line({ id: "item_002", quantity: 6 })), [400, "INVALID_ITEM"]],
    [
      "with more than anybody may buy, line by line",
      items(...[2, 2, 2].map((quantity) => line({ id: "item_002", quantity }))),
      [400, "INVALID_ITEM"],
    ],
    ["with more than there is", items(line({ id: "item_002", quantity: 4 })), [400, "INSUFFICIENT_STOCK"]],
    [
      "with more than there is, line by line",
      items(...[2, 2].map((quantity) => line({ id: "item_002", quantity }))),
      [400, "INSUFFICIENT_STOCK"],
    ],
    ["with a quantity below nothing", items(line({ quantity: -2 })), [400, "INVALID_REQUEST"]],
    ["for another merchant", { ocid: 501 }, [400, "INVALID_REQUEST"]],
    ["in a currency that is not taken", { currency: "EUR" }, [400, "SETTLEMENT_NOT_SUPPORTED"]],
    ["that has ended before it began", { expiresAt: 1706400000 }, [400, "ORDER_EXPIRED"]],
    ["with an id that is a path", { id: "../orders/1" }, [400, "INVALID_REQUEST"]],
    ["with an id that leads to the folder above", { id: ".." }, [400, "INVALID_REQUEST"]],
    ["with a number for an amount", { amount: 15 }, [400, "INVALID_REQUEST"]],
    ["without items", { items: null }, [400, "INVALID_REQUEST"]],
  ];
  test.each(refusals)("is refused %s", async (_what, change, expected) => {
    const asked = coffee(change);
    const before = shop.events().length;
    expect<unknown>(verdict(await create(asked))).toEqual(expected);
    expect(shop.events()).toHaveLength(before);
  });

  test("is refused where its items cost more than an amount can be, or nothing", async () => {
    const [item] = shopSettings({}).items;
    if (item === undefined) throw new Error("the catalogue is empty");
    for (const [price, quantity] of [
      ["999999999999999999", 10],
      ["0.00", 1],
    ] as const) {
      configure({ items: [{ ...item, price }] });
      const asked = coffee({ items: [line({ quantity })], amount: null });
      expect<unknown>(verdict(await create(asked))).toEqual([400, "INVALID_ITEM"]);
    }
  });

  test("takes all that there is of an item", async () => {
    const order = await ordered({ items: [line({ id: "item_002", quantity: 3 })], amount: "15.00" });
    expect(order.amount).toBe("15.00");
  });

  test("costs what the catalogue says, whatever prices and names the caller wrote", async () => {
    const order = await ordered({ items: [line({ name: "Free coffee", price: "0.00", quantity: 3 })], amount: null });
    expect(order).toMatchObject({ amount: "15.00", items: [line({ quantity: 3 })] });
  });

  test("needs neither id nor amount where the catalogue has the prices", async () => {
    const answer = await create(without(coffee(), "id", "amount"));
    expect(answer.json?.order).toMatchObject({ amount: "15.00" });
    expect(String(orderIn(answer).id)).toMatch(/^ord_[\da-f]{24}$/);
  });

  test("lives an hour by default and a day at most", async () => {
    const life = async (expiresAt: number | null) => {
      const order = await ordered({ expiresAt });
      return Number(order.expiresAt) - Number(order.createdAt);
    };
    expect([await life(null), await life(seconds() + 10 * 86_400)]).toEqual([3600, 86_400]);
  });

  test("does not take the name by which another order may be paid", async () => {
    const named = await ordered({ reference: "cart-9" });
    expect(verdict(await create(coffee({ id: "cart-9" })))).toEqual([409, "ORDER_CONFLICT"]);
    expect(verdict(await create(coffee({ id: "cart-10", reference: "cart-10" })))).toEqual([200, "ok"]);
    await deliver(proofFor(named, { to: { ocid: shop_ocid, reference: "cart-9" } }));
    expect((await read(`/orders/${named.id}/status`)).json.status).toBe("paid");
  });

  test("may have a price of the caller's only with the operator's leave", async () => {
    const free = { amount: "7.31", items: null };
    expect(verdict(await create(coffee(free)))).toEqual([400, "INVALID_REQUEST"]);
    configure({ orders: "open" });
    expect((await create(coffee(free))).json?.order).toMatchObject({ amount: "7.31" });
  });
});

describe("what anybody may read", () => {
  test("the signed order, byte for byte what its caller got, until it has expired", async () => {
    const created = await create(coffee());
    const { id } = orderIn(created);
    const answer = await fetch(`${shop.endpoint}/orders/${id}`);
    expect(await answer.text()).toBe(created.text);
    shop.advance(901_000);
    expect(await read(`/orders/${id}`)).toMatchObject({ status: 410, json: { error: { code: "ORDER_EXPIRED" } } });
  });

  test("its status, without any key that does not apply", async () => {
    const { id } = await ordered();
    expect((await read(`/orders/${id}/status`)).json).toEqual({ orderId: id ?? null, status: "pending" });
    expect(await read("/orders/nobody/status")).toMatchObject({
      status: 404,
      json: { error: { code: "ORDER_NOT_FOUND" } },
    });
    expect(await read("/orders/nobody")).toMatchObject({ status: 404, json: { error: { code: "ORDER_NOT_FOUND" } } });
  });

  test("but a signature that is shown must hold", async () => {
    const { id } = await ordered();
    const path = `/orders/${id}/status`;
    expect((await app.call(shop.endpoint, "GET", path, null)).signed).toBe("valid");
    const forged = await app.call(shop.endpoint, "GET", path, null, { secret: "22".repeat(32) });
    expect(verdict(forged)).toEqual([401, "INVALID_SIGNATURE"]);
  });

  test("the inventory", async () => {
    const { json } = await read("/inventory");
    expect(json).toMatchObject({ ocid: shop_ocid, currency: "USD" });
    expect((json.items as Fields[])[1]).toEqual({
      id: "item_002",
      name: "Croissant",
      price: "5.00",
      quantity: 3,
      min_qty: 1,
      max_qty: 5,
      images: [],
      currency: "USD",
    });
  });
});

describe("the operator", () => {
  test("marks an order of the network paid; its status then names no transaction", async () => {
    const order = await ordered();
    await shop.operator.markPaid(ownId(order), "test", "cash");
    const { json } = await read(`/orders/${order.id}/status`);
    expect(json).toEqual({ orderId: order.id ?? null, status: "paid", paidAt: expect.any(Number) });
    expect((await deliver(proofFor(order))).json).toMatchObject({ status: "rejected" });
  });

  test("is told by webhook where the section names an address, and by the event log in any case", async () => {
    const waiting = () => shop.operator.status().deliveries.waiting;
    const before = waiting();
    const silent = await ordered();
    await deliver(proofFor(silent));
    await shop.operator.resendOrder(ownId(silent), "test");
    expect(waiting()).toBe(before);
    configure({ webhook_url: "https://shop.example/hook" });
    await deliver(proofFor(await ordered()));
    expect(waiting()).toBe(before + 1);
    expect(shop.events().slice(-2)).toEqual(["order_created", "order_status_changed paid"]);
  });
});

describe("a proof", () => {
  test("pays its order once, with one event, and the status names it", async () => {
    const order = await ordered();
    const before = shop.events().length;
    const envelope = proofFor(order, { txid: "gateway_tx_456" });
    const first = await deliver(envelope);
    expect(first.json).toEqual({ status: "accepted", txid: "gateway_tx_456" });
    expect(first.signed).toBe("valid");
    expect((await deliver(envelope)).text).toBe(first.text);
    expect(shop.events().slice(before)).toEqual(["order_status_changed paid"]);
    expect((await read(`/orders/${order.id}/status`)).json).toEqual({
      orderId: order.id ?? null,
      status: "paid",
      paidAt: envelope.proof.timestamp ?? null,
      txid: "gateway_tx_456",
    });
  });

  test("delivered ten times at once pays once", async () => {
    const order = await ordered();
    const before = shop.events().length;
    const envelope = proofFor(order);
    const answers = await Promise.all(Array.from({ length: 10 }, () => deliver(envelope)));
    expect(new Set(answers.map(({ json }) => json?.status))).toEqual(new Set(["accepted"]));
    expect(shop.events().slice(before)).toEqual(["order_status_changed paid"]);
  });

  test("is known by issuer and txid together: another issuer's same txid is another payment", async () => {
    const [one, two] = [await ordered(), await ordered()];
    expect(verdict(await deliver(proofFor(one, { txid: "tx_same" })))).toEqual([200, "accepted"]);
    expect(verdict(await deliver(proofFor(two, { txid: "tx_same" }, relay), relay))).toEqual([200, "accepted"]);
    expect((await read(`/orders/${two.id}/status`)).json.status).toBe("paid");
  });

  test("with other content under the same txid is refused and reported", async () => {
    const [one, two] = [await ordered(), await ordered()];
    await deliver(proofFor(one, { txid: "tx_twice" }));
    expect(verdict(await deliver(proofFor(two, { txid: "tx_twice" })))).toEqual([400, "INVALID_PROOF"]);
    expect((await read(`/orders/${two.id}/status`)).json.status).toBe("pending");
    expect(shop.log.some((line) => line.includes("proof_txid_reused"))).toBe(true);
  });

  test("of a second payment is rejected and kept for the operator", async () => {
    const order = await ordered();
    await deliver(proofFor(order, { txid: "tx_first" }));
    const before = shop.events().length;
    const second = await deliver(proofFor(order, { txid: "tx_second" }));
    expect(second.json).toMatchObject({ status: "rejected", txid: "tx_second" });
    expect(shop.events()).toHaveLength(before);
    expect((await read(`/orders/${order.id}/status`)).json.txid).toBe("tx_first");
    expect(shop.log.some((line) => line.includes("proof_duplicate"))).toBe(true);
  });

  test("for an order nobody made is accepted, kept and reported", async () => {
    const envelope = proofFor({ id: "ord_elsewhere", amount: "1.00", currency: "USD" });
    const first = await deliver(envelope);
    expect(first.json).toMatchObject({ status: "accepted", message: expect.any(String) });
    expect((await deliver(envelope)).text).toBe(first.text);
    expect(shop.log.some((line) => line.includes("proof_unmatched"))).toBe(true);
  });

  test("finds its order by the merchant's own reference where only one order has it", async () => {
    const order = await ordered({ reference: "the-only-one" });
    const named = proofFor(order, { to: { ocid: shop_ocid, reference: "the-only-one" } });
    await deliver(named);
    expect((await read(`/orders/${order.id}/status`)).json.status).toBe("paid");
  });

  test("writes an amount as it likes: 15.0 is 15.00", async () => {
    expect(verdict(await deliver(proofFor(await ordered(), { amount: "15.0" })))).toEqual([200, "accepted"]);
  });

  test("relayed by somebody accepted pays; by anybody else it does not", async () => {
    const order = await ordered();
    const envelope = proofFor(order);
    expect(verdict(await deliver(envelope, stranger))).toEqual([400, "INVALID_PROOF"]);
    expect(verdict(await deliver(envelope, relay))).toEqual([200, "accepted"]);
  });

  test("is believed of those whom its own order accepts, whomever the settings accept by now", async () => {
    const order = await ordered();
    configure({ accepts: [666] });
    expect(verdict(await deliver(proofFor(order, {}, stranger), stranger))).toEqual([400, "ISSUER_NOT_ACCEPTED"]);
    expect(verdict(await deliver(proofFor(order), stranger))).toEqual([400, "INVALID_PROOF"]);
    expect(verdict(await deliver(proofFor(order), relay))).toEqual([200, "accepted"]);
  });

  test("signed with a key that its issuer has replaced since, and announced, still pays", async () => {
    const mover = startParty({ ocid: 102, role: "settlement_provider", now });
    try {
      configure({ accepts: [102], pinned: [pin(app), pin(mover)] });
      const [one, two] = [await ordered(), await ordered()];
      const [early, late] = [proofFor(one, {}, mover), proofFor(two, { timestamp: seconds() + 60 }, mover)];
      shop.advance(30_000);
      mover.rotateKey({ announced: true });
      expect(verdict(await deliver(early, mover))).toEqual([200, "accepted"]);
      expect(verdict(await deliver(late, mover))).toEqual([400, "PROOF_SIGNATURE_INVALID"]);
    } finally {
      mover.stop();
    }
  });

  test("that covers only its outermost fields counts from its issuer alone", async () => {
    const order = await ordered();
    const shallow = provider.proof(
      { to: { ocid: shop_ocid, reference: String(order.id) }, amount: "15.00", currency: "USD" },
      "shallow",
    );
    const other = await ordered();
    const redirected = provider.redirected(shallow, { ocid: shop_ocid, reference: String(other.id) });
    expect(verdict(await deliver(redirected, relay))).toEqual([400, "PROOF_SIGNATURE_INVALID"]);
    expect(verdict(await deliver(shallow, relay))).toEqual([400, "PROOF_SIGNATURE_INVALID"]);
    expect(verdict(await deliver(shallow))).toEqual([200, "accepted"]);
    expect((await read(`/orders/${other.id}/status`)).json.status).toBe("pending");
  });

  describe("that covers only its outermost fields, brought by somebody else, is asked for where it comes from", () => {
    const shallow = (order: Fields) =>
      provider.proof(
        { to: { ocid: shop_ocid, reference: String(order.id) }, amount: "15.00", currency: "USD" },
        "shallow",
      );
    const says = ({ proof }: SignedEnvelope, answer: () => Response | null) =>
      provider.answerWith(`/verify/${proof.txid}`, answer);
    const confirmed = (envelope: SignedEnvelope) => () =>
      Response.json({ ...envelope.proof, status: "completed", proof: envelope.proof, signature: envelope.signature });
    const statusOf = async ({ id }: Fields) => (await read(`/orders/${id}/status`)).json.status;

    test("and pays once its issuer has said the same, asked under our name", async () => {
      const order = await ordered();
      const envelope = shallow(order);
      says(envelope, confirmed(envelope));
      expect(verdict(await deliver(envelope, relay))).toEqual([200, "accepted"]);
      expect(await statusOf(order)).toBe("paid");
      const asked = provider.received.find(({ path }) => path === `/verify/${envelope.proof.txid}`);
      expect([asked?.method, asked?.sender]).toEqual(["GET", shop_ocid]);
    });

    test("and does not pay another order than its issuer says", async () => {
      const [order, other] = [await ordered(), await ordered()];
      const envelope = shallow(order);
      says(envelope, confirmed(envelope));
      const stolen = provider.redirected(envelope, { ocid: shop_ocid, reference: String(other.id) });
      expect(verdict(await deliver(stolen, relay))).toEqual([400, "PROOF_SIGNATURE_INVALID"]);
      expect([await statusOf(order), await statusOf(other)]).toEqual(["pending", "pending"]);
    });

    const answers: [what: string, answer: () => Response | null, expected: [number, string]][] = [
      ["knows no such transaction", () => null, [400, "PROOF_SIGNATURE_INVALID"]],
      ["says it is pending", () => Response.json({ status: "pending" }), [400, "PROOF_SIGNATURE_INVALID"]],
      ["is down", () => new Response("", { status: 500 }), [502, "METADATA_UNAVAILABLE"]],
      ["talks nonsense", () => new Response("yes"), [502, "METADATA_UNAVAILABLE"]],
      ["says too much", () => new Response("x".repeat(70_000)), [502, "METADATA_UNAVAILABLE"]],
    ];
    test.each(answers)("and not when its issuer %s", async (_what, answer, expected) => {
      const order = await ordered();
      const envelope = shallow(order);
      says(envelope, answer);
      expect<unknown>(verdict(await deliver(envelope, relay))).toEqual(expected);
      expect(await statusOf(order)).toBe("pending");
    });

    test("and never where the issuer is known by its key alone", async () => {
      const order = await ordered();
      const key = { ocid: 100, metadata_url: null, public_key: provider.publicKey, endpoint: null };
      configure({ pinned: [pin(relay), key] });
      expect(verdict(await deliver(shallow(order), relay))).toEqual([400, "PROOF_SIGNATURE_INVALID"]);
    });
  });

  test("in a currency that counts as the order's, by agreement with its issuer alone, pays", async () => {
    const [one, two] = [await ordered(), await ordered()];
    const in_coins = { currency: "USDT" };
    const partners = [{ ocid: 100, same_currencies: ["USD", "USDT"], proof_recipient: "merchant" as const }];
    expect(verdict(await deliver(proofFor(one, in_coins)))).toEqual([400, "CURRENCY_MISMATCH"]);
    configure({ partners });
    expect(verdict(await deliver(proofFor(one, { currency: "DAI" })))).toEqual([400, "CURRENCY_MISMATCH"]);
    expect(verdict(await deliver(proofFor(two, in_coins, relay), relay))).toEqual([400, "CURRENCY_MISMATCH"]);
    expect(verdict(await deliver(proofFor(one, in_coins)))).toEqual([200, "accepted"]);
    expect((await read(`/orders/${one.id}/status`)).json.status).toBe("paid");
  });

  test("made out to our gateway pays an order of our merchant as well", async () => {
    const order = await ordered();
    configure({ gateway_ocid: 501 });
    expect(verdict(await deliver(proofFor(order, { to: { ocid: 501, reference: String(order.id) } })))).toEqual([
      200,
      "accepted",
    ]);
    expect((await read(`/orders/${order.id}/status`)).json.status).toBe("paid");
  });

  test("for a gateway without a merchant is kept for review", async () => {
    configure({ merchant_ocid: null, gateway_ocid: 501 });
    const envelope = proofFor({ id: "elsewhere", amount: "1.00", currency: "USD" }, { to: { ocid: 501 } });
    expect((await deliver(envelope)).json).toMatchObject({ status: "accepted", message: expect.any(String) });
    expect(shop.log.at(-1)).toContain("proof_unmatched");
  });

  const tampered = (change: (proof: Fields) => Fields) => (order: Fields) => {
    const { proof, signature } = proofFor(order);
    return { proof: change(proof), signature };
  };
  const refusals: [what: string, make: (order: Fields) => Json, expected: [number, string]][] = [
    ["of too little", (order) => proofFor(order, { amount: "14.99" }), [400, "AMOUNT_MISMATCH"]],
    ["in another currency", (order) => proofFor(order, { currency: "UGX" }), [400, "CURRENCY_MISMATCH"]],
    [
      "for another merchant",
      (order) => proofFor(order, { to: { ocid: 501, reference: String(order.id) } }),
      [400, "INVALID_PROOF"],
    ],
    ["from the future", (order) => proofFor(order, { timestamp: seconds() + 310 }), [400, "INVALID_PROOF"]],
    ["with a changed amount", tampered((proof) => ({ ...proof, amount: "15.000" })), [400, "PROOF_SIGNATURE_INVALID"]],
    ["with a field added", tampered((proof) => ({ ...proof, note: "hi" })), [400, "PROOF_SIGNATURE_INVALID"]],
    [
      "whose issuer is nobody we accept",
      tampered((proof) => ({ ...proof, issuer: 666 })),
      [400, "ISSUER_NOT_ACCEPTED"],
    ],
    ["without a signature", (order) => ({ proof: proofFor(order).proof }), [400, "INVALID_PROOF"]],
    ["that pays a bare number", tampered((proof) => ({ ...proof, to: 500 })), [400, "INVALID_PROOF"]],
    ["that is nothing", () => ({}), [400, "INVALID_PROOF"]],
  ];
  test.each(refusals)("%s changes nothing", async (_what, make, expected) => {
    const order = await ordered();
    const before = shop.events().length;
    expect<unknown>(verdict(await deliver(make(order)))).toEqual(expected);
    expect(shop.events()).toHaveLength(before);
    expect((await read(`/orders/${order.id}/status`)).json.status).toBe("pending");
  });

  test("of a stranger for its own account is not accepted", async () => {
    const order = await ordered();
    expect(verdict(await deliver(proofFor(order, {}, stranger), stranger))).toEqual([400, "ISSUER_NOT_ACCEPTED"]);
  });

  test("whose issuer cannot be read is for later", async () => {
    const order = await ordered();
    const silent = startParty({ ocid: 101, role: "settlement_provider", now });
    const envelope = proofFor(order, {}, silent);
    silent.serveMetadataAs("unavailable");
    try {
      configure({ pinned: [pin(relay), pin(silent)], accepts: [101, 300] });
      const late = await ordered({ id: newId() }).catch(() => null);
      expect(late).toBeNull();
      expect(verdict(await deliver(envelope, relay))).toEqual([400, "ISSUER_NOT_ACCEPTED"]);
      const unknown = proofFor({ id: "ord_none", amount: "1", currency: "USD" }, {}, silent);
      expect(verdict(await deliver(unknown, relay))).toEqual([502, "METADATA_UNAVAILABLE"]);
    } finally {
      silent.stop();
    }
  });

  test("that cannot be written down is for later too, and its sender is told so", async () => {
    const envelope = proofFor(await ordered());
    const [main] = shop.database.read((at) => at.live().all<{ file: string }>("PRAGMA database_list"));
    const another = new Sqlite(String(main?.file));
    another.run("BEGIN IMMEDIATE");
    let is_over = false;
    const answered = deliver(envelope).finally(() => {
      is_over = true;
    });
    while (!is_over) {
      shop.advance(1000);
      await Bun.sleep(5);
    }
    another.run("ROLLBACK");
    another.close();
    expect(verdict(await answered)).toEqual([503, "INTERNAL_ERROR"]);
    expect(shop.log.at(-1)).toContain("the database stayed locked");
    expect(verdict(await deliver(envelope))).toEqual([200, "accepted"]);
  });

  test("for an order that was cancelled is rejected and kept, because nobody waits for it", async () => {
    const order = await ordered();
    await shop.checkout.cancel(ownId(order));
    expect((await read(`/orders/${order.id}/status`)).json.status).toBe("cancelled");
    expect((await read(`/orders/${order.id}`)).status).toBe(410);
    expect((await deliver(proofFor(order))).json).toMatchObject({ status: "rejected" });
    expect((await read(`/orders/${order.id}/status`)).json.status).toBe("cancelled");
  });

  test("that comes after the order has expired still pays it", async () => {
    const order = await ordered({ expiresAt: seconds() + 10 });
    shop.advance(20_000);
    await shop.expire();
    expect((await read(`/orders/${order.id}/status`)).json).toEqual({ orderId: order.id ?? null, status: "expired" });
    const before = shop.events().length;
    expect(verdict(await deliver(proofFor(order)))).toEqual([200, "accepted"]);
    expect(shop.events().slice(before)).toEqual(["order_status_changed paid"]);
    expect((await read(`/orders/${order.id}/status`)).json.status).toBe("paid");
    const audited = shop.database.read((at) => isAudited(at, "mark_paid", `order:${ownId(order)}`));
    expect(audited).toBe(true);
  });

  test("is put off where its issuer has filled its share of the day, and a replay fills nobody's", async () => {
    const kept = await proofFor(await ordered());
    expect(verdict(await deliver(kept))).toEqual([200, "accepted"]);
    shop.limits.proofKept(provider.ocid, 16 * 1024 * 1024);
    expect(verdict(await deliver(kept))).toEqual([200, "accepted"]);
    const order = await ordered();
    const late = await deliver(await proofFor(order));
    expect(verdict(late)).toEqual([429, "RATE_LIMITED"]);
    expect(shop.log.join("\n")).toContain("proof_put_off");
    shop.advance(86_400_000);
    expect(verdict(await deliver(await proofFor(await ordered())))).toEqual([200, "accepted"]);
  });

  test("older than its order pays it, and is told", async () => {
    const order = await ordered();
    shop.log.length = 0;
    await deliver(proofFor(order, { timestamp: Number(order.createdAt) - 1 }));
    expect([(await read(`/orders/${order.id}/status`)).json.status, shop.log.join("\n")]).toEqual([
      "paid",
      expect.stringContaining("proof_older_than_order"),
    ]);
  });
});
