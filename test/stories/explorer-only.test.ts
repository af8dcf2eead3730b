// slow
// An appliance that has nothing but a key of Etherscan: a process of its own, the emulated service, a real node behind.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { type Anvil, startAnvil } from "../support/anvil.ts";
import {
  type Appliance,
  configText,
  createFolder,
  type Folder,
  fromSource,
  reloaded,
  startAppliance,
} from "../support/appliance.ts";
import { type Story, startStory, usd } from "../support/chain-story.ts";
import { accounts, type Coin, deployCoin } from "../support/coin.ts";
import { type ExplorerEmulator, startExplorerEmulator } from "../support/explorer-emulator.ts";
import { createShop, type Merchant, startMerchant } from "../support/merchant.ts";

const [, payer, wallet] = accounts;
const wrong_key = "WR0NGKEY0123456789ABCDEF";
const right_key = "R1GHTKEY0123456789ABCDEF";
/** The index is asked about blocks some seconds old only, and a poll takes its turns. */
const patience_ms = 120_000;

describe("with nothing but a key", () => {
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
  }, 300_000);
});

for (const explorer of ["etherscan", "blockscout"] as const) {
  describe(`read from ${explorer}`, () => {
    let story: Story;
    afterEach(() => story.stop());

    /** Until the index may be asked about the newest block. */
    const settle = () => story.wait(20);
    const emulated = () => story.emulator ?? expect.unreachable("the story is read from an explorer");

    test("an order does not expire while the index is behind, and what it hid pays once it has caught up", async () => {
      story = await startStory({ explorer, lifetime: "10m" });
      const order = await story.order("19.99");
      await story.select(order.id);
      await story.mine();
      settle();
      await story.poll();
      const before = Number(await story.anvil.rpc("eth_blockNumber"));
      await story.usdt.transfer(payer, wallet, usd(19.99));
      await story.mine();
      await story.advance(11 * 60);
      await story.mine(3);
      settle();

      emulated().behave({ lag: Number(await story.anvil.rpc("eth_blockNumber")) - before });
      await story.poll();
      await story.expiry.expireDue();
      expect([story.status(order.id), story.transfers().length]).toEqual(["pending", 0]);

      emulated().behave();
      await story.poll();
      await story.expiry.expireDue();
      expect(story.status(order.id)).toBe("paid");
      expect(story.pushed(order.id)).toEqual(["paid"]);
    });

    test("a reorg takes a payment back, the next one pays, and both are told apart", async () => {
      story = await startStory({ explorer, finality: "4" });
      const order = await story.order("25.00");
      await story.select(order.id);
      await story.mine(2);
      settle();
      await story.poll();
      await story.usdt.transfer(payer, wallet, usd(25));
      await story.mine();
      settle();
      await story.poll();
      expect(story.transfers().map(({ status }) => status)).toEqual(["waiting_for_confirmation"]);

      await story.anvil.rpc("anvil_reorg", [1, []]);
      await story.mine(1);
      settle();
      await story.poll();
      expect(story.transfers().map(({ status }) => status)).toEqual(["failed_to_confirm"]);
      expect(story.status(order.id)).toBe("pending");

      await story.usdt.batch(payer, [wallet, wallet], [usd(25), usd(25)]);
      await story.mine(4);
      settle();
      await story.poll();
      expect(story.status(order.id)).toBe("paid");
      const found = story.transfers().map(({ status, reason }) => [status, reason]);
      expect(found).toEqual([
        ["failed_to_confirm", null],
        ["matched", null],
        ["waiting_for_match", "order_ended"],
      ]);
    });

    test("a poll of one wallet costs it seven requests at most, the final pass among them", async () => {
      story = await startStory({ explorer });
      const order = await story.order("25.00");
      await story.select(order.id);
      await story.usdt.transfer(payer, wallet, usd(25));
      for (let polls = 0; polls < 3; polls++) {
        await story.mine();
        settle();
        await story.poll();
      }
      emulated().reset();
      const polls = 10;
      for (let done = 0; done < polls; done++) {
        await story.mine();
        story.wait(4);
        await story.poll();
      }
      expect(emulated().seen().length / polls).toBeLessThanOrEqual(7);
      expect(emulated().asked("eth_getTransactionReceipt")).toBeLessThanOrEqual(1);
    });
  });
}
