// The safe and finalized blocks of a chain, from whichever of its providers serves them: one that knows no tags must not
// make a chain look final by depth whose finality stands still. Never believes a tag ahead of the head.

import { Fault } from "../../domain/errors.ts";
import type { BlockRef, FinalityTag, Heads } from "../../domain/finality.ts";
import type { World } from "../../world.ts";
import type { ToldHeads, Word } from "../source.ts";

/** How long a tag that nobody serves any more stays where it was last seen; then depth stands in for it. */
const tag_memory_ms = 3_600_000;
/** Other providers asked for what the first does not serve, per poll. */
const others_max = 2;

/** One more provider that can be asked for tags. */
export interface Another {
  provider: string;
  ask(tags: readonly FinalityTag[]): Promise<Heads>;
}

export interface Tags {
  /**
   * One provider's heads with the tags it does not serve filled in: from the others, else from memory, else null. Another
   * one's block counts only where it `stands` on the chain of the one whose heads these are.
   */
  complete(
    word: Word,
    tags: readonly FinalityTag[],
    others: Iterable<Another>,
    stands: (block: BlockRef) => Promise<boolean>,
  ): Promise<ToldHeads>;
}

interface Saying {
  block: BlockRef;
  /** The provider it is from. */
  by: string | null;
}

/** The tags of one chain; nothing is known of them yet. */
export function createTags({ world }: { world: World }): Tags {
  const seen = new Map<FinalityTag, Saying & { at: number }>();

  function remembered(tag: FinalityTag): Saying | null {
    const last = seen.get(tag);
    return last !== undefined && world.elapsed() - last.at < tag_memory_ms ? last : null;
  }

  return {
    async complete({ provider, heads }, tags, others, stands) {
      const own = (tag: FinalityTag) => (heads[tag] === null ? null : provider);
      const by: ToldHeads["by"] = { latest: provider, safe: own("safe"), finalized: own("finalized") };
      const filled: ToldHeads = { ...heads, by };
      const missing = () => tags.filter((tag) => filled[tag] === null);
      let asked = 0;
      for (const { provider, ask } of others) {
        const wanted = missing();
        if (wanted.length === 0 || asked === others_max) break;
        asked += 1;
        const answer = await ask(wanted).catch(unanswered);
        for (const tag of wanted) {
          const block = answer?.[tag] ?? null;
          const counts =
            block !== null && block.number <= heads.latest.number && (await stands(block).catch(unanswered));
          if (counts) [filled[tag], by[tag]] = [block, provider];
        }
      }
      for (const tag of tags) {
        const block = filled[tag];
        if (block !== null) {
          seen.set(tag, { block, by: by[tag], at: world.elapsed() });
          continue;
        }
        const last = remembered(tag);
        // A tag ahead of the head is of another branch, or the head lags: it says nothing of what lies below.
        if (last !== null && last.block.number <= heads.latest.number) [filled[tag], by[tag]] = [last.block, last.by];
      }
      return filled;
    },
  };
}

function unanswered(error: unknown): null {
  if (error instanceof Fault) return null;
  throw error;
}
