// What befalls a world: chains that reorganise, providers and shops that change their mood, crashes, restarts, frozen
// machines, new settings, an operator at the command line. And, at the end, everything made well again.

import type { Config } from "../../src/config/config.ts";
import type { Product } from "./process.ts";
import { type Mood, type Provider, range_words } from "./provider.ts";
import { createRandom } from "./random.ts";
import { isSmall, type SimChainId, spelledOn, type WalletName } from "./scenery.ts";
import { type Choice, type OrderRules, providers_max, tolerances, wrongestClock } from "./settings.ts";
import type { ShopMood } from "./shops.ts";
import type { Stage } from "./stage.ts";
import { createLife, Death, type Surroundings } from "./world.ts";

const points = ["commit.before", "commit.after", "scan.read", "delivery.sending", "delivery.answered"];
const long_outage_ms = 2 * 60 * 60 * 1000;
const wallet_sets: readonly WalletName[][] = [
  ["first", "third"],
  ["first", "second", "third"],
  ["second", "first", "third"],
  ["first", "second"],
];
const overpaid_bounds = [["10%"], ["0"], ["1%"], ["60%"], ["0.50", "20%"]];
const surcharges = ["0", "0.05", "0.50"];
const late_windows_ms = [60_000, 200_000, 400_000, 800_000];
const shop_moods: readonly ShopMood[] = [
  "healthy",
  "healthy",
  "slow",
  "hanging",
  "failing",
  "flaky",
  "refusing",
  "redirecting",
];

export interface Fate {
  reorganise(): void;
  /** Lets a chain reorganise in the middle of a poll. */
  ambush(): void;
  changeProvider(): void;
  outage(): void;
  changeShop(): void;
  changeParty(): void;
  /** Two hours without any provider of a chain, once in a world. */
  longOutage(): void;
  reload(): void;
  /** Other tolerances, another late window, another surcharge. */
  changeRules(): void;
  /** A provider shows a payment, log and receipt, that is not in the chain. */
  invent(): void;
  /** The settings name another contract of a coin, or one more. */
  changeContract(): void;
  crash(): void;
  stop(): Promise<void>;
  freeze(): void;
  setClock(): void;
  stallFinality(): void;
  /** A provider, or all of a chain's, show a head far above it for about a poll. */
  showFuture(): void;
  /** A block with payments, or the receipt of one, that no provider serves for a while. */
  refuseToServe(): void;
  markPaidBeside(): Promise<void>;
  /** How long the server stays down after a death, ms. */
  downtime(): number;
  heal(): void;
}

export function createFate(
  stage: Stage,
  needs: {
    product: Product;
    surroundings: Surroundings;
    path: string;
    configFor(choice: Choice): Config;
  },
): Fate {
  const { random, traits, timeline, server, scenery, chains, providers, note } = stage;
  let healed = false;
  let outages_left = 1;

  function mood(): Mood {
    const kind = random.weighted({
      honest: 8,
      lagging: 3,
      hiding: traits.lies ? 4 : 0,
      stale: traits.lies ? 3 : 0,
      narrow: 3,
      "small batches": 2,
      tagless: 2,
      throttling: traits.faults ? 2 : 0,
      "one call fails": traits.faults ? 2 : 0,
      html: traits.faults ? 1 : 0,
      empty: traits.faults ? 1 : 0,
      cut: traits.faults ? 1 : 0,
      down: traits.faults ? 2 : 0,
      hanging: traits.faults ? 2 : 0,
    });
    if (kind === "lagging" || kind === "hiding") return { kind, blocks: random.between(1, 3) };
    if (kind === "narrow") return { kind, blocks: random.pick([2, 3, 5, 8]), words: random.pick(range_words) };
    if (kind === "small batches") return { kind, calls: random.between(1, 3) };
    if (kind === "throttling") return { kind, retry_after_s: random.chance(50) ? random.between(1, 20) : null };
    return { kind };
  }

  function setMood(provider: Provider, next: Mood): void {
    provider.mood = next;
    // Nodes behind one name that differ in their head, asked one call at a time, contradict themselves unnoticed.
    const together = random.chance(50) || (next.kind === "lagging" && !traits.lies);
    provider.mood_percent = together ? 100 : random.between(20, 80);
    provider.latency_max_ms = random.chance(80) ? 200 : 6000;
    note(`${provider.host} is ${JSON.stringify(next)} at ${provider.mood_percent} %`);
  }

  /** All providers of a chain are away for a while. */
  function takeAway(id: SimChainId, for_ms: number): void {
    for (const provider of providers[id]) setMood(provider, { kind: "down" });
    timeline.at(for_ms, () => {
      if (!healed) for (const provider of providers[id]) setMood(provider, { kind: "honest" });
    });
  }

  /** The one provider of each chain that invents. */
  const liar = createRandom(stage.seed, "liar").below(providers_max);

  /** New rules are written and the server is told. */
  function follow(rules: OrderRules): void {
    stage.choice = { ...stage.choice, rules };
    stage.rules.write(rules);
    note(`settings: ${JSON.stringify(stage.choice)}`);
    server.reload(needs.configFor(stage.choice));
  }

  const anyChain = (): SimChainId => random.pick([scenery.main, scenery.main, scenery.side]);

  return {
    reorganise() {
      const id = anyChain();
      chains[id].reorganise(random.between(1, chains[id].traits.reorg_max));
    },
    ambush() {
      const id = anyChain();
      chains[id].reorganiseAfter(random.between(2, 14), chains[id].traits.reorg_max);
      if (random.chance(50)) return;
      // A poll of many small pages: there is something to come between.
      const words = random.pick(range_words);
      for (const provider of providers[id]) setMood(provider, { kind: "narrow", blocks: random.between(2, 3), words });
      timeline.freeze(random.between(20_000, 120_000));
    },
    changeProvider() {
      setMood(random.pick(providers[anyChain()]), mood());
    },
    outage() {
      if (traits.faults) takeAway(anyChain(), random.between(30_000, 300_000));
    },
    longOutage() {
      if (outages_left === 0) return;
      outages_left -= 1;
      takeAway(anyChain(), long_outage_ms);
      timeline.advance(long_outage_ms);
    },
    changeShop() {
      const shop = random.pick([...stage.shops, stage.backOffice]);
      shop.mood = random.pick(shop_moods);
      note(`${shop.host} is ${shop.mood}`);
    },
    changeParty() {
      const party = random.pick(stage.parties);
      party.mood = random.pick(["healthy", "healthy", "failing", "refusing", "hanging"]);
      note(`${party.host} is ${party.mood}`);
    },
    reload() {
      const hasNodes = stage.choice.indexes?.[scenery.side] !== "alone";
      if (random.chance(15) && stage.choice.wallets.includes("third") && hasNodes) {
        stage.count("reload refused");
        return server.reloadInVain(
          needs.configFor({ ...stage.choice, wrong_node: true }),
          `expected ${chains[scenery.side].traits.chain_id}`,
        );
      }
      const what = random.weighted({ wallets: 6, providers: traits.invents ? 0 : 2, poll: 1, tell: 1 });
      stage.count(`reload ${what}`);
      if (what === "wallets") stage.choice = { ...stage.choice, wallets: random.pick(wallet_sets) };
      if (what === "providers") stage.choice = { ...stage.choice, providers: random.between(1, providers_max) };
      if (what === "poll") stage.choice = { ...stage.choice, poll_s: random.pick([4, 8, 15]) };
      if (what === "tell") stage.choice = { ...stage.choice, tell: !stage.choice.tell };
      note(`settings: ${JSON.stringify(stage.choice)}`);
      server.reload(needs.configFor(stage.choice));
    },
    changeRules() {
      const { rules } = stage.choice;
      const what = random.pick(["late window", "overpaid", "surcharge", ...(traits.tolerance ? ["underpaid"] : [])]);
      stage.count(`new rules ${what}`);
      const next = {
        ...rules,
        ...(what === "late window" && { late_window_ms: random.pick(late_windows_ms) }),
        ...(what === "overpaid" && { overpaid: random.pick(overpaid_bounds) }),
        ...(what === "surcharge" && { max_surcharge: random.pick(surcharges) }),
        ...(what === "underpaid" && { underpaid: random.pick([["0"], ...tolerances]) }),
      };
      follow(next);
    },
    invent() {
      const details = [...stage.orders.values()].flatMap((order) => order.details).slice(-6);
      if (details.length === 0) return;
      const { chain: id, token, wallet, units, order } = random.pick(details);
      const provider = providers[id][liar];
      if (provider === undefined) return;
      const number = stage.invented.length + 1;
      const tx_hash = `${id === "tron" ? "" : "0x"}${"ee".repeat(4)}${number.toString(16).padStart(56, "0")}`;
      const sender = spelledOn(id, order.sender ?? order.payer);
      const invented = { tx_hash, block: chains[id].head(), transfer: { token: token.address, sender, wallet, units } };
      provider.invented.push(invented);
      stage.invented.push({ ...invented, chain: id });
      stage.count(`invented payment ${isSmall(id, units, token.decimals) ? "of the first tier" : "above it"}`);
      note(`${provider.host} invents ${tx_hash} of ${units} for ${order.id}`);
    },
    changeContract() {
      const contracts = random.pick(["built-in", "second", "all"] as const);
      stage.count(`new contract ${contracts}`);
      follow({ ...stage.choice.rules, contracts });
    },
    crash() {
      if (random.chance(30)) return server.kill();
      server.life()?.dieAt(random.pick(points), random.between(1, 6));
    },
    stop: () => server.stop(),
    freeze() {
      timeline.freeze(random.between(10_000, 150_000));
    },

    setClock() {
      const most_s = wrongestClock(traits);
      const far_s = random.chance(50) ? Math.round(most_s / 6) : most_s;
      const wrong_s = random.chance(40) ? 0 : random.between(-far_s, far_s);
      note(`the clock is wrong by ${wrong_s} s`);
      stage.clock.set(wrong_s * 1000);
      // Nobody is paid while every signature looks old.
      if (traits.clock_hours)
        timeline.at(random.between(10_000, 90_000), () => {
          if (!healed) stage.clock.set(0);
        });
    },
    stallFinality() {
      const id = anyChain();
      note(`${id} finalises nothing`);
      chains[id].stall(random.between(60_000, 900_000));
    },

    showFuture() {
      const id = anyChain();
      const all = random.chance(60) ? providers[id] : [random.pick(providers[id])];
      const mood: Mood = { kind: "future", blocks: random.pick([40, 400, 4000]), has_future_time: random.chance(50) };
      for (const provider of all) {
        setMood(provider, mood);
        provider.mood_percent = 100;
      }
      timeline.at(random.between(2000, 12_000), () => {
        for (const provider of all) if (!healed && provider.mood === mood) setMood(provider, { kind: "honest" });
      });
    },
    refuseToServe() {
      const payment = stage.payments.length === 0 ? null : random.pick(stage.payments.slice(-4));
      if (payment === null) return;
      const { chain, tx } = payment;
      const block = chain.whereIs(tx.hash);
      const what = random.chance(50) && block !== null ? { block: block.number } : { tx_hash: tx.hash };
      note(`${chain.traits.id} serves no ${JSON.stringify(what)}`);
      stage.count(`refused ${"block" in what ? "block" : "receipt"}`);
      chain.refuse(what);
      timeline.at(random.between(30_000, 300_000), () => chain.refuse(null));
    },

    async markPaidBeside() {
      const all = [...stage.orders.values()];
      if (all.length === 0 || (!server.isReady() && server.life() !== null)) return;
      const order = random.pick(all);
      order.marked = true;
      const life = createLife(needs.surroundings);
      const telemetry = needs.product.createTelemetry(life.world);
      const config = needs.configFor(stage.choice);
      const { world } = life;
      stage.commands += 1;
      const hooks = needs.product.extensionHooks;
      const opened = needs.product.openForCommand({ world, telemetry, path: needs.path, hooks });
      const of = { world, telemetry, path: needs.path, database: opened.database, is_served: server.isReady() };
      const eventLog = needs.product.createEventLog(of);
      const database = needs.product.withResumedLog(opened.database, eventLog);
      try {
        const live = { current: () => config, replace() {} };
        const rules = needs.product.createPaymentRules({ config: live });
        const operator = needs.product.createOperator({ ...rules, database, config: live });
        await operator.markPaid(order.id, "someone", "paid in cash");
        stage.committed_elsewhere_at = timeline.now();
      } catch (error) {
        if (!(error instanceof Death)) throw error;
      } finally {
        eventLog.keep();
        await opened.close();
        stage.commands -= 1;
      }
    },

    downtime: () => (healed ? 1000 : random.chance(50) ? random.below(2000) : random.below(60_000)),

    heal() {
      healed = true;
      for (const id of scenery.chains) {
        for (const provider of providers[id]) {
          provider.mood = { kind: "honest" };
          provider.invented = [];
          provider.latency_max_ms = 200;
        }
      }
      for (const shop of [...stage.shops, stage.backOffice]) shop.mood = "healthy";
      for (const party of stage.parties) party.mood = "healthy";
      stage.clock.set(0);
      for (const chain of Object.values(chains)) {
        chain.stall(0);
        chain.refuse(null);
      }
      stage.choice = {
        ...stage.choice,
        wallets: ["first", "second", "third"],
        providers: providers_max,
        tell: true,
        poll_s: 8,
      };
      server.life()?.dieAt("", 0);
      follow(scenery.second === null ? stage.choice.rules : { ...stage.choice.rules, contracts: "all" });
    },
  };
}
