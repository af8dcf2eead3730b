// What an operator wants to know of one node beyond what a Source is asked: its clock, and what stands at the addresses
// of our contracts. Asked by hand, never by a poll.

import { encodeFunctionData, getAddress } from "viem";
import type { ChainSettings } from "../config/config.ts";
import { tronBytes } from "../domain/address.ts";
import { Fault } from "../domain/errors.ts";
import type { Outbound } from "../outbound.ts";
import type { World } from "../world.ts";
import { erc20, readDecimals, readHasCode, readSymbol } from "./rpc/evm-shapes.ts";
import { createJsonRpc, type RpcOutcome } from "./rpc/json-rpc.ts";

const clock_timeout_ms = 10_000;
const clock_answer_max_bytes = 65_536;

/** What stands at a contract's address. */
export interface ContractFacts {
  token: string;
  code: boolean;
  /** Null where the call failed. */
  decimals: number | null;
  symbol: string | null;
}

export interface Probe {
  /** The node's clock less ours in ms, to the second; null when it does not state its time. Faults of `outbound`. */
  skew_ms(): Promise<number | null>;
  /** In the order asked. Faults `provider_*`. */
  contracts(tokens: readonly string[]): Promise<ContractFacts[]>;
}

/** A probe of the node at `url`. Sends nothing yet. */
export function createProbe(needs: { settings: ChainSettings; url: string; outbound: Outbound; world: World }): Probe {
  const { settings, url, outbound, world } = needs;
  const rpc = createJsonRpc({ outbound, url });
  const wire = (token: string) => (settings.facts.kind === "tron" ? getAddress(tronBytes(token)) : token);

  /** A contract that refuses a call has no answer; a provider that refuses it has not said so. */
  function result(outcome: RpcOutcome | undefined): unknown {
    if (outcome === undefined) throw new Fault("provider_malformed", "the answer leaves out a call");
    if ("result" in outcome) return outcome.result;
    if (outcome.refusal.kind === "other") return null;
    throw rpc.fault(outcome.refusal);
  }

  return {
    async skew_ms() {
      const asked_at = world.now();
      const { date } = await outbound.send({
        method: "POST",
        url,
        headers: { "content-type": "application/json", accept: "application/json" },
        body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] }),
        timeout_ms: clock_timeout_ms,
        max_answer_bytes: clock_answer_max_bytes,
        target: "trusted",
      });
      const stated = date === null ? Number.NaN : Date.parse(date);
      if (Number.isNaN(stated)) return null;
      // The header has no fractions: its second lies somewhere between question and answer.
      const [earliest, latest] = [stated - world.now(), stated + 999 - asked_at];
      return earliest > 0 ? earliest : Math.min(0, latest);
    },
    async contracts(tokens) {
      const calls = tokens.flatMap((token) => {
        const to = wire(token);
        const [decimals, symbol] = (["decimals", "symbol"] as const).map((functionName) => ({
          method: "eth_call",
          params: [{ to, data: encodeFunctionData({ abi: erc20, functionName }) }, "latest"],
        }));
        return [{ method: "eth_getCode", params: [to, "latest"] }, decimals, symbol].filter(
          (call) => call !== undefined,
        );
      });
      const outcomes = await rpc.send(calls);
      return tokens.map((token, i) => {
        const [code, decimals, symbol] = outcomes.slice(i * 3, i * 3 + 3).map(result);
        return { token, code: readHasCode(code), decimals: readDecimals(decimals), symbol: readSymbol(symbol) };
      });
    },
  };
}
