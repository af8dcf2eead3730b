// Which confirmation policy a transfer waits for. Tiers apply to what its order receives in all, so that many small
// transfers do not pass for small payments. A policy that was frozen on a transfer is never made weaker.

import type { LiveConfig } from "../config/config.ts";
import type { ChainId } from "../domain/assets.ts";
import { combineFinalities, finalityFor, formatFinality, parseFinality } from "../domain/finality.ts";
import { compareAmounts } from "../domain/money.ts";
import { totalReceivedWith, waitingPayments } from "../storage/bound-transfers.ts";
import type { Reader, Tx } from "../storage/engine/database.ts";
import { setFinality, type TransferRow } from "../storage/transfers.ts";

export interface Tiers {
  /** The policy of an amount (decimal text) by itself, as text. */
  policyFor(chain: ChainId, amount: string): string;
  /** The policy a transfer needs to pay an order; its own where that is strict enough. */
  policyWith(at: Reader, row: TransferRow, order_id: string): string;
  /** The policy a transfer needs as one of several that bring `total` (decimal text) together. */
  policyAt(row: TransferRow, total: string): string;
  /** Gives every waiting transfer of an order the policy that their sum needs. */
  raise(tx: Tx, order_id: string): void;
}

/** Tiers by the live settings. */
export function createTiers({ config }: { config: LiveConfig }): Tiers {
  const policyOf = (chain: ChainId, amount: string) =>
    finalityFor(amount, config.current().chains.get(chain)?.finality ?? []);

  function policyAt(row: TransferRow, total: string): string {
    // By itself it keeps the policy that it was seen with, also after the settings have changed.
    if (compareAmounts(total, row.amount) <= 0) return row.finality;
    return formatFinality(combineFinalities(parseFinality(row.finality), policyOf(row.chain, total)));
  }

  return {
    policyFor: (chain, amount) => formatFinality(policyOf(chain, amount)),
    policyAt,
    policyWith: (at, row, order_id) => policyAt(row, totalReceivedWith(at, order_id, row)),
    raise(tx, order_id) {
      const waiting = waitingPayments(tx, order_id);
      const [first] = waiting;
      if (first === undefined) return;
      const total = totalReceivedWith(tx, order_id, first);
      for (const row of waiting) {
        const needed = policyAt(row, total);
        if (needed !== row.finality) setFinality(tx, row.id, needed);
      }
    },
  };
}
