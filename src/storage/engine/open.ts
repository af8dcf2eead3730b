// Who may open the database file, and in which state it must be: the serving lock, the version rules, the check at
// start. A file that is refused is left exactly as it was.

import { Database as Sqlite } from "bun:sqlite";
import { dirname } from "node:path";
import { sql } from "drizzle-orm";
import { errorText, Fault } from "../../domain/errors.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import {
  type BatchLimits,
  createDatabase,
  type Database,
  openRaw,
  type Reader,
  sqliteCode,
  type Tx,
} from "./database.ts";
import { fillLookups, lookupDrift } from "./lookups.ts";
import { migrate, schema_version, versionOf } from "./migrations.ts";

/** Whoever only asks whether a server runs holds the lock for a moment: no reason to refuse to serve. */
const lock_patience_ms = 200;

interface Needs {
  world: World;
  telemetry: Telemetry;
  path: string;
  gather?: BatchLimits;
  /** What extensions do inside its transactions; nothing without. */
  hooks?: Reader["hooks"];
}

/** An open database together with the lock that keeps a second server away, where one is held. */
export interface Opened {
  database: Database;
  /** The file behind whatever links led to it. */
  path: string;
  /** Names of the migrations that were applied by this opening. */
  applied: string[];
  close(): Promise<void>;
}

/**
 * Opens for serving: takes the serving lock, creates an absent file, checks an existing one. An older schema is refused
 * unless `migrateFirst`; then a copy is written beside it before anything changes.
 * Faults: database_in_use, schema_version, database_unusable.
 */
export function openForServing(named: Needs & { migrateFirst: boolean }): Opened {
  return guarded(named, () => {
    const { files } = named.world;
    files.makeFolder(dirname(named.path));
    // One lock for one file, whatever links lead to it.
    const needs = { ...named, path: files.behindLinks(named.path) };
    for (const path of [needs.path, lockOf(needs.path)]) if (!files.exists(path)) files.create(path, "");
    const lock = takeServingLock(needs.path);
    try {
      const raw = openRaw(needs.path);
      try {
        const applied = bringUpToDate(needs, raw, needs.migrateFirst);
        quickCheck(raw, needs.path);
        writeCheck(raw);
        agreeOnLookups(raw, needs.path);
        return opened(needs, raw, applied, lock);
      } catch (error) {
        raw.close();
        throw error;
      }
    } catch (error) {
      lock.close();
      throw error;
    }
  });
}

/** Creates or migrates the file. Needs the serving lock, so no server may be running. Returns the names applied. */
export async function migrateDatabase(needs: Needs): Promise<string[]> {
  const { applied, close } = openForServing({ ...needs, migrateFirst: true });
  await close();
  return applied;
}

/** Opens beside a running server or alone. The file must exist and have exactly this code's schema. */
export function openForCommand(named: Needs): Opened {
  return guarded(named, () => {
    const needs = { ...named, path: named.world.files.behindLinks(named.path) };
    if (!needs.world.files.exists(needs.path)) {
      throw new Fault(
        "database_unusable",
        `database.path: there is no database at ${needs.path}; start "ocrch serve", run "ocrch migrate", or name another with --database`,
      );
    }
    const raw = openRaw(needs.path);
    try {
      const version = ownVersion(raw, needs.path);
      if (version !== schema_version) throw versionFault(needs.path, version);
      refuseDrift(raw, needs.path);
      return opened(needs, raw, [], null);
    } catch (error) {
      raw.close();
      throw error;
    }
  });
}

function opened(needs: Needs, raw: Sqlite, applied: string[], lock: Sqlite | null): Opened {
  const database = createDatabase({ ...needs, raw });
  return {
    database,
    path: needs.path,
    applied,
    async close() {
      await database.close();
      lock?.close();
    },
  };
}

/** Path of the small database that is locked for as long as a server uses the one at `path`. */
function lockOf(path: string): string {
  return `${path}.lock`;
}

/** Whether a server holds the database now: it alone keeps others from reading its lock. */
export function isDatabaseServed({ files }: World, path: string): boolean {
  let lock: Sqlite | null = null;
  try {
    lock = new Sqlite(lockOf(files.behindLinks(path)), { readonly: true });
    lock.run("PRAGMA busy_timeout = 0");
    lock.query("SELECT count(*) FROM sqlite_schema").get();
    return false;
  } catch (error) {
    return sqliteCode(error) === "SQLITE_BUSY";
  } finally {
    lock?.close();
  }
}

/** An exclusive transaction on a small database beside the real one, held for life: a killed process frees it. */
function takeServingLock(path: string): Sqlite {
  const lock = new Sqlite(lockOf(path), { create: true, readwrite: true });
  try {
    lock.run(`PRAGMA busy_timeout = ${lock_patience_ms}`);
    lock.run("BEGIN EXCLUSIVE");
    // A file that may only be read locks nobody out: SQLite says so at the first write, not before.
    lock.run("PRAGMA user_version = 1");
    return lock;
  } catch (error) {
    lock.close();
    if (sqliteCode(error) !== "SQLITE_BUSY") throw unusable(lockOf(path), error);
    throw new Fault("database_in_use", `database.path: another ocrch serves ${path}; stop it first`);
  }
}

function bringUpToDate(needs: Needs, raw: Sqlite, migrateFirst: boolean): string[] {
  const version = ownVersion(raw, needs.path);
  if (version === schema_version) return [];
  if (version > schema_version || (version > 0 && !migrateFirst)) throw versionFault(needs.path, version);
  if (version > 0) {
    const copy = `${needs.path}.version-${version}-${needs.world.now()}`;
    // VACUUM writes into an empty file and keeps its mode.
    needs.world.files.create(copy, "");
    raw.query("VACUUM INTO ?").run(copy);
    needs.telemetry.info("database_copied", { path: copy });
  }
  return migrate(raw);
}

/** Writes the schema version that is there: the smallest write that shows whether there is room. */
export function rewriteVersion(tx: Tx): void {
  tx.live().run(sql.raw(`PRAGMA user_version = ${schema_version}`));
}

function ownVersion(raw: Sqlite, path: string): number {
  const version = versionOf(raw);
  if (version === null) {
    throw new Fault("database_unusable", `database.path: ${path} is a database of another program`);
  }
  return version;
}

function versionFault(path: string, version: number): Fault {
  const cure =
    version > schema_version
      ? "use a newer ocrch"
      : 'stop the server and run "ocrch migrate", or start it with --migrate';
  return new Fault(
    "schema_version",
    `database.path: ${path} has schema version ${version}, this ocrch needs ${schema_version}; ${cure}`,
  );
}

/**
 * Makes the lookup tables hold this code's lists. Entries that a newer ocrch left and never used are deleted.
 * Fault: schema_version where a row refers to one.
 */
function agreeOnLookups(raw: Sqlite, path: string): void {
  const { missing, unknown } = lookupDrift(raw);
  if (missing.length + unknown.length === 0) return;
  try {
    raw.transaction(() => fillLookups(raw)).immediate();
  } catch (error) {
    if (sqliteCode(error) !== "SQLITE_CONSTRAINT_FOREIGNKEY") throw error;
    const entries = namesOf(unknown);
    throw new Fault(
      "schema_version",
      `database.path: ${path} has rows of entries that this ocrch does not know (${entries}); use a newer ocrch`,
    );
  }
}

/** A command changes no list of a server that may be running. */
function refuseDrift(raw: Sqlite, path: string): void {
  const { missing, unknown } = lookupDrift(raw);
  if (missing.length + unknown.length === 0) return;
  const cure =
    unknown.length > 0 ? "use the ocrch that serves it" : 'start the server anew, or stop it and run "ocrch migrate"';
  throw new Fault(
    "schema_version",
    `database.path: ${path} was opened by another version of ocrch (${namesOf([...missing, ...unknown])}); ${cure}`,
  );
}

const namesOf = (entries: readonly { table: string; name: string }[]) =>
  entries.map(({ table, name }) => `${table}: ${name}`).join(", ");

function quickCheck(raw: Sqlite, path: string): void {
  const answer = raw.query<{ quick_check: string }, []>("PRAGMA quick_check(1)").get()?.quick_check;
  if (answer !== "ok") {
    throw new Fault("database_unusable", `database.path: ${path} is damaged (${answer}); restore a backup`);
  }
}

/** Throws SQLite's error for a file that may not be written, which only a write tells. That somebody else writes now is none. */
function writeCheck(raw: Sqlite): void {
  try {
    raw.run("BEGIN IMMEDIATE");
    raw.run(`PRAGMA user_version = ${schema_version}`);
    raw.run("ROLLBACK");
  } catch (error) {
    if (sqliteCode(error) !== "SQLITE_BUSY") throw error;
  }
}

/** What SQLite says about a file as one line that names the key and the cure. */
function unusable(path: string, error: unknown): Fault {
  return new Fault("database_unusable", `database.path: ${path} cannot be used: ${errorText(error)}${cureFor(error)}`);
}

/** What helps against an error of SQLite, to be read behind its words; empty where nobody knows. */
export function cureFor(error: unknown): string {
  const code = sqliteCode(error);
  if (/^SQLITE_(?:READONLY|PERM|CANTOPEN)/.test(code)) {
    return "; it, the files beside it and their folder must be writable for the user that runs ocrch";
  }
  if (/^SQLITE_(?:CORRUPT|NOTADB)/.test(code)) return "; stop ocrch, put the file aside and restore a backup";
  if (/^SQLITE_FULL/.test(code)) return "; make room on its disk";
  return "";
}

/** Turns what SQLite says about a path into one line that names the key. */
function guarded<T>(needs: Needs, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw unusable(needs.path, error);
  }
}
