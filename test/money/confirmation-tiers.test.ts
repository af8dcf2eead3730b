// Which confirmation policy a payment waits for: tiers apply to what its order receives in all.

import { Database as Sqlite } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { payer, startStory, usd, wallet } from "../support/chain-story.ts";
import { ann, startTill, type Till } from "../support/till.ts";

// Ethereum's own tiers: 12 blocks and 120 s up to 1,000, the finalized block above.
const [small, together] = ["12+120s", "finalized+12+120s"];

describe("five transfers of 1,000 for one order of 5,000", () => {
  let till: Till;
  afterEach(async () => {
    till.audit();
    await till.stop();
  });
  const policies = (ids: readonly number[]) => ids.map((id) => till.transfer(id).finality);

  test("wait for the policy of 5,000, the first of them as well", async () => {
    till = await startTill();
    await till.asked("5000", ann);
    const ids = [await till.arrive({ amount: "1000", sender: ann })];
    expect(policies(ids)).toEqual([small]);
    for (let n = 2; n <= 5; n++) ids.push(await till.arrive({ amount: "1000", sender: ann }));
    expect(policies(ids)).toEqual([together, together, together, together, together]);
  });

  test("wait for it also where the first of them is confirmed before the others come", async () => {
    till = await startTill();
    await till.asked("5000", ann);
    await till.receive({ amount: "1000", sender: ann });
    const second = await till.arrive({ amount: "1000", sender: ann });
    expect(policies([second])).toEqual([together]);
  });

  test("that were bound with a weaker policy are held to it when they are confirmed", async () => {
    till = await startTill();
    const order = await till.asked("2000", ann);
    const ids = await till.arriveTogether([
      { amount: "1000", sender: ann },
      { amount: "1000", sender: ann },
    ]);
    const writer = new Sqlite(till.rows<{ file: string }>("PRAGMA database_list")[0]?.file ?? "");
    writer.run("UPDATE transfers SET finality = '12+120s'");
    writer.close();
    await till.confirm(ids[0] ?? 0);
    expect(till.transfer(ids[0] ?? 0)).toMatchObject({ status: "waiting_for_confirmation", finality: together });
    expect(till.transfer(ids[0] ?? 0).deposit).not.toBeNull();
    expect(policies(ids)).toEqual([together, together]);
    for (const id of ids) await till.confirm(id);
    expect(till.status(order)).toBe("paid");
  });

  test("of different orders are five small payments", async () => {
    till = await startTill();
    const ids: number[] = [];
    for (let n = 0; n < 5; n++) {
      await till.asked(`${1000 - n}`);
      ids.push(await till.arrive({ amount: `${1000 - n}` }));
    }
    expect(policies(ids)).toEqual([small, small, small, small, small]);
  });
});

test("on a chain two transfers of 1,000 do not pay 2,000 before the policy of 2,000 is met", async () => {
  const story = await startStory({ finality: '[{ up_to = "1000", finality = 2 }, { finality = 6 }]' });
  await story.poll();
  const order = await story.order("2000", payer);
  await story.select(order.id);
  await story.usdt.transfer(payer, wallet, usd(1000));
  await story.usdt.transfer(payer, wallet, usd(1000));
  await story.mine(3);
  await story.poll();
  await story.poll();
  expect(story.status(order.id)).toBe("pending");
  await story.mine(3);
  await story.poll();
  expect(story.status(order.id)).toBe("paid");
  await story.stop();
}, 300_000);

test("two transfers of 300 for one order take two providers where those above 500 do", async () => {
  const story = await startStory({ proxies: 2, verify: '"500"' });
  await story.poll();
  const order = await story.order("600", payer);
  await story.select(order.id);
  await story.usdt.transfer(payer, wallet, usd(300));
  await story.usdt.transfer(payer, wallet, usd(300));
  await story.mine();
  await story.poll();
  await story.mine(3);
  story.proxies[1]?.behave({ request: () => Promise.resolve(new Response("", { status: 503 })) });
  await story.poll();
  await story.poll();
  expect(story.status(order.id)).toBe("pending");
  story.proxies[1]?.reset();
  story.wait(300);
  for (let polls = 0; polls < 3; polls++) await story.poll();
  expect(story.status(order.id)).toBe("paid");
  await story.stop();
}, 300_000);
