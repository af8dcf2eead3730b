// One SQLite file: opening it, and the two ways to use it. `transact` gathers calls of one turn of the event loop
// into one durable commit; `read` sees only what is committed. Nothing else in the product begins a transaction.

import { Database as Sqlite } from "bun:sqlite";
import type { BunSQLiteDatabase } from "drizzle-orm/bun-sqlite";
import { backoffMs } from "../../domain/backoff.ts";
import { type Code, errorText, Fault } from "../../domain/errors.ts";
import type { LogCode } from "../../log-codes.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import type { Hooks } from "../hooks.ts";
import { drizzleWithStablePlans } from "./stable-plans.ts";

/** Where statements run. `live()` throws once the place is no longer valid. */
export interface Reader {
  live(): BunSQLiteDatabase;
  /** Those the database was opened with. */
  readonly hooks: readonly Hooks<Reader, Tx>[];
}

/** A transaction in progress. Dead after its callback returned. */
export interface Tx extends Reader {
  /** The one time of this transaction, ms. */
  readonly now: number;
}

export interface Database {
  /**
   * Runs `act` in a transaction and resolves with its value once the commit is durable. `act` is synchronous; when it
   * throws, its own changes are rolled back and the promise rejects with what it threw. No effect outside `tx` inside.
   */
  transact<T>(act: (tx: Tx) => T extends PromiseLike<unknown> ? never : T): Promise<T>;
  /** Runs `act` on the read-only connection: committed rows only. */
  read<T>(act: (reader: Reader) => T): T;
  /** Calls `listener` after every commit of this process, until the returned function is called. */
  onCommit(listener: () => void): () => void;
  /** Why nothing can be written now: the disk is full, or writing was refused; null after the last commit succeeded. */
  unwritable(): Fault | null;
  /** Rejects every transaction from now on with this fault. */
  refuseWrites(fault: Fault): void;
  /** True when another process has committed since the last call. */
  changedElsewhere(): boolean;
  /** Waits for queued transactions, then closes both connections. */
  close(): Promise<void>;
}

export interface BatchLimits {
  batch_max_calls: number;
  batch_max_ms: number;
}

const gathering: BatchLimits = { batch_max_calls: 256, batch_max_ms: 50 };
/** A transaction from BEGIN to COMMIT that lasts longer is warned about: everything else waits for it. */
const slow_transaction_ms = 250;
const busy_retry = { first_ms: 5, max_ms: 100 };
const busy_give_up_ms = 10_000;
const reader_busy_timeout_ms = 2000;
/** How long an opening waits for a command that writes, or for a process that closes the file. */
const opening_busy_timeout_ms = 2000;
const wal_checkpoint_pages = 4000;

/** Faults that are logged when writes are refused for them. */
const alarms: readonly (Code & LogCode<"error">)[] = ["database_busy", "database_failed", "database_full"];

interface Call {
  act: (tx: Tx) => unknown;
  resolve: (value: never) => void;
  reject: (error: unknown) => void;
  settle?: () => void;
}

/** Opens the writer connection with the pragmas every user of the file needs. */
export function openRaw(path: string): Sqlite {
  const raw = new Sqlite(path, { create: true, readwrite: true });
  raw.run(`PRAGMA busy_timeout = ${opening_busy_timeout_ms}`);
  raw.run("PRAGMA journal_mode = WAL");
  raw.run("PRAGMA synchronous = FULL");
  raw.run("PRAGMA foreign_keys = ON");
  // Savepoints write their undo into memory instead of files; the log is folded in by larger portions.
  raw.run("PRAGMA temp_store = MEMORY");
  raw.run(`PRAGMA wal_autocheckpoint = ${wal_checkpoint_pages}`);
  return raw;
}

/** Wraps an opened, migrated file. `gather` is for measuring what gathering is worth. */
export function createDatabase(needs: {
  raw: Sqlite;
  path: string;
  world: World;
  telemetry: Telemetry;
  hooks?: Reader["hooks"];
  gather?: BatchLimits;
}): Database {
  const { raw, world, telemetry, hooks = [] } = needs;
  const { batch_max_calls, batch_max_ms } = needs.gather ?? gathering;
  // From now on a busy file is tried again between turns of the event loop.
  raw.run("PRAGMA busy_timeout = 0");
  const writer = drizzleWithStablePlans(raw);
  const readerRaw = new Sqlite(needs.path, { readonly: true });
  readerRaw.run(`PRAGMA busy_timeout = ${reader_busy_timeout_ms}`);
  const readerDb = drizzleWithStablePlans(readerRaw);
  const reader: Reader = { live: () => readerDb, hooks };

  const listeners = new Set<() => void>();
  const idle: (() => void)[] = [];
  let queue: Call[] = [];
  let scheduled = false;
  let inside = false;
  let closed = false;
  let busySince: number | null = null;
  let busy_tries = 0;
  let dataVersion = readDataVersion(raw);
  let refused: Fault | null = null;
  let full: Fault | null = null;
  /** What the last call threw, in case SQLite rolled everything back for it. */
  let last_error: unknown;

  const begin = raw.prepare("BEGIN IMMEDIATE");
  const commit = raw.prepare("COMMIT");
  const savepoint = raw.prepare("SAVEPOINT call");
  const release = raw.prepare("RELEASE call");
  const rollbackCall = raw.prepare("ROLLBACK TO call");

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    world.defer(flush);
  }

  function flush(): void {
    scheduled = false;
    if (queue.length === 0) return settleIdle();
    if (refused !== null) return rejectFirst(queue.length, refused);
    if (!beginOrWait()) return;
    const began = world.elapsed();
    const taken = runBatch();
    if (taken === null) return;
    if (!commitOrDie(taken)) return;
    const lasted_ms = Math.round(world.elapsed() - began);
    if (lasted_ms > slow_transaction_ms) telemetry.warn("transaction_slow", { ms: lasted_ms, calls: taken.length });
    for (const call of taken) call.settle?.();
    if (queue.length > 0) schedule();
    else settleIdle();
    for (const listener of [...listeners]) listener();
  }

  /** False when another process holds the write lock: the untouched queue is tried again by a timer. */
  function beginOrWait(): boolean {
    try {
      begin.run();
      busySince = null;
      busy_tries = 0;
      return true;
    } catch (error) {
      busySince ??= world.elapsed();
      const givenUp = world.elapsed() - busySince >= busy_give_up_ms;
      if (!isBusy(error) || givenUp) {
        busySince = null;
        rejectFirst(queue.length, faultOf(error));
        return false;
      }
      scheduled = true;
      busy_tries += 1;
      world.timer(backoffMs(busy_tries, busy_retry), flush);
      return false;
    }
  }

  /** Runs calls until the batch is full or old. Null when SQLite itself rolled everything back. */
  function runBatch(): Call[] | null {
    const started = world.elapsed();
    const now = world.now();
    let count = 0;
    for (const call of queue) {
      if (count >= batch_max_calls || (count > 0 && world.elapsed() - started >= batch_max_ms)) break;
      count += 1;
      runOne(call, now);
      if (!raw.inTransaction) {
        // A full disk or an I/O error rolls back every savepoint with it: nobody's change in this batch survived.
        rejectFirst(count, faultOf(last_error));
        return null;
      }
    }
    const taken = queue.slice(0, count);
    queue = queue.slice(count);
    return taken;
  }

  function runOne(call: Call, now: number): void {
    let dead = false;
    const tx: Tx = {
      now,
      hooks,
      live() {
        if (dead) throw new Error("a transaction was used after it had ended");
        return writer;
      },
    };
    savepoint.run();
    inside = true;
    try {
      const value = call.act(tx);
      if (isThenable(value)) throw new Error("a transaction's callback must not be asynchronous");
      if (raw.inTransaction) release.run();
      call.settle = () => call.resolve(value as never);
    } catch (error) {
      if (raw.inTransaction) {
        rollbackCall.run();
        release.run();
      }
      last_error = error;
      call.settle = () => call.reject(error);
    } finally {
      dead = true;
      inside = false;
    }
  }

  function commitOrDie(taken: Call[]): boolean {
    try {
      world.point("commit.before");
      commit.run();
      world.point("commit.after");
      if (full !== null) telemetry.info("database_writable_again");
      full = null;
      return true;
    } catch (error) {
      if (raw.inTransaction) raw.run("ROLLBACK");
      const fault = faultOf(error);
      // A full disk rolls back and a busy file is left alone. After anything else the durable state is unknown.
      if (fault.code === "database_failed") {
        for (const call of taken) call.reject(fault);
        telemetry.error("database_failed", { at: "commit", error: errorText(error) });
        world.exit(1);
      }
      queue = [...taken, ...queue];
      rejectFirst(taken.length, fault);
      return false;
    }
  }

  function rejectFirst(count: number, fault: Fault): void {
    const lost = queue.slice(0, count);
    queue = queue.slice(count);
    for (const call of lost) call.reject(fault);
    const alarm = alarms.find((code) => code === fault.code);
    if (alarm !== undefined && (alarm !== "database_full" || full === null)) {
      telemetry.error(alarm, { transactions: lost.length, error: fault.message });
    }
    if (fault.code === "database_full") full = fault;
    if (queue.length > 0) schedule();
    else settleIdle();
  }

  function settleIdle(): void {
    for (const done of idle.splice(0)) done();
  }

  return {
    transact(act) {
      if (inside) throw new Error("transact was called inside a transaction");
      if (closed) return Promise.reject(new Fault("database_unusable", "the database is closed"));
      return new Promise((resolve, reject) => {
        queue.push({ act, resolve, reject });
        schedule();
      });
    },
    read: (act) => act(reader),
    unwritable: () => refused ?? full,
    refuseWrites(fault) {
      refused = fault;
    },
    onCommit(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    changedElsewhere() {
      const version = readDataVersion(raw);
      const changed = version !== dataVersion;
      dataVersion = version;
      return changed;
    },
    async close() {
      closed = true;
      if (queue.length > 0) await new Promise<void>((resolve) => void idle.push(resolve));
      readerRaw.close();
      raw.close();
    },
  };
}

function readDataVersion(raw: Sqlite): number {
  return raw.query<{ data_version: number }, []>("PRAGMA data_version").get()?.data_version ?? 0;
}

/** What an error of SQLite means for whoever wanted to write. */
function faultOf(error: unknown): Fault {
  if (isBusy(error)) return new Fault("database_busy");
  const code = sqliteCode(error);
  if (code === "SQLITE_FULL" || code === "SQLITE_IOERR_SHMSIZE") {
    return new Fault("database_full", `${errorText(error)}; nothing is lost, make room on the disk of the database`);
  }
  return new Fault("database_failed", errorText(error));
}

function isBusy(error: unknown): boolean {
  return /^SQLITE_(?:BUSY|LOCKED)/.test(sqliteCode(error));
}

/** The name of SQLite's result code, e.g. `SQLITE_FULL`; empty for another error. */
export function sqliteCode(error: unknown): string {
  return String((error as { code?: unknown } | null | undefined)?.code ?? "");
}

function isThenable(value: unknown): boolean {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}
