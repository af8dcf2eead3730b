// Claims over a test's database, with something in the place of the chains.

import type { LiveConfig } from "../../src/config/config.ts";
import { type Claims, createClaims, type TransferLookup } from "../../src/services/claims.ts";
import { createPaymentRules } from "../../src/services/payment-rules.ts";
import { createSettlement } from "../../src/services/settlement.ts";
import type { Database } from "../../src/storage/engine/database.ts";
import type { Telemetry } from "../../src/telemetry.ts";
import type { World } from "../../src/world.ts";

const nothingMined: TransferLookup = async () => null;

/** The claims of a server that reads no chain: nothing is mined, unless `lookUp` says otherwise. */
export function claimsOver(
  needs: { database: Database; config: LiveConfig; world: World; telemetry: Telemetry },
  lookUp = nothingMined,
): Claims {
  return createClaims({ ...needs, settlement: createSettlement({ ...needs, ...createPaymentRules(needs) }), lookUp });
}
