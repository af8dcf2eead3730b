// Wallets, deposits, transfers and the inbox as the Admin API shows them: schemas and their renderings. Keys in the
// order clients may rely on; times come in ms, amounts are decimal text and pass through.

import { z } from "zod";
import type { ChainId, Coin } from "../domain/assets.ts";
import type { CandidateOrder } from "../domain/candidates.ts";
import { type EntryReason, entryReasons, type TransferStatus } from "../domain/payment.ts";
import { type AdminOrderInput, adminOrderSchema, adminOrderShape } from "./orders.ts";
import {
  amount,
  chain as blockchain,
  inboxReason,
  integer,
  orderStatus,
  seconds,
  secondsOf,
  coin as stablecoin,
  transferStatus,
  uuid,
} from "./values.ts";

const address = z.string();

export const adminWalletSchema = z
  .object({ blockchain, address, enabled_coins: z.array(stablecoin) })
  .meta({ id: "AdminWallet" });

/** AdminWallet. */
export function adminWalletShape(wallet: {
  chain: ChainId;
  address: string;
  coins: readonly Coin[];
}): z.infer<typeof adminWalletSchema> {
  return { blockchain: wallet.chain, address: wallet.address, enabled_coins: [...wallet.coins] };
}

export const adminDepositSchema = z
  .object({
    id: integer,
    order_id: uuid,
    blockchain,
    token: stablecoin,
    user_address: address.nullable(),
    wallet_address: address,
    value: amount,
    started_at: seconds,
    last_scanned_at: seconds,
  })
  .meta({ id: "AdminDeposit" });

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
export function adminDepositShape(deposit: AdminDepositInput): z.infer<typeof adminDepositSchema> {
  return {
    id: deposit.id,
    order_id: deposit.order_id,
    blockchain: deposit.chain,
    token: deposit.coin,
    user_address: deposit.sender,
    wallet_address: deposit.wallet,
    value: deposit.amount,
    started_at: secondsOf(deposit.opened_at),
    last_scanned_at: secondsOf(deposit.last_scanned_at),
  };
}

const transferFields = {
  id: integer,
  blockchain,
  token: z.string().meta({
    description: "The coin that the token is accepted as; what people call it where it is accepted as none.",
  }),
  from_address: address,
  to_address: address,
  txn_hash: z.string(),
  value: amount,
  block_number: integer,
  block_timestamp: seconds,
  blockchain_confirmed: z.boolean(),
  created_at: seconds,
  status: transferStatus,
  fulfillment_id: integer.nullable(),
};

export const adminTransferSchema = z.object(transferFields).meta({ id: "AdminTransfer" });

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
export function adminTransferShape(transfer: AdminTransferInput): z.infer<typeof adminTransferSchema> {
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
    created_at: secondsOf(transfer.seen_at),
    status: transfer.status,
    fulfillment_id: transfer.fulfillment_id,
  };
}

const candidateSchema = z
  .object({
    order_id: uuid,
    merchant_order_id: z.string(),
    status: orderStatus,
    amount: amount.meta({ description: "What its payer was asked for." }),
    difference: z
      .string()
      .regex(/^-?\d+(\.\d+)?$/)
      .meta({ description: "What the transfer brought more than that; with a minus, what is missing." }),
    why: z.string(),
  })
  .meta({ id: "Candidate", description: "An order that a transfer may belong to." });

export const inboxEntrySchema = z
  .object({
    ...transferFields,
    reason: inboxReason,
    reason_text: z.string(),
    candidates: z.array(candidateSchema).meta({ description: "At most five, the likeliest first." }),
  })
  .meta({ id: "InboxEntry", description: "Money that waits for a person." });

/** InboxEntry. */
export function inboxEntryShape(entry: {
  transfer: AdminTransferInput;
  reason: EntryReason;
  candidates: readonly CandidateOrder[];
}): z.infer<typeof inboxEntrySchema> {
  const { transfer, reason, candidates } = entry;
  return {
    ...adminTransferShape(transfer),
    reason,
    reason_text: entryReasons[reason],
    candidates: candidates.map(({ order_id, merchant_order_id, status, amount, difference, why }) => ({
      ...{ order_id, merchant_order_id, status, amount, difference, why },
    })),
  };
}

export const assignmentSchema = z
  .object({ transfer: adminTransferSchema, order: adminOrderSchema })
  .meta({ id: "Assignment", description: "A transfer and the order it pays, or paid until now, as both stand." });

/** Assignment. */
export function assignmentShape(one: {
  transfer: AdminTransferInput;
  order: AdminOrderInput;
}): z.infer<typeof assignmentSchema> {
  return { transfer: adminTransferShape(one.transfer), order: adminOrderShape(one.order) };
}
