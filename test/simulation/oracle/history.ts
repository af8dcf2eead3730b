// What became of every order and every transfer, in the order of the event log: when orders ended, what they had
// received, which transfers were paid out and which went to the inbox. Reads committed rows; judges nothing.

import type { Database as Sqlite } from "bun:sqlite";
import type { SimChainId } from "../scenery.ts";
import { unitsOf } from "./amounts.ts";

/** What a payer was asked for, as the product keeps it. */
export interface Ask {
  id: number;
  order_id: string;
  chain: SimChainId;
  coin: string;
  wallet: string;
  amount: string;
  units: bigint;
  sender: string | null;
  /** ms, by the clock of the server. */
  opened_at: number;
  opened_head: number | null;
  closed_at: number | null;
  expires_at: number;
  /** Of the order, without what is added to tell payers apart. */
  price: string;
}

/** A transfer as the product keeps it. */
export interface Kept {
  id: number;
  chain: SimChainId;
  tx_hash: string;
  position: number;
  coin: string | null;
  wallet: string;
  sender: string;
  units: bigint;
  amount: string;
  block_number: number;
  block_time: number;
  newest_deposit: number | null;
}

export interface Paid {
  order_id: string;
  kind: string;
  ask: Ask | null;
}

/** A transfer that counted for an order without an operator's word, or went to the inbox. */
export interface Decision {
  transfer: Kept;
  /** Position in the event log. */
  n: number;
  outcome: Paid | { reason: string | null; likely_order: string | null };
}

interface Received {
  n: number;
  transfer: number;
  sender: string;
  kind: string;
  /** In millionths of a millionth of a millionth of a coin. */
  common: bigint;
}

interface EventRow {
  n: number;
  type: string;
  order_id: string | null;
  transfer: number | null;
  body: string;
}

interface AllocationRow {
  id: number;
  transfer: number;
  order_id: string;
  kind: string;
}

const common_decimals = 18;

export interface History {
  /** Decisions since the last call, in order. */
  next(): Decision[];
  asks(): readonly Ask[];
  /** True when a transfer counted before an event of the log. */
  isConfirmedBefore(transfer: number, n: number): boolean;
  /** The event by which a transfer was first stored. */
  seenAt(transfer: number): number;
  /** What is kept of a transaction. */
  transfersOf(tx_hash: string): Kept[];
  /** What the order became by the event `n`; "pending" while it is open. */
  statusAt(order_id: string, n: number): string;
  /** True when money of the order left the chain after it had counted, or came by hand: its sums cannot be told any more. */
  isUnclear(order_id: string): boolean;
  /** What is left of an ask before `n`, in base units of its coin; null where the coin cannot hold it. */
  leftBefore(ask: Ask, decimals: number, n: number): bigint | null;
  /** Every amount that was left of an ask after a part, before `n`. */
  leftsBefore(ask: Ask, decimals: number, n: number): bigint[];
  /** Several transfers of this sender were all that was left of an ask, to the unit. */
  isSplit(ask: Ask, decimals: number, sender: string): boolean;
  /** Orders that a sender had paid into before `n`, and as what. */
  paidBy(sender: string, n: number): readonly { order_id: string; kind: string }[];
}

/** The history of one world over a connection to its database. */
export function createHistory(db: Sqlite): History {
  const newEvents = db.prepare<EventRow, [number]>(
    "SELECT n, type, order_id, transfer, body FROM events WHERE n > ? ORDER BY n",
  );
  const newAllocations = db.prepare<AllocationRow, [number]>(
    "SELECT id, transfer, order_id, kind FROM allocations WHERE id > ? ORDER BY id",
  );
  const allAsks = db.prepare<Omit<Ask, "units"> & { units: string }, []>(
    "SELECT d.id, d.order_id, d.chain, d.coin, d.wallet, d.amount, d.units, d.sender, d.opened_at, d.opened_head, d.closed_at, o.expires_at, o.amount AS price FROM deposits d JOIN orders o ON o.id = d.order_id ORDER BY d.id",
  );
  const keptOf = db.prepare<
    Omit<Kept, "units"> & {
      units: string;
      deposit: number | null;
      status: string;
      reason: string | null;
      likely_order: string | null;
    },
    [number]
  >("SELECT * FROM transfers WHERE id = ?");
  const everAllocated = db.prepare<{ id: number }, [number]>("SELECT id FROM allocations WHERE transfer = ?");
  const idsOf = db.prepare<{ id: number }, [string]>("SELECT id FROM transfers WHERE tx_hash = ? ORDER BY position");
  const confirmed = new Map<number, number>();
  const seenBy = new Map<number, number>();
  const ends = new Map<string, { n: number; status: string }[]>();
  const received = new Map<string, Received[]>();
  const unclear = new Set<string>();
  const payers = new Map<string, (Received & { order_id: string })[]>();
  let asks: Ask[] = [];
  const seen = { event: 0, allocation: 0 };

  const kept = (id: number) => {
    const row = keptOf.get(id);
    if (row === null) throw new Error(`no transfer ${id}`);
    return { ...row, units: BigInt(row.units) };
  };

  /**
   * Where in the log an allocation belongs: before what became of its order, which a held transfer pays some time after
   * its confirmation; else at the end.
   */
  function placeOf(events: readonly EventRow[], { transfer, order_id }: AllocationRow): number {
    const confirmed = events.findLast((event) => event.type === "transfer_confirmed" && event.transfer === transfer);
    if (confirmed === undefined) return seen.event;
    const isEffect = ({ n, type, ...event }: EventRow) =>
      n > confirmed.n &&
      event.order_id === order_id &&
      (type === "order_status_changed" || (type === "order_part_paid" && event.transfer === transfer));
    const effect = events.find(isEffect)?.n ?? confirmed.n;
    return effect === confirmed.n + 1 ? confirmed.n : effect;
  }

  /** A transfer that counts from this event on and pays nothing by itself. */
  function waitingOf({ n, type, transfer }: EventRow): Decision[] {
    if (type !== "transfer_confirmed" || transfer === null) return [];
    const { status, reason, likely_order, ...row } = kept(transfer);
    const isWaiting =
      (status === "waiting_for_match" || status === "no_matched_deposit") && everAllocated.get(transfer) === null;
    // Where a person has decided since, the row no longer says why it had waited.
    const known = isWaiting && reason !== "unassigned" && reason !== "reverted" ? reason : null;
    return [{ transfer: row, n, outcome: { reason: known, likely_order } }];
  }

  function sumBefore(order_id: string, n: number): bigint {
    return (received.get(order_id) ?? []).filter((one) => one.n < n).reduce((sum, one) => sum + one.common, 0n);
  }

  function left(ask: Ask, decimals: number, sum: bigint): bigint | null {
    const common = unitsOf(ask.amount, common_decimals) - sum;
    const step = 10n ** BigInt(common_decimals - decimals);
    return common > 0n && common % step === 0n ? common / step : null;
  }

  return {
    next() {
      const events = newEvents.all(seen.event);
      seen.event = events.at(-1)?.n ?? seen.event;
      asks = allAsks.all().map((row) => ({ ...row, units: BigInt(row.units) }));
      for (const { n, type, order_id, transfer, body } of events) {
        if (type === "transfer_seen" && transfer !== null && !seenBy.has(transfer)) seenBy.set(transfer, n);
        if (type === "transfer_confirmed" && transfer !== null) confirmed.set(transfer, n);
        if (type === "payment_reverted" && order_id !== null) unclear.add(order_id);
        if (type !== "order_status_changed" || order_id === null) continue;
        const { status } = JSON.parse(body) as { status: string };
        ends.set(order_id, [...(ends.get(order_id) ?? []), { n, status }]);
      }
      const found: Decision[] = [];
      for (const row of newAllocations.all(seen.allocation)) {
        seen.allocation = row.id;
        const transfer = kept(row.transfer);
        const n = placeOf(events, row);
        const { order_id, kind } = row;
        // An order that ended with a part of it has let go of its transfer since.
        const isHere = ({ chain, coin, wallet }: Ask) =>
          chain === transfer.chain && coin === transfer.coin && wallet === transfer.wallet;
        const own = asks.filter((ask) => ask.order_id === order_id);
        const ask = own.find(({ id }) => id === transfer.deposit) ?? own.find(isHere) ?? null;
        if (kind === "assign") unclear.add(order_id);
        else found.push({ transfer, n, outcome: { order_id, kind, ask } });
        const entry = {
          n,
          transfer: transfer.id,
          sender: transfer.sender,
          kind,
          common: unitsOf(transfer.amount, common_decimals),
        };
        received.set(order_id, [...(received.get(order_id) ?? []), entry]);
        payers.set(transfer.sender, [...(payers.get(transfer.sender) ?? []), { ...entry, order_id }]);
      }
      const paying = new Set(found.map(({ transfer, n }) => `${transfer.id} ${n}`));
      const waiting = events.flatMap(waitingOf).filter(({ transfer, n }) => !paying.has(`${transfer.id} ${n}`));
      return [...found, ...waiting].sort((a, b) => a.n - b.n);
    },
    asks: () => asks,
    isConfirmedBefore: (transfer, n) => (confirmed.get(transfer) ?? Number.POSITIVE_INFINITY) < n,
    seenAt: (transfer) => seenBy.get(transfer) ?? Number.POSITIVE_INFINITY,
    transfersOf: (tx_hash) => idsOf.all(tx_hash).map(({ id }) => kept(id)),
    statusAt: (order_id, n) => ends.get(order_id)?.findLast((end) => end.n < n)?.status ?? "pending",
    isUnclear: (order_id) => unclear.has(order_id),
    leftBefore: (ask, decimals, n) => left(ask, decimals, sumBefore(ask.order_id, n)),
    leftsBefore(ask, decimals, n) {
      let sum = 0n;
      return (received.get(ask.order_id) ?? [])
        .filter((one) => one.n < n)
        .flatMap((one) => {
          sum += one.common;
          return left(ask, decimals, sum) ?? [];
        });
    },
    isSplit(ask, decimals, sender) {
      const all = received.get(ask.order_id) ?? [];
      const own = all.filter((one) => one.sender === sender);
      const [others, sum] = [all.filter((one) => one.sender !== sender), own].map((list) =>
        list.reduce((total, one) => total + one.common, 0n),
      ) as [bigint, bigint];
      const due = left(ask, decimals, others);
      return own.length > 1 && due !== null && due * 10n ** BigInt(common_decimals - decimals) === sum;
    },
    paidBy: (sender, n) => (payers.get(sender) ?? []).filter((one) => one.n < n),
  };
}
