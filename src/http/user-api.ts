// The User API: what a checkout page calls in the payer's browser with a signed URL. Holds the rule of scope: a URL
// signed for one order opens no other.

import type { LiveConfig } from "../config/config.ts";
import { Fault } from "../domain/errors.ts";
import type { Checkout } from "../services/checkout.ts";
import type { Claims } from "../services/claims.ts";
import type { OrderFeed } from "../services/order-feed.ts";
import { parseJson, readUtf8 } from "../wire/json.ts";
import { orderShape } from "../wire/orders.ts";
import { chainCoinShape, claimShape, paymentDetailShape } from "../wire/payments.ts";
import { readClaim, readSelection } from "../wire/requests.ts";
import { uuidsIn } from "../wire/url-scope.ts";
import { empty, json } from "./answers.ts";
import { payer_body_limit_bytes, type ReadBody } from "./body.ts";
import { user } from "./descriptions.ts";
import type { Live } from "./live.ts";
import { orderIdOf } from "./parameters.ts";
import type { Call, Route } from "./route.ts";
import type { Signed } from "./signed.ts";

const sockets_retry_s = 10;
const websocket_version = "13";
const json_type_pattern = /^application\/json[ \t]*(;|$)/i;
const representation_pattern = /(^|,)[ \t]*return[ \t]*=[ \t]*"?representation"?[ \t]*(;|,|$)/i;

interface Needs {
  readBody: ReadBody;
  config: LiveConfig;
  orderFeed: OrderFeed;
  signed: Signed;
  checkout: Checkout;
  claims: Claims;
  live: Live;
}

/** The routes of the User API. */
export function userRoutes(needs: Needs): Route[] {
  const { signed, checkout, claims } = needs;
  /** The order step: what lies outside the signed URL's scope does not exist. */
  const checkScope = (url: string, order_id: string) => {
    if (isHidden(needs, url, order_id)) throw new Fault("order_not_found");
  };
  const base = "/api/v1/user";
  return [
    {
      about: user.chains,
      method: "GET",
      path: `${base}/chains`,
      cross_origin: true,
      handle({ request }) {
        signed.url(request);
        return json(200, checkout.options().map(chainCoinShape));
      },
    },
    {
      about: user.payment,
      method: "POST",
      path: `${base}/orders/:order_id/payment`,
      cross_origin: true,
      async handle(call) {
        const url = signed.url(call.request);
        const order_id = orderIdOf(call);
        const choice = readSelection(await readJsonBody(needs, call.request));
        checkScope(url, order_id);
        return json(201, paymentDetailShape(await checkout.select(order_id, choice)));
      },
    },
    {
      about: user.claim,
      method: "POST",
      path: `${base}/orders/:order_id/claim`,
      cross_origin: true,
      async handle(call) {
        const url = signed.url(call.request);
        const order_id = orderIdOf(call);
        const hash = readClaim(await readJsonBody(needs, call.request));
        checkScope(url, order_id);
        return json(200, claimShape(await claims.claim(order_id, hash, call.connection.address)));
      },
    },
    {
      about: user.cancel,
      method: "POST",
      path: `${base}/orders/:order_id/cancel`,
      cross_origin: true,
      async handle(call) {
        const url = signed.url(call.request);
        const order_id = orderIdOf(call);
        checkScope(url, order_id);
        const order = await checkout.cancel(order_id);
        if (!representation_pattern.test(call.request.headers.get("prefer") ?? "")) return empty(200);
        const answer = json(200, orderShape(order));
        answer.headers.set("preference-applied", "return=representation");
        return answer;
      },
    },
    {
      about: user.status,
      method: "GET",
      path: `${base}/orders/:order_id/status`,
      cross_origin: true,
      handle(call) {
        const url = signed.url(call.request);
        const order_id = orderIdOf(call);
        checkScope(url, order_id);
        return json(200, orderShape(checkout.order(order_id)));
      },
    },
    {
      about: user.socket,
      method: "GET",
      path: `${base}/orders/:order_id/ws`,
      cross_origin: true,
      handle: (call) => openSocket(needs, call),
    },
  ];
}

/** Browsers cannot set headers on a WebSocket, so here the query may carry the signature. */
function openSocket(needs: Needs, call: Call): Response {
  const url = needs.signed.url(call.request, call.query);
  const order_id = orderIdOf(call);
  if (!asksForSocket(call.request)) throw new Fault("websocket_required");
  const handlers = needs.live.open(order_id, isHidden(needs, url, order_id));
  if (handlers === null) throw new Fault("too_many_requests", undefined, sockets_retry_s);
  if (call.connection.upgrade(handlers)) return empty(101);
  handlers.closed();
  throw new Fault("websocket_required");
}

/** Exactly what the listener can upgrade: of anything else it would refuse in words of its own. */
function asksForSocket({ method, headers }: Request): boolean {
  return (
    method === "GET" &&
    headers.get("upgrade")?.toLowerCase() === "websocket" &&
    headers.get("sec-websocket-version") === websocket_version
  );
}

async function readJsonBody({ readBody }: Needs, request: Request): Promise<unknown> {
  if (!json_type_pattern.test(request.headers.get("content-type") ?? "")) throw new Fault("unsupported_content_type");
  const text = readUtf8(await readBody(request, payer_body_limit_bytes));
  if (text === null) throw new Fault("unreadable_body");
  return parseJson(text);
}

/**
 * A URL that names orders of ours, but not this one, was signed for somebody else. One that names none is good for any
 * order, unless the merchant asked for more.
 */
function isHidden({ config, orderFeed }: Needs, url: string, order_id: string): boolean {
  const named = uuidsIn(url);
  if (named.includes(order_id)) return false;
  return config.current().merchant.strict_url_binding || named.some((id) => orderFeed.order(id) !== null);
}
