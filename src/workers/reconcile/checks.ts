// The loops of one chain that look after the scan: what it recorded against what wallets hold, and against what an index
// tells. Each at its own pace and with its own bounded calls, so that none can slow the scan.

import type { History } from "../../chains/history.ts";
import type { Providers } from "../../chains/source.ts";
import type { ChainSettings, LiveConfig } from "../../config/config.ts";
import type { Balances } from "../../services/balances.ts";
import type { Comparing } from "../../services/index-reconciliation.ts";
import type { Settlement } from "../../services/settlement.ts";
import type { Database } from "../../storage/database.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import { createLoop, type Loop } from "../loop.ts";
import { createEvidence } from "../scan/evidence.ts";
import { createCaseWork } from "./balance-cases.ts";
import { createBalanceCheck } from "./balance-check.ts";
import { createReconcile } from "./index-check.ts";

/** The loops of the chain of `settings`, not running yet. */
export function createChecks(needs: {
  settings: ChainSettings;
  source: Providers;
  config: LiveConfig;
  database: Database;
  settlement: Settlement;
  balances: Balances;
  comparing: Comparing;
  /** An index of the chain to compare with, where the settings name one. */
  history(settings: ChainSettings): History | null;
  world: World;
  telemetry: Telemetry;
}): Loop[] {
  const { config, world, telemetry } = needs;
  const chain = needs.settings.id;
  const settings = () => config.current().chains.get(chain) ?? needs.settings;
  const of = { ...needs, chain, settings };
  const balances = createBalanceCheck({ ...of, cases: createCaseWork({ ...of, evidence: createEvidence(of) }) });
  const loop = (name: string, { period_ms, run }: { period_ms(): number; run(): Promise<void> }) =>
    createLoop({ name: `${name} ${chain}`, world, telemetry, period_ms, run });
  return [loop("balances", balances), loop("reconcile", createReconcile(of))];
}
