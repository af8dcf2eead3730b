// The Admin API: what an operator's dashboard lists and repairs. Every route but health asks for the admin secret first.

import type { Operator } from "../services/operator.ts";
import { chainCoverageShape } from "../wire/coverage.ts";
import { adminDepositShape, adminOrderShape, adminTransferShape, adminWalletShape } from "../wire/shapes.ts";
import type { AdminAuth } from "./admin-auth.ts";
import { empty, json } from "./answers.ts";
import * as descriptions from "./descriptions.ts";
import {
  coverageQuery,
  depositQuery,
  integerOf,
  orderIdOf,
  orderQuery,
  readQuery,
  transferQuery,
} from "./parameters.ts";
import type { About, Route } from "./route.ts";

/** How the audit names whoever holds the admin secret. */
const actor = "admin-api";
const mark_paid_reason = "marked paid over the Admin API";

/** The routes of the Admin API. */
export function adminRoutes(needs: { auth: AdminAuth; operator: Operator }): Route[] {
  const { auth, operator } = needs;
  const { admin } = descriptions;
  const route = (about: About, method: Route["method"], path: string, handle: Route["handle"]): Route => ({
    about,
    method,
    path: `/api/v1/admin/${path}`,
    async handle(call) {
      await auth.check(call);
      return handle(call);
    },
  });
  return [
    route(admin.orders, "GET", "orders", ({ query }) => {
      const { status, merchant_order_id, ...page } = readQuery(orderQuery, query);
      return json(200, operator.orders({ status, merchant_order_id }, page).map(adminOrderShape));
    }),
    route(admin.deposits, "GET", "deposits", ({ query }) => {
      const { order_id, blockchain: chain, token: coin, ...page } = readQuery(depositQuery, query);
      return json(200, operator.deposits({ order_id, chain, coin }, page).map(adminDepositShape));
    }),
    route(admin.wallets, "GET", "wallets", () => json(200, operator.wallets().map(adminWalletShape))),
    route(admin.transfers, "GET", "wallets/:address/transfers", (call) => {
      const { status, blockchain: chain, token: label, ...page } = readQuery(transferQuery, call.query);
      const filter = { wallet: call.param("address"), status, chain, label };
      return json(200, operator.transfers(filter, page).map(adminTransferShape));
    }),
    route(admin.coverage, "GET", "coverage", ({ query }) => {
      const { blockchain } = readQuery(coverageQuery, query);
      return json(200, operator.coverage(blockchain).map(chainCoverageShape));
    }),
    route(admin.markPaid, "POST", "orders/:order_id/mark-paid", async (call) =>
      json(200, adminOrderShape(await operator.markPaid(orderIdOf(call), actor, mark_paid_reason))),
    ),
    route(admin.resendOrder, "POST", "orders/:order_id/resend-webhook", async (call) => {
      await operator.resendOrder(orderIdOf(call), actor);
      return empty(200);
    }),
    route(admin.resendTransfer, "POST", "transfers/:transfer_id/resend-webhook", async (call) => {
      await operator.resendTransfer(integerOf(call, "transfer_id"), actor);
      return empty(200);
    }),
  ];
}

/** Health, for load balancers and dashboards: asks nothing of anybody and touches no database. */
export function healthRoutes(version: string): Route[] {
  const { health, adminHealth } = descriptions.open;
  const handle = () => json(200, { status: "ok", version });
  return [
    { about: health, method: "GET", path: "/health", handle },
    { about: adminHealth, method: "GET", path: "/api/v1/admin/health", handle },
  ];
}
