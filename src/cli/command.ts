// What a command of the command line is made of, and the flags that all of them take.

import { type ArgsDef, type CommandContext, defineCommand, runCommand } from "citty";
import { Fault } from "../domain/errors.ts";
import type { Telemetry } from "../telemetry.ts";
import type { World } from "../world.ts";

/** What every command works with. */
export interface Tools {
  world: World;
  telemetry: Telemetry;
}

export interface Command {
  name: string;
  /** One line for the lists of `--help`. */
  summary: string;
  args: ArgsDef;
  /** Runs it with arguments that were checked against `args`. Faults: whatever the service behind it throws. */
  run(checked: string[]): Promise<void>;
}

export interface Group {
  name: string;
  summary: string;
  commands: readonly (Command | Group)[];
}

/** Flags of every command. */
export const commonFlags = {
  config: {
    type: "string",
    alias: "c",
    valueHint: "PATH",
    description: "Configuration file (else OCRCH_CONFIG, else ocrch-config.toml here)",
  },
  database: {
    type: "string",
    valueHint: "PATH",
    description: "Database file (else OCRCH_DATABASE, else database.path of the configuration)",
  },
} as const;

export const jsonFlag = { json: { type: "boolean", description: "Print JSON for programs" } } as const;

/** The two flags that say where an appliance keeps its things. */
export interface Places {
  config?: string | undefined;
  database?: string | undefined;
}

/** A command: `act` gets the values of `args`, absent flags undefined. */
export function command<const Args extends ArgsDef>(
  name: string,
  summary: string,
  args: Args,
  act: (args: CommandContext<Args>["args"]) => Promise<void>,
): Command {
  const definition = defineCommand({ meta: { name, description: summary }, args, run: (context) => act(context.args) });
  return {
    name,
    summary,
    args,
    async run(checked) {
      await runCommand(definition, { rawArgs: checked });
    },
  };
}

/** A flag that takes one word out of a closed list. */
export function choiceArgument<Option extends string>(options: readonly Option[], description: string) {
  return { type: "enum" as const, options: [...options], description };
}

/** A whole number given as text to a flag. Fault: usage, outside of `from..to`. */
export function integerArgument(flag: string, text: string, from: number, to: number): number {
  const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= from && number <= to) return number;
  throw new Fault("usage", `${flag}: ${JSON.stringify(text)} is no whole number from ${from} to ${to}`);
}
