// The text of `--help`, made from the commands themselves. Plain: never a colour code.

import type { ArgDef } from "citty";
import { version } from "../../package.json";
import { commandLineOf, globalFlags, hintOf, operandsOf } from "./arguments.ts";
import { type Command, commonFlags, type Group } from "./command.ts";
import { formatTable } from "./table.ts";

/** What `--help` prints for the command or group at the end of a path. */
export function helpText(path: readonly [Group, ...(Command | Group)[]]): string {
  const end = path.at(-1) ?? path[0];
  const is_group = "commands" in end;
  const words = is_group ? ["COMMAND"] : operandsOf(end).map(({ name, required }) => (required ? name : `[${name}]`));
  const args = is_group ? commonFlags : end.args;
  return [
    `${commandLineOf(path)}${path.length === 1 ? ` ${version}` : ""}: ${end.summary}`,
    `Usage: ${[commandLineOf(path), ...words, "[OPTIONS]"].join(" ")}`,
    ...(is_group
      ? [
          section(
            "Commands",
            end.commands.map(({ name, summary }) => [name, summary]),
          ),
        ]
      : []),
    section("Options", Object.entries({ ...args, ...globalFlags }).flatMap(optionRow)),
    ...(is_group ? [`"${commandLineOf(path)} COMMAND --help" explains one of them.`] : []),
  ].join("\n\n");
}

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  const lines = formatTable(
    rows,
    rows[0] === undefined ? [] : [{ value: ([name]) => name }, { value: ([, words]) => words }],
  );
  return `${title}:\n${lines.replace(/^/gm, "  ")}`;
}

function optionRow([name, definition]: [string, ArgDef]): [string, string][] {
  if (definition.type === "positional") return [];
  const short = "alias" in definition && typeof definition.alias === "string" ? `-${definition.alias}, ` : "    ";
  const value = definition.type === "boolean" ? "" : ` ${hintOf(definition)}`;
  const usual = definition.default === undefined ? "" : ` (default ${definition.default})`;
  return [[`${short}--${name}${value}`, `${definition.description ?? ""}${usual}`]];
}
