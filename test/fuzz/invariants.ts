// What must hold in the database whatever was asked of the product: questions that must return no rows.

import type { Database as Sqlite } from "bun:sqlite";
import { misfits } from "../support/event-payloads.ts";

const questions: readonly [what: string, sql: string][] = [
  ["the file is whole", "SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'"],
  ["no reference leads nowhere", "SELECT * FROM pragma_foreign_key_check"],
  [
    "events are numbered without gaps within a generation",
    "SELECT e.n FROM events e WHERE e.n > 1 AND e.type <> 'log_restored' AND NOT EXISTS (SELECT 1 FROM events p WHERE p.n = e.n - 1)",
  ],
  [
    "an order is created once, and that is its first event",
    `SELECT o.id FROM orders o
     WHERE (SELECT type FROM events e WHERE e.order_id = o.id ORDER BY n LIMIT 1) IS NOT 'order_created'
        OR (SELECT count(*) FROM events e WHERE e.order_id = o.id AND type = 'order_created') <> 1`,
  ],
  [
    "an order that has ended has told so, one that is pending has told nothing else",
    `SELECT o.id, o.status FROM orders o
     WHERE (SELECT body ->> 'status' FROM events e
            WHERE e.order_id = o.id AND type = 'order_status_changed' ORDER BY n DESC LIMIT 1)
           IS NOT CASE WHEN o.status = 'pending' AND NOT EXISTS (SELECT 1 FROM events e
             WHERE e.order_id = o.id AND type = 'order_status_changed') THEN NULL ELSE o.status END`,
  ],
  [
    "statuses follow one another as the table allows; a resend repeats",
    `SELECT * FROM (SELECT order_id, body ->> 'status' AS now,
       lag(body ->> 'status') OVER (PARTITION BY order_id ORDER BY n) AS before
       FROM events WHERE type = 'order_status_changed')
     WHERE now <> before AND before <> 'pending' AND NOT (before IN ('expired', 'cancelled') AND now = 'paid')`,
  ],
  [
    "every status is pushed once, in the bytes of its event",
    `SELECT e.n FROM events e LEFT JOIN deliveries d ON d.event = e.n
     WHERE e.type = 'order_status_changed' AND d.body IS NOT e.body`,
  ],
  [
    "nothing but statuses and unknown transfers is pushed",
    `SELECT d.id FROM deliveries d LEFT JOIN events e ON e.n = d.event
     WHERE e.type IS NULL OR e.type NOT IN ('order_status_changed', 'unknown_transfer')`,
  ],
  [
    "a transfer is matched exactly while it pays an order",
    `SELECT t.id FROM transfers t WHERE (t.status = 'matched')
       <> EXISTS (SELECT 1 FROM allocations a WHERE a.transfer = t.id AND a.reversed_at IS NULL)`,
  ],
  [
    "every assignment was told and written down",
    `SELECT (SELECT count(*) FROM events WHERE type = 'transfer_assigned') AS told,
       (SELECT count(*) FROM audit WHERE action IN ('transfer_assigned', 'transfer_unassigned')) AS written
     WHERE told <> written`,
  ],
  [
    "only pending orders have open deposits",
    `SELECT d.id FROM deposits d JOIN orders o ON o.id = d.order_id
     WHERE d.closed_at IS NULL AND o.status <> 'pending'`,
  ],
  [
    "an open deposit holds its amount, a closed one has let it into quarantine",
    `SELECT d.id FROM deposits d LEFT JOIN slots s ON s.deposit = d.id
     WHERE (d.closed_at IS NULL AND (s.id IS NULL OR s.closed_at IS NOT NULL))
        OR (d.closed_at IS NOT NULL AND s.id IS NOT NULL AND s.closed_at IS NULL)`,
  ],
  [
    "no amount is promised to two payers",
    `SELECT units FROM slots GROUP BY chain, coin, wallet, units
     HAVING count(*) > 1 AND (min(sender) = '' OR count(*) <> count(DISTINCT sender))`,
  ],
  [
    "an order holds what a client may say",
    `SELECT id FROM orders
     WHERE amount GLOB '*[^0-9.]*' OR amount = '' OR length(CAST(merchant_order_id AS BLOB)) > 1024
        OR length(CAST(webhook_url AS BLOB)) > 2048 OR webhook_url NOT GLOB 'http*'
        OR (sender IS NOT NULL AND length(sender) NOT IN (34, 42))`,
  ],
  [
    "a deposit asks for the order's amount or a little more",
    `SELECT d.id FROM deposits d JOIN orders o ON o.id = d.order_id
     WHERE CAST(d.amount AS REAL) < CAST(o.amount AS REAL) - 1e-9 * CAST(o.amount AS REAL)
        OR CAST(d.amount AS REAL) > CAST(o.amount AS REAL) + 0.05 + 1e-9 * CAST(o.amount AS REAL)`,
  ],
];

const payloads_fit = "every event carries what its type says";

/** Every invariant that does not hold, with the first rows that break it. */
export function brokenInvariants(raw: Sqlite): { what: string; rows: unknown[] }[] {
  const found = questions.map(([what, sql]) => ({ what, rows: raw.query(sql).all() }));
  return [...found, { what: payloads_fit, rows: misfits(raw) }]
    .filter(({ rows }) => rows.length > 0)
    .map(({ what, rows }) => ({ what, rows: rows.slice(0, 3) }));
}
