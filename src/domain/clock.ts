// What chains tell of our clock. Pure: readings in, a judgement out. One late chain is a late chain; our clock is wrong
// only where two chains, or two providers of one, say the same and nobody contradicts them.

import type { ChainId } from "./assets.ts";

/** A clock that is further off than this is wrong: amounts are not released by it, and no order expires by it alone. */
const clock_wrong_ms = 30_000;
/** By how much two readings may differ and still say the same. */
const agreement_ms = 10_000;

/** A chain's clock compared with ours when one of its blocks was new. */
export interface ClockReading {
  chain: ChainId;
  provider: string;
  /** The chain's clock less ours, at least. */
  ahead_ms: number;
  /** By how much it may be more. */
  uncertainty_ms: number;
}

/** By how much our clock is wrong, in ms, above zero when it runs ahead; null while it is right or too few can tell. */
export function ourClockError(readings: readonly ClockReading[]): number | null {
  if (readings.some((one) => !isClockWrong(one))) return null;
  for (const one of readings) {
    const other = readings.find(
      (two) => (two.chain !== one.chain || two.provider !== one.provider) && saysTheSame(one, two),
    );
    if (other !== undefined) return -Math.round((middleOf(one) + middleOf(other)) / 2);
  }
  return null;
}

/** True where a reading says that our clock is wrong. */
export function isClockWrong({ ahead_ms, uncertainty_ms }: Pick<ClockReading, "ahead_ms" | "uncertainty_ms">): boolean {
  return ahead_ms > clock_wrong_ms || ahead_ms + uncertainty_ms < -clock_wrong_ms;
}

function saysTheSame(one: ClockReading, two: ClockReading): boolean {
  return (
    one.ahead_ms <= two.ahead_ms + two.uncertainty_ms + agreement_ms &&
    two.ahead_ms <= one.ahead_ms + one.uncertainty_ms + agreement_ms
  );
}

function middleOf({ ahead_ms, uncertainty_ms }: ClockReading): number {
  return ahead_ms + uncertainty_ms / 2;
}
