// The Tron node behind TronGrid's HTTP API: headers, the solid block, receipts. A receipt is put together from the
// block it stands in, because its own answer states neither the block's hash nor where its logs stand in the block.

import { tronBytes } from "../../domain/address.ts";
import { Fault } from "../../domain/errors.ts";
import type { BlockRef } from "../../domain/finality.ts";
import type { Receipt } from "../../domain/payment.ts";
import type { World } from "../../world.ts";
import type { NodeIdentity } from "../source.ts";
import { bareHash } from "./tron-dialect.ts";
import type { TronGridHttp } from "./trongrid-http.ts";
import { readBlock, readDecimalsCall, readInfo, readInfos } from "./trongrid-shapes.ts";

const chain_id_recheck_ms = 3_600_000;
/** Hexadecimal digits at the end of the first block's hash that are the chain's id. */
const chain_id_digits = 8;
/** Asks a contract in nobody's name. */
const nobody = `41${"0".repeat(40)}`;

export interface TronGridNode {
  /** Throws Fault `wrong_chain_id` unless the chain is the one it is configured for; asked anew every hour. */
  verify(): Promise<void>;
  latest(): Promise<BlockRef>;
  /** The newest solidified block. */
  solid(): Promise<BlockRef>;
  block(number: number): Promise<BlockRef | null>;
  /** In the order asked; null for a transaction that is not mined. */
  mined(hashes: readonly string[]): Promise<(Mined | null)[]>;
  identity(tokens: readonly string[]): Promise<NodeIdentity>;
}

/** A receipt and the time of its block, seconds. */
interface Mined {
  receipt: Receipt;
  time: number;
}

/** The node behind `http`. Its verbs throw Faults `provider_*`. */
export function createTronGridNode(needs: { http: TronGridHttp; chain_id: number; world: World }): TronGridNode {
  const { http, chain_id, world } = needs;
  let verified_at: number | null = null;

  /** Without `detail` a block costs a few hundred bytes, with it a few hundred thousand. */
  async function header(api: "wallet" | "walletsolidity", number: number | null): Promise<BlockRef | null> {
    const which = number === null ? {} : { id_or_num: String(number) };
    const block = readBlock(await http.post(`/${api}/getblock`, { ...which, detail: false }), number);
    return block && { number: block.number, hash: block.hash, time: block.time };
  }

  async function newest(api: "wallet" | "walletsolidity"): Promise<BlockRef> {
    const block = await header(api, null);
    if (block === null) throw new Fault("provider_malformed", "does not know its latest block");
    return block;
  }

  async function chainId(): Promise<number> {
    const first = await header("wallet", 0);
    if (first === null) throw new Fault("provider_malformed", "does not know the first block");
    return Number.parseInt(first.hash.slice(-chain_id_digits), 16);
  }

  async function minedIn(number: number, hashes: readonly string[]): Promise<Mined[]> {
    const block = readBlock(await http.post("/wallet/getblockbynum", { num: number }), number);
    const infos = readInfos(await http.post("/wallet/gettransactioninfobyblocknum", { num: number }));
    const listed = infos.map(({ id }) => id);
    if (block === null || listed.join() !== block.transactions.join() || infos.some((info) => info.block !== number)) {
      throw new Fault("provider_inconsistent", `block ${number} and its receipts do not belong together`);
    }
    let before = 0;
    const receipts = infos.map(({ id, success, logs }): Receipt => {
      const first = before;
      before += logs.length;
      return {
        tx_hash: id,
        success,
        block: { number, hash: block.hash },
        logs: logs.map(({ log_index, transfer }) => ({ log_index: first + log_index, transfer })),
      };
    });
    return hashes.map((hash) => {
      const receipt = receipts.find(({ tx_hash }) => tx_hash === hash);
      if (receipt !== undefined) return { receipt, time: block.time };
      throw new Fault("provider_inconsistent", `block ${number} does not hold the transaction ${hash}`);
    });
  }

  return {
    async verify() {
      if (verified_at !== null && world.elapsed() - verified_at < chain_id_recheck_ms) return;
      const stated = await chainId();
      if (stated !== chain_id) {
        verified_at = null;
        throw new Fault("wrong_chain_id", `serves chain id ${stated}, expected ${chain_id}`);
      }
      verified_at = world.elapsed();
    },
    latest: () => newest("wallet"),
    solid: () => newest("walletsolidity"),
    block: (number) => header("wallet", number),
    async mined(asked) {
      const hashes = asked.map(bareHash);
      const places = new Map<string, number>();
      for (const value of new Set(hashes)) {
        const info = readInfo(await http.post("/wallet/gettransactioninfobyid", { value }));
        if (info === null) continue;
        if (info.id !== value) throw new Fault("provider_inconsistent", `answered the receipt of ${info.id}`);
        places.set(value, info.block);
      }
      const found = new Map<string, Mined>();
      for (const [number, entries] of Map.groupBy(places, ([, number]) => number)) {
        const wanted = entries.map(([hash]) => hash);
        for (const one of await minedIn(number, wanted)) found.set(one.receipt.tx_hash, one);
      }
      return hashes.map((hash) => found.get(hash) ?? null);
    },
    async identity(tokens) {
      const chain_id = await chainId();
      const decimals = new Map<string, number | null>();
      for (const token of tokens) {
        const contract_address = `41${tronBytes(token).slice(2)}`;
        const body = { owner_address: nobody, contract_address, function_selector: "decimals()" };
        decimals.set(token, readDecimalsCall(await http.post("/wallet/triggerconstantcontract", body)));
      }
      return { chain_id, decimals };
    },
  };
}
