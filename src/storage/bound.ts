// Which deposits unconfirmed transfers are bound to, and which of them wait for a place. Reads only.

import { and, asc, eq, isNull, or, sql } from "drizzle-orm";
import type { ChainId, Coin } from "../domain/assets.ts";
import type { Reader } from "./database.ts";
import { deposits, transfers } from "./schema.ts";
import { statement } from "./statement.ts";
import { isWaiting, type TransferRow } from "./transfers.ts";

/**
 * Waiting transfers that no deposit is bound to, of one exact amount or held for one order: next in line when the bound
 * one is gone.
 */
export function unboundWaiting(
  at: Reader,
  pot: { chain: ChainId; coin: Coin; wallet: string },
  units: string,
  order_id: string | null,
): TransferRow[] {
  return selectUnbound(at).all({ ...pot, units, order_id });
}

const selectUnbound = statement((db) =>
  db
    .select()
    .from(transfers)
    .where(
      and(
        eq(transfers.chain, sql.placeholder("chain")),
        eq(transfers.coin, sql.placeholder("coin")),
        eq(transfers.wallet, sql.placeholder("wallet")),
        or(eq(transfers.units, sql.placeholder("units")), eq(transfers.likely_order, sql.placeholder("order_id"))),
        isWaiting,
        isNull(transfers.deposit),
      ),
    )
    .orderBy(asc(transfers.block_number), asc(transfers.log_index))
    .prepare(),
);

/** The waiting transfer that is bound as the one payment of an order in this pot, or null. */
export function waitingBeside(
  at: Reader,
  place: { chain: ChainId; coin: Coin | null; wallet: string; order_id: string | null },
): TransferRow | null {
  const { chain, coin, wallet, order_id } = place;
  return selectBeside(at).get({ chain, coin, wallet, order_id })?.transfer ?? null;
}

const selectBeside = statement((db) =>
  db
    .select({ transfer: transfers })
    .from(deposits)
    .innerJoin(transfers, eq(transfers.deposit, deposits.id))
    .where(
      and(
        eq(deposits.order_id, sql.placeholder("order_id")),
        eq(deposits.chain, sql.placeholder("chain")),
        eq(deposits.coin, sql.placeholder("coin")),
        eq(deposits.wallet, sql.placeholder("wallet")),
        isNull(deposits.closed_at),
        sql`${transfers.deposit} is not null and ${transfers.part} = 0`,
        isWaiting,
      ),
    )
    .prepare(),
);

/** True while a transfer bound to this deposit is seen but not confirmed. */
export function isPaymentSeen(at: Reader, deposit: number): boolean {
  return selectSeen(at).get({ deposit }) !== undefined;
}

const selectSeen = statement((db) =>
  db
    .select({ id: transfers.id })
    .from(transfers)
    .where(and(eq(transfers.deposit, sql.placeholder("deposit")), isWaiting))
    .prepare(),
);
