// TronGrid's list of a wallet's token movements, page by page: which transactions to look at, never what they are worth.
// A list is complete or a Fault: a page that may be cut and names no next one is continued by time.

import { Fault } from "../../domain/errors.ts";
import type { TronGridHttp } from "./trongrid-http.ts";
import { type Row, readPage } from "./trongrid-shapes.ts";

const page_max_rows = 200;
/** What it answers where no length is asked for: a page of fewer rows is not a cut one, whatever limit it was cut at. */
const page_sure_rows = 20;
/** Pages of one list; a longer one is a range too wide. */
const pages_max = 25;

export interface TronTransferQuery {
  wallet: string;
  /** The wallet receives or sends. */
  side: "in" | "out";
  token: string;
  /** First and last time of a block, ms, both included. */
  from_ms: number;
  to_ms: number;
}

/**
 * All transfers of one contract to or from a wallet in a stretch of time, oldest first, approvals left out. Faults
 * `provider_range_too_large` where that is too much for one list, and the other `provider_*`.
 */
export async function listTronTransfers(http: TronGridHttp, asked: TronTransferQuery): Promise<Row[]> {
  const { wallet, side, token, from_ms, to_ms } = asked;
  const found: Row[] = [];
  let since = from_ms;
  let fingerprint: string | null = null;
  for (let pages = 0; pages < pages_max; pages++) {
    const page = readPage(
      await http.get(`/v1/accounts/${wallet}/transactions/trc20`, {
        [side === "in" ? "only_to" : "only_from"]: "true",
        contract_address: token,
        // Should the bound itself be left out, no block is lost: none has the millisecond before.
        min_timestamp: String(since - 1),
        max_timestamp: String(to_ms),
        order_by: "block_timestamp,asc",
        limit: String(page_max_rows),
        ...(fingerprint === null ? {} : { fingerprint }),
      }),
    );
    for (const row of page.rows) check(row, asked, found.at(-1));
    found.push(...page.rows);
    const last = found.at(-1);
    if (page.fingerprint !== null && page.fingerprint !== fingerprint && page.rows.length > 0) {
      fingerprint = page.fingerprint;
    } else if (page.rows.length >= page_sure_rows && last !== undefined && last.time_ms > since) {
      // Asked again from the time of the last row on, whose block may be cut in two.
      since = last.time_ms;
      fingerprint = null;
      while (found.at(-1)?.time_ms === since) found.pop();
    } else if (page.rows.length >= page_max_rows) {
      throw new Fault("provider_range_too_large", "lists more of one block than it answers");
    } else {
      return found.filter(({ is_transfer }) => is_transfer);
    }
  }
  throw new Fault("provider_range_too_large", `lists more than ${pages_max} pages`);
}

function check(row: Row, { wallet, side, token, from_ms, to_ms }: TronTransferQuery, before: Row | undefined): void {
  const refuse = (words: string) => new Fault("provider_inconsistent", `row of ${row.tx_hash}: ${words}`);
  if (row.token !== token) throw refuse("of a contract that was not asked for");
  if ((side === "in" ? row.wallet : row.sender) !== wallet) throw refuse("of a wallet that was not asked for");
  if (row.time_ms < from_ms || row.time_ms > to_ms) throw refuse("of a time that was not asked for");
  if (before !== undefined && row.time_ms < before.time_ms) throw refuse("not in the order asked for");
}
