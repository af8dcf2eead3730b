// The one way to change rows: gathered, durable, all or nothing per call.

import { Database as Sqlite } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { chmodSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Fault } from "../../src/domain/errors.ts";
import type { Tx } from "../../src/storage/engine/database.ts";
import { migrateDatabase, openForCommand, openForServing } from "../../src/storage/engine/open.ts";
import { examineDatabase } from "../../src/storage/examine.ts";
import { recordAudit } from "../../src/storage/outbox.ts";
import { realWorld } from "../../src/world.ts";
import { silent, type TempDatabase, tempDatabase } from "../support/temp-database.ts";

/** A user that owns nothing. */
const somebody = 65_534;

const opened: TempDatabase[] = [];
function open(options: Parameters<typeof tempDatabase>[0] = {}): TempDatabase {
  const one = tempDatabase(options);
  opened.push(one);
  return one;
}
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});

const write = (tx: Tx, subject: string) => recordAudit(tx, { actor: "test", action: "write", subject, detail: "" });

/** Subjects written, as another process sees them. */
function subjects(path: string): string[] {
  const raw = new Sqlite(path, { readonly: true });
  const rows = raw.query<{ subject: string }, []>("SELECT subject FROM audit ORDER BY id").all();
  raw.close();
  return rows.map((row) => row.subject);
}

describe("transact", () => {
  test("resolves with the value of its callback once the change is durable", async () => {
    const { database, path } = open();
    const value = await database.transact((tx) => {
      write(tx, "one");
      return 42;
    });
    expect(value).toBe(42);
    expect(subjects(path)).toEqual(["one"]);
  });

  test("a failing call rolls back and rejects alone", async () => {
    const { database, path } = open();
    const results = await Promise.allSettled(
      ["a", "b", "c"].map((subject) =>
        database.transact((tx) => {
          write(tx, subject);
          if (subject === "b") throw new Error("refused");
        }),
      ),
    );
    expect(results.map((result) => result.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(subjects(path)).toEqual(["a", "c"]);
  });

  test("calls of one turn share one commit, calls of the next turn the next", async () => {
    let commits = 0;
    const point = (name: string) => {
      if (name === "commit.after") commits += 1;
    };
    const world = { ...realWorld(), point };
    const { database } = open({ world });
    await Promise.all(Array.from({ length: 100 }, (_, i) => database.transact((tx) => write(tx, String(i)))));
    expect(commits).toBe(1);
    await database.transact((tx) => write(tx, "later"));
    expect(commits).toBe(2);
  });

  test("a batch holds at most as many calls as allowed, in the order they came", async () => {
    let commits = 0;
    const point = (name: string) => {
      if (name === "commit.after") commits += 1;
    };
    const world = { ...realWorld(), point };
    const { database, path } = open({ world, gather: { batch_max_calls: 10, batch_max_ms: 1000 } });
    const order = Array.from({ length: 35 }, (_, i) => String(i));
    await Promise.all(order.map((subject) => database.transact((tx) => write(tx, subject))));
    expect(commits).toBe(4);
    expect(subjects(path)).toEqual(order);
  });

  test("a transaction that lasted more than 250 ms is warned about, a shorter one is not", async () => {
    let elapsed = 0;
    const said: unknown[] = [];
    const telemetry = { ...silent, warn: (event: string, fields?: unknown) => void said.push([event, fields]) };
    const { database } = open({ world: { ...realWorld(), elapsed: () => elapsed }, telemetry });
    const takes = (ms: number) =>
      database.transact((tx) => {
        elapsed += ms;
        write(tx, "slow");
      });
    await takes(250);
    expect(said).toEqual([]);
    await takes(251);
    expect(said).toEqual([["transaction_slow", { ms: 251, calls: 1 }]]);
  });

  test("a callback that is asynchronous in disguise is rolled back", async () => {
    const { database, path } = open();
    const disguised = ((tx: Tx) => {
      write(tx, "lost");
      return Promise.resolve();
    }) as never as (tx: Tx) => undefined;
    expect(database.transact(disguised)).rejects.toThrow("must not be asynchronous");
    await database.transact((tx) => write(tx, "kept"));
    expect(subjects(path)).toEqual(["kept"]);
  });

  test("a transaction inside a transaction is refused and takes its outer one with it", async () => {
    const { database, path } = open();
    const nested = database.transact((tx) => {
      write(tx, "outer");
      void database.transact(() => 1);
    });
    expect(nested).rejects.toThrow("inside a transaction");
    await nested.catch(() => {});
    expect(subjects(path)).toEqual([]);
  });

  test("a transaction is dead after its callback returned", async () => {
    const { database } = open();
    let kept: Tx | undefined;
    await database.transact((tx) => {
      kept = tx;
    });
    expect(() => kept?.live()).toThrow("after it had ended");
  });

  test("waits for another process's write without freezing the event loop, then goes through", async () => {
    const { database, path } = open();
    const other = new Sqlite(path, { readwrite: true });
    other.run("BEGIN IMMEDIATE");
    let turns = 0;
    const ticking = setInterval(() => {
      turns += 1;
      if (turns === 10) other.run("COMMIT");
    }, 10);
    await database.transact((tx) => write(tx, "after"));
    clearInterval(ticking);
    other.close();
    expect(turns).toBeGreaterThanOrEqual(10);
    expect(subjects(path)).toEqual(["after"]);
  });

  test("gives up on a lock that is never released, and says so", async () => {
    let elapsed = 0;
    const world = { ...realWorld(), elapsed: () => elapsed, timer: hurried(() => (elapsed += 1000)) };
    const { database, path } = open({ world });
    const other = new Sqlite(path, { readwrite: true });
    other.run("BEGIN IMMEDIATE");
    const outcome = await database.transact((tx) => write(tx, "never")).catch((error: unknown) => error);
    expect(outcome).toBeInstanceOf(Fault);
    expect((outcome as Fault).code).toBe("database_busy");
    other.run("ROLLBACK");
    other.close();
    await database.transact((tx) => write(tx, "later"));
    expect(subjects(path)).toEqual(["later"]);
  });

  test("another process's commit shows once, our own never", async () => {
    const { database, path } = open();
    await database.transact((tx) => write(tx, "ours"));
    expect(database.changedElsewhere()).toBe(false);
    const other = new Sqlite(path, { readwrite: true });
    other.run("INSERT INTO audit (at, actor, action, subject, detail) VALUES (1, 'x', 'x', 'theirs', '')");
    expect(database.changedElsewhere()).toBe(true);
    expect(database.changedElsewhere()).toBe(false);
    other.close();
  });
});

/** A world's timer whose time passes at once. */
function hurried(pass: () => void) {
  return (_ms: number, act: () => void) => {
    pass();
    const handle = setImmediate(act);
    return () => clearImmediate(handle);
  };
}

describe("opening a database", () => {
  const needs = (path: string) => ({ world: realWorld(), telemetry: silent, path });

  test("a second server on the same file is refused, a command is not", () => {
    const { path } = open();
    expect(() => openForServing({ ...needs(path), migrateFirst: false })).toThrow("another ocrch serves");
    const beside = openForCommand(needs(path));
    return beside.close();
  });

  test("migrating needs the serving lock as well", () => {
    const { path } = open();
    expect(migrateDatabase(needs(path))).rejects.toThrow("another ocrch serves");
  });

  test("a command refuses a file that is not there", () => {
    const { path } = open();
    expect(() => openForCommand(needs(`${path}.absent`))).toThrow("there is no database at");
  });

  test("a newer schema is refused by everybody, an older one by all but --migrate", async () => {
    const one = open();
    const path = `${one.path}.other`;
    await migrateDatabase(needs(path));
    const raw = new Sqlite(path);
    raw.run("PRAGMA user_version = 99");
    expect(() => openForCommand(needs(path))).toThrow("has schema version 99");
    expect(() => openForServing({ ...needs(path), migrateFirst: true })).toThrow("use a newer ocrch");
    raw.close();
  });

  test("a database of another program is left alone", () => {
    const { path } = open();
    const raw = new Sqlite(`${path}.foreign`, { create: true });
    raw.run("CREATE TABLE notes (text TEXT)");
    raw.close();
    expect(() => openForServing({ ...needs(`${path}.foreign`), migrateFirst: true })).toThrow("of another program");
  });

  /** Root may write everything: what such a file means to others is seen as one of them. */
  const asUser = <T>(act: () => T): T => {
    if (process.geteuid?.() !== 0) return act();
    process.seteuid?.(somebody);
    try {
      return act();
    } finally {
      process.seteuid?.(0);
    }
  };
  const openToAll = (folder: string) => {
    for (const name of ["", ...readdirSync(folder)]) chmodSync(join(folder, name), 0o777);
  };
  const cure = "must be writable for the user that runs ocrch";

  test("a lock that may only be read locks nobody out, so it is refused", async () => {
    const path = `${open().path}.shared`;
    await migrateDatabase(needs(path));
    openToAll(dirname(path));
    chmodSync(`${path}.lock`, 0o444);
    const serve = () => asUser(() => openForServing({ ...needs(path), migrateFirst: false }));
    expect(serve).toThrow(new RegExp(`^database\\.path: ${path}\\.lock cannot be used: .*${cure}$`));
    chmodSync(`${path}.lock`, 0o666);
    await serve().close();
  });

  test("a database that may only be read is refused with the cure", async () => {
    const path = `${open().path}.read-only`;
    await migrateDatabase(needs(path));
    openToAll(dirname(path));
    chmodSync(path, 0o444);
    const refusal = new RegExp(`^database\\.path: ${path} cannot be used: .*${cure}$`);
    expect(() => asUser(() => openForServing({ ...needs(path), migrateFirst: false }))).toThrow(refusal);
  });

  test("a damaged one says what to do about it", async () => {
    const path = `${open().path}.damaged`;
    await migrateDatabase(needs(path));
    for (const log of [`${path}-wal`, `${path}-shm`]) rmSync(log, { force: true });
    writeFileSync(path, "what a full disk left of it".repeat(1000));
    for (const openIt of [
      () => openForServing({ ...needs(path), migrateFirst: false }),
      () => examineDatabase(needs(path)),
    ]) {
      expect(openIt).toThrow(/not a database; stop ocrch, put the file aside and restore a backup$/);
    }
  });

  test("a path that cannot be written gives one line that names the key", () => {
    expect(() => openForServing({ ...needs("/proc/ocrch/ocrch.db"), migrateFirst: false })).toThrow(
      /^database\.path: /,
    );
  });
});
