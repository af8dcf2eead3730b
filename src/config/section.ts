// What an extension says of its own section of the configuration file. The core reads, checks and keeps the section
// without knowing what is in it.

import type * as z from "zod";
import type { World } from "../world.ts";

/** What the rest of the file says that a section may build on. */
export interface SectionContext {
  /** merchant.name */
  shop: string;
  public_url: string | undefined;
  /** Absolute: relative paths of the section start here. */
  folder: string;
}

export interface ConfigSection {
  /** Its key in the file and in `Config`. */
  readonly name: string;
  readonly schema: z.ZodType;
  /** Problems that only show with other keys, one line each. `tree` is the parsed file, of any shape. */
  crossProblems(tree: Record<string, unknown>): string[];
  /** `section` is what the schema made of it. */
  build(section: unknown, around: SectionContext): SectionDraft;
}

/** A sound section whose secrets were not read yet. */
export interface SectionDraft {
  /** As written, with paths in place of secrets. */
  settings: object;
  /** What the operator should know about it, one line each. */
  warnings: string[];
  /** The settings with their secrets, and more warnings. Fault invalid_config: a secret is not where it should be. */
  readSecrets(world: World): { settings: object; warnings: string[] };
}
