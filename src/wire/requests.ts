// What clients ask for, from parsed JSON to checked values. Unknown fields are ignored, a missing optional field is
// null; never looks at the configuration, so whether a wallet serves a choice is not decided here.

import { z } from "zod";
import { canonicalAddress, canonicalAnywhere, correctedChecksum } from "../domain/address.ts";
import { type ChainId, type Coin, chainFacts } from "../domain/assets.ts";
import { errorCodes, Fault } from "../domain/errors.ts";
import * as fields from "./fields.ts";
import { fieldsOf } from "./json.ts";
import { chain, coin } from "./values.ts";

const merchant_order_id_max_bytes = 1024;
const lifetime_max_s = 30 * 24 * 60 * 60;
const find_limit_default = 20;
const find_limit_max = 200;
const find_offset_max = 100_000;
const events_limit_default = 100;
const events_limit_max = 1000;
const events_wait_max_s = 30;
/** Of what an operator writes down. */
export const reason_max_chars = 1000;

const merchantOrderId = fields.textOf(merchant_order_id_max_bytes);

/** The body of a creation. */
export const createOrderBody = z
  .object({
    order_id: merchantOrderId,
    amount: fields.amount,
    webhook_url: fields.webhookUrl,
    expecting_wallet_address: fields.text.nullish().meta({
      description:
        "The payment must come from this address. Set it only from what the shop knows: it proves nothing when the payer can choose it. An address that has paid three orders or more, such as an exchange's, makes no part and no overpayment certain.",
    }),
    blockchain: chain.nullish(),
    stablecoin: coin.nullish(),
    lifetime: fields.secondsUpTo("lifetime", lifetime_max_s, "Seconds until the order expires.").nullish(),
    metadata: fields.jsonObject("metadata").nullish(),
    success_url: fields.pageUrl("success_url", "Where a payer goes on to once the order is paid.").nullish(),
    cancel_url: fields.pageUrl("cancel_url", "Where a payer goes who does not want to pay.").nullish(),
  })
  .meta({ id: "CreateOrder" });

/** The body of a question after an order. */
export const statusBody = z.object({ order_id: fields.uuid }).meta({ id: "OrderStatusRequest" });

/** The body of a cancellation. The action is named, so that a signed question after an order is never one. */
export const cancelBody = z
  .object({ order_id: fields.uuid, action: z.literal("cancel") })
  .meta({ id: "CancelOrderRequest" });

/** The body of a search by the merchant's own id. */
export const findBody = z
  .object({
    merchant_order_id: merchantOrderId,
    limit: fields.clamped(1, find_limit_max, `How many, ${find_limit_default} by default.`).nullish(),
    offset: fields.clamped(0, find_offset_max, "How many of the newest to skip.").nullish(),
  })
  .meta({ id: "FindOrdersRequest" });

/** The body of a read of the event log. */
export const eventsBody = z
  .object({
    after: fields.wholeNumber("Number of the last event known; 0 reads from the beginning."),
    limit: fields.clamped(1, events_limit_max, `How many, ${events_limit_default} by default.`).nullish(),
    wait: fields.clamped(0, events_wait_max_s, "Seconds to wait for an event when there is none yet.").nullish(),
  })
  .meta({ id: "EventsRequest" });

/** The body of a payer's choice, as it is described. */
export const selectionBody = z.object({ blockchain: chain, stablecoin: coin }).meta({ id: "Selection" });

/** The same as it is read. Which values there are is decided later, in the order clients rely on. */
const anySelectionBody = z.object({ blockchain: fields.text, stablecoin: fields.text });

/** The body of a dismissal. */
export const dismissBody = z
  .object({
    reason: fields.text.meta({ description: "Why nobody has to look at it any more; kept in the audit log." }),
  })
  .meta({ id: "DismissRequest" });

/** The body of a payer's claim. */
export const claimBody = z
  .object({
    txn_hash: fields.text.meta({
      description: "64 hexadecimal digits, with or without 0x, or an explorer's link with exactly one of them in it.",
    }),
  })
  .meta({ id: "ClaimRequest" });

const whyAssigned = fields.text.nullish().meta({ description: "Kept in the audit log." });

/** The body of an assignment. */
export const assignBody = z.object({ order_id: fields.uuid, reason: whyAssigned }).meta({ id: "AssignRequest" });

/** The body of the opposite. */
export const unassignBody = z.object({ reason: whyAssigned }).meta({ id: "UnassignRequest" });

export interface CreateOrder {
  merchant_order_id: string;
  /** As written, scale kept. */
  amount: string;
  /** As written. */
  webhook_url: string;
  /** Canonical. */
  sender: string | null;
  chain: ChainId | null;
  coin: Coin | null;
  options: {
    lifetime_s: number | null;
    /** A JSON object as text. */
    metadata: string | null;
    /** As written. */
    success_url: string | null;
    /** As written. */
    cancel_url: string | null;
  };
}

/**
 * Reads the body of a creation. Faults, in this order: invalid_json_body (shape, types, enumerations),
 * invalid_amount, invalid_webhook_url, invalid_request (an option, by its name), invalid_sender.
 */
export function readCreateOrder(json: unknown): CreateOrder {
  const body = fields.read(createOrderBody, json);
  const chain = body.blockchain ?? null;
  const claimed = body.expecting_wallet_address ?? null;
  return {
    merchant_order_id: body.order_id,
    amount: body.amount,
    webhook_url: body.webhook_url,
    sender: claimed === null ? null : readSender(claimed, chain),
    chain,
    coin: body.stablecoin ?? null,
    options: {
      lifetime_s: body.lifetime ?? null,
      metadata: body.metadata ?? null,
      success_url: body.success_url ?? null,
      cancel_url: body.cancel_url ?? null,
    },
  };
}

/** True for the body of one of our own webhooks, which is signed with the same secret and must not come back as a request. */
export function isWebhookEvent(json: unknown): boolean {
  const found = fieldsOf(json);
  return found !== null && Object.hasOwn(found, "event_type");
}

/** The order a status request names, in lower case. Fault: invalid_json_body. */
export function readStatusRequest(json: unknown): string {
  return fields.read(statusBody, json).order_id;
}

/** The order a cancellation names, in lower case. Fault: invalid_json_body. */
export function readCancelRequest(json: unknown): string {
  return fields.read(cancelBody, json).order_id;
}

/** What a search by the merchant's own id asks for. Fault: invalid_json_body. */
export function readFindRequest(json: unknown): { merchant_order_id: string; limit: number; offset: number } {
  const { merchant_order_id, limit, offset } = fields.read(findBody, json);
  return { merchant_order_id, limit: limit ?? find_limit_default, offset: offset ?? 0 };
}

/** Which events are asked for, and how long to wait for the first. Fault: invalid_json_body. */
export function readEventsRequest(json: unknown): { after: number; limit: number; wait_ms: number } {
  const { after, limit, wait } = fields.read(eventsBody, json);
  return { after, limit: limit ?? events_limit_default, wait_ms: (wait ?? 0) * 1000 };
}

/** The pair a payer chose, unchecked but for its types. Fault: invalid_json_body. */
export function readSelection(json: unknown): { blockchain: string; stablecoin: string } {
  return fields.read(anySelectionBody, json);
}

/** The order, in lower case, that a transfer is assigned to. Faults: invalid_json_body; invalid_request, when the reason is too long. */
export function readAssignment(json: unknown): { order_id: string; reason: string } {
  const { order_id, reason } = fields.read(assignBody, json);
  return { order_id, reason: readReason(reason ?? "") };
}

/** Why an assignment is taken back. Faults: invalid_json_body; invalid_request, when it says too much. */
export function readUnassignment(json: unknown): string {
  return readReason(fields.read(unassignBody, json).reason ?? "");
}

function readReason(text: string): string {
  const reason = text.trim();
  if (reason.length > reason_max_chars) throw new Fault("invalid_request", "invalid reason");
  return reason;
}

/** The transaction a payer names, as written. Fault: invalid_json_body. */
export function readClaim(json: unknown): string {
  return fields.read(claimBody, json).txn_hash;
}

/** Why a transfer is dismissed. Faults: invalid_json_body; invalid_request, when it says nothing or too much. */
export function readDismissal(json: unknown): string {
  const reason = readReason(fields.read(dismissBody, json).reason);
  if (reason === "") throw new Fault("invalid_request", "invalid reason");
  return reason;
}

function readSender(claimed: string, chain: ChainId | null): string {
  const canonical = chain === null ? canonicalAnywhere(claimed) : canonicalAddress(chain, claimed);
  if (canonical !== null) return canonical;
  const takes_evm = chain === null || chainFacts[chain].kind === "evm";
  const mistyped = takes_evm && correctedChecksum(claimed) !== null;
  const where = chain === null ? "any chain" : chain;
  const problem = mistyped ? "it fails its checksum" : `it is no address on ${where}`;
  throw new Fault("invalid_sender", `${errorCodes.invalid_sender.text}: ${problem}`);
}
