// Who calls us over the network: a signed request becomes a caller or a refusal. The nonce is spent last, so that a
// stranger cannot burn somebody's; never looks into a body beyond its hash.

import type { Database } from "../storage/database.ts";
import { isNonceUsed, spendNonce } from "../storage/opencharge.ts";
import type { Telemetry } from "../telemetry.ts";
import { isRefusal, type Refusal, refuse } from "../wire/opencharge/errors.ts";
import { keysForRequest, type Metadata } from "../wire/opencharge/metadata.ts";
import {
  type RequestAuth,
  type RequestMatch,
  readRequestAuth,
  type SignedRequest,
  staleness,
  verifyRequest,
} from "../wire/opencharge/request-auth.ts";
import type { World } from "../world.ts";
import type { Directory } from "./directory.ts";
import { type OwnIdentity, signedTarget } from "./opencharge-identity.ts";

/** A timestamp 300 s ahead stays fresh for 600 s; the rest is margin. */
const nonce_memory_ms = 660_000;
/** Look-ups of OCIDs nobody asked about lately that one address may cause. */
const lookups_max = 30;
const lookups_window_ms = 60_000;
const addresses_max = 10_000;

/** Somebody whose request was signed with the key of its OCID. */
export interface Caller {
  ocid: number;
  metadata: Metadata;
}

export interface IncomingRequest extends SignedRequest {
  headers: Iterable<readonly [string, string]>;
  /** Address the request came from. */
  from: string;
}

export interface OpenchargeAccess {
  /**
   * The caller of a request to us. Refusals: INVALID_SIGNATURE, TIMESTAMP_EXPIRED, NONCE_REUSED, UNKNOWN_OCID,
   * METADATA_UNAVAILABLE, RATE_LIMITED, CONNECTION_REFUSED.
   */
  authenticate(identity: OwnIdentity, request: IncomingRequest): Promise<Caller | Refusal>;
}

/** The check of callers over one database and directory. */
export function createOpenchargeAccess(needs: {
  database: Database;
  directory: Directory;
  world: World;
  telemetry: Telemetry;
}): OpenchargeAccess {
  const { database, directory, world, telemetry } = needs;
  const mayLookUp = createLimit(world);

  async function verified(identity: OwnIdentity, auth: RequestAuth, request: IncomingRequest) {
    if (!directory.isCheap(auth.ocid) && !mayLookUp(request.from)) return refuse("RATE_LIMITED");
    const metadata = await directory.find(auth.ocid);
    if (isRefusal(metadata)) return metadata;
    const asSigned = { ...request, target: signedTarget(identity, request.target) };
    const { base_path } = identity;
    const tolerance = { base_path, accept_relative_path: true, accept_der: false };
    const holds = (known: Metadata): RequestMatch | null =>
      verifyRequest(auth, asSigned, keysForRequest(known, world.now()), tolerance);
    let believed = metadata;
    let match = holds(metadata);
    if (match === null) {
      const renewed = await directory.refresh(auth.ocid);
      if (renewed !== null) {
        believed = renewed;
        match = holds(renewed);
      }
    }
    if (match === null) return refuse("INVALID_SIGNATURE");
    telemetry.count("opencharge_requests", { path: match.path, body: match.body });
    return { ocid: auth.ocid, metadata: believed };
  }

  return {
    async authenticate(identity, request) {
      const auth = readRequestAuth(request.headers);
      if (isRefusal(auth)) return auth;
      const stale = staleness(auth.timestamp, world.now());
      if (stale !== null) return stale;
      if (database.read((at) => isNonceUsed(at, auth.ocid, auth.nonce))) return refuse("NONCE_REUSED");
      const caller = await verified(identity, auth, request);
      if (isRefusal(caller)) return caller;

      const spent = await database.transact((tx) => spendNonce(tx, auth.ocid, auth.nonce, nonce_memory_ms));
      if (!spent) return refuse("NONCE_REUSED");
      return identity.settings.blocked.includes(caller.ocid) ? refuse("CONNECTION_REFUSED") : caller;
    },
  };
}

/** True while an address has caused fewer than the allowed look-ups in this window. */
function createLimit(world: World): (address: string) => boolean {
  let counts = new Map<string, number>();
  let began = world.elapsed();
  return (address) => {
    if (world.elapsed() - began >= lookups_window_ms || counts.size >= addresses_max) {
      counts = new Map();
      began = world.elapsed();
    }
    const count = (counts.get(address) ?? 0) + 1;
    counts.set(address, count);
    return count <= lookups_max;
  };
}
