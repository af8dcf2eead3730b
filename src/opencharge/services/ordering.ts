// Orders that others ask us to sign in our merchant's name. The same request gets the same order, to the byte; each is
// an order of ours from the commit that keeps its signature on.

import { createKeyedQueue } from "../../limits/keyed-queue.ts";
import type { Database, Tx } from "../../storage/engine/database.ts";
import { insertOrder } from "../../storage/orders.ts";
import { appendEvent } from "../../storage/outbox.ts";
import { uuid7 } from "../../wire/uuid.ts";
import type { World } from "../../world.ts";
import { networkOrderName } from "../domain/order-names.ts";
import { newestSession } from "../storage/gateway.ts";
import { insertSignedOrder, isReference, type SignedOrderRow, signedOrder } from "../storage/merchant.ts";
import { checkMerchant } from "../wire/audience.ts";
import { canonicalJson } from "../wire/canonical.ts";
import { isRefusal, type NetworkRefusal, networkRefusal, refuseForNow } from "../wire/errors.ts";
import { sha256Hex } from "../wire/keys.ts";
import { orderObject } from "../wire/orders.ts";
import type { OrderCreate } from "../wire/readers.ts";
import { signObject } from "../wire/signed-objects.ts";
import type { SignedCaller } from "./access.ts";
import type { ApprovedTerms, AskShop } from "./approval.ts";
import type { LocalIdentity } from "./identity.ts";
import { checkCurrency, expiryOf, priced } from "./pricing.ts";

const id_random_bytes = 12;
const uuid_random_bytes = 10;
/** Orders the shop's backend is asked about, or waits to be asked about, at once. */
const questions_max = 64;
/** Of those, one caller's: the others must find room. */
const questions_of_one_max = 8;
const crowded_retry_s = 2;
/** For so long after its end an order's name is kept for it: a proof is sent again for three days. */
const proof_patience_s = 3 * 86_400;

/**
 * Signs an order for a caller and creates it, or returns the one it asked for before. Refusals: INVALID_REQUEST,
 * ORDER_CONFLICT, ORDER_EXPIRED and those of its price.
 */
export type CreateSignedOrder = (
  seller: LocalIdentity,
  caller: SignedCaller,
  wanted: OrderCreate,
) => Promise<SignedOrderRow | NetworkRefusal>;

/** The signing of orders over one database. */
export function createOrdering(needs: { database: Database; world: World; askShop: AskShop }): CreateSignedOrder {
  const { database, world, askShop } = needs;
  // In turns by id: a copy that comes while the shop is thinking finds the order instead of asking again.
  const queue = createKeyedQueue({ max: questions_max, share: questions_of_one_max });

  async function create(seller: LocalIdentity, caller: SignedCaller, wanted: OrderCreate, id: string) {
    const { settings } = seller;
    const request_hash = sha256Hex(canonicalJson({ ...wanted }));
    const again = (known: SignedOrderRow) =>
      known.caller === caller.ocid && known.request_hash === request_hash ? known : networkRefusal("ORDER_CONFLICT");
    const earlier = database.read((at) => signedOrder(at, id));
    if (earlier !== null) return again(earlier);
    const foreign = checkCurrency(settings, wanted);
    if (foreign !== null) return foreign;
    const created_at = Math.floor(world.now() / 1000);
    const price = settings.orders === "approval" ? null : priced(settings, wanted);
    if (isRefusal(price)) return price;
    const expires_at = expiryOf(wanted, created_at);
    if (isRefusal(expires_at)) return expires_at;
    const times = { id, created_at, expires_at };
    const terms =
      price === null ? await askShop(settings, caller.ocid, wanted, times) : { ...price, reference: wanted.reference };
    if (isRefusal(terms)) return terms;

    const row = { ...signedRow(seller, caller, wanted, terms, times), request_hash };
    return database.transact((tx) => {
      const meanwhile = signedOrder(tx, id);
      if (meanwhile !== null) return again(meanwhile);
      const taken = checkName(tx, seller.ocid, id, created_at);
      if (taken !== null) return taken;
      place(tx, seller.ocid, row, settings.webhook_url);
      return row;
    });
  }

  function signedRow(
    { settings, signer, ocid }: LocalIdentity,
    caller: SignedCaller,
    { currency, memo }: OrderCreate,
    { amount, items, reference }: ApprovedTerms,
    { id, created_at, expires_at }: Times,
  ): Omit<SignedOrderRow, "request_hash"> {
    const { accepts, order_form } = settings;
    const head = { id, ocid, amount, items: order_form === "flat" ? null : items, currency, created_at };
    const is_shallow = order_form === "mirror" && caller.metadata.dialect === "shallow";
    const object = orderObject({ ...head, reference, memo, expires_at, accepts });
    return {
      id,
      order_id: uuid7(world.now(), world.random(uuid_random_bytes)),
      caller: caller.ocid,
      reference,
      amount,
      currency,
      accepts,
      created_s: created_at,
      expires_s: expires_at,
      object: JSON.stringify(object),
      signature: signObject(signer, object, is_shallow ? "shallow" : "recursive"),
    };
  }

  return async (seller, caller, wanted) => {
    const elsewhere = checkMerchant("ocid", wanted.ocid, new Set([seller.ocid]));
    if (elsewhere !== null) return elsewhere;
    const id = wanted.id ?? `ord_${Buffer.from(world.random(id_random_bytes)).toString("hex")}`;
    const act = () => create(seller, caller, wanted, id);
    if (seller.settings.orders !== "approval") return act();
    return (
      (await queue(id, caller.ocid, act)) ??
      refuseForNow("too many orders wait for the shop's decision", crowded_retry_s)
    );
  };
}

interface Times {
  id: string;
  /** Seconds. */
  created_at: number;
  expires_at: number;
}

/** Null for an id that means no other order of our merchant. Refusal: ORDER_CONFLICT. */
function checkName(tx: Tx, merchant: number, id: string, now_s: number): NetworkRefusal | null {
  // A proof may name an order by its reference: from now on that name would lead here.
  if (isReference(tx, id, now_s - proof_patience_s)) {
    return networkRefusal("ORDER_CONFLICT", { message: "the id is the reference of another order" });
  }
  // Where a page is known and its order is not, our merchant signed that one elsewhere.
  return newestSession(tx, merchant, id) === null ? null : networkRefusal("ORDER_CONFLICT");
}

/** Creates the order behind a signed one. */
function place(tx: Tx, merchant: number, row: SignedOrderRow, webhook_url: string | null): void {
  insertOrder(tx, {
    id: row.order_id,
    merchant_order_id: networkOrderName(merchant, row.id),
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
