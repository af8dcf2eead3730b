// Amounts of any length are exact or refused, from the chain's 78 digits to the lists that people read.

import { afterEach, expect, test } from "bun:test";
import { createInbox } from "../../src/services/inbox.ts";
import { balances } from "../support/balances.ts";
import { ann, startTill, type Till } from "../support/till.ts";

let till: Till;
afterEach(async () => {
  till.audit();
  await till.stop();
});

/** The most that a token's contract can state: 78 digits, in whole coins of six decimals. */
const most = 2n ** 256n - 1n;
const digits = most.toString();
const most_amount = `${digits.slice(0, -6)}.${digits.slice(-6)}`;

test("a transfer of 78 digits is kept, listed and summed to the unit", async () => {
  till = await startTill();
  const { id, amount, units } = await till.receive({ units: most });
  expect([amount, units]).toEqual([most_amount, digits]);
  await till.receive({ units: most - 1n });
  const [usdt, ...more] = till.database.read(balances);
  expect(more).toEqual([]);
  expect(usdt?.received).toBe((2n * most - 1n).toString());

  const order_id = await till.asked("19.99");
  const { outcome } = await createInbox(till).assign(id, order_id, "operator", "test");
  const less = (most - 19_990_000n).toString();
  expect(outcome).toMatchObject({ effect: "pays", received: most_amount });
  expect(outcome?.excess).toBe(`${less.slice(0, -6)}.${less.slice(-6)}`);
});

test("the longest amount that can be ordered is paid by its last digit, and not without it", async () => {
  till = await startTill();
  const amount = "999999999999999999.999999999999999999";
  const order_id = await till.order(amount, ann);
  expect((await till.select(order_id, "DAI", "polygon")).amount).toBe(amount);
  const units = 10n ** 36n - 1n;
  await till.receive({ units: units - 1n, coin: "DAI", chain: "polygon", sender: ann });
  expect([till.status(order_id), till.told("order_part_paid").at(-1)?.remaining]).toEqual([
    "pending",
    "0.000000000000000001",
  ]);
  await till.receive({ units: 1n, coin: "DAI", chain: "polygon", sender: ann });
  expect(till.status(order_id)).toBe("paid");
});
