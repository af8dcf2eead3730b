// Puts a hash where the plaintext admin secret stands in the file's text. It must never change anything else:
// a replacement counts only when parsing the new text shows admin.secret, and nothing but it, changed.

import { parse } from "smol-toml";

const string_forms = [/"""(?:\\[\s\S]|[^\\])*?"{3,5}/y, /'''[\s\S]*?'{3,5}/y, /"(?:\\.|[^"\\\n])*"/y, /'[^'\n]*'/y];

/**
 * The text with the value of admin.secret replaced, or null when no such change is found. However the key is written
 * (section, dotted, inline table, any kind of string), the value is a string literal that reads as the secret: each
 * of those is tried until the right one is met, so comments, order and spacing stay as they are.
 */
export function replaceAdminSecret(text: string, secret: string, hash: string): string | null {
  const wanted = treeWith(text, hash);
  for (const literal of literalsReading(text, secret)) {
    const changed = `${text.slice(0, literal.start)}"${hash}"${text.slice(literal.end)}`;
    if (wanted !== null && wanted === tree(changed)) return changed;
  }
  return null;
}

function* literalsReading(text: string, secret: string): Generator<{ start: number; end: number }> {
  for (let start = 0; start < text.length; start++) {
    if (text[start] !== '"' && text[start] !== "'") continue;
    for (const form of string_forms) {
      form.lastIndex = start;
      const literal = form.exec(text)?.[0];
      if (literal !== undefined && textOf(literal) === secret) yield { start, end: start + literal.length };
    }
  }
}

function textOf(literal: string): unknown {
  try {
    return parse(`value = ${literal}`).value;
  } catch {
    return undefined;
  }
}

function tree(text: string): string | null {
  try {
    return JSON.stringify(parse(text));
  } catch {
    return null;
  }
}

function treeWith(text: string, hash: string): string | null {
  const file = parse(text);
  if (typeof file.admin !== "object") return null;
  return JSON.stringify({ ...file, admin: { ...file.admin, secret: hash } });
}
