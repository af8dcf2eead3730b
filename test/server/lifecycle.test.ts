// slow
// The life of a served process around its work: the secret in its file, signals while it starts, a log nobody reads any
// more, and an end that loses nothing while others hang.

import { Database as Sqlite } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { startApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config/load.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld } from "../../src/world.ts";
import {
  type Appliance,
  configText,
  createFolder,
  type Folder,
  fromSource,
  reloaded,
  startAppliance,
} from "../support/appliance.ts";
import { createShop, type Merchant, startMerchant } from "../support/merchant.ts";
import { startProviderProxy } from "../support/provider-proxy.ts";

const dead_node = "http://127.0.0.1:9";
const stop_limit_ms = 10_000;
const patience_ms = 120_000;
const is_root = process.getuid?.() === 0;
const on_linux = process.platform === "linux";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

function folderWith(toml: string): Folder {
  const folder = createFolder(toml);
  cleanups.push(folder.remove);
  return folder;
}

async function started(start: Parameters<typeof startAppliance>[0]): Promise<Appliance> {
  const appliance = await startAppliance(start);
  cleanups.push(() => appliance.stop("SIGKILL"));
  return appliance;
}

function merchant(): Merchant {
  const one = startMerchant();
  cleanups.push(one.stop);
  return one;
}

const toml = (rpc_url = dead_node, port?: number) =>
  configText({
    ...(port === undefined ? {} : { port }),
    chains: {
      eth: {
        rpc_urls: [rpc_url],
        wallets: ["0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"],
        tokens: { USDT: { address: "0xdAC17F958D2ee523a2206206994597C13D831ec7", decimals: 6 } },
      },
    },
  });

const lists = async (url: string, secret: string) =>
  (await fetch(`${url}/api/v1/admin/orders`, { headers: { "Ocrch-Admin-Authorization": secret } })).status;

describe("an admin secret in plain text", () => {
  test("is replaced by its hash in place: comments, order, mode and owner stay, and it is written once", async () => {
    const text = `# mine\n${toml().replace('"test-admin-secret"', "'test-admin-secret'   # opens everything")}# the end`;
    const folder = folderWith(text);
    chmodSync(folder.config, 0o640);
    if (is_root) chownSync(folder.config, 12_345, 12_346);
    const before = statSync(folder.config);
    const ocrch = await started({ folder });
    expect([await lists(ocrch.url, "test-admin-secret"), await lists(ocrch.url, "another")]).toEqual([200, 401]);

    const now = readFileSync(folder.config, "utf8");
    const hash = /"(\$argon2id\$[^"]+)"/.exec(now)?.[1] ?? "";
    expect(now).toBe(text.replace("'test-admin-secret'", `"${hash}"`));
    const { mode, uid, gid } = statSync(folder.config);
    expect({ mode, uid, gid }).toEqual({ mode: before.mode, uid: before.uid, gid: before.gid });
    expect(existsSync(`${folder.config}.new`)).toBe(false);

    const written = statSync(folder.config);
    await reloaded(ocrch);
    expect(await ocrch.stop()).toBe(0);
    const again = await started({ folder });
    expect(await lists(again.url, "test-admin-secret")).toBe(200);
    expect(statSync(folder.config)).toMatchObject({ ino: written.ino, mtimeMs: written.mtimeMs });
    expect([...ocrch.log, ...again.log].join("\n")).not.toContain("test-admin-secret");
  });

  test.skipIf(!on_linux)(
    "in a file that cannot be replaced still opens, with a warning, also after a reload",
    async () => {
      // Root may write anywhere; but nobody can put a file beside this one.
      const folder = folderWith(toml());
      const before = readFileSync(folder.config, "utf8");
      const ocrch = await started({
        folder: { ...folder, config: "/proc/self/fd/0" },
        command: ["/bin/sh", "-c", `exec "$0" "$@" < '${folder.config}'`, ...fromSource],
        args: ["--database", folder.database],
      });
      expect(await lists(ocrch.url, "test-admin-secret")).toBe(200);
      expect(ocrch.log.join("\n")).toContain(
        "admin.secret: stays in plain text, its hash is kept in memory (the file cannot be written",
      );
      writeFileSync(folder.config, before.replace("test-admin-secret", "next-admin-secret"));
      const said = await reloaded(ocrch);
      expect(said.at(-1)).toContain(" info config_reloaded ");
      expect([await lists(ocrch.url, "test-admin-secret"), await lists(ocrch.url, "next-admin-secret")]).toEqual([
        401, 200,
      ]);
      expect(readFileSync(folder.config, "utf8")).toBe(before.replace("test-admin-secret", "next-admin-secret"));
    },
  );

  test("that was verified is verified against its hash again after a reload", async () => {
    const folder = folderWith(toml());
    const real = realWorld();
    let verifications = 0;
    const passwords = {
      ...real.passwords,
      verify: (secret: string, hash: string) => {
        verifications += 1;
        return real.passwords.verify(secret, hash);
      },
    };
    const world = { ...real, passwords, warn: () => {} };
    const { config } = await loadConfig(world, folder.config);
    const app = await startApp({ world, telemetry: createTelemetry(world), config, version: "1", migrateFirst: false });
    cleanups.push(app.stop);
    for (const expected of [1, 1, 1]) {
      expect([await lists(app.url, "test-admin-secret"), verifications]).toEqual([200, expected]);
    }
    await app.reload((await loadConfig(world, folder.config)).config);
    for (const expected of [2, 2]) {
      expect([await lists(app.url, "test-admin-secret"), verifications]).toEqual([200, expected]);
    }
  });
});

describe("a signal during the start", () => {
  /** A start that waits for its node, and the moment it does. */
  function slowStart() {
    const asked = Promise.withResolvers<void>();
    const proxy = startProviderProxy(null);
    proxy.behave({
      request: () => {
        asked.resolve();
        return new Promise(() => {});
      },
    });
    cleanups.push(proxy.stop);
    const folder = folderWith(toml(proxy.url));
    const child = Promise.withResolvers<number>();
    const pid_file = join(folder.path, "pid");
    const command = ["/bin/sh", "-c", `echo $$ > '${pid_file}'; exec "$0" "$@"`, ...fromSource];
    const running = started({ folder, command });
    void asked.promise.then(() => child.resolve(Number(readFileSync(pid_file, "utf8"))));
    return { folder, running, waiting: child.promise };
  }

  test("SIGHUP waits until it has started, and then reads the file of now", async () => {
    const { folder, running, waiting } = slowStart();
    const pid = await waiting;
    writeFileSync(folder.config, readFileSync(folder.config, "utf8").replace("test-merchant-secret", "next-secret"));
    for (let count = 0; count < 3; count++) process.kill(pid, "SIGHUP");
    const ocrch = await running;
    const reloads = () => ocrch.log.filter((line) => line.includes("config_reloaded")).length;
    const deadline = performance.now() + patience_ms;
    while (reloads() === 0 && performance.now() < deadline) await Bun.sleep(10);
    const create = (secret: string) =>
      createShop(ocrch.url, secret).service("/orders", {
        order_id: "o",
        amount: "1",
        webhook_url: "http://127.0.0.1:1/",
      });
    expect([(await create("test-merchant-secret")).status, (await create("next-secret")).status]).toEqual([401, 201]);
  }, 300_000);

  test("SIGTERM ends it as soon as it has started, with status 0", async () => {
    const { running, waiting } = slowStart();
    const pid = await waiting;
    const asked_at = performance.now();
    process.kill(pid, "SIGTERM");
    expect(await (await running).exited).toBe(0);
    expect(performance.now() - asked_at).toBeLessThan(stop_limit_ms);
  }, 300_000);
});

describe("a log that nobody reads any more", () => {
  test.skipIf(process.platform === "win32")(
    "takes nothing with it: requests, reloads and the end go on",
    async () => {
      const port = await freePort();
      const folder = folderWith(toml(dead_node, port));
      const pipe = join(folder.path, "log");
      // The reader leaves after the first byte; every line after that meets a closed pipe.
      const script = `mkfifo '${pipe}'; head -c 1 '${pipe}' > /dev/null & exec "$0" "$@" > '${pipe}' 2>&1`;
      const child = Bun.spawn(["/bin/sh", "-c", script, ...fromSource, "serve", "-c", folder.config], {
        stdin: "ignore",
        stdout: "ignore",
        stderr: "ignore",
      });
      cleanups.push(() => child.kill("SIGKILL"));
      const url = `http://127.0.0.1:${port}`;
      const healthy = () =>
        fetch(`${url}/health`).then(
          (answer) => answer.status === 200,
          () => false,
        );
      const until = async (holds: () => Promise<boolean>) => {
        const deadline = performance.now() + patience_ms;
        while (!(await holds())) {
          if (performance.now() > deadline || child.exitCode !== null) throw new Error(`ended: ${child.exitCode}`);
          await Bun.sleep(20);
        }
      };
      await until(healthy);
      for (const secret of ["second-admin-secret", "third-admin-secret"]) {
        writeFileSync(folder.config, toml(dead_node, port).replace("test-admin-secret", secret));
        child.kill("SIGHUP");
        await until(async () => (await lists(url, secret)) === 200);
      }
      expect(child.exitCode).toBe(null);
      child.kill("SIGTERM");
      expect(await child.exited).toBe(0);
      expect(child.signalCode).toBe(null);
    },
    300_000,
  );
});

describe("SIGTERM", () => {
  test("ends it within ten seconds whatever hangs, closes sockets with 1001, and loses nothing", async () => {
    const shop_server = merchant();
    shop_server.answerWith(() => new Promise(() => {}));
    const folder = folderWith(toml());
    const ocrch = await started({ folder });
    const shop = createShop(ocrch.url);
    const create = (order_id: string) =>
      shop.createOrder({ order_id, amount: "1.00", webhook_url: shop_server.webhook_url });
    const [pending, told] = [await create("pending"), await create("told")];
    await shop.cancel(told.order_id);
    const hanging = await shop_server.awaitWebhook(() => true);
    const opened = Promise.withResolvers<void>();
    const socket = new WebSocket(`${ocrch.url.replace("http", "ws")}/api/v1/user/orders/${pending.order_id}/ws`, {
      headers: shop.signedHeaders(pending.order_id),
    } as never);
    const closed = new Promise<number>((resolve) => {
      socket.onmessage = () => opened.resolve();
      socket.onclose = (event) => resolve(event.code);
    });
    await opened.promise;
    const silent = await rawConnection(ocrch, "");
    const half = await rawConnection(
      ocrch,
      "POST /api/v1/service/orders HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n" + "Ocrch-Signature: 1.AAAA\r\n\r\n{",
    );

    const asked_at = performance.now();
    process.kill(ocrch.pid, "SIGTERM");
    expect(await closed).toBe(1001);
    expect(await ocrch.exited).toBe(0);
    expect(performance.now() - asked_at).toBeLessThan(stop_limit_ms);
    for (const one of [silent, half]) one.destroy();

    const raw = new Sqlite(folder.database, { readonly: true });
    expect(raw.query("PRAGMA integrity_check").all()).toEqual([{ integrity_check: "ok" }]);
    expect(raw.query("SELECT status FROM orders ORDER BY seq").all()).toEqual([
      { status: "pending" },
      { status: "cancelled" },
    ]);
    raw.close();
    shop_server.answerWith(() => 200);
    await started({ folder });
    const again = await shop_server.awaitWebhook((one) => one !== hanging);
    expect([again.id, again.body, again.verified]).toEqual([hanging.id, hanging.body, true]);
  }, 300_000);

  test("or SIGINT ends an idle server at once, whatever connections are kept open", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const ocrch = await started({ folder: folderWith(toml()) });
      await fetch(`${ocrch.url}/health`);
      const silent = await rawConnection(ocrch, "");
      expect(await ocrch.stop(signal)).toBe(0);
      expect(ocrch.log.at(-1)).toContain(" info stopped");
      silent.destroy();
    }
  }, 300_000);
});

/** A connection that says no more than `text`. */
function rawConnection({ url }: Appliance, text: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), "127.0.0.1", () => socket.write(text, () => resolve(socket)));
    socket.on("error", reject);
  });
}

async function freePort(): Promise<number> {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("") });
  const { port } = server;
  await server.stop(true);
  if (port === undefined) throw new Error("no port is free");
  return port;
}
