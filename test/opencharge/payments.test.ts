// Payments from foreign wallets over real HTTP: a settlement provider proves that it has the money, we prove it to the
// merchant, and that pays the merchant's order here.

import { Database as Sqlite } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { liveConfig } from "../../src/config/config.ts";
import { insertProof, proofOf, signedOrder } from "../../src/opencharge/storage/merchant.ts";
import { keptProofs } from "../../src/opencharge/storage/payments.ts";
import { canonicalJson } from "../../src/opencharge/wire/canonical.ts";
import { createSigner } from "../../src/opencharge/wire/keys.ts";
import { createAdmin, type ProofOutcome } from "../../src/sdk/index.ts";
import { createCrediting } from "../../src/services/crediting.ts";
import { insertChain } from "../../src/storage/chains.ts";
import { migrate } from "../../src/storage/engine/migrations.ts";
import { recordTransition } from "../../src/storage/ledger.ts";
import { dueDeliveries, dueLanes } from "../../src/storage/outbox.ts";
import { insertTransfer } from "../../src/storage/transfers.ts";
import { type Answer, type Party, startParty } from "../support/opencharge/party.ts";
import { type Shop, shop_ocid, shop_secret, startShop } from "../support/opencharge/shop.ts";
import type { Fields } from "../support/opencharge/spelling.ts";
import { plansOf } from "../support/plans.ts";
import { admin_secret, testConfig } from "../support/server.ts";

const [ours, provider_ocid, wallet_ocid] = [200, 100, 201];

let shop: Shop;
let provider: Party;
let wallet: Party;
let stranger: Party;
beforeEach(async () => {
  let clock = () => Date.now();
  const now = () => clock();
  provider = startParty({ ocid: provider_ocid, role: "settlement_provider", now });
  wallet = startParty({ ocid: wallet_ocid, role: "payment_app", now });
  stranger = startParty({ ocid: 666, role: "settlement_provider", now });
  const pinned = [provider, wallet, stranger].map(({ ocid, metadata_url }) => {
    return { ocid, metadata_url, public_key: null, endpoint: null };
  });
  shop = await startShop({ settings: { gateway_ocid: ours, accepts: [ours, provider_ocid], pinned } });
  clock = shop.now;
  for (const party of [provider, wallet]) party.knows(ours, shop.metadata_url);
});
afterEach(async () => {
  for (const party of [provider, wallet, stranger]) party.stop();
  await shop.stop();
});

const seconds = () => Math.floor(shop.now() / 1000);

/** An order of the shop for two coffees. */
async function order(id: string): Promise<string> {
  const items = [{ id: "item_001", name: "Large Coffee", quantity: 2, price: "5.00" }];
  const body = { id, ocid: shop_ocid, amount: "10.00", currency: "USD", items };
  const { status, text } = await wallet.call(shop.endpoint, "POST", "/orders/create", body);
  if (status !== 200) throw new Error(text);
  return id;
}

const create = (more: Fields = {}) =>
  wallet.call(shop.endpoint, "POST", "/payment/create", { to: shop_ocid, amount: "10.00", currency: "USD", ...more });

async function pending(more: Fields = {}): Promise<string> {
  const { status, json, text } = await create(more);
  if (status !== 200) throw new Error(text);
  return String(json?.txid);
}

const terms = (txid: string) => ({ to: { ocid: ours, reference: txid }, amount: "10.00", currency: "USD" });

const settle = (txid: string, envelope: { proof: Fields; signature: string }, from = wallet) =>
  from.call(shop.endpoint, "POST", "/payment/settle", { txid, ...envelope });

const codeOf = ({ status, json }: Answer) => {
  const { code = "none" } = (json?.error ?? {}) as { code?: string };
  return `${status} ${code}`;
};

const statusOf = async (id: string) => (await (await fetch(`${shop.endpoint}/orders/${id}/status`)).json()) as Fields;

/** Carries our proof to the merchant's address, as a delivery does. */
async function carry({ json }: Answer): Promise<Fields> {
  const url = `${shop.endpoint}/transfer/webhook`;
  const body = JSON.stringify({ proof: json?.proof, signature: json?.signature });
  const headers = { ...shop.proofs.sign(url, body), "content-type": "application/json" };
  return (await (await fetch(url, { method: "POST", headers, body })).json()) as Fields;
}

describe("one transfer of a provider", () => {
  const deliver = (envelope: object) => provider.call(shop.endpoint, "POST", "/transfer/webhook", { ...envelope });
  const paid = async (...ids: string[]) => {
    const statuses = await Promise.all(ids.map(async (id) => (await statusOf(id)).status));
    return statuses.filter((status) => status === "paid").length;
  };
  const both: [what: string, ways: ("settle" | "deliver")[]][] = [
    ["settled, then delivered for an order", ["settle", "deliver"]],
    ["delivered for an order, then settled", ["deliver", "settle"]],
  ];
  test.each(both)("%s pays once", async (_, ways) => {
    await order("first");
    const txid = await pending({ order: { id: "first", urls: [] } });
    await order("second");
    const for_order = { ...terms(txid), to: { ocid: shop_ocid, reference: "second" } };
    const answers = {
      settle: () => settle(txid, provider.proof({ ...terms(txid), txid: "p1" })),
      deliver: () => deliver(provider.proof({ ...for_order, txid: "p1" })),
    };
    const codes: string[] = [];
    for (const way of ways) codes.push(codeOf(await answers[way]()));
    expect([codes, await paid("first", "second")]).toEqual([["200 none", "400 INVALID_PROOF"], 1]);
  });
});

describe("a payment from a foreign wallet", () => {
  test("is settled by a provider's proof, proved to the merchant, and pays the order", async () => {
    const id = await order("ord_1");
    const made = await create({ order: { id, urls: [] } });
    expect(made.json).toEqual({
      status: "pending_settlement",
      txid: expect.stringMatching(/^oc_/),
      amount: "10.00",
      currency: "USD",
      expiresAt: expect.any(Number),
      settlement: { accepts: [provider_ocid] },
    });
    const txid = String(made.json?.txid);
    const envelope = provider.proof({ ...terms(txid), from: { ocid: wallet_ocid, reference: "w_1" } });
    const settled = await settle(txid, envelope);
    expect(settled.json).toMatchObject({
      status: "completed",
      txid,
      proof: {
        txid,
        issuer: ours,
        from: { ocid: wallet_ocid, reference: "w_1" },
        to: { ocid: shop_ocid, reference: id },
        amount: "10.00",
        currency: "USD",
        memo: `settled by ${String(envelope.proof.txid)} of OCID ${provider_ocid}`,
      },
    });
    expect(await statusOf(id)).toMatchObject({ status: "paid", txid });
    expect(await carry(settled)).toEqual({ status: "accepted", txid });
    expect(shop.events()).toEqual(["order_created", "order_status_changed paid"]);
  });

  test("gets one answer, whether the payer brings the proof, the provider does, or both", async () => {
    const txid = await pending({ reference: "r" });
    const envelope = provider.proof(terms(txid));
    const first = await settle(txid, envelope);
    const pushed = await provider.call(shop.endpoint, "POST", "/transfer/webhook", { ...envelope });
    expect([pushed.status, pushed.json]).toEqual([200, { status: "accepted", txid: envelope.proof.txid ?? "" }]);
    const again = await settle(txid, envelope);
    expect(again.text).toBe(first.text);
    const other = await settle(txid, provider.proof(terms(txid)));
    expect(codeOf(other)).toBe("400 INVALID_STATE");
  });

  const refused: [what: string, attempt: (txid: string) => Promise<Answer>, code: string][] = [
    ["of a payment nobody opened", () => settle("oc_none", provider.proof(terms("oc_none"))), "404 PAYMENT_NOT_FOUND"],
    [
      "of an issuer that is not accepted",
      (txid) => settle(txid, stranger.proof(terms(txid))),
      "400 ISSUER_NOT_ACCEPTED",
    ],
    [
      "of our own making",
      (txid) => settle(txid, provider.proof({ ...terms(txid), issuer: ours })),
      "400 ISSUER_NOT_ACCEPTED",
    ],
    [
      "signed by somebody else",
      (txid) => settle(txid, stranger.proof({ ...terms(txid), issuer: provider_ocid })),
      "400 PROOF_SIGNATURE_INVALID",
    ],
    [
      "whose signature leaves out whom it pays, brought by the payer",
      (txid) => settle(txid, provider.proof(terms(txid), "shallow")),
      "400 PROOF_SIGNATURE_INVALID",
    ],
    [
      "that pays somebody else",
      (txid) => settle(txid, provider.proof({ ...terms(txid), to: { ocid: 999, reference: txid } })),
      "400 INVALID_PROOF",
    ],
    [
      "of another payment of the same amount",
      (txid) => settle(txid, provider.proof({ ...terms(txid), to: { ocid: ours, reference: "another" } })),
      "400 INVALID_PROOF",
    ],
    [
      "from the future",
      (txid) => settle(txid, provider.proof({ ...terms(txid), timestamp: seconds() + 400 })),
      "400 INVALID_PROOF",
    ],
    [
      "of less money",
      (txid) => settle(txid, provider.proof({ ...terms(txid), amount: "9.99" })),
      "400 AMOUNT_MISMATCH",
    ],
    [
      "of other money",
      (txid) => settle(txid, provider.proof({ ...terms(txid), currency: "USDT" })),
      "400 CURRENCY_MISMATCH",
    ],
  ];
  test.each(refused)("is not settled by a proof %s", async (_what, attempt, code) => {
    const txid = await pending();
    expect(codeOf(await attempt(txid))).toBe(code);
    const state = (await (await fetch(`${shop.endpoint}/verify/${txid}`)).json()) as Fields;
    expect(state).toMatchObject({ status: "pending", txid });
  });

  test("takes a shallow proof from the payer once its issuer has said the same", async () => {
    const txid = await pending();
    const envelope = provider.proof(terms(txid), "shallow");
    provider.answerWith(`/verify/${envelope.proof.txid}`, () =>
      Response.json({ status: "completed", proof: envelope.proof, signature: envelope.signature }),
    );
    const other = await pending();
    const stolen = provider.redirected(envelope, { ocid: ours, reference: other });
    expect(codeOf(await settle(other, stolen))).toBe("400 PROOF_SIGNATURE_INVALID");
    expect((await settle(txid, envelope)).json).toMatchObject({ status: "completed", txid });
  });

  test("priced in dollars is settled in a coin by a provider with whom that is agreed, and proved in dollars", async () => {
    const id = await order("ord_coins");
    const txid = await pending({ order: { id, urls: [] } });
    const envelope = provider.proof({ ...terms(txid), currency: "USDT" });
    expect(codeOf(await settle(txid, envelope))).toBe("400 CURRENCY_MISMATCH");
    shop.reconfigure({
      partners: [{ ocid: provider_ocid, same_currencies: ["USD", "USDT"], proof_recipient: "merchant" }],
    });
    expect((await settle(txid, envelope)).json).toMatchObject({ status: "completed", proof: { currency: "USD" } });
    expect(await statusOf(id)).toMatchObject({ status: "paid", txid });
  });

  test("takes a shallow proof from the issuer itself, whose request covers it", async () => {
    const txid = await pending();
    expect((await settle(txid, provider.proof(terms(txid), "shallow"), provider)).status).toBe(200);
  });

  test("cannot be settled with a proof that has settled another", async () => {
    const [first, second] = [await pending(), await pending()];
    expect((await settle(first, provider.proof({ ...terms(first), txid: "t_1" }))).status).toBe(200);
    expect(codeOf(await settle(second, provider.proof({ ...terms(second), txid: "t_1" })))).toBe("400 INVALID_PROOF");
  });

  test("ends, and says so to whoever asks", async () => {
    const txid = await pending({ expiresAt: seconds() + 60 });
    shop.advance(62_000);
    expect(codeOf(await settle(txid, provider.proof(terms(txid))))).toBe("400 PAYMENT_EXPIRED");
    expect(await (await fetch(`${shop.endpoint}/verify/${txid}`)).json()).toEqual({ status: "expired", txid });
  });

  const not_opened: [what: string, fields: Fields, code: string][] = [
    ["to a merchant who is not ours", { to: 999 }, "400 MERCHANT_NOT_REGISTERED"],
    ["in money nobody prices", { currency: "EUR" }, "400 SETTLEMENT_NOT_SUPPORTED"],
    ["that is over", { expiresAt: 1_700_000_000 }, "400 PAYMENT_EXPIRED"],
    ["for an order nobody made", { order: { id: "none", urls: [] } }, "400 ORDER_NOT_FOUND"],
    ["for less than its order", { order: { id: "ord_9", urls: [] }, amount: "9.00" }, "400 AMOUNT_MISMATCH"],
  ];
  test.each(not_opened)("is not opened %s", async (_what, fields, code) => {
    await order("ord_9");
    expect(codeOf(await create(fields))).toBe(code);
  });

  test("is not opened in other money than its order's, though that is taken", async () => {
    shop.reconfigure({ currencies: ["USD", "USDT"] });
    expect(codeOf(await create({ order: { id: await order("ord_9"), urls: [] }, currency: "USDT" }))).toBe(
      "400 CURRENCY_MISMATCH",
    );
  });

  test("for an order pays that one, whatever reference is beside it", async () => {
    const [id, other] = [await order("ord_meant"), await order("ord_other")];
    const txid = await pending({ order: { id, urls: [] }, reference: other });
    const { json } = await settle(txid, provider.proof(terms(txid)));
    expect(json?.proof).toMatchObject({ to: { ocid: shop_ocid, reference: id } });
    expect([(await statusOf(id)).status, (await statusOf(other)).status]).toEqual(["paid", "pending"]);
  });

  test("waits an hour by default and a day at most", async () => {
    const life = async (more: Fields) => Number((await create(more)).json?.expiresAt) - seconds();
    const [usual, longest] = [await life({}), await life({ expiresAt: seconds() + 10 * 86_400 })];
    expect([Math.abs(usual - 3600) <= 1, Math.abs(longest - 86_400) <= 1]).toEqual([true, true]);
  });

  test("is offered only by an appliance that is both merchant and gateway", async () => {
    const capabilities = async () => ((await (await fetch(shop.metadata_url)).json()) as Fields).capabilities;
    expect(await capabilities()).toEqual(expect.arrayContaining(["payment.create", "payment.settle"]));
    shop.reconfigure({ merchant_ocid: null });
    expect(await capabilities()).not.toContain("payment.create");
    expect(codeOf(await create())).toBe("400 CAPABILITY_NOT_SUPPORTED");
  });
});

/** The signed order as anybody may read it. */
const published = async (id: string) => (await (await fetch(`${shop.endpoint}/orders/${id}`)).json()) as Fields;

const checkout = (signed: Fields) =>
  wallet.call(shop.endpoint, "POST", "/checkout/create", { ...signed, merchantOcid: shop_ocid, urls: {} });

/** A page for an order of the shop. */
async function open(id: string) {
  const { status, json, text } = await checkout(await published(id));
  if (status !== 200) throw new Error(text);
  const session = shop.gateway.session(String(json?.session_id));
  if (session === null) throw new Error("no session");
  return session;
}

const crediting = createCrediting({ config: liveConfig(testConfig()) });

/** Does something to the order behind a signed one. */
async function end(id: string, command: "pay" | "cancel" | "expire"): Promise<void> {
  await shop.database.transact((tx) => {
    const row = signedOrder(tx, id);
    if (row !== null) crediting.end(tx, row.order_id, command);
  });
}

describe("an order of our own shop that has ended", () => {
  const endings = [
    ["pay", "409 ORDER_CONFLICT"],
    ["cancel", "400 ORDER_EXPIRED"],
    ["expire", "400 ORDER_EXPIRED"],
  ] as const;
  test.each(endings)("by %s is put on no page and asked of no wallet: %s", async (command, code) => {
    const id = await order("ord_over");
    const signed = await published(id);
    expect(codeOf(await checkout(signed))).toBe("200 none");
    await end(id, command);
    expect(codeOf(await checkout(signed))).toBe(code);
    expect(codeOf(await create({ order: { id, urls: [] } }))).toBe(code);
  });

  test("by its own time is asked of no wallet, though nobody has looked at the clock yet", async () => {
    const id = await order("ord_due");
    shop.advance(2 * 3_600_000);
    expect(codeOf(await create({ order: { id, urls: [] } }))).toBe("400 ORDER_EXPIRED");
  });

  test("because a foreign proof paid it, asks for money on no page any more", async () => {
    const id = await order("ord_pages");
    const session = await open(id);
    const txid = await pending({ order: { id, urls: [] } });
    expect((await settle(txid, provider.proof(terms(txid)))).status).toBe(200);
    expect(shop.gateway.session(session.row.id)?.order.status).toBe("cancelled");
  });

  const commands = [
    ["pay", "cancelled"],
    ["cancel", "cancelled"],
    ["expire", "pending"],
  ] as const;
  test.each(commands)("by the operator or the clock (%s) leaves its page %s", async (command, status) => {
    const id = await order("ord_pages");
    const session = await open(id);
    await end(id, command);
    expect(shop.gateway.session(session.row.id)?.order.status).toBe(status);
  });

  test("gives back what had come in on its page, and tells of it", async () => {
    const id = await order("ord_part");
    const session = await open(id);
    await shop.database.transact((tx) => {
      insertChain(tx, "eth");
      const block = { number: 1, hash: "0xb", time: 1 };
      const place = { tx_hash: "0xt", position: 0, log_index: 0, block };
      const seen = { chain: "eth", token: "0x", sender: "0xs", wallet: "0xw", units: 4_000_000n, ...place } as const;
      const transfer = insertTransfer(tx, seen, { coin: "USDT", label: "USDT", amount: "4", finality: "1" });
      crediting.credit(tx, { transfer, order_id: session.order.id, kind: "assign" });
    });
    await end(id, "cancel");
    expect(shop.events().slice(-2)).toEqual(["order_status_changed cancelled", "unknown_transfer"]);
  });

  test("and stands for another order than the one that is shown is a conflict", async () => {
    const { order: made } = await published(await order("ord_twice"));
    const other = { ...(made as Fields), amount: "0.01" };
    const signed = { order: other, signature: createSigner(shop_secret)?.sign(canonicalJson(other)) ?? "" };
    expect(codeOf(await checkout(signed))).toBe("409 ORDER_CONFLICT");
  });
});

describe("a proof that holds and comes", () => {
  const deliver = (envelope: object, from = provider) =>
    from.call(shop.endpoint, "POST", "/transfer/webhook", { ...envelope });
  const keptFor = (txid: string) => shop.database.read((at) => proofOf(at, provider_ocid, txid))?.oc_payment ?? null;
  const alerts = (code: string) => shop.log.filter((line) => line.includes(code)).length;

  test("after its payment has expired is kept and told, once, and rejected without a retry", async () => {
    const txid = await pending({ expiresAt: seconds() + 60 });
    const late = provider.proof({ ...terms(txid), txid: "late" });
    shop.advance(62_000);
    for (let time = 0; time < 2; time++) {
      expect((await deliver(late)).json).toEqual({
        ...{ status: "rejected", txid: "late" },
        message: "the payment has expired; the proof is kept for review",
      });
    }
    expect(codeOf(await settle(txid, late))).toBe("400 PAYMENT_EXPIRED");
    expect([keptFor("late"), alerts("proof_late")]).toEqual([txid, 1]);
  });

  test("second, for a payment that another has settled, likewise", async () => {
    const txid = await pending();
    const first = provider.proof({ ...terms(txid), txid: "one" });
    expect((await deliver(first)).json).toMatchObject({ status: "accepted" });
    const second = provider.proof({ ...terms(txid), txid: "two" });
    expect(codeOf(await settle(txid, second))).toBe("400 INVALID_STATE");
    for (let time = 0; time < 2; time++) {
      expect((await deliver(second)).json).toMatchObject({ status: "rejected", txid: "two" });
    }
    expect([keptFor("two"), alerts("proof_duplicate")]).toEqual([txid, 1]);
    expect((await deliver(first)).json).toMatchObject({ status: "accepted" });
  });

  test("when its issuer has filled its share of the day waits, and what was kept before is answered as before", async () => {
    const [first, txid] = [await pending(), await pending()];
    const kept = provider.proof({ ...terms(first), txid: "kept" });
    const late = provider.proof({ ...terms(txid), txid: "late" });
    expect((await settle(first, kept)).status).toBe(200);
    shop.limits.proofKept(provider_ocid, 16 * 1024 * 1024);
    expect(codeOf(await settle(txid, late))).toBe("429 RATE_LIMITED");
    expect(codeOf(await deliver(late))).toBe("429 RATE_LIMITED");
    expect((await settle(first, kept)).status).toBe(200);
    expect(alerts("proof_put_off")).toBe(2);
    shop.advance(86_400_000);
    const next = await pending();
    expect((await settle(next, provider.proof(terms(next)))).status).toBe(200);
  });

  test("when an earlier run of the server has filled its issuer's share of the day waits", async () => {
    const public_key = "00".repeat(32);
    await shop.database.transact((tx) =>
      insertProof(tx, {
        ...{
          issuer: provider_ocid,
          txid: "earlier",
          sender: provider_ocid,
          proof_hash: "",
          signature: "",
          proved_s: 0,
        },
        ...{ outcome: "unmatched", oc_order: null, oc_payment: null, form: "recursive", public_key },
        object: JSON.stringify({ memo: "x".repeat(16 * 1024 * 1024) }),
      }),
    );
    shop.advance(3_600_000);
    const txid = await pending();
    const refused = await settle(txid, provider.proof(terms(txid)));
    expect([codeOf(refused), Number(refused.headers.get("retry-after"))]).toEqual([
      "429 RATE_LIMITED",
      expect.closeTo(23 * 3600, -3),
    ]);
    shop.advance(23 * 3_600_000);
    const next = await pending();
    expect((await settle(next, provider.proof(terms(next)))).status).toBe(200);
  });

  test("counts with all that is kept of its issuer since a moment, whether it settled anything or not", async () => {
    const kept = (issuer: number, since: number) => shop.database.read((at) => keptProofs(at, issuer, since));
    const txid = await pending();
    const [first, second] = [
      provider.proof({ ...terms(txid), txid: "one" }),
      provider.proof({ ...terms(txid), txid: "two" }),
    ];
    const began = seconds() * 1000;
    await settle(txid, first);
    const { bytes, oldest } = kept(provider_ocid, 0);
    expect(bytes).toBe(Buffer.byteLength(JSON.stringify({ proof: first.proof, signature: first.signature })));
    expect([Number(oldest) >= began, Number(oldest) <= shop.now()]).toEqual([true, true]);
    shop.advance(10_000);
    const later = shop.now();
    await deliver(second);
    const more = Buffer.byteLength(JSON.stringify(second.proof) + second.signature);
    expect(kept(provider_ocid, 0)).toEqual({ bytes: bytes + more, oldest });
    expect(kept(provider_ocid, later - 1)).toMatchObject({ bytes: more });
    expect(kept(provider_ocid, shop.now())).toEqual({ bytes: 0, oldest: null });
    expect(kept(stranger.ocid, 0)).toEqual({ bytes: 0, oldest: null });

    const raw = new Sqlite(":memory:");
    migrate(raw);
    const plan = plansOf(raw, (at) => keptProofs(at, provider_ocid, 0)).flat();
    expect(plan.filter((step) => / oc_\w+ USING /.test(step))).toEqual([
      "SEARCH oc_proofs USING INDEX oc_proofs_received (received_at>?)",
      expect.stringMatching(/^SEARCH oc_payments USING INDEX \w+ \(settled_issuer=\?\)$/),
    ]);
    raw.close();
  });

  test("too late may not come again for something else", async () => {
    const txid = await pending({ expiresAt: seconds() + 60 });
    shop.advance(62_000);
    await deliver(provider.proof({ ...terms(txid), txid: "late" }));
    const other = await pending();
    expect(codeOf(await settle(other, provider.proof({ ...terms(other), txid: "late" })))).toBe("400 INVALID_PROOF");
  });

  test("of another amount is refused and told", async () => {
    const txid = await pending();
    expect(codeOf(await deliver(provider.proof({ ...terms(txid), amount: "9.00" })))).toBe("400 AMOUNT_MISMATCH");
    expect(alerts("proof_amount_differs")).toBe(1);
  });

  test("from somebody who is not its issuer, for a payment, is not taken", async () => {
    shop.reconfigure({ accepts: [ours, provider_ocid, wallet_ocid] });
    const txid = await pending();
    const envelope = provider.proof(terms(txid));
    expect(codeOf(await deliver(envelope, wallet))).toBe("400 INVALID_PROOF");
    expect((await deliver(envelope)).json).toMatchObject({ status: "accepted" });
  });

  test("made out to our merchant settles no payment of our gateway", async () => {
    const txid = await pending();
    const misaddressed = provider.proof({ ...terms(txid), to: { ocid: shop_ocid, reference: txid } });
    expect(codeOf(await settle(txid, misaddressed))).toBe("400 INVALID_PROOF");
  });
});

describe("the operator", () => {
  const admin = (outcome?: ProofOutcome) =>
    createAdmin({ url: shop.origin, secret: admin_secret }).proofs(outcome === undefined ? {} : { outcome });

  test("sees every proof that held, with the order it means and what became of it", async () => {
    const id = await order("ord_seen");
    const txid = await pending({ order: { id, urls: [] }, expiresAt: seconds() + 60 });
    shop.advance(62_000);
    await settle(txid, provider.proof({ ...terms(txid), txid: "late" }));
    const deliver = (proof: Parameters<Party["proof"]>[0]) =>
      provider.call(shop.endpoint, "POST", "/transfer/webhook", { ...provider.proof(proof) });
    for (const [n, reference] of [id, id, "nobody"].entries()) {
      shop.advance(1000);
      await deliver({ ...terms(reference), to: { ocid: shop_ocid, reference }, txid: `t${n}` });
    }
    const order_id = shop.database.read((at) => signedOrder(at, id))?.order_id ?? "";
    const means = { order_id, network_id: id, issuer: provider_ocid, sender: provider_ocid, amount: "10.00" };
    const list = await admin();
    expect(list).toMatchObject([
      { txid: "t2", outcome: "unmatched", order_id: null, reference: "nobody", payment: null },
      { txid: "t1", outcome: "duplicate", ...means, reason_text: "the order was paid or cancelled before" },
      { txid: "t0", outcome: "paid", ...means, reason_text: "it paid the order", reference: id },
      { ...{ ...means, sender: wallet_ocid }, txid: "late", outcome: "unmatched", payment: txid },
    ]);
    expect(list[3]?.reason_text).toBe("the payment had expired or was settled before");
    expect(await admin("paid")).toEqual(list.slice(2, 3));
  });
});

describe("an order of our own shop, paid on our own page", () => {
  const pay = async (order_id: string) => {
    await shop.database.transact((tx) => void recordTransition(tx, order_id, "pay"));
    await shop.proofs.issueOwed();
  };

  test("is paid by the proof in one commit with it, and the shop is told once", async () => {
    shop.reconfigure({ webhook_url: "https://shop.example/hook" });
    const id = await order("ord_own");
    const session = await open(id);
    expect(JSON.parse(session.row.notify)).toEqual([`${wallet.endpoint}/transfer/webhook`]);
    await pay(session.order.id);
    expect(await statusOf(id)).toMatchObject({ status: "paid", txid: session.row.txid });
    const kinds = shop.database.read((at) =>
      dueLanes(at, shop.now()).flatMap(({ lane, through }) => dueDeliveries(at, lane, through, 9)),
    );
    expect(kinds.map(({ kind }) => kind).sort()).toEqual(["order", "proof"]);
  });

  test("is told as a duplicate to the operator when it was paid before", async () => {
    const id = await order("ord_own");
    const session = await open(id);
    const txid = await pending({ order: { id, urls: [] } });
    await shop.database.transact((tx) => void recordTransition(tx, session.order.id, "pay"));
    await settle(txid, provider.proof(terms(txid)));
    await shop.proofs.issueOwed();
    expect(await statusOf(id)).toMatchObject({ status: "paid", txid });
    expect(shop.log.join("\n")).toContain("proof_duplicate");
  });
});
