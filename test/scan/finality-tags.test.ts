// Where a finality tag was last served, by the clock of the machine and over restarts.

import { afterEach, beforeEach, expect, test } from "bun:test";
import type { ChainHeads } from "../../src/chains/source.ts";
import { createWatching } from "../../src/services/watching.ts";
import { insertChain } from "../../src/storage/chains.ts";
import { createServedTags } from "../../src/workers/scan/served-tags.ts";
import { realWorld } from "../../src/world.ts";
import { type TempDatabase, tempDatabase } from "../support/temp-database.ts";

const hour_ms = 3_600_000;
const start_ms = 1_790_000_000_000;

let temp: TempDatabase;
let wall = start_ms;
let elapsed = 0;
let commits = 0;
beforeEach(async () => {
  [wall, elapsed] = [start_ms, 0];
  temp = tempDatabase({ now: () => wall });
  await temp.database.transact((tx) => insertChain(tx, "eth"));
  commits = 0;
  temp.database.onCommit(() => void commits++);
});
afterEach(() => temp.close());

const block = (number: number) => ({ number, hash: `0x${number}`, time: number });
const heads = (latest: number, finalized: number | null): ChainHeads => ({
  latest: block(latest),
  safe: null,
  finalized: finalized === null ? null : block(finalized),
  by: { latest: "a", safe: null, finalized: finalized === null ? null : "a" },
});
/** The memory of a process that begins now. */
const begin = () => {
  const { database } = temp;
  const world = { ...realWorld(), now: () => wall, elapsed: () => elapsed };
  const served = createServedTags({ chain: "eth", database, watching: createWatching({ database }), world });
  return async (told: ChainHeads) => (await served.complete(told, ["finalized"])).finalized?.number ?? null;
};
const pass = (ms: number) => {
  wall += ms;
  elapsed += ms;
};

test("a tag that is missing stays where it was last served, for an hour, in one life and the next", async () => {
  const first = begin();
  expect([await first(heads(100, 90)), await first(heads(101, null))]).toEqual([90, 90]);
  pass(hour_ms - 1);
  expect([await first(heads(400, null)), await begin()(heads(400, null))]).toEqual([90, 90]);
  pass(1);
  expect([await first(heads(400, null)), await begin()(heads(400, null))]).toEqual([null, null]);
});

test("it never stands ahead of the head that was read: that one lags, or is of another branch", async () => {
  const told = begin();
  await told(heads(100, 90));
  expect([await told(heads(89, null)), await told(heads(90, null))]).toEqual([null, 90]);
});

test("a clock that was set back makes it no older, and none younger than its own time", async () => {
  await begin()(heads(100, 90));
  wall -= 5 * hour_ms;
  const next = begin();
  expect(await next(heads(101, null))).toBe(90);
  pass(hour_ms);
  expect(await next(heads(101, null))).toBeNull();
});

test("it is written down at once, and then once a minute while it goes on", async () => {
  const told = begin();
  for (let second = 0; second < 120; second++) {
    await told(heads(100 + second, 90 + second));
    pass(1000);
  }
  expect(commits).toBe(2);
  expect(await begin()(heads(500, null))).toBe(150);
});

test("a tag that was never served stays unknown", async () => {
  expect(await begin()(heads(100, null))).toBeNull();
});
