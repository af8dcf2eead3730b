// What a chain says about single transfers as a page is taken in: where a log stands in its receipt, what has left the
// chain. Asks and judges; writes nothing.

import type { Answer, Providers, Question } from "../chains/source.ts";
import { type ChainId, chains } from "../domain/assets.ts";
import { Fault } from "../domain/errors.ts";
import type { Receipt, ReceiptLog, Sighting, Transfer } from "../domain/payment.ts";
import type { Database } from "../storage/database.ts";
import { knownPositions, transfersBetween } from "../storage/transfers.ts";
import type { Telemetry } from "../telemetry.ts";

export interface Evidence {
  /**
   * Reads a page and gives each sighting its position in its receipt; a receipt is read once per transaction and block.
   * A page that the receipts contradict is read again, page and receipts, by another provider where there is one.
   */
  read(question: Question, avoid?: string): Promise<{ answer: Answer; transfers: Transfer[] }>;
  /** Ids of transfers believed to be in the range that the answer does not show and whose block is no longer on the chain. */
  findGone(answer: Answer, transfers: readonly Transfer[]): Promise<number[]>;
}

/** The evidence of one chain, read through its source. Faults: provider_inconsistent and those of the source. */
export function createEvidence(needs: {
  chain: ChainId;
  source: Providers;
  database: Database;
  telemetry: Telemetry;
}): Evidence {
  const { chain, source, database, telemetry } = needs;
  const keeps_failed_logs = chains[chain].kind === "tron";

  async function read(question: Question, avoid?: string): Promise<{ answer: Answer; transfers: Transfer[] }> {
    const answer = await source.read(question, avoid);
    try {
      return { answer, transfers: await locate(answer, source.receipts) };
    } catch (error) {
      if (!(error instanceof Fault && error.code === "provider_inconsistent")) throw error;
      const { provider } = answer;
      telemetry.warn("page_contradicted", { chain, provider, from: answer.from, to: answer.to, error: error.message });
      telemetry.count("page_contradicted", { chain, provider });
      const again = await source.read(question, provider);
      if (again.provider === provider) throw error;
      return { answer: again, transfers: await locate(again, (hashes) => receiptsBeside(provider, hashes)) };
    }
  }

  /** Receipts as another provider has them. */
  async function receiptsBeside(provider: string, hashes: readonly string[]): Promise<(Receipt | null)[]> {
    if (hashes.length === 0) return [];
    const { receipts } = await source.testify({ hashes, heights: [] }, [provider]);
    return hashes.map((hash) => receipts.get(hash) ?? null);
  }

  async function locate(
    { sightings }: Answer,
    receiptsOf: (hashes: readonly string[]) => Promise<(Receipt | null)[]>,
  ): Promise<Transfer[]> {
    const positions = new Map<string, number>();
    const logs = new Map<string, ReceiptLog>();
    const failed = new Set<string>();
    const unknown = new Map<string, string>();
    database.read((at) => {
      for (const { tx_hash, block, log_index } of sightings) {
        const known = knownPositions(at, chain, tx_hash, block.hash).get(log_index);
        if (known === undefined) unknown.set(tx_hash, block.hash);
        else positions.set(`${tx_hash} ${log_index}`, known);
      }
    });
    const receipts = await receiptsOf([...unknown.keys()]);
    for (const receipt of receipts) {
      if (receipt === null || receipt.block.hash !== unknown.get(receipt.tx_hash)) {
        throw new Fault("provider_inconsistent", "a receipt does not stand in the block its log was found in");
      }
      if (!receipt.success) {
        // Tron keeps the logs of a transaction that failed; no money moved.
        if (!keeps_failed_logs) throw new Fault("provider_inconsistent", "a failed transaction has logs");
        failed.add(receipt.tx_hash);
      }
      for (const [position, log] of receipt.logs.entries()) {
        positions.set(`${receipt.tx_hash} ${log.log_index}`, position);
        logs.set(`${receipt.tx_hash} ${log.log_index}`, log);
      }
    }
    if (failed.size > 0) telemetry.count("logs_of_failed_transactions", { chain });
    return sightings
      .filter(({ tx_hash }) => !failed.has(tx_hash))
      .map((sighting) => {
        const place = `${sighting.tx_hash} ${sighting.log_index}`;
        const position = positions.get(place);
        const log = logs.get(place);
        if (position === undefined || (log !== undefined && !isSame(sighting, log))) {
          throw new Fault("provider_inconsistent", "a log is not in its receipt");
        }
        return { ...sighting, position };
      })
      .sort((a, b) => a.block.number - b.block.number || a.log_index - b.log_index);
  }

  async function findGone(answer: Answer, transfers: readonly Transfer[]): Promise<number[]> {
    const shown = new Set(transfers.map((transfer) => `${transfer.tx_hash} ${transfer.position}`));
    const suspects = database
      .read((at) => transfersBetween(at, chain, answer.from, answer.to))
      .filter((row) => !shown.has(`${row.tx_hash} ${row.position}`));
    if (suspects.length === 0) return [];
    const heights = [...new Set(suspects.map((row) => row.block_number))];
    const headers = new Map((await source.blocks(heights)).map((header, index) => [heights[index], header]));
    return suspects.flatMap((row) => {
      const header = headers.get(row.block_number) ?? null;
      if (header !== null && header.hash !== row.block_hash) return [row.id];
      telemetry.warn("log_missing_from_its_block", { chain, provider: answer.provider, transfer: row.id });
      telemetry.count("log_missing_from_its_block", { chain });
      return [];
    });
  }

  return { read, findGone };
}

function isSame({ token, sender, wallet, units }: Sighting, { transfer }: ReceiptLog): boolean {
  return (
    transfer?.token === token && transfer.sender === sender && transfer.wallet === wallet && transfer.units === units
  );
}
