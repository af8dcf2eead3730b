// A signed request: its four headers, the six lines that are signed, and the check of both. Knows neither clock nor
// stored nonces beyond what it is given, and never reads a body but for its hash.

import { Fault } from "../../domain/errors.ts";
import type { World } from "../../world.ts";
import { type NetworkRefusal, networkRefusal } from "./errors.ts";
import { parseSignature, type Signer, sha256Hex, verifyText } from "./keys.ts";

/** A request may be this old or this far ahead. */
const timestamp_window_s = 300;
const nonce_random_bytes = 16;
/** Digits that may still exceed what a JSON number holds exactly. */
const ocid_pattern = /^[1-9]\d{0,15}$/;
const timestamp_pattern = /^\d{1,12}$/;
const nonce_pattern = /^[\x21-\x7e]{1,128}$/;
const signature_pattern = /^[\x21-\x7e]{1,200}$/;
/** A path and query as a request line carries them: no space, no line end, no fragment. */
const target_pattern = /^\/[\x21\x22\x24-\x7e]*$/;
const method_pattern = /^[A-Za-z]{1,16}$/;
const empty_object = "{}";

const names = {
  ocid: "X-OC-ID",
  timestamp: "X-OC-Timestamp",
  nonce: "X-OC-Nonce",
  signature: "X-OC-Signature",
} as const;

/** The four headers of one request, well-formed but not yet believed. */
export interface RequestAuth {
  /** Who claims to send it. */
  ocid: number;
  /** Seconds. */
  timestamp: number;
  /** The digits as sent: they are what was signed. */
  timestamp_text: string;
  nonce: string;
  /** As sent. */
  signature: string;
}

/** What a signature speaks of. */
export interface SignedRequest {
  method: string;
  /** Path and query exactly as received. */
  target: string;
  /** The bytes exactly as received. */
  body: Uint8Array;
}

export interface RequestRules {
  /** Path of our own endpoint without a trailing slash, `/opencharge`; with the flag, a signed path may leave it out. */
  base_path: string;
  accept_relative_path: boolean;
  accept_der: boolean;
}

/** Which key and which reading of the rules a signature held under. */
export interface RequestMatch {
  public_key: string;
  path: "full" | "relative";
  body: "raw" | "empty_object";
}

/** Whether a request shows any of the four headers and so claims an identity. */
export function claimsIdentity(headers: Iterable<readonly [string, string]>): boolean {
  const known: string[] = Object.values(names).map((name) => name.toLowerCase());
  return [...headers].some(([name]) => known.includes(name.toLowerCase()));
}

/**
 * Reads the four headers, each of which must be there once. A header that came twice and was joined by the server
 * holds a blank and is malformed too. Refusal: INVALID_SIGNATURE with the header at fault in its details.
 */
export function readRequestAuth(headers: Iterable<readonly [string, string]>): RequestAuth | NetworkRefusal {
  const all = [...headers];
  const values = new Map<string, string>();
  for (const name of Object.values(names)) {
    const found = all.filter(([other]) => other.toLowerCase() === name.toLowerCase());
    if (found.length > 1) return refuseHeader(name, "repeated");
    if (found[0] === undefined || found[0][1] === "") return refuseHeader(name, "missing");
    values.set(name, found[0][1]);
  }
  const [ocid = "", timestamp_text = "", nonce = "", signature = ""] = values.values();
  if (!ocid_pattern.test(ocid) || !Number.isSafeInteger(Number(ocid))) return refuseHeader(names.ocid, "malformed");
  if (!timestamp_pattern.test(timestamp_text)) return refuseHeader(names.timestamp, "malformed");
  if (!nonce_pattern.test(nonce)) return refuseHeader(names.nonce, "malformed");
  if (!signature_pattern.test(signature)) return refuseHeader(names.signature, "malformed");
  return { ocid: Number(ocid), timestamp: Number(timestamp_text), timestamp_text, nonce, signature };
}

function refuseHeader(header: string, problem: "missing" | "repeated" | "malformed"): NetworkRefusal {
  return networkRefusal("INVALID_SIGNATURE", {
    message: `header ${header} is ${problem}`,
    details: { header, problem },
  });
}

/** TIMESTAMP_EXPIRED for a time (seconds) outside the window around now; null inside it. */
export function timestampRefusal(timestamp: number, now_ms: number): NetworkRefusal | null {
  const off_s = Math.abs(seconds(now_ms) - timestamp);
  return off_s > timestamp_window_s ? networkRefusal("TIMESTAMP_EXPIRED") : null;
}

/**
 * Tries every key with the full path first, then the path below our endpoint; a body-less GET may have been signed as
 * the empty object, which some frameworks make of no body. Null when nothing holds.
 */
export function verifyRequest(
  auth: RequestAuth,
  request: SignedRequest,
  keys: readonly string[],
  tolerance: RequestRules,
): RequestMatch | null {
  const signature = parseSignature(auth.signature, tolerance.accept_der);
  if (signature === null) return null;
  for (const { text, path, body } of requestTexts(auth, request, tolerance)) {
    const public_key = keys.find((key) => verifyText(text, signature, key));
    if (public_key !== undefined) return { public_key, path, body };
  }
  return null;
}

/** Every text that a valid signature of this request may cover, the specified one first. None for an impossible request. */
function requestTexts(
  auth: RequestAuth,
  { method, target, body }: SignedRequest,
  { base_path, accept_relative_path }: RequestRules,
): { text: string; path: "full" | "relative"; body: "raw" | "empty_object" }[] {
  if (!target_pattern.test(target) || !method_pattern.test(method)) return [];
  const paths = [{ path: "full" as const, value: target }];
  const below = relativeTarget(target, base_path);
  const bodies = [{ body: "raw" as const, value: sha256Hex(body) }];
  const is_bodyless = body.length === 0 && /^(GET|HEAD)$/i.test(method);
  return [
    ...paths,
    ...(accept_relative_path && below !== null ? [{ path: "relative" as const, value: below }] : []),
  ].flatMap((path) =>
    [...bodies, ...(is_bodyless ? [{ body: "empty_object" as const, value: sha256Hex(empty_object) }] : [])].map(
      (body) => ({
        text: sixLines(String(auth.ocid), auth.timestamp_text, auth.nonce, method, path.value, body.value),
        path: path.path,
        body: body.body,
      }),
    ),
  );
}

function relativeTarget(target: string, base_path: string): string | null {
  return base_path !== "" && target.startsWith(`${base_path}/`) ? target.slice(base_path.length) : null;
}

function sixLines(ocid: string, timestamp: string, nonce: string, method: string, target: string, hash: string) {
  return [ocid, timestamp, nonce, method.toUpperCase(), target, hash].join("\n");
}

/** A nonce nobody used: `req_` and 128 random bits. */
export function newNonce(world: Pick<World, "random">): string {
  return `req_${Buffer.from(world.random(nonce_random_bytes)).toString("hex")}`;
}

/**
 * The headers of a request that leaves now; `body` null for none. Fault invalid_request for a URL with a query: some
 * readers drop it, others do not, so no signed call of ours has one.
 */
export function signRequest(
  sender: { ocid: number; signer: Signer },
  request: { method: "GET" | "POST"; url: string; body: string | null },
  now_ms: number,
  nonce: string,
): Record<string, string> {
  const { pathname, search } = new URL(request.url);
  if (search !== "" || request.url.includes("?")) throw new Fault("invalid_request", "a signed URL has no query");
  const ocid = String(sender.ocid);
  const timestamp = String(seconds(now_ms));
  const text = sixLines(ocid, timestamp, nonce, request.method, pathname, sha256Hex(request.body ?? ""));
  return {
    [names.ocid]: ocid,
    [names.timestamp]: timestamp,
    [names.nonce]: nonce,
    [names.signature]: sender.signer.sign(text),
  };
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}
