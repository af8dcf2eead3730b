// The `Ocrch-Signature` header: taken apart, checked and made. Compares over the bytes that were received, in constant
// time; never decodes a body, never decides what a failed check is called.

import { createHmac, timingSafeEqual } from "node:crypto";

const timestamp_pattern = /^\d{1,12}$/;
const base64_pattern = /^[A-Za-z0-9+/]*={0,2}$/;
const highest_byte = 0xff;

/**
 * The bytes of a header value read as UTF-8, or null when they are none. Bun hands header bytes over as Latin-1, one
 * character each.
 */
export function headerText(value: string): string | null {
  const codes = Array.from(value, (letter) => letter.charCodeAt(0));
  if (codes.some((code) => code > highest_byte)) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(codes));
  } catch {
    return null;
  }
}

/** Splits `{timestamp}.{base64}` at the first dot; null when the left part is not 1 to 12 digits. */
export function parseSignatureHeader(header: string): { timestamp: string; encoded: string } | null {
  const dot = header.indexOf(".");
  const timestamp = header.slice(0, Math.max(dot, 0));
  return timestamp_pattern.test(timestamp) ? { timestamp, encoded: header.slice(dot + 1) } : null;
}

/**
 * The bytes of standard base64, padded or not; null for the URL-safe alphabet, wrong padding, stray bits behind the
 * last byte and anything else. Any number of bytes decodes: a wrong length is a mismatch, not an encoding error.
 */
export function decodeSignature(encoded: string): Uint8Array | null {
  if (!base64_pattern.test(encoded)) return null;
  const bytes = Buffer.from(encoded, "base64");
  const padded = bytes.toString("base64");
  return encoded === padded || encoded === unpadded(padded) ? bytes : null;
}

/** Whether `signature` belongs to these raw bytes. `timestamp` are the digits as sent. */
export function verifyBody(secret: string, timestamp: string, raw_body: Uint8Array, signature: Uint8Array): boolean {
  return isSame(bodyMac(secret, timestamp, raw_body), signature);
}

/** Whether `signature` belongs to this URL, spelled exactly as it was signed. */
export function verifyUrl(secret: string, url: string, timestamp: string, signature: Uint8Array): boolean {
  return isSame(urlMac(secret, url, timestamp), signature);
}

/** Whether a timestamp (digits, seconds) is at most `window_ms` before or after now. */
export function isFresh(timestamp: string, now_ms: number, window_ms: number): boolean {
  return Math.abs(now_ms - Number(timestamp) * 1000) <= window_ms;
}

/** The header value for a body that leaves now; a string is signed as its UTF-8 bytes. */
export function signBody(secret: string, body: Uint8Array | string, now_ms: number, padded: boolean): string {
  const timestamp = secondsText(now_ms);
  return headerValue(timestamp, bodyMac(secret, timestamp, body), padded);
}

function bodyMac(secret: string, timestamp: string, body: Uint8Array | string): Buffer {
  return createHmac("sha256", secret).update(`${timestamp}.`).update(body).digest();
}

function urlMac(secret: string, url: string, timestamp: string): Buffer {
  return createHmac("sha256", secret).update(`${url}.${timestamp}`).digest();
}

function isSame(expected: Uint8Array, received: Uint8Array): boolean {
  return expected.length === received.length && timingSafeEqual(expected, received);
}

function headerValue(timestamp: string, mac: Buffer, padded: boolean): string {
  const encoded = mac.toString("base64");
  return `${timestamp}.${padded ? encoded : unpadded(encoded)}`;
}

function unpadded(encoded: string): string {
  return encoded.replace(/=+$/, "");
}

function secondsText(now_ms: number): string {
  return Math.floor(now_ms / 1000).toString();
}
