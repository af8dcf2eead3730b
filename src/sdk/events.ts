// The event log as an endless iterator over long polls. Never skips an event and never yields one twice.

import { isPassing, OcrchError } from "./errors.ts";
import { pause, retryMs } from "./retry.ts";
import type { OcrchEvent } from "./shapes.ts";

const wait_default_s = 25;
const limit_default = 100;
/** A server that does not wait, whatever the reason, is not asked more often than this. */
const empty_pause_ms = 1000;

/** Where to begin reading the log, and how. */
export interface EventOptions {
  /** The number of the last event already handled; 0, the default, reads from the beginning. */
  after?: number | undefined;
  /** Seconds one request may wait for news, 0 to 30; 25 unless said otherwise. */
  wait?: number | undefined;
  /** Events per request, 1 to 1000; 100 unless said otherwise. */
  limit?: number | undefined;
  /** Ends the iterator. */
  signal?: AbortSignal | undefined;
  /** Told of every failure that is tried again, and when. */
  onRetry?: ((error: OcrchError, in_ms: number) => void) | undefined;
}

interface Page {
  events: OcrchEvent[];
  /** The number of the newest event in the log. */
  last: number;
}

/** Asks for one page; the answer may take `wait_ms` longer than others. */
export type ReadPage = (
  request: { after: number; limit: number; wait: number },
  wait_ms: number,
  signal: AbortSignal | undefined,
) => Promise<Page>;

/** Yields the events after `after` for ever. Throws OcrchError for refusals; ends when the signal aborts. */
export async function* readEvents(
  readPage: ReadPage,
  options: EventOptions,
): AsyncGenerator<OcrchEvent, void, undefined> {
  const { wait = wait_default_s, limit = limit_default, signal, onRetry } = options;
  let after = options.after ?? 0;
  let failures = 0;
  while (!signal?.aborted) {
    const asked_at = performance.now();
    try {
      const page = await readPage({ after, limit, wait }, wait * 1000, signal);
      failures = 0;
      if (page.last < after) throw new OcrchError(200, `the log ends at ${page.last}, before ${after}: another log`);
      for (const event of page.events) {
        // A restored log goes on with higher numbers, and says so first.
        const is_next = event.n === after + 1 || (event.type === "log_restored" && event.n > after);
        if (!is_next) throw new OcrchError(200, `event ${after + 1} is missing from the log`);
        yield event;
        after = event.n;
        if (signal?.aborted) return;
      }
      const took_ms = performance.now() - asked_at;
      if (page.events.length === 0 && took_ms < empty_pause_ms) await pause(empty_pause_ms - took_ms, signal);
    } catch (error) {
      if (signal?.aborted) return;
      if (!isPassing(error)) throw error;
      failures += 1;
      const in_ms = retryMs(failures, error);
      onRetry?.(error, in_ms);
      await pause(in_ms, signal).catch(() => {});
    }
  }
}
