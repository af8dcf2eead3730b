// What is looked at of the machine: its clock, the configuration file's mode, disk and database. Changes nothing.

import { dirname } from "node:path";
import type { Config } from "../../config/config.ts";
import { schema_version } from "../../storage/engine/migrations.ts";
import { examineDatabase, type WebhookOrigin } from "../../storage/examine.ts";
import type { World } from "../../world.ts";
import { type Check, type CheckFinding, fail, ok, runCheck, warn } from "./check.ts";

/** A signature is refused when clocks differ by its window; transfers are dated by the chain. */
const skew_warn_ms = 5_000;
const skew_fail_ms = 60_000;
const free_warn_bytes = 1024 ** 3;
const free_fail_bytes = 100 * 1024 ** 2;
const log_warn_bytes = 256 * 1024 ** 2;
const group_bits = 0o070;
const other_bits = 0o007;

/** Compares our clock with what others state of theirs, in ms: the middle of them, because one alone may be wrong. */
export function examineClock(world: World, skews_ms: readonly number[]): Promise<Check> {
  return runCheck(world, "clock", "time", () => {
    const sorted = [...skews_ms].sort((a, b) => a - b);
    const middle = sorted[Math.floor((sorted.length - 1) / 2)];
    if (middle === undefined) return warn("no provider states its time; make sure that this machine's clock is set");
    const off_ms = Math.abs(middle);
    if (off_ms < skew_warn_ms)
      return ok(`agrees with ${sorted.length === 1 ? "1 provider" : `${sorted.length} providers`}, to the second`);
    const words = `${Math.round(off_ms / 1000)} s ${middle > 0 ? "behind" : "ahead of"} the providers' clocks`;
    const cure = "set it, best by NTP (timedatectl set-ntp true)";
    return off_ms < skew_fail_ms ? warn(`${words}; ${cure}`) : fail("clock_wrong", `${words}; ${cure}`);
  });
}

/** Looks at the configuration file's mode: it holds the shop's secret. */
export function examineConfig(world: World, config: Config): Promise<Check> {
  return runCheck(world, config.path, "mode", () => {
    const mode = world.files.mode(config.path) ?? 0;
    const words = `mode ${mode.toString(8).padStart(4, "0")}`;
    const cure = `it holds your secrets: chmod 600 ${config.path}`;
    if ((mode & other_bits) !== 0)
      return fail("invalid_config", `${words}, open to everybody on this machine; ${cure}`);
    return (mode & group_bits) === 0 ? ok(words) : warn(`${words}, open to its group; ${cure}`);
  });
}

export interface StorageExamination {
  checks: Check[];
  webhook_origins: WebhookOrigin[];
}

/** Looks at the disk and at the database, all of it. */
export async function examineStorage(world: World, { database: { path } }: Config): Promise<StorageExamination> {
  const folder = dirname(path);
  let webhook_origins: WebhookOrigin[] = [];
  const disk = await runCheck(world, folder, "disk", () => {
    const found = world.files.disk(folder);
    if (found === null) return warn("there is no such folder yet; the first start makes it");
    const words = `${gigabytes(found.free_bytes)} free`;
    if (!found.writable) return fail("disk_unusable", `not writable for this user; chown it to the user ocrch runs as`);
    if (found.free_bytes < free_fail_bytes) return fail("disk_unusable", `${words}; make room before it is full`);
    return found.free_bytes < free_warn_bytes ? warn(`${words}; make room`) : ok(words);
  });
  const database = await runCheck(world, path, "database", (): CheckFinding => {
    const found = examineDatabase({ world, path });
    if (found === null) return warn("not there yet; the first start makes it");
    webhook_origins = found.webhook_origins;
    if (found.version === null)
      return fail("database_unusable", "a database of another program; name yours (database.path)");
    if (found.problems.length > 0) {
      const said = found.problems.join("; ").replaceAll("\n", " ");
      return fail("database_unusable", `damaged: ${said}; stop ocrch, keep this file, restore a backup`);
    }
    if (found.version !== schema_version) {
      const cure = found.version > schema_version ? "use a newer ocrch" : 'run "ocrch migrate"';
      return fail("schema_version", `schema version ${found.version}, this ocrch needs ${schema_version}; ${cure}`);
    }
    const words = `whole, schema version ${found.version}, ${gigabytes(found.bytes)}`;
    if (found.is_restored)
      return warn(`${words}; restored from a copy: the next start continues the event log with new numbers`);
    if (found.log_bytes < log_warn_bytes) return ok(words);
    const log = `${gigabytes(found.log_bytes)} wait in ${path}-wal`;
    return warn(`${words}; ${log}: another program keeps the database open for reading, end it`);
  });
  return { checks: [disk, database, await examineModes(world, path)], webhook_origins };
}

/** Looks at who may read the database and the files that SQLite keeps beside it. */
function examineModes(world: World, path: string): Promise<Check> {
  return runCheck(world, path, "mode", () => {
    const all = ["", "-wal", "-shm", ".lock"].map((end) => `${path}${end}`);
    const open = all.filter((file) => ((world.files.mode(file) ?? 0) & (group_bits | other_bits)) !== 0);
    return open.length === 0 ? ok("for this user alone") : warn(`others may read them: chmod 600 ${open.join(" ")}`);
  });
}

function gigabytes(bytes: number): string {
  return bytes < free_warn_bytes ? `${Math.ceil(bytes / 1024 ** 2)} MiB` : `${Math.floor(bytes / 1024 ** 3)} GiB`;
}
