// Transaction hashes in their one spelling per chain: as the chain's own explorers show them.

import { type ChainId, chainFacts } from "./assets.ts";

const pattern = /^(?:0x)?([0-9a-f]{64})$/i;

const hash_in_text = /(?<![0-9a-z])(?:0x)?([0-9a-f]{64})(?![0-9a-z])/gi;

/**
 * The one transaction hash in what a payer typed or pasted: with spaces, in capitals, without `0x`, or inside the link of
 * a block explorer. Small letters, `0x` as written; null for none, and for more than one.
 */
export function hashInText(text: string): string | null {
  const found = [...text.matchAll(hash_in_text)];
  const [first] = found;
  const digits = new Set(found.map(([, digits]) => digits?.toLowerCase()));
  return first === undefined || digits.size > 1 ? null : first[0].toLowerCase();
}

/**
 * The canonical form of a transaction's hash on a chain, or null when it is none: small letters, with `0x` on EVM
 * chains and without on Tron. Either spelling is read.
 */
export function canonicalTxHash(chain: ChainId, text: string): string | null {
  const digits = pattern.exec(text)?.[1]?.toLowerCase();
  if (digits === undefined) return null;
  return chainFacts[chain].kind === "tron" ? digits : `0x${digits}`;
}
