// A head that is not the chain's: one that is far ahead for a poll, one that goes back. No honest payment is refused for
// it, and no block counts as read that is not there yet.

import { afterEach, describe, expect, test } from "bun:test";
import { coverageOf } from "../../src/services/coverage.ts";
import { payer, type Story, type StoryOptions, startStory, usd, wallet } from "../support/chain-story.ts";
import type { Behaviour } from "../support/provider-proxy.ts";

let started: Story[] = [];
async function begin(options: StoryOptions = {}, is_read = true): Promise<Story> {
  const one = await startStory({ verify: "false", ...options });
  started.push(one);
  if (is_read) await one.poll();
  return one;
}
afterEach(async () => {
  for (const one of started) await one.stop();
  started = [];
});

interface Header {
  number: string;
  hash: string;
  timestamp: string;
}
const hex = (number: number) => `0x${number.toString(16)}`;
const headOf = async (story: Story) => Number(await story.anvil.rpc("eth_blockNumber", []));
const chainRow = (story: Story) => story.rows("SELECT * FROM chains WHERE chain = 'eth'")[0];
const topOf = (story: Story, pass = "head") =>
  story.rows(`SELECT max(to_block) AS top FROM coverage WHERE pass = '${pass}'`)[0]?.top;
const gapsOf = (story: Story) =>
  story.database.read((at) => coverageOf(at, story.config.current()))[0]?.watches.flatMap(({ gaps }) => gaps);

/** States a head so many blocks ahead, and serves headers of blocks that are not there yet; these tags as well. */
async function ahead(
  story: Story,
  blocks: number,
  tags: readonly string[] = ["latest"],
  later_s = 0,
): Promise<Behaviour> {
  const real = (await story.anvil.rpc("eth_getBlockByNumber", ["latest", false])) as Header;
  const head = Number(real.number);
  const invented = (number: number) => ({
    ...real,
    number: hex(number),
    hash: `0x${String(number).padStart(64, "f")}`,
    timestamp: hex(Number(real.timestamp) + later_s),
  });
  return {
    alter(call, envelope) {
      if (call.method === "eth_getLogs" && envelope.error !== undefined)
        return { jsonrpc: "2.0", id: envelope.id, result: [] };
      if (call.method !== "eth_getBlockByNumber") return envelope;
      const asked = String(call.params[0]);
      if (tags.includes(asked)) return { ...envelope, result: invented(head + blocks) };
      return Number(asked) > head ? { ...envelope, result: invented(Number(asked)) } : envelope;
    },
  };
}

describe("a head far ahead for one poll, of the only provider", () => {
  test("refuses no payment to a deposit that was opened meanwhile", async () => {
    const story = await begin({ proxies: 1 });
    story.proxies[0]?.behave(await ahead(story, 1_000));
    await story.poll();
    const order = await story.order("7.00");
    const deposit = await story.select(order.id);
    expect(deposit.opened_head).toBeGreaterThan(1_000);
    story.proxies[0]?.behave();
    await story.usdt.transfer(payer, wallet, usd(7));
    for (let polls = 0; polls < 3; polls++) {
      await story.mine();
      await story.poll();
    }
    expect([story.status(order.id), story.transfers().map(({ reason }) => reason)]).toEqual(["paid", [null]]);
  });

  test("and with a time in the future refuses no payment to deposits of then and later", async () => {
    const story = await begin({ proxies: 1 });
    story.proxies[0]?.behave(await ahead(story, 1_000, ["latest"], 3600));
    await story.poll();
    const during = await story.order("7.00");
    await story.select(during.id);
    story.proxies[0]?.behave();
    await story.mine();
    await story.poll();
    const after = await story.order("8.00");
    await story.select(after.id);
    for (const amount of [7, 8]) await story.usdt.transfer(payer, wallet, usd(amount));
    for (let polls = 0; polls < 3; polls++) {
      await story.mine();
      await story.poll();
    }
    expect([during, after].map(({ id }) => story.status(id))).toEqual(["paid", "paid"]);
  });

  test("and with a time in the future reserves no amount of an order that ended meanwhile until then", async () => {
    const story = await begin({ proxies: 1 });
    for (const blocks of [1_000, 1_001]) {
      story.proxies[0]?.behave(await ahead(story, blocks, ["latest"], 3600));
      await story.poll();
    }
    const order = await story.order("7.00");
    await story.select(order.id);
    await story.checkout.cancel(order.id);
    const closedAt = () => Number(story.rows("SELECT closed_at FROM slots")[0]?.closed_at);
    expect(closedAt()).toBeGreaterThan(story.now() + 3_000_000);
    story.proxies[0]?.behave();
    await story.mine();
    await story.poll();
    expect(closedAt()).toBeLessThanOrEqual(story.now());
  });

  test("makes no block count as read that was not there", async () => {
    const story = await begin({ proxies: 1 });
    const head = await headOf(story);
    story.proxies[0]?.behave(await ahead(story, 40));
    await story.poll();
    expect(topOf(story)).toBe(head + 40);
    story.proxies[0]?.behave();
    await story.poll();
    expect([topOf(story), chainRow(story)?.head_number]).toEqual([head, head]);
    expect(story.log.filter((line) => line.includes("head_receded"))).toHaveLength(1);
    const order = await story.order("7.00");
    await story.select(order.id);
    await story.mine(10);
    await story.usdt.transfer(payer, wallet, usd(7));
    await story.mine(40);
    await story.poll();
    expect([story.status(order.id), gapsOf(story)]).toEqual(["paid", []]);
  });

  test("leaves no block above it to be asked for again once it went back", async () => {
    const story = await begin({ proxies: 1 });
    const head = await headOf(story);
    const invented = await ahead(story, 40);
    const error = { code: -32603, message: "internal error" };
    const alter: Behaviour["alter"] = (call, envelope) =>
      call.method === "eth_getLogs" && Number((call.params[0] as { toBlock: string }).toBlock) > head
        ? { jsonrpc: "2.0", id: envelope.id, error }
        : (invented.alter?.(call, envelope) ?? envelope);
    story.proxies[0]?.behave({ alter });
    await story.poll().catch(() => {});
    expect(story.log.filter((line) => line.includes("block_unread")).length).toBeGreaterThan(0);
    // Its head is honest again. What lies above it is served all the same.
    story.proxies[0]?.behave(await ahead(story, 40, []));
    await story.poll();
    expect(topOf(story)).toBe(head);
  });

  test("is cut back after a restart as well, with what was called final", async () => {
    const story = await begin({ proxies: 1, slots: 1 });
    await story.mine(4);
    await story.poll();
    await story.advance(600);
    const head = await headOf(story);
    story.proxies[0]?.behave(await ahead(story, 40, ["latest", "finalized"]));
    await story.poll();
    expect(Number(topOf(story, "final"))).toBeGreaterThan(head);
    story.proxies[0]?.behave();
    story.restart();
    await story.poll();
    expect(Number(topOf(story, "final"))).toBeLessThanOrEqual(head);
    expect(story.log.filter((line) => line.includes("finality_receded"))).toHaveLength(1);
    const order = await story.order("7.00");
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(7));
    await story.mine(60);
    await story.poll();
    expect([story.status(order.id), chainRow(story)?.stalled_since]).toEqual(["paid", null]);
  });

  test.each([
    ["", ["latest"]],
    [" with its final block", ["latest", "finalized"]],
  ])("loses no payment in blocks that come before it goes back%s", async (_with, tags) => {
    const story = await begin({ proxies: 1, slots: 1 });
    await story.mine(4);
    await story.poll();
    const order = await story.order("7.00");
    await story.select(order.id);
    await story.advance(600);
    story.proxies[0]?.behave(await ahead(story, 40, tags));
    await story.poll();
    await story.usdt.transfer(payer, wallet, usd(7));
    await story.mine(19);
    story.proxies[0]?.behave();
    await story.poll();
    await story.mine(4);
    await story.poll();
    expect([story.transfers().length, story.status(order.id), gapsOf(story)]).toEqual([1, "paid", []]);
  });

  test.each([
    ["", {}],
    [", nor where the blocks up to it were not served", { error: { code: -32000, message: "beyond current head" } }],
  ])("at the very first contact makes no wallet's watch begin in the future%s", async (_, logs) => {
    const story = await begin({ proxies: 1 }, false);
    const far = await ahead(story, 1_000, ["latest"], -60);
    story.proxies[0]?.behave({
      alter: (call, envelope) =>
        ({ ...far.alter?.(call, envelope), ...(call.method === "eth_getLogs" && logs) }) as never,
    });
    await story.poll().catch(String);
    story.proxies[0]?.behave();
    const order = await story.order("7.00");
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(7));
    for (let polls = 0; polls < 3; polls++) {
      await story.mine();
      await story.poll();
    }
    expect(story.status(order.id)).toBe("paid");
  });
});

describe("a head far ahead, of one provider of several", () => {
  test.each([2, 3])("is not believed: of %d the others' head counts", async (proxies) => {
    const story = await begin({ proxies });
    const head = await headOf(story);
    story.proxies[0]?.behave(await ahead(story, 1_000));
    await story.poll();
    expect([chainRow(story)?.head_number, topOf(story)]).toEqual([head, head]);
    expect(story.log.filter((line) => line.includes("head_not_believed"))).toHaveLength(1);
    const order = await story.order("7.00");
    const deposit = await story.select(order.id);
    expect(deposit.opened_head).toBe(head);
    await story.usdt.transfer(payer, wallet, usd(7));
    await story.mine(3);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
    // Two that stand against one.
    expect(story.source.reports()[0]?.state === "frozen").toBe(proxies === 3);
  });

  test("loses no payment in blocks that two called final while they were not there", async () => {
    const story = await begin({ proxies: 2, slots: 1 });
    await story.mine(4);
    await story.poll();
    await story.advance(600);
    for (const proxy of story.proxies) proxy.behave(await ahead(story, 40, ["latest", "finalized"]));
    await story.poll();
    expect(Number(topOf(story, "final"))).toBeGreaterThan(await headOf(story));
    // The first one is honest again before the other.
    story.proxies[0]?.behave();
    await story.poll();
    story.proxies[1]?.behave();
    const order = await story.order("7.00");
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(7));
    for (let polls = 0; polls < 3; polls++) {
      await story.mine(20);
      await story.advance(60);
      await story.poll();
    }
    expect([story.status(order.id), gapsOf(story)]).toEqual(["paid", []]);
  });

  test("is believed where another one says so: a chain that was not read for long", async () => {
    const story = await begin({ proxies: 2 });
    await story.mine(500);
    await story.poll();
    expect(chainRow(story)?.head_number).toBe(await headOf(story));
    expect(story.log.join("\n")).not.toContain("head_not_believed");
  });

  test("is asked nothing about while the chain keeps its pace", async () => {
    const story = await begin({ proxies: 2 });
    const before = story.proxies[1]?.requests();
    for (let polls = 0; polls < 5; polls++) {
      await story.mine(2);
      await story.poll();
    }
    expect(story.proxies[1]?.requests()).toBe(before);
  });

  test("is no alarm where only a provider that lags shows less than was final: it is read again", async () => {
    const story = await begin({ proxies: 2, slots: 1 });
    await story.mine(20);
    story.wait(600);
    await story.poll();
    const final = topOf(story, "final");
    const head = await headOf(story);
    const old = (await story.anvil.rpc("eth_getBlockByNumber", [hex(head - 15), false])) as Header;
    story.proxies[0]?.behave({
      alter: (call, envelope) =>
        call.method === "eth_getBlockByNumber" && ["latest", "finalized"].includes(String(call.params[0]))
          ? { ...envelope, result: old }
          : envelope,
    });
    await story.poll();
    expect(chainRow(story)?.head_number).toBe(head - 15);
    expect(Number(topOf(story, "final"))).toBeLessThanOrEqual(head - 15);
    expect(story.log.join("\n")).not.toContain("finality_receded");
    story.proxies[0]?.behave();
    story.wait(600);
    await story.poll();
    expect([topOf(story), topOf(story, "final"), gapsOf(story)]).toEqual([head, final, []]);
  });
});
