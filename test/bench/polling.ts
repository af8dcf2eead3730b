// What reading one chain costs its provider: requests and calls of the product's own scan on a real node, counted in
// front of it, with one open deposit and with many. The clock is moved by hand, so that every poll counts.

import { createScan } from "../../src/workers/scan/scan.ts";
import { realWorld } from "../../src/world.ts";
import { startProviderProxy } from "../support/provider-proxy.ts";
import { silent } from "../support/temp-database.ts";
import { number, spread, table } from "./report.ts";
import { type Bench, openDeposits, openShop, startNode } from "./stand.ts";

/** Two final passes long; the same again before counting, so that everything is in its stride. */
const polls = 30;
/** Ethereum makes a block every 12 s and is polled every 4. */
const polls_per_block = 3;
const minute_ms = 60_000;

interface Counts {
  deposits: number;
  requests: number;
  calls: Map<string, number>;
  poll_ms: number[];
  period_ms: number;
}

export async function measurePolling(bench: Bench): Promise<string[]> {
  const many = bench.quick ? 1000 : 10_000;
  const { anvil, coin } = await startNode({ automine: false });
  const proxy = startProviderProxy(anvil.url);
  // Whole milliseconds: a period is met exactly or not at all.
  let ahead_ms = 0;
  const world = { ...realWorld(), now: () => Date.now() + ahead_ms, elapsed: () => ahead_ms };
  const shop = await openShop({ rpc_url: proxy.url, token: coin.address, world });
  const source = shop.source();
  const scan = createScan({ ...shop, source, telemetry: silent, clockAlarm() {} });

  let polled = 0;
  const poll = async () => {
    ahead_ms += shop.settings.poll_ms;
    await anvil.rpc("evm_increaseTime", [shop.settings.poll_ms / 1000]);
    if (polled % polls_per_block === 0) await anvil.rpc("evm_mine");
    polled += 1;
    const started = performance.now();
    await scan.poll();
    return performance.now() - started;
  };
  const count = async (deposits: number): Promise<Counts> => {
    for (let i = 0; i < polls; i++) await poll();
    proxy.reset();
    const poll_ms: number[] = [];
    for (let i = 0; i < polls; i++) poll_ms.push(await poll());
    const calls = new Map<string, number>();
    for (const { method } of proxy.seen()) calls.set(method, (calls.get(method) ?? 0) + 1);
    return { deposits, requests: proxy.requests(), calls, poll_ms, period_ms: scan.period_ms() };
  };

  await poll();
  await openDeposits(shop, 1);
  const counts = [await count(1)];
  await openDeposits(shop, many - 1, 1);
  counts.push(await count(many));
  await shop.close();
  await proxy.stop();
  await anvil.stop();

  const methods = [...new Set(counts.flatMap(({ calls }) => [...calls.keys()]))].sort();
  const per_minute = (n: number, { period_ms }: Counts) => number((n / polls) * (minute_ms / period_ms), 1);
  const rows = counts.map((one) => [
    `${number(one.deposits)} open`,
    per_minute(one.requests, one),
    per_minute(
      [...one.calls.values()].reduce((sum, n) => sum + n, 0),
      one,
    ),
    ...methods.map((method) => per_minute(one.calls.get(method) ?? 0, one)),
    spread(one.poll_ms, 1),
  ]);
  const [first, last] = counts.map(({ requests, calls, period_ms }) =>
    JSON.stringify([requests, [...calls].sort(), period_ms]),
  );
  return [
    ...table(["deposits, per minute", "requests", "calls", ...methods, "ms per poll"], rows),
    "",
    `- counted over ${polls} polls, a block every ${polls_per_block}, scaled to the default pace of a poll every ${shop.settings.poll_ms / 1000} s`,
    `- one deposit and ${number(many)} cost the provider ${first === last ? "the same, call for call" : "DIFFERENTLY in this run"}`,
  ];
}
