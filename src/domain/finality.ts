// When a block counts as confirmed: a value, not a number. Frozen on a transfer when it is first seen.

import { isAtMost } from "./money.ts";

export const finalityTags = ["safe", "finalized"] as const;
export type FinalityTag = (typeof finalityTags)[number];

/**
 * A block satisfies it when it is at or below the tag's block, has at least `blocks` confirmations (itself included), and
 * the head is at least `seconds` of chain time later. All parts must hold; an absent one does.
 */
export interface Finality {
  tag?: FinalityTag;
  blocks?: number;
  seconds?: number;
}

/** Up to where a finality is satisfied: by blocks whose number and whose time (seconds) are both at or below these. */
export interface FinalReach {
  number: number;
  time: number;
}

/** What depths are worked out with. */
export interface FinalityFacts {
  /** Blocks that stand in for a tag that no node serves. */
  tagless_depth: number;
  /** Seconds from one block to the next: the least that is to be expected. */
  block_s: number;
}

/** Amounts up to `up_to` (decimal text, null for no bound) wait for `finality`. Tiers are ordered, the last unbounded. */
export interface FinalityTier {
  up_to: string | null;
  finality: Finality;
}

export interface BlockRef {
  number: number;
  hash: string;
  /** Seconds since 1970, as the chain states it. */
  time: number;
}

/** What one poll learned of a chain's end. A tag the node does not know, or does not serve, is null. */
export interface Heads {
  latest: BlockRef;
  safe: BlockRef | null;
  finalized: BlockRef | null;
}

/** The tier an amount (decimal text) falls into. */
export function finalityFor(amount: string, tiers: readonly FinalityTier[]): Finality {
  const tier = tiers.find((tier) => tier.up_to === null || isAtMost(amount, tier.up_to));
  return (tier ?? tiers.at(-1))?.finality ?? { tag: "finalized" };
}

/** A finality that asks for all that either of two asks for. */
export function combineFinalities(one: Finality, other: Finality): Finality {
  const { tag, ...counts } = one;
  const { tag: other_tag, ...other_counts } = other;
  const all: [string, number][] = [...Object.entries(counts), ...Object.entries(other_counts)];
  const highest = Object.fromEntries(
    all.map(([part]) => [part, Math.max(...all.flatMap(([name, count]) => (name === part ? count : [])))]),
  );
  // A finalized block is safe as well.
  const stricter = [tag, other_tag].includes("finalized") ? "finalized" : (tag ?? other_tag);
  return { ...highest, ...(stricter === undefined ? {} : { tag: stricter }) };
}

/**
 * The heads with each tag taken for unknown whose block is more than `stale_tag_s` behind the head, so that depth stands
 * in for it; null: a tag is waited for as long as it takes.
 */
export function withoutStaleTags(heads: Heads, stale_tag_s: number | null): Heads {
  if (stale_tag_s === null) return heads;
  const { latest, safe, finalized } = heads;
  const fresh = (block: BlockRef | null) => (block !== null && latest.time - block.time > stale_tag_s ? null : block);
  return { latest, safe: fresh(safe), finalized: fresh(finalized) };
}

/** Up to where a finality is satisfied; number -1 when no block does yet. A depth stands in for an unknown tag. */
export function finalReach(finality: Finality, heads: Heads, { tagless_depth }: FinalityFacts): FinalReach {
  const { latest } = heads;
  const byCount = latest.number + 1 - (finality.blocks ?? 1);
  const tagged =
    finality.tag === undefined ? latest.number : (heads[finality.tag]?.number ?? latest.number + 1 - tagless_depth);
  return { number: Math.min(byCount, tagged), time: latest.time - (finality.seconds ?? 0) };
}

/**
 * The block that proves a finality of the block `number`: the tag's block, or the block at the required depth. A provider
 * without it answers from another branch. `hash` is null where any block of that number will do.
 */
export function provingBlock(
  finality: Finality,
  number: number,
  heads: Heads,
  { tagless_depth }: Pick<FinalityFacts, "tagless_depth">,
): { number: number; hash: string | null } {
  const tagged = finality.tag === undefined ? null : heads[finality.tag];
  if (tagged !== null) return tagged;
  const depth = Math.max(finality.blocks ?? 1, finality.tag === undefined ? 1 : tagless_depth);
  return { number: number + depth - 1, hash: null };
}

/**
 * The highest block number that satisfies a finality; -1 when none does yet. Where nobody asked for the times of blocks,
 * seconds are counted as blocks of `block_s`.
 */
export function finalBlock(finality: Finality, heads: Heads, pace: FinalityFacts): number {
  const { number } = finalReach(finality, heads, pace);
  return Math.min(number, heads.latest.number - Math.ceil((finality.seconds ?? 0) / pace.block_s));
}

/** `12`, `finalized` or `finalized+64+20s`: how a finality is stored and shown. */
export function formatFinality({ tag, blocks, seconds }: Finality): string {
  return [tag, blocks, seconds === undefined ? undefined : `${seconds}s`]
    .filter((part) => part !== undefined)
    .join("+");
}

/** Reads what `formatFinality` wrote. */
export function parseFinality(text: string): Finality {
  const finality: Finality = {};
  for (const part of text.split("+")) {
    if (part === "safe" || part === "finalized") finality.tag = part;
    else if (part.endsWith("s")) finality.seconds = Number(part.slice(0, -1));
    else finality.blocks = Number(part);
  }
  return finality;
}

/** The tags a set of finalities needs to be asked for. */
export function tagsOf(finalities: readonly Finality[]): FinalityTag[] {
  return [...new Set(finalities.flatMap((finality) => finality.tag ?? []))];
}
