// How everybody asks the server: over the real HTTP door, signed where the contract says so, again and again while a
// server dies under the question.

import { createHmac } from "node:crypto";
import type { Answer } from "./process.ts";
import { admin_secret, checkout_origin, merchant_secret } from "./settings.ts";
import { type BookOrder, type Stage, wallOf } from "./stage.ts";
import { Death } from "./world.ts";

const tries_max = 60;

/** The base64 MAC of the contract under the merchant's secret. */
export const macOf = (message: string) => createHmac("sha256", merchant_secret).update(message).digest("base64");

export interface Asking {
  /** Asks until a server answers. Null when none did for too long. */
  insist(ask: () => Promise<Answer>): Promise<Answer | null>;
  /** Asks about an order until a server answers. Null when none did for too long, or when a restore took the order. */
  insistOn(order: BookOrder, ask: () => Promise<Answer>): Promise<Answer | null>;
  /** Seconds since 1970, as a signature states them. */
  seconds(): string;
  signedUrl(order: BookOrder): Record<string, string>;
  admin: Record<string, string>;
  /** Some order, rather a young one; null while there is none. */
  anyOrder(): BookOrder | null;
}

export function createAsking(stage: Stage): Asking {
  const { random, timeline, fail } = stage;
  async function insist(ask: () => Promise<Answer>): Promise<Answer | null> {
    const asked_at = timeline.now();
    for (let tries = 0; tries < tries_max; tries++) {
      try {
        const answer = await ask();
        if (answer.status >= 500) fail(`answered ${answer.status}: ${answer.text}`);
        // To a clock that is wrong by hours every signature is old, or of the future.
        const isTooWrong = stage.traits.clock_hours && stage.clock.wasWrong(asked_at, timeline.now());
        return answer.status === 401 && isTooWrong ? null : answer;
      } catch (error) {
        if (!(error instanceof Death)) throw error;
        await timeline.sleep(random.between(200, 3000));
      }
    }
    return null;
  }
  const seconds = () => String(Math.floor(wallOf(stage) / 1000));
  return {
    seconds,
    admin: { "ocrch-admin-authorization": admin_secret },
    insist,
    async insistOn(order, ask) {
      const answer = await insist(ask);
      if (answer === null || !stage.lost.orders.has(order.id)) return answer;
      if (answer.status !== 404 && answer.status !== 429)
        fail(`the lost order ${order.id} was answered with ${answer.status}: ${answer.text}`);
      return null;
    },
    signedUrl(order) {
      const url = `${checkout_origin}/pay?order_id=${order.id}`;
      const timestamp = seconds();
      return { "ocrch-signed-url": url, "ocrch-signature": `${timestamp}.${macOf(`${url}.${timestamp}`)}` };
    },
    anyOrder() {
      const all = [...stage.orders.values()];
      if (all.length === 0) return null;
      const young = random.chance(60);
      return young ? (all.at(-1 - random.below(Math.min(4, all.length))) ?? null) : random.pick(all);
    },
  };
}
