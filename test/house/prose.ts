// Sentences of the README and the manual: how many words each has. Code, tables and headings are no sentences.

import type { Finding } from "./floors.ts";

const sentence_max_words = 25;

/** Sentences of more than 25 words, each with the line its paragraph begins on. */
export function longSentences(path: string, markdown: string): Finding[] {
  return paragraphsOf(markdown).flatMap(({ line, text }) =>
    sentencesOf(text).flatMap((sentence) => {
      const count = wordsIn(sentence);
      if (count <= sentence_max_words) return [];
      return [{ path, line, text: `a sentence of ${count} words, more than ${sentence_max_words}: "${sentence}"` }];
    }),
  );
}

/** Paragraphs and list items. A list item begins a paragraph of its own. */
function paragraphsOf(markdown: string): { line: number; text: string }[] {
  const found: { line: number; text: string }[] = [];
  let is_code = false;
  let is_open = false;
  for (const [index, line] of markdown.split("\n").entries()) {
    const is_fence = line.startsWith("```");
    if (is_fence) is_code = !is_code;
    const text = line.replace(/^\s*(?:[-*]|\d+\.)\s+/, "").trim();
    if (is_fence || is_code || text === "" || /^(?:#+ |\||<!--)/.test(line)) {
      is_open = false;
      continue;
    }
    const last = found.at(-1);
    if (is_open && last !== undefined && text === line.trim()) last.text += ` ${text}`;
    else found.push({ line: index + 1, text });
    is_open = true;
  }
  return found;
}

/** A sentence ends at a full stop, a question or an exclamation mark that a space or the end of the text follows. */
export function sentencesOf(paragraph: string): string[] {
  // Code and addresses hold marks that end nothing.
  const plain = paragraph.replace(/`[^`]+`/g, "code").replace(/\]\([^)]*\)/g, "]");
  return plain.split(/(?<=[^.][.!?][)"*]*)\s+/).filter((sentence) => sentence !== "");
}

function wordsIn(sentence: string): number {
  return sentence.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word)).length;
}
