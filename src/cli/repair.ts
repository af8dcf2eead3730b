// `ocrch mark-paid` and `ocrch resend-webhook`: what an operator repairs by hand. Needs no running server; one that
// runs delivers what is queued here within a second.

import { Fault } from "../domain/errors.ts";
import type { Operator } from "../services/operator.ts";
import { adminOrderShape } from "../wire/orders.ts";
import { parseUuid } from "../wire/uuid.ts";
import { withOperator, withSubject } from "./appliance.ts";
import { type Command, command, commonFlags, integerArgument, jsonFlag, type Tools } from "./command.ts";
import { printable, shortened } from "./table.ts";

/** Who did it, in the audit log. */
const actor = "cli";

export const orderArgument = { type: "positional", required: true, description: "The order's UUID" } as const;

/** `ocrch mark-paid`. Faults: usage, resource_not_found. */
export function markPaidCommand(tools: Tools): Command {
  const reason = { type: "string", valueHint: "TEXT", description: "Kept in the audit log", default: "" } as const;
  const args = { order: orderArgument, reason, ...jsonFlag, ...commonFlags } as const;
  return command("mark-paid", "Make an order paid by hand and tell the shop", args, async (args) => {
    const id = orderId(args.order);
    const { order, was } = await withOperator(tools, args, ({ operator }) =>
      withSubject(`order ${id}`, () => operator.markPaid(id, actor, args.reason)),
    );
    if (args.json) return tools.world.print(JSON.stringify(adminOrderShape(order), null, 2));
    const done = was === "paid" ? "already paid; nothing sent" : `was ${was}; the shop will be told`;
    const line = `order ${id} (${JSON.stringify(shortened(order.merchant_order_id))}, ${order.amount}): ${order.status}, ${done}`;
    tools.world.print(printable(line));
  });
}

/** `ocrch resend-webhook`. Faults: usage, resource_not_found, transfer_matched, no_unknown_transfer_url. */
export function resendWebhookCommand(tools: Tools): Command {
  const args = {
    order: { ...orderArgument, required: false },
    transfer: { type: "string", valueHint: "ID", description: "A transfer that belongs to no order, instead of ORDER" },
    ...commonFlags,
  } as const;
  return command("resend-webhook", "Send an order's or a transfer's webhook once more", args, async (args) => {
    const { subject, act } = resending(args.order, args.transfer);
    await withOperator(tools, args, ({ operator }) => withSubject(subject, () => act(operator)));
    tools.world.print(`${subject}: one more webhook is queued`);
  });
}

function resending(order?: string, transfer?: string): { subject: string; act(operator: Operator): Promise<void> } {
  if ((order === undefined) === (transfer === undefined)) {
    throw new Fault("usage", 'write either "ocrch resend-webhook ORDER" or "ocrch resend-webhook --transfer ID"');
  }
  if (transfer !== undefined) {
    const id = integerArgument("--transfer", transfer, 1, Number.MAX_SAFE_INTEGER);
    return { subject: `transfer ${id}`, act: (operator) => operator.resendTransfer(id, actor) };
  }
  const id = orderId(order ?? "");
  return { subject: `order ${id}`, act: (operator) => operator.resendOrder(id, actor) };
}

/** The order a word names, in lower case. Fault: usage. */
export function orderId(word: string): string {
  const id = parseUuid(word);
  if (id !== null) return id;
  throw new Fault("usage", `ORDER: ${JSON.stringify(word)} is no UUID; "ocrch orders" shows them`);
}
