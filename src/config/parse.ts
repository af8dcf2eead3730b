// The text of a configuration file to typed settings, with every problem at once. Pure: touches no file, hashes nothing.

import { dirname, resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import type * as z from "zod";
import { errorText } from "../domain/errors.ts";
import { buildChains, buildSpareChains, buildWallets, chainWarnings } from "./chains.ts";
import type { Config } from "./config.ts";
import { crossProblems } from "./cross.ts";
import { buildApiKeys } from "./explorers.ts";
import { configIssueText, type File, fileSchema } from "./schema.ts";
import type { ConfigSection, SectionContext, SectionDraft } from "./section.ts";
import { listenAddress } from "./values.ts";

const secret_min_chars = 16;
const still_accepted = "still accepted; remove it once your shop signs with merchant.secret";

/** What the command line or the environment put above the file. */
export interface Overrides {
  /** Absolute path. */
  database?: string | undefined;
  listen?: string | undefined;
}

/** A configuration whose admin secret is still as the file has it, plaintext or a hash. Sections of extensions are null. */
export type Draft = Omit<Config, "admin"> & { admin: { secret: string } };

export interface Parsed {
  /** Null when there are problems. */
  draft: Draft | null;
  /** The sections of extensions that are in the file. Their secrets are still to be read. */
  sections: Readonly<Record<string, SectionDraft>>;
  /** One line each: key path, what is wrong, the cure. */
  problems: string[];
  warnings: string[];
}

/**
 * Reads the text of a configuration file. `path` (absolute) is where it stands: relative paths in it start there.
 * `sections` are those of extensions; another one in the file is an unknown key. Never throws.
 */
export function parseConfig(
  text: string,
  path: string,
  overrides: Overrides = {},
  sections: readonly ConfigSection[] = [],
): Parsed {
  const tree = parseToml(text, path);
  if (typeof tree === "string") return { draft: null, sections: {}, problems: [tree], warnings: [] };
  const file = fileSchema(sections).safeParse(tree, { error: configIssueText });
  const listen = overrides.listen === undefined ? undefined : listenAddress.safeParse(overrides.listen);
  const problems = [
    ...(file.success ? [] : file.error.issues.flatMap(linesOf)),
    ...sections.flatMap((section) => section.crossProblems(tree)),
    ...crossProblems(tree),
    ...(listen?.error?.issues.map((issue) => `--listen: ${issue.message}`) ?? []),
  ];
  if (!file.success || problems.length > 0) return { draft: null, sections: {}, problems, warnings: [] };

  const over = { database: overrides.database, listen: listen?.data };
  return build(file.data, path, over, sections);
}

interface Over {
  database: string | undefined;
  listen: File["server"]["listen"] | undefined;
}

function build(file: File, path: string, over: Over, sections: readonly ConfigSection[]): Parsed {
  const wallets = buildWallets(file);
  const settings = buildChains(file, wallets);
  const { server, merchant, orders, webhooks } = file;
  const around = { shop: merchant.name, public_url: server.public_url, folder: dirname(path) };
  const extended = buildSections(file, sections, around);
  const draft: Draft = {
    path,
    server: {
      ...(over.listen ?? server.listen),
      public_url: server.public_url ?? null,
      signature_window_ms: server.signature_window,
      trusted_proxies: server.trusted_proxies,
    },
    database: { path: over.database ?? resolve(dirname(path), file.database.path) },
    admin: file.admin,
    merchant: {
      ...merchant,
      previous_secret: merchant.previous_secret ?? null,
      allowed_origins: [...new Set(merchant.allowed_origins)],
      unknown_transfer_webhook_url: merchant.unknown_transfer_webhook_url ?? null,
    },
    orders: {
      lifetime_ms: orders.lifetime,
      late_window_ms: orders.late_window,
      max_surcharge: orders.max_surcharge,
      underpaid_tolerance: orders.underpaid_tolerance,
      overpaid_tolerance: orders.overpaid_tolerance,
    },
    webhooks: {
      allow_private_targets: webhooks.allow_private_targets,
      success: webhooks.success,
      signature_padding: webhooks.signature_padding,
      timeout_ms: webhooks.timeout,
    },
    api_keys: buildApiKeys(file),
    wallets,
    chains: settings,
    spare_chains: buildSpareChains(file, wallets),
    ...Object.fromEntries(sections.map(({ name }) => [name, null])),
  };
  const noOrigins = merchant.allowed_origins.length === 0;
  const warnings = [
    ...secretWarnings(draft),
    ...(draft.merchant.previous_secret === null ? [] : [`merchant.previous_secret: ${still_accepted}`]),
    ...(noOrigins ? ["merchant.allowed_origins: empty; no checkout page can reach its order"] : []),
    ...chainWarnings(file, wallets, settings),
    ...Object.values(extended).flatMap((section) => section.warnings),
  ];
  return { draft, sections: extended, problems: [], warnings };
}

/** The sections of extensions that the file has. */
function buildSections(
  file: Record<string, unknown>,
  sections: readonly ConfigSection[],
  around: SectionContext,
): Record<string, SectionDraft> {
  const present = sections.filter(({ name }) => file[name] !== undefined);
  return Object.fromEntries(present.map((section) => [section.name, section.build(file[section.name], around)]));
}

/** Secrets that are easy to guess, or that stand for two things; one line each, without the secret. */
function secretWarnings({ admin, merchant }: Draft): string[] {
  const isHash = admin.secret.startsWith("$argon2");
  const secrets = [
    ...(isHash ? [] : [["admin.secret", admin.secret] as const]),
    ["merchant.secret", merchant.secret] as const,
    ...(merchant.previous_secret === null ? [] : [["merchant.previous_secret", merchant.previous_secret] as const]),
  ];
  const short = secrets.filter(([, secret]) => secret.length < secret_min_chars);
  const equal = secrets.filter(([, secret], at) => secrets.findIndex(([, other]) => other === secret) < at);
  return [
    ...short.map(([key]) => `${key}: shorter than ${secret_min_chars} characters; put a long random text of your own`),
    ...equal.map(([key]) => `${key}: the same as another secret; put one of its own, or remove the key`),
  ];
}

function parseToml(text: string, path: string): Record<string, unknown> | string {
  try {
    return parse(text, { unsafeKeyBehaviour: "throw" });
  } catch (error) {
    if (!(error instanceof TomlError)) return `${path}: not readable as TOML`;
    const words = errorText(error).replace(/^Invalid TOML document: /, "");
    return `${path}: line ${error.line}, column ${error.column}: ${words}`;
  }
}

/** A schema's issue as lines of `path: words`; an unknown key makes a line of its own. */
function linesOf(issue: z.core.$ZodIssue): string[] {
  if (issue.code !== "unrecognized_keys") return [`${pathText(issue.path)}: ${issue.message}`];
  const words = issue.message.split("\n");
  return issue.keys.map((key, index) => `${pathText([...issue.path, key])}: ${words[index] ?? "unknown key"}`);
}

function pathText(path: readonly PropertyKey[]): string {
  const parts = path.map((part) => (typeof part === "number" ? `[${part}]` : `.${bareKey(String(part))}`));
  return parts.join("").replace(/^\./, "");
}

function bareKey(key: string): string {
  return /^[\w-]+$/.test(key) ? key : JSON.stringify(key);
}
