// Our own side of the network on a real listener over a real database, with a clock that tests move by hand: both the
// wall clock and, for memories that run out, the monotonic one.

import { liveConfig } from "../../../src/config/config.ts";
import { parseNetwork } from "../../../src/domain/network.ts";
import { createHttp, max_body_bytes } from "../../../src/http/server.ts";
import type { OpenchargeSettings } from "../../../src/opencharge/config/settings.ts";
import { createOpenchargeHttp } from "../../../src/opencharge/http/api.ts";
import { createOpenchargeAccess } from "../../../src/opencharge/services/access.ts";
import { createDirectory } from "../../../src/opencharge/services/directory.ts";
import { createGateway } from "../../../src/opencharge/services/gateway.ts";
import { createLocalIdentitySource } from "../../../src/opencharge/services/identity.ts";
import { createIssuers } from "../../../src/opencharge/services/issuers.ts";
import { createNetworkLimits } from "../../../src/opencharge/services/limits.ts";
import { createOpenchargeMerchant } from "../../../src/opencharge/services/merchant.ts";
import { createPayments } from "../../../src/opencharge/services/payments.ts";
import { createProofList } from "../../../src/opencharge/services/proof-list.ts";
import { createProofs } from "../../../src/opencharge/services/proofs.ts";
import { createOutbound } from "../../../src/outbound.ts";
import { createCheckout } from "../../../src/services/checkout.ts";
import { createExpiry } from "../../../src/services/expiry.ts";
import { createInbox } from "../../../src/services/inbox.ts";
import { createOperator } from "../../../src/services/operator.ts";
import { createOrderFeed } from "../../../src/services/order-feed.ts";
import { createPaymentRules } from "../../../src/services/payment-rules.ts";
import { createWatching } from "../../../src/services/watching.ts";
import { openDepositsOf } from "../../../src/storage/deposits.ts";
import { eventsAfter } from "../../../src/storage/outbox.ts";
import { insertTransfer, judgeTransfer } from "../../../src/storage/transfers.ts";
import { createTelemetry } from "../../../src/telemetry.ts";
import { realWorld, type World } from "../../../src/world.ts";
import { claimsOver } from "../claims.ts";
import { testConfig } from "../server.ts";
import { tempDatabase } from "../temp-database.ts";

export const shop_ocid = 500;
export const shop_secret = "11".repeat(32);
const events_max = 1000;

export type Shop = Awaited<ReturnType<typeof startShop>>;

/** Settings of a merchant whose catalogue sells coffee and croissants. */
export function shopSettings(given: Partial<OpenchargeSettings>): OpenchargeSettings {
  return {
    merchant_ocid: shop_ocid,
    gateway_ocid: null,
    secret_key: shop_secret,
    gateway_key: null,
    previous: null,
    endpoint: "",
    name: "Corner shop",
    description: null,
    icon: null,
    contact: null,
    accepts: [],
    currencies: ["USD"],
    orders: "catalog",
    order_form: "mirror",
    approval_url: null,
    approved: [],
    blocked: [],
    merchants: [shop_ocid],
    completed_url: "https://merchant.example/checkout/success",
    cancelled_url: "https://merchant.example/checkout/cancelled",
    webhook_url: null,
    require_signed_config: false,
    items: [
      { ...plain_item, id: "item_001", name: "Large Coffee", price: "5.00" },
      { ...plain_item, id: "item_002", name: "Croissant", price: "5.00", quantity: 3, max_qty: 5 },
    ],
    pinned: [],
    partners: [],
    registry: null,
    ...given,
  };
}

const plain_item = { description: null, quantity: null, min_qty: 1, max_qty: null, images: [], url: null };

/** Starts one on a free port. `pinned` names others by where their metadata is. */
export async function startShop(
  options: {
    settings?: Partial<OpenchargeSettings>;
    allow_private_targets?: boolean;
    world?: Partial<World>;
    trusted_proxies?: string[];
  } = {},
) {
  let ahead_ms = 0;
  const log: string[] = [];
  const real = realWorld();
  const world: World = {
    ...real,
    now: () => real.now() + ahead_ms,
    elapsed: () => real.elapsed() + ahead_ms,
    warn: (line) => void log.push(line),
    ...options.world,
  };
  const telemetry = createTelemetry(world);
  const temp = tempDatabase({ world });
  const { database } = temp;
  const trusted_proxies = (options.trusted_proxies ?? []).flatMap((text) => parseNetwork(text) ?? []);
  const base = testConfig({
    webhooks: { allow_private_targets: options.allow_private_targets ?? true },
    server: { trusted_proxies },
  });
  const config = liveConfig(base);
  const rules = createPaymentRules({ config });
  const expiry = createExpiry({ ...rules, database, config, world });
  const outbound = createOutbound({ world });
  const identities = createLocalIdentitySource({ config });
  const directory = createDirectory({ config, outbound, world, telemetry, identities });
  const limits = createNetworkLimits({ world });
  const issuers = createIssuers({ config, outbound, world, directory, identities });
  const network = { ...rules, database, config, world, telemetry, identities, directory, issuers, outbound, limits };
  const operator = createOperator({ ...rules, database, config });
  const access = createOpenchargeAccess(network);
  const services = {
    identities,
    access,
    limits,
    merchant: createOpenchargeMerchant(network),
    gateway: createGateway(network),
    payments: createPayments(network),
    proofs: createProofs(network),
    proofList: createProofList(network),
  };
  await createWatching({ database }).sync(base);
  const checkout = createCheckout({ ...rules, database, config });
  const http = createHttp({
    world,
    telemetry,
    config,
    orderFeed: createOrderFeed({ database, eventLog: { keep() {} } }),
    checkout,
    operator,
    claims: claimsOver({ database, config, world, telemetry }),
    inbox: createInbox({ ...rules, database, config }),
    extensions: [(door) => createOpenchargeHttp({ ...network, ...door, checkout, services })],
    version: "1",
  });
  const listener = world.listen({ hostname: "127.0.0.1", port: 0, max_body_bytes, answer: http.answer });
  const origin = `http://127.0.0.1:${listener.port}`;
  const endpoint = `${origin}/opencharge`;
  config.replace({ ...base, opencharge: shopSettings({ endpoint, ...options.settings }) });

  return {
    origin,
    endpoint,
    metadata_url: `${endpoint}/metadata.json`,
    database,
    directory,
    limits,
    gateway: services.gateway,
    proofs: services.proofs,
    operator,
    log,
    now: world.now,
    advance(ms: number) {
      ahead_ms += ms;
    },
    /** Swaps the settings of the section; null takes it away. */
    reconfigure(given: Partial<OpenchargeSettings> | null) {
      const opencharge = given === null ? null : shopSettings({ endpoint, ...options.settings, ...given });
      config.replace({ ...base, opencharge });
    },
    checkout,
    /** Ends the orders whose time has passed, as the appliance does every second. */
    expire: () => expiry.expireDue(),
    /** A transfer that pays the order's deposit is seen and not yet final. */
    seeTransfer(order_id: string) {
      return database.transact((tx) => {
        const [deposit] = openDepositsOf(tx, order_id);
        if (deposit === undefined) throw new Error("nothing is awaited");
        const { chain, coin, wallet, amount, units } = deposit;
        const block = { number: 1, hash: `0x${"1".repeat(64)}`, time: 1 };
        const place = { tx_hash: `0x${"2".repeat(64)}`, log_index: 0, position: 0, block };
        const transfer = { chain, token: "0x", sender: wallet, wallet, units: BigInt(units), ...place };
        const { id } = insertTransfer(tx, transfer, { coin, label: coin, amount, finality: "12" });
        const judged = { status: "waiting_for_confirmation", deposit: deposit.id, part: false, reason: null } as const;
        judgeTransfer(tx, id, { ...judged, likely_order: null, confirmed_at: null });
      });
    },
    /** A final transfer pays a part of the order. */
    payPart(order_id: string, amount: string) {
      return database.transact((tx) => {
        const [deposit] = openDepositsOf(tx, order_id);
        if (deposit === undefined) throw new Error("nothing is awaited");
        const { chain, coin, wallet } = deposit;
        const block = { number: 1, hash: `0x${"1".repeat(64)}`, time: 1 };
        const place = { tx_hash: `0x${"3".repeat(64)}`, log_index: 0, position: 0, block };
        const transfer = { chain, token: "0x", sender: wallet, wallet, units: 1n, ...place };
        const row = insertTransfer(tx, transfer, { coin, label: coin, amount, finality: "12" });
        rules.crediting.credit(tx, { transfer: row, order_id, kind: "assign" });
      });
    },
    /** Types of the events so far, with the status of those that have one. */
    events: () =>
      database.read((at) =>
        eventsAfter(at, 0, events_max).map(({ type, body }) => {
          const { status } = JSON.parse(body) as { status?: string };
          return status === undefined ? type : `${type} ${status}`;
        }),
      ),
    async stop() {
      http.closeWaiting();
      await listener.stop(true);
      await temp.close();
    },
  };
}
