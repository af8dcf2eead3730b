// What is watched: keeps the watched set as the configuration says, fixes where each watch begins, takes coverage back
// when a chain was rewritten, and writes down how chains and providers are doing.

import type { ChainSettings, Config } from "../config/config.ts";
import type { ChainId } from "../domain/assets.ts";
import type { ClockReading } from "../domain/clock.ts";
import { Fault } from "../domain/errors.ts";
import type { BlockRef } from "../domain/finality.ts";
import { toUnits } from "../domain/money.ts";
import {
  allChains,
  type ChainEnd,
  forgetBlocksAbove,
  forgetHeadAbove,
  insertChain,
  type ProviderRow,
  recordHeld,
  recordPace,
  recordPoll,
  recordProviders,
  recordStall,
  recordUnread,
} from "../storage/chains.ts";
import { forgetReadings, saveReading } from "../storage/clocks.ts";
import {
  allWatchIds,
  forgetStartsAbove,
  type NewWatch,
  type Pass,
  startWatch,
  syncWatches,
  uncoverAbove,
} from "../storage/coverage.ts";
import { forgetOpenedClocks, forgetOpenedHeads, setHeadAfterOpening } from "../storage/deposits.ts";
import type { Database, Tx } from "../storage/engine/database.ts";
import { keepServedTag, type ServedTag } from "../storage/finality-tags.ts";
import { endOfCopy } from "../storage/generations.ts";
import { anyReserved } from "../storage/reservations.ts";

export interface Watching {
  /**
   * Makes the watched set what the configuration says: every known contract of a chain, for every wallet on it. Fault
   * invalid_config: a coin has other decimals than the amounts that are reserved in it.
   */
  sync(config: Config): Promise<void>;
  /** Fixes the first block of watches; `block` is its header. */
  begin(watches: readonly number[], block: Pick<BlockRef, "number" | "time">): Promise<void>;
  /** The chain was rewritten above `top`: nothing above it counts as read any more by these passes; without them, by the head's. */
  rewind(chain: ChainId, top: number, passes?: readonly Pass[]): Promise<void>;
  /** Keeps the head that a chain showed just after these deposits were opened. */
  headAfterOpening(deposits: readonly number[], head: number): Promise<void>;
  /** A poll that found nothing to read. */
  quiet(chain: ChainId, end: ChainEnd): Promise<void>;
  /** A chain that cannot be read; keeps the time of the first failure. */
  stall(chain: ChainId, reason: string): Promise<void>;
  /** Ripe payments do not count yet, for this reason; null: none is held back any more. */
  hold(chain: ChainId, reason: string | null): Promise<void>;
  /** Why single blocks are not read completely; null: there are none. */
  unread(chain: ChainId, reason: string | null): Promise<void>;
  /** Keeps the measured pace of a chain, in milliseconds per block. */
  pace(chain: ChainId, ms_per_block: number): Promise<void>;
  /** Keeps how the clock of a chain compares with ours. */
  clock(reading: ClockReading): Promise<void>;
  /** Forgets it: our clock was set. */
  forgetClock(chain: ChainId): Promise<void>;
  /** Forgets it also of the deposits that were opened since `since` (ms): the head it was read from did not exist. */
  disownClock(chain: ChainId, since: number): Promise<void>;
  /** Keeps where a provider put a finality tag. */
  keepTag(tag: ServedTag): Promise<void>;
  /** Replaces what is known of a chain's providers: those that are not named are forgotten. */
  health(chain: ChainId, rows: readonly Omit<ProviderRow, "chain">[]): Promise<void>;
}

/** Watching over one database. */
export function createWatching(needs: { database: Database }): Watching {
  const { database } = needs;
  return {
    sync: (config) =>
      database.transact((tx) => {
        // What a copy does not know may have been offered since it was made.
        const since = endOfCopy(tx) ?? tx.now;
        for (const settings of config.chains.values()) {
          checkDecimals(tx, settings);
          insertChain(tx, settings.id);
          syncWatches(tx, settings.id, wantedWatches(config, settings.id), since);
        }
        for (const { chain } of allChains(tx)) {
          if (config.chains.has(chain)) continue;
          syncWatches(tx, chain, []);
          recordProviders(tx, chain, []);
        }
      }),

    pace: (chain, ms_per_block) => database.transact((tx) => recordPace(tx, chain, ms_per_block)),

    clock: (reading) => database.transact((tx) => saveReading(tx, reading)),

    forgetClock: (chain) => database.transact((tx) => forgetReadings(tx, chain)),

    disownClock: (chain, since) =>
      database.transact((tx) => {
        forgetReadings(tx, chain);
        forgetOpenedClocks(tx, chain, since);
      }),

    keepTag: (tag) => database.transact((tx) => keepServedTag(tx, tag)),

    // Its header is no mark: it would vouch for what other watches have read below it, perhaps on another branch.
    begin: (watches, block) =>
      database.transact((tx) => {
        for (const watch of watches) startWatch(tx, watch, block);
      }),

    rewind: (chain, top, passes = ["head"]) =>
      database.transact((tx) => {
        for (const watch of allWatchIds(tx, chain)) for (const pass of passes) uncoverAbove(tx, watch, top, pass);
        forgetBlocksAbove(tx, chain, top);
        forgetStartsAbove(tx, chain, top);
        forgetOpenedHeads(tx, chain, top);
        forgetHeadAbove(tx, chain, top);
      }),

    headAfterOpening: (deposits, head) =>
      database.transact((tx) => {
        for (const deposit of deposits) setHeadAfterOpening(tx, deposit, head);
      }),

    quiet: (chain, end) => database.transact((tx) => recordPoll(tx, chain, end)),

    stall: (chain, reason) => database.transact((tx) => recordStall(tx, chain, reason)),

    hold: (chain, reason) => database.transact((tx) => recordHeld(tx, chain, reason)),

    unread: (chain, reason) => database.transact((tx) => recordUnread(tx, chain, reason)),

    health: (chain, rows) => database.transact((tx) => recordProviders(tx, chain, rows)),
  };
}

/** Each wallet of a chain with each of its contracts: money in a coin nobody asked for is seen as well. */
function wantedWatches(config: Config, chain: ChainId): NewWatch[] {
  const tokens = config.chains.get(chain)?.tokens ?? [];
  return config.wallets
    .filter((wallet) => wallet.chain === chain)
    .flatMap((wallet) =>
      tokens.map((token) => ({
        chain,
        wallet: wallet.address,
        token: token.address,
        coin: token.coin,
        label: token.label,
        decimals: token.decimals,
        offered: token.coin !== null && wallet.coins.includes(token.coin),
      })),
    );
}

/** Amounts are compared in base units: a contract with other decimals would be paid with other money. */
function checkDecimals(tx: Tx, { id, tokens }: ChainSettings): void {
  for (const { coin, decimals } of tokens) {
    const reserved = coin === null ? null : anyReserved(tx, id, coin);
    if (reserved === null || toUnits(reserved.amount, decimals)?.toString() === reserved.units) continue;
    throw new Fault(
      "invalid_config",
      `chains.${id}.tokens.${coin}: its contracts have ${decimals} decimals, and amounts that were asked for with others are still reserved; keep the contract until every order in ${coin} on ${id} has ended and its late window is over`,
    );
  }
}
