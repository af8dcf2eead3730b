// Files of an appliance when the disk is full, when somebody deletes or replaces them, and who may read them.

import { Database as Sqlite } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOcrch, OcrchError } from "../../src/sdk/index.ts";
import { createFileWatch } from "../../src/services/file-watch.ts";
import { openForCommand, openForServing } from "../../src/storage/engine/open.ts";
import { recordAudit } from "../../src/storage/outbox.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld } from "../../src/world.ts";
import {
  type Appliance,
  configText,
  createFolder,
  type Folder,
  fromSource,
  startAppliance,
} from "../support/appliance.ts";
import { mayMount, type SmallDisk, smallDisk } from "../support/small-disk.ts";
import { silent } from "../support/temp-database.ts";

const { files } = realWorld();
const wallet = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const token = "0xdAC17F958D2ee523a2206206994597C13D831ec7";
const toml = configText({
  chains: {
    eth: { rpc_urls: ["http://127.0.0.1:1"], wallets: [wallet], tokens: { USDT: { address: token, decimals: 6 } } },
  },
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ocrch-files-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("a file that is replaced", () => {
  let disk: SmallDisk;
  beforeEach(() => {
    if (mayMount) disk = smallDisk(1024 * 1024);
  });
  afterEach(() => mayMount && disk.remove());

  test.skipIf(!mayMount)("stays whole on a nearly full disk, and nothing is left beside it", () => {
    const path = join(disk.path, "ocrch-config.toml");
    const text = "# a wallet at the end\n".repeat(430);
    writeFileSync(path, text);
    disk.fill(4096);
    expect(() => files.replace(path, text.replace("a wallet", "another"))).toThrow(/ENOSPC|whole/);
    expect(readFileSync(path, "utf8")).toBe(text);
    expect(() => files.create(join(disk.path, "opencharge.key"), text)).toThrow(/ENOSPC|whole/);
    expect(readdirSync(disk.path).sort()).toEqual(["filler", "ocrch-config.toml"]);
  });

  test.skipIf(!mayMount)("is refused where it is a mount of its own, saying what to mount instead", () => {
    const path = join(disk.path, "ocrch-config.toml");
    writeFileSync(path, "old");
    expect(Bun.spawnSync(["mount", "--bind", path, path]).exitCode).toBe(0);
    try {
      expect(() => files.replace(path, "new")).toThrow(
        `${path} is a mount of its own; mount its folder ${disk.path} instead`,
      );
      expect(readFileSync(path, "utf8")).toBe("old");
      expect(readdirSync(disk.path)).toEqual(["ocrch-config.toml"]);
    } finally {
      Bun.spawnSync(["umount", path]);
    }
  });
});

test("what stands in the place of the new file is not written through", () => {
  const path = join(folder, "ocrch-config.toml");
  const other = join(folder, "other");
  writeFileSync(path, "old");
  writeFileSync(other, "untouched");
  symlinkSync(other, `${path}.new`);
  files.replace(path, "new");
  expect([readFileSync(path, "utf8"), readFileSync(other, "utf8")]).toEqual(["new", "untouched"]);
  expect(() => files.create(path, "again")).toThrow("EEXIST");
  symlinkSync(join(folder, "nowhere"), join(folder, "key"));
  expect(() => files.create(join(folder, "key"), "secret")).toThrow("EEXIST");
  expect(existsSync(join(folder, "nowhere"))).toBe(false);
});

test("files are for this user alone, whatever the umask", () => {
  const script = `
    import { openForServing } from ${JSON.stringify(join(import.meta.dir, "../../src/storage/engine/open.ts"))};
    import { recordAudit } from ${JSON.stringify(join(import.meta.dir, "../../src/storage/outbox.ts"))};
    import { realWorld } from ${JSON.stringify(join(import.meta.dir, "../../src/world.ts"))};
    const telemetry = { info() {}, warn() {}, error() {}, count() {}, counters: () => new Map() };
    const opened = openForServing({ world: realWorld(), telemetry, path: process.argv[2], migrateFirst: false });
    await opened.database.transact((tx) => recordAudit(tx, { actor: "a", action: "b", subject: "c", detail: "" }));
    process.kill(process.pid, 'SIGKILL');`;
  const program = join(folder, "open.ts");
  writeFileSync(program, script);
  const path = join(folder, "ocrch.db");
  const run = Bun.spawnSync(["sh", "-c", 'umask 0; exec "$0" "$@"', process.execPath, program, path]);
  expect([run.signalCode, run.stderr.toString()]).toEqual(["SIGKILL", ""]);
  const key = join(folder, "opencharge.key");
  const keygen = Bun.spawnSync(["sh", "-c", 'umask 0; exec "$0" "$@"', ...fromSource, "opencharge", "keygen", key]);
  expect(keygen.exitCode).toBe(0);
  const modes = readdirSync(folder)
    .filter((name) => name !== "open.ts")
    .map((name) => [name, (statSync(join(folder, name)).mode & 0o777).toString(8)]);
  expect(modes.map(([name]) => name).sort()).toEqual([
    "ocrch.db",
    "ocrch.db-shm",
    "ocrch.db-wal",
    "ocrch.db.lock",
    "ocrch.db.lock-journal",
    "opencharge.key",
  ]);
  expect(modes.filter(([, mode]) => mode !== "600")).toEqual([]);
});

describe("a link to the database", () => {
  const needs = (path: string) => ({ world: realWorld(), telemetry: silent, path });

  test("lets no second server in", async () => {
    const path = join(folder, "ocrch.db");
    const link = join(folder, "link.db");
    symlinkSync(path, link);
    const first = openForServing({ ...needs(link), migrateFirst: false });
    expect(first.path).toBe(path);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(() => openForServing({ ...needs(path), migrateFirst: false })).toThrow("another ocrch serves");
    symlinkSync(folder, join(folder, "here"));
    const roundabout = join(folder, "here", "ocrch.db");
    expect(() => openForServing({ ...needs(roundabout), migrateFirst: false })).toThrow("another ocrch serves");
    const command = openForCommand(needs(link));
    await command.close();
    await first.close();
  });
});

/** Folds the write-ahead log into the file itself. */
function intoFile(path: string): void {
  const raw = new Sqlite(path);
  raw.run("PRAGMA wal_checkpoint(TRUNCATE)");
  raw.close();
}

describe("the file of a running server", () => {
  const damages: [what: string, act: (path: string, copy: string) => void, words: string][] = [
    ["deleted", (path) => rmSync(path), "was deleted"],
    ["moved away", (path) => renameSync(path, `${path}.old`), "was deleted"],
    [
      "replaced by a copy",
      (path, copy) => {
        copyFileSync(path, `${path}.copy`);
        renameSync(existsSync(copy) ? `${path}.copy` : copy, path);
      },
      "was replaced by another file",
    ],
    ["overwritten with an older copy", (path, copy) => copyFileSync(copy, path), "was overwritten with an older copy"],
    [
      "overwritten with something else",
      (path) => writeFileSync(path, "x".repeat(200_000)),
      "was overwritten with something else",
    ],
  ];
  for (const [what, act, words] of damages) {
    test(`is noticed when it is ${what}: an alarm, and nothing is written any more`, async () => {
      const lines: string[] = [];
      const world = { ...realWorld(), warn: (line: string) => void lines.push(line) };
      const telemetry = createTelemetry(world);
      const path = join(folder, "ocrch.db");
      const write = (text: string) => (tx: Parameters<typeof recordAudit>[0]) =>
        recordAudit(tx, { actor: "a", action: "b", subject: "c", detail: text });
      const empty = openForServing({ world, telemetry, path, migrateFirst: false });
      await empty.close();
      intoFile(path);
      const copy = join(folder, "backup.db");
      copyFileSync(path, copy);

      const before = openForServing({ world, telemetry, path, migrateFirst: false });
      await before.database.transact((tx) => {
        for (let n = 0; n < 500; n++) write("x".repeat(500))(tx);
      });
      await before.close();
      intoFile(path);
      const { database, close } = openForServing({ world, telemetry, path, migrateFirst: false });
      const look = createFileWatch({ world, telemetry, database, path });
      await database.transact(write("one"));
      await look();
      expect([database.unwritable(), lines]).toEqual([null, []]);

      act(path, copy);
      await look();
      await look();
      expect(lines.filter((line) => line.includes("error database_replaced"))).toHaveLength(1);
      expect(lines.join()).toContain(`${words}; no order is taken`);
      expect(database.transact(write("two"))).rejects.toMatchObject({ code: "database_replaced" });
      await close().catch(() => {});
    });
  }
});

test("an older copy of the same size is noticed as well", async () => {
  const lines: string[] = [];
  const world = { ...realWorld(), warn: (line: string) => void lines.push(line) };
  const telemetry = createTelemetry(world);
  const path = join(folder, "ocrch.db");
  const open = () => openForServing({ world, telemetry, path, migrateFirst: false });
  const first = open();
  await first.database.transact((tx) => {
    for (let n = 0; n < 500; n++) {
      recordAudit(tx, { actor: "a", action: "b", subject: "c", detail: "x".repeat(500) });
    }
  });
  await first.close();
  intoFile(path);
  const copy = join(folder, "backup.db");
  copyFileSync(path, copy);
  const raw = new Sqlite(path);
  raw.run("DELETE FROM audit WHERE id > 10");
  raw.close();
  intoFile(path);
  expect(statSync(path).size).toBe(statSync(copy).size);

  const { database, close } = open();
  const look = createFileWatch({ world, telemetry, database, path });
  await look();
  expect(database.unwritable()).toBeNull();
  copyFileSync(copy, path);
  await look();
  expect(lines.join()).toContain("was overwritten with an older copy");
  await close().catch(() => {});
});

test("a file that was replaced is told again every minute, and no sooner", async () => {
  let clock = 0;
  const lines: string[] = [];
  const world = { ...realWorld(), elapsed: () => clock, warn: (line: string) => void lines.push(line) };
  const telemetry = createTelemetry(world);
  const path = join(folder, "ocrch.db");
  const { database, close } = openForServing({ world, telemetry, path, migrateFirst: false });
  const look = createFileWatch({ world, telemetry, database, path });
  renameSync(path, `${path}.old`);
  const told: number[] = [];
  for (const at of [0, 59_999, 60_000, 119_999, 120_000]) {
    clock = at;
    await look();
    told.push(lines.filter((line) => line.includes("error database_replaced")).length);
  }
  expect(told).toEqual([1, 1, 2, 2, 3]);
  await close().catch(() => {});
});

describe("a full disk", () => {
  let disk: SmallDisk;
  let started: Appliance | undefined;
  beforeEach(() => {
    if (mayMount) disk = smallDisk(8 * 1024 * 1024);
  });
  afterEach(async () => {
    await started?.stop("SIGKILL");
    started = undefined;
    if (mayMount) disk.remove();
  });

  test.skipIf(!mayMount)(
    "does not end the process: orders are refused with 503, what is there is served, and room is noticed",
    async () => {
      const here: Folder = { ...createFolder(toml), database: join(disk.path, "ocrch.db") };
      const appliance = await startAppliance({ folder: here, args: ["--database", here.database] });
      started = appliance;
      const ocrch = createOcrch({ url: appliance.url, secret: "test-merchant-secret", retries: 0 });
      const create = (order_id: string) =>
        ocrch.createOrder({
          order_id,
          amount: "5",
          webhook_url: "http://127.0.0.1:1/",
          metadata: { a: "x".repeat(3000) },
        });
      const first = await create("before");
      disk.fill(0);
      let refusal: unknown;
      for (let n = 0; n < 500 && refusal === undefined; n++)
        refusal = await create(`filling ${n}`).then(
          () => undefined,
          (error) => error,
        );
      expect(refusal).toBeInstanceOf(OcrchError);
      expect(refusal).toMatchObject({ status: 503, text: "temporarily unavailable" });
      expect(await create("again").catch((error) => error.status)).toBe(503);

      expect((await ocrch.orderStatus(first.order_id)).status).toBe("pending");
      expect((await fetch(`${appliance.url}/health`)).status).toBe(200);
      expect(appliance.log.filter((line) => line.includes("error database_full"))).toHaveLength(1);

      disk.clear();
      const written = () => appliance.log.some((line) => line.includes("database_writable_again"));
      for (let n = 0; n < 200 && !written(); n++) await Bun.sleep(100);
      expect(written()).toBe(true);
      expect((await create("after")).status).toBe("pending");
      expect(await appliance.stop()).toBe(0);
      here.remove();
    },
  );
});

test("a configuration that is not UTF-8 is refused with its line and the cure", () => {
  const path = join(folder, "ocrch-config.toml");
  const check = (bytes: Uint8Array) => {
    writeFileSync(path, bytes);
    const run = Bun.spawnSync([...fromSource, "config", "check", "-c", path]);
    return [run.exitCode, run.stderr.toString().trim()];
  };
  const latin = Buffer.from(toml.replace("Test shop", "Bäckerei"), "latin1");
  expect(check(latin)).toEqual([
    1,
    `ocrch: ${path}: cannot be read (line 6 is not UTF-8 but another encoding such as Latin-1; save the file as UTF-8)`,
  ]);
  const wide = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(toml, "utf16le")]);
  expect(check(wide)).toEqual([1, `ocrch: ${path}: cannot be read (it is UTF-16; save it as UTF-8)`]);
  appendFileSync(path, "");
  expect(check(Buffer.from(toml.replace("Test shop", "Bäckerei")))[0]).toBe(0);
});
