// Chance from a seed: every choice of a simulated world. Two streams of one seed never disturb each other.

export interface Random {
  /** An integer in [0, limit). */
  below(limit: number): number;
  /** An integer in [from, to]. */
  between(from: number, to: number): number;
  /** True with a probability of `percent` in a hundred. */
  chance(percent: number): boolean;
  pick<T>(list: readonly T[]): T;
  /** One of the keys, as often as its weight says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K;
  shuffled<T>(list: readonly T[]): T[];
  bytes(count: number): Uint8Array;
}

/** The stream `name` of a seed (splitmix32: small, fast, good enough to choose with). */
export function createRandom(seed: number, name: string): Random {
  let state = Number(Bun.hash(`${name} ${seed}`) & 0xffff_ffffn) | 0;

  function next(): number {
    state = (state + 0x9e3779b9) | 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  }

  const below = (limit: number) => Math.floor((next() / 2 ** 32) * limit);
  function pick<T>(list: readonly T[]): T {
    const index = below(list.length);
    if (index >= list.length) throw new Error("nothing to pick from");
    return list[index] as T;
  }
  return {
    below,
    pick,
    between: (from, to) => from + below(to - from + 1),
    chance: (percent) => below(100) < percent,
    weighted(weights) {
      const entries = Object.entries(weights) as [keyof typeof weights, number][];
      let left = below(entries.reduce((sum, [, weight]) => sum + weight, 0));
      for (const [key, weight] of entries) {
        left -= weight;
        if (left < 0) return key;
      }
      throw new Error("no weights");
    },
    shuffled(list) {
      const copy = [...list];
      for (let last = copy.length - 1; last > 0; last--) {
        const other = below(last + 1);
        [copy[last], copy[other]] = [copy[other] as (typeof copy)[0], copy[last] as (typeof copy)[0]];
      }
      return copy;
    },
    bytes: (count) => Uint8Array.from({ length: count }, () => next() & 0xff),
  };
}
