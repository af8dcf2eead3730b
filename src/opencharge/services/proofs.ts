// Proofs of payment: made once for every paid checkout, from what the database says and nothing else, so that whoever
// paid the order and whenever this runs, the proof is the same. Never signs before the order is paid.

import type { LiveConfig } from "../../config/config.ts";
import { registeredName } from "../../domain/assets.ts";
import { errorCode } from "../../domain/errors.ts";
import type { LogCode } from "../../log-codes.ts";
import type { Crediting } from "../../services/crediting.ts";
import { allocatedTo } from "../../storage/allocations.ts";
import type { Database, Reader, Tx } from "../../storage/engine/database.ts";
import type { ProofSigner } from "../../storage/hooks.ts";
import { orderById } from "../../storage/orders.ts";
import type { TransferRow } from "../../storage/transfers.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import {
  type OwedProofCursor,
  owedProofs,
  pendingSessions,
  queueProofOf,
  type SessionRow,
  sessionById,
  sessionByTxid,
  storeProof,
} from "../storage/gateway.ts";
import { signedOrder } from "../storage/merchant.ts";
import type { SignedObject } from "../wire/answers.ts";
import { isRefusal, type NetworkRefusal, networkRefusal } from "../wire/errors.ts";
import { type Proof, proofObject } from "../wire/orders.ts";
import { aboutProof, rejectionIn } from "../wire/proof-delivery.ts";
import { readEnvelope } from "../wire/readers.ts";
import { newNonce, signRequest } from "../wire/request-auth.ts";
import { signObject } from "../wire/signed-objects.ts";
import { parseStrictJson } from "../wire/strict-json.ts";
import type { LocalIdentity, LocalIdentitySource } from "./identity.ts";
import { merchantOf } from "./order-checks.ts";
import { recipientOf } from "./partners.ts";
import { takeProof } from "./receipts.ts";

const proofs_per_page = 100;
/** What is behind them waits for the next round. */
const pages_per_round = 10;
/** Transfers that a proof names one by one. */
const named_transfers_max = 10;

/** As a signer: a proof waits while we do not answer to its issuer's OCID. */
export interface Proofs extends ProofSigner {
  /** The proof issued under a transaction id. Refusal: TXID_NOT_FOUND. */
  of(txid: string): SignedObject | NetworkRefusal;
  /** Issues every proof that is owed and queues it for its receivers. */
  issueOwed(): Promise<void>;
}

/** Proofs over one database with the live settings. */
export function createProofs(needs: {
  database: Database;
  crediting: Crediting;
  config: LiveConfig;
  world: World;
  telemetry: Telemetry;
  identities: LocalIdentitySource;
}): Proofs {
  const { database, crediting, world, telemetry, identities } = needs;
  /** Sessions whose proof has to wait, and was told to. */
  const told = new Set<string>();
  /** Where the next round begins, so that many that wait hide none behind them. */
  let after: OwedProofCursor = null;

  /** Null once the proof is issued, else why it is not: it stays owed, and the others do not wait for it. */
  async function issueOne(own: LocalIdentity, row: SessionRow): Promise<string | null> {
    try {
      // Looked at before anything is begun: whatever waits is looked at again and again.
      const reason = database.read((at) => reasonToWait(at, own, row, crediting));
      if (reason !== null) return reason;
      const { alert, problem } = await database.transact((tx) => issue(tx, own, row.id, crediting));
      if (alert !== null) telemetry.warn(alert, { issuer: own.ocid, txid: row.txid, order: row.merchant_order });
      return problem;
    } catch (error) {
      return errorCode(error);
    }
  }

  async function issueOrTell(own: LocalIdentity, row: SessionRow): Promise<void> {
    const reason = await issueOne(own, row);
    if (reason === null) told.delete(row.id);
    else if (!told.has(row.id)) {
      // Once: it stays as it is until somebody does something about it.
      told.add(row.id);
      telemetry.error("proof_not_issued", { issuer: own.ocid, txid: row.txid, order: row.merchant_order, reason });
    }
  }

  return {
    of(txid) {
      const row = database.read((at) => sessionByTxid(at, txid));
      const envelope = row === null || row.proof === null ? null : readEnvelope(parseStrictJson(row.proof));
      return envelope === null || isRefusal(envelope) ? networkRefusal("TXID_NOT_FOUND") : envelope;
    },

    async issueOwed() {
      const own = identities.current()?.gateway ?? null;
      if (own === null) return;
      for (let page = 0; page < pages_per_round; page++) {
        const owed: readonly SessionRow[] = database.read((at) => owedProofs(at, after, proofs_per_page));
        for (const row of owed) await issueOrTell(own, row);
        const last = owed.at(-1);
        after = last?.paid_at && owed.length === proofs_per_page ? { paid_at: last.paid_at, id: last.id } : null;
        if (after === null) break;
      }
    },

    sign(url, body) {
      const own = identities.current()?.gateway ?? null;
      if (own === null || issuerIn(body) !== own.ocid) return null;
      return signRequest(own, { method: "POST", url, body }, world.now(), newNonce(world));
    },

    about: aboutProof,
    rejectionIn,
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

/** The issuer of a proof as it is sent. */
function issuerIn(body: string): number | null {
  const envelope = readEnvelope(parseStrictJson(body));
  return isRefusal(envelope) ? null : envelope.proof.issuer;
}

/** Why a paid session is not to be proved now; null where nothing speaks against it. */
function reasonToWait(
  at: Reader,
  { ocid }: LocalIdentity,
  { gateway, order_id }: SessionRow,
  crediting: Crediting,
): string | null {
  if (gateway !== null && gateway !== ocid) {
    return `its page was opened at OCID ${gateway}, which is not ours now: configure that again, or mark its order paid`;
  }
  // No proof can be taken back: what left the chain again is not proved until it returns, or other money stands for it.
  const order = orderById(at, order_id);
  return order?.cause === "pay" && crediting.isUncoveredByReorg(at, order) ? "its payment has left the chain" : null;
}

interface Issued {
  /** What the operator should hear of. */
  alert: LogCode<"warn"> | null;
  /** Why there is no proof yet; null where there is. */
  problem: string | null;
}

/** Makes the proof of a paid session and everything that follows from it, unless it would prove what is not so. */
function issue(tx: Tx, own: LocalIdentity, id: string, crediting: Crediting): Issued {
  const { ocid, signer, settings } = own;
  const row = sessionById(tx, id);
  const order = row === null ? null : orderById(tx, row.order_id);
  const done = { alert: null, problem: null };
  if (row === null || order === null || row.paid_at === null || row.proof !== null) return done;
  const problem = reasonToWait(tx, own, row, crediting);
  if (problem !== null) return { ...done, problem };
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
  queueProofOf(tx, { notify: row.notify, proof: body });
  // Others may hold a page for the same order: nobody is to pay it again.
  for (const other of pendingSessions(tx, row.merchant, row.merchant_order)) {
    crediting.end(tx, other.order.id, "cancel");
  }
  const known = signedOrder(tx, row.merchant_order);
  if (known === null || merchantOf(known) !== row.merchant) return done;
  const { public_key } = signer;
  const seen = { sender: ocid, match: { form: "recursive", public_key } } as const;
  return { ...done, alert: takeProof(tx, crediting, settings, seen, { proof, object, signature }, known).alert };
}
