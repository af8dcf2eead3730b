// Records the comparison with each chain's index: which wallets are due, how far it came, what it found. Never changes a
// transfer or an order.

import type { ChainId } from "../domain/assets.ts";
import { recordCheck, recordCheckFailure } from "../storage/checks.ts";
import { recordCompared, requestComparison, requestedComparisons, walletsInUse } from "../storage/compared.ts";
import type { Database } from "../storage/engine/database.ts";
import type { Telemetry } from "../telemetry.ts";
import type { World } from "../world.ts";

/** A wallet is compared for a day after the last amount was promised on it. */
const wanted_for_ms = 86_400_000;
/** The wish is written down again when it is this much older. */
const wish_slack_ms = 3_600_000;

/** One comparison of a wallet, through a block that was read finally; null while none has come to its end. */
export interface WalletComparison {
  chain: ChainId;
  wallet: string;
  block: number | null;
  /** Seconds. */
  block_time: number | null;
  /** Through here it was also asked which of our transfers the index does not know. */
  doubted_block: number | null;
  provider: string;
  /** Transfers that the index told and the scan had missed. */
  missed: number;
  /** Transfers of ours that the index does not know an hour later. */
  doubts: number;
}

export interface IndexReconciliation {
  /** Notes which wallets of a chain are in use, so that they are compared from now on and for a day. */
  want(chain: ChainId): Promise<void>;
  /** A wallet was compared. */
  done(result: WalletComparison): Promise<void>;
  /** The index could not be asked. */
  failed(chain: ChainId, error: string): Promise<void>;
}

/** The records in one database. */
export function createIndexReconciliation(needs: {
  database: Database;
  world: World;
  telemetry: Telemetry;
}): IndexReconciliation {
  const { database, world, telemetry } = needs;
  return {
    async want(chain) {
      const stale = database.read((at) => {
        const soon = world.now() + wanted_for_ms - wish_slack_ms;
        const wished = new Set(requestedComparisons(at, chain, soon).map((row) => row.wallet));
        return walletsInUse(at, chain).filter((wallet) => !wished.has(wallet));
      });
      if (stale.length === 0) return;
      await database.transact((tx) => {
        for (const wallet of stale) requestComparison(tx, chain, wallet, tx.now + wanted_for_ms);
      });
    },

    async done({ chain, wallet, block, block_time, doubted_block, provider, missed, doubts }) {
      await database.transact((tx) => {
        recordCompared(tx, { chain, wallet }, { block, block_time, doubted_block });
        recordCheck(tx, { chain, kind: "history" }, { provider, missed, doubts });
      });
      if (missed > 0) {
        telemetry.error("transfers_missed_by_scan", { chain, found_by: provider, wallet, transfers: missed });
        telemetry.count("transfers_missed_by_scan", { chain }, missed);
      }
      if (doubts > 0) {
        telemetry.warn("transfers_unknown_to_index", { chain, provider, wallet, transfers: doubts });
        telemetry.count("transfers_unknown_to_index", { chain }, doubts);
      }
    },

    failed: (chain, error) => database.transact((tx) => recordCheckFailure(tx, { chain, kind: "history" }, error)),
  };
}
