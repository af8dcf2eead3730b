// The border of TronGrid's REST answers: raw JSON to checked values. Numbers that are zero are left out by its nodes,
// so their absence means zero; anything else that is missing refuses the answer.

import { z } from "zod";
import { canonicalAddress } from "../../domain/address.ts";
import { Fault } from "../../domain/errors.ts";
import type { BlockRef } from "../../domain/finality.ts";
import type { ReceiptLog } from "../../domain/payment.ts";
import { readDecimals, readTransfer, shaped } from "../rpc/evm-shapes.ts";
import { tronLog } from "./tron-dialect.ts";

export const hashShape = z
  .string()
  .regex(/^[\da-f]{64}$/i, "is no hash")
  .transform((text) => text.toLowerCase());
const whole = z.number().int().nonnegative();
export const addressShape = z.string().refine((text) => canonicalAddress("tron", text) !== null, "is no address");

const block = z.object({
  blockID: hashShape,
  block_header: z.object({ raw_data: z.object({ number: whole.default(0), timestamp: whole.default(0) }) }),
  transactions: z.array(z.object({ txID: hashShape })).default([]),
});

const info = z.object({
  id: hashShape,
  blockNumber: whole,
  /** `FAILED`, or absent. */
  result: z.string().optional(),
  receipt: z.object({ result: z.string().optional() }).default({}),
  log: z
    .array(
      z.object({
        address: z.string().regex(/^[\da-f]{40}$/i, "is no address of 20 bytes"),
        topics: z.array(hashShape).default([]),
        data: z
          .string()
          .regex(/^([\da-f]{2})*$/i, "is no byte string")
          .default(""),
      }),
    )
    .default([]),
});
/** What became of one transaction. */
export interface TransactionInfo {
  id: string;
  block: number;
  success: boolean;
  /** In the order of the receipt; `log_index` counts from 0 within the transaction. */
  logs: ReceiptLog[];
}

const row = z.object({
  transaction_id: hashShape,
  token_info: z.object({ address: addressShape }),
  block_timestamp: whole,
  from: addressShape,
  to: addressShape,
  type: z.string(),
  value: z.string().regex(/^\d{1,78}$/, "is no amount"),
});
/** One entry of a wallet's list of token movements. */
export interface Row {
  tx_hash: string;
  token: string;
  sender: string;
  wallet: string;
  units: bigint;
  time_ms: number;
  is_transfer: boolean;
}

const page = z.object({
  data: z.array(row),
  meta: z.object({ fingerprint: z.string().min(1).optional() }).default({}),
});

const call = z.object({
  result: z.object({ result: z.boolean().optional(), code: z.string().optional(), message: z.string().optional() }),
  constant_result: z.array(z.string()).default([]),
});

export interface BlockDetail extends BlockRef {
  /** Hashes of its transactions in order; empty where they were not asked for. */
  transactions: string[];
}

/** A block, or null when the node has none; `asked` null: whichever is the newest. */
export function readBlock(raw: unknown, asked: number | null): BlockDetail | null {
  if (isEmpty(raw)) return null;
  const { blockID, block_header, transactions } = shaped(block, raw, "block");
  const { number, timestamp } = block_header.raw_data;
  if (asked !== null && number !== asked) {
    throw new Fault("provider_inconsistent", `answered block ${number} when asked for ${asked}`);
  }
  const time = Math.floor(timestamp / 1000);
  return { number, hash: blockID, time, transactions: transactions.map(({ txID }) => txID) };
}

/** What became of a transaction; null when it is not mined. */
export function readInfo(raw: unknown): TransactionInfo | null {
  return isEmpty(raw) ? null : infoOf(shaped(info, raw, "transaction"));
}

/** What became of all transactions of a block, in its order. */
export function readInfos(raw: unknown): TransactionInfo[] {
  return isEmpty(raw) ? [] : shaped(z.array(info), raw, "transactions").map(infoOf);
}

/** A page of a wallet's list, and how to ask for the next; null when there is none. */
export function readPage(raw: unknown): { rows: Row[]; fingerprint: string | null } {
  const { data, meta } = shaped(page, raw, "page");
  const rows = data.map((row) => ({
    tx_hash: row.transaction_id,
    token: row.token_info.address,
    sender: row.from,
    wallet: row.to,
    units: BigInt(row.value),
    time_ms: row.block_timestamp,
    is_transfer: row.type === "Transfer",
  }));
  return { rows, fingerprint: meta.fingerprint ?? null };
}

/** What `decimals()` of a contract came to; null when it is no contract or states none. */
export function readDecimalsCall(raw: unknown): number | null {
  const { result, constant_result } = shaped(call, raw, "call");
  if (result.code !== undefined && result.code !== "CONTRACT_VALIDATE_ERROR") {
    throw new Fault("provider_unreachable", `refuses a call: ${result.code}`);
  }
  return result.result === true ? readDecimals(`0x${constant_result[0] ?? ""}`) : null;
}

function infoOf(checked: z.infer<typeof info>): TransactionInfo {
  const succeeded = [undefined, "DEFAULT", "SUCCESS"].includes(checked.receipt.result);
  const logs = checked.log.map(({ address, topics, data }, log_index) =>
    tronLog({
      log_index,
      transfer: readTransfer({
        address: `0x${address}`,
        topics: topics.map((topic) => `0x${topic}` as const),
        data: `0x${data}`,
      }),
    }),
  );
  return { id: checked.id, block: checked.blockNumber, success: succeeded && checked.result !== "FAILED", logs };
}

function isEmpty(raw: unknown): boolean {
  return typeof raw === "object" && raw !== null && !Array.isArray(raw) && Object.keys(raw).length === 0;
}
