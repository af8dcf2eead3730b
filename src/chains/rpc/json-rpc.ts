// JSON-RPC over the one way out: calls go in batches, answers are matched by id, failures get a name. No address of a
// provider leaves this file: a Fault carries the provider's words, redacted.

import { Fault } from "../../domain/errors.ts";
import type { RequestQuota } from "../../limits/request-quota.ts";
import type { Outbound, OutboundAnswer } from "../../outbound.ts";
import { providerUrl } from "./provider-url.ts";
import { fewerCalls, type ProviderRefusal, type RefusalKind, readRefusal, refusal_codes } from "./refusals.ts";

const rpc_timeout_ms = 10_000;
const rpc_answer_max_bytes = 32 * 1024 * 1024;
/** Calls in one request; less once a provider has refused that many. */
const rpc_batch_max = 20;
/** A limit on batches is forgotten after so many requests: calls that go apart may be answered by nodes that differ. */
const batch_limit_requests = 100;
/** The same where the provider takes no batches at all: finding that out again costs two requests. */
const no_batch_requests = 5_000;
/** Refusals of a whole batch that may mean batches as such: their words do not say what they are about. */
const unexplained: readonly RefusalKind[] = ["other", "tag"];
const http_ok = 200;
const server_error_status = 500;
const key_cure = "correct the key in its URL (rpc_urls), or let this machine's address in there";

export interface RpcCall {
  method: string;
  params: readonly unknown[];
}

/** What one call came to. A refusal is the provider's answer; whether it is a failure is for the caller to say. */
export type RpcOutcome = { result: unknown } | { refusal: ProviderRefusal };

export interface JsonRpc {
  /** Host name of the provider. */
  host: string;
  /** Outcomes in the order of the calls, in one HTTP request where the provider takes that many. Throws Fault `provider_*`. */
  send(calls: readonly RpcCall[]): Promise<RpcOutcome[]>;
  /** The Fault a refusal amounts to. */
  fault(refusal: ProviderRefusal): Fault;
  /** HTTP requests made so far. */
  requests(): number;
  /** False once the provider has refused a batch and answered its first call alone. */
  takesBatches(): boolean;
}

/** One HTTP answer. `is_whole`: it refuses the request as a whole, and not because the server is down. */
interface Posted {
  outcomes: RpcOutcome[];
  is_whole: boolean;
}

/** A client for one provider, which counts its calls in `quota`. Throws a TypeError when `url` is none. */
export function createJsonRpc({
  outbound,
  url,
  quota,
}: {
  outbound: Outbound;
  url: string;
  quota?: RequestQuota | undefined;
}): JsonRpc {
  const { host, redact } = providerUrl(url);
  let requests = 0;
  let batch_max = rpc_batch_max;
  let limited_at = 0;
  let takes_batches = true;

  const fail = (code: Fault["code"], words: string) => new Fault(code, redact(words));

  async function post(calls: readonly RpcCall[]): Promise<Posted> {
    const bodies = calls.map(({ method, params }, i) => ({ jsonrpc: "2.0", id: i + 1, method, params }));
    await quota?.take(calls.length);
    requests++;
    const answer = await reach(JSON.stringify(bodies.length === 1 ? bodies[0] : bodies));
    if (answer.cut) throw fail("provider_range_too_large", `answered more than ${rpc_answer_max_bytes} bytes`);

    const retry_after_s = secondsOf(answer.retry_after);
    const refuse = (error: unknown) => ({ refusal: readRefusal({ status: answer.status, error, retry_after_s }) });
    const refuseAll = (error: unknown, is_whole = answer.status < server_error_status): Posted => {
      return { outcomes: calls.map(() => refuse(error)), is_whole };
    };
    const parsed = parse(answer.text);
    if (parsed === undefined) {
      if (answer.status === http_ok) throw fail("provider_malformed", "the answer is not JSON");
      const page = answer.text.trimStart().startsWith("<");
      return refuseAll(page ? null : answer.text);
    }
    const envelopes = Array.isArray(parsed) ? parsed : [parsed];
    const single = envelopes.length === 1 ? errorOf(envelopes[0]) : undefined;
    if (single !== undefined) return refuseAll(single, true);
    if (!Array.isArray(parsed) && answer.status !== http_ok) return refuseAll(parsed);
    if (Array.isArray(parsed) !== calls.length > 1) throw fail("provider_malformed", "the answer is not a batch");
    return { outcomes: match(envelopes, calls.length, refuse), is_whole: false };
  }

  /** True when a batch was refused without a reason and its first call is answered alone: it is batches that are refused. */
  async function refusesBatches(
    [first, ...others]: readonly RpcCall[],
    { outcomes, is_whole }: Posted,
  ): Promise<boolean> {
    const [outcome] = outcomes;
    if (!is_whole || first === undefined || others.length === 0 || outcome === undefined) return false;
    if (!("refusal" in outcome) || !unexplained.includes(outcome.refusal.kind)) return false;
    const [alone] = (await post([first])).outcomes;
    return alone !== undefined && "result" in alone;
  }

  function match(envelopes: unknown[], count: number, refuse: (error: unknown) => RpcOutcome): RpcOutcome[] {
    const outcomes: (RpcOutcome | undefined)[] = Array.from({ length: count }, () => undefined);
    let nameless: RpcOutcome | undefined;
    for (const envelope of envelopes) {
      const { id } = asRecord(envelope);
      const error = errorOf(envelope);
      if (error !== undefined && typeof id !== "number") {
        nameless = refuse(error);
        continue;
      }
      const place = typeof id === "number" ? id - 1 : -1;
      if (!(place in outcomes) || outcomes[place] !== undefined) {
        throw fail("provider_malformed", "the answer has an id that was not asked for");
      }
      if (error !== undefined) outcomes[place] = refuse(error);
      else if ("result" in asRecord(envelope)) outcomes[place] = { result: asRecord(envelope).result };
    }
    return outcomes.map((found) => {
      const outcome = found ?? nameless;
      if (outcome === undefined) throw fail("provider_malformed", "the answer leaves out a call");
      return outcome;
    });
  }

  async function reach(body: string): Promise<OutboundAnswer> {
    try {
      return await outbound.send({
        method: "POST",
        url,
        headers: { "content-type": "application/json", accept: "application/json" },
        body,
        timeout_ms: rpc_timeout_ms,
        max_answer_bytes: rpc_answer_max_bytes,
        target: "trusted",
      });
    } catch (error) {
      // The way out itself may keep a request back.
      if (!(error instanceof Fault) || error.code === "provider_rate_limited") throw error;
      throw fail("provider_unreachable", error.message);
    }
  }

  return {
    host,
    requests: () => requests,
    fault: ({ kind, words, retry_after_s }) =>
      new Fault(refusal_codes[kind], kind === "key" ? `${redact(words)}; ${key_cure}` : redact(words), retry_after_s),
    takesBatches: () => takes_batches,
    async send(calls) {
      if (requests - limited_at >= (takes_batches ? batch_limit_requests : no_batch_requests)) {
        batch_max = rpc_batch_max;
        takes_batches = true;
      }
      for (;;) {
        const size = Math.min(batch_max, calls.length);
        const outcomes: RpcOutcome[] = [];
        let fewer: number | null = null;
        for (let i = 0; i < calls.length && fewer === null; i += size) {
          const part = calls.slice(i, i + size);
          const posted = await post(part);
          outcomes.push(...posted.outcomes);
          if (await refusesBatches(part, posted)) {
            fewer = 1;
            takes_batches = false;
          }
        }
        const refused = outcomes.find((outcome) => "refusal" in outcome && outcome.refusal.kind === "batch");
        if (refused && "refusal" in refused) fewer ??= fewerCalls(refused.refusal.text, size);
        if (fewer === null) return outcomes;
        batch_max = fewer;
        limited_at = requests;
      }
    },
  };
}

function parse(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

/** The error of an envelope; Tron's throttle answers `{"Error": ".."}` without one. */
function errorOf(envelope: unknown): unknown {
  const { error, Error: outside } = asRecord(envelope);
  return error ?? outside ?? undefined;
}

/** `Retry-After` in seconds; its other form, a date, is not worth a clock here. */
function secondsOf(retry_after: string | null): number | undefined {
  return retry_after !== null && /^\d{1,6}$/.test(retry_after) ? Number(retry_after) : undefined;
}
