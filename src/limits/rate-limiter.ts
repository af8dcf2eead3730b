// How often a service lets itself be asked: a token bucket for the day and even spacing within the second. One limiter per
// service and key is shared by all chains of the appliance; a caller that would wait too long gets a Fault instead.

import { Fault } from "../domain/errors.ts";
import type { World } from "../world.ts";

/** The longest wait for a request: a poll that waits longer is late for its own purpose. */
const wait_max_ms = 10_000;
const day_ms = 86_400_000;
/** Share of the day's allowance that may be used at once; the rest is refilled evenly over the day. */
const burst_share = 0.4;
/** Tokens collected once the bucket is empty: a poll that gets no further than its first requests reads nothing. */
const refill_batch_tokens = 20;

export interface Allowance {
  per_second: number;
  /** Null: none is stated. */
  per_day: number | null;
}

export interface RateLimiter {
  /** Resolves when a request may leave. Fault `provider_rate_limited` where that would take too long. */
  acquire(): Promise<void>;
  /** No request leaves for so many seconds: the service has said so. */
  pause(seconds: number): void;
}

export interface RateLimiters {
  /** The limiter of one service and key. `name` is never shown; the first caller's allowance stays. */
  of(name: string, allowance: Allowance): RateLimiter;
}

/** All rate limiters of one appliance. */
export function createRateLimiters({ world }: { world: World }): RateLimiters {
  const limiters = new Map<string, RateLimiter>();
  return {
    of(name, allowance) {
      const limiter = limiters.get(name) ?? createRateLimiter(world, allowance);
      limiters.set(name, limiter);
      return limiter;
    },
  };
}

function createRateLimiter(world: World, { per_second, per_day }: Allowance): RateLimiter {
  const spacing_ms = 1000 / per_second;
  const refill_per_ms = ((per_day ?? 0) * (1 - burst_share)) / day_ms;
  const tokens_max = (per_day ?? 0) * burst_share;
  let free_at = Number.NEGATIVE_INFINITY;
  let tokens = tokens_max;
  let refilled_at = world.elapsed();
  /** Bucket empty: wait until a batch of tokens is available. */
  let is_refilling = false;

  function tokensAt(now: number): number {
    const needed = is_refilling ? Math.max(1, Math.min(refill_batch_tokens, tokens_max)) : 1;
    return per_day === null || tokens >= needed ? now : now + (needed - tokens) / refill_per_ms;
  }

  return {
    async acquire() {
      const now = world.elapsed();
      tokens = Math.min(tokens_max, tokens + (now - refilled_at) * refill_per_ms);
      refilled_at = now;
      if (tokensAt(now) - now > wait_max_ms) is_refilling = true;
      const at = Math.max(now, free_at, tokensAt(now));
      if (at - now > wait_max_ms) {
        throw new Fault("provider_rate_limited", "asked as often as it allows", Math.ceil((at - now) / 1000));
      }
      is_refilling = false;
      free_at = at + spacing_ms;
      tokens -= 1;
      if (at > now) await world.sleep(at - now);
    },
    pause(seconds) {
      free_at = Math.max(free_at, world.elapsed() + seconds * 1000);
    },
  };
}
