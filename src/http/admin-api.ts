// The Admin API: what an operator's dashboard lists and repairs. Every route but health asks for the admin secret first.

import { Fault } from "../domain/errors.ts";
import type { Inbox } from "../services/inbox.ts";
import type { Operator } from "../services/operator.ts";
import { chainCoverageShape } from "../wire/coverage.ts";
import { parseJson, readUtf8 } from "../wire/json.ts";
import { adminOrderShape } from "../wire/orders.ts";
import { readAssignment, readDismissal, readUnassignment } from "../wire/requests.ts";
import {
  adminDepositShape,
  adminTransferShape,
  adminWalletShape,
  assignmentShape,
  inboxEntryShape,
} from "../wire/transfers.ts";
import type { AdminAuth } from "./admin-auth.ts";
import { empty, json } from "./answers.ts";
import type { ReadBody } from "./body.ts";
import * as descriptions from "./descriptions.ts";
import {
  coverageQuery,
  depositQuery,
  inboxQuery,
  integerOf,
  orderIdOf,
  orderQuery,
  readQuery,
  transferQuery,
} from "./parameters.ts";
import type { About, Call, Route } from "./route.ts";

/** How the audit names whoever holds the admin secret. */
const actor = "admin-api";
const mark_paid_reason = "marked paid over the Admin API";

/** The routes of the Admin API, with `more` of extensions, whose paths lie below the same prefix. */
export function adminRoutes(needs: {
  readBody: ReadBody;
  auth: AdminAuth;
  operator: Operator;
  inbox: Inbox;
  more: readonly Route[];
}): Route[] {
  const { readBody, auth, operator, inbox, more } = needs;
  const bodyOf = async ({ request }: Call) => {
    const text = readUtf8(await readBody(request));
    if (text === null) throw new Fault("unreadable_body");
    return parseJson(text);
  };
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
      const { status, blockchain: chain, token: coin, unaccepted, ...page } = readQuery(transferQuery, call.query);
      const filter = { wallet: call.param("address"), status, chain, coin, unaccepted: unaccepted === "true" };
      return json(200, operator.transfers(filter, page).map(adminTransferShape));
    }),
    route(admin.coverage, "GET", "coverage", ({ query }) => {
      const { blockchain } = readQuery(coverageQuery, query);
      return json(200, operator.coverage(blockchain).map(chainCoverageShape));
    }),
    route(admin.inbox, "GET", "inbox", ({ query }) => {
      const { blockchain: chain, reason, dust, ...page } = readQuery(inboxQuery, query);
      return json(200, inbox.list({ chain, reason, dust: dust === "true" }, page).map(inboxEntryShape));
    }),
    ...more.map(({ about, method, path, handle }) => route(about, method, path, handle)),
    route(admin.assign, "POST", "transfers/:transfer_id/assign", async (call) => {
      const id = integerOf(call, "transfer_id");
      const { order_id, reason } = readAssignment(await bodyOf(call));
      return json(200, assignmentShape(await inbox.assign(id, order_id, actor, reason)));
    }),
    route(admin.unassign, "POST", "transfers/:transfer_id/unassign", async (call) => {
      const id = integerOf(call, "transfer_id");
      const reason = readUnassignment(await bodyOf(call));
      return json(200, assignmentShape(await inbox.unassign(id, actor, reason)));
    }),
    route(admin.dismiss, "POST", "transfers/:transfer_id/dismiss", async (call) => {
      const id = integerOf(call, "transfer_id");
      const reason = readDismissal(await bodyOf(call));
      return json(200, adminTransferShape(await inbox.dismiss(id, actor, reason)));
    }),
    route(admin.markPaid, "POST", "orders/:order_id/mark-paid", async (call) =>
      json(200, adminOrderShape((await operator.markPaid(orderIdOf(call), actor, mark_paid_reason)).order)),
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
