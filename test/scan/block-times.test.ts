// Chains faster than a second: five blocks in a row share one timestamp. What depends on a block's time waits until its
// whole second has been read.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Providers } from "../../src/chains/source.ts";
import type { BlockRef } from "../../src/domain/finality.ts";
import { createWatching } from "../../src/services/watching.ts";
import { watchesOf } from "../../src/storage/coverage.ts";
import { createWatchStarts } from "../../src/workers/scan/watch-starts.ts";
import { payer, startStory, usd, wallet } from "../support/chain-story.ts";
import { silent, tempDatabase } from "../support/temp-database.ts";
import { startTill, type Till } from "../support/till.ts";

const minute_ms = 60_000;
/** How far the till's clock moves with every transfer. */
const block_ms = 12_000;

describe("five blocks of one second", () => {
  let till: Till;
  beforeEach(async () => {
    till = await startTill({ orders: { lifetime_ms: 10 * minute_ms, late_window_ms: 60 * minute_ms } });
  });
  afterEach(async () => {
    till.audit();
    await till.stop();
  });

  /** Everything up to the block `number`, mined at `time_ms`, was read; finally as well. */
  async function readTo(number: number, time_ms: number): Promise<void> {
    const watches = till.database.read((at) => watchesOf(at, "eth")).map((watch) => watch.id);
    const end = { number, hash: `0xe${number}`, time: time_ms / 1000 };
    const page = {
      chain: "eth" as const,
      watches,
      from: 1,
      end,
      provider: "node",
      zero_value: 0,
      transfers: [],
      gone: [],
    };
    const chainEnd = { head: end, final: end };
    await till.settlement.ingest({ ...page, pass: "head", chainEnd });
    await till.settlement.ingest({ ...page, pass: "final", chainEnd });
  }

  test("an order does not expire while more blocks of its last second may come, and a payment there pays", async () => {
    const order = await till.asked("48.50");
    till.advance(10 * minute_ms);
    await till.quiet();
    expect(await till.expiry.expireDue()).toBe(0);
    const paid = await till.receive({ amount: "48.50", ago_ms: block_ms });
    expect(paid.block_time * 1000).toBe(till.now() - block_ms);
    expect(till.status(order)).toBe("paid");
  });

  test("an order expires once a block of a later second was read", async () => {
    const order = await till.asked("48.50");
    till.advance(10 * minute_ms);
    await till.quiet();
    till.advance(1_000);
    await till.quiet();
    expect(await till.expiry.expireDue()).toBe(1);
    expect(till.status(order)).toBe("expired");
  });

  test("an amount stays reserved while more blocks of its last second may come", async () => {
    const order = await till.asked("48.50");
    await till.checkout.cancel(order);
    const end_ms = till.now() + 60 * minute_ms;
    till.advance(61 * minute_ms);
    await readTo(1000, end_ms);
    expect(await till.release.releaseDue()).toBe(0);
    await readTo(1001, end_ms + 1_000);
    expect(await till.release.releaseDue()).toBe(1);
  });
});

test("payments in five blocks of one second count together, twenty seconds of chain time later", async () => {
  const story = await startStory({ finality: '"2+20s"' });
  await story.poll();
  const orders: string[] = [];
  for (let i = 1; i <= 5; i++) {
    const order = await story.order(`${i}.00`);
    await story.select(order.id);
    orders.push(order.id);
  }
  const timeOf = async () =>
    Number(((await story.anvil.rpc("eth_getBlockByNumber", ["latest", false])) as { timestamp: string }).timestamp);
  await story.anvil.rpc("anvil_setBlockTimestampInterval", [0]);
  const time = await timeOf();
  for (let i = 1; i <= 5; i++) {
    await story.usdt.transfer(payer, wallet, usd(i));
    await story.mine();
  }
  await story.mine(10);
  const statuses = () => orders.map((id) => story.status(id));
  const at = async (next: number) => {
    await story.anvil.rpc("evm_setNextBlockTimestamp", [next]);
    await story.mine();
    await story.poll();
  };
  await story.poll();
  expect(await timeOf()).toBe(time);
  expect(story.transfers().map(({ block_time }) => block_time)).toEqual([time, time, time, time, time]);
  expect(statuses()).toEqual(Array.from(orders, () => "pending"));
  await at(time + 19);
  expect(statuses()).toEqual(Array.from(orders, () => "pending"));
  await at(time + 20);
  expect(statuses()).toEqual(Array.from(orders, () => "paid"));
  await story.stop();
});

test("a watch begins before the first of all blocks that share its second", async () => {
  const opened_ms = 1_790_000_000_000;
  const temp = tempDatabase({ now: () => opened_ms });
  const till = await startTill();
  const { database } = temp;
  const watching = createWatching({ database });
  await watching.sync(till.config.current());
  // Five blocks a second; block 0 is a thousand seconds old.
  const at = (number: number): BlockRef => ({
    number,
    hash: `0x${number}`,
    time: opened_ms / 1000 - 1_000 + Math.floor(number / 5),
  });
  const source = { blocks: async (numbers: readonly number[]) => numbers.map(at) } as Providers;
  const starts = createWatchStarts({
    chain: "eth",
    source,
    config: till.config,
    database,
    watching,
    telemetry: silent,
    world: temp.world,
  });
  const settings = till.config.current().chains.get("eth");
  if (settings === undefined) throw new Error("the chain is not configured");
  const [watch] = await starts.begun(at(5_000), settings);
  // A deposit opened now may be paid by a block that is 15 seconds old: 4925 is the first of those.
  expect(at(4_925).time).toBe(opened_ms / 1000 - 15);
  expect(watch?.start_block).toBe(4_924);
  await temp.close();
  await till.stop();
});
