// The operator's lists over a million orders: builds them in a file of its own, straight in SQL, and times every list
// with its filters, at the top and as deep as an offset goes.

import { Database as Sqlite } from "bun:sqlite";
import { statSync } from "node:fs";
import { join } from "node:path";
import type { ChainId, Coin } from "../../src/domain/assets.ts";
import type { OrderStatus } from "../../src/domain/order.ts";
import type { TransferStatus } from "../../src/domain/payment.ts";
import { listDeposits } from "../../src/storage/deposits.ts";
import type { Reader } from "../../src/storage/engine/database.ts";
import { openForServing } from "../../src/storage/engine/open.ts";
import { listOrders } from "../../src/storage/orders.ts";
import { listTransfers } from "../../src/storage/transfer-lists.ts";
import { realWorld } from "../../src/world.ts";
import { silent } from "../support/temp-database.ts";
import { megabytes, number, spread, table } from "./report.ts";
import type { Bench } from "./stand.ts";

const orders_full = 1_000_000;
const orders_quick = 50_000;
const page_max = 200;
const offset_max = 100_000;
/** The wallet of every deposit and transfer that `fillLists` makes. */
export const filled_wallet = "0x52908400098527886E0F7030069857D2E4169EE7";
/** Milliseconds between two orders: a hundred of them share each second. */
const step_ms = 10;

/**
 * Fills a migrated database with orders in every status (most of them paid, one in twenty pending), a deposit and a
 * delivery for each, and the transfers that paid them. The file must not be open elsewhere.
 */
export function fillLists(path: string, orders: number): void {
  const raw = new Sqlite(path);
  // Nothing here has to survive a crash, and rows come in their final state: without the rule of how orders begin.
  raw.run("PRAGMA journal_mode = OFF");
  raw.run("PRAGMA synchronous = OFF");
  const [rule] = raw
    .query<{ sql: string }, []>("SELECT sql FROM sqlite_schema WHERE name = 'orders_begin_pending'")
    .all();
  raw.run("DROP TRIGGER orders_begin_pending");
  raw.run("BEGIN");
  raw.run(
    "INSERT OR IGNORE INTO chains (chain, last_read_at) VALUES ('eth', 1790000000000), ('polygon', 1790000000000)",
  );
  raw.run(`
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${orders}),
    o (i, status) AS (SELECT i, CASE WHEN i % 20 = 7 THEN 'pending' WHEN i % 20 = 0 THEN 'expired'
      WHEN i % 50 = 1 THEN 'cancelled' ELSE 'paid' END FROM n)
    INSERT INTO orders (seq, id, merchant_order_id, amount, status, webhook_url, created_at, expires_at, ended_at, cause)
    SELECT i, printf('01978f00-%04x-7000-8000-%012x', (i * 7919) % 65536, i), printf('order-%d', i), '19.99', status,
      'https://shop.example.com/hook', 1790000000000 + i * ${step_ms}, 1790003600000 + i * ${step_ms},
      CASE WHEN status <> 'pending' THEN 1790000001000 + i * ${step_ms} END,
      CASE status WHEN 'expired' THEN 'expire' WHEN 'cancelled' THEN 'cancel' WHEN 'paid' THEN 'pay' END
    FROM o`);
  raw.run(`
    INSERT INTO deposits (id, order_id, chain, coin, wallet, amount, units, opened_at, closed_at, close_reason)
    SELECT seq, id, CASE WHEN seq % 3 = 0 THEN 'polygon' ELSE 'eth' END,
      CASE seq % 3 WHEN 0 THEN 'DAI' WHEN 1 THEN 'USDT' ELSE 'USDC' END,
      '${filled_wallet}', amount, '19990000', created_at, ended_at, cause
    FROM orders`);
  raw.run(`
    INSERT INTO transfers (id, chain, tx_hash, position, token, coin, label, amount, sender, wallet, units, block_number,
      block_hash, block_time, log_index, status, finality, deposit, seen_at, confirmed_at)
    SELECT id, chain, printf('0x%064x', id), 0, 'token', coin, coin, amount, 'sender', wallet, units, id, 'block',
      opened_at / 1000, 0, CASE close_reason WHEN 'pay' THEN 'matched' ELSE 'no_matched_deposit' END, '12',
      CASE close_reason WHEN 'pay' THEN id END, opened_at, opened_at
    FROM deposits WHERE close_reason = 'pay' OR id % 1000 = 7`);
  raw.run(`
    INSERT INTO allocations (transfer, order_id, kind, created_at)
    SELECT t.id, d.order_id, 'match', t.seen_at FROM transfers t JOIN deposits d ON d.id = t.deposit`);
  raw.run(`
    INSERT INTO deliveries (kind, order_id, url, origin, body, schedule, state, next_at, last_tried_at, delivered_at)
    SELECT 'order', id, webhook_url, 'https://shop.example.com', '{}', 'webhook', 'delivered', ended_at, ended_at, ended_at
    FROM orders WHERE ended_at IS NOT NULL`);
  raw.run("COMMIT");
  if (rule !== undefined) raw.run(rule.sql);
  raw.close();
}

type List = (at: Reader, offset: number) => unknown[];
interface Filters {
  status?: OrderStatus;
  merchant_order_id?: string;
  chain?: ChainId;
  coin?: Coin;
  wallet?: string;
  transfer_status?: TransferStatus;
}

const orders =
  ({ status, merchant_order_id }: Filters): List =>
  (at, offset) =>
    listOrders(at, { status, merchant_order_id }, page_max, offset);
const deposits =
  ({ chain, coin }: Filters): List =>
  (at, offset) =>
    listDeposits(at, { chain, coin }, page_max, offset);
const transfers =
  ({ transfer_status, chain, coin }: Filters): List =>
  (at, offset) =>
    listTransfers(at, { wallet: filled_wallet, status: transfer_status, chain, coin }, page_max, offset);

/** Common lists, and those whose filters fit few rows or none: they read the most. */
const lists: readonly [what: string, list: List][] = [
  ["orders", orders({})],
  ["orders, paid", orders({ status: "paid" })],
  ["orders, cancelled (few)", orders({ status: "cancelled" })],
  ["orders of one name", orders({ merchant_order_id: "order-5" })],
  ["orders of one name, paid", orders({ merchant_order_id: "order-5", status: "paid" })],
  ["open deposits", deposits({})],
  ["open deposits, one chain", deposits({ chain: "eth" })],
  ["open deposits, one coin", deposits({ coin: "DAI" })],
  ["transfers of a wallet", transfers({})],
  ["transfers of a wallet, in the inbox (few)", transfers({ transfer_status: "no_matched_deposit" })],
  ["transfers of a wallet, one coin", transfers({ coin: "USDT" })],
  ["transfers of a wallet, fitting none", transfers({ chain: "polygon", coin: "USDT" })],
];

/** Builds the orders and times every list; `lines` are the report. */
export async function measureLists(bench: Bench): Promise<{ lines: string[] }> {
  const count = bench.quick ? orders_quick : orders_full;
  const path = join(bench.folder, "lists.db");
  const open = () => openForServing({ world: realWorld(), telemetry: silent, path, migrateFirst: false });
  await open().close();
  const started = performance.now();
  fillLists(path, count);
  const built_s = (performance.now() - started) / 1000;

  const { database, close } = open();
  const time = (list: List, offset: number) =>
    Array.from({ length: bench.rounds }, () => {
      const began = performance.now();
      database.read((at) => list(at, offset));
      return performance.now() - began;
    });
  const rows = lists.map(([what, list]) => {
    // The first run prepares the statement and warms the cache; an operator's dashboard asks again and again.
    const found = database.read((at) => list(at, 0)).length;
    return [what, number(found), spread(time(list, 0), 1), spread(time(list, offset_max), 1)];
  });
  await close();
  return {
    lines: [
      ...table(["list, ms", "rows", "offset 0", `offset ${number(offset_max)}`], rows),
      "",
      `- ${number(count)} orders with deposits, transfers and deliveries, built in ${number(built_s)} s: ${megabytes(statSync(path).size)}`,
    ],
  };
}
