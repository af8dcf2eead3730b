// Whether a webhook is Ocrch's, in either of its two signature styles. Looks at the body only once its signature
// holds, and never takes the weaker style where the stronger one was sent and failed.

import { WebhookError } from "./errors.ts";
import type { OrderStatusChanged, PaymentReverted, UnknownTransfer } from "./shapes.ts";
import { createSigner, type Signer } from "./signature.ts";

const tolerance_default_s = 300;
/** A sender with more secrets than this in use at once is none of ours. */
const signatures_max = 16;
const ocrch_pattern = /^(\d{1,12})\.(.+)$/s;
const timestamp_pattern = /^\d{1,12}$/;
const event_types: readonly unknown[] = ["order_status_changed", "unknown_transfer", "payment_reverted"];

/** The headers of a request as frameworks hand them over: `Headers`, or an object as Node.js makes one. */
export type WebhookHeaders = Pick<Headers, "get"> | Record<string, string | readonly string[] | undefined>;

/** What `verifyWebhook` looks at. */
export interface WebhookRequest {
  /** The body exactly as received: before any JSON parsing. */
  body: string | Uint8Array | ArrayBuffer;
  headers: WebhookHeaders;
  /** How old or early a signature may be, in seconds; 300 unless said otherwise. */
  tolerance_s?: number | undefined;
  /** Stands in for the clock: Unix time in ms. */
  now?: (() => number) | undefined;
}

/** `merchant.secret`; several while one replaces another. */
export type WebhookSecrets = { secret: string } | { secrets: readonly string[] };

type WebhookBody = OrderStatusChanged | UnknownTransfer | PaymentReverted;

/** A webhook's body, by `event_type`, and the id it came with. */
export type WebhookEvent = WebhookBody & {
  /** `webhook-id`: the same for every attempt of one delivery. Null when only `Ocrch-Signature`, which does not cover it, arrived. */
  webhook_id: string | null;
};

/**
 * Resolves with the event when one of the secrets signed it and the signature is fresh. Throws WebhookError, whose
 * `problem` says why, and a TypeError for an empty secret or a body that was already parsed.
 */
export async function verifyWebhook(request: WebhookRequest & WebhookSecrets): Promise<WebhookEvent> {
  const { headers, tolerance_s = tolerance_default_s, now = Date.now } = request;
  const signers = ("secrets" in request ? request.secrets : [request.secret]).map(createSigner);
  if (signers.length === 0) throw new TypeError("no secret was given");
  const body = rawBody(request.body);
  const standard = headerOf(headers, "webhook-signature");
  const webhook_id = standard === null ? null : (headerOf(headers, "webhook-id") ?? "");
  const timestamp =
    standard !== null && webhook_id !== null
      ? await verifyStandard(signers, webhook_id, headerOf(headers, "webhook-timestamp") ?? "", standard, body)
      : await verifyOcrch(signers, headerOf(headers, "ocrch-signature"), body);
  if (Math.abs(now() / 1000 - timestamp) > tolerance_s) throw new WebhookError("stale_timestamp");

  return { ...eventIn(body), webhook_id };
}

/** Standard Webhooks: any of the signatures by any of the secrets. Returns the timestamp. */
async function verifyStandard(
  signers: readonly Signer[],
  id: string,
  timestamp: string,
  header: string,
  body: Uint8Array,
): Promise<number> {
  const listed = header.split(" ");
  if (id === "" || !timestamp_pattern.test(timestamp) || listed.length > signatures_max)
    throw new WebhookError("malformed_signature");
  // Other versions than v1 are for other keys.
  const signatures = listed.flatMap((entry) => (entry.startsWith("v1,") ? [entry.slice("v1,".length)] : []));
  const message = [`${id}.${timestamp}.`, body];
  const checks = signers.flatMap((signer) => signatures.map((signature) => signer.verify(signature, ...message)));
  if (!(await Promise.all(checks)).includes(true)) throw new WebhookError("wrong_signature");
  return Number(timestamp);
}

/** `Ocrch-Signature: {timestamp}.{base64}`. Returns the timestamp. */
async function verifyOcrch(signers: readonly Signer[], header: string | null, body: Uint8Array): Promise<number> {
  if (header === null) throw new WebhookError("missing_signature");
  const [, timestamp, signature] = ocrch_pattern.exec(header) ?? [];
  if (timestamp === undefined || signature === undefined) throw new WebhookError("malformed_signature");
  const checks = signers.map((signer) => signer.verify(signature, `${timestamp}.`, body));
  if (!(await Promise.all(checks)).includes(true)) throw new WebhookError("wrong_signature");
  return Number(timestamp);
}

function rawBody(body: unknown): Uint8Array {
  if (typeof body === "string") return new TextEncoder().encode(body);
  if (body instanceof Uint8Array) return body;
  if (body instanceof ArrayBuffer) return new Uint8Array(body);
  throw new TypeError("pass the raw body: parsed JSON cannot be verified");
}

function headerOf(headers: WebhookHeaders, name: string): string | null {
  if (typeof headers.get === "function") return headers.get(name);
  const found = Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
  return typeof found === "string" ? found : null;
}

function eventIn(body: Uint8Array): WebhookBody {
  let event: unknown;
  try {
    event = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body));
  } catch {
    throw new WebhookError("unknown_event");
  }
  const type = typeof event === "object" && event !== null && "event_type" in event ? event.event_type : null;
  if (!event_types.includes(type)) throw new WebhookError("unknown_event");
  return event as WebhookBody;
}
