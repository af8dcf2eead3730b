// What clients ask for, from parsed JSON to checked values. Unknown fields are ignored, a missing optional field is
// null; never looks at the configuration, so whether a wallet serves a choice is not decided here.

import { canonicalAddress, canonicalAnywhere, correctedChecksum } from "../domain/address.ts";
import { type ChainId, type Coin, isChainId, isCoin } from "../domain/assets.ts";
import { Fault, texts } from "../domain/errors.ts";
import { isAmount } from "../domain/money.ts";
import { fieldsOf, numberSource } from "./json.ts";
import { parseUuid } from "./uuid.ts";

const merchant_order_id_max_bytes = 1024;
const webhook_url_max_bytes = 2048;
/** Stricter than the URL parser, which drops tabs and line ends, trims spaces and forgives missing slashes. */
const web_url_pattern = /^https?:\/\/[^/\\?#]/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const unprintable_pattern = /[\u0000-\u0020\u007f]/;

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
}

/**
 * Reads the body of a creation. Faults, in this order: invalid_json_body (shape, types, enumerations),
 * invalid_amount, invalid_webhook_url, invalid_sender.
 */
export function readCreateOrder(json: unknown): CreateOrder {
  const fields = objectOf(json);
  const merchant_order_id = text(fields.order_id);
  if (bytesOf(merchant_order_id) > merchant_order_id_max_bytes) throw new Fault("invalid_json_body");
  const amount = numberSource(fields.amount) ?? text(fields.amount);
  const webhook_url = text(fields.webhook_url);
  const claimed = optional(fields.expecting_wallet_address, text);
  const chain = optional(fields.blockchain, (value) => (isChainId(value) ? value : refuse()));
  const coin = optional(fields.stablecoin, (value) => (isCoin(value) ? value : refuse()));

  if (!isAmount(amount)) throw new Fault("invalid_amount");
  checkWebhookUrl(webhook_url);
  const sender = claimed === null ? null : readSender(claimed, chain);
  return { merchant_order_id, amount, webhook_url, sender, chain, coin };
}

/** True for the body of one of our own webhooks, which is signed with the same secret and must not come back as a request. */
export function isWebhookEvent(json: unknown): boolean {
  const fields = fieldsOf(json);
  return fields !== null && Object.hasOwn(fields, "event_type");
}

/** The order a status request names, in lower case. Fault: invalid_json_body. */
export function readStatusRequest(json: unknown): string {
  return parseUuid(text(objectOf(json).order_id)) ?? refuse();
}

/** The pair a payer chose, unchecked but for its types. Fault: invalid_json_body. */
export function readSelection(json: unknown): { blockchain: string; stablecoin: string } {
  const fields = objectOf(json);
  return { blockchain: text(fields.blockchain), stablecoin: text(fields.stablecoin) };
}

function refuse(): never {
  throw new Fault("invalid_json_body");
}

function objectOf(json: unknown): Readonly<Record<string, unknown>> {
  return fieldsOf(json) ?? refuse();
}

/** A string that has a UTF-8 form: half a surrogate pair has none. */
function text(value: unknown): string {
  return typeof value === "string" && value.isWellFormed() ? value : refuse();
}

function optional<T>(value: unknown, read: (value: unknown) => T): T | null {
  return value === undefined || value === null ? null : read(value);
}

function bytesOf(text: string): number {
  return Buffer.byteLength(text, "utf8");
}

function checkWebhookUrl(url: string): void {
  const problem = webhookUrlProblem(url);
  if (problem !== null) throw new Fault("invalid_webhook_url", `${texts.invalid_webhook_url}: ${problem}`);
}

function webhookUrlProblem(url: string): string | null {
  if (bytesOf(url) > webhook_url_max_bytes) return `more than ${webhook_url_max_bytes} bytes`;
  if (unprintable_pattern.test(url)) return "spaces and control characters must be percent-encoded";
  if (!web_url_pattern.test(url)) return "it must begin with http:// or https:// and name a host";
  return URL.canParse(url) ? null : "it is no web address";
}

function readSender(claimed: string, chain: ChainId | null): string {
  const canonical = chain === null ? canonicalAnywhere(claimed) : canonicalAddress(chain, claimed);
  if (canonical !== null) return canonical;
  const mistyped = chain !== "tron" && correctedChecksum(claimed) !== null;
  const where = chain === null ? "any chain" : chain;
  const problem = mistyped ? "it fails its checksum" : `it is no address on ${where}`;
  throw new Fault("invalid_sender", `${texts.invalid_sender}: ${problem}`);
}
