// How far a chain is final under a policy: by the heads that were read, and by those of a second operator where a payment
// needs two. Judges no payment.

import type { ChainHeads, ProviderHeads, Providers } from "../../chains/source.ts";
import type { ChainSettings } from "../../config/config.ts";
import type { ChainFacts } from "../../domain/assets.ts";
import { Fault } from "../../domain/errors.ts";
import {
  type FinalityTag,
  type FinalReach,
  finalReach,
  type Heads,
  parseFinality,
  tagsOf,
  withoutStaleTags,
} from "../../domain/finality.ts";

/** What a second operator says of one policy. */
export interface SecondFinality {
  /** Up to where the policy is met by its heads; null when no second operator answers. */
  through: FinalReach | null;
  /** For the log: why none answers, or how far behind it is; null when it is up to date. */
  complaint: string | null;
}

/** The tags that the settings name, and those that waiting transfers need. */
export function requestedTags({ finality, facts }: ChainSettings, promised: readonly string[]): FinalityTag[] {
  return tagsOf([...finality.map((tier) => tier.finality), facts.final, ...promised.map(parseFinality)]);
}

/** Up to where a policy (as `formatFinality` wrote it) is met by these heads. */
export function reachOfPolicy(finality: string, heads: Heads, facts: ChainFacts): FinalReach {
  const fresh = withoutStaleTags(heads, facts.stale_tag_s ?? null);
  const { number, time } = finalReach(parseFinality(finality), fresh, facts);
  return { number: Math.min(number, heads.latest.number), time };
}

/** Whether a block is within what heads call final. */
export function isWithinReach(reach: FinalReach, block: { number: number; time: number }): boolean {
  return block.number <= reach.number && block.time <= reach.time;
}

/**
 * Second finality of each policy, from an operator other than the one that `heads` has the policy's block from. One request
 * for all policies of one provider, and one more where the answer lags behind `heads`.
 */
export async function secondFinalities(
  source: Pick<Providers, "independentHeads">,
  heads: ChainHeads,
  policies: ReadonlySet<string>,
  facts: ChainFacts,
): Promise<Map<string, SecondFinality>> {
  const found = new Map<string, SecondFinality>();
  for (const [first, group] of Map.groupBy(policies, (finality) => providerFor(finality, heads))) {
    // Where no provider serves a tag, depth below the second operator's head decides.
    const tags = tagsOf(group.map(parseFinality)).filter((tag) => heads[tag] !== null);
    const ask = (excluded: readonly string[]) => source.independentHeads(tags, excluded).catch(reasonOf);
    const second = await ask([first]);
    const isBehind = (finality: string) => {
      const { through } = finalityOf(finality, second, heads, facts);
      return through !== null && !isWithinReach(through, reachOfPolicy(finality, heads, facts));
    };
    // One operator may stand still: where a third says as much as the first, two agree.
    const third = typeof second !== "string" && group.some(isBehind) ? await ask([first, second.provider]) : second;
    for (const finality of group) {
      found.set(
        finality,
        higher(finalityOf(finality, second, heads, facts), finalityOf(finality, third, heads, facts)),
      );
    }
  }
  return found;
}

function higher(one: SecondFinality, other: SecondFinality): SecondFinality {
  if (one.through === null || other.through === null) return one.through === null ? other : one;
  return isWithinReach(other.through, one.through) ? other : one;
}

function finalityOf(
  finality: string,
  other: ProviderHeads | string,
  heads: ChainHeads,
  facts: ChainFacts,
): SecondFinality {
  if (typeof other === "string") return { through: null, complaint: other };
  const { provider, heads: otherHeads } = other;
  const behind_s = heads.latest.time - decisive(finality, otherHeads).time;
  const complaint = behind_s > facts.late_tag_s ? `${provider} is ${behind_s} seconds behind with what is final` : null;
  return { through: reachOfPolicy(finality, otherHeads, facts), complaint };
}

/** The provider that the block deciding a policy is from. */
function providerFor(finality: string, { by }: ChainHeads): string {
  const { tag } = parseFinality(finality);
  return (tag === undefined ? null : by[tag]) ?? by.latest;
}

/** The block by which heads decide about a policy. */
function decisive(finality: string, heads: Heads) {
  const { tag } = parseFinality(finality);
  return (tag === undefined ? null : heads[tag]) ?? heads.latest;
}

function reasonOf(error: unknown): string {
  if (error instanceof Fault && error.code === "second_opinion_missing") return error.message;
  throw error;
}
