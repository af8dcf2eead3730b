// What a chain does and what becomes of the orders: real anvil, real SQLite, polled by hand.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { coverageOf } from "../../src/services/coverage.ts";
import { balances } from "../support/balances.ts";
import {
  payer,
  type Story,
  type StoryOptions,
  second_wallet,
  startStory,
  stranger,
  usd,
  wallet,
} from "../support/chain-story.ts";
import {
  altering,
  alteringLogs,
  answering,
  type Behaviour,
  emptyLogs,
  filterOf,
  rangeCap,
} from "../support/provider-proxy.ts";

let story: Story;
let started: Story[] = [];
async function begin(options: StoryOptions = {}): Promise<Story> {
  const one = await startStory(options);
  started.push(one);
  return one;
}
afterEach(async () => {
  for (const one of started) await one.stop();
  started = [];
});

/** What must hold of every database at any time. */
function invariants(story: Story): void {
  for (const row of story.database.read(balances)) {
    expect(BigInt(row.received)).toBe(BigInt(row.allocated) + BigInt(row.unallocated) + BigInt(row.reverted));
  }
  expect(
    story.rows("SELECT transfer FROM allocations WHERE reversed_at IS NULL GROUP BY transfer HAVING count(*) > 1"),
  ).toEqual([]);
  expect(
    story.rows(`SELECT o.id FROM orders o WHERE o.status = 'paid' AND o.cause = 'pay'
      AND (SELECT count(*) FROM allocations a WHERE a.order_id = o.id AND a.reversed_at IS NULL) <> 1`),
  ).toEqual([]);
  expect(
    story.rows(`SELECT o.id FROM orders o WHERE o.status <> 'pending' AND NOT EXISTS
      (SELECT 1 FROM events e WHERE e.order_id = o.id AND e.type = 'order_status_changed')`),
  ).toEqual([]);
  expect(
    story.rows(
      "SELECT n FROM events e WHERE n > 1 AND type <> 'log_restored' AND NOT EXISTS (SELECT 1 FROM events p WHERE p.n = e.n - 1)",
    ),
  ).toEqual([]);
  expect(
    story.rows(
      `SELECT s.id FROM slots s JOIN deposits d ON d.id = s.deposit WHERE (d.closed_at IS NULL) <> (s.closed_at IS NULL)`,
    ),
  ).toEqual([]);
}
afterEach(() => {
  for (const one of started) invariants(one);
});

describe("an ordinary payment", () => {
  beforeEach(async () => {
    story = await begin();
  });

  test("is seen at one confirmation, pays at the policy, and is told once", async () => {
    const order = await story.order("19.99");
    await story.poll();
    const deposit = await story.select(order.id);
    expect(deposit).toMatchObject({ amount: "19.99", wallet, coin: "USDT" });
    await story.usdt.transfer(payer, wallet, usd(19.99));
    await story.mine();
    await story.poll();
    expect(story.transfers()).toMatchObject([
      { status: "waiting_for_confirmation", deposit: deposit.id, amount: "19.99" },
    ]);
    expect(story.status(order.id)).toBe("pending");

    await story.mine();
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
    expect(story.transfers()).toMatchObject([{ status: "matched", deposit: deposit.id }]);
    expect(story.pushed(order.id)).toEqual(["paid"]);
    await story.mine(10);
    await story.poll();
    expect(story.pushed(order.id)).toEqual(["paid"]);
    expect(story.events().map((event) => event.type)).toEqual([
      "order_created",
      "deposit_opened",
      "transfer_seen",
      "transfer_confirmed",
      "order_status_changed",
    ]);
  });

  test("in an 18-decimals coin is exact to the last unit", async () => {
    await story.poll();
    const order = await story.order("0.000000000000000001");
    await story.select(order.id, "DAI");
    await story.dai.transfer(payer, wallet, 1n);
    await story.mine(3);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
  });

  test("that landed while the server was stopped is found after the restart", async () => {
    const order = await story.order("5.00");
    await story.poll();
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(5));
    await story.mine(30);
    story.restart();
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
  });

  test("that landed before the very first contact with the chain is found", async () => {
    const order = await story.order("5.00");
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(5));
    await story.mine(3);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
  });

  test("two transfers in one transaction pay two orders", async () => {
    await story.poll();
    const first = await story.order("10.00");
    const second = await story.order("20.00");
    await story.select(first.id);
    await story.select(second.id);
    await story.usdt.batch(payer, [wallet, wallet], [usd(10), usd(20)]);
    await story.mine(3);
    await story.poll();
    expect([story.status(first.id), story.status(second.id)]).toEqual(["paid", "paid"]);
    expect(new Set(story.transfers().map((row) => row.position)).size).toBe(2);
  });

  test("two equal transfers in one transaction: one pays, the other is a duplicate", async () => {
    await story.poll();
    const order = await story.order("10.00");
    await story.select(order.id);
    await story.usdt.batch(payer, [wallet, wallet], [usd(10), usd(10)]);
    await story.mine(3);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
    expect(story.transfers().map((row) => [row.status, row.reason])).toEqual([
      ["matched", null],
      ["waiting_for_match", "order_ended"],
    ]);
    const told = story.events("unknown_transfer").map((event) => JSON.parse(event.body));
    expect(told).toMatchObject([{ event_type: "unknown_transfer", value: "10", order_id: order.id }]);
  });
});

describe("two orders of the same amount", () => {
  test("are asked for different amounts, and each is paid by its own", async () => {
    story = await begin();
    await story.poll();
    const first = await story.order("10.00");
    const second = await story.order("10.00");
    const one = await story.select(first.id);
    const two = await story.select(second.id);
    expect([one.amount, two.amount]).toEqual(["10.00", "10.01"]);
    await story.usdt.transfer(payer, wallet, usd(10.01));
    await story.mine(3);
    await story.poll();
    expect([story.status(first.id), story.status(second.id)]).toEqual(["pending", "paid"]);
  });

  test("take the verbatim amount on the next wallet before any surcharge", async () => {
    story = await begin({ wallets: [wallet, second_wallet] });
    const deposits = [];
    for (let index = 0; index < 3; index++) deposits.push(await story.select((await story.order("10.00")).id));
    expect(deposits.map((deposit) => [deposit.wallet, deposit.amount])).toEqual([
      [wallet, "10.00"],
      [second_wallet, "10.00"],
      [wallet, "10.01"],
    ]);
  });

  test("an amount stays out of use after its order ended, until the late window has passed on the chain", async () => {
    story = await begin({ late_window: "1h" });
    await story.poll();
    const first = await story.order("10.00");
    await story.select(first.id);
    await story.checkout.cancel(first.id);
    expect((await story.select((await story.order("10.00")).id)).amount).toBe("10.01");

    await story.advance(3700);
    expect(await story.release.releaseDue()).toBe(0);
    await story.mine(8);
    await story.poll();
    expect(await story.release.releaseDue()).toBe(1);
    expect((await story.select((await story.order("10.00")).id)).amount).toBe("10.00");
  });

  test("a payment for the cancelled one never pays its successor", async () => {
    story = await begin();
    await story.poll();
    const first = await story.order("10.00");
    await story.select(first.id);
    await story.checkout.cancel(first.id);
    const second = await story.order("10.00");
    await story.select(second.id);
    await story.usdt.transfer(payer, wallet, usd(10));
    await story.mine(3);
    await story.poll();
    expect(story.status(second.id)).toBe("pending");
    expect(story.transfers()).toMatchObject([
      { status: "waiting_for_match", reason: "order_ended", likely_order: first.id },
    ]);
  });
});

describe("time", () => {
  beforeEach(async () => {
    story = await begin({ lifetime: "10m", late_window: "1h" });
    await story.poll();
  });

  test("an order without a deposit expires on time", async () => {
    const order = await story.order("1.00");
    story.wait(599);
    expect(await story.expiry.expireDue()).toBe(0);
    story.wait(2);
    expect(await story.expiry.expireDue()).toBe(1);
    expect(story.pushed(order.id)).toEqual(["expired"]);
  });

  test("an order with a deposit expires only once its chain was read past its end", async () => {
    const order = await story.order("1.00");
    await story.select(order.id);
    story.wait(700);
    expect(await story.expiry.expireDue()).toBe(0);
    await story.anvil.rpc("evm_increaseTime", [700]);
    await story.mine();
    await story.poll();
    expect(await story.expiry.expireDue()).toBe(1);
    expect(story.status(order.id)).toBe("expired");
  });

  test("a chain that stays silent holds an order no longer than its late window", async () => {
    const order = await story.order("1.00");
    await story.select(order.id);
    story.wait(600 + 3601);
    expect(await story.expiry.expireDue()).toBe(1);
    expect(story.status(order.id)).toBe("expired");
  });

  test("a payment seen before expiry and confirmed after it still pays", async () => {
    const order = await story.order("1.00");
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(1));
    await story.mine();
    await story.poll();
    story.wait(700);
    expect(await story.expiry.expireDue()).toBe(0);
    await story.anvil.rpc("evm_increaseTime", [700]);
    await story.mine();
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
    expect(await story.expiry.expireDue()).toBe(0);
  });

  test("a payment mined in time but read only after the end still pays", async () => {
    const order = await story.order("1.00");
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(1));
    await story.mine();
    await story.advance(700);
    expect(await story.expiry.expireDue()).toBe(0);
    await story.mine(2);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
  });

  test("a payment after the end goes to the inbox with its order", async () => {
    const order = await story.order("1.00");
    await story.select(order.id);
    await story.advance(700);
    await story.poll();
    await story.expiry.expireDue();
    await story.usdt.transfer(payer, wallet, usd(1));
    await story.mine(3);
    await story.poll();
    expect(story.status(order.id)).toBe("expired");
    expect(story.transfers()).toMatchObject([{ status: "waiting_for_match", reason: "late", likely_order: order.id }]);
    await story.operator.markPaid(order.id, "test", "");
    expect(story.pushed(order.id)).toEqual(["expired", "paid"]);
  });

  test("an old transfer of the right amount never pays a younger order", async () => {
    await story.usdt.transfer(payer, wallet, usd(3));
    await story.mine(3);
    await story.poll();
    const order = await story.order("3.00");
    await story.select(order.id);
    await story.mine(3);
    await story.poll();
    expect(story.status(order.id)).toBe("pending");
    expect(story.transfers()).toMatchObject([{ status: "no_matched_deposit", reason: "no_such_amount" }]);
  });
});

describe("strangers", () => {
  beforeEach(async () => {
    story = await begin();
    await story.poll();
  });

  test("money nobody asked for is kept and told", async () => {
    await story.usdt.transfer(stranger, wallet, usd(123.456789));
    await story.mine(3);
    await story.poll();
    expect(story.transfers()).toMatchObject([
      { status: "no_matched_deposit", reason: "no_such_amount", amount: "123.456789" },
    ]);
    expect(story.rows("SELECT kind, url FROM deliveries")).toEqual([
      { kind: "transfer", url: "http://127.0.0.1:9/unknown" },
    ]);
  });

  test("a bound order is not paid by somebody else, but by its sender", async () => {
    const order = await story.order("7.00", payer);
    await story.select(order.id);
    await story.usdt.transfer(stranger, wallet, usd(7));
    await story.mine(3);
    await story.poll();
    expect(story.status(order.id)).toBe("pending");
    await story.usdt.transfer(payer, wallet, usd(7));
    await story.mine(3);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
    expect(story.transfers().map((row) => row.reason)).toEqual(["other_sender", null]);
  });

  test("zero-value logs are counted and not stored", async () => {
    await story.usdt.poison(stranger, payer, wallet);
    await story.mine(3);
    await story.poll();
    expect(story.transfers()).toEqual([]);
    expect(story.rows("SELECT logs > 0 AS counted FROM zero_value_logs")).toEqual([{ counted: 1 }]);
  });

  test("a payment that was seen when the payer cancelled goes to the inbox", async () => {
    const order = await story.order("7.00");
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(7));
    await story.mine();
    await story.poll();
    await story.checkout.cancel(order.id);
    await story.mine(2);
    await story.poll();
    expect(story.status(order.id)).toBe("cancelled");
    expect(story.transfers()).toMatchObject([
      { status: "waiting_for_match", reason: "order_ended", likely_order: order.id },
    ]);
  });
});

describe("a chain that reorganises", () => {
  beforeEach(async () => {
    story = await begin({ finality: "5" });
    await story.mine(20);
    await story.poll();
  });

  test("a payment that leaves the chain is taken back, and its order waits on", async () => {
    const order = await story.order("4.00");
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(4));
    await story.mine();
    await story.poll();
    expect(story.transfers()).toMatchObject([{ status: "waiting_for_confirmation" }]);
    await story.anvil.rpc("anvil_reorg", [1, []]);
    await story.mine(8);
    await story.poll();
    expect(story.transfers()).toMatchObject([{ status: "failed_to_confirm", deposit: null }]);
    expect(story.status(order.id)).toBe("pending");
    expect(story.events("transfer_dropped")).toHaveLength(1);
    await story.usdt.transfer(payer, wallet, usd(4));
    await story.mine(6);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
  });

  test("a payment that moves to another block pays once", async () => {
    const order = await story.order("4.00");
    await story.select(order.id);
    const hash = await story.usdt.transfer(payer, wallet, usd(4));
    await story.mine();
    await story.poll();
    const [before] = story.transfers();
    const tx = (await story.anvil.rpc("eth_getRawTransactionByHash", [hash]).catch(() => null)) as string | null;
    if (tx === null) throw new Error("anvil gives no raw transaction");
    await story.anvil.rpc("anvil_reorg", [1, [[tx, 0]]]);
    await story.mine(8);
    await story.poll();
    const rows = story.transfers();
    expect(rows).toHaveLength(1);
    expect(rows[0]?.block_hash).not.toBe(before?.block_hash);
    expect(story.status(order.id)).toBe("paid");
    expect(story.pushed(order.id)).toEqual(["paid"]);
  });

  test("a duplicate takes the place of the payment that left", async () => {
    const order = await story.order("4.00");
    await story.select(order.id);
    await story.usdt.transfer(stranger, wallet, usd(4));
    await story.mine();
    await story.poll();
    await story.anvil.rpc("anvil_reorg", [1, []]);
    await story.usdt.transfer(payer, wallet, usd(4));
    await story.mine(8);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
    expect(
      story
        .transfers()
        .map((row) => row.status)
        .sort(),
    ).toEqual(["failed_to_confirm", "matched"]);
  });
});

describe("a reorg deeper than the overlap", () => {
  /** Reads block by block, so that headers are remembered all along. */
  async function grow(blocks: number): Promise<void> {
    for (let block = 0; block < blocks; block++) {
      await story.mine();
      await story.poll();
    }
  }
  const top = () => Number(story.rows("SELECT max(to_block) AS top FROM coverage")[0]?.top);

  test("takes coverage back to the last header that still stands and reads everything above it again", async () => {
    story = await begin({ finality: "60", slots: 30 });
    await grow(5);
    const order = await story.order("4.00");
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(4));
    await grow(25);
    expect(story.transfers()).toMatchObject([{ status: "waiting_for_confirmation" }]);
    const before = top();
    await story.anvil.rpc("anvil_reorg", [27, []]);
    await story.mine(1);
    await story.poll();
    expect(story.log.some((line) => line.includes("chain_rewritten "))).toBe(true);
    expect(story.transfers()).toMatchObject([{ status: "failed_to_confirm", deposit: null }]);
    expect(story.status(order.id)).toBe("pending");
    expect(top()).toBeGreaterThanOrEqual(before);
    expect(story.rows("SELECT opened_head FROM deposits")).toEqual([{ opened_head: null }]);
    await story.usdt.transfer(payer, wallet, usd(4));
    await story.mine(61);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
  });

  test("takes back what had paid: the order stays paid, the merchant is told, and mined again it counts again", async () => {
    story = await begin({ finality: "2", slots: 30 });
    await grow(5);
    const order = await story.order("4.00");
    await story.select(order.id);
    const hash = await story.usdt.transfer(payer, wallet, usd(4));
    await grow(25);
    expect(story.status(order.id)).toBe("paid");
    const tx = await story.anvil.rpc("eth_getRawTransactionByHash", [hash]);
    await story.anvil.rpc("anvil_reorg", [27, []]);
    await grow(3);
    expect(story.transfers()).toMatchObject([{ status: "matched", reverted_at: expect.any(Number) }]);
    expect(story.status(order.id)).toBe("paid");
    const [told] = story.events("payment_reverted");
    expect(JSON.parse(told?.body ?? "")).toMatchObject({ order_id: order.id, txn_hash: hash, value: "4" });
    expect(story.rows("SELECT kind FROM deliveries WHERE event = (SELECT max(n) FROM events)")).toEqual([
      { kind: "transfer" },
    ]);
    expect(story.log.filter((line) => line.includes("payment_reverted"))).toHaveLength(1);
    expect(story.database.read(balances)).toMatchObject([{ allocated: "0", reverted: "4000000" }]);

    await story.anvil.rpc("eth_sendRawTransaction", [tx]);
    await grow(5);
    expect(story.transfers()).toMatchObject([{ status: "matched", reverted_at: null }]);
    expect(
      story
        .events()
        .map((event) => event.type)
        .slice(-2),
    ).toEqual(["payment_reverted", "payment_restored"]);
    expect(story.pushed(order.id)).toEqual(["paid"]);
  });

  test("is noticed although a wallet was added since, which begins on the new branch", async () => {
    story = await begin({ finality: "60", slots: 30 });
    await grow(5);
    await story.usdt.transfer(payer, wallet, usd(4));
    await grow(25);
    expect(story.transfers()).toMatchObject([{ status: "waiting_for_confirmation" }]);
    await story.anvil.rpc("anvil_reorg", [27, []]);
    await story.advance(60);
    await story.advance(60);
    const settings = story.config.current();
    const more = settings.wallets.map((one) => ({ ...one, address: second_wallet }));
    story.config.replace({ ...settings, wallets: [...settings.wallets, ...more] });
    await story.watching.sync(story.config.current());
    await story.poll();
    expect(story.transfers()).toMatchObject([{ status: "failed_to_confirm" }]);
  });

  test("below a block that was final stalls the chain instead of believing it", async () => {
    story = await begin({ slots: 1 });
    await grow(30);
    await story.anvil.rpc("anvil_reorg", [28, []]);
    await story.mine(3);
    await expect(story.poll()).rejects.toThrow("was final");
    expect(story.rows("SELECT stalled_reason FROM chains WHERE chain = 'eth'")[0]?.stalled_reason).toContain(
      "chain_rewritten_below_final",
    );
  });
});

describe("a payment whose policy no setting names any more", () => {
  test("waits for the tag it was promised under", async () => {
    story = await begin({ finality: '"safe"', slots: 120 });
    await story.mine(300);
    const order = await story.order("2.00");
    await story.poll();
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(2));
    await story.mine();
    await story.poll();
    const settings = story.config.current();
    const eth = settings.chains.get("eth");
    if (eth === undefined) throw new Error("no chain");
    const chains = new Map(settings.chains).set("eth", {
      ...eth,
      finality: [{ up_to: null, finality: { blocks: 2 } }],
    });
    story.config.replace({ ...settings, chains });
    await story.mine(110);
    await story.poll();
    expect(story.status(order.id)).toBe("pending");
    await story.mine(15);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
  });
});

describe("a finality tag that nobody serves any more", () => {
  const tagless: Behaviour = {
    refuse: ({ params: [tag] }) => (tag === "finalized" ? { code: -32602, message: "unknown block tag" } : null),
  };

  /** A payment that the depth which stands in for a missing tag would count, and finality does not. */
  async function deep(): Promise<string> {
    story = await begin({ proxies: 1, finality: '"finalized"', slots: 100 });
    await story.mine(250);
    await story.poll();
    const order = await story.order("2.00");
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(2));
    await story.mine();
    await story.poll();
    story.proxies[0]?.behave(tagless);
    await story.mine(110);
    await story.poll();
    return order.id;
  }

  test("stays where it was seen, also after a restart", async () => {
    const order = await deep();
    expect(story.status(order)).toBe("pending");
    story.restart();
    story.wait(3_500);
    await story.poll();
    expect(story.status(order)).toBe("pending");
  });

  test("gives way to depth after an hour, over a restart as well", async () => {
    const order = await deep();
    story.restart();
    story.wait(3_700);
    await story.poll();
    expect(story.status(order)).toBe("paid");
  });
});

describe("the final pass", () => {
  test("reads what has become final once more, from the other provider, and finds what the first one hid for good", async () => {
    story = await begin({ proxies: 2, finality: '"finalized"' });
    const [first] = story.proxies;
    await story.poll();
    const order = await story.order("2.00");
    await story.select(order.id);
    first?.behave({ alter: (call, answer) => (call.method === "eth_getLogs" ? { ...answer, result: [] } : answer) });
    await story.usdt.transfer(payer, wallet, usd(2));
    for (let block = 0; block < 40; block++) {
      await story.mine();
      await story.poll();
      story.wait(1);
    }
    expect(story.status(order.id)).toBe("paid");
    expect(story.log.some((line) => line.includes("transfers_missed_by_head_pass"))).toBe(true);
    const passes = story.rows(
      "SELECT pass, count(DISTINCT watch) AS watches FROM coverage GROUP BY pass ORDER BY pass",
    );
    expect(passes.map((row) => row.pass)).toContain("final");
  });
});

describe("the final pass over blocks of two providers", () => {
  test("avoids the one that read a block, not the one that read the newest", async () => {
    story = await begin({ proxies: 2, finality: '"finalized"', slots: 16 });
    const [first] = story.proxies;
    const hiding = emptyLogs;
    await story.poll();
    const order = await story.order("2.00");
    await story.select(order.id);
    first?.behave(hiding);
    await story.usdt.transfer(payer, wallet, usd(2));
    // Out of the overlap's reach before the second provider has its turn.
    for (let block = 0; block < 20; block++) {
      await story.mine();
      await story.poll();
    }
    // Fails until the second one is preferred for good.
    first?.behave(answering(503, ""));
    for (let failures = 0; failures < 5; failures++) {
      await story.mine();
      await story.poll();
      story.wait(failures * 8);
    }
    expect(story.log.join("\n")).toContain("provider_preferred");
    first?.behave(hiding);
    expect(story.status(order.id)).toBe("pending");

    story.wait(60);
    await story.mine(20);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
  });
});

describe("a transfer of plain ether that logs as a coin's transfer does", () => {
  const system = "0xfffffffffffffffffffffffffffffffffffffffe";
  type Receipt = { logs: { address: string; logIndex: string }[] };
  const copied = (log: Receipt["logs"][number] | undefined) => ({ ...log, address: system });
  const next = (log: Receipt["logs"][number]) => ({ ...log, logIndex: `0x${(Number(log.logIndex) + 1).toString(16)}` });
  const receipts = (change: (logs: Receipt["logs"]) => unknown) =>
    altering<Receipt | null>("eth_getTransactionReceipt", (receipt) =>
      receipt === null ? null : { ...receipt, logs: change(receipt.logs) },
    );

  test("beside a payment in one receipt pays nothing and hides nothing", async () => {
    story = await begin({ proxies: 1 });
    await story.poll();
    const order = await story.order("2.00");
    await story.select(order.id);
    story.proxies[0]?.behave(
      receipts((logs) => [copied(logs[0]), ...logs.map(next)]),
      alteringLogs((logs) => logs.map(next as never)),
    );
    await story.usdt.transfer(payer, wallet, usd(2));
    await story.mine(3);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
    expect(story.transfers()).toMatchObject([{ status: "matched", position: 1 }]);
  });

  test("pays nothing when the payer names its transaction", async () => {
    story = await begin({ proxies: 1 });
    await story.poll();
    const order = await story.order("2.00");
    await story.select(order.id);
    story.proxies[0]?.behave(
      emptyLogs,
      receipts((logs) => logs.map(copied)),
    );
    const hash = await story.usdt.transfer(payer, wallet, usd(2));
    await story.mine(3);
    expect((await story.claims.claim(order.id, hash, "client")).status).toBe("not_found");
    await story.poll();
    expect(story.status(order.id)).toBe("pending");
    expect(story.transfers()).toEqual([]);
  });
});

describe("a payer who names the transaction", () => {
  const said = async (order: { id: string }, hash: string) =>
    (await story.claims.claim(order.id, hash, "client")).status;

  test("of a payment that the provider's logs hide is paid, and the log is the same transfer when it shows", async () => {
    story = await begin({ proxies: 1 });
    await story.poll();
    const order = await story.order("2.00");
    await story.select(order.id);
    story.proxies[0]?.behave({
      alter: (call, answer) => (call.method === "eth_getLogs" ? { ...answer, result: [] } : answer),
    });
    const hash = await story.usdt.transfer(payer, wallet, usd(2));
    expect(await said(order, hash)).toBe("not_found");
    await story.mine();
    await story.poll();
    expect(story.transfers()).toEqual([]);
    expect(await said(order, hash)).toBe("accepted");
    await story.mine(2);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
    expect(await said(order, hash)).toBe("already_counted");

    story.proxies[0]?.reset();
    await story.mine();
    await story.poll();
    expect(story.transfers()).toMatchObject([{ status: "matched", tx_hash: hash }]);
    expect(story.pushed(order.id)).toEqual(["paid"]);
  });

  test("of a payment for somebody else gains nothing, and of one to nobody neither", async () => {
    story = await begin();
    await story.poll();
    const mine = await story.order("2.00");
    const other = await story.order("3.00");
    await story.select(mine.id);
    await story.select(other.id);
    const paid = await story.usdt.transfer(payer, wallet, usd(3));
    const elsewhere = await story.usdt.transfer(payer, second_wallet, usd(2));
    await story.mine(3);
    expect(await said(mine, paid)).toBe("already_counted");
    expect(await said(mine, elsewhere)).toBe("not_found");
    await story.poll();
    expect([story.status(mine.id), story.status(other.id)]).toEqual(["pending", "paid"]);
    expect(story.transfers()).toHaveLength(1);
  });
});

describe("a provider that misbehaves", () => {
  test("a failed read moves no coverage; the next one makes up for it", async () => {
    story = await begin({ proxies: 1 });
    const [proxy] = story.proxies;
    await story.poll();
    const order = await story.order("2.00");
    await story.select(order.id);
    const covered = () => story.rows("SELECT max(to_block) AS top FROM coverage WHERE pass = 'head'")[0]?.top;
    const before = covered();
    await story.usdt.transfer(payer, wallet, usd(2));
    await story.mine(3);
    proxy?.behave({ request: () => new Response("<html>busy</html>", { headers: { "content-type": "text/html" } }) });
    await expect(story.poll()).rejects.toThrow("the answer is not JSON");
    expect(covered()).toBe(before);
    expect(story.rows("SELECT stalled_reason IS NOT NULL AS stalled FROM chains WHERE chain = 'eth'")).toEqual([
      { stalled: 1 },
    ]);
    proxy?.reset();
    story.wait(400);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
    expect(story.rows("SELECT stalled_reason IS NOT NULL AS stalled FROM chains WHERE chain = 'eth'")).toEqual([
      { stalled: 0 },
    ]);
  });

  test("an outage of the first provider is bridged by the second", async () => {
    story = await begin({ proxies: 2 });
    await story.poll();
    const order = await story.order("2.00");
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(2));
    await story.mine(3);
    story.proxies[0]?.behave({ request: () => new Response("down", { status: 503 }) });
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
  });

  test("a log that a lagging backend hid is found by the overlap", async () => {
    story = await begin({ proxies: 1 });
    await story.poll();
    const order = await story.order("2.00");
    await story.select(order.id);
    await story.usdt.transfer(payer, wallet, usd(2));
    await story.mine();
    story.proxies[0]?.behave({
      alter: (call, answer) => (call.method === "eth_getLogs" ? { ...answer, result: [] } : answer),
    });
    await story.poll();
    expect(story.transfers()).toEqual([]);
    story.proxies[0]?.reset();
    await story.mine(2);
    await story.poll();
    expect(story.status(order.id)).toBe("paid");
  });

  test.each([1, 2])("the last of %d providers, of a single block a call, leaves no hole behind", async (proxies) => {
    story = await begin({ proxies });
    await story.poll();
    for (const proxy of story.proxies) proxy.behave(answering(503, ""));
    story.proxies.at(-1)?.behave(rangeCap(1, "publicnode"));
    for (let polls = 0; polls < 8; polls++) {
      await story.mine(6);
      if (polls === 2) await story.usdt.transfer(payer, wallet, usd(2));
      await story.mine(2);
      await story.poll();
      const [eth] = story.database.read((at) => coverageOf(at, story.config.current()));
      // The first poll learns what is taken, the others keep up.
      if (polls > 0) expect(eth?.watches.map(({ outstanding }) => outstanding)).toEqual([0, 0, 0]);
    }
    expect(story.transfers()).toHaveLength(1);
  });

  test("blocks that no provider serves any more keep no other block unread, and no payment from counting", async () => {
    story = await begin({ proxies: 1 });
    const [proxy] = story.proxies;
    await story.poll();
    const order = await story.order("2.00");
    await story.select(order.id);
    await story.anvil.rpc("anvil_mine", ["0x20"]);
    await story.usdt.transfer(payer, wallet, usd(3));
    await story.anvil.rpc("anvil_mine", ["0x44c"]);
    const oldest = 25;
    proxy?.behave({
      refuse: (call) =>
        Number(filterOf(call)?.fromBlock ?? oldest) < oldest
          ? { code: -32602, message: "Archive requests require a personal token" }
          : null,
    });
    await story.usdt.transfer(payer, wallet, usd(2));
    await story.mine();
    await expect(story.poll()).rejects.toThrow("Archive requests");
    expect(story.transfers().map(({ amount }) => amount)).toContain("2");
    for (let polls = 0; polls < 8; polls++) {
      await story.mine();
      story.wait(60);
      await expect(story.poll()).rejects.toThrow(/Archive requests|none of its providers serves block/);
    }
    expect(story.status(order.id)).toBe("paid");
    expect(story.transfers().map(({ amount }) => amount)).toEqual(["2", "3"]);
    const [eth] = story.database.read((at) => coverageOf(at, story.config.current()));
    const [unread, ...others] = eth?.watches[0]?.gaps ?? [];
    expect([unread?.to, others]).toEqual([oldest - 1, []]);
    const [final] = story.rows(
      "SELECT max(to_block) AS through, min(from_block) AS since FROM coverage WHERE pass = 'final'",
    );
    expect(final?.through).toBeGreaterThan(1000);
  });

  test("a quiet poll is two requests, with one open deposit as with many", async () => {
    story = await begin({ proxies: 1 });
    const [proxy] = story.proxies;
    const requestsPerPoll = async () => {
      await story.mine();
      await story.poll();
      const before = proxy?.requests() ?? 0;
      await story.mine();
      await story.poll();
      return (proxy?.requests() ?? 0) - before;
    };
    await story.select((await story.order("1.00")).id);
    expect(await requestsPerPoll()).toBe(2);
    for (let index = 0; index < 200; index++) await story.select((await story.order(`${index + 2}.00`)).id);
    expect(await requestsPerPoll()).toBe(2);
  });
});
