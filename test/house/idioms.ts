// Rules about one file at a time: names that bypass the World, idioms with one home, shape and length of a file.

import { type Finding, real_world, targetOf } from "./floors.ts";
import { closing, type Source, type Token } from "./source.ts";

const max_lines = 350;
const max_opening_comment_lines = 3;

/** Looks at the token `tokens[i]`; a sentence when it breaks the rule. */
type Look = (tokens: readonly Token[], i: number) => string | null;

/** Everything a single source file does against the house rules, but for its imports. */
export function idiomFindings(source: Source): Finding[] {
  const { path, tokens } = source;
  if (path.endsWith(".d.ts")) return [];
  const looks = [...everywhere, ...homes.filter((home) => !home.allowed(path)).map((home) => home.look)];
  if (!isOutsideWorld(path)) looks.push(...worldly);
  const findings = shapeFindings(source);
  for (let i = 0; i < tokens.length; i++) {
    for (const look of looks) {
      const text = look(tokens, i);
      if (text !== null) findings.push({ path, line: tokens[i]?.line ?? 1, text });
    }
  }
  return findings;
}

/** The real world itself, what runs in merchants' programs, and what runs in browsers. */
function isOutsideWorld(path: string): boolean {
  return real_world.includes(path) || path.startsWith("src/sdk/") || isBrowserScript(path);
}

/** A script that a page loads; the server only passes its text on. */
export function isBrowserScript(path: string): boolean {
  return path.startsWith("src/http/pages/") && (path.endsWith(".js") || path.endsWith(".browser.ts"));
}

const isWord = (token: Token | undefined, text?: string) =>
  token?.kind === "word" && (text === undefined || token.text === text);
const isMark = (token: Token | undefined, text: string) => token?.kind === "mark" && token.text === text;
const isMember = (tokens: readonly Token[], i: number) => isMark(tokens[i - 1], ".") || isMark(tokens[i - 1], "?.");
/** A global by that name: no member of something, no key of an object or a type. */
const isFree = (tokens: readonly Token[], i: number) =>
  isWord(tokens[i]) && !isMember(tokens, i) && !isMark(tokens[i + 1], ":");
/** `name(` as a call of a member or of a free function. */
const isCalled = (tokens: readonly Token[], i: number) => isMark(tokens[i + 1], "(");

/** Globals the product may not name, to what it uses instead. */
const globals: Record<string, string> = {
  performance: "use world.elapsed()",
  setTimeout: "use world.timer() or world.sleep()",
  setInterval: "use world.timer(), or a loop of workers/",
  setImmediate: "use world.defer()",
  queueMicrotask: "use world.defer()",
  WebSocket: "use the Socket that world.listen() hands out",
  EventSource: "use outbound",
  XMLHttpRequest: "use outbound",
  Bun: "take it from World: listen, files, passwords, sleep, elapsed",
  Worker: "the product is one thread",
  globalThis: "name nothing through globalThis; take it from World",
};

/** Names that are chance whoever owns them. */
const chance = /^(randomUUID\w*|getRandomValues|randomBytes|randomInt|randomFill\w*)$/;

const worldly: readonly Look[] = [
  (tokens, i) => {
    const name = tokens[i]?.text ?? "";
    const instead = isFree(tokens, i) && Object.hasOwn(globals, name) ? globals[name] : undefined;
    return instead === undefined ? null : `names ${name}: ${instead}`;
  },
  (tokens, i) =>
    isWord(tokens[i]) && chance.test(tokens[i]?.text ?? "") ? `names ${tokens[i]?.text}: use world.random()` : null,
  (tokens, i) => (isPath(tokens, i, "Math", "random") ? "names Math.random: use world.random()" : null),
  (tokens, i) =>
    isPath(tokens, i, "Date", "now") ? "names Date.now: use world.now(), or tx.now inside transact" : null,
  (tokens, i) => {
    if (!isWord(tokens[i], "Date") || isMember(tokens, i)) return null;
    const made = isWord(tokens[i - 1], "new");
    const bare = isCalled(tokens, i) ? isMark(tokens[i + 2], ")") || !made : made;
    return bare ? "makes a Date of the machine's clock: write new Date(world.now())" : null;
  },
  (tokens, i) =>
    isPath(tokens, i, "crypto", "subtle")
      ? "names crypto.subtle, which takes turns of its own: use node:crypto's createHmac and createHash"
      : null,
  (tokens, i) =>
    isPath(tokens, i, "AbortSignal", "timeout")
      ? "names AbortSignal.timeout: use world.timer() with an AbortController"
      : null,
  (tokens, i) => {
    if (!isFree(tokens, i) || !isWord(tokens[i], "fetch")) return null;
    const value =
      [":", "=", "??", "(", "=>"].some((mark) => isMark(tokens[i - 1], mark)) && !isMark(tokens[i + 1], "=>");
    const used = value && ["}", ",", ")", ";"].some((mark) => isMark(tokens[i + 1], mark));
    return isCalled(tokens, i) || used ? "names fetch: go out through outbound, or world.fetch below it" : null;
  },
  (tokens, i) => {
    if (!isFree(tokens, i) || !isWord(tokens[i], "process") || !isMember(tokens, i + 2)) return null;
    const member = tokens[i + 2]?.text;
    return member === "argv" ? null : `names process.${member}: use World's signals, env, print, warn and exit`;
  },
];

/** `owner.member` with a free owner. */
function isPath(tokens: readonly Token[], i: number, owner: string, member: string): boolean {
  return isFree(tokens, i) && isWord(tokens[i], owner) && isMember(tokens, i + 2) && isWord(tokens[i + 2], member);
}

const everywhere: readonly Look[] = [
  (tokens, i) =>
    isFree(tokens, i) && isWord(tokens[i], "any") ? "uses the type any: write the type, or unknown and a check" : null,
  (tokens, i) =>
    isNonNullAssertion(tokens, i) ? "asserts with `!`: check for undefined, or make it impossible" : null,
  (tokens, i) =>
    isPathOf(tokens, i, "console") ? "names console: use telemetry, or world.print in the command line" : null,
  (tokens, i) => {
    if (!isWord(tokens[i], "class") || isMember(tokens, i) || isMark(tokens[i + 1], ":")) return null;
    return isWord(tokens[i + 1]) && /^(Fault|OcrchError|WebhookError)$/.test(tokens[i + 1]?.text ?? "")
      ? null
      : "declares a class: write a createX({ needs }) function that returns verbs";
  },
  (tokens, i) => (isExport(tokens, i, "default") ? "has a default export: export it by name" : null),
  (tokens, i) => (isExport(tokens, i, "*") ? "is a barrel: let others import from the file that owns the name" : null),
];

const isExport = (tokens: readonly Token[], i: number, what: string) =>
  isWord(tokens[i], "export") && !isMember(tokens, i) && tokens[i + 1]?.text === what;
const isPathOf = (tokens: readonly Token[], i: number, owner: string) =>
  isFree(tokens, i) && isWord(tokens[i], owner) && isMember(tokens, i + 2);

/** Words after which `!` negates although a word stands before it. */
const before_negation =
  /^(return|typeof|case|in|of|await|yield|void|delete|else|do|throw|new|instanceof|extends|as|is|const|let|default)$/;

function isNonNullAssertion(tokens: readonly Token[], i: number): boolean {
  if (!isMark(tokens[i], "!")) return false;
  const before = tokens[i - 1];
  if (before === undefined || before.line !== tokens[i]?.line) return false;
  if (before.kind === "word") return !before_negation.test(before.text);
  if (!isMark(before, ")") && !isMark(before, "]")) return false;
  // `if (..) !x` negates; `f(..)!.x` asserts.
  return (
    [".", "[", "(", ")", ";", ",", "}", "]"].some((mark) => isMark(tokens[i + 1], mark)) && !isMark(tokens[i + 1], "(")
  );
}

interface Home {
  allowed(path: string): boolean;
  look: Look;
}

/** Where the verbs of the product are. */
const isService = (path: string) => path.startsWith("src/services/") || path.startsWith("src/opencharge/services/");
/** Where statements live. */
export const isStorage = (path: string) =>
  path.startsWith("src/storage/") || path.startsWith("src/opencharge/storage/");

const database_names = /^(db|database|sqlite|raw|tx|reader|writer|connection|statement|stmt)$/;

/** Idioms that live in one place only. */
const homes: readonly Home[] = [
  {
    // Fault, the one class of the server, and the errors a shop's code catches by class name themselves.
    allowed: (path) => path === "src/domain/errors.ts" || path === "src/sdk/errors.ts",
    look: (tokens, i) =>
      isFree(tokens, i) && isWord(tokens[i], "this")
        ? "uses this: a createX({ needs }) function closes over what it needs"
        : null,
  },
  {
    allowed: (path) => path === "src/storage/ledger.ts",
    look: (tokens, i) => {
      const updates = isWord(tokens[i], "update") && isMember(tokens, i) && isCalled(tokens, i);
      const target = tokens.slice(i + 2, updates ? closing(tokens, i + 1) : i + 2).at(-1);
      const written =
        ["string", "template"].includes(tokens[i]?.kind ?? "") && /\bupdate\s+orders\b/i.test(tokens[i]?.text ?? "");
      return (updates && isWord(target, "orders")) || written
        ? "updates orders: only storage/ledger.ts may; call recordTransition"
        : null;
    },
  },
  {
    allowed: (path) =>
      isService(path) || path === "src/storage/engine/database.ts" || path === "src/storage/engine/migrations.ts",
    look: (tokens, i) =>
      isWord(tokens[i], "transact") && isCalled(tokens, i)
        ? "calls transact: only services/ may, so that they list every atomic operation; add a verb there"
        : null,
  },
  {
    allowed: isStorage,
    look: (tokens, i) => {
      const name = tokens[i]?.text ?? "";
      if (!isWord(tokens[i]) || !isMember(tokens, i) || !isCalled(tokens, i)) return null;
      const owner = tokens[i - 2];
      const is_run = name === "run" && (isMark(owner, ")") || database_names.test(owner?.text ?? ""));
      if (!is_run && !["prepare", "transaction", "iterate"].includes(name)) return null;
      return `calls .${name}( on a database: statements live in storage/; add a verb there that takes tx first`;
    },
  },
  {
    allowed: (path) => path === "src/domain/money.ts",
    look: (tokens, i) =>
      isWord(tokens[i]) && /^(parseFloat|toFixed|toPrecision)$/.test(tokens[i]?.text ?? "")
        ? `names ${tokens[i]?.text}: money is bigint base units; use the verbs of domain/money.ts`
        : null,
  },
  {
    allowed: (path) => path === "src/domain/address.ts",
    look: (tokens, i) =>
      isFree(tokens, i) && isWord(tokens[i], "require") && isCalled(tokens, i)
        ? "calls require: write an import"
        : null,
  },
];

function shapeFindings({ path, text, exports, imports }: Source): Finding[] {
  const findings: Finding[] = [];
  const add = (line: number, text: string) => findings.push({ path, line, text });
  const lines = text.replace(/\n$/, "").split("\n").length;
  if (lines > max_lines)
    add(max_lines, `has ${lines} lines: split it by what its parts own (about 100, rarely over 250)`);
  if (/(^|\/)(utils?|helpers|common|misc)(\/|\.ts$)/.test(path))
    add(1, "is named after nothing: name it after what it owns");
  if (/(^|\/)types\.ts$/.test(path)) add(1, "collects types: put each beside the verbs it belongs to");
  const count = openingLines(text);
  if (count === 0) add(1, "opens without a comment: say what the file owns and what it must never do");
  else if (count > max_opening_comment_lines)
    add(1, `opens with ${count} lines of comment: say it in ${max_opening_comment_lines}`);
  for (const entry of exports)
    if (entry.is_function && !entry.is_guard && !entry.documented)
      add(entry.line, `exports ${entry.name}() without a docstring: say shapes, units and errors in /** .. */`);
  for (const entry of imports)
    if (entry.how === "reexport" && !path.startsWith("src/sdk/") && targetOf(path, entry.specifier) !== null)
      add(entry.line, `passes on ${entry.specifier}: let others import from the file that owns the name`);
  return findings;
}

/** Lines of `//` comment at the top of a file, behind a shebang if there is one. */
function openingLines(text: string): number {
  const lines = text.replace(/^#!.*\n/, "").split("\n");
  const end = lines.findIndex((line) => !line.startsWith("//"));
  return end < 0 ? lines.length : end;
}
