// Whether the head that a provider states is believed, and what follows when the head goes back. Asks another provider
// where the chain cannot have come so far; cuts back what was read above the head.

import type { ChainHeads, ProviderHeads, Providers } from "../../chains/source.ts";
import type { ChainFacts, ChainId } from "../../domain/assets.ts";
import { Fault } from "../../domain/errors.ts";
import type { BlockRef } from "../../domain/finality.ts";
import type { Watching } from "../../services/watching.ts";
import { chainRow } from "../../storage/chains.ts";
import type { Database } from "../../storage/engine/database.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import type { Rewinding } from "./rewinding.ts";

/** Blocks by which a head may be ahead of what the chain's pace allows. */
const ahead_max_blocks = 32;
/** A chain may be this many times as fast as it was. */
const pace_margin = 2;

export interface HeadCheck {
  /** `heads`, or those of another provider where the first one is implausibly far ahead of all others. */
  believed(heads: ChainHeads, facts: ChainFacts): Promise<ChainHeads>;
  /** Where the head went back: nothing above it counts as read, and no deposit was opened above it. */
  cutBack(heads: ChainHeads): Promise<void>;
}

/** The check of one chain's heads. */
export function createHeadCheck(needs: {
  chain: ChainId;
  source: Providers;
  database: Database;
  watching: Watching;
  rewinding: Rewinding;
  world: World;
  telemetry: Telemetry;
}): HeadCheck {
  const { chain, source, database, watching, rewinding, world, telemetry } = needs;

  /** The highest head that the pace of the chain allows since the recorded one; null before the first poll. */
  function highestPlausible({ block_s }: ChainFacts): number | null {
    const row = database.read((at) => chainRow(at, chain));
    if (row?.head_number == null || row.head_time === null) return null;
    const elapsed_s = Math.max(0, world.now() / 1000 - row.head_time);
    return row.head_number + ahead_max_blocks + Math.ceil((pace_margin * elapsed_s) / block_s);
  }

  /** Heads of a provider run by none of `excluded`; null when none answers. */
  async function another(excluded: readonly string[]): Promise<ProviderHeads | null> {
    try {
      return await source.independentHeads([], excluded);
    } catch (error) {
      if (error instanceof Fault && error.code === "second_opinion_missing") return null;
      throw error;
    }
  }

  return {
    async believed(heads, facts) {
      const plausible = highestPlausible(facts);
      if (plausible !== null && heads.latest.number <= plausible) return heads;
      const excluded = [heads.by.latest];
      let highest: ProviderHeads | null = null;
      for (let word = await another(excluded); word !== null; word = await another(excluded)) {
        if (word.heads.latest.number + ahead_max_blocks >= heads.latest.number) return heads;
        if (highest === null || word.heads.latest.number > highest.heads.latest.number) highest = word;
        excluded.push(word.provider);
      }
      if (highest === null) return heads;

      const { latest } = highest.heads;
      const provider = heads.by.latest;
      telemetry.error("head_not_believed", { chain, provider, block: heads.latest.number, others: latest.number });
      telemetry.count("head_not_believed", { chain, provider });
      // Two that stand against one.
      if (excluded.length > 2) source.distrust(provider, { hashes: [], heights: [heads.latest.number] });
      return lowered(heads, latest, highest.provider);
    },

    async cutBack({ latest, by }) {
      const row = database.read((at) => chainRow(at, chain));
      if (row?.head_number == null || row.head_number <= latest.number) return;
      const [from, to, provider] = [row.head_number, latest.number, by.latest];
      telemetry.warn("head_receded", { chain, provider, from, to });
      telemetry.count("head_receded", { chain, provider });
      // The chain may have grown since the false head was read: what lies above the last header that stands was not there.
      const top = (await rewinding.standingAt(to))?.number ?? -1;
      const final = row.final_number ?? -1;
      // Where another one shows no more either, what was called final never was.
      const other = final <= to ? null : await another([provider]);
      if (final > to && (other === null || other.heads.latest.number < final)) {
        telemetry.error("finality_receded", { chain, from: final, to });
        telemetry.count("finality_receded", { chain });
      }
      // Both may be wrong about the end: what was read above it is read again.
      return watching.rewind(chain, top, final <= top ? ["head"] : ["head", "final"]);
    },
  };
}

/** Heads of which none is above `latest`, the head of `provider`; a tag above it is taken for unknown. */
function lowered(heads: ChainHeads, latest: BlockRef, provider: string): ChainHeads {
  const by = { ...heads.by, latest: provider };
  const kept = { latest, safe: heads.safe, finalized: heads.finalized };
  for (const tag of ["safe", "finalized"] as const) {
    if ((kept[tag]?.number ?? 0) > latest.number) [kept[tag], by[tag]] = [null, null];
  }
  return { ...kept, by };
}
