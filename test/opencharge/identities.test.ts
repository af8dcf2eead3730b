// Two identities in one appliance, each with a key of its own: a merchant at the endpoint and a gateway below it. Every
// signature is checked with the key that the metadata at that very place names.

import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Metadata } from "../../src/opencharge/wire/metadata.ts";
import { recordTransition } from "../../src/storage/ledger.ts";
import { type Party, startParty } from "../support/opencharge/party.ts";
import { type Shop, shop_ocid, shop_secret, startShop } from "../support/opencharge/shop.ts";
import { type Fields, isSignedBy, publicKeyOf, spell } from "../support/opencharge/spelling.ts";

const gateway_ocid = 501;
const gateway_secret = "33".repeat(32);
const [merchant_key, gateway_key] = [publicKeyOf(shop_secret), publicKeyOf(gateway_secret)];

let shop: Shop;
let app: Party;
let gateway: string;

beforeAll(async () => {
  let clock = () => Date.now();
  app = startParty({ ocid: 200, role: "payment_app", now: () => clock() });
  const pinned = [{ ocid: 200, metadata_url: app.metadata_url, public_key: null, endpoint: null }];
  const own = { secret_key: gateway_secret, previous: null };
  shop = await startShop({ settings: { gateway_ocid, gateway_key: own, accepts: [gateway_ocid], pinned } });
  clock = shop.now;
  gateway = `${shop.endpoint}/gateway`;
  app.knows(shop_ocid, shop.metadata_url);
  app.knows(gateway_ocid, `${gateway}/metadata.json`);
});
afterAll(async () => {
  app.stop();
  await shop.stop();
});

const documentAt = async (endpoint: string) => (await (await fetch(`${endpoint}/metadata.json`)).json()) as Fields;
const codeOf = (json: Fields | null) => (json?.error as Fields | undefined)?.code;
let counter = 0;
const ask = (endpoint: string) => {
  const items = [{ id: "item_001", name: "Large Coffee", quantity: 2, price: "5.00" }];
  const body = { id: `ord_${++counter}`, ocid: shop_ocid, currency: "USD", items };
  return app.call(endpoint, "POST", "/orders/create", body);
};

test("each has a document of its own, signed by its own key, with its own part of the network", async () => {
  const [merchant, other] = [await documentAt(shop.endpoint), await documentAt(gateway)];
  for (const [document, key, endpoint] of [
    [merchant, merchant_key, shop.endpoint],
    [other, gateway_key, gateway],
  ] as const) {
    const config = document.config as Fields;
    expect([document.publicKey, config.publicKey, config.endpoint]).toEqual([key, key, endpoint]);
    expect(isSignedBy(spell(config, "recursive"), String(document.signature), key)).toBe(true);
  }
  expect(merchant.capabilities).toEqual(["inventory.get", "orders.create", "orders.status", "transfer.webhook"]);
  expect(other.capabilities).toEqual([
    ...["checkout.create", "orders.checkout", "payment.create", "payment.settle"],
    ...["transfer.webhook", "verify.txid"],
  ]);
});

test("each is known here under its own key", async () => {
  const key = async (ocid: number) => ((await shop.directory.find(ocid)) as Metadata).public_key;
  expect([await key(shop_ocid), await key(gateway_ocid)]).toEqual([merchant_key, gateway_key]);
});

test("each answers for its own part alone, in its own name, whichever path was signed", async () => {
  for (const signed_path of ["relative", undefined]) {
    const overrides = signed_path === undefined ? {} : { signed_path };
    for (const [endpoint, ocid] of [
      [shop.endpoint, shop_ocid],
      [gateway, gateway_ocid],
    ] as const) {
      const { status, json, signed, headers } = await app.call(endpoint, "GET", "/capabilities", null, overrides);
      expect([status, json?.ocid, signed, headers.get("x-oc-id")]).toEqual([200, ocid, "valid", String(ocid)]);
    }
  }
  expect(codeOf((await ask(gateway)).json)).toBe("CAPABILITY_NOT_SUPPORTED");
  const checkout = await app.call(shop.endpoint, "POST", "/checkout/create", {});
  expect(codeOf(checkout.json)).toBe("CAPABILITY_NOT_SUPPORTED");
  expect((await fetch(`${gateway}/gateway/metadata.json`)).status).toBe(404);
});

test("the merchant signs the order, the gateway hosts and proves it, and the order is paid", async () => {
  const made = await ask(shop.endpoint);
  const { order, signature, urls } = made.json as { order: Fields; signature: string; urls: Fields };
  expect(isSignedBy(spell(order, "recursive"), signature, merchant_key)).toBe(true);
  expect(urls.order).toEqual([`${shop.endpoint}/orders/${order.id}`]);
  const body = { order, signature, merchantOcid: shop_ocid, urls: {} };
  const opened = await app.call(gateway, "POST", "/checkout/create", body);
  expect([opened.status, opened.signed]).toEqual([200, "valid"]);
  const page = String(opened.json?.checkout_url);
  expect(page).toBe(`${gateway}/pay/${opened.json?.session_id}`);
  expect((await fetch(page)).status).toBe(200);

  const session = shop.gateway.session(String(opened.json?.session_id));
  await shop.database.transact((tx) => void recordTransition(tx, session?.order.id ?? "", "pay"));
  await shop.proofs.issueOwed();
  const verified = (await (await fetch(`${gateway}/verify/${session?.row.txid}`)).json()) as Fields;
  const proof = verified.proof as Fields;
  expect(proof).toMatchObject({ issuer: gateway_ocid, to: { ocid: shop_ocid } });
  expect(isSignedBy(spell(proof, "recursive"), String(verified.signature), gateway_key)).toBe(true);
  const status = await fetch(`${shop.endpoint}/orders/${order.id}/status`);
  expect(await status.json()).toMatchObject({ status: "paid", txid: String(proof.txid) });
  const sent = JSON.stringify({ proof, signature: verified.signature });
  expect(shop.proofs.sign(`${app.endpoint}/transfer/webhook`, sent)?.["X-OC-ID"]).toBe(String(gateway_ocid));
});

test("one key may change without the other", async () => {
  const rotated_at = Math.floor(shop.now() / 1000);
  const next = { secret_key: "44".repeat(32), previous: { secret_key: gateway_secret, rotated_at } };
  shop.reconfigure({ gateway_key: next });
  expect(await documentAt(gateway)).toMatchObject({
    publicKey: publicKeyOf("44".repeat(32)),
    previousKey: gateway_key,
    keyRotatedAt: rotated_at,
  });
  expect(await documentAt(shop.endpoint)).not.toHaveProperty("previousKey");
});
