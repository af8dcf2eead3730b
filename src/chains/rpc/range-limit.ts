// How many blocks one provider takes in one call: learned from its refusals, forgotten after a while, so that one
// bad moment does not leave it at single blocks for ever.

import type { World } from "../../world.ts";
import { narrowedRange, type ProviderRefusal } from "./refusals.ts";

/** A limit the provider named is kept for a day; one found by halving may have been a matter of one busy block. */
const stated_limit_ms = 24 * 3_600_000;
const guessed_limit_ms = 10 * 60_000;
/** An unexplained refusal of a range, repeated so often, is taken for one of its width. */
const same_refusals_max = 3;

export interface RangeLimit {
  /** Widest range the provider takes; null while nothing was learned. */
  learned(): number | null;
  /** The block to read to, starting at `from`. */
  reach(from: number, to: number): number;
  /** The block to try next after `from..to` was refused; null when a single block was. Null `refusal`: no words. */
  narrow(from: number, to: number, refusal: ProviderRefusal | null): number | null;
  /** True when this refusal, though it names no reason, is likely one of the width. */
  suspects(refusal: ProviderRefusal): boolean;
  /** A range was answered. */
  answered(): void;
  /** A single block was refused: it, not the width, may be why wider ranges were. Forgets a guessed limit. */
  singleRefused(): void;
}

/** Starts at `page_blocks` per call and only ever goes below it. */
export function createRangeLimit({ page_blocks, world }: { page_blocks: number; world: World }): RangeLimit {
  let limit: { blocks: number; until: number; stated: boolean } | null = null;
  let unexplained = { text: "", times: 0 };

  const learned = () => {
    if (limit !== null && world.elapsed() >= limit.until) limit = null;
    return limit?.blocks ?? null;
  };
  return {
    learned,
    reach: (from, to) => Math.min(to, from + Math.min(page_blocks, learned() ?? page_blocks) - 1),
    narrow(from, to, refusal) {
      const next = narrowedRange(refusal?.text ?? "", to - from + 1);
      if (next === null) return null;
      const until = world.elapsed() + (next.stated ? stated_limit_ms : guessed_limit_ms);
      limit = { blocks: next.blocks, until, stated: next.stated };
      return from + next.blocks - 1;
    },
    suspects(refusal) {
      unexplained = { text: refusal.text, times: refusal.text === unexplained.text ? unexplained.times + 1 : 1 };
      return unexplained.times >= same_refusals_max;
    },
    answered() {
      unexplained = { text: "", times: 0 };
    },
    singleRefused() {
      if (limit?.stated === false) limit = null;
      unexplained = { text: "", times: 0 };
    },
  };
}
