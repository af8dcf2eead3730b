// One world from one seed: sets the stage, lets the actors act step by step with the invariants behind each, then
// lets everything come to rest honestly and checks the end. The same seed is the same run, to the last log line.

import { Database as Sqlite } from "bun:sqlite";
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCast } from "./cast.ts";
import { checkEnd, isAtRest, isQuiet } from "./ending.ts";
import { createInvariants, type Invariants } from "./invariants.ts";
import type { Product } from "./process.ts";
import { createRandom } from "./random.ts";
import { count, type Tally } from "./tally.ts";
import { templateOf } from "./template.ts";
import { createTimeline } from "./timeline.ts";
import { realTurn, setTraps } from "./traps.ts";
import { Death } from "./world.ts";

export interface Outcome {
  seed: number;
  /** Null when everything held. */
  violation: { step: number; words: string } | null;
  /** Of every line of the trace, in order. */
  hash: string;
  /** Virtual ms in which the actors acted: neither frozen nor waiting for the end. */
  busy_ms: number;
  /** How often each kind of thing happened. */
  tally: Tally;
  /** Only when asked for. */
  trace: string[];
}

export interface RunOptions {
  product: Product;
  seed: number;
  steps: number;
  /** How much longer than a few seconds the actors wait between two actions: 1, or a factor. */
  pace?: number;
  /** Traits that the world has whatever its seed says. */
  forced?: readonly string[];
  /** Keeps the lines of the trace. */
  trace?: boolean;
  /** A folder to copy the database to, as the world left it. */
  keep?: string | undefined;
}

const often_checked_steps = 300;
const seldom_every_steps = 50;
const settle_ms = 20_000;
/** Between two pauses: long enough for every loop to run, and for what they send to be answered. */
const awake_ms = 2600;
/** A provider that takes two blocks at a time needs longer. */
const settle_more_max = 320;
const stop_max_ms = 10_000;
/** Long enough for the last retry of a webhook; a world that has come to rest sooner waits no longer. */
const quiet_pauses_s = [4, 20, 60, 120, 240, 300, 300, 300, 600, 1200, 2400, 2400, 2400, 2400, 2400];

/** Runs the world of a seed. Never throws for what the product does. */
export async function runSeed({
  product,
  seed,
  steps,
  trace: traced = false,
  keep,
  pace = 1,
  forced = [],
}: RunOptions): Promise<Outcome> {
  const template = await templateOf(product);
  const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "ocrch-simulation-"));
  const path = join(folder, "ocrch.db");
  writeFileSync(path, template);
  const trace: string[] = [];
  let hash = 0n;
  let step = 0;
  let violation: Outcome["violation"] = null;
  let busy_ms = 0;
  const tally: Tally = new Map();
  const counted = (kind: string) => count(tally, kind);
  /** Our own look at the database, from the moment there is something to see. */
  let book = null as { db: Sqlite; invariants: Invariants } | null;
  let over = false;

  const random = createRandom(seed, "world");
  const timeline = createTimeline({ run: guarded, turnEnded: () => turnEnded() });
  function note(line: string): void {
    // The folder is the one thing that differs between two runs.
    const text = `${Math.round(timeline.now())} ${line.replaceAll(folder, "")}`;
    hash = BigInt(Bun.hash(text, hash));
    if (traced) trace.push(text);
  }
  function fail(words: string): void {
    note(`VIOLATION ${words}`);
    violation ??= { step, words };
  }
  function guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof Death)) fail(`an error escaped into a timer: ${describe(error)}`);
    }
  }

  const { stage, fate, restorer, actions } = createCast({
    product,
    seed,
    forced,
    path,
    random,
    timeline,
    note,
    count: counted,
    fail,
  });
  const { server, chains } = stage;
  const weights = Object.fromEntries(Object.entries(actions).map(([name, { weight }]) => [name, weight]));

  function turnEnded(): void {
    if (!server.bury() || over) return;
    restore();
    timeline.at(fate.downtime(), () => {
      restore();
      restorer.starting();
      server.start();
    });
  }
  /** A copy takes the place of the database; what it holds was judged before it was made. */
  function restore(): void {
    if (book === null || !restorer.isDue()) return;
    check(true);
    book.db.close();
    restorer.replace();
    open();
    book.invariants.begin();
  }
  function open(): void {
    const db = new Sqlite(path, { readonly: true });
    book = { db, invariants: createInvariants(stage, db) };
  }
  function check(thorough = false): void {
    if (book === null && server.isReady()) open();
    book?.invariants.check(thorough);
  }

  const stray: unknown[] = [];
  const onRejection = (error: unknown) => {
    if (!(error instanceof Death)) stray.push(error);
  };
  process.on("unhandledRejection", onRejection);
  const removeTraps = setTraps((name) => fail(`something bypassed the world: ${name}`));
  try {
    for (const chain of Object.values(chains)) chain.start();
    guarded(() => server.start());
    timeline.settle();
    for (step = 1; step <= steps && violation === null; step++) {
      const name = random.weighted(weights);
      note(`step ${step}: ${name}`);
      counted(`action ${name}`);
      guarded(
        () => void Promise.resolve(actions[name]?.act()).catch((error: unknown) => fail(`${name}: ${describe(error)}`)),
      );
      timeline.settle();
      const pause_ms = pace * (random.chance(50) ? random.below(2400) : random.below(16_000));
      timeline.advance(pause_ms);
      busy_ms += pause_ms;
      if (steps <= often_checked_steps || step % seldom_every_steps === 0) check();
    }
    if (violation === null) rest();
  } catch (error) {
    fail(`the simulation itself failed: ${describe(error)}`);
  } finally {
    removeTraps();
    server.kill();
    timeline.settle();
    server.bury();
    book?.db.close();
  }
  await realTurn();
  process.off("unhandledRejection", onRejection);
  if (stray[0] !== undefined) fail(`a rejection that nobody handled: ${describe(stray[0])}`);
  count(tally, "total orders", stage.orders.size);
  count(tally, "total payments", stage.payments.length);
  count(tally, "total deaths", server.deaths());
  if (keep !== undefined) cpSync(folder, keep, { recursive: true });
  rmSync(folder, { recursive: true, force: true });

  /** Everything becomes honest and healthy; then time passes until nothing can be left to do. */
  function rest(): void {
    note("rest");
    fate.heal();
    timeline.advance(settle_ms);
    for (const pause of quiet_pauses_s) {
      if (violation !== null) return;
      timeline.freeze(pause * 1000);
      timeline.advance(awake_ms);
      check();
      if (book !== null && isQuiet(book.db)) break;
    }
    if (book === null) return fail("the server was never ready");
    const { db } = book;
    for (let more = 0; more < settle_more_max && (more === 0 || !isAtRest(stage, db)); more++) {
      timeline.advance(settle_ms);
    }
    check(true);
    if (violation === null) count(tally, "total orders paid", checkEnd(stage, db).paid);
    if (violation !== null) return;
    over = true;
    const stops = server.stops();
    void server.stop();
    for (let waited = 0; waited < stop_max_ms && server.stops() === stops; waited += 500) timeline.advance(500);
    if (server.stops() === stops) fail("the server did not stop in time");
    for (const { sockets } of stage.orders.values()) {
      for (const socket of sockets) if (!socket.life.isDead() && socket.closed === null) fail("a socket was left open");
    }
  }

  return {
    seed,
    violation,
    hash: hash.toString(16),
    busy_ms,
    tally,
    trace,
  };
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.stack ?? error.message}` : String(error);
}
