// The inbox: money that waits for a person, with the orders it may belong to, and what that person decides. The Admin
// API and the command line are two faces of these verbs.

import type { LiveConfig } from "../config/config.ts";
import { type CandidateOrder, rankCandidates } from "../domain/candidates.ts";
import { errorCodes, Fault } from "../domain/errors.ts";
import { subtractAmounts } from "../domain/money.ts";
import { type EntryReason, isIgnored } from "../domain/payment.ts";
import {
  type AllocationRow,
  allocationOf,
  paidOrder,
  reverseAllocation,
  reversedAllocationOf,
} from "../storage/allocations.ts";
import { quotesNear } from "../storage/candidate-search.ts";
import { openDepositsOf } from "../storage/deposits.ts";
import type { Database, Reader, Tx } from "../storage/engine/database.ts";
import { type InboxFilter, listInbox, setDismissed } from "../storage/inbox.ts";
import { type ListedOrder, listedOrder, orderById } from "../storage/orders.ts";
import { appendEvent, isAudited, paidAndAssignedEvents, recordAudit } from "../storage/outbox.ts";
import { type ListedTransfer, listedTransfer } from "../storage/transfer-lists.ts";
import { judgeTransfer, type TransferRow, transferById } from "../storage/transfers.ts";
import type { Crediting, CreditOutcome } from "./crediting.ts";
import type { ListPage } from "./operator.ts";

/** A transfer in the inbox, why it is there, and whose it may be, the likeliest first. */
export interface InboxEntry {
  transfer: ListedTransfer;
  reason: EntryReason;
  candidates: CandidateOrder[];
}

/** A transfer and the order it pays, or paid until now. */
export interface Assignment {
  transfer: ListedTransfer;
  order: ListedOrder;
  /** What it did to the order; null when that had been done before. */
  outcome: CreditOutcome | null;
}

export interface Inbox {
  /** Newest first. */
  list(filter: InboxFilter, page: ListPage): InboxEntry[];
  /**
   * Says that a confirmed transfer that pays nothing is money for this order: it pays a pending order or a part of it, an
   * expired or cancelled one when it is enough, and is kept with one that was marked paid by hand or whose payment left
   * the chain. Said twice, it is told once. Faults: resource_not_found, transfer_matched (it pays another order),
   * transfer_not_confirmed, transfer_reverted, order_not_pending (other money paid the order).
   */
  assign(transfer: number, order_id: string, actor: string, reason: string): Promise<Assignment>;
  /**
   * Takes back what a transfer paid, for as long as its order was not paid by it. Said twice, it is told once. Faults:
   * resource_not_found, transfer_not_assigned, order_paid_by_transfer.
   */
  unassign(transfer: number, actor: string, reason: string): Promise<Omit<Assignment, "outcome">>;
  /**
   * Takes a transfer out of the inbox; one that is out already stays out, and nothing is told twice. Faults:
   * resource_not_found, transfer_not_in_inbox.
   */
  dismiss(transfer: number, actor: string, reason: string): Promise<ListedTransfer>;
}

/** The inbox of one database; works beside a running server. */
export function createInbox(needs: { database: Database; config: LiveConfig; crediting: Crediting }): Inbox {
  const { database, crediting } = needs;

  function listed(id: number): ListedTransfer {
    const row = database.read((at) => listedTransfer(at, id));
    if (row === null) throw new Fault("resource_not_found");
    return row;
  }

  function assignment(id: number, order_id: string): Omit<Assignment, "outcome"> {
    const order = database.read((at) => listedOrder(at, order_id));
    if (order === null) throw new Fault("resource_not_found");
    return { transfer: listed(id), order };
  }

  function tell(
    tx: Tx,
    entry: { id: number; order_id: string; actor: string; assigned: boolean; reason: string },
  ): void {
    const { id, order_id, actor, assigned, reason } = entry;
    const action = assigned ? "transfer_assigned" : "transfer_unassigned";
    const body = JSON.stringify({ assigned, reason });
    appendEvent(tx, { type: "transfer_assigned", order_id, transfer: id, body, url: null });
    recordAudit(tx, { actor, action, subject: `transfer:${id}`, detail: JSON.stringify({ order: order_id, reason }) });
  }

  return {
    list: (filter, page) =>
      database.read((at) =>
        listInbox(at, filter, page.limit, page.offset).flatMap((transfer) => {
          const reason = reasonOf(transfer);
          return reason === null ? [] : [{ transfer, reason, candidates: candidatesOf(at, transfer) }];
        }),
      ),

    async assign(id, order_id, actor, reason) {
      const outcome = await database.transact((tx) => {
        const transfer = existing(tx, id);
        if (orderById(tx, order_id) === null) throw new Fault("resource_not_found");
        const paid = paidOrder(tx, id);
        if (paid === order_id) return null;
        if (paid !== null) throw new Fault("transfer_matched", `${errorCodes.transfer_matched.text}: ${paid}`);
        if (transfer.confirmed_at === null) throw new Fault("transfer_not_confirmed");
        if (transfer.reverted_at !== null) throw new Fault("transfer_reverted");
        const request = { transfer, order_id, kind: "assign" as const };
        if (crediting.previewCredit(tx, request).effect === "refused") {
          throw new Fault("order_not_pending", `${errorCodes.order_not_pending.text}: other money paid it`);
        }

        tell(tx, { id, order_id, actor, assigned: true, reason });
        setDismissed(tx, id, false);
        return crediting.credit(tx, request);
      });
      return { ...assignment(id, order_id), outcome };
    },

    async unassign(id, actor, reason) {
      const order_id = await database.transact((tx) => {
        const transfer = existing(tx, id);
        const live = allocationOf(tx, id);
        const before = live ?? reversedAllocationOf(tx, id);
        if (before === null) throw new Fault("transfer_not_assigned");
        if (live === null) return before.order_id;
        if (hasPaid(tx, live)) {
          throw new Fault(
            "order_paid_by_transfer",
            `${errorCodes.order_paid_by_transfer.text}: its shop was told, and a paid order does not become unpaid; settle it with the payer`,
          );
        }

        reverseAllocation(tx, id);
        judgeTransfer(tx, id, {
          status: "waiting_for_match",
          deposit: null,
          part: false,
          reason: "unassigned",
          likely_order: null,
          confirmed_at: transfer.confirmed_at,
        });
        for (const deposit of openDepositsOf(tx, live.order_id)) crediting.promiseLeft(tx, deposit);
        setDismissed(tx, id, false);
        tell(tx, { id, order_id: live.order_id, actor, assigned: false, reason });
        return live.order_id;
      });
      return assignment(id, order_id);
    },

    async dismiss(id, actor, reason) {
      await database.transact((tx) => {
        const row = existing(tx, id);
        if (row.confirmed_at === null || reasonOf(row) === null) throw new Fault("transfer_not_in_inbox");
        if (row.dismissed_at !== null) return;

        setDismissed(tx, id, true);
        const order_id = paidOrder(tx, id);
        const body = JSON.stringify({ reason });
        appendEvent(tx, { type: "transfer_dismissed", order_id, transfer: id, body, url: null });
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

/**
 * Whether the order became paid with this money in it. Only an operator gives money to an order that is paid already; what
 * came first the numbers of the events say, for a clock may have been set back in between. What was added to an order
 * marked paid by hand never made it so.
 */
function hasPaid(at: Reader, { transfer, order_id, kind }: AllocationRow): boolean {
  const order = orderById(at, order_id);
  if (order?.status !== "paid") return false;
  if (order.cause === "mark_paid" && isAudited(at, "mark_paid", `order:${order_id}`)) return false;
  if (kind !== "assign") return true;
  const { paid, assigned } = paidAndAssignedEvents(at, order_id, transfer);
  return paid === null || assigned === null || assigned < paid;
}

function reasonOf(row: TransferRow): EntryReason | null {
  return row.reverted_at === null ? row.reason : "reverted";
}

/** The orders that a transfer may belong to; of one that pays an order, that order alone; of dust, none. */
function candidatesOf(at: Reader, row: TransferRow): CandidateOrder[] {
  const paid = paidOrder(at, row.id);
  if (paid === null) {
    return isIgnored(row) ? [] : rankCandidates(row, quotesNear(at, row));
  }
  const order = orderById(at, paid);
  if (order === null) return [];
  const { id: order_id, merchant_order_id, status, amount } = order;
  const difference = subtractAmounts(row.amount, amount);
  return [{ order_id, merchant_order_id, status, amount, difference, why: "it was credited to this order" }];
}
