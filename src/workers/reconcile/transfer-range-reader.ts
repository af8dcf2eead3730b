// One side of the transfers of some wallets over a stretch of final blocks, read a few pages at a time, so that a long
// stretch never keeps anybody waiting. Reads and keeps; judges nothing.

import type { Answer, Holding, Question } from "../../chains/source.ts";
import type { Movement } from "../../domain/balances.ts";
import type { Transfer } from "../../domain/payment.ts";

export interface Page {
  answer: Answer;
  /** Its sightings with their places, where the reader looks them up. */
  transfers: readonly Transfer[];
}

export interface Side {
  /** Reads at most `pages` more. Returns how many it took; fewer than allowed only when the stretch is read. */
  advance(pages: number): Promise<number>;
  isRead(): boolean;
  /** What was read so far, lowest blocks first. */
  pages: readonly Page[];
}

/** The side `asked.side` of `asked.from..to`; `page_blocks` is the widest range of one call. */
export function createSide(needs: {
  read(question: Question): Promise<Page>;
  asked: Omit<Question, "mark">;
  page_blocks: number;
}): Side {
  const { read, asked, page_blocks } = needs;
  const pages: Page[] = [];
  let from = asked.from;
  return {
    pages,
    isRead: () => from > asked.to,
    async advance(allowed) {
      let taken = 0;
      for (; taken < allowed && from <= asked.to; taken++) {
        const to = Math.min(asked.to, from + page_blocks - 1);
        const page = await read({ ...asked, from, to, mark: null });
        pages.push(page);
        from = page.answer.to + 1;
      }
      return taken;
    },
  };
}

/** What left one wallet in one contract, below zero. */
export function outgoingOf(side: Side, { wallet, token }: Holding): Movement[] {
  return side.pages
    .flatMap(({ answer }) => answer.sightings)
    .filter((sighting) => sighting.sender === wallet && sighting.token === token)
    .map(({ block, units }) => ({ block: block.number, units: -units }));
}
