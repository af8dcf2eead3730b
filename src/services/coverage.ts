// What can be said of every wallet: up to where each of its transfers is accounted for, what is outstanding, and why.
// Says only what the rows prove; a stretch that was not read completely is outstanding, however likely it is empty.

import type { Config } from "../config/config.ts";
import type { ChainId } from "../domain/assets.ts";
import { coveredThrough, gaps, type Interval, type Range } from "../domain/coverage.ts";
import { fromUnits } from "../domain/money.ts";
import { allChains, type ChainRow } from "../storage/chains.ts";
import {
  allChecks,
  type CheckpointRow,
  type CheckRow,
  checkpointsOn,
  type OpenCase,
  openCases,
} from "../storage/checks.ts";
import { coverageByWatch, type WatchRow, watchesOf } from "../storage/coverage.ts";
import type { Reader } from "../storage/engine/database.ts";

/** Gaps listed one by one; of the rest only the number is told. */
const gaps_listed_max = 10;

/** The end of a stretch: a block, and its time in seconds where that is known. */
export interface GapEnd {
  block: number;
  time: number | null;
}

/** A change of a balance that recorded transfers do not explain. */
export interface UnexplainedChange {
  id: number;
  /** It happened after this block, */
  after_block: number;
  /** and no later than this one. */
  through_block: number;
  /** Decimal text with a sign: by how much the balance grew more than recorded. */
  difference: string;
  /** ms */
  opened_at: number;
  /** Why it cannot be narrowed further, as a code. */
  stuck: string | null;
}

/** One contract on one wallet. */
export interface WatchCoverage {
  wallet: string;
  token: string;
  label: string;
  /** False for a contract that is watched, but accepted as no coin on this wallet. */
  offered: boolean;
  /** False for a wallet that left the configuration and is read for as long as somebody may still pay to it. */
  configured: boolean;
  /** Where the watch begins; null until its chain was reached for the first time. */
  from: GapEnd | null;
  /** Every transfer from `from` to here is accounted for; null while not even the first block was read. */
  through: GapEnd | null;
  /** Blocks up to the head that were not read; null while that is unknown. */
  outstanding: number | null;
  /** The first of the stretches that were not read, and how many there are. */
  gaps: Range[];
  gaps_count: number;
  /** Up to here everything was read once more after it could no longer change. */
  final_through: number | null;
  /** Who answered for what is accounted for. */
  providers: string[];
  /** Between these blocks every change of the balance was compared with recorded transfers; null before the first reading. */
  balance: { since_block: number; block: number; time: number } | null;
  unexplained: UnexplainedChange[];
}

export interface ChainCoverage {
  chain: ChainId;
  /** Null for a chain that was never heard of by this database. */
  row: ChainRow | null;
  watches: WatchCoverage[];
  /** How the comparisons with balances and with an index are doing; null before the first attempt. */
  balances: CheckRow | null;
  history: CheckRow | null;
}

/** The coverage of the configured chains, and of those that are read because they still owe a look. */
export function coverageOf(at: Reader, config: Config): ChainCoverage[] {
  const rows = new Map(allChains(at).map((row) => [row.chain, row]));
  const ids = new Set([...config.chains.keys(), ...rows.keys()]);
  const checks = allChecks(at);
  const checkOf = (chain: ChainId, kind: CheckRow["kind"]) =>
    checks.find((check) => check.chain === chain && check.kind === kind) ?? null;
  return [...ids].flatMap((chain) => {
    const watches = watchesOf(at, chain);
    if (watches.length === 0 && !config.chains.has(chain)) return [];
    const row = rows.get(chain) ?? null;
    const [all, final] = [coverageByWatch(at, chain), coverageByWatch(at, chain, "final")];
    const head = row?.head_number ?? null;
    const [checkpoints, cases] = [checkpointsOn(at, chain), openCases(at, chain)];
    return {
      chain,
      row,
      balances: checkOf(chain, "balances"),
      history: checkOf(chain, "history"),
      watches: watches.map((watch) => ({
        ...watchCoverage(watch, head, all.get(watch.id) ?? [], final.get(watch.id) ?? []),
        balance: balanceOf(checkpoints.get(watch.id)),
        unexplained: cases.filter((one) => one.watch === watch.id).map(unexplainedOf),
      })),
    };
  });
}

function balanceOf(row: CheckpointRow | undefined): WatchCoverage["balance"] {
  return row === undefined ? null : { since_block: row.since_block, block: row.block, time: row.block_time };
}

function unexplainedOf(row: OpenCase): UnexplainedChange {
  const units = BigInt(row.difference);
  const amount = fromUnits(units < 0n ? -units : units, row.decimals);
  return {
    id: row.id,
    after_block: row.from_block,
    through_block: row.to_block,
    difference: `${units < 0n ? "-" : "+"}${amount}`,
    opened_at: row.opened_at,
    stuck: row.stuck,
  };
}

function watchCoverage(
  watch: WatchRow,
  head: number | null,
  covered: readonly Interval[],
  final: readonly Interval[],
): Omit<WatchCoverage, "balance" | "unexplained"> {
  const { wallet, token, label, offered, active, start_block } = watch;
  const about = { wallet, token, label, offered, configured: active };
  if (start_block === null || head === null) {
    const none = { from: null, through: null, outstanding: null, gaps: [], gaps_count: 0 };
    return { ...about, ...none, final_through: null, providers: [] };
  }
  const end = coveredThrough(covered, start_block);
  const missing = gaps(covered, start_block, head);
  return {
    ...about,
    from: { block: start_block, time: watch.start_time },
    through: end === null ? null : { block: end.to, time: end.time },
    outstanding: missing.reduce((sum, { from, to }) => sum + to - from + 1, 0),
    gaps: missing.slice(0, gaps_listed_max),
    gaps_count: missing.length,
    final_through: coveredThrough(final, start_block)?.to ?? null,
    providers: [...new Set(covered.map(({ provider }) => provider))].sort(),
  };
}
