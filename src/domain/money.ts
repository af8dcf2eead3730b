// Exact money: decimal text at the doors, base units as bigint inside. The only user of decimal.js.
// Nothing here rounds: what does not fit is refused.

import Decimal from "decimal.js";

/** Digits of a number that is calculated with: a value of a chain has 78, an amount of the API 36. */
const digits_max = 200;
/** No result of two such numbers has more digits: nothing is ever rounded. */
const precision = 3 * digits_max;
const Exact = Decimal.clone({ precision, rounding: Decimal.ROUND_DOWN, toExpNeg: -precision, toExpPos: precision });

/** The value of a decimal text. Throws for one so long that a result could be rounded. */
function exact(text: string): Decimal {
  if (text.length > digits_max) throw new Error(`a number of more than ${digits_max} digits`);
  return new Exact(text);
}

const amount_pattern = /^\d{1,18}(\.\d{1,18})?$/;

/** True for a positive decimal as the API takes it: 1 to 18 digits, at most 18 more behind a dot, no sign or exponent. */
export function isAmount(text: string): boolean {
  return amount_pattern.test(text) && !exact(text).isZero();
}

/** Digits behind the dot as written: `"19.90"` has 2. */
export function scaleOf(text: string): number {
  const dot = text.indexOf(".");
  return dot < 0 ? 0 : text.length - dot - 1;
}

/** Base units of a decimal text, or null when the coin cannot hold it (more decimals than it has). */
export function toUnits(text: string, decimals: number): bigint | null {
  const scaled = exact(text).times(new Exact(10).pow(decimals));
  return scaled.isInteger() ? BigInt(scaled.toFixed(0)) : null;
}

/** Decimal text of base units, without trailing zeros but with at least `scale` decimals. */
export function fromUnits(units: bigint, decimals: number, scale = 0): string {
  const value = exact(units.toString()).div(new Exact(10).pow(decimals));
  return value.toFixed(Math.max(scale, value.decimalPlaces()));
}

/** The scale at which amounts of different coins are compared and summed: none has more decimals. */
const common_decimals = 18;

/** Units of a decimal text at the scale common to all coins (18 decimals). */
export function toCommon(text: string): bigint {
  const units = toUnits(text, common_decimals);
  if (units === null) throw new Error("an amount has more decimals than any coin");
  return units;
}

/** Decimal text of units of the common scale, with at least `scale` decimals. */
export function fromCommon(units: bigint, scale = 0): string {
  return fromUnits(units, common_decimals, scale);
}

/** The least base units of a coin with `decimals` that are worth `units` of the common scale or more. */
export function unitsCovering(units: bigint, decimals: number): bigint {
  const unit = commonUnit(decimals);
  return (units + unit - 1n) / unit;
}

/** One base unit of a coin with `decimals`, at the common scale. */
export function commonUnit(decimals: number): bigint {
  return 10n ** BigInt(common_decimals - decimals);
}

/** The smallest of some units; `first` among them. */
export function minUnits(first: bigint, ...more: readonly bigint[]): bigint {
  return more.reduce((least, one) => {
    if (one < least) return one;
    return least;
  }, first);
}

/** The largest of some units; `first` among them. */
export function maxUnits(first: bigint, ...more: readonly bigint[]): bigint {
  return more.reduce((most, one) => {
    if (one > most) return one;
    return most;
  }, first);
}

/** True when `amount` <= `limit`, both decimal texts. */
export function isAtMost(amount: string, limit: string): boolean {
  return exact(amount).lte(exact(limit));
}

/** Below zero when `a` is the smaller of two decimal texts, above zero when it is the greater, zero when they are equal. */
export function compareAmounts(a: string, b: string): number {
  return exact(a).comparedTo(exact(b));
}

/** `a` less `b`, decimal texts, without trailing zeros; with a minus when `b` is the greater. */
export function subtractAmounts(a: string, b: string): string {
  return exact(a).minus(exact(b)).toFixed();
}
