// From a chain's explorer settings to its adapter: one row per kind, with how often each lets itself be asked.

import type { ChainSettings, ExplorerSettings } from "../config/config.ts";
import { type ExplorerKind, explorerNames } from "../domain/assets.ts";
import type { Outbound } from "../outbound.ts";
import type { World } from "../world.ts";
import { createBlockscout } from "./blockscout.ts";
import { createEtherscan } from "./etherscan.ts";
import type { Explorer } from "./explorer.ts";
import { createExplorerHttp, type ExplorerHttp } from "./explorer-http.ts";
import type { Allowance, Pace, Paces } from "./pace.ts";

export interface ExplorerNeeds {
  settings: ChainSettings;
  outbound: Outbound;
  world: World;
  paces: Paces;
}

interface Kind {
  /** Of the free plan: what a key pays for beyond it is not known. */
  allowance(key: string | null): Allowance;
  connect(needs: ExplorerNeeds, http: ExplorerHttp, pace: Pace): Explorer;
}

/** TronGrid is no index beside a node, but a way of its own to read: see connect.ts. */
const kinds: Record<Exclude<ExplorerKind, "trongrid">, Kind> = {
  etherscan: {
    allowance: () => ({ per_second: 3, per_day: 100_000 }),
    connect: (needs, http) => etherscanShaped(needs, http, true),
  },
  routescan: {
    allowance: (key) => (key === null ? { per_second: 2, per_day: 10_000 } : { per_second: 5, per_day: 100_000 }),
    connect: (needs, http) => etherscanShaped(needs, http, false),
  },
  blockscout: {
    allowance: (key) => ({ per_second: key === null ? 10 : 5, per_day: null }),
    connect: ({ outbound, world }, http, pace) => createBlockscout({ http, pace, outbound, world }),
  },
};

/** The explorer of a chain; null when its settings name none. Sends nothing yet. */
export function connectExplorer(needs: ExplorerNeeds): Explorer | null {
  const { settings, outbound, paces } = needs;
  const { explorer } = settings;
  if (explorer === null || explorer.kind === "trongrid") return null;
  const kind = kinds[explorer.kind];
  const pace = paces.of(`${new URL(explorer.url).host} ${explorer.key}`, kind.allowance(explorer.key));
  const key_hint = `check ${keyName(explorer)}, or list chains.${settings.id}.rpc_urls`;
  const http = createExplorerHttp({ url: explorer.url, key: explorer.key, key_hint, pace, outbound });
  return kind.connect(needs, http, pace);
}

function etherscanShaped({ settings, world }: ExplorerNeeds, http: ExplorerHttp, names_chain: boolean): Explorer {
  const { id, facts, chain_id, explorer } = settings;
  const kind = explorer?.kind ?? "etherscan";
  const refuser = {
    name: explorerNames[kind],
    chain_name: facts.name,
    chain: id,
    key_name: `api_keys.${kind}_api_key`,
    redact: http.redact,
  };
  return createEtherscan({ http, refuser, chain_id, names_chain, world });
}

function keyName({ kind }: ExplorerSettings): string {
  return `api_keys.${kind}_api_key`;
}
