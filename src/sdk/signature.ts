// HMAC-SHA256 over bytes, by Web Crypto, so that it runs wherever a shop does. Knows nothing of what is signed, and
// never compares signatures itself: Web Crypto does, in constant time.

const base64_pattern = /^[A-Za-z0-9+/]*={0,2}$/;

/** One secret's signatures, as standard base64. */
export interface Signer {
  /** Signs the parts one after another. */
  sign(...parts: (string | Uint8Array)[]): Promise<string>;
  /** Whether `encoded`, padded or not, is the signature of the parts. */
  verify(encoded: string, ...parts: (string | Uint8Array)[]): Promise<boolean>;
}

/** Signs with the UTF-8 bytes of a secret. Throws a TypeError for an empty one. */
export function createSigner(secret: string): Signer {
  if (typeof secret !== "string" || secret === "") throw new TypeError("the merchant's secret is missing");
  const scheme = { name: "HMAC", hash: "SHA-256" };
  const key = crypto.subtle.importKey("raw", bytesOf(secret), scheme, false, ["sign", "verify"]);
  return {
    async sign(...parts) {
      const mac = await crypto.subtle.sign("HMAC", await key, joined(parts));
      return btoa(String.fromCharCode(...new Uint8Array(mac)));
    },
    async verify(encoded, ...parts) {
      const mac = decodeBase64(encoded);
      return mac !== null && crypto.subtle.verify("HMAC", await key, mac, joined(parts));
    },
  };
}

/** A header's value may only hold bytes: UTF-8, spelled one character per byte. */
export function headerBytes(text: string): string {
  return Array.from(bytesOf(text), (byte) => String.fromCharCode(byte)).join("");
}

/** The bytes of standard base64; null for any other alphabet, wrong padding or stray bits behind the last byte. */
function decodeBase64(encoded: string) {
  if (!base64_pattern.test(encoded) || encoded.replace(/=+$/, "").length % 4 === 1) return null;
  const bare = encoded.replace(/=+$/, "");
  const letters = atob(bare.padEnd(Math.ceil(bare.length / 4) * 4, "="));
  const padded = btoa(letters);
  if (encoded !== padded && encoded !== bare) return null;
  return padded.startsWith(bare) ? Uint8Array.from(letters, (letter) => letter.charCodeAt(0)) : null;
}

function bytesOf(text: string) {
  return new TextEncoder().encode(text);
}

function joined(parts: readonly (string | Uint8Array)[]) {
  const chunks = parts.map((part) => (typeof part === "string" ? bytesOf(part) : part));
  const whole = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
