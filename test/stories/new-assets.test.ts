// slow
// Adding a coin or a chain is adding a row: both are done in a copy of the source, and an order is paid in each on a real
// node. Neither is offered by the product: what is stated here of them was not checked.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chainIds, coins } from "../../src/domain/assets.ts";
import { openForServing } from "../../src/storage/engine/open.ts";
import { realWorld } from "../../src/world.ts";
import { plant } from "../simulation/faults.ts";
import { type Anvil, startAnvil } from "../support/anvil.ts";
import { type Appliance, configText, createFolder, type Folder, startAppliance } from "../support/appliance.ts";
import { accounts, type Coin, deployCoin } from "../support/coin.ts";
import { createShop, type Merchant, startMerchant } from "../support/merchant.ts";
import { silent } from "../support/temp-database.ts";

const root = join(import.meta.dir, "../..");
const assets = "src/domain/assets.ts";
const [, payer, wallet] = accounts;

const pyusd = "0x6c3ea9036406852006290770BEdFcAbA0e23A0e8";
const dai_row = 'dai("0x6B175474E89094C44Da98b954EedeAC495271d0F"),';
const new_coin = [
  { file: assets, find: '"DAI"] as const;', put: '"DAI", "PYUSD"] as const;' },
  {
    file: assets,
    find: dai_row,
    put: `${dai_row}\n      { address: "${pyusd}", decimals: 6, label: "PYUSD", coin: "PYUSD" },`,
  },
  { file: "ocrch-config.toml", find: "Coins: USDT, USDC, DAI.", put: "Coins: USDT, USDC, DAI, PYUSD." },
  {
    file: "ocrch-config.toml",
    find: "US dollar: USD, USDT, USDC, DAI.",
    put: "US dollar: USD, USDT, USDC, DAI, PYUSD.",
  },
];

const bnb_usdt = "0x55d398326f99059fF775485246999027B3197955";
const new_chain = [
  {
    file: assets,
    find: "  tron: {\n",
    put: `  bnb: {
    name: "BNB Smart Chain",
    kind: "evm",
    chain_id: 56,
    explorer: null,
    public_rpc_urls: ["https://bsc-rpc.publicnode.com"],
    seconds_per_block: { usual: 0.45, least: 0.4, most: 1 },
    finality: tiers({ blocks: 15, seconds: 8 }, { tag: "finalized" }),
    final: { tag: "finalized" },
    tagless: { blocks: 60, seconds: 30 },
    late_tag_s: 60,
    reread: { blocks: 15, seconds: 8 },
    tokens: [{ ...usdt("${bnb_usdt}"), decimals: 18 }],
  },
  tron: {
`,
  },
];

let scratch: string;
let source: string;
let folder: Folder;
let merchant: Merchant;
let ocrch: Appliance;
const nodes: Record<string, { anvil: Anvil; coin: Coin }> = {};

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "ocrch-assets-"));
  copyFileSync(join(root, "ocrch-config.toml"), join(scratch, "ocrch-config.toml"));
  source = plant({ name: "", words: /$/, changes: [...new_coin, ...new_chain] }, scratch);

  for (const [chain, chainId, decimals, symbol, address] of [
    ["eth", 1, 6, "PYUSD", pyusd],
    ["bnb", 56, 18, "USDT", bnb_usdt],
  ] as const) {
    const anvil = await startAnvil({ chainId, slotsInAnEpoch: 2 });
    const coin = await deployCoin(anvil, decimals, symbol, address);
    await coin.mint(payer, 10n ** BigInt(decimals + 3));
    nodes[chain] = { anvil, coin };
  }
  merchant = startMerchant();
  const read = (chain: string, symbol: string) => ({
    rpc_urls: [nodes[chain]?.anvil.url ?? ""],
    wallets: [wallet],
    tokens: { [symbol]: { address: "", decimals: 0 } },
  });
  // Contracts and decimals are those of the rows.
  const text = configText({ chains: { eth: read("eth", "PYUSD"), bnb: read("bnb", "USDT") } });
  folder = createFolder(text.replaceAll(/\[chains\.\w+\.tokens\.\w+\]\naddress = .*\ndecimals = .*\n/g, ""));
  // The database is one that the product made before.
  await openForServing({ world: realWorld(), telemetry: silent, path: folder.database, migrateFirst: false }).close();
  ocrch = await startAppliance({ folder, command: [process.execPath, join(source, "main.ts")] });
});
afterAll(async () => {
  await ocrch.stop();
  await merchant.stop();
  for (const { anvil } of Object.values(nodes)) await anvil.stop();
  folder.remove();
  rmSync(scratch, { recursive: true, force: true });
});

test.each([
  ["PYUSD on Ethereum", "eth", "PYUSD"],
  ["USDT on BNB Smart Chain", "bnb", "USDT"],
])("an order is paid in %s", async (_what, chain, symbol) => {
  const shop = createShop(ocrch.url);
  const { order_id } = await shop.createOrder({
    order_id: symbol,
    amount: "19.99",
    webhook_url: merchant.webhook_url,
  });
  const detail = await shop.selectPayment(order_id, chain, symbol);
  expect(detail).toEqual({
    ...{ order_id, wallet_address: wallet, amount: "19.99", blockchain: chain, stablecoin: symbol },
  });
  const { anvil, coin } = nodes[chain] ?? {};
  if (anvil === undefined || coin === undefined) throw new Error("no such node");
  await coin.transfer(payer, wallet, 1999n * 10n ** BigInt(coin.decimals - 2));
  await anvil.rpc("anvil_mine", ["0x3"]);
  const told = await merchant.awaitWebhook(({ body }) => body.order_id === order_id);
  expect([told.body.status, told.verified]).toEqual(["paid", true]);
  expect((await shop.orderStatus(order_id)).status).toBe("paid");
});

test("the copy compiles, and the SDK learns the new words", () => {
  const build = Bun.spawnSync(["node", join(source, "sdk/assets.mjs")], { stdout: "pipe", stderr: "pipe" });
  expect(`${build.stdout}${build.stderr}`).toBe("");
  const written = readFileSync(join(source, "sdk/assets.ts"), "utf8");
  expect(written).toContain('"avaxc" | "bnb" | "tron";');
  expect(written).toContain('"DAI" | "PYUSD";');
  const check = Bun.spawnSync([join(root, "node_modules/.bin/tsc"), "--noEmit", "-p", scratch], {
    ...{ stdout: "pipe", stderr: "pipe" },
  });
  expect(`${check.stdout}${check.stderr}`).toBe("");
});

test('the SDK has the chains and coins of the server: "npm run build:sdk" writes them', () => {
  const written = readFileSync(join(root, "src/sdk/assets.ts"), "utf8");
  const words = [...written.matchAll(/"(\w+)"/g)].map(([, word]) => word);
  expect<unknown[]>(words).toEqual([...chainIds, ...coins]);
});
