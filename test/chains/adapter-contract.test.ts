// The adapter contract on every way this product can read a chain.

import { connectChain } from "../../src/chains/connect.ts";
import { createEvmSource } from "../../src/chains/rpc/evm-rpc.ts";
import type { Source } from "../../src/chains/source.ts";
import { createTronSource } from "../../src/chains/tron/tron-dialect.ts";
import { createTronGridSource } from "../../src/chains/tron/trongrid-source.ts";
import type { ChainSettings } from "../../src/config/config.ts";
import { tronAddress } from "../../src/domain/address.ts";
import { chainFacts } from "../../src/domain/assets.ts";
import { createRateLimiters } from "../../src/limits/rate-limiter.ts";
import { createOutbound } from "../../src/outbound.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld } from "../../src/world.ts";
import { startAnvil } from "../support/anvil.ts";
import { no_keys } from "../support/appliance.ts";
import {
  alteringHeaders,
  alteringLogs,
  answering,
  type Behaviour,
  batchCap,
  laggingAt,
  otherChain,
  type ProviderProxy,
  rangeCap,
  refusing,
  singleError,
  startProviderProxy,
} from "../support/provider-proxy.ts";
import { type SourceStand, sourceContract } from "../support/source-contract.ts";
import { startTronEmulator, type TronEmulator } from "../support/tron-emulator.ts";
import type { RestMood } from "../support/trongrid-emulator.ts";

const page_blocks = 1000;
const lite_node = "this API is closed because this node is a lite fullnode";

function needs() {
  const world = { ...realWorld(), warn: () => {} };
  return { world, outbound: createOutbound({ world }), telemetry: createTelemetry(world) };
}

const rpcTroubles: [string, Behaviour][] = [
  ["a web page", answering(200, "<html>Welcome</html>")],
  ["an overload", answering(503, "")],
  ["throttling", singleError({ code: -32005, message: "rate limit" })],
  ["small batches", batchCap(1)],
  ["no logs for the asking", refusing({ code: -32601, message: "method not found" }, "eth_getLogs")],
  ["another chain", otherChain(5)],
  ["half an answer", { batch: (list) => list.slice(1) }],
  ["answers in another order", { batch: (list) => list.toReversed() }],
  [
    "the logs of somebody else",
    alteringLogs((logs) => logs.map((log) => ({ ...log, address: `0x${"12".repeat(20)}` }))),
  ],
  ["a log too many", alteringLogs((logs) => [...logs, ...logs.slice(0, 1)])],
  ["headers of another branch", alteringHeaders((block) => ({ ...block, timestamp: "0xffffffffffff", number: "0x1" }))],
];

/** A stand on anvil behind JSON-RPC proxies; `connect` makes the source under test from their URLs. */
async function rpcStand(proxies: number, connect: (urls: string[]) => Source): Promise<SourceStand> {
  const anvil = await startAnvil({ chainId: chainFacts.eth.chain_id, slotsInAnEpoch: 2 });
  const all: ProviderProxy[] = Array.from({ length: proxies }, () => startProviderProxy(anvil.url));
  const behave = (behaviour: Behaviour) => {
    for (const proxy of all) proxy.behave(behaviour);
  };
  return {
    chain: "eth",
    chain_id: chainFacts.eth.chain_id,
    anvil,
    source: () => connect(all.map(({ url }) => url)),
    providers: all.map(({ host }) => host),
    address: (hex) => hex,
    tx: (hex) => hex,
    block: (hex) => hex,
    lagAt: (number) => behave(laggingAt(number)),
    capRange: (blocks) => behave(rangeCap(blocks, "publicnode")),
    troubles: rpcTroubles.map(([what, behaviour]) => ({ what, begin: () => behave(behaviour) })),
    mend() {
      for (const proxy of all) proxy.reset();
    },
    async stop() {
      for (const proxy of all) await proxy.stop();
      await anvil.stop();
    },
  };
}

sourceContract("JSON-RPC of an EVM node", () =>
  rpcStand(1, ([url = ""]) =>
    createEvmSource({ chain: "eth", chain_id: chainFacts.eth.chain_id, url, page_blocks, ...needs() }),
  ),
);

sourceContract("a pool of two", () =>
  rpcStand(2, (rpc_urls) => {
    const facts = chainFacts.eth;
    const settings: ChainSettings = {
      id: "eth",
      facts,
      chain_id: facts.chain_id,
      rpc_urls,
      public_endpoints: false,
      explorer: null,
      api_keys: no_keys,
      finality: facts.finality,
      poll_ms: 1000,
      idle_poll_ms: 1000,
      start_block: null,
      verify: { above: null, asked: false },
      requests: { per_second: null, per_day: null },
      tokens: [],
    };
    return connectChain({ settings, ...needs(), rateLimiters: createRateLimiters({ world: realWorld() }) });
  }),
);

const bare = (hex: string) => hex.slice(2);

/** A stand on an emulated Tron node; `make` reads it one way or another. */
async function tronStand(make: (tron: TronEmulator) => Omit<SourceStand, "chain" | "chain_id" | "anvil" | "stop">) {
  const tron = await startTronEmulator();
  const { chain_id } = chainFacts.tron;
  return { chain: "tron" as const, chain_id, anvil: tron.anvil, stop: tron.stop, ...make(tron) };
}

const { chain_id: tron_id } = chainFacts.tron;

sourceContract("JSON-RPC of a Tron node", () =>
  tronStand((tron) => ({
    source: () => createTronSource({ chain: "tron", chain_id: tron_id, url: tron.rpc_url, page_blocks, ...needs() }),
    providers: [tron.host],
    address: tronAddress,
    tx: bare,
    block: bare,
    lagAt: tron.lagAt,
    lacks: ["balances"],
    capRange: tron.capRange,
    troubles: [
      ...rpcTroubles.map(([what, behaviour]) => ({ what, begin: () => tron.behave(behaviour) })),
      { what: "a node short of resources", begin: tron.throttle },
      { what: "a key that is shut out", begin: tron.suspend },
    ],
    mend: tron.reset,
  })),
);

type Body = { data?: Record<string, unknown>[]; blockID?: string; id?: string; log?: unknown[] };

const restTroubles: [string, RestMood][] = [
  ["pages of one row", { page_rows: 1 }],
  ["a row of another wallet", rows((list) => list.map((row) => ({ ...row, to: tronAddress(`0x${"12".repeat(20)}`) })))],
  ["a row of another contract", rows((list) => list.map((row) => ({ ...row, token_info: { address: "T" } })))],
  ["a row of another amount", rows((list) => list.map((row) => ({ ...row, value: "77" })))],
  ["a row of another time", rows((list) => list.map((row) => ({ ...row, block_timestamp: 7 })))],
  ["rows that are none", rows(() => [{ success: true }])],
  ["rows in another order", rows((list) => list.toReversed())],
  ["no rows at all", { alter: (path, body) => (path.startsWith("/v1/") ? { success: true } : body) }],
  [
    "a block of another chain",
    node("getblockbynum", (body) => ({ ...body, blockID: "ab".repeat(32), transactions: [] })),
  ],
  ["no receipts", node("gettransactioninfobyid", () => ({}))],
  ["the receipt of another", node("gettransactioninfobyid", (body) => ({ ...body, id: "ab".repeat(32) }))],
  [
    "a receipt without logs",
    { alter: (_, body) => (Array.isArray(body) ? body.map(({ log: _, ...info }) => info) : body) },
  ],
  ["a block that lacks a receipt", { alter: (_, body) => (Array.isArray(body) ? body.slice(1) : body) }],
  ["another chain", node("getblock", (body) => ({ ...body, blockID: "ab".repeat(32) }))],
];

function rows(change: (list: Record<string, unknown>[]) => unknown[]): RestMood {
  return {
    alter: (path, body) =>
      path.startsWith("/v1/") ? { ...(body as Body), data: change((body as Body).data ?? []) } : body,
  };
}

function node(verb: string, change: (body: Body) => unknown): RestMood {
  return { alter: (path, body) => (path.endsWith(`/${verb}`) ? change(body as Body) : body) };
}

sourceContract("REST of TronGrid", () =>
  tronStand((tron) => {
    // Every list takes several pages.
    tron.feel({ page_rows: 3 });
    const url = tron.url;
    return {
      source: () => createTronGridSource({ chain: "tron", chain_id: tron_id, url, page_blocks, ...needs() }).source,
      providers: [`${tron.host}#rest`],
      address: tronAddress,
      tx: bare,
      block: bare,
      behind: 10,
      lagAt: (number) => tron.feel({ page_rows: 3, lag: number }),
      lacks: ["balances", "newest balances"],
      troubles: [
        ...restTroubles.map(([what, mood]) => ({ what, begin: () => tron.feel(mood) })),
        { what: "a node short of resources", begin: tron.throttle },
        { what: "a key that is shut out", begin: tron.suspend },
        { what: "a web page", begin: () => tron.outage("/", () => new Response("<html>")) },
        { what: "an overload", begin: () => tron.outage("/", () => new Response("", { status: 503 })) },
        { what: "a lite node", begin: () => tron.outage("/wallet/get", () => new Response(lite_node)) },
      ],
      mend() {
        tron.reset();
        tron.feel({ page_rows: 3 });
      },
    };
  }),
);
