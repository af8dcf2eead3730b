// Payers and strangers: exact, short, over, in parts, twice, late, from an exchange, in the wrong coin, with decimals
// left out, less a fee. Every transfer they send is written into the book with what was meant by it and what it must do.

import { getAddress } from "viem";
import type { SimTransfer } from "./chain.ts";
import { addressOf, amounts, exchange, senders } from "./merchants.ts";
import { cutsOf, feesOf, mostMissing, unitsOf } from "./oracle/amounts.ts";
import { stateOf } from "./oracle/statement.ts";
import { type SimChainId, type SimToken, spelledOn } from "./scenery.ts";
import { contractsOf, lifetime_ms, type OrderRules } from "./settings.ts";
import type { BookOrder, Detail, Payment, Stage } from "./stage.ts";
import type { Thieves } from "./thieves.ts";

export interface Payers {
  pay(): void;
  /** Somebody sends a usual amount without having been asked. */
  stray(): void;
  /** A stranger sends next to nothing, or from an address that looks like a payer's. */
  pester(): void;
}

const own_percent = 6;
/** Before and after the end of an order: when payers hurry, and rules meet. */
const last_minute_ms = 60_000;
/** More than was asked, in thousandths of it. The last are no overpayments but something else. */
const over_thousandths = [1n, 10n, 50n, 100n, 101n, 150n, 600n, 2000n];
/** A first part, in hundredths of what was asked. */
const part_hundredths = [20n, 40n, 50n, 75n];
/** The rest is sent at most this much later. */
const rest_after_max_ms = 150_000;
/** Of payers who pay for an order that nobody has paid yet. */
const unpaid_percent = 80;
/** Of payers, once there are some who were told what a restore took. */
const lost_percent = 15;

/** `thieves` watch what is sent. */
export function createPayers(stage: Stage, thieves: Thieves): Payers {
  const { random, scenery, chains, payments } = stage;

  interface Part {
    kind: string;
    detail: Detail | null;
    transfer: SimTransfer;
  }

  function send(chain: SimChainId, parts: readonly Part[], success = true): void {
    // Logs of other contracts stand between: an index in the receipt is no count of transfers.
    const logs = parts.flatMap((part) => (random.chance(30) ? [null, part] : [part]));
    const tx = chains[chain].send(
      logs.map((part) => part?.transfer ?? null),
      success,
    );
    stage.count(`transaction of ${parts.length === 1 ? "one transfer" : "several transfers"}`);
    if (parts.some(({ transfer }) => transfer.sender === spelledOn(chain, exchange)))
      stage.count("transaction from an exchange");
    logs.forEach((part, position) => {
      if (part === null) return;
      stage.count(`payment ${kindOf(part)}${success ? "" : ", failed"}`);
      const statement = stateOf(stage, { ...part, chain, success });
      stage.count(`stated ${statement.rule}`);
      stage.note(`stated ${statement.rule}: ${statement.must?.id ?? "none"}, or ${[...statement.may].join(" ")}`);
      const sent = { ...part, chain: chains[chain], tx, position, sent_at: stage.timeline.now(), statement };
      payments.push(sent);
      thieves.see(sent);
    });
    stage.note(
      `sent ${tx.hash} on ${chain}: ${parts.map(({ kind, transfer }) => `${kind} ${transfer.units}`).join(", ")}`,
    );
  }

  /** As the tally counts it: an exact payment may come late, or after the order has ended. */
  function kindOf({ kind, detail }: Part): string {
    if (kind !== "exact" || detail === null) return kind;
    const { cancelled, marked, sender } = detail.order;
    if (timeOf(detail.order) > lifetime_ms) return "exact, late";
    if (cancelled || marked) return "exact, ended by hand";
    return sender === null ? "exact" : "exact, bound to a sender";
  }

  function transferFor(detail: Detail, units = detail.units, from: string | null = null): SimTransfer {
    const sender = spelledOn(detail.chain, from ?? detail.order.sender ?? detail.order.payer);
    return { token: contractFor(detail).address, sender, wallet: detail.wallet, units };
  }
  /**
   * Where a coin has several contracts, any of them will do that the server surely knows of: it is named now, or was when
   * the payer was told.
   */
  function contractFor({ chain, token, told_at }: Detail): SimToken {
    const [now, then] = [stage.rules.at(stage.timeline.now()), stage.rules.at(told_at)];
    const named = (rules: OrderRules) => contractsOf(scenery, token, rules);
    const isKnown = ({ address }: SimToken) =>
      now.every((rules) => named(rules).includes(address)) || then.every((rules) => named(rules).includes(address));
    const all = scenery.tokens.filter((one) => one.chain === chain && one.coin === token.coin);
    const known = all.filter(isKnown);
    return random.pick(
      known.length > 0 ? known : all.filter(({ address }) => named(stage.rules.written()).includes(address)),
    );
  }
  const exact = (detail: Detail): Part => ({ kind: "exact", detail, transfer: transferFor(detail) });
  const other = (kind: string, detail: Detail, transfer: SimTransfer): Part => ({ kind, detail, transfer });

  /** How long ago an order was made. */
  const timeOf = (order: BookOrder) => stage.timeline.now() - order.created_at;

  /** What anybody means to pay: nobody pays a trap. */
  const allDetails = () =>
    [...stage.orders.values()].filter((order) => !order.is_trap).flatMap((order) => order.details);

  function anyDetail(): Detail | null {
    const { details } = stage.lost;
    if (details.size > 0 && random.chance(lost_percent)) return random.pick([...details].slice(-4));
    const all = allDetails();
    const ending = all.filter(({ order }) => Math.abs(timeOf(order) - lifetime_ms) < last_minute_ms);
    if (ending.length > 0 && random.chance(30)) return random.pick(ending);
    const isMeant = ({ statement }: Payment, order: BookOrder) => statement.meant === order;
    const open = all.filter(({ order }) => !order.cancelled && !order.marked && timeOf(order) < lifetime_ms);
    const unpaid = open.filter(({ order }) => !payments.some((payment) => isMeant(payment, order)));
    if (unpaid.length > 0 && random.chance(unpaid_percent)) return random.pick(unpaid.slice(-4));
    // Most payers pay once.
    if (random.chance(40)) return null;
    const recent = all.slice(-6);
    return all.length === 0 ? null : random.pick(random.chance(80) ? recent : all);
  }

  function pay(): void {
    const detail = anyDetail();
    if (detail === null) return;
    const { chain, units, token } = detail;
    const how = random.weighted({
      exact: 60,
      short: 4,
      over: 8,
      twice: 5,
      "wrong coin": 4,
      batch: 10,
      "two in one": 3,
      failed: 3,
      "other sender": 3,
      parts: 4,
      part: detail.order.sender === null ? 9 : 40,
      cut: 5,
      fee: 5,
      nothing: 3,
      within: stage.traits.tolerance ? 14 : 0,
      beyond: stage.traits.tolerance ? 4 : 0,
    });
    const one = (amount: bigint) => send(chain, [other(how, detail, transferFor(detail, amount))]);
    if (how === "exact") return send(chain, [exact(detail)]);
    if (how === "short") return one(units - 1n);
    if (how === "within" || how === "beyond") {
      const most = mostMissing(units, stage.rules.written().underpaid, token.decimals);
      if (how === "beyond") return one(units - most - 1n);
      return one(units - (most < 2n ? 1n : random.pick([1n, most / 2n, most])));
    }
    if (how === "over") return one(units + (units * random.pick(over_thousandths)) / 1000n);
    if (how === "part") {
      const from = transferFor(detail).sender;
      if (random.chance(80)) stage.timeline.at(random.below(rest_after_max_ms), () => payRest(detail, from));
      return one((units * random.pick(part_hundredths)) / 100n);
    }
    if (how === "cut") {
      const cuts = cutsOf(units, token.decimals);
      return cuts.length === 0 ? undefined : one(random.pick(cuts));
    }
    if (how === "fee") {
      const fees = feesOf(token.decimals).filter((fee) => fee < units);
      return fees.length === 0 ? undefined : one(units - random.pick(fees));
    }
    if (how === "twice") {
      send(chain, [exact(detail)]);
      return send(chain, [exact(detail)]);
    }
    if (how === "two in one") return send(chain, [exact(detail), exact(detail)]);
    if (how === "failed") return send(chain, [exact(detail)], false);
    if (how === "nothing") return send(chain, [other(how, detail, transferFor(detail, 0n))]);
    if (how === "other sender") return send(chain, [other(how, detail, transferFor(detail, units, exchange))]);
    if (how === "parts") {
      const half = units / 2n;
      return send(
        chain,
        [half, units - half].map((part) => other(how, detail, transferFor(detail, part))),
      );
    }
    if (how === "wrong coin") {
      const token = random.pick(scenery.tokens.filter((one) => one.chain === chain && one.coin !== detail.token.coin));
      const wrong = { ...transferFor(detail), token: token.address, units: unitsOf(detail.amount, token.decimals) };
      return send(chain, [other(how, detail, wrong)]);
    }
    const some = random
      .shuffled(
        allDetails()
          .filter((one) => one.chain === chain)
          .slice(-8),
      )
      .slice(0, 3)
      .filter((one) => one.order.sender === null);
    const batch = some.map((one) => ({ kind: "exact", detail: one, transfer: transferFor(one, one.units, exchange) }));
    if (batch.length > 0) send(chain, batch);
  }

  /** The payer sends what is left of an order of which he has sent a part. */
  function payRest(detail: Detail, sender: string): void {
    const own = payments.filter((one) => one.detail === detail && one.transfer.sender === sender);
    const left = detail.units - own.reduce((sum, one) => sum + one.transfer.units, 0n);
    if (left > 0n) send(detail.chain, [other("rest", detail, transferFor(detail, left, sender))]);
  }

  function stray(): void {
    const token = random.pick(scenery.tokens);
    const { chain } = token;
    const wallet = random.pick(Object.values(scenery.wallets).filter((one) => one.chain === chain)).address;
    const own = random.chance(own_percent);
    const owned = scenery.wallets[chain === scenery.main ? "second" : "third"].address;
    const sender = own ? owned : spelledOn(chain, random.pick(senders));
    const units = unitsOf(random.pick(amounts), token.decimals);
    send(chain, [{ kind: "stray", detail: null, transfer: { token: token.address, sender, wallet, units } }]);
  }

  function pester(): void {
    const detail = random.pick([null, ...allDetails().slice(-6)]);
    if (detail === null) return;
    const { chain, token } = detail;
    const coin = 10n ** BigInt(token.decimals);
    const kind = chain === "tron" ? "dust" : random.pick(["dust", "look-alike"]);
    const units =
      kind === "dust" ? coin / BigInt(random.pick([101, 1000, 1_000_000])) : random.pick([coin / 2n, coin * 3n]);
    const { sender } = transferFor(detail);
    const from = kind === "dust" ? addressOf(`stranger ${payments.length}`) : lookAlikeOf(sender);
    send(chain, [{ kind, detail: null, transfer: transferFor(detail, units, from) }]);
  }

  return { pay, stray, pester };
}

/** Another address with the same four characters at its start and its end. */
function lookAlikeOf(address: string): string {
  return getAddress(`0x${address.slice(2, 6)}${"0".repeat(32)}${address.slice(-4)}`.toLowerCase());
}
