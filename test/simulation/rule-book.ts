// Which rules of orders the server had when: from the moment its settings were written to the moment it followed newer ones.

import type { OrderRules } from "./settings.ts";
import type { Timeline } from "./timeline.ts";

export interface RuleBook {
  /** What the file says now. */
  written(): OrderRules;
  /** The file is written anew. */
  write(rules: OrderRules): void;
  /** The server follows what is written now. */
  followed(): void;
  /** All rules that may have been in force at a time, virtual ms. */
  at(time: number): readonly OrderRules[];
  /** All rules that may have been in force at a time (virtual ms) or since. */
  since(from: number): readonly OrderRules[];
  /** The shortest late window of those rules, ms. */
  leastLateWindow(from: number): number;
}

/** A book that begins with these rules. */
export function createRuleBook(timeline: Timeline, first: OrderRules): RuleBook {
  const entries = [{ rules: first, from: 0, until: Number.POSITIVE_INFINITY }];
  let written = first;
  const since = (from: number) => entries.filter(({ until }) => until >= from).map(({ rules }) => rules);
  return {
    written: () => written,
    write(rules) {
      written = rules;
      if (entries.at(-1)?.rules !== rules)
        entries.push({ rules, from: timeline.now(), until: Number.POSITIVE_INFINITY });
    },
    followed() {
      for (const entry of entries.slice(0, -1)) entry.until = Math.min(entry.until, timeline.now());
    },
    at: (time) => entries.filter(({ from, until }) => from <= time && until >= time).map(({ rules }) => rules),
    since,
    leastLateWindow: (from) => Math.min(...since(from).map(({ late_window_ms }) => late_window_ms)),
  };
}
