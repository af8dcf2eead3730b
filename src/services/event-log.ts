// The event log after a restore: a database that is behind the number kept beside it was restored from a copy, and the
// log goes on in a new generation. Gives no number out twice.

import { errorText } from "../domain/errors.ts";
import { firstOfGeneration, logRestoredBody } from "../domain/events.ts";
import type { Database } from "../storage/engine/database.ts";
import {
  insertGeneration,
  lastEventPath,
  newestGeneration,
  readLastEvent,
  recordLastEventWritten,
  wasLastEventWritten,
  writeLastEvent,
} from "../storage/generations.ts";
import { lastEvent } from "../storage/outbox.ts";
import type { Telemetry } from "../telemetry.ts";
import type { World } from "../world.ts";

export interface EventLog {
  /**
   * Begins a new generation when the database was restored from a copy. Must resolve before anything else appends an
   * event. Fault: database_unusable, of the file beside the database.
   */
  resume(): Promise<void>;
  /**
   * Writes the number of the newest event beside the database when it is higher than the last one written. Does nothing
   * before `resume`. Called every second, and before a number leaves this machine, so that none does which the file
   * does not know. Never throws: what cannot be written is logged and tried again at the next call.
   */
  keep(): void;
}

/**
 * The event log of the database at `path`. With `is_served`, another process serves that database and keeps the
 * number: this one writes none.
 */
export function createEventLog(needs: {
  world: World;
  telemetry: Telemetry;
  database: Database;
  path: string;
  is_served: boolean;
}): EventLog {
  const { world, telemetry, database, path, is_served } = needs;
  /** Null before `resume`, and while another process keeps the number. */
  let written: number | null = null;
  let is_failing = false;

  /** Resolves with the number of the newest event. */
  const beginIfRestored = (kept: number | null): Promise<number> =>
    database.transact((tx) => {
      const last = lastEvent(tx);
      // Beside a server a missing file was deleted while it ran; what it serves is no copy.
      const is_restored = kept === null ? wasLastEventWritten(tx) && !is_served : kept > last;
      if (!is_restored) return last;

      const first = firstOfGeneration(last, kept, tx.now);
      const generation = (newestGeneration(tx)?.number ?? 1) + 1;
      const restored = { generation, last_in_copy: last, last_given_out: kept };
      insertGeneration(tx, first, logRestoredBody(restored, tx.now));
      telemetry.warn("log_restored", { ...restored, first });
      return first;
    });

  return {
    async resume() {
      const last = await beginIfRestored(readLastEvent(world, path));
      if (is_served) return;
      writeLastEvent(world, path, last);
      written = last;
      if (!database.read(wasLastEventWritten)) await database.transact(recordLastEventWritten);
    },

    keep() {
      if (written === null) return;
      try {
        const last = database.read(lastEvent);
        if (last <= written) return;
        writeLastEvent(world, path, last);
        written = last;
        is_failing = false;
      } catch (error) {
        if (!is_failing) telemetry.warn("last_event_not_kept", { path: lastEventPath(path), error: errorText(error) });
        is_failing = true;
      }
    },
  };
}

/** `database`, where the event log is resumed before the first transaction. */
export function withResumedLog(database: Database, log: EventLog): Database {
  let resumed: Promise<void> | null = null;
  return {
    ...database,
    async transact(act) {
      resumed ??= log.resume();
      await resumed;
      return database.transact(act);
    },
  };
}
