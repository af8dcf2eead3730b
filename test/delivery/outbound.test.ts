import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { errorCode, errorText } from "../../src/domain/errors.ts";
import { createOutbound, isPublicAddress, literalTarget, type OutboundRequest } from "../../src/outbound.ts";
import { realWorld, type World } from "../../src/world.ts";

const world = realWorld();
const trusted = createOutbound({ world });
const shop_address = "93.184.216.34";
const loopback = "127.0.0.1";

/** For the name shop.example, valid from 2020 to 2120 and vouched for by itself. It guards nothing. */
const test_key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgXe/ZSr0HOy++cZUc
0mLlW0BHVaPTqWOA+RYFZm6uwEKhRANCAAQReAZB5Ym0RT1zv7APq/EELfYtTm7c
8P/5ex3yIcbZtQuOPR+TZ5d9nqpp4WlnEUPWm7U8AtlUU6GLTuoZTIBt
-----END PRIVATE KEY-----`;
const test_certificate = `-----BEGIN CERTIFICATE-----
MIIBaTCCARCgAwIBAgIBATAKBggqhkjOPQQDAjAXMRUwEwYDVQQDDAxzaG9wLmV4
YW1wbGUwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBcxFTATBgNV
BAMMDHNob3AuZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABBF4BkHl
ibRFPXO/sA+r8QQt9i1Obtzw//l7HfIhxtm1C449H5Nnl32eqmnhaWcRQ9abtTwC
2VRToYtO6hlMgG2jSzBJMBcGA1UdEQQQMA6CDHNob3AuZXhhbXBsZTAPBgNVHRMB
Af8EBTADAQH/MB0GA1UdDgQWBBQEgjX9c/cMooXw3trVKzsyjzd8aDAKBggqhkjO
PQQDAgNHADBEAiAsudd1wa2C0Up9cznc2o4ThimJg7c7V4vKZLiavbTc2gIgbpQd
doMMjRk+7rwrwdVy3+HOTGl3m3uptNRaCTL++KQ=
-----END CERTIFICATE-----`;

interface Peer {
  port: number;
  /** Requests as they came over the wire. */
  received: string[];
  connections: number;
  /** Resolves when a client has closed a connection. */
  left: Promise<void>;
}

const servers: Server[] = [];
const sockets = new Set<Socket>();

/** A server that speaks in bytes, so that it may misbehave. `answer` is called once per request. */
async function peer(answer: (socket: Socket, request: string) => void): Promise<Peer> {
  const { promise: left, resolve } = Promise.withResolvers<void>();
  const self: Peer = { port: 0, received: [], connections: 0, left };
  const server = createServer((socket) => {
    self.connections++;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => resolve());
    socket.on("data", (data) => {
      const request = data.toString("latin1");
      self.received.push(request);
      answer(socket, request);
    });
  });
  servers.push(server);
  await new Promise<void>((listening) => server.listen(0, loopback, listening));
  self.port = (server.address() as AddressInfo).port;
  return self;
}

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers.splice(0)) server.close();
  sockets.clear();
});

const ok = (socket: Socket) => void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");

function ask(url: string, more: Partial<OutboundRequest> = {}): OutboundRequest {
  return {
    method: "POST",
    url,
    headers: { "content-type": "application/json" },
    body: "{}",
    timeout_ms: 5000,
    max_answer_bytes: 65_536,
    target: "trusted",
    ...more,
  };
}

/** Code and words of the fault a request ends in. */
async function refusal(sent: Promise<unknown>): Promise<{ code: string; words: string }> {
  try {
    await sent;
  } catch (error) {
    return { code: errorCode(error), words: errorText(error) };
  }
  throw new Error("nothing was refused");
}

const header = (request: string | undefined, name: string) =>
  new RegExp(`^${name}: (.*)\r$`, "im").exec(request ?? "")?.[1] ?? null;

describe("a request to a trusted target", () => {
  test("carries method, headers and exact body, and brings back status, headers and text", async () => {
    const shop = await peer((socket) => {
      const body = '{"é":1}';
      const head = `HTTP/1.1 429 Slow Down\r\nRetry-After: 7\r\nContent-Type: application/json\r\n`;
      socket.write(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    });
    const answer = await trusted.send(
      ask(`http://${loopback}:${shop.port}/hook?a=b%20c`, {
        headers: { "Ocrch-Signature": "1.QQ==" },
        body: '{"ü":2}',
      }),
    );
    expect(answer).toEqual({
      status: 429,
      text: '{"é":1}',
      cut: false,
      retry_after: "7",
      content_type: "application/json",
      date: null,
      redirect: null,
      body_error: null,
    });
    const [request = ""] = shop.received;
    expect(request).toStartWith("POST /hook?a=b%20c HTTP/1.1\r\n");
    expect(request).toEndWith(`\r\n\r\n${Buffer.from('{"ü":2}').toString("latin1")}`);
    expect(header(request, "ocrch-signature")).toBe("1.QQ==");
    expect(header(request, "user-agent")).toBe("ocrch");
    expect(header(request, "authorization")).toBeNull();
  });

  test("reads an answer without a body", async () => {
    const shop = await peer((socket) => void socket.write("HTTP/1.1 204 No Content\r\n\r\n"));
    const answer = await trusted.send(ask(`http://${loopback}:${shop.port}/`, { method: "GET", body: null }));
    expect(answer).toEqual({
      status: 204,
      text: "",
      cut: false,
      retry_after: null,
      content_type: null,
      date: null,
      redirect: null,
      body_error: null,
    });
    expect(shop.received[0]).toStartWith("GET / HTTP/1.1\r\n");
  });

  test("keeps its connection for the next one", async () => {
    const node = await peer(ok);
    for (let i = 0; i < 3; i++) await trusted.send(ask(`http://${loopback}:${node.port}/`));
    expect([node.connections, node.received.length]).toEqual([1, 3]);
  });

  test("sends credentials as Basic and no fragment", async () => {
    const shop = await peer(ok);
    await trusted.send(ask(`http://us%C3%A9r:p%3Aa%20s%25s@${loopback}:${shop.port}/hook?q=1#secret-fragment`));
    const [request = ""] = shop.received;
    expect(header(request, "authorization")).toBe(`Basic ${Buffer.from("usér:p:a s%s").toString("base64")}`);
    expect(request).toStartWith("POST /hook?q=1 HTTP/1.1\r\n");
    expect(request).not.toContain("secret-fragment");
    expect(request).not.toContain("@");
  });

  test("hands the world a URL without credentials and fragment", async () => {
    const asked: string[] = [];
    const fetch = async (url: string) => {
      asked.push(url);
      return new Response("");
    };
    const outbound = createOutbound({ world: { ...world, fetch, resolve: async () => [shop_address] } });
    await outbound.send(ask("https://user:pass@shop.example/hook?q=1#f"));
    await outbound.send(ask("https://user:pass@shop.example/hook?q=1#f", { target: "guarded" }));
    expect(asked).toEqual(["https://shop.example/hook?q=1", `https://${shop_address}/hook?q=1`]);
  });

  test("sends credentials whose percent signs mean nothing as they are", async () => {
    const shop = await peer(ok);
    await trusted.send(ask(`http://user:100%@${loopback}:${shop.port}/`));
    expect(header(shop.received[0], "authorization")).toBe(`Basic ${btoa("user:100%")}`);
  });

  for (const status of [301, 302, 303, 307, 308]) {
    test(`takes a redirect with ${status} as the answer`, async () => {
      const elsewhere = await peer(ok);
      const shop = await peer((socket) => {
        const location = `http://${loopback}:${elsewhere.port}/`;
        socket.write(`HTTP/1.1 ${status} Moved\r\nLocation: ${location}\r\nContent-Length: 5\r\n\r\nmoved`);
      });
      const answer = await trusted.send(ask(`http://${loopback}:${shop.port}/`));
      expect(answer).toMatchObject({ status, text: "moved" });
      expect(elsewhere.connections).toBe(0);
    });
  }
});

describe("limits", () => {
  const rows: [body: string, limit: number, text: string, cut: boolean][] = [
    ["12345", 5, "12345", false],
    ["123456", 5, "12345", true],
    ["1", 0, "", true],
    ["", 0, "", false],
    ["aé", 2, "a\uFFFD", true],
  ];
  for (const [body, limit, text, cut] of rows) {
    test(`${JSON.stringify(body)} with room for ${limit} bytes ${cut ? "is cut" : "is whole"}`, async () => {
      const head = `HTTP/1.1 200 OK\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
      const shop = await peer((socket) => void socket.write(head + body));
      const answer = await trusted.send(ask(`http://${loopback}:${shop.port}/`, { max_answer_bytes: limit }));
      expect([answer.text, answer.cut]).toEqual([text, cut]);
    });
  }

  test("a body that never ends is cut and its connection dropped", async () => {
    const shop = await peer((socket) => {
      const block = Buffer.alloc(65_536, "x");
      const pump = () => {
        while (!socket.destroyed && socket.write(block));
      };
      socket.on("drain", pump);
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n");
      pump();
    });
    const answer = await trusted.send(ask(`http://${loopback}:${shop.port}/`));
    expect([answer.status, answer.cut, answer.text.length]).toEqual([200, true, 65_536]);
    await shop.left;
  });

  test("what is beyond the limit is cancelled at once, not left to be collected some day", async () => {
    let cancelled = false;
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(1000)),
      cancel: () => {
        cancelled = true;
      },
    });
    const outbound = createOutbound({ world: { ...world, fetch: async () => new Response(endless) } });
    expect((await outbound.send(ask("http://shop.example/"))).cut).toBe(true);
    expect(cancelled).toBe(true);
  });

  test("a small body that unpacks to a huge one is cut", async () => {
    const packed = Bun.gzipSync(new Uint8Array(50_000_000).fill(0x78));
    const shop = await peer((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${packed.length}\r\n\r\n`);
      socket.write(packed);
    });
    const answer = await trusted.send(ask(`http://${loopback}:${shop.port}/`));
    expect([answer.cut, answer.text]).toEqual([true, "x".repeat(65_536)]);
  });

  const slow: [name: string, answer: (socket: Socket) => void][] = [
    ["never answers", () => {}],
    ["sends half a header", (socket) => void socket.write("HTTP/1.1 200 OK\r\nContent-")],
    [
      "drips its headers",
      (socket) => {
        socket.write("HTTP/1.1 200 OK\r\n");
        drip(socket, "X-A: b\r\n");
      },
    ],
    ["stops inside the body", (socket) => void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")],
    [
      "drips its body",
      (socket) => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        drip(socket, "x");
      },
    ],
    [
      "drips its chunks",
      (socket) => {
        socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        drip(socket, "1\r\nx\r\n");
      },
    ],
  ];
  for (const [name, answer] of slow) {
    test(`a server that ${name} is left at the deadline`, async () => {
      const shop = await peer(answer);
      const started = performance.now();
      const { code, words } = await refusal(
        trusted.send(ask(`http://${loopback}:${shop.port}/hook?key=k`, { timeout_ms: 500 })),
      );
      expect([code, words]).toEqual(["outbound_timeout", `${loopback}:${shop.port} did not answer within 500 ms`]);
      expect(performance.now() - started).toBeWithin(490, 4000);
      // On a machine so busy that nothing was sent by then, there is no connection to leave.
      if (shop.received.length > 0) await shop.left;
    });
  }

  for (const [name, answer] of slow.slice(3)) {
    test(`a server that ${name} has answered where its status suffices`, async () => {
      const shop = await peer(answer);
      const url = `http://${loopback}:${shop.port}/`;
      const sent = await trusted.send(ask(url, { timeout_ms: 500, status_suffices: true }));
      expect(sent).toMatchObject({ status: 200, text: "", body_error: "outbound_timeout" });
      await shop.left;
    });
  }

  test("a server that never answers has not, though its status would suffice", async () => {
    const shop = await peer(() => {});
    const url = `http://${loopback}:${shop.port}/`;
    const sent = trusted.send(ask(url, { timeout_ms: 500, status_suffices: true }));
    expect((await refusal(sent)).code).toBe("outbound_timeout");
  });

  test("the deadline covers a resolver that hangs, and nothing is sent afterwards", async () => {
    const { promise, resolve } = Promise.withResolvers<string[]>();
    const asked: string[] = [];
    const outbound = createOutbound({
      world: {
        ...world,
        resolve: () => promise,
        fetch: async (url) => {
          asked.push(url);
          return new Response("");
        },
      },
    });
    const sent = outbound.send(ask("https://shop.example/", { target: "guarded", timeout_ms: 50 }));
    expect((await refusal(sent)).code).toBe("outbound_timeout");
    resolve([shop_address]);
    await new Promise((turn) => setImmediate(turn));
    expect(asked).toEqual([]);
  });

  function drip(socket: Socket, text: string): void {
    const drops = setInterval(() => socket.write(text), 20);
    socket.on("close", () => clearInterval(drops));
  }
});

describe("a request that fails names the host and nothing else of the URL", () => {
  const failing: [name: string, answer: (socket: Socket) => void, code: string][] = [
    ["hangs up", (socket) => socket.destroy(), "ECONNRESET"],
    [
      "hangs up inside the body",
      (socket) => void socket.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"),
      "ECONNRESET",
    ],
    [
      "switches protocols unasked",
      (socket) => void socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
      "UnrequestedUpgrade",
    ],
    [
      "sends endless headers",
      (socket) => void socket.write(`HTTP/1.1 200 OK\r\nX-A: ${"a".repeat(3_000_000)}\r\n\r\n`),
      "ResponseHeadersTooLarge",
    ],
  ];
  for (const [name, answer, code] of failing) {
    test(`because the server ${name}`, async () => {
      const shop = await peer(answer);
      const found = await refusal(trusted.send(ask(`http://user:pass@${loopback}:${shop.port}/path-key?query-key`)));
      expect(found).toEqual({
        code: "outbound_failed",
        words: `the request to ${loopback}:${shop.port} failed (${code})`,
      });
    });
  }

  test("because nobody listens", async () => {
    const gone = await peer(ok);
    await new Promise((closed) => servers.pop()?.close(closed));
    expect(await refusal(trusted.send(ask(`http://user:pass@${loopback}:${gone.port}/path-key?query-key`)))).toEqual({
      code: "outbound_failed",
      words: `the request to ${loopback}:${gone.port} failed (ECONNREFUSED)`,
    });
  });

  for (const url of ["file:///etc/passwd", "data:text/plain,x", "ftp://a/", "blob:x", "nonsense", "", "//a/"]) {
    test(`because ${JSON.stringify(url)} is not spoken`, async () => {
      for (const target of ["trusted", "guarded"] as const) {
        expect(await refusal(trusted.send(ask(url, { target })))).toEqual({
          code: "target_refused",
          words: "only http and https are spoken",
        });
      }
    });
  }
});

interface Internet {
  world: World;
  resolved: string[];
  /** Addresses that were connected to, with the TLS name. */
  connected: string[];
}

/**
 * The real world on an internet where names stand for given addresses, one list per question, and where the shop's
 * public address leads to a server on this machine. Other addresses take no connection.
 */
function internet(...answers: (string[] | Error)[]): Internet {
  const resolved: string[] = [];
  const connected: string[] = [];
  return {
    resolved,
    connected,
    world: {
      ...world,
      async resolve(host) {
        const answer = answers[Math.min(resolved.push(host), answers.length) - 1];
        if (answer === undefined || answer instanceof Error) throw answer ?? new Error("no such name");
        return answer;
      },
      fetch(url, { server_name, ...init }) {
        const target = new URL(url);
        connected.push([target.hostname, server_name].filter((part) => part !== undefined).join(" "));
        if (target.hostname !== shop_address) {
          return Promise.reject(Object.assign(new Error("refused"), { code: "ECONNREFUSED" }));
        }
        target.hostname = loopback;
        const tls = { ca: test_certificate, ...(server_name === undefined ? {} : { serverName: server_name }) };
        return fetch(target.href, { ...init, tls });
      },
    },
  };
}

const guarded = (url: string, more: Partial<OutboundRequest> = {}) => ask(url, { target: "guarded", ...more });

describe("a request to a host that a stranger chose", () => {
  test("goes to the address that was checked, under the name that was meant", async () => {
    const shop = await peer(ok);
    const net = internet([shop_address]);
    const outbound = createOutbound({ world: net.world });
    const answer = await outbound.send(guarded(`http://u:p@shop.example:${shop.port}/hook?a=b#c`));
    expect(answer).toMatchObject({ status: 200, text: "ok" });
    expect([net.resolved, net.connected]).toEqual([["shop.example"], [shop_address]]);
    const [request = ""] = shop.received;
    expect(request).toStartWith("POST /hook?a=b HTTP/1.1\r\n");
    expect(header(request, "host")).toBe(`shop.example:${shop.port}`);
    expect(header(request, "authorization")).toBe(`Basic ${btoa("u:p")}`);
    expect(header(request, "accept-encoding")).toBe("identity");
    expect(header(request, "content-type")).toBe("application/json");
  });

  test("resolves once: an answer that changes between check and connection has nothing to change", async () => {
    const shop = await peer(ok);
    const net = internet([shop_address], [loopback]);
    const outbound = createOutbound({ world: net.world });
    await outbound.send(guarded(`http://shop.example:${shop.port}/`));
    expect([net.resolved.length, net.connected]).toEqual([1, [shop_address]]);
    expect((await refusal(outbound.send(guarded(`http://shop.example:${shop.port}/`)))).code).toBe("target_refused");
    expect(net.connected).toEqual([shop_address]);
  });

  test("leaves no connection behind and takes none that it finds", async () => {
    const shop = await peer(ok);
    const outbound = createOutbound({ world: internet([shop_address]).world });
    await trusted.send(ask(`http://${loopback}:${shop.port}/`));
    await outbound.send(guarded(`http://one.example:${shop.port}/`));
    await outbound.send(guarded(`http://two.example:${shop.port}/`));
    expect(shop.connections).toBe(3);
    await shop.left;
  });

  test("does not follow a redirect to a private address", async () => {
    const inside = await peer(ok);
    const shop = await peer((socket) => {
      const location = `http://${loopback}:${inside.port}/`;
      socket.write(`HTTP/1.1 307 Moved\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`);
    });
    const outbound = createOutbound({ world: internet([shop_address]).world });
    expect((await outbound.send(guarded(`http://shop.example:${shop.port}/`))).status).toBe(307);
    expect(inside.connections).toBe(0);
  });

  const refused: [name: string, addresses: string[]][] = [
    ["loopback", [loopback]],
    ["a private address", ["10.0.0.7"]],
    ["the metadata service", ["169.254.169.254"]],
    ["IPv6 loopback", ["::1"]],
    ["a mapped address", ["::ffff:10.0.0.1"]],
    ["a link-local address with its interface", ["fe80::1%eth0"]],
    ["a public and a private address", [shop_address, "192.168.1.1"]],
    ["a private and a public address", ["fd00::1", shop_address]],
    ["many public addresses and a private one", [...Array(20).fill(shop_address), loopback]],
    ["something that is no address", [shop_address, "shop.example"]],
  ];
  for (const [name, addresses] of refused) {
    test(`is refused when the name leads to ${name}`, async () => {
      const net = internet(addresses);
      const outbound = createOutbound({ world: net.world });
      expect(await refusal(outbound.send(guarded("https://u:p@shop.example/key")))).toEqual({
        code: "target_refused",
        words: "shop.example leads to an address that is not public",
      });
      expect(net.connected).toEqual([]);
    });
  }

  test("is refused for a private address in the URL, which no resolver is asked about", async () => {
    const shop = await peer(ok);
    const net = internet([shop_address]);
    const outbound = createOutbound({ world: net.world });
    for (const host of [loopback, "localhost", "a.localhost.", "0x7f.1", "2130706433", "[::1]", "[::ffff:7f00:1]"]) {
      expect((await refusal(outbound.send(guarded(`http://${host}:${shop.port}/`)))).code).toBe("target_refused");
    }
    expect([net.resolved, net.connected, shop.connections]).toEqual([[], [], 0]);
    expect((await trusted.send(ask(`http://${loopback}:${shop.port}/`))).status).toBe(200);
  });

  test("goes straight to a public address in the URL", async () => {
    const shop = await peer(ok);
    const net = internet();
    const outbound = createOutbound({ world: net.world });
    expect((await outbound.send(guarded(`http://${shop_address}:${shop.port}/`))).status).toBe(200);
    expect([net.resolved, net.connected]).toEqual([[], [shop_address]]);
  });

  test("tries the next address while none takes a connection, IPv4 first", async () => {
    const shop = await peer(ok);
    const net = internet(["2606:2800::1", "8.8.8.8", shop_address]);
    const outbound = createOutbound({ world: net.world });
    expect((await outbound.send(guarded(`http://shop.example:${shop.port}/`))).status).toBe(200);
    expect(net.connected).toEqual(["8.8.8.8", shop_address]);
  });

  test("gives up after four addresses, with IPv6 in brackets", async () => {
    const net = internet(["2606:2800::1", "2606:2800::2", "8.8.8.8", "2606:2800::3", shop_address, "2606:2800::4"]);
    const outbound = createOutbound({
      world: { ...net.world, fetch: (url, init) => net.world.fetch(url.replace(shop_address, "8.8.4.4"), init) },
    });
    expect(await refusal(outbound.send(guarded("http://shop.example/key")))).toEqual({
      code: "outbound_failed",
      words: "the request to shop.example failed (ECONNREFUSED)",
    });
    expect(net.connected).toEqual(["8.8.8.8", "8.8.4.4", "[2606:2800::1]", "[2606:2800::2]"]);
  });

  test("is never sent twice once a server took it", async () => {
    const shop = await peer((socket) => socket.destroy());
    const net = internet([shop_address, shop_address]);
    const outbound = createOutbound({ world: net.world });
    expect((await refusal(outbound.send(guarded(`http://shop.example:${shop.port}/`)))).code).toBe("outbound_failed");
    expect(net.connected).toEqual([shop_address]);
  });

  test("fails when the name has no address", async () => {
    const nowhere = createOutbound({ world: internet(new Error("getaddrinfo ENOTFOUND")).world });
    expect(await refusal(nowhere.send(guarded("https://shop.example/key")))).toEqual({
      code: "outbound_failed",
      words: "the name shop.example does not resolve",
    });
    const empty = createOutbound({ world: internet([]).world });
    expect((await refusal(empty.send(guarded("https://shop.example/key")))).words).toBe("shop.example has no address");
  });
});

describe("TLS to a checked address", () => {
  const server = Bun.serve({
    hostname: loopback,
    port: 0,
    tls: { key: test_key, cert: test_certificate },
    fetch: (request) => new Response(request.headers.get("host")),
  });
  afterAll(() => server.stop(true));

  test("verifies the certificate against the name", async () => {
    const net = internet([shop_address]);
    const answer = await createOutbound({ world: net.world }).send(guarded(`https://shop.example:${server.port}/`));
    expect([answer.status, answer.text]).toEqual([200, `shop.example:${server.port}`]);
    expect(net.connected).toEqual([`${shop_address} shop.example`]);
  });

  test("refuses a certificate for another name, also right after a good connection to that address", async () => {
    const outbound = createOutbound({ world: internet([shop_address]).world });
    await outbound.send(guarded(`https://shop.example:${server.port}/`));
    expect(await refusal(outbound.send(guarded(`https://other.example:${server.port}/key`)))).toEqual({
      code: "outbound_failed",
      words: `the request to other.example:${server.port} failed (ERR_TLS_CERT_ALTNAME_INVALID)`,
    });
  });

  test("refuses a certificate nobody vouches for", async () => {
    const net = internet([shop_address]);
    const outbound = createOutbound({
      world: { ...net.world, fetch: (url, init) => world.fetch(url.replace(shop_address, loopback), init) },
    });
    const { words } = await refusal(outbound.send(guarded(`https://shop.example:${server.port}/`)));
    expect(words).toContain("(DEPTH_ZERO_SELF_SIGNED_CERT)");
  });
});

describe("addresses", () => {
  const closed = [
    ...["0.0.0.0", "0.1.2.3", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1", "127.1.2.3"],
    ...["169.254.0.1", "169.254.169.254", "172.16.0.0", "172.31.255.255", "192.0.0.1", "192.0.0.170", "192.0.2.1"],
    ...["192.88.99.1", "192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.1", "203.0.113.9"],
    ...["224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"],
    ...["::", "::1", "0:0:0:0:0:0:0:1", "::7f00:1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:8.8.8.8"],
    ...["::ffff:7f00:1", "::FFFF:10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a00:1"],
    ...["64:ff9b:1::8.8.8.8", "100::1", "2001::1", "2001:0:4136:e378::1", "2001:2::1", "2001:10::1", "2001:20::1"],
    ...["2001:1ff:ffff::1", "2001:db8::1", "2002:7f00:1::1", "2002:a00:1::", "2002:c0a8:101::1", "2002:a9fe:a9fe::"],
    ...["3fff::1", "4000::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "febf::1", "fec0::1", "feff::1"],
    ...[
      "ff02::1",
      "ff0e::1",
      "fe80::1%eth0",
      "2606:4700::1%eth0",
      "",
      "localhost",
      "shop.example",
      "1.1.1",
      "1.1.1.1.",
    ],
    ...[
      "1.1.1.1.1",
      "01.1.1.1",
      "1.1.1.256",
      "0x8.8.8.8",
      "134744072",
      " 1.1.1.1",
      "1.1.1.1 ",
      "1.1.1.1\n",
      "8.8.8.8:80",
    ],
    ...[
      "[2606:4700::1]",
      "2606:4700",
      "2606:4700:::1",
      "2606::4700::1",
      "1:2:3:4:5:6:7",
      "2606:4700::12345",
      "g::1",
      ":",
    ],
  ];
  for (const address of closed) {
    test(`${JSON.stringify(address)} is not public`, () => {
      expect(isPublicAddress(address)).toBe(false);
    });
  }

  const open = [
    ...["1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"],
    ...["128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0"],
    ...["192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.112.255", "223.255.255.255"],
    ...["2606:4700::1111", "2001:4860:4860::8888", "2001:200::1", "2a00:1450:4001:81b::200e", "2001:DB7::1"],
    ...["3ffe:ffff::1", "64:ff9b::8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"],
    ...["2606:4700:0:0:0:0:0:1111", "2606:4700:0:0:0:0:8.8.8.8"],
  ];
  for (const address of open) {
    test(`${address} is public`, () => {
      expect(isPublicAddress(address)).toBe(true);
    });
  }

  const hosts: [host: string, kind: "private" | "public" | "name"][] = [
    ...["127.0.0.1", "127.1", "127.0.1", "127.0.0.1.", "0x7f.1", "0x7f000001", "0X7F.0.0.1", "2130706433"].map(
      isPrivate,
    ),
    ...[
      "017700000001",
      "0177.0.0.1",
      "0177.1",
      "0x7f.0x0.0x0.0x1",
      "0",
      "0.0.0.0",
      "00000000.0",
      "%31%32%37.0.0.1",
    ].map(isPrivate),
    ...["１２７.０.０.１", "①②⑦.0.0.1", "127。0。0。1", "127.0.0.1%2e", "10.1", "0xa.1", "167772161", "012.1"].map(
      isPrivate,
    ),
    ...["192.168.257", "0xc0a80101", "3232235777", "172.16.1", "0xa9fea9fe", "2852039166", "169.254.43518"].map(
      isPrivate,
    ),
    ...["[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]"].map(isPrivate),
    ...["[fe80::1]", "[fd00:ec2::254]", "[FF02::1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001:db8::1]"].map(
      isPrivate,
    ),
    ...["localhost", "LOCALHOST", "LocalHost.", "a.localhost", "a.b.localhost.", "ⓛocalhost", "loc%61lhost"].map(
      isPrivate,
    ),
    ...["local\u00adhost", "user@127.0.0.1", "127.0.0.1:80", "shop.example@localhost", "255.255.255.255"].map(
      isPrivate,
    ),
    ["8.8.8.8", "public"],
    ["0x8.8.8.8", "public"],
    ["134744072", "public"],
    ["[2606:4700::1111]", "public"],
    ["127.0.0.1@8.8.8.8", "public"],
    ["shop.example", "name"],
    ["localhost.example", "name"],
    ["notlocalhost", "name"],
    ["127.0.0.1.example", "name"],
    ["127.0.0.1.nip.io", "name"],
    ["intranet", "name"],
  ];
  for (const [host, kind] of hosts) {
    test(`http://${host}/ is ${kind === "name" ? "a name" : kind}`, () => {
      for (const scheme of ["http", "https"]) expect(literalTarget(new URL(`${scheme}://${host}/x`))).toBe(kind);
    });
  }

  function isPrivate(host: string): [string, "private"] {
    return [host, "private"];
  }
});
