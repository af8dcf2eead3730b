// Proofs that an order of our merchant was paid, once they have verified: each is kept, and one of them pays, through
// the ledger. Never judges a signature.

import { toUnits } from "../../domain/money.ts";
import type { LogCode } from "../../log-codes.ts";
import type { Crediting } from "../../services/crediting.ts";
import type { Database, Reader, Tx } from "../../storage/engine/database.ts";
import { orderById } from "../../storage/orders.ts";
import { recordAudit } from "../../storage/outbox.ts";
import type { OpenchargeSettings } from "../config/settings.ts";
import { proofWords } from "../domain/proof.ts";
import {
  insertProof,
  type ProofRow,
  proofOf,
  type SignedOrderRow,
  signedOrder,
  signedOrderByReference,
} from "../storage/merchant.ts";
import { isSpentOnPayment, keptProofs } from "../storage/payments.ts";
import { canonicalJson } from "../wire/canonical.ts";
import { type NetworkRefusal, networkRefusal } from "../wire/errors.ts";
import { sha256Hex } from "../wire/keys.ts";
import type { Proof } from "../wire/orders.ts";
import type { Envelope } from "../wire/readers.ts";
import type { ObjectMatch } from "../wire/signed-objects.ts";
import type { NetworkLimits } from "./limits.ts";
import { isSameCurrency } from "./partners.ts";

/** Amounts have no more. */
const amount_decimals = 18;

/** What a receiver of a proof says. */
export interface ProofReceipt {
  status: "accepted" | "rejected";
  txid: string;
  message: string | null;
}

/** The order a proof pays: by its id, else by a reference that only one has. */
export function orderNamedBy(at: Reader, { to }: Proof): SignedOrderRow | null {
  if (to.reference === null) return null;
  return signedOrder(at, to.reference) ?? signedOrderByReference(at, to.reference);
}

/** Who brought a proof, and the form and key it held under. */
export interface ProofSource {
  sender: number;
  match: Pick<ObjectMatch, "form" | "public_key">;
}

interface Settled {
  answer: ProofReceipt | NetworkRefusal;
  /** What the operator should hear of. */
  alert: LogCode<"warn"> | null;
}

/** Whether two decimal texts are one amount. */
export function isSameAmount(one: string, other: string): boolean {
  return toUnits(one, amount_decimals) === toUnits(other, amount_decimals);
}

/**
 * Null for a proof of exactly this money, in its currency or one that counts as it by agreement with the issuer.
 * Refusals, each with what the operator should hear of it: AMOUNT_MISMATCH, CURRENCY_MISMATCH.
 */
export function checkMoney(
  settings: OpenchargeSettings,
  { issuer, amount, currency }: Proof,
  asked: { amount: string; currency: string },
): { answer: NetworkRefusal; alert: LogCode<"warn"> } | null {
  if (!isSameAmount(amount, asked.amount)) {
    const details = { expected: asked.amount };
    return { answer: networkRefusal("AMOUNT_MISMATCH", { details }), alert: "proof_amount_differs" };
  }
  if (isSameCurrency(settings, issuer, currency, asked.currency)) return null;
  const details = { expected: asked.currency };
  return { answer: networkRefusal("CURRENCY_MISMATCH", { details }), alert: "proof_currency_differs" };
}

/**
 * Everything that a verified proof changes for the order it means; null: for none. Checks come first; behind the blank
 * line nothing is refused. Refusals: INVALID_PROOF, AMOUNT_MISMATCH, CURRENCY_MISMATCH.
 */
export function takeProof(
  tx: Tx,
  crediting: Crediting,
  settings: OpenchargeSettings,
  { sender, match }: ProofSource,
  envelope: Envelope,
  row: SignedOrderRow | null,
): Settled {
  const { proof } = envelope;
  const { issuer, txid } = proof;
  const receipt = earlierReceipt(tx, envelope);
  if (receipt !== null) return { answer: receipt, alert: null };
  if (proofOf(tx, issuer, txid) !== null) {
    const message = "the issuer has proved another payment under this txid";
    return { answer: networkRefusal("INVALID_PROOF", { message }), alert: "proof_txid_reused" };
  }
  if (isSpentOnPayment(tx, issuer, txid)) {
    return {
      answer: networkRefusal("INVALID_PROOF", { message: "the proof has settled a payment" }),
      alert: "proof_txid_reused",
    };
  }
  const differs = row === null ? null : checkMoney(settings, proof, row);
  if (differs !== null) return differs;

  const outcome: ProofRow["outcome"] = row === null ? "unmatched" : payWith(tx, crediting, row, proof);
  const kept = { ...proofRow(envelope, match), outcome, oc_order: row?.id ?? null, oc_payment: null, sender };
  insertProof(tx, kept);
  const is_early = row !== null && proof.timestamp < row.created_s;
  if (outcome === "paid") return { answer: receiptOf(kept), alert: is_early ? "proof_older_than_order" : null };
  return { answer: receiptOf(kept), alert: outcome === "duplicate" ? "proof_duplicate" : "proof_unmatched" };
}

/** The receipt of a proof that was taken in before, to the byte; null for one that is new. */
export function earlierReceipt(at: Reader, { proof, object }: Envelope): ProofReceipt | null {
  const earlier = proofOf(at, proof.issuer, proof.txid);
  return earlier !== null && earlier.proof_hash === sha256Hex(canonicalJson(object)) ? receiptOf(earlier) : null;
}

/**
 * Runs `take`, which may keep a proof, unless it is new and its issuer has filled its share of the day. Counts only what
 * was kept: a proof that is replayed or refused uses up nobody's share. Refusal: RATE_LIMITED.
 */
export async function withinDailyShare<Result>(
  { database, limits }: { database: Database; limits: Pick<NetworkLimits, "proofRoom" | "proofKept"> },
  { proof: { issuer, txid }, object, signature }: Pick<Envelope, "proof" | "object" | "signature">,
  take: () => Promise<Result>,
): Promise<Result | NetworkRefusal> {
  const isKept = () => database.read((at) => proofOf(at, issuer, txid) !== null || isSpentOnPayment(at, issuer, txid));
  if (isKept()) return take();
  const full = limits.proofRoom(issuer, (since) => database.read((at) => keptProofs(at, issuer, since)));
  if (full !== null) return full;
  const taken = await take();
  const bytes = Buffer.byteLength(JSON.stringify(object)) + Buffer.byteLength(signature);
  if (isKept()) limits.proofKept(issuer, bytes);
  return taken;
}

/** What is kept of a proof, whatever becomes of it. */
export function proofRow(
  { proof, object, signature }: Envelope,
  { form, public_key }: ProofSource["match"],
): Pick<ProofRow, "issuer" | "txid" | "proof_hash" | "form" | "public_key" | "object" | "signature" | "proved_s"> {
  const { issuer, txid, timestamp: proved_s } = proof;
  const proof_hash = sha256Hex(canonicalJson(object));
  return { issuer, txid, proof_hash, form, public_key, object: JSON.stringify(object), signature, proved_s };
}

/** A proof pays a pending order as a transfer would, and an expired one still; money for others is the operator's to return. */
function payWith(tx: Tx, crediting: Crediting, row: SignedOrderRow, { issuer, txid }: Proof): "paid" | "duplicate" {
  const status = orderById(tx, row.order_id)?.status;
  if (status === "pending") crediting.end(tx, row.order_id, "pay");
  else if (status === "expired") {
    crediting.end(tx, row.order_id, "mark_paid");
    const detail = `proof ${txid} of OCID ${issuer} came after the order had expired`;
    recordAudit(tx, { actor: "opencharge", action: "mark_paid", subject: `order:${row.order_id}`, detail });
  } else return "duplicate";
  return "paid";
}

function receiptOf({ outcome, txid, oc_payment }: Pick<ProofRow, "outcome" | "txid" | "oc_payment">): ProofReceipt {
  const is_late = oc_payment !== null;
  if (outcome === "paid") return { status: "accepted", txid, message: null };
  const message = `${proofWords(outcome, is_late)}; kept for review`;
  return { status: outcome === "duplicate" || is_late ? "rejected" : "accepted", txid, message };
}
