// Copies of the database, and restores from them: the server stops, an older copy takes the place of its database, and
// it starts again. Keeps what everybody outside still knows and the database does not, and says what must come back.

import { Database as Sqlite } from "bun:sqlite";
import { copyFileSync, existsSync, rmSync } from "node:fs";
import type { AnswerMemory } from "./provider.ts";
import type { BookOrder, Detail, Lost, Payment, Restore, Stage } from "./stage.ts";
import { epoch_ms } from "./world.ts";

interface Copy {
  path: string;
  /** Virtual ms. */
  taken_at: number;
  /** With its write-ahead log, as a snapshot of the volume has it. */
  has_log: boolean;
  orders: Map<string, Pick<BookOrder, "cancelled" | "marked">>;
  answered: AnswerMemory[];
}

export interface Restorer {
  /** Copies the database as it is now. */
  copy(): void;
  /** Ends the server; an older copy takes the place of its database before it starts again. */
  restore(): Promise<void>;
  /** True when the copy may take its place: there is no server, and no command is at work. */
  isDue(): boolean;
  /** Puts it there. */
  replace(): void;
  /** The server is started. */
  starting(): void;
}

const copies_max = 6;
/** A folder that is put back as a whole brings its old file along, which the manual says to delete. */
const file_deleted_percent = 25;

export function createLost(): Lost {
  return { orders: new Map(), details: new Set(), events: new Map(), restores: [] };
}

/** `files` are those of the machine beside the database at `path`. */
export function createRestorer(stage: Stage, needs: { path: string; files: Map<string, string> }): Restorer {
  const { random, timeline, server, lost, fail, note } = stage;
  const { path, files } = needs;
  const copies: Copy[] = [];
  let next: Copy | null = null;
  let made = 0;

  const nodes = () => Object.values(stage.providers).flat();
  const placeOf = ({ order, chain, token, wallet }: Detail) => [order.id, chain, token.coin, wallet].join(" ");

  function numberOf(webhook_id: string): number {
    return Number(webhook_id.replace("evt_", ""));
  }

  /** The highest event number that left the machine. */
  function givenOut(): number {
    const told = [...stage.shops, stage.backOffice].flatMap((shop) => [...shop.known.keys()].map(numberOf));
    return Math.max(0, stage.read.last(), ...told);
  }

  /** Keeps what the database that is to be replaced had and the copy does not. */
  function remember(copy: Sqlite, last_in_copy: number): { newest: number; paid: Restore["paid"] } {
    const old = new Sqlite(path, { readonly: true });
    try {
      const events = old
        .query<{ n: number; body: string }, [number]>("SELECT n, body FROM events WHERE n > ? ORDER BY n")
        .all(last_in_copy);
      const kept = copy.query("SELECT 1 FROM events WHERE n = ?");
      for (const { n, body } of events) {
        if (kept.get(n) === null) lost.events.set(n, (lost.events.get(n) ?? new Set()).add(body));
      }
      const paying = old
        .query<{ order_id: string; tx_hash: string; position: number }, []>(
          "SELECT a.order_id, t.tx_hash, t.position FROM allocations a JOIN transfers t ON t.id = a.transfer JOIN orders o ON o.id = a.order_id WHERE a.kind = 'match' AND a.reversed_at IS NULL AND o.cause = 'pay'",
        )
        .all();
      return { newest: events.at(-1)?.n ?? last_in_copy, paid: paying.flatMap(paidOf) };
    } finally {
      old.close();
    }
  }

  function paidOf({ order_id, tx_hash, position }: { order_id: string; tx_hash: string; position: number }) {
    const order = stage.orders.get(order_id);
    const payment = stage.payments.find((one) => one.tx.hash === tx_hash && one.position === position);
    const detail = order?.details.find(
      ({ chain, wallet, units }) =>
        chain === payment?.chain.traits.id && wallet === payment.transfer.wallet && units === payment.transfer.units,
    );
    return order === undefined || payment === undefined || detail === undefined ? [] : [{ order, payment, detail }];
  }

  /** What the copy holds is known again, and nothing else is. */
  function forget({ taken_at, orders: flags }: Copy, copy: Sqlite): void {
    const known = new Set(
      copy
        .query<{ id: string }, []>("SELECT id FROM orders")
        .all()
        .map(({ id }) => id),
    );
    const asked = new Set(
      copy
        .query<{ place: string }, []>(
          "SELECT order_id || ' ' || chain || ' ' || coin || ' ' || wallet AS place FROM deposits",
        )
        .all()
        .map(({ place }) => place),
    );
    const all = [...stage.orders.values(), ...lost.orders.values()].sort((a, b) => a.created_at - b.created_at);
    const told = [...all.flatMap(({ details }) => details), ...lost.details].sort((a, b) => a.told_at - b.told_at);
    stage.orders.clear();
    lost.orders.clear();
    lost.details.clear();
    for (const order of all) {
      // An order of a generation that is older than the copy may be lost although it was made before.
      if (flags.has(order.id) && !known.has(order.id)) fail(`the copy of ${taken_at} lacks the order ${order.id}`);
      (known.has(order.id) ? stage.orders : lost.orders).set(order.id, order);
      order.details = [];
      Object.assign(order, flags.get(order.id) ?? { cancelled: false, marked: false });
    }
    for (const detail of new Set(told)) {
      if (known.has(detail.order.id) && asked.has(placeOf(detail))) detail.order.details.push(detail);
      else lost.details.add(detail);
    }
  }

  return {
    copy() {
      if (!server.isReady()) return;
      made += 1;
      const copy: Copy = {
        path: `${path}.copy-${made}`,
        taken_at: timeline.now(),
        has_log: random.chance(50),
        orders: new Map([...stage.orders].map(([id, { cancelled, marked }]) => [id, { cancelled, marked }])),
        answered: nodes().map((node) => node.remembered()),
      };
      if (copy.has_log) {
        copyFileSync(path, copy.path);
        if (existsSync(`${path}-wal`)) copyFileSync(`${path}-wal`, `${copy.path}-wal`);
      } else {
        const db = new Sqlite(path, { readonly: true });
        db.query("VACUUM INTO ?").run(copy.path);
        db.close();
      }
      copies.push(copy);
      if (copies.length > copies_max) copies.shift();
      note(`copy ${made}${copy.has_log ? " with its log" : ""}`);
      stage.count(`copy ${copy.has_log ? "of the volume" : "by SQLite"}`);
    },

    async restore() {
      if (next !== null || copies.length === 0 || !server.isReady()) return;
      next = random.chance(70) ? (copies.at(-1) ?? null) : random.pick(copies);
      if (random.chance(50)) return server.kill();
      await server.stop();
    },

    isDue: () => next !== null && server.life() === null && stage.commands === 0,

    replace() {
      const copy = next;
      next = null;
      if (copy === null) return;
      // Read beside its place: opening it there would begin a log of its own.
      const looked = `${copy.path}.looked-at`;
      for (const end of ["", "-wal"]) if (existsSync(copy.path + end)) copyFileSync(copy.path + end, looked + end);
      const db = new Sqlite(looked);
      const { last } = db.query<{ last: number }, []>("SELECT coalesce(max(n), 0) AS last FROM events").get() ?? {
        last: 0,
      };
      const { begun } = db
        .query<{ begun: number }, []>("SELECT count(*) AS begun FROM events WHERE type = 'log_restored'")
        .get() ?? { begun: 0 };
      const given_out = givenOut();
      const { newest, paid } = remember(db, last);
      forget(copy, db);
      db.close();
      nodes().forEach((node, index) => {
        node.recall(copy.answered[index] as AnswerMemory);
      });
      // A file of its own: the connections of dead lives may still hold the old one.
      for (const end of ["", "-wal", "-shm"]) rmSync(path + end, { force: true });
      for (const end of ["", "-wal"]) if (existsSync(copy.path + end)) copyFileSync(copy.path + end, path + end);
      // Without the file only the clock tells how far the numbers had come.
      const is_deleted = given_out < stage.clock.now() && random.chance(file_deleted_percent);
      if (is_deleted) for (const name of [...files.keys()]) if (name.endsWith(".last-event")) files.delete(name);
      const before = lost.restores.at(-1);
      const is_same = newest === last && (before === undefined || before.is_judged);
      const must_begin = is_deleted || given_out > last ? true : is_same ? false : null;
      const age_s = Math.round((timeline.now() - copy.taken_at) / 1000);
      note(`restored a copy of ${age_s} s before; last event ${last} of ${newest}, given out ${given_out}`);
      const still = paid.filter(({ order, detail }) => stage.orders.has(order.id) && !lost.details.has(detail));
      lost.restores.push({
        at: timeline.now(),
        last_in_copy: last,
        given_out,
        begun_in_copy: begun,
        must_begin,
        is_judged: false,
        wallets: Object.values(stage.scenery.wallets).map(({ address }) => address),
        paid: still,
      });
      stage.count(`restored ${newest === last ? "the newest copy" : "an older copy"}${is_deleted ? ", no file" : ""}`);
      stage.count(`restored paid orders ${still.length}`);
    },

    starting() {
      const restore = lost.restores.at(-1);
      if (restore === undefined || restore.is_judged) return;
      const named = stage.choice.wallets.map((name) => stage.scenery.wallets[name].address);
      restore.wallets = restore.wallets.filter((address) => named.includes(address));
    },
  };
}

/**
 * True for money that was sent for what a restore took and that nobody looks for: its wallet was new, and the settings of
 * the next start did not name it; or the restore is none that can be told from a restart.
 */
function isOutOfSight({ told_at, wallet }: Detail, restores: readonly Restore[]): boolean {
  const since = restores.filter(({ at }) => at >= told_at);
  return since.some(({ must_begin, wallets }) => must_begin !== true || !wallets.includes(wallet));
}

/** Holds the first start after a restore against what the manual says of it. */
export function judgeRestore(stage: Stage, db: Sqlite): void {
  const restore = stage.lost.restores.at(-1);
  if (restore === undefined || restore.is_judged || !stage.server.isReady()) return;
  restore.is_judged = true;
  const { last_in_copy, begun_in_copy, given_out, must_begin } = restore;
  const begun = db
    .query<{ n: number; body: string }, []>("SELECT n, body FROM events WHERE type = 'log_restored' ORDER BY n")
    .all()
    .slice(begun_in_copy);
  const [first] = begun;
  const said = `after a restore to event ${last_in_copy}, with ${given_out} given out,`;
  if (must_begin === true && first === undefined) stage.fail(`${said} no generation began`);
  if (must_begin === false && first !== undefined) stage.fail(`${said} a generation began although nothing was lost`);
  if (begun.length > 1) stage.fail(`${said} ${begun.length} generations began`);
  if (first === undefined) return;
  stage.count("restored a generation began");
  if (first.n <= given_out) stage.fail(`${said} the generation begins at ${first.n}`);
  const { generation, last_in_copy: stated } = JSON.parse(first.body) as { generation: number; last_in_copy: number };
  if (generation !== begun_in_copy + 2 || stated !== last_in_copy) stage.fail(`${said} it says ${first.body}`);
}

/** The end of a world: what was paid before a restore is paid again, and every shop was told. */
export function checkRestored(stage: Stage, db: Sqlite, isExcused: (payment: Payment) => boolean): void {
  const { fail, lost } = stage;
  const statusOf = db.query<{ status: string }, [string]>("SELECT status FROM orders WHERE id = ?");
  for (const { order, payment, detail } of lost.restores.flatMap(({ paid }) => paid)) {
    if (!stage.orders.has(order.id) || lost.details.has(detail) || order.cancelled || order.marked) continue;
    const { chain, tx, position, transfer } = payment;
    if (chain.transferAt(tx.hash, position)?.units !== transfer.units || isExcused(payment)) continue;
    const { status } = statusOf.get(order.id) ?? { status: "gone" };
    if (status !== "paid") fail(`${order.id} was paid by ${tx.hash} ${position} before a restore and is ${status}`);
  }
  const given_up = db.query("SELECT 1 FROM deliveries WHERE order_id = ? AND state = 'gave_up'");
  const paid = db.query<{ id: string }, []>("SELECT id FROM orders WHERE status = 'paid'").all();
  for (const { id } of paid) {
    const order = stage.orders.get(id);
    if (order === undefined || given_up.get(id) !== null) continue;
    const isToldPaid = [...order.shop.known.values()].some(({ body, accepted_at }) => {
      const { order_id, status } = JSON.parse(body) as { order_id?: string; status?: string };
      return accepted_at !== null && order_id === id && status === "paid";
    });
    if (!isToldPaid) fail(`${id} is paid and ${order.shop.host} never learned of it`);
  }
  for (const payment of stage.payments) {
    const { detail, chain, tx, position } = payment;
    if (detail === null || !lost.details.has(detail) || chain.transferAt(tx.hash, position) === null) continue;
    if (isOutOfSight(detail, lost.restores)) continue;
    const row = db.query("SELECT 1 FROM transfers WHERE tx_hash = ? AND position = ?").get(tx.hash, position);
    if (row === null)
      fail(`${tx.hash} ${position} was sent for the lost order ${detail.order.id} and is not in the inbox`);
  }
}

/** The last time by which a restore makes expiry begin anew, before `ended_at` (both ms since 1970). */
export function restoredBefore(stage: Stage, ended_at: number): number {
  const began = stage.lost.restores.filter(({ at, must_begin }) => must_begin === true && epoch_ms + at <= ended_at);
  return epoch_ms + (began.at(-1)?.at ?? -epoch_ms);
}
