// What a provider means when it refuses, read from its words rather than its code: codes are shared between unlike
// refusals, words are not. Pure; a refusal it cannot place is `other`, never a guess.

import type { Code } from "../../domain/errors.ts";

/**
 * `lagging`: it does not know the block yet; `archive`: it does not serve blocks this old; `rate`: too many requests;
 * `batch`: too many calls in one request; `filters`: too many wallets or contracts in one call; `range`: too many
 * blocks or results in one call; `key`: it refuses our key or our address; `tag`: it does not serve this block tag, at least now; `other`: anything else.
 */
export type RefusalKind = "lagging" | "archive" | "rate" | "batch" | "filters" | "range" | "key" | "tag" | "other";

export interface ProviderRefusal {
  kind: RefusalKind;
  /** The provider's own words, which may repeat our URL: redact before showing. */
  words: string;
  /** Everything it said in small letters, thousands separators removed: what suggestions are read from. */
  text: string;
  retry_after_s?: number;
}

/** What was refused: the HTTP status, the error object (or body text) and the `Retry-After` header in seconds. */
export interface RefusedRequest {
  status: number;
  error: unknown;
  retry_after_s?: number | undefined;
}

const rate_status = 429;
const too_large_status = 413;
const key_statuses: readonly number[] = [401, 403];
const rate_code = -32007;

const is = {
  lagging:
    /beyond current head|after last accepted block|blockoutofrange|unknown block(?! (tag|number))|header not found/,
  archive: /archive|missing trie node|\bpruned\b|\bpruning\b|historical state|\bstate\b.*(not |un)available|no state/,
  batch: /\bbatch/,
  filters: /addresses or topics|contains \d+ filters|too many (addresses|topics)|max (addresses|topics)/,
  range:
    /blocks? range|blocks distance|\branges? (over|too|is|of|limit|exceeds?|greater)|\brange \d+|\d+ range\b|(exceeds?|maximum|max)\b.* range|range .*\b(exceeds|maximum|max)\b|too many (blocks|results|logs)|returned more than|max results|logs matched by query|log response size|response too large|query timeout|^limit exceeded/,
  rate: /rate.?limit|too many requests|request limit|request count|requests per|frequency limit|capacity|\bcomput(e|ing)\b|has exceeded|\bquota\b|throttl/,
  key: /unauthori[sz]ed|authenticat|forbidden|access denied|(invalid|unknown|missing|wrong|expired|disabled|inactive) (api|access|project|auth\w*)[ _-]?(key|id|token)|(api|access)[ _-]?(key|token) (is |was )?(invalid|missing|unknown|required|expired|disabled|inactive|not found)|\b(tenant|account|project|key) (is |was )?(disabled|suspended|inactive|blocked)/,
  tag: /(safe|finalized) block not found|\btag\b.* not supported|(unknown|unsupported|invalid) block|without 0x prefix|invalid (params|argument)/,
};

/** The order matters: a range refusal that also speaks of capacity must be narrowed, or the range is never read. */
const order = ["lagging", "archive", "batch", "filters", "range", "rate", "key", "tag"] as const;

/** Places a refusal. */
export function readRefusal({ status, error, retry_after_s }: RefusedRequest): ProviderRefusal {
  const { code, words, text } = spoken(error);
  const said = order.find((kind) => is[kind].test(text));
  const kind = status === rate_status || code === rate_code ? "rate" : (said ?? unsaid(status));
  const refusal: ProviderRefusal = { kind, words: words === "" ? `HTTP ${status}` : words, text };
  const wished_s = retry_after_s ?? suspension(text);
  return wished_s === undefined ? refusal : { ...refusal, retry_after_s: wished_s };
}

/** TronGrid tells in words for how long a key is shut out: whoever asks before is shut out for longer. */
function suspension(text: string): number | undefined {
  const seconds = /suspended for (\d{1,4}) ?s/.exec(text)?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}

/** What the status alone tells. */
function unsaid(status: number): RefusalKind {
  if (status === too_large_status) return "range";
  return key_statuses.includes(status) ? "key" : "other";
}

/** Text may stand in `message`, `data` or `details`, or in Tron's `Error` outside any envelope. */
function spoken(error: unknown): { code: number | null; words: string; text: string } {
  if (typeof error === "string") return { code: null, words: error, text: plain(error) };
  if (typeof error !== "object" || error === null) return { code: null, words: "", text: "" };
  const { code, message, data, details, Error: outside } = error as Record<string, unknown>;
  const parts = [message, details, outside, data].filter((part) => part !== undefined && part !== null);
  const said = parts.map((part) => (typeof part === "string" ? part : JSON.stringify(part)));
  return { code: typeof code === "number" ? code : null, words: said.join(" "), text: plain(said.join("\n")) };
}

function plain(text: string): string {
  return text.toLowerCase().replace(/(?<=\d),(?=\d{3})/g, "");
}

/** The code a refusal is reported under when nothing can be done about it here. */
export const refusal_codes: Record<RefusalKind, Code> = {
  lagging: "provider_lagging",
  archive: "provider_archive_only",
  rate: "provider_rate_limited",
  batch: "provider_unreachable",
  filters: "provider_range_too_large",
  range: "provider_range_too_large",
  key: "provider_refused",
  tag: "provider_lagging",
  other: "provider_unreachable",
};

const suggested_ranges = [
  /"from":"(0x[0-9a-f]+)".*"to":"(0x[0-9a-f]+)"/,
  /\[(0x[0-9a-f]+), ?(0x[0-9a-f]+)\]/,
  /retry with the range (\d+)-(\d+)/,
];

const stated_caps = [
  /limited to (?:a )?(?:0 - )?(\d+)(k?)/,
  /up to a (\d+)(k?) block/,
  /ranges over (\d+)(k?)/,
  /max(?:imum)? (?:block )?range:? (\d+)(k?)/,
  /maximum is set to (\d+)(k?)/,
  /range (?:\d+ )?exceeds (?:the )?limit of (\d+)(k?)/,
  /range greater than (\d+)(k?)/,
  /range limit (?:of )?(\d+)(k?)/,
  /blocks distance: (\d+)(k?)/,
  /blocks? range, the limit is (\d+)(k?)/,
];

export interface NarrowedRange {
  /** Blocks to ask for next: at least one, fewer than were refused. */
  blocks: number;
  /** True when the provider named the number, so it is worth remembering for long. */
  stated: boolean;
}

/** How many blocks to ask for after `blocks` were refused; null when one block was. A suggestion that is no progress is ignored. */
export function narrowedRange(text: string, blocks: number): NarrowedRange | null {
  if (blocks <= 1) return null;
  for (const suggestion of suggested_ranges) {
    const [, from, to] = suggestion.exec(text) ?? [];
    const width = Math.abs(Number(to) - Number(from)) + 1;
    if (width < blocks) return { blocks: width, stated: true };
  }
  const cap = statedNumber(stated_caps, text);
  if (cap !== null && cap < blocks) return { blocks: cap, stated: true };
  return { blocks: Math.floor(blocks / 2), stated: false };
}

/** How many calls to put into one request after `calls` were refused; null when a single one was. */
export function fewerCalls(text: string, calls: number): number | null {
  if (calls <= 1) return null;
  const cap = statedNumber([/more than (\d+)()/, /(?:limit|max\w*)(?: of| is|:)* ?(\d+)()/], text);
  return cap !== null && cap < calls ? cap : Math.floor(calls / 2);
}

function statedNumber(patterns: readonly RegExp[], text: string): number | null {
  for (const pattern of patterns) {
    const [, digits, thousands] = pattern.exec(text) ?? [];
    const number = Number(digits) * (thousands === "k" ? 1000 : 1);
    if (number >= 1) return number;
  }
  return null;
}
