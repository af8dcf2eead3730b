// Which amounts tell payers apart when the price itself is promised to somebody already: the rules of a surcharge. Pure:
// knows promised amounts of one pot, never whose they are.

import { toUnits } from "./money.ts";

/** What exchanges usually keep of a withdrawal of stablecoins, whatever the chain. */
export const usual_fees: readonly string[] = ["0.1", "0.2", "0.5", "0.8", "1", "1.5", "2", "2.5", "3", "4", "5", "10"];
/** Amounts looked at for one surcharge of one scale: a pot so full that nothing is found by then counts as full. */
const probes_max = 30_000;
/** Last digits that are handed out at a finer scale; the others stay as prefixes of still finer amounts. */
const handed_digits = [1n, 2n, 3n, 4n];
const all_digits = [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n];
const lowest_scale = 2;

/** A price in base units of a coin. */
export interface Price {
  units: bigint;
  /** The most that may be added. */
  limit: bigint;
  decimals: number;
  /** Decimals the price is written with. */
  scale: number;
}

/** Promised amounts of one pot. Ranges are [from, to). */
export interface ReservedAmounts {
  has(amount: bigint): boolean;
  anyBetween(from: bigint, to: bigint): boolean;
  between(from: bigint, to: bigint): readonly bigint[];
  add(amount: bigint): void;
}

/** Promised amounts out of a list in ascending order, each once. */
export function reservedAmounts(ascending: readonly bigint[]): ReservedAmounts {
  const list = [...ascending];
  const all = new Set(list);

  /** Index of the first one that is not below `amount`. */
  function indexOf(amount: bigint): number {
    let [low, high] = [0, list.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((list[middle] ?? amount) < amount) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  return {
    has: (amount) => all.has(amount),
    anyBetween: (from, to) => (list[indexOf(from)] ?? to) < to,
    between: (from, to) => list.slice(indexOf(from), indexOf(to)),
    add(amount) {
      if (all.has(amount)) return;
      all.add(amount);
      list.splice(indexOf(amount), 0, amount);
    },
  };
}

/** The scales of surcharges on a price, coarsest first: from its own, two at least, to the finest of the coin. */
export function surchargeScales(price: Price): number[] {
  const first = firstScale(price);
  return Array.from({ length: price.decimals - first + 1 }, (_, index) => first + index);
}

function firstScale({ scale, decimals }: Price): number {
  return Math.min(Math.max(scale, lowest_scale), decimals);
}

/** The usual fees in base units; those the coin cannot hold are left out. */
export function usualFees(decimals: number): bigint[] {
  return usual_fees.flatMap((fee) => toUnits(fee, decimals) ?? []);
}

/** Promises outside (above, through] have no say in the surcharges on a price. */
export function surchargeRange(price: Price): { above: bigint; through: bigint } {
  const fee = usualFees(price.decimals).at(-1) ?? 0n;
  const above = price.units - fee - 1n;
  return { above: above < 0n ? 0n : above, through: price.units + price.limit + fee };
}

/**
 * How far decimals may be dropped from a surcharged amount before it equals another reservation: `whole`: not even down to
 * whole coins, neither way. `scale`: down to the scale of the price only; then the price itself may be what is left of it.
 */
export type Distinctness = "whole" | "scale";
/** Safest first. */
export const distinctnessLevels: readonly Distinctness[] = ["whole", "scale"];

/**
 * Surcharged amounts of exactly `scale` decimals in (price, price + limit], least first, that are no reservation, no
 * reservation less or plus a usual fee, and that equal no reservation once decimals of either are cut or rounded away, as
 * far down as `distinct` says. At most half of the codes of a scale that has finer ones below. Reads `taken` as it goes
 * on, so that what was yielded and is added to it counts.
 */
export function* surcharges(
  price: Price,
  scale: number,
  taken: ReservedAmounts,
  distinct: Distinctness,
): Generator<bigint> {
  const { units, decimals } = price;
  const top = units + price.limit;
  const first = firstScale(price);
  const fees = usualFees(decimals);
  const stepAt = (at: number) => 10n ** BigInt(decimals - at);
  const steps = Array.from({ length: scale - first + 1 }, (_, index) => stepAt(first + index));
  const step = stepAt(scale);
  const whole = distinct === "whole" ? Array.from({ length: first }, (_, at) => stepAt(at)) : [];
  const coarser = [...whole, ...steps.slice(0, -1)];
  let probes = 0;

  function isClear(amount: bigint): boolean {
    probes += 1;
    if (taken.has(amount)) return false;
    // A finer reservation in this range would be this amount once its last decimals were cut or rounded away.
    const place = distinct === "whole" ? lastDigitUnit(amount, decimals) : step;
    if (taken.anyBetween(amount - place / 2n, amount + place)) return false;
    if (fees.some((fee) => taken.has(amount + fee) || taken.has(amount - fee))) return false;
    return !coarser.some((coarse) => taken.has(amount - (amount % coarse)) || taken.has(rounded(amount, coarse)));
  }

  /** The free codes below a prefix of the scale `first + depth`, which is no promise itself. */
  function* below(prefix: bigint, depth: number): Generator<bigint> {
    const next = steps[depth + 1];
    if (next === undefined || prefix > top) return;
    const isLast = depth + 2 === steps.length;
    const digits = isLast ? (scale === decimals ? all_digits : handed_digits) : [0n, ...all_digits];
    for (const digit of digits) {
      const amount = prefix + digit * next;
      if (amount > top || probes >= probes_max) return;
      if (isLast && amount > units && isClear(amount)) yield amount;
      probes += 1;
      if (!isLast && !taken.has(amount)) yield* below(amount, depth + 1);
    }
  }

  if (scale > first) {
    const coarsest = stepAt(first);
    for (let prefix = units - (units % coarsest); prefix <= top && probes < probes_max; prefix += coarsest) {
      probes += 1;
      if (!taken.has(prefix) && !whole.some((coarse) => taken.has(prefix - (prefix % coarse)))) yield* below(prefix, 0);
    }
    return;
  }
  let left = quota(price, step, taken);
  for (let amount = units - (units % step) + step; amount <= top && left > 0n && probes < probes_max; amount += step) {
    if (!isClear(amount)) continue;
    yield amount;
    left -= 1n;
  }
}

/** How many codes of the price's own scale may still be handed out: half of them, all where the coin has nothing finer. */
function quota({ units, limit, decimals, scale }: Price, step: bigint, taken: ReservedAmounts): bigint {
  const codes = (units + limit) / step - units / step;
  if (step === 1n || scale >= decimals) return codes;
  let handed = 0n;
  for (const amount of taken.between(units + 1n, units + limit + 1n)) if (amount % step === 0n) handed += 1n;
  return (codes === 1n ? 1n : codes / 2n) - handed;
}

/** An amount rounded half up to a multiple of `step`. */
function rounded(amount: bigint, step: bigint): bigint {
  const rest = amount % step;
  return rest * 2n >= step && rest > 0n ? amount - rest + step : amount - rest;
}

/** The place of the last digit an amount is written with, up to whole coins: 1 for 0.000001, 100,000 for 19.9. */
export function lastDigitUnit(units: bigint, decimals: number): bigint {
  let step = 1n;
  for (let at = 0; at < decimals && units % (step * 10n) === 0n; at++) step *= 10n;
  return step;
}

/** Amounts that are `units` once decimals are cut or rounded away: all in (above, through] but `units` itself. */
export function finerThan(units: bigint, decimals: number): { above: bigint; through: bigint } {
  const step = lastDigitUnit(units, decimals);
  return { above: units - step / 2n - 1n, through: units + step - 1n };
}

/** What people and exchanges make of an amount: decimals cut or rounded away, down to whole coins. Not the amount itself. */
export function coarserThan(units: bigint, decimals: number): bigint[] {
  const steps = Array.from({ length: decimals }, (_, index) => 10n ** BigInt(index + 1));
  const forms = steps.flatMap((step) => [units - (units % step), rounded(units, step)]);
  return [...new Set(forms)].filter((form) => form > 0n && form !== units);
}
