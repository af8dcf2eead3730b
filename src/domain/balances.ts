// Whether what a wallet held agrees with what was recorded: arithmetic over blocks and base units, nothing else.

/** What was held at the end of a block. */
export interface BalanceAt {
  block: number;
  units: bigint;
}

/** One transfer as it moved a balance: above zero where it came, below where it left. */
export interface BalanceChange {
  block: number;
  units: bigint;
}

/** The change of a balance after `from.block` and no later than `to.block`. */
export interface BalanceGap {
  from: BalanceAt;
  to: BalanceAt;
  /** By how much the balance grew more than the movements say; negative where it grew less. */
  difference: bigint;
}

/** Compares two readings of a balance with the movements known; those outside of the stretch are left out. */
export function balanceGap(from: BalanceAt, to: BalanceAt, movements: readonly BalanceChange[]): BalanceGap {
  const moved = movements
    .filter(({ block }) => block > from.block && block <= to.block)
    .reduce((sum, { units }) => sum + units, 0n);
  return { from, to, difference: to.units - from.units - moved };
}

/** The parts of an unexplained stretch that remain so after a reading in its middle, lower first. */
export function splitGap(
  { from, to }: BalanceGap,
  middle: BalanceAt,
  movements: readonly BalanceChange[],
): BalanceGap[] {
  const parts = [balanceGap(from, middle, movements), balanceGap(middle, to, movements)];
  return parts.filter(({ difference }) => difference !== 0n);
}

/** The block to read next in order to narrow a stretch; null for one of a single block. */
export function middleBlock({ from, to }: BalanceGap): number | null {
  return to.block - from.block > 1 ? Math.floor((from.block + to.block) / 2) : null;
}
