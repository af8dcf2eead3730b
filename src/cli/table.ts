// Rows for people: aligned columns in plain text. Text that strangers chose never reaches a terminal as it is.

export interface Column<Row> {
  /** No heading line is printed when no column has one. */
  title?: string;
  value: (row: Row) => string | number | bigint | null;
  /** Numbers stand at the right of their column. */
  right?: boolean;
}

const short_max_chars = 60;
const nothing = "-";
/** Control and formatting characters: escape sequences, line ends, right-to-left overrides, zero widths. */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** Lines without the last line's end; empty and null cells show as `-`. */
export function formatTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const titled = columns.some((column) => column.title !== undefined);
  const lines = [
    ...(titled ? [columns.map((column) => column.title ?? "")] : []),
    ...rows.map((row) => columns.map((column) => cellText(column.value(row)))),
  ];
  const widths = columns.map((_, place) => Math.max(0, ...lines.map((line) => charsOf(line[place] ?? ""))));
  return lines
    .map((line) =>
      line
        .map((cell, place) => {
          const room = " ".repeat((widths[place] ?? 0) - charsOf(cell));
          return columns[place]?.right ? room + cell : cell + room;
        })
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** A text on one line, with everything a terminal would act on made visible. */
export function printable(text: string): string {
  return text.replace(unprintable, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}

/** The beginning of a text that may be long. */
export function shortened(text: string): string {
  const chars = [...text];
  return chars.length > short_max_chars ? `${chars.slice(0, short_max_chars - 2).join("")}..` : text;
}

/** `2026-03-01T12:00:00Z` for a time in ms, null for none. */
export function isoTime(ms: number | null): string | null {
  return ms === null ? null : `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** The same for a time in seconds. */
export function isoSeconds(seconds: number | null): string | null {
  return isoTime(seconds === null ? null : seconds * 1000);
}

function cellText(value: string | number | bigint | null): string {
  const text = printable(value === null ? "" : String(value));
  return text === "" ? nothing : text;
}

function charsOf(text: string): number {
  return [...text].length;
}
