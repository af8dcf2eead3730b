// What one provider says wrongly, once: it drops no payment, pays none, vouches for nothing, and stops nothing for good.

import { afterEach, describe, expect, test } from "bun:test";
import { payer, type Story, type StoryOptions, startStory, usd, wallet } from "../support/chain-story.ts";
import { altering, alteringLogs, type Behaviour } from "../support/provider-proxy.ts";

interface Header {
  number: string;
  hash: string;
}

let started: Story[] = [];
async function begin(options: StoryOptions = {}): Promise<Story> {
  const one = await startStory(options);
  started.push(one);
  await one.poll();
  return one;
}
afterEach(async () => {
  for (const one of started) await one.stop();
  started = [];
});

const other_hash = `0x${"ab".repeat(32)}`;
const headerAt = async (story: Story, at: string | number) =>
  (await story.anvil.rpc("eth_getBlockByNumber", [
    typeof at === "number" ? `0x${at.toString(16)}` : at,
    false,
  ])) as Header;
const numberAt = async (story: Story, tag: string) => Number((await headerAt(story, tag)).number);
const isHeader = (call: { method: string; params: readonly unknown[] }, at: unknown) =>
  call.method === "eth_getBlockByNumber" && call.params[0] === at;

/** Asks for an amount that is paid in one block, which is seen. Resolves with the order's id. */
async function paidAndSeen(story: Story, amount: number): Promise<string> {
  const order = await story.order(`${amount}.00`);
  await story.select(order.id);
  await story.usdt.transfer(payer, wallet, usd(amount));
  await story.mine();
  await story.poll();
  expect(story.transfers().at(-1)).toMatchObject({ amount: `${amount}`, status: "waiting_for_confirmation" });
  return order.id;
}

async function goOn(story: Story, polls: number): Promise<void> {
  for (let done = 0; done < polls; done++) {
    await story.mine();
    await story.advance(120);
    await story.poll();
  }
}

describe("at the second look", () => {
  /** Until the payment's block is the one that becomes final next, and the final pass is due with it. */
  async function allButFinal(story: Story): Promise<number> {
    const height = story.transfers()[0]?.block_number ?? 0;
    while ((await numberAt(story, "finalized")) < height - 1) await story.mine();
    await story.poll();
    await story.mine(2);
    story.wait(600);
    return height;
  }
  const lies: [what: string, lie: (height: number) => Behaviour][] = [
    [
      "a receipt whose log was left out",
      () => altering<object | null>("eth_getTransactionReceipt", (receipt) => receipt && { ...receipt, logs: [] }),
    ],
    [
      "no receipt, and another block at its height",
      (height) => ({
        alter(call, answer) {
          if (call.method === "eth_getTransactionReceipt") return { ...answer, result: null };
          if (!isHeader(call, `0x${height.toString(16)}`)) return answer;
          return { ...answer, result: { ...(answer.result as Header), hash: other_hash } };
        },
      }),
    ],
  ];
  test.each(lies)("%s: another provider is asked, and the payment counts", async (_, lie) => {
    const story = await begin({ proxies: 2, slots: 16, finality: '"finalized"' });
    const order = await paidAndSeen(story, 7);
    const height = await allButFinal(story);
    story.proxies[0]?.behave(lie(height));
    await story.poll();
    story.proxies[0]?.behave();
    expect(story.transfers()).toMatchObject([{ status: "waiting_for_confirmation" }]);
    await goOn(story, 3);
    expect(story.status(order)).toBe("paid");
  });

  test("five hundred payments that wait for finality hold up none that needs two blocks", async () => {
    const finality = '[{ up_to = "500", finality = 2 }, { finality = "finalized" }]';
    const story = await begin({ proxies: 1, slots: 40, finality, verify: "false" });
    for (let index = 0; index < 505; index++) await story.usdt.transfer(payer, wallet, usd(501) + BigInt(index));
    for (let polls = 0; polls < 20 && story.transfers().length < 505; polls++) await goOn(story, 1);
    expect(story.transfers()).toHaveLength(505);
    const order = await paidAndSeen(story, 7);
    await goOn(story, 3);
    expect(story.status(order)).toBe("paid");
  });
});

describe("about what is final", () => {
  test("another one's tag says nothing of a dead branch: what stands there is not paid", async () => {
    const story = await begin({ proxies: 2, slots: 2, finality: '"finalized"' });
    const before = await story.anvil.rpc("evm_snapshot");
    const order = await story.order("7.00");
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(7));
    await story.mine();
    const dead = await headerAt(story, "latest");
    const logs = (await story.anvil.rpc("eth_getLogs", [{ fromBlock: dead.number, toBlock: dead.number }])) as {
      transactionHash: string;
    }[];
    const receipts = new Map<unknown, unknown>();
    for (const { transactionHash } of logs) {
      receipts.set(transactionHash, await story.anvil.rpc("eth_getTransactionReceipt", [transactionHash]));
    }
    // The first provider is stuck on this branch and knows no tags.
    story.proxies[0]?.behave({
      refuse: (call) =>
        isHeader(call, "finalized") || isHeader(call, "safe") ? { code: -32602, message: "invalid argument 0" } : null,
      alter(call, answer) {
        const says = (result: unknown) => ({ ...answer, result });
        if (isHeader(call, "latest") || isHeader(call, dead.number)) return says(dead);
        if (call.method === "eth_getBlockByNumber" && Number(call.params[0]) > Number(dead.number)) return says(null);
        if (call.method === "eth_getLogs") {
          return says(Number((call.params[0] as { toBlock: string }).toBlock) >= Number(dead.number) ? logs : []);
        }
        if (call.method !== "eth_getTransactionReceipt") return answer;
        return says(receipts.get(call.params[0]) ?? null);
      },
    });
    await story.poll();
    await story.anvil.rpc("evm_revert", [before]);
    await story.mine(12);
    for (let polls = 0; polls < 3; polls++) await story.poll().catch(() => {});
    expect((await headerAt(story, Number(dead.number))).hash).not.toBe(dead.hash);
    expect([story.transfers().map((row) => row.status), story.status(order.id)]).toEqual([
      ["waiting_for_confirmation"],
      "pending",
    ]);
  });

  test("a tag that was wrong once stops the chain no longer than until it is right again", async () => {
    const story = await begin({ proxies: 2, slots: 16, finality: '"finalized"' });
    for (let polls = 0; polls < 6; polls++) await goOn(story, 1);
    const eager = await headerAt(story, "latest");
    story.proxies[0]?.behave({
      alter: (call, answer) => (isHeader(call, "finalized") ? { ...answer, result: eager } : answer),
    });
    await story.advance(600);
    await story.poll();
    const top = () => story.rows("SELECT max(to_block) AS top FROM coverage WHERE pass = 'final'")[0]?.top;
    expect(story.rows("SELECT final_number FROM chains")).toEqual([{ final_number: Number(eager.number) }]);
    expect(top()).toBe(Number(eager.number));
    story.proxies[0]?.behave();
    await story.anvil.rpc("anvil_reorg", [2, []]);
    // The blocks that went took their time with them.
    await story.anvil.rpc("evm_increaseTime", [720]);
    const order = await paidAndSeen(story, 3);
    expect(story.log.filter((line) => line.includes("finality_receded"))).toHaveLength(1);
    // What was read of the blocks that were never final is read finally again.
    expect(Number(top() ?? 0)).toBeLessThan(Number(eager.number));
    await goOn(story, 20);
    expect(story.status(order)).toBe("paid");
    expect(story.rows("SELECT stalled_since FROM chains")).toEqual([{ stalled_since: null }]);
  });

  describe("a page of another branch", () => {
    /** The final pass is due; these providers show another block where the final one is. Resolves with the true one. */
    async function contradicted(story: Story, liars: readonly number[]): Promise<Header> {
      for (let polls = 0; polls < 3; polls++) {
        await story.mine(3);
        story.wait(2);
        await story.poll();
      }
      await story.mine(4);
      const final = await headerAt(story, "finalized");
      for (const liar of liars) {
        story.proxies[liar]?.behave({
          alter(call, answer) {
            if (call.method === "eth_getLogs") return { ...answer, result: [] };
            if (!isHeader(call, final.number)) return answer;
            return { ...answer, result: { ...(answer.result as Header), hash: other_hash } };
          },
        });
      }
      story.wait(600);
      return final;
    }
    const told = (story: Story) => story.log.filter((line) => line.includes("final_block_contradicted")).length;
    const readForGood = (story: Story, { number }: Header) =>
      story.rows(`SELECT DISTINCT to_hash FROM coverage WHERE pass = 'final' AND to_block = ${Number(number)}`);

    test("does not become what was read for good: the other provider's does", async () => {
      const story = await begin({ proxies: 2, slots: 2, finality: '"finalized"' });
      const final = await contradicted(story, [1]);
      await story.poll();
      expect([told(story), readForGood(story, final)]).toEqual([1, [{ to_hash: final.hash }]]);
    });

    test("of both providers is left to the next pass, not to the next poll", async () => {
      const story = await begin({ proxies: 2, slots: 2, finality: '"finalized"' });
      const final = await contradicted(story, [0, 1]);
      for (let polls = 0; polls < 3; polls++) await story.poll();
      expect([told(story), readForGood(story, final)]).toEqual([2, []]);
      for (const proxy of story.proxies) proxy.reset();
      story.wait(600);
      await story.poll();
      expect(readForGood(story, final)).toEqual([{ to_hash: final.hash }]);
    });
  });
});

describe("that made a transfer look gone", () => {
  test("what was dropped is taken back when the index shows it", async () => {
    const story = await begin({ proxies: 1, index: true });
    const order = await paidAndSeen(story, 8);
    story.write((raw) => raw.run("UPDATE transfers SET status = 'failed_to_confirm', deposit = NULL, reason = NULL"));
    story.proxies[0]?.behave(alteringLogs(() => []));
    await story.mine(20);
    await story.advance(3600);
    await story.poll();
    await story.reconcile();
    await story.poll();
    expect(story.status(order)).toBe("paid");
  });
});
