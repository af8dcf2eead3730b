// A signed answer: three headers over four lines. It names neither the request nor its path, so it shows who speaks
// and never what it answers.

import { parseSignature, type Signer, sha256Hex, verifyText } from "./keys.ts";

const names = { ocid: "X-OC-ID", timestamp: "X-OC-Timestamp", signature: "X-OC-Signature" } as const;

/** The headers of an answer that leaves now with this status and exactly this body. */
export function signResponse(
  responder: { ocid: number; signer: Signer },
  status: number,
  body: string,
  now_ms: number,
): Record<string, string> {
  const ocid = String(responder.ocid);
  const timestamp = String(Math.floor(now_ms / 1000));
  return {
    [names.ocid]: ocid,
    [names.timestamp]: timestamp,
    [names.signature]: responder.signer.sign(fourLines(ocid, timestamp, status, body)),
  };
}

/**
 * Whether an answer is signed by whom we asked. `absent`: none of the headers, which is allowed. Freshness is not
 * judged: the connection already answers for that.
 */
export function verifyResponse(
  headers: { get(name: string): string | null },
  answer: { status: number; body: Uint8Array | string },
  expected: { ocid: number; keys: readonly string[] },
): "absent" | "valid" | "invalid" {
  const [ocid, timestamp, signature] = Object.values(names).map((name) => headers.get(name));
  if (ocid == null && timestamp == null && signature == null) return "absent";
  if (ocid !== String(expected.ocid) || timestamp == null || signature == null) return "invalid";
  const parsed = parseSignature(signature);
  if (parsed === null || !/^\d{1,12}$/.test(timestamp)) return "invalid";
  const text = fourLines(ocid, timestamp, answer.status, answer.body);
  return expected.keys.some((key) => verifyText(text, parsed, key)) ? "valid" : "invalid";
}

function fourLines(ocid: string, timestamp: string, status: number, body: Uint8Array | string): string {
  return [ocid, timestamp, String(status), sha256Hex(body)].join("\n");
}
