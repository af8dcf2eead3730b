// The door of the Opencharge network: which path answers what, who may call it, and how its answers are signed. Reads
// the raw target and the raw bytes, because those are what callers sign; decides nothing about orders.

import { opencharge_path } from "../config/opencharge.ts";
import { Fault, wordsOf } from "../domain/errors.ts";
import type { Checkout } from "../services/checkout.ts";
import type { OpenchargeAccess } from "../services/opencharge-access.ts";
import type { Gateway } from "../services/opencharge-gateway.ts";
import type { OwnIdentities, OwnIdentity } from "../services/opencharge-identity.ts";
import type { OpenchargeMerchant } from "../services/opencharge-merchant.ts";
import type { Payments } from "../services/opencharge-payments.ts";
import type { Proofs } from "../services/opencharge-proofs.ts";
import type { Database } from "../storage/database.ts";
import type { Telemetry } from "../telemetry.ts";
import { capabilitiesAnswer } from "../wire/opencharge/answers.ts";
import { errorEnvelope, isRefusal, type Refusal, refuse, refuseFields } from "../wire/opencharge/errors.ts";
import { metadataDocument } from "../wire/opencharge/metadata-document.ts";
import { readJsonBody } from "../wire/opencharge/readers.ts";
import { claimsIdentity } from "../wire/opencharge/request-auth.ts";
import { signResponse } from "../wire/opencharge/response-auth.ts";
import type { JsonObject } from "../wire/opencharge/strict-json.ts";
import type { World } from "../world.ts";
import { jsonText } from "./answers.ts";
import { readBody } from "./body.ts";
import { gatewayRows } from "./opencharge-gateway.ts";
import { merchantRows } from "./opencharge-merchant.ts";
import type { OpenchargeRow, RowAnswer, RowHead } from "./opencharge-row.ts";
import { pathOf } from "./route.ts";

const body_max_bytes = 256 * 1024;
const metadata_age_s = 300;

export interface OpenchargeServices {
  identities: OwnIdentities;
  access: OpenchargeAccess;
  merchant: OpenchargeMerchant;
  gateway: Gateway;
  payments: Payments;
  proofs: Proofs;
}

export interface OpenchargeDoor {
  /** Null for a request that is none of the network's, or where there is no [opencharge] section. Never rejects. */
  answer(request: Request, from: { address: string; id: string }): Promise<{ answer: Response; route: string }> | null;
}

/** The door over the services. */
export function createOpencharge(needs: {
  world: World;
  telemetry: Telemetry;
  database: Database;
  checkout: Checkout;
  services: OpenchargeServices;
}): OpenchargeDoor {
  const { world, telemetry, services } = needs;
  const { identities, access } = services;
  const capabilities: OpenchargeRow = {
    method: "GET",
    path: "/capabilities",
    role: "both",
    capability: null,
    auth: "signed",
    handle: ({ identity }) => {
      const { name, currencies, accepts } = identity.settings;
      const ocid = ocidFor("both", identity) ?? 0;
      const settlement = { currencies, accepts };
      return capabilitiesAnswer({ ocid, name, capabilities: capabilitiesOf(identity), settlement });
    },
  };
  const rows: readonly OpenchargeRow[] = [
    capabilities,
    ...merchantRows(services),
    ...gatewayRows({ ...needs, ...services }),
  ];

  function isServed({ role }: RowHead, { settings }: OwnIdentity): boolean {
    if (role === "merchant") return settings.merchant_ocid !== null;
    return role === "both" || settings.gateway_ocid !== null;
  }

  function capabilitiesOf(identity: OwnIdentity): string[] {
    const served = rows.filter((row) => isServed(row, identity)).map((row) => row.capability);
    const { items, merchant_ocid } = identity.settings;
    const offered = served.filter((name) => {
      if (name === "inventory.get") return items.length > 0;
      return merchant_ocid !== null || name === null || !/^payment\./.test(name);
    });
    return [...new Set(offered.filter((name) => name !== null))].sort();
  }

  function metadata(identity: OwnIdentity): JsonObject {
    const { settings, signer, previous } = identity;
    const { name, description, icon, contact, endpoint, currencies, accepts } = settings;
    const settlement = { currencies, accepts };
    const capabilities = capabilitiesOf(identity);
    const own = { name, description, icon, contact, endpoint, capabilities, settlement, previous };
    return metadataDocument(own, signer, world.now());
  }

  async function handled(request: Request, address: string, identity: OwnIdentity, found: Found): Promise<RowAnswer> {
    const { row, id } = found;
    if (!isServed(row, identity)) return refuse("CAPABILITY_NOT_SUPPORTED");
    if (row.auth === "open" && !claimsIdentity(request.headers)) return row.handle({ identity, id, request });
    const body = await bodyOf(request);
    if (isRefusal(body)) return body;
    const { method, headers } = request;
    const signed = { method, target: targetOf(request), body, headers, from: address };
    const caller = await access.authenticate(identity, signed);
    if (isRefusal(caller)) return caller;
    if (row.auth === "open") return row.handle({ identity, id, request });
    const json = row.method === "POST" ? readJsonBody(body) : null;
    return isRefusal(json) ? json : row.handle({ identity, id, request, caller, body: json });
  }

  async function bodyOf(request: Request): Promise<Uint8Array | Refusal> {
    if (request.body === null) return new Uint8Array();
    try {
      return await readBody(world, request, body_max_bytes);
    } catch (error) {
      return refuseFields([{ path: "", message: wordsOf(error) }]);
    }
  }

  /** Somebody who signs is told by whom it was answered; a stranger costs no signature. */
  function rendered(request: Request, { row }: Found, identity: OwnIdentity, given: RowAnswer): Response {
    if (given instanceof Response) return given;
    const [status, value] = isRefusal(given) ? [given.status, errorEnvelope(given)] : [200, given];
    const text = JSON.stringify(value);
    const answer = jsonText(status, text);
    if (isRefusal(given) && given.retry_after_s !== null)
      answer.headers.set("retry-after", String(given.retry_after_s));
    const ocid = ocidFor(row.role, identity);
    if (ocid === null || !claimsIdentity(request.headers)) return answer;
    const signature = signResponse({ ocid, signer: identity.signer }, status, text, world.now());
    for (const [name, value] of Object.entries(signature)) answer.headers.set(name, value);
    return answer;
  }

  return {
    answer(request, from) {
      const path = pathOf(request);
      if (!path.startsWith(`${opencharge_path}/`)) return null;
      const identity = identities.current();
      if (identity === null) return null;
      const below = path.slice(opencharge_path.length);
      if (below === "/metadata.json" && isReading(request.method)) {
        const answer = jsonText(200, JSON.stringify(metadata(identity)));
        answer.headers.set("cache-control", `max-age=${metadata_age_s}`);
        return Promise.resolve({ answer, route: path });
      }
      const found = findRow(rows, request.method, below);
      if (found === "other_method" || found === null) {
        const words = found === null ? "there is no such path" : "the path has another method";
        const envelope = errorEnvelope(refuse("INVALID_REQUEST", { message: words }));
        const answer = jsonText(found === null ? 404 : 405, JSON.stringify(envelope));
        return Promise.resolve({ answer, route: "unmatched" });
      }
      const route = opencharge_path + found.row.path;
      return handled(request, from.address, identity, found)
        .catch((error) => failed(error, { ...from, route, method: request.method }))
        .then((given) => ({ answer: rendered(request, found, identity, given), route }));
    },
  };

  /** What cannot be done now may be done later: senders try a 503 again. */
  function failed(error: unknown, { id, ...where }: { id: string; address: string; route: string; method: string }) {
    telemetry.error("request_failed", { request: id, ...where, error: wordsOf(error) });
    const is_passing = error instanceof Fault && error.code.startsWith("database_");
    return { ...refuse("INTERNAL_ERROR"), ...(is_passing ? { status: 503 } : {}) };
  }
}

/** Which of our OCIDs answers; null never happens, because one is configured. */
function ocidFor(role: RowHead["role"], { settings: { merchant_ocid, gateway_ocid } }: OwnIdentity): number | null {
  return role === "gateway" ? (gateway_ocid ?? merchant_ocid) : (merchant_ocid ?? gateway_ocid);
}

interface Found {
  row: OpenchargeRow;
  id: string;
}

function findRow(rows: readonly OpenchargeRow[], method: string, path: string): Found | "other_method" | null {
  let other = false;
  for (const row of rows) {
    const id = matched(row.path, path);
    if (id === null) continue;
    if (row.method === method || (row.method === "GET" && isReading(method))) return { row, id };
    other = true;
  }
  return other ? "other_method" : null;
}

/** The text `:id` stands for, empty where the pattern has none; null for another path. */
function matched(pattern: string, path: string): string | null {
  const [wanted, given] = [pattern.split("/"), path.split("/")];
  if (wanted.length !== given.length) return null;
  let id = "";
  for (const [place, segment] of wanted.entries()) {
    const text = given[place] ?? "";
    if (segment !== ":id") {
      if (segment !== text) return null;
    } else if (/^[A-Za-z0-9._:-]{1,256}$/.test(text)) id = text;
    else return null;
  }
  return id;
}

function isReading(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

/** Path and query as they stood on the request line. */
function targetOf(request: Request): string {
  const { url } = request;
  const start = url.startsWith("/") ? 0 : url.indexOf("/", url.indexOf("://") + 3);
  return start < 0 ? "/" : url.slice(start);
}
