// What every route of the Ocrch API is, in words and schemas: what it takes, what it answers, what it refuses. Describes
// only; the routes themselves do.

import { z } from "zod";
import { chainCoverageSchema } from "../wire/coverage.ts";
import { eventPageSchema } from "../wire/events.ts";
import { adminOrderSchema, orderSchema, socketErrorSchema, statusUpdateSchema } from "../wire/orders.ts";
import { chainCoinSchema, claimSchema, paymentDetailSchema } from "../wire/payments.ts";
import * as requests from "../wire/requests.ts";
import {
  adminDepositSchema,
  adminTransferSchema,
  adminWalletSchema,
  assignmentSchema,
  inboxEntrySchema,
} from "../wire/transfers.ts";
import { coverageQuery, depositQuery, inboxQuery, orderQuery, transferQuery } from "./parameters.ts";
import type { About } from "./route.ts";

const option_names = ["lifetime", "metadata", "success_url", "cancel_url"] as const;
const health = z.object({ status: z.literal("ok"), version: z.string() }).meta({ id: "Health" });
const orderList = z.array(orderSchema);

/** Service API: the merchant's backend. */
export const service = {
  create: {
    name: "createOrder",
    summary: "Create an order",
    description:
      "The same timestamp and body give the first answer again, never a second order. Under an Idempotency-Key the order it made within 24 hours is shown as it is now: use one key per attempt to pay, not per cart, so that a cart whose order expired can be sold again.",
    auth: "body",
    headers: z.object({
      "Idempotency-Key": z.string().max(255).optional().meta({ description: "1 to 255 visible ASCII characters." }),
    }),
    body: requests.createOrderBody,
    success: { status: 201, words: "The order; pending unless it was made before under this key", body: orderSchema },
    refusals: [
      ["invalid_request", "invalid Idempotency-Key header"],
      "invalid_amount",
      "invalid_webhook_url",
      ...option_names.map((name) => ["invalid_request", `invalid ${name}`] as const),
      "invalid_sender",
      "no_wallet_available",
      "idempotency_key_reused",
    ],
  },
  status: {
    name: "readOrder",
    summary: "Read an order",
    description: "The order as it stands.",
    auth: "body",
    body: requests.statusBody,
    success: { status: 200, words: "The order", body: orderSchema },
    refusals: ["order_not_found"],
  },
  cancel: {
    name: "cancelOrder",
    summary: "Cancel a pending order",
    description: "Succeeds while a payment is seen but not confirmed; that payment then waits for the operator.",
    auth: "body",
    body: requests.cancelBody,
    success: { status: 200, words: "The order, cancelled", body: orderSchema },
    refusals: ["order_not_found", "order_not_pending"],
  },
  find: {
    name: "findOrders",
    summary: "Find orders by the merchant's own id",
    description: "All orders created with this `order_id`, which need not be unique.",
    auth: "body",
    body: requests.findBody,
    success: { status: 200, words: "The orders, newest first", body: orderList },
    refusals: [],
  },
  events: {
    name: "readEvents",
    summary: "Read the event log, or wait for its next event",
    description:
      "With `wait` and nothing newer than `after`, the answer comes with the next event or when the time is up. After a restore of the database numbers go on from Unix milliseconds, beginning with a `log_restored` event: a cursor stays valid, and no number is used twice.",
    auth: "body",
    body: requests.eventsBody,
    success: { status: 200, words: "Events in order, perhaps none", body: eventPageSchema },
    refusals: ["too_many_requests"],
  },
} satisfies Record<string, About>;

/** User API: the payer's browser. */
export const user = {
  chains: {
    name: "listChains",
    summary: "What can be chosen",
    description: "Every pair of chain and coin that a wallet serves, in the order of the configuration.",
    auth: "url",
    success: { status: 200, words: "One entry per wallet and coin", body: z.array(chainCoinSchema) },
    refusals: [],
  },
  payment: {
    name: "selectPayment",
    summary: "Choose chain and coin, and learn what to send where",
    description:
      "The same choice gives the same answer for as long as the order is pending. After a part was paid, `amount` is what is still due; it is rounded up where the chosen coin has too few decimals for it.",
    auth: "url",
    body: requests.selectionBody,
    success: { status: 201, words: "What to send where", body: paymentDetailSchema },
    refusals: [
      "unsupported_content_type",
      "unreadable_body",
      "invalid_json_body",
      "order_not_found",
      "order_not_pending",
      "invalid_blockchain",
      "no_wallet_available",
      "no_free_amount",
    ],
  },
  claim: {
    name: "claimPayment",
    summary: "Name the transaction of a payment that does not show",
    description:
      "It is looked up and then counts as if it had been read on the chain; a claim by itself pays nothing. At most five a minute per order and per client.",
    auth: "url",
    body: requests.claimBody,
    success: { status: 200, words: "What became of it", body: claimSchema },
    refusals: [
      ...(["unsupported_content_type", "unreadable_body", "invalid_json_body", "order_not_found"] as const),
      ["invalid_request", "invalid txn_hash"],
      ...(["too_many_requests", "not_looked_up"] as const),
    ],
  },
  cancel: {
    name: "cancelOrderAsPayer",
    summary: "Cancel a pending order",
    description: "Succeeds while a payment is seen but not confirmed; that payment then waits for the operator.",
    auth: "url",
    headers: z.object({
      Prefer: z.string().optional().meta({ description: "`return=representation` answers with the order." }),
    }),
    success: {
      status: 200,
      words: "Nothing; the order, as JSON, where `Prefer: return=representation` asks for it",
      represented: orderSchema,
    },
    refusals: ["order_not_found", "order_not_pending"],
  },
  status: {
    name: "readOrderAsPayer",
    summary: "Read an order",
    description: "The order as it stands. `signature expired` means: let the shop sign the URL again.",
    auth: "url",
    success: { status: 200, words: "The order", body: orderSchema },
    refusals: ["order_not_found"],
  },
  socket: {
    name: "followOrder",
    summary: "Follow an order over a WebSocket",
    description:
      "Frames are StatusUpdate at once and at every change, then close 1000; SocketError and close 4004 for an unknown order. Browsers pass the signature in the query.",
    auth: "url",
    query: z.object({
      signed_url: z.string().optional().meta({ description: "In place of the header Ocrch-Signed-Url." }),
      signature: z.string().optional().meta({ description: "In place of the header Ocrch-Signature." }),
    }),
    // A WebSocket has no 2xx: linters that miss one are wrong here.
    success: { status: 101, words: "The WebSocket", frames: [statusUpdateSchema, socketErrorSchema] },
    refusals: ["websocket_required", "too_many_requests"],
  },
} satisfies Record<string, About>;

/** Admin API: the operator's dashboard. */
export const admin = {
  orders: {
    name: "listOrders",
    summary: "List orders",
    description: "All orders or those of one status or of one reference of the merchant.",
    auth: "admin",
    query: orderQuery,
    success: { status: 200, words: "Orders, newest first", body: z.array(adminOrderSchema) },
    refusals: [],
  },
  deposits: {
    name: "listDeposits",
    summary: "List open deposits",
    description: "Amounts that payers were asked to send, as long as their order is pending.",
    auth: "admin",
    query: depositQuery,
    success: { status: 200, words: "Deposits, newest first", body: z.array(adminDepositSchema) },
    refusals: [],
  },
  wallets: {
    name: "listWallets",
    summary: "List the configured wallets",
    description: "What the configuration says, without any state.",
    auth: "admin",
    success: { status: 200, words: "Wallets, in the order of the configuration", body: z.array(adminWalletSchema) },
    refusals: [],
  },
  transfers: {
    name: "listTransfers",
    summary: "List transfers to a wallet",
    description:
      "Transfers to a wallet, whether they pay an order or not. Without `unaccepted=true` every `token` is a Coin.",
    auth: "admin",
    query: transferQuery,
    success: { status: 200, words: "Transfers, newest first", body: z.array(adminTransferSchema) },
    refusals: [],
  },
  coverage: {
    name: "readCoverage",
    summary: "Up to where every transfer is accounted for",
    description:
      "Per chain, wallet and contract: the blocks whose transfers are accounted for, and those still outstanding.",
    auth: "admin",
    query: coverageQuery,
    success: { status: 200, words: "One entry per chain", body: z.array(chainCoverageSchema) },
    refusals: [],
  },
  inbox: {
    name: "listInbox",
    summary: "List money that waits for a person, and the orders it may belong to",
    description:
      "Confirmed transfers that pay nothing, payments of more than was asked, and payments that left the chain.",
    auth: "admin",
    query: inboxQuery,
    success: { status: 200, words: "Entries, newest first", body: z.array(inboxEntrySchema) },
    refusals: [],
  },
  assign: {
    name: "assignTransfer",
    summary: "Credit a transfer that pays nothing to an order",
    description:
      "Pays a pending order or a part of it, an expired or cancelled one when it is enough; is kept with one that was marked paid by hand or whose payment left the chain.",
    auth: "admin",
    body: requests.assignBody,
    success: { status: 200, words: "Both as they stand, also when it was said before", body: assignmentSchema },
    refusals: [
      ...(["unreadable_body", "invalid_json_body"] as const),
      ["invalid_request", "invalid reason"],
      ...(["resource_not_found", "transfer_matched", "transfer_not_confirmed", "transfer_reverted"] as const),
      "order_not_pending",
    ],
  },
  unassign: {
    name: "unassignTransfer",
    summary: "Take back what a transfer paid, while its order was not paid by it",
    description: "The transfer may be assigned again. An order that it paid stays paid and keeps it.",
    auth: "admin",
    body: requests.unassignBody,
    success: { status: 200, words: "Both as they stand, also when it was said before", body: assignmentSchema },
    refusals: [
      ...(["unreadable_body", "invalid_json_body"] as const),
      ["invalid_request", "invalid reason"],
      ...(["resource_not_found", "transfer_not_assigned", "order_paid_by_transfer"] as const),
    ],
  },
  dismiss: {
    name: "dismissTransfer",
    summary: "Take a transfer out of the inbox",
    description: "It may still be assigned later.",
    auth: "admin",
    body: requests.dismissBody,
    success: { status: 200, words: "The transfer", body: adminTransferSchema },
    refusals: [
      "unreadable_body",
      "invalid_json_body",
      ["invalid_request", "invalid reason"],
      "resource_not_found",
      "transfer_not_in_inbox",
    ],
  },
  markPaid: {
    name: "markPaid",
    summary: "Mark an order paid by hand",
    description:
      "Makes a pending, cancelled or expired order paid and sends its webhook. An order that is paid stays as it is.",
    auth: "admin",
    success: { status: 200, words: "The order, paid", body: adminOrderSchema },
    refusals: ["resource_not_found"],
  },
  resendOrder: {
    name: "resendOrderWebhook",
    summary: "Send the webhook of an order's status again",
    description:
      "Queues one more delivery of the current status and makes waiting deliveries of the order due at once.",
    auth: "admin",
    success: { status: 200, words: "Queued" },
    refusals: ["resource_not_found"],
  },
  resendTransfer: {
    name: "resendTransferWebhook",
    summary: "Send the webhook of an unknown transfer again",
    description: "Queues one more `unknown_transfer` webhook, for any transfer that pays no order.",
    auth: "admin",
    success: { status: 200, words: "Queued" },
    refusals: ["resource_not_found", "transfer_matched", "no_unknown_transfer_url"],
  },
} satisfies Record<string, About>;

/** Open to anybody. */
export const open = {
  health: {
    name: "readHealth",
    summary: "Whether the server runs",
    description: "For load balancers. Reads no database.",
    auth: "anybody",
    success: { status: 200, words: "It runs", body: health },
    refusals: [],
  },
  adminHealth: {
    name: "readAdminHealth",
    summary: "Whether the server runs",
    description: "The same as `/health`, for dashboards.",
    auth: "anybody",
    success: { status: 200, words: "It runs", body: health },
    refusals: [],
  },
  description: {
    name: "readDescription",
    summary: "This description",
    description: "Made from the routes themselves.",
    auth: "anybody",
    success: { status: 200, words: "An OpenAPI 3.1 document", body: z.looseObject({ openapi: z.string() }) },
    refusals: [],
  },
} satisfies Record<string, About>;
