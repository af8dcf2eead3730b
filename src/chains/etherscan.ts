// Etherscan's API, and Routescan's, which has the same shape: token transfers of a wallet, paged by block, and a proxy
// to a node. Pages are never turned by number: what stands on a page changes while it is read.

import { Fault } from "../domain/errors.ts";
import type { World } from "../world.ts";
import { faultOf, type Refuser, readAnswer, readBlockNumber, readTokenRows } from "./etherscan-answers.ts";
import { createProxyRpc } from "./etherscan-proxy.ts";
import type { Explorer, IndexQuestion, IndexRow } from "./explorer.ts";
import type { ExplorerHttp } from "./explorer-http.ts";

/** The most a free plan gives in one answer. */
const page_rows_max = 1000;
/** An answer with fewer rows is whole whatever limit it was cut at; a longer one is continued until nothing comes. */
const page_rows_sure = 25;
/** How far behind the index's newest block a range must end: transfers are indexed a moment after their block. */
const index_margin_s = 15;
/** A search that takes it too long is refused after half a minute, and then smaller ones help. */
const search_timeout_ms = 35_000;
/** Questions for one wallet and range; more is a wallet this way of reading is not made for. */
const pages_max = 200;

export interface EtherscanNeeds {
  http: ExplorerHttp;
  refuser: Refuser;
  chain_id: number;
  /** Etherscan serves all chains at one address and wants the chain named in each question. */
  names_chain: boolean;
  world: World;
}

/** An explorer with Etherscan's API. */
export function createEtherscan({ http, refuser, chain_id, names_chain, world }: EtherscanNeeds): Explorer {
  const chain = names_chain ? { chainid: String(chain_id) } : {};

  async function ask(query: Record<string, string>, patience_ms?: number): Promise<unknown> {
    const answer = readAnswer(await http.get("", { ...chain, ...query }, patience_ms));
    if ("result" in answer) return answer.result;
    throw http.heeded(faultOf(answer.refusal, refuser));
  }

  /** Rows of all contracts, or of one, in block order; null when the range is too much for one answer. */
  async function page(wallet: string, from: number, to: number, contract: string | null): Promise<IndexRow[] | null> {
    const query = {
      module: "account",
      action: "tokentx",
      address: wallet,
      ...(contract === null ? {} : { contractaddress: contract }),
      startblock: String(from),
      endblock: String(to),
      page: "1",
      offset: String(page_rows_max),
      sort: "asc",
    };
    let rows: IndexRow[];
    try {
      rows = readTokenRows(await ask(query, search_timeout_ms));
    } catch (error) {
      if (error instanceof Fault && error.code === "provider_range_too_large") return null;
      throw error;
    }
    let last = from;
    for (const { block } of rows) {
      if (block < last || block > to) {
        throw new Fault("provider_inconsistent", `answered block ${block} when asked for ${last} to ${to} in order`);
      }
      last = block;
    }
    return rows;
  }

  /** One block that fills a page by itself, contract by contract: strangers' coins may crowd out those asked for. */
  async function crowded(wallet: string, block: number, tokens: readonly string[]): Promise<IndexRow[]> {
    const found: IndexRow[] = [];
    for (const token of tokens) {
      const rows = await page(wallet, block, block, token);
      if (rows === null || rows.length >= page_rows_max) {
        const words = `block ${block} holds more transfers of ${token} to or from ${wallet} than it shows`;
        throw new Fault("provider_range_too_large", words);
      }
      found.push(...rows);
    }
    return found;
  }

  async function transfers({ wallet, side, tokens, from, to }: IndexQuestion): Promise<IndexRow[]> {
    const found: IndexRow[] = [];
    let width = to - from + 1;
    for (let start = from, pages = 0; start <= to; pages++) {
      if (pages === pages_max) throw new Fault("provider_range_too_large", `${wallet} has too many transfers`);
      const end = Math.min(to, start + width - 1);
      const rows = await page(wallet, start, end, null);
      const first = rows?.[0];
      const last = rows?.at(-1);
      if (rows === null) {
        if (width === 1) throw new Fault("provider_range_too_large", `gave up on block ${start}`);
        width = Math.ceil(width / 2);
      } else if (first === undefined || last === undefined || rows.length < page_rows_sure) {
        found.push(...rows);
        start = end + 1;
      } else if (first.block !== last.block) {
        // The last block may be cut in two: it is asked for again, with what follows it.
        found.push(...rows.filter((row) => row.block < last.block));
        start = last.block;
      } else {
        found.push(...(rows.length < page_rows_max ? rows : await crowded(wallet, last.block, tokens)));
        start = last.block + 1;
      }
    }
    const end_of = (row: IndexRow) => (side === "in" ? row.wallet : row.sender);
    return found.filter((row) => end_of(row) === wallet && tokens.includes(row.token));
  }

  return {
    host: http.host,
    requests: http.requests,
    rpc: createProxyRpc({ http, refuser, chain, chain_id }),
    // Of a past block it is not documented to know, and an answer about the newest would be a wrong one.
    past_calls: false,
    transfers,
    async head() {
      const timestamp = Math.floor(world.now() / 1000) - index_margin_s;
      const query = { module: "block", action: "getblocknobytime", timestamp: String(timestamp), closest: "before" };
      return readBlockNumber(await ask(query));
    },
  };
}
