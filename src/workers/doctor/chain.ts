// What is looked at of one chain: each of its nodes, the contracts it takes money in, its explorer. Asks every node by
// itself, so that a bad one behind a good one shows.

import { type ConnectNeeds, connectChain, connectHistory, connectNode, connectProbe } from "../../chains/connect.ts";
import type { Source } from "../../chains/source.ts";
import { type ChainSettings, type Config, offeredCoins } from "../../config/config.ts";
import { blocksIn, chainFacts } from "../../domain/assets.ts";
import { type BlockRef, type FinalityTag, finalBlock, type Heads, tagsOf } from "../../domain/finality.ts";
import { createRateLimiters } from "../../limits/rate-limiter.ts";
import { createTelemetry } from "../../telemetry.ts";
import { type Check, type CheckFinding, fail, ok, runCheck, warn } from "./check.ts";

/** All chains make blocks within seconds; one this old is a node that stands still, or a chain that does. */
const old_head_s = 120;
const dead_head_s = 900;
const old_final_s = 3600;
const logs_blocks = 10;
const index_blocks = 100;
/** Indexes follow their nodes at some distance: both parts are left to them. */
const index_behind_blocks = 30;
const index_behind_s = 60;

/** The finding of a node that refuses JSON-RPC batches. */
const no_batches = warn(
  "takes one call per request: reading costs several times the requests; prefer another provider",
);

interface ChainNeeds extends ConnectNeeds {
  config: Config;
}

export interface ChainExamination {
  checks: Check[];
  /** What the nodes state of their clocks, less ours, ms. */
  skews_ms: number[];
}

/** Looks at one chain, its nodes side by side. */
export async function examineChain(asked: Omit<ChainNeeds, "telemetry" | "rateLimiters">): Promise<ChainExamination> {
  const { world } = asked;
  // What it finds is told as checks, not on a log.
  const needs = {
    ...asked,
    telemetry: createTelemetry({ ...world, warn: () => {} }),
    rateLimiters: createRateLimiters({ world }),
  };
  const { rpc_urls, explorer } = needs.settings;
  const ways = explorer?.reads ? [...rpc_urls, null] : rpc_urls;
  const nodes = await Promise.all(ways.map((url) => examineNode(needs, url)));
  const [sound] = nodes.filter((node) => node.head !== null);
  const [spoken] = nodes.flatMap(({ head, url }) => (head === null || url === null ? [] : url));
  const more =
    sound?.head == null
      ? []
      : [
          ...(spoken === undefined ? [] : await examineContracts(needs, spoken)),
          ...(await examineExplorer(needs, sound.source, sound.head)),
        ];
  return {
    checks: [...(await examinePolicy(needs)), ...nodes.flatMap((node) => node.checks), ...more],
    skews_ms: nodes.flatMap((node) => node.skew_ms ?? []),
  };
}

/** Looks at policies that count blocks alone: where these come fast, so many of them are soon there. */
async function examinePolicy({ settings, world }: ChainNeeds): Promise<Check[]> {
  const { id, facts, finality, chain_id } = settings;
  const wanted_s = facts.finality[0]?.finality.seconds;
  // Of a chain of the merchant's own nothing is stated.
  if (wanted_s === undefined || chain_id !== chainFacts[id].chain_id) return [];
  const short = finality.find(({ finality: { tag, blocks, seconds } }) => {
    if (tag !== undefined || blocks === undefined || seconds !== undefined) return false;
    return blocks * facts.seconds_per_block.usual < wanted_s;
  });
  if (short === undefined) return [];
  const { blocks = 0 } = short.finality;
  const time_s = Math.round(blocks * facts.seconds_per_block.usual * 10) / 10;
  const words = `${blocks} blocks are ${time_s} s on ${id}; write "${blocks}+${wanted_s}s" (chains.${id}.finality)`;
  return [await runCheck(world, id, "finality", async () => warn(words))];
}

interface Node {
  /** Null for the explorer the chain is read from. */
  url: string | null;
  source: Source;
  checks: Check[];
  /** Null when the node is not worth asking further. */
  head: BlockRef | null;
  skew_ms: number | null;
}

async function examineNode(needs: ChainNeeds, url: string | null): Promise<Node> {
  const { config, settings, world } = needs;
  const alone = { ...settings, rpc_urls: [] };
  const source = url === null ? connectChain({ ...needs, settings: alone }) : connectNode(needs, url);
  const subject = `${settings.id} ${source.reports()[0]?.provider}`;
  const look = (check: string, act: () => Promise<CheckFinding>) => runCheck(world, subject, check, act);
  const wanted = tagsOf([...settings.finality.map((tier) => tier.finality), settings.facts.final]);
  let heads: Heads | null = null;

  const identity = await look("chain id", async () => {
    const { chain_id } = await source.identity([]);
    const cure = `correct the URL (chains.${settings.id}.rpc_urls), or set chains.${settings.id}.chain_id`;
    return chain_id === settings.chain_id
      ? ok(String(chain_id))
      : fail("wrong_chain_id", `serves chain ${chain_id}, expected ${settings.chain_id}; ${cure}`);
  });
  if (identity.verdict !== "ok") return { url, source, checks: [identity], head: null, skew_ms: null };

  const probe = url === null ? null : connectProbe(needs, url);
  const skew_ms = (await probe?.skew_ms().catch(() => null)) ?? null;
  // By the node's own clock where it tells it: ours has a check of its own.
  const now = () => world.now() + (skew_ms ?? 0);
  const checks = [identity];
  checks.push(
    await look("head", async () => {
      heads = await source.heads(wanted);
      return headFinding(heads.latest, now());
    }),
  );
  const found = heads as Heads | null;
  if (found === null) return { url, source, checks, head: null, skew_ms };

  for (const tag of wanted) checks.push(await look(tag, async () => tagFinding(tag, found, settings, now())));
  checks.push(await look("logs", () => logsFinding(source, config, settings, found.latest)));
  if (source.reports().some((report) => !report.takes_batches))
    checks.push(await look("batches", async () => no_batches));
  return { url, source, checks, head: found.latest, skew_ms };
}

function headFinding({ number, time }: BlockRef, now: number): CheckFinding {
  const age_s = Math.round(now / 1000 - time);
  const words = `block ${number}, ${age_s} s old`;
  if (age_s > dead_head_s) return fail("provider_lagging", `${words}; the node stands still: list another provider`);
  return age_s > old_head_s ? warn(`${words}; the node is behind, or the chain is quiet`) : ok(words);
}

function tagFinding(tag: FinalityTag, heads: Heads, { facts }: ChainSettings, now: number): CheckFinding {
  const block = heads[tag];
  if (block === null) {
    const depth = heads.latest.number - finalBlock({ tag }, heads, facts) + 1;
    return warn(`not known to this node; ${depth} blocks stand in for it`);
  }
  const words = `block ${block.number}, ${heads.latest.number - block.number} behind the head`;
  const age_s = now / 1000 - block.time;
  return age_s > old_final_s ? warn(`${words}, ${Math.round(age_s / 60)} min old: finality stands still`) : ok(words);
}

async function logsFinding(
  source: Source,
  config: Config,
  { id, tokens }: ChainSettings,
  head: BlockRef,
): Promise<CheckFinding> {
  const wallets = config.wallets.filter((wallet) => wallet.chain === id).map((wallet) => wallet.address);
  const from = Math.max(0, head.number - logs_blocks + 1);
  const asked = { from, to: head.number, wallets, tokens: tokens.map((token) => token.address), mark: null };
  const answer = await source.read(asked);
  return ok(`blocks ${answer.from} to ${answer.to} read, ${answer.transferLogs.length} transfers to your wallets`);
}

async function examineContracts(needs: ChainNeeds, url: string): Promise<Check[]> {
  const { config, settings, world } = needs;
  const offered = offeredCoins(config, settings.id);
  const accepted = settings.tokens.filter((token) => token.coin !== null && offered.has(token.coin));
  const probe = connectProbe(needs, url);
  const asked = probe.contracts(accepted.map((token) => token.address));
  return Promise.all(
    accepted.map((token, i) =>
      runCheck(world, `${settings.id} ${token.coin}`, "contract", async () => {
        const facts = (await asked)[i];
        const cure = `correct chains.${settings.id}.tokens.${token.coin}`;
        if (!facts?.code) return fail("wrong_token", `there is no contract at ${token.address}; ${cure}.address`);
        if (facts.decimals !== token.decimals) {
          const says = facts.decimals === null ? "answers no decimals()" : `has ${facts.decimals} decimals`;
          return fail("wrong_token", `${token.address} ${says}, expected ${token.decimals}; ${cure}`);
        }
        const symbol = facts.symbol === token.coin ? "" : `, calls itself ${JSON.stringify(facts.symbol)}`;
        return ok(`${token.address}, ${facts.decimals} decimals${symbol}`);
      }),
    ),
  );
}

async function examineExplorer(needs: ChainNeeds, source: Source, head: BlockRef): Promise<Check[]> {
  const { config, settings, world } = needs;
  const history = connectHistory(needs);
  const wallet = config.wallets.find((one) => one.chain === settings.id)?.address;
  if (history === null || wallet === undefined) return [];
  const check = await runCheck(world, `${settings.id} ${history.provider}`, "explorer", async () => {
    const behind = Math.max(index_behind_blocks, blocksIn(index_behind_s, settings.facts));
    const last = Math.max(0, head.number - behind);
    const [from, to] = await source.blocks([Math.max(0, last - index_blocks), last]);
    const tokens = settings.tokens.map((token) => token.address);
    const found = await history.incoming({ wallet, tokens, from: from ?? head, to: to ?? head });
    return ok(`answers, ${found.length} transfers in ${index_blocks} blocks`);
  });
  // It only checks what the nodes say: nothing is lost while it is away.
  return [check.verdict === "fail" && settings.explorer?.reads !== true ? { ...check, verdict: "warn" } : check];
}
