// What a route is to the APIs of this room: a method, a path and a handler that sees one call. Knows no API.

import type { z } from "zod";
import type { Code } from "../domain/errors.ts";
import type { Connection } from "../world.ts";

/** One request on its way through a route. */
export interface Call {
  request: Request;
  connection: Connection;
  /** A parameter of the route's path, percent-decoded. */
  param(name: string): string;
  query: URLSearchParams;
  /** What the answer and the log call this request. */
  id: string;
}

/** Something a route refuses: a code in its standard words, or in others. */
export type Refusal = Code | readonly [code: Code, words: string];

/** What a route takes and answers: the source of the API description. */
export interface About {
  /** Names the operation, once. */
  name: string;
  summary: string;
  description: string;
  /** Who may call: a signed body, a signed URL, the admin secret, anybody. */
  auth: "body" | "url" | "admin" | "anybody";
  /** Optional headers. */
  headers?: z.ZodObject;
  query?: z.ZodObject;
  body?: z.ZodType;
  /** `represented`: the body in place of an empty one where `Prefer: return=representation` asks for it. */
  success: {
    status: number;
    words: string;
    body?: z.ZodType;
    represented?: z.ZodType;
    /** What a WebSocket sends. */
    frames?: readonly z.ZodType[];
  };
  /** Beside those of its authentication, its path and its query. */
  refusals: readonly Refusal[];
}

export interface Route {
  about: About;
  method: "GET" | "POST";
  /** Hono's pattern, e.g. `/api/v1/user/orders/:order_id/status`. */
  path: string;
  /** Called from browsers of the configured origins: preflights are answered. */
  cross_origin?: true;
  /** Refuses by throwing a Fault. */
  handle(call: Call): Response | Promise<Response>;
}

/**
 * The path of a request as it was sent, still percent-encoded. Without a usable `Host` header the listener hands over
 * a URL that begins with its path, which the URL parser refuses.
 */
export function pathOf(request: Request): string {
  const rest = afterOrigin(request.url);
  const end = rest.search(/[?#]/);
  return end < 0 ? rest : rest.slice(0, end);
}

/** The query parameters of a request. */
export function queryOf(request: Request): URLSearchParams {
  const [, query = ""] = /^[^?#]*\?([^#]*)/.exec(request.url) ?? [];
  return new URLSearchParams(query);
}

function afterOrigin(url: string): string {
  if (url.startsWith("/")) return url;
  const start = url.indexOf("/", url.indexOf("://") + 3);
  return start < 0 ? "/" : url.slice(start);
}
