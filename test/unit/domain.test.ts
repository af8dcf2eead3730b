// The pure rules: tables with the answer last.

import { describe, expect, test } from "bun:test";
import { canonicalAddress, canonicalAnywhere, tronAddress, tronBytes } from "../../src/domain/address.ts";
import { atPace, type ChainId, chainFacts, chainIds, coins, registeredName, tokens } from "../../src/domain/assets.ts";
import { middleBlock } from "../../src/domain/balances.ts";
import {
  coveredThrough,
  cutAbove,
  extend,
  gaps,
  type Interval,
  intervalAt,
  plan,
  union,
} from "../../src/domain/coverage.ts";
import {
  logRestoredBody,
  orderStatusBody,
  paymentRevertedBody,
  proofRetryDelay,
  retry_delays_s,
  retryDelay,
  unknownTransferBody,
} from "../../src/domain/events.ts";
import {
  combineFinalities,
  type Finality,
  finalBlock,
  finalityFor,
  finalReach,
  formatFinality,
  type Heads,
  parseFinality,
  provingBlock,
  withoutStaleTags,
} from "../../src/domain/finality.ts";
import { judgeReceipt } from "../../src/domain/matching.ts";
import {
  compareAmounts,
  fromCommon,
  fromUnits,
  isAmount,
  isAtMost,
  scaleOf,
  subtractAmounts,
  toCommon,
  toUnits,
  unitsCovering,
} from "../../src/domain/money.ts";
import { orderCommands, orderStatuses, transition } from "../../src/domain/order.ts";
import { isIgnored, type Receipt, type Transfer } from "../../src/domain/payment.ts";
import { maxPaymentFor, maxPricePaidBy, parseBound, type Tolerance } from "../../src/domain/tolerance.ts";
import { canonicalTxHash, hashInText } from "../../src/domain/tx-hash.ts";

describe("money", () => {
  test.each([
    ["19.99", true],
    ["0.000001", true],
    ["1", true],
    ["999999999999999999.999999999999999999", true],
    ["0", false],
    ["0.00", false],
    ["-1", false],
    ["+1", false],
    ["1e5", false],
    [" 1", false],
    ["1.", false],
    [".5", false],
    ["0x10", false],
    ["1,5", false],
    ["1234567890123456789", false],
    ["1.1234567890123456789", false],
    ["", false],
  ])("%p is an amount: %p", (text, is) => {
    expect(isAmount(text)).toBe(is);
  });

  test.each([
    ["19.99", 6, 19990000n],
    ["0.1234567", 6, null],
    ["1.10", 6, 1100000n],
    ["0.000000000000000001", 18, 1n],
    ["999999999999999999.999999999999999999", 18, 999999999999999999999999999999999999n],
    ["5", 0, 5n],
    ["5.5", 0, null],
  ])("%p in %p decimals is %p", (text, decimals, units) => {
    expect(toUnits(text, decimals)).toBe(units);
    if (units !== null) expect(toUnits(fromUnits(units, decimals), decimals)).toBe(units);
  });

  test.each([
    [19990000n, 6, 0, "19.99"],
    [20000000n, 6, 0, "20"],
    [20000000n, 6, 2, "20.00"],
    [1n, 18, 0, "0.000000000000000001"],
    [999999999999999999999999999999999999n, 18, 2, "999999999999999999.999999999999999999"],
  ])("%p units of %p decimals with scale %p read %p", (units, decimals, scale, text) => {
    expect(fromUnits(units, decimals, scale)).toBe(text);
  });

  /** Decimal text of units without decimal.js: digits, and a dot so many from the right. */
  function written(units: bigint, decimals: number): string {
    const digits = units.toString().padStart(decimals + 1, "0");
    const cut = digits.length - decimals;
    const behind = digits.slice(cut).replace(/0+$/, "");
    return behind === "" ? digits.slice(0, cut) : `${digits.slice(0, cut)}.${behind}`;
  }

  test("no amount of any length is rounded", () => {
    const most = 2n ** 256n - 1n;
    for (const units of [most, most - 1n, 10n ** 77n + 1n, BigInt("123456789".repeat(8)), 10n ** 60n + 1n]) {
      for (const decimals of [0, 6, 18]) {
        const text = written(units, decimals);
        expect(fromUnits(units, decimals)).toBe(text);
        expect(toUnits(text, decimals)).toBe(units);
        const more = written(units + 1n, decimals);
        expect([compareAmounts(text, more), compareAmounts(more, text), compareAmounts(text, text)]).toEqual([
          -1, 1, 0,
        ]);
        expect(isAtMost(more, text)).toBe(false);
        expect(subtractAmounts(more, text)).toBe(written(1n, decimals));
      }
      expect(fromCommon(toCommon(written(units, 18)))).toBe(written(units, 18));
    }
  });

  test("a number too long to be exact is refused", () => {
    const long = "1".repeat(201);
    for (const run of [() => toUnits(long, 6), () => compareAmounts("1", long), () => fromUnits(BigInt(long), 6)]) {
      expect(run).toThrow("more than 200 digits");
    }
    expect(isAmount(long)).toBe(false);
  });

  test("the least units that cover an amount are rounded up, never down", () => {
    expect(unitsCovering(toCommon("1.000000000000000001"), 6)).toBe(1_000_001n);
    expect(unitsCovering(toCommon("1"), 6)).toBe(1_000_000n);
    expect(unitsCovering(toCommon("1.000000000000000001"), 18)).toBe(10n ** 18n + 1n);
  });

  test("the scale is what was written", () => {
    expect(["19.90", "19", "0.000"].map(scaleOf)).toEqual([2, 0, 3]);
    expect(isAtMost("1000", "1000.0")).toBe(true);
    expect(isAtMost("1000.000000000000000001", "1000")).toBe(false);
  });
});

describe("a bound of what still pays", () => {
  const percent_max = 10n;
  test.each<[text: string, bound: unknown]>([
    ["0.10", { amount: "0.10" }],
    ["0", { amount: "0" }],
    ["0.000000", { amount: "0.000000" }],
    ["100", { amount: "100" }],
    ["100.000001", null],
    ["0.0000001", null],
    ["0.5%", { millionths: 5_000n }],
    ["0%", { millionths: 0n }],
    ["10%", { millionths: 100_000n }],
    ["10.0001%", null],
    ["0.0001%", { millionths: 1n }],
    ["0.000001", { amount: "0.000001" }],
    ["0.00001%", null],
    ["-1", null],
    ["1e1", null],
    ["", null],
    ["%", null],
    ["1 %", null],
    ["Infinity", null],
  ])("%p is %p", (text, bound) => {
    expect(parseBound(text, percent_max)).toEqual(bound as never);
  });

  const units = (text: string) => toUnits(text, 6) ?? 0n;
  test.each<[bounds: Tolerance, received: string, price: string]>([
    [[], "19.90", "19.90"],
    [[{ amount: "0.10" }], "19.90", "20.00"],
    [[{ amount: "0.10" }, { millionths: 1_000n }], "99.90", "100.00"],
    // However large the fixed amount, a tenth of the price is the most that is forgiven.
    [[{ amount: "100" }], "9", "10"],
  ])("%p: %p pays a price of up to %p", (bounds, received, price) => {
    expect(maxPricePaidBy(bounds, units(received), 6)).toBe(units(price));
  });

  test.each<[bounds: Tolerance, due: string, most: string]>([
    [[], "19.90", "19.90"],
    [[{ amount: "3" }], "20", "23"],
    [[{ amount: "3" }, { millionths: 100_000n }], "20", "22"],
    [[{ millionths: 1_000_000n }], "20", "40"],
    // However large the fixed amount, twice what is due is the most that pays.
    [[{ amount: "100" }], "20", "40"],
  ])("%p: of a payment for %p up to %p pays", (bounds, due, most) => {
    expect(maxPaymentFor(bounds, units(due), 6)).toBe(units(most));
  });
});

describe("addresses", () => {
  const usdt = "0xdAC17F958D2ee523a2206206994597C13D831ec7";
  test.each<[ChainId, string, string | null]>([
    ["eth", usdt, usdt],
    ["eth", usdt.toLowerCase(), usdt],
    ["eth", `0x${usdt.slice(2).toUpperCase()}`, usdt],
    ["eth", usdt.replace("dAC", "DaC"), null],
    ["eth", usdt.slice(0, -1), null],
    ["eth", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", null],
    ["tron", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"],
    ["tron", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6T", null],
    ["tron", "41a614f803b6fd780986a42c78ec9c7f77e6ded13c", null],
    ["tron", usdt, null],
  ])("on %s %s is %p", (chain, text, canonical) => {
    expect(canonicalAddress(chain, text)).toBe(canonical);
  });

  test("an address that is valid anywhere is taken without a chain", () => {
    expect(canonicalAnywhere(usdt.toLowerCase())).toBe(usdt);
    expect(canonicalAnywhere("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t")).toBe("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t");
    expect(canonicalAnywhere("nobody")).toBe(null);
  });

  test.each([
    ["TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "0xa614f803b6fd780986a42c78ec9c7f77e6ded13c"],
    // Sender and receiver of a recorded transfer.
    ["TV6MuMXfmLbBqPZvBHdwFsDnQeVfnmiuSi", "0xd1c4bb7b2f39aba5707711719b2236b5b605af2e"],
    ["TGERR6fGRDy6YgXjsmr3TFC6gGR482sciP", "0x44b15b720fa32cf156dd010b0b41b713347a3548"],
    ["T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb", `0x${"0".repeat(40)}`],
  ])("%s is %s on Tron's wire, and back", (address, bytes) => {
    expect(tronBytes(address)).toBe(bytes);
    expect(tronAddress(bytes)).toBe(address);
    expect(tronAddress(`0x${bytes.slice(2).toUpperCase()}`)).toBe(address);
    expect(canonicalAddress("tron", address)).toBe(address);
  });

  test("what is no address is not converted", () => {
    const wrong = ["0xdAC17F958D2ee523a2206206994597C13D831ec7", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6T", ""];
    for (const text of wrong) expect(() => tronBytes(text)).toThrow(TypeError);
    for (const text of ["0x12", "41a614f803b6fd780986a42c78ec9c7f77e6ded13c", ""]) {
      expect(() => tronAddress(text)).toThrow(TypeError);
    }
  });

  test("a transaction's hash has one spelling per chain, whichever is given", () => {
    const digits = "ab".repeat(32);
    for (const text of [digits, `0x${digits}`, `0X${digits.toUpperCase()}`]) {
      expect(hashInText(text)?.replace("0x", "")).toBe(digits);
      expect(canonicalTxHash("eth", text)).toBe(`0x${digits}`);
      expect(canonicalTxHash("tron", text)).toBe(digits);
    }
    for (const text of ["", "0x", digits.slice(1), `${digits}0`, ` ${digits}`]) {
      expect(canonicalTxHash("tron", text)).toBeNull();
    }
  });
});

describe("assets", () => {
  test("chains have the names that others register them under", () => {
    expect([registeredName("eth"), registeredName("base"), registeredName("tron")]).toEqual([
      "eip155:1",
      "eip155:8453",
      "tron:0x2b6653dc",
    ]);
  });

  test.each(chainIds.map((chain) => [chain]))(
    "%s: addresses are canonical, distinct, and one coin has one precision",
    (chain) => {
      const rows = tokens[chain];
      for (const token of rows) expect(canonicalAddress(chain, token.address)).toBe(token.address);
      expect(new Set(rows.map((token) => token.address)).size).toBe(rows.length);
      for (const coin of coins) {
        const precisions = rows.filter((token) => token.coin === coin).map((token) => token.decimals);
        expect(new Set(precisions).size).toBeLessThanOrEqual(1);
      }
      expect(chainFacts[chain].finality.at(-1)?.up_to).toBe(null);
    },
  );
});

test("a page of logs covers about half an hour of a chain, within what most providers serve", () => {
  expect(Object.fromEntries(chainIds.map((chain) => [chain, chainFacts[chain].page_blocks]))).toMatchObject({
    ...{ eth: 1000, polygon: 1000, base: 5000, arb: 5000, op: 1000, linea: 1000, avaxc: 1177, tron: 1000 },
  });
});

test("contracts that few wallets expect are offered on request only", () => {
  const asked = chainIds.flatMap((chain) =>
    tokens[chain].filter((token) => token.on_request).map((token) => `${token.coin} on ${chain}`),
  );
  expect(asked).toEqual(["USDT on base", "USDC on tron"]);
});

test("a stretch of one block is not narrowed any further", () => {
  const middle = (from: number, to: number) =>
    middleBlock({ from: { block: from, units: 0n }, to: { block: to, units: 1n }, difference: 1n });
  expect([middle(7, 8), middle(7, 9), middle(7, 10)]).toEqual([null, 8, 8]);
});

test("what looks like a known address is ignored below one coin, and shown from one coin on", () => {
  const amounts = ["0.999999", "1", "1.000001"];
  expect(amounts.map((amount) => isIgnored({ reason: "lookalike", amount }))).toEqual([true, false, false]);
  expect(isIgnored({ reason: "dust", amount: "0.01" })).toBe(true);
  expect(isIgnored({ reason: "short", amount: "0.5" })).toBe(false);
});

describe("two finalities together ask for all that either asks for:", () => {
  const pairs: [one: string, other: string, both: string][] = [
    ["12", "64", "64"],
    ["12", "finalized", "finalized+12"],
    ["safe", "finalized", "finalized"],
    ["finalized+64", "safe+10", "finalized+64"],
    ["10", "safe", "safe+10"],
    ["finalized", "finalized", "finalized"],
  ];
  test.each(pairs)("%s and %s is %s", (one, other, both) => {
    expect(formatFinality(combineFinalities(parseFinality(one), parseFinality(other)))).toBe(both);
    expect(formatFinality(combineFinalities(parseFinality(other), parseFinality(one)))).toBe(both);
  });
});

describe("finality", () => {
  const block = (number: number) => ({ number, hash: `h${number}`, time: number });
  const heads: Heads = { latest: block(100), safe: block(90), finalized: block(80) };
  test.each<[Finality, Heads, number]>([
    [{ blocks: 1 }, heads, 100],
    [{ blocks: 12 }, heads, 89],
    [{ tag: "finalized" }, heads, 80],
    [{ tag: "safe" }, heads, 90],
    [{ tag: "finalized", blocks: 64 }, heads, 37],
    [{ tag: "safe", blocks: 5 }, heads, 90],
    [{ tag: "finalized" }, { ...heads, finalized: null }, 81],
    [{ blocks: 200 }, heads, -99],
    [{ seconds: 10 }, heads, 80],
    [{ blocks: 12, seconds: 10 }, heads, 80],
    [{ blocks: 30, seconds: 10 }, heads, 71],
    [{ tag: "finalized", blocks: 5, seconds: 5 }, heads, 80],
    [{ tag: "finalized", blocks: 5, seconds: 60 }, heads, -20],
  ])("%p is met up to the block", (finality, at, number) => {
    expect(finalBlock(finality, at, { tagless_depth: 20, block_s: 0.5 })).toBe(number);
    expect(parseFinality(formatFinality(finality))).toEqual(finality);
  });

  test.each<[Finality, Heads, { number: number; hash: string | null }]>([
    [{ blocks: 1 }, heads, { number: 50, hash: null }],
    [{ blocks: 12, seconds: 10 }, heads, { number: 61, hash: null }],
    [{ tag: "finalized", blocks: 12 }, heads, heads.finalized ?? block(0)],
    [
      { tag: "finalized", blocks: 12 },
      { ...heads, finalized: null },
      { number: 69, hash: null },
    ],
  ])("%p of block 50 is witnessed by a block", (finality, at, witness) => {
    expect(provingBlock(finality, 50, at, { tagless_depth: 20 })).toMatchObject(witness);
  });

  test("all parts must hold: of blocks that share one time, those that are too young by time or by number do not count", () => {
    const at = (number: number, time: number) => ({ number, hash: `h${number}`, time });
    // Five blocks a second, as on Base.
    const fast: Heads = { latest: at(1000, 200), safe: null, finalized: null };
    const reach = (finality: Finality) => finalReach(finality, fast, chainFacts.base);
    expect(reach({ blocks: 10 })).toEqual({ number: 991, time: 200 });
    expect(reach({ blocks: 10, seconds: 20 })).toEqual({ number: 991, time: 180 });
    expect(reach({ tag: "finalized" })).toEqual({ number: 1001 - 3000, time: 200 });
  });

  test("each part of a policy may stand alone, and what was written before seconds existed means the same", () => {
    expect(
      ["12", "finalized", "finalized+64", "20s", "10+20s", "safe+20s", "finalized+64+20s"].map(parseFinality),
    ).toEqual([
      { blocks: 12 },
      { tag: "finalized" },
      { tag: "finalized", blocks: 64 },
      { seconds: 20 },
      { blocks: 10, seconds: 20 },
      { tag: "safe", seconds: 20 },
      { tag: "finalized", blocks: 64, seconds: 20 },
    ]);
  });

  test("depths hold in blocks and in seconds: a faster chain is read deeper", () => {
    expect(chainFacts.base).toMatchObject({ tagless_depth: 3000, overlap: 150, page_blocks: 5000, block_s: 0.2 });
    expect(chainFacts.eth).toMatchObject({ tagless_depth: 96, overlap: 14, page_blocks: 1000, block_s: 12 });
    expect(atPace(chainFacts.op, 0.2)).toMatchObject({
      tagless_depth: 3000,
      overlap: 150,
      page_blocks: 5000,
      block_s: 0.2,
    });
    expect(atPace(chainFacts.base, 2)).toMatchObject({ tagless_depth: 300, overlap: 15, page_blocks: 1000 });
    for (const id of chainIds) {
      const { least, usual, most } = chainFacts[id].seconds_per_block;
      expect([id, least < usual, usual < most]).toEqual([id, true, true]);
    }
  });

  test("a tag that is staler than the chain allows gives way to depth, and is waited for elsewhere", () => {
    const at = (number: number, time: number) => ({ number, hash: `h${number}`, time });
    const stale: Heads = { latest: at(100, 1000), safe: at(95, 980), finalized: at(90, 939) };
    expect(withoutStaleTags(stale, 60)).toEqual({ ...stale, finalized: null });
    expect(withoutStaleTags(stale, 61)).toEqual(stale);
    expect(withoutStaleTags(stale, 10)).toEqual({ ...stale, safe: null, finalized: null });
    expect(withoutStaleTags(stale, null)).toEqual(stale);
  });

  test("the tier is found by exact comparison of amounts", () => {
    const tiers = chainFacts.eth.finality;
    expect(finalityFor("1000", tiers)).toEqual({ blocks: 12, seconds: 120 });
    expect(finalityFor("1000.000001", tiers)).toEqual({ tag: "finalized" });
  });
});

describe("the life of an order", () => {
  const expected = {
    pending: ["paid", "paid", "cancelled", "expired"],
    paid: ["refuse", "same", "refuse", "refuse"],
    expired: ["refuse", "paid", "refuse", "refuse"],
    cancelled: ["refuse", "paid", "refuse", "refuse"],
  } as const;
  for (const status of orderStatuses) {
    for (const [index, command] of orderCommands.entries()) {
      const outcome = expected[status][index];
      test(`${command} makes a ${status} order: ${outcome}`, () => {
        expect<string | undefined>(transition(status, command)).toBe(outcome);
      });
    }
  }
});

test("a delivery is tried 13 times on the promised schedule", () => {
  expect(retry_delays_s).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048]);
  expect(retryDelay(1)).toBe(1000);
  expect(retryDelay(12)).toBe(2_048_000);
  expect(retryDelay(13)).toBe(null);
});

test("a proof is tried as quickly at first, then every hour until three days are over", () => {
  const delays_s = Array.from({ length: 84 }, (_, failed) => (proofRetryDelay(failed + 1) ?? Number.NaN) / 1000);
  expect(delays_s).toEqual([...retry_delays_s, ...Array<number>(71).fill(3600), Number.NaN]);
});

test("webhooks state the second that has begun", () => {
  const transfer = {
    ...{ id: 7, chain: "eth", label: "USDT", amount: "5", tx_hash: "t", sender: "s", wallet: "w" },
    ...{ likely_order: null, order_id: null },
  };
  const order = { id: "o", merchant_order_id: "m", status: "paid", amount: "5" };
  const restored = { generation: 2, last_in_copy: 5, last_given_out: null };
  const bodies = [
    orderStatusBody(order, 1_711_900_800_999),
    unknownTransferBody(transfer, 1_711_900_800_999),
    paymentRevertedBody(transfer, 1_711_900_800_999),
    logRestoredBody(restored, 1_711_900_800_999),
  ];
  expect(bodies.map((body) => (JSON.parse(body) as { timestamp: number }).timestamp)).toEqual(
    Array(4).fill(1_711_900_800),
  );
});

describe("the second reading of a transfer", () => {
  const log = { token: "T", sender: "S", wallet: "W", units: 5n };
  const transfer: Transfer = {
    ...log,
    chain: "eth",
    tx_hash: "x",
    log_index: 9,
    position: 1,
    block: { number: 10, hash: "a", time: 1 },
  };
  const receipt: Receipt = {
    tx_hash: "x",
    success: true,
    block: { number: 10, hash: "a" },
    logs: [
      { log_index: 8, transfer: null },
      { log_index: 9, transfer: log },
    ],
  };
  const header = { number: 10, hash: "a", time: 1 };
  const rows: [what: string, receipt: Receipt | null, header: typeof header | null, verdict: unknown][] = [
    ["success, canonical, the same log", receipt, header, "confirmed"],
    ["the header is missing", receipt, null, "unclear"],
    ["not mined, and its block is gone", null, { ...header, hash: "b" }, "gone"],
    ["not mined, but its block stands: the provider contradicts itself", null, header, "unclear"],
    [
      "mined elsewhere, and its block is gone",
      { ...receipt, block: { number: 11, hash: "c" } },
      { ...header, hash: "b" },
      { moved: { number: 11, hash: "c" } },
    ],
    ["mined elsewhere, but its block stands", { ...receipt, block: { number: 11, hash: "c" } }, header, "unclear"],
    ["its block is not canonical", receipt, { ...header, hash: "b" }, "unclear"],
    ["it failed", { ...receipt, success: false }, header, "gone"],
    [
      "the log has another amount",
      { ...receipt, logs: [receipt.logs[0], { log_index: 9, transfer: { ...log, units: 4n } }] as never },
      header,
      "gone",
    ],
    ["the log is missing", { ...receipt, logs: [] }, header, "gone"],
  ];
  test.each(rows)("%s", (_what, receipt, header, verdict) => {
    expect<unknown>(judgeReceipt(transfer, receipt, header)).toEqual(verdict);
  });
});

describe("coverage", () => {
  const piece = (from: number, to: number, provider = "A"): Interval => ({
    from,
    to,
    hash: `${provider}${to}`,
    time: to,
    provider,
  });

  test("a range that touches its neighbour of the same provider grows it", () => {
    expect(extend([piece(1, 10)], piece(8, 15))).toEqual([piece(1, 15)]);
    expect(extend([piece(1, 10)], piece(11, 15))).toEqual([piece(1, 15)]);
    expect(extend([piece(1, 10)], piece(3, 5))).toEqual([piece(1, 10)]);
  });

  test("another provider's range stays beside, cut where it was taken over", () => {
    expect(extend([piece(1, 10)], piece(8, 15, "B"))).toEqual([
      { from: 1, to: 7, hash: null, time: null, provider: "A" },
      piece(8, 15, "B"),
    ]);
    expect(extend([piece(1, 10)], piece(11, 15, "B"))).toEqual([piece(1, 10), piece(11, 15, "B")]);
  });

  test("what is covered from a block on is the unbroken stretch", () => {
    const known = [piece(1, 10), piece(11, 20, "B"), piece(25, 30)];
    expect(coveredThrough(known, 5)?.to).toBe(20);
    expect(coveredThrough(known, 21)).toBe(null);
    expect(coveredThrough(known, 26)?.to).toBe(30);
    expect(gaps(known, 0, 40)).toEqual([
      { from: 0, to: 0 },
      { from: 21, to: 24 },
      { from: 31, to: 40 },
    ]);
  });

  test("what is covered from a block on may come from intervals that overlap, in any order", () => {
    expect(coveredThrough([piece(5, 10, "B"), piece(1, 30)], 1)?.to).toBe(30);
    expect(coveredThrough([piece(11, 20), piece(1, 10)], 1)?.to).toBe(20);
  });

  test("an interval contains its first and its last block", () => {
    const known = [piece(1, 10), piece(12, 20)];
    const ends = [0, 1, 10, 11, 12, 20, 21].map((block) => intervalAt(known, block)?.to ?? null);
    expect(ends).toEqual([null, 10, 10, null, 20, 20, null]);
  });

  test("taking back leaves nothing above", () => {
    expect(cutAbove([piece(1, 10), piece(11, 20)], 14)).toEqual([
      piece(1, 10),
      { from: 11, to: 14, hash: null, time: null, provider: "A" },
    ]);
  });

  test("random sequences agree with a set of block numbers", () => {
    let state = 20261121;
    const random = (below: number) => {
      state = (state * 1103515245 + 12345) % 2147483648;
      return state % below;
    };
    for (let round = 0; round < 300; round++) {
      let known: Interval[] = [];
      let blocks = new Set<number>();
      for (let step = 0; step < 20; step++) {
        if (random(6) === 0) {
          const top = random(60);
          known = cutAbove(known, top);
          blocks = new Set([...blocks].filter((block) => block <= top));
        } else {
          const from = random(60);
          const to = from + random(12);
          known = extend(known, piece(from, to, random(2) === 0 ? "A" : "B"));
          for (let block = from; block <= to; block++) blocks.add(block);
        }
        const covered = new Set<number>();
        for (const interval of known) {
          for (let block = interval.from; block <= interval.to; block++) {
            expect(covered.has(block)).toBe(false);
            covered.add(block);
          }
        }
        expect([...covered].sort((a, b) => a - b)).toEqual([...blocks].sort((a, b) => a - b));
        const missing = gaps(known, 0, 80).flatMap(({ from, to }) =>
          Array.from({ length: to - from + 1 }, (_, i) => from + i),
        );
        expect(missing.some((block) => blocks.has(block))).toBe(false);
        expect(missing.length + blocks.size).toBe(81);
      }
    }
  });

  test("ranges join where they touch", () => {
    expect(
      union([
        { from: 5, to: 6 },
        { from: 1, to: 3 },
        { from: 4, to: 4 },
        { from: 9, to: 9 },
      ]),
    ).toEqual([
      { from: 1, to: 6 },
      { from: 9, to: 9 },
    ]);
  });

  const base = { head: 100, first: 0, overlap: 10, page: 50 };
  const plans: [what: string, input: Partial<Parameters<typeof plan>[0]>, ranges: [number, number][]][] = [
    ["new blocks and the overlap below them", { missing: [{ from: 96, to: 100 }] }, [[86, 100]]],
    ["nothing new: the overlap again", { missing: [] }, [[91, 100]]],
    ["never below the first watch", { missing: [{ from: 96, to: 100 }], first: 92 }, [[92, 100]]],
    ["the very first poll", { missing: [{ from: 40, to: 100 }], first: 40, page: 1000 }, [[40, 100]]],
    [
      "after an outage the newest page first",
      { missing: [{ from: 20, to: 100 }] },
      [
        [51, 100],
        [10, 50],
      ],
    ],
    [
      "an older hole is read as well",
      {
        missing: [
          { from: 30, to: 40 },
          { from: 96, to: 100 },
        ],
      },
      [
        [86, 100],
        [30, 40],
      ],
    ],
    [
      "a long outage and an older hole: the hole last",
      {
        missing: [
          { from: 5, to: 9 },
          { from: 20, to: 100 },
        ],
      },
      [
        [51, 100],
        [10, 50],
        [5, 9],
      ],
    ],
    [
      "a provider of a few blocks a call: what is missing first, then the overlap, then holes",
      {
        missing: [
          { from: 5, to: 9 },
          { from: 91, to: 100 },
        ],
        overlap: 60,
        page: 5,
      },
      [
        [96, 100],
        [91, 95],
        [51, 90],
        [5, 9],
      ],
    ],
    ["a head below what is covered", { missing: [], head: 90 }, [[81, 90]]],
  ];
  test.each(plans)("a poll reads: %s", (_what, input, ranges) => {
    expect(plan({ ...base, missing: [], ...input }).map(({ from, to }) => [from, to])).toEqual(ranges as number[][]);
  });
});
