// The Admin API over real HTTP: its secret and its guard, lists and their filters, repairs by hand.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { tokens } from "../../src/domain/assets.ts";
import type { Transfer } from "../../src/domain/payment.ts";
import { createExpiry } from "../../src/services/expiry.ts";
import { createSettlement } from "../../src/services/settlement.ts";
import { dueDeliveries, recordAttempt } from "../../src/storage/outbox.ts";
import { realWorld } from "../../src/world.ts";
import {
  type Answer,
  admin_secret,
  evm_wallet,
  type Headings,
  start_ms,
  startTestServer,
  type TestServer,
  tron_wallet,
  webhook_url,
} from "../support/server.ts";

const start_s = start_ms / 1000;
const unknown_id = "550e8400-e29b-41d4-a716-446655440000";
const sender = "0x8617E340B3D01FA5F11F306F4090FD50E238070D";
const eth_usdt = JSON.stringify({ blockchain: "eth", stablecoin: "USDT" });
const unknown_transfer_webhook_url = "https://your-app.example.com/webhooks/unknown";

const summary = ({ status, body }: Answer) => [status, body];
const header = (secret: string) => ({ "Ocrch-Admin-Authorization": secret });

async function expectRefusal(server: TestServer, status: number, text: string, act: () => Promise<Answer>) {
  const before = server.events().length;
  const answer = await act();
  expect(summary(answer)).toEqual([status, text]);
  expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  expect(server.events().length).toBe(before);
  return answer;
}

interface Received {
  n: number;
  amount_units?: bigint;
  token?: string;
  wallet?: string;
  chain?: Transfer["chain"];
}

/** Lets a chain be read: one transfer each, confirmed where asked. Block `n` holds transfer `n`. */
async function receive(server: TestServer, transfers: readonly Received[], confirmed: readonly number[]) {
  const settlement = createSettlement(server);
  for (const { n, chain = "eth", ...rest } of transfers) {
    const end = { number: 1000 + n, hash: `0xblock${n}`, time: start_s + n };
    const transfer: Transfer = {
      chain,
      token: rest.token ?? tokens.eth[0]?.address ?? "",
      sender,
      wallet: rest.wallet ?? evm_wallet,
      units: rest.amount_units ?? 19_990_000n,
      tx_hash: `0xabc${n}`,
      log_index: 5,
      position: 0,
      block: end,
    };
    const chainEnd = { head: end, final: { number: 0, hash: null, time: null } };
    await settlement.ingest({
      ...{ chain, pass: "head", watches: [], from: end.number, end, provider: "test", zero_value: 0 },
      ...{ transfers: [transfer], gone: [], chainEnd },
    });
    const [row] = server.operator.transfers({ chain, unaccepted: true }, { limit: 1, offset: 0 });
    if (confirmed.includes(n) && row !== undefined) {
      await settlement.confirm(chain, [{ id: row.id, block_hash: end.hash, verdict: "confirmed" }]);
    }
  }
}

const ids = (answer: Answer) => (JSON.parse(answer.body) as { id: number }[]).map(({ id }) => id);
const order_ids = (answer: Answer) => (JSON.parse(answer.body) as { order_id: string }[]).map((row) => row.order_id);

describe("the admin secret", () => {
  let server: TestServer;
  let argon2_runs = 0;
  let argon2_running = 0;
  let argon2_most = 0;
  let elapsed_ms = 0;
  beforeEach(async () => {
    [argon2_runs, argon2_running, argon2_most] = [0, 0, 0];
    const real = realWorld();
    const passwords = {
      ...real.passwords,
      async verify(secret: string, hash: string) {
        argon2_runs += 1;
        argon2_most = Math.max(argon2_most, ++argon2_running);
        const right = await real.passwords.verify(secret, hash);
        argon2_running -= 1;
        return right;
      },
    };
    server = await startTestServer({ world: { passwords, elapsed: () => elapsed_ms } });
  });
  afterEach(() => server.stop());

  const list = (headers: Headings) => server.request("GET", "/api/v1/admin/wallets", headers);
  const guess = (n: number) => list(header(`guess ${n}`));

  const rows: [name: string, status: number, text: string, headers: Headings][] = [
    ["missing", 401, "missing Ocrch-Admin-Authorization header", {}],
    ["empty", 401, "invalid admin secret", header("")],
    ["wrong", 401, "invalid admin secret", header("wrong")],
    ["in other letters", 401, "invalid admin secret", header(admin_secret.toUpperCase())],
    ["right and something behind it", 401, "invalid admin secret", header(`${admin_secret}x`)],
    ["behind a scheme", 401, "invalid admin secret", header(`Bearer ${admin_secret}`)],
  ];
  for (const [name, status, text, headers] of rows) {
    test(`${name}: ${status} ${text}, on every route and before everything else`, async () => {
      const paths = ["orders?limit=x", "deposits", "wallets", "wallets/0x1/transfers"];
      for (const path of paths) {
        await expectRefusal(server, status, text, () => server.request("GET", `/api/v1/admin/${path}`, headers));
      }
      for (const path of ["orders/1/mark-paid", "orders/1/resend-webhook", "transfers/x/resend-webhook"]) {
        await expectRefusal(server, status, text, () => server.request("POST", `/api/v1/admin/${path}`, headers));
      }
      expect(server.log.join("\n")).not.toContain(headers["Ocrch-Admin-Authorization"] || "\0");
    });
  }

  test("that is not UTF-8: 400", async () => {
    const head = "GET /api/v1/admin/wallets HTTP/1.1\r\nHost: a\r\nOcrch-Admin-Authorization: ";
    const answer = await server.raw(`${head}\xff\xfe\r\n\r\n`);
    expect(answer).toStartWith("HTTP/1.1 400 ");
    expect(answer).toEndWith("\r\n\r\ninvalid authorization header");
  });

  test("may hold letters beyond ASCII", async () => {
    const secret = "geheim für alle";
    const secret_hash = await realWorld().passwords.hash(secret);
    server.config.replace({ ...server.config.current(), admin: { secret_hash } });
    const head = "GET /api/v1/admin/wallets HTTP/1.1\r\nHost: a\r\nOcrch-Admin-Authorization: ";
    const answer = await server.raw(`${head}${Buffer.from(secret).toString("latin1")}\r\n\r\n`);
    expect(answer).toStartWith("HTTP/1.1 200 ");
  });

  test("costs one argon2 run, however many ask at once and afterwards", async () => {
    const first = await Promise.all(Array.from({ length: 40 }, () => list(header(admin_secret))));
    const later = await Promise.all(Array.from({ length: 40 }, () => list(header(admin_secret))));
    expect(new Set([...first, ...later].map(({ status }) => status))).toEqual(new Set([200]));
    expect(argon2_runs).toBe(1);
  });

  test("is verified again after its cache was cleared, and a changed hash needs no clearing", async () => {
    await list(header(admin_secret));
    server.http.clearAdminCache();
    expect((await list(header(admin_secret))).status).toBe(200);
    expect(argon2_runs).toBe(2);

    const secret_hash = await realWorld().passwords.hash("another");
    server.config.replace({ ...server.config.current(), admin: { secret_hash } });
    expect((await list(header(admin_secret))).status).toBe(401);
    expect((await list(header("another"))).status).toBe(200);
  });

  test("may be used at once after a reload by whoever tried it too early", async () => {
    const secret_hash = await realWorld().passwords.hash("the next one");
    for (let n = 0; n < 12; n++) await list(header("the next one"));
    expect((await list(header("the next one"))).status).toBe(429);
    server.config.replace({ ...server.config.current(), admin: { secret_hash } });
    server.http.clearAdminCache();
    expect((await list(header("the next one"))).status).toBe(200);
  });

  test("is no secret at all when the hash is empty", async () => {
    server.config.replace({ ...server.config.current(), admin: { secret_hash: "" } });
    for (const secret of ["", admin_secret]) expect((await list(header(secret))).status).toBe(401);
    expect(argon2_runs).toBe(0);
  });

  test("may be guessed ten times a minute; then 429 comes before any argon2", async () => {
    for (let n = 0; n < 10; n++) expect(summary(await guess(n))).toEqual([401, "invalid admin secret"]);
    expect(argon2_runs).toBe(10);
    elapsed_ms += 20_000;
    for (let n = 10; n < 20; n++) {
      const answer = await guess(n);
      expect(summary(answer)).toEqual([429, "too many failed attempts"]);
      expect(answer.headers.get("retry-after")).toBe("40");
    }
    expect(argon2_runs).toBe(10);

    elapsed_ms += 40_000;
    expect((await guess(20)).status).toBe(401);
    expect((await list(header(admin_secret))).status).toBe(200);
  });

  test("once verified is never throttled, and wrong ones then cost no argon2", async () => {
    await list(header(admin_secret));
    const statuses: number[] = [];
    for (let n = 0; n < 15; n++) statuses.push((await guess(n)).status);
    expect(statuses).toEqual([...Array(10).fill(401), ...Array(5).fill(429)]);
    expect((await list(header(admin_secret))).status).toBe(200);
    expect(argon2_runs).toBe(1);
  });

  test("guesses in flight count, and at most two are verified at once", async () => {
    const runs: number[] = [];
    for (const spelling of [(n: number) => `guess ${n}`, () => "the same guess"]) {
      const before = argon2_runs;
      const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => list(header(spelling(n)))));
      const count = (status: number) => answers.filter((answer) => answer.status === status).length;
      expect([count(401), count(429)]).toEqual([10, 20]);
      runs.push(argon2_runs - before);
      elapsed_ms += 60_000;
    }
    expect(argon2_most).toBe(2);
    // Equal guesses share the run that is under way; one that comes after it has ended needs its own, within the ten.
    const [different = 0, same = 0] = runs;
    expect(different).toBe(10);
    expect(same).toBeGreaterThanOrEqual(1);
    expect(same).toBeLessThanOrEqual(10);
  });

  test("is not asked for health, which answers while guesses wait", async () => {
    const guesses = Array.from({ length: 10 }, (_, n) => guess(n));
    for (const path of ["/health", "/api/v1/admin/health"]) {
      expect(summary(await server.request("GET", path))).toEqual([200, '{"status":"ok","version":"9.8.7"}']);
    }
    await Promise.all(guesses);
  });
});

describe("lists", () => {
  let server: TestServer;
  const created: string[] = [];
  beforeAll(async () => {
    server = await startTestServer();
    for (let i = 0; i < 25; i++)
      created.push(await server.createOrder({ order_id: `m${i % 5}`, amount: `${i + 1}.5` }));
  });
  afterAll(() => server.stop());

  const list = (path: string) => server.admin("GET", path);
  const newest = () => [...created].reverse();

  test("show orders newest first, also within one second, with exactly the documented fields", async () => {
    const answer = await list("orders?limit=1");
    expect(answer.headers.get("content-type")).toBe("application/json");
    expect(summary(answer)).toEqual([
      200,
      `[{"order_id":"${created.at(-1)}","merchant_order_id":"m4","amount":"25.5","status":"pending","created_at":${start_s},"webhook_url":"${webhook_url}","webhook_retry_count":0,"webhook_success_at":null,"webhook_last_tried_at":null}]`,
    ]);
  });

  const pages: [query: string, from: number, to: number][] = [
    ["", 0, 20],
    ["?limit=3", 0, 3],
    ["?limit=3&offset=2", 2, 5],
    ["?limit=0", 0, 1],
    ["?limit=-7", 0, 1],
    ["?limit=200", 0, 25],
    ["?limit=99999999999999999999999", 0, 25],
    ["?offset=-1", 0, 20],
    ["?offset=24", 24, 25],
    ["?offset=100001", 25, 25],
    ["?offset=99999999999999999999999", 25, 25],
    ["?unknown=1&limit=1", 0, 1],
  ];
  for (const [query, from, to] of pages) {
    test(`orders${query} shows ${to - from} of 25`, async () => {
      expect(order_ids(await list(`orders${query}`))).toEqual(newest().slice(from, to));
    });
  }

  const refused: [path: string, text: string][] = [
    ["orders?limit=", "invalid limit"],
    ["orders?limit=ten", "invalid limit"],
    ["orders?limit=1.5", "invalid limit"],
    ["orders?limit=1e1", "invalid limit"],
    ["orders?limit=+5", "invalid limit"],
    ["orders?limit=0x10", "invalid limit"],
    ["orders?offset=", "invalid offset"],
    ["orders?offset=x", "invalid offset"],
    ["orders?status=", "invalid status"],
    ["orders?status=PAID", "invalid status"],
    ["orders?status=done", "invalid status"],
    ["orders?merchant_order_id=", "invalid merchant_order_id"],
    ["deposits?limit=x", "invalid limit"],
    ["deposits?order_id=1", "invalid order_id"],
    ["deposits?order_id=", "invalid order_id"],
    ["deposits?blockchain=ETH", "invalid blockchain"],
    ["deposits?blockchain=", "invalid blockchain"],
    ["deposits?token=usdt", "invalid token"],
    [`wallets/${evm_wallet}/transfers?offset=x`, "invalid offset"],
    [`wallets/${evm_wallet}/transfers?status=paid`, "invalid status"],
    [`wallets/${evm_wallet}/transfers?blockchain=bsc`, "invalid blockchain"],
    [`wallets/${evm_wallet}/transfers?token=USDC.e`, "invalid token"],
  ];
  for (const [path, text] of refused) {
    test(`${path}: 400 ${text}`, () => expectRefusal(server, 400, text, () => list(path)));
  }

  test("filter orders by status and by the exact merchant's id", async () => {
    const [third = "", eighth = ""] = [created[3], created[8]];
    await server.user("POST", `orders/${third}/cancel`);
    await server.admin("POST", `orders/${eighth}/mark-paid`);
    expect(order_ids(await list("orders?status=cancelled"))).toEqual([third]);
    expect(order_ids(await list("orders?status=paid"))).toEqual([eighth]);
    expect(order_ids(await list("orders?status=pending&limit=200"))).toHaveLength(23);
    expect(order_ids(await list("orders?status=expired"))).toEqual([]);
    expect(order_ids(await list("orders?merchant_order_id=m3"))).toEqual(
      [23, 18, 13, 8, 3].map((n) => created[n] ?? ""),
    );
    expect(order_ids(await list("orders?merchant_order_id=m3&status=paid"))).toEqual([eighth]);
    expect(order_ids(await list("orders?merchant_order_id=m"))).toEqual([]);
    expect(order_ids(await list("orders?merchant_order_id=M3"))).toEqual([]);
  });

  test("show open deposits with their terms and when their chain was read", async () => {
    const bound = await server.createOrder({ expecting_wallet_address: sender.toLowerCase(), amount: "7.70" });
    const pairs = [
      ["eth", "USDT"],
      ["polygon", "DAI"],
      ["tron", "USDT"],
    ];
    const [plain = ""] = created;
    for (const [blockchain, stablecoin] of pairs) {
      await server.user("POST", `orders/${plain}/payment`, { body: JSON.stringify({ blockchain, stablecoin }) });
    }
    const answer = await server.user("POST", `orders/${bound}/payment`, { body: eth_usdt });
    expect(answer.status).toBe(201);

    const shown = await list(`deposits?order_id=${bound.toUpperCase()}`);
    const [id] = ids(shown);
    expect(summary(shown)).toEqual([
      200,
      `[{"id":${id},"order_id":"${bound}","blockchain":"eth","token":"USDT","user_address":"${sender}","wallet_address":"${evm_wallet}","value":"7.70","started_at":${start_s},"last_scanned_at":${start_s}}]`,
    ]);
    expect(order_ids(await list("deposits"))).toEqual([bound, plain, plain, plain]);
    expect(order_ids(await list("deposits?token=USDT"))).toEqual([bound, plain, plain]);
    expect(order_ids(await list("deposits?blockchain=eth"))).toEqual([bound, plain]);
    expect(order_ids(await list("deposits?blockchain=polygon&token=USDT"))).toEqual([]);
    expect(order_ids(await list(`deposits?order_id=${plain}&blockchain=tron`))).toEqual([plain]);
    expect((await list(`deposits?order_id=${unknown_id}`)).body).toBe("[]");

    server.advance(60_000);
    await receive(server, [{ n: 50 }], []);
    expect((await list(`deposits?order_id=${bound}`)).body).toContain(`"last_scanned_at":${start_s + 60}}`);
    await server.user("POST", `orders/${plain}/cancel`);
    expect(order_ids(await list("deposits"))).toEqual([bound]);
  });

  test("show wallets as configured", async () => {
    expect(summary(await list("wallets"))).toEqual([
      200,
      JSON.stringify([
        { blockchain: "eth", address: evm_wallet, enabled_coins: ["USDT", "USDC"] },
        { blockchain: "polygon", address: evm_wallet, enabled_coins: ["USDT", "USDC", "DAI"] },
        { blockchain: "tron", address: tron_wallet, enabled_coins: ["USDT"] },
      ]),
    ]);
  });
});

describe("transfers", () => {
  let server: TestServer;
  beforeEach(async () => {
    server = await startTestServer();
  });
  afterEach(() => server.stop());
  const transfers = (query = "", address = evm_wallet) => server.admin("GET", `wallets/${address}/transfers${query}`);
  const resend = (id: string) => server.admin("POST", `transfers/${id}/resend-webhook`);
  const withUrl = () => {
    const current = server.config.current();
    server.config.replace({ ...current, merchant: { ...current.merchant, unknown_transfer_webhook_url } });
  };

  test("are listed with exactly the documented fields, newest first", async () => {
    const order_id = await server.createOrder({ amount: "19.990" });
    await server.user("POST", `orders/${order_id}/payment`, { body: eth_usdt });
    await receive(server, [{ n: 1 }, { n: 2, amount_units: 1n }], [1]);
    const row = (n: number, rest: string) =>
      `{"id":${n},"blockchain":"eth","token":"USDT","from_address":"${sender}","to_address":"${evm_wallet}","txn_hash":"0xabc${n}",${rest}}`;
    const matched = `"value":"19.99","block_number":1001,"block_timestamp":${start_s + 1},"blockchain_confirmed":true,"created_at":${start_s},"status":"matched","fulfillment_id":1`;
    const waiting = `"value":"0.000001","block_number":1002,"block_timestamp":${start_s + 2},"blockchain_confirmed":false,"created_at":${start_s},"status":"waiting_for_confirmation","fulfillment_id":null`;
    expect(summary(await transfers())).toEqual([200, `[${row(2, waiting)},${row(1, matched)}]`]);
    expect((await server.user("GET", `orders/${order_id}/status`)).body).toContain('"status":"paid"');
  });

  test("are filtered by status, chain and coin, and found by the address in any case", async () => {
    const usdc = tokens.eth[1]?.address ?? "";
    const polygon = { chain: "polygon" as const, token: tokens.polygon[0]?.address ?? "" };
    await receive(server, [{ n: 1 }, { n: 2, token: usdc }, { n: 3, ...polygon }], [1, 3]);
    expect(ids(await transfers())).toEqual([3, 2, 1]);
    expect(ids(await transfers("?status=no_matched_deposit"))).toEqual([3, 1]);
    expect(ids(await transfers("?status=matched"))).toEqual([]);
    expect(ids(await transfers("?blockchain=eth"))).toEqual([2, 1]);
    expect(ids(await transfers("?token=USDC"))).toEqual([2]);
    expect(ids(await transfers("?token=USDT&blockchain=polygon&status=no_matched_deposit"))).toEqual([3]);
    expect(ids(await transfers("?limit=1&offset=1"))).toEqual([2]);
    expect(ids(await transfers("", evm_wallet.toLowerCase()))).toEqual([3, 2, 1]);
    expect(ids(await transfers("", `0X${evm_wallet.slice(2).toUpperCase()}`))).toEqual([3, 2, 1]);
  });

  test("of a token that is accepted as no coin are listed only when asked for, under its own label", async () => {
    const bridged = tokens.polygon.find(({ label }) => label === "USDC.e")?.address ?? "";
    await receive(server, [{ n: 1 }, { n: 2, chain: "polygon", token: bridged }], [1, 2]);
    const labels = (answer: Answer) => (JSON.parse(answer.body) as { token: string }[]).map(({ token }) => token);
    expect(labels(await transfers())).toEqual(["USDT"]);
    expect(labels(await transfers("?unaccepted=false"))).toEqual(["USDT"]);
    expect(labels(await transfers("?status=no_matched_deposit&blockchain=polygon"))).toEqual([]);
    expect(labels(await transfers("?unaccepted=true"))).toEqual(["USDC.e", "USDT"]);
    expect(labels(await transfers("?unaccepted=true&blockchain=polygon"))).toEqual(["USDC.e"]);
    expect(labels(await transfers("?unaccepted=true&token=USDC"))).toEqual([]);
    expect(labels(await server.admin("GET", "inbox"))).toEqual(["USDC.e", "USDT"]);
    expect(summary(await transfers("?unaccepted=yes"))).toEqual([400, "invalid unaccepted"]);
  });

  test("of an address that was never seen, or is none, are an empty list", async () => {
    await receive(server, [{ n: 1, chain: "tron", wallet: tron_wallet, token: tokens.tron[0]?.address ?? "" }], []);
    expect(ids(await transfers("", tron_wallet))).toEqual([1]);
    for (const address of [sender, tron_wallet.toLowerCase(), "nobody", "%F0%9F%A6%84", "a%2Fb"]) {
      expect(summary(await transfers("", address))).toEqual([200, "[]"]);
    }
  });

  test("nobody asked for can be announced again, unless they are matched or nobody listens", async () => {
    const order_id = await server.createOrder();
    await server.user("POST", `orders/${order_id}/payment`, { body: eth_usdt });
    await receive(server, [{ n: 1 }, { n: 2, amount_units: 5n }, { n: 3, amount_units: 6n }], [1, 2]);
    const not_configured = "merchant.unknown_transfer_webhook_url is not configured";
    await expectRefusal(server, 409, not_configured, () => resend("2"));
    withUrl();
    await expectRefusal(server, 409, "transfer is matched to an order", () => resend("1"));
    for (const id of ["4", "0", "-1", "99999999999999999999999"]) {
      await expectRefusal(server, 404, "resource not found", () => resend(id));
    }
    for (const id of ["x", "1.0", "1e1", "%20"]) {
      await expectRefusal(server, 400, "invalid transfer_id", () => resend(id));
    }

    const before = server.events().length;
    for (const id of ["2", "3"]) expect(summary(await resend(id))).toEqual([200, ""]);
    const added = server.events().slice(before);
    expect(added.map(({ type, transfer }) => [type, transfer])).toEqual([
      ["unknown_transfer", 2],
      ["unknown_transfer", 3],
    ]);
    expect(added[0]?.body).toStartWith(
      `{"event_type":"unknown_transfer","transfer_id":2,"blockchain":"eth","timestamp":${start_s},`,
    );
  });
});

describe("an order in an operator's hand", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(() => server.stop());
  const announced = (order_id: string) =>
    server.events().filter((event) => event.type === "order_status_changed" && event.order_id === order_id);

  const ends: [before: string, end: (order_id: string) => Promise<unknown>, announcements: number][] = [
    ["pending", async () => {}, 1],
    ["cancelled", (order_id) => server.user("POST", `orders/${order_id}/cancel`), 2],
  ];
  for (const [before, end, announcements] of ends) {
    test(`becomes paid from ${before} with one webhook, and stays so`, async () => {
      const order_id = await server.createOrder({ order_id: `by hand from ${before}` });
      await server.user("POST", `orders/${order_id}/payment`, { body: eth_usdt });
      await end(order_id);
      const paid = `{"order_id":"${order_id}","merchant_order_id":"by hand from ${before}","amount":"19.99","status":"paid","created_at":${start_s},"webhook_url":"${webhook_url}","webhook_retry_count":0,"webhook_success_at":null,"webhook_last_tried_at":null}`;
      for (const id of [order_id, order_id.toUpperCase()]) {
        expect(summary(await server.admin("POST", `orders/${id}/mark-paid`))).toEqual([200, paid]);
      }
      expect(announced(order_id)).toHaveLength(announcements);
      expect(announced(order_id).at(-1)?.body).toContain('"status":"paid"');
      expect((await server.admin("GET", `deposits?order_id=${order_id}`)).body).toBe("[]");
    });
  }

  test("is announced again in whatever status it has", async () => {
    const order_id = await server.createOrder();
    for (const status of ["pending", "paid"]) {
      const before = announced(order_id).length;
      expect(summary(await server.admin("POST", `orders/${order_id}/resend-webhook`))).toEqual([200, ""]);
      expect(announced(order_id)).toHaveLength(before + 1);
      expect(announced(order_id).at(-1)?.body).toContain(`"status":"${status}"`);
      await server.admin("POST", `orders/${order_id}/mark-paid`);
    }
  });

  test("that has expired becomes paid with one webhook", async () => {
    const order_id = await server.createOrder();
    server.advance(3_600_000);
    await createExpiry(server).expireDue();
    expect(announced(order_id).at(-1)?.body).toContain('"status":"expired"');
    expect((await server.admin("POST", `orders/${order_id}/mark-paid`)).body).toContain('"status":"paid"');
    expect(announced(order_id)).toHaveLength(2);
  });

  test("shows how its webhooks fared, in seconds, over all of them", async () => {
    const order_id = await server.createOrder({ order_id: "fared" });
    await server.admin("POST", `orders/${order_id}/mark-paid`);
    await server.admin("POST", `orders/${order_id}/resend-webhook`);
    const { origin } = new URL(webhook_url);
    const attempt = async (ended_at: number, delivered: boolean) => {
      await server.database.transact((tx) => {
        const due = dueDeliveries(tx, origin, ended_at, 1000).find((row) => row.order_id === order_id);
        const result = { status: delivered ? 200 : 500, error: null, next_at: ended_at };
        recordAttempt(tx, { delivery: due?.id ?? -1, started_at: ended_at, ended_at, delivered, ...result });
      });
    };
    const first = server.now() + 1999;
    for (const [ms, delivered] of [
      [0, false],
      [1000, false],
      [2000, true],
      [3000, false],
      [4000, true],
    ] as const) {
      await attempt(first + ms, delivered);
    }
    const shown = await server.admin("GET", "orders?merchant_order_id=fared");
    const at = Math.floor(first / 1000);
    expect(shown.body).toEndWith(
      `"webhook_retry_count":3,"webhook_success_at":${at + 2},"webhook_last_tried_at":${at + 4}}]`,
    );
  });

  test("may be cancelled while its payment is seen; the payment then waits for the operator", async () => {
    const order_id = await server.createOrder({ amount: "44.44" });
    await server.user("POST", `orders/${order_id}/payment`, { body: eth_usdt });
    await receive(server, [{ n: 4000, amount_units: 44_440_000n }], []);
    expect((await server.user("POST", `orders/${order_id}/cancel`)).status).toBe(200);
    const [row] = server.operator.transfers({}, { limit: 1, offset: 0 });
    expect(row?.status).toBe("waiting_for_confirmation");
    const judged = { id: row?.id ?? 0, block_hash: row?.block_hash ?? "", verdict: "confirmed" as const };
    await createSettlement(server).confirm("eth", [judged]);
    const shown = await server.admin("GET", `wallets/${evm_wallet}/transfers?status=waiting_for_match`);
    expect(ids(shown)).toEqual([judged.id]);
    expect((await server.user("GET", `orders/${order_id}/status`)).body).toContain('"status":"cancelled"');
  });

  test("that does not exist, or is no UUID, is refused", async () => {
    for (const verb of ["mark-paid", "resend-webhook"]) {
      const act = (id: string) => () => server.admin("POST", `orders/${id}/${verb}`);
      await expectRefusal(server, 404, "resource not found", act(unknown_id));
      await expectRefusal(server, 400, "invalid order_id", act("42"));
      await expectRefusal(server, 400, "invalid order_id", act(`${unknown_id}0`));
    }
  });
});
