// Which ripe transfers one round of second looks takes on, and what the rounds before made of them. A round is bounded:
// what it leaves, the next ones take on, so that payments which are held back keep no others from being looked at.

import type { ChainId } from "../../domain/assets.ts";
import type { FinalReach } from "../../domain/finality.ts";
import type { Database } from "../../storage/database.ts";
import { type TransferRow, waitingPolicies, waitingTransfers } from "../../storage/transfers.ts";

/** Of each policy: transfers that pay an order, and then the others, which must not keep those of the next poll waiting. */
const bound_per_round_max = 500;
const unbound_per_round_max = 100;

/** What is remembered of a transfer for as long as it is ripe. Times are on `world.elapsed()`. */
export interface Memory {
  /** Since when it waits for a second opinion. */
  waiting_since: number | null;
  /** Whether it was disputed when it was last looked at. */
  is_disputed: boolean;
  /** When its dispute was last told. */
  told_at: number | null;
  /** Why it does not count yet, in words for the operator. */
  held: string | null;
}

/** A transfer to be looked at, and what is remembered of it: for this round to bring up to date. */
export interface Ripe {
  row: TransferRow;
  memory: Memory;
}

export interface Rounds {
  /**
   * The next transfers of every policy, within what it reaches, bound to a deposit or not; lowest first.
   * When none is left above them, the next round begins from the lowest again.
   */
  next(is_bound: boolean, reach: (finality: string) => FinalReach): Ripe[];
  /** Why ripe transfers do not count yet, one reason for each, also of those that this round did not look at. */
  held(): string[];
}

/** One pass over all ripe transfers of a policy, which may take several rounds. */
interface Lap {
  /** The last transfer that was looked at; null at the beginning. */
  after: { block: number; id: number } | null;
  seen: Map<number, Memory>;
}

/** The pass that is going on, and the one before it. */
interface Laps {
  now: Lap;
  before: Lap;
}

/** The rounds of one chain. Nothing is remembered yet. */
export function createRounds({ chain, database }: { chain: ChainId; database: Database }): Rounds {
  /** By policy. What was seen on the lap before is kept until it has been looked at again, or is found to be gone. */
  let laps = { bound: new Map<string, Laps>(), unbound: new Map<string, Laps>() };

  function takeOn(finality: string, is_bound: boolean, through: FinalReach): Ripe[] {
    const known = laps[is_bound ? "bound" : "unbound"];
    const limit = is_bound ? bound_per_round_max : unbound_per_round_max;
    const { now, before } = known.get(finality) ?? { now: begin(), before: begin() };
    const rows = database.read((at) =>
      waitingTransfers(at, chain, finality, is_bound, { after: now.after, through, limit }),
    );
    const ripe = rows.map((row) => ({ row, memory: now.seen.get(row.id) ?? before.seen.get(row.id) ?? blank() }));
    for (const { row, memory } of ripe) {
      before.seen.delete(row.id);
      now.seen.set(row.id, memory);
    }
    const last = rows.at(-1);
    const isOver = last === undefined || rows.length < limit;
    if (!isOver) now.after = { block: last.block_number, id: last.id };
    known.set(finality, isOver ? { now: begin(), before: now } : { now, before });
    return ripe;
  }

  return {
    next(is_bound, reach) {
      const policies = database.read((at) => waitingPolicies(at, chain));
      const kept = (known: Map<string, Laps>) =>
        new Map([...known].filter(([finality]) => policies.includes(finality)));
      laps = { bound: kept(laps.bound), unbound: kept(laps.unbound) };
      return policies
        .flatMap((finality) => takeOn(finality, is_bound, reach(finality)))
        .sort((a, b) => a.row.block_number - b.row.block_number || a.row.id - b.row.id);
    },
    held: () =>
      [...laps.bound.values(), ...laps.unbound.values()]
        .flatMap(({ now, before }) => [...now.seen.values(), ...before.seen.values()])
        .flatMap(({ held }) => held ?? []),
  };
}

const begin = (): Lap => ({ after: null, seen: new Map() });
const blank = (): Memory => ({ waiting_since: null, is_disputed: false, told_at: null, held: null });
