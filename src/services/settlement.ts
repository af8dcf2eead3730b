// Which transfer pays which order: takes in what a chain was read to say, confirms what has ripened, pays orders. Every
// transfer of value is kept; what pays nothing is told to the merchant.

import type { LiveConfig } from "../config/config.ts";
import type { ChainId } from "../domain/assets.ts";
import { likelyOwner } from "../domain/candidates.ts";
import { gaps, type Interval } from "../domain/coverage.ts";
import { codeOf } from "../domain/errors.ts";
import { type BlockRef, finalityFor, formatFinality } from "../domain/finality.ts";
import type { Match, Verdict } from "../domain/matching.ts";
import { fromUnits } from "../domain/money.ts";
import { type InboxReason, isNoise, isShared, type Transfer } from "../domain/payment.ts";
import { askedExactly } from "../storage/asked.ts";
import { unboundWaiting, waitingBeside } from "../storage/bound.ts";
import { type ChainEnd, countZeroValue, forgetFinalBlocks, recordPoll, rememberBlock } from "../storage/chains.ts";
import { claimantsOf } from "../storage/claims.ts";
import { cover, type Pass, type WatchRow, watchFor } from "../storage/coverage.ts";
import type { Database, Tx } from "../storage/database.ts";
import { depositById } from "../storage/deposits.ts";
import { appendEvent, recordAudit } from "../storage/outbox.ts";
import {
  type FirstSight,
  insertTransfer,
  judgeTransfer,
  knownTransfer,
  moveBlock,
  movePlace,
  type TransferRow,
  transferById,
  transferOf,
} from "../storage/transfers.ts";
import type { Telemetry } from "../telemetry.ts";
import { createAttribution } from "./attribution.ts";
import { createCrediting } from "./crediting.ts";
import { createReverts, isSame } from "./reverts.ts";

/** Transfers taken in by one transaction; a page is cut at block borders and coverage moves with each slice. */
export const slice_max_transfers = 500;
const confirm_max_transfers = 100;
/** Money without any order: it may have been meant for one that is to be paid in another coin, or elsewhere. */
const guessed: readonly InboxReason[] = ["no_such_amount", "coin_not_offered", "unknown_token"];

/** One complete answer about a range of blocks, with the positions of its transfers. */
export interface Page {
  chain: ChainId;
  pass: Pass;
  /** The watches that were asked for: only they are covered by it. */
  watches: readonly number[];
  from: number;
  end: BlockRef;
  provider: string;
  zero_value: number;
  /** In block order. */
  transfers: readonly Transfer[];
  /** Blocks that are not covered although they were asked for: a transaction of theirs could not be looked up. */
  unread?: readonly number[];
  /** Ids of transfers whose block was found to have left the chain. */
  gone: readonly number[];
  chainEnd: ChainEnd;
}

/** What the second reading said of one transfer, and the block it was read in. */
export interface Judged {
  id: number;
  block_hash: string;
  verdict: Exclude<Verdict, "unclear" | { moved: unknown }> | { moved: BlockRef };
}

export interface Settlement {
  /** Stores a page: transfers, matches on sight, coverage. Resolves when all of it is durable. */
  ingest(page: Page): Promise<void>;
  /**
   * Stores transfers that were found another way than by reading ranges, as if they had been sighted; `why` goes to the
   * audit log with each one that was new. Each must stand in a canonical block, at its position in its receipt. Moves no
   * coverage. Resolves with their rows, in the order given.
   */
  admit(transfers: readonly Transfer[], why: string): Promise<TransferRow[]>;
  /** Confirms, drops or re-points ripe transfers; a confirmed one pays its order or goes to the inbox. */
  confirm(chain: ChainId, judged: readonly Judged[]): Promise<void>;
}

/** Settlement over one database with the live settings' policies and webhook address. */
export function createSettlement(needs: { database: Database; config: LiveConfig; telemetry: Telemetry }): Settlement {
  const { database, config, telemetry } = needs;
  const attribution = createAttribution(needs);
  const crediting = createCrediting(needs);
  const reverts = createReverts({ ...needs, crediting });

  function firstSight(transfer: Transfer, watch: WatchRow): FirstSight {
    const amount = fromUnits(transfer.units, watch.decimals);
    const tiers = config.current().chains.get(transfer.chain)?.finality ?? [];
    return { coin: watch.coin, label: watch.label, amount, finality: formatFinality(finalityFor(amount, tiers)) };
  }

  /** Stores one transfer as the chain shows it, or what has changed of it. Whatever comes twice is stored once. */
  function takeIn(tx: Tx, transfer: Transfer): void {
    const known = knownTransfer(tx, transfer);
    const stands =
      known?.block_hash === transfer.block.hash &&
      known.reverted_at === null &&
      (known.confirmed_at !== null || isSame(transferOf(known), transfer));
    if (stands && known.status !== "failed_to_confirm") return;
    if (known !== null && known.confirmed_at !== null && reverts.remine(tx, known, transfer)) return;
    const watch = watchFor(tx, transfer);
    if (watch === null) throw new Error("a transfer of a contract that is not watched");
    const sight = firstSight(transfer, watch);
    if (known !== null) recordMove(tx, known, transfer.block);
    const row = known === null ? insertTransfer(tx, transfer, sight) : movePlace(tx, known.id, transfer, sight);

    const found = bind(tx, row);
    if (known !== null && known.deposit !== null && known.deposit !== ("deposit" in found ? found.deposit : null))
      bindNext(tx, known);
    appendEvent(tx, {
      type: "transfer_seen",
      order_id: "order_id" in found ? found.order_id : null,
      transfer: row.id,
      body: JSON.stringify({ txn_hash: row.tx_hash, block_number: row.block_number, value: row.amount }),
      url: null,
    });
  }

  function admitOne(tx: Tx, transfer: Transfer, why: string): TransferRow {
    const is_new = knownTransfer(tx, transfer) === null;
    takeIn(tx, transfer);
    const row = knownTransfer(tx, transfer);
    if (row === null) throw new Error("a transfer was taken in and is not there");
    if (is_new)
      recordAudit(tx, { actor: "chain", action: "transfer_admitted", subject: `transfer:${row.id}`, detail: why });
    return row;
  }

  function recordMove(tx: Tx, known: TransferRow, block: BlockRef): void {
    const detail = JSON.stringify({ from: [known.block_number, known.block_hash], to: [block.number, block.hash] });
    recordAudit(tx, { actor: "chain", action: "transfer_moved", subject: `transfer:${known.id}`, detail });
  }

  /** Decides about an unconfirmed transfer and writes it down: the deposit is taken from this moment. */
  function bind(tx: Tx, row: TransferRow): Match {
    const found = attribution.decide(tx, row);
    judgeTransfer(tx, row.id, {
      status: "waiting_for_confirmation",
      confirmed_at: null,
      ...("deposit" in found
        ? { deposit: found.deposit, part: found.kind !== "match", reason: null, likely_order: null }
        : { deposit: null, part: false, ...found }),
    });
    return found;
  }

  function drop(tx: Tx, row: TransferRow): void {
    if (row.confirmed_at !== null) {
      // Its policy was met and its block left the chain all the same.
      reverts.revert(tx, row);
      return;
    }
    if (row.status === "failed_to_confirm") return;
    judgeTransfer(tx, row.id, {
      status: "failed_to_confirm",
      deposit: null,
      part: false,
      reason: row.reason,
      likely_order: row.likely_order,
      confirmed_at: null,
    });
    appendEvent(tx, { type: "transfer_dropped", order_id: null, transfer: row.id, body: "{}", url: null });
    bindNext(tx, row);
  }

  /** A transfer left the place it had: whoever waited for that place is asked again. */
  function bindNext(tx: Tx, row: TransferRow): void {
    if (row.coin === null) return;
    const pot = { chain: row.chain, coin: row.coin, wallet: row.wallet };
    const order_id = row.deposit === null ? null : depositById(tx, row.deposit)?.order_id;
    for (const waiting of unboundWaiting(tx, pot, row.units, order_id ?? null)) bind(tx, waiting);
  }

  /** What a transfer that counts now pays, and the unconfirmed one of the same amount whose place it takes. */
  function decideAmong(tx: Tx, row: TransferRow): { found: Match; displaced: TransferRow | null } {
    const found = attribution.decideFinally(tx, row);
    const isBeside = "reason" in found && found.reason === "duplicate" && row.coin !== null;
    const holder = isBeside ? waitingBeside(tx, { ...row, order_id: found.likely_order }) : null;
    if (holder === null) return { found, displaced: null };
    const held = { status: holder.status, confirmed_at: null, part: false, likely_order: null };
    judgeTransfer(tx, holder.id, { ...held, deposit: null, reason: "duplicate" });
    const freed = attribution.decideFinally(tx, row);
    if ("deposit" in freed && freed.kind === "match") return { found: freed, displaced: holder };
    judgeTransfer(tx, holder.id, { ...held, deposit: holder.deposit, reason: null });
    return { found, displaced: null };
  }

  function settle(tx: Tx, row: TransferRow): void {
    appendEvent(tx, { type: "transfer_confirmed", order_id: null, transfer: row.id, body: "{}", url: null });
    const { found, displaced } = decideAmong(tx, row);
    if ("deposit" in found) {
      const { deposit, order_id, kind } = found;
      const isClaimed = kind === "match" && claimantsOf(tx, row.id).includes(order_id);
      const place = { deposit, part: kind !== "match" };
      crediting.credit(tx, { transfer: row, order_id, kind: isClaimed ? "claim" : kind, place });
      if (displaced !== null) bind(tx, displaced);
      return;
    }
    const likely_order = found.likely_order ?? guess(tx, row, found.reason);
    const stranger = judgeTransfer(tx, row.id, {
      status: likely_order === null && !isShared(found.reason) ? "no_matched_deposit" : "waiting_for_match",
      deposit: null,
      part: false,
      ...found,
      likely_order,
      confirmed_at: tx.now,
    });
    if (!isNoise(stranger)) crediting.tellStranger(tx, stranger);
  }

  return {
    async ingest(page) {
      const { chain, provider, pass } = page;
      let from = page.from;
      for (const slice of slices(page)) {
        const range = { from, to: slice.end.number, hash: slice.end.hash, time: slice.end.time, provider };
        await database.transact((tx) => {
          for (const transfer of slice.transfers) takeIn(tx, transfer);
          for (const part of readParts(range, page.unread ?? [])) cover(tx, page.watches, pass, part);
          if (slice.end.number < page.end.number) return;

          for (const id of page.gone) {
            const row = transferById(tx, id);
            if (row !== null) drop(tx, row);
          }
          if (page.zero_value > 0) countZeroValue(tx, chain, page.zero_value);
          rememberBlock(tx, chain, page.end);
          forgetFinalBlocks(tx, chain, page.chainEnd.final.number);
          recordPoll(tx, chain, page.chainEnd);
        });
        from = slice.end.number + 1;
      }
    },

    async admit(transfers, why) {
      const rows: TransferRow[] = [];
      for (let done = 0; done < transfers.length; done += slice_max_transfers) {
        const part = transfers.slice(done, done + slice_max_transfers);
        rows.push(...(await database.transact((tx) => part.map((transfer) => admitOne(tx, transfer, why)))));
      }
      return rows;
    },

    async confirm(chain, judged) {
      for (let done = 0; done < judged.length; done += confirm_max_transfers) {
        const part = judged.slice(done, done + confirm_max_transfers);
        const results = part.map(({ id, block_hash, verdict }) =>
          database.transact((tx) => {
            const row = transferById(tx, id);
            if (row === null || row.status !== "waiting_for_confirmation" || row.block_hash !== block_hash) return;
            if (verdict === "confirmed") settle(tx, row);
            else if (verdict === "gone") drop(tx, row);
            else {
              recordMove(tx, row, verdict.moved);
              moveBlock(tx, id, { ...transferTerms(row), block: verdict.moved });
            }
          }),
        );
        for (const result of await Promise.allSettled(results)) {
          if (result.status === "fulfilled") continue;
          // One transfer that cannot be settled must not hold up the others; it stays waiting and is tried again.
          telemetry.error("settlement_failed", { chain, code: codeOf(result.reason), error: String(result.reason) });
        }
      }
    },
  };
}

/** The one order that asks for just this amount elsewhere, where nothing else is known. */
function guess(tx: Tx, row: TransferRow, reason: InboxReason): string | null {
  return guessed.includes(reason) ? likelyOwner(row, askedExactly(tx, row)) : null;
}

function transferTerms(row: TransferRow): Omit<Transfer, "block"> {
  return {
    chain: row.chain,
    token: row.token,
    sender: row.sender,
    wallet: row.wallet,
    units: BigInt(row.units),
    tx_hash: row.tx_hash,
    log_index: row.log_index,
    position: row.position,
  };
}

/** What is left of a range without these blocks; hash and time are known only of its own end. */
function readParts(range: Interval, unread: readonly number[]): Interval[] {
  const holes = unread.map((block) => ({ from: block, to: block }));
  return gaps(holes, range.from, range.to).map(({ from, to }) =>
    to === range.to ? { ...range, from } : { ...range, from, to, hash: null, time: null },
  );
}

/** Cuts a page at block borders into parts of at most `slice_max_transfers`, or of one block; the last part ends the page. */
export function slices(page: Pick<Page, "transfers" | "end">): { transfers: Transfer[]; end: BlockRef }[] {
  const parts: { transfers: Transfer[]; end: BlockRef }[] = [];
  let part: Transfer[] = [];
  for (const block of Map.groupBy(page.transfers, (transfer) => transfer.block.number).values()) {
    const last = part.at(-1);
    if (last !== undefined && part.length + block.length > slice_max_transfers) {
      parts.push({ transfers: part, end: last.block });
      part = [];
    }
    part.push(...block);
  }
  parts.push({ transfers: part, end: page.end });
  return parts;
}
