// Tronscan's list of a wallet's incoming transfers as a History: an index of another company than the nodes that are
// read. Its pages are counted from the newest row and end after ten thousand, so a longer list is asked for in halves.

import { z } from "zod";
import { errorText, Fault } from "../../domain/errors.ts";
import type { Outbound } from "../../outbound.ts";
import type { History, IndexHint } from "../history.ts";
import { shaped } from "../rpc/evm-shapes.ts";
import { createTronGridHttp, type TronGridHttp } from "./trongrid-http.ts";
import { addressShape, hashShape } from "./trongrid-shapes.ts";

/** Longer pages are cut without a word. */
const page_max_rows = 50;
const window_max_rows = 10_000;
/** Requests for one contract; a list that takes more is a stretch too long. */
const pages_max = 400;

const status = z.object({ database: z.object({ confirmedBlock: z.number().int().nonnegative() }) });
const page = z.object({
  /** All rows of the list, at least up to the window's end. */
  total: z.number().int().nonnegative().optional(),
  token_transfers: z.array(
    z.object({
      transaction_id: hashShape,
      block_ts: z.number().int().nonnegative(),
      block: z.number().int().nonnegative(),
      to_address: addressShape,
      contract_address: addressShape,
      quant: z.string().regex(/^\d{1,78}$/, "is no amount"),
      finalResult: z.string().optional(),
      revert: z.boolean().optional(),
    }),
  ),
});

interface Stretch {
  wallet: string;
  token: string;
  /** ms, both included. */
  from_ms: number;
  to_ms: number;
}

/** A History over the API at `url`, such as `https://apilist.tronscanapi.com`; `outbound` knows its key. */
export function createTronscan({ url, outbound }: { url: string; outbound: Outbound }): History {
  const http = createTronGridHttp({ url, outbound, key_name: "tronscan_api_key" });
  const provider = http.host;
  return {
    provider,
    async incoming({ wallet, tokens, from, to }) {
      try {
        const { database } = shaped(status, await http.get("/api/system/status", {}), "status");
        const known = database.confirmedBlock;
        if (known < to.number) throw new Fault("provider_lagging", `has indexed up to ${known}, not ${to.number}`);
        const found: IndexHint[] = [];
        for (const token of tokens) {
          found.push(
            ...(await listAll(http, { wallet, token, from_ms: from.time * 1000, to_ms: to.time * 1000 + 999 })),
          );
        }
        return found
          .filter(({ block }) => block !== null && block >= from.number && block <= to.number)
          .sort((a, b) => a.time - b.time);
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        throw new Fault(error.code, `${provider}: ${errorText(error)}`, error.retry_after_s);
      }
    },
  };
}

async function listAll(http: TronGridHttp, whole: Stretch): Promise<IndexHint[]> {
  const found: IndexHint[] = [];
  const open = [whole];
  let pages = 0;
  for (let stretch = open.pop(); stretch !== undefined; stretch = open.pop()) {
    const part: IndexHint[] = [];
    for (let start = 0; ; start += page_max_rows) {
      const { rows, total, mentions } = await listPage(http, stretch, start);
      if (++pages > pages_max) throw new Fault("provider_range_too_large", `lists more than ${pages_max} pages`);
      // The page after the window's last one cannot be asked for, nor can it be known to be empty.
      if (total >= window_max_rows || start + 2 * page_max_rows > window_max_rows) {
        const middle_ms = Math.floor((stretch.from_ms + stretch.to_ms) / 2);
        if (middle_ms === stretch.to_ms) throw new Fault("provider_range_too_large", "lists more than it answers");
        open.push({ ...stretch, to_ms: middle_ms }, { ...stretch, from_ms: middle_ms + 1 });
        break;
      }
      part.push(...mentions);
      if (rows < page_max_rows) {
        found.push(...part);
        break;
      }
    }
  }
  return found;
}

async function listPage(http: TronGridHttp, { wallet, token, from_ms, to_ms }: Stretch, start: number) {
  const answer = await http.get("/api/token_trc20/transfers", {
    toAddress: wallet,
    contract_address: token,
    // Should the bounds themselves be left out, no block is lost; what is too much is left out below.
    start_timestamp: String(from_ms - 1),
    end_timestamp: String(to_ms + 1),
    start: String(start),
    limit: String(page_max_rows),
  });
  const { token_transfers: rows, total = 0 } = shaped(page, answer, "page");
  const mentions = rows.flatMap((row): IndexHint[] => {
    if (row.to_address !== wallet || row.contract_address !== token) {
      throw new Fault("provider_inconsistent", `row of ${row.transaction_id}: of a wallet that was not asked for`);
    }
    // What failed moved nothing.
    const failed = row.revert === true || (row.finalResult !== undefined && row.finalResult !== "SUCCESS");
    const units = BigInt(row.quant);
    if (failed || units === 0n || row.block_ts < from_ms || row.block_ts > to_ms) return [];
    return [
      { tx_hash: row.transaction_id, token, wallet, units, block: row.block, time: Math.floor(row.block_ts / 1000) },
    ];
  });
  return { rows: rows.length, total, mentions };
}
