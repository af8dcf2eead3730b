// What settlement makes of many transfers: pages generated beforehand go into the product's own ingest and confirm, on a
// real file. Most transfers are strangers; some pay the deposits that are open.

import { statSync } from "node:fs";
import type { BlockRef } from "../../src/domain/finality.ts";
import type { Transfer } from "../../src/domain/payment.ts";
import { watchesOf } from "../../src/storage/coverage.ts";
import { countOrders } from "../../src/storage/orders.ts";
import { transfersBetween, waitingPolicies, waitingTransfers } from "../../src/storage/transfers.ts";
import { realWorld, type World } from "../../src/world.ts";
import { megabytes, number, spread, table } from "./report.ts";
import { type Bench, openDeposits, openShop, payer, type Shop, wallet } from "./stand.ts";

const chain = "eth";
const page_transfers = 5000;
const block_transfers = 50;
/** As many as one poll looks at. */
const confirmed_at_once = 500;
const first_block = 20_000_000;
/** Equal transfers of one block that leaves the chain. */
const reorg_transfers = 5000;
/** Above every deposit. */
const stranger_units = 10n ** 12n;
/** What is left undone when this has passed is left out, and the report says so. */
const run_limit_ms = 90_000;

interface Part {
  transfers: number;
  seconds: number;
}

const hash = (prefix: string, n: number) => `0x${prefix}${n.toString(16).padStart(64 - prefix.length, "0")}`;

/** One page: every `total / deposits`-th transfer pays a deposit. */
function pageOf(shop: Shop, number: number, units: readonly bigint[], total: number, start_s: number) {
  const every = Math.floor(total / units.length);
  const block = (height: number): BlockRef => ({
    number: height,
    hash: hash("b", height),
    time: start_s + height - first_block,
  });
  const from = first_block + number * (page_transfers / block_transfers);
  const transfers = Array.from({ length: page_transfers }, (_, index): Transfer => {
    const n = number * page_transfers + index;
    return {
      chain,
      token: shop.settings.tokens[0]?.address ?? "",
      sender: payer,
      wallet,
      units: n % every === 0 ? (units[n / every] ?? stranger_units) : stranger_units + BigInt(n),
      tx_hash: hash("a", n),
      log_index: index % block_transfers,
      position: 0,
      block: block(from + Math.floor(index / block_transfers)),
    };
  });
  const end = block(from + page_transfers / block_transfers - 1);
  return { from, end, transfers };
}

/** The real world, and how long the longest of its deferred acts took: a transaction is one, from BEGIN to COMMIT. */
function timedWorld(): { world: World; longest_ms(): number } {
  const real = realWorld();
  let longest_ms = 0;
  const defer = (act: () => void) =>
    real.defer(() => {
      const started = performance.now();
      act();
      longest_ms = Math.max(longest_ms, performance.now() - started);
    });
  return { world: { ...real, defer }, longest_ms: () => longest_ms };
}

/** One block of equal transfers that all could pay one order leaves the chain. */
async function measureReorg(): Promise<string> {
  const { world, longest_ms } = timedWorld();
  const shop = await openShop({ world });
  const [units = stranger_units] = await openDeposits(shop, 1);
  const watches = shop.database.read((at) => watchesOf(at, chain)).map((watch) => watch.id);
  const start_s = Math.floor(Date.now() / 1000);
  const { from, end, transfers } = pageOf(shop, 0, [], reorg_transfers, start_s);
  const block = { number: from, hash: hash("b", from), time: start_s };
  const chainEnd = { head: end, final: end };
  const page = { chain, pass: "head", watches, from, end, provider: "bench", zero_value: 0, chainEnd } as const;
  const equal = transfers.map((one, log_index) => ({ ...one, units, block, log_index }));
  await shop.settlement.ingest({ ...page, transfers: equal, gone: [] });
  const gone = shop.database.read((at) => transfersBetween(at, chain, from, from)).map((row) => row.id);
  const started = performance.now();
  await shop.settlement.ingest({ ...page, transfers: [], gone });
  const seconds = (performance.now() - started) / 1000;
  await shop.close();
  return `- a block of ${number(gone.length)} equal transfers left the chain in ${number(seconds, 1)} s; longest transaction, also while they were taken in: ${number(longest_ms())} ms`;
}

export async function measureIngest(bench: Bench): Promise<string[]> {
  const total = bench.quick ? 10_000 : 30_000;
  const deposits = total / 10;
  const { world, longest_ms } = timedWorld();
  const shop = await openShop({ world });
  const units = await openDeposits(shop, deposits);
  const before = bytesOf(shop.path);
  const watches = shop.database.read((at) => watchesOf(at, chain)).map((watch) => watch.id);
  const start_s = Math.floor(Date.now() / 1000);
  const deadline = performance.now() + run_limit_ms;

  const ingested: Part[] = [];
  for (let number = 0; number < total / page_transfers && performance.now() < deadline; number++) {
    const { from, end, transfers } = pageOf(shop, number, units, total, start_s);
    const chainEnd = { head: end, final: end };
    const started = performance.now();
    await shop.settlement.ingest({
      ...{ chain, pass: "head", watches, from, end, provider: "bench", zero_value: 0, transfers, gone: [], chainEnd },
    });
    ingested.push({ transfers: transfers.length, seconds: (performance.now() - started) / 1000 });
  }
  const seen = bytesOf(shop.path);

  const confirmed: Part[] = [];
  while (performance.now() < deadline) {
    const started = performance.now();
    const rows = shop.database.read((at) =>
      waitingPolicies(at, chain).flatMap((finality) =>
        [true, false].flatMap((is_bound) =>
          waitingTransfers(at, chain, finality, is_bound, {
            after: null,
            through: { number: Number.MAX_SAFE_INTEGER, time: Number.MAX_SAFE_INTEGER },
            limit: confirmed_at_once,
          }),
        ),
      ),
    );
    if (rows.length === 0) break;
    await shop.settlement.confirm(
      chain,
      rows.map(({ id, block_hash }) => ({ id, block_hash, verdict: "confirmed" })),
    );
    confirmed.push({ transfers: rows.length, seconds: (performance.now() - started) / 1000 });
  }
  const paid = shop.database.read(countOrders).get("paid") ?? 0;
  const after = bytesOf(shop.path);
  await shop.close();

  const row = (what: string, parts: readonly Part[]) => {
    const transfers = parts.reduce((sum, part) => sum + part.transfers, 0);
    const seconds = parts.reduce((sum, part) => sum + part.seconds, 0);
    const rates = parts.map((part) => part.transfers / part.seconds);
    return [what, number(transfers), number(transfers / seconds), spread(rates), number(rates.at(-1) ?? 0)];
  };
  return [
    ...table(
      ["transfers", "how many", "per second", "per second of each part", "of the last part"],
      [row(`taken in, pages of ${number(page_transfers)}`, ingested), row("confirmed, 500 per poll", confirmed)],
    ),
    "",
    `- ${number(paid)} of ${number(deposits)} open deposits were paid; the other transfers are strangers and each queued a webhook`,
    `- longest transaction: ${number(longest_ms())} ms`,
    await measureReorg(),
    `- database: ${megabytes(before)} with the deposits, ${megabytes(seen)} with the transfers seen, ${megabytes(after)} when all is settled: ${number((after - before) / total)} bytes per transfer`,
    ...(performance.now() < deadline
      ? []
      : [`- stopped after ${run_limit_ms / 1000} s: not all transfers are in these figures`]),
  ];
}

/** The database file with its log. */
function bytesOf(path: string): number {
  return [path, `${path}-wal`].reduce((sum, name) => sum + (statSync(name, { throwIfNoEntry: false })?.size ?? 0), 0);
}
