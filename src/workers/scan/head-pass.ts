// The head pass: reads what is missing up to the head, newest first, and the overlap again; around what nobody serves.

import type { Providers } from "../../chains/source.ts";
import type { ChainSettings } from "../../config/config.ts";
import type { ChainId } from "../../domain/assets.ts";
import { plan, type Range, upperHalf } from "../../domain/coverage.ts";
import { errorCode, Fault } from "../../domain/errors.ts";
import type { BlockRef } from "../../domain/finality.ts";
import type { Watching } from "../../services/watching.ts";
import { type ChainEnd, headerAtOrBelow } from "../../storage/chains.ts";
import type { WatchRow } from "../../storage/coverage.ts";
import type { Database } from "../../storage/engine/database.ts";
import type { World } from "../../world.ts";
import type { Evidence } from "./evidence.ts";
import { type PageReader, pages_per_poll_max } from "./page-reader.ts";
import type { Rewinding } from "./rewinding.ts";
import type { UnreadBlocks } from "./unread-blocks.ts";

/** Ranges of one poll that are refused and read in halves: enough to find two bad blocks in a page. */
const halved_per_poll_max = 24;
/** A poll that has lasted this long, and has read an older page beside the newest, leaves the others to the next one. */
const catching_up_max_ms = 5_000;

export interface HeadPass {
  /** Reads a bounded number of pages. Faults: those of the source, provider_inconsistent, chain_rewritten_below_final. */
  read(watches: readonly WatchRow[], end: ChainEnd, settings: ChainSettings): Promise<void>;
  /** True while blocks below the head are unread that somebody serves: the next poll goes on with them at full pace. */
  isBehind(): boolean;
}

/** The head pass of one chain. */
export function createHeadPass(needs: {
  chain: ChainId;
  source: Providers;
  pages: PageReader;
  evidence: Evidence;
  unread: UnreadBlocks;
  rewinding: Rewinding;
  database: Database;
  watching: Watching;
  world: World;
}): HeadPass {
  const { chain, source, pages, evidence, unread, rewinding, database, watching, world } = needs;
  let behind = false;

  async function read(watches: readonly WatchRow[], end: ChainEnd, settings: ChainSettings): Promise<void> {
    if (watches.length === 0) return watching.quiet(chain, end);
    for (let rewound = false; ; rewound = true) {
      // As long as the newest header that was seen stands, so does everything below it.
      const mark = database.read((at) => headerAtOrBelow(at, chain, end.head.number));
      const left = () => pages.missing(watches, end.head.number);
      const broken = await readRanges(watches, end, mark, settings).finally(() => unread.settle(left()));
      if (broken === null) {
        // A block that nobody serves is no reason to hurry.
        behind = unread.without(left()).length > 0;
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
    settings: ChainSettings,
  ): Promise<BlockRef | null> {
    const { facts } = settings;
    const head = end.head.number;
    const first = Math.min(...watches.map((watch) => watch.start_block ?? head));
    const page = pageBlocks(settings);
    const found = pages.missing(watches, head);
    const [newest, ...others] = plan({
      missing: unread.without(found).toSorted(byBlock),
      head,
      first,
      overlap: facts.overlap,
      page,
    });
    const work = [
      ...unread.without(newest === undefined ? [] : [newest]).map((range) => ({ range, is_newest: true })),
      // Where the head went back, some of them may lie above it.
      ...[...unread.without(others), ...unread.due().filter(({ to }) => to <= head)].map((range) => ({
        range,
        is_newest: false,
      })),
    ];
    const until = world.elapsed() + catching_up_max_ms;
    let seen = mark;
    let read = 0;
    let halved = 0;
    let older = 0;
    let refused: Fault | null = null;
    for (let next = work.shift(); next !== undefined && read < pages_per_poll_max; next = work.shift()) {
      if (older > 0 && world.elapsed() >= until) break;
      const { range, is_newest } = next;
      const push = (parts: readonly Range[]) => work.unshift(...parts.map((range) => ({ range, is_newest })));
      const asked = { from: range.from, to: Math.min(range.to, range.from + facts.page_blocks - 1) };
      const page = await evidence.read(pages.ask(watches, asked, seen)).catch(async (error) => {
        if (seen !== null && errorCode(error) === "provider_lagging" && (await isMarkLost(seen, end.head))) return seen;
        return pages.unserved(error, asked.to === head);
      });
      // A header that was seen and is not served any more vouches for nothing: an older one has to.
      if ("hash" in page) return page;
      if (page instanceof Fault && page.code !== "provider_archive_only") {
        if (halved === halved_per_poll_max) throw page;
        halved += 1;
        if (asked.from === asked.to) unread.note({ block: asked.from, tx_hash: null, provider: null, fault: page });
        push([...(asked.from === asked.to ? [] : halves(asked)), { from: asked.to + 1, to: range.to }].filter(isRange));
        continue;
      }
      read += 1;
      if (!is_newest) older += 1;
      if (page instanceof Fault) {
        refused ??= page;
        push([{ from: upperHalf(range), to: range.to }].filter(isRange));
        continue;
      }
      const { answer } = page;
      if (seen !== null && answer.mark?.hash !== seen.hash) return seen;
      await pages.takeIn(page, "head", watches, end);
      // The next page must lie on the same branch as this one.
      if (seen === null || answer.end.number > seen.number) seen = answer.end;
      push([{ from: answer.to + 1, to: range.to }].filter(isRange));
    }
    if (read === 0) await watching.quiet(chain, end);
    if (refused !== null) throw refused;
    return null;
  }

  /** True where a header that was seen is not served, and the head above it is. */
  async function isMarkLost(mark: BlockRef, head: BlockRef): Promise<boolean> {
    const { headers } = await source.fetchEvidence({ hashes: [], heights: [mark.number, head.number] }, []);
    return headers.get(head.number)?.hash === head.hash && (headers.get(mark.number) ?? null) === null;
  }

  /** Blocks that one call reaches at the provider that takes most, of those that are well: the newest page must be one, or it ends before the head. */
  function pageBlocks({ facts: { page_blocks } }: ChainSettings): number {
    const reports = source.reports();
    const well = reports.filter(({ state }) => state === "well");
    const taken = (well.length > 0 ? well : reports).map(({ learned_range }) => learned_range ?? page_blocks);
    return Math.max(1, Math.min(page_blocks, Math.max(1, ...taken)));
  }

  return { read, isBehind: () => behind };
}

/** The upper half of a range, then the lower one. */
function halves({ from, to }: Range): Range[] {
  const middle = upperHalf({ from, to });
  return [
    { from: middle, to },
    { from, to: middle - 1 },
  ];
}

const isRange = ({ from, to }: Range) => from <= to;
const byBlock = (a: Range, b: Range) => a.from - b.from;
