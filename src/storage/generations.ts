// Generations of the event log, and where the number of its newest event is kept beside the database. Decides nothing.

import { desc, eq, lt, max, type SQL, sql } from "drizzle-orm";
import { errorText, Fault } from "../domain/errors.ts";
import type { World } from "../world.ts";
import type { Reader, Tx } from "./engine/database.ts";
import { requireRow, statement } from "./engine/statement.ts";
import { chains, events, meta } from "./schema.ts";

const file_suffix = ".last-event";
/** Enough for every safe integer. All texts have one length, so that writing over an old one leaves nothing of it. */
const number_digits = 16;
const number_pattern = /^\d{16}\n$/;

/** Path of the file beside the database at `path` that holds the number of its newest event. */
export function lastEventPath(path: string): string {
  return path + file_suffix;
}

/** The event number kept beside the database at `path`; null when no file holds one. Fault: database_unusable. */
export function readLastEvent({ files }: Pick<World, "files">, path: string): number | null {
  const kept = lastEventPath(path);
  try {
    const text = files.read(kept);
    return text !== null && number_pattern.test(text) ? Number(text) : null;
  } catch (error) {
    throw unusable(kept, "read", error);
  }
}

/** Writes an event number beside the database at `path`, without fsync. Fault: database_unusable. */
export function writeLastEvent({ files }: Pick<World, "files">, path: string, n: number): void {
  const kept = lastEventPath(path);
  try {
    files.overwrite(kept, `${String(n).padStart(number_digits, "0")}\n`, path);
  } catch (error) {
    throw unusable(kept, "written", error);
  }
}

function unusable(path: string, how: string, error: unknown): Fault {
  const cure = "it must be a file that the user that runs ocrch may read and write";
  return new Fault("database_unusable", `database.path: ${path} cannot be ${how}: ${errorText(error)}; ${cure}`);
}

/** Whether an event number was ever kept beside this database, or beside the one it is a copy of. */
export function wasLastEventWritten(at: Reader): boolean {
  return selectKeptAt(at).get() !== undefined;
}

const selectKeptAt = statement((db) =>
  db.select({ value: meta.value }).from(meta).where(eq(meta.name, "last_event_kept_at")).prepare(),
);

/** Records that an event number is kept beside this database. Must follow the first writing of it. */
export function recordLastEventWritten(tx: Tx): void {
  tx.live().insert(meta).values({ name: "last_event_kept_at", value: tx.now }).onConflictDoNothing().run();
}

/** The event that began the newest generation; null in the first one. */
export function newestGeneration(at: Reader): { first: number; number: number; began_at: number } | null {
  const newest = selectNewestGeneration(at).get();
  if (newest === undefined) return null;
  const { count } = requireRow(countGenerations(at).get());
  return { first: newest.n, number: count + 1, began_at: newest.began_at };
}

/** Written out: a partial index is chosen when a statement is prepared, before its parameters are known. */
const beginsGeneration = sql`${events.type} = 'log_restored'`;

const selectNewestGeneration = statement((db) =>
  db
    .select({ n: events.n, began_at: events.created_at })
    .from(events)
    .where(beginsGeneration)
    .orderBy(desc(events.n))
    .limit(1)
    .prepare(),
);

const countGenerations = statement((db) =>
  db.select({ count: sql<number>`count(*)` }).from(events).where(beginsGeneration).prepare(),
);

/**
 * Until a chain is read after a restore: the last time that the copy knows of, ms, which is not after the copy was made.
 * Null for a database that was not restored, or that has been read since.
 */
export function endOfCopy(at: Reader): number | null {
  const generation = newestGeneration(at);
  if (generation === null) return null;
  const last_read_at = selectLastRead(at).get()?.at ?? 0;
  if (last_read_at >= generation.began_at) return null;
  return Math.max(last_read_at, selectLastBefore(at).get({ n: generation.first })?.at ?? 0);
}

const selectLastRead = statement((db) =>
  db
    .select({ at: max(chains.last_read_at) })
    .from(chains)
    .prepare(),
);

const selectLastBefore = statement((db) =>
  db
    .select({ at: events.created_at })
    .from(events)
    .where(lt(events.n, sql.placeholder("n")))
    .orderBy(desc(events.n))
    .limit(1)
    .prepare(),
);

/**
 * SQL of the next id of a table whose ids are told to others: above all there are, and never one that was given out
 * between a copy and its restore.
 */
export function nextId(table: "transfers" | "deposits"): SQL {
  return sql`(select max(coalesce((select max(id) from ${sql.identifier(table)}), 0) + 1, coalesce((select max(n) from events where type = 'log_restored'), 0)))`;
}

/** Begins a generation at number `n`; the events after it continue from there. `n` must be above every number there is. */
export function insertGeneration(tx: Tx, n: number, body: string): void {
  tx.live().insert(events).values({ n, type: "log_restored", body, created_at: tx.now }).run();
}
