// What several providers together make of one transfer. Pure; two that contradict each other never add up to a verdict.

import type { ReceiptVerdict } from "./matching.ts";

/** What one provider shows of a transfer. */
export interface Opinion {
  provider: string;
  /** `absent`: it knows the transfer's block and no receipt of its transaction, which may also be an index that is late. */
  verdict: ReceiptVerdict | "absent";
}

/** What the opinions come to. `wanting`: too few providers could say; `disputed`: they contradict each other. */
export type Consensus =
  | { state: "agreed"; verdict: Exclude<ReceiptVerdict, "unclear"> }
  | { state: "wanting" }
  | {
      state: "disputed";
      /** Providers that stand against more than half of all who could say; empty while no side has that many. */
      outvoted: string[];
    };

/**
 * Weighs opinions of different providers; `needed` of them must say the same. One that is `unclear` says nothing. Those
 * that find a transfer absent drop nothing; but it does not count before more providers show it than do not.
 */
export function consensus(opinions: readonly Opinion[], needed: number): Consensus {
  const absent = opinions.filter(({ verdict }) => verdict === "absent").length;
  const said = opinions.flatMap(({ provider, verdict }) =>
    verdict === "unclear" || verdict === "absent" ? [] : { provider, verdict },
  );
  const sides = [...Map.groupBy(said, ({ verdict }) => textOf(verdict)).values()];
  const [side, ...others] = sides.sort((a, b) => b.length - a.length);
  const verdict = side?.[0]?.verdict;
  if (side === undefined || verdict === undefined) return { state: "wanting" };
  if (others.length > 0) {
    const isMajority = side.length * 2 > said.length;
    return { state: "disputed", outvoted: isMajority ? others.flat().map(({ provider }) => provider) : [] };
  }
  if (verdict !== "gone" && absent >= side.length) {
    return { state: "disputed", outvoted: absent > side.length ? side.map(({ provider }) => provider) : [] };
  }
  return side.length < needed ? { state: "wanting" } : { state: "agreed", verdict };
}

/** True where at least two providers, and more than show it, find a transfer absent or gone. */
export function isDenied(opinions: readonly Opinion[]): boolean {
  const denying = opinions.filter(({ verdict }) => verdict === "absent" || verdict === "gone").length;
  const showing = opinions.filter(({ verdict }) => verdict === "confirmed" || typeof verdict !== "string").length;
  return denying >= 2 && denying > showing;
}

function textOf(verdict: ReceiptVerdict): string {
  return typeof verdict === "string" ? verdict : `moved ${verdict.moved.number} ${verdict.moved.hash}`;
}
