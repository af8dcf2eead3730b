// How far a chain was rewritten, and the coverage that this takes back. What was final stays, unless the chain itself says
// now that it never was.

import type { Providers } from "../../chains/source.ts";
import type { ChainId } from "../../domain/assets.ts";
import { Fault } from "../../domain/errors.ts";
import type { BlockRef } from "../../domain/finality.ts";
import type { Watching } from "../../services/watching.ts";
import { type ChainEnd, chainRow, headersBelow } from "../../storage/chains.ts";
import { coverageByWatch, type Pass } from "../../storage/coverage.ts";
import type { Database } from "../../storage/engine/database.ts";
import type { Telemetry } from "../../telemetry.ts";

const marks_per_rewind_max = 1000;
const marks_per_batch = 20;

export interface Rewinding {
  /**
   * Takes coverage back to the newest remembered header that still stands below `broken`, which no longer does. `end`:
   * the chain as it is read now. Faults: chain_rewritten_below_final, and those of the source.
   */
  rewind(broken: BlockRef, end: ChainEnd): Promise<void>;
  /** The newest remembered header at or below a block that the chain still shows; null when it shows none of them. */
  standingAt(number: number): Promise<BlockRef | null>;
}

/** The rewinding of one chain. */
export function createRewinding(needs: {
  chain: ChainId;
  source: Providers;
  database: Database;
  watching: Watching;
  telemetry: Telemetry;
}): Rewinding {
  const { chain, source, database, watching, telemetry } = needs;

  async function rewindTo(top: number, passes?: readonly Pass[]): Promise<void> {
    telemetry.warn("chain_rewritten", { chain, above: top });
    telemetry.count("chain_rewritten", { chain });
    await watching.rewind(chain, top, passes);
  }

  /** The newest of the remembered headers that still stands; null when none does. */
  async function newestStanding(marks: readonly BlockRef[]): Promise<BlockRef | null> {
    for (let done = 0; done < marks.length; done += marks_per_batch) {
      const part = marks.slice(done, done + marks_per_batch);
      const { headers } = await source.fetchEvidence({ hashes: [], heights: part.map((mark) => mark.number) }, []);
      const standing = part.find((mark) => headers.get(mark.number)?.hash === mark.hash);
      if (standing !== undefined) return standing;
    }
    return null;
  }

  function standingAt(number: number): Promise<BlockRef | null> {
    return newestStanding(database.read((at) => headersBelow(at, chain, number, marks_per_rewind_max)));
  }

  /** True where providers of two operators show the same other block in the place of one. */
  async function isDeniedByTwo({ number, hash }: BlockRef): Promise<boolean> {
    const matter = { hashes: [], heights: [number] };
    const first = await source.fetchEvidence(matter, []);
    const second = await source.fetchEvidence(matter, [first.provider]).catch(unlessMissing);
    const [shown, other] = [first, second].map((one) => one?.headers.get(number)?.hash ?? null);
    return shown !== null && shown !== hash && shown === other;
  }

  /** The last block that was read as final; -1 while none was. */
  function readFinally(): number {
    const covered = database.read((at) => coverageByWatch(at, chain, "final"));
    return Math.max(-1, ...[...covered.values()].flatMap((all) => all.at(-1)?.to ?? -1));
  }

  return {
    standingAt,

    async rewind(broken, end) {
      const known = database.read((at) => chainRow(at, chain));
      // A count of blocks below a head that was not there made nothing final. What was read as final says more.
      const final = Math.min(
        known?.final_number ?? -1,
        known?.final_hash === null ? readFinally() : Number.POSITIVE_INFINITY,
      );
      const marks = database.read((at) => headersBelow(at, chain, broken.number - 1, marks_per_rewind_max));
      const standing = await newestStanding(marks);
      const [top, receded_to] = [standing?.number ?? -1, end.final.number];
      const isFinalStanding = async () =>
        known?.final_hash != null && (await source.blocks([final]))[0]?.hash === known.final_hash;
      const below_final = [broken, ...marks].some(({ number }) => number > top && number <= final);
      if (standing !== null && !below_final) {
        // Final coverage above the header that stands may have been read of a chain end that was invented.
        return rewindTo(top, top >= final || (await isFinalStanding()) ? ["head"] : ["head", "final"]);
      }
      const wasCounted = known?.final_hash === null;
      const hasReceded = broken.number > receded_to && receded_to < final;
      if (hasReceded || (below_final && wasCounted && (await isDeniedByTwo(broken)))) {
        // One reading called blocks final that the chain does not: nothing above the end that is final now was read for good.
        telemetry.error("finality_receded", { chain, from: final, to: receded_to });
        telemetry.count("finality_receded", { chain });
        return rewindTo(Math.min(top, receded_to), ["head", "final"]);
      }
      // While the final block itself stands, it was a provider's stale branch that was read, beside the head of another.
      if (below_final && !(await isFinalStanding())) {
        throw new Fault("chain_rewritten_below_final", `block ${broken.number} changed although ${final} was final`);
      }
      return rewindTo(top);
    },
  };
}

function unlessMissing(error: unknown): null {
  if (error instanceof Fault && error.code === "second_opinion_missing") return null;
  throw error;
}
