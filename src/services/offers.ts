// Which exact amount on which wallet a payer is asked for: the order's own where it is free, else the least surcharge that
// tells payers apart. Reads what is promised; promises nothing itself.

import { type Config, coinDecimals, walletsFor } from "../config/config.ts";
import { canonicalAddress } from "../domain/address.ts";
import type { ChainId, Coin } from "../domain/assets.ts";
import { Fault } from "../domain/errors.ts";
import { fromUnits, scaleOf, toUnits } from "../domain/money.ts";
import {
  distinctnessLevels,
  type Price,
  reservedAmounts,
  surchargeRange,
  surchargeScales,
  surcharges,
} from "../domain/surcharge.ts";
import type { Reader } from "../storage/engine/database.ts";
import type { OrderRow } from "../storage/orders.ts";
import { firstQuarantine, isFree, type PaymentTarget, reservedBetween } from "../storage/reservations.ts";

const retry_min_s = 60;
const retry_max_s = 3600;
/** Offers looked at for one whose remainder can be reserved. */
const offers_fitted_max = 50;

export interface Offer extends PaymentTarget {
  amount: string;
  units: bigint;
}

/**
 * The order's own amount on the first wallet where it is free, then on the next wallets; then the least surcharge of the
 * fewest decimals, the wallets in turn, that equals no reservation however many decimals are dropped; then one that only
 * dropping decimals of the price's scale makes equal to one. The first of these that is fitting; the very first where none
 * of the `offers_fitted_max` first ones is. Faults: no_wallet_available; no_free_amount with the time after which the
 * first amount in question may be free again.
 */
export function chooseOffer(
  at: Reader,
  settings: Config,
  order: OrderRow,
  choice: { chain: ChainId; coin: Coin; now: number; isFitting: (offer: Offer) => boolean },
): Offer {
  const { chain, coin, now } = choice;
  const decimals = coinDecimals(settings, chain, coin);
  const targets = walletsFor(settings, chain, coin).map(
    ({ address }): PaymentTarget => ({ chain, coin, wallet: address }),
  );
  // Nobody could pay where the one who is expected has no address.
  const unpayable = order.sender !== null && canonicalAddress(chain, order.sender) === null;
  const forbidden = (order.chain ?? chain) !== chain || (order.coin ?? coin) !== coin || unpayable;
  const price = decimals === null ? null : priceOf(order.amount, decimals, settings);
  if (price === null || forbidden || targets.length === 0) throw new Fault("no_wallet_available");

  let first: Offer | null = null;
  let looked = 0;
  for (const offer of offersOf(at, order, price, targets)) {
    if (choice.isFitting(offer)) return offer;
    first ??= offer;
    looked += 1;
    if (looked === offers_fitted_max) break;
  }
  if (first !== null) return first;
  const { units, limit } = price;
  const began = targets.map(
    (target) => firstQuarantine(at, target, units - 1n, units + limit) ?? Number.POSITIVE_INFINITY,
  );
  throw new Fault("no_free_amount", undefined, retryAfter(Math.min(...began) + settings.orders.late_window_ms - now));
}

/** Free amounts on the wallets, in the order of `chooseOffer`. */
function* offersOf(at: Reader, order: OrderRow, price: Price, targets: readonly PaymentTarget[]): Generator<Offer> {
  for (const target of targets) {
    if (isFree(at, target, price.units, order.sender)) yield { ...target, amount: order.amount, units: price.units };
  }
  const { above, through } = surchargeRange(price);
  const crowded = targets.map((target) => ({
    target,
    taken: reservedAmounts(reservedBetween(at, target, above, through)),
  }));
  for (const distinct of distinctnessLevels) {
    for (const scale of surchargeScales(price)) {
      for (const { target, taken } of crowded) {
        for (const units of surcharges(price, scale, taken, distinct)) {
          yield { ...target, amount: fromUnits(units, price.decimals, shownScale(price)), units };
        }
      }
    }
  }
}

/** An amount as the surcharges of a coin see it; null when the coin cannot hold it. */
export function priceOf(amount: string, decimals: number, settings: Config): Price | null {
  const units = toUnits(amount, decimals);
  if (units === null) return null;
  return { units, limit: toUnits(settings.orders.max_surcharge, decimals) ?? 0n, decimals, scale: scaleOf(amount) };
}

/** An amount with a surcharge is written with as many decimals as the coarsest of its kind. */
function shownScale(price: Price): number {
  return surchargeScales(price)[0] ?? price.decimals;
}

/** Seconds to wait for something that is `ms` away, within bounds: an order may also end before, or the chain lag behind. */
function retryAfter(ms: number): number {
  return Math.min(Math.max(Math.ceil(ms / 1000), retry_min_s), retry_max_s);
}
