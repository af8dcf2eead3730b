// What the network does inside the core's transactions: an order that was paid owes a proof, and the pages of a signed
// order end with it. Statements only; decides nothing.

import type { Reader, Tx } from "../../storage/engine/database.ts";
import type { Hooks } from "../../storage/hooks.ts";
import { insertOwedProof, isBeingPaid, openCheckoutsFor, queueProofOf, sessionOfOrder } from "./gateway.ts";

/** The hooks of the network. */
export const openchargeHooks: Hooks<Reader, Tx> = {
  orderPaid: insertOwedProof,
  dependentOrders: openCheckoutsFor,
  isBeingPaid,
  provedAs(at, order_id) {
    const page = sessionOfOrder(at, order_id);
    return page === null || page.proof === null ? null : page.txid;
  },
  webhookResent(tx, order_id) {
    const page = sessionOfOrder(tx, order_id);
    if (page !== null) queueProofOf(tx, page);
  },
};
