// The metadata document of an identity, read from whatever its host answered. Says what the document claims and how
// much of it is signed; that the key belongs to the OCID is the registry's word, never this document's.

import * as z from "zod";
import { canonicalIn } from "./canonical.ts";
import { type NetworkRefusal, networkRefusal } from "./errors.ts";
import * as field from "./fields.ts";
import { parsePublicKey } from "./keys.ts";
import { verifyObject } from "./signed-objects.ts";
import { isJsonObject, type JsonValue } from "./strict-json.ts";

const capabilities_max = 200;
const currencies_max = 1000;
const capability_max_chars = 100;
const description_max_chars = 5000;
/** Five minutes that others may keep an old document, and five that a request may be old. */
const request_grace_s = 600;

/** How an identity spells what it signs, as far as its own configuration shows. */
export type Dialect = "recursive" | "shallow" | "unknown";

/** A key that was replaced, and when. */
export interface RotatedKey {
  public_key: string;
  /** Seconds. */
  rotated_at: number;
}

export interface Metadata {
  name: string;
  /** 128 hexadecimal digits. */
  public_key: string;
  /** Without a trailing slash; null for an identity that takes no calls. */
  endpoint: string | null;
  capabilities: readonly string[];
  settlement: { currencies: readonly string[]; accepts: readonly number[] };
  /** Whether a signature covers `settlement`: false for the flat shape and for a shallow signature. */
  settlement_signed: boolean;
  previous: RotatedKey | null;
  shape: "nested" | "flat";
  dialect: Dialect;
}

export interface MetadataRules {
  /** Refuse the flat shape, which nobody signs. */
  require_signed_config: boolean;
  /** Take an endpoint that is not https, for tests on one machine. */
  allow_http: boolean;
}

const settlement = z
  .object({
    currencies: field.optional(z.array(z.string().max(20)).max(currencies_max)).transform((list) => list ?? []),
    accepts: field.optional(field.ocids).transform((list) => list ?? []),
  })
  .nullish()
  .transform((value) => value ?? { currencies: [], accepts: [] });

const claims = {
  publicKey: z.string(),
  endpoint: field.optional(field.url),
  capabilities: field
    .optional(z.array(z.string().max(capability_max_chars)).max(capabilities_max))
    .transform((list) => list ?? []),
  settlement,
  // A grace nobody is obliged to announce: what cannot be read of it counts as not announced.
  previousKey: field.optional(z.string()).catch(null),
  keyRotatedAt: field.optional(field.time).catch(null),
};
const head = {
  opencharge: z.string().min(1).max(20),
  name: field.name,
  profile: field.optional(z.string().max(description_max_chars)),
};
const nested = z.object({ ...head, config: z.object(claims), signature: field.signature });
const flat = z.object({ ...head, ...claims });

/**
 * Reads a parsed document: nested first, flat where there is no nested key. Refusal: METADATA_UNAVAILABLE with the
 * reason in `details.problem`, for a document that is neither, whose key is no key, whose two keys differ, whose
 * configuration is not signed by its own key, or whose endpoint is not https.
 */
export function readMetadata(json: JsonValue, rules: MetadataRules): Metadata | NetworkRefusal {
  if (!isJsonObject(json)) return refuseMetadata("it is no object");
  const is_nested = isJsonObject(json.config) && json.config.publicKey !== undefined;
  return is_nested ? readNested(json, rules) : readFlat(json, rules);
}

function readNested(json: { readonly [key: string]: JsonValue }, rules: MetadataRules): Metadata | NetworkRefusal {
  const parsed = nested.safeParse(json, { error: field.fieldIssueText });
  if (!parsed.success || !isJsonObject(json.config)) return refuseMetadata(firstIssue(parsed.error));
  const public_key = parsePublicKey(parsed.data.config.publicKey);
  if (public_key === null) return refuseMetadata("config.publicKey is no key");
  if (json.publicKey !== undefined) {
    const other = typeof json.publicKey === "string" ? parsePublicKey(json.publicKey) : null;
    if (other !== public_key) return refuseMetadata("config.publicKey and publicKey differ");
  }
  const match = verifyObject(json.config, parsed.data.signature, [public_key]);
  if (match === null) return refuseMetadata("config is not signed by its own key");

  const is_telling = canonicalIn("recursive", json.config) !== canonicalIn("shallow", json.config);
  const dialect = match.form === "top_level" || !is_telling ? "unknown" : match.form;
  const settlement_signed = match.coverage === "full";
  return metadataOf(parsed.data.name, parsed.data.config, rules, { shape: "nested", dialect, settlement_signed });
}

function readFlat(json: JsonValue, rules: MetadataRules): Metadata | NetworkRefusal {
  if (rules.require_signed_config) return refuseMetadata("config is not signed");
  const parsed = flat.safeParse(json, { error: field.fieldIssueText });
  if (!parsed.success) return refuseMetadata(firstIssue(parsed.error));
  return metadataOf(parsed.data.name, parsed.data, rules, {
    shape: "flat",
    dialect: "unknown",
    settlement_signed: false,
  });
}

function metadataOf(
  name: string,
  claimed: z.infer<typeof nested>["config"],
  rules: MetadataRules,
  found: Pick<Metadata, "shape" | "dialect" | "settlement_signed">,
): Metadata | NetworkRefusal {
  const public_key = parsePublicKey(claimed.publicKey);
  if (public_key === null) return refuseMetadata("publicKey is no key");
  const endpoint = claimed.endpoint?.replace(/\/+$/, "") ?? null;
  if (endpoint !== null && !isEndpoint(endpoint, rules.allow_http)) return refuseMetadata("endpoint is not https");
  const old_key = claimed.previousKey === null ? null : parsePublicKey(claimed.previousKey);
  const rotated_at = claimed.keyRotatedAt;
  return {
    name,
    public_key,
    endpoint,
    capabilities: claimed.capabilities,
    settlement: claimed.settlement,
    previous: old_key === null || rotated_at === null ? null : { public_key: old_key, rotated_at },
    ...found,
  };
}

/** A base to append paths to: no query, no fragment, no credentials. */
function isEndpoint(text: string, allow_http: boolean): boolean {
  if (!/^https?:\/\/[^\\?#\s@]+$/i.test(text) || !URL.canParse(text)) return false;
  return allow_http || new URL(text).protocol === "https:";
}

function firstIssue(error: z.ZodError | undefined): string {
  const issue = error?.issues[0];
  return issue === undefined ? "it has no configuration" : `${field.pathText(issue.path)} ${issue.message}`.trim();
}

function refuseMetadata(problem: string): NetworkRefusal {
  return networkRefusal("METADATA_UNAVAILABLE", { details: { problem } });
}

/** The keys a request may be signed with now: the old one for ten minutes after the change. */
export function keysForRequest({ public_key, previous }: Metadata, now_ms: number): string[] {
  const is_in_grace = previous !== null && now_ms / 1000 <= previous.rotated_at + request_grace_s;
  return is_in_grace ? [public_key, previous.public_key] : [public_key];
}

/** The keys an order or proof made at `made_at` (seconds, by its own word) may be signed with. */
export function keysForObject({ public_key, previous }: Metadata, made_at: number): string[] {
  return previous !== null && made_at <= previous.rotated_at ? [public_key, previous.public_key] : [public_key];
}
