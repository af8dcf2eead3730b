// The balance that must hold over all transfers at any time: what was received is allocated, unallocated or reverted.

import type { Reader } from "../../src/storage/engine/database.ts";

interface Balance {
  chain: string;
  wallet: string;
  token: string;
  /** Base units as text, like those of the transfers. */
  received: string;
  allocated: string;
  unallocated: string;
  reverted: string;
}

/** Per wallet and token; what left the chain counts as reverted, whether an order was paid with it or not. */
export function balances(at: Reader): Balance[] {
  const rows = at.live().all<{ chain: string; wallet: string; token: string; units: string; state: string }>(
    `SELECT chain, wallet, token, units, CASE
        WHEN status = 'failed_to_confirm' OR reverted_at IS NOT NULL THEN 'reverted'
        WHEN EXISTS (SELECT 1 FROM allocations a WHERE a.transfer = transfers.id AND a.reversed_at IS NULL) THEN 'allocated'
        ELSE 'unallocated' END AS state
      FROM transfers ORDER BY chain, wallet, token`,
  );
  return [...Map.groupBy(rows, ({ chain, wallet, token }) => `${chain} ${wallet} ${token}`).values()].flatMap(
    (group) => {
      const [first] = group;
      if (first === undefined) return [];
      const sum = (states: readonly string[]) =>
        group
          .filter(({ state }) => states.includes(state))
          .reduce((all, { units }) => all + BigInt(units), 0n)
          .toString();
      return {
        chain: first.chain,
        wallet: first.wallet,
        token: first.token,
        received: sum(["allocated", "unallocated", "reverted"]),
        allocated: sum(["allocated"]),
        unallocated: sum(["unallocated"]),
        reverted: sum(["reverted"]),
      };
    },
  );
}
