// Our own metadata document: nested and signed as the interface descriptions have it, its fields repeated at the top
// for readers of the flat shape. Made from the live key and never stored.

import { isAnnounced } from "../domain/rotation.ts";
import type { Signer } from "./keys.ts";
import type { RotatedKey } from "./metadata.ts";
import { withoutNulls } from "./orders.ts";
import { signObject } from "./signed-objects.ts";
import type { JsonObject } from "./strict-json.ts";

const protocol_version = "0.1";

export interface NetworkIdentity {
  name: string;
  description: string | null;
  icon: string | null;
  contact: string | null;
  /** Base of all our paths, without a trailing slash. */
  endpoint: string;
  capabilities: readonly string[];
  settlement: { currencies: readonly string[]; accepts: readonly number[] };
  previous: RotatedKey | null;
}

/** The document to serve at `<endpoint>/metadata.json`, signed in the recursive form. */
export function metadataDocument(identity: NetworkIdentity, signer: Signer, now_ms: number): JsonObject {
  const { previous } = identity;
  const announced = previous !== null && isAnnounced(previous.rotated_at, now_ms) ? previous : null;
  const config = withoutNulls({
    publicKey: signer.public_key,
    endpoint: identity.endpoint,
    capabilities: identity.capabilities,
    settlement: { accepts: identity.settlement.accepts, currencies: identity.settlement.currencies },
    previousKey: announced?.public_key ?? null,
    keyRotatedAt: announced?.rotated_at ?? null,
  });
  return withoutNulls({
    opencharge: protocol_version,
    name: identity.name,
    profile: identity.description,
    icon: identity.icon,
    config,
    kyc: [],
    signature: signObject(signer, config),
    contact: identity.contact,
    description: identity.description,
    ...config,
  });
}
