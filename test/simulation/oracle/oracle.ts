// Knows who should have been paid: holds every decision of the product about a transfer against what was stated of it
// when it was sent. Decides nothing for the product and shares no code with its attribution.

import type { Database as Sqlite } from "bun:sqlite";
import type { Claim, Detail, Payment, Stage } from "../stage.ts";
import { createHistory, type Decision, type Kept } from "./history.ts";
import { createJudge } from "./judge.ts";

export interface Oracle {
  /** Judges what was decided since the last call. The first objection is told to `stage.fail`. */
  check(): void;
  /** Takes every decision that there is for judged. */
  begin(): void;
}

/** The oracle of one world over a connection to its database, which the caller closes. */
export function createOracle(stage: Stage, db: Sqlite): Oracle {
  const history = createHistory(db);
  const judge = createJudge(stage, history);

  /** Position in the event log, by transfer. */
  const decidedAt = new Map<number, number>();

  function paymentOf({ tx_hash, position }: Kept): Payment | null {
    return stage.payments.find((one) => one.tx.hash === tx_hash && one.position === position) ?? null;
  }

  function judgeOne(decision: Decision): void {
    const payment = paymentOf(decision.transfer);
    if (payment === null) return;
    const { outcome, transfer, n } = decision;
    decidedAt.set(transfer.id, n);
    const objection =
      "reason" in outcome
        ? judge.toWaiting(payment, decision, outcome.reason)
        : judge.toPaid(payment, decision, outcome);
    const became = "reason" in outcome ? `waits (${outcome.reason})` : `paid ${outcome.order_id} as ${outcome.kind}`;
    const outcomes = judge.outcomes(payment, decision);
    stage.count(`judged ${outcomes === 1 ? "one outcome" : "several outcomes"}`);
    stage.count(`decided ${payment.kind}: ${"reason" in outcome ? outcome.reason : outcome.kind}`);
    if (objection === null) return;
    stage.fail(
      `the ${payment.kind} transfer ${transfer.tx_hash} ${transfer.position} of ${transfer.amount} ${became} at event ${n}, but ${objection}`,
    );
  }

  /** What a payer was told when he named his transaction. */
  function judgeClaim({ order, payment, status }: Claim): void {
    const transfers = history.transfersOf(payment.tx.hash).flatMap((transfer) => {
      const sent = paymentOf(transfer);
      const n = decidedAt.get(transfer.id) ?? Number.POSITIVE_INFINITY;
      return sent === null ? [] : [{ sent, decision: { transfer, n } }];
    });
    const said = `the claim of ${payment.tx.hash} for ${order.id} was answered ${status}, but`;
    if (status === "in_inbox") {
      const own = transfers.find(({ sent }) => sent.statement.must === order && sent.statement.rule === "exact");
      const objection = own === undefined ? null : judge.toWaiting(own.sent, own.decision, null);
      if (objection !== null) stage.fail(`${said} ${objection}`);
    }
    if (status !== "accepted") return;
    // Until it counts, a transfer stays with the order that it was bound to when it was seen.
    const objections = transfers.flatMap(({ sent, decision: { transfer, n } }) =>
      [n, Math.min(n, history.seenAt(transfer.id))].map((at) => judge.toCounting(sent, { transfer, n: at }, order.id)),
    );
    if (!objections.includes(null)) stage.fail(`${said} ${objections[0] ?? "it brings nothing"}`);
  }

  /** After a part a payer is told what is left, and nothing else. */
  function judgeTold({ order, chain, wallet, token, units, amount }: Detail): void {
    const ask = history
      .asks()
      .find((one) => one.order_id === order.id && one.chain === chain && one.coin === token.coin);
    if (ask === undefined || ask.wallet !== wallet) return stage.fail(`${order.id} was asked for on another wallet`);
    const lefts = history.leftsBefore(ask, token.decimals, Number.POSITIVE_INFINITY);
    if (!lefts.includes(units) && !history.isUnclear(order.id))
      stage.fail(`${order.id} was told that ${amount} is due, which it is not`);
  }

  return {
    begin() {
      for (const { transfer, n } of history.next()) decidedAt.set(transfer.id, n);
    },
    check() {
      for (const decision of history.next()) judgeOne(decision);
      for (const detail of stage.told.splice(0)) judgeTold(detail);
      for (const claim of stage.claims.splice(0)) judgeClaim(claim);
      judge.judged();
    },
  };
}
