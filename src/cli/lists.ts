// `ocrch orders`, `deposits`, `transfers` and `wallets`: the lists of the Admin API, for people as tables and for
// programs in the API's own shapes.

import { chainIds, coins } from "../domain/assets.ts";
import { Fault } from "../domain/errors.ts";
import { orderStatuses } from "../domain/order.ts";
import { inboxReasons, transferStatuses } from "../domain/payment.ts";
import type { ListPage } from "../services/operator.ts";
import type { ListedOrder } from "../storage/orders.ts";
import { adminOrderShape } from "../wire/orders.ts";
import { adminDepositShape, adminTransferShape, adminWalletShape } from "../wire/transfers.ts";
import { parseUuid } from "../wire/uuid.ts";
import { readConfig, withOperator } from "./appliance.ts";
import {
  type Command,
  choiceArgument,
  command,
  commonFlags,
  integerArgument,
  jsonFlag,
  type Tools,
} from "./command.ts";
import { type Column, formatTable, isoSeconds, isoTime, shortened } from "./table.ts";

const limit_max = 10_000;
const offset_max = 1_000_000_000;

/** The flags of every list. */
export const paging = {
  limit: { type: "string", valueHint: "N", default: "20", description: `How many, newest first, 1 to ${limit_max}` },
  offset: { type: "string", valueHint: "N", default: "0", description: "How many of the newest to skip" },
} as const;
const chain = choiceArgument(chainIds, "Only on this chain");
const coin = choiceArgument(coins, "Only in this coin");

/** `ocrch orders`. */
export function ordersCommand(tools: Tools): Command {
  const args = {
    status: choiceArgument(orderStatuses, "Only in this status"),
    "merchant-order-id": { type: "string", valueHint: "TEXT", description: "Only the shop's order of this name" },
    ...paging,
    ...jsonFlag,
    ...commonFlags,
  } as const;
  return command("orders", "List orders", args, async (args) => {
    const filter = { status: args.status, merchant_order_id: args["merchant-order-id"] };
    const page = pageOf(args);
    const rows = await withOperator(tools, args, ({ operator }) => operator.orders(filter, page));
    printList(tools, args.json, rows, adminOrderShape, [
      { title: "ORDER", value: (row) => row.id },
      { title: "STATUS", value: (row) => row.status },
      { title: "AMOUNT", value: (row) => row.amount, right: true },
      { title: "CREATED", value: (row) => isoTime(row.created_at) },
      { title: "WEBHOOK", value: webhookWords },
      { title: "MERCHANT ORDER", value: (row) => shortened(row.merchant_order_id) },
    ]);
  });
}

/** `ocrch deposits`. */
export function depositsCommand(tools: Tools): Command {
  const args = {
    order: { type: "string", valueHint: "ORDER", description: "Only of the order with this UUID" },
    chain,
    coin,
    ...paging,
    ...jsonFlag,
    ...commonFlags,
  } as const;
  return command("deposits", "List open deposits: amounts that payers were asked to send", args, async (args) => {
    const filter = { order_id: orderFilter(args.order), chain: args.chain, coin: args.coin };
    const page = pageOf(args);
    const rows = await withOperator(tools, args, ({ operator }) => operator.deposits(filter, page));
    printList(tools, args.json, rows, adminDepositShape, [
      { title: "ID", value: (row) => row.id, right: true },
      { title: "ORDER", value: (row) => row.order_id },
      { title: "CHAIN", value: (row) => row.chain },
      { title: "COIN", value: (row) => row.coin },
      { title: "AMOUNT", value: (row) => row.amount, right: true },
      { title: "WALLET", value: (row) => row.wallet },
      { title: "PAYER", value: (row) => row.sender },
      { title: "OPENED", value: (row) => isoTime(row.opened_at) },
      { title: "LAST SCANNED", value: (row) => isoTime(row.last_scanned_at) },
    ]);
  });
}

/** `ocrch transfers`. */
export function transfersCommand(tools: Tools): Command {
  const args = {
    wallet: { type: "string", valueHint: "ADDRESS", description: "Only to this wallet" },
    status: choiceArgument(transferStatuses, "Only in this status"),
    chain,
    coin,
    unaccepted: { type: "boolean", description: "Show tokens that are accepted as no coin, too" },
    ...paging,
    ...jsonFlag,
    ...commonFlags,
  } as const;
  return command("transfers", "List transfers to the wallets, and why one pays no order", args, async (args) => {
    const filter = {
      wallet: args.wallet,
      status: args.status,
      chain: args.chain,
      coin: args.coin,
      unaccepted: args.unaccepted,
    };
    const page = pageOf(args);
    const rows = await withOperator(tools, args, ({ operator }) => operator.transfers(filter, page));
    printList(tools, args.json, rows, adminTransferShape, [
      { title: "ID", value: (row) => row.id, right: true },
      { title: "CHAIN", value: (row) => row.chain },
      { title: "COIN", value: (row) => row.label },
      { title: "AMOUNT", value: (row) => row.amount, right: true },
      { title: "STATUS", value: (row) => row.status },
      { title: "BLOCK", value: (row) => row.block_number, right: true },
      { title: "TIME", value: (row) => isoSeconds(row.block_time) },
      { title: "FROM", value: (row) => row.sender },
      { title: "TO", value: (row) => row.wallet },
      { title: "TRANSACTION", value: (row) => row.tx_hash },
      { title: "WHY", value: (row) => (row.reason === null ? null : inboxReasons[row.reason]) },
    ]);
  });
}

/** `ocrch wallets`: from the configuration alone, without a database. */
export function walletsCommand(tools: Tools): Command {
  const args = { ...jsonFlag, ...commonFlags } as const;
  return command("wallets", "List the configured wallets", args, async (args) => {
    const { config } = await readConfig(tools, args);
    printList(tools, args.json, config.wallets, adminWalletShape, [
      { title: "CHAIN", value: (wallet) => wallet.chain },
      { title: "ADDRESS", value: (wallet) => wallet.address },
      { title: "COINS", value: (wallet) => wallet.coins.join(", ") },
    ]);
  });
}

/** Prints a list: as a table, or in the API's own shapes. */
export function printList<Row>(
  tools: Tools,
  as_json: boolean | undefined,
  rows: readonly Row[],
  shape: (row: Row) => object,
  columns: readonly Column<Row>[],
): void {
  tools.world.print(as_json ? JSON.stringify(rows.map(shape), null, 2) : formatTable(rows, columns));
}

/** The part of a list that is asked for. Fault: usage. */
export function pageOf(args: { limit: string; offset: string }): ListPage {
  return {
    limit: integerArgument("--limit", args.limit, 1, limit_max),
    offset: integerArgument("--offset", args.offset, 0, offset_max),
  };
}

function orderFilter(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const id = parseUuid(text);
  if (id === null) throw new Fault("usage", `--order: ${JSON.stringify(text)} is no UUID; "ocrch orders" shows them`);
  return id;
}

function webhookWords(order: ListedOrder): string | null {
  const { webhook_success_at: success, webhook_last_tried_at: tried, webhook_retry_count: failures } = order;
  if (success !== null) return `delivered ${isoTime(success)}`;
  return tried === null ? null : `failed ${failures} times, last ${isoTime(tried)}`;
}
