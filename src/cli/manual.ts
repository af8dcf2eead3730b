// `ocrch help`: the manual inside the executable. `--help` of a command is help.ts's.

import { closest } from "../config/suggest.ts";
import { Fault } from "../domain/errors.ts";
import { logReference } from "../log-codes.ts";
import { manual, titleOf } from "../manual/manual.ts";
import { type Command, command, commonFlags, type Group, type Tools } from "./command.ts";
import { formatTable } from "./table.ts";

/** `ocrch help`; `root` has the commands, which explain themselves. Fault: usage, for an unknown topic. */
export function helpCommand(tools: Tools, root: () => Group): Command {
  const topic = {
    type: "positional",
    required: false,
    description: "A page; without it the topics are listed",
  } as const;
  return command("help", "Read the manual: its topics, or the page of one", { topic, ...commonFlags }, async (args) => {
    tools.world.print(args.topic ? pageOn(args.topic, root()) : topics());
  });
}

function topics(): string {
  const rows = formatTable([...manual], [{ value: ([topic]) => topic }, { value: ([, page]) => titleOf(page) }]);
  return `Topics:\n${rows.replace(/^/gm, "  ")}\n\n"ocrch help TOPIC" prints one of them, "ocrch COMMAND --help" explains a command.`;
}

function pageOn(topic: string, { commands }: Group): string {
  const page = manual.get(topic);
  if (page !== undefined) return topic === "log" ? `${page}\n${logReference()}` : page.trimEnd();
  const known = [...manual.keys()];
  const near = closest(topic, known);
  const other = near === null ? `"ocrch help" has ${known.join(", ")}` : `did you mean "ocrch help ${near}"?`;
  const cure = commands.some(({ name }) => name === topic) ? `"ocrch ${topic} --help" explains the command` : other;
  throw new Fault("usage", `unknown topic ${JSON.stringify(topic)}; ${cure}`);
}
