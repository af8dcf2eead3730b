// How many more orders of an amount can be told apart: counted as checkout would promise them, and spent when they are.

import { afterEach, describe, expect, test } from "bun:test";
import { createInbox } from "../../src/services/inbox.ts";
import { transferOf } from "../../src/storage/transfers.ts";
import { evm_wallet, type Settings } from "../support/server.ts";
import { ann, bob, startTill, type Till } from "../support/till.ts";

let till: Till;
afterEach(() => till.stop());

let time = 0;
const hour_ms = 3_600_000;
const second_wallet = "0x8617E340B3D01FA5F11F306F4090FD50E238070D";
const eth = async (settings: Settings) => {
  till = await startTill(settings);
  time = till.now();
};
const usdt = () => till.operator.capacity(time).find(({ chain, coin }) => chain === "eth" && coin === "USDT");

test("says what is left of the amounts most asked for, and for how long at the pace of the last hour", async () => {
  await eth({ orders: { max_surcharge: "0.02" } });
  for (const amount of ["5.00", "5.00", "7.00", "1.00", "2.00"]) await till.asked(amount);
  const [five, ...others] = usdt()?.amounts ?? [];
  expect(usdt()?.promised).toBe(5);
  expect(five).toMatchObject({ amount: "5.00", last_hour: 2 });
  expect(others.map(({ amount, last_hour }) => [amount, last_hour])).toEqual([
    ["1.00", 1],
    ["2.00", 1],
  ]);
});

test("counts exactly as many as checkout still promises", async () => {
  await eth({ orders: { max_surcharge: "0.00005" } });
  await till.asked("5.00000");
  // Two of five codes of five decimals, and nine below each of two others.
  const left = 20;
  expect(usdt()?.amounts[0]?.left).toBe(left);
  expect(usdt()?.amounts[0]?.exhausted_in_ms).toBe(left * hour_ms);
  for (let count = 0; count < left; count++) {
    await till.asked("5.00000");
    expect(usdt()?.amounts[0]).toMatchObject({ last_hour: count + 2, left: left - count - 1 });
  }
  await expect(till.asked("5.00000")).rejects.toMatchObject({ code: "no_free_amount" });
  expect(usdt()?.amounts[0]?.exhausted_in_ms).toBe(0);
});

test("says after how many whole seconds an amount may be free again", async () => {
  await eth({ orders: { max_surcharge: "0", late_window_ms: 90_500 } });
  const order_id = await till.asked("5.00");
  await till.checkout.cancel(order_id);
  await expect(till.asked("5.00")).rejects.toMatchObject({ code: "no_free_amount", retry_after_s: 91 });
});

test("counts every wallet, and stops counting where there is plenty", async () => {
  const coins = ["USDT"] as const;
  const wallet = (address: string) => ({ chain: "eth" as const, address, coins, starting_tx: null });
  await eth({ orders: { max_surcharge: "0" }, wallets: [wallet(evm_wallet), wallet(second_wallet)] as never });
  await till.asked("5.00");
  expect(usdt()?.amounts).toEqual([{ amount: "5.00", last_hour: 1, left: 1, exhausted_in_ms: hour_ms }]);
  await till.stop();
  await eth({ orders: { max_surcharge: "0.99" } });
  await till.asked("5.00");
  expect(usdt()?.amounts).toEqual([{ amount: "5.00", last_hour: 1, left: 500, exhausted_in_ms: null }]);
});

test("forgets what was asked before the last hour, not what was promised", async () => {
  await eth({});
  await till.asked("5.00");
  time += hour_ms + 1;
  expect(usdt()).toMatchObject({ promised: 1, amounts: [] });
});

describe("what is left after parts", () => {
  const amounts = () =>
    till
      .rows<{ units: string; rest: number }>("SELECT units, rest FROM slots ORDER BY id")
      .map(({ units, rest }) => `${Number(units) / 1e6}${rest === 1 ? " rest" : ""}`);
  const assign = async (amount: string, order_id: string) => {
    const { id } = await till.receive({ amount });
    await createInbox(till).assign(id, order_id, "operator", "test");
    return id;
  };

  test("of two hundred crumbs from one payer keeps few amounts from others, and the newest still pays", async () => {
    await eth({});
    const order_id = await till.asked("20.00", ann);
    const crumb = transferOf(await till.receive({ amount: "0.01", sender: ann }));
    const crumbs = Array.from({ length: 199 }, (_, n) => ({ ...crumb, tx_hash: `0xcc${n}` }));
    const rows = await till.settlement.admit(crumbs, "crumbs");
    await till.settlement.confirm(
      "eth",
      rows.map(({ id, block_hash }) => ({ id, block_hash, verdict: "confirmed" as const })),
    );
    expect(till.told("order_part_paid").at(-1)).toEqual({ received: "2", remaining: "18" });
    const newest = Array.from({ length: 20 }, (_, n) => `${(1819 - n) / 100} rest`);
    expect(amounts()).toEqual(["20", ...newest]);
    const other = await till.select(await till.order("15.00"));
    expect(other.amount).toBe("15.00");
    await till.receive({ amount: "18", sender: ann });
    expect([till.status(order_id), till.transfer(201).reason]).toEqual(["paid", null]);
  });

  test("is promised to nobody else while it is one of the newest, and pays from wherever it comes", async () => {
    await eth({});
    const order_id = await till.asked("20.00");
    for (let parts = 0; parts < 24; parts++) await assign("0.1", order_id);
    const eighteen = await till.order("18.00");
    expect((await till.select(eighteen)).amount).toBe("18.01");
    expect((await till.select(await till.order("19.50"))).amount).not.toBe("19.50");
    expect((await till.select(await till.order("19.60"))).amount).toBe("19.60");
    // While that one may still be paid, 18 may be its 18.01 without the decimals.
    await till.checkout.cancel(eighteen);
    const seen = await till.receive({ amount: "18", sender: bob });
    expect([till.status(order_id), seen.reason]).toEqual(["paid", "overpaid"]);
  });

  test("is kept for the payment of it that was seen already", async () => {
    await eth({});
    const order_id = await till.asked("20.00");
    await assign("1", order_id);
    const seen = await till.arrive({ amount: "19", sender: bob });
    for (let parts = 0; parts < 21; parts++) await assign("0.1", order_id);
    expect((await till.select(await till.order("19.00"))).amount).toBe("19.01");
    await till.confirm(seen);
    expect([till.status(order_id), till.transfer(seen).reason]).toEqual(["paid", "overpaid"]);
  });

  test("is promised anew when a part leaves the chain", async () => {
    await eth({});
    const order_id = await till.asked("10.00");
    const first = await assign("4", order_id);
    await assign("3", order_id);
    await till.quiet([first]);
    expect(amounts()).toEqual(["10", "6 rest", "3 rest", "7 rest"]);
  });

  test("is the newest again when a part is taken back", async () => {
    await eth({});
    const order_id = await till.asked("20.00");
    for (const part of ["1", "2", "3"]) await assign(part, order_id);
    const last = await assign("4", order_id);
    await createInbox(till).unassign(last, "operator", "test");
    expect(amounts()).toEqual(["20", "19 rest", "17 rest", "10 rest", "14 rest"]);
    for (let parts = 0; parts < 19; parts++) await assign("0.1", order_id);
    expect(amounts().slice(0, 2)).toEqual(["20", "14 rest"]);
  });
});
