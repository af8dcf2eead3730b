// The client's side of the load: a process of its own that keeps connections open and sends requests signed beforehand.
// What it is asked to do and what it says it saw.

import { join } from "node:path";

/** The secret of every configuration that tests write. */
export const merchant_secret = "test-merchant-secret";

/** One run: so many connections, each with one request under way at a time. */
export interface Job {
  /** `http://host:port`. */
  url: string;
  /** The process that answers, whose processor time is measured. */
  pid: number;
  kind: "create" | "status";
  connections: number;
  run_ms: number;
  /** Requests signed before the clock starts; a run that has sent them all ends early. */
  requests_max: number;
  /** Makes the orders of this run differ from those of every other. */
  label: string;
  /** What status requests ask for. */
  order_ids: readonly string[];
}

export interface Outcome {
  /** Answers with the expected status. */
  answers: number;
  per_second: number;
  /** Anything else, by status or by what went wrong. */
  errors: Record<string, number>;
  p99_ms: number;
  /** Processor time over time passed: 1 is one core fully used. Null where the system does not tell. */
  client_cores: number;
  server_cores: number | null;
  /** Some of the orders that were created. */
  order_ids: string[];
}

export interface Client {
  run(job: Job): Promise<Outcome>;
  stop(): Promise<void>;
}

/** Opening connections, signing, and the answers that are still under way when time is up. */
const run_margin_ms = 15_000;

/** Starts the client's process. */
export function startClient(): Client {
  let waiting: PromiseWithResolvers<Outcome> | null = null;
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "client.ts")], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "inherit",
    ipc: (message: Outcome) => waiting?.resolve(message),
  });
  const kill = () => child.kill("SIGKILL");
  process.on("exit", kill);
  void child.exited.then((status) => waiting?.reject(new Error(`the client ended with ${status}`)));
  return {
    async run(job) {
      waiting = Promise.withResolvers<Outcome>();
      const { promise, reject } = waiting;
      const patience = setTimeout(() => reject(new Error("the client does not finish")), job.run_ms + run_margin_ms);
      child.send(job);
      try {
        return await promise;
      } finally {
        clearTimeout(patience);
      }
    },
    async stop() {
      process.off("exit", kill);
      child.kill();
      await child.exited;
    },
  };
}
