// From a chain's explorer settings to its adapter: one row per kind, with how often each lets itself be asked.

import type { ChainSettings, ExplorerSettings } from "../../config/config.ts";
import { type ExplorerKind, explorerNames } from "../../domain/assets.ts";
import type { Allowance, RateLimiter, RateLimiters } from "../../limits/rate-limiter.ts";
import type { RequestQuota } from "../../limits/request-quota.ts";
import type { Outbound } from "../../outbound.ts";
import type { World } from "../../world.ts";
import { createBlockscout } from "./blockscout.ts";
import { createEtherscan } from "./etherscan.ts";
import type { Explorer } from "./explorer.ts";
import { createExplorerHttp, type ExplorerHttp } from "./explorer-http.ts";

export interface ExplorerNeeds {
  settings: ChainSettings;
  outbound: Outbound;
  world: World;
  rateLimiters: RateLimiters;
  /** Counts its requests as well, where the chain has a quota. */
  quota?: RequestQuota;
}

interface Kind {
  /** Of the free plan: what a key pays for beyond it is not known. */
  allowance(key: string | null): Allowance;
  connect(needs: ExplorerNeeds, http: ExplorerHttp, limiter: RateLimiter): Explorer;
}

/** TronGrid is no index beside a node, but a way of its own to read: see connect.ts. */
const kinds: Record<Exclude<ExplorerKind, "trongrid">, Kind> = {
  etherscan: {
    allowance: () => ({ per_second: 3, per_day: 100_000 }),
    connect: (needs, http) => etherscanShaped("etherscan", needs, http),
  },
  routescan: {
    allowance: (key) => (key === null ? { per_second: 2, per_day: 10_000 } : { per_second: 5, per_day: 100_000 }),
    connect: (needs, http) => etherscanShaped("routescan", needs, http),
  },
  blockscout: {
    allowance: (key) => ({ per_second: key === null ? 10 : 5, per_day: null }),
    connect: ({ settings: { facts }, outbound, world }, http, limiter) =>
      createBlockscout({ facts, http, limiter, outbound, world }),
  },
};

/** The explorer of a chain; null when its settings name none. Sends nothing yet. */
export function connectExplorer(needs: ExplorerNeeds): Explorer | null {
  const { settings, outbound, rateLimiters } = needs;
  const { explorer } = settings;
  if (explorer === null || explorer.kind === "trongrid") return null;
  const kind = kinds[explorer.kind];
  const limiter = paid(limiterOf(settings, explorer, kind.allowance(explorer.key), rateLimiters), needs.quota);
  const key_hint = `check ${keyName(explorer.kind)}, or list chains.${settings.id}.rpc_urls`;
  const http = createExplorerHttp({ url: explorer.url, key: explorer.key, key_hint, limiter, outbound });
  return kind.connect(needs, http, limiter);
}

/** What the chain's settings say of its providers counts for an explorer that is one: a plan that was paid allows more. */
function limiterOf(
  { requests }: ChainSettings,
  explorer: ExplorerSettings,
  free: Allowance,
  rateLimiters: RateLimiters,
): RateLimiter {
  const { url, key, reads } = explorer;
  const per_second = (reads ? requests.per_second : null) ?? free.per_second;
  const per_day = (reads ? requests.per_day : null) ?? free.per_day;
  return rateLimiters.of(`${new URL(url).host} ${key} ${per_second} ${per_day}`, { per_second, per_day });
}

function paid(limiter: RateLimiter, quota: RequestQuota | undefined): RateLimiter {
  if (quota === undefined) return limiter;
  return {
    ...limiter,
    async acquire() {
      await quota.take(1);
      await limiter.acquire();
    },
  };
}

function etherscanShaped(kind: "etherscan" | "routescan", needs: ExplorerNeeds, http: ExplorerHttp): Explorer {
  const { id, facts, chain_id } = needs.settings;
  const refuser = {
    name: explorerNames[kind],
    chain_name: facts.name,
    chain: id,
    key_name: keyName(kind),
    redact: http.redact,
  };
  return createEtherscan({ http, refuser, chain_id, names_chain: kind === "etherscan", world: needs.world });
}

function keyName(kind: ExplorerKind): string {
  return `api_keys.${kind}_api_key`;
}
