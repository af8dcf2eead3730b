// The [opencharge] section of the file, the key it names, and the command that makes one.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../src/cli/run.ts";
import { loadConfig as loadFrom } from "../../src/config/load.ts";
import { parseConfig as parse } from "../../src/config/parse.ts";
import { coins } from "../../src/domain/assets.ts";
import { extensionSections as sections } from "../../src/extensions.ts";
import { lateRotations } from "../../src/opencharge/config/rotation.ts";
import type { OpenchargeSettings } from "../../src/opencharge/config/settings.ts";
import { addressOf, createSigner } from "../../src/opencharge/wire/keys.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld, type World } from "../../src/world.ts";
import { shop_secret, shopSettings } from "../support/opencharge/shop.ts";

const secret = "11".repeat(32);
const sound = `[admin]
secret = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"
[merchant]
name = "Shop"
secret = "s3cret"
allowed_origins = ["https://shop.example"]
[server]
public_url = "https://pay.example"
[[wallets]]
blockchain = "eth"
address = "0x52908400098527886E0F7030069857D2E4169EE7"
enabled_coins = ["USDT"]
`;
const least = 'merchant_ocid = 500\norders = "catalog"\nprivate_key_file = "oc.key"\n';
const parseConfig = (text: string, path: string) => parse(text, path, {}, sections);
const loadConfig = (world: World, path: string) => loadFrom(world, path, { sections });
const withSection = (text: string) => `${sound}[opencharge]\n${text}`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "ocrch-network-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the section", () => {
  const rows: [what: string, text: string, ...problems: string[]][] = [
    ["of a merchant", least],
    ["of a gateway alone", "gateway_ocid = 501\n"],
    [
      "that names nobody",
      'orders = "open"',
      "opencharge.merchant_ocid: missing; add merchant_ocid, gateway_ocid or both",
    ],
    [
      "of a merchant that leaves prices open",
      "merchant_ocid = 500",
      'opencharge.orders: missing; add orders = "catalog", "approval" or "open": who says what an order costs',
    ],
    [
      "that leaves prices to nobody",
      'merchant_ocid = 500\norders = "approval"\napproved = [200]',
      'opencharge.approval_url: missing; add the address of your backend that approves and prices, or write orders = "catalog"',
    ],
    [
      "that leaves prices to a backend, over plain http too",
      'merchant_ocid = 500\norders = "approval"\napproval_url = "http://127.0.0.1:3000/approve"',
    ],
    [
      "whose backend is no web address",
      'merchant_ocid = 500\norders = "approval"\napproval_url = "shop.example"',
      "opencharge.approval_url: no web address; it must begin with http:// or https:// and name a host",
    ],
    [
      "with a wrong word",
      'merchant_ocid = 500\norders = "catalogue"',
      'opencharge.orders: "catalogue" is unknown; did you mean catalog?',
    ],
    ["with OCID 0", "gateway_ocid = 0", "opencharge.gateway_ocid: 0 is out of bounds; expected a whole number from 1"],
    [
      "with half of a change of keys",
      `${least}key_rotated_at = 1770000000`,
      "opencharge.key_rotated_at: previous_key_file and key_rotated_at (Unix seconds) go together",
    ],
    [
      "whose gateway has a key of its own",
      `${least}gateway_ocid = 501\n[opencharge.gateway_key]\nprivate_key_file = "gateway.key"`,
    ],
    [
      "with a second key for nobody",
      `${least}[opencharge.gateway_key]\nprivate_key_file = "gateway.key"`,
      "opencharge.gateway_key: needs merchant_ocid and gateway_ocid; with one of them private_key_file is its key",
    ],
    [
      "with two keys for one OCID",
      `${least}gateway_ocid = 500\n[opencharge.gateway_key]\nprivate_key_file = "gateway.key"`,
      "opencharge.gateway_key: merchant_ocid and gateway_ocid are one OCID, and an OCID has one key",
    ],
    [
      "with half of a change of the gateway's keys",
      `${least}gateway_ocid = 501\n[opencharge.gateway_key]\nprivate_key_file = "a"\nprevious_key_file = "b"`,
      "opencharge.gateway_key.key_rotated_at: previous_key_file and key_rotated_at (Unix seconds) go together",
    ],
    [
      "with an endpoint elsewhere",
      `${least}endpoint = "https://pay.example/api"`,
      "opencharge.endpoint: must end in /opencharge",
    ],
    [
      "with an unknown key",
      `${least}merchant_ocd = 1`,
      "opencharge.merchant_ocd: unknown key; did you mean merchant_ocid?",
    ],
    [
      "with a currency that is no dollar",
      `${least}currencies = ["EUR"]`,
      `opencharge.currencies[0]: "EUR" is unknown; use one of USD, ${coins.join(", ")}`,
    ],
    [
      "that pins by address and by key",
      `${least}[[opencharge.pinned]]\nocid = 1\nmetadata_url = "https://a.example"\npublic_key = "${"a".repeat(128)}"`,
      "opencharge.pinned[0]: write either metadata_url, or public_key with endpoint",
    ],
    [
      "that pins nobody's key",
      `${least}[[opencharge.pinned]]\nocid = 1\npublic_key = "abcd"`,
      "opencharge.pinned[0].public_key: no public key; expected 128 hexadecimal digits",
    ],
    [
      "with an agreement",
      `${least}order_form = "flat"\n[[opencharge.partners]]\nocid = 100\nsame_currencies = ["USD", "USDT"]\nproof_recipient = "gateway"`,
    ],
    [
      "with two agreements with one partner, in words nobody knows",
      `${least}order_form = "deep"\n[[opencharge.partners]]\nocid = 100\nproof_recipient = "me"\n[[opencharge.partners]]\nocid = 100\nsame_currencies = ["usd"]`,
      'opencharge.order_form: "deep" is unknown; use one of mirror, recursive, flat',
      'opencharge.partners[0].proof_recipient: "me" is unknown; did you mean merchant?',
      'opencharge.partners[1].same_currencies[0]: no currency; write it like "USD" or "USDT"',
    ],
    [
      "with an item twice",
      `${least}[[opencharge.items]]\nid = "a"\nname = "A"\nprice = "1"\n[[opencharge.items]]\nid = "a"\nname = "B"\nprice = "2"`,
      "opencharge.items: lists one id twice; remove one",
    ],
    [
      "with an item for nothing",
      `${least}[[opencharge.items]]\nid = "a"\nname = "A"\nprice = "0"`,
      'opencharge.items[0].price: no amount; write it like "5" or "5.00"',
    ],
    [
      "with half a registry",
      `${least}[opencharge.registry]\nrpc_url = "https://rpc.example"\nchain_id = 56\naddress = "0x12"`,
      "opencharge.registry.address: no contract address; expected 0x and 40 hexadecimal digits",
    ],
  ];
  test.each(rows)("%s", (_what, text, ...problems) => {
    expect(parseConfig(withSection(text), "/etc/ocrch/ocrch-config.toml").problems).toEqual(problems);
  });

  test("needs to know where others call", () => {
    const text = withSection(least).replace('[server]\npublic_url = "https://pay.example"\n', "");
    const missing = "opencharge.endpoint: missing; add it, or server.public_url, so that others know where to call";
    const problems = (file: string) => parseConfig(file, "/etc/ocrch/ocrch-config.toml").problems;
    expect(problems(text)).toEqual([missing]);
    expect(problems(text.replace('orders = "catalog"', 'orders = "approval"'))).toEqual([
      expect.stringMatching(/^opencharge\.approval_url: missing/),
      missing,
    ]);
  });

  test("accepts proofs of its own gateway, and takes name and endpoint from the rest of the file", () => {
    const text = withSection(`${least}gateway_ocid = 501\naccepts = [100, 501]`);
    expect(parseConfig(text, "/etc/ocrch/ocrch-config.toml").sections.opencharge?.settings).toMatchObject({
      accepts: [501, 100],
      name: "Shop",
      endpoint: "https://pay.example/opencharge",
      private_key_file: "/etc/ocrch/oc.key",
      currencies: ["USD"],
    });
  });
});

describe("a sound section may still deserve a warning", () => {
  const rows: [what: string, text: string, ...warnings: string[]][] = [
    [
      "a merchant nobody can pay or order from",
      least,
      "opencharge.accepts: empty; no proof can pay an order",
      "opencharge.items: empty; nothing can be ordered",
    ],
    ["a merchant with a gateway and open prices", 'merchant_ocid = 500\ngateway_ocid = 501\norders = "open"'],
    [
      "a backend that is never asked",
      'gateway_ocid = 501\napproval_url = "https://shop.example/approve"\napproved = [200]',
      'opencharge.approval_url: not used; it belongs to orders = "approval"',
      'opencharge.approved: not used; it belongs to orders = "approval"',
    ],
    [
      "an endpoint in the clear",
      'gateway_ocid = 501\nendpoint = "http://pay.example/opencharge"',
      "opencharge.endpoint: not https; others will refuse to call it",
    ],
  ];
  test.each(rows)("%s", (_what, text, ...warnings) => {
    const { warnings: said } = parseConfig(withSection(text), "/etc/ocrch/ocrch-config.toml");
    expect(said.filter((line) => line.startsWith("opencharge."))).toEqual(warnings);
  });
});

describe("the key", () => {
  const file = () => join(folder, "ocrch-config.toml");
  const load = (env: Record<string, string> = {}) => {
    writeFileSync(file(), withSection(least), { mode: 0o600 });
    return loadConfig({ ...realWorld(), env: (name) => env[name] }, file());
  };
  const keyAs = (text: string, mode: number) => {
    writeFileSync(join(folder, "oc.key"), text);
    chmodSync(join(folder, "oc.key"), mode);
  };

  test("is read from its file, with or without 0x and a line end", async () => {
    for (const text of [secret, `0x${secret.toUpperCase()}\n`]) {
      keyAs(text, 0o600);
      expect((await load()).config.opencharge?.secret_key).toBe(secret);
    }
  });

  test("of the environment comes before the file", async () => {
    keyAs("22".repeat(32), 0o600);
    expect((await load({ OCRCH_OPENCHARGE_KEY: secret })).config.opencharge?.secret_key).toBe(secret);
  });

  test("of the gateway is read from its own file, with the one before it", async () => {
    keyAs(secret, 0o600);
    for (const [name, digits] of [
      ["gateway.key", "33"],
      ["old.key", "44"],
    ] as const) {
      writeFileSync(join(folder, name), digits.repeat(32), { mode: 0o600 });
    }
    const own = '[opencharge.gateway_key]\nprivate_key_file = "gateway.key"\nprevious_key_file = "old.key"\n';
    const text = withSection(`${least}gateway_ocid = 501\n${own}key_rotated_at = 1770000000\n`);
    writeFileSync(file(), text, { mode: 0o600 });
    const { config } = await loadConfig({ ...realWorld(), env: () => undefined }, file());
    expect(config.opencharge).toMatchObject({
      secret_key: secret,
      previous: null,
      gateway_key: { secret_key: "33".repeat(32), previous: { secret_key: "44".repeat(32), rotated_at: 1770000000 } },
    });
    chmodSync(join(folder, "gateway.key"), 0o644);
    const words = `opencharge.gateway_key.private_key_file: others may read ${join(folder, "gateway.key")}`;
    await expect(loadConfig({ ...realWorld(), env: () => undefined }, file())).rejects.toThrow(words);
  });

  describe("that was replaced", () => {
    const now = Math.floor(Date.now() / 1000);
    const hour_s = 3600;
    const changes: [when: string, rotated_at: number, words: string | null][] = [
      ["five minutes from now", now + 300, null],
      ["an hour ago", now - hour_s, null],
      ["four days ago, less an hour", now - 95 * hour_s, null],
      ["four days ago and an hour", now - 97 * hour_s, "days ago; the old key counts no more"],
      ["in two hours", now + 2 * hour_s, "far ahead; until then the old key is as good as the new one"],
    ];
    test.each(changes)("%s is warned about where that time is no use", async (_when, rotated_at, words) => {
      keyAs(secret, 0o600);
      writeFileSync(join(folder, "old.key"), "44".repeat(32), { mode: 0o600 });
      const gateway = `[opencharge.gateway_key]\nprivate_key_file = "oc.key"\n`;
      const old = `previous_key_file = "old.key"\nkey_rotated_at = ${rotated_at}\n`;
      const said: string[] = [];
      for (const text of [`${least}${old}`, `${least}gateway_ocid = 501\n${gateway}${old}`]) {
        writeFileSync(file(), withSection(text), { mode: 0o600 });
        const { warnings } = await loadConfig({ ...realWorld(), env: () => undefined }, file());
        said.push(...warnings.filter((warning) => warning.includes("key_rotated_at")));
      }
      const sections = words === null ? [] : ["opencharge", "opencharge.gateway_key"];
      expect(said).toEqual(sections.map((name) => expect.stringContaining(`${name}.key_rotated_at: ${words}`)));
    });

    const before = shopSettings({ gateway_key: { secret_key: "33".repeat(32), previous: null } });
    const next = "55".repeat(32);
    const late =
      "key_rotated_at: before this change; nobody believes what the old key signed since; write a time from now on";
    const reloads: [what: string, after: Partial<OpenchargeSettings>, said: string[]][] = [
      ["later than it says", changed(shop_secret, now - 30), [`opencharge.${late}`]],
      ["in time", changed(shop_secret, now + 30), []],
      ["before, and is as it was", { secret_key: shop_secret, previous: { secret_key: next, rotated_at: 1 } }, []],
      ["from one that was not in use here", changed("66".repeat(32), now - 30), []],
      [
        "later, of the gateway",
        { gateway_key: changed("33".repeat(32), now - 30) },
        [`opencharge.gateway_key.${late}`],
      ],
    ];
    function changed(from: string, rotated_at: number) {
      return { secret_key: next, previous: { secret_key: from, rotated_at } };
    }
    test.each(reloads)("and changes %s is told where that loses what was signed", (_what, after, said) => {
      expect(lateRotations(before, { ...before, ...after }, now * 1000)).toEqual(said);
      expect(lateRotations(null, { ...before, ...after }, now * 1000)).toEqual([]);
    });
  });

  const rows: [what: string, text: string | null, mode: number, words: string][] = [
    ["the group may read", secret, 0o640, "others may read"],
    ["everybody may read", secret, 0o604, "others may read"],
    ["is not there", null, 0o600, "there is no such file"],
    ["holds something else", "correct horse", 0o600, "no secret key; expected 64 hexadecimal digits"],
  ];
  test.each(rows)("in a file that %s is refused without a word of it", async (_what, text, mode, words) => {
    rmSync(join(folder, "oc.key"), { force: true });
    if (text !== null) keyAs(text, mode);
    const error = await load().then(
      () => null,
      (error: Error) => error.message,
    );
    expect(error).toContain("opencharge.private_key_file: ");
    expect(error).toContain(words);
    expect(error).not.toContain(text ?? secret);
  });
});

describe("ocrch opencharge keygen", () => {
  const said: string[] = [];
  const world = {
    ...realWorld(),
    print: (text: string) => void said.push(text),
    warn: (text: string) => void said.push(text),
  };
  const keygen = (path: string) => run({ world, telemetry: createTelemetry(world) }, ["opencharge", "keygen", path]);

  test("writes a key that only its owner may read, and shows no more than its public half", async () => {
    const path = join(folder, "new.key");
    expect(await keygen(path)).toBe(0);
    const written = readFileSync(path, "utf8").trim();
    const signer = createSigner(written);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(signer).not.toBeNull();
    expect(said.join("\n")).toContain(`public key ${signer?.public_key}`);
    expect(said.join("\n")).toContain(addressOf(signer?.public_key ?? ""));
    expect(said.join("\n")).not.toContain(written);
  });

  test("never writes over another, nor where it cannot", async () => {
    const path = join(folder, "new.key");
    const before = readFileSync(path, "utf8");
    expect(await keygen(path)).toBe(2);
    expect(readFileSync(path, "utf8")).toBe(before);
    const nowhere = join(folder, "no", "such", "folder.key");
    expect(await keygen(nowhere)).toBe(2);
    expect(existsSync(nowhere)).toBe(false);
  });
});
