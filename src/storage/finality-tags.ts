// Where providers last put the finality tags of a chain, kept for the time when none of them serves one.

import { eq, sql } from "drizzle-orm";
import type { ChainId } from "../domain/assets.ts";
import type { Reader, Tx } from "./engine/database.ts";
import { statement } from "./engine/statement.ts";
import { finality_tags } from "./schema.ts";

export type ServedTag = typeof finality_tags.$inferSelect;

/** The tags of a chain as they were last served. */
export function servedTags(at: Reader, chain: ChainId): ServedTag[] {
  return selectServed(at).all({ chain });
}

const selectServed = statement((db) =>
  db
    .select()
    .from(finality_tags)
    .where(eq(finality_tags.chain, sql.placeholder("chain")))
    .prepare(),
);

/** Keeps a tag as it was served, in place of what was kept of it before. */
export function keepServedTag(tx: Tx, tag: ServedTag): void {
  upsert(tx).run({ ...tag });
}

const upsert = statement((db) =>
  db
    .insert(finality_tags)
    .values({
      chain: sql.placeholder("chain"),
      tag: sql.placeholder("tag"),
      number: sql.placeholder("number"),
      hash: sql.placeholder("hash"),
      time: sql.placeholder("time"),
      provider: sql.placeholder("provider"),
      served_at: sql.placeholder("served_at"),
    })
    .onConflictDoUpdate({
      target: [finality_tags.chain, finality_tags.tag],
      set: {
        number: sql`excluded.number`,
        hash: sql`excluded.hash`,
        time: sql`excluded.time`,
        provider: sql`excluded.provider`,
        served_at: sql`excluded.served_at`,
      },
    })
    .prepare(),
);
