// Who calls us over the network: a signed request becomes a caller or a refusal. The nonce is spent last, so that a
// stranger cannot burn somebody's; never looks into a body beyond its hash.

import type { Database } from "../../storage/engine/database.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import { isNonceUsed, spendNonce } from "../storage/merchant.ts";
import { isRefusal, type NetworkRefusal, networkRefusal } from "../wire/errors.ts";
import { keysForRequest, type Metadata } from "../wire/metadata.ts";
import {
  type RequestAuth,
  type RequestMatch,
  readRequestAuth,
  type SignedRequest,
  timestampRefusal,
  verifyRequest,
} from "../wire/request-auth.ts";
import type { Directory } from "./directory.ts";
import { type KeyIdentity, signedTarget } from "./identity.ts";
import type { NetworkLimits } from "./limits.ts";

/** A timestamp 300 s ahead stays fresh for 600 s; the rest is margin. */
const nonce_memory_ms = 660_000;

/** Somebody whose request was signed with the key of its OCID. */
export interface SignedCaller {
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
   * Whether a request with these headers is worth reading at all: they are well-formed and its address has not shown
   * too many that were not believed. Refusals: INVALID_SIGNATURE, RATE_LIMITED.
   */
  present(headers: IncomingRequest["headers"], from: string): RequestAuth | NetworkRefusal;
  /**
   * The caller of a request to us. Refusals: INVALID_SIGNATURE, TIMESTAMP_EXPIRED, NONCE_REUSED, UNKNOWN_OCID,
   * METADATA_UNAVAILABLE, RATE_LIMITED, CONNECTION_REFUSED.
   */
  authenticate(identity: KeyIdentity, request: IncomingRequest): Promise<SignedCaller | NetworkRefusal>;
}

/** The check of callers over one database and directory. */
export function createOpenchargeAccess(needs: {
  database: Database;
  directory: Directory;
  world: World;
  telemetry: Telemetry;
  limits: NetworkLimits;
}): OpenchargeAccess {
  const { database, directory, world, telemetry, limits } = needs;

  async function verified(identity: KeyIdentity, auth: RequestAuth, request: IncomingRequest) {
    const hasty = directory.isCheap(auth.ocid) ? null : limits.lookUp(request.from);
    if (hasty !== null) return hasty;
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
    if (match === null) return networkRefusal("INVALID_SIGNATURE");
    telemetry.count("opencharge_requests", { path: match.path, body: match.body });
    return { ocid: auth.ocid, metadata: believed };
  }

  async function callerOf(
    identity: KeyIdentity,
    auth: RequestAuth,
    request: IncomingRequest,
  ): Promise<SignedCaller | NetworkRefusal> {
    const stale = timestampRefusal(auth.timestamp, world.now());
    if (stale !== null) return stale;
    if (database.read((at) => isNonceUsed(at, auth.ocid, auth.nonce))) return networkRefusal("NONCE_REUSED");
    const caller = await verified(identity, auth, request);
    if (isRefusal(caller)) return caller;

    const spent = await database.transact((tx) => spendNonce(tx, auth.ocid, auth.nonce, nonce_memory_ms));
    return spent ? caller : networkRefusal("NONCE_REUSED");
  }

  function present(headers: IncomingRequest["headers"], from: string): RequestAuth | NetworkRefusal {
    const auth = readRequestAuth(headers);
    if (isRefusal(auth)) limits.refused(from, null);
    return isRefusal(auth) ? auth : (limits.present(from, auth.ocid) ?? auth);
  }

  return {
    present,
    async authenticate(identity, request) {
      const auth = present(request.headers, request.from);
      if (isRefusal(auth)) return auth;
      const caller = await callerOf(identity, auth, request);
      if (isRefusal(caller)) {
        limits.refused(request.from, auth.ocid);
        return caller;
      }
      const busy = limits.believed(caller.ocid);
      if (busy !== null) return busy;
      return identity.settings.blocked.includes(caller.ocid) ? networkRefusal("CONNECTION_REFUSED") : caller;
    },
  };
}
