// Who we are on the network: a merchant, a gateway or both, under one key or each under its own. Follows the live
// settings; a secret never leaves its signer.

import type { LiveConfig } from "../../config/config.ts";
import { Fault } from "../../domain/errors.ts";
import { type OpenchargeKey, type OpenchargeSettings, opencharge_path } from "../config/settings.ts";
import { isAnnounced } from "../domain/rotation.ts";
import { createSigner, type Signer } from "../wire/keys.ts";
import type { Metadata, RotatedKey } from "../wire/metadata.ts";

/** Where a gateway with a key of its own has its API, below the endpoint: a document names one key. */
const gateway_prefix = "/gateway";

/** What one key stands for, and where it answers. */
export interface KeyIdentity {
  settings: OpenchargeSettings;
  /** Our merchant's OCID where this key signs for it. */
  merchant: number | null;
  /** Our gateway's OCID where this key signs for it. */
  gateway: number | null;
  signer: Signer;
  previous: RotatedKey | null;
  /** Base of its paths as others reach it, without a trailing slash. */
  endpoint: string;
  /** The path of that, `/opencharge`. */
  base_path: string;
  /** The same as requests come in here. */
  path: string;
  /** What a reader of its metadata would know while its old key is announced. */
  metadata: Metadata;
}

/** One OCID of ours: what it signs with and where it answers. */
export type LocalIdentity = Pick<KeyIdentity, "settings" | "signer" | "endpoint" | "metadata"> & { ocid: number };

/** Everybody we are. */
export interface LocalIdentities {
  settings: OpenchargeSettings;
  ocids: ReadonlySet<number>;
  merchant: LocalIdentity | null;
  gateway: LocalIdentity | null;
  /** The identity that answers at a path as it comes in; null for none of the network's paths. */
  at(path: string): KeyIdentity | null;
  /** What a reader of our metadata knows of one of our OCIDs now; null for somebody else's. */
  metadataOf(ocid: number, now_ms: number): Metadata | null;
}

export interface LocalIdentitySource {
  /** Null without an [opencharge] section. Fault invalid_config for a key that is none of the curve. */
  current(): LocalIdentities | null;
}

/** Our identities under the live settings, made once per settings. */
export function createLocalIdentitySource({ config }: { config: LiveConfig }): LocalIdentitySource {
  let known: LocalIdentities | null = null;
  return {
    current() {
      const settings = config.current().opencharge ?? null;
      if (settings === null) known = null;
      else if (known?.settings !== settings) known = ourselves(settings);
      return known;
    },
  };
}

function ourselves(settings: OpenchargeSettings): LocalIdentities {
  const { merchant_ocid, gateway_ocid, gateway_key } = settings;
  const identities =
    gateway_key === null
      ? [identityOf(settings, settings, merchant_ocid, gateway_ocid, "")]
      : [
          identityOf(settings, gateway_key, null, gateway_ocid, gateway_prefix),
          identityOf(settings, settings, merchant_ocid, null, ""),
        ];
  const part = (role: "merchant" | "gateway"): LocalIdentity | null => {
    const own = identities.find((identity) => identity[role] !== null);
    const ocid = own?.[role] ?? null;
    return own === undefined || ocid === null ? null : { ...own, ocid };
  };
  const [merchant, gateway] = [part("merchant"), part("gateway")];
  const parts = [merchant, gateway].filter((one) => one !== null);
  return {
    settings,
    ocids: new Set(parts.map(({ ocid }) => ocid)),
    merchant,
    gateway,
    // The one with the longer path comes first.
    at: (path) => identities.find((identity) => path.startsWith(`${identity.path}/`)) ?? null,
    metadataOf(ocid, now_ms) {
      const known = parts.find((one) => one.ocid === ocid)?.metadata ?? null;
      // For us, too, an old key must come to its end: others could sign orders in our name with it.
      const is_over = known?.previous && !isAnnounced(known.previous.rotated_at, now_ms);
      return known !== null && is_over ? { ...known, previous: null } : known;
    },
  };
}

function identityOf(
  settings: OpenchargeSettings,
  key: OpenchargeKey,
  merchant: number | null,
  gateway: number | null,
  prefix: string,
): KeyIdentity {
  const signer = createSigner(key.secret_key);
  const old = key.previous === null ? null : createSigner(key.previous.secret_key);
  if (signer === null || (key.previous !== null && old === null)) {
    throw new Fault("invalid_config", "opencharge: the key is no secret key of the curve");
  }
  const { public_key } = signer;
  const previous =
    key.previous === null || old === null ? null : { public_key: old.public_key, rotated_at: key.previous.rotated_at };
  const endpoint = settings.endpoint + prefix;
  return {
    settings,
    merchant,
    gateway,
    signer,
    previous,
    endpoint,
    base_path: new URL(endpoint).pathname,
    path: opencharge_path + prefix,
    metadata: {
      name: settings.name,
      public_key,
      endpoint,
      capabilities: [],
      settlement: { currencies: settings.currencies, accepts: settings.accepts },
      settlement_signed: true,
      previous,
      shape: "nested",
      dialect: "recursive",
    },
  };
}

/** The raw target of a request as its sender signed it: a proxy before us may have taken a prefix away. */
export function signedTarget({ base_path, path }: KeyIdentity, target: string): string {
  return base_path + target.slice(path.length);
}
