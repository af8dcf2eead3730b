// Where the watching of a wallet begins: where the merchant says, else at the moment the wallet was added. A beginning is
// moved down when the merchant names an earlier one later on, and never up: what was read stays accounted for.

import type { Providers, Source } from "../../chains/source.ts";
import type { ChainSettings, LiveConfig } from "../../config/config.ts";
import type { ChainId } from "../../domain/assets.ts";
import { errorText, Fault } from "../../domain/errors.ts";
import type { BlockRef } from "../../domain/finality.ts";
import { max_chain_clock_skew_s } from "../../domain/matching.ts";
import type { Watching } from "../../services/watching.ts";
import { type WatchRow, watchesOf } from "../../storage/coverage.ts";
import type { Database } from "../../storage/engine/database.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";

/** After a beginning could not be looked up. */
const retry_ms = 600_000;
/** A bisection over all blocks a chain can have takes fewer. */
const bisection_steps_max = 64;

export interface WatchStarts {
  /**
   * The watches of the chain that have begun, after those that are new were given the block they begin at. Faults: those of
   * the source where none has begun.
   */
  begun(latest: BlockRef, settings: ChainSettings): Promise<WatchRow[]>;
  /**
   * Moves beginnings down to earlier blocks that the settings name now; what is older is read by the next polls. What
   * cannot be looked up is tried again later and holds up nothing.
   */
  moveDown(latest: BlockRef, settings: ChainSettings): Promise<void>;
}

/** The beginnings on one chain. A `starting_tx` that is on no block of it counts for nothing until it is, and that is told. */
export function createWatchStarts(needs: {
  chain: ChainId;
  source: Providers;
  config: LiveConfig;
  database: Database;
  watching: Watching;
  telemetry: Telemetry;
  world: World;
}): WatchStarts {
  const { chain, source, config, database, watching, telemetry, world } = needs;
  /** What was asked for each wallet: seen to, and known to no provider so far. */
  const heeded = new Map<string, string>();
  const unknown = new Map<string, string>();
  let retry_at = Number.NEGATIVE_INFINITY;

  function wishFor(wallet: string, { start_block }: ChainSettings): string | number | null {
    if (start_block !== null) return start_block;
    const entry = config.current().wallets.find((one) => one.chain === chain && one.address === wallet);
    return entry?.starting_tx ?? null;
  }

  /** The block that the merchant named for a wallet; null: none, or a transaction that is on no block. */
  async function wished(latest: BlockRef, wallet: string, settings: ChainSettings): Promise<BlockRef | null> {
    const wish = wishFor(wallet, settings);
    if (wish === null) return null;
    const number = typeof wish === "number" ? Math.min(wish, latest.number) : await blockOf(wish);
    if (number !== null) {
      const block = await blockAt(source, number);
      heeded.set(wallet, String(wish));
      return block;
    }
    if (unknown.get(wallet) !== wish) telemetry.warn("starting_tx_unknown", { chain, wallet, starting_tx: wish });
    unknown.set(wallet, String(wish));
    retry_at = world.elapsed() + retry_ms;
    return null;
  }

  /** The block of a transaction; null when two providers, or the only one, do not know it. Faults: one that refuses it. */
  async function blockOf(tx_hash: string): Promise<number | null> {
    const matter = { hashes: [tx_hash], heights: [] };
    const first = await source.fetchEvidence(matter, []);
    const known = first.receipts.get(tx_hash);
    if (known) return known.block.number;
    const second = await source.fetchEvidence(matter, [first.provider]).catch((error) => {
      if (error instanceof Fault && error.code === "second_opinion_missing") return null;
      throw error;
    });
    const receipt = second?.receipts.get(tx_hash);
    if (receipt) return receipt.block.number;
    const refusal = first.refused.get(tx_hash) ?? second?.refused.get(tx_hash);
    if (refusal !== undefined) throw refusal;
    return null;
  }

  /**
   * The first block to read. Without a wish of the merchant it is the last block before `added_at` less the clock skew,
   * never the head of this moment: a chain that could not be reached when a deposit opened is read from then on.
   */
  async function beginFresh(latest: BlockRef, fresh: readonly WatchRow[], settings: ChainSettings): Promise<void> {
    for (const group of Map.groupBy(fresh, (watch) => `${watch.wallet} ${watch.added_at}`).values()) {
      const [first] = group;
      if (first === undefined) continue;
      const start =
        (await wished(latest, first.wallet, settings)) ??
        (await lastBlockBefore(source, latest, Math.floor(first.added_at / 1000) - max_chain_clock_skew_s));
      await watching.begin(
        group.map((watch) => watch.id),
        start,
      );
    }
  }

  /** Moves the beginnings of one wallet's watches down to the block that is wished now. */
  async function moveOne(latest: BlockRef, wallet: string, settings: ChainSettings): Promise<void> {
    const start = await wished(latest, wallet, settings);
    if (start === null) return;
    const later = database
      .read((at) => watchesOf(at, chain))
      .filter((watch) => watch.wallet === wallet && watch.start_block !== null && watch.start_block > start.number);
    if (later.length === 0) return;
    await watching.begin(
      later.map((watch) => watch.id),
      start,
    );
    telemetry.info("watch_begins_earlier", { chain, wallet, block: start.number });
  }

  return {
    async begun(latest, settings) {
      const known = database.read((at) => watchesOf(at, chain));
      // A first block above the head was taken from a head that was not there: no block from it on may ever come.
      const fresh = known.filter((watch) => watch.start_block === null || watch.start_block > latest.number);
      if (fresh.length === 0) return known;
      const failed = await beginFresh(latest, fresh, settings).catch(asFault);
      const begun = database.read((at) => watchesOf(at, chain)).filter((watch) => watch.start_block !== null);
      if (failed instanceof Fault) {
        // A new wallet holds up no other: it is tried again at the next poll.
        if (begun.length === 0) throw failed;
        telemetry.warn("start_not_looked_up", { chain, wallet: fresh[0]?.wallet, error: errorText(failed) });
      }
      return begun;
    },

    async moveDown(latest, settings) {
      if (world.elapsed() < retry_at) return;
      for (const { chain: at, address } of config.current().wallets) {
        const wish = at === chain ? wishFor(address, settings) : null;
        if (wish === null || heeded.get(address) === String(wish)) continue;
        try {
          await moveOne(latest, address, settings);
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
          retry_at = world.elapsed() + retry_ms;
          telemetry.warn("start_not_looked_up", { chain, wallet: address, error: error.code });
          return;
        }
      }
    },
  };
}

/**
 * The last block with a time before `time` (seconds); block 0 when the chain is younger. Many blocks may share a
 * timestamp: the block after it is the first of its second.
 */
async function lastBlockBefore(source: Source, latest: BlockRef, time: number): Promise<BlockRef> {
  if (latest.time < time) return latest;
  let above = latest;
  let below: BlockRef | null = null;
  // Steps back in doubling strides first: the block is near the head unless the chain was away for long.
  for (let step = 0, stride = 16; step < bisection_steps_max; step += 1, stride *= 2) {
    const probe = below === null ? Math.max(0, above.number - stride) : Math.floor((below.number + above.number) / 2);
    if (below !== null && above.number - below.number <= 1) return below;
    const block = await blockAt(source, probe);
    if (block.time < time) below = block;
    else if (probe === 0) return block;
    else above = block;
  }
  throw new Fault("provider_inconsistent", "a later block has an earlier time");
}

function asFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  throw error;
}

async function blockAt(source: Source, number: number): Promise<BlockRef> {
  const [block] = await source.blocks([number]);
  if (block === null || block === undefined) throw new Fault("provider_lagging");
  return block;
}
