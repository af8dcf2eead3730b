// Watches over the database file of a running server: whether it is still the one that was opened, and whether its full
// disk has room again. Refuses writes to a file that nobody would find; never repairs anything.

import { Fault } from "../domain/errors.ts";
import type { Database } from "../storage/engine/database.ts";
import { rewriteVersion } from "../storage/engine/open.ts";
import type { Telemetry } from "../telemetry.ts";
import type { World } from "../world.ts";

/** Of SQLite's file format: the header, and in it the change counter, which only grows. */
const header_bytes = 100;
const counter_at = 24;
/** The format's name and the page size, which no commit changes. */
const format_bytes = 18;
/** Ours, or 0 until the first checkpoint has written it into the file itself. */
const application_at = 68;
const probe_interval_ms = 5000;
const repeat_interval_ms = 60_000;

interface Seen {
  inode: string;
  bytes: number;
  counter: number;
  format: string;
  application_id: number;
}

/**
 * Returns a look at the file at `path`, to be taken every second. Once the file was deleted, replaced or overwritten it
 * refuses all writes (Fault database_replaced) and says so every minute. While the disk is full it tries a small write
 * every five seconds.
 */
export function createFileWatch(needs: {
  world: World;
  telemetry: Telemetry;
  database: Database;
  path: string;
}): () => Promise<void> {
  const { world, telemetry, database, path } = needs;
  let last = see();
  let alarmed_at: number | null = null;
  let probed_at = world.elapsed();

  function see(): Seen | null {
    const found = world.files.identify(path, header_bytes);
    if (found === null) return null;
    const { inode, bytes, head } = found;
    const header = Buffer.concat([head, Buffer.alloc(header_bytes - head.length)]);
    return {
      inode,
      bytes,
      counter: header.readUInt32BE(counter_at),
      format: header.toString("hex", 0, format_bytes),
      application_id: header.readUInt32BE(application_at),
    };
  }

  /** What happened to the file since the last look; null for nothing. */
  function change(now: Seen | null): string | null {
    if (now === null) return "was deleted";
    if (last === null || now.inode !== last.inode) return "was replaced by another file";
    const isOther = last.application_id !== 0 && now.application_id !== last.application_id;
    if (isOther || now.format !== last.format) return "was overwritten with something else";
    const isOlder = now.counter < last.counter || (now.counter === last.counter && now.bytes < last.bytes);
    return isOlder ? "was overwritten with an older copy" : null;
  }

  function alarm(words: string): void {
    const due = alarmed_at === null || world.elapsed() - alarmed_at >= repeat_interval_ms;
    if (!due) return;
    alarmed_at = world.elapsed();
    const cure = "stop ocrch, put the right file in its place, start again";
    telemetry.error("database_replaced", {
      path,
      error: `${words}; no order is taken and nothing is written; ${cure}`,
    });
  }

  return async () => {
    const now = see();
    const words = change(now);
    if (words !== null) {
      database.refuseWrites(new Fault("database_replaced", `${path} ${words}`));
      return alarm(words);
    }
    last = now;
    if (database.unwritable() === null || world.elapsed() - probed_at < probe_interval_ms) return;
    probed_at = world.elapsed();
    // That the disk is still full is known.
    await database.transact(rewriteVersion).catch(() => undefined);
  };
}
