// What stands of an order before somebody is asked to pay it: whether it can still be paid, and whether another copy of it
// says the same. Changes nothing.

import type { Reader } from "../../storage/engine/database.ts";
import { orderById } from "../../storage/orders.ts";
import { paidSession } from "../storage/gateway.ts";
import type { SignedOrderRow } from "../storage/merchant.ts";
import { canonicalIn, type Form } from "../wire/canonical.ts";
import { type NetworkRefusal, networkRefusal, refuseSubmitted } from "../wire/errors.ts";
import { isJsonObject, type JsonObject, parseStrictJson } from "../wire/strict-json.ts";

/** Null for an order of ours that waits for its money. Refusals: ORDER_CONFLICT (paid), ORDER_EXPIRED (or cancelled). */
export function checkPayable(at: Reader, row: SignedOrderRow, now_ms: number): NetworkRefusal | null {
  const status = orderById(at, row.order_id)?.status;
  const on_page = checkUnpaid(at, merchantOf(row), row.id);
  if (on_page !== null) return on_page;
  if (status === "paid") return networkRefusal("ORDER_CONFLICT", { message: "already paid" });
  if (status === "cancelled") return refuseSubmitted("ORDER_EXPIRED", { message: "the order was cancelled" });
  return status === "expired" || row.expires_s * 1000 <= now_ms ? refuseSubmitted("ORDER_EXPIRED") : null;
}

/** Null for an order that no page was paid for. Refusal: ORDER_CONFLICT, with the transaction id of the proof. */
export function checkUnpaid(at: Reader, merchant: number, id: string): NetworkRefusal | null {
  const paid = paidSession(at, merchant, id);
  if (paid === null) return null;
  return networkRefusal("ORDER_CONFLICT", { message: "already paid", details: { txid: paid.txid } });
}

/** The OCID that an order of ours was signed for. */
export function merchantOf({ object }: SignedOrderRow): number {
  return Number(objectIn(object).ocid);
}

/** An order as JSON text, and the form in which its merchant signed it. */
export interface OrderCopy {
  text: string;
  form: Form;
}

/**
 * Whether two copies of an order are the same as far as the merchant has signed both. What a shallow signature leaves
 * open is whatever the bearer wrote there, so it tells no two copies apart.
 */
export function isSameOrder(one: OrderCopy, other: OrderCopy): boolean {
  const form = one.form === "shallow" || other.form === "shallow" ? "shallow" : "recursive";
  return canonicalIn(form, objectIn(one.text)) === canonicalIn(form, objectIn(other.text));
}

function objectIn(text: string): JsonObject {
  const value = parseStrictJson(text);
  if (!isJsonObject(value)) throw new Error("a stored order is no object");
  return value;
}
