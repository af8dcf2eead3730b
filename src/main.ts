// Where the process begins: gives the real world to the command line. Must never exit after a command that went well,
// because an exit cuts off what a pipe has not taken yet.

import { run } from "./cli/run.ts";
import { createTelemetry } from "./telemetry.ts";
import { realWorld } from "./world.ts";

const world = realWorld();
const status = await run({ world, telemetry: createTelemetry(world) }, process.argv.slice(2));
if (status !== 0) world.exit(status);
