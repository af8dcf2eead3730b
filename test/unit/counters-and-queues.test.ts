// What counts and what waits by name: windows of time that are forgotten oldest first, and turns of one name in a row.

import { describe, expect, test } from "bun:test";
import { createKeyedQueue } from "../../src/limits/keyed-queue.ts";
import { createWindowCounter } from "../../src/limits/window-counter.ts";
import { realWorld } from "../../src/world.ts";

describe("a window", () => {
  let clock = 0;
  const counter = (remembered_max = 10) =>
    createWindowCounter({ world: { ...realWorld(), elapsed: () => clock }, max: 2, window_ms: 1000, remembered_max });

  test("begins with the first and holds so many, then says how long until there is room", () => {
    const { take, wait } = counter();
    expect([take("a"), take("a"), wait("a"), take("a"), take("b")]).toEqual([0, 0, 1000, 1000, 0]);
    clock += 999;
    expect([wait("a"), take("a")]).toEqual([1, 1]);
    clock += 1;
    expect([wait("a"), take("a"), take("a"), take("a")]).toEqual([0, 0, 0, 1000]);
  });

  test("of something heavy is full at once", () => {
    const { take } = counter();
    expect([take("a", 5), take("a")]).toEqual([0, 1000]);
  });

  test("is forgotten for others by the name that was least lately counted", () => {
    const { take } = counter(2);
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
    const queue = createKeyedQueue({ max: 10, share: 10 });
    const [one, two, three, other] = ["one", "two", "three", "other"].map((name) => act(log, name));
    if (one === undefined || two === undefined || three === undefined || other === undefined) throw new Error();
    const running = [queue("a", 1, one.run), queue("a", 1, two.run)];
    other.end();
    await queue("b", 1, other.run);
    one.end();
    await running[0];
    await Bun.sleep(0);
    running.push(queue("a", 1, three.run));
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
    const queue = createKeyedQueue({ max: 3, share: 2 });
    const one = act([], "one");
    const running = [queue("a", 1, one.run), queue("b", 1, one.run)];
    expect(queue("c", 1, one.run)).toBeNull();
    running.push(queue("c", 2, one.run));
    expect(queue("d", 3, one.run)).toBeNull();
    one.end();
    await Promise.all(running);
    await Bun.sleep(0);
    expect(queue("d", 1, one.run)).not.toBeNull();
  });
});
