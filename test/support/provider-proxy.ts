// A provider in front of a real node: passes JSON-RPC through, counts it, and misbehaves on demand the way public
// providers do.

export interface Call {
  id: number;
  method: string;
  params: readonly unknown[];
}

export interface Envelope {
  jsonrpc: "2.0";
  id: number;
  result?: unknown;
  error?: RpcError;
}

export interface RpcError {
  code: number;
  message: string;
  data?: unknown;
}

/** One way to misbehave; what it leaves out is done properly. */
export interface Behaviour {
  /** Answers a whole request in place of the node; null: not this one. */
  request?(calls: readonly Call[]): Response | Promise<Response> | null;
  /** Answers one call in place of the node; null: not this one. */
  refuse?(call: Call): RpcError | null;
  /** Changes the node's answer to one call. */
  alter?(call: Call, envelope: Envelope): Envelope;
  /** Changes the list of answers to a batch. */
  batch?(envelopes: Envelope[]): Envelope[];
}

export interface ProviderProxy {
  url: string;
  /** Host and port, as reports name the provider. */
  host: string;
  /** HTTP requests since the start or the last `reset`. */
  requests(): number;
  /** Calls of one method, or of all. */
  calls(method?: string): number;
  /** Every call, oldest first. */
  seen(): readonly Call[];
  /** Behaves so from now on; without arguments properly again. */
  behave(...behaviours: Behaviour[]): void;
  /** Forgets the counts and behaves properly. */
  reset(): void;
  stop(): Promise<void>;
}

/** Starts a proxy before the node at `target`; null: there is none, and all must be answered by behaviours. */
export function startProviderProxy(target: string | null): ProviderProxy {
  let behaviours: Behaviour[] = [];
  let requests = 0;
  let seen: Call[] = [];

  async function answer(request: Request): Promise<Response> {
    const body = (await request.json()) as Call | Call[];
    const calls = Array.isArray(body) ? body : [body];
    requests++;
    seen.push(...calls);
    for (const behaviour of behaviours) {
      const whole = behaviour.request?.(calls);
      if (whole) return whole;
    }
    const envelopes = behaviours.reduce((list, { batch }) => batch?.(list) ?? list, await answers(calls));
    return Response.json(Array.isArray(body) ? envelopes : envelopes[0]);
  }

  async function answers(calls: readonly Call[]): Promise<Envelope[]> {
    const refusals = calls.map((call) => behaviours.map(({ refuse }) => refuse?.(call)).find((error) => error));
    const passed = calls.filter((_, i) => !refusals[i]);
    const found = new Map((await forward(passed)).map((envelope) => [envelope.id, envelope]));
    return calls.map((call, i) => {
      const refusal = refusals[i];
      const { id } = call;
      if (refusal) return { jsonrpc: "2.0", id, error: refusal };
      const envelope = found.get(id) ?? { jsonrpc: "2.0", id, result: null };
      return behaviours.reduce((changed, { alter }) => alter?.(call, changed) ?? changed, envelope);
    });
  }

  async function forward(calls: readonly Call[]): Promise<Envelope[]> {
    if (target === null || calls.length === 0) return [];
    const headers = { "content-type": "application/json" };
    const response = await fetch(target, { method: "POST", headers, body: JSON.stringify(calls) });
    return (await response.json()) as Envelope[];
  }

  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, idleTimeout: 0, fetch: answer });
  return {
    url: `http://127.0.0.1:${server.port}`,
    host: `127.0.0.1:${server.port}`,
    requests: () => requests,
    calls: (method) => seen.filter((call) => method === undefined || call.method === method).length,
    seen: () => seen,
    behave(...list) {
      behaviours = list;
    },
    reset() {
      behaviours = [];
      requests = 0;
      seen = [];
    },
    async stop() {
      await server.stop(true);
    },
  };
}

const hex = (number: number) => `0x${number.toString(16)}`;

/** How providers word the refusal of a range wider than `cap` blocks. */
export const rangeRefusals = {
  alchemy: (cap: number, from: number): RpcError => ({
    code: -32600,
    message: `You can make eth_getLogs requests with up to a ${cap} block range. Based on your parameters, this block range should work: [${hex(from)}, ${hex(from + cap - 1)}]`,
  }),
  infura: (cap: number, from: number): RpcError => ({
    code: -32005,
    message: "query returned more than 10000 results",
    data: { from: hex(from), limit: 10000, to: hex(from + cap - 1) },
  }),
  reth: (cap: number, from: number): RpcError => ({
    code: -32602,
    message: `query exceeds max results 20000, retry with the range ${from}-${from + cap - 1}`,
  }),
  quicknode: (cap: number): RpcError => ({ code: -32614, message: `eth_getLogs is limited to a ${cap} range` }),
  publicnode: (cap: number): RpcError => ({ code: -32701, message: `exceed maximum block range: ${cap}` }),
  drpc: (cap: number): RpcError => ({
    code: 35,
    message: `ranges over ${cap} blocks are not supported on free plan`,
  }),
  coreth: (cap: number, from: number): RpcError => ({
    code: -32000,
    message: `requested too many blocks from ${from} to ${from + cap}, maximum is set to ${cap}`,
  }),
  ankr: (): RpcError => ({ code: -32600, message: "block range is too wide" }),
  arbitrum: (): RpcError => ({ code: -32000, message: "logs matched by query exceeds limit of 10000" }),
};

/** The filter of an `eth_getLogs` call; null for any other call. */
export function filterOf({ method, params }: Call): LogFilter | null {
  return method === "eth_getLogs" ? (params[0] as LogFilter) : null;
}

export interface LogFilter {
  fromBlock: string;
  toBlock: string;
  address: string[];
  topics: [string, null, string[]];
}

/** Refuses `eth_getLogs` over more than `cap` blocks, in some provider's words. */
export function rangeCap(cap: number, words: keyof typeof rangeRefusals): Behaviour {
  return {
    refuse(call) {
      const filter = filterOf(call);
      const from = Number(filter?.fromBlock);
      return Number(filter?.toBlock) - from + 1 > cap ? rangeRefusals[words](cap, from) : null;
    },
  };
}

/** Refuses every call of a method (all methods without one). */
export function refusing(error: RpcError, method?: string): Behaviour {
  return { refuse: (call) => (method === undefined || call.method === method ? error : null) };
}

/** Answers every request with a status and a body that need not be JSON. */
export function answering(status: number, body: string, headers: Record<string, string> = {}): Behaviour {
  return { request: () => new Response(body, { status, headers }) };
}

/** Accepts requests and never answers them. */
export const hanging: Behaviour = { request: () => new Promise<Response>(() => {}) };

/** Answers a whole batch with one error object. */
export function singleError(error: RpcError, status = 200): Behaviour {
  return { request: () => Response.json({ jsonrpc: "2.0", id: null, error }, { status }) };
}

/** Takes at most `cap` calls in one request, as free plans do. */
export function batchCap(cap: number): Behaviour {
  const error = { code: 31, message: `Batch of more than ${cap} requests are not allowed on free plan` };
  return { request: (calls) => (calls.length > cap ? Response.json({ id: null, error }, { status: 500 }) : null) };
}

/** Changes what the node answered to one method; `T` is what that method answers. */
export function altering<T>(method: string, change: (result: T, call: Call) => unknown): Behaviour {
  return {
    alter: (call, envelope) =>
      call.method === method && envelope.error === undefined
        ? { ...envelope, result: change(structuredClone(envelope.result) as T, call) }
        : envelope,
  };
}

/** A log as a node writes it, loosely typed so that it can be spoiled. */
export interface RawLog {
  blockNumber: string;
  transactionHash: string;
  topics: string[];
  [field: string]: unknown;
}

export const alteringLogs = (change: (logs: RawLog[]) => unknown) => altering<RawLog[]>("eth_getLogs", change);

export const alteringHeaders = (change: (header: Record<string, unknown>, call: Call) => unknown) =>
  altering("eth_getBlockByNumber", change);

/** Claims to serve another chain. */
export const otherChain = (chain_id: number) => altering("eth_chainId", () => hex(chain_id));

/** Has forgotten all logs, silently. */
export const emptyLogs = alteringLogs(() => []);

/** A lagging backend: knows no header above `head`, and silently no log either. */
export function laggingAt(head: number): Behaviour {
  const logs = splitBatch(head);
  return {
    alter(call, envelope) {
      const unknown = call.method === "eth_getBlockByNumber" && Number(call.params[0]) > head;
      return unknown ? { ...envelope, result: null } : (logs.alter?.(call, envelope) ?? envelope);
    },
  };
}

/** A batch split over two backends: headers from an up-to-date one, logs from one that stops at `head`, silently. */
export function splitBatch(head: number): Behaviour {
  return alteringLogs((logs) => logs.filter(({ blockNumber }) => Number(blockNumber) <= head));
}
