// Whether a provider that failed may be asked again: left alone for a while that doubles with each failure, then tried
// by one request only. Never waits itself.

import { backoffMs } from "../../domain/backoff.ts";
import type { Fault } from "../../domain/errors.ts";
import type { World } from "../../world.ts";

const back_off = { first_ms: 1_000, max_ms: 300_000 };
/** A provider that asks for more patience than this is asked again all the same. */
const retry_after_max_s = 3_600;

/** `closed`: asked as usual; `open`: left alone; `half_open`: the next request is the trial. */
export type CircuitState = "closed" | "open" | "half_open";

export interface Circuit {
  state(): CircuitState;
  /** True when a request may go out now: always while closed, one at a time while half open, never while open. */
  admits(): boolean;
  /** A request that was admitted goes out. */
  begin(): void;
  /** It was answered. True when this closed the circuit again. */
  succeed(): boolean;
  /** It came to nothing that says how the provider is. */
  withdraw(): void;
  /** It failed. Returns the pause in ms that begins now. */
  fail(fault: Fault): number;
  /** On `world.elapsed()`: when the pause ends or ended; null while closed. */
  opens_at(): number | null;
  last_fault(): Fault | null;
}

/** A closed circuit. */
export function createCircuit({ world }: { world: World }): Circuit {
  let failures_in_a_row = 0;
  let rests_until: number | null = null;
  let last_fault: Fault | null = null;
  let trial = false;

  const state = (): CircuitState => {
    if (rests_until === null) return "closed";
    return world.elapsed() < rests_until ? "open" : "half_open";
  };
  return {
    state,
    admits: () => state() === "closed" || (state() === "half_open" && !trial),
    begin() {
      trial = state() === "half_open";
    },
    succeed() {
      const reclosed = failures_in_a_row > 0;
      failures_in_a_row = 0;
      rests_until = null;
      last_fault = null;
      trial = false;
      return reclosed;
    },
    withdraw() {
      trial = false;
    },
    /** Doubling from a second to five minutes, up to half of it by chance so that nothing falls into step. */
    fail(fault) {
      failures_in_a_row++;
      last_fault = fault;
      trial = false;
      const [chance = 0] = world.random(1);
      const full = backoffMs(failures_in_a_row, back_off);
      const wished = Math.min(fault.retry_after_s ?? 0, retry_after_max_s) * 1000;
      const pause = Math.max(full * (0.5 + chance / 512), wished);
      rests_until = world.elapsed() + pause;
      return pause;
    },
    opens_at: () => rests_until,
    last_fault: () => last_fault,
  };
}
