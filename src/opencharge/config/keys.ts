// The secret keys of [opencharge], from the environment or from files that nobody else may read. Never writes, logs or
// quotes one.

import { errorText, Fault } from "../../domain/errors.ts";
import type { World } from "../../world.ts";
import type { KeyFiles, OpenchargeDraft, OpenchargeKey, OpenchargeSettings } from "./settings.ts";

const key_pattern = /^(?:0x)?([\da-f]{64})$/i;
/** Bits of a file's mode that let others than its owner in. */
const open_to_others = 0o077;
const environment = "OCRCH_OPENCHARGE_KEY";

/** The settings with their keys. Fault invalid_config: no key, no such file, a file others may read, no key inside. */
export function readOpenchargeKeys(world: World, draft: OpenchargeDraft): OpenchargeSettings {
  const { private_key_file, previous, gateway_key, ...settings } = draft;
  const given = world.env(environment);
  const own = { private_key_file, previous };
  return {
    ...settings,
    ...readKeys(world, "opencharge", own, given === "" ? undefined : given),
    gateway_key: gateway_key === null ? null : readKeys(world, "opencharge.gateway_key", gateway_key, undefined),
  };
}

/** A key and the one before it; `given` comes before the file. */
function readKeys(
  world: World,
  section: string,
  { private_key_file, previous }: KeyFiles,
  given: string | undefined,
): OpenchargeKey {
  const secret_key =
    given !== undefined ? keyIn(given, environment) : readKey(world, `${section}.private_key_file`, private_key_file);
  if (previous === null) return { secret_key, previous };
  const { key_file, rotated_at } = previous;
  const old = readKey(world, `${section}.previous_key_file`, key_file);
  return { secret_key, previous: { secret_key: old, rotated_at } };
}

function readKey(world: World, setting: string, path: string | null): string {
  const fail = (words: string): never => {
    throw new Fault("invalid_config", `${setting}: ${words}`);
  };
  if (path === null) return fail(`missing; make a key with \`ocrch opencharge keygen\`, or set ${environment}`);
  let text: string | null = null;
  let mode: number | null = null;
  try {
    text = world.files.read(path);
    mode = world.files.mode(path);
  } catch (error) {
    fail(`cannot be read (${errorText(error)})`);
  }
  if (text === null || mode === null)
    return fail(`${path}: there is no such file; \`ocrch opencharge keygen\` makes one`);
  if ((mode & open_to_others) !== 0) fail(`others may read ${path}; run chmod 600 on it`);
  return keyIn(text, setting);
}

function keyIn(text: string, setting: string): string {
  const digits = key_pattern.exec(text.trim())?.[1];
  if (digits === undefined)
    throw new Fault("invalid_config", `${setting}: no secret key; expected 64 hexadecimal digits`);
  return digits.toLowerCase();
}
