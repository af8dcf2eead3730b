// Who plays in the world of a seed: chains with their providers, shops, the server, merchants, payers and fate, and how
// often each of them acts. Runs nothing by itself.

import { createChain } from "./chain.ts";
import { createFate, type Fate } from "./fate.ts";
import { createIndex } from "./indexes.ts";
import { createMerchants } from "./merchants.ts";
import { createNetwork } from "./network.ts";
import { createOperators } from "./operators.ts";
import { createParty } from "./parties.ts";
import { createPayers } from "./payers.ts";
import { createServer, type Product } from "./process.ts";
import { createProvider, type Provider, wireAddress } from "./provider.ts";
import { createRandom, type Random } from "./random.ts";
import { createReadEvents, createReaders } from "./readers.ts";
import { createLost, createRestorer, type Restorer } from "./restoring.ts";
import { createRuleBook } from "./rule-book.ts";
import { drawScenery, indexKinds, readings, type SimChainId } from "./scenery.ts";
import {
  back_office,
  type Choice,
  configFor,
  indexHost,
  merchant_secret,
  network,
  providerHost,
  providers_max,
  tolerances,
  usual_rules,
  wrong_node_host,
} from "./settings.ts";
import { createShop } from "./shops.ts";
import { createClock, type Stage, type Traits } from "./stage.ts";
import { createThieves } from "./thieves.ts";
import type { Timeline } from "./timeline.ts";
import type { Surroundings } from "./world.ts";

export interface Action {
  /** How often, among all. */
  weight: number;
  act(): unknown;
}

export interface Cast {
  stage: Stage;
  fate: Fate;
  restorer: Restorer;
  actions: Readonly<Record<string, Action>>;
}

interface Needs {
  product: Product;
  seed: number;
  /** Traits that the world has whatever its seed says. */
  forced: readonly string[];
  /** Of the database. */
  path: string;
  random: Random;
  timeline: Timeline;
  note(line: string): void;
  count(kind: string): void;
  fail(words: string): void;
}

/** A webhook was dated at most so long ago. */
const on_its_way_max_ms = 60_000;

function drawTraits(random: Random, more: Random): Omit<Traits, "exchange"> {
  return {
    lies: random.chance(40),
    deep: random.chance(20),
    crashes: random.chance(70),
    faults: random.chance(80),
    clock: random.chance(20),
    long_outage: random.chance(4),
    stalls: random.chance(25),
    future: random.chance(15),
    unserved: random.chance(20),
    // From a stream of their own: a world without them is the world it was.
    tolerance: more.chance(15),
    new_rules: more.chance(15),
    new_contract: more.chance(12),
    clock_hours: more.chance(10),
    invents: more.chance(10),
    restores: more.chance(15),
    indexes: more.chance(25),
    network: more.chance(20),
  };
}

/** The cast of a world. Everything that is chosen is chosen by `random`. */
export function createCast(needs: Needs): Cast {
  const { product, seed, forced, path, random, timeline, note, count, fail } = needs;
  const more = createRandom(seed, "more traits");
  const exchange = createRandom(seed, "exchange").chance(15);
  const traits = { ...drawTraits(random, more), exchange, ...Object.fromEntries(forced.map((trait) => [trait, true])) };
  // Beside one that invents the others are there and tell the truth.
  if (traits.invents) {
    const well = { lies: false, deep: false, faults: false, long_outage: false, future: false, unserved: false };
    Object.assign(traits, well);
  }
  const scenery = drawScenery(createRandom(seed, "scenery"), traits.new_contract);
  const chainOf = (id: SimChainId) => {
    const { reorg_max } = readings[id];
    return createChain({
      traits: {
        id,
        ...readings[id],
        skew_s: random.between(-8, 3),
        reorg_max: traits.deep ? reorg_max.deep : reorg_max.usual,
      },
      timeline,
      random,
      count,
    });
  };
  const chains = byChain(scenery.chains, chainOf);
  const decimals = new Map(scenery.tokens.map((token) => [wireAddress(token.address), token.decimals]));
  const nodeOf = (host: string, id: SimChainId): Provider =>
    createProvider({ host, chain: chains[id], timeline, random, decimals, count });
  const indexOf = (id: SimChainId): Provider => {
    // The product names REST beside JSON-RPC of one host.
    const node = nodeOf(`${indexHost(id)}${id === "tron" ? "#rest" : ""}`, id);
    const tokens = scenery.tokens.filter(({ chain }) => chain === id);
    const { chain_id } = readings[id];
    return Object.assign(node, createIndex({ kind: indexKinds[id], node, tokens, now: timeline.now, chain_id }));
  };
  const nodesOf = (id: SimChainId) =>
    Array.from({ length: providers_max }, (_, index) => nodeOf(providerHost(id, index), id));
  const providers = byChain(scenery.chains, (id) => [...nodesOf(id), ...(traits.indexes ? [indexOf(id)] : [])]);
  const nodes = [...Object.values(providers).flat(), nodeOf(wrong_node_host, scenery.main)];
  const clock = createClock(timeline);
  const shopOf = (host: string, last: number) =>
    createShop({
      host,
      address: `93.184.216.${last}`,
      secret: merchant_secret,
      timeline,
      random,
      isStale: () => {
        const since = timeline.now() - on_its_way_max_ms;
        return timeline.thawedAt() >= since || clock.wasWrong(since, timeline.now());
      },
      fail,
      count,
    });
  const shops = [shopOf("one.example", 1), shopOf("two.example", 2)];
  const backOffice = shopOf(back_office, 9);
  const lost = createLost();
  const partyOf = ({ host, ocid }: { host: string; ocid: number }, last: number) => {
    const after = (ms: number, act: () => void) => void timeline.at(ms, act);
    const isRestored = () => lost.restores.length > 0;
    return createParty({ host, ocid, address: `93.184.216.${last}`, random, fail, count, isRestored, after });
  };
  const parties = [partyOf(network.merchant, 5), partyOf(network.gateway, 3)];
  const hosts = [...shops, backOffice, ...parties];

  const files = new Map<string, string>();
  const surroundings: Surroundings = {
    timeline,
    wall: clock.now,
    files,
    random: createRandom(seed, "product"),
    fail,
    note(line) {
      note(line);
      const [, level = "", event = ""] = /^\S+Z (\w+) ([^=]+?)(?: \w+=|$)/.exec(line) ?? [];
      if (level === "warn" || level === "error") count(`log ${event}`);
      // A machine that slept for longer than a late window catches up after another one has begun.
      const hasSlept = event === "blocks_given_up" && timeline.longestFreeze() >= usual_rules.late_window_ms;
      if (level === "error" && !hasSlept && !isExpected(event, traits, scenery.chains))
        fail(`the server complained: ${line.slice(25)}`);
    },
    resolve: (host) => hosts.filter((shop) => shop.host === host).map((shop) => shop.address),
    reach(host, url, init) {
      const known =
        nodes.find((one) => one.host.replace("#rest", "") === host) ?? hosts.find((one) => one.host === host);
      return known?.handle(init, url) ?? { after_ms: 1, fails: "ENOTFOUND" };
    },
  };
  const choice: Choice = {
    wallets: random.chance(50) ? ["first", "third"] : ["first", "second", "third"],
    providers: Math.max(random.between(1, providers_max), traits.invents ? providers_max : 1),
    tell: random.chance(80),
    poll_s: 8,
    rules: { ...usual_rules, underpaid: traits.tolerance ? more.pick(tolerances) : usual_rules.underpaid },
    network: traits.network,
    ...(traits.indexes ? { indexes: drawIndexes(random, scenery.chains) } : {}),
  };
  const rules = createRuleBook(timeline, choice.rules);
  note(`seed ${seed} ${JSON.stringify([scenery.chains, traits, choice])}`);
  for (const id of scenery.chains) count(`chain ${id}`);
  const server = createServer({
    product,
    surroundings,
    config: configFor(product, path, scenery, choice),
    followed: rules.followed,
    fail,
    count,
  });
  const stage: Stage = {
    seed,
    traits,
    timeline,
    random,
    server,
    scenery,
    chains,
    providers,
    shops,
    parties,
    backOffice,
    orders: new Map(),
    lost,
    read: createReadEvents(),
    payments: [],
    invented: [],
    claims: [],
    told: [],
    choice,
    rules,
    clock,
    committed_elsewhere_at: Number.NEGATIVE_INFINITY,
    commands: 0,
    note,
    count,
    fail,
  };
  const fate = createFate(stage, {
    product,
    surroundings,
    path,
    configFor: (next) => configFor(product, path, scenery, next),
  });
  const restorer = createRestorer(stage, { path, files });
  return { stage, fate, restorer, actions: actionsOf(stage, fate, restorer) };
}

/** At least one of the chains has one. */
function drawIndexes(random: Random, chains: readonly SimChainId[]): Choice["indexes"] {
  const drawn = chains.map((id) => [id, random.pick(["alone", "beside", null])] as const);
  return Object.fromEntries(drawn.filter(([, how]) => how !== null));
}

function byChain<T>(ids: readonly SimChainId[], make: (id: SimChainId) => T): Record<SimChainId, T> {
  return Object.fromEntries(ids.map((id) => [id, make(id)])) as Record<SimChainId, T>;
}

/** Whether a complaint of the server is one that such a world gives it reason for. */
function isExpected(
  event: string,
  { deep, lies, faults, clock, clock_hours, future, unserved, long_outage, indexes, invents }: Traits,
  chains: readonly SimChainId[],
): boolean {
  // Nobody serves a block for longer than a late window.
  if (event === "blocks_given_up") return long_outage || unserved;
  // Where both operators of a chain lag, they agree on a time that is gone.
  if (event === "clock_wrong") return clock || clock_hours || future || faults;
  if (event === "head_not_believed" || event === "chain_pace_changed") return future;
  if (
    ["transfer_denied", "transfer_doubted", "provider_disagrees", "provider_frozen", "payment_reverted"].includes(
      event,
    ) &&
    invents
  )
    return true;
  // Between two questions of one batch a machine may sleep.
  if (event === "finality_late") return true;
  if (event === "all_providers_refuse" || event === "provider_frozen") return faults || lies || unserved || future;
  if (event === "finality_late") return true;
  // Below a head that all providers invent, a payment counts that a reorg may still take.
  if (event === "payment_reverted" && future) return true;
  if (event === "payment_reverted" || event === "transfer_changed") return deep || lies;
  // A stale node may stand on a branch that left the others' below what is final to them.
  // Where the head itself counts as final, an only provider that lags takes it back.
  // An index is asked by our clock how far it has come: a clock that is set back takes its head back.
  const isByClock = (clock || clock_hours) && indexes;
  if (event === "finality_receded") {
    return lies || future || isByClock || chains.some((id) => readings[id].final.blocks === 1);
  }
  // What one provider alone shows may be what the others had missed; all of them may have shown a head that was not there.
  return event === "transfers_missed_by_head_pass" && (lies || invents || future);
}

function actionsOf(stage: Stage, fate: Fate, restorer: Restorer): Cast["actions"] {
  const { traits, scenery } = stage;
  const merchants = createMerchants(stage);
  const operators = createOperators(stage);
  const thieves = createThieves(stage, { merchants, operators });
  const payers = createPayers(stage, thieves);
  const readers = createReaders(stage);
  const pages = createNetwork(stage);
  // An exchange is known by how many orders it has paid.
  const rush = traits.exchange ? 6 : 1;
  return {
    "create order": { weight: 18 * rush, act: merchants.createOrder },
    select: { weight: 20 * rush, act: merchants.select },
    pay: { weight: 20 * rush, act: payers.pay },
    stray: { weight: 4, act: payers.stray },
    pester: { weight: 2, act: payers.pester },
    cancel: { weight: 2, act: merchants.cancel },
    watch: { weight: 4, act: merchants.watch },
    "mark paid": { weight: 1, act: merchants.markPaid },
    "mark paid beside the server": { weight: 1, act: fate.markPaidBeside },
    "empty the inbox": { weight: 3, act: operators.emptyInbox },
    unassign: { weight: 1, act: operators.unassign },
    claim: { weight: 3, act: operators.claim },
    resend: { weight: 1, act: merchants.resend },
    "ask status": { weight: 1, act: merchants.askStatus },
    reorganise: { weight: 5, act: fate.reorganise },
    ambush: { weight: 3, act: fate.ambush },
    provider: { weight: 8, act: fate.changeProvider },
    outage: { weight: 1, act: fate.outage },
    "long outage": { weight: traits.long_outage ? 3 : 0, act: fate.longOutage },
    "future head": { weight: traits.future ? 5 : 0, act: fate.showFuture },
    "refuse to serve": { weight: traits.unserved ? 4 : 0, act: fate.refuseToServe },
    "stall finality": { weight: traits.stalls ? 2 : 0, act: fate.stallFinality },
    shop: { weight: 5, act: fate.changeShop },
    reload: { weight: 3, act: fate.reload },
    "new rules": { weight: traits.new_rules ? 5 : 0, act: fate.changeRules },
    "new contract": { weight: scenery.second === null ? 0 : 4, act: fate.changeContract },
    invent: { weight: traits.invents ? 5 : 0, act: fate.invent },
    crash: { weight: traits.crashes ? 4 : 0, act: fate.crash },
    stop: { weight: 1, act: fate.stop },
    freeze: { weight: 2, act: fate.freeze },
    "open a page": { weight: traits.network ? 10 : 0, act: pages.openPage },
    "choose on a page": { weight: traits.network ? 12 : 0, act: pages.choose },
    party: { weight: traits.network ? 2 : 0, act: fate.changeParty },
    "read events": { weight: 2, act: readers.readEvents },
    "copy the database": { weight: traits.restores ? 5 : 0, act: restorer.copy },
    "restore a copy": { weight: traits.restores ? 3 : 0, act: restorer.restore },
    "set clock": { weight: traits.clock || traits.clock_hours ? 4 : 0, act: fate.setClock },
  };
}
