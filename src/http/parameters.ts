// Path and query parameters: what the lists may be asked for, as schemas, and how a wrong one is refused by its name.

import { z } from "zod";
import { Fault } from "../domain/errors.ts";
import { parseUuid } from "../wire/uuid.ts";
import { chain, coin, inboxReason, orderStatus, transferStatus } from "../wire/values.ts";
import type { Call } from "./route.ts";

const limit_default = 20;
const limit_max = 200;
const offset_max = 100_000;
const integer_pattern = /^-?\d+$/;

/** How much of a list, and from where. */
export const pagination = {
  limit: clamped(1, limit_max, limit_default, "How many."),
  offset: clamped(0, offset_max, 0, "How many of the newest to skip."),
};
const blockchain = chain.optional();
const token = coin.optional();
const orderId = z
  .custom<string>((text) => typeof text === "string" && parseUuid(text) !== null)
  .transform((text) => text.toLowerCase())
  .meta({ type: "string", format: "uuid" })
  .optional();

/** Filters of the list of orders; the first of several equal names counts, and they are checked in this order. */
export const orderQuery = z.object({
  status: orderStatus.optional(),
  merchant_order_id: z.string().min(1).optional(),
  ...pagination,
});

/** Filters of the list of open deposits. */
export const depositQuery = z.object({ order_id: orderId, blockchain, token, ...pagination });

/** Filters of the list of a wallet's transfers. */
export const transferQuery = z.object({
  status: transferStatus.optional(),
  blockchain,
  token,
  unaccepted: flag("Tokens that are accepted as no coin, too; `token` is then what people call them."),
  ...pagination,
});

/** Filter of the coverage. */
export const coverageQuery = z.object({ blockchain });

/** Filters of the inbox. */
export const inboxQuery = z.object({
  blockchain,
  reason: inboxReason.optional(),
  dust: flag("Dust, and less than one coin from look-alike addresses, too."),
  ...pagination,
});

/** The query parameters a schema names. Fault: invalid_request, by the name of the first wrong one. */
export function readQuery<S extends z.ZodObject>(schema: S, query: URLSearchParams): z.infer<S> {
  const given = Object.keys(schema.shape).map((name) => [name, query.get(name) ?? undefined]);
  const result = schema.safeParse(Object.fromEntries(given));
  return result.success ? result.data : refuse(String(result.error.issues[0]?.path[0]));
}

/** The order a path names, in lower case. Fault: invalid_request. */
export function orderIdOf(call: Call): string {
  return parseUuid(call.param("order_id")) ?? refuse("order_id");
}

/** An integer of the path; one that no row can have is as good as any other. Fault: invalid_request. */
export function integerOf(call: Call, name: string): number {
  const text = call.param(name);
  return integer_pattern.test(text) ? Number(text) : refuse(name);
}

/** What paths may name, for the API description. */
export const pathParameters: Record<string, z.ZodType> = {
  order_id: z.string().meta({ format: "uuid" }),
  transfer_id: z.int().nonnegative(),
  address: z.string().meta({ description: "EVM addresses in any case, Tron's exactly." }),
};

function flag(description: string) {
  return z.enum(["true", "false"]).optional().meta({ description });
}

function clamped(least: number, most: number, fallback: number, description: string) {
  return z
    .custom<string>((text) => typeof text === "string" && integer_pattern.test(text))
    .optional()
    .meta({ type: "integer", default: fallback, description: `${description} Moved into ${least} to ${most}.` })
    .transform((text) => (text === undefined ? fallback : Math.min(Math.max(Number(text), least), most)));
}

function refuse(name: string): never {
  throw new Fault("invalid_request", `invalid ${name}`);
}
