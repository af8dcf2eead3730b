// Rows of hosted checkouts: which order of ours stands for which order of a merchant, and the proof its payment owes.
// Reads statuses from the orders themselves and never writes one.

import { and, asc, desc, eq, isNotNull, isNull, sql } from "drizzle-orm";
import type { Reader, Tx } from "../../storage/engine/database.ts";
import { statement } from "../../storage/engine/statement.ts";
import type { OrderRow } from "../../storage/orders.ts";
import { queueProof } from "../../storage/outbox.ts";
import { orders } from "../../storage/schema.ts";
import { ocOrders, ocSessions } from "./schema.ts";

export type SessionRow = typeof ocSessions.$inferSelect;

export type NewSession = Omit<SessionRow, "created_at" | "paid_at" | "proof">;

/** Inserts a session for an order that was just created. */
export function insertSession(tx: Tx, session: NewSession): SessionRow {
  const row = { ...session, created_at: tx.now };
  insert(tx).run(row);
  return { ...row, paid_at: null, proof: null };
}

const insert = statement((db) =>
  db
    .insert(ocSessions)
    .values({
      id: sql.placeholder("id"),
      order_id: sql.placeholder("order_id"),
      txid: sql.placeholder("txid"),
      caller: sql.placeholder("caller"),
      merchant: sql.placeholder("merchant"),
      merchant_name: sql.placeholder("merchant_name"),
      merchant_order: sql.placeholder("merchant_order"),
      signed_order: sql.placeholder("signed_order"),
      signature: sql.placeholder("signature"),
      currency: sql.placeholder("currency"),
      notify: sql.placeholder("notify"),
      form: sql`${sql.placeholder("form")}`,
      gateway: sql.placeholder("gateway"),
      created_at: sql.placeholder("created_at"),
    })
    .prepare(),
);

/** A session by its id, or null. */
export function sessionById(at: Reader, id: string): SessionRow | null {
  return selectById(at).get({ id }) ?? null;
}

const selectById = statement((db) =>
  db
    .select()
    .from(ocSessions)
    .where(eq(ocSessions.id, sql.placeholder("id")))
    .prepare(),
);

/** The session whose payment is proved under a transaction id, or null. */
export function sessionByTxid(at: Reader, txid: string): SessionRow | null {
  return selectByTxid(at).get({ txid }) ?? null;
}

const selectByTxid = statement((db) =>
  db
    .select()
    .from(ocSessions)
    .where(eq(ocSessions.txid, sql.placeholder("txid")))
    .prepare(),
);

/** A hosted checkout and the order behind it. */
export interface Session {
  row: SessionRow;
  order: OrderRow;
}

const isOf = and(
  eq(ocSessions.merchant, sql.placeholder("merchant")),
  eq(ocSessions.merchant_order, sql.placeholder("merchant_order")),
);

/** The newest session of a merchant's order, whatever became of it; null for an order that was never opened. */
export function newestSession(at: Reader, merchant: number, merchant_order: string): SessionRow | null {
  return selectNewest(at).get({ merchant, merchant_order }) ?? null;
}

const selectNewest = statement((db) =>
  db.select().from(ocSessions).where(isOf).orderBy(desc(ocSessions.created_at)).limit(1).prepare(),
);

/** The session on which a merchant's order was paid, or null. */
export function paidSession(at: Reader, merchant: number, merchant_order: string): SessionRow | null {
  return selectPaid(at).get({ merchant, merchant_order }) ?? null;
}

const selectPaid = statement((db) =>
  db
    .select()
    .from(ocSessions)
    .where(and(isOf, isNotNull(ocSessions.paid_at)))
    .prepare(),
);

/** The sessions of a merchant's order that wait for a payment, newest first. */
export function pendingSessions(at: Reader, merchant: number, merchant_order: string): Session[] {
  return selectPending(at).all({ merchant, merchant_order });
}

const selectPending = statement((db) =>
  db
    .select({ row: ocSessions, order: orders })
    .from(ocSessions)
    .innerJoin(orders, and(eq(orders.id, ocSessions.order_id), eq(orders.status, "pending")))
    .where(isOf)
    .orderBy(desc(orders.seq))
    .prepare(),
);

/** The session whose order of ours this is, or null. */
export function sessionOfOrder(at: Reader, order_id: string): SessionRow | null {
  return selectByOrder(at).get({ order_id }) ?? null;
}

const selectByOrder = statement((db) =>
  db
    .select()
    .from(ocSessions)
    .where(eq(ocSessions.order_id, sql.placeholder("order_id")))
    .prepare(),
);

/** Pending orders of the pages that are open for the signed order behind an order. */
export function openCheckoutsFor(at: Reader, order_id: string): string[] {
  return selectPages(at)
    .all({ order_id })
    .map(({ id }) => id);
}

const isPageOf = sql`${ocSessions.merchant} = json_extract(${ocOrders.object}, '$.ocid') and ${ocSessions.merchant_order} = ${ocOrders.id}`;

const selectPages = statement((db) =>
  db
    .select({ id: orders.id })
    .from(ocOrders)
    .innerJoin(ocSessions, isPageOf)
    .innerJoin(orders, and(eq(orders.id, ocSessions.order_id), eq(orders.status, "pending")))
    .where(eq(ocOrders.order_id, sql.placeholder("order_id")))
    .prepare(),
);

/** Whether the signed order behind an order has a page that may still be paid, or one whose payment is not proved yet. */
export function isBeingPaid(at: Reader, order_id: string): boolean {
  return selectPaying(at).get({ order_id }) !== undefined;
}

const selectPaying = statement((db) =>
  db
    .select({ id: ocSessions.id })
    .from(ocOrders)
    .innerJoin(ocSessions, isPageOf)
    .innerJoin(orders, eq(orders.id, ocSessions.order_id))
    .where(
      and(
        eq(ocOrders.order_id, sql.placeholder("order_id")),
        sql`(${orders.status} = 'pending' or (${ocSessions.paid_at} is not null and ${ocSessions.proof} is null))`,
      ),
    )
    .limit(1)
    .prepare(),
);

/** Writes down that an order was paid, for the session it belongs to, if it belongs to one. */
export function insertOwedProof(tx: Tx, order_id: string): void {
  markPaid(tx).run({ order_id, now: tx.now });
}

const markPaid = statement((db) =>
  db
    .update(ocSessions)
    .set({ paid_at: sql`${sql.placeholder("now")}` })
    .where(and(eq(ocSessions.order_id, sql.placeholder("order_id")), isNull(ocSessions.paid_at)))
    .prepare(),
);

/** A place in the list of owed proofs; the beginning without one. */
export type OwedProofCursor = { paid_at: number; id: string } | null;

/** Sessions that are paid and have no proof yet, longest paid first, behind a place in that order. */
export function owedProofs(at: Reader, after: OwedProofCursor, limit: number): SessionRow[] {
  return selectOwed(at).all({ paid_at: after?.paid_at ?? 0, id: after?.id ?? "", limit });
}

const selectOwed = statement((db) =>
  db
    .select()
    .from(ocSessions)
    .where(
      and(
        isNotNull(ocSessions.paid_at),
        isNull(ocSessions.proof),
        sql`(${ocSessions.paid_at}, ${ocSessions.id}) > (${sql.placeholder("paid_at")}, ${sql.placeholder("id")})`,
      ),
    )
    .orderBy(asc(ocSessions.paid_at), asc(ocSessions.id))
    .limit(sql.placeholder("limit"))
    .prepare(),
);

/** Stores the proof of a session. Throws when it has one: there is never a second. */
export function storeProof(tx: Tx, id: string, proof: string): void {
  updateProof(tx).run({ id, proof });
}

const updateProof = statement((db) =>
  db
    .update(ocSessions)
    .set({ proof: sql`${sql.placeholder("proof")}` })
    .where(eq(ocSessions.id, sql.placeholder("id")))
    .prepare(),
);

/** Queues the proof of a hosted checkout for all its receivers; nothing where there is none yet. */
export function queueProofOf(tx: Tx, { notify, proof }: { notify: string; proof: string | null }): void {
  if (proof === null) return;
  for (const url of JSON.parse(notify) as string[]) queueProof(tx, url, proof);
}
