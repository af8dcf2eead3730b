// One after the other for each name, side by side for different ones. Holds nothing once a turn is over.

/** Runs an act after those under the same name have ended; null when too many wait already. */
export type Turns = <T>(name: string, act: () => Promise<T>) => Promise<T> | null;

/** Turns of which at most `max` run or wait at once. */
export function createTurns(max: number): Turns {
  const last = new Map<string, Promise<unknown>>();
  let count = 0;
  return (name, act) => {
    if (count >= max) return null;
    count += 1;
    const turn = (last.get(name) ?? Promise.resolve()).then(act);
    const ended = turn
      .catch(() => {})
      .then(() => {
        count -= 1;
        if (last.get(name) === ended) last.delete(name);
      });
    last.set(name, ended);
    return turn;
  };
}
