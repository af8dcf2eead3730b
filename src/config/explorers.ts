// Which block explorer may be asked about a chain, where and with which key. Asks for none unless the file names a key
// or an address: a merchant's wallets are not told to a third party unasked.

import { type ChainFacts, chainFacts, type ExplorerKind } from "../domain/assets.ts";
import type { ApiKeys, ExplorerSettings } from "./config.ts";
import type { ChainSection, File } from "./schema.ts";

/** By chain id, because a configuration may give a chain another one. */
const open_blockscouts = new Map(
  Object.values(chainFacts).flatMap(({ chain_id, blockscout_url }): [number, string][] =>
    blockscout_url === undefined ? [] : [[chain_id, blockscout_url]],
  ),
);

const trongrid_url = "https://api.trongrid.io";

/** The keys of a file. */
export function buildApiKeys({ api_keys }: Pick<File, "api_keys">): ApiKeys {
  return {
    etherscan: api_keys.etherscan_api_key,
    tronscan: api_keys.tronscan_api_key,
    trongrid: api_keys.trongrid_api_key,
    blockscout: api_keys.blockscout_api_key,
    routescan: api_keys.routescan_api_key,
  };
}

/**
 * The explorer of a chain; null where the file gives no leave to ask one. Leave is an address of its own, a key of its
 * own, or, for the explorers that need no key, Etherscan's: then the file wants chains read from explorers.
 */
export function explorerOf(
  section: ChainSection | null,
  facts: ChainFacts,
  chain_id: number,
  keys: ApiKeys,
): ExplorerSettings | null {
  const kind = section?.explorer ?? facts.explorer;
  if (kind === null) return null;
  const key = keys[kind];
  const own_url = section?.explorer_url;
  if (kind === "trongrid") {
    // Where TronGrid's nodes are read, it knows the wallets anyway. Nodes come first wherever there are any.
    const known = (section?.rpc_urls ?? facts.public_rpc_urls).some((url) => new URL(url).origin === trongrid_url);
    return own_url === undefined && key === null && !known
      ? null
      : { kind, url: own_url ?? trongrid_url, key, reads: section?.rpc_urls?.length === 0 };
  }
  const keyless = kind !== "etherscan" && keys.etherscan !== null;
  if (own_url === undefined && key === null && !keyless) return null;
  const url = own_url ?? usualUrl(kind, chain_id, key);
  return url === null ? null : { kind, url, key, reads: (section?.rpc_urls ?? []).length === 0 };
}

/** Null: without a key there is no address. */
function usualUrl(kind: Exclude<ExplorerKind, "trongrid">, chain_id: number, key: string | null): string | null {
  if (kind === "etherscan") return "https://api.etherscan.io/v2/api";
  if (kind === "routescan") return `https://api.routescan.io/v2/network/mainnet/evm/${chain_id}/etherscan/api`;
  return key === null ? (open_blockscouts.get(chain_id) ?? null) : `https://api.blockscout.com/${chain_id}`;
}
