// slow
// The client as shops install it: packed by npm, installed into empty projects, imported and typed as they would.
// Compilers and the package `ws` come from the npm registry; tests that lack one skip and name it.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import root_manifest from "../../package.json";
import manifest from "../../src/sdk/package.json";

const root = join(import.meta.dir, "../..");
const scratch = mkdtempSync(join(tmpdir(), "ocrch-sdk-package-"));
const shop = join(scratch, "shop");
const install_timeout_ms = 90_000;
const exported = "OcrchError WebhookError createAdmin createInOrder createOcrch createPayer verifyWebhook";

/** What a shop may have installed beside the client, in exactly these versions. */
const from_registry = {
  "typescript-4": "npm:typescript@4.9.5",
  "typescript-5": "npm:typescript@5.9.3",
  ws: "8.18.3",
  "@types/ws": "8.18.1",
  "@types/node": "20.19.0",
};
const quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];

function run(command: string[], cwd = shop): { code: number; out: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, {
    ...{ cwd, stdout: "pipe", stderr: "pipe", timeout: install_timeout_ms },
  });
  return { code: exitCode, out: `${stdout}${stderr}`.trim() };
}

mkdirSync(shop);
writeFileSync(join(shop, "package.json"), JSON.stringify({ type: "module", devDependencies: from_registry }));
const installed = run(["npm", "install", "--prefer-offline", ...quiet]);
const missing =
  installed.code === 0 ? "" : ` (SKIPPED: npm could not install ${Object.values(from_registry).join(", ")})`;
if (missing !== "") console.warn(`${missing}: ${installed.out.slice(0, 500)}`);

let packed: string[];
beforeAll(() => {
  const copy = join(scratch, "repository/src/sdk");
  cpSync(join(root, "src/sdk"), copy, { recursive: true, filter: (path) => !path.includes("dist") });
  symlinkSync(join(root, "node_modules"), join(scratch, "repository/node_modules"));
  cpSync(join(root, "LICENSE"), join(scratch, "repository/LICENSE"));
  expect(run(["npm", "pack", "--silent", "--pack-destination", scratch], copy).code).toBe(0);
  const tarball = readdirSync(scratch).find((name) => name.endsWith(".tgz")) ?? "";
  packed = run(["tar", "-tzf", join(scratch, tarball)]).out.split("\n");
  // No registry is needed for it: it depends on nothing.
  const unpacked = join(shop, "node_modules/ocrch-sdk");
  mkdirSync(unpacked, { recursive: true });
  expect(run(["tar", "-xzf", join(scratch, tarball), "--strip-components=1", "-C", unpacked])).toEqual({
    code: 0,
    out: "",
  });
  const empty = join(scratch, "empty");
  mkdirSync(empty);
  writeFileSync(join(empty, "package.json"), "{}");
  expect(run(["npm", "install", "--offline", ...quiet, join(scratch, tarball)], empty).code).toBe(0);
  expect(readdirSync(join(empty, "node_modules")).filter((name) => !name.startsWith("."))).toEqual(["ocrch-sdk"]);
}, 120_000);
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("the package depends on nothing, has the server's version, and is built by the compiler used here", () => {
  expect(Object.keys(manifest)).not.toContain("dependencies");
  expect([manifest.version, manifest.license]).toEqual([root_manifest.version, "Apache-2.0"]);
  expect(manifest.devDependencies.typescript).toBe(root_manifest.devDependencies.typescript);
});

test("a git dependency on the repository builds the client and brings none of the server's dependencies", () => {
  expect(Object.keys(root_manifest)).not.toContain("dependencies");
  expect(root_manifest.scripts.prepare).toBe(root_manifest.scripts["build:sdk"]);
  expect(root_manifest.files).toContain("src/sdk/dist");
  expect(root_manifest.exports["."]).toEqual(root_manifest.exports["./sdk"]);
});

test("the tarball holds JavaScript and types in both formats, the licence, and no source", () => {
  for (const format of ["esm", "cjs"]) {
    for (const file of ["index.js", "index.d.ts", "package.json"])
      expect(packed).toContain(`package/dist/${format}/${file}`);
  }
  expect(packed).toContain("package/dist/LICENSE");
  expect(packed.filter((path) => /(?<!\.d)\.ts$|\.mjs$|node_modules/.test(path))).toEqual([]);
});

describe("an empty project imports it", () => {
  const print = "console.log(Object.keys(sdk).sort().join(' '))";
  const [esm, cjs] = [`import * as sdk from "ocrch-sdk"; ${print}`, `const sdk = require("ocrch-sdk"); ${print}`];
  test.skipIf(Bun.which("node") === null)("as ESM and as CommonJS in Node.js", () => {
    expect(run(["node", "--input-type=module", "-e", esm])).toEqual({ code: 0, out: exported });
    expect(run(["node", "--input-type=commonjs", "-e", cjs])).toEqual({ code: 0, out: exported });
  });

  test("as ESM and as CommonJS in Bun", () => {
    for (const [name, text] of [["esm.mjs", esm] as const, ["cjs.cjs", cjs] as const]) {
      writeFileSync(join(shop, name), text);
      expect(run([process.execPath, name])).toEqual({ code: 0, out: exported });
    }
  });

  test("into one file for browsers", async () => {
    writeFileSync(join(shop, "page.js"), `export { createPayer } from "ocrch-sdk";`);
    const built = await Bun.build({ entrypoints: [join(shop, "page.js")], target: "browser", format: "esm" });
    expect(await built.outputs[0]?.text()).toContain("createPayer");
  });
});

/** What a shop's compiler must take, and what it must refuse. */
const typed_shop = `
import { createAdmin, createInOrder, createOcrch, createPayer, OcrchError, verifyWebhook } from "ocrch-sdk";
interface Cart { id: string; items?: number[] }
export async function shop(cart: Cart) {
  const ocrch = createOcrch({ url: "https://pay.example.com", secret: "s" });
  const order = await ocrch.createOrder({ order_id: "1", amount: "1.00", webhook_url: "https://x.example", metadata: cart });
  await ocrch.createOrder({ order_id: "1", amount: "1.00", webhook_url: "https://x.example", metadata: { a: 1 } });
  const status: "pending" | "paid" | "expired" | "cancelled" = order.status;
  // @ts-expect-error An amount is text.
  await ocrch.createOrder({ order_id: "1", amount: 1, webhook_url: "https://x.example" });
  // @ts-expect-error Metadata is an object.
  await ocrch.createOrder({ order_id: "1", amount: "1", webhook_url: "https://x.example", metadata: "text" });
  for await (const event of ocrch.events({ after: 7 })) {
    if (event.type === "unknown_transfer") event.data.value.trim();
    if (event.type === "deposit_opened") { const coin: "USDT" | "USDC" | "DAI" = event.data.stablecoin; coin.trim(); }
  }
  const event = await verifyWebhook({ secret: "s", body: "", headers: { a: "b" } });
  const told: string = event.event_type === "order_status_changed" ? event.status : event.txn_hash;
  await createInOrder().once(event, async (event) => void event.webhook_id);
  // @ts-expect-error A secret is needed.
  await verifyWebhook({ body: "", headers: {} });
  const payer = createPayer({ url: "", signedUrl: "", signature: "", WebSocket: null, refresh: () => ocrch.signCheckoutUrl("") });
  // @ts-expect-error No such coin.
  await payer.select(order.order_id, { blockchain: "eth", stablecoin: "DOGE" });
  await createAdmin({ url: "", secret: "s" }).transfers("0x", { status: "no_matched_deposit", unaccepted: true, limit: undefined });
  return { status, told, words: (error: unknown) => (error instanceof OcrchError ? error.text : null) };
}
`;
const typed_page = `
import { createPayer } from "ocrch-sdk";
export const payer = createPayer({ url: "", signedUrl: "", signature: "", WebSocket, fetch });
`;
const typed_socket = `
import { createPayer } from "ocrch-sdk";
import { WebSocket } from "ws";
export const payer = createPayer({ url: "", signedUrl: "", signature: "", WebSocket });
`;

describe("its types hold", () => {
  // TypeScript's own libraries, which take seconds to check, are not ours to check.
  const strict = ["--noEmit", "--strict", "--target", "es2022", "--pretty", "false", "--skipDefaultLibCheck"];
  const node = ["--module", "node16", "--moduleResolution", "node16"];
  const own = ["node", join(root, "node_modules/typescript/bin/tsc"), "--ignoreConfig"];
  const older = (name: string) => ["node", join(shop, "node_modules", name, "bin/tsc")];
  const check = (command: string[], more: string[], files: string[]) => run([...command, ...strict, ...more, ...files]);
  const fine = { code: 0, out: "" };
  const lib = ["--lib", "es2022,dom", "--types", "node"];
  beforeAll(() => {
    for (const extension of ["ts", "cts"]) writeFileSync(join(shop, `shop.${extension}`), typed_shop);
    writeFileSync(join(shop, "page.ts"), typed_page);
    writeFileSync(join(shop, "socket.ts"), typed_socket);
  });

  test("in TypeScript 7 without any other types", () => {
    const browser = ["--exactOptionalPropertyTypes", "--lib", "es2022,dom", "--types", ""];
    expect(check(own, [...node, ...browser], ["shop.ts", "shop.cts", "page.ts"])).toEqual(fine);
    const bundler = ["--module", "esnext", "--moduleResolution", "bundler"];
    expect(check(own, [...bundler, ...browser], ["shop.ts", "page.ts"])).toEqual(fine);
  });

  test.skipIf(missing !== "")(`in TypeScript 7 with Node.js types and the socket of ws${missing}`, () => {
    expect(check(own, [...node, "--lib", "es2022", "--types", "node"], ["shop.ts", "socket.ts"])).toEqual(fine);
  });

  test.skipIf(missing !== "").each(["typescript-4", "typescript-5"])(
    `in %s${missing}`,
    (name) => {
      expect(check(older(name), [...node, ...lib], ["shop.ts", "shop.cts", "page.ts", "socket.ts"])).toEqual(fine);
      // As configured before there were `exports`; `types` cannot be empty on the command line.
      const compilerOptions = {
        strict: true,
        noEmit: true,
        skipDefaultLibCheck: true,
        target: "es2022",
        module: "commonjs",
        moduleResolution: "node",
      };
      const classic = { compilerOptions: { ...compilerOptions, types: [] }, files: ["shop.ts", "page.ts"] };
      writeFileSync(join(shop, "classic.json"), JSON.stringify(classic));
      expect(run([...older(name), "-p", "classic.json", "--pretty", "false"])).toEqual(fine);
    },
    180_000,
  );
});

test.skipIf(missing !== "" || Bun.which("node") === null)(
  `an order is followed over the socket of ws in Node.js${missing}`,
  async () => {
    const order = (status: string) => ({ order_id: "o", merchant_order_id: "m", amount: "1", status, created_at: 1 });
    const frame = (status: string) => JSON.stringify({ type: "status_update", order: order(status) });
    let sockets = 0;
    using server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request, server) => (server.upgrade(request) ? undefined : new Response(null, { status: 500 })),
      websocket: {
        open(socket) {
          sockets += 1;
          socket.send(frame("pending"));
          socket.send(frame("paid"));
        },
        message() {},
      },
    });
    const script = `import { createPayer } from "ocrch-sdk"; import { WebSocket } from "ws";
      const seen = [];
      const payer = createPayer({ url: process.argv[1], signedUrl: "u", signature: "s", WebSocket });
      await payer.follow("o", { onStatus: ({ status }) => seen.push(status) });
      console.log(seen.join(" "));`;
    const node = Bun.spawn(["node", "--input-type=module", "-e", script, `http://127.0.0.1:${server.port}`], {
      ...{ cwd: shop, stdout: "pipe", stderr: "pipe" },
    });
    const [out, err] = await Promise.all([new Response(node.stdout).text(), new Response(node.stderr).text()]);
    expect([out.trim(), err, sockets]).toEqual(["pending paid", "", 1]);
  },
);
