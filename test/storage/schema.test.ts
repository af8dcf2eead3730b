// The migrated tables: what drizzle believes of them, and the rules they hold by themselves.

import { Database as Sqlite } from "bun:sqlite";
import { beforeEach, describe, expect, test } from "bun:test";
import { getTableColumns, getTableName, is, Table } from "drizzle-orm";
import * as network from "../../src/opencharge/storage/schema.ts";
import { lookups } from "../../src/storage/engine/lookups.ts";
import { migrate } from "../../src/storage/engine/migrations.ts";
import * as schema from "../../src/storage/schema.ts";

let raw: Sqlite;
beforeEach(() => {
  raw = new Sqlite(":memory:");
  raw.run("PRAGMA foreign_keys = ON");
  migrate(raw);
});

const tables = Object.values({ ...schema, ...network }).filter((value) => is(value, Table));

describe("schema.ts and the migrations agree", () => {
  test("on the names of all tables", () => {
    const rows = raw
      .query<{ name: string }, []>("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
      .all();
    expect<string[]>([...tables.map(getTableName), ...Object.keys(lookups)].sort()).toEqual(
      rows.map((row) => row.name).sort(),
    );
  });

  for (const table of tables) {
    const name = getTableName(table);
    test(`on the columns of ${name}`, () => {
      const inDatabase = raw
        .query<{ name: string; type: string; notnull: number; pk: number }, [string]>(
          "SELECT * FROM pragma_table_info(?)",
        )
        .all(name)
        .map((column) => [column.name, column.type.toLowerCase(), column.notnull === 1 || column.pk > 0]);
      const inSchema = Object.values(getTableColumns(table)).map((column) => [
        column.name,
        column.getSQLType(),
        column.notNull,
      ]);
      expect(inSchema).toEqual(inDatabase);
    });
  }

  test("every table is STRICT", () => {
    const loose = raw.query(
      "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0",
    );
    expect(loose.all().filter((row) => !(row as { name: string }).name.startsWith("sqlite_"))).toEqual([]);
  });
});

describe("every closed list of the code", () => {
  /** Columns whose list the schema leaves to the code, or to the row they refer to. */
  const left_to_the_code = ["orders.chain", "slots.chain", "slots.coin", "transfers.reason"];
  const sorted = (list: readonly string[]) => [...list].sort();
  const columns = tables.flatMap((table) =>
    Object.values(getTableColumns(table)).flatMap(({ name, enumValues }): [string, string, readonly string[]][] =>
      enumValues === undefined ? [] : [[getTableName(table), name, enumValues]],
    ),
  );

  /** The list that the schema holds a column to, and the lookup table it is in; null: none. */
  function heldTo(table: string, column: string): { lookup?: string; list: string[] } | null {
    const parent = raw
      .query<{ table: string }, [string, string]>('SELECT "table" FROM pragma_foreign_key_list(?) WHERE "from" = ?')
      .get(table, column)?.table;
    if (parent !== undefined && parent in lookups) return { lookup: parent, list: namesIn(parent) };
    // A chain of a row is one of the table `chains`, which has the list.
    if (parent === "chains") return heldTo("chains", "chain");
    const sql = raw.query<{ sql: string }, [string]>("SELECT sql FROM sqlite_schema WHERE name = ?").get(table)?.sql;
    const checks = [...(sql ?? "").matchAll(new RegExp(`CHECK \\(${column} IN\\s*\\(([^)]*)\\)\\)`, "g"))];
    const [list] = checks.map((check) => [...(check[1] ?? "").matchAll(/'(\w+)'/g)].map((word) => word[1] ?? ""));
    return list === undefined ? null : { list };
  }

  const namesIn = (table: string) =>
    raw
      .query<{ name: string }, []>(`SELECT name FROM ${table}`)
      .all()
      .map(({ name }) => name);

  test.each(columns)("is the schema's: %s.%s", (table, column, list) => {
    const held = heldTo(table, column);
    if (left_to_the_code.includes(`${table}.${column}`)) expect(held).toBeNull();
    else expect(sorted(held?.list ?? [])).toEqual(sorted(list));
  });

  test("each list that the schema holds is one of the code, and each lookup table has columns", () => {
    const checked = raw
      .query<{ name: string; sql: string }, []>("SELECT name, sql FROM sqlite_schema WHERE type = 'table'")
      .all()
      .flatMap(({ name, sql }) =>
        [...sql.matchAll(/CHECK \((\w+) IN\s*\('/g)].map(([, column]) => `${name}.${column}`),
      );
    const listed = columns.map(([table, column]) => `${table}.${column}`);
    expect(checked.filter((column) => !listed.includes(column))).toEqual([]);
    const used = new Set(columns.map(([table, column]) => heldTo(table, column)?.lookup));
    expect(Object.keys(lookups).filter((table) => !used.has(table))).toEqual([]);
  });

  test("a lookup table refuses what its list lacks", () => {
    seed();
    for (const sql of [
      "INSERT INTO chains (chain) VALUES ('bsc')",
      "UPDATE watches SET coin = 'EURC'",
      "UPDATE deposits SET coin = 'EURC'",
      "UPDATE deposits SET closed_at = 1, close_reason = 'lose'",
      "UPDATE orders SET status = 'paid', ended_at = 1, cause = 'lose'",
      "INSERT INTO events (type, body, created_at) VALUES ('order_lost', '{}', 0)",
    ])
      expect(() => raw.run(sql)).toThrow("FOREIGN KEY constraint failed");
  });
});

function seed(): void {
  raw.run("INSERT INTO chains (chain) VALUES ('eth')");
  raw.run(
    "INSERT INTO orders (seq, id, merchant_order_id, amount, status, webhook_url, created_at, expires_at) VALUES (1, 'o1', 'm', '1', 'pending', 'u', 0, 1), (2, 'o2', 'm', '1', 'pending', 'u', 0, 1)",
  );
  raw.run(
    "INSERT INTO deposits (id, order_id, chain, coin, wallet, amount, units, opened_at) VALUES (1, 'o1', 'eth', 'USDT', 'w', '1', '1', 0), (2, 'o2', 'eth', 'USDT', 'w', '2', '2', 0)",
  );
  raw.run(
    "INSERT INTO watches (id, chain, wallet, token, label, decimals, offered, active, added_at) VALUES (1, 'eth', 'w', 't', 'USDT', 6, 1, 1, 0)",
  );
}

const order = (column: string, value: string) =>
  `INSERT INTO orders (id, merchant_order_id, amount, status, webhook_url, created_at, expires_at, ${column}) VALUES ('x', 'm', '1', 'pending', 'u', 0, 1, ${value})`;
const slot = (units: string, sender: string, deposit = 1) =>
  `INSERT INTO slots (chain, coin, wallet, units, sender, deposit) VALUES ('eth', 'USDT', 'w', '${units}', '${sender}', ${deposit})`;
const transfer = (tx: string, position: number, status: string, more = "NULL, NULL") =>
  `INSERT INTO transfers (chain, tx_hash, position, token, label, amount, sender, wallet, units, block_number, block_hash, block_time, log_index, status, finality, seen_at, deposit, confirmed_at) VALUES ('eth', '${tx}', ${position}, 't', 'USDT', '1', 's', 'w', '1', 1, 'h', 1, 0, '${status}', '12', 0, ${more})`;
const session = (id: string, txid: string) =>
  `INSERT INTO oc_sessions (id, order_id, txid, caller, merchant, merchant_name, merchant_order, signed_order, signature, currency, notify, created_at) VALUES ('${id}', 'o1', '${txid}', 1, 2, 'n', 'm', '{}', 's', 'USD', '[]', 0)`;
const payment = (txid: string) =>
  `INSERT INTO oc_payments (txid, caller, merchant, amount, currency, created_at, expires_at) VALUES ('${txid}', 1, 2, '1', 'USD', 0, 1)`;
const settled = (txid: string, by: string) =>
  `UPDATE oc_payments SET settled_issuer = 9, settled_txid = '${by}', settled_by = '{}', proof = '{}' WHERE txid = '${txid}'`;
const coverage = (from: number, to: number, pass = "head") =>
  `INSERT INTO coverage (watch, pass, from_block, to_block, provider) VALUES (1, '${pass}', ${from}, ${to}, 'p')`;

describe("the schema refuses", () => {
  const rows: [what: string, first: string[], refused: string, fault: string][] = [
    [
      "an order that does not begin pending",
      [],
      "INSERT INTO orders (id, merchant_order_id, amount, status, webhook_url, created_at, expires_at, ended_at, cause) VALUES ('x', 'm', '1', 'paid', 'u', 0, 1, 1, 'pay')",
      "an order begins pending",
    ],
    [
      "a status nobody knows",
      [],
      "UPDATE orders SET status = 'lost' WHERE id = 'o1'",
      "not a legal transition of an order",
    ],
    [
      "a paid order that becomes anything else",
      ["UPDATE orders SET status = 'paid', ended_at = 1, cause = 'pay' WHERE id = 'o1'"],
      "UPDATE orders SET status = 'expired' WHERE id = 'o1'",
      "not a legal transition of an order",
    ],
    [
      "an expired order that becomes pending",
      ["UPDATE orders SET status = 'expired', ended_at = 1, cause = 'expire' WHERE id = 'o1'"],
      "UPDATE orders SET status = 'pending', ended_at = NULL, cause = NULL WHERE id = 'o1'",
      "not a legal transition of an order",
    ],
    [
      "an ended order without a cause",
      [],
      "UPDATE orders SET status = 'paid', ended_at = 1 WHERE id = 'o1'",
      "(status = 'pending') = (cause IS NULL)",
    ],
    [
      "another amount for an order",
      [],
      "UPDATE orders SET amount = '2' WHERE id = 'o1'",
      "the terms of an order do not change",
    ],
    [
      "metadata for an order that was created without",
      [],
      "UPDATE orders SET metadata = '{}' WHERE id = 'o1'",
      "the terms of an order do not change",
    ],
    [
      "another page to go on to",
      [],
      "UPDATE orders SET success_url = 'u' WHERE id = 'o1'",
      "the terms of an order do not change",
    ],
    [
      "another page to turn to",
      [],
      "UPDATE orders SET cancel_url = 'u' WHERE id = 'o1'",
      "the terms of an order do not change",
    ],
    ["another lifetime", [], "UPDATE orders SET lifetime_s = 1 WHERE id = 'o1'", "the terms of an order do not change"],
    ["metadata that is no object", [], order("metadata", "'[]'"), "metadata IS NULL OR json_type(metadata) = 'object'"],
    ["metadata that is no JSON", [], order("metadata", "'{'"), "malformed JSON"],
    ["a lifetime of nothing", [], order("lifetime_s", "0"), "lifetime_s > 0"],
    [
      "two open deposits of one order, chain and coin",
      [],
      "INSERT INTO deposits (order_id, chain, coin, wallet, amount, units, opened_at) VALUES ('o1', 'eth', 'USDT', 'w', '9', '9', 0)",
      "UNIQUE constraint failed: deposits.order_id, deposits.chain, deposits.coin",
    ],
    ["units with a sign", [], slot("-5", ""), "units GLOB '[1-9]*' AND units NOT GLOB '*[^0-9]*'"],
    ["units with a leading zero", [], slot("05", ""), "units GLOB '[1-9]*' AND units NOT GLOB '*[^0-9]*'"],
    ["one amount promised to two", [slot("7", "")], slot("7", "", 2), "the amount is promised already"],
    [
      "one amount promised twice to one sender",
      [slot("7", "a")],
      slot("7", "a", 2),
      "UNIQUE constraint failed: slots.chain, slots.coin, slots.wallet, slots.units, slots.sender",
    ],
    ["an open promise beside a bound one", [slot("7", "a")], slot("7", "", 2), "the amount is promised already"],
    ["a bound promise beside an open one", [slot("7", "")], slot("7", "a", 2), "the amount is promised already"],
    [
      "one log credited twice",
      [transfer("x", 0, "waiting_for_confirmation")],
      transfer("x", 0, "waiting_for_confirmation"),
      "UNIQUE constraint failed: transfers.chain, transfers.tx_hash, transfers.position",
    ],
    [
      "two transfers paying one deposit",
      [transfer("x", 0, "waiting_for_confirmation", "1, NULL")],
      transfer("x", 1, "waiting_for_confirmation", "1, NULL"),
      "UNIQUE constraint failed: transfers.deposit",
    ],
    [
      "a part of no deposit",
      [transfer("x", 0, "waiting_for_confirmation")],
      "UPDATE transfers SET part = 1 WHERE tx_hash = 'x'",
      "part = 0 OR deposit IS NOT NULL",
    ],
    [
      "a payment that is reverted and never counted",
      [transfer("x", 0, "waiting_for_confirmation")],
      "UPDATE transfers SET reverted_at = 9 WHERE tx_hash = 'x'",
      "reverted_at IS NULL OR confirmed_at IS NOT NULL",
    ],
    ["a confirmed transfer without a time", [], transfer("x", 0, "no_matched_deposit"), "(confirmed_at IS NULL) ="],
    [
      "a second live allocation of a transfer",
      [
        transfer("x", 0, "waiting_for_confirmation"),
        "INSERT INTO allocations (transfer, order_id, kind, created_at) VALUES (1, 'o1', 'match', 0)",
      ],
      "INSERT INTO allocations (transfer, order_id, kind, created_at) VALUES (1, 'o2', 'match', 0)",
      "UNIQUE constraint failed: allocations.transfer",
    ],
    ["coverage that overlaps in one pass", [coverage(10, 20)], coverage(20, 30), "coverage overlaps"],
    [
      "coverage that grows into its neighbour",
      [coverage(10, 20), coverage(21, 30)],
      "UPDATE coverage SET to_block = 25 WHERE from_block = 10",
      "coverage overlaps",
    ],
    ["coverage that ends before it begins", [], coverage(20, 10), "to_block >= from_block"],
    [
      "an event that is changed",
      ["INSERT INTO events (type, body, created_at) VALUES ('order_created', '{}', 0)"],
      "UPDATE events SET body = '[]'",
      "events are never changed",
    ],
    [
      "an event whose number leaves a gap in its generation",
      ["INSERT INTO events (type, body, created_at) VALUES ('order_created', '{}', 0)"],
      "INSERT INTO events (n, type, body, created_at) VALUES (3, 'order_created', '{}', 0)",
      "the numbers of events have no gaps within a generation",
    ],
    [
      "an event that is deleted",
      ["INSERT INTO events (type, body, created_at) VALUES ('order_created', '{}', 0)"],
      "DELETE FROM events",
      "events are never deleted",
    ],
    [
      "a second session of one order",
      [session("s1", "t1")],
      session("s2", "t2"),
      "UNIQUE constraint failed: oc_sessions.order_id",
    ],
    [
      "a proof of what is not paid",
      [session("s1", "t1")],
      "UPDATE oc_sessions SET proof = '{}'",
      "proof IS NULL OR paid_at IS NOT NULL",
    ],
    [
      "a second proof of one payment",
      [session("s1", "t1"), "UPDATE oc_sessions SET paid_at = 1", "UPDATE oc_sessions SET proof = '{}'"],
      "UPDATE oc_sessions SET proof = '[]'",
      "a proof is made once",
    ],
    ["a payment settled twice", [payment("t1"), settled("t1", "x")], settled("t1", "y"), "a payment is settled once"],
    [
      "two payments settled by one proof",
      [payment("t1"), payment("t2"), settled("t1", "x")],
      settled("t2", "x"),
      "UNIQUE constraint failed: oc_payments.settled_issuer, oc_payments.settled_txid",
    ],
    [
      "a payment settled by nobody",
      [payment("t1")],
      "UPDATE oc_payments SET proof = '{}'",
      "(proof IS NULL) = (settled_issuer IS NULL)",
    ],
    [
      "a delivered delivery without a time",
      [],
      "INSERT INTO deliveries (kind, url, origin, body, schedule, state, next_at) VALUES ('order', 'u', 'o', 'b', 'webhook', 'delivered', 0)",
      "(state = 'delivered') = (delivered_at IS NOT NULL)",
    ],
  ];
  test.each(rows)("%s", (_what, first, refused, fault) => {
    seed();
    for (const sql of first) raw.run(sql);
    expect(() => raw.run(refused)).toThrow(fault);
  });
});

describe("the schema allows", () => {
  const rows: [what: string, sql: string[]][] = [
    ["an order with metadata", [order("metadata", "'{\"a\":[1.50]}'")]],
    ["an order with a lifetime", [order("lifetime_s", "1")]],
    ["one amount for two bound senders", [slot("7", "a"), slot("7", "b", 2)]],
    [
      "two transfers of one transaction",
      [transfer("x", 0, "waiting_for_confirmation"), transfer("x", 1, "waiting_for_confirmation")],
    ],
    ["a transfer that an operator gives to an order without a deposit", [transfer("x", 0, "matched", "NULL, 5")]],
    [
      "several transfers that pay one deposit in parts",
      [
        transfer("x", 0, "waiting_for_confirmation"),
        transfer("x", 1, "waiting_for_confirmation"),
        "UPDATE transfers SET deposit = 1, part = 1",
      ],
    ],
    ["both passes over the same blocks", [coverage(10, 20), coverage(10, 20, "final")]],
    [
      "an expired order that is marked paid",
      [
        "UPDATE orders SET status = 'expired', ended_at = 1, cause = 'expire' WHERE id = 'o1'",
        "UPDATE orders SET status = 'paid', ended_at = 2, cause = 'mark_paid' WHERE id = 'o1'",
      ],
    ],
  ];
  test.each(rows)("%s", (_what, sql) => {
    seed();
    expect(() => {
      for (const one of sql) raw.run(one);
    }).not.toThrow();
  });
});
