// alone
// Thousands of requests nobody would write by hand. Whatever is asked, the product answers in time, with a
// status of its own list and in words that give nothing away, and its database stays what it must be.
// FUZZ_SEED repeats a run, FUZZ_REQUESTS makes it longer or shorter; fuzz-long runs a hundred thousand.

import { Database as Sqlite } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { tokens } from "../../src/domain/assets.ts";
import { createExpiry } from "../../src/services/expiry.ts";
import { createSettlement } from "../../src/services/settlement.ts";
import { watchesOf } from "../../src/storage/coverage.ts";
import type { Connection, SocketHandlers } from "../../src/world.ts";
import { admin_secret, evm_wallet, merchant_secret, startTestServer, type TestServer } from "../support/server.ts";
import { silent } from "../support/temp-database.ts";
import { type Attempt, createAttempts, type Known } from "./attempts.ts";
import { brokenBytes, wireBytes } from "./broken.ts";
import { type Chance, createChance } from "./chance.ts";
import { brokenInvariants } from "./invariants.ts";

const requests = Number(process.env.FUZZ_REQUESTS ?? 20_000);
const seed = Number(process.env.FUZZ_SEED ?? crypto.getRandomValues(new Uint32Array(1))[0]);
const time_limit_ms = 90_000;
/** However busy the machine is: no answer takes this long. */
const answer_limit_ms = 5000;
const batch_max = 64;
const connections = 32;
const clients = 10;
const wire_requests = Math.max(6000, Math.floor(requests / 20));
const wire_pieces_max = 3;
/** How long a silent connection is left open before its end is announced. */
const wire_patience_ms = 300;
/** What a healthy process grows by between the first fifth of the requests and the last, caches included. */
const growth_max_bytes = 192 * 2 ** 20;
const complaints_max = 5;
const refusal_max_chars = 200;
const strangers = 20;
/** So many requests reach every kind of answer. */
const telling_requests = 50_000;

const own_statuses = [101, 200, 201, 204, 400, 401, 403, 404, 405, 409, 413, 415, 426, 429];
/** What the listener itself says of bytes that are no HTTP. */
const listener_statuses = [400, 413, 414, 431, 501, 505];
/** What no client may ever read. */
const forbidden =
  /node_modules|\/src\/|\.ts\b|\bat \w+ \(|sqlite|constraint|drizzle|select |insert |\bTypeError|\bRangeError|SyntaxError|\[object|undefined|\bNaN\b|test-merchant-secret|test-admin-secret|argon2/i;

/** What could go wrong with the rows, and the question that would tell. */
const damages: readonly [sql: string, noticed: string][] = [
  ["DELETE FROM events WHERE n = 7", "events are numbered without gaps within a generation"],
  [
    "UPDATE events SET type = 'deposit_opened' WHERE type = 'order_created'",
    "an order is created once, and that is its first event",
  ],
  [
    "UPDATE orders SET status = 'expired' WHERE status = 'cancelled'",
    "an order that has ended has told so, one that is pending has told nothing else",
  ],
  [
    `UPDATE events SET body = '{"status":"cancelled"}' WHERE n IN (SELECT max(n) FROM events
     WHERE type = 'order_status_changed' AND body ->> 'status' = 'paid' GROUP BY order_id HAVING count(*) > 1)`,
    "statuses follow one another as the table allows; a resend repeats",
  ],
  ["UPDATE deliveries SET body = '{}' WHERE kind = 'order'", "every status is pushed once, in the bytes of its event"],
  ["UPDATE deliveries SET event = NULL WHERE id = 1", "nothing but statuses and unknown transfers is pushed"],
  [
    "UPDATE deposits SET closed_at = NULL, close_reason = NULL WHERE id = (SELECT id FROM deposits WHERE closed_at > 0)",
    "only pending orders have open deposits",
  ],
  [
    "UPDATE slots SET closed_at = NULL WHERE closed_at IS NOT NULL",
    "an open deposit holds its amount, a closed one has let it into quarantine",
  ],
  [
    "INSERT INTO slots (chain, coin, wallet, units, sender, deposit) SELECT chain, coin, wallet, units, 'x', deposit FROM slots",
    "no amount is promised to two payers",
  ],
  ["UPDATE orders SET amount = '1e3' WHERE seq = 1", "an order holds what a client may say"],
  ["UPDATE deposits SET amount = '7777777.1' WHERE id = 1", "a deposit asks for the order's amount or a little more"],
];

let server: TestServer;
let raw: Sqlite;
let expire: () => Promise<unknown>;
const known: Known = { orders: [], now_s: () => Math.floor(server.now() / 1000) };
const complaints: string[] = [];

beforeAll(async () => {
  console.log(`FUZZ_SEED=${seed} FUZZ_REQUESTS=${requests}`);
  server = await startTestServer({
    settings: {
      orders: { lifetime_ms: 120_000, late_window_ms: 60_000 },
      merchant: { unknown_transfer_webhook_url: "https://shop.example/unknown" },
    },
  });
  raw = new Sqlite(server.database_path, { readonly: true });
  expire = createExpiry(server).expireDue;
  await addStrangers();
});

afterAll(async () => {
  raw.close();
  await server.stop();
});

/** Transfers that fit no order, for the routes about transfers. */
async function addStrangers(): Promise<void> {
  const settlement = createSettlement({ ...server, telemetry: silent });
  const block = { number: 1, hash: "0xblock", time: known.now_s() };
  const transfers = Array.from({ length: strangers }, (_, n) => ({
    chain: "eth" as const,
    token: tokens.eth[0]?.address ?? "",
    sender: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    wallet: evm_wallet,
    units: BigInt(n + 1),
    tx_hash: `0xtx${n}`,
    position: 0,
    log_index: n,
    block,
  }));
  await settlement.ingest({
    chain: "eth",
    pass: "head",
    watches: server.database.read((at) => watchesOf(at, "eth")).map((watch) => watch.id),
    from: 1,
    end: block,
    provider: "node",
    zero_value: 0,
    transfers,
    gone: [],
    chainEnd: { head: block, final: { number: 0, hash: null, time: null } },
  });
  const ids = raw.query<{ id: number }, []>("SELECT id FROM transfers").all();
  const judged = ids.map(({ id }) => ({ id, block_hash: block.hash, verdict: "confirmed" as const }));
  await settlement.confirm("eth", judged);
}

/** Remembers what is wrong with an answer, and what was asked. */
function complain(what: string, asked: Attempt | Uint8Array): void {
  if (complaints.length >= complaints_max || complaints.some((one) => one.startsWith(what))) return;
  const shown = (bytes: Uint8Array) => JSON.stringify(Buffer.from(bytes).toString("latin1").slice(0, 1500));
  const request = shown(asked instanceof Uint8Array ? asked : wireBytes(asked));
  complaints.push(`${what}\n  seed ${seed}, asked: ${request}`);
}

/** What is wrong with an answer of the product; null: nothing. */
function problemOf(
  status: number,
  header: (name: string) => string | null,
  body: string,
  method: string,
): string | null {
  if (!own_statuses.includes(status)) return `status ${status} ${body}`;
  if (header("x-content-type-options") !== "nosniff") return `${status} without nosniff`;
  if (status === 405 && header("allow") === null) return "405 without Allow";
  if (status === 429 && !/^[1-9]\d*$/.test(header("retry-after") ?? "")) return "429 without Retry-After";
  // The listener drops the body that a refusal of HEAD still has here.
  if (method === "HEAD") return null;
  if (status >= 400) {
    if (header("content-type") !== "text/plain; charset=utf-8") return `${status} as ${header("content-type")}`;
    if (body === "" || body.length > refusal_max_chars || /\s$/.test(body))
      return `${status} saying ${JSON.stringify(body)}`;
    return forbidden.test(body) ? `${status} saying too much: ${body}` : null;
  }
  if (header("content-type")?.startsWith("application/json"))
    return isJson(body) ? null : `${status} with broken JSON ${body}`;
  return body === "" ? null : `${status} with a body of no type`;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** A connection whose sockets take frames, sometimes too slowly, and are gone at some later time. */
function connectionFor(chance: Chance, sockets: SocketHandlers[]): Connection {
  return {
    address: `10.0.0.${chance.int(clients)}`,
    upgrade(handlers) {
      if (chance.once(10)) return false;
      const waiting = chance.once(4) ? chance.pick([65_536, 65_537]) : 0;
      handlers.opened({
        send(text) {
          if (!isJson(text)) complain(`a frame that is no JSON: ${text}`, Buffer.from(text));
          return waiting;
        },
        close() {},
      });
      sockets.push(handlers);
      return true;
    },
    disableIdleTimeout() {},
  };
}

/** The request as the listener hands it over, its URL as it was sent; null when the runtime cannot hold it. */
function requestOf({ method, target, headers, body }: Attempt): Request | null {
  try {
    const list = new Headers();
    for (const [name, value] of headers) list.append(name, value);
    const payload = body === null || method === "GET" || method === "HEAD" ? null : new Uint8Array(body);
    const request = new Request("http://ocrch.example/", { method, headers: list, body: payload });
    Object.defineProperty(request, "url", { value: `http://ocrch.example${target}` });
    return request;
  } catch {
    return null;
  }
}

/** Rejects when an act takes longer than any answer may. */
async function inTime<T>(act: Promise<T>, what: () => string): Promise<T> {
  let patience: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    patience = setTimeout(
      () => reject(new Error(`seed ${seed}: no answer in ${answer_limit_ms} ms to ${what()}`)),
      answer_limit_ms,
    );
  });
  try {
    return await Promise.race([act, late]);
  } finally {
    clearTimeout(patience);
  }
}

function learn(status: number, body: string): void {
  const id = status === 201 ? /^\{"order_id":"([^"]+)"/.exec(body)?.[1] : undefined;
  if (id !== undefined && known.orders.at(-1) !== id) known.orders.push(id);
}

function residentBytes(): number {
  Bun.gc(true);
  return process.memoryUsage.rss();
}

describe("any request", () => {
  const seen = new Map<number, number>();
  const tally = (status: number) => void seen.set(status, (seen.get(status) ?? 0) + 1);
  const tallied = () => Object.fromEntries([...seen].sort(([a], [b]) => a - b));

  test(
    "is answered by the door in its own words",
    async () => {
      const chance = createChance(seed);
      const next = createAttempts(chance, known);
      const sockets: SocketHandlers[] = [];
      const end = performance.now() + time_limit_ms;
      let asked = 0;
      let early: number | null = null;
      const ask = async (attempt: Attempt) => {
        const request = requestOf(attempt);
        if (request === null) return;
        const answer = await server.http.answer(request, connectionFor(chance, sockets));
        const body = await answer.text();
        tally(answer.status);
        const problem = problemOf(answer.status, (name) => answer.headers.get(name), body, attempt.method);
        if (problem !== null) complain(problem, attempt);
        learn(answer.status, body);
      };
      while (asked < requests && complaints.length < complaints_max && performance.now() < end) {
        const batch = Array.from({ length: 1 + chance.int(batch_max) }, next);
        const all = Promise.all(batch.map(ask));
        await inTime(all, () => batch.map((attempt) => wireBytes(attempt).toString("latin1").slice(0, 300)).join("\n"));
        asked += batch.length;
        while (sockets.length > 50) sockets.splice(chance.int(sockets.length), 1)[0]?.closed();
        if (chance.once(3)) server.advance(chance.int(2000));
        if (chance.once(3)) await expire();
        if (early === null && asked >= requests / 5) early = residentBytes();
      }
      for (const socket of sockets) socket.closed();
      const grown = residentBytes() - (early ?? 0);
      console.log(`${asked} requests to the door, ${known.orders.length} orders; statuses`, tallied());
      console.log(`memory grew by ${Math.round(grown / 2 ** 20)} MiB after the first fifth`);
      expect(complaints).toEqual([]);
      expect(grown).toBeLessThan(growth_max_bytes);
      // The generator reaches what it is made for: every status there is but the listener's own.
      const missing = own_statuses.filter((status) => status !== 413 && !seen.has(status));
      if (asked >= telling_requests) expect(missing).toEqual([]);
    },
    time_limit_ms + answer_limit_ms,
  );

  test(
    "is answered or dropped by the listener, however broken its bytes are",
    async () => {
      complaints.length = 0;
      const chance = createChance(seed ^ 0x5eed);
      const next = createAttempts(chance, known);
      const wire_end = performance.now() + time_limit_ms - answer_limit_ms;
      const wire_seen = new Map<string, number>();
      let asked = 0;
      const worker = async () => {
        while (asked < wire_requests && complaints.length < complaints_max && performance.now() < wire_end) {
          asked += 1;
          const bytes = brokenBytes(chance, next());
          const answer = await inTime(exchange(chance, bytes), () => bytes.toString("latin1").slice(0, 500));
          const problem = wireProblem(answer);
          if (problem !== null) complain(problem, bytes);
          const status = /^HTTP\/1\.1 (\d+)/.exec(withoutContinue(answer))?.[1] ?? "none";
          wire_seen.set(status, (wire_seen.get(status) ?? 0) + 1);
        }
      };
      await Promise.all(Array.from({ length: connections }, worker));
      console.log(`${asked} requests over the wire; first statuses`, Object.fromEntries([...wire_seen].sort()));
      expect(complaints).toEqual([]);
      expect((await server.request("GET", "/health")).status).toBe(200);
    },
    time_limit_ms,
  );

  test("leaves the database as it must be", () => {
    expect(brokenInvariants(raw)).toEqual([]);
    const [count] = raw.query<{ orders: number }, []>("SELECT count(*) AS orders FROM orders").all();
    expect(new Set(known.orders).size).toBeLessThanOrEqual(count?.orders ?? 0);
  });

  test("would be noticed if it had not", () => {
    const copy = `${server.database_path}.copy`;
    raw.run(`VACUUM INTO '${copy}'`);
    const spoiled = new Sqlite(copy);
    for (const { name } of spoiled
      .query<{ name: string }, []>("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
      .all()) {
      spoiled.run(`DROP TRIGGER ${name}`);
    }
    const before = brokenInvariants(spoiled).length;
    for (const [damage, noticed] of damages) {
      spoiled.run("BEGIN");
      expect([damage, spoiled.run(damage).changes > 0]).toEqual([damage, true]);
      expect(brokenInvariants(spoiled).map(({ what }) => what)).toContain(noticed);
      spoiled.run("ROLLBACK");
    }
    expect([before, brokenInvariants(spoiled).length]).toEqual([0, 0]);
    spoiled.close();
  });

  test("leaves no trace of a secret or of an unexpected error in the log, and no endless list of counters", () => {
    const lines = server.log.filter(
      (line) => / error /.test(line) || [merchant_secret, admin_secret].some((secret) => line.includes(secret)),
    );
    expect(lines.slice(0, complaints_max)).toEqual([]);
    expect(server.telemetry.counters().size).toBeLessThan(500);
  });
});

/**
 * Sends bytes in a few pieces and resolves with what came back once an answer is whole or the connection is over. Where
 * the listener waits for more, it is told after a while that nothing will come, and must end the connection.
 */
async function exchange(chance: Chance, bytes: Buffer): Promise<string> {
  const size = Math.ceil(bytes.length / (1 + chance.int(wire_pieces_max)));
  const ended = Promise.withResolvers<void>();
  let received = "";
  let rest = bytes;
  const flush = (socket: { write(bytes: Uint8Array): number }) => {
    while (rest.length > 0) {
      const piece = rest.subarray(0, size);
      const written = Math.max(socket.write(piece), 0);
      rest = rest.subarray(written);
      if (written < piece.length) return;
    }
  };
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: server.port,
    socket: {
      open: flush,
      drain: flush,
      data(_socket, chunk) {
        received += Buffer.from(chunk).toString("latin1");
        if (isWhole(received)) ended.resolve();
      },
      close: () => ended.resolve(),
      error: () => ended.resolve(),
    },
  });
  const patience = setTimeout(() => socket.shutdown(), wire_patience_ms);
  await ended.promise;
  clearTimeout(patience);
  socket.terminate();
  return received;
}

/** An answer without the word that the body may be sent. */
function withoutContinue(received: string): string {
  return received.replace(/^(HTTP\/1\.1 100 Continue\r\n\r\n)+/, "");
}

/** True once an answer and its stated body are there; an upgrade is whole with its first frame. */
function isWhole(text: string): boolean {
  const received = withoutContinue(text);
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(received.slice(0, end))?.[1] ?? 0);
  return received.length >= end + 4 + length;
}

/** What is wrong with what came back over the wire: the product's answers, the listener's own, or nothing at all. */
function wireProblem(received: string): string | null {
  const answer = withoutContinue(received);
  if (answer === "") return null;
  const [, code = "", head = "", body = ""] = /^HTTP\/1\.1 (\d{3})[^\r]*\r\n(.*?\r\n)??\r\n(.*)$/s.exec(answer) ?? [];
  if (code === "") return `no HTTP came back: ${answer.slice(0, 200)}`;
  const is_ours = /^x-request-id: /im.test(head);
  const status = Number(code);
  if (!(is_ours ? own_statuses : listener_statuses).includes(status)) return `status ${answer.slice(0, 300)}`;
  return status >= 400 && forbidden.test(body) ? `saying too much: ${answer}` : null;
}
