// Counting by name in windows of time: how often somebody may do something. What is remembered is bounded, and forgotten
// oldest first.

import { formatNetwork, parseNetwork } from "../domain/network.ts";
import type { World } from "../world.ts";

/** A customer of a provider has a whole network of this many leading bits. */
const v6_prefix = 64;

export interface Tally {
  /**
   * Counts one, or as many as it weighs; how long (ms) until there is room again, 0 while there was any. A window that
   * begins with it began `age_ms` ago.
   */
  take(name: string, weight?: number, age_ms?: number): number;
  /** The same without counting. */
  wait(name: string): number;
  /** Whether a window of this name is remembered, even one that has ended. */
  isKnown(name: string): boolean;
}

/** Up to `max` per name in a window that begins with the first, by the world's monotonic clock. */
export function createTally(needs: { world: World; max: number; window_ms: number; remembered_max: number }): Tally {
  const { world, max, window_ms, remembered_max } = needs;
  const windows = new Map<string, { began: number; count: number }>();

  function windowOf(name: string) {
    const known = windows.get(name);
    return known !== undefined && world.elapsed() - known.began < window_ms ? known : null;
  }

  const left = (one: { began: number } | null) => (one === null ? 0 : one.began + window_ms - world.elapsed());

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

/** Who shares an address: of IPv6 its whole network, else it alone. */
export function addressGroup(address: string): string {
  const network = parseNetwork(`${address}/${v6_prefix}`);
  return network === null ? address : formatNetwork(network);
}
