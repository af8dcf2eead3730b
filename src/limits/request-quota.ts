// Calls to one provider per second and per day, as providers bill them: each call of a batch counts. The day's limit is
// never exceeded; near its end only a trickle is allowed, so that the chain stays read.

import { Fault } from "../domain/errors.ts";
import type { DailyUsage } from "../domain/provider.ts";
import type { World } from "../world.ts";

const day_ms = 86_400_000;
const second_ms = 1000;
/** The longest wait for the second's allowance: another provider is quicker. */
const wait_max_ms = 5_000;
/** The last part of a day's allowance, kept for reading slowly until midnight. */
const trickle_share = 0.1;
/** A trickle opens for one poll and allows about so many calls. */
const trickle_open_ms = 5_000;
const trickle_calls = 10;

export interface QuotaLimits {
  /** Null: as many as it takes. */
  per_second: number | null;
  per_day: number | null;
}

export interface RequestQuota {
  /** Resolves when so many calls may leave. Fault `provider_rate_limited` where that takes too long, or until midnight. */
  take(calls: number): Promise<void>;
  /** False when only the trickle is left, or nothing. */
  hasPlenty(): boolean;
  /** True while the trickle is open: one poll may be made. */
  trickles(): boolean;
  /** Calls of this day so far. */
  usage(): DailyUsage;
  /** Null without a daily limit. */
  per_day: number | null;
}

/** A quota of which `used` is spent already. */
export function createRequestQuota(needs: {
  world: World;
  limits: QuotaLimits;
  used: DailyUsage | null;
}): RequestQuota {
  const { world } = needs;
  const { per_second, per_day } = needs.limits;
  const kept = Math.floor((per_day ?? 0) * trickle_share);
  let spent = needs.used ?? { day: 0, day_calls: 0 };
  /** On `world.elapsed()`: when the calls so far are within the second's limit. */
  let paid_at = Number.NEGATIVE_INFINITY;
  let trickle = { from: Number.NEGATIVE_INFINITY, next: Number.NEGATIVE_INFINITY };

  function today(): DailyUsage {
    const day = Math.floor(world.now() / day_ms);
    if (spent.day !== day) spent = { day, day_calls: 0 };
    return spent;
  }

  const leftOfDay = () => (today().day + 1) * day_ms - world.now();
  const left = () => (per_day === null ? Number.POSITIVE_INFINITY : per_day - today().day_calls);

  /** How long these calls wait: a second's worth may leave at once, a larger batch after all before it. */
  function waitFor(calls: number): number {
    if (per_second === null) return 0;
    const now = world.elapsed();
    const cost = (calls * second_ms) / per_second;
    const paid = Math.max(now, paid_at) + cost;
    const wait = Math.max(0, paid - now - Math.max(second_ms, cost));
    if (wait > wait_max_ms) {
      throw new Fault("provider_rate_limited", "asked as often as requests_per_second allows", wait / second_ms);
    }
    paid_at = paid;
    return wait;
  }

  return {
    per_day,
    async take(calls) {
      if (calls > left()) {
        const words = `requests_per_day (${per_day}) are used up until midnight UTC`;
        throw new Fault("provider_rate_limited", words, leftOfDay() / second_ms);
      }
      const wait = waitFor(calls);
      spent = { ...today(), day_calls: today().day_calls + calls };
      if (wait > 0) await world.sleep(wait);
    },
    hasPlenty: () => left() > kept,
    trickles() {
      const now = world.elapsed();
      if (now - trickle.from < trickle_open_ms) return left() > 0;
      if (now < trickle.next || left() <= 0) return false;
      trickle = { from: now, next: now + (leftOfDay() * trickle_calls) / left() };
      return true;
    },
    usage: () => today(),
  };
}
