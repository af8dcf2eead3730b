// Etherscan's API, and Routescan's, which has the same shape: token transfers of a wallet, paged by block, and a proxy
// to a node. Pages are never turned by number: what stands on a page changes while it is read.

import { Fault } from "../../domain/errors.ts";
import type { World } from "../../world.ts";
import { type RefusingService, readAnswer, readBlockNumber, readTokenRows, refusalFault } from "./etherscan-answers.ts";
import { createProxyRpc } from "./etherscan-proxy.ts";
import type { Explorer, IndexQuery, IndexRow } from "./explorer.ts";
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
  refuser: RefusingService;
  chain_id: number;
  /** Etherscan serves all chains at one address and wants the chain named in each question. */
  names_chain: boolean;
  world: World;
}

interface Stretch {
  wallet: string;
  from: number;
  to: number;
  /** Null or absent: of all contracts. */
  contract?: string | null;
}

/** An explorer with Etherscan's API. */
export function createEtherscan({ http, refuser, chain_id, names_chain, world }: EtherscanNeeds): Explorer {
  const chain = names_chain ? { chainid: String(chain_id) } : {};

  async function ask(query: Record<string, string>, patience_ms?: number): Promise<unknown> {
    const answer = readAnswer(await http.get("", { ...chain, ...query }, patience_ms));
    if ("result" in answer) return answer.result;
    throw http.heeded(refusalFault(answer.refusal, refuser));
  }

  /** Rows of all contracts, or of one, in block order; null when the range is too much for one answer. */
  async function page(
    { wallet, from, to, contract = null }: Stretch,
    sort: "asc" | "desc" = "asc",
  ): Promise<IndexRow[] | null> {
    const query = {
      module: "account",
      action: "tokentx",
      address: wallet,
      ...(contract === null ? {} : { contractaddress: contract }),
      startblock: String(from),
      endblock: String(to),
      page: "1",
      offset: String(page_rows_max),
      sort,
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

  /** True when rows of one block are all of them: counted from its end they are the same ones. */
  async function isWhole(stretch: Stretch, rows: readonly IndexRow[]): Promise<boolean> {
    if (rows.length < page_rows_sure) return true;
    if (rows.length >= page_rows_max) return false;
    const back = await page(stretch, "desc");
    return back !== null && namesOf(back) === namesOf(rows);
  }

  /** One block that does not fit a page, contract by contract: strangers' coins may crowd out those asked for. */
  async function crowded(wallet: string, block: number, tokens: readonly string[]): Promise<IndexRow[]> {
    const found: IndexRow[] = [];
    for (const contract of tokens) {
      const stretch = { wallet, from: block, to: block, contract };
      const rows = await page(stretch);
      if (rows === null || !(await isWhole(stretch, rows))) {
        const words = `block ${block} holds more transfers of ${contract} to or from ${wallet} than it shows`;
        throw new Fault("provider_range_too_large", words);
      }
      found.push(...rows);
    }
    return found;
  }

  async function transfers({ wallet, side, tokens, from, to }: IndexQuery): Promise<IndexRow[]> {
    const found: IndexRow[] = [];
    let width = to - from + 1;
    for (let start = from, pages = 0; start <= to; pages++) {
      if (pages === pages_max) throw new Fault("provider_range_too_large", `${wallet} has too many transfers`);
      const end = Math.min(to, start + width - 1);
      const rows = await page({ wallet, from: start, to: end });
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
        const block = { wallet, from: last.block, to: last.block };
        found.push(...((await isWhole(block, rows)) ? rows : await crowded(wallet, last.block, tokens)));
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

/** What tells rows apart, in no order. */
function namesOf(rows: readonly IndexRow[]): string {
  const names = rows.map(({ tx_hash, token, sender, wallet, units }) => [tx_hash, token, sender, wallet, units].join());
  return names.sort().join(" ");
}
