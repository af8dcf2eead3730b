// An upgrade in place: a database that the first version wrote, as its own migration made it, with rows of a running
// shop in it.

import { Database as Sqlite } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { schema_version } from "../../src/storage/engine/migrations.ts";
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
