// The pause after failures in a row. Pure: chance is added by the caller.

/** `first_ms` after the first failure, doubled with each further one, never above `max_ms`. */
export function backoffMs(failures: number, { first_ms, max_ms }: { first_ms: number; max_ms: number }): number {
  return Math.min(first_ms * 2 ** (failures - 1), max_ms);
}
