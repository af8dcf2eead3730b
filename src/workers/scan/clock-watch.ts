// Compares a chain's clock with ours at every poll that shows a new block, and raises the alarm when ours is wrong. A
// chain that makes no block tells nothing.

import type { ChainHeads, Providers } from "../../chains/source.ts";
import type { ChainId } from "../../domain/assets.ts";
import { isClockWrong } from "../../domain/clock.ts";
import { Fault } from "../../domain/errors.ts";
import type { BlockRef } from "../../domain/finality.ts";
import type { Watching } from "../../services/watching.ts";
import { secondsPerBlock } from "../../storage/chains.ts";
import { clockError } from "../../storage/clocks.ts";
import type { Database } from "../../storage/engine/database.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";

/** The best of the comparisons of this time counts: the others were made longer after their block. */
const window_ms = 600_000;
const comparisons_max = 200;
/** Whole seconds of block times, and the way of a block to us. */
const rounding_ms = 2000;
/** A clock that jumped by more was set. */
const jump_ms = 1000;
/** A head that goes back by more was not that of the chain; by less, providers differ. */
const fall_max_blocks = 32;
const keep_interval_ms = 60_000;
const second_provider_interval_ms = 60_000;
const alarm_interval_ms = 3_600_000;

interface Comparison {
  elapsed: number;
  ahead_ms: number;
  uncertainty_ms: number;
}

/** How long a provider took to answer with its head. */
export interface HeadTiming {
  /** On `world.elapsed()`. */
  elapsed: number;
  /** Our clock. */
  now: number;
  /** How long it took, by the clock that ran further: a machine may have slept, and one of them with it. */
  took_ms: number;
  /** Neither of them was set or stood still meanwhile: else nobody knows how long it took. */
  isSteady: boolean;
}

/** Starts timing an answer; the returned function stops it. */
export function startTiming(world: World): () => HeadTiming {
  const [asked_elapsed, asked_now] = [world.elapsed(), world.now()];
  return () => {
    const [elapsed, now] = [world.elapsed(), world.now()];
    const [ran_ms, by_wall_ms] = [elapsed - asked_elapsed, now - asked_now];
    const isSteady = Math.abs(by_wall_ms - ran_ms) <= jump_ms;
    return { elapsed, now, took_ms: Math.max(ran_ms, by_wall_ms), isSteady };
  };
}

export interface ClockWatch {
  /** Forgets what was measured once our clock was set. For every second: deposits are dated by it. */
  forgetIfSet(): Promise<void>;
  /** Compares the clocks by the heads of one poll. */
  look(heads: ChainHeads, timing: HeadTiming): Promise<void>;
}

/** Tells that our clock is wrong, once an hour for all chains, and that it is right again. */
export function createClockAlarm(needs: { database: Database; telemetry: Telemetry; world: World }): () => void {
  const { database, telemetry, world } = needs;
  let alarmed_at: number | null = null;
  return () => {
    const error_ms = database.read((at) => clockError(at, world.now()));
    if (error_ms === null) {
      if (alarmed_at !== null) telemetry.info("clock_right_again");
      alarmed_at = null;
      return;
    }
    if (alarmed_at !== null && world.elapsed() - alarmed_at < alarm_interval_ms) return;
    alarmed_at = world.elapsed();
    const seconds = Math.round(Math.abs(error_ms) / 1000);
    telemetry.error("clock_wrong", {
      error: `this machine's clock is ${seconds} s ${error_ms > 0 ? "ahead" : "behind"}; set it, best by NTP; until then no amount is released and no order with a deposit expires by it alone`,
    });
    telemetry.count("clock_wrong");
  };
}

/** The comparison of one chain's clock with ours. `alarm` is called after each change. */
export function createClockWatch(needs: {
  chain: ChainId;
  source: Pick<Providers, "independentHeads">;
  watching: Watching;
  database: Database;
  world: World;
  alarm: () => void;
}): ClockWatch {
  const { chain, source, watching, database, world, alarm } = needs;
  const compared = new Map<string, Comparison[]>();
  const kept = new Map<string, Comparison>();
  let last: { number: number; elapsed: number } | null = null;
  /** Our clock when the monotonic one began; null before the first look, for it may have been set while we were down. */
  let began_at: number | null = null;
  let second_provider_asked_at = Number.NEGATIVE_INFINITY;

  async function forgetIfSet(): Promise<void> {
    const before = began_at;
    began_at = world.now() - world.elapsed();
    if (before !== null && Math.abs(began_at - before) <= jump_ms) return;
    compared.clear();
    kept.clear();
    await watching.forgetClock(chain);
  }

  /** The best comparison of a provider, with this block. When it was asked for it was no older than `gap_ms`, nor than a block takes. */
  function compare(provider: string, block: BlockRef, gap_ms: number, timing: HeadTiming): Comparison {
    const block_ms = database.read((at) => secondsPerBlock(at, chain)).most * 1000;
    const { elapsed } = timing;
    const one = {
      elapsed,
      ahead_ms: block.time * 1000 - timing.now,
      uncertainty_ms: Math.round(Math.min(gap_ms, block_ms) + timing.took_ms + rounding_ms),
    };
    const recent = (compared.get(provider) ?? []).filter((other) => elapsed - other.elapsed < window_ms);
    const all = [...recent, one].slice(-comparisons_max);
    compared.set(provider, all);
    return all.reduce((best, other) => (other.ahead_ms > best.ahead_ms ? other : best));
  }

  async function keep(provider: string, best: Comparison): Promise<void> {
    const before = kept.get(provider);
    const isNews =
      before === undefined ||
      Math.abs(before.ahead_ms - best.ahead_ms) > jump_ms ||
      world.elapsed() - before.elapsed >= keep_interval_ms;
    if (!isNews) return;
    kept.set(provider, { ...best, elapsed: world.elapsed() });
    const { ahead_ms, uncertainty_ms } = best;
    await watching.clock({ chain, provider, ahead_ms, uncertainty_ms });
    alarm();
  }

  /** What another provider says, where this one says that our clock is wrong. */
  async function askAnother({ by }: ChainHeads, best: Comparison, gap_ms: number): Promise<void> {
    if (!isClockWrong(best) || world.elapsed() - second_provider_asked_at < second_provider_interval_ms) return;
    second_provider_asked_at = world.elapsed();
    try {
      const stopTiming = startTiming(world);
      const { provider, heads } = await source.independentHeads([], [by.latest]);
      const timing = stopTiming();
      if (timing.isSteady) await keep(provider, compare(provider, heads.latest, gap_ms, timing));
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
    }
  }

  /** The highest head so far; null before the first, and where it turns out never to have been there. */
  async function stillThere(number: number): Promise<typeof last> {
    if (last === null || last.number - number <= fall_max_blocks) return last;
    const since = world.now() - (world.elapsed() - last.elapsed);
    last = null;
    compared.clear();
    kept.clear();
    await watching.disownClock(chain, since);
    return null;
  }

  return {
    forgetIfSet,

    async look(heads, timing) {
      await forgetIfSet();
      const { number } = heads.latest;
      const before = await stillThere(number);
      if (before === null || number > before.number) last = { number, elapsed: timing.elapsed };
      if (before === null || number <= before.number || !timing.isSteady) return;
      const gap_ms = timing.elapsed - before.elapsed;
      const best = compare(heads.by.latest, heads.latest, gap_ms, timing);
      // The first head after a pause may be an old one: only a second one shows that our clock is off.
      if (isClockWrong(best) && compared.get(heads.by.latest)?.length === 1) return;
      await keep(heads.by.latest, best);
      await askAnother(heads, best, gap_ms);
    },
  };
}
