// Reads one chain: from what is covered to its head, page by page, into settlement; then the final pass; then it confirms
// transfers whose policy is met. A failed read moves nothing: the next poll starts from the same coverage.

import type { ChainHeads, Providers } from "../../chains/source.ts";
import type { ChainSettings, LiveConfig } from "../../config/config.ts";
import type { ChainId } from "../../domain/assets.ts";
import { Fault } from "../../domain/errors.ts";
import { finalBlock, type Heads, withoutStaleTags } from "../../domain/finality.ts";
import type { Settlement } from "../../services/settlement.ts";
import type { Watching } from "../../services/watching.ts";
import { type ChainEnd, chainRow } from "../../storage/chains.ts";
import type { WatchRow } from "../../storage/coverage.ts";
import { hasOpenDeposit } from "../../storage/deposits.ts";
import type { Database } from "../../storage/engine/database.ts";
import { hasWaiting, waitingPolicies } from "../../storage/transfers.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import { createConfirmation } from "../confirm/confirmation.ts";
import { requestedTags } from "../confirm/second-finality.ts";
import { type ClockWatch, createClockWatch, startTiming } from "./clock-watch.ts";
import { createEvidence } from "./evidence.ts";
import { createFinalPass } from "./final-pass.ts";
import { createFinalityLagAlarm } from "./finality-lag.ts";
import { createHeadCheck } from "./head-check.ts";
import { createHeadPass } from "./head-pass.ts";
import { createOpeningHeads, type OpeningHeads } from "./opening-heads.ts";
import { createPaceWatch } from "./pace-watch.ts";
import { createPageReader } from "./page-reader.ts";
import { createRewinding } from "./rewinding.ts";
import { createServedTags } from "./served-tags.ts";
import { createUnreadBlocks } from "./unread-blocks.ts";
import { verifyNode } from "./verify-node.ts";
import { createWatchStarts } from "./watch-starts.ts";

const health_interval_ms = 15_000;

export interface Scan {
  chain: ChainId;
  /** One poll. Throws a Fault when the chain could not be read; what was read until then is kept. */
  poll(): Promise<void>;
  /** Full pace while a payment may come, is on its way or may stand in blocks that are not read yet; slow otherwise. */
  period_ms(): number;
  /** Asks for the head when deposits are opened. */
  openings: OpeningHeads;
  clock: Pick<ClockWatch, "forgetIfSet">;
}

/** The scan of one chain; keeps nothing in memory that a restart would miss. */
export function createScan(needs: {
  settings: ChainSettings;
  source: Providers;
  config: LiveConfig;
  database: Database;
  settlement: Settlement;
  watching: Watching;
  world: World;
  telemetry: Telemetry;
  /** Checks our clock against the clocks of all chains. */
  clockAlarm: () => void;
}): Scan {
  const { source, config, database, settlement, watching, world, telemetry } = needs;
  const chain = needs.settings.id;
  let last = needs.settings;
  const starts = createWatchStarts({ chain, source, config, database, watching, telemetry, world });
  const served = createServedTags({ chain, database, watching, world });
  const rewinding = createRewinding({ chain, source, database, watching, telemetry });
  const headCheck = createHeadCheck({ chain, source, database, watching, rewinding, world, telemetry });
  const openings = createOpeningHeads({ chain, source, database, watching, world, telemetry });
  const alarmIfFinalityLags = createFinalityLagAlarm({ chain, world, telemetry });
  const evidence = createEvidence({ chain, source, database, telemetry });
  const unread = createUnreadBlocks({ chain, watching, world, telemetry });
  const pages = createPageReader({ chain, source, evidence, unread, database, settlement, world });
  const headPass = createHeadPass({ ...needs, chain, pages, evidence, unread, rewinding });
  const finalPass = createFinalPass({ chain, pages, evidence, database, world, telemetry });
  const pace = createPaceWatch({ chain, source, watching, database, telemetry, world });
  const clock = createClockWatch({ chain, source, watching, database, world, alarm: needs.clockAlarm });
  const confirmation = createConfirmation({ chain, source, database, world, telemetry });
  /** The settings its nodes were compared with. */
  let verified: ChainSettings | null = null;
  let stalled = false;
  /** Why payments with a met policy do not count yet. */
  let held = database.read((at) => chainRow(at, chain))?.held_reason ?? null;
  let health_at = Number.NEGATIVE_INFINITY;

  /** A chain that was taken out of the configuration is read as before until its deposits have closed. */
  function settings(): ChainSettings {
    last = config.current().chains.get(chain) ?? last;
    return last;
  }

  async function poll(): Promise<void> {
    try {
      const now = settings();
      if (verified !== now) {
        await verifyNode(source, config.current(), now);
        verified = now;
        // Nodes that were replaced go away at once.
        health_at = Number.NEGATIVE_INFINITY;
      }
      const promised = database.read((at) => waitingPolicies(at, chain));
      const tags = requestedTags(now, promised);
      const stopTiming = startTiming(world);
      const newest = await source.heads(tags);
      const timing = stopTiming();
      const heads = await served.complete(await headCheck.believed(newest, now.facts), tags);
      await headCheck.cutBack(heads);
      alarmIfFinalityLags(heads, now.facts.late_tag_s);
      await pace.look(heads.latest, now);
      await clock.look(heads, timing);
      const freshHeads = withoutStaleTags(heads, now.facts.stale_tag_s ?? null);
      const watches = await starts.begun(freshHeads.latest, settings());
      const end = endOf(freshHeads);
      const failed = await readTwice(watches, end);
      await confirmDue(heads);
      if (failed !== null) throw failed;
      stalled = false;
      await starts.moveDown(freshHeads.latest, settings());
    } catch (error) {
      if (error instanceof Fault) await stall(error);
      throw error;
    } finally {
      await recordHealth();
    }
  }

  /** Runs the head pass and the final pass. Returns the first error: a range that no provider serves blocks no other. */
  async function readTwice(watches: readonly WatchRow[], end: ChainEnd): Promise<Fault | null> {
    let failed: Fault | null = null;
    for (const pass of [headPass, finalPass]) {
      try {
        await pass.read(watches, end, pace.paced(settings()));
      } catch (error) {
        // A chain that cannot be believed credits nothing.
        if (!(error instanceof Fault) || error.code === "chain_rewritten_below_final") throw error;
        failed ??= error;
      }
    }
    return failed;
  }

  async function confirmDue(heads: ChainHeads): Promise<void> {
    const now = pace.paced(settings());
    // Payments of orders count first, however many other transfers wait.
    const payments = await confirmation.confirmNext(true, heads, now);
    await settlement.confirm(chain, payments.judged);
    const { judged, held: reason } = await confirmation.confirmNext(false, heads, now);
    await settlement.confirm(chain, judged);
    if (reason !== null && held === null) telemetry.warn("payments_held_back", { chain, error: reason });
    if (reason !== held) await watching.hold(chain, reason);
    held = reason;
  }

  async function stall(fault: Fault): Promise<void> {
    if (!stalled) telemetry.warn("chain_stalled", { chain, code: fault.code, error: fault.message });
    stalled = true;
    await watching.stall(chain, `${fault.code}: ${fault.message}`);
  }

  function endOf(heads: Heads): ChainEnd {
    const { facts } = pace.paced(settings());
    const number = Math.max(0, finalBlock(facts.final, heads, facts));
    const tagged = facts.final.tag === undefined ? null : heads[facts.final.tag];
    const exact = tagged?.number === number ? tagged : null;
    return { head: heads.latest, final: { number, hash: exact?.hash ?? null, time: exact?.time ?? null } };
  }

  async function recordHealth(): Promise<void> {
    const due = world.elapsed() - health_at >= health_interval_ms;
    if (!due && !stalled) return;
    health_at = world.elapsed();
    await watching.health(chain, source.reports());
  }

  return {
    chain,
    poll,
    openings,
    clock,
    period_ms() {
      // New settings may bring new wallets: they are looked at at once.
      if (verified !== settings()) return 0;
      const { poll_ms, idle_poll_ms } = settings();
      const busy = headPass.isBehind() || database.read((at) => hasOpenDeposit(at, chain) || hasWaiting(at, chain));
      return busy ? poll_ms : idle_poll_ms;
    },
  };
}
