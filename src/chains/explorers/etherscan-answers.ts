// What an Etherscan-shaped API means by an answer. It refuses with HTTP 200 and a sentence, so sentences are placed
// here; one that is not known is never taken for an empty list.

import { getAddress } from "viem";
import { z } from "zod";
import { Fault } from "../../domain/errors.ts";
import { shaped } from "../rpc/evm-shapes.ts";
import type { IndexRow } from "./explorer.ts";

const daily_retry_s = 3600;
const second_retry_s = 1;
const busy_retry_s = 300;

/** The list of an answer; or that nothing was found; or the sentence it refused with. */
export type EtherscanAnswer = { result: unknown } | { refusal: string };

const empty = /^no (transactions|records|token transfers|logs) found/i;

/** Reads the envelope of `module=account` and `module=block`. Throws Fault `provider_malformed`. */
export function readAnswer(body: unknown): EtherscanAnswer {
  const { status, message, result } = shaped(envelope, body, "answer");
  if (status === "1") return { result };
  if (empty.test(message) && (result === null || result === undefined || Array.isArray(result))) return { result: [] };
  const sentence = typeof result === "string" && result !== "" ? result : message;
  return { refusal: sentence };
}

const envelope = z.object({ status: z.enum(["0", "1"]), message: z.string(), result: z.unknown() });

export interface RefusingService {
  /** Name of the service, for people. */
  name: string;
  chain_name: string;
  chain: string;
  /** The configuration key that holds its API key. */
  key_name: string;
  /** What of the service's words may be shown. */
  redact(words: string): string;
}

/** The Fault a refusal amounts to. A range that was too much is `provider_range_too_large`; unknown ones may pass. */
export function refusalFault(sentence: string, refuser: RefusingService): Fault {
  const { name, chain_name, chain, key_name } = refuser;
  const shown = refuser.redact(sentence);
  const instead = `correct ${key_name}, or list chains.${chain}.rpc_urls`;
  const refused = (words: string, cure: string) => new Fault("provider_refused", `${words} ("${shown}"); ${cure}`);
  const later = (retry_after_s: number) => new Fault("provider_rate_limited", shown, retry_after_s);
  if (/free api access is not supported/i.test(sentence)) {
    return refused(`${chain_name} needs a paid ${name} plan`, `upgrade it, or list chains.${chain}.rpc_urls`);
  }
  if (/temporarily unavailable/i.test(sentence)) return later(busy_retry_s);
  if (/api key/i.test(sentence) && /invalid|missing|disabled|suspended|expired/i.test(sentence)) {
    return refused(`${name} does not accept the key`, instead);
  }
  if (/chainid|deprecated v1/i.test(sentence)) return refused(`${name} does not serve ${chain_name} here`, instead);
  if (/daily/i.test(sentence)) return later(daily_retry_s);
  if (/rate limit|too many/i.test(sentence)) return later(second_retry_s);
  if (/timeout|result window|smaller result/i.test(sentence)) return new Fault("provider_range_too_large", shown);
  return new Fault("provider_unreachable", `${name} answered: ${shown}`);
}

const whole = z
  .string()
  .regex(/^\d{1,15}$/, "is no number")
  .transform(Number);
const address = z
  .string()
  .regex(/^0x[\da-f]{40}$/i, "is no address")
  .transform((text) => getAddress(text));
const hash = z
  .string()
  .regex(/^0x[\da-f]{64}$/i, "is no hash")
  .transform((text) => text.toLowerCase());

/** Symbols, names and `tokenDecimal` are what the contract's maker likes: not read. */
const row = z.object({
  blockNumber: whole,
  timeStamp: whole,
  hash,
  blockHash: hash.nullish().catch(null),
  contractAddress: address,
  from: address,
  to: address,
  value: z
    .string()
    .regex(/^\d{1,78}$/, "is no amount")
    .transform(BigInt),
});

/** The rows of `action=tokentx`, of all contracts and both directions. One that has not its shape refuses all of them. */
export function readTokenRows(result: unknown): IndexRow[] {
  return shaped(z.array(row), result, "transfers").map((one) => ({
    tx_hash: one.hash,
    token: one.contractAddress,
    sender: one.from,
    wallet: one.to,
    units: one.value,
    block: one.blockNumber,
    block_hash: one.blockHash ?? null,
    time: one.timeStamp,
  }));
}

/** The number `action=getblocknobytime` answers. */
export function readBlockNumber(result: unknown): number {
  return shaped(whole, result, "block number");
}
