// The User API over real HTTP: signed URLs and their scope, selection, cancelling, and browsers of other origins.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
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
  tron_wallet,
} from "../support/server.ts";

const start_s = start_ms / 1000;
const unknown_id = "550e8400-e29b-41d4-a716-446655440000";
const eth_usdt = JSON.stringify({ blockchain: "eth", stablecoin: "USDT" });
const no_wallet = "no wallet available for the selected chain and coin";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const summary = ({ status, body }: Answer) => [status, body];

async function expectRefusal(status: number, text: string, act: () => Promise<Answer>): Promise<Answer> {
  const before = server.events().length;
  const answer = await act();
  expect(summary(answer)).toEqual([status, text]);
  expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  expect(server.events().length).toBe(before);
  return answer;
}

/** Opens a deposit and returns the PaymentDetail. */
async function select(order_id: string, blockchain: string, stablecoin: string) {
  const body = JSON.stringify({ blockchain, stablecoin });
  const answer = await server.user("POST", `orders/${order_id}/payment`, { body });
  expect(answer.status).toBe(201);
  return JSON.parse(answer.body) as { amount: string; wallet_address: string };
}

const amountFor = async (amount: string, blockchain: string) => {
  const order_id = await server.createOrder({ amount });
  return (await select(order_id, blockchain, "USDT")).amount;
};

describe("a User request is refused", () => {
  const url = payUrl(unknown_id);
  const signed = (text: string, at: number | string = start_s): Headings => ({
    "Ocrch-Signed-Url": text,
    "Ocrch-Signature": signature("url", text, at),
  });
  const right = signed(url)["Ocrch-Signature"] ?? "";
  const rows: [name: string, status: number, text: string, headers: Headings][] = [
    ["without headers", 401, "missing Ocrch-Signature header", {}],
    ["with a URL alone", 401, "missing Ocrch-Signature header", { "Ocrch-Signed-Url": url }],
    ["with a signature that has no dot", 400, "invalid header format", { "Ocrch-Signature": "x" }],
    ["with an empty signature", 400, "invalid header format", { "Ocrch-Signature": "", "Ocrch-Signed-Url": url }],
    ["with bad base64, before the URL is missed", 400, "invalid signature encoding", { "Ocrch-Signature": "1.*" }],
    ["without a URL", 400, "missing Ocrch-Signed-Url header", { "Ocrch-Signature": right }],
    [
      "with the signature of another URL",
      401,
      "signature verification failed",
      { "Ocrch-Signed-Url": `${url}&a=b`, "Ocrch-Signature": right },
    ],
    [
      "with the signature of another URL and a stale time: the mismatch is named",
      401,
      "signature verification failed",
      { "Ocrch-Signed-Url": url, "Ocrch-Signature": right.replace(/^\d+/, String(start_s - 999)) },
    ],
    [
      "with an empty URL that was not signed",
      401,
      "signature verification failed",
      { "Ocrch-Signed-Url": "", "Ocrch-Signature": right },
    ],
    ["when stale", 401, "signature expired", signed(url, start_s - 301)],
    ["when from the future", 401, "signature expired", signed(url, start_s + 301)],
    ["with a URL that is none, although signed", 400, "invalid header format", signed("/pay?order_id=1")],
    ["from another origin", 403, "origin not allowed", signed("https://evil.example/pay")],
    ["from another scheme of the same host", 403, "origin not allowed", signed("http://checkout.example.com/pay")],
    ["from another port of the same host", 403, "origin not allowed", signed("https://checkout.example.com:8443/pay")],
    [
      "from a host that only begins alike",
      403,
      "origin not allowed",
      signed("https://checkout.example.com.evil.example/"),
    ],
    [
      "from an origin in the user part",
      403,
      "origin not allowed",
      signed("https://checkout.example.com@evil.example/"),
    ],
  ];
  for (const [name, status, text, headers] of rows) {
    test(`${name}: ${status} ${text}`, async () => {
      for (const path of [
        "chains",
        `orders/${unknown_id}/status`,
        `orders/${unknown_id}/ws`,
        "orders/no-uuid/status",
      ]) {
        await expectRefusal(status, text, () => server.request("GET", `/api/v1/user/${path}`, headers));
      }
      for (const path of [`orders/${unknown_id}/payment`, `orders/${unknown_id}/cancel`, "orders/no-uuid/payment"]) {
        await expectRefusal(status, text, () => server.request("POST", `/api/v1/user/${path}`, headers, "{"));
      }
    });
  }

  test("with a URL whose bytes are not UTF-8: 400 invalid header format", async () => {
    const head = `GET /api/v1/user/chains HTTP/1.1\r\nHost: a\r\nOcrch-Signature: ${right}\r\nOcrch-Signed-Url: `;
    const answer = await server.raw(`${head}${shop_origin}/\xff\r\n\r\n`);
    expect(answer).toStartWith("HTTP/1.1 400 ");
    expect(answer).toEndWith("\r\n\r\ninvalid header format");
  });

  test("except in any spelling of the right origin", async () => {
    for (const origin of ["HTTPS://Checkout.Example.COM", "https://checkout.example.com:443"]) {
      expect((await server.user("GET", "chains", { url: `${origin}/pay` })).status).toBe(200);
    }
  });

  test("except when the bytes of a URL beyond ASCII were signed as UTF-8", async () => {
    const url = `${shop_origin}/zahlung/für`;
    const utf8 = Buffer.from(url).toString("latin1");
    const head = `GET /api/v1/user/chains HTTP/1.1\r\nHost: a\r\nOcrch-Signature: ${signature("url", url, start_s)}\r\n`;
    expect(await server.raw(`${head}Ocrch-Signed-Url: ${utf8}\r\n\r\n`)).toStartWith("HTTP/1.1 200 ");
  });
});

test("the signed URL vector opens its order", async () => {
  const url = `https://checkout.example.com/pay?order_id=${unknown_id}`;
  const headers = {
    "Ocrch-Signed-Url": url,
    "Ocrch-Signature": "1711900800.1tTp2RD/IDg/xsHZIeQ8RA2ylX/D13z6pMXyoHyi0G0=",
  };
  expect((await server.request("GET", "/api/v1/user/chains", headers)).status).toBe(200);
  await expectRefusal(404, "order not found", () =>
    server.request("GET", `/api/v1/user/orders/${unknown_id}/status`, headers),
  );
});

test("the pairs to choose from come in the order of the configuration", async () => {
  const pair = (blockchain: string, stablecoin: string, wallet_address = evm_wallet) => ({
    blockchain,
    stablecoin,
    wallet_address,
  });
  const answer = await server.user("GET", "chains");
  expect(answer.headers.get("content-type")).toBe("application/json");
  expect(summary(answer)).toEqual([
    200,
    JSON.stringify([
      pair("eth", "USDT"),
      pair("eth", "USDC"),
      pair("polygon", "USDT"),
      pair("polygon", "USDC"),
      pair("polygon", "DAI"),
      pair("tron", "USDT", tron_wallet),
    ]),
  ]);
});

describe("selecting a payment", () => {
  test("answers the exact amount and wallet, and records it once", async () => {
    const order_id = await server.createOrder({ amount: "31.40" });
    const before = server.events().length;
    const detail = `{"order_id":"${order_id}","wallet_address":"${evm_wallet}","amount":"31.40","blockchain":"eth","stablecoin":"USDT"}`;
    for (const headers of [{}, { "Content-Type": "Application/JSON; charset=utf-8" }]) {
      const answer = await server.user("POST", `orders/${order_id}/payment`, { body: eth_usdt, headers });
      expect(summary(answer)).toEqual([201, detail]);
      expect(answer.headers.get("content-type")).toBe("application/json");
    }
    const added = server.events().slice(before);
    expect(added.map(({ type, order_id }) => [type, order_id])).toEqual([["deposit_opened", order_id]]);
  });

  test("fifty times at once gives one PaymentDetail and one deposit", async () => {
    const order_id = await server.createOrder({ amount: "50.50" });
    const path = `orders/${order_id}/payment`;
    const answers = await Promise.all(Array.from({ length: 50 }, () => server.user("POST", path, { body: eth_usdt })));
    expect(new Set(answers.map(({ status, body }) => `${status} ${body}`)).size).toBe(1);
    expect(answers[0]?.status).toBe(201);
    const open = await server.admin("GET", `deposits?order_id=${order_id}`);
    expect(JSON.parse(open.body)).toHaveLength(1);
  });

  test("of one amount by several orders gives each its own", async () => {
    // A surcharge of at most 0.05 has five codes of two decimals: two are handed out, the rest are prefixes.
    const amounts: string[] = [];
    for (let i = 0; i < 4; i++) amounts.push(await amountFor("60.00", "eth"));
    expect(amounts).toEqual(["60.00", "60.01", "60.02", "60.031"]);
    expect(await amountFor("60.00", "tron")).toBe("60.00");
  });

  test("may open several pairs of one order", async () => {
    const order_id = await server.createOrder({ amount: "70.70" });
    const pairs = [
      ["eth", "USDT", evm_wallet],
      ["eth", "USDC", evm_wallet],
      ["polygon", "DAI", evm_wallet],
      ["tron", "USDT", tron_wallet],
    ] as const;
    for (const [blockchain, stablecoin, wallet_address] of pairs) {
      expect(await select(order_id, blockchain, stablecoin)).toMatchObject({ amount: "70.70", wallet_address });
    }
    expect(JSON.parse((await server.admin("GET", `deposits?order_id=${order_id}`)).body)).toHaveLength(4);
  });

  const rows: [name: string, status: number, text: string, body: string][] = [
    ["broken JSON", 400, "invalid JSON body", "{"],
    ["no body", 400, "invalid JSON body", ""],
    ["an array", 400, "invalid JSON body", '["eth","USDT"]'],
    ["no coin", 400, "invalid JSON body", '{"blockchain":"eth"}'],
    ["a coin that is null", 400, "invalid JSON body", '{"blockchain":"eth","stablecoin":null}'],
    ["a number for a chain", 400, "invalid JSON body", '{"blockchain":1,"stablecoin":"USDT"}'],
    ["an unknown chain", 400, "invalid blockchain selection", '{"blockchain":"sol","stablecoin":"USDT"}'],
    ["a chain in capitals", 400, "invalid blockchain selection", '{"blockchain":"ETH","stablecoin":"nope"}'],
    ["a coin in small letters", 400, no_wallet, '{"blockchain":"eth","stablecoin":"usdt"}'],
    ["an unknown coin", 400, no_wallet, '{"blockchain":"eth","stablecoin":"BTC"}'],
    ["a coin the wallet does not take", 400, no_wallet, '{"blockchain":"eth","stablecoin":"DAI"}'],
    ["a chain without a wallet", 400, no_wallet, '{"blockchain":"arb","stablecoin":"USDT"}'],
  ];
  for (const [name, status, text, body] of rows) {
    test(`with ${name}: ${status} ${text}`, async () => {
      const order_id = await server.createOrder();
      await expectRefusal(status, text, () => server.user("POST", `orders/${order_id}/payment`, { body }));
    });
  }

  test("checks path, content type, body and order in that order", async () => {
    const post = (order_id: string, headers: Headings, body: string) => () =>
      server.user("POST", `orders/${order_id}/payment`, { headers, body });
    const text_plain = { "Content-Type": "text/plain" };
    const invalid = "invalid order_id";
    await expectRefusal(400, invalid, post("no-uuid", text_plain, "{"));
    await expectRefusal(400, invalid, post(unknown_id.replaceAll("-", ""), {}, eth_usdt));
    await expectRefusal(415, "unsupported content type", post(unknown_id, text_plain, "{"));
    await expectRefusal(
      415,
      "unsupported content type",
      post(unknown_id, { "Content-Type": "application/jsonp" }, "{"),
    );
    await expectRefusal(400, "invalid JSON body", post(unknown_id, {}, "{"));
    await expectRefusal(404, "order not found", post(unknown_id, {}, '{"blockchain":"sol","stablecoin":"BTC"}'));
    const order_id = await server.createOrder();
    await server.user("POST", `orders/${order_id}/cancel`);
    await expectRefusal(409, "order is not pending", post(order_id, {}, '{"blockchain":"sol","stablecoin":"BTC"}'));
  });

  test("without any content type: 415", async () => {
    const path = `/api/v1/user/orders/${unknown_id}/payment`;
    await expectRefusal(415, "unsupported content type", () =>
      server.request("POST", path, server.userHeaders(payUrl(unknown_id)), eth_usdt),
    );
  });

  test("with a body that is too long or not UTF-8: 400", async () => {
    const path = `/api/v1/user/orders/${unknown_id}/payment`;
    const headers = { ...server.userHeaders(payUrl(unknown_id)), "Content-Type": "application/json" };
    for (const body of [new Uint8Array(1_048_577), Uint8Array.from([0xff])]) {
      await expectRefusal(400, "failed to read request body", () => server.request("POST", path, headers, body));
    }
  });

  test("respects what the merchant pre-selected", async () => {
    const order_id = await server.createOrder({ blockchain: "polygon", stablecoin: "DAI", amount: "80.80" });
    for (const body of [eth_usdt, '{"blockchain":"polygon","stablecoin":"USDT"}']) {
      await expectRefusal(400, no_wallet, () => server.user("POST", `orders/${order_id}/payment`, { body }));
    }
    expect((await select(order_id, "polygon", "DAI")).amount).toBe("80.80");
  });

  test("of an amount the coin cannot hold: 400", async () => {
    const order_id = await server.createOrder({ amount: "0.1234567" });
    await expectRefusal(400, no_wallet, () => server.user("POST", `orders/${order_id}/payment`, { body: eth_usdt }));
    expect((await select(order_id, "polygon", "DAI")).amount).toBe("0.1234567");
  });

  test("when every amount is taken: 409 with Retry-After", async () => {
    const crowded = await startTestServer({ settings: { orders: { max_surcharge: "0", late_window_ms: 600_000 } } });
    const [first, second] = [await crowded.createOrder(), await crowded.createOrder()];
    expect((await crowded.user("POST", `orders/${first}/payment`, { body: eth_usdt })).status).toBe(201);
    const retryAfter = async () => {
      const answer = await crowded.user("POST", `orders/${second}/payment`, { body: eth_usdt });
      expect(summary(answer)).toEqual([409, "no free amount for the selected chain and coin"]);
      return answer.headers.get("retry-after");
    };
    // While the amount is open nobody knows; once in quarantine, its end; when that is due, soon.
    expect(await retryAfter()).toBe("3600");
    await crowded.user("POST", `orders/${first}/cancel`, { url: payUrl(first) });
    crowded.advance(120_000);
    expect(await retryAfter()).toBe("480");
    crowded.advance(600_000);
    expect(await retryAfter()).toBe("60");
    await crowded.stop();
  });
});

describe("cancelling", () => {
  test("answers an empty 200 whatever is accepted, closes deposits and announces it once", async () => {
    const order_id = await server.createOrder({ amount: "90.90" });
    await select(order_id, "eth", "USDT");
    const before = server.events().length;
    const answer = await server.user("POST", `orders/${order_id}/cancel`, { headers: { Accept: "application/json" } });
    expect(summary(answer)).toEqual([200, ""]);
    expect(answer.headers.get("content-type")).toBeNull();
    const added = server.events().slice(before);
    expect(added.map(({ type, order_id }) => [type, order_id])).toEqual([["order_status_changed", order_id]]);
    expect(JSON.parse(added[0]?.body ?? "")).toEqual({
      event_type: "order_status_changed",
      order_id,
      merchant_order_id: expect.any(String),
      status: "cancelled",
      amount: "90.90",
      timestamp: start_s,
    });
    expect((await server.admin("GET", `deposits?order_id=${order_id}`)).body).toBe("[]");
    await expectRefusal(409, "order is not pending", () => server.user("POST", `orders/${order_id}/cancel`));
  });

  test("answers the order where that is preferred", async () => {
    for (const prefer of [
      "return=representation",
      "respond-async, Return=Representation; x=1",
      'return="representation"',
    ]) {
      const order_id = await server.createOrder({ order_id: prefer });
      const answer = await server.user("POST", `orders/${order_id}/cancel`, { headers: { Prefer: prefer } });
      expect(summary(answer)).toEqual([
        200,
        `{"order_id":"${order_id}","merchant_order_id":${JSON.stringify(prefer)},"amount":"19.99","status":"cancelled","created_at":${start_s}}`,
      ]);
      expect(answer.headers.get("preference-applied")).toBe("return=representation");
    }
    const order_id = await server.createOrder();
    const minimal = await server.user("POST", `orders/${order_id}/cancel`, { headers: { Prefer: "return=minimal" } });
    expect(summary(minimal)).toEqual([200, ""]);
  });

  test("ten times at once succeeds once", async () => {
    const order_id = await server.createOrder();
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => server.user("POST", `orders/${order_id}/cancel`)),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(9).fill(409)]);
  });

  test("of no order is refused by its path and its name", async () => {
    await expectRefusal(400, "invalid order_id", () => server.user("POST", "orders/1/cancel"));
    await expectRefusal(404, "order not found", () => server.user("POST", `orders/${unknown_id}/cancel`));
  });
});

test("the status is the order as it is now", async () => {
  const order_id = await server.createOrder({ order_id: "polled", amount: "1.5" });
  const shown = (status: string) =>
    `{"order_id":"${order_id}","merchant_order_id":"polled","amount":"1.5","status":"${status}","created_at":${start_s}}`;
  expect(summary(await server.user("GET", `orders/${order_id}/status`))).toEqual([200, shown("pending")]);
  await server.admin("POST", `orders/${order_id}/mark-paid`);
  const upper = await server.user("GET", `orders/${order_id.toUpperCase()}/status`, { url: payUrl(order_id) });
  expect(summary(upper)).toEqual([200, shown("paid")]);
  await expectRefusal(400, "invalid order_id", () => server.user("GET", "orders/%7B%7D/status"));
});

describe("a URL signed for one order", () => {
  test("opens no other, by any verb, in any spelling", async () => {
    const [own, other] = [await server.createOrder(), await server.createOrder()];
    const urls = [
      payUrl(other),
      payUrl(other.toUpperCase()),
      `${shop_origin}/pay/${other}`,
      `${shop_origin}/#${other}`,
      payUrl(other.replaceAll("-", "%2D")),
      `${payUrl(other)}&session=${unknown_id}`,
    ];
    for (const url of urls) {
      for (const verb of ["payment", "cancel"]) {
        await expectRefusal(404, "order not found", () =>
          server.user("POST", `orders/${own}/${verb}`, { url, body: eth_usdt }),
        );
      }
      await expectRefusal(404, "order not found", () => server.user("GET", `orders/${own}/status`, { url }));
    }
    expect((await server.user("GET", `orders/${own}/status`)).body).toContain('"pending"');
  });

  test("is told so only after everything else about the request is right", async () => {
    const [own, other] = [await server.createOrder(), await server.createOrder()];
    const url = payUrl(other);
    await expectRefusal(400, "invalid JSON body", () =>
      server.user("POST", `orders/${own}/payment`, { url, body: "{" }),
    );
    await server.user("POST", `orders/${own}/cancel`);
    await expectRefusal(404, "order not found", () => server.user("POST", `orders/${own}/cancel`, { url }));
  });

  test("opens its own although it names another as well", async () => {
    const [own, other] = [await server.createOrder(), await server.createOrder()];
    const url = `${payUrl(own.toUpperCase())}&after=${other}`;
    expect((await server.user("GET", `orders/${own}/status`, { url })).status).toBe(200);
  });

  test("lists the pairs to choose from", async () => {
    expect((await server.user("GET", "chains", { url: payUrl(await server.createOrder()) })).status).toBe(200);
  });

  test("is not needed unless the merchant asks for it", async () => {
    const order_id = await server.createOrder();
    const urls = [`${shop_origin}/`, payUrl(unknown_id)];
    for (const url of urls) expect((await server.user("GET", `orders/${order_id}/status`, { url })).status).toBe(200);

    const current = server.config.current();
    server.config.replace({ ...current, merchant: { ...current.merchant, strict_url_binding: true } });
    for (const url of urls) {
      await expectRefusal(404, "order not found", () => server.user("GET", `orders/${order_id}/status`, { url }));
    }
    expect((await server.user("GET", `orders/${order_id}/status`)).status).toBe(200);
    expect((await server.user("GET", "chains")).status).toBe(200);
    server.config.replace(current);
  });
});

describe("a browser of another origin", () => {
  const path = `/api/v1/user/orders/${unknown_id}/payment`;
  const asks = (origin: string) => ({ Origin: origin, "Access-Control-Request-Method": "POST" });
  const cors = ({ headers }: Answer) =>
    [...headers].filter(([name]) => name.startsWith("access-control-")).map(([name, value]) => `${name}: ${value}`);

  test("that is configured gets its preflight", async () => {
    const answer = await server.request("OPTIONS", path, asks(shop_origin));
    expect(summary(answer)).toEqual([204, ""]);
    expect(cors(answer).sort()).toEqual([
      "access-control-allow-headers: Content-Type, Ocrch-Signature, Ocrch-Signed-Url, Prefer, traceparent, tracestate, baggage, sentry-trace",
      "access-control-allow-methods: POST, OPTIONS",
      `access-control-allow-origin: ${shop_origin}`,
      "access-control-max-age: 600",
    ]);
    expect(answer.headers.get("vary")).toBe("Origin");
  });

  test("that is foreign gets 204 and nothing allowed", async () => {
    for (const origin of ["https://evil.example", "null", `${shop_origin}.evil.example`]) {
      const answer = await server.request("OPTIONS", path, asks(origin));
      expect([answer.status, ...cors(answer)]).toEqual([204]);
      expect(answer.headers.get("vary")).toBe("Origin");
    }
  });

  test("reads answers and refusals when it is configured, and neither when it is foreign", async () => {
    const rows: [status: number, act: (headers: Headings) => Promise<Answer>][] = [
      [200, (headers) => server.user("GET", "chains", { headers })],
      [401, (headers) => server.request("GET", "/api/v1/user/chains", headers)],
      [404, (headers) => server.user("GET", `orders/${unknown_id}/status`, { headers })],
      [404, (headers) => server.request("GET", "/api/v1/user/nothing", headers)],
      [405, (headers) => server.request("PUT", "/api/v1/user/chains", headers)],
    ];
    for (const [status, act] of rows) {
      const own = await act({ Origin: shop_origin });
      expect([own.status, ...cors(own)]).toEqual([
        status,
        `access-control-allow-origin: ${shop_origin}`,
        "access-control-expose-headers: Preference-Applied, Retry-After, X-Request-Id",
      ]);
      const foreign = await act({ Origin: "https://evil.example" });
      expect([foreign.status, ...cors(foreign)]).toEqual([status]);
      for (const answer of [own, foreign, await act({})]) expect(answer.headers.get("vary")).toBe("Origin");
    }
  });

  test("gets no preflight outside the User API", async () => {
    for (const path of ["/api/v1/service/orders", "/api/v1/admin/orders", "/health"]) {
      const answer = await server.request("OPTIONS", path, asks(shop_origin));
      expect(summary(answer)).toEqual([405, "method not allowed"]);
      expect([...cors(answer), answer.headers.get("vary")]).toEqual([null]);
    }
    const unknown = await server.request("OPTIONS", "/api/v1/user/nothing", asks(shop_origin));
    expect(summary(unknown)).toEqual([404, "not found"]);
  });
});
