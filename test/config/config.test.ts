import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { keepChains } from "../../src/config/chains.ts";
import type { Config } from "../../src/config/config.ts";
import { formatDuration, parseDuration } from "../../src/config/duration.ts";
import { configPath, loadConfig } from "../../src/config/load.ts";
import { type Draft, parseConfig as parse } from "../../src/config/parse.ts";
import { normaliseOrigin, parseListen } from "../../src/config/place.ts";
import { replaceAdminSecret } from "../../src/config/secret.ts";
import { closest } from "../../src/config/suggest.ts";
import { type ChainId, chainIds, coins, tokens } from "../../src/domain/assets.ts";
import { errorCode, errorText } from "../../src/domain/errors.ts";
import type { FinalityTier } from "../../src/domain/finality.ts";
import { formatNetwork, isWithin, parseNetwork } from "../../src/domain/network.ts";
import { extensionSections } from "../../src/extensions.ts";
import { realWorld, type World } from "../../src/world.ts";
import { no_keys } from "../support/appliance.ts";

const path = "/etc/ocrch/ocrch-config.toml";
const wallet = "0x52908400098527886E0F7030069857D2E4169EE7";
const other_wallet = "0x8617E340B3D01FA5F11F306F4090FD50E238070D";
const mixed_wallet = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
const tron_wallet = "TJCnKsPa7y5okkXvQAidZBzqx3QyQ6sxMW";
const usdt = "0xdAC17F958D2ee523a2206206994597C13D831ec7";
const usdc = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48";
const fresh = "0x00000000000000000000000000000000000000AA";

const admin = '[admin]\nsecret = "open sesame, please"\n';
const merchant =
  '[merchant]\nname = "Shop"\nsecret = "a long s3cret of the shop"\nallowed_origins = ["https://shop.example"]\n';
const entry = (chain: string, address: string, enabled: string) =>
  `[[wallets]]\nblockchain = "${chain}"\naddress = "${address}"\nenabled_coins = ${enabled}\n`;
const wallets = entry("eth", wallet, '["USDT", "USDC"]');
const sound = admin + merchant + wallets;
/** The least sound file, with `extra` lines in front (top-level keys and sections). */
const withExtra = (extra: string) => `${extra}\n${sound}`;

const parseConfig = (text: string, path: string, overrides = {}) => parse(text, path, overrides, extensionSections);

function accepted(text: string): Draft {
  const { draft, problems } = parseConfig(text, path);
  expect(problems).toEqual([]);
  if (draft === null) throw new Error("no draft without problems");
  return draft;
}

function eth(text: string) {
  const settings = accepted(text).chains.get("eth");
  if (settings === undefined) throw new Error("eth has a wallet");
  return settings;
}

describe("each mistake has its line", () => {
  const rows: [name: string, text: string, ...problems: string[]][] = [
    [
      "an empty file",
      "",
      "admin: missing; add an [admin] section with secret",
      "merchant: missing; add a [merchant] section with name, secret and allowed_origins",
      "wallets: missing; add at least one [[wallets]] entry with blockchain, address and enabled_coins",
    ],
    [
      "empty sections",
      "[admin]\n[merchant]\n[[wallets]]",
      'admin.secret: missing; add secret = ".."',
      'merchant.name: missing; add name = ".."',
      'merchant.secret: missing; add secret = ".."',
      "merchant.allowed_origins: missing; add allowed_origins = [ .. ]",
      'wallets[0].blockchain: missing; add blockchain = ".."',
      'wallets[0].address: missing; add address = ".."',
      "wallets[0].enabled_coins: missing; add enabled_coins = [ .. ]",
    ],
    [
      "no wallets",
      admin + merchant,
      "wallets: missing; add at least one [[wallets]] entry with blockchain, address and enabled_coins",
    ],
    [
      "an empty list of wallets",
      `wallets = []\n${admin}${merchant}`,
      "wallets: missing; add at least one [[wallets]] entry with blockchain, address and enabled_coins",
    ],
    [
      "wallets with one bracket",
      `${admin}${merchant}[wallets]\nblockchain = "eth"`,
      "wallets: expected a list; write [[wallets]] with two brackets",
    ],
    ["a TOML slip", "[server]\nlisten = \n", `${path}: line 2, column 10: invalid value`],
    [
      "a key written twice",
      "a = 1\na = 2",
      `${path}: line 2, column 1: trying to redefine an already defined table or value`,
    ],
    ["a hostile key", "__proto__ = 1", `${path}: line 1, column 1: document contains an unsafe property`],
    ["an unknown section", withExtra("[sever]"), "sever: unknown key; did you mean server?"],
    ["an unknown key", withExtra('[server]\nlisen = "x"'), "server.lisen: unknown key; did you mean listen?"],
    ["an unknown key like no other", withExtra("[database]\nurl = 1"), "database.url: unknown key; known here: path"],
    [
      "an odd unknown key",
      withExtra('[database]\n"a b\\u0007" = 1'),
      'database."a b\\u0007": unknown key; known here: path',
    ],
    [
      "two unknown keys at once",
      withExtra("[orders]\nlifetme = 1\nlate_windw = 1"),
      "orders.lifetme: unknown key; did you mean lifetime?",
      "orders.late_windw: unknown key; did you mean late_window?",
    ],
    ["an unknown key of a wallet", `${sound}adress = "x"`, "wallets[0].adress: unknown key; did you mean address?"],
    [
      "an unknown key of a chain",
      `${sound}[chains.eth]\nrpc_url = "x"`,
      "chains.eth.rpc_url: unknown key; did you mean rpc_urls?",
    ],
    [
      "an unknown key of a token",
      `${sound}[chains.eth.tokens.USDT]\naddress = "${usdt}"\ndecimal = 6`,
      "chains.eth.tokens.USDT.decimal: unknown key; did you mean decimals?",
    ],
    [
      "an unknown key of a tier",
      `${sound}[chains.eth]\nfinality = [{ finality = 1, upto = "5" }]`,
      "chains.eth.finality[0].upto: unknown key; did you mean up_to?",
    ],
    ["an unknown chain section", `${sound}[chains.etherum]`, `chains.etherum: unknown key; did you mean eth?`],
    [
      "an unknown token section",
      `${sound}[chains.eth.tokens.USDD]\naddress = "${usdt}"`,
      "chains.eth.tokens.USDD: unknown key; did you mean USDT?",
    ],

    [
      "an empty admin secret",
      sound.replace("open sesame, please", " "),
      "admin.secret: empty; put a value between the quotes",
    ],
    [
      "an empty merchant secret",
      sound.replace("a long s3cret of the shop", ""),
      "merchant.secret: empty; put a value between the quotes",
    ],
    ["an empty name", sound.replace('"Shop"', '""'), "merchant.name: empty; put a value between the quotes"],
    [
      "placeholders of the example",
      sound
        .replace("open sesame, please", "change-me-admin-secret")
        .replace("a long s3cret of the shop", "change-me-merchant-secret")
        .replace(wallet, "0xYourWalletAddress"),
      "admin.secret: still the placeholder of the example file; put a long random text of your own",
      "merchant.secret: still the placeholder of the example file; put a long random text of your own",
      "wallets[0].address: still the placeholder of the example file; put the address of your own wallet",
    ],
    [
      "half a hash",
      sound.replace("open sesame, please", "$argon2id$v=19$m=65536,t=2,p=1$abc"),
      "admin.secret: begins with $argon2 but is no whole argon2 hash; paste all of it, or write a new secret in plain text",
    ],
    [
      "a secret that is a number",
      sound.replace('"a long s3cret of the shop"', "12345"),
      "merchant.secret: expected text in quotes, got a number",
    ],
    [
      "a secret that is a date",
      sound.replace('"a long s3cret of the shop"', "2026-01-01"),
      "merchant.secret: expected text in quotes, got a date",
    ],

    [
      "one origin instead of a list",
      sound.replace('["https://shop.example"]', '"https://shop.example"'),
      "merchant.allowed_origins: expected a list in [ ], got text in quotes",
    ],
    [
      "origins with a path, without a scheme, and a star",
      sound.replace('"https://shop.example"', '"https://shop.example/pay", "shop.example", "*"'),
      'merchant.allowed_origins[0]: "https://shop.example/pay" is no origin; did you mean "https://shop.example"?',
      'merchant.allowed_origins[1]: "shop.example" is no origin; write scheme and host, such as "https://shop.example"',
      'merchant.allowed_origins[2]: "*" is no origin; write scheme and host, such as "https://shop.example"',
    ],
    [
      "a webhook address without scheme",
      sound.replace("[[wallets]]", 'unknown_transfer_webhook_url = "shop"\n[[wallets]]'),
      "merchant.unknown_transfer_webhook_url: no web address; it must begin with http:// or https:// and name a host",
    ],
    [
      "a switch in quotes",
      sound.replace("[[wallets]]", 'strict_url_binding = "yes"\n[[wallets]]'),
      "merchant.strict_url_binding: expected true or false, got text in quotes",
    ],

    [
      "a port alone",
      withExtra('[server]\nlisten = "8080"'),
      'server.listen: "8080" is no address to listen on; write host and port, such as "0.0.0.0:8080"',
    ],
    [
      "a public address with a query",
      withExtra('[server]\npublic_url = "https://pay.example/?a"'),
      "server.public_url: must be a plain address without user, ? or #",
    ],
    [
      "a proxy instead of a list of them",
      withExtra('[server]\ntrusted_proxies = "127.0.0.1"'),
      "server.trusted_proxies: expected a list in [ ], got text in quotes",
    ],
    [
      "proxies that are none, that are everybody, and that begin inside their network",
      withExtra(
        '[server]\ntrusted_proxies = ["proxy.local", "10.0.0.0/33", "010.0.0.1", "0.0.0.0/0", "::/0", "10.1.0.0/8", "fd00::1/64", ""]',
      ),
      ...["proxy.local", "10.0.0.0/33", "010.0.0.1"].map(
        (text, index) =>
          `server.trusted_proxies[${index}]: "${text}" is no address or network; write it like "127.0.0.1", "10.0.0.0/8" or "fd00::/8"`,
      ),
      'server.trusted_proxies[3]: "0.0.0.0/0" is everybody; name the addresses of your own proxies',
      'server.trusted_proxies[4]: "::/0" is everybody; name the addresses of your own proxies',
      'server.trusted_proxies[5]: "10.1.0.0/8" begins inside its network; did you mean "10.0.0.0/8"?',
      'server.trusted_proxies[6]: "fd00::1/64" begins inside its network; did you mean "fd00::/64"?',
      'server.trusted_proxies[7]: "" is no address or network; write it like "127.0.0.1", "10.0.0.0/8" or "fd00::/8"',
    ],
    [
      "an empty previous secret",
      sound.replace("[[wallets]]", 'previous_secret = ""\n[[wallets]]'),
      "merchant.previous_secret: empty; put a value between the quotes",
    ],
    [
      "a duration without unit",
      withExtra('[orders]\nlifetime = "60"'),
      'orders.lifetime: "60" is no duration; write a whole number with ms, s, m or h, such as "60m"',
    ],
    [
      "a duration without quotes",
      withExtra("[orders]\nlifetime = 60"),
      'orders.lifetime: expected a duration in quotes, such as "60m"',
    ],
    [
      "durations out of bounds",
      withExtra(
        '[server]\nsignature_window = "61m"\n[orders]\nlifetime = "721h"\nlate_window = "2161h"\n[webhooks]\ntimeout = "999ms"',
      ),
      'server.signature_window: "61m" is out of bounds; allowed is 1s to 1h',
      'orders.lifetime: "721h" is out of bounds; allowed is 1s to 720h',
      'orders.late_window: "2161h" is out of bounds; allowed is 0s to 2160h',
      'webhooks.timeout: "999ms" is out of bounds; allowed is 1s to 1m',
    ],
    [
      "polls out of bounds",
      `${sound}[chains.eth]\npoll = "49ms"\nidle_poll = "2h"`,
      'chains.eth.poll: "49ms" is out of bounds; allowed is 50ms to 10m',
      'chains.eth.idle_poll: "2h" is out of bounds; allowed is 50ms to 1h',
    ],
    [
      "an idle poll shorter than the poll",
      `${sound}[chains.eth]\npoll = "10s"\nidle_poll = "5s"`,
      "chains.eth.idle_poll: shorter than poll; make it at least as long",
    ],
    [
      "a surcharge without quotes",
      withExtra("[orders]\nmax_surcharge = 0.99"),
      'orders.max_surcharge: expected an amount in quotes, such as "0.99"',
    ],
    [
      "a surcharge too large, too fine, negative",
      withExtra('[orders]\nmax_surcharge = "100.01"'),
      'orders.max_surcharge: expected an amount from "0" to "100" with at most 6 decimals',
    ],
    [
      "a surcharge no coin can hold",
      withExtra('[orders]\nmax_surcharge = "0.0000001"'),
      'orders.max_surcharge: expected an amount from "0" to "100" with at most 6 decimals',
    ],
    ...["0.1", '["0.10", "2"]', '"0.0000001"', '"100.01"', '"10.1%"', '"0.00001%"', '"-1"', '"%"', '"1 %"'].map(
      (written): [what: string, text: string, problem: string] => [
        `a tolerance of ${written}`,
        withExtra(`[orders]\nunderpaid_tolerance = ${written.replace('"2"', "2")}`),
        `orders.underpaid_tolerance${written.startsWith("[") ? "[1]" : ""}: expected an amount from "0" to "100" with at most 6 decimals, a percentage from "0%" to "10%" with at most 4 decimals, or a list of both`,
      ],
    ),
    [
      "an overpayment of more than twice what is due",
      withExtra('[orders]\noverpaid_tolerance = "100.1%"'),
      'orders.overpaid_tolerance: expected an amount from "0" to "100" with at most 6 decimals, a percentage from "0%" to "100%" with at most 4 decimals, or a list of both',
    ],
    [
      "a tolerance of an empty list",
      withExtra("[orders]\nunderpaid_tolerance = []"),
      "orders.underpaid_tolerance: empty; remove the key or write a bound",
    ],
    [
      "an unknown success",
      withExtra('[webhooks]\nsuccess = "20x"'),
      'webhooks.success: "20x" is unknown; did you mean 2xx?',
    ],
    [
      "a success without quotes",
      withExtra("[webhooks]\nsuccess = 200"),
      "webhooks.success: expected one of 2xx, 200 in quotes",
    ],
    [
      "an empty database path",
      withExtra('[database]\npath = ""'),
      "database.path: empty; put a value between the quotes",
    ],

    [
      "a broken checksum",
      sound.replace(wallet, mixed_wallet.replace("0x5aA", "0x5aa")),
      `wallets[0].address: ${mixed_wallet.replace("0x5aA", "0x5aa")} fails its checksum; did you mean ${mixed_wallet}?`,
    ],
    [
      "no address",
      sound.replace(wallet, "0x1234"),
      'wallets[0].address: "0x1234" is no address; an address on eth is 0x and 40 hexadecimal digits',
    ],
    [
      "a Tron address on eth",
      sound.replace(wallet, tron_wallet),
      `wallets[0].address: "${tron_wallet}" is a Tron address; an address on eth is 0x and 40 hexadecimal digits`,
    ],
    [
      "an eth address on tron",
      admin + merchant + entry("tron", wallet, '["USDT"]'),
      `wallets[0].address: "${wallet}" is an address of another kind of chain; a Tron address begins with T and has 34 characters`,
    ],
    [
      "a broken Tron address",
      admin + merchant + entry("tron", `${tron_wallet.slice(0, -1)}X`, '["USDT"]'),
      `wallets[0].address: "${tron_wallet.slice(0, -1)}X" is no Tron address; a Tron address begins with T and has 34 characters`,
    ],
    ["an empty address", sound.replace(wallet, ""), "wallets[0].address: empty; put a value between the quotes"],
    [
      "the zero address",
      sound.replace(wallet, `0x${"0".repeat(40)}`),
      "wallets[0].address: the zero address belongs to nobody; put the address of your own wallet",
    ],
    [
      "a token contract as wallet",
      sound.replace(wallet, usdt.toLowerCase()),
      "wallets[0].address: this is the USDT token contract; put the address of your own wallet",
    ],
    [
      "the same wallet twice",
      sound + entry("polygon", wallet, '["USDT"]') + entry("eth", wallet.toLowerCase(), '["DAI"]'),
      "wallets[2].address: already listed on eth as wallets[0]; put all its coins there",
    ],
    [
      "an unknown chain",
      sound.replace('"eth"', '"ethereum"'),
      'wallets[0].blockchain: "ethereum" is unknown; did you mean eth?',
    ],
    [
      "a chain by its long name",
      sound.replace('"eth"', '"Avalanche"'),
      'wallets[0].blockchain: "Avalanche" is unknown; did you mean avaxc?',
    ],
    [
      "a chain nobody knows",
      sound.replace('"eth"', '"solana"'),
      `wallets[0].blockchain: "solana" is unknown; use one of ${chainIds.join(", ")}`,
    ],
    [
      "unknown coins",
      sound.replace('["USDT", "USDC"]', '["usdt", "EURC", 1]'),
      'wallets[0].enabled_coins[0]: "usdt" is unknown; did you mean USDT?',
      `wallets[0].enabled_coins[1]: "EURC" is unknown; use one of ${coins.join(", ")}`,
      `wallets[0].enabled_coins[2]: expected one of ${coins.join(", ")} in quotes`,
    ],
    [
      "a coin the chain does not have",
      sound + entry("tron", tron_wallet, '["USDT", "DAI"]'),
      "wallets[1].enabled_coins[1]: DAI is not on tron; it has USDT, USDC",
    ],
    [
      "a starting transaction that is none",
      `${sound}starting_tx = "0x12"`,
      "wallets[0].starting_tx: no transaction hash; expected 0x and 64 hexadecimal digits",
    ],

    [
      "a node address with another scheme, its key not repeated",
      `${sound}[chains.eth]\nrpc_urls = ["wss://node.example/k3y"]`,
      "chains.eth.rpc_urls[0]: no web address; it must begin with http:// or https:// and name a host",
    ],
    [
      "no node addresses",
      `${sound}[chains.eth]\nrpc_urls = []`,
      "chains.eth.rpc_urls: empty; remove the key or list a URL",
    ],
    [
      "numbers out of bounds",
      `${sound}[chains.eth]\nchain_id = 0\nstart_block = 1.5`,
      "chains.eth.chain_id: 0 is out of bounds; expected a whole number from 1",
      "chains.eth.start_block: 1.5 is out of bounds; expected a whole number from 0",
    ],
    [
      "an unknown finality",
      `${sound}[chains.eth]\nfinality = "final"`,
      'chains.eth.finality: write "finalized", "safe", a number of blocks, seconds such as "20s", any of these joined by "+", or a list of { up_to, finality }',
    ],
    [
      "no confirmations at all",
      `${sound}[chains.eth]\nfinality = 0`,
      'chains.eth.finality: write "finalized", "safe", a number of blocks, seconds such as "20s", any of these joined by "+", or a list of { up_to, finality }',
    ],
    ["no tiers", `${sound}[chains.eth]\nfinality = []`, "chains.eth.finality: empty; remove the key or write one tier"],
    [
      "tiers out of order",
      `${sound}[chains.eth]\nfinality = [{ up_to = "10", finality = 1 }, { up_to = "9.5", finality = 2 }, { finality = 3 }]`,
      "chains.eth.finality[1].up_to: 9.5 is not above 10 of the tier before; order them from small to large",
    ],
    [
      "a bounded last tier",
      `${sound}[chains.eth]\nfinality = [{ up_to = "10", finality = 1 }]`,
      "chains.eth.finality[0].up_to: the last tier takes all larger amounts; remove up_to",
    ],
    [
      "an unbounded first tier",
      `${sound}[chains.eth]\nfinality = [{ finality = 1 }, { finality = 2 }]`,
      "chains.eth.finality[0].up_to: missing; only the last tier goes without up_to",
    ],
    [
      "a tier bound without quotes and a tier without finality",
      `${sound}[chains.eth]\nfinality = [{ up_to = 10, finality = 1 }, {}]`,
      'chains.eth.finality[0].up_to: expected an amount in quotes, such as "1000"',
      'chains.eth.finality[1].finality: write "finalized", "safe", a number of blocks, seconds such as "20s", any of these joined by "+", or a list of { up_to, finality }',
    ],
    [
      "tiers that are no tables",
      `${sound}[chains.eth]\nfinality = [12]`,
      "chains.eth.finality[0]: expected a section of keys, got a number",
    ],
    [
      "a token without contract",
      `${sound}[chains.eth.tokens.USDT]\ndecimals = 6`,
      "chains.eth.tokens.USDT.address: expected the token contract in quotes, or a list of them",
    ],
    [
      "a token with a broken contract",
      `${sound}[chains.eth.tokens.USDT]\naddress = ["${usdt}", "0x12"]`,
      'chains.eth.tokens.USDT.address[1]: "0x12" is no address; an address on eth is 0x and 40 hexadecimal digits',
    ],
    [
      "a token with too many decimals",
      `${sound}[chains.eth.tokens.USDT]\naddress = "${fresh}"\ndecimals = 19`,
      "chains.eth.tokens.USDT.decimals: 19 is out of bounds; expected a whole number from 0 to 18",
    ],
    [
      "a known contract with other decimals",
      `${sound}[chains.eth.tokens.USDT]\naddress = "${usdt}"\ndecimals = 18`,
      `chains.eth.tokens.USDT.decimals: ${usdt} has 6 decimals, not 18`,
    ],
    [
      "a contract of another coin",
      `${sound}[chains.eth.tokens.USDT]\naddress = "${usdc}"`,
      `chains.eth.tokens.USDT.address: ${usdc} is already the contract of USDC`,
    ],
    [
      "one contract for two coins",
      `${sound}[chains.eth.tokens]\nUSDT = { address = "${fresh}" }\nUSDC = { address = "${fresh.toLowerCase()}" }`,
      `chains.eth.tokens.USDC.address: ${fresh} is already the contract of USDT`,
    ],
    [
      "a contract listed twice",
      `${sound}[chains.eth.tokens.USDT]\naddress = ["${fresh}", "${fresh}"]`,
      `chains.eth.tokens.USDT.address: ${fresh} is listed twice; remove one`,
    ],
    [
      "a mistake in a chain without wallet",
      `${sound}[chains.op]\npoll = "1"`,
      'chains.op.poll: "1" is no duration; write a whole number with ms, s, m or h, such as "4s"',
    ],

    [
      "mistakes of every kind, all reported at once",
      `[server]\nlisen = 1\n[orders]\nlifetime = "x"\n${merchant.replace("a long s3cret of the shop", "")}${admin}` +
        `${entry("eth", "0x12", '["USDT"]')}color = "red"\n${entry("tron", tron_wallet, '["DAI"]')}` +
        `[chains.eth.tokens.DAI]\naddress = "${usdc}"\n[chains.op]\nchain_id = "ten"`,
      "server.lisen: unknown key; did you mean listen?",
      "merchant.secret: empty; put a value between the quotes",
      'orders.lifetime: "x" is no duration; write a whole number with ms, s, m or h, such as "60m"',
      "wallets[0].color: unknown key; known here: blockchain, address, enabled_coins, starting_tx",
      "chains.op.chain_id: expected a number, got text in quotes",
      'wallets[0].address: "0x12" is no address; an address on eth is 0x and 40 hexadecimal digits',
      "wallets[1].enabled_coins[0]: DAI is not on tron; it has USDT, USDC",
      `chains.eth.tokens.DAI.address: ${usdc} is already the contract of USDC`,
    ],
  ];
  test.each(rows)("%s", (_name, text, ...problems) => {
    expect(parseConfig(text, path)).toEqual({ draft: null, sections: {}, problems, warnings: [] });
  });

  test("a bad --listen is named as such", () => {
    const { problems } = parseConfig(sound, path, { listen: "nowhere" });
    expect(problems).toEqual([
      '--listen: "nowhere" is no address to listen on; write host and port, such as "0.0.0.0:8080"',
    ]);
  });
});

describe("secrets", () => {
  const warned = (text: string) => {
    expect(accepted(text).merchant.secret).not.toBe("");
    return parseConfig(text, path).warnings.filter((line) => line.includes("secret"));
  };

  test("under 16 characters, or equal to one another, are a warning and never shown", () => {
    expect(warned(sound)).toEqual([]);
    expect(warned(sound.replace("open sesame, please", "open sesame"))).toEqual([
      "admin.secret: shorter than 16 characters; put a long random text of your own",
    ]);
    expect(warned(sound.replace("a long s3cret of the shop", "open sesame, please"))).toEqual([
      "merchant.secret: the same as another secret; put one of its own, or remove the key",
    ]);
    const previous = sound.replace("[[wallets]]", 'previous_secret = "a long s3cret of the shop"\n[[wallets]]');
    expect(warned(previous)).toEqual([
      "merchant.previous_secret: the same as another secret; put one of its own, or remove the key",
      "merchant.previous_secret: still accepted; remove it once your shop signs with merchant.secret",
    ]);
  });
});

describe("what a sound file means", () => {
  test("the least file gets every default", () => {
    const draft = accepted(sound);
    const { chains, spare_chains, wallets, ...plain } = draft;
    expect(spare_chains.size).toBe(0);
    expect(plain).toEqual({
      path,
      ...Object.fromEntries(extensionSections.map(({ name }) => [name, null])),
      api_keys: no_keys,
      server: {
        hostname: "0.0.0.0",
        port: 8080,
        public_url: null,
        signature_window_ms: 300_000,
        trusted_proxies: [],
      },
      database: { path: "/etc/ocrch/ocrch.db" },
      admin: { secret: "open sesame, please" },
      merchant: {
        name: "Shop",
        secret: "a long s3cret of the shop",
        previous_secret: null,
        allowed_origins: ["https://shop.example"],
        unknown_transfer_webhook_url: null,
        strict_url_binding: false,
      },
      orders: {
        lifetime_ms: 3_600_000,
        late_window_ms: 86_400_000,
        max_surcharge: "0.99",
        underpaid_tolerance: [{ amount: "0" }],
        overpaid_tolerance: [{ millionths: 100_000n }],
      },
      webhooks: { allow_private_targets: false, success: "2xx", signature_padding: true, timeout_ms: 15_000 },
    });
    expect(wallets).toEqual([{ chain: "eth", address: wallet, coins: ["USDT", "USDC"], starting_tx: null }]);
    expect([...chains.keys()]).toEqual(["eth"]);
    expect(chains.get("eth")).toMatchObject({
      id: "eth",
      chain_id: 1,
      public_endpoints: true,
      poll_ms: 4000,
      idle_poll_ms: 60_000,
      start_block: null,
      tokens: [...tokens.eth],
    });
    expect(chains.get("eth")?.finality).toEqual([
      { up_to: "1000", finality: { blocks: 12, seconds: 120 } },
      { up_to: null, finality: { tag: "finalized" } },
    ]);
  });

  test("a file of the first implementation works as it is", () => {
    const tx = `0x${"aB".repeat(32)}`;
    const { draft, problems, warnings } = parseConfig(
      `[server]\nlisten = "127.0.0.1:9000"\n\n[admin]\nsecret = "a secure password"\n\n[merchant]\nname = "Example Store"
secret = "the merchant's key"\nallowed_origins = [\n  "HTTPS://Shop.Example:443/",\n  "http://localhost:3000",\n]
unknown_transfer_webhook_url = "https://shop.example/hook"\n\n[api_keys]\netherscan_api_key = "ETH"\ntronscan_api_key = "TRON"
${entry("eth", wallet.toLowerCase(), '["USDT", "USDC", "DAI"]')}starting_tx = "${tx}"
${entry("polygon", wallet, '["USDT", "USDC"]')}${entry("tron", tron_wallet, '["USDT"]')}starting_tx = "${tx}"`,
      path,
    );
    expect(problems).toEqual([]);
    expect(draft?.server).toMatchObject({ hostname: "127.0.0.1", port: 9000 });
    expect(draft?.merchant.allowed_origins).toEqual(["https://shop.example", "http://localhost:3000"]);
    expect(draft?.wallets.map((wallet) => `${wallet.chain} ${wallet.address} ${wallet.starting_tx}`)).toEqual([
      `eth ${wallet} ${tx.toLowerCase()}`,
      `polygon ${wallet} null`,
      // As Tron's explorers write it.
      `tron ${tron_wallet} ${tx.slice(2).toLowerCase()}`,
    ]);
    expect([...(draft?.chains.keys() ?? [])]).toEqual(["eth", "polygon", "tron"]);
    expect(warnings).toEqual([
      "chains.eth.rpc_urls: none; eth is read from Etherscan, which is slower; public endpoints stand in; list your own provider before real money depends on it",
      "chains.polygon.rpc_urls: none; polygon is read from Etherscan, which is slower; public endpoints stand in; list your own provider before real money depends on it",
      "chains.tron.rpc_urls: public endpoints, fine for a trial; list your own provider before real money depends on them",
    ]);
    expect(draft?.api_keys).toEqual({ ...no_keys, etherscan: "ETH", tronscan: "TRON" });
  });

  describe("explorers", () => {
    const keys = (names: string) =>
      `[api_keys]\n${names
        .split(" ")
        .map((name) => `${name}_api_key = "${name}-key"\n`)
        .join("")}`;
    const rows: [extra: string, chain: ChainId, expected: string][] = [
      ["", "eth", "none"],
      ["", "base", "none"],
      ['[api_keys]\netherscan_api_key = " "', "eth", "none"],
      [keys("tronscan"), "eth", "none"],
      [keys("etherscan"), "eth", "etherscan https://api.etherscan.io/v2/api etherscan-key reads"],
      [keys("etherscan"), "base", "blockscout https://base.blockscout.com null reads"],
      [keys("etherscan"), "op", "blockscout https://explorer.optimism.io null reads"],
      [
        keys("etherscan"),
        "avaxc",
        "routescan https://api.routescan.io/v2/network/mainnet/evm/43114/etherscan/api null reads",
      ],
      [keys("blockscout"), "op", "blockscout https://api.blockscout.com/10 blockscout-key reads"],
      [keys("blockscout"), "eth", "none"],
      [`${keys("etherscan")}[chains.eth]\nrpc_urls = ["http://a.example"]`, "eth", "etherscan-key compares"],
      [`${keys("etherscan")}[chains.eth]\nrpc_urls = []`, "eth", "etherscan-key reads"],
      [`[chains.eth]\nexplorer_url = "http://own.example/api"`, "eth", "etherscan http://own.example/api null reads"],
      [
        `${keys("blockscout")}[chains.eth]\nexplorer = "blockscout"`,
        "eth",
        "blockscout https://api.blockscout.com/1 blockscout-key reads",
      ],
      [
        `${keys("etherscan")}[chains.base]\nexplorer = "etherscan"`,
        "base",
        "etherscan https://api.etherscan.io/v2/api etherscan-key reads",
      ],
    ];
    for (const [extra, chain, expected] of rows) {
      test(`${JSON.stringify(extra)} makes the explorer of ${chain} ${expected}`, () => {
        const draft = accepted(`${admin}${merchant}${entry(chain, wallet, '["USDC"]')}${extra}\n`);
        const { explorer } = draft.chains.get(chain) ?? expect.unreachable("the chain has a wallet");
        const shown =
          explorer === null
            ? "none"
            : `${explorer.kind} ${explorer.url} ${explorer.key} ${explorer.reads ? "reads" : "compares"}`;
        expect(shown).toContain(expected);
      });
    }

    test("an explorer that cannot be asked is refused with the cure", () => {
      const of = (extra: string) => parseConfig(`${sound}${extra}\n`, path).problems;
      expect(of(`[chains.eth]\nexplorer = "blockscout"`)).toEqual([
        "chains.eth.explorer: Blockscout wants a key here; add api_keys.blockscout_api_key, or explorer_url of your own",
      ]);
      expect(of(`[chains.base]\nexplorer = "etherscan"`)).toEqual([
        "chains.base.explorer: Etherscan wants a key here; add api_keys.etherscan_api_key, or explorer_url of your own",
      ]);
      expect(of(`[chains.eth]\nexplorer = "etherscam"`)).toEqual([
        'chains.eth.explorer: "etherscam" is unknown; did you mean etherscan?',
      ]);
      expect(of(`[chains.tron]\nexplorer = "etherscan"`)).toEqual([
        "chains.tron.explorer: Etherscan does not know Tron; remove the key",
      ]);
      expect(of("[chains.eth]\nrpc_urls = []")).toEqual(["chains.eth.rpc_urls: empty; remove the key or list a URL"]);
    });
  });

  test("a chain section changes its chain and silences the warning about public endpoints", () => {
    const text = `${sound}[chains.eth]\nrpc_urls = ["http://127.0.0.1:8545", "http://127.0.0.1:8545"]\nchain_id = 31337
finality = "safe"\npoll = "50ms"\nidle_poll = "100ms"\nstart_block = 0\n[chains.op]\nchain_id = 5\n`;
    expect(eth(text)).toMatchObject({
      rpc_urls: ["http://127.0.0.1:8545"],
      public_endpoints: false,
      chain_id: 31337,
      finality: [{ up_to: null, finality: { tag: "safe" } }],
      poll_ms: 50,
      idle_poll_ms: 100,
      start_block: 0,
    });
    expect(parseConfig(text, path).warnings).toEqual([]);
    expect([...accepted(text).chains.keys()]).toEqual(["eth"]);
    expect([...accepted(text).spare_chains.values()].map(({ id, chain_id }) => [id, chain_id])).toEqual([["op", 5]]);
  });

  test("a chain that owes somebody is kept: by its section, else as it was, else as it is built in", () => {
    const config = (text: string) => ({ ...accepted(text), admin: { secret_hash: "" } });
    const before = config(`${sound}${entry("op", wallet, '["USDT"]')}[chains.op]\nchain_id = 5\n`);
    const section = config(`${sound}[chains.op]\nchain_id = 6\n`);
    const none = config(sound);
    const kept = (next: Config, last: Config | null) => keepChains(next, ["eth", "op"], last).chains;
    expect([...kept(section, before).keys()]).toEqual(["eth", "op"]);
    expect(kept(section, before).get("op")?.chain_id).toBe(6);
    expect(kept(none, before).get("op")?.chain_id).toBe(5);
    expect(kept(none, section).get("op")?.chain_id).toBe(6);
    expect(kept(none, null).get("op")).toMatchObject({ chain_id: 10, public_endpoints: true });
    expect(keepChains(none, [], before).chains).toEqual(none.chains);
  });

  test("a previous secret is kept beside the current one, with a reminder to remove it", () => {
    const text = sound.replace("[[wallets]]", 'previous_secret = "0ld"\n[[wallets]]');
    expect(accepted(text).merchant).toMatchObject({ secret: "a long s3cret of the shop", previous_secret: "0ld" });
    expect(parseConfig(text, path).warnings).toContain(
      "merchant.previous_secret: still accepted; remove it once your shop signs with merchant.secret",
    );
  });

  const networks: [written: string, spelled: string][] = [
    ["127.0.0.1", "127.0.0.1"],
    ["10.0.0.0/8", "10.0.0.0/8"],
    ["192.0.2.128/25", "192.0.2.128/25"],
    ["::1", "::1"],
    ["FD00::/8", "fd00::/8"],
    ["2001:0db8:0:0::1/128", "2001:db8::1"],
    ["::ffff:10.0.0.0/104", "10.0.0.0/8"],
    ["::ffff:10.1.2.3", "10.1.2.3"],
  ];
  test.each(networks)("a trusted proxy may be written %s, which is %s", (written, spelled) => {
    const { trusted_proxies } = accepted(withExtra(`[server]\ntrusted_proxies = ["${written}"]`)).server;
    expect(trusted_proxies.map(formatNetwork)).toEqual([spelled]);
  });

  test("a slow poll slows the idle poll with it", () => {
    expect(eth(`${sound}[chains.eth]\npoll = "5m"`)).toMatchObject({ poll_ms: 300_000, idle_poll_ms: 300_000 });
  });

  const finalities: [written: string, tiers: FinalityTier[]][] = [
    ["12", [{ up_to: null, finality: { blocks: 12 } }]],
    ['"12"', [{ up_to: null, finality: { blocks: 12 } }]],
    ['"finalized"', [{ up_to: null, finality: { tag: "finalized" } }]],
    ['"finalized+64"', [{ up_to: null, finality: { tag: "finalized", blocks: 64 } }]],
    ['"20s"', [{ up_to: null, finality: { seconds: 20 } }]],
    ['"10+20s"', [{ up_to: null, finality: { blocks: 10, seconds: 20 } }]],
    ['"safe+20s"', [{ up_to: null, finality: { tag: "safe", seconds: 20 } }]],
    ['"finalized+64+20s"', [{ up_to: null, finality: { tag: "finalized", blocks: 64, seconds: 20 } }]],
    [
      '[{ up_to = "9.5", finality = 1 }, { up_to = "10", finality = "safe" }, { finality = "finalized" }]',
      [
        { up_to: "9.5", finality: { blocks: 1 } },
        { up_to: "10", finality: { tag: "safe" } },
        { up_to: null, finality: { tag: "finalized" } },
      ],
    ],
  ];
  test.each(finalities)("finality = %s is understood", (written, tiers) => {
    expect(eth(`${sound}[chains.eth]\nfinality = ${written}`).finality).toEqual(tiers);
  });

  test("a token section replaces every contract of its coin, and only of that coin", () => {
    const text = admin + merchant + entry("op", wallet, '["USDT", "USDC"]');
    const op = accepted(
      `${text}[chains.op.tokens.USDT]\naddress = ["${fresh}", "${other_wallet}"]\ndecimals = 8`,
    ).chains.get("op");
    expect(op?.tokens.filter((token) => token.coin === "USDT")).toEqual([
      { address: fresh, decimals: 8, label: "USDT", coin: "USDT" },
      { address: other_wallet, decimals: 8, label: "USDT", coin: "USDT" },
    ]);
    expect(op?.tokens.filter((token) => token.coin !== "USDT")).toEqual(
      tokens.op.filter((token) => token.coin !== "USDT"),
    );
  });

  test("a token section may bring a coin to a chain that lacks it, with the coin's usual decimals", () => {
    const draft = accepted(
      `${admin}${merchant}${entry("tron", tron_wallet, '["DAI"]')}[chains.tron.tokens.DAI]\naddress = "TPYmHEhy5n8TCEfYGqW2rPxsghSfzghPDn"`,
    );
    expect(draft.chains.get("tron")?.tokens.find((token) => token.coin === "DAI")?.decimals).toBe(18);
  });

  test("a watched contract may be accepted as a coin, with a warning", () => {
    const bridged = "0x2791Bca1f2de4661ED88A30C99A7a9449Aa84174";
    const text = `${admin}${merchant}${entry("polygon", wallet, '["USDC"]')}[chains.polygon.tokens.USDC]\naddress = ["0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359", "${bridged}"]`;
    const { draft, warnings } = parseConfig(text, path);
    const rows = draft?.chains.get("polygon")?.tokens.filter((token) => token.address === bridged);
    expect(rows).toEqual([{ address: bridged, decimals: 6, label: "USDC", coin: "USDC" }]);
    expect(warnings).toContain(`chains.polygon.tokens.USDC.address: ${bridged} is USDC.e, another asset than USDC`);
  });

  test("a coin accepted on request counts only where a wallet of that chain asks for it", () => {
    const base = (enabled: string) => parseConfig(admin + merchant + entry("base", wallet, enabled), path);
    const bridged = (draft: Draft | null) =>
      draft?.chains.get("base")?.tokens.find((token) => token.address === "0xfde4C96c8593536E31F229EA8f37b2ADa2699bb2");
    const row = { address: "0xfde4C96c8593536E31F229EA8f37b2ADa2699bb2", decimals: 6, label: "USDT" };
    expect(bridged(base('["USDC"]').draft)).toEqual({ ...row, coin: null });
    expect(bridged(base('["USDT"]').draft)).toEqual({ ...row, coin: "USDT" });
    const warning =
      "wallets[0].enabled_coins: USDT on base is 0xfde4C96c8593536E31F229EA8f37b2ADa2699bb2, which the coin's maker does not issue there, or no longer";
    expect(base('["USDT"]').warnings).toContain(warning);
    expect(base('["USDC"]').warnings).not.toContain(warning);
  });

  test("wallets without coins and pages without origins are allowed, with a warning", () => {
    const { problems, warnings } = parseConfig(
      sound.replace('["USDT", "USDC"]', "[]").replace('["https://shop.example"]', "[]"),
      path,
    );
    expect(problems).toEqual([]);
    expect(warnings).toContain("wallets[0].enabled_coins: empty; this wallet is never offered to a payer");
    expect(warnings).toContain("merchant.allowed_origins: empty; no checkout page can reach its order");
  });

  test("a public address loses its trailing slash", () => {
    expect(accepted(withExtra('[server]\npublic_url = "https://Pay.example/shop/"')).server.public_url).toBe(
      "https://pay.example/shop",
    );
  });

  test("all built-in contracts of one coin on one chain have equal decimals", () => {
    for (const chain of chainIds) {
      for (const coin of coins) {
        const decimals = tokens[chain].filter((token) => token.coin === coin).map((token) => token.decimals);
        expect(new Set(decimals).size).toBeLessThanOrEqual(1);
      }
    }
  });
});

describe("spellings", () => {
  test.each([
    ["10.0.0.0/8", "10.255.255.255", true],
    ["10.0.0.0/8", "11.0.0.0", false],
    ["10.0.0.0/8", "::ffff:10.1.2.3", true],
    ["10.0.0.0/8", "::ffff:a01:203", true],
    ["10.0.0.0/8", "::10.1.2.3", false],
    ["10.0.0.0/8", "fd00::1", false],
    ["10.0.0.0/8", "10.1.2", false],
    ["10.0.0.0/8", "", false],
    ["127.0.0.1", "127.0.0.1", true],
    ["127.0.0.1", "127.0.0.2", false],
    ["127.0.0.1", "127.1", false],
    ["fd00::/8", "FDFF::1", true],
    ["fd00::/8", "fe80::1", false],
    ["fd00::/8", "fd00::1%eth0", false],
    ["::1", "0:0:0:0:0:0:0:1", true],
    ["2001:db8::/127", "2001:db8::1", true],
    ["2001:db8::/127", "2001:db8::2", false],
  ])("in the network %s lies %s: %p", (network, address, within) => {
    const parsed = parseNetwork(network);
    expect(parsed === null ? null : isWithin([parsed], address)).toBe(within);
  });

  test.each([
    ["0s", 0],
    ["250ms", 250],
    ["300s", 300_000],
    ["60m", 3_600_000],
    ["24h", 86_400_000],
    ["007s", 7000],
    ["", null],
    ["5", null],
    ["s", null],
    ["-5s", null],
    ["1.5h", null],
    ["5 s", null],
    ["5S", null],
    ["1d", null],
    ["1m30s", null],
    ["999999999999h", null],
    ["5s\n", null],
  ])("the duration %j is %j ms", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each([
    [0, "0s"],
    [50, "50ms"],
    [1500, "1500ms"],
    [60_000, "1m"],
    [90_000, "90s"],
    [86_400_000, "24h"],
  ])("%j ms is written %s", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
    expect(parseDuration(text)).toBe(ms);
  });

  test.each([
    ["https://shop.example", "https://shop.example"],
    ["HTTPS://Shop.Example:443/", "https://shop.example"],
    ["http://localhost:80", "http://localhost"],
    ["http://localhost:3000", "http://localhost:3000"],
    ["https://shop.example:80", "https://shop.example:80"],
    ["http://[::1]:8080/", "http://[::1]:8080"],
    ["https://bücher.example", "https://xn--bcher-kva.example"],
    ["capacitor://LocalHost", "capacitor://localhost"],
    ["https://shop.example/pay", null],
    ["https://shop.example/?", null],
    ["https://shop.example#", null],
    ["https://user@shop.example", null],
    ["https://shop.example:99999", null],
    [" https://shop.example", null],
    ["shop.example", null],
    ["//shop.example", null],
    ["https://", null],
    ["file:///etc", null],
    ["*", null],
    ["null", null],
    ["", null],
  ])("the origin %j is %j", (text, origin) => {
    expect(normaliseOrigin(text)).toBe(origin);
  });

  test.each([
    ["0.0.0.0:8080", { hostname: "0.0.0.0", port: 8080 }],
    ["localhost:0", { hostname: "localhost", port: 0 }],
    ["[::]:65535", { hostname: "::", port: 65535 }],
    ["::1:8080", null],
    [":8080", null],
    ["host:", null],
    ["host:65536", null],
    ["http://host:80", null],
  ])("listening on %j is %j", (text, place) => {
    expect(parseListen(text)).toEqual(place);
  });

  test.each([
    ["lisen", "listen"],
    ["listne", "listen"],
    ["LISTEN", "listen"],
    ["listening", "listen"],
    ["pub", "public_url"],
    ["x", null],
    ["database", null],
    ["", null],
  ])("%j was meant to be %j", (word, guess) => {
    expect(closest(word, ["listen", "public_url", "signature_window"])).toBe(guess);
  });
});

describe("the secret's place in the file", () => {
  const hash = "$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$aGFzaA";
  test.each([
    [
      "a basic string with a comment behind it",
      `[admin] # who\nsecret = "s'3" # "s'3" is fine\n`,
      `[admin] # who\nsecret = "${hash}" # "s'3" is fine\n`,
      "s'3",
    ],
    ["a literal string", `[admin]\nsecret='a"b'\n`, `[admin]\nsecret="${hash}"\n`, 'a"b'],
    ["escapes", `[admin]\nsecret = "\\u0061\\"b"`, `[admin]\nsecret = "${hash}"`, 'a"b'],
    ["a dotted key", `admin.secret = "abc"\nx = 1`, `admin.secret = "${hash}"\nx = 1`, "abc"],
    ["an inline table", `admin = { secret = "abc" } # abc`, `admin = { secret = "${hash}" } # abc`, "abc"],
    ["quoted keys", `["admin"]\n'secret' = "secret"`, `["admin"]\n'secret' = "${hash}"`, "secret"],
    ["a long string", `[admin]\nsecret = """\nab""c"""\n`, `[admin]\nsecret = "${hash}"\n`, 'ab""c'],
    ["a long literal string", `[admin]\nsecret = '''abc'''\n`, `[admin]\nsecret = "${hash}"\n`, "abc"],
    [
      "the same word elsewhere, before and behind",
      `[merchant]\nsecret = "abc"\n[admin]\nsecret = "abc"\n[x]\nsecret = "abc"`,
      `[merchant]\nsecret = "abc"\n[admin]\nsecret = "${hash}"\n[x]\nsecret = "abc"`,
      "abc",
    ],
    [
      "a decoy in a comment and in a text",
      `# it's: secret = "abc"\nx = 'secret = "abc"'\n[admin]\nsecret = "abc"`,
      `# it's: secret = "abc"\nx = 'secret = "abc"'\n[admin]\nsecret = "${hash}"`,
      "abc",
    ],
    ["Windows line ends", `[admin]\r\nsecret = "abc"\r\n`, `[admin]\r\nsecret = "${hash}"\r\n`, "abc"],
    ["another secret than asked for", `[admin]\nsecret = "abc"`, null, "abd"],
  ])("%s", (_name, before, after, secret) => {
    expect(replaceAdminSecret(before, secret, hash)).toBe(after);
  });
});

describe("loading", () => {
  let folder: string;
  let file: string;
  const world = realWorld();
  const withEnv = (env: Record<string, string>): World => ({ ...world, env: (name) => env[name] });
  const write = (text: string) => writeFileSync(file, text);
  const fault = async (promise: Promise<unknown>) => {
    const error = await promise.then(
      () => null,
      (error: unknown) => error,
    );
    return { code: errorCode(error), words: error instanceof Error ? error.message : errorText(error) };
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ocrch-config-"));
    file = join(folder, "shop.toml");
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test("the plaintext admin secret is replaced by its hash, and nothing else in the file changes", async () => {
    const text = `# mine\n${wallets}\n${merchant}  # "open sesame, please" is not here\n[admin]\n  secret   =   'open sesame, please' # opens\n`;
    write(text);
    chmodSync(file, 0o640);
    const { config } = await loadConfig(world, file);
    expect(config.admin.secret_hash).toStartWith("$argon2id$");
    expect(await world.passwords.verify("open sesame, please", config.admin.secret_hash)).toBe(true);
    expect(readFileSync(file, "utf8")).toBe(text.replace("'open sesame, please'", `"${config.admin.secret_hash}"`));
    expect(statSync(file).mode & 0o777).toBe(0o640);

    const before = statSync(file);
    const again = await loadConfig(world, file);
    expect(again.config).toEqual(config);
    expect(statSync(file)).toMatchObject({ ino: before.ino, mtimeMs: before.mtimeMs });
  });

  test("behind a link, the file it leads to is the one that is changed", async () => {
    write(sound);
    const link = join(folder, "link.toml");
    symlinkSync(file, link);
    const { config } = await loadConfig(world, link);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readFileSync(file, "utf8")).toBe(sound.replace(`"open sesame, please"`, `"${config.admin.secret_hash}"`));
  });

  test("behind a chain of links too, but never what was handed over as an open descriptor", async () => {
    write(sound);
    mkdirSync(join(folder, "etc"));
    symlinkSync("../shop.toml", join(folder, "etc", "one.toml"));
    symlinkSync("etc/one.toml", join(folder, "two.toml"));
    const troubles = async (path: string) =>
      (await loadConfig(world, path)).warnings.filter((warning) => warning.startsWith("admin.secret"));
    expect(await troubles(join(folder, "two.toml"))).toEqual([]);
    expect(readFileSync(file, "utf8")).not.toContain("open sesame, please");
    expect(lstatSync(join(folder, "etc", "one.toml")).isSymbolicLink()).toBe(true);

    write(sound);
    const handle = openSync(file, "r");
    symlinkSync(`/proc/self/fd/${handle}`, join(folder, "stdin"));
    for (const path of [`/proc/self/fd/${handle}`, join(folder, "stdin")]) {
      expect(await troubles(path)).toEqual([expect.stringContaining("is an open descriptor")]);
      expect(readFileSync(file, "utf8")).toBe(sound);
    }
    closeSync(handle);
  });

  test("a read-only file still starts: hash in memory, a warning, the file as it was", async () => {
    write(sound);
    const readOnly: World = {
      ...world,
      files: {
        ...world.files,
        replace: () => {
          throw new Error("EROFS: read-only file system");
        },
      },
    };
    const { config, warnings } = await loadConfig(readOnly, file);
    expect(await world.passwords.verify("open sesame, please", config.admin.secret_hash)).toBe(true);
    expect(warnings).toContain(
      "admin.secret: stays in plain text, its hash is kept in memory (the file cannot be written: EROFS: read-only file system)",
    );
    expect(readFileSync(file, "utf8")).toBe(sound);
  });

  test("a file that was edited while the secret was hashed is left alone", async () => {
    write(sound);
    const edited = `${sound}# edited\n`;
    const slow: World = {
      ...world,
      passwords: {
        ...world.passwords,
        hash: async (secret) => {
          write(edited);
          return world.passwords.hash(secret);
        },
      },
    };
    const { warnings } = await loadConfig(slow, file);
    expect(warnings).toContain(
      "admin.secret: stays in plain text, its hash is kept in memory (the file was changed in the meantime)",
    );
    expect(readFileSync(file, "utf8")).toBe(edited);
  });

  test("a command that checks no admin secret neither hashes nor writes", async () => {
    write(sound);
    const { config, warnings } = await loadConfig(world, file, { rewrite: false });
    expect(config.admin.secret_hash).toBe("");
    expect(warnings).toContain("admin.secret: in plain text; `ocrch serve` will replace it by its hash");
    expect(readFileSync(file, "utf8")).toBe(sound);
  });

  test("a file with problems is refused with every line, and not written", async () => {
    const bad = withExtra('[orders]\nlifetime = "x"\n[server]\nlisen = 1');
    write(bad);
    expect(await fault(loadConfig(world, file))).toEqual({
      code: "invalid_config",
      words:
        "server.lisen: unknown key; did you mean listen?\n" +
        'orders.lifetime: "x" is no duration; write a whole number with ms, s, m or h, such as "60m"',
    });
    expect(readFileSync(file, "utf8")).toBe(bad);
  });

  test("a missing file and a folder in its place are named", async () => {
    expect(await fault(loadConfig(world, file))).toEqual({
      code: "invalid_config",
      words: `${file}: there is no such file; name yours with --config`,
    });
    const refused = await fault(loadConfig(world, folder));
    expect(refused.code).toBe("invalid_config");
    expect(refused.words).toStartWith(`${folder}: cannot be read (EISDIR`);
  });

  test("the database is the flag's, else the environment's, else the file's, else beside the file", async () => {
    write(sound);
    const at = async (env: Record<string, string>, database?: string) =>
      (await loadConfig(withEnv(env), file, { database, rewrite: false })).config.database.path;
    expect(await at({})).toBe(join(folder, "ocrch.db"));
    write(withExtra('[database]\npath = "data/shop.db"'));
    expect(await at({})).toBe(join(folder, "data/shop.db"));
    expect(await at({ OCRCH_DATABASE: "here.db" })).toBe(resolve("here.db"));
    expect(await at({ OCRCH_DATABASE: "" })).toBe(join(folder, "data/shop.db"));
    expect(await at({ OCRCH_DATABASE: "here.db" }, "there.db")).toBe(resolve("there.db"));
    expect(await at({ OCRCH_DATABASE: "here.db" }, "/abs/there.db")).toBe("/abs/there.db");
  });

  test("the listen address is the flag's, else the file's", async () => {
    write(withExtra('[server]\nlisten = "127.0.0.1:1"'));
    const at = async (listen?: string) => (await loadConfig(world, file, { listen, rewrite: false })).config.server;
    expect(await at()).toMatchObject({ hostname: "127.0.0.1", port: 1 });
    expect(await at("[::1]:2")).toMatchObject({ hostname: "::1", port: 2 });
  });

  test("the file is the flag's, else the environment's, else ocrch-config.toml here", () => {
    expect(configPath(withEnv({}))).toBe(resolve("ocrch-config.toml"));
    expect(configPath(withEnv({ OCRCH_CONFIG: "/etc/a.toml" }))).toBe("/etc/a.toml");
    expect(configPath(withEnv({ OCRCH_CONFIG: "/etc/a.toml" }), "b.toml")).toBe(resolve("b.toml"));
  });
});

describe("the example file", () => {
  const example = readFileSync(join(import.meta.dir, "../..", "ocrch-config.toml"), "utf8");
  const commented = /^# (?=\[|\w+ = )/;
  const filledIn = (text: string) =>
    text
      .replace("change-me-admin-secret", "open sesame, please")
      .replace("change-me-merchant-secret", "a long s3cret of the shop")
      .replace("0xYourWalletAddress", wallet);
  const uncommented = (keep: (line: string) => boolean) =>
    filledIn(example)
      .split("\n")
      .map((line) => (keep(line) ? line.replace(commented, "") : line))
      .join("\n");

  test("as it comes it is refused, naming exactly what to fill in", () => {
    expect(parseConfig(example, path).problems).toEqual([
      "admin.secret: still the placeholder of the example file; put a long random text of your own",
      "merchant.secret: still the placeholder of the example file; put a long random text of your own",
      "wallets[0].address: still the placeholder of the example file; put the address of your own wallet",
    ]);
  });

  test("every default it shows is the code's default", () => {
    const shown = uncommented((line) => !line.endsWith("# example"));
    expect(shown.split("\n").filter((line) => /^\w+ = /.test(line)).length).toBeGreaterThan(22);
    expect(accepted(shown)).toEqual(accepted(filledIn(example)));
  });

  test("its examples are sound as well, and every key of the product is in it", () => {
    const all = uncommented(() => true);
    const draft = accepted(all);
    expect(draft.server.public_url).toBe("https://pay.shop.example");
    expect(draft.merchant.unknown_transfer_webhook_url).toBe("https://shop.example/ocrch/unknown");
    expect(draft.chains.get("eth")?.start_block).toBe(20_000_000);

    for (const section of [
      "server",
      "admin",
      "merchant",
      "database",
      "orders",
      "webhooks",
      "api_keys",
      "chains.eth",
      "chains.eth.tokens.USDT",
    ]) {
      const { problems } = parseConfig(all.replace(`[${section}]\n`, `[${section}]\nqqqqqqqqqqqq = 1\n`), path);
      const known = /known here: (.+)$/.exec(problems[0] ?? "")?.[1]?.split(", ") ?? [];
      expect(known).not.toEqual([]);
      for (const key of known) expect(all).toMatch(new RegExp(`^(\\[\\S*)?${key}[\\].]|^${key} = |\\.${key}\\.`, "m"));
    }
  });
});
