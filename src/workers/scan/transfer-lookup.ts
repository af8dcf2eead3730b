// One transaction, looked up by its hash: which transfers to watched wallets it made. Asks the chain's source; writes
// nothing, judges nothing.

import type { Source } from "../../chains/source.ts";
import type { ChainId } from "../../domain/assets.ts";
import { Fault } from "../../domain/errors.ts";
import type { BlockRef } from "../../domain/finality.ts";
import { max_chain_clock_skew_s } from "../../domain/matching.ts";
import type { TransferLookup } from "../../services/claims.ts";
import { type WatchRow, watchesOf } from "../../storage/coverage.ts";
import type { Database } from "../../storage/engine/database.ts";

/** Looks up through the source of each chain; `sourceOf` is null for a chain that is not read. */
export function createTransferLookup(needs: {
  database: Database;
  sourceOf(chain: ChainId): Pick<Source, "receipts" | "blocks"> | null;
}): TransferLookup {
  const { database, sourceOf } = needs;
  return async (chain, tx_hash) => {
    const source = sourceOf(chain);
    if (source === null) throw new Fault("provider_unreachable", "the chain is not read");
    const [receipt = null] = await source.receipts([tx_hash]);
    if (receipt === null) return null;
    const [block = null] = await source.blocks([receipt.block.number]);
    // A receipt of a branch that the chain has left, or that this provider has not seen yet, is none.
    if (block?.hash !== receipt.block.hash) return null;
    if (!receipt.success) return [];

    const watches = database.read((at) => watchesOf(at, chain)).filter((watch) => hasBegun(watch, block));
    return receipt.logs.flatMap(({ log_index, transfer }, position) => {
      const is_watched =
        transfer !== null &&
        transfer.units > 0n &&
        watches.some(({ wallet, token }) => wallet === transfer.wallet && token === transfer.token);
      return is_watched ? [{ ...transfer, chain, tx_hash: receipt.tx_hash, log_index, position, block }] : [];
    });
  };
}

/** What came before a wallet was watched is none of ours: nobody could tell whether it was spoken for. */
function hasBegun(watch: WatchRow, block: BlockRef): boolean {
  if (watch.start_block !== null) return block.number >= watch.start_block;
  return (block.time + max_chain_clock_skew_s) * 1000 >= watch.added_at;
}
