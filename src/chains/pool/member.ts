// One provider of a pool: asked or left alone, believed or not, and how well it does. Counts; never chooses.

import type { ChainId } from "../../domain/assets.ts";
import { type Code, errorText, Fault } from "../../domain/errors.ts";
import type { ProviderState } from "../../domain/provider.ts";
import { createRequestQuota, type RequestQuota } from "../../limits/request-quota.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import type { ProviderHealth, Source } from "../source.ts";
import { type CircuitState, createCircuit } from "./circuit.ts";
import { createHealth, type Health } from "./health.ts";
import { createItemRefusals, type ItemRefusals, isAlive, mayConcernItems } from "./item-refusals.ts";
import { createProviderQuarantine, type ProviderQuarantine } from "./quarantine.ts";

/** The question was too much for this provider, or ahead of it: the next is asked, but nobody is unwell. */
const no_illness: readonly Code[] = [
  "provider_range_too_large",
  "provider_archive_only",
  "provider_lagging",
  "provider_cannot_answer",
];
/** Said of us, not of what was asked. */
const inexcusable: readonly Code[] = ["provider_rate_limited", "provider_refused"];
const no_limits = { per_second: null, per_day: null };
const illness_points = 10;
const weakness_points = 2;
const day_ms = 86_400_000;
/** How long a provider is not asked for blocks as old as those it refused. */
const archive_memory_ms = 24 * 3_600_000;

const circuit_names: Record<CircuitState, ProviderState> = { closed: "well", open: "resting", half_open: "on_trial" };

/** How far back a question goes. A node keeps balances of the past for a shorter time than the logs of it. */
export interface Depth {
  of: "logs" | "balances";
  block: number;
}

export interface Member {
  /** Name as in the source's answers and reports. */
  provider: string;
  source: Source;
  /** What the source pays its calls from, where it is one that counts them. */
  quota?: RequestQuota;
}

export interface PoolMember extends Member {
  quota: RequestQuota;
  health: Health;
  trust: ProviderQuarantine;
  /** May be asked now, back to that depth (null: for nothing that is old). */
  isFree(depth: Depth | null): boolean;
  /** The same, with what is left of a day's allowance that is nearly used up. */
  isFreeSlowly(depth: Depth | null): boolean;
  /** True when it has refused the like of blocks as old as this one. */
  isTooOld(depth: Depth | null): boolean;
  last_fault(): Fault | null;
  /** What it refuses of receipts and headers. */
  refusals: ItemRefusals;
  /** Asks it and takes note of how that went, of failures only with `notes_failure`. Throws what the source throws. */
  ask<T>(
    verb: (source: Source, provider: string) => Promise<T>,
    depth: Depth | null,
    notes_failure?: boolean,
  ): Promise<T>;
  /** Takes note of a failure. `is_excused`: what was asked was the reason; the provider is not left alone for it. */
  note(fault: Fault, depth: Depth | null, is_excused?: boolean): void;
  /** True when what was asked may be the reason of a failure: the provider states its head all the same. */
  isExcused(fault: Fault): Promise<boolean>;
  report(): ProviderHealth[];
}

export interface MemberNeeds {
  chain: ChainId;
  world: World;
  telemetry: Telemetry;
}

/** A member that nothing is known of. */
export function createMember(member: Member, { chain, world, telemetry }: MemberNeeds): PoolMember {
  const { provider, source, quota = createRequestQuota({ world, limits: no_limits, used: null }) } = member;
  const circuit = createCircuit({ world });
  const health = createHealth({ world });
  const trust = createProviderQuarantine({ world });
  const refusals = createItemRefusals({ world });
  const refused = new Map<Depth["of"], { through: number; until: number }>();
  let told_spent_on: number | null = null;

  /** Up to which block it has refused what it keeps of the past; null where it has not, or long ago. */
  function refusedThrough(what: Depth["of"]): number | null {
    const known = refused.get(what);
    return known === undefined || world.elapsed() >= known.until ? null : known.through;
  }

  const isTooOld = (depth: Depth | null) => depth !== null && depth.block <= (refusedThrough(depth.of) ?? -1);

  async function isExcused(fault: Fault): Promise<boolean> {
    if (no_illness.includes(fault.code) || inexcusable.includes(fault.code) || !mayConcernItems(fault)) return false;
    return isAlive(world, () => source.heads([]));
  }

  function note(fault: Fault, depth: Depth | null, is_excused = false): void {
    if (fault.code === "provider_archive_only" && depth !== null) {
      const through = Math.max(depth.block, refusedThrough(depth.of) ?? depth.block);
      refused.set(depth.of, { through, until: world.elapsed() + archive_memory_ms });
    }
    if (is_excused) {
      health.failed(illness_points);
      circuit.withdraw();
      return;
    }
    if (no_illness.includes(fault.code) || !quota.hasPlenty()) {
      circuit.withdraw();
      if (fault.code === "provider_lagging") health.failed(weakness_points);
      return;
    }
    health.failed(illness_points);
    const pause_ms = Math.round(circuit.fail(fault));
    telemetry.warn("provider_failed", { chain, provider, code: fault.code, error: errorText(fault), pause_ms });
  }

  /** Once a day. */
  function warnWhenSpent(): void {
    const { day, day_calls } = quota.usage();
    if (quota.hasPlenty() || told_spent_on === day) return;
    told_spent_on = day;
    const { per_day } = quota;
    telemetry.warn("provider_budget_spent", { chain, provider, calls: day_calls, requests_per_day: per_day });
    telemetry.count("provider_budget_spent", { chain, provider });
  }

  function state(): ProviderState {
    const trusted = trust.state();
    if (trusted === "trusted" && !quota.hasPlenty()) return "budget_spent";
    return trusted === "trusted" ? circuit_names[circuit.state()] : trusted;
  }

  function stateUntil(): number | null {
    if (state() === "budget_spent") return (quota.usage().day + 1) * day_ms;
    return wallTime(trust.frozen_until() ?? circuit.opens_at());
  }

  /** A moment of `world.elapsed()` on the wall clock. */
  function wallTime(at: number | null): number | null {
    return at === null || at <= world.elapsed() ? null : Math.round(world.now() + at - world.elapsed());
  }

  const isWell = (depth: Depth | null) => trust.state() === "trusted" && circuit.admits() && !isTooOld(depth);
  const oldestBlock = () => {
    const through = refusedThrough("logs");
    return through === null ? null : through + 1;
  };

  return {
    provider,
    source,
    quota,
    health,
    trust,
    refusals,
    isFree: (depth) => isWell(depth) && quota.hasPlenty(),
    isFreeSlowly: (depth) => isWell(depth) && quota.trickles(),
    isTooOld,
    last_fault: circuit.last_fault,
    note,
    isExcused,
    async ask(verb, depth, notes_failure = true) {
      circuit.begin();
      try {
        const answer = await verb(source, provider);
        if (circuit.succeed()) telemetry.info("provider_recovered", { chain, provider });
        return answer;
      } catch (error) {
        if (!(error instanceof Fault)) circuit.withdraw();
        else if (notes_failure) note(error, depth);
        throw error;
      } finally {
        warnWhenSpent();
      }
    },
    report: () =>
      source.reports().map((report) => ({
        ...report,
        ...quota.usage(),
        state: state(),
        state_until: stateUntil(),
        score: Math.round(health.score()),
        latency_ms: rounded(health.latency_ms()),
        lag_s: rounded(health.lag_s()),
        oldest_block: oldestBlock(),
      })),
  };
}

function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value);
}
