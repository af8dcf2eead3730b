// `bun test/simulation/main.ts --seeds N --from S [--steps K]`: runs the worlds of N seeds and prints what failed.
// `--trace` prints every line of a run, `--hashes` one hash of them, `--keep DIR` copies its database, `--source DIR`
// simulates another tree of sources, `--seconds S` and `--first-failure` end sooner.

import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Product } from "./process.ts";
import { runSeed } from "./run.ts";
import { stopwatch } from "./traps.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    from: { type: "string", default: "1" },
    steps: { type: "string", default: "150" },
    source: { type: "string", default: join(import.meta.dir, "../../src") },
    seconds: { type: "string", default: "0" },
    trace: { type: "boolean", default: false },
    "first-failure": { type: "boolean", default: false },
    hashes: { type: "boolean", default: false },
    keep: { type: "string" },
  },
});

async function productFrom(source: string): Promise<Product> {
  const load = (path: string) => import(join(resolve(source), path));
  const { startApp } = await load("app.ts");
  const { createTelemetry } = await load("telemetry.ts");
  const { parseConfig } = await load("config/parse.ts");
  const { migrateDatabase, openForCommand } = await load("storage/open.ts");
  const { createOperator } = await load("services/operator.ts");
  return { startApp, createTelemetry, parseConfig, migrateDatabase, openForCommand, createOperator };
}

const product = await productFrom(values.source);
const [seeds, from, steps, seconds] = [values.seeds, values.from, values.steps, values.seconds].map(Number) as [
  number,
  number,
  number,
  number,
];
const started = stopwatch();
const failed: number[] = [];
const total = { seeds: 0, simulated_ms: 0, orders: 0, payments: 0, paid: 0, deaths: 0 };

for (let seed = from; seed < from + seeds; seed++) {
  if (seconds > 0 && stopwatch() - started > seconds * 1000) break;
  const outcome = await runSeed({ product, seed, steps, trace: values.trace, keep: values.keep });
  for (const line of outcome.trace) console.log(line);
  if (values.hashes) console.log(`seed ${seed} ${outcome.hash}`);
  total.seeds += 1;
  for (const key of ["simulated_ms", "orders", "payments", "paid", "deaths"] as const) total[key] += outcome[key];
  if (outcome.violation === null) continue;
  failed.push(seed);
  console.log(`seed ${seed} failed at step ${outcome.violation.step}: ${outcome.violation.words}`);
  console.log(`  again: bun test/simulation/main.ts --seeds 1 --from ${seed} --steps ${steps} --trace`);
  if (values["first-failure"]) break;
}

const real_s = (stopwatch() - started) / 1000;
const per_second = (total.seeds / real_s).toFixed(1);
const hours = (total.simulated_ms / 3_600_000 / real_s).toFixed(1);
console.log(
  `${total.seeds} seeds in ${real_s.toFixed(1)} s: ${per_second} seeds/s, ${hours} simulated hours per second`,
);
console.log(`${total.orders} orders, ${total.payments} payments, ${total.paid} paid, ${total.deaths} deaths`);
console.log(failed.length === 0 ? "no seed failed" : `failed: ${failed.join(", ")}`);
process.exit(failed.length === 0 ? 0 : 1);
