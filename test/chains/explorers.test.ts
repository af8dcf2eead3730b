// The adapter contract on block explorers, and what they alone can get wrong.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { connectChain } from "../../src/chains/connect.ts";
import { readTransfers } from "../../src/chains/explorers/blockscout-answers.ts";
import { createExplorerSource } from "../../src/chains/explorers/explorer-source.ts";
import { connectExplorer } from "../../src/chains/explorers/explorers.ts";
import type { Source } from "../../src/chains/source.ts";
import type { ChainSettings } from "../../src/config/config.ts";
import { type ChainId, chainFacts, type ExplorerKind } from "../../src/domain/assets.ts";
import { errorCode, errorText } from "../../src/domain/errors.ts";
import { createRateLimiters } from "../../src/limits/rate-limiter.ts";
import { createOutbound } from "../../src/outbound.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld, type World } from "../../src/world.ts";
import { type Anvil, startAnvil } from "../support/anvil.ts";
import { no_keys } from "../support/appliance.ts";
import { accounts, type Coin, deployCoin } from "../support/coin.ts";
import {
  type ExplorerEmulator,
  type Manner,
  refusingWith,
  startExplorerEmulator,
  throttled,
} from "../support/explorer-emulator.ts";
import { hurriedWorld } from "../support/hurried-world.ts";
import { type ProviderProxy, startProviderProxy } from "../support/provider-proxy.ts";
import recorded from "../support/recorded-explorers.json";
import { type SourceStand, sourceContract } from "../support/source-contract.ts";

const key = "K3Y0123456789ABCDEFSECRET";

function settingsOf(chain: ChainId, kind: ExplorerKind, url: string, rpc_urls: string[] = []): ChainSettings {
  const facts = chainFacts[chain];
  return {
    id: chain,
    facts,
    chain_id: facts.chain_id,
    rpc_urls,
    public_endpoints: true,
    verify: { above: null, asked: false },
    requests: { per_second: null, per_day: null },
    explorer: { kind, url, key, reads: true },
    api_keys: no_keys,
    finality: facts.finality,
    poll_ms: 1000,
    idle_poll_ms: 1000,
    start_block: null,
    tokens: [],
  };
}

function needs(world: World) {
  return { outbound: createOutbound({ world }), world, rateLimiters: createRateLimiters({ world }) };
}

function source(chain: ChainId, kind: ExplorerKind, url: string, world = hurriedWorld()): Source {
  const explorer = connectExplorer({ settings: settingsOf(chain, kind, url), ...needs(world) });
  if (explorer === null) throw new Error("the settings name an explorer");
  const { chain_id } = chainFacts[chain];
  return createExplorerSource({ chain, chain_id, explorer, world, telemetry: createTelemetry(world) });
}

const spoiled = (field: string, value: unknown): Manner => ({ row: (row) => ({ ...row, [field]: value }) });
const nodes = (method: string, change: (result: Record<string, unknown>) => unknown): Manner => ({
  node: (asked, _, result) =>
    asked === method && result !== null ? change(result as Record<string, unknown>) : result,
});

const any: [string, Manner][] = [
  ["a web page", { answer: () => new Response("<html>Welcome</html>") }],
  ["an overload", { answer: () => new Response("", { status: 503 }) }],
  ["throttling", { answer: () => Response.json({ message: "slow down" }, { status: 429 }) }],
  ["a key that is not taken", { answer: () => Response.json({ error: "no key" }, { status: 401 }) }],
  ["an index behind its node", { lag: 3 }],
  ["every row twice", { rows: (rows) => rows.flatMap((row) => [row, row]) }],
  ["other amounts than the chain has", { rows: (rows) => rows.map((row) => ({ ...row, value: row.value + 1n })) }],
  ["other blocks than the chain has", { rows: (rows) => rows.map((row) => ({ ...row, block: row.block + 1 })) }],
  ["other times than the chain has", { rows: (rows) => rows.map((row) => ({ ...row, time: row.time + 10_000 })) }],
  [
    "coins of strangers among them",
    { rows: (rows) => rows.flatMap((row) => [row, { ...row, token: row.from, log_index: row.log_index + 100 }]) },
  ],
  ["transactions nobody sent", { rows: (rows) => rows.map((row) => ({ ...row, tx_hash: `0x${"12".repeat(32)}` })) }],
  ["newest first", { rows: (rows) => rows.toReversed() }],
  ["no receipts", { node: (method, _, result) => (method === "eth_getTransactionReceipt" ? null : result) }],
  ["half a receipt", nodes("eth_getTransactionReceipt", (receipt) => ({ ...receipt, logs: [] }))],
  ["receipts of another block", nodes("eth_getTransactionReceipt", (receipt) => ({ ...receipt, blockNumber: "0x1" }))],
  ["headers of another branch", nodes("eth_getBlockByNumber", (header) => ({ ...header, number: "0x1" }))],
];

async function stand(
  chain: ChainId,
  kind: ExplorerKind,
  more: { lacks: SourceStand["lacks"]; troubles: [string, Manner][] },
): Promise<SourceStand> {
  const anvil = await startAnvil({ chainId: chainFacts[chain].chain_id, slotsInAnEpoch: 2 });
  const emulator = startExplorerEmulator(anvil);
  const url = kind === "blockscout" ? emulator.blockscout : emulator.etherscan;
  return {
    chain,
    chain_id: chainFacts[chain].chain_id,
    anvil,
    source: () => source(chain, kind, url),
    providers: [emulator.host],
    address: (hex) => hex,
    tx: (hex) => hex,
    block: (hex) => hex,
    lacks: more.lacks ?? [],
    lagAt: (number) => emulator.behave({ top: number }),
    troubles: [...any, ...more.troubles].map(([what, manner]) => ({ what, begin: () => emulator.behave(manner) })),
    mend: () => emulator.reset(),
    async stop() {
      await emulator.stop();
      await anvil.stop();
    },
  };
}

const etherscanTroubles: [string, Manner][] = [
  ["too many calls", { answer: () => Response.json(throttled) }],
  ["an empty sentence", refusingWith("")],
  ["a null where rows should be", refusingWith(null, "Query Timeout occured. Please select a smaller result dataset")],
  ["an unknown sentence", refusingWith("Error! Something new")],
  ["status 1 without rows", { answer: () => Response.json({ status: "1", message: "OK", result: "soon" }) }],
  ["a value that is none", spoiled("value", "1.5")],
  ["a hash that is none", spoiled("hash", "0x12")],
];

sourceContract("Etherscan", () =>
  stand("eth", "etherscan", { lacks: ["balances", "newest balances"], troubles: etherscanTroubles }),
);
sourceContract("Routescan", () =>
  stand("avaxc", "routescan", { lacks: ["balances", "newest balances"], troubles: etherscanTroubles }),
);
sourceContract("Blockscout", () =>
  stand("base", "blockscout", {
    lacks: [],
    troubles: [
      ["a wallet that is not found", { answer: () => Response.json({ message: "Not found" }, { status: 404 }) }],
      ["short pages", { cap: 2 }],
      ["an amount that is none", spoiled("total", null)],
      ["a time that is none", spoiled("timestamp", "now")],
      ["a page that is no page", { answer: () => Response.json({ items: null }) }],
    ],
  }),
);

describe("an explorer, where it differs from a node", () => {
  const [, payer, shop] = accounts;
  let anvil: Anvil;
  let usdt: Coin;
  let emulator: ExplorerEmulator;
  let node: ProviderProxy;
  let head: number;

  beforeAll(async () => {
    anvil = await startAnvil({ chainId: 1, slotsInAnEpoch: 2, timestamp: Math.floor(Date.now() / 1000) - 3600 });
    usdt = await deployCoin(anvil, 6, "USDT");
    await usdt.mint(payer, 10n ** 12n);
    for (let paid = 1n; paid <= 130n; paid++) await usdt.transfer(payer, shop, paid);
    await usdt.poison(accounts[4], payer, shop);
    await anvil.rpc("anvil_mine", ["0x14"]);
    head = Number(await anvil.rpc("eth_blockNumber"));
    emulator = startExplorerEmulator(anvil);
    node = startProviderProxy(anvil.url);
  });
  afterEach(() => {
    emulator.reset();
    node.reset();
  });
  afterAll(async () => {
    await emulator.stop();
    await node.stop();
    await anvil.stop();
  });

  const question = (from: number, to: number) => ({ from, to, wallets: [shop], tokens: [usdt.address], mark: null });
  const anyHash = `0x${"1".repeat(64)}`;
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      () => ({ code: "no failure", words: "" }),
      (error) => ({ code: errorCode(error), words: errorText(error) }),
    );

  test("a range with many transactions is answered in parts that end with a block, and no part is lost", async () => {
    const one = source("eth", "etherscan", emulator.etherscan);
    const found: bigint[] = [];
    const ends: number[] = [];
    for (let from = 1; from <= head; ) {
      const { to, transferLogs, end } = await one.read(question(from, head));
      expect(end.number).toBe(to);
      found.push(...transferLogs.map(({ units }) => units));
      ends.push(to);
      from = to + 1;
    }
    expect(found).toEqual(Array.from({ length: 130 }, (_, i) => BigInt(i + 1)));
    expect(ends).toEqual([102, head]);
  });

  test("the headers are read after the index, and what has value zero costs no receipt", async () => {
    const one = source("eth", "etherscan", emulator.etherscan);
    expect((await one.read(question(132, 133))).zero_value).toBe(1);
    const actions = emulator.seen().flatMap(({ searchParams }) => searchParams.get("action") ?? []);
    expect(actions).toEqual([
      "getblocknobytime",
      "tokentx",
      "eth_getTransactionReceipt",
      "eth_chainId",
      "eth_getBlockByNumber",
    ]);
  });

  test("a receipt is asked for once, and again when its block was replaced", async () => {
    const snapshot = await anvil.rpc("evm_snapshot");
    const one = source("eth", "etherscan", emulator.etherscan);
    await usdt.transfer(payer, shop, 500n);
    const asked = question(head + 1, head + 1);
    for (let polls = 0; polls < 3; polls++) expect((await one.read(asked)).transferLogs).toHaveLength(1);
    expect(emulator.asked("eth_getTransactionReceipt")).toBe(2);
    const data = `0xa9059cbb${shop.slice(2).padStart(64, "0")}${"1".padStart(64, "0")}`;
    await anvil.rpc("anvil_reorg", [1, [[{ from: payer, to: usdt.address, data }, 0]]]);
    const after = await one.read(asked);
    expect(after.transferLogs.map(({ units, block }) => [units, block.hash])).toEqual([[1n, after.end.hash]]);
    expect(emulator.asked("eth_getTransactionReceipt")).toBe(4);
    await anvil.rpc("evm_revert", [snapshot]);
  });

  test("a head that was replaced while the index was asked is no end of what was read", async () => {
    const snapshot = await anvil.rpc("evm_snapshot");
    const one = source("eth", "etherscan", emulator.etherscan);
    await anvil.rpc("evm_mine");
    const { latest } = await one.heads([]);
    const data = `0xa9059cbb${shop.slice(2).padStart(64, "0")}${"1".padStart(64, "0")}`;
    emulator.behave({
      answer: ({ searchParams }) =>
        searchParams.get("action") === "tokentx"
          ? anvil
              .rpc("anvil_reorg", [1, [[{ from: payer, to: usdt.address, data }, 0]]])
              .then(() => Response.json({ status: "0", message: "No transactions found", result: [] }))
          : null,
    });
    expect((await failure(one.read(question(latest.number, latest.number)))).code).toBe("provider_inconsistent");
    emulator.behave();
    await one.heads([]);
    expect((await one.read(question(latest.number, latest.number))).transferLogs).toHaveLength(1);
    await anvil.rpc("evm_revert", [snapshot]);
  });

  test("a wallet that strangers crowd is read in narrower ranges, and nothing is missed", async () => {
    const one = source("base", "blockscout", emulator.blockscout);
    const crowd: Manner = {
      cap: 1,
      rows: (rows) => rows.flatMap((row) => [row, { ...row, token: row.from, log_index: row.log_index + 100 }]),
    };
    emulator.behave(
      crowd,
      nodes("eth_chainId", () => "0x2105"),
    );
    const found: bigint[] = [];
    let answers = 0;
    for (let from = 1; from <= head; answers++) {
      const { to, transferLogs } = await one.read(question(from, head));
      found.push(...transferLogs.map(({ units }) => units));
      from = to + 1;
    }
    expect(found).toEqual(Array.from({ length: 130 }, (_, i) => BigInt(i + 1)));
    expect(answers).toBeGreaterThan(1);
  });

  test("the chain ends where the index vouches for it, and no tag stands above that", async () => {
    for (const [kind, url] of [
      ["etherscan", emulator.etherscan],
      ["blockscout", emulator.blockscout],
    ] as const) {
      emulator.behave({ lag: 3 });
      const one = source("eth", kind, url);
      const { latest, safe, finalized } = await one.heads(["safe", "finalized"]);
      expect([latest.number, safe?.number, finalized?.number]).toEqual([head - 3, head - 3, head - 4]);
      expect(safe).toEqual(latest);
      expect((await failure(one.read(question(1, head)))).code).toBe("provider_lagging");
    }
  });

  test("the newest blocks of a chain that moves are left to the index", async () => {
    const young = { ...hurriedWorld(), now: realWorld().now };
    await anvil.rpc("evm_setNextBlockTimestamp", [Math.floor(Date.now() / 1000) - 2]);
    await anvil.rpc("evm_mine");
    const newest = Number(await anvil.rpc("eth_blockNumber"));
    const blockscout = await source("eth", "blockscout", emulator.blockscout, young).heads([]);
    expect(blockscout.latest.number).toBe(newest - 3);
    // Six seconds of a chain that makes five blocks a second.
    const settings = settingsOf("base", "blockscout", emulator.blockscout);
    const base = connectExplorer({ settings, ...needs(young) });
    expect(await base?.head()).toBe(newest - 30);
    const etherscan = await source("eth", "etherscan", emulator.etherscan, young).heads([]);
    expect(etherscan.latest.number).toBe(newest - 1);
  });

  test("a tag is asked for every ten seconds, one that is not known every ten minutes", async () => {
    let elapsed = 0;
    const world = {
      ...hurriedWorld(),
      elapsed: () => elapsed,
      async sleep(ms: number) {
        elapsed += ms;
      },
    };
    const error = { code: -32602, message: "invalid argument 0" };
    emulator.behave({
      answer: ({ searchParams }) =>
        searchParams.get("tag") === "safe" ? Response.json({ jsonrpc: "2.0", id: 1, error }) : null,
    });
    const one = source("eth", "etherscan", emulator.etherscan, world);
    const asked = (tag: string) => emulator.seen().filter(({ searchParams }) => searchParams.get("tag") === tag).length;
    const times: [at: number, finalized: number, safe: number][] = [
      [0, 1, 1],
      [3000, 1, 1],
      [15_000, 2, 1],
      [590_000, 3, 1],
      [605_000, 4, 2],
    ];
    for (const [at, finalized, safe] of times) {
      elapsed = at;
      const heads = await one.heads(["safe", "finalized"]);
      const asks = [asked("finalized"), asked("safe")];
      expect([heads.safe, heads.finalized?.number, ...asks]).toEqual([null, heads.latest.number - 4, finalized, safe]);
    }
  });

  test("a tag that fails for another reason is a failure", async () => {
    emulator.behave({
      answer: ({ searchParams }) => (searchParams.get("tag") === "safe" ? Response.json(throttled) : null),
    });
    const one = source("eth", "etherscan", emulator.etherscan);
    expect((await failure(one.heads(["safe"]))).code).toBe("provider_rate_limited");
  });

  test("it answers first, and the nodes stand in for what it cannot say or does not know yet", async () => {
    const world = hurriedWorld();
    const settings = settingsOf("eth", "etherscan", emulator.etherscan, [node.url]);
    const pool = connectChain({ settings, ...needs(world), telemetry: createTelemetry(world) });
    expect(pool.reports().map(({ provider }) => provider)).toEqual([emulator.host, node.host]);
    const top = (await pool.heads([])).latest.number;
    expect(pool.reports().map(({ day_calls }) => day_calls)).toEqual([3, 0]);
    expect((await pool.read(question(132, top))).provider).toBe(emulator.host);
    expect(node.requests()).toBe(0);
    expect((await pool.balances([{ wallet: shop, token: usdt.address }], top)).provider).toBe(node.host);

    emulator.behave({ top: top - 1 });
    const fresh = connectChain({ settings, ...needs(world), telemetry: createTelemetry(world) });
    expect((await fresh.read(question(132, top))).provider).toBe(node.host);
    emulator.behave(refusingWith("Invalid API Key"));
    expect((await fresh.heads([])).latest.number).toBe(top);
    const [said] = fresh.reports();
    expect(said?.last_error).toContain("provider_refused: Etherscan does not accept the key");
    expect(JSON.stringify(fresh.reports())).not.toContain(key);
  });

  test("settings that only compare notes read nothing from it", async () => {
    const world = hurriedWorld();
    const settings = settingsOf("eth", "etherscan", emulator.etherscan, [node.url]);
    const explorer = { kind: "etherscan", url: emulator.etherscan, key, reads: false } as const;
    const telemetry = createTelemetry(world);
    const pool = connectChain({ settings: { ...settings, explorer }, ...needs(world), telemetry });
    expect(pool.reports().map(({ provider }) => provider)).toEqual([node.host]);
  });

  test("an explorer of another chain answers nothing, one that does not pass the question on is taken at its address", async () => {
    const blockscout = source("eth", "blockscout", emulator.blockscout);
    emulator.behave({ node: (method, _, result) => (method === "eth_chainId" ? "0x2105" : result) });
    expect((await failure(blockscout.heads([]))).code).toBe("wrong_chain_id");
    expect((await failure(blockscout.read(question(1, 5)))).code).toBe("wrong_chain_id");
    expect((await failure(blockscout.receipts([anyHash]))).code).toBe("wrong_chain_id");
    emulator.behave({
      answer: ({ searchParams }) =>
        searchParams.get("action") === "eth_chainId"
          ? Response.json({ jsonrpc: "2.0", id: 1, result: "0x2105" })
          : null,
    });
    expect((await failure(source("eth", "etherscan", emulator.etherscan).heads([]))).code).toBe("wrong_chain_id");
    emulator.behave();
    const silent = source("eth", "etherscan", emulator.etherscan);
    expect((await silent.identity([usdt.address])).chain_id).toBe(1);
    for (const { searchParams } of emulator.seen().slice(-2)) expect(searchParams.get("chainid")).toBe("1");
  });

  test("an instance that has not finished indexing is not believed, and is asked again", async () => {
    let finished = false;
    emulator.behave({
      answer: ({ pathname }) =>
        pathname.endsWith("indexing-status")
          ? Response.json({ finished_indexing: true, finished_indexing_blocks: finished, indexed_blocks_ratio: "0.97" })
          : null,
    });
    const one = source("eth", "blockscout", emulator.blockscout);
    const { code, words } = await failure(one.read(question(1, 5)));
    expect([code, words]).toEqual(["provider_lagging", `${emulator.host}: has indexed 0.97 of its blocks only`]);
    finished = true;
    expect((await one.read(question(1, 5))).transferLogs).toHaveLength(3);
    finished = false;
    expect((await one.read(question(1, 5))).transferLogs).toHaveLength(3);
    expect(emulator.asked("indexing-status")).toBe(2);
  });

  test("Blockscout's pages are followed to the range's first block and no further", async () => {
    const one = source("eth", "blockscout", emulator.blockscout);
    const { transferLogs } = await one.read(question(60, 120));
    expect(transferLogs.map(({ block }) => block.number)).toEqual(Array.from({ length: 61 }, (_, i) => i + 60));
    const pages = emulator.seen().filter(({ pathname }) => pathname.endsWith("token-transfers"));
    expect(pages.map(({ searchParams }) => searchParams.get("block_number"))).toEqual(["121", "71"]);
  });

  test("with a key Blockscout is asked at its own service, by the chain's number", async () => {
    const asked: string[] = [];
    const world = {
      ...hurriedWorld(),
      fetch: async (url: string | URL | Request) => {
        asked.push(String(url));
        return Response.json({ finished_indexing_blocks: true, id: 1, result: "0x10" });
      },
    } as World;
    await failure(source("base", "blockscout", "https://api.blockscout.com/8453", world).heads([]));
    expect(asked.map((url) => url.replace(key, "KEY")).slice(0, 2)).toEqual([
      "https://api.blockscout.com/8453/api/v2/main-page/indexing-status?apikey=KEY",
      "https://api.blockscout.com/8453/json-rpc?apikey=KEY",
    ]);
  });

  test("Blockscout's recorded page is read, with numbers as text or as numbers", () => {
    const dai = "0x6B175474E89094C44Da98b954EedeAC495271d0F";
    const { rows, next } = readTransfers(recorded.blockscout_transfers, [dai]);
    expect(rows.map(({ block, log_index, row }) => [block, log_index, row?.units, row?.time])).toEqual([
      [19_981_000, 281, 10n ** 18n, Date.parse("2024-05-30T09:52:23Z") / 1000],
    ]);
    expect(next).toEqual({ block_number: "19981000", index: "281", items_count: "50" });
    expect(readTransfers(recorded.blockscout_transfers, []).rows[0]?.row).toBeNull();
    const [item] = recorded.blockscout_transfers.items;
    const older = { ...item, log_index: 281, tx_hash: item?.transaction_hash, token: { address: dai } };
    const page = readTransfers({ items: [{ ...older, transaction_hash: undefined }], next_page_params: null }, [dai]);
    expect(page).toMatchObject({ rows: [{ log_index: 281, row: { token: dai } }], next: null });
  });
});
