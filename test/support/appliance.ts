// The server as a process of its own, from source or compiled: started on a temporary folder, killed and started again.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dir, "../..");
const ready_timeout_ms = 120_000;

export interface Folder {
  path: string;
  config: string;
  database: string;
  remove(): void;
}

/** A temporary folder with a configuration file. */
export function createFolder(toml: string): Folder {
  const path = mkdtempSync(join(tmpdir(), "ocrch-"));
  const config = join(path, "ocrch-config.toml");
  writeFileSync(config, toml, { mode: 0o600 });
  return {
    path,
    config,
    database: join(path, "ocrch.db"),
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** Settings without any key of an index. */
export const no_keys = { etherscan: null, tronscan: null, trongrid: null, blockscout: null, routescan: null };

export interface TestConfig {
  port?: number;
  unknown_transfer_webhook_url?: string;
  lifetime?: string;
  late_window?: string;
  api_keys?: Record<string, string>;
  /** Chain to the node it is read from and the contracts that stand for its coins. */
  chains: Record<string, ChainConfig>;
}

export interface ChainConfig {
  rpc_urls: readonly string[];
  wallets: readonly string[];
  tokens: Record<string, { address: string; decimals: number }>;
  chain_id?: number;
  explorer?: string;
  explorer_url?: string;
  /** As in the file: a number of blocks, or TOML. */
  finality?: string;
  /** The same. */
  verify?: string;
  requests_per_day?: number;
  poll?: string;
  idle_poll?: string;
}

/** The configuration file of a test: one merchant, the chains given, everything else at its default. */
export function configText(config: TestConfig): string {
  const lines = [
    `[server]\nlisten = "127.0.0.1:${config.port ?? 0}"`,
    `[admin]\nsecret = "test-admin-secret"`,
    `[merchant]\nname = "Test shop"\nsecret = "test-merchant-secret"\nallowed_origins = ["https://shop.example.com"]`,
    config.unknown_transfer_webhook_url
      ? `unknown_transfer_webhook_url = "${config.unknown_transfer_webhook_url}"`
      : "",
    `[orders]\nlifetime = "${config.lifetime ?? "60m"}"\nlate_window = "${config.late_window ?? "24h"}"`,
    "[webhooks]\nallow_private_targets = true",
    ...(config.api_keys === undefined ? [] : ["[api_keys]"]),
    ...Object.entries(config.api_keys ?? {}).map(([name, key]) => `${name} = "${key}"`),
  ];
  for (const [id, chain] of Object.entries(config.chains)) {
    const coins = Object.keys(chain.tokens);
    for (const wallet of chain.wallets) {
      lines.push(`[[wallets]]\nblockchain = "${id}"\naddress = "${wallet}"\nenabled_coins = ${JSON.stringify(coins)}`);
    }
  }
  for (const [id, chain] of Object.entries(config.chains)) {
    lines.push(`[chains.${id}]\nrpc_urls = ${JSON.stringify(chain.rpc_urls)}`);
    lines.push(`finality = ${chain.finality ?? "2"}`);
    lines.push(`poll = "${chain.poll ?? "100ms"}"\nidle_poll = "${chain.idle_poll ?? "200ms"}"`);
    if (chain.requests_per_day !== undefined) lines.push(`requests_per_day = ${chain.requests_per_day}`);
    if (chain.verify !== undefined) lines.push(`verify = ${chain.verify}`);
    if (chain.explorer !== undefined) lines.push(`explorer = "${chain.explorer}"`);
    if (chain.explorer_url !== undefined) lines.push(`explorer_url = "${chain.explorer_url}"`);
    if (chain.chain_id !== undefined) lines.push(`chain_id = ${chain.chain_id}`);
    for (const [coin, token] of Object.entries(chain.tokens)) {
      lines.push(`[chains.${id}.tokens.${coin}]\naddress = "${token.address}"\ndecimals = ${token.decimals}`);
    }
  }
  return `${lines.filter((line) => line !== "").join("\n")}\n`;
}

export interface Appliance {
  url: string;
  pid: number;
  /** Lines of its log so far. */
  log: string[];
  /** Resolves with its exit status, or the signal that ended it. */
  exited: Promise<number | string>;
  /** Sends a signal and resolves once it is gone. */
  stop(signal?: "SIGTERM" | "SIGKILL" | "SIGINT"): Promise<number | string>;
}

export interface Start {
  folder: Folder;
  /** What to run instead of `bun src/main.ts`, e.g. the compiled executable. */
  command?: readonly string[];
  args?: readonly string[];
  env?: Record<string, string>;
}

const { TEST_PROGRAM } = process.env;
/** The command line from source. The runner compiles it once, because half of a command's CPU time is reading source. */
export const fromSource: readonly string[] =
  TEST_PROGRAM === undefined ? [process.execPath, join(root, "src/main.ts")] : [TEST_PROGRAM];

/** Starts `serve` and resolves when it says where it listens. Throws with its log when it ends before. */
export async function startAppliance(start: Start): Promise<Appliance> {
  const command = [...(start.command ?? fromSource), "serve", "-c", start.folder.config, ...(start.args ?? [])];
  const child = Bun.spawn(command, {
    cwd: start.folder.path,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, ...start.env },
  });
  const kill = () => child.kill("SIGKILL");
  process.on("exit", kill);
  const log: string[] = [];
  void collect(child.stderr, (line) => log.push(line));
  const exited = child.exited.then((status) => {
    process.off("exit", kill);
    return child.signalCode ?? status;
  });

  const ready = Promise.withResolvers<string>();
  void collect(child.stdout, (line) => {
    const url = / ready on (http:\S+)/.exec(line)?.[1];
    if (url !== undefined) ready.resolve(url);
  });
  const patience = setTimeout(() => ready.reject(new Error(`not ready in time:\n${log.join("\n")}`)), ready_timeout_ms);
  void exited.then((status) => ready.reject(new Error(`ended with ${status}:\n${log.join("\n")}`)));
  try {
    const url = await ready.promise;
    return {
      url,
      pid: child.pid,
      log,
      exited,
      async stop(signal = "SIGTERM") {
        child.kill(signal);
        return exited;
      },
    };
  } catch (error) {
    kill();
    throw error;
  } finally {
    clearTimeout(patience);
  }
}

const reload_timeout_ms = 120_000;

/** Sends SIGHUP and resolves with the lines the log has gained once the reload is done or refused. */
export async function reloaded({ pid, log }: Appliance): Promise<string[]> {
  const before = log.length;
  const deadline = performance.now() + reload_timeout_ms;
  process.kill(pid, "SIGHUP");
  for (let last = 0; ; ) {
    const said = log.slice(before).filter((line) => / config_\w+ /.test(line));
    // The lines of a refusal are written in one go, but may arrive in two.
    if (said.some((line) => / config_(not_)?reloaded /.test(line)) && said.length === last) return said;
    last = said.length;
    if (performance.now() > deadline) throw new Error(`not reloaded in time:\n${log.join("\n")}`);
    await Bun.sleep(10);
  }
}

async function collect(stream: ReadableStream<Uint8Array>, take: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) take(line);
  }
  if (rest !== "") take(rest);
}
