// How many more orders of an amount can be told apart: counted as checkout would promise them, and spent when they are.

import { afterEach, expect, test } from "bun:test";
import { evm_wallet, type Settings } from "./support/server.ts";
import { startTill, type Till } from "./support/till.ts";

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
