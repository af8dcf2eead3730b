// A payment that one provider invents, log and receipt, in a block that is on the chain: what one, two and three providers
// protect against.

import { afterEach, describe, expect, test } from "bun:test";
import { payer, type Story, type StoryOptions, startStory, usd, wallet } from "./support/chain-story.ts";
import { type Behaviour, emptyLogs, filterOf, type RawLog } from "./support/provider-proxy.ts";

let started: Story[] = [];
async function begin(options: StoryOptions = {}): Promise<Story> {
  const finality = '[{ up_to = "500", finality = 2 }, { up_to = "5000", finality = 3 }, { finality = 4 }]';
  const one = await startStory({ finality, slots: 4, ...options });
  started.push(one);
  await one.poll();
  return one;
}
afterEach(async () => {
  for (const one of started) await one.stop();
  started = [];
});

interface RawReceipt {
  logs: RawLog[];
  [field: string]: unknown;
}

const word = (address: string) => `0x${address.slice(2).toLowerCase().padStart(64, "0")}`;
const invented_hash = `0x${"1d".repeat(32)}`;

/** The first provider shows a payment that nobody made, in the newest block; the others know the block without it. */
async function invent(story: Story, amount: number): Promise<{ block: number; lie: Behaviour }> {
  const tx_hash = await story.dai.transfer(payer, payer, 1n);
  await story.mine();
  const receipt = (await story.anvil.rpc("eth_getTransactionReceipt", [tx_hash])) as RawReceipt;
  const block = Number(receipt.blockNumber);
  const log: RawLog = {
    ...(receipt.logs[0] as RawLog),
    address: story.usdt.address.toLowerCase(),
    topics: [receipt.logs[0]?.topics[0] ?? "", word(payer), word(wallet)],
    data: `0x${usd(amount).toString(16).padStart(64, "0")}`,
    transactionHash: invented_hash,
    logIndex: "0x9",
  };
  const lie: Behaviour = {
    alter(call, envelope) {
      const filter = filterOf(call);
      if (filter !== null && Array.isArray(envelope.result)) {
        const isAsked = Number(filter.fromBlock) <= block && block <= Number(filter.toBlock);
        return { ...envelope, result: isAsked ? [...envelope.result, log] : envelope.result };
      }
      const isReceipt = call.method === "eth_getTransactionReceipt" && call.params[0] === invented_hash;
      return isReceipt
        ? { ...envelope, result: { ...receipt, transactionHash: invented_hash, logs: [log] } }
        : envelope;
    },
  };
  story.proxies[0]?.behave(lie);
  return { block, lie };
}

async function goOn(story: Story, polls: number): Promise<void> {
  for (let done = 0; done < polls; done++) {
    await story.mine(3);
    await story.advance(120);
    await story.poll().catch(() => {});
  }
}
const logged = (story: Story, code: string) => story.log.filter((line) => line.includes(` ${code}`)).length;

describe("one provider of three that invents a payment", () => {
  test.each([600, 6_000])(
    "of %d coins, in the second tier or above: it never counts, and is dropped when its block is final",
    async (amount) => {
      const story = await begin({ proxies: 3 });
      const order = await story.order(`${amount}.00`);
      await story.select(order.id);
      await invent(story, amount);
      await story.poll();
      expect(story.transfers()).toMatchObject([{ status: "waiting_for_confirmation", amount: `${amount}` }]);
      await story.mine(4);
      await story.poll();
      expect(story.transfers()).toMatchObject([{ status: "waiting_for_confirmation" }]);
      expect(story.source.reports()[0]?.state).toBe("frozen");
      await goOn(story, 10);
      expect([story.status(order.id), story.transfers()[0]?.status]).toEqual(["pending", "failed_to_confirm"]);
      // The true payment pays.
      await story.usdt.transfer(payer, wallet, usd(amount));
      await goOn(story, 3);
      expect(story.status(order.id)).toBe("paid");
    },
  );

  test("of the first tier: it counts at one word, and the final reading takes it back and says payment_reverted", async () => {
    const story = await begin({ proxies: 3 });
    const order = await story.order("7.00");
    await story.select(order.id);
    await invent(story, 7);
    await story.poll();
    await story.mine();
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
    await goOn(story, 4);
    expect(story.transfers()[0]?.reverted_at).not.toBeNull();
    expect([story.events("payment_reverted").length, logged(story, "payment_reverted")]).toEqual([1, 1]);
    expect([logged(story, "transfer_denied"), story.source.reports()[0]?.state]).toEqual([1, "frozen"]);
    await goOn(story, 10);
    expect(story.events("payment_reverted")).toHaveLength(1);
    expect(story.events("payment_restored")).toHaveLength(0);
  });

  test("while one of the others is down: from the second tier on it does not count either, however long", async () => {
    const story = await begin({ proxies: 3 });
    const order = await story.order("600.00");
    await story.select(order.id);
    await invent(story, 600);
    story.proxies[2]?.behave({ request: () => new Response("", { status: 503 }) });
    await goOn(story, 12);
    expect(story.status(order.id)).toBe("pending");
  });
});

describe("one provider of two that invents a payment", () => {
  test("of the second tier: it never counts, and the operator hears who says what", async () => {
    const story = await begin({ proxies: 2 });
    const order = await story.order("600.00");
    await story.select(order.id);
    await invent(story, 600);
    await goOn(story, 12);
    expect(story.status(order.id)).toBe("pending");
    expect(String(story.rows("SELECT held_reason FROM chains")[0]?.held_reason)).toContain("provider_disagrees");
  });

  test("of the first tier: it counts, and an alarm says that the other does not have it", async () => {
    const story = await begin({ proxies: 2 });
    const order = await story.order("7.00");
    await story.select(order.id);
    await invent(story, 7);
    await goOn(story, 4);
    expect([story.status(order.id), logged(story, "transfer_doubted")]).toEqual(["paid", 1]);
    expect(story.events("payment_reverted")).toHaveLength(0);
  });
});

describe("one provider with several nodes behind its name", () => {
  /** From the second look on, blocks come from a node that has come only so far; its branch may have been left. */
  const behind = (top: number): Behaviour => {
    let isLate = false;
    return {
      alter(call, envelope) {
        if (call.method === "eth_getTransactionReceipt") isLate = true;
        const isAbove = call.method === "eth_getBlockByNumber" && Number(call.params[0]) > top;
        return isLate && isAbove ? { ...envelope, result: null } : envelope;
      },
    };
  };

  test("counts no payment by a node that does not have the block by which it would count", async () => {
    const story = await begin({ proxies: 1, finality: "[{ finality = 4 }]" });
    const order = await story.order("7.00");
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(7));
    const block = Number(await story.anvil.rpc("eth_blockNumber", []));
    await story.mine(4);
    story.proxies[0]?.behave(behind(block + 1));
    await story.poll();
    expect(story.transfers()).toMatchObject([{ status: "waiting_for_confirmation" }]);
    expect(logged(story, "confirmation_unclear")).toBeGreaterThan(0);
    story.proxies[0]?.behave();
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
  });
});

describe("a true payment", () => {
  test("whose logs the provider of the final reading hides stays paid: the receipts decide", async () => {
    const story = await begin({ proxies: 3 });
    const order = await story.order("7.00");
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(7));
    await story.mine(2);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
    for (const proxy of story.proxies.slice(1)) proxy.behave(emptyLogs);
    await goOn(story, 4);
    expect([story.events("payment_reverted").length, logged(story, "transfer_denied")]).toEqual([0, 0]);
    expect(logged(story, "log_missing_from_its_block")).toBeGreaterThan(0);
  });

  test("of the second tier counts although one index of three is late", async () => {
    const story = await begin({ proxies: 3 });
    const order = await story.order("600.00");
    await story.select(order.id);
    story.proxies[1]?.behave({
      alter: (call, envelope) =>
        call.method === "eth_getTransactionReceipt" ? { ...envelope, result: null } : envelope,
    });
    await story.usdt.transfer(payer, wallet, usd(600));
    await story.mine(3);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
    expect(story.source.reports().map(({ state }) => state)).toEqual(["well", "well", "well"]);
  });
});
