// Which order does a transfer pay whose amount nobody was asked for: too little, too much, mistyped, or dust? Services over
// a real database; matching-rules.test.ts holds the same rules as tables.

import { afterEach, describe, expect, test } from "bun:test";
import { listInbox } from "../../src/storage/inbox.ts";
import { evm_wallet, testConfig } from "../support/server.ts";
import { ann, bob, startTill, type Till } from "../support/till.ts";

let till: Till;
const begin = async (...settings: Parameters<typeof startTill>) => {
  till = await startTill(...settings);
};
afterEach(async () => {
  till.audit();
  await till.stop();
});

const day_ms = 86_400_000;
const shown = () => till.database.read((at) => listInbox(at, { dust: false }, 100, 0)).map((transfer) => transfer.id);
const kinds = () => till.rows<{ kind: string }>("SELECT kind FROM allocations ORDER BY id").map((row) => row.kind);
const fate = (row: { status: string; reason: string | null; likely_order: string | null }) => [
  row.status,
  row.reason,
  row.likely_order,
];

describe("within the tolerance", () => {
  const tolerant = { orders: { underpaid_tolerance: [{ amount: "0.10" }, { millionths: 10_000n }] } };

  test("a payment a little short pays; the smaller bound holds", async () => {
    await begin(tolerant);
    const [large, small] = [await till.asked("50.00"), await till.asked("3.00")];
    await till.receive({ amount: "49.90" });
    await till.receive({ amount: "2.97" });
    expect([till.status(large), till.status(small)]).toEqual(["paid", "paid"]);
    expect(kinds()).toEqual(["tolerance", "tolerance"]);
  });

  test("a unit less than that waits, and names its order", async () => {
    await begin(tolerant);
    const order_id = await till.asked("50.00");
    expect(fate(await till.receive({ amount: "49.899999" }))).toEqual(["waiting_for_match", "short", order_id]);
  });

  test("of what is due: nearly the whole amount after a part is too much", async () => {
    await begin(tolerant);
    const order_id = await till.asked("50.00", ann);
    await till.receive({ amount: "40", sender: ann });
    expect(fate(await till.receive({ amount: "49.95", sender: ann }))).toEqual([
      "waiting_for_match",
      "no_such_amount",
      order_id,
    ]);
    await till.receive({ amount: "9.95", sender: ann });
    expect([till.status(order_id), kinds()]).toEqual(["paid", ["part", "tolerance"]]);
  });

  test("nothing pays when two orders could be meant, also when one of them is over", async () => {
    await begin(tolerant);
    const [one, two] = [await till.asked("50.00"), await till.asked("50.05")];
    expect(fate(await till.receive({ amount: "49.97" }))).toEqual(["waiting_for_match", "ambiguous", null]);
    await till.checkout.cancel(two);
    expect(fate(await till.receive({ amount: "49.98" }))).toEqual(["waiting_for_match", "ambiguous", null]);
    expect([till.status(one), kinds()]).toEqual(["pending", []]);
  });

  test("nothing pays that may be another order's: a little too much, cut, or less a fee", async () => {
    await begin(tolerant);
    const orders = [await till.asked("50.00"), await till.asked("50.04")];
    expect(fate(await till.receive({ amount: "50.01" }))).toEqual(["waiting_for_match", "ambiguous", null]);
    orders.push(await till.asked("20.00"), await till.asked("20.92"));
    expect(fate(await till.receive({ amount: "19.92" }))).toEqual(["waiting_for_match", "ambiguous", null]);
    orders.push(await till.asked("30.05"), await till.asked("30.99"));
    expect(fate(await till.receive({ amount: "30" }))).toEqual(["waiting_for_match", "ambiguous", null]);
    expect([orders.map(till.status).includes("paid"), kinds()]).toEqual([false, []]);
  });

  test("the exact amount wins over a guess that was seen first", async () => {
    await begin(tolerant);
    const order_id = await till.asked("50.00");
    const guess = await till.arrive({ amount: "49.95" });
    const exact = await till.arrive({ amount: "50.00", sender: ann });
    await till.confirm(guess);
    expect(fate(till.transfer(guess))).toEqual(["waiting_for_match", "duplicate", order_id]);
    await till.confirm(exact);
    expect([till.status(order_id), kinds()]).toEqual(["paid", ["match"]]);
  });

  test("a guess pays when the exact amount has left the chain", async () => {
    await begin(tolerant);
    const order_id = await till.asked("50.00");
    const exact = await till.arrive({ amount: "50.00", sender: ann });
    const guess = await till.arrive({ amount: "49.95" });
    expect(till.transfer(guess).deposit).toBe(null);
    await till.vanish(exact);
    expect(till.transfer(guess).deposit).not.toBe(null);
    await till.confirm(guess);
    expect(till.status(order_id)).toBe("paid");
  });

  test("seen in time and confirmed after the end, it pays", async () => {
    await begin(tolerant);
    const order_id = await till.asked("50.00");
    const seen = await till.arrive({ amount: "49.95" });
    till.advance(2 * 3_600_000);
    await till.quiet();
    expect(await till.expiry.expireDue()).toBe(0);
    await till.confirm(seen);
    expect(till.status(order_id)).toBe("paid");
  });
});

describe("more than was asked", () => {
  test("pays the only order it can be meant for, flagged with a reason", async () => {
    await begin();
    const order_id = await till.asked("10.00");
    const row = await till.receive({ amount: "11" });
    expect([till.status(order_id), kinds(), row.status, row.reason]).toEqual(["paid", ["over"], "matched", "overpaid"]);
  });

  test("by more than a tenth waits, and names the order: a stray 500 pays no order for 300", async () => {
    await begin();
    const order_id = await till.asked("300.00");
    expect(fate(await till.receive({ amount: "500" }))).toEqual(["waiting_for_match", "no_such_amount", order_id]);
    expect(fate(await till.receive({ amount: "330.000001" }))).toEqual([
      "waiting_for_match",
      "no_such_amount",
      order_id,
    ]);
    expect([till.status(order_id), kinds()]).toEqual(["pending", []]);
  });

  test("pays as far as the merchant says: by no share, or by the smaller of two bounds", async () => {
    await begin({ orders: { overpaid_tolerance: [{ amount: "0" }] } });
    const never = await till.asked("10.00");
    expect(fate(await till.receive({ amount: "10.01" }))).toEqual(["waiting_for_match", "no_such_amount", never]);
    till.config.replace(testConfig({ orders: { overpaid_tolerance: [{ millionths: 500_000n }, { amount: "3" }] } }));
    expect((await till.receive({ amount: "13.01" })).status).toBe("waiting_for_match");
    await till.receive({ amount: "13" });
    expect([till.status(never), kinds()]).toEqual(["paid", ["over"]]);
  });

  test("never pays when its amount was reserved here until that reservation's late window ended", async () => {
    await begin();
    const cancelled = await till.asked("10.90");
    await till.checkout.cancel(cancelled);
    const order_id = await till.asked("10.00");
    till.advance(day_ms / 2);
    const seen = await till.arrive({ amount: "10.90" });
    await till.releaseAll();
    await till.confirm(seen);
    expect([till.status(order_id), kinds()]).toEqual(["pending", []]);
  });

  test("pays when its amount was reserved once, and that reservation's late window is over", async () => {
    await begin({ orders: { lifetime_ms: 3 * day_ms } });
    await till.checkout.cancel(await till.asked("10.90"));
    await till.releaseAll();
    const order_id = await till.asked("10.00");
    till.advance(day_ms + 1000);
    await till.receive({ amount: "10.90" });
    expect([till.status(order_id), kinds()]).toEqual(["paid", ["over"]]);
  });

  test("waits when two orders are below it, or one above", async () => {
    await begin();
    await till.asked("10.00");
    const high = await till.asked("19.00");
    expect(fate(await till.receive({ amount: "12" }))).toEqual(["waiting_for_match", "short", high]);
    expect(fate(await till.receive({ amount: "19.5" }))).toEqual(["no_matched_deposit", "no_such_amount", null]);
    expect(kinds()).toEqual([]);
  });

  test("waits when it was asked for in another coin", async () => {
    await begin();
    await till.asked("10.00");
    const other = await till.order("12.00");
    await till.select(other, "USDC");
    const row = await till.receive({ amount: "12", coin: "USDT" });
    expect(fate(row)).toEqual(["waiting_for_match", "no_such_amount", other]);
  });

  test("is late like any other once the order has ended", async () => {
    await begin();
    const order_id = await till.asked("10.00");
    await till.checkout.cancel(order_id);
    expect(fate(await till.receive({ amount: "12" }))).toEqual(["waiting_for_match", "order_ended", order_id]);
  });
});

describe("the usual mistakes", () => {
  test("name their order: decimals left out, a fee kept", async () => {
    await begin();
    const [one, two] = [await till.asked("19.99"), await till.asked("250.00")];
    expect(fate(await till.receive({ amount: "19.9" }))).toEqual(["waiting_for_match", "cut", one]);
    expect(fate(await till.receive({ amount: "19" }))).toEqual(["waiting_for_match", "cut", one]);
    expect(fate(await till.receive({ amount: "249" }))).toEqual(["waiting_for_match", "fee_shortened", two]);
    expect(till.told("unknown_transfer")).toMatchObject([{ order_id: one }, { order_id: one }, { order_id: two }]);
  });

  test("pay where the tolerance covers them", async () => {
    await begin({ orders: { underpaid_tolerance: [{ millionths: 10_000n }] } });
    const order_id = await till.asked("250.00");
    await till.receive({ amount: "249" });
    expect([till.status(order_id), kinds()]).toEqual(["paid", ["tolerance"]]);
  });
});

describe("noise", () => {
  test("dust is kept and told to nobody, unless it was asked for", async () => {
    await begin();
    const order_id = await till.asked("0.009");
    expect(fate(await till.receive({ amount: "0.0099" }))).toEqual(["no_matched_deposit", "dust", null]);
    expect(till.told("unknown_transfer")).toEqual([]);
    await till.receive({ amount: "0.009" });
    expect(till.status(order_id)).toBe("paid");
  });

  const like = (address: string) => `${address.slice(0, 6)}${"ab".repeat(16)}${address.slice(-4)}`;

  test("so is less than a coin from an address made to look like a payer's or like a wallet", async () => {
    await begin();
    await till.asked("5.00");
    await till.receive({ amount: "5", sender: ann });
    for (const address of [ann, evm_wallet]) {
      const row = await till.receive({ amount: "0.999999", sender: like(address) });
      expect(fate(row)).toEqual(["no_matched_deposit", "lookalike", null]);
    }
    expect(till.told("unknown_transfer")).toEqual([]);
    expect(shown()).toEqual([]);
    // Nobody knows bob here, so nobody can look like him.
    expect((await till.receive({ amount: "77", sender: like(bob) })).reason).toBe("no_such_amount");
  });

  test("does not hide real money: a coin or more from a look-alike is told and shown with a warning", async () => {
    await begin({ orders: { underpaid_tolerance: [{ amount: "0.10" }] } });
    await till.asked("5.00");
    await till.receive({ amount: "5", sender: ann });
    const [one, meant] = [await till.receive({ amount: "1.7", sender: like(ann) }), await till.asked("77.00")];
    const close = await till.receive({ amount: "76.95", sender: like(ann) });
    expect([one, close].map(fate)).toEqual([
      ["no_matched_deposit", "lookalike", null],
      ["waiting_for_match", "lookalike", meant],
    ]);
    expect(till.told("unknown_transfer").map((event) => event.transfer_id)).toEqual([one.id, close.id]);
    expect(shown()).toEqual([close.id, one.id]);
    await till.quiet([close.id]);
    const [told] = till.rows<{ url: string }>("SELECT url FROM deliveries ORDER BY id DESC");
    expect([till.told("payment_reverted").length, told?.url]).toEqual([1, "https://shop.example.com/unknown"]);
    await till.receive({ amount: "77.00", sender: like(ann) });
    expect(till.status(meant)).toBe("paid");
  });
});
