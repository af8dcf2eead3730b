// The composition root: opens the database, connects the chains, creates the services, mounts HTTP, and owns the table
// of recurring work with its order of starting and stopping.

import { connectChain, connectHistory } from "./chains/connect.ts";
import { keepChains } from "./config/chains.ts";
import { type ChainSettings, type Config, liveConfig } from "./config/config.ts";
import type { DailyUsage } from "./domain/provider.ts";
import { extensionHooks, extensions } from "./extensions.ts";
import { listen, urlOf } from "./http/listen.ts";
import { createHttp } from "./http/server.ts";
import { createRateLimiters } from "./limits/rate-limiter.ts";
import { createOutbound } from "./outbound.ts";
import { createBalanceComparison } from "./services/balance-comparison.ts";
import { createCheckout } from "./services/checkout.ts";
import { createClaims } from "./services/claims.ts";
import { createDelivery } from "./services/delivery.ts";
import { createEventLog } from "./services/event-log.ts";
import { createExpiry } from "./services/expiry.ts";
import { createFileWatch } from "./services/file-watch.ts";
import { createHeldTransfers } from "./services/held.ts";
import { createInbox } from "./services/inbox.ts";
import { createIndexReconciliation } from "./services/index-reconciliation.ts";
import { createOperator } from "./services/operator.ts";
import { createOrderFeed } from "./services/order-feed.ts";
import { createPaymentRules } from "./services/payment-rules.ts";
import { createRelease } from "./services/release.ts";
import { createSettlement } from "./services/settlement.ts";
import { createWatching } from "./services/watching.ts";
import { usageOf } from "./storage/chains.ts";
import type { BatchLimits } from "./storage/engine/database.ts";
import { openForServing } from "./storage/engine/open.ts";
import type { Telemetry } from "./telemetry.ts";
import { chainsToRead, createChainWorkers } from "./workers/chain-workers.ts";
import { createLoopTable } from "./workers/loop-table.ts";
import { changedChains, checkNodes } from "./workers/scan/node-check.ts";
import { createTransferLookup } from "./workers/scan/transfer-lookup.ts";
import type { World } from "./world.ts";

const heartbeat_ms = 1000;
const quarantine_period_ms = 10_000;
const forget_period_ms = 60_000;
const wake_delay_ms = 5;
/** What is left of the ten seconds a stop may take is for the database and the sockets. */
const stop_grace_ms = 8000;
/** A poll that waits for a node is left alone sooner: what it has not stored is read again. */
const poll_grace_ms = 2000;

/** One running appliance. */
export interface App {
  /** Where it listens, e.g. `http://127.0.0.1:8080`. */
  url: string;
  /**
   * Swaps the settings whole, or throws and changes nothing. `server.listen` and `database.path` stay as they were; the
   * caller warns about them. Faults: wrong_chain_id and wrong_token, as at the start, of chains that changed;
   * invalid_config, of a key for the network that is none and of other decimals for amounts that are reserved.
   */
  reload(config: Config): Promise<void>;
  /** Stops accepting, lets work in flight end, closes sockets with 1001 and the database. */
  stop(): Promise<void>;
}

/**
 * Starts an appliance and resolves when it accepts requests. Faults: those of opening the database, address_in_use,
 * wrong_chain_id and wrong_token (of a node that answered in time; one that did not is checked later, and only stalls
 * its own chain).
 */
export async function startApp(needs: {
  world: World;
  telemetry: Telemetry;
  config: Config;
  version: string;
  migrateFirst: boolean;
  gather?: BatchLimits;
}): Promise<App> {
  const { world, telemetry, version } = needs;
  const config = liveConfig(needs.config);
  const outbound = createOutbound({ world });
  const rateLimiters = createRateLimiters({ world });
  const connect = (settings: ChainSettings, used?: (provider: string) => DailyUsage | null) =>
    connectChain({ settings, outbound, world, telemetry, rateLimiters, ...(used && { used }) });
  await checkNodes({ world, connect }, needs.config, [...needs.config.chains.values()]);

  const opened = openForServing({ ...needs, path: needs.config.database.path, hooks: extensionHooks });
  const { database } = opened;
  for (const name of opened.applied) telemetry.info("migration_applied", { name });
  const eventLog = createEventLog({ ...needs, database, path: opened.path, is_served: false });
  try {
    await eventLog.resume();
    const watching = createWatching({ database });
    await watching.sync(needs.config);
    config.replace(keepChains(needs.config, chainsToRead(database), null));
    const rules = createPaymentRules({ config });
    const operator = createOperator({ ...rules, database, config });
    const inbox = createInbox({ ...rules, database, config });
    const settlement = createSettlement({ ...rules, database, config, telemetry });
    const held = createHeldTransfers({ ...rules, database });
    const balances = createBalanceComparison({ database, telemetry });
    const indexReconciliation = createIndexReconciliation({ database, world, telemetry });
    // What a provider was asked today is remembered over restarts.
    const reconnect = (settings: ChainSettings) =>
      connect(settings, (provider) => database.read((at) => usageOf(at, settings.id, provider)));
    const chainWorkers = createChainWorkers({
      connect: reconnect,
      config,
      database,
      settlement,
      balances,
      indexReconciliation,
      history: (settings) => connectHistory({ settings, outbound, world, rateLimiters }),
      watching,
      world,
      telemetry,
    });
    const checkout = createCheckout({ ...rules, database, config, opened: chainWorkers.opened });
    const lookUp = createTransferLookup({ database, sourceOf: chainWorkers.source });
    const claims = createClaims({ database, config, settlement, lookUp, world, telemetry });
    const expiry = createExpiry({ ...rules, database, config, world });
    const release = createRelease({ database, config, world, telemetry });
    const shared = { ...rules, database, config, outbound, world, telemetry, checkout };
    const extended = extensions.map((extension) => extension.start(shared));
    const http = createHttp({
      world,
      telemetry,
      config,
      orderFeed: createOrderFeed({ database, eventLog }),
      version,
      extensions: extended.map(({ http }) => http),
      ...{ checkout, claims, operator, inbox },
    });

    const delivery = createDelivery({
      database,
      config,
      outbound,
      world,
      telemetry,
      eventLog,
      onRoom: () => loops.wake("deliver"),
      proofs: extended.map(({ proofs }) => proofs).find((signer) => signer !== undefined) ?? null,
    });
    const lookAtFile = createFileWatch({ world, telemetry, database, path: opened.path });
    const heartbeat = async () => {
      await lookAtFile();
      if (database.changedElsewhere()) committed();
    };
    const expireDue = () => {
      expiry.beat();
      return expiry.expireDue();
    };

    const loops = createLoopTable({ world, telemetry }, [
      ...extended.flatMap(({ jobs }) => jobs.map((job) => ({ ...job, period_ms: heartbeat_ms, eager: true }))),
      { name: "deliver", period_ms: heartbeat_ms, run: delivery.sendDue, eager: true },
      { name: "expire", period_ms: heartbeat_ms, run: expireDue },
      { name: "settle held transfers", period_ms: heartbeat_ms, run: held.settleHeld },
      { name: "release quarantine", period_ms: quarantine_period_ms, run: release.releaseDue },
      { name: "forget replays", period_ms: forget_period_ms, run: expiry.forgetCreations },
      { name: "heartbeat", period_ms: heartbeat_ms, run: heartbeat },
      { name: "last event", period_ms: heartbeat_ms, run: eventLog.keep },
    ]);

    let cancelWaking: (() => void) | null = null;
    const wakeAll = () => {
      cancelWaking = null;
      loops.wake();
      chainWorkers.wake();
    };
    // Sockets are told at once; the loops ask the database what is due, once for all commits of a moment.
    const committed = () => {
      http.committed();
      cancelWaking ??= world.timer(wake_delay_ms, wakeAll);
    };
    const forgetCommits = database.onCommit(committed);

    const listener = listen(world, needs.config, http.answer);
    loops.start();
    chainWorkers.follow();

    return {
      url: urlOf(listener),

      async reload(next) {
        const current = config.current();
        const { hostname, port } = current.server;
        const wanted = { ...next, database: current.database, server: { ...next.server, hostname, port } };
        for (const extension of extensions) extension.check(wanted);
        await checkNodes({ world, connect }, wanted, changedChains(wanted, current));
        await watching.sync(wanted);

        for (const extension of extensions) {
          for (const warning of extension.changeWarnings(current, wanted, world.now())) {
            telemetry.warn("config_warning", { warning });
          }
        }
        config.replace(keepChains(wanted, chainsToRead(database), current));
        http.clearAdminCache();
        chainWorkers.follow();
        committed();
      },

      async stop() {
        forgetCommits();
        cancelWaking?.();
        const finished = listener.stop(false);
        http.closeWaiting();
        await Promise.race([
          Promise.all([
            loops.stop(),
            Promise.race([chainWorkers.stop(), world.sleep(poll_grace_ms)]),
            delivery.stop(),
            finished,
          ]),
          world.sleep(stop_grace_ms),
        ]);
        await listener.stop(true);
        eventLog.keep();
        await opened.close();
      },
    };
  } catch (error) {
    await opened.close();
    throw error;
  }
}
