// What stands in for a finality tag that nobody serves just now: where it was last seen, over restarts and new settings,
// for an hour. Only then, or where none ever served it, depth may stand in, which is less than was promised.

import type { ChainHeads } from "../../chains/source.ts";
import type { ChainId } from "../../domain/assets.ts";
import type { BlockRef, FinalityTag } from "../../domain/finality.ts";
import type { Watching } from "../../services/watching.ts";
import type { Database } from "../../storage/engine/database.ts";
import { servedTags } from "../../storage/finality-tags.ts";
import type { World } from "../../world.ts";

const memory_ms = 3_600_000;
/** A tag that goes on is written down this often; what a crash forgets of it is only lower. */
const keep_interval_ms = 60_000;

export interface ServedTags {
  /** The heads with every one of these tags that is missing put where it was last seen, unless that is ahead of them. */
  complete(heads: ChainHeads, tags: readonly FinalityTag[]): Promise<ChainHeads>;
}

interface Last {
  block: BlockRef;
  by: string;
  /** On `world.elapsed()`. */
  served_at: number;
  kept_at: number;
}

/** The memory of one chain's tags. */
export function createServedTags(needs: {
  chain: ChainId;
  database: Database;
  watching: Watching;
  world: World;
}): ServedTags {
  const { chain, database, watching, world } = needs;
  let seen: Map<FinalityTag, Last> | null = null;

  /** What was kept, each as long ago as the wall clock says; one that was set back makes nothing older. */
  function loaded(): Map<FinalityTag, Last> {
    const [elapsed, now] = [world.elapsed(), world.now()];
    const rows = database.read((at) => servedTags(at, chain));
    return new Map(
      rows.map(({ tag, number, hash, time, provider: by, served_at }) => {
        const at = elapsed - Math.max(0, now - served_at);
        return [tag, { block: { number, hash, time }, by, served_at: at, kept_at: at }];
      }),
    );
  }

  return {
    async complete(heads, tags) {
      seen ??= loaded();
      const filled: ChainHeads = { ...heads, by: { ...heads.by } };
      for (const tag of tags) {
        const [block, by, last] = [heads[tag], heads.by[tag], seen.get(tag)];
        const now = world.elapsed();
        if (block !== null && by !== null) {
          const is_due = last === undefined || now - last.kept_at >= keep_interval_ms;
          const served = { block, by, served_at: now, kept_at: is_due ? now : last.kept_at };
          seen.set(tag, served);
          if (is_due) await watching.keepTag({ chain, tag, ...block, provider: by, served_at: world.now() });
        } else if (last !== undefined && now - last.served_at < memory_ms && last.block.number <= heads.latest.number) {
          [filled[tag], filled.by[tag]] = [last.block, last.by];
        }
      }
      return filled;
    },
  };
}
