// `ocrch inbox` and what is decided there: money that waits for a person. Needs no running server; one that runs tells
// the shop within a second.

import { chainIds } from "../domain/assets.ts";
import { Fault } from "../domain/errors.ts";
import { type EntryReason, entryReasons } from "../domain/payment.ts";
import type { Assignment, InboxEntry } from "../services/inbox.ts";
import { reason_max_chars } from "../wire/requests.ts";
import { adminTransferShape, assignmentShape, inboxEntryShape } from "../wire/transfers.ts";
import { withOperator, withSubject } from "./appliance.ts";
import {
  type Command,
  choiceArgument,
  command,
  commonFlags,
  integerArgument,
  jsonFlag,
  type Tools,
} from "./command.ts";
import { pageOf, paging } from "./lists.ts";
import { orderArgument, orderId } from "./repair.ts";
import { isoSeconds, printable, shortened } from "./table.ts";

/** Who did it, in the audit log. */
const actor = "cli";
const nothing = "nothing waits for you";

const transfer = { type: "positional", required: true, description: "The transfer's number" } as const;

const reason = { type: "string", valueHint: "TEXT", description: "Why; kept in the audit log", default: "" } as const;

/** `ocrch inbox`. */
export function inboxCommand(tools: Tools): Command {
  const args = {
    chain: choiceArgument(chainIds, "Only on this chain"),
    reason: choiceArgument(Object.keys(entryReasons) as EntryReason[], "Only for this reason"),
    dust: { type: "boolean", description: "Show dust, and less than a coin of look-alikes, too" },
    ...paging,
    ...jsonFlag,
    ...commonFlags,
  } as const;
  return command("inbox", "List money that waits for you, and the orders it may belong to", args, async (args) => {
    const filter = { chain: args.chain, reason: args.reason, dust: args.dust ?? false };
    const page = pageOf(args);
    const entries = await withOperator(tools, args, ({ inbox }) => inbox.list(filter, page));
    if (args.json) return tools.world.print(JSON.stringify(entries.map(inboxEntryShape), null, 2));
    const text = entries.map((entry) => linesOf(entry).map(printable).join("\n")).join("\n\n");
    tools.world.print(text === "" ? nothing : text);
  });
}

/**
 * `ocrch assign`. Faults: usage, resource_not_found, transfer_matched, transfer_not_confirmed, transfer_reverted,
 * order_not_pending.
 */
export function assignCommand(tools: Tools): Command {
  const args = { transfer, order: orderArgument, reason, ...jsonFlag, ...commonFlags } as const;
  return command("assign", "Credit a transfer that pays nothing to an order", args, async (args) => {
    const id = transferId(args.transfer);
    const order_id = orderId(args.order);
    const why = args.reason === "" ? "" : reasonOf(args.reason);
    const done = await withOperator(tools, args, ({ inbox }) =>
      withSubject(`transfer ${id}, order ${order_id}`, () => inbox.assign(id, order_id, actor, why)),
    );
    if (args.json) return tools.world.print(JSON.stringify(assignmentShape(done), null, 2));
    const { amount, label, chain } = done.transfer;
    tools.world.print(`transfer ${id} (${amount} ${label} on ${chain}): order ${order_id} ${effectWords(done)}`);
  });
}

/** `ocrch unassign`. Faults: usage, resource_not_found, transfer_not_assigned, order_paid_by_transfer. */
export function unassignCommand(tools: Tools): Command {
  const args = { transfer, reason, ...jsonFlag, ...commonFlags } as const;
  return command(
    "unassign",
    "Take back what a transfer paid, while its order was not paid by it",
    args,
    async (args) => {
      const id = transferId(args.transfer);
      const why = reasonOf(args.reason);
      const done = await withOperator(tools, args, ({ inbox }) =>
        withSubject(`transfer ${id}`, () => inbox.unassign(id, actor, why)),
      );
      if (args.json) return tools.world.print(JSON.stringify(assignmentShape(done), null, 2));
      tools.world.print(`transfer ${id}: taken back from order ${done.order.id}, which is ${done.order.status}`);
    },
  );
}

/** `ocrch dismiss`. Faults: usage, resource_not_found, transfer_not_in_inbox. */
export function dismissCommand(tools: Tools): Command {
  const args = { transfer, reason, ...jsonFlag, ...commonFlags } as const;
  return command("dismiss", "Take a transfer out of the inbox", args, async (args) => {
    const id = transferId(args.transfer);
    const reason = reasonOf(args.reason);
    const row = await withOperator(tools, args, ({ inbox }) =>
      withSubject(`transfer ${id}`, () => inbox.dismiss(id, actor, reason)),
    );
    if (args.json) return tools.world.print(JSON.stringify(adminTransferShape(row), null, 2));
    tools.world.print(`transfer ${id}: dismissed`);
  });
}

function effectWords({ order, outcome }: Assignment): string {
  if (outcome === null) return `had it before and is ${order.status}`;
  if (outcome.effect === "pays") {
    const more = outcome.excess === "0" ? "" : `, with ${outcome.excess} too much`;
    return `is paid${more}; the shop will be told`;
  }
  if (order.status === "paid") return "keeps it; it was marked paid before";
  const next = order.status === "pending" ? "" : '; assign what is missing, or "ocrch mark-paid"';
  return `is ${order.status}: it has ${outcome.received} of ${order.amount}, ${outcome.remaining} is missing${next}`;
}

function linesOf({ transfer, reason, candidates }: InboxEntry): string[] {
  const { id, chain, label, amount, block_time, sender, wallet, tx_hash } = transfer;
  return [
    `${id}  ${amount} ${label} on ${chain}  ${isoSeconds(block_time)}  ${entryReasons[reason]}`,
    `    from ${sender} to ${wallet}, transaction ${tx_hash}`,
    ...candidates.map(
      (one) =>
        `    ${one.order_id} ${one.status} ${one.amount} (${signed(one.difference)}) ${JSON.stringify(shortened(one.merchant_order_id))}: ${one.why}`,
    ),
  ];
}

function signed(difference: string): string {
  return difference === "0" || difference.startsWith("-") ? difference : `+${difference}`;
}

/** Fault: usage, when it says nothing or too much. */
function reasonOf(text: string): string {
  const reason = text.trim();
  if (reason !== "" && reason.length <= reason_max_chars) return reason;
  throw new Fault("usage", `--reason says why, in 1 to ${reason_max_chars} characters`);
}

function transferId(word: string): number {
  return integerArgument("TRANSFER", word, 1, Number.MAX_SAFE_INTEGER);
}
