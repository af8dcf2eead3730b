// Payers and strangers: exact, short, over, twice, late, from an exchange that pays many at once, in the wrong coin,
// with a transaction that fails. Every transfer they send is written into the book with what it was meant for.

import type { SimTransfer } from "./chain.ts";
import { amounts, senders, unitsOf } from "./merchants.ts";
import { type SimChainId, spelledOn } from "./scenery.ts";
import { lifetime_ms } from "./settings.ts";
import type { BookOrder, Detail, Stage } from "./stage.ts";

export interface Payers {
  pay(): void;
  /** Somebody sends a usual amount without having been asked. */
  stray(): void;
}

const exchange = "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f";
const own_percent = 6;
/** Before and after the end of an order: when payers hurry, and rules meet. */
const last_minute_ms = 60_000;

export function createPayers(stage: Stage): Payers {
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
      payments.push({ ...part, chain: chains[chain], tx, position, sent_at: stage.timeline.now() });
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
    const sender = spelledOn(detail.chain, from ?? detail.order.sender ?? random.pick(senders));
    return { token: contractFor(detail).address, sender, wallet: detail.wallet, units };
  }
  /** Where a coin has several contracts, any of them will do. */
  const contractFor = ({ chain, token }: Detail) =>
    random.pick(scenery.tokens.filter((one) => one.chain === chain && one.coin === token.coin));
  const exact = (detail: Detail): Part => ({ kind: "exact", detail, transfer: transferFor(detail) });
  const other = (kind: string, detail: Detail, transfer: SimTransfer): Part => ({ kind, detail, transfer });

  /** How long ago an order was made. */
  const timeOf = (order: BookOrder) => stage.timeline.now() - order.created_at;

  function anyDetail(): Detail | null {
    const all = [...stage.orders.values()].flatMap((order) => order.details);
    const ending = all.filter(({ order }) => Math.abs(timeOf(order) - lifetime_ms) < last_minute_ms);
    if (ending.length > 0 && random.chance(30)) return random.pick(ending);
    const recent = all.slice(-6);
    return all.length === 0 ? null : random.pick(random.chance(80) ? recent : all);
  }

  function pay(): void {
    const detail = anyDetail();
    if (detail === null) return;
    const { chain, units } = detail;
    const how = random.weighted({
      exact: 60,
      short: 5,
      over: 5,
      twice: 6,
      "wrong coin": 4,
      batch: 10,
      "two in one": 4,
      failed: 3,
      "other sender": 3,
      parts: 3,
      nothing: 3,
    });
    if (how === "exact") return send(chain, [exact(detail)]);
    if (how === "short") return send(chain, [other(how, detail, transferFor(detail, units - 1n))]);
    if (how === "over") return send(chain, [other(how, detail, transferFor(detail, units + 10n ** 4n))]);
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
    const open = [...stage.orders.values()].flatMap((order) => order.details).filter((one) => one.chain === chain);
    const some = random
      .shuffled(open)
      .slice(0, 3)
      .filter((one) => one.order.sender === null);
    const batch = some.map((one) => ({ kind: "exact", detail: one, transfer: transferFor(one, one.units, exchange) }));
    if (batch.length > 0) send(chain, batch);
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

  return { pay, stray };
}
