// Pages of transfers into rows: cut at block borders, coverage with every part, nothing twice.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type Config, liveConfig } from "../../src/config/config.ts";
import { parseConfig } from "../../src/config/parse.ts";
import type { Transfer } from "../../src/domain/payment.ts";
import { createPaymentRules } from "../../src/services/payment-rules.ts";
import { type ScannedRange, sliceTransfers } from "../../src/services/scanned-range.ts";
import { createSettlement } from "../../src/services/settlement.ts";
import { createWatching } from "../../src/services/watching.ts";
import { allocate } from "../../src/storage/allocations.ts";
import { coveredBlocks, watchesOf } from "../../src/storage/coverage.ts";
import { insertOrder } from "../../src/storage/orders.ts";
import { knownPositions } from "../../src/storage/transfers.ts";
import { realWorld } from "../../src/world.ts";
import { configText } from "../support/appliance.ts";
import { balances } from "../support/balances.ts";
import { silent, type TempDatabase, tempDatabase } from "../support/temp-database.ts";

const wallet = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const token = "0xdAC17F958D2ee523a2206206994597C13D831ec7";
const block = (number: number) => ({ number, hash: `0xb${number}`, time: 1_790_000_000 + number });

function transfer(index: number, height: number, units = 1_000_000n): Transfer {
  return {
    chain: "eth",
    token,
    sender: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    wallet,
    units,
    tx_hash: `0x${index}`,
    log_index: index,
    position: 0,
    block: block(height),
  };
}

describe("a page", () => {
  const cuts: [what: string, perBlock: number[], parts: [transfers: number, end: number][]][] = [
    ["without transfers is one part", [], [[0, 99]]],
    ["that is small is one part", [3, 4], [[7, 99]]],
    ["of exactly one slice is one part", [25, 25], [[50, 99]]],
    [
      "of more is cut between blocks",
      [30, 30, 30],
      [
        [30, 1],
        [30, 2],
        [30, 99],
      ],
    ],
    [
      "packs blocks together while they fit",
      [20, 20, 20, 20],
      [
        [40, 2],
        [40, 99],
      ],
    ],
    [
      "never cuts a block, however large",
      [1200, 10],
      [
        [1200, 1],
        [10, 99],
      ],
    ],
  ];
  test.each(cuts)("%s", (_what, perBlock, parts) => {
    let index = 0;
    const transfers = perBlock.flatMap((count, at) => Array.from({ length: count }, () => transfer(index++, at + 1)));
    const cut = sliceTransfers({ transfers, end: block(99) });
    expect(cut.map((part) => [part.transfers.length, part.end.number])).toEqual(parts as number[][]);
    expect(cut.flatMap((part) => part.transfers)).toEqual(transfers);
  });
});

describe("ingest", () => {
  let temp: TempDatabase;
  let config: Config;
  let commits = 0;
  let dieAt = Number.POSITIVE_INFINITY;
  beforeEach(async () => {
    commits = 0;
    dieAt = Number.POSITIVE_INFINITY;
    const world = {
      ...realWorld(),
      point(name: string) {
        if (name !== "commit.before") return;
        commits += 1;
        if (commits === dieAt) throw new Error("the power went");
      },
      // A failed commit ends the process; here the test goes on as the next process would.
      exit: (() => undefined) as never,
    };
    temp = tempDatabase({ world });
    const usdt = { USDT: { address: token, decimals: 6 } };
    const { draft } = parseConfig(
      configText({ chains: { eth: { rpc_urls: ["http://127.0.0.1:9"], wallets: [wallet], tokens: usdt } } }),
      "/tmp/ocrch.toml",
    );
    if (draft === null) throw new Error("bad configuration");
    config = { ...draft, admin: { secret_hash: "" } };
    await watching().sync(config);
    await watching().begin(ids(), block(1));
  });
  afterEach(() => temp.close());

  const watching = () => createWatching({ database: temp.database });

  const ids = () => temp.database.read((at) => watchesOf(at, "eth")).map((watch) => watch.id);
  const covered = () => temp.database.read((at) => coveredBlocks(at, ids()[0] ?? 0)).map(({ from, to }) => [from, to]);
  const count = () =>
    temp.database.read((at) => at.live().all<{ n: number }>("SELECT count(*) AS n FROM transfers"))[0]?.n;
  const settlement = () => {
    const live = liveConfig(config);
    const rules = createPaymentRules({ config: live });
    return createSettlement({ ...rules, database: temp.database, config: live, telemetry: silent });
  };
  const page = (transfers: Transfer[], more: Partial<ScannedRange> = {}): ScannedRange => ({
    chain: "eth",
    pass: "head",
    watches: ids(),
    from: 1,
    end: block(50),
    provider: "p",
    zero_value: 0,
    transfers,
    gone: [],
    chainEnd: { head: block(50), final: { number: 10, hash: null, time: null } },
    ...more,
  });

  test("stores every transfer once, however often the page comes", async () => {
    const transfers = Array.from({ length: 1200 }, (_, index) => transfer(index, 1 + Math.floor(index / 100)));
    await settlement().ingest(page(transfers));
    await settlement().ingest(page(transfers));
    expect(count()).toBe(1200);
    expect(covered()).toEqual([[1, 50]]);
  });

  test("that is cut off in the middle has covered only what it stored, and the rest follows", async () => {
    const transfers = Array.from({ length: 1200 }, (_, index) => transfer(index, 1 + Math.floor(index / 100)));
    const stored = new Set<number | undefined>();
    for (let survived = 1; ; survived += 5) {
      dieAt = commits + survived;
      const died = await settlement()
        .ingest(page(transfers))
        .then(
          () => false,
          () => true,
        );
      const through = covered()[0]?.[1] ?? 0;
      expect(covered().length).toBeLessThan(2);
      expect(count()).toBeGreaterThanOrEqual(Math.min(1200, through * 100));
      stored.add(count());
      if (!died) break;
    }
    expect(stored.size).toBeGreaterThan(5);
    expect(count()).toBe(1200);
    expect(covered()).toEqual([[1, 50]]);
  });

  test("covers nothing of a watch whose start was forgotten when the head went back", async () => {
    await watching().begin(ids(), block(30));
    await watching().rewind("eth", 20);
    await settlement().ingest(page([]));
    expect(covered()).toEqual([]);
  });

  test("received is allocated, unallocated and reverted, to the last unit of an 18-decimals sum", async () => {
    const huge = 10n ** 30n + 7n;
    await settlement().ingest(page([transfer(1, 1, huge), transfer(2, 2, huge), transfer(3, 3, 5n)]));
    await settlement().confirm("eth", [{ id: 3, block_hash: block(3).hash, verdict: "gone" }]);
    await settlement().confirm("eth", [{ id: 1, block_hash: block(1).hash, verdict: "confirmed" }]);
    const [row] = temp.database.read(balances);
    expect(row).toMatchObject({
      received: (2n * huge + 5n).toString(),
      allocated: "0",
      unallocated: (2n * huge).toString(),
      reverted: "5",
    });
  });

  test("a transfer that moved is known by its log in the new block, not by that of the old one", async () => {
    await settlement().ingest(page([transfer(1, 1)]));
    const moved = { ...block(2), hash: "0xother" };
    await settlement().confirm("eth", [{ id: 1, block_hash: block(1).hash, verdict: { moved, log_index: 7 } }]);
    const known = temp.database.read((at) => knownPositions(at, "eth", "0x1", "0xother"));
    expect([known.get(7), known.get(1)]).toEqual([0, undefined]);
  });

  describe("a confirmed transfer whose block left the chain", () => {
    const types = () =>
      temp.database
        .read((at) => at.live().all<{ type: string }>("SELECT type FROM events ORDER BY n"))
        .map((e) => e.type);
    const balance = () => {
      const [row] = temp.database.read(balances);
      return [row?.received, row?.allocated, row?.unallocated, row?.reverted];
    };
    const row = () =>
      temp.database.read((at) =>
        at.live().all<Record<string, unknown>>("SELECT status, units, block_hash, reverted_at FROM transfers"),
      );
    const again = (units = 1_000_000n) => ({ ...transfer(1, 1, units), block: { ...block(1), hash: "0xother" } });
    beforeEach(async () => {
      await settlement().ingest(page([transfer(1, 1)]));
      await settlement().confirm("eth", [{ id: 1, block_hash: block(1).hash, verdict: "confirmed" }]);
      await settlement().ingest(page([], { gone: [1] }));
    });

    test("is reverted once, however often it is missed, and counts as reverted alone", async () => {
      await settlement().ingest(page([], { gone: [1] }));
      expect(row()).toMatchObject([{ status: "no_matched_deposit", reverted_at: expect.any(Number) }]);
      expect(types().filter((type) => type === "payment_reverted")).toHaveLength(1);
      expect(balance()).toEqual(["1000000", "0", "0", "1000000"]);
    });

    test("counts again once it is mined again, also where it was", async () => {
      await settlement().ingest(page([again()]));
      expect(row()).toMatchObject([{ block_hash: "0xother", reverted_at: null }]);
      await settlement().ingest(page([], { gone: [1] }));
      await settlement().ingest(page([again()]));
      // What pays nothing is told again as well: the shop was told that it is gone.
      const [gone, back] = ["payment_reverted", ["payment_restored", "unknown_transfer"]];
      expect(types().slice(-6)).toEqual([gone, ...back, gone, ...back]);
      expect(balance()).toEqual(["1000000", "0", "1000000", "0"]);
    });

    test("is a new transfer when its transaction does something else the next time", async () => {
      await settlement().ingest(page([again(5n)]));
      expect(row()).toEqual([
        { status: "waiting_for_confirmation", units: "5", block_hash: "0xother", reverted_at: null },
      ]);
    });

    test("that pays an order keeps it paid, and says so when its transaction does something else", async () => {
      await temp.database.transact((tx) => {
        const terms = {
          merchant_order_id: "m",
          amount: "2.00",
          webhook_url: "",
          chain: null,
          coin: null,
          sender: null,
        };
        insertOrder(tx, { ...terms, id: "o", expires_at: tx.now + 1 });
        allocate(tx, 1, "o", "assign");
      });
      expect(balance()).toEqual(["1000000", "0", "0", "1000000"]);
      await settlement().ingest(page([again(5n)]));
      expect(row()).toMatchObject([{ units: "1000000", reverted_at: expect.any(Number) }]);
      await settlement().ingest(page([again()]));
      expect(balance()).toEqual(["1000000", "1000000", "0", "0"]);
      expect(types().at(-1)).toBe("payment_restored");
    });
  });

  test("transfers found another way are stored once, and a later page finds the same rows", async () => {
    const rows = await settlement().admit([transfer(1, 1), transfer(2, 2)], "an index knew of it");
    expect(rows.map((row) => [row.id, row.tx_hash, row.status])).toEqual([
      [1, "0x1", "waiting_for_confirmation"],
      [2, "0x2", "waiting_for_confirmation"],
    ]);
    expect(covered()).toEqual([]);
    await settlement().ingest(page([transfer(1, 1), transfer(2, 2)]));
    expect(await settlement().admit([transfer(2, 2)], "again")).toHaveLength(1);
    expect(count()).toBe(2);
    expect(
      temp.database.read((at) => at.live().all("SELECT subject, detail FROM audit WHERE action = 'transfer_admitted'")),
    ).toEqual([
      { subject: "transfer:1", detail: "an index knew of it" },
      { subject: "transfer:2", detail: "an index knew of it" },
    ]);
  });

  test("a verdict about a block the transfer has left since changes nothing", async () => {
    await settlement().ingest(page([transfer(1, 1)]));
    await settlement().confirm("eth", [{ id: 1, block_hash: "0xelsewhere", verdict: "confirmed" }]);
    expect(temp.database.read((at) => at.live().all("SELECT status FROM transfers"))).toEqual([
      { status: "waiting_for_confirmation" },
    ]);
  });
});
