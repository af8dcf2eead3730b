// When do several transfers of one sender pay an order together, because their sum is exactly its amount?

import { afterEach, describe, expect, test } from "bun:test";
import { createInbox } from "../../src/services/inbox.ts";
import { transferOf } from "../../src/storage/transfers.ts";
import { testConfig } from "../support/server.ts";
import { ann, bob, exchange, startTill, type Till } from "../support/till.ts";

let till: Till;
const begin = async (...settings: Parameters<typeof startTill>) => {
  till = await startTill(...settings);
};
afterEach(async () => {
  till.audit();
  await till.stop();
});

const minute_ms = 60_000;
const kinds = () => till.rows<{ kind: string }>("SELECT kind FROM allocations ORDER BY id").map((row) => row.kind);
const told = (id: number) => [till.transfer(id).status, till.transfer(id).reason, till.transfer(id).likely_order];
/** An order that was opened a minute ago. */
const asked = async (amount: string, sender: string | null = null) => {
  const order_id = await till.asked(amount, sender);
  till.advance(minute_ms);
  return order_id;
};
const assign = (id: number, order_id: string) => createInbox(till).assign(id, order_id, "operator", "test");
const waiting = () => till.rows("SELECT id, reason FROM transfers WHERE status = 'waiting_for_confirmation'");
const paid = ["paid", ["part", "part"]] as const;
const unpaid = ["pending", []] as const;

/** Up to 30 needs 2 blocks, more needs 64. */
async function beginWithTiers(): Promise<void> {
  const tiers = [
    { up_to: "30", finality: { blocks: 2 } },
    { up_to: null, finality: { blocks: 64 } },
  ];
  const chains = testConfig().chains;
  const eth = chains.get("eth") ?? expect.unreachable("eth is configured");
  await begin();
  till.config.replace({
    ...till.config.current(),
    chains: new Map([...chains, ["eth", { ...eth, finality: tiers }]]),
  });
}

describe("two transfers that are exactly one order's amount together", () => {
  test("pay it when the second is confirmed: 20 and 28.50 for 48.50", async () => {
    await begin();
    const order_id = await asked("48.50");
    await till.receive({ amount: "20", sender: ann });
    expect(till.status(order_id)).toBe("pending");
    await till.receive({ amount: "28.5", sender: ann });
    expect<unknown>([till.status(order_id), kinds()]).toEqual(paid);
    expect(till.told("order_part_paid")).toMatchObject([{ received: "20", remaining: "28.5" }]);
    expect(till.told("order_status_changed")).toMatchObject([{ order_id, status: "paid" }]);
    expect(till.rows("SELECT id FROM transfers WHERE reason IS NOT NULL OR held_for IS NOT NULL")).toEqual([]);
  });

  test("pay nothing while the first may be a part of another order, which a stranger at the same exchange adds to", async () => {
    await begin();
    const thief = await asked("105.00");
    await asked("100.00");
    await till.receive({ amount: "40", sender: exchange });
    await till.receive({ amount: "65", sender: exchange });
    expect<unknown>([till.status(thief), kinds()]).toEqual(unpaid);
  });

  test("pay it beside a larger order that expects another sender", async () => {
    await begin();
    await asked("100.00", bob);
    const order_id = await asked("48.50");
    await till.receive({ amount: "20", sender: ann });
    await till.receive({ amount: "28.5", sender: ann });
    expect<unknown>([till.status(order_id), kinds()]).toEqual(paid);
  });

  test("pay it from one transaction: 40.06 and 20 for 60.06", async () => {
    await begin();
    const order_id = await asked("60.06");
    const first = await till.arrive({ amount: "40.06", sender: ann });
    const beside = { ...transferOf(till.transfer(first)), units: 20_000_000n, position: 1, log_index: 1 };
    const [second] = await till.settlement.admit([beside], "beside it");
    await till.confirm(first);
    expect(till.status(order_id)).toBe("pending");
    await till.confirm(second?.id ?? 0);
    expect<unknown>([till.status(order_id), kinds()]).toEqual(paid);
  });

  test("pay it in whichever order they are confirmed", async () => {
    await begin();
    const order_id = await asked("48.50");
    const [first, second] = [
      await till.arrive({ amount: "20", sender: ann }),
      await till.arrive({ amount: "28.5", sender: ann }),
    ];
    await till.confirm(second);
    expect(till.status(order_id)).toBe("pending");
    await till.confirm(first);
    expect<unknown>([till.status(order_id), kinds()]).toEqual(paid);
  });

  test("pay it when they were seen in time and are confirmed after its end", async () => {
    await begin();
    const order_id = await asked("48.50");
    const ids = [await till.arrive({ amount: "20", sender: ann }), await till.arrive({ amount: "28.5", sender: ann })];
    till.advance(120 * minute_ms);
    await till.quiet();
    expect(await till.expiry.expireDue()).toBe(0);
    for (const id of ids) await till.confirm(id);
    expect(till.status(order_id)).toBe("paid");
  });

  test("pay what is left of it after a part", async () => {
    await begin();
    const order_id = await asked("60.00");
    await assign((await till.receive({ amount: "11.5", coin: "USDC" })).id, order_id);
    await till.receive({ amount: "20", sender: ann });
    await till.receive({ amount: "28.5", sender: ann });
    expect([till.status(order_id), kinds()]).toEqual(["paid", ["assign", "part", "part"]]);
  });

  test("wait for the policy of their sum", async () => {
    await beginWithTiers();
    const order_id = await asked("48.50");
    await till.receive({ amount: "20", sender: ann });
    const { id, status, finality } = await till.receive({ amount: "28.5", sender: ann });
    expect([till.status(order_id), status, finality]).toEqual(["pending", "waiting_for_confirmation", "64"]);
    await till.confirm(id);
    expect(till.status(order_id)).toBe("paid");
  });

  test("wait for the policy of their sum also where the newer one is confirmed first", async () => {
    await beginWithTiers();
    await asked("48.50");
    await till.arrive({ amount: "20", sender: ann });
    const { status, finality } = await till.receive({ amount: "28.5", sender: ann });
    expect([status, finality]).toEqual(["waiting_for_confirmation", "64"]);
  });

  test("all count where the first of them nearly pay it already", async () => {
    await begin({ orders: { underpaid_tolerance: [{ millionths: 50_000n }] } });
    const order_id = await asked("100.00");
    await assign((await till.receive({ amount: "94", coin: "USDC" })).id, order_id);
    for (const amount of ["3.3", "2.7"]) await till.receive({ amount, sender: ann });
    expect([till.status(order_id), waiting()]).toEqual(["paid", []]);
  });

  test("pay nothing once one of them has left the chain", async () => {
    await begin();
    const order_id = await asked("48.50");
    const first = await till.receive({ amount: "20", sender: ann });
    await till.quiet([first.id]);
    await till.receive({ amount: "28.5", sender: ann });
    expect<unknown>([till.status(order_id), kinds()]).toEqual(unpaid);
  });
});

describe("one that left the chain after it was confirmed and comes back", () => {
  /** It leaves the chain, the other is confirmed, and it is mined again in another block. */
  const gone = async () => {
    const order_id = await asked("48.50");
    const { id } = await till.receive({ amount: "20", sender: ann });
    await till.quiet([id]);
    const other = await till.receive({ amount: "28.5", sender: ann });
    expect<unknown>([till.status(order_id), kinds(), other.held_for]).toEqual([...unpaid, null]);
    return { order_id, id, other };
  };
  const comesBack = async (id: number) => {
    const before = transferOf(till.transfer(id));
    const block = { number: 500, hash: "0xb500", time: Math.floor(till.now() / 1000) };
    await till.settlement.admit([{ ...before, block }], "mined again");
  };

  test("pays the order with the other that was confirmed meanwhile", async () => {
    await begin();
    const { order_id, id } = await gone();
    await comesBack(id);
    await till.held.settleHeld();
    expect<unknown>([till.status(order_id), kinds()]).toEqual(paid);
    expect(till.rows("SELECT id FROM transfers WHERE reason IS NOT NULL OR held_for IS NOT NULL")).toEqual([]);
  });

  test("keeps the order from expiring until it was asked about, and pays nothing once a third was sent", async () => {
    await begin();
    const { order_id, id } = await gone();
    await comesBack(id);
    expect(till.transfer(id).held_for).not.toBeNull();
    await till.receive({ amount: "3", sender: ann });
    await till.held.settleHeld();
    expect<unknown>([till.status(order_id), kinds(), till.transfer(id).held_for]).toEqual([...unpaid, null]);
  });

  test("pays nothing when an operator has seen to the other", async () => {
    await begin();
    const { order_id, id, other } = await gone();
    await createInbox(till).dismiss(other.id, "operator", "sent back");
    await comesBack(id);
    await till.held.settleHeld();
    expect<unknown>([till.status(order_id), kinds(), till.transfer(id).held_for]).toEqual([...unpaid, null]);
  });

  test("is confirmed again where the sum needs a stricter policy", async () => {
    await beginWithTiers();
    const { order_id, id } = await gone();
    await comesBack(id);
    await till.held.settleHeld();
    const { status, finality } = till.transfer(id);
    expect([till.status(order_id), status, finality]).toEqual(["pending", "waiting_for_confirmation", "64"]);
    await till.confirm(id);
    expect<unknown>([till.status(order_id), kinds()]).toEqual(paid);
  });
});

describe("they pay nothing by themselves", () => {
  const stories: [what: string, run: () => Promise<string>][] = [
    [
      "when they come from two senders",
      async () => {
        const order_id = await asked("48.50");
        await till.receive({ amount: "20", sender: ann });
        await till.receive({ amount: "28.5", sender: bob });
        return order_id;
      },
    ],
    [
      "when the sum is a unit short",
      async () => {
        const order_id = await asked("48.50");
        await till.receive({ amount: "20", sender: ann });
        const last = await till.receive({ amount: "28.499999", sender: ann });
        expect(told(last.id)).toEqual(["waiting_for_match", "short", order_id]);
        return order_id;
      },
    ],
    [
      "when the sender sent a third",
      async () => {
        const order_id = await asked("48.50");
        for (const amount of ["3", "20", "28.5"]) await till.receive({ amount, sender: ann });
        return order_id;
      },
    ],
    [
      "when the order was opened after the first of them",
      async () => {
        await till.receive({ amount: "20", sender: ann });
        till.advance(minute_ms);
        const order_id = await asked("48.50");
        await till.receive({ amount: "28.5", sender: ann });
        return order_id;
      },
    ],
    [
      "when the order is young for the first of them",
      async () => {
        const order_id = await till.asked("48.50");
        await till.receive({ amount: "20", sender: ann });
        await till.receive({ amount: "28.5", sender: ann });
        return order_id;
      },
    ],
    [
      "when the order expects another sender",
      async () => {
        const order_id = await asked("48.50", bob);
        await till.receive({ amount: "20", sender: ann });
        await till.receive({ amount: "28.5", sender: ann });
        return order_id;
      },
    ],
    [
      "when there are more than ten",
      async () => {
        const order_id = await asked("110.00");
        for (let n = 0; n < 11; n++) await till.receive({ amount: "10", sender: ann });
        return order_id;
      },
    ],
    [
      "when an operator has seen to one of them",
      async () => {
        const order_id = await asked("48.50");
        const { id } = await till.receive({ amount: "20", sender: ann });
        await createInbox(till).dismiss(id, "operator", "sent back");
        await till.receive({ amount: "28.5", sender: ann });
        return order_id;
      },
    ],
  ];
  test.each(stories)("%s", async (_what, run) => {
    await begin();
    const order_id = await run();
    await till.held.settleHeld();
    expect<unknown>([till.status(order_id), kinds()]).toEqual(unpaid);
  });

  test("when the sender has paid three orders and may be an exchange", async () => {
    await begin();
    for (const amount of ["1.00", "2.00", "3.00"]) {
      await till.asked(amount);
      till.advance(minute_ms);
      await till.receive({ amount });
    }
    const order_id = await asked("48.50");
    for (const amount of ["20", "28.5"]) await till.receive({ amount, sender: exchange });
    expect([till.status(order_id), kinds()]).toEqual(["pending", ["match", "match", "match"]]);
  });

  test("when one of them is exactly another order's amount: it pays that order", async () => {
    await begin();
    const [order_id, other] = [await asked("48.50"), await asked("28.50")];
    await till.receive({ amount: "20", sender: ann });
    await till.receive({ amount: "28.5", sender: ann });
    expect([till.status(order_id), till.status(other), kinds()]).toEqual(["pending", "paid", ["match"]]);
  });

  test("when one of them came too late for another order of exactly its amount", async () => {
    await begin();
    const [order_id, over] = [await asked("48.50"), await asked("28.50")];
    await till.checkout.cancel(over);
    await till.receive({ amount: "20", sender: ann });
    await till.receive({ amount: "28.5", sender: ann });
    expect<unknown>([till.status(order_id), kinds()]).toEqual(unpaid);
  });
});
