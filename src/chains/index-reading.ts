// What adapters share that read a chain through an index: a range narrowed until the index answers it, and the transfers
// that receipts bear out. The index only names transactions.

import type { ChainId } from "../domain/assets.ts";
import { errorCode } from "../domain/errors.ts";
import type { BlockRef } from "../domain/finality.ts";
import type { Receipt, TransferLog } from "../domain/payment.ts";
import type { RangeLimit } from "./rpc/range-limit.ts";
import type { LogPage, LogQuery } from "./source.ts";

/** Calls `readRange` with a range narrowed after each `provider_range_too_large`, at most `tries_max` times. */
export async function readNarrowing(
  question: LogQuery,
  {
    range,
    tries_max,
    readRange,
  }: { range: RangeLimit; tries_max: number; readRange(part: LogQuery): Promise<LogPage> },
): Promise<LogPage> {
  let to = range.reach(question.from, question.to);
  for (let tries = 1; ; tries++) {
    try {
      return await readRange({ ...question, to });
    } catch (error) {
      const too_wide = errorCode(error) === "provider_range_too_large" && tries < tries_max;
      const next = too_wide ? range.narrow(question.from, to, null) : null;
      if (next === null) throw error;
      to = next;
    }
  }
}

/** The transfers of a receipt that a question asks for, of value above zero. */
export function transfersIn(
  { logs, tx_hash }: Pick<Receipt, "logs" | "tx_hash">,
  block: BlockRef,
  { chain, wallets, tokens, side = "in" }: Pick<LogQuery, "wallets" | "tokens" | "side"> & { chain: ChainId },
): TransferLog[] {
  return logs.flatMap(({ log_index, transfer }) => {
    if (transfer === null || transfer.units === 0n || !tokens.includes(transfer.token)) return [];
    if (!wallets.includes(side === "in" ? transfer.wallet : transfer.sender)) return [];
    return [{ chain, ...transfer, tx_hash, log_index, block }];
  });
}

/** True where the receipt holds the transfer that an index names. */
export function isInReceipt(
  { token, sender, wallet, units }: Pick<TransferLog, "token" | "sender" | "wallet" | "units">,
  { logs }: Pick<Receipt, "logs">,
): boolean {
  return logs.some(
    ({ transfer }) =>
      transfer?.token === token && transfer.sender === sender && transfer.wallet === wallet && transfer.units === units,
  );
}

/** Orders transfers as they stand in the chain. */
export function compareByPosition(a: TransferLog, b: TransferLog): number {
  return a.block.number - b.block.number || a.log_index - b.log_index;
}
