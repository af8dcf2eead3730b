// Bounds how many acts run at once; the others wait in the order they came.

/** Runs an act as soon as there is room. */
export type Semaphore = <T>(act: () => T | Promise<T>) => Promise<T>;

/** A semaphore with room for `max` acts. */
export function createSemaphore(max: number): Semaphore {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (act) => {
    if (running >= max) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await act();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
