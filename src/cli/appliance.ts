// An appliance as commands meet it: its settings as they stand in the file, its database beside a running server or
// alone. Never writes the configuration.

import type { Config } from "../config/config.ts";
import { liveConfig } from "../config/config.ts";
import { configPath, loadConfig } from "../config/load.ts";
import { Fault } from "../domain/errors.ts";
import { extensionHooks, extensionSections } from "../extensions.ts";
import { createEventLog, withResumedLog } from "../services/event-log.ts";
import { createInbox, type Inbox } from "../services/inbox.ts";
import { createOperator, type Operator } from "../services/operator.ts";
import { createPaymentRules } from "../services/payment-rules.ts";
import type { Database } from "../storage/engine/database.ts";
import { isDatabaseServed, openForCommand } from "../storage/engine/open.ts";
import { createTelemetry } from "../telemetry.ts";
import type { Places, Tools } from "./command.ts";

/** The settings and what to warn about, with the file left as it is. Fault: invalid_config. */
export function readConfig(tools: Tools, places: Places): Promise<{ config: Config; warnings: string[] }> {
  const { world } = tools;
  const options = { database: places.database, rewrite: false, sections: extensionSections };
  return loadConfig(world, configPath(world, places.config), options);
}

/**
 * Runs `act` with the operators' verbs on an existing database and closes it whatever happens.
 * Faults: invalid_config, database_unusable, schema_version, and those of `act`.
 */
export async function withOperator<T>(
  tools: Tools,
  places: Places,
  act: (open: { operator: Operator; inbox: Inbox; database: Database; is_served: boolean }) => T | Promise<T>,
): Promise<T> {
  const { world } = tools;
  const { config } = await readConfig(tools, places);
  // A failure reaches the person as a fault; a log line beside it would say it twice.
  const telemetry = createTelemetry({ ...world, warn: () => {} });
  const opened = openForCommand({ world, telemetry, path: config.database.path, hooks: extensionHooks });
  const is_served = isDatabaseServed(world, config.database.path);
  const { path } = opened;
  const eventLog = createEventLog({ world, telemetry, database: opened.database, path, is_served });
  const database = withResumedLog(opened.database, eventLog);
  const live = liveConfig(config);
  const needs = { ...createPaymentRules({ config: live }), database, config: live };
  try {
    return await act({
      operator: createOperator(needs),
      inbox: createInbox(needs),
      database,
      is_served,
    });
  } finally {
    eventLog.keep();
    await opened.close();
  }
}

/** Puts the subject before a refusal that does not name it. */
export async function withSubject<T>(subject: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    throw new Fault(error.code, `${subject}: ${error.message}`);
  }
}
