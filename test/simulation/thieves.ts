// Thieves watch what payers send that is not quite what they were asked for, open an order for just that amount as it is
// mined or before, and name the public hash as their payment. None of them ever sends money.

import type { Merchants } from "./merchants.ts";
import type { Operators } from "./operators.ts";
import { textOf } from "./oracle/amounts.ts";
import type { SimChainId } from "./scenery.ts";
import type { Payment, Stage } from "./stage.ts";

export interface Thieves {
  /** Looks at a transfer as it is sent, and sometimes sets a trap for it. */
  see(payment: Payment): void;
}

/** What is worth it: money that need not be what its payer was asked for. */
const tempting = ["cut", "fee", "short", "within", "part", "parts", "rest", "over"];
const trap_percent = 40;
const looks_every_ms = 500;
const looks_max = 240;
const hesitates_max_ms = 20_000;
const claims_percent = 50;

/** The thieves of one world; they use the same doors as everybody. */
export function createThieves(stage: Stage, doors: { merchants: Merchants; operators: Operators }): Thieves {
  const { random, timeline, scenery, count } = stage;

  async function isMined({ chain, tx }: Payment): Promise<boolean> {
    for (let looks = 0; looks < looks_max; looks++) {
      if (chain.whereIs(tx.hash) !== null) return true;
      await timeline.sleep(looks_every_ms);
    }
    return false;
  }

  async function frontRun(payment: Payment): Promise<void> {
    const { chain, transfer } = payment;
    const id = chain.traits.id as SimChainId;
    const token = scenery.tokens.find((one) => one.chain === id && one.address === transfer.token);
    if (token === undefined || token.coin === null) return;
    const waits = random.chance(75);
    if (waits && !(await isMined(payment))) return;
    if (random.chance(70)) await timeline.sleep(random.below(hesitates_max_ms));
    const order = await doors.merchants.setTrap(textOf(transfer.units, token.decimals), {
      chain: id,
      coin: token.coin,
    });
    if (order === null) return;
    count(`trap ${waits ? "for a mined transfer" : "for a pending transfer"}`);
    if (random.chance(claims_percent)) await doors.operators.claimFor(order, payment);
  }

  return {
    see(payment) {
      if (!tempting.includes(payment.kind) || !random.chance(trap_percent)) return;
      void frontRun(payment).catch((error: unknown) => stage.fail(`a thief: ${String(error)}`));
    },
  };
}
