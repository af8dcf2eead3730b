// What browsers of other origins may do: call the routes that say so, from the configured origins. Decides by the
// request's `Origin` alone; who may act is decided by signatures.

/** The last four are what tracing tools add to every request of a page. */
const allowed_headers =
  "Content-Type, Ocrch-Signature, Ocrch-Signed-Url, Prefer, traceparent, tracestate, baggage, sentry-trace";
const exposed_headers = "Preference-Applied, Retry-After, X-Request-Id";
const preflight_memory_s = 600;

/** Marks an answer as readable by the origin that asked, where that is a configured one. Changes its headers. */
export function shareWith(origins: readonly string[], request: Request, answer: Response): void {
  const origin = request.headers.get("origin");
  answer.headers.append("vary", "Origin");
  if (origin === null || !origins.includes(origin)) return;
  answer.headers.set("access-control-allow-origin", origin);
  if (request.method !== "OPTIONS") answer.headers.set("access-control-expose-headers", exposed_headers);
}

/** The headers of a preflight's answer: what a configured origin may send to a route; nothing for others. */
export function preflightHeaders(
  origins: readonly string[],
  request: Request,
  methods: readonly string[],
): Record<string, string> {
  const allow = { allow: methods.join(", ") };
  if (!origins.includes(request.headers.get("origin") ?? "")) return allow;
  return {
    ...allow,
    "access-control-allow-methods": methods.join(", "),
    "access-control-allow-headers": allowed_headers,
    "access-control-max-age": String(preflight_memory_s),
  };
}
