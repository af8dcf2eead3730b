// How much less than asked still pays, and how much more: a fixed amount, a share of what was asked, or the smaller of
// several such bounds. Compares in base units and rounds nothing in the payer's favour.

import { isAmount, minUnits, scaleOf, toUnits } from "./money.ts";

/** One bound: a decimal amount, or a share in millionths of what is asked. */
export type ToleranceBound = { amount: string } | { millionths: bigint };

/** All of them hold; none at all: not a unit less. */
export type Tolerance = readonly ToleranceBound[];

/** USDT and USDC cannot hold more. */
const amount_decimals = 6;
/** Decimals of a percentage: a millionth is 0.0001 %. */
const percent_decimals = 4;
const millionths_in_percent = 10_000n;
const million = 1_000_000n;
export const highest_tolerance = "100";
export const highest_tolerated_percent = 10n;
/** Of what is due, a payment may bring this much more: up to twice of it. */
export const highest_overpaid_percent = 100n;

/** Reads `"0.10"` or `"0.5%"`; null for anything else, and for more than is allowed. Zero tolerates nothing. */
export function parseBound(text: string, highest_percent: bigint): ToleranceBound | null {
  const percent = text.endsWith("%") ? text.slice(0, -1) : null;
  const number = percent ?? text;
  if (!isAmount(number) && !/^0{1,18}(\.0{1,18})?$/.test(number)) return null;
  if (scaleOf(number) > (percent === null ? amount_decimals : percent_decimals)) return null;
  const units = toUnits(number, amount_decimals) ?? 0n;
  if (percent === null) {
    return units <= (toUnits(highest_tolerance, amount_decimals) ?? 0n) ? { amount: text } : null;
  }
  const millionths = toUnits(percent, percent_decimals) ?? 0n;
  return millionths <= highest_percent * millionths_in_percent ? { millionths } : null;
}

/** The highest price that `units` of a coin with `decimals` still pay: a fixed amount forgives no larger share than a percentage may. */
export function maxPricePaidBy(tolerance: Tolerance, units: bigint, decimals: number): bigint {
  const [first = units, ...more] = tolerance.map((bound) =>
    "amount" in bound ? units + (toUnits(bound.amount, decimals) ?? 0n) : forgiven(units, bound.millionths),
  );
  return minUnits(first, ...more, forgiven(units, highest_tolerated_percent * millionths_in_percent));
}

/** The price of which `units` are all but this share. */
function forgiven(units: bigint, millionths: bigint): bigint {
  return (units * million) / (million - millionths);
}

/** The most base units that a payment of `due` may bring and still pay by itself; `due` where nothing above is tolerated. */
export function maxPaymentFor(tolerance: Tolerance, due: bigint, decimals: number): bigint {
  const bounds = tolerance.map((bound) =>
    "amount" in bound ? (toUnits(bound.amount, decimals) ?? 0n) : (due * bound.millionths) / million,
  );
  const [first = 0n, ...more] = bounds;
  return due + minUnits(first, ...more, (due * highest_overpaid_percent) / 100n);
}
