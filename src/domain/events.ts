// The closed list of events, and when a delivery of one is tried again.

interface EventRow {
  /** What the webhook tells, in words; null: the event goes to the log only. */
  webhook: string | null;
  /** The payload's schema, by its name in `wire/events.ts`. */
  payload: string;
}

/** Every type of row in the event log. */
export const eventTypes = {
  order_created: { webhook: null, payload: "Empty" },
  deposit_opened: { webhook: null, payload: "DepositOpened" },
  transfer_seen: { webhook: null, payload: "TransferSeen" },
  transfer_dropped: { webhook: null, payload: "Empty" },
  transfer_confirmed: { webhook: null, payload: "Empty" },
  order_status_changed: { webhook: "An order's status, as it changed", payload: "OrderStatusChanged" },
  unknown_transfer: { webhook: "A transfer that fits no order", payload: "UnknownTransfer" },
  order_part_paid: { webhook: null, payload: "OrderPartPaid" },
  payment_reverted: { webhook: "Confirmed money that left the chain again", payload: "PaymentReverted" },
  payment_restored: { webhook: null, payload: "TransferSeen" },
  transfer_assigned: { webhook: null, payload: "TransferAssigned" },
  transfer_dismissed: { webhook: null, payload: "TransferDismissed" },
  log_restored: { webhook: null, payload: "LogRestored" },
} as const satisfies Record<string, EventRow>;

export type EventType = keyof typeof eventTypes;
export type PayloadName = (typeof eventTypes)[EventType]["payload"];

/** The first attempt is made at once; then one retry after each of these, counted from the end of the attempt before. */
export const retry_delays_s: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048];

/** When to try again after `failed` failed attempts, in ms from the end of the last one; null: give up. */
export function retryDelay(failed: number): number | null {
  const seconds = retry_delays_s[failed - 1];
  return seconds === undefined ? null : seconds * 1000;
}

const proof_slow_delay_s = 3600;
/** With the quick retries before it, three days in all. */
const proof_slow_retries = 71;

/** As `retryDelay`, for a proof of payment: quickly at first, then every hour, for three days. */
export function proofRetryDelay(failed: number): number | null {
  const slow = failed <= retry_delays_s.length + proof_slow_retries ? proof_slow_delay_s * 1000 : null;
  return retryDelay(failed) ?? slow;
}

/** No delivery is due later than this after its last attempt: one that seems to be was planned before a clock was set back. */
export const retry_delay_max_ms = 1000 * Math.max(proof_slow_delay_s, ...retry_delays_s);

/** A newer webhook of an order waits for an attempt of an older one that is due, at most so long. */
export const older_event_wait_max_ms = 60_000;

/** A power cut may undo what was written last beside the database: so many numbers may have been given out above it. */
const unrecorded_numbers_max = 100_000;

/**
 * The first number of a new generation of the event log. Greater than every number given out before: than
 * `last_in_copy`, than `last_given_out` (null: unknown) and what followed it, and than what a slower log than one event
 * per millisecond since 1970 can have reached. `now` in ms.
 */
export function firstOfGeneration(last_in_copy: number, last_given_out: number | null, now: number): number {
  const known =
    last_given_out === null ? last_in_copy : Math.max(last_in_copy, last_given_out + unrecorded_numbers_max);
  return Math.max(known + 1, now);
}

/** What a restored log says first. Numbers are those of events; `last_given_out` is null when it is not known. */
export function logRestoredBody(
  restored: { generation: number; last_in_copy: number; last_given_out: number | null },
  now: number,
): string {
  const { generation, last_in_copy, last_given_out } = restored;
  return JSON.stringify({
    event_type: "log_restored",
    generation,
    last_in_copy,
    last_given_out,
    timestamp: Math.floor(now / 1000),
  });
}

/** The exact bytes of an order's webhook; `now` in ms. */
export function orderStatusBody(
  order: { id: string; merchant_order_id: string; status: string; amount: string },
  now: number,
): string {
  return JSON.stringify({
    event_type: "order_status_changed",
    order_id: order.id,
    merchant_order_id: order.merchant_order_id,
    status: order.status,
    amount: order.amount,
    timestamp: Math.floor(now / 1000),
  });
}

/** What a webhook about a transfer says of it. */
export interface WebhookTransfer {
  id: number;
  chain: string;
  label: string;
  amount: string;
  tx_hash: string;
  sender: string;
  wallet: string;
}

/** The exact bytes of an unknown transfer's webhook. `order_id` is there when one order is the likely owner; `now` in ms. */
export function unknownTransferBody(transfer: WebhookTransfer & { likely_order: string | null }, now: number): string {
  return transferBody("unknown_transfer", transfer, transfer.likely_order, now);
}

/** The exact bytes of the webhook about money that left the chain again. `order_id` is there when it pays one; `now` in ms. */
export function paymentRevertedBody(transfer: WebhookTransfer & { order_id: string | null }, now: number): string {
  return transferBody("payment_reverted", transfer, transfer.order_id, now);
}

function transferBody(event_type: EventType, transfer: WebhookTransfer, order_id: string | null, now: number): string {
  return JSON.stringify({
    event_type,
    transfer_id: transfer.id,
    blockchain: transfer.chain,
    timestamp: Math.floor(now / 1000),
    stablecoin: transfer.label,
    value: transfer.amount,
    txn_hash: transfer.tx_hash,
    from_address: transfer.sender,
    to_address: transfer.wallet,
    ...(order_id === null ? {} : { order_id }),
  });
}
