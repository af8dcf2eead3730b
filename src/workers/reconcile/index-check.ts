// Compares recorded transfers with what an index of the chain tells, wallet by wallet, every hour: what the scan missed is
// looked up by its receipt and handed to settlement. An index that is down or wrong costs a warning, never a payment.

import type { History, IndexHint } from "../../chains/history.ts";
import type { Source } from "../../chains/source.ts";
import type { ChainSettings } from "../../config/config.ts";
import type { ChainId } from "../../domain/assets.ts";
import { coveredThrough } from "../../domain/coverage.ts";
import { Fault } from "../../domain/errors.ts";
import type { BlockRef } from "../../domain/finality.ts";
import type { Transfer } from "../../domain/payment.ts";
import type { IndexReconciliation } from "../../services/index-reconciliation.ts";
import type { Settlement } from "../../services/settlement.ts";
import { type ComparedRow, dueComparisons, transfersTo } from "../../storage/compared.ts";
import { coveredIntervals, type WatchRow, watchesOf } from "../../storage/coverage.ts";
import type { Database } from "../../storage/engine/database.ts";
import { isUnrecorded } from "../../storage/transfers.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import { createTransferLookup } from "../scan/transfer-lookup.ts";

/** How often it looks whether a wallet is due. */
const tick_ms = 60_000;
const compare_interval_ms = 3_600_000;
const after_failure_ms = 600_000;
const wallets_per_tick_max = 5;
/** Compared again each time, because an index may have been a little behind. */
const overlap_s = 600;
/** The first comparison of a wallet looks back so far, and no comparison looks back further than the second. */
const first_stretch_s = 86_400;
const longest_stretch_s = 7 * 86_400;
/** A transfer that the index does not know by then is a doubt. */
const doubt_after_s = 3_600;
/** Blocks over which the pace of the chain is measured. */
const pace_blocks = 1_000;
/** Transactions looked up per comparison: more missing than that are found by the next ones. */
const receipts_max = 100;

export interface IndexCheck {
  /** Compares the wallets that are due, a few at a time. */
  run(): Promise<void>;
  period_ms(): number;
}

/** The comparison of one chain with the index that `history` gives; null where there is none to ask. */
export function createIndexCheck(needs: {
  chain: ChainId;
  settings(): ChainSettings;
  history(settings: ChainSettings): History | null;
  source: Source;
  database: Database;
  settlement: Settlement;
  indexReconciliation: IndexReconciliation;
  world: World;
  telemetry: Telemetry;
}): IndexCheck {
  const { chain, settings, source, database, settlement, indexReconciliation, world, telemetry } = needs;
  const lookUp = createTransferLookup({ database, sourceOf: () => source });
  let asked: { settings: ChainSettings; history: History | null } | null = null;
  let not_before = Number.NEGATIVE_INFINITY;

  /** The index of the live settings. That there is none is said once. */
  function historyNow(): History | null {
    const now = settings();
    if (asked?.settings === now) return asked.history;
    const history = needs.history(now);
    if (history === null && asked?.history !== null) telemetry.info("no_index_to_compare_with", { chain });
    asked = { settings: now, history };
    return history;
  }

  async function run(): Promise<void> {
    const history = historyNow();
    if (history === null || world.elapsed() < not_before) return;
    await indexReconciliation.want(chain);
    const times = { now: world.now(), before: world.now() - compare_interval_ms };
    try {
      for (const row of database.read((at) => dueComparisons(at, chain, times, wallets_per_tick_max))) {
        await compare(history, row);
      }
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      not_before = world.elapsed() + Math.max(after_failure_ms, (error.retry_after_s ?? 0) * 1000);
      telemetry.warn("history_not_compared", { chain, code: error.code, error: error.message });
      await indexReconciliation.failed(chain, `${error.code}: ${error.message}`);
    }
  }

  async function compare(history: History, row: ComparedRow): Promise<void> {
    const { wallet } = row;
    const watches = database.read((at) => watchesOf(at, chain)).filter((watch) => watch.wallet === wallet);
    const through = finalThrough(watches);
    if (through === null) return;
    const [to, earlier] = await headers([through, Math.max(0, through - pace_blocks)]);
    const first = Math.min(...watches.map((watch) => watch.start_block ?? through));
    const [from] = await headers([firstBlock(row, to, earlier, first)]);

    const tokens = watches.map((watch) => watch.token);
    const mentions = (await history.incoming({ wallet, tokens, from, to })).filter((one) => isWithin(one, from, to));
    const stored = database.read((at) => transfersTo(at, chain, wallet, from.number, to.number));
    const hashes = [...new Set(unmatched(mentions, stored).map(({ tx_hash }) => tx_hash))];
    const missing = await missingOf(wallet, hashes.slice(0, receipts_max));
    if (missing.length > 0) await settlement.admit(missing, `missed by the scan, told by ${history.provider}`);

    const of = { chain, wallet, provider: history.provider, missed: missing.length };
    const since = row.doubted_block ?? from.number - 1;
    if (hashes.length > receipts_max) {
      // The same stretch again: what was admitted now is known then.
      return indexReconciliation.done({
        ...of,
        block: row.block,
        block_time: row.block_time,
        doubted_block: row.doubted_block,
        doubts: 0,
      });
    }
    // Only what was compared an hour ago is old enough to be missed by an index.
    const is_old = row.block_time !== null && (row.block_time + doubt_after_s) * 1000 <= world.now();
    const doubted_block = is_old && row.block !== null ? row.block : since;
    const old = stored.filter(({ block_number }) => block_number > since && block_number <= doubted_block);
    const doubts = unmatched(old, mentions).length;
    await indexReconciliation.done({ ...of, block: to.number, block_time: to.time, doubted_block, doubts });
  }

  /** Transfers to the wallet in these transactions that are not recorded as they stand; those of no mined one are none. */
  async function missingOf(wallet: string, hashes: readonly string[]): Promise<Transfer[]> {
    const found: Transfer[] = [];
    for (const tx_hash of hashes) found.push(...((await lookUp(chain, tx_hash)) ?? []));
    return database.read((at) => found.filter((one) => one.wallet === wallet && isUnrecorded(at, one)));
  }

  /** The block through which all contracts of a wallet were read finally. */
  function finalThrough(watches: readonly WatchRow[]): number | null {
    const ends = database.read((at) =>
      watches.map(({ id, start_block }) =>
        start_block === null ? null : (coveredThrough(coveredIntervals(at, id, "final"), start_block)?.to ?? null),
      ),
    );
    return ends.length === 0 || ends.includes(null) ? null : Math.min(...ends.map((end) => end ?? 0));
  }

  async function headers(numbers: readonly number[]): Promise<[BlockRef, BlockRef]> {
    const [first, second] = await source.blocks(numbers);
    if (first == null || second === null) throw new Fault("provider_lagging", "does not know a block that was final");
    return [first, second ?? first];
  }

  /** Where a comparison begins, by the pace of the chain. */
  function firstBlock(row: ComparedRow, to: BlockRef, earlier: BlockRef, first: number): number {
    const pace = (to.number - earlier.number) / Math.max(1, to.time - earlier.time);
    const back = (from: number, seconds: number) => from - Math.ceil(pace * seconds);
    const before = row.block === null ? null : Math.min(row.block, row.doubted_block ?? row.block);
    const wished = before === null ? back(to.number, first_stretch_s) : back(before + 1, overlap_s);
    return Math.min(to.number, Math.max(first, 0, wished, back(to.number, longest_stretch_s)));
  }

  return { run, period_ms: () => tick_ms };
}

/** The fields by which an index entry and a stored transfer are compared. */
type ComparedTransfer = Pick<IndexHint, "tx_hash" | "token"> & { units: bigint | string };

/** Entries of `listed` beyond those in `known`; equal transfers of one transaction count separately. */
function unmatched<T extends ComparedTransfer>(listed: readonly T[], known: readonly ComparedTransfer[]): T[] {
  const name = ({ tx_hash, token, units }: ComparedTransfer) => `${tx_hash} ${token} ${units}`;
  const left = new Map<string, number>();
  for (const one of known) left.set(name(one), (left.get(name(one)) ?? 0) + 1);
  return listed.filter((one) => {
    const count = left.get(name(one)) ?? 0;
    left.set(name(one), count - 1);
    return count <= 0;
  });
}

function isWithin({ block, time, units }: IndexHint, from: BlockRef, to: BlockRef): boolean {
  if (units === 0n) return false;
  return block === null ? time >= from.time && time <= to.time : block >= from.number && block <= to.number;
}
