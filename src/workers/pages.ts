// One page of a chain, from the question to settlement: what both passes of the scan have in common. Decides nothing about
// which page is next.

import type { Providers, Question } from "../chains/source.ts";
import type { ChainId } from "../domain/assets.ts";
import { gaps, type Range, union } from "../domain/coverage.ts";
import { type Code, Fault } from "../domain/errors.ts";
import type { BlockRef } from "../domain/finality.ts";
import type { Transfer } from "../domain/payment.ts";
import type { Settlement } from "../services/settlement.ts";
import type { ChainEnd } from "../storage/chains.ts";
import { coveredOn, type Pass, type WatchRow } from "../storage/coverage.ts";
import type { Database } from "../storage/database.ts";
import type { World } from "../world.ts";
import type { Evidence, ProvedPage } from "./evidence.ts";
import type { UnreadBlocks } from "./unread.ts";

/** Pages read by one poll: catching up never keeps the confirmations of this minute waiting. */
export const pages_per_poll_max = 20;
/** Refusals that say nothing of a range, and those that say nothing but. */
const of_us: readonly Code[] = ["wrong_chain_id", "provider_refused", "provider_rate_limited"];
const always_of_range: readonly Code[] = ["provider_archive_only", "provider_range_too_large"];

export interface Pages {
  /** Blocks up to `head` that some watch has not read, lowest first. */
  missing(watches: readonly WatchRow[], head: number): Range[];
  /** One question for all watches. */
  ask(watches: readonly WatchRow[], range: Range, mark: BlockRef | null): Question;
  /** Finds what left the chain, and hands the page to settlement; blocks with unproved transactions stay uncovered. */
  takeIn(page: ProvedPage, pass: Pass, watches: readonly WatchRow[], end: ChainEnd): Promise<void>;
  /**
   * Why nobody serves a range, which is then read in parts: one bad block costs no other. Throws what is no matter of the
   * range: nobody is well, we are not wanted, or the head is ahead of who was asked.
   */
  unserved(error: unknown, is_newest: boolean): Fault;
}

/** The pages of one chain. */
export function createPages(needs: {
  chain: ChainId;
  source: Providers;
  evidence: Evidence;
  unread: UnreadBlocks;
  database: Database;
  settlement: Settlement;
  world: World;
}): Pages {
  const { chain, source, evidence, unread, database, settlement, world } = needs;

  function missing(watches: readonly WatchRow[], head: number): Range[] {
    const covered = database.read((at) => coveredOn(at, chain));
    return union(watches.flatMap((watch) => gaps(covered.get(watch.id) ?? [], watch.start_block ?? 0, head)));
  }

  function ask(watches: readonly WatchRow[], range: Range, mark: BlockRef | null): Question {
    const wallets = [...new Set(watches.map((watch) => watch.wallet))];
    const tokens = [...new Set(watches.map((watch) => watch.token))];
    return { ...range, wallets, tokens, mark: mark?.number ?? null };
  }

  async function takeIn(
    { answer, transfers, unproved }: ProvedPage,
    pass: Pass,
    watches: readonly WatchRow[],
    end: ChainEnd,
  ): Promise<void> {
    const gone = await evidence.findGone(answer, transfers, pass === "final");
    for (const one of unproved) unread.note(one);
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
      unread: unproved.map(({ block }) => block),
      gone,
      chainEnd: end,
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
function isOwed(watches: readonly WatchRow[], { wallet, token, block }: Transfer): boolean {
  const watch = watches.find((one) => one.wallet === wallet && one.token === token);
  return watch === undefined || block.number >= (watch.start_block ?? 0);
}
