// What a shop's backend is asked before an order is signed in its name, and what it may answer. An answer is read
// strictly: a price that is not exactly there is none.

import * as z from "zod";
import * as field from "./fields.ts";
import type { OrderCreate } from "./readers.ts";
import type { JsonObject, JsonValue } from "./strict-json.ts";

const reason_max_chars = 500;

/** An order as it would be signed, but for its price. */
export interface OrderToApprove {
  id: string;
  /** Seconds. */
  created_at: number;
  expires_at: number;
}

/** The body of the question; times in seconds. Items and amount are the caller's own words. */
export function approvalQuestion(caller: number, wanted: OrderCreate, terms: OrderToApprove): JsonObject {
  return {
    event_type: "opencharge_order_requested",
    order_id: terms.id,
    merchant_ocid: wanted.ocid,
    caller_ocid: caller,
    reference: wanted.reference,
    currency: wanted.currency,
    amount: wanted.amount,
    items: wanted.items?.map(({ id, name, quantity, price }) => ({ id, name, quantity, price })) ?? [],
    memo: wanted.memo,
    created_at: terms.created_at,
    expires_at: terms.expires_at,
  };
}

const approval = z.discriminatedUnion("approved", [
  z.object({
    approved: z.literal(true),
    amount: field.amountText,
    items: field.optional(field.items.min(1)),
    reference: field.optional(field.reference),
  }),
  z.object({ approved: z.literal(false), reason: field.optional(z.string().max(reason_max_chars)) }),
]);

/** What a backend decided. */
export type Approval = z.infer<typeof approval>;

/** Reads an answer; a text says what is wrong with it, without its values. */
export function readApproval(json: JsonValue): Approval | string {
  const read = approval.safeParse(json, { error: field.fieldIssueText });
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  return `${field.pathText(issue?.path ?? [])} ${issue?.message ?? "is wrong"}`.trim();
}
