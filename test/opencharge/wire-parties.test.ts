// Our reading and writing of signed traffic against participants written from the protocol alone, over real HTTP.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { errorEnvelope, isRefusal } from "../../src/opencharge/wire/errors.ts";
import { createSigner, newSecretKey, type Signer } from "../../src/opencharge/wire/keys.ts";
import { keysForRequest, type Metadata, readMetadata } from "../../src/opencharge/wire/metadata.ts";
import { metadataDocument } from "../../src/opencharge/wire/metadata-document.ts";
import { orderObject, proofObject } from "../../src/opencharge/wire/orders.ts";
import { readEnvelope, readJsonBody } from "../../src/opencharge/wire/readers.ts";
import {
  newNonce,
  readRequestAuth,
  signRequest,
  timestampRefusal,
  verifyRequest,
} from "../../src/opencharge/wire/request-auth.ts";
import { signResponse, verifyResponse } from "../../src/opencharge/wire/response-auth.ts";
import { signObject, verifyObject, verifyProof } from "../../src/opencharge/wire/signed-objects.ts";
import { parseStrictBytes } from "../../src/opencharge/wire/strict-json.ts";
import { realWorld } from "../../src/world.ts";
import { type MetadataMode, type Overrides, type Party, startParty } from "../support/opencharge/party.ts";
import { type Fields, newSecret } from "../support/opencharge/spelling.ts";
import { startTestMerchant, type TestMerchant } from "../support/opencharge/test-merchant.ts";

const world = realWorld();
const rules = { require_signed_config: false, allow_http: true };
const merchant_ocid = 500;

function ours(): Signer {
  const signer = createSigner(newSecretKey(world));
  if (signer === null) throw new Error("a new key is a key");
  return signer;
}

async function metadataOf(party: Party): Promise<Metadata> {
  const response = await fetch(party.metadata_url);
  const metadata = readMetadata(parseStrictBytes(new Uint8Array(await response.arrayBuffer())), rules);
  if (isRefusal(metadata)) throw new Error(JSON.stringify(metadata));
  return metadata;
}

let app: Party;
let gateway: Party;
let provider: Party;
let merchant: TestMerchant;

/** A server of our own on the wire alone: it checks who calls and answers what it made of it. */
beforeAll(async () => {
  app = startParty({ ocid: 200, role: "payment_app" });
  gateway = startParty({ ocid: 300, role: "merchant_gateway", accepts: [300, 100, merchant_ocid] });
  provider = startParty({ ocid: 100, role: "settlement_provider", dialect: "shallow", currencies: ["USDT"] });
  const parties = [app, gateway, provider];
  const signer = ours();
  merchant = startTestMerchant(async (request, target, body) => {
    if (target.endsWith("/metadata.json")) return Response.json(metadata());
    const answer = async () => {
      const auth = readRequestAuth(request.headers);
      if (isRefusal(auth)) return auth;
      const stale = timestampRefusal(auth.timestamp, world.now());
      if (stale !== null) return stale;
      const sender = parties.find((party) => party.ocid === auth.ocid);
      const keys = sender === undefined ? [] : keysForRequest(await metadataOf(sender), world.now());
      const tolerance = { base_path: "/opencharge", accept_relative_path: true, accept_der: false };
      const match = verifyRequest(auth, { method: request.method, target, body }, keys, tolerance);
      return { sender: auth.ocid, match };
    };
    const result = await answer();
    const status = isRefusal(result) ? result.status : result.match === null ? 401 : 200;
    const text = JSON.stringify(isRefusal(result) ? errorEnvelope(result) : result);
    return new Response(text, {
      status,
      headers: signResponse({ ocid: merchant_ocid, signer }, status, text, world.now()),
    });
  });
  const metadata = () =>
    metadataDocument(
      {
        name: "Shop",
        description: null,
        icon: null,
        contact: null,
        endpoint: merchant.endpoint,
        capabilities: ["orders.create"],
        settlement: { currencies: ["USD"], accepts: [merchant_ocid] },
        previous: null,
      },
      signer,
      world.now(),
    );
  merchant.signer = signer;
  for (const party of parties) party.knows(merchant_ocid, `${merchant.endpoint}/metadata.json`);
  gateway.knows(provider.ocid, provider.metadata_url);
});

afterAll(async () => {
  for (const party of [app, gateway, provider, merchant]) await party.stop();
});

describe("what a stranger sends us", () => {
  const body: Fields = { id: "ord_1", ocid: merchant_ocid, amount: "1.00", currency: "USD", memo: "Café ☕" };

  test("is verified, and our signed answer is verified there", async () => {
    for (const party of [app, gateway, provider]) {
      const answer = await party.call(merchant.endpoint, "POST", "/orders/create", body);
      expect(answer.json).toMatchObject({ sender: party.ocid, match: { path: "full", body: "raw" } });
      expect(answer).toMatchObject({ status: 200, signed: "valid" });
    }
  });

  test("without a body is verified", async () => {
    const answer = await app.call(merchant.endpoint, "GET", "/capabilities", null);
    expect(answer).toMatchObject({ status: 200, signed: "valid" });
  });

  const tolerated: [about: string, overrides: Overrides, match: Fields][] = [
    ["signed over the path below the endpoint", { signed_path: "relative" }, { path: "relative", body: "raw" }],
    ["with 128 digits of signature", { ink: "without_v" }, { path: "full", body: "raw" }],
    ["with 0x before its signature", { ink: "prefixed" }, { path: "full", body: "raw" }],
    ["with a signature in capitals", { ink: "upper_case" }, { path: "full", body: "raw" }],
    [
      "with a query that is signed",
      { signed_path: "/opencharge/orders/create?x=%20y", query: "?x=%20y" },
      { path: "full" },
    ],
  ];
  for (const [about, overrides, match] of tolerated) {
    test(`${about} is verified`, async () => {
      const answer = await app.call(merchant.endpoint, "POST", "/orders/create", body, overrides);
      expect(answer.status).toBe(200);
      expect(answer.json?.match).toMatchObject(match);
    });
  }

  const hostile: [about: string, overrides: Overrides][] = [
    ["whose body was signed otherwise", { signed_body: '{"id":"ord_1"}' }],
    ["re-serialised with blanks", { signed_body: JSON.stringify(body, null, 2) }],
    ["signed for another path", { signed_path: "/opencharge/orders/checkout" }],
    ["signed for another endpoint's relative path", { signed_path: "/v1/orders/create" }],
    ["signed for another method", { signed_method: "GET" }],
    ["signed with the method in small letters", { signed_method: "post" }],
    ["with an unknown query added", { query: "?x=1" }],
    ["that is too old", { timestamp: Math.floor(world.now() / 1000) - 302 }],
    ["that is too far ahead", { timestamp: Math.floor(world.now() / 1000) + 302 }],
    ["with a time in milliseconds", { timestamp: world.now() }],
    ["signed with another key", { secret: newSecret() }],
    ["under another's OCID", { ocid: 300 }],
    ["under an OCID nobody knows", { ocid: 777 }],
    ["under an OCID that is none", { ocid: "0x200" }],
    ["with a signature in the upper half", { ink: "high_s" }],
    ["in DER", { ink: "der" }],
    ["hashed twice", { ink: "hashed_twice" }],
    ["hashed with keccak", { ink: "keccak" }],
    ["signed as an Ethereum message", { ink: "ethereum_message" }],
    ["with a placeholder for a signature", { ink: "garbage" }],
    ["without a signature", { without: ["x-oc-signature"] }],
    ["without an OCID", { without: ["x-oc-id"] }],
    ["without a nonce", { without: ["x-oc-nonce"] }],
    ["without a time", { without: ["x-oc-timestamp"] }],
    ["with another nonce than signed", { headers: { "x-oc-nonce": "req_other" } }],
  ];
  for (const [about, overrides] of hostile) {
    test(`${about} is refused`, async () => {
      const answer = await app.call(merchant.endpoint, "POST", "/orders/create", body, overrides);
      expect(answer).toMatchObject({ status: 401, signed: "valid" });
      expect(answer.json?.match ?? null).toBeNull();
    });
  }

  test("is refused when the same bytes are sent to another path", async () => {
    const first = await app.call(merchant.endpoint, "POST", "/orders/create", body);
    expect((await app.replay(first.sent, `${merchant.endpoint}/orders/checkout`)).status).toBe(401);
  });

  test("with a header twice on the wire is refused", async () => {
    const first = await app.call(merchant.endpoint, "GET", "/capabilities", null);
    const { headers } = first.sent;
    for (const name of Object.keys(headers)) {
      const lines = [...Object.entries(headers), [name, headers[name]]].map(([key, value]) => `${key}: ${value}`);
      expect(await merchant.raw("GET /opencharge/capabilities HTTP/1.1", lines)).toStartWith("HTTP/1.1 401");
    }
    const once = Object.entries(headers).map(([key, value]) => `${key}: ${value}`);
    expect(await merchant.raw("GET /opencharge/capabilities HTTP/1.1", once)).toStartWith("HTTP/1.1 200");
  });

  test("with dots in its path is read as the plain path, which is also what is routed", async () => {
    const { sent } = await app.call(merchant.endpoint, "GET", "/capabilities", null);
    const lines = Object.entries(sent.headers).map(([key, value]) => `${key}: ${value}`);
    expect(await merchant.raw("GET /opencharge/x/../capabilities HTTP/1.1", lines)).toStartWith("HTTP/1.1 200");
    expect(await merchant.raw("GET /opencharge/x/capabilities HTTP/1.1", lines)).toStartWith("HTTP/1.1 401");
  });
});

describe("what we send a stranger", () => {
  async function send(party: Party, path: string, body: string | null) {
    const method = body === null ? ("GET" as const) : ("POST" as const);
    const url = party.endpoint + path;
    const sender = { ocid: merchant_ocid, signer: merchant.signer };
    const headers = signRequest(sender, { method, url, body }, world.now(), newNonce(world));
    const response = await fetch(url, { method, headers, body });
    const text = await response.text();
    const expected = { ocid: party.ocid, keys: keysForRequest(await metadataOf(party), world.now()) };
    return {
      status: response.status,
      text,
      signed: verifyResponse(response.headers, { status: response.status, body: text }, expected),
    };
  }

  const order = {
    id: "ord_7",
    ocid: merchant_ocid,
    amount: "15.00",
    currency: "USD",
    created_at: Math.floor(world.now() / 1000),
    reference: null,
    items: [{ id: "i", name: "Large Coffee", quantity: 1.5, price: "10.00" }],
    memo: "Café ☕",
    expires_at: Math.floor(world.now() / 1000) + 3600,
    accepts: [300],
  };
  const urls = { completed: "https://m.example/ok", cancelled: "https://m.example/no", order: [] };

  test("is authenticated by the key at the top of our metadata", async () => {
    const answer = await send(gateway, "/capabilities", null);
    expect(answer).toMatchObject({ status: 200, signed: "valid" });
    expect(gateway.received.at(-1)).toMatchObject({ sender: merchant_ocid, fault: null });
  });

  test("with a signed order inside is accepted", async () => {
    const object = orderObject(order);
    const signature = signObject(merchant.signer, object);
    const answer = await send(gateway, "/orders/checkout", JSON.stringify({ order: object, signature, urls }));
    expect(answer.status).toBe(200);
    expect(answer.text).toInclude("redirect_url");
    const changed = { ...object, amount: "0.01" };
    const refused = await send(gateway, "/orders/checkout", JSON.stringify({ order: changed, signature, urls }));
    expect(refused).toMatchObject({ status: 400, signed: "valid" });
    expect(refused.text).toInclude("INVALID_SIGNATURE");
  });

  test("as a proof is accepted, the same one again too, another under its txid not", async () => {
    const proof = (amount: string) =>
      proofObject({
        txid: "own_1",
        issuer: merchant_ocid,
        from: { ocid: merchant_ocid, reference: "eip155:1:0xabc" },
        to: { ocid: 300, reference: "ord_7" },
        amount,
        currency: "USD",
        timestamp: Math.floor(world.now() / 1000),
        memo: null,
      });
    const deliver = async (object: ReturnType<typeof proof>) => {
      const signature = signObject(merchant.signer, object);
      return send(gateway, "/transfer/webhook", JSON.stringify({ proof: object, signature }));
    };
    const first = proof("15.00");
    expect((await deliver(first)).text).toBe('{"status":"accepted","txid":"own_1"}');
    expect((await deliver(first)).status).toBe(200);
    expect((await deliver(proof("16.00"))).text).toInclude("INVALID_PROOF");
  });

  test("is answered with a signature that is absent, valid or wrong, and we tell which", async () => {
    gateway.signAnswers("no");
    expect((await send(gateway, "/capabilities", null)).signed).toBe("absent");
    gateway.signAnswers("wrongly");
    expect((await send(gateway, "/capabilities", null)).signed).toBe("invalid");
    gateway.signAnswers("yes");
    expect((await send(gateway, "/capabilities", null)).signed).toBe("valid");
  });

  test("is refused there when it comes twice", async () => {
    const url = `${gateway.endpoint}/capabilities`;
    const sender = { ocid: merchant_ocid, signer: merchant.signer };
    const headers = signRequest(sender, { method: "GET", url, body: null }, world.now(), newNonce(world));
    expect((await fetch(url, { headers })).status).toBe(200);
    const again = await fetch(url, { headers });
    expect([again.status, await again.text()]).toEqual([401, expect.stringContaining("NONCE_REUSED")]);
  });
});

describe("the documents of strangers", () => {
  const modes: [mode: MetadataMode, expected: string][] = [
    ["honest", "nested recursive"],
    ["nested_only", "nested recursive"],
    ["flat", "flat unknown"],
    ["compressed_key", "nested recursive"],
    ["keys_differ", "config.publicKey and publicKey differ"],
    ["unsigned", "signature is required"],
    ["signed_by_another", "config is not signed by its own key"],
    ["key_off_curve", "config.publicKey is no key"],
  ];
  for (const [mode, expected] of modes) {
    test(`served as ${mode}: ${expected}`, async () => {
      app.serveMetadataAs(mode);
      const response = await fetch(app.metadata_url);
      const read = readMetadata(parseStrictBytes(new Uint8Array(await response.arrayBuffer())), rules);
      app.serveMetadataAs("honest");
      expect(isRefusal(read) ? read.details?.problem : `${read.shape} ${read.dialect}`).toBe(expected);
      if (!isRefusal(read)) expect(read.public_key).toBe(app.publicKey);
    });
  }

  test("served as not_json is no JSON", async () => {
    app.serveMetadataAs("not_json");
    const raw = new Uint8Array(await (await fetch(app.metadata_url)).arrayBuffer());
    app.serveMetadataAs("honest");
    expect(isRefusal(readJsonBody(raw))).toBe(true);
  });

  test("show the dialect of a party that signs shallowly", async () => {
    expect(await metadataOf(provider)).toMatchObject({ dialect: "shallow", settlement_signed: false });
  });

  test("announce a change of keys, after which both keys sign for a while", async () => {
    const other = startParty({ ocid: 201, role: "payment_app" });
    const before = other.publicKey;
    other.rotateKey({ announced: true });
    const metadata = await metadataOf(other);
    expect(keysForRequest(metadata, world.now())).toEqual([other.publicKey, before]);
    other.rotateKey({ announced: false });
    expect(keysForRequest(await metadataOf(other), world.now())).toEqual([other.publicKey]);
    await other.stop();
  });
});

describe("the proofs of strangers", () => {
  const fields = { to: { ocid: merchant_ocid, reference: "ord_1" }, amount: "15.00", currency: "USD" };
  const nobody = { sender: null, confirmed_by_issuer: false };

  function read(envelope: unknown) {
    const parsed = readEnvelope(parseStrictBytes(new TextEncoder().encode(JSON.stringify(envelope))));
    if (isRefusal(parsed)) throw new Error(JSON.stringify(parsed));
    return parsed;
  }

  test("in the recursive form hold from anybody, in the shallow one from their issuer", () => {
    const keys = [provider.publicKey];
    const full = read(provider.proof({ ...fields, memo: "Café ☕" }, "recursive"));
    const shallow = read(provider.proof(fields));
    expect(verifyProof(full, keys, nobody)).toMatchObject({ form: "recursive" });
    expect(verifyProof(shallow, keys, nobody)).toBeNull();
    expect(verifyProof(shallow, keys, { ...nobody, sender: provider.ocid })).toMatchObject({ form: "shallow" });
    expect(verifyProof(full, [gateway.publicKey], nobody)).toBeNull();
  });

  test("that were redirected do not hold when a thief brings them", () => {
    const stolen = provider.redirected(provider.proof(fields), { ocid: 999, reference: "ord_evil" });
    expect(verifyProof(read(stolen), [provider.publicKey], { ...nobody, sender: 999 })).toBeNull();
    const full = provider.redirected(provider.proof(fields, "recursive"), { ocid: 999, reference: "ord_evil" });
    expect(verifyProof(read(full), [provider.publicKey], { ...nobody, sender: provider.ocid })).toBeNull();
  });

  test("settle a payment at a gateway, which then issues its own", async () => {
    app.knows(gateway.ocid, gateway.metadata_url);
    app.knows(provider.ocid, provider.metadata_url);
    gateway.knows(app.ocid, app.metadata_url);
    provider.knows(app.ocid, app.metadata_url);
    const create = { to: merchant_ocid, amount: "15.00", currency: "USDT", order: { id: "ord_1", urls: [] } };
    const created = await app.call(gateway.endpoint, "POST", "/payment/create", create);
    const txid = String(created.json?.txid);
    const transfer = { from: { ocid: 200 }, to: { ocid: 300, reference: txid }, amount: "15.00", currency: "USDT" };
    const paid = await app.call(provider.endpoint, "POST", "/transfer/create", transfer);
    expect(paid).toMatchObject({ status: 200, signed: "valid" });
    // This gateway reads only the recursive form.
    const { proof, signature } = paid.json ?? {};
    const refused = await app.call(gateway.endpoint, "POST", "/payment/settle", {
      txid,
      proof: proof ?? null,
      signature: signature ?? null,
    });
    expect(refused.json).toMatchObject({ error: { code: "PROOF_SIGNATURE_INVALID" } });
    const strict = provider.proof(
      { to: { ocid: 300, reference: txid }, amount: "15.00", currency: "USDT" },
      "recursive",
    );
    const settled = await app.call(gateway.endpoint, "POST", "/payment/settle", { txid, ...strict });
    expect(settled).toMatchObject({ status: 200, signed: "valid" });
    const own = read(settled.json);
    expect(own.proof).toMatchObject({ txid, issuer: 300, to: { ocid: merchant_ocid, reference: "ord_1" } });
    expect(verifyProof(own, [gateway.publicKey], nobody)).toMatchObject({ coverage: "full" });
    const verified = await app.call(gateway.endpoint, "GET", `/verify/${txid}`, null);
    expect(verified.json).toMatchObject({ status: "completed", txid });
    const again = await app.call(gateway.endpoint, "POST", "/payment/settle", { txid, ...strict });
    expect(again.json).toMatchObject({ error: { code: "INVALID_STATE" } });
  });

  test("and their orders hold in the dialect they were signed in", () => {
    const order: Fields = { id: "o", ocid: 200, items: [{ id: "i", name: "n", quantity: 1, price: "1.00" }] };
    for (const [spelling, form] of [
      ["recursive", "recursive"],
      ["shallow", "shallow"],
      ["top_level", "top_level"],
    ] as const) {
      const signed = app.signOrder(order, spelling);
      expect(verifyObject(signed.order, signed.signature, [app.publicKey])?.form).toBe(form);
    }
  });
});

test("a call of a stranger can be waited for, and answered by the test", async () => {
  const coming = gateway.awaitCall(({ path }) => path === "/later");
  gateway.answerWith("/later", () => new Response("busy", { status: 503 }));
  const answer = await app.call(gateway.endpoint, "POST", "/later", {});
  expect(answer).toMatchObject({ status: 503, text: "busy", signed: "valid" });
  expect(await coming).toMatchObject({ method: "POST", sender: 200 });
});
