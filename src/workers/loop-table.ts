// The recurring work of an appliance beside the loops of its chains: one row per loop, started, woken and stopped
// together.

import type { Telemetry } from "../telemetry.ts";
import type { World } from "../world.ts";
import { createLoop } from "./loop.ts";

/** One row: every `period_ms`, and with `eager` at every wake-up. */
export interface RecurringWork {
  name: string;
  period_ms: number;
  run(): unknown;
  eager?: boolean;
}

export interface LoopTable {
  start(): void;
  /** Wakes one loop, or all of them. */
  wake(name?: string): void;
  /** Resolves when every current run has ended. */
  stop(): Promise<unknown>;
}

/** The loops of these rows, not running yet. */
export function createLoopTable(
  needs: { world: World; telemetry: Telemetry },
  rows: readonly RecurringWork[],
): LoopTable {
  const loops = rows.map(({ name, period_ms, run, eager = false }) => ({
    name,
    loop: createLoop({ ...needs, name, period_ms: () => period_ms, run: async () => run(), eager }),
  }));
  return {
    start() {
      for (const { loop } of loops) loop.start();
    },
    wake(wanted) {
      for (const { name, loop } of loops) if (wanted === undefined || wanted === name) loop.wake();
    },
    stop: () => Promise.all(loops.map(({ loop }) => loop.stop())),
  };
}
