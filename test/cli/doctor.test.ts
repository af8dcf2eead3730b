// `ocrch doctor` over real HTTP: a healthy appliance passes every check, and each planted fault is found and says what
// to mend.

import { Database as Sqlite } from "bun:sqlite";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, closeSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { run } from "../../src/cli/run.ts";
import { tronAddress } from "../../src/domain/address.ts";
import { createEventLog } from "../../src/services/event-log.ts";
import { openForServing } from "../../src/storage/engine/open.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld, type World } from "../../src/world.ts";
import { type Anvil, startAnvil } from "../support/anvil.ts";
import { configText, createFolder, type Folder } from "../support/appliance.ts";
import { accounts, type Coin, deployCoin } from "../support/coin.ts";
import { startExplorerEmulator } from "../support/explorer-emulator.ts";
import {
  alteringHeaders,
  answering,
  hanging,
  otherChain,
  type ProviderProxy,
  refusing,
  startProviderProxy,
} from "../support/provider-proxy.ts";
import { silent } from "../support/temp-database.ts";
import { startTronEmulator, type TronEmulator } from "../support/tron-emulator.ts";

const [, payer, shop] = accounts;
const mebibyte = 1024 ** 2;
const closed_port = "http://127.0.0.1:9";

interface Check {
  subject: string;
  check: string;
  verdict: string;
  words: string;
  code: string | null;
}

let anvil: Anvil;
let usdt: Coin;
let renamed: Coin;
let a: ProviderProxy;
let b: ProviderProxy;
let door: ReturnType<typeof Bun.serve>;
let knocks: string[] = [];
let health = new Response();
let folders: Folder[] = [];

beforeAll(async () => {
  anvil = await startAnvil({ chainId: 1, slotsInAnEpoch: 1 });
  usdt = await deployCoin(anvil, 6, "USDT");
  renamed = await deployCoin(anvil, 6, "USD₮0");
  await usdt.mint(payer, 10n);
  await usdt.transfer(payer, shop, 5n);
  await anvil.rpc("anvil_mine", ["0x5"]);
  a = startProviderProxy(anvil.url);
  b = startProviderProxy(anvil.url);
  door = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      knocks.push(`${request.method} ${new URL(request.url).pathname}`);
      return new URL(request.url).pathname === "/health" ? health.clone() : new Response(null, { status: 405 });
    },
  });
  health = Response.json({ status: "ok" });
});

afterEach(() => {
  a.reset();
  b.reset();
  knocks = [];
  for (const folder of folders) folder.remove();
  folders = [];
});

afterAll(async () => {
  await door.stop(true);
  await a.stop();
  await b.stop();
  await anvil.stop();
});

interface Setting {
  /** Lines of [chains.eth]; a fresh one replaces the usual. */
  rpc_urls?: readonly string[];
  token?: { address: string; decimals: number };
  more?: string;
  server?: string;
  merchant?: string;
  webhooks?: string;
}

/** An appliance's folder, with a database unless `bare`. */
async function place(setting: Setting = {}, bare = false): Promise<Folder> {
  const { rpc_urls = [`${a.url}/hush-1`, `${b.url}/hush-2`], token = usdt } = setting;
  const folder = createFolder(
    [
      `[server]\nlisten = "127.0.0.1:0"\npublic_url = "${door.url.origin}"`,
      setting.server ?? "",
      '[admin]\nsecret = "test-admin-secret"',
      '[merchant]\nname = "Shop"\nsecret = "test-merchant-secret"\nallowed_origins = ["https://shop.example"]',
      setting.merchant ?? `unknown_transfer_webhook_url = "${door.url.origin}/unknown?token=hush-3"`,
      `[webhooks]\nallow_private_targets = true`,
      `[[wallets]]\nblockchain = "eth"\naddress = "${shop}"\nenabled_coins = ["USDT"]`,
      `[chains.eth]\nrpc_urls = ${JSON.stringify(rpc_urls)}\nfinality = "finalized"`,
      setting.more ?? "",
      `[chains.eth.tokens.USDT]\naddress = "${token.address}"\ndecimals = ${token.decimals}`,
    ].join("\n"),
  );
  folders.push(folder);
  if (bare) return folder;
  await openForServing({ world: realWorld(), telemetry: silent, path: folder.database, migrateFirst: false }).close();
  return folder;
}

/** Runs the command in a world that may differ from the real one. */
async function doctor(folder: Folder, changes: Partial<World> = {}) {
  const printed: string[] = [];
  const warned: string[] = [];
  const world: World = {
    ...realWorld(),
    print: (text) => void printed.push(text),
    warn: (text) => void warned.push(text),
    env: () => undefined,
    ...changes,
  };
  const tools = { world, telemetry: createTelemetry(world) };
  const status = await run(tools, ["doctor", "-c", folder.config, "--json"]);
  const checks = JSON.parse(printed.join("\n")) as Check[];
  for (const text of [...printed, ...warned]) expect(text).not.toContain("hush");
  return { status, checks, said: warned.join("\n") };
}

const found = (checks: readonly Check[], verdict: string) =>
  checks
    .filter((check) => check.verdict === verdict)
    .map(({ subject, check, words }) => `${subject} ${check}: ${words}`);

/** Every fault that is planted must be the only failure. */
async function failing(folder: Folder, changes: Partial<World> = {}): Promise<Check[]> {
  const { status, checks, said } = await doctor(folder, changes);
  const failed = checks.filter(({ verdict }) => verdict === "fail");
  expect(status).toBe(failed.length > 0 ? 1 : 0);
  if (failed.length > 0) expect(said).toContain(`${failed.length} of ${checks.length} checks failed`);
  return failed;
}

describe("a healthy appliance", () => {
  test("passes every check, and nothing of it is changed or told", async () => {
    const folder = await place();
    const { status, checks, said } = await doctor(folder);
    expect({ status, said, failed: found(checks, "fail") }).toEqual({ status: 0, said: "", failed: [] });
    const names = [a.host, b.host].flatMap((host) =>
      ["chain id", "head", "finalized", "logs"].map((check) => `eth ${host} ${check}`),
    );
    expect(checks.filter(({ verdict }) => verdict === "ok").map(({ subject, check }) => `${subject} ${check}`)).toEqual(
      expect.arrayContaining([
        ...names,
        "eth USDT contract",
        "clock time",
        `${folder.config} mode`,
        `${folder.path} disk`,
        `${folder.database} database`,
        `${door.url.host} webhook`,
      ]),
    );
    expect(knocks.sort()).toEqual(["GET /health", "OPTIONS /unknown"]);
  });

  test("passes beside whoever serves its database", async () => {
    const folder = await place();
    const serving = openForServing({
      world: realWorld(),
      telemetry: silent,
      path: folder.database,
      migrateFirst: false,
    });
    try {
      expect(await failing(folder)).toEqual([]);
    } finally {
      await serving.close();
    }
  });

  test("whose database is a copy that was put back is told what the next start does", async () => {
    const folder = await place();
    const opened = openForServing({
      world: realWorld(),
      telemetry: silent,
      path: folder.database,
      migrateFirst: false,
    });
    const of = { world: realWorld(), telemetry: silent, path: folder.database, is_served: false };
    const eventLog = createEventLog({ ...of, database: opened.database });
    await eventLog.resume();
    await opened.close();
    const warnings = async () => found((await doctor(folder)).checks, "warn").join("\n");
    const words = "restored from a copy: the next start continues the event log with new numbers";
    expect(await warnings()).not.toContain(words);
    writeFileSync(`${folder.database}.last-event`, "0000000000000007\n");
    expect(await warnings()).toContain(words);
    rmSync(`${folder.database}.last-event`);
    expect(await warnings()).toContain(words);
    expect(await failing(folder)).toEqual([]);
  });

  test("that was never started passes without a database", async () => {
    const { status, checks } = await doctor(await place({}, true));
    expect(status).toBe(0);
    expect(found(checks, "warn").join("\n")).toContain("database: not there yet; the first start makes it");
  });

  test("is told in lines that say ok, warn or fail first", async () => {
    const folder = await place();
    const printed: string[] = [];
    const world = { ...realWorld(), print: (text: string) => void printed.push(text), warn() {} };
    await run({ world, telemetry: silent }, ["doctor", "--config", folder.config]);
    const lines = printed.join("\n").split("\n");
    expect(lines.length).toBeGreaterThan(12);
    for (const line of lines) expect(line).toMatch(/^(ok|warn|fail) /);
  });

  test("a contract that calls itself otherwise is named and no fault", async () => {
    const { status, checks } = await doctor(await place({ token: renamed }));
    expect(status).toBe(0);
    expect(found(checks, "ok").join("\n")).toContain('6 decimals, calls itself "USD₮0"');
  });
});

describe("a provider", () => {
  const refused = { code: -32000, message: "Unauthorized: You must authenticate your request with an API key." };
  const rows: [string, Parameters<ProviderProxy["behave"]>[0], string, string, string][] = [
    ["that is down", answering(503, ""), "chain id", "provider_unreachable", "check the URL, the provider"],
    [
      "that refuses our key",
      refusing(refused),
      "chain id",
      "provider_refused",
      "correct the key in its URL (rpc_urls)",
    ],
    ["that throttles", answering(429, ""), "chain id", "provider_rate_limited", "list another provider"],
    [
      "that is a web page",
      answering(200, "<html></html>"),
      "chain id",
      "provider_malformed",
      "this URL does not answer as a node",
    ],
    [
      "of another chain",
      otherChain(5),
      "chain id",
      "wrong_chain_id",
      "serves chain 5, expected 1; correct the URL (chains.eth.rpc_urls)",
    ],
    [
      "that stands still",
      alteringHeaders((header) => ({ ...header, timestamp: `0x${(Number(header.timestamp) - 3600).toString(16)}` })),
      "head",
      "provider_lagging",
      "the node stands still: list another provider",
    ],
    [
      "without logs",
      refusing({ code: -32601, message: "method not found" }, "eth_getLogs"),
      "logs",
      "provider_unreachable",
      "method not found",
    ],
  ];
  for (const [what, behaviour, check, code, words] of rows) {
    test(`${what} is found although the other one is well`, async () => {
      a.behave(behaviour);
      const failed = await failing(await place());
      expect(failed).toMatchObject([{ subject: `eth ${a.host}`, check, code }]);
      expect(failed[0]?.words).toContain(words);
    });
  }

  test("that never answers is given ten seconds", async () => {
    a.behave(hanging);
    const real = realWorld();
    const hurried: Partial<World> = {
      sleep: (ms, signal) => real.sleep(ms / 5, signal),
      timer: (ms, act) => real.timer(ms / 5, act),
    };
    expect(await failing(await place(), hurried)).toMatchObject([{ subject: `eth ${a.host}`, check: "chain id" }]);
  });

  test("that refuses batches is warned about", async () => {
    a.behave({ request: (calls) => (calls.length > 1 ? new Response("Bad Request", { status: 400 }) : null) });
    const { status, checks } = await doctor(await place());
    expect(status).toBe(0);
    expect(found(checks, "warn").join("\n")).toContain(`eth ${a.host} batches: takes one call per request`);
  });

  test("that does not know the finality tag, and one whose finality stands still, are warned about", async () => {
    const folder = await place();
    a.behave({
      refuse: ({ params }) =>
        params[0] === "finalized" ? { code: -32000, message: "finalized block not found" } : null,
    });
    b.behave(
      alteringHeaders((header, { params }) =>
        params[0] === "finalized"
          ? { ...header, timestamp: `0x${(Number(header.timestamp) - 7200).toString(16)}` }
          : header,
      ),
    );
    const { status, checks } = await doctor(folder);
    expect(status).toBe(0);
    const warned = found(checks, "warn").join("\n");
    expect(warned).toContain(`eth ${a.host} finalized: not known to this node; 96 blocks stand in for it`);
    expect(warned).toContain(`eth ${b.host} finalized:`);
    expect(warned).toContain("finality stands still");
  });
});

describe("Tron", () => {
  /** The checks of Tron in an appliance that has a wallet there, read as these lines say. */
  async function examined(lines: (tron: TronEmulator) => string): Promise<Check[]> {
    const tron = await startTronEmulator();
    const coin = await deployCoin(tron.anvil, 6, "USDT");
    await tron.anvil.rpc("anvil_mine", ["0xc8"]);
    const wallet = `[[wallets]]\nblockchain = "tron"\naddress = "${tronAddress(shop)}"\nenabled_coins = ["USDT"]`;
    const token = `[chains.tron.tokens.USDT]\naddress = "${tronAddress(coin.address)}"\ndecimals = 6`;
    const { checks } = await doctor(await place({ more: `${wallet}\n[chains.tron]\n${lines(tron)}\n${token}` }));
    await tron.stop();
    return checks.filter(({ subject }) => subject.startsWith("tron "));
  }

  test("nodes, contracts and TronGrid's list pass every check", async () => {
    const checks = await examined((tron) => `rpc_urls = ["${tron.rpc_url}"]\nexplorer_url = "${tron.url}"`);
    expect(checks.map(({ check, verdict }) => `${check} ${verdict}`)).toEqual([
      "chain id ok",
      "head ok",
      "finalized ok",
      "logs ok",
      "contract ok",
      "explorer ok",
    ]);
  });

  test("read through TronGrid alone is looked at through it", async () => {
    const checks = await examined((tron) => `rpc_urls = []\nexplorer_url = "${tron.url}"`);
    expect(checks.map(({ check, verdict }) => `${check} ${verdict}`)).toEqual([
      "chain id ok",
      "head ok",
      "finalized ok",
      "logs ok",
      "explorer ok",
    ]);
  });
});

describe("an explorer that is only compared with", () => {
  test("may be half a minute behind, which on Base is 150 blocks", async () => {
    const base = await startAnvil({ chainId: 8453 });
    const coin = await deployCoin(base, 6, "USDC");
    await base.rpc("anvil_mine", ["0x190"]);
    const emulator = startExplorerEmulator(base);
    emulator.behave({ lag: 150 });
    const wallet = `[[wallets]]\nblockchain = "base"\naddress = "${shop}"\nenabled_coins = ["USDC"]`;
    const chain = `[chains.base]\nrpc_urls = ["${base.url}"]\nexplorer_url = "${emulator.blockscout}"`;
    const token = `[chains.base.tokens.USDC]\naddress = "${coin.address}"\ndecimals = 6`;
    const { checks } = await doctor(await place({ more: `${wallet}\n${chain}\n${token}` }));
    await emulator.stop();
    await base.stop();
    expect(checks.filter(({ check }) => check === "explorer")).toMatchObject([{ verdict: "ok" }]);
  });

  test("and refuses our key is warned about: nothing is lost while it is away", async () => {
    const explorer = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => Response.json({ status: "0", message: "NOTOK", result: "Invalid API Key (#err2)|X" }),
    });
    const more = `explorer_url = "${explorer.url.origin}/api"`;
    const { status, checks } = await doctor(await place({ more, server: '[api_keys]\netherscan_api_key = "hush-4"' }));
    await explorer.stop(true);
    expect(status).toBe(0);
    const [check] = checks.filter(({ check }) => check === "explorer");
    expect(check).toMatchObject({ subject: `eth ${explorer.url.host}`, verdict: "warn", code: "provider_refused" });
    expect(check?.words).toContain("api_keys.etherscan_api_key");
  });
});

test("Tron is looked at as the other chains are, in its own names", async () => {
  const tron = await startTronEmulator();
  const coin = await deployCoin(tron.anvil, 6, "USDT");
  await tron.anvil.rpc("anvil_mine", ["0x20"]);
  const chain = {
    rpc_urls: [tron.rpc_url],
    wallets: [tronAddress(shop)],
    tokens: { USDT: { address: tronAddress(coin.address), decimals: 6 } },
    finality: '"finalized"',
  };
  const { status, checks } = await doctor(createdAgain(configText({ chains: { tron: chain } })));
  const bad = await doctor(
    createdAgain(
      configText({ chains: { tron: { ...chain, tokens: { USDT: { address: tronAddress(payer), decimals: 6 } } } } }),
    ),
  );
  await tron.stop();
  expect({ status, failed: found(checks, "fail") }).toEqual({ status: 0, failed: [] });
  expect(found(checks, "ok").join("\n")).toContain(`tron USDT contract: ${tronAddress(coin.address)}, 6 decimals`);
  expect(found(bad.checks, "fail")).toEqual([
    `tron USDT contract: there is no contract at ${tronAddress(payer)}; correct chains.tron.tokens.USDT.address`,
  ]);
});

function createdAgain(toml: string): Folder {
  const folder = createFolder(toml);
  folders.push(folder);
  return folder;
}

describe("a contract", () => {
  test("that is not there", async () => {
    const failed = await failing(await place({ token: { address: payer, decimals: 6 } }));
    expect(failed).toMatchObject([{ subject: "eth USDT", check: "contract", code: "wrong_token" }]);
    expect(failed[0]?.words).toContain(`there is no contract at ${payer}; correct chains.eth.tokens.USDT.address`);
  });

  test("of other decimals", async () => {
    const [failed] = await failing(await place({ token: { ...usdt, decimals: 18 } }));
    expect(failed?.words).toContain("has 6 decimals, expected 18; correct chains.eth.tokens.USDT");
  });
});

describe("the machine", () => {
  test("a clock that is wrong by more than a minute fails, by seconds is warned about", async () => {
    const real = realWorld();
    const off = (seconds: number): Partial<World> => ({ now: () => real.now() + seconds * 1000 });
    const folder = await place();
    for (const seconds of [90, 7200]) {
      expect(await failing(folder, off(seconds))).toMatchObject([{ subject: "clock", code: "clock_wrong" }]);
    }
    expect((await failing(folder, off(-3600)))[0]?.words).toMatch(
      /^(359\d|3600) s behind the providers' clocks; set it/,
    );
    const { status, checks } = await doctor(folder, off(20));
    expect(status).toBe(0);
    expect(found(checks, "warn").join("\n")).toMatch(/clock time: (1[89]|2[012]) s ahead of the providers' clocks/);
  });

  test("a configuration that others may read fails, one that its group may read is warned about", async () => {
    const folder = await place();
    chmodSync(folder.config, 0o644);
    const [failed] = await failing(folder);
    expect(failed).toMatchObject({ subject: folder.config, check: "mode", code: "invalid_config" });
    expect(failed?.words).toContain(`chmod 600 ${folder.config}`);
    chmodSync(folder.config, 0o640);
    const { status, checks } = await doctor(folder);
    expect(status).toBe(0);
    expect(found(checks, "warn").join("\n")).toContain("open to its group");
  });

  test("a disk that is full, nearly full or not ours", async () => {
    const folder = await place();
    const disk = (free_bytes: number, writable = true): Partial<World> => ({
      files: { ...realWorld().files, disk: () => ({ free_bytes, writable }) },
    });
    expect(await failing(folder, disk(50 * mebibyte))).toMatchObject([{ check: "disk", code: "disk_unusable" }]);
    expect((await failing(folder, disk(1e12, false)))[0]?.words).toContain("not writable for this user");
    const { checks } = await doctor(folder, disk(500 * mebibyte));
    expect(found(checks, "warn").join("\n")).toContain("disk: 500 MiB free; make room");
  });

  test("a database that is damaged, old, or of another program", async () => {
    const damaged = await place();
    const raw = new Sqlite(damaged.database);
    raw.run("PRAGMA wal_checkpoint(TRUNCATE)");
    raw.close();
    const handle = openSync(damaged.database, "r+");
    // The second page: the root of a table.
    writeSync(handle, Buffer.alloc(2048, 0x5a), 0, 2048, 4096);
    closeSync(handle);
    expect(await failing(damaged)).toMatchObject([{ check: "database", code: "database_unusable" }]);

    const old = await place();
    const older = new Sqlite(old.database);
    older.run("PRAGMA user_version = 1");
    older.close();
    expect((await failing(old))[0]?.words).toMatch(/^schema version 1, this ocrch needs \d+; run "ocrch migrate"$/);

    const strange = await place({}, true);
    const other = new Sqlite(strange.database);
    other.run("CREATE TABLE theirs (x)");
    other.close();
    expect((await failing(strange))[0]?.words).toContain("a database of another program");
  });
});

describe("the way to the shop", () => {
  test("an unknown-transfer URL that takes no connection", async () => {
    const failed = await failing(
      await place({ merchant: `unknown_transfer_webhook_url = "${closed_port}/hook?k=hush"` }),
    );
    expect(failed).toMatchObject([{ subject: "127.0.0.1:9", check: "webhook", code: "outbound_failed" }]);
    expect(failed[0]?.words).toContain("check the address, its certificate, and that it runs");
  });

  test("the origins of the newest webhooks are tried as deliveries are, and no event is sent", async () => {
    const folder = await place({ merchant: "" });
    const raw = new Sqlite(folder.database);
    const insert = raw.query(
      "INSERT INTO deliveries (kind, url, origin, body, schedule, state, next_at) VALUES ('order', ?1 || '/hook?hush', ?1, '{}', 'webhook', 'waiting', 0)",
    );
    for (const origin of [closed_port, door.url.origin, closed_port]) insert.run(origin);
    // Where a proof goes a stranger has said.
    raw.run(
      "INSERT INTO deliveries (kind, url, origin, body, schedule, state, next_at) VALUES ('proof', ?1, ?1, '{}', 'proof', 'waiting', 0)",
      [`${closed_port}/transfer/webhook`],
    );
    raw.close();
    const failed = await failing(folder);
    expect(failed).toMatchObject([{ subject: "127.0.0.1:9", check: "webhook" }]);
    expect(knocks.sort()).toEqual(["GET /health", "OPTIONS /"]);
  });

  const redirects: [words: string, location: string | null, last_status: number | null, warned: string | null][] = [
    [
      "that redirects is warned about",
      "https://shop.example.com/?k=hush",
      null,
      "redirected to https://shop.example.com/;",
    ],
    [
      "that redirected the last webhook, and says where at its URL",
      "https://user:hush@shop.example.com/en/hook/?k=hush#hush",
      302,
      "the last webhook was answered with HTTP 302; redirected to https://shop.example.com/en/hook/; redirects are not",
    ],
    [
      "that redirected the last webhook, and does not redirect OPTIONS",
      null,
      302,
      "the last webhook was answered with HTTP 302; redirects are not followed; reason of webhook_failed in the log",
    ],
    ["that redirects OPTIONS and took the last webhook", "/en", 200, null],
    ["that refused the last webhook otherwise", null, 500, null],
  ];
  test.each(redirects)("an origin %s", async (_, location, last_status, warned) => {
    const asked: string[] = [];
    const shop = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch({ method, url }) {
        asked.push(`${method} ${new URL(url).pathname}`);
        return new Response(null, location === null ? { status: 204 } : { status: 301, headers: { location } });
      },
    });
    const folder = await place({ merchant: "" });
    const raw = new Sqlite(folder.database);
    raw.run(
      "INSERT INTO deliveries (id, kind, url, origin, body, schedule, state, next_at) VALUES (1, 'order', ?1 || '/hook', ?1, '{}', 'webhook', 'waiting', 0)",
      [shop.url.origin],
    );
    const attempt = raw.query("INSERT INTO attempts (delivery, started_at, ended_at, status) VALUES (1, 0, 0, ?1)");
    if (last_status !== null) for (const status of [404, last_status]) attempt.run(status);
    raw.close();
    const { host } = shop.url;
    const { status, checks } = await doctor(folder);
    await shop.stop(true);
    expect(status).toBe(0);
    const said = found(checks, "warn").filter((line) => line.includes(host));
    expect(said).toHaveLength(warned === null ? 0 : 1);
    expect(said.join()).toContain(warned ?? "");
    expect(said.join()).not.toContain("hush");
    expect(asked).toEqual([last_status === 302 ? "OPTIONS /hook" : "OPTIONS /"]);
  });

  test("a public_url that does not lead here is warned about: the server may be stopped", async () => {
    health = new Response("<html>", { status: 404 });
    const { status, checks } = await doctor(await place());
    health = Response.json({ status: "ok" });
    expect(status).toBe(0);
    expect(found(checks, "warn").join("\n")).toContain("HTTP 404 to /health, not as Ocrch answers");
  });
});

test("a configuration that cannot be read is told as by every command", async () => {
  const folder = createFolder("[server]\nlisten = 1\n");
  folders.push(folder);
  const warned: string[] = [];
  const world = { ...realWorld(), print() {}, warn: (text: string) => void warned.push(text) };
  expect(await run({ world, telemetry: silent }, ["doctor", "-c", folder.config])).toBe(1);
  expect(warned.join("\n")).toContain("server.listen");
});
