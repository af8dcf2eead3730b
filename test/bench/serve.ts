// The appliance with two things a merchant has no use for: gathering can be switched off, and commits are counted.
// OCRCH_BENCH_BATCH=1 commits each transaction by itself.

import { startApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config/load.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld } from "../../src/world.ts";

const batch_max_calls = Number(process.env.OCRCH_BENCH_BATCH ?? 256);
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
process.on("SIGTERM", () => {
  world.warn(`commits ${commits}`);
  void app.stop().then(() => process.exit(0));
});
