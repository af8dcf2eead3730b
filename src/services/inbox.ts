// The inbox: money that waits for a person, with the orders it may belong to, and what that person decides. The Admin
// API and the command line are two faces of these verbs.

import { type CandidateOrder, rankCandidates } from "../domain/candidates.ts";
import { Fault } from "../domain/errors.ts";
import { differenceOf } from "../domain/money.ts";
import type { EntryReason } from "../domain/payment.ts";
import { askedNear } from "../storage/asked.ts";
import type { Database, Reader, Tx } from "../storage/database.ts";
import { type InboxFilter, listInbox, paidOrder, setDismissed } from "../storage/inbox.ts";
import { orderById } from "../storage/orders.ts";
import { appendEvent, recordAudit } from "../storage/outbox.ts";
import { type ListedTransfer, listedTransfer } from "../storage/transfer-lists.ts";
import { type TransferRow, transferById } from "../storage/transfers.ts";
import type { Page } from "./operator.ts";

/** A transfer in the inbox, why it is there, and whose it may be, the likeliest first. */
export interface InboxEntry {
  transfer: ListedTransfer;
  reason: EntryReason;
  candidates: CandidateOrder[];
}

export interface Inbox {
  /** Newest first. */
  list(filter: InboxFilter, page: Page): InboxEntry[];
  /**
   * Takes a transfer out of the inbox; one that is out already stays out, and nothing is told twice. Faults:
   * resource_not_found, transfer_not_in_inbox.
   */
  dismiss(transfer: number, actor: string, reason: string): Promise<ListedTransfer>;
}

/** The inbox of one database; works beside a running server. */
export function createInbox(needs: { database: Database }): Inbox {
  const { database } = needs;

  function listed(id: number): ListedTransfer {
    const row = database.read((at) => listedTransfer(at, id));
    if (row === null) throw new Fault("resource_not_found");
    return row;
  }

  return {
    list: (filter, page) =>
      database.read((at) =>
        listInbox(at, filter, page.limit, page.offset).flatMap((transfer) => {
          const reason = reasonOf(transfer);
          return reason === null ? [] : [{ transfer, reason, candidates: candidatesOf(at, transfer) }];
        }),
      ),

    async dismiss(id, actor, reason) {
      await database.transact((tx) => {
        const row = existing(tx, id);
        if (row.confirmed_at === null || reasonOf(row) === null) throw new Fault("transfer_not_in_inbox");
        if (row.dismissed_at !== null) return;

        setDismissed(tx, id, true);
        const order_id = paidOrder(tx, id);
        appendEvent(tx, {
          type: "transfer_dismissed",
          order_id,
          transfer: id,
          body: JSON.stringify({ reason }),
          url: null,
        });
        recordAudit(tx, { actor, action: "transfer_dismissed", subject: `transfer:${id}`, detail: reason });
      });
      return listed(id);
    },
  };
}

function existing(tx: Tx, id: number): TransferRow {
  const row = transferById(tx, id);
  if (row === null) throw new Fault("resource_not_found");
  return row;
}

function reasonOf(row: TransferRow): EntryReason | null {
  return row.reverted_at === null ? row.reason : "reverted";
}

/** The orders that a transfer may belong to; of one that pays an order, that order alone. */
function candidatesOf(at: Reader, row: TransferRow): CandidateOrder[] {
  const paid = paidOrder(at, row.id);
  if (paid === null) return rankCandidates(row, askedNear(at, row));
  const order = orderById(at, paid);
  if (order === null) return [];
  const { id: order_id, merchant_order_id, status, amount } = order;
  const difference = differenceOf(row.amount, amount);
  return [{ order_id, merchant_order_id, status, amount, difference, why: "paid with this transfer" }];
}
