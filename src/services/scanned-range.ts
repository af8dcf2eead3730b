// A page of transfers, as it is handed to settlement, and how it is cut: coverage moves at block borders, and a
// transaction takes a few rows at a time.

import type { ChainId } from "../domain/assets.ts";
import { gaps, type Interval } from "../domain/coverage.ts";
import type { BlockRef } from "../domain/finality.ts";
import type { Transfer } from "../domain/payment.ts";
import type { ChainEnd } from "../storage/chains.ts";
import type { Pass } from "../storage/coverage.ts";

/** Transfers of a page whose coverage moves at once, unless one block has more. */
export const slice_max_transfers = 50;
/** Transfers stored or dropped by one call: `transact` ends a commit between two calls once it has lasted 50 ms. */
export const transfers_per_call_max = 5;

/** One complete answer about a range of blocks, with the positions of its transfers. */
export interface ScannedRange {
  chain: ChainId;
  pass: Pass;
  /** The watches that were asked for: only they are covered by it. */
  watches: readonly number[];
  from: number;
  end: BlockRef;
  provider: string;
  zero_value: number;
  /** In block order. */
  transfers: readonly Transfer[];
  /** Blocks that are not covered although they were asked for: a transaction of theirs could not be looked up. */
  unread?: readonly number[];
  /** Ids of transfers whose block was found to have left the chain. */
  gone: readonly number[];
  chainEnd: ChainEnd;
}

/** What is left of a range without these blocks; hash and time are known only of its own end. */
export function withoutUnread(range: Interval, unread: readonly number[]): Interval[] {
  const holes = unread.map((block) => ({ from: block, to: block }));
  return gaps(holes, range.from, range.to).map(({ from, to }) =>
    to === range.to ? { ...range, from } : { ...range, from, to, hash: null, time: null },
  );
}

/** A list cut into lists of at most `size`. */
export function chunks<T>(all: readonly T[], size: number): T[][] {
  const cut: T[][] = [];
  for (let done = 0; done < all.length; done += size) cut.push(all.slice(done, done + size));
  return cut;
}

/** Cuts a page at block borders into slices of at most `slice_max_transfers`, or of one block; the last ends the page. */
export function sliceTransfers(
  page: Pick<ScannedRange, "transfers" | "end">,
): { transfers: Transfer[]; end: BlockRef }[] {
  const parts: { transfers: Transfer[]; end: BlockRef }[] = [];
  let part: Transfer[] = [];
  for (const block of Map.groupBy(page.transfers, (transfer) => transfer.block.number).values()) {
    const last = part.at(-1);
    if (last !== undefined && part.length + block.length > slice_max_transfers) {
      parts.push({ transfers: part, end: last.block });
      part = [];
    }
    part.push(...block);
  }
  parts.push({ transfers: part, end: page.end });
  return parts;
}
