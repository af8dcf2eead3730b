// The ends that time brings: orders that nobody paid expire, replays are forgotten. No order with a deposit expires before
// what was read of its chains proves that no payment is overlooked.

import type { LiveConfig } from "../config/config.ts";
import type { ChainId, Coin } from "../domain/assets.ts";
import { coveredThrough, type Interval } from "../domain/coverage.ts";
import { orderEndOnChain } from "../domain/matching.ts";
import { isPaymentSeen } from "../storage/bound-transfers.ts";
import { clockError } from "../storage/clocks.ts";
import { coveredBlocks, watchesOf } from "../storage/coverage.ts";
import { type DepositRow, openDepositsOf } from "../storage/deposits.ts";
import type { Database, Reader } from "../storage/engine/database.ts";
import { newestGeneration } from "../storage/generations.ts";
import { isHeldFor } from "../storage/held.ts";
import {
  dueOrders,
  dueWithoutDeposit,
  earliestExpiry,
  forgetCreations,
  type OrderRow,
  orderById,
} from "../storage/orders.ts";
import type { World } from "../world.ts";
import { createClockTrust } from "./clock-trust.ts";
import type { Crediting } from "./crediting.ts";

const expire_batch_max = 500;
const forget_batch_max = 1000;

export interface Expiry {
  /** Expires what may expire now; looks at a bounded number of orders per call. Resolves with how many expired. */
  expireDue(): Promise<number>;
  /** As `ClockTrust.beat`. */
  beat(): void;
  /** Forgets the answers of creations that can no longer be replayed; none while our clock may be wrong. */
  forgetCreations(): Promise<void>;
}

/** Expiry by the world's wall clock. */
export function createExpiry(needs: {
  database: Database;
  config: LiveConfig;
  crediting: Crediting;
  world: World;
}): Expiry {
  const { database, config, crediting, world } = needs;
  const trust = createClockTrust({ world });
  /** Whether our clock may decide alone: not just after it was set or we stood still, nor while it is known to be wrong. */
  const decides = (at: Reader, now: number) => trust.isSteady() && clockError(at, now) === null;
  // Orders that wait for their chain are looked at in turns, so that many of them never hide the next one.
  let turn = { expires_at: 0, seq: 0 };

  const terms = (at: Reader, now: number) => ({
    late_window_ms: config.current().orders.late_window_ms,
    clock_decides: decides(at, now),
  });

  const expire = (id: string): Promise<number> =>
    database.transact((tx) => {
      const order = orderById(tx, id);
      if (
        order?.status !== "pending" ||
        !mayExpire(tx, order, { now: tx.now, view: coverageView(tx), ...terms(tx, tx.now) })
      )
        return 0;
      crediting.end(tx, id, "expire");
      return 1;
    });

  return {
    beat: trust.beat,

    async expireDue() {
      const now = world.now();
      const due = database.read((at) => {
        if ((earliestExpiry(at) ?? now + 1) > now) return [];
        const free = dueWithoutDeposit(at, now, expire_batch_max).filter((id) => !isBeingPaid(at, id));
        const view = coverageView(at);
        const waiting = dueOrders(at, now, turn, expire_batch_max);
        const last = waiting.at(-1);
        turn = last !== undefined && waiting.length === expire_batch_max ? last : { expires_at: 0, seq: 0 };
        const ripe = waiting.filter((order) => mayExpire(at, order, { now, view, ...terms(at, now) }));
        return [...new Set([...free, ...ripe.map((order) => order.id)])];
      });
      const expired = await Promise.all(due.map(expire));
      return expired.reduce((sum, one) => sum + one, 0);
    },

    async forgetCreations() {
      if (!database.read((at) => decides(at, world.now()))) return;
      let forgotten: number;
      do forgotten = await database.transact((tx) => forgetCreations(tx, forget_batch_max));
      while (forgotten === forget_batch_max);
    },
  };
}

type CoverageView = (chain: ChainId, wallet: string, coin: Coin) => { start: number | null; covered: Interval[] }[];

/** Coverage of the contracts of a coin on a wallet, read once per chain and watch. */
function coverageView(at: Reader): CoverageView {
  const watches = new Map<ChainId, ReturnType<typeof watchesOf>>();
  const covered = new Map<number, Interval[]>();
  return (chain, wallet, coin) => {
    const all = watches.get(chain) ?? watchesOf(at, chain);
    watches.set(chain, all);
    return all
      .filter((watch) => watch.wallet === wallet && watch.coin === coin)
      .map((watch) => {
        const known = covered.get(watch.id) ?? coveredBlocks(at, watch.id);
        covered.set(watch.id, known);
        return { start: watch.start_block, covered: known };
      });
  };
}

interface Terms {
  now: number;
  view: CoverageView;
  late_window_ms: number;
  /** Whether our clock may end an order whose chains were not read past its end. */
  clock_decides: boolean;
}

/** True while an order may still be paid through another one. */
function isBeingPaid(at: Reader, order_id: string): boolean {
  return at.hooks.some((hook) => hook.isBeingPaid(at, order_id));
}

/**
 * An order expires once every chain it could be paid on was read past its end and no payment of it is seen; at the
 * latest when its late window is over, which lasts as long again after a restore.
 */
function mayExpire(at: Reader, order: OrderRow, { now, view, late_window_ms, clock_decides }: Terms): boolean {
  if (order.expires_at > now) return false;
  // Paying a dependent order pays this one: it ends after them, and they end by this very rule.
  if (isBeingPaid(at, order.id)) return false;
  const open = openDepositsOf(at, order.id).map((deposit) => {
    return { deposit, ends_at: orderEndOnChain({ ...deposit, expires_at: order.expires_at }) };
  });
  // A restored database knows nothing of what was paid since its copy was made: the chains come first.
  const restored_at = newestGeneration(at)?.began_at ?? 0;
  const last_end = Math.max(order.expires_at, restored_at, ...open.map(({ ends_at }) => ends_at));
  if (clock_decides && last_end + late_window_ms <= now) return true;
  return open.every(
    ({ deposit, ends_at }) =>
      isReadPast(deposit, ends_at, view) && !isPaymentSeen(at, deposit.id) && !isHeldFor(at, deposit.id),
  );
}

/** True when the blocks from the deposit's opening to one after `until` (ms) were all read. More blocks may share its second. */
function isReadPast(deposit: DepositRow, until: number, view: CoverageView): boolean {
  const watched = view(deposit.chain, deposit.wallet, deposit.coin);
  return (
    watched.length > 0 &&
    watched.every(({ start, covered }) => {
      const from = deposit.opened_head === null ? start : deposit.opened_head + 1;
      const end = from === null ? null : coveredThrough(covered, from);
      return end !== null && end.time !== null && end.time * 1000 > until;
    })
  );
}
