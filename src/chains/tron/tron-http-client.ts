// The way to services with a key in Tron's header: every request to them, JSON-RPC or not, waits for its turn, carries
// the key, and none leaves while the key is shut out, because asking then prolongs the ban. Requests to other hosts
// pass untouched, without the key.

import type { Allowance, RateLimiter, RateLimiters } from "../../limits/rate-limiter.ts";
import type { Outbound } from "../../outbound.ts";
import { readRefusal } from "../rpc/refusals.ts";

const key_header = "TRON-PRO-API-KEY";
/** What keys of free plans allow; of TronGrid's the lowest limit its documentation has named. */
const with_key = {
  trongrid: { per_second: 15, per_day: 100_000 },
  tronscan: { per_second: 5, per_day: 100_000 },
} satisfies Record<string, Allowance>;
/** Without a key nothing is promised. */
const without_key: Allowance = { per_second: 3, per_day: null };
const http_forbidden = 403;

/** True for an address of TronGrid itself. */
function isTronGrid(url: URL): boolean {
  return url.protocol === "https:" && /(^|\.)trongrid\.io$/.test(url.hostname);
}

/**
 * `outbound` with manners toward `service`: TronGrid's own hosts and the address `marked`, which may be null. Its key is
 * sent to these alone.
 */
export function createTronHttpClient(needs: {
  outbound: Outbound;
  rateLimiters: RateLimiters;
  service: keyof typeof with_key;
  key: string | null;
  marked: string | null;
}): Outbound {
  const { outbound, rateLimiters, service, key } = needs;
  const marked = needs.marked === null ? null : new URL(needs.marked).origin;

  const isMeant = (url: URL) => url.origin === marked || (service === "trongrid" && isTronGrid(url));
  const limiterOf = (url: URL): RateLimiter =>
    rateLimiters.of(
      `tron ${isTronGrid(url) ? service : url.host} ${key}`,
      key === null ? without_key : with_key[service],
    );

  return {
    async send(request) {
      const url = new URL(request.url);
      if (!isMeant(url)) return outbound.send(request);
      const limiter = limiterOf(url);
      await limiter.acquire();
      const headers = key === null ? request.headers : { ...request.headers, [key_header]: key };
      const answer = await outbound.send({ ...request, headers });
      if (answer.status === http_forbidden) {
        const { retry_after_s } = readRefusal({ status: answer.status, error: answer.text });
        if (retry_after_s !== undefined) limiter.pause(retry_after_s);
      }
      // What a service says of a key it must not be repeated anywhere.
      return key === null ? answer : { ...answer, text: answer.text.replaceAll(key, "***") };
    },
  };
}
