// The gateway's addresses and the payer's page over real HTTP: signed calls of a participant written from the protocol
// alone, and a browser that follows forms and redirects.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { recordTransition } from "../../src/storage/ledger.ts";
import { type Party, startParty } from "../support/opencharge/party.ts";
import { type Shop, startShop } from "../support/opencharge/shop.ts";
import type { Fields } from "../support/opencharge/spelling.ts";

const [ours, merchant_ocid] = [200, 600];
const evil = `<script>alert("1")</script>`;

let shop: Shop;
let merchant: Party;
beforeEach(async () => {
  let clock = () => Date.now();
  merchant = startParty({ ocid: merchant_ocid, role: "merchant_gateway", now: () => clock(), accepts: [ours] });
  const pin = { ocid: merchant_ocid, metadata_url: merchant.metadata_url, public_key: null, endpoint: null };
  const settings = { merchant_ocid: null, gateway_ocid: ours, merchants: [merchant_ocid], pinned: [pin] };
  shop = await startShop({ settings });
  clock = shop.now;
  merchant.knows(ours, shop.metadata_url);
});
afterEach(async () => {
  merchant.stop();
  await shop.stop();
});

const seconds = () => Math.floor(shop.now() / 1000);
const order = (more: Fields = {}): Fields => ({
  id: "ord_1",
  ocid: merchant_ocid,
  amount: "19.90",
  currency: "USD",
  createdAt: seconds(),
  expiresAt: seconds() + 3600,
  accepts: [ours],
  ...more,
});
const urls: Fields = { success: "https://shop.example/done?a=1&b=2", cancel: "https://shop.example/back" };

const create = (more: Fields = {}, pages: Fields = urls) =>
  merchant.call(shop.endpoint, "POST", "/checkout/create", {
    ...merchant.signOrder(order(more)),
    merchantOcid: merchant_ocid,
    urls: pages,
  });

async function openPage(more: Fields = {}, pages: Fields = urls) {
  const { json } = await create(more, pages);
  const { checkout_url, session_id } = json as { checkout_url: string; session_id: string };
  const session = shop.gateway.session(session_id);
  if (session === null) throw new Error("no session");
  return { url: checkout_url, order_id: session.order.id };
}

/** Sends a form as a browser does and follows where it leads. */
async function submit(url: string, form: Record<string, string>): Promise<{ answer: Response; html: string }> {
  const answer = await fetch(url, { method: "POST", body: new URLSearchParams(form) });
  return { answer, html: await answer.text() };
}

const show = async (url: string) => (await fetch(url)).text();

describe("the gateway's addresses", () => {
  test("checkout/create answers all three fields, signed", async () => {
    const answer = await create();
    expect(answer.status).toBe(200);
    expect(answer.signed).toBe("valid");
    expect(Object.keys(answer.json ?? {}).sort()).toEqual(["checkout_url", "expires_at", "session_id"]);
    expect(answer.headers.get("x-oc-id")).toBe(String(ours));
  });

  test("orders/checkout answers where to send the payer", async () => {
    const pages = { order: [], completed: "https://shop.example/done", cancelled: "https://shop.example/back" };
    const body = { ...merchant.signOrder(order()), urls: pages };
    const { status, json } = await merchant.call(shop.endpoint, "POST", "/orders/checkout", body);
    expect(status).toBe(200);
    expect(json).toEqual({ redirect_url: expect.stringContaining(`${shop.endpoint}/pay/`) });
  });

  test("a refusal is an envelope, signed too", async () => {
    const answer = await create({ currency: "EUR" });
    expect([answer.status, answer.signed]).toEqual([400, "valid"]);
    expect(answer.json).toMatchObject({
      error: { code: "SETTLEMENT_NOT_SUPPORTED", message: "prices in EUR are not taken here; use USD" },
    });
  });

  test("a call without a signature creates nothing", async () => {
    const body = { ...merchant.signOrder(order()), merchantOcid: merchant_ocid, urls };
    const without = ["x-oc-signature"];
    expect((await merchant.call(shop.endpoint, "POST", "/checkout/create", body, { without })).status).toBe(401);
    expect(shop.events()).toEqual([]);
  });

  test("verify answers the proof to anybody once there is one", async () => {
    const { order_id, url } = await openPage();
    const txid = shop.gateway.session(url.split("/").at(-1) ?? "")?.row.txid ?? "";
    expect((await fetch(`${shop.endpoint}/verify/${txid}`)).status).toBe(404);
    await shop.database.transact((tx) => void recordTransition(tx, order_id, "pay"));
    await shop.proofs.issueOwed();
    const answer = await fetch(`${shop.endpoint}/verify/${txid}`);
    expect([answer.status, await answer.json()]).toMatchObject([200, { status: "completed", txid, issuer: ours }]);
  });

  const not_offered = [
    ...["POST /transfer/create", "GET /transfer/create", "POST /orders/create/abc", "GET /orders/create/abc"],
    ...["GET /kyc/grant", "GET /kyc/grant/300", "POST /kyc/validate", "GET /kyc/validate", "POST /kyc/data"],
  ];
  test.each(not_offered)("%s is not offered, and says so to whoever asks", async (route) => {
    const [method = "", path = ""] = route.split(" ");
    const refusal = { error: { code: "CAPABILITY_NOT_SUPPORTED" } };
    const { status, json, signed } = await merchant.call(shop.endpoint, method, path, method === "GET" ? null : {});
    expect([status, json, signed]).toMatchObject([400, refusal, "valid"]);
    const unsigned = await fetch(shop.endpoint + path, { method, ...(method === "GET" ? {} : { body: "{}" }) });
    expect([unsigned.status, await unsigned.json()]).toMatchObject([400, refusal]);
    shop.reconfigure({ gateway_ocid: null, merchant_ocid: ours });
    expect((await fetch(`${shop.endpoint}${path}?status=granted`, { method })).status).toBe(400);
  });

  test("the metadata names what is served, and none of it without a gateway's OCID", async () => {
    const capabilities = async () => ((await (await fetch(shop.metadata_url)).json()) as Fields).capabilities;
    for (const name of ["checkout.create", "orders.checkout", "verify.txid"])
      expect(await capabilities()).toContain(name);
    shop.reconfigure({ gateway_ocid: null, merchant_ocid: ours });
    expect(await capabilities()).not.toContain("checkout.create");
    expect((await create()).json).toMatchObject({ error: { code: "CAPABILITY_NOT_SUPPORTED" } });
  });
});

describe("the payer's page", () => {
  test("lets choose, then tells address and exact amount", async () => {
    const { url } = await openPage();
    const first = await show(url);
    expect(first).toContain('<button name="pay" value="eth.USDT">USDT on Ethereum</button>');
    expect(first).toContain('<button name="pay" value="tron.USDT">USDT on Tron</button>');
    expect(first).toContain("19.90 USD");
    const { answer, html } = await submit(url, { pay: "polygon.DAI" });
    expect(answer.url).toBe(`${url}?pay=polygon.DAI`);
    expect(html).toContain('<p class="exact">19.90</p>');
    expect(html).toContain("DAI on Polygon");
    expect(html.replace(/<\/?span>/g, "")).toContain("0x52908400098527886E0F7030069857D2E4169EE7");
    expect(await show(url)).toContain("Waiting for your payment, 30 minutes more.");
    shop.advance(29 * 60_000);
    expect(await show(url)).toContain("1 minute more.");
    shop.advance(60_000);
    const late = await show(url);
    expect(late).toContain("Do not send anything now");
    expect(late).not.toContain("0x5290");
  });

  test("asks again by itself while it waits, and goes on by itself once paid, naming the host", async () => {
    const { url, order_id } = await openPage();
    const { html } = await submit(url, { pay: "eth.USDT" });
    expect(html).toContain('<meta http-equiv="refresh" content="5">');
    await shop.database.transact((tx) => void recordTransition(tx, order_id, "pay"));
    const paid = await show(`${url}?pay=eth.USDT`);
    expect(paid).toContain('<meta http-equiv="refresh" content="4; url=https://shop.example/done?a=1&amp;b=2">');
    expect(paid).toContain("Continue to shop.example");
  });

  test("leads back to the shop once it is over", async () => {
    const { url, order_id } = await openPage();
    await shop.database.transact((tx) => void recordTransition(tx, order_id, "expire"));
    expect(await show(url)).toContain("url=https://shop.example/back");
  });

  test("cancels, and stays where it is without an address to go to", async () => {
    const { url } = await openPage({}, {});
    const { html } = await submit(url, { cancel: "yes" });
    expect(html).toContain("Cancelled");
    expect(html).not.toContain("http-equiv");
    expect(shop.events()).toEqual(["order_created", "order_status_changed cancelled"]);
  });

  test("does not cancel while a payment is on its way", async () => {
    const { url, order_id } = await openPage();
    await submit(url, { pay: "eth.USDT" });
    await shop.seeTransfer(order_id);
    const { html } = await submit(url, { cancel: "yes" });
    expect(html).toContain("Your payment was seen on Ethereum");
    expect(html).not.toContain("<button");
  });

  test("asks for the rest of an order that was paid in part, and cancels it no more", async () => {
    const { url, order_id } = await openPage();
    await submit(url, { pay: "eth.USDT" });
    await shop.payPart(order_id, "7.4");
    const html = await show(url);
    expect(html).toContain("7.4 USD was received, 12.5 USD is still due.");
    expect(html).toContain('<p class="exact">12.5</p>');
    expect(html).not.toContain('name="cancel"');
    const other = await submit(url, { other: "yes" });
    expect(other.html).toContain("Choose what to pay the rest with");
    expect(other.html).not.toContain('name="cancel"');
    await submit(url, { cancel: "yes" });
    expect(shop.gateway.session(url.split("/").at(-1) ?? "")?.order.status).toBe("pending");
    await submit(url, { pay: "polygon.USDC" });
    expect(await show(url)).toContain('<p class="exact">12.5</p>');
  });

  test("asks for no rest that another order was promised, and for it once it is free", async () => {
    const { url, order_id } = await openPage();
    await submit(url, { pay: "eth.USDT" });
    const { json } = await create({ id: "ord_2", amount: "12.50" });
    const other = shop.gateway.session(String(json?.session_id))?.order.id ?? "";
    await shop.checkout.select(other, { blockchain: "eth", stablecoin: "USDT" });
    await shop.payPart(order_id, "7.4");
    const html = await show(`${url}?pay=eth.USDT`);
    expect([html.includes("12.5<"), html.includes("This coin cannot be paid with right now")]).toEqual([false, true]);
    expect(html).toContain("Choose what to pay the rest with");
    expect((await submit(url, { pay: "polygon.USDT" })).html).toContain('<p class="exact">12.5</p>');
    await shop.checkout.cancel(other);
    shop.advance(25 * 3_600_000);
    expect((await submit(url, { pay: "eth.USDT" })).html).not.toContain('<p class="exact">12.5</p>');
  });

  test("rounds up what is due to what a coin can hold", async () => {
    const { url, order_id } = await openPage();
    await submit(url, { pay: "eth.USDT" });
    await submit(url, { pay: "polygon.DAI" });
    await shop.payPart(order_id, "2.000000000000000001");
    expect(await show(`${url}?pay=eth.USDT`)).toContain('<p class="exact">17.9</p>');
    const html = await show(`${url}?pay=polygon.DAI`);
    expect(html).toContain('<p class="exact">17.899999999999999999</p>');
    expect(html).toContain("17.899999999999999999 USD is still due");
    const other = await submit(url, { other: "yes" });
    expect([other.html.includes("USDT on Ethereum"), other.html.includes("DAI on Polygon")]).toEqual([true, true]);
  });

  test("stays a page when what is sent to it is no form of its", async () => {
    const { url } = await openPage();
    for (const body of ["pay=".padEnd(5000, "x"), new Uint8Array([0xff, 0xfe])]) {
      const answer = await fetch(url, { method: "POST", body });
      expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining("Choose what to pay with")]);
    }
  });

  test("offers another coin, and keeps the first promise", async () => {
    const { url } = await openPage();
    await submit(url, { pay: "eth.USDT" });
    const { html } = await submit(url, { other: "yes" });
    expect(html).toContain("Choose what to pay with");
    await submit(url, { pay: "polygon.USDC" });
    expect(await show(`${url}?pay=eth.USDT`)).toContain("USDT on Ethereum");
    expect(await show(url)).toContain("USDC on Polygon");
  });

  const choices: [pay: string, says: string][] = [
    ["eth.DOGE", "cannot be paid with right now"],
    ["moon.USDT", "cannot be paid with right now"],
    ["", "cannot be paid with right now"],
  ];
  test.each(choices)("takes no coin called %p", async (pay, says) => {
    const { url } = await openPage();
    const { answer, html } = await submit(url, { pay });
    expect(answer.status).toBe(200);
    expect(html).toContain(says);
    expect(shop.events()).toEqual(["order_created"]);
  });

  test("escapes what others call themselves", async () => {
    const named = startParty({ ocid: 601, role: "payment_app", now: shop.now, accepts: [ours] });
    const document = { ...named.metadata(), name: evil };
    const host = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => Response.json(document) });
    const metadata_url = `http://127.0.0.1:${host.port}/`;
    shop.reconfigure({ merchants: [601], pinned: [{ ocid: 601, metadata_url, public_key: null, endpoint: null }] });
    const body = { ...named.signOrder(order({ ocid: 601 })), merchantOcid: 601, urls: {} };
    const { json } = await named.call(shop.endpoint, "POST", "/checkout/create", body);
    const html = await show(String(json?.checkout_url));
    expect(html).not.toContain("<script");
    expect(html).toContain("&lt;script&gt;");
    named.stop();
    host.stop(true);
  });

  test("runs nothing, loads nothing, is in no frame and in no memory", async () => {
    const { url } = await openPage();
    const { headers } = await fetch(url);
    const policy = headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain("unsafe");
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(await show(url)).not.toContain("<script");
  });

  test("offers only the coin an order is priced in, where that is a coin", async () => {
    shop.reconfigure({ currencies: ["USD", "USDT"] });
    const { url } = await openPage({ currency: "USDT" });
    const html = await show(url);
    expect(html).toContain("USDT on Ethereum");
    expect(html).not.toContain("USDC");
    expect((await submit(url, { pay: "eth.USDC" })).html).toContain("cannot be paid with right now");
    const finer = await create({ id: "ord_2", currency: "USDT", amount: "1.0000001" });
    expect([finer.status, finer.json]).toMatchObject([400, { error: { code: "SETTLEMENT_NOT_SUPPORTED" } }]);
  });

  test("lets no address break out of its place", async () => {
    const { url, order_id } = await openPage({}, { success: `https://shop.example/?"onload="alert(1)'><b>` });
    await shop.database.transact((tx) => void recordTransition(tx, order_id, "pay"));
    const html = await show(url);
    expect(html).toContain("https://shop.example/?&quot;onload=&quot;alert(1)&#39;&gt;&lt;b&gt;");
    expect(html).not.toContain(`"onload`);
  });

  test("of no session is a page too", async () => {
    for (const id of ["x", "a".repeat(32), "..", "%2e%2e"]) {
      const answer = await fetch(`${shop.endpoint}/pay/${id}`);
      expect(answer.status).toBe(404);
    }
    const { answer } = await submit(`${shop.endpoint}/pay/${"a".repeat(32)}`, { cancel: "yes" });
    expect([answer.status, answer.headers.get("content-type")]).toEqual([404, "text/html; charset=utf-8"]);
  });
});
