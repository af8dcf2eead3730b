// Which sequence of payments, reorgs, expiries and operators' commands loses a payment, counts it twice or pays another's
// order? None, over a real database.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { errorCode } from "../../src/domain/errors.ts";
import type { Transfer } from "../../src/domain/payment.ts";
import { createInbox } from "../../src/services/inbox.ts";
import { createWatching } from "../../src/services/watching.ts";
import { transferOf } from "../../src/storage/transfers.ts";
import { evm_wallet, wallets } from "../support/server.ts";
import { ann, bob, exchange, startTill, type Till } from "../support/till.ts";

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
const inbox = () => createInbox(till);
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

  test("names the order it was short of, when that is left to pay of another in between", async () => {
    const [large, small] = [await till.asked("27.00"), await till.asked("15.50")];
    const shortened = await till.arrive({ amount: "15" });
    expect(till.transfer(shortened)).toMatchObject({ reason: "cut", likely_order: small });
    await assign((await till.receive({ amount: "12", coin: "USDC" })).id, large);
    await till.confirm(shortened);
    expect([till.status(large), fate(shortened)]).toEqual(["pending", ["waiting_for_match", "ambiguous", small]]);
  });
});

describe("an amount whose quarantine ends while its payment waits for a second provider", () => {
  const release = (wallet: string) => till.releaseAll(wallet);

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

  test("nor with money of a customer who has paid properly in the meantime", async () => {
    await begin();
    const first = await till.asked("20.00");
    await assign((await till.receive({ amount: "15" })).id, first);
    const second = await till.asked("7.00");
    const odd = await till.arrive({ amount: "6.3" });
    await till.receive({ amount: "7.00", sender: bob });
    await till.confirm(odd);
    expect([till.status(first), till.status(second), paidWith(first).length]).toEqual(["pending", "paid", 1]);
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

test("what a transaction does instead, after what it did had paid and left the chain, is written down", async () => {
  await begin();
  const order_id = await till.asked("20.00");
  const { id } = await till.receive({ amount: "20.00" });
  await till.quiet([id]);
  for (let times = 0; times < 2; times++) await mineAgain(id, { units: 19_000_000n });
  expect([till.status(order_id), waiting().map((entry) => entry.reason)]).toEqual(["paid", ["reverted"]]);
  const audit = till.rows<{ detail: string }>("SELECT detail FROM audit WHERE action = 'transfer_changed'");
  expect(audit.map(({ detail }) => (JSON.parse(detail) as { units: string }).units)).toEqual(["19000000"]);
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

describe("after the clock was set back", () => {
  const refusal = (id: number) =>
    unassign(id).then(
      () => null,
      (error: unknown) => errorCode(error),
    );

  test("what an order was paid with is not taken back: what came first is told by the log, not by the clock", async () => {
    await begin();
    const order_id = await till.asked("20.00");
    const [first, second] = [(await till.receive({ amount: "15" })).id, (await till.receive({ amount: "5" })).id];
    await assign(first, order_id);
    till.advance(-hour_ms);
    await assign(second, order_id);
    expect(till.status(order_id)).toBe("paid");
    expect([await refusal(first), await refusal(second)]).toEqual(["order_paid_by_transfer", "order_paid_by_transfer"]);
    expect(paidWith(order_id)).toEqual([first, second]);
  });

  test("what the payer's own parts and an operator's brought together stays together", async () => {
    await begin();
    const order_id = await till.asked("20.00", ann);
    const stray = (await till.receive({ amount: "5" })).id;
    const part = (await till.receive({ amount: "15", sender: ann })).id;
    till.advance(-hour_ms);
    await assign(stray, order_id);
    expect([till.status(order_id), await refusal(part)]).toEqual(["paid", "order_paid_by_transfer"]);
  });

  test("what was added to a paid order, or given to it once more, is taken back", async () => {
    await begin();
    const order_id = await till.asked("20.00");
    const again = (await till.receive({ amount: "3" })).id;
    await assign(again, order_id);
    await unassign(again);
    const paying = (await till.receive({ amount: "20.00" })).id;
    await till.quiet([paying]);
    till.advance(-hour_ms);
    await assign(again, order_id);
    expect([till.status(order_id), paidWith(order_id)]).toEqual(["paid", [paying, again]]);
    await unassign(again);
    expect(paidWith(order_id)).toEqual([paying]);
  });
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

test("a move from a wallet that takes money on another chain pays nothing either", async () => {
  const of_polygon = { chain: "polygon" as const, address: ann, coins: ["USDT" as const], starting_tx: null };
  await begin({ wallets: [...wallets, of_polygon] });
  const order_id = await till.asked("20.00");
  const moved = await till.receive({ amount: "20.00", sender: ann });
  expect([till.status(order_id), moved.reason]).toEqual(["pending", "from_own_wallet"]);
});

test("a rest that is another order's price is that order's, and the other can still be finished", async () => {
  await begin();
  const [large, small] = [await till.asked("20.00", null), await till.asked("15.00")];
  await assign((await till.receive({ amount: "5", coin: "USDC" })).id, large);
  till.advance(60_000);
  const sent = await till.receive({ amount: "15.00", sender: bob });
  expect([till.status(large), till.status(small), paidWith(small)]).toEqual(["pending", "paid", [sent.id]]);
  const again = await till.receive({ amount: "15.00", sender: bob });
  expect(again).toMatchObject({ reason: "order_ended", likely_order: small });
  // From the sender of the part it says whose it is.
  await till.receive({ amount: "15.00", sender: exchange });
  expect(till.status(large)).toBe("paid");
});

describe("a promise that could never be kept", () => {
  beforeEach(() => begin());

  test("is not made on a chain where the expected sender has no address", async () => {
    const order_id = await till.order("20.00", ann);
    await expect(till.select(order_id, "USDT", "tron")).rejects.toMatchObject({ code: "no_wallet_available" });
    await till.select(order_id);
  });

  test("is not made once the time of the order is over, though it still waits for its chain", async () => {
    const order_id = await till.asked("20.00");
    till.advance(2 * hour_ms);
    await expect(till.select(order_id, "USDC", "polygon")).rejects.toMatchObject({ code: "order_not_pending" });
    expect([till.status(order_id), (await till.select(order_id)).amount]).toEqual(["pending", "20.00"]);
  });
});

describe("a payment that left the chain for good, after it had paid", () => {
  test("is replaced by an operator with the one the payer sent instead; should it come back, it is too much", async () => {
    await begin();
    const order_id = await till.asked("20.00");
    const [first, other] = [await till.receive({ amount: "20.00" }), await till.receive({ amount: "3" })];
    await expect(assign(other.id, order_id)).rejects.toMatchObject({ code: "order_not_pending" });
    await till.quiet([first.id]);
    const second = await till.receive({ amount: "20.00" });
    expect(fate(second.id)).toEqual(["waiting_for_match", "order_ended", order_id]);
    await assign(second.id, order_id);
    await expect(assign(other.id, order_id)).rejects.toMatchObject({ code: "order_not_pending" });
    await mineAgain(first.id);
    expect([paidWith(order_id), till.transfer(first.id).reason]).toEqual([[first.id, second.id], "overpaid"]);
    expect(announced(order_id)).toEqual(["paid"]);
  });
});

test("put with an order that had ended, gone and back again, money pays it once it is enough", async () => {
  await begin();
  const order_id = await till.asked("20.00");
  await till.checkout.cancel(order_id);
  const [first, second] = [(await till.receive({ amount: "15" })).id, (await till.receive({ amount: "5" })).id];
  await assign(first, order_id);
  await till.quiet([first]);
  await assign(second, order_id);
  expect(till.status(order_id)).toBe("cancelled");
  await mineAgain(first);
  expect([till.status(order_id), paidWith(order_id), waiting()]).toEqual(["paid", [first, second], []]);
  expect(announced(order_id)).toEqual(["cancelled", "paid"]);
});

test("a tolerance made for large prices gives nothing away for small ones", async () => {
  await begin(tolerant);
  const [small, fair] = [await till.asked("0.11"), await till.asked("1.00")];
  await till.receive({ amount: "0.01" });
  await till.receive({ amount: "0.9" });
  expect([till.status(small), till.status(fair)]).toEqual(["pending", "paid"]);
});

test("a coin that is offered no more while a part is there: the rest still pays", async () => {
  await begin();
  const order_id = await till.asked("20.00", ann);
  await till.receive({ amount: "5", sender: ann });
  const now = till.config.current();
  const without = { ...now, wallets: now.wallets.filter((wallet) => wallet.chain !== "eth") };
  till.config.replace(without);
  await createWatching({ database: till.database }).sync(without);
  await till.receive({ amount: "6", sender: ann });
  const chains = new Map([...now.chains].filter(([chain]) => chain !== "eth"));
  till.config.replace({ ...without, chains });
  await createWatching({ database: till.database }).sync({ ...without, chains });
  till.config.replace(without);
  await till.receive({ amount: "9", sender: ann });
  expect([till.status(order_id), announced(order_id)]).toEqual(["paid", ["paid"]]);
});

test("parts in coins of six and of eighteen decimals add up to the unit, on whichever chain they come", async () => {
  await begin();
  const order_id = await till.asked("20.00", ann);
  await till.select(order_id, "DAI", "polygon");
  await till.receive({ amount: "5.000001", sender: ann });
  await till.receive({ amount: "7.000000000000000001", sender: ann, coin: "DAI", chain: "polygon" });
  await till.receive({ amount: "7.999998", sender: ann });
  expect(till.status(order_id)).toBe("pending");
  expect(till.told("order_part_paid").at(-1)?.remaining).toBe("0.000000999999999999");
  await till.receive({ amount: "0.000000999999999999", sender: ann, coin: "DAI", chain: "polygon" });
  expect([till.status(order_id), waiting()]).toEqual(["paid", []]);
});

test("parts that are seen before the end and count after it pay; what is missing at the very end goes to the inbox", async () => {
  await begin();
  const [whole, never] = [await till.asked("20.00", ann), await till.asked("30.00", bob)];
  const parts = [await till.arrive({ amount: "5", sender: ann }), await till.arrive({ amount: "15", sender: ann })];
  const stuck = await till.arrive({ amount: "30", sender: bob });
  till.advance(2 * hour_ms);
  await till.quiet();
  expect(await till.expiry.expireDue()).toBe(0);
  for (const part of parts) await till.confirm(part);
  till.advance(2 * day_ms);
  expect(await till.expiry.expireDue()).toBe(1);
  await till.confirm(stuck);
  expect([till.status(whole), till.status(never), fate(stuck)]).toEqual([
    "paid",
    "expired",
    ["waiting_for_match", "late", never],
  ]);
});

test("an operator, the scan and another operator at once: money is in one place afterwards", async () => {
  await begin();
  const [one, two] = [await till.asked("20.00"), await till.asked("30.00")];
  const [loose, exact] = [(await till.receive({ amount: "11" })).id, await till.arrive({ amount: "20.00" })];
  await Promise.allSettled([
    assign(loose, two),
    till.confirm(exact),
    assign(loose, one),
    till.operator.markPaid(one, "operator", "cash"),
    unassign(loose),
    assign(loose, one),
    till.checkout.cancel(two),
    assign(exact, two),
    inbox().dismiss(loose, "operator", "test"),
  ]);
  till.audit();
  expect([till.status(one), announced(one), announced(two)]).toEqual(["paid", ["paid"], ["cancelled"]]);
  expect(paidWith(one)).toEqual([exact]);
});
