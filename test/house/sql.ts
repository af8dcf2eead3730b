// Rules about SQL: strict tables, closed lists checked, no clock and no chance of SQLite's own.

import type { Finding } from "./floors.ts";
import type { Source } from "./source.ts";

/** Columns that hold one word of a closed list. */
const enum_columns = ["status", "state", "kind", "pass"];

const volatile =
  /\b(?:random|randomblob|now|unixepoch|julianday)\s*\(\s*\)|\brandomblob\s*\(|'now'|\bcurrent_(?:timestamp|date|time)\b/i;

/** Everything one migration does against the house rules. */
export function sqlFindings(path: string, text: string): Finding[] {
  const bare = blank(text, false);
  const findings: Finding[] = [];
  const add = (index: number, text: string) => findings.push({ path, line: lineAt(bare, index), text });
  for (const found of blank(text, true).matchAll(new RegExp(volatile, "gi")))
    add(found.index, `names ${found[0]}: time and chance are bound as parameters, from World`);
  for (const found of bare.matchAll(/\bautoincrement\b/gi))
    add(found.index, "uses AUTOINCREMENT, which can burn numbers: INTEGER PRIMARY KEY alone");
  for (const found of bare.matchAll(
    /\bcreate\s+(?:temp\w*\s+)?table\s+(?:if\s+not\s+exists\s+)?(\S+?)\s*(?=\(|\bas\b)/gi,
  )) {
    const open = found.index + found[0].length;
    // SQLite takes no STRICT here: rows put aside within one migration, as they were.
    if (/^create\s+temp/i.test(found[0]) && bare[open] !== "(") continue;
    const close = bare[open] === "(" ? closingParenthesis(bare, open) : open;
    const options = bare.slice(close + 1, endOf(bare, close));
    if (!/\bstrict\b/i.test(options)) add(found.index, `creates ${found[1]} without STRICT: write \`) STRICT;\``);
    for (const column of uncheckedColumns(bare.slice(open + 1, close)))
      add(
        found.index,
        `creates ${found[1]}.${column} without CHECK (${column} IN (..)): the schema holds the closed list`,
      );
  }
  return findings;
}

/** SQL inside `storage/`'s own strings: the same ban on time and chance. */
export function embeddedSqlFindings({ path, tokens }: Source): Finding[] {
  return tokens
    .filter(({ kind, text }) => (kind === "string" || kind === "template") && volatile.test(text))
    .map(({ line }) => ({ path, line, text: "lets SQL tell time or chance: bind tx.now, or bytes of world.random()" }));
}

/** Migrations that the list in `storage/engine/migrations.ts` does not import: globbing fails inside the executable. */
export function unlistedMigrations(paths: readonly string[], list: Source): Finding[] {
  const listed = new Set(list.imports.map(({ specifier }) => specifier.split("/").at(-1)));
  return paths
    .filter((path) => !listed.has(path.split("/").at(-1)))
    .map((path) => ({ path, line: 1, text: `is not imported by ${list.path}: list it there` }));
}

/** The text with comments, and unless `keep_strings` also strings, replaced by spaces; line breaks stay. */
function blank(text: string, keep_strings: boolean): string {
  return text.replace(/--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'/g, (part) =>
    part.startsWith("'") && keep_strings ? part : part.replace(/[^\n]/g, " "),
  );
}

function closingParenthesis(text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === "(") depth++;
    if (text[i] === ")" && --depth === 0) return i;
  }
  return text.length;
}

function endOf(text: string, from: number): number {
  const end = text.indexOf(";", from);
  return end < 0 ? text.length : end;
}

function uncheckedColumns(body: string): string[] {
  let depth = 0;
  let part = "";
  const parts: string[] = [];
  for (const char of `${body},`) {
    if (char === "(") depth++;
    if (char === ")") depth--;
    if (char === "," && depth === 0) {
      parts.push(part.trim());
      part = "";
    } else part += char;
  }
  const checks = parts.flatMap((text) =>
    [...text.matchAll(/\bcheck\s*\(([\s\S]*)\)/gi)].map((found) => found[1] ?? ""),
  );
  return enum_columns.filter((column) => {
    const declared = parts.some((text) => new RegExp(`^"?${column}"?\\s+text\\b`, "i").test(text));
    return declared && !checks.some((check) => new RegExp(`\\b${column}\\b`, "i").test(check));
  });
}

const lineAt = (text: string, index: number) => text.slice(0, index).split("\n").length;
