// What is certain about a transfer and an ask: which came first, whether the amount was still reserved, which other
// transfer is its twin. From the chain, from the book of the actors and from the end of orders.

import { readings, type SimChainId, type SimToken } from "../scenery.ts";
import type { Detail, Payment, Stage } from "../stage.ts";
import { epoch_ms } from "../world.ts";
import { isWithin, mostOver } from "./amounts.ts";
import type { Ask, Kept } from "./history.ts";

/** A chain's clock runs behind by less than this. */
const behind_max_ms = 15_000;

/** True for an address that the configuration names now. */
export function isNamedWallet({ scenery, choice }: Stage, address: string): boolean {
  return choice.wallets.some((name) => scenery.wallets[name].address === address);
}

/** True for an address of the merchant's, whether the configuration names it or not. */
export function isOwnWallet(stage: Stage, address: string): boolean {
  return Object.values(stage.scenery.wallets).some((wallet) => wallet.address === address);
}

export interface Facts {
  tokenOf(payment: Payment): SimToken | null;
  /** The coin of an ask has so many decimals. */
  decimalsOf(ask: Ask): number;
  /** The same chain, coin and wallet. */
  isHere(ask: Ask, transfer: Kept): boolean;
  /** What the payer of an ask was told; null where the answer never reached him. */
  detailOf(ask: Ask): Detail | null;
  /** The ask was told before the money was sent, and no chain and no clock can say otherwise. */
  isSurelyBefore(ask: Ask, payment: Payment, transfer: Kept): boolean;
  /** The amount of the ask has not been released. */
  isSurelyReserved(ask: Ask): boolean;
  /** Another transfer of this amount, or one that pays it as well, to the same place: it may have come first. */
  hasTwin(payment: Payment, units: bigint): boolean;
  /** By rules that may have been in force at a time (virtual ms) or since, so many units pay what was asked, being less. */
  mayTolerate(units: bigint, asked: bigint, decimals: number, from: number): boolean;
  /** By all of those rules, so many units are a small overpayment of what is due. */
  surelyOverpays(units: bigint, due: bigint, decimals: number, from: number): boolean;
  /** By one of them. */
  mayOverpay(units: bigint, due: bigint, decimals: number, from: number): boolean;
  /** By all of those rules, so many units pay what was asked, being less. */
  surelyTolerates(units: bigint, asked: bigint, decimals: number, from: number): boolean;
  /** A reorganisation made another transfer of it than was sent. */
  isChanged(payment: Payment, transfer: Kept): boolean;
}

/** Facts of one world. */
export function createFacts(stage: Stage): Facts {
  const heights = new Map<SimChainId, { blocks: number; firstBorn: number[] }>();

  /** Some block of this height was there at a time (virtual ms): blocks are kept in the order in which they were made. */
  function wasReached(id: SimChainId, height: number, at: number): boolean {
    const { blocks } = stage.chains[id];
    let known = heights.get(id);
    if (known?.blocks !== blocks.size) {
      const firstBorn: number[] = [];
      for (const block of blocks.values()) firstBorn[block.number] ??= block.born_at;
      known = { blocks: blocks.size, firstBorn };
      heights.set(id, known);
    }
    return (known.firstBorn[height] ?? Number.POSITIVE_INFINITY) <= at;
  }

  /** Time of the last block that is final by the settings, ms. */
  function finalTime(id: SimChainId): number {
    const chain = stage.chains[id];
    const { final }: { final: { tag?: string; blocks?: number } } = readings[id];
    const number = final.tag === undefined ? chain.head().number + 1 - (final.blocks ?? 1) : chain.finalNumber();
    return (chain.block(number)?.time ?? 0) * 1000;
  }

  const tokenOfAsk = (ask: Ask) =>
    stage.scenery.tokens.find(({ chain, coin }) => chain === ask.chain && coin === ask.coin);
  const tokenOf = ({ chain, transfer }: Payment) =>
    stage.scenery.tokens.find((one) => one.chain === chain.traits.id && one.address === transfer.token) ?? null;
  const coinOf = ({ chain, transfer }: Payment) =>
    stage.scenery.tokens.find((one) => one.chain === chain.traits.id && one.address === transfer.token)?.coin;
  const detailOf = (ask: Ask) =>
    stage.orders
      .get(ask.order_id)
      ?.details.find((one) => one.chain === ask.chain && one.wallet === ask.wallet && one.token.coin === ask.coin) ??
    null;

  const mayTolerate: Facts["mayTolerate"] = (units, asked, decimals, from) =>
    stage.rules.since(from).some(({ underpaid }) => isWithin(units, asked, underpaid, decimals));

  return {
    mayTolerate,
    surelyTolerates: (units, asked, decimals, from) =>
      stage.rules.since(from).every(({ underpaid }) => isWithin(units, asked, underpaid, decimals)),
    surelyOverpays: (units, due, decimals, from) =>
      units > due && stage.rules.since(from).every(({ overpaid }) => units <= mostOver(due, overpaid, decimals)),
    mayOverpay: (units, due, decimals, from) =>
      units > due && stage.rules.since(from).some(({ overpaid }) => units <= mostOver(due, overpaid, decimals)),
    tokenOf,
    decimalsOf: (ask) => tokenOfAsk(ask)?.decimals ?? 0,
    isHere: (ask, { chain, coin, wallet }) => ask.chain === chain && ask.coin === coin && ask.wallet === wallet,
    detailOf,
    isSurelyBefore(ask, { sent_at }, { chain, block_number, block_time }) {
      const told_at = detailOf(ask)?.told_at ?? Number.POSITIVE_INFINITY;
      if (told_at >= sent_at || block_time * 1000 < ask.opened_at - behind_max_ms) return false;
      return ask.chain !== chain || !wasReached(ask.chain, block_number, told_at);
    },
    isSurelyReserved({ chain, closed_at }) {
      if (closed_at === null) return true;
      const wasWrong = stage.clock.wasWrong(0, stage.timeline.now());
      return finalTime(chain) < closed_at + stage.rules.leastLateWindow(wasWrong ? 0 : closed_at - epoch_ms);
    },
    hasTwin: (payment, units) =>
      stage.invented.some(
        (one) =>
          one.chain === payment.chain.traits.id &&
          one.transfer.wallet === payment.transfer.wallet &&
          one.transfer.units === units,
      ) ||
      stage.payments.some(
        (one) =>
          one !== payment &&
          one.chain === payment.chain &&
          coinOf(one) === coinOf(payment) &&
          one.transfer.wallet === payment.transfer.wallet &&
          (one.transfer.units === units ||
            one.transfer.units + 1n === units ||
            mayTolerate(one.transfer.units, units, tokenOf(payment)?.decimals ?? 0, 0)),
      ),
    isChanged: ({ transfer }, { units }) => transfer.units !== units,
  };
}
