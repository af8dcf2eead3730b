// The registry contract, which maps an OCID to the address of its metadata. Three names for that one function are in
// circulation; all are asked in one request, and who owns the OCID with them. Knows no metadata.

import { decodeAbiParameters, encodeFunctionData, parseAbi } from "viem/utils";
import { Fault } from "../../domain/errors.ts";
import type { Outbound } from "../../outbound.ts";
import type { Registry } from "../config/settings.ts";

const registry_timeout_ms = 5000;
const registry_answer_max_bytes = 65_536;
const url_max_chars = 16_384;
const reverted_code = 3;

const abi = parseAbi([
  "function resolve(uint256) view returns (string)",
  "function tokenURI(uint256) view returns (string)",
  "function getMetadataUrl(uint256) view returns (string)",
  "function ownerOf(uint256) view returns (address)",
]);
/** In the order they are believed. */
const names = ["resolve", "tokenURI", "getMetadataUrl"] as const;

export interface Registration {
  url: string;
  /** Lower case; null where the contract does not say. */
  owner: string | null;
}

interface RpcAnswer {
  id?: unknown;
  result?: unknown;
  error?: { code?: unknown; message?: unknown };
}

/**
 * What is registered for an OCID, null for nothing. Faults: those of `outbound`, wrong_chain_id, provider_malformed,
 * provider_unreachable (the node refused for another reason than the contract's).
 */
export async function registration(outbound: Outbound, registry: Registry, ocid: number): Promise<Registration | null> {
  const calls = [...names, "ownerOf" as const].map((functionName, index) => {
    const data = encodeFunctionData({ abi, functionName, args: [BigInt(ocid)] });
    return { jsonrpc: "2.0", id: index + 1, method: "eth_call", params: [{ to: registry.address, data }, "latest"] };
  });
  const chain = { jsonrpc: "2.0", id: 0, method: "eth_chainId", params: [] };
  const answer = await outbound.send({
    method: "POST",
    url: registry.rpc_url,
    headers: { "content-type": "application/json" },
    body: JSON.stringify([chain, ...calls]),
    timeout_ms: registry_timeout_ms,
    max_answer_bytes: registry_answer_max_bytes,
    target: "trusted",
  });
  const answers = readBatch(answer.text);
  const chain_id = answerTo(answers, 0).result;
  if (chain_id !== `0x${registry.chain_id.toString(16)}`) {
    throw new Fault("wrong_chain_id", `the registry's node is not on chain ${registry.chain_id}`);
  }
  const urls = names.map((_, index) => urlIn(answerTo(answers, index + 1)));
  const url = urls.find((url) => url !== null) ?? null;
  return url === null ? null : { url, owner: ownerIn(answerTo(answers, names.length + 1)) };
}

function readBatch(text: string): RpcAnswer[] {
  try {
    const parsed: unknown = JSON.parse(text);
    if (Array.isArray(parsed)) return parsed.filter((entry) => typeof entry === "object" && entry !== null);
  } catch {
    // Falls through to the same words.
  }
  throw new Fault("provider_malformed", "the registry's node answered no batch");
}

function answerTo(answers: readonly RpcAnswer[], id: number): RpcAnswer {
  const found = answers.find((answer) => answer.id === id);
  if (found === undefined) throw new Fault("provider_malformed", "the registry's node left a call unanswered");
  return found;
}

/** The text a call returned; null when the contract has no such function or no such OCID. */
function urlIn({ result, error }: RpcAnswer): string | null {
  if (error !== undefined) {
    const words = typeof error?.message === "string" ? error.message : "";
    if (error?.code === reverted_code || /revert/i.test(words)) return null;
    throw new Fault("provider_unreachable", "the registry's node refused the call");
  }
  if (typeof result !== "string" || !/^0x[\da-f]+$/i.test(result)) return null;
  try {
    const [url] = decodeAbiParameters([{ type: "string" }], result as `0x${string}`);
    return url === "" || url.length > url_max_chars ? null : url;
  } catch {
    return null;
  }
}

/** The address in an answer: the last twenty of its bytes. */
function ownerIn({ result }: RpcAnswer): string | null {
  const digits = typeof result === "string" ? /^0x0{24}([\da-f]{40})$/i.exec(result)?.[1] : undefined;
  return digits === undefined ? null : `0x${digits.toLowerCase()}`;
}
