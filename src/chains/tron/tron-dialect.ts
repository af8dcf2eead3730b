// How Tron's JSON-RPC differs from that of an EVM node, and a Source that hides it: addresses are 20 bytes on the wire
// and base58 everywhere else, hashes go without 0x. What java-tron leaves out (`safe`, `pending`, bloom filters) needs
// no word here: evm-rpc.ts never relies on it. Times of logs are never believed, see `createTronSource`.

import { getAddress } from "viem";
import { tronAddress, tronBytes } from "../../domain/address.ts";
import type { BlockRef } from "../../domain/finality.ts";
import type { Receipt, ReceiptLog } from "../../domain/payment.ts";
import { createEvmSource, type EvmSourceNeeds } from "../rpc/evm-rpc.ts";
import type { Source } from "../source.ts";

/** A hash as Tron's explorers write it: 64 small hexadecimal digits. */
export function bareHash(hash: string): string {
  return hash.replace(/^0x/i, "").toLowerCase();
}

/**
 * A Source over the JSON-RPC of one Tron node. Published answers of java-tron hold logs with the time of another block,
 * and time decides whom a transfer pays: it is always read from the header. Its nodes keep no state of past blocks.
 */
export function createTronSource(needs: EvmSourceNeeds): Source {
  return inTronNames(createEvmSource({ ...needs, stated_times: false, past_states: false }));
}

/** An EVM node's Source with Tron's names: canonical addresses and bare hashes in every question and answer. */
function inTronNames(source: Source): Source {
  const wire = (address: string) => getAddress(tronBytes(address));
  const blockRef = <Block extends BlockRef | null>(block: Block): Block =>
    block === null ? block : { ...block, hash: bareHash(block.hash) };
  return {
    async identity(tokens) {
      const { chain_id, decimals } = await source.identity(tokens.map(wire));
      return { chain_id, decimals: new Map(tokens.map((token) => [token, decimals.get(wire(token)) ?? null])) };
    },
    async heads(tags) {
      const { latest, safe, finalized } = await source.heads(tags);
      return { latest: blockRef(latest), safe: blockRef(safe), finalized: blockRef(finalized) };
    },
    async read(question, avoid) {
      const { wallets, tokens } = question;
      const answer = await source.read({ ...question, wallets: wallets.map(wire), tokens: tokens.map(wire) }, avoid);
      const transferLogs = answer.transferLogs.map((transferLog) => ({
        ...transferLog,
        ...inBase58(transferLog),
        tx_hash: bareHash(transferLog.tx_hash),
        block: blockRef(transferLog.block),
      }));
      return { ...answer, end: blockRef(answer.end), mark: blockRef(answer.mark), transferLogs };
    },
    async balances(holdings, block, or_later) {
      const asked = holdings.map(({ wallet, token }) => ({ wallet: wire(wallet), token: wire(token) }));
      const balances = await source.balances(asked, block, or_later);
      return { ...balances, block: blockRef(balances.block) };
    },
    blocks: async (numbers) => (await source.blocks(numbers)).map(blockRef),
    receipts: async (hashes) => (await source.receipts(hashes.map((hash) => `0x${bareHash(hash)}`))).map(tronReceipt),
    reports: source.reports,
  };
}

function tronReceipt(receipt: Receipt | null): Receipt | null {
  if (receipt === null) return null;
  const { number, hash } = receipt.block;
  return {
    ...receipt,
    tx_hash: bareHash(receipt.tx_hash),
    block: { number, hash: bareHash(hash) },
    logs: receipt.logs.map(tronLog),
  };
}

/** A log of a receipt with its addresses in base58. */
export function tronLog({ log_index, transfer }: ReceiptLog): ReceiptLog {
  return { log_index, transfer: transfer && { ...transfer, ...inBase58(transfer) } };
}

function inBase58({ token, sender, wallet }: { token: string; sender: string; wallet: string }) {
  return { token: tronAddress(token), sender: tronAddress(sender), wallet: tronAddress(wallet) };
}
