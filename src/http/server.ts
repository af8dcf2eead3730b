// The HTTP door: which route answers what, and what every answer has in common. Paths and methods are decided before
// authentication; an unexpected error is logged under an id and answered without a word about it.

import { Hono } from "hono";
import type { LiveConfig } from "../config/config.ts";
import { errorText, Fault } from "../domain/errors.ts";
import { createWindowCounter } from "../limits/window-counter.ts";
import type { Checkout } from "../services/checkout.ts";
import type { Claims } from "../services/claims.ts";
import type { Inbox } from "../services/inbox.ts";
import type { Operator } from "../services/operator.ts";
import type { OrderFeed } from "../services/order-feed.ts";
import type { Telemetry } from "../telemetry.ts";
import type { Connection, World } from "../world.ts";
import { adminRoutes, healthRoutes } from "./admin-api.ts";
import { createAdminAuth } from "./admin-auth.ts";
import { empty, expected, refusal, statusOf } from "./answers.ts";
import { createBodyReader } from "./body.ts";
import { preflightHeaders, shareWith } from "./cors.ts";
import { createEventFeed } from "./event-feed.ts";
import type { ExtendHttp, HttpExtension } from "./extension.ts";
import { type Caller, createCallers } from "./forwarded.ts";
import { createLive } from "./live.ts";
import { descriptionRoute } from "./openapi.ts";
import { pathOf, queryOf, type Route } from "./route.ts";
import { serviceRoutes } from "./service-api.ts";
import { createSigned, signature_header } from "./signed.ts";
import { userRoutes } from "./user-api.ts";

/** For the listener: above what any route takes, so that a body that is too long is refused here, in our words. */
export const max_body_bytes = 32 * 1024 * 1024;
const request_id_header = "x-request-id";
const unmatched = "unmatched";
const going_away = 1001;
const user_prefix = "/api/v1/user/";
const log_interval_ms = 60_000;
/** Causes of refusals that are remembered for the log. */
const causes_max = 1000;

export interface HttpDoor {
  /** Answers one request; fits `World.listen`. Never rejects. */
  answer(request: Request, connection: Connection): Promise<Response>;
  /** Tells sockets and long polls what was committed since the last call, here or by another process. Never throws. */
  committed(): void;
  /** Ends what is held open: sockets with 1001, long polls with what they have. */
  closeWaiting(): void;
  /** Makes the next admin request prove its secret against the stored hash again. */
  clearAdminCache(): void;
}

/** What travels beside a request: what it came with, and the route that took it. */
interface Passage {
  connection: Connection;
  caller: Caller;
  route: string;
}

/** Builds the door over the services. `version` is the package's. */
export function createHttp(needs: {
  world: World;
  telemetry: Telemetry;
  config: LiveConfig;
  orderFeed: OrderFeed;
  checkout: Checkout;
  claims: Claims;
  operator: Operator;
  inbox: Inbox;
  /** Without them none of their paths is known. */
  extensions?: readonly ExtendHttp[];
  version: string;
}): HttpDoor {
  const { telemetry, config } = needs;
  const live = createLive(needs);
  const feed = createEventFeed(needs);
  const auth = createAdminAuth(needs);
  const readBody = createBodyReader(needs);
  const signed = createSigned({ ...needs, readBody });
  const callerOf = createCallers(needs);
  const extensions = (needs.extensions ?? []).map((extend) => extend({ readBody }));
  const counter = () =>
    createWindowCounter({ world: needs.world, max: 1, window_ms: log_interval_ms, remembered_max: causes_max });
  const [refusals, foreign_origins] = [counter(), counter()];
  const routes = [
    ...serviceRoutes({ ...needs, signed, feed }),
    ...userRoutes({ ...needs, readBody, signed, live }),
    ...adminRoutes({ ...needs, readBody, auth, more: extensions.flatMap(({ admin }) => admin) }),
    ...healthRoutes(needs.version),
  ];
  const app = mount(config, [...routes, descriptionRoute(routes, needs.version)]);

  /** A shop's developer reads here what the words for the client do not say; once a minute and cause. */
  function logRefusal(fault: Fault, about: { request: string; client: string; method: string; route: string }): void {
    const { code, for_log } = fault;
    if (refusals.take(`${about.route} ${code} ${for_log?.replace(/\d+/g, "")}`) > 0) return;
    telemetry.warn("request_refused", { ...about, status: statusOf(code), error: fault.message, detail: for_log });
  }

  /** The answer of the first extension that knows the path; null where none does. */
  function ofExtension(request: Request, caller: Caller): ReturnType<HttpExtension["answer"]> {
    for (const extension of extensions) {
      const taken = extension.answer(request, caller);
      if (taken !== null) return taken;
    }
    return null;
  }

  function refuse(error: unknown, method: string, { caller, route }: Passage, is_signed: boolean): Response {
    const fault = expected(error);
    const { id, address } = caller;
    if (fault !== null) {
      const about = { request: id, client: address, method, route };
      if (is_signed) logRefusal(fault, about);
      return refusal(fault);
    }
    telemetry.error("request_failed", { request: id, client: address, method, route, error: errorText(error) });
    return refusal(new Fault("internal"));
  }

  return {
    async answer(request, connection) {
      const caller = callerOf(request, connection.address);
      const upgrade: Connection["upgrade"] = (handlers) =>
        connection.upgrade(handlers, { [request_id_header]: caller.id });
      const passage: Passage = {
        connection: { address: caller.address, upgrade, disableIdleTimeout: () => connection.disableIdleTimeout() },
        caller,
        route: unmatched,
      };
      let answer: Response;
      try {
        const taken = await ofExtension(request, caller);
        if (taken !== null) passage.route = taken.route;
        answer = taken?.answer ?? (await app.fetch(request, passage));
      } catch (error) {
        const is_signed = request.headers.has(signature_header) || queryOf(request).has("signature");
        answer = refuse(error, request.method, passage, is_signed);
      }
      answer.headers.set(request_id_header, caller.id);
      if (pathOf(request).startsWith(user_prefix)) {
        const { allowed_origins } = config.current().merchant;
        shareWith(allowed_origins, request, answer);
        const origin = request.headers.get("origin");
        if (origin !== null && !allowed_origins.includes(origin) && foreign_origins.take(origin) === 0) {
          const detail =
            "its browser shows the page no answer; merchant.allowed_origins lists the origins that may read";
          telemetry.warn("origin_refused", { request: caller.id, client: caller.address, origin, detail });
        }
      }
      telemetry.count("http_requests", { route: passage.route, status: String(answer.status) });
      return answer;
    },
    committed() {
      live.pump();
      feed.wake();
    },
    closeWaiting() {
      live.closeAll(going_away);
      feed.close();
    },
    clearAdminCache: auth.clear,
  };
}

/** Every path with its methods, preflights and the refusal of all other methods; errors are left to the caller. */
function mount(config: LiveConfig, routes: readonly Route[]): Hono<{ Bindings: Passage }> {
  const app = new Hono<{ Bindings: Passage }>({ getPath: pathOf });
  for (const route of routes) {
    app.on(route.method, route.path, (context) => {
      context.env.route = route.path;
      const { connection, caller } = context.env;
      const request = context.req.raw;
      const param = (name: string) => context.req.param(name) ?? "";
      return route.handle({ request, connection, param, query: queryOf(request), id: caller.id });
    });
  }
  for (const [path, methods] of methodsByPath(routes)) {
    const origins = () => config.current().merchant.allowed_origins;
    if (methods.includes("OPTIONS")) {
      app.options(path, (context) => empty(204, preflightHeaders(origins(), context.req.raw, methods)));
    }
    app.all(path, () => refusal(new Fault("method_not_allowed"), { allow: methods.join(", ") }));
  }
  app.notFound(() => refusal(new Fault("not_found")));
  app.onError((error) => {
    throw error;
  });
  return app;
}

function methodsByPath(routes: readonly Route[]): Map<string, string[]> {
  const methods = new Map<string, string[]>();
  for (const { method, path, cross_origin } of routes) {
    const own = method === "GET" ? ["GET", "HEAD"] : [method];
    const others = (methods.get(path) ?? []).filter((known) => known !== "OPTIONS");
    methods.set(path, [...others, ...own, ...(cross_origin ? ["OPTIONS"] : [])]);
  }
  return methods;
}
