// The one door to time, chance, network, files and death. Everything above takes a World; only this file and files.ts
// may name the globals behind it, so a whole run can be replayed in a simulated one.

import { lookup } from "node:dns/promises";
import { type Files, realFiles } from "./files.ts";

/** What one incoming WebSocket connection offers to the side that feeds it. */
export interface Socket {
  /** Sends one text frame. Returns the bytes waiting in the connection's buffer; Infinity when the frame was dropped. */
  send(text: string): number;
  close(code: number, reason?: string): void;
}

/** What the HTTP door hands the listener for one upgraded connection. */
export interface SocketHandlers {
  opened(socket: Socket): void;
  closed(): void;
}

/** Passed beside each request: the peer's address, the WebSocket upgrade and the idle limit. */
export interface Connection {
  address: string;
  /** Turns this request into a WebSocket, with `headers` on the answer; false when the request cannot be upgraded. */
  upgrade(handlers: SocketHandlers, headers?: Record<string, string>): boolean;
  /** Lifts the connection's idle limit until this request is answered. */
  disableIdleTimeout(): void;
}

export interface Listener {
  port: number;
  hostname: string;
  /** Stops accepting. With `true` open connections are cut, otherwise they may finish. */
  stop(cut: boolean): Promise<void>;
}

export interface ListenOptions {
  hostname: string;
  port: number;
  max_body_bytes: number;
  /** How long a connection may be silent between requests, or while one is handled. */
  idle_timeout_s?: number;
  /** How long a WebSocket may be silent, pongs included; pings go out before. */
  socket_idle_timeout_s?: number;
  answer(request: Request, connection: Connection): Response | Promise<Response>;
}

/** An outgoing request with the two things `fetch` has no standard place for. */
export interface FetchInit extends RequestInit {
  /** TLS server name to verify when the URL holds a bare address. */
  server_name?: string;
}

export interface Passwords {
  /** An argon2id hash in PHC form. */
  hash(secret: string): Promise<string>;
  verify(secret: string, hash: string): Promise<boolean>;
}

export type Signal = "SIGHUP" | "SIGTERM" | "SIGINT";

export interface World {
  /** Wall clock, milliseconds since 1970. */
  now(): number;
  /** Monotonic clock, milliseconds. Every timeout is measured on it. */
  elapsed(): number;
  random(bytes: number): Uint8Array;
  /** Resolves after `ms`, or at once when the signal aborts. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Runs `act` after `ms` unless the returned function was called first. */
  timer(ms: number, act: () => void): () => void;
  /** Runs `act` after the I/O callbacks of this turn of the event loop. */
  defer(act: () => void): void;
  fetch(url: string, init: FetchInit): Promise<Response>;
  /** Every address a host name stands for. Throws when the name has none. */
  resolve(host: string): Promise<string[]>;
  listen(options: ListenOptions): Listener;
  files: Files;
  passwords: Passwords;
  /** Calls `act` at each such signal until the returned function is called. */
  onSignal(signal: Signal, act: () => void): () => void;
  env(name: string): string | undefined;
  print(text: string): void;
  warn(text: string): void;
  exit(status: number): never;
  /** A named crash point: nothing in production; tests die here. */
  point(name: string): void;
}

const server_idle_timeout_s = 30;
/** Bun pings 16 s before a socket has been idle for this long: proxies that cut after 60 s keep it. */
const socket_idle_timeout_s = 36;
/** Frames of clients are ignored; a longer one closes the socket with 1009. */
const socket_payload_max_bytes = 1024;
/** Behind the door's own close of a slow reader: what would wait above this is dropped. */
const socket_waiting_max_bytes = 65_536;

/** The real world: this process, this machine. */
export function realWorld(): World {
  return {
    now: () => Date.now(),
    elapsed: () => performance.now(),
    random: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const done = () => {
          clearTimeout(handle);
          signal?.removeEventListener("abort", done);
          resolve();
        };
        const handle = setTimeout(done, ms);
        signal?.addEventListener("abort", done);
      }),
    timer: (ms, act) => {
      const handle = setTimeout(act, ms);
      return () => clearTimeout(handle);
    },
    defer: (act) => void setImmediate(act),
    fetch: realFetch,
    resolve: async (host) => (await lookup(host, { all: true })).map((entry) => entry.address),
    listen,
    files: realFiles,
    passwords: {
      hash: (secret) => Bun.password.hash(secret, { algorithm: "argon2id" }),
      verify: (secret, hash) => Bun.password.verify(secret, hash),
    },
    onSignal: (signal, act) => {
      process.on(signal, act);
      return () => void process.off(signal, act);
    },
    env: (name) => process.env[name],
    print: (text) => tell(process.stdout, text),
    warn: (text) => tell(process.stderr, text),
    exit: (status) => process.exit(status),
    point: () => {},
  };
}

/** A reader that went away must not take the process with it: what nobody reads is dropped. */
function tell(stream: NodeJS.WriteStream, text: string): void {
  if (stream.listenerCount("error", dropped) === 0) stream.on("error", dropped);
  stream.write(`${text}\n`);
}

function dropped(): void {}

function realFetch(url: string, init: FetchInit): Promise<Response> {
  const { server_name, ...rest } = init;
  return fetch(url, server_name === undefined ? rest : { ...rest, tls: { serverName: server_name } });
}

interface SocketData {
  handlers: SocketHandlers;
}

function listen(options: ListenOptions): Listener {
  const idle_timeout_s = options.idle_timeout_s ?? server_idle_timeout_s;
  const server = Bun.serve<SocketData>({
    hostname: options.hostname,
    port: options.port,
    maxRequestBodySize: options.max_body_bytes,
    idleTimeout: idle_timeout_s,
    // Never a page with source lines, whatever a handler lets escape.
    development: false,
    // Outside development Bun shares a port that is taken; two servers would answer in turns.
    reusePort: false,
    error: () => new Response("internal server error", { status: 500 }),
    async fetch(request, server) {
      let upgraded = false;
      let isUnlimited = false;
      const answer = await options.answer(request, {
        address: server.requestIP(request)?.address ?? "",
        upgrade: (handlers, headers = {}) => {
          upgraded = server.upgrade(request, { data: { handlers }, headers });
          return upgraded;
        },
        disableIdleTimeout() {
          isUnlimited = true;
          server.timeout(request, 0);
        },
      });
      if (isUnlimited) server.timeout(request, idle_timeout_s);
      return upgraded ? undefined : answer;
    },
    websocket: {
      idleTimeout: options.socket_idle_timeout_s ?? socket_idle_timeout_s,
      sendPings: true,
      maxPayloadLength: socket_payload_max_bytes,
      backpressureLimit: socket_waiting_max_bytes,
      open(ws) {
        ws.data.handlers.opened({
          send: (text) => {
            const sent = ws.sendText(text);
            return sent === 0 ? Number.POSITIVE_INFINITY : ws.getBufferedAmount();
          },
          close: (code, reason) => ws.close(code, reason),
        });
      },
      message() {},
      close(ws) {
        ws.data.handlers.closed();
      },
    },
  });
  return {
    port: server.port ?? options.port,
    hostname: options.hostname,
    stop: async (cut) => {
      await server.stop(cut);
    },
  };
}
