// `ocrch config check`: everything that is wrong with a configuration file at once. Writes nothing.

import { readConfig } from "./appliance.ts";
import { type Command, command, commonFlags, type Tools } from "./command.ts";

/** `ocrch config check`. */
export function checkConfigCommand(tools: Tools): Command {
  return command("check", "Find every mistake in the configuration file; change nothing", commonFlags, async (args) => {
    const { config, warnings } = await readConfig(tools, args);
    tools.world.print([`${config.path}: ok`, ...warnings.map((warning) => `warning: ${warning}`)].join("\n"));
  });
}
