// Several transfers of one sender that are exactly one order's amount together. Finds them, and credits them as parts in
// one transaction once all of them count. Nothing is certain by a sum alone: the sender must mean this order and no other.

import type { Reservation } from "../domain/matching.ts";
import { fromCommon, toCommon } from "../domain/money.ts";
import type { InboxReason } from "../domain/payment.ts";
import { receivedFor } from "../storage/allocations.ts";
import { isLessThanOtherOrder } from "../storage/candidate-search.ts";
import { depositsDueExactly } from "../storage/deposit-search.ts";
import { depositById } from "../storage/deposits.ts";
import type { Reader, Tx } from "../storage/engine/database.ts";
import { reservationsFor } from "../storage/reservation-search.ts";
import type { PaymentTarget } from "../storage/reservations.ts";
import { isSharedSender, unallocatedTransfers } from "../storage/senders.ts";
import type { TransferRow } from "../storage/transfers.ts";
import { type Attribution, added_transfers_max } from "./attribution.ts";
import type { Crediting } from "./crediting.ts";

/** What a transfer may be that pays nothing by itself and may be a part all the same. */
const may_be_part: readonly InboxReason[] = [
  "short",
  "no_such_amount",
  "coin_not_offered",
  "cut",
  "fee_shortened",
  "ambiguous",
];

/** Transfers that are exactly what is due of an order. */
export interface SplitPayment {
  deposit: number;
  order_id: string;
  /** The smallest first; the transfer that was asked about among them. */
  members: readonly TransferRow[];
  /** Decimal text: what they bring, and what the order had received before. */
  total: string;
  /** All but the one that was asked about count already. */
  isComplete: boolean;
}

export interface SplitPayments {
  /** The order that a transfer pays together with all others of its sender that pay nothing; null where none is certain. */
  find(at: Reader, row: TransferRow, reason: InboxReason): SplitPayment | null;
  /** Credits the transfers as parts; the last one pays the order. All but the one asked about must be confirmed. */
  credit(tx: Tx, split: SplitPayment): void;
}

/** Splits under these rules. */
export function createSplitPayments(needs: { attribution: Attribution; crediting: Crediting }): SplitPayments {
  const { attribution, crediting } = needs;
  return {
    find: (at, row, reason) => (may_be_part.includes(reason) ? findSplit(at, row, reason, attribution) : null),
    credit(tx, { deposit, order_id, members }) {
      for (const [index, transfer] of members.entries()) {
        const isFollowed = index < members.length - 1;
        crediting.credit(tx, { transfer, order_id, kind: "part", place: { deposit, part: true }, isFollowed });
      }
    },
  };
}

function findSplit(at: Reader, row: TransferRow, reason: InboxReason, attribution: Attribution): SplitPayment | null {
  const { chain, coin, wallet, sender } = row;
  if (coin === null) return null;
  const target: PaymentTarget = { chain, coin, wallet };
  const others = unallocatedTransfers(at, target, sender, added_transfers_max + 1).filter((one) => one.id !== row.id);
  if (others.length === 0) return null;
  const newest_first = [{ ...row, reason }, ...others]
    .filter((one) => one.reason === "ambiguous" || !isAsked(at, target, one, attribution))
    .sort((a, b) => b.block_number - a.block_number || b.log_index - a.log_index);

  const found: SplitPayment[] = [];
  let sum = 0n;
  for (const [index, one] of newest_first.slice(0, added_transfers_max).entries()) {
    sum += BigInt(one.units);
    const members = newest_first.slice(0, index + 1);
    if (members.length < 2 || !members.some((member) => member.id === row.id)) continue;
    const deposit = onlyDue(at, target, sum, { row, members, attribution });
    // All that the sender has sent since: what came before it was sent for something else.
    const before = newest_first[index + 1];
    if (deposit === null || !members.every((one) => attribution.mayBePartOf(at, one, deposit))) continue;
    if (!isOneTransaction(members) && members.some((one) => isPartOfLarger(at, target, one, deposit))) continue;
    if (before !== undefined && !attribution.isOlderThan(at, before, deposit)) continue;
    found.push(splitOf(at, row, members, deposit));
  }
  const [only, another] = found;
  if (only === undefined || another !== undefined || isSharedSender(at, sender)) return null;
  return only;
}

/** A payer's own doing: nobody else can add to it. */
function isOneTransaction([first, ...others]: readonly TransferRow[]): boolean {
  return others.every(({ tx_hash }) => tx_hash === first?.tx_hash);
}

/** True where another order asked for more when it was sent: somebody at the same exchange may have paid a part of that. */
function isPartOfLarger(at: Reader, target: PaymentTarget, row: TransferRow, { order_id }: Reservation): boolean {
  const { units, sender, newest_deposit } = row;
  return isLessThanOtherOrder(at, target, BigInt(units), { order_id, sender, newest_deposit });
}

/** True where exactly this amount was reserved when it was sent: what is opened afterwards changes nothing. */
function isAsked(at: Reader, target: PaymentTarget, row: TransferRow, { isOlderThan }: Attribution): boolean {
  return reservationsFor(at, target, [BigInt(row.units)], row.id).some((one) => !isOlderThan(at, row, one));
}

/**
 * The unpaid deposit of which exactly this is due, where it is the only one that was opened before all of the transfers,
 * and its payer may be the sender.
 */
function onlyDue(
  at: Reader,
  target: PaymentTarget,
  units: bigint,
  { row, members, attribution }: { row: TransferRow; members: readonly TransferRow[]; attribution: Attribution },
): Reservation | null {
  const due_now = depositsDueExactly(at, target, { units, sender: row.sender, transfer: row.id });
  const before = due_now.filter((one) => members.every((part) => !attribution.isOlderThan(at, part, one)));
  const [only] = before;
  if (only === undefined || before.some((one) => one.deposit !== only.deposit)) return null;
  const deposit = depositById(at, only.deposit);
  if (deposit === null || (only.sender !== null && only.sender !== row.sender)) return null;
  const due = receivedFor(at, only.order_id) === 0n ? deposit.units : deposit.remainder;
  return due === units.toString() ? { ...only, units } : null;
}

function splitOf(at: Reader, row: TransferRow, members: readonly TransferRow[], deposit: Reservation): SplitPayment {
  const brought = members.reduce((sum, one) => sum + toCommon(one.amount), 0n);
  return {
    deposit: deposit.deposit,
    order_id: deposit.order_id,
    members: members.toSorted((a, b) => (BigInt(a.units) < BigInt(b.units) ? -1 : 1)),
    total: fromCommon(receivedFor(at, deposit.order_id) + brought),
    isComplete: members.every((one) => one.id === row.id || one.confirmed_at !== null),
  };
}
