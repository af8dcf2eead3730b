// How a length of time is written in the configuration: a whole number and a unit, `300s`, `60m`, `250ms`, `24h`.

const unit_ms = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;
type Unit = keyof typeof unit_ms;

const duration_pattern = /^(\d{1,12})(ms|s|m|h)$/;

/** Milliseconds of a written duration, or null when the text is none. */
export function parseDuration(text: string): number | null {
  const [, count, unit] = duration_pattern.exec(text) ?? [];
  if (count === undefined || unit === undefined) return null;
  const ms = Number(count) * unit_ms[unit as Unit];
  return Number.isSafeInteger(ms) ? ms : null;
}

/** The shortest exact spelling of a number of milliseconds: `3600000` is `1h`, `0` is `0s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0s";
  const unit = (["h", "m", "s"] as const).find((unit) => ms % unit_ms[unit] === 0) ?? "ms";
  return `${ms / unit_ms[unit]}${unit}`;
}
