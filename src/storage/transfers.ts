// Rows of transfers. One row per (chain, transaction, position), re-pointed when its transaction moves to another block;
// never deleted.

import { and, asc, eq, isNull, lte, sql } from "drizzle-orm";
import type { ChainId, Coin } from "../domain/assets.ts";
import type { FinalReach } from "../domain/finality.ts";
import type { InboxReason, Transfer, TransferStatus } from "../domain/payment.ts";
import type { Reader, Tx } from "./engine/database.ts";
import { requireRow, statement } from "./engine/statement.ts";
import { nextId } from "./generations.ts";
import { deposits, transfers } from "./schema.ts";

export type TransferRow = typeof transfers.$inferSelect;

/** Written out: a partial index is chosen when a statement is prepared, before its parameters are known. */
export const isWaiting = sql`${transfers.status} = 'waiting_for_confirmation'`;

const byIdentity = statement((db) =>
  db
    .select()
    .from(transfers)
    .where(
      and(
        eq(transfers.chain, sql.placeholder("chain")),
        eq(transfers.tx_hash, sql.placeholder("tx_hash")),
        eq(transfers.position, sql.placeholder("position")),
      ),
    )
    .prepare(),
);

const insert = statement((db) =>
  db
    .insert(transfers)
    .values({
      id: nextId("transfers"),
      chain: sql.placeholder("chain"),
      tx_hash: sql.placeholder("tx_hash"),
      position: sql.placeholder("position"),
      token: sql.placeholder("token"),
      coin: sql.placeholder("coin"),
      label: sql.placeholder("label"),
      amount: sql.placeholder("amount"),
      sender: sql.placeholder("sender"),
      wallet: sql.placeholder("wallet"),
      units: sql.placeholder("units"),
      block_number: sql.placeholder("block_number"),
      block_hash: sql.placeholder("block_hash"),
      block_time: sql.placeholder("block_time"),
      log_index: sql.placeholder("log_index"),
      status: "waiting_for_confirmation",
      finality: sql.placeholder("finality"),
      newest_deposit: sql`(select coalesce(max(id), 0) from ${deposits})`,
      seen_at: sql.placeholder("now"),
    })
    .returning()
    .prepare(),
);

const updatePlace = statement((db) =>
  db
    .update(transfers)
    .set({
      token: sql`${sql.placeholder("token")}`,
      coin: sql`${sql.placeholder("coin")}`,
      label: sql`${sql.placeholder("label")}`,
      amount: sql`${sql.placeholder("amount")}`,
      sender: sql`${sql.placeholder("sender")}`,
      wallet: sql`${sql.placeholder("wallet")}`,
      units: sql`${sql.placeholder("units")}`,
      block_number: sql`${sql.placeholder("block_number")}`,
      block_hash: sql`${sql.placeholder("block_hash")}`,
      block_time: sql`${sql.placeholder("block_time")}`,
      log_index: sql`${sql.placeholder("log_index")}`,
      status: "waiting_for_confirmation",
      confirmed_at: null,
      reverted_at: null,
      dismissed_at: null,
    })
    .where(eq(transfers.id, sql.placeholder("id")))
    .returning()
    .prepare(),
);

const updateBlock = statement((db) =>
  db
    .update(transfers)
    .set({
      block_number: sql`${sql.placeholder("block_number")}`,
      block_hash: sql`${sql.placeholder("block_hash")}`,
      block_time: sql`${sql.placeholder("block_time")}`,
      log_index: sql`${sql.placeholder("log_index")}`,
    })
    .where(eq(transfers.id, sql.placeholder("id")))
    .prepare(),
);

const updateVerdict = statement((db) =>
  db
    .update(transfers)
    .set({
      status: sql`${sql.placeholder("status")}`,
      deposit: sql`${sql.placeholder("deposit")}`,
      part: sql`${sql.placeholder("part")}`,
      reason: sql`${sql.placeholder("reason")}`,
      likely_order: sql`${sql.placeholder("likely_order")}`,
      confirmed_at: sql`${sql.placeholder("confirmed_at")}`,
      held_for: sql`${sql.placeholder("held_for")}`,
    })
    .where(eq(transfers.id, sql.placeholder("id")))
    .returning()
    .prepare(),
);

/** The row of a transfer seen before, wherever its transaction was then. */
export function knownTransfer(
  at: Reader,
  transfer: Pick<Transfer, "chain" | "tx_hash" | "position">,
): TransferRow | null {
  return byIdentity(at).get({ ...transfer }) ?? null;
}

/** What the product adds to a transfer when it first sees it. */
export interface FirstSeen {
  coin: Coin | null;
  label: string;
  /** Decimal text of the units. */
  amount: string;
  /** The confirmation policy, frozen here (`formatFinality`). */
  finality: string;
}

/** Inserts a transfer that waits for confirmation. Throws SQLite's constraint error when it is known already. */
export function insertTransfer(tx: Tx, transfer: Transfer, sight: FirstSeen): TransferRow {
  return requireRow(insert(tx).get({ ...placeOf(transfer), ...sight, now: tx.now }));
}

/** Re-points a row that pays nothing at the transfer as it stands on the chain now; it waits for confirmation again. */
export function moveTransfer(tx: Tx, id: number, transfer: Transfer, sight: FirstSeen): TransferRow {
  return requireRow(updatePlace(tx).get({ id, ...placeOf(transfer), ...sight }));
}

/** Re-points a confirmed row at another block and changes nothing else: a re-mined transaction pays once. */
export function moveBlock(tx: Tx, id: number, transfer: Transfer): void {
  updateBlock(tx).run({ id, ...placeOf(transfer) });
}

function placeOf(transfer: Transfer) {
  return {
    ...transfer,
    units: transfer.units.toString(),
    block_number: transfer.block.number,
    block_hash: transfer.block.hash,
    block_time: transfer.block.time,
  };
}

export interface TransferJudgement {
  status: TransferStatus;
  /** The deposit it pays. */
  deposit: number | null;
  /** One of several that pay the deposit together, instead of the one payment of it. */
  part: boolean;
  reason: InboxReason | null;
  likely_order: string | null;
  /** ms; null while unconfirmed. */
  confirmed_at: number | null;
  /** The deposit it pays once no older order can be meant by it; none by default. */
  held_for?: number | null;
}

/** Writes what was decided about a transfer. */
export function judgeTransfer(tx: Tx, id: number, judgement: TransferJudgement): TransferRow {
  const { status, deposit, part, reason, likely_order, confirmed_at, held_for = null } = judgement;
  const words = { status, deposit, part: part ? 1 : 0, reason, likely_order, confirmed_at, held_for };
  return requireRow(updateVerdict(tx).get({ id, ...words }));
}

/** Replaces the confirmation policy of a transfer (`formatFinality`). */
export function setFinality(tx: Tx, id: number, finality: string): void {
  updateFinality(tx).run({ id, finality });
}

const updateFinality = statement((db) =>
  db
    .update(transfers)
    .set({ finality: sql`${sql.placeholder("finality")}` })
    .where(eq(transfers.id, sql.placeholder("id")))
    .prepare(),
);

/** A transfer row in the terms of the domain. */
export function transferOf(row: TransferRow): Transfer {
  return {
    chain: row.chain,
    tx_hash: row.tx_hash,
    position: row.position,
    token: row.token,
    sender: row.sender,
    wallet: row.wallet,
    units: BigInt(row.units),
    log_index: row.log_index,
    block: { number: row.block_number, hash: row.block_hash, time: row.block_time },
  };
}

/** Positions already known for a transaction in a block, by log index: no receipt has to be read again for them. */
export function knownPositions(at: Reader, chain: ChainId, tx_hash: string, block_hash: string): Map<number, number> {
  const rows = selectPositions(at).all({ chain, tx_hash, block_hash });
  return new Map(rows.map((row) => [row.log_index, row.position]));
}

const selectPositions = statement((db) =>
  db
    .select({ log_index: transfers.log_index, position: transfers.position })
    .from(transfers)
    .where(
      and(
        eq(transfers.chain, sql.placeholder("chain")),
        eq(transfers.tx_hash, sql.placeholder("tx_hash")),
        eq(transfers.block_hash, sql.placeholder("block_hash")),
      ),
    )
    .prepare(),
);

/** Transfers believed to be in `from..to`: all but those that already left the chain. */
export function transfersBetween(at: Reader, chain: ChainId, from: number, to: number): TransferRow[] {
  return selectBetween(at).all({ chain, from, to });
}

const selectBetween = statement((db) =>
  db
    .select()
    .from(transfers)
    .where(
      and(
        eq(transfers.chain, sql.placeholder("chain")),
        sql`${transfers.block_number} between ${sql.placeholder("from")} and ${sql.placeholder("to")}`,
        sql`${transfers.status} <> 'failed_to_confirm'`,
        isNull(transfers.reverted_at),
      ),
    )
    .prepare(),
);

/**
 * Transfers of one policy waiting within a reach, bound to a deposit or not. Lowest first; those behind `after`, the last of
 * a page before.
 */
export function waitingTransfers(
  at: Reader,
  chain: ChainId,
  finality: string,
  is_bound: boolean,
  page: { after: { block: number; id: number } | null; through: FinalReach; limit: number },
): TransferRow[] {
  const { block, id } = page.after ?? { block: 0, id: 0 };
  const place = { chain, finality, unbound: is_bound ? 0 : 1 };
  const { number, time } = page.through;
  return selectWaiting(at).all({ ...place, block, id, number, time, limit: page.limit });
}

/** The policies that waiting transfers of a chain were frozen with. */
export function waitingPolicies(at: Reader, chain: ChainId): string[] {
  return selectPolicies(at)
    .all({ chain })
    .map((row) => row.finality);
}

const selectPolicies = statement((db) =>
  db
    .selectDistinct({ finality: transfers.finality })
    .from(transfers)
    .where(and(eq(transfers.chain, sql.placeholder("chain")), isWaiting))
    .prepare(),
);

const selectWaiting = statement((db) =>
  db
    .select()
    .from(transfers)
    .where(
      and(
        eq(transfers.chain, sql.placeholder("chain")),
        isWaiting,
        eq(transfers.finality, sql.placeholder("finality")),
        sql`(${transfers.deposit} is null) = ${sql.placeholder("unbound")}`,
        sql`(${transfers.block_number}, ${transfers.id}) > (${sql.placeholder("block")}, ${sql.placeholder("id")})`,
        lte(transfers.block_number, sql.placeholder("number")),
        lte(transfers.block_time, sql.placeholder("time")),
      ),
    )
    .orderBy(asc(transfers.block_number), asc(transfers.id))
    .limit(sql.placeholder("limit"))
    .prepare(),
);

/** True for a transfer that is not recorded, or recorded as one that left the chain. */
export function isUnrecorded(at: Reader, transfer: Parameters<typeof knownTransfer>[1]): boolean {
  const known = knownTransfer(at, transfer);
  return known === null || known.status === "failed_to_confirm" || known.reverted_at !== null;
}

/** A transfer by its id, or null. */
export function transferById(at: Reader, id: number): TransferRow | null {
  return selectById(at).get({ id }) ?? null;
}

const selectById = statement((db) =>
  db
    .select()
    .from(transfers)
    .where(eq(transfers.id, sql.placeholder("id")))
    .prepare(),
);

/** True while a transfer on this chain waits for confirmation: the chain is read at full pace. */
export function hasWaiting(at: Reader, chain: ChainId): boolean {
  return selectAnyWaiting(at).get({ chain }) !== undefined;
}

const selectAnyWaiting = statement((db) =>
  db
    .select({ id: transfers.id })
    .from(transfers)
    .where(and(eq(transfers.chain, sql.placeholder("chain")), isWaiting))
    .limit(1)
    .prepare(),
);
