// The door of the Opencharge network: which path answers what, who may call it, and how its answers are signed. Reads
// the raw target and the raw bytes, because those are what callers sign; decides nothing about orders.

import { errorCode, errorText, Fault } from "../../domain/errors.ts";
import { jsonText } from "../../http/answers.ts";
import type { ReadBody } from "../../http/body.ts";
import type { HttpExtension } from "../../http/extension.ts";
import { pathOf } from "../../http/route.ts";
import type { Checkout } from "../../services/checkout.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import { opencharge_path } from "../config/settings.ts";
import type { OpenchargeAccess } from "../services/access.ts";
import type { Gateway } from "../services/gateway.ts";
import type { KeyIdentity, LocalIdentitySource } from "../services/identity.ts";
import type { NetworkLimits } from "../services/limits.ts";
import type { OpenchargeMerchant } from "../services/merchant.ts";
import type { Payments } from "../services/payments.ts";
import type { ProofList } from "../services/proof-list.ts";
import type { Proofs } from "../services/proofs.ts";
import { errorEnvelope, isRefusal, type NetworkRefusal, networkRefusal, refuseFields } from "../wire/errors.ts";
import { readJsonBody } from "../wire/readers.ts";
import { claimsIdentity } from "../wire/request-auth.ts";
import { signResponse } from "../wire/response-auth.ts";
import { gatewayRows } from "./gateway.ts";
import { merchantRows } from "./merchant.ts";
import { findRow, type MatchedRow, targetOf } from "./paths.ts";
import { proofsRoute } from "./proofs.ts";
import type { OpenchargeRow, RowAnswer } from "./row.ts";
import { isEndpointServed, ocidFor, selfRows } from "./self.ts";

const body_max_bytes = 256 * 1024;

export interface OpenchargeServices {
  identities: LocalIdentitySource;
  access: OpenchargeAccess;
  limits: NetworkLimits;
  merchant: OpenchargeMerchant;
  gateway: Gateway;
  payments: Payments;
  proofs: Proofs;
  proofList: ProofList;
}

/** The door over the services. Without an [opencharge] section it knows no path. */
export function createOpenchargeHttp(needs: {
  world: World;
  readBody: ReadBody;
  telemetry: Telemetry;
  checkout: Checkout;
  services: OpenchargeServices;
}): HttpExtension {
  const { world, readBody, telemetry, services } = needs;
  const { identities, access, limits } = services;
  const roles: OpenchargeRow[] = [...merchantRows(services), ...gatewayRows({ ...needs, ...services })];
  const rows: readonly OpenchargeRow[] = [...selfRows(needs, roles), ...roles];

  async function handled(
    request: Request,
    address: string,
    identity: KeyIdentity,
    found: MatchedRow,
  ): Promise<RowAnswer> {
    const { row, id } = found;
    const call = { identity, id, request };
    if (row.auth === "nobody" || (row.auth === "open" && !claimsIdentity(request.headers))) {
      const hasty = limits.open(address);
      if (hasty !== null) return row.auth === "nobody" ? (row.busy?.(hasty.retry_after_s ?? 1) ?? hasty) : hasty;
      return isEndpointServed(row, identity) ? row.handle(call) : networkRefusal("CAPABILITY_NOT_SUPPORTED");
    }
    const presented = access.present(request.headers, address);
    if (isRefusal(presented)) return presented;
    const body = await bodyOf(request);
    if (isRefusal(body)) {
      // Nobody has shown yet that the name on it is its own.
      limits.refused(address, presented.ocid);
      return body;
    }
    const { method, headers } = request;
    const signed = { method, target: targetOf(request), body, headers, from: address };
    const caller = await access.authenticate(identity, signed);
    if (isRefusal(caller)) return caller;
    if (!isEndpointServed(row, identity)) return networkRefusal("CAPABILITY_NOT_SUPPORTED");
    if (row.auth === "open") return row.handle(call);
    const hasty = row.creates ? limits.created(caller.ocid, body.length) : null;
    if (hasty !== null) return hasty;
    const json = row.method === "POST" ? readJsonBody(body) : null;
    return isRefusal(json) ? json : row.handle({ ...call, caller, body: json });
  }

  async function bodyOf(request: Request): Promise<Uint8Array | NetworkRefusal> {
    if (request.body === null) return new Uint8Array();
    try {
      return await readBody(request, body_max_bytes);
    } catch (error) {
      if (errorCode(error) === "too_many_requests") throw error;
      return refuseFields([{ path: "", message: errorText(error) }]);
    }
  }

  /** Somebody who signs is told by whom it was answered; a stranger, and whoever asks too often, costs no signature. */
  function rendered(request: Request, { row }: MatchedRow, identity: KeyIdentity, given: RowAnswer): Response {
    if (given instanceof Response) return given;
    const [status, value] = isRefusal(given) ? [given.status, errorEnvelope(given)] : [200, given];
    const text = JSON.stringify(value);
    const answer = isRefusal(given) ? refused(given) : jsonText(status, text);
    const is_hasty = isRefusal(given) && given.refused === "RATE_LIMITED";
    if (is_hasty || row.auth === "nobody" || !claimsIdentity(request.headers)) return answer;
    const ocid = ocidFor(row.role, identity);
    const signature = signResponse({ ocid, signer: identity.signer }, status, text, world.now());
    for (const [name, value] of Object.entries(signature)) answer.headers.set(name, value);
    return answer;
  }

  return {
    admin: [proofsRoute(services.proofList)],

    answer(request, from) {
      const path = pathOf(request);
      const identity = path.startsWith(`${opencharge_path}/`) ? (identities.current()?.at(path) ?? null) : null;
      if (identity === null) return null;
      const found = findRow(rows, request.method, path.slice(identity.path.length));
      if ("allow" in found) {
        const hasty = limits.open(from.address);
        return Promise.resolve({ answer: hasty === null ? unmatched(found) : refused(hasty), route: "unmatched" });
      }
      const route = identity.path + found.row.path;
      return handled(request, from.address, identity, found)
        .catch((error) => failed(error, { ...from, route, method: request.method }))
        .then((given) => ({ answer: rendered(request, found, identity, given), route }));
    },
  };

  /** What cannot be done now may be done later: senders try a 503 again. */
  function failed(error: unknown, { id, ...where }: { id: string; address: string; route: string; method: string }) {
    if (error instanceof Fault && error.code === "too_many_requests") {
      return { ...networkRefusal("RATE_LIMITED"), retry_after_s: error.retry_after_s ?? 1 };
    }
    telemetry.error("request_failed", { request: id, ...where, error: errorText(error) });
    const is_passing = error instanceof Fault && error.code.startsWith("database_");
    return { ...networkRefusal("INTERNAL_ERROR"), ...(is_passing ? { status: 503 } : {}) };
  }
}

function refused(refusal: NetworkRefusal): Response {
  const answer = jsonText(refusal.status, JSON.stringify(errorEnvelope(refusal)));
  if (refusal.retry_after_s !== null) answer.headers.set("retry-after", String(refusal.retry_after_s));
  return answer;
}

/** The network has no code for a path or a method that is not there. */
function unmatched({ allow }: { allow: string[] }): Response {
  const message = allow.length === 0 ? "there is no such path" : "the path has another method";
  const answer = refused({ ...networkRefusal("INVALID_REQUEST", { message }), status: allow.length === 0 ? 404 : 405 });
  if (allow.length > 0) answer.headers.set("allow", allow.join(", "));
  return answer;
}
