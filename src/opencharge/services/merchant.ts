// The merchant's side of the network: orders that others ask us to sign, what became of them, and proofs that they were
// paid. An order of the network is an order of ours; a proof pays it once, through the ledger.

import type { LiveConfig } from "../../config/config.ts";
import type { OrderStatus } from "../../domain/order.ts";
import type { Outbound } from "../../outbound.ts";
import type { Crediting } from "../../services/crediting.ts";
import type { Database, Reader } from "../../storage/engine/database.ts";
import { type OrderRow, orderById } from "../../storage/orders.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import type { CatalogItem } from "../config/settings.ts";
import { isBeingPaid } from "../storage/gateway.ts";
import { payingProof, type SignedOrderRow, signedOrder } from "../storage/merchant.ts";
import type { SignedObject } from "../wire/answers.ts";
import { checkRecipient } from "../wire/audience.ts";
import { isRefusal, type NetworkRefusal, networkRefusal } from "../wire/errors.ts";
import type { Envelope, OrderCreate, ReturnUrls } from "../wire/readers.ts";
import { isJsonObject, parseStrictJson } from "../wire/strict-json.ts";
import type { SignedCaller } from "./access.ts";
import { createApproval } from "./approval.ts";
import type { LocalIdentity, LocalIdentitySource } from "./identity.ts";
import type { Issuers } from "./issuers.ts";
import type { NetworkLimits } from "./limits.ts";
import { createOrdering } from "./ordering.ts";
import { earlierReceipt, orderNamedBy, type ProofReceipt, takeProof, withinDailyShare } from "./receipts.ts";

/** A proof may be this far ahead of our clock. */
const proof_ahead_max_s = 300;

export interface OrderState {
  id: string;
  status: OrderStatus;
  /** Seconds. */
  paid: { at: number; txid: string | null } | null;
}

export interface OpenchargeMerchant {
  /**
   * Signs an order for a caller and creates it, or returns the one it asked for before. Refusals: INVALID_REQUEST,
   * ORDER_CONFLICT, ORDER_EXPIRED and those of its price.
   */
  create(
    caller: SignedCaller,
    wanted: OrderCreate,
  ): Promise<{ signed: SignedObject; urls: ReturnUrls } | NetworkRefusal>;
  /** A signed order that can be paid, or is. Refusals: ORDER_NOT_FOUND, ORDER_EXPIRED. */
  order(id: string): { signed: SignedObject; urls: ReturnUrls } | NetworkRefusal;
  /** Refusal: ORDER_NOT_FOUND. */
  state(id: string): OrderState | NetworkRefusal;
  /** What is for sale; prices are in `currency`. */
  inventory(): { ocid: number; currency: string; items: readonly CatalogItem[] };
  /**
   * Takes a proof in; the same one again gets the same receipt. Refusals: ISSUER_NOT_ACCEPTED, INVALID_PROOF,
   * PROOF_SIGNATURE_INVALID, METADATA_UNAVAILABLE, AMOUNT_MISMATCH, CURRENCY_MISMATCH.
   */
  receive(caller: SignedCaller, envelope: Envelope): Promise<ProofReceipt | NetworkRefusal>;
}

/** The merchant over one database with the live settings. Its verbs expect that a merchant's OCID is configured. */
export function createOpenchargeMerchant(needs: {
  database: Database;
  config: LiveConfig;
  crediting: Crediting;
  world: World;
  telemetry: Telemetry;
  identities: LocalIdentitySource;
  issuers: Issuers;
  outbound: Outbound;
  limits: Pick<NetworkLimits, "proofRoom" | "proofKept">;
}): OpenchargeMerchant {
  const { database, config, crediting, world, telemetry, identities, issuers } = needs;

  const createOrder = createOrdering({ database, world, askShop: createApproval(needs) });

  function merchant(): LocalIdentity {
    const own = identities.current()?.merchant ?? null;
    if (own === null) throw new Error("no merchant's OCID is configured");
    return own;
  }

  const seconds = () => Math.floor(world.now() / 1000);

  function urlsOf(id: string): ReturnUrls {
    const { settings, endpoint } = merchant();
    const order_url = `${endpoint}/orders/${id}`;
    const shop = config.current().merchant.allowed_origins[0] ?? order_url;
    const { completed_url, cancelled_url } = settings;
    return { order: [order_url], completed: completed_url ?? shop, cancelled: cancelled_url ?? shop };
  }

  const shown = (row: SignedOrderRow) => ({ signed: signedOf(row), urls: urlsOf(row.id) });

  return {
    async create(caller, wanted) {
      const made = await createOrder(merchant(), caller, wanted);
      return isRefusal(made) ? made : shown(made);
    },

    order(id) {
      const known = database.read((at) => {
        const found = withOrder(at, id);
        return found === null ? null : { ...found, is_being_paid: isBeingPaid(at, found.order.id) };
      });
      if (known === null) return networkRefusal("ORDER_NOT_FOUND");
      const { row, order, is_being_paid } = known;
      if (order.status === "cancelled") return networkRefusal("ORDER_EXPIRED", { message: "the order was cancelled" });
      const is_over = order.status === "pending" && row.expires_s < seconds() && !is_being_paid;
      return order.status === "expired" || is_over ? networkRefusal("ORDER_EXPIRED") : shown(row);
    },

    state(id) {
      const known = database.read((at) => {
        const found = withOrder(at, id);
        return found === null ? null : { ...found, proof: payingProof(at, id) };
      });
      if (known === null) return networkRefusal("ORDER_NOT_FOUND");
      const { order, proof } = known;
      const paid = {
        at: proof?.proved_s ?? Math.floor((order.ended_at ?? 0) / 1000),
        // None for an order that was marked paid by hand.
        txid: proof?.txid ?? null,
      };
      return { id, status: order.status, paid: order.status === "paid" ? paid : null };
    },

    inventory() {
      const { settings, ocid } = merchant();
      return { ocid, currency: settings.currencies[0] ?? "USD", items: settings.items };
    },

    async receive(caller, envelope) {
      const own = identities.current();
      if (own === null) return networkRefusal("CAPABILITY_NOT_SUPPORTED");
      const { proof } = envelope;
      const receipt = database.read((at) => earlierReceipt(at, envelope));
      if (receipt !== null) return receipt;
      const named = database.read((at) => orderNamedBy(at, proof));
      const accepts = named?.accepts ?? own.settings.accepts;
      if (!accepts.includes(proof.issuer) || own.settings.blocked.includes(proof.issuer)) {
        const details = { providedIssuer: proof.issuer, acceptedIssuers: accepts };
        return networkRefusal("ISSUER_NOT_ACCEPTED", { details });
      }
      if (caller.ocid !== proof.issuer && !accepts.includes(caller.ocid)) {
        return networkRefusal("INVALID_PROOF", { message: "the sender is neither the issuer nor accepted itself" });
      }
      const match = await issuers.verify(caller, envelope);
      if (isRefusal(match)) return match;
      const about = { issuer: proof.issuer, txid: proof.txid, order: named?.id ?? null, sender: caller.ocid };
      const elsewhere = checkRecipient(proof, own.ocids);
      if (elsewhere !== null) {
        // It holds, and its issuer is one we take money from: an OCID that was ours, perhaps.
        telemetry.warn("proof_for_another", { ...about, recipient: proof.to.ocid });
        return elsewhere;
      }
      if (proof.timestamp > seconds() + proof_ahead_max_s) {
        return networkRefusal("INVALID_PROOF", { message: "the proof's time lies ahead" });
      }

      const taken = await withinDailyShare(needs, envelope, () =>
        database.transact((tx) =>
          takeProof(tx, crediting, own.settings, { sender: caller.ocid, match }, envelope, orderNamedBy(tx, proof)),
        ),
      );
      const { answer, alert } = isRefusal(taken) ? { answer: taken, alert: "proof_put_off" as const } : taken;
      if (alert !== null) telemetry.warn(alert, about);
      return answer;
    },
  };
}

function withOrder(at: Reader, id: string): { row: SignedOrderRow; order: OrderRow } | null {
  const row = signedOrder(at, id);
  const order = row === null ? null : orderById(at, row.order_id);
  return row === null || order === null ? null : { row, order };
}

function signedOf({ object, signature }: SignedOrderRow): SignedObject {
  const value = parseStrictJson(object);
  return { object: isJsonObject(value) ? value : {}, signature };
}
