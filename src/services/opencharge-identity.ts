// Who we are on the network: our OCIDs, the key that signs for them and the one before it. Follows the live settings;
// the secret never leaves the signer.

import type { LiveConfig } from "../config/config.ts";
import { type OpenchargeSettings, opencharge_path } from "../config/opencharge.ts";
import { Fault } from "../domain/errors.ts";
import { createSigner, type Signer } from "../wire/opencharge/keys.ts";
import type { Metadata, RotatedKey } from "../wire/opencharge/metadata.ts";

export interface OwnIdentity {
  settings: OpenchargeSettings;
  signer: Signer;
  previous: RotatedKey | null;
  /** Merchant and gateway, as far as they are configured. */
  ocids: ReadonlySet<number>;
  /** Path of our endpoint as others see it, `/opencharge`. */
  base_path: string;
  /** What a reader of our own metadata would know. */
  metadata: Metadata;
}

export interface OwnIdentities {
  /** Null without an [opencharge] section. Fault invalid_config for a key that is none of the curve. */
  current(): OwnIdentity | null;
}

/** Our identity under the live settings, made once per settings. */
export function createOwnIdentities({ config }: { config: LiveConfig }): OwnIdentities {
  let known: OwnIdentity | null = null;
  return {
    current() {
      const settings = config.current().opencharge;
      if (settings === null) known = null;
      else if (known?.settings !== settings) known = identityOf(settings);
      return known;
    },
  };
}

function identityOf(settings: OpenchargeSettings): OwnIdentity {
  const signer = createSigner(settings.secret_key);
  const old = settings.previous === null ? null : createSigner(settings.previous.secret_key);
  if (signer === null || (settings.previous !== null && old === null)) {
    throw new Fault("invalid_config", "opencharge: the key is no secret key of the curve");
  }
  const { public_key } = signer;
  const previous =
    settings.previous === null || old === null
      ? null
      : { public_key: old.public_key, rotated_at: settings.previous.rotated_at };
  const ocids = [settings.merchant_ocid, settings.gateway_ocid].filter((ocid) => ocid !== null);
  return {
    settings,
    signer,
    previous,
    ocids: new Set(ocids),
    base_path: new URL(settings.endpoint).pathname,
    metadata: {
      name: settings.name,
      public_key,
      endpoint: settings.endpoint,
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
export function signedTarget(identity: OwnIdentity, target: string): string {
  return identity.base_path + target.slice(opencharge_path.length);
}
