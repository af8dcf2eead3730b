// How often each kind of thing happened, over all worlds of a run: a simulation whose hostile kinds do not occur proves
// nothing about them.

/** Counts by `group kind`, e.g. `payment batch`. */
export type Tally = Map<string, number>;

/** Adds `by` to a kind. */
export function count(tally: Tally, kind: string, by = 1): void {
  tally.set(kind, (tally.get(kind) ?? 0) + by);
}

/** Adds all of one tally to another. */
export function addTo(sum: Tally, part: ReadonlyMap<string, number>): void {
  for (const [kind, times] of part) count(sum, kind, times);
}

/** One line per group, most frequent first. */
export function tallyLines(tally: ReadonlyMap<string, number>): string[] {
  const groups = Map.groupBy(tally, ([kind]) => kind.split(" ", 1)[0] ?? "");
  return [...groups]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([group, entries]) => {
      const kinds = entries
        .sort(([, a], [, b]) => b - a)
        .map(([kind, times]) => `${kind.slice(group.length + 1)} ${times}`);
      return `${group}: ${kinds.join("; ")}`;
    });
}
