// A real chain on this machine: starts anvil's platform binary itself (killing the npm wrapper would orphan the
// node), learns its port from its output and ends it by its process id.

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface AnvilOptions {
  /** Any chain's id: anvil can play all of them. */
  chainId?: number;
  /** Seconds between blocks; without it a block is mined for each transaction. */
  blockTime?: number;
  /** `safe` is this many blocks behind the head, `finalized` twice as many. */
  slotsInAnEpoch?: number;
  /** Time of the first block, seconds since 1970. */
  timestamp?: number;
  /** 0: any free port. */
  port?: number;
  /** `false`: blocks come only from `evm_mine` and `anvil_mine`. */
  automine?: boolean;
}

export type Mining = "auto" | "interval" | "manual";

export interface Anvil {
  url: string;
  port: number;
  pid: number;
  mining: Mining;
  /** One JSON-RPC call. Throws with the node's words when it refuses. */
  rpc(method: string, params?: readonly unknown[]): Promise<unknown>;
  stop(): Promise<void>;
}

const start_timeout_ms = 120_000;
const stop_patience_ms = 2_000;

export async function startAnvil(options: AnvilOptions = {}): Promise<Anvil> {
  const mining: Mining = options.blockTime !== undefined ? "interval" : options.automine === false ? "manual" : "auto";
  // Anvil writes the states of old blocks below its home and leaves them there: gigabytes in a day of tests.
  const home = mkdtempSync(join(tmpdir(), "ocrch-anvil-"));
  const child = Bun.spawn([anvilBinary(), ...flags(options, mining)], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
    env: { ...process.env, HOME: home },
  });
  const kill = () => {
    child.kill("SIGKILL");
    rmSync(home, { recursive: true, force: true });
  };
  process.on("exit", kill);
  const port = await listeningPort(child.stdout);
  if (port === null) {
    kill();
    throw new Error("anvil did not start");
  }
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    port,
    pid: child.pid,
    mining,
    rpc: (method, params = []) => call(url, method, params),
    async stop() {
      process.off("exit", kill);
      child.kill("SIGTERM");
      const patience = setTimeout(kill, stop_patience_ms);
      await child.exited;
      clearTimeout(patience);
      rmSync(home, { recursive: true, force: true });
    },
  };
}

function flags(options: AnvilOptions, mining: Mining): string[] {
  const given: [string, number | undefined][] = [
    ["--port", options.port ?? 0],
    ["--chain-id", options.chainId],
    ["--block-time", options.blockTime],
    ["--slots-in-an-epoch", options.slotsInAnEpoch],
    ["--timestamp", options.timestamp],
  ];
  const list = given.flatMap(([flag, value]) => (value === undefined ? [] : [flag, String(value)]));
  return mining === "manual" ? [...list, "--no-mining"] : list;
}

/** Where npm put the node for this machine. */
function anvilBinary(): string {
  const arch = process.arch === "arm64" ? "arm64" : "amd64";
  const name = process.platform === "win32" ? "anvil.exe" : "anvil";
  const path = join(import.meta.dir, `../../node_modules/@foundry-rs/anvil-${process.platform}-${arch}/bin/${name}`);
  if (!existsSync(path)) throw new Error(`there is no anvil for this machine at ${path}`);
  return path;
}

/** Reads the port from the banner, then keeps draining the output so that the node never blocks on it. */
async function listeningPort(output: ReadableStream<Uint8Array>): Promise<number | null> {
  const { promise, resolve } = Promise.withResolvers<number | null>();
  const patience = setTimeout(() => resolve(null), start_timeout_ms);
  const drain = async () => {
    const decoder = new TextDecoder();
    let banner = "";
    let found = false;
    for await (const chunk of output) {
      if (found) continue;
      banner += decoder.decode(chunk, { stream: true });
      const port = /Listening on [^\s]*:(\d+)\s/.exec(banner)?.[1];
      if (port !== undefined) {
        found = true;
        resolve(Number(port));
      }
    }
    resolve(null);
  };
  drain().catch(() => resolve(null));
  const port = await promise;
  clearTimeout(patience);
  return port;
}

async function call(url: string, method: string, params: readonly unknown[]): Promise<unknown> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const answer = (await response.json()) as { result?: unknown; error?: { message: string } };
  if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
  return answer.result;
}
