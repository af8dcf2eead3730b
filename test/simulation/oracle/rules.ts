// The rules of payments as the manual states them, as far as the oracle holds the product to them. Numbers and switches
// only.

/** An address that has paid so many orders may be an exchange: nothing is certain because of it. */
export const shared_orders_min = 3;

/** Payments of which nobody could say beforehand which order they pay, or that none: at most so many in a hundred. */
const open_percent_max = 25;
/** Decisions for which several outcomes were allowed, with all that had happened: at most so many in a hundred. */
const several_percent_max = 28;
/** Fewer payments scatter too much. */
const counted_min = 500;

/** What the oracle leaves open too often, in words; empty when it is strict enough. */
export function vagueness(tally: ReadonlyMap<string, number>): string[] {
  return [
    ...tooMany(tally, "stated", "open", open_percent_max),
    ...tooMany(tally, "judged", "several outcomes", several_percent_max),
  ];
}

function tooMany(tally: ReadonlyMap<string, number>, group: string, kind: string, percent_max: number): string[] {
  const counts = [...tally].filter(([name]) => name.startsWith(`${group} `)).map(([, times]) => times);
  const all = counts.reduce((sum, times) => sum + times, 0);
  const percent = (100 * (tally.get(`${group} ${kind}`) ?? 0)) / all;
  if (all < counted_min || percent <= percent_max) return [];
  return [`the oracle says too little: ${percent.toFixed(1)} % of ${all} payments are ${group} "${kind}"`];
}
