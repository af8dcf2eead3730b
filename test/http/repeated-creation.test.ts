// How long a creation is remembered: a retry finds its order, also after the machine's clock was set right.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { liveConfig } from "../../src/config/config.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { createCheckout } from "../../src/services/checkout.ts";
import { createExpiry } from "../../src/services/expiry.ts";
import { createPaymentRules } from "../../src/services/payment-rules.ts";
import { configText } from "../support/appliance.ts";
import { type TempDatabase, tempDatabase } from "../support/temp-database.ts";

const minute_ms = 60_000;
const day_ms = 24 * 60 * minute_ms;
const start = 1_790_000_000_000;
const wallet = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const usdt = { USDT: { address: "0xdAC17F958D2ee523a2206206994597C13D831ec7", decimals: 6 } };

let temp: TempDatabase;
let now: number;
/** By how much the wall clock is wrong. */
let wrong_ms: number;
beforeEach(() => {
  [now, wrong_ms] = [start, 0];
  temp = tempDatabase({ now: () => now + wrong_ms, elapsed: () => now });
});
afterEach(() => temp.close());

/** Sends one signed creation, again and again the same; resolves with the order it stands for. */
function shop() {
  const { draft } = parseConfig(
    configText({ chains: { eth: { rpc_urls: ["http://127.0.0.1:9"], wallets: [wallet], tokens: usdt } } }),
    "/tmp/ocrch.toml",
  );
  if (draft === null) throw new Error("bad configuration");
  const config = liveConfig({ ...draft, admin: { secret_hash: "" } });
  const needs = { ...temp, ...createPaymentRules({ config }), config };
  const checkout = createCheckout(needs);
  const wanted = { amount: "10", webhook_url: "https://shop.example/hook", sender: null, chain: null, coin: null };
  const identity = {
    replay_key: "one request",
    replayable_until: start + 6 * minute_ms,
    body_hash: "body",
    idempotency_key: null,
  };
  let orders = 0;
  return {
    forget: createExpiry(needs).forgetCreations,
    async create() {
      orders += 1;
      return (await checkout.create({ ...wanted, merchant_order_id: "m-1" }, identity, `order-${orders}`)).id;
    },
  };
}

test("a request that is repeated makes no second order", async () => {
  const { create } = shop();
  expect([await create(), await create()]).toEqual(["order-1", "order-1"]);
});

for (const ahead_ms of [10 * minute_ms, 2 * 60 * minute_ms]) {
  test(`nor does it after a clock that ran ${ahead_ms / minute_ms} minutes ahead was set right`, async () => {
    const { create, forget } = shop();
    expect(await create()).toBe("order-1");
    wrong_ms = ahead_ms;
    now += minute_ms;
    await forget();
    wrong_ms = 0;
    now += minute_ms;
    expect(await create()).toBe("order-1");
  });
}

test("its memory goes in the end", async () => {
  const { create, forget } = shop();
  await create();
  now = start + 2 * day_ms;
  await forget();
  expect(temp.database.read((at) => at.live().all("SELECT key FROM creations"))).toEqual([]);
});
