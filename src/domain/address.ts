// Addresses in their one canonical form: EIP-55 for EVM chains, base58check for Tron. The one user of tronweb,
// which is loaded only when a Tron address is met: it costs 100 ms and 67 MB, and as an ES module it
// sometimes fails to start under Bun.

import { getAddress, isAddress } from "viem";
import { type ChainId, chainFacts } from "./assets.ts";

interface TronAddresses {
  isAddress(text: string): boolean;
  address: { fromHex(hex: string): string; toHex(text: string): string };
}
let tronAddresses: TronAddresses | undefined;

function tron(): TronAddresses {
  tronAddresses ??= (require("tronweb") as { TronWeb: TronAddresses }).TronWeb;
  return tronAddresses;
}

const tron_pattern = /^T[1-9A-HJ-NP-Za-km-z]{33}$/;
/** What Tron puts before the 20 bytes of an address. */
const tron_prefix = "41";
const evm_pattern = /^0x[0-9a-fA-F]{40}$/;

/**
 * The canonical form of an address on a chain, or null when it is none. A mixed-case EVM address must pass its
 * EIP-55 checksum; all-lower and all-upper case carry none and are taken as they are.
 */
export function canonicalAddress(chain: ChainId, text: string): string | null {
  return chainFacts[chain].kind === "tron" ? canonicalTron(text) : canonicalEvm(text);
}

/** The canonical form of an address that is valid on any chain, or null. */
export function canonicalAnywhere(text: string): string | null {
  return canonicalEvm(text) ?? canonicalTron(text);
}

function canonicalTron(text: string): string | null {
  return tron_pattern.test(text) && tron().isAddress(text) ? text : null;
}

function canonicalEvm(text: string): string | null {
  if (!evm_pattern.test(text)) return null;
  const digits = text.slice(2);
  const unmixed = digits === digits.toLowerCase() || digits === digits.toUpperCase();
  if (!unmixed && !isAddress(text, { strict: true })) return null;
  return getAddress(`0x${digits.toLowerCase()}`);
}

/** The checksum-correct spelling of something that looks like an EVM address, for an error message; null otherwise. */
export function correctedChecksum(text: string): string | null {
  return evm_pattern.test(text) ? getAddress(`0x${text.slice(2).toLowerCase()}`) : null;
}

/** Tron's spelling of 20 bytes (`0x` and 40 hexadecimal digits), which is how its JSON-RPC writes an address. */
export function tronAddress(bytes: string): string {
  if (!evm_pattern.test(bytes)) throw new TypeError("20 bytes of an address are 0x and 40 hexadecimal digits");
  return tron().address.fromHex(`${tron_prefix}${bytes.slice(2).toLowerCase()}`);
}

/** The 20 bytes behind a canonical Tron address, as `0x` and small letters. Throws a TypeError when it is none. */
export function tronBytes(address: string): string {
  if (canonicalTron(address) === null) throw new TypeError("no canonical Tron address");
  return `0x${tron().address.toHex(address).slice(tron_prefix.length).toLowerCase()}`;
}
