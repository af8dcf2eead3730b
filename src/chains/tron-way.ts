// The way to services with a key in Tron's header: every request to them, JSON-RPC or not, waits for its turn, carries
// the key, and none leaves while the key is shut out, because asking then prolongs the ban. Requests to other hosts
// pass untouched, without the key.

import type { Outbound } from "../outbound.ts";
import type { Allowance, Pace, Paces } from "./pace.ts";
import { readRefusal } from "./refusals.ts";

const key_header = "TRON-PRO-API-KEY";
/** The lowest of the limits TronGrid's documentation has named; Tronscan's are of that order. */
const with_key: Allowance = { per_second: 5, per_day: 100_000 };
/** Without a key nothing is promised. */
const without_key: Allowance = { per_second: 3, per_day: null };
const http_forbidden = 403;

/** True for an address of TronGrid itself. */
function isTronGrid(url: URL): boolean {
  return url.protocol === "https:" && /(^|\.)trongrid\.io$/.test(url.hostname);
}

/**
 * `outbound` with manners toward TronGrid and toward the service at `marked`, which may be null. The key is sent to
 * these alone.
 */
export function createTronWay(needs: {
  outbound: Outbound;
  paces: Paces;
  key: string | null;
  marked: string | null;
}): Outbound {
  const { outbound, paces, key } = needs;
  const marked = needs.marked === null ? null : new URL(needs.marked).origin;

  const paceOf = (url: URL): Pace =>
    paces.of(`tron ${isTronGrid(url) ? "trongrid" : url.host} ${key}`, key === null ? without_key : with_key);

  return {
    async send(request) {
      const url = new URL(request.url);
      if (!isTronGrid(url) && url.origin !== marked) return outbound.send(request);
      const pace = paceOf(url);
      await pace.turn();
      const headers = key === null ? request.headers : { ...request.headers, [key_header]: key };
      const answer = await outbound.send({ ...request, headers });
      if (answer.status === http_forbidden) {
        const { retry_after_s } = readRefusal({ status: answer.status, error: answer.text });
        if (retry_after_s !== undefined) pace.hold(retry_after_s);
      }
      // What a service says of a key it must not be repeated anywhere.
      return key === null ? answer : { ...answer, text: answer.text.replaceAll(key, "***") };
    },
  };
}
