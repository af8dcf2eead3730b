// Whether a chain's nodes are the ones the configuration means. Asks and judges; changes nothing.

import type { Source } from "../../chains/source.ts";
import { type ChainSettings, type Config, offeredCoins } from "../../config/config.ts";
import { Fault } from "../../domain/errors.ts";

/**
 * Compares a node with the configuration. Faults: wrong_chain_id, wrong_token (a contract of an offered coin whose
 * `decimals()` differs or is missing), and the provider faults.
 */
export async function verifyNode(source: Source, config: Config, settings: ChainSettings): Promise<void> {
  const offered = offeredCoins(config, settings.id);
  const tokens = settings.tokens.filter((token) => token.coin !== null && offered.has(token.coin));
  const identity = await source.identity(tokens.map((token) => token.address));
  const node = source
    .reports()
    .map((report) => report.provider)
    .join(", ");
  if (identity.chain_id !== settings.chain_id) {
    throw new Fault(
      "wrong_chain_id",
      `chains.${settings.id}.rpc_urls: ${node} serves chain ${identity.chain_id}, expected ${settings.chain_id}; correct the URL, or set chains.${settings.id}.chain_id`,
    );
  }
  for (const token of tokens) {
    const found = identity.decimals.get(token.address);
    if (found === token.decimals) continue;
    const says = found === null || found === undefined ? "answers no decimals()" : `has ${found} decimals`;
    throw new Fault(
      "wrong_token",
      `chains.${settings.id}.tokens.${token.coin}: ${token.address} ${says} at ${node}, expected ${token.decimals}; correct address or decimals`,
    );
  }
}
