// What wallets hold against what was recorded: real anvil, real SQLite, providers that hide a log for ever, forget old
// balances or have none, and coins that move without a word.

import { afterEach, describe, expect, test } from "bun:test";
import { encodeAbiParameters, keccak256 } from "viem";
import { createBalanceComparison } from "../../src/services/balance-comparison.ts";
import { insertChain } from "../../src/storage/chains.ts";
import { openCases } from "../../src/storage/checks.ts";
import { syncWatches, watchesOf } from "../../src/storage/coverage.ts";
import { payer, type Story, type StoryOptions, startStory, stranger, usd, wallet } from "../support/chain-story.ts";
import { alteringLogs, answering, type Behaviour, refusing } from "../support/provider-proxy.ts";
import { said } from "../support/story-cli.ts";
import { silent, tempDatabase } from "../support/temp-database.ts";

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

const head = async (story: Story) => Number(await story.anvil.rpc("eth_blockNumber"));
const chainOf = (story: Story) => story.operator.coverage("eth")[0] ?? expect.unreachable("eth is covered");
const usdtOf = (story: Story) =>
  chainOf(story).watches.find((watch) => watch.label === "USDT") ?? expect.unreachable("USDT is watched");

/** Lets an hour pass on the chain: what was paid becomes final, is read finally, and is due to be compared. */
async function anHourLater(story: Story): Promise<void> {
  await story.mine(6);
  await story.advance(3600);
  await story.poll();
  await story.check();
}

/** A wallet whose balances were read once, and a payer who has paid into it since. */
async function watched(options: StoryOptions = {}): Promise<Story> {
  const story = await begin(options);
  await story.mine(6);
  await story.poll();
  await story.check();
  expect(usdtOf(story).balance?.since_block).toBe(usdtOf(story).balance?.block ?? -1);
  return story;
}

/** Changes what a wallet holds without any transfer, as an issuer can. */
async function issue(story: Story, units: bigint): Promise<void> {
  const slot = keccak256(encodeAbiParameters([{ type: "address" }, { type: "uint256" }], [wallet, 4n]));
  const value = `0x${units.toString(16).padStart(64, "0")}`;
  await story.anvil.rpc("anvil_setStorageAt", [story.usdt.address, slot, value]);
}

/** Hides the log of one transaction, wherever it is asked for. */
const hiding = (tx: string): Behaviour =>
  alteringLogs((logs) => logs.filter(({ transactionHash }) => transactionHash !== tx));

describe("balances that recorded transfers explain", () => {
  test("payments, sweeps, moves to oneself and several hours of them open no case", async () => {
    const story = await watched();
    for (let hour = 0; hour < 3; hour++) {
      await story.usdt.transfer(payer, wallet, usd(5));
      await story.dai.transfer(payer, wallet, 10n ** 18n);
      await story.usdt.batch(payer, [wallet, stranger, wallet], [1n, 2n, 3n]);
      await story.mine();
      await story.usdt.transfer(wallet, stranger, usd(5));
      await story.usdt.transfer(wallet, wallet, 2n);
      await anHourLater(story);
    }
    expect(usdtOf(story)).toMatchObject({ unexplained: [], balance: { block: (await head(story)) - 4 } });
    expect(usdtOf(story).balance?.since_block).toBeLessThan(usdtOf(story).balance?.block ?? 0);
    expect(chainOf(story).balances).toMatchObject({ missed: 0, error: null });
    // Of the one built-in contract that this chain does not have, and once.
    expect(story.log.filter((line) => line.includes("balance"))).toEqual([
      expect.stringContaining(" warn contract_states_no_balance chain=eth "),
    ]);
  });

  test("are read once an hour, in one request for all of them, beside two of the comparison", async () => {
    const story = await watched({ proxies: 1 });
    const [proxy] = story.proxies;
    proxy?.reset();
    await story.check(10);
    expect(proxy?.requests()).toBe(0);
    await story.mine(6);
    await story.advance(3600);
    await story.poll();
    proxy?.reset();
    await story.check(10);
    expect(proxy?.seen().map(({ method }) => method)).toEqual([
      "eth_getBlockByNumber",
      ...["eth_getBlockByNumber", "eth_call", "eth_call", "eth_call"],
      ...["eth_getBlockByNumber", "eth_getLogs"],
      "eth_getBlockByNumber",
    ]);
    expect(proxy?.requests()).toBe(4);
  });

  test("are compared as soon as an outage is caught up with", async () => {
    const story = await watched({ proxies: 1 });
    const [proxy] = story.proxies;
    proxy?.behave(answering(503, ""));
    await story.usdt.transfer(payer, wallet, usd(5));
    await story.mine(2);
    await expect(story.poll()).rejects.toThrow("HTTP 503");
    await story.check();
    const before = usdtOf(story).balance?.block ?? -1;
    proxy?.reset();
    await story.mine(8);
    story.wait(120);
    await story.poll();
    await story.check();
    expect(usdtOf(story)).toMatchObject({ unexplained: [], balance: { block: (await head(story)) - 4 } });
    expect(usdtOf(story).balance?.block).toBeGreaterThan(before);
  });

  test("where finality is far behind the head, a reading waits until its block is final", async () => {
    const story = await begin({ slots: 60 });
    await story.mine(200);
    await story.poll();
    await story.check();
    expect(usdtOf(story).balance).toBeNull();
    await story.mine(60);
    story.wait(60);
    await story.poll();
    await story.check(1);
    const read_at = 203 - 64;
    expect(usdtOf(story).balance).toMatchObject({ block: read_at });
    await story.usdt.transfer(payer, wallet, usd(5));
    await story.mine(130);
    await story.advance(3600);
    await story.poll();
    await story.check(1);
    await story.mine(130);
    story.wait(60);
    await story.poll();
    await story.check(1);
    expect(usdtOf(story)).toMatchObject({ unexplained: [] });
    expect(usdtOf(story).balance?.block).toBeGreaterThan(read_at + 64);
  });
});

describe("a log that a provider hides for ever", () => {
  test("is found through the balance, narrowed to its block, and paid once another provider shows it", async () => {
    const story = await watched({ proxies: 2 });
    const [liar, other] = story.proxies;
    other?.behave(answering(503, ""));
    const order = await story.order("9.00");
    await story.select(order.id);
    await story.mine(3);
    const hidden = await story.usdt.transfer(payer, wallet, usd(9));
    await story.mine();
    const block = await head(story);
    await story.usdt.transfer(payer, wallet, usd(1));
    await story.mine(20);
    liar?.behave(hiding(hidden));

    await anHourLater(story);
    expect(story.transfers().map((row) => row.amount)).toEqual(["1"]);
    expect(usdtOf(story).unexplained).toMatchObject([
      { after_block: block - 1, through_block: block, difference: "+9", stuck: null },
    ]);
    expect(story.log.some((line) => line.includes("error balance_unexplained"))).toBe(true);
    expect(story.status(order.id)).toBe("pending");

    other?.reset();
    await story.advance(3600);
    await story.poll();
    await story.check();
    expect(usdtOf(story).unexplained).toEqual([]);
    expect(story.rows("SELECT closed_because FROM balance_cases")).toEqual([{ closed_because: "transfers_found" }]);
    expect(chainOf(story).balances).toMatchObject({ missed: 1 });
    expect(story.transfers().map((row) => row.amount)).toEqual(["1", "9"]);
    expect(story.log.some((line) => line.includes("error transfers_missed_by_scan"))).toBe(true);
    await story.poll();
    expect(story.transfers()[1]).toMatchObject({ amount: "9", status: "matched", reason: null });
    expect(story.status(order.id)).toBe("paid");
  });

  test("is found at once by the other provider where that is well", async () => {
    const story = await watched({ proxies: 2 });
    const [liar, other] = story.proxies;
    other?.behave(answering(503, ""));
    const hidden = await story.usdt.transfer(payer, wallet, usd(9));
    liar?.behave(hiding(hidden));
    await story.mine(20);
    await story.advance(3600);
    await story.poll();
    other?.reset();
    story.wait(300);
    await story.check();
    expect(story.transfers()).toMatchObject([{ amount: "9", status: "waiting_for_confirmation" }]);
    expect(usdtOf(story).unexplained).toEqual([]);
    expect(story.rows("SELECT looks, closed_because FROM balance_cases")).toEqual([
      { looks: 0, closed_because: "transfers_found" },
    ]);
  });

  test("of two hidden payments each becomes a case of its own block", async () => {
    const story = await watched({ proxies: 1 });
    const [liar] = story.proxies;
    const first = await story.usdt.transfer(payer, wallet, usd(2));
    await story.mine(12);
    const second = await story.usdt.transfer(payer, wallet, usd(3));
    await story.mine(9);
    liar?.behave(hiding(first), hiding(second));
    await anHourLater(story);
    await story.check(10);
    const cases = usdtOf(story).unexplained;
    expect(cases.map(({ difference }) => difference)).toEqual(["+2", "+3"]);
    expect(cases.every(({ after_block, through_block }) => through_block - after_block === 1)).toBe(true);
    liar?.reset();
    await anHourLater(story);
    expect(usdtOf(story).unexplained).toEqual([]);
    expect(new Set(story.transfers().map((row) => row.amount))).toEqual(new Set(["2", "3"]));
  });

  test("of a sweep is no more than a wrong case: it closes when the log shows", async () => {
    const story = await watched({ proxies: 1 });
    await story.usdt.transfer(payer, wallet, usd(9));
    await story.mine(2);
    const sweep = await story.usdt.transfer(wallet, stranger, usd(9));
    await story.mine(9);
    story.proxies[0]?.behave(hiding(sweep));
    await anHourLater(story);
    expect(usdtOf(story).unexplained).toMatchObject([{ difference: "-9" }]);
    story.proxies[0]?.reset();
    await anHourLater(story);
    expect(usdtOf(story).unexplained).toEqual([]);
    expect(story.rows("SELECT closed_because FROM balance_cases")).toEqual([{ closed_because: "explained" }]);
  });
});

describe("a balance that moves without a transfer", () => {
  test("stays a case of one block until a person has looked", async () => {
    const story = await watched();
    await story.mine(10);
    await issue(story, usd(50));
    const block = await head(story);
    await story.mine(15);
    await anHourLater(story);
    const expected = { after_block: block - 1, through_block: block, difference: "+50", stuck: null };
    expect(usdtOf(story).unexplained).toMatchObject([expected]);
    for (let hour = 0; hour < 2; hour++) await anHourLater(story);
    expect(usdtOf(story).unexplained).toMatchObject([expected]);
    expect(story.rows("SELECT looks FROM balance_cases")).toEqual([{ looks: 3 }]);
    const told = await said(story, "coverage");
    const [agreed] = told.filter((line) => line.startsWith("balance compared between block"));
    expect(agreed).toMatch(/^balance compared between block \d+ and block \d+ \(\S+Z\)$/);
    expect(told[told.indexOf(agreed ?? "") + 1]).toMatch(
      new RegExp(`^UNEXPLAINED \\+50 USDT in block ${block}, since \\S+Z \\(case 1\\)$`),
    );
    expect(told).toContainEqual(expect.stringMatching(/^balance compared between .*: all of it is explained$/));
    expect(await said(story, "status")).toContain(
      'eth: changes of a balance that no transfer explains: 1 ("ocrch coverage" says where)',
    );
    expect(story.log.filter((line) => line.includes("balance_unexplained"))).toHaveLength(2);
    expect(chainOf(story).watches.filter((watch) => watch.unexplained.length > 0)).toHaveLength(1);
  });

  test("and back is stated wrongly, not moved", async () => {
    const story = await watched({ proxies: 1 });
    const [proxy] = story.proxies;
    const lie: Behaviour = {
      alter: (call, envelope) =>
        call.method === "eth_call" ? { ...envelope, result: `0x${7n.toString(16).padStart(64, "0")}` } : envelope,
    };
    await story.mine(6);
    await story.advance(3600);
    await story.poll();
    proxy?.behave(lie);
    await story.check(2);
    expect(usdtOf(story).unexplained).toMatchObject([{ difference: "+0.000007" }]);
    proxy?.reset();
    await story.mine(6);
    await story.advance(3600);
    await story.poll();
    await story.check(2);
    expect(usdtOf(story).unexplained).toEqual([]);
    expect(story.rows("SELECT DISTINCT closed_because FROM balance_cases")).toEqual([
      { closed_because: "stated_wrongly" },
    ]);
  });
});

describe("a provider that cannot help", () => {
  test("has no balances: that is told, and nothing else suffers", async () => {
    const story = await begin({ proxies: 1 });
    const words = "the method eth_call does not exist/is not available";
    await story.poll();
    story.proxies[0]?.behave(refusing({ code: -32601, message: words }, "eth_call"));
    await story.mine(6);
    story.wait(60);
    await story.poll();
    await story.check();
    expect(usdtOf(story).balance).toBeNull();
    expect(chainOf(story).balances?.error).toMatch(/^provider_cannot_answer: .*does not exist/);
    story.proxies[0]?.reset();
    story.wait(3601);
    await story.poll();
    await story.check();
    expect(chainOf(story).balances).toMatchObject({ error: null });
    expect(usdtOf(story).balance).not.toBeNull();
  });

  test("has forgotten old balances: the case stays as wide as it was", async () => {
    const story = await watched({ proxies: 1 });
    await story.mine(10);
    await issue(story, usd(50));
    await story.mine(15);
    const old = await head(story);
    await story.mine(6);
    await story.advance(3600);
    await story.poll();
    story.proxies[0]?.behave({
      refuse: ({ method, params }) =>
        method === "eth_call" && Number(params[1]) <= old ? { code: -32000, message: "missing trie node 12" } : null,
    });
    await story.check();
    expect(usdtOf(story).unexplained).toMatchObject([{ difference: "+50", stuck: "provider_archive_only" }]);
    const [{ after_block, through_block } = { after_block: 0, through_block: 0 }] = usdtOf(story).unexplained;
    expect(through_block - after_block).toBeGreaterThan(10);
  });
});

test("a wallet whose balance changes in ever new ways has eight open cases and no more", async () => {
  const temp = tempDatabase();
  const { database } = temp;
  await database.transact((tx) => {
    insertChain(tx, "eth");
    syncWatches(tx, "eth", [
      { chain: "eth", wallet, token: "t", coin: "USDT", label: "USDT", decimals: 6, offered: true },
    ]);
  });
  const watch = database.read((at) => watchesOf(at, "eth"))[0] ?? expect.unreachable("it is watched");
  const balances = createBalanceComparison({ database, telemetry: silent });
  const open = () => database.read((at) => openCases(at, "eth"));
  for (let block = 1; block <= 12; block++) {
    const at = { number: block * 10, hash: `h${block}`, time: block };
    // Twice as much each time: no change undoes another.
    await balances.compare("eth", at, "node", [{ watch, units: 2n ** BigInt(block), outgoing: [] }]);
  }
  expect(open()).toHaveLength(8);

  const [one] = open();
  if (one === undefined) throw new Error("there is no case");
  const part = (from: number, to: number) => ({
    from: { block: from, units: 2n },
    to: { block: to, units: 4n },
    difference: 1n,
  });
  const look = { answered_by: "node", stuck: null, missed: 0 };
  const of = { id: one.id, watch: watch.id, chain: "eth" as const };
  // There is no room for two parts: they stay one case.
  await balances.narrow(of, [part(10, 15), part(15, 20)], look);
  expect(open().map((row) => [row.from_block, row.to_block, row.difference])[0]).toEqual([10, 20, "2"]);
  expect(open()).toHaveLength(8);
  await balances.narrow(of, [], look);
  expect(open()).toHaveLength(7);
  const [next] = open();
  await balances.narrow({ ...of, id: next?.id ?? 0 }, [part(20, 25), part(25, 30)], look);
  expect(open()).toHaveLength(8);
  await temp.close();
});
