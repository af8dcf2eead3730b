// Looks now and then at the providers that are not being asked: whether they are well, how far behind, and whether one
// that was distrusted agrees again. In the background of a poll, one look per provider at a time; never in its way.

import { Fault } from "../../domain/errors.ts";
import type { BlockRef } from "../../domain/finality.ts";
import type { EvidenceQuery, ProviderEvidence, Source } from "../source.ts";
import type { MemberNeeds, PoolMember } from "./member.ts";

const look_interval_ms = 300_000;
/** Sooner while the head stands still: the one that is asked may be the one that is stuck. */
const stuck_look_interval_ms = 30_000;

export interface HealthCheck {
  /** A provider answered its head: compares notes with the others where that is due. Returns at once. */
  answered(provider: string, head: BlockRef, took_ms: number): void;
}

export interface HealthCheckNeeds extends MemberNeeds {
  members: readonly PoolMember[];
  fetchFrom(source: Source, provider: string, matter: EvidenceQuery): Promise<ProviderEvidence>;
}

/** A survey that counts from now. */
export function createHealthCheck({ chain, members, fetchFrom, world, telemetry }: HealthCheckNeeds): HealthCheck {
  const began = world.elapsed();
  const looked_at = new Map<PoolMember, number>();
  const looking = new Set<PoolMember>();
  let seen = { number: -1, at: began };

  async function look(member: PoolMember, asked: PoolMember, best: BlockRef): Promise<void> {
    const start = world.elapsed();
    const head = (await member.ask((source) => source.heads([]), null)).latest;
    member.health.answered(world.elapsed() - start);
    member.health.behind(best.time - head.time);
    asked.health.behind(head.time - best.time);
  }

  async function probe(member: PoolMember, asked: PoolMember, matter: EvidenceQuery): Promise<void> {
    const [own, trusted] = [
      await fetchFrom(member.source, member.provider, matter),
      await fetchFrom(asked.source, asked.provider, matter),
    ];
    const { provider } = member;
    if (member.trust.weigh(own, trusted)) telemetry.info("provider_trusted_again", { chain, provider });
  }

  function isDue(member: PoolMember): boolean {
    if (!member.isFree(null)) return false;
    if (member.last_fault() !== null) return true;
    const stuck = world.elapsed() - seen.at > stuck_look_interval_ms;
    return world.elapsed() - (looked_at.get(member) ?? began) >= (stuck ? stuck_look_interval_ms : look_interval_ms);
  }

  async function quietly(member: PoolMember, act: () => Promise<void>): Promise<void> {
    looking.add(member);
    try {
      await act();
    } catch (error) {
      // What a provider refuses is in its own books already.
      if (!(error instanceof Fault)) telemetry.error("survey_failed", { chain, error: String(error) });
    } finally {
      looking.delete(member);
    }
  }

  return {
    answered(provider, head, took_ms) {
      const asked = members.find((member) => member.provider === provider);
      if (asked === undefined) return;
      asked.health.answered(took_ms);
      if (head.number > seen.number) seen = { number: head.number, at: world.elapsed() };
      for (const member of members) {
        if (member === asked || looking.has(member)) continue;
        const matter = member.trust.question();
        if (matter !== null) void quietly(member, () => probe(member, asked, matter));
        else if (isDue(member)) {
          looked_at.set(member, world.elapsed());
          void quietly(member, () => look(member, asked, head));
        }
      }
    },
  };
}
