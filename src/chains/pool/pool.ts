// Several providers of one chain as one Source: the best one that is well answers, and what it cannot answer the next
// one is asked. It never waits: when all are being left alone it says so at once, and the caller's own period is the wait.

import { type Code, errorText, Fault } from "../../domain/errors.ts";
import type { BlockRef, FinalityTag } from "../../domain/finality.ts";
import type { Receipt } from "../../domain/payment.ts";
import { operatorOf } from "../../domain/provider.ts";
import type { EvidenceQuery, ProviderEvidence, ProviderHeads, Providers, Source } from "../source.ts";
import { createHealthCheck } from "./health-check.ts";
import { createMember, type Depth, type Member, type MemberNeeds, type PoolMember } from "./member.ts";
import { completeTags } from "./tags.ts";

/** How much better another provider must do before a place in the list is worth less. */
const place_points = 20;
const place_points_max = 60;
/** How much better another one must rank before it is preferred: two that do alike do not take turns. */
const switch_margin = 10;
/** Refusals that end in an alarm when every provider gives them. */
const alarming: readonly Code[] = ["provider_range_too_large", "provider_archive_only", "provider_refused"];
const alarm_interval_ms = 600_000;

export interface PoolNeeds extends MemberNeeds {
  /** In order of preference; at least one. */
  members: readonly Member[];
}

/** What a verb is asked for: how far back, and whom to ask last. */
interface Wish {
  depth?: Depth | null;
  avoid?: string | undefined;
  /** What was asked may be the reason when all fail: a provider that states its head all the same is not left alone. */
  excusable?: boolean;
}

/** A Source that asks its members in turn. Throws the last member's Fault when none could answer. */
export function createPool(needs: PoolNeeds): Providers {
  const { chain, world, telemetry } = needs;
  const members = needs.members.map((member) => createMember(member, needs));
  const survey = createHealthCheck({ ...needs, members, fetchFrom });
  let preferred = 0;
  let alarmed_at = Number.NEGATIVE_INFINITY;

  const rank = (place: number) =>
    (members[place]?.health.score() ?? 0) - Math.min(place_points_max, place * place_points);

  /** Members in the order in which they should be asked, whether they may be asked or not. */
  function ranked(): PoolMember[] {
    const places = [...members.keys()].sort((a, b) => rank(b) - rank(a));
    const [best = 0] = places;
    if (rank(best) > rank(preferred) + switch_margin) {
      const [from, to] = [members[preferred], members[best]];
      telemetry.info("provider_preferred", { chain, provider: to?.provider, before: from?.provider });
      preferred = best;
    }
    return [preferred, ...places.filter((place) => place !== preferred)].flatMap((place) => members[place] ?? []);
  }

  async function first<T>(verb: (source: Source, provider: string) => Promise<T>, wish: Wish = {}): Promise<T> {
    const { depth = null, avoid, excusable = false } = wish;
    const free = available(ranked(), depth);
    const turn = avoid === undefined ? free : free.toSorted((a, b) => kinship(a, avoid) - kinship(b, avoid));
    return inTurn(turn, verb, depth, excusable);
  }

  async function inTurn<T>(
    turn: readonly PoolMember[],
    verb: (source: Source, provider: string) => Promise<T>,
    depth: Depth | null,
    excusable = false,
  ): Promise<T> {
    const failed: { member: PoolMember; fault: Fault }[] = [];
    for (const member of turn) {
      try {
        const answer = await member.ask(verb, depth, !excusable);
        if (excusable) for (const one of failed) one.member.note(one.fault, depth);
        return answer;
      } catch (error) {
        if (error instanceof Fault) failed.push({ member, fault: error });
        else {
          if (excusable) for (const one of failed) one.member.note(one.fault, depth);
          throw error;
        }
      }
    }
    // What nobody answers may be the question's fault: then those that are well stay so.
    if (excusable) for (const { member, fault } of failed) member.note(fault, depth, await member.isExcused(fault));
    throw alarm(failed.at(-1)?.fault ?? nobody(depth));
  }

  /** Why nobody was asked. */
  function nobody(depth: Depth | null): Fault {
    const trusted = members.filter(({ trust }) => trust.state() === "trusted");
    if (trusted.length > 0 && trusted.every((member) => member.isTooOld(depth))) {
      const what = depth?.of === "balances" ? `balances at block ${depth.block}` : `block ${depth?.block}`;
      const words = `none of its providers serves ${what}; list one that keeps the whole history (rpc_urls)`;
      return new Fault("provider_archive_only", words);
    }
    if (trusted.length > 0 && trusted.every(({ quota }) => !quota.hasPlenty())) {
      const words = "requests_per_day of all its providers are nearly used up: read slowly until midnight UTC";
      return new Fault("provider_rate_limited", `${words}; raise the limit or list another provider`);
    }
    const resting = trusted.findLast((member) => member.last_fault() !== null)?.last_fault();
    return resting ?? new Fault("provider_unreachable", "no provider may be asked now");
  }

  /** Says so loudly when a person has to act: no provider will do what must be done. */
  function alarm(fault: Fault): Fault {
    if (!alarming.includes(fault.code) || world.elapsed() - alarmed_at < alarm_interval_ms) return fault;
    alarmed_at = world.elapsed();
    telemetry.error("all_providers_refuse", { chain, code: fault.code, error: errorText(fault) });
    telemetry.count("all_providers_refuse", { chain, code: fault.code });
    return fault;
  }

  /** An answer from a provider run by none of `excluded`. */
  async function beside<T>(
    excluded: readonly string[],
    verb: (source: Source, provider: string) => Promise<T>,
  ): Promise<T> {
    const parties = excluded.map(operatorOf);
    const others = ranked().filter(({ provider }) => !parties.includes(operatorOf(provider)));
    const free = available(others, null);
    try {
      if (free.length > 0) return await inTurn(free, verb, null);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      throw missing(excluded, errorText(error));
    }
    throw missing(
      excluded,
      others.length === 0 ? "there is no provider of another company" : "no other provider may be asked now",
    );
  }

  /** Receipts, then the headers of their blocks: all of it must come from the same provider to mean anything. */
  async function fetchFrom(
    source: Source,
    provider: string,
    { hashes, heights }: EvidenceQuery,
  ): Promise<ProviderEvidence> {
    const { refusals } = memberOf(provider);
    const head = () => source.heads([]);
    const found = await refusals.ask(hashes, source.receipts, head);
    const refused = new Map<string, Fault>();
    const receipts = new Map<string, Receipt | null>();
    for (const [hash, answer] of found) {
      if (answer instanceof Fault) refused.set(hash, answer);
      else receipts.set(hash, answer);
    }
    const mined = [...receipts.values()].flatMap((receipt) => receipt?.block.number ?? []);
    const headers = new Map<number, BlockRef | null>();
    for (const [number, answer] of await refusals.ask([...new Set([...heights, ...mined])], source.blocks, head)) {
      if (!(answer instanceof Fault)) headers.set(number, answer);
    }
    return { provider, receipts, refused, headers };
  }

  function memberOf(provider: string): PoolMember {
    const member = members.find((one) => one.provider === provider);
    if (member === undefined) throw new Error(`${provider} is no provider of this pool`);
    return member;
  }

  return {
    identity: (tokens) => first((source) => source.identity(tokens)),
    async heads(asked) {
      const { heads, provider, took_ms } = await first(async (source, provider) => {
        const began = world.elapsed();
        return { heads: await source.heads(asked), provider, took_ms: world.elapsed() - began };
      });
      survey.answered(provider, heads.latest, took_ms);
      const others = available(ranked(), null).filter((member) => member.provider !== provider);
      const asks = others.map((member) => ({
        provider: member.provider,
        ask: (wanted: readonly FinalityTag[]) => member.ask((source) => source.heads(wanted), null),
      }));
      const own = members.find((member) => member.provider === provider);
      const stands = async ({ number, hash }: BlockRef) => {
        const headers = await own?.ask((source) => source.blocks([number]), null);
        return headers?.[0]?.hash === hash;
      };
      return completeTags({ provider, heads }, asked, asks, stands);
    },
    independentHeads: (asked, excluded) => beside(excluded, (source, provider) => ownHeads(source, provider, asked)),
    read: (question, avoid) =>
      first((source) => source.read(question), { depth: { of: "logs", block: question.from }, avoid, excusable: true }),
    balances: (holdings, block, or_later) =>
      first((source) => source.balances(holdings, block, or_later), { depth: { of: "balances", block } }),
    blocks: (numbers) => first((source) => source.blocks(numbers), { excusable: true }),
    receipts: (hashes) => first((source) => source.receipts(hashes), { excusable: true }),
    fetchEvidence(matter, excluded) {
      const verb = (source: Source, provider: string) => fetchFrom(source, provider, matter);
      return excluded.length === 0 ? first(verb) : beside(excluded, verb);
    },
    distrust(provider, matter) {
      const member = members.find((one) => one.provider === provider);
      if (member?.trust.state() !== "trusted") return;
      member.trust.freeze(matter);
      telemetry.error("provider_frozen", { chain, provider, error: "the others contradict it" });
      telemetry.count("provider_frozen", { chain, provider });
    },
    reports: () => members.flatMap((member) => member.report()),
  };
}

/** Those that may be asked now: out of plenty, else out of what is left of the day. */
function available(members: readonly PoolMember[], depth: Depth | null): PoolMember[] {
  const plenty = members.filter((member) => member.isFree(depth));
  return plenty.length > 0 ? plenty : members.filter((member) => member.isFreeSlowly(depth));
}

function missing(excluded: readonly string[], why: string): Fault {
  return new Fault("second_opinion_missing", `asked after ${excluded.join(", ")}: ${why}`);
}

/** One provider's heads with every tag that was asked for. Fault `provider_cannot_answer` where it does not serve one. */
async function ownHeads(source: Source, provider: string, asked: readonly FinalityTag[]): Promise<ProviderHeads> {
  const heads = await source.heads(asked);
  const unserved = asked.find((tag) => heads[tag] === null);
  if (unserved === undefined) return { provider, heads };
  throw new Fault("provider_cannot_answer", `${provider}: serves no ${unserved} block`);
}

/** How close a member is to a provider that is to be asked last: it is another company, the same one, or the very one. */
function kinship({ provider }: Member, avoided: string): number {
  if (provider === avoided) return 2;
  return operatorOf(provider) === operatorOf(avoided) ? 1 : 0;
}
