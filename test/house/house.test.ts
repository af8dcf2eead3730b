// The rules of the house, read from the source itself. Each failure names file, line and what to use instead.

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { devDependencies } from "../../package.json";
import { logCodes } from "../../src/log-codes.ts";
import { type Finding, importFindings, roomOf, rooms } from "./floors.ts";
import { cycleFindings, deadExportFindings, deadFileFindings } from "./graph.ts";
import { idiomFindings, isBrowserScript, isStorage } from "./idioms.ts";
import { logCallFindings, unusedLogCodes } from "./log-codes.ts";
import { longSentences, sentencesOf } from "./prose.ts";
import { readSource, tokensOf } from "./source.ts";
import { embeddedSqlFindings, sqlFindings, unlistedMigrations } from "./sql.ts";
import { roomsMissing, wordFindings } from "./words.ts";

const root = join(import.meta.dir, "../..");
const not_ours = ["node_modules", "dist", ".git"];
/** Binaries and recordings are data, not prose. */
const max_text_bytes = 1_000_000;
const max_title_chars = 80;
const readme_max_lines = 160;
const glossary_max_terms = 40;

type Look = (path: string, text: string) => Finding[];

/** What builds and tests the program, and is never part of it. */
const tools = ["@biomejs/biome", "@foundry-rs/anvil", "@types/bun", "bun", "playwright-core", "solc", "typescript"];
const packages = Object.keys(devDependencies).filter((name) => !tools.includes(name));
const files = walk("");
const typescript = files.filter((path) => path.endsWith(".ts"));
const all = typescript.map((path) => readSource(path, read(path)));
const source = all.filter(({ path }) => path.startsWith("src/"));
const server = source.filter(({ path }) => !isBrowserScript(path));
const migrations = files.filter((path) => path.startsWith("migrations/") && path.endsWith(".sql"));
const roots = ["src/main.ts", "src/sdk/index.ts"].filter((path) => files.includes(path));
const is_whole = roots.includes("src/main.ts");
const pages = files.filter((path) => path === "README.md" || /^src\/manual\/\w+\.md$/.test(path));
const has_manual = pages.length > 0;

function walk(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (not_ours.includes(entry.name)) return [];
    return entry.isDirectory() ? walk(path) : entry.isFile() ? [path] : [];
  });
}

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

function show(findings: readonly Finding[]): string[] {
  return findings.map(({ path, line, text }) => `${path}:${line}: ${text}`);
}

describe("the house", () => {
  test("every file imports from its own room and from lower floors only", () => {
    expect(source.length).toBeGreaterThan(0);
    expect(show(source.flatMap((file) => importFindings(file, packages)))).toEqual([]);
  });

  test("imports form no cycle", () => {
    expect(show(cycleFindings(all))).toEqual([]);
  });

  test.skipIf(!is_whole)("every file is reached from the program or the SDK", () => {
    expect(show(deadFileFindings(source, roots))).toEqual([]);
  });

  test.skipIf(!is_whole)("every export is imported by another file", () => {
    expect(show(deadExportFindings(source, all))).toEqual([]);
  });

  test("idioms stay in the one place that owns them", () => {
    expect(show(server.flatMap(idiomFindings))).toEqual([]);
  });

  test("log codes are written out where they are logged, and none is listed that nothing logs", () => {
    expect(show(server.flatMap(logCallFindings))).toEqual([]);
    expect(show(unusedLogCodes(Object.keys(logCodes), server))).toEqual([]);
  });

  test("SQL keeps strict tables, checked enums, and neither clock nor chance", () => {
    const found = migrations.flatMap((path) => sqlFindings(path, read(path)));
    const inside = source.filter(({ path }) => isStorage(path)).flatMap(embeddedSqlFindings);
    const list = source.filter(({ path }) => path === "src/storage/engine/migrations.ts");
    expect(show([...found, ...inside, ...list.flatMap((list) => unlistedMigrations(migrations, list))])).toEqual([]);
    expect(list.length).toBe(migrations.length > 0 ? 1 : 0);
  });

  test("the text speaks of the product alone", () => {
    const prose = files
      .filter((path) => !path.startsWith("test/house") && path !== "bun.lock" && path !== "LICENSE")
      .filter((path) => Bun.file(join(root, path)).size <= max_text_bytes)
      .map((path) => ({ path, text: read(path) }))
      .filter(({ text }) => !text.includes("\0"));
    expect(show(prose.flatMap(({ path, text }) => wordFindings(path, text)))).toEqual([]);
  });

  test.skipIf(!has_manual)("the manual's page on the architecture names every room", () => {
    const built = rooms.filter((room) => source.some(({ path }) => roomOf(path) === room));
    expect(
      roomsMissing(
        read("src/manual/architecture.md"),
        built.flatMap((room) => room.holds),
      ),
    ).toEqual([]);
  });

  test.skipIf(!has_manual)("the README is short, and no sentence of it or of the manual is long", () => {
    expect(read("README.md").split("\n").length - 1).toBeLessThanOrEqual(readme_max_lines);
    expect(show(pages.flatMap((path) => longSentences(path, read(path))))).toEqual([]);
    const terms = [...read("src/manual/glossary.md").matchAll(/^\| (?!term \||---)/gm)];
    expect(terms.length).toBeWithin(1, glossary_max_terms + 1);
  });
});

describe("the reader of the house", () => {
  const kinds = (text: string) => tokensOf(text).map(({ kind, text }) => `${kind} ${text}`);

  test("tells regular expressions, divisions and templates apart", () => {
    expect(kinds("a / b / c")).toEqual(["word a", "mark /", "word b", "mark /", "word c"]);
    expect(kinds("x = /Date.now()/g")).toEqual(["word x", "mark =", "regex /Date.now()/g"]);
    expect(kinds("`a${{ b: `c` }.b}d` + 'e'").map((text) => text.split(" ")[0])).toEqual(
      "template mark word mark template mark mark word template mark string".split(" "),
    );
    expect(kinds("/* any */ 1n // this")).toEqual(["number 1n"]);
    expect(tokensOf("a\n\n  b").map(({ line }) => line)).toEqual([1, 3]);
  });

  test("finds every form of import", () => {
    const text = `
      import "./a.ts";
      import type { A, B as C } from "./b.ts";
      import d, { type E, type as f } from "./c.ts";
      import * as g from "./d.ts";
      import h from "./e.sql" with { type: "text" };
      export { i as j } from "./f.ts";
      export * from "./g.ts";
      const k = await import("./h.ts");
      const l = import.meta.dir;
      type M = import("./i.ts").M;
      export { k, l as n };
    `;
    const { imports, exports } = readSource("src/domain/x.ts", text);
    expect(imports.map((entry) => [entry.specifier, entry.how, entry.type_only, entry.names.join()].join(" "))).toEqual(
      [
        "./a.ts import false ",
        "./b.ts import true A,B",
        "./c.ts import false default,E,type",
        "./d.ts import false *",
        "./e.sql import false default",
        "./f.ts reexport false i",
        "./g.ts reexport false *",
        "./h.ts call false *",
        "./i.ts call false *",
      ],
    );
    expect(imports[4]?.attribute).toBe("text");
    expect(exports.map(({ name }) => name)).toEqual(["k", "n"]);
  });

  test("knows functions, guards and docstrings among exports", () => {
    const text = `
      /** Says. */
      export async function a<T>(x: T): Promise<T> { return x; }
      export const b = (x: number): number => x;
      export function isC(x: unknown): x is string { return typeof x === "string"; }
      export const d = (1 + 2) * 3;
      export interface E { f(): void }
    `;
    const { exports } = readSource("src/domain/x.ts", text);
    const row = ({ name, is_function, is_guard, documented }: (typeof exports)[number]) =>
      [name, is_function && "function", is_guard && "guard", documented && "documented"].filter(Boolean).join(" ");
    expect(exports.map(row)).toEqual(["a function documented", "b function", "isC function guard", "d", "E"]);
  });
});

/** A test per row, named by the sample itself; an expected `""` means that nothing may be found. */
function eachSample(rows: readonly [path: string, text: string, expected: string][], look: Look): void {
  for (const [path, text, expected] of rows) {
    test(`${path}: ${JSON.stringify(text).slice(0, max_title_chars)}${expected === "" ? " is fine" : ""}`, () => {
      const found = show(look(path, text));
      if (expected === "") expect(found).toEqual([]);
      else expect(found).toEqual([expect.stringContaining(expected)]);
    });
  }
}

describe("the rule of floors bites", () => {
  const rows: [from: string, text: string, expected: string][] = [
    ["src/domain/a.ts", `import { b } from "./b.ts";`, ""],
    ["src/services/a.ts", `import { b } from "../storage/b.ts";`, ""],
    ["src/main.ts", `import { b } from "./cli/b.ts";`, ""],
    ["src/telemetry.ts", `import type { World } from "./world.ts";`, ""],
    ["src/storage/engine/migrations.ts", `import one from "../../../migrations/1.sql" with { type: "text" };`, ""],
    ["src/http/pages.ts", `import page from "./page.html" with { type: "text" };`, ""],
    ["src/wire/a.ts", `import { createHmac } from "node:crypto";`, ""],
    ["src/storage/a.ts", `import { sql } from "drizzle-orm/sqlite-core";`, ""],
    ["src/opencharge/services/a.ts", `import { b } from "../../services/b.ts";`, ""],
    ["src/opencharge/cli/commands.ts", `import { command } from "../../cli/command.ts";`, ""],
    ["src/extensions.ts", `import { opencharge } from "./opencharge/opencharge.ts";`, ""],
    ["src/cli/program.ts", `import { openchargeCommands } from "../opencharge/cli/commands.ts";`, ""],
    ["src/domain/a.ts", `import type { B } from "../wire/b.ts";`, "never up"],
    ["src/opencharge/storage/a.ts", `import { b } from "../wire/b.ts";`, "never sideways"],
    ["src/opencharge/services/a.ts", `import { b } from "../../http/b.ts";`, "never up"],
    ["src/services/a.ts", `import type { B } from "../opencharge/wire/b.ts";`, "must build without src/opencharge/"],
    ["src/extensions.ts", `import { b } from "./opencharge/services/b.ts";`, "must build without src/opencharge/"],
    ["src/services/a.ts", `import type { B } from "../chains/b.ts";`, "never sideways"],
    ["src/storage/a.ts", `import { b } from "../config/config.ts";`, "never sideways"],
    ["src/domain/a.ts", `import type { World } from "../world.ts";`, "never sideways"],
    ["src/services/a.ts", `export { b } from "../http/b.ts";`, "never up"],
    ["src/services/a.ts", `const b = await import("../http/b.ts");`, "never up"],
    ["src/telemetry.ts", `import { realWorld } from "./world.ts";`, "import type"],
    ["src/http/a.ts", `import { b } from "../services/b";`, "`.ts` ending"],
    ["src/http/a.ts", `import { b } from "../../test/b.ts";`, "outside src/"],
    ["src/services/a.ts", `import one from "../../migrations/1.sql" with { type: "text" };`, "outside src/"],
    ["src/http/a.ts", `import { b } from "../storage/b.ts";`, "ask a service"],
    ["src/opencharge/http/a.ts", `import { b } from "../storage/b.ts";`, "ask a service"],
    ["src/opencharge/http/a.ts", `import { b } from "../../storage/b.ts";`, "ask a service"],
    ["src/workers/scan/a.ts", `import { b } from "../confirm/b.ts";`, ""],
    ["src/workers/confirm/a.ts", `import { b } from "../scan/b.ts";`, "never sideways"],
    ["src/storage/a.ts", `import { b } from "./engine/b.ts";`, ""],
    ["src/storage/engine/a.ts", `import { b } from "../b.ts";`, "never sideways"],
    ["src/storage/engine/a.ts", `import type { Hooks } from "../hooks.ts";`, ""],
    ["src/lib/a.ts", "", "no room"],
    ["src/http/a.ts", `import { b } from "../lib/b.ts";`, "no room"],
    ["src/domain/order.ts", `import Decimal from "decimal.js";`, "domain/money.ts"],
    ["src/services/a.ts", `import { sql } from "drizzle-orm/sqlite-core";`, "ask storage/"],
    ["src/services/a.ts", `import { readFileSync } from "node:fs";`, "only src/world.ts"],
    ["src/services/a.ts", `import axios from "axios";`, "no dependency"],
  ];
  eachSample(rows, (path, text) => importFindings(readSource(path, text), packages));
});

describe("the rules of the graph bite", () => {
  const a = readSource("src/domain/a.ts", `import type { B } from "./b.ts";\nexport const one = 1;`);
  const b = readSource(
    "src/domain/b.ts",
    `import { one } from "./a.ts";\nexport type B = typeof one;\nexport const two = 2;`,
  );
  const c = readSource("src/domain/c.ts", `import { one } from "./a.ts";`);

  test("a cycle through a type import", () => {
    const cycle = "src/domain/a.ts -> src/domain/b.ts -> src/domain/a.ts";
    expect(show(cycleFindings([a, b, c]))).toEqual([
      expect.stringContaining(`src/domain/b.ts:1: closes the cycle ${cycle}`),
    ]);
    expect(cycleFindings([a, c])).toEqual([]);
  });

  test("a file nobody imports", () => {
    expect(show(deadFileFindings([a, b, c], ["src/domain/a.ts"]))).toEqual([
      expect.stringContaining("src/domain/c.ts:1: "),
    ]);
    expect(deadFileFindings([a, b, c], ["src/domain/c.ts"])).toEqual([]);
  });

  test("an export nobody imports", () => {
    const text = "src/domain/b.ts:3: exports two, ";
    expect(show(deadExportFindings([a, b], [a, b, c]))).toEqual([expect.stringContaining(text)]);
    const shape = readSource("src/domain/d.ts", "export interface A {}\nexport interface B { a: A }\n");
    expect(show(deadExportFindings([shape], [shape]))).toEqual([
      expect.stringContaining("src/domain/d.ts:2: exports B, "),
    ]);
    const whole = readSource("test/whole.ts", `import * as b from "../src/domain/b.ts";`);
    expect(deadExportFindings([a, b], [a, b, whole])).toEqual([]);
  });
});

describe("the rules of idiom bite", () => {
  const head = "// Owns a sample.\n";
  const rows: [path: string, text: string, expected: string][] = [
    ["src/services/a.ts", "const t = world.now() + tx.now; const d = new Date(t);", ""],
    ["src/services/a.ts", "const t = Date.now();", "world.now()"],
    ["src/services/a.ts", "const t = new Date();", "new Date(world.now())"],
    ["src/services/a.ts", "const t = new Date;", "new Date(world.now())"],
    ["src/services/a.ts", "const t: Date = Date();", "new Date(world.now())"],
    ["src/services/a.ts", "const t = performance.now();", "world.elapsed()"],
    ["src/services/a.ts", "const t = Math.random();", "world.random()"],
    ["src/services/a.ts", "const t = crypto.randomUUID();", "world.random()"],
    ["src/services/a.ts", "const t = randomUUIDv7();", "world.random()"],
    ["src/services/a.ts", "crypto.getRandomValues(bytes);", "world.random()"],
    ["src/wire/a.ts", "await crypto.subtle.sign(a, b, c);", "createHmac"],
    ["src/workers/a.ts", "setTimeout(act, 1);", "world.timer()"],
    ["src/workers/a.ts", "setInterval(act, 1);", "loop of workers/"],
    ["src/workers/a.ts", "setImmediate(act);", "world.defer()"],
    ["src/workers/a.ts", "queueMicrotask(act);", "world.defer()"],
    ["src/outbound.ts", "const s = AbortSignal.timeout(5);", "AbortController"],
    ["src/outbound.ts", "await fetch(url);", "world.fetch"],
    ["src/chains/a.ts", "http(url, { fetchFn: fetch });", "world.fetch"],
    ["src/chains/a.ts", "http(url, { fetchFn: world.fetch }); app.fetch(request);", ""],
    ["src/http/a.ts", "const s = new WebSocket(url);", "Socket"],
    ["src/http/a.ts", "Bun.serve({});", "take it from World"],
    ["src/http/a.ts", "globalThis.setTimeout(act, 1);", "globalThis"],
    ["src/cli/a.ts", "process.exit(1);", "World's"],
    ["src/cli/a.ts", 'process.on("SIGTERM", stop);', "World's"],
    ["src/main.ts", "run(process.argv.slice(2));", ""],
    ["src/world.ts", "const t = Date.now(); setTimeout(act, 1); process.exit(1);", ""],
    ["src/sdk/a.ts", "const t = Date.now(); await fetch(url);", ""],
    ["src/http/pages/pay.browser.ts", "const t = Date.now(); setTimeout(act, 1);", ""],
    ["src/http/pages/pay.ts", "const t = Date.now();", "world.now()"],
    ["src/services/a.ts", "const t = 'Date.now()'; // Date.now()", ""],
    ["src/world.ts", "console.log(1);", "telemetry"],
    ["src/storage/orders.ts", "tx.db.update(orders).set({});", "recordTransition"],
    ["src/storage/orders.ts", "tx.db.update(schema.orders).set({});", "recordTransition"],
    ["src/storage/orders.ts", "tx.run(`UPDATE orders SET status = ?`);", "recordTransition"],
    ["src/storage/orders.ts", "tx.db.update(deposits).set({});", ""],
    ["src/storage/ledger.ts", "tx.db.update(orders).set({});", ""],
    ["src/services/a.ts", "await database.transact((tx) => tx.now);", ""],
    ["src/workers/a.ts", "await database.transact((tx) => tx.now);", "only services/"],
    ["src/services/a.ts", "db.prepare(text);", "storage/"],
    ["src/services/a.ts", "db.insert(rows).values(row).run();", "storage/"],
    ["src/services/a.ts", "tx.run(text);", "storage/"],
    ["src/services/a.ts", "db.transaction(act);", "storage/"],
    ["src/cli/a.ts", "defineCommand({ run() {} }); command.run(args);", ""],
    ["src/storage/a.ts", "db.prepare(text).run();", ""],
    ["src/services/a.ts", "const n = parseFloat(amount);", "domain/money.ts"],
    ["src/services/a.ts", "const n = price.toFixed(2);", "domain/money.ts"],
    ["src/domain/money.ts", "const n = price.toFixed(2);", ""],
    ["src/services/a.ts", "const n = (x: any) => x;", "unknown"],
    ["src/services/a.ts", "const n = await Promise.any(all);", ""],
    ["src/services/a.ts", "const n = rows[0]!.id;", "check for undefined"],
    ["src/services/a.ts", "const n = row!;", "check for undefined"],
    ["src/services/a.ts", "const n = find(x)!.id;", "check for undefined"],
    ["src/services/a.ts", "if (a) !b; return !c && !(d) && [!e];", ""],
    ["src/services/a.ts", "const n = this.n;", "closes over"],
    ["src/services/a.ts", "class Orders {}", "createX"],
    ["src/domain/errors.ts", "class Fault extends Error { constructor() { super(); this.name = 'Fault'; } }", ""],
    ["src/sdk/errors.ts", "class OcrchError extends Error { constructor() { super(); this.status = 0; } }", ""],
    ["src/sdk/client.ts", "class Client {}", "createX"],
    ["src/sdk/client.ts", "const n = this.n;", "closes over"],
    ["src/services/a.ts", "export default 1;", "by name"],
    ["src/services/a.ts", 'export * from "pkg";', "barrel"],
    ["src/services/a.ts", 'export { b } from "./b.ts";', "owns the name"],
    ["src/sdk/index.ts", 'export { b } from "./b.ts";', ""],
    ["src/services/a.ts", 'const b = require("b");', "import"],
    ["src/services/types.ts", "", "collects types"],
    ["src/services/utils/a.ts", "", "named after nothing"],
    ["src/services/a.ts", "export function f(): void {}", "docstring"],
    ["src/services/a.ts", "/** Does. */\nexport function f(): void {}", ""],
    ["src/services/a.ts", "//\n".repeat(349), "in 3"],
    ["src/services/a.ts", "\n".repeat(349), ""],
    ["src/services/a.ts", "\n".repeat(350), "351 lines"],
  ];
  eachSample(rows, (path, text) => idiomFindings(readSource(path, head + text)));

  test("a file without an opening comment", () => {
    expect(show(idiomFindings(readSource("src/services/a.ts", "const a = 1;\n")))).toEqual([
      "src/services/a.ts:1: opens without a comment: say what the file owns and what it must never do",
    ]);
  });
});

describe("the rules of log codes bite", () => {
  const rows: [path: string, text: string, expected: string][] = [
    ["src/services/a.ts", 'needs.telemetry.warn("a_b", { ...about, from: `${a}` });', ""],
    ["src/services/a.ts", 'telemetry.info(is_proof ? "a_b" : "c_d", about);', ""],
    ["src/services/a.ts", "telemetry.warn(alert, about);", ""],
    ["src/services/a.ts", "telemetry.warn(`${schedule}_waits`, about);", "write each code out"],
    ["src/services/a.ts", 'telemetry.error("proof_" + outcome);', "write each code out"],
    ["src/services/a.ts", 'telemetry[ok ? "info" : "warn"]("a_b");', "call info, warn or error"],
  ];
  eachSample(rows, (path, text) => logCallFindings(readSource(path, text)));

  test("a code that nothing logs", () => {
    const logs = readSource("src/services/a.ts", 'telemetry.warn("a_b"); const other = "c_d"; // "e_f"');
    const typed = readSource(
      "src/services/b.ts",
      'import type { LogCode } from "../log-codes.ts";\nconst alert: LogCode<"warn"> = "g_h";',
    );
    const table = readSource("src/log-codes.ts", 'telemetry.warn("e_f")');
    const found = unusedLogCodes(["a_b", "c_d", "e_f", "g_h"], [logs, typed, table]);
    expect(show(found)).toEqual([expect.stringContaining("lists c_d"), expect.stringContaining("lists e_f")]);
  });
});

describe("the rules of SQL bite", () => {
  const rows: [text: string, expected: string][] = [
    ["CREATE TABLE a (n INTEGER PRIMARY KEY, t TEXT) STRICT;", ""],
    ["CREATE TABLE a (n INTEGER PRIMARY KEY) STRICT, WITHOUT ROWID;", ""],
    ["CREATE TABLE a (n INTEGER PRIMARY KEY);", "STRICT"],
    ["CREATE TABLE a (n INTEGER); -- ) STRICT;", "STRICT"],
    ["CREATE TABLE IF NOT EXISTS a AS SELECT 1;", "STRICT"],
    ["CREATE TABLE a (status TEXT NOT NULL) STRICT;", "CHECK"],
    ["CREATE TABLE a (status TEXT NOT NULL CHECK (status IN ('x', 'y'))) STRICT;", ""],
    ["CREATE TABLE a (kind TEXT NOT NULL REFERENCES kinds (name)) STRICT;", ""],
    ["CREATE TABLE a (kind TEXT NOT NULL REFERENCES b (id)) STRICT;", "CHECK"],
    ["CREATE TABLE a (status TEXT, n INTEGER, CHECK (status IN ('x'))) STRICT;", ""],
    ["CREATE TABLE a (n INTEGER PRIMARY KEY AUTOINCREMENT) STRICT;", "burn"],
    ["UPDATE a SET n = CURRENT_TIMESTAMP;", "World"],
    ["UPDATE a SET n = datetime('now');", "World"],
    ["UPDATE a SET n = unixepoch();", "World"],
    ["UPDATE a SET n = random();", "World"],
    ["SELECT 1; -- random() and 'now'", ""],
  ];
  eachSample(
    rows.map(([text, expected]) => ["migrations/1.sql", text, expected]),
    sqlFindings,
  );

  test("a migration that is not listed, and time inside a statement of storage/", () => {
    const list = readSource(
      "src/storage/engine/migrations.ts",
      `import a from "../../../migrations/1.sql" with { type: "text" };`,
    );
    expect(unlistedMigrations(["migrations/1.sql"], list)).toEqual([]);
    expect(show(unlistedMigrations(["migrations/2.sql"], list))).toEqual([expect.stringContaining("list it there")]);
    const inside = readSource("src/storage/a.ts", "const text = sql`SELECT ${a}, datetime('now')`;");
    expect(show(embeddedSqlFindings(inside))).toEqual([expect.stringContaining("tx.now")]);
  });
});

describe("the rules of text bite", () => {
  const rows: [text: string, expected: string][] = [
    ["// TODO: later", "finish it"],
    ["written by Claude", "product alone"],
    ["see issue #12", "the reason itself"],
    ["../shared/facts.md", "inside the repository"],
    ["a payer's session, a language, a to-do list", ""],
  ];
  eachSample(
    rows.map(([text, expected]) => ["README.md", text, expected]),
    wordFindings,
  );

  test("a room that the section on the architecture does not name", () => {
    const readme = "# Ocrch\n\n`wire/`\n\n## Architecture\n\n### Floors\n\n`domain/`\n\n## Money\n\n`config/`\n";
    expect(roomsMissing(readme, ["domain/"])).toEqual([]);
    expect(roomsMissing(readme, ["domain/", "wire/", "config/"])).toEqual(["wire/", "config/"]);
    expect(roomsMissing("# Ocrch\n", ["domain/"])).toBeNull();
  });

  test("where a sentence ends", () => {
    const rows: [paragraph: string, sentences: string[]][] = [
      ["One. Two? Three! Four", ["One.", "Two?", "Three!", "Four"]],
      ["It is 1.5 coins, or `a. B` of [this](that.md). It ends.", ["It is 1.5 coins, or code of [this].", "It ends."]],
      ["**Quotas.** They hold (for now.) Always.", ["**Quotas.**", "They hold (for now.)", "Always."]],
      [
        "It waits 1, 2, .. 2048 seconds; then it ends: never.",
        ["It waits 1, 2, .. 2048 seconds; then it ends: never."],
      ],
    ];
    for (const [paragraph, sentences] of rows) expect(sentencesOf(paragraph)).toEqual(sentences);
  });

  const words = (count: number) => `${"word ".repeat(count).trim()}.`;
  const prose: [text: string, expected: string][] = [
    [words(25), ""],
    [words(26), "README.md:1: a sentence of 26 words"],
    [`Short. ${words(26)}`, "a sentence of 26 words"],
    [`Text\n${words(25)}`, "README.md:1: a sentence of 26 words"],
    [`\n\n1. ${words(26)}`, "README.md:3: a sentence of 26 words"],
    [`- ${words(20)}\n- ${words(20)}`, ""],
    [`${words(20).slice(0, -1)}:\n- ${words(20)}`, ""],
    [`\`\`\`sh\n${words(26)}\n\`\`\``, ""],
    [`| ${words(26)} |`, ""],
    [`# ${words(26)}`, ""],
    [`${words(20).slice(0, -1)} - \`${words(20)}\` -.`, ""],
  ];
  eachSample(
    prose.map(([text, expected]) => ["README.md", text, expected]),
    longSentences,
  );
});
