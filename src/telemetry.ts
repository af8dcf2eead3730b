// Log lines and counters. A line is one code of `log-codes.ts` plus named fields; secrets never reach it because
// callers pass host names, ids and codes, not URLs, headers or bodies.

import type { Level, LogCode } from "./log-codes.ts";
import type { World } from "./world.ts";

export type Fields = Record<string, string | number | boolean | bigint | null | undefined>;

export interface Telemetry {
  info(code: LogCode<"info">, fields?: Fields): void;
  warn(code: LogCode<"warn">, fields?: Fields): void;
  error(code: LogCode<"error">, fields?: Fields): void;
  /** Adds to a named counter, e.g. `count("provider_failures", { chain: "eth" })`. */
  count(name: string, labels?: Record<string, string>, by?: number): void;
  /** All counters as `name{label="value"}` to number. */
  counters(): ReadonlyMap<string, number>;
}

const max_field_chars = 500;
/** Control and formatting characters that JSON leaves as they are: a terminal would act on them. */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Writes logfmt lines (`time level code key=value ..`) to the world's stderr and keeps counters in memory. */
export function createTelemetry(world: World): Telemetry {
  const counts = new Map<string, number>();
  const line = (level: Level, code: LogCode<Level>, fields: Fields = {}) => {
    const parts = Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => `${key}=${quoted(String(value))}`);
    world.warn([new Date(world.now()).toISOString(), level, code, ...parts].join(" "));
  };
  return {
    info: (code, fields) => line("info", code, fields),
    warn: (code, fields) => line("warn", code, fields),
    error: (code, fields) => line("error", code, fields),
    count(name, labels = {}, by = 1) {
      const inner = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
      const key = inner.length === 0 ? name : `${name}{${inner.join(",")}}`;
      counts.set(key, (counts.get(key) ?? 0) + by);
    },
    counters: () => counts,
  };
}

function quoted(text: string): string {
  const short = text.length > max_field_chars ? `${text.slice(0, max_field_chars)}..` : text;
  if (/^[\w.:/@+-]+$/.test(short)) return short;
  return JSON.stringify(short).replace(unprintable, escaped);
}

function escaped(char: string): string {
  const units = Array.from({ length: char.length }, (_, index) => char.charCodeAt(index));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}
