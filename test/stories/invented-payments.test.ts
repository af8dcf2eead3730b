// A payment that one provider invents, log and receipt, in a block that is on the chain: what one, two and three providers
// protect against.

import { afterEach, describe, expect, test } from "bun:test";
import { payer, type Story, type StoryOptions, startStory, usd, wallet } from "../support/chain-story.ts";
import { type Behaviour, emptyLogs, filterOf, type RawLog } from "../support/provider-proxy.ts";

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

/**
 * One provider, the first by default, shows a payment that nobody made, in the newest block; the others know the block
 * without it.
 */
async function invent(story: Story, amount: number, liar = 0): Promise<{ block: number; lie: Behaviour }> {
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
  story.proxies[liar]?.behave(lie);
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

  test("of the first tier, whose block another provider reads again without it: it is taken back all the same", async () => {
    const story = await begin({ proxies: 3 });
    const order = await story.order("7.00");
    await story.select(order.id);
    await invent(story, 7, 1);
    story.proxies[0]?.behave({ request: () => new Response("", { status: 503 }) });
    await story.poll();
    await story.mine();
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
    story.proxies[0]?.behave();
    await goOn(story, 4);
    expect(logged(story, "log_missing_from_its_block")).toBeGreaterThan(0);
    expect(story.transfers()[0]?.reverted_at).not.toBeNull();
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

describe("a payment that the head pass did not see, and the provider of the final pass shows", () => {
  test("invented, of three: never pays an order of the first tier, and two others deny it", async () => {
    const story = await begin({ proxies: 3 });
    const order = await story.order("7.00");
    await story.select(order.id);
    await invent(story, 7, 1);
    await goOn(story, 10);
    expect([story.status(order.id), story.transfers()]).toEqual(["pending", []]);
    expect([logged(story, "transfer_denied"), story.source.reports()[1]?.state]).toEqual([1, "frozen"]);
    // The true payment pays.
    await story.usdt.transfer(payer, wallet, usd(7));
    await goOn(story, 3);
    expect(story.status(order.id)).toBe("paid");
  });

  test("invented, of three, one of which is down: waits for the third one, which denies it", async () => {
    const story = await begin({ proxies: 3 });
    const order = await story.order("7.00");
    await story.select(order.id);
    await invent(story, 7, 1);
    story.proxies[2]?.behave({ request: () => new Response("", { status: 503 }) });
    await goOn(story, 10);
    expect([story.status(order.id), story.transfers()]).toEqual(["pending", []]);
    expect(logged(story, "block_unread")).toBeGreaterThan(0);
    story.proxies[2]?.behave();
    await goOn(story, 10);
    expect([story.status(order.id), logged(story, "transfer_denied")]).toEqual(["pending", 1]);
  });

  test("invented, of two: never pays, and the log names provider and transaction", async () => {
    const story = await begin({ proxies: 2 });
    const order = await story.order("7.00");
    await story.select(order.id);
    await invent(story, 7, 1);
    await goOn(story, 10);
    expect([story.status(order.id), story.transfers()]).toEqual(["pending", []]);
    expect(story.log.find((line) => line.includes(" block_unread"))).toContain(`txn=${invented_hash}`);
  });

  test.each([2, 3])(
    "true, of %d: pays, because the provider that had missed its log shows its receipt",
    async (proxies) => {
      const story = await begin({ proxies });
      const order = await story.order("7.00");
      await story.select(order.id);
      story.proxies[0]?.behave(emptyLogs);
      await story.usdt.transfer(payer, wallet, usd(7));
      await story.mine(3);
      await story.poll();
      expect([story.status(order.id), story.transfers()]).toEqual(["pending", []]);
      await goOn(story, 4);
      expect([story.status(order.id), logged(story, "transfers_missed_by_head_pass")]).toEqual(["paid", 1]);
    },
  );

  test("true, of three: pays although one of the others has no receipt either", async () => {
    const story = await begin({ proxies: 3 });
    const order = await story.order("7.00");
    await story.select(order.id);
    story.proxies[0]?.behave({
      alter: (call, envelope) =>
        filterOf(call) !== null || call.method === "eth_getTransactionReceipt"
          ? { ...envelope, result: filterOf(call) === null ? null : [] }
          : envelope,
    });
    await story.usdt.transfer(payer, wallet, usd(7));
    await goOn(story, 5);
    expect(story.status(order.id)).toBe("paid");
  });

  test("invented in a block after the final pass has read it: never pays", async () => {
    const story = await begin({ proxies: 3 });
    const order = await story.order("7.00");
    await story.select(order.id);
    const { block, lie } = await invent(story, 7);
    story.proxies[0]?.behave();
    const isRead = () => story.rows(`SELECT 1 FROM coverage WHERE pass = 'final' AND to_block >= ${block}`).length > 0;
    while (!isRead()) await goOn(story, 1);
    story.proxies[0]?.behave(lie);
    await goOn(story, 1);
    expect([story.status(order.id), story.transfers()]).toEqual(["pending", []]);
    expect([logged(story, "transfer_denied"), story.source.reports()[0]?.state]).toEqual([1, "frozen"]);
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
