// Attempts to lose a payment, to count it twice, or to have it pay somebody else's order: sequences of payments, reorgs,
// ends and operators' words over a real database, and what they must come to.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Transfer } from "../src/domain/payment.ts";
import { createInbox } from "../src/services/inbox.ts";
import { createWatching } from "../src/services/watching.ts";
import { releaseSlots } from "../src/storage/slots.ts";
import { transferOf } from "../src/storage/transfers.ts";
import { evm_wallet } from "./support/server.ts";
import { ann, bob, exchange, startTill, type Till } from "./support/till.ts";

let till: Till;
let mines = 0;
const begin = async (...settings: Parameters<typeof startTill>) => {
  till = await startTill(...settings);
};
afterEach(async () => {
  till.audit();
  await till.stop();
});

const tolerant = { orders: { underpaid_tolerance: [{ amount: "0.10" }] } };
const hour_ms = 3_600_000;
const day_ms = 24 * hour_ms;

const fate = (id: number) => {
  const { status, reason, likely_order } = till.transfer(id);
  return [status, reason, likely_order];
};
const inbox = () => createInbox({ database: till.database, config: till.config });
const assign = (id: number, order_id: string) => inbox().assign(id, order_id, "operator", "test");
const unassign = (id: number) => inbox().unassign(id, "operator", "test");
const waiting = () => inbox().list({ dust: false }, { limit: 100, offset: 0 });
const paidWith = (order_id: string) =>
  till
    .rows<{ transfer: number }>(
      "SELECT transfer FROM allocations WHERE order_id = ? AND reversed_at IS NULL ORDER BY id",
      order_id,
    )
    .map((row) => row.transfer);
const announced = (order_id: string) =>
  till
    .told("order_status_changed")
    .filter((event) => event.order_id === order_id)
    .map((event) => event.status);

/** The transaction of a transfer is mined again in another block, perhaps with another effect. */
async function mineAgain(id: number, changes: Partial<Transfer> = {}): Promise<void> {
  const before = transferOf(till.transfer(id));
  mines += 1;
  const block = { ...before.block, hash: `${before.block.hash} again ${mines}` };
  await till.settlement.admit([{ ...before, block, ...changes }], "mined again");
}

describe("money that was there before a promise of the same amount", () => {
  beforeEach(() => begin(tolerant));

  test("still pays, as a part, the order its sender was expected for", async () => {
    const mine = await till.asked("20.00", ann);
    const part = await till.arrive({ amount: "5", sender: ann });
    till.advance(60_000);
    await till.quiet();
    const other = await till.asked("5");
    await till.confirm(part);
    expect([paidWith(mine), paidWith(other)]).toEqual([[part], []]);
  });

  test("still pays, by the tolerance, the order it was sent for", async () => {
    const mine = await till.asked("20.00");
    const sent = await till.arrive({ amount: "19.95" });
    till.advance(60_000);
    await till.quiet();
    const other = await till.asked("19.95");
    await till.confirm(sent);
    expect([till.status(mine), paidWith(other)]).toEqual(["paid", []]);
  });

  test("and is nobody's stays nobody's", async () => {
    const early = await till.arrive({ amount: "5" });
    till.advance(60_000);
    await till.quiet();
    const order_id = await till.asked("5");
    await till.confirm(early);
    expect([fate(early), till.status(order_id)]).toEqual([["no_matched_deposit", "too_early", null], "pending"]);
  });

  test("names the order it was short of, when that is promised as the rest of another in between", async () => {
    const [large, small] = [await till.asked("27.00"), await till.asked("15.50")];
    const shortened = await till.arrive({ amount: "15" });
    expect(till.transfer(shortened)).toMatchObject({ reason: "cut", likely_order: small });
    await assign((await till.receive({ amount: "12", coin: "USDC" })).id, large);
    await till.confirm(shortened);
    expect([till.status(large), fate(shortened)]).toEqual(["pending", ["waiting_for_match", "ambiguous", small]]);
  });
});

describe("an amount whose quarantine ends while its payment waits for a second provider", () => {
  const release = (wallet: string) =>
    till.database.transact((tx) => releaseSlots(tx, { chain: "eth", coin: "USDT", wallet }, tx.now));

  test("is not paid to its next owner, and names whose it was", async () => {
    await begin();
    const first = await till.asked("20.00");
    const seen = await till.arrive({ amount: "20.00" });
    await till.checkout.cancel(first);
    till.advance(2 * day_ms);
    await till.quiet();
    expect(await release(evm_wallet)).toBe(1);
    const next = await till.asked("20.00");
    await till.confirm(seen);
    expect([till.status(next), fate(seen)]).toEqual(["pending", ["waiting_for_match", "too_early", first]]);
  });

  test("is no overpayment of an order that asked for less", async () => {
    await begin();
    const [first, less] = [await till.asked("20.00"), await till.asked("15.00")];
    const seen = await till.arrive({ amount: "20.00" });
    await till.checkout.cancel(first);
    expect(await release(evm_wallet)).toBe(1);
    await till.confirm(seen);
    expect([till.status(less), fate(seen)]).toEqual(["pending", ["waiting_for_match", "ambiguous", first]]);
  });
});

test("a head that left the chain makes no payment too early for an order in quarantine", async () => {
  await begin();
  for (let block = 0; block < 5; block++) await till.quiet();
  const order_id = await till.asked("20.00");
  await till.checkout.cancel(order_id);
  await createWatching({ database: till.database }).rewind("eth", 2);
  const late = await till.arrive({ amount: "20" });
  await mineAgain(late, { block: { ...transferOf(till.transfer(late)).block, number: 3, hash: "0xnew3" } });
  await till.confirm(late);
  expect(fate(late)).toEqual(["waiting_for_match", "order_ended", order_id]);
});

describe("a payment that is confirmed before another that holds its place", () => {
  test("pays; the other one is the duplicate", async () => {
    await begin();
    const order_id = await till.asked("20.00");
    const [disputed, real] = [await till.arrive({ amount: "20" }), await till.arrive({ amount: "20", sender: ann })];
    await till.confirm(real);
    expect([till.status(order_id), paidWith(order_id)]).toEqual(["paid", [real]]);
    await till.confirm(disputed);
    expect(fate(disputed)).toEqual(["waiting_for_match", "order_ended", order_id]);
    expect(announced(order_id)).toEqual(["paid"]);
  });

  test("pays; the other one left the chain and comes back", async () => {
    await begin(tolerant);
    const order_id = await till.asked("20.00");
    const [first, guess] = [await till.arrive({ amount: "20" }), await till.arrive({ amount: "19.95", sender: ann })];
    await till.confirm(guess);
    await till.vanish(first);
    await mineAgain(first);
    await till.confirm(first);
    expect([till.status(order_id), paidWith(order_id).length]).toEqual(["paid", 1]);
    expect(announced(order_id)).toEqual(["paid"]);
  });
});

describe("a part that comes back to the chain", () => {
  test("after its order was paid without it is flagged: the payer has paid too much", async () => {
    await begin();
    const order_id = await till.asked("20.00", ann);
    const part = (await till.receive({ amount: "15", sender: ann })).id;
    await till.quiet([part]);
    await till.receive({ amount: "20.00", sender: ann });
    expect(till.status(order_id)).toBe("paid");
    await mineAgain(part);
    expect(till.transfer(part)).toMatchObject({ status: "matched", reason: "overpaid", reverted_at: null });
    expect(waiting().map((entry) => entry.transfer.id)).toEqual([part]);
  });

  test("and makes it more than enough is flagged as well", async () => {
    await begin();
    const order_id = await till.asked("20.00", ann);
    const part = (await till.receive({ amount: "15", sender: ann })).id;
    await till.quiet([part]);
    await till.receive({ amount: "12", sender: ann });
    expect(till.status(order_id)).toBe("pending");
    await mineAgain(part);
    expect([till.status(order_id), till.transfer(part).reason]).toEqual(["paid", "overpaid"]);
    expect(announced(order_id)).toEqual(["paid"]);
  });

  test("after its order ended is told as money that waits", async () => {
    await begin();
    const order_id = await till.asked("20.00", ann);
    const part = (await till.receive({ amount: "15", sender: ann })).id;
    await till.quiet([part]);
    await till.checkout.cancel(order_id);
    expect(till.told("unknown_transfer")).toEqual([]);
    await mineAgain(part);
    expect(till.told("unknown_transfer")).toMatchObject([{ transfer_id: part, order_id }]);
    expect(fate(part)).toEqual(["waiting_for_match", "order_ended", order_id]);
  });

  test("in another order than before, among several, pays once", async () => {
    await begin();
    const order_id = await till.asked("20.00", ann);
    const parts = [
      await till.arrive({ amount: "5", sender: ann }),
      await till.arrive({ amount: "7", sender: ann }),
      await till.arrive({ amount: "8", sender: ann }),
    ];
    await till.confirm(parts[1] ?? 0);
    await till.quiet(parts);
    expect(till.status(order_id)).toBe("pending");
    for (const part of parts.toReversed()) await mineAgain(part);
    for (const part of parts.toReversed()) await till.confirm(part);
    expect([till.status(order_id), paidWith(order_id).length, waiting()]).toEqual(["paid", 3, []]);
    expect(announced(order_id)).toEqual(["paid"]);
  });
});

describe("a sender who is expected elsewhere", () => {
  test("does not overpay a stranger's order by mistake", async () => {
    await begin();
    const mine = await till.order("30.00", ann);
    await till.select(mine, "USDC");
    const other = await till.asked("20.00");
    const sent = await till.receive({ amount: "25", sender: ann });
    expect([till.status(other), sent.reason]).toEqual(["pending", "no_such_amount"]);
  });

  test("is never taken for noise, whoever made an address like it", async () => {
    await begin();
    const like = `0x7099${"1".repeat(32)}79C8`;
    await till.asked("1.00");
    await till.receive({ amount: "1.00", sender: like });
    const order_id = await till.asked("20.00", ann);
    const part = await till.receive({ amount: "5", sender: ann });
    expect([part.status, paidWith(order_id)]).toEqual(["matched", [part.id]]);
  });
});

describe("an exchange that paid a part of one order", () => {
  test("does not pay it with the next customer's money", async () => {
    await begin();
    const first = await till.asked("20.00");
    await assign((await till.receive({ amount: "15" })).id, first);
    const second = await till.asked("7.00");
    const odd = await till.receive({ amount: "6.3" });
    expect([paidWith(first).length, till.status(second), odd.status]).toEqual([1, "pending", "waiting_for_match"]);
  });
});

describe("an order that was paid in part", () => {
  test("can be finished on another chain that is chosen only then", async () => {
    await begin();
    const order_id = await till.asked("20.00");
    await assign((await till.receive({ amount: "5" })).id, order_id);
    await till.select(order_id, "USDC", "polygon");
    const rest = await till.receive({ amount: "15", coin: "USDC", chain: "polygon" });
    expect([till.status(order_id), rest.status]).toEqual(["paid", "matched"]);
  });
});

test("two transfers of one transaction count once each, also when they change places in another block", async () => {
  await begin();
  const [one, two] = [await till.asked("5"), await till.asked("20.00")];
  const first = await till.arrive({ amount: "5" });
  const beside = { ...transferOf(till.transfer(first)), units: 20_000_000n, position: 1, log_index: 1 };
  const [row] = await till.settlement.admit([beside], "beside it");
  const second = row?.id ?? 0;
  const block = { ...beside.block, hash: "0xelsewhere" };
  await till.settlement.admit(
    [
      { ...beside, position: 0, log_index: 0, block },
      { ...beside, units: 5_000_000n, block },
    ],
    "mined again",
  );
  await till.confirm(first);
  await till.confirm(second);
  expect([till.status(one), till.status(two), waiting()]).toEqual(["paid", "paid", []]);
  expect([paidWith(one), paidWith(two)]).toEqual([[second], [first]]);
});

test("both chains of one order paid: the second payment waits, and names the order", async () => {
  await begin();
  const order_id = await till.asked("20.00");
  await till.select(order_id, "USDC", "polygon");
  const first = await till.arrive({ amount: "20.00" });
  const second = await till.arrive({ amount: "20.00", coin: "USDC", chain: "polygon" });
  await till.confirm(second);
  await till.confirm(first);
  expect([till.status(order_id), paidWith(order_id)]).toEqual(["paid", [second]]);
  expect(fate(first)).toEqual(["waiting_for_match", "order_ended", order_id]);
  expect(announced(order_id)).toEqual(["paid"]);
});

test("unassigned after its block left the chain, a part counts no more when it is back", async () => {
  await begin();
  const order_id = await till.asked("20.00");
  const part = (await till.receive({ amount: "15" })).id;
  await assign(part, order_id);
  await till.quiet([part]);
  await unassign(part);
  await mineAgain(part);
  await till.receive({ amount: "5" });
  expect([till.status(order_id), fate(part)]).toEqual(["pending", ["waiting_for_match", "unassigned", null]]);
});

test("a shop marks an order paid while its payment is on the way, and adds the payment afterwards", async () => {
  await begin();
  const order_id = await till.asked("20.00");
  const seen = await till.arrive({ amount: "20.00" });
  await till.operator.markPaid(order_id, "operator", "cash");
  await till.confirm(seen);
  expect(fate(seen)).toEqual(["waiting_for_match", "order_ended", order_id]);
  await assign(seen, order_id);
  expect([paidWith(order_id), announced(order_id), waiting()]).toEqual([[seen], ["paid"], []]);
});

test("a move between the merchant's own wallets pays nothing, even where it is exact", async () => {
  await begin();
  const order_id = await till.asked("20.00");
  const moved = await till.receive({ amount: "20.00", sender: evm_wallet });
  expect([till.status(order_id), moved.reason]).toEqual(["pending", "from_own_wallet"]);
});

test("a rest that is another order's price is that order's, and the other can still be finished", async () => {
  await begin();
  const [large, small] = [await till.asked("20.00", null), await till.asked("15.00")];
  await assign((await till.receive({ amount: "5", coin: "USDC" })).id, large);
  const sent = await till.receive({ amount: "15.00", sender: bob });
  expect([till.status(large), till.status(small), paidWith(small)]).toEqual(["pending", "paid", [sent.id]]);
  const again = await till.receive({ amount: "15.00", sender: exchange });
  expect(again).toMatchObject({ reason: "order_ended", likely_order: small });
  await assign(again.id, large);
  expect(till.status(large)).toBe("paid");
});
