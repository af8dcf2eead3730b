// What happens on Tron and what becomes of the orders: the product as a process of its own, and its scan polled by hand.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { tronAddress } from "../../src/domain/address.ts";
import { type Appliance, configText, createFolder, type Folder, startAppliance } from "../support/appliance.ts";
import { payer, type Story, type StoryOptions, startStory, usd, wallet } from "../support/chain-story.ts";
import { type Coin, deployCoin } from "../support/coin.ts";
import { createShop, type Merchant, type Shop, startMerchant } from "../support/merchant.ts";
import { altering, type Behaviour, emptyLogs } from "../support/provider-proxy.ts";
import { startTronEmulator, type TronEmulator } from "../support/tron-emulator.ts";

/** From the block of a transfer to the one that makes it solid. */
const solid_blocks = 18;

describe("an appliance that takes USDT on Tron", () => {
  let tron: TronEmulator;
  let usdt: Coin;
  let merchant: Merchant;
  let folder: Folder;
  let ocrch: Appliance;
  let shop: Shop;
  const mine = (blocks: number) => tron.anvil.rpc("anvil_mine", [`0x${blocks.toString(16)}`]);

  beforeAll(async () => {
    tron = await startTronEmulator();
    usdt = await deployCoin(tron.anvil, 6, "USDT");
    await usdt.mint(payer, 10n ** 15n);
    await mine(30);
    merchant = startMerchant();
    folder = createFolder(
      configText({
        unknown_transfer_webhook_url: merchant.webhook_url,
        chains: {
          tron: {
            rpc_urls: [tron.rpc_url],
            wallets: [tronAddress(wallet)],
            tokens: { USDT: { address: tronAddress(usdt.address), decimals: 6 } },
            finality: '"finalized"',
          },
        },
      }),
    );
    ocrch = await startAppliance({ folder });
    shop = createShop(ocrch.url);
  });
  afterAll(async () => {
    await ocrch?.stop();
    await merchant.stop();
    folder.remove();
    await tron.stop();
  });

  async function admin(path: string): Promise<Record<string, unknown>[]> {
    const headers = { "Ocrch-Admin-Authorization": "test-admin-secret" };
    const response = await fetch(`${ocrch.url}/api/v1/admin${path}`, { headers });
    return (await response.json()) as Record<string, unknown>[];
  }

  async function transfer(hash: string, status: string) {
    const deadline = performance.now() + 120_000;
    for (;;) {
      const rows = await admin(`/wallets/${tronAddress(wallet)}/transfers`);
      const found = rows.find((row) => row.txn_hash === hash && row.status === status);
      if (found !== undefined) return found;
      if (performance.now() > deadline) throw new Error(`no ${status} ${hash}: ${JSON.stringify(rows)}`);
      await Bun.sleep(20);
    }
  }

  test("a transfer is seen at once, pays once its block is solid, and is told by webhook", async () => {
    const order = await shop.createOrder({ order_id: "tron-1", amount: "19.99", webhook_url: merchant.webhook_url });
    const asked = await shop.selectPayment(order.order_id, "tron", "USDT");
    expect(asked).toMatchObject({ wallet_address: tronAddress(wallet), amount: "19.99", blockchain: "tron" });
    const hash = (await usdt.transfer(payer, wallet, usd(19.99))).slice(2);
    await transfer(hash, "waiting_for_confirmation");
    await mine(solid_blocks - 1);
    expect((await shop.orderStatus(order.order_id)).status).toBe("pending");
    await mine(1);
    const told = await merchant.awaitWebhook((one) => one.body.order_id === order.order_id);
    expect([told.body.status, told.verified]).toEqual(["paid", true]);

    // Lists name wallets and senders in base58 and the transaction as explorers do.
    expect(await transfer(hash, "matched")).toMatchObject({
      blockchain: "tron",
      from_address: tronAddress(payer),
      to_address: tronAddress(wallet),
    });
    const wallets = await admin("/wallets");
    expect(wallets).toMatchObject([{ blockchain: "tron", address: tronAddress(wallet) }]);
  });

  test("money that fits no order is told with its hash in Tron's spelling", async () => {
    const hash = (await usdt.transfer(payer, wallet, usd(3.21))).slice(2);
    await mine(solid_blocks);
    const told = await merchant.awaitWebhook((one) => one.body.event_type === "unknown_transfer");
    expect(JSON.stringify(told.body)).toContain(hash);
    expect(JSON.stringify(told.body)).not.toContain("0x");
  });
});

describe("a receipt that does not bear a log out", () => {
  type RawReceipt = { logs: { data: string }[] };
  const lies: [string, "eth" | "tron", (receipt: RawReceipt) => unknown][] = [
    [
      "another amount",
      "eth",
      (receipt) => ({ ...receipt, logs: [{ ...receipt.logs[0], data: `0x${"0".repeat(63)}7` }] }),
    ],
    [
      "another amount",
      "tron",
      (receipt) => ({ ...receipt, logs: [{ ...receipt.logs[0], data: `0x${"0".repeat(63)}7` }] }),
    ],
    ["a failure, which leaves no logs on an EVM chain", "eth", (receipt) => ({ ...receipt, status: "0x0" })],
  ];
  for (const [what, chain, lie] of lies) {
    test(`on ${chain} for it tells of ${what}: nothing is taken in, and the next reading is the honest one`, async () => {
      const tron = chain === "tron" ? await startTronEmulator({ automine: false }) : null;
      const story = await startStory(tron === null ? { proxies: 1 } : { tron });
      await story.poll();
      const order = await story.order("19.99");
      await story.select(order.id);
      await story.usdt.transfer(payer, wallet, usd(19.99));
      await story.mine(solid_blocks + 1);
      const behave = (...list: Behaviour[]) => (tron ?? story.proxies[0])?.behave(...list);
      behave(altering("eth_getTransactionReceipt", lie));
      await story.poll();
      expect(story.transfers()).toEqual([]);
      expect(String(story.rows("SELECT unread_reason FROM chains")[0]?.unread_reason)).toContain(
        "provider_inconsistent",
      );
      behave();
      story.wait(10);
      await story.poll();
      expect(story.status(order.id)).toBe("paid");
      await story.stop();
    });
  }
});

describe("on a Tron node", () => {
  let tron: TronEmulator;
  let story: Story;
  async function begin(options: StoryOptions = {}): Promise<void> {
    tron = await startTronEmulator({ automine: false });
    story = await startStory({ tron, ...options });
    await story.mine(2);
  }
  afterEach(() => story.stop());

  async function deposit(amount: string): Promise<string> {
    const order = await story.order(amount);
    await story.poll();
    await story.select(order.id);
    return order.id;
  }

  test("a transaction that failed never pays, although its log is there", async () => {
    await begin();
    const order = await deposit("19.99");
    tron.fail(await story.usdt.transfer(payer, wallet, usd(19.99)));
    await story.mine();
    await story.poll();
    await story.mine(solid_blocks * 2);
    await story.poll();
    expect(story.transfers()).toEqual([]);
    expect(story.status(order)).toBe("pending");
    // It does not stand in the way of the payment that follows.
    await story.usdt.transfer(payer, wallet, usd(19.99));
    await story.mine(solid_blocks + 1);
    await story.poll();
    expect(story.status(order)).toBe("paid");
  });

  test("a transaction that is found to have failed after it was seen never pays either", async () => {
    await begin();
    const order = await deposit("19.99");
    const hash = await story.usdt.transfer(payer, wallet, usd(19.99));
    await story.mine();
    await story.poll();
    expect(story.transfers()).toMatchObject([{ status: "waiting_for_confirmation", tx_hash: hash.slice(2) }]);
    tron.fail(hash);
    await story.mine(solid_blocks * 2);
    await story.poll();
    expect(story.transfers()).toMatchObject([{ status: "failed_to_confirm" }]);
    expect(story.status(order)).toBe("pending");
  });

  test("blocks that are not solid yet may be replaced: the payment in them counts where it ends up", async () => {
    await begin();
    const order = await deposit("19.99");
    await story.usdt.transfer(payer, wallet, usd(19.99));
    await story.mine();
    await story.poll();
    expect(story.transfers()).toMatchObject([{ status: "waiting_for_confirmation" }]);
    await tron.anvil.rpc("anvil_reorg", [2, []]);
    await story.mine(3);
    await story.poll();
    expect(story.transfers()).toMatchObject([{ status: "failed_to_confirm" }]);
    await story.mine(solid_blocks * 2);
    await story.poll();
    expect(story.status(order)).toBe("pending");

    await story.usdt.transfer(payer, wallet, usd(19.99));
    await story.mine(solid_blocks + 1);
    await story.poll();
    expect(story.status(order)).toBe("paid");
  });

  test("two transfers in one transaction pay two orders", async () => {
    await begin();
    const first = await deposit("10.00");
    const second = await deposit("20.00");
    await story.usdt.batch(payer, [wallet, wallet], [usd(10), usd(20)]);
    await story.mine(solid_blocks + 1);
    await story.poll();
    expect([story.status(first), story.status(second)]).toEqual(["paid", "paid"]);
    expect(new Set(story.transfers().map((row) => row.position)).size).toBe(2);
  });

  test("an order expires only once the chain was read past its end, as on every chain", async () => {
    await begin();
    const order = await deposit("19.99");
    story.wait(3601);
    await story.expiry.expireDue();
    expect(story.status(order)).toBe("pending");
    await story.advance(1);
    await tron.anvil.rpc("evm_increaseTime", [3601]);
    await story.mine();
    await story.poll();
    await story.expiry.expireDue();
    expect(story.status(order)).toBe("expired");
  });

  test("while the nodes' JSON-RPC is down, TronGrid's list and receipts take the payment to paid", async () => {
    await begin({ rest: true });
    const order = await deposit("19.99");
    tron.outage("/jsonrpc", () => new Response("", { status: 503 }));
    await story.usdt.batch(payer, [wallet, wallet], [usd(19.99), usd(3)]);
    await story.mine(11);
    await story.poll();
    expect(story.transfers()).toMatchObject([
      { status: "waiting_for_confirmation", position: 0 },
      { status: "waiting_for_confirmation", position: 1 },
    ]);
    await story.mine(solid_blocks);
    await story.poll();
    expect(story.status(order)).toBe("paid");
    // The other had come while an order still asked for more: a person is told which.
    expect(story.transfers().map(({ status }) => status)).toEqual(["matched", "waiting_for_match"]);

    // Back again, JSON-RPC agrees with every place.
    tron.reset();
    await story.mine();
    story.wait(60);
    await story.poll();
    expect(story.transfers()).toHaveLength(2);
    expect(story.pushed(order)).toEqual(["paid"]);
  });

  test("a hole in the log index of the only node is filled from TronGrid's list once the block is solid", async () => {
    await begin({ rest: true });
    const order = await deposit("19.99");
    tron.behave(emptyLogs);
    await story.usdt.transfer(payer, wallet, usd(19.99));
    await story.mine(2);
    await story.poll();
    expect(story.transfers()).toEqual([]);
    await story.mine(solid_blocks);
    story.wait(60);
    await story.poll();
    expect(story.log.join("\n")).toContain("transfers_missed_by_head_pass");
    expect(story.status(order)).toBe("paid");
  });

  test("what node and list missed is found when the list is asked again, within the hour", async () => {
    await begin({ rest: true });
    const order = await deposit("19.99");
    const failed = await story.usdt.transfer(payer, wallet, usd(3));
    tron.fail(failed);
    await story.mine();
    tron.behave(emptyLogs);
    const empty = (path: string, body: unknown) => (path.startsWith("/v1/") ? { success: true, data: [] } : body);
    tron.feel({ alter: empty });
    await story.usdt.transfer(payer, wallet, usd(19.99));
    await story.mine(solid_blocks + 1);
    story.wait(60);
    await story.poll();
    expect(story.transfers()).toEqual([]);
    tron.feel({});
    await story.reconcile();
    await story.poll();
    expect(story.transfers()).toMatchObject([{ amount: "19.99", status: "matched" }]);
    expect(story.status(order)).toBe("paid");
  });

  test("a payment that does not show is found by its hash, in either spelling", async () => {
    await begin();
    const spellings: [number, (hash: string) => string][] = [
      [19.99, (hash) => hash],
      [29.99, (hash) => hash.slice(2).toUpperCase()],
    ];
    for (const [amount, spelled] of spellings) {
      const order = await deposit(String(amount));
      tron.behave(emptyLogs);
      const hash = await story.usdt.transfer(payer, wallet, usd(amount));
      await story.mine();
      await story.poll();
      expect(await story.claims.claim(order, spelled(hash), "10.0.0.1")).toMatchObject({
        status: "accepted",
        chain: "tron",
        tx_hash: hash.slice(2),
      });
      tron.behave();
      await story.mine(solid_blocks);
      await story.poll();
      expect(story.status(order)).toBe("paid");
    }
  });

  test("what the only node hides from every reading shows in the wallet's balance, an hour later", async () => {
    await begin();
    await deposit("19.99");
    const tell = () => story.operator.coverage("tron")[0] ?? expect.unreachable("Tron is covered");
    const unexplained = () => tell().watches.flatMap((watch) => watch.unexplained);
    /** A reading of the newest balances, compared once its block is solid. */
    const compare = async () => {
      await story.mine(solid_blocks);
      await story.advance(3600);
      await story.poll();
      await story.check(2);
      await story.mine(solid_blocks);
      story.wait(60);
      await story.poll();
      await story.check(4);
    };
    await compare();
    await story.usdt.transfer(payer, wallet, usd(5));
    await compare();
    expect(unexplained()).toEqual([]);
    expect(tell().balances).toMatchObject({ error: null });
    tron.behave(emptyLogs);
    await story.usdt.transfer(payer, wallet, usd(7));
    await compare();
    // It cannot be narrowed where past balances are not told, but it is told.
    expect(unexplained()).toMatchObject([{ difference: "+7", stuck: "provider_cannot_answer" }]);
  });

  test("a key that was shut out for half a minute is not used before", async () => {
    await begin();
    const order = await deposit("19.99");
    await story.usdt.transfer(payer, wallet, usd(19.99));
    await story.mine(solid_blocks + 1);
    tron.suspend();
    await expect(story.poll()).rejects.toMatchObject({ code: "provider_rate_limited" });
    tron.reset();
    story.wait(20);
    await expect(story.poll()).rejects.toMatchObject({ code: "provider_rate_limited" });
    expect(tron.requests()).toBe(0);
    story.wait(10);
    await story.poll();
    expect(story.status(order)).toBe("paid");
  });
});
