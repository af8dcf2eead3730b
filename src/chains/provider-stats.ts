// What one provider's report is made of: how often it failed, how often it was not believed, and with which words last.

import type { ChainId } from "../domain/assets.ts";
import { errorText, Fault } from "../domain/errors.ts";
import type { Telemetry } from "../telemetry.ts";
import type { World } from "../world.ts";
import type { ProviderReport } from "./source.ts";

/** Failures that mean the provider answered, but nothing that can be believed. */
const refused_codes: readonly string[] = ["provider_malformed", "provider_inconsistent", "wrong_chain_id"];

export interface ProviderStats {
  /** Counts what goes wrong with an answer and puts the provider's name before the words. */
  counted<T>(answer: Promise<T>): Promise<T>;
  report(counts: Pick<ProviderReport, "calls" | "learned_range"> & { takes_batches?: boolean }): ProviderReport;
}

/** The books of a provider nothing was asked of yet. */
export function createProviderStats(needs: {
  chain: ChainId;
  provider: string;
  world: World;
  telemetry: Telemetry;
}): ProviderStats {
  const { chain, provider, world, telemetry } = needs;
  let failures = 0;
  let refused_answers = 0;
  let last: { error: string; at: number } | null = null;
  return {
    async counted(answer) {
      try {
        return await answer;
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        const { code, retry_after_s } = error;
        failures++;
        if (refused_codes.includes(code)) refused_answers++;
        last = { error: `${code}: ${errorText(error)}`, at: world.now() };
        telemetry.count("provider_failures", { chain, provider, code });
        throw new Fault(code, `${provider}: ${errorText(error)}`, retry_after_s);
      }
    },
    report: (counts) => ({
      provider,
      takes_batches: true,
      ...counts,
      failures,
      refused_answers,
      last_error: last?.error ?? null,
      last_error_at: last?.at ?? null,
    }),
  };
}
