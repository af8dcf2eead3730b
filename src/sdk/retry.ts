// When to try again: pauses that double, with chance in them so that a thousand clients do not come back at once.

import { isPassing, type OcrchError } from "./errors.ts";

const first_pause_ms = 250;
const longest_pause_ms = 15_000;

/** How long to wait after so many failures in a row: between half and all of 250 ms, 500 ms, 1 s, .. 15 s. */
export function backoffMs(failures: number): number {
  return jittered(Math.min(first_pause_ms * 2 ** Math.max(failures - 1, 0), longest_pause_ms));
}

/** The same, and never sooner than the server asked for. */
export function retryMs(failures: number, error: OcrchError): number {
  return Math.max(backoffMs(failures), (error.retry_after_s ?? 0) * 1000);
}

/** Somewhere between half and all of a time. */
export function jittered(ms: number): number {
  return ms / 2 + (ms / 2) * Math.random();
}

/** Resolves after so many ms; rejects with the signal's reason when it aborts. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Does something up to `1 + retries` times, as long as what stops it may pass. */
export async function persist<T>(retries: number, signal: AbortSignal | undefined, act: () => Promise<T>): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await act();
    } catch (error) {
      if (failures > retries || !isPassing(error)) throw error;
      await pause(retryMs(failures, error), signal);
    }
  }
}
