// How many more orders of an amount can be told apart, for the amounts that are asked for most. An estimate for people:
// promises nothing, and counts on no quarantine that may end.

import { type Config, coinDecimals, offeredCoins, walletsFor } from "../config/config.ts";
import type { ChainId, Coin } from "../domain/assets.ts";
import {
  distinctnessLevels,
  reservedAmounts,
  surchargeRange,
  surchargeScales,
  surcharges,
} from "../domain/surcharge.ts";
import { countAskedAmounts } from "../storage/deposits.ts";
import type { Reader } from "../storage/engine/database.ts";
import { countReserved, reservedBetween } from "../storage/reservations.ts";
import { priceOf } from "./offers.ts";

const pace_ms = 60 * 60 * 1000;
const amounts_per_coin_max = 3;
/** Counting stops here: so many are plenty. */
const counted_most = 500;

export interface AskedAmount {
  /** The price of orders, decimal text. */
  amount: string;
  /** Deposits of that price in the last hour. */
  last_hour: number;
  /** Further deposits of that price that can be told apart now; counted up to 500. */
  left: number;
  /** At the pace of the last hour, ms; null when `left` was not counted to its end. */
  exhausted_in_ms: number | null;
}

export interface CoinCapacity {
  chain: ChainId;
  coin: Coin;
  /** Amounts kept for payers now, open and in quarantine, on all wallets. */
  promised: number;
  /** Most asked for first. */
  amounts: AskedAmount[];
}

/** The capacity of every coin that is offered, in the order of the settings. */
export function capacityOf(at: Reader, settings: Config, now: number): CoinCapacity[] {
  const asked = countAskedAmounts(at, now - pace_ms);
  const promised = countReserved(at);
  return [...settings.chains.keys()].flatMap((chain) =>
    [...offeredCoins(settings, chain)].map((coin) => {
      const isHere = (one: { chain: ChainId; coin: Coin }) => one.chain === chain && one.coin === coin;
      const most = asked.filter(isHere).slice(0, amounts_per_coin_max);
      return {
        chain,
        coin,
        promised: promised.find(isHere)?.slots ?? 0,
        amounts: most.map(({ amount, times }) => {
          const left = leftOf(at, settings, { chain, coin, amount });
          const exhausted_in_ms = left >= counted_most ? null : Math.floor((left * pace_ms) / times);
          return { amount, last_hour: times, left, exhausted_in_ms };
        }),
      };
    }),
  );
}

/** Promises that could still be made for a price, one after the other as checkout would make them. */
function leftOf(at: Reader, settings: Config, wanted: { chain: ChainId; coin: Coin; amount: string }): number {
  const { chain, coin, amount } = wanted;
  const decimals = coinDecimals(settings, chain, coin);
  const price = decimals === null ? null : priceOf(amount, decimals, settings);
  if (price === null) return 0;
  const { above, through } = surchargeRange(price);
  let left = 0;
  for (const { address: wallet } of walletsFor(settings, chain, coin)) {
    const taken = reservedAmounts(reservedBetween(at, { chain, coin, wallet }, above, through));
    if (!taken.has(price.units)) {
      taken.add(price.units);
      left += 1;
    }
    for (const distinct of distinctnessLevels) {
      for (const scale of surchargeScales(price)) {
        for (const surcharged of surcharges(price, scale, taken, distinct)) {
          taken.add(surcharged);
          left += 1;
          if (left >= counted_most) return left;
        }
      }
    }
  }
  return left;
}
