// What a chain says about single transfers as a page is taken in: where a log stands in its receipt, what has left the
// chain. Asks and judges; writes nothing.

import type { EvidenceQuery, LogPage, LogQuery, ProviderEvidence, Providers } from "../../chains/source.ts";
import { type ChainId, chainFacts } from "../../domain/assets.ts";
import { isDenied, type Opinion } from "../../domain/consensus.ts";
import { Fault } from "../../domain/errors.ts";
import { judgeReceipt } from "../../domain/matching.ts";
import type { ReceiptLog, Transfer, TransferLog } from "../../domain/payment.ts";
import { operatorOf } from "../../domain/provider.ts";
import type { Database } from "../../storage/engine/database.ts";
import { knownPositions, type TransferRow, transferOf, transfersBetween } from "../../storage/transfers.ts";
import type { Telemetry } from "../../telemetry.ts";

/** A transaction that no provider bears out: its block is not read completely. */
export interface UnprovedTransaction {
  block: number;
  tx_hash: string;
  /** The provider that was asked last. */
  provider: string;
  fault: Fault;
}

/** A page as far as receipts bear it out. */
export interface ProvedPage {
  answer: LogPage;
  /** In block order, each with its position in its receipt. */
  transfers: Transfer[];
  /** Transactions whose transfers are left out. */
  unproved: UnprovedTransaction[];
}

export interface Evidence {
  /**
   * Reads a page and gives each transfer log its position in its receipt and the time of its block's header. A transaction is
   * looked up once; what one provider does not bear out is asked of the others. A page that receipts contradict is read
   * again by another provider where there is one.
   */
  read(question: LogQuery, avoid?: string): Promise<ProvedPage>;
  /**
   * The page without those of its transfers in `late` that are not shown by two operators, and by more than deny them.
   * Their transactions are added to `unproved`. With one operator in the list, the page as it is.
   */
  corroborate(page: ProvedPage, late: readonly Transfer[]): Promise<ProvedPage>;
  /**
   * Ids of transfers believed to be in the range that the answer does not show and whose block is no longer on the chain.
   * In a range that is read as final also of those that two providers, and more than show them, have no receipt for.
   * Beside them those that a third operator, which could not say, may still decide, and the blocks of all that the answer
   * lacks.
   */
  findGone(
    answer: LogPage,
    transfers: readonly Transfer[],
    is_final: boolean,
  ): Promise<{ gone: number[]; undecided: UnprovedTransaction[]; lacking: number[] }>;
}

/** What providers say of a transfer. */
interface Case {
  transfer: Transfer;
  /** Of its row; null where none is stored. */
  id: number | null;
  opinions: Opinion[];
}

/** The evidence of one chain, read through its source. Faults: those of the source. */
export function createEvidence(needs: {
  chain: ChainId;
  source: Providers;
  database: Database;
  telemetry: Telemetry;
}): Evidence {
  const { chain, source, database, telemetry } = needs;
  const keeps_failed_logs = chainFacts[chain].kind === "tron";

  async function read(question: LogQuery, avoid?: string): Promise<ProvedPage> {
    const page = await prove(await source.read(question, avoid));
    const contradiction = page.unproved.find(({ fault }) => fault.code === "provider_inconsistent");
    if (contradiction === undefined) return page;
    const { provider, from, to } = page.answer;
    telemetry.warn("page_contradicted", { chain, provider, from, to, error: contradiction.fault.message });
    telemetry.count("page_contradicted", { chain, provider });
    const again = await source.read(question, provider).catch(unanswered);
    if (again === null || again.provider === provider) return page;
    const other = await prove(again);
    return other.unproved.length <= page.unproved.length ? other : page;
  }

  async function prove(answer: LogPage): Promise<ProvedPage> {
    const { transfers, unknown } = knownApart(answer);
    const unproved = new Map<string, UnprovedTransaction>();
    const excluded: string[] = [];
    while (unknown.size > 0) {
      const evidence = await ask({ hashes: [...unknown.keys()], heights: [] }, excluded);
      if (evidence === null) break;
      excluded.push(evidence.provider);
      for (const [tx_hash, transferLogs] of unknown) {
        const proved = placed(transferLogs, evidence);
        if (proved instanceof Fault) {
          const block = transferLogs[0]?.block.number ?? answer.from;
          // That one contradicts the page weighs more than that the next one refuses.
          if (unproved.get(tx_hash)?.fault.code === "provider_inconsistent") continue;
          unproved.set(tx_hash, { block, tx_hash, provider: evidence.provider, fault: proved });
          continue;
        }
        transfers.push(...proved);
        unknown.delete(tx_hash);
        unproved.delete(tx_hash);
      }
    }
    transfers.sort((a, b) => a.block.number - b.block.number || a.log_index - b.log_index);
    return { answer, transfers, unproved: [...unproved.values()] };
  }

  /** Transfer logs that are stored already, and the others by transaction. */
  function knownApart({ transferLogs }: LogPage): { transfers: Transfer[]; unknown: Map<string, TransferLog[]> } {
    const transfers: Transfer[] = [];
    const unknown: TransferLog[] = [];
    database.read((at) => {
      for (const transferLog of transferLogs) {
        const { tx_hash, block, log_index } = transferLog;
        const position = knownPositions(at, chain, tx_hash, block.hash).get(log_index);
        if (position === undefined) unknown.push(transferLog);
        else transfers.push({ ...transferLog, position });
      }
    });
    return { transfers, unknown: Map.groupBy(unknown, ({ tx_hash }) => tx_hash) };
  }

  /** Evidence from a provider run by none of `excluded`; null when none is left. */
  async function ask(matter: EvidenceQuery, excluded: readonly string[]): Promise<ProviderEvidence | null> {
    try {
      return await source.fetchEvidence(matter, excluded);
    } catch (error) {
      if (error instanceof Fault && error.code === "second_opinion_missing") return null;
      throw error;
    }
  }

  /** The transfers of one transaction as its receipt and its block's header bear them out; none where it failed on Tron. */
  function placed(transferLogs: readonly TransferLog[], evidence: ProviderEvidence): Transfer[] | Fault {
    const [first] = transferLogs;
    if (first === undefined) return [];
    const refused = evidence.refused.get(first.tx_hash);
    if (refused !== undefined) return refused;
    const receipt = evidence.receipts.get(first.tx_hash) ?? null;
    if (receipt?.block.hash !== first.block.hash) {
      return new Fault("provider_inconsistent", "a receipt does not stand in the block its log was found in");
    }
    const header = evidence.headers.get(receipt.block.number) ?? null;
    if (header === null) return new Fault("provider_lagging", `does not know block ${receipt.block.number}`);
    if (header.hash !== receipt.block.hash) {
      return new Fault("provider_inconsistent", "a receipt stands in a block that is not on the chain");
    }
    if (!receipt.success) {
      if (!keeps_failed_logs) return new Fault("provider_inconsistent", "a failed transaction has logs");
      // Tron keeps the logs of a transaction that failed; no money moved.
      telemetry.count("logs_of_failed_transactions", { chain });
      return [];
    }
    const transfers: Transfer[] = [];
    for (const transferLog of transferLogs) {
      const position = receipt.logs.findIndex(({ log_index }) => log_index === transferLog.log_index);
      const log = receipt.logs[position];
      if (log === undefined || !isSame(transferLog, log)) {
        return new Fault("provider_inconsistent", "a log is not in its receipt");
      }
      if (header.time !== transferLog.block.time) warnOfTime(transferLog, header.time);
      transfers.push({ ...transferLog, block: { ...transferLog.block, time: header.time }, position });
    }
    return transfers;
  }

  function warnOfTime({ tx_hash, block }: TransferLog, header: number): void {
    telemetry.warn("log_time_wrong", { chain, txn: tx_hash, block: block.number, stated: block.time, header });
    telemetry.count("log_time_wrong", { chain });
  }

  async function findGone(answer: LogPage, transfers: readonly Transfer[], is_final: boolean) {
    const shown = new Set(transfers.map((transfer) => `${transfer.tx_hash} ${transfer.position}`));
    const suspects = database
      .read((at) => transfersBetween(at, chain, answer.from, answer.to))
      .filter((row) => !shown.has(`${row.tx_hash} ${row.position}`));
    if (suspects.length === 0) return { gone: [], undecided: [], lacking: [] };
    const heights = [...new Set(suspects.map((row) => row.block_number))];
    const { headers } = await source.fetchEvidence({ hashes: [], heights }, []);
    const gone: number[] = [];
    const missing: TransferRow[] = [];
    for (const row of suspects) {
      const header = headers.get(row.block_number) ?? null;
      if (header !== null && header.hash !== row.block_hash) gone.push(row.id);
      else missing.push(row);
    }
    for (const row of missing) {
      telemetry.warn("log_missing_from_its_block", { chain, provider: answer.provider, transfer: row.id });
      telemetry.count("log_missing_from_its_block", { chain });
    }
    const cases = await collectOpinions(
      is_final ? missing.map((row) => ({ transfer: transferOf(row), id: row.id })) : [],
    );
    const undecided = cases.filter(mayBeDecided).map((one) => unprovedOf(one.transfer, answer.provider));
    const lacking = missing.map((row) => row.block_number);
    return { gone: [...gone, ...cases.flatMap(denied)], undecided, lacking };
  }

  async function corroborate(page: ProvedPage, late: readonly Transfer[]): Promise<ProvedPage> {
    if (late.length === 0 || operators() < 2) return page;
    const cases = await collectOpinions(late.map((transfer) => ({ transfer, id: null })));
    for (const one of cases) if (isDenied(one.opinions)) deny(one);
    const left_out = cases.filter(({ opinions }) => !isBorneOut(opinions)).map(({ transfer }) => transfer);
    const unproved = left_out.map((transfer) => unprovedOf(transfer, page.answer.provider));
    return {
      ...page,
      transfers: page.transfers.filter((transfer) => !left_out.includes(transfer)),
      unproved: [...page.unproved, ...unproved],
    };
  }

  /** Id of a transfer that two providers, and more than show it, do not have although they have its block. */
  function denied(one: Case): number | [] {
    const { transfer, id, opinions } = one;
    if (isDenied(opinions)) {
      deny(one);
      return id ?? [];
    }
    const without = withoutIt(opinions);
    if (without !== "" && !mayBeDecided(one)) {
      telemetry.error("transfer_doubted", { chain, transfer: id, txn: transfer.tx_hash, without });
    }
    return [];
  }

  /** True while a third operator could decide what two do not: it has said nothing clear yet. */
  function mayBeDecided({ opinions }: Case): boolean {
    const clear = opinions.filter(({ verdict }) => verdict !== "unclear").length;
    const count = operators();
    return count > 2 && clear < count && !isDenied(opinions) && !isBorneOut(opinions);
  }

  function operators(): number {
    return new Set(source.reports().map(({ provider }) => operatorOf(provider))).size;
  }

  /** Asks one provider after another until every case is decided or none is left. */
  async function collectOpinions(of: readonly Omit<Case, "opinions">[]): Promise<Case[]> {
    const cases: Case[] = of.map((one) => ({ ...one, opinions: [] }));
    const hashes = [...new Set(of.map(({ transfer }) => transfer.tx_hash))];
    const heights = [...new Set(of.map(({ transfer }) => transfer.block.number))];
    const excluded: string[] = [];
    for (let next = cases.length > 0; next; ) {
      const evidence = await ask({ hashes, heights }, excluded);
      if (evidence === null) break;
      excluded.push(evidence.provider);
      for (const { transfer, opinions } of cases) opinions.push(opinionOf(transfer, evidence));
      next = cases.some(({ opinions }) => !isDenied(opinions) && !isBorneOut(opinions));
    }
    return cases;
  }

  /** Tells of a transfer that two providers deny, and asks nothing more of those that show it. */
  function deny({ transfer, id, opinions }: Case): void {
    const { tx_hash, block } = transfer;
    telemetry.error("transfer_denied", { chain, transfer: id, txn: tx_hash, without: withoutIt(opinions) });
    for (const { provider, verdict } of opinions) {
      if (verdict === "confirmed") source.distrust(provider, { hashes: [tx_hash], heights: [block.number] });
    }
  }

  return { read, corroborate, findGone };
}

function opinionOf(transfer: Transfer, { provider, receipts, headers }: ProviderEvidence): Opinion {
  const receipt = receipts.get(transfer.tx_hash);
  const header = headers.get(transfer.block.number) ?? null;
  if (receipt === null && header?.hash === transfer.block.hash) return { provider, verdict: "absent" };
  return { provider, verdict: receipt === undefined ? "unclear" : judgeReceipt(transfer, receipt, header) };
}

const isDenying = ({ verdict }: Opinion) => verdict === "absent" || verdict === "gone";

/** True where two providers, and more than deny it, show a transfer. */
function isBorneOut(opinions: readonly Opinion[]): boolean {
  const showing = opinions.filter(({ verdict }) => verdict === "confirmed").length;
  return showing >= 2 && showing > opinions.filter(isDenying).length;
}

/** A transfer that the pages of two providers contradict each other about. */
function unprovedOf({ block, tx_hash }: Transfer, provider: string): UnprovedTransaction {
  const fault = new Fault("second_opinion_missing", "its page and an earlier one differ, and too few providers decide");
  return { block: block.number, tx_hash, provider, fault };
}

/** Providers that deny a transfer, in words for the operator. */
function withoutIt(opinions: readonly Opinion[]): string {
  return opinions
    .filter(isDenying)
    .map(({ provider }) => provider)
    .join(", ");
}

function isSame({ token, sender, wallet, units }: TransferLog, { transfer }: ReceiptLog): boolean {
  return (
    transfer?.token === token && transfer.sender === sender && transfer.wallet === wallet && transfer.units === units
  );
}

function unanswered(error: unknown): null {
  if (error instanceof Fault) return null;
  throw error;
}
