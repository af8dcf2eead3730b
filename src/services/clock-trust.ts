// Whether the wall clock may decide alone. Knows this process's clocks only; what the chains tell is storage/clocks.ts's.

import type { World } from "../world.ts";

/** A wall clock that leaves the monotonic one by more was set. */
const set_from_ms = 30_000;
/** By then every chain that can be reached has told whether the clock is right. */
const told_within_ms = 600_000;
/** A process whose beats are further apart stood still, and read no chain meanwhile. */
const beat_within_ms = 30_000;

export interface ClockTrust {
  /**
   * True when the wall clock has run beside the monotonic one for ten minutes. False after a start, after each time it was
   * set by more than 30 s, and after the process stood still.
   */
  isSteady(): boolean;
  /** Tells that the process runs; called every few seconds. */
  beat(): void;
}

/** Trust of one process, which begins with its start. */
export function createClockTrust({ world }: { world: World }): ClockTrust {
  const now = () => ({ offset: world.now() - world.elapsed(), elapsed: world.elapsed() });
  let began = now();
  let beat_at: number | null = null;
  return {
    isSteady() {
      if (Math.abs(now().offset - began.offset) > set_from_ms) began = now();
      return world.elapsed() - began.elapsed >= told_within_ms;
    },
    beat() {
      if (beat_at !== null && world.elapsed() - beat_at > beat_within_ms) began = now();
      beat_at = world.elapsed();
    },
  };
}
