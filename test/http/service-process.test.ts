// A long poll on a whole server: another process commits and the poll answers, the server is told to stop and the poll
// answers first.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { type Appliance, configText, createFolder, fromSource, startAppliance } from "../support/appliance.ts";

const wallet = "0x52908400098527886E0F7030069857D2E4169EE7";
const token = "0x8617E340B3D01FA5F11F306F4090FD50E238070D";
const polls_max = 64;
const nowhere = "http://127.0.0.1:1";
const process_timeout_ms = 300_000;

const folder = createFolder(
  configText({
    chains: {
      eth: { rpc_urls: [nowhere], wallets: [wallet], tokens: { USDT: { address: token, decimals: 6 } } },
    },
  }),
);
let server: Appliance;
beforeAll(async () => {
  server = await startAppliance({ folder });
}, process_timeout_ms);
afterAll(async () => {
  await server.stop("SIGKILL");
  folder.remove();
});

async function service<T>(path: string, body: object): Promise<{ status: number; body: T }> {
  const text = JSON.stringify(body);
  const timestamp = Math.floor(Date.now() / 1000);
  const mac = createHmac("sha256", "test-merchant-secret").update(`${timestamp}.${text}`).digest("base64");
  const answer = await fetch(`${server.url}/api/v1/service/${path}`, {
    method: "POST",
    headers: { "Ocrch-Signature": `${timestamp}.${mac}` },
    body: text,
  });
  return { status: answer.status, body: (answer.ok ? await answer.json() : await answer.text()) as T };
}

interface Page {
  events: { n: number; type: string; order_id: string; data: { status?: string } }[];
  last: number;
}

test(
  "hears of what the command line commits beside it, and ends when the server is told to stop",
  async () => {
    const order = { order_id: "ref", amount: "1", webhook_url: nowhere };
    const { order_id } = (await service<{ order_id: string }>("orders", order)).body;
    const { last } = (await service<Page>("events", { after: 0 })).body;
    expect(last).toBe(1);

    const news = service<Page>("events", { after: last, wait: 30 });
    const command = [...fromSource, "mark-paid", order_id, "-c", folder.config];
    const beside = Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "inherit" });
    expect(await beside.exited).toBe(0);
    const { status, body } = await news;
    expect([status, body.last]).toEqual([200, 2]);
    expect(body.events.map(({ n, type, data }) => [n, type, data.status])).toEqual([
      [2, "order_status_changed", "paid"],
    ]);

    // One more than there is room for: once one is refused, all the others are known to wait.
    const polls = Array.from({ length: polls_max + 1 }, () => service<Page>("events", { after: 2, wait: 30 }));
    expect((await Promise.race(polls)).status).toBe(429);
    const gone = server.stop("SIGTERM");
    const answers = (await Promise.all(polls)).filter((answer) => answer.status !== 429);
    expect(answers).toEqual(Array(polls_max).fill({ status: 200, body: { events: [], last: 2 } }));
    expect(await gone).toBe(0);
  },
  process_timeout_ms,
);
