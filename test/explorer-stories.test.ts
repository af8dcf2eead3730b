// alone
// An appliance that has nothing but a key of Etherscan: a process of its own, the emulated service, a real node behind.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { type Anvil, startAnvil } from "./support/anvil.ts";
import {
  type Appliance,
  configText,
  createFolder,
  type Folder,
  fromSource,
  reloaded,
  startAppliance,
} from "./support/appliance.ts";
import { accounts, type Coin, deployCoin } from "./support/coin.ts";
import { type ExplorerEmulator, startExplorerEmulator } from "./support/explorer-emulator.ts";
import { createShop, type Merchant, startMerchant } from "./support/merchant.ts";

const [, payer, wallet] = accounts;
const wrong_key = "WR0NGKEY0123456789ABCDEF";
const right_key = "R1GHTKEY0123456789ABCDEF";
/** The index is asked about blocks some seconds old only, and a poll takes its turns. */
const patience_ms = 50_000;

let anvil: Anvil;
let usdt: Coin;
let emulator: ExplorerEmulator;
let merchant: Merchant;
let folder: Folder;
let ocrch: Appliance;

const toml = (etherscan_api_key: string) =>
  configText({
    unknown_transfer_webhook_url: merchant.webhook_url,
    api_keys: { etherscan_api_key },
    chains: {
      eth: {
        rpc_urls: [],
        explorer_url: emulator.etherscan,
        wallets: [wallet],
        tokens: { USDT: { address: usdt.address, decimals: 6 } },
        finality: "2",
        poll: "1s",
        idle_poll: "1s",
      },
    },
  });

beforeAll(async () => {
  anvil = await startAnvil({ chainId: 1, blockTime: 1 });
  usdt = await deployCoin(anvil, 6, "USDT");
  await usdt.mint(payer, 10n ** 12n);
  emulator = startExplorerEmulator(anvil);
  emulator.behave({
    answer: ({ searchParams }) =>
      searchParams.get("apikey") === right_key
        ? null
        : Response.json({ status: "0", message: "NOTOK", result: "Invalid API Key" }),
  });
  merchant = startMerchant();
  folder = createFolder(toml(wrong_key));
  ocrch = await startAppliance({ folder });
});

afterAll(async () => {
  await ocrch?.stop();
  await merchant.stop();
  folder.remove();
  await emulator.stop();
  await anvil.stop();
});

async function said(words: string): Promise<void> {
  const deadline = performance.now() + patience_ms;
  while (!ocrch.log.some((line) => line.includes(words))) {
    if (performance.now() > deadline) throw new Error(`never said: ${words}\n${ocrch.log.join("\n")}`);
    await Bun.sleep(20);
  }
}

/** Everything a person or a machine can read of the appliance. */
async function everything(): Promise<string> {
  const status = Bun.spawn([...fromSource, "status", "--json", "-c", folder.config], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const printed = await Promise.all([new Response(status.stdout).text(), new Response(status.stderr).text()]);
  const headers = { "Ocrch-Admin-Authorization": "test-admin-secret" };
  const pages = ["/healthz", "/metrics", "/openapi.json", "/api/v1/admin/wallets", "/api/v1/admin/orders"];
  const answers = await Promise.all(
    pages.map(async (page) => (await fetch(`${ocrch.url}${page}`, { headers })).text()),
  );
  const rows = readFileSync(folder.database, "latin1") + readFileSync(`${folder.database}-wal`, "latin1");
  return [...ocrch.log, ...printed, ...answers, rows].join("\n");
}

test("a refused key is named with its cure, and a reload with the right one takes the payment to its webhook", async () => {
  const shop = createShop(ocrch.url);
  const made = await shop.createOrder({ order_id: "only-1", amount: "19.99", webhook_url: merchant.webhook_url });
  const detail = await shop.selectPayment(made.order_id, "eth", "USDT");
  expect(detail).toMatchObject({ wallet_address: wallet, amount: "19.99" });
  await said('Etherscan does not accept the key (\\"Invalid API Key\\"); correct api_keys.etherscan_api_key');

  writeFileSync(folder.config, toml(right_key));
  const lines = await reloaded(ocrch);
  expect(lines.join("\n")).toContain("eth is read from Etherscan, which is slower; list your own provider");
  // Twice the same in one transaction: one pays, the other is money that fits no order.
  const twice = await usdt.batch(payer, [wallet, wallet], [19_990_000n, 19_990_000n]);
  const paid = await merchant.awaitWebhook(
    ({ body }) => body.order_id === made.order_id && body.status === "paid",
    patience_ms,
  );
  expect(paid.verified).toBe(true);
  const second = await merchant.awaitWebhook(({ body }) => body.event_type === "unknown_transfer", patience_ms);
  expect(JSON.stringify(second.body)).toContain(twice);
  expect((await shop.orderStatus(made.order_id)).status).toBe("paid");
  expect(emulator.asked("eth_getLogs")).toBe(0);

  const shown = await everything();
  for (const hidden of [wrong_key, right_key, emulator.etherscan]) expect(shown).not.toContain(hidden);
  expect(shown).toContain(emulator.host);
}, 120_000);
