// The JSON objects of the three APIs and of the socket, keys in the order clients may rely on. Pure renderings of
// plain values: times come in ms and leave in whole seconds, amounts are decimal text and pass through.

import type { z } from "zod";
import type { ChainId, Coin } from "../domain/assets.ts";
import type { CandidateOrder } from "../domain/candidates.ts";
import type { EventType } from "../domain/events.ts";
import type { OrderStatus } from "../domain/order.ts";
import { type ClaimStatus, type EntryReason, entryReasons, type TransferStatus } from "../domain/payment.ts";
import { parseJson } from "./json.ts";
import type * as schemas from "./schemas.ts";

type Shape<S extends z.ZodType> = z.infer<S>;

export interface OrderInput {
  id: string;
  merchant_order_id: string;
  amount: string;
  status: OrderStatus;
  /** ms */
  created_at: number;
  /** ms; shown where the creation asked for a lifetime. */
  expires_at: number;
  lifetime_s: number | null;
  /** A JSON object as text. */
  metadata: string | null;
  success_url: string | null;
  cancel_url: string | null;
}

/** Order. What the creation did not use does not appear. */
export function orderShape(order: OrderInput): Shape<typeof schemas.order> {
  return { ...orderFields(order), ...orderOptions(order) };
}

function orderFields(order: OrderInput) {
  return {
    order_id: order.id,
    merchant_order_id: order.merchant_order_id,
    amount: order.amount,
    status: order.status,
    created_at: seconds(order.created_at),
  };
}

function orderOptions(order: OrderInput) {
  const { metadata, success_url, cancel_url, lifetime_s, expires_at } = order;
  return {
    ...(metadata === null ? {} : { metadata: parseJson(metadata) as Record<string, unknown> }),
    ...(success_url === null ? {} : { success_url }),
    ...(cancel_url === null ? {} : { cancel_url }),
    ...(lifetime_s === null ? {} : { expires_at: seconds(expires_at) }),
  };
}

/** ChainCoin: one way to pay. */
export function chainCoinShape(option: {
  chain: ChainId;
  coin: Coin;
  wallet: string;
}): Shape<typeof schemas.chainCoin> {
  return { blockchain: option.chain, stablecoin: option.coin, wallet_address: option.wallet };
}

/** PaymentDetail: what to send where. */
export function paymentDetailShape(deposit: {
  order_id: string;
  wallet: string;
  amount: string;
  chain: ChainId;
  coin: Coin;
}): Shape<typeof schemas.paymentDetail> {
  return {
    order_id: deposit.order_id,
    wallet_address: deposit.wallet,
    amount: deposit.amount,
    blockchain: deposit.chain,
    stablecoin: deposit.coin,
  };
}

/** Claim. */
export function claimShape(answer: {
  status: ClaimStatus;
  text: string;
  chain: ChainId | null;
  tx_hash: string;
}): Shape<typeof schemas.claim> {
  return { status: answer.status, text: answer.text, blockchain: answer.chain, txn_hash: answer.tx_hash };
}

export interface AdminOrderInput extends OrderInput {
  webhook_url: string;
  /** Failed attempts. */
  webhook_retry_count: number;
  /** ms; the first success. */
  webhook_success_at: number | null;
  /** ms; the last attempt. */
  webhook_last_tried_at: number | null;
}

/** AdminOrder. */
export function adminOrderShape(order: AdminOrderInput): Shape<typeof schemas.adminOrder> {
  return {
    ...orderFields(order),
    webhook_url: order.webhook_url,
    webhook_retry_count: order.webhook_retry_count,
    webhook_success_at: secondsOrNull(order.webhook_success_at),
    webhook_last_tried_at: secondsOrNull(order.webhook_last_tried_at),
    ...orderOptions(order),
  };
}

export interface AdminDepositInput {
  id: number;
  order_id: string;
  chain: ChainId;
  coin: Coin;
  sender: string | null;
  wallet: string;
  amount: string;
  /** ms */
  opened_at: number;
  /** ms */
  last_scanned_at: number;
}

/** AdminDeposit. */
export function adminDepositShape(deposit: AdminDepositInput): Shape<typeof schemas.adminDeposit> {
  return {
    id: deposit.id,
    order_id: deposit.order_id,
    blockchain: deposit.chain,
    token: deposit.coin,
    user_address: deposit.sender,
    wallet_address: deposit.wallet,
    value: deposit.amount,
    started_at: seconds(deposit.opened_at),
    last_scanned_at: seconds(deposit.last_scanned_at),
  };
}

export interface AdminTransferInput {
  id: number;
  chain: ChainId;
  /** The coin its token is accepted as; null: none. */
  coin: Coin | null;
  /** What people call the token. */
  label: string;
  sender: string;
  wallet: string;
  tx_hash: string;
  /** Decimal text without trailing zeros. */
  amount: string;
  block_number: number;
  /** Seconds, as the chain states it. */
  block_time: number;
  /** ms */
  confirmed_at: number | null;
  /** ms */
  seen_at: number;
  status: TransferStatus;
  fulfillment_id: number | null;
}

/** AdminTransfer. */
export function adminTransferShape(transfer: AdminTransferInput): Shape<typeof schemas.adminTransfer> {
  return {
    id: transfer.id,
    blockchain: transfer.chain,
    token: transfer.coin ?? transfer.label,
    from_address: transfer.sender,
    to_address: transfer.wallet,
    txn_hash: transfer.tx_hash,
    value: transfer.amount,
    block_number: transfer.block_number,
    block_timestamp: transfer.block_time,
    blockchain_confirmed: transfer.confirmed_at !== null,
    created_at: seconds(transfer.seen_at),
    status: transfer.status,
    fulfillment_id: transfer.fulfillment_id,
  };
}

export interface InboxEntryInput {
  transfer: AdminTransferInput;
  reason: EntryReason;
  candidates: readonly CandidateOrder[];
}

/** InboxEntry. */
export function inboxEntryShape({ transfer, reason, candidates }: InboxEntryInput): Shape<typeof schemas.inboxEntry> {
  return {
    ...adminTransferShape(transfer),
    reason,
    reason_text: entryReasons[reason],
    candidates: candidates.map(({ order_id, merchant_order_id, status, amount, difference, why }) => ({
      ...{ order_id, merchant_order_id, status, amount, difference, why },
    })),
  };
}

/** Assignment. */
export function assignmentShape(one: {
  transfer: AdminTransferInput;
  order: AdminOrderInput;
}): Shape<typeof schemas.assignment> {
  return { transfer: adminTransferShape(one.transfer), order: adminOrderShape(one.order) };
}

/** AdminWallet. */
export function adminWalletShape(wallet: {
  chain: ChainId;
  address: string;
  coins: readonly Coin[];
}): Shape<typeof schemas.adminWallet> {
  return { blockchain: wallet.chain, address: wallet.address, enabled_coins: [...wallet.coins] };
}

/** Event: one row of the log. */
export function eventShape(event: {
  n: number;
  type: EventType;
  order_id: string | null;
  transfer: number | null;
  /** A JSON object as text. */
  body: string;
  /** ms */
  created_at: number;
}): Shape<typeof schemas.event> {
  return {
    n: event.n,
    type: event.type,
    order_id: event.order_id,
    transfer_id: event.transfer,
    created_at: seconds(event.created_at),
    data: parseJson(event.body) as Record<string, unknown>,
  };
}

/** Socket frame: where the order stands now. */
export function statusFrame(order: OrderInput): string {
  return JSON.stringify({ type: "status_update", order: orderShape(order) });
}

/** Socket frame: what is wrong, in the words and with the number of the close that follows. */
export function errorFrame(code: number, reason: string): string {
  return JSON.stringify({ type: "error", code, reason });
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}

function secondsOrNull(ms: number | null): number | null {
  return ms === null ? null : seconds(ms);
}
