// The safe and finalized blocks of a chain, from whichever of its providers serves them: one that knows no tags must not
// make a chain look final by depth whose finality stands still. Never believes a tag ahead of the head.

import { Fault } from "../../domain/errors.ts";
import type { BlockRef, FinalityTag, Heads } from "../../domain/finality.ts";
import type { ChainHeads, ProviderHeads } from "../source.ts";

/** Other providers asked for what the first does not serve, per poll. */
const others_max = 2;

/** One more provider that can be asked for tags. */
export interface TagSource {
  provider: string;
  ask(tags: readonly FinalityTag[]): Promise<Heads>;
}

/**
 * One provider's heads with the tags it does not serve filled in from the others, else null. Another one's block counts
 * only where it `stands` on the chain of the one whose heads these are.
 */
export async function completeTags(
  { provider, heads }: ProviderHeads,
  tags: readonly FinalityTag[],
  others: Iterable<TagSource>,
  stands: (block: BlockRef) => Promise<boolean>,
): Promise<ChainHeads> {
  const own = (tag: FinalityTag) => (heads[tag] === null ? null : provider);
  const by: ChainHeads["by"] = { latest: provider, safe: own("safe"), finalized: own("finalized") };
  const filled: ChainHeads = { ...heads, by };
  let asked = 0;
  for (const { provider, ask } of others) {
    const wanted = tags.filter((tag) => filled[tag] === null);
    if (wanted.length === 0 || asked === others_max) break;
    asked += 1;
    const answer = await ask(wanted).catch(unanswered);
    for (const tag of wanted) {
      const block = answer?.[tag] ?? null;
      const counts = block !== null && block.number <= heads.latest.number && (await stands(block).catch(unanswered));
      if (counts) [filled[tag], by[tag]] = [block, provider];
    }
  }
  return filled;
}

function unanswered(error: unknown): null {
  if (error instanceof Fault) return null;
  throw error;
}
