// Asks a chain for its head when deposits are opened: a block up to there is older than they are. Holds nobody up; an
// answer that comes late, or from a head that the chain does not keep, changes nothing.

import type { Providers } from "../chains/source.ts";
import type { ChainId } from "../domain/assets.ts";
import { codeOf, Fault, wordsOf } from "../domain/errors.ts";
import type { BlockRef } from "../domain/finality.ts";
import type { Watching } from "../services/watching.ts";
import { chainRow, secondsPerBlock } from "../storage/chains.ts";
import type { Database } from "../storage/database.ts";
import type { Telemetry } from "../telemetry.ts";
import type { World } from "../world.ts";

/** Nobody can know an amount, sign a transfer of it and have it mined sooner. A later answer may be above a payment. */
const answer_max_ms = 1000;
const question_interval_ms = 1000;
/** Of more deposits that are opened between two questions, the others keep the head of the last poll. */
const waiting_max_deposits = 1000;
/** Heads that no poll has looked at yet; while there are so many, no further one counts. */
const unreviewed_max_heads = 20;
/** Polls after which a head that nobody serves any more is taken for lost. */
const reviews_max = 10;
/** Blocks by which a head may be ahead of what the chain's pace allows. */
const ahead_max_blocks = 16;

export interface OpeningHeads {
  /** A deposit was opened: asks for the head at once, or within a second where others were asked for. */
  opened(deposit: number): void;
  /**
   * Looks whether the heads that were heard before `asked_at` (monotonic, ms) stand below `latest`, the head of a poll
   * that began then. Those that do not are forgotten: time alone decides about their deposits.
   */
  review(latest: BlockRef, asked_at: number): Promise<void>;
  /** Asks nothing more. */
  stop(): void;
}

interface Heard {
  head: BlockRef;
  /** The lowest head that a deposit was given because of it. */
  lowest: number;
  heard_at: number;
  reviews: number;
}

/** The heads at which deposits of one chain are opened. */
export function createOpeningHeads(needs: {
  chain: ChainId;
  source: Pick<Providers, "heads" | "blocks">;
  database: Database;
  watching: Watching;
  world: World;
  telemetry: Telemetry;
}): OpeningHeads {
  const { chain, source, database, watching, world, telemetry } = needs;
  let waiting: { deposit: number; opened_at: number }[] = [];
  let unreviewed: Heard[] = [];
  let asked_last_at = Number.NEGATIVE_INFINITY;
  let isAsking = false;
  let cancelTimer: (() => void) | null = null;
  let isFirstReview = true;
  let stopped = false;

  function askSoon(): void {
    if (stopped || isAsking || cancelTimer !== null || waiting.length === 0) return;
    const wait = asked_last_at + question_interval_ms - world.elapsed();
    // Never at once: one question is for all deposits of a commit.
    cancelTimer = world.timer(Math.max(0, wait), () => {
      cancelTimer = null;
      void ask();
    });
  }

  async function ask(): Promise<void> {
    const asked_at = world.elapsed();
    asked_last_at = asked_at;
    isAsking = true;
    try {
      const { latest } = await source.heads([]);
      if (!stopped) await raise(latest);
    } catch (error) {
      // Without an answer the head of the last poll stays.
      if (!(error instanceof Fault)) {
        telemetry.error("opening_head_failed", { chain, code: codeOf(error), error: wordsOf(error) });
      }
    } finally {
      isAsking = false;
      const oldest = world.elapsed() - answer_max_ms;
      waiting = waiting.filter(({ opened_at }) => opened_at > asked_at && opened_at >= oldest);
      askSoon();
    }
  }

  /** Gives this head to the deposits that were opened within the last second, less the blocks made since. */
  async function raise(head: BlockRef): Promise<void> {
    const now = world.elapsed();
    const open = waiting.filter(({ opened_at }) => now - opened_at <= answer_max_ms);
    if (open.length === 0 || unreviewed.length >= unreviewed_max_heads) return;
    const { row, least } = database.read((at) => ({
      row: chainRow(at, chain),
      least: secondsPerBlock(at, chain).least,
    }));
    const passed_s = Math.max(0, world.now() - (row?.last_read_at ?? 0)) / 1000;
    if (row?.head_number == null || head.number > row.head_number + passed_s / least + ahead_max_blocks) return;
    const raised = open.map(({ deposit, opened_at }) => {
      const made = Math.floor((now - opened_at) / 1000 / least);
      return { deposit, head: head.number - made };
    });
    const lowest = Math.min(...raised.map((one) => one.head));
    await watching.raiseOpened(raised);
    // Only now: a poll that began before has not seen it.
    unreviewed.push({ head, lowest, heard_at: world.elapsed(), reviews: 0 });
  }

  /** The header that stands at each of these heights; null where nobody serves one. */
  async function standing(heads: readonly BlockRef[], latest: BlockRef): Promise<Map<number, BlockRef | null>> {
    const known = new Map<number, BlockRef | null>([[latest.number, latest]]);
    const numbers = [...new Set(heads.map((head) => head.number))].filter((number) => number < latest.number);
    if (numbers.length === 0) return known;
    try {
      const headers = await source.blocks(numbers);
      for (const [index, number] of numbers.entries()) known.set(number, headers[index] ?? null);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
    }
    return known;
  }

  return {
    opened(deposit) {
      if (waiting.length >= waiting_max_deposits) return;
      waiting.push({ deposit, opened_at: world.elapsed() });
      askSoon();
    },

    async review(latest, asked_at) {
      if (isFirstReview) {
        // The run before this one may have ended before it had looked at a head again.
        const recorded = database.read((at) => chainRow(at, chain))?.head_number ?? null;
        if (recorded !== null) await watching.forgetOpened(chain, recorded);
        isFirstReview = false;
      }
      const due = unreviewed.filter(({ heard_at }) => heard_at <= asked_at);
      if (due.length === 0) return;
      const headers = await standing(
        due.map(({ head }) => head),
        latest,
      );
      const lost: Heard[] = [];
      for (const one of due) {
        one.reviews += 1;
        const header = headers.get(one.head.number) ?? null;
        const isGone = header === null ? one.head.number > latest.number : header.hash !== one.head.hash;
        if (isGone || (header === null && one.reviews >= reviews_max)) lost.push(one);
        else if (header === null) continue;
        unreviewed = unreviewed.filter((other) => other !== one);
      }
      if (lost.length > 0) await watching.forgetOpened(chain, Math.min(...lost.map(({ lowest }) => lowest)) - 1);
    },

    stop() {
      stopped = true;
      cancelTimer?.();
    },
  };
}
