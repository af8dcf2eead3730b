import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { type Code, errorCode, errorText } from "../../src/domain/errors.ts";
import { eventShape } from "../../src/wire/events.ts";
import { exactText, numberSource, parseJson, readUtf8 } from "../../src/wire/json.ts";
import { adminOrderShape, errorFrame, orderShape, statusFrame } from "../../src/wire/orders.ts";
import { chainCoinShape, paymentDetailShape } from "../../src/wire/payments.ts";
import {
  isWebhookEvent,
  readCancelRequest,
  readCreateOrder,
  readEventsRequest,
  readFindRequest,
  readSelection,
  readStatusRequest,
} from "../../src/wire/requests.ts";
import {
  decodeSignature,
  headerText,
  isFresh,
  parseSignatureHeader,
  signBody,
  verifyBody,
  verifyUrl,
} from "../../src/wire/signature.ts";
import { standardWebhookHeaders } from "../../src/wire/standard-webhooks.ts";
import {
  type AdminTransferInput,
  adminDepositShape,
  adminTransferShape,
  adminWalletShape,
} from "../../src/wire/transfers.ts";
import { originOf, uuidsIn } from "../../src/wire/url-scope.ts";
import { parseUuid, uuid7 } from "../../src/wire/uuid.ts";

const secret = "test-merchant-secret";
const timestamp = "1711900800";
const now = 1_711_900_800_000;
const order_id = "550e8400-e29b-41d4-a716-446655440000";
const other_id = "0190a6f3-2f4e-7c1a-8b2d-0123456789ab";
const bytes = (text: string) => new TextEncoder().encode(text);
const latin1 = (text: string) => Buffer.from(text, "utf8").toString("latin1");

function decoded(encoded: string): Uint8Array {
  const signature = decodeSignature(encoded);
  if (signature === null) throw new Error(`${encoded} is base64`);
  return signature;
}

/** The code of the fault that `act` throws; fails the test when it throws none. */
function faultOf(act: () => unknown): Code {
  try {
    act();
  } catch (error) {
    return errorCode(error);
  }
  throw new Error("nothing was refused");
}

describe("the vectors of the contract", () => {
  const bodies: [body: string, signature: string][] = [
    [`{"order_id":"${order_id}"}`, "Se1P9SVbXX75weHKEUe4xoIW0zn/AVflgIQN9kZto8I="],
    [
      '{"order_id":"your-order-reference-123","amount":"19.99","webhook_url":"https://your-app.example.com/webhooks/ocrch","expecting_wallet_address":null,"blockchain":null,"stablecoin":null}',
      "1U9c/kOlG2a2TyrZEqGIAaxXdNPrzF3YuW0WxWg9Xo4=",
    ],
    [
      `{"event_type":"order_status_changed","order_id":"${order_id}","merchant_order_id":"your-order-123","status":"paid","amount":"19.99","timestamp":1711900800}`,
      "pYHqt5eNatFhyRE7+1CSH0SPlGvb2NJ1Z6PCBAXra3o=",
    ],
  ];
  const url = `https://checkout.example.com/pay?order_id=${order_id}`;
  const url_signature = "1tTp2RD/IDg/xsHZIeQ8RA2ylX/D13z6pMXyoHyi0G0=";

  for (const [body, signature] of bodies) {
    test(`a body is signed and verified: ${body.slice(0, 50)}`, () => {
      expect(signBody(secret, body, now + 999, true)).toBe(`${timestamp}.${signature}`);
      expect(signBody(secret, bytes(body), now, false)).toBe(`${timestamp}.${signature.replace("=", "")}`);
      for (const encoded of [signature, signature.replace("=", "")]) {
        expect(verifyBody(secret, timestamp, bytes(body), decoded(encoded))).toBe(true);
        expect(verifyBody(secret, timestamp, bytes(`${body} `), decoded(encoded))).toBe(false);
        expect(verifyBody("test-merchant-Secret", timestamp, bytes(body), decoded(encoded))).toBe(false);
        expect(verifyBody(secret, "1711900801", bytes(body), decoded(encoded))).toBe(false);
      }
    });
  }

  test("the signature of a URL is verified", () => {
    for (const encoded of [url_signature, url_signature.replace("=", "")]) {
      expect(verifyUrl(secret, url, timestamp, decoded(encoded))).toBe(true);
      expect(verifyUrl(secret, `${url}&`, timestamp, decoded(encoded))).toBe(false);
      expect(verifyUrl(secret, url, "1711900801", decoded(encoded))).toBe(false);
    }
  });

  test("a signature of another length is a mismatch", () => {
    const [body = "", signature = ""] = bodies[0] ?? [];
    const whole = decoded(signature);
    for (const wrong of [new Uint8Array(), whole.slice(0, 31), Uint8Array.of(...whole, 0)]) {
      expect(verifyBody(secret, timestamp, bytes(body), wrong)).toBe(false);
    }
  });

  test("the timestamp counts as the digits that were sent", () => {
    const mac = createHmac("sha256", secret).update(`0${timestamp}.{}`).digest();
    expect(verifyBody(secret, `0${timestamp}`, bytes("{}"), mac)).toBe(true);
    expect(verifyBody(secret, timestamp, bytes("{}"), mac)).toBe(false);
  });

  test("a byte-order mark and bad UTF-8 are part of what is signed", () => {
    for (const body of [Uint8Array.of(0xef, 0xbb, 0xbf, 0x7b, 0x7d), Uint8Array.of(0xff, 0xfe)]) {
      const [, encoded = ""] = signBody(secret, body, now, true).split(".");
      expect(verifyBody(secret, timestamp, body, decoded(encoded))).toBe(true);
      expect(verifyBody(secret, timestamp, bytes("{}"), decoded(encoded))).toBe(false);
    }
  });
});

describe("the signature header", () => {
  const rows: [header: string, timestamp: string | null, encoded?: string][] = [
    ["1711900800.abc=", "1711900800", "abc="],
    ["1711900800.a.b", "1711900800", "a.b"],
    ["1711900800.", "1711900800", ""],
    ["0.QQ==", "0", "QQ=="],
    ["999999999999.QQ==", "999999999999", "QQ=="],
    ["1000000000000.QQ==", null],
    ["", null],
    [".", null],
    [".QQ==", null],
    ["1711900800", null],
    ["1711900800,QQ==", null],
    ["-1711900800.QQ==", null],
    ["+1711900800.QQ==", null],
    [" 1711900800.QQ==", null],
    ["1711900800 .QQ==", null],
    ["1711900800\n.QQ==", null],
    ["1.7e9.QQ==", "1", "7e9.QQ=="],
    ["17e8.QQ==", null],
    ["0x1.QQ==", null],
    ["١٢٣.QQ==", null],
    ["t=1711900800.QQ==", null],
  ];
  for (const [header, timestamp, encoded] of rows) {
    test(`${JSON.stringify(header)} ${timestamp === null ? "is malformed" : `has the timestamp ${timestamp}`}`, () => {
      expect(parseSignatureHeader(header)).toEqual(timestamp === null ? null : { timestamp, encoded: encoded ?? "" });
    });
  }

  const encodings: [encoded: string, hex: string | null][] = [
    ["", ""],
    ["QQ==", "41"],
    ["QQ", "41"],
    ["QUI=", "4142"],
    ["QUI", "4142"],
    ["QUJD", "414243"],
    ["+/+/", "fbffbf"],
    ["-_-_", null],
    ["QUJ_", null],
    ["QUJ-", null],
    ["Q", null],
    ["Q===", null],
    ["QUJDR", null],
    ["QQ=", null],
    ["QUI==", null],
    ["QUJD=", null],
    ["QUJD====", null],
    ["=", null],
    ["====", null],
    ["Q=Q=", null],
    ["=QUI", null],
    ["QQ==QQ==", null],
    ["QR==", null],
    ["QUJ", null],
    [" QUJD", null],
    ["QUJD\n", null],
    ["QU JD", null],
    ["QUJD, QUJD", null],
    ["QUJ.", null],
    ["QUJé", null],
    ["QUJD\0", null],
  ];
  for (const [encoded, hex] of encodings) {
    test(`${JSON.stringify(encoded)} ${hex === null ? "is no signature encoding" : "is base64"}`, () => {
      const found = decodeSignature(encoded);
      expect(found === null ? null : Buffer.from(found).toString("hex")).toBe(hex);
    });
  }

  test("freshness bounds the past and the future alike", () => {
    const window_ms = 300_000;
    const rows: [age_ms: number, fresh: boolean][] = [
      [0, true],
      [300_000, true],
      [300_001, false],
      [-300_000, true],
      [-300_001, false],
    ];
    for (const [age_ms, fresh] of rows) expect(isFresh(timestamp, now + age_ms, window_ms)).toBe(fresh);
    expect(isFresh("0", now, window_ms)).toBe(false);
    expect(isFresh("999999999999", now, window_ms)).toBe(false);
  });

  test("header bytes are read as strict UTF-8", () => {
    expect(headerText("plain")).toBe("plain");
    expect(headerText(latin1("https://shop.example/é€😀"))).toBe("https://shop.example/é€😀");
    expect(headerText(latin1("\uFEFFx"))).toBe("\uFEFFx");
    for (const bad of ["\xff", "\xc3", "\xe2\x82", "\xc0\xaf", "\xed\xa0\x80", "é", "€", "😀"]) {
      expect(headerText(bad)).toBeNull();
    }
  });
});

describe("Standard Webhooks", () => {
  /** The specification's verification, from `whsec_` and base64 on, written without our code. */
  function isVerified(whsec: string, headers: Record<string, string>, body: string): boolean {
    const key = Buffer.from(whsec.slice("whsec_".length), "base64");
    const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
    const expected = new Bun.CryptoHasher("sha256", key).update(signed).digest("base64");
    const list = (headers["webhook-signature"] ?? "").split(" ").map((entry) => entry.split(","));
    return list.some(([version, signature]) => version === "v1" && signature === expected);
  }
  const whsec = (text: string) => `whsec_${Buffer.from(text, "utf8").toString("base64")}`;
  const body = '{"status":"paid","merchant_order_id":"é"}';

  test("a library that was given the secret's bytes verifies a delivery", () => {
    const headers = standardWebhookHeaders(["geheimer schlüssel"], "evt_7", body, now + 999);
    expect(Object.keys(headers)).toEqual(["webhook-id", "webhook-timestamp", "webhook-signature"]);
    expect(headers["webhook-timestamp"]).toBe(timestamp);
    expect(isVerified(whsec("geheimer schlüssel"), headers, body)).toBe(true);
    expect(isVerified(whsec("geheimer schlussel"), headers, body)).toBe(false);
    expect(isVerified(whsec("geheimer schlüssel"), headers, `${body} `)).toBe(false);
    expect(isVerified(whsec("geheimer schlüssel"), { ...headers, "webhook-id": "evt_8" }, body)).toBe(false);
  });

  test("while a secret is replaced, the old and the new one both verify", () => {
    const headers = standardWebhookHeaders(["new", "old"], "evt_7", body, now);
    expect(headers["webhook-signature"]).toMatch(/^v1,\S{44} v1,\S{44}$/);
    for (const [text, verified] of [
      ["new", true],
      ["old", true],
      ["older", false],
    ] as const) {
      expect(isVerified(whsec(text), headers, body)).toBe(verified);
    }
  });

  test("the verification used here accepts the example of the specification", () => {
    const headers = {
      "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
      "webhook-timestamp": "1614265330",
      "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    };
    expect(isVerified("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", headers, '{"test": 2432232314}')).toBe(true);
    expect(isVerified("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", headers, '{"test":2432232314}')).toBe(false);
  });
});

describe("JSON", () => {
  test("bytes are read as strict UTF-8, a byte-order mark stays", () => {
    expect(readUtf8(bytes("é€😀"))).toBe("é€😀");
    expect(readUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x7b, 0x7d))).toBe("\uFEFF{}");
    const bad = [[0xff], [0xc3], [0xe2, 0x82], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80]];
    for (const bytes of bad) expect(readUtf8(Uint8Array.from(bytes))).toBeNull();
  });

  const refused: [name: string, text: string][] = [
    ["nothing", ""],
    ["spaces", "  "],
    ["a byte-order mark", "\uFEFF{}"],
    ["a comma at the end", '{"a":1,}'],
    ["single quotes", "{'a':1}"],
    ["a bare key", "{a:1}"],
    ["a comment", "{}//"],
    ["two values", "{}{}"],
    ["an open object", '{"a":1'],
    ["an open string", '"a'],
    ["a raw line end in a string", '"a\nb"'],
    ["a leading zero", "01"],
    ["a dot without digits", "1."],
    ["a leading dot", ".5"],
    ["a plus", "+1"],
    ["hex", "0x10"],
    ["NaN", "NaN"],
    ["Infinity", "Infinity"],
    ["undefined", "undefined"],
    ["a no-break space", "\u00a0{}"],
    ["a bad escape", '"\\x41"'],
    ["65 arrays", "[".repeat(65) + "]".repeat(65)],
    ["65 objects", `${'{"a":'.repeat(65)}1${"}".repeat(65)}`],
    ["a million open arrays", "[".repeat(1_000_000)],
    ["a million open objects", '{"a":'.repeat(200_000)],
  ];
  for (const [name, text] of refused) {
    test(`${name} is no JSON of ours`, () => {
      expect(faultOf(() => parseJson(text))).toBe("invalid_json_body");
    });
  }

  test("depth counts brackets outside strings only, and only open ones", () => {
    expect(parseJson("[".repeat(64) + "]".repeat(64))).toBeArray();
    expect(parseJson(`"${"[".repeat(1000)}"`)).toBe("[".repeat(1000));
    expect(parseJson(`["\\"${"{".repeat(100)}","\\\\",[]]`)).toEqual([`"${"{".repeat(100)}`, "\\", []]);
    expect(parseJson(`[${"[],".repeat(1000)}{}]`)).toHaveLength(1001);
    expect(faultOf(() => parseJson(`["\\\\",${"[".repeat(64)}${"]".repeat(64)}]`))).toBe("invalid_json_body");
  });

  test("numbers keep the text they were written in", () => {
    for (const text of ["19.90", "0", "-0.0", "1e3", "1E+3", "123456789012345678901234567890.10"]) {
      expect(numberSource(parseJson(text))).toBe(text);
    }
    for (const text of ['"19.90"', "null", "true", "{}", "[]", '{"number":"19.90"}', "[19.90]"]) {
      expect(numberSource(parseJson(text))).toBeNull();
    }
    expect(numberSource(19.9)).toBeNull();
  });

  test("what was read is written again, numbers and all, without spaces", () => {
    const rows: [read: string, written: string][] = [
      ['{ "a" : [ 19.90, 1e400, -0.0, 12345678901234567890 ] }', '{"a":[19.90,1e400,-0.0,12345678901234567890]}'],
      [
        '{"rawJSON":"1","__proto__":{"x":null},"\\ud800":"\\u0000é"}',
        '{"rawJSON":"1","__proto__":{"x":null},"\\ud800":"\\u0000é"}',
      ],
    ];
    for (const [read, written] of rows) expect(exactText(parseJson(read))).toBe(written);
  });

  test("of two equal keys the last one wins", () => {
    expect(parseJson('{"a":"1","a":"2"}')).toEqual({ a: "2" });
    const twice = parseJson('{"a":19.9,"b":1,"a":19.90}') as Record<string, unknown>;
    expect(numberSource(twice.a)).toBe("19.90");
  });
});

describe("creating an order", () => {
  const evm = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
  const tron = "TJCnKsPa7y5okkXvQAidZBzqx3QyQ6sxMW";
  const sound = { order_id: "your-order-reference-123", amount: "19.99", webhook_url: "https://shop.example/hook" };
  const read = (fields: Record<string, unknown>) => readCreateOrder(parseJson(JSON.stringify(fields)));
  const raw = (amount: string) =>
    readCreateOrder(parseJson(`{"order_id":"a","webhook_url":"http://a","amount":${amount}}`));

  test("the least request: what is missing is null", () => {
    expect(read(sound)).toEqual({
      merchant_order_id: "your-order-reference-123",
      amount: "19.99",
      webhook_url: "https://shop.example/hook",
      sender: null,
      chain: null,
      coin: null,
      options: { lifetime_s: null, metadata: null, success_url: null, cancel_url: null },
    });
    const nulls = {
      ...{ expecting_wallet_address: null, blockchain: null, stablecoin: null, unknown: [{}] },
      ...{ lifetime: null, metadata: null, success_url: null, cancel_url: null },
    };
    expect(read({ ...sound, ...nulls })).toEqual(read(sound));
  });

  test("everything chosen; the sender comes out canonical", () => {
    const wish = { expecting_wallet_address: evm.toLowerCase(), blockchain: "avaxc", stablecoin: "DAI" };
    expect(read({ ...sound, ...wish })).toMatchObject({ sender: evm, chain: "avaxc", coin: "DAI" });
  });

  test("every option; addresses as written, metadata with its numbers as written", () => {
    const body = `{"order_id":"a","amount":"1","webhook_url":"http://a","lifetime":2592000,"metadata":{ "price": 19.90, "of": [1e3, null, {"é": ""}] },"success_url":"HTTPS://Shop.Example/Danke?x=1#y","cancel_url":"http://127.0.0.1:3000/"}`;
    expect(readCreateOrder(parseJson(body)).options).toEqual({
      lifetime_s: 2_592_000,
      metadata: '{"price":19.90,"of":[1e3,null,{"é":""}]}',
      success_url: "HTTPS://Shop.Example/Danke?x=1#y",
      cancel_url: "http://127.0.0.1:3000/",
    });
    const full = { x: "x".repeat(4096 - 8) };
    expect(read({ ...sound, metadata: full }).options.metadata).toBe(JSON.stringify(full));
    expect(read({ ...sound, metadata: {}, lifetime: 1 }).options).toMatchObject({ metadata: "{}", lifetime_s: 1 });
    expect(read({ ...sound, cancel_url: `http://a/${"x".repeat(2048 - 9)}` }).options.cancel_url).toHaveLength(2048);
  });

  const options: [name: string, values: string[]][] = [
    [
      "lifetime",
      ["0", "-1", "2592001", "1.0", "1e3", "60.5", '"60"', '"60m"', "true", "[]", "{}", "9999999999999999", '""'],
    ],
    [
      "metadata",
      [
        ...["[]", '"{}"', "1", "true", '""', `{"x":"${"x".repeat(4097 - 8)}"}`, `{"x":"${"é".repeat(2045)}"}`],
        `{"x":"${"\\u0001".repeat(700)}"}`,
      ],
    ],
    ...["success_url", "cancel_url"].map((name): [string, string[]] => [
      name,
      [
        ...['""', '"/thanks"', '"shop.example"', '"javascript:alert(1)"', '"ftp://a/"', '"https://a b/"', "1", "{}"],
        ...['"https://"', '"data:text/html,x"', '"https://a/\\ud800"', `"http://a/${"x".repeat(2048 - 8)}"`],
      ],
    ]),
  ];
  for (const [name, values] of options) {
    for (const value of values) {
      test(`${name} ${value.slice(0, 40)} is an invalid ${name}`, () => {
        const act = () =>
          readCreateOrder(parseJson(`{"order_id":"a","amount":"1","webhook_url":"http://a","${name}":${value}}`));
        expect(faultOf(act)).toBe("invalid_request");
        expect(act).toThrow(new RegExp(`^invalid ${name}$`));
      });
    }
  }

  test("the first thing that is wrong is named: types, amount, webhook, options, sender", () => {
    const wrong = { amount: "0", webhook_url: "x", lifetime: "60m", metadata: [], cancel_url: "x", success_url: "" };
    const all = { ...sound, ...wrong, expecting_wallet_address: "nobody", stablecoin: "EURC" };
    const told = (fields: Record<string, unknown>) => {
      try {
        read(fields);
      } catch (error) {
        return errorText(error).split(":", 1)[0];
      }
      return "nothing";
    };
    const cures: [words: string, cure: Record<string, unknown>][] = [
      ["invalid JSON body", { stablecoin: "DAI" }],
      ["invalid amount", { amount: "1" }],
      ["invalid webhook_url", { webhook_url: "https://a/" }],
      ["invalid lifetime", { lifetime: 60 }],
      ["invalid metadata", { metadata: {} }],
      ["invalid success_url", { success_url: "https://a/" }],
      ["invalid cancel_url", { cancel_url: null }],
      ["invalid expecting_wallet_address", { expecting_wallet_address: null }],
    ];
    let fields: Record<string, unknown> = all;
    for (const [words, cure] of cures) {
      expect(told(fields)).toBe(words);
      fields = { ...fields, ...cure };
    }
    expect(told(fields)).toBe("nothing");
  });

  test("the merchant's own id is opaque", () => {
    for (const order_id of ["", " ", "\0", "é😀", "a".repeat(1024), "é".repeat(512), "__proto__", '"\\/']) {
      expect(read({ ...sound, order_id }).merchant_order_id).toBe(order_id);
    }
  });

  const shape: [name: string, text: string][] = [
    ["null", "null"],
    ["an array", "[]"],
    ["a string", '"a"'],
    ["a number", "1"],
    ["an empty object", "{}"],
  ];
  for (const [name, text] of shape) {
    test(`${name} is no creation`, () => {
      expect(faultOf(() => readCreateOrder(parseJson(text)))).toBe("invalid_json_body");
    });
  }

  const typed: [name: string, fields: Record<string, unknown>][] = [
    ["no order_id", { ...sound, order_id: undefined }],
    ["a null order_id", { ...sound, order_id: null }],
    ["a number as order_id", { ...sound, order_id: 7 }],
    ["an order_id of 1,025 bytes", { ...sound, order_id: "a".repeat(1025) }],
    ["an order_id of 513 two-byte letters", { ...sound, order_id: "é".repeat(513) }],
    ["half a surrogate pair in order_id", { ...sound, order_id: "a\ud800" }],
    ["half a surrogate pair in webhook_url", { ...sound, webhook_url: "https://a/\udc00" }],
    ["no amount", { ...sound, amount: undefined }],
    ["a null amount", { ...sound, amount: null }],
    ["true as amount", { ...sound, amount: true }],
    ["an object as amount", { ...sound, amount: { number: "19.99" } }],
    ["an array as amount", { ...sound, amount: ["19.99"] }],
    ["no webhook_url", { ...sound, webhook_url: undefined }],
    ["a null webhook_url", { ...sound, webhook_url: null }],
    ["a number as webhook_url", { ...sound, webhook_url: 1 }],
    ["a number as sender", { ...sound, expecting_wallet_address: 1 }],
    ["an unknown blockchain", { ...sound, blockchain: "bitcoin" }],
    ["a blockchain in capitals", { ...sound, blockchain: "ETH" }],
    ["an empty blockchain", { ...sound, blockchain: "" }],
    ["a name every object knows as blockchain", { ...sound, blockchain: "constructor" }],
    ["a number as blockchain", { ...sound, blockchain: 1 }],
    ["an unknown stablecoin", { ...sound, stablecoin: "EURC" }],
    ["a stablecoin in small letters", { ...sound, stablecoin: "usdt" }],
    ["false as stablecoin", { ...sound, stablecoin: false }],
    ["a bad type beside a bad amount", { ...sound, amount: "x", stablecoin: 1 }],
  ];
  for (const [name, fields] of typed) {
    test(`${name} is an invalid body`, () => {
      expect(faultOf(() => read(fields))).toBe("invalid_json_body");
    });
  }

  test("amounts as strings and as number literals keep their scale", () => {
    const amounts = ["19.90", "19.99", "1", "0.000000000000000001", "999999999999999999.999999999999999999", "007"];
    for (const amount of amounts) expect(raw(`"${amount}"`).amount).toBe(amount);
    for (const amount of amounts.slice(0, -1)) expect(raw(amount).amount).toBe(amount);
    expect(raw('"1","amount":19.90').amount).toBe("19.90");
  });

  const amounts = [
    ...['""', '"0"', '"0.00"', '"-1"', '"+1"', '"1."', '".5"', '"1e2"', '"0x10"', '" 1"', '"1 "', '"1\\n"', '"1,5"'],
    ...['"1_000"', '"NaN"', '"Infinity"', '"١"', '"1234567890123456789"', '"1.1234567890123456789"', '"1.2.3"'],
    ...["0", "0.0", "-1", "-0", "1e2", "1E2", "1e-2", "1234567890123456789", "1.1234567890123456789", "1e400"],
  ];
  for (const amount of amounts) {
    test(`${amount} is an invalid amount`, () => {
      expect(faultOf(() => raw(amount))).toBe("invalid_amount");
    });
  }

  test("a webhook URL is kept as written", () => {
    const long = `https://a.example/${"x".repeat(2048 - 18)}`;
    for (const webhook_url of [
      ...[
        "http://a",
        "HTTPS://Shop.Example:443/Hook?a=b#c",
        "https://user:pa%20ss@shop.example/",
        "http://[2001:db8::1]/",
      ],
      ...["https://bücher.example/ü", "http://127.0.0.1:8080/", long],
    ]) {
      expect(read({ ...sound, webhook_url }).webhook_url).toBe(webhook_url);
    }
  });

  const urls = [
    ...["", "shop.example/hook", "//shop.example", "/hook", "ftp://shop.example", "file:///etc/passwd", "javascript:1"],
    ...[
      "data:text/plain,x",
      "http:shop.example",
      "http:/shop.example",
      "http://",
      "http:///shop.example",
      "https://?x",
    ],
    ...["https:\\\\shop.example", " https://shop.example", "https://shop.example ", "https://shop.example/a b"],
    ...["https://shop.example/\r\nX-A: b", "https://shop\t.example", "https://shop.example/\0", "https://a:99999/"],
    ...["https://[::1/", "https://1.2.3.4.5/", "https://a%00b/", "ws://shop.example"],
    `https://a.example/${"x".repeat(2048 - 17)}`,
    `https://a.example/${"é".repeat(1016)}`,
  ];
  for (const webhook_url of urls) {
    test(`${JSON.stringify(webhook_url).slice(0, 60)} is an invalid webhook_url`, () => {
      const act = () => read({ ...sound, webhook_url });
      expect(faultOf(act)).toBe("invalid_webhook_url");
      expect(act).toThrow(/^invalid webhook_url: /);
    });
  }

  const senders: [claimed: string, chain: string | null, outcome: string][] = [
    [evm, null, evm],
    [evm.toLowerCase(), "eth", evm],
    [`0x${evm.slice(2).toUpperCase()}`, "polygon", evm],
    [tron, null, tron],
    [tron, "tron", tron],
    [evm.replace("a", "A"), null, "it fails its checksum"],
    [evm.replace("a", "A"), "eth", "it fails its checksum"],
    [evm, "tron", "it is no address on tron"],
    [tron, "eth", "it is no address on eth"],
    [tron.replace("J", "K"), "tron", "it is no address on tron"],
    [tron.toLowerCase(), null, "it is no address on any chain"],
    ["", null, "it is no address on any chain"],
    [` ${evm}`, null, "it is no address on any chain"],
    [evm.slice(0, -1), "eth", "it is no address on eth"],
    ["vitalik.eth", "eth", "it is no address on eth"],
  ];
  for (const [claimed, blockchain, outcome] of senders) {
    test(`${JSON.stringify(claimed)} on ${blockchain ?? "any chain"}: ${outcome}`, () => {
      const act = () => read({ ...sound, expecting_wallet_address: claimed, blockchain });
      if (/^(0x|T)/.test(outcome)) return expect(act().sender).toBe(outcome);
      expect(faultOf(act)).toBe("invalid_sender");
      expect(act).toThrow(`invalid expecting_wallet_address: ${outcome}`);
    });
  }
});

describe("the other requests", () => {
  test("a webhook that was sent back is known by its event_type", () => {
    const rows: [text: string, is_event: boolean][] = [
      ['{"event_type":"order_status_changed"}', true],
      ['{"event_type":null}', true],
      ['{"order_id":"x","event_type":1}', true],
      ["{}", false],
      ['[{"event_type":"x"}]', false],
      ['"event_type"', false],
      ["1", false],
      ["null", false],
      ['{"__proto__":{"event_type":1}}', false],
    ];
    for (const [text, is_event] of rows) expect([text, isWebhookEvent(parseJson(text))]).toEqual([text, is_event]);
  });

  test("a status request names an order", () => {
    const read = (text: string) => readStatusRequest(parseJson(text));
    expect(read(`{"order_id":"${order_id.toUpperCase()}","more":1}`)).toBe(order_id);
    for (const text of [
      "null",
      "[]",
      "{}",
      '{"order_id":null}',
      '{"order_id":1}',
      '{"order_id":"x"}',
      `"${order_id}"`,
    ]) {
      expect(faultOf(() => read(text))).toBe("invalid_json_body");
    }
  });

  test("a cancellation names an order and says what it is", () => {
    const read = (text: string) => readCancelRequest(parseJson(text));
    expect(read(`{"order_id":"${order_id.toUpperCase()}","action":"cancel","more":1}`)).toBe(order_id);
    for (const text of [
      ...["null", "{}", '{"action":"cancel"}', '{"order_id":"x","action":"cancel"}', `{"order_id":"${order_id}"}`],
      ...["null", '"Cancel"', '"cancelled"', '["cancel"]', "true", '""'].map(
        (action) => `{"order_id":"${order_id}","action":${action}}`,
      ),
    ]) {
      expect(faultOf(() => read(text))).toBe("invalid_json_body");
    }
  });

  test("a search names the merchant's own id; its page is moved into bounds", () => {
    const read = (text: string) => readFindRequest(parseJson(text));
    const rows: [more: string, limit: number, offset: number][] = [
      ["", 20, 0],
      [',"limit":null,"offset":null', 20, 0],
      [',"limit":1,"offset":7', 1, 7],
      [',"limit":0,"offset":-1', 1, 0],
      [',"limit":201,"offset":100001', 200, 100_000],
      [',"limit":999999999999999,"offset":999999999999999', 200, 100_000],
    ];
    for (const [more, limit, offset] of rows) {
      expect(read(`{"merchant_order_id":""${more}}`)).toEqual({ merchant_order_id: "", limit, offset });
    }
    for (const text of [
      ...["null", "[]", "{}", '{"merchant_order_id":1}', '{"merchant_order_id":null}'],
      ...['{"merchant_order_id":"\\ud800"}', JSON.stringify({ merchant_order_id: "é".repeat(513) })],
      ...['"1"', "1.0", "1e1", "true", "{}", "1000000000000000"].map(
        (limit) => `{"merchant_order_id":"","limit":${limit}}`,
      ),
      '{"merchant_order_id":"","offset":"0"}',
    ]) {
      expect(faultOf(() => read(text))).toBe("invalid_json_body");
    }
  });

  test("a read of the events names the last one known; limit and wait are moved into bounds", () => {
    const read = (text: string) => readEventsRequest(parseJson(text));
    const rows: [text: string, after: number, limit: number, wait_ms: number][] = [
      ['{"after":0}', 0, 100, 0],
      ['{"after":999999999999999,"limit":null,"wait":null}', 999_999_999_999_999, 100, 0],
      ['{"after":7,"limit":1000,"wait":30}', 7, 1000, 30_000],
      ['{"after":7,"limit":1001,"wait":31}', 7, 1000, 30_000],
      ['{"after":7,"limit":-5,"wait":-5}', 7, 1, 0],
    ];
    for (const [text, after, limit, wait_ms] of rows) expect(read(text)).toEqual({ after, limit, wait_ms });
    for (const text of [
      ...["null", "{}", '{"after":null}', '{"after":"0"}', '{"after":-1}', '{"after":1.5}', '{"after":1e3}'],
      ...['{"after":1000000000000000}', '{"after":0,"wait":"30"}', '{"after":0,"wait":0.5}', '{"after":0,"limit":[]}'],
    ]) {
      expect(faultOf(() => read(text))).toBe("invalid_json_body");
    }
  });

  test("a selection is two strings, whatever they say", () => {
    const read = (text: string) => readSelection(parseJson(text));
    expect(read('{"blockchain":"doge","stablecoin":"","x":1}')).toEqual({ blockchain: "doge", stablecoin: "" });
    for (const text of [
      ...["null", "[]", "{}", '{"blockchain":"eth"}', '{"stablecoin":"DAI"}', '{"blockchain":null,"stablecoin":"DAI"}'],
      ...['{"blockchain":"eth","stablecoin":1}', '{"blockchain":["eth"],"stablecoin":"DAI"}'],
      '{"blockchain":"\\ud800","stablecoin":"DAI"}',
    ]) {
      expect(faultOf(() => read(text))).toBe("invalid_json_body");
    }
  });

  test("UUIDs are hyphenated, any case in, lower case out", () => {
    expect(parseUuid(order_id)).toBe(order_id);
    expect(parseUuid(order_id.toUpperCase())).toBe(order_id);
    for (const text of [
      ...["", order_id.replaceAll("-", ""), `{${order_id}}`, `urn:uuid:${order_id}`, ` ${order_id}`, `${order_id}\n`],
      ...[order_id.slice(1), `${order_id}0`, order_id.replace("5", "g"), order_id.replace("-", "_"), `${order_id} `],
      ...[order_id.replace("0e84", "0-e84"), order_id.replace("0", "０")],
    ]) {
      expect(parseUuid(text)).toBeNull();
    }
  });

  test("a version 7 UUID holds the time and all its random bits", () => {
    expect(uuid7(0x0190a6f32f4e, new Uint8Array(10))).toBe("0190a6f3-2f4e-7000-8000-000000000000");
    expect(uuid7(0x0190a6f32f4e, new Uint8Array(10).fill(0xff))).toBe("0190a6f3-2f4e-7fff-bfff-ffffffffffff");
    expect(
      parseUuid(
        uuid7(
          now,
          Uint8Array.from({ length: 10 }, (_, i) => i * 25),
        ),
      ),
    ).not.toBeNull();
    expect(uuid7(now, new Uint8Array(10)) < uuid7(now + 1, new Uint8Array(10))).toBe(true);
    expect(() => uuid7(now, new Uint8Array(9))).toThrow("10 random bytes");
  });
});

describe("the scope of a signed URL", () => {
  const encoded = order_id.replaceAll("-", "%2D");
  const rows: [url: string, ...uuids: string[]][] = [
    ["https://shop.example/pay"],
    [`https://shop.example/pay?order_id=${order_id}`, order_id],
    [`https://shop.example/pay/${order_id.toUpperCase()}/now`, order_id],
    [`https://shop.example/#/pay/${order_id}`, order_id],
    [`https://shop.example/${order_id}?a=${order_id}#${order_id}`, order_id],
    [`https://shop.example/${order_id}?other=${other_id}`, order_id, other_id],
    [`https://shop.example/?id=${encoded}`, order_id],
    [`https://shop.example/?id=${encoded.toLowerCase()}`, order_id],
    [`https://shop.example/?next=https%3A%2F%2Fa%2F%3Fid%3D${encodeURIComponent(encoded)}`, order_id],
    [`https://shop.example/?id=%35${order_id.slice(1)}`, order_id],
    [`https://shop.example/?bad=%&id=${encoded}&worse=%ff%zz`, order_id],
    [`https://shop.example/?id=abc${order_id}def`, order_id],
    [`https://${order_id}.shop.example/`, order_id],
    [`${order_id}-e29b-41d4-a716-446655440001`, order_id, "55440000-e29b-41d4-a716-446655440001"],
    [`https://shop.example/?id=${order_id.replaceAll("-", "")}`],
    [`https://shop.example/?id=${order_id.slice(0, -1)}`],
  ];
  for (const [url, ...uuids] of rows) {
    test(`${url} names ${uuids.length} UUIDs`, () => {
      expect(uuidsIn(url).toSorted()).toEqual(uuids.toSorted());
    });
  }

  const origins: [url: string, origin: string | null][] = [
    ["https://shop.example/pay?x#y", "https://shop.example"],
    ["HTTPS://Shop.Example:443", "https://shop.example"],
    ["http://shop.example:80/", "http://shop.example"],
    ["https://shop.example:8443/", "https://shop.example:8443"],
    ["http://shop.example:443/", "http://shop.example:443"],
    ["https://shop.example@evil.example/", "https://evil.example"],
    ["https://shop.example\\@evil.example/", "https://shop.example"],
    ["https://evil.example/https://shop.example", "https://evil.example"],
    ["https://bücher.example/", "https://xn--bcher-kva.example"],
    ["http://[::1]:3000/", "http://[::1]:3000"],
    ["ShopApp://Pay/x", "shopapp://pay"],
    ["mailto:a@shop.example", "mailto://"],
    ["shop.example/pay", null],
    ["/pay", null],
    ["https://", null],
    ["", null],
  ];
  for (const [url, origin] of origins) {
    test(`${JSON.stringify(url)} belongs to ${origin ?? "no origin"}`, () => {
      expect(originOf(url)).toBe(origin);
    });
  }
});

describe("shapes have exactly these keys in this order", () => {
  const order = {
    id: order_id,
    merchant_order_id: "ref",
    amount: "19.90",
    status: "paid",
    created_at: now + 999,
    expires_at: now + 60_999,
    lifetime_s: null,
    metadata: null,
    success_url: null,
    cancel_url: null,
  } as const;
  const chosen = {
    ...order,
    ...{ lifetime_s: 60, metadata: '{"b":19.90,"a":{}}', success_url: "https://a/ok", cancel_url: "https://a/no" },
  };
  const chosen_json =
    '"metadata":{"b":19.90,"a":{}},"success_url":"https://a/ok","cancel_url":"https://a/no","expires_at":1711900860';
  const event = { n: 7, type: "order_created", order_id, transfer: null, body: "{}", created_at: now + 999 } as const;
  const order_json = `"order_id":"${order_id}","merchant_order_id":"ref","amount":"19.90","status":"paid","created_at":1711900800`;
  const deposit = {
    id: 42,
    order_id,
    chain: "eth",
    coin: "USDT",
    sender: null,
    wallet: "0xW",
    amount: "19.90",
  } as const;
  const counters = { webhook_retry_count: 2, webhook_success_at: null, webhook_last_tried_at: now + 1999 };
  const transfer: AdminTransferInput = {
    id: 123,
    chain: "op",
    coin: "USDT",
    label: "USDT0",
    sender: "0xS",
    wallet: "0xW",
    tx_hash: "0xabc",
    amount: "19.9",
    block_number: 19_000_000,
    block_time: 1_711_900_700,
    confirmed_at: now,
    seen_at: now + 500,
    status: "matched",
    fulfillment_id: 7,
  };

  const rows: [name: string, shape: unknown, json: string][] = [
    ["Order", orderShape(order), `{${order_json}}`],
    ["Order with every option", orderShape(chosen), `{${order_json},${chosen_json}}`],
    [
      "Order with a lifetime alone",
      orderShape({ ...order, lifetime_s: 60 }),
      `{${order_json},"expires_at":1711900860}`,
    ],
    ["Order with metadata alone", orderShape({ ...order, metadata: "{}" }), `{${order_json},"metadata":{}}`],
    [
      "Event of an order",
      eventShape(event),
      `{"n":7,"type":"order_created","order_id":"${order_id}","transfer_id":null,"created_at":1711900800,"data":{}}`,
    ],
    [
      "Event of a transfer",
      eventShape({ ...event, type: "unknown_transfer", order_id: null, transfer: 3, body: '{"value":"19.90"}' }),
      '{"n":7,"type":"unknown_transfer","order_id":null,"transfer_id":3,"created_at":1711900800,"data":{"value":"19.90"}}',
    ],
    [
      "ChainCoin",
      chainCoinShape({ chain: "tron", coin: "USDT", wallet: "T1" }),
      '{"blockchain":"tron","stablecoin":"USDT","wallet_address":"T1"}',
    ],
    [
      "PaymentDetail",
      paymentDetailShape(deposit),
      `{"order_id":"${order_id}","wallet_address":"0xW","amount":"19.90","blockchain":"eth","stablecoin":"USDT"}`,
    ],
    [
      "AdminOrder",
      adminOrderShape({ ...order, ...counters, webhook_url: "https://a/" }),
      `{${order_json},"webhook_url":"https://a/","webhook_retry_count":2,"webhook_success_at":null,"webhook_last_tried_at":1711900801}`,
    ],
    [
      "AdminOrder with every option",
      adminOrderShape({ ...chosen, ...counters, webhook_url: "https://a/" }),
      `{${order_json},"webhook_url":"https://a/","webhook_retry_count":2,"webhook_success_at":null,"webhook_last_tried_at":1711900801,${chosen_json}}`,
    ],
    [
      "AdminDeposit",
      adminDepositShape({ ...deposit, opened_at: now, last_scanned_at: now + 60_000 }),
      `{"id":42,"order_id":"${order_id}","blockchain":"eth","token":"USDT","user_address":null,"wallet_address":"0xW","value":"19.90","started_at":1711900800,"last_scanned_at":1711900860}`,
    ],
    [
      "AdminTransfer",
      adminTransferShape(transfer),
      '{"id":123,"blockchain":"op","token":"USDT","from_address":"0xS","to_address":"0xW","txn_hash":"0xabc","value":"19.9","block_number":19000000,"block_timestamp":1711900700,"blockchain_confirmed":true,"created_at":1711900800,"status":"matched","fulfillment_id":7}',
    ],
    [
      "AdminTransfer of a token that is accepted as no coin",
      adminTransferShape({ ...transfer, coin: null, label: "USDC.e" }),
      '{"id":123,"blockchain":"op","token":"USDC.e","from_address":"0xS","to_address":"0xW","txn_hash":"0xabc","value":"19.9","block_number":19000000,"block_timestamp":1711900700,"blockchain_confirmed":true,"created_at":1711900800,"status":"matched","fulfillment_id":7}',
    ],
    [
      "AdminTransfer that waits",
      adminTransferShape({
        ...transfer,
        confirmed_at: null,
        status: "waiting_for_confirmation",
        fulfillment_id: null,
      }),
      '{"id":123,"blockchain":"op","token":"USDT","from_address":"0xS","to_address":"0xW","txn_hash":"0xabc","value":"19.9","block_number":19000000,"block_timestamp":1711900700,"blockchain_confirmed":false,"created_at":1711900800,"status":"waiting_for_confirmation","fulfillment_id":null}',
    ],
    [
      "AdminWallet",
      adminWalletShape({ chain: "eth", address: "0xW", coins: ["USDC", "USDT"] }),
      '{"blockchain":"eth","address":"0xW","enabled_coins":["USDC","USDT"]}',
    ],
  ];
  for (const [name, shape, json] of rows) {
    test(name, () => {
      expect(JSON.stringify(shape)).toBe(json);
    });
  }

  test("a row with more columns adds nothing", () => {
    const row = { ...order, seq: 1, sender: null, expires_at: now, webhook_url: "https://a/" };
    expect(JSON.stringify(orderShape(row))).toBe(`{${order_json}}`);
  });

  test("socket frames", () => {
    expect(statusFrame(order)).toBe(`{"type":"status_update","order":{${order_json}}}`);
    expect(errorFrame(4004, "order not found")).toBe('{"type":"error","code":4004,"reason":"order not found"}');
  });
});

test("what a refused request is told never repeats it", () => {
  const key = "a-secret-in-the-path";
  try {
    readCreateOrder({ order_id: "a", amount: "1", webhook_url: `ftp://shop.example/${key}` });
  } catch (error) {
    return expect(errorText(error)).not.toContain(key);
  }
  throw new Error("nothing was refused");
});
