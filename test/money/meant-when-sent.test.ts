// For whom was money meant when it was sent? What was reserved, settled or reorganised since then gives it to nobody else.

import { afterEach, describe, expect, test } from "bun:test";
import { tokens } from "../../src/domain/assets.ts";
import { createInbox } from "../../src/services/inbox.ts";
import { createWatching } from "../../src/services/watching.ts";
import { evm_wallet, testConfig, wallets } from "../support/server.ts";
import { ann, bob, exchange, startTill, type Till } from "../support/till.ts";

let till: Till;
const begin = async (...settings: Parameters<typeof startTill>) => {
  till = await startTill(...settings);
};
afterEach(async () => {
  till.audit();
  await till.stop();
});

const hour_ms = 3_600_000;
const tolerant = { orders: { underpaid_tolerance: [{ amount: "0.10" }] } };
const sender = (n: number) => `0x${n.toString(16).padStart(40, "0")}`;
const inbox = () => createInbox(till);

/** A block of a branch: it holds one transfer of whole coins, or only shows that others are gone. Resolves with its id. */
async function show(
  block_of: { branch: string; number: number },
  money: { tx_hash: string; coins: bigint; from?: string } | null,
  gone: readonly number[] = [],
): Promise<number> {
  till.advance(12_000);
  const { branch, number } = block_of;
  const token =
    till.config
      .current()
      .chains.get("eth")
      ?.tokens.find((one) => one.coin === "USDT")?.address ?? "";
  const block = { number, hash: `0x${branch}${number}`, time: Math.floor(till.now() / 1000) };
  const watches = till.rows<{ id: number }>("SELECT id FROM watches WHERE chain = 'eth'").map((row) => row.id);
  const place = { position: 0, log_index: 0, block };
  await till.settlement.ingest({
    ...{ chain: "eth", pass: "head", watches, from: 1, end: block, provider: "node", zero_value: 0, gone },
    transfers:
      money === null
        ? []
        : [
            {
              ...{ chain: "eth", token, sender: money.from ?? exchange, wallet: evm_wallet },
              ...{ units: money.coins * 1_000_000n, tx_hash: money.tx_hash, ...place },
            },
          ],
    chainEnd: { head: block, final: { number: 0, hash: null, time: null } },
  });
  const rows = till.rows<{ id: number }>("SELECT id FROM transfers WHERE tx_hash = ?", money?.tx_hash ?? "");
  return rows[0]?.id ?? 0;
}

describe("a transaction that is mined again on another branch", () => {
  const again: [what: string, again: (id: number, money: Parameters<typeof show>[1]) => Promise<unknown>][] = [
    ["is read there", (_, money) => show({ branch: "c", number: 102 }, money)],
    [
      "is dropped, and then read there",
      async (id, money) => {
        await show({ branch: "c", number: 101 }, null, [id]);
        await show({ branch: "c", number: 102 }, money);
      },
    ],
    [
      "is found there by the second look",
      async (id) => {
        till.advance(12_000);
        const block = { number: 102, hash: "0xc102", time: Math.floor(till.now() / 1000) };
        const { block_hash } = till.transfer(id);
        await till.settlement.confirm("eth", [{ id, block_hash, verdict: { moved: block } }]);
      },
    ],
  ];
  test.each(again)("%s: it pays no order that was opened after it was seen", async (_, mineAgain) => {
    await begin();
    const first = await till.asked("20.00", ann);
    const money = { tx_hash: "0xaa", coins: 5n, from: ann };
    const id = await show({ branch: "b", number: 101 }, money);
    till.advance(600_000);
    const later = await till.asked("5.00");
    await mineAgain(id, money);
    await till.confirm(id);
    expect([till.status(later), till.status(first)]).toEqual(["pending", "pending"]);
  });

  test("is nobody's when nobody was asked before it", async () => {
    await begin();
    const money = { tx_hash: "0xaa", coins: 12n };
    const id = await show({ branch: "b", number: 101 }, money);
    till.advance(600_000);
    const later = await till.asked("12.00");
    await show({ branch: "c", number: 102 }, money);
    await till.confirm(id);
    expect([till.status(later), till.transfer(id).reason]).toEqual(["pending", "too_early"]);
  });

  test("as something else leaves its place to the one that waits for it, and the order does not expire", async () => {
    await begin();
    const order = await till.asked("10.00");
    const first = await show({ branch: "b", number: 101 }, { tx_hash: "0xaa", coins: 10n });
    const second = await show({ branch: "b", number: 102 }, { tx_hash: "0xbb", coins: 10n });
    expect([first, second].map((id) => till.transfer(id).deposit === null)).toEqual([false, true]);
    await show({ branch: "c", number: 103 }, { tx_hash: "0xaa", coins: 1n });
    till.advance(2 * hour_ms);
    await show({ branch: "c", number: 104 }, { tx_hash: "0xcc", coins: 77n });
    await till.expiry.expireDue();
    await till.confirm(second);
    expect([till.status(order), till.transfer(second).reason]).toEqual(["paid", null]);
  });

  test("and was re-pointed before that is stored as it is there", async () => {
    await begin();
    await till.asked("10.00");
    const id = await show({ branch: "b", number: 101 }, { tx_hash: "0xaa", coins: 10n });
    till.advance(12_000);
    const block = { number: 102, hash: "0xc102", time: Math.floor(till.now() / 1000) };
    await till.settlement.confirm("eth", [{ id, block_hash: "0xb101", verdict: { moved: block } }]);
    await show({ branch: "c", number: 102 }, { tx_hash: "0xaa", coins: 20n });
    expect(till.transfer(id).units).toBe("20000000");
  });
});

describe("what could be meant for several when it was seen", () => {
  const settled: [how: string, settle: (order: string) => Promise<unknown>][] = [
    ["marked paid by hand", (order) => till.operator.markPaid(order, "operator", "Ann's money is there")],
    ["paid by other money", () => till.receive({ amount: "20.00", sender: ann })],
  ];
  test.each(settled)("pays none of them by itself because one is %s", async (_, settle) => {
    await begin(tolerant);
    const one = await till.asked("20.00", ann);
    const other = await till.asked("10.00");
    const id = await till.arrive({ amount: "9.95", sender: ann });
    expect(till.transfer(id).reason).toBe("ambiguous");
    await settle(one);
    expect(till.status(one)).toBe("paid");
    await till.confirm(id);
    expect([till.transfer(id).reason, till.status(other)]).toEqual(["ambiguous", "pending"]);
  });

  test("is not made certain by twenty newer promises beside it", async () => {
    await begin();
    const low = await till.asked("10.00");
    await till.asked("19.50");
    await till.asked("19.60");
    const id = await till.arrive({ amount: "15.00" });
    for (let n = 0; n < 20; n++) await till.asked(`16.${10 + n}`);
    await till.confirm(id);
    expect(till.status(low)).toBe("pending");
  });
});

test("a part of an expected sender is not made certain by twenty newer promises beside it", async () => {
  await begin();
  const mine = await till.asked("50.00", ann);
  await till.asked("10.40");
  const id = await till.arrive({ amount: "10.00", sender: ann });
  for (let n = 0; n < 20; n++) await till.asked(`10.${10 + n}`);
  await till.confirm(id);
  const { reason, likely_order } = till.transfer(id);
  expect([reason, likely_order, till.status(mine)]).toEqual(["ambiguous", mine, "pending"]);
});

test("many promises of more than double make nothing uncertain: what is over pays", async () => {
  await begin();
  const order = await till.asked("10.00");
  for (let n = 0; n < 25; n++) await till.asked(`90.${10 + n}`);
  const row = await till.receive({ amount: "10.50" });
  expect([till.status(order), row.reason]).toEqual(["paid", "overpaid"]);
});

describe("a promise", () => {
  test("of a price that many senders are expected for is found for each of them", async () => {
    await begin();
    const orders: string[] = [];
    for (let n = 1; n <= 25; n++) orders.push(await till.asked("19.99", sender(0x1000 + n)));
    const row = await till.receive({ amount: "19.99", sender: sender(0x1000 + 25) });
    expect([row.reason, till.status(orders[24] ?? "")]).toEqual([null, "paid"]);
  });

  test("is made of the rest when a part is taken back", async () => {
    await begin();
    const order = await till.asked("10.00", ann);
    const part = await till.receive({ amount: "4.00", sender: ann });
    await till.receive({ amount: "3.00", sender: ann });
    await inbox().unassign(part.id, "operator", "Ann's other order");
    const other = await till.asked("7.00");
    await till.receive({ amount: "7.00", sender: ann });
    expect([till.status(order), till.status(other)]).toEqual(["paid", "pending"]);
  });

  test("is made of the rest when a part comes back", async () => {
    await begin();
    const order = await till.asked("10.00", ann);
    const part = { tx_hash: "0xa1", coins: 4n, from: ann };
    const first = await show({ branch: "b", number: 101 }, part);
    await till.confirm(first);
    await show({ branch: "c", number: 102 }, null, [first]);
    await till.confirm(await show({ branch: "c", number: 103 }, { tx_hash: "0xa2", coins: 3n, from: ann }));
    await show({ branch: "c", number: 104 }, part);
    const other = await till.asked("3.00");
    await till.confirm(await show({ branch: "c", number: 105 }, { tx_hash: "0xa3", coins: 3n, from: ann }));
    expect([till.status(order), till.status(other)]).toEqual(["paid", "pending"]);
  });

  test("in a coin that is taken out of use is kept", async () => {
    const onBase = (...coins: string[]) => [...wallets, { chain: "base", address: evm_wallet, coins }] as never;
    await begin({ wallets: onBase("USDT", "USDC", "DAI") });
    const order = await till.order("10.00");
    await till.select(order, "USDT", "base");
    const next = testConfig({ wallets: onBase("USDC", "DAI") });
    const base = next.chains.get("base") ?? expect.unreachable("base is configured");
    const used = tokens.base.map((one) => (one.on_request ? { ...one, coin: null } : one));
    const config = { ...next, chains: new Map([...next.chains, ["base" as const, { ...base, tokens: used }]]) };
    till.config.replace(config);
    await createWatching({ database: till.database }).sync(config);
    const token = tokens.base.find((one) => one.coin === "USDT")?.address ?? "";
    const row = await till.receive({ amount: "10.00", chain: "base" as never, coin: "USDC", token });
    expect([till.status(order), row.reason]).toEqual(["paid", null]);
  });

  test("made while a rewritten chain is read again is not older than what is mined next on it", async () => {
    await begin();
    for (let blocks = 0; blocks < 5; blocks++) await till.quiet();
    await createWatching({ database: till.database }).rewind("eth", 2);
    const order = await till.asked("10.00");
    await till.confirm(await show({ branch: "c", number: 4 }, { tx_hash: "0xaa", coins: 10n, from: bob }));
    expect(till.status(order)).toBe("paid");
  });
});
