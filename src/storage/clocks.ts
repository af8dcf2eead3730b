// How the clocks of chains compare with ours, by chain and provider. A reading is good for ten minutes.

import { and, eq, gte, lte } from "drizzle-orm";
import type { ChainId } from "../domain/assets.ts";
import { type ClockReading, isClockWrong, ourClockError } from "../domain/clock.ts";
import type { Reader, Tx } from "./engine/database.ts";
import { clock_readings } from "./schema.ts";

const good_for_ms = 600_000;

/** Keeps a reading in place of the one before of the same provider. */
export function saveReading(tx: Tx, reading: ClockReading): void {
  const { chain, provider, ...set } = { ...reading, read_at: tx.now };
  tx.live()
    .insert(clock_readings)
    .values({ chain, provider, ...set })
    .onConflictDoUpdate({ target: [clock_readings.chain, clock_readings.provider], set })
    .run();
}

/** Forgets the readings of a chain: our clock was set since. */
export function forgetReadings(tx: Tx, chain: ChainId): void {
  tx.live().delete(clock_readings).where(eq(clock_readings.chain, chain)).run();
}

/** The readings that are still good at `now` (ms). */
function readings(at: Reader, now: number): ClockReading[] {
  return at
    .live()
    .select()
    .from(clock_readings)
    .where(and(gte(clock_readings.read_at, now - good_for_ms), lte(clock_readings.read_at, now + good_for_ms)))
    .all();
}

/** By how much our clock is wrong at `now`, in ms, above zero when it runs ahead; null while it is right or too few can tell. */
export function clockError(at: Reader, now: number): number | null {
  return ourClockError(readings(at, now));
}

/**
 * How far a chain's clock is ahead of ours, at least, and by how much it may be more, in ms; null while nothing was
 * measured since the start. Of several providers the one whose blocks come soonest counts, unless it states a time in the
 * future that another reading contradicts.
 */
export function chainClock(at: Reader, chain: ChainId): Pick<ClockReading, "ahead_ms" | "uncertainty_ms"> | null {
  const all = at.live().select().from(clock_readings).all();
  const newest = Math.max(...all.map(({ read_at }) => read_at));
  const isOursRight = all.some((one) => !isClockWrong(one) && one.read_at >= newest - good_for_ms);
  const own = all.filter((one) => one.chain === chain && !(isOursRight && one.ahead_ms > 0 && isClockWrong(one)));
  const best = own.reduce<ClockReading | null>(
    (best, one) => (best !== null && best.ahead_ms >= one.ahead_ms ? best : one),
    null,
  );
  return best === null ? null : { ahead_ms: best.ahead_ms, uncertainty_ms: best.uncertainty_ms };
}
