// Payments to our own merchant from wallets of others: a settlement provider takes the money and proves it to us, and we
// prove it to the merchant in our own name. One foreign proof settles one payment, however often and by whatever way it
// comes.

import type { LiveConfig } from "../../config/config.ts";
import type { LogCode } from "../../log-codes.ts";
import type { Crediting } from "../../services/crediting.ts";
import type { Database, Reader, Tx } from "../../storage/engine/database.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import type { OpenchargeSettings } from "../config/settings.ts";
import { insertProof, type ProofRow, proofOf, type SignedOrderRow, signedOrder } from "../storage/merchant.ts";
import { insertPayment, isSpentOnPayment, type PaymentRow, paymentByTxid, settlePayment } from "../storage/payments.ts";
import type { PendingPayment, SignedObject } from "../wire/answers.ts";
import { checkMerchant, checkRecipient } from "../wire/audience.ts";
import { canonicalJson } from "../wire/canonical.ts";
import { isRefusal, type NetworkRefusal, networkRefusal, refuseFields, refuseSubmitted } from "../wire/errors.ts";
import { sha256Hex } from "../wire/keys.ts";
import { type Proof, proofObject } from "../wire/orders.ts";
import { type Envelope, type PaymentCreate, type PaymentSettle, readEnvelope } from "../wire/readers.ts";
import { signObject } from "../wire/signed-objects.ts";
import { parseStrictJson } from "../wire/strict-json.ts";
import type { SignedCaller } from "./access.ts";
import type { LocalIdentity, LocalIdentitySource } from "./identity.ts";
import type { Issuers } from "./issuers.ts";
import type { NetworkLimits } from "./limits.ts";
import { checkPayable, merchantOf } from "./order-checks.ts";
import {
  checkMoney,
  isSameAmount,
  type ProofReceipt,
  type ProofSource,
  proofRow,
  takeProof,
  withinDailyShare,
} from "./receipts.ts";

const default_lifetime_s = 3600;
const lifetime_max_s = 24 * 60 * 60;
/** A proof may be this far ahead of our clock. */
const proof_ahead_max_s = 300;
const txid_random_bytes = 16;
/** What `settle` refuses and keeps all the same, and what the operator hears of it. */
const kept = { PAYMENT_EXPIRED: "proof_late", INVALID_STATE: "proof_duplicate" } as const;

/** What is known of a payment under our transaction id. */
export interface PaymentState {
  pending: PendingPayment;
  is_expired: boolean;
  /** The proof we issued for it; null until it is settled. */
  proof: SignedObject | null;
}

export interface Payments {
  /**
   * Opens a payment to our merchant; `accepts` are the issuers whose proofs settle it. Refusals:
   * CAPABILITY_NOT_SUPPORTED, MERCHANT_NOT_REGISTERED, SETTLEMENT_NOT_SUPPORTED, PAYMENT_EXPIRED, ORDER_NOT_FOUND,
   * AMOUNT_MISMATCH, CURRENCY_MISMATCH.
   */
  create(
    caller: SignedCaller,
    wanted: PaymentCreate,
  ): Promise<{ payment: PendingPayment; accepts: number[] } | NetworkRefusal>;
  /**
   * Settles a payment with an issuer's proof and answers ours; the same proof again gets the same answer. A proof that
   * holds and comes too late, or second, is kept for the operator. Refusals: PAYMENT_NOT_FOUND, PAYMENT_EXPIRED, INVALID_STATE, ISSUER_NOT_ACCEPTED, PROOF_SIGNATURE_INVALID, INVALID_PROOF,
   * AMOUNT_MISMATCH, CURRENCY_MISMATCH, METADATA_UNAVAILABLE.
   */
  settle(caller: SignedCaller, wanted: PaymentSettle): Promise<SignedObject | NetworkRefusal>;
  /** A payment by our transaction id, or null. */
  state(txid: string): PaymentState | null;
  /**
   * Takes a proof that its issuer delivers for a payment; null for one that is the merchant's business. Refusals: those
   * of `settle`, but for proofs that are kept: delivered again, they could not do more.
   */
  receive(caller: SignedCaller, envelope: Envelope): Promise<ProofReceipt | NetworkRefusal | null>;
}

interface Settled {
  answer: SignedObject | NetworkRefusal;
  /** What the operator should hear of. */
  alert: LogCode<"warn"> | null;
}

interface Us {
  settings: OpenchargeSettings;
  ocids: ReadonlySet<number>;
  /** Who is paid. */
  merchant: number;
  /** Who proves it. */
  gateway: LocalIdentity;
}

/** Payments over one database with the live settings. They need both OCIDs: one to be paid, one to prove it. */
export function createPayments(needs: {
  database: Database;
  crediting: Crediting;
  world: World;
  telemetry: Telemetry;
  identities: LocalIdentitySource;
  issuers: Issuers;
  config: LiveConfig;
  limits: Pick<NetworkLimits, "proofRoom" | "proofKept">;
}): Payments {
  const { database, crediting, world, telemetry, identities, issuers } = needs;

  const seconds = () => Math.floor(world.now() / 1000);

  function us(): Us | null {
    const own = identities.current();
    if (own === null || own.merchant === null || own.gateway === null) return null;
    return { settings: own.settings, ocids: own.ocids, merchant: own.merchant.ocid, gateway: own.gateway };
  }

  const issuersOf = ({ settings, ocids }: Us) =>
    settings.accepts.filter((ocid) => !ocids.has(ocid) && !settings.blocked.includes(ocid));

  function settleIn(tx: Tx, own: Us, wanted: PaymentSettle, seen: ProofSource): Settled {
    const { settings, gateway } = own;
    const { txid, proof, object, signature } = wanted;
    const row = paymentByTxid(tx, txid);
    if (row === null) return { answer: networkRefusal("PAYMENT_NOT_FOUND"), alert: null };
    if (row.proof !== null && isSettledBy(row, object)) return { answer: signedIn(row.proof), alert: null };
    const spent = checkUnspent(tx, row, wanted);
    if (spent !== null) return { answer: spent, alert: "proof_txid_reused" };
    const refused = checkTerms(proof, row, own, seconds());
    if (refused !== null) return { answer: refused, alert: null };
    const differs = checkMoney(settings, proof, row);
    if (differs !== null) return differs;
    if (row.proof !== null) return unused(tx, row, wanted, seen, "INVALID_STATE");
    if (row.expires_at < tx.now) return unused(tx, row, wanted, seen, "PAYMENT_EXPIRED");

    const own_proof: Proof = {
      txid,
      issuer: gateway.ocid,
      from: proof.from,
      to: { ocid: row.merchant, reference: row.reference },
      amount: row.amount,
      currency: row.currency,
      timestamp: Math.floor(tx.now / 1000),
      memo: `settled by ${proof.txid} of OCID ${proof.issuer}`,
    };
    const made = proofObject(own_proof);
    const answer = { object: made, signature: signObject(gateway.signer, made) };
    const body = JSON.stringify({ proof: answer.object, signature: answer.signature });
    const envelope = JSON.stringify({ proof: object, signature });
    settlePayment(tx, txid, { issuer: proof.issuer, txid: proof.txid, envelope, proof: body });
    const { public_key } = gateway.signer;
    const by_us = { sender: gateway.ocid, match: { form: "recursive", public_key } } as const;
    const { alert } = takeProof(tx, crediting, settings, by_us, { ...answer, proof: own_proof }, orderPaidBy(tx, row));
    return { answer, alert };
  }

  async function settle(
    caller: SignedCaller,
    wanted: PaymentSettle,
    by: "anybody" | "issuer",
  ): Promise<SignedObject | NetworkRefusal> {
    const own = us();
    if (own === null) return networkRefusal("CAPABILITY_NOT_SUPPORTED");
    const { proof, txid } = wanted;
    const row = database.read((at) => paymentByTxid(at, txid));
    if (row === null) return networkRefusal("PAYMENT_NOT_FOUND");
    // What it settled stays settled, whatever became of its issuer and its key.
    if (row.proof !== null && isSettledBy(row, wanted.object)) return signedIn(row.proof);
    const accepted = issuersOf(own);
    if (!accepted.includes(proof.issuer)) {
      const details = { providedIssuer: proof.issuer, acceptedIssuers: accepted };
      return networkRefusal("ISSUER_NOT_ACCEPTED", { details });
    }
    if (by === "issuer" && caller.ocid !== proof.issuer) {
      return networkRefusal("INVALID_PROOF", { message: "the proof of a payment is delivered by its issuer alone" });
    }
    const match = await issuers.verify(caller, wanted);
    if (isRefusal(match)) return match;
    const about = { issuer: proof.issuer, txid: proof.txid, payment: txid, order: row.reference };
    const settled = await withinDailyShare(needs, wanted, () =>
      database.transact((tx) => settleIn(tx, own, wanted, { sender: caller.ocid, match })),
    );
    const { answer, alert } = isRefusal(settled) ? { answer: settled, alert: "proof_put_off" as const } : settled;
    if (alert !== null) telemetry.warn(alert, about);
    return answer;
  }

  /** The payment that a proof for our gateway means. */
  function namedBy({ to: { ocid, reference } }: Proof): string | null {
    if (reference === null || ocid !== us()?.gateway.ocid) return null;
    return database.read((at) => paymentByTxid(at, reference))?.txid ?? null;
  }

  return {
    async create(caller, wanted) {
      const own = us();
      if (own === null) return networkRefusal("CAPABILITY_NOT_SUPPORTED");
      const { currencies } = own.settings;
      if (checkMerchant("to", wanted.to, new Set([own.merchant])) !== null)
        return refuseSubmitted("MERCHANT_NOT_REGISTERED");
      if (!currencies.includes(wanted.currency))
        return networkRefusal("SETTLEMENT_NOT_SUPPORTED", { details: { currencies } });
      const now_s = seconds();
      const expires_s = Math.min(wanted.expires_at ?? now_s + default_lifetime_s, now_s + lifetime_max_s);
      if (expires_s <= now_s) return networkRefusal("PAYMENT_EXPIRED");
      const txid = `oc_${Buffer.from(world.random(txid_random_bytes)).toString("base64url")}`;
      const row = await database.transact((tx) => {
        const { amount, currency } = wanted;
        const reference = wanted.order?.id ?? wanted.reference;
        const is_order = wanted.order !== null || (reference !== null && signedOrder(tx, reference) !== null);
        const mismatch = is_order ? checkOrder(tx, String(reference), wanted) : null;
        if (mismatch !== null) return mismatch;
        const terms = { txid, caller: caller.ocid, merchant: wanted.to, reference, amount, currency };
        return insertPayment(tx, { ...terms, expires_at: expires_s * 1000 });
      });
      return isRefusal(row) ? row : { payment: pendingOf(row), accepts: issuersOf(own) };
    },

    settle: (caller, wanted) => settle(caller, wanted, "anybody"),

    async receive(caller, envelope) {
      const payment = namedBy(envelope.proof);
      if (payment === null) return null;
      const { txid } = envelope.proof;
      const settled = await settle(caller, { ...envelope, txid: payment }, "issuer");
      if (!isRefusal(settled)) return { status: "accepted", txid, message: null };
      if (!(settled.refused in kept)) return settled;
      return { status: "rejected", txid, message: `${settled.message}; the proof is kept for review` };
    },

    state(txid) {
      const row = database.read((at) => paymentByTxid(at, txid));
      if (row === null) return null;
      const proof = row.proof === null ? null : signedIn(row.proof);
      return { pending: pendingOf(row), is_expired: row.expires_at < world.now(), proof };
    },
  };
}

/** Null for what an order of ours asks for, and still waits for. */
function checkOrder(tx: Tx, id: string, { amount, currency }: PaymentCreate): NetworkRefusal | null {
  const order = signedOrder(tx, id);
  if (order === null) return refuseSubmitted("ORDER_NOT_FOUND");
  const over = checkPayable(tx, order, tx.now);
  if (over !== null) return over;
  if (!isSameAmount(amount, order.amount))
    return networkRefusal("AMOUNT_MISMATCH", { details: { expected: order.amount } });
  if (currency !== order.currency)
    return networkRefusal("CURRENCY_MISMATCH", { details: { expected: order.currency } });
  return null;
}

/** The order that a payment was opened for; null for none. A reference that others gave their orders names no order here. */
function orderPaidBy(at: Reader, { merchant, reference, amount, currency }: PaymentRow): SignedOrderRow | null {
  const order = reference === null ? null : signedOrder(at, reference);
  if (order === null || merchantOf(order) !== merchant || order.currency !== currency) return null;
  return isSameAmount(order.amount, amount) ? order : null;
}

/** Null for a proof that names this payment, and us. */
function checkTerms(proof: Proof, row: PaymentRow, { gateway }: Us, now_s: number): NetworkRefusal | null {
  const elsewhere = checkRecipient(proof, new Set([gateway.ocid]));
  if (elsewhere !== null) return elsewhere;
  if (proof.to.reference !== row.txid) {
    return refuseFields([{ path: "proof.to.reference", message: "is not this payment" }], "INVALID_PROOF");
  }
  if (proof.timestamp > now_s + proof_ahead_max_s) {
    return networkRefusal("INVALID_PROOF", { message: "the proof's time lies ahead" });
  }
  return null;
}

function pendingOf({ txid, amount, currency, created_at, expires_at }: PaymentRow): PendingPayment {
  const [created_s, expires_s] = [Math.floor(created_at / 1000), Math.floor(expires_at / 1000)];
  return { txid, amount, currency, created_at: created_s, expires_at: expires_s };
}

/** Our own envelope as it was stored. */
function signedIn(stored: string): SignedObject {
  const envelope = readEnvelope(parseStrictJson(stored));
  if (isRefusal(envelope)) throw new Error("a stored proof is unreadable");
  return envelope;
}

/** A proof that holds and does not settle its payment: the provider has the money, and a person must look, once. */
function unused(tx: Tx, row: PaymentRow, envelope: Envelope, seen: ProofSource, code: keyof typeof kept): Settled {
  const { issuer, txid } = envelope.proof;
  const is_new = proofOf(tx, issuer, txid) === null;
  if (is_new) {
    const about = { outcome: "unmatched", oc_order: null, oc_payment: row.txid, sender: seen.sender } as const;
    insertProof(tx, { ...proofRow(envelope, seen.match), ...about });
  }
  return { answer: networkRefusal(code), alert: is_new ? kept[code] : null };
}

/** Null for a proof that was used for nothing but this payment. Refusal: INVALID_PROOF. */
function checkUnspent(tx: Tx, row: PaymentRow, { proof, object }: Envelope): NetworkRefusal | null {
  if (isSpentOnPayment(tx, proof.issuer, proof.txid)) {
    return networkRefusal("INVALID_PROOF", { message: "the proof has settled another payment" });
  }
  const earlier = proofOf(tx, proof.issuer, proof.txid);
  if (earlier === null || isKeptFor(row, earlier, object)) return null;
  return networkRefusal("INVALID_PROOF", { message: "the proof was delivered for something else" });
}

function isKeptFor({ txid }: PaymentRow, { oc_payment, proof_hash }: ProofRow, object: Envelope["object"]): boolean {
  return oc_payment === txid && proof_hash === sha256Hex(canonicalJson(object));
}

function isSettledBy(row: PaymentRow, object: Envelope["object"]): boolean {
  return row.settled_by !== null && canonicalJson(signedIn(row.settled_by).object) === canonicalJson(object);
}
