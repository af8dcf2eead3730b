// The HTTP door on a real listener over a real database, with a wall clock moved by hand. Signs requests from the
// contract alone, so that it shares no signing code with the server it tests.

import { createHmac } from "node:crypto";
import { connect } from "node:net";
import { type Config, type LiveConfig, liveConfig, type Wallet } from "../../src/config/config.ts";
import { type ChainId, chainFacts, tokens } from "../../src/domain/assets.ts";
import { extensions } from "../../src/extensions.ts";
import { createHttp, type HttpDoor, max_body_bytes } from "../../src/http/server.ts";
import { createOutbound } from "../../src/outbound.ts";
import { createCheckout } from "../../src/services/checkout.ts";
import type { Claims, TransferLookup } from "../../src/services/claims.ts";
import { createInbox, type Inbox } from "../../src/services/inbox.ts";
import { createOperator, type Operator } from "../../src/services/operator.ts";
import { createOrderFeed, type OrderFeed } from "../../src/services/order-feed.ts";
import { createPaymentRules, type PaymentRules } from "../../src/services/payment-rules.ts";
import { createWatching } from "../../src/services/watching.ts";
import type { Database } from "../../src/storage/engine/database.ts";
import { type EventRow, eventsAfter } from "../../src/storage/outbox.ts";
import { createTelemetry, type Telemetry } from "../../src/telemetry.ts";
import { realWorld, type World } from "../../src/world.ts";
import { no_keys } from "./appliance.ts";
import { claimsOver } from "./claims.ts";
import { tempDatabase } from "./temp-database.ts";

export const merchant_secret = "test-merchant-secret";
export const admin_secret = "test-admin-secret";
export const version = "9.8.7";
export const shop_origin = "https://checkout.example.com";
export const webhook_url = "https://your-app.example.com/webhooks/ocrch";
export const evm_wallet = "0x52908400098527886E0F7030069857D2E4169EE7";
export const tron_wallet = "TJCnKsPa7y5okkXvQAidZBzqx3QyQ6sxMW";
/** The time of the signature vectors. */
export const start_ms = 1_711_900_800_000;

const events_max = 100_000;
const raw_timeout_ms = 60_000;
/** As cheap as argon2 gets: what is tested is who pays for it. */
const admin_hash = await Bun.password.hash(admin_secret, { algorithm: "argon2id", memoryCost: 8, timeCost: 1 });

export const wallets: readonly Wallet[] = [
  { chain: "eth", address: evm_wallet, coins: ["USDT", "USDC"], starting_tx: null },
  { chain: "polygon", address: evm_wallet, coins: ["USDT", "USDC", "DAI"], starting_tx: null },
  { chain: "tron", address: tron_wallet, coins: ["USDT"], starting_tx: null },
];

/** Settings a test may change, section by section. */
export type Settings = { [Section in keyof Config]?: Partial<Config[Section]> };

/** Complete settings of a test merchant. */
export function testConfig(settings: Settings = {}): Config {
  const chosen = (settings.wallets as Config["wallets"] | undefined) ?? wallets;
  return {
    path: "/etc/ocrch/ocrch-config.toml",
    server: {
      hostname: "127.0.0.1",
      port: 0,
      public_url: null,
      signature_window_ms: 300_000,
      trusted_proxies: [],
      ...settings.server,
    },
    database: { path: "/var/lib/ocrch/ocrch.db" },
    admin: { secret_hash: admin_hash, ...settings.admin },
    merchant: {
      name: "Test shop",
      secret: merchant_secret,
      previous_secret: null,
      allowed_origins: [shop_origin],
      unknown_transfer_webhook_url: null,
      strict_url_binding: false,
      ...settings.merchant,
    },
    orders: {
      lifetime_ms: 3_600_000,
      late_window_ms: 86_400_000,
      max_surcharge: "0.05",
      underpaid_tolerance: [],
      overpaid_tolerance: [{ millionths: 100_000n }],
      ...settings.orders,
    },
    webhooks: {
      allow_private_targets: false,
      success: "2xx",
      signature_padding: true,
      timeout_ms: 15_000,
      ...settings.webhooks,
    },
    api_keys: no_keys,
    wallets: chosen,
    chains: new Map(chosen.map(({ chain }) => [chain, chainSettings(chain)])),
    spare_chains: new Map(),
  };
}

function chainSettings(id: ChainId) {
  return {
    id,
    facts: chainFacts[id],
    chain_id: chainFacts[id].chain_id,
    rpc_urls: ["http://127.0.0.1:1"],
    public_endpoints: false,
    explorer: null,
    api_keys: no_keys,
    finality: chainFacts[id].finality,
    poll_ms: 1000,
    idle_poll_ms: 1000,
    start_block: null,
    verify: { above: null, asked: false },
    requests: { per_second: null, per_day: null },
    tokens: tokens[id],
  };
}

/** The value of an `Ocrch-Signature` header; `at` in seconds. */
export function signature(message: "body" | "url", signed: string | Uint8Array, at: number | string): string {
  const mac = createHmac("sha256", merchant_secret);
  if (message === "body") mac.update(`${at}.`).update(signed);
  else mac.update(signed).update(`.${at}`);
  return `${at}.${mac.digest("base64")}`;
}

/** A whole answer. */
export interface Answer {
  status: number;
  body: string;
  headers: Headers;
}

export type Headings = Record<string, string>;

export interface TestServer extends PaymentRules {
  url: string;
  port: number;
  world: World;
  telemetry: Telemetry;
  config: LiveConfig;
  database: Database;
  database_path: string;
  operator: Operator;
  inbox: Inbox;
  claims: Claims;
  orderFeed: OrderFeed;
  http: HttpDoor;
  /** Log lines so far. */
  log: string[];
  /** Wall clock, ms. */
  now(): number;
  /** Moves the wall clock. */
  advance(ms: number): void;
  request(method: string, path: string, headers?: Headings, body?: string | Uint8Array): Promise<Answer>;
  /** A signed Service request; headers may replace the signature. */
  service(path: string, body: unknown, headers?: Headings): Promise<Answer>;
  /** A signed User request about an order, with a URL signed for that order unless another is given. */
  user(method: string, path: string, options?: UserOptions): Promise<Answer>;
  admin(method: string, path: string, headers?: Headings, body?: string): Promise<Answer>;
  /** Creates an order and returns its id. */
  createOrder(fields?: Record<string, unknown>): Promise<string>;
  /** The two headers of a User request. */
  userHeaders(url: string): Headings;
  /** Sends bytes as they are and resolves with what came back once an answer is complete or the connection ended. */
  raw(bytes: string): Promise<string>;
  events(): EventRow[];
  stop(): Promise<void>;
}

export interface UserOptions {
  url?: string;
  headers?: Headings;
  body?: string;
}

export interface ServerOptions {
  /** Stands in for the chains when a payer names a transaction; without it nothing is mined. */
  lookUp?: TransferLookup;
  settings?: Settings;
  world?: Partial<World>;
}

/** Starts a server on a free port. `world` replaces parts of the real one. */
export async function startTestServer(options: ServerOptions = {}): Promise<TestServer> {
  let clock_ms = start_ms;
  let counter = 0;
  const log: string[] = [];
  const world: World = { ...realWorld(), now: () => clock_ms, warn: (line) => void log.push(line), ...options.world };
  const telemetry = createTelemetry(world);
  const temp = tempDatabase({ world });
  const { database } = temp;
  const config = liveConfig(testConfig(options.settings));
  await createWatching({ database }).sync(config.current());
  const rules = createPaymentRules({ config });
  const checkout = createCheckout({ ...rules, database, config });
  const operator = createOperator({ ...rules, database, config });
  const inbox = createInbox({ ...rules, database, config });
  const claims = claimsOver({ database, config, world, telemetry }, options.lookUp);
  const orderFeed = createOrderFeed({ database, eventLog: { keep() {} } });
  const shared = { world, telemetry, config, checkout };
  const outbound = createOutbound({ world });
  const started = extensions.map((extension) => extension.start({ ...rules, ...shared, database, outbound }).http);
  const http = createHttp({ ...shared, orderFeed, claims, operator, inbox, extensions: started, version });
  const forget = database.onCommit(() => http.committed());
  const listener = world.listen({ hostname: "127.0.0.1", port: 0, max_body_bytes, answer: http.answer });
  const url = `http://127.0.0.1:${listener.port}`;
  const seconds = () => Math.floor(clock_ms / 1000);

  const request: TestServer["request"] = async (method, path, headers = {}, body) => {
    const answer = await fetch(`${url}${path}`, {
      method,
      headers,
      // Bytes carry no content type of their own.
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? new TextEncoder().encode(body) : new Uint8Array(body) }),
    });
    return { status: answer.status, body: await answer.text(), headers: answer.headers };
  };
  const userHeaders = (signed: string) => ({
    "Ocrch-Signed-Url": signed,
    "Ocrch-Signature": signature("url", signed, seconds()),
  });
  const service: TestServer["service"] = (path, body, headers = {}) => {
    const text = body instanceof Uint8Array || typeof body === "string" ? body : JSON.stringify(body);
    const signed = { "Ocrch-Signature": signature("body", text, seconds()) };
    return request("POST", `/api/v1/service/${path}`, { ...signed, ...headers }, text);
  };
  return {
    ...rules,
    url,
    port: listener.port,
    world,
    telemetry,
    config,
    database,
    database_path: temp.path,
    operator,
    inbox,
    claims,
    orderFeed,
    http,
    log,
    now: () => clock_ms,
    advance: (ms) => {
      clock_ms += ms;
    },
    request,
    service,
    user(method, path, { url: signed, headers = {}, body } = {}) {
      const order_id = /^orders\/([^/]*)/.exec(path)?.[1];
      const own = signed ?? (order_id === undefined ? `${shop_origin}/pay` : payUrl(order_id));
      const type: Headings = body === undefined ? {} : { "Content-Type": "application/json" };
      return request(method, `/api/v1/user/${path}`, { ...userHeaders(own), ...type, ...headers }, body);
    },
    admin: (method, path, headers = {}, body) =>
      request(method, `/api/v1/admin/${path}`, { "Ocrch-Admin-Authorization": admin_secret, ...headers }, body),
    async createOrder(fields = {}) {
      counter += 1;
      const answer = await service("orders", { order_id: `order-${counter}`, amount: "19.99", webhook_url, ...fields });
      if (answer.status !== 201) throw new Error(`no order: ${answer.status} ${answer.body}`);
      return (JSON.parse(answer.body) as { order_id: string }).order_id;
    },
    userHeaders,
    raw: (bytes) => exchange(listener.port, bytes),
    events: () => database.read((at) => eventsAfter(at, 0, events_max)),
    async stop() {
      forget();
      http.closeWaiting();
      await listener.stop(true);
      await temp.close();
    },
  };
}

/** The URL a merchant signs for an order. */
export function payUrl(order_id: string): string {
  return `${shop_origin}/pay?order_id=${order_id}`;
}

function exchange(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(Buffer.from(bytes, "latin1")));
    let text = "";
    const patience = setTimeout(() => end(() => reject(new Error(`no whole answer in time: ${text}`))), raw_timeout_ms);
    const end = (act: () => void) => {
      clearTimeout(patience);
      socket.destroy();
      act();
    };
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (isWhole(text)) end(() => resolve(text));
    });
    socket.on("close", () => end(() => resolve(text)));
    socket.on("error", (error) => end(() => reject(error)));
  });
}

function isWhole(text: string): boolean {
  const head = text.indexOf("\r\n\r\n");
  if (head < 0) return false;
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, head))?.[1] ?? 0);
  return text.length >= head + 4 + length;
}
