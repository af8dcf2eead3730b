// The two faces of TronGrid's REST API: a Source beside the JSON-RPC of Tron's nodes, and the History of one wallet for
// comparing notes.

import { errorText, Fault } from "../../domain/errors.ts";
import type { BlockRef } from "../../domain/finality.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { History } from "../history.ts";
import { createProviderStats } from "../provider-stats.ts";
import type { Source } from "../source.ts";
import { createTronGrid, type TronGridNeeds } from "./trongrid.ts";

/** A Source over TronGrid's REST API and its name. It tells no balances of past blocks. */
export function createTronGridSource(needs: TronGridNeeds & { telemetry: Telemetry }): {
  provider: string;
  source: Source;
} {
  const grid = createTronGrid(needs);
  const { provider, node } = grid;
  const { counted, report } = createProviderStats({ ...needs, provider });

  async function blocks(numbers: readonly number[]): Promise<(BlockRef | null)[]> {
    await node.verify();
    const found: (BlockRef | null)[] = [];
    for (const number of numbers) found.push(await node.block(number));
    return found;
  }

  async function receipts(hashes: readonly string[]) {
    await node.verify();
    return (await node.mined(hashes)).map((one) => one?.receipt ?? null);
  }

  const source: Source = {
    identity: (tokens) => counted(node.identity(tokens)),
    heads: (tags) => counted(grid.heads(tags)),
    read: (question) => counted(grid.read(question)),
    balances: () => counted(Promise.reject(new Fault("provider_cannot_answer", "tells only balances of this moment"))),
    blocks: (numbers) => counted(blocks(numbers)),
    receipts: (hashes) => counted(receipts(hashes)),
    reports: () => [report({ calls: grid.requests(), learned_range: grid.range.learned() })],
  };
  return { provider, source };
}

/** The History of a wallet out of TronGrid's list. It names no blocks. */
export function createTronGridHistory(needs: TronGridNeeds): History {
  const { provider, waitFor, rowsOf } = createTronGrid(needs);
  return {
    provider,
    async incoming({ wallet, tokens, from, to }) {
      try {
        await waitFor(to.number);
        const rows = await rowsOf({ wallets: [wallet], tokens, side: "in", first: from, last: to });
        return rows
          .filter(({ units }) => units > 0n)
          .sort((a, b) => a.time_ms - b.time_ms)
          .map(({ tx_hash, token, units, time_ms }) => {
            return { tx_hash, token, wallet, units, block: null, time: Math.floor(time_ms / 1000) };
          });
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        throw new Fault(error.code, `${provider}: ${errorText(error)}`, error.retry_after_s);
      }
    },
  };
}
