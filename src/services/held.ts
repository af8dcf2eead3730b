// Transfers that wait because an older order could be meant by them. Asks again whose they are, in turns and a bounded
// number at a time, and credits those that have become certain. Never decides by itself.

import type { LiveConfig } from "../config/config.ts";
import { claimantsOf } from "../storage/claims.ts";
import type { Database } from "../storage/database.ts";
import { heldTransfers } from "../storage/held.ts";
import { judgeTransfer, transferById } from "../storage/transfers.ts";
import { createAttribution } from "./attribution.ts";
import { createCrediting } from "./crediting.ts";
import { createTiers } from "./tiers.ts";

/** Transfers asked about per call; the next call goes on behind them. */
const held_batch_max = 100;

export interface HeldTransfers {
  /** Credits held transfers by which no older order can be meant any more. Resolves with how many. */
  settleHeld(): Promise<number>;
}

/** Held transfers of one database; they are found there again after a restart. */
export function createHeldTransfers(needs: { database: Database; config: LiveConfig }): HeldTransfers {
  const { database } = needs;
  const attribution = createAttribution(needs);
  const crediting = createCrediting(needs);
  const tiers = createTiers(needs);
  let after = 0;

  const settle = (id: number): Promise<number> =>
    database.transact((tx) => {
      const row = transferById(tx, id);
      if (row === null || row.held_for === null || row.confirmed_at === null || row.reverted_at !== null) return 0;
      const found = attribution.decideFinally(tx, row);
      if (!("deposit" in found)) return 0;
      const { deposit, order_id } = found;
      if (tiers.policyWith(tx, row, order_id) !== row.finality) {
        // Together with earlier parts it is worth more than it was seen as: it is confirmed again, by the policy of the sum.
        const bound = { deposit, part: found.kind !== "match", reason: null, likely_order: null };
        judgeTransfer(tx, id, { ...bound, status: "waiting_for_confirmation", confirmed_at: null });
        tiers.raise(tx, order_id);
        return 0;
      }
      const isClaimed = found.kind === "match" && claimantsOf(tx, id).includes(order_id);
      const place = { deposit, part: found.kind !== "match" };
      crediting.credit(tx, { transfer: row, order_id, kind: isClaimed ? "claim" : found.kind, place });
      return 1;
    });

  return {
    async settleHeld() {
      const certain = database.read((at) => {
        const rows = heldTransfers(at, after, held_batch_max);
        after = rows.length === held_batch_max ? (rows.at(-1)?.id ?? 0) : 0;
        return rows.filter((row) => "deposit" in attribution.decideFinally(at, row));
      });
      let settled = 0;
      for (const { id } of certain) settled += await settle(id);
      return settled;
    },
  };
}
