// Runs acts of one name one after another, of different names side by side. Keeps nothing of an act that has ended.

/** Runs an act after those of the same name have ended. Null when too many run or wait, in all or of this owner. */
export type KeyedQueue = <T>(name: string, owner: number, act: () => Promise<T>) => Promise<T> | null;

/** A queue of which at most `max` acts run or wait at once, and at most `share` of one owner. */
export function createKeyedQueue({ max, share }: { max: number; share: number }): KeyedQueue {
  const last = new Map<string, Promise<unknown>>();
  const counts = new Map<number, number>();
  let count = 0;
  return (name, owner, act) => {
    const own = counts.get(owner) ?? 0;
    if (count >= max || own >= share) return null;
    count += 1;
    counts.set(owner, own + 1);
    const turn = (last.get(name) ?? Promise.resolve()).then(act);
    const ended = turn
      .catch(() => {})
      .then(() => {
        count -= 1;
        const left = (counts.get(owner) ?? 1) - 1;
        if (left > 0) counts.set(owner, left);
        else counts.delete(owner);
        if (last.get(name) === ended) last.delete(name);
      });
    last.set(name, ended);
    return turn;
  };
}
