// A proof of payment on its way: what a log line says of it, and what its receiver answers. Never signs one.

import { readWebhookAnswer } from "./answers.ts";
import { isRefusal } from "./errors.ts";
import { readEnvelope } from "./readers.ts";
import { parseStrictJson } from "./strict-json.ts";

/** The transaction id and the order of a proof as it is sent; empty for another text in JSON. */
export function aboutProof(body: string): { txid?: string; order?: string | null } {
  const envelope = readEnvelope(parseStrictJson(body));
  if (isRefusal(envelope)) return {};
  const { txid, to } = envelope.proof;
  return { txid, order: to.reference };
}

/** What a receiver says that took a proof and does not want the money; null for every other answer. */
export function rejectionIn(answer: string): { message: string | null } | null {
  try {
    const read = readWebhookAnswer(parseStrictJson(answer));
    return read?.status === "rejected" ? { message: read.message } : null;
  } catch {
    return null;
  }
}
