// The settings of one appliance as the rest of the code sees them: complete, canonical, with units in the names.

import type { ChainFacts, ChainId, Coin, ExplorerKind, Token } from "../domain/assets.ts";
import type { FinalityTier } from "../domain/finality.ts";
import type { Network } from "../domain/network.ts";
import type { Tolerance } from "../domain/tolerance.ts";

export interface Wallet {
  chain: ChainId;
  /** Canonical. */
  address: string;
  coins: readonly Coin[];
  starting_tx: string | null;
}

/** Keys of services that index chains; null where the file names none. */
export interface ApiKeys extends Readonly<Record<ExplorerKind, string | null>> {
  tronscan: string | null;
}

/** The block explorer of a chain and how it is asked. */
export interface ExplorerSettings {
  kind: ExplorerKind;
  /** Where its API begins, without the key. */
  url: string;
  key: string | null;
  /** True: the chain is read from it first, `rpc_urls` (public ones or none) come after. Else it only compares notes. */
  reads: boolean;
}

export interface ChainSettings {
  id: ChainId;
  facts: ChainFacts;
  chain_id: number;
  rpc_urls: readonly string[];
  /** True when `rpc_urls` are the built-in public endpoints. */
  public_endpoints: boolean;
  /** Null where none may be asked: it needs a key, or nobody asked for explorers. */
  explorer: ExplorerSettings | null;
  api_keys: ApiKeys;
  finality: readonly FinalityTier[];
  poll_ms: number;
  idle_poll_ms: number;
  start_block: number | null;
  /**
   * Payments above this amount count only once a second provider confirms them; "0": all; null: none. `asked`: the file
   * says so; then they wait for it as long as it takes.
   */
  verify: { above: string | null; asked: boolean };
  /** What each of its providers may be asked; null: as much as it takes. */
  requests: { per_second: number | null; per_day: number | null };
  /** Contracts to watch; `coin` is set on those that are accepted as a coin. */
  tokens: readonly Token[];
}

/** Extensions add the settings of their sections to it. */
export interface Config {
  /** Absolute path of the file it was read from. */
  path: string;
  server: {
    hostname: string;
    port: number;
    /** Where payers and merchants reach this server, without a trailing slash; null: derived from `listen`. */
    public_url: string | null;
    signature_window_ms: number;
    /** Peers whose word counts on who a client is and what its request is called. */
    trusted_proxies: readonly Network[];
  };
  database: { path: string };
  /** argon2 hash in PHC form. Empty, which no secret satisfies, in commands that check no admin secret. */
  admin: { secret_hash: string };
  merchant: {
    name: string;
    secret: string;
    /** Accepted beside `secret` while a shop changes over to it; signs only Standard Webhooks, as the second signature. */
    previous_secret: string | null;
    /** Normalised: scheme, host, non-default port. */
    allowed_origins: readonly string[];
    unknown_transfer_webhook_url: string | null;
    strict_url_binding: boolean;
  };
  orders: {
    lifetime_ms: number;
    late_window_ms: number;
    max_surcharge: string;
    /** How much less than asked still pays. */
    underpaid_tolerance: Tolerance;
    /** How much more than is due still pays by itself. */
    overpaid_tolerance: Tolerance;
  };
  webhooks: {
    allow_private_targets: boolean;
    success: "2xx" | "200";
    signature_padding: boolean;
    timeout_ms: number;
  };
  api_keys: ApiKeys;
  wallets: readonly Wallet[];
  /** The chains that have a wallet, in order of first use; then those without one that still owe somebody an amount. */
  chains: ReadonlyMap<ChainId, ChainSettings>;
  /** Chains with a section in the file and no wallet. */
  spare_chains: ReadonlyMap<ChainId, ChainSettings>;
}

/** The live settings: read through `current()` at each use, so that a reload swaps them whole. */
export interface LiveConfig {
  current(): Config;
  replace(config: Config): void;
}

/** The secrets a signature may be made with, the current one first. */
export function merchantSecrets({ merchant }: Config): readonly string[] {
  return merchant.previous_secret === null ? [merchant.secret] : [merchant.secret, merchant.previous_secret];
}

/** Live settings that begin with `first`. */
export function liveConfig(first: Config): LiveConfig {
  let config = first;
  return {
    current: () => config,
    replace: (next) => {
      config = next;
    },
  };
}

/** Decimals of a coin on a chain; null where no contract of it is accepted. All its contracts there have the same. */
export function coinDecimals(config: Config, chain: ChainId, coin: Coin): number | null {
  return config.chains.get(chain)?.tokens.find((token) => token.coin === coin)?.decimals ?? null;
}

/** Wallets that take a coin on a chain, in the order of the file. */
export function walletsFor(config: Config, chain: ChainId, coin: Coin): Wallet[] {
  return config.wallets.filter((wallet) => wallet.chain === chain && wallet.coins.includes(coin));
}

/** Coins that some wallet takes on a chain. */
export function offeredCoins(config: Config, chain: ChainId): Set<Coin> {
  return new Set(config.wallets.filter((wallet) => wallet.chain === chain).flatMap((wallet) => wallet.coins));
}
