// Several providers of one chain as one Source: the first that is well answers, one that failed is left alone for a
// while. It never waits: when all are being left alone it says so at once, and the caller's own period is the wait.

import type { ChainId } from "../domain/assets.ts";
import { type Code, Fault, wordsOf } from "../domain/errors.ts";
import type { Telemetry } from "../telemetry.ts";
import type { World } from "../world.ts";
import type { Matter, Providers, Source, Testimony } from "./source.ts";

const back_off_first_ms = 1_000;
const back_off_max_ms = 300_000;
/** A provider that asks for more patience than this is asked again all the same. */
const retry_after_max_s = 3_600;
/** How long a provider that the others contradict is asked nothing. */
const freeze_ms = 600_000;
/** The question was too much for this provider, or ahead of it: the next is asked, but nobody is unwell. */
const no_illness: readonly Code[] = [
  "provider_range_too_large",
  "provider_archive_only",
  "provider_lagging",
  "provider_cannot_answer",
];

export interface Member {
  /** Name as in the source's answers and reports. */
  provider: string;
  source: Source;
}

interface Patient extends Member {
  failures_in_a_row: number;
  /** On `world.elapsed()`. */
  rests_until: number;
  last_fault: Fault | null;
}

export interface PoolNeeds {
  chain: ChainId;
  /** In order of preference; at least one. */
  members: readonly Member[];
  world: World;
  telemetry: Telemetry;
}

/** A Source that asks its members in turn. Throws the last member's Fault when none could answer. */
export function createPool({ chain, members, world, telemetry }: PoolNeeds): Providers {
  const patients: Patient[] = members.map((member) => ({
    ...member,
    failures_in_a_row: 0,
    rests_until: 0,
    last_fault: null,
  }));

  async function first<T>(verb: (source: Source, provider: string) => Promise<T>, avoid?: string): Promise<T> {
    const awake = patients.filter(({ rests_until }) => rests_until <= world.elapsed());
    const turn = [...awake.filter(named(avoid, false)), ...awake.filter(named(avoid, true))];
    return inTurn(turn, verb);
  }

  async function inTurn<T>(
    turn: readonly Patient[],
    verb: (source: Source, provider: string) => Promise<T>,
  ): Promise<T> {
    let fault = patients.findLast(({ last_fault }) => last_fault !== null)?.last_fault ?? null;
    for (const patient of turn) {
      try {
        const answer = await verb(patient.source, patient.provider);
        recover(patient);
        return answer;
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        fault = error;
        if (!no_illness.includes(error.code)) rest(patient, error);
      }
    }
    throw fault ?? new Fault("provider_unreachable", "no provider is configured");
  }

  /** Doubling from a second to five minutes, up to half of it by chance so that nothing falls into step. */
  function rest(patient: Patient, fault: Fault): void {
    patient.failures_in_a_row++;
    patient.last_fault = fault;
    const [chance = 0] = world.random(1);
    const full = Math.min(back_off_first_ms * 2 ** (patient.failures_in_a_row - 1), back_off_max_ms);
    const own = full * (0.5 + chance / 512);
    const wished = Math.min(fault.retry_after_s ?? 0, retry_after_max_s) * 1000;
    const pause = Math.max(own, wished);
    patient.rests_until = world.elapsed() + pause;
    const { provider } = patient;
    const pause_ms = Math.round(pause);
    telemetry.warn("provider failed", { chain, provider, code: fault.code, error: wordsOf(fault), pause_ms });
  }

  function recover(patient: Patient): void {
    if (patient.failures_in_a_row > 0) telemetry.info("provider recovered", { chain, provider: patient.provider });
    patient.failures_in_a_row = 0;
    patient.last_fault = null;
  }

  return {
    identity: (tokens) => first((source) => source.identity(tokens)),
    heads: (tags) => first((source) => source.heads(tags)),
    read: (question, avoid) => first((source) => source.read(question), avoid),
    balances: (holdings, block) => first((source) => source.balances(holdings, block)),
    blocks: (numbers) => first((source) => source.blocks(numbers)),
    receipts: (hashes) => first((source) => source.receipts(hashes)),
    testify,
    distrust(provider) {
      const patient = patients.find((one) => one.provider === provider);
      if (patient !== undefined) patient.rests_until = world.elapsed() + freeze_ms;
    },
    reports: () => patients.flatMap(({ source }) => source.reports()),
  };

  async function testify(matter: Matter, heard: readonly string[]): Promise<Testimony> {
    if (heard.length === 0) return first((source, provider) => testimony(source, provider, matter));
    const parties = heard.map(partyOf);
    const others = patients.filter(({ provider }) => !parties.includes(partyOf(provider)));
    const awake = others.filter(({ rests_until }) => rests_until <= world.elapsed());
    try {
      if (awake.length > 0) return await inTurn(awake, (source, provider) => testimony(source, provider, matter));
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      throw new Fault("second_opinion_missing", `asked after ${heard.join(", ")}: ${wordsOf(error)}`);
    }
    const why =
      others.length === 0 ? "there is no provider of another company" : "the other providers do not answer now";
    throw new Fault("second_opinion_missing", `asked after ${heard.join(", ")}: ${why}`);
  }
}

/** Receipts, then the headers of their blocks: all of it must come from the same provider to mean anything. */
async function testimony(source: Source, provider: string, { hashes, heights }: Matter): Promise<Testimony> {
  const receipts = await source.receipts(hashes);
  const mined = receipts.flatMap((receipt) => receipt?.block.number ?? []);
  const numbers = [...new Set([...heights, ...mined])];
  const headers = await source.blocks(numbers);
  return {
    provider,
    receipts: new Map(hashes.map((hash, i) => [hash, receipts[i] ?? null])),
    headers: new Map(numbers.map((number, i) => [number, headers[i] ?? null])),
  };
}

/** Two keys at one host are one company: what it says twice is one opinion. */
function partyOf(provider: string): string {
  return provider.replace(/#\d+$/, "");
}

function named(provider: string | undefined, same: boolean): (member: Member) => boolean {
  return (member) => (member.provider === provider) === same;
}
