// The event log for a merchant's backend, page by page; a page that is still empty may be waited for. Reads committed
// rows only. A wait ends with news, its time, its caller or the process, whichever comes first.

import { Fault } from "../domain/errors.ts";
import type { EventPage, OrderFeed } from "../services/order-feed.ts";
import type { World } from "../world.ts";

const waiting_max = 64;
const crowded_retry_s = 5;

export interface EventFeed {
  /**
   * Events after a number, in order. With none there yet it waits up to `wait_ms` for one. `gone` ends a wait whose
   * caller has left. Fault: too_many_requests (of those that would have to wait).
   */
  page(wanted: { after: number; limit: number; wait_ms: number }, gone: AbortSignal): Promise<EventPage>;
  /** Ends the waits for what was committed since. Never throws. */
  wake(): void;
  /** Ends every wait; from now on nobody waits. */
  close(): void;
}

interface Waiter {
  after: number;
  end(): void;
}

/** The long polls of events. The caller wakes it after every commit, its own and those of other processes. */
export function createEventFeed(needs: { world: World; orderFeed: OrderFeed }): EventFeed {
  const { world, orderFeed } = needs;
  const waiters = new Set<Waiter>();
  let closed = false;

  function news(after: number, wait_ms: number, gone: AbortSignal): Promise<void> {
    if (waiters.size >= waiting_max) throw new Fault("too_many_requests", undefined, crowded_retry_s);
    return new Promise((resolve) => {
      const end = () => {
        waiters.delete(waiter);
        cancel();
        gone.removeEventListener("abort", end);
        resolve();
      };
      const waiter: Waiter = { after, end };
      const cancel = world.timer(wait_ms, end);
      gone.addEventListener("abort", end);
      waiters.add(waiter);
    });
  }

  function endWhere(is: (waiter: Waiter) => boolean): void {
    for (const waiter of [...waiters]) if (is(waiter)) waiter.end();
  }

  return {
    async page({ after, limit, wait_ms }, gone) {
      const page = orderFeed.page(after, limit);
      if (page.events.length > 0 || wait_ms <= 0 || closed || gone.aborted) return page;
      await news(after, wait_ms, gone);
      return orderFeed.page(after, limit);
    },

    wake() {
      if (waiters.size === 0) return;
      try {
        const last = orderFeed.last();
        endWhere((waiter) => waiter.after < last);
      } catch {
        // Whoever reads next is told what is wrong with the database.
        endWhere(() => true);
      }
    },

    close() {
      closed = true;
      endWhere(() => true);
    },
  };
}
