// What counts and what waits by name: windows of time that are forgotten oldest first, and turns of one name in a row.

import { describe, expect, test } from "bun:test";
import { createTally } from "../../src/services/tally.ts";
import { createTurns } from "../../src/services/turns.ts";
import { realWorld } from "../../src/world.ts";

describe("a window", () => {
  let clock = 0;
  const tally = (remembered_max = 10) =>
    createTally({ world: { ...realWorld(), elapsed: () => clock }, max: 2, window_ms: 1000, remembered_max });

  test("begins with the first and holds so many, then says how long until there is room", () => {
    const { take, wait } = tally();
    expect([take("a"), take("a"), wait("a"), take("a"), take("b")]).toEqual([0, 0, 1000, 1000, 0]);
    clock += 999;
    expect([wait("a"), take("a")]).toEqual([1, 1]);
    clock += 1;
    expect([wait("a"), take("a"), take("a"), take("a")]).toEqual([0, 0, 0, 1000]);
  });

  test("of something heavy is full at once", () => {
    const { take } = tally();
    expect([take("a", 5), take("a")]).toEqual([0, 1000]);
  });

  test("is forgotten for others by the name that was least lately counted", () => {
    const { take } = tally(2);
    take("a");
    take("b");
    take("a");
    take("c");
    expect([take("a"), take("b")]).toEqual([1000, 0]);
  });
});

describe("turns", () => {
  const act = (log: string[], name: string) => {
    const end = Promise.withResolvers<void>();
    const run = async () => {
      log.push(`${name} begins`);
      await end.promise;
      log.push(`${name} ends`);
    };
    return { run, end: () => end.resolve() };
  };

  test("of one name come one after the other, those of another beside them", async () => {
    const log: string[] = [];
    const turns = createTurns({ max: 10, share: 10 });
    const [one, two, three, other] = ["one", "two", "three", "other"].map((name) => act(log, name));
    if (one === undefined || two === undefined || three === undefined || other === undefined) throw new Error();
    const running = [turns("a", 1, one.run), turns("a", 1, two.run)];
    other.end();
    await turns("b", 1, other.run);
    one.end();
    await running[0];
    await Bun.sleep(0);
    running.push(turns("a", 1, three.run));
    three.end();
    await Bun.sleep(0);
    two.end();
    await Promise.all(running);
    expect(log.filter((line) => !line.startsWith("other"))).toEqual([
      ...["one begins", "one ends", "two begins", "two ends", "three begins", "three ends"],
    ]);
    expect(log.indexOf("other ends")).toBeLessThan(log.indexOf("one ends"));
  });

  test("are refused above what may wait in all, and above the share of one", async () => {
    const turns = createTurns({ max: 3, share: 2 });
    const one = act([], "one");
    const running = [turns("a", 1, one.run), turns("b", 1, one.run)];
    expect(turns("c", 1, one.run)).toBeNull();
    running.push(turns("c", 2, one.run));
    expect(turns("d", 3, one.run)).toBeNull();
    one.end();
    await Promise.all(running);
    await Bun.sleep(0);
    expect(turns("d", 1, one.run)).not.toBeNull();
  });
});
