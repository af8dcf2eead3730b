// Looks into balances that nothing explains: reads both sides of the range again, from another provider where there is
// one, lets settlement take in what the scan missed, and narrows what is left by readings in its middle.

import type { LogQuery, Source } from "../../chains/source.ts";
import type { ChainSettings } from "../../config/config.ts";
import type { ChainId } from "../../domain/assets.ts";
import { type BalanceChange, type BalanceGap, balanceGap, middleBlock, splitGap } from "../../domain/balances.ts";
import { intervalAt } from "../../domain/coverage.ts";
import { errorCode } from "../../domain/errors.ts";
import type { BalanceComparison } from "../../services/balance-comparison.ts";
import type { Settlement } from "../../services/settlement.ts";
import { gapOfCase, incomingBetween, type OpenCase, openCases } from "../../storage/checks.ts";
import { coveredBlocks } from "../../storage/coverage.ts";
import type { Database } from "../../storage/engine/database.ts";
import { isUnrecorded } from "../../storage/transfers.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import type { Evidence } from "../scan/evidence.ts";
import { createTransferRangeReader, outgoingOf, type TransferRangeReader } from "./transfer-range-reader.ts";

/** Pages per look; a longer stretch is read on at the next one. */
const pages_per_look_max = 20;
/** Readings of a balance per look: enough for a day of most chains. */
const middles_per_look_max = 16;
/** A case that cannot be narrowed is looked at again every hour of its first day, and then every day. */
const look_again_ms = 3_600_000;
const eager_looks = 24;
const look_rarely_ms = 86_400_000;

export interface CaseWork {
  /** Looks into the case that is next in line, if one is due. Faults: those of the source. */
  look(): Promise<void>;
}

/** The open cases of one chain. */
export function createCaseWork(needs: {
  chain: ChainId;
  settings(): ChainSettings;
  source: Source;
  evidence: Evidence;
  database: Database;
  settlement: Settlement;
  balances: BalanceComparison;
  world: World;
  telemetry: Telemetry;
}): CaseWork {
  const { chain, settings, source, evidence, database, settlement, balances, world, telemetry } = needs;
  /** The range that is being read, over several looks where it is long. */
  let reading: { key: string; in: TransferRangeReader; out: TransferRangeReader } | null = null;

  function isDue(one: OpenCase): boolean {
    if (one.looked_at === null || (one.stuck === null && one.to_block - one.from_block > 1)) return true;
    return world.now() - one.looked_at >= (one.looks < eager_looks ? look_again_ms : look_rarely_ms);
  }

  function readersOf(one: OpenCase): { in: TransferRangeReader; out: TransferRangeReader } {
    const key = `${one.id} ${one.from_block} ${one.to_block} ${one.looks}`;
    if (reading?.key === key) return reading;
    const before = database.read((at) => intervalAt(coveredBlocks(at, one.watch), one.from_block + 1))?.provider;
    const avoid = one.answered_by ?? before;
    const asked = { from: one.from_block + 1, to: one.to_block, wallets: [one.wallet], tokens: [one.token] };
    const { page_blocks } = settings().facts;
    const outgoing = async (question: LogQuery) => ({ answer: await source.read(question, avoid), transfers: [] });
    reading = {
      key,
      in: createTransferRangeReader({ read: (question) => evidence.read(question, avoid), asked, page_blocks }),
      out: createTransferRangeReader({ read: outgoing, asked: { ...asked, side: "out" }, page_blocks }),
    };
    return reading;
  }

  async function look(): Promise<void> {
    const due = database.read((at) => openCases(at, chain)).filter(isDue);
    const one = due.toSorted((a, b) => (a.looked_at ?? 0) - (b.looked_at ?? 0))[0];
    if (one === undefined) return;
    const readers = readersOf(one);
    const left = pages_per_look_max - (await readers.in.advance(pages_per_look_max));
    await readers.out.advance(left);
    if (!readers.in.isRead() || !readers.out.isRead()) return;

    reading = null;
    const missed = await takeIn(readers.in);
    const target = { chain, wallet: one.wallet, token: one.token };
    const incoming = database.read((at) => incomingBetween(at, target, one.from_block, one.to_block));
    const movements = [...incoming, ...outgoingOf(readers.out, one)];
    const whole = gapOfCase(one);
    const rest = balanceGap(whole.from, whole.to, movements);
    const { parts, stuck } = rest.difference === 0n ? { parts: [], stuck: null } : await narrowed(one, rest, movements);
    const answered_by = readers.in.pages.at(-1)?.answer.provider ?? "";
    await balances.narrow({ id: one.id, watch: one.watch, chain }, parts, { answered_by, stuck, missed });
    tell(one, parts, stuck);
  }

  /** Hands to settlement what the logs show and no row tells. Returns how many. */
  async function takeIn(incoming: TransferRangeReader): Promise<number> {
    const found = incoming.pages.flatMap(({ transfers }) => transfers);
    const missing = database.read((at) => found.filter((transfer) => isUnrecorded(at, transfer)));
    if (missing.length === 0) return 0;
    await settlement.admit(missing, "missed by the scan, shown by a balance");
    telemetry.error("transfers_missed_by_scan", { chain, found_by: "balances", transfers: missing.length });
    telemetry.count("transfers_missed_by_scan", { chain }, missing.length);
    return missing.length;
  }

  /** Halves a stretch by what was held in its middle for as long as one part alone stays unexplained. */
  async function narrowed(
    one: OpenCase,
    rest: BalanceGap,
    movements: readonly BalanceChange[],
  ): Promise<{ parts: BalanceGap[]; stuck: string | null }> {
    let stretch = rest;
    for (let readings = 0; readings < middles_per_look_max; readings++) {
      const middle = middleBlock(stretch);
      if (middle === null || one.stuck !== null) return { parts: [stretch], stuck: one.stuck };
      try {
        const { units } = await source.balances([one], middle);
        const [held] = units;
        if (held == null) return { parts: [stretch], stuck: "no_balance_stated" };
        const parts = splitGap(stretch, { block: middle, units: held }, movements);
        const [only] = parts;
        if (only === undefined || parts.length > 1) return { parts, stuck: null };
        stretch = only;
      } catch (error) {
        const code = errorCode(error);
        if (code !== "provider_archive_only" && code !== "provider_cannot_answer") throw error;
        return { parts: [stretch], stuck: code };
      }
    }
    return { parts: [stretch], stuck: null };
  }

  function tell(one: OpenCase, parts: readonly BalanceGap[], stuck: string | null): void {
    const about = { chain, wallet: one.wallet, token: one.token, case: one.id };
    if (parts.length === 0) return telemetry.info("balance_explained", about);
    if (one.looks > 0) return;
    for (const { from, to, difference } of parts) {
      telemetry.error("balance_unexplained", { ...about, after: from.block, through: to.block, difference, stuck });
    }
  }

  return { look };
}
