// What an order costs that somebody else asks us to sign: what the catalogue says, or the caller where the operator lets
// everybody. Where the shop's backend decides, opencharge-approval asks it. Nothing here rounds.

import { fromUnits, isAmount, toUnits } from "../../domain/money.ts";
import type { OpenchargeSettings } from "../config/settings.ts";
import { isRefusal, type NetworkRefusal, networkRefusal, refuseFields, refuseSubmitted } from "../wire/errors.ts";
import type { Order } from "../wire/orders.ts";
import type { OrderCreate } from "../wire/readers.ts";

const price_decimals = 18;
const quantity_decimals = 6;
const one_item = 10n ** BigInt(quantity_decimals);
const total_decimals = price_decimals + quantity_decimals;
/** Decimals that a total has at least. */
const usual_scale = 2;
const default_lifetime_s = 3600;
const lifetime_max_s = 24 * 3600;

type Items = NonNullable<OrderCreate["items"]>;

/** Null for a currency that is taken. Refusal: SETTLEMENT_NOT_SUPPORTED. */
export function checkCurrency({ currencies }: OpenchargeSettings, { currency }: OrderCreate): NetworkRefusal | null {
  if (currencies.includes(currency)) return null;
  return networkRefusal("SETTLEMENT_NOT_SUPPORTED", { message: "the currency is not taken", details: { currencies } });
}

/**
 * Amount and items to sign where nobody is asked. Refusals: INVALID_REQUEST, INVALID_ITEM, INSUFFICIENT_STOCK,
 * AMOUNT_MISMATCH.
 */
export function priced(
  settings: OpenchargeSettings,
  wanted: OrderCreate,
): Pick<Order, "amount" | "items"> | NetworkRefusal {
  if (settings.orders === "open" && wanted.amount !== null) return { amount: wanted.amount, items: wanted.items };
  if (wanted.items === null || wanted.items.length === 0) {
    return refuseFields([{ path: "items", message: "is required: the catalogue says what they cost" }]);
  }
  return fromCatalog(settings, wanted.items, wanted.amount);
}

function fromCatalog(
  settings: OpenchargeSettings,
  wanted: Items,
  stated: string | null,
): Pick<Order, "amount" | "items"> | NetworkRefusal {
  const items: Items[number][] = [];
  const counts = countsOf(wanted);
  let total = 0n;
  for (const line of wanted) {
    const priced = pricedLine(settings, line, counts.get(line.id) ?? 0n);
    if (isRefusal(priced)) return priced;
    items.push(priced.item);
    total += priced.units;
  }
  const amount = fromUnits(total, total_decimals, usual_scale);
  if (!isAmount(amount)) return networkRefusal("INVALID_ITEM", { message: "the total is no amount" });
  return checkStated(stated, amount) ?? { amount: stated ?? amount, items };
}

/** How much of each item an order asks for, over all its lines. */
function countsOf(items: Items): ReadonlyMap<string, bigint> {
  const counts = new Map<string, bigint>();
  for (const { id, quantity } of items) counts.set(id, (counts.get(id) ?? 0n) + (countOf(quantity) ?? 0n));
  return counts;
}

/** A quantity as a whole number of its least part; null for more decimals than quantities have. */
function countOf(quantity: number): bigint | null {
  return toUnits(String(quantity), quantity_decimals);
}

/** `ordered`: how much of the item the whole order asks for. */
function pricedLine(settings: OpenchargeSettings, { id, quantity }: Items[number], ordered: bigint) {
  const entry = settings.items.find((item) => item.id === id);
  const count = countOf(quantity);
  const price = entry === undefined ? null : toUnits(entry.price, price_decimals);
  if (entry === undefined || price === null || count === null)
    return networkRefusal("INVALID_ITEM", { details: { item: id } });
  const { min_qty, max_qty } = entry;
  const isAbove = (limit: number | null) => limit !== null && ordered > BigInt(limit) * one_item;
  if (ordered < BigInt(min_qty) * one_item || isAbove(max_qty)) {
    const words = "the quantity is not one that is sold";
    return networkRefusal("INVALID_ITEM", { message: words, details: { item: id, min_qty, max_qty } });
  }
  if (isAbove(entry.quantity)) {
    return networkRefusal("INSUFFICIENT_STOCK", { details: { item: id, available: entry.quantity } });
  }
  return { item: { id, name: entry.name, quantity, price: entry.price }, units: price * count };
}

/** Whether an amount is exactly what its items cost. */
export function isSumOf(amount: string, items: Items): boolean {
  const units = items.map(({ quantity, price }) => {
    const [count, each] = [countOf(quantity), toUnits(price, price_decimals)];
    return count === null || each === null ? null : count * each;
  });
  const known = units.filter((line) => line !== null);
  const total = known.reduce((sum, line) => sum + line, 0n);
  return known.length === units.length && toUnits(amount, total_decimals) === total;
}

/** Null when an amount is what the caller stated, or it stated none. Refusal: AMOUNT_MISMATCH. */
export function checkStated(stated: string | null, amount: string): NetworkRefusal | null {
  if (stated === null || toUnits(stated, total_decimals) === toUnits(amount, total_decimals)) return null;
  return networkRefusal("AMOUNT_MISMATCH", { details: { expected: amount } });
}

/** When an order ends (seconds): as asked, within a day, else in an hour. Refusal: ORDER_EXPIRED. */
export function expiryOf(wanted: OrderCreate, now_s: number): number | NetworkRefusal {
  const { expires_at } = wanted;
  if (expires_at === null) return now_s + default_lifetime_s;
  if (expires_at <= now_s) return refuseSubmitted("ORDER_EXPIRED", { message: "expiresAt has passed" });
  return Math.min(expires_at, now_s + lifetime_max_s);
}
