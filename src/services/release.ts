// The end of quarantine: reserved amounts of closed deposits become free again. Never before the chain was read finally
// from the deposit's opening past its late window, unless nobody has served some blocks for another late window.

import type { LiveConfig } from "../config/config.ts";
import { gaps, type Interval, type Range } from "../domain/coverage.ts";
import { clockError } from "../storage/clocks.ts";
import { coveredIntervals, type WatchRow, watchesOf } from "../storage/coverage.ts";
import type { Database, Reader } from "../storage/engine/database.ts";
import { type ClosedReservation, closedReservations, releaseReservations } from "../storage/reservations.ts";
import { allUnserved, forgetUnserved, giveUpUnserved, noteUnserved, type UnservedRow } from "../storage/unserved.ts";
import type { Telemetry } from "../telemetry.ts";
import type { World } from "../world.ts";

/** Reservations looked at by one transaction. */
const slots_per_call_max = 200;
/** Calls of one run; the next run goes on behind the last of them. */
const calls_per_run_max = 50;
/**
 * Runs of this process that must find a hole before it is given up: some minutes. After a restart or a sleep of the machine the time
 * alone says nothing: nobody was asked meanwhile.
 */
const runs_before_giving_up_min = 60;

export interface Release {
  /** Frees amounts whose quarantine is over; looks at a bounded number per call. Resolves with how many. */
  releaseDue(): Promise<number>;
}

/** Final coverage of one watch, and the stretches below its end that are missing. */
interface Sight {
  watch: WatchRow;
  covered: readonly Interval[];
  holes: readonly Range[];
}

interface Hole extends Range {
  watch: WatchRow;
}

/** What there is to write. */
interface Plan {
  release: number[];
  /** Holes that hold up a release now. */
  note: Hole[];
  /** Of them, those that have done so for too long. */
  give_up: Hole[];
  forget: UnservedRow[];
}

/** Release by the live settings' late window. */
export function createRelease(needs: {
  database: Database;
  config: LiveConfig;
  world: World;
  telemetry: Telemetry;
}): Release {
  const { database, config, world, telemetry } = needs;
  const start = { closed_at: 0, id: 0 };
  // Amounts that stay reserved are looked at in turns, so that many of them never hide the next one.
  let after = start;
  let run = 0;
  /** The run that first found a hole, by watch and first block. */
  const found_in = new Map<string, number>();
  function isTried(key: string): boolean {
    const first = found_in.get(key) ?? run;
    found_in.set(key, first);
    return run - first >= runs_before_giving_up_min;
  }

  async function carryOut(due: readonly ClosedReservation[], late_window_ms: number): Promise<number> {
    // Most of the time there is nothing to write.
    if (isEmpty(database.read((at) => planOf(at, { due, late_window_ms, now: world.now(), isTried })))) return 0;
    const { released, given_up, forgotten } = await database.transact((tx) => {
      const plan = planOf(tx, { due, late_window_ms, now: tx.now, isTried });
      for (const row of plan.forget) forgetUnserved(tx, row);
      for (const hole of plan.note) noteUnserved(tx, hole.watch.id, hole);
      for (const { watch, from } of plan.give_up) giveUpUnserved(tx, { watch: watch.id, from_block: from });
      return { released: releaseReservations(tx, plan.release), given_up: plan.give_up, forgotten: plan.forget };
    });
    for (const row of forgotten) found_in.delete(keyOf(row.watch, row.from_block));
    for (const { watch, from, to } of given_up) {
      const { chain, wallet, label } = watch;
      telemetry.error("blocks_given_up", { chain, wallet, coin: label, from, to });
      telemetry.count("blocks_given_up", { chain });
    }
    return released;
  }

  return {
    async releaseDue() {
      // A clock that is wrong releases nothing.
      if (database.read((at) => clockError(at, world.now())) !== null) return 0;
      const { late_window_ms } = config.current().orders;
      let released = 0;
      run += 1;
      for (let calls = 0; calls < calls_per_run_max; calls++) {
        const closed_before = world.now() - late_window_ms;
        const due = database.read((at) => closedReservations(at, closed_before, after, slots_per_call_max));
        const last = due.at(-1);
        after = last === undefined || due.length < slots_per_call_max ? start : last;
        released += await carryOut(due, late_window_ms);
        if (after === start) break;
      }
      return released;
    },
  };
}

interface Due {
  due: readonly ClosedReservation[];
  late_window_ms: number;
  now: number;
  /** True when enough runs have found this hole. */
  isTried(key: string): boolean;
}

function planOf(at: Reader, { due: slots, late_window_ms, now, isTried }: Due): Plan {
  const see = sights(at);
  const noted = allUnserved(at);
  const plan: Plan = { release: [], note: [], give_up: [], forget: [] };
  const given_up = new Set<string>();
  for (const row of noted) {
    const isHole = holesIn(finalIntervals(at, row.watch), row.start_block).some(({ from }) => from === row.from_block);
    if (!isHole) plan.forget.push(row);
    else if (row.given_up_at !== null) given_up.add(keyOf(row.watch, row.from_block));
  }
  const known = new Map(noted.map((row) => [keyOf(row.watch, row.from_block), row]));
  const weighed = new Set<string>();
  for (const slot of slots) {
    const holes = holesBefore(slot, see(slot), late_window_ms);
    if (holes === null) continue;
    for (const hole of holes) {
      const key = keyOf(hole.watch.id, hole.from);
      if (weighed.has(key)) continue;
      weighed.add(key);
      const row = known.get(key);
      if (row?.to_block !== hole.to) plan.note.push(hole);
      const isTooLong = isTried(key) && row !== undefined && now - row.found_at >= late_window_ms;
      if (row === undefined || row.given_up_at !== null || !isTooLong) continue;
      plan.give_up.push(hole);
      given_up.add(key);
    }
    if (holes.every((hole) => given_up.has(keyOf(hole.watch.id, hole.from)))) plan.release.push(slot.id);
  }
  return plan;
}

function isEmpty({ release, note, give_up, forget }: Plan): boolean {
  return [release, note, give_up, forget].every((list) => list.length === 0);
}

const keyOf = (watch: number, from: number) => `${watch} ${from}`;
const finalIntervals = (at: Reader, watch: number) => coveredIntervals(at, watch, "final");

/** The stretches below the end of what is covered that are missing. */
function holesIn(covered: readonly Interval[], start: number | null): Range[] {
  return start === null ? [] : gaps(covered, start, covered.at(-1)?.to ?? -1);
}

/** The contracts of an amount's coin on its wallet, each read once. */
function sights(at: Reader): (slot: ClosedReservation) => Sight[] {
  const watches = new Map<string, WatchRow[]>();
  const seen = new Map<number, Sight>();
  return ({ chain, coin, wallet }) => {
    const all = watches.get(chain) ?? watchesOf(at, chain);
    watches.set(chain, all);
    return all
      .filter((watch) => watch.coin === coin && watch.wallet === wallet)
      .map((watch) => {
        const known = seen.get(watch.id);
        if (known !== undefined) return known;
        const covered = finalIntervals(at, watch.id);
        const sight = { watch, covered, holes: holesIn(covered, watch.start_block) };
        seen.set(watch.id, sight);
        return sight;
      });
  };
}

/**
 * The holes between the opening of an amount's deposit and the end of its late window, of every contract; null while one
 * was not read finally past that end.
 */
function holesBefore(slot: ClosedReservation, all: readonly Sight[], late_window_ms: number): Hole[] | null {
  const ends = slot.closed_at + late_window_ms;
  const found: Hole[] = [];
  for (const { watch, covered, holes } of all) {
    // The next block may have the same time.
    const past = covered.find(({ time }) => time !== null && time * 1000 > ends);
    if (watch.start_block === null || past === undefined) return null;
    // Blocks up to the head at its opening cannot pay it.
    const from = slot.opened_head === null ? watch.start_block : slot.opened_head + 1;
    found.push(...holes.filter((hole) => hole.to >= from && hole.from <= past.to).map((hole) => ({ ...hole, watch })));
  }
  return all.length === 0 ? null : found;
}
