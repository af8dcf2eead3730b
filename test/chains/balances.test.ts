// Balances at a block and the outgoing side, as one JSON-RPC provider answers them: refusals that mean "too old", "not
// by me" and "no such thing" are told apart.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { createEvmSource } from "../../src/chains/rpc/evm-rpc.ts";
import type { Source } from "../../src/chains/source.ts";
import { errorCode } from "../../src/domain/errors.ts";
import { createOutbound } from "../../src/outbound.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld } from "../../src/world.ts";
import { type Anvil, startAnvil } from "../support/anvil.ts";
import { accounts, type Coin, deployCoin } from "../support/coin.ts";
import {
  alteringLogs,
  type ProviderProxy,
  type RpcError,
  refusing,
  startProviderProxy,
} from "../support/provider-proxy.ts";

const [, payer, shop, stranger] = accounts;
let anvil: Anvil;
let proxy: ProviderProxy;
let usdt: Coin;
let head: number;

beforeAll(async () => {
  anvil = await startAnvil({ chainId: 1 });
  usdt = await deployCoin(anvil, 6, "USDT");
  await usdt.mint(payer, 100n);
  await usdt.transfer(payer, shop, 40n);
  head = Number(await anvil.rpc("eth_blockNumber"));
  proxy = startProviderProxy(anvil.url);
});
afterEach(() => proxy.reset());
afterAll(async () => {
  await proxy.stop();
  await anvil.stop();
});

function source(): Source {
  const world = { ...realWorld(), warn: () => {} };
  const needs = { world, outbound: createOutbound({ world }), telemetry: createTelemetry(world) };
  return createEvmSource({ chain: "eth", chain_id: 1, url: `${proxy.url}/key-1234`, page_blocks: 100, ...needs });
}

const held = (wallet: string) => ({ wallet, token: usdt.address });
const failure = (asked: Promise<unknown>) =>
  asked.then(
    () => "no failure",
    (error) => errorCode(error),
  );

describe("balances", () => {
  test("come with the header of their block in one request", async () => {
    const one = source();
    const { block, units } = await one.balances([held(shop), held(payer), held(stranger)], head);
    expect([block.number, ...units]).toEqual([head, 40n, 60n, 0n]);
    expect(proxy.requests()).toBe(1);
  });

  const refusals: [string, RpcError, string][] = [
    ["a pruned node", { code: -32000, message: "missing trie node 12ab" }, "provider_archive_only"],
    [
      "a node of the newest blocks",
      { code: -32000, message: "historical state 12ab is not available" },
      "provider_archive_only",
    ],
    [
      "a node of Tron",
      { code: -32602, message: "QUANTITY not supported, just support TAG as latest" },
      "provider_cannot_answer",
    ],
    [
      "a node without calls",
      { code: -32601, message: "the method eth_call does not exist/is not available" },
      "provider_cannot_answer",
    ],
    ["a busy node", { code: -32005, message: "rate limit" }, "provider_rate_limited"],
    ["an unwell node", { code: -32603, message: "something" }, "provider_unreachable"],
    ["a contract that reverts", { code: 3, message: "execution reverted" }, "no failure"],
  ];
  for (const [what, error, code] of refusals) {
    test(`of ${what}: ${code}`, async () => {
      proxy.behave(refusing(error, "eth_call"));
      expect(await failure(source().balances([held(shop)], head))).toBe(code);
    });
  }

  test("of a contract that reverts are null", async () => {
    proxy.behave(refusing({ code: 3, message: "execution reverted" }, "eth_call"));
    expect((await source().balances([held(shop)], head)).units).toEqual([null]);
  });
});

test("a log from a wallet that was not asked for refuses the outgoing side", async () => {
  proxy.behave(
    alteringLogs((logs) => logs.map((log) => ({ ...log, topics: log.topics.with(1, `0x${"0".repeat(64)}`) }))),
  );
  const asked = { from: 1, to: head, wallets: [payer], tokens: [usdt.address], mark: null, side: "out" } as const;
  const error = await source()
    .read(asked)
    .catch((error: unknown) => error);
  expect(errorCode(error)).toBe("provider_inconsistent");
  expect(String(error)).toContain("from a wallet that was not asked for");
});
