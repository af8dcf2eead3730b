// The Opencharge network as an extension of the product: the one file of its folder that the server's composition
// imports. Builds and names; decides nothing.

import { type Config, type LiveConfig, liveConfig } from "../config/config.ts";
import type { ExtendHttp } from "../http/extension.ts";
import type { Outbound } from "../outbound.ts";
import type { Checkout } from "../services/checkout.ts";
import type { Crediting } from "../services/crediting.ts";
import type { Database } from "../storage/engine/database.ts";
import type { Telemetry } from "../telemetry.ts";
import type { World } from "../world.ts";
import { lateRotations } from "./config/rotation.ts";
import { openchargeSection } from "./config/section.ts";
import { createOpenchargeHttp } from "./http/api.ts";
import { createOpenchargeAccess } from "./services/access.ts";
import { createDirectory } from "./services/directory.ts";
import { createGateway } from "./services/gateway.ts";
import { createLocalIdentitySource } from "./services/identity.ts";
import { createIssuers } from "./services/issuers.ts";
import { createNetworkLimits } from "./services/limits.ts";
import { createOpenchargeMerchant } from "./services/merchant.ts";
import { createPayments } from "./services/payments.ts";
import { createProofList } from "./services/proof-list.ts";
import { createProofs } from "./services/proofs.ts";
import { openchargeHooks } from "./storage/hooks.ts";

export const opencharge = {
  section: openchargeSection,
  hooks: openchargeHooks,

  /** Fault invalid_config for a key that is none of the curve. */
  check: (config: Config) => void createLocalIdentitySource({ config: liveConfig(config) }).current(),

  changeWarnings: ({ opencharge: before = null }: Config, { opencharge: after = null }: Config, now_ms: number) =>
    lateRotations(before, after, now_ms),

  /** Its services over one database. Fault invalid_config for a key that is none of the curve. */
  start(needs: {
    database: Database;
    config: LiveConfig;
    crediting: Crediting;
    outbound: Outbound;
    world: World;
    telemetry: Telemetry;
    checkout: Checkout;
  }) {
    const identities = createLocalIdentitySource(needs);
    const directory = createDirectory({ ...needs, identities });
    const limits = createNetworkLimits(needs);
    const issuers = createIssuers({ ...needs, directory, identities });
    const network = { ...needs, identities, directory, issuers, limits };
    const proofs = createProofs(network);
    const services = {
      ...{ identities, limits, proofs },
      access: createOpenchargeAccess(network),
      merchant: createOpenchargeMerchant(network),
      gateway: createGateway(network),
      payments: createPayments(network),
      proofList: createProofList(network),
    };
    identities.current();
    const http: ExtendHttp = (door) => createOpenchargeHttp({ ...needs, ...door, services });
    return { proofs, http, jobs: [{ name: "prove payments", run: proofs.issueOwed }] };
  },
};
