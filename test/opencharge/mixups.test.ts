// What could be mixed up between orders, pages, payments and shops: names that strangers choose, settings that change
// while money is on its way, payments that leave the chain, proofs that come twice.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { liveConfig } from "../../src/config/config.ts";
import { insertSession } from "../../src/opencharge/storage/gateway.ts";
import { proofOf, signedOrder } from "../../src/opencharge/storage/merchant.ts";
import { createPaymentRules } from "../../src/services/payment-rules.ts";
import { createReverts } from "../../src/services/reverts.ts";
import { allocatedTo } from "../../src/storage/allocations.ts";
import { setReverted } from "../../src/storage/inbox.ts";
import { recordTransition } from "../../src/storage/ledger.ts";
import { insertOrder } from "../../src/storage/orders.ts";
import { dueDeliveries, dueLanes } from "../../src/storage/outbox.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld } from "../../src/world.ts";
import { type Answer, type Party, startParty } from "../support/opencharge/party.ts";
import { type Shop, shop_ocid, shop_secret, startShop } from "../support/opencharge/shop.ts";
import { type Fields, sign, spell } from "../support/opencharge/spelling.ts";
import { testConfig } from "../support/server.ts";

const [gateway_ocid, provider_ocid, relay_ocid, app_ocid, foreign_ocid] = [501, 100, 300, 200, 600];

let shop: Shop;
let provider: Party;
let relay: Party;
let app: Party;
let stranger: Party;
let foreign: Party;
const parties = () => [provider, relay, app, stranger, foreign];
const settings = () => ({
  gateway_ocid,
  accepts: [gateway_ocid, provider_ocid, relay_ocid],
  pinned: parties().map(({ ocid, metadata_url }) => ({ ocid, metadata_url, public_key: null, endpoint: null })),
  webhook_url: "https://shop.example/hook",
  merchants: [foreign_ocid],
});

beforeEach(async () => {
  let clock = () => Date.now();
  const now = () => clock();
  provider = startParty({ ocid: provider_ocid, role: "settlement_provider", now });
  relay = startParty({ ocid: relay_ocid, role: "merchant_gateway", now });
  app = startParty({ ocid: app_ocid, role: "payment_app", now });
  stranger = startParty({ ocid: 666, role: "payment_app", now });
  foreign = startParty({ ocid: foreign_ocid, role: "merchant_gateway", now, accepts: [gateway_ocid] });
  shop = await startShop({ settings: settings() });
  clock = shop.now;
  for (const party of parties()) party.knows(gateway_ocid, shop.metadata_url);
});
afterEach(async () => {
  for (const party of parties()) party.stop();
  await shop.stop();
});

interface Signed {
  order: Fields;
  signature: string;
}

const seconds = () => Math.floor(shop.now() / 1000);
const codeOf = ({ status, json }: Answer) => {
  const { code } = (json?.error ?? {}) as { code?: string };
  return `${status} ${code ?? "ok"}`;
};

/** One coffee, asked for under an id of the caller's choice. */
const create = (id: string, more: Fields = {}, from = app) =>
  from.call(shop.endpoint, "POST", "/orders/create", {
    id,
    ocid: shop_ocid,
    amount: "5.00",
    currency: "USD",
    items: [{ id: "item_001", name: "Large Coffee", quantity: 1, price: "5.00" }],
    ...more,
  });
async function ordered(id: string, more: Fields = {}, from = app): Promise<Signed> {
  const { status, json, text } = await create(id, more, from);
  if (status !== 200) throw new Error(text);
  return json as unknown as Signed;
}

/** An order that another merchant has signed. */
const foreignOrder = (id: string, amount = "5.00"): Signed => {
  const times = { createdAt: seconds(), expiresAt: seconds() + 900 };
  return foreign.signOrder({ id, ocid: foreign_ocid, amount, currency: "USD", ...times, accepts: [gateway_ocid] });
};
const urls: Fields = { success: "https://shop.example/done", cancel: "https://shop.example/back" };
const checkout = ({ order, signature }: Signed, from = app) =>
  from.call(shop.endpoint, "POST", "/checkout/create", {
    ...{ order, signature, merchantOcid: order.ocid ?? null, urls },
  });
const sessionIn = ({ json, text }: Answer) => {
  const session = shop.gateway.session(String(json?.session_id));
  if (session === null) throw new Error(text);
  return { ...session, url: String(json?.checkout_url) };
};
const open = async (signed: Signed, from = app) => sessionIn(await checkout(signed, from));
const sessionAgain = (id: string) => {
  const session = shop.gateway.session(id);
  if (session === null) throw new Error("no session");
  return session;
};

const choose = (order_id: string, stablecoin = "USDT") =>
  shop.checkout.select(order_id, { blockchain: "eth", stablecoin });
const markPaid = (order_id: string) => shop.database.transact((tx) => void recordTransition(tx, order_id, "pay"));
/** The order's money leaves the chain, or comes back. */
const leave = (order_id: string, gone = true) =>
  shop.database.transact((tx) => {
    for (const { id } of allocatedTo(tx, order_id)) setReverted(tx, id, gone);
  });
const statusOf = async (id: string) =>
  ((await (await fetch(`${shop.endpoint}/orders/${id}/status`)).json()) as Fields).status;
const waiting = () =>
  shop.database.read((at) =>
    dueLanes(at, shop.now() + 1e9).flatMap(({ lane, through }) => dueDeliveries(at, lane, through, 1000)),
  );
const deliver = (envelope: object, from = provider) =>
  from.call(shop.endpoint, "POST", "/transfer/webhook", { ...envelope });
const proofFor = (reference: string, more: Fields = {}, from = provider) =>
  from.proof({ to: { ocid: shop_ocid, reference }, amount: "5.00", currency: "USD", ...more });
const pending = async (more: Fields = {}) => {
  const terms = { to: shop_ocid, amount: "5.00", currency: "USD", ...more };
  const { json, text } = await app.call(shop.endpoint, "POST", "/payment/create", terms);
  if (json?.txid === undefined) throw new Error(text);
  return String(json.txid);
};
const settle = (txid: string, more: Fields = {}) =>
  app.call(shop.endpoint, "POST", "/payment/settle", {
    txid,
    ...provider.proof({ to: { ocid: gateway_ocid, reference: txid }, amount: "5.00", currency: "USD", ...more }),
  });

describe("a shop that ships by the name of the order", () => {
  const told = () => waiting().map(({ body }) => (JSON.parse(body) as Fields).merchant_order_id);

  test("ships nothing of its own for an order that a stranger gave the same id", async () => {
    await ordered("cart-7");
    await deliver(proofFor("cart-7"));
    expect(told()).toEqual(["opencharge:500:cart-7"]);
  });

  test("nor for a page of another merchant's", async () => {
    const page = await open(foreignOrder("cart-7", "0.01"), foreign);
    await markPaid(page.order.id);
    expect(told()).toEqual(["opencharge-page:600:cart-7"]);
  });

  test("tells an order of the network from the page it was paid on", async () => {
    const page = await open(await ordered("one"));
    await markPaid(page.order.id);
    await shop.proofs.issueOwed();
    const names = shop.operator.orders({ status: "paid" }, { limit: 10, offset: 0 });
    expect(names.map((order) => order.merchant_order_id)).toEqual(["opencharge-page:500:one", "opencharge:500:one"]);
    expect(told().filter((name) => name !== undefined)).toEqual(["opencharge:500:one"]);
  });
});

describe("a page", () => {
  test("of another merchant's order pays no order of ours that has the same id and amount", async () => {
    await ordered("same");
    const page = await open(foreignOrder("same"), foreign);
    await markPaid(page.order.id);
    await shop.proofs.issueOwed();
    expect(await statusOf("same")).toBe("pending");
  });

  test("of another merchant's order stays open when ours of the same id has ended", async () => {
    const { order } = await ordered("same");
    const page = await open(foreignOrder("same"), foreign);
    await deliver(proofFor(String(order.id)));
    expect(sessionAgain(page.row.id).order.status).toBe("pending");
  });

  test("of an order that the shop signed itself lets nobody else have that id", async () => {
    const times = { createdAt: seconds(), expiresAt: seconds() + 900 };
    const order = { id: "X9", ocid: shop_ocid, amount: "5.00", currency: "USD", ...times, accepts: [gateway_ocid] };
    await open({ order, signature: sign(spell(order, "recursive"), shop_secret) }, foreign);
    expect(codeOf(await create("X9"))).toBe("409 ORDER_CONFLICT");
  });

  test("whose order was paid elsewhere says so, and leads on to the shop", async () => {
    const page = await open(await ordered("two"));
    await deliver(proofFor("two"));
    const html = await (await fetch(page.url)).text();
    expect([html.includes("Paid. Thank you."), html.includes("https://shop.example/done")]).toEqual([true, true]);
  });

  test("whose time is over is not handed out again, unless a payment was seen on it", async () => {
    const signed = await ordered("slow", { expiresAt: seconds() + 80_000 });
    const page = await open(signed);
    await choose(page.order.id);
    shop.advance(31 * 60_000);
    await shop.expire();
    const next = await checkout(signed);
    expect(Number(next.json?.expires_at)).toBeGreaterThan(seconds());
    expect(sessionIn(next).row.id).not.toBe(page.row.id);
    await choose(sessionIn(next).order.id);
    await shop.seeTransfer(sessionIn(next).order.id);
    shop.advance(31 * 60_000);
    expect(sessionIn(await checkout(signed)).row.id).toBe(sessionIn(next).row.id);
  });

  test("on which a payment was seen says so whatever the payer looks at", async () => {
    const page = await open(await ordered("seen"));
    await choose(page.order.id);
    await shop.seeTransfer(page.order.id);
    const html = await (await fetch(`${page.url}?other`)).text();
    expect([html.includes("Your payment was seen"), html.includes("Choose what to pay")]).toEqual([true, false]);
  });

  test("that is paid keeps its order from being offered once more, before there is a proof", async () => {
    const signed = await ordered("gap");
    const page = await open(signed);
    await markPaid(page.order.id);
    const terms = { to: shop_ocid, amount: "5.00", currency: "USD", order: { id: "gap", urls: [] } };
    const answers = [await app.call(shop.endpoint, "POST", "/payment/create", terms), await checkout(signed)];
    for (const { status, json } of answers) {
      expect([status, json]).toMatchObject([
        409,
        { error: { message: "already paid", details: { txid: page.row.txid } } },
      ]);
    }
  });
});

describe("an order whose page is being paid", () => {
  const ways: [what: string, pay: (order_id: string) => Promise<unknown>][] = [
    ["a payment is on its way", (order_id) => shop.seeTransfer(order_id)],
    ["a part has come in", (order_id) => shop.payPart(order_id, "2.00")],
  ];
  test.each(ways)("is pending after its time: %s", async (_what, pay) => {
    const page = await open(await ordered("late", { expiresAt: seconds() + 120 }));
    await choose(page.order.id);
    await pay(page.order.id);
    shop.advance(180_000);
    await shop.expire();
    expect([sessionAgain(page.row.id).order.status, await statusOf("late")]).toEqual(["pending", "pending"]);
    expect((await fetch(`${shop.endpoint}/orders/late`)).status).toBe(200);
    shop.advance(25 * 3_600_000);
    for (let round = 0; round < 2; round++) await shop.expire();
    expect([sessionAgain(page.row.id).order.status, await statusOf("late")]).toEqual(["expired", "expired"]);
  });
});

describe("an order that was paid on a page in the end", () => {
  test("is not told to have expired, before its proof is made", async () => {
    const page = await open(await ordered("close", { expiresAt: seconds() + 120 }));
    await choose(page.order.id);
    await shop.seeTransfer(page.order.id);
    shop.advance(180_000);
    await shop.payPart(page.order.id, "5.00");
    await shop.expire();
    expect((await fetch(`${shop.endpoint}/orders/close`)).status).toBe(200);
    await shop.proofs.issueOwed();
    const told = waiting().flatMap(({ kind, body }) => (kind === "order" ? [(JSON.parse(body) as Fields).status] : []));
    expect(told).toEqual(["paid"]);
  });

  test("waits with its proof for the OCID it was opened at", async () => {
    const page = await open(await ordered("moved", { expiresAt: seconds() + 120 }));
    await markPaid(page.order.id);
    shop.reconfigure({ ...settings(), gateway_ocid: 502, accepts: [502] });
    await shop.proofs.issueOwed();
    expect(shop.log.join("\n")).toMatch(/proof_not_issued .*OCID 501, which is not ours now/);
    shop.advance(180_000);
    await shop.expire();
    expect(await statusOf("moved")).toBe("pending");
    shop.reconfigure(settings());
    await shop.proofs.issueOwed();
    expect(await statusOf("moved")).toBe("paid");
  });
});

describe("a proof of ours", () => {
  const proofIn = (id: string) => sessionAgain(id).row.proof;

  test("is not made for a payment that left the chain before, but once it is back", async () => {
    const page = await open(await ordered("gone"));
    await choose(page.order.id);
    await shop.payPart(page.order.id, "5.00");
    await leave(page.order.id);
    for (let round = 0; round < 2; round++) await shop.proofs.issueOwed();
    expect([proofIn(page.row.id), await statusOf("gone")]).toEqual([null, "pending"]);
    expect(shop.log.filter((line) => line.includes("proof_not_issued"))).toHaveLength(1);
    await leave(page.order.id, false);
    await shop.proofs.issueOwed();
    expect([proofIn(page.row.id) === null, await statusOf("gone")]).toEqual([false, "paid"]);
  });

  test("that has to wait begins nothing while it does", async () => {
    const page = await open(await ordered("idle"));
    await choose(page.order.id);
    await shop.payPart(page.order.id, "5.00");
    await leave(page.order.id);
    await shop.proofs.issueOwed();
    let commits = 0;
    const stop = shop.database.onCommit(() => void commits++);
    for (let round = 0; round < 5; round++) await shop.proofs.issueOwed();
    stop();
    expect(commits).toBe(0);
  });

  test("is made behind a thousand that have to wait", async () => {
    const sessions = (count: number, gateway: number) =>
      shop.database.transact((tx) => {
        for (let n = 0; n < count; n++) {
          const id = `${gateway}-${n}`;
          const none = { chain: null, coin: null, sender: null, webhook_url: "" };
          insertOrder(tx, { id, merchant_order_id: id, amount: "1.00", ...none, expires_at: tx.now + 1_000_000 });
          const order = { order_id: id, merchant_order: id, signed_order: "{}", signature: "s", currency: "USD" };
          const merchant = { merchant: foreign_ocid, merchant_name: "m", caller: 1, notify: "[]" };
          insertSession(tx, { id: `s-${id}`, txid: `t-${id}`, ...order, ...merchant, form: "recursive", gateway });
          recordTransition(tx, id, "pay");
        }
      });
    await sessions(1001, 999);
    shop.advance(1000);
    await sessions(1, gateway_ocid);
    for (let round = 0; round < 2; round++) await shop.proofs.issueOwed();
    expect(sessionAgain(`s-${gateway_ocid}-0`).row.proof).not.toBeNull();
  });

  test("that has to wait keeps no other from being made", async () => {
    const first = await open(await ordered("stuck"));
    await choose(first.order.id);
    await shop.payPart(first.order.id, "5.00");
    await leave(first.order.id);
    const second = await open(await ordered("free"));
    await markPaid(second.order.id);
    await shop.proofs.issueOwed();
    expect([proofIn(first.row.id) === null, proofIn(second.row.id) === null]).toEqual([true, false]);
  });

  test("is named where its payment leaves the chain afterwards", async () => {
    const page = await open(await ordered("rev"));
    await choose(page.order.id);
    await shop.payPart(page.order.id, "5.00");
    await shop.proofs.issueOwed();
    const lines: string[] = [];
    const telemetry = createTelemetry({ ...realWorld(), warn: (line) => void lines.push(line) });
    const config = liveConfig(testConfig());
    const { revert } = createReverts({ ...createPaymentRules({ config }), config, telemetry });
    await shop.database.transact((tx) => {
      for (const row of allocatedTo(tx, page.order.id)) revert(tx, row);
    });
    expect(lines.find((line) => line.includes("payment_reverted"))).toContain(`proof=${page.row.txid}`);
  });

  test("is made and sent by the OCID at which its page was opened, and waits while we are another", async () => {
    const page = await open(foreignOrder("A1"), foreign);
    await markPaid(page.order.id);
    shop.reconfigure({ ...settings(), gateway_ocid: 502, accepts: [502] });
    await shop.proofs.issueOwed();
    expect(proofIn(page.row.id)).toBeNull();
    shop.reconfigure(settings());
    await shop.proofs.issueOwed();
    const body = String(proofIn(page.row.id));
    const url = `${foreign.endpoint}/transfer/webhook`;
    expect(shop.proofs.sign(url, body)?.["X-OC-ID"]).toBe(String(gateway_ocid));
    shop.reconfigure({ ...settings(), gateway_ocid: 502, accepts: [502] });
    expect(shop.proofs.sign(url, body)).toBeNull();
  });

  test("pays the order it is for also after our merchant's OCID was changed", async () => {
    const page = await open(await ordered("moved"));
    await markPaid(page.order.id);
    shop.reconfigure({ ...settings(), merchant_ocid: 700 });
    await shop.proofs.issueOwed();
    const own = shop.database.read((at) => signedOrder(at, "moved"))?.order_id ?? "";
    expect(shop.checkout.order(own).status).toBe("paid");
  });

  test("that nobody took is sent again when the operator says so", async () => {
    const page = await open(foreignOrder("A1"), foreign);
    await markPaid(page.order.id);
    await shop.proofs.issueOwed();
    const proofs = () => waiting().filter(({ kind }) => kind === "proof").length;
    const before = proofs();
    await shop.operator.resendOrder(page.order.id, "operator");
    expect([before, proofs()]).toEqual([1, 2]);
  });
});

describe("a proof of others", () => {
  test("of an issuer that is blocked pays no order, whoever brings it", async () => {
    await ordered("old");
    const txid = await pending();
    shop.reconfigure({ ...settings(), blocked: [provider_ocid] });
    expect(codeOf(await deliver(proofFor("old"), relay))).toBe("400 ISSUER_NOT_ACCEPTED");
    expect(codeOf(await settle(txid))).toBe("400 ISSUER_NOT_ACCEPTED");
    expect(await statusOf("old")).toBe("pending");
  });

  test("gets the same answer again though its issuer has changed its key since", async () => {
    await ordered("key");
    const [envelope, txid] = [proofFor("key"), await pending()];
    const settlement = {
      txid,
      ...provider.proof({ to: { ocid: gateway_ocid, reference: txid }, amount: "5.00", currency: "USD" }),
    };
    const settleAgain = () => app.call(shop.endpoint, "POST", "/payment/settle", settlement);
    const first = [codeOf(await deliver(envelope)), codeOf(await settleAgain())];
    provider.rotateKey({ announced: false });
    shop.advance(6 * 60_000);
    const again = [codeOf(await deliver(envelope)), codeOf(await settleAgain())];
    expect([first, again]).toEqual([
      ["200 ok", "200 ok"],
      ["200 ok", "200 ok"],
    ]);
  });

  test("under a txid that was used before is refused and told, whatever else differs", async () => {
    const [one, two] = [await pending(), await pending()];
    expect(codeOf(await settle(one, { txid: "T" }))).toBe("200 ok");
    expect(codeOf(await settle(two, { txid: "T", amount: "9.00" }))).toBe("400 INVALID_PROOF");
    await ordered("used");
    await deliver(proofFor("used", { txid: "U" }));
    expect(codeOf(await settle(two, { txid: "U" }))).toBe("400 INVALID_PROOF");
    expect(shop.log.filter((line) => line.includes("proof_txid_reused"))).toHaveLength(2);
  });

  test("made out to an OCID that was ours is refused, and told", async () => {
    const txid = await pending();
    const envelope = provider.proof({
      txid: "T9",
      to: { ocid: gateway_ocid, reference: txid },
      amount: "5.00",
      currency: "USD",
    });
    shop.reconfigure({ ...settings(), gateway_ocid: 502, accepts: [502, provider_ocid] });
    expect(codeOf(await deliver(envelope))).toBe("400 INVALID_PROOF");
    expect(shop.log.join("\n")).toMatch(/proof_for_another .*txid=T9/);
  });
});

describe("a payment", () => {
  test("opened with a free reference pays no order of somebody else who has the same", async () => {
    await ordered("bob", { reference: "store-42" }, stranger);
    const txid = await pending({ reference: "store-42" });
    expect(codeOf(await settle(txid))).toBe("200 ok");
    expect(await statusOf("bob")).toBe("pending");
    expect(shop.database.read((at) => proofOf(at, gateway_ocid, txid))?.outcome).toBe("unmatched");
  });

  test("whose reference is an order's id is a payment of that order, and of its amount", async () => {
    await ordered("named");
    const wrong = { to: shop_ocid, amount: "1.00", currency: "USD", reference: "named" };
    expect(codeOf(await app.call(shop.endpoint, "POST", "/payment/create", wrong))).toBe("400 AMOUNT_MISMATCH");
    expect(codeOf(await settle(await pending({ reference: "named" })))).toBe("200 ok");
    expect(await statusOf("named")).toBe("paid");
  });

  test("opened before there was an order of its reference, for another amount, leaves its proof to the operator", async () => {
    const txid = await pending({ reference: "later" });
    await ordered("later", {
      amount: "10.00",
      items: [{ id: "item_001", name: "Coffee", quantity: 2, price: "5.00" }],
    });
    expect(codeOf(await settle(txid))).toBe("200 ok");
    expect(shop.database.read((at) => proofOf(at, gateway_ocid, txid))?.outcome).toBe("unmatched");
    expect(await statusOf("later")).toBe("pending");
  });
});

describe("an order's id", () => {
  test("is kept from others for as long as it is a name by which another may be paid, and no longer", async () => {
    await ordered("evil", { reference: "ord_1002" }, stranger);
    expect(codeOf(await create("ord_1002"))).toBe("409 ORDER_CONFLICT");
    shop.advance(4 * 86_400_000);
    await shop.expire();
    expect(codeOf(await create("ord_1002"))).toBe("200 ok");
  });

  test("is asked for at its price before its time is looked at", async () => {
    expect(codeOf(await create("dear", { amount: "1.00", expiresAt: seconds() - 5 }))).toBe("400 AMOUNT_MISMATCH");
  });
});
