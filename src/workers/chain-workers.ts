// The loops of every chain that is read: those with a wallet, and those that lost theirs while an amount is still reserved
// or a transfer still waits there.

import type { History } from "../chains/history.ts";
import type { Providers, Source } from "../chains/source.ts";
import type { ChainSettings, LiveConfig } from "../config/config.ts";
import type { ChainId } from "../domain/assets.ts";
import type { BalanceComparison } from "../services/balance-comparison.ts";
import type { IndexReconciliation } from "../services/index-reconciliation.ts";
import type { Settlement } from "../services/settlement.ts";
import type { Watching } from "../services/watching.ts";
import { allChains } from "../storage/chains.ts";
import { watchesOf } from "../storage/coverage.ts";
import type { DepositRow } from "../storage/deposits.ts";
import type { Database } from "../storage/engine/database.ts";
import { hasWaiting } from "../storage/transfers.ts";
import type { Telemetry } from "../telemetry.ts";
import type { World } from "../world.ts";
import { createLoop, type Loop } from "./loop.ts";
import { createCaseWork } from "./reconcile/balance-cases.ts";
import { createBalanceCheck } from "./reconcile/balance-check.ts";
import { createIndexCheck } from "./reconcile/index-check.ts";
import { createClockAlarm } from "./scan/clock-watch.ts";
import { createEvidence } from "./scan/evidence.ts";
import type { OpeningHeads } from "./scan/opening-heads.ts";
import { createScan } from "./scan/scan.ts";

const clock_period_ms = 1000;

export interface ChainWorkers {
  /** Applies the live settings: starts new chains, reconnects where the nodes changed. */
  follow(): void;
  wake(): void;
  /** The source of a chain; null for one that is not read. */
  source(chain: ChainId): Source | null;
  /** A deposit was opened: its chain is asked for its head, where it is read. */
  opened(deposit: DepositRow): void;
  /** Resolves when no poll is under way any more. */
  stop(): Promise<void>;
}

interface Entry {
  source: Switch;
  loops: Loop[];
  openings: OpeningHeads;
}

/** The loops of all chains. `connect` gives a chain's source. */
export function createChainWorkers(needs: {
  connect(settings: ChainSettings): Providers;
  config: LiveConfig;
  database: Database;
  settlement: Settlement;
  balances: BalanceComparison;
  indexReconciliation: IndexReconciliation;
  /** The index of a chain to compare with; null where the settings name none. */
  history(settings: ChainSettings): History | null;
  watching: Watching;
  world: World;
  telemetry: Telemetry;
}): ChainWorkers {
  const { connect, config, database, world, telemetry } = needs;
  const entries = new Map<ChainId, Entry>();
  const clockAlarm = createClockAlarm(needs);
  let stopped = false;

  function isWanted(chain: ChainId): boolean {
    return config.current().wallets.some((wallet) => wallet.chain === chain) || owes(database, chain);
  }

  function begin(settings: ChainSettings): void {
    const { id } = settings;
    if (!config.current().wallets.some((wallet) => wallet.chain === id)) {
      telemetry.warn("chain_read_without_wallet", { chain: id, public_endpoints: settings.public_endpoints });
    }
    const switched = switchable(connect(settings), settings);
    const scan = createScan({ ...needs, settings, source: switched, clockAlarm });
    const run = async () => {
      if (isWanted(id)) return scan.poll();
      entries.delete(id);
      scan.openings.stop();
      // Not awaited: one of them waits for this very run.
      for (const loop of loops) void loop.stop();
      telemetry.info("chain_no_longer_read", { chain: id });
    };
    const of = { ...needs, chain: id, source: switched, settings: () => config.current().chains.get(id) ?? settings };
    const balances = createBalanceCheck({ ...of, cases: createCaseWork({ ...of, evidence: createEvidence(of) }) });
    const index = createIndexCheck(of);
    const loop = (name: string, { period_ms, run }: { period_ms(): number; run(): Promise<void> }) =>
      createLoop({ name: `${name} ${id}`, world, telemetry, period_ms, run });
    // Each check makes its own bounded calls in a loop of its own, so that none can slow the scan.
    const loops = [
      loop("scan", { period_ms: scan.period_ms, run }),
      loop("clock", { period_ms: () => clock_period_ms, run: scan.clock.forgetIfSet }),
      loop("balances", balances),
      loop("reconcile", index),
    ];
    entries.set(id, { source: switched, loops, openings: scan.openings });
    for (const loop of loops) loop.start();
  }

  return {
    follow() {
      if (stopped) return;
      for (const settings of config.current().chains.values()) {
        const entry = entries.get(settings.id);
        if (entry === undefined) begin(settings);
        else if (entry.source.follow(settings, connect)) {
          for (const loop of entry.loops) loop.retry();
        }
      }
      for (const { loops } of entries.values()) for (const loop of loops) loop.wake();
    },
    wake() {
      for (const { loops } of entries.values()) for (const loop of loops) loop.wake();
    },
    source: (chain) => entries.get(chain)?.source ?? null,
    opened: (deposit) => entries.get(deposit.chain)?.openings.opened(deposit),
    async stop() {
      stopped = true;
      for (const { openings } of entries.values()) openings.stop();
      await Promise.all([...entries.values()].flatMap(({ loops }) => loops.map((loop) => loop.stop())));
    },
  };
}

/** The chains that must be read whether they have a wallet or not. */
export function chainsToRead(database: Database): ChainId[] {
  const known = database.read((at) => allChains(at)).map((row) => row.chain);
  return known.filter((chain) => owes(database, chain));
}

/** True while an amount is promised on the chain, open or in quarantine, or a transfer on it waits. */
function owes(database: Database, chain: ChainId): boolean {
  return database.read((at) => watchesOf(at, chain).length > 0 || hasWaiting(at, chain));
}

interface Switch extends Providers {
  /** Asks other nodes from now on, where the settings name others, and says so; the same keep what was learned. */
  follow(settings: ChainSettings, connect: (settings: ChainSettings) => Providers): boolean;
}

/** A source whose nodes can be exchanged under a scan that goes on. */
function switchable(first: Providers, settings: ChainSettings): Switch {
  let source = first;
  let nodes = nodesOf(settings);
  return {
    follow(next, connect) {
      if (nodesOf(next) === nodes) return false;
      nodes = nodesOf(next);
      source = connect(next);
      return true;
    },
    identity: (tokens) => source.identity(tokens),
    heads: (tags) => source.heads(tags),
    independentHeads: (tags, excluded) => source.independentHeads(tags, excluded),
    read: (question, avoid) => source.read(question, avoid),
    balances: (holdings, block, or_later) => source.balances(holdings, block, or_later),
    blocks: (numbers) => source.blocks(numbers),
    receipts: (hashes) => source.receipts(hashes),
    fetchEvidence: (matter, excluded) => source.fetchEvidence(matter, excluded),
    distrust: (provider, matter) => source.distrust(provider, matter),
    reports: () => source.reports(),
  };
}

function nodesOf({ chain_id, rpc_urls, explorer, api_keys, requests }: ChainSettings): string {
  return JSON.stringify([chain_id, rpc_urls, explorer, api_keys, requests]);
}
