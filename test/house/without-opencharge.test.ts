// slow
// The product without its extension: with the folder and the lines that name it taken out of a copy, the rest compiles,
// its tests pass, and what the extension brought is unknown.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { targetOf } from "./floors.ts";
import { readSource } from "./source.ts";

const root = join(import.meta.dir, "../..");
const extension = "src/opencharge/";
/** What composes the product. Every other file is taken as it is. */
const composition = ["src/extensions.ts", "src/cli/program.ts"];
/** A few tests of the core: payments, what takes them back, restores, the HTTP door. */
const tried = ["http/service", "money/crediting", "money/reorgs", "money/settlement", "storage/restore"];
const limit_ms = 600_000;
/** Every TypeScript file of `test/`. */
const tests = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => `test/${name}`);

let copy: string;
beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), "ocrch-without-"));
  for (const part of [
    "src",
    "migrations",
    "test",
    "package.json",
    "tsconfig.json",
    "bunfig.toml",
    "ocrch-config.toml",
  ]) {
    cpSync(join(root, part), join(copy, part), { recursive: true });
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  rmSync(join(copy, extension), { recursive: true });
  for (const path of composition) writeFileSync(join(copy, path), withoutExtension(read(path)));
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** The import of the extension and its entry in a list, the only lines of a composition that name it. */
function withoutExtension(text: string): string {
  const kept = text
    .split("\n")
    .filter((line) => !/^import .*opencharge/.test(line) && !/^ +opencharge\w*\(.*\),$/.test(line))
    .map((line) => line.replace("= [opencharge];", "= [];"));
  return kept.join("\n");
}

/** Files of the repository that a file imports, by their paths from the root. */
function importsOf(path: string): string[] {
  const targets = readSource(path, read(path)).imports.map(({ specifier }) => targetOf(path, specifier) ?? "");
  return targets.filter((target) => target.endsWith(".ts") && !target.endsWith(".d.ts"));
}

const known = new Map<string, boolean>();
/** Whether a file of `test/` is about the extension: it imports it, whatever composition brings along. */
function isAboutExtension(path: string): boolean {
  if (path.startsWith("src/")) return path.startsWith(extension);
  const earlier = known.get(path);
  if (earlier !== undefined) return earlier;
  known.set(path, false);
  const answer = importsOf(path).some(isAboutExtension);
  known.set(path, answer);
  return answer;
}

/** Runs a command in the copy. Its output when it fails, else null. */
function failureOf(...command: string[]): string | null {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd: copy });
  return exitCode === 0 ? null : `${stdout}${stderr}`;
}

test("each file of the composition names it in two lines", () => {
  for (const path of composition) {
    const [before, after] = [read(path), withoutExtension(read(path))].map((text) => text.split("\n"));
    expect([path, before?.filter((line) => !after?.includes(line)).length]).toEqual([path, 2]);
    expect(after?.join("\n")).not.toMatch(/import .*opencharge/);
  }
});

test(
  "the rest compiles, with every test that is not about it",
  () => {
    const rest = tests.filter((path) => !isAboutExtension(path));
    expect(rest.length).toBeGreaterThan(tests.length / 2);
    const settings = { extends: "./tsconfig.json", include: ["src", "migrations", ...rest] };
    writeFileSync(join(copy, "tsconfig.rest.json"), JSON.stringify(settings));
    expect(failureOf("node_modules/.bin/tsc", "--noEmit", "-p", "tsconfig.rest.json")).toBeNull();
  },
  limit_ms,
);

test(
  "tests of the core pass",
  () => {
    const files = tried.map((name) => `./test/${name}.test.ts`);
    expect(failureOf(process.execPath, "test", "--timeout=300000", ...files)).toBeNull();
  },
  limit_ms,
);

test("its section and its command are unknown", () => {
  const config = join(copy, "ocrch-config.toml");
  writeFileSync(config, `${read("ocrch-config.toml")}\n[opencharge]\nmerchant_ocid = 500\n`);
  const run = (...args: string[]) => failureOf(process.execPath, "src/main.ts", ...args);
  expect(run("config", "check", "--config", config)).toContain("opencharge: unknown key");
  expect(run("opencharge", "proofs")).toContain("opencharge");
  expect(run("--help")).toBeNull();
});
