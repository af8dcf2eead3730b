// The bytes that stand for a JSON object when it is signed. One form is written; three are understood, because the
// protocol's own pages teach two of them. Never decides what a form may be trusted for.

import canonicalize from "canonicalize";
import { Fault } from "../../domain/errors.ts";
import type { JsonObject } from "./strict-json.ts";

/**
 * recursive: RFC 8785, keys sorted at every level. top_level: keys of the object itself sorted, what is inside them as
 * received. shallow: only keys that the object itself has survive inside it, so `from` and `to` become empty.
 */
export type Form = "recursive" | "top_level" | "shallow";

/**
 * RFC 8785: keys in UTF-16 order at all levels, no whitespace, undefined left out. Fault invalid_request for what JSON
 * cannot say: NaN, infinities, half surrogate pairs, cycles, and anything but an object, array or scalar.
 */
export function canonicalJson(value: unknown): string {
  let text: string | undefined;
  try {
    text = canonicalize(value);
  } catch {
    throw new Fault("invalid_request", "the value has no canonical JSON");
  }
  if (text === undefined) throw new Fault("invalid_request", "the value has no canonical JSON");
  return text;
}

/** An object in one form. Fault invalid_request as `canonicalJson`. */
export function canonicalIn(form: Form, object: JsonObject): string {
  // Whatever cannot be canonical in the strict form is canonical in none.
  const recursive = canonicalJson(object);
  return form === "recursive" ? recursive : weaker(form, object);
}

function weaker(form: Exclude<Form, "recursive">, object: JsonObject): string {
  const keys = Object.keys(object);
  if (form === "shallow") return onlyKeys(object, new Set(keys));
  return `{${keys
    .sort()
    .map((key) => `${JSON.stringify(key)}:${JSON.stringify(object[key])}`)
    .join(",")}}`;
}

/**
 * What `JSON.stringify(value, [...keys].sort())` writes, in time that grows with the value alone: the built-in one looks
 * for every key in every object, and both are a stranger's choice.
 */
function onlyKeys(value: unknown, keys: ReadonlySet<string>): string {
  if (Array.isArray(value)) return `[${value.map((one) => onlyKeys(one, keys)).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = value as JsonObject;
  const kept = Object.keys(fields)
    .filter((key) => keys.has(key))
    .sort();
  return `{${kept.map((key) => `${JSON.stringify(key)}:${onlyKeys(fields[key], keys)}`).join(",")}}`;
}

/**
 * The forms in the order they are tried, each made when it is asked for; one that reads like an earlier one is left
 * out, so the stronger name counts. Fault invalid_request as `canonicalJson`.
 */
export function* canonicalForms(object: JsonObject): Generator<{ form: Form; text: string }> {
  const recursive = canonicalJson(object);
  yield { form: "recursive", text: recursive };
  const top_level = weaker("top_level", object);
  if (top_level !== recursive) yield { form: "top_level", text: top_level };
  const shallow = weaker("shallow", object);
  if (shallow !== recursive && shallow !== top_level) yield { form: "shallow", text: shallow };
}
