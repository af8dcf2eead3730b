// Etherscan, Routescan and Blockscout in front of a real node: rows are made from its logs, bodies are shaped as the
// services write them, and on demand they lag, cut, throttle and refuse the way the services do.

import { getAddress } from "viem";
import type { Anvil } from "./anvil.ts";

/** A transfer as an index keeps it. */
export interface Indexed {
  block: number;
  block_hash: string;
  time: number;
  tx_hash: string;
  log_index: number;
  token: string;
  from: string;
  to: string;
  value: bigint;
}

/** One way to misbehave; what it leaves out is done properly. */
export interface Manner {
  /** Blocks the index is behind its node. */
  lag?: number;
  /** Neither index nor node knows a block above this one. */
  top?: number;
  /** Most rows in one answer, whatever was asked for. */
  cap?: number;
  /** Answers in place of the service; null: not this one. */
  answer?(request: URL): Response | Promise<Response> | null;
  /** Changes what the index holds. */
  rows?(rows: readonly Indexed[]): readonly Indexed[];
  /** Changes one row as it is written. */
  row?(row: Record<string, unknown>): unknown;
  /** Changes what the node behind the explorer answers. */
  node?(method: string, params: readonly unknown[], result: unknown): unknown;
}

export interface ExplorerEmulator {
  /** Base of the Etherscan-shaped API (Routescan's is the same). */
  etherscan: string;
  /** Base of Blockscout's. */
  blockscout: string;
  host: string;
  /** Addresses asked for since the start or the last `reset`, oldest first, with the time on the test's clock. */
  seen(): readonly URL[];
  /** How often `what` was asked: a method of the node, an action, or a part of the path. */
  asked(what: string): number;
  behave(...manners: Manner[]): void;
  /** Replaces the node's transfers by these. */
  index(rows: readonly Indexed[] | null): void;
  reset(): void;
  stop(): Promise<void>;
}

export const throttled = { status: "0", message: "NOTOK", result: "Max calls per sec rate limit reached (3/sec)" };
const blockscout_page_rows = 50;
const blockscout_batch_max = 5;

interface RpcRequest {
  id: number;
  method: string;
  params: readonly unknown[];
}

const nothing_found = { status: "0", message: "No transactions found", result: [] };
const transfer_topic = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";

/** Starts the three services before a node; null: there is none, and rows come from `index`. */
export function startExplorerEmulator(anvil: Pick<Anvil, "rpc"> | null): ExplorerEmulator {
  let manners: Manner[] = [];
  let fixed: readonly Indexed[] | null = null;
  let seen: URL[] = [];
  let methods: string[] = [];
  /** Times of blocks by their hashes, which never change. */
  const times = new Map<string, number>();

  const setting = <T>(pick: (manner: Manner) => T | undefined, otherwise: T): T =>
    manners.map(pick).find((value) => value !== undefined) ?? otherwise;

  async function node(method: string, params: readonly unknown[]): Promise<unknown> {
    methods.push(method);
    const highest = setting((manner) => manner.top, Number.POSITIVE_INFINITY);
    const unknown = method === "eth_getBlockByNumber" && Number(params[0]) > highest;
    const result = anvil === null || unknown ? null : await anvil.rpc(method, params);
    return manners.reduce((changed, manner) => manner.node?.(method, params, changed) ?? changed, result);
  }

  /** Everything the index holds, in the order of the chain. */
  async function rows(): Promise<readonly Indexed[]> {
    const last = await top();
    const all = fixed ?? (await fromNode());
    const kept = all.filter(({ block }) => block <= last);
    return manners.reduce<readonly Indexed[]>((list, manner) => manner.rows?.(list) ?? list, kept);
  }

  /** The newest block of the index. */
  async function top(): Promise<number> {
    const newest = fixed === null ? await nodeTop() : fixed.reduce((last, { block }) => Math.max(last, block), 0);
    const highest = setting((manner) => manner.top, Number.POSITIVE_INFINITY);
    return Math.min(newest, highest) - setting((manner) => manner.lag, 0);
  }

  async function nodeTop(): Promise<number> {
    return anvil === null ? 0 : Number(await anvil.rpc("eth_blockNumber"));
  }

  async function fromNode(): Promise<Indexed[]> {
    if (anvil === null) return [];
    const logs = (await anvil.rpc("eth_getLogs", [
      { fromBlock: "0x0", toBlock: "latest", topics: [transfer_topic] },
    ])) as Record<string, string>[];
    const found: Indexed[] = [];
    for (const log of logs) {
      const { blockNumber = "", blockHash = "", transactionHash = "", data = "", address = "" } = log;
      const topics = log.topics as unknown as string[];
      if (topics.length !== 3) continue;
      if (!times.has(blockHash)) times.set(blockHash, await timeOf(blockNumber));
      found.push({
        block: Number(blockNumber),
        block_hash: blockHash,
        time: times.get(blockHash) ?? 0,
        tx_hash: transactionHash,
        log_index: Number(log.logIndex),
        token: address.toLowerCase(),
        from: `0x${topics[1]?.slice(26)}`,
        to: `0x${topics[2]?.slice(26)}`,
        value: BigInt(data),
      });
    }
    return found;
  }

  async function timeOf(block: string): Promise<number> {
    const header = (await anvil?.rpc("eth_getBlockByNumber", [block, false])) as { timestamp: string } | null;
    return Number(header?.timestamp ?? 0);
  }

  const written = (row: Record<string, unknown>) =>
    manners.reduce<unknown>((changed, manner) => manner.row?.(changed as Record<string, unknown>) ?? changed, row);

  async function etherscan({ searchParams: query }: URL): Promise<unknown> {
    const action = query.get("action") ?? "";
    if (query.get("module") === "proxy") return proxied(action, query);
    if (action === "getblocknobytime") {
      return { status: "1", message: "OK", result: String(await blockAt(Number(query.get("timestamp")), await top())) };
    }
    if (action !== "tokentx") return { status: "0", message: "NOTOK", result: "Error! Missing Or invalid Action name" };
    const wallet = query.get("address")?.toLowerCase() ?? "";
    const contract = query.get("contractaddress")?.toLowerCase() ?? null;
    const [page, offset] = [Number(query.get("page")), Number(query.get("offset"))];
    if (page * offset > 10_000) {
      const result = "Result window is too large, PageNo x Offset size must be less than or equal to 10000";
      return { status: "0", message: "NOTOK", result };
    }
    const found = (await rows())
      .filter(({ from, to }) => from === wallet || to === wallet)
      .filter(({ token }) => contract === null || token === contract)
      .filter(({ block }) => block >= Number(query.get("startblock")) && block <= Number(query.get("endblock")));
    const cap = Math.min(
      offset,
      setting((manner) => manner.cap, 1000),
    );
    const sorted = query.get("sort") === "desc" ? found.toReversed() : found;
    const cut = sorted.slice((page - 1) * cap, page * cap);
    if (cut.length === 0) return nothing_found;
    const head = await nodeTop();
    return { status: "1", message: "OK", result: cut.map((row) => written(etherscanRow(row, head))) };
  }

  async function blockAt(time: number, last: number): Promise<number> {
    if (anvil === null || fixed !== null) return last;
    for (let block = last; block > 0; block--) {
      if ((await timeOf(`0x${block.toString(16)}`)) <= time) return block;
    }
    return 0;
  }

  async function proxied(method: string, query: URLSearchParams): Promise<unknown> {
    const parameters: Record<string, unknown[]> = {
      eth_blockNumber: [],
      eth_getBlockByNumber: [query.get("tag"), query.get("boolean") === "true"],
      eth_getTransactionReceipt: [query.get("txhash")],
      eth_call: [{ to: query.get("to"), data: query.get("data") }, query.get("tag")],
    };
    const params = parameters[method];
    if (params === undefined) return { status: "0", message: "NOTOK", result: "Error! Missing Or invalid Action name" };
    try {
      return { jsonrpc: "2.0", id: 1, result: await node(method, params) };
    } catch (error) {
      return { jsonrpc: "2.0", id: 1, error: { code: -32000, message: String((error as Error).message) } };
    }
  }

  /** One page of a wallet's transfers, newest first, from the cursor on. */
  async function blockscout({ pathname, searchParams: query }: URL): Promise<unknown> {
    if (pathname.endsWith("/main-page/indexing-status")) {
      return { finished_indexing: true, finished_indexing_blocks: true, indexed_blocks_ratio: "1.00" };
    }
    const wallet = /\/addresses\/(0x\w{40})\/token-transfers$/.exec(pathname)?.[1]?.toLowerCase();
    if (wallet === undefined) return null;
    const side = query.get("filter") === "from" ? "from" : "to";
    const all = (await rows()).filter((row) => row[side] === wallet).toReversed();
    const [block, index] = [Number(query.get("block_number") ?? "Infinity"), Number(query.get("index") ?? 0)];
    const found = all.filter((row) => row.block < block || (row.block === block && row.log_index < index));
    const cap = setting((manner) => manner.cap, blockscout_page_rows);
    const page = found.slice(0, cap);
    const last = page.at(-1);
    const more = last !== undefined && found.length > cap;
    const next_page_params = more ? { block_number: last.block, index: last.log_index, items_count: cap } : null;
    return { items: page.map((row) => written(blockscoutItem(row))), next_page_params };
  }

  async function jsonRpc(request: Request): Promise<Response> {
    const body = (await request.json()) as RpcRequest | RpcRequest[];
    const calls = Array.isArray(body) ? body : [body];
    if (calls.length > blockscout_batch_max) {
      const message = `Payload Too Large. Max batch size is ${blockscout_batch_max}`;
      return Response.json({ message, result: null, status: "0" }, { status: 413 });
    }
    const answers = await Promise.all(
      calls.map(async (call) => ({ jsonrpc: "2.0", id: call.id, ...(await one(call)) })),
    );
    return Response.json(Array.isArray(body) ? answers : answers[0]);
  }

  async function one({ method, params }: RpcRequest): Promise<object> {
    // The index's own number; everything else is the node's.
    if (method === "eth_blockNumber") return { result: `0x${(await top()).toString(16)}` };
    try {
      const result = await node(method, params);
      return { result: method === "eth_getTransactionReceipt" ? withLogsReversed(result) : result };
    } catch (error) {
      return { error: String((error as Error).message) };
    }
  }

  async function answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    seen.push(url);
    for (const manner of manners) {
      const whole = manner.answer?.(url);
      if (whole) return whole;
    }
    if (url.pathname === "/etherscan/api") return Response.json(await etherscan(url));
    if (url.pathname === "/blockscout/api/eth-rpc") return jsonRpc(request);
    const found = url.pathname.startsWith("/blockscout/api/v2/") ? await blockscout(url) : null;
    return found === null ? Response.json({ message: "Not found" }, { status: 404 }) : Response.json(found);
  }

  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, idleTimeout: 0, fetch: answer });
  const base = `http://127.0.0.1:${server.port}`;
  return {
    etherscan: `${base}/etherscan/api`,
    blockscout: `${base}/blockscout`,
    host: `127.0.0.1:${server.port}`,
    seen: () => seen,
    asked: (what) =>
      methods.filter((method) => method === what).length +
      seen.filter((url) => url.searchParams.get("action") === what || url.pathname.includes(what)).length,
    behave(...list) {
      manners = list;
    },
    index(list) {
      fixed = list;
    },
    reset() {
      manners = [];
      fixed = null;
      seen = [];
      methods = [];
    },
    async stop() {
      await server.stop(true);
    },
  };
}

/** A row of `action=tokentx`: every value is text, and there is no log index. */
function etherscanRow(row: Indexed, head: number): Record<string, unknown> {
  return {
    blockNumber: String(row.block),
    timeStamp: String(row.time),
    hash: row.tx_hash,
    nonce: "1",
    blockHash: row.block_hash,
    from: row.from,
    contractAddress: row.token,
    to: row.to,
    value: String(row.value),
    tokenName: "",
    tokenSymbol: "",
    tokenDecimal: "1",
    transactionIndex: "0",
    gas: "72197",
    gasPrice: "119900000000",
    gasUsed: "56197",
    cumulativeGasUsed: "8987230",
    input: "deprecated",
    confirmations: String(head - row.block),
  };
}

/** An item of the REST API: text for numbers, as some versions write them. */
function blockscoutItem(row: Indexed): Record<string, unknown> {
  return {
    block_hash: row.block_hash,
    block_number: row.block,
    from: { hash: getAddress(row.from) },
    log_index: String(row.log_index),
    method: "transfer",
    timestamp: new Date(row.time * 1000).toISOString().replace("Z", "000Z"),
    to: { hash: getAddress(row.to) },
    token: { address_hash: getAddress(row.token), symbol: null, decimals: "1", type: "ERC-20" },
    total: { decimals: "1", value: String(row.value) },
    transaction_hash: row.tx_hash,
    type: "token_transfer",
  };
}

/** Blockscout promises no order of a receipt's logs. */
function withLogsReversed(receipt: unknown): unknown {
  const { logs } = (receipt ?? {}) as { logs?: unknown[] };
  return logs === undefined ? receipt : { ...(receipt as object), logs: logs.toReversed() };
}

/** A manner that refuses with one of Etherscan's sentences, for some actions only where they are named. */
export function refusingWith(result: string | null, message = "NOTOK", action?: string): Manner {
  return {
    answer: ({ searchParams }) =>
      action !== undefined && searchParams.get("action") !== action
        ? null
        : Response.json({ status: "0", message, result }),
  };
}
