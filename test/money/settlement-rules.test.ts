// Single rules of settlement, each by the case that it decides.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createInbox } from "../../src/services/inbox.ts";
import { createWatching } from "../../src/services/watching.ts";
import { cover, uncoverAbove, watchesOf } from "../../src/storage/coverage.ts";
import { depositsOf } from "../../src/storage/deposits.ts";
import { owingChains } from "../../src/workers/reading.ts";
import { ann, startTill, type Till } from "../support/till.ts";

const hour_ms = 3_600_000;

let till: Till;
beforeEach(async () => {
  till = await startTill();
});
afterEach(async () => {
  till.audit();
  await till.stop();
});

const watches = () => till.database.read((at) => watchesOf(at, "eth")).map((watch) => watch.id);
/** Blocks `from..to` were read; `to` is some minutes older than now. */
const read = (from: number, to: number, minutes = 0) => {
  const time = Math.floor(till.now() / 1000) - minutes * 60;
  return till.database.transact((tx) =>
    cover(tx, watches(), "head", { from, to, hash: `0xb${to}`, time, provider: "node" }),
  );
};

describe("an order whose time is over", () => {
  let order: string;
  let head: number;
  beforeEach(async () => {
    for (let block = 0; block < 3; block++) await till.quiet();
    order = await till.asked("10.00");
    const [deposit] = till.database.read((at) => depositsOf(at, order));
    head = deposit?.opened_head ?? 0;
    till.advance(hour_ms + 1000);
  });

  test("does not expire while the first block after its opening is not read", async () => {
    await read(head + 2, head + 20);
    expect([await till.expiry.expireDue(), till.status(order)]).toEqual([0, "pending"]);
    await read(head + 1, head + 1, 60);
    expect([await till.expiry.expireDue(), till.status(order)]).toEqual([1, "expired"]);
  });

  test("does not expire while one block in the middle is not read", async () => {
    await read(head + 1, head + 9, 30);
    await read(head + 11, head + 20);
    expect(await till.expiry.expireDue()).toBe(0);
    await read(head + 10, head + 10, 30);
    expect(await till.expiry.expireDue()).toBe(1);
  });

  test("is looked at again in the transaction that ends it: coverage may have been taken back in between", async () => {
    await read(head + 1, head + 20);
    const rewound = till.database.transact((tx) => {
      for (const watch of watchesOf(tx, "eth")) uncoverAbove(tx, watch.id, head + 5, "head");
    });
    const expired = till.expiry.expireDue();
    await rewound;
    expect([await expired, till.status(order)]).toEqual([0, "pending"]);
  });
});

test("a chain that was taken out of the configuration is read while a transfer on it waits", async () => {
  const id = await till.arrive({ amount: "7.77" });
  const config = till.config.current();
  const wallets = config.wallets.filter(({ chain }) => chain !== "eth");
  const chains = new Map([...config.chains].filter(([chain]) => chain !== "eth"));
  await createWatching(till).sync({ ...config, wallets, chains });
  expect(owingChains(till.database)).toContain("eth");
  await till.confirm(id);
  expect(owingChains(till.database)).not.toContain("eth");
});

test("a remainder that grows because a part left the chain is reserved", async () => {
  await till.asked("100", ann);
  const first = await till.receive({ amount: "30", sender: ann });
  await till.receive({ amount: "20", sender: ann });
  await till.quiet([first.id]);
  const remainders = till.rows<{ units: string }>("SELECT units FROM slots WHERE rest = 1 ORDER BY id DESC LIMIT 1");
  expect(remainders).toEqual([{ units: "80000000" }]);
});

test("an order that its sender has paid is no order that its next money could be meant for", async () => {
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
  const order = await till.asked("100", ann);
  const part = await till.receive({ amount: "30", sender: ann });
  await till.operator.markPaid(order, "admin", "the rest was cash");
  await createInbox(till).unassign(part.id, "admin", "wrong one");
  expect(till.transfer(part.id)).toMatchObject({ status: "waiting_for_match", reason: "unassigned" });
  expect(till.status(order)).toBe("paid");

  await till.asked("50.00");
  const whole = await till.receive({ amount: "50.00" });
  await expect(createInbox(till).unassign(whole.id, "admin", "wrong one")).rejects.toThrow();
});
