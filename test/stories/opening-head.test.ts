// What came first, a payment or the deposit: the head is asked for when a deposit is opened, so that a payment mined
// since the last poll is older. No honest payment is refused for it, and no answer to a payer waits for it.

import { afterEach, describe, expect, test } from "bun:test";
import { payer, type Story, startStory, usd, wallet } from "../support/chain-story.ts";
import { alteringHeaders, type Behaviour, hanging } from "../support/provider-proxy.ts";

let story: Story;
/** The chain's clock is measured, so coarsely that time alone finds no payment of the last seconds too early. */
async function begin(chain_ahead_s = 0): Promise<void> {
  story = await startStory({ verify: "false", proxies: 1, opening_heads: true });
  await story.poll();
  if (chain_ahead_s > 0) await story.anvil.rpc("evm_increaseTime", [chain_ahead_s]);
  else story.wait(-chain_ahead_s);
  await story.advance(12);
  await story.poll();
}
afterEach(() => story.stop());

const clock_uncertainty_ms = 14_000;
const heard_in_time_ms = 900;

const headOf = async () => Number(await story.anvil.rpc("eth_blockNumber", []));
const columnOf = (id: number, column: string) =>
  story.rows(`SELECT ${column} FROM deposits WHERE id = ${id}`)[0]?.[column];
const heardHead = (id: number) => columnOf(id, "head_after_opening");
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

/** A deposit whose opening was answered with the head of the chain. */
async function heardAfterOpening(amount: string): Promise<{ order: string; deposit: number }> {
  const one = await opened(amount);
  const head = await headOf();
  expect(await soon(() => heardHead(one.deposit), head)).toBe(head);
  return one;
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

/** The answer to each question leaves only when `until` has ended. */
function answeredAfter(until: () => Promise<unknown>): Behaviour {
  return {
    async request(calls) {
      await until();
      const headers = { "content-type": "application/json" };
      return fetch(story.anvil.url, {
        method: "POST",
        headers,
        body: JSON.stringify(calls.length > 1 ? calls : calls[0]),
      });
    },
  };
}

async function payMined(amount: number): Promise<void> {
  await story.usdt.transfer(payer, wallet, usd(amount));
  await story.mine();
}

describe.each([0, 8, -8])("on a chain whose clock is %d s ahead of ours, a minute after the last poll", (ahead_s) => {
  test("a payment mined four seconds before a thief opens an order for it is too early", async () => {
    await begin(ahead_s);
    await story.advance(60);
    await payMined(7);
    story.wait(4);
    const { order, deposit } = await heardAfterOpening("7.00");
    await readOn();
    expect([story.status(order), reasons()]).toEqual(["pending", ["too_early"]]);
    const [paid] = story.transfers();
    expect(paid?.block_number).toBeGreaterThan(Number(columnOf(deposit, "opened_head")));
    const opening = Number(columnOf(deposit, "opened_at")) + Number(columnOf(deposit, "opened_ahead_ms"));
    expect((paid?.block_time ?? 0) * 1000).toBeGreaterThan(opening - clock_uncertainty_ms);
  });

  test("an honest payment that is mined before the head is heard pays, in the second of the opening", async () => {
    await begin(ahead_s);
    await story.advance(60);
    let asked = 0;
    behave(
      answeredAfter(async () => {
        asked += 1;
        if (asked > 1) return;
        await payMined(7);
        await story.mine(3);
      }),
    );
    const { order, deposit } = await opened("7.00");
    await soon(() => heardHead(deposit) !== null, true);
    behave();
    await readOn();
    expect(story.transfers()[0]?.block_number).toBeLessThan(Number(heardHead(deposit)));
    expect([story.status(order), reasons()]).toEqual(["paid", [null]]);
  });
});

test("an honest payment mined in the next block pays", async () => {
  await begin();
  await story.advance(60);
  const { order } = await heardAfterOpening("9.00");
  await payMined(9);
  await readOn();
  expect(story.status(order)).toBe("paid");
});

test("an answer that takes longer than half a second changes nothing", async () => {
  await begin();
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  behave(
    answeredAfter(async () => {
      asked.resolve();
      await answer.promise;
    }),
  );
  const { deposit } = await opened("7.00");
  await asked.promise;
  behave();
  story.wait(0.6);
  answer.resolve();
  // The next question is asked once the first one has ended.
  await heardAfterOpening("8.00");
  expect(heardHead(deposit)).toBeNull();
});

test("a head a minute behind the chain's clock changes nothing", async () => {
  await begin();
  const told = Promise.withResolvers<void>();
  behave(
    alteringHeaders((header) => {
      told.resolve();
      return { ...header, timestamp: `0x${(Number(header.timestamp) - 60).toString(16)}` };
    }),
  );
  const { deposit } = await opened("7.00");
  await told.promise;
  behave();
  await heardAfterOpening("8.00");
  expect(heardHead(deposit)).toBeNull();
});

test("nothing is asked while the chain's clock is not known", async () => {
  story = await startStory({ verify: "false", proxies: 1, opening_heads: true });
  await story.poll();
  story.proxies[0]?.reset();
  const { deposit } = await opened("7.00");
  await Bun.sleep(100);
  expect([heardHead(deposit), story.proxies[0]?.calls()]).toEqual([null, 0]);
});

test("an opening waits for no provider, and a provider that never answers is asked once", async () => {
  await begin();
  story.proxies[0]?.reset();
  behave(hanging);
  const openings = Promise.all(["7.00", "8.00", "9.00"].map(opened));
  const answered = await Promise.race([openings, Bun.sleep(heard_in_time_ms).then(() => null)]);
  expect(answered).toHaveLength(3);
  for (const amount of ["10.00", "11.00"]) {
    await Bun.sleep(300);
    await opened(amount);
  }
  expect(story.proxies[0]?.calls()).toBe(1);
});

test("deposits that are opened together cost one question, and one more soon after", async () => {
  await begin();
  await story.mine(3);
  story.proxies[0]?.reset();
  const together = async (...amounts: string[]) => {
    const head = await headOf();
    const deposits = await Promise.all(amounts.map(opened));
    for (const { deposit } of deposits) expect(await soon(() => heardHead(deposit), head)).toBe(head);
  };
  await together("1.00", "2.00", "3.00", "4.00", "5.00");
  expect(story.proxies[0]?.calls("eth_getBlockByNumber")).toBe(1);
  await together("6.00", "7.00");
  expect(story.proxies[0]?.calls("eth_getBlockByNumber")).toBe(2);
});

describe("a head that is not the chain's refuses no honest payment", () => {
  test.each([2, 1000])("%d blocks ahead of it", async (blocks) => {
    await begin();
    behave(ahead(blocks));
    const head = await headOf();
    const { order, deposit } = await opened("7.00");
    expect(await soon(() => heardHead(deposit), head + blocks)).toBe(head + blocks);
    behave();
    await payMined(7);
    await readOn();
    expect(story.status(order)).toBe("paid");
  });
});
