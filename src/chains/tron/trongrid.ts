// Tron read through TronGrid's REST API: a second way, which needs no log index of a node. Its list says which
// transactions to look at, their receipts say what happened. Never vouches for the newest blocks: the list does not tell
// how far it has come.

import type { ChainId } from "../../domain/assets.ts";
import { Fault } from "../../domain/errors.ts";
import type { BlockRef, FinalityTag, Heads } from "../../domain/finality.ts";
import type { Receipt } from "../../domain/payment.ts";
import type { Outbound } from "../../outbound.ts";
import type { World } from "../../world.ts";
import { compareByPosition, isInReceipt, readNarrowing, transfersIn } from "../index-reading.ts";
import { createRangeLimit, type RangeLimit } from "../rpc/range-limit.ts";
import type { LogPage, LogQuery } from "../source.ts";
import { createTronGridHttp } from "./trongrid-http.ts";
import { listTronTransfers } from "./trongrid-index.ts";
import { createTronGridNode, type TronGridNode } from "./trongrid-node.ts";
import type { Row } from "./trongrid-shapes.ts";

/** How far behind the head the list is taken for complete: half a minute, and still ahead of the solid block. */
const index_lag_blocks = 10;
/** Transactions looked at for one answer: each costs up to three requests. */
const transactions_per_read_max = 100;
const range_tries_max = 24;

export interface TronGridNeeds {
  chain: ChainId;
  chain_id: number;
  /** Where the API begins, such as `https://api.trongrid.io`. */
  url: string;
  /** Widest range read at once. */
  page_blocks: number;
  /** The way to it, which knows the key. */
  outbound: Outbound;
  world: World;
}

/** What the faces of one TronGrid are made of. Faults `provider_*` whose words do not yet name the provider. */
export interface TronGrid {
  /** Tells it from the JSON-RPC at the same host. */
  provider: string;
  node: TronGridNode;
  range: RangeLimit;
  heads(tags: readonly FinalityTag[]): Promise<Heads>;
  read(question: LogQuery): Promise<LogPage>;
  /** Fault `provider_lagging` unless the list is vouched for up to this block. */
  waitFor(number: number): Promise<void>;
  /** Transfers the list has in a stretch of the chain, those of value zero too; wallet by wallet. */
  rowsOf(stretch: Stretch): Promise<Row[]>;
  requests(): number;
}

interface Stretch {
  wallets: readonly string[];
  tokens: readonly string[];
  side: "in" | "out";
  first: BlockRef;
  last: BlockRef;
}

/** One TronGrid. Nothing is sent before the first verb. */
export function createTronGrid(needs: TronGridNeeds): TronGrid {
  const { chain, chain_id, world } = needs;
  const http = createTronGridHttp({ ...needs, key_name: "trongrid_api_key" });
  const node = createTronGridNode({ http, chain_id, world });
  const range = createRangeLimit({ page_blocks: needs.page_blocks, world });
  const provider = `${http.host}#rest`;
  let vouched = -1;

  async function vouchedBlock(): Promise<BlockRef> {
    await node.verify();
    const { number } = await node.latest();
    const block = await need(Math.max(0, number - index_lag_blocks));
    vouched = block.number;
    return block;
  }

  async function need(number: number): Promise<BlockRef> {
    const block = await node.block(number);
    if (block === null) throw new Fault("provider_lagging", `does not know block ${number}`);
    return block;
  }

  /** The chain ends for us where the list is vouched for. */
  async function heads(tags: readonly FinalityTag[]): Promise<Heads> {
    const latest = await vouchedBlock();
    const solid = tags.includes("finalized") ? await node.solid() : null;
    return { latest, safe: null, finalized: solid !== null && solid.number > latest.number ? latest : solid };
  }

  async function waitFor(number: number): Promise<void> {
    await node.verify();
    if (number > vouched) await vouchedBlock();
    if (number > vouched)
      throw new Fault("provider_lagging", `its list is vouched for up to ${vouched}, not ${number}`);
  }

  async function read(question: LogQuery): Promise<LogPage> {
    await waitFor(question.to);
    return readNarrowing(question, { range, tries_max: range_tries_max, readRange });
  }

  async function readRange(question: LogQuery): Promise<LogPage> {
    const { from, to, wallets, tokens, mark, side = "in" } = question;
    const [first, last] = [await need(from), await need(to)];
    const rows = await rowsOf({ wallets, tokens, side, first, last });
    const valued = rows.filter(({ units }) => units > 0n);
    const hashes = [...new Set(valued.map(({ tx_hash }) => tx_hash))];
    if (hashes.length > transactions_per_read_max && to > from) {
      throw new Fault("provider_range_too_large", `holds more than ${transactions_per_read_max} transactions`);
    }
    const mined = await node.mined(hashes);

    // Read last: what was found is then known to lie on the branch of these headers.
    const end = await need(to);
    const marked = mark === null ? null : await need(mark);
    if (end.hash !== last.hash) throw new Fault("provider_inconsistent", `block ${to} was replaced while it was read`);
    const transferLogs = mined.flatMap((one, i) => {
      if (one === null) throw new Fault("provider_inconsistent", `does not know its own transaction ${hashes[i]}`);
      const { receipt, time } = one;
      checkBorneOut(
        valued.filter((row) => row.tx_hash === receipt.tx_hash),
        receipt,
        time,
      );
      const { number, hash } = receipt.block;
      // Of a neighbouring block in the same second.
      if (number < from || number > to) return [];
      return transfersIn(receipt, { number, hash, time }, { ...question, chain });
    });
    transferLogs.sort(compareByPosition);
    return { from, to, end, mark: marked, transferLogs, zero_value: rows.length - valued.length, provider };
  }

  async function rowsOf({ wallets, tokens, side, first, last }: Stretch): Promise<Row[]> {
    const rows: Row[] = [];
    for (const wallet of wallets) {
      for (const token of tokens) {
        // Times of blocks are whole seconds apart: a second's worth of ms covers the last block.
        const [from_ms, to_ms] = [first.time * 1000, last.time * 1000 + 999];
        rows.push(...(await listTronTransfers(http, { wallet, side, token, from_ms, to_ms })));
      }
    }
    return rows;
  }

  return {
    provider,
    node,
    range,
    heads,
    waitFor,
    read,
    rowsOf,
    requests: http.requests,
  };
}

/** Every row must be found in the receipt, or the list tells of something that did not happen. `time`: of its block. */
function checkBorneOut(rows: readonly Row[], receipt: Receipt, time: number): void {
  const { success, tx_hash } = receipt;
  if (rows.some(({ time_ms }) => Math.floor(time_ms / 1000) !== time)) {
    throw new Fault("provider_inconsistent", `${tx_hash} stands in another block than its row says`);
  }
  // What failed moved nothing, whatever the list says of it.
  if (!success) return;
  if (!rows.every((row) => isInReceipt(row, receipt))) {
    throw new Fault("provider_inconsistent", `the receipt of ${tx_hash} does not hold what its row says`);
  }
}
