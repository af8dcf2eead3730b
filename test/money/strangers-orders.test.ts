// Can a stranger take, delay or hide another payer's money by opening orders around it? An order opened after the payment
// was seen is in front-running.test.ts.

import { afterEach, describe, expect, test } from "bun:test";
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

describe("several transfers that are one order's amount together", () => {
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
