// The node behind an Etherscan-shaped API (`module=proxy`), spoken to as if it were JSON-RPC: one question per call,
// since it takes no batches, each waiting for its turn.

import { numberToHex } from "viem";
import { Fault } from "../../domain/errors.ts";
import type { JsonRpc, RpcCall, RpcOutcome } from "../rpc/json-rpc.ts";
import { readRefusal, refusal_codes } from "../rpc/refusals.ts";
import { type RefusingService, refusalFault } from "./etherscan-answers.ts";
import type { ExplorerHttp } from "./explorer-http.ts";

export interface ProxyNeeds {
  http: ExplorerHttp;
  refuser: RefusingService;
  /** What names the chain in each question. */
  chain: Readonly<Record<string, string>>;
  chain_id: number;
}

/** A client for the methods EVM sources need: headers, receipts, calls and the chain id. */
export function createProxyRpc({ http, refuser, chain, chain_id }: ProxyNeeds): JsonRpc {
  async function one(call: RpcCall): Promise<RpcOutcome> {
    const query = { ...chain, module: "proxy", action: call.method, ...parametersOf(call) };
    const body = await http.get("", query);
    const { error, result, status, message } = asRecord(body);
    // A refusal has the envelope of the other modules; a node's answer has none.
    const sentence = status === "0" ? String(result ?? message ?? "") : null;
    // Not every such API passes this one on; the chain is then the one that its address names.
    if (call.method === "eth_chainId" && (error !== undefined || /action/i.test(sentence ?? ""))) {
      return { result: numberToHex(chain_id) };
    }
    if (sentence !== null) {
      const fault = refusalFault(sentence, refuser);
      if (fault.code === "provider_refused" || fault.code === "provider_rate_limited") throw http.heeded(fault);
      return { refusal: readRefusal({ status: 200, error: sentence }) };
    }
    if (error !== undefined) return { refusal: readRefusal({ status: 200, error }) };
    if (result === undefined) throw new Fault("provider_malformed", "the answer has no result");
    return { result };
  }

  return {
    host: http.host,
    requests: http.requests,
    takesBatches: () => true,
    fault: ({ kind, words, retry_after_s }) => new Fault(refusal_codes[kind], http.redact(words), retry_after_s),
    async send(calls) {
      const outcomes: RpcOutcome[] = [];
      for (const call of calls) outcomes.push(await one(call));
      return outcomes;
    },
  };
}

/** The parameters of a call as the query names them. */
function parametersOf({ method, params }: RpcCall): Record<string, string> {
  const [first, second] = params;
  if (method === "eth_getBlockByNumber") return { tag: String(first), boolean: "false" };
  if (method === "eth_getTransactionReceipt") return { txhash: String(first) };
  if (method === "eth_call") {
    const { to, data } = asRecord(first);
    return { to: String(to), data: String(data), tag: String(second) };
  }
  return {};
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
