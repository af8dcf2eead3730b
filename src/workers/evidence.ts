// What a chain says about single transfers as a page is taken in: where a log stands in its receipt, what has left the
// chain. Asks and judges; writes nothing.

import type { Answer, Matter, Providers, Question, Testimony } from "../chains/source.ts";
import { type ChainId, chains } from "../domain/assets.ts";
import { isDenied, type Opinion } from "../domain/consensus.ts";
import { Fault } from "../domain/errors.ts";
import { judge } from "../domain/matching.ts";
import type { ReceiptLog, Sighting, Transfer } from "../domain/payment.ts";
import type { Database } from "../storage/database.ts";
import { knownPositions, type TransferRow, transferOf, transfersBetween } from "../storage/transfers.ts";
import type { Telemetry } from "../telemetry.ts";

/** A transaction that no provider bears out: its block is not read completely. */
export interface Unproved {
  block: number;
  tx_hash: string;
  /** The provider that was asked last. */
  provider: string;
  fault: Fault;
}

/** A page as far as receipts bear it out. */
export interface ProvedPage {
  answer: Answer;
  /** In block order, each with its position in its receipt. */
  transfers: Transfer[];
  /** Transactions whose transfers are left out. */
  unproved: Unproved[];
}

export interface Evidence {
  /**
   * Reads a page and gives each sighting its position in its receipt and the time of its block's header. A transaction is
   * looked up once; what one provider does not bear out is asked of the others. A page that receipts contradict is read
   * again by another provider where there is one.
   */
  read(question: Question, avoid?: string): Promise<ProvedPage>;
  /**
   * Ids of transfers believed to be in the range that the answer does not show and whose block is no longer on the chain.
   * In a range that is read as final also of those that two providers, and more than show them, have no receipt for.
   */
  findGone(answer: Answer, transfers: readonly Transfer[], is_final: boolean): Promise<number[]>;
}

/** The evidence of one chain, read through its source. Faults: those of the source. */
export function createEvidence(needs: {
  chain: ChainId;
  source: Providers;
  database: Database;
  telemetry: Telemetry;
}): Evidence {
  const { chain, source, database, telemetry } = needs;
  const keeps_failed_logs = chains[chain].kind === "tron";

  async function read(question: Question, avoid?: string): Promise<ProvedPage> {
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

  async function prove(answer: Answer): Promise<ProvedPage> {
    const { transfers, unknown } = knownApart(answer);
    const unproved = new Map<string, Unproved>();
    const heard: string[] = [];
    while (unknown.size > 0) {
      const testimony = await hear({ hashes: [...unknown.keys()], heights: [] }, heard);
      if (testimony === null) break;
      heard.push(testimony.provider);
      for (const [tx_hash, sightings] of unknown) {
        const proved = placed(sightings, testimony);
        if (proved instanceof Fault) {
          const block = sightings[0]?.block.number ?? answer.from;
          // That one contradicts the page weighs more than that the next one refuses.
          if (unproved.get(tx_hash)?.fault.code === "provider_inconsistent") continue;
          unproved.set(tx_hash, { block, tx_hash, provider: testimony.provider, fault: proved });
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

  /** Sightings that are stored already, and the others by transaction. */
  function knownApart({ sightings }: Answer): { transfers: Transfer[]; unknown: Map<string, Sighting[]> } {
    const transfers: Transfer[] = [];
    const unknown: Sighting[] = [];
    database.read((at) => {
      for (const sighting of sightings) {
        const { tx_hash, block, log_index } = sighting;
        const position = knownPositions(at, chain, tx_hash, block.hash).get(log_index);
        if (position === undefined) unknown.push(sighting);
        else transfers.push({ ...sighting, position });
      }
    });
    return { transfers, unknown: Map.groupBy(unknown, ({ tx_hash }) => tx_hash) };
  }

  /** What another provider than those of `heard` tells of a matter; null when none is left. */
  async function hear(matter: Matter, heard: readonly string[]): Promise<Testimony | null> {
    try {
      return await source.testify(matter, heard);
    } catch (error) {
      if (error instanceof Fault && error.code === "second_opinion_missing") return null;
      throw error;
    }
  }

  /** The transfers of one transaction as its receipt and its block's header bear them out; none where it failed on Tron. */
  function placed(sightings: readonly Sighting[], testimony: Testimony): Transfer[] | Fault {
    const [first] = sightings;
    if (first === undefined) return [];
    const refused = testimony.refused.get(first.tx_hash);
    if (refused !== undefined) return refused;
    const receipt = testimony.receipts.get(first.tx_hash) ?? null;
    if (receipt?.block.hash !== first.block.hash) {
      return new Fault("provider_inconsistent", "a receipt does not stand in the block its log was found in");
    }
    const header = testimony.headers.get(receipt.block.number) ?? null;
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
    for (const sighting of sightings) {
      const position = receipt.logs.findIndex(({ log_index }) => log_index === sighting.log_index);
      const log = receipt.logs[position];
      if (log === undefined || !isSame(sighting, log)) {
        return new Fault("provider_inconsistent", "a log is not in its receipt");
      }
      if (header.time !== sighting.block.time) warnOfTime(sighting, header.time);
      transfers.push({ ...sighting, block: { ...sighting.block, time: header.time }, position });
    }
    return transfers;
  }

  function warnOfTime({ tx_hash, block }: Sighting, header: number): void {
    telemetry.warn("log_time_wrong", { chain, txn: tx_hash, block: block.number, stated: block.time, header });
    telemetry.count("log_time_wrong", { chain });
  }

  async function findGone(answer: Answer, transfers: readonly Transfer[], is_final: boolean): Promise<number[]> {
    const shown = new Set(transfers.map((transfer) => `${transfer.tx_hash} ${transfer.position}`));
    const suspects = database
      .read((at) => transfersBetween(at, chain, answer.from, answer.to))
      .filter((row) => !shown.has(`${row.tx_hash} ${row.position}`));
    if (suspects.length === 0) return [];
    const heights = [...new Set(suspects.map((row) => row.block_number))];
    const { headers } = await source.testify({ hashes: [], heights }, []);
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
    return is_final ? [...gone, ...(await denied(missing))] : gone;
  }

  /** Ids of those that two providers, and more than show them, do not have although they have the blocks. */
  async function denied(missing: readonly TransferRow[]): Promise<number[]> {
    const cases = missing.map((row) => ({ row, opinions: [] as Opinion[] }));
    const hashes = [...new Set(missing.map((row) => row.tx_hash))];
    const heights = [...new Set(missing.map((row) => row.block_number))];
    const heard: string[] = [];
    for (let next = cases.length > 0; next; ) {
      const testimony = await hear({ hashes, heights }, heard);
      if (testimony === null) break;
      heard.push(testimony.provider);
      for (const { row, opinions } of cases) opinions.push(opinionOf(row, testimony));
      next = cases.some(({ opinions }) => isOpen(opinions));
    }
    return cases.filter(({ row, opinions }) => isInvented(row, opinions)).map(({ row }) => row.id);
  }

  function isInvented(row: TransferRow, opinions: readonly Opinion[]): boolean {
    const sides = Map.groupBy(opinions, ({ verdict }) =>
      verdict === "absent" || verdict === "gone" ? "without" : "with",
    );
    const without = (sides.get("without") ?? []).map(({ provider }) => provider);
    const is_denied = isDenied(opinions);
    const fields = { chain, transfer: row.id, txn: row.tx_hash, without: without.join(", ") };
    if (is_denied) telemetry.error("transfer_denied", fields);
    else if (without.length > 0) telemetry.error("transfer_doubted", fields);
    if (!is_denied) return false;
    for (const { provider, verdict } of opinions) {
      if (verdict !== "confirmed") continue;
      source.distrust(provider, { hashes: [row.tx_hash], heights: [row.block_number] });
    }
    return true;
  }

  return { read, findGone };
}

function opinionOf(row: TransferRow, { provider, receipts, headers }: Testimony): Opinion {
  const receipt = receipts.get(row.tx_hash);
  const header = headers.get(row.block_number) ?? null;
  if (receipt === null && header?.hash === row.block_hash) return { provider, verdict: "absent" };
  return { provider, verdict: receipt === undefined ? "unclear" : judge(transferOf(row), receipt, header) };
}

/** True while one more provider could decide: neither is it denied, nor do two, and more than do not, show it. */
function isOpen(opinions: readonly Opinion[]): boolean {
  const showing = opinions.filter(({ verdict }) => verdict === "confirmed").length;
  const denying = opinions.filter(({ verdict }) => verdict === "absent" || verdict === "gone").length;
  return !isDenied(opinions) && (showing < 2 || showing <= denying);
}

function isSame({ token, sender, wallet, units }: Sighting, { transfer }: ReceiptLog): boolean {
  return (
    transfer?.token === token && transfer.sender === sender && transfer.wallet === wallet && transfer.units === units
  );
}

function unanswered(error: unknown): null {
  if (error instanceof Fault) return null;
  throw error;
}
