// The rules of surcharges: which amounts tell payers apart, exactly; and that no sequence of promises makes two of them
// mistakable for each other.

import { describe, expect, test } from "bun:test";
import { fromUnits, scaleOf, toUnits } from "../../src/domain/money.ts";
import {
  type Distinctness,
  distinctnessLevels,
  finerThan,
  lastDigitUnit,
  type Price,
  reservedAmounts,
  surchargeRange,
  surchargeScales,
  surcharges,
  usual_fees,
} from "../../src/domain/surcharge.ts";

const u = (text: string, decimals = 6): bigint => {
  const units = toUnits(text, decimals);
  if (units === null) throw new Error(`${text} does not fit`);
  return units;
};
const price = (amount: string, limit = "0.99", decimals = 6): Price => ({
  units: u(amount, decimals),
  limit: u(limit, decimals),
  decimals,
  scale: scaleOf(amount),
});
const promised = (list: readonly bigint[]) => reservedAmounts([...new Set(list)].sort((a, b) => (a < b ? -1 : 1)));

/** The least surcharge of the fewest decimals, the most distinct first, as checkout takes it. */
function chosen(wanted: Price, taken: readonly bigint[]): { units: bigint; distinct: Distinctness } | null {
  const known = promised(taken);
  for (const distinct of distinctnessLevels) {
    for (const scale of surchargeScales(wanted)) {
      const { value } = surcharges(wanted, scale, known, distinct).next();
      if (value !== undefined) return { units: value, distinct };
    }
  }
  return null;
}
const choose = (wanted: Price, taken: readonly bigint[]) => chosen(wanted, taken)?.units ?? null;

describe("the place of the last digit", () => {
  test.each<[amount: string, decimals: number, step: string]>([
    ["0.000001", 6, "0.000001"],
    ["19.9", 6, "0.1"],
    ["19.90", 6, "0.1"],
    ["7", 6, "1"],
    // Nobody drops more than the decimals: a round sum is no finer form of a rounder one.
    ["10", 6, "1"],
    ["1000", 6, "1"],
    ["10", 0, "1"],
    ["0.5", 18, "0.1"],
  ])("of %p in %p decimals is that of %p", (amount, decimals, step) => {
    expect(lastDigitUnit(u(amount, decimals), decimals)).toBe(u(step, decimals));
  });

  test("amounts that become 19.9 once digits are dropped or rounded away lie around it", () => {
    expect(finerThan(u("19.9"), 6)).toEqual({ above: u("19.849999"), through: u("19.999999") });
  });
});

describe("the amount beside a price that is promised already", () => {
  const rows: [what: string, wanted: Price, taken: string[], amount: string | null][] = [
    ["is a cent more", price("10.00"), ["10"], "10.01"],
    ["has two decimals though the price has none", price("10"), ["10"], "10.01"],
    ["has as many decimals as the price", price("10.125"), ["10.125"], "10.126"],
    ["is the next cent after those that are promised", price("10.00"), ["10", "10.01", "10.02"], "10.03"],
    ["is not the promise of somebody else with decimals cut", price("10.00"), ["10", "10.014"], "10.02"],
    ["is not the promise of somebody else rounded up", price("10.00"), ["10", "10.0098"], "10.02"],
    ["is not the promise of somebody else less a fee", price("10.00"), ["10", "10.51"], "10.02"],
    ["is not the promise of somebody else plus a fee", price("10.00"), ["10", "9.01"], "10.02"],
    ["keeps away from fees of whole coins", price("10.00"), ["10", "15.01", "8.02", "13.03"], "10.04"],
    ["ends at the limit", price("10.00", "0.02"), ["10", "10.01", "10.02"], null],
    ["takes no more than half of the cents", price("10.00", "0.04"), ["10", "10.01", "10.02"], "10.031"],
    ["takes the only cent there is", price("10.00", "0.01"), ["10"], "10.01"],
    ["is finer than no cent that is promised", price("10.00", "0.05"), ["10", "10.01", "10.02", "10.03"], "10.041"],
    [
      "leaves digits above four as prefixes",
      price("10.00", "0.03"),
      ["10", "10.01", "10.02", "10.021", "10.022", "10.023", "10.024"],
      null,
    ],
    [
      "takes every unit where the coin has nothing finer",
      price("10.000000", "0.000003"),
      ["10", "10.000001"],
      "10.000002",
    ],
    ["up to the last", price("10.000000", "0.000003"), ["10", "10.000001", "10.000002"], "10.000003"],
    ["and then none", price("10.000000", "0.000002"), ["10", "10.000001", "10.000002"], null],
    ["is nothing when nothing may be added", price("10.00", "0"), ["10"], null],
    ["may be all there is", price("0.01", "0.99"), ["0.01"], "0.02"],
    ["works in a coin with 18 decimals", price("10.00", "0.99", 18), ["10"], "10.01"],
    ["is not the price once a digit is cut", price("19.90"), ["19.9"], "20.01"],
    ["nor where the price has one decimal", price("50.5"), ["50.5"], "50.61"],
    ["is not what the price is rounded to", price("19.99"), ["19.99"], "20.01"],
    ["is not the price once its decimals are cut", price("100", "1.99"), ["100"], "101.01"],
    ["however the price is written", price("20.0", "1.99"), ["20"], "21.01"],
    ["is a cent more where nothing else is within the limit", price("19.90", "0.05"), ["19.9"], "19.91"],
    ["keeps to cents that no digit has to be kept for", price("19.97"), ["19.97"], "19.98"],
  ];
  test.each(rows)("%s", (_what, wanted, taken, amount) => {
    const found = choose(
      wanted,
      taken.map((one) => u(one, wanted.decimals)),
    );
    expect(found === null ? null : fromUnits(found, wanted.decimals)).toBe(amount);
  });

  test("counts what was handed out while it goes on", () => {
    const known = promised([u("10")]);
    const handed: string[] = [];
    for (const amount of surcharges(price("10.00", "0.30"), 2, known, "scale")) {
      handed.push(fromUnits(amount, 6));
      known.add(amount);
    }
    // 10.10 and 10.20 are a usual fee away from 10; 10.11 from 10.01; fifteen are half of thirty.
    expect(handed).toEqual([..."123456789"].map((digit) => `10.0${digit}`).concat(["10.3"]));
  });

  test("is found at once among ten thousand promises of one price, and each is another", () => {
    const wanted = price("10.00");
    const known = promised([wanted.units]);
    const seen = new Set<bigint>();
    for (const scale of surchargeScales(wanted)) {
      for (const amount of surcharges(wanted, scale, known, "scale")) {
        if (seen.size >= 10_000) break;
        seen.add(amount);
        known.add(amount);
      }
    }
    expect(seen.size).toBe(10_000);
    const all = [...known.between(0n, u("100"))];
    const probes = { count: 0 };
    const counted = reservedAmounts(all);
    const has = (amount: bigint) => {
      probes.count += 1;
      return counted.has(amount);
    };
    expect(choose(wanted, all)).not.toBe(null);
    for (const scale of surchargeScales(wanted))
      if (!surcharges(wanted, scale, { ...counted, has }, "scale").next().done) break;
    // Some three questions for each promise there is: never one for each pair of them.
    expect(probes.count).toBeLessThan(100_000);
  });
});

const usdt_fees = usual_fees.map((fee) => u(fee, 6));
const dai_fees = usual_fees.map((fee) => u(fee, 18));

/** As payers and exchanges make them: the amount with decimals left out or rounded, or less a fee. */
function mistakes(amount: bigint, scale: number, decimals: number): Set<bigint> {
  const made = new Set<bigint>();
  for (let at = Math.min(scale, decimals); at < decimals; at++) {
    const step = 10n ** BigInt(decimals - at);
    made.add(amount - (amount % step));
    if (amount % step > 0n && (amount % step) * 2n >= step) made.add(amount - (amount % step) + step);
  }
  for (const fee of decimals === 6 ? usdt_fees : dai_fees) made.add(amount - fee);
  made.delete(amount);
  return made;
}

describe("a world of promises", () => {
  /** Repeats for a seed (xorshift32). */
  function chance(seed: number): (below: number) => number {
    let state = seed * 2_654_435_761 || 1;
    return (below) => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return (state >>> 0) % below;
    };
  }
  const worlds = 25;
  const orders_per_world = 100;

  test.each([6, 18])("in a coin of %i decimals never makes two amounts mistakable", (decimals) => {
    const surcharged = { whole: 0, scale: 0 };
    for (let seed = 1; seed <= worlds; seed++) {
      const below = chance(seed);
      const limit = ["0.05", "0.3", "0.99", "3"][below(4)] ?? "1";
      const usual = Array.from({ length: 1 + below(6) }, () => {
        const scale = [0, 1, 2, 2, 2, 3, 5][below(7)] ?? 2;
        return fromUnits(BigInt(1 + below(40 * 10 ** scale)) * 10n ** BigInt(decimals - scale), decimals, scale);
      });
      let live: { units: bigint; scale: number }[] = [];
      for (let count = 0; count < orders_per_world; count++) {
        const amount = usual[below(usual.length)] ?? "1";
        const wanted = price(amount, limit, decimals);
        const taken = live.map((one) => one.units);
        const verbatim = !taken.includes(wanted.units);
        const found = verbatim ? { units: wanted.units, distinct: null } : chosen(wanted, taken);
        if (found === null) continue;
        const { units, distinct } = found;
        if (distinct !== null) {
          surcharged[distinct] += 1;
          expect(units > wanted.units && units <= wanted.units + wanted.limit).toBe(true);
          expect(taken).not.toContain(units);
          const down_to = distinct === "whole" ? 0 : Math.max(2, wanted.scale);
          const own = mistakes(units, down_to, decimals);
          for (const other of live) {
            const said = `${fromUnits(units, decimals)} for ${amount} beside ${fromUnits(other.units, decimals)}`;
            if (own.has(other.units)) throw new Error(`seed ${seed}: ${said} may be paid by mistake`);
            if (mistakes(other.units, down_to, decimals).has(units)) {
              throw new Error(`seed ${seed}: ${said} may be a mistaken payment of it`);
            }
          }
        }
        live.push({ units, scale: wanted.scale });
        // Some end, and their amounts are free again.
        if (below(10) === 0) live = live.filter(() => below(5) > 0);
      }
    }
    expect(surcharged.whole).toBeGreaterThan(200);
    expect(surcharged.scale).toBeGreaterThan(200);
  });

  test("knows that promises out of reach have no say", () => {
    const wanted = price("10.00");
    const { above, through } = surchargeRange(wanted);
    const below = chance(7);
    for (let count = 0; count < 200; count++) {
      const all = Array.from({ length: 300 }, () => BigInt(1 + below(40_000_000))).concat(wanted.units);
      const near = all.filter((amount) => amount > above && amount <= through);
      expect(choose(wanted, all)).toBe(choose(wanted, near));
    }
  });
});
