// Rows of blocks that nobody serves, where they hold up the release of reservations.

import { and, asc, eq, isNotNull, sql } from "drizzle-orm";
import type { ChainId } from "../domain/assets.ts";
import type { Range } from "../domain/coverage.ts";
import type { Reader, Tx } from "./engine/database.ts";
import { statement } from "./engine/statement.ts";
import { unservedBlocks, watches } from "./schema.ts";

export type UnservedRow = typeof unservedBlocks.$inferSelect;

/** All unserved blocks, with the first block of their watch. */
export function allUnserved(at: Reader): (UnservedRow & { start_block: number | null })[] {
  return selectAll(at)
    .all()
    .map(({ row, start_block }) => ({ ...row, start_block }));
}

const selectAll = statement((db) =>
  db
    .select({ row: unservedBlocks, start_block: watches.start_block })
    .from(unservedBlocks)
    .innerJoin(watches, eq(watches.id, unservedBlocks.watch))
    .orderBy(asc(unservedBlocks.watch), asc(unservedBlocks.from_block))
    .prepare(),
);

/** Notes blocks that are unserved now. Keeps the time of the first note. */
export function noteUnserved(tx: Tx, watch: number, { from, to }: Range): void {
  upsert(tx).run({ watch, from, to, now: tx.now });
}

const upsert = statement((db) =>
  db
    .insert(unservedBlocks)
    .values({
      watch: sql.placeholder("watch"),
      from_block: sql.placeholder("from"),
      to_block: sql.placeholder("to"),
      found_at: sql.placeholder("now"),
    })
    .onConflictDoUpdate({
      target: [unservedBlocks.watch, unservedBlocks.from_block],
      set: { to_block: sql`excluded.to_block` },
    })
    .prepare(),
);

/** From now on these blocks hold up nothing. */
export function giveUpUnserved(tx: Tx, { watch, from_block }: Pick<UnservedRow, "watch" | "from_block">): void {
  updateGivenUp(tx).run({ watch, from_block, now: tx.now });
}

const isRow = and(
  eq(unservedBlocks.watch, sql.placeholder("watch")),
  eq(unservedBlocks.from_block, sql.placeholder("from_block")),
);

const updateGivenUp = statement((db) =>
  db
    .update(unservedBlocks)
    .set({ given_up_at: sql`${sql.placeholder("now")}` })
    .where(isRow)
    .prepare(),
);

/** Forgets blocks that were read. */
export function forgetUnserved(tx: Tx, { watch, from_block }: UnservedRow): void {
  deleteRow(tx).run({ watch, from_block });
}

const deleteRow = statement((db) => db.delete(unservedBlocks).where(isRow).prepare());

/** Blocks of a chain that no longer hold up the release of reservations, with their wallet. */
export function givenUpOn(at: Reader, chain: ChainId): { wallet: string; label: string; from: number; to: number }[] {
  return at
    .live()
    .select({
      wallet: watches.wallet,
      label: watches.label,
      from: unservedBlocks.from_block,
      to: unservedBlocks.to_block,
    })
    .from(unservedBlocks)
    .innerJoin(watches, eq(watches.id, unservedBlocks.watch))
    .where(and(eq(watches.chain, chain), isNotNull(unservedBlocks.given_up_at)))
    .orderBy(asc(unservedBlocks.from_block))
    .all();
}
