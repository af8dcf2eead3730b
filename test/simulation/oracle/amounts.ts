// What people do to an amount on its way: they leave out decimals, an exchange keeps a fee. Pure arithmetic, written
// without the product's.

/** What exchanges keep of a withdrawal, in coins, as the manual lists it. */
const usual_fees = ["0.1", "0.2", "0.5", "0.8", "1", "1.5", "2", "2.5", "3", "4", "5", "10"];
/** Less than a hundredth of a coin is dust. */
const dust_per_coin = 100n;
/** A percentage has so many at most. */
const percent_decimals = 4;
/** Two amounts are close within a twentieth. */
const close_share = 20n;

/** Base units of decimal text. Digits beyond the coin's decimals must not occur. */
export function unitsOf(amount: string, decimals: number): bigint {
  const [whole = "0", part = ""] = amount.split(".");
  return BigInt(whole + part.padEnd(decimals, "0"));
}

/** Decimal text of base units, without zeros at its end. */
export function textOf(units: bigint, decimals: number): string {
  const digits = units.toString().padStart(decimals + 1, "0");
  const part = digits.slice(-decimals).replace(/0+$/, "");
  return digits.slice(0, -decimals) + (part === "" ? "" : `.${part}`);
}

/** The amounts that remain of `asked` when decimals are left out, down to whole coins; finest first. Never `asked` itself. */
export function cutsOf(asked: bigint, decimals: number): bigint[] {
  return stepsOf(decimals)
    .map((step) => asked - (asked % step))
    .filter((units, index, all) => units > 0n && units !== asked && all.indexOf(units) === index);
}

/** The amounts that remain of `asked` when decimals are rounded half up, down to whole coins. Never `asked` itself. */
export function roundingsOf(asked: bigint, decimals: number): bigint[] {
  return stepsOf(decimals)
    .map((step) => ((asked + step / 2n) / step) * step)
    .filter((units, index, all) => units > 0n && units !== asked && all.indexOf(units) === index);
}

function stepsOf(decimals: number): bigint[] {
  return Array.from({ length: decimals }, (_, index) => 10n ** BigInt(index + 1));
}

/** The usual fees in base units. */
export function feesOf(decimals: number): bigint[] {
  return usual_fees.map((fee) => unitsOf(fee, decimals));
}

/** True when `units` is what arrives of `asked` once an exchange has kept a usual fee. */
export function isFeeShortened(units: bigint, asked: bigint, decimals: number): boolean {
  return feesOf(decimals).includes(asked - units);
}

/** True when `units` is `asked` with decimals left out or rounded. */
export function isCut(units: bigint, asked: bigint, decimals: number): boolean {
  return cutsOf(asked, decimals).includes(units) || roundingsOf(asked, decimals).includes(units);
}

/** True where what is asked is within a twentieth of the units that came. */
export function isClose(units: bigint, asked: bigint): boolean {
  const apart = units > asked ? units - asked : asked - units;
  return apart * close_share <= units;
}

/** The most that may be missing of `asked` within bounds, amounts or percentages: the least of them, and a tenth. */
export function mostMissing(asked: bigint, bounds: readonly string[], decimals: number): bigint {
  return leastOf([...sharesOf(asked, bounds, decimals), asked / 10n]);
}

/** The most that pays `due` within bounds: at most twice as much. */
export function mostOver(due: bigint, bounds: readonly string[], decimals: number): bigint {
  return due + leastOf([...sharesOf(due, bounds, decimals), due]);
}

function sharesOf(amount: bigint, bounds: readonly string[], decimals: number): bigint[] {
  return bounds.map((bound) =>
    bound.endsWith("%")
      ? (amount * unitsOf(bound.slice(0, -1), percent_decimals)) / (100n * 10n ** BigInt(percent_decimals))
      : unitsOf(bound, decimals),
  );
}

const leastOf = (list: readonly bigint[]) => list.toSorted((a, b) => (a < b ? -1 : 1))[0] ?? 0n;

/** True for less than `asked`, by no more than bounds allow. */
export function isWithin(units: bigint, asked: bigint, bounds: readonly string[], decimals: number): boolean {
  return units < asked && asked - units <= mostMissing(asked, bounds, decimals);
}

/** True below a hundredth of a coin. */
export function isDust(units: bigint, decimals: number): boolean {
  return units * dust_per_coin < 10n ** BigInt(decimals);
}
