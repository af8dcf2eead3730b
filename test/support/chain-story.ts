// A chain, a shop and a clock in hand: real anvil, a real SQLite file, the product's own services and scan, polled when
// the story says so. Nothing runs by itself, so a story reads as a sequence of facts.

import { Database as Sqlite } from "bun:sqlite";
import { connectChain, connectHistory } from "../../src/chains/connect.ts";
import type { History } from "../../src/chains/history.ts";
import { type ChainSettings, liveConfig } from "../../src/config/config.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { tronAddress } from "../../src/domain/address.ts";
import { createRateLimiters } from "../../src/limits/rate-limiter.ts";
import { createOutbound } from "../../src/outbound.ts";
import { createBalanceComparison } from "../../src/services/balance-comparison.ts";
import { createCheckout } from "../../src/services/checkout.ts";
import { createClaims } from "../../src/services/claims.ts";
import { createExpiry } from "../../src/services/expiry.ts";
import { createInbox } from "../../src/services/inbox.ts";
import { createIndexReconciliation } from "../../src/services/index-reconciliation.ts";
import { createOperator } from "../../src/services/operator.ts";
import { createPaymentRules } from "../../src/services/payment-rules.ts";
import { createRelease } from "../../src/services/release.ts";
import { createSettlement } from "../../src/services/settlement.ts";
import { createWatching } from "../../src/services/watching.ts";
import type { DepositRow } from "../../src/storage/deposits.ts";
import type { TransferRow } from "../../src/storage/transfers.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { uuid7 } from "../../src/wire/uuid.ts";
import { createCaseWork } from "../../src/workers/reconcile/balance-cases.ts";
import { createBalanceCheck } from "../../src/workers/reconcile/balance-check.ts";
import { createIndexCheck } from "../../src/workers/reconcile/index-check.ts";
import { createClockAlarm } from "../../src/workers/scan/clock-watch.ts";
import { createEvidence } from "../../src/workers/scan/evidence.ts";
import { createScan } from "../../src/workers/scan/scan.ts";
import { createTransferLookup } from "../../src/workers/scan/transfer-lookup.ts";
import { realWorld } from "../../src/world.ts";
import { type Anvil, startAnvil } from "./anvil.ts";
import { type ChainConfig, configText, type TestConfig } from "./appliance.ts";
import { accounts, type Coin, deployCoin } from "./coin.ts";
import { startExplorerEmulator } from "./explorer-emulator.ts";
import { type ProviderProxy, startProviderProxy } from "./provider-proxy.ts";
import { tempDatabase } from "./temp-database.ts";
import type { TronEmulator } from "./tron-emulator.ts";

export const [owner, payer, wallet, second_wallet, stranger] = accounts;

export interface StoryOptions {
  /** The story plays on this Tron node, mined by hand, instead of an Ethereum one. */
  tron?: TronEmulator;
  /** TronGrid's REST beside it may be asked as well. */
  rest?: boolean;
  /** Recorded transfers are compared with an explorer's index of the chain. */
  index?: boolean;
  /** The chain is read from this explorer alone, whose turns take a hundredth of their time. */
  explorer?: "etherscan" | "blockscout";
  finality?: string;
  verify?: string;
  wallets?: readonly string[];
  /** `finalized` is twice this many blocks behind the head. */
  slots?: number;
  lifetime?: string;
  late_window?: string;
  /** Reads through this many proxies instead of the node itself. */
  proxies?: number;
  /** The head is asked for when a deposit is opened. A story that pays at once may be quicker than the answer. */
  opening_heads?: boolean;
  more?: Partial<TestConfig>;
}

export type Story = Awaited<ReturnType<typeof startStory>>;

/** Starts a manually mined chain with two coins, a payer who has plenty of both, and an appliance that watches it. */
export async function startStory(options: StoryOptions = {}) {
  const { tron } = options;
  const chain = tron === undefined ? "eth" : "tron";
  const named = (address: string) => (tron === undefined ? address : tronAddress(address));
  const anvil = tron?.anvil ?? (await startAnvil({ automine: false, slotsInAnEpoch: options.slots ?? 2, chainId: 1 }));
  const usdt = await deployCoin(anvil, 6, "USDT");
  const dai = await deployCoin(anvil, 18, "DAI");
  await usdt.mint(payer, 10n ** 15n);
  await usdt.mint(stranger, 10n ** 15n);
  await dai.mint(payer, 10n ** 30n);
  await anvil.rpc("evm_mine");
  const proxies = Array.from({ length: options.proxies ?? 0 }, () => startProviderProxy(anvil.url));

  const emulator = options.explorer === undefined ? null : startExplorerEmulator(anvil);
  const speed = emulator === null && options.rest !== true ? 1 : 100;

  let ahead_ms = 0;
  const now = () => Date.now() + ahead_ms;
  const log: string[] = [];
  const points = new Map<string, () => void>();
  const real = realWorld();
  const world = {
    ...real,
    now,
    elapsed: () => performance.now() * speed + ahead_ms,
    sleep: (ms: number, signal?: AbortSignal) => real.sleep(ms / speed, signal),
    warn: (line: string) => void log.push(line),
    point: (name: string) => points.get(name)?.(),
  };
  const telemetry = createTelemetry(world);
  const temp = tempDatabase({ world });
  const { database } = temp;
  const coins = { USDT: { address: usdt.address, decimals: 6 }, DAI: { address: dai.address, decimals: 18 } };
  // DAI is on no list of Tron's.
  const offered = Object.entries(coins).filter(([coin]) => tron === undefined || coin === "USDT");
  const tokens = Object.fromEntries(
    offered.map(([coin, { address, decimals }]) => [coin, { address: named(address), decimals }]),
  );
  const read: ChainConfig = {
    rpc_urls: proxies.length > 0 ? proxies.map((proxy) => proxy.url) : [tron?.rpc_url ?? anvil.url],
    wallets: (options.wallets ?? [wallet]).map(named),
    tokens,
    finality: options.finality ?? (tron === undefined ? "2" : '"finalized"'),
    ...(tron !== undefined && options.rest === true ? { explorer_url: tron.url } : {}),
    ...(options.verify === undefined ? {} : { verify: options.verify }),
    ...(emulator === null || options.explorer === undefined
      ? {}
      : { rpc_urls: [], explorer: options.explorer, explorer_url: emulator[options.explorer] }),
  };
  const text = configText({
    lifetime: options.lifetime ?? "60m",
    late_window: options.late_window ?? "24h",
    unknown_transfer_webhook_url: "http://127.0.0.1:9/unknown",
    ...options.more,
    chains: { [chain]: read, ...options.more?.chains },
  });
  const { draft, problems } = parseConfig(text, "/tmp/ocrch-story.toml");
  if (draft === null) throw new Error(problems.join("\n"));
  const config = liveConfig({ ...draft, admin: { secret_hash: "" } });
  const settings = config.current().chains.get(chain);
  if (settings === undefined) throw new Error("the story's chain is not configured");

  const outbound = createOutbound({ world });
  const source = connectChain({ settings, outbound, world, telemetry, rateLimiters: createRateLimiters({ world }) });
  const rules = createPaymentRules({ config });
  const checkout = createCheckout({
    ...rules,
    database,
    config,
    opened: (deposit) => {
      if (options.opening_heads === true) scan.openings.opened(deposit);
    },
  });
  const settlement = createSettlement({ ...rules, database, config, telemetry });
  const watching = createWatching({ database });
  const expiry = createExpiry({ ...rules, database, config, world });
  const release = createRelease({ database, config, world, telemetry });
  const operator = createOperator({ ...rules, database, config });
  const inbox = createInbox({ ...rules, database, config });
  const lookUp = createTransferLookup({ database, sourceOf: (asked) => (asked === chain ? source : null) });
  const claims = createClaims({ database, config, settlement, lookUp, world, telemetry });
  await watching.sync(config.current());
  /** A fresh worker, as after a restart: nothing it knew in memory survives. */
  const clockAlarm = createClockAlarm({ database, telemetry, world });
  const makeScan = () =>
    createScan({ settings, source, config, database, settlement, watching, world, telemetry, clockAlarm });
  let scan = makeScan();
  const makeCheck = () => {
    const balances = createBalanceComparison({ database, telemetry });
    const of = {
      chain: settings.id,
      settings: () => settings,
      source,
      database,
      settlement,
      balances,
      world,
      telemetry,
    };
    const evidence = createEvidence({ chain: settings.id, source, database, telemetry });
    return createBalanceCheck({ ...of, cases: createCaseWork({ ...of, evidence }) });
  };
  let check = makeCheck();
  const index = options.index === true ? startExplorerEmulator(anvil) : null;
  const hurried = {
    ...world,
    elapsed: () => performance.now() * 100,
    sleep: (ms: number, signal?: AbortSignal) => real.sleep(ms / 100, signal),
  };
  const history = (settings: ChainSettings): History | null => {
    const indexed = index && { kind: "etherscan" as const, url: index.etherscan, key: "key-5678", reads: false };
    const explorer = options.rest === true ? settings.explorer : indexed;
    return connectHistory({
      settings: { ...settings, explorer },
      outbound,
      world,
      rateLimiters: createRateLimiters({ world: hurried }),
    });
  };
  const makeReconcile = () =>
    createIndexCheck({
      chain: settings.id,
      settings: () => config.current().chains.get(settings.id) ?? settings,
      history,
      source,
      database,
      settlement,
      indexReconciliation: createIndexReconciliation({ database, world, telemetry }),
      world,
      telemetry,
    });
  let reconcile = makeReconcile();

  const raw = new Sqlite(temp.path, { readonly: true });
  let orders = 0;

  return {
    anvil,
    /** What the command line is pointed at. */
    files: { toml: text, database: temp.path },
    usdt,
    dai,
    proxies,
    /** The explorer that tells what came to the wallets; only where the story has one. */
    index,
    emulator,
    database,
    config,
    checkout,
    operator,
    inbox,
    claims,
    expiry,
    release,
    watching,
    source,
    log,
    points,
    now,
    /** Reads the chain once. */
    poll: () => scan.poll(),
    restart() {
      scan = makeScan();
      check = makeCheck();
      reconcile = makeReconcile();
    },
    /** One step of the comparison with the index. */
    reconcile: () => reconcile.run(),
    /** Steps of the comparison of balances: as many as it takes to read, to compare and to look into what is found. */
    async check(steps = 4) {
      for (let step = 0; step < steps; step++) await check.run();
    },
    async mine(blocks = 1) {
      for (let block = 0; block < blocks; block++) await anvil.rpc("evm_mine");
    },
    /** Moves the wall clock and the chain's clock, and mines the block that shows it. */
    async advance(seconds: number) {
      ahead_ms += seconds * 1000;
      await anvil.rpc("evm_increaseTime", [seconds]);
      await anvil.rpc("evm_mine");
    },
    /** Moves only the wall clock: the chain stands still. */
    wait(seconds: number) {
      ahead_ms += seconds * 1000;
    },
    async order(amount: string, sender: string | null = null) {
      orders += 1;
      const request = {
        merchant_order_id: `m-${orders}`,
        amount,
        webhook_url: "http://127.0.0.1:9/hook",
        sender,
        chain: null,
        coin: null,
      };
      const identity = {
        replay_key: `r-${orders}`,
        replayable_until: now() + 300_000,
        body_hash: "h",
        idempotency_key: null,
      };
      return checkout.create(request, identity, uuid7(now(), world.random(10)));
    },
    select: (order_id: string, stablecoin = "USDT"): Promise<DepositRow> =>
      checkout.select(order_id, { blockchain: chain, stablecoin }),
    status: (order_id: string) => checkout.order(order_id).status,
    transfers: () => raw.query<TransferRow, []>("SELECT * FROM transfers ORDER BY id").all(),
    /** Numbers, types and bodies of the event log. */
    events: (type?: string) =>
      raw
        .query<{ n: number; type: string; order_id: string | null; body: string }, []>(
          "SELECT * FROM events ORDER BY n",
        )
        .all()
        .filter((event) => type === undefined || event.type === type),
    /** Statuses that were pushed for an order. */
    pushed: (order_id: string) =>
      raw
        .query<{ body: string }, [string]>("SELECT body FROM deliveries WHERE order_id = ? ORDER BY id")
        .all(order_id)
        .map((row) => (JSON.parse(row.body) as { status: string }).status),
    /** Changes rows behind the product's back. */
    write(change: (raw: Sqlite) => void) {
      const writer = new Sqlite(temp.path);
      change(writer);
      writer.close();
    },
    rows: (sql: string) => raw.query<Record<string, unknown>, []>(sql).all(),
    async stop() {
      raw.close();
      await temp.close();
      for (const proxy of proxies) await proxy.stop();
      await index?.stop();
      await emulator?.stop();
      await (tron ?? anvil).stop();
    },
  };
}

/** Base units of whole and fractional coins in 6 decimals. */
export const usd = (amount: number): bigint => BigInt(Math.round(amount * 1e6));

export type { Anvil, Coin, ProviderProxy };
