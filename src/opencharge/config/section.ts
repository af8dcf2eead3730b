// The [opencharge] section as the configuration reads it: its schema, its problems with other keys, its warnings.

import type * as z from "zod";
import { isTable } from "../../config/cross.ts";
import type { ConfigSection } from "../../config/section.ts";
import { buildOpencharge, openchargeWarnings } from "./build.ts";
import { readOpenchargeKeys } from "./keys.ts";
import { rotationWarnings } from "./rotation.ts";
import { openchargeSchema } from "./schema.ts";

export const openchargeSection: ConfigSection = {
  name: "opencharge",
  schema: openchargeSchema,

  crossProblems({ opencharge, server }) {
    if (!isTable(opencharge) || opencharge.endpoint !== undefined) return [];
    if (isTable(server) && server.public_url !== undefined) return [];
    return ["opencharge.endpoint: missing; add it, or server.public_url, so that others know where to call"];
  },

  build(section, around) {
    const draft = buildOpencharge(section as z.output<typeof openchargeSchema>, around);
    return {
      settings: draft,
      warnings: openchargeWarnings(draft),
      readSecrets(world) {
        const settings = readOpenchargeKeys(world, draft);
        return { settings, warnings: rotationWarnings(settings, world.now()) };
      },
    };
  },
};
