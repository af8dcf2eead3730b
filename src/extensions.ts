// The optional parts of the product. One that is taken off the list leaves nothing behind: the core knows none of them.

import type { Config, LiveConfig } from "./config/config.ts";
import type { ConfigSection } from "./config/section.ts";
import type { ExtendHttp } from "./http/extension.ts";
import { opencharge } from "./opencharge/opencharge.ts";
import type { Outbound } from "./outbound.ts";
import type { Checkout } from "./services/checkout.ts";
import type { Crediting } from "./services/crediting.ts";
import type { Database, Reader, Tx } from "./storage/engine/database.ts";
import type { Hooks, ProofSigner } from "./storage/hooks.ts";
import type { Telemetry } from "./telemetry.ts";
import type { World } from "./world.ts";

export interface Extension {
  /** Its section of the configuration file. */
  section: ConfigSection;
  /** Fault invalid_config: settings with which it could not run. */
  check(config: Config): void;
  /** What the operator should know about a change of settings, one line each. */
  changeWarnings(before: Config, after: Config, now_ms: number): string[];
  /** What it does inside the core's transactions. */
  hooks: Hooks<Reader, Tx>;
  /** Starts it over one database. It works from the first job or request on. */
  start(needs: {
    database: Database;
    config: LiveConfig;
    crediting: Crediting;
    outbound: Outbound;
    world: World;
    telemetry: Telemetry;
    checkout: Checkout;
  }): RunningExtension;
}

export interface RunningExtension {
  http: ExtendHttp;
  /** Signs its messages, where it sends some. */
  proofs?: ProofSigner;
  /** Recurring work, run every second and after commits. */
  jobs: readonly { name: string; run(): Promise<unknown> }[];
}

/** Every extension of this build. */
export const extensions: readonly Extension[] = [opencharge];

/** What the configuration is read with. */
export const extensionSections = extensions.map(({ section }) => section);

/** What a database is opened with. */
export const extensionHooks = extensions.map(({ hooks }) => hooks);
