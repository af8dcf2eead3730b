// TronGrid's REST beside a Tron node, and Tronscan's list of transfers: answers derived from anvil's own logs, in the
// bodies that were recorded of the real ones.

import { tronAddress, tronBytes } from "../../src/domain/address.ts";
import { chainFacts } from "../../src/domain/assets.ts";
import type { Anvil } from "./anvil.ts";

const transfer_topic = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
const decimals_call = "0x313ce567";
const page_default_rows = 20;
const page_max_rows = 200;
/** Tronscan cuts longer pages without a word. */
const tronscan_page_max_rows = 50;
const tronscan_window_rows = 10_000;

/** What its answers can be made to be; what is left out is as it should be. */
export interface RestMood {
  /** Knows no block above this one, nor what happened in it. */
  lag?: number;
  /** Rows in one page, however many are asked for. */
  page_rows?: number;
  /** Bounds of time are taken to be outside the stretch. */
  open_bounds?: boolean;
  /** Full pages name no next one. */
  no_fingerprint?: boolean;
  /** Changes the body of one path's answer. */
  alter?(pathname: string, body: unknown): unknown;
}

interface Log {
  address: string;
  topics: string[];
  data: string;
  blockNumber: string;
  transactionHash: string;
  logIndex: string;
}

interface MinedReceipt {
  transactionHash: string;
  blockNumber: string;
  status: string;
  logs: Log[];
}

interface MinedBlock {
  number: string;
  hash: string;
  timestamp: string;
  transactions: string[];
}

const hex = (number: number) => `0x${number.toString(16)}`;
const bare = (text: string) => text.replace(/^0x/, "");
const addressIn = (topic: string | undefined) => tronAddress(`0x${topic?.slice(-40)}`);
const padded = (address: string) => `0x${bare(tronBytes(address)).padStart(64, "0")}`;

/** Answers requests of the REST API; null for a path that is none of its own. */
export function createTronGridApi(anvil: Anvil, failed: ReadonlySet<string>, mood: () => RestMood) {
  async function block(number: number | "latest" | "finalized"): Promise<MinedBlock | null> {
    const top = mood().lag ?? Number.POSITIVE_INFINITY;
    const asked = number === "latest" && mood().lag !== undefined ? top : number;
    if (typeof asked === "number" && asked > top) return null;
    const named = typeof asked === "number" ? hex(asked) : asked;
    return (await anvil.rpc("eth_getBlockByNumber", [named, false])) as MinedBlock | null;
  }

  /** As java-tron writes a block: zeros are left out, the first one's hash ends with the chain's id. */
  function shown(found: MinedBlock | null, detail: boolean): unknown {
    if (found === null) return {};
    const number = Number(found.number);
    const id = bare(found.hash);
    const chain_id = chainFacts.tron.chain_id.toString(16).padStart(8, "0");
    return {
      blockID: number === 0 ? id.slice(0, -8) + chain_id : id,
      block_header: {
        raw_data: {
          ...(number === 0 ? {} : { number }),
          txTrieRoot: "0".repeat(64),
          witness_address: `41${"ab".repeat(20)}`,
          parentHash: "0".repeat(64),
          version: 34,
          timestamp: Number(found.timestamp) * 1000,
        },
        witness_signature: "00".repeat(65),
      },
      ...(detail && found.transactions.length > 0
        ? { transactions: found.transactions.map((hash) => ({ txID: bare(hash), ret: [{ contractRet: "SUCCESS" }] })) }
        : {}),
    };
  }

  async function info(hash: string): Promise<unknown> {
    const receipt = (await anvil.rpc("eth_getTransactionReceipt", [`0x${hash}`])) as MinedReceipt | null;
    const found = receipt && (await block(Number(receipt.blockNumber)));
    if (receipt === null || found === null) return {};
    const succeeded = receipt.status === "0x1" && !failed.has(hash);
    return {
      id: hash,
      fee: 5_254_500,
      blockNumber: Number(found.number),
      blockTimeStamp: Number(found.timestamp) * 1000,
      contractResult: [""],
      ...(succeeded ? {} : { result: "FAILED", resMessage: "524556455254206f70636f6465206578656375746564" }),
      receipt: { energy_usage_total: 44_585, net_fee: 796_000, result: succeeded ? "SUCCESS" : "REVERT" },
      ...(receipt.logs.length === 0
        ? {}
        : {
            log: receipt.logs.map(({ address, topics, data }) => ({
              address: bare(address).toLowerCase(),
              topics: topics.map(bare),
              ...(data === "0x" ? {} : { data: bare(data) }),
            })),
          }),
    };
  }

  async function transfers(wallet: string, side: "to" | "from" | "both", contract: string | null) {
    const topic = padded(wallet);
    const filters = [
      ...(side === "from" ? [] : [[transfer_topic, null, topic]]),
      ...(side === "to" ? [] : [[transfer_topic, topic]]),
    ];
    const found: (Log & { time_ms: number })[] = [];
    for (const topics of filters) {
      const address = contract === null ? {} : { address: tronBytes(contract) };
      const asked = { fromBlock: "0x0", toBlock: "latest", topics, ...address };
      for (const log of (await anvil.rpc("eth_getLogs", [asked])) as Log[]) {
        const at = await block(Number(log.blockNumber));
        if (at !== null) found.push({ ...log, time_ms: Number(at.timestamp) * 1000 });
      }
    }
    return found.sort((a, b) => a.time_ms - b.time_ms || Number(a.logIndex) - Number(b.logIndex));
  }

  const isWithin = (time_ms: number, least: number, most: number) =>
    mood().open_bounds === true ? time_ms > least && time_ms < most : time_ms >= least && time_ms <= most;

  async function trc20(wallet: string, query: URLSearchParams): Promise<unknown> {
    const side = query.get("only_to") === "true" ? "to" : query.get("only_from") === "true" ? "from" : "both";
    const [least, most] = [Number(query.get("min_timestamp") ?? 0), Number(query.get("max_timestamp") ?? Infinity)];
    const logs = await transfers(wallet, side, query.get("contract_address"));
    const rows = logs
      .filter(({ time_ms }) => isWithin(time_ms, least, most))
      .flatMap((log) => {
        const row = {
          transaction_id: bare(log.transactionHash),
          token_info: { symbol: "USDT", address: tronAddress(log.address), decimals: 6, name: "Tether USD" },
          block_timestamp: log.time_ms,
          from: addressIn(log.topics[1]),
          to: addressIn(log.topics[2]),
          type: "Transfer",
          value: BigInt(log.data).toString(),
        };
        // The list holds approvals too.
        return [{ ...row, type: "Approval", value: "1" }, row];
      });
    if (query.get("order_by") !== "block_timestamp,asc") rows.reverse();
    const start = Number(query.get("fingerprint")?.slice(1) ?? 0);
    const limit = Math.min(
      Number(query.get("limit") ?? page_default_rows),
      page_max_rows,
      mood().page_rows ?? Infinity,
    );
    const data = rows.slice(start, start + limit);
    const more = start + limit < rows.length && mood().no_fingerprint !== true;
    const next = `f${start + limit}`;
    return {
      data,
      success: true,
      meta: {
        at: rows.at(-1)?.block_timestamp ?? 0,
        ...(more ? { fingerprint: next, links: { next: `https://api.trongrid.io/v1/..&fingerprint=${next}` } } : {}),
        page_size: data.length,
      },
    };
  }

  async function tronscan(pathname: string, query: URLSearchParams): Promise<unknown> {
    if (pathname === "/api/system/status") {
      const [top, solid] = [await block("latest"), await block("finalized")];
      const confirmedBlock = Math.min(Number(solid?.number ?? 0), Number(top?.number ?? 0));
      return { database: { block: Number(top?.number ?? 0), confirmedBlock }, sync: { progress: 99.99 } };
    }
    if (pathname !== "/api/token_trc20/transfers") return null;
    const [start, limit] = [Number(query.get("start") ?? 0), Number(query.get("limit") ?? page_default_rows)];
    if (start + limit > tronscan_window_rows) return { Error: "start + limit must not exceed 10000" };
    const contract = query.get("contract_address");
    const logs = (await transfers(query.get("toAddress") ?? "", "to", contract)).filter(({ time_ms }) =>
      isWithin(time_ms, Number(query.get("start_timestamp") ?? 0), Number(query.get("end_timestamp") ?? Infinity)),
    );
    // Newest first.
    const rows = logs.toReversed().slice(start, start + Math.min(limit, tronscan_page_max_rows));
    return {
      total: logs.length,
      rangeTotal: logs.length,
      contractInfo: {},
      token_transfers: rows.map((log) => ({
        transaction_id: bare(log.transactionHash),
        status: 0,
        block_ts: log.time_ms,
        from_address: addressIn(log.topics[1]),
        to_address: addressIn(log.topics[2]),
        block: Number(log.blockNumber),
        contract_address: tronAddress(log.address),
        quant: BigInt(log.data).toString(),
        confirmed: true,
        contractRet: "SUCCESS",
        finalResult: failed.has(bare(log.transactionHash)) ? "FAIL" : "SUCCESS",
        revert: failed.has(bare(log.transactionHash)),
        event_type: "Transfer",
        contract_type: "trc20",
      })),
    };
  }

  async function decimals(contract: string): Promise<unknown> {
    const to = `0x${contract.replace(/^41/, "")}`;
    if ((await anvil.rpc("eth_getCode", [to, "latest"])) === "0x") {
      return { result: { code: "CONTRACT_VALIDATE_ERROR", message: "Smart contract is not exist." } };
    }
    const result = (await anvil.rpc("eth_call", [{ to, data: decimals_call }, "latest"])) as string;
    return { result: { result: true }, energy_used: 935, constant_result: [bare(result)], transaction: { ret: [{}] } };
  }

  async function node(path: string, body: Record<string, unknown>): Promise<unknown> {
    const solid = path.startsWith("/walletsolidity/");
    switch (path.replace(/^\/wallet(solidity)?\//, "")) {
      case "getnowblock":
        return shown(await block(solid ? "finalized" : "latest"), true);
      case "getblock": {
        const which = body.id_or_num === undefined ? (solid ? "finalized" : "latest") : Number(body.id_or_num);
        return shown(await block(which), body.detail === true);
      }
      case "getblockbynum":
        return shown(await block(Number(body.num)), true);
      case "gettransactioninfobyid":
        return info(String(body.value));
      case "gettransactioninfobyblocknum": {
        const found = await block(Number(body.num));
        return Promise.all((found?.transactions ?? []).map((hash) => info(bare(hash))));
      }
      case "triggerconstantcontract":
        return decimals(String(body.contract_address));
      default:
        return null;
    }
  }

  return async (request: Request): Promise<unknown> => {
    const { pathname, searchParams } = new URL(request.url);
    const account = /^\/v1\/accounts\/(\w+)\/transactions\/trc20$/.exec(pathname)?.[1];
    const body =
      account !== undefined
        ? await trc20(account, searchParams)
        : pathname.startsWith("/api/")
          ? await tronscan(pathname, searchParams)
          : request.method === "POST"
            ? await node(pathname, (await request.json()) as Record<string, unknown>)
            : null;
    return body === null ? null : (mood().alter?.(pathname, structuredClone(body)) ?? body);
  };
}
