// TronGrid's REST API and Tronscan: keys and pauses, lists of several pages, indexes that lag, recorded bodies. What
// every source promises is in adapter-contract.test.ts.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { connectChain, connectHistory } from "../../src/chains/connect.ts";
import type { LogQuery } from "../../src/chains/source.ts";
import { createTronHttpClient } from "../../src/chains/tron/tron-http-client.ts";
import { createTronGridHistory, createTronGridSource } from "../../src/chains/tron/trongrid-source.ts";
import { createTronscan } from "../../src/chains/tron/tronscan.ts";
import { type ApiKeys, type ChainSettings, liveConfig } from "../../src/config/config.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { tronAddress } from "../../src/domain/address.ts";
import { chainFacts } from "../../src/domain/assets.ts";
import { errorCode, errorText } from "../../src/domain/errors.ts";
import type { BlockRef } from "../../src/domain/finality.ts";
import { createRateLimiters } from "../../src/limits/rate-limiter.ts";
import { createOutbound } from "../../src/outbound.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld, type World } from "../../src/world.ts";
import { accounts, type Coin, deployCoin } from "../support/coin.ts";
import { startTronEmulator, type TronEmulator } from "../support/tron-emulator.ts";
import recorded from "../support/tron-recorded.json";

const [, payer, shop, stranger] = accounts;
const chain = "tron";
const { chain_id } = chainFacts.tron;
const page_blocks = 1000;
const key = "k3y-of-trongrid";

let tron: TronEmulator;
let usdt: Coin;
let payment: string;

beforeAll(async () => {
  tron = await startTronEmulator();
  // As on Tron: no two blocks have the same second.
  await tron.anvil.rpc("anvil_setBlockTimestampInterval", [3]);
  usdt = await deployCoin(tron.anvil, 6, "USDT");
  await usdt.mint(payer, 10n ** 12n);
  payment = (await usdt.transfer(payer, shop, 19_900_000n)).slice(2);
  await tron.anvil.rpc("anvil_mine", ["0x28"]);
});

afterEach(() => tron.reset());

afterAll(() => tron.stop());

const newest = async () => Number(await tron.anvil.rpc("eth_blockNumber"));

async function header(number: number): Promise<BlockRef> {
  const block = await tron.anvil.rpc("eth_getBlockByNumber", [`0x${number.toString(16)}`, false]);
  const { hash, timestamp } = block as { hash: string; timestamp: string };
  return { number, hash: hash.slice(2), time: Number(timestamp) };
}

function needs(changed: Partial<World> = {}) {
  const world = { ...realWorld(), warn: () => {}, ...changed };
  return { world, outbound: createOutbound({ world }), telemetry: createTelemetry(world) };
}

/** The settings of Tron in a file that names these. */
function settings(section: string, keys = ""): ChainSettings {
  const text = `[admin]\nsecret = "an admin secret"\n[merchant]\nname = "Shop"\nsecret = "a merchant secret"
allowed_origins = []\n[[wallets]]\nblockchain = "tron"\naddress = "${tronAddress(shop)}"\nenabled_coins = ["USDT"]
[api_keys]\n${keys}\n[chains.tron]\n${section}\n`;
  const { draft, problems } = parseConfig(text, "/tmp/ocrch-tron.toml");
  if (draft === null) throw new Error(problems.join("\n"));
  const found = liveConfig({ ...draft, admin: { secret_hash: "" } })
    .current()
    .chains.get("tron");
  return found ?? expect.unreachable("there is a wallet on Tron");
}

function question(to: number, changed: Partial<LogQuery> = {}): LogQuery {
  return { from: 1, to, wallets: [tronAddress(shop)], tokens: [tronAddress(usdt.address)], mark: null, ...changed };
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => ({ code: "no failure", words: "", retry_after_s: undefined }),
    (error: { retry_after_s?: number }) => ({
      code: errorCode(error),
      words: errorText(error),
      retry_after_s: error.retry_after_s,
    }),
  );

describe("the key", () => {
  test.each<[string, string | null, string, string | null]>([
    ["https://api.trongrid.io/jsonrpc", null, "TronGrid", key],
    ["https://nile.trongrid.io/v1/x", null, "another network of TronGrid's", key],
    ["http://api.trongrid.io/jsonrpc", null, "TronGrid without TLS", null],
    ["https://trongrid.io.evil.example/jsonrpc", null, "a host that only begins like it", null],
    ["https://eviltrongrid.io/jsonrpc", null, "a host that only ends like it", null],
    ["https://tron.drpc.org/", null, "another provider", null],
    ["https://own.example/jsonrpc", "https://own.example/tron", "the service the file names", key],
    ["https://own.example:8443/jsonrpc", "https://own.example/tron", "another port of it", null],
    ["http://own.example/jsonrpc", "https://own.example/tron", "it without TLS", null],
  ])("to %s, with %p named: %s gets %p", async (url, marked, _who, expected) => {
    const sent: (string | null)[] = [];
    const { outbound, world } = needs({
      fetch: async (_url, init) => {
        sent.push(new Headers(init.headers).get("TRON-PRO-API-KEY"));
        return new Response("{}");
      },
    });
    const way = createTronHttpClient({
      outbound,
      rateLimiters: createRateLimiters({ world }),
      service: "trongrid",
      key,
      marked,
    });
    await way.send({
      method: "GET",
      url,
      headers: { accept: "application/json" },
      body: null,
      timeout_ms: 1000,
      max_answer_bytes: 100,
      target: "trusted",
    });
    expect(sent).toEqual([expected]);
  });

  test("goes with JSON-RPC and REST to the service the file names, and is in no words", async () => {
    const lines: string[] = [];
    const all = needs({ warn: (line) => void lines.push(line) });
    const named = settings(
      `rpc_urls = ["${tron.rpc_url}"]\nexplorer_url = "${tron.url}"`,
      `trongrid_api_key = "${key}"`,
    );
    const rateLimiters = createRateLimiters(all);
    const source = connectChain({ settings: named, ...all, rateLimiters });
    await source.heads([]);
    expect(tron.paths()).toContain("/jsonrpc");
    await connectHistory({ settings: named, ...all, rateLimiters })?.incoming({
      wallet: tronAddress(shop),
      tokens: [tronAddress(usdt.address)],
      from: await header(1),
      to: await header(20),
    });
    expect(tron.paths().some((path) => path.startsWith("/v1/accounts/"))).toBe(true);
    expect(new Set(tron.keys())).toEqual(new Set([key]));
    tron.outage("", () => Response.json({ Error: `no such key ${key}` }, { status: 401 }));
    await failure(source.heads([]));
    expect(JSON.stringify([source.reports(), lines])).not.toContain(key);
  });

  test("that was shut out is not used by anything for half a minute", async () => {
    let elapsed = 0;
    const all = needs({ elapsed: () => elapsed, random: (bytes) => new Uint8Array(bytes) });
    const named = settings(
      `rpc_urls = ["${tron.rpc_url}"]\nexplorer_url = "${tron.url}"`,
      `trongrid_api_key = "${key}"`,
    );
    const rateLimiters = createRateLimiters(all);
    const source = connectChain({ settings: named, ...all, rateLimiters });
    const history = connectHistory({ settings: named, ...all, rateLimiters });
    const asked = { wallet: tronAddress(shop), tokens: [], from: await header(1), to: await header(2) };
    tron.suspend();
    expect(await failure(source.heads([]))).toMatchObject({ code: "provider_rate_limited" });
    // JSON-RPC was refused; REST, with the same key, was not even tried.
    expect(tron.requests()).toBe(1);
    tron.reset();
    elapsed = 15_000;
    expect(await failure(source.heads([]))).toMatchObject({ code: "provider_rate_limited" });
    expect(await failure(history?.incoming(asked) ?? Promise.resolve())).toMatchObject({
      code: "provider_rate_limited",
      retry_after_s: 15,
    });
    expect(tron.requests()).toBe(0);
    elapsed = 30_000;
    expect((await source.heads([])).latest.number).toBe(await newest());
  });

  const rows: [string, string, string, string][] = [
    ["nothing", "", "", "https://api.trongrid.io null"],
    ["TronGrid's nodes", 'rpc_urls = ["https://api.trongrid.io/jsonrpc"]', "", "https://api.trongrid.io null"],
    ["other nodes", 'rpc_urls = ["https://own.example"]', "", "none"],
    [
      "other nodes and a key",
      'rpc_urls = ["https://own.example"]',
      `trongrid_api_key = "K"`,
      "https://api.trongrid.io K",
    ],
    ["other nodes and Tronscan's key", 'rpc_urls = ["https://own.example"]', `tronscan_api_key = "K"`, "none"],
    ["a service of one's own", 'explorer_url = "http://own.example"', "", "http://own.example null"],
  ];
  for (const [what, section, keys, expected] of rows) {
    test(`a file that names ${what} has TronGrid's REST asked at: ${expected}`, () => {
      const { explorer } = settings(section, keys);
      expect(explorer === null ? "none" : `${explorer.url} ${explorer.key}`).toBe(expected);
    });
  }
});

test.each<[string, string, string[]]>([
  ['rpc_urls = ["http://own.example"]', "", ["own.example"]],
  ["rpc_urls = []", `trongrid_api_key = "K"`, ["api.trongrid.io#rest"]],
  ["", "", ["api.trongrid.io", "tron.drpc.org", "api.trongrid.io#rest"]],
])("a file that says %p and %p has Tron read from %p", (section, keys, providers) => {
  const all = needs();
  const source = connectChain({ settings: settings(section, keys), ...all, rateLimiters: createRateLimiters(all) });
  expect(source.reports().map(({ provider }) => provider)).toEqual(providers);
});

describe("lists", () => {
  const grid = () => createTronGridSource({ chain, chain_id, url: tron.url, page_blocks, ...needs() }).source;

  async function meanwhile(act: () => Promise<void>): Promise<void> {
    const snapshot = await tron.anvil.rpc("evm_snapshot");
    try {
      await act();
    } finally {
      await tron.anvil.rpc("evm_revert", [snapshot]);
    }
  }

  /** Each batch is one block: that many transfers to the shop, twice as many rows. */
  async function crowd(...sizes: number[]): Promise<void> {
    for (const size of sizes) {
      await usdt.batch(payer, Array(size).fill(shop), Array(size).fill(1n));
    }
    await tron.anvil.rpc("anvil_mine", ["0x14"]);
  }

  test("that name no next page although the page is full are continued by time", async () => {
    await meanwhile(async () => {
      await crowd(60, 60, 60, 60);
      tron.feel({ no_fingerprint: true });
      const { transferLogs } = await grid().read(question((await newest()) - 10));
      expect(transferLogs).toHaveLength(241);
      expect(new Set(transferLogs.map(({ tx_hash, log_index }) => `${tx_hash} ${log_index}`)).size).toBe(241);
    });
  });

  test("that are cut shorter than they were asked for, and name no next page, lose nothing", async () => {
    await meanwhile(async () => {
      await crowd(30, 30, 30);
      tron.feel({ no_fingerprint: true, page_rows: 100 });
      expect((await grid().read(question((await newest()) - 10))).transferLogs).toHaveLength(91);
    });
  });

  test("that leave out the bounds of time they were asked for lose no block", async () => {
    const [first] = (await grid().read(question((await newest()) - 10))).transferLogs;
    const { block } = first ?? expect.unreachable("there is a payment");
    tron.feel({ open_bounds: true });
    const { transferLogs } = await grid().read(question(block.number, { from: block.number }));
    expect(transferLogs).toHaveLength(1);
    const asked = { wallet: tronAddress(shop), tokens: [tronAddress(usdt.address)], from: block, to: block };
    expect(await createTronscan({ url: tron.url, ...needs() }).incoming(asked)).toHaveLength(1);
  });

  test("of one block that do not fit a page and name no next one are refused", async () => {
    await meanwhile(async () => {
      await crowd(120);
      tron.feel({ no_fingerprint: true });
      const crowded = (await newest()) - 20;
      const asked = grid().read(question(crowded, { from: crowded }));
      expect((await failure(asked)).code).toBe("provider_range_too_large");
      // Before it there is nothing in the way.
      expect((await grid().read(question((await newest()) - 10))).to).toBeLessThan(crowded);
      tron.reset();
      expect((await grid().read(question((await newest()) - 10))).transferLogs).toHaveLength(121);
    });
  });

  test("of more transactions than are looked at together make the range narrower, and nothing is missed", async () => {
    await meanwhile(async () => {
      for (let i = 0; i < 120; i++) await usdt.transfer(payer, shop, 1n);
      await tron.anvil.rpc("anvil_mine", ["0x14"]);
      const to = (await newest()) - 10;
      const one = grid();
      const found = [];
      let answers = 0;
      for (let from = 1; from <= to; answers++) {
        const answer = await one.read(question(to, { from }));
        found.push(...answer.transferLogs);
        from = answer.to + 1;
      }
      expect(found).toHaveLength(121);
      expect(answers).toBeGreaterThan(1);
    });
  });

  test("are vouched for up to half a minute behind the head, and heads say so", async () => {
    const head = await newest();
    const one = grid();
    const heads = await one.heads(["finalized"]);
    expect([heads.latest.number, heads.finalized?.number]).toEqual([head - 10, head - 18]);
    expect((await failure(one.read(question(head - 9)))).code).toBe("provider_lagging");
  });

  test("cost eight requests a poll, and one more each hour for the proof of the chain", async () => {
    let elapsed = 0;
    const world = needs({ elapsed: () => elapsed });
    const { source } = createTronGridSource({ chain, chain_id, url: tron.url, page_blocks, ...world });
    const poll = async () => {
      tron.reset();
      const { latest } = await source.heads(["finalized"]);
      await source.read(question(latest.number - 1, { from: latest.number - 5, mark: latest.number - 6 }));
      return tron.requests();
    };
    const first = await poll();
    expect([first, await poll()]).toEqual([9, 8]);
    elapsed = 3_600_000;
    expect(await poll()).toBe(first);
  });

  test("tell transfers that leave a wallet as well", async () => {
    const { transferLogs } = await grid().read(
      question((await newest()) - 10, { wallets: [tronAddress(payer)], side: "out" }),
    );
    expect(transferLogs).toMatchObject([{ tx_hash: payment, wallet: tronAddress(shop), units: 19_900_000n }]);
  });

  test("of a failed transaction are not held against its receipt", async () => {
    tron.fail(payment);
    const { transferLogs } = await grid().read(question((await newest()) - 10));
    expect(transferLogs).toHaveLength(1);
    expect((await grid().receipts([payment]))[0]?.success).toBe(false);
  });
});

describe("histories", () => {
  const histories = [
    ["TronGrid's", () => createTronGridHistory({ chain, chain_id, url: tron.url, page_blocks, ...needs() }), null, 9],
    ["Tronscan's", () => createTronscan({ url: tron.url, ...needs() }), "block", 17],
  ] as const;

  async function asked(to: number) {
    const tokens = [tronAddress(usdt.address)];
    return { wallet: tronAddress(shop), tokens, from: await header(1), to: await header(to) };
  }

  for (const [whose, create, names, lag] of histories) {
    test(`${whose} tells what came in, oldest first`, async () => {
      const snapshot = await tron.anvil.rpc("evm_snapshot");
      const later = (await usdt.transfer(payer, shop, 7n)).slice(2);
      await usdt.poison(stranger, payer, shop);
      await usdt.transfer(payer, stranger, 1n);
      await tron.anvil.rpc("anvil_mine", ["0x28"]);
      const mentions = await create().incoming(await asked((await newest()) - 20));
      const [receipt] = await createTronGridSource({
        chain,
        chain_id,
        url: tron.url,
        page_blocks,
        ...needs(),
      }).source.receipts([payment]);
      await tron.anvil.rpc("evm_revert", [snapshot]);
      expect(mentions.map(({ tx_hash, units }) => [tx_hash, units])).toEqual([
        [payment, 19_900_000n],
        [later, 7n],
      ]);
      const { number } = receipt?.block ?? { number: -1 };
      expect(mentions[0]).toEqual({
        tx_hash: payment,
        token: tronAddress(usdt.address),
        wallet: tronAddress(shop),
        units: 19_900_000n,
        block: names === null ? null : number,
        time: (await header(number)).time,
      });
    });

    test(`${whose} is refused where the index may not have come so far`, async () => {
      const head = await newest();
      expect((await failure(create().incoming(await asked(head - lag)))).code).toBe("provider_lagging");
      expect(await create().incoming(await asked(head - lag - 1))).toHaveLength(1);
    });

    test(`${whose} failures carry its name`, async () => {
      tron.throttle();
      const { code, words } = await failure(create().incoming(await asked(2)));
      expect(code).toBe("provider_rate_limited");
      expect(words).toStartWith(`${create().provider}: `);
    });
  }

  test("Tronscan's longest list is asked for in halves of time: none of 12,000 transfers is missed", async () => {
    const [wallet, token] = [tronAddress(shop), tronAddress(usdt.address)];
    const all = Array.from({ length: 12_000 }, (_, i) => ({
      transaction_id: i.toString(16).padStart(64, "0"),
      block_ts: 1_000_000 + i * 3000,
      block: i + 1,
      to_address: wallet,
      contract_address: token,
      quant: "5",
    }));
    const world = needs({
      fetch: async (address) => {
        const { pathname, searchParams } = new URL(address);
        if (pathname.endsWith("/status")) return Response.json({ database: { confirmedBlock: 12_000 } });
        const number = (name: string) => Number(searchParams.get(name));
        if (number("start") + number("limit") > 10_000) return Response.json({ Error: "beyond the window" });
        const fitting = all.filter(
          ({ block_ts }) => block_ts >= number("start_timestamp") && block_ts <= number("end_timestamp"),
        );
        const rows = fitting.toReversed().slice(number("start"), number("start") + Math.min(50, number("limit")));
        return Response.json({ total: fitting.length, token_transfers: rows });
      },
    });
    const mentions = await createTronscan({ url: "https://scan.example", ...world }).incoming({
      wallet,
      tokens: [token],
      from: { number: 1, hash: "", time: 1000 },
      to: { number: 12_000, hash: "", time: 1000 + 12_000 * 3 },
    });
    expect(mentions.map(({ block }) => block)).toEqual(all.map(({ block }) => block));
  });

  test.each<[string, Partial<Record<keyof ApiKeys, string>>, string | null]>([
    ['rpc_urls = ["http://own.example"]', {}, null],
    ['rpc_urls = ["http://own.example"]', { tronscan: "K" }, "apilist.tronscanapi.com"],
    ['explorer_url = "http://own.example"', {}, "own.example#rest"],
    ["", { trongrid: "K" }, "api.trongrid.io#rest"],
    ["", { trongrid: "K", tronscan: "K" }, "apilist.tronscanapi.com"],
  ])("a file that says %p and has the keys %p compares notes with %p", (section, keys, provider) => {
    const lines = Object.entries(keys).map(([name, value]) => `${name}_api_key = "${value}"`);
    const all = needs();
    const history = connectHistory({
      settings: settings(section, lines.join("\n")),
      ...all,
      rateLimiters: createRateLimiters(all),
    });
    expect(history?.provider ?? null).toBe(provider);
  });
});

/** A world in which paths answer recorded bodies. */
function replay(bodies: Record<string, unknown>) {
  return needs({
    fetch: async (address) => {
      const { pathname } = new URL(address);
      return pathname in bodies ? Response.json(bodies[pathname]) : Response.json({ Error: pathname }, { status: 404 });
    },
  });
}

/** What a block of TronGrid looks like whose only transaction is this one. */
function blockAround(id: string, number: number, timestamp: number) {
  return { blockID: "ab".repeat(32), block_header: { raw_data: { number, timestamp } }, transactions: [{ txID: id }] };
}

describe("recorded bodies", () => {
  // The last digits of the first block's hash are the chain's id.
  const genesis = { blockID: `${"0".repeat(56)}2b6653dc`, block_header: { raw_data: {} } };

  function sourceOf(bodies: Record<string, unknown>) {
    return createTronGridSource({ chain, chain_id, url: "https://g.example", page_blocks, ...replay(bodies) }).source;
  }

  test("the head of the test network", async () => {
    const { number, timestamp } = recorded.trongrid_now.block_header.raw_data;
    let asked = 0;
    // Whoever it is that is asked for: the first block, the newest, the one that is vouched for.
    const all = needs({
      fetch: async () => {
        asked++;
        if (asked === 1) return Response.json(genesis);
        const body = structuredClone(recorded.trongrid_now);
        if (asked === 3) body.block_header.raw_data.number = number - 10;
        return Response.json(body);
      },
    });
    const { source } = createTronGridSource({ chain, chain_id, url: "https://g.example", page_blocks, ...all });
    expect((await source.heads([])).latest).toEqual({
      number: number - 10,
      hash: recorded.trongrid_now.blockID,
      time: timestamp / 1000,
    });
  });

  test("a receipt of the test network", async () => {
    const { id, blockNumber, blockTimeStamp } = recorded.nile_info;
    const [receipt] = await sourceOf({
      "/wallet/getblock": genesis,
      "/wallet/gettransactioninfobyid": recorded.nile_info,
      "/wallet/gettransactioninfobyblocknum": [recorded.nile_info],
      "/wallet/getblockbynum": blockAround(id, blockNumber, blockTimeStamp),
    }).receipts([id]);
    expect(receipt).toEqual({
      tx_hash: id,
      success: true,
      block: { number: blockNumber, hash: "ab".repeat(32) },
      logs: [{ log_index: 0, transfer: null }],
    });
  });

  test("a list of incoming USDT of the main network", async () => {
    const [row] = recorded.trongrid_trc20.data;
    if (row === undefined) throw new Error("there is a row");
    const time = row.block_timestamp / 1000;
    const at = (number: number) => ({ number, hash: "", time });
    let blocks = 0;
    const all = needs({
      fetch: async (address) => {
        if (new URL(address).pathname.startsWith("/v1/")) return Response.json(recorded.trongrid_trc20);
        blocks++;
        return Response.json(
          blocks === 1
            ? genesis
            : { blockID: "ab".repeat(32), block_header: { raw_data: { number: blocks === 2 ? 30 : 20 } } },
        );
      },
    });
    const history = createTronGridHistory({ chain, chain_id, url: "https://g.example", page_blocks, ...all });
    const asked = { wallet: row.to, tokens: [row.token_info.address], from: at(5), to: at(6) };
    expect(await history.incoming(asked)).toEqual([
      {
        tx_hash: row.transaction_id,
        token: row.token_info.address,
        wallet: row.to,
        units: 195_170_000n,
        block: null,
        time,
      },
    ]);
  });

  test("Tronscan's list of transfers", async () => {
    const [row] = recorded.tronscan_transfers.token_transfers;
    if (row === undefined) throw new Error("there is a row");
    const all = replay({
      "/api/system/status": { database: { block: 79_975_232, confirmedBlock: 79_975_215 } },
      "/api/token_trc20/transfers": recorded.tronscan_transfers,
    });
    const at = { number: row.block, hash: "", time: row.block_ts / 1000 };
    const asked = { wallet: row.to_address, tokens: [row.contract_address], from: at, to: at };
    expect(await createTronscan({ url: "https://s.example", ...all }).incoming(asked)).toMatchObject([
      { tx_hash: row.transaction_id, units: 1_500_000n, block: row.block },
    ]);
  });

  for (const { status, body } of recorded.trongrid_refusals) {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    test(`${status} ${text} is a failure with a name`, async () => {
      const all = needs({ fetch: async () => new Response(text, { status }) });
      const { source } = createTronGridSource({ chain, chain_id, url: "https://g.example", page_blocks, ...all });
      const throttled = /frequency limit|lack of computing/.test(text);
      expect((await failure(source.heads([]))).code).toBe(throttled ? "provider_rate_limited" : "provider_unreachable");
    });
  }
});
