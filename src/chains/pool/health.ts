// How well one provider has done lately, as one number: recent failures, lag behind the others, slowness. Old trouble
// fades with time. Decides nothing.

import type { World } from "../../world.ts";

const score_max = 100;
/** Failures weigh half as much after this time. */
const failure_half_life_ms = 300_000;
const failure_points_max = 60;
/** A lag that the time between two requests explains costs nothing. */
const free_lag_s = 15;
const points_per_lag_s = 0.5;
const lag_points_max = 40;
/** Answers as quick as this cost nothing. */
const free_latency_ms = 500;
const points_per_latency_ms = 0.01;
const latency_points_max = 20;
/** A request lasts no longer; what seems to is a machine that slept. */
const latency_max_ms = 10_000;
/** Weight of the newest answer in the mean. */
const newest_weight = 0.25;

export interface Health {
  /** A failure of so many points. */
  failed(points: number): void;
  /** A head was answered within `took_ms`. */
  answered(took_ms: number): void;
  /** Its head was so much older than the best one known at that moment. */
  behind(lag_s: number): void;
  /** 0 (useless) to 100. */
  score(): number;
  /** Null while unknown. */
  latency_ms(): number | null;
  lag_s(): number | null;
}

/** The health of a provider that nothing is known of: full. */
export function createHealth({ world }: { world: World }): Health {
  let failures = { points: 0, at: 0 };
  let latency_ms: number | null = null;
  let lag_s: number | null = null;

  const failurePoints = () => failures.points * 0.5 ** ((world.elapsed() - failures.at) / failure_half_life_ms);
  const capped = (most: number, points: number) => Math.min(most, Math.max(0, points));
  return {
    failed(points) {
      failures = { points: capped(failure_points_max, failurePoints() + points), at: world.elapsed() };
    },
    answered(took_ms) {
      const took = Math.min(took_ms, latency_max_ms);
      latency_ms = latency_ms === null ? took : latency_ms + (took - latency_ms) * newest_weight;
    },
    behind(seconds) {
      lag_s = Math.max(0, seconds);
    },
    score() {
      const late = capped(lag_points_max, ((lag_s ?? 0) - free_lag_s) * points_per_lag_s);
      const slow = capped(latency_points_max, ((latency_ms ?? 0) - free_latency_ms) * points_per_latency_ms);
      return Math.max(0, score_max - failurePoints() - late - slow);
    },
    latency_ms: () => latency_ms,
    lag_s: () => lag_s,
  };
}
