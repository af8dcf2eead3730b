import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { connectChain } from "../../src/chains/connect.ts";
import type { LogQuery, Providers } from "../../src/chains/source.ts";
import type { ChainSettings } from "../../src/config/config.ts";
import { chainFacts } from "../../src/domain/assets.ts";
import { errorCode } from "../../src/domain/errors.ts";
import { createRateLimiters } from "../../src/limits/rate-limiter.ts";
import { createOutbound } from "../../src/outbound.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld, type World } from "../../src/world.ts";
import { type Anvil, startAnvil } from "../support/anvil.ts";
import { no_keys } from "../support/appliance.ts";
import { accounts, type Coin, deployCoin } from "../support/coin.ts";
import {
  answering,
  type Behaviour,
  laggingAt,
  otherChain,
  type ProviderProxy,
  rangeCap,
  refusing,
  startProviderProxy,
} from "../support/provider-proxy.ts";

const [, payer, shop] = accounts;
const down = answering(503, "");

let anvil: Anvil;
let usdt: Coin;
let a: ProviderProxy;
let b: ProviderProxy;
let elapsed: number;
let lines: string[];

beforeAll(async () => {
  anvil = await startAnvil({ chainId: 1 });
  usdt = await deployCoin(anvil, 6, "USDT");
  await usdt.mint(payer, 1_000_000n);
  await usdt.transfer(payer, shop, 5n);
  a = startProviderProxy(anvil.url);
  b = startProviderProxy(anvil.url);
});

afterEach(() => {
  a.reset();
  b.reset();
});

afterAll(async () => {
  await a.stop();
  await b.stop();
  await anvil.stop();
});

/** Both providers behind one face, on a clock moved by hand. `chance` 255 is the longest back-off. */
function connected(urls: readonly string[] = [a.url, b.url], chance = 255): Providers {
  elapsed = 0;
  lines = [];
  const world: World = {
    ...realWorld(),
    elapsed: () => elapsed,
    random: (bytes) => new Uint8Array(bytes).fill(chance),
    warn: (line) => void lines.push(line),
  };
  const facts = chainFacts.eth;
  const settings: ChainSettings = {
    id: "eth",
    facts,
    chain_id: 1,
    rpc_urls: urls,
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
  const source = connectChain({
    settings,
    outbound: createOutbound({ world }),
    world,
    telemetry: createTelemetry(world),
    rateLimiters: createRateLimiters({ world }),
  });
  return source ?? expect.unreachable("an EVM chain is watched");
}

function question(): LogQuery {
  return { from: 1, to: 3, wallets: [shop], tokens: [usdt.address], mark: null };
}

const codeOfFailure = (promise: Promise<unknown>) =>
  promise.then(
    () => "no failure",
    (error) => errorCode(error),
  );

describe("two providers as one", () => {
  test("the first in the list answers while it is well", async () => {
    const pool = connected();
    await pool.heads([]);
    expect((await pool.read(question())).provider).toBe(a.host);
    expect(b.requests()).toBe(0);
  });

  const unknown_tags: Behaviour = {
    refuse: ({ method, params: [tag] }) =>
      method === "eth_getBlockByNumber" && tag === "finalized"
        ? { code: -32602, message: "invalid argument 0: hex string without 0x prefix" }
        : null,
  };

  test("a tag that the first does not know is asked of the other, and its own head stays", async () => {
    const pool = connected();
    const before = await pool.heads(["finalized"]);
    a.behave(unknown_tags);
    expect(before.by).toMatchObject({ latest: a.host, finalized: a.host });
    expect(await pool.heads(["finalized"])).toEqual({ ...before, by: { ...before.by, finalized: b.host } });
    expect(b.requests()).toBe(1);
  });

  test("a tag that no provider ever served is unknown", async () => {
    a.behave(unknown_tags);
    b.behave(unknown_tags);
    expect((await connected().heads(["finalized"])).finalized).toBeNull();
  });

  test("the other answers when the first fails, and the first is left alone meanwhile", async () => {
    const pool = connected();
    a.behave(down);
    expect((await pool.read(question())).provider).toBe(b.host);
    expect((await pool.read(question())).provider).toBe(b.host);
    expect([a.requests(), b.requests()]).toEqual([1, 2]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("provider_unreachable");
  });

  test("the first is tried again when its pause is over, and answers again once it is well", async () => {
    const pool = connected();
    a.behave(down);
    await pool.heads([]);
    a.behave();
    elapsed = 998;
    expect((await pool.read(question())).provider).toBe(b.host);
    elapsed = 999;
    expect((await pool.read(question())).provider).toBe(a.host);
    expect(lines.at(-1)).toContain("provider_recovered");
  });

  test("a provider that recovered starts again with the shortest pause", async () => {
    const pool = connected([a.url]);
    for (const behaviour of [down, down, null, down]) {
      a.behave(...(behaviour === null ? [] : [behaviour]));
      await codeOfFailure(pool.heads([]));
      elapsed += 2000;
    }
    expect(lines.map((line) => /pause_ms=(\d+)/.exec(line)?.[1])).toEqual(["998", "1996", undefined, "998"]);
  });

  test("pauses double from a second to five minutes, shortened by chance to no less than half", async () => {
    for (const [chance, share] of [
      [255, 255.5 / 256],
      [0, 0.5],
    ] as const) {
      const pool = connected([a.url], chance);
      a.behave(down);
      const pauses = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300].map((seconds) => seconds * 1000);
      for (const pause of pauses) {
        a.reset();
        a.behave(down);
        await codeOfFailure(pool.heads([]));
        expect(a.requests()).toBe(1);
        elapsed += pause * share - 3;
        await codeOfFailure(pool.heads([]));
        expect(a.requests()).toBe(1);
        elapsed += 3;
      }
    }
  });

  test("while all are left alone the last failure is told at once, without a request", async () => {
    const pool = connected();
    a.behave(down);
    b.behave(refusing({ code: -32007, message: "slow down" }));
    expect(await codeOfFailure(pool.heads([]))).toBe("provider_rate_limited");
    expect(await codeOfFailure(pool.heads([]))).toBe("provider_rate_limited");
    expect([a.requests(), b.requests()]).toEqual([1, 1]);
  });

  test("a throttled provider is left alone as long as it asks for, but not for ever", async () => {
    for (const [asked, seconds] of [
      ["30", 30],
      ["999999", 3600],
    ] as const) {
      a.reset();
      const pool = connected([a.url]);
      a.behave(answering(429, "", { "retry-after": asked }));
      await codeOfFailure(pool.heads([]));
      elapsed = seconds * 1000 - 1;
      await codeOfFailure(pool.heads([]));
      expect(a.requests()).toBe(1);
      elapsed = seconds * 1000;
      await codeOfFailure(pool.heads([]));
      expect(a.requests()).toBe(2);
    }
  });

  test("`avoid` asks another provider where there is one", async () => {
    expect((await connected().read(question(), a.host)).provider).toBe(b.host);
    expect((await connected([a.url]).read(question(), a.host)).provider).toBe(a.host);
  });

  test("an avoided provider still answers when the other cannot", async () => {
    b.behave(down);
    expect((await connected().read(question(), a.host)).provider).toBe(a.host);
  });

  test("a provider behind the others, or asked too much, is passed over but not left alone", async () => {
    for (const behaviour of [laggingAt(2), rangeCap(0, "ankr")]) {
      a.reset();
      const pool = connected();
      a.behave(behaviour);
      expect((await pool.read(question())).provider).toBe(b.host);
      a.behave();
      expect((await pool.read(question())).provider).toBe(a.host);
    }
  });

  test("a provider of another chain never answers", async () => {
    const pool = connected();
    a.behave(otherChain(5));
    expect((await pool.heads([])).latest.number).toBe(3);
    expect((await pool.read(question())).provider).toBe(b.host);
    b.behave(otherChain(5));
    elapsed = 3_600_000;
    expect(await codeOfFailure(pool.heads([]))).toBe("wrong_chain_id");
  });

  test("each provider has its own report; two keys at one host are two providers", async () => {
    const pool = connected([`${a.url}/key-one`, `${a.url}/key-two`, b.url]);
    a.behave(down);
    await pool.heads([]);
    expect(pool.reports().map(({ provider, calls, failures }) => [provider, calls, failures])).toEqual([
      [a.host, 1, 1],
      [`${a.host}#2`, 1, 1],
      [b.host, 1, 0],
    ]);
    expect(lines.join()).not.toContain("key-");
  });
});
