// What the network asks of a merchant: its rows of addresses. Reads bodies and renders answers; what an order is and
// when a proof pays it is decided in services/.

import type { OpenchargeMerchant } from "../services/merchant.ts";
import type { Payments } from "../services/payments.ts";
import { orderStatusAnswer, signedOrderAnswer, webhookAnswer } from "../wire/answers.ts";
import { isRefusal } from "../wire/errors.ts";
import { withoutNulls } from "../wire/orders.ts";
import { readEnvelope, readOrderCreate } from "../wire/readers.ts";
import type { OpenchargeRow } from "./row.ts";

/** The rows of a merchant. */
export function merchantRows({
  merchant,
  payments,
}: {
  merchant: OpenchargeMerchant;
  payments: Payments;
}): OpenchargeRow[] {
  return [
    {
      method: "POST",
      path: "/orders/create",
      role: "merchant",
      capability: "orders.create",
      auth: "signed",
      creates: true,
      async handle({ caller, body }) {
        const wanted = readOrderCreate(body);
        if (isRefusal(wanted)) return wanted;
        const made = await merchant.create(caller, wanted);
        return isRefusal(made) ? made : signedOrderAnswer(made.signed, made.urls);
      },
    },
    {
      method: "GET",
      path: "/orders/:id",
      role: "merchant",
      capability: null,
      auth: "open",
      handle({ id }) {
        const found = merchant.order(id);
        return isRefusal(found) ? found : signedOrderAnswer(found.signed, found.urls);
      },
    },
    {
      method: "GET",
      path: "/orders/:id/status",
      role: "merchant",
      capability: "orders.status",
      auth: "open",
      handle({ id }) {
        const state = merchant.state(id);
        return isRefusal(state) ? state : orderStatusAnswer(state.id, state.status, state.paid);
      },
    },
    {
      method: "GET",
      path: "/inventory",
      role: "merchant",
      capability: "inventory.get",
      auth: "open",
      handle() {
        const { ocid, currency, items } = merchant.inventory();
        return { ocid, currency, items: items.map((item) => withoutNulls({ ...item, currency })) };
      },
    },
    {
      method: "POST",
      path: "/transfer/webhook",
      role: "both",
      capability: "transfer.webhook",
      auth: "signed",
      creates: true,
      async handle({ caller, body }) {
        const envelope = readEnvelope(body);
        if (isRefusal(envelope)) return envelope;
        const receipt = (await payments.receive(caller, envelope)) ?? (await merchant.receive(caller, envelope));
        return isRefusal(receipt) ? receipt : webhookAnswer(receipt.status, receipt.txid, receipt.message);
      },
    },
  ];
}
