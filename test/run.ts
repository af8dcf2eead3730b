// The runner behind `npm test` (types, lint, test files, each in a process of its own, then the build) and behind
// `npm run test:long` (the files that compute for minutes). `--seconds N` gives the long files N seconds together: each
// then does a share of its work. The last line is always `N passed, N failed`; types, lint and build count as one each.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { parseArgs } from "node:util";

/** For a file that hangs, not for one that is slow: on an idle machine the slowest takes less than a minute. */
const file_timeout_ms = 600_000;
const long_file_timeout_ms = 1_800_000;
/** One test that hangs: stories start real nodes and servers, and machines are small and shared. */
const test_timeout_ms = 300_000;
const tool_timeout_ms = 240_000;
/** What a process printed last may still be in the pipe when it has ended; a runaway child may hold the pipe for ever. */
const drain_ms = 2_000;
/** Files of `npm test`, on machines with two cores: some wait for blocks and deadlines most of their time. */
const files_at_once = 3;
/** Two: the long files compute all the time. */
const long_files_at_once = 2;
/** First line of a test file that must not run beside another: it measures time or memory. */
const alone_mark = "// alone";
/** First line of a test file that takes longer than its size tells, and therefore starts first. */
const slow_mark = "// slow";
/** First line of a file that `npm test` leaves out, with the CPU seconds of all its work. Longest first. */
const long_mark = /^\/\/ long, (\d+) s\n/;
/** A share of the work is never smaller: a few seconds go by before a file does any. */
const share_min_s = 10;

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
function run(
  command: string,
  args: readonly string[],
  timeout_ms: number,
  env: Record<string, string> = {},
): Promise<Ended> {
  return new Promise((done) => {
    const started = performance.now();
    const child = spawn(command, args, {
      cwd: root,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
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

async function testFile(path: string, env: Record<string, string> = {}): Promise<void> {
  const args = ["test", `--timeout=${test_timeout_ms}`, `./${path}`];
  const ended = await run(process.execPath, args, isLong(path) ? long_file_timeout_ms : file_timeout_ms, env);
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
  // The slowest first, then the largest: none of them is then left over at the end.
  const size = (path: string) => (isMarked(path, slow_mark) ? Infinity : statSync(join(root, path)).size);
  const bySize = [...paths].sort((a, b) => size(b) - size(a) || 0);
  await inTurn(
    bySize.filter((path) => !isAlone(path)),
    files_at_once,
    (path) => testFile(path),
  );
  await inTurn(paths.filter(isAlone), 1, (path) => testFile(path));
}

/** Runs the long files, in `seconds` together where that is not 0. */
async function longFiles(paths: readonly string[], seconds: number): Promise<void> {
  heading(`long tests (${paths.length} files${seconds > 0 ? `, a share of ${seconds} s` : ""})`);
  const all_s = paths.reduce((sum, path) => sum + longSeconds(path), 0);
  const longest = [...paths].sort((a, b) => longSeconds(b) - longSeconds(a));
  await inTurn(longest, long_files_at_once, async (path) => {
    const share_s = Math.max(share_min_s, Math.floor((seconds * long_files_at_once * longSeconds(path)) / all_s));
    await testFile(path, seconds > 0 ? { TEST_SHARE_SECONDS: String(share_s) } : {});
  });
}

const headOf = (path: string) => readFileSync(join(root, path), "utf8").slice(0, 100);
const isMarked = (path: string, mark: string) => headOf(path).startsWith(`${mark}\n`);
const isAlone = (path: string) => isMarked(path, alone_mark);
const longSeconds = (path: string) => Number(long_mark.exec(headOf(path))?.[1] ?? 0);
const isLong = (path: string) => longSeconds(path) > 0;

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

/** Compiles the command line with its bytecode, for the tests that start it often. Without it they run the sources. */
async function compile(): Promise<void> {
  const program = join(root, "node_modules/.cache/ocrch-test/ocrch");
  const flags = ["--compile", "--bytecode", "--format=esm", "--minify"];
  const loads_nothing = ["--no-compile-autoload-bunfig", "--no-compile-autoload-dotenv"];
  const args = ["build", ...flags, ...loads_nothing, "src/main.ts", `--outfile=${program}`];
  const { status } = await run(process.execPath, args, tool_timeout_ms);
  if (status === 0) process.env.TEST_PROGRAM = program;
}

for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => {
    for (const child of running) killGroup(child);
    process.exit(130);
  });

const started = performance.now();
const { values, positionals: named } = parseArgs({
  allowPositionals: true,
  options: {
    long: { type: "boolean", default: false },
    seconds: { type: "string", default: "0" },
    /** Leaves out the long files whose path holds this. */
    without: { type: "string" },
  },
});
await compile();
if (named.length > 0) await testFiles([...new Set(named.flatMap(testPaths))]);
else if (values.long) {
  const paths = testPaths(join(root, "test")).filter(isLong);
  const { without } = values;
  await longFiles(
    without === undefined ? paths : paths.filter((path) => !path.includes(without)),
    Number(values.seconds),
  );
} else {
  await check("types", tool("tsc"), ["--noEmit"]);
  await check("lint", tool("biome"), ["check", "."]);
  await testFiles(testPaths(join(root, "test")).filter((path) => !isLong(path)));
  if (existsSync(join(root, "src/main.ts"))) await check("build", process.execPath, ["run", "build"]);
}

heading(`${((performance.now() - started) / 1000).toFixed(0)} s in all`);
if (total.skipped > 0) console.log(`${total.skipped} skipped`);
if (failures.length > 0) console.log(`failed: ${failures.join(", ")}`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exit(total.failed > 0 ? 1 : 0);
