// What the network may ask of us as a gateway, and the pages of hosted checkouts. Reads bodies into values and renders
// answers; what holds and what is owed is the gateway's to say.

import type { Payments } from "../services/payments.ts";
import type { Proofs } from "../services/proofs.ts";
import {
  checkoutAnswer,
  paymentCreatedAnswer,
  paymentSettledAnswer,
  redirectAnswer,
  verifyCompletedAnswer,
  verifyPendingAnswer,
} from "../wire/answers.ts";
import { isRefusal, networkRefusal } from "../wire/errors.ts";
import { readCheckoutCreate, readOrdersCheckout, readPaymentCreate, readPaymentSettle } from "../wire/readers.ts";
import { createCheckoutPages } from "./pages.ts";
import type { OpenchargeRow } from "./row.ts";

/**
 * Endpoints of the network that presume accounts with balances, or knowledge of persons: there are none here, and
 * whoever asks is told so, signed or not.
 */
const not_offered = ["/transfer/create", "/orders/create/:id", "/kyc/:id", "/kyc/:id/:id"] as const;

/** The rows of the gateway. */
export function gatewayRows(
  needs: { payments: Payments; proofs: Proofs } & Parameters<typeof createCheckoutPages>[0],
): OpenchargeRow[] {
  const { gateway, payments, proofs } = needs;
  const pages = createCheckoutPages(needs);
  const head = { role: "gateway", capability: null } as const;
  return [
    {
      ...head,
      method: "POST",
      path: "/checkout/create",
      capability: "checkout.create",
      auth: "signed",
      creates: true,
      async handle({ caller, body }) {
        const request = readCheckoutCreate(body);
        if (isRefusal(request)) return request;
        const opened = await gateway.open(caller, request, "checkout");
        return isRefusal(opened) ? opened : checkoutAnswer(opened);
      },
    },
    {
      ...head,
      method: "POST",
      path: "/orders/checkout",
      capability: "orders.checkout",
      auth: "signed",
      creates: true,
      async handle({ caller, body }) {
        const request = readOrdersCheckout(body);
        if (isRefusal(request)) return request;
        const opened = await gateway.open(caller, request, "merchant");
        return isRefusal(opened) ? opened : redirectAnswer(opened.url);
      },
    },
    {
      ...head,
      method: "POST",
      path: "/payment/create",
      capability: "payment.create",
      auth: "signed",
      creates: true,
      async handle({ caller, body }) {
        const wanted = readPaymentCreate(body);
        if (isRefusal(wanted)) return wanted;
        const made = await payments.create(caller, wanted);
        return isRefusal(made) ? made : paymentCreatedAnswer(made.payment, made.accepts);
      },
    },
    {
      ...head,
      method: "POST",
      path: "/payment/settle",
      capability: "payment.settle",
      auth: "signed",
      async handle({ caller, body }) {
        const wanted = readPaymentSettle(body);
        if (isRefusal(wanted)) return wanted;
        const settled = await payments.settle(caller, wanted);
        return isRefusal(settled) ? settled : paymentSettledAnswer(wanted.txid, settled);
      },
    },
    {
      ...head,
      method: "GET",
      path: "/verify/:id",
      capability: "verify.txid",
      auth: "open",
      handle({ id }) {
        const payment = payments.state(id);
        const proof = payment === null ? proofs.of(id) : payment.proof;
        if (payment !== null && proof === null) return verifyPendingAnswer(payment.pending, payment.is_expired);
        return proof === null || isRefusal(proof) ? networkRefusal("TXID_NOT_FOUND") : verifyCompletedAnswer(proof);
      },
    },
    {
      ...head,
      method: "GET",
      path: "/pay/:id",
      auth: "nobody",
      handle: ({ id, request }) => pages.show(id, request),
      busy: pages.busy,
    },
    {
      ...head,
      method: "POST",
      path: "/pay/:id",
      auth: "nobody",
      handle: ({ id, request }) => pages.take(id, request),
      busy: pages.busy,
    },
    ...not_offered.flatMap((path) =>
      (["GET", "POST"] as const).map(
        (method): OpenchargeRow => ({
          ...head,
          method,
          path,
          role: "both",
          auth: "open",
          handle: () => networkRefusal("CAPABILITY_NOT_SUPPORTED"),
        }),
      ),
    ),
  ];
}
