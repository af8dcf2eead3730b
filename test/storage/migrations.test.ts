// An upgrade in place: a database that the first version wrote, as its own migration made it, with rows of a running
// shop in it.

import { Database as Sqlite } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lookups } from "../../src/storage/engine/lookups.ts";
import { migrate, schema_version } from "../../src/storage/engine/migrations.ts";
import { openForCommand, openForServing } from "../../src/storage/engine/open.ts";
import { orderById } from "../../src/storage/orders.ts";
import { lastEvent } from "../../src/storage/outbox.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld } from "../../src/world.ts";

const now = 1_711_900_800_000;
const first = readFileSync(join(import.meta.dir, "../../migrations/0001_first.sql"), "utf8");
const rows_of_a_shop = [
  "INSERT INTO chains (chain, head_number) VALUES ('eth', 7)",
  "INSERT INTO orders (seq, id, merchant_order_id, amount, status, webhook_url, created_at, expires_at) VALUES (1, 'o1', 'm1', '19.90', 'pending', 'https://a/', 1, 2)",
  "INSERT INTO orders (seq, id, merchant_order_id, amount, status, webhook_url, created_at, expires_at) VALUES (2, 'o2', 'm2', '5', 'pending', 'https://a/', 1, 2)",
  "UPDATE orders SET status = 'paid', ended_at = 3, cause = 'pay' WHERE id = 'o2'",
  "INSERT INTO deposits (id, order_id, chain, coin, wallet, amount, units, opened_at) VALUES (1, 'o1', 'eth', 'USDT', 'w', '19.90', '19900000', 1)",
  "INSERT INTO events (n, type, order_id, body, created_at) VALUES (1, 'order_created', 'o1', '{}', 1), (2, 'order_created', 'o2', '{}', 1)",
  "INSERT INTO deposits (id, order_id, chain, coin, wallet, amount, units, opened_at, closed_at, close_reason) VALUES (2, 'o2', 'eth', 'USDT', 'w', '5', '5000000', 1, 3, 'pay')",
  "INSERT INTO slots (chain, coin, wallet, units, sender, deposit, closed_at) VALUES ('eth', 'USDT', 'w', '19900000', '', 1, NULL), ('eth', 'USDT', 'w', '5000000', '', 2, 3)",
  "INSERT INTO transfers (id, chain, tx_hash, position, token, coin, label, amount, sender, wallet, units, block_number, block_hash, block_time, log_index, status, finality, deposit, reason, seen_at, confirmed_at) VALUES (7, 'eth', 't1', 0, 'c', 'USDT', 'USDT', '5', 's', 'w', '5000000', 5, 'h5', 1, 0, 'matched', '12', 2, NULL, 2, 3), (8, 'eth', 't2', 1, 'c', 'USDT', 'USDT', '4', 's', 'w', '4000000', 6, 'h6', 1, 3, 'no_matched_deposit', '12', NULL, 'no_such_amount', 2, 3)",
  "INSERT INTO allocations (id, transfer, order_id, kind, created_at) VALUES (3, 7, 'o2', 'match', 3)",
  "INSERT INTO events (n, type, order_id, transfer, body, created_at) VALUES (3, 'order_status_changed', 'o2', NULL, '{}', 3), (4, 'unknown_transfer', NULL, 8, '{}', 3)",
  "INSERT INTO deliveries (id, event, kind, order_id, url, origin, body, schedule, state, next_at) VALUES (1, 3, 'order', 'o2', 'https://a/', 'https://a', '{}', 'webhook', 'waiting', 3)",
  "INSERT INTO deliveries (id, event, kind, transfer, url, origin, body, schedule, state, next_at) VALUES (2, 4, 'transfer', 8, 'https://a/', 'https://a', '{}', 'webhook', 'waiting', 3)",
];

const transfer_columns =
  "id, chain, tx_hash, position, token, coin, label, amount, sender, wallet, units, block_number, block_hash, block_time, log_index, status, finality, deposit, reason, likely_order, seen_at, confirmed_at";

let folder: string;
let path: string;
const log: string[] = [];
const world = { ...realWorld(), now: () => now, warn: (line: string) => void log.push(line) };
const needs = () => ({ world, telemetry: createTelemetry(world), path });

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ocrch-upgrade-"));
  path = join(folder, "ocrch.db");
  log.length = 0;
  const raw = new Sqlite(path, { create: true });
  raw.run("PRAGMA journal_mode = WAL");
  raw.run(first);
  raw.run("PRAGMA application_id = 1329812035");
  raw.run("PRAGMA user_version = 1");
  for (const sql of rows_of_a_shop) raw.run(sql);
  raw.close();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Every row of the tables a shop filled, but for the columns that are new. */
function contents(file: string): unknown {
  const raw = new Sqlite(file, { readonly: true });
  try {
    const orders =
      "SELECT seq, id, merchant_order_id, amount, status, webhook_url, created_at, expires_at, ended_at, cause FROM orders";
    const slots = "SELECT id, chain, coin, wallet, units, sender, deposit, closed_at FROM slots";
    const chains =
      "SELECT chain, head_number, head_hash, head_time, final_number, final_hash, final_time, last_read_at, stalled_since, stalled_reason FROM chains";
    const deposits =
      "SELECT id, order_id, chain, coin, wallet, sender, amount, units, opened_at, opened_head, closed_at, close_reason FROM deposits";
    const whole = ["events", "allocations", "deliveries"].map((table) => `SELECT * FROM ${table}`);
    expect(raw.query("PRAGMA foreign_key_check").all()).toEqual([]);
    return [orders, slots, chains, deposits, `SELECT ${transfer_columns} FROM transfers`, ...whole].map((sql) =>
      raw.query(`${sql} ORDER BY 1`).all(),
    );
  } finally {
    raw.close();
  }
}

const versionOf = (file: string) => {
  const raw = new Sqlite(file, { readonly: true });
  try {
    return raw.query<{ user_version: number }, []>("PRAGMA user_version").get()?.user_version;
  } finally {
    raw.close();
  }
};

describe("a database of version 1 with rows in it", () => {
  test("is refused without --migrate, by the server and by every command, and stays as it was", () => {
    const before = contents(path);
    const refusal = `database.path: ${path} has schema version 1, this ocrch needs ${schema_version}; stop the server and run "ocrch migrate", or start it with --migrate`;
    expect(() => openForServing({ ...needs(), migrateFirst: false })).toThrow(refusal);
    expect(() => openForCommand(needs())).toThrow(refusal);
    expect(versionOf(path)).toBe(1);
    expect(contents(path)).toEqual(before);
    expect(readdirSync(folder).filter((name) => name.includes("version"))).toEqual([]);
  });

  test("is copied beside and migrated with it, every row intact", async () => {
    const before = contents(path);
    const opened = openForServing({ ...needs(), migrateFirst: true });
    const later = readdirSync(join(import.meta.dir, "../../migrations")).filter((name) =>
      /^(?!0001)\d+.*\.sql$/.test(name),
    );
    expect(opened.applied).toEqual(later.sort());
    expect(opened.database.read(lastEvent)).toBe(4);
    expect(opened.database.read((at) => orderById(at, "o1"))).toMatchObject({
      ...{ merchant_order_id: "m1", amount: "19.90", status: "pending" },
      ...{ lifetime_s: null, metadata: null, success_url: null, cancel_url: null },
    });
    await opened.close();

    expect(versionOf(path)).toBe(schema_version);
    expect(contents(path)).toEqual(before);
    const copy = `${path}.version-1-${now}`;
    expect(log.filter((line) => line.includes(`database_copied path=${copy}`))).toHaveLength(1);
    expect(versionOf(copy)).toBe(1);
    expect(contents(copy)).toEqual(before);
  });

  test("is migrated once: the next start finds nothing to do and copies nothing", async () => {
    await openForServing({ ...needs(), migrateFirst: true }).close();
    const files = readdirSync(folder).filter((name) => name.includes("version"));
    const again = openForServing({ ...needs(), migrateFirst: true });
    expect(again.applied).toEqual([]);
    await again.close();
    const beside = openForCommand(needs());
    await beside.close();
    expect(readdirSync(folder).filter((name) => name.includes("version"))).toEqual(files);
  });

  test("keeps the terms of its orders afterwards, old and new", async () => {
    await openForServing({ ...needs(), migrateFirst: true }).close();
    const raw = new Sqlite(path);
    for (const change of [
      "amount = '1'",
      "metadata = '{}'",
      "success_url = 'x'",
      "cancel_url = 'x'",
      "lifetime_s = 1",
    ]) {
      expect(() => raw.run(`UPDATE orders SET ${change} WHERE id = 'o1'`)).toThrow(
        "the terms of an order do not change",
      );
    }
    raw.close();
  });
});

/** One row at least of every table that version 24 had, none of them trivial. */
const rows_of_version_25 = [
  "INSERT INTO chains (chain, head_number, head_hash, ms_per_block, pace_measured_at) VALUES ('eth', 7, 'h7', 12000, 5), ('tron', NULL, NULL, NULL, NULL)",
  "INSERT INTO clock_readings VALUES ('eth', 'p', -3, 9, 5)",
  "INSERT INTO providers VALUES ('eth', 'p', 5, 1, 0, 800, 'timeout', 4, 'resting', 9, 70, 120, 2, 1, 19, 5)",
  "INSERT INTO finality_tags VALUES ('eth', 'finalized', 3, 'h3', 3, 'p', 5)",
  "INSERT INTO zero_value_logs VALUES ('eth', 19, 2)",
  "INSERT INTO orders (seq, id, merchant_order_id, amount, status, webhook_url, created_at, expires_at) VALUES (5, 'o1', 'm1', '19.90', 'pending', 'https://a/', 1, 2)",
  `INSERT INTO orders (seq, id, merchant_order_id, amount, status, chain, coin, sender, webhook_url, created_at, expires_at, lifetime_s, metadata, success_url, cancel_url) VALUES (9, 'o2', 'm2', '5', 'pending', 'eth', 'DAI', 's', 'https://a/', 1, 2, 60, '{"a":1}', 'https://a/s', 'https://a/c')`,
  "UPDATE orders SET status = 'expired', ended_at = 3, cause = 'expire' WHERE id = 'o2'",
  "UPDATE orders SET status = 'paid', ended_at = 4, cause = 'mark_paid' WHERE id = 'o2'",
  "INSERT INTO creations VALUES ('k', 'b', 'o1', 9)",
  "INSERT INTO watches (id, chain, wallet, token, coin, label, decimals, offered, active, added_at, start_block, start_time) VALUES (4, 'eth', 'w', 't', 'USDT', 'USDT', 6, 1, 1, 0, 2, 3), (6, 'eth', 'w', 'u', NULL, 'USDC.e', 6, 0, 1, 0, NULL, NULL)",
  "INSERT INTO coverage VALUES (3, 4, 'head', 1, 7, 'h7', 7, 'p'), (8, 4, 'final', 1, 3, NULL, NULL, 'p')",
  "INSERT INTO unserved_blocks VALUES (4, 2, 2, 5, NULL)",
  "INSERT INTO checkpoints VALUES (4, 3, 3, '0', 1, 'p', 5)",
  "INSERT INTO balance_cases VALUES (2, 4, 1, '0', 3, '7', '7', 5, 1, 6, 'p', NULL, 7, 'explained'), (5, 4, 3, '7', 4, '1', '-6', 5, 0, NULL, NULL, NULL, NULL, NULL)",
  "INSERT INTO checks VALUES ('eth', 'history', 'p', 5, 1, 2, NULL, NULL)",
  "INSERT INTO compared VALUES ('eth', 'w', 9, 3, 3, 2, 5)",
  "INSERT INTO blocks VALUES ('eth', 7, 'h7', 7)",
  "INSERT INTO deposits (id, order_id, chain, coin, wallet, sender, amount, units, opened_at, opened_head, remainder, opened_ahead_ms, head_after_opening, opened_uncertainty_ms) VALUES (3, 'o1', 'eth', 'USDT', 'w', 's', '19.90', '19900000', 1, 6, '9900000', 2, 7, 1)",
  "INSERT INTO deposits (id, order_id, chain, coin, wallet, amount, units, opened_at, closed_at, close_reason) VALUES (8, 'o2', 'eth', 'DAI', 'w', '5', '5000000000000000000', 1, 3, 'expire')",
  "INSERT INTO slots (id, chain, coin, wallet, units, sender, deposit, closed_at, rest) VALUES (2, 'eth', 'USDT', 'w', '9900000', '', 3, NULL, 1)",
  "INSERT INTO transfers (id, chain, tx_hash, position, token, coin, label, amount, sender, wallet, units, block_number, block_hash, block_time, log_index, status, finality, deposit, part, newest_deposit, seen_at, confirmed_at, reverted_at, held_for) VALUES (7, 'eth', 't1', 0, 't', 'USDT', 'USDT', '10', 's', 'w', '10000000', 5, 'h5', 1, 0, 'matched', '12', 3, 1, 8, 2, 3, 4, NULL)",
  "INSERT INTO transfers (id, chain, tx_hash, position, token, coin, label, amount, sender, wallet, units, block_number, block_hash, block_time, log_index, status, finality, reason, likely_order, seen_at, confirmed_at, dismissed_at, held_for) VALUES (11, 'eth', 't2', 1, 'u', NULL, 'USDC.e', '4', 's', 'w', '4000000', 6, 'h6', 1, 3, 'no_matched_deposit', '12', 'unknown_token', 'o1', 2, 3, 4, 3)",
  "INSERT INTO claims VALUES (2, 11, 'o1', 5)",
  "INSERT INTO allocations VALUES (3, 7, 'o1', 'part', 3, 4), (6, 7, 'o1', 'assign', 5, NULL)",
  "INSERT INTO events VALUES (1, 'order_created', 'o1', NULL, '{}', 1), (1700000000000, 'log_restored', NULL, NULL, '{}', 2), (1700000000001, 'transfer_assigned', 'o1', 7, '{}', 3)",
  "INSERT INTO meta VALUES ('last_event_kept_at', 5)",
  "INSERT INTO deliveries VALUES (4, 1, 'order', 'o1', NULL, 'https://a/', 'https://a', '{}', 'webhook', 'delivered', 1, 3, 2, 4), (9, NULL, 'proof', NULL, NULL, 'https://b/', 'https://b/', '{}', 'proof', 'waiting', 0, 3, NULL, NULL)",
  "INSERT INTO attempts VALUES (2, 4, 3, 4, 200, NULL)",
  "INSERT INTO audit VALUES (3, 5, 'cli', 'assign', '7', '{}')",
  "INSERT INTO oc_nonces VALUES (500, 'n', 9)",
  "INSERT INTO oc_orders VALUES ('n1', 'o2', 500, 'h', 'r', '5', 'USD', '[100]', 1, 2, '{}', 's')",
  "INSERT INTO oc_payments (txid, caller, merchant, amount, currency, created_at, expires_at) VALUES ('x', 1, 2, '5', 'USD', 0, 1)",
  "INSERT INTO oc_proofs VALUES (100, 'x', 'h', 'paid', 'n1', 7, 'recursive', 'k', '{}', 's', 3, 4, 'x')",
  "INSERT INTO oc_sessions VALUES ('s1', 'o1', 'x1', 1, 2, 'n', 'm', '{}', 's', 'USD', '[]', 0, 4, NULL, 'shallow', 501)",
];

test("the lists of a start wait for another process that writes", async () => {
  await openForServing({ ...needs(), migrateFirst: true }).close();
  const raw = new Sqlite(path);
  raw.run("INSERT INTO coins (name) VALUES ('unused')");
  raw.close();
  const holding = `const { Database } = require("bun:sqlite"); const raw = new Database(process.argv[1]);
    raw.run("BEGIN IMMEDIATE"); console.log("held"); setTimeout(() => raw.run("COMMIT"), 500);`;
  const other = Bun.spawn([process.execPath, "-e", holding, path], { stdout: "pipe" });
  await other.stdout.getReader().read();
  await openForServing({ ...needs(), migrateFirst: false }).close();
  const after = new Sqlite(path, { readonly: true });
  expect(after.query("SELECT name FROM coins WHERE name = 'unused'").all()).toEqual([]);
  after.close();
  expect(await other.exited).toBe(0);
});

describe("a database of version 25 with rows in every table", () => {
  let older: string;
  beforeEach(() => {
    older = join(folder, "older.db");
    const raw = new Sqlite(older, { create: true });
    raw.run("PRAGMA foreign_keys = ON");
    const files = readdirSync(join(import.meta.dir, "../../migrations")).filter((name) => /^\d+.*\.sql$/.test(name));
    raw.transaction(() => {
      for (const name of files.sort().slice(0, 25))
        raw.run(readFileSync(join(import.meta.dir, "../../migrations", name), "utf8"));
    })();
    raw.run("PRAGMA application_id = 1329812035");
    raw.run("PRAGMA user_version = 25");
    for (const sql of rows_of_version_25) raw.run(sql);
    raw.close();
  });

  const all = (sql: string) => {
    const raw = new Sqlite(older, { readonly: true });
    try {
      return raw.query<Record<string, unknown>, []>(sql).all();
    } finally {
      raw.close();
    }
  };
  const tables = () =>
    all("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
      .map((row) => String(row.name))
      .filter((name) => !(name in lookups));
  /** Every row of every table by its columns, in the order of its keys. */
  const everything = () => tables().map((name) => [name, all(`SELECT * FROM ${name} ORDER BY 1, 2`)] as const);
  const rules = () => all("SELECT type, name, sql FROM sqlite_schema WHERE sql NOT LIKE 'CREATE TABLE%' ORDER BY 1, 2");
  /** What SQLite looks for first: of two equally good indexes it takes the newer one. */
  const indexes = (table: string) => all(`SELECT name, "unique", partial FROM pragma_index_list('${table}')`);
  const openAndClose = () => openForServing({ ...needs(), path: older, migrateFirst: true }).close();

  test("keeps every row, every index and every trigger", async () => {
    const before = { rows: everything(), rules: rules(), indexes: tables().map(indexes) };
    expect(before.rows.filter(([, rows]) => rows.length === 0)).toEqual([]);
    await openAndClose();
    expect(all("PRAGMA user_version")).toEqual([{ user_version: schema_version }]);
    expect({ rows: everything(), rules: rules(), indexes: tables().map(indexes) }).toEqual(before);
    expect(all("PRAGMA foreign_key_check")).toEqual([]);
    expect(all("PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
  });

  test("numbers its next rows as before, and refuses what it refused", async () => {
    await openAndClose();
    const raw = new Sqlite(older);
    raw.run("PRAGMA foreign_keys = ON");
    raw.run("INSERT INTO events (type, body, created_at) VALUES ('order_created', '{}', 4)");
    expect(raw.query("SELECT max(n) AS n FROM events").get()).toEqual({ n: 1_700_000_000_002 });
    for (const [change, words] of [
      ["UPDATE orders SET status = 'expired' WHERE id = 'o2'", "not a legal transition of an order"],
      ["UPDATE orders SET coin = 'USDC' WHERE id = 'o2'", "the terms of an order do not change"],
      ["DELETE FROM events", "events are never deleted"],
      ["DELETE FROM orders WHERE id = 'o1'", "FOREIGN KEY constraint failed"],
      ["UPDATE deposits SET coin = 'EURC'", "FOREIGN KEY constraint failed"],
      ["DELETE FROM coins WHERE name = 'USDT'", "FOREIGN KEY constraint failed"],
    ] as const)
      expect(() => raw.run(change)).toThrow(words);
    raw.close();
  });

  test("is left as it was when a row refers to one that is not there", async () => {
    const raw = new Sqlite(older);
    raw.run("PRAGMA foreign_keys = OFF");
    raw.run("UPDATE deposits SET order_id = 'gone' WHERE id = 3");
    raw.run("PRAGMA foreign_keys = ON");
    expect(() => migrate(raw)).toThrow("a row of deposits refers to one that is not there");
    expect(raw.query("PRAGMA foreign_keys").get()).toEqual({ foreign_keys: 1 });
    raw.close();
    expect(all("PRAGMA user_version")).toEqual([{ user_version: 25 }]);
    expect(all("SELECT count(*) AS rows FROM events")).toEqual([{ rows: 3 }]);
  });
});

describe("the lookup tables", () => {
  const names = (table: string) => {
    const raw = new Sqlite(path, { readonly: true });
    try {
      return raw
        .query<{ name: string }, []>(`SELECT name FROM ${table}`)
        .all()
        .map((row) => row.name);
    } finally {
      raw.close();
    }
  };
  const change = (...statements: string[]) => {
    const raw = new Sqlite(path);
    raw.run("PRAGMA foreign_keys = ON");
    for (const sql of statements) raw.run(sql);
    raw.close();
  };
  const serve = () => openForServing({ ...needs(), migrateFirst: false });
  beforeEach(() => openForServing({ ...needs(), migrateFirst: true }).close());

  test("gain at a start what the code has gained, without a migration", async () => {
    change("DELETE FROM coins WHERE name = 'DAI'", "DELETE FROM event_types WHERE name = 'log_restored'");
    const words = `database.path: ${path} was opened by another version of ocrch (coins: DAI, event_types: log_restored)`;
    expect(() => openForCommand(needs())).toThrow(
      `${words}; start the server anew, or stop it and run "ocrch migrate"`,
    );
    expect(names("coins")).not.toContain("DAI");
    const opened = serve();
    expect(opened.applied).toEqual([]);
    await opened.close();
    for (const [table, list] of Object.entries(lookups)) expect(names(table)).toEqual([...list].sort());
    await openForCommand(needs()).close();
  });

  test("lose what a newer version left and nothing refers to", async () => {
    change("INSERT INTO coins VALUES ('EURC')");
    expect(() => openForCommand(needs())).toThrow(
      `database.path: ${path} was opened by another version of ocrch (coins: EURC); use the ocrch that serves it`,
    );
    await serve().close();
    expect(names("coins")).not.toContain("EURC");
  });

  test("stop an older version where rows refer to what it does not know", () => {
    change("INSERT INTO coins VALUES ('EURC'), ('XYZ')", "UPDATE deposits SET coin = 'EURC'");
    const words = `database.path: ${path} has rows of entries that this ocrch does not know (coins: EURC, coins: XYZ)`;
    expect(serve).toThrow(`${words}; use a newer ocrch`);
    expect(names("coins")).toContain("XYZ");
  });
});
