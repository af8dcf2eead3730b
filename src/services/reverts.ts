// Payments that leave the chain after they had counted, and come back. Tells the merchant and waits for a person: what
// was credited stays credited, and no order changes its status here.

import type { LiveConfig } from "../config/config.ts";
import { paymentRevertedBody } from "../domain/events.ts";
import { isIgnored, type Transfer } from "../domain/payment.ts";
import { paidOrder } from "../storage/allocations.ts";
import { openDepositsOf } from "../storage/deposits.ts";
import type { Tx } from "../storage/engine/database.ts";
import { holdFor } from "../storage/held.ts";
import { setReverted } from "../storage/inbox.ts";
import { appendEvent, isAudited, recordAudit } from "../storage/outbox.ts";
import { moveBlock, type TransferRow, transferById, transferOf } from "../storage/transfers.ts";
import type { Telemetry } from "../telemetry.ts";
import type { Crediting } from "./crediting.ts";
import type { SplitPayments } from "./split-payments.ts";

export interface Reverts {
  /** Takes a confirmed transfer for reverted: event, webhook, inbox. Once, however often its block is missed. */
  revert(tx: Tx, row: TransferRow): void;
  /**
   * Re-points a confirmed transfer at the block it stands in now; one that was reverted counts again. False when its
   * transaction did something else this time and nothing was paid with what it did before: then it is a new transfer.
   */
  remine(tx: Tx, row: TransferRow, transfer: Transfer): boolean;
}

/** The id under which an order's payment was proved to others, where it was. */
function provedAs(tx: Tx, order_id: string): string | undefined {
  return tx.hooks.map((hook) => hook.provedAs(tx, order_id)).find((proof) => proof !== null) ?? undefined;
}

/** Reverts with the live settings' webhook address. */
export function createReverts(needs: {
  config: LiveConfig;
  telemetry: Telemetry;
  crediting: Crediting;
  splits: SplitPayments;
}): Reverts {
  const { config, telemetry, crediting, splits } = needs;

  function note(tx: Tx, action: string, row: TransferRow, detail: string): void {
    recordAudit(tx, { actor: "chain", action, subject: `transfer:${row.id}`, detail });
  }

  function revert(tx: Tx, row: TransferRow): void {
    if (row.reverted_at !== null) return;
    const order_id = paidOrder(tx, row.id);
    setReverted(tx, row.id, true);
    // What is missing now is more than was promised after the last part.
    if (order_id !== null) for (const deposit of openDepositsOf(tx, order_id)) crediting.promiseLeft(tx, deposit);
    telemetry.error("payment_reverted", {
      chain: row.chain,
      transfer: row.id,
      block: row.block_number,
      order: order_id ?? undefined,
      // No proof can be taken back: whoever was shown it has to be told by a person.
      proof: order_id === null ? undefined : provedAs(tx, order_id),
    });
    telemetry.count("payment_reverted", { chain: row.chain });
    note(tx, "payment_reverted", row, row.block_hash);
    appendEvent(tx, {
      type: "payment_reverted",
      order_id,
      transfer: row.id,
      body: paymentRevertedBody({ ...row, order_id }, tx.now),
      url: isIgnored(row) ? null : config.current().merchant.unknown_transfer_webhook_url,
    });
  }

  /** Others of its sender were confirmed while it was gone: if they pay an order with it, the next look at held ones credits them. */
  function holdForSplit(tx: Tx, id: number): void {
    const row = transferById(tx, id);
    const split = row === null || row.reason === null ? null : splits.find(tx, row, row.reason);
    if (split !== null) holdFor(tx, id, split.deposit);
  }

  function restore(tx: Tx, row: TransferRow, block_number: number): void {
    const order_id = paidOrder(tx, row.id);
    setReverted(tx, row.id, false);
    telemetry.warn("payment_restored", { chain: row.chain, transfer: row.id, block: block_number });
    appendEvent(tx, {
      type: "payment_restored",
      order_id,
      transfer: row.id,
      body: JSON.stringify({ txn_hash: row.tx_hash, block_number, value: row.amount }),
      url: null,
    });
    if (order_id !== null) crediting.recount(tx, order_id, row);
    // Its order may have ended while it was gone: then nobody was told that it waits.
    else if (row.reason !== null && !isIgnored(row)) {
      holdForSplit(tx, row.id);
      crediting.notifyUnmatched(tx, row);
    }
  }

  /** Its row stays what an order was paid with, so what the transaction does now is written down here; once. */
  function noteChange(tx: Tx, row: TransferRow, { block, token, sender, wallet, units }: Transfer): void {
    if (isAudited(tx, "transfer_changed", `transfer:${row.id}`)) return;
    telemetry.error("transfer_changed", { chain: row.chain, transfer: row.id, block: block.number });
    const detail = { block: [block.number, block.hash], token, sender, wallet, units: units.toString() };
    note(tx, "transfer_changed", row, JSON.stringify(detail));
  }

  return {
    revert,
    remine(tx, row, transfer) {
      if (!isSameTransfer(transferOf(row), transfer)) {
        if (paidOrder(tx, row.id) === null) return false;
        noteChange(tx, row, transfer);
        revert(tx, row);
        return true;
      }

      if (row.block_hash !== transfer.block.hash) {
        const { number, hash } = transfer.block;
        note(
          tx,
          "transfer_moved",
          row,
          JSON.stringify({ from: [row.block_number, row.block_hash], to: [number, hash] }),
        );
        moveBlock(tx, row.id, transfer);
      }
      if (row.reverted_at !== null) restore(tx, row, transfer.block.number);
      return true;
    },
  };
}

/** Whether a transaction that was mined again did what it did before. */
export function isSameTransfer(before: Transfer, now: Transfer): boolean {
  return (
    before.token === now.token &&
    before.sender === now.sender &&
    before.wallet === now.wallet &&
    before.units === now.units
  );
}
