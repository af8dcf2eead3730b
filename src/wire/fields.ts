// The fields that requests are made of, each a schema that reads one parsed value and shows it in the API description.
// A value of the wrong type is no JSON of ours; a rule behind the types is refused in words of its own.

import { z } from "zod";
import { type Code, errorCodes, Fault } from "../domain/errors.ts";
import { isAmount } from "../domain/money.ts";
import { exactText, fieldsOf, numberSource } from "./json.ts";
import { parseUuid } from "./uuid.ts";

const web_url_max_bytes = 2048;
const metadata_max_bytes = 4096;
const amount_words = "expected 1 to 18 digits, with up to 18 more behind a dot, above zero";
/** Of what the log says about a refused body. */
const unknown_fields_max = 5;
const field_name_max_chars = 40;
/** Stricter than the URL parser, which drops tabs and line ends, trims spaces and forgives missing slashes. */
const web_url_pattern = /^https?:\/\/[^/\\?#]/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const unprintable_pattern = /[\u0000-\u0020\u007f]/;
/** Whole numbers that a float holds exactly. */
const integer_pattern = /^-?\d{1,15}$/;

type Context = z.core.$RefinementCtx;

/** Refuses a value in words of its own, whatever its type. `message` is for the log, where the words say less. */
function refuse(context: Context, code: Code, words: string, message = words): typeof z.NEVER {
  context.addIssue({ code: "custom", message, params: { fault: { code, words } } });
  return z.NEVER;
}

/**
 * Reads a parsed body. Faults: invalid_json_body where it has not the schema's types, else the first field that was
 * refused in words of its own.
 */
export function read<T>(schema: z.ZodType<T>, json: unknown): T {
  const found = fieldsOf(json);
  const result = schema.safeParse(found);
  if (result.success) return result.data;
  const { issues } = result.error;
  const detail = [...issues.map(problemOf), ...unknownFields(schema, found ?? {})].join("; ");
  const faults = issues.map((issue) => faultOf(issue, detail));
  throw (
    faults.find((fault) => fault.code === "invalid_json_body") ??
    faults[0] ??
    new Fault("invalid_json_body", undefined, undefined, detail)
  );
}

function faultOf(issue: z.core.$ZodIssue, detail: string): Fault {
  const named =
    issue.code === "custom" ? (issue.params?.fault as { code: Code; words: string } | undefined) : undefined;
  return new Fault(named?.code ?? "invalid_json_body", named?.words, undefined, detail);
}

/** Which field was refused and what was expected, for the log. Quotes no value. */
function problemOf({ path: [name], message }: z.core.$ZodIssue): string {
  if (name === undefined) return "the body is no JSON object";
  return `${String(name)}: ${message.replace(/^Invalid (?:input|option): /, "")}`;
}

/** Fields that nothing reads, such as a `currency`, for the log. */
function unknownFields(schema: z.ZodType, fields: Readonly<Record<string, unknown>>): string[] {
  const known = shapeOf(schema);
  const unknown = Object.keys(fields).filter((name) => !Object.hasOwn(known, name));
  if (unknown.length === 0) return [];
  const named = unknown.slice(0, unknown_fields_max).map((name) => name.slice(0, field_name_max_chars));
  return [`unknown fields: ${named.join(", ")}`];
}

function shapeOf(schema: z.ZodType): Readonly<Record<string, z.ZodType>> {
  return schema instanceof z.ZodObject ? schema.shape : {};
}

/** A string that has a UTF-8 form: half a surrogate pair has none. */
export const text = z
  .string()
  .refine((value) => value.isWellFormed(), { error: "expected text without half characters" });

/** The same, of so many bytes at most. */
export function textOf(max_bytes: number) {
  return text
    .refine((value) => byteLength(value) <= max_bytes, { error: `expected at most ${max_bytes} bytes` })
    .meta({ maxLength: max_bytes, description: `At most ${max_bytes} bytes of UTF-8.` });
}

/** An order's UUID; comes out in lower case. */
export const uuid = z
  .custom<string>((value) => typeof value === "string" && parseUuid(value) !== null, { error: "expected a UUID" })
  .meta({ type: "string", format: "uuid" })
  .transform((value) => value.toLowerCase());

/** Decimal text or a number literal; comes out as written, scale kept. */
export const amount = z
  .custom<unknown>((value) => numberSource(value) !== null || text.safeParse(value).success, { error: amount_words })
  .meta({
    type: ["string", "number"],
    pattern: "^\\d{1,18}(\\.\\d{1,18})?$",
    exclusiveMinimum: 0,
    description: "A positive decimal; digits behind the dot are kept as written.",
    examples: ["19.90"],
  })
  .transform((value) => numberSource(value) ?? String(value))
  .superRefine((value, context) => {
    if (!isAmount(value)) refuse(context, "invalid_amount", errorCodes.invalid_amount.text, amount_words);
  });

/** Where webhooks go; kept as written. Whether the host may be called is decided later. */
export const webhookUrl = text
  .meta({ format: "uri", maxLength: web_url_max_bytes, description: "An http or https URL that takes the webhooks." })
  .superRefine((value, context) => {
    const problem = webUrlProblem(value);
    if (problem !== null) refuse(context, "invalid_webhook_url", `${errorCodes.invalid_webhook_url.text}: ${problem}`);
  });

/** A page of the merchant's; kept as written. */
export function pageUrl(name: string, description: string) {
  return option(name, (value) => (isText(value) && webUrlProblem(value) === null ? value : null), {
    type: "string",
    format: "uri",
    maxLength: web_url_max_bytes,
    description,
  });
}

/** A JSON object; comes out as JSON text, its numbers as they were written. */
export function jsonObject(name: string) {
  const readObject = (value: unknown) => {
    const json = fieldsOf(value) === null ? null : exactText(value);
    return json !== null && byteLength(json) <= metadata_max_bytes ? json : null;
  };
  return option(name, readObject, {
    type: "object",
    additionalProperties: true,
    description: `Any JSON object, at most ${metadata_max_bytes} bytes when written without spaces. Whoever may read the order reads it, the payer too.`,
  });
}

/** A number of seconds from 1 to `max`. */
export function secondsUpTo(name: string, max: number, description: string) {
  const readSeconds = (value: unknown) => {
    const seconds = integerOf(value);
    return seconds !== null && seconds >= 1 && seconds <= max ? seconds : null;
  };
  return option(name, readSeconds, { type: "integer", minimum: 1, maximum: max, description });
}

/** An integer that is not negative. */
export function wholeNumber(description: string) {
  return z
    .custom<unknown>((value) => (integerOf(value) ?? -1) >= 0, { error: "expected a whole number" })
    .meta({ type: "integer", minimum: 0, description })
    .transform((value) => integerOf(value) ?? 0);
}

/** An integer that is moved into its bounds without a word, as in the lists of the Admin API. */
export function clamped(least: number, most: number, description: string) {
  return z
    .custom<unknown>((value) => integerOf(value) !== null, { error: "expected a whole number" })
    .meta({ type: "integer", description: `${description} Moved into ${least} to ${most}.` })
    .transform((value) => Math.min(Math.max(integerOf(value) ?? least, least), most));
}

/** An optional field whose every bad value is refused by the field's name. */
function option<T>(name: string, readValue: (value: unknown) => T | null, meta: Record<string, unknown>) {
  return z
    .unknown()
    .meta(meta)
    .transform((value, context) => readValue(value) ?? refuse(context, "invalid_request", `invalid ${name}`));
}

function webUrlProblem(url: string): string | null {
  if (byteLength(url) > web_url_max_bytes) return `more than ${web_url_max_bytes} bytes`;
  if (unprintable_pattern.test(url)) return "spaces and control characters must be percent-encoded";
  if (!web_url_pattern.test(url)) return "it must begin with http:// or https:// and name a host";
  return URL.canParse(url) ? null : "it is no web address";
}

function integerOf(value: unknown): number | null {
  const source = numberSource(value);
  return source !== null && integer_pattern.test(source) ? Number(source) : null;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.isWellFormed();
}

function byteLength(value: string): number {
  return Buffer.byteLength(value, "utf8");
}
