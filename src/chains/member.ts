// One provider of a pool: asked or left alone, believed or not, and how well it does. Counts; never chooses.

import type { ChainId } from "../domain/assets.ts";
import { type Code, Fault, wordsOf } from "../domain/errors.ts";
import type { Telemetry } from "../telemetry.ts";
import type { World } from "../world.ts";
import { type CircuitState, createCircuit } from "./circuit.ts";
import { createHealth, type Health } from "./health.ts";
import type { ProviderHealth, ProviderState, Source } from "./source.ts";
import { createTrust, type Trust } from "./trust.ts";

/** The question was too much for this provider, or ahead of it: the next is asked, but nobody is unwell. */
const no_illness: readonly Code[] = [
  "provider_range_too_large",
  "provider_archive_only",
  "provider_lagging",
  "provider_cannot_answer",
];
const illness_points = 10;
const weakness_points = 2;
/** How long a provider is not asked for blocks as old as those it refused. */
const archive_memory_ms = 24 * 3_600_000;

const circuit_names: Record<CircuitState, ProviderState> = { closed: "well", open: "resting", half_open: "on_trial" };

export interface Member {
  /** Name as in the source's answers and reports. */
  provider: string;
  source: Source;
}

export interface PoolMember extends Member {
  health: Health;
  trust: Trust;
  /** May be asked now, for blocks from `oldest` on (null: for nothing that is old). */
  isFree(oldest: number | null): boolean;
  /** True when it has refused blocks as old as this one. */
  isTooOld(oldest: number | null): boolean;
  last_fault(): Fault | null;
  /** Asks it and takes note of how that went. Throws what the source throws. */
  ask<T>(verb: (source: Source, provider: string) => Promise<T>, oldest: number | null): Promise<T>;
  report(): ProviderHealth[];
}

export interface MemberNeeds {
  chain: ChainId;
  world: World;
  telemetry: Telemetry;
}

/** A member that nothing is known of. */
export function createMember({ provider, source }: Member, { chain, world, telemetry }: MemberNeeds): PoolMember {
  const circuit = createCircuit({ world });
  const health = createHealth({ world });
  const trust = createTrust({ world });
  let archive: { below: number; until: number } | null = null;

  const isTooOld = (oldest: number | null) =>
    oldest !== null && archive !== null && world.elapsed() < archive.until && oldest <= archive.below;

  function note(fault: Fault, oldest: number | null): void {
    if (fault.code === "provider_archive_only" && oldest !== null) {
      const below = Math.max(oldest, archive?.below ?? oldest);
      archive = { below, until: world.elapsed() + archive_memory_ms };
    }
    if (no_illness.includes(fault.code)) {
      circuit.withdraw();
      if (fault.code === "provider_lagging") health.failed(weakness_points);
      return;
    }
    health.failed(illness_points);
    const pause_ms = Math.round(circuit.fail(fault));
    telemetry.warn("provider failed", { chain, provider, code: fault.code, error: wordsOf(fault), pause_ms });
  }

  function state(): ProviderState {
    const trusted = trust.state();
    return trusted === "trusted" ? circuit_names[circuit.state()] : trusted;
  }

  /** A moment of `world.elapsed()` on the wall clock. */
  function wallTime(at: number | null): number | null {
    return at === null || at <= world.elapsed() ? null : Math.round(world.now() + at - world.elapsed());
  }

  return {
    provider,
    source,
    health,
    trust,
    isFree: (oldest) => trust.state() === "trusted" && circuit.admits() && !isTooOld(oldest),
    isTooOld,
    last_fault: circuit.last_fault,
    async ask(verb, oldest) {
      circuit.begin();
      try {
        const answer = await verb(source, provider);
        if (circuit.succeed()) telemetry.info("provider recovered", { chain, provider });
        return answer;
      } catch (error) {
        if (error instanceof Fault) note(error, oldest);
        else circuit.withdraw();
        throw error;
      }
    },
    report: () =>
      source.reports().map((report) => ({
        ...report,
        state: state(),
        state_until: wallTime(trust.frozen_until() ?? circuit.opens_at()),
        score: Math.round(health.score()),
        latency_ms: rounded(health.latency_ms()),
        lag_s: rounded(health.lag_s()),
        oldest_block: archive === null || world.elapsed() >= archive.until ? null : archive.below + 1,
      })),
  };
}

function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value);
}
