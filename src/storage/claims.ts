// What payers said about transactions: rows that tell a person whose money it may be. They pay nothing.

import { and, eq, ne, sql } from "drizzle-orm";
import type { ChainId } from "../domain/assets.ts";
import type { Reader, Tx } from "./engine/database.ts";
import { statement } from "./engine/statement.ts";
import { claims, transfers } from "./schema.ts";
import type { TransferRow } from "./transfers.ts";

/** Transfers of one transaction that are believed to be on the chain. */
export function transfersOfTransaction(at: Reader, chain: ChainId, tx_hash: string): TransferRow[] {
  return selectOfTransaction(at).all({ chain, tx_hash });
}

const selectOfTransaction = statement((db) =>
  db
    .select()
    .from(transfers)
    .where(
      and(
        eq(transfers.chain, sql.placeholder("chain")),
        eq(transfers.tx_hash, sql.placeholder("tx_hash")),
        ne(transfers.status, "failed_to_confirm"),
      ),
    )
    .prepare(),
);

/** Notes that the payer of an order named this transfer, which the order has not named before. */
export function insertClaim(tx: Tx, transfer: number, order_id: string): void {
  insert(tx).run({ transfer, order_id, now: tx.now });
}

/** Forgets that an order named a transfer. */
export function deleteClaim(tx: Tx, transfer: number, order_id: string): void {
  deleteOne(tx).run({ transfer, order_id });
}

const deleteOne = statement((db) =>
  db
    .delete(claims)
    .where(and(eq(claims.transfer, sql.placeholder("transfer")), eq(claims.order_id, sql.placeholder("order_id"))))
    .prepare(),
);

const selectOf = statement((db) =>
  db
    .select({ order_id: claims.order_id })
    .from(claims)
    .where(eq(claims.transfer, sql.placeholder("transfer")))
    .orderBy(claims.id)
    .prepare(),
);

const insert = statement((db) =>
  db
    .insert(claims)
    .values({
      transfer: sql.placeholder("transfer"),
      order_id: sql.placeholder("order_id"),
      claimed_at: sql.placeholder("now"),
    })
    .prepare(),
);

/** The orders whose payers named a transfer, in the order they spoke. */
export function claimantsOf(at: Reader, transfer: number): string[] {
  return selectOf(at)
    .all({ transfer })
    .map((claim) => claim.order_id);
}
