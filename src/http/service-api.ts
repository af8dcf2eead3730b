// The Service API: what a merchant's backend calls with a signed body. Reads requests and renders answers; what an
// order is and does is decided in services/.

import { Fault } from "../domain/errors.ts";
import type { Checkout, CreationIdentity } from "../services/checkout.ts";
import { readCreateOrder, readStatusRequest } from "../wire/requests.ts";
import { orderShape } from "../wire/shapes.ts";
import { uuid7 } from "../wire/uuid.ts";
import type { World } from "../world.ts";
import { json } from "./answers.ts";
import type { Route } from "./route.ts";
import type { Signed, SignedBody } from "./signed.ts";

/** A request that was fresh when it was checked may wait this long for its transaction and still be known as a replay. */
const replay_margin_ms = 60_000;
const uuid_random_bytes = 10;
const idempotency_key_pattern = /^[\x21-\x7e]{1,255}$/;

/** The routes of the Service API. */
export function serviceRoutes(needs: { world: World; signed: Signed; checkout: Checkout }): Route[] {
  const { world, signed, checkout } = needs;
  return [
    {
      method: "POST",
      path: "/api/v1/service/orders",
      async handle({ request }) {
        const body = await signed.body(request);
        const identity = identityOf(body, request);
        const wanted = readCreateOrder(body.json);

        const order = await checkout.create(wanted, identity, uuid7(world.now(), world.random(uuid_random_bytes)));
        // A replay gets the first answer, whatever became of the order since.
        return json(201, orderShape({ ...order, status: "pending" }));
      },
    },
    {
      method: "POST",
      path: "/api/v1/service/orders/status",
      async handle({ request }) {
        const body = await signed.body(request);
        return json(200, orderShape(checkout.order(readStatusRequest(body.json))));
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
