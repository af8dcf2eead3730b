// Transfers as operators see them.

import { and, desc, eq, isNotNull, sql } from "drizzle-orm";
import type { ChainId, Coin } from "../domain/assets.ts";
import type { TransferStatus } from "../domain/payment.ts";
import type { Reader } from "./engine/database.ts";
import { allocations, transfers } from "./schema.ts";
import type { TransferRow } from "./transfers.ts";

export interface TransferFilter {
  wallet?: string | undefined;
  status?: TransferStatus | undefined;
  chain?: ChainId | undefined;
  coin?: Coin | undefined;
  /** Tokens that are accepted as no coin, too. */
  unaccepted?: boolean | undefined;
}

export type ListedTransfer = TransferRow & { fulfillment_id: number | null };

/** The live allocation of a transfer, as a column. */
export const fulfillment = sql<
  number | null
>`(select a.id from ${allocations} a where a.transfer = transfers.id and a.reversed_at is null)`;

/** Newest first. */
export function listTransfers(at: Reader, filter: TransferFilter, limit: number, offset: number): ListedTransfer[] {
  return at
    .live()
    .select({ transfer: transfers, fulfillment_id: fulfillment })
    .from(transfers)
    .where(
      and(
        filter.wallet === undefined ? undefined : eq(transfers.wallet, filter.wallet),
        filter.status === undefined ? undefined : eq(transfers.status, filter.status),
        // The plus hides a column from the planner, which would rather sort a whole chain than read newest first.
        filter.chain === undefined ? undefined : sql`+${transfers.chain} = ${filter.chain}`,
        filter.coin === undefined ? undefined : sql`+${transfers.coin} = ${filter.coin}`,
        filter.unaccepted === true ? undefined : isNotNull(transfers.coin),
      ),
    )
    .orderBy(desc(transfers.id))
    .limit(limit)
    .offset(offset)
    .all()
    .map(({ transfer, fulfillment_id }) => ({ ...transfer, fulfillment_id }));
}

/** One transfer as the lists show it. */
export function listedTransfer(at: Reader, id: number): ListedTransfer | null {
  const row = at
    .live()
    .select({ transfer: transfers, fulfillment_id: fulfillment })
    .from(transfers)
    .where(eq(transfers.id, id))
    .get();
  return row === undefined ? null : { ...row.transfer, fulfillment_id: row.fulfillment_id };
}
