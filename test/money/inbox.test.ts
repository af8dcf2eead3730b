// The inbox over real HTTP and a real database: what waits for a person, whose it may be, and what becomes of it.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type ChainId, type Coin, tokens } from "../../src/domain/assets.ts";
import {
  likelyOrder,
  type QuotedAmount,
  rankCandidates,
  type UnmatchedTransfer,
  weakestClaim,
} from "../../src/domain/candidates.ts";
import { Fault } from "../../src/domain/errors.ts";
import type { OrderStatus } from "../../src/domain/order.ts";
import type { Transfer } from "../../src/domain/payment.ts";
import { createSettlement } from "../../src/services/settlement.ts";
import {
  type Answer,
  evm_wallet,
  type Headings,
  payUrl,
  shop_origin,
  start_ms,
  startTestServer,
  type TestServer,
} from "../support/server.ts";

const start_s = start_ms / 1000;
const sender = "0x8617E340B3D01FA5F11F306F4090FD50E238070D";
const other_wallet = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

describe("the ranking of candidates", () => {
  const stray: UnmatchedTransfer = {
    chain: "eth",
    coin: "USDT",
    wallet: evm_wallet,
    amount: "10",
    block_time: start_s,
    reason: null,
    likely_order: null,
  };
  const asked = (order_id: string, more: Partial<QuotedAmount> = {}): QuotedAmount => ({
    order_id,
    merchant_order_id: `m-${order_id}`,
    status: "pending",
    target: { chain: "eth", coin: "USDT", wallet: evm_wallet },
    amount: "10.00",
    rest: false,
    opened_at: start_ms - 1000,
    known_sender: false,
    claimed: false,
    ...more,
  });
  const target = (chain: ChainId, coin: Coin, wallet = evm_wallet) => ({ target: { chain, coin, wallet } });
  const exact = "asked for exactly this amount";

  const rows: [what: string, Partial<QuotedAmount>, difference: string | null, why: string | null][] = [
    ["the same amount here", {}, "0", `${exact} here`],
    ["the rest of it", { rest: true }, "0", "asked for exactly what is left to pay of it here"],
    ["the same amount on another wallet", target("eth", "USDT", other_wallet), "0", `${exact}, but on another wallet`],
    ["the same amount in another coin", target("eth", "USDC"), "0", `${exact}, but in USDC`],
    ["the same amount on another chain", target("base", "USDC"), "0", `${exact}, but in USDC on base`],
    ["a little more", { amount: "11.3" }, "-1.3", "asked for an amount close by, above this one"],
    [
      "it with decimals",
      { amount: "10.01" },
      "-0.01",
      "asked for this amount and decimals behind it that were left out",
    ],
    ["it and a fee", { amount: "11" }, "-1", "asked for this amount and a fee that exchanges usually keep"],
    ["a little less", { amount: "9.9" }, "0.1", "asked for an amount close by, below this one"],
    [
      "it and a fee in another coin",
      { ...target("base", "USDC"), amount: "10.5" },
      "-0.5",
      "asked for this amount and a fee that exchanges usually keep, but in USDC on base",
    ],
    ["half as much more", { amount: "19.5" }, "-9.5", "asked for an amount close by, above this one"],
    ["more than that", { amount: "20.01" }, null, null],
    ["another amount elsewhere", { ...target("base", "USDC"), amount: "10.01" }, null, null],
    ["another amount without a choice", { target: null, opened_at: null, amount: "3" }, null, null],
    [
      "a claim without a choice",
      { target: null, opened_at: null, claimed: true, amount: "3" },
      "7",
      "its payer named this transaction",
    ],
    ["a later order", { opened_at: start_ms + 60_000 }, "0", `${exact} here; opened only after this transfer`],
    [
      "everything at once",
      { known_sender: true, claimed: true },
      "0",
      `${exact} here; its payer sends from this address; its payer named this transaction`,
    ],
  ];
  test.each(rows)("says of %s what it is", (_what, more, difference, why) => {
    const [one] = rankCandidates(stray, [asked("a", more)]);
    if (difference === null || why === null) expect(one).toBeUndefined();
    else expect(one).toMatchObject({ order_id: "a", merchant_order_id: "m-a", difference, why });
  });

  const order = (...all: QuotedAmount[]) => rankCandidates(stray, all).map((one) => one.order_id);

  test("puts strong reasons before weak ones, whatever the order's status", () => {
    expect(
      order(
        asked("close", { amount: "11.3" }),
        asked("cut", { amount: "10.01" }),
        asked("elsewhere", target("base", "USDC")),
        asked("sender", { amount: "500", known_sender: true }),
        asked("claimed", { amount: "700", claimed: true }),
        asked("exact", { status: "paid" }),
      ),
    ).toEqual(["exact", "cut", "sender", "claimed", "elsewhere"]);
  });

  test("puts what the matching named first, and orders of the future last", () => {
    const all = [asked("exact"), asked("late", { opened_at: start_ms + 60_000 }), asked("named", { amount: "11" })];
    const ranked = rankCandidates({ ...stray, likely_order: "named" }, all);
    expect(ranked.map((one) => one.order_id)).toEqual(["named", "exact", "late"]);
  });

  test("then pending before ended before paid, then the nearest, then the newest", () => {
    const status = (status: OrderStatus, id: string, more: Partial<QuotedAmount> = {}) =>
      asked(id, { status, ...more });
    expect(
      order(
        status("paid", "p"),
        status("expired", "e"),
        status("pending", "far", { amount: "11.2" }),
        status("pending", "near", { amount: "9.9" }),
        status("cancelled", "c", { opened_at: start_ms - 5 }),
      ),
    ).toEqual(["c", "e", "p", "near", "far"]);
  });

  test("names an order once, for its best reason, and five at most", () => {
    const many = Array.from({ length: 9 }, (_, index) => asked(`o${index}`, { opened_at: start_ms - index }));
    expect(order(...many)).toEqual(["o0", "o1", "o2", "o3", "o4"]);
    const twice = rankCandidates(stray, [asked("a", target("base", "USDC")), asked("a")]);
    expect(twice.map((one) => one.why)).toEqual([`${exact} here`]);
  });

  test("names at most two orders for nothing but a claim, however many claim it", () => {
    const strangers = Array.from({ length: 9 }, (_, index) => asked(`s${index}`, { amount: "700", claimed: true }));
    const payer = asked("payer", { ...target("base", "USDC") });
    expect(order(...strangers, payer)).toEqual(["s0", "s1", "payer"]);
  });

  const claims: [what: string, better: Partial<QuotedAmount>, worse: Partial<QuotedAmount>][] = [
    ["a deposit from before the transfer", {}, { opened_at: start_ms + 60_000 }],
    ["any deposit", { amount: "700" }, { target: null, opened_at: null }],
    ["a known sender", { known_sender: true, amount: "700" }, {}],
    ["a deposit on the wallet it came to", { amount: "12" }, target("base", "USDC")],
    ["the nearer amount", { amount: "10.2" }, { amount: "9" }],
  ];
  test.each(claims)("of two claims keeps the one with %s", (_what, better, worse) => {
    const [strong, weak] = [
      { order_id: "strong", asked: [asked("strong", better)] },
      { order_id: "weak", asked: [asked("weak", worse)] },
    ];
    expect([weakestClaim(stray, [weak, strong]), weakestClaim(stray, [strong, weak])]).toEqual(["weak", "weak"]);
  });

  test("of equal claims keeps the earlier one", () => {
    const claim = (order_id: string) => ({ order_id, asked: [asked(order_id)] });
    expect(weakestClaim(stray, [claim("first"), claim("second")])).toBe("second");
    expect(weakestClaim(stray, [])).toBe(null);
  });

  const owners: [what: string, asked: QuotedAmount[], owner: string | null][] = [
    ["nobody", [], null],
    ["the only one who was asked for it elsewhere", [asked("a", target("base", "DAI"))], "a"],
    ["one who chose twice", [asked("a", target("base", "DAI")), asked("a", target("arb", "DAI"))], "a"],
    ["nobody when two were asked", [asked("a", target("base", "DAI")), asked("b", target("arb", "DAI"))], null],
    ["nobody when it ended", [asked("a", { ...target("base", "DAI"), status: "expired" })], null],
    ["nobody when it came later", [asked("a", { ...target("base", "DAI"), opened_at: start_ms + 60_000 })], null],
    ["nobody of another amount", [asked("a", { amount: "10.01" })], null],
    ["who was asked for it and a fee elsewhere", [asked("a", { ...target("base", "DAI"), amount: "10.8" })], "a"],
    [
      "who was asked for just it, before who was asked for a fee more",
      [asked("a", target("base", "DAI")), asked("b", { ...target("arb", "DAI"), amount: "11" })],
      "a",
    ],
    [
      "nobody when two were asked for it and a fee",
      [asked("a", { ...target("base", "DAI"), amount: "10.8" }), asked("b", { ...target("arb", "DAI"), amount: "11" })],
      null,
    ],
  ];
  test.each(owners)("takes for the likely owner %s", (_what, all, owner) => {
    expect(likelyOrder(stray, all)).toBe(owner);
  });
});

describe("the inbox", () => {
  let server: TestServer;
  beforeEach(async () => {
    server = await startTestServer();
  });
  afterEach(() => server.stop());

  interface Received {
    chain?: ChainId;
    wallet?: string;
    token?: string;
    confirmed?: boolean;
    from?: string;
  }
  let block = 1000;
  /** Lets a chain be read: one transfer in a block of its own. Returns its id. */
  async function receive(units: bigint, more: Received = {}): Promise<number> {
    const settlement = createSettlement(server);
    const { chain = "eth", wallet = evm_wallet, token = tokens[chain][0]?.address ?? "", from = sender } = more;
    block += 1;
    const end = { number: block, hash: `0xblock${block}`, time: start_s + 60 };
    const transfer: Transfer = {
      ...{ chain, token, sender: from, wallet, units, log_index: 5, position: 0, block: end },
      tx_hash: `0xabc${block}`,
    };
    const [row] = await settlement.admit([transfer], "test");
    if (row === undefined) throw new Error("nothing was taken in");
    if (more.confirmed !== false) {
      await settlement.confirm(chain, [{ id: row.id, block_hash: end.hash, verdict: "confirmed" }]);
    }
    return row.id;
  }
  const gone = (id: number) =>
    createSettlement(server).ingest({
      ...{ chain: "eth", pass: "head", watches: [], from: 5000, provider: "test", zero_value: 0, transfers: [] },
      ...{ end: { number: 5000, hash: "0xend", time: start_s }, gone: [id] },
      chainEnd: {
        head: { number: 5000, hash: "0xend", time: start_s },
        final: { number: 0, hash: null, time: null },
      },
    });
  async function ordered(amount: string, choice = { blockchain: "eth", stablecoin: "USDT" }): Promise<string> {
    const id = await server.createOrder({ amount });
    const answer = await server.user("POST", `orders/${id}/payment`, { body: JSON.stringify(choice) });
    expect(answer.status).toBe(201);
    return id;
  }
  interface Entry {
    id: number;
    reason: string;
    reason_text: string;
    candidates: { order_id: string; difference: string; why: string; status: string }[];
  }
  const inbox = async (query = "") => JSON.parse((await server.admin("GET", `inbox${query}`)).body) as Entry[];
  const ids = async (query = "") => (await inbox(query)).map((entry) => entry.id);
  const post = (path: string, body: unknown) => server.admin("POST", path, {}, JSON.stringify(body));
  const summary = ({ status, body }: Answer) => [status, body];
  const types = () => server.events().map((event) => event.type);

  test("shows confirmed money that fits no order, with exactly the documented fields, and nothing else", async () => {
    const order = await ordered("19.99");
    await receive(19_990_000n);
    const near = await ordered("20.00");
    const stray = await receive(19_900_000n);
    await receive(1n, { confirmed: false });
    const [entry, ...rest] = await inbox();
    expect(rest).toEqual([]);
    expect(Object.keys(entry ?? {})).toEqual([
      ...["id", "blockchain", "token", "from_address", "to_address", "txn_hash", "value", "block_number"],
      ...["block_timestamp", "blockchain_confirmed", "created_at", "status", "fulfillment_id"],
      ...["reason", "reason_text", "candidates"],
    ]);
    expect(entry).toMatchObject({
      id: stray,
      reason: "ambiguous",
      reason_text: "it may be meant for more than one order",
      candidates: [
        {
          order_id: near,
          status: "pending",
          difference: "-0.1",
          why: expect.stringContaining("exchanges usually keep"),
        },
        {
          order_id: order,
          status: "paid",
          difference: "-0.09",
          why: expect.stringContaining("sends from this address"),
        },
      ],
    });
    expect(Object.keys(entry?.candidates[0] ?? {})).toEqual([
      ...["order_id", "merchant_order_id", "status", "amount", "difference", "why"],
    ]);
  });

  test("finds amounts of more and of fewer digits, in other coins and on other chains, and long after they ended", async () => {
    const above = await ordered("10.00");
    const below = await ordered("9.97");
    const elsewhere = await ordered("9.99", { blockchain: "polygon", stablecoin: "DAI" });
    const ended = await ordered("9.99", { blockchain: "eth", stablecoin: "USDC" });
    await server.user("POST", `orders/${ended}/cancel`);
    await server.database.transact((tx) => void tx.live().run("DELETE FROM slots WHERE closed_at IS NOT NULL"));
    await receive(9_990_000n);
    const [entry] = await inbox();
    expect(entry?.candidates.map(({ order_id, difference }) => [order_id, difference])).toEqual([
      [elsewhere, "0"],
      [above, "-0.01"],
      [ended, "0"],
      [below, "0.02"],
    ]);
  });

  test("is newest first, in parts, and filtered by chain and reason", async () => {
    const first = await receive(1_000_000n);
    const second = await receive(2_000_000n);
    const polygon = await receive(3_000_000n, { chain: "polygon" });
    const foreign = await receive(4_000_000n, { token: tokens.polygon[3]?.address ?? "", chain: "polygon" });
    expect(await ids()).toEqual([foreign, polygon, second, first]);
    expect(await ids("?limit=2&offset=1")).toEqual([polygon, second]);
    expect(await ids("?blockchain=polygon")).toEqual([foreign, polygon]);
    expect(await ids("?reason=unknown_token")).toEqual([foreign]);
    expect(await ids("?reason=reverted")).toEqual([]);
    for (const [query, name] of [
      ["reason=none", "reason"],
      ["blockchain=btc", "blockchain"],
      ["dust=1", "dust"],
      ["limit=x", "limit"],
    ]) {
      expect(summary(await server.admin("GET", `inbox?${query}`))).toEqual([400, `invalid ${name}`]);
    }
  });

  test("leaves dust and look-alikes out until they are asked for", async () => {
    const dust = await receive(1n);
    const plain = await receive(5_000_000n);
    await server.database.transact(
      (tx) => void tx.live().run(`UPDATE transfers SET reason = 'dust' WHERE id = ${dust}`),
    );
    expect(await ids()).toEqual([plain]);
    expect(await ids("?dust=true")).toEqual([plain, dust]);
  });

  test("shows a payment that left the chain with the order it paid, until it is back", async () => {
    const order = await ordered("19.99");
    const id = await receive(19_990_000n);
    expect(await ids()).toEqual([]);
    await gone(id);
    expect(await inbox()).toMatchObject([
      { id, status: "matched", reason: "reverted", candidates: [{ order_id: order, status: "paid", difference: "0" }] },
    ]);
    expect(await ids("?reason=reverted")).toEqual([id]);
  });

  describe("names the likely owner to the merchant", () => {
    const told = () =>
      server
        .events()
        .filter((event) => event.type === "unknown_transfer")
        .map((event) => (JSON.parse(event.body) as { order_id?: string }).order_id);
    const usdc_e = () => tokens.polygon.find((token) => token.coin === null)?.address ?? "";

    test("when one pending order asks for just this amount in another coin", async () => {
      const order = await ordered("31.07", { blockchain: "polygon", stablecoin: "USDC" });
      await receive(31_070_000n);
      await receive(31_070_000n, { chain: "polygon", token: usdc_e() });
      expect(told()).toEqual([order, order]);
      expect(await inbox()).toMatchObject([
        { status: "waiting_for_match", reason: "unknown_token", candidates: [{ order_id: order }] },
        { status: "waiting_for_match", reason: "no_such_amount", candidates: [{ order_id: order }] },
      ]);
    });

    test("and nobody when there are two, when it ended, or when it opened later", async () => {
      await ordered("31.07", { blockchain: "polygon", stablecoin: "USDC" });
      await ordered("31.07", { blockchain: "polygon", stablecoin: "DAI" });
      const ended = await ordered("41.07", { blockchain: "polygon", stablecoin: "DAI" });
      await server.user("POST", `orders/${ended}/cancel`);
      await receive(31_070_000n);
      await receive(41_070_000n);
      server.advance(120_000);
      await ordered("51.07", { blockchain: "polygon", stablecoin: "DAI" });
      await receive(51_070_000n);
      expect(told()).toEqual([undefined, undefined, undefined]);
    });
  });

  test("tells of dust neither when it comes nor when it goes", async () => {
    server.config.replace({
      ...server.config.current(),
      merchant: { ...server.config.current().merchant, unknown_transfer_webhook_url: "https://shop.example/unknown" },
    });
    const dust = await receive(1n);
    const plain = await receive(5_000_000n);
    await gone(dust);
    await gone(plain);
    expect(await ids("?dust=true&reason=reverted")).toEqual([plain, dust]);
    const pushed = server.database.read((at) =>
      at
        .live()
        .all<{ type: string; transfer: number }>(
          "SELECT e.type, d.transfer FROM deliveries d JOIN events e ON e.n = d.event ORDER BY d.id",
        ),
    );
    expect(pushed).toEqual([
      { type: "unknown_transfer", transfer: plain },
      { type: "payment_reverted", transfer: plain },
    ]);
  });

  describe("is left by a dismissal", () => {
    test("once, with its reason in the audit log, and the transfer stays what it is", async () => {
      const id = await receive(5_000_000n);
      const answer = await post(`transfers/${id}/dismiss`, { reason: " refunded by hand " });
      expect(answer.status).toBe(200);
      expect(JSON.parse(answer.body)).toMatchObject({ id, status: "no_matched_deposit", fulfillment_id: null });
      expect(summary(await post(`transfers/${id}/dismiss`, { reason: "again" }))).toEqual(summary(answer));
      expect(await inbox()).toEqual([]);
      expect(types().filter((type) => type === "transfer_dismissed")).toHaveLength(1);
      expect(
        server.database.read((at) =>
          at.live().all("SELECT actor, detail FROM audit WHERE action = 'transfer_dismissed'"),
        ),
      ).toEqual([{ actor: "admin-api", detail: "refunded by hand" }]);
    });

    test("and entered again when its block leaves the chain", async () => {
      const id = await receive(5_000_000n);
      await post(`transfers/${id}/dismiss`, { reason: "seen" });
      await gone(id);
      expect(await inbox()).toMatchObject([{ id, reason: "reverted" }]);
    });

    test("only by what is in it, for a reason", async () => {
      await ordered("19.99");
      const paid = await receive(19_990_000n);
      const unconfirmed = await receive(1_000_000n, { confirmed: false });
      const rows: [path: string, body: unknown, status: number, text: string][] = [
        [`transfers/${paid}/dismiss`, { reason: "x" }, 409, "transfer is not in the inbox"],
        [`transfers/${unconfirmed}/dismiss`, { reason: "x" }, 409, "transfer is not in the inbox"],
        ["transfers/99/dismiss", { reason: "x" }, 404, "resource not found"],
        ["transfers/x/dismiss", { reason: "x" }, 400, "invalid transfer_id"],
        [`transfers/${paid}/dismiss`, {}, 400, "invalid JSON body"],
        [`transfers/${paid}/dismiss`, { reason: 5 }, 400, "invalid JSON body"],
        [`transfers/${paid}/dismiss`, { reason: " " }, 400, "invalid reason"],
        [`transfers/${paid}/dismiss`, { reason: "x".repeat(1001) }, 400, "invalid reason"],
      ];
      for (const [path, body, status, text] of rows) expect(summary(await post(path, body))).toEqual([status, text]);
      expect(types()).not.toContain("transfer_dismissed");
    });
  });

  describe("an operator's word", () => {
    const assign = (id: number, order_id: string, reason?: string) =>
      post(`transfers/${id}/assign`, { order_id, ...(reason === undefined ? {} : { reason }) });
    const unassign = (id: number) => post(`transfers/${id}/unassign`, { reason: "wrong one" });
    const told = (order: string) =>
      server
        .events()
        .filter((event) => event.type === "order_status_changed" && event.order_id === order)
        .map((event) => (JSON.parse(event.body) as { status: string }).status);
    const count = (type: string) => types().filter((one) => one === type).length;
    const statusOf = async (order: string) =>
      (JSON.parse((await server.user("GET", `orders/${order}/status`)).body) as { status: string }).status;

    test("pays a pending order, once, however often it is said", async () => {
      const order = await ordered("19.99");
      const id = await receive(19_990_000n, { token: tokens.eth[1]?.address ?? "" });
      const answer = await assign(id, order.toUpperCase(), "paid in another coin");
      expect(answer.status).toBe(200);
      expect(JSON.parse(answer.body)).toMatchObject({
        transfer: { id, status: "matched", fulfillment_id: 1 },
        order: { order_id: order, status: "paid" },
      });
      expect(summary(await assign(id, order))).toEqual(summary(answer));
      expect([told(order), count("transfer_assigned")]).toEqual([["paid"], 1]);
      expect(await inbox()).toEqual([]);
      const logged = server.database.read((at) =>
        at.live().all("SELECT actor, detail FROM audit WHERE action = 'transfer_assigned'"),
      );
      expect(logged).toEqual([
        { actor: "admin-api", detail: JSON.stringify({ order, reason: "paid in another coin" }) },
      ]);
    });

    test("pays in parts, which can be taken back until the order is paid", async () => {
      const order = await ordered("19.99");
      // Of one sender they would pay by themselves.
      const [first, second] = [
        await receive(12_000_000n),
        await receive(7_990_000n, { from: "0x90F79bf6EB2c4f870365E785982E1f101E93b906" }),
      ];
      expect(JSON.parse((await assign(first, order)).body)).toMatchObject({ order: { status: "pending" } });
      expect(count("order_part_paid")).toBe(1);
      const back = await unassign(first);
      expect(JSON.parse(back.body)).toMatchObject({
        transfer: { id: first, status: "waiting_for_match", fulfillment_id: null },
        order: { order_id: order, status: "pending" },
      });
      expect(summary(await unassign(first))).toEqual(summary(back));
      expect(count("transfer_assigned")).toBe(2);
      expect((await inbox("?reason=unassigned")).map((entry) => entry.id)).toEqual([first]);

      await assign(second, order);
      expect(await statusOf(order)).toBe("pending");
      await assign(first, order);
      expect([await statusOf(order), told(order)]).toEqual(["paid", ["paid"]]);
      for (const id of [first, second]) {
        const refused = await unassign(id);
        expect([refused.status, refused.body]).toEqual([
          409,
          expect.stringMatching(/^the order was paid by this transfer: /),
        ]);
      }
    });

    test("revives an order that ended when it is enough, and waits with it when it is not", async () => {
      const order = await ordered("19.99");
      await server.user("POST", `orders/${order}/cancel`);
      const [first, second] = [await receive(12_000_000n), await receive(8_000_000n)];
      await assign(first, order);
      expect(await statusOf(order)).toBe("cancelled");
      expect(await inbox("?reason=order_ended")).toMatchObject([{ id: first, candidates: [{ order_id: order }] }]);
      await assign(second, order);
      expect([await statusOf(order), told(order)]).toEqual(["paid", ["cancelled", "paid"]]);
      expect(await inbox()).toMatchObject([{ id: second, reason: "overpaid", candidates: [{ order_id: order }] }]);
      expect((await unassign(first)).status).toBe(409);
    });

    test("adds money to an order that was marked paid by hand, tells nobody, and can be taken back", async () => {
      const order = await ordered("19.99");
      await server.admin("POST", `orders/${order}/mark-paid`);
      const id = await receive(5_000_000n);
      expect((await assign(id, order)).status).toBe(200);
      expect(told(order)).toEqual(["paid"]);
      expect((await unassign(id)).status).toBe(200);
      expect(await statusOf(order)).toBe("paid");
      expect(await ids()).toEqual([id]);
    });

    test("takes a dismissed transfer back from the shelf", async () => {
      const order = await ordered("19.99");
      const id = await receive(5_000_000n);
      await post(`transfers/${id}/dismiss`, { reason: "who knows" });
      expect((await assign(id, order)).status).toBe(200);
      await unassign(id);
      expect(await ids()).toEqual([id]);
    });

    test("is refused where it would count money twice, too early, or no longer", async () => {
      const order = await ordered("19.99");
      const paid = await receive(19_990_000n);
      const other = await ordered("30.00");
      const waiting = await receive(5_000_000n, { confirmed: false });
      const reverted = await receive(6_000_000n);
      await gone(reverted);
      const stray = await receive(7_000_000n);
      const before = types().length;
      const rows: [act: () => Promise<Answer>, status: number, text: string][] = [
        [() => assign(paid, other), 409, `transfer is matched to an order: ${order}`],
        [() => assign(stray, order), 409, "order is not pending: other money paid it"],
        [() => assign(waiting, other), 409, "transfer is not confirmed"],
        [() => assign(reverted, other), 409, "transfer has left the chain"],
        [() => assign(99, other), 404, "resource not found"],
        [() => assign(stray, "550e8400-e29b-41d4-a716-446655440000"), 404, "resource not found"],
        [() => assign(stray, "x"), 400, "invalid JSON body"],
        [() => assign(stray, other, "x".repeat(1001)), 400, "invalid reason"],
        [() => unassign(stray), 409, "transfer pays no order"],
        [() => unassign(99), 404, "resource not found"],
      ];
      for (const [act, status, text] of rows) expect(summary(await act())).toEqual([status, text]);
      expect(types().length).toBe(before);
    });

    test("of two operators at once counts once", async () => {
      const orders = [await ordered("19.99"), await ordered("30.00")];
      const id = await receive(7_000_000n);
      const answers = await Promise.all(orders.map((order) => assign(id, order)));
      expect(answers.map((answer) => answer.status).sort()).toEqual([200, 409]);
      expect(count("transfer_assigned")).toBe(1);
      const both = await Promise.all([
        unassign(id),
        assign(id, orders[0] ?? ""),
        post(`transfers/${id}/dismiss`, { reason: "x" }),
      ]);
      for (const { status } of both) expect([200, 409]).toContain(status);
      const [row] = server.database.read((at) =>
        at
          .live()
          .all<{ live: number; matched: number }>(
            "SELECT (SELECT count(*) FROM allocations WHERE reversed_at IS NULL) AS live, (SELECT count(*) FROM transfers WHERE status = 'matched') AS matched",
          ),
      );
      expect(row?.live).toBe(row?.matched ?? -1);
    });
  });
});

describe("a claim", () => {
  const hash = `0x${"ab".repeat(32)}`;
  const silent_hash = `0x${"cd".repeat(32)}`;
  let server: TestServer;
  /** What the chains show, by chain and hash. */
  let mined: Map<string, Transfer[]>;
  let asked: string[];
  beforeEach(async () => {
    mined = new Map();
    asked = [];
    server = await startTestServer({
      async lookUp(chain, tx_hash) {
        asked.push(chain);
        if (tx_hash === silent_hash) throw new Fault("provider_unreachable");
        return mined.get(`${chain} ${tx_hash}`) ?? null;
      },
    });
  });
  afterEach(() => server.stop());

  const block = { number: 1000, hash: "0xblock", time: start_s + 60 };
  const sent = (units: bigint, more: Partial<Transfer> = {}): Transfer => ({
    ...{ chain: "eth", token: tokens.eth[0]?.address ?? "", sender, wallet: evm_wallet, units, tx_hash: hash },
    ...{ log_index: 5, position: 0, block, ...more },
  });
  const claim = (order: string, txn_hash: unknown = hash, options: { url?: string; headers?: Headings } = {}) =>
    server.user("POST", `orders/${order}/claim`, { body: JSON.stringify({ txn_hash }), ...options });
  const said = async (order: string, txn_hash?: string) => {
    const answer = await claim(order, txn_hash);
    expect(answer.status).toBe(200);
    return JSON.parse(answer.body) as { status: string; text: string; blockchain: string | null; txn_hash: string };
  };
  async function ordered(amount: string, choice = { blockchain: "eth", stablecoin: "USDT" }): Promise<string> {
    const id = await server.createOrder({ amount });
    await server.user("POST", `orders/${id}/payment`, { body: JSON.stringify(choice) });
    return id;
  }
  const confirm = (id: number) =>
    createSettlement(server).confirm("eth", [{ id, block_hash: block.hash, verdict: "confirmed" }]);
  const rows = () =>
    server.database.read((at) =>
      at.live().all<{ status: string; reason: string | null }>("SELECT status, reason FROM transfers ORDER BY id"),
    );
  const statusOf = async (order: string) =>
    (JSON.parse((await server.user("GET", `orders/${order}/status`)).body) as { status: string }).status;
  const candidates = async () => {
    const [entry] = JSON.parse((await server.admin("GET", "inbox")).body) as [
      { candidates: { order_id: string; why: string }[] } | undefined,
    ];
    return entry?.candidates ?? [];
  };

  test("to exactly what the order asks for is accepted, pays once it is confirmed, and moves no coverage", async () => {
    const order = await ordered("19.99");
    mined.set(`eth ${hash}`, [sent(19_990_000n)]);
    expect(await said(order, hash.toUpperCase().replace("0X", "0x"))).toEqual({
      status: "accepted",
      text: "the payment was found and counts as soon as it is confirmed",
      blockchain: "eth",
      txn_hash: hash,
    });
    expect(await statusOf(order)).toBe("pending");
    expect((await said(order)).status).toBe("accepted");
    expect(asked).toEqual(["eth"]);
    await confirm(1);
    expect(await statusOf(order)).toBe("paid");
    expect((await said(order)).status).toBe("already_counted");
    expect(server.database.read((at) => at.live().all("SELECT kind FROM allocations"))).toEqual([{ kind: "claim" }]);
    expect(server.database.read((at) => at.live().all("SELECT id FROM coverage"))).toEqual([]);
  });

  test("never takes what fits another order, and does not say which", async () => {
    const mine = await ordered("5.00");
    const other = await ordered("19.99");
    mined.set(`eth ${hash}`, [sent(19_990_000n)]);
    expect((await said(mine)).status).toBe("already_counted");
    await confirm(1);
    expect([await statusOf(mine), await statusOf(other)]).toEqual(["pending", "paid"]);
    const answer = await said(mine);
    expect(answer).toMatchObject({
      status: "already_counted",
      text: "this transaction counts for another payment already",
    });
    expect(JSON.stringify(answer)).not.toContain(other);
    expect(server.database.read((at) => at.live().all("SELECT id FROM claims"))).toEqual([]);
  });

  test("to anything else goes to the inbox, where its order is a candidate", async () => {
    const order = await ordered("19.99");
    mined.set(`eth ${hash}`, [sent(3_000_000n)]);
    expect((await said(order)).status).toBe("in_inbox");
    expect(rows()).toMatchObject([{ status: "waiting_for_confirmation" }]);
    await confirm(1);
    expect((await said(order)).status).toBe("in_inbox");
    expect(await statusOf(order)).toBe("pending");
    expect(await candidates()).toMatchObject([
      { order_id: order, why: expect.stringContaining("its payer named this transaction") },
    ]);
  });

  test("is kept once per order, and no more than five per transfer", async () => {
    mined.set(`eth ${hash}`, [sent(3_000_000n)]);
    const orders: string[] = [];
    for (let i = 0; i < 7; i++) {
      server.advance(1000);
      orders.push(await server.createOrder({ amount: "9.00" }));
    }
    for (const order of orders) {
      await server.claims.claim(order, hash, order);
    }
    await server.claims.claim(orders[0] ?? "", hash, "again");
    const kept = server.database.read((at) =>
      at.live().all<{ order_id: string }>("SELECT order_id FROM claims ORDER BY id"),
    );
    expect(kept.map((row) => row.order_id)).toEqual(orders.slice(0, 5));
  });

  test("of the payer is kept though strangers named the transaction first, and is shown first", async () => {
    mined.set(`eth ${hash}`, [sent(3_000_000n)]);
    const own = await ordered("3.20");
    const strangers: string[] = [];
    // Asked for after the transfer could be seen, or for something else.
    for (const amount of ["9.00", "8.00", "7.00", "60.00", "50.00", "40.00"]) strangers.push(await ordered(amount));
    for (const stranger of strangers) {
      server.advance(13_000);
      await server.claims.claim(stranger, hash, stranger);
    }
    await server.claims.claim(own, hash, "payer");
    await confirm(1);
    const kept = server.database.read((at) => at.live().all<{ order_id: string }>("SELECT order_id FROM claims"));
    expect([kept.length, kept.map(({ order_id }) => order_id).includes(own)]).toEqual([5, true]);
    expect((await candidates())[0]).toMatchObject({ order_id: own, why: expect.stringContaining("named this") });
  });

  test("is looked up though strangers use up the look-ups of those who ask again and again", async () => {
    let elapsed = 0;
    const own = await startTestServer({ world: { elapsed: () => elapsed } });
    try {
      const orders: string[] = [];
      for (let n = 0; n < 13; n++) orders.push(await own.createOrder({ amount: "5.00" }));
      const [payer = "", ...strangers] = orders;
      let hashes = 0;
      const refusals = new Map<string, number>();
      for (let minute = 0; minute < 3; minute++) {
        elapsed += 61_000;
        refusals.clear();
        for (const [n, stranger] of strangers.entries()) {
          for (let i = 0; i < 5; i++) {
            hashes += 1;
            await own.claims
              .claim(stranger, `0x${hashes.toString(16).padStart(64, "0")}`, `10.0.${n}.1`)
              .catch(({ code }) => refusals.set(code, (refusals.get(code) ?? 0) + 1));
          }
        }
      }
      expect([...refusals]).toEqual([["not_looked_up", 30]]);
      expect((await own.claims.claim(payer, hash, "10.9.9.9")).status).toBe("not_found");
    } finally {
      await own.stop();
    }
  });

  test("finds several transfers in one transaction, and the best one answers", async () => {
    const order = await ordered("19.99");
    await ordered("7.00");
    mined.set(`eth ${hash}`, [sent(1_000_000n), sent(7_000_000n, { position: 1 }), sent(19_990_000n, { position: 2 })]);
    expect((await said(order)).status).toBe("accepted");
    expect(rows()).toHaveLength(3);
  });

  test("looks where the order can be paid first, then where the hash is spelled so, and nowhere when it is known", async () => {
    const tron = await ordered("19.99", { blockchain: "tron", stablecoin: "USDT" });
    expect((await said(tron)).status).toBe("not_found");
    expect(asked).toEqual(["tron", "eth", "polygon"]);
    asked = [];
    expect((await said(tron, hash.slice(2))).status).toBe("not_found");
    expect(asked).toEqual(["tron"]);
    asked = [];
    const order = await ordered("3.00", { blockchain: "polygon", stablecoin: "USDT" });
    await createSettlement(server).admit([sent(5_000_000n)], "read before");
    expect((await said(order)).status).toBe("in_inbox");
    expect(asked).toEqual([]);
  });

  test("to nothing says what to do", async () => {
    const order = await ordered("19.99");
    expect(await said(order)).toEqual({
      status: "not_found",
      text: "no such transaction was found so far; try again once it is mined",
      blockchain: null,
      txn_hash: hash,
    });
    mined.set(`eth ${hash}`, []);
    expect(await said(order)).toMatchObject({
      status: "not_found",
      text: "this transaction brings nothing to the merchant",
      blockchain: "eth",
    });
  });

  test("that no chain could be asked about is a conflict to try again", async () => {
    const order = await ordered("19.99");
    const answer = await claim(order, silent_hash);
    expect([answer.status, answer.body, answer.headers.get("retry-after")]).toEqual([
      409,
      "the chain could not be asked; try again later",
      "30",
    ]);
  });

  test("takes spaces, capitals, a missing 0x and an explorer's link with one hash in it", async () => {
    const bare = hash.slice(2);
    const spellings = [
      `  ${hash}\n`,
      bare.toUpperCase(),
      bare,
      `https://etherscan.io/tx/${hash}#eventlog`,
      `https://example.org/tx/${hash}?again=${hash.toUpperCase()}`,
    ];
    for (const spelling of spellings) {
      const own = await startTestServer({ lookUp: async (_chain, tx_hash) => mined.get(`eth ${tx_hash}`) ?? null });
      const id = await own.createOrder({ amount: "19.99" });
      await own.user("POST", `orders/${id}/payment`, { body: '{"blockchain":"eth","stablecoin":"USDT"}' });
      mined.set(`eth ${hash}`, [sent(19_990_000n)]);
      const answer = await own.user("POST", `orders/${id}/claim`, { body: JSON.stringify({ txn_hash: spelling }) });
      expect([spelling, answer.status, JSON.parse(answer.body)]).toMatchObject([
        spelling,
        200,
        { status: "accepted", txn_hash: hash },
      ]);
      await own.stop();
    }
    const order = await ordered("19.99");
    const two = `https://etherscan.io/tx/${hash} https://etherscan.io/tx/${silent_hash}`;
    expect((await claim(order, two)).body).toBe("invalid txn_hash");
    // A hash that is part of something longer is none.
    expect((await claim(order, `${hash}ab`)).body).toBe("invalid txn_hash");
  });

  test("is refused in the order clients rely on", async () => {
    const order = await ordered("19.99");
    const other = await server.createOrder();
    const unknown = "550e8400-e29b-41d4-a716-446655440000";
    const plain = { headers: { "Content-Type": "text/plain" } };
    const rows: [act: () => Promise<Answer>, status: number, text: string][] = [
      [() => server.request("POST", `/api/v1/user/orders/${order}/claim`), 401, "missing Ocrch-Signature header"],
      [() => claim("x"), 400, "invalid order_id"],
      [() => claim(unknown, 5, plain), 415, "unsupported content type"],
      [() => claim(unknown, 5), 400, "invalid JSON body"],
      [() => claim(unknown), 404, "order not found"],
      [() => claim(order, hash, { url: payUrl(other) }), 404, "order not found"],
      ...["", "0x12", `${hash}0`, `0y${"ab".repeat(32)}`].map((wrong): [() => Promise<Answer>, number, string] => [
        () => claim(order, wrong),
        400,
        "invalid txn_hash",
      ]),
    ];
    for (const [act, status, text] of rows) {
      const answer = await act();
      expect([answer.status, answer.body]).toEqual([status, text]);
    }
    expect(asked).toEqual([]);
  });

  test("may be made five times a minute for an order, whoever asks, and by a client, for whichever order", async () => {
    const order = await ordered("19.99");
    for (let i = 0; i < 5; i++) expect((await claim(order)).status).toBe(200);
    const refused = await claim(order);
    expect([refused.status, refused.body]).toEqual([429, "too many requests"]);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await claim(await ordered("3.00"))).status).toBe(429);
    await expect(server.claims.claim(order, hash, "203.0.113.7")).rejects.toMatchObject({ code: "too_many_requests" });
    const another = await server.claims.claim(await ordered("4.00"), hash, "203.0.113.8");
    expect(another.status).toBe("not_found");
  });

  test("may come from a page of a configured origin", async () => {
    const order = await ordered("19.99");
    const preflight = await server.request("OPTIONS", `/api/v1/user/orders/${order}/claim`, { Origin: shop_origin });
    expect([preflight.status, preflight.headers.get("access-control-allow-methods")]).toEqual([204, "POST, OPTIONS"]);
  });
});
