// Where the watching of a wallet begins: where the merchant says, else at the moment the wallet was added.

import type { Source } from "../chains/source.ts";
import type { ChainSettings, LiveConfig } from "../config/config.ts";
import type { ChainId } from "../domain/assets.ts";
import { Fault } from "../domain/errors.ts";
import type { BlockRef } from "../domain/finality.ts";
import { max_chain_clock_skew_s } from "../domain/matching.ts";
import type { Watching } from "../services/watching.ts";
import { type WatchRow, watchesOf } from "../storage/coverage.ts";
import type { Database } from "../storage/database.ts";
import type { Telemetry } from "../telemetry.ts";

/** A bisection over all blocks a chain can have takes fewer. */
const bisection_steps_max = 64;

export interface Starts {
  /** The watches of the chain, after those that are new were given the block they begin at. Faults: those of the source. */
  begun(latest: BlockRef, settings: ChainSettings): Promise<WatchRow[]>;
}

/** The beginnings on one chain. A `starting_tx` that is on no block of it counts for nothing, and that is told. */
export function createStarts(needs: {
  chain: ChainId;
  source: Source;
  config: LiveConfig;
  database: Database;
  watching: Watching;
  telemetry: Telemetry;
}): Starts {
  const { chain, source, config, database, watching, telemetry } = needs;

  /**
   * The first block to read. Without a wish of the merchant it is the last block at or before `added_at` less the clock
   * skew, never the head of this moment: a chain that could not be reached when a deposit opened is read from then on.
   */
  async function findStart(latest: BlockRef, watch: WatchRow, start_block: number | null): Promise<BlockRef> {
    if (start_block !== null) return blockAt(source, Math.min(start_block, latest.number));
    const wallet = config.current().wallets.find((one) => one.chain === chain && one.address === watch.wallet);
    const starting_tx = wallet?.starting_tx ?? null;
    if (starting_tx !== null) {
      const [receipt] = await source.receipts([starting_tx]);
      if (receipt !== null && receipt !== undefined) return blockAt(source, receipt.block.number);
      telemetry.warn("starting_tx_unknown", { chain, wallet: watch.wallet, starting_tx });
    }
    return lastBlockAt(source, latest, Math.floor(watch.added_at / 1000) - max_chain_clock_skew_s);
  }

  return {
    async begun(latest, { start_block }) {
      const known = database.read((at) => watchesOf(at, chain));
      const fresh = known.filter((watch) => watch.start_block === null);
      if (fresh.length === 0) return known;
      for (const group of Map.groupBy(fresh, (watch) => `${watch.wallet} ${watch.added_at}`).values()) {
        const first = group[0];
        if (first === undefined) continue;
        const start = await findStart(latest, first, start_block);
        await watching.begin(
          group.map((watch) => watch.id),
          start,
        );
      }
      return database.read((at) => watchesOf(at, chain)).filter((watch) => watch.start_block !== null);
    },
  };
}

/** The last block with a time at or before `time` (seconds); block 0 when the chain is younger. */
async function lastBlockAt(source: Source, latest: BlockRef, time: number): Promise<BlockRef> {
  if (latest.time <= time) return latest;
  let above = latest;
  let below: BlockRef | null = null;
  // Steps back in doubling strides first: the block is near the head unless the chain was away for long.
  for (let step = 0, stride = 16; step < bisection_steps_max; step += 1, stride *= 2) {
    const probe = below === null ? Math.max(0, above.number - stride) : Math.floor((below.number + above.number) / 2);
    if (below !== null && above.number - below.number <= 1) return below;
    const block = await blockAt(source, probe);
    if (block.time <= time) below = block;
    else if (probe === 0) return block;
    else above = block;
  }
  throw new Fault("provider_inconsistent", "the times of blocks do not rise with their numbers");
}

async function blockAt(source: Source, number: number): Promise<BlockRef> {
  const [block] = await source.blocks([number]);
  if (block === null || block === undefined) throw new Fault("provider_lagging");
  return block;
}
