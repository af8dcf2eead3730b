// The merchant's side of the network: orders that others ask us to sign, what became of them, and proofs that they were
// paid. An order of the network is an order of ours; a proof pays it once, through the ledger.

import type { LiveConfig } from "../config/config.ts";
import type { CatalogItem } from "../config/opencharge.ts";
import type { OrderStatus } from "../domain/order.ts";
import type { Database, Reader, Tx } from "../storage/database.ts";
import { insertSignedOrder, payingProof, type SignedOrderRow, signedOrder } from "../storage/opencharge.ts";
import { insertOrder, type OrderRow, orderById } from "../storage/orders.ts";
import { appendEvent } from "../storage/outbox.ts";
import type { Telemetry } from "../telemetry.ts";
import type { Signed } from "../wire/opencharge/answers.ts";
import { checkMerchant, checkRecipient } from "../wire/opencharge/audience.ts";
import { canonicalJson } from "../wire/opencharge/canonical.ts";
import { isRefusal, type Refusal, refuse } from "../wire/opencharge/errors.ts";
import { sha256Hex } from "../wire/opencharge/keys.ts";
import { keysForObject, type Metadata } from "../wire/opencharge/metadata.ts";
import { orderObject } from "../wire/opencharge/orders.ts";
import type { Envelope, OrderCreate, ReturnUrls } from "../wire/opencharge/readers.ts";
import { type ObjectMatch, signObject, verifyProof } from "../wire/opencharge/signed-objects.ts";
import { isJsonObject, parseStrictJson } from "../wire/opencharge/strict-json.ts";
import { uuid7 } from "../wire/uuid.ts";
import type { World } from "../world.ts";
import type { Directory } from "./directory.ts";
import type { Caller } from "./opencharge-access.ts";
import type { OwnIdentities, OwnIdentity } from "./opencharge-identity.ts";
import { expiryOf, priced } from "./opencharge-pricing.ts";
import { orderNamedBy, type Receipt, takeProof } from "./opencharge-receipts.ts";

/** A proof may be this far ahead of our clock. */
const proof_ahead_max_s = 300;
const id_random_bytes = 12;
const uuid_random_bytes = 10;

export interface OrderState {
  id: string;
  status: OrderStatus;
  /** Seconds. */
  paid: { at: number; txid: string } | null;
}

export interface OpenchargeMerchant {
  /**
   * Signs an order for a caller and creates it, or returns the one it asked for before. Refusals: INVALID_REQUEST,
   * ORDER_CONFLICT, ORDER_EXPIRED and those of its price.
   */
  create(caller: Caller, wanted: OrderCreate): Promise<{ signed: Signed; urls: ReturnUrls } | Refusal>;
  /** A signed order that can be paid, or is. Refusals: ORDER_NOT_FOUND, ORDER_EXPIRED. */
  order(id: string): { signed: Signed; urls: ReturnUrls } | Refusal;
  /** Refusal: ORDER_NOT_FOUND. */
  state(id: string): OrderState | Refusal;
  /** What is for sale; prices are in `currency`. */
  inventory(): { ocid: number; currency: string; items: readonly CatalogItem[] };
  /**
   * Takes a proof in; the same one again gets the same receipt. Refusals: ISSUER_NOT_ACCEPTED, INVALID_PROOF,
   * PROOF_SIGNATURE_INVALID, METADATA_UNAVAILABLE, AMOUNT_MISMATCH, CURRENCY_MISMATCH.
   */
  receive(caller: Caller, envelope: Envelope): Promise<Receipt | Refusal>;
}

/** The merchant over one database with the live settings. Its verbs expect that a merchant's OCID is configured. */
export function createOpenchargeMerchant(needs: {
  database: Database;
  config: LiveConfig;
  world: World;
  telemetry: Telemetry;
  identities: OwnIdentities;
  directory: Directory;
}): OpenchargeMerchant {
  const { database, config, world, telemetry, identities, directory } = needs;

  function merchant(): { own: OwnIdentity; ocid: number } {
    const own = identities.current();
    if (own === null || own.settings.merchant_ocid === null) throw new Error("no merchant's OCID is configured");
    return { own, ocid: own.settings.merchant_ocid };
  }

  const seconds = () => Math.floor(world.now() / 1000);

  function urlsOf(id: string): ReturnUrls {
    const { settings } = merchant().own;
    const order_url = `${settings.endpoint}/orders/${id}`;
    const shop = config.current().merchant.allowed_origins[0] ?? order_url;
    const { completed_url, cancelled_url } = settings;
    return { order: [order_url], completed: completed_url ?? shop, cancelled: cancelled_url ?? shop };
  }

  const shown = (row: SignedOrderRow) => ({ signed: signedOf(row), urls: urlsOf(row.id) });

  /** The keys an issuer may have signed a proof with that hold it; one more look where none does. */
  async function verified(caller: Caller, envelope: Envelope): Promise<ObjectMatch | Refusal> {
    const { issuer, timestamp } = envelope.proof;
    const channel = { sender: caller.ocid, confirmed_by_issuer: false };
    const holds = (known: Metadata) => verifyProof(envelope, keysForObject(known, timestamp), channel);
    const known = caller.ocid === issuer ? caller.metadata : await directory.find(issuer);
    if (isRefusal(known)) return refuse("METADATA_UNAVAILABLE", { message: "the issuer's metadata cannot be read" });
    const match = holds(known);
    if (match !== null) return match;
    const renewed = await directory.refresh(issuer);
    return (renewed === null ? null : holds(renewed)) ?? refuse("PROOF_SIGNATURE_INVALID");
  }

  return {
    async create(caller, wanted) {
      const { own, ocid } = merchant();
      const { settings, signer } = own;
      const elsewhere = checkMerchant("ocid", wanted.ocid, new Set([ocid]));
      if (elsewhere !== null) return elsewhere;
      const request_hash = sha256Hex(canonicalJson({ ...wanted }));
      const again = (known: SignedOrderRow) =>
        known.caller === caller.ocid && known.request_hash === request_hash ? shown(known) : refuse("ORDER_CONFLICT");
      const id = wanted.id ?? `ord_${Buffer.from(world.random(id_random_bytes)).toString("hex")}`;
      const earlier = database.read((at) => signedOrder(at, id));
      if (earlier !== null) return again(earlier);
      const price = priced(settings, caller.ocid, wanted);
      if (isRefusal(price)) return price;
      const created_at = seconds();
      const expires_at = expiryOf(wanted, created_at);
      if (isRefusal(expires_at)) return expires_at;

      const { currency, reference, memo } = wanted;
      const accepts = settings.accepts;
      const object = orderObject({ id, ocid, ...price, currency, created_at, reference, memo, expires_at, accepts });
      const signature = signObject(signer, object, caller.metadata.dialect === "shallow" ? "shallow" : "recursive");
      const row: SignedOrderRow = {
        id,
        order_id: uuid7(world.now(), world.random(uuid_random_bytes)),
        caller: caller.ocid,
        request_hash,
        reference,
        amount: price.amount,
        currency,
        accepts,
        created_s: created_at,
        expires_s: expires_at,
        object: JSON.stringify(object),
        signature,
      };
      return database.transact((tx) => {
        const meanwhile = signedOrder(tx, id);
        if (meanwhile !== null) return again(meanwhile);
        place(tx, row, settings.webhook_url);
        return shown(row);
      });
    },

    order(id) {
      const known = database.read((at) => withOrder(at, id));
      if (known === null) return refuse("ORDER_NOT_FOUND");
      const { row, order } = known;
      if (order.status === "cancelled") return refuse("ORDER_EXPIRED", { message: "the order was cancelled" });
      const is_over = order.status === "pending" && row.expires_s < seconds();
      return order.status === "expired" || is_over ? refuse("ORDER_EXPIRED") : shown(row);
    },

    state(id) {
      const known = database.read((at) => {
        const found = withOrder(at, id);
        return found === null ? null : { ...found, proof: payingProof(at, id) };
      });
      if (known === null) return refuse("ORDER_NOT_FOUND");
      const { order, proof } = known;
      const paid =
        proof === null
          ? { at: Math.floor((order.ended_at ?? 0) / 1000), txid: order.id }
          : { at: proof.proved_s, txid: proof.txid };
      return { id, status: order.status, paid: order.status === "paid" ? paid : null };
    },

    inventory() {
      const { own, ocid } = merchant();
      return { ocid, currency: own.settings.currencies[0] ?? "USD", items: own.settings.items };
    },

    async receive(caller, envelope) {
      const { own, ocid } = merchant();
      const { proof } = envelope;
      const named = database.read((at) => orderNamedBy(at, proof));
      const accepts = named?.accepts ?? own.settings.accepts;
      if (!accepts.includes(proof.issuer)) {
        const details = { providedIssuer: proof.issuer, acceptedIssuers: accepts };
        return refuse("ISSUER_NOT_ACCEPTED", { details });
      }
      if (caller.ocid !== proof.issuer && !accepts.includes(caller.ocid)) {
        return refuse("INVALID_PROOF", { message: "the sender is neither the issuer nor accepted itself" });
      }
      const match = await verified(caller, envelope);
      if (isRefusal(match)) return match;
      const elsewhere = checkRecipient(proof, new Set([ocid]));
      if (elsewhere !== null) return elsewhere;
      if (proof.timestamp > seconds() + proof_ahead_max_s) {
        return refuse("INVALID_PROOF", { message: "the proof's time lies ahead" });
      }

      const { answer, alert } = await database.transact((tx) => takeProof(tx, caller.ocid, envelope, match));
      if (alert !== null) {
        const { issuer, txid } = proof;
        telemetry.warn(alert, { issuer, txid, order: named?.id ?? null, sender: caller.ocid });
      }
      return answer;
    },
  };
}

function withOrder(at: Reader, id: string): { row: SignedOrderRow; order: OrderRow } | null {
  const row = signedOrder(at, id);
  const order = row === null ? null : orderById(at, row.order_id);
  return row === null || order === null ? null : { row, order };
}

function signedOf({ object, signature }: SignedOrderRow): Signed {
  const value = parseStrictJson(object);
  return { object: isJsonObject(value) ? value : {}, signature };
}

/** Creates the order behind a signed one. */
function place(tx: Tx, row: SignedOrderRow, webhook_url: string | null): void {
  insertOrder(tx, {
    id: row.order_id,
    merchant_order_id: row.id,
    amount: row.amount,
    chain: null,
    coin: null,
    sender: null,
    webhook_url: webhook_url ?? "",
    expires_at: row.expires_s * 1000,
  });
  appendEvent(tx, { type: "order_created", order_id: row.order_id, transfer: null, body: "{}", url: null });
  insertSignedOrder(tx, row);
}
