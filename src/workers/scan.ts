// Reads one chain: from what is covered to its head, page by page, into settlement; then the final pass; then the
// second reading of what has ripened. A failed read moves nothing: the next poll starts from the same coverage.

import type { Answer, Providers, Question, ToldHeads } from "../chains/source.ts";
import type { ChainSettings, LiveConfig } from "../config/config.ts";
import type { ChainId } from "../domain/assets.ts";
import { gaps, intervalAt, plan, type Range, union, upperHalf } from "../domain/coverage.ts";
import { Fault } from "../domain/errors.ts";
import { type BlockRef, finalBlock, type Heads, withoutStaleTags } from "../domain/finality.ts";
import type { Transfer } from "../domain/payment.ts";
import type { Settlement } from "../services/settlement.ts";
import type { Watching } from "../services/watching.ts";
import { type ChainEnd, chainRow, markAtOrBelow } from "../storage/chains.ts";
import { coveredOn, type Pass, type WatchRow } from "../storage/coverage.ts";
import type { Database } from "../storage/database.ts";
import { hasOpenDeposit } from "../storage/deposits.ts";
import { hasWaiting, transfersBetween, waitingPolicies } from "../storage/transfers.ts";
import type { Telemetry } from "../telemetry.ts";
import type { World } from "../world.ts";
import { createEvidence } from "./evidence.ts";
import { tagsAsked } from "./final-word.ts";
import { createLateness } from "./lateness.ts";
import { createRewinding } from "./rewinding.ts";
import { createRipening } from "./ripening.ts";
import { createServedTags } from "./served-tags.ts";
import { createStarts } from "./start.ts";
import { verify } from "./verify.ts";

/** Pages read by one poll: catching up never keeps the confirmations of this minute waiting. */
const pages_per_poll_max = 20;
/** A poll that has lasted this long, and has read an older page beside the newest, leaves the others to the next one. */
const catching_up_max_ms = 5_000;
/** The final pass follows the final block at this many polls' distance in time. */
const final_pass_polls = 15;
const health_interval_ms = 15_000;
/** Providers whose branch is compared with the final block before a stretch is left to the next poll. */
const final_branch_tries_max = 2;

export interface Scan {
  chain: ChainId;
  /** One poll. Throws a Fault when the chain could not be read; what was read until then is kept. */
  poll(): Promise<void>;
  /** Full pace while a payment may come, is on its way or may stand in blocks that are not read yet; slow otherwise. */
  period_ms(): number;
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
}): Scan {
  const { source, config, database, settlement, watching, world, telemetry } = needs;
  const chain = needs.settings.id;
  let last = needs.settings;
  const starts = createStarts({ chain, source, config, database, watching, telemetry, world });
  const served = createServedTags({ chain, database, watching, world });
  const lateness = createLateness({ chain, world, telemetry });
  const evidence = createEvidence({ chain, source, database, telemetry });
  const rewinding = createRewinding({ chain, source, database, watching, telemetry });
  const ripening = createRipening({ chain, source, database, world, telemetry });
  /** The settings its nodes were compared with. */
  let verified: ChainSettings | null = null;
  let stalled = false;
  /** Blocks below the head are still unread: the next poll goes on with them at full pace. */
  let behind = false;
  /** Why ripe payments do not count yet. */
  let held = database.read((at) => chainRow(at, chain))?.held_reason ?? null;
  let final_pass_at = Number.NEGATIVE_INFINITY;
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
        await verify(source, config.current(), now);
        verified = now;
        // Nodes that were replaced go away at once.
        health_at = Number.NEGATIVE_INFINITY;
      }
      const promised = database.read((at) => waitingPolicies(at, chain));
      const tags = tagsAsked(now, promised);
      const told = await served.complete(await source.heads(tags), tags);
      lateness(told, now.facts.late_tag_s);
      const heads = withoutStaleTags(told, now.facts.stale_tag_s ?? null);
      const watches = await starts.begun(heads.latest, settings());
      const end = endOf(heads);
      const failed = await readTwice(watches, end);
      await secondLook(told);
      if (failed !== null) throw failed;
      stalled = false;
      await starts.moveDown(heads.latest, settings());
    } catch (error) {
      if (error instanceof Fault) await stall(error);
      throw error;
    } finally {
      await recordHealth();
    }
  }

  /** Both readings. Returns what kept one from its end: an old stretch that nobody serves must not hold up what was read. */
  async function readTwice(watches: readonly WatchRow[], end: ChainEnd): Promise<Fault | null> {
    let failed: Fault | null = null;
    for (const reading of [readHead, finalPass]) {
      try {
        await reading(watches, end);
      } catch (error) {
        // A chain that cannot be believed credits nothing.
        if (!(error instanceof Fault) || error.code === "chain_rewritten_below_final") throw error;
        failed ??= error;
      }
    }
    return failed;
  }

  async function secondLook(told: ToldHeads): Promise<void> {
    const { judged, held: reason } = await ripening.look(told, settings());
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
    const { facts } = settings();
    const number = Math.max(0, finalBlock(facts.final, heads, facts.tagless_depth));
    const tagged = facts.final.tag === undefined ? null : heads[facts.final.tag];
    const exact = tagged?.number === number ? tagged : null;
    return { head: heads.latest, final: { number, hash: exact?.hash ?? null, time: exact?.time ?? null } };
  }

  /** Reads what is missing up to the head, and the overlap again. */
  async function readHead(watches: readonly WatchRow[], end: ChainEnd): Promise<void> {
    if (watches.length === 0) return watching.quiet(chain, end);
    for (let rewound = false; ; rewound = true) {
      // As long as the newest header that was seen stands, so does everything below it.
      const mark = database.read((at) => markAtOrBelow(at, chain, end.head.number));
      const broken = await readRanges(watches, end, mark);
      if (broken === null) {
        behind = missing(watches, end.head.number).length > 0;
        return;
      }
      if (rewound) throw new Fault("provider_inconsistent", "the chain changed again while it was read");
      await rewinding.rewind(broken, end);
    }
  }

  /** Returns the header that no longer stands on the chain: nothing was taken in since it was seen. */
  async function readRanges(
    watches: readonly WatchRow[],
    end: ChainEnd,
    mark: BlockRef | null,
  ): Promise<BlockRef | null> {
    const { facts } = settings();
    const head = end.head.number;
    const first = Math.min(...watches.map((watch) => watch.start_block ?? head));
    const page = pageBlocks();
    const ranges = plan({ missing: missing(watches, head), head, first, overlap: facts.overlap, page });
    const until = world.elapsed() + catching_up_max_ms;
    let seen = mark;
    let pages = 0;
    let older = 0;
    let refused: Fault | null = null;
    for (const range of ranges) {
      for (let from = range.from; from <= range.to && pages < pages_per_poll_max; ) {
        if (older > 0 && world.elapsed() >= until) return null;
        const to = Math.min(range.to, from + facts.page_blocks - 1);
        const page = await evidence.read(ask(watches, { from, to }, seen)).catch(unserved);
        pages += 1;
        if (range !== ranges[0]) older += 1;
        if (page instanceof Fault) {
          refused ??= page;
          from = upperHalf({ from, to: range.to });
          continue;
        }
        const { answer, transfers } = page;
        if (seen !== null && answer.mark?.hash !== seen.hash) return seen;
        await takeIn(answer, transfers, "head", watches, end);
        // The next page must lie on the same branch as this one.
        if (seen === null || answer.end.number > seen.number) seen = answer.end;
        from = answer.to + 1;
      }
    }
    if (refused !== null) throw refused;
    return null;
  }

  /** Blocks that one call reaches at the provider that takes most, of those that are well: the newest page must be one, or it ends before the head. */
  function pageBlocks(): number {
    const { page_blocks } = settings().facts;
    const reports = source.reports();
    const well = reports.filter(({ state }) => state === "well");
    const taken = (well.length > 0 ? well : reports).map(({ learned_range }) => learned_range ?? page_blocks);
    return Math.max(1, Math.min(page_blocks, Math.max(1, ...taken)));
  }

  function missing(watches: readonly WatchRow[], head: number): Range[] {
    const covered = database.read((at) => coveredOn(at, chain));
    return union(watches.flatMap((watch) => gaps(covered.get(watch.id) ?? [], watch.start_block ?? 0, head)));
  }

  function ask(watches: readonly WatchRow[], range: Range, mark: BlockRef | null): Question {
    const wallets = [...new Set(watches.map((watch) => watch.wallet))];
    const tokens = [...new Set(watches.map((watch) => watch.token))];
    return { ...range, wallets, tokens, mark: mark?.number ?? null };
  }

  /** Finds what left the chain, and hands the page to settlement. */
  async function takeIn(
    answer: Answer,
    transfers: readonly Transfer[],
    pass: Pass,
    watches: readonly WatchRow[],
    end: ChainEnd,
  ): Promise<void> {
    const gone = await evidence.findGone(answer, transfers);
    world.point("scan.read");
    await settlement.ingest({
      chain,
      pass,
      watches: watches.map((watch) => watch.id),
      from: answer.from,
      end: answer.end,
      provider: answer.provider,
      zero_value: answer.zero_value,
      transfers: transfers.filter((transfer) => isOwed(watches, transfer)),
      gone,
      chainEnd: end,
    });
  }

  /** Reads what has become final once more, from another provider where there is one. */
  async function finalPass(watches: readonly WatchRow[], end: ChainEnd): Promise<void> {
    const { facts, poll_ms } = settings();
    if (watches.length === 0 || world.elapsed() - final_pass_at < poll_ms * final_pass_polls) return;
    const skipped: Range[] = [];
    let refused: Fault | null = null;
    let range: Range | undefined;
    for (let pages = 0; pages < pages_per_poll_max; pages += 1) {
      const read = database.read((at) => coveredOn(at, chain, "final"));
      const once = watches.flatMap((one) => gaps(read.get(one.id) ?? [], one.start_block ?? 0, end.final.number));
      // Only what the head pass has read already: the final pass checks, it does not run ahead.
      const unread = [...missing(watches, end.final.number), ...skipped];
      [range] = union(once).flatMap(({ from, to }) => gaps(unread, from, to));
      if (range === undefined) break;
      const { from } = range;
      const last = Math.min(range.to, from + facts.page_blocks - 1);
      const head = database.read((at) => [...coveredOn(at, chain, "head").values()].flat());
      const reader = intervalAt(head, from);
      const asked = ask(watches, { from, to: Math.min(last, reader?.to ?? last) }, null);
      const page = await readOnFinal(asked, end, reader?.provider).catch(unserved);
      if (page === null) {
        // Whoever is right shows at the next pass, not at the next poll.
        range = undefined;
        break;
      }
      if (page instanceof Fault) {
        refused ??= page;
        skipped.push({ from, to: upperHalf(range) - 1 });
        continue;
      }
      const { answer, transfers } = page;
      const stored = () => database.read((at) => transfersBetween(at, chain, answer.from, answer.to));
      const before = new Set(stored().map((row) => row.id));
      await takeIn(answer, transfers, "final", watches, end);
      const missed = stored().filter((row) => !before.has(row.id)).length;
      if (missed > 0) telemetry.error("transfers_missed_by_head_pass", { chain, transfers: missed });
    }
    // Where more is left than one poll may read, the next poll goes on with it.
    if (range === undefined) final_pass_at = world.elapsed();
    if (refused !== null) throw refused;
  }

  /** Reads a page that lies on the branch of the final block; null when two providers show another block at its height. */
  async function readOnFinal(asked: Question, { final }: ChainEnd, avoid: string | undefined) {
    let refused = avoid;
    for (let tries = 0; tries < final_branch_tries_max; tries++) {
      const page = await evidence.read(asked, refused);
      const { end, provider } = page.answer;
      if (final.hash === null || end.number !== final.number || end.hash === final.hash) return page;
      telemetry.warn("final_block_contradicted", { chain, provider, block: end.number });
      telemetry.count("final_block_contradicted", { chain, provider });
      refused = provider;
    }
    return null;
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
    period_ms() {
      // New settings may bring new wallets: they are looked at at once.
      if (verified !== settings()) return 0;
      const { poll_ms, idle_poll_ms } = settings();
      const busy = behind || database.read((at) => hasOpenDeposit(at, chain) || hasWaiting(at, chain));
      return busy ? poll_ms : idle_poll_ms;
    },
  };
}

/** A range that nobody serves, for its age or for what it holds, is no reason to leave the rest unread. */
function unserved(error: unknown): Fault {
  if (error instanceof Fault && ["provider_archive_only", "provider_range_too_large"].includes(error.code))
    return error;
  throw error;
}

/**
 * False for a transfer before the block its watch began at. One question asks for all wallets, so the answer tells of
 * them too; nobody asked what was on a wallet before, and nobody could tell what it was for.
 */
function isOwed(watches: readonly WatchRow[], { wallet, token, block }: Transfer): boolean {
  const watch = watches.find((one) => one.wallet === wallet && one.token === token);
  return watch === undefined || block.number >= (watch.start_block ?? 0);
}
