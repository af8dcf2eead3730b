// Hosted checkouts at the level of the verbs: signed orders of real participants, a real database, a clock moved by
// hand, and receivers on loopback that check every proof with a key they resolve themselves.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type Config, liveConfig } from "../../src/config/config.ts";
import { proofRetryDelay } from "../../src/domain/events.ts";
import type { Transfer } from "../../src/domain/payment.ts";
import type { OpenchargeSettings } from "../../src/opencharge/config/settings.ts";
import { createDirectory } from "../../src/opencharge/services/directory.ts";
import { createGateway, type Gateway, type OpenedSession } from "../../src/opencharge/services/gateway.ts";
import { createLocalIdentitySource } from "../../src/opencharge/services/identity.ts";
import { createProofs, type Proofs } from "../../src/opencharge/services/proofs.ts";
import { storeProof } from "../../src/opencharge/storage/gateway.ts";
import { isRefusal, type NetworkRefusal } from "../../src/opencharge/wire/errors.ts";
import { newSecretKey } from "../../src/opencharge/wire/keys.ts";
import { metadataDocument } from "../../src/opencharge/wire/metadata-document.ts";
import { readCheckoutCreate, readOrdersCheckout } from "../../src/opencharge/wire/readers.ts";
import { createOutbound } from "../../src/outbound.ts";
import { createCrediting } from "../../src/services/crediting.ts";
import { createDelivery } from "../../src/services/delivery.ts";
import { createOperator } from "../../src/services/operator.ts";
import { createPaymentRules } from "../../src/services/payment-rules.ts";
import { insertChain } from "../../src/storage/chains.ts";
import { recordTransition } from "../../src/storage/ledger.ts";
import { countDeliveries, eventsAfter } from "../../src/storage/outbox.ts";
import { insertTransfer } from "../../src/storage/transfers.ts";
import { realWorld } from "../../src/world.ts";
import { type Party, startParty } from "../support/opencharge/party.ts";
import type { Fields, Json } from "../support/opencharge/spelling.ts";
import { testConfig } from "../support/server.ts";
import { silent, type TempDatabase, tempDatabase } from "../support/temp-database.ts";

const start_ms = 1_790_000_000_000;
const now_s = start_ms / 1000;
const [ours, merchant_ocid, caller_ocid] = [200, 500, 300];

let clock = start_ms;
let temp: TempDatabase;
let merchant: Party;
let caller: Party;
let stranger: Party;
let settings: Config;
let gateway: Gateway;
let proofs: Proofs;
let host: ReturnType<typeof Bun.serve>;
let world = realWorld();
let identities: ReturnType<typeof createLocalIdentitySource>;
let directory: ReturnType<typeof createDirectory>;

beforeEach(() => {
  clock = start_ms;
  const now = () => clock;
  const real = realWorld();
  world = { ...real, now, elapsed: () => real.elapsed() + clock - start_ms };
  temp = tempDatabase({ now });
  merchant = startParty({ ocid: merchant_ocid, role: "payment_app", now, accepts: [ours, caller_ocid] });
  caller = startParty({ ocid: caller_ocid, role: "merchant_gateway", now, accepts: [caller_ocid, ours] });
  stranger = startParty({ ocid: 666, role: "payment_app", now });
  host = Bun.serve({ hostname: "127.0.0.1", port: 0, development: false, fetch: () => Response.json(document()) });
  for (const one of [merchant, caller]) one.knows(ours, `http://127.0.0.1:${host.port}/metadata.json`);
  caller.knows(merchant_ocid, merchant.metadata_url);
  settings = { ...testConfig({ webhooks: { allow_private_targets: true } }), opencharge: section() };
  const config = liveConfig(settings);
  const outbound = createOutbound({ world });
  identities = createLocalIdentitySource({ config });
  directory = createDirectory({ config, outbound, world, telemetry: silent, identities });
  const rules = createPaymentRules({ config });
  const network = { ...rules, database: temp.database, config, world, telemetry: silent, identities, directory };
  gateway = createGateway(network);
  proofs = createProofs(network);
});
afterEach(async () => {
  for (const one of [merchant, caller, stranger]) one.stop();
  host.stop(true);
  await temp.close();
});

function section(): OpenchargeSettings {
  const pin = (party: Party) => ({
    ocid: party.ocid,
    metadata_url: party.metadata_url,
    public_key: null,
    endpoint: null,
  });
  return {
    merchant_ocid: null,
    gateway_ocid: ours,
    secret_key: newSecretKey(world),
    gateway_key: null,
    previous: null,
    endpoint: "https://pay.example/opencharge",
    name: "Ours",
    description: null,
    icon: null,
    contact: null,
    accepts: [ours],
    currencies: ["USD"],
    orders: "catalog",
    order_form: "mirror",
    approval_url: null,
    approved: [],
    blocked: [],
    merchants: [merchant_ocid],
    completed_url: null,
    cancelled_url: null,
    webhook_url: `http://127.0.0.1:${host.port}/hook`,
    require_signed_config: false,
    items: [],
    pinned: [pin(merchant), pin(caller), pin(stranger)],
    partners: [],
    registry: null,
  };
}

/** Our own metadata, as receivers of our proofs read it. */
function document() {
  const own = identities.current()?.at("/opencharge/") ?? null;
  if (own === null) throw new Error("no identity");
  const { name, description, icon, contact } = own.settings;
  const { endpoint, capabilities, settlement, previous } = own.metadata;
  const shown = { name, description, icon, contact, endpoint: String(endpoint), capabilities, settlement, previous };
  return metadataDocument(shown, own.signer, clock);
}

const stray: Transfer = {
  ...{ chain: "eth", token: "0xtoken", sender: "0xsender", wallet: "0xwallet", units: 5_000_000n },
  ...{ tx_hash: "0xhash", position: 0, log_index: 0, block: { number: 1, hash: "0xblock", time: now_s } },
};
const order = (more: Fields = {}): Fields => ({
  id: "ord_1",
  ocid: merchant_ocid,
  amount: "19.90",
  currency: "USD",
  createdAt: now_s,
  expiresAt: now_s + 3600,
  accepts: [ours],
  ...more,
});
const urls: Fields = { success: "https://shop.example/done", cancel: "https://shop.example/back" };

async function callerOf(party: Party) {
  const metadata = await directory.find(party.ocid);
  if (isRefusal(metadata)) throw new Error(metadata.message);
  return { ocid: party.ocid, metadata };
}

interface Attempt {
  from?: Party;
  signed?: { order: Fields; signature: string };
  urls?: Fields;
}

async function checkout({ from = caller, signed = merchant.signOrder(order()), urls: given = urls }: Attempt = {}) {
  const request = readCheckoutCreate({ ...signed, merchantOcid: signed.order.ocid as Json, urls: given } as Fields);
  return isRefusal(request) ? request : gateway.open(await callerOf(from), request, "checkout");
}

function opened(result: OpenedSession | NetworkRefusal): OpenedSession {
  if (isRefusal(result)) throw new Error(`${result.refused}: ${result.message}`);
  return result;
}

const codeOf = (result: OpenedSession | NetworkRefusal) =>
  isRefusal(result) ? `${result.status} ${result.refused}` : "open";

const orderOf = ({ id }: OpenedSession) => {
  const session = gateway.session(id);
  if (session === null) throw new Error("no session");
  return session.order;
};

const pay = (session: OpenedSession) =>
  temp.database.transact((tx) => void recordTransition(tx, orderOf(session).id, "pay"));

/** Makes what is owed, sends what is due and waits until it is recorded. */
async function deliver(): Promise<void> {
  await proofs.issueOwed();
  const delivery = createDelivery({
    database: temp.database,
    config: liveConfig(settings),
    outbound: createOutbound({ world }),
    world,
    telemetry: silent,
    eventLog: { keep() {} },
    onRoom: () => {},
    proofs,
  });
  await delivery.sendDue();
  await delivery.stop();
}

const proofsAt = (party: Party) => party.received.filter(({ path }) => path === "/transfer/webhook");

describe("a checkout", () => {
  test("of a signed order is a page for half an hour, behind a secret nobody guesses", async () => {
    const session = opened(await checkout());
    expect(session.url).toBe(`https://pay.example/opencharge/pay/${session.id}`);
    expect(session.id).toMatch(/^[\w-]{32}$/);
    expect(session.expires_at).toBe(now_s + 1800);
    expect(orderOf(session)).toMatchObject({
      merchant_order_id: "opencharge-page:500:ord_1",
      amount: "19.90",
      status: "pending",
      success_url: "https://shop.example/done",
      cancel_url: "https://shop.example/back",
    });
  });

  test("ends with its order where that ends sooner", async () => {
    const signed = merchant.signOrder(order({ expiresAt: now_s + 60 }));
    expect(opened(await checkout({ signed })).expires_at).toBe(now_s + 60);
  });

  const refused: [what: string, attempt: () => Attempt, answer: string][] = [
    [
      "for a merchant nobody registered",
      () => ({ signed: stranger.signOrder(order({ ocid: 666 })) }),
      "403 CONNECTION_REFUSED",
    ],
    ["signed by somebody else", () => ({ signed: stranger.signOrder(order()) }), "400 INVALID_SIGNATURE"],
    [
      "changed after it was signed",
      () => ({ signed: { ...merchant.signOrder(order()), order: order({ amount: "0.01" }) } }),
      "400 INVALID_SIGNATURE",
    ],
    ["that is over", () => ({ signed: merchant.signOrder(order({ expiresAt: now_s })) }), "400 ORDER_EXPIRED"],
    [
      "that accepts neither us nor the caller",
      () => ({ signed: merchant.signOrder(order({ accepts: [100] })) }),
      "400 SETTLEMENT_NOT_SUPPORTED",
    ],
    [
      "priced in euros",
      () => ({ signed: merchant.signOrder(order({ currency: "EUR" })) }),
      "400 SETTLEMENT_NOT_SUPPORTED",
    ],
    [
      "of an amount no coin can hold",
      () => ({ signed: merchant.signOrder(order({ amount: "1.0000000000000000001" })) }),
      "400 INVALID_REQUEST",
    ],
    [
      "that sends the payer to plain http",
      () => ({ urls: { success: "http://shop.example/" } }),
      "400 INVALID_REQUEST",
    ],
    ["that sends the payer to a script", () => ({ urls: { cancel: "javascript:alert(1)" } }), "400 INVALID_REQUEST"],
  ];
  test.each(refused)("for an order %s", async (_what, attempt, answer) => {
    expect(codeOf(await checkout(attempt()))).toBe(answer);
  });

  test("is opened in every spelling of the merchant's signature that covers the money", async () => {
    for (const [n, spelling] of (["recursive", "top_level", "shallow"] as const).entries()) {
      const items = [{ id: "i", name: "Thing", quantity: 1, price: "19.90" }];
      const signed = merchant.signOrder(order({ id: `ord_${n}`, items }), spelling);
      expect(codeOf(await checkout({ signed }))).toBe("open");
    }
  });

  test("is opened for an order signed with a key that we have not seen yet, once a minute", async () => {
    expect(codeOf(await checkout())).toBe("open");
    const reads = merchant.metadata_reads;
    merchant.rotateKey({ announced: false });
    expect(codeOf(await checkout({ signed: merchant.signOrder(order({ id: "ord_2" })) }))).toBe("open");
    merchant.rotateKey({ announced: false });
    const signed = merchant.signOrder(order({ id: "ord_3" }));
    expect(codeOf(await checkout({ signed }))).toBe("400 INVALID_SIGNATURE");
    expect(merchant.metadata_reads - reads).toBe(1);
    clock += 61_000;
    expect(codeOf(await checkout({ signed }))).toBe("open");
  });

  test("is opened for an order signed with the key its merchant has replaced since, and not after", async () => {
    const [before, later] = [merchant.signOrder(order()), order({ id: "ord_2", createdAt: now_s + 1 })];
    const signed_late = merchant.signOrder(later);
    merchant.rotateKey({ announced: true });
    expect(codeOf(await checkout({ signed: before }))).toBe("open");
    expect(codeOf(await checkout({ signed: signed_late }))).toBe("400 INVALID_SIGNATURE");
    expect(codeOf(await checkout({ signed: merchant.signOrder(later) }))).toBe("open");
  });

  test("is the same one for the same order, and a conflict for another under its name", async () => {
    const first = opened(await checkout());
    expect(opened(await checkout())).toEqual(first);
    expect(codeOf(await checkout({ signed: merchant.signOrder(order({ amount: "20.00" })) }))).toBe(
      "409 ORDER_CONFLICT",
    );
  });

  test("is not blocked by whoever brought the order with other items, where the merchant signed none of them", async () => {
    const items = [{ id: "i", name: "Thing", quantity: 1, price: "19.90" }];
    const signed = merchant.signOrder(order({ items }), "shallow");
    const changed = { ...signed, order: { ...signed.order, items: [{ ...items[0], name: "Trinket", price: "0.01" }] } };
    const [strangers, own] = [await checkout({ signed: changed }), await checkout({ from: merchant, signed })];
    expect([codeOf(strangers), codeOf(own)]).toEqual(["open", "open"]);
    const whole = merchant.signOrder(order({ id: "ord_2", items }));
    const loose = merchant.signOrder(order({ id: "ord_2", items: [{ ...items[0], name: "Trinket" }] }), "shallow");
    expect(codeOf(await checkout({ signed: whole }))).toBe("open");
    expect(codeOf(await checkout({ from: merchant, signed: loose }))).toBe("open");
    expect(opened(await checkout({ signed })).id).toBe(opened(strangers).id);
    const dearer = merchant.signOrder(order({ items, amount: "20.00" }), "shallow");
    expect(codeOf(await checkout({ from: merchant, signed: dearer }))).toBe("409 ORDER_CONFLICT");
  });

  test("of an order signed over everything is a conflict for other items under its name", async () => {
    const signed = (name: string) =>
      merchant.signOrder(order({ items: [{ id: "i", name, quantity: 1, price: "19.90" }] }));
    expect(codeOf(await checkout({ signed: signed("Thing") }))).toBe("open");
    expect(codeOf(await checkout({ signed: signed("Trinket") }))).toBe("409 ORDER_CONFLICT");
  });

  test("of an order that leaves its acceptance to the merchant's metadata needs a signature over that", async () => {
    const { accepts: _named, ...open_order } = order();
    const signed = merchant.signOrder(open_order);
    expect(codeOf(await checkout({ signed }))).toBe("open");
    for (const mode of ["signed_shallow", "flat"] as const) {
      merchant.serveMetadataAs(mode);
      clock += 6 * 60_000;
      const later = merchant.signOrder({ ...open_order, id: `ord_${mode}` });
      expect(codeOf(await checkout({ signed: later }))).toBe("400 SETTLEMENT_NOT_SUPPORTED");
      expect(codeOf(await checkout({ signed: merchant.signOrder(order({ id: `ord_named_${mode}` })) }))).toBe("open");
    }
  });

  test("is each caller's own; once one of them is paid the others are closed", async () => {
    const [first, second] = [opened(await checkout()), opened(await checkout({ from: merchant }))];
    expect(second.id).not.toBe(first.id);
    await pay(second);
    await proofs.issueOwed();
    expect([orderOf(first).status, orderOf(second).status]).toEqual(["cancelled", "paid"]);
    expect(await checkout()).toMatchObject({ refused: "ORDER_CONFLICT", message: "already paid" });
  });

  test("that is closed because another was paid gives back the part it had, and its shop is told", async () => {
    const [first, second] = [opened(await checkout()), opened(await checkout({ from: merchant }))];
    const part = await temp.database.transact((tx) => {
      insertChain(tx, "eth");
      const row = insertTransfer(tx, stray, { coin: "USDT", label: "USDT", amount: "5", finality: "1" });
      createCrediting({ config: liveConfig(settings) }).credit(tx, {
        ...{ transfer: row, order_id: orderOf(first).id, kind: "assign" },
      });
      return row.id;
    });
    await pay(second);
    await proofs.issueOwed();
    expect(orderOf(first).status).toBe("cancelled");
    const told = temp.database.read((at) => eventsAfter(at, 0, 100)).filter(({ type }) => type === "unknown_transfer");
    expect(told).toMatchObject([{ transfer: part, order_id: orderOf(first).id }]);
  });

  test("that was cancelled may be opened again; one that was paid may not", async () => {
    const first = opened(await checkout());
    await temp.database.transact((tx) => void recordTransition(tx, orderOf(first).id, "cancel"));
    const second = opened(await checkout());
    expect(second.id).not.toBe(first.id);
    await pay(second);
    expect(await checkout()).toMatchObject({ status: 409, refused: "ORDER_CONFLICT", message: "already paid" });
  });

  test("is opened by the merchant itself as orders/checkout, and by nobody else", async () => {
    const signed = merchant.signOrder(order());
    const pages = { completed: "https://shop.example/done", cancelled: "https://shop.example/back" };
    const request = readOrdersCheckout({ ...signed, urls: pages } as Fields);
    if (isRefusal(request)) throw new Error(request.message);
    expect(codeOf(await gateway.open(await callerOf(caller), request, "merchant"))).toBe("400 INVALID_REQUEST");
    expect(codeOf(await gateway.open(await callerOf(merchant), request, "merchant"))).toBe("open");
  });

  test("is not hosted by an appliance that is no gateway", async () => {
    const none = liveConfig({ ...settings, opencharge: { ...section(), gateway_ocid: null, merchant_ocid: ours } });
    const own = createLocalIdentitySource({ config: none });
    const rules = createPaymentRules({ config: none });
    const needs = { ...rules, database: temp.database, config: none, world, telemetry: silent, directory };
    gateway = createGateway({ ...needs, identities: own });
    proofs = createProofs({ ...needs, identities: own });
    expect(codeOf(await checkout())).toBe("400 CAPABILITY_NOT_SUPPORTED");
    expect(proofs.sign("https://a.example/", "{}")).toBeNull();
  });
});

describe("a proof of payment", () => {
  test("reaches caller and merchant, each able to verify it, and repeats the order's own words", async () => {
    const session = opened(await checkout());
    clock += 60_000;
    await pay(session);
    clock += 5_000;
    await deliver();
    const [atCaller, atMerchant] = [proofsAt(caller), proofsAt(merchant)];
    expect([atCaller.length, atMerchant.length]).toEqual([1, 1]);
    expect([atCaller[0]?.sender, atMerchant[0]?.sender]).toEqual([ours, ours]);
    expect(atCaller[0]?.body).toEqual(atMerchant[0]?.body ?? null);
    expect(atCaller[0]?.body?.proof).toEqual({
      txid: expect.stringMatching(/^oc_[\w-]{22}$/),
      issuer: ours,
      from: { ocid: ours },
      to: { ocid: merchant_ocid, reference: "ord_1" },
      amount: "19.90",
      currency: "USD",
      timestamp: now_s + 60,
    });
    expect(temp.database.read(countDeliveries)).toMatchObject({ waiting: 0, delivered: 3 });
  });

  test("goes to the caller alone where the order accepts the caller and not us", async () => {
    await pay(opened(await checkout({ signed: merchant.signOrder(order({ accepts: [caller_ocid] })) })));
    await deliver();
    expect([proofsAt(caller).length, proofsAt(merchant).length]).toEqual([1, 0]);
  });

  test("is made out to a gateway that wants it so, and then goes to that one alone", async () => {
    const agreed = { ocid: caller_ocid, same_currencies: [], proof_recipient: "gateway" as const };
    const network = { ...settings.opencharge, ...section(), partners: [agreed] };
    const config = liveConfig({ ...settings, opencharge: network });
    identities = createLocalIdentitySource({ config });
    const rules = createPaymentRules({ config });
    const needs = { ...rules, database: temp.database, config, world, telemetry: silent, identities, directory };
    gateway = createGateway(needs);
    proofs = createProofs(needs);
    await pay(opened(await checkout()));
    await pay(opened(await checkout({ from: merchant, signed: merchant.signOrder(order({ id: "ord_2" })) })));
    await deliver();
    const to = (party: Party) => proofsAt(party).map(({ body }) => ((body?.proof ?? {}) as Fields).to ?? null);
    expect(to(caller)).toEqual([{ ocid: caller_ocid, reference: "ord_1" }]);
    expect(to(merchant)).toEqual([{ ocid: merchant_ocid, reference: "ord_2" }]);
  });

  test("goes once to a merchant that called itself", async () => {
    await pay(opened(await checkout({ from: merchant })));
    await deliver();
    expect([proofsAt(caller).length, proofsAt(merchant).length]).toEqual([0, 1]);
  });

  test("of an order paid in parts names them all, and is made once", async () => {
    const session = opened(await checkout());
    await temp.database.transact((tx) => {
      insertChain(tx, "eth");
      const crediting = createCrediting({ config: liveConfig(settings) });
      for (const [position, amount] of ["5", "14.9"].entries()) {
        const sight = { coin: "USDT" as const, label: "USDT", amount, finality: "1" };
        const row = insertTransfer(tx, { ...stray, position, tx_hash: `0x${position}` }, sight);
        crediting.credit(tx, { transfer: row, order_id: orderOf(session).id, kind: "assign" });
      }
    });
    await Promise.all([proofs.issueOwed(), proofs.issueOwed()]);
    await deliver();
    const [proof, ...more] = proofsAt(caller).map(({ body }) => body?.proof as Fields);
    expect(proof).toMatchObject({ amount: "19.90", memo: "5 USDT on eth + 14.9 USDT on eth" });
    expect(more).toEqual([]);
  });

  test("is owed from the payment's own commit on, also when it was made by another process, and made once", async () => {
    const session = opened(await checkout());
    const config = liveConfig(settings);
    const operator = createOperator({ ...createPaymentRules({ config }), database: temp.database, config });
    await operator.markPaid(orderOf(session).id, "test", "in cash");
    expect(proofsAt(caller)).toHaveLength(0);
    await Promise.all([proofs.issueOwed(), proofs.issueOwed()]);
    await deliver();
    await deliver();
    expect([proofsAt(caller).length, proofsAt(merchant).length]).toEqual([1, 1]);
  });

  test("is not owed for an order that is not paid, nor for one without a session", async () => {
    const session = opened(await checkout());
    await proofs.issueOwed();
    await temp.database.transact((tx) => void recordTransition(tx, orderOf(session).id, "expire"));
    await deliver();
    expect(proofsAt(caller)).toHaveLength(0);
  });

  test("can be asked for by its transaction id", async () => {
    await pay(opened(await checkout()));
    await deliver();
    const { proof = {}, signature = "" } = proofsAt(caller)[0]?.body ?? {};
    const { txid } = proof as Fields;
    expect(proofs.of(String(txid))).toMatchObject({ object: proof as Fields, signature: String(signature) });
    expect(proofs.of("oc_nothing")).toMatchObject({ refused: "TXID_NOT_FOUND", status: 404 });
  });

  test("is sent again with the same bytes under a fresh nonce while the receiver is down", async () => {
    caller.answerWith("/transfer/webhook", () =>
      proofsAt(caller).length === 1 ? new Response("", { status: 503 }) : null,
    );
    await pay(opened(await checkout({ signed: merchant.signOrder(order({ accepts: [caller_ocid] })) })));
    await deliver();
    clock += 1000;
    await deliver();
    const [first, second] = proofsAt(caller);
    expect(Buffer.from(second?.raw ?? []).equals(Buffer.from(first?.raw ?? []))).toBe(true);
    expect(second?.headers.get("x-oc-nonce")).not.toBe(first?.headers.get("x-oc-nonce"));
    expect(second?.sender).toBe(ours);
  });

  const endings: [status: number, attempts: number][] = [
    [200, 1],
    [400, 1],
    [403, 1],
    [408, 2],
    [429, 2],
    [500, 2],
  ];
  test.each(endings)("is answered %d and tried %d times in two rounds", async (status, attempts) => {
    caller.answerWith("/transfer/webhook", () => new Response("{}", { status }));
    await pay(opened(await checkout({ signed: merchant.signOrder(order({ accepts: [caller_ocid] })) })));
    await deliver();
    clock += 1000;
    await deliver();
    expect(proofsAt(caller)).toHaveLength(attempts);
  });

  test("is tried for three days", () => {
    let [total_ms, failed] = [0, 0];
    for (let delay = proofRetryDelay(1); delay !== null; delay = proofRetryDelay(failed + 1)) {
      total_ms += delay;
      failed += 1;
    }
    expect(Math.round(total_ms / 86_400_000)).toBe(3);
  });

  test("is never made twice, whatever asks for it", async () => {
    const session = opened(await checkout());
    await pay(session);
    await proofs.issueOwed();
    expect(gateway.session(session.id)?.row.proof).toContain(`"issuer":${ours}`);
    const again = temp.database.transact((tx) => storeProof(tx, session.id, "{}"));
    await expect(again).rejects.toThrow("a proof is made once");
  });
});
