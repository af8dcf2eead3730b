// The Service API: what a merchant's backend calls with a signed body. Reads requests and renders answers; what an
// order is and does is decided in services/.

import type { z } from "zod";
import { Fault } from "../domain/errors.ts";
import type { Checkout, CreationIdentity } from "../services/checkout.ts";
import { type eventPageSchema, eventShape } from "../wire/events.ts";
import { orderShape } from "../wire/orders.ts";
import {
  readCancelRequest,
  readCreateOrder,
  readEventsRequest,
  readFindRequest,
  readStatusRequest,
} from "../wire/requests.ts";
import { uuid7 } from "../wire/uuid.ts";
import type { World } from "../world.ts";
import { json } from "./answers.ts";
import { service } from "./descriptions.ts";
import type { EventFeed } from "./event-feed.ts";
import type { Route } from "./route.ts";
import type { Signed, SignedBody } from "./signed.ts";

/** A request that was fresh when it was checked may wait this long for its transaction and still be known as a replay. */
const replay_margin_ms = 60_000;
const uuid_random_bytes = 10;
const idempotency_key_pattern = /^[\x21-\x7e]{1,255}$/;

/** The routes of the Service API. */
export function serviceRoutes(needs: { world: World; signed: Signed; checkout: Checkout; feed: EventFeed }): Route[] {
  const { world, signed, checkout, feed } = needs;
  const base = "/api/v1/service";
  return [
    {
      about: service.create,
      method: "POST",
      path: `${base}/orders`,
      async handle({ request }) {
        const body = await signed.body(request);
        const identity = identityOf(body, request);
        const wanted = readCreateOrder(body.json);

        const id = uuid7(world.now(), world.random(uuid_random_bytes));
        return json(201, orderShape(await checkout.create(wanted, identity, id)));
      },
    },
    {
      about: service.status,
      method: "POST",
      path: `${base}/orders/status`,
      async handle({ request }) {
        const body = await signed.body(request);
        return json(200, orderShape(checkout.order(readStatusRequest(body.json))));
      },
    },
    {
      about: service.cancel,
      method: "POST",
      path: `${base}/orders/cancel`,
      async handle({ request }) {
        const body = await signed.body(request);
        return json(200, orderShape(await checkout.cancel(readCancelRequest(body.json))));
      },
    },
    {
      about: service.find,
      method: "POST",
      path: `${base}/orders/find`,
      async handle({ request }) {
        const body = await signed.body(request);
        return json(200, checkout.find(readFindRequest(body.json)).map(orderShape));
      },
    },
    {
      about: service.events,
      method: "POST",
      path: `${base}/events`,
      async handle({ request, connection }) {
        const body = await signed.body(request);
        const wanted = readEventsRequest(body.json);
        if (wanted.wait_ms > 0) connection.disableIdleTimeout();
        const { events, last } = await feed.page(wanted, request.signal);
        return json(200, { events: events.map(eventShape), last } satisfies z.infer<typeof eventPageSchema>);
      },
    },
  ];
}

function identityOf(body: SignedBody, request: Request): CreationIdentity {
  const { replay_key, body_hash, fresh_until } = body;
  const idempotency_key = request.headers.get("Idempotency-Key");
  if (idempotency_key !== null && !idempotency_key_pattern.test(idempotency_key)) {
    throw new Fault("invalid_request", "invalid Idempotency-Key header");
  }
  return { replay_key, replayable_until: fresh_until + replay_margin_ms, body_hash, idempotency_key };
}
