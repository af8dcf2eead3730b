// What a provider is to us at a moment, and how much of a day's allowance it has used.

/**
 * `well`: asked as usual; `resting`: left alone after a failure; `on_trial`: the next request decides; `frozen`:
 * contradicted by the others and asked nothing; `on_probation`: has to agree with them again; `budget_spent`: its
 * requests of the day are used up.
 */
export const providerStates = ["well", "resting", "on_trial", "frozen", "on_probation", "budget_spent"] as const;
export type ProviderState = (typeof providerStates)[number];

/** Calls within one UTC day; `day` counts from 1970. */
export interface DailyUsage {
  day: number;
  day_calls: number;
}

/** Two keys, or two ways of asking, at one host are one operator: what it says twice is one opinion. */
export function operatorOf(provider: string): string {
  return provider.replace(/#\w+$/, "");
}
