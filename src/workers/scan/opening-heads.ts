// Asks a chain for its head when deposits are opened. Never delays an opening; a late answer changes nothing. Never says
// by itself that a payment is too early: that takes the time of its block as well.

import type { Providers } from "../../chains/source.ts";
import type { ChainId } from "../../domain/assets.ts";
import { errorCode, errorText, Fault } from "../../domain/errors.ts";
import { isHeadTimeExpected } from "../../domain/matching.ts";
import type { Watching } from "../../services/watching.ts";
import { secondsPerBlock } from "../../storage/chains.ts";
import type { DepositRow } from "../../storage/deposits.ts";
import type { Database } from "../../storage/engine/database.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";

/** A later answer is ignored: a quick payer may have been shown the amount, signed a transfer and had it mined. */
const answer_max_ms = 500;
/** A few questions may follow at the first interval. Over time the second interval applies. */
const question_interval_ms = 250;
const usual_interval_ms = 1000;
const saved_ms = 3 * usual_interval_ms;
/** Of more deposits that are opened between two questions, the others keep the head of the last poll. */
const waiting_max_deposits = 1000;

type Opened = Pick<DepositRow, "id" | "opened_at" | "opened_ahead_ms">;

interface Opening {
  deposit: Opened;
  opened_elapsed: number;
}

export interface OpeningHeads {
  /** A deposit was opened: asks for the head soon. Deposits that are opened together share a question. */
  opened(deposit: Opened): void;
  /** Asks nothing more. */
  stop(): void;
}

/** The heads just after the openings of one chain's deposits. */
export function createOpeningHeads(needs: {
  chain: ChainId;
  source: Pick<Providers, "heads">;
  database: Database;
  watching: Pick<Watching, "headAfterOpening">;
  world: World;
  telemetry: Telemetry;
}): OpeningHeads {
  const { chain, source, database, watching, world, telemetry } = needs;
  let waiting: Opening[] = [];
  /** On `world.elapsed()`: the earliest time of the next question, and when it would be the usual interval's turn. */
  let [free_at, usual_at] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  let isAsking = false;
  let cancelTimer: (() => void) | null = null;
  let stopped = false;

  function askSoon(): void {
    if (stopped || isAsking || cancelTimer !== null || waiting.length === 0) return;
    const wait = Math.max(free_at, usual_at - saved_ms) - world.elapsed();
    // Never at once: one question is for all deposits of a commit.
    cancelTimer = world.timer(Math.max(0, wait), () => {
      cancelTimer = null;
      const asked = recent(waiting);
      waiting = [];
      if (asked.length > 0) void ask(asked);
    });
  }

  function recent(openings: readonly Opening[]): Opening[] {
    const since = world.elapsed() - answer_max_ms;
    return openings.filter(({ opened_elapsed }) => opened_elapsed >= since);
  }

  async function ask(asked: readonly Opening[]): Promise<void> {
    const now = world.elapsed();
    free_at = now + question_interval_ms;
    usual_at = Math.max(now, usual_at) + usual_interval_ms;
    isAsking = true;
    try {
      const { latest } = await source.heads([]);
      if (stopped) return;
      const block_ms = database.read((at) => secondsPerBlock(at, chain)).most * 1000;
      const inTime = recent(asked)
        .filter(({ deposit }) => isHeadTimeExpected(latest, deposit, { block_ms }))
        .map(({ deposit }) => deposit.id);
      if (inTime.length > 0) await watching.headAfterOpening(inTime, latest.number);
    } catch (error) {
      // Without an answer the head of the last poll decides.
      if (!(error instanceof Fault)) {
        telemetry.error("opening_head_failed", { chain, code: errorCode(error), error: errorText(error) });
      }
    } finally {
      isAsking = false;
      askSoon();
    }
  }

  return {
    opened(deposit) {
      // Without the chain's clock its answer would tell nothing.
      if (deposit.opened_ahead_ms === null || waiting.length >= waiting_max_deposits) return;
      waiting.push({ deposit, opened_elapsed: world.elapsed() });
      askSoon();
    },

    stop() {
      stopped = true;
      cancelTimer?.();
    },
  };
}
