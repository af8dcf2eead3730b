// The tree of commands, in the order people read it.

import { openchargeCommands } from "../opencharge/cli/commands.ts";
import type { Group, Tools } from "./command.ts";
import { checkConfigCommand } from "./config.ts";
import { coverageCommand } from "./coverage.ts";
import { doctorCommand } from "./doctor.ts";
import { assignCommand, dismissCommand, inboxCommand, unassignCommand } from "./inbox.ts";
import { depositsCommand, ordersCommand, transfersCommand, walletsCommand } from "./lists.ts";
import { helpCommand } from "./manual.ts";
import { migrateCommand } from "./migrate.ts";
import { markPaidCommand, resendWebhookCommand } from "./repair.ts";
import { serveCommand } from "./serve.ts";
import { statusCommand } from "./status.ts";

/** Every command there is, bound to the world it runs in. */
export function program(tools: Tools): Group {
  const config: Group = {
    name: "config",
    summary: "Look after the configuration file",
    commands: [checkConfigCommand(tools)],
  };
  const root: Group = {
    name: "ocrch",
    summary: "a self-hosted stablecoin checkout",
    commands: [
      serveCommand(tools),
      migrateCommand(tools),
      config,
      doctorCommand(tools),
      statusCommand(tools),
      coverageCommand(tools),
      ordersCommand(tools),
      depositsCommand(tools),
      transfersCommand(tools),
      walletsCommand(tools),
      inboxCommand(tools),
      assignCommand(tools),
      unassignCommand(tools),
      dismissCommand(tools),
      markPaidCommand(tools),
      resendWebhookCommand(tools),
      openchargeCommands(tools),
      helpCommand(tools, () => root),
    ],
  };
  return root;
}
