// A world in a hurry: what waits for its turn waits a hundredth of the time, and the wall clock is ahead of the chain,
// so that an index may be asked about the newest block.

import { realWorld, type World } from "../../src/world.ts";

const speed = 100;
const ahead_ms = 60_000;

/** A real world with hurried time. */
export function hurriedWorld(): World {
  const real = realWorld();
  return {
    ...real,
    warn: () => {},
    now: () => real.now() + ahead_ms,
    elapsed: () => real.elapsed() * speed,
    sleep: (ms, signal) => real.sleep(ms / speed, signal),
  };
}
