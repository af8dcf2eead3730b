// The executable a merchant downloads: built here, started in an empty folder with one configuration file, each command
// run once on it.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { schema_version } from "../../src/storage/engine/migrations.ts";
import { type Appliance, configText, createFolder, type Folder, startAppliance } from "../support/appliance.ts";
import { createShop, type Merchant, startMerchant } from "../support/merchant.ts";

const root = join(import.meta.dir, "../..");
const evm_wallet = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const tron_wallet = "TV6MuMXfmLbBqPZvBHdwFsDnQeVfnmiuSi";

let out: string;
let executable: string;
let folder: Folder;
let ocrch: Appliance;
let merchant: Merchant;
let paid = "";
beforeAll(async () => {
  out = mkdtempSync(join(tmpdir(), "ocrch-build-"));
  executable = join(out, "ocrch");
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: { build: string } };
  const build = scripts.build.replace("--outfile dist/ocrch", `--outfile ${executable}`).split(" ");
  const run = Bun.spawnSync([process.execPath, ...build.slice(1)], { cwd: root });
  if (run.exitCode !== 0) throw new Error(run.stderr.toString());

  merchant = startMerchant();
  folder = createFolder(
    configText({
      unknown_transfer_webhook_url: merchant.webhook_url,
      chains: {
        eth: {
          rpc_urls: ["http://127.0.0.1:9"],
          wallets: [evm_wallet],
          tokens: { USDT: { address: "0xdAC17F958D2ee523a2206206994597C13D831ec7", decimals: 6 } },
        },
        tron: {
          rpc_urls: ["http://127.0.0.1:9"],
          wallets: [tron_wallet],
          tokens: { USDT: { address: "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", decimals: 6 } },
        },
      },
    }),
  );
}, 300_000);
afterAll(async () => {
  await ocrch?.stop();
  await merchant.stop();
  folder.remove();
  rmSync(out, { recursive: true, force: true });
});

/** Runs a command with an environment that holds neither the sources nor bun. */
function command(...words: string[]) {
  const env = { PATH: "/usr/bin:/bin", HOME: folder.path };
  const run = Bun.spawnSync([executable, ...words], { cwd: folder.path, env });
  return { status: run.exitCode, out: run.stdout.toString(), err: run.stderr.toString() };
}

describe("the executable", () => {
  test("is one file that tells its version and explains itself", () => {
    expect(readdirSync(out)).toEqual(["ocrch"]);
    expect(statSync(executable).size).toBeLessThan(200 * 1024 * 1024);
    expect(command("--version")).toMatchObject({ status: 0, out: "ocrch 0.1.0\n" });
    expect(command("--help").out).toContain("mark-paid");
    expect(command("help", "configuration").out).toContain("[[wallets]]");
  });

  test("checks the configuration and writes nothing", () => {
    const before = readFileSync(folder.config, "utf8");
    expect(command("config", "check").status).toBe(0);
    expect(readFileSync(folder.config, "utf8")).toBe(before);
    expect(readdirSync(folder.path)).toEqual(["ocrch-config.toml"]);
  });

  test("migrates: creates the database, and finds it current the second time", () => {
    expect(command("migrate", "--database", "other.db").out).toContain("0001_first.sql");
    expect(command("migrate", "--database", "other.db").out).toContain(`schema version ${schema_version} is current`);
  });

  test("serves from a folder that holds one configuration file, and hides the admin secret in it", async () => {
    ocrch = await startAppliance({ folder, command: [executable] });
    expect(existsSync(folder.database)).toBe(true);
    expect(readFileSync(folder.config, "utf8")).toContain("$argon2id$");
    const health = await fetch(`${ocrch.url}/health`);
    expect(await health.json()).toEqual({ status: "ok", version: "0.1.0" });
  });

  test("takes orders on chains that cannot be reached, Tron among them", async () => {
    const shop = createShop(ocrch.url);
    const order = await shop.createOrder({ order_id: "x-1", amount: "12.00", webhook_url: merchant.webhook_url });
    const evm = await shop.selectPayment(order.order_id, "eth", "USDT");
    const tron = await shop.selectPayment(order.order_id, "tron", "USDT");
    expect([evm.wallet_address, tron.wallet_address]).toEqual([evm_wallet, tron_wallet]);
    paid = order.order_id;
  });

  test("lists orders, deposits, transfers, wallets and its status beside the running server", () => {
    expect(JSON.parse(command("orders", "--json").out)).toMatchObject([{ order_id: paid, status: "pending" }]);
    expect(JSON.parse(command("deposits", "--json").out)).toHaveLength(2);
    expect(JSON.parse(command("transfers", "--json").out)).toEqual([]);
    expect(JSON.parse(command("wallets", "--json").out)).toHaveLength(2);
    expect(command("status").out).toContain("tron");
    for (const list of ["orders", "deposits", "transfers", "wallets"]) expect(command(list).status).toBe(0);
    expect(() => JSON.parse(command("status", "--json").out)).not.toThrow();
  });

  test("marks an order paid and sends its webhook again, which the running server delivers", async () => {
    expect(command("mark-paid", paid, "--reason", "test").status).toBe(0);
    await merchant.awaitWebhook((one) => one.body.status === "paid" && one.verified);
    expect(command("resend-webhook", paid).status).toBe(0);
    const first = merchant.received[0]?.id;
    await merchant.awaitWebhook((one) => one.id !== first && one.verified);
  });

  test("refuses a transfer it does not know, and a second server", () => {
    expect(command("resend-webhook", "--transfer", "99")).toMatchObject({ status: 1, out: "" });
    const second = command("serve");
    expect(second.status).toBe(1);
    expect(second.err.trim().split("\n").at(-1)).toContain("another ocrch serves");
  });

  test("stops within ten seconds with status 0, and serves the same data again", async () => {
    const begun = performance.now();
    expect(await ocrch.stop("SIGTERM")).toBe(0);
    expect(performance.now() - begun).toBeLessThan(10_000);
    ocrch = await startAppliance({ folder, command: [executable] });
    expect((await createShop(ocrch.url).orderStatus(paid)).status).toBe("paid");
  });
});
