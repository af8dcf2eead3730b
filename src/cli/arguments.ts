// Reads an argument list against the tree of commands, strictly: what is unknown, missing, given twice or left over is
// refused by name. What comes out is spelled in one way only, so that the parser behind it has nothing to guess.

import type { ArgDef, ArgsDef } from "citty";
import { closest } from "../config/suggest.ts";
import { Fault } from "../domain/errors.ts";
import { type Command, commonFlags, type Group } from "./command.ts";

export interface ParsedArguments {
  /** From the root to the command, or to the group that was reached. */
  path: readonly [Group, ...(Command | Group)[]];
  help: boolean;
  version: boolean;
  /** Arguments for `Command.run`. */
  checked: string[];
}

/** Known at every level; they need no other argument to be right. */
export const globalFlags = {
  help: { type: "boolean", alias: "h", description: "Explain this command" },
  version: { type: "boolean", alias: "V", description: "Print the version" },
} as const;

/** What a list of arguments asks for. Fault: usage, one line that names the argument and the cure. */
export function readArguments(root: Group, argv: readonly string[]): ParsedArguments {
  const path: [Group, ...(Command | Group)[]] = [root];
  const flags = new Map<string, string | true>();
  const words: string[] = [];
  let problem: Fault | null = null;
  let only_words = false;
  const refuse = (text: string) => {
    problem ??= new Fault("usage", text);
  };

  const rest = [...argv];
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    const here = path.at(-1) ?? root;
    if (argument === "--" && !only_words) {
      only_words = true;
    } else if (argument.startsWith("-") && argument !== "-" && !only_words) {
      const flag = readFlag(argument, flagsOf(here));
      if (flag === null) {
        refuse(unknownFlag(argument, path, here));
        continue;
      }
      const value = flag.takes_value ? (flag.value ?? valueFrom(rest)) : (flag.value ?? true);
      const wrong = flagProblem(flag, value, flags.has(flag.name));
      if (wrong !== null) refuse(`--${flag.name}${wrong}`);
      else flags.set(flag.name, value ?? true);
    } else if ("commands" in here) {
      const next = here.commands.find((one) => one.name === argument);
      if (next === undefined) throw problem ?? new Fault("usage", unknownCommand(argument, path, here));
      path.push(next);
    } else {
      words.push(argument);
    }
  }

  const asked = { path, help: flags.has("help"), version: flags.has("version") };
  if (asked.help || asked.version) return { ...asked, checked: [] };
  if (problem !== null) throw problem;
  const end = path.at(-1) ?? root;
  if ("commands" in end) throw new Fault("usage", `no command; ${choices(path, end)}`);
  checkWords(words, path, end);
  return { ...asked, checked: [...[...flags].map(spell), "--", ...words] };
}

/** Names of the words a command takes, as its usage line writes them. */
export function operandsOf(command: Command): { name: string; required: boolean }[] {
  return Object.entries(command.args)
    .filter(([, definition]) => definition.type === "positional")
    .map(([name, definition]) => ({ name: name.toUpperCase(), required: definition.required !== false }));
}

/** `ocrch mark-paid`: what a person types to get there. */
export function commandLineOf(path: readonly (Command | Group)[]): string {
  return path.map((one) => one.name).join(" ");
}

interface Flag {
  name: string;
  definition: ArgDef;
  takes_value: boolean;
  /** Behind `=`, or right behind a short flag. */
  value: string | undefined;
}

/** Everything that may stand behind `-` or `--` at a level, by name. */
function flagsOf(node: Command | Group): [string, ArgDef][] {
  const args: ArgsDef = { ...("commands" in node ? commonFlags : node.args), ...globalFlags };
  return Object.entries(args).filter(([, definition]) => definition.type !== "positional");
}

/** Reads `--name`, `--name=value`, `-n`, `-n=value` or `-nvalue`; null for an unknown name. */
function readFlag(argument: string, known: readonly [string, ArgDef][]): Flag | null {
  const [, long, short, behind] = /^(?:--([^=]+)|-([^-]))(?:=?([\s\S]*))$/.exec(argument) ?? [];
  const found = known.find(([name, definition]) =>
    long === undefined ? "alias" in definition && definition.alias === short : name === long,
  );
  if (found === undefined) return null;
  const [name, definition] = found;
  const given = long === undefined ? argument.length > 2 : argument.includes("=");
  return { name, definition, takes_value: definition.type !== "boolean", value: given ? behind : undefined };
}

/** The next argument, unless it is another flag. */
function valueFrom(rest: string[]): string | undefined {
  return rest[0] === undefined || /^-./.test(rest[0]) ? undefined : rest.shift();
}

/** What is wrong with a flag, to be read behind its name; null when nothing is. */
function flagProblem(flag: Flag, value: string | true | undefined, twice: boolean): string | null {
  const { definition } = flag;
  if (twice) return " is given twice";
  if (!flag.takes_value) return value === true ? null : " takes no value";
  if (typeof value !== "string") return ` needs a value; write --${flag.name}=${hintOf(definition)}`;
  if (definition.type === "enum") {
    const options = definition.options ?? [];
    if (options.includes(value)) return null;
    const near = closest(value, options);
    return `: ${JSON.stringify(value)} is unknown; ${near === null ? `use one of ${options.join(", ")}` : `did you mean ${near}?`}`;
  }
  // An empty path is a script's unset variable: taking the default instead would touch another database.
  return value === "" && definition.valueHint !== "TEXT" ? ": the value is empty" : null;
}

/** What stands for a flag's value in help and hints. */
export function hintOf(definition: ArgDef): string {
  return definition.type === "enum" ? (definition.options ?? []).join("|") : (definition.valueHint ?? "TEXT");
}

function unknownFlag(argument: string, path: readonly (Command | Group)[], here: Command | Group): string {
  const [name = argument] = argument.split("=", 1);
  const names = flagsOf(here).map(([known]) => known);
  const near = closest(name.replace(/^-+/, ""), names);
  const other =
    "commands" in here ? "a command's own options stand behind it" : `"${commandLineOf(path)} --help" lists them`;
  const cure = near === null ? other : `did you mean --${near}?`;
  return `unknown option ${name} for "${commandLineOf(path)}"; ${cure}`;
}

function unknownCommand(word: string, path: readonly (Command | Group)[], group: Group): string {
  const near = closest(
    word,
    group.commands.map((one) => one.name),
  );
  const cure = near === null ? choices(path, group) : `did you mean "${commandLineOf(path)} ${near}"?`;
  return `unknown command ${JSON.stringify(word)}; ${cure}`;
}

function choices(path: readonly (Command | Group)[], group: Group): string {
  return `"${commandLineOf(path)}" has ${group.commands.map((one) => one.name).join(", ")}`;
}

function checkWords(words: readonly string[], path: readonly (Command | Group)[], command: Command): void {
  const wanted = operandsOf(command);
  const extra = words[wanted.length];
  if (extra !== undefined) {
    const takes = wanted.length === 0 ? "takes none" : `takes only ${wanted.map((word) => word.name).join(" ")}`;
    throw new Fault("usage", `extra argument ${JSON.stringify(extra)}; "${commandLineOf(path)}" ${takes}`);
  }
  const missing = wanted.slice(words.length).find((word) => word.required);
  if (missing === undefined) return;
  const whole = wanted.filter((word) => word.required).map((word) => word.name);
  throw new Fault("usage", `${missing.name} is missing; write "${commandLineOf(path)} ${whole.join(" ")}"`);
}

function spell([name, value]: [string, string | true]): string {
  return value === true ? `--${name}` : `--${name}=${value}`;
}
