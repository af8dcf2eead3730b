// The README is the map and the manual: what it prints from the code is the code's, and its examples run.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chainIds, chains, tokens } from "../../src/domain/assets.ts";
import type { Finality } from "../../src/domain/finality.ts";
import { transitionTable } from "../../src/domain/order.ts";
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

const root = join(import.meta.dir, "../..");
const readme = readFileSync(join(root, "README.md"), "utf8");

/** What stands between a marker comment and its end. */
function printed(marker: string): string {
  const found = new RegExp(`<!-- ${marker}: [^>]*-->\\n([\\s\\S]*?)\\n<!-- end -->`).exec(readme)?.[1];
  if (found === undefined) throw new Error(`the README has no ${marker}`);
  return found;
}

/** The code blocks of one language below a heading. */
function blocks(heading: string, language: string): string[] {
  const section = readme.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  return [...section.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g"))].map(
    (match) => match[1] ?? "",
  );
}

describe("printed from the code", () => {
  test("the life of an order is the transition table", () => {
    expect(printed("order table")).toBe(transitionTable());
  });

  test("chains and coins are the asset tables", () => {
    const words = ({ tag, blocks, seconds }: Finality) =>
      [
        ...(tag === undefined ? [] : [`the ${tag} block`]),
        ...(blocks === undefined ? [] : [`${blocks} block${blocks === 1 ? "" : "s"}`]),
        ...(seconds === undefined ? [] : [`${seconds} s`]),
      ].join(" and ");
    const rows = chainIds.map((id) => {
      const { name, chain_id, finality } = chains[id];
      const coins = new Map(
        tokens[id].flatMap(({ coin, on_request }) => (coin === null ? [] : [[coin, on_request === true]])),
      );
      const listed = [...coins].map(([coin, asked]) => (asked ? `${coin} on request` : coin)).join(", ");
      const [small, large] = finality.map((tier) => words(tier.finality));
      return `| \`${id}\` ${name} | ${chain_id} | ${listed} | ${small} | ${large} |`;
    });
    expect(printed("chain table").split("\n").slice(2)).toEqual(rows);
  });

  test("every dependency has its reason", () => {
    const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const reasons = readme.split("Dependencies, each for one thing:")[1]?.split("\n## ")[0] ?? "";
    for (const name of Object.keys(devDependencies)) {
      const known = { "@biomejs/biome": "biome", "@types/bun": "bun" }[name] ?? name;
      expect(reasons).toContain(known);
    }
  });
});

describe("the shop's examples", () => {
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
    const [script] = blocks("Connect your shop", "sh");
    const run = Bun.spawn(["sh", "-eu", "-c", script ?? "exit 9"], { env: env(), stdout: "pipe" });
    const order = (await new Response(run.stdout).json()) as Record<string, unknown>;
    expect(order).toMatchObject({ merchant_order_id: "order-1", amount: "19.99", status: "pending" });
  });

  /** Loads one TypeScript example as a shop that installed the package would. */
  async function load<Exports>(index: number): Promise<Exports> {
    const path = join(scratch, `shop-${index}.ts`);
    mkdirSync(join(scratch, "node_modules"), { recursive: true });
    if (index === 0) symlinkSync(root, join(scratch, "node_modules/ocrch"));
    writeFileSync(path, blocks("Connect your shop", "ts")[index] ?? "");
    return (await import(path)) as Exports;
  }

  test("in TypeScript create an order, pay it from its page, ship it once and catch up", async () => {
    process.env.OCRCH_URL = ocrch.url;
    process.env.MERCHANT_SECRET = "test-merchant-secret";
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
    }>(0);
    const page = await load<{
      pay(
        ocrch: string,
        order_id: string,
        signed: Signature,
        refresh: () => Promise<Signature>,
        show: (line: string) => void,
      ): Promise<string>;
    }>(1);
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
    const marked = await fetch(`${ocrch.url}/api/v1/admin/orders/${order.order_id}/mark-paid`, {
      method: "POST",
      headers: { "Ocrch-Admin-Authorization": "test-admin-secret" },
    });
    expect(marked.status).toBe(200);
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
});

describe("the commands it names", () => {
  const commands = [...readme.matchAll(/^ocrch ([^\n#]+)/gm)].map((match) => (match[1] ?? "").trim());

  test("exist, with those flags", async () => {
    expect(commands.length).toBeGreaterThan(5);
    for (const line of commands) {
      const words = line.split(" ");
      const name = words[0] === "config" ? words.slice(0, 2) : words.slice(0, 1);
      const help = Bun.spawnSync([...fromSource, ...name, "--help"]);
      expect(help.exitCode).toBe(0);
      for (const flag of line.match(/(?<= )--?[a-z-]+/g) ?? []) expect(help.stdout.toString()).toContain(flag);
    }
  });

  test("npm's scripts exist", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    for (const [, name] of readme.matchAll(/npm run ([a-z]+)/g)) expect(scripts).toHaveProperty(name ?? "");
    expect(scripts).toHaveProperty("test");
  });
});
