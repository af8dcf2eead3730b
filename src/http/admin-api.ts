// The Admin API: what an operator's dashboard lists and repairs. Every route but health asks for the admin secret first.

import { isChainId, isCoin } from "../domain/assets.ts";
import { isOrderStatus } from "../domain/order.ts";
import { isTransferStatus } from "../domain/payment.ts";
import type { Operator } from "../services/operator.ts";
import { adminDepositShape, adminOrderShape, adminTransferShape, adminWalletShape } from "../wire/shapes.ts";
import type { AdminAuth } from "./admin-auth.ts";
import { empty, json } from "./answers.ts";
import { integerOf, oneOf, orderIdOf, pageOf, textFilter, uuidFilter } from "./parameters.ts";
import type { Call, Route } from "./route.ts";

/** How the audit names whoever holds the admin secret. */
const actor = "admin-api";
const mark_paid_reason = "marked paid over the Admin API";

/** The routes of the Admin API. */
export function adminRoutes(needs: { auth: AdminAuth; operator: Operator }): Route[] {
  const { auth, operator } = needs;
  const route = (method: Route["method"], path: string, handle: Route["handle"]): Route => ({
    method,
    path: `/api/v1/admin/${path}`,
    async handle(call) {
      await auth.check(call.request, call.connection.address);
      return handle(call);
    },
  });
  return [
    route("GET", "orders", ({ query }) => {
      const filter = {
        status: oneOf(query, "status", isOrderStatus),
        merchant_order_id: textFilter(query, "merchant_order_id"),
      };
      return json(200, operator.orders(filter, pageOf(query)).map(adminOrderShape));
    }),
    route("GET", "deposits", ({ query }) => {
      const filter = {
        order_id: uuidFilter(query, "order_id"),
        chain: oneOf(query, "blockchain", isChainId),
        coin: oneOf(query, "token", isCoin),
      };
      return json(200, operator.deposits(filter, pageOf(query)).map(adminDepositShape));
    }),
    route("GET", "wallets", () => json(200, operator.wallets().map(adminWalletShape))),
    route("GET", "wallets/:address/transfers", (call) => {
      const { query } = call;
      const filter = {
        wallet: call.param("address"),
        status: oneOf(query, "status", isTransferStatus),
        chain: oneOf(query, "blockchain", isChainId),
        label: oneOf(query, "token", isCoin),
      };
      return json(200, operator.transfers(filter, pageOf(query)).map(adminTransferShape));
    }),
    route("POST", "orders/:order_id/mark-paid", async (call) =>
      json(200, adminOrderShape(await operator.markPaid(orderIdOf(call), actor, mark_paid_reason))),
    ),
    route("POST", "orders/:order_id/resend-webhook", async (call) => {
      await operator.resendOrder(orderIdOf(call), actor);
      return empty(200);
    }),
    route("POST", "transfers/:transfer_id/resend-webhook", async (call) => {
      await operator.resendTransfer(integerOf(call, "transfer_id"), actor);
      return empty(200);
    }),
  ];
}

/** Health, for load balancers and dashboards: asks nothing of anybody and touches no database. */
export function healthRoutes(version: string): Route[] {
  const handle = (_call: Call) => json(200, { status: "ok", version });
  return ["/health", "/api/v1/admin/health"].map((path) => ({ method: "GET", path, handle }));
}
