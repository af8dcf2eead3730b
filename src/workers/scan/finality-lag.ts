// The alarm for finality that stands still while its chain goes on: payments that need it wait.

import type { ChainId } from "../../domain/assets.ts";
import type { Heads } from "../../domain/finality.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";

const alarm_interval_ms = 600_000;

/** Looks at every reading of a chain's end; tells of tags more than `late_tag_s` behind it, at most every ten minutes. */
export function createLateness(needs: {
  chain: ChainId;
  world: World;
  telemetry: Telemetry;
}): (heads: Heads, late_tag_s: number) => void {
  const { chain, world, telemetry } = needs;
  let told_at = Number.NEGATIVE_INFINITY;
  return ({ latest, safe, finalized }, late_tag_s) => {
    const behind_s = latest.time - Math.min(latest.time, ...[safe, finalized].flatMap((block) => block?.time ?? []));
    if (behind_s <= late_tag_s || world.elapsed() - told_at < alarm_interval_ms) return;
    told_at = world.elapsed();
    telemetry.error("finality_late", { chain, behind_s });
    telemetry.count("finality_late", { chain });
  };
}
