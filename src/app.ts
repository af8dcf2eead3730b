// The composition root: opens the database, connects the chains, creates the services, mounts HTTP, and owns the table
// of recurring work with its order of starting and stopping.

import { connectChain, connectHistory } from "./chains/connect.ts";
import { createPaces } from "./chains/pace.ts";
import type { Source } from "./chains/source.ts";
import { keepChains } from "./config/chains.ts";
import { type ChainSettings, type Config, liveConfig, offeredCoins } from "./config/config.ts";
import { Fault } from "./domain/errors.ts";
import type { Usage } from "./domain/provider.ts";
import { extensionHooks, extensions } from "./extensions.ts";
import { createHttp, max_body_bytes } from "./http/server.ts";
import { createOutbound } from "./outbound.ts";
import { createBalances } from "./services/balances.ts";
import { createCheckout } from "./services/checkout.ts";
import { createClaims } from "./services/claims.ts";
import { createComparing } from "./services/comparing.ts";
import { createDelivery } from "./services/delivery.ts";
import { createEventLog } from "./services/event-log.ts";
import { createExpiry } from "./services/expiry.ts";
import { createFileWatch } from "./services/file-watch.ts";
import { createHeldTransfers } from "./services/held.ts";
import { createInbox } from "./services/inbox.ts";
import { createOperator } from "./services/operator.ts";
import { createRelease } from "./services/release.ts";
import { createSettlement } from "./services/settlement.ts";
import { createWatching } from "./services/watching.ts";
import { usageOf } from "./storage/chains.ts";
import type { Gathering } from "./storage/database.ts";
import { openForServing } from "./storage/open.ts";
import type { Telemetry } from "./telemetry.ts";
import { createLookUp } from "./workers/lookup.ts";
import { createLoop, type Loop } from "./workers/loop.ts";
import { createReading, owingChains } from "./workers/reading.ts";
import { verify } from "./workers/verify.ts";
import type { Listener, World } from "./world.ts";

const heartbeat_ms = 1000;
const quarantine_period_ms = 10_000;
const forget_period_ms = 60_000;
const wake_delay_ms = 5;
const last_event_period_ms = 1000;
/** How long a node may take to prove that it is the wrong one before the server starts without waiting for it. */
const identity_timeout_ms = 3000;
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
  gather?: Gathering;
}): Promise<App> {
  const { world, telemetry, version } = needs;
  const config = liveConfig(needs.config);
  const outbound = createOutbound({ world });
  const paces = createPaces({ world });
  const connect = (settings: ChainSettings, used?: (provider: string) => Usage | null) =>
    connectChain({ settings, outbound, world, telemetry, paces, ...(used && { used }) });
  // Each node by itself: a wrong one behind a right one would only show once the right one fails.
  const checkNodes = async (next: Config, chains: readonly ChainSettings[]) => {
    const nodes = chains.flatMap((settings) => {
      const alone = settings.rpc_urls.map((url) => ({ ...settings, rpc_urls: [url], explorer: null }));
      const explorer = settings.explorer?.reads ? [{ ...settings, rpc_urls: [] }] : [];
      return [...alone, ...explorer].map((one) => ({ settings, node: connect(one) }));
    });
    await Promise.all(nodes.map(({ settings, node }) => checkIdentity(world, next, settings, node)));
  };
  await checkNodes(needs.config, [...needs.config.chains.values()]);

  const opened = openForServing({ ...needs, path: needs.config.database.path, hooks: extensionHooks });
  const { database } = opened;
  for (const name of opened.applied) telemetry.info("migration_applied", { name });
  const loops: Loop[] = [];
  let listener: Listener;
  const eventLog = createEventLog({ ...needs, database, path: opened.path, is_served: false });
  try {
    await eventLog.resume();
    const watching = createWatching({ database });
    await watching.sync(needs.config);
    config.replace(keepChains(needs.config, owingChains(database), null));
    const operator = createOperator({ database, config });
    const inbox = createInbox({ database, config });
    const settlement = createSettlement({ database, config, telemetry });
    const held = createHeldTransfers({ database, config });
    const balances = createBalances({ database, telemetry });
    const comparing = createComparing({ database, world, telemetry });
    // What a provider was asked today is remembered over restarts.
    const reconnect = (settings: ChainSettings) =>
      connect(settings, (provider) => database.read((at) => usageOf(at, settings.id, provider)));
    const reading = createReading({
      connect: reconnect,
      config,
      database,
      settlement,
      balances,
      comparing,
      history: (settings) => connectHistory({ settings, outbound, world, paces }),
      watching,
      world,
      telemetry,
    });
    const checkout = createCheckout({ database, config, opened: reading.opened });
    const lookUp = createLookUp({ database, sourceOf: reading.source });
    const claims = createClaims({ database, config, settlement, lookUp, world, telemetry });
    const expiry = createExpiry({ database, config, world });
    const release = createRelease({ database, config, world, telemetry });
    const shared = { database, config, outbound, world, telemetry, checkout };
    const extended = extensions.map((extension) => extension.start(shared));
    const http = createHttp({
      world,
      telemetry,
      config,
      database,
      eventLog,
      version,
      extensions: extended.map(({ http }) => http),
      ...{ checkout, claims, operator, inbox },
    });

    const loop = (name: string, period_ms: () => number, run: () => Promise<unknown>, eager = false): Loop => {
      const made = createLoop({ name, world, telemetry, period_ms, run, eager });
      loops.push(made);
      return made;
    };
    const delivery = createDelivery({
      database,
      config,
      outbound,
      world,
      telemetry,
      eventLog,
      onRoom: () => deliver.wake(),
      proofs: extended.map(({ proofs }) => proofs).find((signer) => signer !== undefined) ?? null,
    });
    for (const { name, run } of extended.flatMap(({ jobs }) => jobs)) loop(name, () => heartbeat_ms, run, true);
    const deliver = loop("deliver", () => heartbeat_ms, delivery.sendDue, true);
    loop(
      "expire",
      () => heartbeat_ms,
      () => {
        expiry.beat();
        return expiry.expireDue();
      },
    );
    loop("settle held transfers", () => heartbeat_ms, held.settleHeld);
    loop("release quarantine", () => quarantine_period_ms, release.releaseDue);
    loop("forget replays", () => forget_period_ms, expiry.forgetCreations);

    let cancelWaking: (() => void) | null = null;
    const wakeAll = () => {
      cancelWaking = null;
      for (const one of loops) one.wake();
      reading.wake();
    };
    // Sockets are told at once; the loops ask the database what is due, once for all commits of a moment.
    const committed = () => {
      http.committed();
      cancelWaking ??= world.timer(wake_delay_ms, wakeAll);
    };
    const forgetCommits = database.onCommit(committed);
    const lookAtFile = createFileWatch({ world, telemetry, database, path: opened.path });
    loop(
      "heartbeat",
      () => heartbeat_ms,
      async () => {
        await lookAtFile();
        if (database.changedElsewhere()) committed();
      },
    );

    loop(
      "last event",
      () => last_event_period_ms,
      async () => eventLog.keep(),
    );

    listener = bind(world, needs.config, http.answer);
    for (const one of loops) one.start();
    reading.follow();

    return {
      url: `http://${listener.hostname.includes(":") ? `[${listener.hostname}]` : listener.hostname}:${listener.port}`,

      async reload(next) {
        const current = config.current();
        const { hostname, port } = current.server;
        const wanted = { ...next, database: current.database, server: { ...next.server, hostname, port } };
        for (const extension of extensions) extension.check(wanted);
        await checkNodes(wanted, changedChains(wanted, current));
        await watching.sync(wanted);

        for (const extension of extensions) {
          for (const warning of extension.changeWarnings(current, wanted, world.now())) {
            telemetry.warn("config_warning", { warning });
          }
        }
        config.replace(keepChains(wanted, owingChains(database), current));
        http.clearAdminCache();
        reading.follow();
        committed();
      },

      async stop() {
        forgetCommits();
        cancelWaking?.();
        const finished = listener.stop(false);
        http.closeWaiting();
        await Promise.race([
          Promise.all([
            ...loops.map((one) => one.stop()),
            Promise.race([reading.stop(), world.sleep(poll_grace_ms)]),
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

/** The chains a reload would read differently: other nodes, contracts or coins. */
function changedChains(next: Config, current: Config): ChainSettings[] {
  const nature = (config: Config, settings: ChainSettings | undefined) =>
    settings &&
    JSON.stringify([
      settings.chain_id,
      settings.rpc_urls,
      settings.explorer,
      settings.api_keys,
      settings.tokens,
      [...offeredCoins(config, settings.id)],
    ]);
  return [...next.chains.values()].filter(
    (settings) => nature(next, settings) !== nature(current, current.chains.get(settings.id)),
  );
}

function bind(world: World, config: Config, answer: Parameters<World["listen"]>[0]["answer"]): Listener {
  const { hostname, port } = config.server;
  try {
    return world.listen({ hostname, port, max_body_bytes, answer });
  } catch (error) {
    const code = (error as { code?: string }).code ?? "unknown";
    const cure =
      code === "EADDRNOTAVAIL"
        ? "it is no address of this machine; choose another with --listen"
        : "stop what uses it or choose another with --listen";
    throw new Fault("address_in_use", `server.listen: cannot listen on ${hostname}:${port} (${code}); ${cure}`);
  }
}

/** Throws when a node that answers in time is not the one the configuration means; silence is no reason not to start. */
async function checkIdentity(world: World, config: Config, settings: ChainSettings, source: Source): Promise<void> {
  const late = new AbortController();
  const verdict = await Promise.race([
    verify(source, config, settings).then(
      () => null,
      (error: unknown) => error,
    ),
    world.sleep(identity_timeout_ms, late.signal).then(() => null),
  ]);
  late.abort();
  if (verdict instanceof Fault && (verdict.code === "wrong_chain_id" || verdict.code === "wrong_token")) throw verdict;
}
