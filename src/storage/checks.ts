// What the comparisons of balances and histories have found: checkpoints, open cases, and how each comparison is doing.
// Decides nothing.

import { and, asc, eq, isNull, sql } from "drizzle-orm";
import type { ChainId } from "../domain/assets.ts";
import type { BalanceAt, BalanceChange, BalanceGap } from "../domain/balances.ts";
import type { Reader, Tx } from "./engine/database.ts";
import { statement } from "./engine/statement.ts";
import { balanceCases, checkpoints, checks, transfers, watches } from "./schema.ts";

export type CheckpointRow = typeof checkpoints.$inferSelect;
export type CaseRow = typeof balanceCases.$inferSelect;
export type CheckRow = typeof checks.$inferSelect;

/** An open case with the wallet and contract it is about. */
export interface OpenCase extends CaseRow {
  wallet: string;
  token: string;
  label: string;
  decimals: number;
}

/** The checkpoints of a chain by watch. */
export function checkpointsOn(at: Reader, chain: ChainId): Map<number, CheckpointRow> {
  return new Map(
    selectCheckpoints(at)
      .all({ chain })
      .map((row) => [row.watch, row]),
  );
}

const selectCheckpoints = statement((db) =>
  db
    .select()
    .from(checkpoints)
    .where(sql`${checkpoints.watch} in (select w.id from ${watches} w where w.chain = ${sql.placeholder("chain")})`)
    .prepare(),
);

/** The checkpoint of a watch, or null. */
export function checkpointOf(at: Reader, watch: number): CheckpointRow | null {
  return at.live().select().from(checkpoints).where(eq(checkpoints.watch, watch)).get() ?? null;
}

/** Replaces the checkpoint of a watch; where its comparisons began stays. */
export function putCheckpoint(tx: Tx, row: CheckpointRow): void {
  const { block, block_time, units, provider, checked_at } = row;
  tx.live()
    .insert(checkpoints)
    .values(row)
    .onConflictDoUpdate({ target: checkpoints.watch, set: { block, block_time, units, provider, checked_at } })
    .run();
}

/** Transfers to a wallet in a contract after one block and through another, but for those that left the chain. */
export function incomingBetween(
  at: Reader,
  of: { chain: ChainId; wallet: string; token: string },
  after: number,
  through: number,
): BalanceChange[] {
  return selectIncoming(at)
    .all({ ...of, after, through })
    .map(({ block, units }) => ({ block, units: BigInt(units) }));
}

const selectIncoming = statement((db) =>
  db
    .select({ block: transfers.block_number, units: transfers.units })
    .from(transfers)
    .where(
      and(
        eq(transfers.chain, sql.placeholder("chain")),
        sql`${transfers.block_number} > ${sql.placeholder("after")} and ${transfers.block_number} <= ${sql.placeholder("through")}`,
        // The plus keeps the planner on the blocks: a wallet may have far more transfers than a stretch.
        sql`+${transfers.wallet} = ${sql.placeholder("wallet")}`,
        eq(transfers.token, sql.placeholder("token")),
        sql`${transfers.status} <> 'failed_to_confirm'`,
        isNull(transfers.reverted_at),
      ),
    )
    .prepare(),
);

/** Cases of a chain that nothing has explained yet, oldest first. */
export function openCases(at: Reader, chain: ChainId): OpenCase[] {
  return selectOpenCases(at)
    .all({ chain })
    .map(({ of, about }) => ({ ...of, ...about }));
}

const selectOpenCases = statement((db) =>
  db
    .select({
      of: balanceCases,
      about: { wallet: watches.wallet, token: watches.token, label: watches.label, decimals: watches.decimals },
    })
    .from(balanceCases)
    .innerJoin(watches, eq(watches.id, balanceCases.watch))
    .where(and(isNull(balanceCases.closed_at), eq(watches.chain, sql.placeholder("chain"))))
    .orderBy(asc(balanceCases.id))
    .prepare(),
);

/** Open cases of one watch. */
export function openCasesOf(at: Reader, watch: number): CaseRow[] {
  return at
    .live()
    .select()
    .from(balanceCases)
    .where(and(eq(balanceCases.watch, watch), isNull(balanceCases.closed_at)))
    .all();
}

/** The unexplained stretch a case is about. */
export function gapOfCase(row: CaseRow): BalanceGap {
  const held = (block: number, units: string): BalanceAt => ({ block, units: BigInt(units) });
  return {
    from: held(row.from_block, row.from_units),
    to: held(row.to_block, row.to_units),
    difference: BigInt(row.difference),
  };
}

/** Opens a case. */
export function insertCase(tx: Tx, watch: number, stretch: BalanceGap): void {
  tx.live()
    .insert(balanceCases)
    .values({ watch, ...columnsOf(stretch), opened_at: tx.now })
    .run();
}

/** What a look into a case came to. */
export interface CaseProgress {
  answered_by: string;
  /** The code of what keeps it from being narrowed further. */
  stuck: string | null;
}

/** Writes a look down, with the stretch that is left unexplained after it. */
export function narrowCase(tx: Tx, id: number, stretch: BalanceGap, look: CaseProgress): void {
  tx.live()
    .update(balanceCases)
    .set({ ...columnsOf(stretch), ...look, looks: sql`${balanceCases.looks} + 1`, looked_at: tx.now })
    .where(eq(balanceCases.id, id))
    .run();
}

/** Closes a case. */
export function closeCase(tx: Tx, id: number, because: NonNullable<CaseRow["closed_because"]>): void {
  tx.live()
    .update(balanceCases)
    .set({ closed_at: tx.now, closed_because: because })
    .where(eq(balanceCases.id, id))
    .run();
}

function columnsOf({ from, to, difference }: BalanceGap) {
  return {
    from_block: from.block,
    from_units: from.units.toString(),
    to_block: to.block,
    to_units: to.units.toString(),
    difference: difference.toString(),
  };
}

/** How the comparisons of all chains are doing. */
export function allChecks(at: Reader): CheckRow[] {
  return at.live().select().from(checks).all();
}

/** Writes down that a comparison ran to its end: what it found adds up, an earlier failure is over. */
export function recordCheck(
  tx: Tx,
  of: Pick<CheckRow, "chain" | "kind">,
  run: { provider: string; missed?: number; doubts?: number },
): void {
  const { provider, missed = 0, doubts = 0 } = run;
  tx.live()
    .insert(checks)
    .values({ ...of, provider, missed, doubts, ran_at: tx.now })
    .onConflictDoUpdate({
      target: [checks.chain, checks.kind],
      set: {
        provider,
        ran_at: tx.now,
        missed: sql`${checks.missed} + ${missed}`,
        doubts: sql`${checks.doubts} + ${doubts}`,
        error: null,
        error_at: null,
      },
    })
    .run();
}

/** Writes down that a comparison could not be made, and why. */
export function recordCheckFailure(tx: Tx, of: Pick<CheckRow, "chain" | "kind">, error: string): void {
  const failure = { error, error_at: tx.now };
  tx.live()
    .insert(checks)
    .values({ ...of, ...failure })
    .onConflictDoUpdate({ target: [checks.chain, checks.kind], set: failure })
    .run();
}

/** Counts transfers that a comparison found and the scan had not. */
export function countMissed(tx: Tx, of: Pick<CheckRow, "chain" | "kind">, missed: number): void {
  tx.live()
    .insert(checks)
    .values({ ...of, missed })
    .onConflictDoUpdate({ target: [checks.chain, checks.kind], set: { missed: sql`${checks.missed} + ${missed}` } })
    .run();
}
