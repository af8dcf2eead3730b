// A simulated World: one life of a process in virtual time. A life that died answers nothing any more: its promises
// never settle, its clocks throw, its timers never fire. Nothing real is touched but the database file.

import { createHash } from "node:crypto";
import type { Connection, FetchInit, ListenOptions, Signal, World } from "../../src/world.ts";
import type { Random } from "./random.ts";
import type { Timeline } from "./timeline.ts";

/** Milliseconds since 1970 when virtual time is zero. */
export const epoch_ms = 1_795_000_000_000;

/** What the other side does with one request: the answer after a while, a failure, or silence. */
export type Outcome = { after_ms: number } & ({ answer: () => Response } | { fails: string } | { hangs: true });

/** What lives longer than a process: the network, the machine's files, and the account of what happened. */
export interface Surroundings {
  timeline: Timeline;
  /** The machine's wall clock, ms: it may be wrong, and may go back. */
  wall(): number;
  /** What the machine's files hold, but for the database. */
  files: Map<string, string>;
  /** The product's own stream of chance. */
  random: Random;
  /** Answers a request by the host name it was meant for. */
  reach(host: string, url: string, init: FetchInit): Outcome;
  resolve(host: string): string[];
  note(line: string): void;
  fail(words: string): void;
}

/** Thrown into a life that has ended. */
export class Death extends Error {}

export interface Life {
  world: World;
  isDead(): boolean;
  /** Ends the life between two turns. */
  kill(why?: string): void;
  /** Ends it when `point` is passed for the nth time from now. */
  dieAt(point: string, nth: number): void;
  /** Sends a request to whatever listens. Rejects when nobody does, or when the life ends before the answer. */
  request(request: Request, connection: Connection): Promise<Response>;
  signal(name: Signal): void;
  /** What ended it; empty while it lasts. */
  diedOf(): string;
}

/** Within one virtual moment, over all loops and requests. */
const looks_per_moment_max = 20_000;
const hash_prefix = "$argon2id$v=19$m=65536,t=2,p=1$c2ltdWxhdGVkLXNhbHQ$";

/** The hash that `passwords.verify` of a simulated world accepts for a secret. */
export function simulatedHash(secret: string): string {
  return hash_prefix + createHash("sha256").update(secret).digest("base64").replace(/=+$/, "");
}

/** A new process in these surroundings. */
export function createLife({ timeline, wall, files, random, reach, resolve, note, fail }: Surroundings): Life {
  const signals = new Map<Signal, Set<() => void>>();
  const mourners = new Set<(error: Error) => void>();
  let listening: ListenOptions | null = null;
  let doom: { point: string; left: number } | null = null;
  let dead = false;
  let cause = "";
  let moment = 0;
  let looks = 0;

  function die(why: string): void {
    if (dead) return;
    dead = true;
    cause = why;
    note(`died: ${why}`);
    for (const mourn of [...mourners]) mourn(new Death("connection lost"));
    mourners.clear();
  }
  /** Every look at a clock passes here: code that spins within one moment is found by how often it looks. */
  function alive(): void {
    if (dead) throw new Death("this process has ended");
    looks = timeline.now() === moment ? looks + 1 : 0;
    moment = timeline.now();
    if (looks < looks_per_moment_max) return;
    fail("something spins without letting time pass");
    die("spinning");
    throw new Death("spinning");
  }
  /** Only while the life lasts: what is due later is forgotten with it. */
  const living = (act: () => void) => () => {
    if (!dead) act();
  };

  const world: World = {
    now() {
      alive();
      return wall();
    },
    elapsed() {
      alive();
      return timeline.now();
    },
    random(bytes) {
      alive();
      return random.bytes(bytes);
    },
    sleep: (ms, signal) =>
      new Promise((done) => {
        if (dead) return;
        if (signal?.aborted) return done();
        const cancel = timeline.at(ms, living(done));
        signal?.addEventListener("abort", () => {
          cancel();
          done();
        });
      }),
    timer: (ms, act) => (dead ? () => {} : timeline.at(ms, living(act))),
    defer(act) {
      if (!dead) timeline.defer(living(act));
    },
    fetch: (url, init) =>
      new Promise((answered, failed) => {
        if (dead) return;
        const host = new Headers(init.headers).get("host") ?? new URL(url).host;
        const outcome = reach(host, url, init);
        init.signal?.addEventListener(
          "abort",
          living(() => failed(Object.assign(new Error("aborted"), { code: "ABORT_ERR" }))),
        );
        if ("hangs" in outcome) return;
        timeline.at(
          outcome.after_ms,
          living(() => {
            if ("answer" in outcome) answered(outcome.answer());
            else failed(Object.assign(new Error("connection failed"), { code: outcome.fails }));
          }),
        );
      }),
    resolve: (host) =>
      new Promise((done, failed) => {
        if (dead) return;
        const found = resolve(host);
        timeline.at(
          1,
          living(() => (found.length > 0 ? done(found) : failed(new Error("ENOTFOUND")))),
        );
      }),
    listen(options) {
      alive();
      listening = options;
      return {
        port: options.port,
        hostname: options.hostname,
        async stop() {
          listening = null;
        },
      };
    },
    files: {
      read: (path) => files.get(path) ?? null,
      // The database is the one real file; who asks for it always finds it.
      exists: () => true,
      replace: (path, text) => void files.set(path, text),
      create: (path, text) => void files.set(path, text),
      identify: () => ({ inode: "0:0", bytes: 0, head: new Uint8Array() }),
      behindLinks: (path) => path,
      overwrite: (path, text) => void files.set(path, text),
      copy: (from, to) => void files.set(to, files.get(from) ?? ""),
      mode: () => null,
      size: () => null,
      disk: () => null,
      makeFolder() {},
    },
    passwords: {
      hash: async (secret) => simulatedHash(secret),
      verify: async (secret, hash) => simulatedHash(secret) === hash,
    },
    onSignal(signal, act) {
      const acts = signals.get(signal) ?? new Set();
      signals.set(signal, acts.add(act));
      return () => void acts.delete(act);
    },
    env: () => undefined,
    print: (text) => dead || note(`print ${text}`),
    warn: (text) => dead || note(text),
    exit(status) {
      die(`exit ${status}`);
      throw new Death(`exit ${status}`);
    },
    point(name) {
      alive();
      if (doom === null || doom.point !== name) return;
      doom.left -= 1;
      if (doom.left > 0) return;
      die(name);
      throw new Death(name);
    },
  };

  return {
    world,
    diedOf: () => cause,
    isDead: () => dead,
    kill: (why = "killed") => die(why),
    dieAt(point, nth) {
      doom = { point, left: nth };
    },
    request: (request, connection) =>
      new Promise((answered, failed) => {
        if (dead || listening === null) return failed(new Death("connection refused"));
        mourners.add(failed);
        Promise.resolve(listening.answer(request, connection)).then(
          (answer) => {
            if (dead) return;
            mourners.delete(failed);
            answered(answer);
          },
          (error: unknown) => {
            if (dead) return;
            mourners.delete(failed);
            failed(error);
          },
        );
      }),
    signal(name) {
      for (const act of [...(signals.get(name) ?? [])]) if (!dead) act();
    },
  };
}
