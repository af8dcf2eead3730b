// From a chain's settings to the Source that reads it: one row per kind of chain.

import type { ChainSettings } from "../config/config.ts";
import type { ChainFacts } from "../domain/assets.ts";
import type { DailyUsage } from "../domain/provider.ts";
import type { RateLimiters } from "../limits/rate-limiter.ts";
import { createRequestQuota, type RequestQuota } from "../limits/request-quota.ts";
import type { Outbound } from "../outbound.ts";
import type { Telemetry } from "../telemetry.ts";
import type { World } from "../world.ts";
import { createExplorerHistory } from "./explorers/explorer-history.ts";
import { createExplorerSource } from "./explorers/explorer-source.ts";
import { connectExplorer } from "./explorers/explorers.ts";
import type { History } from "./history.ts";
import type { Member } from "./pool/member.ts";
import { createPool } from "./pool/pool.ts";
import { createProbe, type Probe } from "./probe.ts";
import { createEvmSource, type EvmSourceNeeds } from "./rpc/evm-rpc.ts";
import type { Providers, Source } from "./source.ts";
import { createTronSource } from "./tron/tron-dialect.ts";
import { createTronHttpClient } from "./tron/tron-http-client.ts";
import type { TronGridNeeds } from "./tron/trongrid.ts";
import { createTronGridHistory, createTronGridSource } from "./tron/trongrid-source.ts";
import { createTronscan } from "./tron/tronscan.ts";

const tronscan_url = "https://apilist.tronscanapi.com";

export interface ConnectNeeds {
  settings: ChainSettings;
  outbound: Outbound;
  world: World;
  telemetry: Telemetry;
  /** Of the whole appliance: its chains share what a service allows. */
  rateLimiters: RateLimiters;
  /** What a provider was asked on its last day, as far as that is remembered. */
  used?: (provider: string) => DailyUsage | null;
}

/** How the JSON-RPC of a kind of chain is read. */
const kinds: Record<ChainFacts["kind"], (needs: EvmSourceNeeds) => Source> = {
  evm: createEvmSource,
  tron: createTronSource,
};

/** The way to read a chain: all its providers as one, its explorer first where it has leave. Sends nothing yet. */
export function connectChain(needs: ConnectNeeds): Providers {
  const { settings, world, telemetry, used } = needs;
  const { id: chain, chain_id, rpc_urls } = settings;
  const members: Member[] = [];
  if (settings.explorer?.reads) {
    const { host: provider } = new URL(settings.explorer.url);
    // The rate limiter, which all chains share, decides how many leave per second.
    const limits = { ...settings.requests, per_second: null };
    const quota = createRequestQuota({ world, limits, used: used?.(provider) ?? null });
    const explorer = connectExplorer({ ...needs, quota });
    const source = explorer && createExplorerSource({ chain, chain_id, explorer, world, telemetry });
    if (source !== null) members.push({ provider, source, quota });
  }
  for (const url of rpc_urls) {
    const provider = providerName(rpc_urls, url);
    const quota = createRequestQuota({ world, limits: settings.requests, used: used?.(provider) ?? null });
    members.push({ provider, source: connectNode(needs, url, quota), quota });
  }
  const grid = tronGridNeeds(needs);
  if (grid !== null) members.push(createTronGridSource({ ...grid, telemetry }));
  return createPool({ chain, members, world, telemetry });
}

/** One node by itself, without the others to stand in for it. Sends nothing yet. */
export function connectNode(needs: ConnectNeeds, url: string, quota?: RequestQuota): Source {
  const { settings, world, telemetry } = needs;
  const { id: chain, chain_id, facts, rpc_urls } = settings;
  const { page_blocks } = facts;
  const provider = providerName(rpc_urls, url);
  const node = { chain, chain_id, url, provider, page_blocks, outbound: nodeWay(needs), world, telemetry };
  return kinds[facts.kind](quota === undefined ? node : { ...node, quota });
}

/** A closer look at one node, for an operator. Sends nothing yet. */
export function connectProbe(needs: ConnectNeeds, url: string): Probe {
  return createProbe({ ...needs, outbound: nodeWay(needs), url });
}

/** The way to a chain's nodes, with a key where one belongs there. */
function nodeWay(needs: ConnectNeeds): Outbound {
  return needs.settings.facts.kind === "tron" ? tronWay(needs) : needs.outbound;
}

/** Host and port. Two keys at one provider are two providers: what one has read is not vouched for by the other. */
function providerName(rpc_urls: readonly string[], url: string): string {
  const { host } = new URL(url);
  const namesakes = rpc_urls.slice(0, rpc_urls.indexOf(url)).filter((earlier) => new URL(earlier).host === host).length;
  return namesakes === 0 ? host : `${host}#${namesakes + 1}`;
}

/** An index to compare notes with; null where the settings give leave to ask none. Sends nothing yet. */
export function connectHistory(needs: Omit<ConnectNeeds, "telemetry">): History | null {
  if (needs.settings.facts.kind === "tron") return connectTronHistory(needs);
  const explorer = connectExplorer(needs);
  return explorer && createExplorerHistory(explorer);
}

/** Tronscan where there is a key for it: an index of another company than TronGrid, whose nodes may be the ones read. */
function connectTronHistory(needs: Omit<ConnectNeeds, "telemetry">): History | null {
  const { outbound, rateLimiters, settings } = needs;
  const key = settings.api_keys.tronscan;
  if (key !== null) {
    const way = createTronHttpClient({ outbound, rateLimiters, service: "tronscan", key, marked: tronscan_url });
    return createTronscan({ url: tronscan_url, outbound: way });
  }
  const grid = tronGridNeeds(needs);
  return grid && createTronGridHistory(grid);
}

/** What TronGrid's REST API takes to be read; null where the settings give no leave to ask it. */
function tronGridNeeds(needs: Omit<ConnectNeeds, "telemetry">): TronGridNeeds | null {
  const { id: chain, chain_id, facts, explorer } = needs.settings;
  if (explorer?.kind !== "trongrid") return null;
  const { page_blocks } = facts;
  return { chain, chain_id, url: explorer.url, page_blocks, outbound: tronWay(needs), world: needs.world };
}

function tronWay({ settings, outbound, rateLimiters }: Omit<ConnectNeeds, "telemetry">): Outbound {
  const marked = settings.explorer?.url ?? null;
  return createTronHttpClient({ outbound, rateLimiters, service: "trongrid", key: settings.api_keys.trongrid, marked });
}
