// Reads transfers to or from some wallets over a range of final blocks, a few pages at a time, so that a long range delays
// nothing else. Keeps what it read; decides nothing.

import type { Holding, LogPage, LogQuery } from "../../chains/source.ts";
import type { BalanceChange } from "../../domain/balances.ts";
import type { Transfer } from "../../domain/payment.ts";

export interface TransferRange {
  answer: LogPage;
  /** Its transfers with their receipt indexes, where `read` looks them up. */
  transfers: readonly Transfer[];
}

export interface TransferRangeReader {
  /** Reads at most `pages` more. Returns how many it read; fewer only when the range is complete. */
  advance(pages: number): Promise<number>;
  isRead(): boolean;
  /** Pages read so far, lowest blocks first. */
  pages: readonly TransferRange[];
}

/** Reads `asked.from..to`; `page_blocks` is the widest range of one call. */
export function createTransferRangeReader(needs: {
  read(question: LogQuery): Promise<TransferRange>;
  asked: Omit<LogQuery, "mark">;
  page_blocks: number;
}): TransferRangeReader {
  const { read, asked, page_blocks } = needs;
  const pages: TransferRange[] = [];
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

/** Outgoing transfers of one wallet and token, with negative units. */
export function outgoingOf(reader: TransferRangeReader, { wallet, token }: Holding): BalanceChange[] {
  return reader.pages
    .flatMap(({ answer }) => answer.transferLogs)
    .filter((transferLog) => transferLog.sender === wallet && transferLog.token === token)
    .map(({ block, units }) => ({ block: block.number, units: -units }));
}
