// What several providers together make of one transfer. Pure; two that contradict each other never add up to a verdict.

import type { Verdict } from "./matching.ts";

/** What one provider shows of a transfer. */
export interface Opinion {
  provider: string;
  verdict: Verdict;
}

/** What the opinions come to. `wanting`: too few providers could say; `disputed`: they contradict each other. */
export type Consensus =
  | { state: "agreed"; verdict: Exclude<Verdict, "unclear"> }
  | { state: "wanting" }
  | {
      state: "disputed";
      /** Providers that stand against more than half of all who could say; empty while no side has that many. */
      outvoted: string[];
    };

/** Weighs opinions of different providers; `needed` of them must say the same. One that is `unclear` says nothing. */
export function consensus(opinions: readonly Opinion[], needed: number): Consensus {
  const said = opinions.filter(({ verdict }) => verdict !== "unclear");
  const sides = [...Map.groupBy(said, ({ verdict }) => textOf(verdict)).values()];
  const [side, ...others] = sides.sort((a, b) => b.length - a.length);
  const verdict = side?.[0]?.verdict;
  if (side === undefined || verdict === undefined || verdict === "unclear") return { state: "wanting" };
  if (others.length === 0) return side.length < needed ? { state: "wanting" } : { state: "agreed", verdict };
  const isMajority = side.length * 2 > said.length;
  return { state: "disputed", outvoted: isMajority ? others.flat().map(({ provider }) => provider) : [] };
}

function textOf(verdict: Verdict): string {
  return typeof verdict === "string" ? verdict : `moved ${verdict.moved.number} ${verdict.moved.hash}`;
}
