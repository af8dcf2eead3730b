// Proofs of payment: made once for every paid checkout, from what the database says and nothing else, so that whoever
// paid the order and whenever this runs, the proof is the same. Never signs before the order is paid.

import type { LiveConfig } from "../../config/config.ts";
import { registeredName } from "../../domain/assets.ts";
import { codeOf } from "../../domain/errors.ts";
import { allocatedTo } from "../../storage/allocations.ts";
import type { Database, Tx } from "../../storage/database.ts";
import { owedProofs, sessionById, sessionByTxid, sessionsOf, storeProof } from "../../storage/opencharge-gateway.ts";
import { orderById } from "../../storage/orders.ts";
import { queueProof } from "../../storage/outbox.ts";
import type { TransferRow } from "../../storage/transfers.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { Signed } from "../../wire/opencharge/answers.ts";
import { isRefusal, type Refusal, refuse } from "../../wire/opencharge/errors.ts";
import { type Proof, proofObject } from "../../wire/opencharge/orders.ts";
import { readEnvelope } from "../../wire/opencharge/readers.ts";
import { newNonce, signRequest } from "../../wire/opencharge/request-auth.ts";
import { signObject } from "../../wire/opencharge/signed-objects.ts";
import { parseStrictJson } from "../../wire/opencharge/strict-json.ts";
import type { World } from "../../world.ts";
import { type Crediting, createCrediting } from "../crediting.ts";
import type { OwnIdentities, Part } from "./identity.ts";
import { recipientOf } from "./partners.ts";
import { takeProof } from "./receipts.ts";

const proofs_per_round = 100;
/** Transfers that a proof names one by one. */
const named_transfers_max = 10;

export interface Proofs {
  /** The proof issued under a transaction id. Refusal: TXID_NOT_FOUND. */
  of(txid: string): Signed | Refusal;
  /** Issues every proof that is owed and queues it for its receivers. */
  issueOwed(): Promise<void>;
  /** The headers under which a proof leaves now; null while this appliance is no gateway. Fault: invalid_request. */
  sign(url: string, body: string): Record<string, string> | null;
}

/** Proofs over one database with the live settings. */
export function createProofs(needs: {
  database: Database;
  config: LiveConfig;
  world: World;
  telemetry: Telemetry;
  identities: OwnIdentities;
}): Proofs {
  const { database, world, telemetry, identities } = needs;
  const crediting = createCrediting(needs);
  return {
    of(txid) {
      const row = database.read((at) => sessionByTxid(at, txid));
      const envelope = row === null || row.proof === null ? null : readEnvelope(parseStrictJson(row.proof));
      return envelope === null || isRefusal(envelope) ? refuse("TXID_NOT_FOUND") : envelope;
    },

    async issueOwed() {
      const own = identities.current()?.gateway ?? null;
      if (own === null) return;
      for (const { id, txid, merchant_order } of database.read((at) => owedProofs(at, proofs_per_round))) {
        const about = { issuer: own.ocid, txid, order: merchant_order };
        try {
          const alert = await database.transact((tx) => issue(tx, own, id, crediting));
          if (alert !== null) telemetry.warn(alert, about);
        } catch (error) {
          // It stays owed; the others must not wait for it.
          telemetry.error("proof_not_issued", { ...about, code: codeOf(error) });
        }
      }
    },

    sign(url, body) {
      const own = identities.current()?.gateway ?? null;
      return own === null ? null : signRequest(own, { method: "POST", url, body }, world.now(), newNonce(world));
    },
  };
}

/** What was sent, transfer by transfer. */
function paidIn(transfers: readonly TransferRow[]): string {
  const more = transfers.length - named_transfers_max;
  const named = transfers
    .slice(0, named_transfers_max)
    .map(({ amount, label, chain }) => `${amount} ${label} on ${chain}`);
  return [...named, ...(more > 0 ? [`${more} more`] : [])].join(" + ");
}

/** Makes the proof of a paid session and everything that follows from it. Answers what the operator should hear of. */
function issue(tx: Tx, { ocid, signer, settings }: Part, id: string, crediting: Crediting): string | null {
  const row = sessionById(tx, id);
  const order = row === null ? null : orderById(tx, row.order_id);
  if (row === null || order === null || row.paid_at === null || row.proof !== null) return null;
  const paid = allocatedTo(tx, order.id).filter((transfer) => transfer.reverted_at === null);
  const [first = null] = paid;
  const proof: Proof = {
    txid: row.txid,
    issuer: ocid,
    from: { ocid, reference: first === null ? null : `${registeredName(first.chain)}:${first.tx_hash}` },
    to: { ocid: recipientOf(settings, row.caller, row.merchant), reference: row.merchant_order },
    amount: order.amount,
    currency: row.currency,
    timestamp: Math.floor(row.paid_at / 1000),
    memo: first === null ? null : paidIn(paid),
  };
  const object = proofObject(proof);
  const signature = signObject(signer, object);
  const body = JSON.stringify({ proof: object, signature });

  storeProof(tx, id, body);
  for (const url of JSON.parse(row.notify) as string[]) queueProof(tx, url, body);
  // Others may hold a page for the same order: nobody is to pay it again.
  for (const other of sessionsOf(tx, row.merchant, row.merchant_order)) {
    if (other.order.status === "pending") crediting.end(tx, other.order.id, "cancel");
  }
  if (row.merchant !== settings.merchant_ocid) return null;
  const { public_key } = signer;
  const seen = { sender: ocid, match: { form: "recursive", public_key } } as const;
  return takeProof(tx, crediting, settings, seen, { proof, object, signature }).alert;
}
