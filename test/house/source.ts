// Reads a TypeScript file the way the house rules see it: tokens without comments, its imports, its exports.
// Built on TypeScript's own scanner; knows nothing about any rule.

import { SyntaxKind } from "typescript/unstable/ast";
import { createScanner } from "typescript/unstable/ast/scanner";

export type TokenKind = "word" | "string" | "template" | "number" | "regex" | "mark";

export interface Token {
  kind: TokenKind;
  /** As written; for strings and templates the value between the quotes. */
  text: string;
  line: number;
  /** The comments between the token before and this one, as written. */
  comments: string[];
}

export interface Import {
  specifier: string;
  line: number;
  /** `reexport` for `export .. from`; `call` for `import(..)` and `require(..)`. */
  how: "import" | "reexport" | "call";
  /** Names as the other file exports them; `*` when everything may be used. */
  names: string[];
  type_only: boolean;
  /** The `type` of `with { type: ".." }`, or null. */
  attribute: string | null;
}

export interface Export {
  name: string;
  line: number;
  is_type: boolean;
  is_function: boolean;
  /** A type guard's return type already says what it does. */
  is_guard: boolean;
  documented: boolean;
}

export interface Source {
  /** From the root of the repository, with `/`. */
  path: string;
  text: string;
  tokens: Token[];
  imports: Import[];
  exports: Export[];
}

/** Reads one file. `path` is from the root of the repository. */
export function readSource(path: string, text: string): Source {
  const tokens = tokensOf(text);
  return { path, text, tokens, imports: importsOf(tokens), exports: exportsOf(tokens) };
}

const strings = new Set([SyntaxKind.StringLiteral]);
const templates = new Set([
  SyntaxKind.NoSubstitutionTemplateLiteral,
  SyntaxKind.TemplateHead,
  SyntaxKind.TemplateMiddle,
  SyntaxKind.TemplateTail,
]);
const numbers = new Set([SyntaxKind.NumericLiteral, SyntaxKind.BigIntLiteral]);
const comments = new Set([SyntaxKind.SingleLineCommentTrivia, SyntaxKind.MultiLineCommentTrivia]);
const trivia = new Set([SyntaxKind.WhitespaceTrivia, SyntaxKind.NewLineTrivia, ...comments]);

/** Words after which a slash starts a regular expression although a word stands before it. */
const before_operand = new Set([
  "return",
  "typeof",
  "case",
  "in",
  "of",
  "await",
  "yield",
  "void",
  "delete",
  "else",
  "do",
]);

/** All tokens of a text. Regular expressions and templates are told from operators by what stands before them. */
export function tokensOf(written: string): Token[] {
  const text = written.replace(/^#!.*/, "");
  const scanner = createScanner(false, undefined, text);
  const tokens: Token[] = [];
  /** One entry per open brace: true when it is the `${` of a template. */
  const braces: boolean[] = [];
  let waiting: string[] = [];
  let line = 1;
  let counted_to = 0;
  for (let kind = scanner.scan(); kind !== SyntaxKind.EndOfFile; kind = scanner.scan()) {
    if ((kind === SyntaxKind.SlashToken || kind === SyntaxKind.SlashEqualsToken) && !endsOperand(tokens.at(-1)))
      kind = scanner.reScanSlashToken();
    if (kind === SyntaxKind.OpenBraceToken) braces.push(false);
    if (kind === SyntaxKind.TemplateHead) braces.push(true);
    if (kind === SyntaxKind.CloseBraceToken && braces.at(-1)) kind = scanner.reScanTemplateToken(false);
    if (kind === SyntaxKind.CloseBraceToken || kind === SyntaxKind.TemplateTail) braces.pop();
    for (; counted_to < scanner.getTokenStart(); counted_to++) if (text[counted_to] === "\n") line++;
    if (comments.has(kind)) waiting.push(scanner.getTokenText());
    if (trivia.has(kind)) continue;
    const token_kind = kindOf(kind, scanner.getTokenText());
    const valued = token_kind === "string" || token_kind === "template";
    tokens.push({
      kind: token_kind,
      text: valued ? scanner.getTokenValue() : scanner.getTokenText(),
      line,
      comments: waiting,
    });
    waiting = [];
  }
  return tokens;
}

function kindOf(kind: SyntaxKind, text: string): TokenKind {
  if (strings.has(kind)) return "string";
  if (templates.has(kind)) return "template";
  if (numbers.has(kind)) return "number";
  if (kind === SyntaxKind.RegularExpressionLiteral) return "regex";
  return /^[\p{ID_Start}$_]/u.test(text) ? "word" : "mark";
}

function endsOperand(token: Token | undefined): boolean {
  if (token === undefined) return false;
  if (token.kind === "word") return !before_operand.has(token.text);
  if (token.kind === "mark") return token.text === ")" || token.text === "]" || token.text === "}";
  return true;
}

/** Index of the bracket that closes the one at `open`; the last token when there is none. */
export function closing(tokens: readonly Token[], open: number): number {
  let depth = 0;
  for (let i = open; i < tokens.length; i++) {
    const { kind, text } = tokens[i] as Token;
    if (kind !== "mark") continue;
    if (text === "(" || text === "[" || text === "{") depth++;
    if (text === ")" || text === "]" || text === "}") depth--;
    if (depth === 0) return i;
  }
  return tokens.length - 1;
}

function importsOf(tokens: readonly Token[]): Import[] {
  const found: Import[] = [];
  const at = (i: number) => tokens[i]?.text;
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i] as Token;
    if (token.kind !== "word" || at(i - 1) === ".") continue;
    const called = at(i + 1) === "(" && tokens[i + 2]?.kind === "string";
    if ((token.text === "import" || token.text === "require") && called) {
      const specifier = at(i + 2) ?? "";
      found.push({ specifier, line: token.line, how: "call", names: ["*"], type_only: false, attribute: null });
    }
    const is_import = token.text === "import" && at(i + 1) !== "(" && at(i + 1) !== ".";
    const is_export = token.text === "export" && (["{", "*"].includes(at(i + 1) ?? "") || isTypeList(tokens, i));
    if (!is_import && !is_export) continue;
    const source = specifierAfter(tokens, i);
    if (source === null) continue;
    const attribute = at(source + 1) === "with" && at(source + 3) === "type" ? (at(source + 5) ?? null) : null;
    found.push({
      specifier: at(source) ?? "",
      line: token.line,
      how: is_import ? "import" : "reexport",
      names: importedNames(tokens.slice(i + 1, source)),
      type_only: at(i + 1) === "type" && at(i + 2) !== "from",
      attribute,
    });
  }
  return found;
}

const isTypeList = (tokens: readonly Token[], i: number) =>
  tokens[i + 1]?.text === "type" && ["{", "*"].includes(tokens[i + 2]?.text ?? "");

/** Index of the module string of the import or export that starts at `start`; null for an `export { .. }` of its own. */
function specifierAfter(tokens: readonly Token[], start: number): number | null {
  for (let i = start + 1; i < tokens.length; i++) {
    if (tokens[i]?.text === "{") i = closing(tokens, i);
    if (tokens[i]?.text === "from" && tokens[i + 1]?.kind === "string") return i + 1;
    if (tokens[i]?.kind === "string") return i;
    if (tokens[i]?.text === ";" || tokens[i]?.text === "export") return null;
    if (tokens[i]?.text === "}" && tokens[i + 1]?.text !== "from") return null;
  }
  return null;
}

function importedNames(clause: readonly Token[]): string[] {
  const names: string[] = [];
  for (let i = 0; i < clause.length; i++) {
    const text = clause[i]?.text ?? "";
    if (text === "*") return ["*"];
    if (text === "{") return [...names, ...listed(clause.slice(i + 1, closing(clause, i))).map((entry) => entry[0])];
    if (clause[i]?.kind === "word" && text !== "type" && text !== "from") names.push("default");
  }
  return names;
}

/** `a, type b as c` to [["a", "a"], ["b", "c"]]. */
function listed(inner: readonly Token[]): [string, string][] {
  const entries: [string, string][] = [];
  let words: string[] = [];
  for (const token of [...inner, { kind: "mark", text: "," }]) {
    if (token.text !== ",") words.push(token.text);
    else if (words.length > 0) {
      if (words[0] === "type" && words.length > 1 && words[1] !== "as") words = words.slice(1);
      entries.push([words[0] ?? "", words.at(-1) ?? ""]);
      words = [];
    }
  }
  return entries;
}

const declarators = new Set(["function", "const", "let", "var", "interface", "type", "class", "enum", "namespace"]);

function exportsOf(tokens: readonly Token[]): Export[] {
  const found: Export[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const start = tokens[i] as Token;
    if (start.kind !== "word" || start.text !== "export" || tokens[i - 1]?.text === ".") continue;
    const documented = start.comments.at(-1)?.startsWith("/**") ?? false;
    const plain = { line: start.line, is_type: false, is_function: false, is_guard: false, documented };
    if (tokens[i + 1]?.text === "{" || isTypeList(tokens, i)) {
      if (specifierAfter(tokens, i) !== null) continue;
      const open = tokens[i + 1]?.text === "{" ? i + 1 : i + 2;
      for (const [, name] of listed(tokens.slice(open + 1, closing(tokens, open)))) found.push({ ...plain, name });
      continue;
    }
    let j = i + 1;
    while (["async", "declare", "abstract"].includes(tokens[j]?.text ?? "")) j++;
    if (!declarators.has(tokens[j]?.text ?? "")) continue;
    const is_plain_function = tokens[j]?.text === "function";
    const is_type = tokens[j]?.text === "interface" || tokens[j]?.text === "type";
    if (tokens[j + 1]?.text === "*") j++;
    const parameters = is_plain_function ? openingOf(tokens, j + 2) : arrowParameters(tokens, j + 2);
    const after = parameters === null ? 0 : closing(tokens, parameters) + 1;
    const is_guard =
      tokens[after]?.text === ":" && (tokens[after + 2]?.text === "is" || tokens[after + 1]?.text === "asserts");
    found.push({ ...plain, name: tokens[j + 1]?.text ?? "", is_type, is_function: parameters !== null, is_guard });
  }
  return found;
}

/** The parenthesis that opens the parameters, behind type parameters if there are any. */
function openingOf(tokens: readonly Token[], from: number): number | null {
  let angles = 0;
  for (let i = from; i < tokens.length; i++) {
    const text = tokens[i]?.text;
    if (text === "<") angles++;
    else if (text === ">") angles--;
    else if (text === "(" && angles === 0) return i;
    else if (angles === 0) return null;
  }
  return null;
}

/** The opening parenthesis of `= (..) =>` or `= async (..): T =>`; null when the value is no arrow function. */
function arrowParameters(tokens: readonly Token[], from: number): number | null {
  let i = from;
  if (tokens[i]?.text === ":") while (i < tokens.length && tokens[i]?.text !== "=" && tokens[i]?.text !== ";") i++;
  if (tokens[i]?.text !== "=") return null;
  i++;
  if (tokens[i]?.text === "async") i++;
  if (tokens[i]?.kind === "word" && tokens[i + 1]?.text === "=>") return i;
  const open = openingOf(tokens, i);
  if (open === null) return null;
  const next = tokens[closing(tokens, open) + 1]?.text;
  return next === "=>" || next === ":" ? open : null;
}
