// Guesses what a misspelt word was meant to be, for error messages only: nothing is ever corrected silently.

/** The option most like `word`: same but for case, its beginning or extension, or a few slips away. Null when none is near. */
export function closest(word: string, options: readonly string[]): string | null {
  const typed = word.toLowerCase();
  let best: { option: string; slips: number } | null = null;
  for (const option of options) {
    const slips = slipsBetween(typed, option.toLowerCase());
    if (best === null || slips < best.slips) best = { option, slips };
  }
  if (best !== null && best.slips <= Math.max(1, Math.floor(typed.length / 3))) return best.option;
  if (typed.length < 2) return null;
  const related = (option: string) => option.startsWith(typed) || typed.startsWith(option);
  return options.find((option) => related(option.toLowerCase())) ?? null;
}

/** Letters added, dropped, changed or swapped with their neighbour to get from one word to the other. */
function slipsBetween(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const line = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1];
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      line.push(
        Math.min(
          (last[column] ?? 0) + 1,
          (line[column - 1] ?? 0) + 1,
          (last[column - 1] ?? 0) + (same ? 0 : 1),
          swapped ? (beforeLast[column - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
    beforeLast = last;
    last = line;
  }
  return last[to.length] ?? 0;
}
