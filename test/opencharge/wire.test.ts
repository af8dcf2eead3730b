import { describe, expect, test } from "bun:test";
import { errorCode } from "../../src/domain/errors.ts";
import * as answers from "../../src/opencharge/wire/answers.ts";
import { checkAccepts, checkMerchant, checkRecipient } from "../../src/opencharge/wire/audience.ts";
import { canonicalForms, canonicalIn, canonicalJson } from "../../src/opencharge/wire/canonical.ts";
import {
  errorEnvelope,
  isRefusal,
  type NetworkRefusal,
  networkCodes,
  networkRefusal,
  readErrorEnvelope,
  refuseSubmitted,
} from "../../src/opencharge/wire/errors.ts";
import {
  addressOf,
  createSigner,
  newSecretKey,
  parsePublicKey,
  parseSignature,
  sha256Hex,
  verifyText,
} from "../../src/opencharge/wire/keys.ts";
import { keysForObject, keysForRequest, type Metadata, readMetadata } from "../../src/opencharge/wire/metadata.ts";
import { metadataDocument, type NetworkIdentity } from "../../src/opencharge/wire/metadata-document.ts";
import { type Order, orderObject, proofObject } from "../../src/opencharge/wire/orders.ts";
import {
  checkReturnUrls,
  readCheckoutCreate,
  readEnvelope,
  readJsonBody,
  readOrderCreate,
  readOrdersCheckout,
  readPaymentCreate,
  readPaymentSettle,
} from "../../src/opencharge/wire/readers.ts";
import {
  claimsIdentity,
  newNonce,
  type RequestAuth,
  type RequestRules,
  readRequestAuth,
  signRequest,
  timestampRefusal,
  verifyRequest,
} from "../../src/opencharge/wire/request-auth.ts";
import { signResponse, verifyResponse } from "../../src/opencharge/wire/response-auth.ts";
import { signChallenge, signObject, verifyObject, verifyProof } from "../../src/opencharge/wire/signed-objects.ts";
import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  parseStrictJson,
} from "../../src/opencharge/wire/strict-json.ts";
import {
  type Fields,
  type Ink,
  isSignedBy,
  type Json,
  newSecret,
  publicKeyOf,
  sign,
  spell,
} from "../support/opencharge/spelling.ts";
import * as given from "../support/opencharge/vectors.ts";
import { vector, vectors } from "../support/opencharge/vectors.ts";

const { secret, public_key } = given;
const bytes = (text: string) => new TextEncoder().encode(text);
const keys = [public_key];
const strict: RequestRules = { base_path: "/opencharge", accept_relative_path: false, accept_der: false };
const tolerant: RequestRules = { ...strict, accept_relative_path: true };

function sure<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error("there is no value");
  return value;
}

/** The value of something that may be refused; fails the test when it is. */
function accepted<T>(value: T | NetworkRefusal): T {
  if (isRefusal(value)) throw new Error(`refused: ${JSON.stringify(value)}`);
  return value;
}

/** `400 INVALID_REQUEST order.amount: is required`, or `accepted`. */
function verdict(value: unknown): string {
  if (!isRefusal(value)) return "accepted";
  const issues = Array.isArray(value.details?.issues) ? value.details.issues : [];
  const parts = issues.map((issue) => (isJsonObject(issue) ? `${issue.path}: ${issue.message}` : "?"));
  return [value.status, value.refused, parts.join(", ")].join(" ").trim();
}

const signer = sure(createSigner(secret));

describe("the vectors", () => {
  for (const { name, about, message, digest, signature } of vectors) {
    const text = typeof message === "string" ? message : canonicalIn(message.form, message.object);

    test(`${name}: ${about} is hashed, signed and verified as given`, () => {
      expect(sha256Hex(text)).toBe(digest);
      expect(signer.sign(text)).toBe(signature);
      expect(verifyText(text, sure(parseSignature(signature)), public_key)).toBe(true);
      expect(verifyText(`${text} `, sure(parseSignature(signature)), public_key)).toBe(false);
    });
  }

  test("there are 21 of them", () => {
    expect(vectors.length).toBe(21);
  });

  test("the key is spelled in all its forms", () => {
    expect(signer.public_key).toBe(public_key);
    expect(parsePublicKey(given.compressed_key)).toBe(public_key);
    expect(addressOf(public_key).toLowerCase()).toBe(given.address);
  });

  test("objects are spelled as printed", () => {
    const { coffeeOrder, checkoutOrder, transferProof, unicode, spelled } = given;
    const objects = { coffeeOrder, checkoutOrder, transferProof, unicode };
    expect(Object.entries(objects).map(([name, object]) => [name, canonicalJson(object)])).toEqual(
      Object.entries(spelled),
    );
  });

  test("the bodies of the two example requests have the hashes that were signed", () => {
    expect(vector("V9").message).toEndWith(sha256Hex(JSON.stringify(given.orderRequest)));
    const checkout = {
      order: given.checkoutOrder,
      signature: vector("V4").signature,
      merchantOcid: 500,
      urls: {
        success: "https://merchant.example/checkout/success",
        cancel: "https://merchant.example/checkout/cancel",
      },
    };
    expect(vector("V10").message).toEndWith(sha256Hex(JSON.stringify(checkout)));
  });

  test("a request whose signature covers another body hash is refused", () => {
    const body = bytes('{"amount":"100.00","currency":"USD"}');
    const request = { method: "POST", target: "/opencharge/payment/create", body };
    const auth = (name: string): RequestAuth => ({
      ocid: 200,
      timestamp: 1706500000,
      timestamp_text: "1706500000",
      nonce: "req_test123",
      signature: vector(name).signature,
    });
    expect(verifyRequest(auth("V1"), request, keys, strict)).toEqual({ public_key, path: "full", body: "raw" });
    expect(verifyRequest(auth("V1x"), request, keys, strict)).toBeNull();
  });

  test("an answer is verified by its four lines", () => {
    const body = '{"status":"accepted","txid":"gateway_tx_456"}';
    const headers = new Headers({
      "x-oc-id": "500",
      "x-oc-timestamp": "1706500600",
      "x-oc-signature": vector("V8").signature,
    });
    expect(verifyResponse(headers, { status: 200, body }, { ocid: 500, keys })).toBe("valid");
    expect(verifyResponse(headers, { status: 201, body }, { ocid: 500, keys })).toBe("invalid");
    expect(verifyResponse(headers, { status: 200, body: `${body} ` }, { ocid: 500, keys })).toBe("invalid");
    expect(verifyResponse(headers, { status: 200, body }, { ocid: 501, keys })).toBe("invalid");
    expect(verifyResponse(new Headers(), { status: 200, body }, { ocid: 500, keys })).toBe("absent");
    expect(signResponse({ ocid: 500, signer }, 200, body, 1706500600_999)).toEqual({
      "X-OC-ID": "500",
      "X-OC-Timestamp": "1706500600",
      "X-OC-Signature": vector("V8").signature,
    });
  });
});

describe("JSON that is signed", () => {
  const refused: [text: string, why: string][] = [
    ['{"amount":"1.00","amount":"2.00"}', "an object has the same key twice"],
    ['{"a":{"to":1,"\\u0074o":2}}', "an object has the same key twice"],
    ['[{"b":1},{"b":1,"c":[{"b":1}],"b":2}]', "an object has the same key twice"],
    ['{"a" : 1, "a"\n:2}', "an object has the same key twice"],
    ['{"a":"\\ud83d"}', "it holds half a surrogate pair"],
    ['{"\\ude00":1}', "it holds half a surrogate pair"],
    ['{"a":1e400}', "it is no JSON"],
    ['{"a":NaN}', "it is no JSON"],
    ['{"a":1,}', "it is no JSON"],
    ['{"a":"\n"}', "it is no JSON"],
    ['{"a":"x', "it is no JSON"],
    ["", "it is no JSON"],
    ["\ufeff{}", "it is no JSON"],
    ["[".repeat(65) + "]".repeat(65), "it is nested too deeply"],
    ["[".repeat(200_000), "it is nested too deeply"],
  ];
  for (const [text, why] of refused) {
    test(`${JSON.stringify(text.slice(0, 40))} is refused: ${why}`, () => {
      expect(() => parseStrictJson(text)).toThrow(why);
      const refusal = readJsonBody(bytes(text));
      expect(verdict(refusal)).toBe(`400 INVALID_REQUEST : ${why}`);
    });
  }

  const sound = [
    '{"a":{"id":1},"b":{"id":1},"c":[{"id":1},{"id":1}]}',
    '{"a":"a","b":"a:b","c":"\\":","d":["d","d"]}',
    '{"a":"\\ud83d\\ude00 \\"{[","\\\\":1}',
    '{"__proto__":{"ocid":1},"constructor":2,"toString":3}',
    "[[[[]]]]",
    "null",
    ` ${"[".repeat(64)}${"]".repeat(64)} `,
  ];
  for (const text of sound) {
    test(`${text.slice(0, 50)} is read`, () => {
      expect(JSON.stringify(parseStrictJson(text))).toBe(JSON.stringify(JSON.parse(text)));
    });
  }

  const bodies: [about: string, body: JsonValue, why: string | null][] = [
    [
      "five hundred items of ten fields",
      Array(500).fill({ a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8, i: 9, j: "," }),
      null,
    ],
    ["6,000 values", Array(5999).fill(0), null],
    ["6,001 values", Array(6000).fill(0), "it has more than 6000 values"],
    ["6,001 objects", Array(6000).fill({}), "it has more than 6000 values"],
    [
      "18,000 keys",
      Object.fromEntries(Array.from({ length: 18_000 }, (_, n) => [`k${n}`, 0])),
      "it has more than 6000 values",
    ],
    ["a text of 200,000 commas, brackets and escapes", { a: ',[{\\"'.repeat(40_000) }, null],
  ];
  for (const [about, body, why] of bodies) {
    test(`a body of ${about} is ${why === null ? "read" : "refused, though it may be stored"}`, () => {
      const text = JSON.stringify(body);
      expect(JSON.stringify(parseStrictJson(text))).toBe(text);
      const read = readJsonBody(bytes(text));
      if (why === null) expect(JSON.stringify(read)).toBe(text);
      else expect(verdict(read)).toBe(`400 INVALID_REQUEST : ${why}`);
    });
  }

  test("bytes that are no UTF-8 are refused", () => {
    expect(verdict(readJsonBody(Uint8Array.of(0x22, 0xc3, 0x28, 0x22)))).toBe("400 INVALID_REQUEST : it is no UTF-8");
  });

  test("keys are sorted by UTF-16 units, numbers written as ECMAScript writes them", () => {
    expect(canonicalJson({ "\ufb33": 1, "\u{1f600}": 2, "\u20ac": 3, 1: 4, "\r": 5, "\u0080": 6 })).toBe(
      '{"\\r":5,"1":4,"\u0080":6,"\u20ac":3,"\u{1f600}":2,"\ufb33":1}',
    );
    expect(
      canonicalJson(parseStrictJson("[333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001, -0, 2.0]")),
    ).toBe("[333333333.3333333,1e+30,4.5,0.002,1e-27,0,2]");
    expect(canonicalJson({ a: undefined, b: "\u000f\n/é" })).toBe('{"b":"\\u000f\\n/é"}');
    expect(canonicalJson(parseStrictJson('{"__proto__":{"b":1,"a":2}}'))).toBe('{"__proto__":{"a":2,"b":1}}');
  });

  const unspeakable: [name: string, value: unknown][] = [
    ["NaN", { a: Number.NaN }],
    ["an infinity", [Number.POSITIVE_INFINITY]],
    ["half a surrogate pair in a value", { a: "\ud83d" }],
    ["half a surrogate pair in a key", { "\ude00": 1 }],
    ["a bigint", { a: 1n }],
    ["nothing", undefined],
    ["a function", () => 1],
  ];
  for (const [name, value] of unspeakable) {
    test(`${name} has no canonical form`, () => {
      let code = "";
      try {
        canonicalJson(value);
      } catch (error) {
        code = errorCode(error);
      }
      expect(code).toBe("invalid_request");
    });
  }

  test("the three forms of an order are told apart, and a flat order has one", () => {
    const shuffled = { ...given.coffeeOrder, items: [{ quantity: 2, price: "5.00", name: "Tea", id: "t" }] };
    const [recursive, top_level, shallow] = [...canonicalForms(shuffled)];
    expect(recursive?.text).toInclude('[{"id":"t","name":"Tea","price":"5.00","quantity":2}]');
    expect(top_level).toEqual({ form: "top_level", text: spell(shuffled, "top_level") });
    expect(top_level?.text).toInclude('[{"quantity":2,"price":"5.00","name":"Tea","id":"t"}]');
    expect(shallow?.text).toInclude('"items":[{"id":"t"}]');
    expect([...canonicalForms(given.flatOrder)].map(({ form }) => form)).toEqual(["recursive"]);
  });

  test("what a stranger's code spells is spelled the same here, in every form", () => {
    const objects = [given.coffeeOrder, given.checkoutOrder, given.webhookProof, given.walletConfig, given.unicode];
    for (const object of objects)
      for (const form of ["recursive", "shallow", "top_level"] as const)
        expect(canonicalIn(form, object)).toBe(spell(object, form));
  });
});

describe("keys and signatures", () => {
  const text = "a text";
  const full = `04${public_key}`;

  const readable: [about: string, text: string][] = [
    ["128 digits", public_key],
    ["130 digits", full],
    ["66 digits", given.compressed_key],
    ["with 0x", `0x${public_key}`],
    ["compressed with 0X and capitals", `0X${given.compressed_key.toUpperCase()}`],
    ["in capitals", public_key.toUpperCase()],
  ];
  for (const [about, key] of readable) {
    test(`a public key of ${about} is read`, () => {
      expect(parsePublicKey(key)).toBe(public_key);
    });
  }

  const unreadable: [about: string, text: string][] = [
    ["124 digits", given.short_key],
    ["a point off the curve", "ab".repeat(64)],
    ["off the curve by one digit", `${public_key.slice(0, 127)}5`],
    ["another prefix", `05${public_key}`],
    ["an even-odd prefix on 130 digits", `02${public_key}`],
    ["x beyond the field", `02${"f".repeat(64)}`],
    ["zero", "0".repeat(128)],
    ["a letter that is no digit", `${public_key.slice(0, 127)}g`],
    ["a blank behind", `${public_key} `],
    ["a line behind", `${public_key}\n`],
    ["nothing", ""],
  ];
  for (const [about, key] of unreadable) {
    test(`a public key with ${about} is refused`, () => {
      expect(parsePublicKey(key)).toBeNull();
    });
  }

  const inks: [ink: Ink, verdict: "holds" | "refused", with_der: "holds" | "refused"][] = [
    ["specified", "holds", "holds"],
    ["without_v", "holds", "holds"],
    ["prefixed", "holds", "holds"],
    ["upper_case", "holds", "holds"],
    ["wrong_v", "holds", "holds"],
    ["der", "refused", "holds"],
    ["high_s", "refused", "refused"],
    ["hashed_twice", "refused", "refused"],
    ["keccak", "refused", "refused"],
    ["ethereum_message", "refused", "refused"],
    ["garbage", "refused", "refused"],
  ];
  for (const [ink, plain, with_der] of inks) {
    test(`a signature written as ${ink}: ${plain}, where DER is accepted ${with_der}`, () => {
      const signature = sign(text, secret, ink);
      const judge = (accept_der: boolean) => {
        const parsed = parseSignature(signature, accept_der);
        return parsed !== null && verifyText(text, parsed, public_key) ? "holds" : "refused";
      };
      expect([judge(false), judge(true)]).toEqual([plain, with_der]);
    });
  }

  const good = vector("V2").signature;
  const badSignatures: [about: string, signature: string][] = [
    ["r of zero", "0".repeat(64) + good.slice(64)],
    ["s of zero", `${good.slice(0, 64) + "0".repeat(64)}1b`],
    ["r beyond the order", "f".repeat(64) + good.slice(64)],
    ["an unknown v", `${good.slice(0, 128)}1d`],
    ["129 digits", good.slice(0, 129)],
    ["a blank in front", ` ${good}`],
    ["a line behind", `${good}\n`],
    ["cut DER", sign(text, secret, "der").slice(0, -2)],
  ];
  for (const [about, signature] of badSignatures) {
    test(`a signature with ${about} is no signature`, () => {
      expect([parseSignature(signature), parseSignature(signature, true)]).toEqual([null, null]);
    });
  }

  test("fifty signatures of ours are 130 lower-case digits a stranger's code accepts", () => {
    for (let i = 0; i < 50; i++) {
      const signature = signer.sign(`message ${i}`);
      expect(signature).toMatch(/^[\da-f]{128}1[bc]$/);
      expect(isSignedBy(`message ${i}`, signature, public_key)).toBe(true);
    }
  });

  test("only a secret key of the curve makes a signer, and the signer does not show it", () => {
    const order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    const bad = ["", "0".repeat(64), order, "f".repeat(64), secret.slice(1), `${secret}00`, secret.replace("1", "x")];
    expect(bad.map(createSigner)).toEqual(bad.map(() => null));
    expect(createSigner(`0x${secret.toUpperCase()}\n`)?.public_key).toBe(public_key);
    expect(JSON.stringify(signer)).not.toInclude(secret);
  });

  test("a new secret key passes over bytes that are no key", () => {
    const draws = [new Uint8Array(32), new Uint8Array(32).fill(0xff), new Uint8Array(32).fill(7)];
    expect(newSecretKey({ random: () => draws.shift() ?? new Uint8Array() })).toBe("07".repeat(32));
  });

  test("a challenge is signed only when it can be nothing else", () => {
    expect(signChallenge(signer, given.challenge)).toBe(vector("V11").signature);
    const others = ["", given.challenge.toUpperCase(), `${given.challenge}\n`, given.spelled.transferProof, "200\n17"];
    expect(others.map((text) => signChallenge(signer, text))).toEqual(others.map(() => null));
  });
});

describe("the headers of a request", () => {
  const whole: [string, string][] = [
    ["X-OC-ID", "200"],
    ["X-OC-Timestamp", "1706500000"],
    ["X-OC-Nonce", "req_abc123"],
    ["X-OC-Signature", vector("V7").signature],
  ];
  const changed = (name: string, value: string) =>
    whole.map(([key, old]): [string, string] => [key, key === name ? value : old]);

  test("are read whatever the case of their names", () => {
    const read = accepted(readRequestAuth(new Headers(whole)));
    expect(read).toEqual({
      ocid: 200,
      timestamp: 1706500000,
      timestamp_text: "1706500000",
      nonce: "req_abc123",
      signature: vector("V7").signature,
    });
    expect(claimsIdentity(new Headers(whole))).toBe(true);
    expect(claimsIdentity([["x-oc-nonce", "1"]])).toBe(true);
    expect(claimsIdentity(new Headers({ host: "x" }))).toBe(false);
  });

  for (const [name] of whole) {
    test(`without ${name} the request is refused`, () => {
      const refusal = readRequestAuth(whole.filter(([key]) => key !== name));
      expect(refusal).toMatchObject({ refused: "INVALID_SIGNATURE", status: 401 });
      expect(isRefusal(refusal) && refusal.details).toEqual({ header: name, problem: "missing" });
    });

    test(`with ${name} twice the request is refused, even if the server joined the two`, () => {
      const value = whole.find(([key]) => key === name)?.[1] ?? "";
      const twice = readRequestAuth([...whole, [name.toLowerCase(), value]]);
      expect(isRefusal(twice) && twice.details).toEqual({ header: name, problem: "repeated" });
      const joined = new Headers(whole);
      joined.append(name, value);
      const refusal = readRequestAuth(joined);
      expect(isRefusal(refusal) && refusal.details).toEqual({ header: name, problem: "malformed" });
    });
  }

  const malformed: [name: string, value: string][] = [
    ["X-OC-ID", "0"],
    ["X-OC-ID", "0200"],
    ["X-OC-ID", "+200"],
    ["X-OC-ID", "2e2"],
    ["X-OC-ID", "200.0"],
    ["X-OC-ID", "9007199254740992"],
    ["X-OC-ID", "10000000000000000"],
    ["X-OC-ID", "٢٠٠"],
    ["X-OC-Timestamp", "-1706500000"],
    ["X-OC-Timestamp", "1706500000.5"],
    ["X-OC-Timestamp", "1706500000\n"],
    ["X-OC-Timestamp", "1".repeat(13)],
    ["X-OC-Nonce", "two words"],
    ["X-OC-Nonce", "line\nPOST"],
    ["X-OC-Nonce", "é"],
    ["X-OC-Nonce", "n".repeat(129)],
    ["X-OC-Signature", "a b"],
    ["X-OC-Signature", "a".repeat(201)],
  ];
  for (const [name, value] of malformed) {
    test(`${name} of ${JSON.stringify(value.slice(0, 20))} is malformed`, () => {
      const refusal = readRequestAuth(changed(name, value));
      expect(isRefusal(refusal) && refusal.details).toEqual({ header: name, problem: "malformed" });
    });
  }

  test("the largest OCID and the longest nonce are taken", () => {
    expect(accepted(readRequestAuth(changed("X-OC-ID", "9007199254740991"))).ocid).toBe(Number.MAX_SAFE_INTEGER);
    expect(accepted(readRequestAuth(changed("X-OC-Nonce", "~".repeat(128)))).nonce.length).toBe(128);
  });

  const moments: [off_s: number, ms: number, verdict: string][] = [
    [0, 0, "accepted"],
    [300, 0, "accepted"],
    [300, 999, "accepted"],
    [301, 0, "401 TIMESTAMP_EXPIRED"],
    [-300, 0, "accepted"],
    [-300, 999, "accepted"],
    [-301, 999, "401 TIMESTAMP_EXPIRED"],
    [100_000, 0, "401 TIMESTAMP_EXPIRED"],
  ];
  for (const [off_s, ms, expected] of moments) {
    test(`a timestamp ${off_s} s before a now that is ${ms} ms into its second: ${expected}`, () => {
      expect(verdict(timestampRefusal(1706500000 - off_s, 1706500000_000 + ms))).toBe(expected);
    });
  }
});

describe("a signed request", () => {
  const world = { random: (n: number) => new Uint8Array(n).fill(0xab) };
  const now = 1706500000_123;
  const url = "https://shop.example/opencharge/orders/create";
  const body = JSON.stringify(given.orderRequest);

  const signed = (headers: Record<string, string>) => accepted(readRequestAuth(Object.entries(headers)));
  const ours = signed(signRequest({ ocid: 200, signer }, { method: "POST", url, body }, now, newNonce(world)));
  const received = { method: "POST", target: "/opencharge/orders/create", body: bytes(body) };
  const holds = (auth: RequestAuth, request = received, tolerance = strict) =>
    verifyRequest(auth, request, keys, tolerance);

  test("of ours is what the vectors say", () => {
    expect(signRequest({ ocid: 200, signer }, { method: "POST", url, body }, 1706313600_000, "req_abc123")).toEqual({
      "X-OC-ID": "200",
      "X-OC-Timestamp": "1706313600",
      "X-OC-Nonce": "req_abc123",
      "X-OC-Signature": vector("V9").signature,
    });
    const capabilities = "https://shop.example/opencharge/capabilities";
    const get = signRequest({ ocid: 200, signer }, { method: "GET", url: capabilities, body: null }, now, "req_abc123");
    expect(get["X-OC-Signature"]).toBe(vector("V7").signature);
    expect(newNonce(world)).toBe(`req_${"ab".repeat(16)}`);
  });

  test("of ours never has a query", () => {
    for (const query of ["?a=1", "?"])
      expect(() => signRequest({ ocid: 1, signer }, { method: "GET", url: url + query, body: null }, now, "n")).toThrow(
        "a signed URL has no query",
      );
  });

  test("holds for exactly what was signed", () => {
    expect(holds(ours)).toEqual({ public_key, path: "full", body: "raw" });
    expect(holds(ours, { ...received, method: "post" })).not.toBeNull();
    expect(holds({ ...ours, nonce: `${ours.nonce}0` })).toBeNull();
    expect(holds({ ...ours, ocid: 201 })).toBeNull();
    expect(holds({ ...ours, timestamp_text: `0${ours.timestamp_text}` })).toBeNull();
    expect(holds(ours, { ...received, method: "PUT" })).toBeNull();
    expect(holds(ours, { ...received, target: `${received.target}/` })).toBeNull();
    expect(holds(ours, { ...received, target: `${received.target}?x=1` })).toBeNull();
    expect(holds(ours, { ...received, body: bytes(`${body}\n`) })).toBeNull();
    expect(holds(ours, { ...received, body: new Uint8Array() })).toBeNull();
    expect(verifyRequest(ours, received, [publicKeyOf(newSecret())], strict)).toBeNull();
    expect(verifyRequest(ours, received, [], strict)).toBeNull();
  });

  test("holds under any of the keys given and says which", () => {
    const other = publicKeyOf(newSecret());
    expect(verifyRequest(ours, received, [other, public_key], strict)?.public_key).toBe(public_key);
  });

  const lines = (method: string, path: string, hash: string) =>
    ["200", "1706500000", "n-1", method, path, hash].join("\n");
  const auth = (text: string, ink?: Ink): RequestAuth => ({
    ocid: 200,
    timestamp: 1706500000,
    timestamp_text: "1706500000",
    nonce: "n-1",
    signature: sign(text, secret, ink),
  });
  const get = { method: "GET", target: "/opencharge/capabilities", body: new Uint8Array() };

  test("over the path below the endpoint is taken only where that is allowed", () => {
    const below = auth(lines("POST", "/orders/create", sha256Hex(body)));
    expect(holds(below)).toBeNull();
    expect(holds(below, received, tolerant)).toEqual({ public_key, path: "relative", body: "raw" });
    expect(holds(below, { ...received, target: "/other/orders/create" }, tolerant)).toBeNull();
    expect(holds(below, { ...received, target: "/openchargeX/orders/create" }, tolerant)).toBeNull();
    expect(holds(below, received, { ...tolerant, base_path: "" })).toBeNull();
  });

  test("over a query counts the query", () => {
    const target = "/opencharge/capabilities?a=1&b=%20";
    const with_query = auth(lines("GET", target, given.empty_hash));
    expect(holds(with_query, { ...get, target })?.path).toBe("full");
    expect(holds(with_query, get, tolerant)).toBeNull();
    expect(
      holds(auth(lines("GET", "/opencharge/capabilities", given.empty_hash)), { ...get, target }, tolerant),
    ).toBeNull();
  });

  test("without a body may have been signed as the empty object, a request with one may not", () => {
    const as_object = auth(lines("GET", get.target, sha256Hex("{}")));
    expect(holds(as_object, get)).toEqual({ public_key, path: "full", body: "empty_object" });
    expect(holds(auth(lines("GET", get.target, given.empty_hash)), get)?.body).toBe("raw");
    const post = auth(lines("POST", get.target, sha256Hex("{}")));
    expect(holds(post, { ...get, method: "POST" })).toBeNull();
    expect(holds(post, { ...get, method: "POST", body: bytes("{}") })?.body).toBe("raw");
  });

  test("is refused when its path or method could add a line", () => {
    const target = "/opencharge/a\nb";
    expect(holds(auth(lines("GET", target, given.empty_hash)), { ...get, target })).toBeNull();
    const method = "GET\n/x";
    expect(holds(auth(lines(method, get.target, given.empty_hash)), { ...get, method })).toBeNull();
    expect(holds(auth(lines("GET", "opencharge", given.empty_hash)), { ...get, target: "opencharge" })).toBeNull();
  });

  test("in DER is taken only where that is allowed", () => {
    const der = auth(lines("GET", get.target, given.empty_hash), "der");
    expect(holds(der, get)).toBeNull();
    expect(holds(der, get, { ...strict, accept_der: true })).not.toBeNull();
  });
});

describe("a signed object", () => {
  const elsewhere = { sender: null, confirmed_by_issuer: false };

  const rows: [name: string, object: Fields, form: string, coverage: string][] = [
    ["V3", given.coffeeOrder, "recursive", "full"],
    ["V3s", given.coffeeOrder, "shallow", "shallow"],
    ["V3f", given.flatOrder, "recursive", "full"],
    ["V5s", given.webhookProof, "shallow", "shallow"],
    ["V6s", given.walletConfig, "shallow", "shallow"],
  ];
  for (const [name, object, form, coverage] of rows) {
    test(`${name} holds as ${form} and covers ${coverage === "full" ? "everything" : "only the outer keys"}`, () => {
      expect(verifyObject(object, vector(name).signature, keys)).toEqual({
        form,
        coverage,
        public_key,
      } as unknown as ReturnType<typeof verifyObject>);
    });
  }

  test("whose inner keys keep their order holds as such", () => {
    const object = { ...given.webhookProof, from: { reference: "r", ocid: 200 } };
    const match = verifyObject(object, sign(spell(object, "top_level"), secret), keys);
    expect(match).toMatchObject({ form: "top_level", coverage: "full" });
    const reordered = { ...object, from: { ocid: 200, reference: "r" } };
    expect(verifyObject(reordered, sign(spell(object, "top_level"), secret), keys)).toBeNull();
  });

  test("signed as raw text, in insertion order or with keccak does not hold", () => {
    expect(verifyObject(given.coffeeOrder, sign(JSON.stringify(given.coffeeOrder), secret), keys)).toBeNull();
    const canonical = spell(given.coffeeOrder, "recursive");
    for (const ink of ["keccak", "ethereum_message", "hashed_twice", "high_s", "der"] as const)
      expect(verifyObject(given.coffeeOrder, sign(canonical, secret, ink), keys)).toBeNull();
  });

  test("loses its full signature by any change, its shallow one by a change of an outer key", () => {
    const full = vector("V3").signature;
    const shallow = vector("V3s").signature;
    const gold = (id: string) => ({ id, name: "Gold", quantity: 9, price: "0.01" });
    const swapped = { ...given.coffeeOrder, items: [gold("item_001"), gold("item_002")] };
    const cheap = { ...given.coffeeOrder, amount: "0.01" };
    expect(verifyObject(swapped, full, keys)).toBeNull();
    expect(verifyObject(swapped, shallow, keys)?.coverage).toBe("shallow");
    expect(verifyObject(cheap, full, keys)).toBeNull();
    expect(verifyObject(cheap, shallow, keys)).toBeNull();
    expect(verifyObject({ ...given.coffeeOrder, extra: 1 }, full, keys)).toBeNull();
  });

  test("stripped of all that a shallow signature leaves uncovered is covered whole, and is no order or proof any more", () => {
    const order = { ...given.coffeeOrder, items: [{ id: "item_001" }, { id: "item_002" }] };
    const proof = { ...given.webhookProof, from: {}, to: {} };
    expect(verifyObject(order, vector("V3s").signature, keys)?.coverage).toBe("full");
    expect(verifyObject(proof, vector("V5s").signature, keys)?.coverage).toBe("full");
    expect(isRefusal(readCheckoutCreate({ order, signature: "s", merchantOcid: 500, urls: {} }))).toBe(true);
    expect(isRefusal(readEnvelope({ proof, signature: "s" }))).toBe(true);
  });

  test("keeps its signature over fields nobody here knows", () => {
    const object = { ...given.flatOrder, discount: { code: "X" } };
    expect(verifyObject(object, sign(spell(object, "recursive"), secret), keys)?.coverage).toBe("full");
  });

  test("of ours passes the literal check of the order page when it is flat, or signed in that dialect", () => {
    const passes = (order: Fields, signature: string) =>
      isSignedBy(JSON.stringify(order, Object.keys(order).sort()), signature, public_key);
    expect(passes(given.flatOrder, signObject(signer, given.flatOrder))).toBe(true);
    expect(passes(given.coffeeOrder, signObject(signer, given.coffeeOrder, "shallow"))).toBe(true);
    expect(passes(given.coffeeOrder, signObject(signer, given.coffeeOrder))).toBe(false);
  });

  test("of ours passes the rule of the proof page: sorted at all levels", () => {
    const signature = signObject(signer, given.webhookProof);
    expect(signature).toBe(vector("V5").signature);
    expect(isSignedBy(spell(given.webhookProof, "recursive"), signature, public_key)).toBe(true);
  });

  /** The object, and how often anybody looked at one of its fields. */
  function watched(object: Fields) {
    let looks = 0;
    const look = <T>(seen: T): T => {
      looks++;
      return seen;
    };
    const wrap = (value: Json): Json =>
      value === null || typeof value !== "object"
        ? value
        : new Proxy(value, {
            get: (from, name, self) => look(wrap(Reflect.get(from, name, self) as Json)),
            getOwnPropertyDescriptor: (from, name) => look(Reflect.getOwnPropertyDescriptor(from, name)),
          });
    return { object: wrap(object) as Fields, looks: () => looks };
  }

  test("the shallow form looks at every field once, however many names there are", () => {
    const looksAt = (size: number) => {
      const names = Array.from({ length: size }, (_, n) => `name_${n}`);
      const items = names.map((name) => ({ [name]: 1, other: 2 }));
      const { object, looks } = watched({ ...Object.fromEntries(names.map((name) => [name, 1])), items });
      canonicalIn("shallow", object);
      return looks();
    };
    expect(looksAt(400)).toBeLessThan(looksAt(100) * 5);
  });

  test("a weaker form is made only where no stronger one holds", () => {
    const looksFor = (signature: string) => {
      const { object, looks } = watched(given.coffeeOrder);
      verifyObject(object, signature, keys);
      return looks();
    };
    const { object, looks } = watched(given.coffeeOrder);
    canonicalIn("recursive", object);
    expect(looksFor(vector("V3").signature)).toBe(looks());
    const [top_level, shallow] = (["top_level", "shallow"] as const).map((form) =>
      looksFor(sign(spell(given.coffeeOrder, form), secret)),
    );
    expect(top_level).toBeGreaterThan(looks());
    expect(shallow).toBeGreaterThan(Number(top_level));
  });

  test("the shallow form is what JSON.stringify writes with a list of keys, however they are named", () => {
    const object = {
      ...{ b: { "10": 1, "2": [{ a: 1, z: 2 }, [3, "b"], null], a: true, é: 1 }, a: "19.90", "2": { "10": {}, b: [] } },
      ...{ "10": 1.5, é: null, "\u{1F600}": { "\u{1F600}": 1, "\uFB01": 2 }, "\uFB01": -0 },
    };
    expect(canonicalIn("shallow", object)).toBe(JSON.stringify(object, Object.keys(object).sort()));
  });

  test("of ours reads the same to whoever sorts only the outermost keys", () => {
    const order: Order = {
      id: "o",
      ocid: 500,
      amount: "1.00",
      currency: "USD",
      created_at: 1,
      reference: null,
      items: [{ quantity: 1, price: "1.00", name: "n", id: "i" }],
      memo: null,
      expires_at: 2,
      accepts: [500],
    };
    const proof = accepted(readEnvelope({ proof: given.webhookProof, signature: "s" })).proof;
    for (const object of [orderObject(order), proofObject(proof)])
      expect(canonicalIn("top_level", object)).toBe(canonicalIn("recursive", object));
    expect(canonicalJson(proofObject(proof))).toBe(canonicalJson(given.webhookProof));
    expect(Object.keys(orderObject(order))).not.toContain("memo");
  });

  const channels: [about: string, sender: number | null, confirmed: boolean, shallow: "holds" | "refused"][] = [
    ["from nobody in particular", null, false, "refused"],
    ["from a payer", 200, false, "refused"],
    ["from its issuer", 100, false, "holds"],
    ["from a relay, but confirmed by its issuer", 200, true, "holds"],
  ];
  for (const [about, sender, confirmed_by_issuer, expected] of channels) {
    test(`a shallow proof ${about}: ${expected}; a full one always holds`, () => {
      const channel = { sender, confirmed_by_issuer };
      const judge = (name: string) => {
        const envelope = { proof: given.webhookProof, signature: vector(name).signature } as JsonObject;
        return verifyProof(accepted(readEnvelope(envelope)), keys, channel) === null ? "refused" : "holds";
      };
      expect([judge("V5s"), judge("V5")]).toEqual([expected, "holds"]);
    });
  }

  test("a shallow proof redirected to another merchant still verifies, so a stranger's delivery of it is refused", () => {
    const stolen = { ...given.webhookProof, to: { ocid: 999, reference: "ord_evil" } };
    const envelope = accepted(readEnvelope({ proof: stolen, signature: vector("V5s").signature }));
    expect(verifyObject(envelope.object, envelope.signature, keys)).toMatchObject({ coverage: "shallow" });
    expect(verifyProof(envelope, keys, { ...elsewhere, sender: 999 })).toBeNull();
  });
});

describe("a metadata document", () => {
  const rules = { require_signed_config: false, allow_http: false };
  const config = given.walletConfig;
  const nested = (changes: Fields = {}, name = "V6"): Fields => ({
    opencharge: "0.1",
    name: "Wallet",
    config,
    kyc: [540],
    signature: vector(name).signature,
    ...changes,
  });
  const flat: Fields = { opencharge: "0.1", name: "Wallet", ...config };
  const selfSigned = (changes: Fields) => {
    const changed = { ...config, ...changes };
    return nested({ config: changed, signature: sign(spell(changed, "recursive"), secret) });
  };
  const bare = { publicKey: public_key };
  const problem = (json: JsonValue, more = rules) => {
    const read = readMetadata(json, more);
    return isRefusal(read) ? `${read.status} ${read.refused} ${read.details?.problem}` : read.dialect;
  };

  test("is read nested, with how its signer spells", () => {
    expect(accepted(readMetadata(nested(), rules))).toEqual({
      name: "Wallet",
      public_key,
      endpoint: "https://api.wallet.example/opencharge",
      capabilities: ["checkout.create", "orders.create.session", "transfer.create", "transfer.webhook"],
      settlement: { currencies: ["USD", "EUR"], accepts: [100, 101, 102] },
      settlement_signed: true,
      previous: null,
      shape: "nested",
      dialect: "recursive",
    });
  });

  const rows: [about: string, json: JsonValue, expected: string][] = [
    ["signed shallowly", nested({}, "V6s"), "shallow"],
    [
      "with a key only, in which no dialect shows",
      nested({ config: bare, signature: sign(spell(bare, "recursive"), secret) }),
      "unknown",
    ],
    ["sorted only outside", nested({ signature: sign(spell(config, "top_level"), secret) }), "unknown"],
    ["flat", flat, "unknown"],
    [
      "nested with the same key at the top in another spelling",
      nested({ publicKey: given.compressed_key }),
      "recursive",
    ],
    ["with fields nobody knows", selfSigned({ fees: { fixed: "0.10" } }), "recursive"],
    ["with null where nothing is", nested({ profile: null, contact: null }), "recursive"],
    ["with a previous key nobody can read", selfSigned({ previousKey: "x", keyRotatedAt: "soon" }), "recursive"],
    ["that is a list", [], "502 METADATA_UNAVAILABLE it is no object"],
    ["that is empty", {}, "502 METADATA_UNAVAILABLE opencharge is required"],
    ["without a signature", nested({ signature: null }), "502 METADATA_UNAVAILABLE signature must be a string"],
    [
      "signed by another key",
      nested({ signature: sign(spell(config, "recursive"), newSecret()) }),
      "502 METADATA_UNAVAILABLE config is not signed by its own key",
    ],
    [
      "changed after signing",
      nested({ config: { ...config, endpoint: "https://evil.example" } }),
      "502 METADATA_UNAVAILABLE config is not signed by its own key",
    ],
    [
      "with another key at the top",
      nested({ publicKey: publicKeyOf(newSecret()) }),
      "502 METADATA_UNAVAILABLE config.publicKey and publicKey differ",
    ],
    [
      "with rubbish for a key at the top",
      nested({ publicKey: 7 }),
      "502 METADATA_UNAVAILABLE config.publicKey and publicKey differ",
    ],
    [
      "with a key of 124 digits",
      nested({ config: { ...config, publicKey: given.short_key } }),
      "502 METADATA_UNAVAILABLE config.publicKey is no key",
    ],
    [
      "with a key off the curve",
      { ...flat, publicKey: "ab".repeat(64) },
      "502 METADATA_UNAVAILABLE publicKey is no key",
    ],
    [
      "with an endpoint that is not https",
      selfSigned({ endpoint: "http://api.wallet.example" }),
      "502 METADATA_UNAVAILABLE endpoint is not https",
    ],
    [
      "with a query in its endpoint",
      selfSigned({ endpoint: "https://api.wallet.example/?x=" }),
      "502 METADATA_UNAVAILABLE endpoint is not https",
    ],
    [
      "with credentials in its endpoint",
      selfSigned({ endpoint: "https://a@b.example/" }),
      "502 METADATA_UNAVAILABLE endpoint is not https",
    ],
    [
      "with OCIDs as text",
      selfSigned({ settlement: { accepts: ["100"] } }),
      "502 METADATA_UNAVAILABLE config.settlement.accepts[0] must be a number",
    ],
  ];
  for (const [about, json, expected] of rows) {
    test(`${about}: ${expected}`, () => {
      expect(problem(json)).toBe(expected);
    });
  }

  test("that is flat is refused where a signed configuration is required", () => {
    expect(problem(flat, { ...rules, require_signed_config: true })).toBe(
      "502 METADATA_UNAVAILABLE config is not signed",
    );
  });

  test("says whether its settlement is covered by the signature", () => {
    const signed = [nested(), nested({}, "V6s"), flat].map(
      (json) => accepted(readMetadata(json, rules)).settlement_signed,
    );
    expect(signed).toEqual([true, false, false]);
  });

  const identity: NetworkIdentity = {
    name: "Shop",
    description: "Coffee",
    icon: null,
    contact: null,
    endpoint: "https://shop.example/opencharge",
    capabilities: ["orders.create", "transfer.webhook"],
    settlement: { currencies: ["USD", "USDT"], accepts: [500] },
    previous: null,
  };
  const now = 1_800_000_000_000;

  test("of ours is nested and signed, with its fields once more at the top", () => {
    const document = metadataDocument(identity, signer, now);
    const own = accepted(readMetadata(document, { ...rules, require_signed_config: true }));
    expect(own).toMatchObject({ shape: "nested", dialect: "recursive", endpoint: identity.endpoint, public_key });
    const { config, ...top } = document;
    if (!isJsonObject(config)) throw new Error("config is an object");
    expect(top).toMatchObject(config);
    expect(top).toMatchObject({ opencharge: "0.1", profile: "Coffee", description: "Coffee", kyc: [] });
    expect(isSignedBy(spell(config as Fields, "recursive"), String(document.signature), public_key)).toBe(true);
    expect(canonicalIn("top_level", config)).toBe(canonicalIn("recursive", config));
    const as_flat = { ...document };
    delete (as_flat as Record<string, unknown>).config;
    expect(accepted(readMetadata(as_flat, rules))).toMatchObject({ shape: "flat", public_key });
  });

  test("of ours names the key it replaced for four days", () => {
    const old = publicKeyOf(newSecret());
    const rotated_at = now / 1000;
    const at = (later_s: number) =>
      metadataDocument({ ...identity, previous: { public_key: old, rotated_at } }, signer, now + later_s * 1000);
    expect(at(4 * 24 * 3600)).toMatchObject({ previousKey: old, keyRotatedAt: rotated_at });
    expect(accepted(readMetadata(at(60), rules)).previous).toEqual({ public_key: old, rotated_at });
    expect(at(4 * 24 * 3600 + 1).previousKey).toBeUndefined();
  });

  test("an old key signs requests for ten minutes more, and objects made before the change", () => {
    const previous = { public_key: "old", rotated_at: 1000 };
    const metadata = { ...accepted(readMetadata(nested(), rules)), public_key: "new", previous } satisfies Metadata;
    expect(keysForRequest(metadata, 1600_000)).toEqual(["new", "old"]);
    expect(keysForRequest(metadata, 1600_001)).toEqual(["new"]);
    expect(keysForObject(metadata, 1000)).toEqual(["new", "old"]);
    expect(keysForObject(metadata, 1001)).toEqual(["new"]);
    expect(keysForRequest({ ...metadata, previous: null }, 0)).toEqual(["new"]);
  });
});

describe("bodies", () => {
  const without = (object: Fields, key: string) =>
    Object.fromEntries(Object.entries(object).filter(([other]) => other !== key));
  const urls = { success: "https://m.example/ok", cancel: "https://m.example/no" };
  const checkout: Fields = { order: given.checkoutOrder, signature: "s", merchantOcid: 500, urls };
  const webhook: Fields = { proof: given.webhookProof, signature: "s" };
  const payment: Fields = { to: 500, amount: "15.00", currency: "USD" };
  const R = "400 INVALID_REQUEST";
  const P = "400 INVALID_PROOF";
  const amount_rule = "must be a positive decimal as text, as in 15.00";
  const currency_rule = "must be 2 to 10 capital letters or digits";

  const order = given.orderRequest;
  const orderRows: [about: string, body: JsonValue, expected: string][] = [
    ["as in the example", order, "accepted"],
    ["without anything optional", { id: "o", ocid: 500, amount: "1", currency: "USD" }, "accepted"],
    ["with null for what is optional", { ...order, reference: null, memo: null, expiresAt: null }, "accepted"],
    ["without amount and id, priced by its items", without(without(order, "amount"), "id"), "accepted"],
    ["with fields nobody knows", { ...order, tip: "1.00" }, "accepted"],
    ["with half a kilo", { ...order, items: [{ id: "i", name: "n", quantity: 0.5, price: "0.00" }] }, "accepted"],
    ["in a stablecoin", { ...order, currency: "USDT" }, "accepted"],
    ["that is a list", [order] as JsonValue, `${R} : must be an object`],
    [
      "without an amount or items",
      { id: "o", ocid: 500, currency: "USD", items: [] },
      `${R} amount: is required without items`,
    ],
    ["without a merchant", without(order, "ocid"), `${R} ocid: is required`],
    ["with the merchant as text", { ...order, ocid: "500" }, `${R} ocid: must be a number`],
    ["with half a merchant", { ...order, ocid: 1.5 }, `${R} ocid: must be a whole number`],
    ["with an amount as a number", { ...order, amount: 15 }, `${R} amount: must be a string`],
    ["with an amount of zero", { ...order, amount: "0.00" }, `${R} amount: ${amount_rule}`],
    ["with a negative amount", { ...order, amount: "-1.00" }, `${R} amount: ${amount_rule}`],
    ["with an exponent", { ...order, amount: "1e3" }, `${R} amount: ${amount_rule}`],
    ["with a currency in small letters", { ...order, currency: "usd" }, `${R} currency: ${currency_rule}`],
    [
      "with a slash in its id",
      { ...order, id: "a/b" },
      `${R} id: must be 1 to 64 letters, digits, dots, colons, _ or -, and not . or ..`,
    ],
    [
      "with a price as a number",
      { ...order, items: [{ id: "i", name: "n", quantity: 1, price: 5 }] },
      `${R} items[0].price: must be a string`,
    ],
    [
      "with an item without a name",
      { ...order, items: [{ id: "i", quantity: 1, price: "5" }] },
      `${R} items[0].name: is required`,
    ],
    [
      "with two faults",
      { ...order, ocid: null, currency: 7 },
      `${R} ocid: must be a number, currency: must be a string`,
    ],
  ];
  for (const [about, body, expected] of orderRows) {
    test(`an order to create ${about}: ${expected}`, () => {
      expect(verdict(readOrderCreate(body))).toBe(expected);
    });
  }

  test("out of bounds are refused field by field", () => {
    const item = { id: "i", name: "n", quantity: 1, price: "1" };
    const changes: Fields[] = [
      { ocid: 0 },
      { ocid: 2 ** 53 },
      { expiresAt: 1706400000_000 },
      { expiresAt: 0 },
      { memo: "m".repeat(2001) },
      { items: [{ ...item, quantity: 0 }] },
      { items: [{ ...item, quantity: -1 }] },
      { items: [{ ...item, quantity: 1e-7 }] },
      { items: Array.from({ length: 501 }, () => item) },
    ];
    for (const change of changes) {
      const refusal = readOrderCreate({ ...order, ...change });
      expect(verdict(refusal)).toStartWith(`${R} ${Object.keys(change)[0]}`);
    }
  });

  test("never say the value that was wrong, nor more than twenty faults", () => {
    const items = Array.from({ length: 30 }, () => ({ id: "i", name: 7, quantity: 1, price: "secret-price" }));
    const refusal = readOrderCreate({ ...order, items });
    expect(JSON.stringify(refusal)).not.toInclude("secret-price");
    expect(isRefusal(refusal) && Array.isArray(refusal.details?.issues) && refusal.details.issues.length).toBe(20);
  });

  test("an order to create is read with its times in seconds", () => {
    expect(accepted(readOrderCreate(order))).toEqual({
      id: "ord_abc123",
      ocid: 500,
      amount: "15.00",
      currency: "USD",
      reference: "store-42",
      items: [
        { id: "item_001", name: "Large Coffee", quantity: 2, price: "5.00" },
        { id: "item_002", name: "Croissant", quantity: 1, price: "5.00" },
      ],
      memo: "Table 5",
      expires_at: 1706400000,
    });
  });

  const checkoutRows: [about: string, body: JsonValue, expected: string][] = [
    ["as in the example", checkout, "accepted"],
    [
      "with the urls of the other style",
      { ...checkout, urls: { completed: "https://a.example", cancelled: "https://b.example" } },
      "accepted",
    ],
    ["with no url at all", { ...checkout, urls: {} }, "accepted"],
    ["without urls", without(checkout, "urls"), `${R} urls: is required`],
    [
      "for another merchant than the order's",
      { ...checkout, merchantOcid: 501 },
      `${R} merchantOcid: is not the merchant of the order`,
    ],
    ["without an order", without(checkout, "order"), `${R} order: is required`],
    [
      "with an order without its time",
      { ...checkout, order: without(given.checkoutOrder, "createdAt") },
      `${R} order.createdAt: is required`,
    ],
    ["without a signature", without(checkout, "signature"), `${R} signature: is required`],
  ];
  for (const [about, body, expected] of checkoutRows) {
    test(`a checkout ${about}: ${expected}`, () => {
      expect(verdict(readCheckoutCreate(body))).toBe(expected);
    });
  }

  test("a checkout keeps the order as it came, with what nobody knows and in its order", () => {
    const strange = { zeta: 1, ...given.checkoutOrder, alpha: { b: 1, a: 2 } };
    const read = accepted(readCheckoutCreate(parseStrictJson(JSON.stringify({ ...checkout, order: strange }))));
    expect(JSON.stringify(read.object)).toBe(JSON.stringify(strange));
    expect(read).toMatchObject({ merchant_ocid: 500, order: { id: "ord_abc123", created_at: 1706313600 } });
    expect(read.urls).toEqual({ completed: urls.success, cancelled: urls.cancel, order: [] });
  });

  test("each endpoint prefers its own names for the return urls", () => {
    const both = { success: "https://s.example", completed: "https://c.example", cancelled: "https://x.example" };
    expect(accepted(readCheckoutCreate({ ...checkout, urls: both })).urls.completed).toBe("https://s.example");
    expect(accepted(readOrdersCheckout({ ...checkout, urls: both })).urls.completed).toBe("https://c.example");
    expect(verdict(readOrdersCheckout({ ...checkout, urls: { completed: "https://c.example" } }))).toBe(
      `${R} urls.cancelled: is required`,
    );
  });

  const envelopeRows: [about: string, body: JsonValue, expected: string][] = [
    ["as in the example", webhook, "accepted"],
    [
      "from a payer without an identity",
      { ...webhook, proof: { ...given.webhookProof, from: { ocid: 0 } } },
      "accepted",
    ],
    [
      "to nobody",
      { ...webhook, proof: { ...given.webhookProof, to: { ocid: 0 } } },
      `${P} proof.to.ocid: Too small: expected number to be >=1`,
    ],
    [
      "with bare numbers for its parties",
      { ...webhook, proof: { ...given.webhookProof, from: 200, to: 300 } },
      `${P} proof.from: must be an object, proof.to: must be an object`,
    ],
    [
      "without a transaction",
      { ...webhook, proof: without(given.webhookProof, "txid") },
      `${P} proof.txid: is required`,
    ],
    ["without a signature", without(webhook, "signature"), `${P} signature: is required`],
    ["that is no object", "proof", `${P} : must be an object`],
  ];
  for (const [about, body, expected] of envelopeRows) {
    test(`a proof ${about}: ${expected}`, () => {
      expect(verdict(readEnvelope(body))).toBe(expected);
    });
  }

  const settleRows: [about: string, body: JsonValue, expected: string][] = [
    ["whole", { txid: "t", ...webhook }, "accepted"],
    ["without our transaction", webhook, `${R} txid: is required`],
    ["with a broken proof", { txid: "t", ...webhook, proof: {} }, P],
    ["with both at fault", { proof: 1, signature: "s" }, `${R} txid: is required, proof: must be an object`],
  ];
  for (const [about, body, expected] of settleRows) {
    test(`a settlement ${about}: ${expected}`, () => {
      expect(verdict(readPaymentSettle(body))).toStartWith(expected);
    });
  }

  test("a payment to create is read, with or without its order", () => {
    expect(accepted(readPaymentCreate(payment))).toEqual({
      to: 500,
      amount: "15.00",
      currency: "USD",
      reference: null,
      memo: null,
      expires_at: null,
      order: null,
    });
    const with_order = accepted(readPaymentCreate({ ...payment, order: { id: "o", urls: null } }));
    expect(with_order.order).toEqual({ id: "o", urls: [] });
    expect(verdict(readPaymentCreate({ ...payment, order: { urls: [] } }))).toBe(`${R} order.id: is required`);
  });

  const urlRows: [url: string, plain: "yes" | "no", local: "yes" | "no"][] = [
    ["https://m.example/ok?x=1#top", "yes", "yes"],
    ["https://m.example", "yes", "yes"],
    ["http://m.example/ok", "no", "no"],
    ["http://127.0.0.1:3000/ok", "no", "yes"],
    ["http://localhost/ok", "no", "yes"],
    ["http://localhost.evil.example/ok", "no", "no"],
    ["https://m.example@evil.example/", "no", "no"],
    ["https:/m.example", "no", "no"],
    ["https://m.example\\@evil.example", "no", "no"],
    ["javascript:alert(1)", "no", "no"],
    ["data:text/html,x", "no", "no"],
    [" https://m.example", "no", "no"],
    ["//m.example", "no", "no"],
  ];
  for (const [url, plain, local] of urlRows) {
    test(`a payer may be sent to ${url}: ${plain}, on a test machine ${local}`, () => {
      const judge = (allow_local_http: boolean) =>
        checkReturnUrls({ completed: url, cancelled: null, order: [] }, { allow_local_http }) === null ? "yes" : "no";
      expect([judge(false), judge(true)]).toEqual([plain, local]);
    });
  }

  test("return urls at fault are named", () => {
    const refusal = checkReturnUrls({ completed: "x", cancelled: "ftp://x", order: [] }, { allow_local_http: false });
    expect(verdict(refusal)).toBe(
      `${R} urls.completed: must be a https address, urls.cancelled: must be a https address`,
    );
  });
});

describe("the audience", () => {
  const ours = new Set([500, 300]);
  const { accepts } = accepted(
    readCheckoutCreate({ order: given.checkoutOrder, signature: "s", merchantOcid: 500, urls: {} }),
  ).order;
  if (accepts === null) throw new Error("the order names nobody");
  const proof = accepted(readEnvelope({ proof: given.webhookProof, signature: "s" })).proof;

  const rows: [about: string, act: () => unknown, expected: string][] = [
    ["an order for our merchant", () => checkMerchant("ocid", 500, ours), "accepted"],
    [
      "an order for another",
      () => checkMerchant("ocid", 501, ours),
      "400 INVALID_REQUEST ocid: is not a merchant here",
    ],
    ["a payment to another", () => checkMerchant("to", 501, ours), "400 INVALID_REQUEST to: is not a merchant here"],
    ["a checkout that trusts our gateway", () => checkAccepts(accepts, new Set([101]), null), "accepted"],
    ["a checkout that trusts its caller", () => checkAccepts(accepts, ours, 102), "accepted"],
    ["a checkout that trusts neither", () => checkAccepts(accepts, ours, 103), "400 SETTLEMENT_NOT_SUPPORTED"],
    ["a checkout whose caller does not count", () => checkAccepts(accepts, ours, null), "400 SETTLEMENT_NOT_SUPPORTED"],
    ["an order that trusts nobody", () => checkAccepts([], ours, null), "400 SETTLEMENT_NOT_SUPPORTED"],
    ["a proof that pays us", () => checkRecipient(proof, ours), "accepted"],
    [
      "a proof that pays another",
      () => checkRecipient(proof, new Set([300])),
      "400 INVALID_PROOF proof.to.ocid: is not ours",
    ],
  ];
  for (const [about, act, expected] of rows) {
    test(`${about}: ${expected}`, () => {
      expect(verdict(act())).toBe(expected);
    });
  }
});

describe("errors", () => {
  const statuses =
    "INVALID_SIGNATURE 401/400, TIMESTAMP_EXPIRED 401, NONCE_REUSED 401, UNKNOWN_OCID 401, METADATA_UNAVAILABLE 502, INVALID_PROOF 400, PROOF_SIGNATURE_INVALID 400, ISSUER_NOT_ACCEPTED 400, AMOUNT_MISMATCH 400, CURRENCY_MISMATCH 400, TXID_NOT_FOUND 404, TRANSACTION_EXPIRED 410, INSUFFICIENT_FUNDS 402, CAPABILITY_NOT_SUPPORTED 400, RATE_LIMITED 429, CONNECTION_REFUSED 403, ORDER_NOT_FOUND 404/400, ORDER_EXPIRED 410/400, SESSION_NOT_FOUND 404, SESSION_EXPIRED 404, SESSION_USED 410, ACCOUNT_NOT_FOUND 400, MERCHANT_NOT_REGISTERED 401/400, PAYMENT_NOT_FOUND 404, PAYMENT_EXPIRED 400, SETTLEMENT_NOT_SUPPORTED 400, INVALID_STATE 400, UNAUTHORIZED 401/403, INVALID_ITEM 400, INSUFFICIENT_STOCK 400, VERIFICATION_ERROR 500, USER_NOT_FOUND 404, GRANT_NOT_AUTHORIZED 403, INVALID_CALLBACK_URL 400, INVALID_REQUEST 400, ORDER_CONFLICT 409, INTERNAL_ERROR 500";

  test("are this closed list, each with its status, and another where a body carried the fault", () => {
    const listed = networkCodes.map((code) => {
      const [own, submitted] = [networkRefusal(code).status, refuseSubmitted(code).status];
      return `${code} ${own === submitted ? own : `${own}/${submitted}`}`;
    });
    expect(listed.join(", ")).toBe(statuses);
  });

  test("travel in one envelope, with details only where there are some", () => {
    expect(errorEnvelope(networkRefusal("NONCE_REUSED"))).toEqual({
      error: { code: "NONCE_REUSED", message: "the nonce was used before" },
    });
    const details = { providedIssuer: 7, acceptedIssuers: [100] };
    expect(errorEnvelope(networkRefusal("ISSUER_NOT_ACCEPTED", { message: "no", details }))).toEqual({
      error: { code: "ISSUER_NOT_ACCEPTED", message: "no", details },
    });
  });

  test("of others are read with whatever code they carry", () => {
    expect(readErrorEnvelope({ error: { code: "TEAPOT", message: "short" } })).toEqual({
      code: "TEAPOT",
      message: "short",
    });
    expect(readErrorEnvelope({ error: { code: "TEAPOT" } })).toEqual({ code: "TEAPOT", message: "" });
    for (const json of [null, [], {}, { error: "x" }, { error: { code: 1 } }])
      expect(readErrorEnvelope(json)).toBeNull();
  });
});

describe("answers", () => {
  const signed = { object: given.webhookProof as JsonObject, signature: "s" };
  const pending = { txid: "t", amount: "1.00", currency: "USD", created_at: 1, expires_at: 2 };

  test("have the fields and the mixed spelling of the protocol", () => {
    const urls = { completed: "https://c", cancelled: null, order: ["https://o"] };
    expect(answers.signedOrderAnswer({ object: given.flatOrder, signature: "s" }, urls)).toEqual({
      order: given.flatOrder,
      signature: "s",
      urls: { order: ["https://o"], completed: "https://c" },
    });
    expect(answers.checkoutAnswer({ url: "https://x", id: "sess", expires_at: 5 })).toEqual({
      checkout_url: "https://x",
      session_id: "sess",
      expires_at: 5,
    });
    expect(answers.redirectAnswer("https://x")).toEqual({ redirect_url: "https://x" });
    expect(answers.orderStatusAnswer("o", "pending", null)).toEqual({ orderId: "o", status: "pending" });
    expect(answers.orderStatusAnswer("o", "paid", { at: 9, txid: "t" })).toEqual({
      orderId: "o",
      status: "paid",
      paidAt: 9,
      txid: "t",
    });
    expect(answers.webhookAnswer("accepted", "t")).toEqual({ status: "accepted", txid: "t" });
    expect(answers.webhookAnswer("rejected", "t", "no")).toEqual({ status: "rejected", txid: "t", message: "no" });
    expect(answers.paymentCreatedAnswer(pending, [100])).toEqual({
      status: "pending_settlement",
      txid: "t",
      amount: "1.00",
      currency: "USD",
      expiresAt: 2,
      settlement: { accepts: [100] },
    });
    expect(answers.paymentSettledAnswer("t", signed)).toEqual({
      status: "completed",
      txid: "t",
      proof: given.webhookProof,
      signature: "s",
    });
    const capabilities = { ocid: 1, name: "n", capabilities: ["a"], settlement: { currencies: ["USD"], accepts: [1] } };
    expect(answers.capabilitiesAnswer(capabilities)).toEqual(capabilities);
  });

  test("to a verification carry the proof when there is one, and are read back", () => {
    const completed = answers.verifyCompletedAnswer(signed);
    expect(completed).toMatchObject({ status: "completed", txid: "gateway_tx_456", amount: "15.00", signature: "s" });
    const read = answers.readVerifyAnswer(completed);
    expect(read !== "without_proof" && accepted(read).object).toEqual(given.webhookProof);
    expect(answers.readVerifyAnswer(answers.verifyPendingAnswer(pending, false))).toBe("without_proof");
    expect(answers.verifyPendingAnswer(pending, true)).toEqual({ status: "expired", txid: "t" });
    expect(verdict(answers.readVerifyAnswer({ status: "completed" }))).toStartWith("400 INVALID_PROOF");
  });

  test("to a proof of ours are read when they say either word", () => {
    const read = answers.readWebhookAnswer;
    expect(read({ status: "accepted", txid: "t" })).toEqual({ status: "accepted", message: null });
    expect(read({ status: "rejected", message: "paid" })).toEqual({ status: "rejected", message: "paid" });
    expect(read({ status: "accepted", message: 7 })).toEqual({ status: "accepted", message: null });
    expect([read({ status: "ok" }), read(null), read([])]).toEqual([null, null, null]);
  });
});
