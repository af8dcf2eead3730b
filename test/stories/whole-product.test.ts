// The whole product as a merchant meets it: its own process, real HTTP, sockets and webhooks, a real node.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { payer, type Stage, setStage, wallet } from "../demo/stage.ts";
import { type Appliance, configText, createFolder, fromSource, startAppliance } from "../support/appliance.ts";
import { createShop, type Shop, startMerchant } from "../support/merchant.ts";

let stage: Stage;
let ocrch: Appliance;
let shop: Shop;
let orders = 0;
beforeAll(async () => {
  stage = await setStage({ finality: "5" });
  ocrch = await startAppliance({ folder: stage.folder });
  shop = createShop(ocrch.url);
});
afterAll(async () => {
  await ocrch.stop();
  await stage.clear();
});

const units = (amount: string) => BigInt(amount.replace(".", "")) * 10_000n;
const mine = (blocks: number) => stage.anvil.rpc("anvil_mine", [`0x${blocks.toString(16)}`]);
const pay = (amount: string) => stage.coins.USDT.transfer(payer, wallet, units(amount));

async function order(amount: string, more: Record<string, unknown> = {}) {
  orders += 1;
  const made = await shop.createOrder({
    order_id: `e2e-${orders}`,
    amount,
    webhook_url: stage.merchant.webhook_url,
    ...more,
  });
  const detail = await shop.selectPayment(made.order_id, "eth", "USDT");
  return { id: made.order_id, detail };
}

const webhook = (id: string, status: string) =>
  stage.merchant.awaitWebhook((one) => one.body.order_id === id && one.body.status === status);

async function admin(path: string): Promise<Record<string, unknown>[]> {
  const response = await fetch(`${ocrch.url}/api/v1/admin${path}`, {
    headers: { "Ocrch-Admin-Authorization": "test-admin-secret" },
  });
  return (await response.json()) as Record<string, unknown>[];
}

/** The transfer rows of a transaction, once there are as many and they are as asked. */
async function transfers(hash: string, fits: (rows: Record<string, unknown>[]) => boolean) {
  const deadline = performance.now() + 120_000;
  for (;;) {
    const rows = (await admin(`/wallets/${wallet}/transfers?limit=200`)).filter((row) => row.txn_hash === hash);
    if (fits(rows)) return rows;
    if (performance.now() > deadline) throw new Error(`never as expected: ${JSON.stringify(rows)}`);
    await Bun.sleep(20);
  }
}

describe("on a real node", () => {
  test("a transfer pays an order, the socket follows, the webhook verifies", async () => {
    const { id, detail } = await order("19.99");
    expect(detail).toEqual({
      order_id: id,
      wallet_address: wallet,
      amount: "19.99",
      blockchain: "eth",
      stablecoin: "USDT",
    });
    const live = shop.follow(id);
    await pay("19.99");
    await mine(5);
    expect((await webhook(id, "paid")).verified).toBe(true);
    expect(await live).toEqual({ statuses: ["pending", "paid"], code: 1000 });
    expect((await shop.orderStatus(id)).status).toBe("paid");
  });

  test("two transfers in one transaction pay two orders", async () => {
    const first = await order("31.00");
    const second = await order("32.00");
    const hash = await stage.coins.USDT.batch(payer, [wallet, wallet], [units("31.00"), units("32.00")]);
    await mine(5);
    await webhook(first.id, "paid");
    await webhook(second.id, "paid");
    const rows = await transfers(hash, (rows) => rows.every((row) => row.status === "matched"));
    expect(rows).toHaveLength(2);
    expect(new Set(rows.map((row) => row.fulfillment_id)).size).toBe(2);
  });

  test("two orders of the same amount are told apart, and each payment pays its own", async () => {
    const first = await order("40.00");
    const second = await order("40.00");
    expect([first.detail.amount, second.detail.amount]).toEqual(["40.00", "40.01"]);
    await pay("40.01");
    await mine(5);
    await webhook(second.id, "paid");
    expect((await shop.orderStatus(first.id)).status).toBe("pending");
    await pay("40.00");
    await mine(5);
    await webhook(first.id, "paid");
  });

  test("a reorg that drops a payment leaves its order pending; the next payment pays it", async () => {
    const { id } = await order("51.00");
    await mine(3);
    const hash = await pay("51.00");
    await transfers(hash, (rows) => rows[0]?.status === "waiting_for_confirmation");
    await stage.anvil.rpc("anvil_reorg", [1, []]);
    await mine(1);
    await transfers(hash, (rows) => rows[0]?.status === "failed_to_confirm");
    expect((await shop.orderStatus(id)).status).toBe("pending");
    await pay("51.00");
    await mine(5);
    await webhook(id, "paid");
    const told = stage.merchant.received.filter((one) => one.body.order_id === id);
    expect(new Set(told.map((one) => one.id)).size).toBe(1);
  });

  test("a payment that lands while the server is stopped is found when it comes back", async () => {
    const { id } = await order("61.00");
    expect(await ocrch.stop("SIGTERM")).toBe(0);
    await pay("61.00");
    await mine(40);
    ocrch = await startAppliance({ folder: stage.folder });
    shop = createShop(ocrch.url);
    expect((await webhook(id, "paid")).verified).toBe(true);
  });

  test("a payment that is confirmed after the order's end still pays it", async () => {
    const merchant = startMerchant();
    const folder = createFolder(
      configText({
        lifetime: "2s",
        chains: {
          eth: {
            rpc_urls: [stage.anvil.url],
            wallets: [wallet],
            finality: "8",
            tokens: { USDT: { address: stage.coins.USDT.address, decimals: 6 } },
          },
        },
      }),
    );
    const short = await startAppliance({ folder });
    const other = createShop(short.url);
    const made = await other.createOrder({ order_id: "late", amount: "71.00", webhook_url: merchant.webhook_url });
    const idle = await other.createOrder({ order_id: "idle", amount: "72.00", webhook_url: merchant.webhook_url });
    await other.selectPayment(made.order_id, "eth", "USDT");
    await pay("71.00");
    await merchant.awaitWebhook((one) => one.body.order_id === idle.order_id && one.body.status === "expired");
    expect((await other.orderStatus(made.order_id)).status).toBe("pending");
    await mine(9);
    const paid = await merchant.awaitWebhook((one) => one.body.order_id === made.order_id);
    expect(paid.body.status).toBe("paid");
    await short.stop();
    await merchant.stop();
    folder.remove();
  });

  test("money nobody asked for is told by the unknown-transfer webhook", async () => {
    const hash = await pay("99.99");
    await mine(5);
    const told = await stage.merchant.awaitWebhook((one) => one.body.txn_hash === hash);
    expect(told.verified).toBe(true);
    expect(told.body).toMatchObject({
      event_type: "unknown_transfer",
      blockchain: "eth",
      stablecoin: "USDT",
      value: "99.99",
    });
  });

  test("mark-paid on the command line is delivered by the running server within seconds", async () => {
    const { id } = await order("81.00");
    const live = shop.follow(id);
    const child = Bun.spawn([...fromSource, "mark-paid", id, "-c", stage.folder.config], {
      stdout: "pipe",
      stderr: "pipe",
    });
    expect(await child.exited).toBe(0);
    await webhook(id, "paid");
    expect((await live).statuses).toEqual(["pending", "paid"]);
  });
});
