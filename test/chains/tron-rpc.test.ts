// What is Tron's own way to answer JSON-RPC, and what is made of it. What every source promises is in
// adapter-contract.test.ts.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { LogQuery, Source } from "../../src/chains/source.ts";
import { createTronSource } from "../../src/chains/tron/tron-dialect.ts";
import { tronAddress } from "../../src/domain/address.ts";
import { chainFacts } from "../../src/domain/assets.ts";
import { errorCode } from "../../src/domain/errors.ts";
import { createOutbound } from "../../src/outbound.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld } from "../../src/world.ts";
import { accounts, type Coin, deployCoin, mined } from "../support/coin.ts";
import { alteringLogs, type Behaviour, filterOf, startProviderProxy } from "../support/provider-proxy.ts";
import { startTronEmulator, type TronEmulator } from "../support/tron-emulator.ts";
import recorded from "../support/tron-recorded.json";

const [, payer, shop] = accounts;
const { chain_id } = chainFacts.tron;

let tron: TronEmulator;
let usdt: Coin;
let payment: string;
let head: number;

beforeAll(async () => {
  tron = await startTronEmulator();
  usdt = await deployCoin(tron.anvil, 6, "USDT");
  await usdt.mint(payer, 10n ** 12n);
  payment = await usdt.transfer(payer, shop, 19_900_000n);
  await tron.anvil.rpc("anvil_mine", ["0x78"]);
  head = Number(await tron.anvil.rpc("eth_blockNumber"));
});

afterEach(() => tron.reset());

afterAll(() => tron.stop());

function source(url = tron.rpc_url, page_blocks = 1000): Source {
  const world = { ...realWorld(), warn: () => {} };
  const needs = { world, outbound: createOutbound({ world }), telemetry: createTelemetry(world) };
  return createTronSource({ chain: "tron", chain_id, url, page_blocks, ...needs });
}

function question(changed: Partial<LogQuery> = {}): LogQuery {
  return {
    from: 1,
    to: 100,
    wallets: [tronAddress(shop)],
    tokens: [tronAddress(usdt.address)],
    mark: null,
    ...changed,
  };
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => ({ code: "none" }),
    (error: { retry_after_s?: number }) => ({ code: errorCode(error), retry_after_s: error.retry_after_s }),
  );

describe("a Tron node's JSON-RPC", () => {
  test("is asked in 20-byte addresses and answers in base58, with bare hashes", async () => {
    const seen: string[] = [];
    tron.behave({
      refuse(call) {
        const filter = filterOf(call);
        if (filter !== null) seen.push(...filter.address, ...filter.topics[2]);
        return null;
      },
    });
    const { transferLogs } = await source().read(question());
    expect(seen).toEqual([usdt.address, `0x${shop.slice(2).toLowerCase().padStart(64, "0")}`]);
    expect(transferLogs).toMatchObject([
      { sender: tronAddress(payer), wallet: tronAddress(shop), tx_hash: payment.slice(2), units: 19_900_000n },
    ]);
    const [receipt] = await source().receipts([payment.slice(2)]);
    expect(receipt).toMatchObject({ tx_hash: payment.slice(2), success: true });
    // The other spelling of the same hash is understood.
    expect(await source().receipts([payment])).toEqual([receipt ?? null]);
  });

  test("has no safe block, and its finalized one is the solidified one", async () => {
    const heads = await source().heads(["safe", "finalized"]);
    expect([heads.latest.number, heads.safe, heads.finalized?.number]).toEqual([head, null, head - 18]);
  });

  test("refuses more blocks at once than its limit, and is asked for fewer from then on", async () => {
    tron.capRange(50);
    const one = source(tron.rpc_url, 10_000);
    expect((await one.read(question({ to: head }))).to).toBe(50);
    expect(one.reports()[0]).toMatchObject({ learned_range: 50, failures: 0 });
  });

  test("states times of other blocks in its logs: the header's counts", async () => {
    const honest = await source().read(question());
    const earlier = `0x${((honest.transferLogs[0]?.block.time ?? 0) - 60).toString(16)}`;
    tron.behave(alteringLogs((logs) => logs.map((log) => ({ ...log, blockTimestamp: earlier }))));
    expect((await source().read(question())).transferLogs).toEqual(honest.transferLogs);
  });

  test("says that it is short of resources with HTTP 200 and no envelope: that is throttling", async () => {
    tron.throttle();
    for (const asked of [source().heads([]), source().read(question()), source().receipts([payment])]) {
      expect(await failure(asked)).toMatchObject({ code: "provider_rate_limited" });
    }
  });

  test("shuts a key out for half a minute, and says so: that is the wait", async () => {
    tron.suspend();
    expect(await failure(source().heads([]))).toEqual({ code: "provider_rate_limited", retry_after_s: 30 });
  });

  test("knows balances of its newest block alone: they are read again when a block comes between", async () => {
    const holding = { wallet: tronAddress(shop), token: tronAddress(usdt.address) };
    let between = 1;
    const coming: Behaviour = {
      batch: (list) => {
        const last = list.length - 1;
        const moved = { hash: `0x${"ab".repeat(32)}`, number: "0x1fff", timestamp: "0x1" };
        return between-- > 0 ? list.map((one, i) => (i === last ? { ...one, result: moved } : one)) : list;
      },
    };
    const one = source();
    await one.heads([]);
    tron.reset();
    tron.behave(coming);
    expect(await one.balances([holding], head - 3, true)).toMatchObject({
      block: { number: head },
      units: [19_900_000n],
    });
    expect(tron.requests()).toBe(2);
    between = 3;
    expect(await failure(one.balances([holding], head - 3, true))).toMatchObject({ code: "provider_lagging" });
    expect(await failure(one.balances([holding], head - 3))).toMatchObject({ code: "provider_cannot_answer" });
  });

  test("keeps the logs of a transaction that failed: the receipt tells", async () => {
    tron.fail(payment);
    expect((await source().read(question())).transferLogs).toHaveLength(1);
    const [receipt] = await source().receipts([payment]);
    expect([receipt?.success, receipt?.logs.length]).toEqual([false, 1]);
  });
});

describe("recorded answers of live nodes", () => {
  test("a transfer of USDT on the main chain is read whole", async () => {
    const { log, sender, wallet } = recorded.mainnet_usdt;
    const node = startProviderProxy(null);
    const header = { number: log.blockNumber, hash: log.blockHash, timestamp: "0x6204d7b5" };
    const results: Record<string, unknown> = {
      eth_chainId: "0x2b6653dc",
      eth_getBlockByNumber: header,
      eth_getLogs: [log],
    };
    node.behave({ alter: (call, envelope) => ({ ...envelope, result: results[call.method] }) });
    const block = Number(log.blockNumber);
    const token = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t";
    const answer = await source(node.url).read({
      from: block,
      to: block,
      wallets: [wallet],
      tokens: [token],
      mark: null,
    });
    await node.stop();
    expect(answer.transferLogs).toEqual([
      {
        chain: "tron",
        token,
        sender,
        wallet,
        units: 1_979_819_200n,
        tx_hash: log.transactionHash.slice(2),
        log_index: 58,
        block: { number: block, hash: log.blockHash.slice(2), time: 0x6204d7b5 },
      },
    ]);
  });

  test("a block and a receipt of the test network are read, their addresses and hashes in Tron's spelling", async () => {
    const node = startProviderProxy(null);
    const results: Record<string, unknown> = {
      eth_chainId: "0x2b6653dc",
      eth_getBlockByNumber: recorded.nile_block,
      eth_getTransactionReceipt: recorded.nile_receipt,
    };
    node.behave({ alter: (call, envelope) => ({ ...envelope, result: results[call.method] }) });
    const one = source(node.url);
    const { number, hash, timestamp } = recorded.nile_block;
    expect(await one.blocks([Number(number)])).toEqual([
      { number: Number(number), hash: hash.slice(2), time: Number(timestamp) },
    ]);
    const { transactionHash, blockNumber, blockHash } = recorded.nile_receipt;
    expect(await one.receipts([transactionHash.slice(2)])).toEqual([
      {
        tx_hash: transactionHash.slice(2),
        success: true,
        block: { number: Number(blockNumber), hash: blockHash.slice(2) },
        // Another event than a transfer keeps its place.
        logs: [{ log_index: 0, transfer: null }],
      },
    ]);
    await node.stop();
  });
});

test("a transaction is found in the receipt the node has of it", async () => {
  const { blockNumber } = await mined(tron.anvil, payment);
  const [receipt] = await source().receipts([payment]);
  expect(receipt?.block.number).toBe(Number(blockNumber));
});
