// Log lines and counters. A line is one event in words plus named fields; secrets never reach it because
// callers pass host names, ids and codes, not URLs, headers or bodies.

import type { World } from "./world.ts";

export type Level = "info" | "warn" | "error";
export type Fields = Record<string, string | number | boolean | bigint | null | undefined>;

export interface Telemetry {
  info(event: string, fields?: Fields): void;
  warn(event: string, fields?: Fields): void;
  error(event: string, fields?: Fields): void;
  /** Adds to a named counter, e.g. `count("provider_failures", { chain: "eth" })`. */
  count(name: string, labels?: Record<string, string>, by?: number): void;
  /** All counters as `name{label="value"}` to number. */
  counters(): ReadonlyMap<string, number>;
}

const max_field_chars = 500;
/** Control and formatting characters that JSON leaves as they are: a terminal would act on them. */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Writes logfmt lines (`time level event key=value ..`) to the world's stderr and keeps counters in memory. */
export function createTelemetry(world: World): Telemetry {
  const counts = new Map<string, number>();
  const line = (level: Level, event: string, fields: Fields = {}) => {
    const parts = Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => `${key}=${quoted(String(value))}`);
    world.warn([new Date(world.now()).toISOString(), level, event, ...parts].join(" "));
  };
  return {
    info: (event, fields) => line("info", event, fields),
    warn: (event, fields) => line("warn", event, fields),
    error: (event, fields) => line("error", event, fields),
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
