// The client against the server as a process, through its restarts, and the client in other runtimes than ours.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createInOrder,
  createOcrch,
  createPayer,
  type Ocrch,
  type OcrchError,
  type OcrchEvent,
  verifyWebhook,
  type WebhookEvent,
} from "../../src/sdk/index.ts";
import { type Appliance, configText, createFolder, type Folder, startAppliance } from "../support/appliance.ts";
import { type Seen, walk } from "../support/sdk-smoke.ts";
import { closedPort } from "../support/shop-proxy.ts";

const root = join(import.meta.dir, "../..");
const secret = "test-merchant-secret";
const webhook_url = "https://webhooks.invalid/ocrch";
const nobody = "01900000-0000-7000-8000-000000000000";

let folder: Folder;
let server: Appliance;
let ocrch: Ocrch;
beforeAll(async () => {
  const eth = {
    rpc_urls: ["http://127.0.0.1:9"],
    wallets: ["0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"],
    tokens: { USDT: { address: "0xdAC17F958D2ee523a2206206994597C13D831ec7", decimals: 6 } },
  };
  folder = createFolder(configText({ port: await closedPort(), chains: { eth } }));
  server = await startAppliance({ folder });
  ocrch = createOcrch({ url: server.url, secret });
});
afterAll(async () => {
  await server.stop();
  folder.remove();
});

const create = (order_id: string, more: object = {}) =>
  ocrch.createOrder({ order_id, amount: "5.00", webhook_url, ...more });

describe("a shop's server", () => {
  test("gives an order options, and gets them back", async () => {
    const options = {
      lifetime: 90,
      metadata: { cart: [1, "ü"], price: { net: "4.20" } },
      success_url: "https://shop.example.com/thanks",
      cancel_url: "https://shop.example.com/cart",
    };
    const order = await create("with options", options);
    const { lifetime, ...echoed } = options;
    expect(order).toMatchObject({ ...echoed, expires_at: order.created_at + lifetime });
    expect(await ocrch.orderStatus(order.order_id)).toEqual(order);
  });

  test("cancels an order once, and is told why not twice", async () => {
    const { order_id } = await create("to cancel");
    expect(await ocrch.cancelOrder(order_id)).toMatchObject({ order_id, status: "cancelled" });
    await expect(ocrch.cancelOrder(order_id)).rejects.toMatchObject({ status: 409, text: "order is not pending" });
    await expect(ocrch.cancelOrder(nobody)).rejects.toMatchObject({ status: 404, text: "order not found" });
  });

  test("finds its orders by its own reference, newest first, in parts", async () => {
    const first = await create("twice");
    const second = await create("twice", { amount: "6.00" });
    expect(await ocrch.findOrders("twice")).toEqual([second, first]);
    expect(await ocrch.findOrders("twice", { limit: 1, offset: 1 })).toEqual([first]);
    expect(await ocrch.findOrders("never")).toEqual([]);
  });

  test("has its webhooks verified, and each handled once", async () => {
    const { once } = createInOrder();
    const handled: WebhookEvent[] = [];
    const done = Promise.withResolvers<void>();
    let answers = 0;
    const shop = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      async fetch(request) {
        const event = await verifyWebhook({ secret, body: await request.text(), headers: request.headers });
        await once(event, (event) => void handled.push(event));
        answers += 1;
        // The first answer is lost on its way: the event comes again.
        if (answers === 1) return new Response(null, { status: 500 });
        done.resolve();
        return new Response();
      },
      error: () => new Response(null, { status: 400 }),
    });
    const { order_id } = await create("told", { webhook_url: `http://127.0.0.1:${shop.port}/` });
    await ocrch.cancelOrder(order_id);
    await done.promise;
    expect(answers).toBe(2);
    expect(handled).toEqual([
      {
        event_type: "order_status_changed",
        order_id,
        merchant_order_id: "told",
        status: "cancelled",
        amount: "5.00",
        timestamp: expect.any(Number),
        webhook_id: expect.stringMatching(/^evt_\d+$/),
      },
    ]);
    await shop.stop(true);
  });
});

describe("the event log", () => {
  /** Reads in the background until a number of events has come or it is told to end. */
  function read(after: number, enough: (event: OcrchEvent) => boolean) {
    const abort = new AbortController();
    const events: OcrchEvent[] = [];
    const retries: OcrchError[] = [];
    const end = (async () => {
      const options = { after, wait: 20, limit: 2, signal: abort.signal };
      for await (const event of ocrch.events({ ...options, onRetry: (error) => retries.push(error) })) {
        events.push(event);
        if (enough(event)) return;
      }
    })();
    return { abort, events, retries, end };
  }

  /** The number of the newest event, which is an order made for it. */
  async function last(): Promise<number> {
    const { order_id } = await create(`the last so far, ${Bun.nanoseconds()}`);
    let n = 0;
    for await (const event of ocrch.events({ limit: 1000 })) {
      n = event.n;
      if (event.order_id === order_id) break;
    }
    return n;
  }

  test("is read from the beginning without gaps, with typed data", async () => {
    const { order_id } = await create("logged");
    await ocrch.cancelOrder(order_id);
    const { events, end } = read(0, (event) => event.order_id === order_id && event.type === "order_status_changed");
    await end;
    expect(events.map(({ n }) => n)).toEqual(events.map((_, index) => index + 1));
    const told = events.at(-1);
    expect(told).toEqual({
      n: events.length,
      type: "order_status_changed",
      order_id,
      transfer_id: null,
      created_at: expect.any(Number),
      data: {
        event_type: "order_status_changed",
        order_id,
        merchant_order_id: "logged",
        status: "cancelled",
        amount: "5.00",
        timestamp: expect.any(Number),
      },
    });
  });

  test("goes on after a crash and a restart where it was, each event once", async () => {
    const after = await last();
    const before = await create("before the crash");
    const first = Promise.withResolvers<void>();
    const created: string[] = [];
    const reading = read(after, (event) => {
      created.push(event.order_id ?? "");
      first.resolve();
      return created.length === 2;
    });
    await first.promise;
    await server.stop("SIGKILL");
    server = await startAppliance({ folder });
    const later = await create("after the restart");
    await reading.end;
    expect(created).toEqual([before.order_id, later.order_id]);
    expect(reading.events.map(({ n }) => n)).toEqual([after + 1, after + 2]);
    expect(reading.retries.length).toBeGreaterThan(0);
    expect(reading.retries.every(({ status }) => status === 0)).toBe(true);
  });

  test("stops waiting when its signal aborts, without an error", async () => {
    const newest = await last();
    const seen = Promise.withResolvers<void>();
    const reading = read(newest - 1, () => {
      seen.resolve();
      return false;
    });
    await seen.promise;
    reading.abort.abort();
    await reading.end;
    expect(reading.events.map(({ n }) => n)).toEqual([newest]);
    expect(reading.retries).toEqual([]);
  });

  test("refuses to wait for a number the log never reached, and another secret", async () => {
    const n = await last();
    const beyond = ocrch.events({ after: n + 1000, wait: 0 }).next();
    await expect(beyond).rejects.toThrow(`the log ends at ${n}, before ${n + 1000}`);
    const stranger = createOcrch({ url: server.url, secret: "guessed" }).events();
    await expect(stranger.next()).rejects.toMatchObject({ status: 401, text: "signature verification failed" });
  });
});

test("a payer who follows an order is told its end after the server came back", async () => {
  const { order_id } = await create("followed");
  const { url, signature } = await ocrch.signCheckoutUrl(`https://shop.example.com/pay?order_id=${order_id}`);
  const payer = createPayer({ url: server.url, signedUrl: url, signature });
  const statuses: string[] = [];
  const seen = Promise.withResolvers<void>();
  const end = payer.follow(order_id, {
    onStatus({ status }) {
      statuses.push(status);
      seen.resolve();
    },
  });
  await seen.promise;
  expect(await server.stop("SIGTERM")).toBe(0);
  server = await startAppliance({ folder });
  await ocrch.cancelOrder(order_id);
  expect(await end).toMatchObject({ order_id, status: "cancelled" });
  expect(statuses).toEqual(["pending", "cancelled"]);
});

describe("in other runtimes", () => {
  const scratch = mkdtempSync(join(tmpdir(), "ocrch-sdk-"));
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  async function bundle(entry: string): Promise<string> {
    const built = await Bun.build({ entrypoints: [entry], target: "browser", format: "esm" });
    return (await built.outputs[0]?.text()) ?? "";
  }

  const walked = (amount: string): Seen => ({
    created: "pending",
    metadata: { cart: ["ü", 1] },
    found: 1,
    amount,
    statuses: ["pending", "cancelled"],
    end: "cancelled",
    refused: [409, "order is not pending"],
    events: ["order_created", "deposit_opened", "order_status_changed"],
    admin: ["cancelled"],
    webhook: "paid",
    forged: "WebhookError: wrong signature",
  });
  const stage = (reference: string, amount: string) => ({
    url: server.url,
    secret,
    admin_secret: "test-admin-secret",
    reference,
    amount,
  });

  test("it walks from an order to its webhook in Bun", async () => {
    expect(await walk(stage("in-Bun", "12.50"))).toEqual(walked("12.50"));
  });

  test.skipIf(Bun.which("node") === null)("it walks the same way in Node.js", async () => {
    writeFileSync(join(scratch, "walk.mjs"), await bundle(join(root, "test/support/sdk-smoke.ts")));
    const script = `import { walk } from "./walk.mjs"; console.log(JSON.stringify(await walk(JSON.parse(process.argv[1]))));`;
    const node = Bun.spawn(
      ["node", "--input-type=module", "-e", script, JSON.stringify(stage("in-Node.js", "13.50"))],
      {
        cwd: scratch,
        stdout: "pipe",
        stderr: "pipe",
      },
    );
    const [out, err] = await Promise.all([new Response(node.stdout).text(), new Response(node.stderr).text()]);
    expect(err).toBe("");
    expect(JSON.parse(out)).toEqual(walked("13.50"));
    expect(await node.exited).toBe(0);
  });

  test("it is one file that imports nothing and names no runtime", async () => {
    const text = await bundle(join(root, "src/sdk/index.ts"));
    const imports = new Bun.Transpiler({ loader: "js" }).scanImports(text);
    expect(imports).toEqual([]);
    expect(text).not.toMatch(/node:|\b(?:Buffer|process|Bun|Deno|require)\b/);
    for (const name of ["createOcrch", "createPayer", "createAdmin", "verifyWebhook", "createInOrder", "OcrchError"]) {
      expect(text).toContain(name);
    }
  });

  test("each of its files imports from its own folder only", async () => {
    const files = [...new Bun.Glob("*.ts").scanSync(join(root, "src/sdk"))];
    expect(files).toContain("index.ts");
    for (const file of files) {
      const text = await Bun.file(join(root, "src/sdk", file)).text();
      const named = [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1] ?? "");
      expect(named.filter((name) => !/^\.\/[a-z-]+\.ts$/.test(name))).toEqual([]);
    }
  });
});
