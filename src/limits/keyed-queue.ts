// One after the other for each name, side by side for different ones. Holds nothing once a turn is over.

/**
 * Runs an act of somebody's after those under the same name have ended; null when too many wait already, in all or of
 * this one's.
 */
export type Turns = <T>(name: string, whose: number, act: () => Promise<T>) => Promise<T> | null;

/** Turns of which at most `max` run or wait at once, and at most `share` of one and the same. */
export function createTurns({ max, share }: { max: number; share: number }): Turns {
  const last = new Map<string, Promise<unknown>>();
  const counts = new Map<number, number>();
  let count = 0;
  return (name, whose, act) => {
    const own = counts.get(whose) ?? 0;
    if (count >= max || own >= share) return null;
    count += 1;
    counts.set(whose, own + 1);
    const turn = (last.get(name) ?? Promise.resolve()).then(act);
    const ended = turn
      .catch(() => {})
      .then(() => {
        count -= 1;
        const left = (counts.get(whose) ?? 1) - 1;
        if (left > 0) counts.set(whose, left);
        else counts.delete(whose);
        if (last.get(name) === ended) last.delete(name);
      });
    last.set(name, ended);
    return turn;
  };
}
