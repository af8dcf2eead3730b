// When a reserved amount is free again: only once the chain was read finally from the deposit's opening past its late
// window, and not held up for ever by a block that nobody serves.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createOperator } from "../../src/services/operator.ts";
import { createRelease } from "../../src/services/release.ts";
import { cover, startWatch, uncoverAbove, watchesOf } from "../../src/storage/coverage.ts";
import { depositsOf } from "../../src/storage/deposits.ts";
import { realWorld } from "../../src/world.ts";
import { evm_wallet, type Settings } from "../support/server.ts";
import { startTill, type Till } from "../support/till.ts";

const day_ms = 86_400_000;
const second_wallet = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";

let till: Till;
let alarms: unknown[];
let release: ReturnType<typeof createRelease>;
async function begin(settings: Settings = {}): Promise<void> {
  till = await startTill(settings);
  alarms = [];
  restart();
}
/** A new process over the same database. */
function restart(): void {
  const telemetry = {
    info() {},
    warn() {},
    error: (event: string, fields?: unknown) => void alarms.push([event, fields]),
    count() {},
    counters: () => new Map<string, number>(),
  };
  release = createRelease({ ...till, world: { ...realWorld(), now: till.now }, telemetry });
}
afterEach(() => till.stop());

const early_s = 1_790_000_000;
const seconds = () => Math.ceil(till.now() / 1000);
/** A late window and the second after it. */
const window_ms = day_ms + 1000;

type Where = { chain?: "eth" | "op"; wallet?: string; token?: string };
const watched = ({ chain = "eth", wallet, token }: Where = {}) =>
  till.database
    .read((at) => watchesOf(at, chain))
    .filter((watch) => (wallet ?? watch.wallet) === watch.wallet && (token ?? watch.token) === watch.token);

/** Blocks `from..to` were read finally; `to` has the time of now, or an early one. */
const readFinally = (from: number, to: number, where: Where & { early?: true } = {}) =>
  till.database.transact((tx) => {
    const time = where.early ? early_s : seconds();
    const range = { from, to, hash: `0xb${to}`, time, provider: "node" };
    cover(
      tx,
      watched(where).map((watch) => watch.id),
      "final",
      range,
    );
  });

const reserved = () => till.rows<{ n: number }>("SELECT count(*) AS n FROM slots")[0]?.n;

/** So many runs that a hole is not one that nobody was asked about. Resolves with how many amounts they freed. */
async function releaseOften(): Promise<number> {
  let released = 0;
  for (let run = 0; run <= 60; run++) released += await release.releaseDue();
  return released;
}

/** An order that was cancelled, and the head its deposit was opened at. */
async function cancelled(amount = "10.00"): Promise<number> {
  const order = await till.asked(amount);
  const [deposit] = till.database.read((at) => depositsOf(at, order));
  await till.checkout.cancel(order);
  if (deposit?.opened_head == null) throw new Error("the deposit was opened at no head");
  return deposit.opened_head;
}

describe("an amount of a cancelled order", () => {
  let head: number;
  beforeEach(async () => {
    await begin();
    for (let block = 0; block < 5; block++) await till.quiet();
    head = await cancelled();
  });

  test("is free once the chain was read finally past its late window, and not before", async () => {
    till.advance(day_ms - 1000);
    await readFinally(1, head + 10);
    expect([await release.releaseDue(), reserved()]).toEqual([0, 1]);
    till.advance(1000);
    await readFinally(head + 11, head + 11);
    // By the clock the window is over. On the chain the next block may still be of its last second.
    expect([await release.releaseDue(), reserved()]).toEqual([0, 1]);
    till.advance(1000);
    await readFinally(head + 12, head + 12);
    expect([await release.releaseDue(), reserved()]).toEqual([1, 0]);
  });

  test("is not held by a block that was lost before its deposit opened", async () => {
    till.advance(window_ms);
    await readFinally(1, head - 1, { early: true });
    await readFinally(head + 1, head + 20);
    expect(await release.releaseDue()).toBe(1);
    expect(alarms).toEqual([]);
  });

  test("is held by the first block after the opening", async () => {
    till.advance(window_ms);
    await readFinally(1, head, { early: true });
    await readFinally(head + 2, head + 20);
    expect(await release.releaseDue()).toBe(0);
    await readFinally(head + 1, head + 1);
    expect(await release.releaseDue()).toBe(1);
  });

  test("is not held by a block that was lost after its late window had ended", async () => {
    till.advance(window_ms);
    await readFinally(1, head + 5);
    await readFinally(head + 7, head + 20);
    expect(await release.releaseDue()).toBe(1);
  });
});

describe("one block that nobody serves", () => {
  let head: number;
  const hole = () => head + 3;
  const status = () =>
    createOperator(till)
      .status()
      .chains.find((chain) => chain.id === "eth")?.given_up ?? [];
  beforeEach(async () => {
    await begin();
    for (let block = 0; block < 5; block++) await till.quiet();
    head = await cancelled();
    till.advance(window_ms);
    await readFinally(1, hole() - 1, { early: true });
    await readFinally(hole() + 1, head + 20);
    // Of every other contract it was served.
    for (const { token } of watched().slice(1)) await readFinally(hole(), hole(), { token });
  });

  test("holds amounts for another late window, also over a restart, and then no more, with an alarm", async () => {
    till.advance(3000);
    expect(await release.releaseDue()).toBe(0);
    till.advance(day_ms - 1);
    restart();
    expect([await release.releaseDue(), alarms, status()]).toEqual([0, [], []]);
    till.advance(1);
    expect(await releaseOften()).toBe(1);
    const [watch] = watched();
    const where = { wallet: evm_wallet, from: hole(), to: hole() };
    expect(alarms).toEqual([["blocks_given_up", { chain: "eth", coin: watch?.label, ...where }]]);
    expect(status()).toEqual([{ label: watch?.label ?? "", ...where }]);
    expect([await release.releaseDue(), alarms.length]).toEqual([0, 1]);
  });

  test("is not given up after a restart or a sleep of the machine before it was asked for again", async () => {
    await release.releaseDue();
    till.advance(window_ms);
    restart();
    for (let run = 0; run < 60; run++) expect(await release.releaseDue()).toBe(0);
    expect(alarms).toEqual([]);
    expect(await release.releaseDue()).toBe(1);
  });

  test("is forgotten as soon as it was read", async () => {
    await release.releaseDue();
    till.advance(window_ms);
    await releaseOften();
    expect(status()).toHaveLength(1);
    await readFinally(hole(), hole());
    await release.releaseDue();
    expect([status(), till.rows("SELECT * FROM unserved_blocks")]).toEqual([[], []]);
  });

  test("is given up once: amounts that wait for the same block later wait for their own window alone", async () => {
    await release.releaseDue();
    till.advance(window_ms);
    await releaseOften();
    await till.database.transact((tx) => {
      for (const { id } of watched()) uncoverAbove(tx, id, head + 1, "final");
    });
    await cancelled("11.00");
    till.advance(window_ms);
    await readFinally(head + 1, hole() - 1, { early: true });
    await readFinally(hole() + 1, head + 40);
    for (const { token } of watched().slice(1)) await readFinally(hole(), hole(), { token });
    expect(await release.releaseDue()).toBe(1);
  });

  test("does not hide the amounts that it does not hold, however many it holds", async () => {
    for (let n = 0; n < 250; n++) await till.checkout.cancel(await till.asked(`${20 + n}.00`));
    till.advance(60_000);
    for (let block = 0; block < 30; block++) await till.quiet();
    await cancelled("999.00");
    till.advance(window_ms);
    await readFinally(head + 21, head + 60);
    expect(await release.releaseDue()).toBe(1);
    expect(till.rows("SELECT units FROM slots WHERE units = '999000000'")).toEqual([]);
    expect(reserved()).toBe(251);
  });
});

async function beginWithTwoWallets(): Promise<void> {
  await begin({
    wallets: [evm_wallet, second_wallet].map((address) => ({
      ...({ chain: "eth", coins: ["USDT"], starting_tx: null } as const),
      address,
    })) as never,
  });
  await till.quiet();
}

test("an amount on one wallet is not released by what was read of another", async () => {
  await beginWithTwoWallets();
  const head = await cancelled();
  till.advance(window_ms);
  await readFinally(1, head + 20, { wallet: second_wallet });
  expect(await release.releaseDue()).toBe(0);
  expect(reserved()).toBe(1);
});

test("an amount on one wallet is not held by what was not read of another", async () => {
  await beginWithTwoWallets();
  const head = await cancelled();
  till.advance(window_ms);
  await readFinally(1, head + 20, { wallet: evm_wallet });
  expect(await release.releaseDue()).toBe(1);
});

test("an amount of a coin with two contracts is released once both were read", async () => {
  await begin({ wallets: [{ chain: "op", address: evm_wallet, coins: ["USDT"], starting_tx: null }] as never });
  const tokens = watched({ chain: "op" }).filter((watch) => watch.coin === "USDT");
  expect(tokens).toHaveLength(2);
  await till.database.transact((tx) => {
    for (const { id } of tokens) startWatch(tx, id, { number: 1, time: seconds() });
  });
  const order = await till.order("10.00");
  await till.select(order, "USDT", "op");
  await till.checkout.cancel(order);
  till.advance(window_ms);
  await readFinally(1, 20, { chain: "op", token: tokens[0]?.token ?? "" });
  expect(await release.releaseDue()).toBe(0);
  await readFinally(1, 20, { chain: "op", token: tokens[1]?.token ?? "" });
  expect(await release.releaseDue()).toBe(1);
});
