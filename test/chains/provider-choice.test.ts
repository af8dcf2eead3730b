// Which provider of a chain is asked: by how it has done lately, what it is allowed, how far back it serves, and whether
// the others bear it out. Real HTTP before a real node, on a clock moved by hand.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { connectChain } from "../../src/chains/connect.ts";
import type { LogQuery, Providers } from "../../src/chains/source.ts";
import type { ChainSettings } from "../../src/config/config.ts";
import { chainFacts } from "../../src/domain/assets.ts";
import { errorCode } from "../../src/domain/errors.ts";
import type { DailyUsage } from "../../src/domain/provider.ts";
import { createRateLimiters } from "../../src/limits/rate-limiter.ts";
import { createOutbound } from "../../src/outbound.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld, type World } from "../../src/world.ts";
import { type Anvil, startAnvil } from "../support/anvil.ts";
import { accounts, type Coin, deployCoin } from "../support/coin.ts";
import {
  altering,
  alteringHeaders,
  answering,
  type ProviderProxy,
  rangeCap,
  refusing,
  singleError,
  startProviderProxy,
} from "../support/provider-proxy.ts";

const [, payer, shop] = accounts;
const down = answering(503, "");
const minute = 60_000;
const midnight = Date.UTC(2026, 10, 21);
const pruned = refusing({ code: -32602, message: "Archive requests require a personal token" }, "eth_getLogs");

let anvil: Anvil;
let usdt: Coin;
let paid: string;
let all: ProviderProxy[];
let a: ProviderProxy;
let b: ProviderProxy;
let c: ProviderProxy;
let elapsed: number;
let now: number;
let lines: string[];
let slept: number[];
/** Requests under way, those of looks in the background too. */
let under_way = 0;

beforeAll(async () => {
  anvil = await startAnvil({ chainId: 1 });
  usdt = await deployCoin(anvil, 6, "USDT");
  await usdt.mint(payer, 1_000_000n);
  paid = await usdt.transfer(payer, shop, 5n);
  all = Array.from({ length: 3 }, () => startProviderProxy(anvil.url));
  [a, b, c] = all as [ProviderProxy, ProviderProxy, ProviderProxy];
});

afterEach(async () => {
  await until(() => under_way === 0);
  for (const proxy of all) proxy.reset();
});

afterAll(async () => {
  for (const proxy of all) await proxy.stop();
  await anvil.stop();
});

interface Setting {
  urls?: readonly string[];
  requests?: Partial<ChainSettings["requests"]>;
  used?: DailyUsage;
}

/** Providers behind one face. The shortest back-off; a sleep moves the clock. */
function connected({ urls = all.map(({ url }) => url), requests = {}, used }: Setting = {}): Providers {
  elapsed = 0;
  now = midnight + 12 * 60 * minute;
  lines = [];
  slept = [];
  const world: World = {
    ...realWorld(),
    now: () => now,
    elapsed: () => elapsed,
    random: (bytes) => new Uint8Array(bytes),
    warn: (line) => void lines.push(line),
    async fetch(url, init) {
      under_way++;
      try {
        return await realWorld().fetch(url, init);
      } finally {
        under_way--;
      }
    },
    async sleep(ms) {
      slept.push(ms);
      pass(ms);
    },
  };
  const facts = chainFacts.eth;
  const settings: ChainSettings = {
    id: "eth",
    facts,
    chain_id: 1,
    rpc_urls: urls,
    public_endpoints: false,
    explorer: null,
    api_keys: { etherscan: null, tronscan: null, trongrid: null, blockscout: null, routescan: null },
    finality: facts.finality,
    verify: { above: null, asked: false },
    requests: { per_second: null, per_day: null, ...requests },
    poll_ms: 1000,
    idle_poll_ms: 1000,
    start_block: null,
    tokens: [],
  };
  const needs = { outbound: createOutbound({ world }), world, telemetry: createTelemetry(world) };
  return connectChain({ settings, ...needs, rateLimiters: createRateLimiters({ world }), used: () => used ?? null });
}

function pass(ms: number): void {
  elapsed += ms;
  now += ms;
}

function question(from = 1): LogQuery {
  return { from, to: 3, wallets: [shop], tokens: [usdt.address], mark: null };
}

const codeOfFailure = (promise: Promise<unknown>) =>
  promise.then(
    () => "no failure",
    (error) => errorCode(error),
  );
const wordsOfFailure = (promise: Promise<unknown>) =>
  promise.then(
    () => "no failure",
    (error) => String(error),
  );

/** Waits for what a look in the background brings about. */
async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; tries < 400 && !what(); tries++) await Bun.sleep(5);
  expect(what()).toBe(true);
}

const asked = async (pool: Providers) => (await pool.read(question())).provider;
const reportOf = (pool: Providers, proxy: ProviderProxy) =>
  pool.reports().find(({ provider }) => provider === proxy.host) ?? expect.unreachable(`${proxy.host} is reported`);

describe("the provider that does best", () => {
  test("answers instead of one that fails again and again, which is tried in the background and comes back when its failures have faded", async () => {
    const pool = connected();
    a.behave(down);
    for (let failures = 0; failures < 5; failures++) {
      await pool.heads([]);
      await until(() => under_way === 0);
      pass(10_000);
    }
    expect(lines.some((line) => line.includes("provider_preferred") && line.includes(b.host))).toBe(true);
    a.reset();
    pass(minute);
    await pool.heads([]);
    expect(await asked(pool)).toBe(b.host);
    await until(() => reportOf(pool, a).state === "well");
    expect(await asked(pool)).toBe(b.host);
    pass(5 * minute);
    expect(await asked(pool)).toBe(b.host);
    pass(10 * minute);
    expect(await asked(pool)).toBe(a.host);
  });

  test("two that do alike do not take turns", async () => {
    const pool = connected();
    for (let polls = 0; polls < 10; polls++) {
      (polls % 2 === 0 ? a : b).behave(down);
      await pool.heads([]);
      await until(() => under_way === 0);
      a.reset();
      b.reset();
      pass(5 * minute);
    }
    expect(lines.filter((line) => line.includes("provider_preferred"))).toEqual([]);
  });

  test("is not one whose head stands still while the others go on", async () => {
    const pool = connected();
    a.behave(
      alteringHeaders((header) => ({ ...header, timestamp: `0x${(Number(header.timestamp) - 120).toString(16)}` })),
    );
    await pool.heads([]);
    expect(b.requests()).toBe(0);
    pass(31_000);
    await pool.heads([]);
    await until(() => reportOf(pool, a).lag_s === 120);
    expect((await pool.heads([])).latest.number).toBe(3);
    expect(await asked(pool)).toBe(b.host);
    expect(reportOf(pool, a)).toMatchObject({ state: "well", score: 60 });
  });

  test("while it is well the others are looked at every five minutes, no more", async () => {
    const pool = connected();
    await pool.heads([]);
    let number = 3;
    for (let seconds = 0; seconds < 600; seconds += 10) {
      number++;
      a.behave(alteringHeaders((header) => ({ ...header, number: `0x${number.toString(16)}` })));
      await pool.heads([]);
      await until(() => under_way === 0);
      pass(10_000);
    }
    expect([b.requests(), c.requests()]).toEqual([1, 1]);
  });

  test("that is on trial is tried by one request at a time", async () => {
    const pool = connected({ urls: [a.url] });
    a.behave(down);
    await codeOfFailure(pool.heads([]));
    pass(minute);
    a.reset();
    const { promise, resolve } = Promise.withResolvers<Response>();
    a.behave({ request: () => promise });
    const trial = codeOfFailure(pool.heads([]));
    expect(reportOf(pool, a).state).toBe("on_trial");
    expect(await codeOfFailure(pool.heads([]))).toBe("provider_unreachable");
    resolve(new Response("", { status: 503 }));
    expect(await trial).toBe("provider_unreachable");
    expect(a.requests()).toBe(1);
  });
});

describe("a provider that keeps no history", () => {
  test("is not asked for blocks as old as those it refused, and still reads the head", async () => {
    const pool = connected();
    a.behave(pruned);
    expect(await asked(pool)).toBe(b.host);
    a.reset();
    expect(await asked(pool)).toBe(b.host);
    expect(a.requests()).toBe(0);
    expect((await pool.read(question(2))).provider).toBe(a.host);
    expect(reportOf(pool, a)).toMatchObject({ state: "well", oldest_block: 2, score: 100 });
    pass(24 * 60 * minute);
    expect(await asked(pool)).toBe(a.host);
  });

  test("as all there are: the operator is told what to do, once", async () => {
    const pool = connected();
    for (const proxy of all) proxy.behave(pruned);
    for (let polls = 0; polls < 3; polls++) {
      expect(await codeOfFailure(pool.read(question()))).toBe("provider_archive_only");
    }
    expect(await wordsOfFailure(pool.read(question()))).toContain("list one that keeps the whole history (rpc_urls)");
    expect(lines.filter((line) => line.includes(" error all_providers_refuse"))).toHaveLength(1);
  });
});

describe("a provider that keeps no balances of the past", () => {
  const stateless = refusing({ code: -32000, message: "missing trie node 12ab" }, "eth_call");
  const balances = (pool: Providers, block: number) => pool.balances([{ wallet: shop, token: usdt.address }], block);

  test("is asked for the logs of these blocks as before, and for its balances not again", async () => {
    const pool = connected({ urls: [a.url, b.url] });
    a.behave(stateless);
    expect((await balances(pool, 2)).provider).toBe(b.host);
    a.reset();
    expect(await asked(pool)).toBe(a.host);
    expect(reportOf(pool, a)).toMatchObject({ state: "well", oldest_block: null });
    expect((await balances(pool, 1)).provider).toBe(b.host);
    expect((await balances(pool, 3)).provider).toBe(a.host);
  });
});

describe("one block that is too much", () => {
  test("for one provider is asked of the next; for all of them raises an alarm", async () => {
    const pool = connected();
    for (const proxy of [a, b]) proxy.behave(rangeCap(0, "ankr"));
    expect(await asked(pool)).toBe(c.host);
    c.behave(rangeCap(0, "ankr"));
    expect(await codeOfFailure(pool.read(question()))).toBe("provider_range_too_large");
    expect(lines.filter((line) => line.includes("code=provider_range_too_large"))).toHaveLength(1);
    pass(11 * minute);
    await codeOfFailure(pool.read(question()));
    expect(lines.filter((line) => line.includes("code=provider_range_too_large"))).toHaveLength(2);
  });
});

describe("what a provider may be asked", () => {
  test("by the second: a second's worth at once, the rest evenly", async () => {
    const pool = connected({ urls: [a.url], requests: { per_second: 10 } });
    for (let blocks = 0; blocks < 20; blocks++) await pool.blocks([1]);
    // The first call states the chain id besides.
    expect(elapsed).toBeCloseTo(1100, 0);
    expect(Math.max(...slept)).toBeCloseTo(100, 0);
  });

  test("a batch larger than a second's worth waits for what came before and is paid off after it", async () => {
    const pool = connected({ urls: [a.url], requests: { per_second: 4 } });
    await pool.blocks([1, 2, 3, 1, 2, 3, 1]);
    expect(elapsed).toBe(0);
    await pool.blocks([1]);
    expect(elapsed).toBeCloseTo(1250, 0);
  });

  test("more than it may be asked within seconds is asked of the next", async () => {
    const pool = connected({ urls: [a.url, b.url], requests: { per_second: 1 } });
    await pool.blocks([1, 2, 3, 1, 2, 3, 1, 2, 3, 1]);
    expect(elapsed).toBe(0);
    await pool.blocks([1]);
    expect([a.requests(), b.requests()]).toEqual([1, 1]);
  });

  test("by the day: the next one takes over, with one warning, until midnight UTC", async () => {
    const pool = connected({ urls: [a.url, b.url], requests: { per_day: 1000 } });
    for (let calls = 0; calls < 900; calls += 18) await pool.blocks(Array.from({ length: 18 }, () => 1));
    expect(reportOf(pool, a)).toMatchObject({
      state: "budget_spent",
      day_calls: 901,
      state_until: midnight + 1440 * minute,
    });
    expect(await asked(pool)).toBe(b.host);
    expect(lines.filter((line) => line.includes("provider_budget_spent"))).toHaveLength(1);
    pass(12 * 60 * minute);
    expect(await asked(pool)).toBe(a.host);
    expect(reportOf(pool, a)).toMatchObject({ state: "well", day_calls: 3 });
  });

  test("what was asked before a restart counts", async () => {
    const day = midnight / 86_400_000;
    const pool = connected({ urls: [a.url, b.url], requests: { per_day: 1000 }, used: { day, day_calls: 950 } });
    expect(reportOf(pool, a).state).toBe("budget_spent");
    const old = connected({ urls: [a.url], requests: { per_day: 1000 }, used: { day: day - 1, day_calls: 950 } });
    expect(reportOf(old, a)).toMatchObject({ state: "well", day_calls: 0 });
  });

  test("when all are nearly used up the chain is read slowly, says so, and never exceeds the day", async () => {
    const day = midnight / 86_400_000;
    const pool = connected({ urls: [a.url], requests: { per_day: 1000 }, used: { day, day_calls: 900 } });
    const outcomes = { read: 0, refused: 0 };
    for (; now < midnight + 1440 * minute; pass(10_000)) {
      const outcome = await wordsOfFailure(pool.read(question()));
      if (outcome === "no failure") outcomes.read++;
      else {
        outcomes.refused++;
        expect(outcome).toContain("read slowly until midnight UTC; raise the limit or list another provider");
      }
    }
    expect(outcomes.read).toBeGreaterThan(9);
    expect(a.calls()).toBeLessThanOrEqual(100);
    expect(await asked(pool)).toBe(a.host);
  });
});

describe("a provider the others contradict", () => {
  const matter = () => ({ hashes: [paid], heights: [3] });

  test("is asked nothing for ten minutes, and again only when it agreed three times", async () => {
    const pool = connected();
    pool.distrust(a.host, matter());
    expect(await asked(pool)).toBe(b.host);
    expect(lines.join("\n")).toContain(" error provider_frozen");
    expect(reportOf(pool, a)).toMatchObject({ state: "frozen", state_until: now + 10 * minute });
    expect(a.requests()).toBe(0);
    pass(10 * minute);
    expect(reportOf(pool, a).state).toBe("on_probation");
    for (let polls = 0; polls < 10 && reportOf(pool, a).state === "on_probation"; polls++) {
      expect(await asked(pool)).toBe(b.host);
      await pool.heads([]);
      await until(() => under_way === 0);
      pass(30_000);
    }
    expect(a.calls("eth_getTransactionReceipt")).toBe(3);
    expect(await asked(pool)).toBe(a.host);
  });

  test("and that contradicts them again is frozen for twice as long", async () => {
    const pool = connected();
    a.behave(altering<object>("eth_getTransactionReceipt", (receipt) => ({ ...receipt, status: "0x0" })));
    pool.distrust(a.host, matter());
    pass(10 * minute);
    await pool.heads([]);
    await until(() => reportOf(pool, a).state === "frozen");
    expect(reportOf(pool, a).state_until).toBe(now + 20 * minute);
  });

  test("gives no second opinion meanwhile", async () => {
    const pool = connected();
    pool.distrust(b.host, matter());
    pool.distrust(c.host, matter());
    const first = await pool.fetchEvidence(matter(), []);
    expect(first.provider).toBe(a.host);
    expect(await codeOfFailure(pool.fetchEvidence(matter(), [a.host]))).toBe("second_opinion_missing");
  });

  test("what one key has read is read again by another company, by another key only where there is no other", async () => {
    const keys = [`${a.url}/one`, `${a.url}/two`];
    expect((await connected({ urls: [...keys, b.url] }).read(question(), a.host)).provider).toBe(b.host);
    expect((await connected({ urls: keys }).read(question(), a.host)).provider).toBe(`${a.host}#2`);
  });

  test("a second opinion comes from another company, not from another key", async () => {
    const pool = connected({ urls: [`${a.url}/one`, `${a.url}/two`, b.url] });
    expect((await pool.fetchEvidence(matter(), [a.host])).provider).toBe(b.host);
    expect(await codeOfFailure(pool.fetchEvidence(matter(), [a.host, b.host]))).toBe("second_opinion_missing");
  });
});

describe("keys", () => {
  const secrets = ["path-key-81c2", "query-key-93d4", "user-name-17", "pass-word-55"];

  test("reach neither log nor error nor report, whatever a provider says", async () => {
    const host = a.host;
    const url = `http://${secrets[2]}:${secrets[3]}@${host}/v3/${secrets[0]}?apikey=${secrets[1]}`;
    const echo = `cannot serve ${url} nor ${secrets.join(" ")}`;
    const said: string[] = [];
    for (const behaviour of [
      answering(401, echo),
      answering(403, JSON.stringify({ error: { code: 1, message: echo } })),
      answering(429, echo, { "retry-after": "1" }),
      answering(500, echo),
      answering(200, echo),
      answering(200, JSON.stringify({ jsonrpc: "2.0", id: 1, result: echo })),
      singleError({ code: -32000, message: echo, data: { url } }),
      refusing({ code: -32602, message: "invalid api key", data: echo }),
      pruned,
      rangeCap(0, "ankr"),
    ]) {
      const pool = connected({ urls: [url] });
      a.behave(behaviour);
      const verbs = [
        () => pool.heads(["safe"]),
        () => pool.read(question()),
        () => pool.receipts([paid]),
        () => pool.identity([usdt.address]),
      ];
      for (const verb of verbs) {
        said.push(await wordsOfFailure(verb()));
        pass(minute);
      }
      said.push(JSON.stringify(pool.reports()), ...lines);
    }
    expect(said.join("\n")).toContain("provider_refused");
    for (const secret of secrets) expect(said.join("\n")).not.toContain(secret);
  });
});
