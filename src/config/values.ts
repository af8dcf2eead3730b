// What one value of the configuration file may be: its type, bounds and spelling, and the sentence that says what to
// write instead. Values that may be secret (secrets, web addresses with keys) are never echoed.

import * as z from "zod";
import { canonicalAddress, correctedChecksum } from "../domain/address.ts";
import { type ChainId, chainFacts } from "../domain/assets.ts";
import { isAmount, isAtMost, scaleOf } from "../domain/money.ts";
import { formatNetwork, type Network, parseNetwork } from "../domain/network.ts";
import {
  highest_overpaid_percent,
  highest_tolerance,
  highest_tolerated_percent,
  parseBound,
  type Tolerance,
} from "../domain/tolerance.ts";
import { formatDuration, parseDuration } from "./duration.ts";
import { normaliseOrigin, parseListen, webUrl } from "./place.ts";
import { closest } from "./suggest.ts";

const highest_surcharge = "100";
/** USDT and USDC cannot hold more. */
const surcharge_decimals = 6;

/** What the example file holds where the merchant's own value belongs. */
const placeholders = ["change-me-admin-secret", "change-me-merchant-secret", "0xYourWalletAddress"];
const still_placeholder = "still the placeholder of the example file";

const hash_pattern = /^\$argon2(id|i|d)(\$v=\d+)?\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+$/;
const tx_hash_pattern = /^(?:0x)?[0-9a-f]{64}$/i;

type Context = z.core.$RefinementCtx;

/** Records a problem at the value being read, or at `path` below it. */
export function reportProblem(context: Context, message: string, path: (string | number)[] = []): typeof z.NEVER {
  context.addIssue({ code: "custom", message, path });
  return z.NEVER;
}

/** A table that knows its own keys, so that it can say what an unknown one was meant to be. */
export function tomlTable<Shape extends z.core.$ZodLooseShape>(shape: Shape, missing?: string) {
  const known = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey(key, known)).join("\n");
      return issue.input === undefined ? missing : undefined;
    },
  });
}

function unknownKey(key: string, known: readonly string[]): string {
  const near = closest(key, known);
  return near === null ? `unknown key; known here: ${known.join(", ")}` : `unknown key; did you mean ${near}?`;
}

/** `"unknown"; did you mean X?` for a word out of a closed list; `aliases` are other names of its options. */
export function oneOf<const Option extends string>(
  options: readonly Option[],
  aliases: Partial<Record<Option, string>> = {},
) {
  return z.enum(options, {
    error: (issue) => {
      if (issue.input === undefined) return undefined;
      if (typeof issue.input !== "string") return `expected one of ${options.join(", ")} in quotes`;
      const typed = issue.input.toLowerCase();
      const named = options.find((option) => typed.length > 1 && aliases[option]?.toLowerCase().startsWith(typed));
      const near = named ?? closest(typed, options);
      const cure = near === null ? `use one of ${options.join(", ")}` : `did you mean ${near}?`;
      return `${JSON.stringify(issue.input)} is unknown; ${cure}`;
    },
  });
}

/** A duration in ms within bounds; `example` is shown where none can be read. */
export function writtenDuration(example: string, bounds: { from: number; to: number }) {
  return z.string({ error: () => `expected a duration in quotes, such as "${example}"` }).transform((text, context) => {
    const ms = parseDuration(text);
    const shown = JSON.stringify(text);
    if (ms === null) {
      return reportProblem(
        context,
        `${shown} is no duration; write a whole number with ms, s, m or h, such as "${example}"`,
      );
    }
    if (ms >= bounds.from && ms <= bounds.to) return ms;
    const range = `${formatDuration(bounds.from)} to ${formatDuration(bounds.to)}`;
    return reportProblem(context, `${shown} is out of bounds; allowed is ${range}`);
  });
}

/** The same with a default. */
export function duration(fallback: string, bounds: { from: number; to: number }) {
  return writtenDuration(fallback, bounds).prefault(fallback);
}

/** A whole number within bounds, both inclusive. */
export function integerBetween(from: number, to: number = Number.MAX_SAFE_INTEGER) {
  const range = to === Number.MAX_SAFE_INTEGER ? `from ${from}` : `from ${from} to ${to}`;
  return z.number().refine((value) => Number.isSafeInteger(value) && value >= from && value <= to, {
    error: (issue) => `${String(issue.input)} is out of bounds; expected a whole number ${range}`,
  });
}

export const nonEmptyText = z
  .string()
  .refine((text) => text.trim() !== "", { error: "empty; put a value between the quotes" });

/** Never echoed. Empty, as example files have it, is none. */
export const apiKey = z
  .string()
  .default("")
  .transform((text) => (text.trim() === "" ? null : text.trim()));

export const secret = nonEmptyText.refine((text) => !placeholders.includes(text), {
  error: `${still_placeholder}; put a long random text of your own`,
});

export const adminSecret = secret.refine((text) => !text.startsWith("$argon2") || hash_pattern.test(text), {
  error: "begins with $argon2 but is no whole argon2 hash; paste all of it, or write a new secret in plain text",
});

export const origin = z.string().transform((text, context) => {
  const normal = normaliseOrigin(text);
  if (normal !== null) return normal;
  const cut = webUrl(text)?.origin;
  const cure = cut === undefined ? 'write scheme and host, such as "https://shop.example"' : `did you mean "${cut}"?`;
  return reportProblem(context, `${JSON.stringify(text)} is no origin; ${cure}`);
});

/** Not echoed when refused: addresses of webhooks and nodes carry keys. */
export const webAddress = nonEmptyText.refine((text) => text.trim() === "" || webUrl(text) !== null, {
  error: "no web address; it must begin with http:// or https:// and name a host",
});

export const publicUrl = webAddress.transform((text, context) => {
  const url = webUrl(text);
  if (url === null) return z.NEVER;
  if (url.search !== "" || url.hash !== "" || url.username !== "") {
    return reportProblem(context, "must be a plain address without user, ? or #");
  }
  return url.href.replace(/\/+$/, "");
});

export const listenAddress = z.string().transform((text, context) => {
  const place = parseListen(text);
  const cure = 'write host and port, such as "0.0.0.0:8080"';
  return place ?? reportProblem(context, `${JSON.stringify(text)} is no address to listen on; ${cure}`);
});

export const network = z.string().transform((text, context): Network => {
  const parsed = parseNetwork(text);
  const shown = JSON.stringify(text);
  if (parsed === null) {
    return reportProblem(
      context,
      `${shown} is no address or network; write it like "127.0.0.1", "10.0.0.0/8" or "fd00::/8"`,
    );
  }
  if (parsed.prefix === 0)
    return reportProblem(context, `${shown} is everybody; name the addresses of your own proxies`);
  const whole = formatNetwork(parsed);
  const host = text.split("/")[0] ?? "";
  const start = parseNetwork(host);
  if (start?.base !== parsed.base)
    return reportProblem(context, `${shown} begins inside its network; did you mean "${whole}"?`);
  return parsed;
});

/** Null for an empty text, as the first implementation wrote it. */
export const startingTx = z.string().transform((text, context) => {
  if (text.trim() === "") return null;
  return tx_hash_pattern.test(text)
    ? text
    : reportProblem(context, "no transaction hash; expected 0x and 64 hexadecimal digits");
});

export const surcharge = z
  .string({ error: () => 'expected an amount in quotes, such as "0.99"' })
  .refine(
    (text) =>
      (isAmount(text) || /^0(\.0+)?$/.test(text)) &&
      scaleOf(text) <= surcharge_decimals &&
      isAtMost(text, highest_surcharge),
    { error: `expected an amount from "0" to "${highest_surcharge}" with at most ${surcharge_decimals} decimals` },
  );

/** An amount, a percentage, or a list of both: the smallest holds. */
function toleranceUpTo(highest_percent: bigint) {
  const words = `expected an amount from "0" to "${highest_tolerance}" with at most 6 decimals, a percentage from "0%" to "${highest_percent}%" with at most 4 decimals, or a list of both`;
  return z.unknown().transform((written, context): Tolerance => {
    const list: unknown[] = Array.isArray(written) ? written : [written];
    if (list.length === 0) return reportProblem(context, "empty; remove the key or write a bound");
    return list.map((text, index) => {
      const path = Array.isArray(written) ? [index] : [];
      const bound = typeof text === "string" ? parseBound(text, highest_percent) : null;
      return bound ?? reportProblem(context, words, path);
    });
  });
}

/** How much less than asked still pays. */
export const underpaid = toleranceUpTo(highest_tolerated_percent);

/** How much more than is due still pays by itself. */
export const overpaid = toleranceUpTo(highest_overpaid_percent);

/** Why a text is no address on a chain, with the cure where there is one. */
export function addressProblem(chain: ChainId, text: string): string {
  if (placeholders.includes(text)) return `${still_placeholder}; put the address of your own wallet`;
  const corrected = correctedChecksum(text);
  if (chainFacts[chain].kind === "tron") {
    const what = corrected === null ? "no Tron address" : "an address of another kind of chain";
    return `${JSON.stringify(text)} is ${what}; a Tron address begins with T and has 34 characters`;
  }
  if (corrected !== null) return `${text} fails its checksum; did you mean ${corrected}?`;
  const what = canonicalAddress("tron", text) === null ? "no address" : "a Tron address";
  return `${JSON.stringify(text)} is ${what}; an address on ${chain} is 0x and 40 hexadecimal digits`;
}
