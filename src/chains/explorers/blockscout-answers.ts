// The border, in shapes: Blockscout's REST answers to checked values. Names of fields changed over its versions, and
// numbers are text in some: both spellings are read, nothing else is repaired.

import { getAddress } from "viem";
import { z } from "zod";
import { Fault } from "../../domain/errors.ts";
import { shaped } from "../rpc/evm-shapes.ts";
import type { IndexRow } from "./explorer.ts";

const whole = z.union([
  z.number().refine((value) => Number.isSafeInteger(value) && value >= 0, "is no number"),
  z
    .string()
    .regex(/^\d{1,15}$/, "is no number")
    .transform(Number),
]);
const address = z
  .string()
  .regex(/^0x[\da-f]{40}$/i, "is no address")
  .transform((text) => getAddress(text));
const hash = z
  .string()
  .regex(/^0x[\da-f]{64}$/i, "is no hash")
  .transform((text) => text.toLowerCase());
const party = z.object({ hash: address });
const amount = z.object({
  value: z
    .string()
    .regex(/^\d{1,78}$/, "is no amount")
    .transform(BigInt),
});
const time = z
  .string()
  .refine((text) => Number.isFinite(Date.parse(text)), "is no time")
  .transform((text) => Math.floor(Date.parse(text) / 1000));

/** Symbols, names and decimals are what the contract's maker likes: not read. */
const item = z.object({
  block_hash: hash.nullish(),
  block_number: whole,
  log_index: whole,
  timestamp: time,
  from: party,
  to: party,
  token: z.object({ address_hash: address.optional(), address: address.optional() }),
  transaction_hash: hash.optional(),
  tx_hash: hash.optional(),
  total: z.unknown(),
});

const cursor_value = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const page = z.object({ items: z.array(item), next_page_params: z.record(z.string(), cursor_value).nullish() });

export interface TransferPage {
  /** As they came; `row` is null for a contract that was not asked for. */
  rows: { block: number; log_index: number; row: IndexRow | null }[];
  /** What asks for the next page; null on the last. */
  next: Record<string, string> | null;
}

/** A page of an address's token transfers. One item that has not its shape refuses all of them. */
export function readTransfers(body: unknown, tokens: readonly string[]): TransferPage {
  const { items, next_page_params } = shaped(page, body, "transfers");
  const rows = items.map((one, i) => {
    const token = one.token.address_hash ?? one.token.address;
    const tx_hash = one.transaction_hash ?? one.tx_hash;
    if (token === undefined || tx_hash === undefined) {
      throw new Fault("provider_malformed", `transfers.items.${i} names no contract or no transaction`);
    }
    const { block_number: block, log_index } = one;
    if (!tokens.includes(token)) return { block, log_index, row: null };
    const { value: units } = shaped(amount, one.total, `transfers.items.${i}.total`);
    const [sender, wallet] = [one.from.hash, one.to.hash];
    const block_hash = one.block_hash ?? null;
    return { block, log_index, row: { tx_hash, token, sender, wallet, units, block, block_hash, time: one.timestamp } };
  });
  if (next_page_params === null || next_page_params === undefined) return { rows, next: null };
  const named = Object.entries(next_page_params).filter(([, value]) => value !== null);
  return { rows, next: Object.fromEntries(named.map(([name, value]) => [name, String(value)])) };
}

const indexing = z.object({
  finished_indexing_blocks: z.boolean(),
  indexed_blocks_ratio: z.union([z.string(), z.number()]).nullish(),
});

/** How far an instance has come with its chain. `ratio` is for people. */
export function readIndexing(body: unknown): { finished: boolean; ratio: string } {
  const { finished_indexing_blocks, indexed_blocks_ratio } = shaped(indexing, body, "indexing status");
  const ratio = String(indexed_blocks_ratio ?? "part");
  return { finished: finished_indexing_blocks, ratio: /^[\d.]{1,10}$/.test(ratio) ? ratio : "part" };
}
