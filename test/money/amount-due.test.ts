// After a part, what is still due is what every answer asks for: in every coin, on every chain, to the unit.

import { afterEach, expect, test } from "bun:test";
import { createCrediting } from "../../src/services/crediting.ts";
import { insertTransfer } from "../../src/storage/transfers.ts";
import { evm_wallet, type Settings, startTestServer } from "../support/server.ts";
import { ann, startTill, type Till } from "../support/till.ts";

let till: Till;
afterEach(async () => {
  till.audit();
  await till.stop();
});

async function begin(settings: Settings = {}): Promise<void> {
  till = await startTill(settings);
}
const due = async (order_id: string, coin?: "USDT" | "USDC" | "DAI", chain?: string) =>
  (await till.select(order_id, coin, chain)).amount;
const reserved = () => till.rows<{ units: string }>("SELECT units FROM slots WHERE rest = 1").map(({ units }) => units);

test("an answer asks for the full price before a part, and for what is due after it, whatever is chosen", async () => {
  await begin();
  const order_id = await till.asked("20.00", ann);
  expect(await due(order_id)).toBe("20.00");
  await till.receive({ amount: "7.5", sender: ann });
  expect(await due(order_id)).toBe("12.5");
  expect(await due(order_id, "USDC")).toBe("12.5");
  expect(await due(order_id, "DAI", "polygon")).toBe("12.5");
  await till.receive({ amount: "2.5", sender: ann, coin: "USDC" });
  for (const [coin, chain] of [["USDT"], ["USDC"], ["DAI", "polygon"]] as const) {
    expect(await due(order_id, coin, chain)).toBe("10");
  }
  await till.receive({ amount: "10", sender: ann, coin: "DAI", chain: "polygon" });
  expect(till.status(order_id)).toBe("paid");
});

test("a part of eighteen decimals leaves what six decimals can hold, rounded up, and that pays without excess", async () => {
  await begin();
  const order_id = await till.asked("20.00", ann);
  await till.select(order_id, "DAI", "polygon");
  await till.receive({ amount: "7.000000000000000001", sender: ann, coin: "DAI", chain: "polygon" });
  expect(await due(order_id, "DAI", "polygon")).toBe("12.999999999999999999");
  expect(await due(order_id)).toBe("13");
  const paying = await till.receive({ amount: "13", sender: ann });
  expect([till.status(order_id), paying.status, paying.reason]).toEqual(["paid", "matched", null]);
});

test("what is due is said though it cannot be reserved, and pays when its sender sends it", async () => {
  await begin();
  const order_id = await till.asked("20.00", ann);
  const other = await till.asked("13.00");
  await till.receive({ amount: "7", sender: ann });
  expect(await due(order_id)).toBe("13");
  expect(reserved()).toEqual([]);
  await till.receive({ amount: "13", sender: ann });
  expect([till.status(order_id), till.status(other)]).toEqual(["paid", "pending"]);
});

test("a coin chosen after a part asks for an amount of which the remainder can be reserved", async () => {
  await begin({ orders: { max_surcharge: "0.99" } });
  const order_id = await till.asked("20.00", ann);
  const other = await till.order("13.50");
  await till.select(other, "USDC");
  await till.receive({ amount: "6.5", sender: ann });
  // 13.50 is the other order's; 13.51 and the like are it once a digit is dropped.
  const amount = await due(order_id, "USDC");
  expect([amount, reserved().includes(String(Number(amount) * 1e6))]).toEqual(["13.61", true]);
  await till.receive({ amount, sender: ann, coin: "USDC" });
  expect([till.status(order_id), till.status(other)]).toEqual(["paid", "pending"]);
  expect(till.rows("SELECT id FROM transfers WHERE reason IS NOT NULL")).toEqual([]);
});

test("POST payment says what is due", async () => {
  await begin();
  const server = await startTestServer({});
  try {
    const order_id = await server.createOrder({ amount: "20.00" });
    const body = JSON.stringify({ blockchain: "eth", stablecoin: "USDT" });
    const amount = async () =>
      JSON.parse((await server.user("POST", `orders/${order_id}/payment`, { body })).body) as Record<string, unknown>;
    expect(await amount()).toMatchObject({ amount: "20.00", wallet_address: evm_wallet });
    const block = { number: 1, hash: `0x${"1".repeat(64)}`, time: 1 };
    const place = { tx_hash: `0x${"3".repeat(64)}`, log_index: 0, position: 0, block };
    const part = { chain: "eth" as const, token: "0x", sender: ann, wallet: evm_wallet, units: 7_500_000n, ...place };
    await server.database.transact((tx) => {
      const transfer = insertTransfer(tx, part, { coin: "USDT", label: "USDT", amount: "7.5", finality: "12" });
      createCrediting({ config: server.config }).credit(tx, { transfer, order_id, kind: "assign" });
    });
    expect(await amount()).toMatchObject({ amount: "12.5", wallet_address: evm_wallet });
  } finally {
    await server.stop();
  }
});
