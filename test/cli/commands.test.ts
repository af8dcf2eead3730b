// The command line as an operator meets it: real processes, real files, a shop that listens.

import { Database as Sqlite } from "bun:sqlite";
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHmac } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { version } from "../../package.json";
import { schema_version } from "../../src/storage/engine/migrations.ts";
import { fromSource } from "../support/appliance.ts";

const root = join(import.meta.dir, "../..");
/** From source, or a built executable: `OCRCH_EXECUTABLE=dist/ocrch bun test test/cli/commands.test.ts`. */
const executable = process.env.OCRCH_EXECUTABLE;
const program = executable === undefined ? fromSource : [resolve(executable)];
const top = mkdtempSync(join(tmpdir(), "ocrch-cli-"));
const wait_limit_ms = 60_000;
setDefaultTimeout(300_000);

const merchant_secret = "test-merchant-secret";
const page = "https://shop.example/pay";
const eth_wallet = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const tron_wallet = "TQn9Y2khEsLJW1ChVWFMSMeRDow5KcbLSE";
const unknown_order = "0192f0c1-2d3e-7a4b-8c5d-6e7f8a9b0c1d";

const started: Server[] = [];
afterAll(async () => {
  for (const server of started) server.kill("SIGKILL");
  await Promise.all(started.map((server) => server.ended));
  rmSync(top, { recursive: true, force: true });
});

let folders = 0;

interface Settings {
  admin_secret?: string;
  unknown_transfer_url?: string;
  listen?: string;
  database?: string;
  more?: string;
}

function configText(settings: Settings = {}): string {
  const { admin_secret = "test-admin-secret", unknown_transfer_url, listen = "127.0.0.1:0", database, more } = settings;
  const unknown = unknown_transfer_url === undefined ? "" : `unknown_transfer_webhook_url = "${unknown_transfer_url}"`;
  return `
[server]
listen = "${listen}"
${database === undefined ? "" : `[database]\npath = "${database}"`}
[admin]
secret = "${admin_secret}" # of the operator
[merchant]
name = "Shop"
secret = "${merchant_secret}"
allowed_origins = ["https://shop.example"]
${unknown}
[webhooks]
allow_private_targets = true
[[wallets]]
blockchain = "eth"
address = "${eth_wallet}"
enabled_coins = ["USDT", "USDC"]
[[wallets]]
blockchain = "tron"
address = "${tron_wallet}"
enabled_coins = ["USDT"]
[chains.eth]
rpc_urls = ["http://127.0.0.1:9"]
[chains.tron]
rpc_urls = ["http://127.0.0.1:9"]
${more ?? ""}`;
}

/** A folder of its own with a configuration in it. */
function place(text = configText()) {
  const folder = join(top, `place ${++folders}`);
  mkdirSync(folder);
  const config = join(folder, "ocrch-config.toml");
  writeFileSync(config, text);
  return { folder, config, database: join(folder, "ocrch.db") };
}

function spawn(cwd: string, args: readonly string[], env: Record<string, string> = {}) {
  return Bun.spawn([...program, ...args], {
    cwd,
    env: { PATH: process.env.PATH ?? "", HOME: top, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

const textOf = (stream: ReadableStream<Uint8Array>) => new Response(stream).text();

/** Runs one command to its end. */
async function ocrch(cwd: string, args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(cwd, args, env);
  // A server that started where it should have refused would run for ever.
  const limit = setTimeout(() => child.kill("SIGKILL"), wait_limit_ms);
  const [status, out, err] = await Promise.all([child.exited, textOf(child.stdout), textOf(child.stderr)]);
  clearTimeout(limit);
  return { status, out, err };
}

async function jsonOf(cwd: string, args: readonly string[]) {
  const { status, out, err } = await ocrch(cwd, [...args, "--json"]);
  expect({ status, err }).toEqual({ status: 0, err: "" });
  return JSON.parse(out);
}

interface Server {
  text: { out: string; err: string };
  ended: Promise<number>;
  until(pattern: RegExp, where?: "out" | "err"): Promise<RegExpExecArray>;
  kill(signal: NodeJS.Signals): void;
}

/** `ocrch serve` with its output gathered; `until` waits for a text in it. */
function serving(cwd: string, args: readonly string[] = []): Server {
  const child = spawn(cwd, ["serve", ...args]);
  const text = { out: "", err: "" };
  const waiting = new Set<() => void>();
  const gather = async (stream: ReadableStream<Uint8Array>, name: "out" | "err") => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      text[name] += decoder.decode(chunk, { stream: true });
      for (const look of [...waiting]) look();
    }
  };
  const ended = Promise.all([child.exited, gather(child.stdout, "out"), gather(child.stderr, "err")]).then(
    ([status]) => status,
  );
  const until = (pattern: RegExp, where: "out" | "err" = "err"): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const done = () => {
        clearTimeout(limit);
        waiting.delete(look);
      };
      const fail = (why: string) => {
        done();
        reject(new Error(`${why} before ${pattern}: ${text.out}${text.err}`));
      };
      const limit = setTimeout(fail, wait_limit_ms, "time ran out");
      const look = () => {
        const found = pattern.exec(text[where]);
        if (found === null) return;
        done();
        resolve(found);
      };
      waiting.add(look);
      look();
      void ended.then(() => waiting.has(look) && fail("the server ended"));
    });
  const server = { text, until, ended, kill: (signal: NodeJS.Signals) => child.kill(signal) };
  started.push(server);
  return server;
}

/** Starts a server and waits until it is ready. */
async function ready(cwd: string, args: readonly string[] = []) {
  const server = serving(cwd, args);
  const [, url = ""] = await server.until(/^ocrch \S+ ready on (\S+)\n/, "out");
  return { ...server, url };
}

async function stop(server: Server): Promise<void> {
  server.kill("SIGTERM");
  expect(await server.ended).toBe(0);
}

/** A shop that takes webhooks, or takes them and never answers. */
function shop(answers = true) {
  const bodies: Record<string, unknown>[] = [];
  const waiting = new Set<() => void>();
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      bodies.push((await request.json()) as Record<string, unknown>);
      for (const look of [...waiting]) look();
      return answers ? new Response("ok") : new Promise<Response>(() => {});
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}/hook`,
    bodies,
    until: (count: number) =>
      new Promise<void>((resolve, reject) => {
        const limit = setTimeout(() => reject(new Error(`${bodies.length} webhooks, not ${count}`)), wait_limit_ms);
        const look = () => {
          if (bodies.length < count) return;
          clearTimeout(limit);
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    [Symbol.dispose]: () => void server.stop(true),
  };
}

const sign = (text: string) => createHmac("sha256", merchant_secret).update(text).digest("base64");
const seconds = () => Math.floor(Date.now() / 1000);

async function createOrder(url: string, webhook_url: string, merchant_order_id = "shop-1"): Promise<string> {
  const body = JSON.stringify({ order_id: merchant_order_id, amount: "19.90", webhook_url });
  const now = seconds();
  const headers = { "Ocrch-Signature": `${now}.${sign(`${now}.${body}`)}` };
  const answer = await fetch(`${url}/api/v1/service/orders`, { method: "POST", headers, body });
  expect(answer.status).toBe(201);
  return ((await answer.json()) as { order_id: string }).order_id;
}

async function choosePayment(url: string, order: string): Promise<void> {
  const now = seconds();
  const signed = `${page}?order_id=${order}`;
  const answer = await fetch(`${url}/api/v1/user/orders/${order}/payment`, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      "Ocrch-Signed-Url": signed,
      "Ocrch-Signature": `${now}.${sign(`${signed}.${now}`)}`,
    },
    body: JSON.stringify({ blockchain: "eth", stablecoin: "USDT" }),
  });
  expect(answer.status).toBe(201);
}

/** A confirmed transfer that nobody asked for, as a scan would have stored it. */
function insertTransfer(path: string): void {
  const database = new Sqlite(path);
  database.run(
    `INSERT INTO transfers (chain, tx_hash, position, token, coin, label, amount, sender, wallet, units, block_number,
       block_hash, block_time, log_index, status, finality, reason, seen_at, confirmed_at)
     VALUES ('eth', ?, 0, '0xdAC17F958D2ee523a2206206994597C13D831ec7', 'USDT', 'USDT', '7.5', ?, ?, '7500000', 100,
       ?, 1700000000, 3, 'no_matched_deposit', '{"blocks":12}', 'no_such_amount', 1700000005000, 1700000100000)`,
    [`0x${"ab".repeat(32)}`, tron_wallet, eth_wallet, `0x${"cd".repeat(32)}`],
  );
  database.close();
}

/** Every command, in the order people read them. */
const names = [
  ...["serve", "migrate", "config", "doctor", "status", "coverage", "orders", "deposits", "transfers", "wallets"],
  ...["inbox", "assign", "unassign", "dismiss", "mark-paid", "resend-webhook"],
  ...["opencharge", "help"],
];
const commands = names.join(", ");
const topics = [
  ...["install", "connect", "webhooks", "payments", "operate", "chains", "opencharge", "configuration"],
  ...["errors", "log", "security", "architecture", "glossary"],
];

describe("a command that is written wrongly", () => {
  const rows: [line: string, expected: string][] = [
    ["", `no command; "ocrch" has ${commands}`],
    ["serv", `unknown command "serv"; did you mean "ocrch serve"?`],
    ["zzz", `unknown command "zzz"; "ocrch" has ${commands}`],
    ["help instal", `unknown topic "instal"; did you mean "ocrch help install"?`],
    ["help zzz", `unknown topic "zzz"; "ocrch help" has ${topics.join(", ")}`],
    ["help serve", `unknown topic "serve"; "ocrch serve --help" explains the command`],
    ["help install operate", `extra argument "operate"; "ocrch help" takes only TOPIC`],
    ["serv --help", `unknown command "serv"; did you mean "ocrch serve"?`],
    ["config", `no command; "ocrch config" has check`],
    ["config chek", `unknown command "chek"; did you mean "ocrch config check"?`],
    ["--listen 127.0.0.1:1 serve", `unknown option --listen for "ocrch"; a command's own options stand behind it`],
    ["serve --lisen 127.0.0.1:1", `unknown option --lisen for "ocrch serve"; did you mean --listen?`],
    ["serve --no-migrate", `unknown option --no-migrate for "ocrch serve"; did you mean --migrate?`],
    ["orders -z", `unknown option -z for "ocrch orders"; "ocrch orders --help" lists them`],
    ["orders --limit", "--limit needs a value; write --limit=N"],
    ["orders --limit --json", "--limit needs a value; write --limit=N"],
    ["orders -c", "--config needs a value; write --config=PATH"],
    ["orders -c=", "--config: the value is empty"],
    ["orders --database=", "--database: the value is empty"],
    ["orders --json=yes", "--json takes no value"],
    ["orders --json --json", "--json is given twice"],
    ["orders -c a --config b", "--config is given twice"],
    ["orders --status PAID", `--status: "PAID" is unknown; did you mean paid?`],
    ["orders --status done", `--status: "done" is unknown; use one of pending, paid, expired, cancelled`],
    ["orders --limit 0", `--limit: "0" is no whole number from 1 to 10000`],
    ["orders --limit 1e3", `--limit: "1e3" is no whole number from 1 to 10000`],
    ["orders --offset=-1", `--offset: "-1" is no whole number from 0 to 1000000000`],
    ["deposits --order 12", `--order: "12" is no UUID; "ocrch orders" shows them`],
    ["transfers --chain bsc", `--chain: "bsc" is unknown; use one of eth, polygon, base, arb, op, linea, avaxc, tron`],
    ["wallets extra", `extra argument "extra"; "ocrch wallets" takes none`],
    ["wallets -- --json", `extra argument "--json"; "ocrch wallets" takes none`],
    ["mark-paid", `ORDER is missing; write "ocrch mark-paid ORDER"`],
    ["assign", `TRANSFER is missing; write "ocrch assign TRANSFER ORDER"`],
    ["assign 2", `ORDER is missing; write "ocrch assign TRANSFER ORDER"`],
    ["mark-paid 12", `ORDER: "12" is no UUID; "ocrch orders" shows them`],
    [`mark-paid ${unknown_order} twice`, `extra argument "twice"; "ocrch mark-paid" takes only ORDER`],
    ["resend-webhook", `write either "ocrch resend-webhook ORDER" or "ocrch resend-webhook --transfer ID"`],
    [
      `resend-webhook ${unknown_order} --transfer 1`,
      `write either "ocrch resend-webhook ORDER" or "ocrch resend-webhook --transfer ID"`,
    ],
    ["resend-webhook --transfer one", `--transfer: "one" is no whole number from 1 to 9007199254740991`],
    ["serve -l 8080", `--listen: "8080" is no address to listen on; write host and port, such as "0.0.0.0:8080"`],
    ["orders \u001b[2J", 'extra argument "\\u001b[2J"; "ocrch orders" takes none'],
  ];
  for (const [line, expected] of rows) {
    test(`ocrch ${JSON.stringify(line).slice(1, -1)}: is refused with 2 and one line`, async () => {
      const { folder, config } = place();
      const before = readFileSync(config, "utf8");
      expect(await ocrch(folder, line.split(" ").filter(Boolean))).toEqual({
        status: 2,
        out: "",
        err: `ocrch: ${expected}\n`,
      });
      expect([readdirSync(folder), readFileSync(config, "utf8")]).toEqual([[basename(config)], before]);
    });
  }
});

describe("help and version", () => {
  test("every command explains itself and every option it takes", async () => {
    const { out } = await ocrch(top, ["--help"]);
    const [, list = ""] = /\nCommands:\n([\s\S]*?)\n\n/.exec(out) ?? [];
    const listed = list.split("\n").map((line) => line.trim().split(" ")[0] ?? "");
    expect(listed).toEqual(names);
    const paths = ["", ...names, "config check"];
    for (const path of paths) {
      const words = path.split(" ").filter(Boolean);
      const long = await ocrch(top, [...words, "--help"]);
      expect(long).toMatchObject({ status: 0, err: "" });
      expect(long.out).toStartWith(["ocrch", ...words].join(" "));
      for (const option of ["-c, --config PATH", "--database PATH", "-h, --help"]) expect(long.out).toContain(option);
      expect(long.out).not.toContain("\u001b");
    }
    const { out: serve } = await ocrch(top, ["-h", "serve"]);
    for (const option of ["-l, --listen HOST:PORT", "--migrate "]) expect(serve).toContain(option);
  });

  test("the manual lists its topics and prints each page", async () => {
    const { status, out } = await ocrch(top, ["help"]);
    expect(status).toBe(0);
    const listed = [...out.matchAll(/^ {2}(\w+) {2,}(\S.*)$/gm)].map(([, topic = "", title = ""]) => ({
      topic,
      title,
    }));
    expect(listed.map(({ topic }) => topic)).toEqual(topics);
    for (const { topic, title } of listed) {
      const page = await ocrch(top, ["help", topic]);
      expect(page).toMatchObject({ status: 0, err: "" });
      expect(page.out).toStartWith(`# ${title}\n`);
    }
    const { out: page } = await ocrch(top, ["help", "configuration"]);
    expect(page).toContain(readFileSync(join(root, "ocrch-config.toml"), "utf8"));
  });

  test("the version is the package's", async () => {
    for (const args of [["--version"], ["-V"], ["serve", "--version"]])
      expect(await ocrch(top, args)).toEqual({ status: 0, out: `ocrch ${version}\n`, err: "" });
  });
});

describe("ocrch config check", () => {
  test("says that a file is fine, what to know about it, and leaves it as it is", async () => {
    const { folder, config } = place();
    expect(await ocrch(folder, ["config", "check"])).toEqual({
      status: 0,
      out: [
        `${config}: ok`,
        "warning: admin.secret: in plain text; `ocrch serve` will replace it by its hash",
        "",
      ].join("\n"),
      err: "",
    });
    expect([readdirSync(folder), readFileSync(config, "utf8")]).toEqual([[basename(config)], configText()]);
  });

  test("names every mistake on a line of its own", async () => {
    const wrong = configText().replace(`"${eth_wallet}"`, `"0x1"`).replace("allowed_origins", "allowed_origin");
    const { folder } = place(wrong);
    const { status, out, err } = await ocrch(folder, ["config", "check"]);
    expect([status, out]).toEqual([1, ""]);
    expect(err.trimEnd().split("\n").sort()).toEqual([
      "ocrch: merchant.allowed_origin: unknown key; did you mean allowed_origins?",
      expect.stringMatching(/^ocrch: merchant\.allowed_origins: /),
      expect.stringMatching(/^ocrch: wallets\[0\]\.address: "0x1" is no address/),
    ]);
  });

  test("finds the file by flag, by environment and in the working directory", async () => {
    const { folder, config } = place();
    const elsewhere = join(folder, "deep", "down");
    mkdirSync(elsewhere, { recursive: true });
    const ok = (out: string) => expect(out).toStartWith(`${config}: ok\n`);
    ok((await ocrch(folder, ["config", "check"])).out);
    ok((await ocrch(elsewhere, ["config", "check", "-c", "../../ocrch-config.toml"])).out);
    ok((await ocrch(elsewhere, ["-c../../ocrch-config.toml", "config", "check"])).out);
    ok((await ocrch(elsewhere, ["config", "check"], { OCRCH_CONFIG: "../../ocrch-config.toml" })).out);
    expect(await ocrch(elsewhere, ["config", "check"])).toEqual({
      status: 1,
      out: "",
      err: `ocrch: ${elsewhere}/ocrch-config.toml: there is no such file; name yours with --config\n`,
    });
  });
});

describe("the database", () => {
  test("is created by migrate, which then has nothing left to do", async () => {
    const { folder, database } = place();
    const first = await ocrch(folder, ["migrate"]);
    expect(first).toMatchObject({ status: 0, err: "" });
    const applied = readdirSync(join(root, "migrations")).filter((name) => name.endsWith(".sql"));
    const current = `schema version ${schema_version} is current`;
    const lines = [...applied.sort().map((name) => `applied ${name}`), current, ""];
    expect(first.out).toBe(lines.join("\n"));
    expect(existsSync(database)).toBe(true);
    expect(await ocrch(folder, ["migrate"])).toEqual({ status: 0, out: `${current}\n`, err: "" });
  });

  const need_it = [
    ["status"],
    ["orders"],
    ["deposits"],
    ["transfers"],
    ["mark-paid", unknown_order],
    ["resend-webhook", unknown_order],
    ["resend-webhook", "--transfer", "1"],
  ];
  test("is not created by a command that looks into it", async () => {
    const { folder, config, database } = place();
    for (const { status, out, err } of await Promise.all(need_it.map((args) => ocrch(folder, args)))) {
      expect([status, out]).toEqual([1, ""]);
      expect(err).toBe(
        `ocrch: database.path: there is no database at ${database}; start "ocrch serve", run "ocrch migrate", or name another with --database\n`,
      );
    }
    expect(readdirSync(folder)).toEqual([basename(config)]);
  });

  test("is named by flag, then environment, then file, each from its own starting point", async () => {
    const { folder } = place(configText({ database: "data/a.db" }));
    const elsewhere = join(folder, "elsewhere");
    mkdirSync(elsewhere);
    const migrate = ["migrate", "-c", "../ocrch-config.toml"];
    await ocrch(elsewhere, migrate);
    await ocrch(elsewhere, migrate, { OCRCH_DATABASE: "b.db" });
    await ocrch(elsewhere, [...migrate, "--database", "c.db"], { OCRCH_DATABASE: "d.db" });
    expect(existsSync(join(folder, "data", "a.db"))).toBe(true);
    expect(readdirSync(elsewhere).filter((name) => name.endsWith(".db"))).toEqual(["b.db", "c.db"]);
  });

  test("of another program, of a newer version, or in an impossible place is refused by every command", async () => {
    const { folder, config } = place();
    const foreign = join(folder, "foreign.db");
    const newer = join(folder, "newer.db");
    const other = new Sqlite(foreign);
    other.run("CREATE TABLE theirs (a)");
    other.close();
    await ocrch(folder, ["migrate", "--database", newer]);
    const ahead = new Sqlite(newer);
    ahead.run("PRAGMA user_version = 99");
    ahead.close();
    const rows = [
      [foreign, `${foreign} is a database of another program`],
      [newer, `${newer} has schema version 99, this ocrch needs ${schema_version}; use a newer ocrch`],
      [join(config, "x.db"), `${join(config, "x.db")} cannot be used: `],
      [folder, `${folder} cannot be used: unable to open database file`],
    ] as const;
    for (const [path, expected] of rows) {
      for (const command of ["serve", "migrate"]) {
        const { status, out, err } = await ocrch(folder, [command, "--database", path]);
        const lines = err.split("\n").filter((line) => line.startsWith("ocrch: "));
        expect([status, out, lines]).toEqual([1, "", [expect.stringContaining(`ocrch: database.path: ${expected}`)]]);
      }
    }
    for (const [path, expected] of rows.slice(0, 2)) {
      const { status, err } = await ocrch(folder, ["status", "--database", path]);
      expect([status, err]).toEqual([1, `ocrch: database.path: ${expected}\n`]);
    }
  });
});

describe("ocrch serve", () => {
  test("says where it listens, answers, hashes the admin secret and stops at once when told to", async () => {
    const { folder, config } = place();
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const server = await ready(folder, ["--migrate", "-l", "localhost:0"]);
      expect(server.text.out).toBe(`ocrch ${version} ready on ${server.url}\n`);
      expect(await (await fetch(`${server.url}/health`)).json()).toEqual({ status: "ok", version });
      const asked = performance.now();
      server.kill(signal);
      expect(await server.ended).toBe(0);
      expect(performance.now() - asked).toBeLessThan(5000);
      expect(server.text.err).toContain(`stopping signal=${signal}`);
      expect(server.text.err).not.toContain("secret=");
    }
    expect(readFileSync(config, "utf8")).toMatch(/^secret = "\$argon2id\$\S+" # of the operator$/m);
  });

  test("refuses a database that another server holds, and an address that is taken", async () => {
    const { folder, database } = place();
    const first = await ready(folder);
    const lines = (text: string) => text.split("\n").filter((line) => line.startsWith("ocrch: "));

    const second = await ocrch(folder, ["serve"]);
    expect([second.status, second.out, lines(second.err)]).toEqual([
      1,
      "",
      [`ocrch: database.path: another ocrch serves ${database}; stop it first`],
    ]);
    const migrate = await ocrch(folder, ["migrate"]);
    expect([migrate.status, lines(migrate.err)]).toEqual([
      1,
      [`ocrch: database.path: another ocrch serves ${database}; stop it first`],
    ]);

    const elsewhere = await ocrch(place().folder, ["serve", "--listen", "192.0.2.1:8080"]);
    expect([elsewhere.status, lines(elsewhere.err)]).toEqual([
      1,
      [
        "ocrch: server.listen: cannot listen on 192.0.2.1:8080 (EADDRNOTAVAIL); it is no address of this machine; choose another with --listen",
      ],
    ]);
    const { host } = new URL(first.url);
    const third = await ocrch(place().folder, ["serve", "--listen", host]);
    expect([third.status, third.out, lines(third.err)]).toEqual([
      1,
      "",
      [
        `ocrch: server.listen: cannot listen on ${host} (EADDRINUSE); stop what uses it or choose another with --listen`,
      ],
    ]);

    expect((await fetch(`${first.url}/health`)).status).toBe(200);
    await stop(first);
    await stop(await ready(folder));
  });

  test("does not start with a broken configuration", async () => {
    const { folder, config } = place(configText({ listen: "nowhere" }));
    const { status, out, err } = await ocrch(folder, ["serve"]);
    expect([status, out]).toEqual([1, ""]);
    expect(err).toMatch(/^ocrch: server\.listen: "nowhere" is no address to listen on; .*\n$/);
    expect(readdirSync(folder)).toEqual([basename(config)]);
  });

  test("takes its settings anew at SIGHUP, keeps the old ones when the file is broken, and says so", async () => {
    const { folder, config } = place();
    const server = await ready(folder);
    const chains = async () => {
      const now = seconds();
      const headers = { "Ocrch-Signed-Url": page, "Ocrch-Signature": `${now}.${sign(`${page}.${now}`)}` };
      const answer = await fetch(`${server.url}/api/v1/user/chains`, { headers });
      return ((await answer.json()) as unknown[]).length;
    };
    expect(await chains()).toBe(3);

    writeFileSync(config, configText({ more: "[nonsense]\nx = 1" }).replace(eth_wallet, "0x1"));
    server.kill("SIGHUP");
    await server.until(/error config_not_reloaded problem="nonsense: /);
    await server.until(/error config_not_reloaded problem="wallets\[0\]\.address: /);
    expect(await chains()).toBe(3);

    const moved = configText({ listen: "127.0.0.1:1", database: "other.db", admin_secret: "another-admin-secret" });
    writeFileSync(config, moved.replace(`["USDT", "USDC"]`, `["USDT"]`));
    server.kill("SIGHUP");
    await server.until(/info config_reloaded /);
    expect(server.text.err).toContain("warn config_needs_restart key=server.listen\n");
    expect(server.text.err).toContain("warn config_needs_restart key=database.path\n");
    expect(await chains()).toBe(2);
    const headers = { "Ocrch-Admin-Authorization": "another-admin-secret" };
    expect((await fetch(`${server.url}/api/v1/admin/wallets`, { headers })).status).toBe(200);
    expect(readFileSync(config, "utf8")).toContain("$argon2id$");
    await stop(server);
    expect(existsSync(join(folder, "other.db"))).toBe(false);
  });

  test("ends within ten seconds though a shop never answers, and at once at a second signal", async () => {
    using hanging = shop(false);
    const hang = async (name: string) => {
      const { folder } = place();
      const server = await ready(folder);
      const order = await createOrder(server.url, hanging.url, name);
      const told = hanging.bodies.length + 1;
      await ocrch(folder, ["mark-paid", order]);
      await hanging.until(told);
      server.kill("SIGTERM");
      await server.until(/info stopping signal=SIGTERM/);
      return server;
    };
    const patient = await hang("a");
    const asked = performance.now();
    const took = patient.ended.then(() => performance.now() - asked);

    const hurried = await hang("b");
    hurried.kill("SIGTERM");
    expect(await hurried.ended).toBe(1);
    expect(hurried.text.err).not.toContain("info stopped");

    expect(await took).toBeLessThan(10_000);
    expect(await patient.ended).toBe(0);
  });
});

describe("an operator's commands", () => {
  test("see the same beside a running server and without one", async () => {
    using merchant = shop();
    const { folder, database } = place();
    const server = await ready(folder);
    const order = await createOrder(server.url, merchant.url);
    await choosePayment(server.url, order);
    await createOrder(server.url, merchant.url, "evil \u001b[31m\n\u202eorder");
    await server.until(/warn chain_stalled chain=eth/);

    const status = await jsonOf(folder, ["status"]);
    expect(status).toMatchObject({
      version,
      orders: { pending: 2, paid: 0, expired: 0, cancelled: 0 },
      deliveries: { waiting: 0, delivered: 0, gave_up: 0 },
    });
    expect(status.chains.map((chain: { blockchain: string }) => chain.blockchain)).toEqual(["eth", "tron"]);
    const [eth, tron] = status.chains;
    expect(eth).toMatchObject({ head_block: null, unread_blocks: null, wallets: 1, open_deposits: 1 });
    expect(eth.stalled_reason).toStartWith("provider_unreachable: ");
    expect(Math.abs(eth.stalled_since - seconds())).toBeLessThan(60);
    expect(tron).toMatchObject({ head_block: null, unread_blocks: null, wallets: 1, contracts: 2, open_deposits: 0 });
    const text = (await ocrch(folder, ["status"])).out;
    expect(text).toStartWith("server      running\norders      2 pending, 0 paid, 0 expired, 0 cancelled\n");
    expect(text).toMatch(/^eth +stalled since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ /m);
    expect(text).toMatch(/^tron +(stalled since|not read yet) /m);
    expect(status.amounts[0]).toMatchObject({ blockchain: "eth", stablecoin: "USDT", promised: 1 });
    expect(status.amounts[0].asked).toEqual([{ amount: "19.90", last_hour: 1, left: 500, exhausted_in: null }]);
    expect(text).not.toContain("TOLD APART");
    const tight = join(folder, "tight.toml");
    writeFileSync(tight, `${readFileSync(join(folder, "ocrch-config.toml"), "utf8")}\n[orders]\nmax_surcharge = "0"\n`);
    const warned = (await ocrch(folder, ["status", "-c", tight, "--database", database])).out;
    expect(warned).toMatch(/^eth +USDT +19\.90 +1 +0 +0 min$/m);

    const [deposit] = await jsonOf(folder, ["deposits", "--order", order.toUpperCase(), "--chain", "eth"]);
    expect(deposit).toMatchObject({ order_id: order, blockchain: "eth", token: "USDT", value: "19.90" });
    expect(Object.keys(deposit).join(" ")).toBe(
      "id order_id blockchain token user_address wallet_address value started_at last_scanned_at",
    );
    expect(await jsonOf(folder, ["deposits", "--coin", "USDC"])).toEqual([]);

    const headers = { "Ocrch-Admin-Authorization": "test-admin-secret" };
    const api = await fetch(`${server.url}/api/v1/admin/orders`, { headers });
    const orders = await jsonOf(folder, ["orders"]);
    expect(orders).toEqual(await api.json());
    expect(orders.length).toBe(2);
    expect(await jsonOf(folder, ["orders", "--merchant-order-id", "shop-1"])).toEqual([orders[1]]);
    expect(await jsonOf(folder, ["orders", "--limit=1", "--offset=1"])).toEqual([orders[1]]);
    expect(await jsonOf(folder, ["orders", "--status", "paid"])).toEqual([]);
    const table = (await ocrch(folder, ["orders"])).out;
    expect(table).toMatch(/^ORDER +STATUS +AMOUNT +CREATED +WEBHOOK +MERCHANT ORDER\n/);
    expect(table).toContain("evil \\u{1b}[31m\\u{a}\\u{202e}order\n");
    expect(table.split("\n").length).toBe(4);

    expect(await jsonOf(folder, ["wallets"])).toEqual([
      { blockchain: "eth", address: eth_wallet, enabled_coins: ["USDT", "USDC"] },
      { blockchain: "tron", address: tron_wallet, enabled_coins: ["USDT"] },
    ]);
    expect((await ocrch(folder, ["wallets"])).out).toBe(
      [
        "CHAIN  ADDRESS                                     COINS",
        `eth    ${eth_wallet}  USDT, USDC`,
        `tron   ${tron_wallet}          USDT`,
        "",
      ].join("\n"),
    );

    await stop(server);
    expect(await jsonOf(folder, ["orders"])).toEqual(orders);
    const elsewhere = ["-c", join(folder, "ocrch-config.toml"), "--database", database];
    expect(await jsonOf(top, ["deposits", ...elsewhere])).toEqual([deposit]);
    const stopped = await jsonOf(folder, ["status"]);
    expect([status.server, stopped.server, stopped.orders]).toEqual(["running", "not running", status.orders]);
    expect((await ocrch(folder, ["status"])).out).toStartWith("server      not running: no chain is watched");
  });

  test("list the proofs of the network, whatever became of them", async () => {
    const { folder, database } = place();
    await stop(await ready(folder));
    expect((await ocrch(folder, ["opencharge", "proofs"])).out).toBe(
      "RECEIVED  ISSUER  TXID  AMOUNT  CURRENCY  OUTCOME  ORDER  REFERENCE  WHY\n",
    );
    const rows = new Sqlite(database);
    const object = { to: { ocid: 500, reference: "no such\norder" }, amount: "15.00", currency: "USD" };
    rows.run(
      `INSERT INTO oc_proofs (issuer, txid, proof_hash, outcome, sender, form, public_key, object, signature, proved_s, received_at)
         VALUES (100, 'tx_1', 'h', 'unmatched', 300, 'recursive', 'k', ?, 's', 1700000000, 1700000100000)`,
      [JSON.stringify(object)],
    );
    rows.close();
    const { out } = await ocrch(folder, ["opencharge", "proofs", "--outcome", "unmatched"]);
    expect(out.split("\n")[1]).toMatch(
      /^2023-11-14T22:15:00Z +100 +tx_1 +15\.00 +USD +unmatched +- +no such\\u\{a\}order +no order has this reference$/,
    );
    expect(await jsonOf(folder, ["opencharge", "proofs"])).toMatchObject([
      { issuer: 100, txid: "tx_1", order_id: null, payment: null, sender: 300, proved_at: 1_700_000_000 },
    ]);
    expect(await jsonOf(folder, ["opencharge", "proofs", "--outcome", "paid"])).toEqual([]);
  });

  test("mark an order paid: a running server tells the shop, a stopped one when it is back", async () => {
    using merchant = shop();
    const { folder, database } = place();
    const server = await ready(folder);
    const first = await createOrder(server.url, merchant.url, "first");
    const second = await createOrder(server.url, merchant.url, "second");

    expect(await ocrch(folder, ["mark-paid", first.toUpperCase(), "--reason", "paid in cash"])).toEqual({
      status: 0,
      out: `order ${first} ("first", 19.90): paid, was pending; the shop will be told\n`,
      err: "",
    });
    await merchant.until(1);
    expect(await ocrch(folder, ["mark-paid", first])).toEqual({
      status: 0,
      out: `order ${first} ("first", 19.90): paid, already paid; nothing sent\n`,
      err: "",
    });
    expect(await ocrch(folder, ["resend-webhook", first])).toEqual({
      status: 0,
      out: `order ${first}: one more webhook is queued\n`,
      err: "",
    });
    await merchant.until(2);
    await stop(server);

    const paid = await jsonOf(folder, ["mark-paid", second]);
    expect(paid).toMatchObject({
      order_id: second,
      merchant_order_id: "second",
      status: "paid",
      webhook_retry_count: 0,
    });
    expect((await jsonOf(folder, ["status"])).deliveries).toEqual({ waiting: 1, delivered: 2, gave_up: 0 });
    const again = await ready(folder);
    await merchant.until(3);
    await stop(again);
    const told = merchant.bodies.map((body) => [body.merchant_order_id, body.status]);
    expect(told).toEqual([
      ["first", "paid"],
      ["first", "paid"],
      ["second", "paid"],
    ]);

    const rows = new Sqlite(database, { readonly: true });
    const audit = rows.query("SELECT actor, action, subject, detail FROM audit ORDER BY id").values();
    rows.close();
    expect(audit).toEqual([
      ["cli", "mark_paid", `order:${first}`, "paid in cash"],
      ["cli", "resend_webhook", `order:${first}`, ""],
      ["cli", "mark_paid", `order:${second}`, ""],
    ]);
  });

  test("show a transfer that nobody asked for and report it once more", async () => {
    using merchant = shop();
    const { folder, database } = place(configText({ unknown_transfer_url: merchant.url }));
    await stop(await ready(folder));
    insertTransfer(database);

    const [transfer] = await jsonOf(folder, ["transfers"]);
    expect(transfer).toMatchObject({ id: 1, blockchain: "eth", token: "USDT", value: "7.5", block_timestamp: 1.7e9 });
    const filters = ["--wallet", eth_wallet.toLowerCase(), "--status", "no_matched_deposit", "--chain=eth"];
    expect(await jsonOf(folder, ["transfers", ...filters, "--coin=USDT"])).toEqual([transfer]);
    expect(await jsonOf(folder, ["transfers", ...filters, "--coin=USDC"])).toEqual([]);
    const raw = new Sqlite(database);
    raw.run("UPDATE transfers SET coin = NULL, label = 'USDC.e'");
    expect(await jsonOf(folder, ["transfers"])).toEqual([]);
    expect(await jsonOf(folder, ["transfers", "--unaccepted"])).toEqual([{ ...transfer, token: "USDC.e" }]);
    raw.run("UPDATE transfers SET coin = 'USDT', label = 'USDT'");
    raw.close();
    const text = (await ocrch(folder, ["transfers"])).out;
    expect(text).toContain("2023-11-14T22:13:20Z");
    expect(text).toContain("no deposit asks for this amount\n");

    expect(await ocrch(folder, ["resend-webhook", "--transfer", "1"])).toEqual({
      status: 0,
      out: "transfer 1: one more webhook is queued\n",
      err: "",
    });
    const server = await ready(folder);
    await merchant.until(1);
    await stop(server);
    expect(merchant.bodies[0]).toMatchObject({ event_type: "unknown_transfer", transfer_id: 1, value: "7.5" });
  });

  test("show what waits for a person, credit it to an order, take it back, and close the case", async () => {
    const { folder, database } = place();
    const server = await ready(folder);
    const order = await createOrder(server.url, "https://shop.example/hook");
    await stop(server);
    expect((await ocrch(folder, ["inbox"])).out).toBe("nothing waits for you\n");
    insertTransfer(database);
    const [entry] = await jsonOf(folder, ["inbox"]);
    expect(entry).toMatchObject({ id: 1, value: "7.5", reason: "no_such_amount", candidates: [] });
    expect((await ocrch(folder, ["inbox", "--chain", "eth"])).out).toStartWith(
      `1  7.5 USDT on eth  2023-11-14T22:13:20Z  no deposit asks for this amount\n    from ${tron_wallet} to ${eth_wallet}`,
    );
    expect(await ocrch(folder, ["assign", "1", order])).toEqual({
      status: 0,
      out: `transfer 1 (7.5 USDT on eth): order ${order} is pending: it has 7.5 of 19.90, 12.4 is missing\n`,
      err: "",
    });
    expect((await ocrch(folder, ["assign", "1", order])).out).toBe(
      `transfer 1 (7.5 USDT on eth): order ${order} had it before and is pending\n`,
    );
    expect(await jsonOf(folder, ["inbox"])).toEqual([]);
    const taken = `transfer 1: taken back from order ${order}, which is pending\n`;
    expect((await ocrch(folder, ["unassign", "1", "--reason", "wrong shop"])).out).toBe(taken);
    const silent = await ocrch(folder, ["dismiss", "1", "--reason", " "]);
    expect([silent.status, silent.err]).toEqual([2, expect.stringContaining("--reason says why")]);
    const dismissed = await ocrch(folder, ["dismiss", "1", "--reason", "sent back"]);
    expect(dismissed).toEqual({ status: 0, out: "transfer 1: dismissed\n", err: "" });
    expect(await jsonOf(folder, ["inbox"])).toEqual([]);
  });

  test("show how far a chain has been read", async () => {
    const { folder, database } = place();
    await stop(await ready(folder));
    const rows = new Sqlite(database);
    rows.run("UPDATE watches SET start_block = 900 WHERE chain = 'eth'");
    rows.run(
      `INSERT INTO coverage (watch, pass, from_block, to_block, to_hash, to_time, provider)
       SELECT id, 'head', 900, 939 + id, '0x01', 1700000000, 'node.example' FROM watches WHERE chain = 'eth'`,
    );
    rows.run(
      `UPDATE chains SET head_number = 1000, head_hash = '0x02', head_time = 1700000012, final_number = 936,
         last_read_at = ?, stalled_since = NULL, stalled_reason = NULL WHERE chain = 'eth'`,
      [Date.now()],
    );
    const [{ id }] = rows.query("SELECT min(id) AS id FROM watches WHERE chain = 'eth'").all() as [{ id: number }];
    rows.close();

    const [eth] = (await jsonOf(folder, ["status"])).chains;
    // As much as the watch that was read least.
    expect(eth).toMatchObject({ head_block: 1000, final_block: 936, head_timestamp: 1700000012, stalled_since: null });
    expect(eth.unread_blocks).toBe(1000 - (939 + id));
    expect((await ocrch(folder, ["status"])).out).toMatch(
      new RegExp(`^eth +read +1000 +936 +- +${eth.unread_blocks} +\\S+Z \\(\\d+ s ago\\) +1 +3 +0 +0$`, "m"),
    );
  });

  test("name what they did not find or may not do", async () => {
    const { folder, database } = place();
    await stop(await ready(folder));
    insertTransfer(database);
    const rows: [args: string[], expected: string][] = [
      [["mark-paid", unknown_order], `order ${unknown_order}: resource not found`],
      [["resend-webhook", unknown_order], `order ${unknown_order}: resource not found`],
      [["resend-webhook", "--transfer", "99"], "transfer 99: resource not found"],
      [["dismiss", "99", "--reason", "x"], "transfer 99: resource not found"],
      [["assign", "1", unknown_order], `transfer 1, order ${unknown_order}: resource not found`],
      [["unassign", "1", "--reason", "x"], "transfer 1: transfer pays no order"],
      [["resend-webhook", "--transfer", "1"], "transfer 1: merchant.unknown_transfer_webhook_url is not configured"],
    ];
    for (const [args, expected] of rows)
      expect(await ocrch(folder, args)).toEqual({ status: 1, out: "", err: `ocrch: ${expected}\n` });
  });

  test("print a list of any length whole, whatever reads it", async () => {
    const { folder, database } = place();
    await ocrch(folder, ["migrate"]);
    const rows = new Sqlite(database);
    rows.run(
      `INSERT INTO orders (id, merchant_order_id, amount, status, webhook_url, created_at, expires_at)
       WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
       SELECT printf('0192f0c1-2d3e-7a4b-8c5d-%012d', i), 'o' || i, '1.00', 'pending', 'http://127.0.0.1/', i, i + 1 FROM n`,
    );
    rows.close();
    const child = spawn(folder, ["orders", "--json", "--limit", "3000"]);
    const reader = child.stdout.getReader();
    const chunks: Uint8Array[] = [];
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      chunks.push(part.value);
      await Bun.sleep(1);
    }
    expect(await child.exited).toBe(0);
    expect(JSON.parse(Buffer.concat(chunks).toString()).length).toBe(3000);
  });
});
