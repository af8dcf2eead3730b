import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { getAddress } from "viem";
import { createEvmSource } from "../../src/chains/rpc/evm-rpc.ts";
import type { LogQuery, ProviderReport, Source } from "../../src/chains/source.ts";
import { errorCode, errorText } from "../../src/domain/errors.ts";
import { createOutbound } from "../../src/outbound.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld, type World } from "../../src/world.ts";
import { type Anvil, startAnvil } from "../support/anvil.ts";
import { accounts, type Coin, deployCoin, mined } from "../support/coin.ts";
import {
  altering,
  alteringHeaders,
  alteringLogs,
  answering,
  type Behaviour,
  batchCap,
  type Call,
  emptyLogs,
  filterOf,
  hanging,
  laggingAt,
  otherChain,
  type ProviderProxy,
  type RawLog,
  rangeCap,
  rangeRefusals,
  refusing,
  singleError,
  startProviderProxy,
} from "../support/provider-proxy.ts";
import recorded from "../support/recorded-blocks.json";

const chain_id = 1;
const secret = "k3y-0123456789abcdef";
const [, payer, shop, stranger, attacker] = accounts;

let anvil: Anvil;
let usdt: Coin;
let dai: Coin;
let proxy: ProviderProxy;
let head: number;
let hashes: { payment: string; pair: string; poison: string; dai: string };

beforeAll(async () => {
  anvil = await startAnvil({ chainId: chain_id, slotsInAnEpoch: 2 });
  usdt = await deployCoin(anvil, 6, "USDT");
  dai = await deployCoin(anvil, 18, "DAI");
  await usdt.mint(payer, 1_000_000_000n);
  await dai.mint(payer, 10n ** 24n);
  hashes = {
    payment: await usdt.transfer(payer, shop, 19_900_000n),
    pair: await usdt.batch(payer, [stranger, shop, shop], [1n, 5_000_000n, 5_000_000n]),
    poison: await usdt.poison(attacker, payer, shop),
    dai: await dai.transfer(payer, shop, 25n * 10n ** 18n),
  };
  await anvil.rpc("anvil_mine", ["0x28"]);
  head = Number(await anvil.rpc("eth_blockNumber"));
  proxy = startProviderProxy(anvil.url);
});

afterEach(() => proxy.reset());

afterAll(async () => {
  await proxy.stop();
  await anvil.stop();
});

interface SourceOptions {
  page_blocks?: number;
  expect_id?: number;
  world?: Partial<World>;
}

/** A source behind the proxy whose URL holds a key, as most do. */
function source({ page_blocks = 1000, expect_id = chain_id, world: changed = {} }: SourceOptions = {}): Source {
  const world = { ...realWorld(), warn: () => {}, ...changed };
  const url = `${proxy.url}/v2/${secret}?apikey=${secret}`;
  const outbound = createOutbound({ world });
  const telemetry = createTelemetry(world);
  return createEvmSource({ chain: "eth", chain_id: expect_id, url, page_blocks, outbound, world, telemetry });
}

function question(changed: Partial<LogQuery> = {}): LogQuery {
  return { from: 1, to: head, wallets: [shop], tokens: [usdt.address, dai.address], mark: null, ...changed };
}

async function codeOfFailure(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "no failure",
    (error) => errorCode(error),
  );
}

function report(source: Source): ProviderReport {
  return source.reports()[0] ?? expect.unreachable("a source has a report");
}

describe("heads", () => {
  test("the latest block and the tags asked for come in one request", async () => {
    const one = source();
    const heads = await one.heads(["safe", "finalized"]);
    expect(proxy.requests()).toBe(1);
    expect(heads.latest.number).toBe(head);
    expect(heads.safe?.number).toBe(head - 2);
    expect(heads.finalized?.number).toBe(head - 4);
    const block = (await anvil.rpc("eth_getBlockByNumber", ["latest", false])) as { hash: string; timestamp: string };
    expect(heads.latest).toEqual({ number: head, hash: block.hash, time: Number(block.timestamp) });
  });

  test("the chain id is asked once an hour, within the same request", async () => {
    let elapsed = 0;
    const one = source({ world: { elapsed: () => elapsed } });
    await one.heads([]);
    await one.heads([]);
    await one.read(question());
    expect(proxy.calls("eth_chainId")).toBe(1);
    elapsed = 3_600_000;
    await one.read(question());
    expect(proxy.calls("eth_chainId")).toBe(2);
    expect(proxy.requests()).toBe(4);
  });

  test("a tag that was not asked for is null", async () => {
    expect(await source().heads(["finalized"])).toMatchObject({ safe: null });
    expect(proxy.calls("eth_getBlockByNumber")).toBe(2);
  });

  const noSafe: Behaviour = {
    refuse: ({ params }) => (params[0] === "safe" ? { code: -32602, message: "TAG safe not supported" } : null),
  };

  test("a tag the node does not know is null, and is asked again only after ten minutes", async () => {
    let elapsed = 0;
    const one = source({ world: { elapsed: () => elapsed } });
    proxy.behave(noSafe);
    const heads = await one.heads(["safe", "finalized"]);
    expect([heads.safe, heads.finalized?.number]).toEqual([null, head - 4]);
    const asked = () => proxy.seen().filter(({ params }) => params[0] === "safe").length;
    await one.heads(["safe", "finalized"]);
    expect(asked()).toBe(1);
    elapsed = 600_000;
    await one.heads(["safe", "finalized"]);
    expect(asked()).toBe(2);
    expect(report(one).failures).toBe(0);
  });

  test("a tag that is missing for the moment is null and asked for again", async () => {
    const one = source();
    proxy.behave({
      refuse: ({ params }) =>
        params[0] === "finalized" ? { code: -32000, message: "finalized block not found" } : null,
    });
    expect((await one.heads(["finalized"])).finalized).toBeNull();
    proxy.behave();
    expect((await one.heads(["finalized"])).finalized?.number).toBe(head - 4);
  });

  test("a tag ahead of the head, as when a block comes between two reads, is shown at the head", async () => {
    const number = `0x${(head - 3).toString(16)}`;
    proxy.behave(alteringHeaders((block, { params }) => (params[0] === "latest" ? { ...block, number } : block)));
    const heads = await source().heads(["safe"]);
    expect(heads.safe).toEqual(heads.latest);
  });

  test("two hashes for the head are a contradiction", async () => {
    const changed = { number: `0x${head.toString(16)}`, hash: `0x${"cd".repeat(32)}` };
    proxy.behave(
      alteringHeaders((block, { params }) => (params[0] === "finalized" ? { ...block, ...changed } : block)),
    );
    expect(await codeOfFailure(source().heads(["finalized"]))).toBe("provider_inconsistent");
  });

  test("a throttled tag is a failure, not an unknown tag", async () => {
    proxy.behave({ refuse: ({ params }) => (params[0] === "safe" ? { code: -32007, message: "slow down" } : null) });
    expect(await codeOfFailure(source().heads(["safe"]))).toBe("provider_rate_limited");
  });
});

describe("reading transfers", () => {
  test("one request brings all coins and wallets, the end and the mark", async () => {
    const one = source();
    const answer = await one.read(question({ wallets: [shop, stranger], mark: 1 }));
    expect(proxy.requests()).toBe(1);
    expect(proxy.calls("eth_getLogs")).toBe(1);
    expect(answer).toMatchObject({ from: 1, to: head, zero_value: 1, provider: proxy.host });
    expect(answer.end.number).toBe(head);
    expect(answer.mark?.number).toBe(1);
    expect(answer.transferLogs.map(({ tx_hash, token, wallet, units }) => [tx_hash, token, wallet, units])).toEqual([
      [hashes.payment, usdt.address, shop, 19_900_000n],
      [hashes.pair, usdt.address, stranger, 1n],
      [hashes.pair, usdt.address, shop, 5_000_000n],
      [hashes.pair, usdt.address, shop, 5_000_000n],
      [hashes.dai, dai.address, shop, 25n * 10n ** 18n],
    ]);
  });

  test("a transfer log has canonical addresses, its block and the block's time", async () => {
    const [first] = (await source().read(question())).transferLogs;
    const { blockNumber } = await mined(anvil, hashes.payment);
    const block = (await anvil.rpc("eth_getBlockByNumber", [blockNumber, false])) as Record<string, string>;
    expect(first).toEqual({
      chain: "eth",
      token: usdt.address,
      sender: payer,
      wallet: shop,
      units: 19_900_000n,
      tx_hash: hashes.payment,
      log_index: 0,
      block: { number: Number(block.number), hash: block.hash ?? "", time: Number(block.timestamp) },
    });
  });

  test("a transfer with a fee is worth what arrives", async () => {
    const snapshot = await anvil.rpc("evm_snapshot");
    await usdt.setFee(100n);
    const hash = await usdt.transfer(payer, shop, 10_000_000n);
    const to = Number(await anvil.rpc("eth_blockNumber"));
    const { transferLogs } = await source().read(question({ from: to, to }));
    await anvil.rpc("evm_revert", [snapshot]);
    expect(transferLogs.map(({ tx_hash, units }) => [tx_hash, units])).toEqual([[hash, 9_900_000n]]);
  });

  test("more wallets than fit one call are spread over calls of the same request", async () => {
    const many = Array.from({ length: 1200 }, (_, i) => getAddress(`0x${(i + 1).toString(16).padStart(40, "0")}`));
    const { transferLogs } = await source().read(question({ wallets: [...many, shop] }));
    expect([proxy.requests(), proxy.calls("eth_getLogs"), transferLogs.length]).toEqual([1, 3, 4]);
  });

  test("a provider that takes fewer wallets per call gets fewer", async () => {
    proxy.behave({
      refuse: (call) =>
        (filterOf(call)?.topics[2].length ?? 0) > 2
          ? { code: -32602, message: "exceed max addresses or topics per search position" }
          : null,
    });
    const one = source();
    const wallets = [payer, shop, stranger, attacker, accounts[5]];
    expect((await one.read(question({ wallets }))).transferLogs).toHaveLength(7);
    proxy.reset();
    await one.read(question({ wallets }));
    expect(proxy.requests()).toBe(1);
  });

  test("without contracts to watch no logs are asked for at all", async () => {
    expect((await source().read(question({ tokens: [] }))).transferLogs).toEqual([]);
    expect(proxy.calls("eth_getLogs")).toBe(0);
  });

  test("times come from headers where logs do not state them", async () => {
    const honest = await source().read(question());
    proxy.behave(alteringLogs((logs) => logs.map(({ blockTimestamp: _, ...log }) => log)));
    const answer = await source().read(question());
    expect(answer.transferLogs).toEqual(honest.transferLogs);
  });

  test("a stated time that cannot be true is replaced by the header's", async () => {
    const honest = await source().read(question());
    for (const blockTimestamp of ["0x0", "0xffffffff", "soon", 17]) {
      proxy.behave(alteringLogs((logs) => logs.map((log) => ({ ...log, blockTimestamp }))));
      expect((await source().read(question())).transferLogs).toEqual(honest.transferLogs);
    }
  });

  test("a log answered twice, equal in every field, counts once", async () => {
    const honest = await source().read(question());
    proxy.behave(alteringLogs((logs) => logs.flatMap((log) => [log, log])));
    expect(await source().read(question())).toEqual(honest);
    proxy.behave(
      altering<{ logs: RawLog[] }>("eth_getTransactionReceipt", (receipt) => ({
        ...receipt,
        logs: receipt.logs.flatMap((log) => [log, log]),
      })),
    );
    const [receipt] = await source().receipts([hashes.pair]);
    proxy.behave();
    expect(receipt).toEqual((await source().receipts([hashes.pair]))[0] ?? null);
  });

  test("two logs of one block that state different times are settled by the header", async () => {
    const asked = question({ wallets: [shop, stranger] });
    const honest = await source().read(asked);
    const earlier = `0x${((honest.transferLogs[0]?.block.time ?? 0) - 60).toString(16)}`;
    proxy.behave(
      alteringLogs((logs) => {
        const pair = logs.findIndex(({ transactionHash }) => transactionHash === hashes.pair);
        return logs.map((log, i) => (i === pair ? { ...log, blockTimestamp: earlier } : log));
      }),
    );
    expect((await source().read(asked)).transferLogs).toEqual(honest.transferLogs);
  });

  test("a header that is not the block its logs name refuses the answer", async () => {
    proxy.behave(
      alteringLogs((logs) =>
        logs.map(({ blockTimestamp: _, ...log }) => ({ ...log, blockHash: `0x${"ab".repeat(32)}` })),
      ),
    );
    expect(await codeOfFailure(source().read(question({ to: head - 1 })))).toBe("provider_inconsistent");
  });

  test("a node that does not know the last block yet is lagging, whatever its logs say", async () => {
    proxy.behave(laggingAt(head - 1));
    expect(await codeOfFailure(source().read(question()))).toBe("provider_lagging");
    proxy.behave();
    expect(await codeOfFailure(source().read(question({ from: head + 1, to: head + 5 })))).toBe("provider_lagging");
  });

  test("a provider without logs gives an answer without transfers: another provider has to contradict it", async () => {
    proxy.behave(emptyLogs);
    expect((await source().read(question())).transferLogs).toEqual([]);
  });
});

describe("ranges", () => {
  for (const words of Object.keys(rangeRefusals) as (keyof typeof rangeRefusals)[]) {
    test(`a range too wide for ${words} is narrowed to what it takes, and that is remembered`, async () => {
      proxy.behave(rangeCap(7, words));
      const one = source();
      const first = await one.read(question());
      expect(first.to).toBeLessThan(8);
      expect(first.to).toBeGreaterThan(1);
      expect(report(one)).toMatchObject({ failures: 0, learned_range: first.to });
      proxy.reset();
      proxy.behave(rangeCap(7, words));
      const second = await one.read(question({ from: first.to + 1 }));
      expect([proxy.requests(), second.to]).toEqual([1, first.to * 2]);
    });
  }

  test("a limit the provider stated is forgotten after a day, a guessed one after ten minutes", async () => {
    for (const [words, kept_ms] of [["publicnode", 86_400_000] as const, ["ankr", 600_000] as const]) {
      let elapsed = 0;
      const one = source({ world: { elapsed: () => elapsed } });
      proxy.behave(rangeCap(7, words));
      await one.read(question());
      proxy.behave();
      elapsed = kept_ms - 1;
      expect((await one.read(question())).to).toBeLessThan(8);
      elapsed = kept_ms;
      expect((await one.read(question())).to).toBe(head);
      expect(report(one).learned_range).toBeNull();
    }
  });

  test("the configured page is never exceeded", async () => {
    expect((await source({ page_blocks: 5 }).read(question())).to).toBe(5);
  });

  test("a range refused down to one block is a failure with the provider's words", async () => {
    proxy.behave(rangeCap(0, "ankr"));
    const one = source();
    expect(await codeOfFailure(one.read(question()))).toBe("provider_range_too_large");
    expect(report(one).last_error).toContain("block range is too wide");
    expect(proxy.requests()).toBeLessThanOrEqual(24);
  });

  test("HTTP 413 without words halves the range", async () => {
    const width = (call: Call) => Number(filterOf(call)?.toBlock) - Number(filterOf(call)?.fromBlock) + 1;
    proxy.behave({
      request: (calls) => (calls.some((call) => width(call) > 10) ? new Response("", { status: 413 }) : null),
    });
    expect((await source().read(question())).to).toBeLessThanOrEqual(10);
  });

  test("the same unexplained refusal three times over is taken for one of width", async () => {
    const one = source();
    proxy.behave({
      refuse: (call) =>
        filterOf(call)?.fromBlock !== filterOf(call)?.toBlock ? { code: -32000, message: "computer says no" } : null,
    });
    expect(await codeOfFailure(one.read(question()))).toBe("provider_unreachable");
    expect(await codeOfFailure(one.read(question()))).toBe("provider_unreachable");
    expect((await one.read(question())).to).toBe(1);
  });

  test("throttling and archive refusals never narrow a range", async () => {
    const refusals = [
      [{ code: -32007, message: "15/second request limit reached" }, "provider_rate_limited"],
      [{ code: -32602, message: "Archive requests require a personal token" }, "provider_archive_only"],
    ] as const;
    for (const [error, code] of refusals) {
      proxy.reset();
      proxy.behave(refusing(error, "eth_getLogs"));
      const one = source();
      expect(await codeOfFailure(one.read(question()))).toBe(code);
      expect([proxy.requests(), report(one).learned_range]).toEqual([1, null]);
    }
  });
});

describe("an answer that does not fit the question is refused whole", () => {
  const other = `0x${"cd".repeat(32)}`;
  const pad = (address: string) => `0x${address.slice(2).toLowerCase().padStart(64, "0")}`;
  const first = (change: (log: RawLog) => unknown) =>
    alteringLogs((logs) => logs.map((log, i) => (i === 0 ? change(log) : log)));

  const rows: [string, string, string, () => Behaviour][] = [
    [
      "a log before the range",
      "provider_inconsistent",
      "outside the range that was asked for",
      () => first((log) => ({ ...log, blockNumber: "0x0" })),
    ],
    [
      "a log behind the range",
      "provider_inconsistent",
      "outside the range that was asked for",
      () => first((log) => ({ ...log, blockNumber: "0xffff" })),
    ],
    [
      "a log of a contract nobody asked for",
      "provider_inconsistent",
      "of a contract that was not asked for",
      () => first((log) => ({ ...log, address: payer })),
    ],
    [
      "a log to a wallet nobody asked for",
      "provider_inconsistent",
      "to a wallet that was not asked for",
      () => first((log) => ({ ...log, topics: [...log.topics.slice(0, 2), pad(attacker)] })),
    ],
    ["a removed log", "provider_inconsistent", "marked as removed", () => first((log) => ({ ...log, removed: true }))],
    [
      "a log answered twice with two amounts",
      "provider_inconsistent",
      "answered twice, with another content",
      () => alteringLogs((logs) => [...logs, { ...(logs[0] as RawLog), data: `0x${"11".repeat(32)}` }]),
    ],
    [
      "two hashes for one block",
      "provider_inconsistent",
      "its block has another hash",
      () => alteringLogs((logs) => logs.map((log, i) => (i === 1 ? { ...log, blockHash: other } : log))),
    ],
    [
      "a transaction in two blocks",
      "provider_inconsistent",
      "its transaction stands in two blocks",
      () =>
        alteringLogs((logs) =>
          logs.map((log) => (log.transactionHash === hashes.payment ? { ...log, transactionHash: hashes.pair } : log)),
        ),
    ],
    [
      "a last block that differs between header and logs",
      "provider_inconsistent",
      "its block has another hash",
      () => alteringHeaders((block) => ({ ...block, hash: other })),
    ],
    [
      "the header of another block",
      "provider_inconsistent",
      "answered the header of block 1",
      () => alteringHeaders((block) => ({ ...block, number: "0x1" })),
    ],
    [
      "an NFT's four topics",
      "provider_malformed",
      "not shaped like a transfer",
      () => first((log) => ({ ...log, topics: [...log.topics, other] })),
    ],
    [
      "another event",
      "provider_malformed",
      "not shaped like a transfer",
      () => first((log) => ({ ...log, topics: [other, ...log.topics.slice(1)] })),
    ],
    [
      "two topics",
      "provider_malformed",
      "not shaped like a transfer",
      () => first((log) => ({ ...log, topics: log.topics.slice(0, 2) })),
    ],
    [
      "a sender that is no address",
      "provider_malformed",
      "not shaped like a transfer",
      () => first((log) => ({ ...log, topics: [log.topics[0], other, log.topics[2]] })),
    ],
    [
      "data of 31 bytes",
      "provider_malformed",
      "not shaped like a transfer",
      () => first((log) => ({ ...log, data: `0x${"01".repeat(31)}` })),
    ],
    [
      "data of 64 bytes",
      "provider_malformed",
      "not shaped like a transfer",
      () => first((log) => ({ ...log, data: `0x${"01".repeat(64)}` })),
    ],
    ["no block hash", "provider_malformed", "logs.0.blockHash", () => first((log) => ({ ...log, blockHash: null }))],
    [
      "a short transaction hash",
      "provider_malformed",
      "logs.0.transactionHash is no hash",
      () => first((log) => ({ ...log, transactionHash: "0x12" })),
    ],
    [
      "a decimal block number",
      "provider_malformed",
      "logs.0.blockNumber",
      () => first((log) => ({ ...log, blockNumber: 5 })),
    ],
    ["no log index", "provider_malformed", "logs.0.logIndex", () => first(({ logIndex: _, ...log }) => log)],
    [
      "logs that are no list",
      "provider_malformed",
      "logs Invalid input: expected array",
      () => alteringLogs(() => ({})),
    ],
    ["logs that are null", "provider_malformed", "logs Invalid input: expected array", () => alteringLogs(() => null)],
    [
      "a header without time",
      "provider_malformed",
      "header.timestamp",
      () => alteringHeaders(({ timestamp: _, ...b }) => b),
    ],
    [
      "a chain id that is no number",
      "provider_malformed",
      "chain id is no quantity",
      () => altering("eth_chainId", () => "mainnet"),
    ],
  ];

  for (const [what, code, words, behaviour] of rows) {
    test(`${what}: ${code}`, async () => {
      const one = source();
      const to = Number((await mined(anvil, hashes.pair)).blockNumber);
      // Ends at the block of the pair, so that the last header's hash is that of a log.
      const asked = question({ to, wallets: [shop, stranger] });
      expect((await source().read(asked)).transferLogs).toHaveLength(4);
      proxy.behave(behaviour());
      expect(await codeOfFailure(one.read(asked))).toBe(code);
      expect(report(one)).toMatchObject({ failures: 1, refused_answers: 1 });
      expect(report(one).last_error).toContain(words);
    });
  }
});

describe("an answer that is no answer", () => {
  const rows: [string, string, Behaviour][] = [
    ["a web page with status 200", "provider_malformed", answering(200, "<html>Welcome</html>")],
    ["half a JSON text", "provider_malformed", answering(200, '[{"jsonrpc":"2.0","id":1,"res')],
    ["a bare number", "provider_malformed", answering(200, "7")],
    ["an object in place of a batch", "provider_malformed", answering(200, '{"jsonrpc":"2.0","id":1,"result":null}')],
    ["an empty batch", "provider_malformed", answering(200, "[]")],
    ["a call left out", "provider_malformed", { batch: (list) => list.slice(1) }],
    ["an answer too many", "provider_malformed", { batch: (list) => [...list, ...list.slice(0, 1)] }],
    ["ids nobody gave", "provider_malformed", { batch: (list) => list.map((item) => ({ ...item, id: item.id + 7 })) }],
    [
      "neither result nor error",
      "provider_malformed",
      { batch: (list) => list.map(({ id }) => ({ jsonrpc: "2.0" as const, id })) },
    ],
    ["a web page with status 503", "provider_unreachable", answering(503, "<html>Service Unavailable</html>")],
    ["a refused key", "provider_refused", answering(401, '{"message":"invalid key"}')],
    ["HTTP 429", "provider_rate_limited", answering(429, "Too Many Requests")],
    ["one error for the whole batch", "provider_rate_limited", singleError({ code: -32005, message: "rate limit" })],
    [
      "an error with no id per call",
      "provider_archive_only",
      answering(400, '[{"id":null,"error":{"message":"archive"}}]'),
    ],
    [
      "Tron's error outside an envelope",
      "provider_rate_limited",
      answering(200, '{"Error":"lack of computing resources"}'),
    ],
  ];
  for (const [what, code, behaviour] of rows) {
    test(`${what}: ${code}`, async () => {
      proxy.behave(behaviour);
      expect(await codeOfFailure(source().heads(["safe", "finalized"]))).toBe(code);
    });
  }

  test("answers in another order are still put to their calls", async () => {
    proxy.behave({ batch: (list) => list.toReversed() });
    expect((await source().heads(["safe"])).safe?.number).toBe(head - 2);
  });

  test("a provider that is not there is unreachable", async () => {
    const world = realWorld();
    const gone = startProviderProxy(null);
    await gone.stop();
    const needs = { outbound: createOutbound({ world }), world, telemetry: createTelemetry(world) };
    const one = createEvmSource({ chain: "eth", chain_id, url: gone.url, page_blocks: 10, ...needs });
    expect(await codeOfFailure(one.heads([]))).toBe("provider_unreachable");
    expect(report(one)).toMatchObject({ calls: 1, failures: 1, refused_answers: 0 });
  });

  test("a provider that hangs is given up after ten seconds", async () => {
    proxy.behave(hanging);
    const timers: number[] = [];
    const timer = (ms: number, act: () => void) => {
      timers.push(ms);
      return realWorld().timer(20, act);
    };
    const one = source({ world: { timer } });
    expect(await codeOfFailure(one.heads([]))).toBe("provider_unreachable");
    expect(timers).toEqual([10_000]);
  });

  test("an answer too large to take is a range too wide", async () => {
    const width = (call: Call) => Number(filterOf(call)?.toBlock) - Number(filterOf(call)?.fromBlock) + 1;
    const flood = " ".repeat(33 * 1024 * 1024);
    proxy.behave({ request: (calls) => (calls.some((call) => width(call) > 10) ? new Response(flood) : null) });
    const one = source({ page_blocks: 20 });
    expect((await one.read(question())).to).toBe(10);
    expect(report(one).failures).toBe(0);
  });

  test("receipts too large to take together are asked for apart", async () => {
    const flood: Behaviour = {
      request: (calls) =>
        calls.filter(({ method }) => method === "eth_getTransactionReceipt").length > 1
          ? new Response("0".repeat(33 * 1024 * 1024))
          : null,
    };
    proxy.behave(flood);
    const asked = [hashes.payment, hashes.pair, hashes.dai];
    expect((await source().receipts(asked)).map((receipt) => receipt?.tx_hash)).toEqual(asked);
  });

  test("a range that is never answered is narrowed after the third time", async () => {
    const hurried = realWorld();
    let haste = 50;
    const one = source({ world: { timer: (ms, act) => hurried.timer(ms / haste, act) } });
    proxy.behave({
      request: (calls) => {
        const filter = calls.flatMap((call) => filterOf(call) ?? [])[0];
        const width = Number(filter?.toBlock) - Number(filter?.fromBlock) + 1;
        return width > head / 2 ? new Promise<Response>(() => {}) : null;
      },
    });
    for (let tries = 0; tries < 3; tries++) {
      expect(await codeOfFailure(one.read(question()))).toBe("provider_unreachable");
    }
    haste = 1;
    expect((await one.read(question())).to).toBe(Math.floor(head / 2));
  });

  test("Retry-After is passed on in seconds", async () => {
    proxy.behave(answering(429, "", { "retry-after": "17" }));
    await expect(source().heads([])).rejects.toMatchObject({ code: "provider_rate_limited", retry_after_s: 17 });
  });

  test("a free plan's limit on batches is learned, and what does not fit is sent apart", async () => {
    proxy.behave(batchCap(2));
    const one = source();
    const answer = await one.read(question({ mark: 1 }));
    expect([answer.to, answer.transferLogs.length]).toEqual([head, 4]);
    proxy.reset();
    proxy.behave(batchCap(2));
    await one.read(question());
    expect(proxy.requests()).toBe(1);
  });

  const refusals_of_batches: [what: string, refusal: () => Response][] = [
    ["one error without an id", () => Response.json({ id: null, error: { code: -32600, message: "invalid request" } })],
    [
      "one error that blames the parameters",
      () => Response.json({ error: { code: -32602, message: "invalid params" } }),
    ],
    ["a plain HTTP 400", () => new Response("Bad Request", { status: 400 })],
    [
      "an HTTP 500 with an error",
      () => Response.json({ error: { code: -32603, message: "internal error" } }, { status: 500 }),
    ],
    ["an HTTP 400 with an object", () => Response.json({ message: "bad request" }, { status: 400 })],
    ["a list of one error", () => Response.json([{ id: null, error: { code: -32600, message: "invalid request" } }])],
  ];
  for (const [what, refusal] of refusals_of_batches) {
    test(`batches refused by ${what}: calls go one by one, and that is remembered`, async () => {
      const behaviour: Behaviour = { request: (calls) => (calls.length > 1 ? refusal() : null) };
      proxy.behave(behaviour);
      const one = source();
      expect(report(one)).toMatchObject({ takes_batches: true });
      const answer = await one.read(question({ mark: 1 }));
      expect([answer.to, answer.transferLogs.length]).toEqual([head, 4]);
      expect(report(one)).toMatchObject({ failures: 0, takes_batches: false });
      proxy.reset();
      proxy.behave(behaviour);
      await one.read(question());
      expect([proxy.requests(), proxy.calls()]).toEqual([2, 2]);
    });
  }

  test("no failure and no report ever holds the key of the URL", async () => {
    const leaks: Behaviour[] = [
      answering(401, `{"error":{"message":"key ${secret} unknown at ${proxy.url}/v2/${secret}"}}`),
      answering(503, `cannot POST /v2/${secret}?apikey=${secret}`),
      singleError({ code: -32000, message: "no", data: { url: `${proxy.url}/v2/${secret}` } }),
      answering(200, `<html>${secret}</html>`),
      refusing({ code: -32000, message: `${secret.toUpperCase()} is throttled: rate limit` }),
    ];
    for (const behaviour of leaks) {
      proxy.behave(behaviour);
      const one = source();
      const words = await one.heads([]).then(String, errorText);
      expect(words).toStartWith(`${proxy.host}: `);
      const shown = `${words} ${JSON.stringify(one.reports())}`.toLowerCase();
      expect(shown).not.toContain(secret);
      expect(shown).not.toContain("://");
    }
  });
});

describe("who the node is", () => {
  test("identity states the chain id and the decimals of each contract in one request", async () => {
    const { chain_id: stated, decimals } = await source().identity([usdt.address, dai.address, payer]);
    expect(stated).toBe(chain_id);
    expect([...decimals.values()]).toEqual([6, 18, null]);
    expect(proxy.requests()).toBe(1);
  });

  test.each([
    [{ code: -32603, message: "internal error" }, "provider_unreachable"],
    [{ code: 3, message: "execution reverted" }, null],
    [{ code: -32000, message: "VM execution error." }, null],
  ])("decimals: %p", async (error, failure) => {
    proxy.behave({ refuse: ({ method }) => (method === "eth_call" ? error : null) });
    const identity = source().identity([usdt.address]);
    if (failure === null) expect([...(await identity).decimals.values()]).toEqual([null]);
    else expect(await codeOfFailure(identity)).toBe(failure);
  });

  test("identity of another chain is told, not thrown", async () => {
    proxy.behave(otherChain(5));
    expect((await source().identity([])).chain_id).toBe(5);
  });

  test("nothing a node of another chain says is used, until it serves the right one", async () => {
    proxy.behave(otherChain(5));
    const one = source();
    expect(await codeOfFailure(one.heads([]))).toBe("wrong_chain_id");
    expect(await codeOfFailure(one.read(question()))).toBe("wrong_chain_id");
    expect(await codeOfFailure(one.receipts([hashes.payment]))).toBe("wrong_chain_id");
    expect(await codeOfFailure(one.blocks([1]))).toBe("wrong_chain_id");
    expect(report(one)).toMatchObject({ calls: 4, failures: 4, refused_answers: 4 });
    expect(report(one).last_error).toBe("wrong_chain_id: serves chain id 5, expected 1");
    proxy.behave();
    expect((await one.heads([])).latest.number).toBe(head);
  });

  test("a node that becomes another chain is noticed within the hour", async () => {
    let elapsed = 0;
    const one = source({ world: { elapsed: () => elapsed } });
    await one.heads([]);
    proxy.behave(otherChain(5));
    elapsed = 3_600_000;
    expect(await codeOfFailure(one.heads([]))).toBe("wrong_chain_id");
  });
});

describe("blocks and receipts", () => {
  test("headers come in the order asked, null where there is no such block", async () => {
    const found = await source().blocks([head, head + 1, 2]);
    expect(found.map((block) => block?.number ?? null)).toEqual([head, null, 2]);
    expect(proxy.requests()).toBe(1);
  });

  test("many headers go in requests of at most twenty calls", async () => {
    const one = source();
    await one.heads([]);
    proxy.reset();
    const numbers = Array.from({ length: 41 }, (_, i) => i);
    expect((await one.blocks(numbers)).map((block) => block?.number)).toEqual(numbers);
    expect(proxy.requests()).toBe(3);
  });

  test("a log that is no transfer keeps its place in the receipt", async () => {
    proxy.behave(
      altering("eth_getTransactionReceipt", ({ logs: [first, ...rest], ...receipt }: RawReceipt) => ({
        ...receipt,
        logs: [{ ...first, topics: [`0x${"ee".repeat(32)}`] }, ...rest],
      })),
    );
    const [receipt] = await source().receipts([hashes.pair]);
    expect(receipt?.logs.map(({ transfer }) => transfer !== null)).toEqual([false, true, true]);
  });

  test("a log of no token, in the shape of a transfer, keeps its place and is told apart by its address", async () => {
    // As Ethereum makes them for plain transfers of ETH.
    const system = "0xfffffffffffffffffffffffffffffffffffffffe";
    const shifted = (log: { logIndex: string }) => ({
      ...log,
      logIndex: `0x${(Number(log.logIndex) + 1).toString(16)}`,
    });
    proxy.behave(
      altering("eth_getTransactionReceipt", ({ logs, ...receipt }: RawReceipt) => ({
        ...receipt,
        logs: [{ ...logs[0], address: system }, ...logs.map((log) => shifted(log as never))],
      })),
    );
    const [receipt] = await source().receipts([hashes.pair]);
    proxy.reset();
    const [plain] = await source().receipts([hashes.pair]);
    expect(receipt?.logs[0]?.transfer?.token.toLowerCase()).toBe(system);
    expect(receipt?.logs.slice(1).map(({ transfer }) => transfer)).toEqual(
      (plain?.logs ?? []).map(({ transfer }) => transfer),
    );
  });

  const lies: [string, string, (receipt: RawReceipt) => RawReceipt][] = [
    ["the receipt of another transaction", "provider_inconsistent", (r) => ({ ...r, transactionHash: hashes.payment })],
    ["a log of another block", "provider_inconsistent", (r) => ({ ...r, blockHash: `0x${"ab".repeat(32)}` })],
    ["logs out of order", "provider_inconsistent", (r) => ({ ...r, logs: r.logs.toReversed() })],
    ["no status", "provider_malformed", ({ status: _, ...r }) => r as RawReceipt],
  ];
  for (const [what, code, lie] of lies) {
    test(`${what} is refused: ${code}`, async () => {
      proxy.behave(altering("eth_getTransactionReceipt", lie));
      expect(await codeOfFailure(source().receipts([hashes.pair]))).toBe(code);
    });
  }
});

interface RawReceipt {
  logs: { topics: string[] }[];
  [field: string]: unknown;
}

describe("recorded blocks of live chains", () => {
  const zero = `0x${"0".repeat(64)}`;
  for (const [name, zero_value] of [
    // One transaction of 48 worthless transfers in the name of 46 victims; two of its logs are equal in all but place.
    ["eth-18000000", 48],
    ["eth-18500000-four-wallets", 0],
    ["polygon-50000000", 26],
    ["arb-150000000", 0],
  ] as const) {
    test(`${name} is read whole`, async () => {
      const { filter, header, logs } = recorded.blocks[name];
      const results: Record<string, unknown> = {
        eth_chainId: "0x1",
        eth_getBlockByNumber: header,
        eth_getLogs: logs,
      };
      const node = startProviderProxy(null);
      node.behave({ alter: (call, envelope) => ({ ...envelope, result: results[call.method] }) });
      const world = realWorld();
      const needs = { outbound: createOutbound({ world }), world, telemetry: createTelemetry(world) };
      const one = createEvmSource({ chain: "eth", chain_id, url: node.url, page_blocks: 10, ...needs });
      const block = Number(header.number);
      const wanted = filter.topics[2] ?? [...new Set(logs.map(({ topics }) => topics[2] ?? ""))];
      const wallets = [wanted].flat().map((topic) => getAddress(`0x${topic.slice(26)}`));
      const tokens = filter.address.map((address) => getAddress(address));
      const answer = await one.read({ from: block, to: block, wallets, tokens, mark: null });
      expect(answer.zero_value).toBe(zero_value);
      expect(answer.zero_value).toBe(logs.filter(({ data }) => data === zero).length);
      expect(answer.transferLogs).toHaveLength(logs.length - zero_value);
      expect(answer.end).toEqual({ number: block, hash: header.hash, time: Number(header.timestamp) });
      const total = logs.reduce((sum, { data }) => sum + BigInt(data), 0n);
      expect(answer.transferLogs.reduce((sum, { units }) => sum + units, 0n)).toBe(total);
      const sent = node
        .seen()
        .map(filterOf)
        .find((filter) => filter !== null);
      expect(sent?.address.map((address) => address.toLowerCase())).toEqual(filter.address);
      if (filter.topics[2]) expect(sent?.topics).toEqual(filter.topics as [string, null, string[]]);
      await node.stop();
    });
  }
});
