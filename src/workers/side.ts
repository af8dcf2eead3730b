// One side of the transfers of some wallets over a stretch of final blocks, read a few pages at a time, so that a long
// stretch never keeps anybody waiting. Reads and keeps; judges nothing.

import type { Answer, Holding, Question, Source } from "../chains/source.ts";
import type { Movement } from "../domain/balances.ts";

export interface Side {
  /** Reads at most `pages` more. Returns how many it took; fewer than allowed only when the stretch is read. */
  advance(pages: number): Promise<number>;
  isRead(): boolean;
  /** The answers so far, lowest blocks first. */
  answers: readonly Answer[];
}

/** The side `asked.side` of `asked.from..to`; `page_blocks` is the widest range of one call. `avoid` as in Source. */
export function createSide(needs: {
  source: Source;
  asked: Omit<Question, "mark">;
  page_blocks: number;
  avoid?: string | undefined;
}): Side {
  const { source, asked, page_blocks, avoid } = needs;
  const answers: Answer[] = [];
  let from = asked.from;
  return {
    answers,
    isRead: () => from > asked.to,
    async advance(pages) {
      let taken = 0;
      for (; taken < pages && from <= asked.to; taken++) {
        const to = Math.min(asked.to, from + page_blocks - 1);
        const answer = await source.read({ ...asked, from, to, mark: null }, avoid);
        answers.push(answer);
        from = answer.to + 1;
      }
      return taken;
    },
  };
}

/** What left one wallet in one contract, below zero. */
export function outgoingOf(side: Side, { wallet, token }: Holding): Movement[] {
  return side.answers
    .flatMap(({ sightings }) => sightings)
    .filter((sighting) => sighting.sender === wallet && sighting.token === token)
    .map(({ block, units }) => ({ block: block.number, units: -units }));
}
