// Receipts that were read a moment ago: each poll reads the last blocks again, and a service that counts requests
// should not be asked for the same one each time. A receipt is used again only while its block is the same one.

import type { Receipt } from "../../domain/payment.ts";

const receipts_kept_max = 500;

export interface ReceiptCache {
  /** The receipt of a row, if it is known for the very block the row names; a row that names none has none. */
  find(row: { tx_hash: string; block_hash: string | null }): Receipt | null;
  keep(receipt: Receipt): void;
}

/** An empty shelf; the receipts longest on it make room. */
export function createReceiptCache(): ReceiptCache {
  const kept = new Map<string, Receipt>();
  return {
    find({ tx_hash, block_hash }) {
      const receipt = kept.get(tx_hash);
      return receipt !== undefined && receipt.block.hash === block_hash ? receipt : null;
    },
    keep(receipt) {
      kept.delete(receipt.tx_hash);
      kept.set(receipt.tx_hash, receipt);
      for (const oldest of kept.keys()) {
        if (kept.size <= receipts_kept_max) break;
        kept.delete(oldest);
      }
    },
  };
}
