// What a route is to the APIs of this room: a method, a path and a handler that sees one call. Knows no API.

import type { Connection } from "../world.ts";

/** One request on its way through a route. */
export interface Call {
  request: Request;
  connection: Connection;
  /** A parameter of the route's path, percent-decoded. */
  param(name: string): string;
  query: URLSearchParams;
}

export interface Route {
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
