// The API description against the server it describes: the routes it lists, and what they really answer.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { z } from "zod";
import { tokens } from "../../src/domain/assets.ts";
import { Fault } from "../../src/domain/errors.ts";
import { orderStatusBody, paymentRevertedBody, unknownTransferBody } from "../../src/domain/events.ts";
import { insertProof } from "../../src/opencharge/storage/merchant.ts";
import { createSettlement } from "../../src/services/settlement.ts";
import { isPayloadOf } from "../support/event-payloads.ts";
import {
  type Answer,
  evm_wallet,
  type Headings,
  payUrl,
  shop_origin,
  signature,
  start_ms,
  startTestServer,
  type TestServer,
  version,
  webhook_url,
} from "../support/server.ts";

const start_s = start_ms / 1000;
const unknown_id = "550e8400-e29b-41d4-a716-446655440000";
const sender = "0x8617E340B3D01FA5F11F306F4090FD50E238070D";
const hash = `0x${"ab".repeat(32)}`;
const silent_hash = `0x${"cd".repeat(32)}`;
const claims_max = 5;
const polls_max = 64;
const failures_max = 10;

/** Every route clients may rely on, in the order of the server's mount table. */
const operations = [
  "POST /api/v1/service/orders",
  "POST /api/v1/service/orders/status",
  "POST /api/v1/service/orders/cancel",
  "POST /api/v1/service/orders/find",
  "POST /api/v1/service/events",
  "GET /api/v1/user/chains",
  "POST /api/v1/user/orders/{order_id}/payment",
  "POST /api/v1/user/orders/{order_id}/claim",
  "POST /api/v1/user/orders/{order_id}/cancel",
  "GET /api/v1/user/orders/{order_id}/status",
  "GET /api/v1/user/orders/{order_id}/ws",
  "GET /api/v1/admin/orders",
  "GET /api/v1/admin/deposits",
  "GET /api/v1/admin/wallets",
  "GET /api/v1/admin/wallets/{address}/transfers",
  "GET /api/v1/admin/coverage",
  "GET /api/v1/admin/inbox",
  "GET /api/v1/admin/opencharge/proofs",
  "POST /api/v1/admin/transfers/{transfer_id}/assign",
  "POST /api/v1/admin/transfers/{transfer_id}/unassign",
  "POST /api/v1/admin/transfers/{transfer_id}/dismiss",
  "POST /api/v1/admin/orders/{order_id}/mark-paid",
  "POST /api/v1/admin/orders/{order_id}/resend-webhook",
  "POST /api/v1/admin/transfers/{transfer_id}/resend-webhook",
  "GET /health",
  "GET /api/v1/admin/health",
  "GET /openapi.json",
] as const;
type Operation = (typeof operations)[number];

type Schema = Record<string, unknown>;
type Content = Record<string, { schema: Schema; examples?: Record<string, { value: string }> }>;
interface Described {
  operationId: string;
  description?: string;
  tags?: string[];
  security: Record<string, unknown>[];
  parameters?: { name: string; in: string; required: boolean; schema: Schema }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { content?: Content; "x-return-representation"?: Content; "x-frames"?: Schema[] }>;
}
interface Document {
  openapi: string;
  info: { title: string; version: string; contact: object; license: object };
  servers: { url: string }[];
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Described>>;
  webhooks: Record<string, { post: Described }>;
  components: { schemas: Record<string, Schema>; securitySchemes: Record<string, Schema> };
}

let server: TestServer;
let document: Document;
/** Orders of the story: a pending one, one that is paid, one for each thing that ends an order. */
let pending: string;
let paid: string;
const seen = new Map<Operation, Set<string>>();

beforeAll(async () => {
  server = await startTestServer({
    settings: { merchant: { unknown_transfer_webhook_url: "https://your-app.example.com/unknown" } },
    async lookUp(_chain, asked) {
      if (asked === silent_hash) throw new Fault("provider_unreachable");
      return null;
    },
  });
  document = JSON.parse((await server.request("GET", "/openapi.json")).body) as Document;
  pending = await server.createOrder();
  paid = await server.createOrder();
  const body = JSON.stringify({ blockchain: "eth", stablecoin: "USDT" });
  await server.user("POST", `orders/${paid}/payment`, { body });
  await receive(1, 19_990_000n);
  await receive(2, 7_000_000n);
  await server.database.transact((tx) => insertProof(tx, proof));
});
afterAll(() => server.stop());

const proof: Parameters<typeof insertProof>[1] = {
  issuer: 100,
  txid: "tx_1",
  proof_hash: "h",
  outcome: "unmatched",
  oc_order: null,
  oc_payment: null,
  sender: 300,
  form: "recursive",
  public_key: "k",
  object: JSON.stringify({ to: { ocid: 500 }, amount: "15.00", currency: "USD" }),
  signature: "s",
  proved_s: start_s,
};

/** One confirmed transfer of USDT to the wallet, in a block of its own. */
async function receive(n: number, units: bigint): Promise<void> {
  const settlement = createSettlement(server);
  const end = { number: 1000 + n, hash: `0xblock${n}`, time: start_s + n };
  const token = tokens.eth[0]?.address ?? "";
  const transfer = {
    chain: "eth",
    token,
    sender,
    wallet: evm_wallet,
    units,
    tx_hash: `0xabc${n}`,
    log_index: 5,
  } as const;
  await settlement.ingest({
    ...{ chain: "eth", pass: "head", watches: [], from: end.number, end, provider: "test", zero_value: 0, gone: [] },
    transfers: [{ ...transfer, position: 0, block: end }],
    chainEnd: { head: end, final: { number: 0, hash: null, time: null } },
  });
  const [row] = server.operator.transfers({}, { limit: 1, offset: 0 });
  await settlement.confirm("eth", [{ id: row?.id ?? 0, block_hash: end.hash, verdict: "confirmed" }]);
}

/** A zod schema of a JSON Schema of the document, its references filled in: a reading of it that is not the server's. */
function schemaOf(schema: Schema): z.ZodType {
  const filled = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(filled);
    if (typeof value !== "object" || value === null) return value;
    const { $ref } = value as { $ref?: string };
    if ($ref !== undefined) return filled(document.components.schemas[$ref.replace("#/components/schemas/", "")]);
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, filled(inner)]));
  };
  return z.fromJSONSchema(filled(schema) as Parameters<typeof z.fromJSONSchema>[0]);
}

function describedAs(operation: Operation): Described {
  const [method = "", path = ""] = operation.split(" ");
  const found = document.paths[path]?.[method.toLowerCase()];
  if (found === undefined) throw new Error(`${operation} is not described`);
  return found;
}

/** Fails unless the document says that this operation may answer so. */
function expectDescribed(operation: Operation, answer: Answer): void {
  const status = String(answer.status);
  const response = describedAs(operation).responses[status];
  expect([operation, status, Object.keys(describedAs(operation).responses)]).toEqual([
    operation,
    status,
    expect.arrayContaining([status]),
  ]);
  const type = answer.headers.get("content-type")?.split(";")[0];
  if (type === undefined) expect(answer.body).toBe("");
  else {
    const content = (response?.content ?? response?.["x-return-representation"])?.[type];
    expect([operation, status, type, content === undefined]).toEqual([operation, status, type, false]);
    if (type === "application/json") {
      const result = schemaOf(content?.schema ?? {}).safeParse(JSON.parse(answer.body));
      expect([operation, answer.body, result.error?.issues]).toEqual([operation, answer.body, undefined]);
    } else {
      const words = Object.values(content?.examples ?? {}).map(({ value }) => value);
      const known = words.some((text) => answer.body === text || answer.body.startsWith(`${text}: `));
      expect([operation, answer.body, known]).toEqual([operation, answer.body, true]);
    }
  }
  seen.set(operation, (seen.get(operation) ?? new Set()).add(status));
}

describe("the description", () => {
  test("is an OpenAPI 3.1 document, open to anybody, and the same at every request", async () => {
    const [first, second] = [
      await server.request("GET", "/openapi.json"),
      await server.request("GET", "/openapi.json"),
    ];
    expect([first.status, first.headers.get("content-type")]).toEqual([200, "application/json"]);
    expect(second.body).toBe(first.body);
    expect(first.headers.get("content-length")).toBe(String(Buffer.byteLength(first.body)));
    expect([document.openapi, document.info.title, document.info.version]).toEqual(["3.1.0", "Ocrch", version]);
    for (const word of ["test-merchant-secret", "test-admin-secret", evm_wallet, "/etc/", "Fault", "undefined"]) {
      expect(first.body).not.toContain(word);
    }
    for (const method of ["POST", "PUT", "OPTIONS"]) {
      const answer = await server.request(method, "/openapi.json");
      expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    }
  });

  test("lists every route that is mounted, and no other", async () => {
    const listed = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(listed).toEqual([...operations]);
    for (const operation of operations) {
      const [method = "", path = ""] = operation.split(" ");
      const real = path.replace("{order_id}", unknown_id).replace("{transfer_id}", "1").replace("{address}", "0x1");
      const answer = await server.request(method, real);
      expect([operation, answer.body === "not found", answer.status === 405]).toEqual([operation, false, false]);
      const route = path.replace(/\{(\w+)\}/g, ":$1");
      const counted = [...server.telemetry.counters().keys()].some((key) => key.includes(`route="${route}"`));
      expect([operation, counted]).toEqual([operation, true]);
    }
  });

  test("names each operation once, and every parameter of its path", () => {
    const names = operations.map((operation) => describedAs(operation).operationId);
    expect(new Set(names).size).toBe(operations.length);
    for (const operation of operations) {
      const inPath = [...operation.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
      const parameters = describedAs(operation).parameters ?? [];
      expect(parameters.filter((one) => one.in === "path" && one.required).map(({ name }) => name)).toEqual(inPath);
    }
  });

  test("says that a payer's cancel answers nothing, and an order only where it is asked for", () => {
    const answer = describedAs("POST /api/v1/user/orders/{order_id}/cancel").responses["200"];
    expect(answer?.content).toBeUndefined();
    expect(answer?.["x-return-representation"]).toEqual({
      "application/json": { schema: { $ref: "#/components/schemas/Order" } },
    });
    const byShop = describedAs("POST /api/v1/service/orders/cancel").responses["200"];
    expect(byShop?.content?.["application/json"]?.schema).toEqual({ $ref: "#/components/schemas/Order" });
  });

  test("names its server, its tags and who signs webhooks", () => {
    expect(document.servers.map(({ url }) => url)).toEqual(["/"]);
    const tags = document.tags.map(({ name }) => name);
    expect(tags).toEqual(["Service", "User", "Admin", "Open"]);
    for (const operation of operations) expect(tags).toContain(describedAs(operation).tags?.join() ?? "");
    for (const { post } of Object.values(document.webhooks)) {
      expect(post.security).toEqual([{ SignedBody: [] }, { StandardWebhook: [] }]);
    }
    for (const scheme of ["SignedBody", "StandardWebhook"]) {
      expect(Object.keys(document.components.securitySchemes)).toContain(scheme);
    }
  });

  test("names every list of words once, for clients that are made from it", () => {
    const named = { Chain: "polygon", Coin: "USDC", OrderStatus: "expired", TransferStatus: "no_matched_deposit" };
    for (const [name, word] of Object.entries(named)) expect(document.components.schemas[name]?.enum).toContain(word);
    const lists = [...JSON.stringify(document).matchAll(/"enum":(\[[^\]]*\])/g)].map(([, list]) => list);
    const flags = '["true","false"]';
    const inline = lists.filter((list) => list !== flags);
    expect(inline).toEqual([...new Set(inline)]);
    const components = Object.values(document.components.schemas).filter((schema) => "enum" in schema);
    expect(inline).toHaveLength(components.length);
    const { Selection, Order } = document.components.schemas;
    expect(Selection?.properties).toEqual({
      blockchain: { $ref: "#/components/schemas/Chain" },
      stablecoin: { $ref: "#/components/schemas/Coin" },
    });
    expect(Order?.properties).toMatchObject({ status: { $ref: "#/components/schemas/OrderStatus" } });
  });

  test("has what linters ask for: words, a contact, a licence, no schema without use, a 2xx but for the socket", () => {
    expect(document.info).toMatchObject({ contact: {}, license: {} });
    for (const operation of operations) {
      const { description, responses } = describedAs(operation);
      expect([operation, description]).toEqual([operation, expect.stringMatching(/\.$/)]);
      const succeeds = Object.keys(responses).some((status) => status.startsWith("2"));
      expect([operation, succeeds]).toEqual([operation, !operation.endsWith("/ws")]);
    }
    const text = JSON.stringify(document);
    for (const id of Object.keys(document.components.schemas)) expect(text).toContain(`"#/components/schemas/${id}"`);
  });

  test("holds every schema and every scheme it refers to", () => {
    const text = JSON.stringify(document);
    for (const [, id = ""] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      expect(Object.keys(document.components.schemas)).toContain(id);
    }
    expect(text).not.toContain("$defs");
    for (const operation of operations) {
      for (const scheme of describedAs(operation).security.flatMap(Object.keys)) {
        expect(Object.keys(document.components.securitySchemes)).toContain(scheme);
      }
    }
    for (const schema of Object.values(document.components.schemas)) expect(() => schemaOf(schema)).not.toThrow();
  });

  test("lists the filters of the lists, as they are read", () => {
    const filters = (operation: Operation) =>
      (describedAs(operation).parameters ?? []).filter((one) => one.in === "query").map(({ name }) => name);
    expect(filters("GET /api/v1/admin/orders")).toEqual(["status", "merchant_order_id", "limit", "offset"]);
    expect(filters("GET /api/v1/admin/deposits")).toEqual(["order_id", "blockchain", "token", "limit", "offset"]);
    expect(filters("GET /api/v1/admin/coverage")).toEqual(["blockchain"]);
    expect(filters("GET /api/v1/admin/wallets/{address}/transfers")).toEqual([
      ...["status", "blockchain", "token", "unaccepted", "limit", "offset"],
    ]);
  });

  test("knows the webhooks' bodies", () => {
    const schema = (name: string) =>
      schemaOf(document.webhooks[name]?.post.requestBody?.content["application/json"]?.schema ?? {});
    const order = { id: unknown_id, merchant_order_id: "ref", status: "paid", amount: "19.90" };
    const transfer = {
      ...{ id: 1, chain: "eth", label: "USDC.e", amount: "7", tx_hash: "0x1", sender, wallet: evm_wallet },
      likely_order: null,
    };
    const rows: [name: string, body: string][] = [
      ["order_status_changed", orderStatusBody(order, start_ms)],
      ["unknown_transfer", unknownTransferBody(transfer, start_ms)],
      ["unknown_transfer", unknownTransferBody({ ...transfer, likely_order: unknown_id }, start_ms)],
      ["payment_reverted", paymentRevertedBody({ ...transfer, order_id: null }, start_ms)],
      ["payment_reverted", paymentRevertedBody({ ...transfer, order_id: unknown_id }, start_ms)],
    ];
    for (const [name, body] of rows) expect(schema(name).safeParse(JSON.parse(body)).error).toBeUndefined();
    expect(schema("order_status_changed").safeParse({ ...JSON.parse(rows[0]?.[1] ?? ""), more: 1 }).success).toBe(
      false,
    );
  });
});

/** Calls that succeed, with what they send. Made in this order. */
function successes(): [operation: Operation, body: unknown, call: (body: unknown) => Promise<Answer>][] {
  const service = (path: string) => (body: unknown) => server.service(path, body);
  const admin = (method: string, path: string) => () => server.admin(method, path);
  const repair = (path: string) => (body: unknown) => server.admin("POST", path, {}, JSON.stringify(body));
  const order = { order_id: "ref", amount: "19.90", webhook_url };
  const options = {
    ...{
      expecting_wallet_address: sender,
      blockchain: "polygon",
      stablecoin: "DAI",
      lifetime: 60,
      metadata: { a: [1] },
    },
    ...{ success_url: "https://shop.example/ok", cancel_url: "https://shop.example/no" },
  };
  const payment = (body: unknown) => server.user("POST", `orders/${pending}/payment`, { body: JSON.stringify(body) });
  const claim = (body: unknown) => server.user("POST", `orders/${pending}/claim`, { body: JSON.stringify(body) });
  const representation = { headers: { Prefer: "return=representation" } };
  return [
    ["POST /api/v1/service/orders", order, service("orders")],
    ["POST /api/v1/service/orders", { ...order, ...options, amount: 19.9 }, service("orders")],
    ["POST /api/v1/service/orders/status", { order_id: pending }, service("orders/status")],
    ["POST /api/v1/service/orders/find", { merchant_order_id: "ref", limit: 5, offset: 0 }, service("orders/find")],
    ["GET /api/v1/user/chains", null, () => server.user("GET", "chains")],
    ["POST /api/v1/user/orders/{order_id}/payment", { blockchain: "tron", stablecoin: "USDT" }, payment],
    ["POST /api/v1/user/orders/{order_id}/claim", { txn_hash: hash }, claim],
    ["GET /api/v1/user/orders/{order_id}/status", null, () => server.user("GET", `orders/${paid}/status`)],
    ["GET /api/v1/admin/orders", null, admin("GET", "orders?limit=200")],
    ["GET /api/v1/admin/deposits", null, admin("GET", "deposits")],
    ["GET /api/v1/admin/wallets", null, admin("GET", "wallets")],
    ["GET /api/v1/admin/wallets/{address}/transfers", null, admin("GET", `wallets/${evm_wallet}/transfers`)],
    ["GET /api/v1/admin/coverage", null, admin("GET", "coverage")],
    ["POST /api/v1/admin/orders/{order_id}/resend-webhook", null, admin("POST", `orders/${paid}/resend-webhook`)],
    ["POST /api/v1/admin/transfers/{transfer_id}/resend-webhook", null, admin("POST", "transfers/2/resend-webhook")],
    ["GET /api/v1/admin/inbox", null, admin("GET", "inbox?dust=true")],
    ["GET /api/v1/admin/opencharge/proofs", null, admin("GET", "opencharge/proofs?outcome=unmatched")],
    ["POST /api/v1/admin/transfers/{transfer_id}/dismiss", { reason: "refunded" }, repair("transfers/2/dismiss")],
    [
      "POST /api/v1/admin/transfers/{transfer_id}/assign",
      { order_id: pending, reason: "by phone" },
      repair("transfers/2/assign"),
    ],
    ["POST /api/v1/admin/transfers/{transfer_id}/unassign", { reason: null }, repair("transfers/2/unassign")],
    ["POST /api/v1/service/events", { after: 0, limit: 1000, wait: null }, service("events")],
    ["POST /api/v1/admin/orders/{order_id}/mark-paid", null, admin("POST", `orders/${paid}/mark-paid`)],
    ["GET /health", null, () => server.request("GET", "/health")],
    ["GET /api/v1/admin/health", null, () => server.request("GET", "/api/v1/admin/health")],
    ["GET /openapi.json", null, () => server.request("GET", "/openapi.json")],
    [
      "POST /api/v1/user/orders/{order_id}/cancel",
      null,
      async () => server.user("POST", `orders/${await server.createOrder()}/cancel`),
    ],
    [
      "POST /api/v1/user/orders/{order_id}/cancel",
      null,
      async () => server.user("POST", `orders/${await server.createOrder()}/cancel`, representation),
    ],
    [
      "POST /api/v1/service/orders/cancel",
      { order_id: pending, action: "cancel" },
      (body) => server.service("orders/cancel", body),
    ],
  ];
}

/** Calls that are refused for what they ask, not for who asks. */
function refusals(): [operation: Operation, status: number, call: () => Promise<Answer>][] {
  const service =
    (path: string, body: unknown, headers: Headings = {}) =>
    () =>
      server.service(path, body, headers);
  const user =
    (method: string, path: string, body?: string, headers: Headings = {}) =>
    () =>
      server.user(method, path, { headers, ...(body === undefined ? {} : { body }) });
  const admin = (method: string, path: string, body?: string) => () => server.admin(method, path, {}, body);
  const dismissal = JSON.stringify({ reason: "x" });
  const order = { order_id: "ref", amount: "19.90", webhook_url };
  const key = { "Idempotency-Key": "description" };
  const pay = (order_id: string, blockchain = "eth", stablecoin = "USDT") =>
    user("POST", `orders/${order_id}/payment`, JSON.stringify({ blockchain, stablecoin }));
  const create = "POST /api/v1/service/orders";
  const payment = "POST /api/v1/user/orders/{order_id}/payment";
  const transfer = "POST /api/v1/admin/transfers/{transfer_id}/resend-webhook";
  const claim = "POST /api/v1/user/orders/{order_id}/claim";
  const dismiss = "POST /api/v1/admin/transfers/{transfer_id}/dismiss";
  return [
    ...[
      ...[
        { amount: "0" },
        { webhook_url: "x" },
        { webhook_url: "http://127.0.0.1/" },
        { lifetime: 0 },
        { metadata: [] },
      ],
      ...[
        { success_url: "x" },
        { cancel_url: "x" },
        { expecting_wallet_address: "x" },
        { blockchain: "arb" },
        { amount: [] },
      ],
    ].map((wrong): [Operation, number, () => Promise<Answer>] => [
      create,
      400,
      service("orders", { ...order, ...wrong }),
    ]),
    [create, 400, service("orders", order, { "Idempotency-Key": "a b" })],
    [create, 201, service("orders", { ...order, order_id: "keyed" }, key)],
    [create, 409, service("orders", { ...order, order_id: "keyed", amount: "20" }, key)],
    ["POST /api/v1/service/orders/status", 404, service("orders/status", { order_id: unknown_id })],
    ["POST /api/v1/service/orders/cancel", 404, service("orders/cancel", { order_id: unknown_id, action: "cancel" })],
    ["POST /api/v1/service/orders/cancel", 409, service("orders/cancel", { order_id: paid, action: "cancel" })],
    [payment, 415, user("POST", `orders/${paid}/payment`, "{}", { "Content-Type": "text/plain" })],
    [payment, 400, user("POST", `orders/${paid}/payment`, "{}")],
    [payment, 400, user("POST", "orders/x/payment", "{}")],
    [payment, 400, async () => pay(await server.createOrder(), "doge")()],
    [payment, 400, async () => pay(await server.createOrder(), "eth", "DAI")()],
    [payment, 404, pay(unknown_id)],
    [payment, 409, pay(paid)],
    [claim, 415, user("POST", `orders/${paid}/claim`, "{}", { "Content-Type": "text/plain" })],
    [claim, 400, user("POST", `orders/${paid}/claim`, "{}")],
    [claim, 400, user("POST", "orders/x/claim", JSON.stringify({ txn_hash: hash }))],
    [claim, 400, user("POST", `orders/${paid}/claim`, JSON.stringify({ txn_hash: "0x1" }))],
    [claim, 409, user("POST", `orders/${paid}/claim`, JSON.stringify({ txn_hash: silent_hash }))],
    [claim, 404, user("POST", `orders/${unknown_id}/claim`, JSON.stringify({ txn_hash: hash }))],
    ["POST /api/v1/user/orders/{order_id}/cancel", 404, user("POST", `orders/${unknown_id}/cancel`)],
    ["POST /api/v1/user/orders/{order_id}/cancel", 409, user("POST", `orders/${paid}/cancel`)],
    ["POST /api/v1/user/orders/{order_id}/cancel", 400, user("POST", "orders/x/cancel")],
    ["GET /api/v1/user/orders/{order_id}/status", 404, user("GET", `orders/${unknown_id}/status`)],
    ["GET /api/v1/user/orders/{order_id}/status", 400, user("GET", "orders/x/status")],
    ["GET /api/v1/user/orders/{order_id}/ws", 426, user("GET", `orders/${paid}/ws`)],
    ["GET /api/v1/user/orders/{order_id}/ws", 400, user("GET", "orders/x/ws")],
    ...["status=x", "merchant_order_id=", "limit=x", "offset="].map(
      (query): [Operation, number, () => Promise<Answer>] => [
        "GET /api/v1/admin/orders",
        400,
        admin("GET", `orders?${query}`),
      ],
    ),
    ...["order_id=x", "blockchain=x", "token=x"].map((query): [Operation, number, () => Promise<Answer>] => [
      "GET /api/v1/admin/deposits",
      400,
      admin("GET", `deposits?${query}`),
    ]),
    ["GET /api/v1/admin/wallets/{address}/transfers", 400, admin("GET", "wallets/0x1/transfers?status=paid")],
    ["GET /api/v1/admin/coverage", 400, admin("GET", "coverage?blockchain=ltc")],
    ["POST /api/v1/admin/orders/{order_id}/mark-paid", 404, admin("POST", `orders/${unknown_id}/mark-paid`)],
    ["POST /api/v1/admin/orders/{order_id}/mark-paid", 400, admin("POST", "orders/x/mark-paid")],
    ["POST /api/v1/admin/orders/{order_id}/resend-webhook", 404, admin("POST", `orders/${unknown_id}/resend-webhook`)],
    ["POST /api/v1/admin/orders/{order_id}/resend-webhook", 400, admin("POST", "orders/x/resend-webhook")],
    [transfer, 404, admin("POST", "transfers/99/resend-webhook")],
    [transfer, 409, admin("POST", "transfers/1/resend-webhook")],
    [transfer, 400, admin("POST", "transfers/x/resend-webhook")],
    ...["blockchain=x", "reason=x", "dust=x"].map((query): [Operation, number, () => Promise<Answer>] => [
      "GET /api/v1/admin/inbox",
      400,
      admin("GET", `inbox?${query}`),
    ]),
    ["GET /api/v1/admin/opencharge/proofs", 400, admin("GET", "opencharge/proofs?outcome=x")],
    ...["assign", "unassign"].flatMap((verb): [Operation, number, () => Promise<Answer>][] => {
      const operation = `POST /api/v1/admin/transfers/{transfer_id}/${verb}` as Operation;
      const body = JSON.stringify({ order_id: pending, reason: "x" });
      return [
        [operation, 404, admin("POST", `transfers/99/${verb}`, body)],
        [operation, 409, admin("POST", `transfers/1/${verb}`, body)],
        [operation, 400, admin("POST", `transfers/x/${verb}`, body)],
        [operation, 400, admin("POST", `transfers/1/${verb}`, "[]")],
      ];
    }),
    [dismiss, 404, admin("POST", "transfers/99/dismiss", dismissal)],
    [dismiss, 409, admin("POST", "transfers/1/dismiss", dismissal)],
    [dismiss, 400, admin("POST", "transfers/1/dismiss", "{}")],
    [dismiss, 400, admin("POST", "transfers/1/dismiss", '{"reason":""}')],
  ];
}

/** Headers that fail each way of proving who calls. */
function strangers(scheme: string | undefined): Headings[] {
  const url = payUrl(unknown_id);
  const right = signature("url", url, start_s);
  const signed = (text: string, at = start_s) => ({
    "Ocrch-Signed-Url": text,
    "Ocrch-Signature": signature("url", text, at),
  });
  if (scheme === "SignedBody") {
    const headers = ["x", `${start_s}.!`, `${start_s}.AAAA`, signature("body", "not JSON", start_s)];
    return [{}, ...headers.map((text) => ({ "Ocrch-Signature": text }))];
  }
  if (scheme === "UrlSignature") {
    return [
      ...[{}, { "Ocrch-Signature": "x" }, { "Ocrch-Signature": `${start_s}.!` }, { "Ocrch-Signature": right }],
      ...[signed(url, start_s - 301), signed("https://evil.example/"), signed("/pay")],
      { "Ocrch-Signature": right, "Ocrch-Signed-Url": `${shop_origin}/` },
    ];
  }
  return scheme === "AdminSecret" ? [{}, { "Ocrch-Admin-Authorization": "\u00ff" }] : [];
}

describe("the server answers as described", () => {
  test("to every call that succeeds, sent as described", async () => {
    for (const [operation, body, call] of successes()) {
      const sent = describedAs(operation).requestBody?.content["application/json"]?.schema;
      if (body !== null) {
        expect([operation, schemaOf(sent ?? {}).safeParse(body).error?.issues]).toEqual([operation, undefined]);
      }
      const answer = await call(body);
      expect([operation, answer.status]).toEqual([operation, answer.status < 300 ? answer.status : 200]);
      expectDescribed(operation, answer);
    }
  });

  test("with events that carry what their type says", () => {
    const events = server.events();
    expect(new Set(events.map(({ type }) => type)).size).toBeGreaterThan(7);
    expect(events.filter(({ type, body }) => !isPayloadOf(type, body))).toEqual([]);
  });

  test("to every call that asks for the impossible", async () => {
    for (const [operation, status, call] of refusals()) {
      const answer = await call();
      expect([operation, answer.body, answer.status]).toEqual([operation, answer.body, status]);
      expectDescribed(operation, answer);
    }
  });

  test("to strangers, at every route", async () => {
    for (const operation of operations) {
      const [method = "", path = ""] = operation.split(" ");
      const real = path.replace("{order_id}", unknown_id).replace("{transfer_id}", "1").replace("{address}", "0x1");
      const [scheme] = Object.keys(describedAs(operation).security[0] ?? {});
      for (const headers of strangers(scheme)) {
        const answer = await server.request(method, real, headers, method === "POST" ? "not JSON" : undefined);
        expect([operation, answer.status >= 400]).toEqual([operation, true]);
        expectDescribed(operation, answer);
      }
    }
  });

  test("on the socket: its frames have the described shapes", async () => {
    const frameOf = (order_id: string) => {
      const { "Ocrch-Signed-Url": signed_url = "", "Ocrch-Signature": own = "" } = server.userHeaders(payUrl(order_id));
      const query = new URLSearchParams({ signed_url, signature: own });
      const socket = new WebSocket(`ws://127.0.0.1:${server.port}/api/v1/user/orders/${order_id}/ws?${query}`);
      return new Promise<string>((resolve) => {
        let text = "";
        socket.addEventListener("message", ({ data }) => {
          text = String(data);
        });
        socket.addEventListener("close", () => resolve(text));
      });
    };
    const { StatusUpdate = {}, SocketError = {} } = document.components.schemas;
    expect(schemaOf(StatusUpdate).safeParse(JSON.parse(await frameOf(paid))).error).toBeUndefined();
    expect(schemaOf(SocketError).safeParse(JSON.parse(await frameOf(unknown_id))).error).toBeUndefined();
    // Its frame came, so the upgrade was answered with 101.
    const socket = "GET /api/v1/user/orders/{order_id}/ws";
    expect(describedAs(socket).responses["101"]).toBeDefined();
    seen.set(socket, (seen.get(socket) ?? new Set()).add("101"));
  });

  test("to too many at once, and to guessers", async () => {
    const last = server.events().length;
    const polls = Array.from({ length: polls_max }, () => server.service("events", { after: last, wait: 30 }));
    // Which of the callers comes last is not known; that one of them finds no place is.
    const [crowded] = await Promise.all([
      Promise.race([...polls, server.service("events", { after: last, wait: 30 })]).finally(() => server.createOrder()),
      ...polls,
    ]);
    expect(crowded.status).toBe(429);
    expectDescribed("POST /api/v1/service/events", crowded);

    const claims: Answer[] = [];
    for (let i = 0; i <= claims_max; i++) {
      claims.push(await server.user("POST", `orders/${pending}/claim`, { body: JSON.stringify({ txn_hash: hash }) }));
    }
    expect(claims.at(-1)?.status).toBe(429);
    for (const answer of claims) expectDescribed("POST /api/v1/user/orders/{order_id}/claim", answer);

    const wrong = { "Ocrch-Admin-Authorization": "wrong" };
    const answers: Answer[] = [];
    for (let i = 0; i <= failures_max; i++) answers.push(await server.request("GET", "/api/v1/admin/wallets", wrong));
    expect([answers.at(0)?.status, answers.at(-1)?.status]).toEqual([401, 429]);
    for (const answer of answers) expectDescribed("GET /api/v1/admin/wallets", answer);
  });

  test("and every status that is described was really answered, but for faults of ours and crowds elsewhere", () => {
    for (const operation of operations) {
      const crowded: Operation[] = [
        "POST /api/v1/service/events",
        "GET /api/v1/admin/wallets",
        "POST /api/v1/user/orders/{order_id}/claim",
      ];
      const crowd = crowded.includes(operation) ? [] : ["429"];
      const described = Object.keys(describedAs(operation).responses).filter(
        (one) => !["500", "503", ...crowd].includes(one),
      );
      const answered = [...(seen.get(operation) ?? [])].sort();
      expect([operation, answered]).toEqual([operation, described.sort()]);
    }
  });
});
