// One world from one seed: sets the stage, lets the actors act step by step with the invariants behind each, then
// lets everything come to rest honestly and checks the end. The same seed is the same run, to the last log line.

import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createChain } from "./chain.ts";
import { checkEnd, isAtRest } from "./ending.ts";
import { createFate } from "./fate.ts";
import { createInvariants, type Invariants } from "./invariants.ts";
import { createMerchants } from "./merchants.ts";
import { createPayers } from "./payers.ts";
import { createServer, type Product, type Server } from "./process.ts";
import { createProvider, type Provider } from "./provider.ts";
import { createRandom } from "./random.ts";
import {
  back_office,
  configFor,
  merchant_secret,
  providerHost,
  readings,
  type SimChainId,
  simTokens,
} from "./settings.ts";
import { createShop } from "./shops.ts";
import type { Stage, Traits } from "./stage.ts";
import { templateOf } from "./template.ts";
import { createTimeline } from "./timeline.ts";
import { realTurn, setTraps } from "./traps.ts";
import { Death, type Surroundings } from "./world.ts";

export interface Outcome {
  seed: number;
  /** Null when everything held. */
  violation: { step: number; words: string } | null;
  /** Of every line of the trace, in order. */
  hash: string;
  simulated_ms: number;
  orders: number;
  payments: number;
  paid: number;
  deaths: number;
  /** Only when asked for. */
  trace: string[];
}

export interface RunOptions {
  product: Product;
  seed: number;
  steps: number;
  /** Keeps the lines of the trace. */
  trace?: boolean;
  /** A folder to copy the database to, as the world left it. */
  keep?: string | undefined;
}

const often_checked_steps = 300;
const seldom_every_steps = 50;
const settle_ms = 40_000;
/** A provider that takes two blocks at a time needs longer. */
const settle_more_max = 20;
const quiet_pauses_s = [4, 8, 15, 30, 60, 60, 120, 120, 240, 240, 300];

/** Runs the world of a seed. Never throws for what the product does. */
export async function runSeed({ product, seed, steps, trace: traced = false, keep }: RunOptions): Promise<Outcome> {
  const template = await templateOf(product);
  const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "ocrch-simulation-"));
  const path = join(folder, "ocrch.db");
  writeFileSync(path, template);
  const trace: string[] = [];
  let hash = 0n;
  let step = 0;
  let paid = 0;
  let violation: Outcome["violation"] = null;
  const checks: Invariants[] = [];
  let over = false;

  const random = createRandom(seed, "world");
  const timeline = createTimeline({ run: guarded, turnEnded: () => turnEnded() });
  function note(line: string): void {
    // The folder is the one thing that differs between two runs.
    const text = `${Math.round(timeline.now())} ${line.replaceAll(folder, "")}`;
    hash = BigInt(Bun.hash(text, hash));
    if (traced) trace.push(text);
  }
  function fail(words: string): void {
    note(`VIOLATION ${words}`);
    violation ??= { step, words };
  }
  function guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof Death)) fail(`an error escaped into a timer: ${describe(error)}`);
    }
  }

  const traits: Traits = {
    lies: random.chance(40),
    deep: random.chance(20),
    crashes: random.chance(70),
    faults: random.chance(80),
    providers: random.between(1, 3),
  };
  note(`seed ${seed} ${JSON.stringify(traits)}`);
  const chainOf = (id: SimChainId) =>
    createChain({
      traits: {
        ...readings[id].traits,
        skew_s: random.between(-5, 2),
        reorg_max: traits.deep ? 5 : id === "eth" ? 2 : 3,
      },
      timeline,
      random,
    });
  const chains = { eth: chainOf("eth"), polygon: chainOf("polygon") };
  const decimals = new Map(simTokens.map((token) => [token.address.toLowerCase(), token.decimals]));
  const providersOf = (id: SimChainId): Provider[] =>
    Array.from({ length: traits.providers }, (_, index) =>
      createProvider({ host: providerHost(id, index), chain: chains[id], timeline, random, decimals }),
    );
  const providers = { eth: providersOf("eth"), polygon: providersOf("polygon") };
  const shopOf = (host: string, last: number) =>
    createShop({ host, address: `93.184.216.${last}`, secret: merchant_secret, timeline, random, fail });
  const shops = [shopOf("one.example", 1), shopOf("two.example", 2)];
  const backOffice = shopOf(back_office, 9);

  const surroundings: Surroundings = {
    timeline,
    random: createRandom(seed, "product"),
    fail,
    note(line) {
      note(line);
      const [, error = ""] = /^\S+Z error (\w+)/.exec(line) ?? [];
      const expected = [
        (traits.deep || traits.lies) && "payment_reverted",
        traits.lies && "transfers_missed_by_head_pass",
        "",
      ];
      if (!expected.includes(error)) fail(`the server complained: ${line.slice(25)}`);
    },
    resolve: (host) => [...shops, backOffice].filter((shop) => shop.host === host).map((shop) => shop.address),
    reach(host, _url, init) {
      const provider = [...providers.eth, ...providers.polygon].find((one) => one.host === host);
      if (provider !== undefined) return provider.handle(init);
      const shop = [...shops, backOffice].find((one) => one.host === host);
      return shop?.handle(init) ?? { after_ms: 1, fails: "ENOTFOUND" };
    },
  };
  const options = { providers: traits.providers, tell: random.chance(80) };
  const offered = random.chance(50) ? (["first", "third"] as const) : (["first", "second", "third"] as const);
  const server: Server = createServer({
    product,
    surroundings,
    config: configFor(product, path, offered, options),
    fail,
  });
  const stage: Stage = {
    seed,
    traits,
    timeline,
    random,
    server,
    chains,
    providers,
    shops,
    backOffice,
    orders: new Map(),
    payments: [],
    offered,
    committed_elsewhere_at: Number.NEGATIVE_INFINITY,
    note,
    fail,
  };
  const fate = createFate(stage, {
    product,
    surroundings,
    path,
    configFor: (names) => configFor(product, path, names, options),
  });
  const merchants = createMerchants(stage);
  const payers = createPayers(stage);

  function turnEnded(): void {
    if (server.bury() && !over) timeline.at(fate.downtime(), () => server.start());
  }
  function check(thorough = false): void {
    if (checks.length === 0 && server.isReady()) checks.push(createInvariants(stage, path));
    for (const invariants of checks) invariants.check(thorough);
  }

  const actions: Record<string, { weight: number; act(): unknown }> = {
    "create order": { weight: 16, act: merchants.createOrder },
    select: { weight: 18, act: merchants.select },
    pay: { weight: 22, act: payers.pay },
    stray: { weight: 5, act: payers.stray },
    cancel: { weight: 2, act: merchants.cancel },
    watch: { weight: 4, act: merchants.watch },
    "mark paid": { weight: 1, act: merchants.markPaid },
    "mark paid beside the server": { weight: 1, act: fate.markPaidBeside },
    resend: { weight: 1, act: merchants.resend },
    "ask status": { weight: 1, act: merchants.askStatus },
    reorganise: { weight: 5, act: fate.reorganise },
    provider: { weight: 8, act: fate.changeProvider },
    outage: { weight: 1, act: fate.outage },
    shop: { weight: 5, act: fate.changeShop },
    reload: { weight: 2, act: fate.reload },
    crash: { weight: traits.crashes ? 4 : 0, act: fate.crash },
    stop: { weight: 1, act: fate.stop },
    freeze: { weight: 2, act: fate.freeze },
  };
  const weights = Object.fromEntries(Object.entries(actions).map(([name, { weight }]) => [name, weight]));

  const stray: unknown[] = [];
  const onRejection = (error: unknown) => {
    if (!(error instanceof Death)) stray.push(error);
  };
  process.on("unhandledRejection", onRejection);
  const removeTraps = setTraps((name) => fail(`something bypassed the world: ${name}`));
  try {
    for (const chain of Object.values(chains)) chain.start();
    guarded(() => server.start());
    timeline.settle();
    for (step = 1; step <= steps && violation === null; step++) {
      const name = random.weighted(weights);
      note(`step ${step}: ${name}`);
      guarded(
        () => void Promise.resolve(actions[name]?.act()).catch((error: unknown) => fail(`${name}: ${describe(error)}`)),
      );
      timeline.settle();
      timeline.advance(random.chance(50) ? random.below(2400) : random.below(16_000));
      if (steps <= often_checked_steps || step % seldom_every_steps === 0) check();
    }
    if (violation === null) rest();
  } catch (error) {
    fail(`the simulation itself failed: ${describe(error)}`);
  } finally {
    removeTraps();
    server.kill();
    timeline.settle();
    server.bury();
    for (const invariants of checks) invariants.close();
  }
  await realTurn();
  process.off("unhandledRejection", onRejection);
  if (stray[0] !== undefined) fail(`a rejection that nobody handled: ${describe(stray[0])}`);
  if (keep !== undefined) cpSync(folder, keep, { recursive: true });
  rmSync(folder, { recursive: true, force: true });

  /** Everything becomes honest and healthy; then time passes until nothing can be left to do. */
  function rest(): void {
    note("rest");
    fate.heal();
    timeline.advance(settle_ms);
    for (const pause of quiet_pauses_s) {
      if (violation !== null) return;
      timeline.freeze(pause * 1000);
      timeline.advance(2600);
      check();
    }
    for (let more = 0; more < settle_more_max && (more === 0 || !isAtRest(stage, path)); more++) {
      timeline.advance(settle_ms);
    }
    check(true);
    if (violation === null) paid = checkEnd(stage, path).paid;
    if (violation !== null) return;
    over = true;
    const stops = server.stops();
    void server.stop();
    timeline.advance(10_000);
    if (server.stops() === stops) fail("the server did not stop in time");
    for (const { sockets } of stage.orders.values()) {
      for (const socket of sockets) if (!socket.life.isDead() && socket.closed === null) fail("a socket was left open");
    }
  }

  return {
    seed,
    violation,
    hash: hash.toString(16),
    simulated_ms: timeline.now(),
    orders: stage.orders.size,
    payments: stage.payments.length,
    paid,
    deaths: server.deaths(),
    trace,
  };
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.stack ?? error.message}` : String(error);
}
