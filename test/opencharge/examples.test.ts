// The protocol's own two example requests, sent as they are printed and signed with a known key at the moment they
// speak of: the answers are the printed ones, and their signatures the ones another library computed beforehand.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Shop, shop_ocid, startShop } from "../support/opencharge/shop.ts";
import { type Fields, isSignedBy, sha256, sign } from "../support/opencharge/spelling.ts";
import {
  checkoutOrder,
  coffeeOrder,
  flatOrder,
  orderRequest,
  public_key,
  secret,
  vector,
} from "../support/opencharge/vectors.ts";

const moment_ms = 1706313600_000;
const [wallet_ocid, caller_ocid, provider_ocid] = [200, 300, 100];
const endpoint = "https://api.merchant.example/opencharge";
const urls = {
  success: "https://merchant.example/checkout/success",
  cancel: "https://merchant.example/checkout/cancel",
};

let merchant: Shop;
let gateway: Shop;
const key = (ocid: number) => ({ ocid, metadata_url: null, public_key, endpoint: null });

beforeAll(async () => {
  const world = { now: () => moment_ms };
  const accepts = [100, 101, 102];
  merchant = await startShop({
    world,
    settings: { secret_key: secret, endpoint, accepts, pinned: [key(wallet_ocid)] },
  });
  gateway = await startShop({
    world,
    settings: {
      ...{ merchant_ocid: null, gateway_ocid: provider_ocid, secret_key: secret, merchants: [shop_ocid] },
      pinned: [key(caller_ocid), key(shop_ocid)],
    },
  });
});
afterAll(async () => {
  await Promise.all([merchant.stop(), gateway.stop()]);
});

/** The signature of a call that is printed nowhere. */
function signed(path: string, body: Fields, ocid: number, nonce: string): string {
  const hash = sha256(JSON.stringify(body));
  return sign([ocid, moment_ms / 1000, nonce, "POST", `/opencharge${path}`, hash].join("\n"), secret);
}

/** Sends a body under the headers of one of the computed requests. */
async function send(shop: Shop, path: string, body: Fields, ocid: number, nonce: string, signature: string) {
  const answer = await fetch(shop.endpoint + path, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      "X-OC-ID": String(ocid),
      "X-OC-Timestamp": String(moment_ms / 1000),
      "X-OC-Nonce": nonce,
      "X-OC-Signature": signature,
    },
    body: JSON.stringify(body),
  });
  return { status: answer.status, json: (await answer.json()) as Fields };
}

test("POST /orders/create", async () => {
  const { signature } = vector("V9");
  const { status, json } = await send(merchant, "/orders/create", orderRequest, wallet_ocid, "req_abc123", signature);
  expect(status).toBe(200);
  expect(json).toEqual({
    order: coffeeOrder,
    signature: vector("V3").signature,
    urls: {
      order: [`${endpoint}/orders/ord_abc123`],
      completed: "https://merchant.example/checkout/success",
      cancelled: "https://merchant.example/checkout/cancelled",
    },
  });
  expect(Object.keys(json.order as Fields)).toEqual(Object.keys(coffeeOrder));
});

test("an order without items is the printed one, and the printed snippet verifies it", async () => {
  merchant.reconfigure({ orders: "open", accepts: [100, 101, 102], endpoint });
  const { id = null, ocid = null, amount = null, currency = null, expiresAt = null } = flatOrder;
  const asked: Fields = { id: `${id}_flat`, ocid, amount, currency, expiresAt };
  const made = await send(
    merchant,
    "/orders/create",
    asked,
    wallet_ocid,
    "req_flat",
    signed("/orders/create", asked, wallet_ocid, "req_flat"),
  );
  const order = made.json.order as Fields;
  expect(order).toEqual({ ...flatOrder, id: `${id}_flat` });
  // The page's own line, letter for letter.
  const canonical = JSON.stringify(order, Object.keys(order).sort());
  expect(isSignedBy(canonical, String(made.json.signature), public_key)).toBe(true);
});

test("POST /checkout/create", async () => {
  const body = { order: checkoutOrder, signature: vector("V4").signature, merchantOcid: shop_ocid, urls };
  const { signature } = vector("V10");
  const { status, json } = await send(gateway, "/checkout/create", body, caller_ocid, "req_abc124", signature);
  expect(status).toBe(200);
  expect(json).toEqual({
    checkout_url: expect.stringMatching(/^http.*\/pay\/[\w-]{32}$/) as never,
    session_id: String(json.checkout_url).split("/").at(-1) ?? "",
    expires_at: moment_ms / 1000 + 1800,
  });
  const page = await (await fetch(String(json.checkout_url))).text();
  expect(page).toContain("99.99 USD");
});

test("POST /checkout/create with the order as the page's snippet signs it", async () => {
  const order = { ...checkoutOrder, id: "ord_snippet" };
  const snippet = sign(JSON.stringify(order, Object.keys(order).sort()), secret);
  const body: Fields = { order, signature: snippet, merchantOcid: shop_ocid, urls };
  const signature = signed("/checkout/create", body, caller_ocid, "req_snip");
  const { status } = await send(gateway, "/checkout/create", body, caller_ocid, "req_snip", signature);
  expect(status).toBe(200);
});
