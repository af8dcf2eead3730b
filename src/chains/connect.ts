// From a chain's settings to the Source that reads it: one row per kind of chain.

import type { ChainSettings } from "../config/config.ts";
import type { ChainFacts } from "../domain/assets.ts";
import type { Usage } from "../domain/provider.ts";
import type { Outbound } from "../outbound.ts";
import type { Telemetry } from "../telemetry.ts";
import type { World } from "../world.ts";
import { createBudget } from "./budget.ts";
import { createEvmSource, type EvmSourceNeeds } from "./evm-rpc.ts";
import { createExplorerHistory } from "./explorer-history.ts";
import { createExplorerSource } from "./explorer-source.ts";
import { connectExplorer } from "./explorers.ts";
import type { History } from "./history.ts";
import type { Member } from "./member.ts";
import type { Paces } from "./pace.ts";
import { createPool } from "./pool.ts";
import type { Providers, Source } from "./source.ts";
import { createTronSource } from "./tron-dialect.ts";

export interface ConnectNeeds {
  settings: ChainSettings;
  outbound: Outbound;
  world: World;
  telemetry: Telemetry;
  /** Of the whole appliance: its chains share what a service allows. */
  paces: Paces;
  /** What a provider was asked on its last day, as far as that is remembered. */
  used?: (provider: string) => Usage | null;
}

/** How the JSON-RPC of a kind of chain is read. */
const kinds: Record<ChainFacts["kind"], (needs: EvmSourceNeeds) => Source> = {
  evm: createEvmSource,
  tron: createTronSource,
};

/** The way to read a chain: all its providers as one, its explorer first where it has leave. Sends nothing yet. */
export function connectChain({ settings, outbound, world, telemetry, paces, used }: ConnectNeeds): Providers {
  const { id: chain, chain_id, facts, rpc_urls } = settings;
  const members: Member[] = [];
  const explorer = settings.explorer?.reads ? connectExplorer({ settings, outbound, world, paces }) : null;
  if (explorer !== null) {
    const source = createExplorerSource({ chain, chain_id, explorer, world, telemetry });
    members.push({ provider: explorer.host, source });
  }
  for (const url of rpc_urls) {
    const { host } = new URL(url);
    // Two keys at one provider are two providers: what one has read is not vouched for by the other.
    const namesakes = rpc_urls
      .slice(0, rpc_urls.indexOf(url))
      .filter((earlier) => new URL(earlier).host === host).length;
    const provider = namesakes === 0 ? host : `${host}#${namesakes + 1}`;
    const page_blocks = facts.page_blocks;
    const budget = createBudget({ world, limits: settings.requests, used: used?.(provider) ?? null });
    const needs = { chain, chain_id, url, provider, page_blocks, budget, outbound, world, telemetry };
    members.push({ provider, source: kinds[facts.kind](needs), budget });
  }
  return createPool({ chain, members, world, telemetry });
}

/** An index to compare notes with; null where the settings give leave to ask none. Sends nothing yet. */
export function connectHistory(needs: Omit<ConnectNeeds, "telemetry">): History | null {
  const explorer = connectExplorer(needs);
  return explorer && createExplorerHistory(explorer);
}
