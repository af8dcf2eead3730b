// The server as a machine keeps it: started, killed, stopped, started again on the same database file. Knows the file
// handles of the life that runs, so that a kill leaves none of its locks behind.

import { Database as Sqlite } from "bun:sqlite";
import type { App, startApp } from "../../src/app.ts";
import type { Config } from "../../src/config/config.ts";
import type { parseConfig } from "../../src/config/parse.ts";
import type { extensionHooks, extensionSections } from "../../src/extensions.ts";
import type { createEventLog, withResumedLog } from "../../src/services/event-log.ts";
import type { createOperator } from "../../src/services/operator.ts";
import type { createPaymentRules } from "../../src/services/payment-rules.ts";
import type { migrateDatabase, openForCommand } from "../../src/storage/engine/open.ts";
import type { createTelemetry } from "../../src/telemetry.ts";
import type { SocketHandlers } from "../../src/world.ts";
import { createLife, Death, type Life, type Surroundings } from "./world.ts";

/** The product's own verbs, from the source tree under test. */
export interface Product {
  startApp: typeof startApp;
  createTelemetry: typeof createTelemetry;
  parseConfig: typeof parseConfig;
  openForCommand: typeof openForCommand;
  extensionHooks: typeof extensionHooks;
  extensionSections: typeof extensionSections;
  migrateDatabase: typeof migrateDatabase;
  createEventLog: typeof createEventLog;
  withResumedLog: typeof withResumedLog;
  createOperator: typeof createOperator;
  createPaymentRules: typeof createPaymentRules;
}

export interface Answer {
  status: number;
  text: string;
}

export interface Server {
  /** Starts a new life; does nothing while one lasts. */
  start(): void;
  kill(): void;
  /** SIGTERM: resolves when it has stopped. */
  stop(): Promise<void>;
  reload(config: Config): void;
  /** Reloads settings that must be refused, by a Fault whose words hold `words`, and must change nothing. */
  reloadInVain(config: Config, words: string): void;
  /** The life that runs, ready or not. */
  life(): Life | null;
  isReady(): boolean;
  /** Stops that were asked for and went well. */
  stops(): number;
  /** Closes what a life that has ended left open. True when one has ended since the last call. */
  bury(): boolean;
  /** Rejects while there is no server, or when it dies before the answer. */
  request(method: string, path: string, headers: Record<string, string>, body?: string): Promise<Answer>;
  /** Opens a WebSocket; null when it was refused. */
  socket(path: string, headers: Record<string, string>): Promise<SocketHandlers | null>;
  deaths(): number;
}

const client_address = "203.0.113.7";
const socket_headers = {
  upgrade: "websocket",
  connection: "upgrade",
  "sec-websocket-version": "13",
  "sec-websocket-key": "c2ltdWxhdGVkIGNsaWVudA==",
};

/** A server that is not running yet. `fail` hears of what must never happen, whatever the world does. */
export function createServer(needs: {
  product: Product;
  surroundings: Surroundings;
  config: Config;
  /** Hears that a life follows the newest settings. */
  followed(): void;
  fail(words: string): void;
  /** Hears of every death. */
  count(kind: string): void;
}): Server {
  const { product, surroundings, fail, count } = needs;
  const handles = new Set<Sqlite>();
  let config = needs.config;
  let life: Life | null = null;
  let app: App | null = null;
  let starting = false;
  let stopping = false;
  let stops = 0;
  let deaths = 0;
  /** The settings the life that runs has. */
  let current = needs.config;
  let reloads = Promise.resolve();

  const run = Sqlite.prototype.run;
  function collect(on: boolean): void {
    starting = on;
    Sqlite.prototype.run = on
      ? function (this: Sqlite, ...given: Parameters<typeof run>) {
          handles.add(this);
          return run.apply(this, given);
        }
      : run;
  }

  /** Makes the life that runs follow the newest settings, one reload after the other, as signals do. */
  function follow(): void {
    const [running, reloading] = [life, app];
    if (running === null || reloading === null || running.isDead()) return;
    reloads = reloads.then(async () => {
      if (life !== running || running.isDead() || stopping || current === config) return;
      const next = config;
      try {
        await reloading.reload(next);
        current = next;
        if (current === config) needs.followed();
      } catch (error) {
        if (!running.isDead()) fail(`a reload failed: ${String(error)}`);
      }
    });
  }

  function release(): void {
    for (const handle of handles) {
      try {
        if (handle.inTransaction) run.call(handle, "ROLLBACK");
        handle.close();
      } catch {
        // Closed by the life itself.
      }
    }
    handles.clear();
  }

  function connection(upgrade: (handlers: SocketHandlers) => boolean) {
    return { address: client_address, upgrade, disableIdleTimeout() {} };
  }

  async function send(method: string, path: string, headers: Record<string, string>, body?: string) {
    if (life === null || app === null) throw new Death("connection refused");
    const init = body === undefined ? { method, headers } : { method, headers, body };
    let handlers: SocketHandlers | null = null;
    const request = new Request(`http://127.0.0.1:8080${path}`, init);
    const response = await life.request(
      request,
      connection((given) => {
        handlers = given;
        return true;
      }),
    );
    return { response, handlers: handlers as SocketHandlers | null };
  }

  return {
    life: () => life,
    isReady: () => app !== null && life !== null && !life.isDead() && !stopping,
    stops: () => stops,
    deaths: () => deaths,
    start() {
      if (life !== null) return;
      const born = createLife(surroundings);
      life = born;
      current = config;
      needs.followed();
      reloads = Promise.resolve();
      collect(true);
      const telemetry = product.createTelemetry(born.world);
      product.startApp({ world: born.world, telemetry, config, version: "simulated", migrateFirst: false }).then(
        (started) => {
          if (life === born && !born.isDead()) {
            app = started;
            collect(false);
            follow();
          }
        },
        (error: unknown) => {
          if (born.isDead()) return;
          fail(`the server did not start: ${String(error)}`);
        },
      );
    },
    kill: () => life?.kill(),
    async stop() {
      if (app === null || life === null || stopping) return;
      const [ending, dying] = [app, life];
      stopping = true;
      try {
        await ending.stop();
        if (dying.isDead()) return;
        app = null;
        stops += 1;
        dying.kill("stopped");
      } catch (error) {
        if (!dying.isDead()) fail(`the server did not stop: ${String(error)}`);
      }
    },
    reload(next) {
      config = next;
      follow();
    },
    reloadInVain(next, words) {
      const [running, reloading] = [life, app];
      if (running === null || reloading === null || running.isDead()) return;
      reloads = reloads.then(async () => {
        if (life !== running || running.isDead() || stopping) return;
        const refusal = await reloading.reload(next).then(
          () => "nothing",
          (error: unknown) => String(error),
        );
        if (!running.isDead() && !refusal.includes(words)) fail(`a reload was answered with ${refusal}`);
      });
    },
    bury() {
      if (life === null || !life.isDead()) return false;
      count(`died ${starting ? "while starting, " : ""}${life.diedOf()}`);
      if (starting) collect(false);
      release();
      life = null;
      app = null;
      stopping = false;
      deaths += 1;
      return true;
    },
    async request(method, path, headers, body) {
      const { response } = await send(method, path, headers, body);
      return { status: response.status, text: await response.text() };
    },
    async socket(path, headers) {
      const { handlers } = await send("GET", path, { ...headers, ...socket_headers });
      return handlers;
    },
  };
}
