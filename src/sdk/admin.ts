// The Admin API, for an operator's own tools: lists and repairs. Holds the admin secret, so it must never run in a
// browser.

import type {
  AdminDeposit,
  AdminOrder,
  AdminProof,
  AdminTransfer,
  AdminWallet,
  Assignment,
  ChainCoverage,
  InboxEntry,
  ProofOutcome,
} from "./admin-shapes.ts";
import type { Blockchain, Stablecoin } from "./assets.ts";
import { type Connection, createCaller, jsonOf } from "./request.ts";
import type { OrderStatus, TransferStatus } from "./shapes.ts";
import { headerBytes } from "./signature.ts";

/** What `createAdmin` needs. */
export interface AdminOptions extends Connection {
  /** `admin.secret` of the configuration, in plain text. */
  secret: string;
}

/** A part of a list, newest first: `limit` 1 to 200 (20 unless said otherwise) rows from `offset` on. */
export interface Page {
  limit?: number | undefined;
  offset?: number | undefined;
}

/** Which orders to list. */
export interface OrderFilter extends Page {
  status?: OrderStatus | undefined;
  /** Exactly your reference. */
  merchant_order_id?: string | undefined;
}

/** Which open deposits to list. */
export interface DepositFilter extends Page {
  order_id?: string | undefined;
  blockchain?: Blockchain | undefined;
  token?: Stablecoin | undefined;
}

/** Which transfers of a wallet to list. */
export interface TransferFilter extends Page {
  status?: TransferStatus | undefined;
  blockchain?: Blockchain | undefined;
  token?: Stablecoin | undefined;
  /** Tokens that are accepted as no coin, such as USDC.e, too. */
  unaccepted?: boolean | undefined;
}

/** Which entries of the inbox to list. */
export interface InboxFilter extends Page {
  blockchain?: Blockchain | undefined;
  /** As `reason` of an entry. */
  reason?: string | undefined;
  /** Dust and look-alikes too. */
  dust?: boolean | undefined;
}

/** Which proofs to list. */
export interface ProofFilter extends Page {
  outcome?: ProofOutcome | undefined;
}

/** The Admin API of one Ocrch. Every verb throws OcrchError with the server's status and words. */
export interface Admin {
  /** Orders, newest first. */
  orders(filter?: OrderFilter): Promise<AdminOrder[]>;
  /** Open deposits. */
  deposits(filter?: DepositFilter): Promise<AdminDeposit[]>;
  /** Transfers to one wallet; an address that was never seen has none. */
  transfers(address: string, filter?: TransferFilter): Promise<AdminTransfer[]>;
  /** The wallets as configured. */
  wallets(): Promise<AdminWallet[]>;
  /** What is accounted for and what is outstanding, per chain, wallet and contract. */
  coverage(filter?: { blockchain?: Blockchain | undefined }): Promise<ChainCoverage[]>;
  /** Money that waits for a person, newest first. */
  inbox(filter?: InboxFilter): Promise<InboxEntry[]>;
  /** Proofs of payment of the Opencharge network, newest first. */
  proofs(filter?: ProofFilter): Promise<AdminProof[]>;
  /**
   * Credits a transfer to an order: pays a pending one or a part of it, an expired or cancelled one when it is enough.
   * 409: the transfer pays another order, is not confirmed or has left the chain, or other money paid the order.
   */
  assign(transfer_id: number, order_id: string, reason?: string): Promise<Assignment>;
  /** Takes back what a transfer paid. 409: it pays nothing, or its order was paid by it. */
  unassign(transfer_id: number, reason?: string): Promise<Assignment>;
  /** Takes a transfer out of the inbox. 409: it is not in it. */
  dismiss(transfer_id: number, reason: string): Promise<AdminTransfer>;
  /** Makes a pending, cancelled or expired order paid, with its webhook. One that is paid stays as it is. */
  markPaid(order_id: string): Promise<AdminOrder>;
  /** Sends the order's status once more, as a new event. */
  resendWebhook(order_id: string): Promise<void>;
  /** Sends the unknown-transfer webhook once more. 409: the transfer is matched, or no URL is configured. */
  resendTransferWebhook(transfer_id: number): Promise<void>;
}

/** Connects an operator's tool to its Ocrch. Throws a TypeError for a bad URL or an empty secret. */
export function createAdmin(options: AdminOptions): Admin {
  if (options.secret === "") throw new TypeError("the admin secret is missing");
  const call = createCaller(options);
  const headers = { "Ocrch-Admin-Authorization": headerBytes(options.secret) };
  const ask = (method: "GET" | "POST", path: string, body?: string) =>
    call({ method, path: `/api/v1/admin/${path}`, headers, ...(body === undefined ? {} : { body }) });
  const list = async <T>(path: string, filter: object = {}) => jsonOf<T[]>(await ask("GET", path + queryOf(filter)));
  const repair = (path: string, id: string | number, verb: string, body?: object) =>
    ask("POST", `${path}/${encodeURIComponent(id)}/${verb}`, body && JSON.stringify(body));

  return {
    orders: (filter) => list<AdminOrder>("orders", filter),
    deposits: (filter) => list<AdminDeposit>("deposits", filter),
    transfers: (address, filter) => list<AdminTransfer>(`wallets/${encodeURIComponent(address)}/transfers`, filter),
    wallets: () => list<AdminWallet>("wallets"),
    coverage: (filter) => list<ChainCoverage>("coverage", filter),
    inbox: (filter) => list<InboxEntry>("inbox", filter),
    proofs: (filter) => list<AdminProof>("opencharge/proofs", filter),
    async assign(transfer_id, order_id, reason) {
      return jsonOf<Assignment>(await repair("transfers", transfer_id, "assign", { order_id, reason }));
    },
    async unassign(transfer_id, reason) {
      return jsonOf<Assignment>(await repair("transfers", transfer_id, "unassign", { reason }));
    },
    async dismiss(transfer_id, reason) {
      return jsonOf<AdminTransfer>(await repair("transfers", transfer_id, "dismiss", { reason }));
    },
    async markPaid(order_id) {
      return jsonOf<AdminOrder>(await repair("orders", order_id, "mark-paid"));
    },
    async resendWebhook(order_id) {
      await repair("orders", order_id, "resend-webhook");
    },
    async resendTransferWebhook(transfer_id) {
      await repair("transfers", transfer_id, "resend-webhook");
    },
  };
}

function queryOf(filter: object): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) if (value !== undefined) query.set(name, String(value));
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}
