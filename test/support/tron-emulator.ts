// A Tron node on this machine: anvil with Tron's chain id behind a proxy that answers JSON-RPC as java-tron does, with
// its limits and refusals, under the path TronGrid has it, and TronGrid's REST beside it from trongrid-emulator.ts.

import { chainFacts } from "../../src/domain/assets.ts";
import { type Anvil, startAnvil } from "./anvil.ts";
import {
  altering,
  alteringHeaders,
  type Behaviour,
  filterOf,
  laggingAt,
  type ProviderProxy,
  type RpcError,
  startProviderProxy,
} from "./provider-proxy.ts";
import { createTronGridApi, type RestMood } from "./trongrid-emulator.ts";

/** A block is solidified by 19 of 27 producers; anvil's `finalized` is twice this behind the head. */
const slots_in_an_epoch = 9;
const usual_range_max_blocks = 5_000;
const batch_max = 100;
const no_bloom = `0x${"00".repeat(256)}`;
const http_forbidden = 403;

const throttled = {
  Error: "class org.tron.core.services.http.RateLimiterServlet : lack of computing resources",
};
const suspended = { Error: "The key exceeds the frequency limit(15), and the query server is suspended for 30s" };

export interface TronEmulator {
  anvil: Anvil;
  /** JSON-RPC, as `rpc_urls` names it. */
  rpc_url: string;
  /** Where REST begins, as `explorer_url` names it. */
  url: string;
  /** Host and port, as reports name the provider. */
  host: string;
  /** HTTP requests since the start or the last `reset`. */
  requests(): number;
  /** The API keys of these requests, null where one had none. */
  keys(): readonly (string | null)[];
  /** Paths of these requests. */
  paths(): readonly string[];
  /** REST is in this mood from now on. */
  feel(mood: RestMood): void;
  /** Paths that begin so answer this from now on, in place of what they should. */
  outage(path: string, answer: () => Response): void;
  /** JSON-RPC behaves so from now on, on top of being a Tron node. */
  behave(...behaviours: Behaviour[]): void;
  /** Answers that the node is short of resources, as java-tron does: HTTP 200 without an envelope. */
  throttle(): void;
  /** Shuts the key out, as TronGrid does. */
  suspend(): void;
  /** Its limit of blocks for logs, 5,000 otherwise. */
  capRange(blocks: number): void;
  /** Knows no block above this one any more. */
  lagAt(number: number): void;
  /** This transaction has failed from now on; it keeps its logs. */
  fail(tx_hash: string): void;
  /** Well again, nothing failed, no counts. */
  reset(): void;
  stop(): Promise<void>;
}

/** Starts one; `automine` false: blocks are mined by hand. */
export async function startTronEmulator(options: { automine?: boolean } = {}): Promise<TronEmulator> {
  const anvil = await startAnvil({
    chainId: chainFacts.tron.chain_id,
    slotsInAnEpoch: slots_in_an_epoch,
    automine: options.automine ?? true,
  });
  const node: ProviderProxy = startProviderProxy(anvil.url);
  const failed = new Set<string>();
  let keys: (string | null)[] = [];
  let paths: string[] = [];
  let mood: RestMood = {};
  let outage: { path: string; answer: () => Response } | null = null;
  const rest = createTronGridApi(anvil, failed, () => mood);

  let range_max_blocks = usual_range_max_blocks;
  const behave = (...behaviours: Behaviour[]) =>
    node.behave(...javaTron(failed, () => range_max_blocks), ...behaviours);
  behave();

  async function answer(request: Request): Promise<Response> {
    keys.push(request.headers.get("tron-pro-api-key"));
    const { pathname } = new URL(request.url);
    paths.push(pathname);
    if (outage !== null && pathname.startsWith(outage.path)) return outage.answer();
    if (pathname !== "/jsonrpc") {
      const body = await rest(request);
      return body === null ? Response.json({ Error: "no such API" }, { status: 404 }) : Response.json(body);
    }
    const headers = { "content-type": "application/json" };
    return fetch(node.url, { method: "POST", headers, body: await request.text() });
  }

  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, idleTimeout: 0, fetch: answer });
  const host = `127.0.0.1:${server.port}`;
  return {
    anvil,
    rpc_url: `http://${host}/jsonrpc`,
    url: `http://${host}`,
    host,
    requests: () => keys.length,
    keys: () => keys,
    paths: () => paths,
    feel(next) {
      mood = next;
    },
    outage(path, answer) {
      outage = { path, answer };
    },
    behave,
    throttle() {
      outage = { path: "", answer: () => Response.json(throttled) };
    },
    suspend() {
      outage = { path: "", answer: () => Response.json(suspended, { status: http_forbidden }) };
    },
    capRange(blocks) {
      range_max_blocks = blocks;
    },
    lagAt(number) {
      behave(laggingAt(number));
      mood = { ...mood, lag: number };
    },
    fail: (tx_hash) => void failed.add(tx_hash.replace(/^0x/, "")),
    reset() {
      outage = null;
      range_max_blocks = usual_range_max_blocks;
      mood = {};
      keys = [];
      paths = [];
      failed.clear();
      behave();
    },
    async stop() {
      await server.stop(true);
      await node.stop();
      await anvil.stop();
    },
  };
}

/** What makes an EVM node's JSON-RPC java-tron's. */
function javaTron(failed: ReadonlySet<string>, rangeMax: () => number): Behaviour[] {
  const invalid = (message: string): RpcError => ({ code: -32602, message, data: "{}" });
  return [
    {
      request: (calls) =>
        calls.length > batch_max
          ? Response.json({
              jsonrpc: "2.0",
              id: null,
              error: { code: -32005, message: `Batch size ${calls.length} exceeds the limit of ${batch_max}` },
            })
          : null,
      refuse(call) {
        const tag = call.params.find((param) => param === "safe" || param === "pending");
        if (tag !== undefined) return invalid(`TAG ${tag} not supported`);
        // It keeps no state of the past.
        if (call.method === "eth_call" && call.params[1] !== "latest") {
          return invalid("QUANTITY not supported, just support TAG as latest");
        }
        const filter = filterOf(call);
        const width = Number(filter?.toBlock) - Number(filter?.fromBlock);
        return width > rangeMax() ? invalid(`exceed max block range: ${rangeMax()}`) : null;
      },
    },
    alteringHeaders((block: Record<string, unknown> | null) =>
      block === null ? null : { ...block, logsBloom: no_bloom, stateRoot: "0x", gasUsed: "0x0", gasLimit: "0x0" },
    ),
    {
      // A call to what is no contract is refused, not answered with nothing.
      alter: (call, envelope) =>
        call.method === "eth_call" && envelope.result === "0x"
          ? {
              jsonrpc: "2.0",
              id: call.id,
              error: { code: -32600, message: "Smart contract is not exist.", data: "{}" },
            }
          : envelope,
    },
    altering("eth_getTransactionReceipt", (receipt: Record<string, unknown> | null) => {
      if (receipt === null) return null;
      const has_failed = failed.has(String(receipt.transactionHash).replace(/^0x/, ""));
      return { ...receipt, logsBloom: no_bloom, ...(has_failed ? { status: "0x0" } : {}) };
    }),
  ];
}
