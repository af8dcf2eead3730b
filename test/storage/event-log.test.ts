// The event log after a restore: when a database counts as a copy, where its numbers go on, and what the file beside it
// has to do with that.

import { Database as Sqlite } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { firstOfGeneration } from "../../src/domain/events.ts";
import { createEventLog, withResumedLog } from "../../src/services/event-log.ts";
import type { Database } from "../../src/storage/engine/database.ts";
import { migrateDatabase, openForCommand, openForServing } from "../../src/storage/engine/open.ts";
import { newestGeneration } from "../../src/storage/generations.ts";
import { appendEvent, eventsAfter, lastEvent } from "../../src/storage/outbox.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld, type World } from "../../src/world.ts";

const restored_at = 1_800_000_000_000;

let copies = 0;
let folder: string;
let path: string;
let log: string[];
let world: World;
let database: Database;
let close: () => Promise<void>;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ocrch-log-"));
  path = join(folder, "ocrch.db");
  log = [];
  world = { ...realWorld(), now: () => restored_at, warn: (line) => void log.push(line) };
  open();
});
afterEach(async () => {
  await close();
  rmSync(folder, { recursive: true, force: true });
});

function open(): void {
  const opened = openForServing({ world, telemetry: createTelemetry(world), path, migrateFirst: false });
  database = opened.database;
  close = opened.close;
}

const kept = () => readFileSync(`${path}.last-event`, "utf8").trim();
const numbers = () => database.read((at) => eventsAfter(at, 0, 1000)).map(({ n }) => n);
const logOf = (is_served = false) =>
  createEventLog({ world, telemetry: createTelemetry(world), database, path, is_served });

/** What a server does that handles this many events. */
async function serve(events: number): Promise<void> {
  const eventLog = logOf();
  await eventLog.resume();
  await append(events);
  eventLog.keep();
}

async function append(events: number, to = database): Promise<void> {
  for (let i = 0; i < events; i++) {
    await to.transact((tx) =>
      appendEvent(tx, { type: "order_created", order_id: null, transfer: null, body: "{}", url: null }),
    );
  }
}

/** Copies the database, and puts the copy back after `meanwhile`. */
async function restoreAfter(meanwhile: () => Promise<void>): Promise<void> {
  const copy = `${path}.copy-${copies++}`;
  const raw = new Sqlite(path, { readonly: true });
  raw.query("VACUUM INTO ?").run(copy);
  raw.close();
  await meanwhile();
  await close();
  for (const end of ["", "-wal", "-shm"]) rmSync(path + end, { force: true });
  renameSync(copy, path);
  open();
}

describe("a database that is behind the number beside it", () => {
  test("was restored from a copy: its log says so and goes on at Unix milliseconds", async () => {
    await serve(5);
    await restoreAfter(() => serve(3));
    await serve(2);

    expect(numbers()).toEqual([1, 2, 3, 4, 5, restored_at, restored_at + 1, restored_at + 2]);
    const [first] = database.read((at) => eventsAfter(at, 5, 1));
    expect(first?.type).toBe("log_restored");
    expect(JSON.parse(first?.body ?? "")).toEqual({
      event_type: "log_restored",
      generation: 2,
      last_in_copy: 5,
      last_given_out: 8,
      timestamp: restored_at / 1000,
    });
    expect(log.filter((line) => line.includes("log_restored"))).toEqual([
      expect.stringContaining(`warn log_restored generation=2 last_in_copy=5 last_given_out=8 first=${restored_at}`),
    ]);
  });

  test("goes on in its generation at the next start", async () => {
    await serve(5);
    await restoreAfter(() => serve(3));
    await serve(1);
    await serve(1);
    expect(numbers().slice(5)).toEqual([restored_at, restored_at + 1, restored_at + 2]);
    expect(database.read(newestGeneration)).toEqual({ first: restored_at, number: 2, began_at: restored_at });
  });

  test("restored twice begins a third generation above the second", async () => {
    await serve(1);
    await restoreAfter(async () => {
      await serve(1);
      await restoreAfter(() => serve(4));
      await serve(7);
    });
    await serve(1);
    const above_the_second = restored_at + 7 + 100_000 + 1;
    expect(numbers()).toEqual([1, above_the_second, above_the_second + 1]);
  });

  test("counts as a copy without any file beside it, once there has been one", async () => {
    await serve(5);
    rmSync(`${path}.last-event`);
    await serve(1);
    expect(numbers().slice(5)).toEqual([restored_at, restored_at + 1]);
    expect(kept()).toBe(`000${restored_at + 1}`);
  });

  test("counts as a copy when the file holds no number", async () => {
    await serve(5);
    for (const text of ["", "12\n", "garbage that is longer than any number\n"]) {
      writeFileSync(`${path}.last-event`, text);
      await serve(0);
    }
    expect(numbers()).toHaveLength(8);
    expect(readFileSync(`${path}.last-event`, "utf8")).toMatch(/^\d{16}\n$/);
  });

  test("that was made anew beside the file of an old one uses none of its numbers", async () => {
    await serve(5);
    await close();
    for (const end of ["", "-wal", "-shm"]) rmSync(path + end, { force: true });
    open();
    await serve(1);
    expect(numbers()).toEqual([restored_at, restored_at + 1]);
  });
});

describe("no restore", () => {
  test("is an upgrade: a database that never kept a number goes on where it is", async () => {
    await append(4);
    await serve(1);
    expect(numbers()).toEqual([1, 2, 3, 4, 5]);
    expect(kept()).toBe("0000000000000005");
  });

  test("is a kill before the newest numbers were written beside the database", async () => {
    await serve(2);
    const eventLog = logOf();
    await eventLog.resume();
    await append(3);
    // Killed here: nothing kept what was appended.
    await serve(1);
    expect(numbers()).toEqual([1, 2, 3, 4, 5, 6]);
    expect(kept()).toBe("0000000000000006");
  });

  test("is a copy that is newer than the number beside it", async () => {
    await serve(2);
    await append(3);
    await restoreAfter(async () => {});
    await serve(1);
    expect(numbers()).toEqual([1, 2, 3, 4, 5, 6]);
  });
});

describe("a new generation begins", () => {
  const rows: [last_in_copy: number, last_given_out: number | null, now: number, first: number][] = [
    [5, 8, restored_at, restored_at],
    [5, null, restored_at, restored_at],
    [0, null, 0, 1],
    [restored_at + 5, null, restored_at, restored_at + 6],
    // A clock that was set back: what the last second gave out without writing it down is left free as well.
    [5, restored_at + 8, restored_at, restored_at + 8 + 100_000 + 1],
  ];
  for (const [last_in_copy, last_given_out, now, first] of rows) {
    test(`at ${first} after ${last_in_copy} of ${last_given_out} at ${now}`, () => {
      expect(firstOfGeneration(last_in_copy, last_given_out, now)).toBe(first);
    });
  }
});

describe("a command on a restored database", () => {
  /** Opens the database as a command does, while no server runs. */
  async function command(act: (database: Database) => Promise<void>, is_served = false): Promise<void> {
    const telemetry = createTelemetry(world);
    const opened = openForCommand({ world, telemetry, path });
    const eventLog = createEventLog({ world, telemetry, database: opened.database, path, is_served });
    try {
      await act(withResumedLog(opened.database, eventLog));
    } finally {
      eventLog.keep();
      await opened.close();
    }
  }

  test("appends under new numbers, before any server has started", async () => {
    await serve(5);
    await restoreAfter(() => serve(3));
    await command((beside) => append(1, beside));
    await serve(1);
    expect(numbers().slice(5)).toEqual([restored_at, restored_at + 1, restored_at + 2]);
  });

  test("that only reads changes nothing", async () => {
    await serve(5);
    await restoreAfter(() => serve(3));
    await command(async (beside) => void expect(beside.read(lastEvent)).toBe(5));
    expect(numbers()).toEqual([1, 2, 3, 4, 5]);
    expect(kept()).toBe("0000000000000008");
  });

  test("keeps what it appends while no server does", async () => {
    await serve(5);
    await command((beside) => append(2, beside));
    expect(kept()).toBe("0000000000000007");
  });

  test("leaves the number to the server that runs", async () => {
    await serve(5);
    rmSync(`${path}.last-event`);
    await command((beside) => append(2, beside), true);
    expect(existsSync(`${path}.last-event`)).toBe(false);
    expect(numbers()).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });
});

describe("the file beside the database", () => {
  test("is written only for new numbers, in place, with the database's mode", async () => {
    await serve(1);
    expect(statSync(`${path}.last-event`).mode & 0o777).toBe(statSync(path).mode & 0o777);
    const { ino } = statSync(`${path}.last-event`);
    const eventLog = logOf();
    await eventLog.resume();
    let writes = 0;
    const { overwrite } = world.files;
    world.files = {
      ...world.files,
      overwrite(...given) {
        writes += 1;
        overwrite(...given);
      },
    };
    eventLog.keep();
    expect(writes).toBe(0);
    await append(3);
    eventLog.keep();
    eventLog.keep();
    expect([writes, kept()]).toEqual([1, "0000000000000004"]);
    expect(statSync(`${path}.last-event`).ino).toBe(ino);
  });

  test("that cannot be used refuses the start by its path and the cure", async () => {
    mkdirSync(`${path}.last-event`);
    expect(logOf().resume()).rejects.toThrow(
      new RegExp(
        `^database.path: ${path}.last-event cannot be read: .*; it must be a file that the user that runs ocrch may read and write$`,
      ),
    );
  });

  test("that cannot be written later is a warning, once, and written as soon as it can be", async () => {
    const eventLog = logOf();
    await eventLog.resume();
    await append(1);
    rmSync(`${path}.last-event`);
    mkdirSync(`${path}.last-event`);
    const warnings = () => log.filter((line) => line.includes(`warn last_event_not_kept path=${path}.last-event`));
    for (let time = 0; time < 3; time++) {
      eventLog.keep();
      expect(warnings()).toHaveLength(1);
    }
    rmSync(`${path}.last-event`, { recursive: true });
    eventLog.keep();
    expect(kept()).toBe("0000000000000001");
  });

  test("lies beside the file that a link leads to", async () => {
    await serve(5);
    await restoreAfter(() => serve(3));
    const link = join(folder, "link.db");
    symlinkSync(path, link);
    await close();
    const opened = openForServing({ world, telemetry: createTelemetry(world), path: link, migrateFirst: false });
    ({ database, close } = opened);
    const of = { world, telemetry: createTelemetry(world), database, is_served: false };
    await createEventLog({ ...of, path: opened.path }).resume();
    expect(numbers()).toEqual([1, 2, 3, 4, 5, restored_at]);
    expect([existsSync(`${link}.last-event`), kept()]).toEqual([false, `000${restored_at}`]);
  });

  test("is nothing that migrating a database makes", async () => {
    await close();
    path = join(folder, "other.db");
    await migrateDatabase({ world, telemetry: createTelemetry(world), path });
    expect(existsSync(`${path}.last-event`)).toBe(false);
    open();
  });
});
