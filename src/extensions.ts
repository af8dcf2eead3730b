// The optional parts of the product. A part that is taken off the list leaves nothing behind: the core knows none.

import { openchargeHooks } from "./opencharge/storage/hooks.ts";
import type { Reader, Tx } from "./storage/database.ts";
import type { Hooks } from "./storage/hooks.ts";

export interface Extension {
  /** What it does inside the core's transactions. */
  hooks: Hooks<Reader, Tx>;
}

/** Every extension of this build. */
const extensions: readonly Extension[] = [{ hooks: openchargeHooks }];

/** What a database is opened with. */
export const extensionHooks = extensions.map(({ hooks }) => hooks);
