// What `ocrch coverage` says, compared with what was truly read: an outage, a kill, a backfill, chains and wallets that
// come and go. Real anvil, real SQLite, the command as a process of its own.

import { afterEach, describe, expect, test } from "bun:test";
import type { Config } from "../../src/config/config.ts";
import {
  payer,
  type Story,
  type StoryOptions,
  second_wallet,
  startStory,
  usd,
  wallet,
} from "../support/chain-story.ts";
import { altering, answering, rangeCap, refusing } from "../support/provider-proxy.ts";
import { said as saidBy } from "../support/story-cli.ts";

let started: Story[] = [];
async function begin(options: StoryOptions = {}): Promise<Story> {
  const one = await startStory(options);
  started.push(one);
  return one;
}
afterEach(async () => {
  for (const one of started) await one.stop();
  started = [];
});

/** Lines of `ocrch coverage`. */
const said = (story: Story, ...args: string[]) => saidBy(story, "coverage", ...args);

const head = async (story: Story) => Number(await story.anvil.rpc("eth_blockNumber"));
const usdtOf = (story: Story) =>
  story.operator.coverage()[0]?.watches.find((watch) => watch.label === "USDT") ??
  expect.unreachable("USDT is watched");

/** Replaces parts of the settings, as a reload does. */
function reconfigure(story: Story, change: (config: Config) => Partial<Config>): void {
  story.config.replace({ ...story.config.current(), ...change(story.config.current()) });
}

const startAt = (story: Story, start_block: number | null) =>
  reconfigure(story, ({ chains }) => ({
    chains: new Map([...chains].map(([id, settings]) => [id, { ...settings, start_block }])),
  }));

describe("a two-hour outage with a kill in it", () => {
  test("is told truly before, during and after, and every payment of it finds its place", async () => {
    const story = await begin({ proxies: 1, lifetime: "60m" });
    const [proxy] = story.proxies;
    if (proxy === undefined) throw new Error("no proxy");
    const [in_time, too_late] = [await story.order("11.00"), await story.order("12.00")];
    expect((await said(story)).slice(0, 3)).toEqual([
      "eth",
      "never reached: nothing is accounted for",
      `${wallet} USDT, DAI, USDC (watched, not offered)`,
    ]);
    expect((await said(story)).at(-1)).toBe("the watch has not begun: nothing is accounted for");

    await story.poll();
    for (const order of [in_time, too_late]) await story.select(order.id);
    const before = await head(story);
    const start = usdtOf(story).from?.block;
    const told = await said(story);
    expect(told[1]).toMatch(new RegExp(`^head ${before} of \\S+Z, seen \\S+Z \\(\\d+ s ago\\); final \\d+$`));
    expect(told[3]).toMatch(
      new RegExp(
        `^every transfer between block ${start} .*and block ${before} \\(\\S+Z\\) is accounted for; no blocks outstanding up to head ${before}$`,
      ),
    );
    expect(told[4]).toMatch(new RegExp(`^read finally through block \\d+; answered by ${proxy.host}$`));

    // The server is killed in the middle of a poll and comes back to a chain that cannot be reached.
    story.points.set("scan.read", () => {
      throw new Error("killed");
    });
    await story.mine();
    await expect(story.poll()).rejects.toThrow("killed");
    story.points.clear();
    story.restart();
    proxy.behave(answering(503, ""));
    await story.advance(1800);
    await story.usdt.transfer(payer, wallet, usd(11));
    await story.mine();
    await story.advance(2700);
    await story.usdt.transfer(payer, wallet, usd(12));
    await story.mine();
    await expect(story.poll()).rejects.toThrow("HTTP 503");
    await story.anvil.rpc("anvil_mine", ["0x12c", "0x7"]);
    story.wait(2100);
    await story.advance(2700);
    expect(await story.expiry.expireDue()).toBe(0);
    const during = await said(story);
    expect(during.filter((line) => /^(stalled|every|read)/.test(line))).toEqual([
      expect.stringMatching(/^stalled since \S+Z: provider_unreachable: .*503/),
      told[3],
      told[4],
    ]);

    proxy.reset();
    story.wait(300);
    await story.poll();
    const after = await head(story);
    const caught_up = await said(story);
    expect(caught_up.some((line) => line.startsWith("stalled"))).toBe(false);
    expect(caught_up[3]).toMatch(
      new RegExp(`between block ${start} .*and block ${after} .*; no blocks outstanding up to head ${after}$`),
    );
    await story.expiry.expireDue();
    await story.mine(3);
    await story.poll();
    expect([story.status(in_time.id), story.status(too_late.id)]).toEqual(["paid", "expired"]);
    expect(story.transfers().map(({ amount, status, reason }) => [amount, status, reason])).toEqual([
      ["11", "matched", null],
      ["12", "waiting_for_match", "late"],
    ]);
  }, 300_000);

  test("is caught up with in bounded polls that never lose sight of the head", async () => {
    const story = await begin({ proxies: 1 });
    const [proxy] = story.proxies;
    await story.poll();
    // Anvil takes milliseconds for each: few blocks, in small pages.
    for (let mined = 0; mined < 1000; mined += 500) await story.anvil.rpc("anvil_mine", ["0x1f4", "0x5"]);
    story.wait(5000);
    proxy?.behave(rangeCap(10, "publicnode"));
    story.restart();
    await story.advance(1);
    await story.poll();
    const order = await story.order("7.00");
    await story.select(order.id);
    const backfilling = usdtOf(story);
    expect(backfilling.outstanding).toBeGreaterThan(500);
    expect(backfilling.gaps_count).toBeGreaterThan(0);
    expect(await said(story)).toContainEqual(expect.stringMatching(/^outstanding: (\d+, )?\d+-\d+/));

    await story.usdt.transfer(payer, wallet, usd(7));
    await story.mine();
    await story.poll();
    expect(story.transfers()).toMatchObject([{ status: "waiting_for_confirmation" }]);
    await story.mine(2);
    proxy?.reset();
    proxy?.behave(rangeCap(10, "publicnode"));
    await story.poll();
    expect(proxy?.calls("eth_getLogs")).toBeLessThanOrEqual(45);
    expect(story.status(order.id)).toBe("paid");
    expect(usdtOf(story).outstanding).toBeGreaterThan(100);

    for (let polls = 0; (usdtOf(story).outstanding ?? 0) > 0; polls++) {
      expect(polls).toBeLessThan(10);
      await story.poll();
    }
    expect(usdtOf(story)).toMatchObject({ gaps: [], through: { block: await head(story) } });
  }, 300_000);
});

describe("where a watch begins", () => {
  test("is the block of starting_tx: what was paid before the appliance existed is found", async () => {
    const story = await begin();
    await story.usdt.transfer(payer, wallet, usd(1));
    await story.mine();
    const first = await head(story);
    const starting_tx = await story.usdt.transfer(payer, wallet, usd(2));
    await story.mine(30);
    await story.anvil.rpc("evm_increaseTime", [3600]);
    await story.mine(4);
    reconfigure(story, ({ wallets }) => ({ wallets: wallets.map((one) => ({ ...one, starting_tx })) }));
    await story.poll();
    expect(usdtOf(story)).toMatchObject({ from: { block: first + 1 }, outstanding: 0 });
    expect(story.transfers().map((row) => row.amount)).toEqual(["2"]);
  });

  test("is now where starting_tx is on no chain, and that is told", async () => {
    const story = await begin();
    await story.mine(30);
    const starting_tx = `0x${"ab".repeat(32)}`;
    reconfigure(story, ({ wallets }) => ({ wallets: wallets.map((one) => ({ ...one, starting_tx })) }));
    await story.poll();
    expect(usdtOf(story).outstanding).toBe(0);
    expect(story.log.filter((line) => line.includes("warn starting_tx_unknown"))).toHaveLength(1);
  });

  test("is found by another provider where the first one does not know starting_tx", async () => {
    const story = await begin({ proxies: 2 });
    const starting_tx = await story.usdt.transfer(payer, wallet, usd(2));
    await story.mine(3);
    const block = (await head(story)) - 2;
    reconfigure(story, ({ wallets }) => ({ wallets: wallets.map((one) => ({ ...one, starting_tx })) }));
    story.proxies[0]?.behave(altering("eth_getTransactionReceipt", () => null));
    await story.poll().catch(() => {});
    story.proxies[0]?.behave();
    await story.poll();
    expect(usdtOf(story)).toMatchObject({ from: { block }, outstanding: 0 });
    expect(story.log.filter((line) => line.includes("starting_tx_unknown"))).toEqual([]);
  });

  test("is start_block where that is set", async () => {
    const story = await begin();
    await story.usdt.transfer(payer, wallet, usd(1));
    await story.mine(30);
    const start_block = (await head(story)) - 30;
    reconfigure(story, ({ chains }) => ({
      chains: new Map([...chains].map(([id, settings]) => [id, { ...settings, start_block }])),
    }));
    story.restart();
    await story.poll();
    expect(usdtOf(story)).toMatchObject({ from: { block: start_block }, outstanding: 0 });
    expect(story.transfers().map((row) => row.amount)).toEqual(["1"]);
  });

  test("is that of each wallet by itself: what came to another one before is nobody's business", async () => {
    const story = await begin();
    const starting_tx = await story.usdt.transfer(payer, second_wallet, usd(2));
    const first_payment = await story.usdt.transfer(payer, wallet, usd(1));
    await story.mine(30);
    const late = await head(story);
    const both = (): Config["wallets"] => {
      const [one] = story.config.current().wallets;
      return one === undefined ? [] : [one, { ...one, address: second_wallet, starting_tx }];
    };
    startAt(story, late);
    await story.poll();
    startAt(story, null);
    reconfigure(story, () => ({ wallets: both() }));
    await story.watching.sync(story.config.current());
    for (let polls = 0; polls < 3; polls++) await story.poll();
    const begins = (address: string) =>
      story.operator.coverage()[0]?.watches.find((one) => one.wallet === address && one.label === "USDT")?.from?.block;
    expect([begins(wallet), (begins(second_wallet) ?? late) < late]).toEqual([late, true]);
    expect(story.transfers().map((row) => [row.wallet, row.amount])).toEqual([[second_wallet, "2"]]);
    expect(story.events("unknown_transfer")).toHaveLength(1);

    // Named later on, the beginning of the first one is below blocks that were read for the second.
    reconfigure(story, () => ({
      wallets: both().map((one, index) => (index === 0 ? { ...one, starting_tx: first_payment } : one)),
    }));
    for (let polls = 0; polls < 3; polls++) await story.poll();
    expect(story.transfers().map((row) => [row.wallet, row.amount])).toEqual([
      [second_wallet, "2"],
      [wallet, "1"],
    ]);
  });
});

describe("a beginning that is named later on", () => {
  const startFrom = (story: Story, starting_tx: string) =>
    reconfigure(story, ({ wallets }) => ({ wallets: wallets.map((one) => ({ ...one, starting_tx })) }));
  /** A story that is read from now on only; the payment in it is older. Resolves with that payment's block and hash. */
  const beginLate = async (options: StoryOptions = {}) => {
    const story = await begin(options);
    const tx_hash = await story.usdt.transfer(payer, wallet, usd(2));
    await story.mine(30);
    const block = (await head(story)) - 29;
    startAt(story, await head(story));
    await story.poll();
    expect([usdtOf(story).outstanding, story.transfers()]).toEqual([0, []]);
    startAt(story, null);
    return { story, block, tx_hash };
  };
  const read = (story: Story) => story.transfers().map((row) => row.amount);
  const lines = (story: Story, word: string) => story.log.filter((line) => line.includes(word)).length;

  test("is moved down to, and what is older is read; never up", async () => {
    const { story, block } = await beginLate();
    startAt(story, block);
    await story.poll();
    await story.poll();
    expect(usdtOf(story)).toMatchObject({ from: { block }, through: { block: await head(story) }, gaps: [] });
    expect(read(story)).toEqual(["2"]);
    startAt(story, block + 20);
    await story.poll();
    expect([usdtOf(story).from?.block, lines(story, "watch_begins_earlier")]).toEqual([block, 1]);
  });

  test("as a transaction, by a process that is started with it", async () => {
    const { story, block, tx_hash } = await beginLate();
    startFrom(story, tx_hash);
    story.restart();
    await story.poll();
    await story.poll();
    expect(usdtOf(story)).toMatchObject({ from: { block }, outstanding: 0 });
    expect(read(story)).toEqual(["2"]);
  });

  test("is looked up again after ten minutes where it could not be, and holds up nothing", async () => {
    const { story, block, tx_hash } = await beginLate({ proxies: 1 });
    const [proxy] = story.proxies;
    startFrom(story, tx_hash);
    proxy?.behave(refusing({ code: -32000, message: "no history here" }, "eth_getTransactionReceipt"));
    for (let polls = 0; polls < 3; polls++) {
      await story.advance(4);
      await story.poll();
      expect(usdtOf(story)).toMatchObject({ outstanding: 0, through: { block: await head(story) } });
    }
    expect(lines(story, "start_not_looked_up")).toBe(1);
    proxy?.reset();
    await story.advance(601);
    await story.poll();
    await story.poll();
    expect(usdtOf(story)).toMatchObject({ from: { block }, outstanding: 0 });
    expect(read(story)).toEqual(["2"]);
  });
});

describe("what is said of", () => {
  test("a coin that is watched and not offered, and of a chain nobody reached", async () => {
    const story = await begin({
      more: { chains: { base: { rpc_urls: ["http://127.0.0.1:1"], wallets: [wallet], tokens: {} } } },
    });
    await story.poll();
    reconfigure(story, ({ wallets }) => ({
      wallets: wallets.map((one) => (one.chain === "eth" ? { ...one, coins: ["USDT"] as const } : one)),
    }));
    const lines = await said(story, "--chain", "base");
    expect(lines.slice(0, 2)).toEqual(["base", "never reached: nothing is accounted for"]);
    expect(lines.join("\n")).toContain("(watched, not offered)");
    const both = JSON.parse((await said(story, "--json")).join("\n"));
    expect(both.map((chain: { blockchain: string }) => chain.blockchain)).toEqual(["eth", "base"]);
    expect(both[0].wallets[0]).toMatchObject({
      address: wallet,
      token: "USDT",
      contract: story.usdt.address,
      offered: true,
      configured: true,
      outstanding_blocks: 0,
      outstanding: [],
      outstanding_count: 0,
    });
    expect(both[1]).toMatchObject({ head_block: null, head_seen_at: null });
    expect(both[1].wallets[0]).toMatchObject({ from_block: null, through_block: null, outstanding_blocks: null });
  });

  test("a wallet that was removed while somebody may still pay to it", async () => {
    const story = await begin({ wallets: [second_wallet] });
    await story.poll();
    await story.select((await story.order("3.00")).id);
    const rest = { ...story.config.current(), wallets: [] };
    await story.watching.sync(rest);
    story.config.replace(rest);
    expect(await said(story)).toContainEqual(
      `${second_wallet} USDT, USDC, DAI (watched, not offered); no longer configured, read until what was promised on it is over`,
    );
  });

  test("a chain that stands still: the age of its head", async () => {
    const story = await begin();
    story.wait(7200);
    await story.poll();
    expect((await said(story))[1]).toMatch(
      /^head \d+ of \S+Z, seen \S+Z \(0 s ago, 72\d\d s old by then\); final \d+$/,
    );
  });

  test("more gaps than can be listed", async () => {
    const story = await begin({ proxies: 1 });
    await story.poll();
    await story.mine(60);
    await story.poll();
    const one = story.rows("SELECT id FROM watches LIMIT 1")[0]?.id;
    story.write((raw) => {
      raw.run("DELETE FROM coverage");
      const end = usdtOf(story).from?.block ?? 0;
      for (let block = 0; block < 30; block += 2) {
        raw.run("INSERT INTO coverage (watch, pass, from_block, to_block, provider) VALUES (?, 'head', ?, ?, 'p')", [
          Number(one),
          end + block,
          end + block,
        ]);
      }
    });
    expect(usdtOf(story)).toMatchObject({ gaps_count: 15 });
    expect(usdtOf(story).gaps).toHaveLength(10);
    expect(await said(story)).toContainEqual(
      expect.stringMatching(/^outstanding: (\d+, ){9}\d+ and 5 more stretches$/),
    );
  });
});
