// How much of its work a long test file does: all of it, or as much as fits into the seconds that the runner gives it.

/** Seconds this file may take; null for all of its work. */
export const share_s = process.env.TEST_SHARE_SECONDS === undefined ? null : Number(process.env.TEST_SHARE_SECONDS);

/** The part of `all` that fits into this file's share, where all of it takes `all_s` seconds; at least one. */
export function shareOf(all: number, all_s: number): number {
  return share_s === null ? all : Math.max(1, Math.floor(all * Math.min(1, share_s / all_s)));
}
