// Which transfers with a met policy one poll confirms, and what is remembered of them between polls. A batch is bounded and
// the next one goes on after it, so that payments which are held back never block others.

import type { ChainId } from "../../domain/assets.ts";
import type { FinalReach } from "../../domain/finality.ts";
import type { Database } from "../../storage/engine/database.ts";
import { type TransferRow, waitingPolicies, waitingTransfers } from "../../storage/transfers.ts";

/** Transfers of one policy per batch: those bound to a deposit, and the others. */
const bound_per_batch_max = 500;
const unbound_per_batch_max = 100;

/** What is remembered of a transfer until it is confirmed. Times are on `world.elapsed()`. */
export interface ConfirmationMemory {
  /** Since when it waits for a second opinion. */
  waiting_since: number | null;
  /** Whether it was disputed when it was last looked at. */
  is_disputed: boolean;
  /** When its dispute was last logged. */
  alerted_at: number | null;
  /** Why it does not count yet, in words for the operator. */
  held: string | null;
}

/** A transfer to confirm, and what is remembered of it, which the caller updates. */
export interface QueuedTransfer {
  row: TransferRow;
  memory: ConfirmationMemory;
}

export interface ConfirmationQueue {
  /**
   * The next transfers of every policy within its reach, bound to a deposit or not; lowest first. After the last one it
   * starts from the lowest again.
   */
  next(is_bound: boolean, reach: (finality: string) => FinalReach): QueuedTransfer[];
  /** One reason for each transfer that is held back, also of those outside the last batch. */
  held(): string[];
}

/** One pass over all transfers of a policy, which may take several batches. */
interface Sweep {
  /** The last transfer that was taken; null at the beginning. */
  after: { block: number; id: number } | null;
  seen: Map<number, ConfirmationMemory>;
}

/** The current pass and the previous one. */
interface Sweeps {
  now: Sweep;
  before: Sweep;
}

/** The empty queue of one chain. */
export function createConfirmationQueue({
  chain,
  database,
}: {
  chain: ChainId;
  database: Database;
}): ConfirmationQueue {
  /** By policy. What the previous pass saw is kept until the transfer is seen again or is gone. */
  let sweeps = { bound: new Map<string, Sweeps>(), unbound: new Map<string, Sweeps>() };

  function takeOn(finality: string, is_bound: boolean, through: FinalReach): QueuedTransfer[] {
    const known = sweeps[is_bound ? "bound" : "unbound"];
    const limit = is_bound ? bound_per_batch_max : unbound_per_batch_max;
    const { now, before } = known.get(finality) ?? { now: begin(), before: begin() };
    const rows = database.read((at) =>
      waitingTransfers(at, chain, finality, is_bound, { after: now.after, through, limit }),
    );
    const batch = rows.map((row) => ({ row, memory: now.seen.get(row.id) ?? before.seen.get(row.id) ?? blank() }));
    for (const { row, memory } of batch) {
      before.seen.delete(row.id);
      now.seen.set(row.id, memory);
    }
    const last = rows.at(-1);
    const isOver = last === undefined || rows.length < limit;
    if (!isOver) now.after = { block: last.block_number, id: last.id };
    known.set(finality, isOver ? { now: begin(), before: now } : { now, before });
    return batch;
  }

  return {
    next(is_bound, reach) {
      const policies = database.read((at) => waitingPolicies(at, chain));
      const kept = (known: Map<string, Sweeps>) =>
        new Map([...known].filter(([finality]) => policies.includes(finality)));
      sweeps = { bound: kept(sweeps.bound), unbound: kept(sweeps.unbound) };
      return policies
        .flatMap((finality) => takeOn(finality, is_bound, reach(finality)))
        .sort((a, b) => a.row.block_number - b.row.block_number || a.row.id - b.row.id);
    },
    held: () =>
      [...sweeps.bound.values(), ...sweeps.unbound.values()]
        .flatMap(({ now, before }) => [...now.seen.values(), ...before.seen.values()])
        .flatMap(({ held }) => held ?? []),
  };
}

const begin = (): Sweep => ({ after: null, seen: new Map() });
const blank = (): ConfirmationMemory => ({ waiting_since: null, is_disputed: false, alerted_at: null, held: null });
