// Compares what wallets hold with what was recorded, every hour and after every catch-up: a reading near the head, which
// any full node can give, is compared once its block is final and was read twice. Keeps its calls apart from the scan's.

import type { LogQuery, Source } from "../../chains/source.ts";
import type { ChainSettings } from "../../config/config.ts";
import type { ChainId } from "../../domain/assets.ts";
import { coveredThrough, gaps } from "../../domain/coverage.ts";
import { type Code, Fault } from "../../domain/errors.ts";
import type { BlockRef } from "../../domain/finality.ts";
import type { BalanceComparison, WatchReading } from "../../services/balance-comparison.ts";
import { chainRow } from "../../storage/chains.ts";
import { type CheckpointRow, checkpointsOn } from "../../storage/checks.ts";
import { coverageByWatch, type WatchRow, watchesOf } from "../../storage/coverage.ts";
import type { Database } from "../../storage/engine/database.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import type { CaseWork } from "./balance-cases.ts";
import { createTransferRangeReader, outgoingOf, type TransferRangeReader } from "./transfer-range-reader.ts";

/** How often it looks whether there is something to do. */
const tick_ms = 30_000;
const compare_interval_ms = 3_600_000;
const after_failure_ms = 300_000;
/** Wallets times contracts of one comparison; the others take their turn in the next ones. */
const readings_max = 200;
/** Pages of outgoing transfers per tick. */
const pages_per_tick_max = 20;
/** Full nodes keep the balances of about 128 blocks: a final block this close to the head is read itself, */
const final_near_head_blocks = 100;
/** and where finality takes longer, a block this far below the head, to be compared when it is final. */
const below_head_blocks = 64;
/** A reading that has not become final by then is given up for a fresh one. */
const reading_max_age_ms = 14_400_000;
/** Wallets that are not read finally by then, because of a long catch-up, do not hold up the others. */
const stragglers_wait_ms = 600_000;

/** Faults that the same provider will answer with again and again. */
const forgets: readonly Code[] = ["provider_cannot_answer", "provider_archive_only"];

export interface BalanceCheck {
  /** One step: a reading, a comparison, or a look into a case. */
  run(): Promise<void>;
  period_ms(): number;
}

interface Taken {
  block: BlockRef;
  provider: string;
  /** On `world.elapsed()`. */
  at: number;
  held: { watch: WatchRow; units: bigint }[];
  /** What left the wallets, by the block of the checkpoint it is counted from; begun once the rest is ready. */
  readers: Map<number, TransferRangeReader> | null;
}

/** The comparison of one chain. A provider that cannot answer is named in the coverage and asked again later. */
export function createBalanceCheck(needs: {
  chain: ChainId;
  settings(): ChainSettings;
  source: Source;
  database: Database;
  balances: BalanceComparison;
  cases: CaseWork;
  world: World;
  telemetry: Telemetry;
}): BalanceCheck {
  const { chain, settings, source, database, balances, cases, world, telemetry } = needs;
  let taken: Taken | null = null;
  let behind = false;
  /** The chain was caught up with: compare now, whatever the hour. */
  let asked = false;
  let not_before = Number.NEGATIVE_INFINITY;
  /** Said once, not every hour: the coverage keeps saying it. */
  let last_code: Code | null = null;
  /** Watches whose contract states no balance, until when. */
  const stateless = new Map<number, number>();

  async function run(): Promise<void> {
    if (world.elapsed() < not_before || !isCaughtUp()) return;
    try {
      if (taken !== null) return await mature(taken);
      const due = database.read(dueWatches);
      if (due.length > 0) await take(due);
      else await cases.look();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      taken = null;
      not_before = world.elapsed() + (forgets.includes(error.code) ? compare_interval_ms : after_failure_ms);
      if (error.code !== last_code) {
        telemetry.warn("balances_not_compared", { chain, code: error.code, error: error.message });
      }
      last_code = error.code;
      await balances.failed(chain, `${error.code}: ${error.message}`);
    }
  }

  function isCaughtUp(): boolean {
    const is_behind = database.read((at) => {
      const row = chainRow(at, chain);
      if (row?.head_number == null || row.stalled_since !== null) return true;
      const [head, covered] = [row.head_number, coverageByWatch(at, chain)];
      const page = settings().facts.page_blocks;
      const unread = (watch: WatchRow) => gaps(covered.get(watch.id) ?? [], watch.start_block ?? head, head);
      return watchesOf(at, chain).some((watch) => unread(watch).some(({ from, to }) => to - from >= page));
    });
    if (behind && !is_behind) asked = true;
    behind = is_behind;
    // While it is caught up with, what was read before the outage is still compared.
    return !is_behind || taken !== null;
  }

  function dueWatches(at: Parameters<typeof watchesOf>[0]): WatchRow[] {
    const known = checkpointsOn(at, chain);
    const since = (watch: WatchRow) => known.get(watch.id)?.checked_at ?? 0;
    return watchesOf(at, chain)
      .filter((watch) => watch.start_block !== null && (stateless.get(watch.id) ?? 0) <= world.elapsed())
      .filter((watch) => asked || world.now() - since(watch) >= compare_interval_ms)
      .sort((a, b) => since(a) - since(b))
      .slice(0, readings_max);
  }

  /** Reads what the wallets hold, at a block that is final or soon will be. */
  async function take(due: readonly WatchRow[]): Promise<void> {
    const { latest } = await source.heads([]);
    const final = database.read((at) => chainRow(at, chain))?.final_number ?? 0;
    const number = latest.number - final <= final_near_head_blocks ? final : latest.number - below_head_blocks;
    const begun = due.filter((watch) => (watch.start_block ?? number + 1) <= number);
    if (begun.length === 0) return;
    // Where a node keeps no past balances the newest are as good: they are compared when their block is final.
    const { block, units, provider } = await source.balances(begun, number, true);
    asked = false;
    const held = begun.flatMap((watch, i) => {
      const held = units[i];
      if (held != null) return { watch, units: held };
      const is_news = !stateless.has(watch.id);
      stateless.set(watch.id, world.elapsed() + compare_interval_ms);
      if (is_news) telemetry.warn("contract_states_no_balance", { chain, wallet: watch.wallet, token: watch.token });
      return [];
    });
    if (held.length > 0) taken = { block, provider, at: world.elapsed(), held, readers: null };
  }

  /** Compares a reading once everything below its block is final, read twice and known on both sides. */
  async function mature(reading: Taken): Promise<void> {
    const { block, provider, held } = reading;
    const age_ms = world.elapsed() - reading.at;
    if (age_ms > reading_max_age_ms) taken = null;
    const { final, checkpoints, covered } = database.read((at) => ({
      final: chainRow(at, chain)?.final_number ?? -1,
      checkpoints: checkpointsOn(at, chain),
      covered: coverageByWatch(at, chain, "final"),
    }));
    if (final < block.number) return;
    const ready = held.filter(({ watch }) => {
      const before = checkpoints.get(watch.id);
      if (before === undefined) return true;
      if (before.block >= block.number) return false;
      return (coveredThrough(covered.get(watch.id) ?? [], before.block + 1)?.to ?? -1) >= block.number;
    });
    const waiting =
      held.some(({ watch }) => (checkpoints.get(watch.id)?.block ?? -1) < block.number) && ready.length < held.length;
    if (waiting && (age_ms < stragglers_wait_ms || ready.length === 0)) return;

    reading.readers ??= readersOf(
      ready.map(({ watch }) => watch),
      checkpoints,
      block.number,
    );
    let pages = pages_per_tick_max;
    for (const reader of reading.readers.values()) pages -= await reader.advance(pages);
    if ([...reading.readers.values()].some((reader) => !reader.isRead())) return;
    const [now] = await source.blocks([block.number]);
    taken = null;
    // Its block was replaced after all: a fresh reading is due at once.
    if (now?.hash !== block.hash) return;
    const { readers } = reading;
    const readings = ready.map(({ watch, units }): WatchReading => {
      const side = readers.get(checkpoints.get(watch.id)?.block ?? block.number);
      return { watch, units, outgoing: side === undefined ? [] : outgoingOf(side, watch) };
    });
    if (await isStated(block, balances.disputed(block, readings))) {
      await balances.compare(chain, block, provider, readings);
      last_code = null;
    }
  }

  /** Reads once more what is about to become a case: one batch may have been answered by two nodes. */
  async function isStated(block: BlockRef, disputed: readonly WatchReading[]): Promise<boolean> {
    if (disputed.length === 0) return true;
    const watches = disputed.map(({ watch }) => watch);
    const again = await source.balances(watches, block.number).catch((error: unknown) => {
      // A node that has forgotten this block by now does not contradict itself.
      if (error instanceof Fault && forgets.includes(error.code)) return null;
      throw error;
    });
    const differs = again?.units.some((units, i) => units !== disputed[i]?.units) ?? false;
    if (differs) telemetry.warn("balances_contradict_themselves", { chain, block: block.number });
    return !differs;
  }

  function readersOf(
    watches: readonly WatchRow[],
    checkpoints: ReadonlyMap<number, CheckpointRow>,
    to: number,
  ): Map<number, TransferRangeReader> {
    const groups = Map.groupBy(watches, (watch) => checkpoints.get(watch.id)?.block ?? to);
    return new Map(
      [...groups].map(([after, group]) => {
        const wallets = [...new Set(group.map(({ wallet }) => wallet))];
        const tokens = [...new Set(group.map(({ token }) => token))];
        const asked = { from: after + 1, to, wallets, tokens, side: "out" as const };
        const read = async (question: LogQuery) => ({ answer: await source.read(question), transfers: [] });
        return [after, createTransferRangeReader({ read, asked, page_blocks: settings().facts.page_blocks })];
      }),
    );
  }

  return { run, period_ms: () => tick_ms };
}
