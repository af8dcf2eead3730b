// The border, in shapes: raw JSON of an EVM node to checked values. What does not have its exact shape is refused
// whole; nothing here repairs an answer.

import { type Address, decodeFunctionResult, encodeEventTopics, getAddress, type Hex, parseAbi, slice } from "viem";
import { z } from "zod";
import { Fault } from "../../domain/errors.ts";
import type { BlockRef } from "../../domain/finality.ts";
import type { Receipt, ReceiptLog } from "../../domain/payment.ts";

export const erc20 = parseAbi([
  "event Transfer(address indexed from, address indexed to, uint256 value)",
  "function decimals() view returns (uint8)",
  "function symbol() view returns (string)",
  "function balanceOf(address owner) view returns (uint256)",
]);

/** Computed once: it costs a hash, and every poll and every log of a page needs it. */
export const transfer_topic = encodeEventTopics({ abi: erc20, eventName: "Transfer" })[0];

const quantity = z
  .string()
  .regex(/^0x[\da-f]{1,16}$/i, "is no quantity")
  .transform(Number)
  .refine(Number.isSafeInteger, "is too large");
const hash = z
  .string()
  .regex(/^0x[\da-f]{64}$/i, "is no hash")
  .transform((text) => text.toLowerCase() as Hex);
const address = z
  .string()
  .regex(/^0x[\da-f]{40}$/i, "is no address")
  .transform((text) => text.toLowerCase() as Address);
const bytes = z
  .string()
  .regex(/^0x([\da-f]{2})*$/i, "is no byte string")
  .transform((text) => text as Hex);

const header = z.object({ number: quantity, hash, timestamp: quantity });

export const log = z.object({
  address,
  topics: z.array(hash),
  data: bytes,
  blockNumber: quantity,
  blockHash: hash,
  transactionHash: hash,
  logIndex: quantity,
  removed: z.boolean().nullish(),
  /** Not every node sends it, and some send rubbish: read by `statedTime`. */
  blockTimestamp: z.unknown().optional(),
});
export type Log = z.infer<typeof log>;

const receipt = z.object({
  transactionHash: hash,
  blockNumber: quantity,
  blockHash: hash,
  status: quantity,
  logs: z.array(log),
});

/** The value in its checked form. Throws Fault `provider_malformed` naming what is wrong where. */
export function shaped<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const checked = schema.safeParse(value);
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  throw new Fault("provider_malformed", `${[what, ...(issue?.path ?? [])].join(".")} ${issue?.message ?? "is wrong"}`);
}

/** A header by the number that was asked for; null when the node has no such block. */
export function readHeader(raw: unknown, asked: number | null): BlockRef | null {
  if (raw === null) return null;
  const { number, hash, timestamp } = shaped(header, raw, "header");
  if (asked !== null && number !== asked) {
    throw new Fault("provider_inconsistent", `answered the header of block ${number} when asked for ${asked}`);
  }
  return { number, hash, time: timestamp };
}

/** The answer to `eth_chainId`. Throws Fault `provider_malformed`. */
export function readChainId(raw: unknown): number {
  return shaped(quantity, raw, "chain id");
}

/** A hexadecimal number. Throws Fault `provider_malformed` naming it as `what`. */
export function readQuantity(raw: unknown, what: string): number {
  return shaped(quantity, raw, what);
}

/** What a `decimals()` call returned; null when that is no number. */
export function readDecimals(raw: unknown): number | null {
  const data = bytes.safeParse(raw);
  if (!data.success) return null;
  try {
    return decodeFunctionResult({ abi: erc20, functionName: "decimals", data: data.data });
  } catch {
    return null;
  }
}

/** What a `symbol()` call returned; null when that is no text. Chosen by whoever deployed the contract. */
export function readSymbol(raw: unknown): string | null {
  const data = bytes.safeParse(raw);
  if (!data.success) return null;
  try {
    return decodeFunctionResult({ abi: erc20, functionName: "symbol", data: data.data });
  } catch {
    return null;
  }
}

/** The code of a contract; false when there is none at the address. Throws Fault `provider_malformed`. */
export function readHasCode(raw: unknown): boolean {
  return shaped(bytes, raw, "code") !== "0x";
}

/** What a `balanceOf()` call returned; null when that is no number. */
export function readBalance(raw: unknown): bigint | null {
  const data = bytes.safeParse(raw);
  if (!data.success) return null;
  try {
    return decodeFunctionResult({ abi: erc20, functionName: "balanceOf", data: data.data });
  } catch {
    return null;
  }
}

/** The receipt of the transaction that was asked for; null when it is not mined. A log that comes twice counts once. */
export function readReceipt(raw: unknown, tx_hash: string): Receipt | null {
  if (raw === null) return null;
  const { transactionHash, blockNumber, blockHash, status, logs } = shaped(receipt, raw, "receipt");
  const contradicts = (words: string) => new Fault("provider_inconsistent", `receipt of ${tx_hash}: ${words}`);
  if (transactionHash !== tx_hash.toLowerCase()) throw contradicts(`answered that of ${transactionHash}`);

  const read: Log[] = [];
  for (const entry of logs) {
    if (entry.transactionHash !== transactionHash || entry.blockHash !== blockHash) {
      throw contradicts("holds a log of another transaction or block");
    }
    const last = read.at(-1);
    if (last !== undefined && last.logIndex === entry.logIndex && JSON.stringify(last) === JSON.stringify(entry))
      continue;
    if (last !== undefined && entry.logIndex <= last.logIndex) throw contradicts("its logs are not in order");
    read.push(entry);
  }
  return {
    tx_hash: transactionHash,
    success: status === 1,
    block: { number: blockNumber, hash: blockHash },
    logs: read.map((entry): ReceiptLog => ({ log_index: entry.logIndex, transfer: readTransfer(entry) })),
  };
}

/** The ERC-20 transfer a log states, addresses canonical; null when it is none: other event, NFT, unpadded words. */
export function readTransfer({
  address,
  topics,
  data,
}: Pick<Log, "address" | "topics" | "data">): ReceiptLog["transfer"] {
  const [signature, from, to, ...more] = topics;
  if (signature !== transfer_topic || from === undefined || to === undefined || more.length > 0) return null;
  if (!from.startsWith(address_padding) || !to.startsWith(address_padding) || data.length !== data_chars) return null;
  const [sender, wallet] = [slice(from, address_padding_bytes), slice(to, address_padding_bytes)];
  return { token: getAddress(address), sender: getAddress(sender), wallet: getAddress(wallet), units: BigInt(data) };
}

const address_padding_bytes = 12;
const address_padding = `0x${"00".repeat(address_padding_bytes)}`;
const data_chars = 2 + 64;

/** The time a log states for its block, in seconds; null when it states none that can be read. */
export function statedTime({ blockTimestamp }: Log): number | null {
  const time = quantity.safeParse(blockTimestamp);
  return time.success && time.data > 0 ? time.data : null;
}
