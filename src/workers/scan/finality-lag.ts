// Alarm for a chain whose finality tags fall behind its head: payments that need them wait.

import type { ChainId } from "../../domain/assets.ts";
import type { Heads } from "../../domain/finality.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";

const alarm_interval_ms = 600_000;

/** Logs `finality_late` when a tag is more than `late_tag_s` behind the head, at most every ten minutes. */
export function createFinalityLagAlarm(needs: {
  chain: ChainId;
  world: World;
  telemetry: Telemetry;
}): (heads: Heads, late_tag_s: number) => void {
  const { chain, world, telemetry } = needs;
  let alerted_at = Number.NEGATIVE_INFINITY;
  return ({ latest, safe, finalized }, late_tag_s) => {
    const behind_s = latest.time - Math.min(latest.time, ...[safe, finalized].flatMap((block) => block?.time ?? []));
    if (behind_s <= late_tag_s || world.elapsed() - alerted_at < alarm_interval_ms) return;
    alerted_at = world.elapsed();
    telemetry.error("finality_late", { chain, behind_s });
    telemetry.count("finality_late", { chain });
  };
}
