// Every code the network knows: the request that gets it from us over real HTTP, with its status, or the reason why
// nobody ever gets it from us. The list is the protocol's, so a code that is forgotten here fails.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { Glob } from "bun";
import type { OpenchargeSettings } from "../../src/opencharge/config/settings.ts";
import { networkCodes } from "../../src/opencharge/wire/errors.ts";
import { type Answer, type Party, startParty } from "../support/opencharge/party.ts";
import { type Shop, shop_ocid, startShop } from "../support/opencharge/shop.ts";
import type { Fields, Json } from "../support/opencharge/spelling.ts";

const gateway_ocid = 501;
const minute_ms = 60_000;

let shop: Shop;
let app: Party;
let provider: Party;
let backend: ReturnType<typeof Bun.serve>;
let counter = 0;

beforeAll(async () => {
  shop = await startShop();
  app = startParty({ ocid: 200, role: "merchant_gateway", now: shop.now, accepts: [gateway_ocid] });
  provider = startParty({ ocid: 100, role: "settlement_provider", now: shop.now });
  backend = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => Response.json({ approved: false }) });
});
afterAll(async () => {
  await shop.stop();
  for (const party of [app, provider]) party.stop();
  backend.stop(true);
});
beforeEach(() => configure({}));

function configure(settings: Partial<OpenchargeSettings>): void {
  const pinned = [app, provider].map(({ ocid, metadata_url }) => {
    return { ocid, metadata_url, public_key: null, endpoint: null };
  });
  shop.reconfigure({ gateway_ocid, accepts: [gateway_ocid, 100], merchants: [shop_ocid, 200], pinned, ...settings });
}

const seconds = () => Math.floor(shop.now() / 1000);
const coffee = (more: Fields = {}): Fields => ({
  id: `ord_${++counter}`,
  ocid: shop_ocid,
  currency: "USD",
  items: [{ id: "item_001", name: "Large Coffee", quantity: 2, price: "5.00" }],
  ...more,
});
const post = (path: string, body: Json, more: Parameters<Party["call"]>[4] = {}) =>
  app.call(shop.endpoint, "POST", path, body, more);
const get = async (path: string) => {
  const answer = await fetch(shop.endpoint + path);
  return { status: answer.status, json: (await answer.json()) as Fields };
};
const create = (more: Fields = {}) => post("/orders/create", coffee(more));
async function ordered(more: Fields = {}): Promise<string> {
  const { status, json, text } = await create(more);
  if (status !== 200 || json === null) throw new Error(text);
  return String((json.order as Fields).id);
}

/** The app's own order as a merchant. */
const sold = (more: Fields = {}) =>
  app.signOrder({
    id: `sold_${++counter}`,
    ocid: 200,
    amount: "10.00",
    currency: "USD",
    createdAt: seconds(),
    accepts: [gateway_ocid],
    ...more,
  });
const checkout = (signed: { order: Fields; signature: string }, merchantOcid: Json = 200) =>
  post("/checkout/create", { ...signed, merchantOcid, urls: {} });

const paymentOf = (more: Fields = {}) =>
  post("/payment/create", { to: shop_ocid, amount: "10.00", currency: "USD", ...more });
const pending = async (more: Fields = {}) => String((await paymentOf(more)).json?.txid);
const settle = (txid: string, more: Partial<Parameters<Party["proof"]>[0]> = {}) => {
  const to = { ocid: gateway_ocid, reference: txid };
  return post("/payment/settle", { txid, ...provider.proof({ to, amount: "10.00", currency: "USD", ...more }) });
};
const deliver = async (more: Partial<Parameters<Party["proof"]>[0]>, spoilt: Fields = {}) => {
  const to = { ocid: shop_ocid, reference: await ordered() };
  const { proof, signature } = provider.proof({ to, amount: "10.00", currency: "USD", ...more });
  const body = { proof: { ...proof, ...spoilt }, signature };
  return provider.call(shop.endpoint, "POST", "/transfer/webhook", body);
};

type Ask = () => Promise<Pick<Answer, "status" | "json">>;
type Row = { [what: string]: [status: number, ask: Ask] } | string;

const no_balances = "we hold no balances";
const no_persons = "we know nothing of persons";
const no_payer_sessions = "a payer's own session is not offered";

/** Section by section of the protocol's list of errors; the last three are ours. */
const table: Record<string, Row> = {
  INVALID_SIGNATURE: {
    "of a request": [401, () => post("/orders/create", coffee(), { secret: "22".repeat(32) })],
    "of an order inside one": [400, () => checkout({ ...sold(), signature: "ab".repeat(65) })],
  },
  TIMESTAMP_EXPIRED: { "": [401, () => post("/orders/create", coffee(), { timestamp: seconds() - 302 })] },
  NONCE_REUSED: { "": [401, async () => app.replay((await create()).sent)] },
  UNKNOWN_OCID: { "": [401, () => post("/orders/create", coffee(), { ocid: 999 })] },
  METADATA_UNAVAILABLE: {
    "": [
      502,
      async () => {
        app.serveMetadataAs("unavailable");
        const answer = await create();
        app.serveMetadataAs("honest");
        return answer;
      },
    ],
  },
  INVALID_PROOF: { "": [400, () => post("/transfer/webhook", {})] },
  PROOF_SIGNATURE_INVALID: { "": [400, () => deliver({}, { memo: "mine" })] },
  ISSUER_NOT_ACCEPTED: { "": [400, () => deliver({ issuer: 200 })] },
  AMOUNT_MISMATCH: {
    "of a proof": [400, () => deliver({ amount: "9.99" })],
    "of an order": [400, () => create({ amount: "0.01" })],
    "of a payment": [400, async () => settle(await pending(), { amount: "9.99" })],
  },
  CURRENCY_MISMATCH: {
    "of a proof": [400, () => deliver({ currency: "UGX" })],
    "of a payment": [400, async () => settle(await pending(), { currency: "UGX" })],
  },
  TXID_NOT_FOUND: { "": [404, () => get("/verify/none")] },
  TRANSACTION_EXPIRED: "a payment that is over is PAYMENT_EXPIRED, and /verify says expired",
  INSUFFICIENT_FUNDS: no_balances,
  CAPABILITY_NOT_SUPPORTED: {
    "for what is not offered": [400, () => get("/kyc/grant")],
    "for who may not": [
      400,
      () => {
        configure({ orders: "approval", approval_url: String(backend.url), approved: [100] });
        return create();
      },
    ],
  },
  RATE_LIMITED: {
    "": [
      429,
      async () => {
        for (let count = 0; count < 1200; count++) shop.limits.believed(200);
        const answer = await create();
        shop.advance(minute_ms);
        return answer;
      },
    ],
  },
  CONNECTION_REFUSED: {
    "for who is blocked": [
      403,
      () => {
        configure({ blocked: [200] });
        return create();
      },
    ],
    "for a merchant nobody registered": [
      403,
      () => {
        configure({ merchants: [] });
        return checkout(sold());
      },
    ],
  },
  ORDER_NOT_FOUND: {
    "at its address": [404, () => get("/orders/none")],
    "inside a payment": [400, () => paymentOf({ order: { id: "none", urls: [] } })],
  },
  ORDER_EXPIRED: {
    "at its address": [
      410,
      async () => {
        const id = await ordered({ expiresAt: seconds() + 5 });
        shop.advance(10_000);
        return get(`/orders/${id}`);
      },
    ],
    "asked for": [400, () => create({ expiresAt: 1706400000 })],
    "to be hosted": [400, () => checkout(sold({ expiresAt: seconds() }))],
  },
  SESSION_NOT_FOUND: no_payer_sessions,
  SESSION_EXPIRED: no_payer_sessions,
  SESSION_USED: no_payer_sessions,
  ACCOUNT_NOT_FOUND: no_balances,
  MERCHANT_NOT_REGISTERED: {
    "that wants its order hosted": [
      401,
      () => {
        configure({ merchants: [] });
        const urls = { completed: "https://shop.example/done", cancelled: "https://shop.example/back" };
        return post("/orders/checkout", { ...sold(), urls });
      },
    ],
    "that is to be paid": [400, () => paymentOf({ to: 999 })],
  },
  PAYMENT_NOT_FOUND: { "": [404, () => settle("oc_none")] },
  PAYMENT_EXPIRED: {
    "before it began": [400, () => paymentOf({ expiresAt: seconds() })],
    "before it was settled": [
      400,
      async () => {
        const txid = await pending({ expiresAt: seconds() + 5 });
        shop.advance(10_000);
        return settle(txid);
      },
    ],
  },
  SETTLEMENT_NOT_SUPPORTED: {
    "by us": [400, () => checkout(sold({ accepts: [100] }))],
    "in that currency": [400, () => create({ currency: "EUR" })],
    "of a payment": [400, () => paymentOf({ currency: "EUR" })],
  },
  INVALID_STATE: {
    "": [
      400,
      async () => {
        const txid = await pending();
        await settle(txid);
        return settle(txid);
      },
    ],
  },
  UNAUTHORIZED: {
    "": [
      403,
      () => {
        configure({ orders: "approval", approval_url: String(backend.url) });
        return create();
      },
    ],
  },
  INVALID_ITEM: { "": [400, () => create({ items: [{ id: "yacht", name: "Yacht", quantity: 1, price: "1" }] })] },
  INSUFFICIENT_STOCK: {
    "": [400, () => create({ items: [{ id: "item_002", name: "Croissant", quantity: 4, price: "5" }] })],
  },
  VERIFICATION_ERROR: "what fails here and is not the caller's fault is INTERNAL_ERROR",
  PROOF_ALREADY_PROCESSED: "the same proof again gets the same answer",
  USER_NOT_FOUND: no_persons,
  GRANT_NOT_AUTHORIZED: no_persons,
  INVALID_CALLBACK_URL: no_persons,
  KYC_NOT_COMPLETE: no_persons,
  GRANT_EXPIRED: no_persons,
  INVALID_GRANT: no_persons,
  INVALID_REQUEST: {
    "that is no JSON": [400, () => post("/orders/create", "order please")],
    "for another merchant": [400, () => create({ ocid: 999 })],
    "at no address": [404, () => get("/nothing")],
    "by another method": [405, () => get("/transfer/webhook")],
  },
  ORDER_CONFLICT: {
    "of what is signed": [
      409,
      async () => {
        const id = await ordered();
        return create({ id, memo: "another" });
      },
    ],
    "of what is hosted": [
      409,
      async () => {
        await checkout(sold({ id: "same" }));
        return checkout(sold({ id: "same", amount: "11.00" }));
      },
    ],
  },
  INTERNAL_ERROR: {
    "for now": [
      503,
      () => {
        configure({ orders: "approval", approval_url: "http://127.0.0.1:1/" });
        return create();
      },
    ],
    "for good": [
      500,
      () => {
        // What no file can hold, and nothing can sign.
        configure({ accepts: [Number.NaN] });
        return create();
      },
    ],
  },
};

describe("every code of the network", () => {
  const rows = Object.entries(table).flatMap(([code, row]) =>
    typeof row === "string" ? [] : Object.entries(row).map(([what, [status, ask]]) => ({ code, what, status, ask })),
  );
  test.each(rows)("$code $what", async ({ code, status, ask }) => {
    const answer = await ask();
    expect([answer.status, (answer.json?.error ?? {}) as Fields]).toMatchObject([
      status,
      { code, message: expect.any(String) as never },
    ]);
  });

  test("stands in the table, and none besides", () => {
    const silent = ["PROOF_ALREADY_PROCESSED", "KYC_NOT_COMPLETE", "GRANT_EXPIRED", "INVALID_GRANT"];
    expect(Object.keys(table).sort()).toEqual([...networkCodes, ...silent].sort());
    for (const code of silent) expect(table[code]).toBeString();
  });

  test("that nobody gets from us is said nowhere in the source", async () => {
    const never = Object.keys(table).filter((code) => typeof table[code] === "string");
    for await (const path of new Glob("src/**/*.ts").scan(`${import.meta.dir}/../..`)) {
      if (path.endsWith("opencharge/wire/errors.ts")) continue;
      const text = await Bun.file(`${import.meta.dir}/../../${path}`).text();
      expect([path, never.filter((code) => text.includes(code))]).toEqual([path, []]);
    }
  });
});
