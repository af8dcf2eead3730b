// Whether the nodes of a configuration are the ones it means, before any chain is read. Each node by itself: a wrong one
// behind a right one would only show once the right one fails.

import type { Source } from "../../chains/source.ts";
import { type ChainSettings, type Config, offeredCoins } from "../../config/config.ts";
import { Fault } from "../../domain/errors.ts";
import type { World } from "../../world.ts";
import { verifyNode } from "./verify-node.ts";

/** How long a node may take to prove that it is the wrong one before the server starts without waiting for it. */
const identity_timeout_ms = 3000;

/**
 * Checks every node of these chains. Faults: wrong_chain_id, wrong_token, of a node that answers in time; silence is no
 * reason not to start.
 */
export async function checkNodes(
  needs: { world: World; connect(settings: ChainSettings): Source },
  config: Config,
  chains: readonly ChainSettings[],
): Promise<void> {
  const nodes = chains.flatMap((settings) => {
    const alone = settings.rpc_urls.map((url) => ({ ...settings, rpc_urls: [url], explorer: null }));
    const explorer = settings.explorer?.reads ? [{ ...settings, rpc_urls: [] }] : [];
    return [...alone, ...explorer].map((one) => ({ settings, node: needs.connect(one) }));
  });
  await Promise.all(nodes.map(({ settings, node }) => checkIdentity(needs.world, config, settings, node)));
}

/** The chains a reload would read differently: other nodes, contracts or coins. */
export function changedChains(next: Config, current: Config): ChainSettings[] {
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

async function checkIdentity(world: World, config: Config, settings: ChainSettings, source: Source): Promise<void> {
  const late = new AbortController();
  const verdict = await Promise.race([
    verifyNode(source, config, settings).then(
      () => null,
      (error: unknown) => error,
    ),
    world.sleep(identity_timeout_ms, late.signal).then(() => null),
  ]);
  late.abort();
  if (verdict instanceof Fault && (verdict.code === "wrong_chain_id" || verdict.code === "wrong_token")) throw verdict;
}
