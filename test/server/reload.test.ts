// SIGHUP on a running server: everything new counts at once, or nothing does; what was promised before is kept.

import { Database as Sqlite } from "bun:sqlite";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { payer, type Stage, setStage, wallet } from "../demo/stage.ts";
import {
  type Appliance,
  type ChainConfig,
  configText,
  createFolder,
  type Folder,
  reloaded,
  startAppliance,
  type TestConfig,
} from "../support/appliance.ts";
import { accounts } from "../support/coin.ts";
import { createShop, startMerchant } from "../support/merchant.ts";
import { otherChain, startProviderProxy } from "../support/provider-proxy.ts";

const [, , , second_wallet] = accounts;
const patience_ms = 120_000;

let stage: Stage;
let folder: Folder;
let ocrch: Appliance;
beforeAll(async () => {
  stage = await setStage({ finality: "2" });
});
afterAll(() => stage.clear());
afterEach(async () => {
  await ocrch.stop();
  folder.remove();
});

const eth = (more: Partial<ChainConfig> = {}): ChainConfig => ({
  rpc_urls: [stage.anvil.url],
  wallets: [wallet],
  tokens: { USDT: { address: stage.coins.USDT.address, decimals: 6 } },
  ...more,
});
/** The same node, playing a second chain. */
const polygon = (more: Partial<ChainConfig> = {}) => eth({ chain_id: 1, ...more });
const text = (chains: Record<string, ChainConfig>, more: Partial<TestConfig> = {}) => configText({ ...more, chains });

async function start(toml: string): Promise<void> {
  folder = createFolder(toml);
  ocrch = await startAppliance({ folder });
}

/** Writes the file, sends SIGHUP and resolves with what the log says about it. */
function reload(toml: string): Promise<string[]> {
  writeFileSync(folder.config, toml);
  return reloaded(ocrch);
}

let orders = 0;
async function order(blockchain: string, amount: string, secret?: string) {
  orders += 1;
  const shop = createShop(ocrch.url, secret);
  const made = await shop.createOrder({ order_id: `r-${orders}`, amount, webhook_url: stage.merchant.webhook_url });
  return { id: made.order_id, detail: await shop.selectPayment(made.order_id, blockchain, "USDT") };
}

const send = (to: string, amount: string) =>
  stage.coins.USDT.transfer(payer, to, BigInt(amount.replace(".", "")) * 10_000n);
async function isPaid(id: string): Promise<void> {
  await stage.anvil.rpc("anvil_mine", ["0x3"]);
  await stage.merchant.awaitWebhook((one) => one.body.order_id === id && one.body.status === "paid", patience_ms);
}

function rows(sql: string): unknown[] {
  const raw = new Sqlite(folder.database, { readonly: true });
  try {
    return raw.query(sql).all();
  } finally {
    raw.close();
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + patience_ms;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`never came true: ${what}\n${ocrch.log.join("\n")}`);
    await Bun.sleep(20);
  }
}

const creates = async (secret: string) => {
  orders += 1;
  const body = { order_id: `r-${orders}`, amount: "1.00", webhook_url: stage.merchant.webhook_url };
  return (await createShop(ocrch.url, secret).service("/orders", body)).status;
};
const lists = async (secret: string) =>
  (await fetch(`${ocrch.url}/api/v1/admin/wallets`, { headers: { "Ocrch-Admin-Authorization": secret } })).status;
async function offered(): Promise<string[]> {
  const answer = await createShop(ocrch.url).user("GET", "/chains", "00000000-0000-7000-8000-000000000000");
  const list = (await answer.json()) as { blockchain: string; wallet_address: string }[];
  return list.map((row) => `${row.blockchain} ${row.wallet_address}`);
}

describe("after SIGHUP", () => {
  test("the new secrets count and the old ones do not, unless one is named as the previous", async () => {
    await start(text({ eth: eth() }));
    expect([await creates("test-merchant-secret"), await lists("test-admin-secret")]).toEqual([201, 200]);

    const next = text({ eth: eth() })
      .replace("test-merchant-secret", "second-merchant-secret")
      .replace("test-admin", "second-admin");
    expect(await reload(next)).toEqual([expect.stringContaining(" info config_reloaded ")]);
    expect([await creates("test-merchant-secret"), await creates("second-merchant-secret")]).toEqual([401, 201]);
    expect([await lists("test-admin-secret"), await lists("second-admin-secret")]).toEqual([401, 200]);
    expect(readFileSync(folder.config, "utf8")).toContain('[admin]\nsecret = "$argon2id$');

    const third = text({ eth: eth() })
      .replace('"test-merchant-secret"', '"third-merchant-secret"\nprevious_secret = "second-merchant-secret"')
      .replace("test-admin", "second-admin");
    const said = await reload(third);
    expect(said.filter((line) => line.includes("config_warning"))).toEqual([
      expect.stringContaining("merchant.previous_secret: still accepted"),
    ]);
    const statuses = [];
    for (const secret of ["test-merchant-secret", "second-merchant-secret", "third-merchant-secret"])
      statuses.push(await creates(secret));
    expect(statuses).toEqual([401, 201, 201]);
    expect(ocrch.log.join("\n")).not.toMatch(/(second|third|test)-(merchant|admin)-secret/);
  });

  test("a key of the network that changes later than the file says is warned about", async () => {
    const endpoint = 'endpoint = "https://pay.example/opencharge"';
    const section = (lines: readonly string[]) =>
      [text({ eth: eth() }), "[opencharge]", "merchant_ocid = 500", 'orders = "catalog"', endpoint, ...lines].join(
        "\n",
      );
    await start(text({ eth: eth() }));
    for (const [name, digits] of [
      ["old.key", "11"],
      ["new.key", "22"],
    ] as const) {
      writeFileSync(join(folder.path, name), digits.repeat(32), { mode: 0o600 });
    }
    const late = (said: readonly string[]) => said.filter((line) => line.includes("key_rotated_at"));
    expect(late(await reload(section(['private_key_file = "old.key"'])))).toEqual([]);
    const next = ['private_key_file = "new.key"', 'previous_key_file = "old.key"'];
    const a_minute_ago = Math.floor(Date.now() / 1000) - 60;
    expect(late(await reload(section([...next, `key_rotated_at = ${a_minute_ago}`])))).toEqual([
      expect.stringContaining("opencharge.key_rotated_at: before this change"),
    ]);
  });

  test("a new wallet is offered and watched at once, and a transfer to it pays", async () => {
    const slow = { idle_poll: "1h" };
    await start(text({ eth: eth(slow) }));
    expect(await offered()).toEqual([`eth ${wallet}`]);
    await reload(text({ eth: eth({ ...slow, wallets: [second_wallet, wallet] }) }));
    expect(await offered()).toEqual([`eth ${second_wallet}`, `eth ${wallet}`]);
    const watched = `SELECT 1 FROM watches w WHERE wallet = '${second_wallet}' AND start_block IS NOT NULL
      AND EXISTS (SELECT 1 FROM coverage c WHERE c.watch = w.id)`;
    await until("the new wallet is read although nothing is expected", () => rows(watched).length > 0);

    const { id, detail } = await order("eth", "12.00");
    expect(detail.wallet_address).toBe(second_wallet);
    await send(second_wallet, "12.00");
    await isPaid(id);
  });

  test("a new chain is offered and watched at once", async () => {
    await start(text({ eth: eth() }));
    await reload(text({ eth: eth(), polygon: polygon({ wallets: [second_wallet] }) }));
    const { id } = await order("polygon", "13.00");
    await send(second_wallet, "13.00");
    await isPaid(id);
  });

  test("a removed wallet is offered no more, and the payment that was promised to it still pays", async () => {
    await start(text({ eth: eth() }));
    const old = await order("eth", "14.00");
    await reload(text({ eth: eth({ wallets: [second_wallet] }) }));
    expect(await offered()).toEqual([`eth ${second_wallet}`]);
    expect((await order("eth", "14.00")).detail.wallet_address).toBe(second_wallet);
    const again = await createShop(ocrch.url).selectPayment(old.id, "eth", "USDT");
    expect(again).toEqual(old.detail);
    await send(wallet, "14.00");
    await isPaid(old.id);
  });

  test("a removed chain is read until its deposits have closed, over a restart too, and then no more", async () => {
    const both = { eth: eth(), polygon: polygon({ wallets: [second_wallet] }) };
    await start(text(both, { late_window: "0s" }));
    const first = await order("polygon", "15.00");
    const last = await order("polygon", "16.00");
    await reload(text({ eth: eth() }, { late_window: "0s" }));
    expect(await offered()).toEqual([`eth ${wallet}`]);
    await send(second_wallet, "15.00");
    await isPaid(first.id);

    await ocrch.stop();
    // Its section may stay; without it the built-in nodes would be asked.
    const section = text({ polygon: polygon() }, {}).split("[chains.polygon]")[1];
    writeFileSync(folder.config, `${text({ eth: eth() }, { late_window: "0s" })}[chains.polygon]${section}`);
    ocrch = await startAppliance({ folder });
    expect(await offered()).toEqual([`eth ${wallet}`]);
    expect(ocrch.log.join("\n")).toContain("warn chain_read_without_wallet chain=polygon public_endpoints=false");
    await send(second_wallet, "16.00");
    await isPaid(last.id);

    // Blocks a second apart: the final one must lie behind the deposits' ends.
    await stage.anvil.rpc("anvil_mine", ["0x8", "0x1"]);
    await until("nobody is owed anything there", () => ocrch.log.some((line) => line.includes("chain_no_longer_read")));
    expect(rows("SELECT 1 FROM slots WHERE chain = 'polygon'")).toEqual([]);
    expect((await fetch(`${ocrch.url}/health`)).status).toBe(200);
  }, 300_000);

  test("another node is asked instead of the old one, at the new pace", async () => {
    const old = startProviderProxy(stage.anvil.url);
    const next = startProviderProxy(stage.anvil.url);
    await start(text({ eth: eth({ rpc_urls: [old.url], idle_poll: "1h" }) }));
    await until("the old node was read", () => old.calls("eth_getLogs") > 0);
    await reload(text({ eth: eth({ rpc_urls: [next.url], idle_poll: "100ms" }) }));
    await until("the new node is read", () => next.calls("eth_getLogs") > 2);
    old.reset();
    const { id } = await order("eth", "17.00");
    await send(wallet, "17.00");
    await isPaid(id);
    expect(old.requests()).toBe(0);
    expect(rows("SELECT provider FROM providers")).toEqual([{ provider: next.host }]);
    await Promise.all([old.stop(), next.stop()]);
  });

  test("what a provider was asked today counts after a restart too", async () => {
    const asked = () =>
      (rows("SELECT day_calls FROM providers")[0] as { day_calls: number } | undefined)?.day_calls ?? 0;
    await start(text({ eth: eth({ requests_per_day: 1_000_000 }) }));
    await until("the calls of the day are on record", () => asked() > 0);
    const before = asked();
    await ocrch.stop();
    ocrch = await startAppliance({ folder });
    // The first poll alone asks for less than was asked before it.
    await until("they are added to", () => asked() > before);
    expect(asked()).toBeLessThan(before * 3);
  });

  test("keys that need a restart are named, and the rest of the file counts", async () => {
    await start(text({ eth: eth() }));
    const moved = text({ eth: eth() }, { port: 1 }).replace("test-merchant-secret", "next-secret");
    const said = await reload(`${moved}[database]\npath = "elsewhere.db"\n`);
    expect(said.filter((line) => line.includes("config_needs_restart")).map((line) => line.split(" ").at(-1))).toEqual([
      "key=server.listen",
      "key=database.path",
    ]);
    expect([await creates("test-merchant-secret"), await creates("next-secret")]).toEqual([401, 201]);
    expect(rows("SELECT 1 FROM orders")).toHaveLength(1);
  });
});

describe("a reload changes nothing and says why when", () => {
  /** The old settings are in force: its secret, its wallets, its payments. */
  async function isAsBefore(amount: string): Promise<void> {
    expect([await creates("next-secret"), await lists("next-secret"), await lists("test-admin-secret")]).toEqual([
      401, 401, 200,
    ]);
    expect(await offered()).toEqual([`eth ${wallet}`]);
    const { id } = await order("eth", amount);
    await send(wallet, amount);
    await isPaid(id);
  }
  const next = (chain: ChainConfig) =>
    text({ eth: chain }).replace("test-merchant-secret", "next-secret").replace("test-admin-secret", "next-secret");

  test("the file is broken: every problem is on the log", async () => {
    await start(text({ eth: eth() }));
    const broken = `${next(eth({ wallets: ["0x1234"] }))}[orders2]\n`;
    const said = await reload(broken);
    expect(said).toEqual([
      expect.stringContaining('error config_not_reloaded problem="orders2: unknown key; did you mean orders?"'),
      expect.stringContaining("wallets[0].address"),
    ]);
    expect(readFileSync(folder.config, "utf8")).toBe(broken);
    await isAsBefore("21.00");

    expect(await reload("[admin\n")).toEqual([expect.stringContaining("line 1, column")]);
    await isAsBefore("22.00");
  });

  test("a node of it serves another chain, or a contract has other decimals", async () => {
    await start(text({ eth: eth() }));
    const proxy = startProviderProxy(stage.anvil.url);
    proxy.behave(otherChain(10));
    const more = [second_wallet];
    const wrong_node = await reload(next(eth({ rpc_urls: [stage.anvil.url, proxy.url], wallets: more })));
    expect(wrong_node).toEqual([expect.stringContaining(`${proxy.host} serves chain 10, expected 1`)]);
    await isAsBefore("23.00");
    const token = { USDT: { address: stage.coins.DAI.address, decimals: 6 } };
    const wrong_token = await reload(next(eth({ tokens: token, wallets: more })));
    expect(wrong_token).toEqual([expect.stringContaining("has 18 decimals")]);
    await isAsBefore("24.00");
    const finer = { USDT: { address: stage.coins.DAI.address, decimals: 18 } };
    const other_decimals = await reload(next(eth({ tokens: finer, wallets: more })));
    expect(other_decimals).toEqual([
      expect.stringContaining("amounts that were asked for with others are still reserved"),
    ]);
    await isAsBefore("25.00");
    await proxy.stop();
  });
});

test("webhooks that are on their way while the secret changes are signed by one secret or the other, never by none", async () => {
  const merchant = startMerchant("second-secret");
  await start(text({ eth: eth() }));
  const held = Promise.withResolvers<number>();
  merchant.answerWith((one) => (one.verified ? 200 : held.promise));
  const shop = createShop(ocrch.url);
  const made = await shop.createOrder({ order_id: "held", amount: "1.00", webhook_url: merchant.webhook_url });
  await shop.cancel(made.order_id);
  await merchant.awaitWebhook(() => true);
  await reload(text({ eth: eth() }).replace("test-merchant-secret", "second-secret"));
  held.resolve(500);
  const again = await merchant.awaitWebhook((one) => one.verified);
  expect(again.id).toBe(merchant.received[0]?.id ?? "");
  await merchant.stop();
});
