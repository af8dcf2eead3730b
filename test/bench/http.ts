// Creations and status reads over real HTTP: the product as it is, the product without gathering, and a bare server,
// each a process of its own, under one client. Also what the served product keeps in memory and what it spends time on.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Appliance, createFolder, fromSource, startAppliance } from "../support/appliance.ts";
import { type Client, type Job, type Outcome, startClient } from "./load.ts";
import { profileLines } from "./profile.ts";
import { megabytes, number, ratio, spread, spreadOf, table, times } from "./report.ts";
import { type Bench, type Node, settingsText } from "./stand.ts";
import type { StorageFigures } from "./storage.ts";

const connections = [1, 32, 256] as const;
const profiled_connections = 32;
const profiler_patience_ms = 2000;
/** Below this gain the report says what holds it back. */
const worthwhile_gain = 3;
/** More than any run can send. */
const requests_per_second_max = 40_000;
/** A client this busy may be what limits the figure. */
const saturated_cores = 0.9;

const serve = join(import.meta.dir, "serve.ts");
const bare = join(import.meta.dir, "bare.ts");
const kinds = ["bare", "gathered", "one by one"] as const;
type Kind = (typeof kinds)[number];

interface Row {
  kind: Kind | "status";
  connections: number;
  outcomes: Outcome[];
}

export interface HttpFigures {
  creations: string[];
  reads: string[];
  memory: string[];
  profile: string[];
}

export async function measureHttp(bench: Bench, node: Node, storage: StorageFigures): Promise<HttpFigures> {
  const client = startClient();
  const servers = new Map<Kind, Appliance>();
  const toml = settingsText(node.anvil.url, node.coin.address);
  const start = async (kind: Kind, command: readonly string[], env: Record<string, string> = {}) => {
    const server = await startAppliance({ folder: createFolder(toml), command, env });
    servers.set(kind, server);
    return server;
  };
  let runs = 0;
  const drive = (server: Appliance, more: Pick<Job, "kind" | "connections"> & Partial<Job>): Promise<Outcome> => {
    runs += 1;
    const run_ms = more.run_ms ?? bench.run_ms;
    const requests_max = Math.ceil((run_ms / 1000) * requests_per_second_max);
    return client.run({
      url: server.url,
      pid: server.pid,
      label: `run-${runs}`,
      run_ms,
      requests_max,
      order_ids: [],
      ...more,
    });
  };

  const product = await start("gathered", fromSource);
  await Bun.sleep(bench.run_ms);
  const idle = memoryOf(product.pid);
  await start("one by one", [process.execPath, serve], { OCRCH_BENCH_BATCH: "1" });
  await start("bare", [process.execPath, bare]);
  // Both sides compile their hot paths before anything counts.
  for (const server of servers.values())
    await drive(server, { kind: "create", connections: 32, run_ms: bench.run_ms / 2 });

  const rows: Row[] = [];
  const note = (kind: Row["kind"], count: number, outcome: Outcome) => {
    const row = rows.find((one) => one.kind === kind && one.connections === count);
    if (row === undefined) rows.push({ kind, connections: count, outcomes: [outcome] });
    else row.outcomes.push(outcome);
  };
  let order_ids: string[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    for (const count of connections) {
      for (const kind of kinds) {
        const server = servers.get(kind);
        if (server === undefined) continue;
        const outcome = await drive(server, { kind: "create", connections: count });
        note(kind, count, outcome);
        if (kind === "gathered" && outcome.order_ids.length > 0) order_ids = outcome.order_ids;
      }
      note("status", count, await drive(product, { kind: "status", connections: count, order_ids }));
    }
  }
  const loaded = memoryOf(product.pid);
  const peak = memoryOf(product.pid, "VmHWM");
  const created = rows.filter((row) => row.kind === "gathered").flatMap((row) => row.outcomes);
  const orders = created.reduce((sum, outcome) => sum + outcome.answers, 0);
  for (const server of servers.values()) await server.stop();

  const profile = await profiled(bench, client, toml);
  await client.stop();
  return {
    creations: creationLines(rows, storage),
    reads: readLines(rows),
    memory: [
      `- served from source: ${idle} idle, ${loaded} after ${number(orders)} creations and the reads; the most it ever held: ${peak}`,
    ],
    profile: [...gainLines(rows), "", ...profile],
  };
}

const per_second = (row: Row | undefined) => row?.outcomes.map((outcome) => outcome.per_second) ?? [];
const cores = (values: readonly (number | null)[]) =>
  spread(
    values.filter((value) => value !== null),
    2,
  );

function rowOf(rows: readonly Row[], kind: Row["kind"], count: number): Row | undefined {
  return rows.find((row) => row.kind === kind && row.connections === count);
}

function creationLines(rows: readonly Row[], storage: StorageFigures): string[] {
  const list = connections.flatMap((count) =>
    kinds.flatMap((kind) => {
      const row = rowOf(rows, kind, count);
      if (row === undefined) return [];
      const own = per_second(row);
      return [
        [
          `${count} at once, ${kind === "bare" ? "bare Bun.serve" : kind}`,
          spread(own),
          times(ratio(own, per_second(rowOf(rows, "bare", count)))),
          kind === "gathered" ? times(ratio(own, per_second(rowOf(rows, "one by one", count)))) : "",
          kind === "bare" ? "" : times(ratio(own, storage.one_by_one)),
          ...loadOf(row),
        ],
      ];
    }),
  );
  return [
    ...table(
      [
        "creations",
        "per second",
        "to bare",
        "to one by one",
        "to a bare row",
        "p99 ms",
        "server cores",
        "us each",
        "client cores",
      ],
      list,
    ),
    "",
    ...troubles(rows.filter((row) => row.kind !== "status")),
  ];
}

function readLines(rows: readonly Row[]): string[] {
  const list = connections.flatMap((count) => {
    const row = rowOf(rows, "status", count);
    if (row === undefined) return [];
    const own = per_second(row);
    return [
      [`${count} at once`, spread(own), times(ratio(own, per_second(rowOf(rows, "bare", count)))), ...loadOf(row)],
    ];
  });
  return [
    ...table(
      ["status reads, connections", "per second", "to bare", "p99 ms", "server cores", "us each", "client cores"],
      list,
    ),
    "",
    ...troubles(rows.filter((row) => row.kind === "status")),
  ];
}

function loadOf({ outcomes }: Row): string[] {
  return [
    spread(
      outcomes.map((one) => one.p99_ms),
      1,
    ),
    cores(outcomes.map((one) => one.server_cores)),
    number(processorTime(outcomes)),
    cores(outcomes.map((one) => one.client_cores)),
  ];
}

/** Processor time of the server per answer, microseconds; NaN where the system does not tell. */
function processorTime(outcomes: readonly Outcome[]): number {
  return spreadOf(outcomes.map((one) => ((one.server_cores ?? Number.NaN) / one.per_second) * 1e6)).median;
}

/** Answers nobody wanted, and figures that say more about the client than about the server. */
function troubles(rows: readonly Row[]): string[] {
  const wrong = new Map<string, number>();
  for (const { errors } of rows.flatMap((row) => row.outcomes)) {
    for (const [what, count] of Object.entries(errors)) wrong.set(what, (wrong.get(what) ?? 0) + count);
  }
  const expected = rows.flatMap((row) => row.outcomes).reduce((sum, one) => sum + one.answers, 0);
  const busy = rows.filter((row) => spreadOf(row.outcomes.map((one) => one.client_cores)).median >= saturated_cores);
  return [
    `- ${number(expected)} answers as expected; errors: ${wrong.size === 0 ? "0" : [...wrong].map(([what, count]) => `${count} ${what}`).join(", ")}`,
    ...(busy.length === 0
      ? []
      : [
          `- the client used a whole core, so these may be its limit: ${busy.map((row) => `${row.kind} at ${row.connections}`).join(", ")}`,
        ]),
  ];
}

function gainLines(rows: readonly Row[]): string[] {
  return connections.map((count) => {
    if (count === 1) return "- at 1 connection there is nothing to gather: each creation waits for its own commit";
    const gain = ratio(per_second(rowOf(rows, "gathered", count)), per_second(rowOf(rows, "one by one", count)));
    return `- at ${count} connections gathering makes HTTP creations ${times(gain)} as fast${gain < worthwhile_gain ? "; what holds it back is below" : ""}`;
  });
}

/** One more run of the product under the profiler, with its commits counted; start-up and warm-up stay out of it. */
async function profiled(bench: Bench, client: Client, toml: string): Promise<string[]> {
  const file = join(bench.folder, "creations.cpuprofile");
  const server = await startAppliance({
    folder: createFolder(toml),
    command: [process.execPath, serve],
    env: { OCRCH_BENCH_PROFILE: file },
  });
  const drive = (label: string, run_ms: number) =>
    client.run({
      url: server.url,
      pid: server.pid,
      kind: "create",
      connections: profiled_connections,
      run_ms,
      requests_max: Math.ceil((run_ms / 1000) * requests_per_second_max),
      label,
      order_ids: [],
    });
  await drive("warm-up", bench.run_ms);
  process.kill(server.pid, "SIGUSR2");
  for (let waited = 0; waited < profiler_patience_ms && !server.log.includes("profiling"); waited += 10)
    await Bun.sleep(10);
  const outcome = await drive("profiled", bench.run_ms * 2);
  await server.stop();
  const commits = Number(
    server.log.map((line) => /^commits (\d+)$/.exec(line)?.[1]).find((count) => count !== undefined),
  );
  return [
    `Under the profiler, ${profiled_connections} connections: ${number(outcome.per_second)} creations per second, ${number(outcome.answers / commits, 1)} per commit, ${number(processorTime([outcome]))} us of processor time each.`,
    "",
    ...profileLines(file, outcome.answers),
  ];
}

/** Resident memory of a process, where the system tells. */
export function memoryOf(pid: number, field = "VmRSS"): string {
  try {
    const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return megabytes(Number(kilobytes) * 1024);
  } catch {
    return "unknown";
  }
}
