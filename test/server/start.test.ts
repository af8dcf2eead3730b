// What may and what may not keep the server from starting: wrong nodes and wrong contracts do, absent ones never.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { payer, type Stage, setStage, wallet } from "../demo/stage.ts";
import {
  type Appliance,
  type ChainConfig,
  configText,
  createFolder,
  fromSource,
  startAppliance,
} from "../support/appliance.ts";
import { createShop } from "../support/merchant.ts";
import { otherChain, startProviderProxy } from "../support/provider-proxy.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await setStage({ finality: "2" });
});
afterAll(() => stage.clear());

const eth = (more: Partial<ChainConfig> = {}): ChainConfig => ({
  rpc_urls: [stage.anvil.url],
  wallets: [wallet],
  tokens: { USDT: { address: stage.coins.USDT.address, decimals: 6 } },
  ...more,
});

/** The last line on stderr of a start that is refused. */
async function refused(chain: ChainConfig): Promise<{ line: string; status: number; database: boolean }> {
  const folder = createFolder(configText({ chains: { eth: chain } }));
  const run = Bun.spawn([...fromSource, "serve", "-c", folder.config], { stdout: "pipe", stderr: "pipe" });
  const status = await run.exited;
  const lines = (await new Response(run.stderr).text()).trim().split("\n");
  const database = existsSync(folder.database);
  folder.remove();
  return { line: lines.at(-1) ?? "", status, database };
}

describe("a start is refused, in one line that names key and cure, with nothing written, when", () => {
  test("a node serves another chain than configured", async () => {
    const outcome = await refused(eth({ chain_id: 137 }));
    expect(outcome.line).toMatch(
      /^ocrch: chains\.eth\.rpc_urls: 127\.0\.0\.1:\d+ serves chain 1, expected 137; correct the URL/,
    );
    expect(outcome).toMatchObject({ status: 1, database: false });
  });

  test("the second of two nodes serves another chain", async () => {
    const proxy = startProviderProxy(stage.anvil.url);
    proxy.behave(otherChain(10));
    const outcome = await refused(eth({ rpc_urls: [stage.anvil.url, proxy.url] }));
    await proxy.stop();
    expect(outcome.line).toContain(`${proxy.host} serves chain 10, expected 1`);
  });

  test("a coin's contract has other decimals", async () => {
    const outcome = await refused(eth({ tokens: { USDT: { address: stage.coins.DAI.address, decimals: 6 } } }));
    expect(outcome.line).toContain("has 18 decimals");
    expect(outcome.line).toContain("chains.eth.tokens.USDT");
  });

  test("a coin's contract is not there", async () => {
    const outcome = await refused(eth({ tokens: { USDT: { address: payer, decimals: 6 } } }));
    expect(outcome.line).toContain("answers no decimals()");
  });
});

describe("a start goes on when", () => {
  const dead = "http://127.0.0.1:9";
  async function started(chains: Record<string, ChainConfig>, act: (ocrch: Appliance) => Promise<void>) {
    const folder = createFolder(configText({ chains }));
    const ocrch = await startAppliance({ folder });
    try {
      await act(ocrch);
    } finally {
      await ocrch.stop();
      folder.remove();
    }
  }

  async function pays(ocrch: Appliance, amount: string, units: bigint): Promise<void> {
    const shop = createShop(ocrch.url);
    const order = await shop.createOrder({ order_id: amount, amount, webhook_url: stage.merchant.webhook_url });
    await shop.selectPayment(order.order_id, "eth", "USDT");
    await stage.coins.USDT.transfer(payer, wallet, units);
    await stage.anvil.rpc("anvil_mine", ["0x3"]);
    await stage.merchant.awaitWebhook((one) => one.body.order_id === order.order_id && one.body.status === "paid");
  }

  test("one chain's node cannot be reached: the others work", async () => {
    const polygon = eth({ rpc_urls: [dead] });
    await started({ polygon, eth: eth() }, (ocrch) => pays(ocrch, "3.00", 3_000_000n));
  });

  test("the first of two nodes cannot be reached: the second serves", async () => {
    await started({ eth: eth({ rpc_urls: [dead, stage.anvil.url] }) }, (ocrch) => pays(ocrch, "4.00", 4_000_000n));
  });

  test("a node turns out to be the wrong one later: its chain stalls, the server runs on", async () => {
    const proxy = startProviderProxy(stage.anvil.url);
    proxy.behave({ request: () => new Response("starting", { status: 503 }) });
    await started({ eth: eth({ rpc_urls: [proxy.url] }) }, async (ocrch) => {
      proxy.behave(otherChain(10));
      const deadline = performance.now() + 20_000;
      while (!ocrch.log.some((line) => line.includes("wrong_chain_id"))) {
        if (performance.now() > deadline) throw new Error(ocrch.log.join("\n"));
        await Bun.sleep(20);
      }
      expect((await fetch(`${ocrch.url}/health`)).status).toBe(200);
      proxy.behave();
      await pays(ocrch, "5.00", 5_000_000n);
    });
    await proxy.stop();
  }, 300_000);
});
