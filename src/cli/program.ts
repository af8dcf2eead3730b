// The tree of commands, in the order people read it.

import { openchargeCommands } from "../opencharge/cli/commands.ts";
import type { Group, Tools } from "./command.ts";
import { checkConfig } from "./config.ts";
import { coverage } from "./coverage.ts";
import { doctor } from "./doctor.ts";
import { assign, dismiss, inbox, unassign } from "./inbox.ts";
import { deposits, orders, transfers, wallets } from "./lists.ts";
import { help } from "./manual.ts";
import { migrate } from "./migrate.ts";
import { markPaid, resendWebhook } from "./repair.ts";
import { serve } from "./serve.ts";
import { status } from "./status.ts";

/** Every command there is, bound to the world it runs in. */
export function program(tools: Tools): Group {
  const config: Group = {
    name: "config",
    summary: "Look after the configuration file",
    commands: [checkConfig(tools)],
  };
  const root: Group = {
    name: "ocrch",
    summary: "a self-hosted stablecoin checkout",
    commands: [
      serve(tools),
      migrate(tools),
      config,
      doctor(tools),
      status(tools),
      coverage(tools),
      orders(tools),
      deposits(tools),
      transfers(tools),
      wallets(tools),
      inbox(tools),
      assign(tools),
      unassign(tools),
      dismiss(tools),
      markPaid(tools),
      resendWebhook(tools),
      openchargeCommands(tools),
      help(tools, () => root),
    ],
  };
  return root;
}
