// Finds and reads the configuration file and keeps the admin secret as a hash. Writes nothing but that hash, and
// only where asked to.

import { resolve } from "node:path";
import { errorText, Fault } from "../domain/errors.ts";
import type { World } from "../world.ts";
import type { Config } from "./config.ts";
import { parseConfig } from "./parse.ts";
import { replaceAdminSecret } from "./secret.ts";
import type { ConfigSection } from "./section.ts";

const default_file = "ocrch-config.toml";

/** Absolute path of the file to read: the flag, else OCRCH_CONFIG, else ocrch-config.toml in the working directory. */
export function configPath(world: World, flag?: string): string {
  return resolve(flag || world.env("OCRCH_CONFIG") || default_file);
}

export interface LoadOptions {
  /** `--database`: above OCRCH_DATABASE, above the file. Both start at the working directory. */
  database?: string | undefined;
  /** `--listen`. */
  listen?: string | undefined;
  /**
   * False for commands that check no admin secret: the file is not written and a plaintext secret is not hashed, so
   * `admin.secret_hash` is empty, which no secret satisfies.
   */
  rewrite?: boolean;
  /** Those of extensions. */
  sections?: readonly ConfigSection[];
}

/**
 * The configuration of the file at `path` and what to warn about. A plaintext admin secret is replaced by its hash in
 * the file; where that is not possible the hash is kept in memory and a warning says so.
 * Throws Fault invalid_config, one line per problem.
 */
export async function loadConfig(
  world: World,
  path: string,
  options: LoadOptions = {},
): Promise<{ config: Config; warnings: string[] }> {
  const at = resolve(path);
  const text = readText(world, at);
  const database = options.database || world.env("OCRCH_DATABASE") || undefined;
  const over = { database: database === undefined ? undefined : resolve(database), listen: options.listen };
  const { draft, sections, problems, warnings } = parseConfig(text, at, over, options.sections);
  if (draft === null) throw new Fault("invalid_config", problems.join("\n"));

  const extended = Object.entries(sections).map(([name, section]) => ({ name, ...section.readSecrets(world) }));
  const kept = await keepSecret(world, at, text, draft.admin.secret, options.rewrite ?? true);
  const settings = Object.fromEntries(extended.map((section) => [section.name, section.settings]));
  const config = { ...draft, admin: { secret_hash: kept.secret_hash }, ...settings };
  return { config, warnings: [...warnings, ...extended.flatMap((section) => section.warnings), ...kept.warnings] };
}

function readText(world: World, path: string): string {
  let text: string | null;
  try {
    text = world.files.read(path);
  } catch (error) {
    throw new Fault("invalid_config", `${path}: cannot be read (${errorText(error)})`);
  }
  if (text === null) throw new Fault("invalid_config", `${path}: there is no such file; name yours with --config`);
  return text;
}

async function keepSecret(world: World, path: string, text: string, secret: string, rewrite: boolean) {
  if (secret.startsWith("$argon2")) return { secret_hash: secret, warnings: [] };
  if (!rewrite)
    return { secret_hash: "", warnings: ["admin.secret: in plain text; `ocrch serve` will replace it by its hash"] };

  const secret_hash = await world.passwords.hash(secret);
  const failure = storeHash(world, path, text, secret, secret_hash);
  const warnings =
    failure === null ? [] : [`admin.secret: stays in plain text, its hash is kept in memory (${failure})`];
  return { secret_hash, warnings };
}

/** Writes the hash in the secret's place. Returns why not, or null when done. */
function storeHash(world: World, path: string, text: string, secret: string, hash: string): string | null {
  const changed = replaceAdminSecret(text, secret, hash);
  if (changed === null) return "its place in the file was not found for sure";
  try {
    if (world.files.read(path) !== text) return "the file was changed in the meantime";
    world.files.replace(path, changed);
    return null;
  } catch (error) {
    return `the file cannot be written: ${errorText(error)}`;
  }
}
