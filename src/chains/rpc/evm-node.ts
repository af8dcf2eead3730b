// What every verb of an EVM source is made of: checked single facts of one node, and the proof that it serves the
// chain it is configured for. Says nothing a node of another chain answered.

import { type Address, encodeFunctionData, numberToHex } from "viem";
import { errorCode, Fault } from "../../domain/errors.ts";
import type { BlockRef } from "../../domain/finality.ts";
import type { Receipt } from "../../domain/payment.ts";
import type { World } from "../../world.ts";
import type { BalancesAtBlock, Holding, NodeIdentity } from "../source.ts";
import { erc20, readBalance, readChainId, readDecimals, readHeader, readReceipt } from "./evm-shapes.ts";
import type { JsonRpc, RpcCall, RpcOutcome } from "./json-rpc.ts";

const chain_id_recheck_ms = 3_600_000;
/** How a contract refuses a call, or how Tron's nodes say that there is none. */
const no_contract = /revert|smart contract is not exist/;
/** What nodes say that know no balances of past blocks, or no calls of contracts at all. */
/** How nodes say that the contract itself failed the call. Tron has words of its own for what is no contract. */
const contract_failed = /revert|opcode|vm execution|out of gas|contract is not exist|stack (under|over)flow/;
const no_past_balances = /just support tag|not supported|method .*(not found|does not exist|not available)/;

/** How often the newest balances are read anew because a block came between the first call and the last. */
const newest_tries_max = 3;

export interface EvmNodeNeeds {
  rpc: JsonRpc;
  chain_id: number;
  /** False where the node answers calls of contracts on its newest state only. */
  past_states?: boolean;
  world: World;
}

export interface EvmNode {
  /** Sends calls in one batch, asking for the chain id as well when that is due. Throws Fault `wrong_chain_id`. */
  ask(calls: readonly RpcCall[]): Promise<RpcOutcome[]>;
  /** The result of a call that must have one. */
  need(outcome: RpcOutcome | undefined): unknown;
  /** As `Source.balances`. */
  balances(holdings: readonly Holding[], block: number, or_later?: boolean): Promise<Omit<BalancesAtBlock, "provider">>;
  blocks(numbers: readonly number[]): Promise<(BlockRef | null)[]>;
  receipts(hashes: readonly string[]): Promise<(Receipt | null)[]>;
  /** Never throws `wrong_chain_id`: it is how a caller finds out. */
  identity(tokens: readonly string[]): Promise<NodeIdentity>;
}

/** The node behind `rpc`, believed only while it states `chain_id`. Its verbs throw Faults `provider_*`. */
export function createEvmNode({ rpc, chain_id, past_states = true, world }: EvmNodeNeeds): EvmNode {
  let verified_at: number | null = null;

  async function ask(calls: readonly RpcCall[]): Promise<RpcOutcome[]> {
    if (verified_at !== null && world.elapsed() - verified_at < chain_id_recheck_ms) return rpc.send(calls);
    const outcomes = await rpc.send([...calls, { method: "eth_chainId", params: [] }]);
    const answered = outcomes.pop();
    // A refusal of the whole batch is better judged by the calls it was made for.
    if (answered && "refusal" in answered && outcomes.every((outcome) => "refusal" in outcome)) return outcomes;
    const stated = readChainId(need(answered));
    if (stated !== chain_id) {
      verified_at = null;
      throw new Fault("wrong_chain_id", `serves chain id ${stated}, expected ${chain_id}`);
    }
    verified_at = world.elapsed();
    return outcomes;
  }

  function need(outcome: RpcOutcome | undefined): unknown {
    if (outcome === undefined) throw new Fault("provider_malformed", "the answer leaves out a call");
    if ("refusal" in outcome) throw rpc.fault(outcome.refusal);
    return outcome.result;
  }

  function unitsOf(answer: RpcOutcome): bigint | null {
    if ("result" in answer) return readBalance(answer.result);
    const { kind, text } = answer.refusal;
    if (kind === "other" && no_past_balances.test(text)) {
      throw new Fault("provider_cannot_answer", rpc.fault(answer.refusal).message);
    }
    // A contract that reverts states no balance; a provider that throttles has not said so.
    return kind === "other" && no_contract.test(text) ? null : readBalance(need(answer));
  }

  /** The newest state is that of one block when the block is the newest before and after. */
  async function newestBalances(
    holdings: readonly Holding[],
    oldest: number,
  ): Promise<Omit<BalancesAtBlock, "provider">> {
    for (let tries = 0; tries < newest_tries_max; tries++) {
      const newest = headerCall("latest");
      const [first, ...rest] = await ask([newest, ...balanceCalls(holdings, "latest"), newest]);
      const last = rest.pop();
      const [before, after] = [first, last].map((outcome) => readHeader(need(outcome), null));
      if (before == null || before.number < oldest) {
        throw new Fault("provider_lagging", `does not know block ${oldest}`);
      }
      if (before.hash === after?.hash) return { block: before, units: rest.map(unitsOf) };
    }
    throw new Fault("provider_lagging", "a block came between each time the newest balances were read");
  }

  /** Strangers decide how large receipts are: what does not fit one answer is asked for in halves. */
  async function receipts(hashes: readonly string[]): Promise<(Receipt | null)[]> {
    if (hashes.length === 0) return [];
    try {
      const outcomes = await ask(hashes.map((hash) => ({ method: "eth_getTransactionReceipt", params: [hash] })));
      return hashes.map((hash, i) => readReceipt(need(outcomes[i]), hash));
    } catch (error) {
      if (errorCode(error) !== "provider_range_too_large" || hashes.length === 1) throw error;
      const half = Math.ceil(hashes.length / 2);
      return [...(await receipts(hashes.slice(0, half))), ...(await receipts(hashes.slice(half)))];
    }
  }

  return {
    ask,
    need,
    async balances(holdings, block, or_later = false) {
      if (!past_states) {
        if (or_later) return newestBalances(holdings, block);
        throw new Fault("provider_cannot_answer", "knows only balances of this moment");
      }
      const height = numberToHex(block);
      const [first, ...answers] = await ask([headerCall(height), ...balanceCalls(holdings, height)]);
      const header = readHeader(need(first), block);
      if (header === null) throw new Fault("provider_lagging", `does not know block ${block}`);
      return { block: header, units: answers.map(unitsOf) };
    },
    async blocks(numbers) {
      if (numbers.length === 0) return [];
      const outcomes = await ask(numbers.map((number) => headerCall(numberToHex(number))));
      return numbers.map((number, i) => readHeader(need(outcomes[i]), number));
    },
    receipts,
    async identity(tokens) {
      const data = encodeFunctionData({ abi: erc20, functionName: "decimals" });
      const calls = tokens.map((to) => ({ method: "eth_call", params: [{ to, data }, "latest"] }));
      const [id, ...answers] = await rpc.send([{ method: "eth_chainId", params: [] }, ...calls]);
      const chain_id = readChainId(need(id));
      const decimals = tokens.map((token, i): [string, number | null] => {
        const answer = answers[i];
        // A contract that reverts has no decimals; a provider that throttles or fails has not said so.
        const has_none = answer && "refusal" in answer && contract_failed.test(answer.refusal.text);
        return [token, has_none ? null : readDecimals(need(answer))];
      });
      return { chain_id, decimals: new Map(decimals) };
    },
  };
}

function balanceCalls(holdings: readonly Holding[], block: string): RpcCall[] {
  return holdings.map(({ wallet, token }) => {
    const data = encodeFunctionData({ abi: erc20, functionName: "balanceOf", args: [wallet as Address] });
    return { method: "eth_call", params: [{ to: token, data }, block] };
  });
}

/** Asks for the header of a block, by hex number or tag. */
export function headerCall(block: string): RpcCall {
  return { method: "eth_getBlockByNumber", params: [block, false] };
}
