// What a liar may try, in one table over real HTTP: each is refused with its code, and nothing is created, paid or told.
// That a replay is refused after a restart too is shown by the process test.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { OpenchargeSettings } from "../../src/opencharge/config/settings.ts";
import { type Answer, type Overrides, type Party, startParty } from "../support/opencharge/party.ts";
import { type Registry, startRegistry } from "../support/opencharge/registry.ts";
import { type Shop, shop_ocid, startShop } from "../support/opencharge/shop.ts";
import { type Fields, type Json, sign, spell } from "../support/opencharge/spelling.ts";

const gateway_ocid = 501;
const mebibyte = 1024 * 1024;
const day_s = 24 * 60 * 60;
/** The key that our merchant had once. */
const old_secret = "22".repeat(32);
/** Longer than metadata is believed without another look. */
const remembered_ms = 301_000;

let shop: Shop;
let guarded: Shop;
let registry: Registry;
let app: Party;
let provider: Party;
let relay: Party;
let mover: Party;
let counter = 0;

beforeAll(async () => {
  shop = await startShop();
  const { now } = shop;
  app = startParty({ ocid: 200, role: "merchant_gateway", now });
  provider = startParty({ ocid: 100, role: "settlement_provider", now });
  relay = startParty({ ocid: 300, role: "merchant_gateway", now });
  mover = startParty({ ocid: 201, role: "payment_app", now });
  registry = startRegistry();
  guarded = await startShop({ allow_private_targets: false });
  const address = `0x${"12".repeat(20)}`;
  guarded.reconfigure({ orders: "open", registry: { rpc_url: registry.url, chain_id: 56, address } });
});
afterAll(async () => {
  await Promise.all([shop.stop(), guarded.stop()]);
  for (const party of [app, provider, relay, mover]) party.stop();
  registry.stop();
});
beforeEach(() => {
  for (const party of [app, provider, mover]) party.serveMetadataAs("honest");
  configure();
});

function configure(settings: Partial<OpenchargeSettings> = {}): void {
  const pinned = [app, provider, relay, mover].map(({ ocid, metadata_url }) => {
    return { ocid, metadata_url, public_key: null, endpoint: null };
  });
  const accepts = [gateway_ocid, 100, 300];
  shop.reconfigure({ gateway_ocid, orders: "open", merchants: [200, shop_ocid], accepts, pinned, ...settings });
}

const seconds = () => Math.floor(shop.now() / 1000);
const wanted = (more: Fields = {}): Fields => {
  return { id: `ord_${++counter}`, ocid: shop_ocid, amount: "15.00", currency: "USD", ...more };
};
const create = (overrides: Overrides = {}, body: Json = wanted(), from = app) =>
  from.call(shop.endpoint, "POST", "/orders/create", body, overrides);
const proofOf = (order: string, more: Partial<Parameters<Party["proof"]>[0]> = {}) => ({
  to: { ocid: shop_ocid, reference: order },
  amount: "15.00",
  currency: "USD",
  ...more,
});
const deliver = (envelope: { proof: Fields; signature: string }, from = provider) =>
  from.call(shop.endpoint, "POST", "/transfer/webhook", envelope);
const sell = (more: Fields = {}) =>
  app.signOrder({
    ...{ id: `sold_${++counter}`, ocid: 200, amount: "15.00", currency: "USD", createdAt: seconds() },
    ...{ expiresAt: seconds() + 900, accepts: [gateway_ocid], ...more },
  });

const verdict = ({ status, json }: Answer) => `${status} ${(json?.error as Fields | undefined)?.code ?? "ok"}`;
const statusOf = async (order: string) =>
  ((await (await fetch(`${shop.endpoint}/orders/${order}/status`)).json()) as Fields).status;

/** What a row may use: an order that waits for its payment. */
type Attempt = (order: string) => Promise<Answer>;

const rows: [what: string, attempt: Attempt, expected: string][] = [
  [
    "a body that is not the one signed",
    () => create({ signed_body: JSON.stringify(wanted()) }),
    "401 INVALID_SIGNATURE",
  ],
  ["a request from ten minutes ago", () => create({ timestamp: seconds() - 600 }), "401 TIMESTAMP_EXPIRED"],
  ["a request from the future", () => create({ timestamp: seconds() + 302 }), "401 TIMESTAMP_EXPIRED"],
  [
    "a request that was answered before",
    async () => {
      const first = await app.call(shop.endpoint, "GET", "/capabilities", null);
      return app.replay(first.sent);
    },
    "401 NONCE_REUSED",
  ],
  ["a caller nobody has registered", () => create({ ocid: 9999 }), "401 UNKNOWN_OCID"],
  [
    "a caller whose metadata is down",
    () => {
      app.serveMetadataAs("unavailable");
      shop.advance(remembered_ms);
      return create();
    },
    "502 METADATA_UNAVAILABLE",
  ],
  [
    "a caller whose metadata is signed by another",
    () => {
      app.serveMetadataAs("signed_by_another");
      shop.advance(remembered_ms);
      return create();
    },
    "502 METADATA_UNAVAILABLE",
  ],
  [
    "a key that its owner has replaced",
    async () => {
      expect((await mover.call(shop.endpoint, "GET", "/capabilities", null)).status).toBe(200);
      const secret = mover.rotateKey({ announced: false });
      shop.advance(remembered_ms);
      return create({ secret }, wanted(), mover);
    },
    "401 INVALID_SIGNATURE",
  ],
  ["a signature in the upper half", () => create({ ink: "high_s" }), "401 INVALID_SIGNATURE"],
  ["a signature over the hash of the hash", () => create({ ink: "hashed_twice" }), "401 INVALID_SIGNATURE"],
  ["a query that nobody signed", () => create({ query: "?amount=0.01" }), "401 INVALID_SIGNATURE"],
  [
    "an order of one merchant in the name of another",
    () => app.call(shop.endpoint, "POST", "/checkout/create", { ...sell(), merchantOcid: shop_ocid, urls: {} }),
    "400 INVALID_REQUEST",
  ],
  [
    "an order signed by somebody else than its merchant",
    () => {
      const { order } = sell();
      const { signature } = relay.signOrder(order);
      return app.call(shop.endpoint, "POST", "/checkout/create", { order, signature, merchantOcid: 200, urls: {} });
    },
    "400 INVALID_SIGNATURE",
  ],
  [
    "an order whose signature lies in the upper half",
    () => {
      const signed = app.signOrder(sell().order, "recursive", "high_s");
      return app.call(shop.endpoint, "POST", "/checkout/create", { ...signed, merchantOcid: 200, urls: {} });
    },
    "400 INVALID_SIGNATURE",
  ],
  [
    "an order of ours that is dated before our change of keys, under the key we had then",
    () => {
      const times = { createdAt: seconds() - 11 * day_s, expiresAt: seconds() + 900 };
      const order = wanted({ ...times, accepts: [gateway_ocid] });
      configure({ previous: { secret_key: old_secret, rotated_at: seconds() - 10 * day_s } });
      const signature = sign(spell(order, "recursive"), old_secret);
      const body = { order, signature, merchantOcid: shop_ocid, urls: {} };
      return app.call(shop.endpoint, "POST", "/checkout/create", body);
    },
    "400 INVALID_SIGNATURE",
  ],
  [
    "a weak proof that was redirected to another order, brought by a relay",
    async (order) => {
      const weak = provider.proof(proofOf("ord_of_somebody"), "shallow");
      return deliver(provider.redirected(weak, { ocid: shop_ocid, reference: order }), relay);
    },
    "400 PROOF_SIGNATURE_INVALID",
  ],
  [
    "a proof in the upper half",
    (order) => deliver(provider.proof(proofOf(order), "recursive", "high_s")),
    "400 PROOF_SIGNATURE_INVALID",
  ],
  [
    "a proof of an issuer that is not accepted",
    (order) => deliver(app.proof(proofOf(order)), app),
    "400 ISSUER_NOT_ACCEPTED",
  ],
  [
    "a proof in the name of an accepted issuer",
    (order) => deliver(relay.proof(proofOf(order, { issuer: 100 })), relay),
    "400 PROOF_SIGNATURE_INVALID",
  ],
  [
    "a proof of another amount",
    (order) => deliver(provider.proof(proofOf(order, { amount: "14.99" }))),
    "400 AMOUNT_MISMATCH",
  ],
  [
    "a proof in another currency",
    (order) => deliver(provider.proof(proofOf(order, { currency: "UGX" }))),
    "400 CURRENCY_MISMATCH",
  ],
  [
    "a proof for another merchant",
    (order) => deliver(provider.proof(proofOf(order, { to: { ocid: 999, reference: order } }))),
    "400 INVALID_PROOF",
  ],
  [
    "another proof under the txid of one that paid",
    async (order) => {
      const paid = String(((await create()).json?.order as Fields | undefined)?.id);
      await deliver(provider.proof(proofOf(paid, { txid: "tx_used" })));
      return deliver(provider.proof(proofOf(order, { txid: "tx_used" })));
    },
    "400 INVALID_PROOF",
  ],
  [
    "an order of 18,000 fields that nobody knows",
    () => create({}, wanted(Object.fromEntries(Array.from({ length: 18_000 }, (_, n) => [`k${n}`, 0])))),
    "400 INVALID_REQUEST",
  ],
  ["a body of a mebibyte", () => create({}, wanted({ memo: "x".repeat(mebibyte) })), "400 INVALID_REQUEST"],
];

describe("is refused and changes nothing:", () => {
  test.each(rows)("%s", async (_what, attempt, expected) => {
    const order = String(((await create()).json?.order as Fields | undefined)?.id);
    const count = () => shop.operator.orders({}, { limit: 1000, offset: 0 }).length;
    const answer = await attempt(order);
    const orders = count();
    expect(verdict(answer)).toBe(expected);
    expect(await statusOf(order)).toBe("pending");
    // The same once more, as honest as can be, still works: nobody was shut out.
    configure();
    for (const party of [app, provider]) party.serveMetadataAs("honest");
    expect(verdict(await create())).toBe("200 ok");
    expect(count()).toBe(orders + 1);
  });

  const inside = [
    "http://127.0.0.1/m.json",
    "https://10.0.0.7/m.json",
    "https://[fd00::1]/m.json",
    "https://localhost/",
  ];
  test.each(inside)("a caller whose registered metadata is at %s", async (url) => {
    const ocid = 7000 + inside.indexOf(url);
    registry.urls.set(ocid, url);
    const signed = { ocid, timestamp: Math.floor(guarded.now() / 1000) };
    const answer = await app.call(guarded.endpoint, "POST", "/orders/create", wanted(), signed);
    expect(verdict(answer)).toBe("502 METADATA_UNAVAILABLE");
    expect(guarded.log.at(-1)).toMatch(/opencharge_lookup_failed .*(is not a public address|it is not https)/);
    expect(guarded.events()).toEqual([]);
  });
});
