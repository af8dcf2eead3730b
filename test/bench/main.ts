// `npm run bench`: how fast the product is on this machine, beside references measured in the same run. Prints, and
// asserts nothing: no figure makes a run fail. `--quick` runs everything once and briefly, `--out FILE` keeps the report.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measureHttp } from "./http.ts";
import { measureIngest } from "./ingest.ts";
import { measureLists } from "./lists.ts";
import { measurePolling } from "./polling.ts";
import { machine } from "./report.ts";
import { measureSimulation } from "./simulation.ts";
import { type Bench, startNode } from "./stand.ts";
import { measureStartup } from "./startup.ts";
import { measureStorage } from "./storage.ts";

/** For what hangs, not for what is slow: no figure makes a run fail. */
const limit_ms = { full: 600_000, quick: 180_000 };
const interrupted_status = 130;

const { values: flags } = parseArgs({ options: { quick: { type: "boolean" }, out: { type: "string" } } });
const quick = flags.quick ?? false;
const folder = mkdtempSync(join(tmpdir(), "ocrch-bench-"));
const bench: Bench = { quick, folder, rounds: quick ? 1 : 3, run_ms: quick ? 250 : 1200 };
const lines: string[] = [];
const started = performance.now();

/** Prints a part of the report as soon as it is there. */
function say(part: readonly string[]): void {
  lines.push(...part, "");
  console.log(`${part.join("\n")}\n`);
}

function leave(status: number): never {
  if (flags.out !== undefined) writeFileSync(flags.out, `${lines.join("\n")}`);
  // Everything that was started dies with this process; what it left in the folder goes with it.
  process.exit(status);
}

say([`# Benchmark${quick ? " (quick: one short run of each, figures mean little)" : ""}`, "", ...machine()]);
process.env.TMPDIR = folder;
process.on("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => leave(interrupted_status));
setTimeout(
  () => {
    say(["Time is up: the rest was left out."]);
    leave(1);
  },
  quick ? limit_ms.quick : limit_ms.full,
).unref();

say([
  `Figures are the median of ${bench.rounds} runs (lowest..highest), each of ${bench.run_ms / 1000} s where time bounds it. Server and client are`,
  "processes of one machine and share its cores, so HTTP figures are lower than those of a server that has them alone.",
]);
const storage = await measureStorage(bench);
say(["## Durable rows", "", ...storage.lines]);
const node = await startNode({ automine: true });
const http = await measureHttp(bench, node, storage);
say(["## Order creations over HTTP, signed", "", ...http.creations]);
say(["## Where the time of a creation goes", "", ...http.profile]);
say(["## Status reads over HTTP, signed", "", ...http.reads]);
say(["## Transfers", "", ...(await measureIngest(bench))]);
say(["## Admin lists", "", ...(await measureLists(bench)).lines]);
say(["## Calls to a provider", "", ...(await measurePolling(bench))]);
say(["## Start and memory", "", ...(await measureStartup(bench, node)), ...http.memory]);
await node.anvil.stop();
say(["## Simulation", "", ...(await measureSimulation(bench))]);
say([`${((performance.now() - started) / 1000).toFixed(0)} s in all.`]);
leave(0);
