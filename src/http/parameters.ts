// Reading path and query parameters: what is missing is undefined, what is wrong is refused by its name.

import { Fault } from "../domain/errors.ts";
import type { Page } from "../services/operator.ts";
import { parseUuid } from "../wire/uuid.ts";
import type { Call } from "./route.ts";

const limit_default = 20;
const limit_max = 200;
const offset_max = 100_000;
const integer_pattern = /^-?\d+$/;

/** The order a path names, in lower case. Fault: invalid_request. */
export function orderIdOf(call: Call): string {
  return parseUuid(call.param("order_id")) ?? refuse("order_id");
}

/** An integer of the path; one that no row can have is as good as any other. Fault: invalid_request. */
export function integerOf(call: Call, name: string): number {
  const text = call.param(name);
  return integer_pattern.test(text) ? Number(text) : refuse(name);
}

/** `limit` and `offset`, clamped to what the lists allow. Fault: invalid_request. */
export function pageOf(query: URLSearchParams): Page {
  return {
    limit: clamped(query, "limit", limit_default, 1, limit_max),
    offset: clamped(query, "offset", 0, 0, offset_max),
  };
}

/** A filter of a closed list of values. Fault: invalid_request. */
export function oneOf<T extends string>(
  query: URLSearchParams,
  name: string,
  is: (text: unknown) => text is T,
): T | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  return is(text) ? text : refuse(name);
}

/** A filter that is a UUID, in lower case. Fault: invalid_request. */
export function uuidFilter(query: URLSearchParams, name: string): string | undefined {
  const text = query.get(name);
  return text === null ? undefined : (parseUuid(text) ?? refuse(name));
}

/** A filter that is any text but none. Fault: invalid_request. */
export function textFilter(query: URLSearchParams, name: string): string | undefined {
  const text = query.get(name);
  return text === null ? undefined : text || refuse(name);
}

function clamped(query: URLSearchParams, name: string, fallback: number, least: number, most: number): number {
  const text = query.get(name);
  if (text === null) return fallback;
  return integer_pattern.test(text) ? Math.min(Math.max(Number(text), least), most) : refuse(name);
}

function refuse(name: string): never {
  throw new Fault("invalid_request", `invalid ${name}`);
}
