// Wallets, chains and tokens of a sound file put together with the built-in facts. Decides which contracts count as
// which coin; reports what the merchant should know about that choice, never refuses anything.

import { canonicalAddress } from "../domain/address.ts";
import {
  type ChainId,
  type Coin,
  chainFacts,
  chainIds,
  coins,
  explorerNames,
  type Token,
  tokens,
} from "../domain/assets.ts";
import type { FinalityTier } from "../domain/finality.ts";
import { canonicalTxHash } from "../domain/tx-hash.ts";
import type { ApiKeys, ChainSettings, Config, Wallet } from "./config.ts";
import { buildApiKeys, explorerOf } from "./explorers.ts";
import { type ChainSection, default_idle_poll_ms, default_poll_ms, type File } from "./schema.ts";

/** Every contract of a chain as the merchant has it: the built-in ones, a coin's replaced where the file names others. */
export function tokensOf(id: ChainId, section: ChainSection | null): Token[] {
  const accepted = coins.flatMap((coin): Token[] => {
    const written = section?.tokens?.[coin];
    if (written === undefined) return tokens[id].filter((token) => token.coin === coin);
    const decimals = written.decimals ?? usualDecimals(id, coin);
    return written.address.map((address) => ({ address, decimals, label: coin, coin }));
  });
  const taken = new Set(accepted.map((token) => token.address));
  return [...accepted, ...tokens[id].filter((token) => token.coin === null && !taken.has(token.address))];
}

/** Decimals of a coin whose contract the file names without them. */
export function usualDecimals(id: ChainId, coin: Coin): number {
  const rows = [...tokens[id], ...chainIds.flatMap((other) => tokens[other])];
  return rows.find((token) => token.coin === coin)?.decimals ?? 6;
}

/** The wallets of a sound file, canonical and in its order. */
export function buildWallets(file: File): Wallet[] {
  return file.wallets.map((entry) => ({
    chain: entry.blockchain,
    address: canonicalAddress(entry.blockchain, entry.address) ?? entry.address,
    coins: [...new Set(entry.enabled_coins)],
    starting_tx: canonicalTxHash(entry.blockchain, entry.starting_tx ?? ""),
  }));
}

/** The settings of every chain that has a wallet, in order of first use. */
export function buildChains(file: File, wallets: readonly Wallet[]): Map<ChainId, ChainSettings> {
  return new Map(
    [...new Set(wallets.map((wallet) => wallet.chain))].map((id) => [
      id,
      buildChain(id, file.chains, wallets, buildApiKeys(file)),
    ]),
  );
}

/** The settings of every chain with a section and without a wallet. */
export function buildSpareChains(file: File, wallets: readonly Wallet[]): Map<ChainId, ChainSettings> {
  const spare = chainIds.filter(
    (id) => file.chains[id] !== undefined && !wallets.some((wallet) => wallet.chain === id),
  );
  return new Map(spare.map((id) => [id, buildChain(id, file.chains, wallets, buildApiKeys(file))]));
}

/**
 * The settings with the chains of `owed` added where they have no wallet: as their section has them, else as they were
 * before, else as they are built in.
 */
export function keepChains(next: Config, owed: readonly ChainId[], before: Config | null): Config {
  const missing = owed.filter((id) => !next.chains.has(id));
  const kept = missing.map((id): [ChainId, ChainSettings] => [
    id,
    next.spare_chains.get(id) ??
      before?.chains.get(id) ??
      before?.spare_chains.get(id) ??
      buildChain(id, {}, [], next.api_keys),
  ]);
  return { ...next, chains: new Map([...next.chains, ...kept]) };
}

function buildChain(
  id: ChainId,
  sections: Partial<File["chains"]>,
  wallets: readonly Wallet[],
  api_keys: ApiKeys,
): ChainSettings {
  const section = sections[id];
  const facts = chainFacts[id];
  const chain_id = section?.chain_id ?? facts.chain_id;
  const rpc_urls = [...new Set(section?.rpc_urls ?? facts.public_rpc_urls)];
  const poll_ms = section?.poll ?? default_poll_ms;
  const finality = section?.finality ?? facts.finality;
  return {
    id,
    facts,
    chain_id,
    rpc_urls,
    public_endpoints: rpc_urls.length > 0 && rpc_urls.every((url) => facts.public_rpc_urls.includes(url)),
    explorer: explorerOf(section ?? null, facts, chain_id, api_keys),
    api_keys,
    finality,
    verify: {
      above: section?.verify === undefined ? usualVerify(finality, rpc_urls) : section.verify,
      asked: section?.verify !== undefined,
    },
    requests: { per_second: section?.requests_per_second ?? null, per_day: section?.requests_per_day ?? null },
    poll_ms,
    idle_poll_ms: section?.idle_poll ?? Math.max(default_idle_poll_ms, poll_ms),
    start_block: section?.start_block ?? null,
    tokens: tokensOf(id, section ?? null).map((token) => settled(token, id, wallets)),
  };
}

/** Where several providers are there, the payments above the first tier are worth asking two. */
function usualVerify(finality: readonly FinalityTier[], rpc_urls: readonly string[]): string | null {
  return companies(rpc_urls) > 1 && finality.length > 1 ? (finality[0]?.up_to ?? null) : null;
}

/** Two keys at one host are one company. */
function companies(urls: readonly string[]): number {
  return new Set(urls.map((url) => new URL(url).host)).size;
}

/** A contract that is accepted only on request counts as its coin where a wallet asks for that coin by name. */
function settled({ on_request, ...token }: Token, id: ChainId, wallets: readonly Wallet[]): Token {
  if (!on_request) return token;
  const asked = wallets.some((wallet) => wallet.chain === id && wallet.coins.some((coin) => coin === token.coin));
  return asked ? token : { ...token, coin: null };
}

/** Why a chain without providers of the merchant's own is read less well. */
function weakness({ id, explorer, public_endpoints }: ChainSettings): string {
  const own = "list your own provider before real money depends on";
  if (explorer === null || !explorer.reads) return `public endpoints, fine for a trial; ${own} them`;
  const stand_in = public_endpoints ? "; public endpoints stand in" : "";
  return `none; ${id} is read from ${explorerNames[explorer.kind]}, which is slower${stand_in}; ${own} it`;
}

/** What the merchant should know about a sound file, one line each. */
export function chainWarnings(
  file: File,
  wallets: readonly Wallet[],
  settings: ReadonlyMap<ChainId, ChainSettings>,
): string[] {
  const warnings = wallets.flatMap((wallet, index) => {
    const onRequest = tokensOf(wallet.chain, file.chains[wallet.chain] ?? null).filter(
      (token) => token.on_request && wallet.coins.some((coin) => coin === token.coin),
    );
    return [
      ...(wallet.coins.length === 0
        ? [`wallets[${index}].enabled_coins: empty; this wallet is never offered to a payer`]
        : []),
      ...onRequest.map(
        (token) =>
          `wallets[${index}].enabled_coins: ${token.coin} on ${wallet.chain} is ${token.address}, ` +
          "which the coin's maker does not issue there, or no longer",
      ),
    ];
  });
  for (const [id, chain] of settings) {
    for (const token of chain.tokens) {
      const known = tokens[id].find((row) => row.address === token.address);
      if (known?.coin === null && token.coin !== null) {
        warnings.push(
          `chains.${id}.tokens.${token.coin}.address: ${token.address} is ${known.label}, another asset than ${token.coin}`,
        );
      }
    }
    if (chain.verify.asked && chain.verify.above !== null && companies(chain.rpc_urls) < 2) {
      warnings.push(
        `chains.${id}.verify: takes providers of two companies, rpc_urls lists one; the payments it covers wait until it lists another`,
      );
    }
    if (chain.public_endpoints || chain.explorer?.reads) warnings.push(`chains.${id}.rpc_urls: ${weakness(chain)}`);
  }
  return warnings;
}
