// What wallets hold against what was recorded: every change of a balance is explained by transfers, or becomes a case
// for a person. Compares and writes down; never changes a transfer or an order.

import type { ChainId } from "../domain/assets.ts";
import { type BalanceChange, type BalanceGap, balanceGap } from "../domain/balances.ts";
import type { BlockRef } from "../domain/finality.ts";
import {
  type CaseProgress,
  type CheckpointRow,
  checkpointOf,
  closeCase,
  countMissed,
  incomingBetween,
  insertCase,
  narrowCase,
  openCasesOf,
  putCheckpoint,
  recordCheck,
  recordCheckFailure,
} from "../storage/checks.ts";
import type { WatchRow } from "../storage/coverage.ts";
import type { Database, Reader, Tx } from "../storage/engine/database.ts";
import type { Telemetry } from "../telemetry.ts";

/** A wallet whose balance changes in ever new ways is one puzzle, not a hundred. */
const open_cases_per_watch_max = 8;

/** What a watch held at the block of a reading, and what left it since its last checkpoint (below zero). */
export interface WatchReading {
  watch: WatchRow;
  units: bigint;
  outgoing: readonly BalanceChange[];
}

export interface BalanceComparison {
  /** The readings at a final block that recorded transfers would not explain. Writes nothing. */
  disputed(block: BlockRef, readings: readonly WatchReading[]): WatchReading[];
  /**
   * Compares readings at one final block with the checkpoints before it, and makes them the next checkpoints. Their
   * stretches must have been read finally. Resolves with how many cases were opened.
   */
  compare(chain: ChainId, block: BlockRef, provider: string, readings: readonly WatchReading[]): Promise<number>;
  /** Writes down what a look into a case has left of it: the parts that stay unexplained, or none. */
  narrow(
    of: { id: number; watch: number; chain: ChainId },
    parts: readonly BalanceGap[],
    look: CaseNarrowing,
  ): Promise<void>;
  /** Balances could not be compared. */
  failed(chain: ChainId, error: string): Promise<void>;
}

/** A look into a case. */
export interface CaseNarrowing extends CaseProgress {
  /** Transfers it found that the scan had missed. */
  missed: number;
}

/** The comparison of balances over one database. */
export function createBalanceComparison(needs: { database: Database; telemetry: Telemetry }): BalanceComparison {
  const { database, telemetry } = needs;

  /** What a reading leaves unexplained since its checkpoint; null without one, or where all of it is explained. */
  function unexplained(
    at: Reader,
    before: CheckpointRow | null,
    block: BlockRef,
    reading: WatchReading,
  ): BalanceGap | null {
    if (before === null) return null;
    const { watch, units, outgoing } = reading;
    const incoming = incomingBetween(at, watch, before.block, block.number);
    const from = { block: before.block, units: BigInt(before.units) };
    const stretch = balanceGap(from, { block: block.number, units }, [...incoming, ...outgoing]);
    return stretch.difference === 0n ? null : stretch;
  }

  /** True when a case was opened. */
  function compareOne(tx: Tx, block: BlockRef, provider: string, reading: WatchReading): boolean {
    const { watch, units } = reading;
    const before = checkpointOf(tx, watch.id);
    const stretch = unexplained(tx, before, block, reading);
    putCheckpoint(tx, {
      watch: watch.id,
      block: block.number,
      block_time: block.time,
      units: units.toString(),
      since_block: block.number,
      provider,
      checked_at: tx.now,
    });
    if (before === null || stretch === null) return false;
    const open = openCasesOf(tx, watch.id);
    const opposite = open.find(
      (one) => one.to_block === before.block && BigInt(one.difference) === -stretch.difference,
    );
    if (opposite !== undefined) closeCase(tx, opposite.id, "stated_wrongly");
    else if (open.length < open_cases_per_watch_max) insertCase(tx, watch.id, stretch);
    return opposite === undefined;
  }

  return {
    disputed: (block, readings) =>
      database.read((at) =>
        readings.filter((one) => unexplained(at, checkpointOf(at, one.watch.id), block, one) !== null),
      ),

    async compare(chain, block, provider, readings) {
      const compared = readings.map((reading) =>
        database.transact((tx) => (compareOne(tx, block, provider, reading) ? [reading] : [])),
      );
      const opened = (await Promise.all(compared)).flat();
      await database.transact((tx) => recordCheck(tx, { chain, kind: "balances" }, { provider }));
      for (const { watch } of opened) {
        telemetry.error("balance_unexplained", {
          chain,
          wallet: watch.wallet,
          token: watch.token,
          through: block.number,
        });
        telemetry.count("balance_cases_opened", { chain });
      }
      return opened.length;
    },

    narrow: ({ id, watch, chain }, parts, { missed, ...look }) =>
      database.transact((tx) => {
        if (missed > 0) countMissed(tx, { chain, kind: "balances" }, missed);
        const room = open_cases_per_watch_max - openCasesOf(tx, watch).length + 1;
        const [first, ...others] = parts.length > room ? joined(parts) : parts;
        if (first === undefined) return closeCase(tx, id, missed > 0 ? "transfers_found" : "explained");
        narrowCase(tx, id, first, look);
        for (const other of others) insertCase(tx, watch, other);
      }),

    failed: (chain, error) => database.transact((tx) => recordCheckFailure(tx, { chain, kind: "balances" }, error)),
  };
}

/** The parts as the one stretch they came from. */
function joined(parts: readonly BalanceGap[]): BalanceGap[] {
  const [first] = parts;
  const last = parts.at(-1);
  if (first === undefined || last === undefined) return [];
  return [{ from: first.from, to: last.to, difference: parts.reduce((sum, { difference }) => sum + difference, 0n) }];
}
