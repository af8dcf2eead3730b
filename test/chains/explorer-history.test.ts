import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { getAddress } from "viem";
import { connectHistory } from "../../src/chains/connect.ts";
import { readAnswer, readTokenRows, refusalFault } from "../../src/chains/explorers/etherscan-answers.ts";
import type { History } from "../../src/chains/history.ts";
import type { ChainSettings } from "../../src/config/config.ts";
import { type ChainId, chainFacts, type ExplorerKind } from "../../src/domain/assets.ts";
import { errorCode, errorText } from "../../src/domain/errors.ts";
import { createRateLimiters, type RateLimiters } from "../../src/limits/rate-limiter.ts";
import { createOutbound } from "../../src/outbound.ts";
import { realWorld, type World } from "../../src/world.ts";
import { type Anvil, startAnvil } from "../support/anvil.ts";
import { no_keys } from "../support/appliance.ts";
import { accounts, type Coin, deployCoin } from "../support/coin.ts";
import {
  type ExplorerEmulator,
  type Indexed,
  refusingWith,
  startExplorerEmulator,
  throttled,
} from "../support/explorer-emulator.ts";
import { hurriedWorld } from "../support/hurried-world.ts";
import recorded from "../support/recorded-explorers.json";

const secret = "K3Y0123456789ABCDEFSECRET";
const [, payer, shop, stranger, attacker] = accounts;

let anvil: Anvil;
let usdt: Coin;
let dai: Coin;
let emulator: ExplorerEmulator;
let head: number;
let hashes: { payment: string; pair: string; dai: string };

beforeAll(async () => {
  anvil = await startAnvil({ chainId: 1 });
  usdt = await deployCoin(anvil, 6, "USDT");
  dai = await deployCoin(anvil, 18, "DAI");
  await usdt.mint(payer, 1_000_000_000n);
  await dai.mint(payer, 10n ** 24n);
  hashes = {
    payment: await usdt.transfer(payer, shop, 19_900_000n),
    pair: await usdt.batch(payer, [stranger, shop, shop], [1n, 5_000_000n, 5_000_000n]),
    dai: await dai.transfer(payer, shop, 25n * 10n ** 18n),
  };
  await usdt.poison(attacker, payer, shop);
  await usdt.transfer(shop, payer, 1n);
  head = Number(await anvil.rpc("eth_blockNumber"));
  emulator = startExplorerEmulator(anvil);
});

afterEach(() => emulator.reset());

afterAll(async () => {
  await emulator.stop();
  await anvil.stop();
});

interface Options {
  chain?: ChainId;
  kind?: ExplorerKind;
  key?: string | null;
  world?: World;
  rateLimiters?: RateLimiters;
}

function history({ chain = "eth", kind = "etherscan", key = secret, ...given }: Options = {}): History {
  const world = given.world ?? hurriedWorld();
  const facts = chainFacts[chain];
  const url = emulator.etherscan;
  const settings: ChainSettings = {
    id: chain,
    facts,
    chain_id: facts.chain_id,
    rpc_urls: [],
    public_endpoints: false,
    explorer: { kind, url, key, reads: true },
    api_keys: no_keys,
    finality: facts.finality,
    poll_ms: 1000,
    idle_poll_ms: 1000,
    start_block: null,
    verify: { above: null, asked: false },
    requests: { per_second: null, per_day: null },
    tokens: [],
  };
  const rateLimiters = given.rateLimiters ?? createRateLimiters({ world });
  const found = connectHistory({ settings, outbound: createOutbound({ world }), world, rateLimiters });
  return found ?? expect.unreachable("the settings name an explorer");
}

const at = (number: number) => ({ number, hash: `0x${"00".repeat(32)}`, time: 0 });

function asked(changed: { from?: number; to?: number; wallet?: string; tokens?: string[] } = {}) {
  const { from = 1, to = head, wallet = shop, tokens = [usdt.address, dai.address] } = changed;
  return { wallet, tokens, from: at(from), to: at(to) };
}

async function failure(promise: Promise<unknown>): Promise<{ code: string; words: string; retry_after_s?: number }> {
  return promise.then(
    () => ({ code: "no failure", words: "" }),
    (error) => ({ code: errorCode(error), words: errorText(error), retry_after_s: error.retry_after_s }),
  );
}

/** Rows of an index made up: `counts` transfers in the blocks 1, 2, .. */
function made(counts: readonly number[], changed: Partial<Indexed> = {}): Indexed[] {
  let serial = 0;
  return counts.flatMap((count, i) =>
    Array.from({ length: count }, (_, log_index) => {
      serial++;
      return {
        block: i + 1,
        block_hash: `0x${(i + 1).toString(16).padStart(64, "b")}`,
        time: 1_700_000_000 + i,
        tx_hash: `0x${serial.toString(16).padStart(64, "0")}`,
        log_index,
        token: usdt.address.toLowerCase(),
        from: payer.toLowerCase(),
        to: shop.toLowerCase(),
        value: BigInt(serial),
        ...changed,
      };
    }),
  );
}

describe("the history of a wallet", () => {
  test("names incoming transfers of the contracts, oldest first, and nothing else", async () => {
    const { provider, incoming } = history();
    expect(provider).toBe(emulator.host);
    const mentions = await incoming(asked());
    expect(mentions.map(({ tx_hash, token, wallet, units }) => [tx_hash, token, wallet, units])).toEqual([
      [hashes.payment, usdt.address, shop, 19_900_000n],
      [hashes.pair, usdt.address, shop, 5_000_000n],
      [hashes.pair, usdt.address, shop, 5_000_000n],
      [hashes.dai, dai.address, shop, 25n * 10n ** 18n],
    ]);
    const header = (await anvil.rpc("eth_getBlockByNumber", ["0x5", false])) as { timestamp: string };
    expect(mentions[0]).toMatchObject({ block: 5, time: Number(header.timestamp) });
    expect((await incoming(asked({ tokens: [dai.address] }))).map(({ units }) => units)).toEqual([25n * 10n ** 18n]);
    expect(await incoming(asked({ from: 6, to: 6 }))).toHaveLength(2);
  });

  test("a wallet nothing came to has an empty history, however that is said", async () => {
    for (const body of [
      { status: "0", message: "No transactions found", result: [] },
      { status: "0", message: "No token transfers found", result: [] },
      { status: "0", message: "No transactions found", result: null },
      { status: "1", message: "OK", result: [] },
    ]) {
      emulator.behave({ answer: (url) => (url.searchParams.get("action") === "tokentx" ? Response.json(body) : null) });
      expect(await history().incoming(asked())).toEqual([]);
    }
  });

  test("what the index has not reached yet is a failure, not an empty stretch", async () => {
    emulator.behave({ lag: 1 });
    const said = await failure(history().incoming(asked()));
    expect(said.code).toBe("provider_lagging");
    expect(said.words).toContain(`up to ${head - 1}, not ${head}`);
    expect(await history().incoming(asked({ to: head - 1 }))).toHaveLength(4);
  });

  test("the newest seconds are left to the index", async () => {
    const real = realWorld();
    const world = { ...hurriedWorld(), now: real.now };
    expect((await failure(history({ world }).incoming(asked()))).code).toBe("provider_lagging");
  });
});

describe("pages", () => {
  const numbers = (mentions: readonly { units: bigint }[]) => mentions.map(({ units }) => Number(units));
  const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

  test("2,750 transfers are read by block, each once, though a block is cut by the end of a page", async () => {
    emulator.index(made([400, 500, 300, 1, 999, 300, 250]));
    expect(numbers(await history().incoming(asked({ to: 7 })))).toEqual(upTo(2750));
    const upwards = emulator.seen().filter(({ searchParams }) => searchParams.get("sort") === "asc");
    const starts = upwards.flatMap(({ searchParams }) => searchParams.get("startblock") ?? []);
    expect(starts).toEqual(["1", "3", "5", "6", "7"]);
    for (const { searchParams } of emulator.seen()) expect(searchParams.get("page") ?? "1").toBe("1");
  });

  test("one block that is cut at a limit nobody told is read contract by contract, or refused", async () => {
    const strangers = made([40], { token: stranger.toLowerCase() }).map((row) => ({
      ...row,
      tx_hash: `0x${"77".repeat(32)}`,
    }));
    emulator.behave({ cap: 50 });
    emulator.index([...strangers, ...made([45])]);
    expect(numbers(await history().incoming(asked({ to: 1 })))).toEqual(upTo(45));
    emulator.index(made([60]));
    expect((await failure(history().incoming(asked({ to: 1 })))).code).toBe("provider_range_too_large");
  });

  test("whatever the blocks hold, every transfer of the range is told once", async () => {
    const seed = Number(process.env.FUZZ_SEED ?? 1);
    let state = seed;
    const below = (limit: number) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return Math.floor((state / 0x80000000) * limit);
    };
    const one = history();
    for (let round = 0; round < 60; round++) {
      const counts = Array.from({ length: 1 + below(12) }, () => (below(3) === 0 ? 0 : below(90)));
      const rows = made(counts).map((row) => (below(4) === 0 ? { ...row, from: row.to, to: row.from } : row));
      const [from, to] = [1 + below(counts.length), counts.length];
      const widest = 1 + below(counts.length);
      emulator.index(rows);
      emulator.behave({
        cap: 90 + below(911),
        answer({ searchParams }) {
          const width = Number(searchParams.get("endblock")) - Number(searchParams.get("startblock")) + 1;
          const refused = searchParams.get("action") === "tokentx" && width > widest;
          const message = "Query Timeout occured. Please select a smaller result dataset";
          return refused ? Response.json({ status: "0", message, result: null }) : null;
        },
      });
      const due = rows.filter((row) => row.block >= from && row.to === shop.toLowerCase()).map(({ value }) => value);
      const top = rows.reduce((last, { block }) => Math.max(last, block), 0);
      if (top < to) continue;
      const told = (await one.incoming(asked({ from, to }))).map(({ units }) => units);
      expect({ seed, round, told }).toEqual({ seed, round, told: due });
    }
  });

  test("an index that shows fewer rows than it was asked for is read to its end all the same", async () => {
    for (const cap of [60, 100, 999]) {
      emulator.index(made([30, 30, 30, 59, 1, 1, 1, 40, 20]));
      emulator.behave({ cap });
      expect(numbers(await history().incoming(asked({ to: 9 })))).toEqual(upTo(212));
    }
  });

  test("a block crowded with strangers' coins is read contract by contract", async () => {
    const spam = made([0, 1400], { token: stranger.toLowerCase() });
    emulator.index([...made([2]), ...spam, ...made([0, 3]), ...made([0, 0, 1])]);
    expect(await history().incoming(asked({ to: 3 }))).toHaveLength(6);
  });

  test("a block with more than a page of one coin is a failure that names it", async () => {
    emulator.index(made([3, 1000, 2]));
    const { code, words } = await failure(history().incoming(asked({ to: 3 })));
    expect(code).toBe("provider_range_too_large");
    expect(words).toContain("block 2 holds more transfers");
  });

  test("a search that takes too long is made smaller, and one block that still does is named", async () => {
    emulator.index(made([5, 5, 5, 5, 5, 5, 5, 5]));
    const timeout = (wider_than: number) => ({
      answer: ({ searchParams }: URL) => {
        const width = Number(searchParams.get("endblock")) - Number(searchParams.get("startblock")) + 1;
        const message = "Query Timeout occured. Please select a smaller result dataset";
        const slow = searchParams.get("action") === "tokentx" && width > wider_than;
        return slow ? Response.json({ status: "0", message, result: null }) : null;
      },
    });
    emulator.behave(timeout(3));
    expect(numbers(await history().incoming(asked({ to: 8 })))).toEqual(upTo(40));
    emulator.behave(timeout(0));
    const { code, words } = await failure(history().incoming(asked({ to: 8 })));
    expect([code, words]).toEqual(["provider_range_too_large", `${emulator.host}: gave up on block 1`]);
  });

  test("an answer that is not in order, or not of the range, is refused", async () => {
    for (const blockNumber of ["2", "99"]) {
      emulator.index(made([0, 0, 1, 1]));
      emulator.behave({ row: (row) => (row.blockNumber === "4" ? { ...row, blockNumber } : row) });
      expect((await failure(history().incoming(asked({ from: 3, to: 4 })))).code).toBe("provider_inconsistent");
    }
  });

  test("one malformed row refuses the whole answer, and what the coin says of itself does not matter", async () => {
    emulator.index(made([3]));
    const spoiled = {
      value: "12.5",
      hash: "0x12",
      contractAddress: "",
      to: null,
      blockNumber: "0x1",
      timeStamp: "now",
    };
    for (const [field, value] of Object.entries(spoiled)) {
      emulator.behave({ row: (row) => (row.value === "2" ? { ...row, [field]: value } : row) });
      const { code, words } = await failure(history().incoming(asked({ to: 1 })));
      expect(code).toBe("provider_malformed");
      expect(words).toContain(`transfers.1.${field}`);
    }
    emulator.behave({ row: (row) => ({ ...row, tokenDecimal: "-1", tokenSymbol: null, blockHash: "" }) });
    expect(await history().incoming(asked({ to: 1 }))).toHaveLength(3);
  });
});

describe("refusals", () => {
  const rows: [sentence: string, code: string, words: string, retry_after_s?: number][] = [
    ["Max calls per sec rate limit reached (3/sec)", "provider_rate_limited", "3/sec", 1],
    ["Max rate limit reached, please use API Key for higher rate limit", "provider_rate_limited", "rate limit", 1],
    ["Max daily rate limit reached. 110000 (100%) of 100000 day/limit", "provider_rate_limited", "daily", 3600],
    [
      "Free API access is temporarily unavailable due to unusually high network activity.",
      "provider_rate_limited",
      "",
      300,
    ],
    [
      "Invalid API Key",
      "provider_refused",
      'Etherscan does not accept the key ("Invalid API Key"); correct api_keys.etherscan_api_key',
    ],
    ["Missing/Invalid API Key", "provider_refused", "correct api_keys.etherscan_api_key, or list chains.base.rpc_urls"],
    [
      "Free API access is not supported for this chain. Please upgrade your api plan for full chain coverage.",
      "provider_refused",
      "Base needs a paid Etherscan plan",
    ],
    [
      "Missing or unsupported chainid parameter (required for v2 api)",
      "provider_refused",
      "Etherscan does not serve Base here",
    ],
    [
      "You are using a deprecated V1 endpoint, switch to Etherscan API V2",
      "provider_refused",
      "does not serve Base here",
    ],
    ["Error! Invalid address format", "provider_unreachable", "Etherscan answered: Error! Invalid address format"],
  ];
  for (const [sentence, code, words, retry_after_s] of rows) {
    test(`${JSON.stringify(sentence)} is ${code}`, async () => {
      emulator.behave(refusingWith(sentence));
      const said = await failure(history({ chain: "base" }).incoming(asked()));
      expect(said.code).toBe(code);
      expect(said.words).toContain(words);
      expect(said.words.startsWith(`${emulator.host}: `)).toBe(true);
      expect(said.retry_after_s).toBe(retry_after_s);
    });
  }

  test("HTTP errors keep their meaning, and none shows the key or the address", async () => {
    for (const [status, code] of [
      [401, "provider_refused"],
      [402, "provider_refused"],
      [403, "provider_refused"],
      [429, "provider_rate_limited"],
      [500, "provider_unreachable"],
      [200, "provider_malformed"],
    ] as const) {
      const body = `no to ${emulator.etherscan}?apikey=${secret}`;
      emulator.behave({
        answer: (url) =>
          status === 200 ? new Response(`<p>${url.href}`) : Response.json({ message: body, url: url.href }, { status }),
      });
      const said = await failure(history().incoming(asked()));
      expect(said.code).toBe(code);
      expect(said.words).not.toContain(secret);
      expect(said.words).not.toContain("/etherscan");
    }
  });

  test("a sentence that repeats the request shows neither its key nor its address", async () => {
    emulator.behave(refusingWith(`cannot serve ${emulator.etherscan}?apikey=${secret} (${secret})`));
    const { words } = await failure(history().incoming(asked()));
    expect(words).toContain("Etherscan answered: cannot serve");
    expect(words).not.toContain(secret);
    expect(words).not.toContain("/etherscan");
  });

  test("every recorded refusal means something, and recorded rows are read", () => {
    const redact = (words: string) => words;
    const refuser = { name: "Etherscan", chain_name: "Base", chain: "base", key_name: "api_keys.x", redact };
    const expected: Record<string, readonly string[]> = {
      "rate-limit": ["provider_rate_limited"],
      quota: ["provider_rate_limited"],
      "plan-transient": ["provider_rate_limited"],
      plan: ["provider_refused"],
      config: ["provider_refused", "provider_unreachable"],
      window: ["provider_range_too_large"],
    };
    for (const { body, class: kind } of recorded.etherscan_answers) {
      const answer = readAnswer(body);
      if (kind === "empty") expect(answer).toEqual({ result: [] });
      else
        expect(expected[kind]).toContain("refusal" in answer ? refusalFault(answer.refusal, refuser).code : "a result");
    }
    const rowsOf = (body: unknown) => {
      const answer = readAnswer(body);
      return readTokenRows("result" in answer ? answer.result : null);
    };
    const { address, body } = recorded.etherscan_usdt;
    expect(rowsOf(body).filter((row) => row.wallet === getAddress(address))).toHaveLength(2);
    const oddRows = rowsOf(recorded.etherscan_odd.body);
    expect(new Set(oddRows.map(({ tx_hash }) => tx_hash)).size).toBeLessThan(oddRows.length);
  });
});

describe("the pace", () => {
  /** A world whose time passes only while somebody sleeps. */
  function sleepyWorld() {
    let elapsed = 0;
    const world: World = {
      ...realWorld(),
      now: () => Date.now() + 60_000,
      elapsed: () => elapsed,
      async sleep(ms) {
        elapsed += ms;
      },
    };
    return { world, elapsed: () => elapsed, pass: world.sleep };
  }

  test("all chains of one key share three requests a second", async () => {
    const { world, elapsed } = sleepyWorld();
    const rateLimiters = createRateLimiters({ world });
    emulator.index(made([1]));
    for (const chain of ["eth", "polygon", "arb", "linea", "eth"] as const) {
      await history({ chain, world, rateLimiters }).incoming(asked({ to: 1 }));
    }
    expect(emulator.seen()).toHaveLength(10);
    expect(elapsed()).toBeCloseTo(9 * (1000 / 3), 0);
    await history({ world, rateLimiters, key: "another-key-altogether" }).incoming(asked({ to: 1 }));
    expect(elapsed()).toBeCloseTo(10 * (1000 / 3), 0);
  });

  test("whoever would wait longer than ten seconds is told so, and how long", async () => {
    const { world } = sleepyWorld();
    const still = { ...world, sleep: async () => {} };
    const limiter = createRateLimiters({ world: still }).of("one", { per_second: 3, per_day: null });
    for (let turns = 0; turns < 31; turns++) await limiter.acquire();
    expect(await failure(limiter.acquire())).toMatchObject({ code: "provider_rate_limited", retry_after_s: 11 });
  });

  test("no day holds more than the day's allowance, however it begins", async () => {
    const { world, elapsed, pass } = sleepyWorld();
    const limiter = createRateLimiters({ world }).of("one", { per_second: 5, per_day: 1000 });
    let turns = 0;
    while (elapsed() < 86_400_000) {
      if ((await failure(limiter.acquire())).code === "no failure") turns++;
      else await pass(1000);
    }
    expect(turns).toBeGreaterThanOrEqual(980);
    expect(turns).toBeLessThanOrEqual(1000);
  });

  test("once a small allowance is used up it comes back in portions that are worth a poll", async () => {
    const { world, elapsed, pass } = sleepyWorld();
    const limiter = createRateLimiters({ world }).of("one", { per_second: 2, per_day: 10_000 });
    const day = 86_400_000;
    let polls = 0;
    while (elapsed() < 2 * day) {
      let turns = 0;
      let refused = await failure(limiter.acquire());
      for (; refused.code === "no failure" && ++turns < 7; ) refused = await failure(limiter.acquire());
      if (turns === 7 && elapsed() > day) polls++;
      await pass(turns === 7 ? 4000 : 1000 * (refused.retry_after_s ?? 0));
    }
    // 6,000 requests a day come back.
    expect(polls).toBeGreaterThan(500);
  });

  test("what one chain was told to wait, the others of the same key wait as well", async () => {
    const { world, pass } = sleepyWorld();
    const rateLimiters = createRateLimiters({ world });
    emulator.index(made([1]));
    emulator.behave(refusingWith("Max daily rate limit reached. 110000 (100%) of 100000 day/limit"));
    expect((await failure(history({ world, rateLimiters }).incoming(asked({ to: 1 })))).retry_after_s).toBe(3600);
    emulator.behave();
    const polygon = () => failure(history({ chain: "polygon", world, rateLimiters }).incoming(asked({ to: 1 })));
    expect(await polygon()).toMatchObject({ code: "provider_rate_limited", retry_after_s: 3600 });
    expect(emulator.seen()).toHaveLength(1);
    await pass(3_600_000);
    expect((await polygon()).code).toBe("no failure");
  });

  test("a throttled answer says when to come back", async () => {
    emulator.behave({ answer: () => Response.json(throttled) });
    expect((await failure(history().incoming(asked()))).retry_after_s).toBe(1);
  });
});
