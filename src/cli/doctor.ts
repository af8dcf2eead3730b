// `ocrch doctor`: what is wrong with this appliance and what to do about it, one line per check. Changes nothing.

import { Fault } from "../domain/errors.ts";
import type { Check } from "../workers/doctor/check.ts";
import { runDoctor } from "../workers/doctor/examine.ts";
import { readConfig } from "./appliance.ts";
import { type Command, command, commonFlags, jsonFlag, type Tools } from "./command.ts";
import { formatTable } from "./table.ts";

/** `ocrch doctor`. Faults: invalid_config, and the code of the first check that failed. */
export function doctorCommand(tools: Tools): Command {
  const args = { ...jsonFlag, ...commonFlags } as const;
  const summary = "Look at configuration, chains, providers, disk and webhooks, and say what to mend";
  return command("doctor", summary, args, async (args) => {
    const { world } = tools;
    const { config, warnings } = await readConfig(tools, args);
    const checks = await runDoctor({ world, config });
    const told = warnings.map((words): Check => ({ subject: config.path, check: "config", verdict: "warn", words }));
    const all = [...told, ...checks];
    const failed = all.filter(({ verdict }) => verdict === "fail");
    world.print(args.json ? jsonOf(all) : linesOf(all));
    const [first] = failed;
    if (first === undefined) return;
    const counted = `${failed.length} of ${all.length} checks failed`;
    throw new Fault(first.code ?? "internal", `${counted}; the first: ${first.subject}: ${first.words}`);
  });
}

function jsonOf(checks: readonly Check[]): string {
  const shown = checks.map(({ subject, check, verdict, words, code }) => ({
    subject,
    check,
    verdict,
    words,
    code: code ?? null,
  }));
  return JSON.stringify(shown, null, 2);
}

function linesOf(checks: readonly Check[]): string {
  return formatTable(checks, [
    { value: ({ verdict }) => verdict },
    { value: ({ subject }) => subject },
    { value: ({ check }) => check },
    { value: ({ words }) => words },
  ]);
}
