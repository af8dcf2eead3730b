// The safe and finalized blocks of a chain, from whichever of its providers serves them: one that knows no tags must not
// make a chain look final by depth whose finality stands still. Never believes a tag ahead of the head.

import { Fault } from "../../domain/errors.ts";
import type { BlockRef, FinalityTag, Heads } from "../../domain/finality.ts";
import type { World } from "../../world.ts";

/** How long a tag that nobody serves any more stays where it was last seen; then depth stands in for it. */
const tag_memory_ms = 3_600_000;
/** Other providers asked for what the first does not serve, per poll. */
const others_max = 2;

/** Asks one more provider for tags. */
export type AskForTags = (tags: readonly FinalityTag[]) => Promise<Heads>;

export interface Tags {
  /**
   * One provider's heads with the tags it does not serve filled in: from the others, else from memory, else null. Another
   * one's block counts only where it `stands` on the chain of the one whose heads these are.
   */
  complete(
    heads: Heads,
    tags: readonly FinalityTag[],
    others: Iterable<AskForTags>,
    stands: (block: BlockRef) => Promise<boolean>,
  ): Promise<Heads>;
}

/** The tags of one chain; nothing is known of them yet. */
export function createTags({ world }: { world: World }): Tags {
  const seen = new Map<FinalityTag, { block: BlockRef; at: number }>();

  function remembered(tag: FinalityTag): BlockRef | null {
    const last = seen.get(tag);
    return last !== undefined && world.elapsed() - last.at < tag_memory_ms ? last.block : null;
  }

  return {
    async complete(heads, tags, others, stands) {
      const filled = { ...heads };
      const missing = () => tags.filter((tag) => filled[tag] === null);
      let asked = 0;
      for (const ask of others) {
        const wanted = missing();
        if (wanted.length === 0 || asked === others_max) break;
        asked += 1;
        const answer = await ask(wanted).catch(unanswered);
        for (const tag of wanted) {
          const block = answer?.[tag] ?? null;
          const counts =
            block !== null && block.number <= heads.latest.number && (await stands(block).catch(unanswered));
          filled[tag] = counts ? block : null;
        }
      }
      for (const tag of tags) {
        const block = filled[tag];
        if (block === null) filled[tag] = notAhead(remembered(tag), heads.latest);
        else seen.set(tag, { block, at: world.elapsed() });
      }
      return filled;
    },
  };
}

/** A tag ahead of the head is of another branch, or the head lags: it says nothing of what lies below. */
function notAhead(block: BlockRef | null, latest: BlockRef): BlockRef | null {
  return block !== null && block.number > latest.number ? null : block;
}

function unanswered(error: unknown): null {
  if (error instanceof Fault) return null;
  throw error;
}
