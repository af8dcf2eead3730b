// Which deposits unconfirmed transfers are bound to, and which of them wait for a place. Reads only.

import { and, asc, eq, isNotNull, isNull, ne, type SQL, sql } from "drizzle-orm";
import type { ChainId, Coin } from "../domain/assets.ts";
import { fromCommon, toCommon } from "../domain/money.ts";
import { receivedFor } from "./allocations.ts";
import type { Reader } from "./engine/database.ts";
import { statement } from "./engine/statement.ts";
import { deposits, transfers } from "./schema.ts";
import { isWaiting, type TransferRow } from "./transfers.ts";

/**
 * Waiting transfers without a deposit: of one exact amount, and those whose likely order is this one. Oldest first, at most
 * `limit` of each kind, each once.
 */
export function unboundWaiting(
  at: Reader,
  target: { chain: ChainId; coin: Coin; wallet: string },
  units: string,
  order_id: string | null,
  limit: number,
): TransferRow[] {
  const same = selectSameAmount(at).all({ ...target, units, limit });
  const held = order_id === null ? [] : selectHeld(at).all({ ...target, order_id, limit });
  return [...new Map([...same, ...held].map((row) => [row.id, row])).values()].sort(
    (a, b) => a.block_number - b.block_number || a.log_index - b.log_index,
  );
}

function selectUnbound(where: SQL | undefined) {
  return statement((db) =>
    db
      .select()
      .from(transfers)
      .where(
        and(
          where,
          eq(transfers.chain, sql.placeholder("chain")),
          eq(transfers.coin, sql.placeholder("coin")),
          eq(transfers.wallet, sql.placeholder("wallet")),
          isWaiting,
          isNull(transfers.deposit),
        ),
      )
      .orderBy(asc(transfers.block_number), asc(transfers.log_index))
      .limit(sql.placeholder("limit"))
      .prepare(),
  );
}

const selectSameAmount = selectUnbound(eq(transfers.units, sql.placeholder("units")));
const selectHeld = selectUnbound(
  and(eq(transfers.likely_order, sql.placeholder("order_id")), isNotNull(transfers.likely_order)),
);

/** The waiting transfer that is bound as the one payment of an order in this pot, or null. */
export function boundPaymentOf(
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

/** Transfers that are bound to an order or paid into it, apart from one; counted up to `limit`. */
export function countPayments(at: Reader, order_id: string, transfer: number, limit: number): number {
  return selectPayments(at).all({ order_id, transfer, limit }).length;
}

const selectPayments = statement((db) =>
  db
    .select({ id: transfers.id })
    .from(deposits)
    .innerJoin(transfers, eq(transfers.deposit, deposits.id))
    .where(
      and(
        eq(deposits.order_id, sql.placeholder("order_id")),
        sql`${transfers.deposit} is not null`,
        ne(transfers.id, sql.placeholder("transfer")),
      ),
    )
    .limit(sql.placeholder("limit"))
    .prepare(),
);

/** Waiting transfers that are bound to an order. */
export function waitingPayments(at: Reader, order_id: string): TransferRow[] {
  return selectWaitingOf(at)
    .all({ order_id })
    .map((row) => row.transfer);
}

const selectWaitingOf = statement((db) =>
  db
    .select({ transfer: transfers })
    .from(deposits)
    .innerJoin(transfers, eq(transfers.deposit, deposits.id))
    .where(and(eq(deposits.order_id, sql.placeholder("order_id")), sql`${transfers.deposit} is not null`, isWaiting))
    .prepare(),
);

/** Decimal text of what an order received, what is bound to it and waits, and this transfer. */
export function totalReceivedWith(at: Reader, order_id: string, row: Pick<TransferRow, "id" | "amount">): string {
  const others = waitingPayments(at, order_id).filter((one) => one.id !== row.id);
  const waiting = [row, ...others].reduce((sum, { amount }) => sum + toCommon(amount), 0n);
  return fromCommon(receivedFor(at, order_id) + waiting);
}
