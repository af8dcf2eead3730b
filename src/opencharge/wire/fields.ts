// The fields that the bodies of the network are made of, each with its limits. Accepts null for an absent optional
// field; never changes a text.

import * as z from "zod";
import { isAmount } from "../../domain/money.ts";

const id_max_chars = 256;
const name_max_chars = 500;
const reference_max_chars = 500;
const memo_max_chars = 2000;
const url_max_chars = 2048;
const signature_max_chars = 512;
const items_max = 500;
const ocids_max = 1000;
const urls_max = 20;
/** Seconds; a number of milliseconds is no time. */
const time_max_s = 99_999_999_999;
/** Outside of these a number is written with an exponent. */
const quantity_min = 0.000001;
const quantity_max = 1_000_000_000;
const price_pattern = /^\d{1,18}(\.\d{1,18})?$/;
const currency_pattern = /^[A-Z0-9]{2,10}$/;
/** Ids that may stand in our own addresses: a segment of `.` or `..` would lead to another one. */
const own_id_pattern = /^(?!\.{1,2}$)[A-Za-z0-9._:-]{1,64}$/;

const text = (max_chars: number) => z.string().min(1).max(max_chars);

/** Null for a field that is absent or null. */
export function optional<T extends z.ZodType>(field: T) {
  return field.nullish().transform((value) => value ?? null);
}

export const id = text(id_max_chars);
export const ownId = z
  .string()
  .regex(own_id_pattern, "must be 1 to 64 letters, digits, dots, colons, _ or -, and not . or ..");
export const name = text(name_max_chars);
/** May be empty, which says as little as its absence. */
export const reference = z.string().max(reference_max_chars);
export const memo = z.string().max(memo_max_chars);
export const url = text(url_max_chars);
export const urls = z.array(url).max(urls_max);
export const signature = text(signature_max_chars);
export const amountText = z.string().refine(isAmount, "must be a positive decimal as text, as in 15.00");
export const currency = z.string().regex(currency_pattern, "must be 2 to 10 capital letters or digits");
export const time = z.int().min(1).max(time_max_s);
export const ocid = z.int().min(1);
/** 0 stands for a payer without an identity. */
export const payerOcid = z.int().min(0);
export const ocids = z.array(ocid).max(ocids_max);

const item = z.object({
  id,
  name,
  quantity: z.number().min(quantity_min).max(quantity_max),
  price: z.string().regex(price_pattern, "must be a decimal as text, as in 5.00"),
});
export const items = z.array(item).max(items_max);
export type Item = z.infer<typeof item>;

/** What is wrong, without the value: it came from a stranger. */
export function fieldIssueText(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code !== "invalid_type") return undefined;
  return issue.input === undefined ? "is required" : `must be ${article(issue.expected)}`;
}

function article(type: string): string {
  if (type === "int") return "a whole number";
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

/** `order.items[0].price` */
export function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    return text === "" ? String(key) : `${text}.${String(key)}`;
  }, "");
}
