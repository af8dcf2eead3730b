// `ocrch migrate`: brings the database to this version's schema while no server runs.

import { schema_version } from "../storage/engine/migrations.ts";
import { migrateDatabase } from "../storage/engine/open.ts";
import { readConfig } from "./appliance.ts";
import { type Command, command, commonFlags, type Tools } from "./command.ts";

const summary = "Create the database, or bring an older one to this version's schema";

/** `ocrch migrate`. Faults: those of opening the database. */
export function migrateCommand(tools: Tools): Command {
  return command("migrate", summary, commonFlags, async (args) => {
    const { config } = await readConfig(tools, args);
    const applied = await migrateDatabase({ ...tools, path: config.database.path });
    const current = `schema version ${schema_version} is current`;
    tools.world.print([...applied.map((name) => `applied ${name}`), current].join("\n"));
  });
}
