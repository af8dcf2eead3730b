// What befalls a world: chains that reorganise, providers and shops that change their mood, crashes, restarts, frozen
// machines, new settings, an operator at the command line. And, at the end, everything made well again.

import type { Config } from "../../src/config/config.ts";
import type { Product } from "./process.ts";
import { type Mood, type Provider, range_words } from "./provider.ts";
import { readings, type SimChainId, type WalletName } from "./settings.ts";
import type { ShopMood } from "./shops.ts";
import type { Stage } from "./stage.ts";
import { createLife, Death, type Surroundings } from "./world.ts";

const points = ["commit.before", "commit.after", "scan.read", "delivery.sending", "delivery.answered"];
const wallet_sets: readonly WalletName[][] = [
  ["first", "third"],
  ["first", "second", "third"],
  ["second", "first", "third"],
  ["first", "second"],
];
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
  changeProvider(): void;
  outage(): void;
  changeShop(): void;
  reload(): void;
  crash(): void;
  stop(): Promise<void>;
  freeze(): void;
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
    configFor(names: readonly WalletName[]): Config;
  },
): Fate {
  const { random, traits, timeline, server, chains, providers, note } = stage;
  let healed = false;

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
      html: traits.faults ? 1 : 0,
      empty: traits.faults ? 1 : 0,
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

  const anyChain = (): SimChainId => random.pick(["eth", "eth", "polygon"]);

  return {
    reorganise() {
      const id = anyChain();
      chains[id].reorganise(random.between(1, chains[id].traits.reorg_max));
    },
    changeProvider() {
      setMood(random.pick(providers[anyChain()]), mood());
    },
    outage() {
      if (!traits.faults) return;
      const id = anyChain();
      for (const provider of providers[id]) setMood(provider, { kind: "down" });
      timeline.at(random.between(30_000, 300_000), () => {
        if (!healed) for (const provider of providers[id]) setMood(provider, { kind: "honest" });
      });
    },
    changeShop() {
      const shop = random.pick([...stage.shops, stage.backOffice]);
      shop.mood = random.pick(shop_moods);
      note(`${shop.host} is ${shop.mood}`);
    },
    reload() {
      stage.offered = random.pick(wallet_sets);
      note(`wallets: ${stage.offered.join(" ")}`);
      server.reload(needs.configFor(stage.offered));
    },
    crash() {
      if (random.chance(30)) return server.kill();
      server.life()?.dieAt(random.pick(points), random.between(1, 6));
    },
    stop: () => server.stop(),
    freeze() {
      timeline.freeze(random.between(10_000, 150_000));
    },

    async markPaidBeside() {
      const all = [...stage.orders.values()];
      if (all.length === 0 || (!server.isReady() && server.life() !== null)) return;
      const order = random.pick(all);
      order.marked = true;
      const life = createLife(needs.surroundings);
      const telemetry = needs.product.createTelemetry(life.world);
      const config = needs.configFor(stage.offered);
      const opened = needs.product.openForCommand({ world: life.world, telemetry, path: needs.path });
      try {
        const live = { current: () => config, replace() {} };
        const operator = needs.product.createOperator({ database: opened.database, config: live });
        await operator.markPaid(order.id, "someone", "paid in cash");
        stage.committed_elsewhere_at = timeline.now();
      } catch (error) {
        if (!(error instanceof Death)) throw error;
      } finally {
        await opened.close();
      }
    },

    downtime: () => (healed ? 1000 : random.chance(50) ? random.below(2000) : random.below(60_000)),

    heal() {
      healed = true;
      for (const id of Object.keys(readings) as SimChainId[]) {
        for (const provider of providers[id]) {
          provider.mood = { kind: "honest" };
          provider.latency_max_ms = 200;
        }
      }
      for (const shop of [...stage.shops, stage.backOffice]) shop.mood = "healthy";
      stage.offered = ["first", "second", "third"];
      server.life()?.dieAt("", 0);
      server.reload(needs.configFor(stage.offered));
    },
  };
}
