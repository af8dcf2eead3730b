// Where the watching of a wallet begins: where the merchant says, else at the moment the wallet was added.

import type { Source } from "../chains/source.ts";
import { Fault } from "../domain/errors.ts";
import type { BlockRef } from "../domain/finality.ts";
import { max_chain_clock_skew_s } from "../domain/matching.ts";

/** A bisection over all blocks a chain can have takes fewer. */
const bisection_steps_max = 64;

export interface Beginning {
  /** ms */
  added_at: number;
  /** `start_block` of the chain's settings. */
  start_block: number | null;
  /** `starting_tx` of the wallet: its block is the first one read. */
  starting_tx: string | null;
}

/**
 * The first block to read. Without a wish of the merchant it is the last block at or before `added_at` less the clock
 * skew, never the head of this moment: a chain that could not be reached when a deposit opened is read from then on.
 */
export async function findStart(source: Source, latest: BlockRef, beginning: Beginning): Promise<BlockRef> {
  if (beginning.start_block !== null) return blockAt(source, Math.min(beginning.start_block, latest.number));
  if (beginning.starting_tx !== null) {
    const [receipt] = await source.receipts([beginning.starting_tx]);
    if (receipt !== null && receipt !== undefined) return blockAt(source, receipt.block.number);
  }
  return lastBlockAt(source, latest, Math.floor(beginning.added_at / 1000) - max_chain_clock_skew_s);
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
