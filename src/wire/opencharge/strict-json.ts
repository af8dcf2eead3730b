// JSON whose bytes somebody signed: one meaning per text. Refuses what would let two readers see two objects (equal
// keys, half surrogate pairs, numbers without a value) and never repairs anything.

import { Fault } from "../../domain/errors.ts";
import { readUtf8 } from "../json.ts";

/** Arrays and objects inside one another; no object of the protocol needs more than five. */
const depth_max = 64;

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/** Whether a parsed value is an object, no array and not null. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Parses JSON, keys in the order received (but for keys that look like array indexes, which come first).
 * Fault invalid_json_body, with what is wrong in its detail.
 */
export function parseStrictJson(text: string): JsonValue {
  const problem = problemIn(text);
  if (problem !== null) throw new Fault("invalid_json_body", problem);
  try {
    return JSON.parse(text, finite) as JsonValue;
  } catch {
    throw new Fault("invalid_json_body", "it is no JSON");
  }
}

/** The same for UTF-8 bytes as they arrived. */
export function parseStrictBytes(bytes: Uint8Array): JsonValue {
  const text = readUtf8(bytes);
  if (text === null) throw new Fault("invalid_json_body", "it is no UTF-8");
  return parseStrictJson(text);
}

function finite(_key: string, value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) throw new RangeError("a number beyond all bounds");
  return value;
}

/** Walks the tokens without judging the syntax, which the parser does afterwards. */
function problemIn(text: string): string | null {
  const open: Set<string>[] = [];
  for (let i = 0; i < text.length; i++) {
    const letter = text[i];
    if (letter === "{" || letter === "[") {
      if (open.push(new Set()) > depth_max) return "it is nested too deeply";
    } else if (letter === "}" || letter === "]") open.pop();
    else if (letter === '"') {
      const end = endOfString(text, i);
      const value = decoded(text.slice(i, end + 1));
      if (value === null) return "it is no JSON";
      if (!value.isWellFormed()) return "it holds half a surrogate pair";
      i = end;
      if (!isKey(text, end)) continue;
      const keys = open.at(-1);
      if (keys?.has(value)) return "an object has the same key twice";
      keys?.add(value);
    }
  }
  return null;
}

function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === '"') return i;
  }
  return text.length;
}

/** Equal keys may be spelled differently: `"a"` and `"\u0061"`. */
function decoded(literal: string): string | null {
  try {
    return JSON.parse(literal) as string;
  } catch {
    return null;
  }
}

function isKey(text: string, end_of_string: number): boolean {
  let i = end_of_string + 1;
  while (text[i] === " " || text[i] === "\n" || text[i] === "\r" || text[i] === "\t") i++;
  return text[i] === ":";
}
