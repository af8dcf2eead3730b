// Confirms transfers whose policy is met: reads each receipt again, from two operators where the amount asks for it, which
// must show the same and both call it final. Writes nothing. A disputed transfer never counts.

import type { ChainHeads, ProviderEvidence, Providers } from "../../chains/source.ts";
import type { ChainSettings } from "../../config/config.ts";
import type { ChainId } from "../../domain/assets.ts";
import { type Consensus, consensus, isDenied, type Opinion } from "../../domain/consensus.ts";
import { errorCodes, errorText, Fault } from "../../domain/errors.ts";
import { formatFinality, parseFinality, provingBlock, withoutStaleTags } from "../../domain/finality.ts";
import { judgeReceipt } from "../../domain/matching.ts";
import { isAtMost } from "../../domain/money.ts";
import type { ConfirmationResult, MovedTransfer } from "../../services/settlement.ts";
import { totalReceivedWith } from "../../storage/bound-transfers.ts";
import { depositById } from "../../storage/deposits.ts";
import type { Database } from "../../storage/engine/database.ts";
import { type TransferRow, transferOf } from "../../storage/transfers.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import { createConfirmationQueue, type QueuedTransfer } from "./confirmation-queue.ts";
import { isWithinReach, reachOfPolicy, type SecondFinality, secondFinalities } from "./second-finality.ts";

/** How long a payment waits for a second opinion that the configuration does not ask for. */
const unasked_patience_ms = 600_000;
/** A dispute that lasts is logged again this often. */
const alert_interval_ms = 600_000;

/** The result of one confirmation batch. */
export interface ConfirmationOutcome {
  judged: ConfirmationResult[];
  /** For the log: why payments do not count yet; null when none is held back. */
  held: string | null;
}

export interface Confirmation {
  /**
   * Confirms the next transfers whose policy is met: those bound to a deposit, or the others. Faults: those of the source
   * when no provider answers.
   */
  confirmNext(is_bound: boolean, heads: ChainHeads, settings: ChainSettings): Promise<ConfirmationOutcome>;
}

interface Case extends QueuedTransfer {
  needed: number;
  /** The answer of a provider that does not show this block is unclear. */
  witness: ReturnType<typeof provingBlock>;
  /** Why no second operator calls its policy met, where two are needed; null when nothing is missing. */
  unvouched: string | null;
  opinions: Opinion[];
  /** Headers by which a transfer that moved is re-pointed. */
  moved: Map<string, MovedTransfer>;
  /** Why providers say nothing clear, in words for the operator. */
  unclear: string[];
}

/** The confirmation of one chain. */
export function createConfirmation(needs: {
  chain: ChainId;
  source: Providers;
  database: Database;
  world: World;
  telemetry: Telemetry;
}): Confirmation {
  const { chain, source, database, world, telemetry } = needs;
  const queue = createConfirmationQueue(needs);

  async function confirmNext(
    is_bound: boolean,
    heads: ChainHeads,
    settings: ChainSettings,
  ): Promise<ConfirmationOutcome> {
    const due = queue.next(is_bound, (finality) => reachOfPolicy(finality, heads, settings.facts));
    const cases = await begin(due, heads, settings);
    const silence = await askAll(cases);
    const judged: ConfirmationResult[] = [];
    const final = reachOfPolicy(formatFinality(settings.facts.final), heads, settings.facts);
    for (const one of cases) {
      const { row, memory } = one;
      const found = patientWith(one, settings, silence);
      memory.held = null;
      // No index is that late: what two do not have in a final block was invented by the one that showed it.
      if (
        found.state !== "agreed" &&
        isWithinReach(final, { number: row.block_number, time: row.block_time }) &&
        isDenied(one.opinions)
      ) {
        telemetry.error("transfer_denied", { chain, transfer: row.id, txn: row.tx_hash, opinions: sidesOf(one) });
        if (found.state === "disputed") distrust(one, found.outvoted);
        judged.push({ id: row.id, block_hash: row.block_hash, verdict: "gone" });
        continue;
      }
      if (found.state === "agreed") judged.push(...judgement(one, found));
      else if (found.state === "disputed") memory.held = dispute(one, found.outvoted);
      else if (one.needed > 1) memory.held = missing(one.unvouched ?? silence);
      else memory.held = unclear(one);
      memory.is_disputed = found.state === "disputed";
    }
    return { judged, held: counted(queue.held()) };
  }

  /** How many operators must say the same of a transfer, by what its order receives with it. */
  function opinionsFor(row: TransferRow, { verify }: ChainSettings): number {
    if (verify.above === null) return 1;
    const total = database.read((at) => {
      const order_id = row.deposit === null ? null : (depositById(at, row.deposit)?.order_id ?? null);
      return order_id === null ? row.amount : totalReceivedWith(at, order_id, row);
    });
    return isAtMost(total, verify.above) ? 1 : 2;
  }

  /** Cases of the transfers that enough operators call final; the others remember why not. */
  async function begin(due: readonly QueuedTransfer[], heads: ChainHeads, settings: ChainSettings): Promise<Case[]> {
    const opinions = new Map(due.map(({ row }) => [row.id, opinionsFor(row, settings)]));
    const twice = due.filter(({ row }) => opinions.get(row.id) !== 1).map(({ row }) => row.finality);
    const seconds = await secondFinalities(source, heads, new Set(twice), settings.facts);
    const freshHeads = withoutStaleTags(heads, settings.facts.stale_tag_s ?? null);
    return due.flatMap(({ row, memory }) => {
      const needed = opinions.get(row.id) ?? 1;
      const second = needed > 1 ? seconds.get(row.finality) : undefined;
      if (isFinalBy(second, row)) {
        const unvouched = second?.through === null ? second.complaint : null;
        const witness = provingBlock(parseFinality(row.finality), row.block_number, freshHeads, settings.facts);
        return [{ row, memory, needed, witness, unvouched, opinions: [], moved: new Map(), unclear: [] }];
      }
      memory.waiting_since = null;
      memory.held = second?.complaint ? missing(second.complaint) : null;
      return [];
    });
  }

  /** Asks one provider after another until every case is decided or none is left. Returns why none is left. */
  async function askAll(cases: readonly Case[]): Promise<string | null> {
    const excluded: string[] = [];
    for (let open = cases; open.length > 0; open = open.filter(isOpen)) {
      const hashes = [...new Set(open.map(({ row }) => row.tx_hash))];
      const heights = [...new Set(open.flatMap(({ row, witness }) => [row.block_number, witness.number]))];
      let evidence: ProviderEvidence;
      try {
        evidence = await source.fetchEvidence({ hashes, heights }, excluded);
      } catch (error) {
        if (error instanceof Fault && error.code === "second_opinion_missing") return error.message;
        throw error;
      }
      excluded.push(evidence.provider);
      for (const one of open) form(one, evidence);
    }
    return null;
  }

  /** What to make of the opinions there are, once patience that nobody asked for has run out. */
  function patientWith(one: Case, { verify }: ChainSettings, silence: string | null): Consensus {
    const all = consensus(one.opinions, one.needed);
    const found: Consensus = all.state === "agreed" && one.unvouched !== null ? { state: "wanting" } : all;
    if (found.state !== "wanting" || one.needed === 1 || verify.asked) return found;
    one.memory.waiting_since ??= world.elapsed();
    if (world.elapsed() - one.memory.waiting_since < unasked_patience_ms) return found;
    const alone = consensus(one.opinions, 1);
    if (alone.state !== "agreed") return alone;
    telemetry.warn("counted_without_second_opinion", { chain, transfer: one.row.id, error: one.unvouched ?? silence });
    telemetry.count("counted_without_second_opinion", { chain });
    return alone;
  }

  function judgement({ row, moved }: Case, { verdict }: Extract<Consensus, { state: "agreed" }>): ConfirmationResult[] {
    const { id, block_hash } = row;
    if (typeof verdict === "string") return [{ id, block_hash, verdict }];
    const place = moved.get(verdict.moved.hash);
    return place === undefined ? [] : [{ id, block_hash, verdict: place }];
  }

  function dispute(one: Case, outvoted: readonly string[]): string {
    const { row, memory } = one;
    const sides = sidesOf(one);
    const is_due = memory.alerted_at === null || world.elapsed() - memory.alerted_at >= alert_interval_ms;
    // A reorganisation between two answers makes them differ once: it is no alarm before they differ again.
    if (memory.is_disputed && is_due) {
      memory.alerted_at = world.elapsed();
      telemetry.error("provider_disagrees", { chain, transfer: row.id, txn: row.tx_hash, opinions: sides });
    }
    telemetry.count("provider_disagrees", { chain });
    distrust(one, outvoted);
    return `provider_disagrees: of transaction ${row.tx_hash} ${sides}; it counts once two agree`;
  }

  function distrust({ row }: Case, outvoted: readonly string[]): void {
    for (const provider of outvoted) {
      source.distrust(provider, { hashes: [row.tx_hash], heights: [row.block_number] });
    }
  }

  /** Of one transfer only: the others are judged by what is said of them. */
  function unclear({ row, unclear }: Case): string {
    const { block_number: block, tx_hash } = row;
    const why = unclear.join("; ");
    telemetry.warn("confirmation_unclear", { chain, transfer: row.id, block, txn: tx_hash, error: why });
    telemetry.count("confirmation_unclear", { chain });
    return `confirmation_unclear: block ${block}, transaction ${tx_hash}: ${why}`;
  }

  return { confirmNext };
}

/** False where a second operator says that the row's policy is not met yet. */
function isFinalBy(second: SecondFinality | undefined, row: TransferRow): boolean {
  if (second === undefined || second.through === null) return true;
  return isWithinReach(second.through, { number: row.block_number, time: row.block_time });
}

/** True while one more provider could settle the case: one that was unclear, the second of two, the arbiter of a dispute. */
function isOpen({ opinions, needed }: Case): boolean {
  const found = consensus(opinions, needed);
  // What one provider does not show is asked of another where there is one: a single bad answer drops no payment.
  if (found.state === "agreed" && found.verdict === "gone" && opinions.length < 2) return true;
  return found.state === "wanting" || (found.state === "disputed" && found.outvoted.length === 0);
}

/** Adds what one provider shows of the case. */
function form(one: Case, { provider, receipts, refused, headers }: ProviderEvidence): void {
  const { row, opinions, moved, witness } = one;
  const shown = headers.get(witness.number);
  // Several nodes may stand behind one name, and one of them on a branch that was left.
  if (shown === null || (shown !== undefined && witness.hash !== null && shown.hash !== witness.hash)) {
    opinions.push({ provider, verdict: "unclear" });
    one.unclear.push(`${provider}: does not show the block ${witness.number} by which it counts`);
    return;
  }
  const receipt = receipts.get(row.tx_hash) ?? null;
  const header = headers.get(row.block_number) ?? null;
  const verdict = judgeReceipt(transferOf(row), receipt, header);
  const block = typeof verdict === "string" ? null : headers.get(verdict.moved.number);
  // A receipt counts only in a block that is canonical where it says it is.
  const stands = typeof verdict === "string" || block?.hash === verdict.moved.hash;
  if (block && stands) moved.set(block.hash, { moved: block, log_index: receipt?.logs[row.position]?.log_index });
  const is_absent = receipts.get(row.tx_hash) === null && header?.hash === row.block_hash;
  // With one provider, an index that is late says nothing against the transfer.
  if (is_absent && one.needed > 1) opinions.push({ provider, verdict: "absent" });
  else opinions.push({ provider, verdict: stands ? verdict : "unclear" });
  if (verdict !== "unclear" && stands) return;
  const refusal = refused.get(row.tx_hash);
  const missing = header === null ? `shows no block ${row.block_number}` : "shows no receipt in this block";
  one.unclear.push(`${provider}: ${refusal === undefined ? missing : errorText(refusal)}`);
}

function sidesOf({ opinions }: Case): string {
  return opinions.map(({ provider, verdict }) => `${provider} says ${saidOf(verdict)}`).join(", ");
}

function saidOf(verdict: Opinion["verdict"]): string {
  if (verdict === "unclear") return "nothing clear";
  if (verdict === "absent") return "it has no such receipt";
  if (verdict === "gone") return "it is not there";
  return verdict === "confirmed" ? "it is there" : `it is in block ${verdict.moved.number}`;
}

function missing(why: string | null): string {
  return `second_opinion_missing: ${why ?? errorCodes.second_opinion_missing.text}`;
}

/** Why payments are held back: how many, and the reason of the first; null when none is. */
function counted(reasons: readonly string[]): string | null {
  const [first] = reasons;
  if (first === undefined) return null;
  const payments = reasons.length === 1 ? "1 payment is" : `${reasons.length} payments are`;
  return `${payments} held back: ${first}`;
}
