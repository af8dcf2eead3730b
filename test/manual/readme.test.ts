// The README and the manual: what they print from the code is the code's, their links lead somewhere, and each of their
// code blocks is run or checked. A block of another kind than those below fails.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { chainFacts, chainIds, tokens } from "../../src/domain/assets.ts";
import type { Finality } from "../../src/domain/finality.ts";
import { transitionTable } from "../../src/domain/order.ts";
import { entryReasons } from "../../src/domain/payment.ts";
import { usual_fees } from "../../src/domain/surcharge.ts";
import type { Order, Signature } from "../../src/sdk/index.ts";
import {
  type Appliance,
  configText,
  createFolder,
  type Folder,
  fromSource,
  startAppliance,
} from "../support/appliance.ts";
import { type Merchant, startMerchant } from "../support/merchant.ts";
import { newSecret } from "../support/opencharge/spelling.ts";

const root = join(import.meta.dir, "../..");
const manual_folder = "src/manual";
const pages = new Map(
  [
    "README.md",
    ...readdirSync(join(root, manual_folder))
      .filter((name) => name.endsWith(".md"))
      .map(inManual),
  ].map((path) => [path, readFileSync(join(root, path), "utf8")]),
);

function inManual(name: string): string {
  return `${manual_folder}/${name}`;
}

function page(path: string): string {
  const text = pages.get(path);
  if (text === undefined) throw new Error(`there is no ${path}`);
  return text;
}

interface Block {
  path: string;
  language: string;
  text: string;
}

const all_blocks: Block[] = [...pages].flatMap(([path, text]) =>
  [...text.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)].map(([, language = "", text = ""]) => ({ path, language, text })),
);

function blocksIn(path: string, language: string): string[] {
  return all_blocks.filter((block) => block.path === path && block.language === language).map(({ text }) => text);
}

/** The one shell block that is a script. */
const [curl_script] = blocksIn(inManual("connect.md"), "sh");

/** The rows of the first table below a heading, without its head. */
function rowsUnder(path: string, heading: string): string[] {
  const section = page(path).split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  const [table = ""] = /(?:^\|.*\n)+/m.exec(section) ?? [];
  return table.trimEnd().split("\n").slice(2);
}

describe("printed from the code", () => {
  test("the life of an order is the transition table", () => {
    expect(rowsUnder(inManual("payments.md"), "Life of an order")).toEqual(transitionTable().split("\n").slice(2));
  });

  test("chains and coins are the asset tables", () => {
    const words = ({ tag, blocks, seconds }: Finality) =>
      [
        ...(tag === undefined ? [] : [`the ${tag} block`]),
        ...(blocks === undefined ? [] : [`${blocks} block${blocks === 1 ? "" : "s"}`]),
        ...(seconds === undefined ? [] : [`${seconds} s`]),
      ].join(" and ");
    const rows = chainIds.map((id) => {
      const { name, chain_id, finality } = chainFacts[id];
      const coins = new Map(
        tokens[id].flatMap(({ coin, on_request }) => (coin === null ? [] : [[coin, on_request === true]])),
      );
      const listed = [...coins].map(([coin, asked]) => (asked ? `${coin} on request` : coin)).join(", ");
      const [small, large] = finality.map((tier) => words(tier.finality));
      return `| \`${id}\` ${name} | ${chain_id} | ${listed} | ${small} | ${large} |`;
    });
    expect(rowsUnder(inManual("chains.md"), "Chains and coins")).toEqual(rows);
  });

  test("why money is in the inbox, and what exchanges keep, is what the code says", () => {
    const rows = Object.entries(entryReasons).map(([reason, words]) => `| \`${reason}\` | ${words} |`);
    for (const row of rows) expect(page(inManual("payments.md"))).toContain(row);
    const fees = `${usual_fees.slice(0, -1).join(", ")} and ${usual_fees.at(-1)}`;
    expect(page(inManual("payments.md"))).toContain(`Usual fees are ${fees} coins.`);
  });

  test("every dependency has its reason", () => {
    const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const named = rowsUnder(inManual("architecture.md"), "Dependencies").flatMap((row) =>
      [...(row.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map(([, name]) => name),
    );
    expect(named.sort()).toEqual(Object.keys(devDependencies).sort());
  });
});

describe("links", () => {
  /** As GitHub names a heading. */
  const anchorOf = (heading: string) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, "")
      .trim()
      .replaceAll(" ", "-");
  const anchors = (text: string) => [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => anchorOf(heading));

  test("lead to a file and a heading that exist", () => {
    const links = [...pages].flatMap(([path, text]) =>
      [...text.matchAll(/(?:\]\(|src=")([^)"\s]+)[)"]/g)].map(([, target = ""]) => ({ path, target })),
    );
    const broken = links.filter(({ path, target }) => {
      if (target.startsWith("https://")) return false;
      const [file = "", anchor] = target.split("#");
      const to = file === "" ? path : join(dirname(path), file);
      if (!existsSync(join(root, to))) return true;
      return anchor !== undefined && !anchors(page(to)).includes(anchor);
    });
    expect(links.length).toBeGreaterThan(20);
    expect(broken).toEqual([]);
  });

  test("the README leads to every page of the manual", () => {
    const readme = page("README.md");
    for (const path of [...pages.keys()].slice(1)) expect(readme).toContain(`](${path})`);
  });
});

/** Every TypeScript example, and the test that runs it. */
const typescript_examples: [path: string, count: number][] = [
  ["README.md", 1], // below
  [inManual("connect.md"), 2], // below
  [inManual("opencharge.md"), 1], // opencharge-approval.test.ts
];

test("every code block is of a kind that is run or checked here, or is plain text", () => {
  expect(all_blocks.filter(({ language }) => !["ts", "sh", "toml", "text"].includes(language))).toEqual([]);
  const counts = Map.groupBy(
    all_blocks.filter(({ language }) => language === "ts"),
    ({ path }) => path,
  );
  expect(new Map([...counts].map(([path, blocks]) => [path, blocks.length]))).toEqual(new Map(typescript_examples));
});

/** What `/openapi.json` says of one route's refusals. */
interface Operation {
  parameters?: { name: string }[];
  responses: Record<string, { content?: { "text/plain"?: { examples: Record<string, { value: string }> } } }>;
}

describe("with a running server, the shop's examples", () => {
  let folder: Folder;
  let ocrch: Appliance;
  let merchant: Merchant;
  let scratch: string;
  const env = () => ({ ...process.env, OCRCH_URL: ocrch.url, MERCHANT_SECRET: "test-merchant-secret" });
  beforeAll(async () => {
    merchant = startMerchant();
    scratch = mkdtempSync(join(tmpdir(), "ocrch-readme-"));
    const wallet = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    const usdt = { USDT: { address: "0xdAC17F958D2ee523a2206206994597C13D831ec7", decimals: 6 } };
    folder = createFolder(
      configText({ chains: { eth: { rpc_urls: ["http://127.0.0.1:9"], wallets: [wallet], tokens: usdt } } }),
    );
    ocrch = await startAppliance({ folder });
  });
  afterAll(async () => {
    await ocrch.stop();
    await merchant.stop();
    folder.remove();
    rmSync(scratch, { recursive: true, force: true });
  });

  const tools = Bun.which("openssl") !== null && Bun.which("curl") !== null;
  test.skipIf(!tools)("with curl creates an order", async () => {
    const run = Bun.spawn(["sh", "-eu", "-c", curl_script ?? "exit 9"], { env: env(), stdout: "pipe" });
    const order = (await new Response(run.stdout).json()) as Record<string, unknown>;
    expect(order).toMatchObject({ merchant_order_id: "order-1", amount: "19.99", status: "pending" });
  });

  /** Loads one TypeScript example as a shop that installed the package would. */
  async function load<Exports>(path: string, index: number): Promise<Exports> {
    const file = join(scratch, `${path.replaceAll("/", "-")}-${index}.ts`);
    const modules = join(scratch, "node_modules");
    if (!existsSync(modules)) {
      mkdirSync(modules);
      symlinkSync(root, join(modules, "ocrch"));
    }
    writeFileSync(file, blocksIn(path, "ts")[index] ?? "");
    process.env.OCRCH_URL = ocrch.url;
    process.env.MERCHANT_SECRET = "test-merchant-secret";
    return (await import(file)) as Exports;
  }

  /** Says over the Admin API that an order is paid. */
  async function markPaid(order_id: string): Promise<void> {
    const marked = await fetch(`${ocrch.url}/api/v1/admin/orders/${order_id}/mark-paid`, {
      method: "POST",
      headers: { "Ocrch-Admin-Authorization": "test-admin-secret" },
    });
    expect(marked.status).toBe(200);
  }

  test("in TypeScript create an order, pay it from its page, ship it once and catch up", async () => {
    const shop = await load<{
      checkout(
        cart: string,
        attempt: number,
        amount: string,
        webhook_url: string,
      ): Promise<{ order: Order; signed: Signature }>;
      webhook(request: Request, ship: (cart: string) => Promise<void>): Promise<Response>;
      catchUp(
        after: number,
        handle: (order_id: string, n: number) => Promise<void>,
        signal: AbortSignal,
      ): Promise<void>;
    }>(inManual("connect.md"), 0);
    const page = await load<{
      pay(
        ocrch: string,
        order_id: string,
        signed: Signature,
        refresh: () => Promise<Signature>,
        show: (line: string) => void,
      ): Promise<string>;
    }>(inManual("connect.md"), 1);
    const shipped: string[] = [];
    const told = Promise.withResolvers<number>();
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      async fetch(request) {
        const copy = request.clone();
        const answer = await shop.webhook(request, async (cart) => void shipped.push(cart));
        const again = await shop.webhook(copy, async (cart) => void shipped.push(cart));
        told.resolve(again.status);
        return answer;
      },
    });
    const { order, signed } = await shop.checkout("cart-1", 1, "5.00", `http://127.0.0.1:${server.port}/hook`);
    const shown: string[] = [];
    const seen = Promise.withResolvers<void>();
    const refresh = async () => signed;
    const paid = page.pay(ocrch.url, order.order_id, signed, refresh, (line) => {
      shown.push(line);
      if (line === "pending") seen.resolve();
    });
    await seen.promise;
    await markPaid(order.order_id);
    expect(await paid).toBe("paid");
    expect(shown).toEqual([expect.stringMatching(/^Send exactly 5\.00 USDT to 0x/), "pending", "paid"]);
    expect(await told.promise).toBe(200);
    expect(shipped).toEqual(["cart-1"]);
    const forged = new Request("http://shop/hook", {
      method: "POST",
      body: "{}",
      headers: { "ocrch-signature": "1.AAAA" },
    });
    expect((await shop.webhook(forged, async () => {})).status).toBe(400);

    const abort = new AbortController();
    const caught: string[] = [];
    await shop.catchUp(
      0,
      async (order_id) => {
        caught.push(order_id);
        abort.abort();
      },
      abort.signal,
    );
    expect(caught).toEqual([order.order_id]);
    await server.stop(true);
  });

  test("in twenty lines of TypeScript create an order and ship it once it is paid", async () => {
    expect(blocksIn("README.md", "ts")[0]?.trimEnd().split("\n").length).toBeLessThanOrEqual(20);
    const shop = await load<{
      checkout(cart: string, attempt: number, amount: string, webhook_url: string): Promise<Signature>;
      webhook(request: Request, ship: (cart: string) => Promise<void>): Promise<void>;
    }>("README.md", 0);
    const shipped = Promise.withResolvers<string>();
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      async fetch(request) {
        await shop.webhook(request, async (cart) => shipped.resolve(cart));
        return new Response();
      },
    });
    const signed = await shop.checkout("cart-20", 1, "7.00", `http://127.0.0.1:${server.port}/hook`);
    const order_id = new URL(signed.url).searchParams.get("order_id") ?? "";
    const headers = { "Ocrch-Signed-Url": signed.url, "Ocrch-Signature": signed.signature };
    const seen = await fetch(`${ocrch.url}/api/v1/user/orders/${order_id}/status`, { headers });
    expect(await seen.json()).toMatchObject({ merchant_order_id: "cart-20", amount: "7.00", status: "pending" });
    await markPaid(order_id);
    expect(await shipped.promise).toBe("cart-20");
    const forged = new Request("http://shop/hook", { method: "POST", body: "{}" });
    await expect(shop.webhook(forged, async () => {})).rejects.toThrow("signature");
    await server.stop(true);
  });

  test("the page on errors lists every refusal of the API, with its status", async () => {
    const { paths } = (await (await fetch(`${ocrch.url}/openapi.json`)).json()) as {
      paths: Record<string, Record<string, Operation>>;
    };
    const refusals = Object.values(paths)
      .flatMap((path) => Object.values(path))
      .flatMap(({ parameters = [], responses }) =>
        Object.entries(responses).flatMap(([status, { content }]) =>
          Object.values(content?.["text/plain"]?.examples ?? {}).map(({ value }) => {
            const is_parameter = parameters.some(({ name }) => value === `invalid ${name}`);
            return `| ${status} | \`${is_parameter ? "invalid PARAMETER" : value}\` |`;
          }),
        ),
      );
    expect(refusals.length).toBeGreaterThan(50);
    expect([...new Set(refusals)].filter((row) => !page(inManual("errors.md")).includes(row))).toEqual([]);
  });
});

/** The lines of shell blocks, but for the one that is run as a whole. */
const command_lines = all_blocks
  .filter(({ language, text }) => language === "sh" && text !== curl_script)
  .flatMap(({ text }) => text.split("\n"))
  .map((line) => line.replace(/\s+#.*$/, "").trim())
  .filter((line) => line !== "");
/** Commands in the running text, but for the one that stands for all of them. */
const named_commands = [...pages.values()]
  .flatMap((text) => [...text.matchAll(/`(ocrch [^`]+)`/g)].map(([, line = ""]) => line))
  .filter((line) => !line.includes("COMMAND"));

describe("the commands they name", () => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const helps = new Map<string, string>();

  function helpOf(name: readonly string[]): string {
    const key = name.join(" ");
    const known = helps.get(key);
    if (known !== undefined) return known;
    const { exitCode, stdout, stderr } = Bun.spawnSync([...fromSource, ...name, "--help"]);
    if (exitCode !== 0) throw new Error(stderr.toString());
    helps.set(key, stdout.toString());
    return stdout.toString();
  }

  function expectFlags(line: string, help: string): void {
    for (const flag of line.match(/(?<=(?:^| ))--?[a-z-]+/g) ?? []) expect(help).toContain(flag);
  }

  /** Of each kind of line, what must hold. */
  const kinds: [pattern: RegExp, check: (rest: string) => void][] = [
    [
      /^(?:dist\/)?ocrch (.+)$/,
      (line) => {
        const words = line.split(" ").filter((word) => /^[a-z]/.test(word));
        expectFlags(line, helpOf(words.slice(0, ["config", "opencharge"].includes(words[0] ?? "") ? 2 : 1)));
      },
    ],
    [/^npm (?:run )?([a-z:]+)/, (name) => expect(Object.keys(scripts)).toContain(name)],
    [
      /^\.\/install\.sh (.+)$/,
      (line) => expectFlags(line, Bun.spawnSync([join(root, "install.sh"), "--help"]).stdout.toString()),
    ],
    [/^node_modules\/\.bin\/bun (?:test )?(\S+)/, (path) => expect(existsSync(join(root, path))).toBe(true)],
    // A copy of the repository: the reader's machine is no concern of a test.
    [/^(?:git clone REPOSITORY|cd) (ocrch)$/, () => {}],
  ];

  for (const line of new Set([...command_lines, ...named_commands])) {
    test(`${line}: exists, with those flags`, () => {
      const found = kinds.flatMap(([pattern, check]) => {
        const match = pattern.exec(line);
        return match === null ? [] : [{ check, rest: match[1] ?? "" }];
      });
      expect(found).toHaveLength(1);
      for (const { check, rest } of found) check(rest);
    });
  }

  test("npm's scripts in the running text exist", () => {
    for (const text of pages.values())
      for (const [, name] of text.matchAll(/npm run ([a-z:]+)/g)) expect(scripts).toHaveProperty(name ?? "");
  });

  test("the demo pays an order", () => {
    const demo = String(scripts.demo).split(" ").slice(1);
    const { exitCode, stdout } = Bun.spawnSync([process.execPath, ...demo, "--once"], { cwd: root });
    expect(stdout.toString()).toContain("order paid");
    expect(exitCode).toBe(0);
  });
});

describe("the settings they show", () => {
  const blocks = all_blocks.filter(({ language }) => language === "toml");
  const whole = blocksIn(inManual("install.md"), "toml")[0] ?? "";
  for (const { path, text } of blocks) {
    test(`of ${path} are a valid configuration`, () => {
      // A section alone stands below the smallest configuration there is.
      const toml = text === whole ? whole : `${whole}\n[server]\npublic_url = "https://pay.shop.example"\n${text}`;
      const secrets = toml.replace(/change-me-(\w+)-secret/g, "$1-secret-of-a-test");
      const folder = createFolder(secrets.replace("0xYourWalletAddress", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"));
      const key = join(folder.path, "opencharge.key");
      writeFileSync(key, newSecret());
      chmodSync(key, 0o600);
      const { exitCode, stderr } = Bun.spawnSync([...fromSource, "config", "check", "-c", folder.config]);
      folder.remove();
      expect([exitCode, stderr.toString()]).toEqual([0, ""]);
    });
  }
});
