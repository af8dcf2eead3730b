// Answers of one provider to a list of items, each by itself: what it refuses of one item costs no other. A provider
// that answers nothing at all is told apart by its head.

import { Fault } from "../../domain/errors.ts";
import type { World } from "../../world.ts";

/** Items found to be refused in one call; what follows them waits for the next call. */
const refused_per_call_max = 8;
/** Items known to be refused that one call tries again. */
const retried_per_call_max = 4;
/** An item is tried again after this many times what its refusal took, and a tenth of the time since it was first refused. */
const pause_per_cost = 20;
const pause_per_age = 0.1;
const pause_max_ms = 600_000;
const remembered_max = 10_000;
/** A provider that does not state its head within this time is not well. */
const alive_timeout_ms = 2_000;

/** The answer by item; a Fault in place of an item that this provider refuses while it answers others. */
export type AnswersByItem<T, R> = Map<T, R | Fault>;

export interface ItemRefusals {
  /** Answers to `items`, in order. Throws the Fault of a provider that answers nothing, or that is not to be asked now. */
  ask<T extends string | number, R>(
    items: readonly T[],
    verb: (items: readonly T[]) => Promise<R[]>,
    head: () => Promise<unknown>,
  ): Promise<AnswersByItem<T, R>>;
}

interface Refusal {
  fault: Fault;
  /** On `world.elapsed()`. */
  since: number;
  retry_at: number;
}

/** What one provider refuses. Nothing is remembered yet. */
export function createItemRefusals({ world }: { world: World }): ItemRefusals {
  const known = new Map<string | number, Refusal>();

  function remember(item: string | number, fault: Fault, took_ms: number): void {
    const now = world.elapsed();
    const since = known.get(item)?.since ?? now;
    const pause = Math.min(pause_max_ms, Math.max(took_ms * pause_per_cost, (now - since) * pause_per_age));
    known.delete(item);
    known.set(item, { fault, since, retry_at: now + pause });
    const [oldest] = known.keys();
    if (known.size > remembered_max && oldest !== undefined) known.delete(oldest);
  }

  return {
    async ask(items, verb, head) {
      type T = (typeof items)[number];
      const answers = new Map<T, Awaited<ReturnType<typeof verb>>[number] | Fault>();
      let is_alive = false;
      let refused = 0;

      async function answer(part: readonly T[]): Promise<void> {
        if (part.length === 0) return;
        if (refused >= refused_per_call_max) {
          for (const item of part) answers.set(item, new Fault("provider_unreachable", "not asked: too many refusals"));
          return;
        }
        const began = world.elapsed();
        try {
          const found = await verb(part);
          for (const [i, item] of part.entries()) {
            const one = found[i];
            if (one !== undefined) answers.set(item, one);
            known.delete(item);
          }
        } catch (error) {
          if (!(error instanceof Fault) || !mayConcernItems(error)) throw error;
          const took_ms = world.elapsed() - began;
          is_alive ||= await isAlive(world, head);
          if (!is_alive) throw error;
          const [item] = part;
          if (part.length === 1 && item !== undefined) {
            refused += 1;
            answers.set(item, error);
            remember(item, error, took_ms);
            return;
          }
          const half = Math.ceil(part.length / 2);
          await answer(part.slice(0, half));
          await answer(part.slice(half));
        }
      }

      await answer(items.filter((item) => !known.has(item)));
      let retried = 0;
      for (const item of items) {
        const refusal = known.get(item);
        if (refusal === undefined || answers.has(item)) continue;
        if (world.elapsed() < refusal.retry_at || retried === retried_per_call_max) answers.set(item, refusal.fault);
        else {
          retried += 1;
          await answer([item]);
        }
      }
      return answers;
    },
  };
}

/** False for refusals that say something of the provider, whatever was asked. */
export function mayConcernItems({ code, retry_after_s }: Fault): boolean {
  return code !== "wrong_chain_id" && retry_after_s === undefined;
}

/** True when the provider states its head within two seconds. */
export async function isAlive(world: World, head: () => Promise<unknown>): Promise<boolean> {
  const ended = new AbortController();
  const answered = head().then(
    () => true,
    () => false,
  );
  const late = world.sleep(alive_timeout_ms, ended.signal).then(
    () => false,
    () => false,
  );
  try {
    return await Promise.race([answered, late]);
  } finally {
    ended.abort();
  }
}
