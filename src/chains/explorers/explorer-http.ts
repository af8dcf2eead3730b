// Questions to an explorer's API over the one way out: each waits for its turn, carries the key, and is answered with
// JSON or a Fault. Neither key nor address leaves this file.

import { Fault } from "../../domain/errors.ts";
import type { RateLimiter } from "../../limits/rate-limiter.ts";
import type { Outbound } from "../../outbound.ts";
import { providerUrl } from "../rpc/provider-url.ts";

const explorer_timeout_ms = 15_000;
const explorer_answer_max_bytes = 16 * 1024 * 1024;
/** Asked for after a refusal that names no time. */
const retry_default_s = 5;
/** A service that asks for more patience than this is asked again all the same. */
const retry_max_s = 3600;
const http = { ok: 200, not_found: 404, unauthorized: 401, payment_required: 402, forbidden: 403, too_many: 429 };

export interface ExplorerHttp {
  /** Host and port. */
  host: string;
  /** The address below the base, with the key. For a client that posts; never to be shown. */
  address(path: string, query?: Readonly<Record<string, string>>): string;
  /** The JSON at an address below the base; null where there is nothing (404). Throws Fault `provider_*`. */
  get(path: string, query: Readonly<Record<string, string>>, timeout_ms?: number): Promise<unknown>;
  /** The service's own words, without key and address. */
  redact(words: string): string;
  /** The Fault of a refusal. One that asks for patience pauses the shared rate limiter. */
  heeded(refusal: Fault): Fault;
  requests(): number;
}

/** A client for the API at `url`. `key_hint` says what to do about a refused key. Throws a TypeError when `url` is none. */
export function createExplorerHttp(needs: {
  url: string;
  key: string | null;
  key_hint: string;
  limiter: RateLimiter;
  outbound: Outbound;
}): ExplorerHttp {
  const { outbound, limiter, key, key_hint } = needs;
  const { host, redact } = providerUrl(addressOf("", {}));
  let requests = 0;

  function addressOf(path: string, query: Readonly<Record<string, string>>): string {
    const url = new URL(needs.url);
    url.pathname = `${url.pathname.replace(/\/+$/, "")}${path}`;
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    if (key !== null) url.searchParams.set("apikey", key);
    return url.href;
  }

  function heeded(refusal: Fault): Fault {
    if (refusal.code === "provider_rate_limited")
      limiter.pause(Math.min(refusal.retry_after_s ?? retry_default_s, retry_max_s));
    return refusal;
  }

  async function send(url: string, timeout_ms: number) {
    try {
      return await outbound.send({
        method: "GET",
        url,
        headers: { accept: "application/json" },
        body: null,
        timeout_ms,
        max_answer_bytes: explorer_answer_max_bytes,
        target: "trusted",
      });
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      throw new Fault("provider_unreachable", error.message);
    }
  }

  return {
    host,
    address: (path, query = {}) => addressOf(path, query),
    redact,
    heeded,
    requests: () => requests,
    async get(path, query, timeout_ms = explorer_timeout_ms) {
      await limiter.acquire();
      requests++;
      const { status, text, cut, retry_after } = await send(addressOf(path, query), timeout_ms);
      if (cut) throw new Fault("provider_range_too_large", `answered more than ${explorer_answer_max_bytes} bytes`);
      const body = parse(text);
      if (status === http.ok) {
        if (body === undefined) throw new Fault("provider_malformed", "the answer is not JSON");
        return body;
      }
      if (status === http.not_found && body !== undefined) return null;
      const said = redact(wordsIn(body));
      if (status === http.too_many) {
        const asked = /^\d{1,6}$/.test(retry_after ?? "") ? Number(retry_after) : retry_default_s;
        throw heeded(new Fault("provider_rate_limited", `HTTP 429 ${said}`.trim(), asked));
      }
      if (status === http.unauthorized || status === http.payment_required || status === http.forbidden) {
        throw new Fault("provider_refused", `${`HTTP ${status} ${said}`.trim()}; ${key_hint}`);
      }
      throw new Fault("provider_unreachable", `HTTP ${status} ${said}`.trim());
    },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What an error's body says; empty when nothing. */
function wordsIn(body: unknown): string {
  if (typeof body !== "object" || body === null) return "";
  const { message, error, result } = body as Record<string, unknown>;
  const said = [message, error, result].find((part) => typeof part === "string" && part !== "");
  return typeof said === "string" ? said : "";
}
