// The history of one wallet out of an explorer's index, for comparing notes with what was read from the chain.

import { errorText, Fault } from "../../domain/errors.ts";
import type { History } from "../history.ts";
import type { Explorer } from "./explorer.ts";

/** A History over an explorer. A stretch its index has not reached yet is refused with Fault `provider_lagging`. */
export function createExplorerHistory(explorer: Explorer): History {
  const provider = explorer.host;
  return {
    provider,
    async incoming({ wallet, tokens, from, to }) {
      try {
        const head = await explorer.head();
        if (head < to.number) throw new Fault("provider_lagging", `has indexed up to ${head}, not ${to.number}`);
        const rows = await explorer.transfers({ wallet, side: "in", tokens, from: from.number, to: to.number });
        return rows
          .filter((row) => row.units > 0n)
          .map(({ tx_hash, token, units, block, time }) => ({ tx_hash, token, wallet, units, block, time }));
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        throw new Fault(error.code, `${provider}: ${errorText(error)}`, error.retry_after_s);
      }
    },
  };
}
