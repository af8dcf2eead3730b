// A chain that may change its mind: blocks, a pool of transactions, reorganisations above the final block. Says what
// is true; what providers make of it is theirs.

import type { Finality, FinalityTag } from "../../src/domain/finality.ts";
import type { Random } from "./random.ts";
import type { SimChainId } from "./scenery.ts";
import type { Timeline } from "./timeline.ts";
import { epoch_ms } from "./world.ts";

/** One ERC-20 transfer of a transaction; addresses canonical. */
export interface SimTransfer {
  token: string;
  sender: string;
  wallet: string;
  units: bigint;
}

export interface SimTx {
  hash: string;
  /** In receipt order; null is a log that is no transfer. */
  logs: readonly (SimTransfer | null)[];
  /** A transaction that failed has no logs. */
  success: boolean;
  /** When it was sent, by the chain's clock, seconds. */
  sent_s: number;
}

export interface SimBlock {
  number: number;
  hash: string;
  parent: SimBlock | null;
  /** Seconds, as the chain states it. */
  time: number;
  /** When it came to be, virtual ms. */
  born_at: number;
  /** `first_log` is the index in the block of the transaction's first log. */
  txs: readonly { tx: SimTx; first_log: number }[];
}

export interface ChainTraits {
  id: SimChainId;
  chain_id: number;
  /** From block to block; several share a second where it is less than one. */
  block_s: number;
  /** The chain's clock minus ours. */
  skew_s: number;
  safe_depth: number;
  final_depth: number;
  /** Tags that its nodes know. */
  tags: readonly FinalityTag[];
  /** What the product takes for final. */
  final: Finality;
  /** Blocks that a reorganisation may replace at most. */
  reorg_max: number;
}

export interface Chain {
  traits: ChainTraits;
  head(): SimBlock;
  /** The canonical block of a number. */
  block(number: number): SimBlock | null;
  isCanonical(block: SimBlock): boolean;
  /** The canonical block a transaction stands in. */
  whereIs(tx_hash: string): SimBlock | null;
  /** What a transaction does there at a position; null for nothing of value. Mined again, it may do something else. */
  transferAt(tx_hash: string, position: number): SimTransfer | null;
  /** The tip that was left behind by the last reorganisation. */
  staleTip(): SimBlock | null;
  safeNumber(): number;
  finalNumber(): number;
  /** Puts a transaction into the pool. */
  send(logs: readonly (SimTransfer | null)[], success?: boolean): SimTx;
  /** Starts mining, one block per `block_s`, until the end of the world. */
  start(): void;
  /** Makes nothing final or safe for a while, ms from now. */
  stall(for_ms: number): void;
  /** Replaces up to `depth` of the newest blocks. */
  reorganise(depth: number): void;
  /** Does so behind the nth request from now: between two questions of one poll. */
  reorganiseAfter(requests: number, depth: number): void;
  /** From now on no provider serves the logs of a block, or the receipt of a transaction; null: all are served again. */
  refuse(what: { block: number } | { tx_hash: string } | null): void;
  /** Whether a range holds a block that no provider serves. */
  isUnserved(from: number, to: number): boolean;
  /** Whether no provider serves the receipt of a transaction. */
  isRefused(tx_hash: string): boolean;
  /** A provider was asked something. */
  wasAsked(): void;
  /** Every block that ever was canonical, by hash. */
  blocks: ReadonlyMap<string, SimBlock>;
  /** When a block left the chain, virtual ms, by hash. */
  orphaned: ReadonlyMap<string, number>;
}

/** Blocks of history: as many as it takes to measure the pace of a chain. */
const blocks_before = 1010;
/** Told apart in the tally. */
const few_blocks = 8;
const inclusion_percent = 85;
const dropped_percent = 8;
const back_to_pool_percent = 20;
const changed_percent = 8;

/** A chain with some history that begins before virtual time zero. */
export function createChain(needs: {
  traits: ChainTraits;
  timeline: Timeline;
  random: Random;
  /** Hears of every reorganisation. */
  count(kind: string): void;
}): Chain {
  const { traits, timeline, random, count } = needs;
  const blocks = new Map<string, SimBlock>();
  const orphaned = new Map<string, number>();
  const places = new Map<string, SimBlock>();
  const canonical: SimBlock[] = [];
  let pool: SimTx[] = [];
  let stale: SimBlock | null = null;
  let final = 0;
  let safe = 0;
  let ambush: { requests: number; depth: number } | null = null;
  let stalled_until = Number.NEGATIVE_INFINITY;
  const unserved = new Set<number>();
  const refused = new Set<string>();
  let hashes = 0;
  let next_at = 0;

  function newHash(): string {
    hashes += 1;
    const mixed = Math.imul(hashes + traits.chain_id * 7919, 0x9e3779b1) >>> 0;
    // Tron writes hashes without a prefix.
    const prefix = traits.id === "tron" ? "" : "0x";
    return `${prefix}${mixed.toString(16).padStart(8, "0")}${((traits.chain_id % 2 ** 28) * 2 ** 24 + hashes).toString(16).padStart(56, "0")}`;
  }

  function clock_s(at = timeline.now()): number {
    return Math.floor((epoch_ms + at) / 1000) + traits.skew_s;
  }

  function append(time: number, txs: readonly SimTx[], born_at = timeline.now()): void {
    const parent = canonical.at(-1) ?? null;
    // Logs of strangers lie between ours: an index says nothing about a position.
    let next_log = random.below(4);
    const placed = txs.map((tx) => {
      const first_log = next_log;
      next_log += tx.logs.length + random.below(3);
      return { tx, first_log };
    });
    const block: SimBlock = {
      number: canonical.length,
      hash: newHash(),
      parent,
      time: Math.max(time, parent?.time ?? 0),
      born_at,
      txs: placed,
    };
    canonical.push(block);
    blocks.set(block.hash, block);
    for (const tx of txs) places.set(tx.hash, block);
    finalise();
  }

  function finalise(): void {
    if (timeline.now() < stalled_until) return;
    const { number } = head();
    final = Math.max(final, number - traits.final_depth);
    safe = Math.max(safe, number - traits.safe_depth);
  }

  function takeFromPool(): SimTx[] {
    const taken = pool.filter(() => random.chance(inclusion_percent));
    pool = pool.filter((tx) => !taken.includes(tx));
    return random.shuffled(taken);
  }

  /** The chain goes on while our machine sleeps: it catches up with the blocks of that time. */
  function mine(): void {
    for (; next_at <= timeline.now(); next_at += traits.block_s * 1000)
      append(clock_s(next_at), takeFromPool(), next_at);
    timeline.at(next_at - timeline.now(), mine);
  }

  /** The state it meets is another one: it fails this time, or moves a little more. */
  function changed(tx: SimTx): SimTx {
    count("transaction changed by a reorganisation");
    if (random.chance(70)) return { ...tx, success: false, logs: [] };
    return { ...tx, logs: tx.logs.map((log) => log && { ...log, units: log.units + 1n }) };
  }

  function reorganise(depth: number, when = ""): void {
    const real = Math.min(depth, traits.reorg_max, head().number - final - 1);
    if (real < 1) return;
    count(`reorganised ${when}by ${real > few_blocks ? "many" : real}`);
    stale = head();
    const gone = canonical.splice(-real);
    for (const block of gone) orphaned.set(block.hash, timeline.now());
    const homeless = random.shuffled(gone.flatMap((block) => block.txs.map(({ tx }) => tx)));
    const length = real + random.below(2);
    const since = head().time;
    const branch = Array.from({ length }, (_, index) => ({
      time: Math.min(clock_s(), since + Math.floor((index + 1) * traits.block_s)),
      txs: [] as SimTx[],
    }));
    for (const tx of [...homeless, ...takeFromPool()]) {
      if (random.chance(dropped_percent)) continue;
      // No block holds what was sent after it.
      const places = branch.filter(({ time }) => time >= tx.sent_s);
      if (places.length === 0 || random.chance(back_to_pool_percent)) pool.push(tx);
      else random.pick(places).txs.push(random.chance(changed_percent) ? changed(tx) : tx);
    }
    for (const { time, txs } of branch) append(time, txs);
  }

  const first_time = clock_s() - blocks_before * traits.block_s;
  for (let count = 0; count < blocks_before; count++) append(Math.floor(first_time + count * traits.block_s), []);

  function head(): SimBlock {
    return canonical.at(-1) as SimBlock;
  }
  return {
    traits,
    blocks,
    orphaned,
    head,
    block: (number) => canonical[number] ?? null,
    isCanonical: (block) => canonical[block.number] === block,
    whereIs(tx_hash) {
      const place = places.get(tx_hash);
      return place !== undefined && canonical[place.number] === place ? place : null;
    },
    transferAt(tx_hash, position) {
      const place = places.get(tx_hash);
      const stands = place !== undefined && canonical[place.number] === place;
      const log = stands ? place.txs.find(({ tx }) => tx.hash === tx_hash)?.tx.logs[position] : null;
      return log != null && log.units > 0n ? log : null;
    },
    staleTip: () => stale,
    safeNumber: () => Math.min(safe, head().number),
    finalNumber: () => final,
    send(logs, success = true) {
      const tx = { hash: newHash(), logs: success ? logs : [], success, sent_s: clock_s() };
      pool.push(tx);
      return tx;
    },
    start() {
      next_at = timeline.now() + random.below(traits.block_s * 1000);
      timeline.at(next_at - timeline.now(), mine);
    },
    stall(for_ms) {
      stalled_until = timeline.now() + for_ms;
    },
    reorganise,
    reorganiseAfter(requests, depth) {
      ambush = { requests, depth };
    },
    refuse(what) {
      if (what === null) unserved.clear();
      if (what === null) refused.clear();
      else if ("block" in what) unserved.add(what.block);
      else refused.add(what.tx_hash);
    },
    isUnserved: (from, to) => [...unserved].some((number) => number >= from && number <= to),
    isRefused: (tx_hash) => refused.has(tx_hash),
    wasAsked() {
      if (ambush === null) return;
      ambush.requests -= 1;
      if (ambush.requests > 0) return;
      const { depth } = ambush;
      ambush = null;
      reorganise(depth, "in a poll, ");
    },
  };
}
