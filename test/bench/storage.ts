// What one durable row costs SQLite here, one by one and gathered, and what `transact` makes of three rows.

import { join } from "node:path";
import { openRaw } from "../../src/storage/engine/database.ts";
import { ratio, spread, table, times } from "./report.ts";
import { type Bench, createOrder, openShop } from "./stand.ts";

const gathered_rows = 256;
/** The product's promise: what gathering must be worth at 32 callers. */
const promised_gain = 5;

/** Runs `act` until the time is up; rows per second. */
function bareInserts(path: string, rows_per_commit: number, run_ms: number): number {
  const raw = openRaw(path);
  raw.run("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, name TEXT NOT NULL, body TEXT NOT NULL) STRICT");
  const insert = raw.prepare("INSERT INTO rows (name, body) VALUES (?, ?)");
  const started = performance.now();
  let rows = 0;
  while (performance.now() - started < run_ms) {
    if (rows_per_commit > 1) raw.run("BEGIN IMMEDIATE");
    for (let i = 0; i < rows_per_commit; i++) insert.run(`name-${rows}`, '{"some":"body","of":"a usual length"}');
    if (rows_per_commit > 1) raw.run("COMMIT");
    rows += rows_per_commit;
  }
  const seconds = (performance.now() - started) / 1000;
  insert.finalize();
  raw.close();
  return rows / seconds;
}

async function creations(callers: number, run_ms: number): Promise<number> {
  const shop = await openShop();
  await Promise.all(Array.from({ length: gathered_rows }, () => createOrder(shop, "1.00")));
  const started = performance.now();
  const deadline = started + run_ms;
  let orders = 0;
  const caller = async () => {
    while (performance.now() < deadline) {
      await createOrder(shop, "19.99");
      orders += 1;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  const per_second = (orders / (performance.now() - started)) * 1000;
  await shop.close();
  return per_second;
}

export interface StorageFigures {
  lines: string[];
  /** Rows per second of bare SQLite. */
  one_by_one: number[];
  gathered: number[];
}

export async function measureStorage(bench: Bench): Promise<StorageFigures> {
  const one_by_one: number[] = [];
  const gathered: number[] = [];
  const callers = new Map<number, number[]>([1, 32, 256].map((count) => [count, []]));
  for (let round = 0; round < bench.rounds; round++) {
    const path = join(bench.folder, `bare-${round}.db`);
    one_by_one.push(bareInserts(path, 1, bench.run_ms / 2));
    gathered.push(bareInserts(path, gathered_rows, bench.run_ms / 2));
    for (const [count, found] of callers) found.push(await creations(count, bench.run_ms / 2));
  }
  const [one = [], many = [], most = []] = callers.values();
  const gain = ratio(many, one);
  const row = (what: string, values: number[], base: number[]) => [
    what,
    spread(values),
    times(ratio(values, base)),
    times(ratio(values, one_by_one)),
  ];
  const lines = [
    ...table(
      ["in one process, no HTTP", "per second", "to the first of its kind", "to a bare row"],
      [
        row("bare SQLite, one row, one by one", one_by_one, one_by_one),
        row(`bare SQLite, one row, ${gathered_rows} per commit`, gathered, one_by_one),
        row("an order (three rows), 1 caller", one, one),
        row("an order (three rows), 32 callers", many, one),
        row("an order (three rows), 256 callers", most, one),
      ],
    ),
    "",
    `transact: 32 callers do ${times(gain)} what one does; promised is at least ${promised_gain}x: ${gain >= promised_gain ? "kept" : "NOT KEPT in this run"}.`,
  ];
  return { lines, one_by_one, gathered };
}
