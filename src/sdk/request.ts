// One HTTP request to Ocrch and its whole answer, within a time. Signs nothing and tries nothing twice.

import { OcrchError } from "./errors.ts";

/** How long one answer may take unless said otherwise. */
export const request_timeout_ms = 15_000;

/** What is used of `fetch`. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** Where Ocrch is, and how to get there. */
export interface Connection {
  /** Where your Ocrch answers, e.g. `https://pay.example.com`. */
  url: string;
  /** Stands in for the global `fetch`. */
  fetch?: Fetch | undefined;
  /** How long one answer may take, in ms. */
  timeout_ms?: number | undefined;
}

export interface Call {
  method: "GET" | "POST";
  /** Below the base, with its query. */
  path: string;
  headers?: Record<string, string>;
  body?: string;
  signal?: AbortSignal | undefined;
  /** On top of the connection's time. */
  more_ms?: number;
}

/**
 * Resolves with the text of a 2xx answer. Throws OcrchError for any other answer and when there is none in time; the
 * signal's reason when it aborts.
 */
export type Caller = (call: Call) => Promise<string>;

/** Requests over one connection. Throws a TypeError for a URL that is none. */
export function createCaller(connection: Connection): Caller {
  const base = baseOf(connection.url);
  const send: Fetch = connection.fetch ?? ((url, init) => fetch(url, init));
  const timeout_ms = connection.timeout_ms ?? request_timeout_ms;
  return ({ method, path, headers = {}, body, signal, more_ms = 0 }) =>
    within(timeout_ms + more_ms, signal, async (signal) => {
      // A redirect would lose the method or take a signature to a stranger: it is an answer like any other.
      const init = { method, headers, signal, redirect: "manual" as const, ...(body === undefined ? {} : { body }) };
      const response = await send(base + path, init);
      const text = await response.text();
      if (response.ok) return text;
      throw new OcrchError(response.status, text, { retry_after_s: retryAfter(response) });
    });
}

/** The URL without a slash at its end. Throws a TypeError for one that is not http or https. */
export function baseOf(url: string): string {
  const { protocol, origin, pathname } = new URL(url);
  if (protocol !== "http:" && protocol !== "https:") throw new TypeError(`no web address: ${url}`);
  return `${origin}${pathname}`.replace(/\/+$/, "");
}

/** What a JSON answer says. Throws OcrchError when it is no JSON, as a proxy's page is not. */
export function jsonOf<T>(text: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new OcrchError(200, "the answer is no JSON", { cause });
  }
}

function retryAfter(response: Response): number | null {
  const text = response.headers.get("retry-after") ?? "";
  return /^\d{1,6}$/.test(text) ? Number(text) : null;
}

/** A browser hides why a request failed; on a page of another origin CORS is the likeliest reason. */
function noAnswer(): string {
  const page = (globalThis as { location?: { origin?: string } }).location?.origin;
  if (page === undefined) return "no answer";
  return `no answer; if Ocrch is up, CORS hides it: merchant.allowed_origins must list ${page}`;
}

async function within<T>(
  ms: number,
  outer: AbortSignal | undefined,
  act: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  outer?.throwIfAborted();
  const inner = new AbortController();
  const stop = () => inner.abort(outer?.reason);
  const timer = setTimeout(() => inner.abort(new OcrchError(0, `no answer within ${ms} ms`)), ms);
  outer?.addEventListener("abort", stop, { once: true });
  try {
    return await act(inner.signal);
  } catch (error) {
    if (inner.signal.aborted) throw inner.signal.reason;
    throw error instanceof OcrchError ? error : new OcrchError(0, noAnswer(), { cause: error });
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener("abort", stop);
  }
}
