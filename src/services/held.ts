// Transfers that wait because an older order could be meant by them, or for others that pay with them. Asks again, in turns and a bounded
// number at a time, and credits those that have become certain. Never decides by itself.

import type { Match } from "../domain/matching.ts";
import { claimantsOf } from "../storage/claims.ts";
import type { Database, Reader, Tx } from "../storage/engine/database.ts";
import { heldTransfers, holdFor } from "../storage/held.ts";
import { judgeTransfer, setFinality, type TransferRow, transferById } from "../storage/transfers.ts";
import type { PaymentRules } from "./payment-rules.ts";

/** Transfers asked about per call; the next call goes on behind them. */
const held_batch_max = 100;
const beginning = { deposit: 0, transfer: 0 };

export interface HeldTransfers {
  /** Credits held transfers by which no older order can be meant any more. Resolves with how many. */
  settleHeld(): Promise<number>;
}

/** Held transfers of one database; they are found there again after a restart. */
export function createHeldTransfers(needs: PaymentRules & { database: Database }): HeldTransfers {
  const { database, attribution, crediting, splits, tiers } = needs;
  let after = beginning;

  function settle(tx: Tx, row: TransferRow): boolean {
    const found = attribution.decideFinally(tx, row);
    if ("reason" in found) return settleSplit(tx, row, found);
    const { deposit, order_id } = found;
    if (tiers.policyWith(tx, row, order_id) !== row.finality) {
      // Together with earlier parts it is worth more than it was seen as: it is confirmed again, by the policy of the sum.
      const bound = { deposit, part: found.kind !== "match", reason: null, likely_order: null };
      judgeTransfer(tx, row.id, { ...bound, status: "waiting_for_confirmation", confirmed_at: null });
      tiers.raise(tx, order_id);
      return false;
    }
    const isClaimed = found.kind === "match" && claimantsOf(tx, row.id).includes(order_id);
    const place = { deposit, part: found.kind !== "match" };
    crediting.credit(tx, { transfer: row, order_id, kind: isClaimed ? "claim" : found.kind, place });
    return true;
  }

  /** It was held as one of several that pay an order together, or for what is no longer so: then it is let go of. */
  function settleSplit(tx: Tx, row: TransferRow, found: Extract<Match, { reason: unknown }>): boolean {
    const split = splits.find(tx, row, found.reason);
    if (split?.isComplete) {
      const needed = tiers.policyAt(row, split.total);
      if (needed === row.finality) {
        splits.credit(tx, split);
        return true;
      }
      // It is confirmed again, by the policy of the sum.
      setFinality(tx, row.id, needed);
      const waiting = { status: "waiting_for_confirmation" as const, deposit: null, part: false, confirmed_at: null };
      judgeTransfer(tx, row.id, { ...waiting, ...found, held_for: split.deposit });
      return false;
    }
    if (split === null && isOver(found)) holdFor(tx, row.id, null);
    return false;
  }

  /** What it was held for is no longer so. Beside another payment of its deposit it waits until that one is confirmed. */
  function isOver({ reason, held_for }: Extract<Match, { reason: unknown }>): boolean {
    return held_for === undefined && reason !== "duplicate";
  }

  /** False while nothing has changed: the row stays as it is. */
  function isReady(at: Reader, row: TransferRow): boolean {
    const found = attribution.decideFinally(at, row);
    if ("deposit" in found) return true;
    const split = splits.find(at, row, found.reason);
    return split === null ? isOver(found) : split.isComplete;
  }

  return {
    async settleHeld() {
      const ready = database.read((at) => {
        const rows = heldTransfers(at, after, held_batch_max);
        const last = rows.length === held_batch_max ? rows.at(-1) : undefined;
        after = last === undefined ? beginning : { deposit: last.held_for ?? 0, transfer: last.id };
        return rows.filter((row) => isReady(at, row));
      });
      let settled = 0;
      for (const { id } of ready) {
        const done = await database.transact((tx) => {
          const row = transferById(tx, id);
          const isHeld = row !== null && row.held_for !== null && row.confirmed_at !== null && row.reverted_at === null;
          return isHeld && row.dismissed_at === null && settle(tx, row);
        });
        if (done) settled += 1;
      }
      return settled;
    },
  };
}
