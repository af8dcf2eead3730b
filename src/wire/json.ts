// JSON as a request carries it: strict UTF-8, strict syntax, bounded depth, and numbers that keep the text they were
// written in. Never turns a number literal into a float.

import { Fault } from "../domain/errors.ts";

/** Arrays and objects inside one another; no request of ours needs more than two. */
const json_depth_max = 64;
/** Values in one text: each costs a call of the reviver. The largest body of ours, metadata of 4 KiB, has 2,000. */
const json_values_max = 10_000;

/** A number literal that JSON.stringify writes as it was read. */
interface RawNumber {
  readonly rawJSON: string;
}

const raw = JSON as unknown as {
  rawJSON(text: string): RawNumber;
  isRawJSON(value: unknown): value is RawNumber;
};

/** The text of UTF-8 bytes, or null when they are not UTF-8. A byte-order mark stays, so that the parser refuses it. */
export function readUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/**
 * Parses JSON; of two equal keys the last one wins. Number literals become opaque values that `numberSource` reads.
 * Fault: invalid_json_body.
 */
export function parseJson(text: string): unknown {
  if (isTooLarge(text)) throw refused(`more than ${json_values_max} values, or deeper than ${json_depth_max}`);
  try {
    return JSON.parse(text, keepSource);
  } catch {
    throw refused(text === "" ? "an empty body" : "no JSON");
  }
}

function refused(why: string): Fault {
  return new Fault("invalid_json_body", undefined, undefined, why);
}

/** The text a number was written in (`19.90`); null for a value that is no number of `parseJson`. */
export function numberSource(value: unknown): string | null {
  return raw.isRawJSON(value) ? value.rawJSON : null;
}

/** The fields of a JSON object, or null for any other value. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> | null {
  if (typeof value !== "object" || value === null || Array.isArray(value) || raw.isRawJSON(value)) return null;
  return value as Record<string, unknown>;
}

/** JSON of a value of `parseJson`, without spaces, its numbers as they were written. */
export function exactText(value: unknown): string {
  return JSON.stringify(value);
}

function keepSource(_key: string, value: unknown, context?: { source?: string }): unknown {
  return typeof value === "number" ? raw.rawJSON(context?.source ?? "") : value;
}

/** True above `json_depth_max` or `json_values_max`. Counts outside strings, before the parser recurses. */
function isTooLarge(text: string): boolean {
  let depth = 0;
  let values = 1;
  let in_string = false;
  for (let i = 0; i < text.length; i++) {
    const letter = text[i];
    if (in_string) {
      if (letter === "\\") i++;
      else if (letter === '"') in_string = false;
    } else if (letter === '"') in_string = true;
    else if (letter === "[" || letter === "{") {
      if (++depth > json_depth_max || ++values > json_values_max) return true;
    } else if (letter === ",") {
      if (++values > json_values_max) return true;
    } else if (letter === "]" || letter === "}") depth--;
  }
  return false;
}
