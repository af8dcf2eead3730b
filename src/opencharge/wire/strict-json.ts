// JSON whose bytes somebody signed: one meaning per text. Refuses what would let two readers see two objects (equal
// keys, half surrogate pairs, numbers without a value) and never repairs anything.

import { Fault } from "../../domain/errors.ts";
import { readUtf8 } from "../../wire/json.ts";

/** Arrays and objects inside one another; no object of the protocol needs more than five. */
const depth_max = 64;
/** Values in a body that somebody sends us: five hundred items of ten fields each are fewer. */
const body_values_max = 6000;
const [quote, comma, brace, bracket, end_brace, end_bracket] = [0x22, 0x2c, 0x7b, 0x5b, 0x7d, 0x5d];

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
  return parsed(text, Number.POSITIVE_INFINITY);
}

/** The same for a body as it arrived: UTF-8, and no more values in it than somebody can mean. */
export function parseStrictBytes(bytes: Uint8Array): JsonValue {
  const text = readUtf8(bytes);
  if (text === null) throw new Fault("invalid_json_body", "it is no UTF-8");
  return parsed(text, body_values_max);
}

function parsed(text: string, values_max: number): JsonValue {
  const problem = problemIn(text, values_max);
  if (problem !== null) throw new Fault("invalid_json_body", problem);
  try {
    const value = JSON.parse(text) as JsonValue;
    if (isBounded(value)) return value;
  } catch {
    // Falls through to the same words.
  }
  throw new Fault("invalid_json_body", "it is no JSON");
}

/** False where a number lies beyond all bounds. A reviver would say it too, ten times as slowly. */
function isBounded(value: JsonValue): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  return typeof value !== "object" || value === null || Object.values(value).every(isBounded);
}

/**
 * Walks the tokens without judging the syntax, which the parser does afterwards. Looks at every character once and
 * decodes only what is escaped: bodies are a stranger's, and this is done before anything is known of them.
 */
function problemIn(text: string, values_max: number): string | null {
  if (!text.isWellFormed()) return "it holds half a surrogate pair";
  const open: (Set<string> | null)[] = [];
  let values = 1;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case quote: {
        const end = endOfString(text, i);
        const value = text.slice(i + 1, end);
        const plain = value.includes("\\") ? decoded(value) : value;
        if (plain === null) return "it is no JSON";
        if (!plain.isWellFormed()) return "it holds half a surrogate pair";
        i = end;
        if (!isKey(text, end)) break;
        const keys = open.at(-1);
        if (keys?.has(plain)) return "an object has the same key twice";
        keys?.add(plain);
        break;
      }
      case comma:
        if (++values > values_max) return `it has more than ${values_max} values`;
        break;
      case brace:
      case bracket:
        if (++values > values_max) return `it has more than ${values_max} values`;
        if (open.push(text.charCodeAt(i) === brace ? new Set() : null) > depth_max) return "it is nested too deeply";
        break;
      case end_brace:
      case end_bracket:
        open.pop();
    }
  }
  return null;
}

/** Where the closing quote stands; the end of the text without one. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = end;
    while (text[escapes - 1] === "\\") escapes--;
    if ((end - escapes) % 2 === 0) return end;
  }
  return text.length;
}

/** What is between the quotes. Equal keys may be spelled differently: `"a"` and `"\u0061"`. */
function decoded(escaped: string): string | null {
  try {
    return JSON.parse(`"${escaped}"`) as string;
  } catch {
    return null;
  }
}

function isKey(text: string, end_of_string: number): boolean {
  let i = end_of_string + 1;
  while (text[i] === " " || text[i] === "\n" || text[i] === "\r" || text[i] === "\t") i++;
  return text[i] === ":";
}
