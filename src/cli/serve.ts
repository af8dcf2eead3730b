// `ocrch serve`: one appliance from start to stop, and what signals mean to it. A reload that fails changes nothing.

import { version } from "../../package.json";
import { type App, startApp } from "../app.ts";
import type { Config } from "../config/config.ts";
import { configPath, type LoadOptions, loadConfig } from "../config/load.ts";
import { parseListen } from "../config/place.ts";
import { errorText, Fault } from "../domain/errors.ts";
import { extensionSections } from "../extensions.ts";
import type { World } from "../world.ts";
import { type Command, command, commonFlags, type Tools } from "./command.ts";

/** The appliance itself stops sooner; a process that hangs all the same must not wait for a kill. */
const stop_limit_ms = 9500;

const args = {
  listen: {
    type: "string",
    alias: "l",
    valueHint: "HOST:PORT",
    description: "Address to listen on (else server.listen of the configuration)",
  },
  migrate: { type: "boolean", description: "Bring an older database to this version's schema first" },
  ...commonFlags,
} as const;

interface Running {
  app: App;
  started_with: Config;
}

/** `ocrch serve`. Faults: invalid_config and those of `startApp`; once it runs it ends the process itself. */
export function serveCommand(tools: Tools): Command {
  return command("serve", "Run the checkout", args, async (args) => {
    const { world, telemetry } = tools;
    checkListen(args.listen);
    const path = configPath(world, args.config);
    const options: LoadOptions = { database: args.database, listen: args.listen, sections: extensionSections };
    const load = () => loadConfig(world, path, options);
    const stopped = stopSignal(world);
    void stopped.then(() => endLate(tools));
    const running = Promise.withResolvers<Running>();
    reloadOnSignal(tools, running.promise, load);

    const { config, warnings } = await load();
    for (const warning of warnings) telemetry.warn("config_warning", { warning });
    const app = await startApp({ world, telemetry, config, version, migrateFirst: args.migrate ?? false });
    world.print(`ocrch ${version} ready on ${app.url}`);
    running.resolve({ app, started_with: config });

    telemetry.info("stopping", { signal: await stopped });
    await app.stop();
    telemetry.info("stopped");
    world.exit(0);
  });
}

/** Counts from the signal, so that one that comes during the start is kept to the same limit. */
async function endLate({ world, telemetry }: Tools): Promise<void> {
  await world.sleep(stop_limit_ms);
  telemetry.warn("stopped_late", { after_ms: stop_limit_ms });
  world.exit(0);
}

function checkListen(text: string | undefined): void {
  if (text === undefined || parseListen(text) !== null) return;
  const cure = 'write host and port, such as "0.0.0.0:8080"';
  throw new Fault("usage", `--listen: ${JSON.stringify(text)} is no address to listen on; ${cure}`);
}

/** Resolves with the first signal to stop; a second one ends the process at once. */
function stopSignal(world: World): Promise<string> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      world.onSignal(signal, () => {
        if (asked) world.exit(1);
        asked = true;
        resolve(signal);
      });
    }
  });
}

/** Reloads at each SIGHUP, one after the other, from when the appliance runs; one that comes earlier waits. */
function reloadOnSignal(
  { world, telemetry }: Tools,
  running: Promise<Running>,
  load: () => Promise<{ config: Config; warnings: string[] }>,
): void {
  async function reload(): Promise<void> {
    const { app, started_with } = await running;
    try {
      const { config, warnings } = await load();
      await app.reload(config);
      for (const warning of warnings) telemetry.warn("config_warning", { warning });
      for (const key of fixedKeys(started_with, config)) telemetry.warn("config_needs_restart", { key });
      telemetry.info("config_reloaded", { path: config.path });
    } catch (error) {
      const problems = error instanceof Fault ? error.message.split("\n") : [errorText(error)];
      for (const problem of problems) telemetry.error("config_not_reloaded", { problem });
    }
  }
  let last = Promise.resolve();
  world.onSignal("SIGHUP", () => {
    last = last.then(reload);
  });
}

/** Keys that a running appliance cannot change. */
function fixedKeys(running: Config, next: Config): string[] {
  const same_place = running.server.hostname === next.server.hostname && running.server.port === next.server.port;
  return [
    ...(same_place ? [] : ["server.listen"]),
    ...(running.database.path === next.database.path ? [] : ["database.path"]),
  ];
}
