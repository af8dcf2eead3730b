// How chains and their providers are doing, and the headers seen at the ends of polls: where a chain is compared with
// what it was.

import { and, asc, desc, eq, gt, lte, sql } from "drizzle-orm";
import { type ChainId, chainFacts } from "../domain/assets.ts";
import type { BlockRef } from "../domain/finality.ts";
import type { DailyUsage } from "../domain/provider.ts";
import type { Reader, Tx } from "./engine/database.ts";
import { statement } from "./engine/statement.ts";
import { blocks, chains, providers, zero_value_logs } from "./schema.ts";

export type ChainRow = typeof chains.$inferSelect;
export type ProviderRow = typeof providers.$inferSelect;

/** Makes sure a chain has its row. */
export function insertChain(tx: Tx, chain: ChainId): void {
  insertChainRow(tx).run({ chain });
}

const insertChainRow = statement((db) =>
  db
    .insert(chains)
    .values({ chain: sql.placeholder("chain") })
    .onConflictDoNothing()
    .prepare(),
);

/** Remembers a header at the end of a poll. */
export function saveHeader(tx: Tx, chain: ChainId, block: BlockRef): void {
  upsertBlock(tx).run({ chain, ...block });
}

const upsertBlock = statement((db) =>
  db
    .insert(blocks)
    .values({
      chain: sql.placeholder("chain"),
      number: sql.placeholder("number"),
      hash: sql.placeholder("hash"),
      time: sql.placeholder("time"),
    })
    .onConflictDoUpdate({
      target: [blocks.chain, blocks.number],
      set: { hash: sql`excluded.hash`, time: sql`excluded.time` },
    })
    .prepare(),
);

/** The newest remembered header at or below a block. */
export function headerAtOrBelow(at: Reader, chain: ChainId, number: number): BlockRef | null {
  return selectMark(at).get({ chain, number }) ?? null;
}

const selectMark = statement((db) =>
  db
    .select({ number: blocks.number, hash: blocks.hash, time: blocks.time })
    .from(blocks)
    .where(and(eq(blocks.chain, sql.placeholder("chain")), lte(blocks.number, sql.placeholder("number"))))
    .orderBy(desc(blocks.number))
    .limit(1)
    .prepare(),
);

/** Remembered headers at or below a block, newest first. */
export function headersBelow(at: Reader, chain: ChainId, number: number, limit: number): BlockRef[] {
  return at
    .live()
    .select({ number: blocks.number, hash: blocks.hash, time: blocks.time })
    .from(blocks)
    .where(and(eq(blocks.chain, chain), lte(blocks.number, number)))
    .orderBy(desc(blocks.number))
    .limit(limit)
    .all();
}

/** Forgets headers above a block. */
export function forgetBlocksAbove(tx: Tx, chain: ChainId, top: number): void {
  tx.live()
    .delete(blocks)
    .where(and(eq(blocks.chain, chain), gt(blocks.number, top)))
    .run();
}

/** Takes back the head that deposits are opened at: blocks above `top` left the chain. */
export function forgetHeadAbove(tx: Tx, chain: ChainId, top: number): void {
  tx.live()
    .update(chains)
    .set({ head_number: top < 0 ? null : top })
    .where(and(eq(chains.chain, chain), gt(chains.head_number, top)))
    .run();
}

/** Final headers that are kept: where a head or a final block turns out to be invented, an older header still stands. */
const final_marks_kept = 16;

/** Forgets headers that are final, but for the newest of them: the anchors nothing may be rewritten below. */
export function forgetFinalBlocks(tx: Tx, chain: ChainId, final: number): void {
  deleteFinalBlocks(tx).run({ chain, final });
}

const deleteFinalBlocks = statement((db) =>
  db
    .delete(blocks)
    .where(
      and(
        eq(blocks.chain, sql.placeholder("chain")),
        sql`${blocks.number} < (select b.number from blocks b where b.chain = ${sql.placeholder("chain")} and b.number <= ${sql.placeholder("final")} order by b.number desc limit 1 offset ${sql.raw(String(final_marks_kept - 1))})`,
      ),
    )
    .prepare(),
);

/** The end of a chain as one poll saw it; the final block's hash and time are known only when a tag named it. */
export interface ChainEnd {
  head: BlockRef;
  final: { number: number; hash: string | null; time: number | null };
}

/** Writes down a successful poll: the chain is not stalled. */
export function recordPoll(tx: Tx, chain: ChainId, end: ChainEnd): void {
  updateChain(tx).run({
    chain,
    now: tx.now,
    head_number: end.head.number,
    head_hash: end.head.hash,
    head_time: end.head.time,
    final_number: end.final.number,
    final_hash: end.final.hash,
    final_time: end.final.time,
  });
}

const updateChain = statement((db) =>
  db
    .update(chains)
    .set({
      head_number: sql`${sql.placeholder("head_number")}`,
      head_hash: sql`${sql.placeholder("head_hash")}`,
      head_time: sql`${sql.placeholder("head_time")}`,
      final_number: sql`${sql.placeholder("final_number")}`,
      final_hash: sql`${sql.placeholder("final_hash")}`,
      final_time: sql`${sql.placeholder("final_time")}`,
      last_read_at: sql`${sql.placeholder("now")}`,
      stalled_since: null,
      stalled_reason: null,
    })
    .where(eq(chains.chain, sql.placeholder("chain")))
    .prepare(),
);

/** Marks a chain as stalled, keeping the time of the first failure. */
export function recordStall(tx: Tx, chain: ChainId, reason: string): void {
  updateStalled(tx).run({ chain, reason, now: tx.now });
}

const updateStalled = statement((db) =>
  db
    .update(chains)
    .set({
      stalled_since: sql`coalesce(${chains.stalled_since}, ${sql.placeholder("now")})`,
      stalled_reason: sql`${sql.placeholder("reason")}`,
    })
    .where(eq(chains.chain, sql.placeholder("chain")))
    .prepare(),
);

/** Says why ripe payments of a chain do not count yet, keeping the time of the first reason; null: none is held back. */
export function recordHeld(tx: Tx, chain: ChainId, reason: string | null): void {
  tx.live()
    .update(chains)
    .set(
      reason === null
        ? { held_since: null, held_reason: null }
        : { held_since: sql`coalesce(${chains.held_since}, ${tx.now})`, held_reason: reason },
    )
    .where(eq(chains.chain, chain))
    .run();
}

/** Says why single blocks of a chain are unread, keeping the time of the first reason; null: there are none. */
export function recordUnread(tx: Tx, chain: ChainId, reason: string | null): void {
  tx.live()
    .update(chains)
    .set(
      reason === null
        ? { unread_since: null, unread_reason: null }
        : { unread_since: sql`coalesce(${chains.unread_since}, ${tx.now})`, unread_reason: reason },
    )
    .where(eq(chains.chain, chain))
    .run();
}

/** Keeps the measured pace of a chain. */
export function recordPace(tx: Tx, chain: ChainId, ms_per_block: number): void {
  tx.live().update(chains).set({ ms_per_block, pace_measured_at: tx.now }).where(eq(chains.chain, chain)).run();
}

/**
 * Seconds from one block of a chain to the next: the least and the most of what is usual and what was measured.
 * `least` is the stricter one for depths, `most` for how long a payment may take to be mined.
 */
export function secondsPerBlock(at: Reader, chain: ChainId): { least: number; most: number } {
  const { usual } = chainFacts[chain].seconds_per_block;
  const measured = chainRow(at, chain)?.ms_per_block ?? null;
  const seconds = measured === null ? usual : measured / 1000;
  return { least: Math.min(usual, seconds), most: Math.max(usual, seconds) };
}

/** Replaces what is known of a chain's providers: those that are not named are forgotten. */
export function recordProviders(tx: Tx, chain: ChainId, rows: readonly Omit<ProviderRow, "chain">[]): void {
  deleteProviders(tx).run({ chain });
  for (const row of rows) insertProvider(tx).run({ ...row, chain });
}

const deleteProviders = statement((db) =>
  db
    .delete(providers)
    .where(eq(providers.chain, sql.placeholder("chain")))
    .prepare(),
);

const insertProvider = statement((db) =>
  db
    .insert(providers)
    .values({
      chain: sql.placeholder("chain"),
      provider: sql.placeholder("provider"),
      calls: sql.placeholder("calls"),
      failures: sql.placeholder("failures"),
      refused_answers: sql.placeholder("refused_answers"),
      learned_range: sql.placeholder("learned_range"),
      last_error: sql.placeholder("last_error"),
      last_error_at: sql.placeholder("last_error_at"),
      state: sql.placeholder("state"),
      state_until: sql.placeholder("state_until"),
      score: sql.placeholder("score"),
      latency_ms: sql.placeholder("latency_ms"),
      lag_s: sql.placeholder("lag_s"),
      oldest_block: sql.placeholder("oldest_block"),
      day: sql.placeholder("day"),
      day_calls: sql.placeholder("day_calls"),
    })
    .prepare(),
);

/** Adds to a chain's count of worthless logs of a day. */
export function countZeroValue(tx: Tx, chain: ChainId, logs: number): void {
  const day = Math.floor(tx.now / 86_400_000);
  tx.live()
    .insert(zero_value_logs)
    .values({ chain, day, logs })
    .onConflictDoUpdate({
      target: [zero_value_logs.chain, zero_value_logs.day],
      set: { logs: sql`${zero_value_logs.logs} + ${logs}` },
    })
    .run();
}

/** The state of a chain; null for one that was never configured. */
export function chainRow(at: Reader, chain: ChainId): ChainRow | null {
  return selectChain(at).get({ chain }) ?? null;
}

const selectChain = statement((db) =>
  db
    .select()
    .from(chains)
    .where(eq(chains.chain, sql.placeholder("chain")))
    .prepare(),
);

/** The state of every chain that ever was configured. */
export function allChains(at: Reader): ChainRow[] {
  return selectChains(at).all();
}

const selectChains = statement((db) => db.select().from(chains).prepare());

/** The health of every provider, by chain and name. */
export function allProviders(at: Reader): ProviderRow[] {
  return selectProviders(at).all();
}

const selectProviders = statement((db) =>
  db.select().from(providers).orderBy(asc(providers.chain), asc(providers.provider)).prepare(),
);

/** What a provider was asked on the last day it was; null for one that is not known. */
export function usageOf(at: Reader, chain: ChainId, provider: string): DailyUsage | null {
  const row = allProviders(at).find((row) => row.chain === chain && row.provider === provider);
  return row === undefined ? null : { day: row.day, day_calls: row.day_calls };
}
