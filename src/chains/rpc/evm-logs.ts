// The border, in meaning: a node's `eth_getLogs` answer against the question. One log that does not belong refuses
// the whole answer, because a provider that is wrong once in an answer cannot vouch for the rest of it.

import { type Hex, numberToHex, pad } from "viem";
import { z } from "zod";
import { Fault } from "../../domain/errors.ts";
import type { BlockRef } from "../../domain/finality.ts";
import { log, readTransfer, shaped, statedTime, transfer_topic } from "./evm-shapes.ts";

/** A transfer as the log states it; the time of its block is still to be established. */
export interface FoundTransfer {
  token: string;
  sender: string;
  wallet: string;
  units: bigint;
  tx_hash: string;
  log_index: number;
  number: number;
  hash: string;
  stated_time: number | null;
}

export interface EvmLogQuery {
  from: number;
  to: number;
  tokens: readonly string[];
  wallets: readonly string[];
  side: "in" | "out";
}

/** Where a log names the wallets of either side. */
const wallet_topic = { in: 2, out: 1 } as const;

/** The parameter of `eth_getLogs` for transfers of these contracts to these wallets, or from them. */
export function logsFilter({ from, to, tokens, wallets, side }: EvmLogQuery): object {
  const list = wallets.map((wallet) => pad(wallet.toLowerCase() as Hex));
  return {
    fromBlock: numberToHex(from),
    toBlock: numberToHex(to),
    address: tokens,
    topics: side === "in" ? [transfer_topic, null, list] : [transfer_topic, list],
  };
}

export interface EvmLogPart {
  question: EvmLogQuery;
  raw: unknown;
}

/**
 * The transfers in the answers to the parts of one question, by block and log index, and how many of value zero were
 * left out. A log that comes twice, equal in every field, counts once. `known` are headers of the same batch. Throws Fault `provider_malformed` or `provider_inconsistent`.
 */
export function readLogs(parts: readonly EvmLogPart[], known: readonly BlockRef[]) {
  const hashes = new Map(known.map(({ number, hash }) => [number, hash]));
  const blocks = new Map<string, string>();
  const places = new Map<string, string>();
  const found: FoundTransfer[] = [];
  let zero_value = 0;

  for (const { question, raw } of parts) {
    const tokens = new Set(question.tokens.map((token) => token.toLowerCase()));
    const topics = new Set(question.wallets.map((wallet) => pad(wallet.toLowerCase() as Hex)));
    for (const entry of shaped(z.array(log), raw, "logs")) {
      const { blockNumber: number, blockHash: hash, transactionHash: tx_hash, logIndex: log_index } = entry;
      const refuse = (words: string) => new Fault("provider_inconsistent", `log ${log_index} of ${number}: ${words}`);
      if (number < question.from || number > question.to) throw refuse("outside the range that was asked for");
      if (entry.removed === true) throw refuse("marked as removed");
      if (!tokens.has(entry.address)) throw refuse("of a contract that was not asked for");
      const wallet = entry.topics[wallet_topic[question.side]];
      if (wallet !== undefined && !topics.has(wallet)) {
        throw refuse(`${question.side === "in" ? "to" : "from"} a wallet that was not asked for`);
      }
      if ((hashes.get(number) ?? hash) !== hash) throw refuse("its block has another hash elsewhere in the answer");
      if ((blocks.get(tx_hash) ?? hash) !== hash) throw refuse("its transaction stands in two blocks");
      const place = `${number}.${log_index}`;
      const text = JSON.stringify(entry);
      if (places.get(place) === text) continue;
      if (places.has(place)) throw refuse("answered twice, with another content");
      const transfer = readTransfer(entry);
      if (transfer === null) {
        throw new Fault("provider_malformed", `log ${log_index} of ${number} is not shaped like a transfer`);
      }

      hashes.set(number, hash);
      blocks.set(tx_hash, hash);
      places.set(place, text);
      if (transfer.units === 0n) zero_value++;
      else found.push({ ...transfer, tx_hash, log_index, number, hash, stated_time: statedTime(entry) });
    }
  }
  found.sort((a, b) => a.number - b.number || a.log_index - b.log_index);
  return { found, zero_value };
}
