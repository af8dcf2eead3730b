// One JSON-RPC provider of one EVM chain as a Source. Asks in batches, checks every answer at the border, and answers
// completely or not at all; it never retries what another provider could answer better.

import { numberToHex } from "viem";
import type { ChainId } from "../../domain/assets.ts";
import { errorCode, Fault } from "../../domain/errors.ts";
import type { BlockRef, FinalityTag, Heads } from "../../domain/finality.ts";
import type { TransferLog } from "../../domain/payment.ts";
import type { RequestQuota } from "../../limits/request-quota.ts";
import type { Outbound } from "../../outbound.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import { createProviderStats } from "../provider-stats.ts";
import type { LogPage, LogQuery, Source } from "../source.ts";
import { type FoundTransfer, logsFilter, readLogs } from "./evm-logs.ts";
import { createEvmNode, headerCall } from "./evm-node.ts";
import { readHeader } from "./evm-shapes.ts";
import { createJsonRpc } from "./json-rpc.ts";
import { createRangeLimit } from "./range-limit.ts";
import type { ProviderRefusal, RefusalKind } from "./refusals.ts";

/** Attempts to find a range the provider takes: enough to come from any page size down to one block. */
const range_tries_max = 24;
/** Above it a question's wallets are spread over several calls of the same batch. */
const wallets_per_call_max = 500;
/** Refusals that say nothing of a tag. */
const of_us: readonly RefusalKind[] = ["rate", "key", "batch"];
/** How long a tag the node called unknown is not asked for. */
const unknown_tag_ms = 600_000;

export interface EvmSourceNeeds {
  chain: ChainId;
  /** The chain id the node must state before anything it says is used; stated again every hour. */
  chain_id: number;
  url: string;
  /** What answers and reports call this provider; without it the URL's host. */
  provider?: string;
  /** Widest range asked for before anything was learned. */
  page_blocks: number;
  /** False where the time a log states for its block is not to be believed, however plausible. */
  stated_times?: boolean;
  /** False where the node answers calls of contracts on its newest state only. */
  past_states?: boolean;
  /** Counts its calls; without one they are not limited. */
  quota?: RequestQuota;
  outbound: Outbound;
  world: World;
  telemetry: Telemetry;
}

/** A Source over one provider's URL. Nothing is sent before the first verb. Throws a TypeError when the URL is none. */
export function createEvmSource(needs: EvmSourceNeeds): Source {
  const { chain, stated_times = true, world, telemetry } = needs;
  const rpc = createJsonRpc(needs);
  const { ask, need, balances, blocks, receipts, identity } = createEvmNode({ ...needs, rpc });
  const range = createRangeLimit({ page_blocks: needs.page_blocks, world });
  const provider = needs.provider ?? rpc.host;
  const unknown_until = new Map<FinalityTag, number>();
  const books = createProviderStats({ chain, provider, world, telemetry });
  const { counted } = books;
  let wallets_per_call = wallets_per_call_max;

  async function heads(tags: readonly FinalityTag[]): Promise<Heads> {
    const asked = tags.filter((tag) => (unknown_until.get(tag) ?? 0) <= world.elapsed());
    const [first, ...rest] = await ask(["latest", ...asked].map(headerCall));
    const latest = readHeader(need(first), null);
    if (latest === null) throw new Fault("provider_malformed", "does not know its latest block");

    const found: Heads = { latest, safe: null, finalized: null };
    for (const [i, tag] of asked.entries()) {
      const outcome = rest[i];
      if (outcome && "refusal" in outcome && !of_us.includes(outcome.refusal.kind)) {
        const { kind, text } = outcome.refusal;
        // What fails alone, or is not found, passes; a tag the node does not even understand is left out of the next polls.
        const is_unknown = (kind === "tag" || kind === "lagging") && !text.includes("not found");
        if (is_unknown) unknown_until.set(tag, world.elapsed() + unknown_tag_ms);
        continue;
      }
      const block = readHeader(need(outcome), null);
      if (block?.number === latest.number && block.hash !== latest.hash) {
        throw new Fault("provider_inconsistent", `has two blocks ${latest.number}`);
      }
      // A block may have come between the two reads of one batch: a tag is never shown ahead of the head.
      found[tag] = block !== null && block.number > latest.number ? latest : block;
    }
    return found;
  }

  async function read(question: LogQuery): Promise<LogPage> {
    let to = range.reach(question.from, question.to);
    for (let tries = 1; ; tries++) {
      const page = { ...question, to };
      const answer = await readPage(page).catch((error) => oversized(error) ?? silent(page, error));
      if ("end" in answer) {
        range.answered();
        return answer;
      }
      const next = tries < range_tries_max ? nextTry(page, answer.refusal) : null;
      if (next === null) {
        if (question.from === to) range.singleRefused();
        throw answer.fault;
      }
      to = next;
    }
  }

  /** A provider that answered its head and nothing to this, again and again, is asked for less the next time. */
  function silent({ from, to }: LogQuery, error: unknown): never {
    if (error instanceof Fault && error.code === "provider_unreachable") {
      const refusal: ProviderRefusal = { kind: "other", words: error.message, text: error.message };
      if (range.suspects(refusal)) range.narrow(from, to, null);
    }
    throw error;
  }

  /** The last block of the next attempt; null when the refusal must stand. */
  function nextTry({ from, to, wallets }: LogQuery, refusal: ProviderRefusal | null): number | null {
    const in_call = Math.min(wallets_per_call, wallets.length);
    if (refusal?.kind === "filters" && in_call > 1) {
      wallets_per_call = Math.floor(in_call / 2);
      return to;
    }
    const too_wide = refusal === null || refusal.kind === "range";
    return too_wide || (refusal.kind === "other" && range.suspects(refusal)) ? range.narrow(from, to, refusal) : null;
  }

  /** One batch for one range: the answer, or the provider's refusal of its logs. */
  async function readPage({ from, to, wallets, tokens, mark, side = "in" }: LogQuery): Promise<LogPage | Refused> {
    // An empty list of contracts would ask for all there are.
    const chunks = tokens.length === 0 ? [] : chunked(wallets, wallets_per_call);
    const questions = chunks.map((wallets) => ({ from, to, tokens, wallets, side }));
    const heights = mark === null ? [to] : [to, mark];
    const [end_call, ...mark_calls] = heights.map((number) => headerCall(numberToHex(number)));
    if (end_call === undefined) throw new Fault("provider_malformed");
    // The end stands beside the logs: where a provider takes few calls at once, these two go to the same of its nodes.
    const [end_outcome, ...rest] = await ask([
      end_call,
      ...questions.map((question) => ({ method: "eth_getLogs", params: [logsFilter(question)] })),
      ...mark_calls,
    ]);
    const answers = rest.splice(0, questions.length);
    const outcomes = [end_outcome, ...rest];
    for (const answer of answers) {
      if ("refusal" in answer) return { refusal: answer.refusal, fault: rpc.fault(answer.refusal) };
    }

    const known = heights.map((number, i) => {
      const header = readHeader(need(outcomes[i]), number);
      if (header === null) throw new Fault("provider_lagging", `does not know block ${number}`);
      return header;
    });
    const [end, marked = null] = known;
    if (end === undefined) throw new Fault("provider_malformed");
    const parts = questions.map((question, i) => ({ question, raw: need(answers[i]) }));
    const { found, zero_value } = readLogs(parts, known);
    return { from, to, end, mark: marked, transferLogs: await transferLogsOf(found, known), zero_value, provider };
  }

  /** Puts the block's time to each transfer: from a header of the batch, from the log, or from a header fetched now. */
  async function transferLogsOf(found: readonly FoundTransfer[], known: readonly BlockRef[]): Promise<TransferLog[]> {
    const times = new Map(known.map(({ number, time }) => [number, time]));
    const newest = Math.max(...times.values());
    const unstated: number[] = [];
    for (const [number, transfers] of Map.groupBy(found, ({ number }) => number)) {
      if (times.has(number)) continue;
      const [time, ...others] = new Set(transfers.map(({ stated_time }) => stated_time));
      if (!stated_times || time == null || others.length > 0 || time > newest) unstated.push(number);
      else times.set(number, time);
    }
    const headers = new Map((await blocks(unstated)).map((header, i) => [unstated[i], header]));
    return found.map(({ number, hash, stated_time, ...transfer }) => {
      const header = headers.get(number);
      const time = times.get(number) ?? header?.time;
      if (time === undefined || (header && header.hash !== hash)) {
        throw new Fault("provider_inconsistent", `block ${number} is not the one its logs name`);
      }
      return { chain, ...transfer, block: { number, hash, time } };
    });
  }

  return {
    identity: (tokens) => counted(identity(tokens)),
    heads: (tags) => counted(heads(tags)),
    read: (question) => counted(read(question)),
    balances: (holdings, block, or_later) =>
      counted(balances(holdings, block, or_later).then((found) => ({ ...found, provider }))),
    blocks: (numbers) => counted(blocks(numbers)),
    receipts: (hashes) => counted(receipts(hashes)),
    reports: () => [
      books.report({ calls: rpc.requests(), learned_range: range.learned(), takes_batches: rpc.takesBatches() }),
    ],
  };
}

interface Refused {
  /** Null when the provider said nothing: its answer was larger than is taken. */
  refusal: ProviderRefusal | null;
  fault: Fault;
}

/** An answer too large to take is a range too wide, as much as a refusal is. */
function oversized(error: unknown): Refused | null {
  const is_oversized = error instanceof Fault && errorCode(error) === "provider_range_too_large";
  return is_oversized ? { refusal: null, fault: error } : null;
}

function chunked<T>(list: readonly T[], size: number): T[][] {
  const chunks: T[][] = [];
  for (let i = 0; i < list.length; i += size) chunks.push(list.slice(i, i + size));
  return chunks;
}
