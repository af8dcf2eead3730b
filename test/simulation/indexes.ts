// Indexes of a simulated chain: Etherscan and Routescan, Blockscout, and TronGrid's REST. Each stands before a node of
// its own and has that node's moods; its list of transfers is a moment behind its blocks. Bodies as the services write them.

import { getAddress } from "viem";
import { tronAddress, tronBytes } from "../../src/domain/address.ts";
import type { FetchInit } from "../../src/world.ts";
import type { SimBlock, SimTransfer, SimTx } from "./chain.ts";
import { type Provider, pairKey, prefixed, type Sitting, wireAddress } from "./provider.ts";
import type { IndexKind, SimToken } from "./scenery.ts";
import { epoch_ms } from "./world.ts";

/** A block's transfers are listed so long after the block came to be, ms. */
const listed_after_ms = 3000;
const etherscan_rows_max = 1000;
const blockscout_page_rows = 50;
const blockscout_batch_max = 5;
const trongrid_rows_max = 200;

/** A transfer as an index lists it. */
interface Row {
  block: SimBlock;
  tx: SimTx;
  log_index: number;
  log: SimTransfer;
}

interface Call {
  id: number;
  method: string;
  params: unknown[];
}

export interface IndexNeeds {
  kind: IndexKind;
  /** What it shows of the chain, and its moods. */
  node: Provider;
  /** Contracts of its chain. */
  tokens: readonly SimToken[];
  /** Virtual ms. */
  now(): number;
  chain_id: number;
}

/** Answers the requests of one service. */
export function createIndex({ kind, node, tokens, now, chain_id }: IndexNeeds) {
  const words = (error: unknown) => String((error as { message?: string }).message);
  const json = (value: unknown, status = 200) => new Response(JSON.stringify(value), { status });
  const same = (a: string, b: string) => wireAddress(a) === wireAddress(b);

  /** False for a block whose transfers are not listed yet, or that the mood hides. */
  const isListed = (sitting: Sitting, block: SimBlock) =>
    block.born_at + listed_after_ms <= now() && !sitting.isHidden(block);

  /** Transfers of a wallet in blocks, oldest first; what was truly told of them is remembered. */
  function rowsOf(sitting: Sitting, wallet: string, side: "in" | "out" | "both", range: [number, number]): Row[] {
    const [from, to] = [Math.max(0, range[0]), Math.min(range[1], sitting.tip.number)];
    if (sitting.isUnserved(from, to))
      throw { message: "Query Timeout occured. Please select a smaller result dataset" };
    const found: Row[] = [];
    for (let number = from; number <= to; number++) {
      const block = sitting.blockAt(number);
      if (block === null || block.txs.length === 0) continue;
      if (!isListed(sitting, block)) continue;
      for (const { tx, first_log } of block.txs) {
        tx.logs.forEach((log, position) => {
          if (log === null) return;
          const isIn = same(log.wallet, wallet);
          const isOut = same(log.sender, wallet);
          if (side === "in" ? isIn : side === "out" ? isOut : isIn || isOut)
            found.push({ block, tx, log, log_index: first_log + position });
        });
      }
    }
    return found;
  }

  /** Remembers that a list of what came to a wallet was told, of these contracts. */
  function remember(
    sitting: Sitting,
    wallet: string,
    contracts: readonly string[],
    [from, to]: [number, number],
  ): void {
    const pairs = contracts.map((token) => pairKey(wallet, token));
    for (let number = Math.max(0, from); number <= Math.min(to, sitting.tip.number); number++) {
      const block = sitting.blockAt(number);
      if (block !== null) sitting.remember(block, pairs, block.txs.length === 0 || isListed(sitting, block));
    }
  }

  const all = tokens.map(({ address }) => address);

  function etherscan(sitting: Sitting, query: URLSearchParams): unknown {
    const refused = (result: string) => ({ status: "0", message: "NOTOK", result });
    const action = query.get("action") ?? "";
    if (kind === "etherscan" && query.get("chainid") !== String(chain_id)) return refused("Missing/Invalid chainid");
    if (query.get("module") === "proxy") return proxied(sitting, action, query);
    if (action === "getblocknobytime") {
      const time = Number(query.get("timestamp"));
      for (let { number } = sitting.tip; number > 0; number--) {
        if ((sitting.blockAt(number)?.time ?? 0) <= time) return { status: "1", message: "OK", result: String(number) };
      }
      return refused("Error! No closest block found");
    }
    if (action !== "tokentx") return refused("Error! Missing Or invalid Action name");
    const wallet = query.get("address") ?? "";
    const contract = query.get("contractaddress");
    const [first, last] = [Number(query.get("startblock")), Number(query.get("endblock"))];
    const limit = Math.min(Number(query.get("offset")), etherscan_rows_max);
    let rows: Row[];
    try {
      rows = rowsOf(sitting, wallet, "both", [first, last]);
    } catch (error) {
      return refused(words(error));
    }
    rows = rows.filter(({ log }) => contract === null || same(log.token, contract));
    if (query.get("sort") === "desc") rows.reverse();
    const shown = rows.slice(0, limit);
    const told: [number, number] =
      shown.length < rows.length ? [first, (shown.at(-1)?.block.number ?? 0) - 1] : [first, last];
    if (query.get("sort") !== "desc") remember(sitting, wallet, contract === null ? all : [contract], told);
    if (shown.length === 0) return { status: "0", message: "No transactions found", result: [] };
    return { status: "1", message: "OK", result: shown.map((row) => etherscanRow(row, sitting.tip)) };
  }

  function proxied(sitting: Sitting, method: string, query: URLSearchParams): unknown {
    const params: Record<string, unknown[]> = {
      eth_blockNumber: [],
      eth_getBlockByNumber: [query.get("tag"), query.get("boolean") === "true"],
      eth_getTransactionReceipt: [query.get("txhash")],
      eth_call: [{ to: query.get("to"), data: query.get("data") }, query.get("tag")],
    };
    if (params[method] === undefined) {
      return { status: "0", message: "NOTOK", result: "Error! Missing Or invalid Action name" };
    }
    try {
      return { jsonrpc: "2.0", id: 1, result: sitting.call(method, params[method]) };
    } catch (error) {
      if (error instanceof Error) throw error;
      return { jsonrpc: "2.0", id: 1, error };
    }
  }

  function blockscout(sitting: Sitting, { pathname, searchParams: query }: URL): unknown {
    if (pathname.endsWith("/main-page/indexing-status")) {
      return { finished_indexing: true, finished_indexing_blocks: true, indexed_blocks_ratio: "1.00" };
    }
    const wallet = /\/addresses\/(0x\w{40})\/token-transfers$/.exec(pathname)?.[1];
    if (wallet === undefined) return null;
    const side = query.get("filter") === "from" ? "out" : "in";
    const [block, index] = [
      Number(query.get("block_number") ?? sitting.tip.number + 1),
      Number(query.get("index") ?? 0),
    ];
    const before = rowsOf(sitting, wallet, side, [0, block]).reverse();
    const found = before.filter((row) => row.block.number < block || row.log_index < index);
    const shown = found.slice(0, blockscout_page_rows);
    const last = shown.at(-1);
    const hasMore = last !== undefined && found.length > shown.length;
    if (side === "in") remember(sitting, wallet, all, [hasMore ? last.block.number + 1 : 0, block - 1]);
    const next_page_params = hasMore
      ? { block_number: last.block.number, index: last.log_index, items_count: blockscout_page_rows }
      : null;
    return { items: shown.map(blockscoutItem), next_page_params };
  }

  function jsonRpc(sitting: Sitting, body: Call | Call[]): Response {
    const calls = Array.isArray(body) ? body : [body];
    if (calls.length > blockscout_batch_max) {
      const message = `Payload Too Large. Max batch size is ${blockscout_batch_max}`;
      return json({ message, result: null, status: "0" }, 413);
    }
    const answers = calls.map(({ id, method, params }) => {
      try {
        const result = sitting.call(method, params);
        // It promises no order of a receipt's logs.
        const { logs } = (result ?? {}) as { logs?: unknown[] };
        return {
          jsonrpc: "2.0",
          id,
          result: logs === undefined ? result : { ...(result as object), logs: logs.toReversed() },
        };
      } catch (error) {
        if (error instanceof Error) throw error;
        return { jsonrpc: "2.0", id, error: words(error) };
      }
    });
    return json(Array.isArray(body) ? answers : answers[0]);
  }

  function trongrid(sitting: Sitting, { pathname, searchParams }: URL, body: Record<string, unknown>): unknown {
    const account = /^\/v1\/accounts\/(\w+)\/transactions\/trc20$/.exec(pathname)?.[1];
    if (account !== undefined) return trc20(sitting, account, searchParams);
    const solid = pathname.startsWith("/walletsolidity/");
    const numberOf = (asked: unknown) =>
      asked === undefined ? (solid ? sitting.solid() : sitting.tip.number) : Number(asked);
    switch (pathname.replace(/^\/wallet(solidity)?\//, "")) {
      case "getblock":
        return shownBlock(sitting.blockAt(numberOf(body.id_or_num)), body.detail === true, chain_id);
      case "getblockbynum":
        return shownBlock(sitting.blockAt(Number(body.num)), true, chain_id);
      case "gettransactioninfobyid": {
        const tx_hash = String(body.value);
        const block = sitting.receiptOf(tx_hash);
        const tx = block?.txs.find((one) => one.tx.hash === tx_hash)?.tx;
        return block === null || tx === undefined ? {} : infoOf(block, tx.hash, tx);
      }
      case "gettransactioninfobyblocknum": {
        const block = sitting.blockAt(Number(body.num));
        if (block === null) return [];
        for (const { tx } of block.txs) sitting.receiptOf(tx.hash);
        return transactionsOf(block).map(({ hash, tx, strangers }) => infoOf(block, hash, tx, strangers));
      }
      case "triggerconstantcontract": {
        const token = tokens.find(
          ({ address }) => wireAddress(address).slice(2) === String(body.contract_address).slice(2),
        );
        if (token === undefined) return { result: { code: "CONTRACT_VALIDATE_ERROR", message: "536d617274" } };
        const word = token.decimals.toString(16).padStart(64, "0");
        return { result: { result: true }, energy_used: 935, constant_result: [word], transaction: { ret: [{}] } };
      }
      default:
        return null;
    }
  }

  function trc20(sitting: Sitting, wallet: string, query: URLSearchParams): unknown {
    const side = query.get("only_to") === "true" ? "in" : query.get("only_from") === "true" ? "out" : "both";
    const contract = query.get("contract_address") ?? "";
    const [least, most] = [Number(query.get("min_timestamp") ?? 0), Number(query.get("max_timestamp") ?? Infinity)];
    const isWithin = ({ time }: SimBlock) => time * 1000 >= least && time * 1000 <= most;
    let first = sitting.tip.number + 1;
    while (first > 0 && (sitting.blockAt(first - 1)?.time ?? 0) * 1000 >= least) first -= 1;
    const rows = rowsOf(sitting, wallet, side, [first, sitting.tip.number]).filter(
      ({ block, log }) => isWithin(block) && same(log.token, contract),
    );
    const start = Number(query.get("fingerprint")?.slice(1) ?? 0);
    const data = rows.slice(start, start + Math.min(Number(query.get("limit") ?? 20), trongrid_rows_max));
    const hasMore = start + data.length < rows.length;
    if (side === "in" && !hasMore) {
      let last = sitting.tip.number;
      while (last > first && !isWithin(sitting.blockAt(last) ?? sitting.tip)) last -= 1;
      remember(sitting, wallet, [contract], [first, last]);
    }
    return {
      data: data.map(({ block, tx, log }) => ({
        transaction_id: tx.hash,
        token_info: { symbol: "USDT", address: log.token, decimals: 6, name: "Tether USD" },
        block_timestamp: block.time * 1000,
        from: log.sender,
        to: log.wallet,
        type: "Transfer",
        value: log.units.toString(),
      })),
      success: true,
      meta: { at: epoch_ms, ...(hasMore ? { fingerprint: `f${start + data.length}` } : {}), page_size: data.length },
    };
  }

  return {
    handle(init: FetchInit, url: string) {
      const asked = new URL(url);
      const body = init.body == null ? {} : JSON.parse(String(init.body));
      return node.serve((sitting) => {
        if (kind === "trongrid") {
          try {
            const answer = trongrid(sitting, asked, body);
            return answer === null ? json({ Error: "no such API" }, 404) : json(answer);
          } catch (error) {
            if (error instanceof Error) throw error;
            return json({ Error: words(error) });
          }
        }
        if (kind !== "blockscout") return json(etherscan(sitting, asked.searchParams));
        if (asked.pathname.endsWith("/api/eth-rpc")) return jsonRpc(sitting, body);
        try {
          const found = blockscout(sitting, asked);
          return found === null ? json({ message: "Not found" }, 404) : json(found);
        } catch (error) {
          if (error instanceof Error) throw error;
          return json({ message: words(error) }, 500);
        }
      });
    },
  };
}

/** A row of `action=tokentx`: every value is text, and there is no log index. */
function etherscanRow({ block, tx, log }: Row, tip: SimBlock): Record<string, unknown> {
  return {
    blockNumber: String(block.number),
    timeStamp: String(block.time),
    hash: prefixed(tx.hash),
    nonce: "1",
    blockHash: prefixed(block.hash),
    from: wireAddress(log.sender),
    contractAddress: wireAddress(log.token),
    to: wireAddress(log.wallet),
    value: String(log.units),
    tokenName: "",
    tokenSymbol: "",
    tokenDecimal: "1",
    transactionIndex: "0",
    input: "deprecated",
    confirmations: String(tip.number - block.number),
  };
}

/** An item of the REST API: text for numbers, as some versions write them. */
function blockscoutItem({ block, tx, log, log_index }: Row): Record<string, unknown> {
  const named = (address: string) => getAddress(wireAddress(address));
  return {
    block_hash: block.hash,
    block_number: block.number,
    from: { hash: named(log.sender) },
    log_index: String(log_index),
    method: "transfer",
    timestamp: new Date(block.time * 1000).toISOString().replace("Z", "000Z"),
    to: { hash: named(log.wallet) },
    token: { address_hash: named(log.token), symbol: null, decimals: "1", type: "ERC-20" },
    total: { decimals: "1", value: String(log.units) },
    transaction_hash: tx.hash,
    type: "token_transfer",
  };
}

/** All transactions of a block in order: strangers' with as many logs as lie between those of ours. */
function transactionsOf(block: SimBlock): { hash: string; tx: SimTx | null; strangers: number }[] {
  let next = 0;
  return block.txs.flatMap(({ tx, first_log }, index) => {
    const strangers = first_log - next;
    next = first_log + tx.logs.length;
    const hash = `${index.toString(16)}${block.hash.slice(1)}`.replace(/^./, "f");
    return [...(strangers > 0 ? [{ hash, tx: null, strangers }] : []), { hash: tx.hash, tx, strangers: 0 }];
  });
}

/** As java-tron writes a block: zeros are left out, the first one's hash ends with the chain's id. */
function shownBlock(block: SimBlock | null, detail: boolean, chain_id: number): unknown {
  if (block === null) return {};
  const { number, hash, time } = block;
  const blockID = number === 0 ? hash.slice(0, -8) + chain_id.toString(16).padStart(8, "0") : hash;
  const raw_data = { ...(number === 0 ? {} : { number }), timestamp: time * 1000, version: 34 };
  const listed = detail
    ? transactionsOf(block).map((one) => ({ txID: one.hash, ret: [{ contractRet: "SUCCESS" }] }))
    : [];
  return { blockID, block_header: { raw_data }, ...(listed.length === 0 ? {} : { transactions: listed }) };
}

const topics = {
  transfer: "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
  approval: "8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925",
};

/** As java-tron writes what became of a transaction. Its logs name no index. */
function infoOf({ number, time }: SimBlock, id: string, tx: SimTx | null, strangers = 0): unknown {
  const bare = (address: string) => tronBytes(address.startsWith("0x") ? tronAddress(address) : address).slice(2);
  const padded = (address: string) => bare(address).padStart(64, "0");
  const other = { address: "77".repeat(20), topics: [topics.approval] };
  const logs = tx?.logs ?? Array.from({ length: strangers }, () => null);
  const log = logs.map((one) =>
    one === null
      ? other
      : {
          address: bare(one.token),
          topics: [topics.transfer, padded(one.sender), padded(one.wallet)],
          data: one.units.toString(16).padStart(64, "0"),
        },
  );
  const has_failed = tx?.success === false;
  return {
    id,
    fee: 5_254_500,
    blockNumber: number,
    blockTimeStamp: time * 1000,
    contractResult: [""],
    ...(has_failed ? { result: "FAILED", resMessage: "524556455254" } : {}),
    receipt: { net_fee: 796_000, result: has_failed ? "REVERT" : "SUCCESS" },
    ...(log.length === 0 ? {} : { log }),
  };
}
