// slow
// Two hands reaching for one order: whoever commits first decides, the other is refused or finds it done, and money
// that was on its way is never lost. In one turn of the event loop, in different ones, and between two connections.

import { Database as Sqlite } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { tokens } from "../../src/domain/assets.ts";
import { errorCode } from "../../src/domain/errors.ts";
import { type Checkout, createCheckout } from "../../src/services/checkout.ts";
import { createExpiry, type Expiry } from "../../src/services/expiry.ts";
import { createSettlement, type Settlement } from "../../src/services/settlement.ts";
import { watchesOf } from "../../src/storage/coverage.ts";
import { balances } from "../support/balances.ts";
import { evm_wallet, payUrl, startTestServer, type TestServer, webhook_url } from "../support/server.ts";
import { silent } from "../support/temp-database.ts";

const rounds = 200;
const callers = 50;
const lifetime_ms = 60_000;
const late_window_ms = 60_000;
const payer = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
/** Turns of the event loop by which the last winner begins later. */
const handicap_turns = 25;
const usdt = tokens.eth.find((token) => token.coin === "USDT");

/** Two hundred rounds with a durable commit or three each, on a disk that may be busy. */
setDefaultTimeout(300_000);

let server: TestServer;
let rows: Sqlite;
let settlement: Settlement;
let expiry: Expiry;
let checkout: Checkout;

beforeAll(async () => {
  server = await startTestServer({ settings: { orders: { lifetime_ms, late_window_ms } } });
  const { world } = server;
  rows = new Sqlite(server.database_path, { readonly: true });
  settlement = createSettlement({ ...server, telemetry: silent });
  expiry = createExpiry({ ...server, world: { ...world, elapsed: world.now } });
  checkout = createCheckout(server);
});

afterAll(async () => {
  rows.close();
  await server.stop();
});

const all = <Row>(sql: string, ...params: (string | number)[]) =>
  rows.query<Row, (string | number)[]>(sql).all(...params);

interface Payment {
  order_id: string;
  transfer: number;
  /** The second reading of the transfer says it counts. */
  confirm(): Promise<void>;
}

let height = 0;

/** One transfer of `units` in a block of its own, as a poll finds it. */
function page(units: bigint) {
  height += 1;
  const block = { number: height, hash: `0xblock${height}`, time: Math.floor(server.now() / 1000) };
  return {
    chain: "eth" as const,
    pass: "head" as const,
    watches: server.database.read((at) => watchesOf(at, "eth")).map((watch) => watch.id),
    from: block.number,
    end: block,
    provider: "node",
    zero_value: 0,
    transfers: [
      {
        chain: "eth" as const,
        token: usdt?.address ?? "",
        sender: payer,
        wallet: evm_wallet,
        units,
        tx_hash: `0xtx${height}`,
        position: 0,
        log_index: 0,
        block,
      },
    ],
    gone: [],
    chainEnd: { head: block, final: { number: 0, hash: null, time: null } },
  };
}

/** A pending order with one deposit. */
async function asked(): Promise<{ order_id: string; units: bigint }> {
  const amount = `${100 + Math.floor(height / 100)}.${String(height % 100).padStart(2, "0")}`;
  const order_id = await server.createOrder({ amount });
  const deposit = await checkout.select(order_id, { blockchain: "eth", stablecoin: "USDT" });
  return { order_id, units: BigInt(deposit.units) };
}

/** A pending order whose payment was seen and waits for its confirmation. */
async function seen(): Promise<Payment> {
  const { order_id, units } = await asked();
  // Later than what may have been sent for an order that ended before.
  server.advance(60_000);
  const found = page(units);
  await settlement.ingest(found);
  const [row] = all<{ id: number }>("SELECT id FROM transfers WHERE tx_hash = ?", found.transfers[0]?.tx_hash ?? "");
  const transfer = row?.id ?? 0;
  const judged = { id: transfer, block_hash: found.end.hash, verdict: "confirmed" as const };
  return { order_id, transfer, confirm: () => settlement.confirm("eth", [judged]) };
}

/** What became of an order and of the money sent for it. */
function fate(order_id: string, transfer: number) {
  const events = all<{ type: string; body: string }>(
    "SELECT type, body FROM events WHERE (order_id = ? OR transfer = ?) AND type NOT IN ('order_created', 'deposit_opened') ORDER BY n",
    order_id,
    transfer,
  );
  const [order] = all<{ status: string; cause: string }>("SELECT status, cause FROM orders WHERE id = ?", order_id);
  const [money] = all<{ status: string; reason: string | null; likely_order: string | null }>(
    "SELECT status, reason, likely_order FROM transfers WHERE id = ?",
    transfer,
  );
  return {
    order: order?.status,
    cause: order?.cause,
    transfer: money?.status,
    reason: money?.reason,
    owner: money?.likely_order,
    paid_with: all("SELECT id FROM allocations WHERE transfer = ? AND reversed_at IS NULL", transfer).length,
    told: events
      .filter((event) => event.type === "order_status_changed")
      .map((event) => (JSON.parse(event.body) as { status: string }).status),
    pushed: all("SELECT id FROM deliveries WHERE kind = 'order' AND order_id = ?", order_id).length,
    strangers: events.filter((event) => event.type === "unknown_transfer").length,
    confirmed: events.filter((event) => event.type === "transfer_confirmed").length,
    open: all("SELECT id FROM deposits WHERE order_id = ? AND closed_at IS NULL", order_id).length,
  };
}

type Fate = ReturnType<typeof fate>;

const paid: Fate = {
  order: "paid",
  cause: "pay",
  transfer: "matched",
  reason: null,
  owner: null,
  paid_with: 1,
  told: ["paid"],
  pushed: 1,
  strangers: 0,
  confirmed: 1,
  open: 0,
};
/** The order ended without the money, which waits for a person and names the order. */
const lost = (order_id: string, status: string, cause: string): Fate => ({
  ...paid,
  order: status,
  cause,
  transfer: "waiting_for_match",
  reason: status === "expired" ? "late" : "order_ended",
  owner: order_id,
  paid_with: 0,
  told: [status],
  strangers: 1,
});

const turn = () => new Promise((resolve) => setImmediate(resolve));
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

const settled = (act: Promise<unknown>) =>
  act.then(
    () => "done",
    (error: unknown) => errorCode(error),
  );

/** Two acts begun in every way they can meet: which first, and how many turns of the event loop apart. */
const meetings = Array.from({ length: rounds }, (_, round) => ({
  rival_first: round % 2 === 0,
  apart: Math.floor(round / 2) % 4,
}));

async function meet(
  { rival_first, apart }: { rival_first: boolean; apart: number },
  pay: () => Promise<unknown>,
  rival: () => Promise<unknown>,
): Promise<{ pay: string; rival: string }> {
  const first = settled(rival_first ? rival() : pay());
  await turns(apart);
  const second = settled(rival_first ? pay() : rival());
  const [one, two] = [await first, await second];
  return rival_first ? { pay: two, rival: one } : { pay: one, rival: two };
}

/** Another process that cancels what it is told to. */
function startRival() {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "../support/rival.ts"), server.database_path], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
    env: { ...process.env, RIVAL_NOW: String(server.now()) },
  });
  const lines = linesOf(child.stdout);
  const ready = lines.next();
  return {
    async cancel(order_id: string): Promise<string> {
      await ready;
      child.stdin.write(`${order_id}\n`);
      child.stdin.flush();
      return (await lines.next()).value ?? "nothing";
    },
    async stop() {
      child.stdin.end();
      await child.exited;
    },
  };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + Buffer.from(chunk).toString()).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

/** Received money is allocated, unallocated or reverted, to the unit. */
function expectBalanced(): void {
  for (const row of server.database.read(balances)) {
    expect(BigInt(row.received)).toBe(BigInt(row.allocated) + BigInt(row.unallocated) + BigInt(row.reverted));
  }
}

describe(`${rounds} times a confirmed payment meets`, () => {
  test("a cancellation: one of them ends the order, and cancelled money names its order", async () => {
    const outcomes = new Map<string, number>();
    for (const meeting of meetings) {
      const { order_id, transfer, confirm } = await seen();
      const found = await meet(meeting, confirm, () => checkout.cancel(order_id));
      const cancelled = found.rival === "done";
      expect([meeting, found.pay, found.rival]).toEqual([meeting, "done", cancelled ? "done" : "order_not_pending"]);
      expect(fate(order_id, transfer)).toEqual(cancelled ? lost(order_id, "cancelled", "cancel") : paid);
      // In one connection calls are served in the order they came.
      expect(cancelled).toBe(meeting.rival_first);
      outcomes.set(found.rival, (outcomes.get(found.rival) ?? 0) + 1);
    }
    expect(Object.fromEntries(outcomes)).toEqual({ done: rounds / 2, order_not_pending: rounds / 2 });
    expectBalanced();
  });

  test("a cancellation by another process: the same, whoever the file lets in first", async () => {
    const rival = startRival();
    const outcomes = { done: 0, order_not_pending: 0 };
    // Whoever won begins a little later the next time, so that both keep meeting at the file's one lock.
    let handicap = 0;
    for (let round = 0; round < rounds; round++) {
      const { order_id, transfer, confirm } = await seen();
      const early = handicap > 0 ? rival.cancel(order_id) : confirm();
      await turns(Math.abs(handicap));
      const late = handicap > 0 ? confirm() : rival.cancel(order_id);
      const answers = await Promise.all([early, late]);
      const outcome = answers.find((answer) => answer !== undefined) ?? "nothing";
      if (outcome !== "done" && outcome !== "order_not_pending") throw new Error(`the rival said ${outcome}`);
      expect(fate(order_id, transfer)).toEqual(outcome === "done" ? lost(order_id, "cancelled", "cancel") : paid);
      outcomes[outcome] += 1;
      handicap += outcome === "done" ? -handicap_turns : handicap_turns;
    }
    expect([outcomes.done > 0, outcomes.order_not_pending > 0]).toEqual([true, true]);
    expectBalanced();
    await rival.stop();
  });

  test("an operator's mark-paid: the shop is told once, and money that was not needed waits for a person", async () => {
    for (const meeting of meetings) {
      const { order_id, transfer, confirm } = await seen();
      const found = await meet(meeting, confirm, () => server.operator.markPaid(order_id, "operator", "cash"));
      expect(found).toEqual({ pay: "done", rival: "done" });
      expect(fate(order_id, transfer)).toEqual(meeting.rival_first ? lost(order_id, "paid", "mark_paid") : paid);
    }
    expectBalanced();
  });

  test("the end of its late window: the order is paid or expired, never both", async () => {
    for (const meeting of meetings) {
      const { order_id, transfer, confirm } = await seen();
      server.advance(lifetime_ms + late_window_ms);
      const found = await meet(meeting, confirm, expiry.expireDue);
      expect(found).toEqual({ pay: "done", rival: "done" });
      expect(fate(order_id, transfer)).toEqual(meeting.rival_first ? lost(order_id, "expired", "expire") : paid);
    }
    expectBalanced();
  });
});

test(`${rounds} times a payment is seen in the moment its order would expire: it still pays`, async () => {
  for (const meeting of meetings) {
    const { order_id, units } = await asked();
    server.advance(60_000);
    const found = page(units);
    server.advance(lifetime_ms - 60_000);
    // The page ends with a block at the order's end: only with it is the chain read past the end.
    const end = { number: ++height, hash: `0xblock${height}`, time: Math.floor(server.now() / 1000) };
    const complete = { ...found, end, chainEnd: { ...found.chainEnd, head: end } };
    const met = await meet(meeting, () => settlement.ingest(complete), expiry.expireDue);
    expect(met).toEqual({ pay: "done", rival: "done" });
    await expiry.expireDue();
    const [transfer] = all<{ id: number }>("SELECT id FROM transfers WHERE tx_hash = ?", `0xtx${height - 1}`);
    const judged = { id: transfer?.id ?? 0, block_hash: found.end.hash, verdict: "confirmed" as const };
    await settlement.confirm("eth", [judged]);
    expect(fate(order_id, judged.id)).toEqual(paid);
  }
  expectBalanced();
});

test(`${rounds} times a selection meets a cancellation: no amount stays open for an order that ended`, async () => {
  for (const meeting of meetings) {
    const order_id = await server.createOrder({ amount: "0.5" });
    const select = () => checkout.select(order_id, { blockchain: "polygon", stablecoin: "DAI" });
    const found = await meet(meeting, select, () => checkout.cancel(order_id));
    expect(found).toEqual({ pay: meeting.rival_first ? "order_not_pending" : "done", rival: "done" });
    expect(all("SELECT id FROM deposits WHERE order_id = ? AND closed_at IS NULL", order_id)).toEqual([]);
    const open = "SELECT s.id FROM slots s JOIN deposits d ON d.id = s.deposit WHERE d.order_id = ?";
    expect(all(`${open} AND s.closed_at IS NULL`, order_id)).toEqual([]);
  }
});

describe(`${callers} requests at once`, () => {
  const together = <T>(act: (n: number) => Promise<T>) =>
    Promise.all(Array.from({ length: callers }, (_, n) => act(n)));

  test("for one pair of one order get the same payment detail and open one deposit", async () => {
    const order_id = await server.createOrder({ amount: "777.77" });
    const body = JSON.stringify({ blockchain: "eth", stablecoin: "USDC" });
    const answers = await together(() => server.user("POST", `orders/${order_id}/payment`, { body }));
    const expected = `{"order_id":"${order_id}","wallet_address":"${evm_wallet}","amount":"777.77","blockchain":"eth","stablecoin":"USDC"}`;
    expect(new Set(answers.map(({ status, body }) => `${status} ${body}`))).toEqual(new Set([`201 ${expected}`]));
    expect(all("SELECT id FROM deposits WHERE order_id = ?", order_id)).toHaveLength(1);
    const types = all<{ type: string }>("SELECT type FROM events WHERE order_id = ? ORDER BY n", order_id);
    expect(types.map((event) => event.type)).toEqual(["order_created", "deposit_opened"]);
  });

  test("for one amount of different orders are promised different amounts", async () => {
    const ids = await together(() => server.createOrder({ amount: "888.88" }));
    const body = JSON.stringify({ blockchain: "eth", stablecoin: "USDC" });
    const answers = await Promise.all(ids.map((id) => server.user("POST", `orders/${id}/payment`, { body })));
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([201]));
    const amounts = answers.map((answer) => (JSON.parse(answer.body) as { amount: string }).amount);
    expect(new Set(amounts).size).toBe(callers);
    expect(amounts.filter((amount) => amount === "888.88")).toHaveLength(1);
  });

  const created = (name: string) =>
    all<{ id: string }>("SELECT id FROM orders WHERE merchant_order_id = ?", name).map((order) => order.id);

  test("with one signed body create one order and get one answer", async () => {
    const answers = await together(() =>
      server.service("orders", { order_id: "one signed body", amount: "1", webhook_url }),
    );
    const [order_id, ...more] = created("one signed body");
    expect(more).toEqual([]);
    const expected = `{"order_id":"${order_id}","merchant_order_id":"one signed body","amount":"1","status":"pending","created_at":${Math.floor(server.now() / 1000)}}`;
    expect(new Set(answers.map(({ status, body }) => `${status} ${body}`))).toEqual(new Set([`201 ${expected}`]));
    expect(all("SELECT n FROM events WHERE order_id = ?", order_id ?? "")).toHaveLength(1);
  });

  test("with one idempotency key and two bodies create one order; the other body is refused", async () => {
    const answers = await together((n) => {
      const body = { order_id: "one key", amount: n % 2 === 0 ? "2" : "3", webhook_url };
      return server.service("orders", body, { "Idempotency-Key": "the-one-key" });
    });
    expect(created("one key")).toHaveLength(1);
    const refused = answers.filter((answer) => answer.status === 409);
    expect(refused).toHaveLength(callers / 2);
    expect(new Set(refused.map((answer) => answer.body))).toEqual(
      new Set(["idempotency key reused with a different body"]),
    );
    const accepted = answers.filter((answer) => answer.status === 201);
    expect([accepted.length, new Set(accepted.map((answer) => answer.body)).size]).toEqual([callers / 2, 1]);
  });

  test("to cancel one order: one succeeds, and the shop is told once", async () => {
    const order_id = await server.createOrder({ amount: "4" });
    const url = payUrl(order_id);
    const answers = await together(() => server.user("POST", `orders/${order_id}/cancel`, { url }));
    const statuses = answers.map(({ status, body }) => `${status} ${body}`).sort();
    expect(statuses).toEqual(["200 ", ...Array.from({ length: callers - 1 }, () => "409 order is not pending")]);
    const told = all("SELECT n FROM events WHERE order_id = ? AND type = 'order_status_changed'", order_id);
    expect(told).toHaveLength(1);
  });
});

test("afterwards the log has no gap, and no order was moved twice by accident", () => {
  const [log] = all<{ count: number; last: number }>("SELECT count(*) AS count, max(n) AS last FROM events");
  expect(log?.count).toBe(log?.last);
  const twice = all(
    "SELECT order_id FROM events WHERE type = 'order_status_changed' GROUP BY order_id HAVING count(*) > 1",
  );
  expect(twice).toEqual([]);
});
