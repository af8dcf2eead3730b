// Virtual time and everything that waits in it, in one queue: no two runs of a seed differ in the order of things.
// Never sleeps; a turn is one entry with all microtasks and deferred work behind it.

import { drainMicrotasks } from "bun:jsc";

export interface Timeline {
  /** Virtual milliseconds since the world began. Never goes back. */
  now(): number;
  /** Runs `act` after `ms`; the returned function takes it back. */
  at(ms: number, act: () => void): () => void;
  sleep(ms: number): Promise<void>;
  /** Runs `act` behind the microtasks of this turn. */
  defer(act: () => void): void;
  /** Runs everything that is due in the next `ms`, each at its own time. */
  advance(ms: number): void;
  /** The machine sleeps for `ms`: what was due meanwhile runs late, at the end. */
  freeze(ms: number): void;
  /** When the last freeze ended; before all time where there was none. */
  thawedAt(): number;
  /** How long the longest freeze has lasted, ms. */
  longestFreeze(): number;
  /** Runs what is left of this turn. */
  settle(): void;
}

interface Entry {
  time: number;
  order: number;
  /** Null once taken back. */
  act: (() => void) | null;
}

/** A queue of time. `run` runs one act of a turn (and judges what it throws); `turnEnded` comes behind each turn. */
export function createTimeline(hooks: { run(act: () => void): void; turnEnded(): void }): Timeline {
  const heap: Entry[] = [];
  let deferred: (() => void)[] = [];
  let now = 0;
  let orders = 0;

  const before = (a: Entry, b: Entry) => a.time < b.time || (a.time === b.time && a.order < b.order);

  function push(entry: Entry): void {
    let place = heap.length;
    heap.push(entry);
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !before(entry, parent)) break;
      heap[place] = parent;
      place = above;
    }
    heap[place] = entry;
  }

  function pop(): Entry | undefined {
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || last === first) return first;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      const [left, right] = [heap[child], heap[child + 1]];
      if (left === undefined) break;
      if (right !== undefined && before(right, left)) child += 1;
      const least = heap[child] as Entry;
      if (!before(least, last)) break;
      heap[place] = least;
      place = child;
    }
    heap[place] = last;
    return first;
  }

  function settle(): void {
    for (;;) {
      drainMicrotasks();
      const acts = deferred;
      if (acts.length === 0) break;
      deferred = [];
      for (const act of acts) {
        hooks.run(act);
        drainMicrotasks();
      }
    }
    hooks.turnEnded();
  }

  function runUntil(end: number): void {
    for (let first = heap[0]; first !== undefined && first.time <= end; first = heap[0]) {
      pop();
      if (first.act === null) continue;
      now = Math.max(now, first.time);
      hooks.run(first.act);
      settle();
    }
  }

  function at(ms: number, act: () => void): () => void {
    const entry: Entry = { time: now + Math.max(0, ms), order: orders++, act };
    push(entry);
    return () => {
      entry.act = null;
    };
  }

  let thawed_at = Number.NEGATIVE_INFINITY;
  let longest_ms = 0;
  return {
    now: () => now,
    at,
    sleep: (ms) => new Promise((resolve) => void at(ms, resolve)),
    defer: (act) => void deferred.push(act),
    advance(ms) {
      const end = now + ms;
      runUntil(end);
      now = end;
    },
    thawedAt: () => thawed_at,
    longestFreeze: () => longest_ms,
    freeze(ms) {
      now += ms;
      thawed_at = now;
      longest_ms = Math.max(longest_ms, ms);
      runUntil(now);
    },
    settle,
  };
}
