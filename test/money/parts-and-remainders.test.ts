// Which order does a part pay, or the payment of a remainder, and what does it change that the sender has paid before?
// Several transfers that are one amount together are in split-payments.test.ts.

import { afterEach, describe, expect, test } from "bun:test";
import { createInbox } from "../../src/services/inbox.ts";
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
const day_ms = 86_400_000;
const assign = (transfer: number, order_id: string) => createInbox(till).assign(transfer, order_id, "operator", "test");
const kinds = () => till.rows<{ kind: string }>("SELECT kind FROM allocations ORDER BY id").map((row) => row.kind);
const fate = (row: { status: string; reason: string | null; likely_order: string | null }) => [
  row.status,
  row.reason,
  row.likely_order,
];
/** An order that was opened a minute ago. */
const asked = async (amount: string, sender: string | null = null) => {
  const order_id = await till.asked(amount, sender);
  till.advance(minute_ms);
  return order_id;
};

describe("in parts", () => {
  test("the expected sender pays with as many transfers as it likes", async () => {
    await begin();
    const order_id = await till.asked("20.00", ann);
    await till.receive({ amount: "5", sender: ann });
    await till.receive({ amount: "6.5", sender: ann });
    expect(till.status(order_id)).toBe("pending");
    expect(till.told("order_part_paid").at(-1)).toEqual({ received: "11.5", remaining: "8.5" });
    await till.receive({ amount: "8.5", sender: ann });
    expect([till.status(order_id), kinds()]).toEqual(["paid", ["part", "part", "part"]]);
    expect(till.rows("SELECT part, reason FROM transfers GROUP BY part, reason")).toEqual([{ part: 1, reason: null }]);
    expect(till.told("unknown_transfer")).toEqual([]);
  });

  test("the last one may be a little too much, and is flagged", async () => {
    await begin();
    const order_id = await till.asked("20.00", ann);
    await till.receive({ amount: "5", sender: ann });
    expect(fate(await till.receive({ amount: "16.51", sender: ann }))).toEqual([
      "waiting_for_match",
      "no_such_amount",
      order_id,
    ]);
    const last = await till.receive({ amount: "16.5", sender: ann });
    expect([till.status(order_id), kinds(), last.reason]).toEqual(["paid", ["part", "over"], "overpaid"]);
  });

  test("the rest may come from anywhere, when its amount says whose it is", async () => {
    await begin();
    const order_id = await till.asked("20.00");
    const first = await till.receive({ amount: "12", sender: exchange });
    expect(fate(first)).toEqual(["waiting_for_match", "short", order_id]);
    const assigned = { transfer: first, order_id, kind: "assign" as const };
    await till.database.transact((tx) => till.crediting.credit(tx, assigned));
    await till.receive({ amount: "8", sender: bob });
    expect([till.status(order_id), kinds()]).toEqual(["paid", ["assign", "part"]]);
  });

  test("the rest may come in a coin that was chosen only then", async () => {
    await begin();
    const order_id = await till.asked("20.00", ann);
    await till.receive({ amount: "12", sender: ann });
    await till.select(order_id, "DAI", "polygon");
    await till.receive({ amount: "8", sender: ann, chain: "polygon", coin: "DAI" });
    expect([till.status(order_id), kinds()]).toEqual(["paid", ["part", "part"]]);
  });

  test("a sender who began to pay an order may go on; one who pays many is an exchange", async () => {
    await begin();
    const [mine, other] = [await till.asked("20.00"), await till.asked("90.00")];
    const first = await till.receive({ amount: "12", sender: ann });
    const credit = (transfer: typeof first, order_id: string) =>
      till.database.transact((tx) => till.crediting.credit(tx, { transfer, order_id, kind: "assign" }));
    await credit(first, mine);
    await till.receive({ amount: "3", sender: ann });
    expect(till.told("order_part_paid").at(-1)).toEqual({ received: "15", remaining: "5" });

    await credit(await till.receive({ amount: "44", sender: exchange }), other);
    await till.receive({ amount: "5", sender: exchange });
    expect(till.status(mine)).toBe("paid");
    // The exchange has paid for two orders now: whose this is, nobody knows.
    expect(fate(await till.receive({ amount: "13", sender: exchange }))).toEqual(["waiting_for_match", "short", other]);
  });

  test("nothing is guessed for a sender of two orders, nor for a part that is another's amount", async () => {
    await begin();
    const [one, two] = [await till.asked("20.00", ann), await till.asked("30.00", ann)];
    expect(fate(await till.receive({ amount: "7", sender: ann }))).toEqual(["waiting_for_match", "ambiguous", null]);
    await till.checkout.cancel(two);
    expect(fate(await till.receive({ amount: "8", sender: ann }))).toEqual(["waiting_for_match", "ambiguous", null]);
    await till.order("9.00");
    const other = await till.order("9.00");
    await till.select(other, "DAI", "polygon");
    const third = await till.asked("40.00", bob);
    expect(fate(await till.receive({ amount: "9", sender: bob }))).toEqual(["waiting_for_match", "ambiguous", third]);
    expect([till.status(one), kinds()]).toEqual(["pending", []]);
  });

  test("seen in time and confirmed after the end, the last part pays", async () => {
    await begin();
    const order_id = await till.asked("20.00", ann);
    await till.receive({ amount: "5", sender: ann });
    const last = await till.arrive({ amount: "15", sender: ann });
    till.advance(2 * 3_600_000);
    await till.quiet();
    expect(await till.expiry.expireDue()).toBe(0);
    await till.confirm(last);
    expect(till.status(order_id)).toBe("paid");
  });

  test("that never become enough go to the inbox when the order expires, and later ones follow them", async () => {
    await begin();
    const order_id = await till.asked("20.00", ann);
    const first = await till.receive({ amount: "5", sender: ann });
    const seen = await till.arrive({ amount: "4", sender: ann });
    till.advance(2 * 3_600_000);
    await till.confirm(seen);
    await till.quiet();
    expect(await till.expiry.expireDue()).toBe(1);
    for (const id of [first.id, seen]) {
      expect(fate(till.transfer(id))).toEqual(["waiting_for_match", "order_ended", order_id]);
    }
    expect(till.told("unknown_transfer")).toMatchObject([{ order_id }, { order_id }]);
    expect(fate(await till.receive({ amount: "15", sender: ann }))).toEqual(["waiting_for_match", "late", order_id]);
    till.advance(day_ms);
  });

  test("cancelled with a part on its way, all of it goes to the inbox", async () => {
    await begin();
    const order_id = await till.asked("20.00", ann);
    await till.receive({ amount: "5", sender: ann });
    const last = await till.arrive({ amount: "15", sender: ann });
    await till.checkout.cancel(order_id);
    await till.confirm(last);
    expect(till.rows("SELECT status, reason, likely_order FROM transfers")).toEqual(
      Array.from({ length: 2 }, () => ({
        status: "waiting_for_match",
        reason: "order_ended",
        likely_order: order_id,
      })),
    );
  });

  test("an order that its sender has paid is no order that its next money could be meant for", async () => {
    await begin();
    const first = await till.asked("10.00", ann);
    await till.receive({ amount: "10.00", sender: ann });
    const second = await till.asked("20.00", ann);
    expect(till.status(first)).toBe("paid");
    const part = await till.receive({ amount: "7.31", sender: ann });
    expect(part).toMatchObject({ status: "matched", reason: null });
    await till.receive({ amount: "12.69", sender: ann });
    expect(till.status(second)).toBe("paid");
  });

  test("money of a known sender waits where another order asks for an amount within a twentieth of it", async () => {
    await begin();
    const own = await till.asked("40.00", ann);
    await till.asked("9.77");
    expect(await till.receive({ amount: "9.51", sender: ann })).toMatchObject({
      status: "waiting_for_match",
      reason: "ambiguous",
      likely_order: own,
    });
    expect(await till.receive({ amount: "8.51", sender: ann })).toMatchObject({ status: "matched" });
  });

  test("a part of an order that was marked paid by hand can be taken back, for it did not pay the order", async () => {
    await begin();
    const order = await till.asked("100", ann);
    const part = await till.receive({ amount: "30", sender: ann });
    await till.operator.markPaid(order, "admin", "the rest was cash");
    await createInbox(till).unassign(part.id, "admin", "wrong one");
    expect(till.transfer(part.id)).toMatchObject({ status: "waiting_for_match", reason: "unassigned" });
    expect(till.status(order)).toBe("paid");

    await till.asked("50.00");
    const whole = await till.receive({ amount: "50.00" });
    await expect(createInbox(till).unassign(whole.id, "admin", "wrong one")).rejects.toMatchObject({
      code: "order_paid_by_transfer",
    });
  });
});

describe("what is left after a part", () => {
  const reserved = (order_id: string) =>
    till
      .rows<{ units: string }>(
        "SELECT s.units FROM slots s JOIN deposits d ON d.id = s.deposit WHERE d.order_id = ? AND s.rest = 1 ORDER BY s.id",
        order_id,
      )
      .map(({ units }) => Number(units) / 1e6);
  const left = (order_id: string) =>
    till
      .rows<{ remainder: string }>("SELECT remainder FROM deposits WHERE order_id = ?", order_id)
      .map(({ remainder }) => Number(remainder) / 1e6);

  const rows: [what: string, other: string, left: string, is_reserved: boolean][] = [
    ["another's amount less a usual fee", "100.00", "99", false],
    ["another's amount plus a usual fee", "100.00", "101", false],
    ["another's amount cut", "19.99", "19.9", false],
    ["another's amount cut to whole coins", "19.99", "19", false],
    ["another's amount rounded", "19.99", "20", false],
    ["an amount that is another's once it is cut", "19.90", "19.99", false],
    ["an amount that is another's once it is rounded", "20.00", "19.6", false],
    ["an amount within the tolerance of another's", "19.75", "19.72", false],
    ["another amount", "19.90", "18.47", true],
  ];
  test.each(rows)("that is %s: %s, %s", async (_what, other, amount, is_reserved) => {
    await begin({ orders: { underpaid_tolerance: [{ amount: "0.05" }] } });
    await till.asked(other);
    const order_id = await till.asked("300.00", ann);
    const part = (300 - Number(amount)).toFixed(2);
    await till.receive({ amount: part, sender: ann });
    expect([reserved(order_id), left(order_id)]).toEqual([is_reserved ? [Number(amount)] : [], [Number(amount)]]);
  });

  test("keeps its reservation when another order opens beside it", async () => {
    await begin();
    const order_id = await till.asked("30.00", ann);
    await till.receive({ amount: "11", sender: ann });
    await till.asked("20.00");
    await till.select(order_id);
    expect(reserved(order_id)).toEqual([19]);
  });

  test("takes no payment of another order from whom an exchange kept its fee", async () => {
    await begin();
    const victim = await till.asked("100.00");
    const thief = await till.asked("150.00", bob);
    await till.receive({ amount: "51", sender: bob });
    expect(left(thief)).toEqual([99]);
    expect(fate(await till.receive({ amount: "99" }))).toEqual(["waiting_for_match", "fee_shortened", victim]);
    expect(till.status(thief)).toBe("pending");
  });

  test("is reserved again when it grows because a part left the chain", async () => {
    await begin();
    await till.asked("100", ann);
    const first = await till.receive({ amount: "30", sender: ann });
    await till.receive({ amount: "20", sender: ann });
    await till.quiet([first.id]);
    const remainders = till.rows<{ units: string }>("SELECT units FROM slots WHERE rest = 1 ORDER BY id DESC LIMIT 1");
    expect(remainders).toEqual([{ units: "80000000" }]);
  });
});

describe("what is left of the sender's own deposit", () => {
  test("beats a stranger's exact reservation", async () => {
    await begin();
    const [mine, stranger] = [await till.asked("20.00", ann), await till.asked("8.00")];
    await till.receive({ amount: "12", sender: ann });
    await till.receive({ amount: "8", sender: ann });
    expect([till.status(mine), till.status(stranger), kinds()]).toEqual(["paid", "pending", ["part", "part"]]);
    await till.receive({ amount: "8", sender: bob });
    expect(till.status(stranger)).toBe("paid");
  });

  test("is ambiguous beside a stranger's exact reservation where the sender has paid an earlier order as well", async () => {
    await begin();
    await till.asked("3.00");
    await till.receive({ amount: "3", sender: ann });
    const [mine, stranger] = [await till.asked("20.00"), await till.asked("8.00")];
    await assign((await till.receive({ amount: "12", sender: ann, coin: "USDC" })).id, mine);
    expect(fate(await till.receive({ amount: "8", sender: ann }))).toEqual(["waiting_for_match", "ambiguous", mine]);
    expect([till.status(mine), till.status(stranger)]).toEqual(["pending", "pending"]);
  });

  test("is ambiguous for a sender with the same left of two orders", async () => {
    await begin();
    const [one, two] = [await till.asked("20.00"), await till.asked("30.00")];
    await till.asked("8.00");
    await assign((await till.receive({ amount: "12", sender: ann, coin: "USDC" })).id, one);
    await assign((await till.receive({ amount: "22", sender: ann, coin: "USDC" })).id, two);
    expect(fate(await till.receive({ amount: "8", sender: ann }))).toEqual(["waiting_for_match", "ambiguous", null]);
  });

  test("beats no exact reservation where its sender has paid another order as well", async () => {
    await begin();
    await asked("30.00");
    await till.receive({ amount: "30", sender: exchange });
    const [thief, order_id] = [await asked("150.00"), await asked("99.00")];
    const { id } = await till.receive({ amount: "51", sender: exchange, coin: "USDC" });
    await createInbox(till).assign(id, thief, "operator", "test");
    const { reason } = await till.receive({ amount: "99", sender: exchange });
    expect<unknown>([till.status(thief), till.status(order_id), reason]).toEqual(["pending", "pending", "ambiguous"]);
  });
});

describe("a sender who has paid three orders", () => {
  const begun = async () => {
    for (const amount of ["1.00", "2.00", "3.00"]) {
      await till.asked(amount);
      await till.receive({ amount });
    }
    expect(kinds()).toEqual(["match", "match", "match"]);
  };

  test("may be an exchange: it pays exact amounts, and what is left of no order it began", async () => {
    await begin();
    await begun();
    const [first, stranger] = [await till.asked("20.00"), await till.asked("8.00")];
    await assign((await till.receive({ amount: "12", coin: "USDC" })).id, first);
    till.advance(60_000);
    await till.receive({ amount: "8" });
    expect([till.status(first), till.status(stranger)]).toEqual(["pending", "paid"]);
  });

  test("pays no parts and no overpayment because it was named as the expected one", async () => {
    await begin();
    await begun();
    const named = await till.asked("20.00", exchange);
    for (const amount of ["7", "21"]) {
      expect(fate(await till.receive({ amount }))).toEqual(["waiting_for_match", "ambiguous", named]);
    }
    await till.receive({ amount: "20" });
    expect(till.status(named)).toBe("paid");
  });

  test("is not one who has paid two of them, nor one whose payments left the chain", async () => {
    await begin();
    await begun();
    const [last] = till.rows<{ id: number }>("SELECT id FROM transfers ORDER BY id DESC");
    await till.quiet([last?.id ?? 0]);
    const named = await till.asked("20.00", exchange);
    await till.receive({ amount: "7" });
    expect(kinds().at(-1)).toBe("part");
    expect(till.status(named)).toBe("pending");
  });

  test("may be an exchange by what an operator assigned to orders that had ended", async () => {
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
});
