// One page of a chain, from the question to settlement: what both passes of the scan have in common. Decides nothing about
// which page is next.

import type { LogQuery, Providers } from "../../chains/source.ts";
import type { ChainId } from "../../domain/assets.ts";
import { gaps, intervalAt, type Range, union } from "../../domain/coverage.ts";
import { type Code, Fault } from "../../domain/errors.ts";
import type { BlockRef } from "../../domain/finality.ts";
import type { Transfer } from "../../domain/payment.ts";
import type { Settlement } from "../../services/settlement.ts";
import type { ChainEnd } from "../../storage/chains.ts";
import { coverageByWatch, type Pass, type WatchRow } from "../../storage/coverage.ts";
import type { Database } from "../../storage/engine/database.ts";
import { isUnrecorded } from "../../storage/transfers.ts";
import type { World } from "../../world.ts";
import type { Evidence, ProvedPage } from "./evidence.ts";
import type { UnreadBlocks } from "./unread-blocks.ts";

/** Pages read by one poll: catching up never keeps the confirmations of this minute waiting. */
export const pages_per_poll_max = 20;
/** Refusals that say nothing of a range, and those that say nothing but. */
const of_us: readonly Code[] = ["wrong_chain_id", "provider_refused", "provider_rate_limited"];
const always_of_range: readonly Code[] = ["provider_archive_only", "provider_range_too_large"];

export interface PageReader {
  /** Blocks up to `head` that some watch has not read, lowest first. */
  missing(watches: readonly WatchRow[], head: number): Range[];
  /** One question for all watches. */
  ask(watches: readonly WatchRow[], range: Range, mark: BlockRef | null): LogQuery;
  /**
   * Finds what left the chain, and hands the page to settlement. Blocks with unproved transactions, and with transfers on
   * which the final pass and another reading differ undecided, stay uncovered. Resolves with them.
   */
  takeIn(page: ProvedPage, pass: Pass, watches: readonly WatchRow[], end: ChainEnd): Promise<number[]>;
  /**
   * Why nobody serves a range, which is then read in parts: one bad block costs no other. Throws what is no matter of the
   * range: nobody is well, we are not wanted, or the head is ahead of who was asked.
   */
  unserved(error: unknown, is_newest: boolean): Fault;
}

/** The pages of one chain. */
export function createPageReader(needs: {
  chain: ChainId;
  source: Providers;
  evidence: Evidence;
  unread: UnreadBlocks;
  database: Database;
  settlement: Settlement;
  world: World;
}): PageReader {
  const { chain, source, evidence, unread, database, settlement, world } = needs;

  function missing(watches: readonly WatchRow[], head: number): Range[] {
    const covered = database.read((at) => coverageByWatch(at, chain));
    return union(watches.flatMap((watch) => gaps(covered.get(watch.id) ?? [], watch.start_block ?? 0, head)));
  }

  function ask(watches: readonly WatchRow[], range: Range, mark: BlockRef | null): LogQuery {
    const wallets = [...new Set(watches.map((watch) => watch.wallet))];
    const tokens = [...new Set(watches.map((watch) => watch.token))];
    return { ...range, wallets, tokens, mark: mark?.number ?? null };
  }

  async function takeIn(page: ProvedPage, pass: Pass, watches: readonly WatchRow[], end: ChainEnd): Promise<number[]> {
    const late = lateOf(page.transfers, pass, watches);
    const { answer, transfers, unproved } = await evidence.corroborate(page, late);
    const { gone, undecided, lacking } = await evidence.findGone(answer, transfers, pass === "final");
    for (const one of [...unproved, ...undecided]) unread.note(one);
    const blocks = [...unproved, ...undecided].map(({ block }) => block);
    // The provider that shows a transfer stays the reader of its block, so that the final pass asks another one.
    const unread_before = missing(watches, answer.to);
    const kept = pass === "head" ? lacking.filter((block) => intervalAt(unread_before, block) === null) : [];
    world.point("scan.read");
    await settlement.ingest({
      chain,
      pass,
      watches: watches.map((watch) => watch.id),
      from: answer.from,
      end: answer.end,
      provider: answer.provider,
      zero_value: answer.zero_value,
      transfers: transfers.filter((transfer) => isOwed(watches, transfer)),
      unread: [...blocks, ...kept],
      gone,
      chainEnd: end,
    });
    return blocks;
  }

  /** New transfers that an earlier reading lacks: those that the final pass finds, or that a page shows after it. */
  function lateOf(transfers: readonly Transfer[], pass: Pass, watches: readonly WatchRow[]): Transfer[] {
    return database.read((at) => {
      const found = transfers.filter((transfer) => isOwed(watches, transfer) && isUnrecorded(at, transfer));
      if (pass === "final" || found.length === 0) return found;
      const covered = coverageByWatch(at, chain, "final");
      return found.filter((transfer) => {
        const watch = watchOf(watches, transfer);
        return watch !== undefined && intervalAt(covered.get(watch.id) ?? [], transfer.block.number) !== null;
      });
    });
  }

  function unserved(error: unknown, is_newest: boolean): Fault {
    if (!(error instanceof Fault) || of_us.includes(error.code)) throw error;
    if (always_of_range.includes(error.code)) return error;
    if (error.code === "provider_lagging" && is_newest) throw error;
    if (!source.reports().some(({ state }) => state === "well")) throw error;
    return error;
  }

  return { missing, ask, takeIn, unserved };
}

/**
 * False for a transfer before the block its watch began at. One question asks for all wallets, so the answer tells of
 * them too; nobody asked what was on a wallet before, and nobody could tell what it was for.
 */
function isOwed(watches: readonly WatchRow[], transfer: Transfer): boolean {
  return transfer.block.number >= (watchOf(watches, transfer)?.start_block ?? 0);
}

function watchOf(watches: readonly WatchRow[], { wallet, token }: Transfer): WatchRow | undefined {
  return watches.find((one) => one.wallet === wallet && one.token === token);
}
