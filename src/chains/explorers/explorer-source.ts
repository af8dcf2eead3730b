// A block explorer as a Source. Its index says which transactions to look at, their receipts say what happened; a range
// counts as read only as far as the index has come, and its end is read after the index was.

import { numberToHex } from "viem";
import type { ChainId } from "../../domain/assets.ts";
import { Fault } from "../../domain/errors.ts";
import type { BlockRef, FinalityTag, Heads } from "../../domain/finality.ts";
import type { Receipt, TransferLog } from "../../domain/payment.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import { compareByPosition, isInReceipt, readNarrowing, transfersIn } from "../index-reading.ts";
import { createProviderStats } from "../provider-stats.ts";
import { createEvmNode, headerCall } from "../rpc/evm-node.ts";
import { readHeader } from "../rpc/evm-shapes.ts";
import { createRangeLimit } from "../rpc/range-limit.ts";
import type { ProviderRefusal } from "../rpc/refusals.ts";
import type { LogPage, LogQuery, Source } from "../source.ts";
import type { Explorer, IndexRow } from "./explorer.ts";
import { createReceiptCache } from "./receipt-cache.ts";

/** Transactions looked at for one answer; a range that holds more is answered up to a block where they are fewer. */
const transactions_per_read_max = 100;
/** Attempts of one reading to find a range the index answers; what was learned is where the next reading begins. */
const range_tries_max = 4;
/** How long the block of a tag is good enough: each costs a request, and an older one only makes payments wait. */
const tag_kept_ms = 10_000;
/** How long a tag that was refused is not asked for. */
const unknown_tag_ms = 600_000;

export interface ExplorerSourceNeeds {
  chain: ChainId;
  chain_id: number;
  explorer: Explorer;
  world: World;
  telemetry: Telemetry;
}

/** A Source over one explorer. Nothing is sent before the first verb. */
export function createExplorerSource({ chain, chain_id, explorer, world, telemetry }: ExplorerSourceNeeds): Source {
  const { rpc, host: provider } = explorer;
  const { ask, need, balances, blocks, receipts, identity } = createEvmNode({ rpc, chain_id, world });
  const { counted, report } = createProviderStats({ chain, provider, world, telemetry });
  const shelf = createReceiptCache();
  const range = createRangeLimit({ page_blocks: Number.POSITIVE_INFINITY, world });
  const tags = new Map<FinalityTag, { block: BlockRef | null; until: number }>();
  let indexed = -1;
  /** The newest head that was returned. */
  let last_head: BlockRef | null = null;

  /** The chain ends for us where the index vouches for it. */
  async function heads(asked: readonly FinalityTag[]): Promise<Heads> {
    indexed = await explorer.head();
    const due = asked.filter((tag) => (tags.get(tag)?.until ?? 0) <= world.elapsed());
    const [first, ...rest] = await ask([numberToHex(indexed), ...due].map(headerCall));
    const latest = readHeader(need(first), indexed);
    if (latest === null) throw new Fault("provider_lagging", `does not know block ${indexed}, which it has indexed`);
    last_head = latest;
    for (const [i, tag] of due.entries()) {
      const outcome = rest[i];
      const refusal = outcome !== undefined && "refusal" in outcome ? outcome.refusal : null;
      const block = refusal !== null && isNoTag(refusal) ? null : readHeader(need(outcome), null);
      const passes = refusal === null || refusal.text.includes("not found");
      tags.set(tag, { block, until: world.elapsed() + (passes ? tag_kept_ms : unknown_tag_ms) });
    }
    const of = (tag: FinalityTag) => {
      const block = asked.includes(tag) ? (tags.get(tag)?.block ?? null) : null;
      if (block === null || block.number < latest.number) return block;
      if (block.number === latest.number && block.hash !== latest.hash) {
        throw new Fault("provider_inconsistent", `has two blocks ${latest.number}`);
      }
      return latest;
    };
    return { latest, safe: of("safe"), finalized: of("finalized") };
  }

  async function read(question: LogQuery): Promise<LogPage> {
    await waitForIndex(question.to);
    return readNarrowing(question, { range, tries_max: range_tries_max, readRange });
  }

  async function readRange(question: LogQuery): Promise<LogPage> {
    const { from, wallets, tokens, mark, side = "in" } = question;
    const rows: IndexRow[] = [];
    for (const wallet of tokens.length === 0 ? [] : wallets) {
      rows.push(...(await explorer.transfers({ wallet, side, tokens, from, to: question.to })));
    }
    const to = reach(rows, from, question.to);
    const within = rows.filter((row) => row.block <= to);
    const valued = within.filter((row) => row.units > 0n);
    const found = await receiptsOf(valued);

    // Read last: what the index told is then known to lie on the branch that these headers are of.
    const numbers = mark === null ? [to] : [to, mark];
    const headers = await blocks(numbers);
    const [end, marked = null] = headers.map((header, i) => {
      if (header === null) throw new Fault("provider_lagging", `does not know block ${numbers[i]}`);
      return header;
    });
    if (end === undefined) throw new Fault("provider_malformed");
    // Replaced since it was the head: the index may have answered for the other branch.
    if (last_head?.number === to && last_head.hash !== end.hash) {
      throw new Fault("provider_inconsistent", `block ${to} was replaced while it was read`);
    }
    const known = marked === null ? [end] : [end, marked];
    const transferLogs = transferLogsOf(valued, found, { ...question, to }, known);
    return { from, to, end, mark: marked, transferLogs, zero_value: within.length - valued.length, provider };
  }

  async function waitForIndex(to: number): Promise<void> {
    if (indexed < to) indexed = await explorer.head();
    if (indexed < to) throw new Fault("provider_lagging", `has indexed up to ${indexed}, not ${to}`);
  }

  async function receiptsOf(rows: readonly IndexRow[]): Promise<Map<string, Receipt>> {
    const found = new Map<string, Receipt>();
    const unread = new Set<string>();
    for (const row of rows) {
      const kept = shelf.find(row);
      if (kept === null) unread.add(row.tx_hash);
      else found.set(row.tx_hash, kept);
    }
    const hashes = [...unread];
    for (const [i, receipt] of (await receipts(hashes)).entries()) {
      // A block that was replaced a moment ago leaves the node before it leaves the index.
      if (receipt === null) throw new Fault("provider_lagging", `its index names ${hashes[i]}, its node does not`);
      found.set(receipt.tx_hash, receipt);
      shelf.keep(receipt);
    }
    return found;
  }

  /** The transfers asked for in the receipts of the rows. Every row must be borne out by one. */
  function transferLogsOf(
    rows: readonly IndexRow[],
    found: ReadonlyMap<string, Receipt>,
    question: LogQuery,
    known: readonly BlockRef[],
  ): TransferLog[] {
    const { from, to } = question;
    const hashes = new Map(known.map(({ number, hash }) => [number, hash]));
    const times = new Map(known.map(({ number, time }) => [number, time]));
    const newest = Math.max(...times.values());
    const refuse = (row: IndexRow, words: string) => new Fault("provider_inconsistent", `${row.tx_hash}: ${words}`);
    const transferLogs: TransferLog[] = [];
    for (const [tx_hash, mentioned] of Map.groupBy(rows, (row) => row.tx_hash)) {
      const { block, logs } = found.get(tx_hash) ?? { block: { number: -1, hash: "" }, logs: [] };
      const { number, hash } = block;
      const [first] = mentioned;
      if (first === undefined) continue;
      if (number < from || number > to || mentioned.some((row) => row.block !== number)) {
        throw refuse(first, "its receipt is of another block than the index says");
      }
      if ((hashes.get(number) ?? hash) !== hash) throw refuse(first, "its block has another hash elsewhere");
      hashes.set(number, hash);
      const time = times.get(number) ?? first.time;
      if (time > newest || mentioned.some((row) => row.time !== time)) throw refuse(first, "its time cannot be true");
      times.set(number, time);

      transferLogs.push(...transfersIn({ logs, tx_hash }, { number, hash, time }, { ...question, chain }));
      for (const row of mentioned) {
        if (!isInReceipt(row, { logs })) throw refuse(row, "its receipt does not hold what the index says");
      }
    }
    return transferLogs.sort(compareByPosition);
  }

  return {
    identity: (tokens) => counted(identity(tokens)),
    heads: (tags) => counted(heads(tags)),
    read: (question) => counted(read(question)),
    balances: (holdings, block) => counted(balancesAt(holdings, block)),
    blocks: (numbers) => counted(blocks(numbers)),
    receipts: (hashes) => counted(receipts(hashes)),
    reports: () => [report({ calls: explorer.requests(), learned_range: range.learned() })],
  };

  async function balancesAt(holdings: Parameters<Source["balances"]>[0], block: number) {
    if (!explorer.past_calls) throw new Fault("provider_cannot_answer", "does not tell balances of past blocks");
    return { ...(await balances(holdings, block)), provider };
  }
}

/** How far the rows can be looked at at once: all blocks, or those before the first that would be too much. */
function reach(rows: readonly IndexRow[], from: number, to: number): number {
  const seen = new Set<string>();
  let before = from;
  for (const row of rows.filter(({ units }) => units > 0n).sort((a, b) => a.block - b.block)) {
    seen.add(row.tx_hash);
    // A single block is looked at whole, whatever it holds.
    if (seen.size > transactions_per_read_max && row.block > before) return Math.max(from, row.block - 1);
    if (seen.size <= transactions_per_read_max) before = row.block;
  }
  return to;
}

/** True when a tag is what is refused, not the request. */
function isNoTag({ kind, text }: ProviderRefusal): boolean {
  return kind === "tag" || kind === "lagging" || (kind === "other" && /invalid|not supported|unsupported/.test(text));
}
