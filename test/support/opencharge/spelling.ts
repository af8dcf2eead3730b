// How a stranger to our code spells, hashes and signs what the network exchanges: written from the protocol's words
// alone, so that a misreading on our side cannot agree with itself. Shares nothing with src/.

import { createHash } from "node:crypto";
import { secp256k1 } from "@noble/curves/secp256k1";
import { keccak256 } from "viem";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Fields = { [key: string]: Json };
export type Dialect = "recursive" | "shallow" | "top_level";

/** How a signature is written, or made wrongly on purpose. */
export type Ink =
  | "specified"
  | "without_v"
  | "prefixed"
  | "upper_case"
  | "wrong_v"
  | "der"
  | "high_s"
  | "hashed_twice"
  | "keccak"
  | "ethereum_message"
  | "garbage";

export const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");

export const newSecret = (): string => Buffer.from(secp256k1.utils.randomPrivateKey()).toString("hex");

/** X and Y, 128 hexadecimal digits. */
export const publicKeyOf = (secret: string): string =>
  Buffer.from(secp256k1.getPublicKey(secret, false)).toString("hex").slice(2);

export const compressedKeyOf = (secret: string): string =>
  Buffer.from(secp256k1.getPublicKey(secret, true)).toString("hex");

/** Keys sorted at all levels, no whitespace. */
export function sortedEverywhere(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(sortedEverywhere).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${sortedEverywhere(inner)}`).join(",")}}`;
}

export function spell(object: Fields, dialect: Dialect): string {
  if (dialect === "recursive") return sortedEverywhere(object);
  const keys = Object.keys(object).sort();
  // Filters the inner keys by the outer names: what several published pages do.
  if (dialect === "shallow") return JSON.stringify(object, keys);
  return JSON.stringify(Object.fromEntries(keys.map((key) => [key, object[key]])));
}

export function sign(text: string, secret: string, ink: Ink = "specified"): string {
  const plain = Buffer.from(sha256(text), "hex");
  const ethereum = `\x19Ethereum Signed Message:\n${Buffer.byteLength(text)}${text}`;
  const digest =
    ink === "hashed_twice"
      ? Buffer.from(sha256(plain), "hex")
      : ink === "keccak"
        ? keccak256(Buffer.from(text), "bytes")
        : ink === "ethereum_message"
          ? keccak256(Buffer.from(ethereum), "bytes")
          : plain;
  const made = secp256k1.sign(digest, secret);
  const compact = made.toCompactHex();
  const v = made.recovery === 0 ? "1b" : "1c";
  const other_v = made.recovery === 0 ? "1c" : "1b";
  switch (ink) {
    case "without_v":
      return compact;
    case "prefixed":
      return `0x${compact}${v}`;
    case "upper_case":
      return (compact + v).toUpperCase();
    case "wrong_v":
      return compact + other_v;
    case "der":
      return made.toDERHex();
    case "high_s": {
      const s = (secp256k1.CURVE.n - made.s).toString(16).padStart(64, "0");
      return compact.slice(0, 64) + s + other_v;
    }
    case "garbage":
      return "a1b2c3d4e5f6";
    default:
      return compact + v;
  }
}

/** Looks at the first 128 digits only and refuses the upper half of s, as the reference library does. */
export function isSignedBy(text: string, signature: string, public_key: string): boolean {
  try {
    return secp256k1.verify(signature.slice(0, 128), Buffer.from(sha256(text), "hex"), `04${public_key}`);
  } catch {
    return false;
  }
}
