// Hosted checkouts for merchants of the network: a signed order becomes an order of ours with a page, whose payment owes
// a proof to whoever asked and to the merchant. Never looks at a chain.

import { type Config, coinDecimals, type LiveConfig } from "../../config/config.ts";
import { isCoin } from "../../domain/assets.ts";
import { toUnits } from "../../domain/money.ts";
import { isPaymentSeen } from "../../storage/bound-transfers.ts";
import { openDepositsOf } from "../../storage/deposits.ts";
import type { Database, Reader, Tx } from "../../storage/engine/database.ts";
import { insertOrder, type OrderRow, orderById } from "../../storage/orders.ts";
import { appendEvent } from "../../storage/outbox.ts";
import { uuid7 } from "../../wire/uuid.ts";
import type { World } from "../../world.ts";
import type { OpenchargeSettings } from "../config/settings.ts";
import { networkPageName } from "../domain/order-names.ts";
import {
  insertSession,
  type NewSession,
  newestSession,
  paidSession,
  pendingSessions,
  type Session,
  type SessionRow,
  sessionById,
} from "../storage/gateway.ts";
import { signedOrder } from "../storage/merchant.ts";
import { checkAccepts } from "../wire/audience.ts";
import { canonicalJson, type Form } from "../wire/canonical.ts";
import { isRefusal, type NetworkRefusal, networkRefusal, refuseFields, refuseSubmitted } from "../wire/errors.ts";
import { keysForObject, type Metadata } from "../wire/metadata.ts";
import type { Order } from "../wire/orders.ts";
import { checkReturnUrls, type ReturnUrls, type SignedOrder } from "../wire/readers.ts";
import { verifyObject } from "../wire/signed-objects.ts";
import type { SignedCaller } from "./access.ts";
import type { Directory } from "./directory.ts";
import type { LocalIdentity, LocalIdentitySource } from "./identity.ts";
import { checkPayable, checkUnpaid, isSameOrder, merchantOf } from "./order-checks.ts";
import { recipientOf } from "./partners.ts";

const session_lifetime_s = 30 * 60;
const session_random_bytes = 24;
const txid_random_bytes = 16;
const uuid_random_bytes = 10;
const webhook_path = "/transfer/webhook";
/** Where the pages of checkouts lie, below our endpoint. */
const page_path = "/pay";

/** What a caller is told of a session it opened; `expires_at` in seconds. */
export interface OpenedSession {
  id: string;
  url: string;
  expires_at: number;
}

/** A session as its payer sees it. */
export interface ShownSession extends Session {
  /** The order was paid, but not here: by another page or by a proof. */
  is_paid_elsewhere: boolean;
}

export interface Gateway {
  /**
   * Hosts the checkout of a signed order, or returns the one that is open for it. `as` says whose call it is: a
   * gateway's (or the merchant's own) `checkout`, or the `merchant`'s to its gateway. Refusals: those of the order.
   */
  open(
    caller: SignedCaller,
    request: SignedOrder & { urls: ReturnUrls },
    as: "checkout" | "merchant",
  ): Promise<OpenedSession | NetworkRefusal>;
  /** A session by the secret in its address, or null. */
  session(id: string): ShownSession | null;
}

/** The gateway over one database with the live settings. */
export function createGateway(needs: {
  database: Database;
  config: LiveConfig;
  world: World;
  identities: LocalIdentitySource;
  directory: Directory;
}): Gateway {
  const { database, config, world, identities, directory } = needs;

  const secretText = (prefix: string, bytes: number) => prefix + Buffer.from(world.random(bytes)).toString("base64url");

  /** The merchant of an order whose signature holds, and in which form it does. */
  async function signerOf(
    caller: SignedCaller,
    { order, object, signature }: SignedOrder,
  ): Promise<Signer | NetworkRefusal> {
    const signerAs = (merchant: Metadata): Signer | null => {
      const match = verifyObject(object, signature, keysForObject(merchant, order.created_at));
      return match === null ? null : { merchant, form: match.form };
    };
    const merchant = caller.ocid === order.ocid ? caller.metadata : await directory.find(order.ocid);
    if (isRefusal(merchant)) return merchant;
    const known = signerAs(merchant);
    if (known !== null) return known;
    const renewed = await directory.refresh(order.ocid);
    const signer = renewed === null ? null : signerAs(renewed);
    return signer ?? refuseSubmitted("INVALID_SIGNATURE", { message: "the signature of the order does not verify" });
  }

  /** The checks of an order in the order the network knows them; its signer and whom it accepts when it passes all of them. */
  async function check(
    caller: SignedCaller,
    request: SignedOrder & { urls: ReturnUrls },
    as: "checkout" | "merchant",
    own: LocalIdentity,
  ): Promise<Checked | NetworkRefusal> {
    const { order, urls } = request;
    if (as === "merchant" && caller.ocid !== order.ocid) {
      return refuseFields([{ path: "order.ocid", message: "is not the caller" }]);
    }
    if (order.ocid !== own.settings.merchant_ocid && !own.settings.merchants.includes(order.ocid)) {
      return as === "merchant" ? networkRefusal("MERCHANT_NOT_REGISTERED") : networkRefusal("CONNECTION_REFUSED");
    }
    const signer = await signerOf(caller, request);
    if (isRefusal(signer)) return signer;
    if (order.expires_at !== null && order.expires_at * 1000 <= world.now()) return refuseSubmitted("ORDER_EXPIRED");
    const reports_to = as === "checkout" ? caller.ocid : null;
    const settings = config.current();
    const { settlement, settlement_signed } = signer.merchant;
    // A list that nobody signed could be written by whoever wants the money to come here.
    const accepts = order.accepts ?? (settlement_signed ? settlement.accepts : []);
    return (
      checkAccepts(accepts, new Set([own.ocid]), reports_to) ??
      checkPrice(order, settings, own.settings) ??
      checkReturnUrls(urls, { allow_local_http: settings.webhooks.allow_private_targets }) ?? { ...signer, accepts }
    );
  }

  function openIn(tx: Tx, wanted: Wanted): Session | NetworkRefusal {
    const copy = { text: wanted.signed_order, form: wanted.form };
    const known = wanted.is_ours ? signedOrder(tx, wanted.merchant_order) : null;
    if (known !== null) {
      // Its first signature is ours, and covers everything or what is compared here.
      if (!isSameOrder({ text: known.object, form: "recursive" }, copy)) return networkRefusal("ORDER_CONFLICT");
      const over = checkPayable(tx, known, tx.now);
      if (over !== null) return over;
    }
    const newest = newestSession(tx, wanted.merchant, wanted.merchant_order);
    if (newest !== null && !isSameOrder({ text: newest.signed_order, form: newest.form }, copy)) {
      return networkRefusal("ORDER_CONFLICT");
    }
    const paid = checkUnpaid(tx, wanted.merchant, wanted.merchant_order);
    if (paid !== null) return paid;
    // Each caller has its own page and is told itself; nobody blocks an order for the others.
    const open = pendingSessions(tx, wanted.merchant, wanted.merchant_order).find(
      ({ row, order }) => row.caller === wanted.caller && isLive(tx, order),
    );
    if (open !== undefined) return open;
    // An order that we signed ourselves tells the shop when the proof pays it; once is enough.
    const webhook_url = known === null ? wanted.order.webhook_url : "";
    const made = insertOrder(tx, { ...wanted.order, webhook_url, expires_at: tx.now + wanted.lifetime_s * 1000 });
    appendEvent(tx, { type: "order_created", order_id: made.id, transfer: null, body: "{}", url: null });
    const { order: _terms, lifetime_s: _lifetime, is_ours: _ours, ...row } = wanted;
    return { row: insertSession(tx, { ...row, order_id: made.id }), order: made };
  }

  return {
    async open(caller, request, as) {
      const own = identities.current()?.gateway ?? null;
      if (own === null) return networkRefusal("CAPABILITY_NOT_SUPPORTED");
      const checked = await check(caller, request, as, own);
      if (isRefusal(checked)) return checked;

      const { merchant, form, accepts } = checked;
      const { order, urls } = request;
      const now_s = Math.floor(world.now() / 1000);
      const lifetime_s = Math.min(session_lifetime_s, (order.expires_at ?? now_s + session_lifetime_s) - now_s);
      const pays_merchant = recipientOf(own.settings, caller.ocid, order.ocid) === order.ocid;
      const is_told = pays_merchant && accepts.includes(own.ocid);
      const receivers = [caller, ...(is_told ? [{ ocid: order.ocid, metadata: merchant }] : [])];
      // Our own merchant is told in the transaction that makes the proof.
      const others = receivers.filter(({ ocid }) => ocid !== own.ocid && ocid !== own.settings.merchant_ocid);
      const endpoints = others.flatMap(({ metadata: { endpoint } }) => (endpoint === null ? [] : [endpoint]));
      const notify = new Set(endpoints.map((endpoint) => endpoint + webhook_path));
      const wanted: Wanted = {
        id: secretText("", session_random_bytes),
        txid: secretText("oc_", txid_random_bytes),
        caller: caller.ocid,
        merchant: order.ocid,
        merchant_name: merchant.name,
        merchant_order: order.id,
        signed_order: canonicalJson(request.object),
        signature: request.signature,
        form,
        gateway: own.ocid,
        currency: order.currency,
        notify: JSON.stringify([...notify]),
        lifetime_s: Math.max(1, lifetime_s),
        is_ours: order.ocid === own.settings.merchant_ocid,
        order: {
          id: uuid7(world.now(), world.random(uuid_random_bytes)),
          merchant_order_id: networkPageName(order.ocid, order.id),
          amount: order.amount,
          chain: null,
          coin: isCoin(order.currency) ? order.currency : null,
          sender: null,
          webhook_url: own.settings.webhook_url ?? "",
          options: { lifetime_s: null, metadata: null, success_url: urls.completed, cancel_url: urls.cancelled },
        },
      };
      const opened = await database.transact((tx) => openIn(tx, wanted));
      if (isRefusal(opened)) return opened;
      const { id } = opened.row;
      const url = `${own.endpoint}${page_path}/${id}`;
      return { id, url, expires_at: Math.floor(opened.order.expires_at / 1000) };
    },

    session: (id) =>
      database.read((at) => {
        const row = sessionById(at, id);
        const order = row === null ? null : orderById(at, row.order_id);
        if (row === null || order === null) return null;
        return { row, order, is_paid_elsewhere: order.status !== "paid" && isPaid(at, row) };
      }),
  };
}

interface Signer {
  merchant: Metadata;
  form: Form;
}

interface Checked extends Signer {
  /** Whom the merchant trusts with its money: the order's own word, else its signed metadata's. */
  accepts: readonly number[];
}

type Wanted = Omit<NewSession, "order_id"> & {
  lifetime_s: number;
  /** Whether the merchant is our own. */
  is_ours: boolean;
  order: Omit<Parameters<typeof insertOrder>[1], "expires_at">;
};

/** Whether a page can still be paid, or is being paid. */
function isLive(tx: Tx, { id, expires_at }: OrderRow): boolean {
  return expires_at > tx.now || openDepositsOf(tx, id).some((deposit) => isPaymentSeen(tx, deposit.id));
}

/** Whether the order behind a session was paid, on whichever page or by whichever proof. */
function isPaid(at: Reader, { merchant, merchant_order }: SessionRow): boolean {
  if (paidSession(at, merchant, merchant_order) !== null) return true;
  const known = signedOrder(at, merchant_order);
  if (known === null || merchantOf(known) !== merchant) return false;
  return orderById(at, known.order_id)?.status === "paid";
}

/** Null when a wallet can be paid exactly this much: a dollar is one coin. Refusal: SETTLEMENT_NOT_SUPPORTED. */
function checkPrice(
  { amount, currency }: Order,
  config: Config,
  { currencies }: OpenchargeSettings,
): NetworkRefusal | null {
  if (!currencies.includes(currency)) {
    const message = `prices in ${currency} are not taken here; use ${currencies.join(" or ")}`;
    return networkRefusal("SETTLEMENT_NOT_SUPPORTED", { message, details: { currencies } });
  }
  const is_payable = config.wallets.some(({ chain, coins }) =>
    coins.some((coin) => {
      const decimals = isCoin(currency) && currency !== coin ? null : coinDecimals(config, chain, coin);
      return decimals !== null && toUnits(amount, decimals) !== null;
    }),
  );
  return is_payable
    ? null
    : networkRefusal("SETTLEMENT_NOT_SUPPORTED", { message: "no coin here can hold this amount" });
}
