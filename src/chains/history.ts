// What an index of a chain says came to a wallet. It only mentions transactions: their receipts decide what they are
// worth, so nothing here is ever credited.

import type { BlockRef } from "../domain/finality.ts";

/** One incoming transfer as an index of the chain tells it: a hint where to look. The receipt decides. */
export interface IndexHint {
  tx_hash: string;
  token: string;
  wallet: string;
  units: bigint;
  /** Null where the index does not say. */
  block: number | null;
  /** Seconds. */
  time: number;
}

export interface History {
  provider: string;
  /** Incoming transfers of the contracts to one wallet in a stretch of the chain, oldest first, complete or a Fault. */
  incoming(asked: { wallet: string; tokens: readonly string[]; from: BlockRef; to: BlockRef }): Promise<IndexHint[]>;
}
