// The appliance with three things a merchant has no use for: gathering can be switched off (OCRCH_BENCH_BATCH=1),
// commits are counted, and SIGUSR2 begins a profile that is written to OCRCH_BENCH_PROFILE when the server stops.

import { writeFileSync } from "node:fs";
import { type Profiler, Session } from "node:inspector/promises";
import { startApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config/load.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld } from "../../src/world.ts";

const batch_max_calls = Number(process.env.OCRCH_BENCH_BATCH ?? 256);
const sampling_interval_us = 250;
const config_path = process.argv[process.argv.indexOf("-c") + 1] ?? "";

let commits = 0;
const world = {
  ...realWorld(),
  point(name: string) {
    if (name === "commit.after") commits += 1;
  },
};
const telemetry = createTelemetry(world);
const { config } = await loadConfig(world, config_path);
const gather = { batch_max_calls, batch_max_ms: 50 };
const app = await startApp({ world, telemetry, config, version: "bench", migrateFirst: true, gather });
world.print(`ocrch bench ready on ${app.url}`);

let profiled: Session | null = null;

async function beginProfile(): Promise<void> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: sampling_interval_us });
  await session.post("Profiler.start");
  profiled = session;
  commits = 0;
  world.warn("profiling");
}

async function end(): Promise<void> {
  world.warn(`commits ${commits}`);
  if (profiled !== null) {
    const { profile } = (await profiled.post("Profiler.stop")) as { profile: Profiler.Profile };
    writeFileSync(process.env.OCRCH_BENCH_PROFILE ?? "bench.cpuprofile", JSON.stringify(profile));
  }
  await app.stop();
  process.exit(0);
}

process.on("SIGUSR2", () => void beginProfile());
process.on("SIGTERM", () => void end());
