// Recurring work: a period, a wake-up, a back-off after failures. One run at a time, stops cleanly, counted.

import { backoffMs } from "../domain/backoff.ts";
import { errorCode, errorText } from "../domain/errors.ts";
import type { Telemetry } from "../telemetry.ts";
import type { World } from "../world.ts";

const back_off = { first_ms: 1000, max_ms: 60_000 };

export interface Loop {
  start(): void;
  /** Looks at the clock again: a shorter period takes effect, work that is due runs. */
  wake(): void;
  /** Forgets the back-off and wakes: what made runs fail has been changed. */
  retry(): void;
  /** Starts no further run and resolves when the current one has ended. */
  stop(): Promise<void>;
}

export interface LoopOptions {
  name: string;
  world: World;
  telemetry: Telemetry;
  run(): Promise<unknown>;
  /** Time from the start of one run to the start of the next; asked again at every wake-up. */
  period_ms(): number;
  /** Runs at once at every wake-up, whatever the period. */
  eager?: boolean;
}

/** A loop that is not running yet. A run that throws is logged by its code and retried with growing, jittered waits. */
export function createLoop(options: LoopOptions): Loop {
  const { name, world, telemetry } = options;
  let started_at = Number.NEGATIVE_INFINITY;
  let failures = 0;
  let backoff_until = Number.NEGATIVE_INFINITY;
  let woken = false;
  let running: Promise<void> | null = null;
  let cancelTimer: (() => void) | null = null;
  let stopped = true;

  function due_at(): number {
    const next = options.eager === true && woken ? world.elapsed() : started_at + options.period_ms();
    return Math.max(next, backoff_until);
  }

  function look(): void {
    if (stopped || running !== null) return;
    cancelTimer?.();
    cancelTimer = null;
    const wait = due_at() - world.elapsed();
    if (wait > 0) {
      cancelTimer = world.timer(wait, look);
      return;
    }
    running = once().finally(() => {
      running = null;
      look();
    });
  }

  async function once(): Promise<void> {
    started_at = world.elapsed();
    woken = false;
    try {
      await options.run();
      failures = 0;
      backoff_until = Number.NEGATIVE_INFINITY;
    } catch (error) {
      failures += 1;
      const wait = jittered(backoffMs(failures, back_off), world);
      backoff_until = world.elapsed() + wait;
      telemetry.count("loop_failures", { loop: name });
      telemetry.warn("loop_failed", {
        loop: name,
        code: errorCode(error),
        error: errorText(error),
        failures,
        wait_ms: wait,
      });
    }
  }

  return {
    start() {
      stopped = false;
      look();
    },
    wake() {
      woken = true;
      look();
    },
    retry() {
      failures = 0;
      backoff_until = Number.NEGATIVE_INFINITY;
      look();
    },
    async stop() {
      stopped = true;
      cancelTimer?.();
      await running;
    },
  };
}

/** Between half of `ms` and all of it, so that many clients of one provider do not come back together. */
function jittered(ms: number, world: World): number {
  const byte = world.random(1)[0] ?? 0;
  return Math.round(ms / 2 + (ms / 2) * (byte / 255));
}
