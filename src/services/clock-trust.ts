// Whether the wall clock may decide alone. Knows this process's clocks only; what the chains tell is storage/clocks.ts's.

import type { World } from "../world.ts";

/** A wall clock that leaves the monotonic one by more was set. */
const set_from_ms = 30_000;
/** By then every chain that can be reached has told whether the clock is right. */
const told_within_ms = 600_000;

/**
 * A question: has the wall clock run beside the monotonic one for ten minutes? False after a start, and after each time it
 * was set by more than 30 s.
 */
export function createClockTrust({ world }: { world: World }): () => boolean {
  const offset = () => world.now() - world.elapsed();
  let began = { offset: offset(), elapsed: world.elapsed() };
  return () => {
    if (Math.abs(offset() - began.offset) > set_from_ms) began = { offset: offset(), elapsed: world.elapsed() };
    return world.elapsed() - began.elapsed >= told_within_ms;
  };
}
