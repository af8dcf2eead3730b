// What does an order get that is opened once its payment is visible on the chain? A thief's order gets nothing, a quick
// payer's is paid, and a payment that is held meanwhile pays by itself later.

import { afterEach, describe, expect, test } from "bun:test";
import { usual_fees } from "../../src/domain/surcharge.ts";
import { createHeldTransfers } from "../../src/services/held.ts";
import { createInbox } from "../../src/services/inbox.ts";
import { insertClaim } from "../../src/storage/claims.ts";
import { ann, bob, startTill, type Till } from "../support/till.ts";

let till: Till;
const begin = async (...settings: Parameters<typeof startTill>) => {
  till = await startTill(...settings);
};
afterEach(async () => {
  till.audit();
  await till.stop();
});

const minute_ms = 60_000;
const day_ms = 86_400_000;
const block_ms = 12_000;

const told = (id: number) => {
  const { status, reason, likely_order } = till.transfer(id);
  return [status, reason, likely_order];
};
const waits = ["waiting_for_match", "ambiguous", null];
const assign = (id: number, order_id: string) => createInbox(till).assign(id, order_id, "operator", "test");

/** A transfer mined three seconds before a thief opens an order for its amount, and read only then. */
async function frontRun(amount: string, sender?: string): Promise<{ thief: string; id: number }> {
  const thief = await till.asked(amount);
  const id = await till.arrive({ amount, ago_ms: block_ms + 3000, ...(sender === undefined ? {} : { sender }) });
  return { thief, id };
}

test("a thief's order for the second half does not hold up what is left of the sender's own order", async () => {
  await begin();
  const owed = await till.asked("60.00", ann);
  till.advance(minute_ms);
  const first = await till.arrive({ amount: "30", sender: ann });
  // Seen before the first half counts: then it may be meant for either.
  const { thief, id: second } = await frontRun("30", ann);
  expect(told(second).slice(1)).toEqual(["ambiguous", null]);
  await till.confirm(first);
  await till.confirm(second);
  expect([till.status(owed), till.status(thief)]).toEqual(["paid", "pending"]);
});

test("nor does one for the last third, when the second is not confirmed yet", async () => {
  await begin();
  const owed = await till.asked("60.00", ann);
  await till.receive({ amount: "24", sender: ann });
  const thief = await till.asked("24");
  till.advance(10 * minute_ms);
  const second = await till.arrive({ amount: "12", sender: ann });
  const third = await till.arrive({ amount: "24", sender: ann });
  expect(told(third).slice(1)).toEqual(["ambiguous", null]);
  for (const part of [second, third]) await till.confirm(part);
  expect([till.status(owed), till.status(thief)]).toEqual(["paid", "pending"]);
});

describe("a thief who opens an order three seconds after a payment was mined", () => {
  const stories: [what: string, owed: string, arrives: string][] = [
    ["from which an exchange kept its fee", "100.00", "99"],
    ["whose decimals were cut", "19.99", "19.9"],
    ["that was cut to whole coins", "19.99", "19"],
    ["that was rounded", "19.99", "20"],
    ["that is less within the tolerance", "50.00", "49.95"],
  ];
  test.each(stories)("takes nothing %s: %s owed, %s mined", async (_what, owed, arrives) => {
    await begin({ orders: { underpaid_tolerance: [{ amount: "0.10" }] } });
    const victim = await till.asked(owed);
    till.advance(10 * minute_ms);
    const { thief, id } = await frontRun(arrives);
    await till.confirm(id);
    expect(told(id)).toEqual(waits);
    expect(till.told("unknown_transfer")).toMatchObject([{ transfer_id: id }]);
    expect(await till.held.settleHeld()).toBe(0);
    await assign(id, victim);
    expect(till.status(thief)).toBe("pending");
  });

  test("takes no remainder that could not be reserved, and no part of the sender's own order", async () => {
    await begin();
    await till.asked("100.00");
    const [left, own] = [await till.asked("150.00", bob), await till.asked("70.00", ann)];
    await till.receive({ amount: "51", sender: bob });
    till.advance(10 * minute_ms);
    const remainder = await frontRun("99");
    const part = await frontRun("33.5", ann);
    for (const { id } of [remainder, part]) await till.confirm(id);
    expect([told(remainder.id), till.status(remainder.thief), till.status(left)]).toEqual([
      waits,
      "pending",
      "pending",
    ]);
    expect([told(part.id), till.status(part.thief), till.status(own)]).toEqual([waits, "pending", "pending"]);
  });

  test("takes nothing by a claim of the public hash", async () => {
    await begin();
    await till.asked("100.00");
    till.advance(10 * minute_ms);
    const { thief, id } = await frontRun("99");
    await till.database.transact((tx) => insertClaim(tx, id, thief));
    await till.confirm(id);
    await till.held.settleHeld();
    expect([till.status(thief), told(id)]).toEqual(["pending", waits]);
  });

  test("takes nothing when the transaction is mined again in a later block", async () => {
    await begin();
    await till.asked("100.00");
    till.advance(10 * minute_ms);
    const { thief, id } = await frontRun("99");
    till.advance(block_ms);
    const block = { number: 900, hash: "0xb900", time: Math.floor(till.now() / 1000) };
    await till.settlement.confirm("eth", [{ id, block_hash: till.transfer(id).block_hash, verdict: { moved: block } }]);
    await till.confirm(id);
    expect([told(id), till.status(thief)]).toEqual([waits, "pending"]);
  });
});

describe("an honest payer who is quick", () => {
  test("is paid at once when nothing older could be meant", async () => {
    await begin();
    await till.asked("73.30");
    const order_id = await till.asked("99.00");
    await till.receive({ amount: "99" });
    expect(till.status(order_id)).toBe("paid");
  });

  test("is paid at once when only a paid or a newer order could be meant", async () => {
    await begin();
    await till.asked("100.00");
    await till.receive({ amount: "100", sender: bob });
    const order_id = await till.asked("99.00");
    await till.asked("99.50");
    await till.receive({ amount: "99" });
    expect(till.status(order_id)).toBe("paid");
  });

  test("is paid at once when the shop expects this sender", async () => {
    await begin();
    await till.asked("100.00");
    const order_id = await till.asked("99.00", ann);
    await till.receive({ amount: "99", sender: ann });
    expect(till.status(order_id)).toBe("paid");
  });

  test("is paid at once when a minute has passed since the order was opened", async () => {
    await begin();
    await till.asked("100.00");
    const order_id = await till.asked("99.00");
    till.advance(minute_ms);
    await till.receive({ amount: "99" });
    expect(till.status(order_id)).toBe("paid");
  });
});

describe("a payment that waits because an older order could be meant", () => {
  const held = async () => {
    await begin();
    const older = await till.asked("100.00");
    const order_id = await till.asked("99.00");
    const id = await till.arrive({ amount: "99" });
    return { older, order_id, id };
  };

  test("pays by itself once other money has paid the older order", async () => {
    const { older, order_id, id } = await held();
    await till.confirm(id);
    await till.receive({ amount: "100", sender: bob });
    expect([till.status(older), till.status(order_id)]).toEqual(["paid", "pending"]);
    expect(await till.held.settleHeld()).toBe(1);
    expect([till.status(order_id), till.transfer(id).status]).toEqual(["paid", "matched"]);
    expect(await till.held.settleHeld()).toBe(0);
  });

  test("pays by itself as a small overpayment, too", async () => {
    await begin();
    const older = await till.asked("300.00");
    till.advance(10 * minute_ms);
    const younger = await till.asked("98.00");
    const id = await till.arrive({ amount: "99", ago_ms: block_ms + 3000 });
    const part = await till.receive({ amount: "201", sender: bob });
    await assign(part.id, older);
    await till.confirm(id);
    expect([told(id), await till.held.settleHeld()]).toEqual([waits, 0]);
    await till.receive({ amount: "99", sender: bob });
    expect(till.status(older)).toBe("paid");
    expect(await till.held.settleHeld()).toBe(1);
    expect([till.status(younger), till.transfer(id).reason]).toEqual(["paid", "overpaid"]);
  });

  test("pays when it is confirmed if the older order was paid by then", async () => {
    const { order_id, id } = await held();
    await till.receive({ amount: "100", sender: bob });
    await till.confirm(id);
    expect(till.status(order_id)).toBe("paid");
  });

  test("pays by itself once the reservation of the older order is released, also after a restart", async () => {
    await begin({ orders: { lifetime_ms: 3 * day_ms } });
    const older = await till.asked("100.00");
    await till.checkout.cancel(older);
    const order_id = await till.asked("99.00");
    const { id } = await till.receive({ amount: "99" });
    expect(await till.held.settleHeld()).toBe(0);
    till.advance(day_ms);
    await till.releaseAll();
    const restarted = createHeldTransfers(till);
    expect(await restarted.settleHeld()).toBe(1);
    expect([till.status(order_id), till.transfer(id).reason]).toEqual(["paid", null]);
  });

  test("waits for an order that was cancelled with just this left, until its reservation is released", async () => {
    await begin({ orders: { lifetime_ms: 3 * day_ms } });
    const older = await till.asked("150.00");
    till.advance(10 * minute_ms);
    const { thief, id } = await frontRun("99");
    const part = await till.receive({ amount: "51", sender: bob });
    await assign(part.id, older);
    await till.confirm(id);
    expect(told(id)).toEqual(waits);
    await till.checkout.cancel(older);
    expect(await till.held.settleHeld()).toBe(0);
    till.advance(day_ms);
    await till.releaseAll();
    expect(await till.held.settleHeld()).toBe(1);
    expect(till.status(thief)).toBe("paid");
  });

  test("keeps its order from expiring by the clock, up to the end of the late window", async () => {
    const { order_id, older, id } = await held();
    await till.confirm(id);
    till.advance(2 * 60 * minute_ms);
    await till.quiet();
    await till.expiry.expireDue();
    expect([till.status(order_id), till.status(older)]).toEqual(["pending", "expired"]);
    till.advance(day_ms);
    await till.expiry.expireDue();
    expect(till.status(order_id)).toBe("expired");
    expect(await till.held.settleHeld()).toBe(0);
    expect(told(id)).toEqual(waits);
  });

  test("pays nothing by itself that an operator has dismissed or that left the chain", async () => {
    const { id } = await held();
    await till.confirm(id);
    await createInbox(till).dismiss(id, "operator", "sent back");
    await till.receive({ amount: "100", sender: bob });
    expect(await till.held.settleHeld()).toBe(0);
  });

  test("is asked about in turns, so that many others that wait hide none", async () => {
    await begin();
    const older = Array.from({ length: 9 }, (_, n) => `${(n + 1) * 1000}.00`);
    for (const amount of older) await till.asked(amount);
    for (const amount of older) {
      for (const fee of usual_fees) {
        const less = (Number(amount) - Number(fee)).toFixed(2);
        await till.asked(less);
        await till.receive({ amount: less });
      }
    }
    expect(till.rows("SELECT id FROM transfers WHERE held_for IS NOT NULL")).toHaveLength(9 * usual_fees.length);
    await till.receive({ amount: "9000", sender: bob });
    const settled: number[] = [];
    for (let calls = 0; calls < 2 * usual_fees.length; calls++) settled.push(await till.held.settleHeld());
    expect(settled.reduce((sum, one) => sum + one, 0)).toBe(usual_fees.length);
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
