// The rules that decide what a transfer pays, composed once and handed to every service that applies them. They keep no
// state: each reads the live settings and the caller's transaction.

import type { LiveConfig } from "../config/config.ts";
import { type Attribution, createAttribution } from "./attribution.ts";
import { type Crediting, createCrediting } from "./crediting.ts";
import { createSplitPayments, type SplitPayments } from "./split-payments.ts";
import { createTiers, type Tiers } from "./tiers.ts";

export interface PaymentRules {
  attribution: Attribution;
  crediting: Crediting;
  splits: SplitPayments;
  tiers: Tiers;
}

/** The rules under the live settings. */
export function createPaymentRules({ config }: { config: LiveConfig }): PaymentRules {
  const attribution = createAttribution({ config });
  const crediting = createCrediting({ config });
  return {
    attribution,
    crediting,
    splits: createSplitPayments({ attribution, crediting }),
    tiers: createTiers({ config }),
  };
}
