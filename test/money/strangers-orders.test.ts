// A stranger who opens orders at will, and what he cannot do with them: take, hold up or hide another payer's money.

import { afterEach, describe, expect, test } from "bun:test";
import { createInbox } from "../../src/services/inbox.ts";
import { testConfig } from "../support/server.ts";
import { ann, bob, exchange, startTill, type Till } from "../support/till.ts";

let till: Till;
const begin = async (...settings: Parameters<typeof startTill>) => {
  till = await startTill(...settings);
};
afterEach(async () => {
  till.audit();
  await till.stop();
});

const minute_ms = 60_000;
/** An order that was opened a minute ago. */
const asked = async (amount: string, sender: string | null = null) => {
  const order_id = await till.asked(amount, sender);
  till.advance(minute_ms);
  return order_id;
};
const assign = (id: number, order_id: string) => createInbox(till).assign(id, order_id, "operator", "test");
const waiting = () => till.rows("SELECT id, reason FROM transfers WHERE status = 'waiting_for_confirmation'");

describe("several transfers that are one order's amount together", () => {
  test("all count where the first of them nearly pay it already", async () => {
    await begin({ orders: { underpaid_tolerance: [{ millionths: 50_000n }] } });
    const order_id = await asked("100.00");
    await assign((await till.receive({ amount: "94", coin: "USDC" })).id, order_id);
    for (const amount of ["3.3", "2.7"]) await till.receive({ amount, sender: ann });
    expect([till.status(order_id), waiting()]).toEqual(["paid", []]);
  });

  test.each([
    ["from which the exchange kept its fee", "99", "6"],
    ["whose decimals were cut", "19", "86"],
    ["within the tolerance of it", "49.95", "55.05"],
  ])("never are one with another payer's money %s", async (_what, theirs, topped_up) => {
    await begin({ orders: { underpaid_tolerance: [{ amount: "0.10" }] } });
    const thief = await asked("105.00");
    for (const amount of ["100.00", "19.99", "50.00"]) await asked(amount);
    if (theirs === "49.95") await asked("50.01");
    const first = await till.receive({ amount: theirs, sender: exchange });
    await till.receive({ amount: topped_up, sender: exchange });
    await till.held.settleHeld();
    expect([till.status(thief), first.status]).toEqual(["pending", "waiting_for_match"]);
  });

  test("never are one with a payment that waits for its own order", async () => {
    await begin();
    const thief = await asked("48.50");
    const older = await asked("20.10");
    const order_id = await till.asked("20.00");
    const first = await till.receive({ amount: "20", sender: exchange });
    expect(first.reason).toBe("ambiguous");
    till.advance(minute_ms);
    await till.receive({ amount: "20.1", sender: bob });
    expect(till.status(older)).toBe("paid");
    await till.receive({ amount: "28.5", sender: exchange });
    expect(till.status(thief)).toBe("pending");
    await till.held.settleHeld();
    expect(till.status(order_id)).toBe("paid");
  });

  test("pay although somebody opened an order for the amount of one of them afterwards", async () => {
    await begin();
    const order_id = await asked("48.50");
    await till.receive({ amount: "20", sender: ann });
    await asked("20.00");
    await till.receive({ amount: "28.5", sender: ann });
    expect(till.status(order_id)).toBe("paid");
  });

  test.each([
    ["the amount of the second of them", "28.50", "pending" as const],
    ["little less than the second of them", "28.00", "paid" as const],
  ])("pay no order that somebody opened for %s in between", async (_what, amount, status) => {
    await begin();
    const order_id = await asked("48.50");
    await till.receive({ amount: "20", sender: ann });
    const thief = await asked(amount);
    await till.receive({ amount: "28.5", sender: ann });
    await till.held.settleHeld();
    expect([till.status(order_id), till.status(thief)]).toEqual([status, "pending"]);
  });

  test("pay no order that somebody opened for one of them when he saw their transaction", async () => {
    await begin();
    const order_id = await asked("5");
    const thief = await till.asked("2.3");
    const both = ["2.3", "2.7"].map((amount) => ({ amount, sender: ann }));
    for (const id of await till.arriveTogether(both)) await till.confirm(id);
    await till.held.settleHeld();
    expect([till.status(order_id), till.status(thief)]).toEqual(["pending", "pending"]);
  });

  test("pay no order that somebody opened for the rest before the first part is confirmed", async () => {
    await begin();
    const order_id = await asked("48.50", ann);
    const first = await till.arrive({ amount: "20", sender: ann });
    const thief = await asked("28.50");
    await till.receive({ amount: "28.5", sender: ann });
    expect([till.status(order_id), till.status(thief)]).toEqual(["pending", "pending"]);
    await till.confirm(first);
    await till.held.settleHeld();
    expect([till.status(order_id), till.status(thief)]).toEqual(["paid", "pending"]);
  });

  test("pay no other order after an order was opened for the amount of one of them", async () => {
    await begin();
    const [thief, order_id] = [await asked("48.50"), await asked("58.50")];
    await till.receive({ amount: "10", sender: ann });
    await asked("10.00");
    await till.receive({ amount: "20", sender: ann });
    await till.receive({ amount: "28.5", sender: ann });
    // Each may be a part of the other order: a person decides.
    expect([till.status(thief), till.status(order_id)]).toEqual(["pending", "pending"]);
  });

  test("pay although somebody made their sum the remainder of his own order afterwards", async () => {
    await begin();
    const order_id = await asked("48.50");
    await till.receive({ amount: "20", sender: ann });
    const other = await asked("50.00", bob);
    await till.receive({ amount: "1.5", sender: bob });
    await till.receive({ amount: "28.5", sender: ann });
    expect([till.status(order_id), till.status(other)]).toEqual(["paid", "pending"]);
  });

  const twoTiers = () => {
    const tiers = [
      { up_to: "30", finality: { blocks: 2 } },
      { up_to: null, finality: { blocks: 64 } },
    ];
    const { chains } = testConfig();
    const eth = chains.get("eth") ?? expect.unreachable("eth is configured");
    till.config.replace({
      ...till.config.current(),
      chains: new Map([...chains, ["eth", { ...eth, finality: tiers }]]),
    });
  };

  test("wait for the policy of their sum also where the newer one is confirmed first", async () => {
    await begin();
    twoTiers();
    await asked("48.50");
    await till.arrive({ amount: "20", sender: ann });
    const { status, finality } = await till.receive({ amount: "28.5", sender: ann });
    expect([status, finality]).toEqual(["waiting_for_confirmation", "64"]);
  });
});

describe("an exact payment that waits for another order's decimals", () => {
  test("is not held up longer by orders that were opened after it", async () => {
    await begin({ orders: { max_surcharge: "0.99" } });
    const [first, second] = [await asked("100"), await asked("100")];
    await till.receive({ amount: "100", sender: ann });
    for (let n = 0; n < 25; n++) await till.asked("100");
    await till.checkout.cancel(second);
    await till.held.settleHeld();
    expect(till.status(first)).toBe("paid");
  });

  test("is held up by one such order behind twenty whose payment is seen", async () => {
    await begin({ orders: { max_surcharge: "0.99" } });
    const first = await asked("100");
    const amounts: string[] = [];
    for (let n = 0; n < 22; n++) {
      const id = await till.order("100");
      amounts.push((await till.select(id)).amount);
    }
    till.advance(minute_ms);
    amounts.sort();
    for (const amount of amounts.slice(0, 21)) await till.arrive({ amount, sender: bob });
    const { reason } = await till.receive({ amount: "100", sender: ann });
    expect([till.status(first), reason]).toEqual(["pending", "ambiguous"]);
  });
});

describe("a payment that was certain when it was seen", () => {
  test("pays although many orders were opened near its amount before it was confirmed", async () => {
    await begin({ orders: { underpaid_tolerance: [{ amount: "0.10" }], max_surcharge: "0.99" } });
    const order_id = await asked("100.00");
    const id = await till.arrive({ amount: "99.95", sender: ann });
    for (let n = 0; n < 25; n++) await till.asked("99.96");
    await till.confirm(id);
    expect(till.status(order_id)).toBe("paid");
  });

  test("pays too much although many orders were opened near its amount before it was confirmed", async () => {
    await begin({ orders: { max_surcharge: "0.99" } });
    const order_id = await asked("100.00");
    const id = await till.arrive({ amount: "103", sender: ann });
    for (let n = 0; n < 25; n++) await till.asked("104.00");
    for (let n = 0; n < 25; n++) await till.asked("90.00");
    await till.confirm(id);
    expect(till.status(order_id)).toBe("paid");
  });

  test("pays a part although many orders were opened near its amount before it was confirmed", async () => {
    await begin({ orders: { max_surcharge: "0.99" } });
    const order_id = await asked("100.00", ann);
    const id = await till.arrive({ amount: "40", sender: ann });
    for (let n = 0; n < 25; n++) await till.asked("40.10");
    await till.confirm(id);
    await till.receive({ amount: "60", sender: ann });
    expect(till.status(order_id)).toBe("paid");
  });
});

describe("a held payment", () => {
  test("pays when another payment of its order was seen and then left the chain", async () => {
    await begin();
    const older = await till.asked("100.00");
    const order_id = await till.asked("99.00");
    await till.receive({ amount: "99", sender: ann });
    till.advance(minute_ms);
    await till.receive({ amount: "100", sender: bob });
    expect(till.status(older)).toBe("paid");
    const second = await till.arrive({ amount: "99", sender: bob });
    await till.held.settleHeld();
    await till.vanish(second);
    await till.held.settleHeld();
    expect(till.status(order_id)).toBe("paid");
  });

  test("stays in the inbox when an operator marks its order paid", async () => {
    await begin();
    await till.asked("100.00");
    const order_id = await till.asked("99.00");
    const { id } = await till.receive({ amount: "99", sender: ann });
    await till.operator.markPaid(order_id, "operator", "cash");
    till.advance(2 * minute_ms);
    await till.held.settleHeld();
    expect(till.transfer(id)).toMatchObject({ status: "waiting_for_match", reason: "ambiguous", held_for: null });
    expect(createInbox(till).list({ dust: false }, { limit: 10, offset: 0 })).toMatchObject([{ reason: "ambiguous" }]);
  });
});

test("an exchange is known by what an operator assigned to orders that had ended", async () => {
  await begin();
  for (const amount of ["10.00", "20.00", "30.00"]) {
    const order_id = await asked(amount);
    await till.checkout.cancel(order_id);
    const { id } = await till.receive({ amount, sender: exchange });
    await assign(id, order_id);
  }
  const order_id = await asked("48.50");
  for (const amount of ["20.5", "28"]) await till.receive({ amount, sender: exchange });
  expect(till.status(order_id)).toBe("pending");
});

test("what is left of an order beats no exact reservation where its sender has paid another order as well", async () => {
  await begin();
  await asked("30.00");
  await till.receive({ amount: "30", sender: exchange });
  const [thief, order_id] = [await asked("150.00"), await asked("99.00")];
  const { id } = await till.receive({ amount: "51", sender: exchange, coin: "USDC" });
  await createInbox(till).assign(id, thief, "operator", "test");
  const { reason } = await till.receive({ amount: "99", sender: exchange });
  expect<unknown>([till.status(thief), till.status(order_id), reason]).toEqual(["pending", "pending", "ambiguous"]);
});
