// The operator's lists over many orders: read newest first over an index, never sorted, each row on exactly one page,
// however deep.

import { Database as Sqlite } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { liveConfig } from "../../src/config/config.ts";
import { createHttp, type HttpDoor } from "../../src/http/server.ts";
import { listProofs } from "../../src/opencharge/storage/proof-lists.ts";
import { createCheckout } from "../../src/services/checkout.ts";
import { createInbox } from "../../src/services/inbox.ts";
import { createOperator } from "../../src/services/operator.ts";
import { createOrderFeed } from "../../src/services/order-feed.ts";
import { createPaymentRules } from "../../src/services/payment-rules.ts";
import { type DepositFilter, listDeposits } from "../../src/storage/deposits.ts";
import type { Reader } from "../../src/storage/engine/database.ts";
import { openForServing } from "../../src/storage/engine/open.ts";
import { listOrders, type OrderFilter } from "../../src/storage/orders.ts";
import { listTransfers, type TransferFilter } from "../../src/storage/transfer-lists.ts";
import { realWorld } from "../../src/world.ts";
import { filled_wallet, fillLists } from "../bench/lists.ts";
import { claimsOver } from "../support/claims.ts";
import { plansOf } from "../support/plans.ts";
import { admin_secret, testConfig, version } from "../support/server.ts";
import { silent } from "../support/temp-database.ts";

const orders_count = 101_000;
const page_max = 200;
const offset_max = 100_000;
const some_id = "01978f00-4d17-7000-8000-000000000007";

const folder = mkdtempSync(join(tmpdir(), "ocrch-lists-"));
const path = join(folder, "ocrch.db");
const world = realWorld();
let raw: Sqlite;
let http: HttpDoor;
let close: () => Promise<void>;

beforeAll(async () => {
  const open = () => openForServing({ world, telemetry: silent, path, migrateFirst: false });
  await open().close();
  fillLists(path, orders_count);
  const opened = open();
  const { database } = opened;
  const config = liveConfig(testConfig());
  const needs = { ...createPaymentRules({ config }), database, config };
  const services = {
    checkout: createCheckout(needs),
    operator: createOperator(needs),
    inbox: createInbox(needs),
    orderFeed: createOrderFeed({ database, eventLog: { keep() {} } }),
    claims: claimsOver({ database, config, world, telemetry: silent }),
  };
  http = createHttp({ world, telemetry: silent, config, version, ...services });
  raw = new Sqlite(path, { readonly: true });
  close = opened.close;
}, 300_000);

afterAll(async () => {
  raw.close();
  await close();
  rmSync(folder, { recursive: true, force: true });
});

/** Asks the door for a list; `answer` is the body's text. */
async function list(query: string): Promise<{ status: number; answer: string }> {
  const headers = { "Ocrch-Admin-Authorization": admin_secret };
  const request = new Request(`http://127.0.0.1/api/v1/admin/${query}`, { headers });
  const response = await http.answer(request, { address: "127.0.0.1", upgrade: () => false, disableIdleTimeout() {} });
  return { status: response.status, answer: await response.text() };
}

async function rows<Row>(query: string): Promise<Row[]> {
  const { status, answer } = await list(query);
  expect([status, status === 200 ? "" : answer]).toEqual([200, ""]);
  return JSON.parse(answer) as Row[];
}

/** Every choice of some of the filters, from none to all. */
function choices<T extends object>(all: T): Partial<T>[] {
  return Object.entries(all).reduce<Partial<T>[]>(
    (chosen, [name, value]) => chosen.flatMap((one) => [one, { ...one, [name]: value }]),
    [{}],
  );
}

const words = (filter: object) => Object.keys(filter).join(" and ") || "nothing";

describe("the plan of every list", () => {
  // The first filter that is there decides how rows are found; without one they are read by age.
  const orderFilters: [filter: OrderFilter, found: string][] = choices<OrderFilter>({
    merchant_order_id: "order-5",
    status: "paid",
  }).map((filter) => [
    filter,
    filter.merchant_order_id !== undefined
      ? "SEARCH orders USING INDEX orders_merchant"
      : filter.status !== undefined
        ? "SEARCH orders USING INDEX orders_status"
        : "SCAN orders",
  ]);
  const depositFilters: [filter: DepositFilter, found: string][] = choices<DepositFilter>({
    order_id: some_id,
    chain: "eth",
    coin: "USDT",
  }).map((filter) => [
    filter,
    filter.order_id !== undefined
      ? "SEARCH deposits USING INDEX deposits_o"
      : filter.chain !== undefined
        ? "SEARCH deposits USING INDEX deposits_open_chain"
        : "SCAN deposits",
  ]);
  const transferFilters: [filter: TransferFilter, found: string][] = choices<TransferFilter>({
    wallet: filled_wallet,
    status: "no_matched_deposit",
    chain: "eth",
    coin: "USDT",
    unaccepted: true,
  }).map((filter) => [
    filter,
    filter.wallet !== undefined ? "SEARCH transfers USING INDEX transfers_" : "SCAN transfers",
  ]);
  const plans: [what: string, found: string, run: (at: Reader) => unknown][] = [
    ...orderFilters.map(([filter, found]): [string, string, (at: Reader) => unknown] => [
      `orders by ${words(filter)}`,
      found,
      (at) => listOrders(at, filter, page_max, 0),
    ]),
    ...depositFilters.map(([filter, found]): [string, string, (at: Reader) => unknown] => [
      `open deposits by ${words(filter)}`,
      found,
      (at) => listDeposits(at, filter, page_max, 0),
    ]),
    ...transferFilters.map(([filter, found]): [string, string, (at: Reader) => unknown] => [
      `transfers by ${words(filter)}`,
      found,
      (at) => listTransfers(at, filter, page_max, 0),
    ]),
    ["oc_proofs by nothing", "SCAN oc_proofs USING INDEX oc_proofs_received", (at) => listProofs(at, {}, page_max, 0)],
    [
      "oc_proofs by outcome",
      "SEARCH oc_proofs USING INDEX oc_proofs_outcome",
      (at) => listProofs(at, { outcome: "paid" }, page_max, 0),
    ],
  ];

  test("covers every choice of filters", () => {
    expect(plans).toHaveLength(2 ** 2 + 2 ** 3 + 2 ** 5 + 2);
  });

  test.each(plans)("%s: read newest first, never sorted", (what, found, run) => {
    const [plan = [], ...more] = plansOf(raw, run);
    expect(more).toEqual([]);
    expect(plan.filter((step) => step.startsWith(found))).toHaveLength(1);
    expect(plan.filter((step) => step.includes("TEMP B-TREE"))).toEqual([]);
    // Beside the list's own table in order of age, nothing is ever read whole.
    const table = what.includes("deposits") ? "deposits" : (what.split(" ", 1)[0] ?? "");
    expect(plan.filter((step) => step.startsWith("SCAN") && !step.startsWith(`SCAN ${table}`))).toEqual([]);
  });

  test("would show a sort", () => {
    const unsorted = "SELECT id FROM orders ORDER BY amount";
    const plan = raw.query<{ detail: string }, []>(`EXPLAIN QUERY PLAN ${unsorted}`).all();
    expect(plan.map((row) => row.detail)).toContain("USE TEMP B-TREE FOR ORDER BY");
  });
});

describe("pages", () => {
  const seq = (row: { order_id: string }) => Number.parseInt(row.order_id.slice(-12), 16);

  test("hold every order once, newest first, also where a hundred share a second", async () => {
    const seen: number[] = [];
    const seconds = new Set<number>();
    for (let offset = 0; offset < 2000; offset += page_max) {
      const page = await rows<{ order_id: string; created_at: number }>(`orders?limit=${page_max}&offset=${offset}`);
      seen.push(...page.map(seq));
      for (const { created_at } of page) seconds.add(created_at);
    }
    expect(seen).toEqual(Array.from({ length: 2000 }, (_, n) => orders_count - n));
    expect(seconds.size).toBeLessThanOrEqual(21);
  });

  test("of one status hold its orders only, in the same order", async () => {
    const both = [0, page_max].map((offset) =>
      rows<{ order_id: string; status: string }>(`orders?status=cancelled&limit=${page_max}&offset=${offset}`),
    );
    const page = (await Promise.all(both)).flat();
    expect(new Set(page.map((row) => row.status))).toEqual(new Set(["cancelled"]));
    const numbers = page.map(seq);
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => b - a));
    expect(numbers).toHaveLength(2 * page_max);
  });

  const clamps: [query: string, first: number, length: number][] = [
    [`limit=1&offset=${offset_max}`, orders_count - offset_max, 1],
    [`limit=1&offset=${offset_max + 1}`, orders_count - offset_max, 1],
    ["limit=1&offset=999999999999999999999999", orders_count - offset_max, 1],
    [`limit=9999&offset=${offset_max}`, orders_count - offset_max, page_max],
    ["limit=201", orders_count, page_max],
    ["limit=0", orders_count, 1],
    ["limit=-0&offset=-0", orders_count, 1],
    [`limit=-${"9".repeat(40)}&offset=-${"9".repeat(400)}`, orders_count, 1],
    [`limit=${"9".repeat(40)}`, orders_count, page_max],
    ["limit=0002&offset=0001", orders_count - 1, 2],
    // Of two the first counts.
    ["limit=3&limit=5&offset=1&offset=x", orders_count - 1, 3],
  ];
  test.each(clamps)("are clamped: %s", async (query, first, length) => {
    const page = await rows<{ order_id: string }>(`orders?${query}`);
    expect([page.length, page[0] && seq(page[0])]).toEqual([length, first]);
  });

  test("are empty behind the last row of the other lists, and no error", async () => {
    expect(await rows(`deposits?offset=${offset_max}`)).toEqual([]);
    expect(await rows(`deposits?offset=${offset_max}&token=USDT&blockchain=eth`)).toEqual([]);
    const inbox = `wallets/${filled_wallet}/transfers?status=no_matched_deposit`;
    expect(await rows(`${inbox}&offset=${offset_max}`)).toEqual([]);
    expect(await rows(`${inbox}&limit=200`)).toHaveLength(101);
    expect(await rows(`${inbox}&blockchain=polygon&token=USDT`)).toEqual([]);
  });

  test("of deposits hold open ones only, newest first", async () => {
    for (const filter of ["", "&blockchain=eth", "&token=DAI", "&blockchain=eth&token=USDC"]) {
      const page = await rows<{ id: number; order_id: string }>(`deposits?limit=200${filter}`);
      expect(page).toHaveLength(page_max);
      const ids = page.map((row) => row.id);
      expect(ids).toEqual([...new Set(ids)].sort((a, b) => b - a));
      expect(ids.filter((id) => id % 20 !== 7)).toEqual([]);
    }
  });

  test("of transfers name the allocation of those that paid", async () => {
    const [paid] = await rows<{ status: string; fulfillment_id: number | null }>(
      `wallets/${filled_wallet}/transfers?status=matched&limit=1`,
    );
    const [stranger] = await rows<{ status: string; fulfillment_id: number | null }>(
      `wallets/${filled_wallet.toLowerCase()}/transfers?status=no_matched_deposit&limit=1`,
    );
    expect([typeof paid?.fulfillment_id, stranger?.fulfillment_id]).toEqual(["number", null]);
  });

  const refused: [query: string, words: string][] = [
    ["orders?limit=1e3", "invalid limit"],
    ["orders?limit=%EF%BC%91", "invalid limit"],
    ["orders?limit=1%00", "invalid limit"],
    ["orders?limit=%201", "invalid limit"],
    ["orders?limit=--1", "invalid limit"],
    ["orders?offset=1_000", "invalid offset"],
    ["orders?limit&offset=1", "invalid limit"],
    ["orders?status=PAID", "invalid status"],
    ["orders?status=", "invalid status"],
    ["orders?status=constructor", "invalid status"],
    ["orders?status=paid%27--", "invalid status"],
    ["orders?merchant_order_id=", "invalid merchant_order_id"],
    [`deposits?order_id=${some_id.replaceAll("-", "")}`, "invalid order_id"],
    [`deposits?order_id=%7B${some_id}%7D`, "invalid order_id"],
    ["deposits?blockchain=ETH", "invalid blockchain"],
    ["deposits?token=usdt", "invalid token"],
    ["deposits?token=", "invalid token"],
    [`wallets/${filled_wallet}/transfers?status=__proto__`, "invalid status"],
    [`wallets/${filled_wallet}/transfers?token=USDC.e`, "invalid token"],
    [`wallets/${filled_wallet}/transfers?blockchain=`, "invalid blockchain"],
  ];
  test.each(refused)("are refused by name: %s", async (query, words) => {
    expect(await list(query)).toEqual({ status: 400, answer: words });
  });
});
