// Transfers as operators see them, and the balance that must always hold over them.

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

/**
 * Received, allocated, unallocated and reverted base units per wallet and token: the first is always the sum of the rest.
 * What left the chain counts as reverted, whether an order was paid with it or not.
 */
export function balances(at: Reader): {
  chain: ChainId;
  wallet: string;
  token: string;
  received: string;
  allocated: string;
  unallocated: string;
  reverted: string;
}[] {
  return at.live().all(sql`
    select t.chain, t.wallet, t.token,
      sum_units(t.units) as received,
      sum_units(case when not t.gone and t.paid then t.units else '0' end) as allocated,
      sum_units(case when not t.gone and not t.paid then t.units else '0' end) as unallocated,
      sum_units(case when t.gone then t.units else '0' end) as reverted
    from (
      select chain, wallet, token, units,
        status = 'failed_to_confirm' or reverted_at is not null as gone,
        exists (select 1 from allocations a where a.transfer = transfers.id and a.reversed_at is null) as paid
      from transfers
    ) t
    group by t.chain, t.wallet, t.token`);
}
