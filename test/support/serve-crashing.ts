// A server that dies at a named point: the real appliance in a world whose crash points count, and kill the process
// with SIGKILL at the one asked for. `OCRCH_TEST_CRASH="commit.after:3"` dies at the third; without it nothing dies
// and every point passed is printed.

import { startApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config/load.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld } from "../../src/world.ts";

const [wanted, nth] = (process.env.OCRCH_TEST_CRASH ?? ":0").split(":");
const config_path = process.argv[process.argv.indexOf("-c") + 1] ?? "";
const passed = new Map<string, number>();

const world = {
  ...realWorld(),
  point(name: string) {
    const count = (passed.get(name) ?? 0) + 1;
    passed.set(name, count);
    if (wanted === "") process.stderr.write(`point ${name}\n`);
    if (name === wanted && count === Number(nth)) process.kill(process.pid, "SIGKILL");
  },
};
const telemetry = createTelemetry(world);
const { config } = await loadConfig(world, config_path, { rewrite: false });
const app = await startApp({ world, telemetry, config, version: "test", migrateFirst: true });
world.print(`ocrch test ready on ${app.url}`);
process.on("SIGTERM", () => void app.stop().then(() => process.exit(0)));
