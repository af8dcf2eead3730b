// Arithmetic of block intervals: what has been read, what is missing, what to read next.

/** Blocks `from..to`, inclusive, read completely by one provider. Hash and time of `to` are null where they are unknown. */
export interface Interval {
  from: number;
  to: number;
  hash: string | null;
  /** Seconds. */
  time: number | null;
  provider: string;
}

/**
 * Adds an interval to sorted, disjoint ones. It takes over what it overlaps; neighbours of the same provider merge into
 * one, those of others stay beside it, cut.
 */
export function extend(known: readonly Interval[], added: Interval): Interval[] {
  let merged = added;
  const rest: Interval[] = [];
  for (const interval of known) {
    const apart = interval.to < added.from - 1 || interval.from > added.to + 1;
    if (apart) {
      rest.push(interval);
    } else if (interval.provider === added.provider) {
      const end = interval.to > merged.to ? interval : merged;
      merged = { ...end, from: Math.min(interval.from, merged.from) };
    } else {
      rest.push(...cut(interval, added.from, added.to));
    }
  }
  return [...rest, merged].sort((a, b) => a.from - b.from);
}

/** What is left of an interval outside `from..to`. */
function cut(interval: Interval, from: number, to: number): Interval[] {
  const parts: Interval[] = [];
  if (interval.from < from) {
    const whole = interval.to < from;
    parts.push(whole ? interval : { ...interval, to: from - 1, hash: null, time: null });
  }
  if (interval.to > to) parts.push({ ...interval, from: Math.max(interval.from, to + 1) });
  return parts;
}

/** Sorted intervals with everything above `top` taken away. */
export function cutAbove(known: readonly Interval[], top: number): Interval[] {
  return known.flatMap((interval) => {
    if (interval.from > top) return [];
    return interval.to <= top ? [interval] : [{ ...interval, to: top, hash: null, time: null }];
  });
}

/** The end of the unbroken stretch that contains block `from`; null when `from` itself is not covered. */
export function coveredThrough(intervals: readonly Interval[], from: number): Interval | null {
  let end: Interval | null = null;
  let next = from;
  for (const interval of [...intervals].sort((a, b) => a.from - b.from || a.to - b.to)) {
    if (interval.from > next) break;
    if (interval.to < next) continue;
    end = interval;
    next = interval.to + 1;
  }
  return end;
}

/** The interval that contains a block, if it is covered. */
export function intervalAt<T extends Range>(intervals: readonly T[], block: number): T | null {
  return intervals.find(({ from, to }) => from <= block && block <= to) ?? null;
}

/** A range of blocks, inclusive. */
export interface Range {
  from: number;
  to: number;
}

/** The stretches of `from..to` that no interval covers, lowest first. */
export function gaps(intervals: readonly Range[], from: number, to: number): Range[] {
  const missing: Range[] = [];
  let next = from;
  for (const interval of [...intervals].sort((a, b) => a.from - b.from)) {
    if (interval.to < next) continue;
    if (interval.from > to) break;
    if (interval.from > next) missing.push({ from: next, to: interval.from - 1 });
    next = interval.to + 1;
  }
  if (next <= to) missing.push({ from: next, to });
  return missing;
}

/** The block at which the upper half of a range begins; the one after it for a range of one block. */
export function upperHalf({ from, to }: Range): number {
  return from + Math.ceil((to - from + 1) / 2);
}

/** The union of ranges as sorted, disjoint, non-adjacent ranges. */
export function union(ranges: readonly Range[]): Range[] {
  const joined: Range[] = [];
  for (const range of [...ranges].sort((a, b) => a.from - b.from)) {
    const last = joined.at(-1);
    if (last !== undefined && range.from <= last.to + 1) last.to = Math.max(last.to, range.to);
    else joined.push({ ...range });
  }
  return joined;
}

export interface PlanInput {
  /** The union of all watches' gaps up to `head`. */
  missing: readonly Range[];
  head: number;
  /** No watch begins below this block. */
  first: number;
  overlap: number;
  /** Widest range of one call. */
  page: number;
}

/** Calls for reading the overlap again where it takes more than one: holes below it must be closed as well. */
const again_calls_max = 8;

/**
 * The ranges a poll reads, in order. The overlap is read again, so that a log which a lagging node hid is found
 * seconds later. When more is missing than one page holds, the newest page comes first, then what is missing right below
 * it, the rest of the overlap, and older holes last: catching up never hides the payments of this minute, and reading
 * again never keeps a hole open.
 */
export function plan({ missing, head, first, overlap, page }: PlanInput): Range[] {
  const last = missing.at(-1);
  const tip = last !== undefined && last.to === head ? last.from : head + 1;
  const older = tip <= head ? missing.slice(0, -1) : missing;
  const from = Math.min(Math.max(first, tip - overlap), tip);
  if (head - from + 1 <= page) return [{ from, to: head }, ...older];
  const newest = { from: head - page + 1, to: head };
  const rest = { from, to: newest.from - 1 };
  if (newest.from - from <= page) return [newest, rest, ...older];
  const below = { from: tip, to: newest.from - 1 };
  const read_to = Math.min(tip, newest.from) - 1;
  const again = { from: Math.max(from, read_to + 1 - page * again_calls_max), to: read_to };
  return [newest, ...[below, again].filter((range) => range.from <= range.to), ...older];
}
