// How far back a chain is final for a policy: by the heads that were read, and by what a second company says for payments
// that two must vouch for. Asks; judges no payment.

import type { Providers, ToldHeads, Word } from "../../chains/source.ts";
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

/** What a second company says of one policy. */
export interface SecondWord {
  /** Up to where the policy is met by what it says; null when nobody says anything. */
  through: FinalReach | null;
  /** Why nobody does, or how far behind it is, in words for the operator; null when there is nothing to tell. */
  complaint: string | null;
}

/** The tags that the settings name, and those that waiting payments were promised under before. */
export function tagsAsked({ finality, facts }: ChainSettings, promised: readonly string[]): FinalityTag[] {
  return tagsOf([...finality.map((tier) => tier.finality), facts.final, ...promised.map(parseFinality)]);
}

/** Up to where a policy (as `formatFinality` wrote it) is met by these heads. */
export function reachOf(finality: string, heads: Heads, facts: ChainFacts): FinalReach {
  const fresh = withoutStaleTags(heads, facts.stale_tag_s ?? null);
  const { number, time } = finalReach(parseFinality(finality), fresh, facts);
  return { number: Math.min(number, heads.latest.number), time };
}

/** Whether a block is within what heads call final. */
export function isWithinReach(reach: FinalReach, block: { number: number; time: number }): boolean {
  return block.number <= reach.number && block.time <= reach.time;
}

/**
 * What another company says of these policies than the one whose word each of them rests on in `told`. One question for all,
 * unless their words are of different providers, and one more where the answer lags behind.
 */
export async function secondWords(
  source: Pick<Providers, "headsBeside">,
  told: ToldHeads,
  policies: ReadonlySet<string>,
  facts: ChainFacts,
): Promise<Map<string, SecondWord>> {
  const words = new Map<string, SecondWord>();
  for (const [speaker, group] of Map.groupBy(policies, (finality) => speakerOf(finality, told))) {
    // Depth stands in for a tag that nobody serves: then the second one's head is its word.
    const tags = tagsOf(group.map(parseFinality)).filter((tag) => told[tag] !== null);
    const ask = (heard: readonly string[]) => source.headsBeside(tags, heard).catch(unheard);
    const second = await ask([speaker]);
    const isBehind = (finality: string) => {
      const { through } = wordOn(finality, second, told, facts);
      return through !== null && !isWithinReach(through, reachOf(finality, told, facts));
    };
    // One company may stand still: where a third says as much as the first, two agree.
    const third = typeof second !== "string" && group.some(isBehind) ? await ask([speaker, second.provider]) : second;
    for (const finality of group) {
      words.set(finality, higher(wordOn(finality, second, told, facts), wordOn(finality, third, told, facts)));
    }
  }
  return words;
}

function higher(one: SecondWord, other: SecondWord): SecondWord {
  if (one.through === null || other.through === null) return one.through === null ? other : one;
  return isWithinReach(other.through, one.through) ? other : one;
}

function wordOn(finality: string, word: Word | string, told: ToldHeads, facts: ChainFacts): SecondWord {
  if (typeof word === "string") return { through: null, complaint: word };
  const { provider, heads } = word;
  const behind_s = told.latest.time - decisive(finality, heads).time;
  const complaint = behind_s > facts.late_tag_s ? `${provider} is ${behind_s} seconds behind with what is final` : null;
  return { through: reachOf(finality, heads, facts), complaint };
}

/** The provider whose word a policy rests on. */
function speakerOf(finality: string, { by }: ToldHeads): string {
  const { tag } = parseFinality(finality);
  return (tag === undefined ? null : by[tag]) ?? by.latest;
}

/** The block by which heads decide about a policy. */
function decisive(finality: string, heads: Heads) {
  const { tag } = parseFinality(finality);
  return (tag === undefined ? null : heads[tag]) ?? heads.latest;
}

function unheard(error: unknown): string {
  if (error instanceof Fault && error.code === "second_opinion_missing") return error.message;
  throw error;
}
