// What is watched and what has been read of it: watches and block intervals.

import { and, asc, eq, gt, gte, lte, or, sql } from "drizzle-orm";
import type { ChainId, Coin } from "../domain/assets.ts";
import { cutAbove, extend, type Interval } from "../domain/coverage.ts";
import type { BlockRef } from "../domain/finality.ts";
import type { Reader, Tx } from "./engine/database.ts";
import { statement } from "./engine/statement.ts";
import { coverage, reservations, watches } from "./schema.ts";

export type WatchRow = typeof watches.$inferSelect;
export type Pass = "head" | "final";

export interface NewWatch {
  chain: ChainId;
  wallet: string;
  token: string;
  coin: Coin | null;
  label: string;
  decimals: number;
  offered: boolean;
}

/** Makes the watched set of a chain what the configuration says: rows are added, as of `since` (ms), and never deleted. */
export function syncWatches(tx: Tx, chain: ChainId, wanted: readonly NewWatch[], since = tx.now): void {
  retireWatches(tx).run({ chain });
  for (const watch of wanted) upsertWatch(tx).run({ ...watch, since });
}

const retireWatches = statement((db) =>
  db
    .update(watches)
    .set({ active: false, offered: false })
    .where(eq(watches.chain, sql.placeholder("chain")))
    .prepare(),
);

const upsertWatch = statement((db) =>
  db
    .insert(watches)
    .values({
      chain: sql.placeholder("chain"),
      wallet: sql.placeholder("wallet"),
      token: sql.placeholder("token"),
      coin: sql.placeholder("coin"),
      label: sql.placeholder("label"),
      decimals: sql.placeholder("decimals"),
      offered: sql.placeholder("offered"),
      active: true,
      added_at: sql.placeholder("since"),
    })
    .onConflictDoUpdate({
      target: [watches.chain, watches.wallet, watches.token],
      set: {
        // A coin that is taken out of use pays what was promised in it until that is over.
        coin: sql`coalesce(excluded.coin, case when exists (select 1 from ${reservations} s where s.chain = ${watches.chain} and s.wallet = ${watches.wallet} and s.coin = ${watches.coin}) then ${watches.coin} end)`,
        label: sql`excluded.label`,
        decimals: sql`excluded.decimals`,
        offered: sql`excluded.offered`,
        active: true,
      },
    })
    .prepare(),
);

/** What to read on a chain: all that is configured, and whatever still owes somebody a slot. */
export function watchesOf(at: Reader, chain: ChainId): WatchRow[] {
  return selectWatches(at).all({ chain });
}

const selectWatches = statement((db) =>
  db
    .select()
    .from(watches)
    .where(
      and(
        eq(watches.chain, sql.placeholder("chain")),
        or(
          eq(watches.active, true),
          sql`exists (select 1 from ${reservations} s where s.chain = ${watches.chain} and s.wallet = ${watches.wallet})`,
        ),
      ),
    )
    .orderBy(asc(watches.id))
    .prepare(),
);

/** Every watch of a chain there ever was: what a rewritten chain takes back, it takes from those out of use as well. */
export function allWatchIds(at: Reader, chain: ChainId): number[] {
  return at
    .live()
    .select({ id: watches.id })
    .from(watches)
    .where(eq(watches.chain, chain))
    .all()
    .map((row) => row.id);
}

/** The watch of a wallet and contract; for a pair that is none, another watch of the same contract. */
export function watchFor(at: Reader, pair: { chain: ChainId; wallet: string; token: string }): WatchRow | null {
  const { chain, wallet, token } = pair;
  return selectPair(at).get({ chain, wallet, token }) ?? selectToken(at).get({ chain, token }) ?? null;
}

const selectPair = statement((db) =>
  db
    .select()
    .from(watches)
    .where(
      and(
        eq(watches.chain, sql.placeholder("chain")),
        eq(watches.wallet, sql.placeholder("wallet")),
        eq(watches.token, sql.placeholder("token")),
      ),
    )
    .prepare(),
);

const selectToken = statement((db) =>
  db
    .select()
    .from(watches)
    .where(and(eq(watches.chain, sql.placeholder("chain")), eq(watches.token, sql.placeholder("token"))))
    .limit(1)
    .prepare(),
);

/** True for an address that is, or once was, a wallet of the merchant on whichever chain: EVM chains share addresses. */
export function isWatchedWallet(at: Reader, address: string): boolean {
  return selectWallet(at).get({ wallet: address }) !== undefined;
}

const selectWallet = statement((db) =>
  db
    .select({ id: watches.id })
    .from(watches)
    .where(eq(watches.wallet, sql.placeholder("wallet")))
    .limit(1)
    .prepare(),
);

/** Fixes where a watch begins, once the block is known. */
export function startWatch(tx: Tx, id: number, block: Pick<BlockRef, "number" | "time">): void {
  updateStart(tx).run({ id, number: block.number, time: block.time });
}

const updateStart = statement((db) =>
  db
    .update(watches)
    .set({ start_block: sql`${sql.placeholder("number")}`, start_time: sql`${sql.placeholder("time")}` })
    .where(eq(watches.id, sql.placeholder("id")))
    .prepare(),
);

/** Forgets where watches begin that were to begin above a block: there is none any more, and they are begun again. */
export function forgetStartsAbove(tx: Tx, chain: ChainId, top: number): void {
  tx.live()
    .update(watches)
    .set({ start_block: null, start_time: null })
    .where(and(eq(watches.chain, chain), gt(watches.start_block, top)))
    .run();
}

const selectIntervals = statement((db) =>
  db
    .select()
    .from(coverage)
    .where(and(eq(coverage.watch, sql.placeholder("watch")), eq(coverage.pass, sql.placeholder("pass"))))
    .orderBy(asc(coverage.from_block))
    .prepare(),
);

const selectCovered = statement((db) =>
  db
    .select()
    .from(coverage)
    .where(eq(coverage.watch, sql.placeholder("watch")))
    .orderBy(asc(coverage.from_block))
    .prepare(),
);

const interval = {
  from: coverage.from_block,
  to: coverage.to_block,
  hash: coverage.to_hash,
  time: coverage.to_time,
  provider: coverage.provider,
};

// One question for all wallets and contracts: a poll asks it, however many of them there are.
const selectOfChain = statement((db) =>
  db
    .select({ watch: coverage.watch, ...interval })
    .from(coverage)
    .where(
      sql`${coverage.watch} in (select w.id from ${watches} w where w.chain = ${sql.placeholder("chain")}) and ${coverage.pass} in (${sql.placeholder("pass")}, ${sql.placeholder("or_pass")})`,
    )
    .orderBy(asc(coverage.from_block))
    .prepare(),
);

const deleteInterval = statement((db) =>
  db
    .delete(coverage)
    .where(eq(coverage.id, sql.placeholder("id")))
    .prepare(),
);

const selectIntervalsOf = statement((db) =>
  db
    .select()
    .from(coverage)
    .where(and(among(coverage.watch, "watches"), eq(coverage.pass, sql.placeholder("pass"))))
    .orderBy(asc(coverage.from_block))
    .prepare(),
);

const updateIntervals = statement((db) =>
  db
    .update(coverage)
    .set({
      to_block: sql`${sql.placeholder("to")}`,
      to_hash: sql`${sql.placeholder("hash")}`,
      to_time: sql`${sql.placeholder("time")}`,
    })
    .where(among(coverage.id, "ids"))
    .prepare(),
);

const deleteReplaced = statement((db) =>
  db
    .delete(coverage)
    .where(
      and(
        among(coverage.watch, "watches"),
        eq(coverage.pass, "head"),
        gte(coverage.from_block, sql.placeholder("from")),
        lte(coverage.to_block, sql.placeholder("to")),
      ),
    )
    .prepare(),
);

/** True for the values of a JSON list given as a parameter. */
function among(column: typeof coverage.id | typeof coverage.watch | typeof watches.id, list: string) {
  return sql`${column} in (select value from json_each(${sql.placeholder(list)}))`;
}

const insertInterval = statement((db) =>
  db
    .insert(coverage)
    .values({
      watch: sql.placeholder("watch"),
      pass: sql.placeholder("pass"),
      from_block: sql.placeholder("from"),
      to_block: sql.placeholder("to"),
      to_hash: sql.placeholder("hash"),
      to_time: sql.placeholder("time"),
      provider: sql.placeholder("provider"),
    })
    .prepare(),
);

/** The intervals of one watch in one pass, lowest first. */
export function coveredIntervals(at: Reader, watch: number, pass: Pass): Interval[] {
  return selectIntervals(at).all({ watch, pass }).map(intervalOf);
}

/** Everything that is covered of a watch, by either pass, lowest first. */
export function coveredBlocks(at: Reader, watch: number): Interval[] {
  return selectCovered(at).all({ watch }).map(intervalOf);
}

/** What is covered on a chain, lowest first, by watch: by either pass, or by one of them. */
export function coverageByWatch(at: Reader, chain: ChainId, pass?: Pass): Map<number, Interval[]> {
  const rows = selectOfChain(at).all({ chain, pass: pass ?? "head", or_pass: pass ?? "final" });
  const found = new Map<number, Interval[]>();
  for (const { watch, ...one } of rows) {
    const known = found.get(watch);
    if (known === undefined) found.set(watch, [one]);
    else known.push(one);
  }
  return found;
}

/**
 * Adds a completely read range to watches, to each from where it begins: what is below that was read for others, and
 * nothing of it was kept; an unknown start covers nothing. A final interval replaces the head intervals it contains.
 */
export function cover(tx: Tx, watches: readonly number[], pass: Pass, added: Interval): void {
  const late = selectLate(tx).all({ watches: JSON.stringify(watches), from: added.from });
  for (const { id, start } of late) {
    if (start !== null && start <= added.to) coverAll(tx, [id], pass, { ...added, from: start });
  }
  const begun = late.length === 0 ? watches : watches.filter((watch) => late.every(({ id }) => id !== watch));
  if (begun.length > 0) coverAll(tx, begun, pass, added);
}

const selectLate = statement((db) =>
  db
    .select({ id: watches.id, start: watches.start_block })
    .from(watches)
    .where(and(among(watches.id, "watches"), sql`(${watches.start_block} <= ${sql.placeholder("from")}) is not true`))
    .prepare(),
);

function coverAll(tx: Tx, watches: readonly number[], pass: Pass, added: Interval): void {
  const list = JSON.stringify(watches);
  const known = Map.groupBy(selectIntervalsOf(tx).all({ watches: list, pass }), (row) => row.watch);
  const grown: number[] = [];
  for (const watch of watches) {
    const rows = known.get(watch) ?? [];
    const last = rows.at(-1);
    const grows = last?.provider === added.provider && last.from_block <= added.from && last.to_block >= added.from - 1;
    if (!grows) replace(tx, watch, pass, rows, extend(rows.map(intervalOf), added));
    else if (added.to > last.to_block || (pass === "final" && added.to === last.to_block)) grown.push(last.id);
  }
  if (grown.length > 0) {
    updateIntervals(tx).run({ ids: JSON.stringify(grown), to: added.to, hash: added.hash, time: added.time });
  }
  if (pass === "final") deleteReplaced(tx).run({ watches: list, from: added.from, to: added.to });
}

/** Takes back the coverage of one pass above a block. */
export function uncoverAbove(tx: Tx, watch: number, top: number, pass: Pass): void {
  const rows = selectIntervals(tx).all({ watch, pass });
  replace(tx, watch, pass, rows, cutAbove(rows.map(intervalOf), top));
}

type IntervalRow = typeof coverage.$inferSelect;

/** Makes the intervals of a pass the wanted ones; those that stay as they are stay untouched. */
function replace(tx: Tx, watch: number, pass: Pass, old: readonly IntervalRow[], wanted: readonly Interval[]): void {
  const missing = new Map(wanted.map((interval) => [keyOf(interval), interval]));
  for (const row of old) if (!missing.delete(keyOf(intervalOf(row)))) deleteInterval(tx).run({ id: row.id });
  for (const interval of missing.values()) insertInterval(tx).run({ watch, pass, ...interval });
}

/** Equal for equal intervals. */
function keyOf({ from, to, hash, time, provider }: Interval): string {
  return JSON.stringify([from, to, hash, time, provider]);
}

function intervalOf(row: IntervalRow): Interval {
  return { from: row.from_block, to: row.to_block, hash: row.to_hash, time: row.to_time, provider: row.provider };
}
