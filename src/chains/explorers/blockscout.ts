// Blockscout: token transfers of a wallet from its REST API, newest first, page after page by the cursor it gives; and
// its own JSON-RPC. An instance that has not finished indexing its chain is not believed about anything.

import { numberToHex } from "viem";
import { blocksIn, type ChainFacts } from "../../domain/assets.ts";
import { Fault } from "../../domain/errors.ts";
import type { RateLimiter } from "../../limits/rate-limiter.ts";
import type { Outbound } from "../../outbound.ts";
import type { World } from "../../world.ts";
import { headerCall } from "../rpc/evm-node.ts";
import { readHeader, readQuantity } from "../rpc/evm-shapes.ts";
import { createJsonRpc, type JsonRpc, type RpcOutcome } from "../rpc/json-rpc.ts";
import { readIndexing, readTransfers } from "./blockscout-answers.ts";
import type { Explorer, IndexQuery, IndexRow } from "./explorer.ts";
import type { ExplorerHttp } from "./explorer-http.ts";

/** Calls in one request that instances take. */
const rpc_calls_max = 5;
/** A newest block younger than this may still be missing its transfers; then the range ends so many seconds before it, */
const index_margin_s = 6;
/** and at least so many blocks. */
const index_margin_min_blocks = 3;
const indexing_recheck_ms = 3_600_000;
/** Of 50 transfers each; more is a wallet this way of reading is not made for. */
const pages_max = 200;
const pro_host = "api.blockscout.com";

export interface BlockscoutNeeds {
  facts: ChainFacts;
  http: ExplorerHttp;
  limiter: RateLimiter;
  outbound: Outbound;
  world: World;
}

/** An explorer run by Blockscout, its own or the service that knows all of them. */
export function createBlockscout({ facts, http, limiter, outbound, world }: BlockscoutNeeds): Explorer {
  const rpc = limitedRpc(createJsonRpc({ outbound, url: http.address(rpcPath(http.host)) }), limiter);
  const margin_blocks = Math.max(index_margin_min_blocks, blocksIn(index_margin_s, facts));
  let finished_at: number | null = null;

  async function needFinished(): Promise<void> {
    if (finished_at !== null && world.elapsed() - finished_at < indexing_recheck_ms) return;
    const { finished, ratio } = readIndexing(await http.get("/api/v2/main-page/indexing-status", {}));
    if (!finished) throw new Fault("provider_lagging", `has indexed ${ratio} of its blocks only`);
    finished_at = world.elapsed();
  }

  async function transfers({ wallet, side, tokens, from, to }: IndexQuery): Promise<IndexRow[]> {
    await needFinished();
    const found: IndexRow[] = [];
    const path = `/api/v2/addresses/${wallet}/token-transfers`;
    const filter = { type: "ERC-20", filter: side === "in" ? "to" : "from" };
    // The cursor of a page that would have ended just above the range.
    let cursor: Record<string, string> | null = { block_number: String(to + 1), index: "0" };
    let above = { block: Number.POSITIVE_INFINITY, log_index: 0 };
    for (let pages = 0; cursor !== null; pages++) {
      if (pages === pages_max) throw new Fault("provider_range_too_large", `${wallet} has too many transfers`);
      const body = await http.get(path, { ...filter, ...cursor });
      // A wallet it has never seen has no page at all.
      if (body === null && pages === 0) return [];
      const page = readTransfers(body, tokens);
      for (const { block, log_index, row } of page.rows) {
        if (block > above.block || (block === above.block && log_index >= above.log_index)) {
          throw new Fault("provider_inconsistent", `transfers of ${wallet} are not in order at block ${block}`);
        }
        above = { block, log_index };
        const end = side === "in" ? row?.wallet : row?.sender;
        if (row !== null && end !== wallet) {
          throw new Fault("provider_inconsistent", `answered a transfer of ${end} when asked for ${wallet}`);
        }
        if (row !== null && block >= from && block <= to) found.push(row);
      }
      cursor = above.block < from ? null : page.next;
    }
    return found.reverse();
  }

  return {
    host: http.host,
    requests: () => http.requests() + rpc.requests(),
    rpc,
    past_calls: true,
    transfers,
    async head() {
      await needFinished();
      const newest = readQuantity(need(rpc, await rpc.send([{ method: "eth_blockNumber", params: [] }])), "head");
      const header = readHeader(need(rpc, await rpc.send([headerCall(numberToHex(newest))])), newest);
      const young = header === null || header.time > world.now() / 1000 - index_margin_s;
      return young ? Math.max(0, newest - margin_blocks) : newest;
    },
  };
}

function rpcPath(host: string): string {
  return host === pro_host ? "/json-rpc" : "/api/eth-rpc";
}

function need(rpc: JsonRpc, [outcome]: RpcOutcome[]): unknown {
  if (outcome === undefined) throw new Fault("provider_malformed", "the answer leaves out a call");
  if ("refusal" in outcome) throw rpc.fault(outcome.refusal);
  return outcome.result;
}

/** The same client, each request in its turn; logs of a receipt, which come in no promised order, in theirs. */
function limitedRpc(rpc: JsonRpc, limiter: RateLimiter): JsonRpc {
  return {
    ...rpc,
    async send(calls) {
      const outcomes: RpcOutcome[] = [];
      for (let i = 0; i < calls.length; i += rpc_calls_max) {
        await limiter.acquire();
        outcomes.push(...(await rpc.send(calls.slice(i, i + rpc_calls_max))));
      }
      return outcomes.map((outcome, i) =>
        "result" in outcome && calls[i]?.method === "eth_getTransactionReceipt"
          ? { result: withSortedLogs(outcome.result) }
          : outcome,
      );
    },
  };
}

function withSortedLogs(receipt: unknown): unknown {
  if (typeof receipt !== "object" || receipt === null || !("logs" in receipt) || !Array.isArray(receipt.logs)) {
    return receipt;
  }
  return { ...receipt, logs: receipt.logs.toSorted((a, b) => Number(a?.logIndex) - Number(b?.logIndex)) };
}
