// Writes assets.ts: the client's words for chains and coins, from the rows of the server. Does nothing where the server's
// source is not there, as in the package alone.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const server = fileURLToPath(new URL("../domain/assets.ts", import.meta.url));
const written = fileURLToPath(new URL("assets.ts", import.meta.url));
const line_max_chars = 120;

/** A union type on one line where it fits, as the formatter writes it. */
function union(name, words) {
  const list = words.map((word) => `"${word}"`);
  const line = `export type ${name} = ${list.join(" | ")};`;
  return line.length <= line_max_chars
    ? line
    : `export type ${name} =\n${list.map((word) => `  | ${word}`).join("\n")};`;
}

if (existsSync(server)) {
  const source = readFileSync(server, "utf8");
  const [, rows] = /^const rows = \{\n(.*?)^\} satisfies/ms.exec(source);
  const [, coins] = /^export const coins = \[(.*?)\]/ms.exec(source);
  const wordsOf = (text, pattern) => [...text.matchAll(pattern)].map(([, word]) => word);
  const types = [
    "// The chains and coins of the server, written by assets.mjs from ../domain/assets.ts. Holds no code.",
    `/** A chain, as Ocrch spells it. */\n${union("Blockchain", wordsOf(rows, /^ {2}(\w+): \{$/gm))}`,
    `/** A coin, as Ocrch spells it. */\n${union("Stablecoin", wordsOf(coins, /"(\w+)"/g))}`,
  ];
  const text = `${types.join("\n\n")}\n`;
  if (!existsSync(written) || readFileSync(written, "utf8") !== text) writeFileSync(written, text);
}
