// What money does to an order: pays it, pays a part of it, stays beside it, or is refused; to the unit, over all coins.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { AllocationKind } from "../../src/domain/payment.ts";
import type { CreditEffect } from "../../src/services/crediting.ts";
import { orderById } from "../../src/storage/orders.ts";
import { exchange, startTill, type Till } from "../support/till.ts";

let till: Till;
beforeEach(async () => {
  till = await startTill({ orders: { underpaid_tolerance: [{ amount: "0.10" }, { millionths: 5_000n }] } });
});
afterEach(async () => {
  till.audit();
  await till.stop();
});

const credit = (transfer: number, order_id: string, kind: AllocationKind = "assign") =>
  till.database.transact((tx) => till.crediting.credit(tx, { transfer: till.transfer(transfer), order_id, kind }));
const foresee = (transfer: number, order_id: string, kind: AllocationKind = "assign") =>
  till.database.read((at) => till.crediting.previewCredit(at, { transfer: till.transfer(transfer), order_id, kind }));

/** Money that fits nothing and waits for a person. */
const found = async (amount: string, coin: "USDT" | "USDC" = "USDT") => (await till.receive({ amount, coin })).id;

describe("what a transfer would do to an order", () => {
  const states = {
    pending: async () => till.asked("20.00"),
    expired: async () => {
      const id = await till.order("20.00");
      till.advance(4_000_000);
      await till.expiry.expireDue();
      return id;
    },
    cancelled: async () => {
      const id = await till.asked("20.00");
      await till.checkout.cancel(id);
      return id;
    },
    "marked paid": async () => {
      const id = await till.asked("20.00");
      await till.operator.markPaid(id, "test", "cash");
      return id;
    },
    paid: async () => {
      const id = await till.asked("20.00");
      await till.receive({ amount: "20.00" });
      return id;
    },
  };
  type State = keyof typeof states;
  const rows: [
    state: State,
    amount: string,
    kind: AllocationKind,
    effect: CreditEffect,
    remaining: string,
    excess: string,
  ][] = [
    ["pending", "20.03", "assign", "pays", "0", "0.03"],
    ["pending", "20", "match", "pays", "0", "0"],
    ["pending", "19.9", "tolerance", "pays", "0", "0"],
    ["pending", "19.899999", "tolerance", "part", "0.100001", "0"],
    ["pending", "7.000001", "part", "part", "12.999999", "0"],
    ["expired", "20", "assign", "pays", "0", "0"],
    ["expired", "19.91", "assign", "pays", "0", "0"],
    ["expired", "12", "assign", "attaches", "8", "0"],
    ["expired", "20", "match", "refused", "0", "0"],
    ["expired", "20", "claim", "refused", "0", "0"],
    ["cancelled", "25", "assign", "pays", "0", "5"],
    ["cancelled", "1", "assign", "attaches", "19", "0"],
    ["cancelled", "20", "part", "refused", "0", "0"],
    ["marked paid", "20", "assign", "attaches", "0", "0"],
    ["marked paid", "21", "assign", "attaches", "0", "1"],
    ["marked paid", "20", "over", "refused", "0", "0"],
    ["paid", "20", "assign", "refused", "0", "20"],
  ];
  test.each(rows)("%s, %s by %s: %s", async (state, amount, kind, effect, remaining, excess) => {
    const order_id = await states[state]();
    // In the coin of nobody's deposit, so that nothing is matched on the way.
    const transfer = await found(amount, "USDC");
    const before = till.status(order_id);
    expect(foresee(transfer, order_id, kind)).toMatchObject({ effect, remaining, excess });

    const done = credit(transfer, order_id, kind);
    if (effect === "refused") {
      await expect(done).rejects.toMatchObject({ code: "order_not_pending" });
      expect(till.transfer(transfer).status).not.toBe("matched");
      return;
    }
    expect(await done).toMatchObject({ effect, remaining, excess });
    expect(till.status(order_id)).toBe(effect === "pays" ? "paid" : before);
    const flagged = effect === "attaches" && before !== "paid" ? "order_ended" : excess === "0" ? null : "overpaid";
    expect(till.transfer(transfer)).toMatchObject({ status: "matched", reason: flagged });
  });

  test("an order nobody knows", async () => {
    const transfer = await found("1");
    await expect(credit(transfer, "x")).rejects.toMatchObject({ code: "order_not_found" });
  });

  test("a transfer pays one order, whoever asks twice", async () => {
    const [one, two] = [await till.asked("20.00"), await till.asked("30.00")];
    const transfer = await found("5");
    await credit(transfer, one);
    await expect(credit(transfer, two)).rejects.toThrow("UNIQUE constraint failed: allocations.transfer");
  });
});

describe("an order paid in parts", () => {
  test("stays pending and says what is missing until the sum is there; over coins, to the unit", async () => {
    const order_id = await till.order("20.00");
    await till.select(order_id);
    await till.select(order_id, "DAI", "polygon");
    await credit(await found("7.5"), order_id);
    await credit(await found("2.500001", "USDC"), order_id);
    expect(till.told("order_part_paid")).toEqual([
      { received: "7.5", remaining: "12.5" },
      { received: "10.000001", remaining: "9.999999" },
    ]);
    expect(till.status(order_id)).toBe("pending");
    const rests = till.rows("SELECT coin, units, rest FROM slots WHERE rest = 1 ORDER BY id");
    expect(rests).toEqual([
      { coin: "USDT", units: "12500000", rest: 1 },
      { coin: "DAI", units: "12500000000000000000", rest: 1 },
      { coin: "USDT", units: "9999999", rest: 1 },
      { coin: "DAI", units: "9999999000000000000", rest: 1 },
    ]);
    const last = await found("9.9", "USDC");
    await credit(last, order_id);
    expect(till.status(order_id)).toBe("paid");
    expect(till.database.read((at) => orderById(at, order_id))?.cause).toBe("pay");
    expect(till.told("order_status_changed").map((event) => event.status)).toEqual(["paid"]);
    expect(till.rows("SELECT part, reason FROM transfers")).toEqual([
      { part: 1, reason: null },
      { part: 0, reason: null },
      { part: 0, reason: null },
    ]);
  });

  test("and more than that is flagged on the part that was too much", async () => {
    const order_id = await till.asked("20.00");
    const [first, second] = [await found("15"), await found("6", "USDC")];
    await credit(first, order_id);
    expect(await credit(second, order_id)).toMatchObject({ effect: "pays", received: "21", excess: "1" });
    expect([till.transfer(first).reason, till.transfer(second).reason]).toEqual([null, "overpaid"]);
  });

  test("a surcharge that was asked for is no excess, and a promise counts from it", async () => {
    const [first, second] = [await till.asked("20.00"), await till.asked("20.00")];
    await credit(await found("5", "USDC"), second);
    expect(till.rows("SELECT units FROM slots WHERE rest = 1")).toEqual([{ units: "15010000" }]);
    expect(await credit(await found("15.01", "USDC"), second)).toMatchObject({ effect: "pays", excess: "0" });
    expect([till.status(first), till.status(second)]).toEqual(["pending", "paid"]);
  });

  test("an amount that is promised to somebody is not promised again as a rest", async () => {
    await till.asked("15.00");
    const order_id = await till.asked("20.00");
    await credit(await found("5", "USDC"), order_id);
    expect(till.rows("SELECT units FROM slots WHERE rest = 1")).toEqual([]);
  });

  test.each(["cancel", "expire"] as const)(
    "that ends by %s gives its money back to the inbox, part by part",
    async (how) => {
      const order_id = await till.asked("20.00");
      const parts = [await found("5"), await found("6", "USDC")];
      for (const part of parts) await credit(part, order_id);
      const told = till.told("unknown_transfer").length;
      if (how === "cancel") await till.checkout.cancel(order_id);
      else {
        till.advance(4_000_000 + 86_400_000);
        await till.expiry.expireDue();
      }
      expect(till.status(order_id)).toBe(how === "cancel" ? "cancelled" : "expired");
      for (const part of parts) {
        expect(till.transfer(part)).toMatchObject({
          status: "waiting_for_match",
          reason: "order_ended",
          likely_order: order_id,
          deposit: null,
        });
      }
      expect(till.told("unknown_transfer").slice(told)).toMatchObject([{ order_id }, { order_id }]);
      expect(till.rows("SELECT id FROM allocations WHERE reversed_at IS NULL")).toEqual([]);
      expect(till.rows("SELECT id FROM slots WHERE closed_at IS NULL")).toEqual([]);

      // An operator puts them back, one by one: the second makes it enough.
      await credit(await found("9"), order_id);
      await credit(parts[0] ?? 0, order_id);
      expect(till.transfer(parts[0] ?? 0).reason).toBe("order_ended");
      expect(await credit(parts[1] ?? 0, order_id)).toMatchObject({ effect: "pays", received: "20" });
      expect(till.rows("SELECT reason FROM transfers WHERE reason IS NOT NULL")).toEqual([]);
      expect(till.status(order_id)).toBe("paid");
    },
  );

  test("marked paid by hand keeps its parts", async () => {
    const order_id = await till.asked("20.00");
    const part = await found("5");
    await credit(part, order_id);
    await till.operator.markPaid(order_id, "test", "the rest in cash");
    expect(till.transfer(part)).toMatchObject({ status: "matched", reason: null });
  });

  test("a part that left the chain does not count, and counts again when it is back", async () => {
    const order_id = await till.asked("20.00");
    const first = await found("15");
    await credit(first, order_id);
    await till.quiet([first]);
    expect(till.transfer(first).reverted_at).not.toBe(null);
    const second = await found("5", "USDC");
    expect(await credit(second, order_id)).toMatchObject({ effect: "part", received: "5" });
    const { tx_hash, position, block_number, block_hash, block_time, ...row } = till.transfer(first);
    const block = { number: block_number, hash: `${block_hash}again`, time: block_time };
    const { chain, token, sender, wallet, log_index } = row;
    const back = { chain, token, sender, wallet, units: 15_000_000n, tx_hash, log_index, position, block };
    await till.settlement.admit([back], "found again");
    expect(till.status(order_id)).toBe("paid");
    expect(sender).toBe(exchange);
  });
});
