// The final pass: reads what has become final once more, from another provider where there is one. Checks what the head
// pass has read, never runs ahead of it.

import type { LogQuery } from "../../chains/source.ts";
import type { ChainSettings } from "../../config/config.ts";
import type { ChainId } from "../../domain/assets.ts";
import { gaps, intervalAt, type Range, union, upperHalf } from "../../domain/coverage.ts";
import { Fault } from "../../domain/errors.ts";
import type { ChainEnd } from "../../storage/chains.ts";
import { coverageByWatch, type WatchRow } from "../../storage/coverage.ts";
import type { Database } from "../../storage/engine/database.ts";
import { type TransferRow, transfersBetween } from "../../storage/transfers.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import type { Evidence } from "./evidence.ts";
import { type PageReader, pages_per_poll_max } from "./page-reader.ts";

/** The final pass follows the final block at this many polls' distance in time. */
const final_pass_polls = 15;
/** Providers whose branch is compared with the final block before a stretch is left to the next poll. */
const final_branch_tries_max = 2;

export interface FinalPass {
  /** Reads a bounded number of pages, where that is due. Faults: those of the source. */
  read(watches: readonly WatchRow[], end: ChainEnd, settings: ChainSettings): Promise<void>;
}

/** The final pass of one chain. */
export function createFinalPass(needs: {
  chain: ChainId;
  pages: PageReader;
  evidence: Evidence;
  database: Database;
  world: World;
  telemetry: Telemetry;
}): FinalPass {
  const { chain, pages, evidence, database, world, telemetry } = needs;
  let passed_at = Number.NEGATIVE_INFINITY;

  async function read(watches: readonly WatchRow[], end: ChainEnd, { facts, poll_ms }: ChainSettings): Promise<void> {
    if (watches.length === 0 || world.elapsed() - passed_at < poll_ms * final_pass_polls) return;
    const skipped: Range[] = [];
    let refused: Fault | null = null;
    let range: Range | undefined;
    let width = facts.page_blocks;
    for (let count = 0; count < pages_per_poll_max; count += 1) {
      const finally_read = database.read((at) => coverageByWatch(at, chain, "final"));
      const once = watches.flatMap((one) =>
        gaps(finally_read.get(one.id) ?? [], one.start_block ?? 0, end.final.number),
      );
      // Only what the head pass has read already: the final pass checks, it does not run ahead.
      const unread = [...pages.missing(watches, end.final.number), ...skipped];
      [range] = union(once).flatMap(({ from, to }) => gaps(unread, from, to));
      if (range === undefined) break;
      const { from } = range;
      const last = Math.min(range.to, from + width - 1);
      const head = database.read((at) => [...coverageByWatch(at, chain, "head").values()].flat());
      const reader = intervalAt(head, from);
      const asked = pages.ask(watches, { from, to: Math.min(last, reader?.to ?? last) }, null);
      const page = await readOnFinal(asked, end, reader?.provider).catch((error) => pages.unserved(error, false));
      if (page === null) {
        // Whoever is right shows at the next pass, not at the next poll.
        range = undefined;
        break;
      }
      if (page instanceof Fault) {
        const is_old = page.code === "provider_archive_only";
        if (is_old) refused ??= page;
        // A page is halved down to the block that is refused, which is left out.
        width = is_old || asked.from === asked.to ? facts.page_blocks : upperHalf(asked) - from;
        if (is_old) skipped.push({ from, to: upperHalf(range) - 1 });
        else if (asked.from === asked.to) skipped.push(asked);
        continue;
      }
      const { answer } = page;
      const stored = () => database.read((at) => transfersBetween(at, chain, answer.from, answer.to));
      const before = new Set(stored().map((row) => row.id));
      const left = await pages.takeIn(page, "final", watches, end);
      skipped.push(...left.map((block) => ({ from: block, to: block })));
      // What came before a wallet was watched, the head pass was not to read.
      const isWatched = ({ token, wallet, block_number }: TransferRow) =>
        watches.some(
          (one) =>
            one.token === token && one.wallet === wallet && one.start_block !== null && one.start_block <= block_number,
        );
      const missed = stored().filter((row) => !before.has(row.id) && isWatched(row)).length;
      if (missed > 0) telemetry.error("transfers_missed_by_head_pass", { chain, transfers: missed });
    }
    // Where more is left than one poll may read, the next poll goes on with it.
    if (range === undefined) passed_at = world.elapsed();
    if (refused !== null) throw refused;
  }

  /** Reads a page that lies on the branch of the final block; null when two providers show another block at its height. */
  async function readOnFinal(asked: LogQuery, { final }: ChainEnd, avoid: string | undefined) {
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

  return { read };
}
