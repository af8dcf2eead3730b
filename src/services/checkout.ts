// What merchants and payers do with an order: create it, ask for an address and an amount, cancel it. Never looks at a
// chain.

import { type Config, coinDecimals, type LiveConfig } from "../config/config.ts";
import { type ChainId, type Coin, isChainId, isCoin } from "../domain/assets.ts";
import { errorCodes, Fault } from "../domain/errors.ts";
import { fromCommon, maxUnits, toCommon, toUnits } from "../domain/money.ts";
import { isTerminal } from "../domain/order.ts";
import { literalTarget } from "../outbound.ts";
import { receivedFor } from "../storage/allocations.ts";
import { isPaymentSeen } from "../storage/bound-transfers.ts";
import { type DepositRow, openDeposit, openDepositFor, openDepositsOf } from "../storage/deposits.ts";
import type { Database, Reader, Tx } from "../storage/engine/database.ts";
import {
  creationFor,
  insertCreation,
  insertOrder,
  type OrderOptions,
  type OrderRow,
  orderById,
  ordersOfMerchant,
} from "../storage/orders.ts";
import { appendEvent } from "../storage/outbox.ts";
import { isFree, isReservedFor } from "../storage/reservations.ts";
import type { Crediting } from "./crediting.ts";
import { chooseOffer } from "./offers.ts";

/** How long the same `Idempotency-Key` gets the first answer. */
const idempotency_memory_ms = 24 * 60 * 60 * 1000;

export interface NewOrderRequest {
  merchant_order_id: string;
  amount: string;
  webhook_url: string;
  /** Canonical address the payment must come from. */
  sender: string | null;
  chain: ChainId | null;
  coin: Coin | null;
  options?: OrderOptions;
}

/** What makes two creations the same one. `replay_key` stands for timestamp and body together. */
export interface CreationIdentity {
  replay_key: string;
  /** ms; until when the signed request could be sent again. */
  replayable_until: number;
  body_hash: string;
  idempotency_key: string | null;
}

/** An open deposit as its payer sees it. */
export interface OpenDeposit extends DepositRow {
  /**
   * Decimal text: what it asked for, less the parts that came. Null where exactly that is reserved for another order: then
   * it is safe only from the sender of the parts.
   */
  due: string | null;
  /** Whether a transfer bound to it was seen and is not confirmed yet. */
  is_seen: boolean;
}

export interface Checkout {
  /**
   * Creates a pending order. Under a key that is known, the order it made before, as it is now; for a signed request that
   * was sent again, the first answer (pending). Faults: invalid_webhook_url, no_wallet_available, invalid_amount (no
   * offered coin has its decimals), idempotency_key_reused.
   */
  create(request: NewOrderRequest, identity: CreationIdentity, id: string): Promise<OrderRow>;
  /** The order, or Fault order_not_found. */
  order(id: string): OrderRow;
  /** The orders created under one id of the merchant's own, newest first. */
  find(wanted: { merchant_order_id: string; limit: number; offset: number }): OrderRow[];
  /** Selectable pairs in the order of the configuration file. */
  options(): { chain: ChainId; coin: Coin; wallet: string }[];
  /** Base units, of 18 decimals, that an order has received; money that left its chain does not count. */
  received(order_id: string): bigint;
  /** The open deposits of an order, newest first. */
  openDeposits(order_id: string): OpenDeposit[];
  /** Whether a coin has the decimals for an amount; of a coin that is not known here, nobody can say no. */
  canHold(chain: ChainId, coin: Coin, amount: string): boolean;
  /**
   * Opens a deposit for an order on a chain in a coin, or returns the open one. `amount` is what is due: what the deposit
   * asked for, less the parts that came. Faults: order_not_found, order_not_pending, invalid_blockchain,
   * no_wallet_available, no_free_amount.
   */
  select(order_id: string, choice: { blockchain: string; stablecoin: string }): Promise<DepositRow>;
  /** Cancels a pending order. Faults: order_not_found, order_not_pending. */
  cancel(order_id: string): Promise<OrderRow>;
}

/** Checkout over one database with the live settings. `opened` is told of every new deposit once it is durable. */
export function createCheckout(needs: {
  database: Database;
  config: LiveConfig;
  crediting: Crediting;
  opened?: (deposit: DepositRow) => void;
}): Checkout {
  const { database, config, crediting, opened } = needs;

  function dueOf(at: Reader, deposit: DepositRow): string {
    const received = receivedFor(at, deposit.order_id);
    if (received === 0n) return deposit.amount;
    return crediting.leftOf(at, deposit)?.amount ?? fromCommon(maxUnits(0n, toCommon(deposit.amount) - received));
  }

  function safelyDue(at: Reader, deposit: DepositRow): string | null {
    if (receivedFor(at, deposit.order_id) === 0n) return deposit.amount;
    const left = crediting.leftOf(at, deposit);
    if (left === null) return null;
    const isSafe = isReservedFor(at, deposit.id, left.units) || isFree(at, deposit, left.units, deposit.sender);
    return isSafe ? left.amount : null;
  }

  return {
    async create(request, identity, id) {
      const settings = config.current();
      return database.transact((tx) => {
        const known = earlierCreations(tx, identity);
        const earlier = known.keyed ?? known.replayed;
        const order = (earlier && orderById(tx, earlier.order_id)) ?? place(tx, settings, request, id);
        // Whoever captured a retry may send it again without its Idempotency-Key, which nobody signed, or with another.
        if (known.replayed === null) rememberReplay(tx, identity, order.id);
        if (earlier === null) rememberKey(tx, identity, order.id);
        return known.keyed === null ? { ...order, status: "pending" } : order;
      });
    },

    order(id) {
      const order = database.read((reader) => orderById(reader, id));
      if (order === null) throw new Fault("order_not_found");
      return order;
    },

    find: ({ merchant_order_id, limit, offset }) =>
      database.read((reader) => ordersOfMerchant(reader, merchant_order_id, limit, offset)),

    received: (order_id) => database.read((at) => receivedFor(at, order_id)),

    openDeposits: (order_id) =>
      database.read((at) =>
        openDepositsOf(at, order_id)
          .map((deposit) => ({ ...deposit, due: safelyDue(at, deposit), is_seen: isPaymentSeen(at, deposit.id) }))
          .sort((a, b) => b.id - a.id),
      ),

    canHold(chain, coin, amount) {
      const decimals = coinDecimals(config.current(), chain, coin);
      return decimals === null || toUnits(amount, decimals) !== null;
    },

    options: () =>
      config
        .current()
        .wallets.flatMap((wallet) =>
          wallet.coins.map((coin) => ({ chain: wallet.chain, coin, wallet: wallet.address })),
        ),

    async select(order_id, choice) {
      const settings = config.current();
      const { deposit, isNew } = await database.transact((tx) => {
        const order = orderById(tx, order_id);
        if (order === null) throw new Fault("order_not_found");
        if (isTerminal(order.status)) throw new Fault("order_not_pending");
        if (!isChainId(choice.blockchain)) throw new Fault("invalid_blockchain");
        if (!isCoin(choice.stablecoin)) throw new Fault("no_wallet_available");
        const open = openDepositFor(tx, order_id, choice.blockchain, choice.stablecoin);
        if (open !== null) {
          // What is left of it may have been somebody else's amount until now.
          crediting.promiseLeft(tx, open);
          return { deposit: { ...open, amount: dueOf(tx, open) }, isNew: false };
        }
        // It waits for what its chains still have to tell: whatever is sent from now on comes too late.
        if (order.expires_at < tx.now) throw new Fault("order_not_pending");
        // After a part only the remainder is asked for: an amount is preferred of which that can be reserved.
        const isBegun = receivedFor(tx, order_id) > 0n;
        const offer = chooseOffer(tx, settings, order, {
          chain: choice.blockchain,
          coin: choice.stablecoin,
          now: tx.now,
          isFitting: (one) => !isBegun || crediting.canReserveLeft(tx, { ...one, order_id, sender: order.sender }),
        });

        const deposit = openDeposit(tx, { ...offer, order_id, sender: order.sender });
        const body = JSON.stringify({ deposit: deposit.id, blockchain: offer.chain, stablecoin: offer.coin });
        appendEvent(tx, { type: "deposit_opened", order_id, transfer: null, body, url: null });
        crediting.promiseLeft(tx, deposit);
        return { deposit: { ...deposit, amount: dueOf(tx, deposit) }, isNew: true };
      });
      if (isNew) opened?.(deposit);
      return deposit;
    },

    cancel: (order_id) => database.transact((tx) => crediting.end(tx, order_id, "cancel").order),
  };
}

/** A host that is literally private is refused at once; names are resolved and checked at each delivery. */
function checkTarget(webhook_url: string, settings: Config): void {
  if (settings.webhooks.allow_private_targets) return;
  if (literalTarget(new URL(webhook_url)) === "private") {
    throw new Fault("invalid_webhook_url", "invalid webhook_url: private, loopback and link-local targets are refused");
  }
}

/**
 * Some wallet must serve what the merchant pre-selected (null leaves the choice to the payer), in a coin that has the
 * decimals of the amount. Faults: no_wallet_available, invalid_amount.
 */
function checkCoins(settings: Config, { chain, coin, amount }: NewOrderRequest): void {
  const offered = settings.wallets
    .filter((wallet) => chain === null || wallet.chain === chain)
    .flatMap((wallet) => wallet.coins.map((one) => ({ chain: wallet.chain, coin: one })))
    .filter((pair) => coin === null || pair.coin === coin);
  if (offered.length === 0)
    throw new Fault(
      "no_wallet_available",
      undefined,
      undefined,
      `no wallet takes ${coin ?? "a coin"} on ${chain ?? "any chain"}`,
    );
  const decimals = offered.map((pair) => coinDecimals(settings, pair.chain, pair.coin) ?? 0);
  if (decimals.some((one) => toUnits(amount, one) !== null)) return;
  const most = Math.max(...decimals);
  throw new Fault(
    "invalid_amount",
    `${errorCodes.invalid_amount.text}: more than ${most} decimals, which no offered coin has`,
  );
}

function place(tx: Tx, settings: Config, request: NewOrderRequest, id: string): OrderRow {
  checkTarget(request.webhook_url, settings);
  checkCoins(settings, request);

  const { lifetime_s = null } = request.options ?? {};
  const lifetime_ms = lifetime_s === null ? settings.orders.lifetime_ms : lifetime_s * 1000;
  const order = insertOrder(tx, { ...request, id, expires_at: tx.now + lifetime_ms });
  appendEvent(tx, { type: "order_created", order_id: id, transfer: null, body: "{}", url: null });
  return order;
}

/** What earlier creations made under the merchant's own key and by the same signed request. Fault: idempotency_key_reused. */
function earlierCreations(tx: Tx, identity: CreationIdentity) {
  const { replay_key, body_hash, idempotency_key } = identity;
  const keyed = idempotency_key === null ? null : creationFor(tx, `key:${idempotency_key}`, tx.now);
  if (keyed !== null && keyed.body_hash !== body_hash) throw new Fault("idempotency_key_reused");
  return { keyed, replayed: creationFor(tx, `replay:${replay_key}`, tx.now) };
}

function rememberReplay(tx: Tx, { replay_key, body_hash, replayable_until }: CreationIdentity, order_id: string): void {
  insertCreation(tx, { key: `replay:${replay_key}`, body_hash, order_id, expires_at: replayable_until });
}

function rememberKey(tx: Tx, { idempotency_key, body_hash }: CreationIdentity, order_id: string): void {
  if (idempotency_key === null) return;
  const expires_at = tx.now + idempotency_memory_ms;
  insertCreation(tx, { key: `key:${idempotency_key}`, body_hash, order_id, expires_at });
}
