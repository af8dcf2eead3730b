// Chance that can be had again: everything drawn follows from one seed.

export interface Chance {
  /** A whole number from 0 to below `below`. */
  int(below: number): number;
  /** True once in `times`. */
  once(times: number): boolean;
  /** The same for whatever spoils a thing: never true while calm. */
  odd(times: number): boolean;
  calm(from_now_on: boolean): void;
  pick<T>(from: readonly [T, ...T[]]): T;
  bytes(count: number): Uint8Array;
}

/** A small generator of good enough quality; never for secrets. */
export function createChance(seed: number): Chance {
  let state = seed >>> 0;
  let calm = false;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (below: number) => Math.floor(next() * below);
  return {
    int,
    once: (times) => int(times) === 0,
    odd: (times) => !calm && int(times) === 0,
    calm(from_now_on) {
      calm = from_now_on;
    },
    pick: (from) => from[int(from.length)] ?? from[0],
    bytes: (count) => Uint8Array.from({ length: count }, () => int(256)),
  };
}
