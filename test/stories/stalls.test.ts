// What a single provider or a single stranger's transaction does, the rest goes on: one bad receipt, block or header
// holds up nothing but itself, is named to the operator, and is read when it is served again.

import { afterEach, describe, expect, test } from "bun:test";
import { coverageOf } from "../../src/services/coverage.ts";
import { payer, type Story, type StoryOptions, startStory, stranger, usd, wallet } from "../support/chain-story.ts";
import { altering, type Behaviour, type Call, filterOf, type RawLog } from "../support/provider-proxy.ts";
import { said } from "../support/story-cli.ts";

let started: Story[] = [];
async function begin(options: StoryOptions = {}): Promise<Story> {
  const one = await startStory({ verify: "false", ...options });
  started.push(one);
  await one.poll();
  return one;
}
afterEach(async () => {
  for (const one of started) await one.stop();
  started = [];
});

interface Dust {
  tx_hash: string;
  block: number;
}

interface RawReceipt {
  status: string;
  blockHash: string;
  blockNumber: string;
  logs: RawLog[];
}

const isReceiptOf = (tx_hash: string, { method, params }: Call) =>
  method === "eth_getTransactionReceipt" && params[0] === tx_hash;
const refusingReceipt =
  (code: number, message: string) =>
  ({ tx_hash }: Dust): Behaviour => ({ refuse: (call) => (isReceiptOf(tx_hash, call) ? { code, message } : null) });
const changing =
  (change: (receipt: RawReceipt) => unknown) =>
  ({ tx_hash }: Dust): Behaviour =>
    altering<RawReceipt>("eth_getTransactionReceipt", (receipt, call) =>
      isReceiptOf(tx_hash, call) ? change(receipt) : receipt,
    );
const answeringWhole =
  (response: () => Response) =>
  ({ tx_hash }: Dust): Behaviour => ({
    request: (calls) => (calls.some((call) => isReceiptOf(tx_hash, call)) ? response() : null),
  });
const other_hash = `0x${"ab".repeat(32)}`;

/** Ways to serve no usable receipt of one transaction. */
const bad_receipts: [what: string, bad: (dust: Dust) => Behaviour][] = [
  ["refused as too large", refusingReceipt(-32008, "response too large")],
  ["refused with an internal error", refusingReceipt(-32603, "internal error")],
  ["refused in the words of a rate limit", refusingReceipt(-32005, "exceeded the compute capacity")],
  ["refused in the words of a wrong key", refusingReceipt(-32000, "access denied")],
  ["refused as too old", refusingReceipt(-32000, "missing trie node")],
  ["failing the whole request", answeringWhole(() => new Response("oops", { status: 502 }))],
  ["larger than any answer that is taken", answeringWhole(() => new Response("0".repeat(33 * 1024 * 1024)))],
  ["that makes the answer no JSON", answeringWhole(() => new Response("<html>"))],
  ["that is null for ever", changing(() => null)],
  ["of another block", changing((receipt) => ({ ...receipt, blockHash: other_hash, logs: [] }))],
  ["without its logs", changing((receipt) => ({ ...receipt, logs: [] }))],
  [
    "whose log has another index",
    changing((receipt) => ({ ...receipt, logs: receipt.logs.map((log) => ({ ...log, logIndex: "0x4d" })) })),
  ],
  ["of a failed transaction", changing((receipt) => ({ ...receipt, status: "0x0" }))],
  ["without a status", changing(({ status: _, ...receipt }) => receipt)],
];

/** An order is paid in the block in which a stranger sends one unit. */
async function paidBesideDust(story: Story): Promise<{ order: string; dust: Dust }> {
  const order = await story.order("7.00");
  await story.select(order.id);
  await story.usdt.transfer(payer, wallet, usd(7));
  const tx_hash = await story.usdt.transfer(stranger, wallet, 1n);
  await story.mine();
  const block = Number(await story.anvil.rpc("eth_blockNumber", []));
  return { order: order.id, dust: { tx_hash, block } };
}
const chainRow = (story: Story) => story.rows("SELECT * FROM chains WHERE chain = 'eth'")[0];
const gapsOf = (story: Story) =>
  story.database
    .read((at) => coverageOf(at, story.config.current()))[0]
    ?.watches[0]?.gaps.map(({ from, to }) => [from, to]);
const amounts = (story: Story) => story.transfers().map(({ amount }) => amount);

describe("one transfer of a stranger never stops a customer's payment", () => {
  for (const proxies of [1, 2]) {
    describe(`with ${proxies} providers`, () => {
      test.each(bad_receipts)("a receipt %s, when it is first read", async (_, bad) => {
        const story = await begin({ proxies });
        const { order, dust } = await paidBesideDust(story);
        for (const proxy of story.proxies) proxy.behave(bad(dust));
        for (let polls = 0; polls < 3; polls++) {
          await story.mine();
          await story.poll();
        }
        expect([story.status(order), amounts(story)]).toEqual(["paid", ["7"]]);
        expect(gapsOf(story)).toEqual([[dust.block, dust.block]]);
        const { unread_reason, stalled_since } = chainRow(story) ?? {};
        expect(stalled_since).toBeNull();
        expect(String(unread_reason)).toContain(`block ${dust.block}, transaction ${dust.tx_hash}: `);
        expect(story.proxies.some(({ host }) => String(unread_reason).includes(host))).toBe(true);
        expect(story.log.filter((line) => line.includes("block_unread"))).toHaveLength(1);

        for (const proxy of story.proxies) proxy.behave();
        story.wait(60);
        await story.poll();
        expect(amounts(story)).toEqual(["7", "0.000001"]);
        expect([gapsOf(story), chainRow(story)?.unread_reason]).toEqual([[], null]);
      });

      test.each(bad_receipts)("a receipt %s, when it is confirmed", async (_, bad) => {
        const story = await begin({ proxies });
        const { order, dust } = await paidBesideDust(story);
        await story.poll();
        expect(story.transfers()).toHaveLength(2);
        for (const proxy of story.proxies) proxy.behave(bad(dust));
        await story.mine();
        await story.poll();
        expect(story.status(order)).toBe("paid");
        const [row] = story.transfers().filter(({ tx_hash }) => tx_hash === dust.tx_hash);
        if (row?.status === "waiting_for_confirmation") {
          const reason = String(chainRow(story)?.held_reason);
          expect(reason).toContain(`block ${dust.block}, transaction ${dust.tx_hash}: `);
          expect(story.proxies.every(({ host }) => reason.includes(host))).toBe(true);
        }
        expect(chainRow(story)?.stalled_since).toBeNull();
      });
    });
  }

  test("nor does one that is refused for a day: it is asked for ever more rarely, and status names it", async () => {
    const story = await begin({ proxies: 1 });
    const { dust } = await paidBesideDust(story);
    story.proxies[0]?.behave(refusingReceipt(-32603, "internal error")(dust));
    await story.poll();
    await story.advance(86_400);
    await story.poll();
    const before = story.proxies[0]?.calls("eth_getTransactionReceipt");
    for (let polls = 0; polls < 10; polls++) {
      await story.advance(30);
      await story.poll();
    }
    expect((story.proxies[0]?.calls("eth_getTransactionReceipt") ?? 0) - (before ?? 0)).toBeLessThan(4);
    const lines = (await said(story, "status")).filter((line) => line.startsWith("eth not read since "));
    expect(lines.join()).toContain(
      `: block ${dust.block}, transaction ${dust.tx_hash}: provider_unreachable: ${story.proxies[0]?.host}: `,
    );
  });

  test("nor do thirty of them, in the block of the payment and around it", async () => {
    const story = await begin({ proxies: 1 });
    const order = await story.order("7.00");
    await story.select(order.id);
    const bad = new Set<unknown>();
    for (let block = 0; block < 10; block++) {
      for (let one = 0; one < 3; one++) bad.add(await story.usdt.transfer(stranger, wallet, 1n));
      if (block === 4) await story.usdt.transfer(payer, wallet, usd(7));
      await story.mine();
    }
    story.proxies[0]?.behave({
      refuse: (call) => (bad.has(call.params[0]) ? { code: -32603, message: "internal error" } : null),
    });
    for (let polls = 0; polls < 6; polls++) {
      await story.mine();
      await story.poll();
    }
    expect([story.status(order.id), amounts(story)]).toEqual(["paid", ["7"]]);
  });
});

describe("one block that is badly served", () => {
  const refusal =
    (code: number, message: string) =>
    (block: number): Behaviour => ({
      refuse(call) {
        const filter = filterOf(call);
        return filter !== null && Number(filter.fromBlock) <= block && block <= Number(filter.toBlock)
          ? { code, message }
          : null;
      },
    });
  const bad_blocks: [what: string, bad: (block: number) => Behaviour][] = [
    ["refused with an internal error", refusal(-32603, "internal error")],
    ["refused as too large", refusal(-32008, "response too large")],
    [
      "with a log nobody asked for",
      (block) =>
        altering<RawLog[]>("eth_getLogs", (logs) =>
          logs.map((log) => (Number(log.blockNumber) === block ? { ...log, address: stranger } : log)),
        ),
    ],
    [
      "with a log that is no transfer",
      (block) =>
        altering<RawLog[]>("eth_getLogs", (logs) =>
          logs.map((log) => (Number(log.blockNumber) === block ? { ...log, data: "0x" } : log)),
        ),
    ],
    [
      "with a log of a wrong index",
      (block) =>
        altering<RawLog[]>("eth_getLogs", (logs) =>
          logs.map((log) => (Number(log.blockNumber) === block ? { ...log, logIndex: "0x4d" } : log)),
        ),
    ],
    [
      "without a header",
      (block) =>
        altering<unknown>("eth_getBlockByNumber", (header, call) => (Number(call.params[0]) === block ? null : header)),
    ],
  ];
  test.each(bad_blocks)("%s holds up no payment below or above it", async (_, bad) => {
    const story = await begin({ proxies: 2 });
    const orders = [];
    let block = 0;
    for (const amount of [5, 6]) {
      const order = await story.order(`${amount}.00`);
      await story.select(order.id);
      orders.push(order.id);
    }
    await story.mine(20);
    await story.usdt.transfer(payer, wallet, usd(5));
    await story.mine(3);
    await story.usdt.transfer(stranger, wallet, 1n);
    await story.mine();
    block = Number(await story.anvil.rpc("eth_blockNumber", []));
    await story.mine(3);
    await story.usdt.transfer(payer, wallet, usd(6));
    await story.mine(20);
    for (const proxy of story.proxies) proxy.behave(bad(block));
    await story.poll();
    await story.mine();
    await story.poll();
    expect(orders.map((id) => story.status(id))).toEqual(["paid", "paid"]);
    expect(gapsOf(story)).toEqual([[block, block]]);
    expect(String(chainRow(story)?.unread_reason)).toContain(`block ${block}`);
    for (const proxy of story.proxies) proxy.behave();
    story.wait(60);
    await story.poll();
    expect([amounts(story).length, gapsOf(story)]).toEqual([3, []]);
  });
});

describe("one header that is not served any more", () => {
  const without = (block: number): Behaviour =>
    altering<unknown>("eth_getBlockByNumber", (header, call) => (Number(call.params[0]) === block ? null : header));

  test("holds up nothing, although the last reading ended with it", async () => {
    const story = await begin({ proxies: 2 });
    await story.mine(3);
    await story.poll();
    const last = Number(await story.anvil.rpc("eth_blockNumber", []));
    for (const proxy of story.proxies) proxy.behave(without(last));
    const order = await story.order("7.00");
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(7));
    for (let polls = 0; polls < 3; polls++) {
      await story.mine();
      await story.poll();
    }
    expect([story.status(order.id), chainRow(story)?.stalled_since]).toEqual(["paid", null]);
  });

  test("for a new wallet's beginning holds up no other wallet", async () => {
    const story = await begin({ proxies: 1 });
    await story.mine(20);
    await story.poll();
    story.write((raw) =>
      raw.run(
        `INSERT INTO watches (chain, wallet, token, coin, label, decimals, offered, active, added_at)
         SELECT chain, '${stranger}', token, coin, label, decimals, offered, 1, added_at FROM watches`,
      ),
    );
    const head = Number(await story.anvil.rpc("eth_blockNumber", []));
    story.proxies[0]?.behave({
      refuse: ({ method, params }) =>
        method === "eth_getBlockByNumber" && Number(params[0]) < head
          ? { code: -32603, message: "internal error" }
          : null,
    });
    const order = await story.order("7.00");
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(7));
    await story.mine(2);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
    story.proxies[0]?.behave();
    await story.poll();
    expect(story.rows("SELECT 1 FROM watches WHERE start_block IS NULL")).toEqual([]);
  });
});

describe("what a stranger asks about", () => {
  test("a claim that names a transaction nobody serves puts no provider to rest", async () => {
    const story = await begin({ proxies: 2 });
    const { order, dust } = await paidBesideDust(story);
    for (const proxy of story.proxies) proxy.behave(refusingReceipt(-32603, "internal error")(dust));
    await story.source.receipts([dust.tx_hash]).catch(() => {});
    expect(story.source.reports().map(({ state }) => state)).toEqual(["well", "well"]);
    await story.mine(2);
    await story.poll();
    expect(story.status(order)).toBe("paid");
  });
});

describe("one call that fails alone in a batch", () => {
  test("a finality tag: the chain is read, and the tag stays where it was", async () => {
    const story = await begin({ proxies: 1, finality: '"finalized"', slots: 1 });
    const order = await story.order("7.00");
    await story.select(order.id);
    story.proxies[0]?.behave({
      refuse: ({ params }) => (params[0] === "finalized" ? { code: -32603, message: "internal error" } : null),
    });
    await story.usdt.transfer(payer, wallet, usd(7));
    await story.mine(6);
    await story.poll();
    expect([amounts(story), story.status(order.id), chainRow(story)?.stalled_since]).toEqual([["7"], "pending", null]);
    story.proxies[0]?.behave();
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
  });
});

describe("the time of a transfer", () => {
  test("is that of its block's header, whatever the log states", async () => {
    const story = await begin({ proxies: 1 });
    story.proxies[0]?.behave(
      altering<RawLog[]>("eth_getLogs", (logs) =>
        logs.map((log) => ({ ...log, blockTimestamp: `0x${(Number(log.blockTimestamp) - 3600).toString(16)}` })),
      ),
    );
    const order = await story.order("7.00");
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(7));
    await story.mine(3);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
    expect(story.log.join("\n")).toContain("log_time_wrong");
  });
});
