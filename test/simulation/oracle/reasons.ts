// Which reasons a transfer may have for paying nothing: each needs a fact that speaks for it.

import type { Payment, Stage } from "../stage.ts";
import { isCut, isDust, isFeeShortened } from "./amounts.ts";
import { type Facts, isOwnWallet } from "./facts.ts";
import type { Ask, Decision, History } from "./history.ts";

/** What is too little for an order is at least this part of it. */
const short_times = 10n;

/** What of an address people compare. */
const endsOf = (address: string) => `${address.slice(0, 6)}${address.slice(-4)}`.toLowerCase();

export interface Reasons {
  /** Inbox reasons that the facts speak for. */
  allowed(payment: Payment, decision: Pick<Decision, "transfer" | "n">): ReadonlySet<string>;
}

/** The reasons of one world. */
export function createReasons(stage: Stage, history: History, facts: Facts): Reasons {
  return {
    allowed(payment, { transfer, n }) {
      const found = new Set<string>();
      const { units, sender } = transfer;
      const token = facts.tokenOf(payment);
      const decimals = token?.decimals ?? 0;
      if (isDust(units, decimals)) found.add("dust");
      if (isOwnWallet(stage, sender) && transfer.coin !== null) found.add("from_own_wallet");
      if (transfer.coin === null) return found.add("unknown_token");
      // An operator may have taken a look-alike's money for an order: then its payer looks like somebody who has paid.
      if (stage.payments.some((one) => one.kind === "look-alike" && endsOf(one.transfer.sender) === endsOf(sender))) {
        found.add("lookalike");
      }
      const here = history.asks().filter((ask) => facts.isHere(ask, transfer));
      const hasEnded = (ask: Ask) => history.statusAt(ask.order_id, n) !== "pending";
      // What its payer was told may have been what was left then.
      const { detail } = payment;
      const wasTold = (ask: Ask) => detail?.order.id === ask.order_id && detail.units === units;
      const isExact = (ask: Ask) =>
        ask.units === units || history.leftsBefore(ask, decimals, n).includes(units) || wasTold(ask);
      const exact = here.filter(isExact);
      const isBefore = (ask: Ask) => facts.isSurelyBefore(ask, payment, transfer);
      const isFor = (ask: Ask) => ask.sender === null || ask.sender === sender;
      const dueOf = (ask: Ask) => [ask.units, ...history.leftsBefore(ask, decimals, n)];
      const isAround = (ask: Ask) => dueOf(ask).some((due) => due <= units * short_times && units <= due * short_times);

      const isShortened = ({ units: asked }: Ask) =>
        isCut(units, asked, decimals) || isFeeShortened(units, asked, decimals);
      const around = here.filter((ask) => isAround(ask) || isShortened(ask));
      const isTolerated = (ask: Ask) =>
        [ask.units, ...history.leftsBefore(ask, decimals, n)].some((asked) =>
          facts.mayTolerate(units, asked, decimals, payment.sent_at),
        );
      if (here.some((ask) => !isFor(ask) && (exact.includes(ask) || isTolerated(ask)))) found.add("other_sender");
      if (exact.some((ask) => !isBefore(ask))) found.add("too_early");
      // What is left of an order may be far less than it asked for.
      const meantFor = [...around, ...exact];
      const isKnown = (ask: Ask) => ask.sender === sender;
      const own = here.filter(isKnown);
      if (meantFor.some((ask) => transfer.block_time * 1000 > ask.expires_at)) found.add("late");
      if ([...meantFor, ...own].some(hasEnded)) for (const reason of ["order_ended", "late"]) found.add(reason);
      if ([...around, ...own].some((ask) => facts.hasTwin(payment, ask.units))) found.add("duplicate");
      const asked = here.flatMap((ask) => [ask.units, ...history.leftsBefore(ask, decimals, n)]);
      if (asked.some((one) => isCut(units, one, decimals))) found.add("cut");
      if (asked.some((one) => isFeeShortened(units, one, decimals))) found.add("fee_shortened");
      if (around.some((ask) => ask.units > units)) found.add("short");
      const meant = new Set(
        history
          .asks()
          .filter((ask) => isKnown(ask) || around.includes(ask) || !facts.isHere(ask, transfer))
          .map(({ order_id }) => order_id),
      );
      if (meant.size > 1) found.add("ambiguous");
      // What was left of an order that ended is nobody's amount.
      const isAsked = (ask: Ask) => ask.units === units || !hasEnded(ask);
      const isCertain = exact.some((ask) => isAsked(ask) && isFor(ask) && isBefore(ask) && facts.isSurelyReserved(ask));
      if (!isCertain) found.add("no_such_amount");
      if (!isCertain) found.add("coin_not_offered");
      return found;
    },
  };
}
