// Requests as strangers send them: right, almost right and hostile, for every route. Draws only from the chance it is
// given and from the ids that earlier answers named.

import { createHmac } from "node:crypto";
import { admin_secret, evm_wallet, merchant_secret, shop_origin, tron_wallet } from "../support/server.ts";
import type { Chance } from "./chance.ts";

export interface Attempt {
  method: string;
  /** Path and query as they go on the wire, whatever that is. */
  target: string;
  headers: [name: string, value: string][];
  body: Uint8Array | null;
}

/** What attempts may refer to. */
export interface Known {
  /** Ids of orders there are; grows as they are created. */
  orders: string[];
  now_s(): number;
}

const unknown_uuid = "550e8400-e29b-41d4-a716-446655440000";
const long = (length: number, letter = "a") => letter.repeat(length);
const utf8 = (text: string) => new TextEncoder().encode(text);
/** Bytes as the Latin-1 text that headers are made of. */
const latin1 = (text: string) => Buffer.from(text, "utf8").toString("latin1");

const methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "QUERY", "get"] as const;
const odd_texts = [
  "",
  " ",
  "\u0000",
  "a\u0000b",
  "\ufeffx",
  "\ud800",
  "\udc00\ud800",
  "😀",
  "𝟙𝟚",
  "ﬀ",
  "../../etc/passwd",
  "'; DROP TABLE orders; --",
  '" OR 1=1 --',
  "%s%n",
  "${7*7}",
  "<script>",
  "__proto__",
  "constructor",
  "toString",
  "null",
  "NaN",
  "Infinity",
  "-0",
  "1e999",
  "0x10",
  "١٢٣",
  "１２",
  long(255),
  long(1024),
  long(1025),
  long(1024, "é"),
  long(70_000),
] as const;
const odd_numbers = [
  "0",
  "-0",
  "-1",
  "1.5",
  "1e3",
  "1e400",
  "-1e400",
  "5e-324",
  "9007199254740993",
  "9223372036854775808",
  "99999999999999999999999999",
  `1${long(5000, "0")}`,
  "00",
  "01",
  "+1",
  "0x1",
  "1_0",
  ".5",
  "5.",
  "NaN",
] as const;
const amounts = ["19.99", "0.01", "1", "20", "19.90", "5.000000", "123456789012345678.123456789012345678"] as const;
const webhooks = [
  "https://your-app.example.com/webhooks/ocrch",
  "http://shop.example/hook",
  "https://user:pass@shop.example/hook#part",
  "https://127.0.0.1/",
  "https://[::1]:8443/",
  "https://[::ffff:10.0.0.1]/",
  "http://0x7f.1/",
  "http://2130706433/",
  "http://localhost./",
  "http://169.254.169.254/latest/meta-data",
  "javascript:alert(1)",
  "file:///etc/passwd",
  "ftp://shop.example/",
  "//shop.example/",
  "http:///x",
  "http://",
  "https://shop.example:99999/",
  "https://[::",
  "https://例え.jp/フック",
  "https://shop.example/\u0000",
  "https://shop.example/ space",
  `https://shop.example/${long(2027)}`,
  `https://shop.example/${long(2028)}`,
  `https://${long(64)}.example/`,
  "https://xn--/",
] as const;
const hashes = [
  `0x${long(32, "ab")}`,
  long(64, "f"),
  `0x${long(64, "F")}`,
  `0x${long(63, "0")}`,
  "0xabc1",
  ...odd_texts,
] as const;
const addresses = [
  evm_wallet,
  evm_wallet.toLowerCase(),
  evm_wallet.toUpperCase(),
  evm_wallet.replace("E9", "e9"),
  evm_wallet.slice(0, -1),
  tron_wallet,
  tron_wallet.toLowerCase(),
  `${tron_wallet}0`,
  "0x",
  "0x0000000000000000000000000000000000000000",
] as const;
const chain_names = ["eth", "polygon", "tron", "base", "linea", "ETH", "bsc", "", "toString"] as const;
const coin_names = ["USDT", "USDC", "DAI", "usdt", "USDC.e", "", "hasOwnProperty"] as const;
const statuses = ["pending", "paid", "expired", "cancelled", "matched", "no_matched_deposit", "PAID", ""] as const;

/** Strings that JSON cannot hold as they are (`undefined`, `NaN`) are spelled by hand. */
function oddJson(chance: Chance): string {
  return chance.pick<() => string>([
    () => "null",
    () => "true",
    () => "[]",
    () => "{}",
    () => '{"a":{"b":[1,{"c":null}]}}',
    () => chance.pick(odd_numbers),
    () => JSON.stringify(chance.pick(odd_texts)),
    () => `"\\ud83d"`,
    () => `"\\u0000"`,
    () => "[".repeat(1 + chance.int(80)),
    () => `${"[".repeat(60)}${"]".repeat(60)}`,
    () => "undefined",
    () => "'x'",
    () => `"\n"`,
  ])();
}

const jsonText = (text: string) => JSON.stringify(text);

/** A JSON object of fields, most of them as they should be, some odd, missing, twice or unknown. */
function objectText(chance: Chance, fields: Record<string, () => string>): string {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (chance.odd(25)) continue;
    const spelled = chance.odd(60) ? name.toUpperCase() : name;
    parts.push(`${jsonText(spelled)}:${chance.odd(10) ? oddJson(chance) : value()}`);
    if (chance.odd(30)) parts.push(`${jsonText(name)}:${chance.odd(2) ? oddJson(chance) : value()}`);
  }
  if (chance.odd(15)) parts.push(`"__proto__":${oddJson(chance)}`);
  if (chance.odd(40)) parts.push(`"event_type":"order_status_changed"`);
  if (chance.odd(15)) parts.push(`"unknown":${oddJson(chance)}`);
  return `{${parts.join(chance.odd(50) ? ",\n\t " : ",")}}`;
}

/** Bytes of a body: the text as it is, or spoiled in a way parsers are known to dislike. */
function spoiled(chance: Chance, text: string): Uint8Array {
  const bytes = utf8(text);
  if (!chance.odd(8)) return bytes;
  const at = chance.int(bytes.length + 1);
  const join = (...parts: Uint8Array[]) => Buffer.concat(parts);
  return chance.pick<() => Uint8Array>([
    () => new Uint8Array(0),
    () => bytes.subarray(0, at),
    () => join(Uint8Array.of(0xef, 0xbb, 0xbf), bytes),
    () => join(bytes.subarray(0, at), Uint8Array.of(chance.pick([0x00, 0xff, 0xc0, 0xed, 0x80])), bytes.subarray(at)),
    () => join(bytes, bytes),
    () => join(bytes, utf8("\n ")),
    () => join(utf8(" \t\r\n"), bytes),
    () => utf8(long(1 + chance.int(100_000), "[")),
    () => utf8(`{"a":${long(1 + chance.int(5000), '{"a":')}`),
    () => utf8(chance.pick(["null", "true", "0", '""', "[]", "{}", "{", '"', "nul", "NaN"])),
    () => chance.bytes(chance.int(200)),
    () => utf16(text),
  ])();
}

const utf16 = (text: string) => new Uint8Array(Buffer.from(text, "utf16le"));

/** Draws one attempt after the other. */
export function createAttempts(chance: Chance, known: Known): () => Attempt {
  const orderId = (): string => {
    const [newest = unknown_uuid] = known.orders.slice(-1);
    const some = known.orders[chance.int(known.orders.length)] ?? unknown_uuid;
    if (!chance.odd(6)) return chance.once(2) ? some : newest;
    return chance.pick([
      unknown_uuid,
      some.toUpperCase(),
      some.replaceAll("-", ""),
      `{${some}}`,
      `urn:uuid:${some}`,
      `${some}%00`,
      `${some}%20`,
      `${some}a`,
      some.slice(1),
      "0",
      "..",
      "%2e%2e",
      "%2F",
      "%",
      "%zz",
      "%C0%AF",
      "%F0%9F%98%80",
      ":order_id",
      "*",
      long(5000),
      encodeURIComponent(chance.pick(odd_texts).toWellFormed()).slice(0, 6000),
    ]);
  };

  const timestamp = (): string => {
    const now = known.now_s();
    if (!chance.odd(12)) return String(now);
    return chance.pick([
      String(now - 299),
      String(now + 299),
      String(now - 301),
      String(now + 301),
      `0${now}`,
      "0",
      "999999999999",
      "9999999999999",
      `-${now}`,
      `${now}.5`,
      "",
      " ",
      "now",
      "1e9",
      long(4000, "9"),
    ]);
  };

  const signature = (message: (timestamp: string) => [string | Uint8Array, string | Uint8Array]): string => {
    const at = timestamp();
    const [first, second] = message(at);
    const secret = chance.odd(20) ? "wrong-secret" : merchant_secret;
    const mac = createHmac("sha256", secret).update(first).update(second).digest("base64");
    if (!chance.odd(12)) return `${at}.${chance.once(3) ? mac.replace(/=+$/, "") : mac}`;
    return chance.pick([
      `${at}.${mac.replaceAll("+", "-").replaceAll("/", "_")}`,
      `${at}.${mac.slice(0, chance.int(mac.length))}`,
      `${at}.${mac}=`,
      `${at}.${mac} `,
      `${at}.${mac}, ${at}.${mac}`,
      `${at}..${mac}`,
      `.${mac}`,
      `${at}`,
      `${at}.`,
      "",
      ".",
      `${at}.${long(20_000, "A")}`,
      latin1(`${at}.é${mac}`),
      `${at}.\u00ff${mac}`,
      mac,
    ]);
  };

  const signBody = (body: Uint8Array) => signature((at) => [`${at}.`, body]);
  const signUrl = (url: string) => signature((at) => [utf8(url), `.${at}`]);

  const signedUrl = (order_id: string): string => {
    const other = known.orders[chance.int(known.orders.length)] ?? unknown_uuid;
    const own = `${shop_origin}/pay?order_id=${order_id}`;
    if (!chance.odd(8)) return own;
    return chance.pick([
      `${shop_origin}/pay`,
      `${shop_origin}/pay?order_id=${other}`,
      `${shop_origin}:443/pay/${order_id}#${other}`,
      `${shop_origin.toUpperCase()}/${order_id}`,
      `${shop_origin}.evil.example/${order_id}`,
      `https://user@evil.example/${shop_origin}`,
      `${shop_origin}/?next=${encodeURIComponent(encodeURIComponent(`/${order_id}`))}`,
      `${shop_origin}/é?order_id=${order_id}`,
      `${shop_origin}/${long(9000)}`,
      `${shop_origin}/${long(3000, "%25")}`,
      "null",
      "",
      "mailto:a@b",
      "data:,x",
      "http://[::",
      `//${order_id}`,
      order_id,
    ]);
  };

  const query = (fields: Record<string, readonly [string, ...string[]]>): string => {
    const parts: string[] = [];
    for (const [name, values] of Object.entries(fields)) {
      while (chance.once(2)) {
        const odd = () => chance.pick([chance.pick(odd_numbers), chance.pick(odd_texts).toWellFormed()]);
        const value = chance.odd(8) ? odd() : chance.pick(values);
        const spelled = chance.odd(20) ? value : encodeURIComponent(value);
        parts.push(chance.odd(30) ? name : `${chance.odd(40) ? `${name}[]` : name}=${spelled}`);
      }
    }
    if (chance.odd(20))
      parts.push(chance.pick(["%", "=", "&&", "%ff=%fe", "a=%00", "?", long(8000), "limit=1;offset=2"]));
    return parts.length === 0 ? "" : `?${parts.join("&")}`;
  };

  const listQuery = () =>
    query({
      limit: ["1", "20", "200", "0", "-1", "999"],
      offset: ["0", "1", "100000", "-1"],
      status: statuses,
      merchant_order_id: ["order-1", "", "é"],
      order_id: [unknown_uuid, ...known.orders.slice(0, 3)],
      blockchain: chain_names,
      token: coin_names,
    });

  const inboxQuery = () =>
    query({
      limit: ["1", "200", "0"],
      offset: ["0", "3"],
      blockchain: chain_names,
      reason: ["no_such_amount", "late", "reverted", "dust", "because"],
      dust: ["true", "false", "1"],
    });

  const creation = (): string =>
    objectText(chance, {
      order_id: () => jsonText(chance.odd(4) ? chance.pick(odd_texts) : `order-${chance.int(1000)}`),
      amount: () => {
        const amount = chance.odd(6) ? chance.pick(odd_numbers) : chance.pick(amounts);
        return chance.once(3) ? amount : jsonText(amount);
      },
      webhook_url: () => jsonText(chance.odd(3) ? chance.pick(webhooks) : webhooks[0]),
      expecting_wallet_address: () => (chance.odd(4) ? jsonText(chance.pick(addresses)) : "null"),
      blockchain: () => (chance.odd(4) ? jsonText(chance.pick(chain_names)) : "null"),
      stablecoin: () => (chance.odd(4) ? jsonText(chance.pick(coin_names)) : "null"),
      ...(chance.odd(4)
        ? {
            lifetime: () => chance.pick(["1", "60", "0", "2592000", "2592001", '"60"', "1.5"]),
            metadata: () => chance.pick(["{}", '{"a":"b"}', '{"n":19.90}', `{"a":"${long(4096)}"}`, "[1]"]),
            success_url: () => jsonText(chance.pick(webhooks)),
            cancel_url: () => jsonText(chance.pick(webhooks)),
          }
        : {}),
    });

  const service = (path: string, text: string): Attempt => {
    const body = chance.odd(2000) ? utf8(`"${long(1_048_576 + chance.int(3))}"`) : spoiled(chance, text);
    const headers: Attempt["headers"] = [];
    if (!chance.odd(30)) headers.push(["Ocrch-Signature", signBody(body)]);
    if (chance.odd(100)) headers.push(["Ocrch-Signature", signBody(body)]);
    if (chance.odd(8)) {
      headers.push([
        "Idempotency-Key",
        chance.pick([`key-${chance.int(50)}`, "", " ", long(255), long(256), "a b", "\u00e9"]),
      ]);
    }
    return { method: "POST", target: `/api/v1/service/${path}`, headers, body };
  };

  const user = (method: string, path: string, order_id: string, body: Uint8Array | null): Attempt => {
    const url = signedUrl(order_id);
    const headers: Attempt["headers"] = [];
    if (!chance.odd(30)) headers.push(["Ocrch-Signature", signUrl(url)]);
    if (!chance.odd(30)) headers.push(["Ocrch-Signed-Url", latin1(url)]);
    if (chance.once(3)) headers.push(["Origin", chance.pick([shop_origin, "https://evil.example", "null", ""])]);
    if (chance.odd(10))
      headers.push(["Prefer", chance.pick(["return=representation", "return=minimal", ",,;=", long(4000, ",")])]);
    if (body !== null && !chance.odd(15)) {
      const types = [
        "application/json",
        "application/json; charset=utf-8",
        "text/plain",
        "application/jsonp",
        ";",
        "Application/JSON\t;",
      ] as const;
      headers.push(["Content-Type", chance.odd(6) ? chance.pick(types) : types[0]]);
    }
    return { method, target: `/api/v1/user/${path}`, headers, body };
  };

  const socket = (): Attempt => {
    const order_id = orderId();
    const attempt = user("GET", `orders/${order_id}/ws`, order_id, null);
    if (chance.once(3)) {
      const url = signedUrl(order_id);
      const parts = [
        `signed_url=${encodeURIComponent(url.toWellFormed())}`,
        `signature=${encodeURIComponent(signUrl(url))}`,
      ];
      attempt.target += `?${chance.odd(4) ? parts.join("&").replaceAll("%2B", "+") : parts.join("&")}`;
      attempt.headers = [];
    }
    if (!chance.odd(6)) {
      attempt.headers.push(["Connection", "Upgrade"], ["Upgrade", chance.odd(8) ? "h2c" : "websocket"]);
      attempt.headers.push(["Sec-WebSocket-Version", chance.odd(8) ? "8" : "13"]);
      attempt.headers.push(["Sec-WebSocket-Key", chance.odd(8) ? "short" : "dGhlIHNhbXBsZSBub25jZQ=="]);
    }
    return attempt;
  };

  const admin = (method: string, path: string, body: Uint8Array | null = null): Attempt => {
    const secret = chance.odd(20) ? chance.pick(["wrong", "", latin1("naïve"), "\u00ff", long(9000)]) : admin_secret;
    const headers: Attempt["headers"] = chance.odd(40) ? [] : [["Ocrch-Admin-Authorization", secret]];
    return { method, target: `/api/v1/admin/${path}`, headers, body };
  };

  const one = (): Attempt => {
    const order_id = orderId();
    const selection = () => {
      const pair = {
        blockchain: () => jsonText(chance.odd(5) ? chance.pick(chain_names) : chance.pick(["eth", "polygon", "tron"])),
        stablecoin: () => jsonText(chance.odd(5) ? chance.pick(coin_names) : chance.pick(["USDT", "USDC", "DAI"])),
      };
      return spoiled(chance, objectText(chance, pair));
    };
    const transfer = () => chance.pick(["1", "2", "3", "4", "5", "999", ...odd_numbers]);
    const decision = (order_id: string) =>
      objectText(chance, {
        order_id: () => jsonText(order_id),
        reason: () => (chance.odd(4) ? jsonText(chance.pick(odd_texts)) : '"because"'),
      });
    const claim = () => objectText(chance, { txn_hash: () => jsonText(chance.pick(hashes)) });
    const named = () => objectText(chance, { order_id: () => jsonText(order_id) });
    return chance.pick<() => Attempt>([
      () => service("orders", creation()),
      () => service("orders", creation()),
      () => service("orders", creation()),
      () => service("orders/status", named()),
      () =>
        service("orders/cancel", objectText(chance, { order_id: () => jsonText(order_id), action: () => '"cancel"' })),
      () => service("orders/find", objectText(chance, { merchant_order_id: () => '"order-1"', limit: () => "2" })),
      () =>
        service(
          "events",
          objectText(chance, { after: () => String(chance.int(500)), limit: () => "5", wait: () => "0" }),
        ),
      () => user("GET", "chains", order_id, null),
      () => user("POST", `orders/${order_id}/payment`, order_id, selection()),
      () => user("POST", `orders/${order_id}/payment`, order_id, selection()),
      () => user("POST", `orders/${order_id}/cancel`, order_id, chance.once(9) ? selection() : null),
      () => user("GET", `orders/${order_id}/status`, order_id, null),
      socket,
      () => admin("GET", `orders${listQuery()}`),
      () => admin("GET", `deposits${listQuery()}`),
      () => admin("GET", "wallets"),
      () =>
        admin(
          "GET",
          `wallets/${chance.pick([...addresses, ...addresses, order_id, long(3000)])}/transfers${listQuery()}`,
        ),
      () => admin("POST", `orders/${order_id}/mark-paid`),
      () => admin("POST", `orders/${order_id}/resend-webhook`),
      () => admin("POST", `transfers/${transfer()}/resend-webhook`),
      () => admin("GET", `inbox${inboxQuery()}`),
      () => admin("POST", `transfers/${transfer()}/assign`, spoiled(chance, decision(order_id))),
      () => admin("POST", `transfers/${transfer()}/unassign`, spoiled(chance, decision(order_id))),
      () => admin("POST", `transfers/${transfer()}/dismiss`, spoiled(chance, decision(order_id))),
      () => user("POST", `orders/${order_id}/claim`, order_id, spoiled(chance, claim())),
      () => ({
        method: "GET",
        target: chance.pick(["/health", "/api/v1/admin/health", "/openapi.json", "/"]),
        headers: [],
        body: null,
      }),
    ])();
  };

  /** Spoils what every route has in common: method, path and headers. */
  const twisted = (attempt: Attempt): Attempt => {
    if (chance.odd(12)) attempt.method = chance.pick(methods);
    if (chance.odd(15)) {
      const { target } = attempt;
      attempt.target = chance.pick([
        `${target}/`,
        target.replace("/api", "//api"),
        target.replace("/v1/", "/v1//"),
        target.replace("/api", "/API"),
        target.replace("a", "%61"),
        target.replace("/orders", "/orders%2F"),
        target.replace("/v1", "/v1/../v1"),
        target.replace("/v1", "/v1/%2e%2e/v1"),
        target.replace("/v1", "\\v1"),
        target.replace("/orders", "/orders;x=1"),
        `${target}%00`,
        `${target}#fragment`,
        `/${target}`,
        `${target}?`,
        `/${long(chance.int(9000))}`,
        target.slice(0, chance.int(target.length + 1)) || "/",
      ]);
    }
    if (chance.odd(25)) {
      attempt.headers.push(
        chance.pick<[string, string]>([
          ["Content-Length", "abc"],
          ["Content-Length", "-1"],
          ["Content-Length", "99999999999"],
          ["Accept", long(4000, "*/*,")],
          ["X-Forwarded-For", `${long(50, "1.2.3.4, ")}::1`],
          ["X-Request-Id", chance.pick(["ok-id", long(65), "a b", "\u00ff"])],
          ["Access-Control-Request-Method", "DELETE"],
          ["Cookie", long(8000)],
          ["Content-Encoding", "gzip"],
          ["X-HTTP-Method-Override", "DELETE"],
          ["Range", "bytes=0-0"],
          ["If-None-Match", "*"],
          ["Expect", "100-continue"],
        ]),
      );
    }
    return attempt;
  };

  return () => {
    chance.calm(chance.once(2));
    return twisted(one());
  };
}
