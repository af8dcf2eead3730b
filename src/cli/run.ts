// One run of the command line: arguments to a command, a command's failure to lines and an exit status. Never prints a
// stack trace.

import { version } from "../../package.json";
import { errorCode, errorCodes, errorText, Fault } from "../domain/errors.ts";
import { readArguments } from "./arguments.ts";
import type { Tools } from "./command.ts";
import { helpText } from "./help.ts";
import { program } from "./program.ts";
import { printable } from "./table.ts";

/** Exit status of a command that was refused or failed, where its error names none. */
const failed = 1;

/** Runs one command line (without the program's name) to its end and returns the exit status. Never throws. */
export async function run(tools: Tools, argv: readonly string[]): Promise<number> {
  try {
    const asked = readArguments(program(tools), argv);
    const end = asked.path.at(-1);
    if (asked.help) tools.world.print(helpText(asked.path));
    else if (asked.version) tools.world.print(`ocrch ${version}`);
    else if (end !== undefined && "run" in end) await end.run(asked.checked);
    return 0;
  } catch (error) {
    for (const line of linesOf(error)) tools.world.warn(`ocrch: ${printable(line)}`);
    return errorCodes[errorCode(error)].exit ?? failed;
  }
}

function linesOf(error: unknown): string[] {
  return error instanceof Fault ? error.message.split("\n") : [`${errorCodes.internal.text}: ${errorText(error)}`];
}
