// Questions to TronGrid's REST API and to the HTTP API of the Tron node behind it, over the way that keeps its manners.
// What is answered is JSON or a Fault; two envelopes of errors, one of the index and one of the node, are told apart
// from answers here.

import { Fault } from "../../domain/errors.ts";
import type { Outbound } from "../../outbound.ts";
import { providerUrl } from "../rpc/provider-url.ts";
import { readRefusal, refusal_codes } from "../rpc/refusals.ts";

const trongrid_timeout_ms = 15_000;
const trongrid_answer_max_bytes = 16 * 1024 * 1024;
const http_ok = 200;

export interface TronGridHttp {
  /** Host and port. */
  host: string;
  /** The index below the base, e.g. `/v1/accounts/..`. Throws Fault `provider_*`. */
  get(path: string, query: Readonly<Record<string, string>>): Promise<unknown>;
  /** The node below the base, e.g. `/wallet/getblock`. Throws Fault `provider_*`. */
  post(path: string, body: Readonly<Record<string, unknown>>): Promise<unknown>;
  requests(): number;
}

/** A client for the API at `url`; `key_name` is where its key is configured. Throws a TypeError when `url` is none. */
export function createTronGridHttp(needs: { url: string; outbound: Outbound; key_name: string }): TronGridHttp {
  const { url, outbound, key_name } = needs;
  const { host, redact } = providerUrl(url);
  let requests = 0;

  function address(path: string): URL {
    const base = new URL(url);
    base.pathname = `${base.pathname.replace(/\/+$/, "")}${path}`;
    return base;
  }

  async function send(method: "GET" | "POST", to: URL, body: string | null): Promise<unknown> {
    requests++;
    const answer = await reach(method, to, body);
    if (answer.cut) {
      throw new Fault("provider_range_too_large", `answered more than ${trongrid_answer_max_bytes} bytes`);
    }
    const parsed = parse(answer.text);
    const said = parsed === undefined ? plainWords(answer.text) : errorIn(parsed);
    if (answer.status === http_ok && said === null) return parsed;
    const retry_after_s = /^\d{1,6}$/.test(answer.retry_after ?? "") ? Number(answer.retry_after) : undefined;
    const refusal = readRefusal({ status: answer.status, error: said, retry_after_s });
    if (answer.status === http_ok && said === "") {
      throw new Fault("provider_malformed", "the answer is not JSON");
    }
    const cure = refusal.kind === "key" ? `; check api_keys.${key_name}` : "";
    throw new Fault(refusal_codes[refusal.kind], `${redact(refusal.words)}${cure}`, refusal.retry_after_s);
  }

  async function reach(method: "GET" | "POST", to: URL, body: string | null) {
    const headers: Record<string, string> = { accept: "application/json" };
    if (body !== null) headers["content-type"] = "application/json";
    try {
      return await outbound.send({
        method,
        url: to.href,
        headers,
        body,
        timeout_ms: trongrid_timeout_ms,
        max_answer_bytes: trongrid_answer_max_bytes,
        target: "trusted",
      });
    } catch (error) {
      if (!(error instanceof Fault) || error.code === "provider_rate_limited") throw error;
      throw new Fault("provider_unreachable", redact(error.message));
    }
  }

  return {
    host,
    requests: () => requests,
    get(path, query) {
      const to = address(path);
      for (const [name, value] of Object.entries(query)) to.searchParams.set(name, value);
      return send("GET", to, null);
    },
    post: (path, body) => send("POST", address(path), JSON.stringify(body)),
  };
}

/** Undefined for a text that is no JSON of a structure. */
function parse(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** A refusal in plain text under a JSON content type, as lite nodes answer; a web page has no words. */
function plainWords(text: string): string {
  return text.trimStart().startsWith("<") ? "" : text.trim();
}

/** What is wrong, in words: the index says it in `error`, the node in `Error`; null when nothing is. */
function errorIn(body: unknown): string | null {
  const { success, error, Error: outside } = body as Record<string, unknown>;
  if (typeof outside === "string") return outside;
  if (typeof error === "string") return error;
  return success === false ? "refused without words" : null;
}
