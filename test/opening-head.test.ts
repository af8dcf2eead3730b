// What came first, a payment or the deposit: the head is asked for when a deposit is opened, so that a payment mined
// since the last poll is older. No honest payment is refused for it, and no answer to a payer waits for it.

import { afterEach, describe, expect, test } from "bun:test";
import { payer, type Story, startStory, usd, wallet } from "./support/chain-story.ts";
import { alteringHeaders, type Behaviour, hanging } from "./support/provider-proxy.ts";

let story: Story;
async function begin(options: Parameters<typeof startStory>[0] = {}): Promise<void> {
  story = await startStory({ verify: "false", proxies: 1, opening_heads: true, ...options });
  await story.poll();
}
afterEach(() => story.stop());

const clock_uncertainty_ms = 15_000;
const heard_in_time_ms = 900;

const headOf = async () => Number(await story.anvil.rpc("eth_blockNumber", []));
const openedHead = (id: number) => story.rows(`SELECT opened_head FROM deposits WHERE id = ${id}`)[0]?.opened_head;
const reasons = () => story.transfers().map(({ reason }) => reason);
const behave = (...behaviours: Behaviour[]) => story.proxies[0]?.behave(...behaviours);

/** Resolves with what `read` gives once it is what is expected, or with what it gave at last. */
async function soon(read: () => unknown, expected: unknown): Promise<unknown> {
  for (let tries = 0; tries < 400 && read() !== expected; tries++) await Bun.sleep(5);
  return read();
}

async function opened(amount: string): Promise<{ order: string; deposit: number }> {
  const { id: order } = await story.order(amount);
  const { id: deposit } = await story.select(order);
  return { order, deposit };
}

/** A deposit that was opened at the head of the chain, not at that of the last poll. */
async function openedAtHead(amount: string): Promise<string> {
  const { order, deposit } = await opened(amount);
  const head = await headOf();
  expect(await soon(() => openedHead(deposit), head)).toBe(head);
  return order;
}

async function readOn(): Promise<void> {
  for (let polls = 0; polls < 3; polls++) {
    await story.mine();
    await story.poll();
  }
}

/** States a head so many blocks ahead of the chain, in a block that is none of it. */
const ahead = (blocks: number) =>
  alteringHeaders((header, call) =>
    call.params[0] === "latest"
      ? { ...header, number: `0x${(Number(header.number) + blocks).toString(16)}`, hash: `0x${"f".repeat(64)}` }
      : header,
  );

async function payMined(amount: number): Promise<void> {
  await story.usdt.transfer(payer, wallet, usd(amount));
  await story.mine();
}

describe("the last poll is a minute old", () => {
  const frontRun = async () => {
    await story.advance(60);
    await payMined(7);
  };

  test("a payment mined before the deposit was opened is too early by height, within the uncertainty of the clock", async () => {
    await begin();
    await frontRun();
    const order = await openedAtHead("7.00");
    await readOn();
    expect([story.status(order), reasons()]).toEqual(["pending", ["too_early"]]);
    const [paid] = story.transfers();
    const opened_at = Number(story.rows("SELECT opened_at FROM deposits")[0]?.opened_at);
    expect((paid?.block_time ?? 0) * 1000).toBeGreaterThan(opened_at - clock_uncertainty_ms);
  });

  test("an honest payment mined in the next block pays", async () => {
    await begin();
    await frontRun();
    const order = await openedAtHead("9.00");
    await payMined(9);
    await readOn();
    expect([story.status(order), reasons()]).toEqual(["paid", ["no_such_amount", null]]);
  });

  test("an answer that takes longer than a second changes nothing", async () => {
    await begin();
    const recorded = await headOf();
    await frontRun();
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    const slow: Behaviour = {
      async request([call]) {
        asked.resolve();
        await answer.promise;
        const headers = { "content-type": "application/json" };
        const { body } = await fetch(story.anvil.url, { method: "POST", headers, body: JSON.stringify(call) });
        return new Response(body);
      },
    };
    behave(slow);
    const late = await opened("7.00");
    await asked.promise;
    behave();
    story.wait(1.1);
    answer.resolve();
    // The next question is asked once the first one has ended.
    await openedAtHead("8.00");
    expect(openedHead(late.deposit)).toBe(recorded);
  });

  test("a head further ahead than the chain's pace allows changes nothing", async () => {
    await begin();
    const recorded = await headOf();
    await frontRun();
    const told = Promise.withResolvers<void>();
    behave(
      ahead(1000),
      alteringHeaders((header) => {
        told.resolve();
        return header;
      }),
    );
    const { deposit } = await opened("7.00");
    await told.promise;
    behave();
    // Its answer may come a moment too late; that of the next one is in time.
    const { deposit: next } = await opened("8.00");
    await soon(() => openedHead(next), await headOf());
    await openedAtHead("9.00");
    expect(openedHead(deposit)).toBe(recorded);
  });
});

test("the payer's answer does not wait for a provider that never answers", async () => {
  await begin();
  const recorded = await headOf();
  behave(hanging);
  const { id } = await story.order("7.00");
  const deposit = await Promise.race([story.select(id), Bun.sleep(heard_in_time_ms).then(() => null)]);
  expect([deposit?.opened_head, openedHead(deposit?.id ?? 0)]).toEqual([recorded, recorded]);
});

test("many deposits that are opened together cost one question, and one more within the second", async () => {
  await begin();
  await story.mine(3);
  const head = await headOf();
  story.proxies[0]?.reset();
  const orders = await Promise.all(Array.from({ length: 5 }, (_, n) => story.order(`${n + 1}.00`)));
  const deposits = await Promise.all(orders.map(({ id }) => story.select(id)));
  for (const { id } of deposits) expect(await soon(() => openedHead(id), head)).toBe(head);
  expect(story.proxies[0]?.calls("eth_getBlockByNumber")).toBe(1);
  // The next question is a second after the last one, and an answer counts for the last second.
  await Bun.sleep(500);
  const later = await Promise.all(
    (await Promise.all(["6.00", "7.00"].map((one) => story.order(one)))).map(({ id }) => story.select(id)),
  );
  for (const { id } of later) expect(await soon(() => openedHead(id), head)).toBe(head);
  expect(story.proxies[0]?.calls("eth_getBlockByNumber")).toBe(2);
});

describe("a head that the chain does not keep refuses no honest payment", () => {
  const heard = async (blocks: number) => {
    await begin();
    const head = await headOf();
    behave(ahead(blocks));
    const { order, deposit } = await opened("7.00");
    expect(await soon(() => openedHead(deposit), head + blocks)).toBe(head + blocks);
    behave();
    return { order, deposit };
  };

  test("when the next poll shows a lower one", async () => {
    const { order, deposit } = await heard(2);
    await payMined(7);
    await story.poll();
    expect(openedHead(deposit)).toBeNull();
    await readOn();
    expect(story.status(order)).toBe("paid");
  });

  test.each([0, 3])("when another block stands at its height, and %d above it", async (more) => {
    const { order, deposit } = await heard(1);
    await payMined(7);
    await story.mine(more);
    await story.poll();
    expect(openedHead(deposit)).toBeNull();
    await readOn();
    expect(story.status(order)).toBe("paid");
  });

  test("when the process ended before a poll has looked at it", async () => {
    const { order, deposit } = await heard(1);
    story.restart();
    await payMined(7);
    await story.poll();
    expect(openedHead(deposit)).toBeNull();
    await readOn();
    expect(story.status(order)).toBe("paid");
  });
});
