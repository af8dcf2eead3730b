// Orders and money without a chain: the product's own services over a real SQLite file, and transfers that arrive and
// are confirmed when the test says so.

import { Database as Sqlite } from "bun:sqlite";
import { expect } from "bun:test";
import { type Config, liveConfig } from "../../src/config/config.ts";
import type { Coin } from "../../src/domain/assets.ts";
import { toUnits } from "../../src/domain/money.ts";
import type { Transfer } from "../../src/domain/payment.ts";
import { createCheckout } from "../../src/services/checkout.ts";
import { createExpiry } from "../../src/services/expiry.ts";
import { createHeldTransfers } from "../../src/services/held.ts";
import { createOperator } from "../../src/services/operator.ts";
import { createPaymentRules } from "../../src/services/payment-rules.ts";
import { createRelease } from "../../src/services/release.ts";
import { createSettlement } from "../../src/services/settlement.ts";
import { createWatching } from "../../src/services/watching.ts";
import { watchesOf } from "../../src/storage/coverage.ts";
import { closedReservations, releaseReservations } from "../../src/storage/reservations.ts";
import { type TransferRow, transferById } from "../../src/storage/transfers.ts";
import { uuid7 } from "../../src/wire/uuid.ts";
import { realWorld, type World } from "../../src/world.ts";
import { balances } from "./balances.ts";
import { evm_wallet, type Settings, testConfig } from "./server.ts";
import { silent, tempDatabase } from "./temp-database.ts";

export const [ann, bob, exchange] = [
  "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
  "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
  "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f",
] as const;
const start_ms = 1_790_000_000_000;
const block_ms = 12_000;

/** Money on its way; USDT on Ethereum to the first wallet, from nobody in particular. */
export interface Money {
  amount?: string;
  units?: bigint;
  sender?: string;
  coin?: Coin;
  chain?: "eth" | "polygon";
  wallet?: string;
  token?: string;
  /** By which its block is older than now. */
  ago_ms?: number;
}

export type Till = Awaited<ReturnType<typeof startTill>>;

/** Opens a shop over a fresh database with wallets on Ethereum and Polygon. `world` replaces parts of the real one. */
export async function startTill(settings: Settings = {}, world_parts: Partial<World> = {}) {
  let time = start_ms;
  let clock_error_ms = 0;
  const temp = tempDatabase({
    now: () => time + clock_error_ms,
    elapsed: () => time,
    world: { ...realWorld(), ...world_parts },
  });
  const { database, world } = temp;
  const config = liveConfig(
    testConfig({
      merchant: { unknown_transfer_webhook_url: "https://shop.example.com/unknown" },
      ...settings,
    }) as Config,
  );
  const telemetry = silent;
  const watching = createWatching({ database });
  await watching.sync(config.current());
  for (const chain of ["eth", "polygon"] as const) {
    const watches = database.read((at) => watchesOf(at, chain)).map((watch) => watch.id);
    await watching.begin(watches, { number: 1, time: start_ms / 1000 });
  }
  const rules = createPaymentRules({ config });
  const settlement = createSettlement({ ...rules, database, config, telemetry });
  const checkout = createCheckout({ ...rules, database, config });
  const expiry = createExpiry({ ...rules, database, config, world });
  const release = createRelease({ database, config, world, telemetry });
  const raw = new Sqlite(temp.path, { readonly: true });
  let height = 0;
  let orders = 0;

  function transferOf(money: Money): Transfer {
    const { chain = "eth", coin = "USDT", sender = exchange, wallet = evm_wallet, ago_ms = 0 } = money;
    const token = config
      .current()
      .chains.get(chain)
      ?.tokens.find((one) => one.coin === coin);
    if (token === undefined) throw new Error(`no ${coin} on ${chain}`);
    const units = money.units ?? toUnits(money.amount ?? "0", token.decimals);
    if (units === null) throw new Error(`${money.amount} does not fit ${coin}`);
    time += block_ms;
    height += 1;
    const block = { number: height, hash: `0xb${height}`, time: Math.floor((time - ago_ms) / 1000) };
    const place = { tx_hash: `0xt${height}`, position: 0, log_index: 0, block };
    return { chain, token: money.token ?? token.address, sender, wallet, units, ...place };
  }

  async function read(transfers: readonly Transfer[], gone: readonly number[] = []): Promise<void> {
    const { chain = "eth", block } = transfers[0] ?? {};
    const end = block ?? { number: height, hash: `0xb${height}`, time: Math.floor(time / 1000) };
    const watches = database.read((at) => watchesOf(at, chain)).map((watch) => watch.id);
    const chainEnd = { head: end, final: { number: 0, hash: null, time: null } };
    const page = { chain, pass: "head" as const, watches, from: 1, end, provider: "node", zero_value: 0 };
    await settlement.ingest({ ...page, transfers, gone, chainEnd });
  }

  const transfer = (id: number): TransferRow => {
    const row = database.read((at) => transferById(at, id));
    if (row === null) throw new Error(`no transfer ${id}`);
    return row;
  };

  const transferByHash = (tx_hash: string) =>
    raw.query<{ id: number }, [string]>("SELECT id FROM transfers WHERE tx_hash = ?").get(tx_hash)?.id ?? 0;

  /** The transfer is seen in a block of its own. Resolves with its id. */
  async function arrive(money: Money): Promise<number> {
    const found = transferOf(money);
    await read([found]);
    return transferByHash(found.tx_hash);
  }

  /** The transfers are seen in one block. Resolves with their ids. */
  async function arriveTogether(moneys: readonly Money[]): Promise<number[]> {
    const found = moneys.map(transferOf);
    const block = found.at(-1)?.block;
    if (block === undefined) return [];
    await read(found.map((one, log_index) => ({ ...one, log_index, block })));
    return found.map(({ tx_hash }) => transferByHash(tx_hash));
  }

  async function judge(id: number, verdict: "confirmed" | "gone"): Promise<void> {
    const { chain, block_hash } = transfer(id);
    await settlement.confirm(chain, [{ id, block_hash, verdict }]);
  }

  return {
    database,
    config,
    ...rules,
    settlement,
    checkout,
    expiry,
    release,
    held: createHeldTransfers({ ...rules, database }),
    operator: createOperator({ ...rules, database, config }),
    arrive,
    arriveTogether,
    transfer,
    confirm: (id: number) => judge(id, "confirmed"),
    vanish: (id: number) => judge(id, "gone"),
    /** Arrives and is confirmed. Resolves with its row. */
    async receive(money: Money): Promise<TransferRow> {
      const id = await arrive(money);
      await judge(id, "confirmed");
      return transfer(id);
    },
    /** The chain is read up to now, and these transfers were found to have left it. */
    async quiet(gone: readonly number[] = []) {
      height += 1;
      await read([], gone);
    },
    /** Ends the quarantine of every amount now, or of those on one wallet. */
    releaseAll: (wallet?: string) =>
      database.transact((tx) => {
        const closed = closedReservations(tx, tx.now, { closed_at: 0, id: 0 }, Number.MAX_SAFE_INTEGER);
        const ended = closed.filter((slot) => wallet === undefined || slot.wallet === wallet);
        return releaseReservations(
          tx,
          ended.map((slot) => slot.id),
        );
      }),
    now: () => time,
    advance(ms: number) {
      time += ms;
    },
    /** Our clock is off by so much from now on; that of the chains is not. */
    setClock(error_ms: number) {
      clock_error_ms = error_ms;
    },
    async order(amount: string, sender: string | null = null): Promise<string> {
      orders += 1;
      const request = { merchant_order_id: `m-${orders}`, amount, webhook_url: "https://shop.example.com/hook" };
      const identity = { replay_key: `r-${orders}`, replayable_until: time, body_hash: "h", idempotency_key: null };
      const id = uuid7(time, world.random(10));
      await checkout.create({ ...request, sender, chain: null, coin: null }, identity, id);
      return id;
    },
    select: (order_id: string, stablecoin: Coin = "USDT", blockchain = "eth") =>
      checkout.select(order_id, { blockchain, stablecoin }),
    /** An order with a deposit in USDT on Ethereum. */
    async asked(amount: string, sender: string | null = null): Promise<string> {
      const id = await this.order(amount, sender);
      await this.select(id);
      return id;
    },
    status: (order_id: string) => checkout.order(order_id).status,
    rows: <Row = Record<string, unknown>>(sql: string, ...params: (string | number)[]) =>
      raw.query<Row, (string | number)[]>(sql).all(...params),
    /** Bodies of the events of one type. */
    told: (type: string) =>
      raw
        .query<{ body: string }, [string]>("SELECT body FROM events WHERE type = ? ORDER BY n")
        .all(type)
        .map(({ body }) => JSON.parse(body) as Record<string, unknown>),
    /** What must hold of every database at any time. */
    audit() {
      for (const row of database.read(balances)) {
        expect(BigInt(row.received)).toBe(BigInt(row.allocated) + BigInt(row.unallocated) + BigInt(row.reverted));
      }
      const none = (sql: string) => expect(raw.query(sql).all()).toEqual([]);
      none("SELECT transfer FROM allocations WHERE reversed_at IS NULL GROUP BY transfer HAVING count(*) > 1");
      none(`SELECT t.id FROM transfers t WHERE (t.status = 'matched') <>
        EXISTS (SELECT 1 FROM allocations a WHERE a.transfer = t.id AND a.reversed_at IS NULL)`);
      none("SELECT id FROM transfers WHERE status IN ('waiting_for_match', 'no_matched_deposit') AND reason IS NULL");
      none(`SELECT s.id FROM slots s JOIN deposits d ON d.id = s.deposit
        WHERE (d.closed_at IS NULL) <> (s.closed_at IS NULL)`);
    },
    async stop() {
      raw.close();
      await temp.close();
    },
  };
}
