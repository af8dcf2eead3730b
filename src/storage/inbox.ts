// The inbox: confirmed transfers that wait for a person, and the marks that bring them there or take them out. Writes no
// status and no allocation.

import { and, desc, eq, isNotNull, isNull, type SQL, sql } from "drizzle-orm";
import type { ChainId } from "../domain/assets.ts";
import type { EntryReason } from "../domain/payment.ts";
import type { Reader, Tx } from "./engine/database.ts";
import { statement } from "./engine/statement.ts";
import { transfers } from "./schema.ts";
import { fulfillment, type ListedTransfer } from "./transfer-lists.ts";

export interface InboxFilter {
  chain?: ChainId | undefined;
  reason?: EntryReason | undefined;
  /** Dust, and less than one coin from look-alike addresses, too: strangers send them in masses. */
  dust: boolean;
}

/** Whoever asks for one of these sees all of it. */
const noisy: readonly (EntryReason | undefined)[] = ["dust", "lookalike"];

/** Written as in the partial indexes: only then are they used. */
const isOpen = sql`${transfers.dismissed_at} is null and (${transfers.reason} is not null or ${transfers.reverted_at} is not null)`;
const isClean = sql`${transfers.reason} is not 'dust' and (${transfers.reason} is not 'lookalike' or substr(${transfers.amount}, 1, 2) <> '0.')`;

/** Transfers in the inbox, newest first. */
export function listInbox(at: Reader, filter: InboxFilter, limit: number, offset: number): ListedTransfer[] {
  const everything = filter.dust || noisy.includes(filter.reason);
  return at
    .live()
    .select({ transfer: transfers, fulfillment_id: fulfillment })
    .from(transfers)
    .where(
      and(
        isOpen,
        everything ? undefined : isClean,
        isNotNull(transfers.confirmed_at),
        // The plus hides the chain from the planner, which would rather sort a whole chain than read newest first.
        filter.chain === undefined ? undefined : sql`+${transfers.chain} = ${filter.chain}`,
        filter.reason === undefined ? undefined : isBecause(filter.reason),
      ),
    )
    .orderBy(desc(transfers.id))
    .limit(limit)
    .offset(offset)
    .all()
    .map(({ transfer, fulfillment_id }) => ({ ...transfer, fulfillment_id }));
}

function isBecause(reason: EntryReason): SQL | undefined {
  if (reason === "reverted") return isNotNull(transfers.reverted_at);
  return and(eq(transfers.reason, reason), isNull(transfers.reverted_at));
}

/**
 * Notes that a confirmed transfer's block left the chain (`true`), or that it is on the chain again. Whatever an
 * operator had dismissed about it is news again.
 */
export function setReverted(tx: Tx, id: number, reverted: boolean): void {
  updateReverted(tx).run({ id, reverted_at: reverted ? tx.now : null });
}

const updateReverted = statement((db) =>
  db
    .update(transfers)
    .set({ reverted_at: sql`${sql.placeholder("reverted_at")}`, dismissed_at: null })
    .where(eq(transfers.id, sql.placeholder("id")))
    .prepare(),
);

/** Takes a transfer out of the inbox (`true`), or puts it back. */
export function setDismissed(tx: Tx, id: number, dismissed: boolean): void {
  updateDismissed(tx).run({ id, dismissed_at: dismissed ? tx.now : null });
}

const updateDismissed = statement((db) =>
  db
    .update(transfers)
    .set({ dismissed_at: sql`${sql.placeholder("dismissed_at")}` })
    .where(eq(transfers.id, sql.placeholder("id")))
    .prepare(),
);
