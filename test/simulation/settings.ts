// The settings of simulated appliances: the product's own parser on a real file's text, and chains whose numbers are
// small, so that a few hundred seconds hold what takes a day elsewhere.

import type { ChainSettings, Config } from "../../src/config/config.ts";
import type { ChainId } from "../../src/domain/assets.ts";
import type { Finality } from "../../src/domain/finality.ts";
import type { ChainTraits } from "./chain.ts";
import type { Product } from "./process.ts";
import { simulatedHash } from "./world.ts";

export const merchant_secret = "a-merchant-secret";
export const admin_secret = "an-admin-secret";
export const checkout_origin = "https://checkout.example";
export const back_office = "backoffice.example";
export const lifetime_ms = 300_000;
export const late_window_ms = 400_000;
/** `max_chain_clock_skew_s` of the product, as its documentation states it. */
export const clock_skew_s = 15;

/** How wrong the server's clock may be: with a machine that sleeps, less than what makes signatures look old. */
export const wrong_clock_max_s = 120;

export const wallets = {
  first: { chain: "eth", address: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", coins: ["USDT", "DAI"] },
  second: { chain: "eth", address: "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC", coins: ["USDT"] },
  third: { chain: "polygon", address: "0x90F79bf6EB2c4f870365E785982E1f101E93b906", coins: ["USDC"] },
} as const;
export type WalletName = keyof typeof wallets;

export interface SimToken {
  chain: "eth" | "polygon";
  address: string;
  decimals: number;
  /** Null: watched, never credited. */
  coin: "USDT" | "DAI" | "USDC" | null;
}

export const simTokens: readonly SimToken[] = [
  { chain: "eth", address: "0xdAC17F958D2ee523a2206206994597C13D831ec7", decimals: 6, coin: "USDT" },
  { chain: "eth", address: "0x6B175474E89094C44Da98b954EedeAC495271d0F", decimals: 18, coin: "DAI" },
  { chain: "polygon", address: "0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359", decimals: 6, coin: "USDC" },
  { chain: "polygon", address: "0x2791Bca1f2de4661ED88A30C99A7a9449Aa84174", decimals: 6, coin: null },
];

/** What is read of a chain in a simulation, beside the chain itself. */
interface Reading {
  traits: Omit<ChainTraits, "reorg_max" | "skew_s">;
  final: Finality;
  tagless_depth: number;
  overlap: number;
  page_blocks: number;
  finality: string;
}

export const readings = {
  eth: {
    traits: { id: "eth", chain_id: 1, block_s: 12, safe_depth: 5, final_depth: 8 },
    final: { tag: "finalized" },
    tagless_depth: 10,
    overlap: 4,
    page_blocks: 16,
    finality: '[{ up_to = "50", finality = 3 }, { finality = "finalized" }]',
  },
  polygon: {
    traits: { id: "polygon", chain_id: 137, block_s: 5, safe_depth: 4, final_depth: 5 },
    final: { blocks: 7 },
    tagless_depth: 8,
    overlap: 5,
    page_blocks: 20,
    finality: '[{ up_to = "50", finality = "finalized" }, { finality = "finalized+9" }]',
  },
} satisfies Record<string, Reading>;
export type SimChainId = keyof typeof readings;

/** Blocks on top of which a small payment on eth counts. */
export const eth_small_blocks = 3;

/** Every chain has so many providers; the settings name some of them. */
export const providers_max = 3;
export const wrong_node_host = "other-chain.example";
const idle_factor = 3;

export function providerHost(chain: SimChainId, index: number): string {
  return `${chain}-node-${index}.example`;
}

/** What an operator changes while the shop is open. */
export interface Choice {
  wallets: readonly WalletName[];
  /** Nodes per chain. */
  providers: number;
  /** An address for unknown transfers is set. */
  tell: boolean;
  poll_s: number;
  /** A node of another chain is named among those of polygon. */
  wrong_node?: boolean;
}

/** Parsed once each: a world has few different settings, and reads them at every start and reload. */
const parsed = new WeakMap<Product, Map<string, Config>>();

/** The settings of a choice, read from the text of a file. */
export function configFor(product: Product, database: string, choice: Choice): Config {
  const known = parsed.get(product) ?? new Map<string, Config>();
  parsed.set(product, known);
  const key = JSON.stringify(choice);
  const config = known.get(key) ?? read(product, choice);
  known.set(key, config);
  return { ...config, database: { ...config.database, path: database } };
}

function nodeUrls(chain: SimChainId, { providers, wrong_node = false }: Choice): string {
  const hosts = Array.from({ length: providers }, (_, index) => providerHost(chain, index));
  if (wrong_node && chain === "polygon") hosts.push(wrong_node_host);
  return JSON.stringify(hosts.map((host) => `https://${host}/key`));
}

function read(product: Product, choice: Choice): Config {
  const lines = [
    "[server]",
    'listen = "127.0.0.1:8080"',
    "[admin]",
    `secret = "${simulatedHash(admin_secret)}"`,
    "[merchant]",
    'name = "A shop"',
    `secret = "${merchant_secret}"`,
    `allowed_origins = ["${checkout_origin}"]`,
    choice.tell ? `unknown_transfer_webhook_url = "https://${back_office}/unknown"` : "",
    "[orders]",
    `lifetime = "${lifetime_ms}ms"`,
    `late_window = "${late_window_ms}ms"`,
    'max_surcharge = "0.05"',
    "[webhooks]",
    'timeout = "5s"',
    ...(Object.keys(readings) as SimChainId[]).flatMap((chain) => [
      `[chains.${chain}]`,
      `rpc_urls = ${nodeUrls(chain, choice)}`,
      `finality = ${readings[chain].finality}`,
      `poll = "${choice.poll_s}s"`,
      `idle_poll = "${choice.poll_s * idle_factor}s"`,
    ]),
    ...choice.wallets.flatMap((name) => [
      "[[wallets]]",
      `blockchain = "${wallets[name].chain}"`,
      `address = "${wallets[name].address}"`,
      `enabled_coins = [${wallets[name].coins.map((coin) => `"${coin}"`)}]`,
    ]),
  ];
  const { draft, problems } = product.parseConfig(lines.join("\n"), "/simulated/ocrch-config.toml", {
    database: "/simulated/ocrch.db",
  });
  if (draft === null) throw new Error(problems.join("\n"));
  const small = (chains: Config["chains"]) => new Map([...chains].map(([id, settings]) => [id, shrunk(settings)]));
  return {
    ...draft,
    admin: { secret_hash: draft.admin.secret },
    chains: small(draft.chains),
    spare_chains: small(draft.spare_chains),
  };
}

function shrunk(settings: ChainSettings): ChainSettings {
  const reading: Reading | undefined = (readings as Partial<Record<ChainId, Reading>>)[settings.id];
  if (reading === undefined) return settings;
  const { final, tagless_depth, overlap, page_blocks } = reading;
  const tokens = settings.tokens.filter((token) => simTokens.some(({ address }) => address === token.address));
  return { ...settings, tokens, facts: { ...settings.facts, final, tagless_depth, overlap, page_blocks } };
}
