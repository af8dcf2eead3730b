// Which transfer pays which order: takes in what a chain was read to say, confirms what has ripened, pays orders. Every
// transfer of value is kept; what pays nothing is told to the merchant.

import type { LiveConfig } from "../config/config.ts";
import type { ChainId } from "../domain/assets.ts";
import { likelyOrder } from "../domain/candidates.ts";
import { errorCode } from "../domain/errors.ts";
import type { BlockRef } from "../domain/finality.ts";
import type { Match, ReceiptVerdict } from "../domain/matching.ts";
import { fromUnits } from "../domain/money.ts";
import { hasSeveralCandidates, type InboxReason, isIgnored, type Transfer } from "../domain/payment.ts";
import { boundPaymentOf, countPayments, unboundWaiting } from "../storage/bound-transfers.ts";
import { quotesElsewhere } from "../storage/candidate-search.ts";
import { countZeroValue, forgetFinalBlocks, recordPoll, saveHeader } from "../storage/chains.ts";
import { claimantsOf } from "../storage/claims.ts";
import { cover, uncoverAbove, type WatchRow, watchFor } from "../storage/coverage.ts";
import { depositById } from "../storage/deposits.ts";
import type { Database, Tx } from "../storage/engine/database.ts";
import { appendEvent, recordAudit } from "../storage/outbox.ts";
import {
  type FirstSeen,
  insertTransfer,
  judgeTransfer,
  knownTransfer,
  moveBlock,
  moveTransfer,
  setFinality,
  type TransferRow,
  transferById,
  transferOf,
} from "../storage/transfers.ts";
import type { Telemetry } from "../telemetry.ts";
import type { PaymentRules } from "./payment-rules.ts";
import { createReverts, isSameTransfer } from "./reverts.ts";
import {
  chunks,
  type ScannedRange,
  slice_max_transfers,
  sliceTransfers,
  transfers_per_call_max,
  withoutUnread,
} from "./scanned-range.ts";

const confirm_max_transfers = 100;
/** Waiting transfers that are matched again when one gives up its deposit: of its amount, and of those held for its order. */
const rematched_max = 20;
/** An order takes no more parts than this by itself: when it ends, each of them is a row in one transaction. */
export const parts_per_order_max = 200;
/** Money without any order: it may have been meant for one that is to be paid in another coin, or elsewhere. */
const guessed: readonly InboxReason[] = ["no_such_amount", "coin_not_offered", "unknown_token"];

/** Where a transfer stands now. `log_index`: of its log in that block; absent where its receipt has no such log any more. */
export interface MovedTransfer {
  moved: BlockRef;
  log_index?: number | undefined;
}

/** What the second reading said of one transfer, and the block it was read in. */
export interface ConfirmationResult {
  id: number;
  block_hash: string;
  verdict: Exclude<ReceiptVerdict, "unclear" | { moved: unknown }> | MovedTransfer;
}

export interface Settlement {
  /**
   * Stores a page: transfers that are gone, transfers, matches on sight, coverage. Resolves when all of it is durable. A
   * page takes several transactions. Coverage comes last, so that what a crash leaves undone is read again.
   */
  ingest(page: ScannedRange): Promise<void>;
  /**
   * Stores transfers that were found another way than by reading ranges, as if a range had held them; `why` goes to the
   * audit log with each one that was new. Each must stand in a canonical block, at its position in its receipt. Moves no
   * coverage. Resolves with their rows, in the order given.
   */
  admit(transfers: readonly Transfer[], why: string): Promise<TransferRow[]>;
  /** Confirms, drops or re-points ripe transfers; a confirmed one pays its order or goes to the inbox. */
  confirm(chain: ChainId, judged: readonly ConfirmationResult[]): Promise<void>;
}

/** Settlement over one database with the live settings' policies and webhook address. */
export function createSettlement(
  needs: PaymentRules & { database: Database; config: LiveConfig; telemetry: Telemetry },
): Settlement {
  const { database, telemetry, attribution, crediting, splits, tiers } = needs;
  const reverts = createReverts(needs);

  function firstSight(transfer: Transfer, watch: WatchRow): FirstSeen {
    const amount = fromUnits(transfer.units, watch.decimals);
    return { coin: watch.coin, label: watch.label, amount, finality: tiers.policyFor(transfer.chain, amount) };
  }

  /** Stores one transfer as the chain shows it, or what has changed of it. Whatever comes twice is stored once. */
  function takeIn(tx: Tx, transfer: Transfer): void {
    const known = knownTransfer(tx, transfer);
    const stands =
      known?.block_hash === transfer.block.hash &&
      known.reverted_at === null &&
      (known.confirmed_at !== null || isSameTransfer(transferOf(known), transfer));
    if (stands && known.status !== "failed_to_confirm") return;
    if (known !== null && known.confirmed_at !== null && reverts.remine(tx, known, transfer)) return;
    const watch = watchFor(tx, transfer);
    if (watch === null) throw new Error("a transfer of a contract that is not watched");
    const sight = firstSight(transfer, watch);
    if (known !== null) recordMove(tx, known, transfer.block);
    const row = known === null ? insertTransfer(tx, transfer, sight) : moveTransfer(tx, known.id, transfer, sight);

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
    const found = withSplit(tx, row, refuseCrowd(tx, row, attribution.decide(tx, row)));
    bindTo(tx, row, found);
    return found;
  }

  function bindTo(tx: Tx, row: TransferRow, found: Match): void {
    judgeTransfer(tx, row.id, {
      status: "waiting_for_confirmation",
      confirmed_at: null,
      ...("deposit" in found
        ? { deposit: found.deposit, part: found.kind !== "match", reason: null, likely_order: null }
        : { deposit: null, part: false, ...found }),
    });
    if ("deposit" in found) tiers.raise(tx, found.order_id);
  }

  /** Where a transfer pays an order together with others, it is held for the deposit: its order does not expire. */
  function withSplit(tx: Tx, row: TransferRow, found: Match): Match {
    const split = "reason" in found && found.held_for === undefined ? splits.find(tx, row, found.reason) : null;
    return split === null || "deposit" in found ? found : { ...found, held_for: split.deposit };
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

  /** Matches waiting transfers again after one gave up its deposit. The others are matched when they are confirmed. */
  function bindNext(tx: Tx, row: TransferRow): void {
    if (row.coin === null || row.deposit === null) return;
    const target = { chain: row.chain, coin: row.coin, wallet: row.wallet };
    const order_id = depositById(tx, row.deposit)?.order_id ?? null;
    for (const waiting of unboundWaiting(tx, target, row.units, order_id, rematched_max)) bind(tx, waiting);
  }

  /** Drops transfers whose block left the chain. Takes coverage back first: a crash in between is made up for. */
  async function dropAll({ gone, watches, from, pass }: ScannedRange): Promise<void> {
    const rows = database.read((at) => gone.flatMap((id) => transferById(at, id) ?? []));
    if (rows.length === 0) return;
    // The final pass has not covered the page yet.
    if (pass === "head") {
      await database.transact((tx) => {
        for (const watch of watches) uncoverAbove(tx, watch, from - 1, pass);
      });
    }
    // Those without a deposit first: they are not matched again to deposits that the others give up.
    const ordered = rows.toSorted((a, b) => Number(a.deposit !== null) - Number(b.deposit !== null));
    await inCalls(ordered, (tx, { id, block_hash }) => {
      const row = transferById(tx, id);
      if (row !== null && row.block_hash === block_hash) drop(tx, row);
    });
  }

  /** Acts on each row, over as many transactions as it takes. At most a slice at a time waits in the queue before others. */
  async function inCalls<T, R>(rows: readonly T[], act: (tx: Tx, row: T) => R): Promise<R[]> {
    const results: R[] = [];
    for (const slice of chunks(rows, slice_max_transfers)) {
      const calls = chunks(slice, transfers_per_call_max).map((part) =>
        database.transact((tx) => part.map((row) => act(tx, row))),
      );
      results.push(...(await Promise.all(calls)).flat());
    }
    return results;
  }

  /** What a transfer that counts now pays, and the unconfirmed one of the same amount whose place it takes. */
  function decideAmong(tx: Tx, row: TransferRow): { found: Match; displaced: TransferRow | null } {
    const found = refuseCrowd(tx, row, attribution.decideFinally(tx, row));
    const isBeside = "reason" in found && found.reason === "duplicate" && row.coin !== null;
    const holder = isBeside ? boundPaymentOf(tx, { ...row, order_id: found.likely_order }) : null;
    if (holder === null) return { found, displaced: null };
    const held = { status: holder.status, confirmed_at: null, part: false, likely_order: null };
    judgeTransfer(tx, holder.id, { ...held, deposit: null, reason: "duplicate" });
    const freed = attribution.decideFinally(tx, row);
    if ("deposit" in freed && freed.kind === "match") return { found: freed, displaced: holder };
    judgeTransfer(tx, holder.id, { ...held, deposit: holder.deposit, reason: null });
    return { found, displaced: null };
  }

  /** Parts of an order that has too many of them already wait for a person, but for the one that completes it. */
  function refuseCrowd(tx: Tx, row: TransferRow, found: Match): Match {
    if (!("deposit" in found) || found.kind !== "part") return found;
    const { order_id } = found;
    if (crediting.previewCredit(tx, { transfer: row, order_id, kind: "part" }).effect === "pays") return found;
    const before = countPayments(tx, order_id, row.id, parts_per_order_max);
    return before < parts_per_order_max ? found : { reason: "short", likely_order: order_id };
  }

  function settle(tx: Tx, row: TransferRow): void {
    const { found, displaced } = decideAmong(tx, row);
    if ("deposit" in found && tiers.policyWith(tx, row, found.order_id) !== row.finality) {
      // Together with others it is worth more than it was seen as: it waits for the policy of the sum.
      bindTo(tx, row, found);
      if (displaced !== null) bind(tx, displaced);
      return;
    }
    const split = "reason" in found ? splits.find(tx, row, found.reason) : null;
    const needed = split === null ? row.finality : tiers.policyAt(row, split.total);
    if ("reason" in found && needed !== row.finality) {
      setFinality(tx, row.id, needed);
      bindTo(tx, row, withSplit(tx, row, found));
      return;
    }
    appendEvent(tx, { type: "transfer_confirmed", order_id: null, transfer: row.id, body: "{}", url: null });
    if ("deposit" in found) {
      const { deposit, order_id, kind } = found;
      const isClaimed = kind === "match" && claimantsOf(tx, row.id).includes(order_id);
      const place = { deposit, part: kind !== "match" };
      crediting.credit(tx, { transfer: row, order_id, kind: isClaimed ? "claim" : kind, place });
      if (displaced !== null) bind(tx, displaced);
      return;
    }
    if (split?.isComplete) {
      splits.credit(tx, split);
      return;
    }
    const likely_order = split?.order_id ?? found.likely_order ?? guess(tx, row, found.reason);
    const stranger = judgeTransfer(tx, row.id, {
      status: likely_order === null && !hasSeveralCandidates(found.reason) ? "no_matched_deposit" : "waiting_for_match",
      deposit: null,
      part: false,
      ...found,
      likely_order,
      confirmed_at: tx.now,
      held_for: split?.deposit ?? found.held_for ?? null,
    });
    if (!isIgnored(stranger)) crediting.notifyUnmatched(tx, stranger);
  }

  return {
    async ingest(page) {
      const { chain, provider, pass } = page;
      await dropAll(page);
      let from = page.from;
      for (const slice of sliceTransfers(page)) {
        const range = { from, to: slice.end.number, hash: slice.end.hash, time: slice.end.time, provider };
        const last = slice.transfers.splice(-transfers_per_call_max);
        await inCalls(slice.transfers, takeIn);
        await database.transact((tx) => {
          for (const transfer of last) takeIn(tx, transfer);
          for (const part of withoutUnread(range, page.unread ?? [])) cover(tx, page.watches, pass, part);
          if (slice.end.number < page.end.number) return;

          if (page.zero_value > 0) countZeroValue(tx, chain, page.zero_value);
          // A header of the final pass would vouch for what the head pass has read below it, perhaps on another branch.
          if (pass === "head") saveHeader(tx, chain, page.end);
          forgetFinalBlocks(tx, chain, page.chainEnd.final.number);
          recordPoll(tx, chain, page.chainEnd);
        });
        from = slice.end.number + 1;
      }
    },

    admit: (transfers, why) => inCalls(transfers, (tx, transfer) => admitOne(tx, transfer, why)),

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
              const { moved: block, log_index = row.log_index } = verdict;
              moveBlock(tx, id, { ...transferTerms(row), block, log_index });
            }
          }),
        );
        for (const result of await Promise.allSettled(results)) {
          if (result.status === "fulfilled") continue;
          // One transfer that cannot be settled must not hold up the others; it stays waiting and is tried again.
          telemetry.error("settlement_failed", { chain, code: errorCode(result.reason), error: String(result.reason) });
        }
      }
    },
  };
}

/** The one order that asks for just this amount elsewhere, where nothing else is known. */
function guess(tx: Tx, row: TransferRow, reason: InboxReason): string | null {
  return guessed.includes(reason) ? likelyOrder(row, quotesElsewhere(tx, row)) : null;
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
