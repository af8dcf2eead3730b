// Transaction hashes in their one spelling per chain: as the chain's own explorers show them.

import { type ChainId, chains } from "./assets.ts";

const pattern = /^(?:0x)?([0-9a-f]{64})$/i;

/**
 * The canonical form of a transaction's hash on a chain, or null when it is none: small letters, with `0x` on EVM
 * chains and without on Tron. Either spelling is read.
 */
export function canonicalTxHash(chain: ChainId, text: string): string | null {
  const digits = pattern.exec(text)?.[1]?.toLowerCase();
  if (digits === undefined) return null;
  return chains[chain].kind === "tron" ? digits : `0x${digits}`;
}
