// What a measurement stands on: a node with a coin, settings, and the product's own services on a real database file.

import { connectChain } from "../../src/chains/connect.ts";
import { type ChainSettings, type LiveConfig, liveConfig } from "../../src/config/config.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { default_idle_poll_ms, default_poll_ms } from "../../src/config/schema.ts";
import { createRateLimiters } from "../../src/limits/rate-limiter.ts";
import { createOutbound } from "../../src/outbound.ts";
import { type Checkout, createCheckout } from "../../src/services/checkout.ts";
import { createPaymentRules } from "../../src/services/payment-rules.ts";
import { createSettlement } from "../../src/services/settlement.ts";
import { createWatching } from "../../src/services/watching.ts";
import { uuid7 } from "../../src/wire/uuid.ts";
import { realWorld, type World } from "../../src/world.ts";
import { type Anvil, startAnvil } from "../support/anvil.ts";
import { configText } from "../support/appliance.ts";
import { accounts, type Coin, deployCoin } from "../support/coin.ts";
import { silent, tempDatabase } from "../support/temp-database.ts";

export const [, payer, wallet] = accounts;
const nowhere = "http://127.0.0.1:9/hook";
const replayable_ms = 300_000;
/** Stands in for a coin where no node is asked about it. */
const some_token = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
const orders_at_once = 250;

/** How much to measure, and where to leave files. */
export interface Bench {
  quick: boolean;
  folder: string;
  /** Runs of each measurement. */
  rounds: number;
  run_ms: number;
}

export interface Node {
  anvil: Anvil;
  coin: Coin;
}

/** Starts a node that plays Ethereum, with one coin. */
export async function startNode(options: { automine: boolean }): Promise<Node> {
  const anvil = await startAnvil({ chainId: 1, slotsInAnEpoch: 2, automine: options.automine });
  return { anvil, coin: await deployCoin(anvil, 6, "USDT") };
}

/** A merchant with one wallet for one coin on one chain, polled at the product's default pace. */
export function settingsText(rpc_url: string, token = some_token): string {
  return configText({
    unknown_transfer_webhook_url: nowhere,
    chains: {
      eth: {
        rpc_urls: [rpc_url],
        wallets: [wallet],
        tokens: { USDT: { address: token, decimals: 6 } },
        poll: `${default_poll_ms}ms`,
        idle_poll: `${default_idle_poll_ms}ms`,
      },
    },
  });
}

/** The product's services on a fresh database. `rpc_url` is asked only through `source`. */
export async function openShop(options: { rpc_url?: string; token?: string; world?: World } = {}) {
  const world = options.world ?? realWorld();
  const { draft, problems } = parseConfig(
    settingsText(options.rpc_url ?? nowhere, options.token),
    "/tmp/ocrch-config.toml",
  );
  if (draft === null) throw new Error(problems.join("\n"));
  const config: LiveConfig = liveConfig({ ...draft, admin: { secret_hash: "" } });
  const settings = config.current().chains.get("eth") as ChainSettings;
  const temp = tempDatabase({ world });
  const { database } = temp;
  const rules = createPaymentRules({ config });
  const checkout = createCheckout({ ...rules, database, config });
  const watching = createWatching({ database });
  await watching.sync(config.current());
  return {
    world,
    config,
    settings,
    database,
    path: temp.path,
    checkout,
    watching,
    settlement: createSettlement({ ...rules, database, config, telemetry: silent }),
    source: () =>
      connectChain({
        settings,
        outbound: createOutbound({ world }),
        world,
        telemetry: silent,
        rateLimiters: createRateLimiters({ world }),
      }),
    close: temp.close,
  };
}

export type Shop = Awaited<ReturnType<typeof openShop>>;

let created = 0;

/** Creates an order the way the HTTP door does, three rows. Resolves with its id. */
export async function createOrder(
  { checkout, world }: { checkout: Checkout; world: World },
  amount: string,
): Promise<string> {
  created += 1;
  const replayable_until = world.now() + replayable_ms;
  const order = await checkout.create(
    { merchant_order_id: `m-${created}`, amount, webhook_url: nowhere, sender: null, chain: null, coin: null },
    { replay_key: `replay-${created}`, replayable_until, body_hash: "hash", idempotency_key: null },
    uuid7(world.now(), world.random(10)),
  );
  return order.id;
}

/** Opens `count` deposits of different amounts; resolves with their base units. */
export async function openDeposits(shop: Shop, count: number, first = 0): Promise<bigint[]> {
  const units: bigint[] = [];
  for (let done = 0; done < count; done += orders_at_once) {
    const part = Array.from({ length: Math.min(orders_at_once, count - done) }, async (_, index) => {
      const cents = 1000 + first + done + index;
      const order_id = await createOrder(shop, `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, "0")}`);
      const deposit = await shop.checkout.select(order_id, { blockchain: "eth", stablecoin: "USDT" });
      return BigInt(deposit.units);
    });
    units.push(...(await Promise.all(part)));
  }
  return units;
}
