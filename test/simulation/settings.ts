// The settings of simulated appliances: the product's own parser on a real file's text, with the small numbers of
// blocks that the chains of a world have.

import type { ChainSettings, Config } from "../../src/config/config.ts";
import type { OpenchargeDraft, OpenchargeSettings } from "../../src/opencharge/config/settings.ts";
import { publicKeyOf, sha256 } from "../support/opencharge/spelling.ts";
import type { Product } from "./process.ts";
import { indexKinds, readings, type Scenery, type SimChainId, type SimToken, type WalletName } from "./scenery.ts";
import { simulatedHash } from "./world.ts";

export const merchant_secret = "a-merchant-secret";
export const admin_secret = "an-admin-secret";
export const checkout_origin = "https://checkout.example";
export const back_office = "backoffice.example";
export const lifetime_ms = 300_000;
/** What `underpaid_tolerance` may be. */
export const tolerances = [["0.10"], ["0.01"], ["0.5%"], ["2%"], ["10%"], ["0.50", "1%"], ["3"]];
/** What the rules are in most worlds. */
export const usual_rules: OrderRules = {
  underpaid: ["0"],
  overpaid: ["10%"],
  max_surcharge: "0.05",
  late_window_ms: 400_000,
  contracts: "built-in",
};
/** `max_chain_clock_skew_s` of the product, as its documentation states it. */
export const clock_skew_s = 15;

/** How wrong the server's clock may be: with a machine that sleeps, less than what makes signatures look old. */
const wrong_clock_max_s = 120;
/** In worlds where it is set wrong by hours. */
const wrong_by_hours_max_s = 3 * 3600;

/** The most by which the clock of a world's server may be wrong, seconds. */
export const wrongestClock = ({ clock_hours }: { clock_hours: boolean }): number =>
  clock_hours ? wrong_by_hours_max_s : wrong_clock_max_s;

/** Every chain has so many providers; the settings name some of them. */
export const providers_max = 3;
export const wrong_node_host = "other-chain.example";
const idle_factor = 3;

export function providerHost(chain: SimChainId, index: number): string {
  return `${chain}-node-${index}.example`;
}

/** Who is who in the Opencharge network: we are a gateway, as are others, and a merchant trusts both. */
export const network = {
  ocid: 200,
  secret: sha256("our key"),
  merchant: { ocid: 500, secret: sha256("a merchant's key"), host: "merchant.example" },
  gateway: { ocid: 300, secret: sha256("a gateway's key"), host: "gateway.example" },
};

function networkLines({ network: isThere }: Choice): string[] {
  if (isThere !== true) return [];
  const pin = ({ ocid, secret, host }: { ocid: number; secret: string; host: string }) => [
    "[[opencharge.pinned]]",
    `ocid = ${ocid}`,
    `public_key = "${publicKeyOf(secret)}"`,
    `endpoint = "https://${host}/opencharge"`,
  ];
  return [
    "[opencharge]",
    `gateway_ocid = ${network.ocid}`,
    `endpoint = "${checkout_origin}/opencharge"`,
    'private_key_file = "opencharge.key"',
    `merchants = [${network.merchant.ocid}]`,
    'webhook_url = "https://one.example/network"',
    ...pin(network.merchant),
    ...pin(network.gateway),
  ];
}

/** What `[orders]` says. */
export interface OrderRules {
  /** Bounds of `underpaid_tolerance`. */
  underpaid: readonly string[];
  /** Bounds of `overpaid_tolerance`. */
  overpaid: readonly string[];
  max_surcharge: string;
  late_window_ms: number;
  /** Contracts of the main chain's USDT, where there is a second one: the built-in ones, the second, or all. */
  contracts: "built-in" | "second" | "all";
}

/** What an operator changes while the shop is open. */
export interface Choice {
  rules: OrderRules;
  wallets: readonly WalletName[];
  /** Nodes per chain. */
  providers: number;
  /** An address for unknown transfers is set. */
  tell: boolean;
  poll_s: number;
  /** Chains that have an index: read instead of nodes, or beside them. */
  indexes?: Partial<Record<SimChainId, "alone" | "beside">> | undefined;
  /** Orders of the Opencharge network are taken. */
  network?: boolean;
  /** A node of the other chain is named among those of the side chain. */
  wrong_node?: boolean;
}

/** Parsed once each: a world has few different settings, and reads them at every start and reload. */
const parsed = new WeakMap<Product, Map<string, Config>>();

/** The settings of a choice, read from the text of a file. */
export function configFor(product: Product, database: string, scenery: Scenery, choice: Choice): Config {
  const known = parsed.get(product) ?? new Map<string, Config>();
  parsed.set(product, known);
  const key = JSON.stringify([scenery.chains, choice]);
  const config = known.get(key) ?? read(product, scenery, choice);
  known.set(key, config);
  return { ...config, database: { ...config.database, path: database } };
}

export function indexHost(chain: SimChainId): string {
  return `${chain}-index.example`;
}

function indexLines(chain: SimChainId, { indexes }: Choice): string[] {
  if (indexes?.[chain] === undefined) return [];
  const kind = indexKinds[chain];
  const path = kind === "etherscan" || kind === "routescan" ? "/api" : "";
  return [`explorer = "${kind}"`, `explorer_url = "https://${indexHost(chain)}${path}"`];
}

function nodeUrls(chain: SimChainId, is_side: boolean, { providers, indexes, wrong_node = false }: Choice): string {
  if (indexes?.[chain] === "alone") return "[]";
  const hosts = Array.from({ length: providers }, (_, index) => providerHost(chain, index));
  if (wrong_node && is_side) hosts.push(wrong_node_host);
  return JSON.stringify(hosts.map((host) => `https://${host}/key`));
}

function read(product: Product, scenery: Scenery, choice: Choice): Config {
  const { side, wallets } = scenery;
  const named = scenery.second === null ? [] : contractsOf(scenery, scenery.second, choice.rules);
  const lines = [
    "[server]",
    'listen = "127.0.0.1:8080"',
    "[admin]",
    `secret = "${simulatedHash(admin_secret)}"`,
    ...(choice.indexes?.tron === undefined ? [] : ["[api_keys]", 'trongrid_api_key = "grid-key"']),
    "[merchant]",
    'name = "A shop"',
    `secret = "${merchant_secret}"`,
    `allowed_origins = ["${checkout_origin}"]`,
    choice.tell ? `unknown_transfer_webhook_url = "https://${back_office}/unknown"` : "",
    "[orders]",
    `lifetime = "${lifetime_ms}ms"`,
    `late_window = "${choice.rules.late_window_ms}ms"`,
    `max_surcharge = "${choice.rules.max_surcharge}"`,
    `overpaid_tolerance = ${JSON.stringify(choice.rules.overpaid)}`,
    `underpaid_tolerance = ${JSON.stringify(choice.rules.underpaid)}`,
    "[webhooks]",
    'timeout = "5s"',
    ...scenery.chains.flatMap((chain) => [
      `[chains.${chain}]`,
      `rpc_urls = ${nodeUrls(chain, chain === side, choice)}`,
      ...indexLines(chain, choice),
      `finality = ${readings[chain].finality}`,
      `poll = "${choice.poll_s}s"`,
      `idle_poll = "${choice.poll_s * idle_factor}s"`,
    ]),
    ...(named.length === 0 ? [] : [`[chains.${scenery.main}.tokens.USDT]`, `address = ${JSON.stringify(named)}`]),
    ...choice.wallets.flatMap((name) => [
      "[[wallets]]",
      `blockchain = "${wallets[name].chain}"`,
      `address = "${wallets[name].address}"`,
      `enabled_coins = [${wallets[name].coins.map((coin) => `"${coin}"`)}]`,
    ]),
    ...networkLines(choice),
  ];
  const over = { database: "/simulated/ocrch.db" };
  const sections = product.extensionSections;
  const parsed = product.parseConfig(lines.join("\n"), "/simulated/ocrch-config.toml", over, sections);
  const { draft, problems } = parsed;
  if (draft === null) throw new Error(problems.join("\n"));
  const section = parsed.sections.opencharge?.settings;
  const small = (chains: Config["chains"]) =>
    new Map([...chains].map(([id, settings]) => [id, shrunk(settings, scenery)]));
  return {
    ...draft,
    admin: { secret_hash: draft.admin.secret },
    // Its key is in no file of a simulated machine.
    opencharge: section === undefined ? null : withKey(section as OpenchargeDraft),
    chains: small(draft.chains),
    spare_chains: small(draft.spare_chains),
  };
}

function withKey({ private_key_file, previous, gateway_key, ...rest }: OpenchargeDraft): OpenchargeSettings {
  return { ...rest, secret_key: network.secret, previous: null, gateway_key: null };
}

/** The contracts of a token's coin that rules name. */
export function contractsOf(scenery: Scenery, { chain, coin }: SimToken, { contracts }: OrderRules): string[] {
  const all = scenery.tokens.filter((one) => one.chain === chain && one.coin === coin);
  const isNamed = (one: SimToken) =>
    contracts === "all" || (contracts === "second" ? one === scenery.second : one !== scenery.second);
  const isChanging = all.some((one) => one === scenery.second);
  return all.filter((one) => !isChanging || isNamed(one)).map(({ address }) => address);
}

function shrunk(settings: ChainSettings, scenery: Scenery): ChainSettings {
  const { final, tagless_depth, overlap, page_blocks } = readings[settings.id as SimChainId];
  const isWatched = ({ address }: { address: string }) =>
    scenery.tokens.some((token) => token.chain === settings.id && token.address === address);
  const tokens = settings.tokens.filter(isWatched);
  return { ...settings, tokens, facts: { ...settings.facts, final, tagless_depth, overlap, page_blocks } };
}
