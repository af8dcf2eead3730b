// Whether a provider is believed. One that the others contradicted is asked nothing for a while, and then has to say the
// same as they do, again and again, before it counts as a witness.

import { backoffMs } from "../../domain/backoff.ts";
import type { World } from "../../world.ts";
import type { EvidenceQuery, ProviderEvidence } from "../source.ts";

const freeze_times = { first_ms: 600_000, max_ms: 6 * 3_600_000 };
/** Agreements, each at another time, that end the probation. */
const agreements_needed = 3;
const probation_interval_ms = 30_000;

export type QuarantineState = "trusted" | "frozen" | "on_probation";

export interface ProviderQuarantine {
  state(): QuarantineState;
  /** Contradicted about `matter`: frozen from now on. */
  freeze(matter: EvidenceQuery): void;
  /** What to ask it and a trusted provider next; null while it is no time for that. */
  question(): EvidenceQuery | null;
  /** Weighs its answer against a trusted provider's. True when it is trusted again from now on. */
  weigh(own: ProviderEvidence, trusted: ProviderEvidence): boolean;
  /** On `world.elapsed()`: when the freeze ends or ended; null while trusted. */
  frozen_until(): number | null;
}

/** Full trust. */
export function createProviderQuarantine({ world }: { world: World }): ProviderQuarantine {
  let frozen_until: number | null = null;
  let matter: EvidenceQuery = { hashes: [], heights: [] };
  let freezes = 0;
  let agreements = 0;
  let asked_at = Number.NEGATIVE_INFINITY;

  const state = (): QuarantineState => {
    if (frozen_until === null) return "trusted";
    return world.elapsed() < frozen_until ? "frozen" : "on_probation";
  };
  const freeze = (disputed: EvidenceQuery) => {
    matter = disputed;
    freezes++;
    frozen_until = world.elapsed() + backoffMs(freezes, freeze_times);
    agreements = 0;
  };
  return {
    state,
    freeze,
    question() {
      if (state() !== "on_probation" || world.elapsed() - asked_at < probation_interval_ms) return null;
      asked_at = world.elapsed();
      return matter;
    },
    weigh(own, trusted) {
      if (state() !== "on_probation") return false;
      if (textOf(own) !== textOf(trusted)) {
        freeze(matter);
        return false;
      }
      agreements++;
      if (agreements < agreements_needed) return false;
      frozen_until = null;
      freezes = 0;
      return true;
    },
    frozen_until: () => frozen_until,
  };
}

function textOf({ receipts, headers }: ProviderEvidence): string {
  return JSON.stringify([[...receipts], [...headers]], (_, value: unknown) =>
    typeof value === "bigint" ? String(value) : value,
  );
}
