// The coverage of chains and wallets as JSON: its schema for the API description, and its rendering for the Admin API
// and `ocrch coverage --json`. Keys in the order clients may rely on.

import { z } from "zod";
import type { ChainId } from "../domain/assets.ts";
import type { Range } from "../domain/coverage.ts";
import { chain, integer, seconds, secondsOf, secondsOrNull } from "./values.ts";

const block = integer;

const stretch = z.object({ from_block: block, to_block: block });

const unexplained = z.object({
  id: block,
  after_block: block,
  through_block: block,
  difference: z.string().meta({ description: "With a sign: by how much the balance grew more than recorded." }),
  opened_at: seconds,
  stuck: z.string().nullable().meta({ description: "Why it cannot be narrowed any further." }),
});

const wallet = z.object({
  address: z.string(),
  token: z.string(),
  contract: z.string(),
  offered: z.boolean(),
  configured: z
    .boolean()
    .meta({ description: "False for a wallet that is read only because of what it was promised." }),
  from_block: block.nullable(),
  from_timestamp: seconds.nullable(),
  through_block: block.nullable().meta({ description: "Every transfer from from_block to here is accounted for." }),
  through_timestamp: seconds.nullable(),
  outstanding_blocks: block.nullable(),
  outstanding: z.array(stretch).meta({ description: "The first ten stretches that were not read yet." }),
  outstanding_count: block.meta({ description: "How many such stretches there are." }),
  final_through_block: block.nullable(),
  providers: z.array(z.string()),
  balance_since_block: block
    .nullable()
    .meta({ description: "From here to balance_through_block the balance was compared." }),
  balance_through_block: block.nullable(),
  balance_through_timestamp: seconds.nullable(),
  unexplained: z
    .array(unexplained)
    .meta({ description: "Changes of the balance that recorded transfers do not explain." }),
});

/** ChainCoverage: one chain with all its wallets and contracts. */
export const chainCoverageSchema = z
  .object({
    blockchain: chain,
    head_block: block.nullable(),
    head_timestamp: seconds.nullable(),
    head_seen_at: seconds.nullable(),
    final_block: block.nullable(),
    stalled_since: seconds.nullable(),
    stalled_reason: z.string().nullable(),
    balances_checked_at: seconds.nullable(),
    balances_error: z.string().nullable().meta({ description: "Why balances could not be compared of late." }),
    index: z.string().nullable().meta({ description: "Which index of the chain transfers are compared with." }),
    index_compared_at: seconds.nullable(),
    index_error: z.string().nullable().meta({ description: "Why the index could not be asked of late." }),
    unknown_to_index: block.meta({ description: "Transfers of ours that the index did not know an hour later." }),
    missed_by_scan: block.meta({ description: "Transfers that a comparison found and the scan had missed." }),
    wallets: z.array(wallet),
  })
  .meta({ id: "ChainCoverage" });

type ChainCoverage = z.infer<typeof chainCoverageSchema>;

interface StretchEnd {
  block: number;
  /** Seconds. */
  time: number | null;
}

interface Check {
  provider: string | null;
  /** ms */
  ran_at: number | null;
  missed: number;
  doubts: number;
  error: string | null;
}

export interface ChainCoverageInput {
  chain: ChainId;
  row: {
    head_number: number | null;
    /** Seconds. */
    head_time: number | null;
    /** ms */
    last_read_at: number | null;
    final_number: number | null;
    /** ms */
    stalled_since: number | null;
    stalled_reason: string | null;
  } | null;
  balances: Check | null;
  history: Check | null;
  watches: readonly {
    wallet: string;
    token: string;
    label: string;
    offered: boolean;
    configured: boolean;
    from: StretchEnd | null;
    through: StretchEnd | null;
    outstanding: number | null;
    gaps: readonly Range[];
    gaps_count: number;
    final_through: number | null;
    providers: readonly string[];
    balance: { since_block: number; block: number; time: number } | null;
    unexplained: readonly {
      id: number;
      after_block: number;
      through_block: number;
      difference: string;
      /** ms */
      opened_at: number;
      stuck: string | null;
    }[];
  }[];
}

/** ChainCoverage of a chain's rows. */
export function chainCoverageShape({ chain, row, balances, history, watches }: ChainCoverageInput): ChainCoverage {
  return {
    blockchain: chain,
    head_block: row?.head_number ?? null,
    head_timestamp: row?.head_time ?? null,
    head_seen_at: secondsOrNull(row?.last_read_at),
    final_block: row?.final_number ?? null,
    stalled_since: secondsOrNull(row?.stalled_since),
    stalled_reason: row?.stalled_reason ?? null,
    balances_checked_at: secondsOrNull(balances?.ran_at),
    balances_error: balances?.error ?? null,
    index: history?.provider ?? null,
    index_compared_at: secondsOrNull(history?.ran_at),
    index_error: history?.error ?? null,
    unknown_to_index: history?.doubts ?? 0,
    missed_by_scan: (balances?.missed ?? 0) + (history?.missed ?? 0),
    wallets: watches.map((watch) => ({
      address: watch.wallet,
      token: watch.label,
      contract: watch.token,
      offered: watch.offered,
      configured: watch.configured,
      from_block: watch.from?.block ?? null,
      from_timestamp: watch.from?.time ?? null,
      through_block: watch.through?.block ?? null,
      through_timestamp: watch.through?.time ?? null,
      outstanding_blocks: watch.outstanding,
      outstanding: watch.gaps.map(({ from, to }) => ({ from_block: from, to_block: to })),
      outstanding_count: watch.gaps_count,
      final_through_block: watch.final_through,
      providers: [...watch.providers],
      balance_since_block: watch.balance?.since_block ?? null,
      balance_through_block: watch.balance?.block ?? null,
      balance_through_timestamp: watch.balance?.time ?? null,
      unexplained: watch.unexplained.map(({ opened_at, ...one }) => ({
        id: one.id,
        after_block: one.after_block,
        through_block: one.through_block,
        difference: one.difference,
        opened_at: secondsOf(opened_at),
        stuck: one.stuck,
      })),
    })),
  };
}
