// A real SQLite file in a temporary folder, opened as the server opens it.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { extensionHooks } from "../../src/extensions.ts";
import type { BatchLimits, Database } from "../../src/storage/engine/database.ts";
import { openForServing } from "../../src/storage/engine/open.ts";
import type { Telemetry } from "../../src/telemetry.ts";
import { realWorld, type World } from "../../src/world.ts";

export const silent: Telemetry = {
  info() {},
  warn() {},
  error() {},
  count() {},
  counters: () => new Map(),
};

export interface TempDatabase {
  database: Database;
  path: string;
  world: World;
  close(): Promise<void>;
}

/** Opens a fresh database. `now` replaces the wall clock, `elapsed` the monotonic one: without it they run together. */
export function tempDatabase(
  options: {
    now?: () => number;
    elapsed?: () => number;
    gather?: BatchLimits;
    world?: World;
    telemetry?: Telemetry;
  } = {},
): TempDatabase {
  const folder = mkdtempSync(join(tmpdir(), "ocrch-db-"));
  const path = join(folder, "ocrch.db");
  const base = options.world ?? realWorld();
  const world =
    options.now === undefined ? base : { ...base, now: options.now, elapsed: options.elapsed ?? options.now };
  const gather = options.gather === undefined ? {} : { gather: options.gather };
  const opened = openForServing({
    world,
    telemetry: options.telemetry ?? silent,
    path,
    migrateFirst: false,
    hooks: extensionHooks,
    ...gather,
  });
  return {
    database: opened.database,
    path,
    world,
    async close() {
      await opened.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
