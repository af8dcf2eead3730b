// The runner behind `npm test`: types, lint, every test file in a process of its own, then the build.
// The last line is always `N passed, N failed`; types, lint and build count as one test each.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";

/** For what hangs, not for what is slow: files in the background have what the others leave of two cores. */
const file_timeout_ms = 1_800_000;
/** One test: stories start real nodes and servers, and machines are small and shared. */
const test_timeout_ms = 60_000;
const tool_timeout_ms = 240_000;
/** What a process printed last may still be in the pipe when it has ended; a runaway child may hold the pipe for ever. */
const drain_ms = 2_000;
/** Two: stories start nodes and servers, on machines with two cores. */
const files_at_once = 2;
/** First line of a test file that must not run beside another. */
const alone_mark = "// alone";
/**
 * First line of a test file that computes for minutes. It runs behind all others, those that run alone included: they
 * wait for nodes and servers, and it has the time they leave of two cores. Longest first.
 */
const long_mark = /^\/\/ long, (\d+) s\n/;
const long_files_at_once = 2;
const least_priority = "19";

const root = join(import.meta.dir, "..");
const tool = (name: string) => join(root, "node_modules", ".bin", name);
const running = new Set<ChildProcess>();
const total = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];

interface Ended {
  /** Null when it was killed. */
  status: number | null;
  timed_out: boolean;
  output: string;
  seconds: string;
}

/** Runs one command to its end in a process group of its own, so that nothing it started outlives it. */
function run(command: string, args: readonly string[], timeout_ms: number): Promise<Ended> {
  return new Promise((done) => {
    const started = performance.now();
    const child = spawn(command, args, { cwd: root, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    running.add(child);
    const chunks: Buffer[] = [];
    let timed_out = false;
    const timer = setTimeout(() => {
      timed_out = true;
      killGroup(child);
    }, timeout_ms);
    const end = (status: number | null, trouble = "") => {
      if (!running.delete(child)) return;
      clearTimeout(timer);
      const output = Buffer.concat(chunks).toString() + trouble;
      done({ status, timed_out, output, seconds: ((performance.now() - started) / 1000).toFixed(1) });
    };
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.on("error", (error) => end(null, error.message));
    child.on("exit", (status) => {
      killGroup(child);
      setTimeout(end, drain_ms, status);
    });
    child.on("close", (status) => end(status));
  });
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // The group is gone.
  }
}

function heading(text: string): void {
  console.log(`\n== ${text}`);
}

function report(name: string, ended: Ended, counts: string, failed: boolean): void {
  console.log(`${failed ? "FAIL" : "ok  "} ${name}  ${counts}${counts && "  "}${ended.seconds} s`);
  if (!failed) return;
  failures.push(name);
  console.log(ended.output.replace(/^\(pass\) .*\n/gm, "").trimEnd());
  if (ended.timed_out) console.log(`${name}: killed after ${ended.seconds} s`);
}

/** A tool that counts as one test. */
async function check(name: string, command: string, args: readonly string[]): Promise<void> {
  heading(name);
  const ended = await run(command, args, tool_timeout_ms);
  const failed = ended.status !== 0;
  total[failed ? "failed" : "passed"]++;
  report(name, ended, "", failed);
}

async function testFile(path: string, before: readonly string[] = []): Promise<void> {
  const [command = "", ...args] = [...before, process.execPath, "test", `--timeout=${test_timeout_ms}`, `./${path}`];
  const ended = await run(command, args, file_timeout_ms);
  const passed = counted(ended.output, "pass");
  const skipped = counted(ended.output, "skip") + counted(ended.output, "todo");
  let failed = Math.max(counted(ended.output, "fail"), counted(ended.output, "errors?"));
  const silent = passed + failed + skipped === 0;
  // A file that died, hung, or ran nothing failed, whatever it managed to print.
  if (failed === 0 && (ended.status !== 0 || silent)) failed = 1;
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
  const parts = [`${passed} passed`, failed > 0 && `${failed} failed`, skipped > 0 && `${skipped} skipped`];
  report(path, ended, parts.filter(Boolean).join(", "), failed > 0);
}

/** A number of bun's closing summary, e.g. ` 12 pass`. */
function counted(output: string, word: string): number {
  const lines = [...output.matchAll(new RegExp(`^ (\\d+) ${word}$`, "gm"))];
  return Number(lines.at(-1)?.[1] ?? 0);
}

async function testFiles(paths: readonly string[]): Promise<void> {
  heading(`tests (${paths.length} files)`);
  const heads = new Map(paths.map((path) => [path, readFileSync(join(root, path), "utf8").slice(0, 100)]));
  const isAlone = (path: string) => heads.get(path)?.startsWith(alone_mark) ?? false;
  const seconds = (path: string) => Number(long_mark.exec(heads.get(path) ?? "")?.[1] ?? 0);
  const long = paths.filter((path) => seconds(path) > 0).sort((a, b) => seconds(b) - seconds(a));
  const short = paths.filter((path) => !isAlone(path) && seconds(path) === 0);

  const behind = inTurn(long, long_files_at_once, (path) => testFile(path, ["nice", "-n", least_priority]));
  await inTurn(short, files_at_once, testFile);
  await inTurn(paths.filter(isAlone), 1, testFile);
  await behind;
}

/** Runs every file, so many at once, in the order given. */
async function inTurn(paths: readonly string[], at_once: number, test: (path: string) => Promise<void>): Promise<void> {
  const left = [...paths];
  const worker = async () => {
    for (let path = left.shift(); path !== undefined; path = left.shift()) await test(path);
  };
  await Promise.all(Array.from({ length: at_once }, worker));
}

/** Test files below a folder, or the file itself; paths from the root. Exits when there is none. */
function testPaths(argument: string): string[] {
  const path = relative(root, resolve(argument)).split(sep).join("/");
  const full = join(root, path);
  if (existsSync(full) && statSync(full).isFile()) return [path];
  const found = existsSync(full) ? (readdirSync(full, { recursive: true }) as string[]) : [];
  const tests = found.filter((name) => name.endsWith(".test.ts")).map((name) => `${path}/${name.split(sep).join("/")}`);
  if (tests.length === 0) {
    console.error(`no test files in ${argument}`);
    process.exit(2);
  }
  return tests.sort();
}

for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => {
    for (const child of running) killGroup(child);
    process.exit(130);
  });

const started = performance.now();
const named = process.argv.slice(2);
if (named.length > 0) await testFiles([...new Set(named.flatMap(testPaths))]);
else {
  await check("types", tool("tsc"), ["--noEmit"]);
  await check("lint", tool("biome"), ["check", "."]);
  await testFiles(testPaths(join(root, "test")));
  if (existsSync(join(root, "src/main.ts"))) await check("build", process.execPath, ["run", "build"]);
}

heading(`${((performance.now() - started) / 1000).toFixed(0)} s in all`);
if (total.skipped > 0) console.log(`${total.skipped} skipped`);
if (failures.length > 0) console.log(`failed: ${failures.join(", ")}`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exit(total.failed > 0 ? 1 : 0);
