// Measures the pace of a chain: the time between its blocks, over so many of them that whole seconds are exact enough.
// Raises the alarm when it leaves the band that the facts state: depths in blocks are then too short or too long.

import type { Providers } from "../../chains/source.ts";
import type { ChainSettings } from "../../config/config.ts";
import { atPace, type ChainId, chainFacts } from "../../domain/assets.ts";
import { Fault } from "../../domain/errors.ts";
import type { BlockRef } from "../../domain/finality.ts";
import type { Watching } from "../../services/watching.ts";
import { chainRow } from "../../storage/chains.ts";
import type { Database } from "../../storage/engine/database.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";

/** Single differences are 0 where blocks are faster than seconds. */
const measured_blocks = 1000;
const measure_interval_ms = 600_000;
/** After a measurement that failed: a provider that is slow to refuse an old header holds up no other poll. */
const retry_interval_ms = 60_000;
const alarm_interval_ms = 3_600_000;
/** A measured pace that differs from the usual one by more than this factor is an alarm and is not kept. */
const kept_factor_max = 20;

export interface PaceWatch {
  /** Measures when it is due. A provider that does not serve the older header is asked again a minute later. */
  look(latest: BlockRef, settings: ChainSettings): Promise<void>;
  /** The settings with the depths of the faster of two paces: the usual one and the measured one. */
  paced(settings: ChainSettings): ChainSettings;
}

/** The pace of one chain. */
export function createPaceWatch(needs: {
  chain: ChainId;
  source: Pick<Providers, "blocks">;
  watching: Watching;
  database: Database;
  telemetry: Telemetry;
  world: World;
}): PaceWatch {
  const { chain, source, watching, database, telemetry, world } = needs;
  let block_ms = database.read((at) => chainRow(at, chain))?.ms_per_block ?? null;
  let due_at = Number.NEGATIVE_INFINITY;
  let alarmed_at = Number.NEGATIVE_INFINITY;

  /** Milliseconds per block; null where the chain is too young or the provider does not serve the older header. */
  async function measure(latest: BlockRef): Promise<number | null> {
    const number = latest.number - measured_blocks;
    if (number < 0) return null;
    try {
      const [older] = await source.blocks([number]);
      const ms = Math.round(((latest.time - (older?.time ?? latest.time)) * 1000) / measured_blocks);
      return ms > 0 ? ms : null;
    } catch (error) {
      if (error instanceof Fault) return null;
      throw error;
    }
  }

  function alarm(ms: number, { chain_id, facts }: ChainSettings): void {
    const { least, most } = facts.seconds_per_block;
    // Of a chain of the merchant's own nothing is stated.
    const isUsual = (ms >= least * 1000 && ms <= most * 1000) || chain_id !== chainFacts[chain].chain_id;
    if (isUsual || world.elapsed() - alarmed_at < alarm_interval_ms) return;
    alarmed_at = world.elapsed();
    const expected = `${least} to ${most}`;
    telemetry.error("chain_pace_changed", { chain, seconds_per_block: ms / 1000, expected });
    telemetry.count("chain_pace_changed", { chain });
  }

  return {
    async look(latest, settings) {
      if (world.elapsed() < due_at) return;
      const ms = await measure(latest);
      due_at = world.elapsed() + (ms === null ? retry_interval_ms : measure_interval_ms);
      if (ms === null) return;
      alarm(ms, settings);
      // One provider states the older header: a false time must not stretch depths and windows without bound.
      const factor = ms / (settings.facts.seconds_per_block.usual * 1000);
      if (Math.max(factor, 1 / factor) > kept_factor_max) return;
      if (ms !== block_ms) await watching.pace(chain, ms);
      block_ms = ms;
    },

    paced(settings) {
      const { usual } = settings.facts.seconds_per_block;
      if (block_ms === null || block_ms >= usual * 1000) return settings;
      return { ...settings, facts: atPace(settings.facts, block_ms / 1000) };
    },
  };
}
