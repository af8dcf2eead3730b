// What an operator sees and repairs: lists, marking an order paid, sending a webhook again. The Admin API and the
// command line are two faces of these verbs.

import type { ChainSettings, LiveConfig } from "../config/config.ts";
import { canonicalAnywhere } from "../domain/address.ts";
import { type ChainId, type Coin, chainFacts } from "../domain/assets.ts";
import { Fault } from "../domain/errors.ts";
import { paymentRevertedBody, unknownTransferBody } from "../domain/events.ts";
import type { OrderStatus } from "../domain/order.ts";
import { allChains, allProviders, type ChainRow, type ProviderRow } from "../storage/chains.ts";
import { allChecks, type CheckRow, openCases } from "../storage/checks.ts";
import { watchesOf } from "../storage/coverage.ts";
import { type DepositFilter, type ListedDeposit, listDeposits } from "../storage/deposits.ts";
import type { Database } from "../storage/engine/database.ts";
import { announceStatus } from "../storage/ledger.ts";
import {
  countOrders,
  type ListedOrder,
  listedOrder,
  listOrders,
  type OrderFilter,
  orderById,
} from "../storage/orders.ts";
import { appendEvent, countDeliveries, recordAudit } from "../storage/outbox.ts";
import { countReservations } from "../storage/reservations.ts";
import { type ListedTransfer, listTransfers, type TransferFilter } from "../storage/transfer-lists.ts";
import { transferById } from "../storage/transfers.ts";
import { givenUpOn } from "../storage/unserved.ts";
import { type CoinCapacity, capacityOf } from "./capacity.ts";
import { type ChainCoverage, coverageOf } from "./coverage.ts";
import type { Crediting } from "./crediting.ts";

export interface ListPage {
  limit: number;
  offset: number;
}

export interface WalletView {
  chain: ChainId;
  address: string;
  coins: readonly Coin[];
}

export interface ChainStatus {
  id: ChainId;
  row: ChainRow | null;
  /** The band in which its seconds per block are usual; null for a chain with an id of the merchant's own. */
  usual_pace: { least: number; most: number } | null;
  wallets: number;
  contracts: number;
  open_slots: number;
  quarantined_slots: number;
  providers: ProviderRow[];
  /** How recorded transfers compare with what wallets hold and with an index. */
  checks: CheckRow[];
  unexplained_balances: number;
  /** Blocks that nobody serves and that hold up the release of reservations no longer. */
  given_up: { wallet: string; label: string; from: number; to: number }[];
}

export interface Status {
  orders: Map<OrderStatus, number>;
  deliveries: { waiting: number; gave_up: number; delivered: number };
  chains: ChainStatus[];
}

export interface Operator {
  orders(filter: OrderFilter, page: ListPage): ListedOrder[];
  deposits(filter: DepositFilter, page: ListPage): ListedDeposit[];
  transfers(filter: TransferFilter, page: ListPage): ListedTransfer[];
  wallets(): WalletView[];
  status(): Status;
  /** How many more orders of the amounts most asked for can be told apart; `now` in ms. */
  capacity(now: number): CoinCapacity[];
  /** Up to where the transfers of every wallet are accounted for, on all chains or on one. */
  coverage(chain?: ChainId): ChainCoverage[];
  /**
   * Makes an order paid by hand; `was` is the status it had. Paid already is fine and sends nothing.
   * Fault: resource_not_found.
   */
  markPaid(order_id: string, actor: string, reason: string): Promise<{ order: ListedOrder; was: OrderStatus }>;
  /**
   * Queues one more webhook with the order's current status, and the proof of a hosted checkout for all its receivers.
   * Fault: resource_not_found.
   */
  resendOrder(order_id: string, actor: string): Promise<void>;
  /** Queues the webhook of a transfer that pays nothing again. Faults: resource_not_found, transfer_matched, no_unknown_transfer_url. */
  resendTransfer(transfer: number, actor: string): Promise<void>;
}

/** The operator's verbs over one database; works beside a running server. */
export function createOperator(needs: { database: Database; config: LiveConfig; crediting: Crediting }): Operator {
  const { database, config, crediting } = needs;
  return {
    orders: (filter, page) => database.read((at) => listOrders(at, filter, page.limit, page.offset)),
    deposits: (filter, page) => database.read((at) => listDeposits(at, filter, page.limit, page.offset)),
    transfers(filter, page) {
      // An EVM address compares without regard to case; a text that is no address at all matches nothing.
      const wallet = filter.wallet === undefined ? undefined : (anyCase(filter.wallet) ?? filter.wallet);
      return database.read((at) => listTransfers(at, { ...filter, wallet }, page.limit, page.offset));
    },
    wallets: () => config.current().wallets.map(({ chain, address, coins }) => ({ chain, address, coins })),

    status: () =>
      database.read((at) => {
        const rows = new Map(allChains(at).map((row) => [row.chain, row]));
        const slots = new Map(countReservations(at).map((row) => [row.chain, row]));
        const providers = allProviders(at);
        const checks = allChecks(at);
        // A chain that lost its wallets is read for as long as it owes somebody an amount.
        const ids = new Set([...config.current().chains.keys(), ...slots.keys()]);
        const shown = [...ids].map((id): ChainStatus => {
          const watches = watchesOf(at, id);
          return {
            id,
            row: rows.get(id) ?? null,
            usual_pace: usualPace(id, config.current().chains.get(id)),
            wallets: new Set(watches.map((watch) => watch.wallet)).size,
            contracts: new Set(watches.map((watch) => watch.token)).size,
            open_slots: slots.get(id)?.open ?? 0,
            quarantined_slots: slots.get(id)?.quarantined ?? 0,
            providers: providers.filter((provider) => provider.chain === id),
            checks: checks.filter((check) => check.chain === id),
            unexplained_balances: openCases(at, id).length,
            given_up: givenUpOn(at, id),
          };
        });
        return { orders: countOrders(at), deliveries: countDeliveries(at), chains: shown };
      }),

    capacity: (now) => database.read((at) => capacityOf(at, config.current(), now)),

    coverage: (chain) =>
      database
        .read((at) => coverageOf(at, config.current()))
        .filter((one) => chain === undefined || one.chain === chain),

    async markPaid(order_id, actor, reason) {
      const was = await database.transact((tx) => {
        const before = orderById(tx, order_id);
        if (before === null) throw new Fault("resource_not_found");
        const { changed } = crediting.end(tx, order_id, "mark_paid");
        if (changed) recordAudit(tx, { actor, action: "mark_paid", subject: `order:${order_id}`, detail: reason });
        return before.status;
      });
      const order = database.read((at) => listedOrder(at, order_id));
      if (order === null) throw new Fault("resource_not_found");
      return { order, was };
    },

    resendOrder: (order_id, actor) =>
      database.transact((tx) => {
        const order = orderById(tx, order_id);
        if (order === null) throw new Fault("resource_not_found");
        announceStatus(tx, order);
        for (const hook of tx.hooks) hook.webhookResent(tx, order_id);
        recordAudit(tx, { actor, action: "resend_webhook", subject: `order:${order_id}`, detail: "" });
      }),

    resendTransfer: (transfer, actor) =>
      database.transact((tx) => {
        const row = transferById(tx, transfer);
        if (row === null) throw new Fault("resource_not_found");
        if (row.status === "matched") throw new Fault("transfer_matched");
        const url = config.current().merchant.unknown_transfer_webhook_url;
        if (url === null) throw new Fault("no_unknown_transfer_url");
        const { likely_order: order_id } = row;
        const event =
          row.reverted_at === null
            ? { type: "unknown_transfer" as const, body: unknownTransferBody(row, tx.now) }
            : { type: "payment_reverted" as const, body: paymentRevertedBody({ ...row, order_id }, tx.now) };
        appendEvent(tx, { ...event, order_id, transfer, url });
        recordAudit(tx, { actor, action: "resend_webhook", subject: `transfer:${transfer}`, detail: "" });
      }),
  };
}

/** The canonical form of an address in any spelling of its case. */
function anyCase(text: string): string | null {
  return canonicalAnywhere(/^0x/i.test(text) ? text.toLowerCase() : text);
}

/** Nothing is stated of the pace of a chain that has an id of the merchant's own. */
function usualPace(id: ChainId, settings: ChainSettings | undefined): ChainStatus["usual_pace"] {
  const { chain_id, seconds_per_block } = chainFacts[id];
  return settings === undefined || settings.chain_id === chain_id ? seconds_per_block : null;
}
