// What must be true at the end of a world, after a quiet and honest while: every transfer accounted for, every order
// ended, every webhook taken in, every promise released. Reads only.

import type { Database as Sqlite } from "bun:sqlite";
import { checkProofs } from "./proofs.ts";
import { checkRestored, restoredBefore } from "./restoring.ts";
import { blocksIn, type SimChainId } from "./scenery.ts";
import { wrongestClock } from "./settings.ts";
import type { Payment, Stage } from "./stage.ts";
import { epoch_ms } from "./world.ts";

/** Each must return no rows at the end. */
const questions: Readonly<Record<string, string>> = {
  "an order is still pending": "SELECT id FROM orders WHERE status = 'pending'",
  "an amount is still promised": "SELECT id, chain, units FROM slots",
  "a webhook is still waiting": "SELECT id FROM deliveries WHERE state = 'waiting'",
  "a transfer still waits for confirmation": "SELECT id FROM transfers WHERE status = 'waiting_for_confirmation'",
  "a chain is stalled": "SELECT chain, stalled_reason FROM chains WHERE stalled_since IS NOT NULL",
  "a watch was never begun": "SELECT id FROM watches WHERE start_block IS NULL",
};
/** What only time takes away. */
const waited_for = [
  "SELECT 1 FROM orders WHERE status = 'pending'",
  "SELECT 1 FROM slots",
  "SELECT 1 FROM transfers WHERE status = 'waiting_for_confirmation'",
  "SELECT 1 FROM deliveries WHERE state = 'waiting'",
];
/** A retry comes at least this long after the end of the attempt before, seconds by number of failures. */
const retry_s = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048];
const attempts_max = retry_s.length + 1;
/** An attempt that ended is recorded so soon; what is queued in between does not wait for another. */
const recorded_within_ms = 1000;
/** What may be unread of a chain at rest: so many blocks, or as many as it makes in this time. */
const unread_max = { blocks: 8, seconds: 40 };
const unread_final_max = { blocks: 60, seconds: 300 };

interface TransferRow {
  chain: SimChainId;
  tx_hash: string;
  position: number;
  status: string;
  reason: string | null;
  block_hash: string;
  units: string;
  wallet: string;
  token: string;
  id: number;
}

interface DepositRow {
  order_id: string;
  chain: SimChainId;
  coin: string;
  opened_at: number;
  opened_head: number | null;
}

interface OrderRow {
  id: string;
  status: string;
  cause: string | null;
  expires_at: number;
  ended_at: number;
}

interface Delivered {
  n: number;
  body: string;
  url: string;
  state: string;
  tries: number;
}

/** Tells `stage.fail` of everything that is not as it must be at the end. Returns how many orders were paid on chain. */
export function checkEnd(stage: Stage, db: Sqlite): { paid: number } {
  for (const [name, sql] of Object.entries(questions)) {
    const row = db.query(sql).get() as Record<string, unknown> | null;
    if (row !== null) stage.fail(`at the end, ${name}: ${Object.values(row).join(" ")}`);
  }
  checkTransfers(stage, db);
  checkOrders(stage, db);
  for (const words of [...unread(stage, db), ...gaps(db)]) stage.fail(words);
  checkProofs(stage, db);
  checkRestored(stage, db, liesOf(stage));
  checkWebhooks(stage, db);
  checkOrder(stage, db);
  checkRetries(stage, db);
  return db.query("SELECT count(*) AS paid FROM orders WHERE cause = 'pay'").get() as { paid: number };
}

function startOf(db: Sqlite) {
  const rows = db.query("SELECT chain, wallet, token, start_block FROM watches").all() as {
    chain: string;
    wallet: string;
    token: string;
    start_block: number;
  }[];
  return new Map(rows.map((row) => [`${row.chain} ${row.wallet} ${row.token}`, row.start_block]));
}

function checkTransfers(stage: Stage, db: Sqlite): void {
  const { fail, traits } = stage;
  const rows = db.query("SELECT * FROM transfers").all() as TransferRow[];
  const key = (hash: string, position: number) => `${hash} ${position}`;
  const byPlace = new Map(rows.map((row) => [key(row.tx_hash, row.position), row]));
  const reverted = new Set(
    (db.query("SELECT subject FROM audit WHERE action = 'payment_reverted'").all() as { subject: string }[]).map(
      ({ subject }) => subject,
    ),
  );
  // A head that is not there makes a payment count before its time.
  const mayRevert = traits.deep || traits.future;
  const starts = startOf(db);
  for (const { chain, tx, position, transfer, kind } of stage.payments) {
    const row = byPlace.get(key(tx.hash, position));
    const block = chain.whereIs(tx.hash);
    const said = `the ${kind} transfer ${tx.hash} ${position} on ${chain.traits.id}`;
    const start = starts.get(`${chain.traits.id} ${transfer.wallet} ${transfer.token}`) ?? Number.POSITIVE_INFINITY;
    const now = chain.transferAt(tx.hash, position);
    const stands = block !== null && now !== null;
    if (stands && block.number >= start && row === undefined) fail(`${said} in block ${block.number} was lost`);
    if (row === undefined) continue;
    if (!stands && row.status !== "failed_to_confirm" && !(mayRevert && reverted.has(`transfer:${row.id}`))) {
      fail(`${said} does not stand and is ${row.status}`);
    }
    if (!stands) continue;
    // It had paid, left the chain, and came back as something else: reverted for good, and told.
    if (mayRevert && reverted.has(`transfer:${row.id}`) && row.units !== now.units.toString()) continue;
    if (row.status === "failed_to_confirm") fail(`${said} stands and is ${row.status}`);
    if (row.block_hash !== block.hash) fail(`${said} stands in ${block.hash} and is kept in ${row.block_hash}`);
    if (row.units !== now.units.toString()) fail(`${said} is kept with ${row.units} units and has ${now.units}`);
    if (row.status !== "matched" && row.reason === null) fail(`${said} is ${row.status} without a reason`);
  }
  for (const row of rows) {
    if (stage.invented.some(({ tx_hash }) => tx_hash === row.tx_hash)) {
      const isTakenBack = row.status === "failed_to_confirm" || reverted.has(`transfer:${row.id}`);
      if (!isTakenBack) fail(`the transfer ${row.tx_hash} was invented and is ${row.status}`);
      continue;
    }
    if (!stage.payments.some(({ tx, position }) => tx.hash === row.tx_hash && position === row.position)) {
      fail(`the transfer ${row.tx_hash} ${row.position} was never sent`);
    }
  }
}

function checkOrders(stage: Stage, db: Sqlite): void {
  const { fail, traits } = stage;
  const isLiedAbout = liesOf(stage);
  const orders = new Map((db.query("SELECT * FROM orders").all() as OrderRow[]).map((row) => [row.id, row]));
  const deposits = new Map(
    (db.query("SELECT * FROM deposits").all() as DepositRow[]).map((row) => [
      `${row.order_id} ${row.chain} ${row.coin}`,
      row,
    ]),
  );
  const paying = db
    .query(
      "SELECT a.order_id, t.tx_hash FROM allocations a JOIN transfers t ON t.id = a.transfer WHERE a.reversed_at IS NULL",
    )
    .all() as { order_id: string; tx_hash: string }[];
  for (const { order_id, tx_hash } of paying) {
    if (stage.invented.some((one) => one.tx_hash === tx_hash)) continue;
    const stands = Object.values(stage.chains).some((chain) => chain.whereIs(tx_hash) !== null);
    if (!stands && !traits.deep && !traits.future) fail(`${order_id} was paid by ${tx_hash}, which does not stand`);
  }
  for (const book of stage.orders.values()) {
    const order = orders.get(book.id);
    if (order === undefined) return fail(`the order ${book.id} was answered and lost`);
    if (order.cause === "mark_paid" && !book.marked) fail(`${book.id} is marked paid and nobody did it`);
    if (order.cause === "cancel" && !book.cancelled) fail(`${book.id} is cancelled and nobody did it`);
  }
  if (orders.size < stage.orders.size) fail("an order is missing");
  const decided = db
    .query(
      "SELECT t.tx_hash || ' ' || t.position AS place FROM audit a JOIN transfers t ON a.subject = 'transfer:' || t.id WHERE a.action IN ('transfer_assigned', 'transfer_dismissed')",
    )
    .all() as { place: string }[];
  const byHand = new Set(decided.map(({ place }) => place));
  for (const payment of stage.payments) {
    // What a node hid or told of a dead branch cannot be held against an expiry, nor can what an operator did.
    if (isLiedAbout(payment) || byHand.has(`${payment.tx.hash} ${payment.position}`)) continue;
    const detail = payment.detail;
    if (detail !== null && stage.lost.details.has(detail)) continue;
    const order = detail === null ? undefined : orders.get(detail.order.id);
    const deposit =
      detail === null ? undefined : deposits.get(`${detail.order.id} ${detail.chain} ${detail.token.coin}`);
    if (detail === null || order === undefined || deposit === undefined) continue;
    const { created_at } = detail.order;
    const was_wrong = stage.clock.wasWrong(created_at, order.ended_at - epoch_ms + wrongestClock(traits) * 1000);
    if (!was_wrong && isDue(stage, payment, order, deposit) && order.status !== "paid") {
      fail(`${order.id} is ${order.status} and was paid in time by ${payment.tx.hash} ${payment.position}`);
    }
  }
}

/** Tells whether a node hid the block of a payment, or may have shown another one in its place. */
function liesOf({ traits, chains, providers }: Stage): (payment: Payment) => boolean {
  if (!traits.lies) return () => false;
  const left = new Map(
    Object.entries(chains).map(([id, { blocks, orphaned }]) => [
      id,
      new Set([...orphaned.keys()].map((hash) => blocks.get(hash)?.number)),
    ]),
  );
  return ({ chain, tx }) => {
    const id = chain.traits.id as SimChainId;
    const places = [...chain.blocks.values()].filter(({ txs }) => txs.some((one) => one.tx.hash === tx.hash));
    const isHidden = places.some(({ hash }) => providers[id].some(({ answered }) => answered.lied.has(hash)));
    return isHidden || places.some(({ number }) => left.get(id)?.has(number));
  };
}

/** True for an exact and timely payment of an order that nobody ended by hand: it must have been paid. */
function isDue(stage: Stage, payment: Payment, order: OrderRow, deposit: DepositRow): boolean {
  const { kind, chain, tx, position, transfer, detail } = payment;
  const block = chain.whereIs(tx.hash);
  const is_same = chain.transferAt(tx.hash, position)?.units === transfer.units;
  if (kind !== "exact" || block === null || !is_same || detail?.order.cancelled || detail?.order.marked) return false;
  const inTime = block.time * 1000 >= deposit.opened_at && block.time * 1000 < order.expires_at;
  const afterOpening = deposit.opened_head === null || block.number > deposit.opened_head;
  // Its block came to be (again) after the end, or the chain could not be read until the last moment.
  const due_until = Math.max(order.expires_at, restoredBefore(stage, order.ended_at)) + stage.rules.leastLateWindow(0);
  const excused = epoch_ms + block.born_at >= order.ended_at || order.ended_at >= due_until;
  return inTime && afterOpening && !excused;
}

/** What lags behind its chain, in words; empty when all is read. */
function unread(stage: Stage, db: Sqlite): string[] {
  const ends = db.query(
    "SELECT w.chain, w.wallet, w.token, max(CASE WHEN c.pass = 'final' THEN c.to_block ELSE -1 END) AS final_to, max(c.to_block) AS head_to FROM watches w LEFT JOIN coverage c ON c.watch = w.id WHERE w.active GROUP BY w.id",
  );
  const rows = ends.all() as { chain: SimChainId; wallet: string; token: string; final_to: number; head_to: number }[];
  return rows.flatMap(({ chain: id, wallet, token, final_to, head_to }) => {
    const chain = stage.chains[id];
    const [head, final] = [chain.head().number, chain.finalNumber()];
    const said = `${wallet} ${token} on ${id}`;
    return [
      ...(head_to < head - blocksIn(id, unread_max.seconds, unread_max.blocks)
        ? [`${said} is read to ${head_to} of ${head}`]
        : []),
      ...(final_to < final - blocksIn(id, unread_final_max.seconds, unread_final_max.blocks)
        ? [`${said} is read finally to ${final_to} of ${final}`]
        : []),
    ];
  });
}

/** True when every order has ended, every promise is released and every webhook taken: time alone brings no more. */
export function isQuiet(db: Sqlite): boolean {
  return waited_for.every((sql) => db.query(sql).get() === null);
}

/** True when the chains are read as well: nothing is left to wait for. */
export function isAtRest(stage: Stage, db: Sqlite): boolean {
  return isQuiet(db) && unread(stage, db).length + gaps(db).length === 0;
}

/** Stretches between the beginning of a watch and its last read block that nobody read, in words. */
function gaps(db: Sqlite): string[] {
  const rows = db
    .query(
      "SELECT c.watch, c.from_block, c.to_block, w.start_block FROM coverage c JOIN watches w ON w.id = c.watch WHERE w.active ORDER BY c.watch, c.from_block",
    )
    .all() as { watch: number; from_block: number; to_block: number; start_block: number }[];
  const found: string[] = [];
  for (const intervals of Map.groupBy(rows, ({ watch }) => watch).values()) {
    let next = intervals[0]?.start_block ?? 0;
    for (const { watch, from_block, to_block } of intervals) {
      if (from_block > next) found.push(`watch ${watch} was never read from ${next} to ${from_block - 1}`);
      next = Math.max(next, to_block + 1);
    }
  }
  return found;
}

function checkWebhooks(stage: Stage, db: Sqlite): void {
  const { fail } = stage;
  const events = db
    .query(
      "SELECT e.n, e.body, d.url, d.state, (SELECT count(*) FROM attempts a WHERE a.delivery = d.id) AS tries FROM events e JOIN deliveries d ON d.event = e.n ORDER BY e.n",
    )
    .all() as Delivered[];
  const shops = new Map([...stage.shops, stage.backOffice].map((shop) => [shop.host, shop]));
  for (const { n, body, url, state, tries } of events) {
    const { host } = new URL(url);
    const known = shops.get(host)?.known.get(`evt_${n}`);
    if (state === "gave_up") {
      if (tries !== attempts_max) fail(`evt_${n} to ${host} was given up after ${tries} attempts`);
      continue;
    }
    if (known?.accepted_at == null) {
      fail(`${host} never took evt_${n}`);
      continue;
    }
    if (known.body !== body) fail(`${host} took evt_${n} in other words`);
  }
  for (const shop of shops.values()) {
    for (const id of shop.known.keys()) {
      if (events.some(({ n }) => id === `evt_${n}`)) continue;
      const was_lost = stage.lost.events.get(Number(id.replace("evt_", "")))?.has(shop.known.get(id)?.body ?? "");
      if (!was_lost) fail(`${shop.host} received ${id}, which does not exist`);
    }
  }
}

/**
 * Newer webhooks whose first attempt began within a minute, while an older one of the order was neither settled nor
 * tried since the newer one was queued.
 */
const overtaking = `WITH tried AS (
    SELECT e.n, e.order_id, e.created_at, d.id, min(a.started_at) AS first_at
    FROM events e JOIN deliveries d ON d.event = e.n JOIN attempts a ON a.delivery = d.id
    WHERE e.type = 'order_status_changed' GROUP BY e.n
  )
  SELECT newer.n, newer.order_id FROM tried newer
  JOIN events e ON e.order_id = newer.order_id AND e.type = 'order_status_changed' AND e.n < newer.n
  JOIN deliveries older ON older.event = e.n
  WHERE newer.first_at < newer.created_at + 60000
    AND (SELECT count(*) FROM attempts a WHERE a.delivery = older.id AND a.ended_at <= newer.first_at) < ${attempts_max}
    AND NOT EXISTS (
      SELECT 1 FROM attempts a WHERE a.delivery = older.id AND a.ended_at <= newer.first_at
      AND (a.error IS NULL OR a.ended_at >= newer.created_at - ${recorded_within_ms})
    )`;

/** A newer webhook of an order waits for one attempt of an older one, for a minute at most. */
function checkOrder(stage: Stage, db: Sqlite): void {
  if (stage.clock.wasWrong(0, stage.timeline.now())) return;
  for (const { n, order_id } of db.query(overtaking).all() as { n: number; order_id: string }[]) {
    stage.fail(`evt_${n} of ${order_id} was sent before the one before it`);
  }
}

/** No attempt before its time, unless a later event of the order made it due. */
function checkRetries(stage: Stage, db: Sqlite): void {
  if (stage.clock.wasWrong(0, stage.timeline.now())) return;
  const attempts = db
    .query(
      "SELECT a.delivery, a.started_at, a.ended_at, a.error, d.order_id, e.n FROM attempts a JOIN deliveries d ON d.id = a.delivery JOIN events e ON e.n = d.event ORDER BY a.delivery, a.id",
    )
    .all() as {
    delivery: number;
    started_at: number;
    ended_at: number;
    error: string | null;
    order_id: string | null;
    n: number;
  }[];
  const later = db.query(
    "SELECT created_at FROM events WHERE order_id = ? AND n > ? AND type = 'order_status_changed'",
  );
  for (const series of Map.groupBy(attempts, ({ delivery }) => delivery).values()) {
    for (const [index, attempt] of series.slice(1).entries()) {
      const before = series[index];
      if (before === undefined) continue;
      if (before.error === null) stage.fail(`delivery ${attempt.delivery} was tried again after its success`);
      const due_at = before.ended_at + (retry_s[index] ?? 0) * 1000;
      const hurried = (later.all(attempt.order_id, attempt.n) as { created_at: number }[]).some(
        ({ created_at }) => created_at >= before.started_at && created_at <= attempt.started_at,
      );
      if (attempt.started_at < due_at && !hurried) {
        stage.fail(`delivery ${attempt.delivery} was tried again ${due_at - attempt.started_at} ms too early`);
      }
    }
  }
}
