// How far transfers to each wallet were compared with an index of its chain, and for how long that is still wanted.

import { and, asc, eq, gt, isNull, lte, or, sql } from "drizzle-orm";
import type { ChainId } from "../domain/assets.ts";
import type { Reader, Tx } from "./engine/database.ts";
import { statement } from "./engine/statement.ts";
import { compared, reservations, transfers, watches } from "./schema.ts";
import type { TransferRow } from "./transfers.ts";

export type ComparedRow = typeof compared.$inferSelect;

/** Wallets of a chain on which an amount is promised to somebody, openly or in quarantine. */
export function walletsInUse(at: Reader, chain: ChainId): string[] {
  return selectInUse(at)
    .all({ chain })
    .map((row) => row.wallet);
}

const selectInUse = statement((db) =>
  db
    .selectDistinct({ wallet: watches.wallet })
    .from(watches)
    .where(
      and(
        eq(watches.chain, sql.placeholder("chain")),
        // With the coin the question is one step into the index of slots.
        sql`exists (select 1 from ${reservations} s where s.chain = ${watches.chain} and s.coin = ${watches.coin} and s.wallet = ${watches.wallet})`,
      ),
    )
    .prepare(),
);

/** Asks for a wallet's comparison until a moment (ms). */
export function requestComparison(tx: Tx, chain: ChainId, wallet: string, wanted_until: number): void {
  tx.live()
    .insert(compared)
    .values({ chain, wallet, wanted_until })
    .onConflictDoUpdate({ target: [compared.chain, compared.wallet], set: { wanted_until } })
    .run();
}

/** Wallets whose comparison is wanted at `now` (ms), by name. */
export function requestedComparisons(at: Reader, chain: ChainId, now: number): ComparedRow[] {
  return at
    .live()
    .select()
    .from(compared)
    .where(and(eq(compared.chain, chain), gt(compared.wanted_until, now)))
    .all();
}

/** Wallets that are due: wanted, and not compared since `before` (ms); the longest waiting first. */
export function dueComparisons(
  at: Reader,
  chain: ChainId,
  times: { now: number; before: number },
  limit: number,
): ComparedRow[] {
  return at
    .live()
    .select()
    .from(compared)
    .where(
      and(
        eq(compared.chain, chain),
        gt(compared.wanted_until, times.now),
        or(isNull(compared.compared_at), lte(compared.compared_at, times.before)),
      ),
    )
    .orderBy(asc(compared.compared_at))
    .limit(limit)
    .all();
}

/** Writes down how far a wallet was compared. */
export function recordCompared(
  tx: Tx,
  of: Pick<ComparedRow, "chain" | "wallet">,
  through: Pick<ComparedRow, "block" | "block_time" | "doubted_block">,
): void {
  tx.live()
    .update(compared)
    .set({ ...through, compared_at: tx.now })
    .where(and(eq(compared.chain, of.chain), eq(compared.wallet, of.wallet)))
    .run();
}

/** Transfers to a wallet in `from..to`, but for those that left the chain. */
export function transfersTo(at: Reader, chain: ChainId, wallet: string, from: number, to: number): TransferRow[] {
  return selectTo(at).all({ chain, wallet, from, to });
}

const selectTo = statement((db) =>
  db
    .select()
    .from(transfers)
    .where(
      and(
        eq(transfers.chain, sql.placeholder("chain")),
        sql`${transfers.block_number} between ${sql.placeholder("from")} and ${sql.placeholder("to")}`,
        sql`+${transfers.wallet} = ${sql.placeholder("wallet")}`,
        sql`${transfers.status} <> 'failed_to_confirm'`,
        isNull(transfers.reverted_at),
      ),
    )
    .prepare(),
);
