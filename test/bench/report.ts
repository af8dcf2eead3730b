// What a benchmark prints: figures with their spread, ratios, tables, and the machine they were taken on. Measures
// nothing itself.

import { Database as Sqlite } from "bun:sqlite";
import { statfsSync } from "node:fs";
import { cpus, freemem, loadavg, release, tmpdir, totalmem, type } from "node:os";

/** Runs of one measurement. */
export interface Spread {
  min: number;
  median: number;
  max: number;
  runs: number;
}

const tmpfs_magic = 0x01021994;

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? Number.NaN;
  const lower = sorted[Math.ceil(middle) - 1] ?? Number.NaN;
  return {
    min: sorted[0] ?? Number.NaN,
    median: (upper + lower) / 2,
    max: sorted.at(-1) ?? Number.NaN,
    runs: sorted.length,
  };
}

/** `1,234 (1,200..1,300)`: the median and the range. */
export function spread(values: readonly number[], digits = 0): string {
  const { min, median, max, runs } = spreadOf(values);
  if (runs === 0) return "-";
  if (runs === 1) return number(median, digits);
  return `${number(median, digits)} (${number(min, digits)}..${number(max, digits)})`;
}

/** With thousands separated; `-` for what could not be measured. */
export function number(value: number, digits = 0): string {
  if (Number.isNaN(value)) return "-";
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** How many times `one` is `other`, by their medians. */
export function ratio(one: readonly number[], other: readonly number[]): number {
  return spreadOf(one).median / spreadOf(other).median;
}

export function times(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)}x`;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)}%`;
}

export function megabytes(bytes: number): string {
  return `${number(bytes / 2 ** 20)} MiB`;
}

/** A table whose columns line up in plain text and which is a table in Markdown as well. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? "").length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(" | ")} |`;
  const rule = `|${widths.map((width, i) => (i === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`;
  return [line(head), rule, ...rows.map(line)];
}

/** Where the figures were taken. */
export function machine(): string[] {
  const [cpu] = cpus();
  const sqlite = new Sqlite().query<{ version: string }, []>("SELECT sqlite_version() AS version").get()?.version;
  const in_memory = statfsSync(tmpdir()).type === tmpfs_magic;
  return [
    `- machine: ${cpus().length} cores (${cpu?.model.trim() || process.arch}), ${megabytes(totalmem())} memory, ${megabytes(freemem())} free, load ${loadavg()[0]?.toFixed(2)} before the start`,
    `- system: ${type()} ${release()}, Bun ${Bun.version}, SQLite ${sqlite ?? "?"}`,
    `- files: ${tmpdir()}${in_memory ? ", which is memory: a durable commit costs nothing there" : ""}`,
  ];
}
