// Counts by name in windows of time: how often somebody may do something. Bounded: the oldest names are forgotten first.

import type { World } from "../world.ts";

export interface WindowCounter {
  /**
   * Counts `weight`, 1 by default. Returns ms until there is room again; 0 while there was any. A window that begins with
   * it began `age_ms` ago.
   */
  take(name: string, weight?: number, age_ms?: number): number;
  /** The same without counting. */
  wait(name: string): number;
  /** Whether a window of this name is remembered, even one that has ended. */
  isKnown(name: string): boolean;
}

/** Up to `max` per name in a window that begins with the first, by the world's monotonic clock. */
export function createWindowCounter(needs: {
  world: World;
  max: number;
  window_ms: number;
  remembered_max: number;
}): WindowCounter {
  const { world, max, window_ms, remembered_max } = needs;
  const windows = new Map<string, { began: number; count: number }>();

  function windowOf(name: string) {
    const known = windows.get(name);
    return known !== undefined && world.elapsed() - known.began < window_ms ? known : null;
  }

  const left = (one: { began: number }) => one.began + window_ms - world.elapsed();

  return {
    wait(name) {
      const known = windowOf(name);
      return known !== null && known.count >= max ? left(known) : 0;
    },
    isKnown: (name) => windows.has(name),
    take(name, weight = 1, age_ms = 0) {
      const known = windowOf(name);
      if (known !== null && known.count >= max) return left(known);
      windows.delete(name);
      windows.set(name, { began: known?.began ?? world.elapsed() - age_ms, count: (known?.count ?? 0) + weight });
      for (const oldest of windows.keys()) {
        if (windows.size <= remembered_max) break;
        windows.delete(oldest);
      }
      return 0;
    },
  };
}
