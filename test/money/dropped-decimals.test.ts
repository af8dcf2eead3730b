// Whose order does a payer pay who was asked for an unusual amount, because another order has the usual one, and who drops
// its decimals? Never the other's while the own one waits.

import { afterEach, describe, expect, test } from "bun:test";
import { fromUnits, toUnits } from "../../src/domain/money.ts";
import type { Settings } from "../support/server.ts";
import { ann, bob, startTill, type Till } from "../support/till.ts";

let till: Till;
const begin = async (settings: Settings = {}) => {
  till = await startTill({ ...settings, orders: { max_surcharge: "0.99", ...settings.orders } });
};
afterEach(async () => {
  till.audit();
  await till.stop();
});

const decimals = 6;
const minute_ms = 60_000;

/** What is left of an amount when decimals are cut or rounded away, at any scale down to whole coins. */
function dropped(amount: string): string[] {
  const units = toUnits(amount, decimals) ?? 0n;
  const forms = Array.from({ length: decimals }, (_, index) => 10n ** BigInt(index + 1)).flatMap((step) => [
    units - (units % step),
    units - (units % step) + ((units % step) * 2n >= step ? step : 0n),
  ]);
  return [...new Set(forms)].filter((form) => form > 0n && form !== units).map((form) => fromUnits(form, decimals));
}

/** A payer's order, and what he was asked for. */
async function asks(price: string, sender: string | null = null): Promise<{ id: string; amount: string }> {
  const id = await till.order(price, sender);
  return { id, amount: (await till.select(id)).amount };
}

const story_prices = ["100", "100.00", "20.0", "19.90", "50.5"];
test.each(story_prices)(
  "the second payer of %s who drops decimals does not pay the order of the first",
  async (price) => {
    await begin();
    const [first, second] = [await asks(price), await asks(price)];
    till.advance(minute_ms);
    for (const amount of dropped(second.amount)) {
      const { status } = await till.receive({ amount, sender: bob });
      expect([amount, status]).not.toEqual([amount, "matched"]);
    }
    expect([till.status(first.id), till.status(second.id)]).toEqual(["pending", "pending"]);
  },
);

test("no payer of many prices who drops decimals pays the order of another", async () => {
  const prices = ["0.50", "1", "7.00", "9.9", "19.99", "19.9", "20", "50.5", "99.99", "100.10", "123.456", "1000"];
  for (const max_surcharge of ["0.05", "0.99", "3"]) {
    await begin({ orders: { max_surcharge } });
    for (const price of prices) {
      const payers = [await asks(price), await asks(price), await asks(price)];
      till.advance(minute_ms);
      for (const { amount } of payers.slice(1)) {
        for (const less of dropped(amount)) await till.receive({ amount: less, sender: bob });
      }
    }
    const wrong = till.rows<{ amount: string; order_id: string; asked: string }>(`
      SELECT t.amount, a.order_id, d.amount AS asked FROM allocations a
      JOIN transfers t ON t.id = a.transfer JOIN deposits d ON d.id = t.deposit`);
    expect(wrong).toEqual([]);
    if (max_surcharge !== "3") await till.stop();
  }
}, 300_000);

describe("where no surcharge within the limit survives dropped decimals, the first payer's exact payment", () => {
  test("pays at once while nobody else was asked", async () => {
    await begin();
    const first = await asks("100");
    await till.receive({ amount: "100" });
    expect(till.status(first.id)).toBe("paid");
  });

  test("pays as soon as the second order is paid by its own money", async () => {
    await begin();
    const [first, second] = [await asks("100"), await asks("100")];
    expect(second.amount).toBe("100.01");
    till.advance(minute_ms);
    expect((await till.receive({ amount: "100", sender: ann })).reason).toBe("ambiguous");
    await till.receive({ amount: "100.01", sender: bob });
    await till.held.settleHeld();
    expect([till.status(first.id), till.status(second.id)]).toEqual(["paid", "paid"]);
  });

  test("pays as soon as the second order has ended", async () => {
    await begin();
    const [first, second] = [await asks("100"), await asks("100")];
    till.advance(minute_ms);
    const { id } = await till.receive({ amount: "100", sender: ann });
    await till.held.settleHeld();
    expect([till.status(first.id), till.transfer(id).reason]).toEqual(["pending", "ambiguous"]);
    await till.checkout.cancel(second.id);
    await till.held.settleHeld();
    expect([till.status(first.id), till.transfer(id).status]).toEqual(["paid", "matched"]);
  });

  test("pays at once when the payment of the second is already seen", async () => {
    await begin();
    const [first] = [await asks("100"), await asks("100")];
    till.advance(minute_ms);
    await till.arrive({ amount: "100.01", sender: bob });
    await till.receive({ amount: "100", sender: ann });
    expect(till.status(first.id)).toBe("paid");
  });

  test("pays at once from the sender that the shop expects", async () => {
    await begin();
    const [first] = [await asks("100", ann), await asks("100")];
    till.advance(minute_ms);
    await till.receive({ amount: "100", sender: ann });
    expect(till.status(first.id)).toBe("paid");
  });

  test("pays at once when the second order was asked for only afterwards", async () => {
    await begin();
    const first = await asks("100");
    till.advance(minute_ms);
    const seen = await till.arrive({ amount: "100", sender: ann });
    till.advance(minute_ms);
    await asks("100");
    await till.confirm(seen);
    expect(till.status(first.id)).toBe("paid");
  });
});
