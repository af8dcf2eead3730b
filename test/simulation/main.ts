// `npm run simulate -- --seeds N --from S [--steps K] [--pace P] [--workers W]`: runs the worlds of N seeds and prints what failed
// and how often each kind of thing happened. `--trace` prints every line of a run, `--hashes` one hash of them, `--keep
// DIR` copies its database, `--source DIR` simulates another tree of sources, `--seconds S` and `--first-failure` end sooner.
// `--with TRAIT,TRAIT` gives every world these traits.

import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { vagueness } from "./oracle/rules.ts";
import type { Product } from "./process.ts";
import { runSeed } from "./run.ts";
import { addTo, type Tally, tallyLines } from "./tally.ts";
import { stopwatch } from "./traps.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    from: { type: "string", default: "1" },
    /** From one seed to the next of this process. */
    stride: { type: "string", default: "1" },
    steps: { type: "string", default: "150" },
    /** How much slower than one action in a few seconds the actors are. */
    pace: { type: "string", default: "1" },
    workers: { type: "string", default: "1" },
    source: { type: "string", default: join(import.meta.dir, "../../src") },
    seconds: { type: "string", default: "0" },
    trace: { type: "boolean", default: false },
    "first-failure": { type: "boolean", default: false },
    hashes: { type: "boolean", default: false },
    /** For the process that started this one: the last line is what `Sum` says, as JSON. */
    worker: { type: "boolean", default: false },
    keep: { type: "string" },
    /** Traits that every world has, whatever its seed says, with commas between. */
    with: { type: "string", default: "" },
  },
});
const numbers = { seeds: values.seeds, from: values.from, steps: values.steps, workers: values.workers };
const [seeds, from, steps, workers] = Object.values(numbers).map(Number) as [number, number, number, number];
const stride = Number(values.stride);
const limit_s = Number(values.seconds);
const pace = Number(values.pace);
const forced = values.with.split(",").filter((trait) => trait !== "");

/** What came of all worlds of a process. */
interface Sum {
  seeds: number;
  busy_ms: number;
  failed: number[];
  tally: [kind: string, times: number][];
}

async function productFrom(source: string): Promise<Product> {
  const load = (path: string) => import(join(resolve(source), path));
  const { startApp } = await load("app.ts");
  const { createTelemetry } = await load("telemetry.ts");
  const { parseConfig } = await load("config/parse.ts");
  const { migrateDatabase, openForCommand } = await load("storage/engine/open.ts");
  const { createEventLog, withResumedLog } = await load("services/event-log.ts");
  const { createOperator } = await load("services/operator.ts");
  const { createPaymentRules } = await load("services/payment-rules.ts");
  const { extensionHooks, extensionSections } = await load("extensions.ts");
  const storage = { migrateDatabase, openForCommand, extensionHooks, extensionSections };
  const services = { createEventLog, withResumedLog, createOperator, createPaymentRules };
  return { startApp, createTelemetry, parseConfig, ...storage, ...services };
}

async function runHere(): Promise<Sum> {
  const product = await productFrom(values.source);
  const started = stopwatch();
  const sum: Sum = { seeds: 0, busy_ms: 0, failed: [], tally: [] };
  const tally: Tally = new Map();
  for (let seed = from; seed < from + seeds; seed += stride) {
    if (limit_s > 0 && stopwatch() - started > limit_s * 1000) break;
    const outcome = await runSeed({ product, seed, steps, pace, forced, trace: values.trace, keep: values.keep });
    for (const line of outcome.trace) console.log(line);
    if (values.hashes) console.log(`seed ${seed} ${outcome.hash}`);
    sum.seeds += 1;
    sum.busy_ms += outcome.busy_ms;
    addTo(tally, outcome.tally);
    if (outcome.violation === null) continue;
    sum.failed.push(seed);
    console.log(`seed ${seed} failed at step ${outcome.violation.step}: ${outcome.violation.words}`);
    console.log(
      `  again: npm run simulate -- --seeds 1 --from ${seed} --steps ${steps}${pace === 1 ? "" : ` --pace ${pace}`}${values.with && ` --with ${values.with}`} --trace`,
    );
    if (values["first-failure"]) break;
  }
  return { ...sum, tally: [...tally] };
}

/** The same seeds in several processes, each taking every nth. */
async function runBeside(): Promise<Sum> {
  const sums = await Promise.all(Array.from({ length: workers }, (_, index) => runWorker(index)));
  const tally: Tally = new Map();
  for (const sum of sums) addTo(tally, new Map(sum.tally));
  return {
    seeds: sums.reduce((all, sum) => all + sum.seeds, 0),
    busy_ms: sums.reduce((all, sum) => all + sum.busy_ms, 0),
    failed: sums.flatMap((sum) => sum.failed).sort((a, b) => a - b),
    tally: [...tally],
  };
}

async function runWorker(index: number): Promise<Sum> {
  const shared = [
    "--steps",
    values.steps,
    "--pace",
    values.pace,
    "--source",
    values.source,
    "--seconds",
    values.seconds,
    "--with",
    values.with,
  ];
  const own = ["--from", String(from + index), "--seeds", String(seeds - index), "--stride", String(workers)];
  const flags = [values["first-failure"] && "--first-failure", values.hashes && "--hashes"].filter(
    (flag) => flag !== false,
  );
  const child = Bun.spawn([process.execPath, import.meta.path, ...shared, ...own, ...flags, "--worker"], {
    stdout: "pipe",
    stderr: "inherit",
  });
  const lines = (await new Response(child.stdout).text()).trimEnd().split("\n");
  const last = lines.pop() ?? "";
  for (const line of lines) console.log(line);
  await child.exited;
  if (!last.startsWith("{")) throw new Error(`worker ${index} ended with ${last}`);
  return JSON.parse(last) as Sum;
}

const started = stopwatch();
const sum = workers > 1 ? await runBeside() : await runHere();
const vague = values.worker ? [] : vagueness(new Map(sum.tally));
const real_s = (stopwatch() - started) / 1000;
if (values.worker) console.log(JSON.stringify(sum));
else {
  for (const line of tallyLines(new Map(sum.tally))) console.log(line);
  const per_second = (sum.seeds / real_s).toFixed(1);
  const busy_h = sum.busy_ms / 3_600_000;
  console.log(
    `${sum.seeds} seeds in ${real_s.toFixed(1)} s: ${per_second} seeds/s; ${busy_h.toFixed(1)} busy hours, ${(busy_h / real_s).toFixed(2)} per second`,
  );
  for (const words of vague) console.log(words);
  console.log(sum.failed.length === 0 ? "no seed failed" : `failed: ${sum.failed.join(", ")}`);
}
process.exit(sum.failed.length + vague.length === 0 ? 0 : 1);
