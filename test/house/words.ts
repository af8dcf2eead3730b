// Words that have no place in the product's text: unfinished business, and how or where it was written.

import type { Finding } from "./floors.ts";

const banned: readonly { pattern: RegExp; text: string }[] = [
  { pattern: /\b(?:TODO|FIXME|HACK)\b/, text: "finish it, or say what holds today" },
  {
    pattern: /\b(?:claude|anthropic|openai|chatgpt|copilot|language model|(?:ai|coding) (?:agent|assistant))\b/i,
    text: "prose speaks of the product alone",
  },
  { pattern: /\b(?:issue|pull request|PR) ?#\d+/i, text: "say the reason itself, not where it was discussed" },
  {
    pattern: /\/work\/|\/tmp\/brief|work\/shared|\.\.\/shared\//,
    text: "a clone has no such folder: keep what it needs inside the repository",
  },
  { pattern: /^<{7} |^>{7} /m, text: "a merge was left unfinished" },
];

/** Every line of a text that holds a banned word. */
export function wordFindings(path: string, text: string): Finding[] {
  return text.split("\n").flatMap((line, index) =>
    banned.flatMap(({ pattern, text }) => {
      const found = pattern.exec(line);
      return found === null ? [] : [{ path, line: index + 1, text: `says "${found[0]}": ${text}` }];
    }),
  );
}

/** Rooms that a text's section on the architecture does not name. Null when it has no such section. */
export function roomsMissing(text: string, rooms: readonly string[]): string[] | null {
  const start = /^#{1,3} .*architecture.*$/im.exec(text);
  if (start === null) return null;
  const level = start[0].indexOf(" ");
  const rest = text.slice(start.index + start[0].length);
  const end = rest.search(new RegExp(`^#{1,${level}} `, "m"));
  const section = end < 0 ? rest : rest.slice(0, end);
  return rooms.filter((room) => !section.includes(room));
}
