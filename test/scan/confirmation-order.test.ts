// Which waiting transfers a round looks at: payments of orders first, the oldest first, and all of them in turn.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createConfirmationQueue } from "../../src/workers/confirm/confirmation-queue.ts";
import { startTill, type Till } from "../support/till.ts";

const dust_transfers = 1500;

let till: Till;
let dust: number[];
let payment: number;
beforeAll(async () => {
  till = await startTill();
  dust = await till.arriveTogether(Array.from({ length: dust_transfers }, () => ({ amount: "0.001" })));
  await till.asked("10.00");
  payment = await till.arrive({ amount: "10.00" });
});
afterAll(() => till.stop());

const newQueue = () => createConfirmationQueue({ chain: "eth", database: till.database });
const always = Number.MAX_SAFE_INTEGER;
const everywhere = () => ({ number: always, time: always });
const ids = (ripe: { row: { id: number } }[]) => ripe.map(({ row }) => row.id);

test("1,500 older dust transfers delay no payment: the first look is at the payment alone", () => {
  expect(ids(newQueue().next(true, everywhere))).toEqual([payment]);
});

test("the other transfers are looked at oldest first, a bounded number at a time, until each had its turn", () => {
  const { next } = newQueue();
  const first = ids(next(false, everywhere));
  expect(first).toEqual(dust.slice(0, first.length));
  expect(first.length).toBeLessThanOrEqual(100);
  const seen = new Set(first);
  for (let round = 1; round < dust_transfers / first.length; round++) {
    for (const id of ids(next(false, everywhere))) seen.add(id);
  }
  expect(seen.size).toBe(dust_transfers);
});

test("a transfer above the block, or after the time, that its policy reaches waits", () => {
  const { block_number: number, block_time: time } = till.transfer(payment);
  expect(ids(newQueue().next(true, () => ({ number: number - 1, time })))).toEqual([]);
  expect(ids(newQueue().next(true, () => ({ number, time: time - 1 })))).toEqual([]);
  expect(ids(newQueue().next(true, () => ({ number, time })))).toEqual([payment]);
});
