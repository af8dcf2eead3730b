// Keys and signatures of the network: secp256k1 over one plain SHA-256. Reads every spelling in circulation, writes
// one. A secret key never leaves the signer that was made from it.

import { createHash } from "node:crypto";
import { secp256k1 } from "@noble/curves/secp256k1";
import { publicKeyToAddress } from "viem/utils";
import type { World } from "../../world.ts";

const secret_bytes = 32;
const secret_pattern = /^(?:0x)?([\da-f]{64})$/i;
const public_pattern = /^(?:0x)?(?:([\da-f]{128})|(04[\da-f]{128})|(0[23][\da-f]{64}))$/i;
/** r and s, then perhaps v as a recovery id of 0 or 1, bare or raised by 27. */
const signature_pattern = /^(?:0x)?([\da-f]{128})(?:1b|1c|00|01)?$/i;
const der_pattern = /^(?:0x)?(30(?:[\da-f]{2}){7,72})$/i;
const recovery_offset = 27;

export interface Signer {
  /** 128 hexadecimal digits, lower case. */
  public_key: string;
  /** Signs the UTF-8 bytes of a text: 130 hexadecimal digits r, s, v, lower case, s in its lower half, v 1b or 1c. */
  sign(text: string): string;
}

/** A signer from 64 hexadecimal digits, with or without 0x; null when they are no secret key of the curve. */
export function createSigner(secret: string): Signer | null {
  const digits = secret_pattern.exec(secret.trim())?.[1];
  if (digits === undefined || !secp256k1.utils.isValidPrivateKey(digits)) return null;
  const public_key = hexOf(secp256k1.getPublicKey(digits, false)).slice(2);
  return {
    public_key,
    sign(text) {
      const signature = secp256k1.sign(sha256(text), digits, { lowS: true });
      return signature.toCompactHex() + (recovery_offset + signature.recovery).toString(16);
    },
  };
}

/** A new secret key: 64 hexadecimal digits. */
export function newSecretKey(world: Pick<World, "random">): string {
  for (;;) {
    const digits = hexOf(world.random(secret_bytes));
    if (secp256k1.utils.isValidPrivateKey(digits)) return digits;
  }
}

/**
 * A public key in its one spelling, 128 lower-case hexadecimal digits, from 128, 130 (04..) or 66 (02.., 03..) digits
 * with or without 0x. Null for any other text and for a point that is not on the curve.
 */
export function parsePublicKey(text: string): string | null {
  const [, bare, full, compressed] = public_pattern.exec(text) ?? [];
  const digits = bare === undefined ? (full ?? compressed) : `04${bare}`;
  if (digits === undefined) return null;
  try {
    const point = secp256k1.ProjectivePoint.fromHex(digits.toLowerCase());
    point.assertValidity();
    return hexOf(point.toRawBytes(false)).slice(2);
  } catch {
    return null;
  }
}

/** The Ethereum address of a public key, with its checksum: who would own the identity if it were minted with this key. */
export function addressOf(public_key: string): string {
  return publicKeyToAddress(`0x04${public_key}`);
}

/**
 * r and s as 128 lower-case hexadecimal digits, from 130 or 128 digits with or without 0x, or DER where that is
 * accepted. v is read and forgotten. Null for any other text, for r or s out of range and for s in its upper half,
 * which would be a second signature of the same message.
 */
export function parseSignature(text: string, accept_der = false): string | null {
  const compact = signature_pattern.exec(text)?.[1];
  const der = accept_der && compact === undefined ? der_pattern.exec(text)?.[1] : undefined;
  try {
    const signature =
      compact !== undefined
        ? secp256k1.Signature.fromCompact(compact.toLowerCase())
        : der !== undefined
          ? secp256k1.Signature.fromDER(der.toLowerCase())
          : null;
    if (signature === null) return null;
    signature.assertValidity();
    return signature.hasHighS() ? null : signature.toCompactHex();
  } catch {
    return null;
  }
}

/** Whether `signature` (from `parseSignature`) belongs to a text and a public key (from `parsePublicKey`). */
export function verifyText(text: string, signature: string, public_key: string): boolean {
  return secp256k1.verify(signature, sha256(text), `04${public_key}`, { lowS: true });
}

/** SHA-256 in lower-case hexadecimal digits; a string is hashed as its UTF-8 bytes. */
export function sha256Hex(data: Uint8Array | string): string {
  return sha256(data).toString("hex");
}

function sha256(data: Uint8Array | string): Buffer {
  return createHash("sha256").update(data).digest();
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
