// One thing that is looked at when an operator asks what is wrong: a verdict in words, and what to do about it. Bounded
// in time; never throws.

import { type Code, errorCode, errorCodes, errorText, Fault } from "../../domain/errors.ts";
import type { World } from "../../world.ts";

const check_timeout_ms = 10_000;

export type CheckResult = "ok" | "warn" | "fail";

export interface CheckFinding {
  verdict: CheckResult;
  /** What was found, and for anything but ok what to do. */
  words: string;
  /** Of a failure. */
  code?: Code;
}

export interface Check extends CheckFinding {
  /** What was looked at: a chain and a provider's host, a file, an origin. Never a URL that may hold a key. */
  subject: string;
  check: string;
}

/** What to do about a failure whose own words do not say it. */
const cures: Partial<Record<Code, string>> = {
  provider_unreachable: "check the URL, the provider, and this machine's way out",
  provider_rate_limited: "wait, take a larger plan, or list another provider",
  provider_malformed: "this URL does not answer as a node does; correct it",
  provider_lagging: "the node is behind; list another provider",
  provider_inconsistent: "the node contradicts itself; list another provider",
  provider_range_too_large: "list another provider",
  outbound_timeout: "check that it runs and that this machine may reach it",
  outbound_failed: "check the address, its certificate, and that it runs",
  target_refused: "set webhooks.allow_private_targets if it is meant to be there",
};

/** All is well; `words` say what was found. */
export const ok = (words: string): CheckFinding => ({ verdict: "ok", words });

/** Worth a look, and no reason to stop; `words` end with what to do. */
export const warn = (words: string): CheckFinding => ({ verdict: "warn", words });

/** To be mended before money depends on it; `words` end with how. */
export const fail = (code: Code, words: string): CheckFinding => ({ verdict: "fail", code, words });

/** Runs one look within ten seconds; a Fault is a failure under its own code. */
export async function runCheck(
  world: World,
  subject: string,
  check: string,
  look: () => CheckFinding | Promise<CheckFinding>,
): Promise<Check> {
  const enough = new AbortController();
  try {
    const late = world.sleep(check_timeout_ms, enough.signal).then(() => {
      throw new Fault("outbound_timeout", `no answer within ${check_timeout_ms / 1000} s`);
    });
    late.catch(() => {});
    return { subject, check, ...(await Promise.race([Promise.resolve().then(look), late])) };
  } catch (error) {
    const code = errorCode(error);
    const words = code === "internal" ? `${errorCodes.internal.text}: ${errorText(error)}` : errorText(error);
    const cure = cures[code];
    return { subject, check, ...fail(code, cure === undefined ? words : `${words}; ${cure}`) };
  } finally {
    enough.abort();
  }
}
