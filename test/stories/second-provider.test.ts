// Payments that two providers must confirm: what counts, what waits, and who is believed when they contradict each other.

import { afterEach, describe, expect, test } from "bun:test";
import { parseConfig } from "../../src/config/parse.ts";
import { type Consensus, consensus, type Opinion } from "../../src/domain/consensus.ts";
import type { ReceiptVerdict } from "../../src/domain/matching.ts";
import { configText } from "../support/appliance.ts";
import { payer, type Story, type StoryOptions, startStory, usd, wallet } from "../support/chain-story.ts";
import { altering, alteringLogs, answering, type Behaviour, type Call } from "../support/provider-proxy.ts";

const moved = { moved: { number: 7, hash: "0x07" } };
const elsewhere = { moved: { number: 7, hash: "0x77" } };

describe("what opinions come to", () => {
  const agreed = (verdict: Exclude<ReceiptVerdict, "unclear">): Consensus => ({ state: "agreed", verdict });
  const wanting: Consensus = { state: "wanting" };
  const disputed = (...outvoted: string[]): Consensus => ({ state: "disputed", outvoted });
  const rows: [Opinion["verdict"][], number, Consensus][] = [
    [[], 1, wanting],
    [["unclear"], 1, wanting],
    [["confirmed"], 1, agreed("confirmed")],
    [["confirmed"], 2, wanting],
    [["confirmed", "unclear"], 2, wanting],
    [["confirmed", "confirmed"], 2, agreed("confirmed")],
    [["unclear", "confirmed", "confirmed"], 2, agreed("confirmed")],
    [["gone", "gone"], 2, agreed("gone")],
    [[moved, moved], 2, agreed(moved)],
    [[moved, elsewhere], 2, disputed()],
    [["confirmed", "gone"], 2, disputed()],
    [["confirmed", "gone"], 1, disputed()],
    [["gone", "confirmed", "confirmed"], 2, disputed("0")],
    [["confirmed", "gone", moved], 2, disputed()],
    [["confirmed", "gone", "gone", "confirmed"], 2, disputed()],
    [["confirmed", "gone", "confirmed", moved], 2, disputed()],
    [["confirmed", "gone", "confirmed", moved, "confirmed"], 2, disputed("1", "3")],
    [["absent"], 2, wanting],
    [["absent", "absent"], 2, wanting],
    [["confirmed", "absent"], 2, disputed()],
    [["confirmed", "absent", "absent"], 2, disputed("0")],
    [["confirmed", "absent", "confirmed"], 2, agreed("confirmed")],
    [["gone", "absent", "gone"], 2, agreed("gone")],
  ];
  for (const [verdicts, needed, expected] of rows) {
    test(`${JSON.stringify(verdicts)} where ${needed} must agree is ${JSON.stringify(expected)}`, () => {
      const opinions = verdicts.map((verdict, i) => ({ provider: String(i), verdict }));
      expect(consensus(opinions, needed)).toEqual(expected);
    });
  }
});

describe("who is asked twice", () => {
  const urls = ["https://one.example/k", "https://two.example/k"];
  const verifyOf = (
    rpc_urls: readonly string[],
    verify?: string,
    finality = '[{ up_to = "500", finality = 2 }, { finality = 4 }]',
  ) => {
    const chain = { rpc_urls, wallets: [wallet], tokens: { USDT: { address: `0x${"1".repeat(40)}`, decimals: 6 } } };
    const { draft, problems, warnings } = parseConfig(
      configText({ chains: { eth: { ...chain, finality, ...(verify === undefined ? {} : { verify }) } } }),
      "/tmp/ocrch-config.toml",
    );
    return { verify: draft?.chains.get("eth")?.verify, problems, warnings };
  };

  test("without a word of the file all above the first tier, where two companies are listed", () => {
    expect(verifyOf(urls).verify).toEqual({ above: "500", asked: false });
    const three = '[{ up_to = "50", finality = 2 }, { up_to = "500", finality = 3 }, { finality = 4 }]';
    expect(verifyOf(urls, undefined, three).verify).toEqual({ above: "50", asked: false });
    expect(verifyOf(urls, undefined, "12").verify).toEqual({ above: null, asked: false });
    expect(verifyOf(urls.slice(1)).verify).toEqual({ above: null, asked: false });
    expect(verifyOf(["https://one.example/k1", "https://one.example/k2"]).verify).toEqual({
      above: null,
      asked: false,
    });
  });

  test("all, none or those above an amount, as the file says", () => {
    expect(verifyOf(urls, "true").verify).toEqual({ above: "0", asked: true });
    expect(verifyOf(urls, "false").verify).toEqual({ above: null, asked: true });
    expect(verifyOf(urls, '"99.50"').verify).toEqual({ above: "99.50", asked: true });
    expect(verifyOf(urls, "1000").problems.join()).toContain("chains.eth.verify: write true for every payment");
  });

  test("a second opinion that nobody can give is warned about", () => {
    expect(verifyOf(urls.slice(1), "true").warnings.join("\n")).toContain(
      "chains.eth.verify: takes providers of two companies",
    );
    expect(verifyOf(urls, "true").warnings).toEqual([]);
    expect(verifyOf(urls.slice(1), "false").warnings).toEqual([]);
  });
});

let started: Story[] = [];
async function begin(options: StoryOptions): Promise<Story> {
  const story = await startStory(options);
  started.push(story);
  return story;
}
afterEach(async () => {
  for (const story of started) await story.stop();
  started = [];
});

const down = answering(503, "");
/** Says of every transaction that it failed. */
const denying: Behaviour = altering<object | null>("eth_getTransactionReceipt", (receipt) =>
  receipt === null ? null : { ...receipt, status: "0x0" },
);

/** An order whose payment has ripened and waits for the next poll. */
async function ripe(story: Story, amount: number): Promise<string> {
  const order = await story.order(amount.toFixed(2));
  await story.poll();
  await story.select(order.id);
  await story.usdt.transfer(payer, wallet, usd(amount));
  await story.mine();
  await story.poll();
  await story.mine();
  return order.id;
}

describe("a payment that two must confirm", () => {
  test("counts once both do, and costs the second provider one reading", async () => {
    const story = await begin({ proxies: 2, verify: "true" });
    const order = await ripe(story, 5);
    await story.poll();
    expect(story.status(order)).toBe("paid");
    expect(story.proxies[1]?.calls("eth_getTransactionReceipt")).toBe(1);
  });

  test("waits while the second is down, and says so; counts when it is back", async () => {
    const story = await begin({ proxies: 2, verify: "true" });
    const order = await ripe(story, 5);
    story.proxies[1]?.behave(down);
    for (let minutes = 0; minutes < 30; minutes += 5) {
      await story.poll();
      story.wait(300);
    }
    expect(story.status(order)).toBe("pending");
    expect(story.log.filter((line) => line.includes("payments_held_back"))).toHaveLength(1);
    const held = () =>
      story.rows("SELECT held_since IS NOT NULL AS since, held_reason FROM chains WHERE chain = 'eth'");
    expect(held()).toMatchObject([{ since: 1 }]);
    expect(String(held()[0]?.held_reason)).toStartWith("1 payment is held back: second_opinion_missing: ");
    story.restart();
    expect(story.log.join("\n")).toContain("second_opinion_missing");
    story.proxies[1]?.reset();
    await story.poll();
    expect(story.status(order)).toBe("paid");
    expect(held()).toEqual([{ since: 0, held_reason: null }]);
  });

  test("waits with a reason where one provider is all there is", async () => {
    const story = await begin({ proxies: 1, verify: "true" });
    const order = await ripe(story, 5);
    await story.poll();
    expect(story.status(order)).toBe("pending");
    expect(story.log.join("\n")).toContain("there is no provider of another company");
  });

  test("smaller ones count at one word", async () => {
    const story = await begin({ proxies: 2, verify: '"5"' });
    const order = await ripe(story, 5);
    await story.poll();
    expect(story.status(order)).toBe("paid");
    expect(story.proxies[1]?.calls("eth_getTransactionReceipt")).toBe(0);
  });

  /** More payments above 500 than one round looks at, seen while the second provider is down. */
  async function crowd(story: Story): Promise<void> {
    for (let index = 0; index < 105; index++) await story.usdt.transfer(payer, wallet, usd(501) + BigInt(index));
    while (story.transfers().length < 105) {
      await story.mine();
      await story.poll();
    }
    story.proxies[1]?.behave(down);
  }
  const unconfirmed = (story: Story) => story.transfers().filter((row) => row.confirmed_at === null).length;

  test("holds up no smaller one of the same policy, however many wait", async () => {
    const story = await begin({ proxies: 2, verify: '"500"' });
    await crowd(story);
    const order = await ripe(story, 5);
    const held = () => String(story.rows("SELECT held_reason FROM chains")[0]?.held_reason);
    for (let polls = 0; polls < 3; polls++) await story.poll();
    expect([story.status(order), held()]).toEqual(["paid", expect.stringMatching(/^105 payments are held back: /)]);
    expect(story.log.filter((line) => line.includes("payments_held_back"))).toHaveLength(1);
    story.proxies[1]?.reset();
    story.wait(300);
    for (let polls = 0; polls < 4; polls++) await story.poll();
    expect([unconfirmed(story), held()]).toEqual([0, "null"]);
  });

  test("waits its ten minutes also where one round does not look at all that wait", async () => {
    const story = await begin({ proxies: 2, finality: '[{ up_to = "500", finality = 2 }, { finality = 2 }]' });
    await crowd(story);
    await story.mine();
    for (const seconds of [0, 0, 500, 0]) {
      story.wait(seconds);
      await story.poll();
    }
    expect(unconfirmed(story)).toBe(105);
    story.wait(100);
    for (let polls = 0; polls < 3; polls++) await story.poll();
    expect(unconfirmed(story)).toBe(0);
  });

  test("by our default waits ten minutes for the second and then counts, with a warning", async () => {
    const story = await begin({ proxies: 2, finality: '[{ up_to = "4", finality = 2 }, { finality = 2 }]' });
    const order = await ripe(story, 5);
    story.proxies[1]?.behave(down);
    await story.poll();
    story.wait(599);
    await story.poll();
    expect(story.status(order)).toBe("pending");
    story.wait(1);
    await story.poll();
    expect(story.status(order)).toBe("paid");
    expect(story.log.join("\n")).toContain("counted_without_second_opinion");
  });
});

describe("two that contradict each other", () => {
  test("count nothing and raise one alarm, for as long as it takes", async () => {
    const story = await begin({ proxies: 2, verify: "true" });
    const order = await ripe(story, 5);
    story.proxies[0]?.behave(denying);
    for (let polls = 0; polls < 3; polls++) await story.poll();
    expect(story.status(order)).toBe("pending");
    expect(story.transfers()).toMatchObject([{ status: "waiting_for_confirmation" }]);
    expect(story.log.filter((line) => line.includes(" error provider_disagrees"))).toHaveLength(1);
    story.wait(3600);
    await story.poll();
    expect(story.status(order)).toBe("pending");
    expect(story.log.filter((line) => line.includes(" error provider_disagrees"))).toHaveLength(2);
    story.proxies[0]?.reset();
    await story.poll();
    expect(story.status(order)).toBe("paid");
  });

  test("even where only our default asked, and patience has run out", async () => {
    const story = await begin({ proxies: 2, finality: '[{ up_to = "4", finality = 2 }, { finality = 2 }]' });
    const order = await ripe(story, 5);
    story.proxies[1]?.behave(denying);
    await story.poll();
    story.wait(3600);
    await story.poll();
    expect(story.status(order)).toBe("pending");
  });

  test("are told apart by a third: the one that stands alone is asked nothing, and the payment counts at the next poll", async () => {
    const story = await begin({ proxies: 3, verify: "true" });
    const order = await ripe(story, 5);
    const [liar] = story.proxies;
    liar?.behave(denying);
    await story.poll();
    expect(story.status(order)).toBe("pending");
    const before = liar?.requests();
    await story.poll();
    expect(story.status(order)).toBe("paid");
    expect(liar?.requests()).toBe(before);
  });
});

describe("providers that contradict each other", () => {
  test.each([
    [1, 0],
    [2, 1],
  ])("at %d looks in a row are told %d times", async (looks, times) => {
    const story = await begin({ proxies: 2, verify: "true" });
    const order = await ripe(story, 5);
    story.proxies[1]?.behave(denying);
    for (let look = 0; look < looks; look++) await story.poll();
    expect(story.status(order)).toBe("pending");
    expect(story.rows("SELECT held_reason FROM chains")[0]?.held_reason).toContain("provider_disagrees");
    story.proxies[1]?.behave();
    await story.poll();
    expect(story.status(order)).toBe("paid");
    expect(story.log.filter((line) => line.includes("error provider_disagrees"))).toHaveLength(times);
  });
});

describe("finality that two must vouch for", () => {
  const isTag = ({ method, params }: Call) => method === "eth_getBlockByNumber" && params[0] === "finalized";
  /** Says of its newest block that it is final. */
  const eager = (story: Story, at: string): Promise<Behaviour> =>
    story.anvil.rpc("eth_getBlockByNumber", [at, false]).then((block) => ({
      alter: (call, answer) => (isTag(call) ? { ...answer, result: block } : answer),
    }));
  const tagless: Behaviour = {
    refuse: (call) => (isTag(call) ? { code: -32602, message: "invalid argument 0" } : null),
  };
  const tagged = { slots: 16, finality: '"finalized"' };
  const finalized = async (story: Story) => {
    await story.mine(40);
    await story.poll();
  };

  test("is not what one of them says of the tag", async () => {
    const story = await begin({ proxies: 2, verify: "true", ...tagged });
    await finalized(story);
    const order = await ripe(story, 5);
    story.proxies[0]?.behave(await eager(story, "latest"));
    for (let polls = 0; polls < 3; polls++) {
      await story.poll();
      story.wait(3600);
    }
    expect(story.status(order)).toBe("pending");
    story.proxies[0]?.behave();
    await finalized(story);
    expect(story.status(order)).toBe("paid");
  });

  test("nor even where only our default asks for two", async () => {
    const tiers = '[{ up_to = "4", finality = 2 }, { finality = "finalized" }]';
    const story = await begin({ proxies: 2, slots: 16, finality: tiers });
    const order = await ripe(story, 5);
    story.proxies[1]?.behave(await eager(story, "earliest"));
    await story.mine(40);
    await story.poll();
    story.wait(3600);
    await story.poll();
    expect(story.status(order)).toBe("pending");
  });

  test("where blocks are counted, is counted from the lower head", async () => {
    const story = await begin({ proxies: 2, verify: "true", finality: "6" });
    const order = await ripe(story, 5);
    await story.mine(3);
    const behind = await story.anvil.rpc("eth_getBlockByNumber", ["latest", false]);
    story.proxies[1]?.behave({
      alter: (call, answer) => (call.params[0] === "latest" ? { ...answer, result: behind } : answer),
    });
    await story.mine(3);
    await story.poll();
    expect(story.status(order)).toBe("pending");
    expect(story.rows("SELECT held_reason FROM chains")).toEqual([{ held_reason: null }]);
    story.proxies[1]?.behave();
    await story.poll();
    expect(story.status(order)).toBe("paid");
  });

  test("waits for another company while the second one serves no tag", async () => {
    const story = await begin({ proxies: 2, verify: "true", ...tagged });
    const order = await ripe(story, 5);
    story.proxies[1]?.behave(tagless);
    await finalized(story);
    story.wait(3600);
    await story.poll();
    expect(story.status(order)).toBe("pending");
    expect(String(story.rows("SELECT held_reason FROM chains")[0]?.held_reason)).toContain("serves no finalized block");
    story.proxies[1]?.behave();
    story.wait(600);
    await story.poll();
    expect(story.status(order)).toBe("paid");
  });

  test("is no second word where the tag was the second one's already", async () => {
    const story = await begin({ proxies: 3, verify: "true", ...tagged });
    const order = await ripe(story, 5);
    story.proxies[0]?.behave(tagless);
    story.proxies[2]?.behave(down);
    await finalized(story);
    expect(story.status(order)).toBe("pending");
    story.proxies[2]?.reset();
    story.wait(600);
    await story.poll();
    expect(story.status(order)).toBe("paid");
  });

  test("by our default waits ten minutes for a second word, and then rests on one", async () => {
    const tiers = '[{ up_to = "4", finality = 2 }, { finality = "finalized" }]';
    const story = await begin({ proxies: 2, slots: 16, finality: tiers });
    const order = await ripe(story, 5);
    story.proxies[1]?.behave(tagless);
    await finalized(story);
    story.wait(500);
    await story.poll();
    expect(story.status(order)).toBe("pending");
    story.wait(100);
    await story.poll();
    expect(story.status(order)).toBe("paid");
    expect(story.log.join("\n")).toContain("counted_without_second_opinion");
  });

  test("of one whose finality stands still is told as what holds payments back", async () => {
    const story = await begin({ proxies: 2, verify: "true", ...tagged });
    const order = await ripe(story, 5);
    story.proxies[1]?.behave(await eager(story, "earliest"));
    await story.advance(3600);
    await finalized(story);
    expect(story.status(order)).toBe("pending");
    expect(String(story.rows("SELECT held_reason FROM chains")[0]?.held_reason)).toMatch(
      /^1 payment is held back: second_opinion_missing: .+ is \d+ seconds behind with what is final$/,
    );
  });

  test("is two companies' word as well where a third one stands still", async () => {
    const story = await begin({ proxies: 3, verify: "true", ...tagged });
    const order = await ripe(story, 5);
    story.proxies[1]?.behave(await eager(story, "earliest"));
    await finalized(story);
    expect(story.status(order)).toBe("paid");
  });

  test("costs one question a round, however many payments wait for it", async () => {
    const story = await begin({ proxies: 2, verify: "true", ...tagged });
    const asked = () => story.proxies[1]?.calls("eth_chainId") ?? 0;
    for (const amount of [5, 6, 7]) await ripe(story, amount);
    await story.mine(33);
    const before = asked();
    await story.poll();
    expect(story.transfers().map((row) => row.status)).toEqual(["matched", "matched", "matched"]);
    expect(story.proxies[1]?.seen().filter(isTag)).toHaveLength(1);
    expect(asked() - before).toBeLessThanOrEqual(2);
  });
});

describe("a page that its receipts contradict", () => {
  const forged: Behaviour = alteringLogs((logs) =>
    logs.map((log) => ({ ...log, transactionHash: `0x${"ab".repeat(32)}` })),
  );

  test("is read again by the other provider in the same poll: nothing forged is stored, and coverage names who read it", async () => {
    const story = await begin({ proxies: 2 });
    const order = await story.order("5.00");
    await story.poll();
    await story.select(order.id);
    const [liar, honest] = story.proxies;
    liar?.behave(forged);
    await story.usdt.transfer(payer, wallet, usd(5));
    await story.mine();
    await story.poll();
    await story.mine();
    await story.poll();
    expect(story.transfers()).toMatchObject([{ status: "matched", amount: "5" }]);
    expect(story.status(order.id)).toBe("paid");
    expect(story.log.join("\n")).toContain("page_contradicted");
    const newest = story.rows("SELECT provider FROM coverage WHERE pass = 'head' ORDER BY to_block DESC LIMIT 1");
    expect(newest).toEqual([{ provider: honest?.host }]);
  });

  test("by the only provider leaves that block unread, stores nothing forged, and is read again", async () => {
    const story = await begin({ proxies: 1 });
    const order = await story.order("5.00");
    await story.poll();
    await story.select(order.id);
    story.proxies[0]?.behave(forged);
    await story.usdt.transfer(payer, wallet, usd(5));
    await story.mine(2);
    await story.poll();
    expect(story.transfers()).toEqual([]);
    expect(story.log.join("\n")).toContain("does not stand in the block");
    expect(String(story.rows("SELECT unread_reason FROM chains")[0]?.unread_reason)).toContain("provider_inconsistent");
    story.proxies[0]?.reset();
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
  });
});
