// What others ask of us and tell us, from the bytes of a body to checked values. Keeps every signed object as it was
// received, because that is what its signature covers; never resolves a key, never looks at an order of ours.

import * as z from "zod";
import { errorText } from "../../domain/errors.ts";
import { type FieldIssue, type NetworkRefusal, refuseFields } from "./errors.ts";
import * as field from "./fields.ts";
import { type Order, orderSchema, type Proof, proofSchema } from "./orders.ts";
import { isJsonObject, type JsonObject, type JsonValue, parseStrictBytes } from "./strict-json.ts";

const issues_max = 20;

/** An order somebody else signed: its fields, and the object exactly as it came. */
export interface SignedOrder {
  order: Order;
  object: JsonObject;
  signature: string;
}

/** A proof and its signature, likewise. */
export interface Envelope {
  proof: Proof;
  object: JsonObject;
  signature: string;
}

export interface ReturnUrls {
  /** Where the payer goes after paying. */
  completed: string | null;
  cancelled: string | null;
  /** Where the order can be read. */
  order: readonly string[];
}

export interface OrderCreate {
  /** Null: we choose it. */
  id: string | null;
  ocid: number;
  /** Null: the prices of the items decide. */
  amount: string | null;
  currency: string;
  reference: string | null;
  items: readonly field.Item[] | null;
  memo: string | null;
  /** Seconds. */
  expires_at: number | null;
}

export interface CheckoutCreate extends SignedOrder {
  merchant_ocid: number;
  urls: ReturnUrls;
}

export interface OrdersCheckout extends SignedOrder {
  urls: ReturnUrls;
}

export interface PaymentCreate {
  /** The merchant to be paid. */
  to: number;
  amount: string;
  currency: string;
  reference: string | null;
  memo: string | null;
  /** Seconds. */
  expires_at: number | null;
  order: { id: string; urls: readonly string[] } | null;
}

export interface PaymentSettle extends Envelope {
  /** Ours, from `payment/create`. */
  txid: string;
}

/** The JSON of a body. Refusal: INVALID_REQUEST for bytes that are no UTF-8, no JSON, or JSON of more than one meaning. */
export function readJsonBody(body: Uint8Array): JsonValue | NetworkRefusal {
  try {
    return parseStrictBytes(body);
  } catch (error) {
    return refuseFields([{ path: "", message: errorText(error) }]);
  }
}

const orderCreate = z
  .object({
    id: field.optional(field.ownId),
    ocid: field.ocid,
    amount: field.optional(field.amountText),
    currency: field.currency,
    reference: field.optional(field.reference),
    items: field.optional(field.items),
    memo: field.optional(field.memo),
    expiresAt: field.optional(field.time),
  })
  .superRefine((order, context) => {
    if (order.items !== null && order.items.length > 0) return;
    for (const key of ["id", "amount"] as const) {
      if (order[key] === null) context.addIssue({ code: "custom", path: [key], message: "is required without items" });
    }
  })
  .transform(({ expiresAt, ...rest }): OrderCreate => ({ ...rest, expires_at: expiresAt }));

/** Body of `POST /orders/create`. Refusal: INVALID_REQUEST. */
export function readOrderCreate(json: JsonValue): OrderCreate | NetworkRefusal {
  return read(orderCreate, json);
}

/** Both spellings in use; of two for one place the endpoint's own counts. */
const urlsSchema = z.object({
  success: field.optional(field.url),
  cancel: field.optional(field.url),
  completed: field.optional(field.url),
  cancelled: field.optional(field.url),
  order: field.optional(field.urls),
});

const checkoutCreate = z
  .object({
    order: orderSchema,
    signature: field.signature,
    merchantOcid: field.ocid,
    urls: urlsSchema.transform(
      (urls): ReturnUrls => ({
        completed: urls.success ?? urls.completed,
        cancelled: urls.cancel ?? urls.cancelled,
        order: urls.order ?? [],
      }),
    ),
  })
  .superRefine(({ order, merchantOcid }, context) => {
    if (order.ocid === merchantOcid) return;
    context.addIssue({ code: "custom", path: ["merchantOcid"], message: "is not the merchant of the order" });
  });

/** Body of `POST /checkout/create`. Refusal: INVALID_REQUEST, also where the order belongs to another merchant. */
export function readCheckoutCreate(json: JsonValue): CheckoutCreate | NetworkRefusal {
  return then(read(checkoutCreate, json), ({ merchantOcid, ...rest }) => ({
    ...rest,
    merchant_ocid: merchantOcid,
    object: objectAt(json, "order"),
  }));
}

const ordersCheckout = z.object({
  order: orderSchema,
  signature: field.signature,
  urls: urlsSchema
    .transform((urls) => ({
      completed: urls.completed ?? urls.success,
      cancelled: urls.cancelled ?? urls.cancel,
      order: urls.order ?? [],
    }))
    .superRefine((urls, context) => {
      for (const key of ["completed", "cancelled"] as const) {
        if (urls[key] === null) context.addIssue({ code: "custom", path: [key], message: "is required" });
      }
    }),
});

/** Body of `POST /orders/checkout`. Refusal: INVALID_REQUEST. */
export function readOrdersCheckout(json: JsonValue): OrdersCheckout | NetworkRefusal {
  return then(read(ordersCheckout, json), (body) => ({ ...body, object: objectAt(json, "order") }));
}

const envelope = z.object({ proof: proofSchema, signature: field.signature });

/** Body of `POST /transfer/webhook`, or the envelope inside another answer. Refusal: INVALID_PROOF. */
export function readEnvelope(json: JsonValue): Envelope | NetworkRefusal {
  const body = read(envelope, json, () => true);
  return then(body, (body) => ({ ...body, object: objectAt(json, "proof") }));
}

const paymentCreate = z
  .object({
    to: field.ocid,
    amount: field.amountText,
    currency: field.currency,
    reference: field.optional(field.reference),
    memo: field.optional(field.memo),
    expiresAt: field.optional(field.time),
    order: field.optional(z.object({ id: field.id, urls: field.optional(field.urls).transform((urls) => urls ?? []) })),
  })
  .transform(({ expiresAt, ...rest }): PaymentCreate => ({ ...rest, expires_at: expiresAt }));

/** Body of `POST /payment/create`. Refusal: INVALID_REQUEST. */
export function readPaymentCreate(json: JsonValue): PaymentCreate | NetworkRefusal {
  return read(paymentCreate, json);
}

const paymentSettle = z.object({ txid: field.id, proof: proofSchema, signature: field.signature });

/** Body of `POST /payment/settle`. Refusals: INVALID_PROOF when only proof or signature are at fault, else INVALID_REQUEST. */
export function readPaymentSettle(json: JsonValue): PaymentSettle | NetworkRefusal {
  const concernsProof = ({ path }: FieldIssue) => /^(proof|signature)\b/.test(path);
  return then(read(paymentSettle, json, concernsProof), (body) => ({ ...body, object: objectAt(json, "proof") }));
}

/**
 * Whether a payer may be sent to these addresses: https, or http on this machine where that is allowed for tests.
 * Null: they may. Refusal: INVALID_REQUEST. The order's signature does not cover them, only the request's does.
 */
export function checkReturnUrls(
  urls: ReturnUrls,
  { allow_local_http }: { allow_local_http: boolean },
): NetworkRefusal | null {
  const places = [["urls.completed", urls.completed] as const, ["urls.cancelled", urls.cancelled] as const];
  const issues = places.flatMap(([path, url]) =>
    url === null || isReturnUrl(url, allow_local_http) ? [] : [{ path, message: "must be a https address" }],
  );
  return issues.length === 0 ? null : refuseFields(issues);
}

function isReturnUrl(text: string, allow_local_http: boolean): boolean {
  // The parser would forgive blanks, missing slashes and credentials that dress up the host.
  if (!/^https?:\/\/[^/\\?#\s@]+([/?#][^\s\\]*)?$/i.test(text) || !URL.canParse(text)) return false;
  const { protocol, hostname } = new URL(text);
  return protocol === "https:" || (allow_local_http && /^(localhost|127\.0\.0\.1|\[::1\])$/.test(hostname));
}

function read<T extends z.ZodType>(
  schema: T,
  json: JsonValue,
  concernsProof: (issue: FieldIssue) => boolean = () => false,
): z.infer<T> | NetworkRefusal {
  const result = schema.safeParse(json, { error: field.fieldIssueText });
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => ({ path: field.pathText(path), message }));
  return refuseFields(issues.slice(0, issues_max), issues.every(concernsProof) ? "INVALID_PROOF" : "INVALID_REQUEST");
}

function then<T extends object, U>(result: T | NetworkRefusal, make: (value: T) => U): U | NetworkRefusal {
  return "refused" in result ? result : make(result as T);
}

/** The part of a checked body that is signed, as received. */
function objectAt(json: JsonValue, key: string): JsonObject {
  const value = isJsonObject(json) ? json[key] : undefined;
  return isJsonObject(value) ? value : {};
}
