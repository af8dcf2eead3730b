// The problems that only show when several keys are seen together: wallets with chains, contracts with coins.
// Reads the file as it was written, whatever its shape, so that one fault does not hide another.

import { canonicalAddress } from "../domain/address.ts";
import {
  type ChainId,
  chainFacts,
  chainIds,
  coins,
  explorerNames,
  isChainId,
  isCoin,
  tokens,
} from "../domain/assets.ts";
import { tokensOf, usualDecimals } from "./chains.ts";
import { buildApiKeys, explorerOf } from "./explorers.ts";
import { apiKeys, type ChainSection, chainSchema } from "./schema.ts";
import { addressProblem } from "./values.ts";

const zero_evm_address = `0x${"0".repeat(40)}`;

type Raw = Record<string, unknown>;

/** True for a section of the parsed file. */
export function isTable(value: unknown): value is Raw {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Problems that take more than one key to see. `tree` is the parsed file, of any shape. */
export function crossProblems(tree: Raw): string[] {
  const sections = isTable(tree.chains) ? tree.chains : {};
  const sound = new Map<ChainId, ChainSection>();
  for (const id of chainIds) {
    const section = chainSchema(id).safeParse(sections[id]);
    if (section.success) sound.set(id, section.data);
  }
  return [
    ...walletProblems(tree, sections, sound),
    ...[...sound].flatMap(([id, section]) => [
      ...tokenProblems(id, section),
      ...pollProblems(id, section),
      ...explorerProblems(id, section, tree),
    ]),
  ];
}

function walletProblems(tree: Raw, sections: Raw, sound: Map<ChainId, ChainSection>): string[] {
  const problems: string[] = [];
  const first = new Map<string, number>();
  const wallets: unknown[] = Array.isArray(tree.wallets) ? tree.wallets : [];
  wallets.forEach((entry, index) => {
    if (!isTable(entry) || !isChainId(entry.blockchain)) return;
    const chain = entry.blockchain;
    const contracts = tokensOf(chain, sound.get(chain) ?? null);
    if (typeof entry.address === "string" && entry.address.trim() !== "") {
      const address = canonicalAddress(chain, entry.address);
      const before = first.get(`${chain} ${address}`);
      const contract = contracts.find((token) => token.address === address);
      const said = (words: string) => problems.push(`wallets[${index}].address: ${words}`);
      if (address === null) said(addressProblem(chain, entry.address));
      else if (address === zero_evm_address)
        said("the zero address belongs to nobody; put the address of your own wallet");
      else if (contract) said(`this is the ${contract.label} token contract; put the address of your own wallet`);
      else if (before !== undefined) said(`already listed on ${chain} as wallets[${before}]; put all its coins there`);
      else first.set(`${chain} ${address}`, index);
    }
    const section = sections[chain];
    const written = isTable(section) && isTable(section.tokens) ? Object.keys(section.tokens) : [];
    const offered = coins.filter(
      (coin) => written.includes(coin) || tokens[chain].some((token) => token.coin === coin),
    );
    const enabled: unknown[] = Array.isArray(entry.enabled_coins) ? entry.enabled_coins : [];
    enabled.forEach((coin, place) => {
      if (!isCoin(coin) || offered.includes(coin)) return;
      problems.push(
        `wallets[${index}].enabled_coins[${place}]: ${coin} is not on ${chain}; it has ${offered.join(", ")}`,
      );
    });
  });
  return problems;
}

function tokenProblems(id: ChainId, section: ChainSection): string[] {
  const problems: string[] = [];
  const owner = new Map<string, string>();
  for (const token of tokens[id]) {
    if (token.coin !== null && section.tokens?.[token.coin] === undefined) owner.set(token.address, token.coin);
  }
  for (const coin of coins) {
    const written = section.tokens?.[coin];
    const decimals = written?.decimals ?? usualDecimals(id, coin);
    const path = `chains.${id}.tokens.${coin}`;
    for (const address of written?.address ?? []) {
      const other = owner.get(address);
      const known = tokens[id].find((token) => token.address === address)?.decimals ?? decimals;
      if (other === coin) problems.push(`${path}.address: ${address} is listed twice; remove one`);
      else if (other !== undefined) problems.push(`${path}.address: ${address} is already the contract of ${other}`);
      else if (known !== decimals) problems.push(`${path}.decimals: ${address} has ${known} decimals, not ${decimals}`);
      else owner.set(address, coin);
    }
  }
  return problems;
}

function pollProblems(id: ChainId, section: ChainSection): string[] {
  if (section.idle_poll === undefined || section.idle_poll >= section.poll) return [];
  return [`chains.${id}.idle_poll: shorter than poll; make it at least as long`];
}

function explorerProblems(id: ChainId, section: ChainSection, tree: Raw): string[] {
  const { explorer, rpc_urls } = section;
  const { name, kind, chain_id, explorer: usual } = chainFacts[id];
  const keys = apiKeys.safeParse(tree.api_keys ?? {}).data;
  if (keys === undefined) return [];
  const found = explorerOf(section, chainFacts[id], section.chain_id ?? chain_id, buildApiKeys({ api_keys: keys }));
  const problems: string[] = [];
  if (rpc_urls?.length === 0 && found === null) {
    problems.push(`chains.${id}.rpc_urls: empty; remove the key or list a URL`);
  }
  // TronGrid knows Tron and nothing else; the others know all but it.
  if (explorer !== undefined && (explorer === "trongrid") !== (kind === "tron")) {
    return [...problems, `chains.${id}.explorer: ${explorerNames[explorer]} does not know ${name}; remove the key`];
  }
  if (explorer === undefined || explorer === usual || found !== null) return problems;
  const cure = `${explorerNames[explorer]} wants a key here; add api_keys.${explorer}_api_key, or explorer_url of your own`;
  return [...problems, `chains.${id}.explorer: ${cure}`];
}
