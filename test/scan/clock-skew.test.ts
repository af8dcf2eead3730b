// Our clock against those of the chains: when it counts as wrong, who is told, and what it may then decide.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { ChainHeads, ProviderHeads } from "../../src/chains/source.ts";
import type { ChainId } from "../../src/domain/assets.ts";
import { type ClockReading, ourClockError } from "../../src/domain/clock.ts";
import { Fault } from "../../src/domain/errors.ts";
import { createWatching } from "../../src/services/watching.ts";
import { chainClock, clockError } from "../../src/storage/clocks.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { createClockAlarm, createClockWatch, startTiming } from "../../src/workers/scan/clock-watch.ts";
import { testConfig } from "../support/server.ts";
import { type TempDatabase, tempDatabase } from "../support/temp-database.ts";
import { startTill } from "../support/till.ts";

const hour_ms = 3_600_000;
const start_ms = 1_790_000_000_000;

describe("our clock is wrong", () => {
  const reading = (chain: ChainId, ahead_s: number, provider = "a"): ClockReading => ({
    ...{ chain, provider, ahead_ms: ahead_s * 1000, uncertainty_ms: 14_000 },
  });
  const rows: [what: string, readings: ClockReading[], error_s: number | null][] = [
    ["never while nobody tells", [], null],
    ["never by one chain alone: it may be late", [reading("eth", -3600)], null],
    ["where two chains say the same", [reading("eth", -3600), reading("op", -3595)], 3590.5],
    ["where two providers of one chain do", [reading("eth", 3600), reading("eth", 3602, "b")], -3608],
    ["never where one chain is late and another one is not", [reading("eth", -3600), reading("op", -4)], null],
    ["never where two are late, each in its own way", [reading("eth", -3600), reading("op", -900)], null],
    ["never within half a minute", [reading("eth", -40), reading("op", -40)], null],
    ["beyond half a minute", [reading("eth", -45), reading("op", -45)], 38],
  ];
  for (const [what, readings, error_s] of rows) {
    test(what, () => expect(ourClockError(readings)).toBe(error_s === null ? null : error_s * 1000));
  }
});

describe("polls compare clocks", () => {
  let temp: TempDatabase;
  /** True time, and what our clock adds to it. */
  let true_ms: number;
  let error_ms: number;
  /** By which the monotonic clock stood still. */
  let slept_ms: number;
  let log: string[];
  beforeEach(async () => {
    [true_ms, error_ms, slept_ms, log] = [start_ms, 0, 0, []];
    temp = tempDatabase({ now: () => true_ms + error_ms });
    await createWatching(temp).sync(testConfig());
  });
  afterEach(() => temp.close());

  const block_s = { eth: 12, polygon: 2 } as const;
  const heads = (chain: keyof typeof block_s, late_s = 0): ChainHeads => {
    const number = Math.floor((true_ms / 1000 - late_s) / block_s[chain]);
    const latest = { number, hash: `0x${number}`, time: number * block_s[chain] };
    return { latest, safe: null, finalized: null, by: { latest: `${chain}-a`, safe: null, finalized: null } };
  };

  function watch(chain: keyof typeof block_s, late_s = 0, second: (() => number) | null = null) {
    const world = {
      ...temp.world,
      elapsed: () => true_ms - start_ms - slept_ms,
      warn: (line: string) => void log.push(line),
    };
    const telemetry = createTelemetry(world);
    const source = {
      async independentHeads(): Promise<ProviderHeads> {
        if (second === null) throw new Fault("second_opinion_missing");
        return { provider: `${chain}-b`, heads: heads(chain, second()) };
      },
    };
    const alarm = createClockAlarm({ database: temp.database, telemetry, world });
    const made = createClockWatch({
      chain,
      source,
      watching: createWatching(temp),
      database: temp.database,
      world,
      alarm,
    });
    return {
      poll: () => made.look(heads(chain, late_s), startTiming(world)()),
      forgetIfSet: made.forgetIfSet,
      /** Our clock is set between the question and the answer. */
      async setAndPoll(next_error_ms: number) {
        const [head, heard] = [heads(chain, late_s), startTiming(world)];
        error_ms = next_error_ms;
        await made.look(head, heard());
      },
      /** The machine sleeps between the question and the answer, and the monotonic clock with it where `stops`. */
      async sleepAndPoll(ms: number, stops: boolean) {
        const [head, heard] = [heads(chain, late_s), startTiming(world)];
        true_ms += ms;
        if (stops) slept_ms += ms;
        await made.look(head, heard());
      },
    };
  }

  const error = () => temp.database.read((at) => clockError(at, true_ms + error_ms));
  const clockOf = (chain: ChainId) => temp.database.read((at) => chainClock(at, chain));
  const alarms = () => log.filter((line) => line.includes(" error clock_wrong ")).length;

  test("and know how far a chain's clock is from ours, within a block and two seconds", async () => {
    const eth = watch("eth");
    expect(clockOf("eth")).toBeNull();
    for (let n = 0; n < 40; n++, true_ms += 4000) await eth.poll();
    const { ahead_ms, uncertainty_ms } = clockOf("eth") ?? { ahead_ms: 0, uncertainty_ms: 0 };
    // The best poll came at once after its block.
    expect(ahead_ms).toBeGreaterThan(-4000);
    expect(ahead_ms).toBeLessThanOrEqual(0);
    expect(ahead_ms + uncertainty_ms).toBeGreaterThanOrEqual(0);
    expect(uncertainty_ms).toBeLessThanOrEqual(14_000);
    expect([error(), alarms()]).toEqual([null, 0]);
  });

  test("and date no deposit by what was measured before ours was set", async () => {
    const eth = watch("eth");
    for (let n = 0; n < 4; n++, true_ms += 4000) await eth.poll();
    await eth.forgetIfSet();
    expect(clockOf("eth")).not.toBeNull();
    error_ms = 5000;
    await eth.forgetIfSet();
    expect(clockOf("eth")).toBeNull();
  });

  test("and measure nothing while ours is set: a deposit would take what is older by as much", async () => {
    const eth = watch("eth");
    error_ms = -hour_ms;
    for (let n = 0; n < 4; n++, true_ms += 12_000) await eth.poll();
    await eth.setAndPoll(0);
    expect(clockOf("eth")).toBeNull();
    true_ms += 12_000;
    await eth.poll();
    expect(clockOf("eth")?.uncertainty_ms).toBeLessThanOrEqual(14_000);
  });

  for (const hours of [-5, 3]) {
    test(`and notice within two polls that ours was set wrong by ${hours} h, and that it is right again`, async () => {
      const [eth, polygon] = [watch("eth"), watch("polygon")];
      const poll = async () => {
        true_ms += 12_000;
        await eth.poll();
        await polygon.poll();
      };
      for (let n = 0; n < 5; n++) await poll();
      expect(error()).toBeNull();
      error_ms = hours * hour_ms;
      await poll();
      await poll();
      expect(Math.abs((error() ?? 0) - error_ms)).toBeLessThan(15_000);
      expect(alarms()).toBe(1);
      error_ms = 0;
      await poll();
      await poll();
      expect(error()).toBeNull();
      expect(log.join()).toContain("info clock_right_again");
    });
  }

  for (const stops of [false, true]) {
    test(`a machine that sleeps while it waits for an answer is no reason to doubt our clock: ${stops}`, async () => {
      const [eth, polygon] = [watch("eth"), watch("polygon")];
      await eth.poll();
      await polygon.poll();
      true_ms += 24_000;
      await eth.sleepAndPoll(90_000, stops);
      await polygon.sleepAndPoll(90_000, stops);
      expect([error(), alarms()]).toEqual([null, 0]);
    });
  }

  test("one late chain is stalled, and no reason to doubt our clock", async () => {
    const [eth, polygon] = [watch("eth", 1800), watch("polygon")];
    for (let n = 0; n < 5; n++, true_ms += 12_000) {
      await eth.poll();
      await polygon.poll();
    }
    expect([error(), alarms()]).toEqual([null, 0]);
  });

  test("a quiet chain tells nothing", async () => {
    const quiet = heads("eth");
    const eth = watch("eth");
    await eth.poll();
    const made = watch("eth");
    await made.poll();
    true_ms += hour_ms;
    const world = { ...temp.world, elapsed: () => true_ms - start_ms };
    const still = createClockWatch({
      chain: "eth",
      source: { independentHeads: () => Promise.reject(new Fault("second_opinion_missing")) },
      watching: createWatching(temp),
      database: temp.database,
      world,
      alarm() {},
    });
    for (let n = 0; n < 3; n++, true_ms += 60_000) await still.look(quiet, startTiming(world)());
    expect([clockOf("eth"), error()]).toEqual([null, null]);
  });

  test("of one chain a second provider decides: ours is wrong where both say so", async () => {
    let second_late_s = 0;
    error_ms = hour_ms;
    const eth = watch("eth", 0, () => second_late_s);
    for (let n = 0; n < 3; n++, true_ms += 12_000) await eth.poll();
    expect(Math.abs((error() ?? 0) - hour_ms)).toBeLessThan(15_000);

    // The first one is late: the second one shows that our clock is right.
    await temp.database.transact((tx) => void tx.live().run("DELETE FROM clock_readings"));
    error_ms = 0;
    second_late_s = 0;
    const late = watch("eth", 3600, () => second_late_s);
    for (let n = 0; n < 3; n++, true_ms += 12_000) await late.poll();
    expect(error()).toBeNull();
  });
});

describe("a deposit that was opened while our clock was wrong", () => {
  for (const hours of [-5, 5]) {
    test(`by ${hours} h is paid in time, also once the clock is right again`, async () => {
      const till = await startTill();
      const watching = createWatching(till);
      const say = (ahead_ms: number) => watching.clock({ chain: "eth", provider: "a", ahead_ms, uncertainty_ms: 2000 });
      // The till's time is ours: the true one, and that of the chain, is off by so much from it.
      const ahead_ms = -hours * hour_ms;
      await say(ahead_ms);
      const order = await till.asked("20");
      till.advance(ahead_ms);
      await say(0);
      await till.expiry.expireDue();
      expect(till.status(order)).toBe("pending");
      await till.receive({ amount: "20" });
      expect(till.status(order)).toBe("paid");
      await till.stop();
    });
  }
});

describe("a provider that states a time in the future", () => {
  const ahead = async (of: readonly [ChainId, string, number][]) => {
    const temp = tempDatabase();
    const watching = createWatching(temp);
    await watching.sync(testConfig());
    for (const [chain, provider, ahead_ms] of of)
      await watching.clock({ chain, provider, ahead_ms, uncertainty_ms: 3000 });
    const found = temp.database.read((at) => chainClock(at, "eth"))?.ahead_ms ?? null;
    await temp.close();
    return found;
  };
  test("dates no deposit while another provider or chain shows that our clock is right", async () => {
    expect(await ahead([["eth", "a", 114_000]])).toBe(114_000);
    expect(
      await ahead([
        ["eth", "a", 114_000],
        ["polygon", "a", -2000],
      ]),
    ).toBeNull();
    expect(
      await ahead([
        ["eth", "a", 114_000],
        ["eth", "b", -2000],
      ]),
    ).toBe(-2000);
    expect(
      await ahead([
        ["eth", "a", 114_000],
        ["polygon", "a", 115_000],
      ]),
    ).toBe(114_000);
  });
});

describe("a clock that jumps", () => {
  const minute_ms = 60_000;
  let till: Awaited<ReturnType<typeof startTill>>;
  beforeEach(async () => {
    till = await startTill();
  });
  afterEach(() => till.stop());

  test("forward by days expires no order with a deposit before the chains could tell, and its payment pays", async () => {
    till.advance(hour_ms);
    const [order, plain] = [await till.asked("20"), await till.order("30")];
    till.setClock(50 * hour_ms);
    await till.expiry.expireDue();
    expect([till.status(order), till.status(plain)]).toEqual(["pending", "expired"]);
    till.advance(2 * minute_ms);
    await till.receive({ amount: "20" });
    expect(till.status(order)).toBe("paid");
  });

  test("decides again after ten minutes in which no chain could be asked", async () => {
    till.advance(hour_ms);
    const order = await till.asked("20");
    till.setClock(50 * hour_ms);
    await till.expiry.expireDue();
    till.advance(9 * minute_ms);
    await till.expiry.expireDue();
    expect(till.status(order)).toBe("pending");
    till.advance(2 * minute_ms);
    await till.expiry.expireDue();
    expect(till.status(order)).toBe("expired");
  });

  test("with all of the machine while it stands still for hours decides nothing until the chains could tell", async () => {
    const runFor = async (ms: number) => {
      for (let ran = 0; ran < ms; ran += 20_000) {
        till.advance(20_000);
        till.expiry.beat();
        await till.expiry.expireDue();
      }
    };
    const order = await till.asked("20");
    await runFor(11 * minute_ms);
    till.advance(50 * hour_ms);
    await runFor(9 * minute_ms);
    expect(till.status(order)).toBe("pending");
    await runFor(2 * minute_ms);
    expect(till.status(order)).toBe("expired");
  });

  test("keeps an amount that was given up while it was behind until the late window has passed on the chain", async () => {
    const watching = createWatching(till);
    till.setClock(-50 * hour_ms);
    await watching.clock({ chain: "eth", provider: "a", ahead_ms: 50 * hour_ms, uncertainty_ms: 2000 });
    const order = await till.asked("20");
    await till.checkout.cancel(order);
    const given_up_at = till.now();
    const [slot] = till.rows<{ closed_at: number }>("SELECT closed_at FROM slots");
    expect(slot?.closed_at).toBe(given_up_at);
  });

  test("back and forth by little changes nothing", async () => {
    till.advance(hour_ms);
    const order = await till.asked("20");
    for (const error_ms of [5000, -5000, 0]) {
      till.setClock(error_ms);
      await till.expiry.expireDue();
    }
    till.advance(50 * hour_ms);
    await till.expiry.expireDue();
    expect(till.status(order)).toBe("expired");
  });

  test("an order made while it was days behind ends by the time of its chain", async () => {
    const watching = createWatching(till);
    const say = (ahead_ms: number) => watching.clock({ chain: "eth", provider: "a", ahead_ms, uncertainty_ms: 2000 });
    till.setClock(-50 * hour_ms);
    await say(50 * hour_ms);
    const order = await till.asked("20");
    till.setClock(0);
    await say(0);
    till.advance(11 * minute_ms);
    await till.expiry.expireDue();
    expect(till.status(order)).toBe("pending");
    await till.receive({ amount: "20" });
    expect(till.status(order)).toBe("paid");
  });
});

describe("while our clock is wrong", () => {
  test("no amount is released and no order with a deposit expires by it alone; orders without one expire on time", async () => {
    const till = await startTill();
    const say = async (ahead_ms: number) => {
      for (const [chain, provider] of [
        ["eth", "a"],
        ["polygon", "b"],
      ] as const)
        await createWatching(till).clock({ chain, provider, ahead_ms, uncertainty_ms: 2000 });
    };
    const [kept, plain] = [await till.asked("20"), await till.order("30")];
    till.advance(26 * hour_ms);
    await say(-26 * hour_ms);
    await till.expiry.expireDue();
    expect([till.status(kept), till.status(plain)]).toEqual(["pending", "expired"]);

    await say(-1000);
    await till.expiry.expireDue();
    expect(till.status(kept)).toBe("expired");
    await till.stop();
  });
});
