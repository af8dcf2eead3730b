// How often a service lets itself be asked. One pace per service and key is shared by all chains of the appliance;
// whoever would wait too long is told so instead, and may ask another provider.

import { Fault } from "../domain/errors.ts";
import type { World } from "../world.ts";

/** The longest wait for a turn: a poll that waits longer is late for its own purpose. */
const pace_wait_max_ms = 10_000;
const day_ms = 86_400_000;
/** What may be used up at once; the rest of the day's allowance comes back evenly, so that no day sees more than all. */
const burst_share = 0.4;
/** Once that is gone, so many come back together: a poll that gets no further than its first requests reads nothing. */
const gathered_requests = 20;

export interface Allowance {
  per_second: number;
  /** Null: none is stated. */
  per_day: number | null;
}

export interface Pace {
  /** Resolves when a request may leave. Throws Fault `provider_rate_limited` where that would take too long. */
  turn(): Promise<void>;
  /** Nothing leaves for so many seconds: the service has said so. */
  hold(seconds: number): void;
}

export interface Paces {
  /** The pace of one service and key. `name` is never shown; the first caller's allowance stays. */
  of(name: string, allowance: Allowance): Pace;
}

/** All paces of one appliance. Requests are spaced evenly: no second ever holds more than its share. */
export function createPaces({ world }: { world: World }): Paces {
  const paces = new Map<string, Pace>();
  return {
    of(name, allowance) {
      const pace = paces.get(name) ?? createPace(world, allowance);
      paces.set(name, pace);
      return pace;
    },
  };
}

function createPace(world: World, { per_second, per_day }: Allowance): Pace {
  const spacing_ms = 1000 / per_second;
  const back_per_ms = ((per_day ?? 0) * (1 - burst_share)) / day_ms;
  const purse_max = (per_day ?? 0) * burst_share;
  let free_at = Number.NEGATIVE_INFINITY;
  let purse = purse_max;
  let counted_at = world.elapsed();
  /** The purse is empty: nothing leaves before enough has come together. */
  let gathering = false;

  function savedAt(now: number): number {
    const needed = gathering ? Math.max(1, Math.min(gathered_requests, purse_max)) : 1;
    return per_day === null || purse >= needed ? now : now + (needed - purse) / back_per_ms;
  }

  return {
    async turn() {
      const now = world.elapsed();
      purse = Math.min(purse_max, purse + (now - counted_at) * back_per_ms);
      counted_at = now;
      if (savedAt(now) - now > pace_wait_max_ms) gathering = true;
      const at = Math.max(now, free_at, savedAt(now));
      if (at - now > pace_wait_max_ms) {
        throw new Fault("provider_rate_limited", "asked as often as it allows", Math.ceil((at - now) / 1000));
      }
      gathering = false;
      free_at = at + spacing_ms;
      purse -= 1;
      if (at > now) await world.sleep(at - now);
    },
    hold(seconds) {
      free_at = Math.max(free_at, world.elapsed() + seconds * 1000);
    },
  };
}
