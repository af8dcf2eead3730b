// The shape of the configuration file: every key, its bounds and its default. What one key alone can get wrong is
// said here and in values.ts; what takes two keys to see is said in cross.ts.

import * as z from "zod";
import { canonicalAddress } from "../domain/address.ts";
import { type ChainId, type Coin, chainFacts, chainIds, coins, explorerKinds } from "../domain/assets.ts";
import { type Finality, type FinalityTier, parseFinality } from "../domain/finality.ts";
import { isAmount, isAtMost } from "../domain/money.ts";
import { formatDuration } from "./duration.ts";
import type { ConfigSection } from "./section.ts";
import * as value from "./values.ts";
import { reportProblem, tomlTable } from "./values.ts";

const signature_window_ms = { from: 1000, to: 3_600_000 };
const lifetime_ms = { from: 1000, to: 30 * 86_400_000 };
const late_window_ms = { from: 0, to: 90 * 86_400_000 };
const webhook_timeout_ms = { from: 1000, to: 60_000 };
const poll_ms = { from: 50, to: 600_000 };
const idle_poll_ms = { from: 50, to: 3_600_000 };
export const default_poll_ms = 4000;
export const default_idle_poll_ms = 60_000;
const most_requests_per_second = 10_000;
/** A quiet chain alone is asked about 3,000 times a day. */
const least_requests_per_day = 1000;
const most_confirmations = 1_000_000;
const most_token_decimals = 18;

/** A tag, a number of blocks, seconds: any of them, in this order. */
const finality_pattern = /^(?=.)(?:safe|finalized)?(?:(?:^|\+)[1-9]\d*)?(?:(?:^|\+)[1-9]\d*s)?$/;
const most_finality_s = 86_400 * 7;
const finality_forms =
  'write "finalized", "safe", a number of blocks, seconds such as "20s", any of these joined by "+", or a list of { up_to, finality }';

function readFinality(written: unknown): Finality | null {
  const text = typeof written === "number" || typeof written === "string" ? String(written) : "";
  if (!finality_pattern.test(text)) return null;
  const finality = parseFinality(text);
  const isBounded = (finality.blocks ?? 1) <= most_confirmations && (finality.seconds ?? 0) <= most_finality_s;
  return isBounded ? finality : null;
}

const tier = tomlTable({
  up_to: z
    .string({ error: () => 'expected an amount in quotes, such as "1000"' })
    .refine(isAmount, { error: 'no amount; write it like "1000" or "99.50"' })
    .optional(),
  finality: z
    .unknown()
    .transform((written, context) => readFinality(written) ?? reportProblem(context, finality_forms)),
});

const tierList = z.array(tier).transform((rows, context): FinalityTier[] => {
  if (rows.length === 0) return reportProblem(context, "empty; remove the key or write one tier");
  rows.forEach((row, index) => {
    const before = rows[index - 1]?.up_to;
    const isLast = index === rows.length - 1;
    const path = [index, "up_to"];
    if (isLast && row.up_to !== undefined)
      reportProblem(context, "the last tier takes all larger amounts; remove up_to", path);
    if (!isLast && row.up_to === undefined)
      reportProblem(context, "missing; only the last tier goes without up_to", path);
    if (before !== undefined && row.up_to !== undefined && isAtMost(row.up_to, before)) {
      reportProblem(
        context,
        `${row.up_to} is not above ${before} of the tier before; order them from small to large`,
        path,
      );
    }
  });
  return rows.map((row) => ({ up_to: row.up_to ?? null, finality: row.finality }));
});

const finality = z.unknown().transform((written, context): FinalityTier[] => {
  if (Array.isArray(written)) {
    const list = tierList.safeParse(written, { error: configIssueText });
    if (list.success) return list.data;
    for (const issue of list.error.issues) context.addIssue({ ...issue });
    return z.NEVER;
  }
  const single = readFinality(written);
  return single === null ? reportProblem(context, finality_forms) : [{ up_to: null, finality: single }];
});

const verify = z.unknown().transform((written, context): string | null => {
  if (written === true) return "0";
  if (written === false) return null;
  if (typeof written === "string" && isAmount(written)) return written;
  return reportProblem(
    context,
    'write true for every payment, false for none, or the amount above which, such as "1000"',
  );
});

/** One address or a list of them, canonical. */
function contracts(chain: ChainId) {
  return z.unknown().transform((written, context): string[] => {
    const list: unknown[] = Array.isArray(written) ? written : [written];
    if (list.length === 0) return reportProblem(context, "empty; remove the section or list a contract");
    return list.map((text, index) => {
      const path = Array.isArray(written) ? [index] : [];
      if (typeof text !== "string")
        return reportProblem(context, "expected the token contract in quotes, or a list of them", path);
      return canonicalAddress(chain, text) ?? reportProblem(context, value.addressProblem(chain, text), path);
    });
  });
}

function tokenSchema(chain: ChainId) {
  return tomlTable({
    address: contracts(chain),
    decimals: value.integerBetween(0, most_token_decimals).optional(),
  }).optional();
}

/** The keys of `[chains.<id>]`. */
export function chainSchema(chain: ChainId) {
  const overrides = Object.fromEntries(coins.map((coin) => [coin, tokenSchema(chain)]));
  return tomlTable({
    rpc_urls: z.array(value.webAddress).optional(),
    chain_id: value.integerBetween(1).optional(),
    explorer: value.oneOf(explorerKinds).optional(),
    explorer_url: value.webAddress.optional(),
    finality: finality.optional(),
    verify: verify.optional(),
    requests_per_second: value.integerBetween(1, most_requests_per_second).optional(),
    requests_per_day: value.integerBetween(least_requests_per_day).optional(),
    poll: value.duration(formatDuration(default_poll_ms), poll_ms),
    idle_poll: value.writtenDuration("60s", idle_poll_ms).optional(),
    start_block: value.integerBetween(0).optional(),
    tokens: tomlTable(overrides as Record<Coin, ReturnType<typeof tokenSchema>>).optional(),
  });
}

export type ChainSection = z.output<ReturnType<typeof chainSchema>>;

const chainSections = Object.fromEntries(chainIds.map((id) => [id, chainSchema(id).optional()]));
const chainNames = Object.fromEntries(chainIds.map((id) => [id, chainFacts[id].name])) as Record<ChainId, string>;

const wallet = tomlTable({
  blockchain: value.oneOf(chainIds, chainNames),
  address: value.nonEmptyText,
  enabled_coins: z.array(value.oneOf(coins)),
  starting_tx: value.startingTx.optional(),
});

const add_wallet = "missing; add at least one [[wallets]] entry with blockchain, address and enabled_coins";

/** The keys of `[api_keys]`. */
export const apiKeys = tomlTable({
  etherscan_api_key: value.apiKey,
  tronscan_api_key: value.apiKey,
  trongrid_api_key: value.apiKey,
  blockscout_api_key: value.apiKey,
  routescan_api_key: value.apiKey,
});

/** The whole file with the sections of extensions. Sections that are all defaults may be absent. */
export function fileSchema(sections: readonly ConfigSection[]) {
  const more = Object.fromEntries(sections.map(({ name, schema }) => [name, schema.optional()]));
  return tomlTable({
    server: tomlTable({
      listen: value.listenAddress.prefault("0.0.0.0:8080"),
      public_url: value.publicUrl.optional(),
      signature_window: value.duration("300s", signature_window_ms),
      trusted_proxies: z.array(value.network).default([]),
    }).prefault({}),
    database: tomlTable({ path: value.nonEmptyText.default("ocrch.db") }).prefault({}),
    admin: tomlTable({ secret: value.adminSecret }, "missing; add an [admin] section with secret"),
    merchant: tomlTable(
      {
        name: value.nonEmptyText,
        secret: value.secret,
        previous_secret: value.secret.optional(),
        allowed_origins: z.array(value.origin),
        unknown_transfer_webhook_url: value.webAddress.optional(),
        strict_url_binding: z.boolean().default(false),
      },
      "missing; add a [merchant] section with name, secret and allowed_origins",
    ),
    orders: tomlTable({
      lifetime: value.duration("60m", lifetime_ms),
      late_window: value.duration("24h", late_window_ms),
      max_surcharge: value.surcharge.prefault("0.99"),
      underpaid_tolerance: value.underpaid.prefault("0"),
      overpaid_tolerance: value.overpaid.prefault("10%"),
    }).prefault({}),
    webhooks: tomlTable({
      allow_private_targets: z.boolean().default(false),
      success: value.oneOf(["2xx", "200"]).default("2xx"),
      signature_padding: z.boolean().default(true),
      timeout: value.duration("15s", webhook_timeout_ms),
    }).prefault({}),
    api_keys: apiKeys.prefault({}),
    wallets: z
      .array(wallet, {
        error: (issue) =>
          issue.input === undefined ? add_wallet : "expected a list; write [[wallets]] with two brackets",
      })
      .refine((list) => list.length > 0, { error: add_wallet }),
    ...(more as Record<never, never>),
    chains: tomlTable(chainSections as Record<ChainId, z.ZodOptional<ReturnType<typeof chainSchema>>>).prefault({}),
  });
}

export type File = z.output<ReturnType<typeof fileSchema>>;

const kinds: Record<string, string> = {
  string: "text in quotes",
  number: "a number",
  boolean: "true or false",
  array: "a list in [ ]",
  object: "a section of keys",
};
const samples: Record<string, string> = { string: '".."', array: "[ .. ]" };

/** The words for a problem no schema has its own words for: a missing key or a wrong type. */
export function configIssueText(issue: z.core.$ZodRawIssue): string {
  const expected = issue.code === "invalid_type" ? issue.expected : "string";
  if (issue.input === undefined) return `missing; add ${String(issue.path?.at(-1))} = ${samples[expected] ?? ".."}`;
  return `expected ${kinds[expected] ?? expected}, got ${kindOf(issue.input)}`;
}

function kindOf(input: unknown): string {
  if (Array.isArray(input)) return "a list";
  if (input instanceof Date) return "a date";
  return kinds[typeof input] ?? typeof input;
}
