// The process that makes the load. Everything that can be done before the clock starts is: requests are whole byte
// strings by then, and an answer is looked at no further than its status and its length.

import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { type Job, merchant_secret, type Outcome } from "./load.ts";

const order_ids_max = 1000;
/** Linux counts a process's time in hundredths of a second. */
const ticks_per_second = 100;
const expected = { create: 201, status: 200 } as const;
const paths = { create: "/api/v1/service/orders", status: "/api/v1/service/orders/status" } as const;

interface Connection {
  rest: string;
  sent_at: number;
  waiting: boolean;
}

function signedRequests(job: Job): Buffer[] {
  const { host } = new URL(job.url);
  const timestamp = String(Math.floor(Date.now() / 1000));
  const count = job.kind === "status" ? Math.min(job.order_ids.length, job.requests_max) : job.requests_max;
  return Array.from({ length: count }, (_, index) => {
    const body =
      job.kind === "status"
        ? JSON.stringify({ order_id: job.order_ids[index] })
        : JSON.stringify({
            order_id: `${job.label}-${index}`,
            amount: `${1 + (index % 5000)}.25`,
            webhook_url: "https://shop.example.com/webhooks/ocrch",
          });
    const mac = createHmac("sha256", merchant_secret).update(`${timestamp}.${body}`).digest("base64");
    return Buffer.from(
      `POST ${paths[job.kind]} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n` +
        `Ocrch-Signature: ${timestamp}.${mac}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  });
}

async function run(job: Job): Promise<Outcome> {
  const requests = signedRequests(job);
  const errors: Record<string, number> = {};
  const waits_ms: number[] = [];
  const order_ids: string[] = [];
  const finished = Promise.withResolvers<void>();
  const again = job.kind === "status";
  let next = 0;
  let answers = 0;
  let open = 0;
  let deadline = 0;
  let last = 0;

  const fail = (what: string) => {
    errors[what] = (errors[what] ?? 0) + 1;
  };

  /** Sends the next request, or retires the connection. */
  function send(socket: Bun.Socket<Connection>): void {
    const now = performance.now();
    if (again && next === requests.length) next = 0;
    const request = requests[next];
    if (request === undefined || now >= deadline) {
      open -= 1;
      socket.data.waiting = false;
      if (open === 0) finished.resolve();
      return;
    }
    next += 1;
    socket.data.sent_at = now;
    socket.data.waiting = true;
    if (socket.write(request) !== request.length) fail("request not taken whole");
  }

  function take(socket: Bun.Socket<Connection>, chunk: Buffer): void {
    const text = socket.data.rest + chunk.toString("latin1");
    const head_end = text.indexOf("\r\n\r\n");
    const length = head_end < 0 ? null : /content-length: (\d+)/i.exec(text.slice(0, head_end))?.[1];
    if (length == null || text.length < head_end + 4 + Number(length)) {
      socket.data.rest = text;
      return;
    }
    socket.data.rest = "";
    last = performance.now();
    waits_ms.push(last - socket.data.sent_at);
    const status = Number(text.slice(9, 12));
    if (status === expected[job.kind]) {
      answers += 1;
      if (order_ids.length < order_ids_max && job.kind === "create") {
        order_ids.push((JSON.parse(text.slice(head_end + 4)) as { order_id: string }).order_id);
      }
    } else fail(String(status));
    send(socket);
  }

  function lost(socket: Bun.Socket<Connection>): void {
    if (!socket.data.waiting) return;
    socket.data.waiting = false;
    fail("connection lost");
    open -= 1;
    if (open === 0) finished.resolve();
  }

  const { hostname, port } = new URL(job.url);
  const sockets = await Promise.all(
    Array.from({ length: job.connections }, () =>
      Bun.connect<Connection>({
        hostname,
        port: Number(port),
        data: { rest: "", sent_at: 0, waiting: false },
        socket: { data: take, close: lost, error: lost },
      }),
    ),
  );
  open = sockets.length;
  const server_before = processorSeconds(job.pid);
  const client_before = process.cpuUsage();
  const started = performance.now();
  deadline = started + job.run_ms;
  last = started;
  for (const socket of sockets) send(socket);
  await finished.promise;
  const seconds = (last - started) / 1000;
  const { user, system } = process.cpuUsage(client_before);
  const server_after = processorSeconds(job.pid);
  for (const socket of sockets) socket.end();
  waits_ms.sort((a, b) => a - b);
  return {
    answers,
    per_second: seconds > 0 ? answers / seconds : 0,
    errors,
    p99_ms: waits_ms[Math.floor(waits_ms.length * 0.99)] ?? 0,
    client_cores: (user + system) / 1e6 / seconds,
    server_cores: server_before === null || server_after === null ? null : (server_after - server_before) / seconds,
    order_ids,
  };
}

/** Processor time of a process so far, or null where there is no /proc. */
function processorSeconds(pid: number): number | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
    return (Number(fields[11]) + Number(fields[12])) / ticks_per_second;
  } catch {
    return null;
  }
}

process.on("message", (job: Job) => {
  run(job).then(
    (outcome) => process.send?.(outcome),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.on("disconnect", () => process.exit(0));
