// The typed client of Ocrch: for a shop's server, its checkout page and its operator's tools. Imports nothing from
// outside this folder and depends on nothing but what Node.js 20, Bun, Deno, edge runtimes and browsers all have.

export {
  type Admin,
  type AdminOptions,
  createAdmin,
  type DepositFilter,
  type InboxFilter,
  type OrderFilter,
  type Page,
  type ProofFilter,
  type TransferFilter,
} from "./admin.ts";
export type {
  AdminDeposit,
  AdminOrder,
  AdminProof,
  AdminTransfer,
  AdminWallet,
  Assignment,
  Candidate,
  ChainCoverage,
  InboxEntry,
  ProofOutcome,
  UnexplainedBalance,
  WalletCoverage,
} from "./admin-shapes.ts";
export type { Blockchain, Stablecoin } from "./assets.ts";
export {
  type Abortable,
  createOcrch,
  type FindOptions,
  type Ocrch,
  type OcrchOptions,
  type SignedCheckout,
} from "./client.ts";
export { OcrchError, WebhookError, type WebhookProblem } from "./errors.ts";
export type { EventOptions } from "./events.ts";
export type { Socket, SocketConstructor } from "./follow.ts";
export { createInOrder, type HandledStore, type InOrder } from "./in-order.ts";
export { createPayer, type FollowOptions, type Payer, type PayerOptions, type Signature } from "./payer.ts";
export type { Connection, Fetch } from "./request.ts";
export type {
  ChainCoin,
  Choice,
  Claim,
  DepositOpened,
  JsonObject,
  NewOrder,
  OcrchEvent,
  Order,
  OrderPartPaid,
  OrderStatus,
  OrderStatusChanged,
  PaymentDetail,
  PaymentReverted,
  TransferAssigned,
  TransferSeen,
  TransferStatus,
  UnknownTransfer,
} from "./shapes.ts";
export {
  verifyWebhook,
  type WebhookEvent,
  type WebhookHeaders,
  type WebhookRequest,
  type WebhookSecrets,
} from "./webhooks.ts";
