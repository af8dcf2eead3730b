// What every chain adapter promises. Whatever a provider answers is checked here once, at the border: an answer
// that leaves an adapter is complete for the range it names, or the call failed with a Fault.

import type { Fault } from "../domain/errors.ts";
import type { BlockRef, FinalityTag, Heads } from "../domain/finality.ts";
import type { Receipt, TransferLog } from "../domain/payment.ts";
import type { DailyUsage, ProviderState } from "../domain/provider.ts";

/** One range to read. All wallets and contracts are asked for in a single call. */
export interface LogQuery {
  /** First and last block, inclusive. */
  from: number;
  to: number;
  wallets: readonly string[];
  tokens: readonly string[];
  /** A block whose header is read in the same batch, to see whether the chain is still the one that was read before. */
  mark: number | null;
  /** Where the wallets stand in the transfers asked for: they receive (`in`, also when absent) or they send. */
  side?: "in" | "out";
}

/** A wallet and the contract whose coins it may hold. */
export interface Holding {
  wallet: string;
  token: string;
}

/** What wallets held at the end of one block. */
export interface BalancesAtBlock {
  /** Header of the block, read in the same batch. */
  block: BlockRef;
  /** Base units in the order asked; null where the contract states none, for one because it did not exist yet. */
  units: (bigint | null)[];
  provider: string;
}

/** A complete answer for `from..to`. */
export interface LogPage {
  from: number;
  /** As far as was read: at most the question's `to`, less when the provider's range limit is smaller. */
  to: number;
  /** Header of block `to`, read in the same batch. */
  end: BlockRef;
  /** Header of the question's mark; null when there was no mark. */
  mark: BlockRef | null;
  transferLogs: TransferLog[];
  /** Logs of value zero, counted and left out. */
  zero_value: number;
  /** Host name of the provider that answered. */
  provider: string;
}

/** What a node says about itself and about token contracts. */
export interface NodeIdentity {
  chain_id: number;
  /** Contract address to its `decimals()`, null where the call failed. */
  decimals: Map<string, number | null>;
}

/** Health of one provider, for `ocrch status`. Never holds a URL: keys hide in URLs. */
export interface ProviderReport {
  provider: string;
  calls: number;
  failures: number;
  /** Answers refused at the border: rubbish, another chain's data, logs nobody asked for. */
  refused_answers: number;
  /** Widest range the provider takes, once it has refused a wider one. */
  learned_range: number | null;
  /** False for a provider that answers one call per request only. */
  takes_batches: boolean;
  last_error: string | null;
  last_error_at: number | null;
}

/** How a provider does as one of several. */
export interface ProviderHealth extends ProviderReport, DailyUsage {
  state: ProviderState;
  /** When a rest, a freeze or the day's end comes, ms. */
  state_until: number | null;
  /** 0 to 100: recent failures, lag and slowness taken off. */
  score: number;
  latency_ms: number | null;
  /** How much older its head was than the best one, when they were last compared. */
  lag_s: number | null;
  /** It has refused older blocks than this. */
  oldest_block: number | null;
}

/**
 * One provider of one chain, or several behind the same face. Every verb throws a Fault of the `provider_*` codes or
 * `wrong_chain_id`, whose words begin with the provider's name. Hashes are in small letters, addresses canonical.
 */
export interface Source {
  /** What the node says, unjudged: of all verbs this one alone answers on the wrong chain. */
  identity(tokens: readonly string[]): Promise<NodeIdentity>;
  /** The head and the blocks of the tags asked for, none of them ahead of the head. */
  heads(tags: readonly FinalityTag[]): Promise<Heads>;
  /**
   * Reads from `question.from` as far as the provider allows in one call. `avoid`: prefer another provider than this.
   * Fault `provider_cannot_answer` where its kind has no way to read that side.
   */
  read(question: LogQuery, avoid?: string): Promise<LogPage>;
  /**
   * What the wallets held at the end of a block; where its kind has no balances of past blocks and `or_later` allows it,
   * at the end of its newest one. Faults besides the usual: `provider_archive_only` for a block too old,
   * `provider_cannot_answer` where its kind can do neither.
   */
  balances(holdings: readonly Holding[], block: number, or_later?: boolean): Promise<BalancesAtBlock>;
  /** Canonical headers by number, in the order asked; null for a block the node does not have. */
  blocks(numbers: readonly number[]): Promise<(BlockRef | null)[]>;
  /** Receipts by transaction hash, in the order asked; null for a transaction that is not mined. */
  receipts(hashes: readonly string[]): Promise<(Receipt | null)[]>;
  reports(): ProviderReport[];
}

/** Transactions and blocks to fetch evidence of. */
export interface EvidenceQuery {
  hashes: readonly string[];
  heights: readonly number[];
}

/** Evidence from one provider alone. */
export interface ProviderEvidence {
  provider: string;
  /** By transaction hash, as `receipts` answers. */
  receipts: ReadonlyMap<string, Receipt | null>;
  /** Why it gives no receipt, by transaction hash: what it refuses of one transaction costs no other. */
  refused: ReadonlyMap<string, Fault>;
  /** By number, as `blocks` answers: at the heights asked for and at those of the receipts. Those it refuses are left out. */
  headers: ReadonlyMap<number, BlockRef | null>;
}

/** Heads from one provider. */
export interface ProviderHeads {
  provider: string;
  heads: Heads;
}

/** Heads of a chain, and which provider each block is from; null for a tag that no provider serves. */
export interface ChainHeads extends Heads {
  by: { latest: string } & Record<FinalityTag, string | null>;
}

/** All providers of one chain: any of them answers a verb of Source, and each can be asked by itself. */
export interface Providers extends Source {
  heads(tags: readonly FinalityTag[]): Promise<ChainHeads>;
  /**
   * Heads from a provider run by none of `excluded`, which must serve each requested tag itself. Fault
   * `second_opinion_missing` when none is left that answers.
   */
  independentHeads(tags: readonly FinalityTag[], excluded: readonly string[]): Promise<ProviderHeads>;
  /**
   * Evidence from a provider run by none of `excluded`. Fault `second_opinion_missing` when none is left that answers; with
   * none excluded, the Faults of Source.
   */
  fetchEvidence(matter: EvidenceQuery, excluded: readonly string[]): Promise<ProviderEvidence>;
  /** The provider was contradicted by the others: it is asked nothing more until it agrees with them again. */
  distrust(provider: string, matter: EvidenceQuery): void;
  reports(): ProviderHealth[];
}
