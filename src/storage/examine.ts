// A database file looked at without serving from it: its version, whether SQLite finds it whole, how large its log is.
// Opens read-only; changes nothing.

import { Database as Sqlite } from "bun:sqlite";
import { errorText, Fault } from "../domain/errors.ts";
import type { World } from "../world.ts";
import { schema_version, versionOf } from "./engine/migrations.ts";
import { cureFor, isDatabaseServed } from "./engine/open.ts";
import { readLastEvent } from "./generations.ts";

const problems_max = 3;
const recent_deliveries_max = 1000;
const origins_max = 10;

export interface Examined {
  /** Null when it is another program's. */
  version: number | null;
  bytes: number;
  /** Of the write-ahead log beside it. */
  log_bytes: number;
  /** What the full integrity check found, at most three lines. */
  problems: string[];
  /** True for a copy that was put back: the next start begins a new generation of the event log. */
  is_restored: boolean;
  /** Origins of the newest webhooks, newest first. */
  webhook_origins: WebhookOrigin[];
}

/** Where webhooks go. */
export interface WebhookOrigin {
  origin: string;
  /** HTTP status of the newest attempt there, null where it was not answered, and its URL, null where there was none. */
  last_status: number | null;
  last_url: string | null;
}

/** Examines the file at `path`; null when there is none. Reads all of it. Fault: database_unusable. */
export function examineDatabase({ world, path }: { world: World; path: string }): Examined | null {
  const bytes = world.files.size(path);
  if (bytes === null) return null;
  let raw: Sqlite | null = null;
  try {
    const kept = readLastEvent(world, world.files.behindLinks(path));
    raw = new Sqlite(path, { readonly: true });
    const version = versionOf(raw);
    const found = raw.query<{ integrity_check: string }, []>(`PRAGMA integrity_check(${problems_max})`).all();
    const strays = raw.query<{ table: string }, []>("PRAGMA foreign_key_check").all();
    return {
      version,
      bytes,
      log_bytes: world.files.size(`${path}-wal`) ?? 0,
      problems: [
        ...found.map((row) => row.integrity_check).filter((line) => line !== "ok"),
        ...strays.slice(0, 1).map((row) => `${strays.length} rows point nowhere, the first in ${row.table}`),
      ].slice(0, problems_max),
      is_restored: version === schema_version && !isDatabaseServed(world, path) && isRestored(raw, kept),
      webhook_origins: originsOf(raw),
    };
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw new Fault("database_unusable", `${path} cannot be read: ${errorText(error)}${cureFor(error)}`);
  } finally {
    raw?.close();
  }
}

function isRestored(raw: Sqlite, kept: number | null): boolean {
  if (kept === null) return raw.query("SELECT 1 FROM meta WHERE name = 'last_event_kept_at'").get() !== null;
  return kept > (raw.query<{ n: number | null }, []>("SELECT max(n) AS n FROM events").get()?.n ?? 0);
}

function originsOf(raw: Sqlite): WebhookOrigin[] {
  const hasTable = raw.query("SELECT 1 FROM sqlite_schema WHERE name = 'deliveries'").get() !== null;
  if (!hasTable) return [];
  return raw
    .query<WebhookOrigin, [number, number]>(
      `WITH recent AS MATERIALIZED (SELECT origin, id FROM deliveries WHERE schedule = 'webhook' ORDER BY id DESC LIMIT ?),
      newest AS (SELECT recent.origin, max(recent.id) AS delivery, max(a.id) AS attempt
        FROM recent LEFT JOIN attempts a ON a.delivery = recent.id GROUP BY recent.origin)
      SELECT n.origin, a.status AS last_status, d.url AS last_url FROM newest n
      LEFT JOIN attempts a ON a.id = n.attempt LEFT JOIN deliveries d ON d.id = a.delivery
      ORDER BY n.delivery DESC LIMIT ?`,
    )
    .all(recent_deliveries_max, origins_max);
}
