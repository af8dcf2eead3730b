// What the adapter of a block explorer promises: an index of token transfers that knows how far it has come, and the
// node behind it. The index only says where to look; it is never believed about what it says is there.

import type { JsonRpc } from "../rpc/json-rpc.ts";

/** A transfer as the index has it. Addresses are canonical. */
export interface IndexRow {
  tx_hash: string;
  token: string;
  sender: string;
  wallet: string;
  /** May be zero. */
  units: bigint;
  block: number;
  /** Null where the index does not say. */
  block_hash: string | null;
  /** Seconds. */
  time: number;
}

export interface IndexQuery {
  wallet: string;
  /** Where the wallet stands in the transfers: it receives (`in`) or it sends. */
  side: "in" | "out";
  tokens: readonly string[];
  /** First and last block, inclusive. */
  from: number;
  to: number;
}

/** Its verbs throw Faults `provider_*` whose words do not yet name the provider. */
export interface Explorer {
  /** Host and port. */
  host: string;
  /** The last block the index vouches for, some seconds behind its newest. */
  head(): Promise<number>;
  /** All transfers of the contracts to or from the wallet in the range, oldest first. True only as far as `head` says. */
  transfers(asked: IndexQuery): Promise<IndexRow[]>;
  /** The explorer's own node. */
  rpc: JsonRpc;
  /** True where that node answers calls of contracts as they were at a past block. */
  past_calls: boolean;
  /** HTTP requests made so far. */
  requests(): number;
}
