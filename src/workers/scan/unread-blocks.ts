// Single blocks that no provider lets us read completely: left out of every range, tried again by themselves, told to the
// operator. A restart forgets them, and they are found again.

import type { ChainId } from "../../domain/assets.ts";
import { gaps, type Range } from "../../domain/coverage.ts";
import { errorText, type Fault } from "../../domain/errors.ts";
import type { Watching } from "../../services/watching.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";

/** Blocks tried again by one poll. */
const retried_per_poll_max = 5;
/** A block is tried again after a tenth of the time since it was first refused. */
const pause_per_age = 0.1;
const pause_max_ms = 600_000;
/** A block that stays unread is told again this often. */
const alert_interval_ms = 600_000;

/** Why a block is not read completely. */
export interface Obstacle {
  block: number;
  /** Null when the block's logs are refused, not one transaction. */
  tx_hash: string | null;
  /** Null when its words name it already. */
  provider: string | null;
  fault: Fault;
}

export interface UnreadBlocks {
  note(obstacle: Obstacle): void;
  /** The ranges without these blocks, highest part first within each. */
  without(ranges: readonly Range[]): Range[];
  /** Those that are to be tried again now. */
  due(): Range[];
  /** Forgets blocks that are not missing any more, and writes down why the others are. */
  settle(missing: readonly Range[]): Promise<void>;
}

interface Entry {
  why: string;
  /** On `world.elapsed()`. */
  since: number;
  retry_at: number;
  alerted_at: number;
}

/** The unread blocks of one chain; none is known yet. */
export function createUnreadBlocks(needs: {
  chain: ChainId;
  watching: Watching;
  world: World;
  telemetry: Telemetry;
}): UnreadBlocks {
  const { chain, watching, world, telemetry } = needs;
  const known = new Map<number, Entry>();
  /** What was written down last; undefined before the first time. */
  let stated: string | null | undefined;

  const asRanges = (): Range[] => [...known.keys()].map((block) => ({ from: block, to: block }));

  return {
    note({ block, tx_hash, provider, fault }) {
      const now = world.elapsed();
      const before = known.get(block);
      const since = before?.since ?? now;
      const where = tx_hash === null ? `block ${block}` : `block ${block}, transaction ${tx_hash}`;
      const is_due = before === undefined || now - before.alerted_at >= alert_interval_ms;
      if (is_due) {
        const txn = tx_hash ?? undefined;
        const by = provider ?? undefined;
        telemetry.warn("block_unread", { chain, block, txn, provider: by, code: fault.code, error: errorText(fault) });
        telemetry.count("block_unread", { chain });
      }
      known.set(block, {
        why: `${where}: ${fault.code}: ${provider === null ? "" : `${provider}: `}${errorText(fault)}`,
        since,
        retry_at: now + Math.min(pause_max_ms, (now - since) * pause_per_age),
        alerted_at: is_due ? now : before.alerted_at,
      });
    },
    without: (ranges) => ranges.flatMap(({ from, to }) => gaps(asRanges(), from, to).toReversed()),
    due: () =>
      [...known]
        .filter(([, { retry_at }]) => world.elapsed() >= retry_at)
        .sort(([, a], [, b]) => a.retry_at - b.retry_at)
        .slice(0, retried_per_poll_max)
        .map(([block]) => ({ from: block, to: block })),
    async settle(missing) {
      for (const block of known.keys()) {
        if (!missing.some(({ from, to }) => from <= block && block <= to)) known.delete(block);
      }
      const [first] = known.values();
      const more = known.size > 1 ? ` (and ${known.size - 1} more blocks)` : "";
      const reason = first === undefined ? null : `${first.why}${more}`;
      if (reason === stated) return;
      stated = reason;
      await watching.unread(chain, reason);
    },
  };
}
