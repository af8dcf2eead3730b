import { describe, expect, test } from "bun:test";
import { providerUrl } from "../../src/chains/rpc/provider-url.ts";
import { fewerCalls, narrowedRange, type RefusalKind, readRefusal } from "../../src/chains/rpc/refusals.ts";
import recorded from "../support/recorded-refusals.json";

const asked = 1000;

// HTTP status, error as answered, what it means, and how many of 1,000 blocks are asked for next.
const rows: [number, unknown, RefusalKind, number?][] = [
  [
    400,
    said(-32600, "requests with up to a 10 block range. This block range should work: [0x118, 0x121]"),
    "range",
    10,
  ],
  [400, said(-32602, "up to a 2K block range. Based on your parameters, this should work: [0x0, 0xc7]"), "range", 200],
  [
    200,
    said(-32005, "query returned more than 10000 results", { from: "0x64", limit: 10000, to: "0x77" }),
    "range",
    20,
  ],
  [200, said(-32602, "invalid params", "Query returned more than 50000 results. Try [0x64, 0x77]."), "range", 20],
  [200, said(-32602, "range 1000 exceeds limit of 900"), "range", 900],
  [200, said(-32602, "Invalid params", "requested block range 1000 exceeds the limit of 200; narrow it"), "range", 200],
  [413, said(-32614, "eth_getLogs is limited to a 10,000 range"), "range", 500],
  [413, said(-32615, "eth_getLogs is limited to a 5 range, upgrade from discover plan"), "range", 5],
  [413, null, "range", 500],
  [200, said(35, "ranges over 800 blocks are not supported on freetier"), "range", 800],
  [200, said(35, "ranges over 800 blocks are not supported on free plan"), "range", 800],
  [200, said(-32701, "exceed maximum block range: 999"), "range", 999],
  [200, said(-32602, "query exceeds max block range 100"), "range", 100],
  [200, said(-32602, "query exceeds range, retry smaller (max block range 500, got 1000)"), "range", 500],
  [200, said(-32602, "query exceeds max results 20000, retry with the range 100-149"), "range", 50],
  [200, said(-32602, "query exceeds max results 20000, retry with the range 100-1099"), "range", 500],
  [200, said(-32047, "'fromBlock'-'toBlock' range too large. Max range: 800"), "range", 800],
  [200, said(-32602, "eth_getLogs is limited to 0 - 50 blocks range"), "range", 50],
  [200, said(-32000, "requested too many blocks from 100 to 1100, maximum is set to 512"), "range", 512],
  [200, said(-32000, "logs matched by query exceeds limit of 100"), "range", 500],
  [200, said(-32602, "invalid params", "range 1000 is bigger than range limit 200"), "range", 200],
  [200, said(-32602, "block range greater than 900 max"), "range", 900],
  [200, said(-32000, "maximum [from, to] blocks distance: 200"), "range", 200],
  [200, said(-32000, "too wide blocks range, the limit is 100"), "range", 100],
  [200, said(-32005, "Requested range exceeds maximum RPC range limit"), "range", 500],
  [200, said(-32005, "limit exceeded"), "range", 500],
  [200, said(-32600, "block range is too wide"), "range", 500],
  [200, said(-32000, "Block range is too large"), "range", 500],
  [200, said(-32020, "backend response too large"), "range", 500],
  [200, said(-32000, "query returned more than allowed number of logs, try with smaller block range"), "range", 500],

  [200, said(-32602, "Archive requests require a personal token"), "archive"],
  [200, said(-32000, "missing trie node 0a1b"), "archive"],
  [200, said(-32000, "historical state 0a1b is not available"), "archive"],
  [200, said(-32000, "old data not available due to pruning"), "archive"],
  [200, said(-32002, "No state available for block 50000000"), "archive"],
  [200, said(-32000, "World state unavailable"), "archive"],
  [200, said(4444, "state at block #50000000 is pruned"), "archive"],

  [429, "Too Many Requests", "rate"],
  [429, said(-32600, "block range is too wide"), "rate"],
  [200, said(-32007, "15/second request limit reached - reduce calls per second"), "rate"],
  [200, said(-32005, "daily request count exceeded, request rate limited"), "rate"],
  [200, said(429, "Your app has exceeded its compute units per second capacity"), "rate"],
  [200, said(-32005, "project ID request rate exceeded: rate limit"), "rate"],
  [200, { Error: "class org.tron.core.services.http: lack of computing resources" }, "rate"],
  [403, "The key exceeds the frequency limit(15), and the query server is suspended for 30s", "rate"],

  [200, said(-32602, "block range extends beyond current head block"), "lagging"],
  [200, said(-32000, "requested from block 50000100 after last accepted block 50000000"), "lagging"],
  [200, said(-32000, "requested to block 50000100 after last accepted block 50000000"), "lagging"],
  [200, said(-32602, "BlockOutOfRangeError: block height is 10 but requested was 99"), "lagging"],
  [200, said(-32000, "unknown block"), "lagging"],

  [200, said(-32602, "exceed max addresses or topics per search position"), "filters"],
  [200, said(-32602, "This query contains 6000 filters. The current limit is 5000."), "filters"],
  [200, said(-32602, "exceed max addresses: 1000"), "filters"],
  [200, said(-32602, "exceed max topics: 1000"), "filters"],
  [500, said(31, "Batch of more than 3 requests are not allowed on free plan"), "batch"],

  [200, said(-32000, "finalized block not found"), "tag"],
  [200, said(-32602, "TAG safe not supported"), "tag"],
  [200, said(-32602, "invalid argument 0: hex string without 0x prefix"), "tag"],

  [200, said(-32000, "Unauthorized: You must authenticate your request with an API key."), "key"],
  [401, said(-32600, "Must be authenticated!"), "key"],
  [401, "invalid project id", "key"],
  [403, said(-32052, "API key is not allowed to access blockchain"), "key"],
  [403, null, "key"],
  [200, said(-32000, "tenant disabled"), "key"],
  [200, said(-32000, "Invalid API Key"), "key"],
  [403, said(-32602, "Archive requests require a personal token"), "archive"],

  [503, said(-32011, "no backend is currently healthy to serve traffic"), "other"],
  [503, null, "other"],
  [200, null, "other"],
];

function said(code: number, message: string, data?: unknown) {
  return data === undefined ? { code, message } : { code, message, data };
}

function words(error: unknown): string {
  return typeof error === "string" ? error : JSON.stringify(error);
}

describe("what a refusal means", () => {
  for (const [status, error, kind, blocks] of rows) {
    test(`HTTP ${status} ${words(error)} is ${kind}${blocks ? `, then ${blocks} blocks` : ""}`, () => {
      const refusal = readRefusal({ status, error });
      expect(refusal.kind).toBe(kind);
      if (blocks !== undefined) expect(narrowedRange(refusal.text, asked)?.blocks).toBe(blocks);
    });
  }

  test("a single block that is refused cannot be narrowed", () => {
    expect(narrowedRange("block range is too wide", 1)).toBeNull();
  });

  test("a suggestion as wide as the request is no progress and is ignored", () => {
    expect(narrowedRange("this block range should work: [0x0, 0x3e7]", 1000)).toEqual({ blocks: 500, stated: false });
  });

  test("a suggestion written backwards still counts by its width", () => {
    expect(narrowedRange("this block range should work: [0x64, 0x5b]", 1000)).toEqual({ blocks: 10, stated: true });
  });

  test("a refused batch is cut to the number the provider states, else in half", () => {
    expect(fewerCalls("batch of more than 3 requests are not allowed", 20)).toBe(3);
    expect(fewerCalls("batch too large", 20)).toBe(10);
    expect(fewerCalls("batch too large", 1)).toBeNull();
  });
});

describe("refusals recorded from live providers", () => {
  for (const { from, status, kind, error } of recorded) {
    test(`${from} ${words(error)} is ${kind}`, () => {
      const refusal = readRefusal({ status, error });
      expect(refusal.kind).toBe(kind as RefusalKind);
      if (kind !== "range") return;
      const wide = 0x2000000;
      const blocks = narrowedRange(refusal.text, wide)?.blocks ?? 0;
      expect(blocks).toBeGreaterThan(0);
      expect(blocks).toBeLessThan(wide);
    });
  }
});

describe("what of a provider's words may be shown", () => {
  const url = providerUrl("https://merchant:s3cr3t%21pw@rpc.example.com:8443/v2/AbCdEf0123456789?apikey=QUERYKEY99");

  test("the name is host and port", () => {
    expect(url.host).toBe("rpc.example.com:8443");
  });

  for (const text of [
    "unknown key AbCdEf0123456789",
    "unknown key abcdef0123456789 (lower-cased)",
    "POST /v2/AbCdEf0123456789?apikey=QUERYKEY99 failed",
    "see https://rpc.example.com:8443/v2/AbCdEf0123456789",
    "merchant:s3cr3t!pw is not welcome, nor s3cr3t%21pw",
    `Basic ${btoa("merchant:s3cr3t!pw")}`,
    "wss://rpc.example.com/AbCdEf0123456789",
  ]) {
    test(`no key is left in: ${text}`, () => {
      const shown = url.redact(text);
      for (const secret of ["abcdef", "querykey", "s3cr3t", btoa("merchant:s3cr3t!pw"), "://"]) {
        expect(shown.toLowerCase()).not.toContain(secret.toLowerCase());
      }
    });
  }

  test("nor one that is the whole query, nor as it is spelled in the address", () => {
    const shown = (address: string) => providerUrl(address).redact(`no route POST ${address.slice(19)}`);
    expect(shown("https://rpc.example/?abcdef123456")).not.toContain("abcdef123456");
    expect(shown("https://rpc.example/?apikey=abcd%2Befgh%3D")).not.toContain("efgh");
  });

  test("what is shown is one line of at most 200 characters", () => {
    const shown = url.redact(`first\nsecond ${"x".repeat(500)}`);
    expect(shown).toStartWith("first second x");
    expect(shown.length).toBeLessThanOrEqual(202);
  });
});
