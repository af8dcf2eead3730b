// A JSON-RPC provider in front of a simulated chain, with moods: it may lag, hide logs of the newest blocks, throttle,
// refuse ranges, answer HTML, hang, or live on a branch that was left. Remembers what it truly answered.

import { keccak256, toHex } from "viem";
import { tronBytes } from "../../src/domain/address.ts";
import type { FinalityTag } from "../../src/domain/finality.ts";
import type { FetchInit } from "../../src/world.ts";
import type { Chain, SimBlock, SimTransfer } from "./chain.ts";
import type { Random } from "./random.ts";
import { blocksIn } from "./scenery.ts";
import type { Timeline } from "./timeline.ts";
import type { Outcome } from "./world.ts";

/**
 * What a provider does to requests; `stale` and `hiding` are the lies no client can see through at once. `blocks` counts
 * those of a slow chain: of a fast one it is as many as come in the same time.
 */
export type Mood =
  | { kind: "honest" }
  | { kind: "lagging"; blocks: number }
  | { kind: "hiding"; blocks: number }
  | { kind: "stale" }
  | { kind: "narrow"; blocks: number; words: string }
  | { kind: "small batches"; calls: number }
  | { kind: "throttling"; retry_after_s: number | null }
  | { kind: "tagless" }
  /** A head that is not there yet; `has_future_time`: and that comes later than now. */
  | { kind: "future"; blocks: number; has_future_time: boolean }
  | { kind: "one call fails" }
  | { kind: "html" }
  | { kind: "empty" }
  | { kind: "cut" }
  | { kind: "down" }
  | { kind: "hanging" };

/** A transfer that never was, in a block that is. */
export interface Invented {
  tx_hash: string;
  block: SimBlock;
  transfer: SimTransfer;
}

export interface Provider {
  host: string;
  /** What it shows, log and receipt, beside what is in the chain. */
  invented: Invented[];
  mood: Mood;
  /** Answers in a mood only so often, else honestly: many nodes behind one name. */
  mood_percent: number;
  latency_max_ms: number;
  handle(init: FetchInit, url?: string): Outcome;
  /** Answers one request that is no JSON-RPC of a node; moods that are none of its kind count as honest. */
  serve(answer: (sitting: Sitting) => Response): Outcome;
  /** Wallet and token pairs whose logs were truly answered, by block hash; `numbers` also where an answer lied. */
  answered: { hashes: Map<string, Set<string>>; numbers: Map<number, Set<string>>; lied: Set<string> };
  /** When a receipt was last answered, virtual ms, by transaction and block hash. */
  receipts: Map<string, number>;
  /** What it has answered by now. */
  remembered(): AnswerMemory;
  /** Goes back to that: whoever was answered since has forgotten it. */
  recall(memory: AnswerMemory): void;
}

/** One request as it is answered: by a node in a mood. */
export interface Sitting {
  tip: SimBlock;
  /** The block of a number on the branch that is shown. */
  blockAt(number: number): SimBlock | null;
  /** Number of the newest solid block that is shown. */
  solid(): number;
  /** True for a block whose logs the mood does not show. */
  isHidden(block: SimBlock): boolean;
  isUnserved(from: number, to: number): boolean;
  /** The answer of a JSON-RPC method. Throws its error, which is no Error. */
  call(method: string, params: unknown[]): unknown;
  /** The block of a transaction, whose receipt is told; null when it is not mined. Throws where nobody serves it. */
  receiptOf(tx_hash: string): SimBlock | null;
  /** The logs of a block were told for wallet and token pairs, truly or not. */
  remember(block: SimBlock, pairs: readonly string[], truly: boolean): void;
}

export type AnswerMemory = Provider["answered"];

interface Call {
  id: number;
  method: string;
  params: unknown[];
}

interface View {
  tip: SimBlock;
  /** The number of the head that is shown. */
  shown: number;
  /** Blocks at the tip whose logs are not shown although the headers are. */
  hidden: number;
}

const transfer_topic = keccak256(toHex("Transfer(address,address,uint256)"));
const approval_topic = keccak256(toHex("Approval(address,address,uint256)"));
/** Where in its block an invented log stands. */
const invented_index = 900;
const mined_logs_max = 10_000;
/** How far the chain may be ahead of a branch that a node still shows. */
const stale_blocks = 6;
/** What `balanceOf` begins with, and what everybody had before the first block. */
const balance_of = "0x70a08231";
const plenty = 10n ** 40n;

/** The words providers refuse a range with; `{n}` is the width they take. The last says nothing. */
export const range_words = [
  "exceed maximum block range: {n}",
  "eth_getLogs is limited to a {n} range",
  "query returned more than 10000 results",
  "block range is too wide",
  "something went wrong",
];

const hex = (value: number | bigint) => `0x${value.toString(16)}`;
const word = (value: bigint) => `0x${value.toString(16).padStart(64, "0")}`;
const padded = (address: string) => `0x${"0".repeat(24)}${wireAddress(address).slice(2)}`;
export const prefixed = (hash: string) => (hash.startsWith("0x") ? hash : `0x${hash}`);

/** The pair under which answers are remembered; any spelling of the addresses. */
export function pairKey(wallet: string, token: string): string {
  return `${wireAddress(wallet)} ${wireAddress(token)}`;
}

const wires = new Map<string, string>();

/** An address as JSON-RPC writes it on every chain: `0x` and small letters. */
export function wireAddress(address: string): string {
  if (address.startsWith("0x")) return address.toLowerCase();
  const known = wires.get(address) ?? tronBytes(address);
  wires.set(address, known);
  return known;
}

/** A provider of a chain. `decimals` are those of its token contracts, by address in small letters. */
export function createProvider(needs: {
  host: string;
  chain: Chain;
  timeline: Timeline;
  random: Random;
  decimals: ReadonlyMap<string, number>;
  /** Hears of the mood of every answer. */
  count(kind: string): void;
}): Provider {
  const { host, chain, timeline, random, decimals, count } = needs;
  const answered: Provider["answered"] = { hashes: new Map(), numbers: new Map(), lied: new Set() };
  const receipts = new Map<string, number>();
  const { traits } = chain;
  /** Of this chain's blocks to one of a chain with a block every two seconds. */
  const stride = blocksIn(traits.id, 2, 1);
  const gained = new Map<string, ReadonlyMap<string, bigint>>();

  function viewOf(mood: Mood): View {
    const stale = chain.staleTip();
    if (mood.kind === "stale" && stale !== null && chain.head().number - stale.number < stale_blocks * stride)
      return { tip: stale, shown: stale.number, hidden: 0 };
    const lag = mood.kind === "lagging" ? mood.blocks * stride : 0;
    const tip = chain.block(Math.max(0, chain.head().number - lag)) ?? chain.head();
    const ahead = mood.kind === "future" ? mood.blocks * stride : 0;
    return { tip, shown: tip.number + ahead, hidden: mood.kind === "hiding" ? mood.blocks * stride : 0 };
  }

  /** The last block that the product takes for final: from its tag, or its depth. */
  function lastFinal(): number {
    const { blocks } = traits.final;
    return Math.max(chain.finalNumber(), blocks === undefined ? 0 : chain.head().number + 1 - blocks);
  }

  function blockAt({ tip }: View, number: number): SimBlock | null {
    if (number > tip.number) return null;
    let block: SimBlock | null = tip;
    while (block !== null && !chain.isCanonical(block) && block.number > number) block = block.parent;
    if (block === null || block.number === number) return block;
    return chain.block(number);
  }

  function header(view: View, asked: unknown, mood: Mood): unknown {
    // Nothing on a dead branch was ever safe or final.
    let shared: SimBlock | null = view.tip;
    while (shared !== null && !chain.isCanonical(shared)) shared = shared.parent;
    const agreed = shared?.number ?? 0;
    const numbers: Record<string, number> = {
      latest: view.shown,
      safe: Math.min(agreed, chain.safeNumber()),
      finalized: Math.min(agreed, chain.finalNumber()),
    };
    const tag = String(asked);
    if (mood.kind === "tagless" && (tag === "safe" || tag === "finalized")) {
      throw { code: -32602, message: `invalid argument 0: hex string without 0x prefix` };
    }
    if (tag in numbers && tag !== "latest" && !traits.tags.includes(tag as FinalityTag)) {
      throw { code: -32602, message: `TAG ${tag} not supported` };
    }
    const number = numbers[tag] ?? Number(tag);
    if (mood.kind === "future" && number > view.tip.number && number <= view.shown) return invented(view, number, mood);
    const block = blockAt(view, number);
    return (
      block && { number: hex(block.number), hash: prefixed(block.hash), timestamp: hex(block.time), transactions: [] }
    );
  }

  /** A header above the head. */
  function invented({ tip }: View, number: number, { has_future_time }: Mood & { kind: "future" }): unknown {
    const later_s = has_future_time ? Math.floor((number - tip.number) * traits.block_s) : 0;
    const hash = `0x${number.toString(16).padStart(64, "f")}`;
    return { number: hex(number), hash, timestamp: hex(tip.time + later_s), transactions: [] };
  }

  function logOf(block: SimBlock, tx_hash: string, index: number, log: SimBlock["txs"][0]["tx"]["logs"][0]): object {
    const place = {
      blockNumber: hex(block.number),
      blockHash: prefixed(block.hash),
      transactionHash: prefixed(tx_hash),
      logIndex: hex(index),
    };
    if (log === null) {
      return { ...place, address: `0x${"77".repeat(20)}`, topics: [approval_topic], data: "0x", removed: false };
    }
    const topics = [transfer_topic, padded(log.sender), padded(log.wallet)];
    return { ...place, address: wireAddress(log.token), topics, data: word(log.units), removed: false };
  }

  function logs(view: View, mood: Mood, filter: Record<string, unknown>, remember: (() => void)[]): unknown {
    const [from, to] = [Number(filter.fromBlock), Number(filter.toBlock)];
    const blocks_max = mood.kind === "narrow" ? mood.blocks * stride : Number.POSITIVE_INFINITY;
    if (mood.kind === "narrow" && to - from + 1 > blocks_max) {
      throw { code: -32602, message: mood.words.replace("{n}", String(blocks_max)) };
    }
    if (chain.isUnserved(from, to)) throw { code: -32603, message: "internal error" };
    if (to > view.shown && random.chance(50)) {
      throw { code: -32602, message: "block range extends beyond current head block" };
    }
    const tokens = (filter.address as string[]).map((token) => token.toLowerCase());
    const [, senders, receivers] = filter.topics as [string, string[] | null, string[] | undefined];
    const topics = senders ?? receivers ?? [];
    const isAsked = ({ sender, wallet }: SimTransfer) => topics.includes(padded(senders === null ? wallet : sender));
    // Only what comes in is what the product has to know.
    const incoming = senders === null ? topics : [];
    const pairs = incoming.flatMap((topic) => tokens.map((token) => pairKey(`0x${topic.slice(26)}`, token)));
    const found: object[] = [];
    for (let number = from; number <= to; number++) {
      const block = blockAt(view, number);
      if (block === null && number <= view.shown) remember.push(() => addAll(answered.numbers, number, pairs));
      if (block === null) continue;
      // What is final is never hidden: no reading could repair that.
      const isHidden = number > view.tip.number - view.hidden && number > lastFinal() && block.txs.length > 0;
      remember.push(() => {
        addAll(answered.numbers, number, pairs);
        if (isHidden && incoming.length > 0) answered.lied.add(block.hash);
        else if (!isHidden) addAll(answered.hashes, block.hash, pairs);
      });
      if (isHidden) continue;
      for (const { tx, first_log } of block.txs) {
        tx.logs.forEach((log, position) => {
          if (log === null || !tokens.includes(wireAddress(log.token)) || !isAsked(log)) return;
          found.push(logOf(block, tx.hash, first_log + position, log));
        });
      }
      for (const one of provider.invented) {
        if (one.block !== block || !tokens.includes(wireAddress(one.transfer.token)) || !isAsked(one.transfer))
          continue;
        found.push(logOf(block, one.tx_hash, invented_index, one.transfer));
      }
    }
    if (found.length > mined_logs_max) throw { code: -32005, message: "query returned more than 10000 results" };
    return found;
  }

  /** What every wallet has gained by the end of a block; counted on from the nearest block below that was asked for. */
  function sums(block: SimBlock): ReadonlyMap<string, bigint> {
    const known = gained.get(block.hash);
    if (known !== undefined) return known;
    const above: SimBlock[] = [];
    let base: SimBlock | null = block;
    for (; base !== null && !gained.has(base.hash); base = base.parent) above.push(base);
    const found = new Map(base === null ? [] : gained.get(base.hash));
    const add = (wallet: string, token: string, units: bigint) => {
      const key = pairKey(wallet, token);
      found.set(key, (found.get(key) ?? 0n) + units);
    };
    for (const { txs } of above) {
      for (const log of txs.flatMap(({ tx }) => tx.logs)) {
        if (log === null) continue;
        add(log.wallet, log.token, log.units);
        add(log.sender, log.token, -log.units);
      }
    }
    gained.set(block.hash, found);
    return found;
  }

  /** The block of a transaction on the branch of a view. */
  function placeOf(view: View, tx_hash: string): SimBlock | null {
    let block: SimBlock | null = view.tip;
    for (; block !== null && !chain.isCanonical(block); block = block.parent) {
      if (block.txs.some(({ tx }) => tx.hash === tx_hash)) return block;
    }
    const place = chain.whereIs(tx_hash);
    return place !== null && block !== null && place.number <= block.number ? place : null;
  }

  function receipt(view: View, asked: unknown, remember: (() => void)[]): unknown {
    const tx_hash = traits.id === "tron" ? String(asked).slice(2) : String(asked);
    const invented = provider.invented.find((one) => one.tx_hash === tx_hash);
    if (invented !== undefined) return inventedReceipt(view, invented, remember);
    if (chain.isRefused(tx_hash)) throw { code: -32603, message: "internal error" };
    const block = placeOf(view, tx_hash);
    const placed = block?.txs.find(({ tx }) => tx.hash === tx_hash);
    if (block === null || placed === undefined) return null;
    const { tx, first_log } = placed;
    const key = `${tx.hash} ${block.hash}`;
    remember.push(() => receipts.set(key, timeline.now()));
    return {
      transactionHash: prefixed(tx.hash),
      blockNumber: hex(block.number),
      blockHash: prefixed(block.hash),
      status: tx.success ? "0x1" : "0x0",
      logs: tx.logs.map((log, position) => logOf(block, tx.hash, first_log + position, log)),
    };
  }

  function sit(view: View, mood: Mood, remember: (() => void)[]): Sitting {
    const isHidden = ({ number, txs }: SimBlock) =>
      number > view.tip.number - view.hidden && number > lastFinal() && txs.length > 0;
    return {
      tip: view.tip,
      blockAt: (number) => blockAt(view, number),
      solid() {
        let shared: SimBlock | null = view.tip;
        while (shared !== null && !chain.isCanonical(shared)) shared = shared.parent;
        return Math.min(shared?.number ?? 0, chain.finalNumber());
      },
      isHidden,
      isUnserved: chain.isUnserved,
      call(method, params) {
        if (method === "eth_blockNumber") return hex(view.tip.number);
        return answerTo({ id: 1, method, params }, view, mood, remember);
      },
      receiptOf(tx_hash) {
        if (chain.isRefused(tx_hash)) throw { message: "internal error" };
        const block = placeOf(view, tx_hash);
        if (block !== null) remember.push(() => receipts.set(`${tx_hash} ${block.hash}`, timeline.now()));
        return block;
      },
      remember(block, pairs, truly) {
        remember.push(() => {
          addAll(answered.numbers, block.number, pairs);
          if (truly) addAll(answered.hashes, block.hash, pairs);
          else answered.lied.add(block.hash);
        });
      },
    };
  }

  function inventedReceipt(view: View, { tx_hash, block, transfer }: Invented, remember: (() => void)[]): unknown {
    if (blockAt(view, block.number) !== block) return null;
    remember.push(() => receipts.set(`${tx_hash} ${block.hash}`, timeline.now()));
    return {
      transactionHash: prefixed(tx_hash),
      blockNumber: hex(block.number),
      blockHash: prefixed(block.hash),
      status: "0x1",
      logs: [logOf(block, tx_hash, invented_index, transfer)],
    };
  }

  function answerTo({ method, params }: Call, view: View, mood: Mood, remember: (() => void)[]): unknown {
    if (method === "eth_chainId") return hex(chain.traits.chain_id);
    if (method === "eth_getBlockByNumber") return header(view, params[0], mood);
    if (method === "eth_getLogs") return logs(view, mood, params[0] as Record<string, unknown>, remember);
    if (method === "eth_getTransactionReceipt") return receipt(view, params[0], remember);
    if (method === "eth_call") {
      const { to, data } = params[0] as { to: string; data: string };
      if (traits.id === "tron" && params[1] !== "latest") {
        throw { code: -32602, message: "QUANTITY not supported, just support TAG as latest" };
      }
      if (data.startsWith(balance_of)) {
        const block = params[1] === "latest" ? view.tip : blockAt(view, Number(params[1]));
        if (block === null) throw { code: -32000, message: "header not found" };
        return word(plenty + (sums(block).get(pairKey(`0x${data.slice(-40)}`, to)) ?? 0n));
      }
      return word(BigInt(decimals.get(to.toLowerCase()) ?? 0));
    }
    throw { code: -32601, message: `the method ${method} does not exist` };
  }

  const json = (value: unknown, status = 200) => new Response(JSON.stringify(value), { status });

  /** Null when the mood lets the request through. */
  function refusal(mood: Mood, calls: readonly Call[]): (() => Response) | null {
    if (mood.kind === "html") return () => new Response("<html>502 Bad Gateway</html>", { status: 502 });
    if (mood.kind === "empty") return () => new Response("", { status: 200 });
    if (mood.kind === "throttling") {
      const headers = mood.retry_after_s === null ? {} : { "retry-after": String(mood.retry_after_s) };
      return () => new Response("Too Many Requests", { status: 429, headers });
    }
    if (mood.kind === "small batches" && calls.length > mood.calls) {
      const message = `batch too large: no more than ${mood.calls} calls`;
      return () => json({ jsonrpc: "2.0", id: null, error: { code: -32600, message } });
    }
    return null;
  }

  const provider: Provider = {
    host,
    invented: [],
    mood: { kind: "honest" },
    mood_percent: 100,
    latency_max_ms: 200,
    answered,
    receipts,
    remembered: () => copyOf(answered),
    recall: (memory) => void Object.assign(answered, copyOf(memory)),
    serve(answer) {
      const mood: Mood = random.chance(provider.mood_percent) ? provider.mood : { kind: "honest" };
      count(`index ${mood.kind}`);
      chain.wasAsked();
      const after_ms = random.between(5, provider.latency_max_ms);
      if (mood.kind === "hanging") return { after_ms, hangs: true };
      if (mood.kind === "down") return { after_ms, fails: "ECONNREFUSED" };
      const refused = refusal(mood, []);
      if (refused !== null) return { after_ms, answer: refused };
      const remember: (() => void)[] = [];
      const response = answer(sit(viewOf(mood), mood, remember));
      return {
        after_ms,
        answer() {
          if (mood.kind === "cut") return new Response(`{"status":"1","message":"OK","result":[{"blo`);
          for (const act of remember) act();
          return response;
        },
      };
    },
    handle(init) {
      const mood: Mood = random.chance(provider.mood_percent) ? provider.mood : { kind: "honest" };
      count(`provider ${mood.kind}`);
      chain.wasAsked();
      const after_ms = random.between(5, provider.latency_max_ms);
      if (mood.kind === "hanging") return { after_ms, hangs: true };
      if (mood.kind === "down") return { after_ms, fails: "ECONNREFUSED" };
      const parsed = JSON.parse(String(init.body)) as Call | Call[];
      const calls = Array.isArray(parsed) ? parsed : [parsed];
      const refused = refusal(mood, calls);
      if (refused !== null) return { after_ms, answer: refused };

      const remember: (() => void)[] = [];
      const view = viewOf(mood);
      const failing = mood.kind === "one call fails" ? random.below(calls.length) : null;
      const envelopes = calls.map((call, index) => {
        try {
          if (index === failing) throw { code: -32603, message: "internal error" };
          return { jsonrpc: "2.0", id: call.id, result: answerTo(call, view, mood, remember) };
        } catch (error) {
          if (error instanceof Error) throw error;
          return { jsonrpc: "2.0", id: call.id, error };
        }
      });
      return {
        after_ms,
        answer() {
          const value = Array.isArray(parsed) ? random.shuffled(envelopes) : envelopes[0];
          if (mood.kind === "cut") {
            const text = JSON.stringify(value);
            return new Response(text.slice(0, random.below(text.length)));
          }
          for (const act of remember) act();
          return json(value);
        },
      };
    },
  };
  return provider;
}

function copyOf({ hashes, numbers, lied }: AnswerMemory): AnswerMemory {
  const sets = <K>(map: Map<K, Set<string>>) => new Map([...map].map(([key, values]) => [key, new Set(values)]));
  return { hashes: sets(hashes), numbers: sets(numbers), lied: new Set(lied) };
}

function addAll<K>(map: Map<K, Set<string>>, key: K, values: readonly string[]): void {
  const known = map.get(key) ?? new Set();
  for (const value of values) known.add(value);
  map.set(key, known);
}
