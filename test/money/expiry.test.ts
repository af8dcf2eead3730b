// When does an order expire? Only once every block up to its end was read.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { cover, uncoverAbove, watchesOf } from "../../src/storage/coverage.ts";
import { depositsOf } from "../../src/storage/deposits.ts";
import { startTill, type Till } from "../support/till.ts";

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
