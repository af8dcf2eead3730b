// How answers look: JSON, nothing, or a refusal in plain text. Never shows more of a failure than its words, and of an
// internal one not even those.

import { type Code, errorCodes, Fault } from "../domain/errors.ts";

const internal_status = 500;
const unavailable_status = 503;
/** What a client reads while nothing can be written. */
export const unavailable_text = "temporarily unavailable";
const unavailable_retry_s = 5;

/** On every answer: nothing here is a page, and nothing is anybody else's to keep. */
const everywhere = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
} as const;

/** The HTTP status that answers a fault. */
export function statusOf(code: Code): number {
  return errorCodes[code].http ?? internal_status;
}

const json_headers = new Headers({ ...everywhere, "content-type": "application/json" });
const text_headers = new Headers({ ...everywhere, "content-type": "text/plain; charset=utf-8" });

/** A JSON answer. */
export function json(status: number, value: unknown): Response {
  return jsonText(status, JSON.stringify(value));
}

/** A JSON answer whose text is there already. */
export function jsonText(status: number, text: string): Response {
  return whole(status, text, new Headers(json_headers));
}

/** An answer without a body. */
export function empty(status: number, headers: Record<string, string> = {}): Response {
  return new Response(null, { status, headers: { ...everywhere, ...headers } });
}

/** The answer to a refused request: the fault's words as plain text. An internal fault has only one text. */
export function refusal(fault: Fault, headers: Record<string, string> = {}): Response {
  const status = statusOf(fault.code);
  const all = new Headers(text_headers);
  for (const [name, value] of Object.entries(headers)) all.set(name, value);
  const retry_after_s = fault.retry_after_s ?? (status === unavailable_status ? unavailable_retry_s : null);
  if (retry_after_s !== null) all.set("retry-after", String(retry_after_s));
  if (fault.code === "websocket_required") all.set("upgrade", "websocket");
  return whole(status, textFor(status, fault), all);
}

/** What is wrong with this machine is for its operator to read. */
function textFor(status: number, fault: Fault): string {
  if (status === internal_status) return errorCodes.internal.text;
  return status === unavailable_status ? unavailable_text : fault.message;
}

/** The fault as a client may see it; null when it is ours, to be logged and answered as `internal`. */
export function expected(error: unknown): Fault | null {
  return error instanceof Fault && statusOf(error.code) !== internal_status ? error : null;
}

/** The length is stated so that the answer to HEAD, which loses the body, still has it. Takes `headers` over. */
function whole(status: number, text: string, headers: Headers): Response {
  headers.set("content-length", String(Buffer.byteLength(text)));
  return new Response(text, { status, headers });
}
