// What was recorded against what an explorer's index tells: real anvil, real SQLite, an emulated explorer before the
// same chain, and a provider that hides logs.

import { afterEach, describe, expect, test } from "bun:test";
import { payer, type Story, type StoryOptions, startStory, stranger, usd, wallet } from "../support/chain-story.ts";
import { alteringLogs, type Behaviour } from "../support/provider-proxy.ts";
import { said } from "../support/story-cli.ts";

let started: Story[] = [];
async function begin(options: StoryOptions = {}): Promise<Story> {
  const one = await startStory({ index: true, proxies: 1, ...options });
  started.push(one);
  return one;
}
afterEach(async () => {
  for (const one of started) await one.stop();
  started = [];
});

const chainOf = (story: Story) => story.operator.coverage("eth")[0] ?? expect.unreachable("eth is covered");
const rowOf = (story: Story) =>
  story.rows("SELECT block, doubted_block, wanted_until FROM compared")[0] ?? expect.unreachable("a wallet is wanted");
const hiding = (...txs: string[]): Behaviour =>
  alteringLogs((logs) => logs.filter(({ transactionHash }) => !txs.includes(transactionHash)));

/** Lets so much time pass that all of it is final, and compares. */
async function later(story: Story, seconds = 3600): Promise<void> {
  await story.mine(6);
  await story.advance(seconds);
  await story.poll();
  await story.reconcile();
}

/** A story with an order waiting for its payment. */
async function waiting(options: StoryOptions = {}) {
  const story = await begin(options);
  await story.poll();
  const order = await story.order("9.00");
  await story.select(order.id);
  await story.mine(3);
  return { story, order };
}

describe("the hourly comparison with an index", () => {
  test("inserts what the scan missed, settles it, and says so everywhere", async () => {
    const { story, order } = await waiting();
    await story.usdt.transfer(payer, wallet, usd(1));
    const hidden = await story.usdt.transfer(payer, wallet, usd(9));
    const pair = await story.usdt.batch(payer, [wallet, stranger, wallet], [usd(4), 1n, usd(4)]);
    story.proxies[0]?.behave(hiding(hidden, pair));
    await later(story, 60);
    expect(
      story
        .transfers()
        .map((row) => row.amount)
        .sort(),
    ).toEqual(["1", "4", "4", "9"]);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
    expect(chainOf(story).history).toMatchObject({ missed: 3, doubts: 0, error: null, provider: story.index?.host });
    expect(story.log.filter((line) => line.includes("transfers_unknown_to_index"))).toEqual([]);
    expect(story.operator.status().chains[0]?.checks).toMatchObject([{ kind: "history", missed: 3 }]);
    expect(story.log.filter((line) => line.includes("error transfers_missed_by_scan"))).toHaveLength(1);
    expect(story.rows("SELECT DISTINCT detail FROM audit WHERE action = 'transfer_admitted'")).toEqual([
      { detail: `missed by the scan, told by ${story.index?.host}` },
    ]);

    const told = await said(story, "coverage");
    expect(told).toContain("MISSED BY THE SCAN and found by a comparison: 3 transfers");
    expect(told).toContainEqual(
      expect.stringMatching(new RegExp(`^recorded transfers compared with ${story.index?.host} \\S+Z$`)),
    );
    expect(await said(story, "status")).toContain(
      'eth: transfers that the scan missed: 3; a provider hides logs ("ocrch coverage" says more)',
    );

    story.index?.reset();
    await story.reconcile();
    expect(story.index?.seen()).toEqual([]);
    await later(story);
    expect(chainOf(story).history).toMatchObject({ missed: 3, doubts: 0 });
    expect(story.transfers()).toHaveLength(4);
  });

  test("goes on where it stopped, ten minutes before, also after a restart", async () => {
    const { story } = await waiting();
    await later(story);
    const first = rowOf(story).block;
    await story.anvil.rpc("anvil_mine", ["0x78", "0x1e"]);
    story.wait(3600);
    story.restart();
    story.index?.reset();
    await later(story, 60);
    const asked = story.index?.seen().find((url) => url.searchParams.get("action") === "tokentx");
    const from = Number(asked?.searchParams.get("startblock"));
    expect(Number(first) - from).toBeGreaterThan(0);
    expect(Number(first) - from).toBeLessThan(60);
    expect(rowOf(story).block).toBe(Number(asked?.searchParams.get("endblock")));
  });

  test("is made for wallets in use and for a day after, and for no others", async () => {
    const story = await begin({ late_window: "1h", lifetime: "10m" });
    await story.poll();
    await later(story);
    expect(story.index?.seen()).toEqual([]);
    await story.select((await story.order("9.00")).id);
    await later(story);
    expect(story.index?.seen().length).toBeGreaterThan(0);
    await story.expiry.expireDue();
    for (let hour = 0; hour < 2; hour++) await later(story, 4000);
    await story.release.releaseDue();
    expect(story.rows("SELECT * FROM slots")).toEqual([]);
    story.index?.reset();
    await later(story);
    expect(story.index?.seen().length).toBeGreaterThan(0);
    await later(story, 90_000);
    story.index?.reset();
    await later(story);
    expect(story.index?.seen()).toEqual([]);
  });

  test("goes on for a day after the last promise on a wallet, and its wish is renewed once an hour", async () => {
    const { story } = await waiting();
    const day_ms = 86_400_000;
    const wanted = async () => {
      await story.reconcile();
      return Number(rowOf(story).wanted_until);
    };
    const first = await wanted();
    expect(Math.abs(first - story.now() - day_ms)).toBeLessThan(10_000);
    story.wait(50 * 60);
    expect(await wanted()).toBe(first);
    story.wait(20 * 60);
    expect((await wanted()) - first).toBeGreaterThan(69 * 60_000);
  });

  test("asks only about what was read finally", async () => {
    const { story } = await waiting();
    await story.usdt.transfer(payer, wallet, usd(9));
    await story.mine(2);
    story.wait(60);
    await story.poll();
    await story.reconcile();
    const head = Number(await story.anvil.rpc("eth_blockNumber"));
    expect(Number(rowOf(story).block)).toBeLessThanOrEqual(head - 4);
    expect(chainOf(story).history).toMatchObject({ missed: 0 });
    expect(story.log.filter((line) => line.includes("transfers_missed_by_scan"))).toEqual([]);
  });

  test("doubts a transfer that the index does not know an hour later, once, and takes nothing back", async () => {
    const { story, order } = await waiting();
    const hash = await story.usdt.transfer(payer, wallet, usd(9));
    story.index?.behave({ rows: (rows) => rows.filter((row) => row.tx_hash !== hash) });
    await later(story, 60);
    expect(chainOf(story).history).toMatchObject({ doubts: 0 });
    await later(story);
    expect(chainOf(story).history).toMatchObject({ doubts: 1, missed: 0 });
    await later(story);
    await later(story);
    expect(chainOf(story).history).toMatchObject({ doubts: 1 });
    expect(story.status(order.id)).toBe("paid");
    expect(story.log.filter((line) => line.includes("warn transfers_unknown_to_index"))).toHaveLength(1);
  });
});

describe("an index that is not to be believed", () => {
  test("mentions a transaction that was never mined: nothing is inserted", async () => {
    const { story } = await waiting();
    const hash = await story.usdt.transfer(payer, wallet, usd(1));
    story.index?.behave({
      rows: (rows) => [
        ...rows,
        ...rows.filter((row) => row.tx_hash === hash).map((row) => ({ ...row, tx_hash: `0x${"ab".repeat(32)}` })),
        ...rows.filter((row) => row.tx_hash === hash).map((row) => ({ ...row, value: 5n })),
      ],
    });
    await later(story, 60);
    expect(story.transfers().map((row) => row.amount)).toEqual(["1"]);
    expect(chainOf(story).history).toMatchObject({ missed: 0, error: null });
  });

  test("is down or behind: a warning, no stall, and the comparison is made up for", async () => {
    const { story } = await waiting();
    const hidden = await story.usdt.transfer(payer, wallet, usd(1));
    story.proxies[0]?.behave(hiding(hidden));
    story.index?.behave({ answer: () => new Response("", { status: 503 }) });
    await later(story, 60);
    expect(chainOf(story)).toMatchObject({ row: { stalled_since: null }, history: { missed: 0, ran_at: null } });
    expect(chainOf(story).history?.error).toContain(story.index?.host ?? "");
    expect(story.log.some((line) => line.includes("warn history_not_compared"))).toBe(true);
    story.index?.behave({ lag: 100 });
    story.wait(700);
    await story.reconcile();
    expect(chainOf(story).history?.error).toStartWith("provider_lagging: ");
    story.index?.reset();
    await later(story);
    expect(chainOf(story).history).toMatchObject({ missed: 1, error: null });
    for (const line of [...story.log, JSON.stringify(chainOf(story))]) expect(line).not.toContain("key-5678");
  });

  test("is none: that is said once", async () => {
    const story = await begin({ index: false });
    await story.poll();
    for (let run = 0; run < 3; run++) await story.reconcile();
    expect(story.log.filter((line) => line.includes("info no_index_to_compare_with"))).toHaveLength(1);
  });
});
