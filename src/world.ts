// The one door to time, chance, network, files and death. Everything above takes a World; only this file
// may name the globals behind it, so a whole run can be replayed in a simulated one.

import { lookup } from "node:dns/promises";
import * as fs from "node:fs";
import { dirname, resolve } from "node:path";

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

export interface Files {
  /** The text of a file, or null when there is none. Other failures throw. */
  read(path: string): string | null;
  exists(path: string): boolean;
  /** The permission bits of a file, or null when there is none. */
  mode(path: string): number | null;
  /** Bytes of a file, or null when there is none. */
  size(path: string): number | null;
  /** The disk a folder is on and whether files can be made there; null when there is no such folder. */
  disk(folder: string): { free_bytes: number; writable: boolean } | null;
  /** Replaces a file whole (write beside, fsync, rename), keeping mode and owner of the old one; behind a link, the file it leads to. */
  replace(path: string, text: string): void;
  copy(from: string, to: string): void;
  makeFolder(path: string): void;
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

/** As many as Linux follows. */
const links_max = 40;
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
    files,
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

const files: Files = {
  read(path) {
    try {
      return fs.readFileSync(path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
  },
  exists: (path) => fs.existsSync(path),
  mode(path) {
    const found = fs.statSync(path, { throwIfNoEntry: false });
    return found === undefined ? null : found.mode & 0o777;
  },
  size: (path) => fs.statSync(path, { throwIfNoEntry: false })?.size ?? null,
  disk(folder) {
    if (!fs.existsSync(folder)) return null;
    const { bavail, bsize } = fs.statfsSync(folder);
    return { free_bytes: bavail * bsize, writable: isWritable(folder) };
  },
  replace(named, text) {
    const old = fs.statSync(named, { throwIfNoEntry: false });
    const path = old === undefined ? named : fileBehind(named);
    const beside = `${path}.new`;
    const handle = fs.openSync(beside, "w", old ? old.mode & 0o777 : 0o600);
    try {
      fs.writeSync(handle, text);
      if (old) {
        fs.fchmodSync(handle, old.mode & 0o777);
        fs.fchownSync(handle, old.uid, old.gid);
      }
      fs.fsyncSync(handle);
    } catch (error) {
      fs.closeSync(handle);
      fs.rmSync(beside, { force: true });
      throw error;
    }
    fs.closeSync(handle);
    fs.renameSync(beside, path);
    const folder = fs.openSync(dirname(path), "r");
    fs.fsyncSync(folder);
    fs.closeSync(folder);
  },
  copy: (from, to) => fs.copyFileSync(from, to, fs.constants.COPYFILE_EXCL),
  makeFolder: (path) => void fs.mkdirSync(path, { recursive: true }),
};

/**
 * The file that a path leads to over its links. Throws for an open descriptor: it goes on reading what it was opened
 * with, whatever takes the name's place.
 */
function fileBehind(named: string): string {
  let path = named;
  for (let links = 0; links < links_max; links++) {
    const folder = fs.realpathSync(dirname(path));
    if (folder.startsWith("/proc/")) throw new Error(`${named} is an open descriptor and no file of its own`);
    if (!fs.lstatSync(path).isSymbolicLink()) return path;
    path = resolve(folder, fs.readlinkSync(path));
  }
  throw new Error(`${named} leads over too many links`);
}

function isWritable(folder: string): boolean {
  try {
    fs.accessSync(folder, fs.constants.W_OK | fs.constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
